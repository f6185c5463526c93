"""`submitEngine`, `acceptEngine`, `revokeEngine`: two days' notice, and only what fits."""

from __future__ import annotations

import pytest

from plimsoll.lab import components
from plimsoll.risk.model import WAD, Portfolio
from plimsoll.risk.params import DELAY, GlobalParams
from tests.evm import FUNDS, Contract
from tests.scenarios.stage import ALT, ETH, RISK, TERMS, UNDERLYINGS, WALT, WETH, Stage, wad
from tests.unit.books import emitted, happened, refuses
from tests.world import Market


def successor(stage: Stage, *, sealed: bool = True, token: Contract | None = None) -> Market:
    """An engine that knows wrapped ether, by another price, and one more market."""
    market = Market(stage.evm, GlobalParams())
    for u in (ETH, ALT):
        market.list_underlying(u, RISK, wad(3_000), market=UNDERLYINGS[u].market)
    market.list_asset(WETH, token or stage.tokens[WETH], ETH, TERMS)
    if sealed:
        market.seal(stage.house)
    return market


def submit(stage: Stage, engine: Contract) -> int:
    """Submits it; when it may be accepted."""
    receipt = stage.house.submitEngine(engine)
    ready = stage.now + DELAY
    submitted = {"engine": engine.address, "readyAt": ready}
    assert happened(receipt) == [emitted(stage.house, "EngineSubmitted", **submitted)]
    return ready


class TestAccepted:
    def test_after_two_days_by_anybody(self, stage: Stage) -> None:
        account, old = stage.deposit("owner", WETH, WAD), stage.house.call.engine()
        held = stage.portfolio(account)
        market = successor(stage)
        ready = submit(stage, market.engine)
        stage.warp(DELAY - 1)
        with refuses(stage, "EngineNotReady", readyAt=ready):
            stage.house.acceptEngine(sender=stage.actor("stranger"))
        stage.warp(1)
        receipt = stage.house.acceptEngine(sender=stage.actor("stranger"))
        accepted = {"oldEngine": old, "newEngine": market.engine.address}
        assert happened(receipt) == [emitted(stage.house, "EngineAccepted", **accepted)]
        assert stage.house.call.engine() == market.engine.address
        assert stage.portfolio(account) == held
        market.set_price(ETH, wad(3_000))
        assert stage.house.call.margin(account).equity == wad(3_000)

    def test_it_is_the_one_that_is_asked(self, stage: Stage) -> None:
        """Deposits, checks and noted totals go to the new one; the old one has no part."""
        stage.deposit("owner", WETH, WAD)
        market = successor(stage)
        submit(stage, market.engine)
        stage.warp(DELAY)
        stage.house.acceptEngine()
        stage.underlyings[ETH].feed.break_down()
        market.set_price(ETH, wad(3_000))
        account, owner = stage.account("owner"), stage.actor("owner")
        stage.withdraw_cash(account, 2_000)
        assert stage.cash(account) == -wad(2_000)
        stage.give(owner, WETH, WAD)
        stage.house.deposit(account, WETH, WAD, sender=owner)
        assert stage.house.call.margin(account).equity == wad(4_000)

    def test_ether_comes_from_the_new_one_only(self, stage: Stage) -> None:
        """What a price update leaves over; the old one returns none any more."""
        old, new = stage.engine, successor(stage).engine
        submit(stage, new)
        stage.warp(DELAY)
        stage.house.acceptEngine()
        stage.evm.set_balance(stage.house, 0)
        pyth, owner = stage.evm.deploy(components.mock_pyth(), 60, 1), stage.actor("owner")
        stage.house.updatePyth(pyth, [], sender=owner, value=5)
        assert stage.evm.balance(owner) == FUNDS
        assert stage.evm.balance(old) == stage.evm.balance(new) == 0

    def test_once(self, stage: Stage) -> None:
        submit(stage, successor(stage).engine)
        stage.warp(DELAY)
        stage.house.acceptEngine()
        with refuses(stage, "EngineNotReady", readyAt=0):
            stage.house.acceptEngine()

    def test_what_nobody_holds_need_not_be_known(self, stage: Stage) -> None:
        account = stage.deposit("owner", WALT, WAD)
        market = successor(stage)
        submit(stage, market.engine)
        stage.warp(DELAY)
        with refuses(stage, "UnknownAsset", asset=WALT):
            stage.house.acceptEngine()
        stage.withdraw(account, WALT, WAD)
        stage.house.acceptEngine()
        assert stage.portfolio(account) == Portfolio()


class TestRefused:
    def test_before_any_was_submitted(self, stage: Stage) -> None:
        with refuses(stage, "EngineNotReady", readyAt=0):
            stage.house.acceptEngine()

    def test_without_code(self, stage: Stage) -> None:
        nobody = stage.actor("stranger").address
        stage.house.submitEngine(nobody)
        stage.warp(DELAY)
        with refuses(stage, "EngineInvalid", engine=nobody):
            stage.house.acceptEngine()

    def test_that_is_not_sealed(self, stage: Stage) -> None:
        market = successor(stage, sealed=False)
        submit(stage, market.engine)
        stage.warp(DELAY)
        with refuses(stage, "EngineInvalid", engine=market.engine.address):
            stage.house.acceptEngine()
        market.seal(stage.house)
        stage.house.acceptEngine()

    def test_that_knows_what_is_held_by_another_token(self, stage: Stage) -> None:
        account = stage.deposit("owner", WETH, WAD)
        market = successor(stage, token=stage.new_token(18))
        submit(stage, market.engine)
        stage.warp(DELAY)
        with refuses(stage, "EngineInvalid", engine=market.engine.address):
            stage.house.acceptEngine()
        stage.withdraw(account, WETH, WAD)
        stage.house.acceptEngine()

    @pytest.mark.parametrize("name", ["submitEngine", "revokeEngine"])
    def test_to_all_but_the_governor(self, stage: Stage, name: str) -> None:
        stranger = stage.actor("stranger")
        args = [stage.engine.address] if name == "submitEngine" else []
        with refuses(stage, "AccessManagedUnauthorized", caller=stranger.address):
            getattr(stage.house, name)(*args, sender=stranger)


class TestChanged:
    def test_by_another_submission_the_time_begins_again(self, stage: Stage) -> None:
        first, second = successor(stage).engine, successor(stage).engine
        submit(stage, first)
        stage.warp(DELAY - 1)
        ready = submit(stage, second)
        stage.warp(1)
        with refuses(stage, "EngineNotReady", readyAt=ready):
            stage.house.acceptEngine()
        stage.warp(DELAY)
        stage.house.acceptEngine()
        assert stage.house.call.engine() == second.address

    def test_by_revoking_it(self, stage: Stage) -> None:
        market = successor(stage)
        submit(stage, market.engine)
        stage.warp(DELAY)
        receipt = stage.house.revokeEngine()
        revoked = {"engine": market.engine.address}
        assert happened(receipt) == [emitted(stage.house, "EngineRevoked", **revoked)]
        with refuses(stage, "EngineNotReady", readyAt=0):
            stage.house.acceptEngine()
        assert stage.house.call.engine() == stage.engine.address

    def test_by_revoking_nothing(self, stage: Stage) -> None:
        receipt = stage.house.revokeEngine()
        revoked = {"engine": "0x" + "00" * 20}
        assert happened(receipt) == [emitted(stage.house, "EngineRevoked", **revoked)]

"""`reset`: anybody ends the auction of an account that is back at its target."""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import BPS, WAD, ceil_div
from tests.scenarios.stage import ALT, CASH, CASH_SCALE, ETH, Stage
from tests.unit.books import LIQUIDATION, emitted, happened, refuses


@pytest.fixture
def running(stage: Stage) -> Stage:
    stage.fund("maker", 1_000_000)
    account = stage.fund("owner", 26_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.trade("owner", "maker", {ALT: 40})
    stage.move({ETH: 1_900})
    stage.start_auction(account)
    stage.pass_time(100)
    return stage


def target(stage: Stage) -> int:
    factors = stage.engine.call.factors()
    margin = stage.margin(stage.account("owner"))
    return ceil_div(factors.initialFactor * margin.maintenance_margin, BPS)


def restore(stage: Stage, spare: int = 0) -> None:
    """Deposits what brings the account to its target, to the unit."""
    missing = target(stage) - stage.margin(stage.account("owner")).equity
    stage.deposit("owner", CASH, ceil_div(missing, CASH_SCALE) + spare)


def state(stage: Stage) -> AuctionState:
    return AuctionState(stage.house.call.auction(stage.account("owner"))[0].state)


def test_a_restored_account_leaves(running: Stage) -> None:
    restore(running)
    account, owner = running.account("owner"), running.actor("owner").address
    receipt = running.house.reset(account, sender=running.actor("stranger"))
    over = {"account": account, "owner": owner}
    assert happened(receipt) == [emitted(running.house, "AuctionReset", **over)]
    assert tuple(running.house.call.auction(account)) == ((AuctionState.NONE, 0, 0, 0), 0)


def test_a_standing_one_leaves_too(running: Stage) -> None:
    restore(running)
    running.house.standStill(running.account("owner"))
    running.house.reset(running.account("owner"))
    assert state(running) == AuctionState.NONE


def test_it_starts_anew_with_two_looks(running: Stage) -> None:
    restore(running)
    account = running.account("owner")
    running.house.reset(account)
    running.move({ETH: 1_700})
    running.look(account)
    assert state(running) == AuctionState.OBSERVED


@pytest.mark.parametrize("pause", [1 << LIQUIDATION, 0b1111])
def test_pauses_do_not_bind_it(running: Stage, pause: int) -> None:
    restore(running)
    running.house.setPause(pause, 2**96 - 1)
    running.house.reset(running.account("owner"))
    assert state(running) == AuctionState.NONE


def test_an_account_that_was_emptied_leaves(running: Stage) -> None:
    """Nothing held, nothing required."""
    running.fund("owner", 100_000)
    running.trade("maker", "owner", {ETH: 100})
    running.trade("maker", "owner", {ALT: 40})
    running.house.reset(running.account("owner"))
    assert state(running) == AuctionState.NONE


class TestRefused:
    def test_a_unit_below_the_target(self, running: Stage) -> None:
        restore(running, -1)
        account = running.account("owner")
        equity = running.margin(account).equity
        assert 0 < target(running) - equity <= CASH_SCALE
        with refuses(running, "NotRestored", account, equity, target(running)):
            running.house.reset(account)
        running.deposit("owner", CASH, 1)
        running.house.reset(account)

    def test_a_healthy_account_below_its_target(self, running: Stage) -> None:
        account = running.account("owner")
        margin = running.margin(account)
        missing = margin.maintenance_margin - margin.maintenance_equity
        running.deposit("owner", CASH, ceil_div(missing, CASH_SCALE))
        margin = running.margin(account)
        assert margin.is_healthy
        with refuses(running, "NotRestored", account, margin.equity, target(running)):
            running.house.reset(account)

    def test_at_a_doubtful_price(self, running: Stage) -> None:
        restore(running, 10**12)
        running.underlyings[ALT].feed.break_down()
        with refuses(running, "DoubtfulPrice", account=running.account("owner")):
            running.house.reset(running.account("owner"))

    def test_without_auction(self, stage: Stage) -> None:
        account = stage.fund("owner", 1)
        with refuses(stage, "NotInAuction", account, AuctionState.NONE):
            stage.house.reset(account)

    def test_after_one_look(self, stage: Stage) -> None:
        stage.fund("maker", 1_000_000)
        account = stage.fund("owner", 26_000)
        stage.trade("owner", "maker", {ETH: 100})
        stage.move({ETH: 1_900})
        stage.look(account)
        with refuses(stage, "NotInAuction", account, AuctionState.OBSERVED):
            stage.house.reset(account)

    def test_with_a_check_of_the_account_pending(self, running: Stage) -> None:
        """Nobody brings in a loan for the moment of the reset."""
        account, owner = running.account("owner"), running.actor("owner")
        restore(running, 10**12)
        out = running.house.encode("withdraw", account, CASH, 1, owner.address)
        reset = running.house.encode("reset", account)
        with refuses(running, "CheckPending", account=account):
            running.house.multicall([out, reset], sender=owner)
        running.house.multicall([reset, out], sender=owner)
        assert state(running) == AuctionState.NONE

    def test_with_ether(self, running: Stage) -> None:
        restore(running)
        with refuses(running, "ValueNotAccepted", value=WAD):
            running.house.reset(running.account("owner"), value=WAD)

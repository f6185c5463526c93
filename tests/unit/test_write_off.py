"""`writeOff`: a debt with nothing behind it is borne by reserves, suppliers, and then nobody."""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import MIN_SUPPLY_INDEX, RAY, AuctionState
from plimsoll.risk.model import WAD, Portfolio, ceil_div
from tests.scenarios.stage import ALT, CASH, WETH, Stage, wad
from tests.unit.books import LIQUIDATION, Event, emitted, happened, leave_with_debt, refuses

DEBT = 200 * 9 - 500


def indebted(stage: Stage, *, flagged: bool = False) -> Stage:
    """The owner is left with a debt and nothing else; others hold collateral and no cash."""
    for who in ("maker", "taker"):
        stage.deposit(who, WETH, wad(100))
    account = stage.account("owner")
    leave_with_debt(stage, account, DEBT)
    if flagged:
        stage.start_auction(account)
    return stage


@pytest.fixture
def owing(stage: Stage) -> Stage:
    return indebted(stage)


def events(
    stage: Stage, reserves: int, suppliers: int, deficit: int, *, flagged: bool = False
) -> list[Event]:
    account, owner = stage.account("owner"), stage.actor("owner").address
    debt = reserves + suppliers + deficit
    own = {"account": account, "owner": owner}
    borne = {"fromReserves": reserves, "fromSuppliers": suppliers, "toDeficit": deficit}
    released = emitted(stage.house, "ProvisionSet", account=account, amount=0)
    ended = [released, emitted(stage.house, "AuctionReset", **own)] if flagged else []
    halted = [emitted(stage.house, "HaltSet", halted=True)] if suppliers + deficit else []
    return [
        emitted(stage.house, "LossBooked", account=account, **borne),
        *halted,
        emitted(stage.house, "CashMoved", **own, change=debt),
        emitted(stage.house, "WrittenOff", **own, debt=debt),
        *ended,
    ]


class TestLoss:
    def test_is_the_reserves_first(self, owing: Stage) -> None:
        stage, account = owing, owing.account("owner")
        pool, version = stage.house.call.pool(), stage.house.call.versions(account)
        receipt = stage.house.writeOff(account, sender=stage.actor("stranger"))
        assert happened(receipt) == events(stage, wad(DEBT), 0, 0)
        assert stage.portfolio(account) == Portfolio()
        changed = pool._replace(reserves=pool.reserves - wad(DEBT), borrowed=0, accruedAt=stage.now)
        assert stage.house.call.pool() == changed
        assert stage.house.call.versions(account) == version

    def test_is_then_shared_by_suppliers(self) -> None:
        stage = indebted(Stage(reserves=1_000, lent=10_000))
        pool = stage.house.call.pool()
        shared = wad(DEBT) - wad(1_000)
        receipt = stage.house.writeOff(stage.account("owner"))
        assert happened(receipt) == events(stage, wad(1_000), shared, 0)
        index = RAY - ceil_div(shared * RAY, pool.supplied)
        after = stage.house.call.pool()
        assert (after.supplyIndex, after.reserves, after.deficit) == (index, 0, 0)
        assert stage.cash(stage.lender) == wad(10_000) * index // RAY
        assert 0 <= stage.surplus([stage.account("owner")]) < 10**6

    def test_is_then_nobodys(self) -> None:
        """Suppliers keep a thousandth; the rest is recorded until it is repaid."""
        stage = indebted(Stage(reserves=1_000, lent=1))
        receipt = stage.house.writeOff(stage.account("owner"))
        shared = WAD * (RAY - MIN_SUPPLY_INDEX) // RAY
        deficit = wad(DEBT - 1_000) - shared
        assert happened(receipt) == events(stage, wad(1_000), shared, deficit)
        after = stage.house.call.pool()
        assert (after.supplyIndex, after.reserves) == (MIN_SUPPLY_INDEX, 0)
        assert after.deficit == deficit
        assert stage.cash(stage.lender) == WAD // 1_000

    def test_ends_the_auction(self, stage: Stage) -> None:
        indebted(stage, flagged=True)
        account = stage.account("owner")
        assert stage.house.call.auction(account)[0].state == AuctionState.RUNNING
        receipt = stage.house.writeOff(account)
        assert happened(receipt) == events(stage, wad(DEBT), 0, 0, flagged=True)
        assert stage.house.call.auction(account)[0].state == AuctionState.NONE

    def test_of_one_account_leaves_the_others(self, owing: Stage) -> None:
        stage = owing
        other = stage.fund("owner", 77, 1)
        held = [stage.portfolio(stage.account(who)) for who in ("maker", "taker", "lender")]
        stage.house.writeOff(stage.account("owner"))
        assert stage.portfolio(other) == Portfolio(wad(77))
        now = [stage.portfolio(stage.account(who)) for who in ("maker", "taker", "lender")]
        assert now == held

    def test_needs_no_price(self, owing: Stage) -> None:
        for one in owing.underlyings.values():
            one.feed.break_down()
        owing.house.writeOff(owing.account("owner"))
        assert owing.portfolio(owing.account("owner")) == Portfolio()

    @pytest.mark.parametrize("units", [1, DEBT * 10**6 - 1])
    def test_is_what_is_left_of_the_debt(self, owing: Stage, units: int) -> None:
        owing.deposit("owner", CASH, units)
        (written,) = owing.house.writeOff(owing.account("owner")).events("WrittenOff")
        assert written.debt == wad(DEBT) - units * 10**12


class TestRefused:
    @pytest.mark.parametrize("dollars", [0, 1])
    def test_without_debt(self, stage: Stage, dollars: int) -> None:
        account = stage.fund("owner", dollars) if dollars else stage.account("owner")
        with refuses(stage, "NothingToWriteOff", account=account):
            stage.house.writeOff(account)

    def test_with_a_unit_of_collateral(self, owing: Stage) -> None:
        account = owing.deposit("owner", WETH, 1)
        with refuses(owing, "NothingToWriteOff", account=account):
            owing.house.writeOff(account)

    def test_with_a_position(self, stage: Stage) -> None:
        stage.deposit("maker", WETH, wad(100))
        account = stage.fund("owner", 500)
        stage.trade("owner", "maker", {ALT: 200})
        stage.report({ALT: wad(1)})
        stage.settle(account, ALT)
        assert stage.cash(account) < 0
        with refuses(stage, "NothingToWriteOff", account=account):
            stage.house.writeOff(account)

    def test_while_liquidation_is_paused(self, owing: Stage) -> None:
        owing.house.setPause(1 << LIQUIDATION, 0)
        with refuses(owing, "Paused", action=LIQUIDATION, asset=CASH):
            owing.house.writeOff(owing.account("owner"))

    def test_in_a_transaction_in_which_cash_leaves(self, owing: Stage) -> None:
        """Suppliers do not run from what they are about to bear."""
        stage, account = owing, owing.account("owner")
        saver, person = stage.fund("desk", 10), stage.actor("desk")
        calls = [
            stage.house.encode("withdraw", saver, CASH, 1, person.address),
            stage.house.encode("writeOff", account),
        ]
        for one in (calls, calls[::-1]):
            with refuses(stage, "CashOutWithLoss"):
                stage.house.multicall(one, sender=person)

    def test_with_a_check_of_the_account_pending(self, owing: Stage) -> None:
        stage, account, owner = owing, owing.account("owner"), owing.actor("owner")
        stage.deposit("owner", WETH, 1)
        calls = [
            stage.house.encode("withdraw", account, WETH, 1, owner.address),
            stage.house.encode("writeOff", account),
        ]
        with refuses(stage, "CheckPending", account=account):
            stage.house.multicall(calls, sender=owner)

    def test_twice(self, owing: Stage) -> None:
        account = owing.account("owner")
        owing.house.writeOff(account)
        with refuses(owing, "NothingToWriteOff", account=account):
            owing.house.writeOff(account)

    def test_with_ether(self, owing: Stage) -> None:
        with refuses(owing, "ValueNotAccepted", value=1):
            owing.house.writeOff(owing.account("owner"), value=1)

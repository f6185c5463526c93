"""What an auction is about to lose: noted by looks and bids, paid for by who leaves meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import WAD, ceil_div
from tests.scenarios.stage import (
    ALT,
    CASH,
    CASH_SCALE,
    ETH,
    GLOBALS,
    WETH,
    Stage,
    wad,
)
from tests.unit.books import Event, emitted, happened, leave_reserves, leave_with_debt, refuses
from tests.unit.conftest import kept

MICRO = 10**12
RESERVES, LENT = 4_000, 20_000
# The owner is long 100 ether at 2,000 dollars with 26,000 dollars: 1,700 leaves a hole of 4,000.
PRICE, HOLE = 1_690, 5_000


@pytest.fixture(scope="module")
def fallen() -> Stage:
    """An account a gap took through its margin; reserves that do not cover its hole."""
    factors = replace(GLOBALS, payout_cap=10_000_000)
    stage = Stage(factors=factors, lent=LENT, backstop="backstop")
    stage.deposit("maker", WETH, wad(1_000))
    stage.fund("owner", 26_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.trade("owner", "maker", {ALT: 40})
    leave_reserves(stage, RESERVES)
    stage.report({ETH: wad(PRICE)})
    stage.settle(stage.account("owner"), ETH)
    stage.settle(stage.account("maker"), ETH)
    return stage


@pytest.fixture
def stage(fallen: Stage) -> Iterator[Stage]:
    yield from kept(fallen)


@pytest.fixture
def flagged(stage: Stage) -> Stage:
    stage.start_auction(stage.account("owner"))
    return stage


def hole(stage: Stage) -> int:
    """What the account lacks, in whole millionths of a dollar."""
    lacking = max(0, -stage.margin(stage.account("owner")).maintenance_equity)
    return ceil_div(lacking, MICRO) * MICRO


def provision(stage: Stage) -> int:
    """Of the account; nobody else has any."""
    amount = stage.house.call.provisionOf(stage.account("owner"))
    assert stage.house.call.provisions() == amount
    return int(amount)


def noted(stage: Stage, amount: int) -> Event:
    fields = {"account": stage.account("owner"), "amount": amount}
    return emitted(stage.house, "ProvisionSet", **fields)


class TestLooks:
    def test_the_first_notes_nothing(self, stage: Stage) -> None:
        stage.look(stage.account("owner"))
        assert provision(stage) == 0 < hole(stage)

    def test_the_second_notes_the_hole(self, stage: Stage) -> None:
        account = stage.account("owner")
        stage.look(account)
        stage.pass_time(12)
        receipt = stage.look(account)
        assert hole(stage) == provision(stage) == wad(HOLE)
        assert happened(receipt)[-1] == noted(stage, wad(HOLE))

    def test_of_an_account_that_can_pay_notes_nothing(self, stage: Stage) -> None:
        stage.report({ETH: wad(1_750)})
        stage.start_auction(stage.account("owner"))
        assert hole(stage) == provision(stage) == 0

    def test_of_a_running_auction_notes_what_changed(self, flagged: Stage) -> None:
        """A gap in mid-auction is known to suppliers before any bid."""
        account = flagged.account("owner")
        before = flagged.house.call.auction(account)[0]
        flagged.pass_time(50)
        with refuses(flagged, "AuctionAlreadyRunning", account):
            flagged.house.flag(account)
        flagged.report({ETH: wad(1_650)})
        receipt = flagged.look(account)
        assert happened(receipt)[-1] == noted(flagged, hole(flagged))
        assert provision(flagged) == hole(flagged) == wad(HOLE + 4_000)
        assert flagged.house.call.auction(account)[0] == before
        flagged.report({ETH: wad(1_750)})
        flagged.look(account)
        assert provision(flagged) == 0

    def test_of_a_halted_auction_counts_the_favourable_end(self, flagged: Stage) -> None:
        account = flagged.account("owner")
        flagged.underlyings[ALT].feed.break_down()
        flagged.house.standStill(account)
        assert flagged.house.call.auction(account)[0].state == AuctionState.HALTED
        assert provision(flagged) == hole(flagged)
        flagged.report({ETH: wad(1_650)})
        flagged.look(account)
        assert provision(flagged) == hole(flagged) > wad(HOLE)

    def test_stand_still_of_a_healthy_account_releases_it(self, flagged: Stage) -> None:
        flagged.report({ETH: wad(1_950)})
        receipt = flagged.house.standStill(flagged.account("owner"))
        assert happened(receipt)[0] == noted(flagged, 0)
        assert provision(flagged) == 0


class TestEnd:
    def test_reset_releases_it(self, flagged: Stage) -> None:
        account = flagged.account("owner")
        flagged.fund("owner", 100_000)
        receipt = flagged.house.reset(account)
        assert happened(receipt)[0] == noted(flagged, 0)
        assert provision(flagged) == 0

    def test_a_slice_leaves_its_part(self, flagged: Stage) -> None:
        flagged.fund("bidder", 1_000_000)
        flagged.pass_time(60)
        receipt = flagged.bid("bidder", flagged.account("owner"), WAD // 3)
        fraction = receipt.value[0]
        left = ceil_div(wad(HOLE) // MICRO * (WAD - fraction), WAD) * MICRO
        assert 0 < left < wad(HOLE)
        assert noted(flagged, left) in happened(receipt)
        assert provision(flagged) == left

    def test_a_bid_looks_anew(self, flagged: Stage) -> None:
        flagged.fund("bidder", 1_000_000)
        flagged.pass_time(60)
        flagged.report({ETH: wad(1_650)})
        anew = hole(flagged)
        receipt = flagged.bid("bidder", flagged.account("owner"), WAD // 10)
        left = ceil_div(anew // MICRO * (WAD - receipt.value[0]), WAD) * MICRO
        assert provision(flagged) == left > wad(HOLE)

    def test_the_last_slice_releases_it(self, flagged: Stage) -> None:
        flagged.fund("bidder", 1_000_000)
        flagged.pass_time(60)
        receipt = flagged.bid("bidder", flagged.account("owner"))
        assert receipt.value[0] == WAD
        assert noted(flagged, 0) in happened(receipt)
        assert provision(flagged) == 0

    def test_a_write_off_releases_it(self, stage: Stage) -> None:
        account = stage.account("desk")
        leave_with_debt(stage, account, 300)
        stage.start_auction(account)
        assert stage.house.call.provisions() == wad(300)
        stage.house.writeOff(account)
        assert (stage.house.call.provisions(), stage.house.call.provisionOf(account)) == (0, 0)

    def test_a_slice_that_is_sold_notes_nothing(self, stage: Stage) -> None:
        stage.report({ETH: wad(1_790)})
        stage.start_auction(stage.account("owner"))
        stage.fund("bidder", 1_000_000)
        stage.pass_time(60)
        receipt = stage.bid("bidder", stage.account("owner"), WAD // 3)
        assert receipt.value[1] > 0
        assert not receipt.events("ProvisionSet")


class TestCharge:
    def charge(self, stage: Stage, dollars: int) -> int:
        expected = provision(stage) - stage.house.call.pool().reserves
        supplied = stage.house.call.pool().supplied
        return ceil_div(wad(dollars) * expected, supplied - expected)

    def test_goes_to_the_reserves(self, flagged: Stage) -> None:
        stage, lender = flagged, flagged.lender
        charge, pool = self.charge(stage, 1_000), stage.house.call.pool()
        assert charge > 0
        receipt = stage.withdraw_cash(lender, 1_000)
        owner = stage.actor("lender").address
        charged = {"account": lender, "owner": owner, "charge": charge}
        paid = {"asset": CASH, "to": owner, "amount": 1_000 * 10**6}
        assert happened(receipt)[:2] == [
            emitted(stage.house, "ProvisionCharged", **charged),
            emitted(stage.house, "Withdrawn", account=lender, owner=owner, **paid),
        ]
        assert stage.cash(lender) == wad(LENT - 1_000) - charge
        assert stage.house.call.pool() == pool._replace(
            supplied=pool.supplied - wad(1_000) - charge,
            reserves=pool.reserves + charge,
            accruedAt=stage.now,
        )

    def test_is_paid_by_who_borrows_as_well(self, flagged: Stage) -> None:
        """Else whoever borrows here and repays from another account would leave free."""
        stage, account = flagged, flagged.deposit("desk", WETH, wad(10))
        charge = self.charge(stage, 1_000)
        stage.withdraw_cash(account, 1_000)
        assert stage.cash(account) == -wad(1_000) - charge

    def test_is_not_paid_while_the_reserves_cover_the_hole(self, flagged: Stage) -> None:
        flagged.add_reserves(HOLE - RESERVES)
        flagged.withdraw_cash(flagged.lender, 1_000)
        assert flagged.cash(flagged.lender) == wad(LENT - 1_000)

    def test_is_not_paid_for_a_transfer(self, flagged: Stage) -> None:
        other, lender = flagged.account("lender", 1), flagged.actor("lender")
        flagged.house.transfer(flagged.lender, other, CASH, wad(500), sender=lender)
        assert flagged.cash(flagged.lender) + flagged.cash(other) == wad(LENT)

    def test_leaves_a_thousandth_at_most(self) -> None:
        """A hole beyond everything: who withdraws leaves 999 for one."""
        stage = Stage(lent=10, backstop="backstop")
        stage.deposit("maker", WETH, wad(1_000))
        stage.fund("owner", 26_000)
        stage.trade("owner", "maker", {ETH: 100})
        leave_reserves(stage, 0)
        stage.report({ETH: wad(1_000)})
        stage.settle(stage.account("owner"), ETH)
        stage.start_auction(stage.account("owner"))
        supplied = stage.house.call.pool().supplied
        stage.withdraw(stage.lender, CASH, 1)
        expected = supplied * 999 // 1_000
        charge = ceil_div(CASH_SCALE * expected, supplied - expected)
        assert stage.cash(stage.lender) == wad(10) - CASH_SCALE - charge


class TestReserves:
    def test_are_not_redeemed_meanwhile(self, flagged: Stage) -> None:
        backstop = flagged.actor("backstop")
        with refuses(flagged, "ProvisionOpen", wad(HOLE)):
            flagged.house.payReserves(backstop, 1, sender=backstop)
        flagged.report({ETH: wad(1_950)})
        flagged.house.standStill(flagged.account("owner"))
        flagged.house.payReserves(backstop, 1, sender=backstop)

    def test_are_redeemed_when_it_is_a_thousandth_of_them(self, flagged: Stage) -> None:
        """To the unit: less than that is subtracted from shares and locks in nobody."""
        backstop, open_ = flagged.actor("backstop"), provision(flagged)
        missing = 1_000 * open_ - flagged.house.call.pool().reserves
        assert missing % CASH_SCALE == 0
        units = missing // CASH_SCALE
        flagged.give(flagged.actor("stranger"), CASH, units)
        flagged.house.addReserves(units - 1, sender=flagged.actor("stranger"))
        with refuses(flagged, "ProvisionOpen", open_):
            flagged.house.payReserves(backstop, 1, sender=backstop)
        flagged.house.addReserves(1, sender=flagged.actor("stranger"))
        flagged.house.payReserves(backstop, 1, sender=backstop)
        with refuses(flagged, "ProvisionOpen", open_):
            flagged.house.payReserves(backstop, 1, sender=backstop)


def test_several_add_up_and_leave_one_by_one(stage: Stage) -> None:
    stage.report({ETH: wad(2_000)})
    stage.fund("desk", 13_000)
    stage.add_reserves(50_000_000)
    stage.trade("desk", "maker", {ETH: 50})
    stage.report({ETH: wad(1_690)})
    both = [stage.account(who) for who in ("owner", "desk")]
    for account in both:
        stage.start_auction(account)
    amounts = [stage.house.call.provisionOf(account) for account in both]
    assert amounts == [ceil_div(-stage.margin(one).equity, MICRO) * MICRO for one in both]
    assert stage.house.call.provisions() == sum(amounts)
    stage.fund("desk", 100_000)
    stage.house.reset(both[1])
    assert stage.house.call.provisions() == amounts[0]


def test_sums_keep_to_their_place(stage: Stage) -> None:
    """Two holes that do not fit beside each other: the second notes what room is left."""
    most = (2**64 - 1) * MICRO
    first, second = stage.account("desk"), stage.account("bidder")
    for account in (first, second):
        leave_with_debt(stage, account, 10**13)
        stage.start_auction(account)
    assert stage.house.call.provisionOf(first) == wad(10**13)
    assert stage.house.call.provisionOf(second) == most - wad(10**13)
    assert stage.house.call.provisions() == most
    stage.house.writeOff(first)
    stage.house.flag(second)
    assert stage.house.call.provisions() == wad(10**13)

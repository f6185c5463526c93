"""An owner who can restart the clock of the auction is never liquidated at a discount.

One wei that makes the account healthy for a block, again and again; or, the other way round, a
short dip that leaves the clock at its end for the next one. So the clock goes on from where it was,
stands and runs back while the account is healthy, and ends only where the account is restored.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import BPS, WAD, ceil_div
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, Stage, wad

RUN, STAND = 300, 60


@pytest.fixture
def stage() -> Stage:
    """A long account that is flagged, and whose auction has run for five minutes."""
    stage = Stage()
    stage.fund("owner", 26_000)
    stage.fund("counterparty", 1_000_000)
    stage.fund("bidder", 1_000_000)
    stage.trade("owner", "counterparty", {ETH: 100})
    stage.move({ETH: 1_935})
    stage.start_auction(stage.account("owner"))
    stage.pass_time(RUN)
    return stage


def auction(stage: Stage) -> tuple[AuctionState, int, int]:
    """State, clock when it last changed, and depth now."""
    record, depth = stage.house.call.auction(stage.account("owner"))
    return AuctionState(record.state), record.elapsed, depth


def cure(stage: Stage) -> int:
    """The least deposit that makes the account healthy, in token units."""
    margin = stage.margin(stage.account("owner"))
    units = ceil_div(margin.maintenance_margin - margin.maintenance_equity, CASH_SCALE)
    stage.deposit("owner", CASH, units)
    return units


def test_a_cure_stands_the_clock_still_and_restarts_nothing(stage: Stage) -> None:
    account = stage.account("owner")
    assert auction(stage) == (AuctionState.RUNNING, 0, model.phi(RUN))
    cure(stage)
    margin = stage.margin(account)
    target = ceil_div(12_500 * margin.maintenance_margin, BPS)
    with stage.evm.reverts("NotRestored", account, margin.equity, target):
        stage.house.reset(account, sender=stage.actor("owner"))
    (standing,) = stage.house.standStill(account).events("AuctionStanding")
    assert standing.elapsed == RUN
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.house.flag(account)
    with stage.evm.reverts("NotInAuction", account, AuctionState.STANDING):
        stage.bid("bidder", account)


def test_the_clock_goes_on_where_it_was(stage: Stage) -> None:
    account = stage.account("owner")
    cure(stage)
    stage.house.standStill(account)
    stage.pass_time(STAND)
    assert auction(stage)[2] == model.phi(RUN - STAND)
    stage.move({ETH: 1_934})
    stage.look(account)
    assert auction(stage) == (AuctionState.RUNNING, RUN - STAND, model.phi(RUN - STAND))
    stage.pass_time(12)
    depth = model.phi(RUN - STAND + 12)
    margin = stage.margin(account)
    price = model.bid_price(margin, WAD // 100, depth)
    (taken,) = stage.bid("bidder", account, WAD // 100).events("SliceTaken")
    assert (taken.fraction, taken.price, taken.depth) == (WAD // 100, price, depth)


def test_a_cure_in_every_block_gains_nothing(stage: Stage) -> None:
    """Ten rounds of one second each: the clock has lost no more than it stood."""
    account = stage.account("owner")
    price = 1_935
    for _ in range(10):
        cure(stage)
        stage.house.standStill(account)
        price -= 1
        stage.move({ETH: price})
        stage.look(account)
        stage.pass_time(1)
    assert auction(stage)[2] == model.phi(RUN + 10)


def test_a_short_dip_leaves_no_deep_auction_behind(stage: Stage) -> None:
    """It runs back as long as it ran, and the account that falls next starts at the beginning."""
    account = stage.account("owner")
    cure(stage)
    stage.house.standStill(account)
    stage.pass_time(RUN)
    stage.move({ETH: 1_900})
    stage.look(account)
    assert auction(stage) == (AuctionState.RUNNING, 0, model.phi(0))


def test_only_a_restored_account_leaves_its_auction(stage: Stage) -> None:
    account = stage.account("owner")
    margin = stage.margin(account)
    target = ceil_div(12_500 * margin.maintenance_margin, BPS)
    units = ceil_div(target - margin.equity, CASH_SCALE)
    stage.deposit("owner", CASH, units - 1)
    equity = stage.margin(account).equity
    with stage.evm.reverts("NotRestored", account, equity, target):
        stage.house.reset(account)
    stage.deposit("owner", CASH, 1)
    (over,) = stage.house.reset(account, sender=stage.actor("stranger")).events("AuctionReset")
    assert over.account == account
    assert auction(stage) == (AuctionState.NONE, 0, 0)


def test_the_last_second_cure_of_one_unit_saves_the_account(stage: Stage) -> None:
    """At equality it is healthy: a bid in flight fails, and there is nothing to take."""
    account = stage.account("owner")
    margin = stage.margin(account)
    units = ceil_div(margin.maintenance_margin - margin.maintenance_equity, CASH_SCALE)
    stage.deposit("owner", CASH, units - 1)
    short = stage.margin(account)
    assert not short.is_healthy
    stage.give(stage.actor("friend"), CASH, 1)
    stage.house.deposit(account, CASH, 1, sender=stage.actor("friend"))
    cured = stage.margin(account)
    assert cured.maintenance_equity - short.maintenance_equity == CASH_SCALE
    with stage.evm.reverts(
        "AccountHealthy", account, cured.maintenance_equity, cured.maintenance_margin
    ):
        stage.bid("bidder", account)
    assert cured.equity < wad(26_000)

"""An account with eight underlyings, one of whose feeds is broken.

It neither liquidates the healthy account, nor stops its owner from reducing, nor stops the
liquidation of an account that is short even at the favourable end.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import WAD, PriceStatus
from tests.scenarios.stage import CASH, Listed, Stage, wad

EIGHT = range(1, 9)
BROKEN = 5
UNITS = 100


@pytest.fixture
def stage() -> Stage:
    """Long a hundred of each, at a hundred dollars: eighty thousand of exposure."""
    stage = Stage(underlyings={u: Listed(100) for u in EIGHT}, collateral={})
    stage.fund("owner", 11_000)
    stage.fund("maker", 1_000_000)
    stage.fund("bidder", 1_000_000)
    stage.trade("owner", "maker", dict.fromkeys(EIGHT, UNITS))
    return stage


def break_one(stage: Stage) -> None:
    stage.underlyings[BROKEN].feed.break_down()


def test_the_healthy_account_is_left_alone(stage: Stage) -> None:
    account = stage.account("owner")
    before = stage.margin(account)
    break_one(stage)
    margin = stage.margin(account)
    assert (margin.equity, margin.doubtful) == (before.equity, True)
    assert margin.maintenance_equity == before.equity + wad(UNITS * 100) // 10
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.house.flag(account)


@pytest.mark.parametrize("underlying", [BROKEN, 1])
def test_the_owner_reduces_any_leg(stage: Stage, underlying: int) -> None:
    account = stage.account("owner")
    break_one(stage)
    before = stage.margin(account)
    stage.trade("maker", "owner", {underlying: UNITS})
    after = stage.margin(account)
    assert after.equity == before.equity
    assert after.maintenance_margin < before.maintenance_margin
    assert len(stage.portfolio(account).positions) == 7


def test_the_owner_adds_to_a_good_leg_if_he_has_the_margin(stage: Stage) -> None:
    """The doubtful band counts against him, at its unfavourable end."""
    account = stage.fund("owner", 20_000)
    break_one(stage)
    stage.trade("owner", "maker", {1: 1})
    with stage.evm.reverts("PriceNotOk", model.perpetual(BROKEN), PriceStatus.INVALID):
        stage.trade("owner", "maker", {BROKEN: 1})
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)


def test_a_package_with_the_broken_leg_waits(stage: Stage) -> None:
    stage.fund("owner", 20_000)
    break_one(stage)
    with stage.evm.reverts("PriceNotOk", model.perpetual(BROKEN), PriceStatus.INVALID):
        stage.trade("owner", "maker", dict.fromkeys(EIGHT, 1))


def test_the_short_account_is_liquidated_all_the_same(stage: Stage) -> None:
    """Short even at the favourable end: its auction stands, and a positive price can be bid."""
    account = stage.account("owner")
    stage.move(dict.fromkeys(EIGHT, 94))
    break_one(stage)
    margin = stage.margin(account)
    assert margin.equity < margin.maintenance_equity < margin.maintenance_margin
    stage.start_auction(account)
    stage.pass_time(12)
    record, depth = stage.house.call.auction(account)
    assert (record.state, depth) == (AuctionState.HALTED, model.phi(0))
    price = model.bid_price(margin, WAD // 10, depth)
    assert price > 0
    held = stage.portfolio(account)
    margin = stage.margin(account)
    (taken,) = stage.bid("bidder", account, WAD // 10).events("SliceTaken")
    assert taken.price == model.bid_price(margin, WAD // 10, depth)
    left = stage.portfolio(account)
    for was, now in zip(held.positions, left.positions, strict=True):
        assert now.size == was.size - was.size // 10
    bought = stage.portfolio(stage.account("bidder"))
    assert len(bought.positions) == 8


def test_every_feed_broken_still_reverts_no_check(stage: Stage) -> None:
    account = stage.account("owner")
    for u in EIGHT:
        stage.underlyings[u].feed.break_down()
    margin = stage.margin(account)
    assert margin.doubtful
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.house.flag(account)
    stage.trade("maker", "owner", dict.fromkeys(EIGHT, UNITS))
    stage.withdraw_cash(account, 11_000)

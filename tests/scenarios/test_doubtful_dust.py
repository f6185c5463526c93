"""One unit of something doubtful makes an account unliquidatable.

Deposits are never blocked, so anybody may hold a wei whose price is broken. If that alone stood
the clock still and kept the waterfall shut, the wei would be an immunity; and whoever says "stand
still" again in every block would keep every bid out of it.
"""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ALT, ETH, WALT, Stage, wad


@pytest.fixture
def stage() -> Stage:
    """A hundred ether long, some ALT beside them, whose feed then breaks."""
    stage = Stage()
    stage.fund("bidder", 1_000_000)
    stage.fund("maker", 1_000_000)
    stage.fund("owner", 30_000)
    stage.trade("owner", "maker", {ETH: 100})
    return stage


def break_alt(stage: Stage, units: int) -> bytes:
    account = stage.deposit("owner", WALT, units)
    stage.underlyings[ALT].feed.break_down()
    stage.warp(60)
    stage.marks.pop(ALT)
    return account


def fall_to(stage: Stage, price: int) -> None:
    stage.report({ETH: wad(price)})
    stage.observe(ETH)


def test_a_wei_is_dust(stage: Stage) -> None:
    account = break_alt(stage, 1)
    fall_to(stage, 1_600)
    assert not stage.margin(account).doubtful
    assert stage.margin(account).equity < 0
    stage.start_auction(account)
    record, _ = stage.house.call.auction(account)
    assert record.state == AuctionState.RUNNING
    stage.pass_time(60)
    receipt = stage.bid("bidder", account)
    assert receipt.events("SliceTaken")[0].payout > 0


def test_more_than_dust_halts_the_clock(stage: Stage) -> None:
    account = break_alt(stage, 100 * WAD)
    fall_to(stage, 1_600)
    margin = stage.margin(account)
    assert margin.doubtful
    stage.start_auction(account)
    assert stage.house.call.auction(account)[0].state == AuctionState.HALTED
    stage.pass_time(60)
    with stage.evm.reverts("NoPayoutOnDoubtfulPrice", account):
        stage.bid("bidder", account)


def test_saying_it_again_ticks_nothing(stage: Stage) -> None:
    """The block of the last tick takes no bid; a clock that stands already is not ticked."""
    account = break_alt(stage, 100 * WAD)
    fall_to(stage, 1_790)
    margin = stage.margin(account)
    assert 0 < margin.maintenance_equity < margin.maintenance_margin
    assert margin.doubtful
    stage.start_auction(account)
    ticked = stage.house.call.auction(account)[0].tickedAt
    stage.pass_time(60)
    stage.house.standStill(account)
    with stage.evm.reverts("AuctionAlreadyRunning", account):
        stage.house.flag(account)
    assert stage.house.call.auction(account)[0].tickedAt == ticked
    receipt = stage.bid("bidder", account, WAD // 10)
    assert receipt.events("SliceTaken")[0].price > 0

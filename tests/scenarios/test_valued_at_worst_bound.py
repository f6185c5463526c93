"""A feed breaks. Who values its assets at the worst bound liquidates the healthy, and pays for it.

Maintenance and auctions take the favourable end of the band around the last good price; initial
margin takes the other. A payout waits until the price is good again; the owner may still reduce.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import BPS, WAD, PriceStatus
from tests.scenarios.stage import CASH, ETH, RANGE, Stage, wad

UNITS = 100


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("owner", 40_000)
    stage.fund("counterparty", 1_000_000)
    stage.fund("bidder", 10_000_000)
    stage.trade("owner", "counterparty", {ETH: UNITS})
    return stage


def break_feed(stage: Stage, seconds: int = 0) -> None:
    stage.underlyings[ETH].feed.break_down()
    stage.warp(seconds)


def at_the_worst_bound(stage: Stage, account: bytes) -> model.Margin:
    """Maintenance as it would be at the unfavourable end."""
    margin = stage.margin(account)
    favour = margin.maintenance_equity - margin.equity
    return replace(margin, maintenance_equity=margin.equity - favour)


def test_a_healthy_account_stays_whole(stage: Stage) -> None:
    account = stage.account("owner")
    break_feed(stage, 3_600)
    price = stage.engine.call.price(ETH)
    assert (price.index, price.status) == (wad(2_000), PriceStatus.INVALID)
    assert price.band == 2 * RANGE, "twice the range after an hour"
    margin = stage.margin(account)
    assert margin.maintenance_equity == wad(40_000) + UNITS * wad(2_000) * price.band // BPS
    assert not at_the_worst_bound(stage, account).is_healthy, "the exploit would take it"
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.house.flag(account)


def test_a_broken_feed_gives_no_credit(stage: Stage) -> None:
    account = stage.account("owner")
    break_feed(stage)
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)
    instrument = model.perpetual(ETH)
    with stage.evm.reverts("PriceNotOk", instrument, PriceStatus.INVALID):
        stage.trade("owner", "counterparty", {ETH: 1})


def test_the_owner_may_reduce_at_a_broken_price(stage: Stage) -> None:
    account = stage.account("owner")
    break_feed(stage)
    before = stage.margin(account)
    stage.trade("counterparty", "owner", {ETH: UNITS // 2})
    after = stage.margin(account)
    assert after.equity == before.equity
    assert after.maintenance_margin < before.maintenance_margin
    assert stage.position(account, ETH).size == UNITS // 2 * WAD


def test_nothing_is_paid_out_on_a_broken_price(stage: Stage) -> None:
    """The account is short even at the favourable end: it can be taken, but not for money."""
    account = stage.account("owner")
    stage.move({ETH: 1_300})
    break_feed(stage)
    margin = stage.margin(account)
    assert margin.maintenance_equity < 0
    stage.start_auction(account)
    record, _ = stage.house.call.auction(account)
    assert record.state == AuctionState.HALTED
    stage.warp(600)
    reserves = stage.house.call.pool().reserves
    with stage.evm.reverts("NoPayoutOnDoubtfulPrice", account):
        stage.bid("bidder", account)
    assert stage.house.call.pool().reserves == reserves


def test_the_payout_comes_when_the_price_is_good_again(stage: Stage) -> None:
    account = stage.account("owner")
    stage.move({ETH: 1_300})
    break_feed(stage)
    stage.start_auction(account)
    stage.underlyings[ETH].feed.mend()
    stage.report({ETH: wad(1_300)})
    stage.observe(ETH)
    stage.look(account)
    stage.pass_time(1)
    margin = stage.margin(account)
    price = model.bid_price(margin, WAD, model.phi(1))
    assert price < 0
    (taken,) = stage.bid("bidder", account).events("SliceTaken")
    assert (taken.price, taken.payout) == (price, -price)

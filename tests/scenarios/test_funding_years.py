"""Funding spikes, and years without a poke.

The index is linear in time between accepted rates: it is the same however often it is looked at,
and it overflows nothing. Funding follows the rate that governance set, never trades.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from plimsoll.risk.params import Kind, encode_funding
from tests.scenarios.stage import CASH, ETH, UNDERLYINGS, Stage, wad

YEAR = 365 * 24 * 3_600
MOST = wad(20)
"""One per cent of the price an hour: the bound of the registry."""


def build(rate: int) -> Stage:
    stage = Stage(underlyings={**UNDERLYINGS, ETH: replace(UNDERLYINGS[ETH], funding=rate)})
    stage.fund("long", 100_000_000)
    stage.fund("short", 100_000_000)
    stage.trade("long", "short", {ETH: 10})
    return stage


@pytest.mark.parametrize("rate", [MOST, -MOST, 1, -1, wad("0.013371337")])
@pytest.mark.parametrize("years", [1, 10, 75])
def test_years_without_a_poke(rate: int, years: int) -> None:
    stage = build(rate)
    long, short = stage.account("long"), stage.account("short")
    before = stage.margin(long).equity, stage.margin(short).equity
    stage.pass_time(years * YEAR)
    index = rate * years * YEAR // 3_600
    assert stage.engine.call.marketView(model.perpetual(ETH)).fundingIndex == index
    assert stage.margin(long).equity == before[0] - 10 * index
    assert stage.margin(short).equity == before[1] + 10 * index
    assert stage.settle(long, ETH).value == -10 * index
    assert stage.settle(short, ETH).value == 10 * index
    assert stage.house.call.pool().netQuote == 0


def test_the_index_does_not_depend_on_how_often_it_is_looked_at() -> None:
    """Trades, settlements and observations in between change nothing."""
    rate, seconds = wad("0.013371337"), 7_777
    quiet, busy = build(rate), build(rate)
    quiet.pass_time(10 * seconds)
    for _ in range(10):
        busy.pass_time(seconds)
        busy.observe(ETH)
        busy.settle(busy.account("long"), ETH)
        busy.trade("long", "short", {ETH: 1})
    perpetual = model.perpetual(ETH)
    index = rate * 10 * seconds // 3_600
    assert quiet.engine.call.marketView(perpetual).fundingIndex == index
    assert busy.engine.call.marketView(perpetual).fundingIndex == index
    assert busy.equity(busy.account("long"), busy.account("short")) == wad(200_000_000)


def test_prints_between_own_accounts_move_no_funding() -> None:
    stage = build(0)
    for price in (1_000, 3_000, 1_500):
        stage.trade("long", "short", {ETH: 1}, price=price)
        stage.pass_time(3_600)
    assert stage.engine.call.marketView(model.perpetual(ETH)).fundingIndex == 0


def test_a_spike_is_bounded_and_waits() -> None:
    stage = build(0)
    with stage.evm.reverts("ParameterOutOfBounds", Kind.FUNDING, ETH, 0, MOST + 1):
        stage.engine.submit(Kind.FUNDING, ETH, encode_funding(MOST + 1))
    with stage.evm.reverts("ParameterOutOfBounds", Kind.FUNDING, ETH, 0, MOST + 1):
        stage.engine.submit(Kind.FUNDING, ETH, encode_funding(-MOST - 1))
    ready = stage.now + 2 * 24 * 3_600
    stage.engine.submit(Kind.FUNDING, ETH, encode_funding(MOST))
    with stage.evm.reverts("TooEarly", Kind.FUNDING, ETH, ready):
        stage.engine.accept(Kind.FUNDING, ETH)


def test_a_new_rate_counts_from_when_it_is_accepted() -> None:
    stage = build(wad(1))
    stage.pass_time(3_600)
    stage.set_funding(ETH, -wad(2))
    stage.report(stage.marks)
    stage.pass_time(1_800)
    index = wad(49) - wad(1)
    assert stage.engine.call.marketView(model.perpetual(ETH)).fundingIndex == index
    stage.margin(stage.account("long"))


def test_funding_alone_can_end_an_account() -> None:
    """Long for a year at the bound: insolvent, flagged, taken, and the books balance."""
    stage = build(MOST)
    stage.fund("bidder", 10_000_000)
    account = stage.fund("fallen", 3_000)
    stage.trade("fallen", "short", {ETH: 10})
    stage.pass_time(30 * 3_600)
    margin = stage.margin(account)
    assert margin.equity == wad(3_000) - 10 * 30 * MOST
    stage.start_auction(account)
    stage.pass_time(600)
    margin = stage.margin(account)
    payout = -model.bid_price(margin, WAD, model.phi(600))
    (taken,) = stage.bid("bidder", account).events("SliceTaken")
    assert (taken.fraction, taken.payout) == (WAD, payout)
    everybody = [stage.account(name) for name in ("long", "short", "bidder", "fallen")]
    assert 0 <= stage.surplus(everybody) <= 3
    assert stage.portfolio(account).cash == 0
    with stage.evm.reverts("ZeroAmount"):
        stage.withdraw(account, CASH, 0)

"""Funding spikes, reporters that fall silent, and years without a poke.

Between reports the index is linear in time and then stands: it is the same however often it is
looked at, and it overflows nothing. Funding follows what reporters sign, never trades.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model, oracle
from plimsoll.risk.model import WAD
from plimsoll.risk.params import FundingParams, Kind
from tests.scenarios.stage import ALT, BTC, CASH, ETH, UNDERLYINGS, Stage, wad

HOUR = 3_600
YEAR = 365 * 24 * HOUR
VALIDITY = 2 * HOUR
MOST = wad(20)
"""One per cent of the price an hour: the bound of the registry."""


def build(rate: int) -> Stage:
    stage = Stage(underlyings={**UNDERLYINGS, ETH: replace(UNDERLYINGS[ETH], funding=rate)})
    stage.fund("long", 100_000_000)
    stage.fund("short", 100_000_000)
    stage.trade("long", "short", {ETH: 10})
    return stage


def index_of(stage: Stage, underlying: int = ETH) -> int:
    return int(stage.engine.call.marketView(model.perpetual(underlying)).fundingIndex)


@pytest.mark.parametrize("rate", [MOST, -MOST, 2_000, -2_000, wad("0.013371337")])
@pytest.mark.parametrize("years", [1, 10, 75])
def test_years_without_a_poke(rate: int, years: int) -> None:
    """Two hours of the last report, and then nothing."""
    stage = build(rate)
    long, short = stage.account("long"), stage.account("short")
    before = stage.margin(long).equity, stage.margin(short).equity
    stage.pass_time(years * YEAR)
    index = rate * 2
    assert index_of(stage) == index
    assert stage.engine.call.funding(ETH).rate == 0
    assert stage.margin(long).equity == before[0] - 10 * index
    assert stage.margin(short).equity == before[1] + 10 * index
    assert stage.settle(long, ETH).value == -10 * index
    assert stage.settle(short, ETH).value == 10 * index
    assert stage.house.call.pool().netQuote == 0


@pytest.mark.parametrize("rate", [MOST, -wad("0.013371337")])
def test_funding_ends_to_the_second(rate: int) -> None:
    stage = build(rate)
    stage.pass_time(VALIDITY - 1)
    assert stage.engine.call.funding(ETH).rate == rate
    assert index_of(stage) == rate * (VALIDITY - 1) // HOUR
    stage.pass_time(1)
    assert stage.engine.call.funding(ETH).rate == 0
    assert index_of(stage) == rate * 2
    stage.pass_time(1)
    assert index_of(stage) == rate * 2


def test_a_market_without_reports_pays_nothing() -> None:
    stage = build(0)
    long, short = stage.account("long"), stage.account("short")
    before = stage.margin(long).equity, stage.margin(short).equity
    stage.pass_time(YEAR)
    assert index_of(stage) == index_of(stage, BTC) == 0
    assert tuple(stage.engine.call.funding(BTC)) == (0, 0, 0, 0)
    assert (stage.margin(long).equity, stage.margin(short).equity) == before


def test_reports_that_wait_too_long_pay_nothing() -> None:
    """Signed in time, handed in late: refused, and the market goes on without funding."""
    stage = build(0)
    batch = stage.signed_reports(ETH, [wad("0.01")] * 2, stage.now)
    stage.pass_time(601)
    with stage.evm.reverts("ReportTooOld", 0, stage.now - 601):
        stage.engine.reportPremium(*batch)
    stage.pass_time(HOUR)
    assert index_of(stage) == 0


def test_a_market_without_a_cap_pays_nothing_whatever_is_reported() -> None:
    stage = Stage(underlyings={**UNDERLYINGS, ALT: replace(UNDERLYINGS[ALT], funding_cap=0)})
    stage.report_premium(ALT, wad("0.08"))
    stage.pass_time(HOUR)
    assert index_of(stage, ALT) == 0
    assert stage.engine.call.funding(ALT).observedAt == stage.now - HOUR


def test_the_index_does_not_depend_on_how_often_it_is_looked_at() -> None:
    """Trades, settlements and observations in between change nothing."""
    rate, seconds = wad("0.013371337"), 577
    quiet, busy = build(rate), build(rate)
    quiet.pass_time(10 * seconds)
    for _ in range(10):
        busy.pass_time(seconds)
        busy.observe(ETH)
        busy.settle(busy.account("long"), ETH)
        busy.trade("long", "short", {ETH: 1})
    index = rate * 10 * seconds // HOUR
    assert index_of(quiet) == index_of(busy) == index
    assert busy.equity(busy.account("long"), busy.account("short")) == wad(200_000_000)


PEOPLE = ("long", "short", "third")
pokes = st.lists(
    st.tuples(
        st.sampled_from(["settle", "trade", "observe", "look", "report", "nothing"]),
        st.sampled_from([1, 12, 601, 3_599, 7_200, 20_000]),
        st.integers(-(10**17), 10**17),
    ),
    max_size=8,
)


@given(pokes)
def test_funding_is_zero_sum_and_blind_to_pokes(steps: list[tuple[str, int, int]]) -> None:
    """Whoever pokes, and when: the index is the twin's, which knows of reports only; and settled
    funding leaves all accounts together with what they had, to the wei."""
    stage = three_traders()
    with stage.anchored():
        for what, wait, premium in steps:
            stage.pass_time(wait)
            who = PEOPLE[premium % 3]
            if what == "settle":
                stage.settle(stage.account(who), ETH)
            elif what == "trade":
                stage.trade(who, PEOPLE[premium % 3 - 1], {ETH: "0.3"})
            elif what == "observe":
                stage.observe(ETH)
            elif what == "look":
                stage.engine.market(model.perpetual(ETH))
            elif what == "report":
                stage.report_premium(ETH, premium)
            assert index_of(stage) == stage.underlyings[ETH].funding_at(stage.now)
        for who in PEOPLE:
            stage.settle(stage.account(who), ETH)
        cash = [stage.portfolio(stage.account(who)).cash for who in PEOPLE]
        quotes = [p.quote for who in PEOPLE for p in stage.portfolio(stage.account(who)).positions]
        index = index_of(stage)
        mark = stage.marks[ETH]
        assert sum(p.size for w in PEOPLE for p in stage.portfolio(stage.account(w)).positions) == 0
        assert quotes == [
            model.ceil_div(-p.size * (mark - index), WAD)
            for who in PEOPLE
            for p in stage.portfolio(stage.account(who)).positions
        ]
        assert sum(cash) + sum(quotes) == 3 * wad(1_000_000)


_TRADERS: list[Stage] = []


def three_traders() -> Stage:
    """Built once: each example undoes what it did."""
    if not _TRADERS:
        stage = Stage()
        for who in PEOPLE:
            stage.fund(who, 1_000_000)
        stage.trade("long", "short", {ETH: 10})
        stage.trade("third", "short", {ETH: "3.7"})
        _TRADERS.append(stage)
    return _TRADERS[0]


def test_prints_between_own_accounts_move_no_funding() -> None:
    stage = build(0)
    for price in (1_000, 3_000, 1_500):
        stage.trade("long", "short", {ETH: 1}, price=price)
        stage.pass_time(HOUR)
    assert index_of(stage) == 0


def test_a_spike_is_bounded() -> None:
    """The largest premium that reporters can sign costs the cap of its market, no more."""
    underlyings = {**UNDERLYINGS, BTC: replace(UNDERLYINGS[BTC], funding_cap=500)}
    stage = Stage(underlyings=underlyings)
    for sign in (1, -1):
        stage.report_premium(ETH, sign * wad("0.1"))
        stage.report_premium(BTC, sign * wad("0.1"))
        assert stage.engine.call.funding(ETH).rate == sign * MOST
        assert stage.engine.call.funding(BTC).rate == sign * wad(25)
        stage.pass_time(1)


def test_a_higher_cap_waits_and_a_lower_one_does_not() -> None:
    underlyings = {**UNDERLYINGS, ETH: replace(UNDERLYINGS[ETH], funding_cap=1_000)}
    stage = Stage(underlyings=underlyings)
    stage.engine.submit(Kind.FUNDING, ETH, FundingParams(2_000).word)
    ready = stage.now + 2 * 24 * HOUR
    with stage.evm.reverts("TooEarly", Kind.FUNDING, ETH, ready):
        stage.engine.accept(Kind.FUNDING, ETH)
    stage.report_premium(ETH, wad("0.08"))
    assert stage.engine.call.funding(ETH).rate == wad(2)
    stage.engine.submit(Kind.FUNDING, ETH, FundingParams(300).word)
    stage.underlyings[ETH].funding_cap = 300
    assert stage.engine.call.funding(ETH).rate == wad(2), "the rate in force stands"
    stage.pass_time(1)
    stage.report_premium(ETH, wad("0.08"))
    assert stage.engine.call.funding(ETH).rate == wad("0.6")


def test_a_new_rate_counts_from_when_it_is_reported() -> None:
    stage = build(wad(1))
    stage.pass_time(HOUR)
    stage.set_funding(ETH, -wad(2))
    stage.pass_time(1_800)
    assert index_of(stage) == wad(1) - wad(1)
    stage.pass_time(1_800)
    assert index_of(stage) == -wad(1)
    stage.margin(stage.account("long"))


def test_funding_alone_can_end_an_account() -> None:
    """Long for thirty hours at the bound: insolvent, flagged, taken, and the books balance."""
    stage = build(MOST)
    stage.fund("bidder", 10_000_000)
    account = stage.fund("fallen", 3_000)
    stage.trade("fallen", "short", {ETH: 10})
    for _ in range(30):
        stage.pass_time(HOUR)
        stage.set_funding(ETH, MOST)
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


def test_the_stage_asks_for_the_rates_it_means() -> None:
    """`premium_of` is exact where the price divides, and next to it elsewhere."""
    for rate, last in ((MOST, wad(2_000)), (-wad("2.5"), wad(50_000))):
        assert oracle.funding_rate(oracle.premium_of(rate, last), 10_000, last) == rate
    odd, last = -wad(7) // 3, wad(60_000) + 1
    found = oracle.funding_rate(oracle.premium_of(odd, last), 10_000, last)
    assert 0 <= found - odd <= last // WAD + 1

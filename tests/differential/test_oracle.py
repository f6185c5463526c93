"""Prices, yield rates, crowding and funding over time equal the integer twin: what is stored and
what is read, after any sequence of answers, failures, waits and observations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import oracle
from plimsoll.risk.model import WAD, Portfolio, Position, perpetual
from plimsoll.risk.oracle import HOUR, Gauge, Round, RoundRefused, Source, sample
from plimsoll.risk.params import AssetParams, Kind, SourceParams, UnderlyingParams
from tests.strategies import asset_params, magnitudes
from tests.world import Market, number, pack_portfolio

RISK = UnderlyingParams(range=610, window=120, band=20)
TOKEN = AssetParams(1_000, 5_000, 100, 400, 2_000)
FIRST = 2_000 * WAD
MAX_AGE = 3_600
DEVIATION = 150
waits = st.one_of(st.integers(0, 60), st.integers(0, 3 * MAX_AGE), st.integers(0, 10**6))


def near(value: int) -> st.SearchStrategy[int]:
    return st.one_of(
        st.just(value),
        st.integers(value * 98 // 100, value * 102 // 100),
        st.integers(value // 4, 4 * value),
    )


@dataclass(frozen=True)
class Look:
    """Time passes, sources answer or fail, and somebody may have them observed."""

    wait: int
    first: int | None
    second: int | None
    age: int
    observe: bool


looks = st.builds(
    Look,
    wait=waits,
    first=st.one_of(near(FIRST), st.just(0), st.none()),
    second=st.one_of(near(FIRST), st.just(0), st.none()),
    age=st.sampled_from([0, 0, 0, 1, MAX_AGE, MAX_AGE + 1]),
    observe=st.booleans(),
)


@pytest.fixture(scope="module")
def bare() -> Market:
    market = Market()
    market.list_underlying(1, RISK, FIRST, max_age=MAX_AGE, floor=60, ceiling=73)
    market.list_underlying(2, RISK, FIRST, max_age=MAX_AGE, second=DEVIATION)
    return market


def assert_price_equal(market: Market, u: int) -> None:
    told, price = market.engine.call.price(u), market.price(u)
    assert (told.index, told.stable, told.band, told.status) == (
        price.index,
        price.stable,
        price.band,
        price.status,
    )
    assert market.engine.call.observedAt(u) == market.underlyings[u].seen.time


@given(st.lists(looks, min_size=1, max_size=12), st.sampled_from([1, 2]))
def test_prices_over_time(bare: Market, steps: list[Look], u: int) -> None:
    """Every status is reached and left again; the stable price never jumps."""
    with bare.anchored():
        one = bare.underlyings[u]
        for step in steps:
            bare.warp(step.wait)
            pairs = [(one.feed, step.first)]
            if one.second_feed is not None:
                pairs.append((one.second_feed, step.second))
            for feed, answer in pairs:
                if answer is None:
                    feed.break_down()
                else:
                    feed.mend()
                    feed.set(answer, bare.now - step.age)
            assert_price_equal(bare, u)
            if step.observe:
                before = bare.price(u).stable
                bare.observe(u)
                assert bare.price(u).stable == before
                assert_price_equal(bare, u)


@given(st.integers(0, 5), st.integers(1, 12), waits)
def test_being_observed_more_often_changes_nothing(
    bare: Market, seed: int, times: int, wait: int
) -> None:
    """An interval is credited to the observation at its start, however often it is looked at."""
    with bare.anchored():
        bare.underlyings[1].feed.set(FIRST * (10 + seed) // 10, bare.now)
        bare.observe(1)
        bare.warp(min(wait, MAX_AGE))
        bare.underlyings[1].feed.set(FIRST, bare.now)
        for _ in range(times):
            bare.observe(1)
        seen, once = bare.underlyings[1].seen, bare.price(1).stable
        assert (seen.stable, seen.last) == (once, FIRST)
        assert_price_equal(bare, 1)


@dataclass(frozen=True)
class RateLook:
    wait: int
    redemption: int | None
    market: int | None
    age: int
    observe: bool


rate_looks = st.builds(
    RateLook,
    wait=st.one_of(st.integers(0, 7_200), st.integers(0, 10**6)),
    redemption=st.one_of(near(WAD), near(WAD), magnitudes(1, 2**70), st.just(0), st.none()),
    market=st.one_of(near(WAD), near(WAD), st.just(9 * WAD // 10), st.just(0), st.none()),
    age=st.sampled_from([0, 0, 0, 86_400, 86_401]),
    observe=st.booleans(),
)


@given(
    st.lists(rate_looks, min_size=1, max_size=15),
    st.sampled_from([0, 1_000, 5_000]),
    st.sampled_from([None, 0, 300, 4_095]),
)
def test_yield_rates_over_time(
    bare: Market, steps: list[RateLook], growth: int, bound: int | None
) -> None:
    """Redemption follows its source no faster than growth allows, and the market in the end."""
    with bare.anchored():
        rate = bare.evm.deploy("MockRate", WAD)
        bare.list_yield_asset(1, bare.new_token(18), 1, TOKEN, rate, growth=growth)
        if bound is not None:
            bare.set_rate_market(1, WAD, bound=bound)
        asset = bare.assets[1]
        for step in steps:
            bare.warp(step.wait)
            rate.setBroken(step.redemption is None)
            if step.redemption is not None:
                rate.setRate(step.redemption)
            if asset.rate_feed is not None:
                if step.market is None:
                    asset.rate_feed.break_down()
                else:
                    asset.rate_feed.mend()
                    asset.rate_feed.set(step.market, max(1, bare.now - step.age))
            if step.observe:
                bare.observe_rates(1)
            told, rates = bare.engine.call.collateralTerms(1), bare.rates(asset)
            assert rates is not None
            assert (told.rate, told.initialRate) == (rates.maintenance, rates.initial)
            assert told.doubtful == rates.doubtful


@given(
    asset_params(),
    st.lists(st.tuples(st.integers(0, 5_000), magnitudes(0, 10**24)), min_size=1, max_size=10),
)
def test_crowding_over_time(
    bare: Market, params: AssetParams, steps: list[tuple[int, int]]
) -> None:
    with bare.anchored():
        house = bare.evm.actor("house")
        bare.list_asset(2, bare.new_token(18), 1, params)
        bare.seal(house)
        for wait, total in steps:
            bare.warp(wait)
            bare.engine.noteTotal(2, total, sender=house)
            bare.note_total(2, total)
            assert bare.engine.call.collateralTerms(2).crowd == bare.assets[2].crowd


@given(
    st.lists(
        st.tuples(waits, st.integers(-(10**17), 10**17), st.integers(0, 600)),
        min_size=1,
        max_size=8,
    )
)
def test_funding_over_time(bare: Market, steps: list[tuple[int, int, int]]) -> None:
    """The index is linear in time for two hours after each report, whoever asks and when."""
    with bare.anchored():
        for wait, premium, age in steps:
            bare.warp(wait)
            bare.underlyings[2].feed.set(FIRST, bare.now)
            if bare.underlyings[2].funding.takes(bare.now - age):
                bare.report_premium(2, premium, age=age)
            bare.warp(wait // 3)
            held = Portfolio(0, (), (Position(perpetual(2), 1),))
            (row,) = bare.engine.call.breakdown(pack_portfolio(held))[3]
            funding = bare.underlyings[2].funding
            assert row.fundingIndex == funding.index_at(bare.now)
            assert tuple(bare.engine.call.funding(2)) == (
                funding.index_at(bare.now),
                funding.rate_at(bare.now),
                funding.observed_at,
                funding.time,
            )


# The volatility gauge

GAUGED = 3
PHASE = 1 << oracle.ROUND_BITS
BOUNDS = SourceParams(0, decimals=8, max_age=MAX_AGE, floor=60, ceiling=73)


@dataclass(frozen=True)
class Report:
    """A feed's next round, and how many rounds somebody then tries to hand in."""

    wait: int
    answer: int
    lost: bool
    begins_phase: bool
    reference: int | None
    tries: int


reports = st.builds(
    Report,
    wait=st.one_of(st.integers(1, 1_200), st.integers(1, 5 * HOUR)),
    answer=st.one_of(
        st.integers(2_000 * 98 * 10**6, 2_000 * 102 * 10**6),
        st.integers(1_000 * 10**8, 4_000 * 10**8),
        st.sampled_from([0, -1, 10**5, 10**13, 2**127 - 1, -(2**127)]),
    ),
    lost=st.integers(0, 19).map(lambda die: die == 0),
    begins_phase=st.integers(0, 9).map(lambda die: die == 0),
    reference=st.one_of(st.none(), st.none(), st.integers(1, 65_535)),
    tries=st.integers(0, 4),
)


class History:
    """A feed with rounds, what can be read of it, and the twin of what is stored."""

    def __init__(self, market: Market, reference: int) -> None:
        self.market = market
        self.reference = reference
        self.feed = market.evm.deploy("MockRounds", BOUNDS.decimals)
        self.rounds: dict[int, Round] = {}
        self.latest = PHASE
        self.seen = Gauge()
        self.report(2_000 * 10**8)
        source = replace(BOUNDS, address=number(self.feed))
        market.engine.setUp(Kind.SOURCE, GAUGED, source.word)
        self.refer(reference)

    def report(self, answer: int, *, begins_phase: bool = False, lost: bool = False) -> None:
        first = (self.latest // PHASE + 1) * PHASE + 1
        self.latest = first if begins_phase else self.latest + 1
        self.feed.set(self.latest, answer, self.market.now)
        if lost:
            self.feed.lose(self.latest)
        else:
            self.rounds[self.latest] = Round(answer, self.market.now)

    def refer(self, reference: int) -> None:
        self.reference = reference
        self.market.engine.setUp(Kind.VOLATILITY, GAUGED, reference)

    def after(self, *numbers: int) -> list[Gauge]:
        states = [self.seen]
        for one in numbers:
            terms = Source(BOUNDS.decimals, MAX_AGE, BOUNDS.floor, BOUNDS.ceiling)
            now = self.market.now
            states.append(sample(states[-1], self.rounds, one, terms, self.reference, now))
        return states[1:]

    def passing(self) -> list[int]:
        """Every round that the next hour could have for its sample."""
        return [one for one in self.rounds if self._passes(one)]

    def _passes(self, one: int) -> bool:
        try:
            self.after(one)
        except RoundRefused:
            return False
        return True

    def hand_in(self, numbers: list[int]) -> None:
        """The contract does what the twin says, refusals included."""
        engine = self.market.engine
        try:
            expected = self.after(*numbers)
        except RoundRefused as refusal:
            with self.market.evm.reverts(refusal.name, GAUGED, *refusal.values):
                engine.sampleVolatility(GAUGED, numbers)
            return
        events = engine.sampleVolatility(GAUGED, numbers).events("VolatilitySampled")
        assert [tuple(event) for event in events] == [
            (GAUGED, one.hour, one.price, one.variance, one.gauge) for one in expected
        ]
        self.seen = expected[-1]

    def assert_equal(self) -> None:
        seen, now = self.seen, self.market.now
        assert tuple(self.market.engine.call.volatility(GAUGED)) == (
            seen.price,
            seen.hour,
            seen.variance,
            seen.gauge,
            seen.maintenance(now),
        )


@given(st.lists(reports, min_size=1, max_size=25), st.integers(1, 65_535), st.data())
def test_gauges_over_time(
    bare: Market, steps: list[Report], reference: int, data: st.DataObject
) -> None:
    """Any history, handed in by anyone in any order: what passes is what the rule says, in every
    phase of the feed at most one round for an hour."""
    with bare.anchored():
        history = History(bare, reference)
        for step in steps:
            bare.warp(step.wait)
            history.report(step.answer, begins_phase=step.begins_phase, lost=step.lost)
            if step.reference is not None:
                history.refer(step.reference)
            history.assert_equal()
            for _ in range(step.tries):
                passing = history.passing()
                assert len({one // PHASE for one in passing}) == len(passing)
                strange = data.draw(st.integers(-1, 3))
                known = st.sampled_from([*history.rounds, history.latest + strange])
                choice = st.sampled_from(passing) if passing else known
                history.hand_in([data.draw(st.one_of(choice, choice, known))])
                history.assert_equal()


@given(st.lists(reports, min_size=3, max_size=40), st.integers(10, 20_000))
def test_hours_at_once_equal_hours_one_by_one(
    bare: Market, steps: list[Report], reference: int
) -> None:
    """A keeper that was away hands in all of them; the last of the batch may be refused."""
    with bare.anchored():
        history = History(bare, reference)
        history.hand_in([history.latest])
        for step in steps:
            bare.warp(step.wait)
            history.report(step.answer)
        start = history.seen
        numbers: list[int] = []
        while passing := history.passing():
            numbers.append(passing[0])
            history.seen = history.after(passing[0])[-1]
        one_by_one, history.seen = history.seen, start
        if numbers:
            history.hand_in([*numbers, history.latest])
            history.assert_equal()
            history.hand_in(numbers)
        assert history.seen == one_by_one
        history.assert_equal()

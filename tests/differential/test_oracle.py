"""Prices, yield rates, crowding and funding over time equal the integer twin: what is stored and
what is read, after any sequence of answers, failures, waits and observations.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk.model import WAD, Portfolio, Position, perpetual
from plimsoll.risk.params import AssetParams, UnderlyingParams
from tests.strategies import asset_params, magnitudes
from tests.world import Market, pack_portfolio

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

"""Parameter words: packing, ramps and steps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import params
from plimsoll.risk.params import (
    RAMP,
    AssetParams,
    Field,
    GlobalParams,
    Kind,
    MarketParams,
    ParameterError,
    RateKind,
    RateMarketParams,
    RateSourceParams,
    SecondSourceParams,
    SequencerParams,
    SourceKind,
    SourceParams,
    TokenParams,
    UnderlyingParams,
    Word,
)
from tests.strategies import asset_params, underlying_params

FEED = 0xFEED00000000000000000000000000000000FEED
RECORDS: list[Word] = [
    GlobalParams(),
    UnderlyingParams(range=610, window=120, closing=10, concentration=5, band=25),
    AssetParams(1_000_000, 5_000_000, 100, 300, 900, basis=50, cap=10**8, growth=10**6),
    MarketParams(taker_fee=500, maker_fee=100, open_interest_cap=10**7, closed=True),
    SourceParams(FEED, SourceKind.PYTH, decimals=18, max_age=60, floor=50, ceiling=90),
    SecondSourceParams(FEED, SourceKind.CHAINLINK, deviation=150),
    TokenParams(FEED, underlying=3, decimals=6),
    RateSourceParams(FEED, RateKind.ERC4626, asset_decimals=6, growth_cap=800),
    RateMarketParams(FEED, decimals=18, max_age=86_400, discount_bound=200),
    SequencerParams(FEED, grace=3_600),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.KIND.name)
def test_every_word_survives_a_round_trip(record: Word) -> None:
    assert type(record).from_word(record.word) == record


def test_layout_by_hand() -> None:
    """Lowest field first; a complement counts down from the top of its width."""
    assert UnderlyingParams(range=1, window=2, closing=3, concentration=4, band=5).word == (
        1 | 2 << 14 | 3 << 24 | 4 << 34 | 5 << 48
    )
    assert AssetParams(tier1=0, tier2=2**32 - 1).word == 2**32 - 1
    assert MarketParams(open_interest_cap=2**40 - 1, stress_jump=0).word == 0


@pytest.mark.parametrize(
    ("layout", "bits"),
    [
        (GlobalParams.LAYOUT, 140),
        (UnderlyingParams.LAYOUT, 58),
        (AssetParams.LAYOUT, 198),
        (MarketParams.LAYOUT, 83),
        (SourceParams.LAYOUT, 198),
        (SecondSourceParams.LAYOUT, 210),
    ],
)
def test_layouts_have_their_bits(layout: tuple[Field, ...], bits: int) -> None:
    assert sum(field.width for field in layout) == bits


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ParameterError, match="window = 1024 does not fit"):
        _ = UnderlyingParams(range=1, window=1_024).word
    with pytest.raises(ParameterError, match="bits beyond the layout"):
        UnderlyingParams.from_word(1 << 58)


@given(underlying_params(), underlying_params(), st.integers(0, RAMP))
def test_ramp_stays_between_its_ends(
    start: UnderlyingParams, target: UnderlyingParams, elapsed: int
) -> None:
    word = params.interpolate(Kind.UNDERLYING, start.word, target.word, elapsed)
    now = UnderlyingParams.from_word(word)
    for name in ("range", "window", "closing", "concentration", "band"):
        low, high = sorted((getattr(start, name), getattr(target, name)))
        assert low <= getattr(now, name) <= high
    if elapsed in (0, RAMP):
        assert now == (target if elapsed else start)


@given(asset_params(), asset_params(), st.integers(0, RAMP))
def test_ramp_keeps_tiers_and_haircuts_in_order(
    start: AssetParams, target: AssetParams, elapsed: int
) -> None:
    word = params.interpolate(Kind.ASSET, start.word, target.word, elapsed)
    now = AssetParams.from_word(word)
    assert now.tier1 <= now.tier2
    assert now.haircut1 <= now.haircut2 <= now.haircut3


@given(asset_params(), asset_params())
def test_tightening_ramps_upwards_only(start: AssetParams, other: AssetParams) -> None:
    target = AssetParams(
        tier1=min(start.tier1, other.tier1),
        tier2=min(start.tier2, other.tier2),
        haircut1=max(start.haircut1, other.haircut1),
        haircut2=max(start.haircut2, other.haircut2),
        haircut3=max(start.haircut3, other.haircut3),
        basis=max(start.basis, other.basis),
    )
    assert params.only_tightens(Kind.ASSET, start.word, target.word)
    words = [
        params.interpolate(Kind.ASSET, start.word, target.word, t)
        for t in (0, 1, RAMP // 2, RAMP - 1, RAMP)
    ]
    assert all(params.only_tightens(Kind.ASSET, a, b) for a, b in pairwise(words))


UNDERLYING = UnderlyingParams(range=600, window=120, closing=10, concentration=100, band=25)
ASSET = AssetParams(1_000, 2_000, 100, 200, 300, basis=50, cap=10_000, growth=1_000)


@pytest.mark.parametrize(
    ("record", "at_once"),
    [
        (replace(UNDERLYING, closing=11), True),
        (replace(UNDERLYING, closing=9), False),
        (replace(UNDERLYING, range=601), False),
        (replace(UNDERLYING, window=121), False),
        (UNDERLYING, True),
    ],
)
def test_range_and_window_wait_both_ways(record: UnderlyingParams, at_once: bool) -> None:
    assert params.only_tightens(Kind.UNDERLYING, UNDERLYING.word, record.word) is at_once


MARKET = MarketParams(500, 200, 1_000_000, 5_000)


@pytest.mark.parametrize(
    ("record", "at_once"),
    [
        (replace(MARKET, taker_fee=501), False),
        (replace(MARKET, maker_fee=201), False),
        (replace(MARKET, maker_fee=199), False),
        (replace(MARKET, open_interest_cap=999_999), True),
        (replace(MARKET, stress_jump=5_001, closed=True), True),
        (replace(MARKET, stress_jump=4_999), False),
    ],
)
def test_fees_wait_both_ways(record: MarketParams, at_once: bool) -> None:
    assert params.only_tightens(Kind.MARKET, MARKET.word, record.word) is at_once


@pytest.mark.parametrize(
    ("record", "allowed"),
    [
        (replace(ASSET, haircut3=240), True),
        (replace(ASSET, haircut3=239), False),
        (replace(ASSET, cap=20_000 + (1 << 20)), False),
        (replace(ASSET, cap=1 << 20), True),
        (replace(ASSET, tier1=2_000), True),
        (replace(ASSET, haircut3=9_999), True),
    ],
)
def test_loosening_moves_by_one_step(record: AssetParams, allowed: bool) -> None:
    """A fifth of a charge, twice a limit; a limit of next to nothing may rise to its root."""
    assert params.is_one_step(Kind.ASSET, ASSET.word, record.word) is allowed

"""Hypothesis strategies for books of options and futures: docs/options.md.

Books are drawn as people build them (spreads, boxes, calendars, hedges) and leg by leg; worlds
either as a market could show them or at the bounds of every field. Moments lie years before the
expiry, around each sample of its fixing, and after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from plimsoll.risk import instruments
from plimsoll.risk.grid import BPS, WAD
from plimsoll.risk.instruments import Instrument, Kind, expiry_of
from plimsoll.risk.model import (
    MAX_SIZE,
    ExpiryState,
    Inputs,
    OptionTerms,
    Portfolio,
    Position,
    Price,
    PriceStatus,
    UnderlyingState,
    UnderlyingTerms,
    perpetual,
)
from plimsoll.risk.options import FIXING, SAMPLES
from plimsoll.risk.svi import NANO, Slice
from tests.strategies import magnitudes, prices, stable_prices, underlying_params

FIRST_DAY = 450
EXPIRIES = (0, 1, 7, 14, 30, 91, 182, 365)
"""Days from the first expiry to each."""


def option_terms() -> st.SearchStrategy[OptionTerms]:
    return st.builds(
        OptionTerms,
        vol_shift=st.integers(100, 8_000),
        term_forward=st.integers(0, 4_095),
        term_vol=st.integers(0, 10_000),
        closing=st.integers(0, 1_023),
        digits=st.integers(1, 6),
        horizon=st.integers(1, 1_095),
        dailies=st.integers(0, 31),
    )


def smiles(day: int) -> st.SearchStrategy[Slice]:
    """Slices as a market shows them."""
    return st.builds(
        lambda at, b, rho, m, sigma, forward: Slice(day, forward, at, b, rho, m, sigma),
        at=st.integers(NANO // 100, NANO),
        b=st.integers(0, NANO // 2),
        rho=st.integers(-700_000, 300_000),
        m=st.integers(-200_000, 200_000),
        sigma=st.integers(50_000, 800_000),
        forward=st.integers(NANO * 95 // 100, NANO * 11 // 10),
    )


def any_slices(day: int) -> st.SearchStrategy[Slice]:
    """At and between the bounds of every field."""
    most_a = 25 * NANO
    return st.builds(
        Slice,
        st.just(day),
        forward=st.sampled_from([NANO // 2, NANO, 2 * NANO]) | st.integers(NANO // 2, 2 * NANO),
        a=st.sampled_from([-most_a, 0, most_a]) | st.integers(-most_a, most_a),
        b=st.sampled_from([0, 2**44 - 1]) | magnitudes(0, 2**44 - 1),
        rho=st.sampled_from([-999_000, 0, 999_000]) | st.integers(-999_000, 999_000),
        m=st.sampled_from([-4 * 10**6, 0, 4 * 10**6]) | st.integers(-4 * 10**6, 4 * 10**6),
        sigma=st.sampled_from([1_000, 4 * 10**6]) | st.integers(1_000, 4 * 10**6),
    )


def moments(day: int = FIRST_DAY) -> st.SearchStrategy[int]:
    """Seconds around an expiry: long before it, at its samples, and after it."""
    expiry = expiry_of(day)
    around = [expiry - FIXING + 300 * j + d for j in range(8) for d in (-1, 0, 1)]
    return st.one_of(
        st.integers(expiry - 300 * 86_400, expiry - FIXING),
        st.integers(expiry - 2 * 86_400, expiry),
        st.sampled_from(around),
        st.integers(expiry, expiry + 10 * 86_400),
    )


@st.composite
def expiry_states(
    draw: st.DrawFn,
    day: int,
    price: int,
    now: int,
    shape: Callable[[int], st.SearchStrategy[Slice]],
) -> ExpiryState:
    """As much of it as can be known at that time, the slice of any age."""
    expiry = expiry_of(day)
    ages = st.one_of(
        st.integers(0, 7_199),
        st.sampled_from([0, 7_199, 7_200, 93_599, 93_600]),
        st.integers(0, 3 * 86_400),
    )
    observed = min(now, expiry - 1) - draw(ages)
    taken = max(0, min(SAMPLES, (now - expiry + FIXING) // 300 + 1))
    count = draw(st.just(taken) | st.integers(0, taken))
    near = st.integers(max(1, price * 9 // 10), price * 11 // 10 + 1)
    total = sum(draw(near) for _ in range(count))
    return ExpiryState(draw(shape(day)), observed, count, total)


@st.composite
def market_states(draw: st.DrawFn) -> UnderlyingState:
    """An underlying as a market could show it."""
    price = draw(st.integers(WAD // 100, 10**5 * WAD))
    reach = draw(st.integers(200, 2_000))
    terms = UnderlyingTerms(
        reach, draw(st.integers(250, 1_000)), draw(st.integers(0, 50)), 0, draw(st.integers(0, 100))
    )
    return UnderlyingState(
        Price(price, price, terms.band),
        terms,
        terms,
        initial_gauge=draw(st.integers(10_000, 15_000)),
        maintenance_gauge=draw(st.integers(8_000, 12_000)),
        options=draw(option_terms()),
    )


@st.composite
def extreme_states(draw: st.DrawFn) -> UnderlyingState:
    """At the bounds of every parameter, price and gauge."""
    price, params = draw(prices()), draw(underlying_params())
    status = draw(st.sampled_from([PriceStatus.OK, PriceStatus.OK, PriceStatus.STALE]))
    band = params.band if status == PriceStatus.OK else draw(st.integers(0, 7_500))
    gauges = st.sampled_from([6_000, 10_000, 40_000]) | st.integers(6_000, 40_000)
    return UnderlyingState(
        Price(price, draw(stable_prices(price)), band, status),
        params.terms(),
        draw(underlying_params()).terms(),
        initial_gauge=draw(gauges),
        maintenance_gauge=draw(gauges),
        options=draw(option_terms()),
    )


@st.composite
def option_worlds(
    draw: st.DrawFn,
    *,
    underlyings: int = 3,
    extreme: bool = False,
    now: st.SearchStrategy[int] | None = None,
) -> Inputs:
    """Underlyings with eight expiries each."""
    at = draw(now or moments())
    states = {
        u: draw(extreme_states() if extreme else market_states())
        for u in range(1, draw(st.integers(1, underlyings)) + 1)
    }
    shape = any_slices if extreme else smiles
    expiries = {
        (u, FIRST_DAY + days): draw(expiry_states(FIRST_DAY + days, state.price.index, at, shape))
        for u, state in states.items()
        for days in EXPIRIES
    }
    return Inputs(states, {}, expiries=expiries, now=at)


def calm(inputs: Inputs) -> Inputs:
    """The same a month before the first expiry, nothing fixed and every slice fresh."""
    at = expiry_of(FIRST_DAY) - 30 * 86_400
    expiries = {
        key: replace(one, observed_at=at - 60, samples=0, sum=0)
        for key, one in inputs.expiries.items()
    }
    return replace(inputs, expiries=expiries, now=at)


# Strikes and sizes


def strike_near(price: int, share: int) -> int:
    """A strike of four digits at `share` bps of a price."""
    target = max(10**8, min(10**29, price * share // BPS))
    scale = 10 ** min(23, max(8, len(str(target)) - 4))
    return max(1, target // scale) * scale


def strikes(price: int) -> st.SearchStrategy[int]:
    return st.builds(
        strike_near,
        st.just(price),
        st.integers(8_000, 12_000) | st.integers(2_500, 40_000) | st.integers(500, 200_000),
    )


@st.composite
def strike_pairs(draw: st.DrawFn, price: int) -> tuple[int, int]:
    """Two strikes, the lower one first."""
    low, high = sorted((draw(strikes(price)), draw(strikes(price))))
    return (low, high) if low < high else (low, 2 * low)


def lots() -> st.SearchStrategy[int]:
    return magnitudes(WAD // 1_000, 10**4 * WAD)


def any_lots() -> st.SearchStrategy[int]:
    return st.one_of(lots(), magnitudes(1, MAX_SIZE), st.sampled_from([1, MAX_SIZE]))


# Books

Legs = list[tuple[int, int]]
"""Instruments and sizes."""


def _leg(u: int, day: int, strike: int, size: int, *, put: bool) -> tuple[int, int]:
    return instruments.option(u, day, strike, put=put), size


def vertical(u: int, day: int, low: int, high: int, size: int, *, put: bool) -> Legs:
    """Bought where it costs more: a debit of at most the width."""
    near, far = (high, low) if put else (low, high)
    return [_leg(u, day, near, size, put=put), _leg(u, day, far, -size, put=put)]


def box(u: int, day: int, low: int, high: int, size: int) -> Legs:
    return vertical(u, day, low, high, size, put=False) + vertical(
        u, day, low, high, size, put=True
    )


def conversion(u: int, day: int, strike: int, size: int) -> Legs:
    """Long the future, long the put, short the call: worth the strike at any price."""
    return [
        (instruments.future(u, day), size),
        _leg(u, day, strike, size, put=True),
        _leg(u, day, strike, -size, put=False),
    ]


@st.composite
def strategies(draw: st.DrawFn, u: int, price: int, size: int, days: Sequence[int]) -> Legs:
    """One of the books that people build, in one or two of those expiries."""
    day, later = sorted(draw(st.sets(st.sampled_from(days), min_size=2, max_size=2)))
    low, middle, high = sorted(draw(st.tuples(*3 * [strikes(price)])))
    put, other = draw(st.booleans()), draw(st.booleans())
    leg, at = _leg, (u, day)
    return draw(
        st.sampled_from(
            [
                [leg(*at, low, size, put=put)],
                vertical(*at, low, high, size, put=put),
                [
                    leg(*at, low, size, put=put),
                    leg(*at, middle, -2 * size, put=put),
                    leg(*at, high, size, put=put),
                ],
                [leg(*at, middle, -size, put=put), leg(u, later, middle, size, put=put)],
                box(*at, low, high, size),
                conversion(*at, middle, size),
                [leg(*at, middle, size, put=True), leg(*at, middle, size, put=False)],
                [leg(*at, low, -size, put=True), leg(*at, high, -size, put=False)],
                [(perpetual(u), size), leg(*at, high, -size, put=False)],
                [leg(*at, low, size, put=put), leg(*at, high, -3 * size, put=put)],
                [(instruments.future(u, day), size), (instruments.future(u, later), -size)],
                [leg(*at, low, size, put=put), leg(*at, high, -size, put=other)],
            ]
        )
    )


def merged(legs: Sequence[tuple[int, int]]) -> tuple[Position, ...]:
    """One position per instrument, none of size zero."""
    sizes: dict[int, int] = {}
    for instrument, size in legs:
        sizes[instrument] = sizes.get(instrument, 0) + size
    return tuple(
        Position(i, max(-MAX_SIZE, min(MAX_SIZE, size))) for i, size in sizes.items() if size
    )


@st.composite
def option_books(
    draw: st.DrawFn, inputs: Inputs, *, extreme: bool = False, most: int = 4
) -> Portfolio:
    """A few strategies over the underlyings of a world, with perpetuals beside them."""
    legs: Legs = []
    sizes = any_lots() if extreme else lots()
    for _ in range(draw(st.integers(1, most))):
        u = draw(st.sampled_from(sorted(inputs.underlyings)))
        size = draw(sizes) * draw(st.sampled_from([1, -1]))
        days = sorted(day for owner, day in inputs.expiries if owner == u)
        legs += draw(strategies(u, inputs.underlyings[u].price.index, size, days))
        if draw(st.integers(0, 3)) == 0:
            legs.append((perpetual(u), draw(sizes) * draw(st.sampled_from([1, -1]))))
    return Portfolio(0, (), merged(legs))


def long_options(portfolio: Portfolio) -> Portfolio:
    """Its options, all bought, without the rest."""
    bought = [
        Position(p.instrument, abs(p.size))
        for p in portfolio.positions
        if Instrument.decode(p.instrument).kind == Kind.OPTION
    ]
    return Portfolio(0, (), tuple(bought))

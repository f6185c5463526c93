"""The library that prices options equals its twin to the bit, wherever its arguments lie."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import black76
from plimsoll.risk.normal_table import TABLE
from tests.evm import Contract, Evm

WAD = 10**18
STEP = 1 << black76.STEP_BITS
EDGE = black76.EDGE * black76.DISTANCE_ONE
STATES = (-9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9)
LEAST = black76.LEAST_DEVIATION


@pytest.fixture(scope="module")
def pricing() -> Contract:
    evm = Evm()
    return evm.deploy("Pricing", evm.deploy("NormalTable").address)


def near(value: int) -> st.SearchStrategy[int]:
    """One wei off, a little, much."""
    return st.one_of(
        st.integers(max(0, value - 1), value + 1),
        st.integers(value * 9 // 10, value * 11 // 10),
        st.integers(value // 20, value * 20),
    )


@st.composite
def magnitudes(draw: st.DrawFn, bits: int) -> int:
    return draw(st.integers(0, (1 << draw(st.integers(0, bits))) - 1))


deviations = st.one_of(
    st.sampled_from([0, 1, LEAST - 1, LEAST, LEAST + 1, WAD, 18 * WAD]),
    st.integers(WAD // 100, 3 * WAD),
    magnitudes(67),
)
sizes = st.one_of(st.just(0), st.integers(-(2**103), 2**103 - 1), st.integers(-5 * WAD, 5 * WAD))


@st.composite
def strikes(draw: st.DrawFn) -> tuple[int, int]:
    """A forward and a strike; none has no logarithm."""
    forward = draw(st.one_of(st.just(0), magnitudes(97), st.integers(WAD, 10**5 * WAD)))
    strike = draw(st.one_of(magnitudes(94), near(min(forward, 2**89))))
    return forward, max(1, strike)


@st.composite
def calls(draw: st.DrawFn) -> tuple[int, int, int, int]:
    forward, strike = draw(strikes())
    exact = black76.ln_wad(max(1, forward * WAD // strike))
    y = draw(st.one_of(st.just(exact), st.just(0), st.integers(-(2**67), 2**67)))
    return forward, strike, y, draw(deviations)


def test_the_normal_distribution_at_both_ends_of_every_step(pricing: Contract) -> None:
    corners = [-(2**255), -EDGE - 1, EDGE, EDGE + 1, 2**255 - 1]
    for i in range(len(TABLE)):
        start = i * STEP - EDGE
        corners += [start, start + 1, start + STEP // 3, start + STEP - 1]
    for first in range(0, len(corners), 400):
        some = corners[first : first + 400]
        below, alone, density = pricing.call.normal(some)
        cut = black76.FINE_BITS - black76.ONE_BITS
        assert [one >> cut for one in below] == [black76.cdf(d) for d in some]
        assert below == alone
        assert list(density) == [black76.density(d) for d in some]


@given(st.lists(calls(), min_size=1, max_size=20))
def test_one_price(pricing: Contract, some: list[tuple[int, int, int, int]]) -> None:
    assert [tuple(one) for one in pricing.call.prices(some)] == [black76.call(*c) for c in some]
    densities = [black76.density(black76.d1(y, sd)) if sd >= LEAST else 0 for _, _, y, sd in some]
    assert list(pricing.call.densities(some)) == densities


@st.composite
def grids(draw: st.DrawFn) -> tuple[int, int, list[int], int, int, int]:
    forward, strike = draw(strikes())
    forward = min(forward, 2**95)
    sds = draw(st.one_of(st.lists(deviations, min_size=3, max_size=3), deviations.map(around)))
    least, middle, greatest = sorted(sds)
    sds = [middle, greatest, least]
    reach = draw(st.one_of(st.integers(100, 2_000), st.integers(0, 9_000)))
    stable = draw(st.one_of(st.just(WAD), st.integers(WAD // 2, 2 * WAD), st.just(0)))
    return forward, strike, sds, reach, stable, draw(sizes)


def around(sd: int) -> list[int]:
    return [sd, sd * 13 // 10, sd * 3 // 4]


@given(grids(), st.integers(0, 2**200))
def test_all_states_of_a_strike(
    pricing: Contract, grid: tuple[int, int, list[int], int, int, int], before: int
) -> None:
    forward, strike, sds, reach, stable, size = grid
    y = black76.ln_wad(max(1, forward * WAD // strike))
    shocks = [max(0, 30_000 + reach * z) for z in STATES]
    moved = [(forward * f // 30_000, black76.ln_wad(max(1, f * WAD // 30_000))) for f in shocks]
    moved.append((forward * stable // WAD, black76.ln_wad(max(1, stable))))
    assert all(a[1] <= b[1] for a, b in pairwise(moved[:-1]))
    sums = [before + n for n in range(34)]
    words = [size, strike, y, *sds, 0, 0, 0, 0]
    told, added, _ = pricing.call.states(
        [one % 2**256 for one in words], [one % 2**256 for pair in moved for one in pair], sums
    )
    here = [black76.call(forward, strike, y, sd) for sd in sds]
    assert list(told[6:]) == [here[0][0], here[1][0], here[2][0], here[0][1]]
    assert list(told[:6]) == [one % 2**256 for one in words[:6]]
    for number, total in enumerate(added):
        (f, g), sd = moved[number // 3], sds[number % 3]
        grown = size * black76.call(f, strike, y + g, sd)[0]
        assert total == (sums[number] + grown) % 2**256, number


def test_a_price_costs_what_the_specification_of_gas_allows(pricing: Contract) -> None:
    """Nothing here is read from storage, so that this EVM counts as a chain does."""
    forward, strike = 2_000 * WAD, 2_200 * WAD
    y = black76.ln_wad(forward * WAD // strike)
    pairs = [
        (forward * (30_000 + 800 * z) // 30_000, black76.ln_wad((30_000 + 800 * z) * WAD // 30_000))
        for z in STATES
    ]
    words = [-WAD % 2**256, strike, y % 2**256, *around(3 * WAD // 10), 0, 0, 0, 0]
    flat = [one % 2**256 for pair in [*pairs, pairs[5]] for one in pair]
    *_, gas = pricing.call.states(words, flat, [0] * 34)
    assert gas < 33 * 480


@given(st.one_of(magnitudes(255), st.integers(WAD // 20, 20 * WAD)))
def test_logarithms_and_roots(pricing: Contract, x: int) -> None:
    if x:
        assert pricing.call.logarithm(x) == black76.ln_wad(x)
    assert pricing.call.cubeRoot(x) == black76.icbrt(x)
    assert pricing.call.cubeRoot(x // 2**3 * 8) == black76.icbrt(x // 2**3 * 8)
    assert pricing.call.squareRoot(x) == black76.isqrt(x)

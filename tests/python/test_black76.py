"""Prices from the table against exact ones: mpmath's over the whole domain, and QuantLib's.

The domain: forwards of a millionth to a billion dollars, strikes from a twentieth to twenty times
the forward, volatilities of 1 % to 500 %, a minute to three years.
"""

from __future__ import annotations

import random
from itertools import pairwise
from math import exp, isqrt, log, sqrt

import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st
from mpmath import log as exact_log
from mpmath import mp, mpf, ncdf, npdf

from plimsoll.risk import black76
from plimsoll.risk.normal_table import TABLE
from scripts import normal_table

WAD = 10**18
YEAR = 365.0
MINUTE = 1 / 60 / 24 / YEAR
PRICE_ERROR = 1e-9
DELTA_ERROR = 1e-10
DENSITY_ERROR = 1e-7
WAVER = 1e-11
"""Of the forward: what a price may fall where it should rise."""
STEP = 1 << black76.STEP_BITS
EDGE = black76.EDGE * black76.DISTANCE_ONE


def between(low: float, high: float) -> st.SearchStrategy[float]:
    """As often in one order of magnitude as in another."""
    return st.floats(log(low), log(high), width=64).map(exp)


forwards = between(1e-6, 1e9).map(lambda f: int(f * WAD))
ratios = st.one_of(between(0.05, 20), between(0.9, 1.1), st.just(1.0))
deviations = st.builds(
    lambda volatility, years: int(volatility * sqrt(years) * WAD),
    between(0.01, 5),
    between(MINUTE, 3),
)


def price(forward: int, strike: int, sd: int) -> int:
    return black76.call(forward, strike, black76.ln_wad(max(1, forward * WAD // strike)), sd)[0]


def drawn(count: int, seed: int) -> list[tuple[int, int, int]]:
    """Forwards, strikes and deviations of the domain; half of the strikes near the forward."""
    rng = random.Random(seed)
    found = []
    for n in range(count):
        forward = int(10 ** rng.uniform(-6, 9) * WAD)
        spread = log(20) if n % 2 else 0.1
        strike = int(forward * exp(rng.uniform(-spread, spread)))
        years = exp(rng.uniform(log(MINUTE), log(3)))
        volatility = exp(rng.uniform(log(0.01), log(5)))
        found.append((forward, strike, int(volatility * sqrt(years) * WAD)))
    return found


def test_everything_committed_is_what_the_script_computes() -> None:
    for path, text in normal_table.files().items():
        assert path.read_text() == text, path.name


def test_the_table_rises_from_nothing_to_one_without_a_leap() -> None:
    top = 1 << black76.FINE_BITS
    unit = 1 << 108
    assert 0 <= TABLE[0] < unit
    for entry, following in zip(TABLE, [*TABLE[1:], top - unit], strict=True):
        # A word has zeros where the kernel's mask has none.
        assert entry < top
        assert entry >> 32 & 0xF == 0
        assert abs(normal_table.value(entry, STEP) - following) < unit // 8
        values = [normal_table.value(entry, STEP * k // 16) for k in range(17)]
        assert values == sorted(values)
        assert values[-1] <= top


def test_the_distribution_is_exact_to_seven_parts_in_a_hundred_thousand_million() -> None:
    with mp.workdps(30):
        for i in range(len(TABLE)):
            for k in range(0, 16, 3):
                distance = i * STEP - EDGE + k * STEP // 16
                x = mpf(distance) / black76.DISTANCE_ONE
                assert abs(mpf(black76.cdf(distance)) / black76.ONE - ncdf(x)) < 7.2e-11
                assert abs(mpf(black76.density(distance)) / black76.ONE - npdf(x)) < DENSITY_ERROR


def test_beyond_the_table() -> None:
    assert black76.cdf(-EDGE - 1) == black76.density(-EDGE - 1) == black76.density(EDGE) == 0
    assert black76.cdf(EDGE) == black76.ONE


def test_prices_and_deltas_are_exact_over_the_domain() -> None:
    with mp.workdps(30):
        for forward, strike, sd in drawn(30_000, 1):
            y = black76.ln_wad(forward * WAD // strike)
            told, n1 = black76.call(forward, strike, y, sd)
            f, k, s = mpf(forward), mpf(strike), mpf(sd) / WAD
            first = ncdf(exact_log(f / k) / s + s / 2)
            second = ncdf(exact_log(f / k) / s - s / 2)
            where = (forward, strike, sd)
            assert abs(told - (f * first - k * second)) <= PRICE_ERROR * f, where
            assert abs(mpf(n1) / black76.ONE - first) <= DELTA_ERROR, where


def test_prices_and_greeks_are_those_of_quantlib() -> None:
    for forward, strike, sd in drawn(10_000, 2):
        y = black76.ln_wad(forward * WAD // strike)
        told, n1 = black76.call(forward, strike, y, sd)
        f, k, s = forward / WAD, strike / WAD, sd / WAD
        formula = QuantLib.BlackCalculator(
            QuantLib.PlainVanillaPayoff(QuantLib.Option.Call, k), f, s
        )
        assert told / WAD == pytest.approx(formula.value(), abs=2 * PRICE_ERROR * f)
        put = QuantLib.blackFormula(QuantLib.Option.Put, k, f, s)
        assert (told - forward + strike) / WAD == pytest.approx(
            put, abs=2 * PRICE_ERROR * max(f, k)
        )
        # The vega of a year, at the volatility that makes this deviation.
        assert n1 / black76.ONE == pytest.approx(formula.deltaForward(), abs=1e-7)
        density = black76.density(black76.d1(y, sd)) / black76.ONE
        vega = formula.vega(1)
        assert density * f == pytest.approx(vega, abs=2 * DENSITY_ERROR * f)


@given(forwards, ratios, deviations, between(1e-9, 1))
def test_prices_rise_with_volatility_and_fall_with_the_strike(
    forward: int, ratio: float, sd: int, more: float
) -> None:
    # A forward is at least a million million wei: one of them more is for rounding.
    slack = int(WAVER * forward) + 1
    strike = max(1, int(forward * ratio))
    here = price(forward, strike, sd)
    assert price(forward, strike, sd + int(sd * more)) >= here - slack
    assert price(forward, strike + int(strike * more), sd) <= here + slack
    # And no faster than the strike rises.
    assert here - price(forward, strike + int(strike * more), sd) <= int(strike * more) + slack


def test_prices_hardly_waver_from_one_cubic_to_the_next() -> None:
    forward, sd = 2_000 * WAD, WAD // 5
    for ratio in (0.05, 0.3, 0.9, 1.0, 1.2, 4.0, 20.0):
        strike = int(forward * ratio)
        told = [price(forward, strike, sd * n // 400) for n in range(1, 6_000)]
        assert all(b >= a - WAVER * forward for a, b in pairwise(told))


@given(
    st.one_of(st.integers(0, 2**97), forwards),
    st.one_of(st.integers(1, 2**94), forwards),
    st.one_of(st.integers(0, 2**66), deviations, st.sampled_from([0, 1, 10**9 - 1, 10**9])),
)
def test_a_price_lies_between_the_payoff_and_the_forward(
    forward: int, strike: int, sd: int
) -> None:
    y = black76.ln_wad(max(1, forward * WAD // strike))
    told, n1 = black76.call(forward, strike, y, sd)
    assert max(0, forward - strike) <= told <= forward
    assert 0 <= n1 <= black76.ONE


def test_without_time_a_price_is_the_payoff() -> None:
    for sd in (0, 1, 10**9 - 1):
        assert black76.call(5, 3, 10**18, sd) == (2, black76.ONE)
        assert black76.call(3, 3, 0, sd) == (0, 0)
        assert black76.call(0, 3, -(10**19), sd) == (0, 0)
    assert black76.call(0, 3, -(10**19), WAD) == (0, 0)


@given(st.one_of(st.integers(1, 2**255 - 1), st.integers(0, 254).map(lambda n: 1 << n)))
def test_logarithms(x: int) -> None:
    with mp.workdps(60):
        assert abs(black76.ln_wad(x) - exact_log(mpf(x) / WAD) * WAD) < 2


def test_no_logarithm_of_nothing() -> None:
    assert black76.ln_wad(WAD) == 0
    for x in (0, -1, 1 << 255):
        with pytest.raises(ValueError, match="no logarithm"):
            black76.ln_wad(x)


@given(st.one_of(st.integers(0, 2**256 - 1), st.integers(0, 2**85).map(lambda n: n**3)))
def test_roots(x: int) -> None:
    for n in {x, max(0, x - 1)}:
        root = black76.icbrt(n)
        assert root**3 <= n < (root + 1) ** 3
        assert black76.isqrt(n) == isqrt(n)

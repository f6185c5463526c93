"""The auction's arithmetic: docs/margin.md section 7, as properties of the twin."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model
from plimsoll.risk.model import BPS, WAD, Margin
from tests.strategies import magnitudes


def account(equity: int, required: int) -> Margin:
    return Margin(equity, equity, equity, 2 * required, required, doubtful=False)


@st.composite
def unhealthy(draw: st.DrawFn) -> Margin:
    """Below maintenance: from one wei short to deep under water."""
    required = draw(magnitudes(1, 2**100))
    equity = draw(
        st.one_of(
            st.integers(0, required - 1),
            st.just(required - 1),
            st.integers(-3 * required, -1),
        )
    )
    return account(equity, required)


def depths() -> st.SearchStrategy[int]:
    return st.builds(model.phi, st.integers(0, 5_000))


def factors() -> st.SearchStrategy[int]:
    return st.integers(12_500, 40_000)


@pytest.mark.parametrize(
    ("clock", "depth"),
    [(0, 200), (1, 216), (300, 5_100), (600, 10_000), (2_400, 10_750), (4_200, 11_500)],
)
def test_depth_by_hand(clock: int, depth: int) -> None:
    assert model.phi(clock) == depth


@given(st.integers(0, 10_000))
def test_depth_rises_without_jumps(clock: int) -> None:
    assert 0 <= model.phi(clock + 1) - model.phi(clock) <= 17
    assert 200 <= model.phi(clock) <= 11_500


@given(unhealthy(), depths(), factors())
def test_largest_slice_restores_the_target(result: Margin, depth: int, initial_factor: int) -> None:
    """In exact fractions, the rest of a linear account ends at the target or is nothing at all."""
    fraction = model.f_max(result, depth, initial_factor, dust=0)
    assert 0 < fraction <= WAD
    price = model.bid_price(result, fraction, depth)
    taken = Fraction(fraction, WAD)
    equity = (1 - taken) * result.maintenance_equity + max(price, 0)
    required = (1 - taken) * result.maintenance_margin
    target = Fraction(initial_factor, BPS) * required
    if fraction < WAD and price >= 0:
        assert equity >= target
        one_less = Fraction(fraction - 1, WAD)
        kept = (1 - one_less) * result.maintenance_equity + one_less * (
            result.maintenance_equity - Fraction(depth, BPS) * result.maintenance_margin
        )
        assert kept < Fraction(initial_factor, BPS) * (1 - one_less) * result.maintenance_margin


@given(unhealthy(), depths(), st.integers(1, WAD))
def test_what_remains_is_never_worse_off(result: Margin, depth: int, fraction: int) -> None:
    """The account keeps its ratio and gets the price; the bidder never pays less than the depth."""
    price = model.bid_price(result, fraction, depth)
    worth = Fraction(fraction, WAD) * (
        result.maintenance_equity - Fraction(depth, BPS) * result.maintenance_margin
    )
    assert worth <= price < worth + 1


@given(unhealthy(), depths(), st.integers(2, WAD), st.data())
def test_splitting_a_bid_pays_no_more(
    result: Margin, depth: int, fraction: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, fraction - 1))
    whole = model.bid_price(result, fraction, depth)
    parts = model.bid_price(result, first, depth) + model.bid_price(result, fraction - first, depth)
    assert parts >= whole


@given(unhealthy(), depths(), factors())
def test_dust_is_taken_whole(result: Margin, depth: int, initial_factor: int) -> None:
    assert model.f_max(result, depth, initial_factor, result.maintenance_margin + 1) == WAD


@given(st.integers(1, 2_500), st.integers(0, 1_023), st.integers(0, 10**8))
def test_band_of_a_broken_price_widens_to_three_times(range_: int, band: int, age: int) -> None:
    width = model.broken_band(range_, band, age)
    reach = max(range_, band)
    assert reach <= width <= 3 * reach
    assert model.broken_band(range_, band, age + 1) >= width

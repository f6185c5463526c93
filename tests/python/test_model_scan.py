"""The scan of the twin: docs/margin.md section 3, against exact fractions and against what is
claimed of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model
from plimsoll.risk.model import BPS, EDGE, GRID_SCALE, LINEAR_STATES, STATES, WAD, ScanRow
from tests.strategies import MAX_GAUGE, MIN_GAUGE, prices, sizes, underlying_params

WEIGHTS = [Fraction(w, 100) for w in (32, 48, 100, 100, 100, 100, 100, 100, 100, 48, 32)]
SHOCKS = [Fraction(n, 3) for n in (-9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9)]


@st.composite
def scan_rows(draw: st.DrawFn) -> ScanRow:
    params = draw(underlying_params())
    gauge = draw(st.one_of(st.just(BPS), st.integers(MIN_GAUGE, MAX_GAUGE)))
    exposure = draw(st.one_of(st.just(0), sizes())) * draw(prices())
    return ScanRow(exposure, model.ceil_div(params.range * gauge, BPS), params.window)


def books(most: int = 12) -> st.SearchStrategy[list[ScanRow]]:
    return st.lists(scan_rows(), max_size=most)


def fraction_losses(row: ScanRow) -> list[Fraction]:
    """The loss of each state in dollars, straight from the table of the specification."""
    value = Fraction(row.exposure, WAD)
    shocks = [max(n * Fraction(row.range, BPS), Fraction(-1)) for n in SHOCKS]
    return [w * -value * shock for w, shock in zip(WEIGHTS, shocks, strict=True)]


def fraction_at(losses: Sequence[Fraction], where: Fraction) -> Fraction:
    """A loss between two states is interpolated linearly."""
    below = where.numerator // where.denominator
    rest = where - below
    if rest == 0:
        return losses[below + EDGE]
    return (1 - rest) * losses[below + EDGE] + rest * losses[below + EDGE + 1]


def fraction_scan(rows: Sequence[ScanRow]) -> Fraction:
    """The definition, with each window evaluated at each of its corners."""
    totals = []
    for state in STATES:
        total = Fraction(0)
        for row in rows:
            reach = Fraction(row.window, 100)
            low, high = max(state - reach, Fraction(-EDGE)), min(state + reach, Fraction(EDGE))
            corners = [Fraction(i) for i in STATES if low <= i <= high] + [low, high]
            losses = fraction_losses(row)
            total += max(fraction_at(losses, corner) for corner in corners)
        totals.append(total)
    return max(totals)


@given(books())
def test_grid_equals_exact_fractions(rows: list[ScanRow]) -> None:
    assert Fraction(model.scan(rows)[0], GRID_SCALE) == fraction_scan(rows)


@given(books())
def test_closed_form_equals_grid(rows: list[ScanRow]) -> None:
    """What the contracts compute is what the specification defines, within the bounds of the
    registry.
    """
    worst, state = model.scan(rows)
    closed, closed_state = model.scan_of_linear_book(rows)
    assert worst == 100 * closed
    for row in rows:
        losses = model.grid_losses(row.exposure, row.range)
        assert model.window_loss(losses, state, row.window) == 100 * model.linear_loss(
            row, closed_state
        )


@given(scan_rows(), st.sampled_from(LINEAR_STATES), st.integers(-1_000, 1_000))
def test_nothing_inside_a_window_loses_more(row: ScanRow, state: int, away: int) -> None:
    away = max(-row.window, min(row.window, away))
    where = max(-100 * EDGE, min(100 * EDGE, 100 * state + away))
    losses = model.grid_losses(row.exposure, row.range)
    inside = fraction_at(fraction_losses(row), Fraction(where, 100))
    assert Fraction(model.window_loss(losses, state, row.window), GRID_SCALE) >= inside


def test_outside_the_bound_the_closed_form_would_be_wrong() -> None:
    """Why the registry bounds range, gauge and window together: a short's gain floors at -100 % in
    the tail.
    """
    row = ScanRow(-100 * WAD * WAD, 10_000, 100)
    long = ScanRow(100 * WAD * WAD, 10_000, 100)
    assert model.scan([row, row, long])[0] >= 100 * model.scan_of_linear_book([row, row, long])[0]
    losses = model.grid_losses(row.exposure, row.range)
    assert model.window_loss(losses, -3, row.window) > 100 * model.linear_loss(row, -3)


def combined(rows: Sequence[ScanRow], others: Sequence[int]) -> list[ScanRow]:
    return [ScanRow(r.exposure + o, r.range, r.window) for r, o in zip(rows, others, strict=True)]


def with_exposures(rows: Sequence[ScanRow], exposures: Sequence[int]) -> list[ScanRow]:
    return [ScanRow(e, r.range, r.window) for r, e in zip(rows, exposures, strict=True)]


@given(st.data(), books(6))
def test_netting_never_costs(data: st.DataObject, rows: list[ScanRow]) -> None:
    """Sub-additive to the wei, with each part rounded up on its own."""
    others = [data.draw(sizes()) * data.draw(prices()) for _ in rows]
    whole, _ = model.scan(combined(rows, others))
    mine, _ = model.scan(rows)
    theirs, _ = model.scan(with_exposures(rows, others))
    assert whole <= mine + theirs
    assert model.ceil_div(whole, GRID_SCALE) <= model.ceil_div(mine, GRID_SCALE) + model.ceil_div(
        theirs, GRID_SCALE
    )


@given(books(6), st.integers(0, 10**9))
def test_scan_scales_linearly(rows: list[ScanRow], factor: int) -> None:
    scaled = with_exposures(rows, [factor * r.exposure for r in rows])
    assert model.scan(scaled)[0] == factor * model.scan(rows)[0]


@given(books(6))
def test_scan_is_never_negative(rows: list[ScanRow]) -> None:
    assert model.scan(rows)[0] >= 0


@given(st.data(), books(6))
def test_scan_is_monotone_in_windows(data: st.DataObject, rows: list[ScanRow]) -> None:
    wider = [ScanRow(r.exposure, r.range, data.draw(st.integers(r.window, 1_000))) for r in rows]
    assert model.scan(wider)[0] >= model.scan(rows)[0]


def test_a_range_may_lower_the_scan_of_a_hedge() -> None:
    """Why range changes ramp both ways: the scan is not monotone in a range when underlyings hedge
    each other.
    """
    long = ScanRow(100 * WAD * WAD, 1_000, 100)
    narrow, wide = ScanRow(-50 * WAD * WAD, 500, 100), ScanRow(-50 * WAD * WAD, 1_000, 100)
    assert model.scan([long, wide])[0] < model.scan([long, narrow])[0]


@given(scan_rows())
def test_one_underlying_alone_loses_its_whole_range(row: ScanRow) -> None:
    assert model.scan([row])[0] == 100 * 300 * abs(row.exposure) * row.range


@given(st.lists(scan_rows(), min_size=1, max_size=6))
def test_the_widest_window_adds_stand_alone_risks(rows: list[ScanRow]) -> None:
    apart = [ScanRow(r.exposure, r.range, 1_000) for r in rows]
    assert model.scan(apart)[0] == sum(model.scan([r])[0] for r in apart)


@given(scan_rows())
def test_an_exact_hedge_has_no_scan(row: ScanRow) -> None:
    opposite = ScanRow(-row.exposure, row.range, row.window)
    assert model.scan(combined([row], [opposite.exposure]))[0] == 0

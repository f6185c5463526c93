"""The grid of price states and exact rounding: docs/margin.md section 3, docs/options.md section 5.

Losses are read off eleven states of one price, weighted, and largest within a window.
"""

from __future__ import annotations

from collections.abc import Sequence

WAD = 10**18
BPS = 10**4
YEAR = 31_536_000

EDGE = 5
"""States run from `-EDGE` to `EDGE`."""
STATES = range(-EDGE, EDGE + 1)
SHOCK_THIRDS = (-9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9)
"""The price move of each state, in thirds of the scan range."""
WEIGHTS = (32, 48, 100, 100, 100, 100, 100, 100, 100, 48, 32)
"""The weight of its loss, in hundredths."""
WHOLE = 3 * BPS
"""All of a price, in the unit of thirds times basis points: no shock reaches below it."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Rounds an exact quotient towards plus infinity; `//` rounds towards minus infinity."""
    return -(-numerator // denominator)


def trunc_div(numerator: int, denominator: int) -> int:
    """Rounds an exact quotient towards zero, `denominator > 0`."""
    return abs(numerator) // denominator * (-1 if numerator < 0 else 1)


def window_loss(losses: Sequence[int], state: int, window: int) -> int:
    """The largest loss within `window` hundredths of `state`, times 100: a piecewise linear
    function is largest at a state or at an end of the window.
    """
    low = max(100 * state - window, -100 * EDGE)
    high = min(100 * state + window, 100 * EDGE)
    worst = 100 * max(losses[ceil_div(low, 100) + EDGE : high // 100 + EDGE + 1])
    for end in (low, high):
        below, rest = divmod(end, 100)
        if rest:
            at = (100 - rest) * losses[below + EDGE] + rest * losses[below + EDGE + 1]
            worst = max(worst, at)
    return worst


def at_up(values: Sequence[int], numerator: int, denominator: int) -> int:
    """What the states say at `numerator / denominator` thirds of the range, rounded up."""
    return ceil_div(*_at(values, numerator, denominator))


def at_down(values: Sequence[int], numerator: int, denominator: int) -> int:
    """The same, rounded down."""
    above, below = _at(values, numerator, denominator)
    return above // below


def _at(values: Sequence[int], numerator: int, denominator: int) -> tuple[int, int]:
    """Linear between two states, beyond an edge in proportion to the edge: an exact quotient."""
    first, last = SHOCK_THIRDS[0], SHOCK_THIRDS[-1]
    if abs(numerator) > last * denominator:
        edge = values[-1] if numerator > 0 else values[0]
        return edge * abs(numerator), last * denominator
    if numerator == first * denominator:
        return values[0], 1
    right = next(i for i, z in enumerate(SHOCK_THIRDS) if numerator <= z * denominator)
    left, low, high = right - 1, SHOCK_THIRDS[right - 1], SHOCK_THIRDS[right]
    from_left = numerator - low * denominator
    from_right = high * denominator - numerator
    return values[left] * from_right + values[right] * from_left, (high - low) * denominator

"""Volatility surfaces from quotes: raw SVI per expiry, all expiries at once, without arbitrage.

Least squares in total variance, weighted by vega over spread. Quotes of a moment contradict one
another; what must hold on the grid of docs/options.md, section 2, is a penalty far above any
quote's, with a margin that survives the rounding of the parameters. The exact rules have the last
word: what they refuse after rounding is fitted again with a wider margin, and then refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from plimsoll.reporter.quotes import ExpiryQuotes, SurfaceQuotes
from plimsoll.reports import FRESH, ReportsError
from plimsoll.risk.instruments import day_name, expiry_of
from plimsoll.risk.oracle import YEAR
from plimsoll.risk.surface import RefusedSurface, Slice, require_no_arbitrage, require_valid

Floats = NDArray[np.float64]

LEAST_STRIKES = 5
"""An expiry with fewer quoted strikes has no smile of its own: five numbers describe one."""
MOST_SLICES = 16

_GRID: Floats = np.arange(-12, 13) / 8
_CORE = np.abs(_GRID) <= 0.5
_LEAST_VARIANCE, _MOST_VARIANCE, _WINGS = 2e-4, 24.9, 2.0
_LEAST_SPREAD, _UNKNOWN_SPREAD = 0.01, 0.5
# What a strike counts for where its vega is next to nothing.
_LEAST_VEGA = 0.05
# Spreads by which a broken rule weighs more than a quote.
_WEIGHT = 100.0
# Draws what quotes leave open to an even smile, and decides nothing else.
_RIDGE = 1e-2
# a, b, rho, m, sigma: within the bounds of a report.
_LOWER = np.array([-24.0, 1e-6, -0.995, -2.0, 0.005])
_UPPER = np.array([24.0, 1_000.0, 0.995, 2.0, 3.9])
_SCALE = np.array([1.0, 1.0, 1.0, 0.3, 0.3])
_PARAMETERS = 5
_STARTS = tuple(
    (b, sigma, m) for b, sigma in ((0.1, 0.2), (1.0, 0.1), (0.5, 0.5)) for m in (-0.1, 0.1)
)
_MARGINS = (1e-3, 4e-3, 2e-2)
_TRIES_ALONE, _TRIES_TOGETHER = 60, 150


class SurfaceFitError(ReportsError):
    """Quotes of which no surface can be made that the contract would take."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A surface ready to be signed, and how far it is from what it was made of."""

    slices: tuple[Slice, ...]
    median_error: float
    """Of the volatility, absolute, over all quotes that were used."""
    worst_error: float
    left_out: tuple[str, ...]
    """Expiries without a slice, and why."""


@dataclass(frozen=True, slots=True)
class _Target:
    """One expiry, in numbers. The arrays go by strike."""

    day: int
    years: float
    forward: int
    kappa: Floats
    volatility: Floats
    weight: Floats
    """Vega over spread, of an error of the volatility."""


def fit(quotes: SurfaceQuotes, days: Sequence[int] | None = None) -> Fit:
    """Slices of the expiries in `days`, or of all that are quoted, in order of expiry."""
    wanted = [e for e in quotes.expiries if days is None or e.expiry_day in days]
    targets, left_out = [], []
    for expiry in sorted(wanted, key=lambda each: each.expiry_day):
        reason = _unusable(expiry, quotes.observed_at)
        if reason:
            left_out.append(f"{day_name(expiry.expiry_day)}: {reason}")
        else:
            targets.append(_target(expiry, quotes))
    if not targets:
        raise SurfaceFitError("no expiry can be fitted: " + ("; ".join(left_out) or "none quoted"))
    if len(targets) > MOST_SLICES:
        raise SurfaceFitError(f"{len(targets)} expiries, at most {MOST_SLICES} fit a report")
    return _fit(targets, quotes.observed_at, tuple(left_out))


def _unusable(expiry: ExpiryQuotes, observed_at: int) -> str | None:
    if expiry_of(expiry.expiry_day) <= observed_at + FRESH:
        return "it expires before a report stops counting"
    strikes = {quote.strike for quote in expiry.quotes}
    if len(strikes) < LEAST_STRIKES:
        return f"{len(strikes)} strikes are quoted, a smile needs {LEAST_STRIKES}"
    return None


def _target(expiry: ExpiryQuotes, quotes: SurfaceQuotes) -> _Target:
    years = (expiry_of(expiry.expiry_day) - quotes.observed_at) / YEAR
    forward = float(expiry.forward)
    kappa = np.array([np.log(float(quote.strike) / forward) for quote in expiry.quotes])
    volatility = np.array([float(quote.volatility) for quote in expiry.quotes])
    spread = np.array(
        [_UNKNOWN_SPREAD if q.spread is None else float(q.spread) for q in expiry.quotes]
    )
    sd = volatility * np.sqrt(years)
    vega = np.exp(-((-kappa / sd + sd / 2) ** 2) / 2)
    return _Target(
        day=expiry.expiry_day,
        years=years,
        forward=round(expiry.forward / quotes.index * 10**9),
        kappa=kappa,
        volatility=volatility,
        weight=(vega + _LEAST_VEGA) / np.maximum(spread, _LEAST_SPREAD),
    )


def _fit(targets: Sequence[_Target], observed_at: int, left_out: tuple[str, ...]) -> Fit:
    refusal: RefusedSurface | None = None
    rows = np.stack([_alone(target) for target in targets])
    together = _Problem(targets)
    for margin in _MARGINS:
        rows = together.solve(rows, margin, _TRIES_TOGETHER)[1]
        slices = tuple(_rounded(t, row) for t, row in zip(targets, rows, strict=True))
        try:
            require_valid(slices, observed_at)
            # The oldest report of a batch dates it: time to expiry may be as much longer.
            require_no_arbitrage(slices, observed_at - FRESH)
        except RefusedSurface as refused:
            refusal = refused
            continue
        errors = np.concatenate([_errors(t, row) for t, row in zip(targets, rows, strict=True)])
        return Fit(slices, float(np.median(errors)), float(np.max(errors)), left_out)
    raise SurfaceFitError(f"no surface without arbitrage is near these quotes: {refusal}")


def _alone(target: _Target) -> Floats:
    """The best of several starts, of one expiry without its neighbours."""
    problem = _Problem([target])
    level = float(np.median(target.volatility)) ** 2
    found = [
        problem.solve(np.array([[level - b * sigma, b, 0.0, m, sigma]]), _MARGINS[0], _TRIES_ALONE)
        for b, sigma, m in _STARTS
    ]
    _, rows = min(found, key=lambda each: each[0])
    best: Floats = rows[0]
    return best


class _Problem:
    """Least squares over several expiries. Each residual belongs to one of them, but for those of
    the calendar, which belong to two neighbours; so a derivative by one parameter of every other
    expiry is one evaluation."""

    def __init__(self, targets: Sequence[_Target]) -> None:
        self._count = len(targets)
        width = max(len(target.kappa) for target in targets)
        self._years = np.array([[target.years] for target in targets])
        self._kappa = _padded([t.kappa for t in targets], width)
        self._variance = _padded([t.volatility**2 for t in targets], width, 1.0)
        # Of a variance: an error of it is twice the volatility times that one's.
        self._weight = _padded(
            [t.weight / (2 * t.volatility * np.sqrt(len(t.kappa))) for t in targets], width
        )

    def solve(self, start: Floats, margin: float, tries: int) -> tuple[float, Floats]:
        """The cost and the parameters, a row for each expiry."""
        lower, upper = (np.tile(bound, self._count) for bound in (_LOWER, _UPPER))
        inside = np.clip(start.ravel(), lower + 1e-9, upper - 1e-9)
        found = least_squares(
            lambda x: np.concatenate([part.ravel() for part in self._residuals(x, margin)]),
            inside,
            jac=lambda x: self._jacobian(x, margin),
            bounds=(lower, upper),
            x_scale=np.tile(_SCALE, self._count),
            max_nfev=tries,
        )
        return float(found.cost), found.x.reshape(-1, _PARAMETERS)

    def _residuals(self, x: Floats, margin: float) -> tuple[Floats, Floats]:
        """Those of each expiry, by row, and those between neighbours."""
        rows = x.reshape(-1, _PARAMETERS)
        error = (_curve(rows, self._kappa)[0] - self._variance) * self._weight
        v, slope, bend = _curve(rows, _GRID)
        w, w1, w2 = (each * self._years for each in (v, slope, bend))
        positive = np.maximum(w, 1e-4 * self._years)
        g = (1 - _GRID * w1 / (2 * positive)) ** 2 - w1**2 / 4 * (1 / positive + 0.25) + w2 / 2
        wings = rows[:, 1:2] * (1 + np.abs(rows[:, 2:3])) * self._years
        broken = np.hstack(
            [
                np.maximum(0, _LEAST_VARIANCE - v),
                np.maximum(0, v[:, _CORE] - _MOST_VARIANCE),
                np.maximum(0, wings - _WINGS * (1 - margin)),
                np.maximum(0, margin - g),
            ]
        )
        # Held apart also as a report sees them that is as old as one may be.
        longest = v * (self._years + FRESH / YEAR)
        crossed = np.hstack(
            [
                np.maximum(0, 1 + margin - later[1:] / np.maximum(later[:-1], 1e-12))
                for later in (positive, longest)
            ]
        )
        own = np.hstack([_soft(error), _RIDGE * rows[:, 1:4], _WEIGHT * broken])
        return own, _WEIGHT * crossed

    def _jacobian(self, x: Floats, margin: float) -> Floats:
        own, crossed = self._residuals(x, margin)
        of_own = np.zeros((*own.shape, x.size))
        of_crossed = np.zeros((*crossed.shape, x.size))
        for parameter in range(_PARAMETERS):
            for first in range(min(2, self._count)):
                moved = np.arange(first, self._count, 2)
                places = moved * _PARAMETERS + parameter
                at = x.copy()
                # Away from the nearer bound, so that no point lies outside.
                middle = (_LOWER[parameter] + _UPPER[parameter]) / 2
                at[places] += np.where(x[places] < middle, 1e-7, -1e-7) * np.maximum(
                    1.0, np.abs(x[places])
                )
                step = at - x
                near_own, near_crossed = self._residuals(at, margin)
                of_own[moved, :, places] = (near_own - own)[moved] / step[places][:, None]
                for row, place in zip(moved, places, strict=True):
                    for edge in {row - 1, row} & set(range(len(crossed))):
                        of_crossed[edge, :, place] = (near_crossed - crossed)[edge] / step[place]
        return np.vstack([each.reshape(-1, x.size) for each in (of_own, of_crossed)])


def _padded(rows: Sequence[Floats], width: int, filler: float = 0.0) -> Floats:
    return np.stack([np.pad(r, (0, width - len(r)), constant_values=filler) for r in rows])


def _soft(error: Floats) -> Floats:
    """Square as long as it is small, linear where a quote is far from all others."""
    soft: Floats = np.sign(error) * np.sqrt(2 * (np.sqrt(1 + error**2) - 1))
    return soft


def _curve(rows: Floats, kappa: Floats) -> tuple[Floats, Floats, Floats]:
    """Annual variance and its first two derivatives by log-moneyness."""
    a, b, rho, m, sigma = (rows[:, i : i + 1] for i in range(_PARAMETERS))
    z = kappa - m
    root = np.sqrt(z * z + sigma * sigma)
    return a + b * (rho * z + root), b * (rho + z / root), b * sigma**2 / root**3


def _errors(target: _Target, row: Floats) -> Floats:
    variance = _curve(row[None, :], target.kappa)[0][0]
    errors: Floats = np.abs(np.sqrt(np.maximum(0, variance)) - target.volatility)
    return errors


def _rounded(target: _Target, row: Floats) -> Slice:
    a, b, rho, m, sigma = (float(value) for value in row)
    return Slice(
        target.day,
        target.forward,
        round(a * 10**9),
        round(b * 10**9),
        round(rho * 10**6),
        round(m * 10**6),
        round(sigma * 10**6),
    )

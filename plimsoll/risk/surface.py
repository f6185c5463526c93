"""Surfaces of volatility: the twin of docs/options.md section 2.

What a slice says of the variance at a log-moneyness, when a surface is one without arbitrage, and
which of several signed ones counts. Everything is an integer; `//` is the page's floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import isqrt

from plimsoll.risk.model import WAD
from plimsoll.risk.oracle import REPORT_FRESH, YEAR, RefusedReports
from plimsoll.risk.svi import MICRO
from plimsoll.risk.svi import NANO as NANO
from plimsoll.risk.svi import Slice as Slice
from plimsoll.risk.svi import density as density
from plimsoll.risk.svi import derivatives as derivatives
from plimsoll.risk.svi import pack as pack
from plimsoll.risk.svi import unpack as unpack
from plimsoll.risk.svi import variance as variance
from plimsoll.risk.svi import volatility as volatility

SURFACE_STALE = 7_200
MOST_SLICES = 16
LAST_DAY = 4_095
LEAST_VARIANCE = 10**14
MOST_VARIANCE = 25 * WAD
STEP = WAD // 8
GRID = tuple(j * STEP for j in range(-12, 13))
NEAR = tuple(j * STEP for j in range(-4, 5))
"""Where volatilities must be sane."""
WINGS = tuple(j * STEP for j in (-12, -8, -4, 4, 8, 12))
"""Where reporters agree, beside half deviations around the money."""
MOST_AWAY = 8 * WAD
"""Deviations beyond which none counts."""
LEAST_DENSITY = -(10**12)
STEEPEST = 2 * 10**15 * YEAR


class RefusedSurface(RefusedReports):
    """The error with which the ReportOracle refuses one surface."""


# What one surface must be


def require_valid(slices: Sequence[Slice], observed_at: int, now: int | None = None) -> None:
    """Raises `RefusedSurface` unless the ReportOracle takes it: its shape and bounds, and no
    arbitrage. Without `now`, at the moment of its observation."""
    require_bounds(slices, observed_at if now is None else now)
    require_no_arbitrage(slices, observed_at)


def require_bounds(slices: Sequence[Slice], now: int) -> None:
    if not 1 <= len(slices) <= MOST_SLICES:
        raise RefusedSurface("SlicesMiscounted", len(slices))
    for before, piece in zip((None, *slices), slices, strict=False):
        day = piece.expiry_day
        if day > LAST_DAY or piece.expiry <= now:
            raise RefusedSurface("SliceExpired", day)
        if before is not None and day <= before.expiry_day:
            raise RefusedSurface("SlicesDisordered", day, before.expiry_day)
        _require_slice(piece)


def _require_slice(piece: Slice) -> None:
    if not NANO // 2 <= piece.forward <= 2 * NANO:
        raise RefusedSurface("ForwardOutOfBounds", piece.expiry_day, piece.forward)
    inside = (
        abs(piece.a) <= 25 * NANO
        and piece.b < 1 << 44
        and abs(piece.rho) <= 999_000
        and abs(piece.m) <= 4 * MICRO
        and 1_000 <= piece.sigma <= 4 * MICRO
    )
    if not inside:
        raise RefusedSurface("SliceOutOfBounds", astuple(piece))


def require_no_arbitrage(slices: Sequence[Slice], observed_at: int) -> None:
    before = [0] * len(GRID)
    for piece in slices:
        seconds = piece.expiry - observed_at
        slope = piece.b * (MICRO + abs(piece.rho)) * seconds
        if slope > STEEPEST:
            raise RefusedSurface("WingTooSteep", piece.expiry_day, slope, STEEPEST)
        totals = []
        for kappa, least in zip(GRID, before, strict=True):
            v = variance(piece, kappa)
            if v < LEAST_VARIANCE or (kappa in NEAR and v > MOST_VARIANCE):
                raise RefusedSurface("VarianceOutOfBounds", piece.expiry_day, kappa, v)
            found = density(piece, kappa, seconds * WAD // YEAR)
            if found < LEAST_DENSITY:
                raise RefusedSurface("ButterflyArbitrage", piece.expiry_day, kappa, found)
            if v * seconds < least:
                raise RefusedSurface(
                    "CalendarArbitrage", piece.expiry_day, kappa, v * seconds, least
                )
            totals.append(v * seconds)
        before = totals


def disagreement(
    piece: Slice, accepted: Slice, bound: int, seconds: int
) -> tuple[int, int, int] | None:
    """The first log-moneyness at which the volatilities of two slices are further apart than they
    may be, with both: by the bound at the money, by more where options are worth less. `seconds`
    are those to expiry."""
    root = isqrt(seconds * WAD // YEAR * WAD)
    for kappa in agreement_nodes(accepted, root):
        found, wanted = volatility(piece, kappa), volatility(accepted, kappa)
        # A price moves with volatility by exp(-d^2 / 2) of what it does at the money, `away`
        # deviations from it: 1 + (d^2 / 2)^2 is never above the inverse of that.
        away = min(MOST_AWAY, abs(kappa) * WAD // max(1, max(found, wanted) * root // WAD))
        square = away * away // WAD
        if abs(found - wanted) > bound + bound * square**2 // (4 * WAD**2):
            return kappa, found, wanted
    return None


def agreement_nodes(accepted: Slice, root: int) -> tuple[int, ...]:
    """Where volatilities are compared: at half deviations of the accepted slice, two of them either
    way, then in the wings. `root` is that of the time in years."""
    half = volatility(accepted, 0) * root // (2 * WAD)
    return *(max(GRID[0], min(GRID[-1], i * half)) for i in range(-4, 5)), *WINGS


# Which of several counts


@dataclass(frozen=True, slots=True)
class SurfaceReport:
    """What a signature vouches for; the reporter is the zero address when it is nobody's."""

    reporter: str
    underlying: int
    observed_at: int
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class SurfaceTerms:
    """Who may report, and what makes a batch good; agreements have 18 decimals."""

    reporters: frozenset[str]
    quorum: int
    agreement: int
    surface_agreement: int


def accepted_surface(
    terms: SurfaceTerms, underlying: int, reports: Sequence[SurfaceReport], now: int
) -> tuple[tuple[Slice, ...], int]:
    """The surface of a good batch, the median by its variance at the money, and the oldest time."""
    if len(reports) < terms.quorum:
        raise RefusedReports("QuorumMissed", len(reports), terms.quorum)
    seen: set[str] = set()
    before = -(1 << 255)
    for place, report in enumerate(reports):
        _require_report(terms, underlying, place, report, now)
        if report.reporter in seen:
            raise RefusedReports("SameReporter", place, report.reporter)
        seen.add(report.reporter)
        require_bounds(report.slices, now)
        found = variance(report.slices[0], 0)
        if found < before:
            raise RefusedReports("ReportsDisordered", place, found, before)
        before = found
    slices = reports[(len(reports) - 1) // 2].slices
    observed_at = min(report.observed_at for report in reports)
    for place, report in enumerate(reports):
        _require_agreement(terms, place, report.slices, slices, observed_at)
    require_no_arbitrage(slices, observed_at)
    return slices, observed_at


def _require_report(
    terms: SurfaceTerms, underlying: int, place: int, report: SurfaceReport, now: int
) -> None:
    if report.underlying != underlying:
        raise RefusedReports("WrongUnderlying", place, report.underlying)
    if report.observed_at > now:
        raise RefusedReports("ReportFromFuture", place, report.observed_at)
    if now - report.observed_at > REPORT_FRESH:
        raise RefusedReports("ReportTooOld", place, report.observed_at)
    if report.reporter not in terms.reporters:
        raise RefusedReports("UnknownSigner", place, report.reporter)


def _require_agreement(
    terms: SurfaceTerms,
    place: int,
    slices: Sequence[Slice],
    accepted: Sequence[Slice],
    observed_at: int,
) -> None:
    if len(slices) != len(accepted):
        raise RefusedReports("ExpiriesDiffer", place, len(slices), len(accepted))
    for piece, wanted in zip(slices, accepted, strict=True):
        day = wanted.expiry_day
        if piece.expiry_day != day:
            raise RefusedReports("ExpiriesDiffer", place, piece.expiry_day, day)
        if abs(piece.forward - wanted.forward) * NANO > terms.agreement:
            raise RefusedReports("ForwardsDisagree", place, day, piece.forward, wanted.forward)
        seconds = wanted.expiry - observed_at
        if apart := disagreement(piece, wanted, terms.surface_agreement, seconds):
            raise RefusedReports("VolatilitiesDisagree", place, day, *apart)

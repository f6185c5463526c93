"""Raw SVI of annual variance over the log-moneyness: the formula of docs/options.md section 2.

Everything is an integer; `//` is the page's floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from plimsoll.risk.grid import WAD
from plimsoll.risk.instruments import expiry_of

MICRO, NANO = 10**6, 10**9


@dataclass(frozen=True, slots=True)
class Slice:
    """The forward of an expiry in parts of the index, and raw SVI of its annual variance."""

    expiry_day: int
    forward: int
    a: int
    b: int
    rho: int
    m: int
    sigma: int

    @property
    def expiry(self) -> int:
        """Seconds."""
        return expiry_of(self.expiry_day)


def pack(piece: Slice, observed_at: int) -> int:
    """A slice as the engine stores it, without its expiry."""
    word = shift = 0
    fields = (
        (piece.a, 40),
        (piece.b, 45),
        (piece.rho, 21),
        (piece.m, 25),
        (piece.sigma, 24),
        (piece.forward, 32),
        (observed_at, 32),
    )
    for value, width in fields:
        word |= value % (1 << width) << shift
        shift += width
    return word


def unpack(word: int, expiry_day: int) -> tuple[Slice, int]:
    """A slice as it was stored, and when it was observed."""
    values = []
    for width, signed in (
        (40, True),
        (45, False),
        (21, True),
        (25, True),
        (24, False),
        (32, False),
        (32, False),
    ):
        value = word % (1 << width)
        values.append(value - (1 << width) if signed and value >> (width - 1) else value)
        word >>= width
    a, b, rho, m, sigma, forward, observed_at = values
    return Slice(expiry_day, forward, a, b, rho, m, sigma), observed_at


def variance(piece: Slice, kappa: int) -> int:
    """Annual variance at a log-moneyness, 18 decimals, as it is before it is clipped."""
    shifted, radius = _shape(piece, kappa)
    return piece.a * NANO + piece.b * (piece.rho * shifted // MICRO + radius) // NANO


def _shape(piece: Slice, kappa: int) -> tuple[int, int]:
    """How far from the lowest point, and the root over it, 18 decimals."""
    shifted = kappa - piece.m * 10**12
    return shifted, isqrt(shifted**2 + (piece.sigma * 10**12) ** 2)


def derivatives(piece: Slice, kappa: int) -> tuple[int, int]:
    """First and second derivative of the variance by the log-moneyness, 18 decimals."""
    shifted, radius = _shape(piece, kappa)
    slope = piece.b * (piece.rho * 10**12 + shifted * WAD // radius) // NANO
    share = piece.sigma * 10**12 * WAD // radius
    return slope, piece.b * (share * share // radius) // NANO


def density(piece: Slice, kappa: int, time: int) -> int:
    """Durrleman's function, `time` seconds (in WAD years) before expiry: negative is a butterfly
    that pays for nothing."""
    v = variance(piece, kappa)
    slope, curve = derivatives(piece, kappa)
    total_slope = slope * time // WAD
    h = WAD - kappa * slope // (2 * v)
    return (
        h * h // WAD
        - total_slope * slope // (4 * v)
        - total_slope * total_slope // (16 * WAD)
        + time * curve // (2 * WAD)
    )


def volatility(piece: Slice, kappa: int) -> int:
    """The root of the variance, 18 decimals; nothing where that is below zero."""
    return isqrt(max(0, variance(piece, kappa)) * WAD)

"""Prices of options: the twin of docs/options.md section 4, bit by bit.

Logarithms, deviations and prices have 18 decimals. `ONE` is a probability of one. Distances from
the mean are counted in parts of a deviation, `DISTANCE_ONE` of them.
"""

from __future__ import annotations

from math import isqrt

from plimsoll.risk.normal_table import TABLE

__all__ = ["ONE", "call", "cdf", "d1", "density", "icbrt", "isqrt", "ln_wad", "scales"]

WAD = 10**18
EDGE = 7
"""Deviations beyond which a probability is 0 or 1."""
STEPS = 40
"""Cubics per deviation."""
STEP_BITS = 36
DISTANCE_ONE = STEPS << STEP_BITS
ONE_BITS = 41
ONE = 1 << ONE_BITS
FINE_BITS = 150
"""Binary places of a probability inside a price."""
LEAST_DEVIATION = 10**9

_MIDDLE = EDGE * DISTANCE_ONE
_STEP = (1 << STEP_BITS) - 1


def ln_wad(x: int) -> int:
    """Solady's `lnWad`, step by step: a rational function of what lies above a power of two."""
    if not 0 < x < 1 << 255:
        raise ValueError(f"no logarithm of {x}")
    shift = 256 - x.bit_length()
    power = 159 - shift
    x = (x << shift) >> 159
    p = 3273285459638523848632254066296 + x
    for c in (
        24828157081833163892658089445524,
        43456485725739037958740375743393,
        -11111509109440967052023855526967,
        -45023709667254063763336534515857,
        -14706773417378608786704636184526,
    ):
        p = c + ((p * x) >> 96)
    p = p * x - (795164235651350426258249787498 << 96)
    q = 5573035233440673466300451813936 + x
    for c in (
        71694874799317883764090561454958,
        283447036172924575727196451306956,
        401686690394027663651624208769553,
        204048457590392012362485061816622,
        31853899698501571402653359427138,
        909429971244387300277376558375,
    ):
        q = c + ((x * q) >> 96)
    ratio = p // q if p >= 0 else -(-p // q)
    scaled = (
        1677202110996718588342820967067443963516166 * ratio
        + 16597577552685614221487285958193947469193820559219878177908093499208371 * power
        + 600920179829731861736702779321621459595472258049074101567377883020018308
    )
    return scaled >> 174


def icbrt(x: int) -> int:
    """The floor of the cube root."""
    if x < 8:
        return min(x, 1)
    root = 1 << -(-x.bit_length() // 3)
    while True:
        following = (2 * root + x // root**2) // 3
        if following >= root:
            return root
        root = following


def _cubic(distance: int) -> tuple[int, int, int, int, int]:
    """The four coefficients within the edges, and the part of their step.

    Nothing is masked below a coefficient: those of higher powers count as its fraction.
    """
    y = distance + _MIDDLE
    entry = TABLE[y >> STEP_BITS]
    c3 = (entry + (1 << 31)) % (1 << 32) - (1 << 31)
    c2 = (entry + (1 << 71)) % (1 << 72) - (1 << 71)
    return entry, entry % (1 << 108), c2, c3, y & _STEP


def _fine(distance: int) -> int:
    """The probability of what lies below a distance from the mean, `FINE_BITS` binary places."""
    if distance < -_MIDDLE:
        return 0
    if distance >= _MIDDLE:
        return 1 << FINE_BITS
    c0, c1, c2, c3, t = _cubic(distance)
    return c0 + t * (c1 + t * (c2 + t * c3))


def cdf(distance: int) -> int:
    """The probability of what lies below a distance from the mean, in `ONE`, rounded down."""
    return _fine(distance) >> (FINE_BITS - ONE_BITS)


def density(distance: int) -> int:
    """The slope of `cdf` per deviation, in `ONE`; zero beyond the edges."""
    if not -_MIDDLE <= distance < _MIDDLE:
        return 0
    _, c1, c2, c3, t = _cubic(distance)
    return STEPS * (c1 + t * (2 * c2 + t * 3 * c3)) >> (FINE_BITS - STEP_BITS - ONE_BITS)


def scales(sd: int) -> tuple[int, int]:
    """What turns a logarithm into a distance, 60 binary places, and half of `sd` as a distance."""
    return (DISTANCE_ONE << 60) // sd, sd * (DISTANCE_ONE // 2) // WAD


def d1(y: int, sd: int) -> int:
    """The distance of the logarithm `y` of forward by strike, plus half a deviation."""
    inverse, half = scales(sd)
    return ((y * inverse) >> 60) + half


def call(forward: int, strike: int, y: int, sd: int) -> tuple[int, int]:
    """The price of a call without discounting, and the first probability in it, in `ONE`."""
    if sd < LEAST_DEVIATION or forward == 0:
        return max(0, forward - strike), ONE if forward > strike else 0
    inverse, half = scales(sd)
    distance = ((y * inverse) >> 60) + half
    n1, n2 = _fine(distance), _fine(distance - 2 * half)
    worth = (forward * n1 - strike * n2) >> FINE_BITS
    return max(worth, forward - strike, 0), n1 >> (FINE_BITS - ONE_BITS)

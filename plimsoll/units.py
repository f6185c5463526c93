"""Decimals at the edge, integers within.

The chain counts in integers: dollars, prices and sizes with 18 decimals, tokens with their own.
People count in `Decimal`. A chain integer becomes a `Decimal` without loss; the way back is exact
or refuses, unless the caller names the direction in which to round.
"""

from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    localcontext,
)
from typing import TypeAlias

from plimsoll.errors import InexactAmountError

WAD_DECIMALS = 18
WAD = 10**WAD_DECIMALS
BPS = 10**4
MILLION = 10**6
# The largest int256 or uint256 has 78 digits; 200 leave room for every shift by a token's decimals.
_WIDE = Context(prec=200)

Amount: TypeAlias = Decimal | int | str
"""What a person may write for an amount. Not a float: 0.1 is none."""


def decimal_of(amount: Amount) -> Decimal:
    """The exact number that was written."""
    if isinstance(amount, float):
        raise InexactAmountError(f"{amount!r} is a float: write Decimal('{amount}') or '{amount}'")
    try:
        number = Decimal(amount)
    except InvalidOperation:
        raise InexactAmountError(f"{amount!r} is not a number") from None
    if not number.is_finite():
        raise InexactAmountError(f"{amount!r} is not a finite number")
    return number


def from_units(units: int, decimals: int) -> Decimal:
    """A chain integer as a number, without loss."""
    return Decimal(units).scaleb(-decimals, _WIDE)


def from_wad(units: int) -> Decimal:
    return from_units(units, WAD_DECIMALS)


def to_units_exact(amount: Amount, decimals: int) -> int:
    """The chain integer; refuses an amount with more digits than the chain keeps."""
    shifted = decimal_of(amount).scaleb(decimals, _WIDE)
    units = shifted.to_integral_value(ROUND_FLOOR, _WIDE)
    if units != shifted:
        raise InexactAmountError(f"{amount} has more than {decimals} decimals: round it first")
    return int(units)


def to_units_down(amount: Amount, decimals: int) -> int:
    """Towards minus infinity."""
    return int(decimal_of(amount).scaleb(decimals, _WIDE).to_integral_value(ROUND_FLOOR, _WIDE))


def to_units_up(amount: Amount, decimals: int) -> int:
    """Towards plus infinity."""
    return int(decimal_of(amount).scaleb(decimals, _WIDE).to_integral_value(ROUND_CEILING, _WIDE))


def to_wad_exact(amount: Amount) -> int:
    return to_units_exact(amount, WAD_DECIMALS)


def to_wad_down(amount: Amount) -> int:
    return to_units_down(amount, WAD_DECIMALS)


def to_wad_up(amount: Amount) -> int:
    return to_units_up(amount, WAD_DECIMALS)


def mul_exact(a: Decimal, b: Decimal) -> Decimal:
    """A product without loss; the default context of `decimal` keeps 28 digits only."""
    with localcontext(_WIDE) as context:
        context.traps[Inexact] = True
        return a * b


def show_down(number: Decimal, places: int = 2) -> str:
    """For assets: never shows more than there is."""
    return f"{_quantize(number, places, ROUND_FLOOR):,}"


def show_up(number: Decimal, places: int = 2) -> str:
    """For requirements and debts: never shows less than is asked."""
    return f"{_quantize(number, places, ROUND_CEILING):,}"


def _quantize(number: Decimal, places: int, rounding: str) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), rounding, _WIDE)

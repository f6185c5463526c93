"""Human units, read strictly and written back: "15 %", "1 h", "$5,000,000", "1.2 states".

Every reader takes text of exactly one shape and returns the integer that the chain stores. What the
chain cannot store exactly is refused, never rounded. Every writer is the inverse of its reader.
"""

import re
from decimal import Decimal
from fractions import Fraction

from plimsoll.errors import InexactAmountError
from plimsoll.units import WAD_DECIMALS, from_units, from_wad, to_units_exact

HOUR = 3600
_SECONDS = {"s": 1, "min": 60, "h": HOUR, "day": 24 * HOUR, "days": 24 * HOUR}
_NUMBER = r"(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?"
_PERCENT = re.compile(_NUMBER + r" %")
_HOURLY = re.compile(_NUMBER + r" % an hour")
_YEARLY = re.compile(_NUMBER + r" % a year")
_DOLLARS = re.compile(r"(-?)\$" + _NUMBER)
_HOURLY_DOLLARS = re.compile(r"(-?)\$" + _NUMBER + r" per hour")
_HOURLY_TOKENS = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+) tokens an hour")
_DURATION = re.compile(r"(\d+) (s|min|h|days?)")
_DAYS = re.compile(r"(\d+) days?")
_STATES = re.compile(_NUMBER + r" states")
_RATE = re.compile(_NUMBER + r" per token")
_CONCENTRATION = re.compile(_NUMBER + r" % per \$" + _NUMBER)
# Concentration counts 10^-11 per dollar: percent (10^-2) per dollar is 10^9 of them.
_CONCENTRATION_SCALE = 10**9
# What a concentration is written against, dollars; then its units are hundredths of a percent.
_CONCENTRATION_BASE = 10_000_000
_CONCENTRATION_DECIMALS = 2
_BPS_IN_PERCENT = 2
_MILLIONTHS_IN_PERCENT = 4
_TENTHS_IN_PERCENT = 1


class MalformedQuantityError(ValueError):
    """Text that is not of the one shape its field takes. pydantic adds where it stands."""


def read_bps(text: object) -> int:
    """ "15 %" in basis points."""
    return _percent(text, _PERCENT, _BPS_IN_PERCENT, '"15 %"')


def write_bps(bps: int) -> str:
    return f"{_plain(from_units(bps, _BPS_IN_PERCENT))} %"


def read_millionths(text: object) -> int:
    """ "0.05 %" in millionths."""
    return _percent(text, _PERCENT, _MILLIONTHS_IN_PERCENT, '"0.05 %"')


def write_millionths(millionths: int) -> str:
    return f"{_plain(from_units(millionths, _MILLIONTHS_IN_PERCENT))} %"


def read_yearly_bps(text: object) -> int:
    """ "8 % a year" in basis points."""
    return _percent(text, _YEARLY, _BPS_IN_PERCENT, '"8 % a year"')


def write_yearly_bps(bps: int) -> str:
    return write_bps(bps) + " a year"


def read_percent(text: object) -> int:
    """ "80 %" in whole percent."""
    return _percent(text, _PERCENT, 0, '"80 %"')


def write_percent(percent: int) -> str:
    return f"{percent} %"


def read_yearly_tenths(text: object) -> int:
    """ "5 % a year" in tenths of a percent."""
    return _percent(text, _YEARLY, _TENTHS_IN_PERCENT, '"5 % a year"')


def write_yearly_tenths(tenths: int) -> str:
    return f"{_plain(from_units(tenths, _TENTHS_IN_PERCENT))} % a year"


def read_hourly_millionths(text: object) -> int:
    """ "0.6 % an hour" in millionths."""
    return _percent(text, _HOURLY, _MILLIONTHS_IN_PERCENT, '"0.6 % an hour"')


def write_hourly_millionths(millionths: int) -> str:
    return write_millionths(millionths) + " an hour"


def read_hourly_tokens(text: object) -> int:
    """ "5,000 tokens an hour" in whole tokens."""
    (count,) = _match(_HOURLY_TOKENS, text, '"5,000 tokens an hour"').groups()
    return int(count.replace(",", ""))


def write_hourly_tokens(tokens: int) -> str:
    return f"{tokens:,} tokens an hour"


def read_dollars(text: object) -> int:
    """ "$5,000,000" in whole dollars."""
    return _whole(_dollars(text, _DOLLARS, '"$5,000,000"'), text)


def write_dollars(dollars: int) -> str:
    return f"${dollars:,}"


def read_hourly_dollars(text: object) -> int:
    """ "$1,000,000 per hour" in whole dollars."""
    return _whole(_dollars(text, _HOURLY_DOLLARS, '"$1,000,000 per hour"'), text)


def write_hourly_dollars(dollars: int) -> str:
    return write_dollars(dollars) + " per hour"


def read_price(text: object) -> int:
    """ "$2,500.5" with 18 decimals."""
    price = _exact(_dollars(text, _DOLLARS, '"$2,500.5"'), WAD_DECIMALS, text)
    if price <= 0:
        raise MalformedQuantityError(f"{text!r} is no price")
    return price


def write_price(wad: int) -> str:
    return f"${_plain(from_wad(wad))}"


def read_duration(text: object) -> int:
    """ "1 h", "90 min", "2 days" in seconds."""
    count, unit = _match(_DURATION, text, '"1 h"').groups()
    return int(count) * _SECONDS[unit]


def write_duration(seconds: int) -> str:
    for unit, size in (("days", 24 * HOUR), ("h", HOUR), ("min", 60)):
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {'day' if unit == 'days' and count == 1 else unit}"
    return f"{seconds} s"


def read_days(text: object) -> int:
    """ "400 days" in days."""
    (count,) = _match(_DAYS, text, '"400 days"').groups()
    return int(count)


def write_days(days: int) -> str:
    return f"{days} {'day' if days == 1 else 'days'}"


def read_states(text: object) -> int:
    """ "1.2 states" in hundredths of a price state."""
    whole, fraction = _match(_STATES, text, '"1.2 states"').groups()
    return _exact(_decimal(whole, fraction), 2, text)


def write_states(hundredths: int) -> str:
    return f"{_plain(from_units(hundredths, 2))} states"


def read_rate(text: object) -> int:
    """ "1.18 per token": units of the underlying, 18 decimals."""
    whole, fraction = _match(_RATE, text, '"1.18 per token"').groups()
    rate = _exact(_decimal(whole, fraction), WAD_DECIMALS, text)
    if rate == 0:
        raise MalformedQuantityError(f"{text!r} is no rate")
    return rate


def write_rate(wad: int) -> str:
    return f"{_plain(from_wad(wad))} per token"


def read_concentration(text: object) -> int:
    """ "0.5 % per $10,000,000": an extra rate per dollar of position, in 10^-11."""
    whole, fraction, dollars, cents = _match(
        _CONCENTRATION, text, '"0.5 % per $10,000,000"'
    ).groups()
    base = Fraction(_decimal(dollars, cents))
    if not base:
        raise MalformedQuantityError(f"{text!r} counts against nothing")
    units = Fraction(_decimal(whole, fraction)) * _CONCENTRATION_SCALE / base
    if units.denominator != 1:
        raise MalformedQuantityError(f"{text!r} is finer than the chain keeps")
    return units.numerator


def write_concentration(units: int) -> str:
    return f"{_plain(from_units(units, _CONCENTRATION_DECIMALS))} % per ${_CONCENTRATION_BASE:,}"


def _percent(text: object, pattern: re.Pattern[str], decimals: int, example: str) -> int:
    whole, fraction = _match(pattern, text, example).groups()
    return _exact(_decimal(whole, fraction), decimals, text)


def _dollars(text: object, pattern: re.Pattern[str], example: str) -> Decimal:
    sign, whole, fraction = _match(pattern, text, example).groups()
    amount = _decimal(whole, fraction)
    return amount.copy_negate() if sign else amount


def _match(pattern: re.Pattern[str], text: object, example: str) -> re.Match[str]:
    found = pattern.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise MalformedQuantityError(f"{text!r} is not of the form {example}")
    return found


def _decimal(whole: str, fraction: str | None) -> Decimal:
    return Decimal(whole.replace(",", "") + (fraction or ""))


def _whole(amount: Decimal, text: object) -> int:
    if amount < 0:
        raise MalformedQuantityError(f"{text!r} is negative")
    return _exact(amount, 0, text)


def _exact(amount: Decimal, decimals: int, text: object) -> int:
    try:
        return to_units_exact(amount, decimals)
    except InexactAmountError as error:
        raise MalformedQuantityError(f"{text!r} is finer than the chain keeps") from error


def _plain(number: Decimal) -> str:
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

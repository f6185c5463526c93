"""Ids of perpetuals, futures and options: docs/options.md section 1.

Kind 2 | underlying 9 | expiry day 12 | strike mantissa 20 | strike exponent 4 | put 1. Each
instrument has one spelling; everything else is no instrument. People write `ETH-PERPETUAL`,
`ETH-25DEC26` and `ETH-25DEC26-2000-C`, as the Lens does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Self

MAX_UNDERLYING = 255
MAX_DAY = 2**12 - 1
MAX_MANTISSA = 2**20 - 1
MAX_EXPONENT = 15
STRIKE_DIGITS = 8
"""A strike is its mantissa times ten to its exponent and this many more, 18 decimals."""

DAY = 86_400
FIRST_DAY = 20_089
"""The day after which expiry days are counted, in days of Unix time: 1 January 2025."""
EXPIRY_HOUR = 8 * 3_600

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DATE = re.compile(r"([1-9]|[12]\d|3[01])([A-Z]{3})(\d\d)")
_STRIKE = re.compile(r"\d+(?:\.\d+)?")
_FRIDAY = 4


class InstrumentError(ValueError):
    """No such instrument: an id or a name that is malformed, or a second spelling of another."""


class Kind(IntEnum):
    PERPETUAL = 1
    FUTURE = 2
    OPTION = 3


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument by its parts, checked; `id` is its number."""

    kind: Kind
    underlying: int
    day: int = 0
    mantissa: int = 0
    exponent: int = 0
    put: bool = False

    def __post_init__(self) -> None:
        if not self._is_canonical():
            raise InstrumentError(f"{self!r} is no instrument")

    def _is_canonical(self) -> bool:
        if not (1 <= self.underlying <= MAX_UNDERLYING and 0 <= self.day <= MAX_DAY):
            return False
        if self.kind == Kind.OPTION:
            return self._has_one_strike()
        dated = self.kind == Kind.FUTURE or self.day == 0
        return dated and not (self.mantissa or self.exponent or self.put)

    def _has_one_strike(self) -> bool:
        fits = 1 <= self.mantissa <= MAX_MANTISSA and 0 <= self.exponent <= MAX_EXPONENT
        return fits and (self.exponent == MAX_EXPONENT or self.mantissa % 10 != 0)

    @classmethod
    def decode(cls, id_: int) -> Self:
        """The instrument of an id; refuses everything but its one spelling."""
        if not 0 < id_ >> 46 <= Kind.OPTION:
            raise InstrumentError(f"{id_:#x} is no instrument")
        return cls(
            kind=Kind(id_ >> 46),
            underlying=underlying_of(id_),
            day=id_ >> 25 & MAX_DAY,
            mantissa=id_ >> 5 & MAX_MANTISSA,
            exponent=id_ >> 1 & MAX_EXPONENT,
            put=bool(id_ & 1),
        )

    @classmethod
    def parse(cls, name: str, underlyings: Mapping[str, int]) -> Self:
        """The instrument of a name, `underlyings` by their symbols."""
        symbol, _, rest = _split(name, underlyings)
        u = underlyings[symbol]
        if rest == "PERPETUAL":
            return cls(Kind.PERPETUAL, u)
        day, *option = rest.split("-")
        if not option:
            return cls(Kind.FUTURE, u, parse_day(day))
        if len(option) != 2 or option[1] not in ("C", "P"):
            raise InstrumentError(f"{name!r} is no instrument")
        mantissa, exponent = strike_code(_parse_strike(option[0]))
        return cls(Kind.OPTION, u, parse_day(day), mantissa, exponent, option[1] == "P")

    @property
    def id(self) -> int:
        return (
            self.kind << 46
            | self.underlying << 37
            | self.day << 25
            | self.mantissa << 5
            | self.exponent << 1
            | int(self.put)
        )

    @property
    def expiry(self) -> int:
        return expiry_of(self.day)

    @property
    def strike(self) -> int:
        """In dollars, 18 decimals; zero without a strike."""
        return self.mantissa * int(10 ** (self.exponent + STRIKE_DIGITS))

    def name(self, symbol: str) -> str:
        """What people call it, `symbol` its underlying's."""
        if self.kind == Kind.PERPETUAL:
            return f"{symbol}-PERPETUAL"
        dated = f"{symbol}-{day_name(self.day)}"
        if self.kind == Kind.FUTURE:
            return dated
        return f"{dated}-{_strike_name(self.strike)}-{'P' if self.put else 'C'}"


def perpetual(underlying: int) -> int:
    """The id of the perpetual on an underlying."""
    return (Kind.PERPETUAL << 46) | (underlying << 37)


def future(underlying: int, day: int) -> int:
    """The id of the future on an underlying that expires on a day."""
    return Instrument(Kind.FUTURE, underlying, day).id


def option(underlying: int, day: int, strike: int, *, put: bool) -> int:
    """The id of an option; `strike` in dollars, 18 decimals."""
    mantissa, exponent = strike_code(strike)
    return Instrument(Kind.OPTION, underlying, day, mantissa, exponent, put).id


def underlying_of(id_: int) -> int:
    """The underlying of an instrument id."""
    return (id_ >> 37) & 0x1FF


def is_instrument(id_: int) -> bool:
    """Whether an id is the one spelling of an instrument."""
    try:
        Instrument.decode(id_)
    except InstrumentError:
        return False
    return True


def strike_code(strike: int) -> tuple[int, int]:
    """Mantissa and exponent of a strike, 18 decimals, in their one spelling."""
    mantissa, rest = divmod(strike, 10**STRIKE_DIGITS)
    exponent = 0
    while exponent < MAX_EXPONENT and mantissa and mantissa % 10 == 0:
        mantissa //= 10
        exponent += 1
    if rest or not 1 <= mantissa <= MAX_MANTISSA:
        raise InstrumentError(f"an option cannot be struck at {strike}")
    return mantissa, exponent


# Days


def expiry_of(day: int) -> int:
    """The second at which a day's instruments expire: 08:00 UTC."""
    return (FIRST_DAY + day) * DAY + EXPIRY_HOUR


def day_of(expiry: int) -> int:
    """The day of the last expiry at or before a second."""
    return (expiry - EXPIRY_HOUR) // DAY - FIRST_DAY


def has_expired(id_: int, now: int) -> bool:
    """Whether a future or an option is past its expiry; a perpetual never is."""
    one = Instrument.decode(id_)
    return one.kind is not Kind.PERPETUAL and now >= one.expiry


def is_friday(day: int) -> bool:
    return _date(day).weekday() == _FRIDAY


def day_name(day: int) -> str:
    """As in `25DEC26`."""
    when = _date(day)
    return f"{when.day}{_MONTHS[when.month - 1]}{when.year % 100:02}"


def parse_day(name: str) -> int:
    """The day of a name as in `25DEC26`."""
    parts = _DATE.fullmatch(name)
    if parts is None or parts[2] not in _MONTHS:
        raise InstrumentError(f"{name!r} is no day")
    try:
        when = date(2000 + int(parts[3]), _MONTHS.index(parts[2]) + 1, int(parts[1]))
    except ValueError:
        raise InstrumentError(f"{name!r} is no day") from None
    return (when - _date(0)).days


def _date(day: int) -> date:
    start = datetime.fromtimestamp(FIRST_DAY * DAY, UTC).date()
    return start + timedelta(days=day)


# Names


def _split(name: str, underlyings: Mapping[str, int]) -> tuple[str, str, str]:
    """A symbol may hold a hyphen, so the longest one that the name starts with counts."""
    fitting = [symbol for symbol in underlyings if name.startswith(f"{symbol}-")]
    if not fitting:
        raise InstrumentError(f"{name!r} names no underlying that is known")
    symbol = max(fitting, key=len)
    return symbol, "-", name[len(symbol) + 1 :]


def _strike_name(strike: int) -> str:
    whole, rest = divmod(strike, 10**18)
    return f"{whole}.{rest:018}".rstrip("0") if rest else str(whole)


def _parse_strike(text: str) -> int:
    if not _STRIKE.fullmatch(text):
        raise InstrumentError(f"{text!r} is no strike")
    whole, _, rest = text.partition(".")
    if len(rest) > 18:
        raise InstrumentError(f"{text!r} has more than 18 decimals")
    return int(whole) * 10**18 + int(rest.ljust(18, "0"))

"""Quotes of options, from which a reporter makes a surface: what a file says, checked.

Volatilities are annual, 1 is 100 %. Broken quotes are an error in words, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median
from typing import Any

from plimsoll.errors import MalformedIdError
from plimsoll.instruments import Instrument, Kind
from plimsoll.reports import ReportsError
from plimsoll.risk.instruments import day_name, parse_day

LEAST_VOLATILITY, MOST_VOLATILITY = Decimal("0.01"), Decimal(5)
LEAST_FORWARD, MOST_FORWARD = Decimal("0.5"), Decimal(2)


class QuotesError(ReportsError):
    """Quotes of which nothing can be made. Says which, and why."""


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """Volatilities at which one strike is bid, offered and marked; at least the last, or both
    others."""

    strike: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    mark: Decimal | None = None

    def __post_init__(self) -> None:
        if not (self.strike.is_finite() and self.strike > 0):
            raise QuotesError(f"{self.strike} is no strike")
        for name in ("bid", "ask", "mark"):
            value = getattr(self, name)
            if value is None:
                continue
            if not (value.is_finite() and LEAST_VOLATILITY <= value <= MOST_VOLATILITY):
                raise QuotesError(
                    f"strike {self.strike}: {name} {value} is no volatility between "
                    f"{LEAST_VOLATILITY} and {MOST_VOLATILITY}"
                )
        if self.mark is None and (self.bid is None or self.ask is None):
            raise QuotesError(f"strike {self.strike}: give its mark, or bid and ask")
        if self.bid is not None and self.ask is not None and self.bid > self.ask:
            raise QuotesError(f"strike {self.strike}: bid {self.bid} is above ask {self.ask}")

    @property
    def volatility(self) -> Decimal:
        """The mark as far as bid and ask allow it; without one their middle."""
        if self.mark is None:
            return (_given(self.bid) + _given(self.ask)) / 2
        floor = self.mark if self.bid is None else max(self.mark, self.bid)
        return floor if self.ask is None else min(floor, self.ask)

    @property
    def spread(self) -> Decimal | None:
        return None if self.bid is None or self.ask is None else self.ask - self.bid


@dataclass(frozen=True, slots=True)
class ExpiryQuotes:
    expiry_day: int
    forward: Decimal
    """Dollars."""
    quotes: tuple[OptionQuote, ...]

    def __post_init__(self) -> None:
        seen: set[Decimal] = set()
        for quote in self.quotes:
            if quote.strike in seen:
                raise QuotesError(f"{day_name(self.expiry_day)}: strike {quote.strike} twice")
            seen.add(quote.strike)


@dataclass(frozen=True, slots=True)
class SurfaceQuotes:
    """All expiries of one underlying at one moment."""

    index: Decimal
    observed_at: int
    expiries: tuple[ExpiryQuotes, ...]

    def __post_init__(self) -> None:
        if not (self.index.is_finite() and self.index > 0):
            raise QuotesError(f"{self.index} is no index price")
        days = [each.expiry_day for each in self.expiries]
        if len(set(days)) != len(days):
            raise QuotesError("an expiry stands twice")
        for each in self.expiries:
            low, high = LEAST_FORWARD * self.index, MOST_FORWARD * self.index
            if not (each.forward.is_finite() and low <= each.forward <= high):
                raise QuotesError(
                    f"{day_name(each.expiry_day)}: a forward of {each.forward} at an index "
                    f"of {self.index} is not believed"
                )


QuotesSource = Callable[[int], SurfaceQuotes | None]
"""Asked with the id of an underlying; none where nothing is known. Raises `QuotesError`."""


@dataclass(frozen=True, slots=True)
class QuotesFile:
    """A JSON file that another program renews, by id of the underlying:

    `{"1": {"index": "2000", "observed_at": 1767225600, "expiries": [{"expiry": "25DEC26",
    "forward": "2050", "quotes": [{"strike": "2000", "bid": "0.61", "ask": "0.63"}]}]}}`
    """

    path: Path

    def __call__(self, underlying: int) -> SurfaceQuotes | None:
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise QuotesError(f"{self.path} cannot be read: {error}") from error
        if not isinstance(told, dict):
            raise QuotesError(f"{self.path} is no JSON object by underlying")
        mine = told.get(str(underlying))
        return None if mine is None else quotes_from(mine)


def quotes_from(told: Any) -> SurfaceQuotes:
    """Quotes as a file tells them."""
    try:
        return SurfaceQuotes(
            index=_number(told["index"]),
            observed_at=int(told["observed_at"]),
            expiries=tuple(_expiry(each) for each in told["expiries"]),
        )
    except KeyError as error:
        raise QuotesError(f"the quotes lack {error}") from error
    except (TypeError, ValueError) as error:  # `InstrumentError` is one of the latter
        raise QuotesError(f"the quotes are malformed: {error}") from error


def quotes_of_tickers(tickers: Iterable[Mapping[str, Any]]) -> SurfaceQuotes:
    """Quotes of a venue's tickers: one for each option, volatilities in percent, zero for none.

    Fields as Deribit names them: `instrument_name`, `index_price`, `underlying_price`, `bid_iv`,
    `ask_iv`, `mark_iv`, and `timestamp` in milliseconds. Of calls and puts of a strike the one out
    of the money counts. The oldest ticker dates them all.
    """
    by_day: dict[int, dict[tuple[Decimal, bool], Mapping[str, Any]]] = {}
    newest = sorted(tickers, key=lambda each: int(each["timestamp"]))
    for ticker in newest:
        named = _named(str(ticker["instrument_name"]))
        if named.kind is Kind.OPTION:
            by_day.setdefault(named.expiry_day, {})[named.strike, named.put] = ticker
    if not by_day:
        raise QuotesError("there are no tickers of options")
    used = [ticker for place in by_day.values() for ticker in place.values()]
    return SurfaceQuotes(
        index=median(_number(ticker["index_price"]) for ticker in used),
        observed_at=min(int(ticker["timestamp"]) for ticker in used) // 1000,
        expiries=tuple(_of_tickers(day, by_day[day]) for day in sorted(by_day)),
    )


def _named(name: str) -> Instrument:
    """By its name alone: whose option it is does not matter here."""
    try:
        return Instrument.parse(name, {name.split("-")[0]: 1})
    except MalformedIdError as error:
        raise QuotesError(str(error)) from error


def _of_tickers(day: int, place: Mapping[tuple[Decimal, bool], Mapping[str, Any]]) -> ExpiryQuotes:
    forward = median(_number(ticker["underlying_price"]) for ticker in place.values())
    quotes = []
    for (strike, put), ticker in sorted(place.items(), key=lambda item: item[0]):
        if put != (strike < forward):
            continue
        bid, ask, mark = (_percent(ticker[name]) for name in ("bid_iv", "ask_iv", "mark_iv"))
        if mark is not None or (bid is not None and ask is not None):
            quotes.append(OptionQuote(strike, bid, ask, mark))
    return ExpiryQuotes(day, forward, tuple(quotes))


def _expiry(told: Any) -> ExpiryQuotes:
    return ExpiryQuotes(
        parse_day(str(told["expiry"])),
        _number(told["forward"]),
        tuple(_quote(each) for each in _list(told["quotes"])),
    )


def _quote(told: Any) -> OptionQuote:
    sides = {name: _number(told[name]) for name in ("bid", "ask", "mark") if name in told}
    return OptionQuote(_number(told["strike"]), **sides)


def _list(told: Any) -> Sequence[Any]:
    if not isinstance(told, list):
        raise QuotesError(f"{told!r} is no list of quotes")
    return told


def _number(told: Any) -> Decimal:
    try:
        return Decimal(str(told))
    except InvalidOperation as error:
        raise QuotesError(f"{told!r} is no number") from error


def _percent(told: Any) -> Decimal | None:
    value = _number(told)
    return value / 100 if LEAST_VOLATILITY * 100 <= value <= MOST_VOLATILITY * 100 else None


def _given(value: Decimal | None) -> Decimal:
    if value is None:
        raise QuotesError("a side is missing")
    return value

"""Ids and names of futures and options: docs/options.md section 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import instruments
from plimsoll.risk.instruments import Instrument, InstrumentError, Kind

WAD = 10**18
SYMBOLS = {"BTC": 1, "ETH": 2, "USD-STOCK": 3, "USD": 4}


@st.composite
def any_instruments(draw: st.DrawFn) -> Instrument:
    kind, u = draw(st.sampled_from(Kind)), draw(st.integers(1, 255))
    day = draw(st.integers(0, instruments.MAX_DAY))
    if kind == Kind.PERPETUAL:
        return Instrument(kind, u)
    if kind == Kind.FUTURE:
        return Instrument(kind, u, day)
    mantissa = draw(st.integers(1, instruments.MAX_MANTISSA))
    exponent = draw(st.integers(0, 15))
    strike = mantissa * 10 ** (exponent + 8)
    return Instrument.decode(instruments.option(u, day, strike, put=draw(st.booleans())))


@given(any_instruments())
def test_ids_and_parts_are_one_to_one(one: Instrument) -> None:
    assert Instrument.decode(one.id) == one
    assert one.id < 2**48
    assert instruments.is_instrument(one.id)
    assert instruments.underlying_of(one.id) == one.underlying


@given(any_instruments(), st.sampled_from(sorted(SYMBOLS)))
def test_names_and_instruments_are_one_to_one(one: Instrument, symbol: str) -> None:
    named = Instrument.parse(one.name(symbol), {symbol: one.underlying})
    assert named == one


@given(st.integers(0, 2**48 - 1))
def test_what_is_no_instrument_is_refused(id_: int) -> None:
    """Every id either has parts that spell it, or is none."""
    if instruments.is_instrument(id_):
        assert Instrument.decode(id_).id == id_
    else:
        with pytest.raises(InstrumentError):
            Instrument.decode(id_)


@pytest.mark.parametrize(
    ("name", "kind", "day", "strike", "put"),
    [
        ("ETH-PERPETUAL", Kind.PERPETUAL, 0, 0, False),
        ("ETH-1JAN25", Kind.FUTURE, 0, 0, False),
        ("ETH-25DEC26", Kind.FUTURE, 723, 0, False),
        ("ETH-25DEC26-2000-C", Kind.OPTION, 723, 2_000 * WAD, False),
        ("ETH-25DEC26-2000.25-P", Kind.OPTION, 723, 2_000 * WAD + WAD // 4, True),
        ("ETH-19MAR36-0.0000000001-P", Kind.OPTION, 4_095, 10**8, True),
    ],
)
def test_names_by_hand(name: str, kind: Kind, day: int, strike: int, put: bool) -> None:
    one = Instrument.parse(name, SYMBOLS)
    assert (one.kind, one.underlying, one.day, one.strike, one.put) == (kind, 2, day, strike, put)
    assert one.name("ETH") == name


def test_the_longest_symbol_counts() -> None:
    assert Instrument.parse("USD-STOCK-PERPETUAL", SYMBOLS).underlying == 3
    assert Instrument.parse("USD-PERPETUAL", SYMBOLS).underlying == 4


@pytest.mark.parametrize(
    "name",
    [
        "SOL-PERPETUAL",
        "ETH",
        "ETH-25DEZ26",
        "ETH-31FEB26",
        "ETH-25DEC24",
        "ETH-05JAN26",
        "ETH-25DEC26-2000",
        "ETH-25DEC26-2000-X",
        "ETH-25DEC26-0-C",
        "ETH-25DEC26--C",
        "ETH-25DEC26-1048577-C",
        "ETH-25DEC26-1.0000000000000000001-C",
        "ETH-25DEC26-2000000000000000000000-C",
    ],
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InstrumentError):
        Instrument.parse(name, SYMBOLS)


@pytest.mark.parametrize(
    "parts",
    [
        (Kind.PERPETUAL, 0),
        (Kind.PERPETUAL, 256),
        (Kind.PERPETUAL, 1, 1),
        (Kind.FUTURE, 1, 4_096),
        (Kind.FUTURE, 1, 1, 1),
        (Kind.FUTURE, 1, 1, 0, 0, True),
        (Kind.OPTION, 1, 1, 0, 0),
        (Kind.OPTION, 1, 1, 20, 14),
        (Kind.OPTION, 1, 1, 2**20, 0),
        (Kind.OPTION, 1, 1, 1, 16),
    ],
)
def test_parts_that_are_refused(parts: tuple[Kind, int]) -> None:
    with pytest.raises(InstrumentError):
        Instrument(*parts)


def test_the_largest_strikes() -> None:
    """At the largest exponent a mantissa may end in zeros: there is no other way to spell it."""
    assert Instrument(Kind.OPTION, 1, 1, 2**20 - 1, 15).strike < 2**97
    assert Instrument(Kind.OPTION, 1, 1, 100_000, 15).strike == 10**28


def test_days_by_hand() -> None:
    assert instruments.expiry_of(0) == 1_735_718_400
    assert instruments.expiry_of(4_095) == 2_089_526_400
    assert instruments.day_name(4_095) == "19MAR36"
    assert instruments.is_friday(instruments.parse_day("25DEC26"))
    assert not instruments.is_friday(instruments.parse_day("24DEC26"))
    assert instruments.day_of(instruments.expiry_of(723)) == 723
    assert instruments.day_of(instruments.expiry_of(723) - 1) == 722

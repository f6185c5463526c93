"""How greeks are read and shown, and that nobody sees a column of zeros."""

from __future__ import annotations

from decimal import Decimal

from plimsoll.cli import _greek_rows, _parts_rows
from plimsoll.records import MarginParts, UnderlyingRisk
from plimsoll.units import WAD

PRICE = (2_000 * WAD, 2_000 * WAD, 5, 0)
LINEAR = (2, PRICE, 3 * WAD, 6_000 * WAD, -WAD, 0)
CURVED = (1, PRICE, WAD // 2, 90 * WAD, -WAD, 0, -WAD // 500, 250 * WAD, -7 * WAD)


def test_greeks_are_read_where_the_engine_tells_them() -> None:
    read = UnderlyingRisk.decode(CURVED)
    assert (read.gamma, read.vega, read.theta) == (Decimal("-0.002"), 250, -7)
    assert read.is_curved
    assert not UnderlyingRisk.decode(LINEAR).is_curved


def test_they_are_shown_of_what_has_some() -> None:
    """Vega of a point of volatility, not of 100."""
    risks = [UnderlyingRisk.decode(raw) for raw in (LINEAR, CURVED)]
    assert _greek_rows(risks, {1: "ETH"}) == [["ETH", "0.500000", "-0.002000", "2.50", "-7.00"]]


def test_a_term_charge_is_shown_where_there_is_one() -> None:
    with_term = MarginParts.decode([WAD, 0, 0, 0, 5 * WAD])
    assert with_term.term == 5
    assert _parts_rows(with_term, with_term)[-1] == ["term", "5.00", "5.00"]
    without = MarginParts.decode([WAD, 0, 0, 0])
    assert [row[0] for row in _parts_rows(without, without)][-1] == "band"

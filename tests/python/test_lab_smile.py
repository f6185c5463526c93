"""The rule of the surfaces: every slice that a run can sign is one without arbitrage."""

from decimal import Decimal
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.lab.scenario import Smile
from plimsoll.lab.smile import expiry_day, slice_of, volatility
from plimsoll.risk.instruments import expiry_of, is_friday
from plimsoll.risk.surface import require_valid, variance

WAD = 10**18
GENESIS = 1_735_689_600  # 1 January 2025, a Wednesday
DAY = 86_400


@pytest.mark.parametrize(
    ("opened", "days", "expected"),
    [
        (GENESIS, 1, 2),
        (GENESIS, 2, 2),
        (GENESIS, 3, 9),
        (GENESIS + 8 * 3_600, 2, 2),
        (GENESIS + 8 * 3_600 + 1, 2, 9),
        (GENESIS + 5 * 3_600, 7, 9),
    ],
)
def test_expires_on_the_first_friday_that_is_late_enough(opened, days, expected):
    day = expiry_day(opened, days)
    assert day == expected
    assert is_friday(day)
    assert days * DAY <= expiry_of(day) - opened < (days + 8) * DAY


def test_volatility_rises_with_the_fall_and_not_with_a_rise():
    smile = Smile(volatility=Decimal("0.6"), rise=Decimal("1.5"))
    opening = Decimal(2_500)
    assert volatility(smile, opening, opening) == Decimal("0.6")
    assert volatility(smile, Decimal(3_000), opening) == Decimal("0.6")
    assert volatility(smile, Decimal(1_500), opening) == Decimal("1.2")


@given(
    st.decimals(Decimal("0.1"), 3, places=3),
    st.decimals(Decimal("-0.5"), Decimal("0.5"), places=2),
    st.integers(60, 70 * DAY),
)
def test_no_slice_allows_arbitrage(level, skew, before):
    smile = Smile(skew=skew)
    piece = slice_of(smile, 400, level)
    require_valid([piece], expiry_of(400) - before)
    assert abs(isqrt(variance(piece, 0) * WAD) - int(level * WAD)) < 10**13

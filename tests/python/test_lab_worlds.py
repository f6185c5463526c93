"""Collateral is split to the last unit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.lab.worlds import rounded, split


@given(st.integers(0, 2**128), st.lists(st.integers(0, 2**120)), st.integers(1, 2**120))
def test_the_parts_are_the_whole_and_in_proportion(total, others, one):
    weights = [*others, one]
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts[:-1], weights[:-1], strict=True):
        assert part == total * weight // sum(weights)


def test_without_any_requirement_there_is_no_split():
    with pytest.raises(ValueError, match="nothing requires anything"):
        split(10, [0, 0])


@pytest.mark.parametrize(
    ("strike", "listed"),
    [("2450.001", "2450"), ("3125.1", "3130"), ("60000", "60000"), ("0.98765", "0.988")],
)
def test_strikes_have_three_digits(strike, listed):
    assert rounded(Decimal(strike)) == Decimal(listed)

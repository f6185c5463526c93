"""Collateral is split to the last unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.lab.worlds import split


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

"""The first round of an hour is found in any feed, across its phases, in few questions."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from plimsoll.keeper.rounds import HOUR, first_round, rounds_of

PHASE = 1 << 64


def proxy(phases: Mapping[int, list[int]]) -> dict[int, int]:
    """Times by round id."""
    return {
        phase * PHASE + number: moment
        for phase, moments in phases.items()
        for number, moment in enumerate(moments, start=1)
    }


def latest(known: Mapping[int, int]) -> int:
    return max(known)


def is_first(found: int, hour: int, known: Mapping[int, int]) -> bool:
    """What the engine asks of a round: docs/ledger.md, section 3."""
    start = hour * HOUR
    if known[found] < start:
        return False
    return found % PHASE == 1 or known[found - 1] < start


moments = st.lists(st.integers(0, 20 * HOUR), min_size=1, max_size=40).map(sorted)


@given(moments, st.integers(0, 20))
def test_within_a_phase_it_is_the_first_or_there_is_none(times: list[int], hour: int) -> None:
    known = proxy({1: times})
    found = first_round(hour * HOUR, latest(known), known.get)
    if found is None:
        assert times[-1] < hour * HOUR
    else:
        assert is_first(found, hour, known)


@given(st.lists(moments, min_size=1, max_size=4), st.integers(0, 80))
def test_across_phases_it_is_one_that_the_engine_takes(phases: list[list[int]], hour: int) -> None:
    """Each phase begins where the one before it ended."""
    begun, times = 0, {}
    for phase, line in enumerate(phases, start=1):
        times[phase] = [begun + moment for moment in line]
        begun = times[phase][-1]
    known = proxy(times)
    found = first_round(hour * HOUR, latest(known), known.get)
    if found is None:
        assert all(moment < hour * HOUR for moment in known.values())
    else:
        assert is_first(found, hour, known)
        before = [number for number in known if number < found]
        assert all(known[number] < hour * HOUR for number in before)


def test_asks_little_of_a_long_history() -> None:
    asked = []

    def updated_at(number: int) -> int | None:
        asked.append(number)
        return (number - PHASE) * 60 if PHASE < number <= PHASE + 10**9 else None

    found = first_round(1_000 * HOUR, PHASE + 10**9, updated_at)
    assert found == PHASE + 60_000
    assert len(asked) < 40


def test_a_silent_hour_has_the_round_of_the_next() -> None:
    known = proxy({1: [10, 3 * HOUR + 5, 4 * HOUR]})
    second, third = PHASE + 2, PHASE + 3
    assert rounds_of(1, 5 * HOUR, 24, latest(known), known.get) == (second, second, second, third)
    assert rounds_of(1, 5 * HOUR, 2, latest(known), known.get) == (second, second)
    assert rounds_of(5, 5 * HOUR, 24, latest(known), known.get) == ()

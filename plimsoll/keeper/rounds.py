"""Which round of a Chainlink source is the first from a moment on: by binary search in a phase.

A proxy's round id is its phase times 2^64 plus the round of that phase's aggregator, counted from
one. docs/ledger.md, section 3; docs/options.md, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

HOUR = 3_600
_PHASE_BIT = 64

UpdatedAt = Callable[[int], int | None]
"""When a round was made, by its id; none for one that the proxy does not know."""


def first_round(start: int, latest: int, updated_at: UpdatedAt) -> int | None:
    """The first round at or after a moment; none while there is none.

    The latest phase that had begun before it decides; of what follows a moment before the first
    round of a phase, what the phase before it still reported comes first.
    """
    phase, end = latest >> _PHASE_BIT, latest % (1 << _PHASE_BIT)
    later: int | None = None
    while phase > 0 and end > 0:
        last = updated_at(_id(phase, end))
        if last is not None and last >= start:
            found = _search(phase, end, start, updated_at)
            if found > 1:
                return _id(phase, found)
            later = _id(phase, found)
        elif last is not None:
            return later
        phase -= 1
        end = _last_of(phase, updated_at) if phase else 0
    return later


def rounds_of(
    next_hour: int, now: int, most: int, latest: int, updated_at: UpdatedAt
) -> tuple[int, ...]:
    """The rounds of the hours from `next_hour` on that have one, at most so many."""
    found: list[int] = []
    for hour in range(next_hour, now // HOUR + 1):
        first = first_round(hour * HOUR, latest, updated_at)
        if first is None or len(found) == most:
            break
        found.append(first)
    return tuple(found)


def usable_rounds(
    starts: Sequence[int], latest: int, updated_at: UpdatedAt, is_usable: Callable[[int], bool]
) -> tuple[int, ...]:
    """The rounds of these moments, as far as they have one: of each the first that is usable."""
    found: list[int] = []
    for start in starts:
        first = first_round(start, latest, updated_at)
        while first is not None and not is_usable(first):
            first = first + 1 if updated_at(first + 1) is not None else None
        if first is None:
            break
        found.append(first)
    return tuple(found)


def _search(phase: int, end: int, start: int, updated_at: UpdatedAt) -> int:
    """The least round with a time at or after `start`; that of `end` has one."""
    low, high = 1, end
    while low < high:
        middle = (low + high) // 2
        moment = updated_at(_id(phase, middle))
        if moment is not None and moment >= start:
            high = middle
        else:
            low = middle + 1
    return low


def _last_of(phase: int, updated_at: UpdatedAt) -> int:
    """The last round of a phase that is over: doubling, then bisection; zero without any."""
    if updated_at(_id(phase, 1)) is None:
        return 0
    known, unknown = 1, 2
    while updated_at(_id(phase, unknown)) is not None:
        known, unknown = unknown, 2 * unknown
    while unknown - known > 1:
        middle = (known + unknown) // 2
        if updated_at(_id(phase, middle)) is None:
            unknown = middle
        else:
            known = middle
    return known


def _id(phase: int, number: int) -> int:
    return phase << _PHASE_BIT | number

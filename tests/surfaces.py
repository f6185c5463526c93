"""Surfaces for tests: some that are good, and good ones that were broken in one place."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from plimsoll.risk.instruments import day_of
from plimsoll.risk.surface import MOST_SLICES, NANO, RefusedSurface, Slice, require_valid

DAY = 86_400


def first_day(now: int) -> int:
    """The first expiry day from a day after `now` on."""
    return day_of(now // DAY * DAY + 8 * 3_600) + 2


def flat(day: int, vol: int = 60, forward: int = NANO) -> Slice:
    """A gently smiling slice, `vol` percent at the money."""
    total = vol * vol * NANO // 10_000
    b, sigma = total // 5, 400_000
    return Slice(day, forward, total - b * sigma // 10**6, b, -200_000, 0, sigma)


def surface(now: int, count: int = 8, vol: int = 60) -> tuple[Slice, ...]:
    """As many expiries, a week apart, without arbitrage."""
    day = first_day(now)
    return tuple(flat(day + 7 * i, vol, NANO + 10**6 * i) for i in range(count))


def slices(day: int) -> st.SearchStrategy[Slice]:
    """Plausible ones, of which most allow no arbitrage alone."""
    return st.builds(
        lambda atm, share, rho, m, sigma, forward: Slice(
            day,
            forward,
            atm - share * sigma // 10**6,
            share,
            rho,
            m,
            sigma,
        ),
        atm=st.integers(5 * 10**6, 4 * NANO),
        share=st.integers(0, NANO),
        rho=st.integers(-900_000, 900_000),
        m=st.integers(-300_000, 300_000),
        sigma=st.integers(20_000, 10**6),
        forward=st.integers(NANO // 2, 2 * NANO),
    )


@st.composite
def generated(draw: st.DrawFn, now: int) -> tuple[Slice, ...]:
    """A surface whose slices are near each other, good or not."""
    count = draw(st.integers(1, 4))
    day = first_day(now) + draw(st.integers(-2, 700))
    first = draw(slices(day))
    found = [first]
    for _ in range(count - 1):
        day += draw(st.integers(1, 90))
        grown = draw(st.integers(-first.a // 50, 10**8)) if first.a > 0 else 10**7
        found.append(replace(found[-1], expiry_day=day, a=found[-1].a + grown))
    return tuple(draw(broken(found)))


@st.composite
def broken(draw: st.DrawFn, found: list[Slice]) -> list[Slice]:
    """The same, or with one field at an extreme of its type or its bound."""
    if draw(st.booleans()):
        return found
    place = draw(st.integers(0, len(found) - 1))
    moves = {
        "expiry_day": [0, 4_095, 4_096, 65_535, found[0].expiry_day],
        "forward": [NANO // 2, NANO // 2 - 1, 2 * NANO, 2 * NANO + 1, 2**256 - 1],
        "a": [25 * NANO, 25 * NANO + 1, -25 * NANO, -25 * NANO - 1, 2**255 - 1, -(2**255)],
        "b": [0, 2**44 - 1, 2**44, 2**256 - 1],
        "rho": [999_000, 999_001, -999_000, -999_001, -(2**255)],
        "m": [4 * 10**6, 4 * 10**6 + 1, -4 * 10**6, -4 * 10**6 - 1, 2**255 - 1],
        "sigma": [1_000, 999, 4 * 10**6, 4 * 10**6 + 1, 0, 2**256 - 1],
    }
    name = draw(st.sampled_from(sorted(moves)))
    value = draw(st.sampled_from(moves[name]))
    moved = replace(found[place], **{name: value})
    return [*found[:place], moved, *found[place + 1 :]][:MOST_SLICES]


def verdict(found: tuple[Slice, ...], observed_at: int, now: int) -> RefusedSurface | None:
    try:
        require_valid(found, observed_at, now)
    except RefusedSurface as refused:
        return refused
    return None

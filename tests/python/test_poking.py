"""Whoever chooses when to observe and when to sample chooses nothing else.

On minute prices: a generated crash always, and real ones from the folder that `PLIMSOLL_PRICES`
names (files of minute bars, `*_1m_*.csv.gz`), where it is set. The contracts equal this twin:
`tests/differential/test_oracle.py`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from plimsoll.lab.prices import read_series
from plimsoll.risk import oracle
from plimsoll.risk.model import BPS, WAD, Price, PriceStatus
from plimsoll.risk.oracle import (
    GAUGE_FALL,
    GAUGE_RISE,
    HOUR,
    Gauge,
    PriceObservation,
    Reading,
    Round,
    Source,
)

MINUTE = 60
START = 1_600_000_000 // HOUR * HOUR
SOURCE = Source(decimals=8, max_age=2 * HOUR)
REFERENCE = 6_000
RANGE = 610
DEVIATION = 50
"""A feed reports when its price has moved by so many bps, or after an hour."""

Minutes = list[int]
"""Prices with 8 decimals, one a minute."""


def generated(seed: int) -> Minutes:
    """A day of calm, a crash of two fifths within five hours, half of it back, and a day after."""
    rng = random.Random(seed)
    price, path = 2_000.0, []
    for drift, noise, minutes in [
        (0.0, 4e-4, 1_440),
        (-1.7e-3, 4e-3, 300),
        (1.2e-3, 3e-3, 240),
        (0.0, 1e-3, 1_440),
    ]:
        for _ in range(minutes):
            price *= 1 + drift + rng.gauss(0, noise)
            path.append(round(price * 10**8))
    return path


def real_files() -> list[Path]:
    folder = os.environ.get("PLIMSOLL_PRICES")
    return sorted(Path(folder).rglob("20*[CH]USDT_1m_*.csv.gz")) if folder else []


def real(file: Path) -> Minutes:
    return [int(price * 10**8) for price in read_series(str(file), ("BTC", "ETH")).prices]


MADE: list[tuple[str, Callable[[], Minutes]]] = [
    *((f"generated {seed}", lambda seed=seed: generated(seed)) for seed in range(3)),
    *((file.name, lambda file=file: real(file)) for file in real_files()),
]


@pytest.fixture(scope="module", params=[make for _, make in MADE], ids=[name for name, _ in MADE])
def minutes(request: pytest.FixtureRequest) -> Minutes:
    return list(request.param())


def rounds_of(minutes: Minutes) -> dict[int, Round]:
    """What a feed reports of these prices, from round one on."""
    rounds = {1: Round(minutes[0], START)}
    for at, price in enumerate(minutes):
        told, now = rounds[len(rounds)], START + at * MINUTE
        moved = abs(price - told.answer) * BPS >= DEVIATION * told.answer
        if moved or now - told.updated_at >= HOUR:
            rounds[len(rounds) + 1] = Round(price, now)
    return rounds


class Sampler:
    """Somebody who hands in all hours there are, whenever told; every round is tried that might
    be one."""

    def __init__(self, rounds: dict[int, Round]) -> None:
        self.rounds = rounds
        self.seen = Gauge()
        self.next = 1

    def hand_in(self, now: int) -> None:
        while True:
            for number in range(self.next, min(self.next + 200, len(self.rounds) + 1)):
                try:
                    self.seen = oracle.sample(
                        self.seen, self.rounds, number, SOURCE, REFERENCE, now
                    )
                except oracle.RoundRefused:
                    continue
                self.next = number
                break
            else:
                return


def visits(rng: random.Random, end: int, most: int) -> Iterator[int]:
    """Times from the start on, up to so many seconds apart, the end included."""
    now = START
    while now < end:
        yield now
        now += rng.randint(1, most)
    yield end


@pytest.mark.parametrize("most", [90 * MINUTE, 8 * HOUR])
def test_no_choice_of_times_moves_the_gauge(minutes: Minutes, most: int) -> None:
    """However late the hours are handed in, they make the same gauge; maintenance never follows it
    faster than its step, in either direction."""
    rounds, end = rounds_of(minutes), START + (len(minutes) - 1) * MINUTE
    prompt = Sampler(rounds)
    for now in range(START, end + 1, MINUTE):
        prompt.hand_in(now)
    prompt.hand_in(end)
    for seed in range(3):
        late = Sampler(rounds)
        times = list(visits(random.Random(seed), end, most))
        levels = []
        for now in times:
            late.hand_in(now)
            levels.append((now, late.seen.maintenance(now)))
        for (before, low), (after, high) in pairwise(levels):
            steps = after - before
            assert high - low <= GAUGE_RISE * steps // HOUR + 1
            assert low - high <= GAUGE_FALL * steps // HOUR + 1
        same = ("price", "hour", "phase", "variance", "gauge")
        assert [getattr(late.seen, name) for name in same] == [
            getattr(prompt.seen, name) for name in same
        ]


def test_the_gauge_feels_a_crash_and_forgets_it(minutes: Minutes) -> None:
    rounds = rounds_of(minutes)
    sampler = Sampler(rounds)
    gauges = []
    for at in range(0, len(minutes), 60):
        sampler.hand_in(START + at * MINUTE + MINUTE)
        gauges.append(sampler.seen.gauge)
    assert max(gauges) > 15_000
    assert gauges[-1] < max(gauges)
    assert all(oracle.GAUGE_MIN <= gauge <= oracle.GAUGE_MAX for gauge in gauges)


def observed_at(minutes: Minutes, times: list[int]) -> list[tuple[int, PriceObservation]]:
    """What is stored when the price is observed at these times."""
    seen = PriceObservation(minutes[0] * 10**10, minutes[0] * 10**10, START)
    history = [(START, seen)]
    for now in times:
        price = minutes[(now - START) // MINUTE] * 10**10
        reading = Reading(price, PriceStatus.OK)
        seen = oracle.observe(seen, reading, None, range_=RANGE, now=now)
        history.append((now, seen))
    return history


def peaks(minutes: Minutes, *, high: bool) -> list[int]:
    """The times of somebody who only looks when the price is at an end of its last hour."""
    pick = max if high else min
    return [
        START + at * MINUTE
        for at in range(60, len(minutes))
        if minutes[at] == pick(minutes[at - 60 : at + 1])
    ]


@pytest.mark.parametrize("who", ["everyone", "nobody", "at highs", "at lows", "at random"])
def test_no_choice_of_times_moves_the_stable_price_fast(minutes: Minutes, who: str) -> None:
    """Over any hours the stable price moves by at most a scan range for each, and only towards
    prices that were there when somebody looked."""
    end = START + (len(minutes) - 1) * MINUTE
    times = {
        "everyone": list(range(START, end, MINUTE)),
        "nobody": [end],
        "at highs": peaks(minutes, high=True),
        "at lows": peaks(minutes, high=False),
        "at random": list(visits(random.Random(7), end, 3 * HOUR)),
    }[who]
    history = observed_at(minutes, times)
    least, most = min(minutes) * 10**10, max(minutes) * 10**10
    for (before, old), (after, new) in pairwise(history):
        credited = min(after - before, HOUR)
        assert abs(new.stable - old.stable) * BPS * HOUR <= old.stable * RANGE * credited
        assert min(old.stable, old.last) <= new.stable <= max(old.stable, old.last)
        assert least <= new.stable <= most
    for hours in (1, 6):
        for now, seen in history:
            later = [one for then, one in history if now < then <= now + hours * HOUR]
            for one in later[-1:]:
                ratio = one.stable * WAD // seen.stable
                step = RANGE * WAD // BPS
                assert ratio <= _compounded(WAD + step, hours)
                assert ratio >= 2 * WAD - _compounded(WAD + step, hours)


def _compounded(factor: int, hours: int) -> int:
    """A factor for each of so many hours in many small steps: e to the power, rounded up."""
    total, term, each = WAD, WAD, (factor - WAD) * hours
    for n in range(1, 30):
        term = term * each // WAD // n + 1
        total += term
    return total


def test_a_stale_peg_is_asked_anew() -> None:
    seen = PriceObservation(WAD, WAD, START)
    gone = Price(WAD // 2, WAD, 0)
    assert not oracle.is_depegged(seen, gone, 200, START + HOUR)
    assert oracle.is_depegged(seen, gone, 200, START + HOUR + 1)

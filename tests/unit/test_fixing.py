"""The fixing of an expiry: which rounds are its samples, that none can be chosen, and what happens
when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import oracle
from plimsoll.risk.instruments import expiry_of
from plimsoll.risk.model import WAD
from plimsoll.risk.oracle import Fixing, Round, RoundRefused, Source, fixing_instant
from plimsoll.risk.params import (
    Kind,
    OptionsParams,
    SecondSourceParams,
    SourceParams,
    UnderlyingParams,
)
from tests.surfaces import first_day
from tests.unit.test_oracle_sources import FEED_ID, Pyth
from tests.world import Market, number

ETH, BTC = 1, 2
DECIMALS = 8
PRICE = 2_000 * 10**DECIMALS
RISK = UnderlyingParams(range=600, window=120, closing=5, concentration=500, band=50)
PHASE = 1 << 64
DAY = 86_400
FLOOR, CEILING = 60, 75
MAX_AGE = 100_000
SOURCE = Source(DECIMALS, MAX_AGE, FLOOR, CEILING)


class Fixed(Market):
    """Ether with a history of rounds, and an expiry to come; the twin beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.day = first_day(self.now)
        self.expiry = expiry_of(self.day)
        self.feed = self.evm.deploy("MockRounds", DECIMALS)
        self.rounds: dict[int, Round] = {}
        self.seen = Fixing()
        self.frozen: int | None = None
        self.report(PHASE + 1, PRICE, self.now - 30)
        word = SourceParams(
            number(self.feed), decimals=DECIMALS, max_age=MAX_AGE, floor=FLOOR, ceiling=CEILING
        )
        self.engine.setUp(Kind.SOURCE, ETH, word.word)
        self.engine.setUp(Kind.UNDERLYING, ETH, RISK.word)
        self.engine.setUp(Kind.OPTIONS, ETH, OptionsParams(2_000).word)

    def instant(self, place: int) -> int:
        return fixing_instant(self.expiry, place)

    def at(self, time: int) -> None:
        self.warp(time - self.now)

    def report(self, round_: int, answer: int, time: int) -> None:
        self.feed.set(round_, answer, time)
        self.rounds[round_] = Round(answer, time)

    def history(self, first: int = PHASE + 2, delay: int = 10) -> list[int]:
        """A round some seconds after each instant, each a dollar above the one before it."""
        numbers = [first + place for place in range(6)]
        for place, one in enumerate(numbers):
            self.report(one, PRICE + place * 10**DECIMALS, self.instant(place) + delay)
        self.at(self.expiry)
        return numbers

    def fix(self, *numbers: int) -> list[Any]:
        """By anyone; the twin does the same."""
        stranger = self.evm.actor("anyone")
        receipt = self.engine.recordFixing(ETH, self.day, list(numbers), sender=stranger)
        self.seen = self.predicted(numbers)
        told = self.engine.call.fixing(ETH, self.day)
        assert tuple(told) == (self.seen.samples, self.seen.sum)
        events: list[Any] = receipt.events("FixingRecorded")
        return events

    def predicted(self, numbers: Sequence[int]) -> Fixing:
        expiry, now = self.expiry, self.now
        told = self.seen, self.rounds, numbers, expiry, SOURCE, now, self.frozen
        return oracle.fix(*told, address=number(self.feed))

    def refuses(self, name: str, *values: int, rounds: Sequence[int] = ()) -> None:
        """Both the contract, by this error, and the twin."""
        told = (self.day, *values) if name == "FixingComplete" else values
        with self.evm.reverts(name, ETH, *told):
            self.engine.recordFixing(ETH, self.day, list(rounds))
        with pytest.raises(RoundRefused) as refusal:
            self.predicted(rounds)
        assert (refusal.value.name, refusal.value.values) == (name, values)

    def break_for(self, seconds: int) -> None:
        """Ends the feed: its last answer is too old, and nobody saw another."""
        self.engine.observe([ETH])
        self.warp(seconds)

    def freeze_at(self, price: int) -> None:
        self.engine.setUp(Kind.FROZEN_PRICE, ETH, price)
        self.frozen = price or None


@pytest.fixture
def market() -> Fixed:
    return Fixed()


# The six samples


def test_the_settlement_price_is_the_mean_of_six(market: Fixed) -> None:
    """2000, 2001, ... 2005 dollars: 2002.5, to the wei."""
    events = market.fix(*market.history())
    prices = [(2_000 + place) * WAD for place in range(6)]
    assert [tuple(event) for event in events] == [
        (ETH, market.day, place + 1, price) for place, price in enumerate(prices)
    ]
    assert market.seen.is_final
    assert market.seen.price == 2_002 * WAD + WAD // 2


def test_the_mean_rounds_down(market: Fixed) -> None:
    numbers = market.history()
    market.report(numbers[5], PRICE + 5 * 10**DECIMALS + 1, market.instant(5) + 10)
    market.fix(*numbers)
    assert market.seen.sum == 12_015 * WAD + 10**10
    assert market.seen.price == 2_002 * WAD + WAD // 2 + 10**10 // 6


def test_one_at_a_time_as_each_is_reported(market: Fixed) -> None:
    for place in range(6):
        market.at(market.instant(place))
        market.report(PHASE + 2 + place, PRICE, market.now)
        [event] = market.fix(PHASE + 2 + place)
        assert event.samples == place + 1
    assert market.now == market.expiry - 300
    assert market.seen.price == 2_000 * WAD


def test_one_round_serves_every_instant_that_it_follows(market: Fixed) -> None:
    """The feed is silent from before the first instant until after the fourth."""
    market.report(PHASE + 2, PRICE * 2, market.instant(3) + 5)
    market.report(PHASE + 3, PRICE * 3, market.instant(4))
    market.at(market.expiry + DAY)
    market.report(PHASE + 4, PRICE * 4, market.expiry + 3_600)
    market.fix(PHASE + 2, PHASE + 2, PHASE + 2)
    market.refuses(
        "RoundNotFirst", PHASE + 3, market.instant(3) + 5, market.instant(3), rounds=[PHASE + 3]
    )
    market.fix(PHASE + 2, PHASE + 3, PHASE + 4)
    assert market.seen.sum == (4 * 2 + 3 + 4) * 2_000 * WAD


@pytest.mark.parametrize("place", range(6))
def test_no_sample_can_be_chosen(market: Fixed, place: int) -> None:
    """Of all rounds ever reported just one is the sample of an instant."""
    numbers = market.history(delay=250)
    market.report(numbers[5] + 1, PRICE, market.expiry)
    market.fix(*numbers[:place])
    for other in range(PHASE + 1, numbers[5] + 2):
        if other == numbers[place]:
            continue
        late = other > numbers[place]
        expected = "RoundNotFirst" if late else "RoundTooEarly"
        if other < market.seen.round:
            expected = "RoundsDescend"
        with market.evm.reverts(expected, underlying=ETH, round=other):
            market.engine.recordFixing(ETH, market.day, [other])
    market.fix(numbers[place])


def test_a_round_on_the_instant_is_its_sample_and_a_second_before_is_not(market: Fixed) -> None:
    start = market.instant(0)
    market.report(PHASE + 2, PRICE, start - 1)
    market.report(PHASE + 3, PRICE, start)
    market.at(start)
    market.refuses("RoundTooEarly", PHASE + 2, start - 1, start, rounds=[PHASE + 2])
    market.fix(PHASE + 3)


def test_nothing_is_fixed_before_its_time(market: Fixed) -> None:
    start = market.instant(0)
    market.report(PHASE + 2, PRICE, start)
    market.at(start - 1)
    market.refuses("RoundUnavailable", PHASE + 2, rounds=[PHASE + 2])
    market.refuses(
        "RoundTooEarly", PHASE + 1, market.rounds[PHASE + 1].updated_at, start, rounds=[PHASE + 1]
    )
    market.at(start)
    market.fix(PHASE + 2)
    second = market.instant(1)
    market.refuses("RoundTooEarly", PHASE + 2, start, second, rounds=[PHASE + 2])


def test_six_are_all(market: Fixed) -> None:
    numbers = market.history()
    market.refuses("FixingComplete", 0, rounds=[*numbers, numbers[5]])
    market.fix(*numbers[:4])
    market.refuses("FixingComplete", 4, rounds=[numbers[4], numbers[5], numbers[5]])
    market.fix(*numbers[4:])
    market.refuses("FixingComplete", 6, rounds=[numbers[5]])
    market.fix()


def test_a_call_with_a_wrong_round_stores_nothing(market: Fixed) -> None:
    numbers = market.history()
    with market.evm.reverts("RoundTooEarly"):
        market.engine.recordFixing(ETH, market.day, [*numbers[:3], numbers[3] - 1])
    assert tuple(market.engine.call.fixing(ETH, market.day)) == (0, 0)


def test_each_expiry_is_fixed_by_itself(market: Fixed) -> None:
    market.fix(*market.history())
    assert tuple(market.engine.call.fixing(ETH, market.day + 1)) == (0, 0)
    assert tuple(market.engine.call.fixing(BTC, market.day)) == (0, 0)
    with market.evm.reverts("RoundTooEarly"):
        market.engine.recordFixing(ETH, market.day + 1, [PHASE + 7])


def test_what_cannot_be_fixed(market: Fixed) -> None:
    with market.evm.reverts("UnknownUnderlying", BTC):
        market.engine.recordFixing(BTC, market.day, [])
    pyth = Pyth.deploy(market.evm)
    pyth.tell(150 * 10**8)
    market.engine.setUp(Kind.PYTH_ID, BTC, FEED_ID)
    by_pyth = SourceParams(number(pyth.contract), 2, decimals=8, max_age=3_600)  # type: ignore[arg-type]
    market.engine.setUp(Kind.SOURCE, BTC, by_pyth.word)
    with market.evm.reverts("RoundsMissing", BTC):
        market.engine.recordFixing(BTC, market.day, [])
    with market.evm.reverts("ExpiryOutOfBounds", 4_096):
        market.engine.recordFixing(ETH, 4_096, [])


def test_the_second_source_serves_where_only_that_has_rounds(market: Fixed) -> None:
    pyth = Pyth.deploy(market.evm)
    pyth.tell(PRICE)
    market.engine.setUp(Kind.PYTH_ID, ETH, FEED_ID)
    old = SourceParams.from_word(market.engine.call.parameter(Kind.SOURCE, ETH).target)
    second = SecondSourceParams(
        old.address, old.source, old.decimals, old.max_age, old.floor, old.ceiling, 500
    )
    market.engine.setUp(Kind.SECOND_SOURCE, ETH, second.word)
    by_pyth = SourceParams(number(pyth.contract), 2, decimals=8, max_age=3_600)  # type: ignore[arg-type]
    market.engine.setUp(Kind.SOURCE, ETH, by_pyth.word)
    market.fix(*market.history())
    assert market.seen.is_final


# Rounds that are no samples


@pytest.mark.parametrize("answer", [0, -1, 2**FLOOR // 10**10, 2**CEILING // 10**10 + 1, 2**200])
def test_a_round_out_of_bounds_counts_as_never_reported(market: Fixed, answer: int) -> None:
    """Neither does it settle anything, nor does it keep the next one from being the first."""
    start = market.instant(0)
    market.report(PHASE + 2, PRICE, start - 5)
    market.report(PHASE + 3, answer, start + 5)
    market.report(PHASE + 4, answer, start + 6)
    market.report(PHASE + 5, PRICE + 7, start + 7)
    market.report(PHASE + 6, PRICE, start + 8)
    market.at(start + 10)
    market.refuses("RoundUnavailable", PHASE + 3, rounds=[PHASE + 3])
    market.refuses("RoundNotFirst", PHASE + 6, start + 7, start, rounds=[PHASE + 6])
    [event] = market.fix(PHASE + 5)
    assert event.price == 2_000 * WAD + 7 * 10**10


def test_bounds_are_met_exactly(market: Fixed) -> None:
    numbers = market.history()
    lowest = -(-(2**FLOOR) // 10**10)
    highest = (2**CEILING - 1) // 10**10
    market.report(numbers[0], lowest, market.instant(0))
    market.report(numbers[1], highest, market.instant(1))
    events = market.fix(*numbers)
    assert [event.price for event in events[:2]] == [lowest * 10**10, highest * 10**10]


def test_a_lost_round_before_it_hides_the_first(market: Fixed) -> None:
    numbers = market.history()
    market.feed.lose(numbers[0] - 1)
    del market.rounds[numbers[0] - 1]
    market.refuses("RoundUnavailable", numbers[0] - 1, rounds=[numbers[0]])


def test_a_feed_without_history_settles_nothing(market: Fixed) -> None:
    market.report(PHASE + 2, PRICE, market.instant(0))
    market.at(market.expiry)
    market.feed.forget()
    for number_ in (PHASE + 1, PHASE + 2, 2 * PHASE + 1):
        with market.evm.reverts("RoundNotFirst"):
            market.engine.recordFixing(ETH, market.day, [number_])


# Phases


def test_numbers_never_descend(market: Fixed) -> None:
    """A phase that was left is not gone back to, within a call or from one to another."""
    for place in range(3):
        market.report(PHASE + 2 + place, PRICE, market.instant(place) + 5)
        market.report(2 * PHASE + 2 + place, PRICE, market.instant(place) + 7)
    market.report(2 * PHASE + 1, PRICE, market.instant(0) - 5)
    market.at(market.expiry)
    rounds = [2 * PHASE + 2, PHASE + 3]
    market.refuses("RoundsDescend", PHASE + 3, 2 * PHASE + 2, rounds=rounds)
    market.fix(PHASE + 2, 2 * PHASE + 3)
    market.refuses("RoundsDescend", PHASE + 4, 2 * PHASE + 3, rounds=[PHASE + 4])
    market.fix(2 * PHASE + 4)


def test_another_source_counts_its_rounds_anew(market: Fixed) -> None:
    """Governance replaced the feed while samples were missing: what is left is of the new one."""
    late = 7 * PHASE
    market.report(late + 1, PRICE, market.instant(0) - 5)
    for place in range(6):
        market.report(late + 2 + place, PRICE, market.instant(place) + 5)
    market.at(market.expiry)
    market.fix(late + 2, late + 3)
    old = SourceParams.from_word(market.engine.call.parameter(Kind.SOURCE, ETH).target)
    market.feed, market.rounds = market.evm.deploy("MockRounds", DECIMALS), {}
    for place in range(-1, 6):
        market.report(PHASE + 2 + place, 2 * PRICE, market.instant(place) + 9)
    market.engine.setUp(Kind.SOURCE, ETH, replace(old, address=number(market.feed)).word)
    market.fix(PHASE + 4, PHASE + 5)
    market.refuses("RoundsDescend", PHASE + 4, PHASE + 5, rounds=[PHASE + 4])
    market.fix(PHASE + 6, PHASE + 7)
    assert market.seen.sum == (2 + 4 * 2) * 2_000 * WAD


def test_the_first_round_of_a_later_phase_waits_for_a_day(market: Fixed) -> None:
    """Until then a round of the phase before, if there is one, is handed in by who has it."""
    start = market.instant(0)
    market.report(2 * PHASE + 1, 3 * PRICE, start + 20)
    market.at(start + 30)
    market.refuses("PhaseTooNew", 2 * PHASE + 1, start + DAY, rounds=[2 * PHASE + 1])
    with market.anchored():
        seen, rounds = market.seen, dict(market.rounds)
        market.report(PHASE + 2, PRICE, start + 25)
        [event] = market.fix(PHASE + 2)
        assert event.price == 2_000 * WAD
        market.seen, market.rounds = seen, rounds
    market.at(start + DAY - 1)
    market.refuses("PhaseTooNew", 2 * PHASE + 1, start + DAY, rounds=[2 * PHASE + 1])
    market.at(start + DAY)
    [event] = market.fix(2 * PHASE + 1)
    assert event.price == 6_000 * WAD


def test_the_first_round_of_the_first_phase_need_not_wait(market: Fixed) -> None:
    market.report(PHASE + 1, PRICE, market.instant(0))
    market.at(market.instant(0))
    market.fix(PHASE + 1)


def test_bad_rounds_at_the_start_of_a_phase_make_the_next_one_wait_too(market: Fixed) -> None:
    start = market.instant(0)
    market.report(2 * PHASE + 1, 0, start + 20)
    market.report(2 * PHASE + 2, PRICE, start + 21)
    market.at(start + 30)
    market.refuses("PhaseTooNew", 2 * PHASE + 2, start + DAY, rounds=[2 * PHASE + 2])


# Frozen prices


def test_a_frozen_price_stands_for_the_samples_that_are_missing(market: Fixed) -> None:
    numbers = market.history()
    market.fix(*numbers[:2])
    market.break_for(17 * DAY)
    market.freeze_at(1_500 * WAD)
    market.refuses("FixingFrozen", market.expiry, rounds=[numbers[2]])
    events = market.fix()
    assert [(event.samples, event.price) for event in events] == [
        (place, 1_500 * WAD) for place in (3, 4, 5, 6)
    ]
    assert market.seen.price == (2_000 + 2_001 + 4 * 1_500) * WAD // 6
    market.refuses("FixingComplete", 6, rounds=[numbers[2]])
    assert market.fix() == []


def test_before_the_expiry_a_frozen_price_fixes_nothing() -> None:
    market = Fixed()
    market.day += 60
    market.expiry = expiry_of(market.day)
    market.break_for(18 * DAY)
    market.freeze_at(1_500 * WAD)
    market.at(market.expiry - 1)
    market.refuses("FixingFrozen", market.expiry)
    market.warp(1)
    market.fix()
    assert (market.seen.samples, market.seen.sum) == (6, 6 * 1_500 * WAD)


def test_rounds_count_again_when_the_freeze_is_lifted(market: Fixed) -> None:
    numbers = market.history()
    market.break_for(17 * DAY)
    market.freeze_at(1_500 * WAD)
    market.refuses("FixingFrozen", market.expiry, rounds=numbers)
    market.freeze_at(0)
    market.fix(*numbers)
    assert market.seen.price == 2_002 * WAD + WAD // 2


def test_without_rounds_and_without_a_freeze_nothing_happens(market: Fixed) -> None:
    market.at(market.expiry + DAY)
    assert market.fix() == []
    assert market.seen == Fixing()


# Any history


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[int, int, int]], list[list[int]]]:
    """Rounds of two phases as (number, answer, seconds after the first instant), and calls."""
    rounds = []
    for phase in (1, 2):
        time = draw(st.integers(-400, 100)) + (phase - 1) * draw(st.sampled_from([0, 900]))
        for count in range(1, draw(st.integers(2, 9))):
            time += draw(st.integers(0, 400))
            answer = draw(st.sampled_from([PRICE, PRICE, PRICE, PRICE + count, 0, -5]))
            rounds.append((phase * PHASE + count, answer, time))
    numbers = [number_ for number_, _, _ in rounds]
    some = st.sampled_from([*numbers, PHASE + 40, 2 * PHASE, 0])
    calls = st.lists(st.lists(some, max_size=3), max_size=6)
    return rounds, draw(calls)


@pytest.fixture(scope="module")
def shared() -> Fixed:
    return Fixed()


@given(history=histories(), now=st.sampled_from([0, 700, 1_800, 4_000, DAY, 2 * DAY]))
def test_any_history_is_fixed_as_by_the_twin(
    shared: Fixed, history: tuple[list[tuple[int, int, int]], list[list[int]]], now: int
) -> None:
    rounds, calls = history
    before, known = shared.seen, dict(shared.rounds)
    with shared.anchored():
        for number_, answer, time in rounds:
            shared.report(number_, answer, shared.instant(0) + time)
        shared.at(shared.instant(0) + now)
        for call in calls:
            try:
                expected = shared.predicted(call)
            except RoundRefused as refusal:
                told = refusal.values
                if refusal.name == "FixingComplete":
                    told = (shared.day, *told)
                with shared.evm.reverts(refusal.name, ETH, *told):
                    shared.engine.recordFixing(ETH, shared.day, call)
            else:
                shared.fix(*call)
                assert shared.seen == expected
        # The next sample is one round and no other, whatever the calls were.
        fitting = [one for one in shared.rounds if _fits(shared, one)]
        assert len({one >> 64 for one in fitting}) == len(fitting)
    shared.seen, shared.rounds = before, known


def _fits(market: Fixed, number_: int) -> bool:
    try:
        market.predicted([number_])
    except RoundRefused:
        return False
    return True


def test_the_twin_s_fixing_is_the_slot(market: Fixed) -> None:
    numbers = market.history()
    market.fix(*numbers[:3])
    feed = number(market.feed)
    assert market.seen == Fixing(6_003 * WAD, 3, numbers[2], feed)

"""The gauge of an underlying: which round is the sample of an hour, what a call refuses, and how
both levels follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plimsoll.lab import components
from plimsoll.risk.model import BPS, WAD, PriceStatus, ceil_div
from plimsoll.risk.oracle import HOUR, Gauge, Round, RoundRefused, Source, sample
from plimsoll.risk.params import (
    DELAY,
    Kind,
    SecondSourceParams,
    SourceKind,
    SourceParams,
    UnderlyingParams,
)
from tests.evm import Contract
from tests.unit.test_oracle_sources import FEED_ID, Pyth
from tests.world import Market, number

ETH, BTC = 1, 2
DECIMALS = 8
PRICE = 2_000 * 10**DECIMALS
RISK = UnderlyingParams(range=600, window=120, closing=5, concentration=500, band=50)
REFERENCE = 6_000
"""0.6 % an hour, in hundredths of a basis point."""
PHASE = 1 << 64
MAX_AGE = 100_000


class Sampled(Market):
    """Ether with a history of rounds; the clock stands a minute into an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.warp(HOUR - self.now % HOUR + 60)
        self.feed = self.evm.deploy("MockRounds", DECIMALS)
        self.report(PHASE + 1, PRICE, 30)
        source = SourceParams(number(self.feed), decimals=DECIMALS, max_age=MAX_AGE, floor=60)
        self.engine.setUp(Kind.SOURCE, ETH, source.word)
        self.engine.setUp(Kind.UNDERLYING, ETH, RISK.word)
        self.engine.setUp(Kind.VOLATILITY, ETH, REFERENCE)

    def report(self, round_: int, answer: int, ago: int = 0) -> None:
        self.feed.set(round_, answer, self.now - ago)

    def next_hour(self, seconds: int = 0) -> None:
        self.warp(HOUR - self.now % HOUR + seconds)

    def sample(self, *rounds: int, u: int = ETH) -> list[Any]:
        receipt = self.engine.sampleVolatility(u, list(rounds), sender=self.evm.actor("anyone"))
        events: list[Any] = receipt.events("VolatilitySampled")
        return events

    def told(self, u: int = ETH) -> Any:
        return self.engine.call.volatility(u)


@pytest.fixture(scope="module")
def built() -> Sampled:
    return Sampled()


@pytest.fixture
def market(built: Sampled) -> Iterator[Sampled]:
    with built.anchored():
        yield built


@pytest.fixture
def started(market: Sampled) -> Sampled:
    """One hour after the first sample, with a first round within it."""
    market.sample(PHASE + 1)
    market.next_hour(100)
    market.report(PHASE + 2, PRICE, 90)
    return market


# Samples


def test_the_first_sample_is_at_one(market: Sampled) -> None:
    [event] = market.sample(PHASE + 1)
    expected = REFERENCE**2 * 10**6
    assert tuple(event) == (ETH, market.now // HOUR, 2_000 * WAD, expected, BPS)
    assert tuple(market.told()) == (2_000 * WAD, market.now // HOUR, expected, BPS, BPS)


def test_before_the_first_sample_the_gauge_is_one(market: Sampled) -> None:
    assert tuple(market.told()) == (0, 0, 0, BPS, BPS)


def test_a_still_hour_lowers_the_gauge(started: Sampled) -> None:
    """Root of 0.97, rounded up."""
    [event] = started.sample(PHASE + 2)
    assert event.variance == REFERENCE**2 * 10**6 * 97 // 100
    assert event.gauge == 9_849


def test_a_move_counts_at_most_six_deviations(started: Sampled) -> None:
    """Half the price in an hour: 0.97 + 0.03 * 36 = 2.05 of the variance."""
    started.report(PHASE + 2, PRICE // 2, 50)
    [event] = started.sample(PHASE + 2)
    assert event.price == 1_000 * WAD
    assert event.variance == REFERENCE**2 * 10**4 * 205
    assert event.gauge == 14_318


def test_an_hour_of_the_usual_size_keeps_it(started: Sampled) -> None:
    started.report(PHASE + 2, PRICE * 10_060 // 10_000, 50)
    [event] = started.sample(PHASE + 2)
    assert event.variance == REFERENCE**2 * 10**6
    assert event.gauge == BPS


def test_the_gauge_stays_within_its_ends(started: Sampled) -> None:
    rounds = []
    for hour in range(150):
        rounds.append(PHASE + 2 + hour)
        started.report(rounds[-1], PRICE * (1 + hour % 2), 10)
        started.next_hour(100)
    assert started.sample(*rounds)[-1].gauge == 40_000
    for _ in range(150):
        rounds.append(PHASE + 2 + len(rounds))
        started.report(rounds[-1], PRICE, 10)
        started.next_hour(100)
    assert started.sample(*rounds[150:])[-1].gauge == 6_000


def test_several_hours_in_one_call_equal_one_each(started: Sampled) -> None:
    rounds = []
    for hour in range(6):
        rounds.append(PHASE + 2 + hour)
        started.report(rounds[-1], PRICE * (100 + hour * (-1) ** hour) // 100, 10)
        started.next_hour(100)
    with started.anchored():
        together = [tuple(event) for event in started.sample(*rounds)]
        state = tuple(started.told())
    assert [tuple(event) for one in rounds for event in started.sample(one)] == together
    assert tuple(started.told()) == state


def test_no_rounds_change_nothing(started: Sampled) -> None:
    before = tuple(started.told())
    assert started.sample() == []
    assert tuple(started.told()) == before


def test_a_silent_hour_has_the_next_round_for_a_sample(market: Sampled) -> None:
    """The source says nothing for two hours: one round is the sample of three."""
    market.sample(PHASE + 1)
    for _ in range(3):
        market.next_hour(100)
    market.report(PHASE + 2, PRICE * 101 // 100, 10)
    events = market.sample(PHASE + 2, PHASE + 2, PHASE + 2)
    hour = market.now // HOUR
    assert [event.hour for event in events] == [hour - 2, hour - 1, hour]
    assert {event.price for event in events} == {2_020 * WAD}
    with market.evm.reverts("RoundTooEarly", ETH, PHASE + 2, market.now - 10, (hour + 1) * HOUR):
        market.sample(PHASE + 2)


@pytest.mark.parametrize("answer", [0, -1, 2**59 * 10**8 // 10**18, 2**127])
def test_an_answer_out_of_bounds_is_no_sample(started: Sampled, answer: int) -> None:
    started.report(PHASE + 2, answer, 50)
    [event] = started.sample(PHASE + 2)
    assert event.price == 2_000 * WAD
    assert event.variance == REFERENCE**2 * 10**6 * 97 // 100


# Sources in doubt


def doubted(market: Sampled) -> Contract:
    """Beside the feed stands a second one that has ceased to agree."""
    second = market.evm.deploy("MockRounds", DECIMALS)
    second.set(1, PRICE, market.now)
    word = SecondSourceParams(
        number(second), decimals=DECIMALS, max_age=MAX_AGE, deviation=200, floor=60
    )
    market.engine.setUp(Kind.SECOND_SOURCE, ETH, word.word)
    second.set(2, PRICE * 110 // 100, market.now)
    market.engine.observe([ETH])
    assert market.engine.call.price(ETH).status == PriceStatus.DEVIATING
    return second


def test_a_feed_in_doubt_moves_no_gauge(started: Sampled) -> None:
    """It swings by a third every hour for a day, which nobody confirms."""
    doubted(started)
    rounds = []
    for hour in range(24):
        rounds.append(PHASE + 2 + hour)
        started.report(rounds[-1], PRICE * (130 if hour % 2 else 100) // 100, 50)
        started.next_hour(100)
    events = started.sample(*rounds)
    assert {event.price for event in events} == {2_000 * WAD}
    gauges = [event.gauge for event in events]
    assert gauges == sorted(gauges, reverse=True)
    assert gauges[0] == 9_849
    assert started.told().maintenanceGauge == BPS


def test_what_a_feed_says_counts_again_once_it_is_confirmed(started: Sampled) -> None:
    second = doubted(started)
    started.report(PHASE + 2, PRICE * 2, 50)
    started.sample(PHASE + 2)
    started.next_hour(100)
    started.report(PHASE + 3, PRICE * 2, 50)
    second.set(3, PRICE * 2, started.now)
    started.engine.observe([ETH])
    assert started.engine.call.price(ETH).status == PriceStatus.OK
    variance = started.told().variance
    [event] = started.sample(PHASE + 3)
    assert event.price == 4_000 * WAD
    assert event.variance == ceil_div(variance * 205, 100), "one move of six deviations"


def test_a_feed_in_doubt_gives_no_first_sample(market: Sampled) -> None:
    doubted(market)
    with market.evm.reverts("RoundUnavailable", ETH, PHASE + 1):
        market.sample(PHASE + 1)


@pytest.mark.parametrize("status", [status for status in PriceStatus if status != PriceStatus.OK])
def test_the_twin_takes_no_sample_in_doubt_either(status: PriceStatus) -> None:
    rounds = {PHASE + 1: Round(PRICE, HOUR), PHASE + 2: Round(2 * PRICE, 2 * HOUR)}
    source = Source(DECIMALS, MAX_AGE)
    with pytest.raises(RoundRefused):
        sample(Gauge(), rounds, PHASE + 1, source, REFERENCE, HOUR, status)
    seen = sample(Gauge(), rounds, PHASE + 1, source, REFERENCE, HOUR)
    after = sample(seen, rounds, PHASE + 2, source, REFERENCE, 2 * HOUR, status)
    assert (after.price, after.gauge) == (2_000 * WAD, 9_849)


# What is refused


def test_a_round_before_the_hour(started: Sampled) -> None:
    start = started.now // HOUR * HOUR
    time = start - HOUR + 30
    with started.evm.reverts("RoundTooEarly", ETH, PHASE + 1, time, start):
        started.sample(PHASE + 1)


def test_an_hour_that_has_not_begun(started: Sampled) -> None:
    start = started.now // HOUR * HOUR
    started.report(PHASE + 3, PRICE, 5)
    started.sample(PHASE + 2)
    with started.evm.reverts("RoundTooEarly", ETH, PHASE + 3, started.now - 5, start + HOUR):
        started.sample(PHASE + 3)


def test_a_round_that_is_not_the_first(started: Sampled) -> None:
    started.report(PHASE + 3, PRICE * 2, 5)
    start = started.now // HOUR * HOUR
    with started.evm.reverts("RoundNotFirst", ETH, PHASE + 3, started.now - 90, start):
        started.sample(PHASE + 3)


def test_hours_out_of_order(started: Sampled) -> None:
    started.next_hour(100)
    started.report(PHASE + 3, PRICE, 90)
    start = started.now // HOUR * HOUR - HOUR
    before = tuple(started.told())
    with started.evm.reverts("RoundNotFirst", ETH, PHASE + 3, start + 10, start):
        started.sample(PHASE + 3, PHASE + 2)
    assert tuple(started.told()) == before
    assert len(started.sample(PHASE + 2, PHASE + 3)) == 2


def test_the_hour_that_runs_when_nothing_was_sampled(market: Sampled) -> None:
    """No choice of a start: a round of the day before is no first sample."""
    market.next_hour(100)
    start = market.now // HOUR * HOUR
    with market.evm.reverts("RoundTooEarly", ETH, PHASE + 1, start - HOUR + 30, start):
        market.sample(PHASE + 1)


@pytest.mark.parametrize("missing", [PHASE + 9, PHASE, 2 * PHASE])
def test_a_round_that_never_was(started: Sampled, missing: int) -> None:
    """Numbers start at one in each phase."""
    with started.evm.reverts("RoundUnavailable", ETH, missing):
        started.sample(missing)


def test_a_round_that_cannot_be_read(started: Sampled) -> None:
    started.feed.lose(PHASE + 2)
    with started.evm.reverts("RoundUnavailable", ETH, PHASE + 2):
        started.sample(PHASE + 2)


def test_a_round_whose_predecessor_cannot_be_read(started: Sampled) -> None:
    started.feed.lose(PHASE + 1)
    with started.evm.reverts("RoundUnavailable", ETH, PHASE + 1):
        started.sample(PHASE + 2)


def test_a_round_from_the_future(started: Sampled) -> None:
    started.report(PHASE + 2, PRICE, -1)
    with started.evm.reverts("RoundUnavailable", ETH, PHASE + 2):
        started.sample(PHASE + 2)


def test_a_first_sample_out_of_bounds(market: Sampled) -> None:
    market.report(PHASE + 1, 0, 30)
    with market.evm.reverts("RoundUnavailable", ETH, PHASE + 1):
        market.sample(PHASE + 1)


def test_an_underlying_without_a_reference(market: Sampled) -> None:
    with market.evm.reverts("VolatilityUnset", BTC):
        market.sample(PHASE + 1, u=BTC)


def test_an_underlying_without_a_source_has_no_gauge(market: Sampled) -> None:
    with market.evm.reverts("UnknownUnderlying", BTC):
        market.engine.call.volatility(BTC)


def test_too_little_gas_fails_and_stores_nothing(started: Sampled) -> None:
    with started.evm.reverts("InsufficientGas"):
        started.engine.sampleVolatility(ETH, [PHASE + 2], gas=150_000)
    assert len(started.sample(PHASE + 2)) == 1


# Phases


def test_the_first_round_of_a_phase_needs_no_predecessor(started: Sampled) -> None:
    started.report(2 * PHASE + 1, PRICE * 102 // 100, 20)
    [event] = started.sample(2 * PHASE + 1)
    assert event.price == 2_040 * WAD


def test_the_first_round_of_a_phase_has_none_before_it(started: Sampled) -> None:
    """Whenever round zero was: where there is one, the next is not the first."""
    start = started.now // HOUR * HOUR
    started.report(2 * PHASE, PRICE, 2 * HOUR)
    started.report(2 * PHASE + 1, PRICE, 20)
    with started.evm.reverts("RoundNotFirst", ETH, 2 * PHASE + 1, started.now - 2 * HOUR, start):
        started.sample(2 * PHASE + 1)
    started.feed.lose(2 * PHASE)
    assert len(started.sample(2 * PHASE + 1)) == 1


@pytest.mark.parametrize("chosen", [1, PHASE, PHASE + 1, PHASE + 2, 2 * PHASE, 2 * PHASE + 1])
def test_a_feed_that_ignores_numbers_lets_nobody_choose(started: Sampled, chosen: int) -> None:
    """Whatever the number, it answers with its price of now."""
    started.report(PHASE + 2, PRICE * 2, 0)
    started.feed.forget()
    refusal: tuple[str, *tuple[int, ...]] = (
        "RoundNotFirst",
        ETH,
        chosen,
        started.now,
        started.now // HOUR * HOUR,
    )
    if chosen == 1:
        refusal = ("PhasePassed", ETH, 1, 1)
    with started.evm.reverts(*refusal):
        started.sample(chosen)


def test_phases_do_not_go_back(started: Sampled) -> None:
    started.report(2 * PHASE + 1, PRICE, 20)
    started.sample(2 * PHASE + 1)
    started.next_hour(100)
    started.report(PHASE + 3, PRICE, 50)
    started.report(2 * PHASE + 2, PRICE, 50)
    with started.evm.reverts("PhasePassed", ETH, PHASE + 3, 2):
        started.sample(PHASE + 3)
    assert len(started.sample(2 * PHASE + 2)) == 1


def test_the_rounds_of_another_source_begin_anew(started: Sampled) -> None:
    """A new proxy counts its phases from one; the variance goes on."""
    started.report(7 * PHASE + 1, PRICE, 20)
    started.sample(7 * PHASE + 1)
    variance = started.told().variance
    feed = started.evm.deploy("MockRounds", DECIMALS)
    feed.set(PHASE + 1, PRICE, started.now)
    word = SourceParams(number(feed), decimals=DECIMALS, max_age=MAX_AGE).word
    started.engine.setUp(Kind.SOURCE, ETH, word)
    started.next_hour(100)
    feed.set(PHASE + 2, PRICE, started.now - 20)
    [event] = started.sample(PHASE + 2)
    assert event.variance == ceil_div(variance * 97, 100)


def test_what_happens_to_the_second_source_leaves_the_phases(started: Sampled) -> None:
    """It is the primary one whose rounds are counted."""
    started.report(2 * PHASE + 1, PRICE, 20)
    started.sample(2 * PHASE + 1)
    started.next_hour(100)
    started.report(PHASE + 2, PRICE * 2, 50)
    started.report(2 * PHASE + 2, PRICE, 50)
    second = SecondSourceParams(number(started.feed), decimals=DECIMALS, max_age=MAX_AGE, floor=60)
    for word in (0, second.word, 0):
        started.engine.setUp(Kind.SECOND_SOURCE, ETH, word)
        with started.evm.reverts("PhasePassed", ETH, PHASE + 2, 2):
            started.sample(PHASE + 2)


def test_other_terms_of_the_same_source_leave_the_phases(started: Sampled) -> None:
    started.report(2 * PHASE + 1, PRICE, 20)
    started.sample(2 * PHASE + 1)
    source = SourceParams(number(started.feed), decimals=DECIMALS, max_age=MAX_AGE + 1, floor=60)
    started.engine.setUp(Kind.SOURCE, ETH, source.word)
    with started.evm.reverts("PhasePassed", ETH, PHASE + 2, 2):
        started.sample(PHASE + 2)


# References


def test_a_new_reference_takes_effect_with_the_next_sample(started: Sampled) -> None:
    started.engine.setUp(Kind.VOLATILITY, ETH, 2 * REFERENCE)
    assert started.told().gauge == BPS
    [event] = started.sample(PHASE + 2)
    assert event.variance == 36 * (2 * REFERENCE) ** 2 * 10**4, "the least for the new one"
    assert event.gauge == 6_000


# Both levels


def follow(market: Sampled, gauge: int) -> None:
    """Brings initial margin's gauge to an end at once, by what an hour is measured against."""
    reference = REFERENCE // 8 if gauge > BPS else REFERENCE * 2
    market.engine.setUp(Kind.VOLATILITY, ETH, reference)
    market.sample(PHASE + 2)
    assert market.told().gauge == gauge


@pytest.mark.parametrize(
    ("gauge", "seconds", "expected"),
    [
        (40_000, 0, 10_000),
        (40_000, 7, 10_000),
        (40_000, 8, 10_001),
        (40_000, HOUR, 10_500),
        (40_000, 60 * HOUR - 1, 39_999),
        (40_000, 60 * HOUR, 40_000),
        (40_000, 1_000 * HOUR, 40_000),
        (6_000, 0, 10_000),
        (6_000, 28, 10_000),
        (6_000, 29, 9_999),
        (6_000, HOUR, 9_875),
        (6_000, 32 * HOUR - 1, 6_001),
        (6_000, 32 * HOUR, 6_000),
        (6_000, 1_000 * HOUR, 6_000),
    ],
)
def test_maintenance_follows_by_a_bounded_step(
    started: Sampled, gauge: int, seconds: int, expected: int
) -> None:
    """Five percent of one an hour up, a quarter of that down; initial margin at once."""
    follow(started, gauge)
    started.warp(seconds)
    assert started.told().maintenanceGauge == expected
    assert started.told().gauge == gauge


def test_it_follows_on_from_where_it_stands(started: Sampled) -> None:
    follow(started, 40_000)
    started.next_hour(100)
    started.next_hour(100)
    stands = started.told().maintenanceGauge
    assert stands == 10_000 + 500 * (2 * HOUR) // HOUR
    started.engine.setUp(Kind.VOLATILITY, ETH, 65_535)
    started.report(PHASE + 3, PRICE, HOUR + 50)
    started.sample(PHASE + 3)
    assert started.told().gauge == 6_000
    started.warp(HOUR)
    assert started.told().maintenanceGauge == stands - 125


def test_an_observation_leaves_the_gauges(started: Sampled) -> None:
    follow(started, 40_000)
    started.warp(HOUR)
    before = tuple(started.told())
    started.report(PHASE + 3, PRICE)
    started.engine.observe([ETH])
    assert tuple(started.told()) == before


def test_the_margin_takes_a_gauge_of_its_own_for_each_level(started: Sampled) -> None:
    position = ((1 << 46 | ETH << 37) << 208) | (WAD << 104)
    parts = started.engine.call.breakdown((0, [], [position]))
    follow(started, 40_000)
    _, initial, maintenance, _ = started.engine.call.breakdown((0, [], [position]))
    assert initial.scan == 4 * parts[1].scan
    assert maintenance.scan == parts[2].scan
    started.warp(HOUR)
    started.report(PHASE + 3, PRICE)
    _, initial, maintenance, _ = started.engine.call.breakdown((0, [], [position]))
    assert initial.scan == 4 * parts[1].scan
    assert maintenance.scan == parts[2].scan * 105 // 100


# Sources


class Chainlink:
    """A real aggregator behind its real proxy, with one oracle."""

    def __init__(self, market: Market, proxy: Contract | None = None) -> None:
        self.market = market
        self.oracle = market.evm.actor("oracle")
        evm, zero = market.evm, "0x" + "00" * 20
        self.link = evm.deploy(components.link_token())
        self.proxy = proxy
        self.replace()
        if proxy is None:
            self.proxy = evm.deploy(components.chainlink_proxy(), self.aggregator, zero)

    def replace(self) -> None:
        evm, zero = self.market.evm, "0x" + "00" * 20
        self.aggregator = evm.deploy(
            components.chainlink_aggregator(), self.link, 0, HOUR, zero, 1, 10**16, DECIMALS, "ETH"
        )
        self.aggregator.changeOracles([], [self.oracle], [self.oracle], 1, 1, 0)
        self.round = 0

    def submit(self, answer: int) -> None:
        self.round += 1
        self.aggregator.submit(self.round, answer, sender=self.oracle)

    @property
    def latest(self) -> int:
        assert self.proxy is not None
        return int(self.proxy.call.latestRoundData().roundId)


def test_a_real_aggregator_through_a_change_of_phase(market: Sampled) -> None:
    chainlink = Chainlink(market)
    chainlink.submit(PRICE)
    assert chainlink.proxy is not None
    word = SourceParams(number(chainlink.proxy), decimals=DECIMALS, max_age=MAX_AGE).word
    market.engine.setUp(Kind.SOURCE, ETH, word)
    first = chainlink.latest
    assert first == PHASE + 1
    market.sample(first)

    market.next_hour(10)
    chainlink.submit(PRICE * 101 // 100)
    chainlink.submit(PRICE * 103 // 100)
    start = market.now // HOUR * HOUR
    with market.evm.reverts("RoundNotFirst", ETH, PHASE + 3, market.now, start):
        market.sample(PHASE + 3)
    with market.evm.reverts("RoundUnavailable", ETH, PHASE + 4):
        market.sample(PHASE + 4)
    [event] = market.sample(PHASE + 2)
    assert event.price == 2_020 * WAD

    market.next_hour(10)
    chainlink.replace()
    chainlink.submit(PRICE * 102 // 100)
    chainlink.proxy.proposeAggregator(chainlink.aggregator)
    chainlink.proxy.confirmAggregator(chainlink.aggregator)
    assert chainlink.latest == 2 * PHASE + 1
    [event] = market.sample(2 * PHASE + 1)
    assert event.price == 2_040 * WAD
    market.next_hour(10)
    chainlink.submit(PRICE)
    assert len(market.sample(2 * PHASE + 2)) == 1


def test_a_second_source_is_sampled_where_the_primary_has_no_rounds(market: Sampled) -> None:
    pyth = Pyth.deploy(market.evm)
    pyth.tell(PRICE)
    market.engine.setUp(Kind.PYTH_ID, BTC, FEED_ID)
    source = SourceParams(
        number(pyth.contract), SourceKind.PYTH, decimals=DECIMALS, max_age=MAX_AGE
    )
    market.engine.setUp(Kind.SOURCE, BTC, source.word)
    with market.evm.reverts("RoundsMissing", BTC):
        market.engine.setUp(Kind.VOLATILITY, BTC, REFERENCE)
    second = SecondSourceParams(
        number(market.feed), decimals=DECIMALS, max_age=MAX_AGE, deviation=200, floor=60
    )
    market.engine.setUp(Kind.SECOND_SOURCE, BTC, second.word)
    market.engine.setUp(Kind.VOLATILITY, BTC, REFERENCE)
    [event] = market.sample(PHASE + 1, u=BTC)
    assert (event.underlying, event.price) == (BTC, 2_000 * WAD)
    market.engine.observe([BTC])
    assert market.engine.call.price(BTC).status == PriceStatus.OK
    market.engine.setUp(Kind.SECOND_SOURCE, BTC, 0)
    with market.evm.reverts("RoundsMissing", BTC):
        market.sample(PHASE + 2, u=BTC)


def test_another_second_source_begins_anew_where_it_is_sampled(market: Sampled) -> None:
    pyth = Pyth.deploy(market.evm)
    pyth.tell(PRICE)
    market.engine.setUp(Kind.PYTH_ID, BTC, FEED_ID)
    source = SourceParams(
        number(pyth.contract), SourceKind.PYTH, decimals=DECIMALS, max_age=MAX_AGE
    )
    market.engine.setUp(Kind.SOURCE, BTC, source.word)
    feeds = [market.evm.deploy("MockRounds", DECIMALS) for _ in range(2)]
    feeds[0].set(7 * PHASE + 1, PRICE, market.now)
    feeds[1].set(PHASE + 1, PRICE, market.now)
    seconds = [
        SecondSourceParams(number(feed), decimals=DECIMALS, max_age=MAX_AGE).word for feed in feeds
    ]
    market.engine.setUp(Kind.SECOND_SOURCE, BTC, seconds[0])
    market.engine.setUp(Kind.UNDERLYING, BTC, RISK.word)
    market.engine.setUp(Kind.VOLATILITY, BTC, REFERENCE)
    market.sample(7 * PHASE + 1, u=BTC)
    market.engine.setUp(Kind.SECOND_SOURCE, BTC, seconds[1])
    market.next_hour(100)
    feeds[1].set(PHASE + 2, PRICE, market.now - 20)
    assert len(market.sample(PHASE + 2, u=BTC)) == 1


def test_a_reference_waits(market: Sampled) -> None:
    market.seal(market.evm.actor("house"))
    market.engine.submit(Kind.VOLATILITY, ETH, REFERENCE // 2)
    assert market.engine.call.parameter(Kind.VOLATILITY, ETH).target == REFERENCE
    market.warp(DELAY)
    market.engine.accept(Kind.VOLATILITY, ETH)
    assert market.engine.call.parameter(Kind.VOLATILITY, ETH).target == REFERENCE // 2

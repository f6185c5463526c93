"""What is stored of prices: the stable price, two sources, the sequencer, frozen feeds, and the one
price of a transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model
from plimsoll.risk.model import WAD, PriceStatus
from plimsoll.risk.params import DELAY, Kind, SourceParams
from tests.unit.registry_house import BTC, BTC_PRICE, ETH, ETH_PRICE, House
from tests.world import number

HOUR, DAY = 3_600, 86_400
FREEZE_AFTER = 7 * DAY
NEVER = 2**256 - 1


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.undone():
        yield built


def require_twin(house: House, *underlyings: int) -> None:
    """The price of this moment, every field, is the twin's."""
    for underlying in underlyings or (ETH, BTC):
        found = house.call("price", underlying)
        expected = house.price(underlying)
        assert tuple(found) == (
            expected.index,
            expected.stable,
            expected.band,
            expected.status,
        )


# The stable price


def test_the_stable_price_follows_by_one_range_an_hour(house: House) -> None:
    """6 % an hour of 2,000 is 120 dollars, evenly over the hour, and no more after it."""
    house.warp(60)
    house.set_price(ETH, 2 * ETH_PRICE)
    house.observe(ETH)
    for seconds, expected in [(0, 2_000), (1_800, 2_060), (1_800, 2_120), (DAY, 2_120)]:
        house.warp(seconds)
        assert house.call("price", ETH).stable == expected * WAD
        require_twin(house, ETH)


def test_an_interval_is_credited_to_the_observation_at_its_start(house: House) -> None:
    """A price that is shown only when the interval ends has not been the price of the interval."""
    house.warp(HOUR)
    house.set_price(ETH, 3 * ETH_PRICE)
    house.observe(ETH)
    assert house.call("price", ETH).stable == ETH_PRICE
    house.warp(HOUR)
    house.set_price(ETH, ETH_PRICE)
    house.observe(ETH)
    assert house.call("price", ETH).stable == ETH_PRICE * 106 // 100


def test_the_stable_price_stops_at_the_last_one(house: House) -> None:
    house.warp(1)
    house.set_price(ETH, ETH_PRICE - 1)
    house.observe(ETH)
    house.warp(HOUR)
    assert house.call("price", ETH).stable == ETH_PRICE - 1


@given(pokes=st.lists(st.integers(1, HOUR), min_size=1, max_size=12), up=st.booleans())
def test_poking_more_often_changes_nothing(built: House, pokes: list[int], up: bool) -> None:
    """At one price an hour's move is the same in one piece or in many, to a wei for each poke and
    the compounding of a step on the last."""
    with built.undone():
        built.warp(1)
        price = ETH_PRICE * (3 if up else 1) // (1 if up else 3)
        built.set_price(ETH, price)
        built.observe(ETH)
        spent = 0
        for seconds in pokes:
            seconds = min(seconds, HOUR - spent)
            built.warp(seconds)
            spent += seconds
            built.set_price(ETH, price)
            built.observe(ETH)
            require_twin(built, ETH)
        stable = built.call("price", ETH).stable
        linear = ETH_PRICE + (1 if up else -1) * ETH_PRICE * 600 * spent // (HOUR * 10_000)
        assert abs(stable - linear) <= ETH_PRICE * 6 * 6 // 20_000 + len(pokes)


def test_anyone_observes_and_the_event_says_what_was_stored(house: House) -> None:
    house.warp(600)
    house.set_price(ETH, ETH_PRICE + WAD)
    receipt = house.engine.observe([ETH], sender=house.stranger)
    [event] = receipt.events("Observed")
    assert tuple(event) == (ETH, ETH_PRICE + WAD, ETH_PRICE, PriceStatus.OK)
    assert house.call("observedAt", ETH) == house.now


# Two sources


def sources(house: House, first: int | None, second: int | None) -> PriceStatus:
    """Has both sources of bitcoin answer (`None`: nothing), observes, and returns the status."""
    feeds = house.underlyings[BTC]
    for feed, answer in ((feeds.feed, first), (feeds.second_feed, second)):
        assert feed is not None
        if answer is None:
            feed.break_down()
        else:
            feed.mend()
            feed.set(answer, house.now)
    house.observe(BTC)
    require_twin(house, BTC)
    return PriceStatus(house.call("price", BTC).status)


@pytest.mark.parametrize("sign", [1, -1])
def test_sources_agree_within_the_bound_of_the_first(house: House, sign: int) -> None:
    """1 % of 60,000: 600 dollars pass, a wei more does not."""
    house.warp(60)
    edge = BTC_PRICE + sign * 600 * WAD
    assert sources(house, BTC_PRICE, edge) == PriceStatus.OK
    assert house.call("observedAt", BTC) == house.now
    stored_at = house.now
    house.warp(60)
    assert sources(house, BTC_PRICE, edge + sign) == PriceStatus.DEVIATING
    assert house.call("observedAt", BTC) == stored_at, "a deviating price is not stored"


@pytest.mark.parametrize("second_answers", [True, False])
def test_one_answer_of_two_is_a_price_but_an_unconfirmed_one(
    house: House, second_answers: bool
) -> None:
    house.warp(60)
    answers = (None, BTC_PRICE + WAD) if second_answers else (BTC_PRICE + WAD, None)
    assert sources(house, *answers) == PriceStatus.UNCONFIRMED
    found = house.call("price", BTC)
    assert (found.index, found.stable) == (BTC_PRICE + WAD, BTC_PRICE)
    assert house.call("observedAt", BTC) == house.now


def test_a_doubt_stays_until_an_observation_removes_it(house: House) -> None:
    """Live reads do not believe the first source again by themselves."""
    house.warp(60)
    assert sources(house, BTC_PRICE, 2 * BTC_PRICE) == PriceStatus.DEVIATING
    house.set_price(BTC, BTC_PRICE)
    assert house.call("price", BTC).status == PriceStatus.DEVIATING
    house.observe(BTC)
    assert house.call("price", BTC).status == PriceStatus.OK


def test_without_any_answer_nothing_is_stored(house: House) -> None:
    before = house.call("observedAt", BTC)
    house.warp(60)
    assert sources(house, None, None) == PriceStatus.INVALID
    assert house.call("observedAt", BTC) == before


@given(
    moves=st.lists(
        st.tuples(
            st.integers(0, 2 * HOUR),
            st.one_of(st.none(), st.integers(1, 2 * BTC_PRICE)),
            st.one_of(st.none(), st.integers(-300, 300)),
        ),
        max_size=8,
    )
)
def test_any_history_of_two_sources_is_the_twins(
    built: House, moves: list[tuple[int, int | None, int | None]]
) -> None:
    with built.undone():
        for seconds, first, apart in moves:
            built.warp(seconds)
            second = (
                None if apart is None else max(1, (first or BTC_PRICE) * (10_000 + apart) // 10_000)
            )
            sources(built, first, second)


# The sequencer


def test_without_a_feed_the_sequencer_is_up(house: House) -> None:
    assert house.call("liveSince") == 0


def test_prices_wait_out_an_outage_and_its_grace(house: House) -> None:
    feed = house.set_sequencer(grace=HOUR)
    house.warp(HOUR)
    assert house.call("liveSince") == house.now
    house.set_price(ETH, ETH_PRICE + WAD)
    require_twin(house, ETH)
    assert house.call("price", ETH).status == PriceStatus.OK

    feed.set(1, house.now)
    assert house.call("liveSince") == NEVER
    found = house.call("price", ETH)
    assert (found.index, found.status) == (ETH_PRICE, PriceStatus.SEQUENCER_DOWN)
    before = house.call("observedAt", ETH)
    house.observe(ETH)
    assert house.call("observedAt", ETH) == before, "nothing is stored while it is down"

    house.warp(HOUR)
    feed.set(0, house.now)
    assert house.call("liveSince") == house.now + HOUR
    house.warp(HOUR - 1)
    house.set_price(ETH, ETH_PRICE)
    assert house.call("price", ETH).status == PriceStatus.SEQUENCER_DOWN
    house.warp(1)
    assert house.call("price", ETH).status == PriceStatus.OK
    require_twin(house, ETH)


@pytest.mark.parametrize(
    ("answer", "age"), [(0, -1), (2, 0), (-1, 0)], ids=["from the future", "odd", "negative"]
)
def test_a_sequencer_that_cannot_be_understood_is_down(house: House, answer: int, age: int) -> None:
    feed = house.set_sequencer()
    house.warp(2 * HOUR)
    feed.set(answer, house.now - age)
    assert house.call("liveSince") == NEVER


def test_a_sequencer_feed_that_breaks_is_down(house: House) -> None:
    feed = house.set_sequencer()
    house.warp(2 * HOUR)
    feed.break_down()
    assert house.call("liveSince") == NEVER
    assert house.call("price", ETH).status == PriceStatus.SEQUENCER_DOWN


def test_a_round_that_never_started_is_down(house: House) -> None:
    """Some feeds say zero for both before their first report."""
    feed = house.set_sequencer()
    feed.set(0, 0)
    assert house.call("liveSince") == NEVER


def test_a_sequencer_feed_must_answer_when_it_is_named(house: House) -> None:
    feed = house.new_feed(1, 0)
    word = number(feed.contract) | (HOUR << 160)
    with house.evm.reverts("SourceUnusable", 0, feed.contract.address, PriceStatus.SEQUENCER_DOWN):
        house.engine.setUp(Kind.SEQUENCER, 0, word)


def test_a_sequencer_feed_can_be_taken_away(house: House) -> None:
    feed = house.set_sequencer()
    feed.break_down()
    house.engine.setUp(Kind.SEQUENCER, 0, 0)
    assert house.call("liveSince") == 0
    assert house.call("price", ETH).status == PriceStatus.OK
    house.engine.setUp(Kind.GLOBAL, 0, house.global_.target)
    assert not house.engine.call.margin((0, [], [perpetual(ETH)])).doubtful


def test_setting_the_globals_anew_keeps_the_sequencer(house: House) -> None:
    feed = house.set_sequencer()
    house.engine.setUp(Kind.GLOBAL, 0, house.global_.target)
    house.warp(2 * HOUR)
    house.keep_fresh(0)
    assert not house.engine.call.margin((0, [], [perpetual(ETH)])).doubtful
    feed.set(1, house.now)
    assert house.engine.call.margin((0, [], [perpetual(ETH)])).doubtful


# Frozen prices


def test_a_price_is_frozen_only_after_its_feed_was_broken_for_long(house: House) -> None:
    since = house.call("observedAt", ETH)
    house.warp(FREEZE_AFTER)
    house.keep_fresh(0)
    with house.evm.reverts("NotBrokenLongEnough", ETH, since):
        house.engine.setUp(Kind.FROZEN_PRICE, ETH, WAD)
    house.underlyings[ETH].feed.break_down()
    house.evm.time -= 1
    with house.evm.reverts("NotBrokenLongEnough", ETH, since):
        house.engine.setUp(Kind.FROZEN_PRICE, ETH, WAD)
    house.warp(1)
    house.freeze(ETH, WAD)
    found = house.call("price", ETH)
    assert tuple(found) == (WAD, WAD, 0, PriceStatus.FROZEN)


def test_a_frozen_price_stands_whatever_its_feed_says(house: House) -> None:
    house.underlyings[ETH].feed.break_down()
    house.warp(FREEZE_AFTER)
    house.freeze(ETH, 900 * WAD)
    house.underlyings[ETH].feed.mend()
    for _ in range(3):
        house.keep_fresh(DAY)
        house.engine.observe([ETH])
        assert tuple(house.call("price", ETH)) == (900 * WAD, 900 * WAD, 0, PriceStatus.FROZEN)
    house.engine.setUp(Kind.FROZEN_PRICE, ETH, 800 * WAD)
    assert house.call("price", ETH).index == 800 * WAD


def test_lifting_a_freeze_leaves_a_doubt_that_an_observation_removes(house: House) -> None:
    house.underlyings[ETH].feed.break_down()
    house.warp(FREEZE_AFTER)
    house.freeze(ETH, 900 * WAD)
    [event] = house.engine.setUp(Kind.FROZEN_PRICE, ETH, 0).events("Observed")
    assert tuple(event) == (ETH, 900 * WAD, 900 * WAD, PriceStatus.UNCONFIRMED)
    found = house.call("price", ETH)
    assert (found.index, found.status) == (900 * WAD, PriceStatus.UNCONFIRMED)
    house.underlyings[ETH].feed.mend()
    house.keep_fresh(0)
    house.engine.observe([ETH])
    found = house.call("price", ETH)
    assert (found.index, found.status) == (ETH_PRICE, PriceStatus.OK)


def test_a_frozen_price_waits_for_the_delay_and_leads_to_a_new_source(house: House) -> None:
    """The way out of a feed that died: freeze near the truth, then name a source that agrees."""
    house.sealed_house()
    house.underlyings[ETH].feed.break_down()
    house.warp(FREEZE_AFTER)
    house.engine.submit(Kind.FROZEN_PRICE, ETH, 1_000 * WAD)
    house.warp(DELAY)
    house.engine.accept(Kind.FROZEN_PRICE, ETH)
    fresh = house.new_feed(1_010 * WAD, 18)
    word = SourceParams(number(fresh.contract), decimals=18, max_age=HOUR).word
    house.engine.submit(Kind.SOURCE, ETH, word)
    house.engine.submit(Kind.FROZEN_PRICE, ETH, 0)
    house.warp(DELAY)
    fresh.set(1_010 * WAD, house.now)
    house.engine.accept(Kind.SOURCE, ETH)
    house.engine.accept(Kind.FROZEN_PRICE, ETH)
    house.engine.observe([ETH])
    found = house.call("price", ETH)
    assert (found.index, found.status) == (1_010 * WAD, PriceStatus.OK)


# One price per transaction


def perpetual(underlying: int, size: int = WAD) -> int:
    return (model.perpetual(underlying) << 208) | ((size % 2**104) << 104)


@pytest.mark.parametrize("first", ["assess", "isCovered", "market"])
def test_the_first_read_fixes_a_price_for_the_transaction(house: House, first: str) -> None:
    """Later reads, views included, see the first price; the next transaction sees the feed's."""
    engine, feed = house.engine, house.underlyings[ETH].feed.contract
    puppet = house.evm.deploy("Puppet")
    account: tuple[int, list[int], list[int]] = (ETH_PRICE, [], [perpetual(ETH)])
    arguments = (model.perpetual(ETH),) if first == "market" else (account,)
    calls = [
        (engine.address, engine.encode(first, *arguments), False),
        (feed.address, feed.encode("set", 3 * ETH_PRICE, house.now), False),
        (engine.address, engine.encode("price", ETH), False),
        (engine.address, engine.encode("margin", account), False),
        (engine.address, engine.encode("observe", [ETH]), False),
        (engine.address, engine.encode("price", ETH), False),
    ]
    puppet.run(calls)
    answers = [puppet.call.answers(i) for i in (2, 3, 5)]
    assert int.from_bytes(answers[0][:32], "big") == ETH_PRICE
    assert int.from_bytes(answers[1][:32], "big") == ETH_PRICE + ETH_PRICE
    assert int.from_bytes(answers[2][:32], "big") == ETH_PRICE
    assert house.call("price", ETH).index == 3 * ETH_PRICE


def test_views_fix_nothing(house: House) -> None:
    engine, feed = house.engine, house.underlyings[ETH].feed.contract
    puppet = house.evm.deploy("Puppet")
    account: tuple[int, list[int], list[int]] = (0, [], [perpetual(ETH)])
    views = [("margin", (account,)), ("marketView", (model.perpetual(ETH),)), ("price", (ETH,))]
    calls = [(engine.address, engine.encode(name, *arguments), False) for name, arguments in views]
    calls.append((feed.address, feed.encode("set", 3 * ETH_PRICE, house.now), False))
    calls.append((engine.address, engine.encode("price", ETH), False))
    puppet.run(calls)
    assert int.from_bytes(puppet.call.answers(4)[:32], "big") == 3 * ETH_PRICE

"""Yield tokens: redemption rate and growth cap, the market below it, the ramp of a discount that
lasts, sources that fail, and the one rate of a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk.model import WAD, PriceStatus, ceil_div
from plimsoll.risk.oracle import RATE_LIMIT, RATE_RAMP, YEAR, to_wad_down
from plimsoll.risk.params import (
    DELAY,
    Kind,
    RateKind,
    RateMarketParams,
    RateSourceParams,
    TokenParams,
)
from tests.evm import Contract
from tests.unit.registry_house import ETH, ETH_PRICE, TERMS, House
from tests.world import GROWTH_CAP, number

STAKED, SHARE = 5, 6
HOUR, DAY = 3_600, 86_400
RATE = 1_200_000_000_000_000_000
BOUND = 300


class Yielding(House):
    """The house with a token that counts 1.2 ether and sells for as much."""

    def __init__(self) -> None:
        super().__init__()
        self.source = self.evm.deploy("MockRate", RATE)
        self.list_yield_asset(STAKED, self.new_token(18), ETH, TERMS, self.source)
        self.set_rate_market(STAKED, RATE, bound=BOUND)

    @property
    def market_feed(self) -> Any:
        return self.assets[STAKED].rate_feed

    def sell_for(self, ratio: int) -> None:
        self.market_feed.set(ratio, self.now)

    def observe_staked(self) -> None:
        self.observe_rates(STAKED)

    def pass_hours(self, hours: int) -> None:
        """Hours in each of which the market answers the same again and is observed."""
        for _ in range(hours):
            self.keep_fresh(HOUR)
            self.sell_for(self.market_feed.told.value)
            self.observe_staked()


@pytest.fixture(scope="module")
def built() -> Yielding:
    return Yielding()


@pytest.fixture
def house(built: Yielding) -> Iterator[Yielding]:
    with built.undone():
        yield built


def terms(house: Yielding) -> tuple[int, int, bool]:
    """Maintenance and initial rate and whether new credit stops, which must be the twin's."""
    found = house.call("collateralTerms", STAKED)
    expected = house.rates(house.assets[STAKED])
    assert expected is not None
    assert (found.rate, found.initialRate, found.doubtful) == (
        expected.maintenance,
        expected.initial,
        expected.doubtful,
    )
    return found.rate, found.initialRate, found.doubtful


def test_a_sound_rate_counts_at_both_levels(house: Yielding) -> None:
    assert terms(house) == (RATE, RATE, False)


# Growth


def test_the_rate_grows_no_faster_than_its_cap(house: Yielding) -> None:
    """Ten percent a year: a donation of half is believed a day's worth after a day."""
    house.source.setRate(RATE * 3 // 2)
    house.sell_for(2 * RATE)
    assert terms(house)[0] == RATE
    house.warp(DAY)
    house.sell_for(2 * RATE)
    assert terms(house)[0] == RATE + RATE * GROWTH_CAP * DAY // (10_000 * YEAR)


def test_looking_often_lets_no_more_growth_through(house: Yielding) -> None:
    house.source.setRate(2 * RATE)
    for _ in range(48):
        house.keep_fresh(HOUR // 2)
        house.sell_for(2 * RATE)
        house.observe_staked()
    assert (
        terms(house)[0] <= RATE + ceil_div(RATE * GROWTH_CAP * DAY, 10_000 * YEAR) + RATE // 10**7
    )


def test_a_rate_that_falls_falls_at_once(house: Yielding) -> None:
    house.source.setRate(RATE // 2)
    assert terms(house)[:2] == (RATE // 2, RATE // 2)


def test_a_rate_pushed_down_for_a_moment_comes_back_whole(house: Yielding) -> None:
    """Whoever can push a vault's rate down in a transaction must not lower everybody for good."""
    house.warp(1)
    house.source.setRate(1)
    house.observe_staked()
    house.source.setRate(RATE)
    house.sell_for(RATE)
    assert terms(house)[0] >= RATE - RATE // 10**8


# The market


def test_initial_takes_the_market_at_once(house: Yielding) -> None:
    """Two percent below is within the bound: less credit, no doubt, maintenance unmoved."""
    below = RATE * 98 // 100
    house.sell_for(below)
    assert terms(house) == (RATE, below, False)


def test_a_market_above_the_rate_adds_nothing(house: Yielding) -> None:
    house.sell_for(2 * RATE)
    assert terms(house) == (RATE, RATE, False)


def test_new_credit_stops_beyond_the_bound(house: Yielding) -> None:
    edge = RATE * 97 // 100
    house.sell_for(edge)
    assert not terms(house)[2]
    house.sell_for(edge - 1)
    assert terms(house) == (RATE, edge - 1, True)


def test_a_discount_that_lasts_takes_maintenance_to_the_market(house: Yielding) -> None:
    """Three observed days; half of the way after half of them."""
    low = RATE * 9 // 10
    house.sell_for(low)
    house.observe_staked()
    house.pass_hours(36)
    assert terms(house)[0] == (RATE + low) // 2
    house.pass_hours(36)
    assert terms(house)[0] == low
    house.pass_hours(5)
    assert terms(house)[0] == low


def test_a_discount_that_passes_leads_back_as_slowly(house: Yielding) -> None:
    low = RATE * 9 // 10
    house.sell_for(low)
    house.observe_staked()
    house.pass_hours(72)
    house.sell_for(RATE * 98 // 100)
    house.observe_staked()
    house.pass_hours(36)
    middle = RATE - (RATE - RATE * 98 // 100) // 2
    assert abs(terms(house)[0] - middle) <= 1
    house.pass_hours(36)
    assert terms(house)[0] == RATE


def test_only_observed_hours_count(house: Yielding) -> None:
    """One observation of a discount is not three days of it."""
    house.sell_for(RATE * 9 // 10)
    house.observe_staked()
    house.warp(10 * DAY)
    house.sell_for(RATE * 9 // 10)
    rate = terms(house)[0]
    assert rate == RATE - ceil_div((RATE - RATE * 9 // 10) * HOUR, RATE_RAMP)


# Sources that fail


@pytest.mark.parametrize("answer", [0, RATE_LIMIT, 2**255], ids=["zero", "limit", "enormous"])
def test_an_unusable_rate_leaves_the_last_one(house: Yielding, answer: int) -> None:
    house.source.setRate(answer)
    assert terms(house) == (RATE, RATE, True)


def test_a_source_that_reverts_bricks_no_check(house: Yielding) -> None:
    house.source.setBroken(True)
    assert terms(house) == (RATE, RATE, True)
    margin = house.engine.call.margin((0, [(STAKED << 128) | WAD], []))
    assert margin.doubtful
    assert margin.equity == RATE * ETH_PRICE // WAD
    assert house.call("price", ETH).status == PriceStatus.OK, "the underlying is not doubtful"
    house.observe_staked()
    assert terms(house)[0] == RATE


def test_a_broken_source_cannot_hold_the_ceiling_back(house: Yielding) -> None:
    """Poked or not while it is down, it may afterwards be what it would have grown to."""
    house.source.setBroken(True)
    for _ in range(10):
        house.keep_fresh(3 * DAY)
        house.observe_staked()
    house.source.setBroken(False)
    grown = RATE + RATE * GROWTH_CAP * 30 * DAY // (10_000 * YEAR)
    house.source.setRate(2 * RATE)
    house.sell_for(2 * RATE)
    assert grown <= terms(house)[0] <= grown * 1_001 // 1_000


@pytest.mark.parametrize("trouble", ["reverts", "stale", "zero", "from the future"])
def test_a_market_that_fails_stops_credit_and_ramps_nothing(house: Yielding, trouble: str) -> None:
    low = RATE * 9 // 10
    house.sell_for(low)
    house.observe_staked()
    house.warp(2 * DAY)
    feed = house.market_feed
    if trouble == "reverts":
        feed.break_down()
    elif trouble == "zero":
        feed.set(0, house.now)
    elif trouble == "from the future":
        feed.set(low, house.now + 1)
    house.observe_staked()
    first = terms(house)
    assert first[1:] == (low, True)
    house.warp(DAY)
    house.observe_staked()
    assert terms(house) == first, "hours in which the market was not seen do not count"


def test_plain_assets_have_no_rates_to_observe(house: Yielding) -> None:
    assert house.engine.observeRates([1, 2]).events("RateObserved") == []
    with house.evm.reverts("UnknownAsset", 9):
        house.engine.observeRates([9])


def test_anyone_observes_and_the_event_says_what_was_stored(house: Yielding) -> None:
    house.warp(60)
    house.sell_for(RATE * 9 // 10)
    receipt = house.engine.observeRates([STAKED], sender=house.stranger)
    [event] = receipt.events("RateObserved")
    assert tuple(event) == (STAKED, RATE, RATE * 9 // 10, 0)


@given(
    moves=st.lists(
        st.tuples(
            st.integers(0, 2 * DAY),
            st.one_of(st.none(), st.integers(1, 3 * RATE), st.sampled_from([0, RATE_LIMIT - 1])),
            st.one_of(st.none(), st.integers(RATE // 2, 2 * RATE), st.just(RATE * 97 // 100)),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_any_history_of_rates_is_the_twins(
    built: Yielding, moves: list[tuple[int, int | None, int | None, bool]]
) -> None:
    with built.undone():
        for seconds, redemption, market, observed in moves:
            built.warp(seconds)
            built.source.setBroken(redemption is None)
            if redemption is not None:
                built.source.setRate(redemption)
            if market is None:
                built.market_feed.break_down()
            else:
                built.market_feed.mend()
                built.sell_for(market)
            terms(built)
            if observed:
                built.observe_staked()
                terms(built)


# ERC-4626


def vault(house: House, decimals: int) -> tuple[Contract, Contract]:
    """A token and a real ERC-4626 share of it, of which one holder has a million."""
    token = house.new_token(decimals)
    share = house.evm.deploy("FaucetShare", "Share", "SHR", token.address)
    saver = house.evm.actor("saver")
    million = 10 ** (6 + decimals)
    token.mint(saver, million)
    token.approve(share.address, million, sender=saver)
    share.deposit(million, saver, sender=saver)
    return token, share


def list_share(house: House, share: Contract, decimals: int) -> None:
    """Another asset of ether, at what the vault says its shares convert to."""
    source = RateSourceParams(
        number(share), RateKind.ERC4626, asset_decimals=decimals, growth_cap=GROWTH_CAP
    )
    token = TokenParams(number(share), ETH, share.call.decimals())
    house.engine.setUp(Kind.TOKEN, SHARE, token.word)
    house.engine.setUp(Kind.RATE_SOURCE, SHARE, source.word)
    house.engine.setUp(Kind.ASSET, SHARE, TERMS.word)


@pytest.mark.parametrize("decimals", [0, 6, 8, 18, 24])
def test_a_vault_counts_at_what_its_shares_convert_to(house: Yielding, decimals: int) -> None:
    """Given a half before it is listed, a share counts 1.5, rounded down in its decimals."""
    token, share = vault(house, decimals)
    token.mint(share.address, 5 * 10 ** (5 + decimals))
    list_share(house, share, decimals)
    converted = share.call.convertToAssets(10**decimals)
    rate = house.call("collateralTerms", SHARE).rate
    assert rate == to_wad_down(converted, decimals)
    assert 15 * WAD // 10 - WAD // 10 ** min(decimals, 5) <= rate <= 15 * WAD // 10


def test_a_donation_to_the_vault_is_not_believed(house: Yielding) -> None:
    """Ten times its worth given at once: the rate grows by its cap, and by no more."""
    token, share = vault(house, 18)
    list_share(house, share, 18)
    before = house.call("collateralTerms", SHARE).rate
    token.mint(share.address, 10 ** (7 + 18))
    assert house.call("collateralTerms", SHARE).rate == before
    house.warp(DAY)
    grown = before + before * GROWTH_CAP * DAY // (10_000 * YEAR)
    assert house.call("collateralTerms", SHARE).rate == grown


# Replacing


def test_a_new_rate_source_agrees_with_the_rate_so_far(house: Yielding) -> None:
    house.sealed_house()
    other = house.evm.deploy("MockRate", RATE * 102 // 100 + 1)
    word = RateSourceParams(number(other), RateKind.STETH_PER_TOKEN, growth_cap=GROWTH_CAP).word
    house.engine.submit(Kind.RATE_SOURCE, STAKED, word)
    house.warp(DELAY)
    rate = RATE * 102 // 100 + 1
    with house.evm.reverts("SourceDisagrees", STAKED, rate, RATE, 200):
        house.engine.accept(Kind.RATE_SOURCE, STAKED)
    other.setBroken(True)
    with house.evm.reverts("SourceUnusable", STAKED, other.address, PriceStatus.INVALID):
        house.engine.accept(Kind.RATE_SOURCE, STAKED)
    other.setBroken(False)
    other.setRate(RATE)
    house.sell_for(RATE)
    house.engine.accept(Kind.RATE_SOURCE, STAKED)
    assert house.call("collateralTerms", STAKED).rate == RATE


def test_a_listed_token_becomes_a_yield_token_only_at_par(house: Yielding) -> None:
    """Else a source alone could revalue what is held."""
    word = RateSourceParams(number(house.source), RateKind.STETH_PER_TOKEN).word
    house.engine.wire(house.house)
    house.engine.seal()
    house.engine.submit(Kind.RATE_SOURCE, 1, word)
    house.warp(DELAY)
    with house.evm.reverts("SourceDisagrees", 1, RATE, WAD, 200):
        house.engine.accept(Kind.RATE_SOURCE, 1)
    house.source.setRate(WAD)
    house.engine.accept(Kind.RATE_SOURCE, 1)
    assert house.call("collateralTerms", 1).rate == WAD


def test_a_market_needs_a_rate_and_must_answer(house: Yielding) -> None:
    feed = house.new_feed(WAD, 18)
    word = RateMarketParams(number(feed.contract), discount_bound=BOUND).word
    with house.evm.reverts("RateSourceMissing", 1):
        house.engine.setUp(Kind.RATE_MARKET, 1, word)
    feed.set(0, house.now)
    with house.evm.reverts("SourceUnusable", STAKED, feed.contract.address, PriceStatus.INVALID):
        house.engine.setUp(Kind.RATE_MARKET, STAKED, word)
    with house.evm.reverts("UnknownAsset", 9):
        house.engine.setUp(Kind.RATE_MARKET, 9, word)


def test_a_new_market_agrees_with_the_one_so_far(house: Yielding) -> None:
    """Else a feed alone could give credit back that the market took."""
    low = RATE * 90 // 100
    house.sell_for(low)
    house.observe_staked()
    house.sealed_house()
    feed = house.new_feed(RATE, 18)
    word = RateMarketParams(number(feed.contract), discount_bound=BOUND).word
    house.engine.submit(Kind.RATE_MARKET, STAKED, word)
    house.warp(DELAY)
    feed.set(RATE, house.now)
    with house.evm.reverts("SourceDisagrees", STAKED, RATE, low, 200):
        house.engine.accept(Kind.RATE_MARKET, STAKED)
    feed.set(low * 102 // 100, house.now)
    house.engine.accept(Kind.RATE_MARKET, STAKED)
    assert house.call("collateralTerms", STAKED).initialRate == low * 102 // 100


# One rate per transaction


def test_the_first_check_fixes_a_rate_for_the_transaction(house: Yielding) -> None:
    engine = house.engine
    puppet = house.evm.deploy("Puppet")
    account: tuple[int, list[int], list[int]] = (0, [(STAKED << 128) | WAD], [])
    calls = [
        (engine.address, engine.encode("assess", account), False),
        (house.source.address, house.source.encode("setRate", RATE // 2), False),
        (engine.address, engine.encode("collateralTerms", STAKED), False),
        (engine.address, engine.encode("margin", account), False),
    ]
    puppet.run(calls)
    assert int.from_bytes(puppet.call.answers(2)[:32], "big") == RATE
    assert int.from_bytes(puppet.call.answers(3)[:32], "big") == RATE * ETH_PRICE // WAD
    assert house.call("collateralTerms", STAKED).rate == RATE // 2

"""How parameter words change: set-up and seal, delays, steps, expiry, revocation, ramps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from plimsoll.risk import params
from plimsoll.risk.params import (
    COOLDOWN,
    DELAY,
    RAMP,
    SUBMISSION_LIFE,
    Kind,
    MarketParams,
    UnderlyingParams,
)
from tests.evm import Receipt
from tests.unit.registry_house import ETH, FACTORS, FEES, RISK, TERMS, WETH, House
from tests.world import new_engine

HOUR = 3_600
TIGHTER = replace(RISK, closing=9, band=80)
LOOSER = replace(RISK, closing=4)
WIDER = replace(RISK, range=700)


@pytest.fixture(scope="module")
def built() -> House:
    return House().sealed_house()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.undone():
        yield built


def in_force(house: House, kind: Kind, number: int) -> tuple[int, int]:
    """The target, and what maintenance takes now."""
    parameter = house.call("parameter", kind, number)
    return parameter.target, parameter.current


def submitted(receipt: Receipt) -> bool:
    return bool(receipt.events("ParameterSubmitted"))


def accepted(receipt: Receipt) -> bool:
    return bool(receipt.events("ParameterAccepted"))


def submit(house: House, word: UnderlyingParams) -> Receipt:
    return house.engine.submit(Kind.UNDERLYING, ETH, word.word)


# Before and after the seal


def test_constants_are_those_of_the_twin(house: House) -> None:
    assert house.call("DELAY") == DELAY
    assert house.call("EXPIRY") == SUBMISSION_LIFE


def test_set_up_ends_with_the_seal(house: House) -> None:
    assert house.call("isSealed")
    with house.evm.reverts("AlreadySealed"):
        house.engine.setUp(Kind.UNDERLYING, ETH, RISK.word)
    with house.evm.reverts("AlreadySealed"):
        house.engine.seal()
    with house.evm.reverts("AlreadyWired", house.house.address):
        house.engine.wire(house.stranger)


def test_set_up_takes_effect_at_once_and_without_a_ramp() -> None:
    house = House()
    receipt = house.engine.setUp(Kind.UNDERLYING, ETH, LOOSER.word)
    [event] = receipt.events("ParameterAccepted")
    assert tuple(event) == (Kind.UNDERLYING, ETH, RISK.word, LOOSER.word)
    assert in_force(house, Kind.UNDERLYING, ETH) == (LOOSER.word, LOOSER.word)


def test_submissions_begin_with_the_seal() -> None:
    house = House()
    with house.evm.reverts("NotSealed"):
        submit(house, TIGHTER)


def test_the_seal_needs_a_house_and_factors() -> None:
    house = House()
    with house.evm.reverts("NotWired"):
        house.engine.seal()
    bare = new_engine(house.evm, house.manager)
    bare.wire(house.house)
    with house.evm.reverts("ParameterOutOfBounds", Kind.GLOBAL, 0, 0, 0):
        bare.seal()


def test_wiring_and_sealing_are_told() -> None:
    house = House()
    assert house.engine.wire(house.house).events("Wired")[0].clearingHouse == house.house.address
    assert len(house.engine.seal().events("Sealed")) == 1


@pytest.mark.parametrize("name", ["setUp", "submit", "revoke", "wire", "seal"])
def test_strangers_govern_nothing(house: House, name: str) -> None:
    arguments = {
        "setUp": (Kind.UNDERLYING, ETH, RISK.word),
        "submit": (Kind.UNDERLYING, ETH, TIGHTER.word),
        "revoke": (Kind.UNDERLYING, ETH),
        "wire": (house.stranger,),
        "seal": (),
    }[name]
    with house.evm.reverts("AccessManagedUnauthorized", house.stranger.address):
        getattr(house.engine, name)(*arguments, sender=house.stranger)


# Tightening


def test_tightening_counts_at_once_and_ramps_for_maintenance(house: House) -> None:
    receipt = submit(house, TIGHTER)
    assert not submitted(receipt)
    assert accepted(receipt)
    assert in_force(house, Kind.UNDERLYING, ETH) == (TIGHTER.word, RISK.word)
    for elapsed in (1, HOUR, RAMP // 2, RAMP - 1, RAMP, RAMP + HOUR):
        with house.evm.anchored():
            house.warp(elapsed)
            expected = params.interpolate(Kind.UNDERLYING, RISK.word, TIGHTER.word, elapsed)
            assert in_force(house, Kind.UNDERLYING, ETH) == (TIGHTER.word, expected)
    assert house.call("parameter", Kind.UNDERLYING, ETH).rampEnd == house.now + RAMP


def test_a_ramp_starts_from_where_the_last_one_stands(house: House) -> None:
    submit(house, TIGHTER)
    house.warp(RAMP // 3)
    midway = params.interpolate(Kind.UNDERLYING, RISK.word, TIGHTER.word, RAMP // 3)
    tightest = replace(TIGHTER, closing=30)
    submit(house, tightest)
    assert in_force(house, Kind.UNDERLYING, ETH) == (tightest.word, midway)
    house.warp(RAMP // 2)
    expected = params.interpolate(Kind.UNDERLYING, midway, tightest.word, RAMP // 2)
    assert in_force(house, Kind.UNDERLYING, ETH) == (tightest.word, expected)


def test_an_observation_takes_the_flag_off_a_ramp_that_is_over(house: House) -> None:
    """The word stands either way; only the cost of looking it up ends."""
    submit(house, TIGHTER)
    house.keep_fresh(RAMP)
    before = in_force(house, Kind.UNDERLYING, ETH)
    house.engine.observe([ETH])
    assert in_force(house, Kind.UNDERLYING, ETH) == before == (TIGHTER.word, TIGHTER.word)
    looser = replace(TIGHTER, closing=8)
    submit(house, looser)
    house.keep_fresh(DELAY)
    house.engine.accept(Kind.UNDERLYING, ETH)
    assert in_force(house, Kind.UNDERLYING, ETH) == (looser.word, TIGHTER.word)


def test_the_haircuts_of_an_asset_ramp_too(house: House) -> None:
    tighter = replace(TERMS, tier2=3_000_000, haircut3=2_000)
    house.engine.submit(Kind.ASSET, WETH, tighter.word)
    house.warp(RAMP // 4)
    expected = params.interpolate(Kind.ASSET, TERMS.word, tighter.word, RAMP // 4)
    assert in_force(house, Kind.ASSET, WETH) == (tighter.word, expected)


def test_of_the_globals_only_the_band_ceiling_ramps(house: House) -> None:
    tighter = replace(FACTORS, initial_factor=20_000, band_ceiling=300)
    house.engine.submit(Kind.GLOBAL, 0, tighter.word)
    for ceiling in (100, 200, 300, 300):
        now = replace(tighter, band_ceiling=ceiling)
        assert in_force(house, Kind.GLOBAL, 0) == (tighter.word, now.word)
        house.warp(RAMP // 2)


def test_a_market_closes_at_once_and_has_no_ramp(house: House) -> None:
    tighter = replace(FEES, open_interest_cap=500_000, closed=True)
    assert accepted(house.engine.submit(Kind.MARKET, ETH, tighter.word))
    assert in_force(house, Kind.MARKET, ETH) == (tighter.word, tighter.word)


# Loosening, and everything else that waits


@pytest.mark.parametrize(
    "word", [LOOSER, WIDER, replace(RISK, window=130)], ids=["looser", "range", "window"]
)
def test_the_rest_waits(house: House, word: UnderlyingParams) -> None:
    receipt = submit(house, word)
    [event] = receipt.events("ParameterSubmitted")
    ready_at = house.now + DELAY
    assert tuple(event) == (Kind.UNDERLYING, ETH, word.word, ready_at)
    parameter = house.call("parameter", Kind.UNDERLYING, ETH)
    assert (parameter.submitted, parameter.readyAt) == (word.word, ready_at)
    assert parameter.target == RISK.word
    house.warp(DELAY - 1)
    with house.evm.reverts("TooEarly", Kind.UNDERLYING, ETH, ready_at):
        house.engine.accept(Kind.UNDERLYING, ETH)
    house.warp(1)
    house.engine.accept(Kind.UNDERLYING, ETH, sender=house.stranger)
    assert in_force(house, Kind.UNDERLYING, ETH) == (word.word, RISK.word)
    with house.evm.reverts("NothingSubmitted", Kind.UNDERLYING, ETH):
        house.engine.accept(Kind.UNDERLYING, ETH)


@pytest.mark.parametrize(
    "fees",
    [
        replace(FEES, taker_fee=600),
        replace(FEES, maker_fee=10_000),
        replace(FEES, taker_fee=499),
        replace(FEES, taker_fee=600, closed=True),
    ],
    ids=["taker", "maker", "lower", "with the rest"],
)
def test_fees_wait_both_ways(house: House, fees: MarketParams) -> None:
    """Orders that rest were signed for the fees of their day."""
    assert submitted(house.engine.submit(Kind.MARKET, ETH, fees.word))
    assert in_force(house, Kind.MARKET, ETH) == (FEES.word, FEES.word)
    house.warp(DELAY)
    house.engine.accept(Kind.MARKET, ETH, sender=house.stranger)
    assert in_force(house, Kind.MARKET, ETH) == (fees.word, fees.word)


def test_a_submission_expires(house: House) -> None:
    submit(house, LOOSER)
    expired_at = house.now + DELAY + SUBMISSION_LIFE
    house.warp(DELAY + SUBMISSION_LIFE + 1)
    with house.evm.reverts("SubmissionExpired", Kind.UNDERLYING, ETH, expired_at):
        house.engine.accept(Kind.UNDERLYING, ETH)
    house.evm.time -= 1
    house.engine.accept(Kind.UNDERLYING, ETH)


def test_a_submission_can_be_revoked(house: House) -> None:
    submit(house, LOOSER)
    [event] = house.engine.revoke(Kind.UNDERLYING, ETH).events("ParameterRevoked")
    assert tuple(event) == (Kind.UNDERLYING, ETH, LOOSER.word)
    house.warp(DELAY)
    with house.evm.reverts("NothingSubmitted", Kind.UNDERLYING, ETH):
        house.engine.accept(Kind.UNDERLYING, ETH)
    with house.evm.reverts("NothingSubmitted", Kind.UNDERLYING, ETH):
        house.engine.revoke(Kind.UNDERLYING, ETH)


def test_a_tightening_drops_the_submission_that_it_overtakes(house: House) -> None:
    """Otherwise an emergency would be undone by what was proposed before it."""
    submit(house, LOOSER)
    submit(house, TIGHTER)
    house.warp(DELAY)
    with house.evm.reverts("NothingSubmitted", Kind.UNDERLYING, ETH):
        house.engine.accept(Kind.UNDERLYING, ETH)


def test_a_later_submission_replaces_the_first_and_waits_anew(house: House) -> None:
    submit(house, WIDER)
    house.warp(DELAY - 1)
    submit(house, LOOSER)
    house.warp(1)
    with house.evm.reverts("TooEarly", Kind.UNDERLYING, ETH, house.now - 1 + DELAY):
        house.engine.accept(Kind.UNDERLYING, ETH)


def test_the_step_is_measured_when_it_is_taken(house: House) -> None:
    """Two submissions cannot add up to more than a step: the second starts from the first."""
    high = replace(RISK, closing=100)
    submit(house, high)
    submit(house, replace(high, closing=79))
    house.warp(DELAY)
    with house.evm.reverts("StepTooLarge", Kind.UNDERLYING, ETH, 2, 100, 79):
        house.engine.accept(Kind.UNDERLYING, ETH)
    submit(house, replace(high, closing=80))
    house.warp(DELAY)
    house.engine.accept(Kind.UNDERLYING, ETH)


def test_no_word_loosens_twice_within_a_day(house: House) -> None:
    """The next step waits out the whole delay again, however early it is proposed."""
    submit(house, LOOSER)
    house.warp(DELAY)
    house.engine.accept(Kind.UNDERLYING, ETH)
    submit(house, replace(LOOSER, closing=3))
    house.warp(COOLDOWN)
    with house.evm.reverts("TooEarly", Kind.UNDERLYING, ETH, house.now - COOLDOWN + DELAY):
        house.engine.accept(Kind.UNDERLYING, ETH)


def test_what_only_widens_takes_no_step(house: House) -> None:
    """A larger range is no loosening: it waits, but takes no step."""
    submit(house, replace(RISK, range=1_200))
    house.warp(DELAY)
    house.engine.accept(Kind.UNDERLYING, ETH)
    assert in_force(house, Kind.UNDERLYING, ETH)[0] == replace(RISK, range=1_200).word


def test_a_ramp_may_not_pass_where_the_closed_form_fails(house: House) -> None:
    """A range of 24 % needs two states of window at both ends of its ramp."""
    submit(house, replace(RISK, range=2_400, window=200))
    house.warp(DELAY)
    with house.evm.reverts("ParameterOutOfBounds", Kind.UNDERLYING, ETH, 0, 2_400):
        house.engine.accept(Kind.UNDERLYING, ETH)


def test_bounds_hold_for_submissions(house: House) -> None:
    with house.evm.reverts("ParameterOutOfBounds", Kind.UNDERLYING, ETH, 0, 2_501):
        submit(house, replace(RISK, range=2_501, window=1_000))


def test_a_first_word_waits_without_a_step_and_starts_without_a_ramp(house: House) -> None:
    new = 9
    house.engine.submit(Kind.UNDERLYING, new, RISK.word)
    assert in_force(house, Kind.UNDERLYING, new) == (0, 0)
    house.warp(DELAY)
    house.engine.accept(Kind.UNDERLYING, new)
    assert in_force(house, Kind.UNDERLYING, new) == (RISK.word, RISK.word)

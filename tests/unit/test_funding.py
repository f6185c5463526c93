"""Funding in the engine: what a report of premiums sets, bounds and leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model, oracle
from plimsoll.risk.model import WAD, PriceStatus
from plimsoll.risk.params import DELAY, FundingParams, Kind, ReportsParams
from tests.evm import Contract, Reverted
from tests.unit.registry_house import BTC, ETH, ETH_PRICE, House
from tests.world import LARGEST_FUNDING_CAP, MAX_PREMIUM, number

HOUR = 3_600
VALIDITY = 2 * HOUR
PREMIUM = WAD // 1_000


@pytest.fixture(scope="module")
def built() -> House:
    return House().sealed_house()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.undone():
        yield built


def index_of(house: House, underlying: int = ETH) -> int:
    return int(house.call("marketView", model.perpetual(underlying)).fundingIndex)


# What a report sets


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("age", [0, 7, 600])
def test_a_report_sets_an_eighth_of_the_premium_an_hour(house: House, sign: int, age: int) -> None:
    batch = house.signed_reports(ETH, [sign * PREMIUM] * 3, house.now - age)
    receipt = house.engine.reportPremium(*batch, sender=house.stranger)
    rate = sign * ETH_PRICE // 8_000
    (told,) = receipt.events("FundingSet")
    assert tuple(told) == (ETH, sign * PREMIUM, rate, 0, house.now - age)
    assert tuple(house.call("funding", ETH)) == (0, rate, house.now - age, house.now)
    house.warp(HOUR)
    assert index_of(house) == rate
    assert index_of(house, BTC) == 0


@pytest.mark.parametrize("premium", [1, 7, 8, 15, -7, -8, -15])
def test_an_eighth_is_rounded_towards_zero(house: House, premium: int) -> None:
    house.report_premium(ETH, premium)
    eighth = 1 if abs(premium) >= 8 else 0
    assert house.call("funding", ETH).rate == (eighth if premium > 0 else -eighth) * 2_000


@pytest.mark.parametrize("rate", [WAD, -WAD, 2_000, -2_000])
def test_funding_accrues_by_the_second_and_rounds_down(house: House, rate: int) -> None:
    house.set_funding(ETH, rate)
    assert house.call("funding", ETH).rate == rate
    for seconds in (1, 3_599, 1, 3_599, 1, 86_400):
        house.warp(seconds)
        assert index_of(house) == house.underlyings[ETH].funding_at(house.now)
    assert index_of(house) == 2 * rate
    assert index_of(house, BTC) == 0


def test_a_new_rate_keeps_what_has_accrued(house: House) -> None:
    house.set_funding(ETH, WAD + 2_000)
    house.warp(1_001)
    accrued = index_of(house)
    house.set_funding(ETH, -4_000)
    assert index_of(house) == accrued == (WAD + 2_000) * 1_001 // HOUR
    house.warp(HOUR)
    assert index_of(house) == accrued - 4_000


def test_a_silence_between_two_reports_is_not_paid(house: House) -> None:
    house.set_funding(ETH, WAD)
    house.keep_fresh(10 * HOUR)
    house.set_funding(ETH, WAD)
    house.warp(HOUR)
    assert index_of(house) == 3 * WAD


def test_the_rate_is_of_the_last_observed_price(house: House) -> None:
    """The live price can be moved within a block; the observed one is read by then."""
    house.set_price(ETH, 2 * ETH_PRICE)
    house.report_premium(ETH, PREMIUM)
    assert house.call("funding", ETH).rate == ETH_PRICE // 8_000
    house.observe(ETH)
    assert house.call("funding", ETH).rate == ETH_PRICE // 8_000
    house.keep_fresh(1)
    house.report_premium(ETH, PREMIUM)
    assert house.call("funding", ETH).rate == 2 * ETH_PRICE // 8_000


def test_looking_does_not_move_funding(house: House) -> None:
    """The index is a line in time: nobody's poke changes it."""
    house.set_funding(ETH, 14_000)
    for _ in range(5):
        house.keep_fresh(777)
        house.observe(ETH)
        house.engine.market(model.perpetual(ETH))
    assert index_of(house) == 14_000 * 3_885 // HOUR


# Caps


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("cap", [1, 500, LARGEST_FUNDING_CAP])
def test_the_cap_bounds_the_rate_either_way(sign: int, cap: int) -> None:
    house = House()
    house.set_funding_cap(ETH, cap)
    house.sealed_house().report_premium(ETH, sign * MAX_PREMIUM)
    assert house.call("funding", ETH).rate == sign * ETH_PRICE * cap // 10**6


def test_without_a_word_the_cap_is_zero() -> None:
    bare = House()
    feed = bare.underlyings[ETH]
    bare.engine.setUp(Kind.SOURCE, 7, feed.source.word)
    bare.sealed_house()
    assert bare.call("parameter", Kind.FUNDING, 7).target == 0
    bare.engine.reportPremium(*bare.signed_reports(7, [PREMIUM] * 2, bare.now))
    assert tuple(bare.call("funding", 7)) == (0, 0, bare.now, bare.now)


def test_a_cap_is_at_most_one_percent_an_hour(house: House) -> None:
    code = FundingParams(LARGEST_FUNDING_CAP + 1).word
    with house.evm.reverts("ParameterOutOfBounds", Kind.FUNDING, ETH, 0, code):
        house.engine.submit(Kind.FUNDING, ETH, code)
    with house.evm.reverts("ParameterOutOfBounds", Kind.FUNDING, ETH, 0, 0):
        house.engine.submit(Kind.FUNDING, ETH, 0)


def test_a_lower_cap_acts_at_once_on_what_is_reported_next(house: House) -> None:
    house.report_premium(ETH, MAX_PREMIUM)
    house.engine.submit(Kind.FUNDING, ETH, FundingParams(100).word)
    house.underlyings[ETH].funding_cap = 100
    assert house.call("parameter", Kind.FUNDING, ETH).target == FundingParams(100).word
    assert house.call("funding", ETH).rate == ETH_PRICE // 100, "the rate in force stands"
    house.warp(1)
    house.report_premium(ETH, MAX_PREMIUM)
    assert house.call("funding", ETH).rate == ETH_PRICE // 10_000


def test_a_higher_cap_waits_and_takes_steps() -> None:
    house = House()
    house.set_funding_cap(ETH, 500)
    house.sealed_house()
    house.engine.submit(Kind.FUNDING, ETH, FundingParams(1_001).word)
    house.warp(DELAY)
    codes = [FundingParams(cap).word for cap in (500, 1_001)]
    with house.evm.reverts("StepTooLarge", Kind.FUNDING, ETH, 0, *codes):
        house.engine.accept(Kind.FUNDING, ETH)
    house.engine.submit(Kind.FUNDING, ETH, FundingParams(1_000).word)
    house.warp(DELAY)
    house.engine.accept(Kind.FUNDING, ETH)
    assert house.call("parameter", Kind.FUNDING, ETH).target == FundingParams(1_000).word


def test_a_cap_needs_an_underlying() -> None:
    house = House()
    with house.evm.reverts("UnknownUnderlying", 9):
        house.engine.setUp(Kind.FUNDING, 9, FundingParams(1).word)


# What is refused


def refused(house: House, name: str, *values: Any, batch: Any) -> None:
    before = tuple(house.call("funding", ETH))
    with house.evm.reverts(name, *values):
        house.engine.reportPremium(*batch)
    assert tuple(house.call("funding", ETH)) == before


def test_a_batch_must_be_newer_than_the_last(house: House) -> None:
    """By its oldest report: the same batch again, an older one, one that is as old."""
    house.report_premium(ETH, PREMIUM, age=100)
    seen = house.now - 100
    for age in (100, 101, 600):
        batch = house.signed_reports(ETH, [PREMIUM] * 2, house.now - age)
        refused(house, "ReportNotNewer", ETH, house.now - age, seen, batch=batch)
    house.report_premium(ETH, -PREMIUM, age=99)
    house.report_premium(BTC, PREMIUM, age=100)


def test_a_batch_is_of_its_market(house: House) -> None:
    _, reports, signatures = house.signed_reports(ETH, [PREMIUM] * 2, house.now)
    with house.evm.reverts("WrongUnderlying", 0, ETH):
        house.engine.reportPremium(BTC, reports, signatures)


@pytest.mark.parametrize("underlying", [9, 255, 256, 65_535])
def test_an_underlying_without_a_source(house: House, underlying: int) -> None:
    batch = house.signed_reports(underlying, [PREMIUM] * 2, house.now)
    refused(house, "UnknownUnderlying", underlying, batch=batch)
    with house.evm.reverts("UnknownUnderlying", underlying):
        house.call("funding", underlying)


def test_what_the_report_oracle_refuses(house: House) -> None:
    """Its errors come through as they are."""
    few = house.signed_reports(ETH, [PREMIUM], house.now)
    refused(house, "QuorumMissed", 1, 2, batch=few)
    old = house.signed_reports(ETH, [PREMIUM] * 2, house.now - 601)
    refused(house, "ReportTooOld", 0, house.now - 601, batch=old)
    far = house.signed_reports(ETH, [MAX_PREMIUM + 1] * 2, house.now)
    refused(house, "PremiumTooLarge", MAX_PREMIUM + 1, batch=far)


def other_oracle(house: House) -> Contract:
    """Of the same reporters, on the same terms, elsewhere."""
    reporters = house.reports.call.reporters()
    terms = (house.reports.call.QUORUM(), WAD // 100, MAX_PREMIUM, 0)
    return house.evm.deploy("ReportOracle", house.manager.address, reporters, *terms)


def test_reports_for_another_report_oracle(house: House) -> None:
    with patch.object(house, "reports", other_oracle(house)):
        batch = house.signed_reports(ETH, [PREMIUM] * 2, house.now)
    with pytest.raises(Reverted, match="UnknownSigner"):
        house.engine.reportPremium(*batch)
    house.report_premium(ETH, PREMIUM)


# The ReportOracle


def replace_reports(house: House, address: int) -> None:
    house.engine.submit(Kind.REPORTS, 0, ReportsParams(address).word)
    house.warp(DELAY)
    house.engine.accept(Kind.REPORTS, 0)


def test_without_a_report_oracle_nothing_is_reported(house: House) -> None:
    replace_reports(house, 0)
    batch = house.signed_reports(ETH, [PREMIUM] * 2, house.now)
    refused(house, "ReportOracleMissing", batch=batch)


def test_another_report_oracle_waits_and_takes_over(house: House) -> None:
    house.report_premium(ETH, PREMIUM)
    other = other_oracle(house)
    house.engine.submit(Kind.REPORTS, 0, number(other))
    with house.evm.reverts("TooEarly", Kind.REPORTS, 0, house.now + DELAY):
        house.engine.accept(Kind.REPORTS, 0)
    house.warp(DELAY)
    house.engine.accept(Kind.REPORTS, 0)
    assert index_of(house) == ETH_PRICE // 4_000, "what has accrued stays"
    with pytest.raises(Reverted, match="UnknownSigner"):
        house.engine.reportPremium(*house.signed_reports(ETH, [PREMIUM] * 2, house.now))
    with patch.object(house, "reports", other):
        house.report_premium(ETH, PREMIUM)
    assert house.call("funding", ETH).rate == ETH_PRICE // 8_000


def test_a_report_oracle_is_a_contract(house: House) -> None:
    somebody = int(house.stranger.address, 16)
    house.engine.submit(Kind.REPORTS, 0, ReportsParams(somebody).word)
    house.warp(DELAY)
    with house.evm.reverts("SourceUnusable", 0, house.stranger.address, PriceStatus.INVALID):
        house.engine.accept(Kind.REPORTS, 0)


# A new engine


@pytest.mark.parametrize("index", [0, 3 * WAD + 1, -(2**111), 2**111 - 1])
def test_a_new_engine_starts_at_the_old_index(index: int) -> None:
    house = House()
    house.report_premium(ETH, PREMIUM)
    house.keep_fresh(HOUR)
    (told,) = house.engine.startFunding(ETH, index).events("FundingSet")
    assert tuple(told) == (ETH, 0, 0, index, house.now)
    assert tuple(house.call("funding", ETH)) == (index, 0, house.now, house.now)
    house.keep_fresh(HOUR)
    assert (index_of(house), index_of(house, BTC)) == (index, 0)
    house.engine.reportPremium(*house.signed_reports(ETH, [-PREMIUM] * 2, house.now))
    assert house.call("funding", ETH).index == index


def test_an_index_is_started_before_the_seal_by_the_governor_only(house: House) -> None:
    with house.evm.reverts("AlreadySealed"):
        house.engine.startFunding(ETH, 1)
    open_ = House()
    with open_.evm.reverts("AccessManagedUnauthorized", open_.stranger.address):
        open_.engine.startFunding(ETH, 1, sender=open_.stranger)
    with open_.evm.reverts("UnknownUnderlying", 9):
        open_.engine.startFunding(9, 1)


# The twin


@given(
    st.integers(-(2**255), 2**255 - 1) | st.integers(-(10**17), 10**17),
    st.integers(0, LARGEST_FUNDING_CAP),
    st.integers(1, 2**94 - 1),
)
def test_a_rate_fits_its_place(premium: int, cap: int, last: int) -> None:
    """Whatever a premium says: the rate of the largest cap and price has 88 bits."""
    rate = oracle.funding_rate(premium, cap, last)
    assert abs(rate) < 2**88
    assert rate * premium >= 0
    assert abs(rate) <= last * cap // 10**6
    assert abs(oracle.funding_rate(oracle.premium_of(rate, last), cap, last)) <= abs(rate)

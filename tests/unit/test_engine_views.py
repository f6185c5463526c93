"""The engine's views on small accounts that can be reckoned by hand, what it refuses, and what no
account can make it do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import MAX_PRICE, MAX_SIZE, MAX_UNITS, WAD, PriceStatus
from plimsoll.risk.params import GlobalParams, Kind, UnderlyingParams
from tests.unit.registry_house import BTC, ETH, ETH_PRICE, FACTORS, RISK, WBTC, WETH, House

PEG = 0


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.undone():
        yield built


def holding(asset: int, amount: int) -> int:
    return (asset << 128) | amount


def position(underlying: int, size: int, quote: int = 0) -> int:
    instrument = model.perpetual(underlying)
    return (instrument << 208) | ((size % 2**104) << 104) | (quote % 2**104)


def account(cash: int = 0, *held: int, positions: tuple[int, ...] = ()) -> tuple[Any, ...]:
    return cash, list(held), list(positions)


# By hand


def test_an_empty_account_has_no_margin(house: House) -> None:
    assert tuple(house.call("margin", account())) == (0, 0, 0, 0, 0, False)
    assert tuple(house.call("margin", account(-5))) == (-5, -5, -5, 0, 0, False)


def test_one_ether(house: House) -> None:
    """Range 6 %, haircut 1 %, basis 0.2 %, band 0.5 % in initial and in maintenance; k = 1.25."""
    margin = house.call("margin", account(0, holding(WETH, WAD)))
    assert (margin.equity, margin.initialEquity, margin.maintenanceEquity) == (ETH_PRICE,) * 3
    assert margin.maintenanceMargin == 120 * WAD + 24 * WAD + 10 * WAD
    assert margin.initialMargin == (154 * WAD) * 125 // 100
    assert not margin.doubtful


def test_a_short_perpetual_hedges_ether_held(house: House) -> None:
    """Only what no hedge removes is left: haircut, basis, closing and concentration."""
    hedged = account(0, holding(WETH, WAD), positions=(position(ETH, -WAD),))
    _, initial, maintenance, risks = house.call("breakdown", hedged)
    assert (initial.scan, initial.band) == (maintenance.scan, maintenance.band) == (0, 0)
    assert maintenance.collateralCharge == 24 * WAD
    assert maintenance.positionCharge == WAD + 2_000**2 * 500 * WAD // 10**11
    assert [(risk.underlying, risk.delta, risk.worstCase) for risk in risks] == [(ETH, 0, 0)]


def test_long_bitcoin_against_short_ether_is_charged_for_how_far_they_part(house: House) -> None:
    """Equal dollars, one range, a window of 1.2: at the centre 1.2 thirds of the range for each."""
    pair = account(0, positions=(position(BTC, WAD), position(ETH, -30 * WAD)))
    _, _, maintenance, risks = house.call("breakdown", pair)
    isolated = 60_000 * 6 * WAD // 100
    assert maintenance.scan == isolated * 240 // 300
    assert [risk.underlying for risk in risks] == [BTC, ETH]
    assert sum(risk.worstCase for risk in risks) == -maintenance.scan


def test_rows_stand_in_order_of_first_appearance(house: House) -> None:
    held = account(0, holding(WBTC, 10**8), positions=(position(ETH, WAD), position(BTC, -WAD)))
    _, _, _, risks = house.call("breakdown", held)
    assert [(risk.underlying, risk.delta) for risk in risks] == [(BTC, 0), (ETH, WAD)]
    other = account(0, holding(WETH, WAD), holding(WBTC, 10**8))
    assert [risk.underlying for risk in house.call("breakdown", other)[3]] == [ETH, BTC]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_worst_state_is_the_lowest_that_attains_the_maximum(house: House, sign: int) -> None:
    """A long alone loses its whole range in -3, -2 alike; a short alone first in 2."""
    one = account(0, positions=(position(ETH, sign * WAD),))
    _, _, maintenance, [risk] = house.call("breakdown", one)
    assert risk.worstCase == -120 * WAD == -maintenance.scan
    both = account(0, positions=(position(ETH, sign * 30 * WAD), position(BTC, sign * WAD)))
    assert sum(r.worstCase for r in house.call("breakdown", both)[3]) == -7_200 * WAD


def test_explain_says_why_an_amount_counts_for_less(house: House) -> None:
    """A thousand ether: two tiers, and the rest of what one ether pays."""
    found = house.call("explain", WETH, 1_000 * WAD)
    expected = model.explain(house.inputs().assets[WETH], 1_000 * WAD, house.inputs())
    assert tuple(found) == (
        expected.units,
        expected.value,
        expected.scan_loss,
        expected.haircut,
        expected.basis_charge,
        expected.price_reserve,
        expected.counted,
    )
    assert found.haircut == (10_000 + 40_000) * WAD
    assert found.counted == found.value - sum(found[2:6])


def test_explain_takes_any_amount(house: House) -> None:
    for amount in (0, 1, 2**128 - 1, 2**128, 2**256 - 1):
        found = house.call("explain", WETH, amount)
        assert found.units == min(amount, MAX_UNITS)
        assert 0 <= found.counted <= found.value


def test_a_price_above_its_stable_price_is_not_borrowed_against(house: House) -> None:
    """Ether doubles: the account is worth more, and may borrow no more than before."""
    held = account(0, holding(WETH, WAD))
    before = house.call("margin", held)
    house.set_price(ETH, 2 * ETH_PRICE)
    after = house.call("margin", held)
    assert after.equity == 2 * before.equity
    assert after.initialEquity == before.initialEquity


def test_a_fallen_price_does_not_free_a_short_seller(house: House) -> None:
    short = account(0, positions=(position(ETH, -WAD, 2_000 * WAD),))
    house.set_price(ETH, ETH_PRICE // 2)
    found = house.call("margin", short)
    assert (found.equity, found.initialEquity) == (1_000 * WAD, 0)


def test_a_doubtful_price_favours_maintenance_and_burdens_initial(house: House) -> None:
    held = account(0, holding(WETH, WAD))
    house.underlyings[ETH].feed.break_down()
    found = house.call("margin", held)
    assert found.doubtful
    assert found.maintenanceEquity == found.equity + 120 * WAD
    _, initial, maintenance, _ = house.call("breakdown", held)
    assert (initial.band, maintenance.band) == (120 * WAD, 0)


def test_funding_moves_equity(house: House) -> None:
    house.set_funding(ETH, WAD)
    house.warp(3_600)
    house.keep_fresh(0)
    for size in (WAD, -WAD):
        held = account(0, positions=(position(ETH, size, -2_000 * size),))
        assert house.call("margin", held).equity == -size


# Factors


def test_factors_are_the_globals_as_numbers(house: House) -> None:
    found = house.call("factors")
    assert found.initialFactor == FACTORS.initial_factor
    assert found.stressShare == FACTORS.stress_share
    assert found.winnersCap == FACTORS.winners_cap * WAD
    assert found.payoutCap == FACTORS.payout_cap * WAD
    assert found.dust == FACTORS.dust * WAD
    assert not found.depegged, "without a peg feed there is nothing to watch"


def test_the_peg_is_watched_to_its_bound(house: House) -> None:
    """Two percent either way, of what was observed within the hour or else of what the feed says
    now; a feed that does not answer is no peg either."""
    house.list_underlying(PEG, RISK, WAD)
    for price, depegged in [
        (WAD, False),
        (WAD * 102 // 100, False),
        (WAD * 102 // 100 + 1, True),
        (WAD * 98 // 100, False),
        (WAD * 98 // 100 - 1, True),
    ]:
        with house.anchored():
            house.set_price(PEG, price)
            assert not house.call("factors").depegged, "nobody has observed it"
            with house.anchored():
                house.observe(PEG)
                assert house.call("factors").depegged is depegged
            house.warp(3_601)
            house.set_price(PEG, price)
            assert house.call("factors").depegged is depegged
    house.underlyings[PEG].feed.break_down()
    house.warp(3_600)
    assert not house.call("factors").depegged
    house.warp(1)
    assert house.call("factors").depegged
    house.keep_fresh(0)
    margin = house.call("margin", account(0, holding(WETH, WAD)))
    assert not margin.doubtful, "the peg moves no position"


# Refusals


@pytest.mark.parametrize(
    "instrument",
    [
        0,
        (1 << 46),
        (1 << 46) | (256 << 37),
        (1 << 46) | (511 << 37),
        model.perpetual(ETH) | 1,
        model.perpetual(ETH) | (1 << 36),
        (2 << 46) | (ETH << 37),
        (3 << 46) | (ETH << 37),
        (ETH << 37),
        2**48 - 1,
    ],
)
def test_what_is_no_perpetual_is_unknown(house: House, instrument: int) -> None:
    with house.evm.reverts("UnknownInstrument", instrument):
        house.call("marketView", instrument)
    with house.evm.reverts("UnknownInstrument", instrument):
        house.engine.market(instrument)
    with house.evm.reverts("UnknownInstrument", instrument):
        house.call("margin", (0, [], [(instrument << 208) | (WAD << 104)]))


def test_an_underlying_without_a_market_cannot_be_traded(house: House) -> None:
    house.list_underlying(7, RISK, WAD)
    with house.evm.reverts("UnknownInstrument", model.perpetual(7)):
        house.call("marketView", model.perpetual(7))


@pytest.mark.parametrize("asset", [0, 3, 95, 96, 65_535])
def test_unlisted_collateral_is_refused(house: House, asset: int) -> None:
    with house.evm.reverts("UnknownAsset", asset):
        house.call("margin", account(0, holding(asset, 1)))


# Extremes


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("wei", [1, MAX_PRICE])
def test_the_largest_account_does_not_overflow(house: House, sign: int, wei: int) -> None:
    """As many positions as a bidder may hold, each as large as its type, all prices at an end."""
    risk = UnderlyingParams(2_500, 1_000, 1_023, 16_383, 1_023)
    house.set_parameter(Kind.GLOBAL, 0, replace(FACTORS, initial_factor=40_000).word)
    for u in range(3, 40):
        house.list_underlying(u, risk, wei)
    size = MAX_SIZE if sign > 0 else -MAX_SIZE - 1
    spread = [position(3 + i % 37, size, -MAX_SIZE - 1) for i in range(255)]
    held: tuple[int, list[int], list[int]] = (-(2**119), [], spread)
    inputs = house.inputs()
    expected = model.margin(
        model.Portfolio(
            -(2**119),
            (),
            tuple(
                model.Position(model.perpetual(3 + i % 37), size, -MAX_SIZE - 1) for i in range(255)
            ),
        ),
        inputs,
    )
    found = house.engine.call.margin(held)
    assert tuple(found) == (
        expected.equity,
        expected.initial_equity,
        expected.maintenance_equity,
        expected.initial_margin,
        expected.maintenance_margin,
        expected.doubtful,
    )


def test_every_feed_broken_still_gives_an_answer(house: House) -> None:
    for u in range(3, 30):
        house.list_underlying(u, RISK, ETH_PRICE)
    for number, underlying in enumerate(house.underlyings.values()):
        underlying.feed.contract.setMode(1 + number % 5)
        underlying.feed.broken = True
    spread = tuple(position(u, WAD) for u in range(1, 30))
    margin = house.call("margin", account(0, holding(WETH, WAD), positions=spread))
    assert margin.doubtful
    assert margin.maintenanceMargin > 0


def test_status_is_told_with_the_terms_of_a_market(house: House) -> None:
    assert house.call("marketView", model.perpetual(ETH)).status == PriceStatus.OK
    house.underlyings[ETH].feed.break_down()
    terms = house.call("marketView", model.perpetual(ETH))
    assert (terms.status, terms.mark) == (PriceStatus.INVALID, ETH_PRICE)


def test_the_globals_bound_the_factor(house: House) -> None:
    for factor in (12_499, 40_001):
        with house.evm.reverts("ParameterOutOfBounds", Kind.GLOBAL, 0, 0, factor):
            house.engine.setUp(Kind.GLOBAL, 0, GlobalParams(initial_factor=factor).word)

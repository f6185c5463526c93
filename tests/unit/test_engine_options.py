"""What the engine says of one future or option, and of an account that holds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.risk import model
from plimsoll.risk.instruments import future, option
from plimsoll.risk.model import WAD, Portfolio, Position
from plimsoll.risk.options import ExpiryState
from plimsoll.risk.params import MarketParams, OptionsParams, UnderlyingParams
from tests.surfaces import first_day, flat
from tests.world import Market, pack_portfolio

ETH = 1
BARE = 2
PRICE = 2_000 * WAD
RISK = UnderlyingParams(range=600, window=150, closing=5, concentration=40, band=50)
MARKET = MarketParams(taker_fee=300, maker_fee=0, open_interest_cap=10**8, stress_jump=1_000)
OPTIONS = OptionsParams(vol_shift=2_500, term_forward=50, term_vol=2_000, option_closing=10)
DAY = 86_400


@pytest.fixture(scope="module")
def built() -> Market:
    market = Market()
    market.list_underlying(ETH, RISK, PRICE, market=MARKET)
    market.list_underlying(BARE, RISK, PRICE)
    market.set_options(ETH, OPTIONS)
    return market


@pytest.fixture
def market(built: Market) -> Iterator[Market]:
    with built.anchored():
        yield built


@pytest.fixture
def day(market: Market) -> int:
    """A Friday within the horizon, with a surface of this moment."""
    friday = next(d for d in range(first_day(market.now), 4_096) if d % 7 == 2)
    market.report_surface(ETH, (flat(friday),))
    return friday


def call(day: int, strike: int = PRICE, put: bool = False) -> int:
    return option(ETH, day, strike, put=put)


def test_an_option_may_be_opened_while_its_surface_is_fresh(market: Market, day: int) -> None:
    seen = market.engine.call.marketView(call(day))
    assert (seen.closed, seen.stale, seen.isFinal) == (False, False, False)
    assert 0 < seen.mark < seen.index == PRICE
    assert seen.fundingIndex == 0
    market.warp(7_200)
    market.set_price(ETH, PRICE)
    seen = market.engine.call.marketView(call(day))
    assert (seen.closed, seen.stale, seen.isFinal) == (True, True, False)


def test_put_and_call_differ_by_the_forward(market: Market, day: int) -> None:
    strike = 2_100 * WAD
    marks = [market.engine.call.marketView(call(day, strike, put)).mark for put in (False, True)]
    forward = market.engine.call.marketView(future(ETH, day)).mark
    assert marks[0] - marks[1] == forward - strike


def test_what_has_no_surface_is_unknown(market: Market, day: int) -> None:
    for id_ in (call(day + 7), option(BARE, day, PRICE, put=False), call(day) & ~(0xFFFFF << 5)):
        with market.evm.reverts("UnknownInstrument", id_):
            market.engine.call.marketView(id_)
    held = Portfolio(positions=(Position(call(day + 7), WAD),))
    with market.evm.reverts("UnknownInstrument", call(day + 7)):
        market.engine.call.margin(pack_portfolio(held))


@pytest.mark.parametrize("strike", [2_001 * WAD, 5_000 * WAD])
def test_what_nobody_needs_may_only_be_closed(market: Market, day: int, strike: int) -> None:
    """More digits than the word allows, or a mark below a ten-thousandth of the price."""
    seen = market.engine.call.marketView(call(day, strike))
    assert seen.closed
    assert not seen.stale


def test_once_fixed_it_is_worth_its_payoff_for_ever(market: Market, day: int) -> None:
    expiry = (20_089 + day) * DAY + 8 * 3_600
    market.warp(expiry + 3 * DAY - market.now)
    market.set_price(ETH, PRICE // 2)
    market.store_expiry(ETH, day, ExpiryState(samples=6, sum=6 * 2_500 * WAD))
    seen = market.engine.call.marketView(call(day))
    assert (seen.mark, seen.closed, seen.stale, seen.isFinal) == (500 * WAD, True, False, True)
    assert market.engine.call.marketView(call(day, put=True)).mark == 0
    held = Portfolio(cash=7, positions=(Position(call(day), -2 * WAD, 3),))
    margin = market.engine.call.margin(pack_portfolio(held))
    assert margin.equity == 10 - 1_000 * WAD
    assert margin.maintenanceMargin == margin.initialMargin == 0
    assert not margin.doubtful


def test_a_missing_fixing_is_late_after_an_hour(market: Market, day: int) -> None:
    expiry = (20_089 + day) * DAY + 8 * 3_600
    market.warp(expiry + 3_600 - market.now)
    market.set_price(ETH, PRICE)
    held = Portfolio(cash=10**6 * WAD, positions=(Position(call(day, 1_900 * WAD), WAD),))
    seen = market.engine.call.marketView(call(day))
    assert (seen.closed, seen.stale, seen.isFinal) == (True, True, False)
    assert market.engine.call.margin(pack_portfolio(held)).doubtful


def test_who_has_paid_for_his_options_is_never_below_maintenance(market: Market, day: int) -> None:
    positions = tuple(Position(call(day, k * WAD), 50 * WAD) for k in (1_800, 2_000, 2_400))
    margin = market.engine.call.margin(pack_portfolio(Portfolio(positions=positions)))
    assert 0 < margin.maintenanceMargin <= margin.equity
    owing = (*positions, Position(call(day, 2_200 * WAD), -1))
    more = market.engine.call.margin(pack_portfolio(Portfolio(positions=owing)))
    assert more.maintenanceMargin > 0


def test_a_mark_is_what_the_margin_counts(market: Market, day: int) -> None:
    for put in (False, True):
        id_ = call(day, 2_050 * WAD, put)
        held = Portfolio(positions=(Position(id_, -3 * WAD),))
        mark = market.engine.call.marketView(id_).mark
        assert market.engine.call.margin(pack_portfolio(held)).equity == -3 * mark


def test_greeks_stand_beside_the_underlying(market: Market, day: int) -> None:
    held = Portfolio(cash=WAD, positions=(Position(call(day), 10 * WAD),))
    *_, rows = market.engine.call.breakdown(pack_portfolio(held))
    (row,) = rows
    assert 4 * WAD < row.delta < 7 * WAD
    assert row.gamma > 0 > row.theta
    assert row.vega > 0
    assert row.value == model.breakdown(held, market.inputs()).underlyings[0].value

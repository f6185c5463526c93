"""The early exit never says more than the margin: whoever it calls covered is free by the integer
twin, to the wei, and nothing of his is doubtful.

Equity grows with cash and no margin depends on it, so one wei below what frees a book is where any
bound that is too low shows itself.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model
from plimsoll.risk.instruments import expiry_of
from plimsoll.risk.model import WAD, ExpiryState, Portfolio, PriceStatus
from plimsoll.risk.options import SAMPLES
from tests.differential.test_options import Plan, Stage, plans, store_expiries
from tests.option_strategies import EXPIRIES, any_slices, long_options, option_books, smiles
from tests.strategies import portfolios
from tests.world import Market, pack_portfolio

RICH = 10**70


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def undoubted(plan: Plan) -> Plan:
    """The same with every price OK and nothing in motion, where the bound may decide."""
    underlyings = {
        u: replace(one, status=PriceStatus.OK, ramp=None, references=None)
        for u, one in plan.underlyings.items()
    }
    assets = {c: replace(one, ramp=None, rate=None) for c, one in plan.assets.items()}
    return replace(plan, underlyings=underlyings, assets=assets, sequencer_down=False)


def store_fresh(market: Market, day: int, data: st.DataObject) -> None:
    """Slices of any shape that are not stale, and as many samples as can be known, or fewer."""
    shape = data.draw(st.sampled_from([smiles, any_slices]))
    for u, days in product(sorted(market.underlyings), EXPIRIES):
        price, expiry = market.price(u).index, expiry_of(day + days)
        observed = min(market.now, expiry - 1) - data.draw(st.integers(0, 3_000))
        taken = max(0, min(SAMPLES, (market.now - expiry + 1_800) // 300 + 1))
        count = data.draw(st.just(taken) | st.integers(0, taken))
        total = count * data.draw(st.integers(max(1, price // 2), 2 * price))
        slice_ = data.draw(shape(day + days))
        market.store_expiry(u, day + days, ExpiryState(slice_, observed, count, total))


def is_covered(market: Market, book: Portfolio, cash: int) -> bool:
    with market.evm.anchored():
        return bool(market.engine.isCovered(pack_portfolio(replace(book, cash=cash))).value)


def least_free_cash(market: Market, book: Portfolio) -> tuple[int, bool]:
    """The cash with which the book is just free, and whether something in it is doubtful."""
    inputs = market.inputs()
    at_zero = model.margin(replace(book, cash=0), inputs)
    free = at_zero.initial_margin - at_zero.initial_equity
    exactly = model.margin(replace(book, cash=free), inputs)
    assert exactly.initial_equity == exactly.initial_margin
    return free, exactly.doubtful


def draw_book(market: Market, data: st.DataObject) -> Portfolio:
    inputs = market.inputs()
    dated = data.draw(option_books(inputs, extreme=data.draw(st.booleans())))
    if data.draw(st.integers(0, 3)) == 0:
        dated = long_options(dated)
    beside = data.draw(portfolios(inputs)) if data.draw(st.booleans()) else Portfolio()
    return replace(beside, positions=(*beside.positions, *dated.positions))


@given(plans(), st.data())
def test_who_is_covered_is_free(stage: Stage, plan: Plan, data: st.DataObject) -> None:
    plan = undoubted(plan)
    with stage.evm.anchored():
        market = stage.carry_out(plan)
        store_fresh(market, stage.day, data)
        book = draw_book(market, data)
        free, doubtful = least_free_cash(market, book)
        assert not is_covered(market, book, free - 1)
        cash = free + data.draw(st.integers(0, 4 * abs(free) + WAD))
        if is_covered(market, book, cash) or is_covered(market, book, RICH):
            assert not doubtful


@given(plans(), st.data())
def test_nobody_is_covered_in_doubt(stage: Stage, plan: Plan, data: st.DataObject) -> None:
    """Prices, rates and slices of any status, and parameters in motion."""
    with stage.evm.anchored():
        market = stage.carry_out(plan)
        store_expiries(market, stage.day, data)
        book = draw_book(market, data)
        free, doubtful = least_free_cash(market, book)
        assert not is_covered(market, book, free - 1)
        if doubtful:
            assert not is_covered(market, book, RICH)

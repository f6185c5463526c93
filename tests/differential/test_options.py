"""Options and futures: the engine equals its integer twin to the last bit, in every field of every
view.

The worlds are those of the linear books, with slices of any age and shape, samples of any number
and moments from years before an expiry to days after it written into the engine's storage; the
books are what people build, beside collateral and perpetuals, and as many legs as an account holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import instruments, model
from plimsoll.risk.instruments import day_of, expiry_of
from plimsoll.risk.model import MAX_PRICE, MAX_SIZE, WAD, ExpiryState, Portfolio, Position
from plimsoll.risk.params import (
    GlobalParams,
    Kind,
    MarketParams,
    OptionsParams,
    UnderlyingParams,
)
from plimsoll.risk.svi import NANO, Slice
from tests.differential import test_margin as linear
from tests.option_strategies import (
    EXPIRIES,
    FIRST_DAY,
    any_slices,
    expiry_states,
    long_options,
    moments,
    option_books,
    smiles,
    strike_near,
)
from tests.strategies import Regime, cash_for, global_params, portfolios
from tests.surfaces import surface
from tests.world import Market

DAY = 86_400
WAIT = st.integers(0, 7_200) | st.integers(0, 4 * DAY)


def options_params() -> st.SearchStrategy[OptionsParams]:
    return st.builds(
        OptionsParams,
        vol_shift=st.sampled_from([100, 8_000]) | st.integers(100, 8_000),
        term_forward=st.integers(0, 4_095),
        term_vol=st.sampled_from([0, 10_000]) | st.integers(0, 10_000),
        option_closing=st.integers(0, 1_023),
        digits=st.integers(1, 6),
        horizon=st.integers(1, 1_095),
        dailies=st.integers(0, 31),
    )


@dataclass(frozen=True)
class Plan(linear.Plan):
    """A plan for linear books, the OPTIONS words, and how long after the first expiry it ends."""

    options: dict[int, OptionsParams]
    after: int


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    ids = range(1, draw(st.integers(1, 3)) + 1)
    return Plan(
        factors=draw(global_params()),
        underlyings={u: draw(linear.underlying_plans()) for u in ids},
        assets={c: draw(linear.asset_plans(len(ids))) for c in range(1, draw(st.integers(1, 4)))},
        sequencer_down=draw(st.integers(0, 19)) == 0,
        waits=draw(st.tuples(WAIT, WAIT, WAIT)),
        options={u: draw(options_params()) for u in ids},
        after=draw(moments()) - expiry_of(FIRST_DAY),
    )


class Stage(linear.Stage):
    """Carries a plan out and ends it at its distance from an expiry."""

    def carry_out(self, plan: linear.Plan) -> Market:
        self.plan = plan
        return super().carry_out(plan)

    def _list_underlying(self, market: Market, u: int, plan: linear.UnderlyingPlan) -> None:
        super()._list_underlying(market, u, plan)
        assert isinstance(self.plan, Plan)
        list_options(market, u, self.plan.options[u])

    def _go_live(self, market: Market, plan: linear.Plan) -> None:
        assert isinstance(plan, Plan)
        self.day = first_day(market, plan.after)
        market.warp(expiry_of(self.day) + plan.after - market.now)
        super()._go_live(market, plan)


def first_day(market: Market, after: int) -> int:
    """The first expiry that is `after` seconds ago from now on."""
    return day_of(market.now - after - 1) + 1


def list_options(market: Market, u: int, word: OptionsParams) -> None:
    market.engine.setUp(Kind.MARKET, u, MarketParams().word)
    market.set_options(u, word)


def store_expiries(market: Market, day: int, data: st.DataObject) -> None:
    """Eight expiries of each underlying, as a market shows them or at the bounds of every field."""
    shape = data.draw(st.sampled_from([smiles, any_slices]))
    for u, days in product(sorted(market.underlyings), EXPIRIES):
        price = market.price(u).index
        state = data.draw(expiry_states(day + days, price, market.now, shape))
        market.store_expiry(u, day + days, state)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def assert_market_equal(market: Market, instrument: int) -> None:
    expected = model.market(instrument, market.inputs())
    with market.evm.anchored():
        told = market.engine.market(instrument).value
    assert (told.mark, told.index, told.fundingIndex) == (expected.mark, expected.index, 0)
    assert (told.stale, told.isFinal, told.closed) == (
        expected.is_stale,
        expected.is_final,
        expected.closed,
    )


@given(plans(), st.data())
def test_margin_equals_the_twin(stage: Stage, plan: Plan, data: st.DataObject) -> None:
    with stage.evm.anchored():
        market = stage.carry_out(plan)
        store_expiries(market, stage.day, data)
        inputs = market.inputs()
        dated = data.draw(option_books(inputs, extreme=data.draw(st.booleans())))
        if data.draw(st.integers(0, 4)) == 0:
            dated = long_options(dated)
        beside = data.draw(portfolios(inputs)) if data.draw(st.booleans()) else Portfolio()
        positions = data.draw(st.permutations((*beside.positions, *dated.positions)))
        book = replace(beside, positions=tuple(positions))
        book = replace(book, cash=cash_for(data.draw(st.sampled_from(Regime)), book, inputs))
        linear.assert_views_equal(market, book)
        for position in dated.positions:
            if model.is_dated(position.instrument):
                assert_market_equal(market, position.instrument)


@given(st.data())
def test_signed_surfaces_price_the_same(stage: Stage, data: st.DataObject) -> None:
    """What reporters sign, and nothing that is written into storage."""
    with stage.evm.anchored():
        market = Market(stage.evm)
        risk = UnderlyingParams(range=610, window=120, closing=10, concentration=5, band=25)
        market.list_underlying(1, risk, 2_000 * WAD)
        list_options(market, 1, OptionsParams(1_500, 100, 2_000, 5))
        market.report_surface(1, surface(market.now, 8, data.draw(st.integers(20, 150))))
        market.warp(data.draw(st.integers(0, 3_600)))
        market.set_price(1, data.draw(st.integers(1_500, 2_500)) * WAD)
        book = data.draw(option_books(market.inputs()))
        linear.assert_views_equal(market, book)
        for position in book.positions:
            if model.is_dated(position.instrument):
                assert_market_equal(market, position.instrument)


def legs(day: int, count: int, size: int) -> tuple[Position, ...]:
    """Calls and puts, long and short, over three underlyings and eight expiries."""
    found = []
    for i in range(count):
        u, days, put = 1 + i % 3, EXPIRIES[i // 3 % 8], i % 2 == 0
        strike = strike_near(2_000 * WAD, 7_000 + 40 * i)
        option = instruments.option(u, day + days, strike, put=put)
        found.append(Position(option, size if i // 2 % 2 else -size, i - 60))
    return tuple(found)


@pytest.mark.parametrize("count", [1, 31, 120])
def test_as_many_legs_as_an_account_holds(stage: Stage, count: int) -> None:
    risk = UnderlyingParams(range=610, window=120, closing=10, concentration=5, band=25)
    with stage.evm.anchored():
        market = Market(stage.evm)
        for u in (1, 2, 3):
            market.list_underlying(u, risk, 2_000 * WAD)
            list_options(market, u, OptionsParams(1_500, 100, 2_000, 5))
        day = first_day(market, -DAY)
        for u, days in product((1, 2, 3), EXPIRIES):
            smile = Slice(day + days, NANO, NANO // 5, NANO // 10, -300_000, 0, 300_000)
            market.store_expiry(u, day + days, ExpiryState(smile, market.now - 60))
        perpetuals = tuple(Position(model.perpetual(u), u * WAD, -7) for u in (1, 2, 3))
        book = Portfolio(10**24, (), legs(day, count, 3 * WAD) + perpetuals)
        linear.assert_views_equal(market, book)


@pytest.mark.parametrize("put", [False, True])
def test_everything_at_its_largest(stage: Stage, put: bool) -> None:
    """The greatest prices, sizes, forwards, ranges and charges overflow nothing."""
    risk = UnderlyingParams(2_500, 1_000, 1_023, 16_383, 1_023)
    with stage.evm.anchored():
        market = Market(stage.evm, GlobalParams(initial_factor=40_000, band_ceiling=9_999))
        market.sample_first(dict.fromkeys((1, 2, 3), (60000, 10000)))
        day = first_day(market, -DAY)
        for u in (1, 2, 3):
            market.list_underlying(u, risk, MAX_PRICE)
            list_options(market, u, OptionsParams(8_000, 4_095, 10_000, 1_023))
            for days in EXPIRIES:
                steep = Slice(day + days, 2 * NANO, 25 * NANO, 2**44 - 1, 999_000, 0, 4 * 10**6)
                market.store_expiry(u, day + days, ExpiryState(steep, market.now))
            market.set_price(u, MAX_PRICE)
        strikes = (10**8, MAX_PRICE // 10**25 * 10**25, 2**19 * 10**23)
        for sign in (1, -1):
            positions = tuple(
                Position(
                    instruments.option(u, day + days, strike, put=put),
                    sign * MAX_SIZE,
                    -sign * MAX_SIZE,
                )
                for u, days, strike in product((1, 2, 3), EXPIRIES, strikes)
            )
            linear.assert_views_equal(market, Portfolio(0, (), positions))

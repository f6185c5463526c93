"""The margin engine equals its integer twin to the last bit, in every field of every view.

Worlds and portfolios are drawn over dust and extremes of prices, sizes and amounts, every status of
a price, ramps in flight, funding and crowding that moved, yield tokens at a discount, and accounts
at, around and below each margin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model, params
from plimsoll.risk.model import MAX_PRICE, WAD, Portfolio, PriceStatus
from plimsoll.risk.params import (
    AssetParams,
    GlobalParams,
    Kind,
    UnderlyingParams,
)
from tests.evm import Contract, Evm
from tests.strategies import (
    DECIMALS,
    DOMINATED,
    MAX_COLLATERALS,
    asset_params,
    global_params,
    magnitudes,
    portfolios,
    prices,
    underlying_params,
)
from tests.world import Market, pack_portfolio

DAY = 24 * 3_600
FREEZE_AFTER = 7 * DAY
DEVIATION = 100
MAX_AGE = 3_600
LATEST_RATE = 2 * WAD


@dataclass(frozen=True)
class UnderlyingPlan:
    """What is done to one underlying before it is looked at."""

    first: int
    last: int
    live: int
    status: PriceStatus
    risk: UnderlyingParams
    ramp: UnderlyingParams | None
    funding: int
    references: tuple[int, int] | None


@dataclass(frozen=True)
class AssetPlan:
    underlying: int
    decimals: int
    risk: AssetParams
    ramp: AssetParams | None
    total: int
    rate: int | None
    later_rate: int
    discount: int | None


@dataclass(frozen=True)
class Plan:
    factors: GlobalParams
    underlyings: dict[int, UnderlyingPlan]
    assets: dict[int, AssetPlan]
    sequencer_down: bool
    waits: tuple[int, int, int]


@st.composite
def next_underlying(draw: st.DrawFn, old: UnderlyingParams) -> UnderlyingParams:
    """What may follow a word: tighter in every field, or any with one step down."""
    tighter = UnderlyingParams(
        range=old.range,
        window=old.window,
        closing=draw(st.integers(old.closing, 1_023)),
        concentration=draw(st.integers(old.concentration, 16_383)),
        band=draw(st.integers(old.band, 1_023)),
    )
    if draw(st.booleans()):
        return tighter
    # The larger range and the smaller window of the two must keep the tails dominated.
    least_window = max(100, old.window - old.window // 5, 300 - DOMINATED // old.range)
    window = draw(st.integers(least_window, 1_000))
    tightest = min(window, old.window)
    most = 2_500 if tightest >= 300 else min(2_500, DOMINATED // (300 - tightest))
    least = old.range - old.range // 5
    return replace(tighter, window=window, range=draw(st.integers(least, max(least, most))))


@st.composite
def next_asset(draw: st.DrawFn, old: AssetParams) -> AssetParams:
    """A tighter word: smaller tiers, higher haircuts."""
    tier2 = draw(st.integers(0, old.tier2))
    haircut3 = draw(st.integers(old.haircut3, 9_999))
    return replace(
        old,
        tier1=draw(st.integers(0, min(tier2, old.tier1))),
        tier2=tier2,
        haircut2=draw(st.integers(old.haircut2, haircut3)),
        haircut3=haircut3,
        basis=draw(st.integers(old.basis, 4_095)),
    )


@st.composite
def references(draw: st.DrawFn) -> tuple[int, int]:
    """Two references whose ratio becomes the gauge: within its bounds, at both ends, and beyond."""
    first = draw(magnitudes(1, 65_535))
    gauge = draw(st.one_of(st.sampled_from([6_000, 40_000]), st.integers(4_000, 60_000)))
    return first, max(1, min(65_535, first * model.BPS // gauge))


@st.composite
def underlying_plans(draw: st.DrawFn) -> UnderlyingPlan:
    first = draw(prices())
    near = st.integers(max(1, first * 9 // 10), min(MAX_PRICE, first * 11 // 10 + 1))
    away = st.one_of(st.just(first), near, prices())
    risk = draw(underlying_params())
    most = first // 100
    funding = draw(st.one_of(st.just(0), st.sampled_from([-most, most]), st.integers(-most, most)))
    ok = st.just(PriceStatus.OK)
    own = [s for s in PriceStatus if s != PriceStatus.SEQUENCER_DOWN]
    return UnderlyingPlan(
        first=first,
        last=draw(away),
        live=draw(away),
        status=draw(st.one_of(ok, ok, st.sampled_from(own))),
        risk=risk,
        ramp=draw(next_underlying(risk)) if draw(st.integers(0, 3)) == 0 else None,
        funding=funding,
        references=draw(references()) if draw(st.booleans()) else None,
    )


@st.composite
def asset_plans(draw: st.DrawFn, underlyings: int) -> AssetPlan:
    risk = draw(asset_params())
    rates = st.one_of(st.integers(WAD, LATEST_RATE), magnitudes(1, 2**68 - 1))
    decimals = draw(st.sampled_from(DECIMALS))
    return AssetPlan(
        underlying=draw(st.integers(1, underlyings)),
        decimals=decimals,
        risk=risk,
        ramp=draw(next_asset(risk)) if draw(st.integers(0, 3)) == 0 else None,
        total=draw(st.one_of(st.just(0), magnitudes(1, 10**9 * 10**decimals))),
        rate=draw(rates) if draw(st.integers(0, 3)) == 0 else None,
        later_rate=draw(st.one_of(st.just(0), rates)),
        discount=draw(st.one_of(st.none(), st.just(0), st.integers(1, 2 * LATEST_RATE))),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    underlyings = draw(st.one_of(st.integers(1, 3), st.integers(1, 12)))
    assets = draw(st.one_of(st.integers(0, 3), st.integers(0, MAX_COLLATERALS)))
    wait = st.one_of(st.integers(0, 7_200), st.integers(0, 4 * DAY))
    return Plan(
        factors=draw(global_params()),
        underlyings={u: draw(underlying_plans()) for u in range(1, underlyings + 1)},
        assets={c: draw(asset_plans(underlyings)) for c in range(1, assets + 1)},
        sequencer_down=draw(st.integers(0, 9)) == 0,
        waits=draw(st.tuples(wait, wait, wait)),
    )


class Stage:
    """One engine, on which each plan is carried out and undone."""

    def __init__(self) -> None:
        self.evm = Evm()
        self.house = self.evm.actor("house").address

    def carry_out(self, plan: Plan) -> Market:
        market = Market(self.evm, plan.factors)
        market.sample_first({u: r for u, one in plan.underlyings.items() if (r := one.references)})
        for u, one in plan.underlyings.items():
            self._list_underlying(market, u, one)
        for c, asset in plan.assets.items():
            self._list_asset(market, c, asset)
        if plan.sequencer_down:
            market.set_sequencer().set(0, 1)
        self._freeze(market, plan)
        market.seal(self.house)
        self._ramp(market, plan)
        market.warp(plan.waits[0])
        self._observe(market, plan)
        market.warp(plan.waits[1])
        self._crowd(market, plan)
        market.warp(plan.waits[2])
        self._go_live(market, plan)
        return market

    def _list_underlying(self, market: Market, u: int, plan: UnderlyingPlan) -> None:
        doubted = plan.status in (PriceStatus.DEVIATING, PriceStatus.UNCONFIRMED)
        bounded = plan.status == PriceStatus.OUT_OF_BOUNDS
        market.list_underlying(
            u,
            plan.risk,
            plan.first,
            max_age=MAX_AGE,
            ceiling=plan.first.bit_length() if bounded else 94,
            second=DEVIATION if doubted else None,
        )
        market.set_funding(u, plan.funding)

    def _list_asset(self, market: Market, c: int, plan: AssetPlan) -> None:
        token = self._token(market, plan)
        if plan.rate is None:
            market.list_asset(c, token, plan.underlying, plan.risk)
            return
        market.list_yield_asset(c, token, plan.underlying, plan.risk, token, growth=5_000)
        if plan.discount is not None:
            market.set_rate_market(c, max(1, plan.discount))

    def _token(self, market: Market, plan: AssetPlan) -> Contract:
        if plan.rate is None:
            return market.new_token(plan.decimals)
        return self.evm.deploy("FaucetStakedEther", "Staked", "ST", 0, self.evm.deployer, plan.rate)

    def _freeze(self, market: Market, plan: Plan) -> None:
        frozen = [u for u, one in plan.underlyings.items() if one.status == PriceStatus.FROZEN]
        for u in frozen:
            market.underlyings[u].feed.break_down()
        if frozen:
            market.warp(FREEZE_AFTER)
        for u in frozen:
            market.freeze(u, plan.underlyings[u].last)

    def _ramp(self, market: Market, plan: Plan) -> None:
        for u, one in plan.underlyings.items():
            if one.ramp is not None:
                market.set_parameter(Kind.UNDERLYING, u, one.ramp.word)
        for c, asset in plan.assets.items():
            if asset.ramp is not None:
                market.set_parameter(Kind.ASSET, c, asset.ramp.word)

    def _observe(self, market: Market, plan: Plan) -> None:
        """Stores a last price away from the first, in a way that leaves the status planned."""
        for u, one in plan.underlyings.items():
            if one.status == PriceStatus.DEVIATING:
                market.set_price(u, one.first, second=one.first // 2 or 2)
            elif one.status == PriceStatus.UNCONFIRMED:
                market.set_price(u, one.last)
                market.underlyings[u].feed.break_down()
            elif one.status not in (PriceStatus.OUT_OF_BOUNDS, PriceStatus.FROZEN):
                market.set_price(u, one.last)
            market.observe(u)
        for c, asset in plan.assets.items():
            if asset.rate is not None:
                market.observe_rates(c)

    def _crowd(self, market: Market, plan: Plan) -> None:
        for c, asset in plan.assets.items():
            market.engine.noteTotal(c, asset.total, sender=self.house)
            market.note_total(c, asset.total)

    def _go_live(self, market: Market, plan: Plan) -> None:
        for u, one in plan.underlyings.items():
            feed = market.underlyings[u].feed
            if one.status == PriceStatus.OK:
                market.set_price(u, one.live)
            elif one.status == PriceStatus.STALE:
                feed.set(one.live, market.now - MAX_AGE - 1)
            elif one.status == PriceStatus.INVALID:
                feed.set(0, market.now)
            elif one.status == PriceStatus.OUT_OF_BOUNDS:
                feed.set(1 << one.first.bit_length(), market.now)
        for c, asset in plan.assets.items():
            if asset.rate is not None:
                staked = market.assets[c].staked
                assert staked is not None
                staked.setStEthPerToken(asset.later_rate)
        if market.sequencer is not None:
            market.sequencer.set(1, market.now)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def fields(record: Any) -> Any:
    """A record of the twin as the contract returns it."""
    return tuple(getattr(record, name) for name in record.__dataclass_fields__)


def row_fields(row: model.UnderlyingRisk) -> Any:
    return (
        row.underlying,
        fields(row.price),
        row.delta,
        row.value,
        row.worst_case,
        row.funding_index,
        row.gamma,
        row.vega,
        row.theta,
    )


def assert_views_equal(market: Market, portfolio: Portfolio) -> None:
    inputs = market.inputs()
    expected = model.breakdown(portfolio, inputs)
    packed = pack_portfolio(portfolio)
    margin, initial, maintenance, rows = market.engine.call.breakdown(packed)
    assert tuple(margin) == fields(expected.margin)
    assert tuple(initial) == fields(expected.initial)
    assert tuple(maintenance) == fields(expected.maintenance)
    assert [(r.underlying, tuple(r.price), *r[2:]) for r in rows] == [
        row_fields(row) for row in expected.underlyings
    ]
    assert tuple(market.engine.call.margin(packed)) == fields(expected.margin)
    assert tuple(market.engine.assess(packed).value) == fields(expected.margin)


def assert_gauges_equal(market: Market, u: int) -> None:
    told, seen = market.engine.call.volatility(u), market.underlyings[u].gauge
    assert tuple(told) == (
        seen.price,
        seen.hour,
        seen.variance,
        seen.gauge,
        seen.maintenance(market.now),
    )


@given(plans(), st.data())
def test_margin_equals_the_twin(stage: Stage, plan: Plan, data: st.DataObject) -> None:
    with stage.evm.anchored():
        market = stage.carry_out(plan)
        inputs = market.inputs()
        for u, one in plan.underlyings.items():
            if not plan.sequencer_down:
                assert inputs.underlyings[u].price.status in (one.status, PriceStatus.OK)
            assert tuple(market.engine.call.price(u)) == fields(inputs.underlyings[u].price)
            assert_gauges_equal(market, u)
        portfolio = data.draw(portfolios(inputs, distinct=data.draw(st.booleans())))
        assert_views_equal(market, portfolio)


@given(plans(), st.data())
def test_what_collateral_counts_for_equals_the_twin(
    stage: Stage, plan: Plan, data: st.DataObject
) -> None:
    with stage.evm.anchored():
        market = stage.carry_out(plan)
        inputs = market.inputs()
        for c, state in inputs.assets.items():
            amount = data.draw(magnitudes(0, 2**128 - 1))
            told = market.engine.call.explain(c, amount)
            assert tuple(told) == fields(model.explain(state, amount, inputs))
            terms = market.engine.call.collateralTerms(c)
            assert (terms.rate, terms.initialRate, terms.crowd, terms.doubtful) == (
                state.rate,
                state.initial_rate,
                state.crowd,
                state.doubtful,
            )


@given(plans())
def test_parameters_in_force_equal_the_twin(stage: Stage, plan: Plan) -> None:
    with stage.evm.anchored():
        market = stage.carry_out(plan)
        for u, one in market.underlyings.items():
            told = market.engine.call.parameter(Kind.UNDERLYING, u)
            assert told.target == one.risk.target
            assert told.current == one.risk.current(Kind.UNDERLYING, market.now)
        for c, asset in market.assets.items():
            told = market.engine.call.parameter(Kind.ASSET, c)
            assert told.target == asset.risk.target
            assert told.current == asset.risk.current(Kind.ASSET, market.now)


@pytest.mark.parametrize("held", [2, MAX_COLLATERALS])
def test_everything_at_its_largest(stage: Stage, held: int) -> None:
    """Every bound at once: the greatest prices, sizes, amounts and charges overflow nothing."""
    risk = UnderlyingParams(2_500, 1_000, 1_023, 16_383, 1_023)
    token = AssetParams(0, 0, 9_999, 9_999, 9_999, basis=4_095)
    with stage.evm.anchored():
        market = Market(stage.evm, GlobalParams(initial_factor=40_000, band_ceiling=9_999))
        for u in range(1, 128):
            market.list_underlying(u, risk, MAX_PRICE)
            market.underlyings[u].feed.set(MAX_PRICE, market.now)
        for c in range(1, held + 1):
            market.list_asset(c, market.new_token(0), c, token)
        extremes = (model.MAX_SIZE, -model.MAX_SIZE - 1)
        portfolio = Portfolio(
            cash=-(2**119),
            collateral=tuple(model.Holding(c, 2**128 - 1) for c in range(1, held + 1)),
            positions=tuple(
                model.Position(model.perpetual(u), extremes[u % 2], extremes[(u + 1) % 2])
                for u in range(1, 128)
            ),
        )
        assert_views_equal(market, portfolio)


def test_a_ramp_is_exact_to_the_second(stage: Stage) -> None:
    old = UnderlyingParams(range=600, window=120, closing=10, concentration=7, band=20)
    new = replace(old, closing=333, concentration=1_000, band=99)
    with stage.evm.anchored():
        market = Market(stage.evm)
        market.list_underlying(1, old, 2_000 * WAD, max_age=100_000)
        market.seal(stage.house)
        market.set_parameter(Kind.UNDERLYING, 1, new.word)
        position = model.Position(model.perpetual(1), 12_345_678_901, -5)
        for wait in (0, 1, 59, 3_540, params.RAMP - 3_601, 1, 1):
            market.warp(wait)
            market.set_price(1, 2_000 * WAD)
            assert_views_equal(market, Portfolio(10**30, (), (position,)))

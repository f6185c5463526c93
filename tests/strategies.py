"""Hypothesis strategies for worlds and portfolios.

Everything is constructed, nothing filtered. Numbers are drawn by magnitude first, so that dust,
everyday and extreme values come equally often; cash is chosen last, from what the rest of the
portfolio needs, so that every outcome of a margin check (free, exactly free, one wei short,
unhealthy, insolvent) comes equally often too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from hypothesis import strategies as st

from plimsoll.risk import model
from plimsoll.risk.ledger import MIN_SUPPLY_INDEX, RAY, Lending, Pool
from plimsoll.risk.model import (
    BPS,
    MAX_PRICE,
    MAX_SIZE,
    MAX_UNITS,
    WAD,
    AssetState,
    Holding,
    Inputs,
    Portfolio,
    Position,
    Price,
    PriceStatus,
    UnderlyingState,
)
from plimsoll.risk.params import AssetParams, GlobalParams, UnderlyingParams

MAX_UNDERLYINGS = 12
MAX_COLLATERALS = 20
MAX_PERPETUALS = 30
DECIMALS = (0, 2, 6, 8, 18, 24, 27)
MAX_GAUGE = 40_000
MIN_GAUGE = 6_000
MAX_RANGE = 2_500
MIN_WINDOW, MAX_WINDOW = 100, 1_000
# The tails of the grid stay dominated while range * gauge * (3 - window) <= 0.32.
DOMINATED = 300 * 3_200 // 4


@st.composite
def magnitudes(draw: st.DrawFn, low: int, high: int) -> int:
    """An integer in low..high, uniform in its number of digits rather than in its value."""
    bits = draw(st.integers(low.bit_length(), high.bit_length()))
    least, most = (1 << bits) >> 1, (1 << bits) - 1
    return draw(st.integers(max(low, least), min(high, most)))


def prices() -> st.SearchStrategy[int]:
    """From one wei to the bound of the registry; half of them what a market could show."""
    return st.one_of(
        magnitudes(WAD // 10**6, 10**6 * WAD),
        magnitudes(1, MAX_PRICE),
        st.sampled_from([1, 2, WAD - 1, WAD, WAD + 1, 10**24, MAX_PRICE]),
    )


def sizes() -> st.SearchStrategy[int]:
    """Signed and non-zero: dust, everyday, and the extremes of the type."""
    size = st.one_of(
        magnitudes(WAD // 10**4, 10**5 * WAD),
        magnitudes(1, MAX_SIZE),
        st.sampled_from([1, 2, WAD, MAX_SIZE]),
    )
    return st.builds(lambda s, sign: s * sign, size, st.sampled_from([1, -1]))


def quotes() -> st.SearchStrategy[int]:
    return st.one_of(
        st.just(0),
        st.integers(-(10**5) * WAD, 10**5 * WAD),
        st.sampled_from([-MAX_SIZE - 1, MAX_SIZE, 1, -1]),
    )


# Parameters


@st.composite
def underlying_params(draw: st.DrawFn) -> UnderlyingParams:
    """A word within the bounds of the registry, often right on the bound that keeps the tails
    dominated.
    """
    window = draw(
        st.one_of(
            st.sampled_from([MIN_WINDOW, 120, 150, 200, 250, 299, 300, 1_000]),
            st.integers(MIN_WINDOW, MAX_WINDOW),
        )
    )
    most = MAX_RANGE if window >= 300 else min(MAX_RANGE, DOMINATED // (300 - window))
    return UnderlyingParams(
        range=draw(st.one_of(st.just(most), st.integers(1, most))),
        window=window,
        closing=draw(st.integers(0, 1_023)),
        concentration=draw(st.one_of(st.just(0), st.integers(0, 16_383))),
        band=draw(st.integers(0, 1_023)),
    )


@st.composite
def asset_params(draw: st.DrawFn) -> AssetParams:
    """Tiers and haircuts in order, within their bounds."""
    tier1, tier2 = sorted(draw(st.tuples(*2 * [magnitudes(0, 2**32 - 1)])))
    low, middle, high = sorted(draw(st.tuples(*3 * [st.integers(0, BPS - 1)])))
    return AssetParams(tier1, tier2, low, middle, high, basis=draw(st.integers(0, 4_095)))


@st.composite
def global_params(draw: st.DrawFn) -> GlobalParams:
    return GlobalParams(
        initial_factor=draw(
            st.one_of(st.sampled_from([12_500, 40_000]), st.integers(12_500, 40_000))
        ),
        band_ceiling=draw(st.integers(0, 1_023)),
    )


# Worlds


def stable_prices(index: int) -> st.SearchStrategy[int]:
    """Below, at and above the index price."""
    return st.one_of(
        st.just(index),
        st.integers(max(1, index * 8 // 10), min(MAX_PRICE, index * 12 // 10 + 1)),
        magnitudes(1, MAX_PRICE),
    )


@st.composite
def checked_prices(
    draw: st.DrawFn, initial_range: int, band: int, status: PriceStatus | None = None
) -> Price:
    index = draw(prices())
    if status is None:
        status = draw(st.one_of(st.just(PriceStatus.OK), st.sampled_from(PriceStatus)))
    width = band
    if status == PriceStatus.FROZEN:
        width = 0
    elif status != PriceStatus.OK:
        width = model.broken_band(initial_range, band, draw(magnitudes(0, 10**6)))
    return Price(index, draw(stable_prices(index)), width, status)


def funding_indices() -> st.SearchStrategy[int]:
    return st.one_of(
        st.just(0), st.integers(-1_000 * WAD, 1_000 * WAD), st.integers(-(2**94), 2**94)
    )


@st.composite
def underlying_states(draw: st.DrawFn, status: PriceStatus | None = None) -> UnderlyingState:
    """An underlying with its two levels apart in a third of all cases, as along a ramp."""
    target = draw(underlying_params())
    current = draw(underlying_params()) if draw(st.integers(0, 2)) == 0 else target
    gauges = st.one_of(st.just(BPS), st.integers(MIN_GAUGE, MAX_GAUGE))
    return UnderlyingState(
        price=draw(checked_prices(target.range, target.band, status)),
        initial=target.terms(),
        maintenance=current.terms(),
        funding_index=draw(funding_indices()),
        initial_gauge=draw(gauges),
        maintenance_gauge=draw(gauges),
    )


@st.composite
def asset_states(draw: st.DrawFn, underlyings: list[int]) -> AssetState:
    target = draw(asset_params()).terms()
    rate = draw(st.one_of(st.just(WAD), st.integers(WAD, 2 * WAD), magnitudes(1, 10 * WAD)))
    return AssetState(
        underlying=draw(st.sampled_from(underlyings)),
        decimals=draw(st.sampled_from(DECIMALS)),
        initial=target,
        maintenance=draw(asset_params()).terms() if draw(st.integers(0, 2)) == 0 else target,
        crowd=draw(st.one_of(st.just(0), st.integers(0, BPS - 1))),
        rate=rate,
        initial_rate=draw(st.one_of(st.just(rate), st.integers(0, rate))),
        doubtful=draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def worlds(
    draw: st.DrawFn,
    most_underlyings: int = MAX_UNDERLYINGS,
    most_assets: int = MAX_COLLATERALS,
    status: PriceStatus | None = None,
) -> Inputs:
    few, many = st.integers(1, min(3, most_underlyings)), st.integers(1, most_underlyings)
    ids = list(range(1, draw(st.one_of(few, few, many)) + 1))
    factors = draw(global_params())
    some, lots = st.integers(0, min(3, most_assets)), st.integers(0, most_assets)
    assets = draw(st.one_of(some, some, lots))
    return Inputs(
        underlyings={u: draw(underlying_states(status)) for u in ids},
        assets={c: draw(asset_states(ids)) for c in range(1, assets + 1)},
        initial_factor=factors.initial_factor,
        band_ceiling=factors.band_ceiling,
    )


# Portfolios


class Regime(StrEnum):
    """How an account stands against its margins."""

    PLENTY = "plenty"
    EXACTLY_FREE = "exactly free"
    ONE_WEI_SHORT = "one wei short of initial margin"
    BETWEEN = "between the margins"
    EXACTLY_HEALTHY = "exactly healthy"
    UNHEALTHY = "one wei short of maintenance margin"
    THIN = "next to nothing left"
    INSOLVENT = "insolvent"


def amounts(asset: AssetState) -> st.SearchStrategy[int]:
    """Token amounts of dust, everyday and extreme worth that stay within the bound on units."""
    most = min(2**128 - 1, ((MAX_UNITS + 1) * 10**asset.decimals - 1) // max(asset.rate, 1))
    everyday = min(most, 10**5 * 10**asset.decimals)
    return st.one_of(magnitudes(1, most), magnitudes(1, everyday), st.sampled_from([1, most]))


@st.composite
def holdings(draw: st.DrawFn, inputs: Inputs) -> tuple[Holding, ...]:
    held = draw(st.sets(st.sampled_from(sorted(inputs.assets)))) if inputs.assets else set()
    return tuple(Holding(c, draw(amounts(inputs.assets[c]))) for c in sorted(held))


@st.composite
def positions(
    draw: st.DrawFn, inputs: Inputs, hedged: dict[int, int] | None = None, *, distinct: bool = True
) -> tuple[Position, ...]:
    """Perpetuals, half of them near the opposite of what `hedged` says the account holds.

    A ledger holds one position per perpetual; the margin is defined for any list, which
    `distinct=False` draws.
    """
    ids = st.sampled_from(sorted(inputs.underlyings))
    found = []
    for u in draw(st.lists(ids, unique=distinct, max_size=MAX_PERPETUALS)):
        size = draw(sizes())
        opposite = -(hedged or {}).get(u, 0) + draw(st.integers(-2, 2))
        if opposite != 0 and abs(opposite) <= MAX_SIZE and draw(st.booleans()):
            size = opposite
        found.append(Position(model.perpetual(u), size, draw(quotes())))
    return tuple(found)


def cash_for(regime: Regime, portfolio: Portfolio, inputs: Inputs) -> int:
    """The cash at which the portfolio stands as the regime says: equity is cash plus what does not
    depend on it.
    """
    at_zero = model.margin(replace(portfolio, cash=0), inputs)
    free = at_zero.initial_margin - at_zero.initial_equity
    healthy = at_zero.maintenance_margin - at_zero.maintenance_equity
    return {
        Regime.PLENTY: 2 * abs(free) + WAD,
        Regime.EXACTLY_FREE: free,
        Regime.ONE_WEI_SHORT: free - 1,
        Regime.BETWEEN: (free + healthy) // 2,
        Regime.EXACTLY_HEALTHY: healthy,
        Regime.UNHEALTHY: healthy - 1,
        Regime.THIN: -at_zero.equity,
        Regime.INSOLVENT: -at_zero.equity - 1 - at_zero.maintenance_margin // 2,
    }[regime]


@dataclass(frozen=True, slots=True)
class Case:
    inputs: Inputs
    portfolio: Portfolio
    regime: Regime


@st.composite
def portfolios(
    draw: st.DrawFn, inputs: Inputs, regime: Regime | None = None, *, distinct: bool = True
) -> Portfolio:
    collateral = draw(holdings(inputs))
    deltas: dict[int, int] = {}
    for holding in collateral:
        asset = inputs.assets[holding.asset]
        units = model.units_of(asset, holding.amount)
        deltas[asset.underlying] = deltas.get(asset.underlying, 0) + units
    rest = Portfolio(0, collateral, draw(positions(inputs, deltas, distinct=distinct)))
    chosen = regime or draw(st.sampled_from(Regime))
    return replace(rest, cash=cash_for(chosen, rest, inputs))


@st.composite
def cases(
    draw: st.DrawFn,
    most_underlyings: int = MAX_UNDERLYINGS,
    most_assets: int = MAX_COLLATERALS,
    status: PriceStatus | None = None,
) -> Case:
    """A world and a portfolio in it, evenly over the regimes."""
    inputs = draw(worlds(most_underlyings, most_assets, status))
    regime = draw(st.sampled_from(Regime))
    return Case(inputs, draw(portfolios(inputs, regime)), regime)


def small_cases(status: PriceStatus | None = None) -> st.SearchStrategy[Case]:
    """Few underlyings and assets, for properties that compare several portfolios."""
    return cases(most_underlyings=4, most_assets=4, status=status)


# Cash


@st.composite
def lendings(draw: st.DrawFn) -> Lending:
    """Terms within the bounds of the registry: mild ones, and the steepest there are."""
    low, high = sorted(draw(st.tuples(*2 * [st.integers(0, 300) | st.integers(0, 8_191)])))
    return Lending(draw(st.integers(1, 99)), low, high, draw(st.integers(0, 50)))


def indices() -> st.SearchStrategy[int]:
    """Round ones and odd ones, from the floor of a loss to years of interest."""
    return st.one_of(st.just(RAY), st.integers(MIN_SUPPLY_INDEX, 2 * RAY), magnitudes(RAY, 2**100))


def principals() -> st.SearchStrategy[int]:
    return st.one_of(st.just(0), magnitudes(1, 10**6 * WAD), magnitudes(1, 2**110))


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Pools of every utilisation, with reserves or a deficit, at any indices."""
    return Pool(
        supply_index=draw(indices()),
        borrow_index=draw(st.just(RAY) | magnitudes(RAY, 2**100)),
        supplied=draw(principals()),
        borrowed=draw(principals()),
        net_quote=draw(st.just(0) | st.integers(-(10**24), 10**24)),
        capital=draw(st.just(0) | st.integers(-(10**24), 10**24)),
        accrued_at=draw(st.integers(0, 2**32 - 1)),
        lending=draw(lendings()),
    )

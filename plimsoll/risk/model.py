"""The margin in exact integers: the twin of `docs/margin.md`, section by section.

Written from the specification alone. Dollars, prices and sizes have 18 decimals; rates are in basis
points, windows in hundredths of a price state. Every named result is rounded once, from the exact
sum: assets down, requirements up. The scan is evaluated over the whole grid, as the specification
defines it; the closed form that the contracts use is `scan_of_linear_book`, and the tests prove the
two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from plimsoll.risk import options
from plimsoll.risk.grid import BPS as BPS
from plimsoll.risk.grid import EDGE as EDGE
from plimsoll.risk.grid import SHOCK_THIRDS as SHOCK_THIRDS
from plimsoll.risk.grid import STATES as STATES
from plimsoll.risk.grid import WAD as WAD
from plimsoll.risk.grid import WEIGHTS as WEIGHTS
from plimsoll.risk.grid import WHOLE, trunc_div
from plimsoll.risk.grid import ceil_div as ceil_div
from plimsoll.risk.grid import window_loss as window_loss
from plimsoll.risk.instruments import Instrument, InstrumentError, Kind
from plimsoll.risk.instruments import perpetual as perpetual
from plimsoll.risk.instruments import underlying_of as underlying_of
from plimsoll.risk.options import ExpiryState as ExpiryState
from plimsoll.risk.options import Greeks
from plimsoll.risk.options import OptionTerms as OptionTerms

MILLION = 10**6

MAX_PRICE = 2**94 - 1
MAX_SIZE = 2**103 - 1
MAX_UNITS = 2**104 - 1

# One loss of the grid counts dollars / (WAD * BPS * 3 * 100), one of an interpolated window a
# hundredth of that.
GRID_SCALE = WAD * BPS * 3 * 100 * 100
LINEAR_STATES = range(-3, 4)

CONCENTRATION_SCALE = 10**29
BAND_HORIZON = 3600
BAND_MULTIPLE = 3
OPTION_FEE_MULTIPLE = 400


# Inputs (section 1)


class UnknownInstrumentError(ValueError):
    """No such instrument, or a dated one that nothing says the price of."""


class PriceStatus(IntEnum):
    """The condition of one price; everything but `OK` is doubtful."""

    OK = 0
    STALE = 1
    INVALID = 2
    OUT_OF_BOUNDS = 3
    DEVIATING = 4
    UNCONFIRMED = 5
    SEQUENCER_DOWN = 6
    FROZEN = 7


class Level(IntEnum):
    """Which margin: free to withdraw and to add risk, or safe from liquidation."""

    INITIAL = 0
    MAINTENANCE = 1


@dataclass(frozen=True, slots=True)
class Price:
    """One checked price: `band` is the initial one while `OK`, else the widened band of a doubtful
    price.
    """

    index: int
    stable: int
    band: int
    status: PriceStatus = PriceStatus.OK

    @property
    def ok(self) -> bool:
        return self.status == PriceStatus.OK


@dataclass(frozen=True, slots=True)
class UnderlyingTerms:
    """Risk parameters of an underlying at one level."""

    range: int
    window: int
    closing: int = 0
    concentration: int = 0
    band: int = 0


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """Risk parameters of a collateral asset at one level; tiers in whole dollars."""

    tier1: int
    tier2: int
    haircut1: int = 0
    haircut2: int = 0
    haircut3: int = 0
    basis: int = 0


@dataclass(frozen=True, slots=True)
class UnderlyingState:
    """Everything the margin needs to know of an underlying."""

    price: Price
    initial: UnderlyingTerms
    maintenance: UnderlyingTerms
    funding_index: int = 0
    initial_gauge: int = BPS
    maintenance_gauge: int = BPS
    options: OptionTerms | None = None

    def terms(self, level: Level) -> UnderlyingTerms:
        return self.initial if level == Level.INITIAL else self.maintenance

    def reach(self, level: Level) -> int:
        """The scan range at the volatility gauge, rounded up."""
        gauge = self.initial_gauge if level == Level.INITIAL else self.maintenance_gauge
        return ceil_div(self.terms(level).range * gauge, BPS)


@dataclass(frozen=True, slots=True)
class AssetState:
    """Everything the margin needs to know of a collateral asset."""

    underlying: int
    decimals: int
    initial: AssetTerms
    maintenance: AssetTerms
    crowd: int = 0
    rate: int = WAD
    initial_rate: int = WAD
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """The state of the world that a margin is computed in."""

    underlyings: Mapping[int, UnderlyingState]
    assets: Mapping[int, AssetState]
    initial_factor: int = 12_500
    band_ceiling: int = BPS
    expiries: Mapping[tuple[int, int], ExpiryState] = field(default_factory=dict)
    """By underlying and expiry day."""
    now: int = 0

    def expiry(self, underlying: int, day: int) -> ExpiryState:
        return self.expiries.get((underlying, day), ExpiryState())


@dataclass(frozen=True, slots=True)
class Holding:
    """An amount of a collateral asset, in token units."""

    asset: int
    amount: int


@dataclass(frozen=True, slots=True)
class Position:
    """A position of an instrument: size in units of the underlying, quote in dollars."""

    instrument: int
    size: int
    quote: int = 0

    @property
    def underlying(self) -> int:
        return underlying_of(self.instrument)


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Everything an account holds, as a value."""

    cash: int = 0
    collateral: tuple[Holding, ...] = ()
    positions: tuple[Position, ...] = ()

    def amount(self, asset: int) -> int:
        return next((h.amount for h in self.collateral if h.asset == asset), 0)

    def position(self, instrument: int) -> Position:
        held = (p for p in self.positions if p.instrument == instrument)
        return next(held, Position(instrument, 0, 0))

    def with_amount(self, asset: int, amount: int) -> Portfolio:
        """The portfolio with another amount of an asset, in ascending order of asset, nothing at
        zero.
        """
        others = [h for h in self.collateral if h.asset != asset]
        changed = [*others, Holding(asset, amount)] if amount else others
        return replace(self, collateral=tuple(sorted(changed, key=lambda h: h.asset)))

    def with_position(self, position: Position) -> Portfolio:
        """The portfolio with another state of a position; one of size zero moves its quote to cash
        and goes.
        """
        others = tuple(p for p in self.positions if p.instrument != position.instrument)
        if position.size == 0:
            return replace(self, cash=self.cash + position.quote, positions=others)
        return replace(self, positions=(*others, position))


def is_dated(instrument: int) -> bool:
    """Whether an instrument is a future or an option."""
    return instrument >> 46 != Kind.PERPETUAL


# Results


@dataclass(frozen=True, slots=True)
class Margin:
    """The result of a margin check, in dollars."""

    equity: int
    initial_equity: int
    maintenance_equity: int
    initial_margin: int
    maintenance_margin: int
    doubtful: bool

    @property
    def is_healthy(self) -> bool:
        return self.maintenance_equity >= self.maintenance_margin

    @property
    def is_free(self) -> bool:
        return self.initial_equity >= self.initial_margin


@dataclass(frozen=True, slots=True)
class MarginParts:
    """The parts of a margin, in dollars."""

    scan: int
    collateral_charge: int
    position_charge: int
    band: int
    term: int = 0

    @property
    def total(self) -> int:
        charges = self.collateral_charge + self.position_charge
        return self.scan + charges + self.band + self.term


@dataclass(frozen=True, slots=True)
class UnderlyingRisk:
    """What one underlying contributes to an account's risk."""

    underlying: int
    price: Price
    delta: int
    value: int
    worst_case: int
    funding_index: int
    gamma: int = 0
    vega: int = 0
    theta: int = 0


@dataclass(frozen=True, slots=True)
class Breakdown:
    margin: Margin
    initial: MarginParts
    maintenance: MarginParts
    underlyings: tuple[UnderlyingRisk, ...]


@dataclass(frozen=True, slots=True)
class CollateralValue:
    """What an amount of an asset, held alone, counts for, and why."""

    units: int
    value: int
    scan_loss: int
    haircut: int
    basis_charge: int
    price_reserve: int
    counted: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A position that an account would take at a price."""

    instrument: int
    size: int
    price: int
    is_taker: bool = True


# Units and equity (section 2)


@dataclass(frozen=True, slots=True)
class _Curved:
    """The dated positions on one underlying, priced over the grid, and what is lost there with
    everything else on it."""

    curve: options.Curve
    positions: tuple[tuple[Position, Instrument], ...]
    losses: list[tuple[int, ...]]

    @property
    def worst(self) -> list[int]:
        return options.worst(self.losses)

    @property
    def unshifted(self) -> list[int]:
        return [state[0] for state in self.losses]


@dataclass(slots=True)
class _Net:
    """An account's net book: exact sums, nothing rounded but the units of each holding."""

    deltas: dict[int, int] = field(default_factory=dict)
    """Of collateral and perpetuals."""
    curves: dict[int, _Curved] = field(default_factory=dict)
    """Of the underlyings on which an option or a future is held."""
    holdings: list[tuple[AssetState, int, int]] = field(default_factory=list)
    quotes: int = 0
    funding: int = 0


def units_of(asset: AssetState, amount: int) -> int:
    """Units of the underlying that an amount stands for, at the redemption rate, rounded down."""
    return _units(asset, amount, asset.rate)


def initial_units_of(asset: AssetState, amount: int) -> int:
    """The same at the rate that initial margin believes."""
    return _units(asset, amount, asset.initial_rate)


def _units(asset: AssetState, amount: int, rate: int) -> int:
    scale: int = 10**asset.decimals
    return min(MAX_UNITS, amount * rate // scale)


def _net(portfolio: Portfolio, inputs: Inputs) -> _Net:
    net = _Net()
    for holding in portfolio.collateral:
        asset = inputs.assets[holding.asset]
        units = units_of(asset, holding.amount)
        net.holdings.append((asset, units, initial_units_of(asset, holding.amount)))
        net.deltas[asset.underlying] = net.deltas.get(asset.underlying, 0) + units
    dated: dict[int, list[tuple[Position, Instrument]]] = {}
    for position in portfolio.positions:
        u = position.underlying
        net.quotes += position.quote
        net.deltas.setdefault(u, 0)
        if is_dated(position.instrument):
            known = dated_instrument(position.instrument, inputs)
            dated.setdefault(u, []).append((position, known))
        else:
            net.deltas[u] += position.size
            net.funding += position.size * inputs.underlyings[u].funding_index
    for u, positions in dated.items():
        net.curves[u] = _curved(positions, u, net.deltas[u], inputs)
    return net


def dated_instrument(id_: int, inputs: Inputs) -> Instrument:
    """A future or an option that can be priced, by its id."""
    try:
        instrument = Instrument.decode(id_)
    except InstrumentError:
        raise UnknownInstrumentError(id_) from None
    u = instrument.underlying
    if u not in inputs.underlyings or not inputs.expiry(u, instrument.day).is_known:
        raise UnknownInstrumentError(id_)
    return instrument


def _curved(
    positions: Sequence[tuple[Position, Instrument]], u: int, delta: int, inputs: Inputs
) -> _Curved:
    state = inputs.underlyings[u]
    reach = state.reach(Level.MAINTENANCE)
    curve = options.appraise(
        [(instrument, position.size) for position, instrument in positions],
        state.price.index,
        state.price.stable,
        reach,
        state.options or options.NO_TERMS,
        {one.day: inputs.expiry(u, one.day) for _, one in positions},
        inputs.now,
    )
    return _Curved(curve, tuple(positions), curve.losses(delta * state.price.index, reach))


def _equities(cash: int, net: _Net, inputs: Inputs) -> tuple[int, int, int]:
    value = reserve = favour = 0
    for u, delta in net.deltas.items():
        price = inputs.underlyings[u].price
        gain = delta * (price.index - price.stable)
        value += delta * price.index
        curved = net.curves.get(u)
        if curved is not None:
            value += curved.curve.value
            gain += curved.curve.value - curved.curve.stable_value
        reserve += max(0, gain)
        if not price.ok:
            favour += _favour(delta, curved, inputs.underlyings[u])
    for asset, units, initial_units in net.holdings:
        reserve += (units - initial_units) * inputs.underlyings[asset.underlying].price.index
    equity = cash + net.quotes + (value - net.funding) // WAD
    return equity, equity - ceil_div(reserve, WAD), equity + favour // (WAD * BPS)


def _favour(delta: int, curved: _Curved | None, state: UnderlyingState) -> int:
    """What the better end of the band of a doubtful price gives, dollars times WAD * BPS."""
    if curved is None:
        return abs(delta) * state.price.index * state.price.band
    return options.favour(curved.unshifted, state.price.band, state.reach(Level.MAINTENANCE))


# Scan (section 3)


@dataclass(frozen=True, slots=True)
class ScanRow:
    """One underlying in the scan: `exposure` is delta times price, `range` carries the gauge
    already.
    """

    exposure: int
    range: int
    window: int


def grid_losses(exposure: int, range_: int) -> list[int]:
    """Weighted losses in the 11 price states, in dollars times 300 * WAD * BPS; shocks floor at
    -100 %.
    """
    return [
        -exposure * max(thirds * range_, -WHOLE) * weight
        for thirds, weight in zip(SHOCK_THIRDS, WEIGHTS, strict=True)
    ]


def scan(rows: Iterable[ScanRow]) -> tuple[int, int]:
    """The scan over the whole grid: the loss in dollars times `GRID_SCALE`, and the lowest state
    that attains it.
    """
    return worst_state((grid_losses(row.exposure, row.range), row.window) for row in rows)


def worst_state(grids: Iterable[tuple[Sequence[int], int]]) -> tuple[int, int]:
    """The same from weighted losses by state, each with its window."""
    totals = [0] * len(STATES)
    for losses, window in grids:
        for position, state in enumerate(STATES):
            totals[position] += window_loss(losses, state, window)
    worst = max(totals)
    return worst, totals.index(worst) - EDGE


def linear_loss(row: ScanRow, state: int) -> int:
    """The loss of a linear book within its window of a state: the closed form, in dollars times 300
    * WAD * BPS.
    """
    sign = (row.exposure > 0) - (row.exposure < 0)
    return abs(row.exposure) * row.range * min(300, row.window - 100 * sign * state)


def scan_of_linear_book(rows: Iterable[ScanRow]) -> tuple[int, int]:
    """The closed form of `scan`, in dollars times 300 * WAD * BPS, and the lowest state that
    attains it.
    """
    fixed = list(rows)
    totals = [sum(linear_loss(row, state) for row in fixed) for state in LINEAR_STATES]
    worst = max(totals)
    return worst, LINEAR_STATES[totals.index(worst)]


def _rows(net: _Net, inputs: Inputs, level: Level) -> list[ScanRow]:
    states = ((inputs.underlyings[u], delta) for u, delta in net.deltas.items())
    return [
        ScanRow(delta * state.price.index, state.reach(level), state.terms(level).window)
        for state, delta in states
    ]


Grids = list[tuple[list[int], int]]
"""Weighted losses by state, and the window, of each underlying."""


def _maintenance_grids(net: _Net, inputs: Inputs) -> Grids:
    """What each underlying of a book loses in each state, weighted."""
    rows = _rows(net, inputs, Level.MAINTENANCE)
    curves = [net.curves.get(u) for u in net.deltas]
    return [
        (
            options.weighted(curved.worst) if curved else grid_losses(row.exposure, row.range),
            row.window,
        )
        for row, curved in zip(rows, curves, strict=True)
    ]


def _initial_grids(net: _Net, inputs: Inputs) -> Grids:
    """The same at the moves of initial margin, the factor within (docs/options.md section 5)."""
    grids, k = [], inputs.initial_factor
    for (u, delta), row in zip(net.deltas.items(), _rows(net, inputs, Level.INITIAL), strict=True):
        state, curved = inputs.underlyings[u], net.curves.get(u)
        if curved is None:
            losses = options.initial_linear(delta * state.price.index, k, row.range)
        else:
            reach = state.reach(Level.MAINTENANCE)
            losses = options.initial_losses(curved.worst, k, row.range, reach)
        grids.append((options.weighted(losses), row.window))
    return grids


def _scans(net: _Net, inputs: Inputs) -> tuple[int, int, int]:
    """Scan of initial and of maintenance margin, and the lowest of the worst states of the
    latter."""
    maintenance, state = worst_state(_maintenance_grids(net, inputs))
    if net.curves:
        initial, _ = worst_state(_initial_grids(net, inputs))
        needed = ceil_div(initial, GRID_SCALE)
    else:
        initial, _ = scan(_rows(net, inputs, Level.INITIAL))
        needed = ceil_div(inputs.initial_factor * initial, GRID_SCALE * BPS)
    return needed, ceil_div(maintenance, GRID_SCALE), state


# Liquidity (section 4)


def tiered_haircut(terms: AssetTerms, value: int) -> int:
    """Marginal haircut of a holding worth `value`, in dollars times BPS."""
    tier1, tier2 = terms.tier1 * WAD, terms.tier2 * WAD
    first, second = min(value, tier1), min(value, tier2)
    return (
        terms.haircut1 * first
        + terms.haircut2 * (second - first)
        + terms.haircut3 * (value - second)
    )


def crowded_haircut(asset: AssetState, value: int) -> int:
    """The haircut of initial margin: the account's own bracket or the system's, whichever is
    larger.
    """
    return max(tiered_haircut(asset.initial, value), value * asset.crowd)


def _collateral_charges(net: _Net, inputs: Inputs) -> tuple[int, int]:
    initial = maintenance = 0
    for asset, units, _ in net.holdings:
        value = ceil_div(units * inputs.underlyings[asset.underlying].price.index, WAD)
        initial += crowded_haircut(asset, value) + value * asset.initial.basis
        maintenance += tiered_haircut(asset.maintenance, value) + value * asset.maintenance.basis
    return ceil_div(initial, BPS), ceil_div(maintenance, BPS)


def _position_charge(portfolio: Portfolio, net: _Net, inputs: Inputs, level: Level) -> int:
    closing = concentration = 0
    for position in portfolio.positions:
        if is_dated(position.instrument):
            continue
        state = inputs.underlyings[position.underlying]
        terms = state.terms(level)
        value = ceil_div(abs(position.size) * state.price.index, WAD)
        closing += value * terms.closing
        concentration += ceil_div(value * value * terms.concentration, CONCENTRATION_SCALE)
    charges = 0
    for u, curved in net.curves.items():
        state = inputs.underlyings[u]
        charges += curved.curve.kink
        for (position, instrument), quote in zip(
            curved.positions, curved.curve.quotes, strict=True
        ):
            if quote.is_final:
                continue
            terms = state.terms(level)
            if instrument.kind == Kind.FUTURE:
                value = ceil_div(abs(position.size) * quote.forward, WAD)
                closing += value * terms.closing
                concentration += ceil_div(value * value * terms.concentration, CONCENTRATION_SCALE)
            else:
                charges += options.option_charge(
                    position.size,
                    quote.mark,
                    state.price.index,
                    (state.options or options.NO_TERMS).closing,
                    terms.concentration,
                )
    return ceil_div(closing, BPS) + concentration + charges


# Bands (section 5)


def broken_band(range_: int, band: int, age: int) -> int:
    """The band of a doubtful price whose last good observation is `age` seconds old; a frozen price
    has none.
    """
    reach = max(range_, band)
    return min(BAND_MULTIPLE * reach, reach * (BAND_HORIZON + age) // BAND_HORIZON)


def _bands(net: _Net, inputs: Inputs) -> tuple[int, int]:
    initial = maintenance = 0
    for u, delta in net.deltas.items():
        state = inputs.underlyings[u]
        initial += _band(delta, net.curves.get(u), state, state.price.band)
        if state.price.ok:
            width = min(state.maintenance.band, inputs.band_ceiling)
            maintenance += _band(delta, net.curves.get(u), state, width)
    return ceil_div(initial, WAD * BPS), ceil_div(maintenance, WAD * BPS)


def _band(delta: int, curved: _Curved | None, state: UnderlyingState, width: int) -> int:
    """What the worse end of a band costs, dollars times WAD * BPS."""
    if curved is None:
        return abs(delta) * state.price.index * width
    return options.at_band(curved.unshifted, width, state.reach(Level.MAINTENANCE))


# Margins (section 6)


def _doubted(net: _Net, inputs: Inputs) -> int:
    """Net value at prices and rates beyond trust, dollars rounded up."""
    prices = {u: inputs.underlyings[u].price for u in net.deltas}
    exposure = 0
    for u, delta in net.deltas.items():
        curved = net.curves.get(u)
        if not prices[u].ok or (curved is not None and curved.curve.is_late):
            exposure += abs(delta) * prices[u].index
            exposure += options.at_stake(curved.worst) if curved else 0
        elif curved is not None and curved.curve.is_doubted:
            exposure += options.at_stake_of_volatility(curved.losses)
    stopped = sum(
        units * prices[asset.underlying].index for asset, units, _ in net.holdings if asset.doubtful
    )
    return ceil_div(exposure + stopped, WAD)


def breakdown(portfolio: Portfolio, inputs: Inputs) -> Breakdown:
    """Equity, both margins, their parts, and the risk of each underlying."""
    net = _net(portfolio, inputs)
    initial, maintenance, worst = _parts(portfolio, net, inputs)
    equity, initial_equity, maintenance_equity = _equities(portfolio.cash, net, inputs)
    maintenance_margin = maintenance.total
    initial_margin = max(initial.total, ceil_div(inputs.initial_factor * maintenance_margin, BPS))
    caps = _fully_paid_caps(portfolio, net, inputs)
    if caps is not None:
        initial_margin = min(initial_margin, caps[0])
        maintenance_margin = min(maintenance_margin, caps[1])
    result = Margin(
        equity=equity,
        initial_equity=initial_equity,
        maintenance_equity=maintenance_equity,
        initial_margin=initial_margin,
        maintenance_margin=maintenance_margin,
        doubtful=100 * _doubted(net, inputs) > maintenance_margin,
    )
    return Breakdown(result, initial, maintenance, _risks(net, inputs, worst))


def _fully_paid_caps(portfolio: Portfolio, net: _Net, inputs: Inputs) -> tuple[int, int] | None:
    """What long options can cost at most, initial and maintenance: the margins without them and
    what they are worth. `None` for a book with a short option, a future or no option at all."""
    dated = [
        (position, instrument, quote)
        for curved in net.curves.values()
        for (position, instrument), quote in zip(curved.positions, curved.curve.quotes, strict=True)
    ]
    if not dated or any(i.kind == Kind.FUTURE or p.size < 0 for p, i, _ in dated):
        return None
    linear = tuple(p for p in portfolio.positions if not is_dated(p.instrument))
    without = margin(replace(portfolio, positions=linear), inputs)
    worth = sum(position.size * quote.mark for position, _, quote in dated) // WAD
    return without.initial_margin + worth, without.maintenance_margin + worth


def margin(portfolio: Portfolio, inputs: Inputs) -> Margin:
    """Equity and both margins of a portfolio."""
    return breakdown(portfolio, inputs).margin


def _parts(portfolio: Portfolio, net: _Net, inputs: Inputs) -> tuple[MarginParts, MarginParts, int]:
    initial_scan, maintenance_scan, worst = _scans(net, inputs)
    initial_charge, maintenance_charge = _collateral_charges(net, inputs)
    initial_band, maintenance_band = _bands(net, inputs)
    term = sum(curved.curve.term for curved in net.curves.values())
    initial = MarginParts(
        scan=initial_scan,
        collateral_charge=initial_charge,
        position_charge=_position_charge(portfolio, net, inputs, Level.INITIAL),
        band=initial_band,
        term=term,
    )
    maintenance = MarginParts(
        scan=maintenance_scan,
        collateral_charge=maintenance_charge,
        position_charge=_position_charge(portfolio, net, inputs, Level.MAINTENANCE),
        band=maintenance_band,
        term=term,
    )
    return initial, maintenance, worst


def _risks(net: _Net, inputs: Inputs, worst: int) -> tuple[UnderlyingRisk, ...]:
    grids = _maintenance_grids(net, inputs)
    risks = []
    for (u, delta), (losses, window) in zip(net.deltas.items(), grids, strict=True):
        state, curved = inputs.underlyings[u], net.curves.get(u)
        greeks = curved.curve.greeks if curved else Greeks()
        value = delta * state.price.index + (curved.curve.value if curved else 0)
        risks.append(
            UnderlyingRisk(
                underlying=u,
                price=state.price,
                delta=delta + greeks.delta,
                value=value // WAD,
                worst_case=-window_loss(losses, worst, window) // GRID_SCALE,
                funding_index=state.funding_index,
                gamma=greeks.gamma,
                vega=greeks.vega,
                theta=greeks.theta,
            )
        )
    return tuple(risks)


def beta_weighted_delta(portfolio: Portfolio, reference: int, inputs: Inputs) -> int:
    """An account's delta in units of one underlying, by price and scan range (docs/options.md
    section 7)."""
    base = inputs.underlyings[reference]
    scale = base.price.index * base.reach(Level.MAINTENANCE)
    total = 0
    for risk in breakdown(portfolio, inputs).underlyings:
        state = inputs.underlyings[risk.underlying]
        weighted = risk.delta * state.price.index * state.reach(Level.MAINTENANCE)
        total += trunc_div(weighted, scale)
    return total


def explain(asset: AssetState, amount: int, inputs: Inputs) -> CollateralValue:
    """What an amount of an asset, held alone, counts for in initial margin."""
    state = inputs.underlyings[asset.underlying]
    price = state.price
    units, initial_units = units_of(asset, amount), initial_units_of(asset, amount)
    worth = ceil_div(units * price.index, WAD)
    value = units * price.index // WAD
    exposure = units * price.index
    scan_loss = ceil_div(
        inputs.initial_factor * exposure * state.reach(Level.INITIAL), WAD * BPS * BPS
    )
    haircut = ceil_div(crowded_haircut(asset, worth), BPS)
    basis_charge = ceil_div(worth * asset.initial.basis, BPS)
    unreliable = units * max(0, price.index - price.stable) + (units - initial_units) * price.index
    price_reserve = ceil_div(units * price.index * price.band, WAD * BPS) + ceil_div(
        unreliable, WAD
    )
    return CollateralValue(
        units=units,
        value=value,
        scan_loss=scan_loss,
        haircut=haircut,
        basis_charge=basis_charge,
        price_reserve=price_reserve,
        counted=max(0, value - scan_loss - haircut - basis_charge - price_reserve),
    )


def ratio_holds(before: Margin, after: Margin) -> bool:
    """Below initial margin: the account must end solvent, and no level may get worse, at the same
    prices.
    """
    levels = (
        (before.initial_equity, before.initial_margin, after.initial_equity, after.initial_margin),
        (before.equity, before.maintenance_margin, after.equity, after.maintenance_margin),
    )
    return after.equity >= 0 and all(_level_holds(*level) for level in levels)


def _level_holds(equity: int, required: int, equity_after: int, required_after: int) -> bool:
    if equity < 0:
        return equity_after >= equity and required_after <= required
    paid_for = max(0, required_after - required) <= max(0, equity_after - equity)
    return paid_for and equity_after >= 0 and equity_after * required >= equity * required_after


# Markets (docs/options.md section 1)


@dataclass(frozen=True, slots=True)
class Market:
    """What an instrument is worth now, and whether it may be opened as far as its terms say; a
    market that governance closed is not known here."""

    mark: int
    index: int
    funding_index: int = 0
    is_stale: bool = False
    is_final: bool = False
    closed: bool = False


def market(instrument: int, inputs: Inputs) -> Market:
    """The market of an instrument; refuses what cannot be priced."""
    u = underlying_of(instrument)
    if not is_dated(instrument):
        if u not in inputs.underlyings or instrument != perpetual(u):
            raise UnknownInstrumentError(instrument)
        state = inputs.underlyings[u]
        return Market(state.price.index, state.price.index, state.funding_index)
    known = dated_instrument(instrument, inputs)
    state, expiry = inputs.underlyings[u], inputs.expiry(u, known.day)
    terms = state.options or options.NO_TERMS
    quote = options.quote(known, state.price.index, terms, expiry, inputs.now)
    opens = state.options is not None and options.may_open(
        known, state.price.index, terms, expiry, quote, inputs.now
    )
    return Market(
        mark=quote.mark,
        index=state.price.index,
        is_stale=quote.is_stale,
        is_final=quote.is_final,
        closed=not opens,
    )


# What-if


def preview_trade(
    portfolio: Portfolio, fills: Sequence[Fill], fees: Mapping[int, tuple[int, int]], inputs: Inputs
) -> tuple[Margin, Margin]:
    """Margins before and after `fills`; `fees` gives (taker, maker) millionths per underlying."""
    after = portfolio
    for fill in fills:
        after = apply_fill(after, fill, fees[underlying_of(fill.instrument)], inputs)
    return margin(portfolio, inputs), margin(after, inputs)


def apply_fill(
    portfolio: Portfolio, fill: Fill, fees: tuple[int, int], inputs: Inputs
) -> Portfolio:
    """Books a fill as an order of one leg: quote at the mark, the difference to the price in cash.

    What the maker books and pays rounds against the maker; the taker's are the exact opposite.
    """
    terms = market(fill.instrument, inputs)
    basis = fill.size * (terms.mark - terms.funding_index)
    premium = fill.size * (fill.price - terms.mark)
    if fill.is_taker:
        quote, paid = basis // WAD, premium // WAD
    else:
        quote, paid = ceil_div(basis, WAD), ceil_div(premium, WAD)
    rate = fees[0 if fill.is_taker else 1]
    fee = trading_fee(fill.size, fee_basis(fill.instrument, terms), rate)
    held = portfolio.position(fill.instrument)
    charged = replace(portfolio, cash=portfolio.cash - paid - fee)
    return charged.with_position(
        Position(fill.instrument, held.size + fill.size, held.quote - quote)
    )


def fee_basis(instrument: int, terms: Market) -> int:
    """What a unit's fee is counted on: the mark, of an option the index price or 400 times its
    mark if that is less."""
    if instrument >> 46 != Kind.OPTION:
        return terms.mark
    return min(terms.index, OPTION_FEE_MULTIPLE * terms.mark)


def trading_fee(size: int, basis: int, rate: int) -> int:
    """The fee of a leg, in millionths of its value at what its fee is counted on, rounded up."""
    return ceil_div(abs(size) * basis * rate, WAD * MILLION)


def largest_passing(limit: int, passes: Callable[[int], bool]) -> int:
    """The largest amount in 0..limit that passes, by bisection; 0 when none does.

    What passes is an interval from zero: initial equity less initial margin is concave in the
    amount withdrawn.
    """
    if limit <= 0 or not passes(0):
        return 0
    if passes(limit):
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        if passes(middle):
            low = middle
        else:
            high = middle
    return low


def largest_withdrawal(portfolio: Portfolio, asset: int, inputs: Inputs) -> int:
    """The largest amount of a collateral asset, in token units, that leaves initial margin
    covered.
    """
    held = portfolio.amount(asset)
    if not portfolio.positions and portfolio.cash >= 0:
        return held

    def passes(amount: int) -> bool:
        left = portfolio.with_amount(asset, held - amount)
        if not left.positions and left.cash >= 0:
            return True
        result = margin(left, inputs)
        return result.is_free and not result.doubtful

    return largest_passing(held, passes)


# Liquidation (section 7)


def phi(elapsed: int) -> int:
    """Depth of the auction in bps, by its clock in seconds."""
    if elapsed >= 4200:
        return 11_500
    if elapsed >= 600:
        return 10_000 + 1_500 * (elapsed - 600) // 3_600
    return 200 + 9_800 * elapsed // 600


def f_max(result: Margin, depth: int, initial_factor: int, dust: int) -> int:
    """The fraction, 18 decimals, that brings the rest of the account to `k` times its maintenance
    margin.
    """
    required, equity = result.maintenance_margin, result.maintenance_equity
    if required < dust or required == 0:
        return WAD
    missing = initial_factor * required - BPS * equity
    return min(WAD, ceil_div(missing * WAD, (initial_factor - depth) * required))


def bid_price(result: Margin, fraction: int, depth: int) -> int:
    """What a bidder pays for a fraction; negative when he is paid. Rounded up: against the
    bidder.
    """
    cost = result.maintenance_equity * BPS - depth * result.maintenance_margin
    return ceil_div(fraction * cost, WAD * BPS)


# Ramps (section 1)


def interpolate(start: int, target: int, elapsed: int, duration: int) -> int:
    """One encoded field, `elapsed` seconds into a ramp."""
    if elapsed >= duration:
        return target
    return (start * (duration - elapsed) + target * elapsed) // duration

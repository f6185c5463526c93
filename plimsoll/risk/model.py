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

WAD = 10**18
BPS = 10**4
MILLION = 10**6

MAX_PRICE = 2**94 - 1
MAX_SIZE = 2**103 - 1
MAX_UNITS = 2**104 - 1

# Price states of the grid: shocks in thirds of the scan range, weights of the loss in hundredths.
EDGE = 5
SHOCK_THIRDS = (-9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9)
WEIGHTS = (32, 48, 100, 100, 100, 100, 100, 100, 100, 48, 32)
STATES = range(-EDGE, EDGE + 1)
# One loss of the grid counts dollars / (WAD * BPS * 3 * 100), one of an interpolated window a
# hundredth of that.
GRID_SCALE = WAD * BPS * 3 * 100 * 100
LINEAR_STATES = range(-3, 4)

CONCENTRATION_SCALE = 10**29
BAND_HORIZON = 3600
BAND_MULTIPLE = 3

PERPETUAL = 1


def ceil_div(numerator: int, denominator: int) -> int:
    """Rounds an exact quotient towards plus infinity; `//` rounds towards minus infinity."""
    return -(-numerator // denominator)


# Inputs (section 1)


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


def perpetual(underlying: int) -> int:
    """The instrument id of the perpetual on an underlying."""
    return (PERPETUAL << 46) | (underlying << 37)


def underlying_of(instrument: int) -> int:
    """The underlying of an instrument id."""
    return (instrument >> 37) & 0x1FF


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

    @property
    def total(self) -> int:
        return self.scan + self.collateral_charge + self.position_charge + self.band


@dataclass(frozen=True, slots=True)
class UnderlyingRisk:
    """What one underlying contributes to an account's risk."""

    underlying: int
    price: Price
    delta: int
    value: int
    worst_case: int
    funding_index: int


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


@dataclass(slots=True)
class _Net:
    """An account's net book: exact sums, nothing rounded but the units of each holding."""

    deltas: dict[int, int] = field(default_factory=dict)
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
    for position in portfolio.positions:
        u = position.underlying
        net.deltas[u] = net.deltas.get(u, 0) + position.size
        net.quotes += position.quote
        net.funding += position.size * inputs.underlyings[u].funding_index
    return net


def _equities(cash: int, net: _Net, inputs: Inputs) -> tuple[int, int, int]:
    value = reserve = favour = 0
    for u, delta in net.deltas.items():
        price = inputs.underlyings[u].price
        value += delta * price.index
        reserve += max(0, delta * (price.index - price.stable))
        if not price.ok:
            favour += abs(delta) * price.index * price.band
    for asset, units, initial_units in net.holdings:
        reserve += (units - initial_units) * inputs.underlyings[asset.underlying].price.index
    equity = cash + net.quotes + (value - net.funding) // WAD
    return equity, equity - ceil_div(reserve, WAD), equity + favour // (WAD * BPS)


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
    floor_ = -3 * BPS
    return [
        -exposure * max(thirds * range_, floor_) * weight
        for thirds, weight in zip(SHOCK_THIRDS, WEIGHTS, strict=True)
    ]


def window_loss(losses: Sequence[int], state: int, window: int) -> int:
    """The largest loss within `window` hundredths of `state`, times 100: a piecewise linear
    function is largest at a state or at an end of the window.
    """
    low = max(100 * state - window, -100 * EDGE)
    high = min(100 * state + window, 100 * EDGE)
    worst = 100 * max(losses[ceil_div(low, 100) + EDGE : high // 100 + EDGE + 1])
    for end in (low, high):
        below, rest = divmod(end, 100)
        if rest:
            at = (100 - rest) * losses[below + EDGE] + rest * losses[below + EDGE + 1]
            worst = max(worst, at)
    return worst


def scan(rows: Iterable[ScanRow]) -> tuple[int, int]:
    """The scan over the whole grid: the loss in dollars times `GRID_SCALE`, and the lowest state
    that attains it.
    """
    totals = [0] * len(STATES)
    for row in rows:
        losses = grid_losses(row.exposure, row.range)
        for position, state in enumerate(STATES):
            totals[position] += window_loss(losses, state, row.window)
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


def _position_charge(portfolio: Portfolio, inputs: Inputs, level: Level) -> int:
    closing = concentration = 0
    for position in portfolio.positions:
        state = inputs.underlyings[position.underlying]
        terms = state.terms(level)
        value = ceil_div(abs(position.size) * state.price.index, WAD)
        closing += value * terms.closing
        concentration += ceil_div(value * value * terms.concentration, CONCENTRATION_SCALE)
    return ceil_div(closing, BPS) + concentration


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
        exposure = abs(delta) * state.price.index
        initial += exposure * state.price.band
        if state.price.ok:
            maintenance += exposure * min(state.maintenance.band, inputs.band_ceiling)
    return ceil_div(initial, WAD * BPS), ceil_div(maintenance, WAD * BPS)


# Margins (section 6)


def _doubted(net: _Net, inputs: Inputs) -> int:
    """Net value at prices and rates beyond trust, dollars rounded up."""
    prices = {u: inputs.underlyings[u].price for u in net.deltas}
    exposure = sum(abs(d) * prices[u].index for u, d in net.deltas.items() if not prices[u].ok)
    stopped = sum(
        units * prices[asset.underlying].index for asset, units, _ in net.holdings if asset.doubtful
    )
    return ceil_div(exposure + stopped, WAD)


def breakdown(portfolio: Portfolio, inputs: Inputs) -> Breakdown:
    """Equity, both margins, their parts, and the risk of each underlying."""
    net = _net(portfolio, inputs)
    initial, maintenance, worst_state = _parts(portfolio, net, inputs)
    equity, initial_equity, maintenance_equity = _equities(portfolio.cash, net, inputs)
    maintenance_margin = maintenance.total
    result = Margin(
        equity=equity,
        initial_equity=initial_equity,
        maintenance_equity=maintenance_equity,
        initial_margin=max(
            initial.total, ceil_div(inputs.initial_factor * maintenance_margin, BPS)
        ),
        maintenance_margin=maintenance_margin,
        doubtful=100 * _doubted(net, inputs) > maintenance_margin,
    )
    return Breakdown(result, initial, maintenance, _risks(net, inputs, worst_state))


def margin(portfolio: Portfolio, inputs: Inputs) -> Margin:
    """Equity and both margins of a portfolio."""
    return breakdown(portfolio, inputs).margin


def _parts(portfolio: Portfolio, net: _Net, inputs: Inputs) -> tuple[MarginParts, MarginParts, int]:
    initial_scan, _ = scan(_rows(net, inputs, Level.INITIAL))
    maintenance_scan, worst_state = scan(_rows(net, inputs, Level.MAINTENANCE))
    initial_charge, maintenance_charge = _collateral_charges(net, inputs)
    initial_band, maintenance_band = _bands(net, inputs)
    initial = MarginParts(
        scan=ceil_div(inputs.initial_factor * initial_scan, GRID_SCALE * BPS),
        collateral_charge=initial_charge,
        position_charge=_position_charge(portfolio, inputs, Level.INITIAL),
        band=initial_band,
    )
    maintenance = MarginParts(
        scan=ceil_div(maintenance_scan, GRID_SCALE),
        collateral_charge=maintenance_charge,
        position_charge=_position_charge(portfolio, inputs, Level.MAINTENANCE),
        band=maintenance_band,
    )
    return initial, maintenance, worst_state


def _risks(net: _Net, inputs: Inputs, worst_state: int) -> tuple[UnderlyingRisk, ...]:
    rows = _rows(net, inputs, Level.MAINTENANCE)
    risks = []
    for (u, delta), row in zip(net.deltas.items(), rows, strict=True):
        state = inputs.underlyings[u]
        loss = window_loss(grid_losses(row.exposure, row.range), worst_state, row.window)
        risks.append(
            UnderlyingRisk(
                underlying=u,
                price=state.price,
                delta=delta,
                value=delta * state.price.index // WAD,
                worst_case=-loss // GRID_SCALE,
                funding_index=state.funding_index,
            )
        )
    return tuple(risks)


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
    state = inputs.underlyings[underlying_of(fill.instrument)]
    mark = state.price.index
    basis = fill.size * (mark - state.funding_index)
    premium = fill.size * (fill.price - mark)
    if fill.is_taker:
        quote, paid = basis // WAD, premium // WAD
    else:
        quote, paid = ceil_div(basis, WAD), ceil_div(premium, WAD)
    fee = trading_fee(fill.size, mark, fees[0 if fill.is_taker else 1])
    held = portfolio.position(fill.instrument)
    charged = replace(portfolio, cash=portfolio.cash - paid - fee)
    return charged.with_position(
        Position(fill.instrument, held.size + fill.size, held.quote - quote)
    )


def trading_fee(size: int, mark: int, rate: int) -> int:
    """The fee of a leg, in millionths of its value at the mark, rounded up."""
    return ceil_div(abs(size) * mark * rate, WAD * MILLION)


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

"""What the chain answers, as frozen records in `Decimal`. Every conversion is exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, Self

from eth_typing import ChecksumAddress

from plimsoll.instruments import Holding, Instrument, Position
from plimsoll.units import from_units, from_wad

UNREADABLE = -(2**127)
"""The health, as the lens writes it, of an account that could not be read."""
_UNBOUNDED = 2**127 - 1
_BPS_DECIMALS = 4
_MILLION_DECIMALS = 6


class PriceStatus(IntEnum):
    OK = 0
    STALE = 1
    INVALID = 2
    OUT_OF_BOUNDS = 3
    DEVIATING = 4
    UNCONFIRMED = 5
    SEQUENCER_DOWN = 6
    FROZEN = 7


class AuctionState(IntEnum):
    NONE = 0
    OBSERVED = 1
    RUNNING = 2
    HALTED = 3
    STANDING = 4


@dataclass(frozen=True, slots=True)
class Price:
    index: Decimal
    stable: Decimal
    band: Decimal
    """A share of the index price."""
    status: PriceStatus

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        index, stable, band, status = raw
        return cls(
            from_wad(index), from_wad(stable), from_units(band, _BPS_DECIMALS), PriceStatus(status)
        )


@dataclass(frozen=True, slots=True)
class Margin:
    equity: Decimal
    initial_equity: Decimal
    maintenance_equity: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    doubtful: bool

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        equity, initial, maintenance, initial_margin, maintenance_margin, doubtful = raw
        return cls(
            from_wad(equity),
            from_wad(initial),
            from_wad(maintenance),
            from_wad(initial_margin),
            from_wad(maintenance_margin),
            doubtful,
        )

    @property
    def healthy(self) -> bool:
        return self.maintenance_equity >= self.maintenance_margin

    @property
    def free(self) -> bool:
        """Whether the account may withdraw or add risk."""
        return self.initial_equity >= self.initial_margin


@dataclass(frozen=True, slots=True)
class MarginParts:
    scan: Decimal
    collateral_charge: Decimal
    position_charge: Decimal
    band: Decimal
    term: Decimal = Decimal(0)
    """What the expiries' carry and volatility may do apart from each other."""

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        return cls(*(from_wad(value) for value in raw))


@dataclass(frozen=True, slots=True)
class UnderlyingRisk:
    underlying: int
    price: Price
    delta: Decimal
    value: Decimal
    worst_case: Decimal
    """Gain or loss in the worst joint scenario."""
    funding_index: Decimal
    gamma: Decimal = Decimal(0)
    """Units that `delta` grows by with a dollar of the price."""
    vega: Decimal = Decimal(0)
    """Dollars with 1.00 more of volatility."""
    theta: Decimal = Decimal(0)
    """Dollars a day."""

    @property
    def is_curved(self) -> bool:
        """Whether options move it."""
        return any((self.gamma, self.vega, self.theta))

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        underlying, price, *numbers = raw
        return cls(underlying, Price.decode(price), *(from_wad(number) for number in numbers))


@dataclass(frozen=True, slots=True)
class Portfolio:
    cash: Decimal
    collateral: tuple[Holding, ...]
    positions: tuple[Position, ...]

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        cash, holdings, positions = raw
        return cls(
            from_wad(cash),
            tuple(Holding.decode(word) for word in holdings),
            tuple(Position.decode(word) for word in positions),
        )

    def size(self, instrument: Instrument) -> Decimal:
        return sum((p.size for p in self.positions if p.instrument == instrument), Decimal(0))

    def units(self, asset: int) -> int:
        """The balance of a collateral asset in the token's units."""
        return sum(held.units for held in self.collateral if held.asset == asset)


@dataclass(frozen=True, slots=True)
class AuctionClock:
    state: AuctionState
    observed_at: int
    elapsed: int
    ticked_at: int

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        state, *times = raw
        return cls(AuctionState(state), *times)


@dataclass(frozen=True, slots=True)
class AccountRisk:
    margin: Margin
    health: Decimal
    """Maintenance equity over maintenance margin; infinite without margin."""
    free_collateral: Decimal
    initial: MarginParts
    maintenance: MarginParts
    underlyings: tuple[UnderlyingRisk, ...]
    portfolio: Portfolio
    auction: AuctionClock
    depth: Decimal
    """Depth of the auction, as a share."""

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        margin, health, free, initial, maintenance, underlyings, portfolio, auction, depth = raw
        return cls(
            Margin.decode(margin),
            health_of(health),
            from_wad(free),
            MarginParts.decode(initial),
            MarginParts.decode(maintenance),
            tuple(UnderlyingRisk.decode(risk) for risk in underlyings),
            Portfolio.decode(portfolio),
            AuctionClock.decode(auction),
            from_units(depth, _BPS_DECIMALS),
        )


@dataclass(frozen=True, slots=True)
class AuctionView:
    """What a liquidation bot decides on."""

    margin: Margin
    health: Decimal
    clock: AuctionClock
    depth: Decimal
    version: int
    fraction: Decimal
    """The largest slice that a bid could take now."""
    price: Decimal
    """Its price; negative when the bidder is paid."""

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self | None:
        """None for an account that could not be read."""
        readable, margin, health, auction, depth, version, fraction, price = raw
        if not readable:
            return None
        return cls(
            Margin.decode(margin),
            health_of(health),
            AuctionClock.decode(auction),
            from_units(depth, _BPS_DECIMALS),
            version,
            from_wad(fraction),
            from_wad(price),
        )


@dataclass(frozen=True, slots=True)
class SliceQuote:
    fraction: Decimal
    price: Decimal
    depth: Decimal

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        taken, price, depth = raw
        return cls(from_wad(taken), from_wad(price), from_units(depth, _BPS_DECIMALS))


@dataclass(frozen=True, slots=True)
class MarketTerms:
    mark: Decimal
    status: PriceStatus
    funding_index: Decimal
    taker_fee: Decimal
    """A share of the notional, as is `maker_fee`."""
    maker_fee: Decimal
    open_interest_cap: Decimal
    """Dollars."""
    stress_jump: Decimal
    closed: bool
    """Only trades that reduce both sides."""
    index: Decimal
    """The price of the underlying; a perpetual's mark."""
    stale: bool
    """Whether the surface that a dated instrument is priced with is too old."""
    is_final: bool
    """Whether the mark is what a unit settles at for ever."""

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        mark, status, funding, taker, maker, cap, jump, closed, index, stale, is_final = raw
        return cls(
            from_wad(mark),
            PriceStatus(status),
            from_wad(funding),
            from_units(taker, _MILLION_DECIMALS),
            from_units(maker, _MILLION_DECIMALS),
            from_wad(cap),
            from_units(jump, _BPS_DECIMALS),
            closed,
            from_wad(index),
            stale,
            is_final,
        )


@dataclass(frozen=True, slots=True)
class CollateralValue:
    """What an amount of an asset counts for, and why. Dollars, but for `units`."""

    units: Decimal
    value: Decimal
    scan_loss: Decimal
    haircut: Decimal
    basis_charge: Decimal
    price_reserve: Decimal
    counted: Decimal

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        return cls(*(from_wad(value) for value in raw))


@dataclass(frozen=True, slots=True)
class AssetTerms:
    token: ChecksumAddress
    decimals: int
    underlying: int
    claims: Decimal
    held: Decimal
    per_token: CollateralValue

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        token, decimals, underlying, claims, held, per_token = raw
        return cls(
            token,
            decimals,
            underlying,
            from_units(claims, decimals),
            from_units(held, decimals),
            CollateralValue.decode(per_token),
        )


@dataclass(frozen=True, slots=True)
class UnderlyingState:
    price: Price
    observed_at: int
    market: MarketTerms
    open_interest: Decimal

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self | None:
        """None for an underlying that could not be read."""
        readable, price, observed_at, market, open_interest = raw
        if not readable:
            return None
        return cls(
            Price.decode(price), observed_at, MarketTerms.decode(market), from_wad(open_interest)
        )


@dataclass(frozen=True, slots=True)
class Pool:
    supply_index: Decimal
    borrow_index: Decimal
    accrued_at: int
    supplied: Decimal
    borrowed: Decimal
    net_quote: Decimal
    reserves: Decimal
    deficit: Decimal

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        supply, borrow, accrued_at, *dollars = raw
        return cls(
            from_units(supply, 27),
            from_units(borrow, 27),
            accrued_at,
            *(from_wad(value) for value in dollars),
        )


@dataclass(frozen=True, slots=True)
class Factors:
    initial_factor: Decimal
    stress_share: Decimal
    winners_cap: Decimal
    payout_cap: Decimal
    dust: Decimal
    depegged: bool

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        factor, share, winners, payout, dust, depegged = raw
        return cls(
            from_units(factor, _BPS_DECIMALS),
            from_units(share, _BPS_DECIMALS),
            from_wad(winners),
            from_wad(payout),
            from_wad(dust),
            depegged,
        )


def health_of(raw: int) -> Decimal:
    """Without margin: plus infinity, or minus infinity when there is only debt."""
    if abs(raw) >= _UNBOUNDED:
        return Decimal("Infinity").copy_sign(Decimal(raw))
    return from_wad(raw)


@dataclass(frozen=True, slots=True)
class Solvency:
    """Whether the house can pay, and what cash costs and earns now. Dollars; rates a year."""

    reserves: Decimal
    provision: Decimal
    """The losses that auctions are about to leave."""
    deficit: Decimal
    halted: bool
    shut: bool
    utilisation: Decimal
    """What share of the supply is lent or owed."""
    borrow_rate: Decimal
    supply_rate: Decimal
    tokens: Decimal
    """Settlement tokens present: what all withdrawals of cash are bounded by."""

    @classmethod
    def decode(cls, raw: Sequence[Any], decimals: int) -> Self:
        reserves, provision, deficit, halted, shut, used, borrow, supply, tokens = raw
        return cls(
            from_wad(reserves),
            from_wad(provision),
            from_wad(deficit),
            halted,
            shut,
            from_units(used, _BPS_DECIMALS),
            from_wad(borrow),
            from_wad(supply),
            from_units(tokens, decimals),
        )


@dataclass(frozen=True, slots=True)
class LossShare:
    """An account as a supplier of cash. Dollars."""

    share: Decimal
    """What part of the supply it is."""
    expected: Decimal
    """What all suppliers must expect to bear."""
    borne: Decimal
    """What the account would bear of it."""

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        return cls(*(from_wad(value) for value in raw))


@dataclass(frozen=True, slots=True)
class Outflow:
    """What may leave of an asset within an hour, and what has, in whole tokens."""

    limit: Decimal | None
    """None without a limit."""
    used: Decimal
    window_start: int

    @classmethod
    def decode(cls, raw: Sequence[int], decimals: int) -> Self:
        limit, used, start = raw
        bound = None if limit == 2**256 - 1 else from_units(limit, decimals)
        return cls(bound, from_units(used, decimals), start)


@dataclass(frozen=True, slots=True)
class Funding:
    index: Decimal
    """Dollars per unit, as is `rate` per hour: longs pay while it rises."""
    rate: Decimal
    """Zero once the last report is two hours old."""
    observed_at: int
    since: int

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        index, rate, observed_at, since = raw
        return cls(from_wad(index), from_wad(rate), observed_at, since)


@dataclass(frozen=True, slots=True)
class Volatility:
    """The gauge of an underlying: by how much its ranges are stretched."""

    price: Decimal
    """The last sample, of the hour that begins at second `3600 * hour`."""
    hour: int
    variance: Decimal
    gauge: Decimal
    maintenance_gauge: Decimal

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        price, hour, variance, gauge, maintenance = raw
        return cls(
            from_wad(price),
            hour,
            from_wad(variance),
            from_units(gauge, _BPS_DECIMALS),
            from_units(maintenance, _BPS_DECIMALS),
        )


@dataclass(frozen=True, slots=True)
class WindDown:
    """How far the house is from being wound down. Times in seconds, none for not at all."""

    halted: bool
    resume_ready_at: int | None
    shut_ready_at: int | None
    shut_at: int | None

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        halted, *times = raw
        return cls(halted, *(moment or None for moment in times))

"""What the parts of the books share: numbers, refusals, and the moment of an operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag

from plimsoll.risk.instruments import perpetual, underlying_of
from plimsoll.risk.ledger.pool import Lending
from plimsoll.risk.model import WAD, Inputs, PriceStatus, UnderlyingState, ceil_div

CASH = 0
MAX_UINT16 = 2**16 - 1
MAX_AMOUNT = 2**128 - 1
MAX_UINT256 = 2**256 - 1
FEE_MARKS = 400
"""Fees of a cheap option are on so many times its mark."""

Account = int
"""An account id as a number: its owner in the high 160 bits, a sub-account in the low 96."""


def owner_of(account: Account) -> int:
    return account >> 96


def toward_zero(numerator: int, denominator: int) -> int:
    """Rounds an exact quotient towards zero."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


class Refused(Exception):  # noqa: N818 - an outcome, not a fault of the twin
    """An operation that the contract reverts, by the name of its error."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(f"{error}: {detail}" if detail else error)
        self.error = error


class Pause(IntFlag):
    NOTHING = 0
    DEPOSITS = 1
    WITHDRAWALS = 2
    RISK = 4
    LIQUIDATION = 8


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """The terms of a perpetual; dollars with 18 decimals, fees in millionths."""

    taker_fee: int = 0
    maker_fee: int = 0
    open_interest_cap: int = 2**40 * WAD
    stress_jump: int = 5_000
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Market:
    """An instrument at one moment: what `IMarginEngine.market` answers."""

    terms: MarketTerms
    status: PriceStatus
    mark: int
    index: int
    funding_index: int = 0
    closed: bool = False
    stale: bool = False
    is_final: bool = False
    is_option: bool = False

    @property
    def is_ok(self) -> bool:
        return self.status == PriceStatus.OK

    @property
    def basis(self) -> int:
        """What a unit is worth beyond its quote."""
        return self.mark - self.funding_index

    @property
    def notional_price(self) -> int:
        """What a unit counts for in leverage: docs/options.md, section 8."""
        return self.index if self.is_option else self.mark

    @property
    def fee_price(self) -> int:
        """What fees are a share of."""
        return min(self.index, FEE_MARKS * self.mark) if self.is_option else self.mark


@dataclass(frozen=True, slots=True)
class Factors:
    """What the ledger needs beside a margin; dollars with 18 decimals, shares in bps."""

    initial_factor: int
    stress_share: int
    winners_cap: int
    payout_cap: int
    dust: int
    depegged: bool = False


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be held of an asset, dollars with 18 decimals, at the stored price and rate."""

    cap: int
    growth: int
    decimals: int
    rate: int
    price: int

    def units(self, amount: int) -> int:
        scale: int = 10**self.decimals
        return min(2**128 - 1, min(2**128 - 1, amount) * self.rate // scale)

    def value(self, amount: int) -> int:
        return ceil_div(self.units(amount) * self.price, WAD)


@dataclass(frozen=True, slots=True)
class Context:
    """One moment: prices and parameters, and the time.

    `lending` and `outflows` (whole tokens an hour, by asset) are the words in force; the books go
    by their copies until a refresh.
    """

    inputs: Inputs
    markets: Mapping[int, MarketTerms]
    caps: Mapping[int, Caps]
    factors: Factors
    now: int
    live_since: int = 0
    paused: Pause = Pause.NOTHING
    paused_assets: frozenset[int] = frozenset()
    lending: Lending = field(default_factory=Lending)
    outflows: Mapping[int, int] = field(default_factory=dict)

    def underlying(self, instrument: int) -> UnderlyingState:
        return self.inputs.underlyings[underlying_of(instrument)]

    def market(self, instrument: int) -> Market:
        terms = self.markets.get(underlying_of(instrument))
        if terms is None or instrument != perpetual(underlying_of(instrument)):
            raise Refused("UnknownInstrument")
        state = self.underlying(instrument)
        status, index = state.price.status, state.price.index
        return Market(terms, status, index, index, state.funding_index, terms.closed)

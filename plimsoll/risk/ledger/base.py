"""What the parts of the books share: numbers, refusals, and the moment of an operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag

from plimsoll.risk import model
from plimsoll.risk.instruments import Kind, underlying_of
from plimsoll.risk.ledger.pool import Lending
from plimsoll.risk.model import WAD, Inputs, PriceStatus, UnderlyingState, ceil_div

CASH = 0
MAX_UINT16 = 2**16 - 1
MAX_AMOUNT = 2**128 - 1
MAX_UINT256 = 2**256 - 1

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

    instrument: int
    terms: MarketTerms
    status: PriceStatus
    quote: model.Market

    @property
    def is_ok(self) -> bool:
        return self.status == PriceStatus.OK

    @property
    def is_final(self) -> bool:
        return self.quote.is_final

    @property
    def closed(self) -> bool:
        """Whether only trades that reduce both sides pass."""
        return self.terms.closed or self.quote.closed

    @property
    def mark(self) -> int:
        return self.quote.mark

    @property
    def basis(self) -> int:
        """What a unit is worth beyond its quote."""
        return self.quote.mark - self.quote.funding_index

    @property
    def notional_price(self) -> int:
        """What a unit counts for in leverage: docs/options.md, section 8."""
        is_option = self.instrument >> 46 == Kind.OPTION
        return self.quote.index if is_option else self.quote.mark

    @property
    def fee_price(self) -> int:
        """What fees are a share of."""
        return model.fee_basis(self.instrument, self.quote)


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
        if terms is None:
            raise Refused("UnknownInstrument")
        try:
            quote = model.market(instrument, self.inputs)
        except model.UnknownInstrumentError:
            raise Refused("UnknownInstrument") from None
        return Market(instrument, terms, self.underlying(instrument).price.status, quote)

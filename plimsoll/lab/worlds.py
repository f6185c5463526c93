"""The same portfolios in two worlds: every position walled off, or everything behind one margin.

Both worlds are the same contracts, feeds and keeper. In the isolated world each position (and the
loan) has a sub-account of its own, and the collateral is split by what each of them requires when
it stands alone: its initial margin less its initial equity, as the chain answers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from enum import Enum
from typing import Any

from web3 import Web3
from web3.constants import ADDRESS_ZERO
from web3.types import BlockIdentifier

from plimsoll.chain import Chain
from plimsoll.instruments import CASH, AccountId, Instrument, Kind
from plimsoll.lab.record import WHOLE
from plimsoll.lab.scenario import OptionLeg, Trader
from plimsoll.protocol import Asset
from plimsoll.records import UnderlyingRisk
from plimsoll.units import WAD, from_units, from_wad, to_units_down, to_wad_exact

LOAN = "loan"
_SIZE_PLACES = Decimal("0.000001")
_SIZE_BITS = 104
_STRIKE_DIGITS = 3
_NOBODY = AccountId(Web3.to_checksum_address(ADDRESS_ZERO))
"""Has nothing: what it would need after a trade is what the trade needs."""


class World(Enum):
    ISOLATED = "isolated"
    CROSS = "cross"


@dataclass(frozen=True, slots=True)
class Listing:
    """A token as the chain lists it."""

    symbol: str
    asset: int
    decimals: int
    value: Decimal
    """Dollars that one whole token is worth now; 1 for the settlement token."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What one sub-account starts with, in the smallest units."""

    name: str
    sub_account: int
    deposits: Mapping[str, int]
    """Token units by symbol."""
    borrow: int
    """Units of the settlement token to withdraw."""
    sizes: Mapping[Instrument, Decimal]
    """Units of the underlying, negative when short."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the chain says before a run opens: tokens, prices, and what a portfolio requires."""

    chain: Chain
    cash: Listing
    tokens: Mapping[str, Listing]
    underlyings: Mapping[str, int]
    expiry_day: int
    """Of every option."""

    def openings(self, trader: Trader, world: World) -> tuple[Opening, ...]:
        """The sub-accounts of a trader."""
        whole = self._whole(trader)
        parts = self._parts(whole)
        if world is World.CROSS or len(parts) == 1:
            return (whole,)
        needs = [self._requirement(part) for part in parts]
        shares = {symbol: split(units, needs) for symbol, units in whole.deposits.items()}
        return tuple(
            replace(
                part,
                sub_account=number,
                deposits={s: given[number] for s, given in shares.items() if given[number]},
            )
            for number, part in enumerate(parts)
        )

    def name(self, instrument: Instrument) -> str:
        """The symbol of a perpetual, the full name of an option."""
        symbols = {number: symbol for symbol, number in self.underlyings.items()}
        if instrument.kind is Kind.PERPETUAL:
            return symbols[instrument.underlying]
        return instrument.name(symbols)

    def price(self, symbol: str) -> Decimal:
        """The index price, from the chain."""
        raw = self.chain.call(self.chain.engine.functions.price(self.underlyings[symbol]))
        return from_units(raw[0], 18)

    def mark(self, instrument: Instrument) -> Decimal:
        """What a unit is worth now, from the chain."""
        return from_wad(self._market(instrument)[0])

    def option(self, leg: OptionLeg) -> Instrument:
        strike = rounded(self.price(leg.underlying) * leg.strike)
        return Instrument.option(
            self.underlyings[leg.underlying], self.expiry_day, strike, put=leg.put
        )

    def _parts(self, whole: Opening) -> list[Opening]:
        """What isolation keeps apart: each position, and the loan. None has any money yet."""
        bare = replace(whole, deposits={}, borrow=0, sizes={})
        parts = [
            replace(bare, name=self._side(held, size), sizes={held: size})
            for held, size in whole.sizes.items()
        ]
        return parts + ([replace(bare, name=LOAN, borrow=whole.borrow)] if whole.borrow else [])

    def _requirement(self, part: Opening) -> int:
        """Dollars that a loan, or a position with its fee, needs to stand alone, by the chain."""
        if part.borrow:
            owed = -part.borrow * 10 ** (18 - self.cash.decimals)
            margin = self.chain.call(self.chain.engine.functions.margin((owed, [], [])))
        else:
            trades = [
                (held.encode(), to_wad_exact(size), self._market(held)[0], True)
                for held, size in part.sizes.items()
            ]
            preview = self.chain.lens.functions.previewTrade(_NOBODY.encode(), trades)
            _, margin = self.chain.call(preview)
        return max(0, int(margin[3] - margin[1]))

    def _side(self, instrument: Instrument, size: Decimal) -> str:
        return f"{'long' if size > 0 else 'short'} {self.name(instrument)}"

    def _whole(self, trader: Trader) -> Opening:
        deposits = {symbol: self._units(symbol, d) for symbol, d in trader.collateral.items()}
        if trader.cash:
            deposits[self.cash.symbol] = to_units_down(trader.cash, self.cash.decimals)
        sizes = {
            self._perpetual(symbol): self._size(symbol, d) for symbol, d in trader.positions.items()
        }
        sizes |= {self.option(leg): self._size(leg.underlying, leg.size) for leg in trader.options}
        if trader.hedged:
            sizes |= self._hedges(sizes)
        return Opening(
            name=WHOLE,
            sub_account=0,
            deposits=deposits,
            borrow=to_units_down(trader.borrow, self.cash.decimals),
            sizes=sizes,
        )

    def _hedges(self, sizes: Mapping[Instrument, Decimal]) -> dict[Instrument, Decimal]:
        """A perpetual against the delta of the options on each underlying."""
        options = [
            self._position(held, size)
            for held, size in sizes.items()
            if held.kind is not Kind.PERPETUAL
        ]
        risks = risks_of(self.chain, (0, [], options))
        deltas = {risk.underlying: risk.delta.quantize(_SIZE_PLACES) for risk in risks}
        return {Instrument.perpetual(u): -delta for u, delta in deltas.items() if delta}

    def _units(self, symbol: str, dollars: Decimal) -> int:
        token = self.tokens[symbol]
        return to_units_down(dollars / token.value, token.decimals)

    def _size(self, symbol: str, dollars: Decimal) -> Decimal:
        return (dollars / self.price(symbol)).quantize(_SIZE_PLACES, ROUND_FLOOR)

    def _perpetual(self, symbol: str) -> Instrument:
        return Instrument.perpetual(self.underlyings[symbol])

    def _market(self, instrument: Instrument) -> Any:
        return self.chain.call(self.chain.engine.functions.marketView(instrument.encode()))

    def _position(self, instrument: Instrument, size: Decimal) -> int:
        """The word of a position opened at the mark, so that it is worth nothing yet."""
        mark, _, funding, *_ = self._market(instrument)
        units = to_wad_exact(size)
        quote = -units * (mark - funding) // WAD
        low = 1 << _SIZE_BITS
        return instrument.encode() << 2 * _SIZE_BITS | units % low << _SIZE_BITS | int(quote % low)


def risks_of(
    chain: Chain, portfolio: Any, block: BlockIdentifier = "latest"
) -> list[UnderlyingRisk]:
    """Delta and greeks of what somebody holds, or would hold, by underlying."""
    raw = chain.call(chain.engine.functions.breakdown(portfolio), block)[3]
    return [UnderlyingRisk.decode(risk) for risk in raw]


def rounded(strike: Decimal) -> Decimal:
    """To the three significant digits of a strike that is listed."""
    return strike.quantize(Decimal(1).scaleb(strike.adjusted() + 1 - _STRIKE_DIGITS))


def listings(chain: Chain, assets: Mapping[str, int]) -> tuple[Listing, dict[str, Listing]]:
    """The settlement token, and every other listed token."""
    cash_symbol = next(symbol for symbol, asset in assets.items() if asset == CASH)
    token = chain.token(chain.call(chain.clearing_house.functions.SETTLEMENT_TOKEN()))
    decimals = chain.call(token.functions.decimals())
    cash = Listing(cash_symbol, CASH, decimals, Decimal(1))
    others = {symbol: asset for symbol, asset in assets.items() if asset != CASH}
    terms = {symbol: Asset(chain, asset).terms() for symbol, asset in others.items()}
    tokens = {
        symbol: Listing(symbol, others[symbol], term.decimals, term.per_token.value)
        for symbol, term in terms.items()
    }
    return cash, tokens


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Parts in proportion to weights, rounded down; the last takes what is left over."""
    whole = sum(weights)
    if whole == 0:
        raise ValueError("nothing requires anything: the collateral cannot be split")
    parts = [total * weight // whole for weight in weights[:-1]]
    return [*parts, total - sum(parts)]

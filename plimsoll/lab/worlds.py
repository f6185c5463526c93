"""The same portfolios in two worlds: every position walled off, or everything behind one margin.

Both worlds are the same contracts, feeds and keeper. In the isolated world each position (and the
loan) has a sub-account of its own, and the collateral is split by what each of them requires when
it stands alone: its initial margin less its initial equity, as the engine answers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import Enum

from plimsoll.chain import Chain
from plimsoll.instruments import CASH, Instrument
from plimsoll.lab.record import WHOLE
from plimsoll.lab.scenario import Trader
from plimsoll.protocol import Asset
from plimsoll.units import WAD, from_units, to_units_down, to_wad_exact

LOAN = "loan"
_SIZE_PLACES = Decimal("0.000001")
_SIZE_BITS = 104


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
    sizes: Mapping[str, Decimal]
    """Units of the underlying by symbol, negative when short."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the chain says before a run opens: tokens, prices, and what a portfolio requires."""

    chain: Chain
    cash: Listing
    tokens: Mapping[str, Listing]
    underlyings: Mapping[str, int]

    def openings(self, trader: Trader, world: World) -> tuple[Opening, ...]:
        """The sub-accounts of a trader."""
        whole = self._whole(trader)
        if world is World.CROSS or len(trader.compartments) == 1:
            return (whole,)
        names = trader.compartments
        needs = [self.requirement(whole, name) for name in names]
        shares = {symbol: split(units, needs) for symbol, units in whole.deposits.items()}
        return tuple(
            Opening(
                name=name if name == LOAN else self._side(name, whole.sizes[name]),
                sub_account=number,
                deposits={s: parts[number] for s, parts in shares.items() if parts[number]},
                borrow=whole.borrow if name == LOAN else 0,
                sizes={} if name == LOAN else {name: whole.sizes[name]},
            )
            for number, name in enumerate(names)
        )

    def requirement(self, opening: Opening, name: str) -> int:
        """Dollars that a position or the loan needs to stand alone, by the engine's own word."""
        is_loan = name == LOAN
        cash = -opening.borrow * 10 ** (18 - self.cash.decimals) if is_loan else 0
        positions = [] if is_loan else [self._position(name, opening.sizes[name])]
        margin = self.chain.call(self.chain.engine.functions.margin((cash, [], positions)))
        return max(0, int(margin[3] - margin[1]))

    @staticmethod
    def _side(symbol: str, size: Decimal) -> str:
        return f"long {symbol}" if size > 0 else f"short {symbol}"

    def price(self, symbol: str) -> Decimal:
        """The index price, from the chain."""
        raw = self.chain.call(self.chain.engine.functions.price(self.underlyings[symbol]))
        return from_units(raw[0], 18)

    def _whole(self, trader: Trader) -> Opening:
        deposits = {symbol: self._units(symbol, d) for symbol, d in trader.collateral.items()}
        if trader.cash:
            deposits[self.cash.symbol] = to_units_down(trader.cash, self.cash.decimals)
        return Opening(
            name=WHOLE,
            sub_account=0,
            deposits=deposits,
            borrow=to_units_down(trader.borrow, self.cash.decimals),
            sizes={symbol: self._size(symbol, d) for symbol, d in trader.positions.items()},
        )

    def _units(self, symbol: str, dollars: Decimal) -> int:
        token = self.tokens[symbol]
        return to_units_down(dollars / token.value, token.decimals)

    def _size(self, symbol: str, dollars: Decimal) -> Decimal:
        return (dollars / self.price(symbol)).quantize(_SIZE_PLACES, ROUND_FLOOR)

    def _position(self, symbol: str, size: Decimal) -> int:
        """The word of a position opened at the mark, so that it is worth nothing yet."""
        instrument = Instrument.perpetual(self.underlyings[symbol]).encode()
        mark, _, funding, *_ = self.chain.call(self.chain.engine.functions.marketView(instrument))
        units = to_wad_exact(size)
        quote = -units * (mark - funding) // WAD
        low = 1 << _SIZE_BITS
        return instrument << 2 * _SIZE_BITS | units % low << _SIZE_BITS | int(quote % low)


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

"""A trader's options as the chain shows them: margins of parts and of the whole, and greeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from plimsoll.chain import Chain
from plimsoll.instruments import Instrument, Kind
from plimsoll.lab.record import BookStep, Greeks, OptionBook, OptionLeg
from plimsoll.lab.worlds import Exchange, risks_of
from plimsoll.risk.instruments import expiry_of
from plimsoll.risk.surface import Slice, variance
from plimsoll.units import WAD, to_wad_exact

_QUOTE_BITS = 104


@dataclass(frozen=True, slots=True)
class BookReader:
    """Whether his positions share an account or have one each makes no difference here."""

    chain: Chain
    exchange: Exchange
    trader: str
    accounts: Sequence[bytes]

    def opening(self) -> OptionBook:
        block = self.chain.w3.eth.block_number
        words = self._words(block)
        options = [word for word in words if _instrument(word).kind is Kind.OPTION]
        (underlying,) = {_instrument(word).underlying for word in options}
        symbol = self.exchange.name(Instrument.perpetual(underlying))
        initial, maintenance = self._margin(words, block)
        return OptionBook(
            trader=self.trader,
            underlying=symbol,
            expiry=expiry_of(self.exchange.expiry_day),
            legs=[self._leg(word, block) for word in words],
            initial=initial,
            maintenance=maintenance,
            options=self._greeks(options, underlying, block),
            hedged=self._greeks(words, underlying, block),
        )

    def step(self, step: int, block: int, symbol: str) -> BookStep:
        alone = [self._margin([word], block) for word in self._words(block)]
        return BookStep(
            step=step,
            volatility=self._volatility(self.exchange.underlyings[symbol], block),
            parts_initial=sum(initial for initial, _ in alone),
            parts_maintenance=sum(maintenance for _, maintenance in alone),
        )

    def _words(self, block: int) -> list[int]:
        """Positions of all his accounts, options first."""
        portfolio = self.chain.clearing_house.functions.portfolio
        held = [w for a in self.accounts for w in self.chain.call(portfolio(a), block)[2]]
        return sorted(held, key=lambda word: (-_instrument(word).kind, word))

    def _leg(self, word: int, block: int) -> OptionLeg:
        instrument = _instrument(word)
        market = self.chain.engine.functions.marketView(instrument.encode())
        initial, maintenance = self._margin([word], block)
        return OptionLeg(
            name=self.exchange.name(instrument),
            size=_size(word),
            mark=self.chain.call(market, block)[0],
            initial=initial,
            maintenance=maintenance,
        )

    def _margin(self, words: Sequence[int], block: int) -> tuple[int, int]:
        """Initial and maintenance margin of positions that nothing else stands beside."""
        margin = self.chain.engine.functions.margin((0, [], list(words)))
        _, _, _, initial, maintenance, _ = self.chain.call(margin, block)
        return initial, maintenance

    def _greeks(self, words: Sequence[int], underlying: int, block: int) -> Greeks:
        for risk in risks_of(self.chain, (0, [], list(words)), block):
            if risk.underlying == underlying:
                values = (risk.delta, risk.gamma, risk.vega, risk.theta)
                return Greeks(*(to_wad_exact(value) for value in values))
        return Greeks(0, 0, 0, 0)

    def _volatility(self, underlying: int, block: int) -> int:
        surface = self.chain.engine.functions.surface(underlying, self.exchange.expiry_day)
        piece, _ = self.chain.call(surface, block)
        return isqrt(variance(Slice(*piece), 0) * WAD)


def _instrument(word: int) -> Instrument:
    return Instrument.decode(word >> 2 * _QUOTE_BITS)


def _size(word: int) -> int:
    size = (word >> _QUOTE_BITS) % (1 << _QUOTE_BITS)
    return size - (size >> (_QUOTE_BITS - 1) << _QUOTE_BITS)

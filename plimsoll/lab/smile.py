"""The surfaces that reporters sign in a run: one slice, by a rule that anybody can check.

Volatility at the money is the smile's while the price stands at its opening or above, and rises by
`rise` points for each percent below. The rest of the smile keeps its shape: raw SVI whose every
variance is a multiple of the one at the money. Three reporters see it a moment apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from hexbytes import HexBytes

from plimsoll.chain import Chain
from plimsoll.lab.actors import Actor
from plimsoll.lab.node import Call
from plimsoll.lab.scenario import Smile
from plimsoll.reports import SurfaceReport, report_domain, surface_batch_of
from plimsoll.risk.instruments import day_of, expiry_of, is_friday
from plimsoll.risk.params import Kind
from plimsoll.risk.surface import Slice
from plimsoll.risk.svi import MICRO, NANO
from plimsoll.units import from_wad

DAY = 86_400
_APART = Decimal("0.002")
"""What two reporters, looking a moment apart, see of volatility."""
_WIDTH = Decimal("0.4")
"""Of the smile's bottom, in log-moneyness: sigma of raw SVI."""
_EXPIRY_HOUR = 8 * 3_600


def expiry_day(opened: int, days: int) -> int:
    """The first Friday that is at least so many days after the opening."""
    first = -(-(opened - _EXPIRY_HOUR) // DAY) * DAY + _EXPIRY_HOUR
    day = day_of(first) + days
    while not is_friday(day):
        day += 1
    return day


def volatility(smile: Smile, price: Decimal, opening: Decimal) -> Decimal:
    """At the money."""
    return smile.volatility + smile.rise * max(Decimal(0), 1 - price / opening)


def slice_of(smile: Smile, day: int, at_the_money: Decimal, premium: Decimal = Decimal(0)) -> Slice:
    """The smile of that volatility; the forward stands `premium` over the index."""
    variance = at_the_money**2
    return Slice(
        expiry_day=day,
        forward=int((1 + premium) * NANO),
        a=int(variance * (1 - _WIDTH) * NANO),
        b=int(variance * NANO),
        rho=int(smile.skew * MICRO),
        m=0,
        sigma=int(_WIDTH * MICRO),
    )


@dataclass(frozen=True)
class Surfaces:
    """What the reporters sign of new prices, for the block that brings them."""

    chain: Chain
    reporters: Sequence[Actor]
    smile: Smile
    day: int
    premium: Decimal
    opening: Mapping[str, Decimal]
    underlyings: Mapping[str, int]
    """Those that options are held on."""

    def calls(self, prices: Mapping[str, Decimal], moment: int) -> list[Call]:
        """One batch for each underlying; none once the options have expired."""
        if moment >= expiry_of(self.day):
            return []
        return [
            self._call(number, symbol, prices[symbol], moment)
            for symbol, number in self.underlyings.items()
            if symbol in prices
        ]

    def _call(self, underlying: int, symbol: str, price: Decimal, moment: int) -> Call:
        level = volatility(self.smile, price, self.opening[symbol])
        signed = [
            SurfaceReport(
                underlying,
                moment,
                (slice_of(self.smile, self.day, level + (number - 1) * _APART, self.premium),),
            ).sign(actor.key, self._domain)
            for number, actor in enumerate(self.reporters)
        ]
        quorum, agreement, surface_agreement = self._terms
        batch = surface_batch_of(
            signed,
            underlying,
            now=moment,
            quorum=quorum,
            agreement=agreement,
            surface_agreement=surface_agreement,
        )
        engine = self.chain.engine
        data = engine.encode_abi("reportSurface", batch.arguments())
        return Call(engine.address, bytes(HexBytes(data)))

    @cached_property
    def _oracle(self) -> str:
        word, *_ = self.chain.call(self.chain.engine.functions.parameter(int(Kind.REPORTS), 0))
        return f"0x{word:040x}"

    @cached_property
    def _domain(self) -> dict[str, object]:
        return report_domain(self.chain.w3.eth.chain_id, self._oracle)

    @cached_property
    def _terms(self) -> tuple[int, Decimal, Decimal]:
        ask = self.chain.contract("ReportOracle", self._oracle).functions
        return (
            self.chain.call(ask.QUORUM()),
            from_wad(self.chain.call(ask.AGREEMENT())),
            from_wad(self.chain.call(ask.SURFACE_AGREEMENT())),
        )

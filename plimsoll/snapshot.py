"""The state of the market, read from the chain at one block, for the integer twin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from web3.types import BlockIdentifier

from plimsoll import records
from plimsoll.chain import Chain
from plimsoll.instruments import Instrument
from plimsoll.markets import Fill
from plimsoll.risk import model
from plimsoll.risk.options import ExpiryState, OptionTerms
from plimsoll.risk.params import (
    AssetParams,
    GlobalParams,
    Kind,
    MarketParams,
    OptionsParams,
    TokenParams,
    UnderlyingParams,
)
from plimsoll.risk.svi import Slice
from plimsoll.units import WAD, Amount, from_wad, to_wad_exact

_LOOKS_DOWN = [WAD * 98**n // 100**n for n in range(1, 115)]
_LOOKS_UP = [WAD * 102**n // 100**n for n in range(1, 117)]
"""Prices in parts of the present one, 18 decimals."""


@dataclass(frozen=True, slots=True)
class LiquidationPrices:
    """Index prices at which an account can be liquidated, all else equal; none: it never can."""

    at_or_below: Decimal | None
    at_or_above: Decimal | None


@dataclass(frozen=True)
class MarketState:
    """Prices, parameters and fees at one block: what the twin prices portfolios in."""

    block: int
    timestamp: int
    inputs: model.Inputs
    fees: Mapping[int, tuple[int, int]]
    """(taker, maker) in millionths, by underlying."""

    def at_prices(self, prices: Mapping[int, Amount]) -> MarketState:
        """The same market with other index prices, all OK. Stable prices stay where they are."""
        underlyings = dict(self.inputs.underlyings)
        for underlying, price in prices.items():
            state = underlyings[underlying]
            moved = model.Price(to_wad_exact(price), state.price.stable, state.initial.band)
            underlyings[underlying] = replace(state, price=moved)
        return replace(self, inputs=replace(self.inputs, underlyings=underlyings))

    def margin(self, portfolio: records.Portfolio) -> records.Margin:
        return to_record(model.margin(to_model(portfolio), self.inputs))

    def liquidation_prices(
        self, portfolio: records.Portfolio, underlying: int
    ) -> LiquidationPrices:
        """By bisection on the exact margin: equity less maintenance margin is concave in a price.

        With options and futures it is not: every 2 % within a factor of ten are looked at then,
        and a dip between two looks is not seen. Of an account that can be liquidated now both are
        the present price.
        """
        held = to_model(portfolio)
        now = self.inputs.underlyings[underlying].price.index

        def healthy(price: int) -> bool:
            moved = self.at_prices({underlying: from_wad(price)})
            return model.margin(held, moved.inputs).is_healthy

        if not healthy(now):
            return LiquidationPrices(from_wad(now), from_wad(now))
        curved = _is_curved(portfolio)
        down = _last_passing(healthy, now, _LOOKS_DOWN if curved else ())
        up = _last_passing(healthy, now, _LOOKS_UP if curved else ())
        return LiquidationPrices(
            _first_failing(healthy, *down, 1), _first_failing(healthy, *up, model.MAX_PRICE)
        )

    def what_if(
        self, portfolio: records.Portfolio, fills: Sequence[Fill], prices: Mapping[int, Amount]
    ) -> tuple[records.Margin, records.Margin]:
        """Margins now, and after these trades at today's marks followed by a move to `prices`."""
        after = to_model(portfolio)
        for fill in fills:
            underlying = fill.instrument.underlying
            after = model.apply_fill(after, _fill(fill), self.fees[underlying], self.inputs)
        moved = self.at_prices(prices)
        return self.margin(portfolio), to_record(model.margin(after, moved.inputs))


def market_state(
    chain: Chain,
    underlyings: Iterable[int],
    assets: Iterable[int],
    block: BlockIdentifier = "latest",
    *,
    expiries: Iterable[tuple[int, int]] = (),
) -> MarketState:
    """Reads everything at one block; the underlyings of the assets come along unasked.

    `expiries` are those of options and futures, by underlying and expiry day.
    """
    header = chain.w3.eth.get_block(block)
    at = header["number"]
    reader = _Reader(chain, at)
    asset_states = {asset: reader.asset(asset) for asset in assets}
    needed = set(underlyings) | {state.underlying for state in asset_states.values()}
    factors = reader.words(Kind.GLOBAL, 0)
    return MarketState(
        block=at,
        timestamp=header["timestamp"],
        inputs=model.Inputs(
            underlyings={underlying: reader.underlying(underlying) for underlying in needed},
            assets=asset_states,
            initial_factor=GlobalParams.from_word(factors.target).initial_factor,
            band_ceiling=GlobalParams.from_word(factors.current).band_ceiling,
            expiries={(u, day): reader.expiry(u, day) for u, day in set(expiries)},
            now=header["timestamp"],
        ),
        fees={underlying: reader.fees(underlying) for underlying in needed},
    )


@dataclass(frozen=True, slots=True)
class _Words:
    target: int
    current: int


class _Reader:
    """Reads one item after the other at one block."""

    def __init__(self, chain: Chain, block: int) -> None:
        self._chain = chain
        self._block = block
        self._engine = chain.engine

    def words(self, kind: Kind, id_: int) -> _Words:
        target, current, *_ = self._ask("parameter", int(kind), id_)
        return _Words(target, current)

    def underlying(self, underlying: int) -> model.UnderlyingState:
        words = self.words(Kind.UNDERLYING, underlying)
        index, stable, band, status = self._ask("price", underlying)
        _, _, funding_index, *_ = self._market(underlying)
        *_, gauge, maintenance_gauge = self._ask("volatility", underlying)
        return model.UnderlyingState(
            price=model.Price(index, stable, band, model.PriceStatus(status)),
            initial=UnderlyingParams.from_word(words.target).terms(),
            maintenance=UnderlyingParams.from_word(words.current).terms(),
            funding_index=funding_index,
            initial_gauge=gauge,
            maintenance_gauge=maintenance_gauge,
            options=self._options(underlying),
        )

    def expiry(self, underlying: int, day: int) -> ExpiryState:
        """The slice and the fixing of an expiry; nothing of one that was never reported."""
        told, observed_at = self._ask("surface", underlying, day)
        samples, total = self._ask("fixing", underlying, day)
        piece = Slice(*told) if observed_at else None
        return ExpiryState(piece, observed_at, samples, total)

    def _options(self, underlying: int) -> OptionTerms | None:
        word = self.words(Kind.OPTIONS, underlying).target
        return OptionsParams.from_word(word).terms() if word else None

    def asset(self, asset: int) -> model.AssetState:
        token = TokenParams.from_word(self.words(Kind.TOKEN, asset).target)
        words = self.words(Kind.ASSET, asset)
        rate, initial_rate, doubtful, crowd = self._ask("collateralTerms", asset)
        return model.AssetState(
            underlying=token.underlying,
            decimals=token.decimals,
            initial=AssetParams.from_word(words.target).terms(),
            maintenance=AssetParams.from_word(words.current).terms(),
            crowd=crowd,
            rate=rate,
            initial_rate=initial_rate,
            doubtful=doubtful,
        )

    def fees(self, underlying: int) -> tuple[int, int]:
        params = MarketParams.from_word(self.words(Kind.MARKET, underlying).target)
        return params.taker_fee, params.maker_fee

    def _market(self, underlying: int) -> Any:
        return self._ask("marketView", Instrument.perpetual(underlying).encode())

    def _ask(self, view: str, *arguments: Any) -> Any:
        return self._chain.call(self._engine.functions[view](*arguments), self._block)


def _last_passing(
    healthy: Callable[[int], bool], now: int, looks: Sequence[int]
) -> tuple[int, int | None]:
    """The last healthy price on the way, and the first that is not; none when all are."""
    passing = now
    for share in looks:
        price = now * share // WAD
        if not healthy(price):
            return passing, price
        passing = price
    return passing, None


def _first_failing(
    healthy: Callable[[int], bool], passing: int, failing: int | None, limit: int
) -> Decimal | None:
    """The price next to the healthy ones on the way to `limit`; none when that is healthy too."""
    if failing is None:
        if healthy(limit):
            return None
        failing = limit
    while abs(failing - passing) > 1:
        middle = (failing + passing) // 2
        if healthy(middle):
            passing = middle
        else:
            failing = middle
    return from_wad(failing)


def expiries_of(held: Iterable[Instrument]) -> set[tuple[int, int]]:
    """Of what is dated, by underlying and expiry day."""
    return {(one.underlying, one.expiry_day) for one in held if one.expiry is not None}


def _is_curved(portfolio: records.Portfolio) -> bool:
    return bool(expiries_of(held.instrument for held in portfolio.positions))


def to_model(portfolio: records.Portfolio) -> model.Portfolio:
    return model.Portfolio(
        cash=to_wad_exact(portfolio.cash),
        collateral=tuple(model.Holding(held.asset, held.units) for held in portfolio.collateral),
        positions=tuple(
            model.Position(
                held.instrument.encode(), to_wad_exact(held.size), to_wad_exact(held.quote)
            )
            for held in portfolio.positions
        ),
    )


def _fill(fill: Fill) -> model.Fill:
    return model.Fill(
        fill.instrument.encode(), to_wad_exact(fill.size), to_wad_exact(fill.price), fill.is_taker
    )


def to_record(margin: model.Margin) -> records.Margin:
    return records.Margin(
        from_wad(margin.equity),
        from_wad(margin.initial_equity),
        from_wad(margin.maintenance_equity),
        from_wad(margin.initial_margin),
        from_wad(margin.maintenance_margin),
        margin.doubtful,
    )

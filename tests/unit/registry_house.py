"""A margin engine with two underlyings and two assets, and the people of its governance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plimsoll.risk.model import WAD
from plimsoll.risk.params import AssetParams, GlobalParams, MarketParams, UnderlyingParams
from tests.world import Market

ETH, BTC = 1, 2
WETH, WBTC = 1, 2
ETH_PRICE, BTC_PRICE = 2_000 * WAD, 60_000 * WAD

RISK = UnderlyingParams(range=600, window=120, closing=5, concentration=500, band=50)
TERMS = AssetParams(
    tier1=1_000_000,
    tier2=5_000_000,
    haircut1=100,
    haircut2=400,
    haircut3=1_000,
    basis=20,
    cap=10_000_000,
    growth=2_000_000,
)
FACTORS = GlobalParams(band_ceiling=100)
FEES = MarketParams(taker_fee=500, maker_fee=200, open_interest_cap=1_000_000, stress_jump=5_000)


class House(Market):
    """`house` stands in for the ClearingHouse; the deployer governs; `stranger` may do nothing."""

    def __init__(self) -> None:
        super().__init__(factors=FACTORS)
        self.house = self.evm.actor("house")
        self.stranger = self.evm.actor("stranger")
        self.list_underlying(ETH, RISK, ETH_PRICE, market=FEES)
        self.list_underlying(BTC, RISK, BTC_PRICE, market=FEES, second=100)
        self.list_asset(WETH, self.new_token(18), ETH, TERMS)
        self.list_asset(WBTC, self.new_token(8), BTC, TERMS)

    def sealed_house(self) -> House:
        self.seal(self.house)
        return self

    def keep_fresh(self, seconds: int) -> None:
        """Lets time pass and has every feed answer the same price again."""
        self.warp(seconds)
        for underlying in self.underlyings.values():
            for feed in (underlying.feed, underlying.second_feed):
                if feed is not None:
                    feed.set(feed.told.value, self.now)

    @contextmanager
    def undone(self) -> Iterator[House]:
        """Undoes at the end, on the chain and in the twin, whatever is done inside."""
        go_back = self.checkpoint()
        try:
            yield self
        finally:
            go_back()

    def call(self, name: str, *args: Any) -> Any:
        return getattr(self.engine.call, name)(*args)

"""Moving the prices of a local deployment, through the contracts that a real one would read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from plimsoll.deploy.sender import encode_call
from plimsoll.deploy.world import pyth_update
from plimsoll.units import to_units_exact

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractInstance


@dataclass(frozen=True, eq=False)
class ChainlinkFeed:
    """A FluxAggregator with one oracle, behind the proxy that consumers read."""

    proxy: ContractInstance
    aggregator: ContractInstance
    decimals: int
    oracle: AccountAPI

    def submit(self, price: Decimal) -> ReceiptAPI:
        """Answers a new round."""
        answer = to_units_exact(price, self.decimals)
        return self.aggregator.submit(self.aggregator.latestRound() + 1, answer, sender=self.oracle)


@dataclass(frozen=True, eq=False)
class PythFeed:
    """One price of the Pyth contract."""

    pyth: ContractInstance
    feed_id: str
    decimals: int
    publisher: AccountAPI

    def published(self) -> int:
        """When its price was last published, seconds."""
        return int(self.pyth.getPriceUnsafe(bytes.fromhex(self.feed_id[2:])).publishTime)

    def update(self, price: Decimal, published: int) -> bytes:
        """What `updatePriceFeeds`, and the ClearingHouse's `updatePyth`, take for this price."""
        return pyth_update(
            self.feed_id, to_units_exact(price, self.decimals), self.decimals, published
        )


@dataclass(frozen=True, eq=False)
class SequencerFeed:
    """An OptimismSequencerUptimeFeed, and the messenger that reports to it."""

    feed: ContractInstance
    messenger: ContractInstance
    reporter: AccountAPI

    def report(self, up: bool) -> ReceiptAPI:
        """Reports a change as of the latest block."""
        time = self.reporter.provider.get_block("latest").timestamp
        data = encode_call("updateStatus(bool,uint64)", not up, time)
        return self.messenger.sendMessage(self.feed.address, data, 0, sender=self.reporter)


def push_pyth(prices: Mapping[PythFeed, Decimal]) -> ReceiptAPI:
    """Publishes prices to Pyth, all in one transaction, as of the latest block.

    Pyth drops what is no newer than the last, and blocks of one second share their time: then the
    next block is dated a second later.
    """
    first = next(iter(prices))
    provider = first.publisher.provider
    latest = provider.get_block("latest").timestamp
    published = max(latest, *(feed.published() + 1 for feed in prices))
    if published > latest:
        provider.set_timestamp(published)
    updates = [feed.update(price, published) for feed, price in prices.items()]
    fee = first.pyth.getUpdateFee(updates)
    return first.pyth.updatePriceFeeds(updates, value=fee, sender=first.publisher)

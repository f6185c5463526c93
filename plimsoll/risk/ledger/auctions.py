"""The clock of an auction, a bid, and what it brings: docs/margin.md, section 7."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from plimsoll.risk.ledger.base import Account, Context
from plimsoll.risk.ledger.pool import Loss
from plimsoll.risk.model import Margin

LOOK_INTERVAL = 12
LOOK_EXPIRY = 600
LAST_TIME = 4_200


class AuctionState(IntEnum):
    NONE = 0
    OBSERVED = 1
    RUNNING = 2
    HALTED = 3
    STANDING = 4


@dataclass(frozen=True, slots=True)
class Auction:
    """The clock of an auction, in seconds."""

    state: AuctionState = AuctionState.NONE
    observed_at: int = 0
    elapsed: int = 0
    ticked_at: int = 0

    @property
    def is_flagged(self) -> bool:
        return self.state >= AuctionState.RUNNING

    def is_observed(self, now: int) -> bool:
        """Whether a first look was taken and is not forgotten."""
        return self.state == AuctionState.OBSERVED and now <= self.observed_at + LOOK_EXPIRY

    def elapsed_at(self, context: Context) -> int:
        """The clock runs forward while running, back while standing, and not while halted."""
        if self.state == AuctionState.RUNNING:
            since = max(self.ticked_at, context.live_since)
            return min(LAST_TIME, self.elapsed + max(0, context.now - since))
        if self.state == AuctionState.STANDING:
            return max(0, self.elapsed - (context.now - self.ticked_at))
        return self.elapsed

    def entered(self, state: AuctionState, context: Context) -> Auction:
        """The clock brought up to this moment, going on in another state."""
        return replace(self, state=state, elapsed=self.elapsed_at(context), ticked_at=context.now)


@dataclass(frozen=True, slots=True)
class BidTerms:
    """What a bidder wants; `sender` is who sends it, zero for the owner of the bidder."""

    account: Account
    bidder: Account
    fraction: int
    max_price: int
    deadline: int
    version: int = 0
    sender: int = 0


@dataclass(frozen=True, slots=True)
class BidResult:
    """What was taken, for how much, and who paid; `margin` is the account's before the bid."""

    fraction: int
    price: int
    payout: int
    depth: int
    loss: Loss
    margin: Margin

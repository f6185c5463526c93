"""What a keeper does for the backstop, as a pure function of what the chain shows.

Anybody may have the backstop bid, sweep and settle: it costs gas and pays nothing. A keeper who
holds shares, or runs for those who do, does it where that brings them more than the gas costs.
Dollars have 18 decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

BID_DEPTH = 5_000
"""Least depth at which the backstop bids, bps."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A slice that the backstop would take now."""

    account: bytes
    pay: int
    """What it would earn by the depth of the auction."""


@dataclass(frozen=True, slots=True)
class Spare:
    """What a sub-account would return to the reserves now."""

    account: bytes
    amount: int
    frees: bool
    """Whether it holds nothing else, so that its place becomes free."""


@dataclass(frozen=True, slots=True)
class BackstopSeen:
    """The backstop as the chain shows it."""

    offers: tuple[Offer, ...] = ()
    spare: tuple[Spare, ...] = ()
    settles: bool = False
    """Whether an epoch has ended and can be settled now."""


@dataclass(frozen=True, slots=True)
class BackstopLimits:
    bid_gas: int = 800_000
    sweep_gas: int = 250_000
    least_gain: int = 10**18
    """Least dollars, beyond the gas, that a bid or a sweep must bring the holders."""


@dataclass(frozen=True, slots=True)
class BackstopBid:
    """Has the backstop take its slice of an account."""

    account: bytes


@dataclass(frozen=True, slots=True)
class Sweep:
    """Has a sub-account return what it does not need."""

    account: bytes


@dataclass(frozen=True, slots=True)
class SettleEpoch:
    """Settles the oldest epoch of redemptions."""

    account: bytes = b""
    """Nobody's."""


BackstopAction = BackstopBid | Sweep | SettleEpoch


def tend(
    seen: BackstopSeen,
    taken: Collection[bytes],
    limits: BackstopLimits,
    gas_cost: Callable[[int], int],
) -> list[BackstopAction]:
    """What to send: places made free first, then bids, the best paid first, then who leaves.

    `taken` are accounts that the keeper bids on with his own money, which keeps the backstop's
    free. Settlement comes last: what is swept pays for it.
    """
    least_sweep = gas_cost(limits.sweep_gas) + limits.least_gain
    least_bid = gas_cost(limits.bid_gas) + limits.least_gain
    spare = sorted(seen.spare, key=lambda each: (not each.frees, -each.amount, each.account))
    offers = sorted(seen.offers, key=lambda each: (-each.pay, each.account))
    sweeps = [Sweep(one.account) for one in spare if one.frees or one.amount >= least_sweep]
    bids = [
        BackstopBid(one.account)
        for one in offers
        if one.pay >= least_bid and one.account not in taken
    ]
    return [*sweeps, *bids, *([SettleEpoch()] if seen.settles else [])]

"""Orders as they are signed, and the two sides of a fill."""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.risk.ledger.base import Account
from plimsoll.risk.ledger.delegates import Delegation

MAX_LEGS = 8


@dataclass(frozen=True, slots=True)
class Order:
    """An intent to trade a package: `legs` are (instrument, ratio), `taker` an owner or zero,
    `signer` a delegate or zero for the owner of the account."""

    account: Account
    legs: tuple[tuple[int, int], ...]
    quantity: int
    price: int
    minimum_fill: int = 0
    reduce_only: bool = False
    taker: int = 0
    expiry: int = 2**64
    epoch: int = 0
    salt: int = 0
    signer: int = 0


@dataclass(slots=True)
class Side:
    """One side of a fill: the quote it freed, the fee it pays, and the grant it is judged by."""

    account: Account
    reduce_only: bool
    grant: Delegation | None = None
    freed: int = 0
    fee: int = 0
    adds_risk: bool = False

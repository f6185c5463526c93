"""What an owner lets somebody else do with an account: docs/ledger.md, section 6."""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.risk import model
from plimsoll.risk.ledger.base import Account

# Maximum leverage counts hundredths.
HUNDREDTHS = 100


@dataclass(frozen=True, slots=True)
class Delegation:
    """A grant: until when, and within what. Zero as the leverage or the markets sets no bound."""

    expiry: int = 0
    may_bid: bool = False
    reduce_only: bool = False
    max_leverage: int = 0
    markets: int = 0

    def is_alive(self, now: int) -> bool:
        return self.expiry != 0 and now <= self.expiry

    def covers(self, instrument: int) -> bool:
        return self.markets == 0 or self.markets >> model.underlying_of(instrument) & 1 == 1


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as an owner signs it."""

    account: Account
    delegate: int
    delegation: Delegation
    nonce: int
    deadline: int

"""The books in exact integers: the twin of the ClearingHouse, its trading and its liquidation.

Every operation either changes the books and returns what the contract returns, or raises `Refused`
with the name of the contract's error and leaves the books as they were. Dollars, sizes and prices
have 18 decimals; indices of the cash pool have 27. A balance of cash is a principal: its value is
principal times index, rounded against the account. The arithmetic is that of docs/ledger.md.
"""

from __future__ import annotations

from plimsoll.risk.ledger.access import Access
from plimsoll.risk.ledger.accounts import (
    MAX_BIDDER_POSITIONS,
    MAX_POSITION,
    MAX_POSITIONS,
    MAX_PRINCIPAL,
    AccountState,
)
from plimsoll.risk.ledger.auctions import (
    LAST_TIME,
    LOOK_EXPIRY,
    LOOK_INTERVAL,
    Auction,
    AuctionState,
    BidResult,
    BidTerms,
)
from plimsoll.risk.ledger.base import (
    CASH,
    MAX_AMOUNT,
    MAX_UINT16,
    MAX_UINT256,
    Account,
    Caps,
    Context,
    Factors,
    MarketTerms,
    Pause,
    Refused,
    owner_of,
    toward_zero,
)
from plimsoll.risk.ledger.custody import MAX_CUSTODY, CashOutflow, Custody
from plimsoll.risk.ledger.delegates import Delegation, Grant
from plimsoll.risk.ledger.gate import CLOSING_TIME, Check
from plimsoll.risk.ledger.liquidation import Liquidation
from plimsoll.risk.ledger.money import Money
from plimsoll.risk.ledger.orders import MAX_LEGS, Order
from plimsoll.risk.ledger.pool import MIN_SUPPLY_INDEX, RAY, YEAR, Lending, Loss, Pool
from plimsoll.risk.ledger.trading import Trading
from plimsoll.risk.ledger.winding import WINDING_DELAY, Winding

__all__ = [
    "CASH",
    "CLOSING_TIME",
    "LAST_TIME",
    "LOOK_EXPIRY",
    "LOOK_INTERVAL",
    "MAX_AMOUNT",
    "MAX_BIDDER_POSITIONS",
    "MAX_CUSTODY",
    "MAX_LEGS",
    "MAX_POSITION",
    "MAX_POSITIONS",
    "MAX_PRINCIPAL",
    "MAX_UINT16",
    "MAX_UINT256",
    "MIN_SUPPLY_INDEX",
    "RAY",
    "WINDING_DELAY",
    "YEAR",
    "Account",
    "AccountState",
    "Auction",
    "AuctionState",
    "BidResult",
    "BidTerms",
    "Caps",
    "CashOutflow",
    "Check",
    "Context",
    "Custody",
    "Delegation",
    "Factors",
    "Grant",
    "Ledger",
    "Lending",
    "Loss",
    "MarketTerms",
    "Order",
    "Pause",
    "Pool",
    "Refused",
    "owner_of",
    "toward_zero",
]


class Ledger(Money, Access, Trading, Liquidation, Winding):
    """The books of one ClearingHouse and every way in which they change."""

    def copy(self) -> Ledger:
        """The same books, which go their own way from here."""
        twin = Ledger(clock=self._clock)
        twin.cash_scale, twin._books = self.cash_scale, self._books.copy()
        return twin

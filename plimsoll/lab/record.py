"""What a run leaves behind: values read from the chain, for the terminal, the page and the tests.

Dollars, prices and fractions are integers with 18 decimals, depths are in basis points, times in
seconds of the chain.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

WHOLE = "whole portfolio"
"""The one compartment of an account in the cross world."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One account at one step."""

    step: int
    equity: int
    maintenance: int
    initial: int

    @property
    def healthy(self) -> bool:
        return self.equity >= self.maintenance


@dataclass(frozen=True, slots=True)
class Slice:
    """One `SliceTaken`, with what the account was worth just before it."""

    step: int
    time: int
    bidder: str
    fraction: int
    depth: int
    price: int
    payout: int
    equity: int
    """Equity of the slice: what the bidder got."""

    @property
    def discount(self) -> int:
        """Dollars between the slice's equity and its price."""
        return self.equity - self.price


@dataclass(frozen=True, slots=True)
class Loss:
    """One `LossBooked`."""

    step: int
    from_reserves: int
    from_suppliers: int
    to_deficit: int

    @property
    def total(self) -> int:
        return self.from_reserves + self.from_suppliers + self.to_deficit


@dataclass(slots=True)
class Compartment:
    """One account: a whole portfolio, or one position walled off."""

    account: bytes
    name: str
    readings: list[Reading] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """The share of the account that changed hands over all slices, rounded down."""
        left = 10**18
        for each in self.slices:
            left = -(-left * (10**18 - each.fraction) // 10**18)
        return 10**18 - left


@dataclass(slots=True)
class Portrait:
    """One trader in one world."""

    name: str
    story: str
    compartments: list[Compartment]

    def equity(self, step: int) -> int:
        return sum(each.readings[step].equity for each in self.compartments)

    @property
    def slices(self) -> list[Slice]:
        return [taken for each in self.compartments for taken in each.slices]

    @property
    def losses(self) -> list[Loss]:
        return [loss for each in self.compartments for loss in each.losses]


@dataclass(frozen=True, slots=True)
class PoolReading:
    reserves: int
    supply_index: int
    deficit: int
    net_quote: int


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check of the books: two numbers read from the chain, and whether they agree."""

    number: int
    claim: str
    left: int
    right: int
    slack: int = 0
    """By how much `left` may exceed `right`; never the other way."""

    @property
    def holds(self) -> bool:
        return 0 <= self.left - self.right <= self.slack


@dataclass(slots=True)
class WorldRecord:
    name: str
    portraits: list[Portrait]
    prices: list[Mapping[str, int]] = field(default_factory=list)
    """The index price of every underlying at each step, as the engine gave it."""
    pool_before: PoolReading | None = None
    pool_after: PoolReading | None = None
    checks: list[Check] = field(default_factory=list)
    desk_earned: int = 0
    """Change of the equity of the account that bids, hedging paid."""
    keeper_transactions: int = 0
    keeper_gas: int = 0
    lender_change: int = 0
    """Change of the cash of the lender who takes no other risk."""

    @property
    def losses(self) -> list[Loss]:
        return [loss for each in self.portraits for loss in each.losses]


@dataclass(slots=True)
class RunRecord:
    title: str
    label: str
    """Where the prices come from."""
    synthetic: bool
    step_seconds: int
    worlds: list[WorldRecord]

    def to_json(self) -> str:
        """For programs: accounts in hexadecimal, every number that a double cannot hold as text."""
        return json.dumps(_plain(asdict(self)), indent=1)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value

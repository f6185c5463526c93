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


@dataclass(frozen=True, slots=True)
class QuietRow:
    """What the quiet hours did to one account; dollars gained, negative when paid."""

    name: str
    interest: int
    funding: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """The hours before the crash: nothing but time, and signed premiums."""

    hours: int
    borrow_rate: int
    """A year, as is `supply_rate`, at the opening."""
    supply_rate: int
    utilisation: int
    premiums: Mapping[str, int]
    """The median that was agreed on last, by underlying."""
    reports: int
    """Batches that the engine took."""
    rows: list[QuietRow]
    to_reserves: int


@dataclass(frozen=True, slots=True)
class BackstopSlice:
    """What the backstop took, sold again and got back; dollars."""

    depth: int
    fraction: int
    price: int
    funding: int
    equity: int
    """Of the slice: what the backstop got."""
    unwound: int
    """The part of the slice that was sold again, 18 decimals."""
    swept: int
    value_before: int
    value_after: int
    """What its shares fetch, all together: before the bid, and after the sweep."""


@dataclass(frozen=True, slots=True)
class LossRow:
    """What one supplier bore; dollars, to the wei."""

    name: str
    cash: int
    """What he had just before."""
    expected: int
    """What the lens had said that he would bear."""
    borne: int


@dataclass(frozen=True, slots=True)
class SharedLoss:
    """One `LossBooked` that went beyond the reserves, and who bore it."""

    total: int
    from_reserves: int
    from_suppliers: int
    to_deficit: int
    provision: int
    """What was noted before it was booked."""
    rows: list[LossRow]
    halted: bool

    @property
    def rounding(self) -> int:
        """Booked to suppliers and taken from nobody: negative when they bore a few wei more."""
        return self.from_suppliers - sum(row.borne for row in self.rows)

    @property
    def parts(self) -> int:
        """What the table adds up to."""
        borne = sum(row.borne for row in self.rows)
        return self.from_reserves + borne + self.rounding + self.to_deficit


@dataclass(frozen=True, slots=True)
class OptionLeg:
    """One position of an option book at the opening; marks and margins in dollars."""

    name: str
    size: int
    mark: int
    initial: int
    """Of this position alone, as is `maintenance`."""
    maintenance: int


@dataclass(frozen=True, slots=True)
class Greeks:
    """Of a whole book, 18 decimals; the units are those of docs/options.md, section 7."""

    delta: int
    gamma: int
    vega: int
    theta: int


@dataclass(frozen=True, slots=True)
class BookStep:
    """What the positions of a book would need apart, and what they need behind one margin."""

    step: int
    volatility: int
    """At the money, as the engine has it."""
    parts_initial: int
    parts_maintenance: int


@dataclass(slots=True)
class OptionBook:
    """One trader with options; what became of him is in his portrait."""

    trader: str
    underlying: str
    expiry: int
    legs: list[OptionLeg]
    initial: int
    """Of all legs behind one margin, at the opening, as is `maintenance`."""
    maintenance: int
    options: Greeks
    """Without the hedge."""
    hedged: Greeks
    steps: list[BookStep] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settled:
    """One position turned into cash."""

    name: str
    instrument: str
    size: int
    paid: int
    """Variation since the last cash: what `settle` booked."""
    equity_before: int
    equity_after: int


@dataclass(frozen=True, slots=True)
class Fixing:
    underlying: str
    samples: list[int]
    rounds: list[int]
    """Of the feed, as its aggregator counts them."""
    price: int


@dataclass(frozen=True, slots=True)
class Interim:
    """The checks of the books at a moment between."""

    moment: str
    holding: int
    checks: int
    broken: list[str]


@dataclass(slots=True)
class Expiry:
    """How the options of a world ended."""

    time: int
    fixings: list[Fixing] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    ends: Mapping[str, int] = field(default_factory=dict)
    """What each trader with options was worth once all were settled."""
    books: list[Interim] = field(default_factory=list)


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
    quiet: Quiet | None = None
    backstop: BackstopSlice | None = None
    shared: SharedLoss | None = None
    options: list[OptionBook] = field(default_factory=list)
    expiry: Expiry | None = None

    @property
    def holds(self) -> bool:
        """Every check, at the end and between."""
        between = self.expiry.books if self.expiry else []
        return all(check.holds for check in self.checks) and not any(b.broken for b in between)

    def portrait(self, name: str) -> Portrait:
        return next(each for each in self.portraits if each.name == name)

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

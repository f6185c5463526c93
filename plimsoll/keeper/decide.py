"""What a liquidation keeper should do, as a pure function of what the chain shows.

Dollars, fractions and prices have 18 decimals, rates are in basis points, gas prices in wei. The
arithmetic of a slice is that of docs/margin.md, section 7. Nothing here reads a chain, a clock or
the environment, so every decision can be replayed from the snapshot it was made on.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from plimsoll.keeper.backstop import BackstopAction, BackstopLimits, BackstopSeen, tend

WAD = 10**18
BPS = 10**4

OBSERVATION_GAP = 12
"""Seconds between the two looks that flag an account."""


class State(IntEnum):
    """How far the auction of an account is; the order is that of `AuctionState`."""

    NONE = 0
    OBSERVED = 1
    RUNNING = 2
    HALTED = 3
    STANDING = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """One account as the chain shows it."""

    account: bytes
    equity: int
    """Maintenance equity: at the favourable end of the band of every doubtful price."""
    initial_equity: int
    maintenance: int
    initial: int
    doubtful: bool
    state: State
    observed_at: int
    depth: int
    version: int
    fraction: int
    """The largest slice that a bid may take now; zero when none."""
    gross: int
    """Collateral and positions at index prices, nothing netted."""
    items: int
    """Collaterals and positions held: what a bid has to move."""
    only_debt: bool
    """Owes cash and holds nothing else."""

    @property
    def healthy(self) -> bool:
        return self.equity >= self.maintenance

    @property
    def in_need(self) -> bool:
        return self.only_debt or not self.healthy

    def restored(self, initial_factor: int) -> bool:
        """Whether equity has reached the target at which an auction ends for good."""
        return not self.doubtful and self.equity * BPS >= initial_factor * self.maintenance

    def price(self, fraction: int) -> int:
        """What a slice costs, rounded up; negative when the bidder is paid."""
        return _ceil(fraction * (self.equity * BPS - self.depth * self.maintenance), WAD * BPS)

    def edge(self, fraction: int) -> int:
        """The discount of a slice: its equity less its price, rounded down."""
        return fraction * self.depth * self.maintenance // (WAD * BPS)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The account that bids, and what it can still carry."""

    account: bytes
    free: int
    """Initial equity less initial margin; negative when it may not add risk."""
    gross: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision rests on, read at one block."""

    block: int
    time: int
    gas_price: int
    native_price: int
    """Dollars per whole unit of the token that pays gas."""
    gas_spent: int
    """Dollars that this keeper has spent on gas since it started."""
    initial_factor: int
    payout_cap: int
    paused: bool
    """Whether liquidation is paused."""
    bidder: Capacity | None
    accounts: tuple[Seen, ...]
    backstop: BackstopSeen | None = None
    """None for a keeper who does not tend it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the keeper may risk and must earn."""

    slice_gross: int = 1_000_000 * WAD
    """Largest gross value of one slice."""
    total_gross: int = 5_000_000 * WAD
    """Largest gross value of the bidding account after a bid."""
    free_share: int = 8_000
    """Share of the bidder's free collateral that bids may use."""
    unwind: int = 10
    """What it costs to trade out of a slice, bps of its gross value."""
    least_profit: int = 1 * WAD
    price_slack: int = 20
    """How much more than the computed price a bid may pay, bps of the slice's gross value."""
    patience: int = 60
    """Seconds for which a bid is good."""
    gas_price_ceiling: int = 500 * 10**9
    gas_budget: int = 10_000 * WAD
    """Dollars that one run of the keeper may spend on gas."""
    look_gas: int = 300_000
    """Gas of a flag, a halt, a reset or a write-off."""
    bid_gas: int = 250_000
    item_gas: int = 60_000
    """Further gas of a bid for each collateral and position that it moves."""
    backstop: BackstopLimits = field(default_factory=BackstopLimits)


@dataclass(frozen=True, slots=True)
class Flag:
    account: bytes


@dataclass(frozen=True, slots=True)
class StandStill:
    account: bytes


@dataclass(frozen=True, slots=True)
class Reset:
    account: bytes


@dataclass(frozen=True, slots=True)
class WriteOff:
    account: bytes


@dataclass(frozen=True, slots=True)
class PlaceBid:
    account: bytes
    bidder: bytes
    fraction: int
    max_price: int
    deadline: int
    version: int
    profit: int
    """Expected: discount less unwinding and gas."""


Action = Flag | StandStill | Reset | WriteOff | PlaceBid | BackstopAction


@dataclass(frozen=True, slots=True)
class Passed:
    """An account in need that was left alone, and why."""

    account: bytes
    reason: str


@dataclass(slots=True)
class Plan:
    actions: list[Action] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)


def decide(snapshot: Snapshot, limits: Limits) -> Plan:
    """What to send now: first what keeps auctions honest, then bids, the most profitable first,
    then what the backstop needs."""
    plan = Plan()
    if obstacle := _obstacle(snapshot, limits):
        plan.passed += [Passed(seen.account, obstacle) for seen in snapshot.accounts]
        return plan
    biddable: list[Seen] = []
    for seen in snapshot.accounts:
        step = _tend(seen, snapshot, limits)
        if isinstance(step, Passed):
            plan.passed.append(step)
        elif step is not None:
            plan.actions.append(step)
        elif seen.state is State.RUNNING:
            biddable.append(seen)
    _bid(biddable, snapshot, limits, plan)
    if snapshot.backstop is not None:
        taken = {action.account for action in plan.actions if isinstance(action, PlaceBid)}
        plan.actions += tend(
            snapshot.backstop, taken, limits.backstop, lambda gas: gas_cost(snapshot, gas)
        )
    return plan


def gas_cost(snapshot: Snapshot, gas: int) -> int:
    """Dollars that an amount of gas costs, rounded up."""
    return _ceil(gas * snapshot.gas_price * snapshot.native_price, WAD)


def _obstacle(snapshot: Snapshot, limits: Limits) -> str | None:
    if snapshot.gas_price > limits.gas_price_ceiling:
        return "gas is above the ceiling"
    return "the gas budget is spent" if snapshot.gas_spent >= limits.gas_budget else None


def _tend(seen: Seen, snapshot: Snapshot, limits: Limits) -> Action | Passed | None:
    """The step that moves an auction along without a bid; None when there is none."""
    if snapshot.paused:
        return Passed(seen.account, "liquidation is paused") if seen.in_need else None
    if seen.only_debt:
        return WriteOff(seen.account)
    if seen.state in (State.NONE, State.OBSERVED):
        return _flag(seen, snapshot, limits) if seen.in_need else None
    if seen.restored(snapshot.initial_factor):
        return Reset(seen.account)
    if seen.state is State.RUNNING:
        return StandStill(seen.account) if seen.healthy or seen.doubtful else None
    if seen.doubtful:
        return Passed(seen.account, "a price is doubtful") if seen.in_need else None
    if seen.in_need:
        return Flag(seen.account)
    return StandStill(seen.account) if seen.state is State.HALTED else None


def _flag(seen: Seen, snapshot: Snapshot, limits: Limits) -> Action | Passed:
    ready = seen.observed_at + OBSERVATION_GAP
    if seen.state is State.OBSERVED and snapshot.time < ready:
        return Passed(seen.account, f"second look from {ready}")
    if seen.doubtful:
        return Passed(seen.account, "a price is doubtful")
    gas = 2 * limits.look_gas + limits.bid_gas + limits.item_gas * seen.items
    if seen.maintenance < gas_cost(snapshot, gas) + limits.least_profit:
        return Passed(seen.account, "its whole auction cannot pay for the gas")
    return Flag(seen.account)


def _bid(biddable: list[Seen], snapshot: Snapshot, limits: Limits, plan: Plan) -> None:
    bidder = snapshot.bidder
    if bidder is None:
        plan.passed += [Passed(seen.account, "no account to bid with") for seen in biddable]
        return
    free = bidder.free * limits.free_share // BPS
    room = limits.total_gross - bidder.gross
    for seen in sorted(biddable, key=lambda each: (-each.edge(each.fraction), each.account)):
        fraction = _largest(seen, snapshot, limits, free, room)
        offer = _offer(seen, snapshot, limits, bidder.account, fraction)
        if isinstance(offer, Passed):
            plan.passed.append(offer)
            continue
        plan.actions.append(offer)
        free -= max(0, _ceil(fraction * _use(seen), WAD))
        room -= _ceil(fraction * seen.gross, WAD)


def _largest(seen: Seen, snapshot: Snapshot, limits: Limits, free: int, room: int) -> int:
    """The largest fraction inside auction, margin, limits and payout cap."""
    fraction = min(seen.fraction, WAD)
    gross = min(limits.slice_gross, room)
    if seen.gross > 0:
        fraction = min(fraction, gross * WAD // seen.gross)
    if (use := _use(seen)) > 0:
        fraction = min(fraction, free * WAD // use)
    shortfall = _ceil(seen.depth * seen.maintenance, BPS) - seen.equity
    if shortfall > 0:
        fraction = min(fraction, snapshot.payout_cap * WAD // shortfall)
    return max(0, fraction)


def _use(seen: Seen) -> int:
    """Free collateral that taking the whole account would use, at most: margin nets."""
    return seen.initial - seen.initial_equity + seen.price(WAD)


def _offer(
    seen: Seen, snapshot: Snapshot, limits: Limits, bidder: bytes, fraction: int
) -> PlaceBid | Passed:
    if seen.fraction == 0:
        return Passed(seen.account, "nothing to take")
    if fraction == 0:
        return Passed(seen.account, "no room inside the limits")
    price = seen.price(fraction)
    if price < 0 and seen.doubtful:
        return Passed(seen.account, "no payout at a doubtful price")
    gross = _ceil(fraction * seen.gross, WAD)
    cost = _ceil(gross * limits.unwind, BPS)
    cost += gas_cost(snapshot, limits.bid_gas + limits.item_gas * seen.items)
    profit = seen.edge(fraction) - cost
    if profit < limits.least_profit:
        return Passed(seen.account, f"not worth it at a depth of {seen.depth} bps")
    return PlaceBid(
        account=seen.account,
        bidder=bidder,
        fraction=fraction,
        max_price=price + gross * limits.price_slack // BPS,
        deadline=snapshot.time + limits.patience,
        version=seen.version,
        profit=profit,
    )


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)

"""What keeps the house in order besides liquidation, as a pure function of what the chain shows.

Prices observed and the cash looked at every hour, settlement prices fixed, the ledger's copies of
governed words, the volatility gauge, what auctions are about to lose, and an orderly end. Anybody
may do all of it, and nobody is paid. Dollars have 18 decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plimsoll.instruments import CASH
from plimsoll.keeper.decide import State

HOUR = 3_600
CLOSING_DELAY = 7 * 24 * HOUR
"""Seconds after the shutdown at which positions begin to become cash."""
_MICRO = 10**12


@dataclass(frozen=True, slots=True)
class FixingSeen:
    """An expiry whose settlement price can be fixed further."""

    expiry_day: int
    rounds: tuple[int, ...] = ()
    """Of the samples that are missing, in order; none where a frozen price stands for them."""


@dataclass(frozen=True, slots=True)
class MarketSeen:
    underlying: int
    observed_at: int
    """When the engine last stored a good price."""
    rounds: tuple[int, ...] = ()
    """Of the hours that the gauge has not heard of, in order."""
    fixings: tuple[FixingSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class CopySeen:
    """Of one asset; what the ledger applies, and what governance has in force."""

    asset: int
    applied: int
    in_force: int


@dataclass(frozen=True, slots=True)
class AuctionSeen:
    account: bytes
    state: State
    maintenance_equity: int
    provision: int

    @property
    def hole(self) -> int:
        """What a look would note: whole millionths of a dollar, rounded up."""
        return -(min(0, self.maintenance_equity) // _MICRO) * _MICRO


@dataclass(frozen=True, slots=True)
class PositionSeen:
    account: bytes
    instrument: int
    variation: int
    """What settling it now would move: negative takes cash from the account."""
    is_final: bool = False
    """Whether it has expired and its settlement price is fixed."""


@dataclass(frozen=True, slots=True)
class UpkeepSeen:
    """Everything that a decision rests on, read at one block."""

    block: int
    time: int
    paused: bool
    """Whether liquidation is."""
    shut_at: int
    """Zero while the house is open."""
    markets: tuple[MarketSeen, ...] = ()
    copies: tuple[CopySeen, ...] = ()
    cash_hour: int | None = None
    """When the hour of the limit on cash began; none without a limit."""
    auctions: tuple[AuctionSeen, ...] = ()
    positions: tuple[PositionSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class UpkeepLimits:
    observe_every: int = HOUR
    least_change: int = 10 * 10**18
    """Least dollars by which a provision must be wrong to be noted anew."""
    least_settled: int = 10 * 10**18
    """Least dollars that a loser owes to be settled while the house winds down."""


@dataclass(frozen=True, slots=True)
class Observe:
    underlyings: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refresh:
    asset: int


@dataclass(frozen=True, slots=True)
class Sample:
    underlying: int
    rounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fix:
    underlying: int
    expiry_day: int
    rounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Has a provision noted anew, by a look at a running auction."""

    account: bytes


@dataclass(frozen=True, slots=True)
class NoteStanding:
    """The same of an auction that stands: its account is healthy and owes nothing."""

    account: bytes


@dataclass(frozen=True, slots=True)
class Settle:
    account: bytes
    instrument: int


@dataclass(frozen=True, slots=True)
class CloseOut:
    account: bytes
    instrument: int


UpkeepAction = Observe | Refresh | Sample | Fix | Note | NoteStanding | Settle | CloseOut


def decide_upkeep(seen: UpkeepSeen, limits: UpkeepLimits) -> list[UpkeepAction]:
    """First what others rely on most: copies, provisions, prices, settlement prices, the gauge,
    then the end."""
    return [
        *_refreshes(seen),
        *_notes(seen, limits),
        *_observations(seen, limits),
        *(Fix(m.underlying, f.expiry_day, f.rounds) for m in seen.markets for f in m.fixings),
        *(Sample(m.underlying, m.rounds) for m in seen.markets if m.rounds),
        *_endings(seen, limits),
    ]


def _refreshes(seen: UpkeepSeen) -> Iterator[Refresh]:
    """Copies that differ, each asset once; and cash when its hour is over, since its limit knows
    what came in only from a look on. Whoever withdraws has looked, and then begins the next hour.
    """
    assets = [copy.asset for copy in seen.copies if copy.applied != copy.in_force]
    if seen.cash_hour is not None and seen.time - seen.cash_hour >= HOUR:
        assets.append(CASH)
    yield from (Refresh(asset) for asset in dict.fromkeys(assets))


def _observations(seen: UpkeepSeen, limits: UpkeepLimits) -> Iterator[Observe]:
    due = [m for m in seen.markets if seen.time - m.observed_at >= limits.observe_every]
    if due:
        yield Observe(tuple(market.underlying for market in due))


def _notes(seen: UpkeepSeen, limits: UpkeepLimits) -> Iterator[Note | NoteStanding]:
    if seen.paused:
        return
    for one in seen.auctions:
        if abs(one.hole - one.provision) < limits.least_change:
            continue
        if one.state in (State.RUNNING, State.HALTED):
            yield Note(one.account)
        elif one.state is State.STANDING and one.hole == 0:
            yield NoteStanding(one.account)


def _endings(seen: UpkeepSeen, limits: UpkeepLimits) -> Iterator[Settle | CloseOut]:
    """Losers are settled, so that winners find cash: of what has expired all of them, then the
    winners; of the rest only once the house is shut, and from the seventh day all becomes cash."""
    closing = seen.shut_at != 0 and seen.time >= seen.shut_at + CLOSING_DELAY
    for held in sorted(seen.positions, key=lambda each: each.variation):
        if closing:
            yield CloseOut(held.account, held.instrument)
        elif held.is_final or (seen.shut_at and held.variation <= -limits.least_settled):
            yield Settle(held.account, held.instrument)

"""What a reporter should sign, as a pure function of the chain, his sources and his box.

Premiums are parts of the index, times are seconds of the chain. docs/ledger.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from plimsoll.reporter.source import Observation
from plimsoll.reports import FRESH


@dataclass(frozen=True, slots=True)
class Limits:
    """When a reporter speaks."""

    every: int = 3_600
    """Seconds after which a premium is reported anew. The rate stands for two hours."""
    stale: int = 60
    """Greatest age at which something observed is signed."""
    renew: int = FRESH // 2
    """Age at which a report that waits for a quorum is signed anew."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One underlying as the chain, the source and the box show it."""

    underlying: int
    time: int
    last_observed_at: int
    """Of the last batch that the engine took; zero before the first."""
    observation: Observation | None
    """What the source says now; none when it says nothing."""
    own_observed_at: int
    """Of the own report in the box; zero without one."""
    max_premium: Decimal


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign this, then collect a quorum."""

    underlying: int
    observation: Observation


@dataclass(frozen=True, slots=True)
class Collect:
    """What was signed before still counts: only collect a quorum."""

    underlying: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do, and why."""

    underlying: int
    reason: str


Step = Sign | Collect | Wait


def decide(seen: Seen, limits: Limits) -> Step:
    """Refuses whatever is stale, from the future, not newer, or beyond what is believed."""
    if seen.time - seen.last_observed_at < limits.every:
        return Wait(seen.underlying, "reported within the hour")
    waiting = seen.time - seen.own_observed_at
    if seen.own_observed_at > seen.last_observed_at and 0 <= waiting < limits.renew:
        return Collect(seen.underlying)
    observation = seen.observation
    if observation is None:
        return Wait(seen.underlying, "the source says nothing")
    age = seen.time - observation.observed_at
    if age < 0:
        return Wait(seen.underlying, f"the source is {-age} s ahead of the chain")
    if age > limits.stale:
        return Wait(seen.underlying, f"the source is {age} s old")
    if abs(observation.premium) > seen.max_premium:
        return Wait(seen.underlying, f"a premium of {observation.premium} is not believed")
    return Sign(seen.underlying, observation)

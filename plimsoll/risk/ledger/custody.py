"""What is held of each asset, and how much may leave: docs/ledger.md, section 4."""

from __future__ import annotations

from dataclasses import dataclass, replace

from plimsoll.risk.ledger.pool import MICRO
from plimsoll.risk.model import ceil_div

WINDOW = 3_600
MAX_CUSTODY = 2**112 - 1
MAX_LEVEL = 2**56 - 1
SMALL = 1_000


def may_leave(outflow: int, amount: int, limit: int) -> bool:
    """Whether an hour's outflow with `amount` in it is bearable; small ones get a quarter more."""
    if outflow <= limit:
        return True
    return amount * SMALL <= limit and 4 * outflow <= 5 * limit


def room(outflow: int, limit: int) -> int:
    """The largest amount that may leave after an hour's outflow, which may be negative."""
    small = min(limit // SMALL, 5 * limit // 4 - outflow)
    return max(0, limit - outflow, small)


@dataclass(frozen=True, slots=True)
class Custody:
    """What all accounts own of an asset, its net growth within the running hour, and the most that
    may leave within one, in token units."""

    total: int = 0
    window_start: int = 0
    growth: int = 0
    limit: int | None = None

    def rolled(self, now: int) -> Custody:
        """The hour that is running now."""
        if now >= self.window_start + WINDOW:
            return replace(self, window_start=now, growth=0)
        return self

    def changed(self, amount: int, now: int) -> Custody:
        rolled = self.rolled(now)
        return replace(rolled, total=self.total + amount, growth=rolled.growth + amount)

    @property
    def outflow(self) -> int:
        return max(0, -self.growth)

    def lets_go(self, amount: int) -> bool:
        """Whether `amount`, which is out already, was within the limit."""
        return self.limit is None or may_leave(self.outflow, amount, self.limit)


@dataclass(frozen=True, slots=True)
class CashOutflow:
    """From what level the running hour of withdrawals is measured, the level that the latest one
    left, and the limit; in millionths of a dollar, while there is a limit.

    A level is what the vault holds, rounded down. `held` below are dollars with 18 decimals.
    """

    window_start: int = 0
    opening: int = 0
    last: int = 0
    limit: int | None = None

    @staticmethod
    def level(held: int) -> int:
        return min(MAX_LEVEL, held // MICRO)

    def rolled(self, held: int, now: int) -> CashOutflow:
        """The hour that is running now. What came since the last withdrawal is not measured."""
        if now >= self.window_start + WINDOW:
            opening = min(self.last, self.level(held))
            return replace(self, window_start=now, opening=opening)
        return self

    def sunk(self, held: int, now: int) -> int:
        """By how much the vault sank within the hour; negative where more came than left."""
        return self.rolled(held, now).opening - self.level(held)

    def used(self, held: int, now: int) -> int:
        return 0 if self.limit is None else max(0, self.sunk(held, now))

    def after(self, amount: int, held: int, now: int) -> CashOutflow | None:
        """With `amount` withdrawn of what was held, or None where that is beyond the limit."""
        if self.limit is None:
            return self
        rolled, left = self.rolled(held, now), self.level(held - amount)
        if not may_leave(max(0, rolled.opening - left), ceil_div(amount, MICRO), self.limit):
            return None
        return replace(rolled, last=left)

    def exempted(self, amount: int) -> CashOutflow:
        """With something gone that is not measured."""
        micros = ceil_div(amount, MICRO)
        opening, last = max(0, self.opening - micros), max(0, self.last - micros)
        return self if self.limit is None else replace(self, opening=opening, last=last)

    def refreshed(self, limit: int | None, held: int, now: int) -> CashOutflow:
        """With the limit in force; otherwise as if nothing had been withdrawn just now."""
        level = self.level(held)
        if self.limit is None:
            return CashOutflow(now, level, level, limit)
        return replace(self.rolled(held, now), last=level, limit=limit)

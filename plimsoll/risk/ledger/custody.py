"""What is held of each asset, and how much may leave: docs/ledger.md, section 4."""

from __future__ import annotations

from dataclasses import dataclass, replace

WINDOW = 3_600
MAX_CUSTODY = 2**112 - 1
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
    """The cash withdrawn within the running hour, millionths of a dollar, and its limit."""

    window_start: int = 0
    used: int = 0
    limit: int | None = None

    def rolled(self, now: int) -> CashOutflow:
        if now >= self.window_start + WINDOW:
            return replace(self, window_start=now, used=0)
        return self

    def after(self, amount: int, now: int) -> CashOutflow:
        rolled = self.rolled(now)
        return replace(rolled, used=rolled.used + amount)

    def lets_go(self, amount: int) -> bool:
        return self.limit is None or may_leave(self.used, amount, self.limit)

"""The cash pool and its interest: docs/ledger.md, section 1, and the waterfall of section 5."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from plimsoll.risk.model import BPS, WAD, ceil_div

RAY = 10**27
YEAR = 365 * 24 * 3_600
# Suppliers bear losses down to a thousandth of par.
MIN_SUPPLY_INDEX = RAY // 1000
MAX_INDEX = 2**112 - 1
# Provisions, and the outflow of cash, are kept in millionths of a dollar.
MICRO = 10**12
PERCENT = 100
MILLE = 1_000


@dataclass(frozen=True, slots=True)
class Lending:
    """The terms of cash: percent, and tenths of a percent a year. Without terms nothing is due."""

    kink: int = 0
    rate_at_kink: int = 0
    rate_at_full: int = 0
    reserve_share: int = 0

    def rate(self, utilisation: int) -> int:
        """Tenths of a percent a year at a utilisation in bps, rounded up."""
        if self.kink == 0:
            return 0
        kink = PERCENT * self.kink
        if utilisation <= kink:
            return ceil_div(self.rate_at_kink * utilisation, kink)
        steep = (self.rate_at_full - self.rate_at_kink) * (utilisation - kink)
        return self.rate_at_kink + ceil_div(steep, BPS - kink)


def compounded(rate: int, seconds: int) -> int:
    """The first terms of the exponential of a rate over a time, less one, 18 decimals."""
    x = rate * seconds * WAD // (MILLE * YEAR)
    return x + x * x // (2 * WAD) + x * x * x // (6 * WAD * WAD)


@dataclass(frozen=True, slots=True)
class Loss:
    from_reserves: int = 0
    from_suppliers: int = 0
    to_deficit: int = 0

    @property
    def shared(self) -> int:
        """What went beyond the reserves."""
        return self.from_suppliers + self.to_deficit

    @property
    def is_shared(self) -> bool:
        return self.shared > 0


@dataclass(frozen=True, slots=True)
class Pool:
    """The cash pool; `supplied` and `borrowed` are principals, `capital` is reserves or deficit.

    Numbers are as of `accrued_at`: `accrued` brings them to another moment.
    """

    supply_index: int = RAY
    borrow_index: int = RAY
    supplied: int = 0
    borrowed: int = 0
    net_quote: int = 0
    capital: int = 0
    accrued_at: int = 0
    lending: Lending = field(default_factory=Lending)

    @property
    def reserves(self) -> int:
        return max(self.capital, 0)

    @property
    def deficit(self) -> int:
        return max(-self.capital, 0)

    @property
    def unpaid_winnings(self) -> int:
        return max(-self.net_quote, 0)

    @property
    def supplied_up(self) -> int:
        return ceil_div(self.supplied * self.supply_index, RAY)

    @property
    def supplied_down(self) -> int:
        return self.supplied * self.supply_index // RAY

    @property
    def borrowed_down(self) -> int:
        return self.borrowed * self.borrow_index // RAY

    @property
    def borrowed_up(self) -> int:
        return ceil_div(self.borrowed * self.borrow_index, RAY)

    @property
    def utilisation(self) -> int:
        """What is lent out and what winners have unpaid in cash, of what is supplied, bps."""
        supplied = self.supplied_down
        if supplied == 0:
            return BPS
        return min(BPS, ceil_div((self.borrowed_up + self.unpaid_winnings) * BPS, supplied))

    @property
    def owed(self) -> int:
        """What the tokens in the vault must cover."""
        return self.supplied_down - self.borrowed_up + self.net_quote + self.capital

    def accrued(self, now: int) -> Pool:
        """The pool with the interest up to a moment booked, at the utilisation as it was."""
        if self.borrowed == 0 or now == self.accrued_at:
            return replace(self, accrued_at=now)
        seconds = min(now - self.accrued_at, YEAR)
        growth = compounded(self.lending.rate(self.utilisation), seconds)
        grown = self.borrow_index + ceil_div(self.borrow_index * growth, WAD)
        borrow_index = min(MAX_INDEX, grown)
        interest = self.borrowed * (borrow_index - self.borrow_index)
        supply_index = min(MAX_INDEX, self.supply_index + self._rise(interest, growth))
        to_suppliers = self.supplied * (supply_index - self.supply_index)
        return replace(
            self,
            supply_index=supply_index,
            borrow_index=borrow_index,
            capital=self.capital + (interest - to_suppliers) // RAY,
            accrued_at=now,
        )

    def _rise(self, interest: int, growth: int) -> int:
        """What interest in dollars times RAY adds to the supply index: never more, in proportion,
        than borrowers pay, however little of what they owe was supplied."""
        if self.supplied == 0:
            return 0
        share = interest * (PERCENT - self.lending.reserve_share)
        return min(self.supply_index * growth // WAD, share // (PERCENT * self.supplied))

    def value(self, principal: int) -> int:
        """What a balance is worth: an asset rounded down, a debt rounded up."""
        if principal >= 0:
            return principal * self.supply_index // RAY
        return -ceil_div(-principal * self.borrow_index, RAY)

    def principal(self, value: int) -> int:
        """The principal worth at most `value`."""
        if value >= 0:
            return value * RAY // self.supply_index
        return -ceil_div(-value * RAY, self.borrow_index)

    def replaced(self, old: int, new: int) -> Pool:
        """The pool after one principal became another."""
        return replace(
            self,
            supplied=self.supplied - max(old, 0) + max(new, 0),
            borrowed=self.borrowed - max(-old, 0) + max(-new, 0),
        )

    def after_loss(self, loss: int) -> tuple[Pool, Loss]:
        """A loss borne by reserves, then by suppliers down to the floor of their index."""
        from_reserves = min(loss, self.reserves)
        pool, from_suppliers = self._after_cut(loss - from_reserves)
        to_deficit = loss - from_reserves - from_suppliers
        pool = replace(pool, capital=self.capital - from_reserves - to_deficit)
        return pool, Loss(from_reserves, from_suppliers, to_deficit)

    def _after_cut(self, loss: int) -> tuple[Pool, int]:
        if loss == 0 or self.supplied == 0:
            return self, 0
        room = self.supply_index - MIN_SUPPLY_INDEX
        cut = ceil_div(loss * RAY, self.supplied)
        if cut <= room:
            return replace(self, supply_index=self.supply_index - cut), loss
        return replace(self, supply_index=MIN_SUPPLY_INDEX), room * self.supplied // RAY

    def expected_loss(self, provisions: int) -> int:
        """What suppliers must expect to bear of provisions in dollars, short of everything."""
        supplied = self.supplied_down
        return min(max(0, provisions - self.reserves), supplied * (MILLE - 1) // MILLE)

    def charge(self, amount: int, provisions: int) -> int:
        """What whoever withdraws leaves behind for the losses to come, rounded up."""
        expected = self.expected_loss(provisions)
        if expected == 0:
            return 0
        return ceil_div(amount * expected, self.supplied_down - expected)

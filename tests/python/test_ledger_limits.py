"""What may leave: docs/ledger.md, section 4, as properties of the twin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk.ledger import CASH, Refused
from plimsoll.risk.ledger.custody import MAX_LEVEL, CashOutflow, may_leave, room
from plimsoll.risk.ledger.pool import MICRO
from tests.python.desk import DOLLAR, HOUR, RUNNER, SAVER, START, TOKEN, Desk
from tests.strategies import magnitudes

amounts = magnitudes(0, 10**15)
# Dollars with 18 decimals, odd ones too.
dollars = magnitudes(0, 10**26)
limits = magnitudes(0, 10**15)


def standing(money: int) -> Desk:
    """Dollars that have been there for an hour, of which a thousand may leave."""
    desk = Desk(outflows={CASH: 1_000})
    desk.deposit(SAVER, CASH, money)
    desk.refresh(CASH)
    desk.later(HOUR)
    return desk


def used(desk: Desk) -> int:
    return desk.ledger.cash_outflow.used(desk.ledger.vault_cash, desk.now)


class Vault:
    """Money in and out under a limit on cash, and nothing else."""

    def __init__(self, held: int, limit: int) -> None:
        self.held, self.now = held, START
        self.outflow = CashOutflow().refreshed(limit, held, START)

    def withdraw(self, amount: int) -> bool:
        after = self.outflow.after(amount, self.held, self.now) if amount <= self.held else None
        if after is not None:
            self.outflow, self.held = after, self.held - amount
        return after is not None

    @property
    def used(self) -> int:
        return self.outflow.used(self.held, self.now)


steps = st.lists(st.tuples(st.sampled_from(["in", "out", "wait"]), dollars), max_size=12)


def follow(vault: Vault, history: list[tuple[str, int]]) -> int:
    """Returns what came in."""
    came = 0
    for what, amount in history:
        if what == "out":
            vault.withdraw(amount)
        elif what == "in":
            vault.held, came = vault.held + amount, came + amount
        else:
            vault.now += amount % (2 * HOUR)
    return came


@given(dollars, limits, steps, dollars, st.integers(1, 5))
def test_money_of_a_moment_uses_nothing_up(
    held: int, limit: int, history: list[tuple[str, int]], loan: int, parts: int
) -> None:
    """At whatever time it comes, in however many parts it leaves, whether or not all of it can."""
    vault = Vault(held, limit)
    follow(vault, history)
    before, settled = vault.used, vault.held
    vault.held += loan
    passed = [vault.withdraw(loan // parts) for _ in range(parts)]
    rest = vault.held - settled
    passed.append(vault.withdraw(rest))
    if before <= limit:
        assert all(passed)
    if all(passed):
        assert vault.held == settled
        assert vault.used == before
    vault.now += HOUR
    vault.held += loan
    assert vault.used == 0
    assert vault.withdraw(loan)
    assert vault.used == 0


@given(dollars, limits, steps)
def test_of_what_stood_there_no_more_leaves_in_an_hour_than_the_limit_and_a_quarter(
    held: int, limit: int, history: list[tuple[str, int]]
) -> None:
    """Whatever comes in between, given or deposited, lets no more of it go."""
    vault = Vault(held, limit)
    follow(vault, [step for step in history if step[0] != "wait"])
    least = min(held // MICRO, MAX_LEVEL) - 5 * limit // 4
    assert vault.held // MICRO >= least
    vault.now += HOUR
    stood = min(vault.held // MICRO, vault.outflow.last)
    follow(vault, [step for step in history if step[0] != "wait"])
    assert vault.held // MICRO >= stood - 5 * limit // 4


@given(dollars, limits, dollars, dollars)
def test_what_is_exempt_leaves_room_as_it_was(
    held: int, limit: int, amount: int, paid: int
) -> None:
    vault = Vault(held, limit)
    vault.withdraw(amount)
    before, paid = vault.used, min(paid, vault.held)
    vault.outflow = vault.outflow.exempted(paid)
    vault.held -= paid
    assert before - 1 <= vault.used <= before


@given(st.integers(-(10**15), 10**15), magnitudes(0, 10**15))
def test_room_is_exact(outflow: int, limit: int) -> None:
    """What there is room for may leave, and nothing more: beyond small ones no gap is left."""
    most = room(outflow, limit)
    assert most == 0 or may_leave(outflow + most, most, limit)
    assert not may_leave(outflow + most + 1, most + 1, limit)


@given(st.lists(magnitudes(1, 10**9), max_size=30), magnitudes(0, 10**10))
def test_no_more_leaves_in_an_hour_than_the_limit_and_a_quarter(
    wanted: list[int], limit: int
) -> None:
    left = 0
    for amount in wanted:
        if may_leave(left + amount, amount, limit):
            left += amount
    assert 4 * left <= 5 * limit
    large = [amount for amount in wanted if amount * 1_000 > limit]
    if large == wanted:
        assert left <= limit


def test_an_hour_begins_with_its_first_withdrawal() -> None:
    desk = standing(10_000)
    desk.later(5_000 - HOUR)
    desk.withdraw(SAVER, CASH, 600 * DOLLAR)
    assert desk.ledger.cash_outflow.window_start == START + 5_000
    desk.later(HOUR - 1)
    with pytest.raises(Refused, match="OutflowLimited"):
        desk.withdraw(SAVER, CASH, 401 * DOLLAR)
    desk.withdraw(SAVER, CASH, 400 * DOLLAR)
    desk.later(1)
    desk.withdraw(SAVER, CASH, 1_000 * DOLLAR)
    assert used(desk) == 1_000 * DOLLAR


def test_small_withdrawals_pass_until_five_quarters() -> None:
    desk = standing(10_000)
    desk.withdraw(SAVER, CASH, 1_000 * DOLLAR)
    with pytest.raises(Refused, match="OutflowLimited"):
        desk.withdraw(SAVER, CASH, DOLLAR + 1)
    for _ in range(250):
        desk.withdraw(SAVER, CASH, DOLLAR)
    with pytest.raises(Refused, match="OutflowLimited"):
        desk.withdraw(SAVER, CASH, 1)


def test_of_collateral_the_net_change_is_limited() -> None:
    desk = Desk(outflows={TOKEN: 10})
    desk.deposit(SAVER, TOKEN, 100)
    desk.later(HOUR)
    desk.withdraw(SAVER, TOKEN, 10 * 10**18)
    with pytest.raises(Refused, match="OutflowLimited"):
        desk.withdraw(SAVER, TOKEN, 10**17)
    desk.deposit(RUNNER, TOKEN, 5)
    desk.withdraw(SAVER, TOKEN, 5 * 10**18)
    with pytest.raises(Refused, match="OutflowLimited"):
        desk.withdraw(SAVER, TOKEN, 10**17)
    assert desk.ledger.custody(TOKEN).growth == -10 * 10**18


def test_a_limit_holds_from_its_refresh_on() -> None:
    desk = Desk()
    desk.deposit(SAVER, CASH, 10_000)
    desk.outflows[CASH] = 0
    desk.withdraw(SAVER, CASH, DOLLAR)
    desk.refresh(CASH)
    with pytest.raises(Refused, match="OutflowLimited"):
        desk.withdraw(SAVER, CASH, 1)
    del desk.outflows[CASH]
    desk.refresh(CASH)
    desk.withdraw(SAVER, CASH, DOLLAR)


def test_a_refused_withdrawal_uses_nothing_up() -> None:
    desk = Desk(outflows={CASH: 1_000})
    desk.deposit(SAVER, CASH, 500)
    desk.deposit(RUNNER, CASH, 500)
    with pytest.raises(Refused, match="BelowInitialMargin"):
        desk.withdraw(SAVER, CASH, 501 * DOLLAR)
    assert used(desk) == 0
    assert desk.ledger.cash_outflow.window_start == START

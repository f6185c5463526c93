"""What may leave: docs/ledger.md, section 4, as properties of the twin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk.ledger import CASH, Refused
from plimsoll.risk.ledger.custody import may_leave, room
from tests.python.desk import DOLLAR, HOUR, RUNNER, SAVER, START, TOKEN, Desk
from tests.strategies import magnitudes

amounts = magnitudes(0, 10**15)


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
    desk = Desk(outflows={CASH: 1_000})
    desk.deposit(SAVER, CASH, 10_000)
    desk.later(5_000)
    desk.withdraw(SAVER, CASH, 600 * DOLLAR)
    assert desk.ledger.cash_outflow.window_start == START + 5_000
    desk.later(HOUR - 1)
    with pytest.raises(Refused, match="OutflowLimited"):
        desk.withdraw(SAVER, CASH, 401 * DOLLAR)
    desk.withdraw(SAVER, CASH, 400 * DOLLAR)
    desk.later(1)
    desk.withdraw(SAVER, CASH, 1_000 * DOLLAR)
    assert desk.ledger.cash_outflow.used == 1_000 * DOLLAR


def test_small_withdrawals_pass_until_five_quarters() -> None:
    desk = Desk(outflows={CASH: 1_000})
    desk.deposit(SAVER, CASH, 10_000)
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
    assert desk.ledger.cash_outflow.used == 0

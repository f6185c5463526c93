"""A known loss, and whoever runs first pays the same as who sleeps.

An account in auction owes more than it has and more than the reserves hold. Three suppliers know:
some run before the loss is booked, in any order, others sleep through it. All get the same part of
what they had, to the wei. Nor does anybody leave by borrowing on collateral of a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk.model import WAD
from tests.scenarios.stage import CASH, WETH, Stage, wad
from tests.unit.books import leave_with_debt
from tests.unit.conftest import kept

SUPPLY = {"ann": 3_000, "ben": 9_000, "cas": 12_000}
# The lender sleeps through everything.
ASLEEP = 6_000
TOTAL, RESERVES, LOST = 30_000, 5_000, 12_500
# Suppliers bear a quarter.
LEFT = TOTAL - (LOST - RESERVES)
RUNS = [
    order for n in range(len(SUPPLY) + 1) for some in combinations(SUPPLY, n)
    for order in permutations(some)
]  # fmt: skip


@pytest.fixture(scope="module")
def standing() -> Stage:
    """Settlement tokens of 18 decimals, so that what is left can be withdrawn to the wei."""
    return Stage(cash_decimals=18, reserves=RESERVES, lent=ASLEEP)


@pytest.fixture
def stage(standing: Stage) -> Iterator[Stage]:
    yield from kept(standing)


def known_loss(stage: Stage, supply: dict[str, int], lost: int) -> None:
    """Suppliers, and a hole that everybody has seen and that nobody has booked."""
    for who, dollars in supply.items():
        stage.deposit(who, CASH, dollars)
    leave_with_debt(stage, stage.account("ruined"), lost // WAD)
    stage.start_auction(stage.account("ruined"))
    assert stage.house.call.provisions() == lost


def gets(stage: Stage, who: str, units: int) -> int:
    """What leaves the vault."""
    person = stage.actor(who)
    before = stage.dollar.call.balanceOf(person)
    stage.withdraw(stage.account(who), CASH, units)
    return int(stage.dollar.call.balanceOf(person) - before)


@pytest.mark.parametrize("runners", RUNS, ids="-".join)
def test_runners_and_sleepers_get_the_same(stage: Stage, runners: tuple[str, ...]) -> None:
    known_loss(stage, {who: wad(dollars) for who, dollars in SUPPLY.items()}, wad(LOST))
    fair = {who: wad(dollars) * LEFT // TOTAL for who, dollars in SUPPLY.items()}
    for who in runners:
        assert gets(stage, who, fair[who]) == fair[who]
        assert stage.cash(stage.account(who)) == 0
        with stage.evm.reverts("BelowInitialMargin", account=stage.account(who)):
            stage.withdraw(stage.account(who), CASH, 1)
    stage.house.writeOff(stage.account("ruined"))
    for who in SUPPLY:
        if who not in runners:
            assert stage.cash(stage.account(who)) == fair[who]
            assert gets(stage, who, fair[who]) == fair[who]
    assert gets(stage, "lender", wad(ASLEEP) * LEFT // TOTAL) == wad(ASLEEP) * LEFT // TOTAL
    pool = stage.house.call.pool()
    assert (pool.reserves, pool.deficit, pool.supplied) == (0, 0, 0)
    assert stage.house.call.provisions() == 0
    # What the storage was told the ruined account had borrowed was never paid out.
    assert stage.dollar.call.balanceOf(stage.vault) == wad(RESERVES) + wad(TOTAL) - wad(LEFT)


amounts = st.integers(10**15, 10**24)
# Wei that a runner leaves behind for rounding.
SLACK = 3


@given(
    st.lists(amounts, min_size=3, max_size=3),
    st.integers(1, 10**6),
    st.permutations(tuple(SUPPLY)),
    st.integers(0, 3),
)
def test_any_amounts_in_any_order(
    standing: Stage, supply: list[int], lost: int, order: list[str], runs: int
) -> None:
    """Up to the wei that each division rounds away, and never in favour of who runs."""
    for stage in kept(standing):
        known_loss(stage, dict(zip(SUPPLY, supply, strict=True)), wad(lost))
        had = dict(zip(SUPPLY, supply, strict=True))
        total = sum(supply) + wad(ASLEEP)
        borne = min(max(0, wad(lost) - wad(RESERVES)), total * 999 // 1_000)
        fair = {who: amount * (total - borne) // total for who, amount in had.items()}
        for who in order[:runs]:
            account = stage.account(who)
            units = fair[who] - SLACK
            assert gets(stage, who, units) == units
            assert 0 <= stage.cash(account) <= 1_001 * (SLACK + 3)
        stage.house.writeOff(stage.account("ruined"))
        for who in order[runs:]:
            assert abs(stage.cash(stage.account(who)) - fair[who]) <= 1_000 * (SLACK + 3)


def test_nobody_leaves_by_a_loan_of_a_moment(stage: Stage) -> None:
    """Borrow against lent collateral, repay from the other account, give the collateral back."""
    known_loss(stage, {who: wad(dollars) for who, dollars in SUPPLY.items()}, wad(LOST))
    ann = stage.actor("ann")
    saved, helper = stage.account("ann"), stage.account("ann", 1)
    stage.give(ann, WETH, wad(100))
    units = wad(3_000) * LEFT // TOTAL
    encode = stage.house.encode

    def leave(taken: int) -> list[bytes]:
        return [
            encode("deposit", helper, WETH, wad(100)),
            encode("withdraw", helper, CASH, taken, ann.address),
            encode("transfer", saved, helper, CASH, wad(3_000)),
            encode("withdraw", helper, WETH, wad(100), ann.address),
        ]

    with stage.evm.reverts("BelowInitialMargin", account=helper):
        stage.house.multicall(leave(units + 1), sender=ann)
    stage.house.multicall(leave(units), sender=ann)
    assert stage.cash(saved) == stage.cash(helper) == 0


def test_a_loss_that_the_reserves_carry_costs_nobody(stage: Stage) -> None:
    known_loss(stage, {who: wad(dollars) for who, dollars in SUPPLY.items()}, wad(RESERVES))
    for who, dollars in SUPPLY.items():
        assert gets(stage, who, wad(dollars)) == wad(dollars)

"""An hourly limit that counted all withdrawals could be used up by anybody, for nothing.

A thief borrows the limit for one transaction, deposits it and takes it out again. Were that
counted, nobody else could withdraw for an hour, and no small amounts either once a thousandth of it
had gone round often enough. It is not: the vault holds what it held. What is truly taken out is
limited.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.stage import CASH, Stage
from tests.unit.conftest import kept

HOUR = 3_600
LIMIT = 1_000_000
LENT = 5_000_000
UNIT = 10**6


@pytest.fixture(scope="module")
def standing() -> Stage:
    stage = Stage(outflows={CASH: LIMIT}, lent=LENT, reserves=0)
    stage.fund("honest", 500_000)
    return stage


@pytest.fixture(params=[0, HOUR], ids=["in an hour", "as its first movement"])
def stage(standing: Stage, request: pytest.FixtureRequest) -> Iterator[Stage]:
    for one in kept(standing):
        one.pass_time(request.param)
        yield one


def go_round(stage: Stage, loan: int, part: int) -> None:
    """Borrows so many dollars and puts them through the house in parts, in one transaction."""
    thief, account = stage.actor("thief"), stage.account("thief")
    before = stage.dollar.call.balanceOf(thief)
    stage.give(thief, CASH, loan * UNIT)
    encode = stage.house.encode
    leave = encode("withdraw", account, CASH, part * UNIT, thief.address)
    calls = [encode("deposit", account, CASH, loan * UNIT), *[leave] * (loan // part)]
    stage.house.multicall(calls, sender=thief)
    assert stage.dollar.call.balanceOf(thief) == before + loan * UNIT


def test_a_loan_of_a_moment_shuts_nobody_in(stage: Stage) -> None:
    go_round(stage, LIMIT, LIMIT)
    go_round(stage, 30 * LIMIT, 30 * LIMIT)
    assert stage.house.call.outflow(CASH)[1] == 0
    stage.withdraw_cash(stage.account("honest"), 500_000)


def test_nor_does_it_use_up_what_is_kept_for_small_amounts(stage: Stage) -> None:
    go_round(stage, LIMIT, LIMIT)
    for _ in range(5):
        go_round(stage, LIMIT // 20, LIMIT // 1_000)
    stage.withdraw_cash(stage.account("honest"), 2_000)
    assert stage.house.call.outflow(CASH)[1] <= 2_000 * UNIT


def test_every_hour(stage: Stage) -> None:
    for _ in range(3):
        go_round(stage, LIMIT, LIMIT)
        stage.withdraw_cash(stage.account("honest"), 150_000)
        go_round(stage, LIMIT, LIMIT)
        stage.pass_time(HOUR)


def test_what_stood_there_is_limited_all_the_same(stage: Stage) -> None:
    """With loans before, between and after: they add nothing to what may be taken either."""
    stage.house.refresh(CASH)
    stage.pass_time(HOUR)
    held = stage.dollar.call.balanceOf(stage.vault)
    go_round(stage, LIMIT, LIMIT)
    stage.withdraw_cash(stage.account("lender"), LIMIT)
    go_round(stage, LIMIT // 1_000, LIMIT // 1_000)
    with stage.evm.reverts("OutflowLimited"):
        stage.withdraw_cash(stage.account("lender"), 2_000)
    lender, account = stage.actor("lender"), stage.account("lender")
    stage.give(lender, CASH, 2 * LIMIT * UNIT)
    calls = [
        stage.house.encode("deposit", account, CASH, 2 * LIMIT * UNIT),
        stage.house.encode("withdraw", account, CASH, (2 * LIMIT + 2_000) * UNIT, lender.address),
    ]
    with stage.evm.reverts("OutflowLimited"):
        stage.house.multicall(calls, sender=lender)
    assert stage.dollar.call.balanceOf(stage.vault) == held - LIMIT * UNIT

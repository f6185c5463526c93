"""Winners leave with the pool while losers have not paid.

A gap makes one account rich and another insolvent. The rich one settles its variation, which anyone
may, and withdraws what suppliers paid in. What winners may turn into cash that leaves is bounded by
what losers have settled, plus a cap.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from tests.scenarios.stage import CASH, ETH, GLOBALS, Stage, wad

UNITS, GAP = 2_000, 800
CAP = 1_000_000
WON = UNITS * GAP
# What the winner's margin leaves free while the stable price has hardly moved.
FREE = 600_000


@pytest.fixture
def stage() -> Stage:
    return gap(CAP)


def gap(cap: int) -> Stage:
    """Ether has fallen straight through the loser's margin."""
    stage = Stage(factors=replace(GLOBALS, winners_cap=cap, payout_cap=10_000_000), lent=5_000_000)
    stage.fund("winner", 1_000_000)
    stage.fund("loser", 600_000)
    stage.trade("loser", "winner", {ETH: UNITS})
    stage.move({ETH: 2_000 - GAP})
    return stage


def test_winnings_wait_for_the_losers(stage: Stage) -> None:
    winner, loser = stage.account("winner"), stage.account("loser")
    assert stage.settle(winner, ETH).value == wad(WON)
    assert stage.house.call.pool().netQuote == -wad(WON)
    assert stage.margin(winner).is_free
    with stage.evm.reverts("WinnersCapExceeded", wad(WON), wad(CAP)):
        stage.withdraw_cash(winner, FREE)
    with stage.evm.reverts("WinnersCapExceeded", wad(WON), wad(CAP)):
        stage.withdraw(stage.lender, CASH, 1)
    assert stage.margin(loser).equity == -wad(WON - 600_000)


def test_settling_the_losers_frees_them(stage: Stage) -> None:
    """Anyone may do it; the loss is then a debt in cash, which the loser's auction resolves."""
    winner, loser = stage.account("winner"), stage.account("loser")
    stage.settle(winner, ETH)
    receipt = stage.house.settle(loser, model.perpetual(ETH), sender=stage.actor("stranger"))
    assert receipt.value == -wad(WON)
    assert stage.house.call.pool().netQuote == 0
    assert stage.cash(loser) == wad(600_000 - WON)
    stage.withdraw_cash(winner, FREE)
    assert stage.surplus([winner, loser]) == 0


def test_up_to_the_cap_nobody_waits() -> None:
    stage = gap(WON)
    winner = stage.account("winner")
    stage.settle(winner, ETH)
    stage.withdraw_cash(winner, FREE)
    assert stage.margin(winner).is_free


def test_a_loss_and_a_withdrawal_share_no_transaction(stage: Stage) -> None:
    """Who runs first pays the same as who sleeps."""
    winner, loser = stage.account("winner"), stage.account("loser")
    puppet, own = stage.puppet(10_000_000)
    stage.settle(winner, ETH)
    stage.settle(loser, ETH)
    stage.start_auction(loser)
    stage.pass_time(600)
    bid = stage.bid_terms(own, loser)
    calls = [stage.step("bid", bid), stage.step("withdraw", own, CASH, 1, puppet.address)]
    with stage.evm.reverts("CashOutWithLoss"):
        puppet.run(calls)
    with stage.evm.reverts("CashOutWithLoss"):
        puppet.run(calls[::-1])
    puppet.run(calls[:1])

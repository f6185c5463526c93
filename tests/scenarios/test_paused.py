"""A pause, by action and by asset: what it stops, and what it must never stop.

The guardian adds, the governor lifts. No pause blocks a trade that reduces, or a deposit that it
does not name; a pause of liquidation ends by itself and cannot follow another within a day.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import Pause
from plimsoll.risk.model import WAD
from tests.scenarios.stage import CASH, ETH, WBTC, WETH, Stage

HOURS = 3_600
ACTIONS = {"deposits": 0, "withdrawals": 1, "risk": 2, "liquidation": 3}


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("owner", 26_500)
    stage.deposit("owner", WETH, 1)
    stage.fund("maker", 1_000_000)
    stage.fund("bidder", 1_000_000)
    stage.trade("owner", "maker", {ETH: 100})
    return stage


def test_deposits(stage: Stage) -> None:
    stage.house.setPause(Pause.DEPOSITS, 0)
    owner = stage.actor("owner")
    for asset in (CASH, WETH):
        stage.give(owner, asset, 1)
        with stage.evm.reverts("Paused", ACTIONS["deposits"], asset):
            stage.house.deposit(stage.account("owner"), asset, 1, sender=owner)


def test_withdrawals_and_transfers(stage: Stage) -> None:
    stage.house.setPause(Pause.WITHDRAWALS, 0)
    account, owner = stage.account("owner"), stage.actor("owner")
    with stage.evm.reverts("Paused", ACTIONS["withdrawals"], WETH):
        stage.withdraw(account, WETH, 1)
    with stage.evm.reverts("Paused", ACTIONS["withdrawals"], WETH):
        stage.house.transfer(account, stage.account("owner", 1), WETH, 1, sender=owner)
    stage.deposit("owner", CASH, 1)


def test_risk_but_never_a_reduction(stage: Stage) -> None:
    stage.house.setPause(Pause.RISK, 0)
    with stage.evm.reverts("Paused", ACTIONS["risk"], CASH):
        stage.trade("owner", "maker", {ETH: 1})
    stage.trade("maker", "owner", {ETH: 100})
    assert stage.portfolio(stage.account("owner")).positions == ()


def test_one_asset(stage: Stage) -> None:
    stage.house.setPause(0, 1 << WETH)
    account = stage.account("owner")
    with stage.evm.reverts("Paused", ACTIONS["withdrawals"], WETH):
        stage.withdraw(account, WETH, 1)
    stage.deposit("owner", WBTC, 1)
    stage.withdraw(account, WBTC, 1)


def test_liquidation_resumes_by_itself(stage: Stage) -> None:
    account = stage.account("owner")
    stage.move({ETH: 1_930})
    stage.house.setPause(Pause.LIQUIDATION, 0)
    ends = stage.now + 6 * HOURS
    assert stage.house.call.pauseState() == (Pause.LIQUIDATION, 0, ends)
    with stage.evm.reverts("Paused", ACTIONS["liquidation"], CASH):
        stage.house.flag(account)
    stage.pass_time(6 * HOURS - 1)
    with stage.evm.reverts("Paused", ACTIONS["liquidation"], CASH):
        stage.house.flag(account)
    stage.pass_time(1)
    stage.start_auction(account)
    with stage.evm.reverts("PausedTooRecently", ends + 24 * HOURS):
        stage.house.setPause(Pause.LIQUIDATION, 0)
    stage.pass_time(60)
    stage.bid("bidder", account, WAD // 10)


def test_the_clock_of_an_auction_stands_through_a_pause(stage: Stage) -> None:
    account = stage.account("owner")
    stage.move({ETH: 1_930})
    stage.start_auction(account)
    stage.pass_time(100)
    stage.house.setPause(Pause.LIQUIDATION, 0)
    stage.pass_time(6 * HOURS)
    assert stage.house.call.auction(account)[1] == model.phi(0)
    stage.pass_time(50)
    assert stage.house.call.auction(account)[1] == model.phi(50)


def test_a_cure_is_never_paused(stage: Stage) -> None:
    """Everything paused but deposits: pay in, reduce, and have the clock stand still."""
    account = stage.account("owner")
    stage.move({ETH: 1_930})
    stage.start_auction(account)
    everything = Pause.WITHDRAWALS | Pause.RISK | Pause.LIQUIDATION
    stage.house.setPause(everything, 0)
    stage.trade("maker", "owner", {ETH: 50})
    stage.fund("owner", 5_000)
    stage.house.standStill(account)
    stage.house.reset(account)
    assert stage.margin(account).is_free

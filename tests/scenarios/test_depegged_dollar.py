"""The settlement token leaves its peg.

It is the unit of account and counts at par: one feed must not move every short. Beyond the bound no
risk is added; whoever reduces, deposits or leaves is not stopped.
"""

from __future__ import annotations

import pytest

from plimsoll.risk.model import WAD
from tests.scenarios.stage import CASH, ETH, PEG, Stage, wad


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("owner", 30_000)
    stage.fund("maker", 1_000_000)
    stage.trade("owner", "maker", {ETH: 50})
    return stage


@pytest.mark.parametrize("peg", ["0.979", "1.021", "0.5"])
def test_beyond_the_bound_no_risk_is_added(stage: Stage, peg: str) -> None:
    account = stage.account("owner")
    before = stage.margin(account)
    stage.move({PEG: peg})
    assert stage.margin(account) == before, "it moves the value of nothing"
    with stage.evm.reverts("SettlementTokenDepegged"):
        stage.trade("owner", "maker", {ETH: 1})
    stage.trade("maker", "owner", {ETH: 25})
    stage.withdraw_cash(account, 1_000)
    stage.deposit("owner", CASH, 1)
    assert stage.position(account, ETH).size == 25 * WAD


@pytest.mark.parametrize("peg", ["0.98", "1.02", "1"])
def test_within_the_bound_trading_goes_on(stage: Stage, peg: str) -> None:
    stage.move({PEG: peg})
    stage.trade("owner", "maker", {ETH: 1})


def test_a_broken_peg_feed_adds_no_risk_either(stage: Stage) -> None:
    """An hour after it was last observed."""
    stage.underlyings[PEG].feed.break_down()
    stage.pass_time(3_601)
    with stage.evm.reverts("SettlementTokenDepegged"):
        stage.trade("owner", "maker", {ETH: 1})
    stage.trade("maker", "owner", {ETH: 1})
    assert stage.margin(stage.account("owner")).equity == wad(30_000)

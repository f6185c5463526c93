"""A cent holds up everybody.

A provision of less than a cent would block every redemption of the backstop for as long as nobody
bids on it, which nobody does for a cent; whoever owns the account lifts his own gate at will and
leaves first. And a dollar of bad debt every other day would keep the halt for ever.
"""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import WINDING_DELAY
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ETH, wad
from tests.unit.backstop_house import Backed, build
from tests.unit.books import leave_with_debt

MILLION = 10**12


@pytest.fixture
def stage() -> Backed:
    """Half of the shares ask to leave."""
    stage = build(reserves=0, lent=100_000)
    for who in ("runner", "sleeper"):
        stage.invest(who, MILLION)
    stage.fund("maker", 20_000_000)
    stage.end_epoch(stage.request("runner"))
    return stage


def fallen(stage: Backed, dollars: str, ether: str) -> bytes:
    """An account that a gap took through its equity, in an auction that nobody bids in."""
    account = stage.fund("owner", dollars)
    stage.trade("owner", "maker", {ETH: ether})
    stage.move({ETH: 1_700})
    stage.start_auction(account)
    stage.pass_time(20 * 86_400)
    return account


def test_dust_keeps_nobody(stage: Backed) -> None:
    fallen(stage, "0.052", "0.0002")
    open_ = stage.house.call.provisions()
    assert 0 < open_ < wad("0.01")
    assert stage.value().lower == stage.reserves - open_
    stage.backstop.settleEpoch()
    due = stage.backstop.call.maxWithdraw(stage.actor("runner"))
    stays = stage.backstop.call.convertToAssets(stage.shares_of("sleeper"))
    assert abs(due - stays) <= 1, "both bear half of it"


def test_a_loss_that_matters_keeps_everybody(stage: Backed) -> None:
    account = fallen(stage, "26000", "100")
    open_ = stage.house.call.provisions()
    assert open_ * 1_000 > stage.reserves
    with stage.evm.reverts("ProvisionOpen", open_):
        stage.backstop.settleEpoch()
    stage.fund("bidder", 1_000_000)
    stage.bid("bidder", account)
    stage.backstop.settleEpoch()


def test_dust_keeps_no_halt(stage: Backed) -> None:
    debtors = [stage.account("ruined", sub) for sub in range(2)]
    for account in debtors:
        leave_with_debt(stage, account, 1)
    stage.lose(stage.reserves // WAD + 1)
    assert stage.house.call.windDown().halted
    stage.house.submitResume()
    for account in debtors:
        stage.house.writeOff(account)
        stage.pass_time(WINDING_DELAY // 2)
    stage.house.acceptResume()
    assert not stage.house.call.windDown().halted

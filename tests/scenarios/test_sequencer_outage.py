"""A rollup's sequencer stops in mid-position, and starts again.

While it is down and through its grace period prices are the last good ones and doubtful: who could
not answer a margin call is not liquidated for it, and no auction's clock runs.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import PriceStatus
from tests.scenarios.stage import CASH, ETH, Stage, wad

GRACE = 3_600
DOWN = 1


@pytest.fixture
def stage() -> Stage:
    stage = Stage(grace=GRACE)
    stage.fund("owner", 26_000)
    stage.fund("counterparty", 1_000_000)
    stage.fund("bidder", 1_000_000)
    stage.trade("owner", "counterparty", {ETH: 100})
    return stage


def sequencer(stage: Stage, value: int) -> None:
    assert stage.sequencer is not None
    stage.sequencer.set(value, stage.now)


def test_nobody_is_flagged_while_it_is_down(stage: Stage) -> None:
    """Ether falls through the account's margin; its owner cannot act, and is left alone."""
    account = stage.account("owner")
    sequencer(stage, DOWN)
    stage.pass_time(600)
    stage.report({ETH: wad(1_900)})
    price = stage.engine.call.price(ETH)
    assert (price.index, price.status) == (wad(2_000), PriceStatus.SEQUENCER_DOWN)
    margin = stage.margin(account)
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.look(account)
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)


def test_an_observation_stores_nothing_while_it_is_down(stage: Stage) -> None:
    sequencer(stage, DOWN)
    stage.report({ETH: wad(1_900)})
    before = stage.engine.call.observedAt(ETH)
    assert stage.engine.observe([ETH]).events("Observed") == []
    assert stage.engine.call.observedAt(ETH) == before


@pytest.mark.parametrize(
    ("after", "status"),
    [
        (0, PriceStatus.SEQUENCER_DOWN),
        (GRACE - 1, PriceStatus.SEQUENCER_DOWN),
        (GRACE, PriceStatus.OK),
        (GRACE + 1, PriceStatus.OK),
    ],
)
def test_the_grace_period_to_the_second(stage: Stage, after: int, status: PriceStatus) -> None:
    sequencer(stage, DOWN)
    stage.pass_time(600)
    sequencer(stage, 0)
    stage.pass_time(after)
    stage.report({ETH: wad(1_900)})
    assert stage.engine.call.price(ETH).status == status
    assert stage.margin(stage.account("owner")).doubtful == (status != PriceStatus.OK)


def test_the_clock_of_an_auction_counts_no_outage(stage: Stage) -> None:
    """What it had when it was last written stays; it stands from there until somebody looks."""
    account = stage.account("owner")
    stage.move({ETH: 1_920})
    stage.start_auction(account)
    stage.pass_time(100)
    stage.deposit("owner", CASH, 10_000 * 10**6)
    stage.house.standStill(account)
    stage.move({ETH: 1_810})
    stage.look(account)
    sequencer(stage, DOWN)
    stage.pass_time(60)
    stage.house.standStill(account)
    record, depth = stage.house.call.auction(account)
    assert (record.state, record.elapsed, depth) == (AuctionState.HALTED, 100, model.phi(100))
    stage.pass_time(7_200)
    sequencer(stage, 0)
    stage.pass_time(GRACE)
    assert stage.house.call.auction(account)[1] == model.phi(100)
    stage.report({ETH: wad(1_810)})
    stage.look(account)
    stage.pass_time(10)
    assert stage.house.call.auction(account)[1] == model.phi(110)


def test_even_if_nobody_says_so_the_outage_is_not_counted(stage: Stage) -> None:
    """The clock runs since it was written or since prices are live again: the later counts."""
    account = stage.account("owner")
    stage.move({ETH: 1_920})
    stage.start_auction(account)
    stage.pass_time(600)
    sequencer(stage, DOWN)
    stage.pass_time(7_200)
    sequencer(stage, 0)
    stage.pass_time(GRACE)
    assert stage.house.call.auction(account)[1] == model.phi(0)
    stage.pass_time(50)
    assert stage.house.call.auction(account)[1] == model.phi(50)


def test_no_loss_is_paid_out_during_an_outage(stage: Stage) -> None:
    account = stage.account("owner")
    stage.move({ETH: 1_400})
    stage.start_auction(account)
    sequencer(stage, DOWN)
    stage.pass_time(600)
    assert stage.margin(account).maintenance_equity < 0
    with stage.evm.reverts("NoPayoutOnDoubtfulPrice", account):
        stage.bid("bidder", account)


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 5])
def test_a_broken_uptime_feed_counts_as_down(stage: Stage, mode: int) -> None:
    assert stage.sequencer is not None
    stage.sequencer.contract.setMode(mode)
    stage.sequencer.broken = True
    assert stage.engine.call.price(ETH).status == PriceStatus.SEQUENCER_DOWN
    assert stage.margin(stage.account("owner")).doubtful
    assert stage.engine.call.liveSince() == 2**256 - 1

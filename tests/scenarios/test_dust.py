"""Dust that is not worth liquidating, and dust that must not stay behind.

An account whose maintenance margin is below the bound is taken whole. What a slice cannot divide
goes with it or stays, rounded against the bidder; a share of the whole leaves nothing at all.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ALT, BTC, CASH, ETH, WALT, WETH, Stage, wad

DUST = 10


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("maker", 10_000_000)
    stage.fund("bidder", 1_000_000)
    return stage


def test_a_dusty_account_is_taken_whole(stage: Stage) -> None:
    account = stage.fund("dusty", "13.2")
    stage.deposit("dusty", WALT, 7)
    stage.trade("dusty", "maker", {ALT: 10})
    stage.move({ALT: "9.61"})
    assert stage.margin(account).maintenance_margin < wad(DUST)
    stage.start_auction(account)
    stage.pass_time(12)
    held = stage.portfolio(account)
    margin = stage.margin(account)
    (taken,) = stage.bid("bidder", account, WAD).events("SliceTaken")
    assert taken.fraction == WAD
    price = model.bid_price(margin, WAD, model.phi(12))
    assert taken.price == price
    assert stage.portfolio(account) == model.Portfolio(cash=price)
    got = stage.portfolio(stage.account("bidder"))
    assert got.amount(WALT) == held.amount(WALT) == 7
    assert stage.house.call.auction(account)[0].state == 0


def test_above_the_bound_only_what_restores(stage: Stage) -> None:
    account = stage.fund("small", 132)
    stage.trade("small", "maker", {ALT: 100})
    stage.move({ALT: "9.61"})
    assert stage.margin(account).maintenance_margin > wad(DUST)
    stage.start_auction(account)
    stage.pass_time(12)
    (taken,) = stage.bid("bidder", account, WAD).events("SliceTaken")
    assert taken.fraction < WAD


@pytest.mark.parametrize("fraction", [1, 2, WAD // 3, WAD - 1])
def test_the_smallest_slices_round_against_the_bidder(stage: Stage, fraction: int) -> None:
    """Positions of one wei, collateral of one unit: a slice is nothing, or all of a debt."""
    account = stage.fund("dusty", 13_000)
    stage.deposit("dusty", WALT, 1)
    stage.trade("dusty", "maker", {ETH: 50, BTC: "0.000000000000000001"})
    stage.trade("maker", "dusty", {ALT: "0.000000000000000001"})
    stage.move({ETH: 1_930})
    stage.start_auction(account)
    stage.pass_time(60)
    everybody = [account, stage.account("bidder"), stage.account("maker")]
    before = stage.surplus(everybody)
    held = stage.portfolio(account)
    (taken,) = stage.bid("bidder", account, fraction).events("SliceTaken")
    left = stage.portfolio(account)
    for u in (ETH, BTC, ALT):
        was, now = held.position(model.perpetual(u)), left.position(model.perpetual(u))
        assert now.size == was.size - was.size * taken.fraction // WAD
    assert left.amount(WALT) == 1 - taken.fraction // WAD
    assert 0 <= stage.surplus(everybody) - before <= 3
    sizes = [sum(stage.position(one, u).size for one in everybody) for u in (ETH, BTC, ALT)]
    assert sizes == [0, 0, 0]


def test_nothing_keeps_an_account_from_being_closed(stage: Stage) -> None:
    """The owner trades out, withdraws to the last unit, and what is below a unit stays his."""
    account = stage.fund("leaver", 1_000)
    stage.deposit("leaver", WETH, 3)
    stage.trade("leaver", "maker", {ETH: "0.333333333333333333"})
    stage.move({ETH: "2000.000000000000000007"})
    stage.trade("maker", "leaver", {ETH: "0.333333333333333333"})
    left = stage.portfolio(account)
    assert left.positions == ()
    stage.withdraw(account, WETH, 3)
    stage.withdraw(account, CASH, left.cash // 10**12)
    assert stage.portfolio(account) == model.Portfolio(cash=left.cash % 10**12)
    with stage.evm.reverts("ZeroAmount"):
        stage.withdraw(account, CASH, 0)


def test_an_order_for_nothing_is_refused(stage: Stage) -> None:
    """A leg that rounds to nothing moves nothing: it is no fill."""
    order = stage.order(stage.account("maker"), {ETH: "0.1"}, 1, stage.marks[ETH])
    signature = stage.sign(order, "maker")
    account = stage.fund("taker", 1_000)
    with stage.evm.reverts("ZeroAmount"):
        stage.house.take(order, signature, account, 9, sender=stage.actor("taker"))
    digest = bytes(stage.house.call.hashOrder(order))
    with stage.evm.reverts("BelowMinimumFill", digest, 0, 0):
        stage.house.take(order, signature, account, 0, sender=stage.actor("taker"))

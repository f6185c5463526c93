"""Losses are the holders' first, to the wei, and of whoever asked to leave before they came."""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import RAY
from plimsoll.risk.model import WAD
from tests.evm import Receipt
from tests.scenarios.stage import CASH_SCALE, ETH, Stage, wad
from tests.unit.backstop_house import Backed, build

MILLION = 10**12


@pytest.fixture
def stage() -> Backed:
    stage = build(reserves=0)
    stage.invest("first", MILLION // 2)
    stage.invest("second", MILLION // 2)
    stage.fund("maker", 10_000_000)
    stage.fund("owner", 30_000)
    stage.trade("owner", "maker", {ETH: 100})
    return stage


def gap(stage: Stage, price: int) -> Receipt:
    """The price falls through the account's equity; somebody takes it whole."""
    for one in range(1_900, price, -100):
        stage.move({ETH: one})
    stage.move({ETH: price})
    account = stage.account("owner")
    stage.start_auction(account)
    stage.pass_time(60)
    stage.fund("bidder", 1_000_000)
    return stage.bid("bidder", account)


def test_suppliers_lose_nothing_while_there_are_holders(stage: Backed) -> None:
    reserves, lent = stage.reserves, stage.cash(stage.lender)
    supply = stage.backstop.call.totalSupply()
    (booked,) = gap(stage, 1_500).events("LossBooked")
    assert booked.fromSuppliers == booked.toDeficit == 0
    assert stage.reserves == reserves - booked.fromReserves
    assert stage.cash(stage.lender) == lent
    assert stage.house.call.pool().supplyIndex == RAY
    value = stage.value()
    assert value.upper == value.lower == reserves - booked.fromReserves
    # Each share lost the same.
    units = value.lower // CASH_SCALE
    for who in ("first", "second"):
        shares = stage.shares_of(who)
        expected = shares * (units + 1) // (supply + 1_000)
        assert stage.backstop.call.convertToAssets(shares) == expected


def test_who_asked_before_the_loss_bears_it_too(stage: Backed) -> None:
    epoch = stage.request("second")
    (booked,) = gap(stage, 1_500).events("LossBooked")
    stage.end_epoch(epoch)
    stage.backstop.settleEpoch()
    leaves = stage.backstop.call.maxWithdraw(stage.actor("second"))
    stays = stage.backstop.call.convertToAssets(stage.shares_of("first"))
    assert abs(leaves - stays) <= 1
    lost = MILLION + fees(stage) - leaves - stays
    assert abs(lost * CASH_SCALE - booked.fromReserves) <= 3 * CASH_SCALE


def test_nobody_leaves_between_the_fall_and_the_loss(stage: Backed) -> None:
    """The account is flagged: what is known to be coming is provisioned."""
    stage.end_epoch(stage.request("second"))
    for price in (1_900, 1_800, 1_700, 1_600, 1_500):
        stage.move({ETH: price})
    account = stage.account("owner")
    stage.start_auction(account)
    with stage.evm.reverts("ProvisionOpen", stage.house.call.provisions()):
        stage.backstop.settleEpoch()
    assert stage.value().lower < stage.value().upper


def test_beyond_the_reserves_suppliers_are_next(stage: Backed) -> None:
    stage.lose(999_000)
    reserves = stage.reserves
    (booked,) = gap(stage, 1_500).events("LossBooked")
    assert booked.fromReserves == reserves
    assert booked.fromSuppliers > 0
    assert stage.value().upper == 0
    assert stage.backstop.call.convertToAssets(stage.shares_of("first")) == 0
    assert stage.cash(stage.lender) < wad(50_000_000)


def fees(stage: Backed) -> int:
    """What the owner's one trade brought the reserves, in units."""
    return 100 * 2_000 * 600 // 10**6 * WAD // CASH_SCALE

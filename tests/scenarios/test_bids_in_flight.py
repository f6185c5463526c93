"""Front-running a bid: the owner changes what the account holds, another bidder comes first.

A bid names the most it pays, its last second, and the version of the account it was made for. A
stranger cannot change the version; nobody can flag and bid in one block.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ALT, CASH, ETH, Stage, wad

UNITS = 100


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("owner", 26_500)
    stage.fund("bidder", 1_000_000)
    stage.fund("rival", 1_000_000)
    stage.fund("maker", 10_000_000)
    stage.trade("owner", "maker", {ETH: UNITS, ALT: 1})
    stage.move({ETH: 1_930})
    stage.start_auction(stage.account("owner"))
    return stage


def test_no_bid_in_the_block_of_the_flag(stage: Stage) -> None:
    account = stage.account("owner")
    with stage.evm.reverts("SameBlock", account):
        stage.bid("bidder", account)


def test_no_auction_after_one_look(stage: Stage) -> None:
    account = stage.fund("other", 26_500)
    stage.trade("other", "maker", {ETH: UNITS})
    stage.move({ETH: 1_850})
    stage.look(account)
    stage.pass_time(11)
    with stage.evm.reverts("ObservedTooRecently", account, stage.now + 1):
        stage.look(account)
    with stage.evm.reverts("NotInAuction", account, AuctionState.OBSERVED):
        stage.bid("bidder", account)
    stage.pass_time(1)
    stage.look(account)
    with stage.evm.reverts("AuctionAlreadyRunning", account):
        stage.house.flag(account)


def test_a_first_look_is_forgotten(stage: Stage) -> None:
    """Ten minutes later a second look is a first one again."""
    account = stage.fund("other", 26_500)
    stage.trade("other", "maker", {ETH: UNITS})
    stage.move({ETH: 1_850})
    stage.look(account)
    stage.pass_time(601)
    assert stage.look(account).events("AuctionFlagged") == []
    assert stage.house.call.auction(account)[0].observedAt == stage.now


def test_the_contents_cannot_change_beneath_a_bid(stage: Stage) -> None:
    account = stage.account("owner")
    stage.pass_time(60)
    _, version = stage.house.call.versions(account)
    stage.trade("maker", "owner", {ETH: 1})
    with stage.evm.reverts("VersionChanged", version + 1, version):
        stage.bid("bidder", account, version=version)
    stage.bid("bidder", account, version=version + 1)


@pytest.mark.parametrize("meddle", ["deposit", "settle", "observe", "standStill"])
def test_a_stranger_cannot_make_a_bid_stale(stage: Stage, meddle: str) -> None:
    account, stranger = stage.account("owner"), stage.actor("stranger")
    stage.pass_time(60)
    _, version = stage.house.call.versions(account)
    if meddle == "deposit":
        stage.give(stranger, CASH, 1)
        stage.house.deposit(account, CASH, 1, sender=stranger)
    elif meddle == "settle":
        stage.settle(account, ETH)
    elif meddle == "observe":
        stage.observe(ETH)
    else:
        margin = stage.margin(account)
        with stage.evm.reverts(
            "StillUnhealthy", account, margin.maintenance_equity, margin.maintenance_margin
        ):
            stage.house.standStill(account, sender=stranger)
    stage.bid("bidder", account, version=version)


def test_a_bid_pays_no_more_than_its_limit(stage: Stage) -> None:
    account = stage.account("owner")
    stage.pass_time(60)
    price = model.bid_price(stage.margin(account), WAD // 10, model.phi(60))
    with stage.evm.reverts("PriceAboveLimit", price, price - 1):
        stage.bid("bidder", account, WAD // 10, maxPrice=price - 1)
    (taken,) = stage.bid("bidder", account, WAD // 10, maxPrice=price).events("SliceTaken")
    assert taken.price == price


def test_a_bid_is_good_to_its_last_second(stage: Stage) -> None:
    account = stage.account("owner")
    stage.pass_time(60)
    deadline = stage.now - 1
    with stage.evm.reverts("BidExpired", deadline):
        stage.bid("bidder", account, deadline=deadline)
    stage.bid("bidder", account, WAD // 100, deadline=stage.now)


@pytest.mark.parametrize("fraction", [0, WAD + 1, 2**256 - 1])
def test_a_fraction_is_a_fraction(stage: Stage, fraction: int) -> None:
    stage.pass_time(60)
    with stage.evm.reverts("FractionInvalid", fraction):
        stage.bid("bidder", stage.account("owner"), fraction)


def test_the_second_of_two_bidders_takes_nothing_that_is_healthy(stage: Stage) -> None:
    """Two keepers, one account: the first restores it, the second fails and pays nothing."""
    account = stage.account("owner")
    stage.pass_time(60)
    stage.bid("rival", account)
    margin = stage.margin(account)
    before = stage.portfolio(stage.account("bidder"))
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.bid("bidder", account)
    assert stage.portfolio(stage.account("bidder")) == before
    assert margin.maintenance_equity * 10_000 >= 12_500 * margin.maintenance_margin


def test_a_bid_never_takes_more_than_restores(stage: Stage) -> None:
    """Convex terms let it land a little above the target: by less than what they shrink."""
    account = stage.account("owner")
    stage.pass_time(60)
    before = stage.margin(account)
    (taken,) = stage.bid("bidder", account).events("SliceTaken")
    assert taken.fraction == model.f_max(before, model.phi(60), 12_500, wad(10)) < WAD
    after = stage.margin(account)
    target = model.ceil_div(12_500 * after.maintenance_margin, 10_000)
    concentration = before.maintenance_margin - after.maintenance_margin
    assert 0 <= after.maintenance_equity - target < concentration

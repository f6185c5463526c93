"""An owner liquidates himself through another account, or leaves bad debt behind on purpose.

As long as a slice has a price, taking one's own gives exactly what was there, less rounding: the
price comes back in cash, the slice carries its share of equity. Waiting for the price to turn
negative is a race against everybody else, and whoever is taken pays the depth of the auction.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ETH, Stage, wad

UNITS = 100


@pytest.fixture
def stage() -> Stage:
    """Flagged at four fifths of maintenance margin; its owner and an honest bidder have cash."""
    stage = Stage()
    stage.fund("owner", 30_000)
    stage.fund("owner", 1_000_000, 1)
    stage.fund("honest", 1_000_000)
    stage.fund("maker", 10_000_000)
    stage.trade("owner", "maker", {ETH: UNITS})
    stage.move({ETH: 1_856})
    stage.start_auction(stage.account("owner"))
    margin = stage.margin(stage.account("owner"))
    assert 8_000 < 10_000 * margin.maintenance_equity // margin.maintenance_margin < 8_400
    return stage


def own(stage: Stage) -> tuple[bytes, bytes]:
    return stage.account("owner"), stage.account("owner", 1)


@pytest.mark.parametrize("seconds", [1, 60, 300, 450])
@pytest.mark.parametrize("fraction", [WAD, WAD // 3, 1])
def test_while_a_slice_has_a_price_it_gains_nothing(
    stage: Stage, seconds: int, fraction: int
) -> None:
    stage.pass_time(seconds)
    before = stage.equity(*own(stage))
    (taken,) = stage.bid("owner", own(stage)[0], fraction, sub_account=1).events("SliceTaken")
    assert taken.price >= 0
    lost = before - stage.equity(*own(stage))
    assert 0 <= lost <= 3, "cash, quote and size round against the bidder"
    assert stage.house.call.pool().reserves == wad(50_000_000)


def test_to_be_taken_by_another_costs_the_depth(stage: Stage) -> None:
    """What the owner loses, and the honest bidder gains, is depth times maintenance margin."""
    stage.pass_time(300)
    account = own(stage)[0]
    before, margin = stage.equity(*own(stage)), stage.margin(account)
    honest = stage.equity(stage.account("honest"))
    (taken,) = stage.bid("honest", account).events("SliceTaken")
    cost = taken.fraction * model.phi(300) * margin.maintenance_margin // (WAD * 10_000)
    lost = before - stage.equity(*own(stage))
    assert cost - 3 <= lost <= cost + 3
    gained = stage.equity(stage.account("honest")) - honest
    assert lost - 3 <= gained <= lost


def test_who_waits_for_the_waterfall_is_taken_first(stage: Stage) -> None:
    """At a price of nothing somebody else gains all of the slice, and the owner loses it."""
    account = own(stage)[0]
    before = stage.equity(*own(stage))
    honest = stage.equity(stage.account("honest"))
    margin = stage.margin(account)
    depth = 10_000 * margin.maintenance_equity // margin.maintenance_margin
    stage.pass_time((depth - 200) * 600 // 9_800)
    (taken,) = stage.bid("honest", account).events("SliceTaken")
    assert 0 <= taken.price < wad(100)
    assert taken.payout == 0
    assert before - stage.equity(*own(stage)) > wad(14_000)
    assert stage.equity(stage.account("honest")) - honest > wad(14_000)


def test_splitting_a_bid_pays_no_more_than_one(stage: Stage) -> None:
    stage.pass_time(300)
    account = own(stage)[0]
    snapshot, undo = stage.evm.snapshot(), stage.checkpoint()
    honest = stage.equity(stage.account("honest"))
    (whole,) = stage.bid("honest", account).events("SliceTaken")
    gained = stage.equity(stage.account("honest")) - honest
    stage.evm.revert(snapshot)
    undo()
    paid = 0
    while not stage.margin(account).is_healthy:
        (taken,) = stage.bid("honest", account, whole.fraction // 5).events("SliceTaken")
        paid += taken.price
    assert stage.equity(stage.account("honest")) - honest <= gained
    assert paid <= whole.price


def test_an_account_is_no_bidder_for_itself(stage: Stage) -> None:
    account = own(stage)[0]
    stage.pass_time(1)
    with stage.evm.reverts("SelfBid", account):
        stage.bid("owner", account)


def test_trading_with_oneself_through_one_account_is_refused(stage: Stage) -> None:
    account = own(stage)[1]
    order = stage.order(account, {ETH: 1}, -1, stage.marks[ETH])
    signature = stage.sign(order, "owner")
    with stage.evm.reverts("SelfTrade", account):
        stage.house.take(order, signature, account, WAD, sender=stage.actor("owner"))

"""Nobody bids on a falling account. A stranger has the backstop take it, the market takes it off
the backstop's hands by orders that nobody signs by hand, and the holders earn the penalty.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import backstop as twin
from plimsoll.risk.model import WAD, perpetual
from tests.scenarios.stage import ALT, CASH_SCALE, ETH, wad
from tests.unit.backstop_house import Backed, build, fall, signature_of

MILLION = 10**12
NO_LIMIT = 2**256 - 1


@pytest.fixture(scope="module")
def stage() -> Backed:
    stage = build(reserves=0)
    stage.invest("first", 3 * MILLION)
    stage.invest("second", MILLION)
    return stage


def sell_out(stage: Backed) -> None:
    """The desk and a collector take everything, at the worst that the backstop accepts."""
    sub, desk = stage.sub_account(), stage.actor("desk")
    slack = stage.backstop.call.slackOf(sub)
    for u in (ETH, ALT):
        held = stage.position(sub, u).size
        legs, marks = [(perpetual(u), WAD)], {perpetual(u): stage.marks[u]}
        worst = (twin.best_offer if held > 0 else twin.worst_price)(legs, marks, slack)
        order = {**stage.unwinding(1, {u: 1}, 0, worst), "quantity": -held}
        taken = order, signature_of(order), stage.account("desk"), abs(held)
        stage.house.take(*taken, sender=desk)
    collector = stage.hold("collector", MILLION)
    for one in stage.portfolio(sub).collateral:
        bought = sub, one.asset, one.amount, NO_LIMIT, collector
        stage.backstop.buyCollateral(*bought, sender=collector)


def test_a_slice_is_taken_unwound_and_swept_at_a_profit(stage: Backed) -> None:
    before, share = stage.value(), stage.backstop.call.convertToAssets(10**15)
    account = fall(stage)
    equity = stage.margin(account).equity
    taken = stage.backstop.bid(account, sender=stage.actor("stranger")).value
    bought = stage.value()
    penalty = bought.upper - before.upper
    depth = stage.house.call.auction(account).depth
    assert depth >= twin.BID_DEPTH
    # What the owner lost is what the holders got, beside the fees of his own trades.
    lost = equity - stage.margin(account).equity - equity * taken.fraction // WAD + taken.price
    assert abs(lost) < wad("0.01")
    assert penalty > wad(3_000)

    stage.fund("desk", 10_000_000)
    sell_out(stage)
    sub = stage.sub_account()
    assert stage.portfolio(sub).positions == stage.portfolio(sub).collateral == ()
    stage.backstop.sweep(sub)
    assert stage.used() == []

    after = stage.value()
    assert after.upper == after.lower == stage.reserves
    given_away = bought.upper - after.upper
    assert given_away < penalty // 10
    assert after.upper - before.upper > wad(3_000)
    assert stage.backstop.call.convertToAssets(10**15) > share

    got = stage.redeemed("second")
    assert got > MILLION + 750 * 10**6
    first = stage.backstop.call.convertToAssets(stage.shares_of("first"))
    assert abs(first - 3 * got) <= 4
    assert abs(stage.reserves - first * CASH_SCALE) <= 4 * CASH_SCALE


def test_what_the_owner_keeps_is_healthy(stage: Backed) -> None:
    left = stage.margin(stage.account("owner"))
    assert left.is_healthy
    stage.house.reset(stage.account("owner"))

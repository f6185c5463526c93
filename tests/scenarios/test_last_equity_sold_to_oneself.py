"""Below initial margin, "the shortfall may not grow" lets an owner sell himself the last equity.

A sale at a bad price that halves the position lowers initial margin by more than it takes from
equity, so the shortfall shrinks while what is left moves to the owner's other account. The ratio
rule asks instead that no level's ratio of equity to margin gets worse.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Fill, Margin
from tests.scenarios.stage import ETH, Stage, as_tuple, wad

UNITS, SOLD = 100, 50


@pytest.fixture
def stage() -> Stage:
    """An account a little below initial margin, and another one of the same person."""
    stage = Stage()
    stage.fund("owner", 26_000)
    stage.fund("owner", 100_000, 1)
    stage.fund("counterparty", 1_000_000)
    stage.trade("owner", "counterparty", {ETH: UNITS})
    stage.move({ETH: 1_970})
    margin = stage.margin(stage.account("owner"))
    assert margin.maintenance_margin < margin.initial_equity < margin.initial_margin
    return stage


def sell(stage: Stage, price: int, quantity: int = SOLD) -> None:
    """Half of the position, to oneself, at `price` for each unit (18 decimals)."""
    buyer, seller = stage.account("owner", 1), stage.account("owner")
    maker = stage.order(seller, {ETH: 1}, -quantity, price)
    stage.house.take(
        maker, stage.sign(maker, "owner"), buyer, wad(quantity), sender=stage.actor("owner")
    )


def after_selling(stage: Stage, price: int) -> Margin:
    fill = Fill(model.perpetual(ETH), -SOLD * WAD, price, is_taker=False)
    portfolio = stage.portfolio(stage.account("owner"))
    return model.preview_trade(portfolio, [fill], {ETH: (0, 0)}, stage.inputs())[1]


def lowest_fair_price(stage: Stage) -> int:
    """The least price for a unit at which no ratio gets worse."""
    before = stage.margin(stage.account("owner"))
    low, high = 0, stage.marks[ETH]
    while high - low > 1:
        middle = (low + high) // 2
        if model.ratio_holds(before, after_selling(stage, middle)):
            high = middle
        else:
            low = middle
    return high


def test_the_last_equity_stays(stage: Stage) -> None:
    account = stage.account("owner")
    before = stage.margin(account)
    price = stage.marks[ETH] - wad(240)
    after = after_selling(stage, price)
    shortfall = before.initial_margin - before.initial_equity
    assert after.initial_margin - after.initial_equity <= shortfall, "the naive rule allows it"
    assert before.equity - after.equity == SOLD * wad(240), "and this much would leave"
    with stage.evm.reverts("RatioWorsened", account, as_tuple(before), as_tuple(after)):
        sell(stage, price)


def test_the_ratio_binds_to_the_wei(stage: Stage) -> None:
    account = stage.account("owner")
    before = stage.margin(account)
    price = lowest_fair_price(stage)
    after = after_selling(stage, price - 1)
    with stage.evm.reverts("RatioWorsened", account, as_tuple(before), as_tuple(after)):
        sell(stage, price - 1)
    sell(stage, price)
    now = stage.margin(account)
    assert now.equity * before.maintenance_margin >= before.equity * now.maintenance_margin
    assert now.initial_equity * before.initial_margin >= before.initial_equity * now.initial_margin


def test_a_reduction_at_the_mark_is_always_open(stage: Stage) -> None:
    account = stage.account("owner")
    equity = stage.margin(account).equity
    sell(stage, stage.marks[ETH])
    after = stage.margin(account)
    assert after.equity == equity
    assert after.is_free


def test_with_negative_equity_nothing_is_sold(stage: Stage) -> None:
    """Not at any price, unless the sale comes with what is missing."""
    account = stage.account("owner")
    stage.move({ETH: 1_700})
    before = stage.margin(account)
    assert before.equity == -wad(4_000)
    price = stage.marks[ETH]
    after = after_selling(stage, price)
    with stage.evm.reverts("RatioWorsened", account, as_tuple(before), as_tuple(after)):
        sell(stage, price)
    stage.fund("owner", 4_000)
    sell(stage, price)
    assert stage.margin(account).equity == 0

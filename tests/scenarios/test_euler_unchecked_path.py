"""Euler, March 2023: one of many paths lowered an account's equity without a check.

Here an account stands at its initial margin, and every way that its owner has to take something out
of it is tried: alone, in a batch, and inside `unlock`. Each ends in the margin check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Fill, Margin
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, WETH, Stage, as_tuple, terms, wad

UNITS = 50
TENTH = WAD // 10
Attempt = tuple[str, tuple[Any, ...]]


@pytest.fixture
def stage() -> Stage:
    """The owner's account is long, holds collateral, and has less than a token unit to spare."""
    stage = Stage()
    stage.fund("counterparty", 1_000_000)
    account = stage.fund("owner", 50_000)
    stage.deposit("owner", WETH, 10 * WAD)
    stage.trade("owner", "counterparty", {ETH: UNITS})
    margin = stage.margin(account)
    stage.withdraw(account, CASH, (margin.initial_equity - margin.initial_margin) // CASH_SCALE)
    assert 0 <= spare(stage.margin(account)) < CASH_SCALE
    return stage


def spare(margin: Margin) -> int:
    return margin.initial_equity - margin.initial_margin


def without(stage: Stage, asset: int, units: int) -> Margin:
    """The margin of what is left after so much of an asset has gone."""
    held = stage.portfolio(stage.account("owner"))
    if asset == CASH:
        left = replace(held, cash=held.cash - units * CASH_SCALE)
    else:
        left = held.with_amount(asset, held.amount(asset) - units)
    return model.margin(left, stage.inputs())


@pytest.mark.parametrize(("asset", "units"), [(CASH, 1), (WETH, WAD // 1_000)])
@pytest.mark.parametrize("batched", [False, True])
def test_withdrawals_end_in_the_check(stage: Stage, asset: int, units: int, batched: bool) -> None:
    account, owner = stage.account("owner"), stage.actor("owner")
    after = without(stage, asset, units)
    args = (account, asset, units, owner.address)
    with stage.evm.reverts(
        "BelowInitialMargin", account, after.initial_equity, after.initial_margin
    ):
        if batched:
            stage.house.multicall([stage.house.encode("withdraw", *args)], sender=owner)
        else:
            stage.house.withdraw(*args, sender=owner)


@pytest.mark.parametrize(("asset", "units"), [(CASH, 1), (WETH, WAD // 1_000)])
@pytest.mark.parametrize("batched", [False, True])
def test_transfers_end_in_the_check(stage: Stage, asset: int, units: int, batched: bool) -> None:
    account, owner = stage.account("owner"), stage.actor("owner")
    after = without(stage, asset, units)
    amount = units * CASH_SCALE if asset == CASH else units
    args = (account, stage.account("owner", 1), asset, amount)
    with stage.evm.reverts(
        "BelowInitialMargin", account, after.initial_equity, after.initial_margin
    ):
        if batched:
            stage.house.multicall([stage.house.encode("transfer", *args)], sender=owner)
        else:
            stage.house.transfer(*args, sender=owner)


def sold_below_the_mark(stage: Stage) -> Margin:
    """The owner's margin after selling one ether at half its price."""
    fill = Fill(model.perpetual(ETH), -WAD, stage.marks[ETH] // 2)
    held = stage.portfolio(stage.account("owner"))
    return model.preview_trade(held, [fill], {ETH: (0, 0)}, stage.inputs())[1]


def half_price(stage: Stage) -> tuple[dict[str, Any], bytes]:
    """A friend's order to buy one ether at half its price."""
    order = stage.order(stage.fund("friend", 100_000), {ETH: 1}, 1, stage.marks[ETH] // 2)
    return order, stage.sign(order, "friend")


def test_trades_end_in_the_check(stage: Stage) -> None:
    account, owner = stage.account("owner"), stage.actor("owner")
    order, signature = half_price(stage)
    before, after = stage.margin(account), sold_below_the_mark(stage)
    args = (order, signature, account, WAD)
    attempts: list[Callable[[], Any]] = [
        lambda: stage.house.take(*args, sender=owner),
        lambda: stage.house.multicall([stage.house.encode("take", *args)], sender=owner),
    ]
    for attempt in attempts:
        with stage.evm.reverts("RatioWorsened", account, as_tuple(before), as_tuple(after)):
            attempt()


def test_a_bid_ends_in_the_bidders_check(stage: Stage) -> None:
    """Whoever takes a slice must be free to hold it: even a cheap one can be too large."""
    stage.fund("fallen", 130_000)
    stage.trade("fallen", "counterparty", {ETH: 500})
    stage.move({ETH: 1_930})
    fallen = stage.account("fallen")
    stage.start_auction(fallen)
    stage.pass_time(60)
    small = stage.fund("small", 1_000)
    held = stage.portfolio(fallen)
    price = model.bid_price(stage.margin(fallen), TENTH, model.phi(60))
    slice_ = model.Portfolio(
        cash=wad(1_000) + held.cash * TENTH // WAD - price,
        positions=tuple(
            replace(one, size=one.size * TENTH // WAD, quote=one.quote * TENTH // WAD)
            for one in held.positions
        ),
    )
    after = model.margin(slice_, stage.inputs())
    with stage.evm.reverts("BelowInitialMargin", small, after.initial_equity, after.initial_margin):
        stage.bid("small", fallen, TENTH)


def test_unlock_ends_in_the_check(stage: Stage) -> None:
    """A contract takes out everything, and is asked at the end."""
    puppet, account = stage.puppet(10_000)
    order = stage.order(stage.account("counterparty"), {ETH: 1}, -10, stage.marks[ETH])
    signature = stage.sign(order, "counterparty")
    take = stage.step("take", order, signature, account, wad(10))
    puppet.run([take])
    held = stage.portfolio(account)
    after = model.margin(replace(held, cash=held.cash - wad(9_000)), stage.inputs())
    empty = stage.step("withdraw", account, CASH, 9_000 * 10**6, puppet.address)
    with stage.evm.reverts(
        "BelowInitialMargin", account, after.initial_equity, after.initial_margin
    ):
        puppet.unlock(stage.house, [empty])
    assert stage.portfolio(account) == held


def test_nobody_else_takes_anything(stage: Stage) -> None:
    account, thief = stage.account("owner"), stage.actor("thief")
    for name, args in thefts(stage, account, thief.address):
        with stage.evm.reverts("NotAuthorised", account, thief.address):
            getattr(stage.house, name)(*args, sender=thief)


def thefts(stage: Stage, account: bytes, thief: str) -> list[Attempt]:
    order, signature = half_price(stage)
    return [
        ("withdraw", (account, CASH, 1, thief)),
        ("transfer", (account, stage.account("thief"), CASH, 1)),
        ("setDelegate", (account, thief, terms())),
        ("take", (order, signature, account, WAD)),
        ("raiseEpoch", (account,)),
        ("bid", (stage.bid_terms(account, stage.account("counterparty")),)),
    ]

"""`withdraw`: only the owner, to anybody, and only what initial margin leaves free."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import Holding, Margin, Portfolio
from tests.scenarios.stage import (
    ALT,
    CASH,
    CASH_SCALE,
    ETH,
    GLOBALS,
    WBTC,
    WETH,
    Collateral,
    Stage,
    wad,
)
from tests.unit.books import (
    HOUR,
    WITHDRAWALS,
    WSTETH,
    Event,
    cash_units,
    emitted,
    happened,
    refuses,
    transfer,
)

DECIMALS = [0, 2, 6, 8, 18, 24, 27]


def withdrawn(stage: Stage, account: bytes, asset: int, to: Any, amount: int) -> Event:
    return emitted(
        stage.house,
        "Withdrawn",
        account=account,
        owner=stage.owner(account),
        asset=asset,
        to=to.address,
        amount=amount,
    )


def take_out(stage: Stage, asset: int, units: int, who: str = "owner", **sent: Any) -> Any:
    person = stage.actor(who)
    account = stage.account("owner")
    return stage.house.withdraw(account, asset, units, person.address, sender=person, **sent)


def after(stage: Stage, asset: int, units: int) -> Margin:
    """What the twin says of the owner's account without so much of an asset."""
    held = stage.portfolio(stage.account("owner"))
    if asset == CASH:
        return model.margin(replace(held, cash=held.cash - units * CASH_SCALE), stage.inputs())
    return model.margin(held.with_amount(asset, held.amount(asset) - units), stage.inputs())


def test_cash_leaves(stage: Stage) -> None:
    account = stage.fund("owner", 1_000)
    pool = stage.house.call.pool()
    receipt = take_out(stage, CASH, cash_units(stage, 400))
    owner = stage.actor("owner")
    assert happened(receipt) == [
        withdrawn(stage, account, CASH, owner, cash_units(stage, 400)),
        transfer(stage, CASH, stage.vault, owner, cash_units(stage, 400)),
    ]
    assert stage.portfolio(account) == Portfolio(cash=wad(600))
    assert stage.house.call.pool() == pool._replace(supplied=pool.supplied - wad(400))
    assert stage.dollar.call.balanceOf(owner) == cash_units(stage, 400)
    assert tuple(stage.house.call.versions(account)) == (0, 1)
    assert stage.surplus([account]) == 0


def test_collateral_leaves(stage: Stage) -> None:
    account = stage.deposit("owner", WETH, 10)
    stage.deposit("owner", WBTC, 5)
    pool = stage.house.call.pool()
    receipt = take_out(stage, WETH, 4)
    owner = stage.actor("owner")
    assert happened(receipt) == [
        withdrawn(stage, account, WETH, owner, 4),
        transfer(stage, WETH, stage.vault, owner, 4),
    ]
    held = (Holding(WETH, 6), Holding(WBTC, 5))
    assert stage.portfolio(account) == Portfolio(collateral=held)
    assert stage.house.call.claims(WETH) == 6
    assert stage.house.call.pool() == pool
    take_out(stage, WETH, 6)
    assert stage.portfolio(account) == Portfolio(collateral=(Holding(WBTC, 5),))
    assert tuple(stage.house.call.versions(account)) == (0, 2)


def test_to_whom_the_owner_says(stage: Stage) -> None:
    account, owner, friend = stage.fund("owner", 1), stage.actor("owner"), stage.actor("taker")
    receipt = stage.house.withdraw(account, CASH, 10**6, friend, sender=owner)
    assert happened(receipt)[0] == withdrawn(stage, account, CASH, friend, 10**6)
    assert stage.dollar.call.balanceOf(friend) == 10**6
    assert stage.dollar.call.balanceOf(owner) == 0


def test_collateral_lends_cash(stage: Stage) -> None:
    account = stage.deposit("owner", WETH, wad(1))
    pool = stage.house.call.pool()
    take_out(stage, CASH, cash_units(stage, 1_000))
    assert stage.portfolio(account) == Portfolio(-wad(1_000), (Holding(WETH, wad(1)),))
    assert stage.house.call.pool() == pool._replace(borrowed=wad(1_000))


def test_the_last_unit_of_cash_that_margin_leaves_free(stage: Stage) -> None:
    stage.deposit("owner", WETH, wad(3))
    margin = stage.margin(stage.account("owner"))
    free = (margin.initial_equity - margin.initial_margin) // CASH_SCALE
    over = after(stage, CASH, free + 1)
    assert not over.is_free
    with refuses(
        stage,
        "BelowInitialMargin",
        stage.account("owner"),
        over.initial_equity,
        over.initial_margin,
    ):
        take_out(stage, CASH, free + 1)
    take_out(stage, CASH, free)
    assert stage.margin(stage.account("owner")).is_free


@pytest.mark.parametrize("decimals", DECIMALS)
def test_the_last_unit_of_collateral_of_any_decimals(decimals: int) -> None:
    stage = Stage(collateral={WETH: Collateral(ETH, decimals=decimals)})
    account = stage.deposit("owner", WETH, 1_000 * 10**decimals)
    take_out(stage, CASH, cash_units(stage, 1_000_000))
    most = model.largest_withdrawal(stage.portfolio(account), WETH, stage.inputs())
    assert 0 < most < 1_000 * 10**decimals
    over = after(stage, WETH, most + 1)
    with refuses(stage, "BelowInitialMargin", account, over.initial_equity, over.initial_margin):
        take_out(stage, WETH, most + 1)
    take_out(stage, WETH, most)
    assert stage.tokens[WETH].call.balanceOf(stage.actor("owner")) == most
    assert stage.house.call.claims(WETH) == 1_000 * 10**decimals - most


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_the_last_unit_of_cash_of_any_decimals(decimals: int) -> None:
    """A token unit is a debt of as many dollars as it is worth, and leaves nothing behind."""
    stage = Stage(cash_decimals=decimals)
    account = stage.fund("owner", 7)
    take_out(stage, CASH, 7 * 10**decimals - 1)
    assert stage.cash(account) == 10 ** (18 - decimals)
    stage.deposit("owner", WETH, wad(1))
    take_out(stage, CASH, 2)
    assert stage.cash(account) == -(10 ** (18 - decimals))
    assert stage.surplus([account]) == 0


def test_savings_need_no_price(stage: Stage) -> None:
    """Without positions and debt no feed is asked, whatever it would answer."""
    stage.fund("owner", 5)
    stage.deposit("owner", WETH, 5)
    for one in stage.underlyings.values():
        one.feed.break_down()
    take_out(stage, WETH, 5)
    take_out(stage, CASH, cash_units(stage, 5))
    assert stage.portfolio(stage.account("owner")) == Portfolio()


def test_what_leaves_makes_room_in_the_hour(stage: Stage) -> None:
    """Growth never falls below zero: what came in an earlier hour makes none."""
    stage.deposit("owner", WETH, 10)
    stage.pass_time(HOUR)
    stage.deposit("owner", WETH, 3)
    take_out(stage, WETH, 5)
    assert stage.house.call.claims(WETH) == 8
    stage.deposit("owner", WETH, 1)
    assert stage.portfolio(stage.account("owner")).amount(WETH) == 9


class TestRefused:
    @pytest.mark.parametrize("who", ["stranger", "desk"])
    def test_to_all_but_the_owner(self, stage: Stage, who: str) -> None:
        account, person = stage.fund("owner", 1), stage.actor(who)
        stage.appoint(account, "desk")
        with refuses(stage, "NotAuthorised", account=account, caller=person.address):
            take_out(stage, CASH, 1, who)

    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_while_withdrawals_are_paused(self, stage: Stage, asset: int) -> None:
        stage.deposit("owner", asset, 1)
        stage.house.setPause(1 << WITHDRAWALS, 0)
        with refuses(stage, "Paused", action=WITHDRAWALS, asset=asset):
            take_out(stage, asset, 1)

    @pytest.mark.parametrize(("paused", "other"), [(CASH, WETH), (WETH, WBTC)])
    def test_while_the_asset_is_paused(self, stage: Stage, paused: int, other: int) -> None:
        stage.deposit("owner", paused, 1)
        stage.deposit("owner", other, 1)
        stage.house.setPause(0, 1 << paused)
        with refuses(stage, "Paused", action=WITHDRAWALS, asset=paused):
            take_out(stage, paused, 1)
        take_out(stage, other, 1)

    @pytest.mark.parametrize("asset", [CASH, WETH, 95])
    def test_nothing(self, stage: Stage, asset: int) -> None:
        with refuses(stage, "ZeroAmount"):
            take_out(stage, asset, 0)

    def test_more_collateral_than_is_held(self, stage: Stage) -> None:
        account = stage.deposit("owner", WETH, 5)
        stage.deposit("maker", WETH, 5)
        with refuses(stage, "InsufficientCollateral", account, WETH, 5, 6):
            take_out(stage, WETH, 6)

    @pytest.mark.parametrize("asset", [WBTC, 95, 96, 2**16 - 1])
    def test_collateral_that_is_not_held(self, stage: Stage, asset: int) -> None:
        account = stage.deposit("owner", WETH, 5)
        with refuses(stage, "InsufficientCollateral", account, asset, 0, 1):
            take_out(stage, asset, 1)

    def test_more_cash_than_the_pool_has(self, stage: Stage) -> None:
        stage.deposit("owner", WETH, wad(10**8))
        present = stage.dollar.call.balanceOf(stage.vault)
        with refuses(stage, "InsufficientLiquidity", available=present, amount=present + 1):
            take_out(stage, CASH, present + 1)

    def test_while_losers_owe_the_winners(self) -> None:
        stage = Stage(factors=replace(GLOBALS, winners_cap=100))
        stage.fund("owner", 10_000)
        stage.fund("maker", 10_000)
        stage.trade("owner", "maker", {ALT: 100})
        stage.report({ALT: wad("11.000001")})
        stage.settle(stage.account("owner"), ALT)
        with refuses(stage, "WinnersCapExceeded", unpaid=wad("100.0001"), cap=wad(100)):
            take_out(stage, CASH, 1)
        stage.settle(stage.account("maker"), ALT)
        take_out(stage, CASH, 1)

    def test_at_a_doubtful_price(self, stage: Stage) -> None:
        """Even of another asset, as soon as there is a debt."""
        account = stage.deposit("owner", WETH, wad(1))
        stage.deposit("owner", WBTC, 10**8)
        take_out(stage, CASH, 1)
        stage.underlyings[ETH].feed.break_down()
        for asset in (CASH, WETH, WBTC):
            with refuses(stage, "DoubtfulPrice", account=account):
                take_out(stage, asset, 1)
        stage.underlyings[ETH].feed.mend()
        take_out(stage, WBTC, 1)

    def test_at_a_doubtful_rate(self, stage: Stage) -> None:
        account = stage.deposit("owner", WSTETH, wad(1))
        take_out(stage, CASH, 1)
        feed = stage.assets[WSTETH].rate_feed
        assert feed is not None
        feed.break_down()
        with refuses(stage, "DoubtfulPrice", account=account):
            take_out(stage, CASH, 1)

    @pytest.mark.parametrize(("asset", "units"), [(CASH, 100 * 10**6), (WETH, 10**17)])
    def test_below_initial_margin(self, stage: Stage, asset: int, units: int) -> None:
        account = stage.deposit("owner", WETH, wad(1))
        take_out(stage, CASH, cash_units(stage, 1_700))
        over = after(stage, asset, units)
        with refuses(
            stage, "BelowInitialMargin", account, over.initial_equity, over.initial_margin
        ):
            take_out(stage, asset, units)

    def test_what_is_somebody_elses(self, stage: Stage) -> None:
        """The vault has lost tokens: whoever is first takes nothing of the others'."""
        stage.deposit("owner", WETH, 5)
        stage.deposit("maker", WETH, 5)
        token = stage.tokens[WETH]
        token.shrink(stage.vault, 1)
        with refuses(stage, "BalanceBelowClaims", token.address, 8, 9):
            take_out(stage, WETH, 1)

    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_by_the_token(self, stage: Stage, asset: int) -> None:
        stage.deposit("owner", asset, 5)
        token = stage.tokens[asset]
        token.setAnswer(2)
        with refuses(stage, "SafeERC20FailedOperation", token=token.address):
            take_out(stage, asset, 5)
        token.setAnswer(0)
        token.setBlocked(stage.actor("owner"), True)
        with refuses(stage, "Blocked", who=stage.actor("owner").address):
            take_out(stage, asset, 5)

    def test_ether(self, stage: Stage) -> None:
        stage.fund("owner", 5)
        with refuses(stage, "ValueNotAccepted", value=1):
            take_out(stage, CASH, 1, value=1)

    def test_while_the_token_is_moving(self, stage: Stage) -> None:
        """The recipient is called in the middle, and takes nothing twice."""
        account = stage.fund("owner", 5)
        data = stage.house.encode("withdraw", account, CASH, 1, stage.actor("owner").address)
        stage.dollar.setHook(stage.house, data)
        take_out(stage, CASH, cash_units(stage, 2))
        assert not stage.dollar.call.hookPassed()
        raw = bytes(stage.dollar.call.hookAnswer())
        assert stage.evm.registry.errors[raw[:4]].name == "Reentered"
        assert stage.cash(account) == wad(3)

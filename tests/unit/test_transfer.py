"""`transfer`: between two accounts of one owner, checked as a withdrawal of the first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Holding, Portfolio
from tests.evm import Receipt
from tests.scenarios.stage import CASH, ETH, WBTC, WETH, Collateral, Stage, wad
from tests.unit.books import WITHDRAWALS, Event, cash_units, emitted, happened, refuses

DECIMALS = [0, 2, 6, 8, 18, 24, 27]


def move(stage: Stage, asset: int, amount: int, who: str = "owner", **sent: Any) -> Receipt:
    """From the owner's first account to the second."""
    accounts = stage.account("owner"), stage.account("owner", 1)
    return stage.house.transfer(*accounts, asset, amount, sender=stage.actor(who), **sent)


def transferred(stage: Stage, asset: int, amount: int) -> Event:
    source, target = stage.account("owner"), stage.account("owner", 1)
    fields = {"from_": source, "to": target, "asset": asset, "amount": amount}
    return emitted(stage.house, "Transferred", **fields)


def test_cash_moves_in_dollars_of_18_decimals(stage: Stage) -> None:
    source, target = stage.fund("owner", 10), stage.account("owner", 1)
    pool, present = stage.house.call.pool(), stage.dollar.call.balanceOf(stage.vault)
    receipt = move(stage, CASH, wad("3.000000000000000001"))
    assert happened(receipt) == [transferred(stage, CASH, wad("3.000000000000000001"))]
    assert stage.portfolio(source) == Portfolio(wad("6.999999999999999999"))
    assert stage.portfolio(target) == Portfolio(wad("3.000000000000000001"))
    assert stage.house.call.pool() == pool
    assert stage.dollar.call.balanceOf(stage.vault) == present
    assert tuple(stage.house.call.versions(source)) == (0, 1)
    assert tuple(stage.house.call.versions(target)) == (0, 0)


def test_collateral_moves_and_opens_its_place(stage: Stage) -> None:
    source, target = stage.deposit("owner", WETH, 10), stage.account("owner", 1)
    receipt = move(stage, WETH, 4)
    assert happened(receipt) == [transferred(stage, WETH, 4)]
    assert stage.portfolio(source) == Portfolio(collateral=(Holding(WETH, 6),))
    assert stage.portfolio(target) == Portfolio(collateral=(Holding(WETH, 4),))
    move(stage, WETH, 6)
    assert stage.portfolio(source) == Portfolio()
    assert stage.portfolio(target) == Portfolio(collateral=(Holding(WETH, 10),))
    assert stage.house.call.claims(WETH) == 10


def test_a_loan_pays_the_debt_of_another_account(stage: Stage) -> None:
    source = stage.deposit("owner", WETH, wad(2))
    target = stage.deposit("owner", WETH, wad(1), 1)
    stage.withdraw_cash(target, 1_000)
    pool = stage.house.call.pool()
    move(stage, CASH, wad(1_500))
    assert stage.cash(source) == -wad(1_500)
    assert stage.cash(target) == wad(500)
    changed = pool._replace(borrowed=wad(1_500), supplied=pool.supplied + wad(500))
    assert stage.house.call.pool() == changed


def test_an_account_below_its_margin_may_be_helped(stage: Stage) -> None:
    """Only the account that gives is checked."""
    stage.fund("maker", 1_000_000)
    stage.fund("owner", 30_000, 1)
    stage.fund("owner", 10)
    stage.trade("owner", "maker", {ETH: 100}, buyer_sub=1)
    stage.report({ETH: wad(1_800)})
    target = stage.account("owner", 1)
    assert not stage.margin(target).is_healthy
    equity = stage.margin(target).equity
    move(stage, CASH, wad(10))
    assert stage.margin(target).equity == equity + wad(10)


def test_savings_need_no_price(stage: Stage) -> None:
    stage.fund("owner", 5)
    stage.deposit("owner", WETH, 5)
    for one in stage.underlyings.values():
        one.feed.break_down()
    move(stage, WETH, 5)
    move(stage, CASH, wad(5))
    assert stage.portfolio(stage.account("owner")) == Portfolio()


@pytest.mark.parametrize("decimals", DECIMALS)
def test_a_unit_of_a_token_of_any_decimals(decimals: int) -> None:
    stage = Stage(collateral={WETH: Collateral(ETH, decimals=decimals)})
    source = stage.deposit("owner", WETH, 10**decimals + 1)
    move(stage, WETH, 10**decimals)
    target = stage.account("owner", 1)
    assert stage.portfolio(source) == Portfolio(collateral=(Holding(WETH, 1),))
    assert stage.portfolio(target) == Portfolio(collateral=(Holding(WETH, 10**decimals),))
    assert stage.margin(target).equity == wad(2_000)


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_cash_is_finer_than_its_token(decimals: int) -> None:
    """What is below a unit of the token stays in the books until it adds up to one."""
    stage = Stage(cash_decimals=decimals)
    source = stage.fund("owner", 1)
    move(stage, CASH, 1)
    target = stage.account("owner", 1)
    assert (stage.cash(source), stage.cash(target)) == (WAD - 1, 1)
    back = stage.house.encode("transfer", target, source, CASH, 1)
    out = stage.house.encode("withdraw", source, CASH, 10**decimals, stage.actor("owner").address)
    stage.house.multicall([back, out], sender=stage.actor("owner"))
    assert (stage.cash(source), stage.cash(target)) == (0, 0)


class TestRefused:
    @pytest.mark.parametrize("who", ["stranger", "desk"])
    def test_to_all_but_the_owner(self, stage: Stage, who: str) -> None:
        account, person = stage.fund("owner", 1), stage.actor(who)
        stage.appoint(account, "desk")
        with refuses(stage, "NotAuthorised", account=account, caller=person.address):
            move(stage, CASH, 1, who)

    def test_to_somebody_else(self, stage: Stage) -> None:
        source, target = stage.fund("owner", 1), stage.account("maker")
        with refuses(stage, "NotYourSubAccount", source, target):
            stage.house.transfer(source, target, CASH, 1, sender=stage.actor("owner"))

    def test_to_itself(self, stage: Stage) -> None:
        source = stage.fund("owner", 1)
        with refuses(stage, "NotYourSubAccount", source, source):
            stage.house.transfer(source, source, CASH, 1, sender=stage.actor("owner"))

    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_while_withdrawals_are_paused(self, stage: Stage, asset: int) -> None:
        stage.deposit("owner", asset, 1)
        stage.house.setPause(1 << WITHDRAWALS, 0)
        with refuses(stage, "Paused", action=WITHDRAWALS, asset=asset):
            move(stage, asset, 1)

    @pytest.mark.parametrize(("paused", "other"), [(CASH, WETH), (WETH, WBTC)])
    def test_while_the_asset_is_paused(self, stage: Stage, paused: int, other: int) -> None:
        stage.deposit("owner", paused, 1)
        stage.deposit("owner", other, 1)
        stage.house.setPause(0, 1 << paused)
        with refuses(stage, "Paused", action=WITHDRAWALS, asset=paused):
            move(stage, paused, 1)
        move(stage, other, 1)

    @pytest.mark.parametrize("asset", [CASH, WETH, 95])
    def test_nothing(self, stage: Stage, asset: int) -> None:
        with refuses(stage, "ZeroAmount"):
            move(stage, asset, 0)

    @pytest.mark.parametrize(("asset", "held"), [(WETH, 5), (WBTC, 0), (95, 0), (2**16 - 1, 0)])
    def test_more_collateral_than_is_held(self, stage: Stage, asset: int, held: int) -> None:
        account = stage.deposit("owner", WETH, 5)
        with refuses(stage, "InsufficientCollateral", account, asset, held, held + 1):
            move(stage, asset, held + 1)

    @pytest.mark.parametrize(("asset", "amount"), [(CASH, wad(100)), (WETH, 10**17)])
    def test_below_initial_margin(self, stage: Stage, asset: int, amount: int) -> None:
        account = stage.deposit("owner", WETH, wad(1))
        stage.withdraw(account, CASH, cash_units(stage, 1_700))
        held = stage.portfolio(account)
        left = replace(held, cash=held.cash - amount)
        if asset != CASH:
            left = held.with_amount(asset, held.amount(asset) - amount)
        over = model.margin(left, stage.inputs())
        with refuses(
            stage, "BelowInitialMargin", account, over.initial_equity, over.initial_margin
        ):
            move(stage, asset, amount)

    def test_at_a_doubtful_price(self, stage: Stage) -> None:
        account = stage.deposit("owner", WETH, wad(1))
        stage.withdraw(account, CASH, 1)
        stage.underlyings[ETH].feed.break_down()
        for asset in (CASH, WETH):
            with refuses(stage, "DoubtfulPrice", account=account):
                move(stage, asset, 1)

    @pytest.mark.parametrize("amount", [2**255, 2**256 - 1])
    def test_more_than_every_number(self, stage: Stage, amount: int) -> None:
        stage.fund("owner", 1)
        with refuses(stage, "SafeCastOverflowedUintToInt", value=amount):
            move(stage, CASH, amount)

    @pytest.mark.parametrize(
        ("amount", "error", "values"),
        [
            (2**127 + 1, "SafeCastOverflowedIntDowncast", {"bits": 128, "value": -(2**127) - 1}),
            (2**119 + 1, "PrincipalTooLarge", {"principal": -(2**119) - 1}),
        ],
    )
    def test_more_cash_than_has_its_place(
        self, stage: Stage, amount: int, error: str, values: dict[str, int]
    ) -> None:
        with refuses(stage, error, **values):
            move(stage, CASH, amount)

    def test_ether(self, stage: Stage) -> None:
        stage.fund("owner", 5)
        with refuses(stage, "ValueNotAccepted", value=1):
            move(stage, CASH, 1, value=1)

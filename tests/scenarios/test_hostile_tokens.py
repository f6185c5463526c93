"""Tokens that charge, shrink, move too little, answer nothing or lie, block, or change.

What is credited is what arrived; what a token loses is nobody else's loss; a token that fails stops
its own exits, and neither a liquidation nor anything else in the account.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.scenarios.stage import CASH, ETH, WALT, WBTC, WETH, Stage, wad

TRUE, NOTHING, FALSE = range(3)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def deposit(stage: Stage, who: str, asset: int, units: int) -> int:
    """What was credited for a deposit of so many units."""
    stage.give(stage.actor(who), asset, units)
    account = stage.account(who)
    received = stage.house.deposit(account, asset, units, sender=stage.actor(who)).value
    if asset != CASH:
        stage.note_total(asset, stage.house.call.claims(asset))
    return int(received)


@pytest.mark.parametrize("asset", [CASH, WETH])
@pytest.mark.parametrize("fee", [1, 250, 9_999])
def test_a_transfer_fee_is_the_depositors(stage: Stage, asset: int, fee: int) -> None:
    stage.tokens[asset].setFee(fee)
    units = 10_000 * 10**6
    arrived = units - units * fee // 10_000
    assert deposit(stage, "owner", asset, units) == arrived
    account = stage.account("owner")
    credited = stage.portfolio(account).amount(asset) if asset else stage.cash(account) // 10**12
    assert credited == arrived


def test_a_fee_of_everything_is_no_deposit(stage: Stage) -> None:
    stage.tokens[WETH].setFee(10_000)
    stage.give(stage.actor("owner"), WETH, WAD)
    with stage.evm.reverts("NothingReceived", stage.tokens[WETH].address):
        stage.house.deposit(stage.account("owner"), WETH, WAD, sender=stage.actor("owner"))


def test_a_short_transfer_credits_what_came(stage: Stage) -> None:
    stage.tokens[WETH].setShortfall(1_000)
    assert deposit(stage, "owner", WETH, WAD) == WAD * 9 // 10
    assert stage.house.call.claims(WETH) == WAD * 9 // 10


@pytest.mark.parametrize("asset", [CASH, WETH])
def test_a_token_that_answers_nothing_works(stage: Stage, asset: int) -> None:
    stage.tokens[asset].setAnswer(NOTHING)
    assert deposit(stage, "owner", asset, 10**6) == 10**6
    stage.withdraw(stage.account("owner"), asset, 10**6)
    assert stage.tokens[asset].call.balanceOf(stage.actor("owner")) == 10**6


@pytest.mark.parametrize("asset", [CASH, WETH])
def test_a_token_that_says_no_is_believed(stage: Stage, asset: int) -> None:
    deposit(stage, "owner", asset, 10**6)
    stage.tokens[asset].setAnswer(FALSE)
    token = stage.tokens[asset].address
    stage.tokens[asset].mint(stage.actor("owner"), 1)
    with stage.evm.reverts("SafeERC20FailedOperation", token):
        stage.house.deposit(stage.account("owner"), asset, 1, sender=stage.actor("owner"))
    with stage.evm.reverts("SafeERC20FailedOperation", token):
        stage.withdraw(stage.account("owner"), asset, 1)


def test_a_shrinking_token_stops_its_own_exits_only(stage: Stage) -> None:
    """Whoever runs first takes nothing that belongs to who sleeps."""
    account = stage.account("owner")
    for asset in (WETH, WALT):
        deposit(stage, "owner", asset, 10 * WAD)
    deposit(stage, "sleeper", WETH, 10 * WAD)
    token = stage.tokens[WETH]
    token.shrink(stage.vault, 5 * WAD)
    with stage.evm.reverts("BalanceBelowClaims", token.address, 14 * WAD, 19 * WAD):
        stage.withdraw(account, WETH, WAD)
    stage.withdraw(account, WALT, 10 * WAD)
    token.mint(stage.vault, 5 * WAD)
    stage.withdraw(account, WETH, 10 * WAD)
    assert token.call.balanceOf(stage.vault) == stage.house.call.claims(WETH) == 10 * WAD


def test_changed_decimals_change_no_claim(stage: Stage) -> None:
    """Decimals are pinned when the token is listed."""
    deposit(stage, "owner", WBTC, 10**8)
    account = stage.account("owner")
    before = stage.margin(account)
    stage.tokens[WBTC].setDecimals(0)
    assert stage.margin(account) == before
    assert before.equity == wad(50_000)


def liquidation(stage: Stage) -> bytes:
    """An account with a hostile token among what it holds, deep in its auction."""
    stage.fund("counterparty", 1_000_000)
    stage.fund("bidder", 1_000_000)
    deposit(stage, "owner", WALT, 100 * WAD)
    stage.fund("owner", 25_500)
    stage.trade("owner", "counterparty", {ETH: 100})
    account = stage.account("owner")
    stage.move({ETH: 1_930})
    stage.start_auction(account)
    stage.pass_time(300)
    return account


@pytest.mark.parametrize("victim", ["owner", "bidder", "vault"])
def test_a_blocklist_stops_no_liquidation(stage: Stage, victim: str) -> None:
    """A slice changes hands in the books: no token moves."""
    account = liquidation(stage)
    who = stage.vault if victim == "vault" else stage.actor(victim)
    for token in stage.tokens.values():
        token.setBlocked(who, True)
    held = stage.portfolio(account)
    (taken,) = stage.bid("bidder", account, WAD // 10).events("SliceTaken")
    assert taken.fraction == WAD // 10
    moved = held.amount(WALT) // 10
    assert stage.portfolio(stage.account("bidder")).amount(WALT) == moved
    assert stage.portfolio(account).amount(WALT) == held.amount(WALT) - moved


def test_a_blocked_owner_withdraws_elsewhere(stage: Stage) -> None:
    deposit(stage, "owner", WETH, WAD)
    account, owner = stage.account("owner"), stage.actor("owner")
    token = stage.tokens[WETH]
    token.setBlocked(owner, True)
    with stage.evm.reverts("Blocked", owner.address):
        stage.withdraw(account, WETH, WAD)
    other = stage.actor("other")
    stage.withdraw(account, WETH, WAD, other.address)
    assert token.call.balanceOf(other) == WAD


def test_a_token_that_burns_gas_stops_no_check(stage: Stage) -> None:
    """A margin check calls feeds and rates, never tokens."""
    deposit(stage, "owner", WETH, WAD)
    account = stage.account("owner")
    before = stage.margin(account)
    stage.tokens[WETH].setHook(stage.house, stage.house.encode("margin", account))
    assert model.Margin(*stage.house.call.margin(account)) == before
    with stage.evm.reverts("UnknownAsset", 95):
        stage.house.deposit(account, 95, 1, sender=stage.actor("owner"))

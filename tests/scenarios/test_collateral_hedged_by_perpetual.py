"""Ether collateral, borrowed dollars, a short perpetual: through a crash, and out again.

The unhedged twin of the account is liquidated on the way down. The hedged one has moved its loss on
the token into a gain in cash, and leaves with everything it came with, less the fees.
"""

from __future__ import annotations

import pytest

from plimsoll.risk.model import WAD, ceil_div
from plimsoll.risk.params import MarketParams
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, WETH, Collateral, Listed, Stage, wad

ETHERS, LOAN = 50, 70_000
TAKER, MAKER = 500, 200


@pytest.fixture
def stage() -> Stage:
    market = MarketParams(taker_fee=TAKER, maker_fee=MAKER)
    stage = Stage(
        underlyings={ETH: Listed(2_000, market=market)}, collateral={WETH: Collateral(ETH)}
    )
    stage.fund("maker", 1_000_000)
    for name in ("hedged", "unhedged"):
        account = stage.deposit(name, WETH, ETHERS * WAD)
        if name == "hedged":
            stage.trade("hedged", "maker", {ETH: -ETHERS})
        stage.withdraw_cash(account, LOAN)
    return stage


def test_the_hedged_account_survives_the_crash(stage: Stage) -> None:
    hedged, unhedged = stage.account("hedged"), stage.account("unhedged")
    equity = stage.margin(hedged).equity
    for price in (1_800, 1_500, 1_000, 500):
        stage.move({ETH: price})
        assert stage.margin(hedged).equity == equity
        assert stage.margin(hedged).is_healthy
    assert stage.margin(unhedged).equity == ETHERS * wad(500) - wad(LOAN)


def test_it_leaves_with_what_it_came_with(stage: Stage) -> None:
    """Settle, repay from the gain, close, and take the token out: only fees are gone."""
    account = stage.account("hedged")
    fee = ceil_div(ETHERS * wad(2_000) * TAKER, 10**6)
    assert stage.margin(account).equity == ETHERS * wad(2_000) - wad(LOAN) - fee
    stage.move({ETH: 500})
    stage.settle(account, ETH)
    assert stage.cash(account) == ETHERS * wad(1_500) - wad(LOAN) - fee
    stage.trade("hedged", "maker", {ETH: ETHERS})
    out = ceil_div(ETHERS * wad(500) * TAKER, 10**6)
    left = ETHERS * wad(1_500) - wad(LOAN) - fee - out
    assert stage.cash(account) == left
    stage.settle(stage.account("maker"), ETH)
    stage.withdraw(account, WETH, ETHERS * WAD)
    stage.withdraw(account, CASH, left // CASH_SCALE)
    assert stage.tokens[WETH].call.balanceOf(stage.actor("hedged")) == ETHERS * WAD
    assert stage.house.call.pool().netQuote == 0


def test_the_unhedged_account_is_taken_in_slices(stage: Stage) -> None:
    """Both hold the same token and the same loan; only this one goes."""
    account = stage.account("unhedged")
    stage.fund("bidder", 1_000_000)
    stage.move({ETH: 1_560})
    stage.start_auction(account)
    stage.pass_time(120)
    before = stage.margin(account)
    stage.bid("bidder", account)
    after = stage.margin(account)
    assert after.is_healthy
    assert after.maintenance_margin < before.maintenance_margin
    taken = ETHERS * WAD - stage.portfolio(account).amount(WETH)
    assert stage.portfolio(stage.account("bidder")).amount(WETH) == taken
    stage.house.reset(account)

"""One dollar is one dollar in a token of 0, 2, 6, 8, 18, 24 or 27 decimals."""

from __future__ import annotations

import pytest

from plimsoll.deploy.sender import NOBODY
from plimsoll.risk.model import WAD
from tests.evm import Evm
from tests.scenarios.stage import CASH, ETH, WETH, Collateral, Listed, Stage, wad
from tests.world import foreign, new_engine

TOKENS = 50


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18, 24, 27])
def test_collateral_of_any_decimals(decimals: int) -> None:
    """The same holding, the same margin, and the same largest loan."""
    stage = Stage(
        underlyings={ETH: Listed(2_000)}, collateral={WETH: Collateral(ETH, decimals=decimals)}
    )
    units = TOKENS * 10**decimals
    account = stage.deposit("owner", WETH, units)
    assert stage.margin(account).equity == wad(100_000)
    stage.withdraw_cash(account, 50_000)
    margin = stage.margin(account)
    assert (margin.initial_margin, margin.maintenance_margin) == (wad(13_875), wad(11_100))
    left = TOKENS * 10**decimals // 10
    stage.withdraw(account, WETH, left)
    assert stage.portfolio(account).amount(WETH) == units - left
    assert stage.margin(account).equity == wad(40_000)
    assert stage.tokens[WETH].call.balanceOf(stage.actor("owner")) == left


def test_dust_below_a_unit_of_the_underlying_is_worth_nothing() -> None:
    """In 27 decimals 10^9 token units are one unit of the underlying: rounded down."""
    stage = Stage(underlyings={ETH: Listed(2_000)}, collateral={WETH: Collateral(ETH, decimals=27)})
    account = stage.deposit("owner", WETH, 10**9 - 1)
    assert stage.margin(account).equity == 0
    stage.deposit("owner", WETH, 1)
    assert stage.margin(account).equity == 2_000


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_a_settlement_token_of_up_to_18_decimals(decimals: int) -> None:
    stage = Stage(cash_decimals=decimals)
    account = stage.fund("owner", 1_000)
    assert stage.cash(account) == wad(1_000)
    stage.withdraw(account, CASH, 10**decimals)
    assert stage.cash(account) == wad(999)
    assert stage.surplus([account]) == 0


@pytest.mark.parametrize("decimals", [19, 24, 27])
def test_a_finer_settlement_token_is_refused(decimals: int) -> None:
    evm = Evm()
    manager = evm.deploy(foreign("AccessManager"), evm.deployer)
    engine, token = new_engine(evm, manager), evm.deploy("MockToken", decimals)
    modules = evm.deploy("TradingModule"), evm.deploy("LiquidationModule")
    with evm.reverts("UnsupportedDecimals", decimals):
        evm.deploy("ClearingHouse", manager, engine, token, NOBODY, *modules)


@pytest.mark.parametrize(("decimals", "value"), [(0, 2_000), (8, 2_000 * 10**8), (18, wad(2_000))])
def test_a_feed_of_any_decimals(decimals: int, value: int) -> None:
    stage = Stage(underlyings={ETH: Listed(2_000, decimals=decimals)}, collateral={})
    assert stage.underlyings[ETH].feed.contract.call.answer() == value
    assert stage.engine.call.price(ETH).index == 2_000 * WAD

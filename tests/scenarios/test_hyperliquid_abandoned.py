"""Hyperliquid, March 2025: profit was withdrawn and a position too large to close left behind.

Concentration costs margin that grows with the square of the size, so what must stay behind after a
withdrawal covers an exit of that size; and what is left, when abandoned, pays its own liquidation.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import CONCENTRATION_SCALE, WAD, ceil_div
from plimsoll.risk.params import MarketParams
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, RISK, Listed, Stage, wad

CONCENTRATION = 5_000
"""Half a per cent for every hundred thousand dollars of position."""


@pytest.fixture
def stage() -> Stage:
    listed = Listed(
        2_000,
        risk=replace(RISK, concentration=CONCENTRATION),
        market=MarketParams(stress_jump=1_000),
    )
    stage = Stage(underlyings={ETH: listed}, collateral={})
    stage.fund("maker", 100_000_000)
    stage.fund("bidder", 100_000_000)
    return stage


@pytest.mark.parametrize("units", [10, 100, 1_000])
def test_the_charge_grows_with_the_square(stage: Stage, units: int) -> None:
    account = stage.fund("whale", 3_000_000)
    stage.trade("whale", "maker", {ETH: units})
    value = units * wad(2_000)
    parts = model.breakdown(stage.portfolio(account), stage.inputs()).maintenance
    stage.margin(account)
    convex = ceil_div(value * value * CONCENTRATION, CONCENTRATION_SCALE)
    assert parts.position_charge == value * 10 // 10_000 + convex
    assert convex == value * units // 10_000


def test_what_stays_behind_pays_for_the_exit(stage: Stage) -> None:
    """Profit is taken to the last unit; the price turns; liquidation costs nobody else a cent."""
    account = stage.fund("whale", 600_000)
    stage.trade("whale", "maker", {ETH: 1_000})
    stage.move({ETH: 2_300})
    stage.settle_stable()
    stage.settle(account, ETH)
    stage.settle(stage.account("maker"), ETH)
    margin = stage.margin(account)
    units = (margin.initial_equity - margin.initial_margin) // CASH_SCALE
    stage.withdraw(account, CASH, units)
    left = stage.margin(account)
    convex = model.breakdown(stage.portfolio(account), stage.inputs()).maintenance.position_charge
    assert convex > wad(200_000), "a tenth of the position's value, for its size alone"
    assert left.equity >= ceil_div(12_500 * left.maintenance_margin, 10_000)
    stage.move({ETH: 2_100})
    reserves = stage.house.call.pool().reserves
    stage.start_auction(account)
    stage.pass_time(60)
    (taken,) = stage.bid("bidder", account).events("SliceTaken")
    assert taken.price > 0
    assert stage.margin(account).is_healthy
    assert stage.house.call.pool().reserves == reserves
    assert taken.fraction < WAD

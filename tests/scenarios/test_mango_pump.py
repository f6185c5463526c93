"""Mango, October 2022: the price of an own position was pumped, its profit borrowed against.

Initial margin never credits a price above its stable price, which moves by at most a range an hour
however often it is poked. Open interest is capped by what the reserves can carry.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model, oracle
from plimsoll.risk.model import ceil_div
from plimsoll.risk.params import MarketParams
from tests.scenarios.stage import (
    ALT,
    CASH,
    CASH_SCALE,
    ETH,
    RANGE,
    WALT,
    Collateral,
    Listed,
    Stage,
    wad,
)

UNITS = 10_000


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("pumper", 20_000)
    stage.fund("pumper", 20_000, 1)
    stage.trade("pumper", "pumper", {ALT: UNITS}, seller_sub=1)
    return stage


def test_the_pumped_profit_is_not_borrowed(stage: Stage) -> None:
    account = stage.account("pumper")
    before = stage.margin(account)
    stage.move({ALT: 100})
    after = stage.margin(account)
    gain = UNITS * wad(90)
    assert after.equity == before.equity + gain
    assert after.initial_equity == before.initial_equity, "not a dollar of it counts"
    units = (after.initial_equity - after.initial_margin) // CASH_SCALE
    assert units < 0, "the higher price even costs margin"
    refused = model.margin(
        replace(stage.portfolio(account), cash=stage.cash(account) - CASH_SCALE), stage.inputs()
    )
    with stage.evm.reverts(
        "BelowInitialMargin", account, refused.initial_equity, refused.initial_margin
    ):
        stage.withdraw(account, CASH, 1)


def test_settling_the_profit_into_cash_changes_nothing(stage: Stage) -> None:
    account = stage.account("pumper")
    stage.move({ALT: 100})
    before = stage.margin(account)
    stage.settle(account, ALT)
    after = stage.margin(account)
    assert (after.equity, after.initial_equity) == (before.equity, before.initial_equity)


def test_the_stable_price_moves_a_range_an_hour_however_often_it_is_poked(stage: Stage) -> None:
    stage.move({ALT: 100})
    poked = oracle.PriceObservation(wad(10), wad(100), stage.now)
    snapshot = stage.evm.snapshot()
    stage.warp(3_600)
    stage.report({ALT: wad(100)})
    once = stage.engine.call.price(ALT).stable
    assert once == wad(10) + wad(10) * RANGE // 10_000
    assert once == oracle.stable_at(poked, RANGE, stage.now)
    stage.evm.revert(snapshot)
    for _ in range(60):
        stage.pass_time(60)
        stage.observe(ALT)
    # Sixty steps of a sixtieth compound, and never exceed the continuous rate of a range an hour.
    often = stage.engine.call.price(ALT).stable
    assert once <= often < wad(10) * (10_000 + RANGE + RANGE**2 // 10_000) // 10_000


def test_a_spike_of_one_block_leaves_no_trace(stage: Stage) -> None:
    """Two observations a second apart credit one second of the pump."""
    stage.move({ALT: 100})
    stage.pass_time(1)
    stage.move({ALT: 10})
    credited = wad(10) * RANGE * 1 // (3_600 * 10_000)
    assert stage.engine.call.price(ALT).stable == wad(10) + credited


def test_pumped_collateral_is_not_borrowed_against() -> None:
    stage = Stage(
        underlyings={ALT: Listed(10), ETH: Listed(2_000)}, collateral={WALT: Collateral(ALT)}
    )
    account = stage.deposit("pumper", WALT, wad(10_000))
    honest = stage.engine.call.explain(WALT, wad(10_000))
    stage.move({ALT: 100})
    pumped = stage.engine.call.explain(WALT, wad(10_000))
    assert pumped.value == 10 * honest.value
    assert pumped.counted < honest.counted
    margin = stage.margin(account)
    assert margin.initial_equity == honest.value


def test_open_interest_is_capped_by_what_the_reserves_carry() -> None:
    jump = MarketParams(stress_jump=5_000)
    stage = Stage(underlyings={ALT: Listed(10, market=jump)}, collateral={}, reserves=50_000)
    stage.fund("pumper", 1_000_000)
    stage.fund("pumper", 1_000_000, 1)
    cap = wad(50_000) * 10_000 // 5_000
    value = ceil_div(10_001 * wad(1) * wad(10), wad(1))
    with stage.evm.reverts("OpenInterestCapExceeded", model.perpetual(ALT), value, cap):
        stage.trade("pumper", "pumper", {ALT: 10_001}, seller_sub=1)
    stage.trade("pumper", "pumper", {ALT: 10_000}, seller_sub=1)

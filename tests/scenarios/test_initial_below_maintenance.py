"""A range that falls takes initial margin down at once and maintenance only along its ramp.

Without the floor of `k * M` under initial margin, an account free to withdraw would be an account
to liquidate: whoever borrows to the limit is flagged in the next block.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import BPS, ceil_div
from plimsoll.risk.params import Kind
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, RISK, Stage, wad


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("counterparty", 1_000_000)
    return stage


def test_initial_margin_is_never_below_its_multiple_of_maintenance(stage: Stage) -> None:
    account = stage.fund("trader", 100_000)
    stage.trade("trader", "counterparty", {ETH: 100})
    stage.set_parameter(Kind.UNDERLYING, ETH, replace(RISK, range=800).word)
    stage.report(stage.marks)
    margin = stage.margin(account)
    parts = model.breakdown(stage.portfolio(account), stage.inputs()).initial
    floor = ceil_div(12_500 * margin.maintenance_margin, BPS)
    assert parts.total <= margin.maintenance_margin, "without the floor they would cross"
    assert margin.initial_margin == floor

    units = (margin.initial_equity - margin.initial_margin) // CASH_SCALE
    left = margin.initial_equity - (units + 1) * CASH_SCALE
    with stage.evm.reverts("BelowInitialMargin", account, left, floor):
        stage.withdraw(account, CASH, units + 1)
    stage.withdraw(account, CASH, units)
    after = stage.margin(account)
    assert after.is_healthy
    with stage.evm.reverts(
        "AccountHealthy", account, after.maintenance_equity, after.maintenance_margin
    ):
        stage.house.flag(account)


def test_a_range_changes_for_nobody_overnight(stage: Stage) -> None:
    """Raising one range can lower a hedged book's margin: it waits and ramps in both directions."""
    account = stage.fund("trader", 100_000)
    stage.trade("trader", "counterparty", {ETH: 100})
    before = stage.margin(account)
    higher = replace(RISK, range=1_200).word
    ready = stage.now + 2 * 24 * 3_600
    receipt = stage.engine.submit(Kind.UNDERLYING, ETH, higher)
    (submitted,) = receipt.events("ParameterSubmitted")
    assert submitted == (Kind.UNDERLYING, ETH, higher, ready)
    assert stage.margin(account) == before
    with stage.evm.reverts("TooEarly", Kind.UNDERLYING, ETH, ready):
        stage.engine.accept(Kind.UNDERLYING, ETH)
    stage.set_parameter(Kind.UNDERLYING, ETH, higher)
    stage.report(stage.marks)
    after = stage.margin(account)
    assert after.maintenance_margin == before.maintenance_margin
    assert after.initial_margin > before.initial_margin
    assert after.initial_equity == wad(100_000)

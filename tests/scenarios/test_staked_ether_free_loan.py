"""Staked ether fetches 0.935 ether on the market and redeems, some day, for 1.

With redemption-only value and a short perpetual against it the scan is nil: who buys at 0.935 could
borrow more than he paid, and leave. So initial margin counts the market, a discount beyond the
bound stops new credit, and one that lasts takes maintenance to the market too.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, WETH, Collateral, Listed, Stage, wad

STAKED = WETH
UNITS = 100
BOUND = 300
HOUR, DAYS_TO_MARKET = 3_600, 3


@pytest.fixture
def stage() -> Stage:
    stage = Stage(
        underlyings={ETH: Listed(2_000)},
        collateral={STAKED: Collateral(ETH, growth=1_000, discount_bound=BOUND)},
    )
    stage.fund("counterparty", 1_000_000)
    return stage


def hedged(stage: Stage) -> bytes:
    """A hundred staked ether against a short perpetual of a hundred ether."""
    account = stage.deposit("borrower", STAKED, UNITS * WAD)
    stage.trade("counterparty", "borrower", {ETH: UNITS})
    return account


def discount(stage: Stage, ratio: str) -> int:
    """The market pays `ratio`; what the tokens cost there."""
    feed = stage.assets[STAKED].rate_feed
    assert feed is not None
    feed.set(wad(ratio), stage.now)
    return UNITS * stage.marks[ETH] * wad(ratio) // WAD


def free(margin: model.Margin) -> int:
    return margin.initial_equity - margin.initial_margin


def without_the_rule(stage: Stage, account: bytes) -> model.Margin:
    """What redemption-only value would say."""
    inputs = stage.inputs()
    assets = {
        number: replace(asset, initial_rate=WAD, rate=WAD, doubtful=False)
        for number, asset in inputs.assets.items()
    }
    return model.margin(stage.portfolio(account), replace(inputs, assets=assets))


def test_the_free_loan_is_refused(stage: Stage) -> None:
    account = hedged(stage)
    cost = discount(stage, "0.935")
    assert free(without_the_rule(stage, account)) > cost, "the exploit would pay"
    assert stage.margin(account).doubtful
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)


def test_a_loan_never_exceeds_what_the_market_pays(stage: Stage) -> None:
    """Within the bound there is credit, but at the market's price."""
    account = hedged(stage)
    cost = discount(stage, "0.975")
    assert free(without_the_rule(stage, account)) > cost
    spare = free(stage.margin(account))
    assert 0 < spare < cost
    units = spare // CASH_SCALE
    after = replace(stage.portfolio(account), cash=stage.cash(account) - (units + 1) * CASH_SCALE)
    refused = model.margin(after, stage.inputs())
    with stage.evm.reverts(
        "BelowInitialMargin", account, refused.initial_equity, refused.initial_margin
    ):
        stage.withdraw(account, CASH, units + 1)
    stage.withdraw(account, CASH, units)
    assert stage.margin(account).is_free


def test_a_discount_that_lasts_reaches_maintenance(stage: Stage) -> None:
    account = hedged(stage)
    before = stage.margin(account).equity
    cost = discount(stage, "0.935")
    assert stage.margin(account).equity == before, "not at once: nobody is liquidated overnight"
    stage.observe_rates(STAKED)
    for _ in range(DAYS_TO_MARKET * 24):
        stage.pass_time(HOUR)
        stage.observe_rates(STAKED)
    assert stage.engine.call.collateralTerms(STAKED).rate == wad("0.935")
    assert stage.margin(account).equity == before - (UNITS * stage.marks[ETH] - cost)


def test_a_discount_that_passes_is_forgotten_at_the_same_speed(stage: Stage) -> None:
    account = hedged(stage)
    before = stage.margin(account).equity
    discount(stage, "0.935")
    stage.observe_rates(STAKED)
    stage.pass_time(HOUR)
    stage.observe_rates(STAKED)
    gap = WAD - wad("0.935")
    rate = stage.engine.call.collateralTerms(STAKED).rate
    assert rate == WAD - model.ceil_div(gap * HOUR, DAYS_TO_MARKET * 24 * HOUR)
    discount(stage, "1")
    stage.observe_rates(STAKED)
    stage.pass_time(HOUR)
    assert stage.engine.call.collateralTerms(STAKED).rate == WAD
    assert stage.margin(account).equity == before

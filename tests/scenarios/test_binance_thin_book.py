"""Binance, 10 October 2025: wrapped collateral was priced off its own thin book, which emptied.

A yield token counts at its redemption rate. A market that collapses for an hour stops new credit
and liquidates nobody; a feed or rate that breaks does no more.
"""

from __future__ import annotations

import pytest

from plimsoll.risk.model import WAD, ceil_div
from plimsoll.risk.oracle import RATE_RAMP
from tests.scenarios.stage import CASH, ETH, WETH, Collateral, Listed, Stage, wad

STAKED = WETH
UNITS, LOAN = 100, 165_000
THIN = "0.35"


@pytest.fixture
def stage() -> Stage:
    """A hundred staked ether with a loan near its limit."""
    stage = Stage(
        underlyings={ETH: Listed(2_000)},
        collateral={STAKED: Collateral(ETH, growth=1_000, discount_bound=300)},
    )
    account = stage.deposit("holder", STAKED, UNITS * WAD)
    stage.withdraw_cash(account, LOAN)
    return stage


def book_empties(stage: Stage) -> None:
    feed = stage.assets[STAKED].rate_feed
    assert feed is not None
    feed.set(wad(THIN), stage.now)


def test_an_hour_of_a_thin_book_liquidates_nobody(stage: Stage) -> None:
    account = stage.account("holder")
    before = stage.margin(account)
    book_empties(stage)
    stage.observe_rates(STAKED)
    at_market = UNITS * wad(2_000) * wad(THIN) // WAD - wad(LOAN)
    assert at_market < 0, "priced off its book it would be insolvent"
    stage.pass_time(3_600)
    margin = stage.margin(account)
    gap = WAD - wad(THIN)
    lost = UNITS * 2_000 * ceil_div(gap * 3_600, RATE_RAMP)
    assert margin.equity == before.equity - lost
    assert margin.is_healthy
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.look(account)


def test_meanwhile_there_is_no_new_credit(stage: Stage) -> None:
    account = stage.account("holder")
    book_empties(stage)
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)
    stage.deposit("holder", STAKED, WAD)


def test_when_the_book_fills_again_nothing_has_happened(stage: Stage) -> None:
    account = stage.account("holder")
    before = stage.margin(account)
    book_empties(stage)
    stage.observe_rates(STAKED)
    feed = stage.assets[STAKED].rate_feed
    assert feed is not None
    stage.pass_time(600)
    feed.set(WAD, stage.now)
    stage.observe_rates(STAKED)
    stage.pass_time(600)
    assert stage.margin(account) == before


@pytest.mark.parametrize("broken", ["rate", "market"])
def test_a_broken_reading_keeps_the_last_one(stage: Stage, broken: str) -> None:
    account = stage.account("holder")
    before = stage.margin(account)
    asset = stage.assets[STAKED]
    assert asset.rate_feed is not None
    assert asset.staked is not None
    if broken == "market":
        asset.rate_feed.break_down()
    else:
        asset.staked.setRate(0)
    margin = stage.margin(account)
    assert margin.doubtful
    assert (margin.equity, margin.maintenance_margin) == (before.equity, before.maintenance_margin)
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)


def test_a_rate_that_falls_counts_at_once(stage: Stage) -> None:
    """Slashing is no thin book: what redeems for less is worth less."""
    account = stage.account("holder")
    equity = stage.margin(account).equity
    staked = stage.assets[STAKED].staked
    assert staked is not None
    staked.setRate(wad("0.95"))
    assert stage.margin(account).equity == equity - UNITS * wad(2_000) * 5 // 100

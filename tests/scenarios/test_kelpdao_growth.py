"""KelpDAO, April 2026: what a forged message minted became collateral at once.

How much of an asset may be added within an hour is bounded in dollars. What leaves makes room
again; an hour later the count starts anew.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk.model import WAD
from tests.scenarios.stage import ETH, TERMS, WETH, Collateral, Listed, Stage, wad

GROWTH = 100_000
HOURLY = GROWTH // 2_000


@pytest.fixture
def stage() -> Stage:
    return Stage(
        underlyings={ETH: Listed(2_000)},
        collateral={WETH: Collateral(ETH, terms=replace(TERMS, growth=GROWTH))},
    )


def refused(stage: Stage, units: int, value: int) -> None:
    forger = stage.actor("forger")
    stage.give(forger, WETH, units)
    with stage.evm.reverts("GrowthExceeded", WETH, value, wad(GROWTH)):
        stage.house.deposit(stage.account("forger"), WETH, units, sender=forger)


def test_a_forged_mint_counts_for_an_hours_growth(stage: Stage) -> None:
    refused(stage, 10**6 * WAD, wad(2 * 10**9))
    account = stage.deposit("forger", WETH, HOURLY * WAD)
    refused(stage, 1, wad(GROWTH) + 2_000)
    assert stage.margin(account).equity == wad(GROWTH)


def test_many_accounts_share_one_hour(stage: Stage) -> None:
    for sub_account in range(10):
        stage.deposit("forger", WETH, HOURLY * WAD // 10, sub_account)
    refused(stage, 1, wad(GROWTH) + 2_000)


def test_the_next_hour_starts_anew(stage: Stage) -> None:
    stage.deposit("forger", WETH, HOURLY * WAD)
    stage.pass_time(3_599)
    refused(stage, 1, wad(GROWTH) + 2_000)
    stage.pass_time(1)
    stage.deposit("forger", WETH, HOURLY * WAD)
    refused(stage, 1, wad(GROWTH) + 2_000)


def test_what_leaves_makes_room(stage: Stage) -> None:
    account = stage.deposit("forger", WETH, HOURLY * WAD)
    stage.withdraw(account, WETH, 10 * WAD)
    stage.deposit("forger", WETH, 10 * WAD)
    refused(stage, 1, wad(GROWTH) + 2_000)


def test_a_transfer_between_accounts_is_no_growth(stage: Stage) -> None:
    source, target = stage.deposit("forger", WETH, HOURLY * WAD), stage.account("forger", 1)
    stage.house.transfer(source, target, WETH, HOURLY * WAD, sender=stage.actor("forger"))
    refused(stage, 1, wad(GROWTH) + 2_000)


def test_growth_is_valued_at_the_last_observed_price(stage: Stage) -> None:
    """A deposit depends on no feed: not on one that is broken, nor on one that is pumped."""
    stage.underlyings[ETH].feed.break_down()
    account = stage.fund("forger", 1)
    stage.deposit("forger", WETH, HOURLY * WAD)
    assert stage.house.call.claims(WETH) == HOURLY * WAD
    refused(stage, 1, wad(GROWTH) + 2_000)
    assert stage.cash(account) == wad(1)

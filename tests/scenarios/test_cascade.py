"""A cascade: accounts fall one after the other, and their bidders among them.

Ten accounts of falling leverage are long; a maker is short against them all. The market falls step
by step; whoever is unhealthy is flagged and taken by one bidder. The books balance after every
step, no account above its maintenance margin is touched, and the bidder ends solvent.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ETH, Stage, wad

ACCOUNTS = 10
UNITS = 50


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("maker", 10_000_000)
    stage.fund("bidder", 1_000_000)
    for number in range(ACCOUNTS):
        stage.fund(f"long {number}", 13_500 + 2_000 * number)
        stage.trade(f"long {number}", "maker", {ETH: UNITS})
    return stage


def longs(stage: Stage) -> list[bytes]:
    return [stage.account(f"long {number}") for number in range(ACCOUNTS)]


def unhealthy(stage: Stage) -> list[bytes]:
    return [account for account in longs(stage) if not stage.margin(account).is_healthy]


def liquidate(stage: Stage, account: bytes) -> None:
    """Flag, wait a minute, take what restores it; the ratio of what remains does not fall."""
    stage.start_auction(account)
    stage.pass_time(60)
    before = stage.margin(account)
    (taken,) = stage.bid("bidder", account).events("SliceTaken")
    after = stage.margin(account)
    assert taken.fraction == model.f_max(before, taken.depth, 12_500, wad(10))
    assert taken.payout == max(0, -taken.price)
    assert after.maintenance_equity * before.maintenance_margin >= (
        before.maintenance_equity * after.maintenance_margin
    )
    stage.house.reset(account)


def test_a_cascade_ends_with_balanced_books(stage: Stage) -> None:
    everybody = [*longs(stage), stage.account("maker"), stage.account("bidder")]
    liquidations = 0
    for price in range(1_960, 1_400, -40):
        stage.move({ETH: price})
        fallen = unhealthy(stage)
        whole = {a: stage.portfolio(a) for a in longs(stage) if a not in fallen}
        for account in fallen:
            liquidate(stage, account)
        liquidations += len(fallen)
        assert unhealthy(stage) == []
        assert {account: stage.portfolio(account) for account in whole} == whole
        sizes = [stage.position(account, ETH).size for account in everybody]
        assert sum(sizes) == 0
        assert 0 <= stage.surplus(everybody) < 1_000
    assert liquidations > 2 * ACCOUNTS
    assert stage.margin(stage.account("bidder")).is_free
    assert stage.house.call.pool().supplyIndex == 10**27, "nobody but the fallen has paid"


def test_the_bidder_falls_too(stage: Stage) -> None:
    """What he bought goes on to the next one: no special case."""
    stage.fund("next", 10_000_000)
    stage.move({ETH: 1_880})
    small = stage.fund("eager", 12_000)
    account = longs(stage)[0]
    stage.start_auction(account)
    stage.pass_time(60)
    stage.bid("eager", account, WAD // 4)
    assert stage.margin(small).is_free
    stage.move({ETH: 900})
    assert not stage.margin(small).is_healthy
    stage.start_auction(small)
    stage.pass_time(60)
    stage.bid("next", small)
    assert stage.margin(small).maintenance_equity >= 0

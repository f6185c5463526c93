"""`noteTotal`: anybody moves the crowd rate of an asset towards what the house holds of it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from plimsoll.risk import oracle
from tests.scenarios.stage import CASH, ETH, WBTC, WETH, Stage, wad
from tests.unit.books import HOUR, crowd_moved, happened, refuses


def note(stage: Stage, asset: int = WETH) -> int:
    """Notes the total on both sides and compares; the rate."""
    before = stage.assets[asset].crowd
    receipt = stage.house.noteTotal(asset, sender=stage.actor("stranger"))
    stage.note_total(asset, stage.house.call.claims(asset))
    assert happened(receipt) == crowd_moved(stage, asset, before)
    crowd = stage.assets[asset].crowd
    assert stage.engine.call.collateralTerms(asset).crowd == crowd
    return crowd


def test_the_rate_climbs_by_at_most_a_point_in_32_seconds(stage: Stage) -> None:
    stage.deposit("owner", WETH, wad(20_000))
    first = stage.assets[WETH].crowd
    assert first == oracle.CROWD_MOST
    # The clock counts 16 seconds: two of its units are a point.
    stage.evm.time += -stage.now % 16
    stage.report(stage.marks)
    steps = []
    for _ in range(6):
        stage.pass_time(16)
        steps.append(note(stage))
    assert steps[-1] > first
    assert all(0 <= b - a <= 1 for a, b in pairwise(steps))


def test_the_rate_arrives_and_stays(stage: Stage) -> None:
    stage.deposit("owner", WETH, wad(20_000))
    for _ in range(6):
        stage.pass_time(HOUR)
        note(stage)
    value = wad(20_000 * 2_000)
    target = oracle.crowd_target(stage.assets[WETH].params().terms(), value)
    assert note(stage) == target == 250


def test_the_rate_falls_when_the_total_does(stage: Stage) -> None:
    account = stage.deposit("owner", WETH, wad(20_000))
    stage.pass_time(HOUR)
    high = note(stage)
    stage.withdraw(account, WETH, wad(20_000))
    assert stage.assets[WETH].crowd == high
    stage.pass_time(HOUR)
    assert note(stage) == high - oracle.CROWD_MOST
    for _ in range(3):
        stage.pass_time(HOUR)
        note(stage)
    assert stage.assets[WETH].crowd == 0


def test_the_total_counts_at_the_last_observed_price(stage: Stage) -> None:
    """A higher price that nobody has observed moves no rate."""
    stage.deposit("owner", WETH, wad(5_000))
    stage.pass_time(HOUR)
    note(stage)
    stage.report({ETH: wad(20_000)})
    stage.warp(HOUR)
    stage.report({ETH: wad(20_000)})
    before = stage.assets[WETH].crowd
    assert note(stage) == before
    stage.observe(ETH)
    assert note(stage) > before


def test_nothing_held_is_no_crowd(stage: Stage) -> None:
    stage.pass_time(HOUR)
    assert note(stage, WBTC) == 0


@pytest.mark.parametrize("asset", [CASH, 6, 95, 96, 2**16 - 1])
def test_of_an_asset_that_is_not_listed(stage: Stage, asset: int) -> None:
    with refuses(stage, "UnknownAsset", asset=asset):
        stage.house.noteTotal(asset)


def test_directly_at_the_engine(stage: Stage) -> None:
    stranger = stage.actor("stranger")
    with refuses(stage, "OnlyClearingHouse", stranger.address):
        stage.engine.noteTotal(WETH, 2**100, sender=stranger)


def test_with_ether(stage: Stage) -> None:
    with refuses(stage, "ValueNotAccepted", value=1):
        stage.house.noteTotal(WETH, value=1)

"""Moonwell, February 2026: an exchange ratio was wired up where a dollar price belonged.

A new source must work, report the decimals that are pinned, and agree with the price so far. All of
it is checked when the source is accepted, by whoever accepts it.
"""

from __future__ import annotations

import pytest

from plimsoll.risk.model import WAD, PriceStatus
from plimsoll.risk.params import (
    DELAY,
    Kind,
    RateKind,
    RateSourceParams,
    SecondSourceParams,
    SourceParams,
)
from tests.evm import Contract
from tests.scenarios.stage import ETH, WETH, Collateral, Listed, Stage, wad
from tests.world import number

BOUND = 200


@pytest.fixture
def stage() -> Stage:
    return Stage(underlyings={ETH: Listed(2_000)}, collateral={WETH: Collateral(ETH, growth=1_000)})


def propose(stage: Stage, kind: Kind, id_: int, word: int) -> None:
    stage.engine.submit(kind, id_, word)
    stage.pass_time(DELAY)


def feed_of(stage: Stage, price: int, decimals: int = 18) -> Contract:
    return stage.new_feed(price, decimals).contract


def test_a_ratio_is_no_price(stage: Stage) -> None:
    ratio = feed_of(stage, wad("1.2"))
    propose(stage, Kind.SOURCE, ETH, SourceParams(number(ratio), decimals=18).word)
    ratio.set(wad("1.2"), stage.now)
    with stage.evm.reverts("SourceDisagrees", ETH, wad("1.2"), wad(2_000), BOUND):
        stage.engine.accept(Kind.SOURCE, ETH)


@pytest.mark.parametrize(
    ("price", "agrees"), [(2_040, True), (2_041, False), (1_960, True), (1_959, False)]
)
def test_a_new_source_agrees_within_two_per_cent(stage: Stage, price: int, agrees: bool) -> None:
    fresh = feed_of(stage, wad(price))
    word = SourceParams(number(fresh), decimals=18).word
    propose(stage, Kind.SOURCE, ETH, word)
    fresh.set(wad(price), stage.now)
    if agrees:
        stage.engine.accept(Kind.SOURCE, ETH)
        assert stage.engine.call.parameter(Kind.SOURCE, ETH).target == word
    else:
        with stage.evm.reverts("SourceDisagrees", ETH, wad(price), wad(2_000), BOUND):
            stage.engine.accept(Kind.SOURCE, ETH)


def test_a_second_source_agrees_too(stage: Stage) -> None:
    ratio = feed_of(stage, wad("1.2"))
    word = SecondSourceParams(number(ratio), decimals=18, deviation=100).word
    propose(stage, Kind.SECOND_SOURCE, ETH, word)
    ratio.set(wad("1.2"), stage.now)
    with stage.evm.reverts("SourceDisagrees", ETH, wad("1.2"), wad(2_000), BOUND):
        stage.engine.accept(Kind.SECOND_SOURCE, ETH)


def test_the_decimals_are_what_the_feed_reports(stage: Stage) -> None:
    """Pinned to 8, a feed of 18 decimals would be worth ten thousand million times as much."""
    wrong = feed_of(stage, wad(2_000))
    propose(stage, Kind.SOURCE, ETH, SourceParams(number(wrong), decimals=8).word)
    with stage.evm.reverts("DecimalsMismatch", wrong.address, 8, 18):
        stage.engine.accept(Kind.SOURCE, ETH)


def test_a_dead_feed_is_not_accepted(stage: Stage) -> None:
    dead = feed_of(stage, wad(2_000))
    propose(stage, Kind.SOURCE, ETH, SourceParams(number(dead), decimals=18).word)
    with stage.evm.reverts("SourceUnusable", ETH, dead.address, PriceStatus.STALE):
        stage.engine.accept(Kind.SOURCE, ETH)


def test_a_rate_agrees_with_the_rate_so_far(stage: Stage) -> None:
    """And the other way round: a dollar price where a ratio belongs."""
    wrong = stage.evm.deploy("MockRate", wad(2_000) // 100)
    word = RateSourceParams(number(wrong), RateKind.STETH_PER_TOKEN, growth_cap=1_000).word
    propose(stage, Kind.RATE_SOURCE, WETH, word)
    with stage.evm.reverts("SourceDisagrees", WETH, wad(20), WAD, BOUND):
        stage.engine.accept(Kind.RATE_SOURCE, WETH)

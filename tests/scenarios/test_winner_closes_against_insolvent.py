"""The winner closes against the insolvent loser, and leaves within one transaction.

The gain above the stable price is reserved only while the position is open. Whoever closes against
a solvent account hands the reserve on with the position; closing against one's own insolvent one
would hand it to nobody: the gain becomes cash, the loss a debt that nobody pays. One print of one
source would be enough. So an insolvent account trades no more: it is helped, or auctioned.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenarios.stage import ALT, CASH, ETH, GLOBALS, Listed, Stage, as_tuple, wad

UNITS, STAKE, PUMPED = 500_000, 800_000, 16


@pytest.fixture
def stage() -> Stage:
    """One person on both sides; the primary alone prints a pumped price that nobody observed."""
    stage = Stage(
        underlyings={ETH: Listed(2_000), ALT: Listed(10, second=200)},
        collateral={},
        factors=replace(GLOBALS, winners_cap=10_000),
    )
    for name in ("winner", "loser"):
        stage.fund(name, STAKE)
    stage.trade("winner", "loser", {ALT: UNITS})
    stage.pass_time(12)
    stage.underlyings[ALT].feed.set(wad(PUMPED), stage.now)
    stage.marks[ALT] = wad(PUMPED)
    return stage


def closing(stage: Stage) -> bytes:
    winner, loser = stage.account("winner"), stage.account("loser")
    bought = stage.order(loser, {ALT: 1}, UNITS, stage.marks[ALT])
    sold = stage.order(winner, {ALT: 1}, -UNITS, stage.marks[ALT])
    signatures = stage.sign(bought, "loser"), stage.sign(sold, "winner")
    data: bytes = stage.house.encode(
        "trade", bought, signatures[0], sold, signatures[1], wad(UNITS)
    )
    return data


def test_the_loser_no_longer_trades(stage: Stage) -> None:
    winner, loser = stage.account("winner"), stage.account("loser")
    before = stage.margin(loser)
    assert before.equity == wad(STAKE - UNITS * (PUMPED - 10))
    gain = stage.cash(winner) + wad(UNITS * (PUMPED - 10))
    out = stage.house.encode(
        "withdraw", winner, CASH, gain // 10**12 - 1, stage.actor("winner").address
    )
    with stage.evm.reverts("RatioWorsened", account=loser, before_=as_tuple(before)):
        stage.house.multicall([closing(stage), out], sender=stage.actor("winner"))


def test_meanwhile_the_gain_is_not_borrowed_against(stage: Stage) -> None:
    winner = stage.account("winner")
    margin = stage.margin(winner)
    assert margin.equity - margin.initial_equity > wad(UNITS * (PUMPED - 10) - UNITS // 10)
    with stage.evm.reverts("BelowInitialMargin", account=winner):
        stage.withdraw_cash(winner, STAKE)


def test_helped_back_to_solvency_it_closes(stage: Stage) -> None:
    """The loss is paid in, and the close is one between solvent accounts."""
    owner, loser = stage.actor("loser"), stage.account("loser")
    missing = -stage.margin(loser).equity // 10**12
    stage.give(owner, CASH, missing)
    stage.house.multicall(
        [stage.house.encode("deposit", loser, CASH, missing), closing(stage)], sender=owner
    )
    assert stage.margin(loser).equity == 0
    assert stage.surplus([loser, stage.account("winner")]) == 0

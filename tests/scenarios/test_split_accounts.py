"""Synthetix: haircuts looked at the account's own size, so a whale was a hundred minnows.

The bracket of initial margin comes from the larger of the account's own holding and the system's.
What strangers deposit never touches maintenance: nobody is liquidated for a crowd.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model, oracle
from plimsoll.risk.model import WAD, ceil_div
from tests.scenarios.stage import ETH, TERMS, WETH, Collateral, Listed, Stage, wad

WHALE = 40_000
PARTS = 8


@pytest.fixture
def stage() -> Stage:
    """Tiers at ten and fifty million dollars: a whale of eighty million reaches the third."""
    return Stage(underlyings={ETH: Listed(2_000)}, collateral={WETH: Collateral(ETH)})


def crowd_settles(stage: Stage) -> int:
    """The crowd rate follows slowly: a basis point in 32 seconds."""
    for _ in range(8):
        stage.pass_time(3_600)
        stage.house.noteTotal(WETH)
        stage.note_total(WETH, stage.house.call.claims(WETH))
    return stage.assets[WETH].crowd


def charges(stage: Stage, account: bytes) -> tuple[int, int]:
    parts = model.breakdown(stage.portfolio(account), stage.inputs())
    stage.margin(account)
    return parts.initial.collateral_charge, parts.maintenance.collateral_charge


def test_a_whale_split_in_eight_is_charged_as_one(stage: Stage) -> None:
    value = wad(WHALE * 2_000)
    minnows = [stage.deposit("whale", WETH, WHALE * WAD // PARTS, sub) for sub in range(PARTS)]
    own = model.tiered_haircut(TERMS.terms(), value // PARTS) // 10_000
    assert charges(stage, minnows[0])[0] == own, "before the crowd is known, the own bracket"
    crowd = crowd_settles(stage)
    assert crowd == oracle.crowd_target(TERMS.terms(), value)
    together = ceil_div(model.tiered_haircut(TERMS.terms(), value), 10_000)
    split = sum(charges(stage, account)[0] for account in minnows)
    assert split >= together
    assert split - together < value // 10_000, "the average, rounded up to a basis point"


def test_a_crowd_never_touches_maintenance(stage: Stage) -> None:
    account = stage.deposit("holder", WETH, 10 * WAD)
    before = charges(stage, account)
    stage.deposit("stranger", WETH, WHALE * WAD)
    crowd = crowd_settles(stage)
    after = charges(stage, account)
    assert after[1] == before[1]
    assert after[0] == ceil_div(wad(20_000) * crowd, 10_000) > before[0]


def test_a_crowd_that_leaves_is_forgotten(stage: Stage) -> None:
    account = stage.deposit("holder", WETH, 10 * WAD)
    before = charges(stage, account)
    stranger = stage.deposit("stranger", WETH, WHALE * WAD)
    crowd_settles(stage)
    stage.withdraw(stranger, WETH, WHALE * WAD)
    assert crowd_settles(stage) == oracle.crowd_target(TERMS.terms(), wad(20_000))
    assert charges(stage, account) == before

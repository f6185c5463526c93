"""The most positions and the most collaterals in one account can still be liquidated.

A bidder may hold anything, and is not stopped by the number of what he buys. What it costs in gas
is measured by the bench, on a node: it must fit a transaction.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.scenarios.stage import CASH, CASH_SCALE, Collateral, Listed, Stage

UNDERLYINGS = range(1, 256)
POSITIONS, COLLATERALS, LEGS = 128, 95, 8
TENTH = WAD // 10


@pytest.fixture(scope="module")
def full() -> Stage:
    """The owner is long 128 perpetuals and holds 95 tokens; the bidder holds the other 127."""
    stage = Stage(
        underlyings={u: Listed(100) for u in UNDERLYINGS},
        collateral={asset: Collateral(asset) for asset in range(1, COLLATERALS + 1)},
    )
    stage.fund("maker", 10**8)
    stage.fund("maker", 10**8, 1)
    stage.fund("owner", 250_000)
    stage.fund("bidder", 10**8)
    for asset in range(1, COLLATERALS + 1):
        stage.deposit("owner", asset, WAD // 10 + asset)
    buy(stage, "owner", UNDERLYINGS[:POSITIONS], 0)
    buy(stage, "bidder", UNDERLYINGS[POSITIONS:], 1)
    return stage


def buy(stage: Stage, who: str, underlyings: range, maker: int) -> None:
    for start in range(0, len(underlyings), LEGS):
        package = dict.fromkeys(underlyings[start : start + LEGS], 100)
        stage.trade(who, "maker", package, seller_sub=maker)


def test_one_position_more_is_refused(full: Stage) -> None:
    account = full.account("owner")
    assert len(full.portfolio(account).positions) == POSITIONS
    with full.evm.anchored(), full.evm.reverts("TooManyPositions", account, POSITIONS + 1):
        full.trade("owner", "maker", {UNDERLYINGS[POSITIONS]: 1}, seller_sub=1)


def test_its_owner_can_leave(full: Stage) -> None:
    with full.evm.anchored():
        for start in range(0, POSITIONS, LEGS):
            package = dict.fromkeys(UNDERLYINGS[start : start + LEGS], -100)
            full.trade("owner", "maker", package)
        assert full.portfolio(full.account("owner")).positions == ()


def test_it_is_flagged_and_bid_on(full: Stage) -> None:
    """The bidder ends with 255 positions and 95 tokens, all of them a tenth of the account's."""
    account, bidder = full.account("owner"), full.account("bidder")
    margin = full.margin(account)
    spare = margin.initial_equity - margin.initial_margin
    full.withdraw(account, CASH, spare * 99 // 100 // CASH_SCALE)
    full.move(dict.fromkeys(UNDERLYINGS[:POSITIONS], 95))
    full.start_auction(account)
    full.pass_time(60)
    held, margin = full.portfolio(account), full.margin(account)
    (taken,) = full.bid("bidder", account, TENTH).events("SliceTaken")
    assert taken.price == model.bid_price(margin, TENTH, model.phi(60))
    bought = full.portfolio(bidder)
    assert len(bought.positions) == len(UNDERLYINGS)
    for position in held.positions:
        assert bought.position(position.instrument).size == position.size * TENTH // WAD
    assert [one.amount for one in bought.collateral] == [
        one.amount * TENTH // WAD for one in held.collateral
    ]
    assert full.margin(bidder).is_free
    assert not full.margin(account).is_healthy

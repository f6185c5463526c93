"""The house is wound down: everybody is closed out at one price, paid, and nothing is left over.

Traders with gains and losses, a borrower, a supplier and an account that a gap has ruined; whoever
comes in whatever order, what the vault held is paid out to the last unit that anybody owns.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import CLOSING_TIME, WINDING_DELAY
from plimsoll.risk.params import LendingParams
from tests.scenarios.stage import (
    ALT,
    BTC,
    CASH,
    CASH_SCALE,
    ETH,
    UNDERLYINGS,
    WETH,
    Stage,
    wad,
)
from tests.unit.books import leave_reserves

TRADERS = ("ann", "ben", "cas")
MARKETS = (ETH, BTC, ALT)
LENDING = LendingParams(kink=80, rate_at_kink=50, rate_at_full=500, reserve_share=10)


@pytest.fixture(scope="module")
def wound() -> Stage:
    """Shut for a week."""
    listed = {**UNDERLYINGS, ETH: replace(UNDERLYINGS[ETH], funding=wad("0.003"))}
    stage = Stage(underlyings=listed, lending=LENDING, lent=100_000)
    for who in TRADERS:
        stage.fund(who, 50_000)
    stage.deposit("dee", WETH, wad(10))
    stage.withdraw_cash(stage.account("dee"), 7_000)
    stage.trade("ann", "ben", {ETH: "1.234567890123456789", BTC: "-0.5"})
    stage.trade("cas", "ann", {ETH: "3.3", ALT: "700.000000000000000007"})
    stage.trade("ben", "cas", {BTC: "0.123456789"})
    stage.pass_time(86_400)
    stage.move({ETH: "2345.678901234567", BTC: "48000.5", ALT: "9.87654321"})
    stage.settle(stage.account("cas"), ETH)
    stage.house.submitShutdown()
    stage.pass_time(WINDING_DELAY)
    stage.house.acceptShutdown()
    stage.pass_time(CLOSING_TIME)
    return stage


@pytest.mark.parametrize("order", list(permutations(TRADERS)), ids="-".join)
def test_everybody_is_paid_and_the_sums_are_exact(wound: Stage, order: tuple[str, ...]) -> None:
    stage = wound
    with stage.evm.anchored():
        equity = {who: stage.margin(stage.account(who)).equity for who in TRADERS}
        for u, who in zip(MARKETS, order, strict=True):
            for one in (who, *TRADERS):
                stage.house.closeOut(stage.account(one), model.perpetual(u))
        assert all(stage.house.call.openInterest(model.perpetual(u)) == 0 for u in MARKETS)
        for who in TRADERS:
            assert equity[who] - 9 <= stage.cash(stage.account(who)) <= equity[who]
        quote = stage.house.call.pool().netQuote
        assert 0 <= quote <= len(TRADERS) * len(MARKETS)
        owed = -stage.cash(stage.account("dee"))
        stage.deposit("dee", CASH, -(-owed // CASH_SCALE))
        people = [*(stage.account(who) for who in (*TRADERS, "dee")), stage.lender]
        for account in people:
            units = stage.cash(account) // CASH_SCALE
            if units:
                stage.withdraw(account, CASH, units)
        stage.withdraw(stage.account("dee"), WETH, wad(10))
        left = stage.dollar.call.balanceOf(stage.vault) * CASH_SCALE
        dust = sum(stage.cash(account) for account in people)
        pool = stage.house.call.pool()
        assert 0 <= dust < len(people) * CASH_SCALE
        assert 0 <= left - pool.reserves - dust <= 100, "nothing but wei that were rounded away"


def test_an_account_beyond_help_does_not_keep_the_others() -> None:
    """Its positions are closed out like all, its debt is written off, and the rest share it."""
    stage = Stage(lent=1_000, backstop="backstop")
    stage.fund("winner", 30_000)
    stage.fund("ruined", 30_000)
    stage.trade("ruined", "winner", {ETH: 100})
    leave_reserves(stage, 100)
    stage.house.submitShutdown()
    stage.pass_time(WINDING_DELAY)
    stage.house.acceptShutdown()
    stage.pass_time(CLOSING_TIME)
    stage.report({ETH: wad(1_699)})
    winner, ruined = stage.account("winner"), stage.account("ruined")
    assert stage.house.closeOut(ruined, model.perpetual(ETH)).value == -wad(30_100)
    assert stage.house.closeOut(winner, model.perpetual(ETH)).value == wad(30_100)
    stage.house.writeOff(ruined)
    assert (stage.cash(ruined), stage.cash(winner)) == (0, wad(60_100))
    pool = stage.house.call.pool()
    assert (pool.reserves, pool.deficit, pool.netQuote) == (0, 0, 0)
    stage.withdraw_cash(winner, 60_100)
    stage.withdraw_cash(stage.lender, 1_000)
    assert stage.dollar.call.balanceOf(stage.vault) == 0

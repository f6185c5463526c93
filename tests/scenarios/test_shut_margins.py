"""A margin knows the market, not what was fixed after a shutdown.

An account hedged by a market that is fixed would have equity of that moment: a thief could carry
it to another account by trades at a price of his own, and leave the rest to suppliers; or buy, in
an auction, a position whose worth is certain for less.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import CLOSING_TIME, WINDING_DELAY
from plimsoll.risk.model import WAD
from tests.scenarios.stage import BTC, CASH, CASH_SCALE, ETH, Stage

ETHER, BITCOIN = model.perpetual(ETH), model.perpetual(BTC)


def shut(stage: Stage) -> None:
    stage.house.submitShutdown()
    stage.pass_time(WINDING_DELAY)
    stage.house.acceptShutdown()
    stage.pass_time(CLOSING_TIME)


@pytest.mark.parametrize("price", [1_500, 2_400])
def test_no_phantom_equity_becomes_cash(price: int) -> None:
    """Ether between two of his own is fixed by closing out one of them, before the market moves;
    the other's gain is none, and a bitcoin between them sold at a loss cannot carry it away."""
    stage = Stage(reserves=1_000_000, lent=5_000_000)
    buys, sells = (2, 0) if price < 2_000 else (0, 2)
    put_in = 0
    for sub, dollars in enumerate((150_000, 150_000, 200_000)):
        stage.fund("thief", dollars, sub)
        put_in += dollars
    own = [stage.account("thief", sub) for sub in range(3)]
    stage.trade("thief", "thief", {BTC: 1}, buyer_sub=0, seller_sub=1)
    stage.trade("thief", "thief", {ETH: 400}, buyer_sub=buys, seller_sub=sells)
    shut(stage)
    stage.house.closeOut(own[2], ETHER, sender=stage.actor("thief"))
    stage.move({ETH: price})
    stage.settle_stable(3)
    assert stage.margin(own[0]).equity > 2 * 150_000 * WAD, "by a market that is over"
    with stage.evm.reverts("Shut"):
        stage.trade("thief", "thief", {BTC: 1}, buyer_sub=1, seller_sub=0, price=1_000)
    with stage.evm.reverts("PositionsOpen", own[0]):
        stage.withdraw(own[0], CASH, 1)
    for account in own:
        for instrument in (ETHER, BITCOIN):
            stage.house.closeOut(account, instrument, sender=stage.actor("stranger"))
    got = 0
    for account in own:
        units = stage.cash(account) // CASH_SCALE
        stage.withdraw(account, CASH, units)
        got += units * CASH_SCALE
    fees = put_in * WAD - got
    assert 0 <= fees < put_in * WAD // 100
    pool = stage.house.call.pool()
    assert (pool.deficit, stage.house.call.provisions()) == (0, 0)


def test_nobody_bids_on_a_position_that_is_fixed() -> None:
    """Ether falls after its price was fixed: who is long is still owed all, and gets it."""
    stage = Stage(reserves=1_000_000, lent=5_000_000)
    stage.fund("maker", 2_000_000)
    stage.fund("thief", 200_000)
    honest = stage.fund("honest", 60_000)
    stage.trade("honest", "maker", {ETH: 200})
    shut(stage)
    stage.house.closeOut(stage.account("maker"), ETHER)
    before = stage.cash(honest)
    stage.move({ETH: 1_690})
    margin = stage.margin(honest)
    assert margin.equity < margin.maintenance_margin
    with stage.evm.reverts("PositionsOpen", honest):
        stage.house.flag(honest)
    with stage.evm.reverts("NotInAuction", account=honest):
        stage.bid("thief", honest)
    stage.house.closeOut(honest, ETHER)
    assert stage.cash(honest) == before
    stage.withdraw_cash(honest, Decimal(before) / WAD)

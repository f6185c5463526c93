"""Profit parked in quote by an off-market trade would escape interest and losses.

Two accounts of one person trade far from the mark. Were the profit to sit in quote, it would be no
cash, and bear no part of a loss that suppliers bear. So a trade books quote at the mark, the
difference moves cash at once, anyone may settle the rest, and a closed position leaves no quote.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import RAY
from plimsoll.risk.model import WAD, Position, ceil_div
from plimsoll.risk.params import MarketParams
from tests.scenarios.stage import ETH, Listed, Stage, wad

MARK, OFF_MARKET = 2_000, 2_400
UNITS = 10
RESERVES = 4_000
PROFIT = UNITS * wad(OFF_MARKET - MARK)


@pytest.fixture
def stage() -> Stage:
    """With reserves for open interest of 40,000 dollars and no more."""
    small = Listed(MARK, market=MarketParams(stress_jump=1_000))
    stage = Stage(underlyings={ETH: small}, collateral={}, reserves=RESERVES, lent=100_000)
    stage.fund("parker", 10_000)
    stage.fund("parker", 10_000, 1)
    return stage


def park(stage: Stage) -> tuple[bytes, bytes]:
    """The exploit: account 0 buys from account 1 a fifth above the mark."""
    stage.trade("parker", "parker", {ETH: UNITS}, price=UNITS * OFF_MARKET, seller_sub=1)
    return stage.account("parker"), stage.account("parker", 1)


def test_the_profit_is_cash_and_quote_is_at_the_mark(stage: Stage) -> None:
    loser, winner = park(stage)
    held = Position(model.perpetual(ETH), UNITS * WAD, -UNITS * wad(MARK))
    assert stage.position(loser, ETH) == held
    assert stage.position(winner, ETH) == replace(held, size=-held.size, quote=-held.quote)
    assert stage.cash(loser) == wad(10_000) - PROFIT
    assert stage.cash(winner) == wad(10_000) + PROFIT
    assert stage.surplus([loser, winner]) == 0


def test_the_profit_bears_its_part_of_a_loss(stage: Stage) -> None:
    """In quote it would have kept its value: every supplier's cash is cut by the same index."""
    _, winner = park(stage)
    broke = stage.fund("broke", 3_000)
    stage.fund("counterparty", 10_000)
    stage.fund("bidder", 100_000)
    stage.trade("broke", "counterparty", {ETH: UNITS})
    before = {account: stage.cash(account) for account in (winner, stage.lender)}
    stage.move({ETH: 1_000})
    stage.start_auction(broke)
    stage.pass_time(600)
    margin = stage.margin(broke)
    assert margin.maintenance_equity == -wad(7_000)
    supplied = stage.house.call.pool().supplied
    loss = -model.bid_price(margin, WAD, model.phi(600))
    (booked,) = stage.bid("bidder", broke).events("LossBooked")
    assert (booked.fromReserves, booked.fromSuppliers) == (wad(RESERVES), loss - wad(RESERVES))
    index = RAY - ceil_div(booked.fromSuppliers * RAY, supplied)
    assert stage.house.call.pool().supplyIndex == index
    assert stage.cash(winner) == before[winner] * index // RAY
    assert stage.cash(stage.lender) == before[stage.lender] * index // RAY


def test_a_stranger_settles_what_is_left_in_quote(stage: Stage) -> None:
    loser, winner = park(stage)
    stage.move({ETH: 2_100})
    equities = stage.equity(loser), stage.equity(winner)
    gain = UNITS * wad(100)
    for account, amount in ((loser, gain), (winner, -gain)):
        cash = stage.cash(account)
        receipt = stage.house.settle(account, model.perpetual(ETH), sender=stage.actor("stranger"))
        assert receipt.value == amount
        assert stage.cash(account) == cash + amount
    assert (stage.equity(loser), stage.equity(winner)) == equities
    assert stage.position(loser, ETH).quote == -UNITS * wad(2_100)


def test_a_closed_position_leaves_no_quote(stage: Stage) -> None:
    loser, winner = park(stage)
    stage.move({ETH: 2_100})
    stage.trade("parker", "parker", {ETH: UNITS}, buyer_sub=1)
    assert stage.portfolio(loser).positions == ()
    assert stage.portfolio(winner).positions == ()
    assert stage.house.call.pool().netQuote == 0
    assert stage.equity(loser, winner) == wad(20_000)

"""The books equal their integer twin: tokens of every number of decimals, losses down to a recorded
deficit, and balances at indices that are not round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import CASH, RAY, Loss, Pause, Refused
from plimsoll.risk.model import WAD
from tests.house import ALT, ASSETS, BTC, DOLLAR, ETH, AssetSpec, House, encode

Open = Callable[..., int]


def assert_books_equal(house: House, *names: str) -> None:
    """Accounts by name and the pool, in every number."""
    for name in names:
        account = house.account(name)
        assert house.portfolio_on_chain(account) == house.ledger.portfolio(account)
        told = house.house.call.margin(encode(account))
        assert model.Margin(*told) == house.margin(account)
    pool, told = house.ledger.pool, house.house.call.pool()
    assert (told.supplyIndex, told.borrowIndex) == (pool.supply_index, pool.borrow_index)
    assert (told.supplied, told.borrowed) == (pool.supplied_up, pool.borrowed_down)
    assert (told.netQuote, told.reserves, told.deficit) == (
        pool.net_quote,
        pool.reserves,
        pool.deficit,
    )


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_settlement_token_of_any_decimals(decimals: int) -> None:
    house = House(usd_decimals=decimals)
    alice, bob = house.account("alice"), house.account("bob")
    for account in (alice, bob):
        house.deposit(account, CASH, 10_000 * house.usd_units)
    house.add_reserves(1_000_000 * house.usd_units)
    order = house.order(alice, {ETH: WAD, BTC: -WAD // 31}, WAD, 70 * WAD)
    house.take(order, bob, WAD // 3)
    house.set_price(ETH, 2_100 * WAD + 1)
    house.settle(alice, ETH)
    house.settle(bob, ETH)
    free = house.margin(bob).initial_equity - house.margin(bob).initial_margin
    most = free // house.ledger.cash_scale
    with pytest.raises(Refused, match="BelowInitialMargin"):
        house.withdraw(bob, CASH, most + 1)
    house.withdraw(bob, CASH, most)
    assert_books_equal(house, "alice", "bob")


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18, 24, 27])
def test_collateral_of_any_decimals(decimals: int) -> None:
    """In, lent against, taken in slices, and out to the last unit."""
    spec = AssetSpec(ETH, decimals, ASSETS[1].risk)
    house = House(assets={1: spec})
    alice, keeper = house.account("alice"), house.account("keeper")
    house.deposit(keeper, CASH, 1_000_000 * DOLLAR)
    house.deposit(alice, 1, 7 * 10**decimals)
    house.withdraw(alice, CASH, 10_000 * DOLLAR)
    most = model.largest_withdrawal(house.ledger.portfolio(alice), 1, house.inputs())
    if most:
        house.withdraw(alice, 1, most)
    house.set_price(ETH, 1_500 * WAD)
    house.flag(alice)
    house.warp(12)
    house.set_price(ETH, 1_500 * WAD)
    house.flag(alice)
    house.warp(60)
    house.bid(alice, keeper)
    assert_books_equal(house, "alice", "keeper")
    held = house.ledger.portfolio(keeper).amount(1)
    house.withdraw(keeper, 1, held)
    assert house.ledger.portfolio(keeper).collateral == ()
    assert_books_equal(house, "alice", "keeper")


def ruined(house: House, open_account: Open, *, reserves: int, price: int) -> Loss:
    """A short that a rising price takes straight through its equity, and that a keeper takes over
    at the deepest point of its auction: the loss that its payout booked."""
    for name in ("saver", "dealer", "keeper"):
        house.deposit(house.account(name), CASH, 1_000 * DOLLAR)
    house.add_reserves(reserves * DOLLAR)
    account = open_account("gambler", cash=1_000)
    order = house.order(account, {ALT: WAD}, -2_000 * WAD, house.price(ALT).index)
    house.take(order, house.account("dealer"), 2_000 * WAD)
    for wait in (0, 12, 4_200):
        house.warp(wait)
        house.set_price(ALT, price)
        if wait < 4_200:
            house.flag(account)
    house.deposit(house.account("keeper"), 1, 2_000 * WAD)
    return house.bid(account, house.account("keeper")).loss


@pytest.mark.parametrize(
    ("price", "bearers"),
    [
        (1, {"from reserves"}),
        (2, {"from reserves", "from suppliers"}),
        (1_000, {"from reserves", "from suppliers", "to deficit"}),
    ],
)
def test_a_loss_is_borne_in_order(
    house: House, open_account: Open, price: int, bearers: set[str]
) -> None:
    """Reserves, then suppliers down to a thousandth of par, then a recorded deficit."""
    loss = ruined(house, open_account, reserves=900, price=price * WAD)
    borne = {
        name
        for name, part in (
            ("from reserves", loss.from_reserves),
            ("from suppliers", loss.from_suppliers),
            ("to deficit", loss.to_deficit),
        )
        if part
    }
    assert borne == bearers
    assert_books_equal(house, "gambler", "saver", "dealer")


def test_a_deficit_is_repaid_before_reserves_grow(house: House, open_account: Open) -> None:
    deficit = ruined(house, open_account, reserves=900, price=1_000 * WAD).to_deficit
    assert deficit == house.ledger.pool.deficit > 0
    units = model.ceil_div(deficit, house.ledger.cash_scale)
    assert house.add_reserves(units - 1) == (units - 1) * house.ledger.cash_scale
    assert house.ledger.pool.reserves == 0
    assert house.add_reserves(2) == deficit - (units - 1) * house.ledger.cash_scale
    assert house.ledger.pool.deficit == 0
    assert_books_equal(house, "gambler", "saver", "dealer")


def test_cash_at_an_index_that_is_not_round(house: House, open_account: Open) -> None:
    """After suppliers bore a loss, money that goes in and out again never comes back more."""
    assert ruined(house, open_account, reserves=900, price=2 * WAD).from_suppliers > 0
    assert house.ledger.pool.supply_index % 10**20 != 0
    saver, other = house.account("saver"), house.account("saver", 1)
    for units in (1, 999_999, 123_456_789):
        house.deposit(saver, CASH, units)
        house.transfer(saver, other, CASH, units * house.ledger.cash_scale // 7)
        house.transfer(other, saver, CASH, house.ledger.portfolio(other).cash)
        assert_books_equal(house, "saver")
    assert house.ledger.pool.supply_index < RAY


def test_exits_that_need_no_price_work_while_every_feed_is_broken(
    house: House, open_account: Open
) -> None:
    account = open_account("saver", cash=500, collateral={1: WAD, 2: 10**7})
    lent = open_account("lender", cash=50_000)
    debtor = open_account("debtor", cash=0, collateral={1: WAD})
    house.withdraw(debtor, CASH, 100 * DOLLAR)
    for underlying in house.underlyings.values():
        underlying.feed.break_down()
    for asset, units in ((1, WAD), (2, 10**7), (CASH, 500 * DOLLAR)):
        house.withdraw(account, asset, units)
    house.withdraw(lent, CASH, 1_000 * DOLLAR)
    with pytest.raises(Refused, match="DoubtfulPrice"):
        house.withdraw(debtor, 1, 1)
    house.deposit(debtor, CASH, 100 * DOLLAR)
    house.withdraw(debtor, 1, WAD)


def test_a_pause_of_risk_never_blocks_a_reduction(house: House, open_account: Open) -> None:
    trader = open_account("trader", positions={ETH: WAD})
    house.pause(Pause.RISK)
    with pytest.raises(Refused, match="Paused"):
        house.open_position(trader, ETH, 1)
    house.open_position(trader, ETH, -WAD)
    assert house.ledger.portfolio(trader).positions == ()


def test_orders_fill_in_parts_and_never_beyond(house: House, open_account: Open) -> None:
    maker, taker = open_account("maker"), open_account("taker")
    house.add_reserves(10**6 * DOLLAR)
    order = house.order(maker, {ETH: WAD // 3}, WAD, house.price(ETH).index, minimum_fill=WAD // 2)
    with pytest.raises(Refused, match="BelowMinimumFill"):
        house.take(order, taker, WAD // 2 - 1)
    assert house.take(order, taker, WAD * 2 // 3) == WAD * 2 // 3
    assert house.take(order, taker, WAD) == WAD - WAD * 2 // 3
    with pytest.raises(Refused, match="OrderSpent"):
        house.take(order, taker, 1)
    wrong = replace(order, salt=order.salt + 1, taker=1)
    with pytest.raises(Refused, match="WrongTaker"):
        house.take(wrong, taker, WAD)
    assert_books_equal(house, "maker", "taker")

"""The books equal their integer twin: tokens of every number of decimals, losses down to a recorded
deficit, and balances at indices that are not round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import CASH, RAY, Delegation, Loss, Pause, Refused
from plimsoll.risk.model import WAD
from plimsoll.risk.params import LendingParams
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


# Interest

WAITS = (1, 3_599, 86_400, 30 * 86_400, 400 * 86_400)


@pytest.mark.parametrize("decimals", [0, 6, 18])
@pytest.mark.parametrize("terms", [(80, 40, 600, 10), (1, 0, 8_191, 50), (99, 8_191, 8_191, 0)])
def test_interest_of_every_steepness(terms: tuple[int, ...], decimals: int) -> None:
    """Deposits, loans, repayments, settlements and fees, each after another while."""
    house = House(lending=LendingParams(*terms), usd_decimals=decimals)
    names = ("saver", "borrower", "long")
    saver, borrower, long = (house.account(name) for name in names)
    house.deposit(saver, CASH, 100_000 * house.usd_units)
    house.deposit(borrower, 1, 100 * WAD)
    house.add_reserves(50_000 * house.usd_units)
    house.withdraw(borrower, CASH, 60_000 * house.usd_units)
    house.deposit(long, CASH, 20_000 * house.usd_units)
    house.take(house.order(saver, {ETH: -WAD}, WAD, -house.price(ETH).index), long, WAD)
    for number, wait in enumerate(WAITS):
        house.warp(wait)
        assert_books_equal(house, *names)
        for u, one in house.underlyings.items():
            house.set_price(u, one.seen.last + number * one.seen.last // 1_000)
        house.deposit(borrower, CASH, 500 * house.usd_units)
        house.settle(long, ETH)
        house.take(house.order(saver, {ETH: WAD}, WAD // 9, house.price(ETH).index), long, WAD // 9)
        assert_books_equal(house, *names)
        house.withdraw(saver, CASH, house.usd_units)
        assert_books_equal(house, *names)
    assert house.ledger.pool.borrow_index > RAY
    assert house.ledger.vault_cash >= house.ledger.pool.owed


def test_new_terms_of_loans_count_from_their_refresh(house: House, open_account: Open) -> None:
    open_account("saver", cash=10_000)
    house.withdraw(open_account("borrower", cash=0, collateral={1: 10 * WAD}), CASH, 9_000 * DOLLAR)
    house.set_lending(LendingParams(10, 1_000, 8_000, 25))
    for step in (house.warp, lambda _: house.refresh(CASH), house.warp):
        step(10_000)
        assert_books_equal(house, "saver", "borrower")


def test_reserves_lend_where_nobody_supplies(house: House, open_account: Open) -> None:
    """A wei of supply beside them takes the index nowhere."""
    house.add_reserves(100_000 * DOLLAR)
    borrower = open_account("borrower", cash=0, collateral={1: 100 * WAD})
    house.withdraw(borrower, CASH, 90_000 * DOLLAR)
    house.deposit(house.account("saver"), CASH, 1)
    house.warp(365 * 86_400)
    assert_books_equal(house, "saver", "borrower")
    pool = house.ledger.pool
    assert pool.supply_index <= pool.borrow_index < 2 * RAY
    assert pool.reserves > 150_000 * WAD


# Delegates and the backstop


def test_a_delegate_keeps_to_what_he_was_granted(house: House, open_account: Open) -> None:
    owner, other = open_account("owner"), open_account("other")
    house.add_reserves(10**6 * DOLLAR)
    agent = house.number_of("agent")
    price, one = house.price(ETH).index, WAD // 10

    def trade(size: int = one, u: int = ETH) -> None:
        mark = house.price(u).index
        order = house.order(owner, {u: WAD}, size, mark, signer=agent)
        house.take(order, other, abs(size))

    for terms, error in (
        (Delegation(house.now - 1), "NotAuthorised"),
        (Delegation(house.now + 60, markets=1 << BTC), "DelegateMarket"),
        (Delegation(house.now + 60, reduce_only=True), "NotReducing"),
        (Delegation(house.now + 60, max_leverage=1), "LeverageExceeded"),
    ):
        house.grant(owner, "agent", terms)
        with pytest.raises(Refused, match=error):
            trade()
    house.grant(owner, "agent", Delegation(house.now + 60, max_leverage=3, markets=1 << ETH))
    trade()
    with pytest.raises(Refused, match="LeverageExceeded"):
        trade(one // 2 + 10**6 * WAD // price)
    house.take(house.order(other, {ETH: WAD}, one, price), owner, one, "agent")
    for deed in (
        house.withdrawing(owner, CASH, 1, "agent"),
        house.transferring(owner, owner + 1, CASH, 1, "agent"),
        house.granting(owner, "agent", Delegation(house.now), "agent"),
        house.returning_reserves(owner, 1, "agent"),
    ):
        with pytest.raises(Refused, match="NotAuthorised"):
            house.do(deed)
    house.raise_epoch(owner, "agent")
    house.warp(61)
    with pytest.raises(Refused, match="NotAuthorised"):
        house.raise_epoch(owner, "agent")


def test_a_signed_grant_dies_with_the_next_one(house: House, open_account: Open) -> None:
    owner = open_account("owner")
    terms = Delegation(house.now + 600, may_bid=True, max_leverage=700, markets=1 << ETH)
    kept = house.sign_grant(owner, "agent", terms, house.now + 100)
    house.use_grant(*kept)
    assert house.house.call.delegation(encode(owner), house.owner("agent").address) == (
        house.now + 600,
        True,
        False,
        700,
        1 << ETH,
    )
    for used in (kept, house.sign_grant(owner, "agent", terms, house.now - 1)):
        with pytest.raises(Refused, match=r"InvalidSignature|GrantExpired"):
            house.use_grant(*used)
    second = house.sign_grant(owner, "agent", terms)
    epoch = house.ledger.state(owner).epoch
    house.grant(owner, "agent", Delegation())
    with pytest.raises(Refused, match="InvalidSignature"):
        house.use_grant(*second)
    house.grant(owner, "agent", terms)
    assert house.ledger.state(owner).epoch == epoch + 1
    assert house.house.call.versions(encode(owner))[0] == epoch + 1
    assert house.house.call.grantNonce(encode(owner)) == house.ledger.grant_nonce(owner) == 3


def test_the_backstop_alone_moves_reserves(house: House) -> None:
    house.add_reserves(1_000 * DOLLAR)
    mine, other = house.account("backstop", 3), house.account("other")
    house.draw_reserves(mine, 400 * WAD + 7)
    house.return_reserves(mine, 100 * WAD)
    for attempt, error in (
        (lambda: house.draw_reserves(mine, 10**6 * WAD), "InsufficientReserves"),
        (lambda: house.draw_reserves(other, 1), "NotAuthorised"),
        (lambda: house.draw_reserves(other, 1, "other"), "OnlyBackstop"),
        (lambda: house.pay_reserves("other", 1, "other"), "OnlyBackstop"),
        (lambda: house.pay_reserves("other", 0), "ZeroAmount"),
        (lambda: house.pay_reserves("other", 800 * DOLLAR), "InsufficientReserves"),
        (lambda: house.return_reserves(mine, 10**6 * WAD), "BelowInitialMargin"),
    ):
        with pytest.raises(Refused, match=error):
            attempt()
    house.pay_reserves("other", 600 * DOLLAR)
    assert house.usd.call.balanceOf(house.owner("other")) == 600 * DOLLAR
    assert_books_equal(house, "other")

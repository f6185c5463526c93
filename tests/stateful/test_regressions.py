"""Sequences that once failed the stateful test, by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import CASH, Refused
from plimsoll.risk.model import WAD
from tests.house import ALT, BTC, DOLLAR, ETH, House

Open = Callable[..., int]
NOTHING_LEFT = 2**112


def test_a_deposit_below_zero_equity_is_never_refused(house: House, open_account: Open) -> None:
    """It lifts equity and margin both: what the ratio rule refuses to a trade from `E < 0`, as it
    refuses every trade that ends there."""
    account = open_account("trader", cash=1_000, collateral={1: WAD // 10}, positions={ALT: -WAD})
    house.open_position(account, ALT, -3_000 * WAD)
    house.set_price(ALT, 2 * WAD)
    before = house.margin(account)
    house.deposit(account, 1, WAD // 1_000, payer="stranger")
    after = house.margin(account)
    assert before.equity < after.equity < 0
    assert after.maintenance_margin > before.maintenance_margin
    assert not model.ratio_holds(before, after)


def test_a_gift_that_hedges_an_insolvent_account(house: House, open_account: Open) -> None:
    """Equity rises and margin falls, so the ratio of the two falls too, being negative."""
    held = {ETH: 40 * WAD, BTC: -WAD // 100}
    account = open_account("trader", cash=8_000, collateral={2: 10**4}, positions=held)
    house.set_price(ETH, WAD)
    before = house.margin(account)
    house.deposit(account, 2, 10**5, payer="stranger")
    after = house.margin(account)
    assert before.equity < after.equity < 0
    assert after.maintenance_margin < before.maintenance_margin
    ratios = (
        after.equity * before.maintenance_margin,
        before.equity * after.maintenance_margin,
    )
    assert ratios[0] < ratios[1]


def test_a_deposit_into_a_gain_that_is_not_believed_yet(house: House, open_account: Open) -> None:
    """A jump lifts equity far beyond what initial margin believes, so that whatever is deposited is
    worth less for its margin than what is there: the ratio falls, and the room rises."""
    account = open_account("trader", cash=200_000, positions={ETH: 500 * WAD})
    house.set_price(ETH, 10_000 * WAD)
    before = house.margin(account)
    house.deposit(account, 4, 1_000)
    after = house.margin(account)
    assert not after.is_free
    assert not model.ratio_holds(before, after)
    assert after.equity * before.maintenance_margin < before.equity * after.maintenance_margin
    gained = after.equity - before.equity
    assert gained > after.maintenance_margin - before.maintenance_margin > 0


def test_a_token_of_27_decimals_stops_at_112_bits_of_it(house: House, open_account: Open) -> None:
    """Five million whole tokens of 27 decimals fit the vault; the next deposit is refused whole."""
    open_account("holder", collateral={3: NOTHING_LEFT - 1})
    other = house.account("other")
    with pytest.raises(Refused, match="SafeCastOverflowedUintDowncast"):
        house.deposit(other, 3, 1)
    house.withdraw(house.account("holder"), 3, 1)
    house.deposit(other, 3, 1)


def test_a_size_beyond_its_place_is_refused(house: House, open_account: Open) -> None:
    """At a price of next to nothing a modest sum buys more units than 104 bits hold."""
    trader = open_account("trader")
    house.add_reserves(10**6 * DOLLAR)
    house.set_price(ETH, 1)
    dealer = house.account("dealer")
    house.deposit(dealer, CASH, DOLLAR)
    order = house.order(dealer, {ETH: WAD}, -(2**104), 1)
    with pytest.raises(Refused, match="PositionTooLarge"):
        house.take(order, trader, 2**103)


def test_a_settlement_within_a_batch_waits_for_the_check(house: House, open_account: Open) -> None:
    """An account that was changed is not settled before it is checked."""
    trader = open_account("trader", positions={ETH: WAD})
    house.set_price(ETH, 2_010 * WAD)
    with pytest.raises(Refused, match="CheckPending"):
        house.batch(house.withdrawing(trader, CASH, 1), house.settling(trader, ETH, "trader"))
    house.batch(house.settling(trader, ETH, "trader"), house.withdrawing(trader, CASH, 1))


def test_a_strangers_deposit_crowds_initial_margin_only(house: House, open_account: Open) -> None:
    """An account that is exactly free may lose that by crowding, and nothing else."""
    account = open_account("trader", cash=0, collateral={4: 100_000})
    margin = house.margin(account)
    free = margin.initial_equity - margin.initial_margin
    open_account("lender", cash=100_000)
    house.withdraw(account, CASH, free // house.ledger.cash_scale)
    assert house.margin(account).is_free
    house.warp(3_600)
    for u, one in house.underlyings.items():
        house.set_price(u, one.seen.last)
    before = house.margin(account)
    open_account("crowd", cash=0, collateral={4: 3 * 10**7})
    after = house.margin(account)
    assert not after.is_free
    assert after.is_healthy
    assert (after.equity, after.maintenance_margin) == (before.equity, before.maintenance_margin)
    with pytest.raises(Refused, match="BelowInitialMargin"):
        house.withdraw(account, 4, 1)

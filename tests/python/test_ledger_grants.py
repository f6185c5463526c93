"""Delegates and the end: docs/ledger.md, sections 6 and 7, as the twin has them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model
from plimsoll.risk.ledger import (
    CASH,
    CLOSING_TIME,
    WINDING_DELAY,
    BidTerms,
    Delegation,
    Grant,
    Refused,
)
from plimsoll.risk.model import WAD
from tests.python.desk import (
    BORROWER,
    DELEGATE,
    ETH,
    KEEPER,
    RUNNER,
    SAVER,
    STRANGER,
    TOKEN,
    Desk,
)

MARKET = model.perpetual(ETH)
FOREVER = 2**40


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    for account in (SAVER, RUNNER, KEEPER):
        desk.deposit(account, CASH, 10_000)
    return desk


def granted(desk: Desk, **terms: Any) -> None:
    delegation = Delegation(**{"expiry": FOREVER, **terms})
    desk.ledger.set_delegate(SAVER, DELEGATE, delegation, desk.context())


def bought(desk: Desk, size: int) -> int:
    """The delegate signs for the saver, who trades with the runner."""
    order = desk.order(SAVER, size, signer=DELEGATE)
    against = desk.order(RUNNER, -size)
    return desk.ledger.trade(order, against, abs(size), desk.context())


def test_only_a_living_grant_lets_somebody_sign_and_take(desk: Desk) -> None:
    with pytest.raises(Refused, match="NotAuthorised"):
        bought(desk, WAD)
    granted(desk, expiry=desk.now)
    assert bought(desk, WAD) == WAD
    order = desk.order(RUNNER, WAD)
    assert desk.ledger.take(order, SAVER, WAD, desk.context(), sender=DELEGATE) == WAD
    desk.later(1)
    with pytest.raises(Refused, match="NotAuthorised"):
        desk.ledger.take(desk.order(RUNNER, 2 * WAD), SAVER, WAD, desk.context(), sender=DELEGATE)


def test_a_grant_names_its_markets(desk: Desk) -> None:
    granted(desk, markets=1 << ETH + 1)
    with pytest.raises(Refused, match="DelegateMarket"):
        bought(desk, WAD)
    granted(desk, markets=1 << ETH)
    assert bought(desk, WAD) == WAD


def test_a_grant_may_be_to_reduce_only(desk: Desk) -> None:
    granted(desk, reduce_only=True)
    with pytest.raises(Refused, match="NotReducing"):
        bought(desk, WAD)
    desk.ledger.trade(desk.order(SAVER, WAD), desk.order(RUNNER, -WAD), WAD, desk.context())
    assert bought(desk, -WAD // 2) == WAD // 2


@given(st.integers(1, 1_000), st.integers(1, 6 * WAD))
def test_leverage_is_judged_after_the_fill(leverage: int, size: int) -> None:
    """Ten thousand dollars at two thousand a unit: to the wei, and rounded against the delegate."""
    desk = Desk()
    for account in (SAVER, RUNNER):
        desk.deposit(account, CASH, 10_000)
    granted(desk, max_leverage=leverage)
    allowed = -(-size * 2_000 * WAD // WAD) * 100 <= leverage * 10_000 * WAD
    if allowed:
        assert bought(desk, size) == size
    else:
        with pytest.raises(Refused, match="LeverageExceeded"):
            bought(desk, size)


def test_who_reduces_may_have_any_leverage(desk: Desk) -> None:
    desk.ledger.trade(
        desk.order(SAVER, 5 * WAD), desk.order(RUNNER, -5 * WAD), 5 * WAD, desk.context()
    )
    granted(desk, max_leverage=1)
    assert bought(desk, -WAD) == WAD


def test_only_who_may_bid_bids(desk: Desk) -> None:
    desk.deposit(BORROWER, TOKEN, 10)
    desk.withdraw(BORROWER, CASH, 15_000 * 10**6)
    desk.price = 1_550 * WAD
    desk.auction(BORROWER)
    desk.later(60)
    terms = BidTerms(BORROWER, SAVER, WAD, 2**200, desk.now, sender=DELEGATE)
    for grant in ({"expiry": 0}, {"may_bid": False}):
        granted(desk, **grant)
        with pytest.raises(Refused, match="NotAuthorised"):
            desk.ledger.bid(terms, desk.context())
    granted(desk, may_bid=True)
    assert desk.ledger.bid(terms, desk.context()).fraction > 0


def test_granting_anew_leaves_dead_what_was_signed_before(desk: Desk) -> None:
    granted(desk)
    old = desk.order(SAVER, WAD, signer=DELEGATE)
    granted(desk, expiry=0)
    assert desk.ledger.state(SAVER).epoch == 0
    granted(desk)
    assert desk.ledger.state(SAVER).epoch == 1
    with pytest.raises(Refused, match="OrderEpochPassed"):
        desk.ledger.trade(old, desk.order(RUNNER, -WAD), WAD, desk.context())
    granted(desk, markets=1 << ETH)
    assert desk.ledger.state(SAVER).epoch == 1


def test_a_signed_grant_is_used_once_and_dies_with_the_next_one(desk: Desk) -> None:
    first, second = (
        Grant(SAVER, DELEGATE, Delegation(FOREVER), nonce, desk.now + 60) for nonce in (0, 1)
    )
    desk.ledger.set_delegate_by_signature(first, desk.context())
    assert desk.ledger.delegation(SAVER, DELEGATE).is_alive(desk.now)
    for grant in (first, Grant(SAVER, STRANGER, Delegation(FOREVER), 0, desk.now + 60)):
        with pytest.raises(Refused):
            desk.ledger.set_delegate_by_signature(grant, desk.context())
    desk.later(61)
    with pytest.raises(Refused, match="GrantExpired"):
        desk.ledger.set_delegate_by_signature(second, desk.context())


def test_nobody_grants_for_another(desk: Desk) -> None:
    with pytest.raises(Refused, match="NotAuthorised"):
        desk.ledger.set_delegate(
            SAVER, STRANGER, Delegation(FOREVER), desk.context(), sender=STRANGER
        )


# The end


def shut(desk: Desk) -> None:
    desk.ledger.submit_shutdown(desk.now)
    desk.later(WINDING_DELAY)
    desk.ledger.accept_shutdown(desk.now)


def test_a_shutdown_ends_new_risk_for_good(desk: Desk) -> None:
    desk.ledger.trade(desk.order(SAVER, WAD), desk.order(RUNNER, -WAD), WAD, desk.context())
    with pytest.raises(Refused, match="NotShut"):
        desk.ledger.close_out(SAVER, MARKET, desk.context())
    shut(desk)
    buyer, seller = desk.order(SAVER, 2 * WAD), desk.order(RUNNER, -2 * WAD)
    with pytest.raises(Refused, match="Shut"):
        desk.ledger.trade(buyer, seller, 2 * WAD, desk.context())
    closing = desk.order(SAVER, -WAD // 2), desk.order(RUNNER, WAD // 2)
    assert desk.ledger.trade(*closing, WAD // 2, desk.context()) == WAD // 2


def test_positions_become_cash_at_one_price(desk: Desk) -> None:
    desk.ledger.trade(desk.order(SAVER, WAD), desk.order(RUNNER, -WAD), WAD, desk.context())
    shut(desk)
    with pytest.raises(Refused, match="TooEarlyToClose"):
        desk.ledger.close_out(SAVER, MARKET, desk.context())
    desk.later(CLOSING_TIME)
    desk.doubtful = True
    with pytest.raises(Refused, match="PriceNotOk"):
        desk.ledger.close_out(SAVER, MARKET, desk.context())
    desk.doubtful, desk.price = False, 2_300 * WAD
    assert desk.ledger.close_out(SAVER, MARKET, desk.context()) == 300 * WAD
    desk.price = 9_000 * WAD
    with pytest.raises(Refused, match="PositionsOpen"):
        desk.withdraw(RUNNER, CASH, 1)
    with pytest.raises(Refused, match="PositionsOpen"):
        desk.ledger.flag(RUNNER, desk.context())
    out = desk.order(SAVER, -WAD), desk.order(RUNNER, WAD)
    with pytest.raises(Refused, match="Shut"):
        desk.ledger.trade(*out, WAD, desk.context())
    with pytest.raises(Refused, match="MarketEnded"):
        desk.ledger.settle(RUNNER, MARKET, desk.context())
    assert desk.ledger.close_out(RUNNER, MARKET, desk.context()) == -300 * WAD
    assert desk.ledger.close_out(RUNNER, MARKET, desk.context()) == 0
    assert (desk.ledger.open_interest(MARKET), desk.ledger.pool.net_quote) == (0, 0)
    for account in (SAVER, RUNNER, KEEPER):
        desk.withdraw(account, CASH, desk.cash(account) // 10**12)
    assert desk.ledger.vault_cash == 0

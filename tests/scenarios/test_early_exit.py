"""The early exit changes what a check costs, and never what it answers: whoever is far from his
limit, at it, a unit beyond it or in doubt is told what the twin of the books says, which knows no
such exit.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.risk.ledger import CASH, Account
from plimsoll.risk.model import WAD
from tests.house import DOLLAR
from tests.scenarios.test_expiry import Street, refuses
from tests.world import pack_portfolio


@pytest.fixture(scope="module")
def built() -> Street:
    return Street()


@pytest.fixture
def street(built: Street) -> Iterator[Street]:
    with built.house.anchored():
        built.trade_package({built.call: -WAD, built.put: WAD}, 20 * WAD, 0)
        yield built


def is_covered(street: Street, account: Account) -> bool:
    portfolio = pack_portfolio(street.house.ledger.portfolio(account))
    with street.house.anchored():
        return bool(street.house.engine.isCovered(portfolio).value)


def spare(street: Street, account: Account) -> int:
    """What may leave, in units of the settlement token."""
    margin = street.house.margin(account)
    return (margin.initial_equity - margin.initial_margin) * DOLLAR // WAD


@pytest.mark.parametrize("who", ["buyer", "seller"])
def test_a_withdrawal_ends_at_the_same_unit(street: Street, who: str) -> None:
    account = getattr(street, who)
    assert is_covered(street, account)
    free = spare(street, account)
    with refuses("BelowInitialMargin"):
        street.house.withdraw(account, CASH, free + 1)
    street.house.withdraw(account, CASH, free)
    assert not is_covered(street, account)
    street.check()


def test_a_trade_at_the_limit_is_judged_by_the_grid(street: Street) -> None:
    street.house.withdraw(street.seller, CASH, spare(street, street.seller))
    assert not is_covered(street, street.seller)
    with refuses("RatioWorsened"):
        street.trade(street.far, 10 * WAD)
    street.trade_package({street.call: -WAD, street.put: WAD}, -WAD, 0)
    street.check()


def test_the_rich_are_in_doubt_as_well(street: Street) -> None:
    """What rests on a stale surface is covered by no equity."""
    street.trade(street.call, 20 * WAD)
    assert is_covered(street, street.seller)
    street.pass_time(7_200)
    assert not is_covered(street, street.seller)
    with refuses("DoubtfulPrice"):
        street.house.withdraw(street.seller, CASH, DOLLAR)
    street.report()
    assert is_covered(street, street.seller)
    street.house.withdraw(street.seller, CASH, DOLLAR)
    street.check()

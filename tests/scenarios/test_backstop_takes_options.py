"""The backstop and books of options: what only time can close keeps it off no slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plimsoll.risk.instruments import expiry_of, option
from plimsoll.risk.ledger import Account, Refused
from plimsoll.risk.model import WAD
from tests.backed_house import BackedHouse
from tests.house import ETH
from tests.scenarios.test_expiry import PRICE, Street

LOOKS = 12
# Deep enough for the vault to bid.
INTO_AUCTION = 420


class Backed(Street):
    """The same people, with reserves that belong to the holders of a vault."""

    house: BackedHouse

    def make_house(self, **options: Any) -> BackedHouse:
        return BackedHouse(**options)

    def add_reserves(self, units: int) -> None:
        self.house.invest("holder", units)

    def auction(self, account: Account, step: int = 60) -> None:
        """The price rises until the account is flagged, and on for as long as the vault waits."""
        for percent in range(100, 160):
            self.pass_time(step, PRICE * percent // 100)
            self.report()
            if not self.house.margin(account).is_healthy:
                break
        self.house.flag(account)
        self.pass_time(LOOKS, PRICE * percent // 100)
        self.house.flag(account)
        self.pass_time(INTO_AUCTION, PRICE * percent // 100)


@pytest.fixture(scope="module")
def built() -> Backed:
    return Backed()


@pytest.fixture
def street(built: Backed) -> Iterator[Backed]:
    with built.house.anchored():
        yield built


def strangle(street: Backed) -> Account:
    poor = street.fund("poor", 60_000)
    street.house.open_position(poor, street.call, -100 * WAD)
    street.house.open_position(poor, street.far, 30 * WAD)
    street.house.open_position(poor, ETH, 10 * WAD)
    return poor


def test_a_leg_worth_nothing_keeps_it_off_no_book(street: Backed) -> None:
    """A millionth of a put that has decayed below a basis point: nobody may open it any more."""
    poor = strangle(street)
    worthless = option(ETH, street.day, 1_500 * WAD, put=True)
    street.house.open_position(poor, worthless, WAD // 10**6)
    street.auction(poor)
    assert street.house.context().market(worthless).closed
    result, _ = street.house.take_over(poor)
    assert result.fraction > 0


def test_it_takes_nothing_that_is_about_to_settle(street: Backed) -> None:
    poor = strangle(street)
    street.pass_time(expiry_of(street.day) - 2_000 - street.house.now)
    street.report()
    street.auction(poor, step=1)
    assert 0 < expiry_of(street.day) - street.house.now < 1_800
    with pytest.raises(Refused, match="MarketClosed"):
        street.house.take_over(poor)

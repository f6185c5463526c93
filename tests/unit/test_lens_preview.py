"""`previewTrade` tells, to the last bit, the margin that a trade leaves, on either side of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.errors import ContractError
from plimsoll.protocol import Account
from plimsoll.records import Margin
from plimsoll.risk.ledger import WINDING_DELAY
from plimsoll.units import from_wad
from tests.unit.lens_house import House
from tests.unit.test_lens_withdrawal import after_shared_loss

HOUR = 3_600
SIZES = st.integers(-(30 * 10**18), 30 * 10**18).filter(bool)
PRICES = st.integers(1_900 * 10**18, 2_100 * 10**18)


@pytest.fixture(scope="module")
def built() -> House:
    house = House()
    house.wait(HOUR)
    return house


@pytest.fixture
def house(built: House):
    with built.evm.anchored():
        yield built


def previewed(house: House, account: Account, size: int, price: int, *, is_taker: bool) -> Margin:
    market = house.market("ETH")
    before, after = account.preview(market.fill(from_wad(size), from_wad(price), is_taker=is_taker))
    assert before == account.margin()
    return after


def agree(house: House, taker: Account, maker: Account, size: int, price: int) -> None:
    """Previews both sides of a trade, trades, and compares."""
    expected = (
        previewed(house, taker, size, price, is_taker=True),
        previewed(house, maker, -size, price, is_taker=False),
    )
    made = maker.sign(maker.order(house.market("ETH"), from_wad(-size), from_wad(price)))
    taker.take(made, from_wad(abs(size)))
    assert (taker.margin(), maker.margin()) == expected


@settings(max_examples=30)
@given(first=SIZES, second=SIZES, price=PRICES, hours=st.integers(0, 20))
def test_opening_adding_reducing_and_crossing_zero(built: House, first, second, price, hours):
    with built.evm.anchored():
        taker = built.person("taker", USD=200_000, WETH=1)
        maker = built.person("maker", USD=200_000, WBTC=1)
        agree(built, taker, maker, first, price)
        built.wait(hours * HOUR // 20)
        agree(built, taker, maker, second, price)


def test_closing_turns_the_quote_into_cash(house: House):
    taker, maker = house.person("taker", USD=200_000), house.person("maker", USD=200_000)
    size = 3 * 10**18 + 1
    agree(house, taker, maker, size, 2_010 * 10**18 + 7)
    house.wait(HOUR // 2)
    agree(house, taker, maker, -size, 2_020 * 10**18 + 3)
    assert taker.portfolio().positions == ()
    assert maker.portfolio().positions == ()


def test_cash_is_booked_as_principal_after_a_shared_loss():
    house = after_shared_loss()
    taker, maker = house.person("saver"), house.person("bidder")
    house.reserve(10**6)
    house.contract.submitResume()
    house.wait(WINDING_DELAY)
    house.contract.acceptResume()
    assert house.deployer.pool().supply_index < 1
    agree(house, taker, maker, 2 * 10**18 + 1, 1_003 * 10**18 + 1)


def test_several_fills_are_taken_in_turn(house: House):
    taker, maker = house.person("taker", USD=200_000), house.person("maker", USD=200_000)
    eth, btc = house.market("ETH"), house.market("BTC")
    _, expected = taker.preview(eth.fill("2", "2_001"), btc.fill("-0.1", "49_990"))
    house.trade(taker, maker, "ETH", "2", "2_001")
    house.trade(maker, taker, "BTC", "0.1", "49_990")
    # The taker made the second one: the fees differ by what is printed in the terms.
    terms = btc.terms()
    notional = terms.mark * 1 / 10
    saved = notional * (terms.taker_fee - terms.maker_fee)
    assert taker.margin().equity - expected.equity == saved


def test_nothing_is_asked_that_would_refuse_the_trade(house: House):
    pauper = house.person("pauper", USD=10)
    _, after = pauper.preview(house.market("ETH").fill("5", "2_000"))
    assert not after.free
    maker = house.person("maker", USD=200_000)
    with pytest.raises(ContractError, match="RatioWorsened"):
        house.trade(pauper, maker, "ETH", "5")


def test_nothing_previewed_changes_nothing(house: House):
    before, after = house.person("saver", USD=10, WETH=1).preview()
    assert before == after

"""Every list of the lens answers for the readable and says which are not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from eth_utils.crypto import keccak

from plimsoll.protocol import Account, Auction
from plimsoll.records import UNREADABLE, AuctionState
from plimsoll.units import WAD, to_wad_exact
from tests.unit.lens_house import House

FIRST_POSITION = 64
OPTION = 3 << 46
NOBODY = b"\x07" * 32


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House):
    with built.evm.anchored():
        yield built


@pytest.fixture
def trader(house: House) -> Account:
    trader, maker = house.person("trader", USD=5_000, WETH=2), house.person("maker", USD=200_000)
    house.trade(trader, maker, "ETH", "20")
    return trader


def spoil(house: House, account: Account) -> None:
    """Puts an instrument into the account's first position that no engine knows."""
    roots = (keccak(account.id.encode() + v.to_bytes(32, "big")) for v in range(32))
    slots = [int.from_bytes(root, "big") + FIRST_POSITION for root in roots]
    slot, word = next((s, w) for s in slots if (w := house.evm.storage(house.contract, s)))
    house.evm.set_storage(house.contract, slot, word | OPTION << 208)


def raw_health(margin) -> int:
    return int(margin.maintenanceEquity * WAD // margin.maintenanceMargin)


def test_the_risk_of_an_account_is_what_house_and_engine_say(house: House, trader: Account):
    account = trader.id.encode()
    risk = house.lens.call.accountRisk(account)
    portfolio = house.contract.call.portfolio(account)
    margin, initial, maintenance, underlyings = house.terms.engine.call.breakdown(portfolio)
    assert risk.portfolio == portfolio
    assert risk.margin == margin == house.contract.call.margin(account)
    assert (risk.initial, risk.maintenance) == (initial, maintenance)
    assert risk.underlyings == underlyings
    assert risk.health == raw_health(margin)
    assert risk.freeCollateral == margin.initialEquity - margin.initialMargin > 0


def test_free_collateral_is_never_negative(house: House, trader: Account):
    house.set_price("ETH", 1_720)
    assert not trader.margin().free
    assert trader.risk().free_collateral == 0


def test_health_is_rounded_down_below_zero_too(house: House, trader: Account):
    house.set_price("ETH", 1_500)
    margin = house.contract.call.margin(trader.id.encode())
    assert margin.maintenanceEquity * WAD % margin.maintenanceMargin != 0
    assert margin.maintenanceEquity < 0
    assert house.lens.call.healths([trader.id.encode()]) == [raw_health(margin)]


def test_without_margin_health_has_no_bound(house: House):
    saver = house.person("saver", USD=1)
    ids = [saver.id, Account(saver.chain, saver.id).id]
    assert house.deployer.healths(ids) == {saver.id: Decimal("Infinity")}


def test_one_account_that_cannot_be_read_spoils_no_list(house: House, trader: Account):
    saver, spoilt = house.person("saver", USD=10, WETH=1), house.person("spoilt", USD=50_000)
    house.trade(spoilt, house.person("maker"), "ETH", "1")
    spoil(house, spoilt)
    ids = [trader.id, spoilt.id, saver.id]
    raw = [account.encode() for account in ids]

    risks = house.deployer.risks(ids)
    assert risks == [trader.risk(), None, saver.risk()]
    healths = house.lens.call.healths(raw)
    assert healths[1] == UNREADABLE
    assert house.deployer.healths(ids).keys() == {trader.id, saver.id}
    views = house.deployer.auctions(ids)
    assert [view is None for view in views] == [False, True, False]


def test_a_bot_sees_the_slice_that_it_could_take(house: House, trader: Account):
    (calm,) = house.deployer.auctions([trader.id])
    assert calm is not None
    assert (calm.clock.state, calm.fraction, calm.price) == (
        AuctionState.NONE,
        Decimal(0),
        Decimal(0),
    )
    house.set_price("ETH", 1_690)
    auction = Auction(trader.chain, trader.id)
    auction.flag()
    house.wait(15)
    auction.flag()
    house.wait(60)
    (view,) = house.deployer.auctions([trader.id])
    assert view is not None
    quote = auction.quote()
    assert view.clock.state is AuctionState.RUNNING
    assert (view.fraction, view.price, view.depth) == (quote.fraction, quote.price, quote.depth)
    assert 0 < view.fraction <= 1
    assert view.version == trader.version()
    assert view.margin == trader.margin()
    assert view.health == trader.risk().health < 1
    assert trader.risk().auction == view.clock
    assert trader.risk().depth == view.depth


def test_markets_answer_for_those_that_exist(house: House, trader: Account):
    known = house.market("ETH").instrument.encode()
    terms, open_interest = house.lens.call.markets([known, OPTION | 1, known])
    assert terms[0] == terms[2] == house.terms.engine.call.marketView(known)
    assert open_interest == [20 * WAD, 0, 20 * WAD]
    assert terms[1].mark == 0


def test_underlyings_answer_for_those_that_exist(house: House, trader: Account):
    states = house.deployer.markets([1, 2, 77, 4_000])
    assert states.keys() == {1, 2}
    eth = states[1]
    assert eth.price.index == eth.market.mark == 2_000
    assert eth.open_interest == 20
    assert eth.observed_at == house.evm.time
    assert (eth.market.taker_fee, eth.market.maker_fee) == (Decimal("0.0005"), Decimal("0.0002"))


def test_assets_answer_for_those_that_are_listed(house: House, trader: Account):
    settlement, weth, unlisted, wbtc = house.lens.call.assets([0, 1, 50, 2])
    assert settlement.token == house.tokens[0].address
    assert (settlement.decimals, settlement.claims) == (6, 0)
    assert settlement.held == house.tokens[0].call.balanceOf(house.contract.call.VAULT())
    assert (weth.decimals, weth.underlying, weth.claims, weth.held) == (18, 1, 2 * WAD, 2 * WAD)
    assert weth.perToken == house.terms.engine.call.explain(1, WAD)
    assert weth.perToken.value == to_wad_exact(2_000) > weth.perToken.counted > 0
    assert int(unlisted.token, 16) == 0
    assert (wbtc.decimals, wbtc.underlying) == (8, 2)


def test_the_lens_names_its_house(house: House):
    assert house.lens.call.CLEARING_HOUSE() == house.contract.address


def test_an_unknown_account_is_empty_and_healthy(house: House):
    assert house.lens.call.healths([NOBODY]) == [2**127 - 1]
    assert house.lens.call.accountRisk(NOBODY).portfolio == (0, [], [])

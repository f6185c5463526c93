"""The local house in one call: real tokens and feeds, and the levers that tests and demo pull."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import ape
import pytest
from ape.api import AccountAPI

from plimsoll.config import load_config
from plimsoll.deploy import LocalDeployment, deploy_local
from plimsoll.risk.params import Kind

OK, STALE, DEVIATING, UNCONFIRMED, SEQUENCER_DOWN = 0, 1, 4, 5, 6
WAD = 10**18


@pytest.fixture(scope="module")
def deployer() -> AccountAPI:
    return ape.accounts.test_accounts[0]


@pytest.fixture(scope="module")
def trader() -> AccountAPI:
    return ape.accounts.test_accounts[1]


@pytest.fixture(scope="module")
def deployed(deployer: AccountAPI) -> LocalDeployment:
    return deploy_local(deployer)


@pytest.fixture
def house(deployed: LocalDeployment) -> Iterator[LocalDeployment]:
    with ape.chain.isolate():
        prices = dict(deployed.prices)
        yield deployed
        deployed.prices = prices


def test_is_sealed_and_as_configured(house: LocalDeployment) -> None:
    assert house.engine.isSealed()
    config = load_config("local")
    assert house.underlyings == {name: u.id for name, u in config.underlyings.items()}
    assert {t.asset for t in house.tokens.values()} == {0, *(a.id for a in config.assets.values())}
    for symbol, token in house.tokens.items():
        assert token.contract.symbol() == symbol
        assert token.contract.decimals() == token.decimals
        if token.asset:
            assert house.engine.tokenOf(token.asset) == token.address


def test_every_price_is_good_from_the_start(house: LocalDeployment) -> None:
    for symbol, number in house.underlyings.items():
        price = house.engine.price(number)
        assert price.status == OK
        assert price.index == int(house.prices[symbol] * WAD)


@pytest.mark.parametrize("symbol", ["USDC", "WETH", "WBTC", "fpWETH", "wstETH", "LINK"])
def test_gives_away_every_token(symbol: str, house: LocalDeployment, trader: AccountAPI) -> None:
    token = house.tokens[symbol]
    units = house.mint(symbol, trader.address, "12.5")
    assert units == 125 * 10**token.decimals // 10
    assert token.contract.balanceOf(trader) == units


def test_a_stranger_has_a_drip_a_day(house: LocalDeployment, trader: AccountAPI) -> None:
    link = house.tokens["LINK"].contract
    drip = link.DRIP()
    link.mint(trader, drip, sender=trader)
    with ape.reverts(link.DripExhausted, caller=trader.address, amount=1, left=0):
        link.mint(trader, 1, sender=trader)
    ape.chain.pending_timestamp += 24 * 3600
    link.mint(trader, 1, sender=trader)
    assert link.balanceOf(trader) == drip + 1


def test_pushes_both_sources(house: LocalDeployment) -> None:
    house.push_prices({"ETH": "2_601.25", "BTC": 61_000})
    house.observe()
    ether = house.engine.price(house.underlyings["ETH"])
    assert (ether.index, ether.status) == (2_601_25 * WAD // 100, OK)


def test_sources_can_part_and_meet_again(house: LocalDeployment) -> None:
    number = house.underlyings["ETH"]
    house.push_primary("ETH", "2_000")
    house.observe("ETH")
    assert house.engine.price(number).status == DEVIATING
    house.push_second("ETH", "2_000")
    house.observe("ETH")
    assert house.engine.price(number).status == OK


def test_prices_grow_stale_and_are_refreshed(house: LocalDeployment) -> None:
    number = house.underlyings["ETH"]
    ape.chain.pending_timestamp += 2 * 3600
    ape.chain.mine()
    assert house.engine.price(number).status == STALE
    house.refresh()
    house.observe()
    assert house.engine.price(number).status == OK


def test_the_sequencer_goes_down_and_comes_back(house: LocalDeployment) -> None:
    number = house.underlyings["ETH"]
    house.set_sequencer(up=False)
    assert house.engine.price(number).status == SEQUENCER_DOWN
    house.set_sequencer(up=True)
    assert house.engine.price(number).status == SEQUENCER_DOWN
    grace = load_config("local").sequencer
    assert grace
    ape.chain.pending_timestamp += grace.grace
    house.refresh()
    house.observe()
    assert house.engine.price(number).status == OK


def test_redemption_rates_move(house: LocalDeployment, trader: AccountAPI) -> None:
    house.mint("fpWETH", trader.address, 3)
    house.set_redemption_rate("fpWETH", "1.05")
    assert house.tokens["fpWETH"].contract.convertToAssets(WAD) == 105 * WAD // 100
    house.set_redemption_rate("wstETH", "1.2")
    assert house.tokens["wstETH"].contract.stEthPerToken() == 12 * WAD // 10
    with pytest.raises(ValueError, match="cannot be lowered"):
        house.set_redemption_rate("fpWETH", "1.01")
    with pytest.raises(ValueError, match="is no yield token"):
        house.set_redemption_rate("WETH", "1.01")


def test_only_the_owner_sets_a_rate(house: LocalDeployment, trader: AccountAPI) -> None:
    staked = house.tokens["wstETH"].contract
    with ape.reverts(staked.OnlyOwner, caller=trader.address):
        staked.setStEthPerToken(WAD, sender=trader)


def test_amounts_finer_than_the_token_are_refused(house: LocalDeployment) -> None:
    with pytest.raises(Exception, match="more than 6 decimals"):
        house.mint("USDC", house.deployer.address, Decimal("0.0000001"))


def test_can_be_left_unsealed_and_overridden(deployer: AccountAPI) -> None:
    with ape.chain.isolate():
        raw = load_config("local").model_dump()
        house = deploy_local(deployer, seal=False, globals={**raw["globals"], "dust": "$7"})
        assert not house.engine.isSealed()
        word = house.engine.parameter(Kind.GLOBAL, 0).target
    (recorded,) = [p for p in house.manifest.parameters if p.kind == "GLOBAL"]
    assert int(recorded.word, 16) == word
    assert recorded.meaning["dust"] == "$7"


def test_the_reserves_have_their_backstop(house: LocalDeployment, trader: AccountAPI) -> None:
    """Bound before the seal; anybody buys shares in what bears losses first."""
    assert house.clearing_house.backstop() == house.backstop.address
    usdc = house.tokens["USDC"]
    units = house.mint("USDC", trader.address, "1_000")
    usdc.contract.approve(house.backstop, units, sender=trader)
    house.backstop.deposit(units, trader, sender=trader)
    assert house.backstop.balanceOf(trader) == 1_000 * units
    assert house.clearing_house.pool().reserves == 1_000 * WAD

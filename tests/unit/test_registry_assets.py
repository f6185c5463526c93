"""Tokens, caps, the crowd rate and markets: what the registry keeps beside its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from plimsoll.risk import oracle
from plimsoll.risk.model import MAX_UNITS, WAD, ceil_div
from plimsoll.risk.params import (
    DELAY,
    AssetParams,
    Kind,
    MarketParams,
    TokenParams,
)
from tests.unit.registry_house import (
    BTC_PRICE,
    ETH,
    ETH_PRICE,
    RISK,
    TERMS,
    WBTC,
    WETH,
    House,
)
from tests.world import number

HOUR = 3_600
MILLION = 10**6 * WAD
BIT_OF_AN_ETHER = WAD // 2_000


@pytest.fixture(scope="module")
def built() -> House:
    return House().sealed_house()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.undone():
        yield built


def ether(dollars: int) -> int:
    return dollars * BIT_OF_AN_ETHER


def admit(house: House, asset: int, total: int, grown: int = 0, holding: int = 0):
    return house.engine.admit(asset, total, grown, holding, sender=house.house)


def crowd(house: House, asset: int) -> int:
    return house.call("collateralTerms", asset).crowd


# Tokens


def test_the_token_of_an_asset(house: House) -> None:
    for asset in (WETH, WBTC):
        assert house.call("tokenOf", asset) == house.assets[asset].token.address


@pytest.mark.parametrize("asset", [0, 3, 95, 96, 65_535])
def test_assets_that_are_not_listed(house: House, asset: int) -> None:
    for name, arguments in (
        ("tokenOf", (asset,)),
        ("collateralTerms", (asset,)),
        ("explain", (asset, 1)),
    ):
        with house.evm.reverts("UnknownAsset", asset):
            house.call(name, *arguments)
    with house.evm.reverts("UnknownAsset", asset):
        admit(house, asset, 0)


def test_a_token_without_risk_parameters_is_not_listed() -> None:
    """Its limits would all read as the loosest."""
    house = House()
    token = house.new_token(18)
    house.engine.setUp(Kind.TOKEN, 5, TokenParams(number(token), ETH, 18).word)
    house.sealed_house()
    with house.evm.reverts("UnknownAsset", 5):
        house.call("tokenOf", 5)
    with house.evm.reverts("UnknownAsset", 5):
        admit(house, 5, 1)


def test_a_token_is_set_once() -> None:
    house = House()
    again = TokenParams(number(house.new_token(18)), ETH, 18).word
    with house.evm.reverts("AlreadySet", Kind.TOKEN, WETH):
        house.engine.setUp(Kind.TOKEN, WETH, again)


def test_the_settlement_token_is_no_collateral() -> None:
    house = House()
    word = TokenParams(number(house.new_token(6)), ETH, 6).word
    with house.evm.reverts("UnknownAsset", 0):
        house.engine.setUp(Kind.TOKEN, 0, word)


def test_a_token_must_report_its_decimals() -> None:
    house = House()
    token = house.new_token(8)
    with house.evm.reverts("DecimalsMismatch", token.address, 18, 8):
        house.engine.setUp(Kind.TOKEN, 5, TokenParams(number(token), ETH, 18).word)


def test_a_token_needs_an_underlying_with_source_and_risk() -> None:
    house = House()
    token = house.new_token(18)
    for underlying in (7, 255):
        with house.evm.reverts("UnknownUnderlying", underlying):
            house.engine.setUp(Kind.TOKEN, 5, TokenParams(number(token), underlying, 18).word)
    house.engine.setUp(Kind.UNDERLYING, 7, RISK.word)
    with house.evm.reverts("UnknownUnderlying", 7):
        house.engine.setUp(Kind.TOKEN, 5, TokenParams(number(token), 7, 18).word)


def test_risk_parameters_need_a_token() -> None:
    house = House()
    with house.evm.reverts("UnknownAsset", 5):
        house.engine.setUp(Kind.ASSET, 5, TERMS.word)


# Caps


@pytest.mark.parametrize("name", ["admit", "noteTotal"])
def test_only_the_house_reports_what_the_vault_holds(house: House, name: str) -> None:
    arguments = (WETH, 1, 1, 1) if name == "admit" else (WETH, 1)
    for caller in (house.stranger, house.evm.deployer):
        with house.evm.reverts("OnlyClearingHouse", getattr(caller, "address", caller)):
            getattr(house.engine, name)(*arguments, sender=caller)


def test_the_cap_counts_dollars_to_the_wei(house: House) -> None:
    """Ten million dollars at 2,000 are 5,000 ether; a wei more is a wei too much, rounded up."""
    admit(house, WETH, 5_000 * WAD)
    value = 10_000_000 * WAD + 2_000
    with house.evm.reverts("CapExceeded", WETH, value, 10_000_000 * WAD):
        admit(house, WETH, 5_000 * WAD + 1)


def test_growth_counts_what_came_within_the_hour(house: House) -> None:
    admit(house, WETH, 5_000 * WAD, grown=1_000 * WAD)
    value = 2_000_000 * WAD + 2_000
    with house.evm.reverts("GrowthExceeded", WETH, value, 2_000_000 * WAD):
        admit(house, WETH, 5_000 * WAD, grown=1_000 * WAD + 1)


def test_caps_value_at_the_last_observed_price(house: House) -> None:
    """A deposit never depends on a feed: not on its price, not on whether it answers."""
    house.underlyings[ETH].feed.set(4_000 * WAD, house.now)
    admit(house, WETH, 5_000 * WAD)
    house.underlyings[ETH].feed.break_down()
    admit(house, WETH, 5_000 * WAD)
    house.underlyings[ETH].feed.mend()
    house.underlyings[ETH].feed.set(4_000 * WAD, house.now)
    house.observe(ETH)
    with house.evm.reverts("CapExceeded", WETH, 20_000_000 * WAD, 10_000_000 * WAD):
        admit(house, WETH, 5_000 * WAD)


def test_eight_decimals_count_as_well(house: House) -> None:
    """Ten million dollars at 60,000 are 166.66666666 bitcoin."""
    admit(house, WBTC, 16_666_666_666)
    value = ceil_div(16_666_666_667 * 10**10 * BTC_PRICE, WAD)
    with house.evm.reverts("CapExceeded", WBTC, value, 10_000_000 * WAD):
        admit(house, WBTC, 16_666_666_667)


def test_a_holding_stays_below_its_bound(house: House) -> None:
    admit(house, WETH, 0, holding=MAX_UNITS)
    with house.evm.reverts("HoldingTooLarge", WETH, MAX_UNITS + 1):
        admit(house, WETH, 0, holding=MAX_UNITS + 1)


@pytest.mark.parametrize("total", [2**128, 2**255, 2**256 - 1])
def test_totals_beyond_every_cap_are_refused_and_do_not_overflow(house: House, total: int) -> None:
    value = ceil_div((2**128 - 1) * ETH_PRICE, WAD)
    with house.evm.reverts("CapExceeded", WETH, value, 10_000_000 * WAD):
        admit(house, WETH, total)


# The crowd rate


def test_the_crowd_rate_walks_to_the_average_haircut(house: House) -> None:
    """Two million: the first at 1 %, the second at 4 %, so 2.5 % on average; a point in 32 s."""
    total = ether(2_000_000)
    house.warp(HOUR)
    [event] = admit(house, WETH, total).events("CrowdMoved")
    assert tuple(event) == (WETH, 0, 112)
    assert admit(house, WETH, total).events("CrowdMoved") == []
    house.warp(31 - house.now % 16)
    assert admit(house, WETH, total).events("CrowdMoved") == []
    house.warp(32)
    admit(house, WETH, total)
    assert crowd(house, WETH) in (113, 114)
    for _ in range(2):
        house.warp(HOUR)
        admit(house, WETH, total)
    assert crowd(house, WETH) == 250
    house.warp(10 * HOUR)
    assert admit(house, WETH, total).events("CrowdMoved") == []


def test_the_crowd_rate_is_that_of_the_twin_at_every_look(house: House) -> None:
    """Up and down, at odd moments, whether or not anything moves."""
    looks = [(5, 9), (40, 9), (7, 9), (16, 1), (3_000, 9), (1, 0), (999, 0), (64, 5)]
    for seconds, dollars in looks:
        house.warp(seconds)
        total = ether(dollars * 1_000_000)
        house.engine.noteTotal(WETH, total, sender=house.house)
        house.note_total(WETH, total)
        assert crowd(house, WETH) == house.assets[WETH].crowd


def test_the_crowd_rate_falls_when_the_vault_empties(house: House) -> None:
    house.warp(HOUR)
    house.engine.noteTotal(WETH, ether(9_000_000), sender=house.house)
    assert crowd(house, WETH) == 112
    house.warp(HOUR)
    house.engine.noteTotal(WETH, 0, sender=house.house)
    assert crowd(house, WETH) == 0


def test_a_passing_whale_moves_the_crowd_rate_no_further_than_time_allows(house: House) -> None:
    house.warp(HOUR)
    admit(house, WETH, ether(10_000_000))
    house.engine.noteTotal(WETH, ether(1_000), sender=house.house)
    first = crowd(house, WETH)
    assert first == 112
    admit(house, WETH, ether(10_000_000))
    assert crowd(house, WETH) == first, "no time has passed"


def test_the_crowd_rate_never_exceeds_the_last_haircut(house: House) -> None:
    assert oracle.crowd_target(TERMS.terms(), 10**40) <= TERMS.haircut3
    for _ in range(12):
        house.warp(HOUR)
        house.engine.noteTotal(WETH, 2**255, sender=house.house)
    assert crowd(house, WETH) == TERMS.haircut3


def test_a_report_takes_the_flag_off_a_ramp_that_is_over(house: House) -> None:
    """The next ramp starts from the old target, wherever the flag stood."""
    tighter = replace(TERMS, basis=40)
    house.engine.submit(Kind.ASSET, WETH, tighter.word)
    house.warp(3 * 24 * HOUR)
    house.engine.noteTotal(WETH, 0, sender=house.house)
    parameter = house.call("parameter", Kind.ASSET, WETH)
    assert (parameter.target, parameter.current) == (tighter.word, tighter.word)
    tightest = replace(TERMS, basis=60)
    house.engine.submit(Kind.ASSET, WETH, tightest.word)
    assert house.call("parameter", Kind.ASSET, WETH).current == tighter.word


def test_loosening_a_cap_doubles_it_at_most(house: House) -> None:
    doubled = replace(TERMS, cap=20_000_000)
    house.engine.submit(Kind.ASSET, WETH, doubled.word)
    house.warp(DELAY)
    house.engine.accept(Kind.ASSET, WETH)
    admit(house, WETH, 10_000 * WAD)
    house.engine.submit(Kind.ASSET, WETH, replace(doubled, cap=40_000_001).word)
    house.warp(DELAY)
    codes = [AssetParams.LAYOUT[6].encode(cap) for cap in (20_000_000, 40_000_001)]
    with house.evm.reverts("StepTooLarge", Kind.ASSET, WETH, 6, *codes):
        house.engine.accept(Kind.ASSET, WETH)


# Markets


def test_a_market_is_what_its_word_says(house: House) -> None:
    terms = house.call("marketView", (1 << 46) | (ETH << 37))
    assert (terms.takerFee, terms.makerFee, terms.stressJump) == (500, 200, 5_000)
    assert (terms.openInterestCap, terms.closed) == (MILLION, False)
    closed = MarketParams(500, 200, 1_000_000, 5_000, closed=True)
    house.engine.submit(Kind.MARKET, ETH, closed.word)
    assert house.call("marketView", (1 << 46) | (ETH << 37)).closed

"""The extremes of every type: nothing overflows silently, and the twin agrees to the last bit."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import MAX_PRICE, MAX_SIZE, WAD
from tests.scenarios.stage import (
    CASH,
    ETH,
    NEVER,
    TERMS,
    WETH,
    Collateral,
    Listed,
    Stage,
    wad,
)

OVERFLOW = 0x11
INT_MAX, INT_MIN = 2**255 - 1, -(2**255)


def priced(price: int) -> Stage:
    """An underlying that is worth `price` wei of a dollar."""
    text = f"{price // WAD}.{price % WAD:018d}"
    return Stage(underlyings={ETH: Listed(text)}, collateral={WETH: Collateral(ETH)})


def take(stage: Stage, order: dict[str, Any], quantity: int = WAD) -> None:
    signature = stage.sign(order, "maker")
    account, taker = stage.account("taker"), stage.actor("taker")
    stage.house.take(order, signature, account, quantity, sender=taker)


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    for name in ("maker", "taker"):
        stage.fund(name, 1_000_000)
    return stage


def test_the_largest_position_at_the_smallest_price() -> None:
    """2^103 - 1 units at one wei of a dollar: ten million million units, worth next to nothing."""
    stage = priced(1)
    for name in ("maker", "taker"):
        stage.fund(name, 1_000)
    order = stage.order(stage.account("maker"), {ETH: 1}, -1, 0)
    order["quantity"] = -MAX_SIZE
    take(stage, order, MAX_SIZE)
    for name, sign in (("maker", -1), ("taker", 1)):
        assert stage.position(stage.account(name), ETH).size == sign * MAX_SIZE
        stage.margin(stage.account(name))


def test_one_wei_more_is_refused() -> None:
    stage = priced(1)
    for name in ("maker", "taker"):
        stage.fund(name, 1_000)
    order = stage.order(stage.account("maker"), {ETH: 1}, -1, 0)
    order["quantity"] = INT_MIN
    with stage.evm.reverts("PositionTooLarge", -MAX_SIZE - 2):
        take(stage, order, MAX_SIZE + 2)


def test_the_smallest_position_at_the_largest_price() -> None:
    stage = priced(MAX_PRICE)
    for name in ("maker", "taker"):
        stage.fund(name, 1_000_000)
    order = stage.order(stage.account("maker"), {ETH: 1}, -1, MAX_PRICE)
    take(stage, order, WAD // 10**6)
    for name in ("maker", "taker"):
        margin = stage.margin(stage.account(name))
        assert 0 <= wad(1_000_000) - margin.equity <= 1
        assert margin.initial_margin > MAX_PRICE // 10**7


def test_the_largest_price_reached_in_mid_position(stage: Stage) -> None:
    """From two thousand dollars to nineteen thousand million, and down to one wei."""
    stage.trade("taker", "maker", {ETH: 1})
    for price in (MAX_PRICE, 1):
        stage.report({ETH: price})
        stage.observe(ETH)
        long, short = stage.margin(stage.account("taker")), stage.margin(stage.account("maker"))
        assert long.equity + short.equity == wad(2_000_000)
        assert long.equity == wad(1_000_000) + price - wad(2_000)
    assert stage.margin(stage.account("taker")).is_healthy


@pytest.mark.parametrize("name", ["quantity", "price"])
@pytest.mark.parametrize("value", [INT_MIN, INT_MAX])
def test_extreme_orders_fail_loudly(stage: Stage, name: str, value: int) -> None:
    order = stage.order(stage.account("maker"), {ETH: 1}, -1, stage.marks[ETH])
    order[name] = value
    before = stage.portfolio(stage.account("maker"))
    if name == "quantity":
        with stage.evm.reverts("PositionTooLarge"):
            take(stage, order, 2**104)
    else:
        with stage.evm.reverts("Panic", OVERFLOW):
            take(stage, order)
    assert stage.portfolio(stage.account("maker")) == before


@pytest.mark.parametrize("ratio", [INT_MIN, INT_MAX])
def test_extreme_ratios_fail_loudly(stage: Stage, ratio: int) -> None:
    order = stage.order(stage.account("maker"), {ETH: 1}, -1, stage.marks[ETH])
    order["legs"][0]["ratio"] = ratio
    with stage.evm.reverts("Panic", OVERFLOW):
        take(stage, order)


def test_a_position_flips_its_sign(stage: Stage) -> None:
    """Through zero in one trade: quote and size change sides, equity does not move."""
    stage.trade("taker", "maker", {ETH: 10})
    stage.move({ETH: 2_100})
    before = stage.equity(stage.account("taker")), stage.equity(stage.account("maker"))
    stage.trade("maker", "taker", {ETH: 25})
    assert stage.position(stage.account("taker"), ETH).size == -wad(15)
    after = stage.equity(stage.account("taker")), stage.equity(stage.account("maker"))
    assert after == before
    assert stage.house.call.openInterest(model.perpetual(ETH)) == wad(15)


@pytest.mark.parametrize("units", [2**112, 2**128, 2**256 - 1])
def test_extreme_deposits(stage: Stage, units: int) -> None:
    owner = stage.actor("owner")
    token = stage.tokens[WETH]
    token.mint(owner, units)
    token.approve(stage.vault, 2**256 - 1, sender=owner)
    with pytest.raises(Exception) as caught:  # noqa: PT011 the name is asserted below
        stage.house.deposit(stage.account("owner"), WETH, units, sender=owner)
    assert caught.value.name == "SafeCastOverflowedUintDowncast"  # type: ignore[attr-defined]
    assert stage.house.call.claims(WETH) == 0


def test_the_largest_holding_and_one_unit_more() -> None:
    """At one wei a token, so that no cap in dollars comes first."""
    stage = priced(1)
    most = 2**104 - 1
    account = stage.deposit("owner", WETH, most)
    stage.margin(account)
    stage.give(stage.actor("owner"), WETH, 1)
    with stage.evm.reverts("HoldingTooLarge", WETH, most + 1):
        stage.house.deposit(account, WETH, 1, sender=stage.actor("owner"))


@pytest.mark.parametrize("units", [2**128, 2**255, 2**256 - 1])
def test_extreme_withdrawals(stage: Stage, units: int) -> None:
    account = stage.account("maker")
    available = stage.dollar.call.balanceOf(stage.vault)
    with stage.evm.reverts("InsufficientLiquidity", available, units):
        stage.withdraw(account, CASH, units)
    with stage.evm.reverts("InsufficientCollateral", account, WETH, 0, units):
        stage.withdraw(account, WETH, units)


def test_extreme_transfers(stage: Stage) -> None:
    account, owner = stage.account("maker"), stage.actor("maker")
    with stage.evm.reverts("SafeCastOverflowedUintToInt", 2**255):
        stage.house.transfer(account, stage.account("maker", 1), CASH, 2**255, sender=owner)
    with stage.evm.reverts("SafeCastOverflowedIntDowncast"):
        stage.house.transfer(account, stage.account("maker", 1), CASH, 2**254, sender=owner)


def test_the_last_sub_account_and_the_first_owner(stage: Stage) -> None:
    """Sub-account 2^96 - 1 is an account like any other; the zero address owns nothing to take."""
    last = stage.fund("maker", 5, 2**96 - 1)
    assert stage.cash(last) == wad(5)
    nobody = bytes(32)
    stage.give(stage.actor("maker"), CASH, 1)
    stage.house.deposit(nobody, CASH, 1, sender=stage.actor("maker"))
    thief = stage.actor("thief")
    with stage.evm.reverts("NotAuthorised", nobody, thief.address):
        stage.house.withdraw(nobody, CASH, 1, thief.address, sender=thief)
    order = {**stage.order(stage.account("maker"), {ETH: 1}, 1, 1), "account": nobody}
    order["signer"] = "0x" + "00" * 20
    digest = bytes(stage.house.call.hashOrder(order))
    with stage.evm.reverts("InvalidSignature", digest, order["signer"]):
        stage.house.take(order, bytes(65), stage.account("taker"), WAD, sender=stage.actor("taker"))


@pytest.mark.parametrize("asset", [9, 95, 96, 65_535])
def test_unknown_assets(stage: Stage, asset: int) -> None:
    account, owner = stage.account("maker"), stage.actor("maker")
    with stage.evm.reverts("UnknownAsset", asset):
        stage.house.deposit(account, asset, 1, sender=owner)


@pytest.mark.parametrize("instrument", [0, 1, 1 << 46, 2 << 46 | 1 << 37, 3 << 46, 2**48 - 1])
def test_unknown_instruments(stage: Stage, instrument: int) -> None:
    order = stage.order(stage.account("maker"), {ETH: 1}, -1, 1, expiry=NEVER)
    order["legs"][0]["instrument"] = instrument
    if instrument == 0:
        digest = bytes(stage.house.call.hashOrder(order))
        with stage.evm.reverts("LegsInvalid", digest):
            take(stage, order)
    else:
        with stage.evm.reverts("UnknownInstrument", instrument):
            take(stage, order)


def test_the_largest_haircuts_leave_a_margin_that_is_met(stage: Stage) -> None:
    """Everything charged in full still is no more than can be computed."""
    full = Collateral(
        ETH,
        terms=type(TERMS)(0, 0, 9_999, 9_999, 9_999, basis=4_095),
    )
    strict = Stage(underlyings={ETH: Listed(2_000)}, collateral={WETH: full})
    account = strict.deposit("owner", WETH, wad(1))
    margin = strict.margin(account)
    assert margin.maintenance_margin > margin.equity
    strict.withdraw(account, WETH, wad(1))

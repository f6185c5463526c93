"""What a price source may answer that is no price, and what each does to an account.

Zero, negative, enormous, stale, from the future, out of bounds, too short, too long, a revert, all
the gas: each leaves the last good price, doubtful. No check of an account reverts for it, nobody
healthy is flagged, nothing is borrowed, deposits and reductions go on.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import PriceStatus
from plimsoll.risk.oracle import PRICE_LIMIT
from tests.scenarios.stage import CASH, ETH, UNDERLYINGS, WETH, Stage, wad

HEARTBEAT = 3_600
FLOOR, CEILING = 66, 74
REVERT, BURN, BOMB, SHORT, REVERT_BOMB = range(1, 6)


@pytest.fixture
def stage() -> Stage:
    """Ether between 2^66 and 2^74, that is 74 and 18,890 dollars; a healthy long account."""
    bounded = replace(UNDERLYINGS[ETH], floor=FLOOR, ceiling=CEILING)
    stage = Stage(underlyings={**UNDERLYINGS, ETH: bounded})
    stage.fund("owner", 40_000)
    stage.deposit("owner", WETH, wad(1))
    stage.fund("counterparty", 1_000_000)
    stage.trade("owner", "counterparty", {ETH: 100})
    return stage


def answer(stage: Stage, value: int, age: int = 0) -> None:
    stage.underlyings[ETH].feed.set(value, stage.now - age)


def expect(stage: Stage, status: PriceStatus, index: int = wad(2_000)) -> None:
    """The price, and everything that must and must not work at it."""
    account, owner = stage.account("owner"), stage.actor("owner")
    price = stage.engine.call.price(ETH)
    assert (price.index, price.status) == (index, status)
    margin = stage.margin(account)
    assert margin.doubtful
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.house.flag(account)
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.house.withdraw(account, CASH, 1, owner.address, sender=owner)
    with stage.evm.reverts("PriceNotOk", model.perpetual(ETH), status):
        stage.settle(account, ETH)
    stage.deposit("owner", CASH, 1)
    stage.deposit("owner", WETH, 1)
    stage.trade("counterparty", "owner", {ETH: 1})
    assert stage.margin(account).maintenance_margin < margin.maintenance_margin


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (0, PriceStatus.INVALID),
        (-1, PriceStatus.INVALID),
        (-(2**127), PriceStatus.INVALID),
        (2**127 - 1, PriceStatus.OUT_OF_BOUNDS),
        (PRICE_LIMIT, PriceStatus.OUT_OF_BOUNDS),
        (2**CEILING, PriceStatus.OUT_OF_BOUNDS),
        (2**FLOOR - 1, PriceStatus.OUT_OF_BOUNDS),
        (1, PriceStatus.OUT_OF_BOUNDS),
    ],
)
def test_values_that_are_no_price(stage: Stage, value: int, status: PriceStatus) -> None:
    answer(stage, value)
    expect(stage, status)


@pytest.mark.parametrize("value", [2**FLOOR, 2**CEILING - 1])
def test_the_ends_of_the_bounds_are_prices(stage: Stage, value: int) -> None:
    answer(stage, value)
    price = stage.engine.call.price(ETH)
    assert (price.index, price.status) == (value, PriceStatus.OK)
    stage.margin(stage.account("owner"))


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (HEARTBEAT - 1, PriceStatus.OK),
        (HEARTBEAT, PriceStatus.OK),
        (HEARTBEAT + 1, PriceStatus.STALE),
        (10**8, PriceStatus.STALE),
        (0, PriceStatus.OK),
        (-1, PriceStatus.INVALID),
        (-(10**6), PriceStatus.INVALID),
    ],
)
def test_the_heartbeat_to_the_second(stage: Stage, age: int, status: PriceStatus) -> None:
    """An answer as old as the heartbeat is good; a second more, or one from the future, is not."""
    answer(stage, wad(2_000), age)
    if status == PriceStatus.OK:
        assert stage.engine.call.price(ETH).status == status
        assert not stage.margin(stage.account("owner")).doubtful
    else:
        expect(stage, status)


@pytest.mark.parametrize("mode", [REVERT, BURN, BOMB, SHORT, REVERT_BOMB])
def test_a_feed_that_misbehaves(stage: Stage, mode: int) -> None:
    """A revert, all the gas, a hundred thousand bytes of zeros, one word, a huge reason."""
    feed = stage.underlyings[ETH].feed
    feed.contract.setMode(mode)
    feed.broken = True
    expect(stage, PriceStatus.INVALID)


def test_too_little_gas_makes_no_feed_look_broken(stage: Stage) -> None:
    """A caller who starves the feed fails as a whole: no status comes of it."""
    account = stage.account("owner")
    for gas in range(60_000, 200_000, 20_000):
        with pytest.raises(Exception) as caught:  # noqa: PT011 the name is asserted below
            stage.house.call.margin(account, gas=gas)
        assert caught.value.name in ("InsufficientGas", "OutOfGas"), gas  # type: ignore[attr-defined]
    assert not model.Margin(*stage.house.call.margin(account, gas=1_000_000)).doubtful


def test_changed_decimals_are_noticed_when_observed(stage: Stage) -> None:
    """An observation asks for them; a plain check reads by those that were pinned."""
    feed = stage.underlyings[ETH].feed.contract
    feed.setDecimals(8)
    before = stage.engine.call.observedAt(ETH)
    stage.pass_time(60)
    stage.engine.observe([ETH])
    assert stage.engine.call.observedAt(ETH) == before, "nothing was stored"


def test_without_a_source_to_believe_the_old_price_stays(stage: Stage) -> None:
    answer(stage, 0)
    receipt = stage.engine.observe([ETH])
    assert receipt.events("Observed") == []
    expect(stage, PriceStatus.INVALID)


def test_the_band_of_a_broken_feed_widens_with_its_age(stage: Stage) -> None:
    account = stage.account("owner")
    stage.underlyings[ETH].feed.break_down()
    bands = []
    for _ in range(4):
        stage.warp(3_600)
        bands.append(stage.engine.call.price(ETH).band)
        stage.margin(account)
    assert bands == [2_000, 3_000, 3_000, 3_000]


def test_an_account_without_positions_or_debt_needs_no_price(stage: Stage) -> None:
    """Exits that need no price always work."""
    account = stage.fund("saver", 1_000)
    stage.deposit("saver", WETH, wad(1))
    for underlying in stage.underlyings.values():
        underlying.feed.break_down()
    stage.withdraw_cash(account, 1_000)
    stage.withdraw(account, WETH, wad(1))
    assert stage.dollar.call.balanceOf(stage.actor("saver")) == 10**9
    assert stage.tokens[WETH].call.balanceOf(stage.actor("saver")) == wad(1)

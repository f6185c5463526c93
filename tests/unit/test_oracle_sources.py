"""Sources one by one: Chainlink of every decimals, Pyth with exponent and confidence, replacement,
updates paid by the caller, gas that a source may burn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_abi.abi import encode

from plimsoll.lab import components
from plimsoll.risk.model import MAX_PRICE, WAD, PriceStatus
from plimsoll.risk.params import (
    DELAY,
    Kind,
    SecondSourceParams,
    SourceKind,
    SourceParams,
    UnderlyingParams,
)
from tests.evm import Contract, Evm, Reverted
from tests.unit.registry_house import ETH, ETH_PRICE, House
from tests.world import number

FEED_ID = 0xFF61491A931112DDF1BD8147CD1B641375F79F5825126D665480874634FD0ACE
OTHER_ID = 0xE62DF6C8B4A85FE1A67DB44DC12DE5DB330F7AC66B72DC658AFEDF0F4A415B43
SOL = 3
FEE = 10**16
MAX_AGE = 3_600
SOURCE_GAS = 150_000
NEEDED_GAS = SOURCE_GAS * 64 // 63 + 4_000


@dataclass
class Pyth:
    """Pyth's stand-in, which takes updates without signatures for a fee each."""

    contract: Contract

    @classmethod
    def deploy(cls, evm: Evm) -> Pyth:
        return cls(evm.deploy(components.mock_pyth(), 60, FEE))

    def update(self, feed: int, price: int, confidence: int, exponent: int, time: int) -> bytes:
        told = (price, confidence, exponent, time)
        kind = "(int64,uint64,int32,uint256)"
        types = [f"(bytes32,{kind},{kind})", "uint64"]
        return bytes(encode(types, [(feed.to_bytes(32), told, told), 0]))

    def tell(
        self,
        price: int,
        confidence: int = 0,
        exponent: int = -8,
        *,
        feed: int = FEED_ID,
        time: int | None = None,
    ) -> None:
        now = self.contract.evm.time if time is None else time
        data = self.update(feed, price, confidence, exponent, now)
        self.contract.updatePriceFeeds([data], value=FEE)


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.undone():
        yield built


@pytest.fixture
def pyth(house: House) -> Pyth:
    """A third underlying, read from Pyth."""
    pyth = Pyth.deploy(house.evm)
    pyth.tell(150 * 10**8)
    word = SourceParams(number(pyth.contract), SourceKind.PYTH, decimals=8, max_age=MAX_AGE)
    house.engine.setUp(Kind.PYTH_ID, SOL, FEED_ID)
    house.engine.setUp(Kind.SOURCE, SOL, word.word)
    house.engine.setUp(Kind.UNDERLYING, SOL, UnderlyingParams(600, 120, band=50).word)
    return pyth


def price(house: House, underlying: int) -> tuple[int, PriceStatus]:
    found = house.call("price", underlying)
    return found.index, PriceStatus(found.status)


def source(feed: Contract, decimals: int = 18, **changes: Any) -> int:
    return SourceParams(number(feed), decimals=decimals, max_age=MAX_AGE, **changes).word


# Chainlink


@pytest.mark.parametrize(
    ("decimals", "answer", "expected"),
    [
        (0, 2_000, ETH_PRICE),
        (8, 2_000 * 10**8, ETH_PRICE),
        (18, ETH_PRICE, ETH_PRICE),
        (24, ETH_PRICE * 10**6 + 999_999, ETH_PRICE),
        (31, ETH_PRICE * 10**13 + 1, ETH_PRICE),
    ],
)
def test_every_decimals_is_brought_to_eighteen_and_rounded_down(
    house: House, decimals: int, answer: int, expected: int
) -> None:
    feed = house.evm.deploy("MockFeed", decimals, answer)
    house.engine.setUp(Kind.SOURCE, ETH, source(feed, decimals))
    assert price(house, ETH) == (expected, PriceStatus.OK)


@pytest.mark.parametrize(
    ("decimals", "answer", "status"),
    [
        (18, MAX_PRICE, PriceStatus.OK),
        (18, MAX_PRICE + 1, PriceStatus.OUT_OF_BOUNDS),
        (0, MAX_PRICE // WAD, PriceStatus.OK),
        (0, MAX_PRICE // WAD + 1, PriceStatus.OUT_OF_BOUNDS),
        (0, 2**127 - 1, PriceStatus.OUT_OF_BOUNDS),
        (24, MAX_PRICE * 10**6 + 999_999, PriceStatus.OK),
        (24, (MAX_PRICE + 1) * 10**6, PriceStatus.OUT_OF_BOUNDS),
        (24, 999_999, PriceStatus.OUT_OF_BOUNDS),
        (24, 10**6, PriceStatus.OK),
        (18, 1, PriceStatus.OK),
    ],
)
def test_prices_end_at_one_wei_and_two_to_the_94(
    house: House, decimals: int, answer: int, status: PriceStatus
) -> None:
    feed = house.evm.deploy("MockFeed", decimals, 10**decimals)
    house.engine.setUp(Kind.SOURCE, ETH, source(feed, decimals))
    feed.set(answer, house.now)
    assert price(house, ETH)[1] == status


def test_an_address_without_code_is_a_broken_feed(house: House) -> None:
    nobody = house.evm.actor("nobody")
    word = SourceParams(int(nobody.address, 16), decimals=18, max_age=MAX_AGE).word
    with house.evm.reverts("DecimalsMismatch", nobody.address, 18, 2**256 - 1):
        house.engine.setUp(Kind.SOURCE, ETH, word)


def test_unknown_underlyings_have_no_price(house: House) -> None:
    for underlying in (0, 9, 255, 256, 65_535):
        for name in ("price", "observedAt"):
            with house.evm.reverts("UnknownUnderlying", underlying):
                house.call(name, underlying)
        with house.evm.reverts("UnknownUnderlying", underlying):
            house.engine.observe([underlying])


# Pyth


def test_pyth_is_read_by_its_id(house: House, pyth: Pyth) -> None:
    pyth.tell(60_000 * 10**8, feed=OTHER_ID)
    assert price(house, SOL) == (150 * WAD, PriceStatus.OK)
    house.warp(1)
    pyth.tell(151 * 10**8)
    assert price(house, SOL) == (151 * WAD, PriceStatus.OK)


@pytest.mark.parametrize(
    ("answer", "confidence", "exponent", "age", "status"),
    [
        (150 * 10**8, 3 * 10**8, -8, 0, PriceStatus.OK),
        (150 * 10**8, 3 * 10**8 + 1, -8, 0, PriceStatus.INVALID),
        (150 * 10**8, 2**64 - 1, -8, 0, PriceStatus.INVALID),
        (150 * 10**7, 0, -7, 0, PriceStatus.INVALID),
        (150, 0, 8, 0, PriceStatus.INVALID),
        (0, 0, -8, 0, PriceStatus.INVALID),
        (-1, 0, -8, 0, PriceStatus.INVALID),
        (-(2**63), 0, -8, 0, PriceStatus.INVALID),
        (2**63 - 1, 0, -8, 0, PriceStatus.OUT_OF_BOUNDS),
        (150 * 10**8, 0, -8, MAX_AGE, PriceStatus.OK),
        (150 * 10**8, 0, -8, MAX_AGE + 1, PriceStatus.STALE),
        (150 * 10**8, 0, -8, -1, PriceStatus.INVALID),
    ],
)
def test_what_pyth_may_answer(
    house: House,
    pyth: Pyth,
    answer: int,
    confidence: int,
    exponent: int,
    age: int,
    status: PriceStatus,
) -> None:
    house.warp(2 * MAX_AGE)
    pyth.tell(answer, confidence, exponent, time=house.now - age)
    expected = answer * 10**10 if status == PriceStatus.OK else 150 * WAD
    assert price(house, SOL) == (expected, status)


def test_an_id_that_pyth_does_not_know_is_a_broken_feed(house: House, pyth: Pyth) -> None:
    with house.evm.reverts("SourceUnusable", SOL, pyth.contract.address, PriceStatus.INVALID):
        house.engine.setUp(Kind.PYTH_ID, SOL, OTHER_ID)


def test_another_id_must_agree_as_another_source_must(house: House, pyth: Pyth) -> None:
    """Else the feed of an underlying could be swapped by its id alone."""
    house.sealed_house()
    house.engine.submit(Kind.PYTH_ID, SOL, OTHER_ID)
    house.warp(DELAY)
    pyth.tell(60_000 * 10**8, feed=OTHER_ID)
    with house.evm.reverts("SourceDisagrees", SOL, 60_000 * WAD, 150 * WAD, 200):
        house.engine.accept(Kind.PYTH_ID, SOL)
    house.warp(1)
    pyth.tell(153 * 10**8, feed=OTHER_ID)
    house.engine.accept(Kind.PYTH_ID, SOL)
    assert price(house, SOL) == (153 * WAD, PriceStatus.OK)


def test_the_id_of_a_second_source_is_checked_too(house: House, pyth: Pyth) -> None:
    second = SecondSourceParams(
        number(pyth.contract), SourceKind.PYTH, decimals=8, max_age=MAX_AGE, deviation=100
    )
    house.engine.setUp(Kind.SECOND_PYTH_ID, SOL, FEED_ID)
    house.engine.setUp(Kind.SECOND_SOURCE, SOL, second.word)
    house.sealed_house()
    house.engine.submit(Kind.SECOND_PYTH_ID, SOL, OTHER_ID)
    house.warp(DELAY)
    pyth.tell(160 * 10**8, feed=OTHER_ID)
    with house.evm.reverts("SourceDisagrees", SOL, 160 * WAD, 150 * WAD, 200):
        house.engine.accept(Kind.SECOND_PYTH_ID, SOL)


# Updates


def test_an_update_is_paid_and_the_rest_returned(house: House, pyth: Pyth) -> None:
    payer = house.evm.actor("payer")
    house.warp(1)
    data = [pyth.update(feed, 140 * 10**8, 0, -8, house.now) for feed in (FEED_ID, OTHER_ID)]
    before = house.evm.balance(payer)
    house.engine.updatePyth(pyth.contract.address, data, sender=payer, value=5 * FEE)
    assert before - house.evm.balance(payer) == 2 * FEE
    assert house.evm.balance(pyth.contract.address) >= 2 * FEE
    assert house.evm.balance(house.engine) == 0
    assert price(house, SOL) == (140 * WAD, PriceStatus.OK)


def test_an_update_to_the_wei(house: House, pyth: Pyth) -> None:
    house.warp(1)
    data = [pyth.update(FEED_ID, 140 * 10**8, 0, -8, house.now)]
    house.engine.updatePyth(pyth.contract.address, data, value=FEE)
    assert price(house, SOL)[0] == 140 * WAD
    with house.evm.reverts("UpdateFeeMissing", FEE, FEE - 1):
        house.engine.updatePyth(pyth.contract.address, data, value=FEE - 1)


# Replacing a source


@pytest.mark.parametrize("sign", [1, -1])
def test_a_new_source_agrees_with_the_last_price_to_two_percent(house: House, sign: int) -> None:
    house.sealed_house()
    answer = ETH_PRICE + sign * 40 * WAD
    feed = house.evm.deploy("MockFeed", 18, answer + sign)
    house.engine.submit(Kind.SOURCE, ETH, source(feed))
    house.warp(DELAY)
    feed.set(answer + sign, house.now)
    with house.evm.reverts("SourceDisagrees", ETH, answer + sign, ETH_PRICE, 200):
        house.engine.accept(Kind.SOURCE, ETH)
    feed.set(answer, house.now)
    house.engine.accept(Kind.SOURCE, ETH)
    assert price(house, ETH) == (answer, PriceStatus.OK)


def test_a_source_that_does_not_work_is_not_accepted(house: House) -> None:
    house.sealed_house()
    feed = house.evm.deploy("MockFeed", 18, ETH_PRICE)
    house.engine.submit(Kind.SOURCE, ETH, source(feed))
    house.warp(DELAY)
    with house.evm.reverts("SourceUnusable", ETH, feed.address, PriceStatus.STALE):
        house.engine.accept(Kind.SOURCE, ETH)
    feed.set(-1, house.now)
    with house.evm.reverts("SourceUnusable", ETH, feed.address, PriceStatus.INVALID):
        house.engine.accept(Kind.SOURCE, ETH)
    feed.set(ETH_PRICE, house.now)
    feed.setDecimals(8)
    with house.evm.reverts("DecimalsMismatch", feed.address, 18, 8):
        house.engine.accept(Kind.SOURCE, ETH)


def test_before_the_seal_a_wrong_feed_is_simply_replaced(house: House) -> None:
    feed = house.evm.deploy("MockFeed", 18, 3 * ETH_PRICE)
    house.engine.setUp(Kind.SOURCE, ETH, source(feed))
    found = house.call("price", ETH)
    assert (found.index, found.stable) == (3 * ETH_PRICE, 3 * ETH_PRICE)


def test_a_second_source_agrees_before_it_counts_and_can_be_taken_away(house: House) -> None:
    house.sealed_house()
    feed = house.evm.deploy("MockFeed", 18, ETH_PRICE * 103 // 100)
    word = SecondSourceParams(number(feed), decimals=18, max_age=MAX_AGE, deviation=500).word
    house.engine.submit(Kind.SECOND_SOURCE, ETH, word)
    house.warp(DELAY)
    feed.set(ETH_PRICE * 103 // 100, house.now)
    with house.evm.reverts("SourceDisagrees", ETH, ETH_PRICE * 103 // 100, ETH_PRICE, 200):
        house.engine.accept(Kind.SECOND_SOURCE, ETH)
    feed.set(ETH_PRICE, house.now)
    house.engine.accept(Kind.SECOND_SOURCE, ETH)
    house.engine.submit(Kind.SECOND_SOURCE, ETH, 0)
    house.warp(DELAY)
    house.engine.accept(Kind.SECOND_SOURCE, ETH)
    assert house.call("parameter", Kind.SECOND_SOURCE, ETH).target == 0


# Gas


def test_too_little_gas_fails_and_says_how_much_is_needed(house: House) -> None:
    """The whole call fails: no reader concludes that a sound source is broken."""
    refusals = [found for gas in range(150_000, 250_000, 2_000) if (found := starve(house, gas))]
    assert 0 < len(refusals) < 50
    for refusal in refusals:
        assert refusal.name == "InsufficientGas"
        assert refusal.values.needed == NEEDED_GAS
        assert refusal.values.available < NEEDED_GAS


def starve(house: House, gas: int) -> Reverted | None:
    """Checks an account with so much gas: the refusal, or a sound answer."""
    account: tuple[int, list[int], list[int]] = (
        0,
        [],
        [((1 << 46 | ETH << 37) << 208) | (WAD << 104)],
    )
    try:
        margin = house.engine.call.margin(account, gas=gas)
    except Reverted as refusal:
        return refusal
    assert not margin.doubtful
    return None


def test_one_source_cannot_spend_the_gas_of_the_others(house: House) -> None:
    """One of two feeds burns all it gets; the other is still read, within twice the bound."""
    house.underlyings[ETH].feed.contract.setMode(2)
    both = [((1 << 46 | u << 37) << 208) | (WAD << 104) for u in (1, 2)]
    margin = house.engine.call.margin((0, [], both), gas=NEEDED_GAS * 2 + 60_000)
    assert margin.doubtful
    assert price(house, ETH) == (ETH_PRICE, PriceStatus.INVALID)
    assert price(house, 2)[1] == PriceStatus.OK


def test_a_word_of_another_layout_is_read_by_its_own(house: House) -> None:
    """The source of an underlying and its risk parameters share a slot and never mix."""
    before = house.call("parameter", Kind.UNDERLYING, ETH).target
    feed = house.evm.deploy("MockFeed", 18, ETH_PRICE)
    word = replace(SourceParams(number(feed), decimals=18), max_age=2**17 - 1, ceiling=94)
    house.engine.setUp(Kind.SOURCE, ETH, word.word)
    assert house.call("parameter", Kind.UNDERLYING, ETH).target == before
    assert house.call("parameter", Kind.SOURCE, ETH).target == word.word

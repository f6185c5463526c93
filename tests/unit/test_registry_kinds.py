"""The words that no margin reads, each with its own way to change; and the module that changes all
of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.risk.params import (
    DELAY,
    NO_LIMIT,
    Kind,
    LendingParams,
    OptionsParams,
    OutflowParams,
    SourceKind,
    SourceParams,
    UnderlyingParams,
    VolatilityParams,
    Word,
    encode_symbol,
)
from tests.evm import Contract
from tests.unit.registry_house import BTC, ETH, WETH, House
from tests.unit.test_oracle_sources import FEED_ID, Pyth
from tests.world import number

SOL = 3
LENDING = LendingParams(80, 40, 600, 10)


@pytest.fixture(scope="module")
def built() -> House:
    return House().sealed_house()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.undone():
        yield built


def target(house: House, kind: Kind, id_: int = 0) -> int:
    return int(house.call("parameter", kind, id_).target)


def govern(house: House, kind: Kind, id_: int, word: int) -> None:
    house.engine.submit(kind, id_, word)
    house.warp(DELAY)
    house.engine.accept(kind, id_)


# Every change waits


@pytest.mark.parametrize(
    ("kind", "id_", "first", "second"),
    [
        (Kind.LENDING, 0, LENDING.word, LendingParams(81, 41, 601, 11).word),
        (Kind.LENDING, 0, LENDING.word, LendingParams(1, 0, 0, 0).word),
        (Kind.VOLATILITY, ETH, VolatilityParams(8_500).word, VolatilityParams(9_000).word),
        (Kind.VOLATILITY, ETH, VolatilityParams(8_500).word, VolatilityParams(1).word),
        (Kind.SYMBOL, ETH, encode_symbol("ETH"), encode_symbol("ether")),
        (Kind.OPTIONS, ETH, OptionsParams(2_000).word, OptionsParams(2_400).word),
        (Kind.OPTIONS, ETH, OptionsParams(2_000).word, OptionsParams(1_600).word),
    ],
    ids=["dearer", "cheaper", "calmer", "wilder", "another name", "more shift", "less shift"],
)
def test_a_change_either_way_waits(
    house: House, kind: Kind, id_: int, first: int, second: int
) -> None:
    assert target(house, kind, id_) == 0
    for old, word in ((0, first), (first, second)):
        (told,) = house.engine.submit(kind, id_, word).events("ParameterSubmitted")
        assert tuple(told) == (kind, id_, word, house.now + DELAY)
        assert target(house, kind, id_) == old
        house.warp(DELAY - 1)
        with house.evm.reverts("TooEarly", kind, id_, house.now + 1):
            house.engine.accept(kind, id_)
        house.warp(1)
        (done,) = house.engine.accept(kind, id_, sender=house.stranger).events("ParameterAccepted")
        assert tuple(done) == (kind, id_, old, word)
        assert target(house, kind, id_) == word


# What may leave


@pytest.mark.parametrize("asset", [0, WETH, 95])
def test_a_limit_counts_at_once_and_widens_by_steps(house: House, asset: int) -> None:
    limit = OutflowParams(10**9)
    (done,) = house.engine.submit(Kind.OUTFLOW, asset, limit.word).events("ParameterAccepted")
    assert tuple(done) == (Kind.OUTFLOW, asset, 0, limit.word)
    tighter = OutflowParams(0)
    house.engine.submit(Kind.OUTFLOW, asset, tighter.word)
    assert target(house, Kind.OUTFLOW, asset) == tighter.word
    govern(house, Kind.OUTFLOW, asset, OutflowParams(2**20).word)
    house.engine.submit(Kind.OUTFLOW, asset, OutflowParams(2**21 + 1).word)
    house.warp(DELAY)
    codes = [OutflowParams(one).word for one in (2**20, 2**21 + 1)]
    with house.evm.reverts("StepTooLarge", Kind.OUTFLOW, asset, 0, *codes):
        house.engine.accept(Kind.OUTFLOW, asset)
    govern(house, Kind.OUTFLOW, asset, OutflowParams(2**21).word)
    assert target(house, Kind.OUTFLOW, asset) == OutflowParams(2**21).word


def test_no_limit_is_no_word(house: House) -> None:
    assert OutflowParams(NO_LIMIT).word == 0
    half = OutflowParams(NO_LIMIT // 2 + 1)
    house.engine.submit(Kind.OUTFLOW, 0, half.word)
    govern(house, Kind.OUTFLOW, 0, 0)
    assert target(house, Kind.OUTFLOW) == 0


# What they refer to


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Kind.VOLATILITY, VolatilityParams(1).word),
        (Kind.SYMBOL, encode_symbol("SOL")),
    ],
)
def test_a_word_of_an_underlying_needs_one(kind: Kind, word: int) -> None:
    house = House()
    with house.evm.reverts("UnknownUnderlying", SOL):
        house.engine.setUp(kind, SOL, word)


def list_by_pyth(house: House) -> None:
    pyth = Pyth.deploy(house.evm)
    pyth.tell(150 * 10**8)
    word = SourceParams(number(pyth.contract), SourceKind.PYTH, decimals=8, max_age=3_600)
    house.engine.setUp(Kind.PYTH_ID, SOL, FEED_ID)
    house.engine.setUp(Kind.SOURCE, SOL, word.word)


def test_volatility_is_measured_on_a_chainlink_source() -> None:
    house = House()
    list_by_pyth(house)
    with house.evm.reverts("RoundsMissing", SOL):
        house.engine.setUp(Kind.VOLATILITY, SOL, VolatilityParams(9_000).word)
    second = house.underlyings[BTC].second
    assert second is not None
    house.engine.setUp(Kind.SECOND_SOURCE, SOL, second.word)
    house.engine.setUp(Kind.VOLATILITY, SOL, VolatilityParams(9_000).word)
    assert target(house, Kind.VOLATILITY, SOL) == 9_000


def test_expiries_are_fixed_on_a_chainlink_source() -> None:
    house = House()
    list_by_pyth(house)
    word = OptionsParams(2_000).word
    with house.evm.reverts("RoundsMissing", SOL):
        house.engine.setUp(Kind.OPTIONS, SOL, word)
    house.engine.setUp(Kind.SECOND_SOURCE, SOL, second_word(house))
    house.engine.setUp(Kind.OPTIONS, SOL, word)
    assert target(house, Kind.OPTIONS, SOL) == word


def second_word(house: House) -> int:
    second = house.underlyings[BTC].second
    assert second is not None
    return second.word


def test_the_rounds_that_fix_expiries_cannot_be_taken_away() -> None:
    house = House()
    list_by_pyth(house)
    by_pyth, by_rounds = target(house, Kind.SOURCE, SOL), target(house, Kind.SOURCE, ETH)
    house.engine.setUp(Kind.SECOND_SOURCE, SOL, second_word(house))
    house.engine.setUp(Kind.OPTIONS, SOL, OptionsParams(2_000).word)
    with house.evm.reverts("RoundsMissing", SOL):
        house.engine.setUp(Kind.SECOND_SOURCE, SOL, 0)
    house.engine.setUp(Kind.SOURCE, SOL, by_rounds)
    house.engine.setUp(Kind.SECOND_SOURCE, SOL, 0)
    with house.evm.reverts("RoundsMissing", SOL):
        house.engine.setUp(Kind.SOURCE, SOL, by_pyth)


# The module


def module_of(house: House) -> Contract:
    return house.evm.at(house.call("PARAMETER_MODULE"), "ParameterModule")


WORDS: tuple[tuple[Kind, int, Word], ...] = (
    (Kind.UNDERLYING, ETH, UnderlyingParams(700, 120)),
    (Kind.LENDING, 0, LENDING),
    (Kind.OUTFLOW, 0, OutflowParams(1)),
)


@pytest.mark.parametrize(("kind", "id_", "word"), WORDS, ids=["margin", "lending", "outflow"])
def test_what_the_module_is_told_itself_changes_no_engine(kind: Kind, id_: int, word: Word) -> None:
    """The deployer may call it; it writes to itself, where nobody reads."""
    house = House()
    module, before = module_of(house), target(house, kind, id_)
    module.setUp(kind, id_, word.word)
    assert module.call.parameter(kind, id_).target == word.word
    assert target(house, kind, id_) == before
    module.wire(house.stranger)
    house.sealed_house()
    assert not module.call.isSealed()


def test_strangers_tell_the_module_nothing(house: House) -> None:
    module, who = module_of(house), house.stranger
    calls = {
        "setUp": (Kind.LENDING, 0, LENDING.word),
        "startFunding": (ETH, 1),
        "wire": (who,),
        "seal": (),
        "submit": (Kind.LENDING, 0, LENDING.word),
        "revoke": (Kind.LENDING, 0),
    }
    for name, arguments in calls.items():
        for contract in (module, house.engine):
            with house.evm.reverts("AccessManagedUnauthorized", who.address):
                getattr(contract, name)(*arguments, sender=who)


def test_what_the_module_says_comes_from_the_engine(house: House) -> None:
    (log,) = house.engine.submit(Kind.LENDING, 0, LENDING.word).logs
    assert (log.address, log.name) == (house.engine.address, "ParameterSubmitted")

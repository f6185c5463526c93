"""Drift, April 2026: who held the key listed a token of his own and drained the pool in minutes.

After the seal every loosening waits, moves by one bounded step, and not again for a day; what only
tightens is in force at once for new risk and ramps for what is held. Nobody is above that: not the
deployer, not the administrator.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from plimsoll.risk.params import (
    COOLDOWN,
    DELAY,
    RAMP,
    SUBMISSION_LIFE,
    AssetParams,
    Kind,
    TokenParams,
    Word,
)
from tests.evm import Contract
from tests.scenarios.stage import ETH, GLOBALS, RISK, TERMS, WETH, Stage, wad
from tests.world import new_engine, number

NEW = 9


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_nothing_is_set_at_once_after_the_seal(stage: Stage) -> None:
    word = stage.engine.call.parameter(Kind.GLOBAL, 0).target
    with stage.evm.reverts("AlreadySealed"):
        stage.engine.setUp(Kind.GLOBAL, 0, word)
    with stage.evm.reverts("AlreadySealed"):
        stage.engine.seal()


def test_a_fake_token_takes_days_to_list(stage: Stage) -> None:
    fake = stage.new_token(18)
    stage.tokens[NEW] = fake
    listing = TokenParams(number(fake), ETH, 18).word
    (submitted,) = stage.engine.submit(Kind.TOKEN, NEW, listing).events("ParameterSubmitted")
    assert submitted.readyAt == stage.now + DELAY
    drainer = stage.actor("drainer")
    stage.give(drainer, NEW, 10**9 * WAD)
    with stage.evm.reverts("UnknownAsset", NEW):
        stage.house.deposit(stage.account("drainer"), NEW, WAD, sender=drainer)
    with stage.evm.reverts("TooEarly", Kind.TOKEN, NEW, submitted.readyAt):
        stage.engine.accept(Kind.TOKEN, NEW)
    stage.pass_time(DELAY - 1)
    with stage.evm.reverts("TooEarly", Kind.TOKEN, NEW, submitted.readyAt):
        stage.engine.accept(Kind.TOKEN, NEW)
    stage.pass_time(1)
    stage.engine.accept(Kind.TOKEN, NEW)
    with stage.evm.reverts("UnknownAsset", NEW):
        stage.house.deposit(stage.account("drainer"), NEW, WAD, sender=drainer)


def test_the_guardian_stops_it_meanwhile(stage: Stage) -> None:
    listing = TokenParams(number(stage.new_token(18)), ETH, 18).word
    stage.engine.submit(Kind.TOKEN, NEW, listing)
    (revoked,) = stage.engine.revoke(Kind.TOKEN, NEW).events("ParameterRevoked")
    assert revoked == (Kind.TOKEN, NEW, listing)
    stage.pass_time(DELAY)
    with stage.evm.reverts("NothingSubmitted", Kind.TOKEN, NEW):
        stage.engine.accept(Kind.TOKEN, NEW)


def test_a_submission_goes_stale(stage: Stage) -> None:
    listing = TokenParams(number(stage.new_token(18)), ETH, 18).word
    ready = stage.now + DELAY
    stage.engine.submit(Kind.TOKEN, NEW, listing)
    stage.pass_time(DELAY + SUBMISSION_LIFE + 1)
    with stage.evm.reverts("SubmissionExpired", Kind.TOKEN, NEW, ready + SUBMISSION_LIFE):
        stage.engine.accept(Kind.TOKEN, NEW)


def test_a_token_is_set_once(stage: Stage) -> None:
    """Another token under a listed id would turn one thing into another."""
    other = TokenParams(number(stage.new_token(18)), ETH, 18).word
    with stage.evm.reverts("AlreadySet", Kind.TOKEN, WETH):
        stage.engine.submit(Kind.TOKEN, WETH, other)


def test_a_haircut_falls_by_a_fifth_and_not_twice_in_a_day(stage: Stage) -> None:
    """Haircut 1 from 1 % to 0.79 % is too far; to 0.8 % is one step."""
    too_far = replace(TERMS, haircut1=79)
    stage.engine.submit(Kind.ASSET, WETH, too_far.word)
    stage.pass_time(DELAY)
    with stage.evm.reverts("StepTooLarge", Kind.ASSET, WETH, 2, 100, 79):
        stage.engine.accept(Kind.ASSET, WETH)
    stage.engine.submit(Kind.ASSET, WETH, replace(TERMS, haircut1=80).word)
    stage.pass_time(DELAY)
    stage.engine.accept(Kind.ASSET, WETH)
    accepted = stage.now
    assert (
        AssetParams.from_word(stage.engine.call.parameter(Kind.ASSET, WETH).target).haircut1 == 80
    )
    stage.engine.submit(Kind.ASSET, WETH, replace(TERMS, haircut1=64).word)
    stage.pass_time(DELAY)
    assert stage.now >= accepted + COOLDOWN
    stage.engine.accept(Kind.ASSET, WETH)


def test_an_instant_haircut_liquidates_nobody(stage: Stage) -> None:
    """Tightening is for new risk at once, for held risk along three days."""
    account = stage.deposit("holder", WETH, 10 * WAD)
    stage.withdraw_cash(account, 17_000)
    before = stage.margin(account)
    tighter = replace(TERMS, haircut1=1_000, haircut2=1_000)
    stage.set_parameter(Kind.ASSET, WETH, tighter.word)
    after = stage.margin(account)
    assert after.maintenance_margin == before.maintenance_margin
    assert after.initial_margin > before.initial_margin
    stage.pass_time(RAMP // 2)
    half = model.tiered_haircut(replace(TERMS, haircut1=550).terms(), wad(20_000)) // 10_000
    parts = model.breakdown(stage.portfolio(account), stage.inputs()).maintenance
    stage.margin(account)
    assert parts.collateral_charge == half
    stage.pass_time(RAMP // 2)
    parts = model.breakdown(stage.portfolio(account), stage.inputs()).maintenance
    stage.margin(account)
    assert parts.collateral_charge == wad(2_000)


def test_only_the_governor_proposes(stage: Stage) -> None:
    thief = stage.actor("thief").address
    word = GLOBALS.word
    attempts: list[tuple[Contract, str, tuple[Any, ...]]] = [
        (stage.engine, "submit", (Kind.GLOBAL, 0, word)),
        (stage.engine, "revoke", (Kind.GLOBAL, 0)),
        (stage.engine, "setUp", (Kind.GLOBAL, 0, word)),
        (stage.engine, "wire", (thief,)),
        (stage.engine, "seal", ()),
        (stage.house, "submitEngine", (thief,)),
        (stage.house, "setPause", (1, 0)),
        (stage.house, "revokeEngine", ()),
    ]
    for contract, name, args in attempts:
        with stage.evm.reverts("AccessManagedUnauthorized", thief):
            getattr(contract, name)(*args, sender=thief)


def test_wiring_happens_once(stage: Stage) -> None:
    with stage.evm.reverts("AlreadyWired", stage.house.address):
        stage.engine.wire(stage.vault.address)


def test_a_new_engine_waits_and_must_know_what_is_held(stage: Stage) -> None:
    stage.deposit("holder", WETH, WAD)
    foreign = new_engine(stage.evm, stage.manager)
    (submitted,) = stage.house.submitEngine(foreign.address).events("EngineSubmitted")
    with stage.evm.reverts("EngineNotReady", submitted.readyAt):
        stage.house.acceptEngine()
    stage.pass_time(DELAY)
    with stage.evm.reverts("EngineInvalid", foreign.address):
        stage.house.acceptEngine()
    foreign.setUp(Kind.GLOBAL, 0, GLOBALS.word)
    foreign.wire(stage.house)
    foreign.seal()
    with stage.evm.reverts("UnknownAsset", WETH):
        stage.house.acceptEngine()


@pytest.mark.parametrize(
    ("kind", "id_", "word", "field", "value"),
    [
        (Kind.GLOBAL, 0, replace(GLOBALS, initial_factor=12_499), 0, 12_499),
        (Kind.GLOBAL, 0, replace(GLOBALS, initial_factor=40_001), 0, 40_001),
        (Kind.UNDERLYING, ETH, replace(RISK, range=0), 0, 0),
        (Kind.UNDERLYING, ETH, replace(RISK, window=99), 1, 99),
        (Kind.UNDERLYING, ETH, replace(RISK, window=1_001), 1, 1_001),
        (Kind.UNDERLYING, ETH, replace(RISK, range=1_334), 0, 1_334),
        (Kind.ASSET, WETH, replace(TERMS, haircut3=10_000), 4, 10_000),
        (Kind.ASSET, WETH, replace(TERMS, haircut2=99), 3, 99),
    ],
)
def test_no_delay_passes_a_bound(
    stage: Stage, kind: Kind, id_: int, word: Word, field: int, value: int
) -> None:
    with stage.evm.reverts("ParameterOutOfBounds", kind, id_, field, value):
        stage.engine.submit(kind, id_, word.word)
    stage.pass_time(DELAY)
    with stage.evm.reverts("NothingSubmitted", kind, id_):
        stage.engine.accept(kind, id_)

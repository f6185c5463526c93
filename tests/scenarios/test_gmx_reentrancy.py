"""GMX v1, July 2025: a token called back between two writes that depended on each other.

A token here calls back in the middle of every transfer, into every entry. No entry opens while
another runs; what views answer meanwhile is consistent; and nothing is changed by the attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi.abi import decode

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.evm import Contract
from tests.scenarios.stage import CASH, ETH, NEVER, WETH, Stage, terms, wad

REENTERED = "Reentered()"


@pytest.fixture
def stage() -> Stage:
    """The attacker's account holds the hostile token, cash and a position."""
    stage = Stage()
    stage.fund("counterparty", 1_000_000)
    stage.fund("attacker", 100_000)
    stage.deposit("attacker", WETH, 10 * WAD)
    stage.trade("attacker", "counterparty", {ETH: 1})
    return stage


def entries(stage: Stage) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every entry that changes something, with arguments that pass on their own, or by Permit2."""
    account, counterparty = stage.account("attacker"), stage.account("counterparty")
    order = stage.order(counterparty, {ETH: 1}, -1, stage.marks[ETH])
    signature = stage.sign(order, "counterparty")
    other = stage.order(account, {ETH: 1}, 1, stage.marks[ETH])
    yield "deposit", (account, CASH, 1)
    yield "withdraw", (account, CASH, 1, stage.actor("attacker").address)
    yield "transfer", (account, stage.account("attacker", 1), CASH, 1)
    yield "setDelegate", (account, stage.actor("attacker").address, terms(1))
    granted = account, stage.actor("attacker").address, terms(1), NEVER
    yield "setDelegateBySig", (*granted, stage.sign_grant(*granted, key="attacker"))
    yield "permit", (CASH, 0, 0, 0, bytes(32), bytes(32))
    yield "depositPermit2", (account, CASH, 1, 0, NEVER, b"")
    yield "addReserves", (1,)
    yield "noteTotal", (WETH,)
    yield "refresh", (CASH,)
    yield "drawReserves", (account, 1)
    yield "returnReserves", (account, 1)
    yield "payReserves", (stage.actor("attacker").address, 1)
    yield "closeOut", (account, model.perpetual(ETH))
    yield "trade", (order, signature, other, stage.sign(other, "attacker"), WAD)
    yield "take", (order, signature, account, WAD)
    yield "cancel", (order,)
    yield "raiseEpoch", (account,)
    yield "settle", (account, model.perpetual(ETH))
    yield "flag", (account,)
    yield "bid", (stage.bid_terms(account, counterparty),)
    yield "standStill", (account,)
    yield "reset", (account,)
    yield "writeOff", (account,)
    yield "multicall", ([],)
    yield "unlock", (b"",)


NAMES = [
    "deposit",
    "withdraw",
    "transfer",
    "setDelegate",
    "setDelegateBySig",
    "permit",
    "depositPermit2",
    "addReserves",
    "noteTotal",
    "refresh",
    "drawReserves",
    "returnReserves",
    "payReserves",
    "closeOut",
    "trade",
    "take",
    "cancel",
    "raiseEpoch",
    "settle",
    "flag",
    "bid",
    "standStill",
    "reset",
    "writeOff",
    "multicall",
    "unlock",
]


def hook(stage: Stage, target: Contract, data: bytes) -> None:
    stage.tokens[WETH].setHook(target, data)


def answer(stage: Stage) -> tuple[bool, bytes]:
    token = stage.tokens[WETH]
    return bool(token.call.hookPassed()), bytes(token.call.hookAnswer())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("entry", ["deposit", "withdraw"])
def test_no_entry_opens_while_another_runs(stage: Stage, entry: str, name: str) -> None:
    args = dict(entries(stage))[name]
    hook(stage, stage.house, stage.house.encode(name, *args))
    before = stage.house.call.claims(WETH)
    account, attacker = stage.account("attacker"), stage.actor("attacker")
    if entry == "deposit":
        stage.give(attacker, WETH, WAD)
        hook(stage, stage.house, stage.house.encode(name, *args))
        stage.house.deposit(account, WETH, WAD, sender=attacker)
    else:
        stage.house.withdraw(account, WETH, WAD, attacker.address, sender=attacker)
    passed, raw = answer(stage)
    assert not passed
    assert stage.evm.registry.errors[raw[:4]].signature == REENTERED
    moved = WAD if entry == "deposit" else -WAD
    assert stage.house.call.claims(WETH) == before + moved


def test_every_entry_is_tried(stage: Stage) -> None:
    """What the interface lets a stranger call and that changes something is in the list above."""
    governed = {"setPause", "setAuthority", "bindBackstop"} | {
        verb + what
        for verb in ("submit", "accept", "revoke")
        for what in ("Engine", "Resume", "Shutdown")
    }
    priced = {"updatePyth"}
    changing = {
        one["name"]
        for one in stage.house.abi
        if one["type"] == "function" and one["stateMutability"] not in ("view", "pure")
    }
    assert changing - governed - priced == set(NAMES)


def test_a_view_in_mid_withdrawal_has_the_state_after_it(stage: Stage) -> None:
    """Read-only reentrancy: the books are written before the token is told to move."""
    account, attacker = stage.account("attacker"), stage.actor("attacker")
    hook(stage, stage.house, stage.house.encode("claims", WETH))
    stage.house.withdraw(account, WETH, 4 * WAD, attacker.address, sender=attacker)
    passed, raw = answer(stage)
    assert passed
    assert decode(["uint256"], raw) == (6 * WAD,)


def test_a_view_in_mid_deposit_has_the_state_before_it(stage: Stage) -> None:
    account, attacker = stage.account("attacker"), stage.actor("attacker")
    stage.give(attacker, WETH, WAD)
    hook(stage, stage.house, stage.house.encode("margin", account))
    before = tuple(stage.house.call.margin(account))
    stage.house.deposit(account, WETH, WAD, sender=attacker)
    passed, raw = answer(stage)
    assert passed
    types = ["(int256,int256,int256,uint256,uint256,bool)"]
    assert decode(types, raw) == (before,)
    stage.note_total(WETH, stage.house.call.claims(WETH))
    assert stage.margin(account).equity == before[0] + wad(2_000)


def test_a_recipient_who_calls_back_gains_nothing(stage: Stage) -> None:
    """Inside `unlock` entries nest in no other entry either."""
    puppet, account = stage.puppet(1_000)
    hook(stage, stage.house, stage.house.encode("withdraw", account, CASH, 1, puppet.address))
    stage.evm.set_balance(puppet, 10**18)
    attacker = stage.account("attacker")
    withdraw = stage.house.encode("withdraw", attacker, WETH, WAD, puppet.address)
    stage.house.multicall([withdraw], sender=stage.actor("attacker"))
    passed, raw = answer(stage)
    assert not passed
    assert stage.evm.registry.errors[raw[:4]].signature == REENTERED
    assert stage.cash(account) == wad(1_000)

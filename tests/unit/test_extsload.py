"""`extsload`: the raw storage of the house, for views that live elsewhere."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak

from tests.scenarios.stage import CASH, WETH, Stage, wad


def read(stage: Stage, *slots: int) -> list[int]:
    words = stage.house.call.extsload([slot.to_bytes(32, "big") for slot in slots])
    return [int.from_bytes(word, "big") for word in words]


def test_of_no_slots(stage: Stage) -> None:
    assert read(stage) == []


def test_is_what_is_stored(stage: Stage) -> None:
    """Every slot in the order in which it was asked for, as often as it was."""
    slots = [*range(24), 3, 2**256 - 1, 0]
    expected = [stage.evm.storage(stage.house, slot) for slot in slots]
    assert read(stage, *slots) == expected
    assert any(expected)


def test_follows_what_happens(stage: Stage) -> None:
    """The first word of an account begins with its cash: found by what changes it."""
    account = stage.fund("owner", 5)
    bases = [
        int.from_bytes(keccak(account + position.to_bytes(32, "big")), "big")
        for position in range(16)
    ]
    words = read(stage, *bases)
    (base,) = (slot for slot, word in zip(bases, words, strict=True) if word)
    assert read(stage, base) == [wad(5)]
    stage.deposit("owner", CASH, 1)
    assert read(stage, base) == [wad(5) + 10**12]
    stage.deposit("owner", WETH, 7)
    pair = read(stage, *range(base, base + 8))
    assert pair.count(7 << 128) == 1


@pytest.mark.parametrize("count", [1, 100, 1_000])
def test_of_many_slots(stage: Stage, count: int) -> None:
    assert read(stage, *range(2**200, 2**200 + count)) == [0] * count

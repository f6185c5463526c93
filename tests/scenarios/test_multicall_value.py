"""Every part of a batch sees the whole value of it: who spends by that, spends it twice.

Ether is for price updates only. A batch spends no more than it was given and returns the rest; an
entry on its own refuses ether; batches do not nest.
"""

from __future__ import annotations

import pytest

from plimsoll.lab import components
from tests.evm import Contract
from tests.scenarios.stage import CASH, Stage, wad

FEE = 1_000
FEED = b"\x01" * 32


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("owner", 1_000)
    return stage


@pytest.fixture
def pyth(stage: Stage) -> Contract:
    return stage.evm.deploy(components.mock_pyth(), 60, FEE)


def update(stage: Stage, pyth: Contract, price: int = 1) -> bytes:
    now = stage.now
    data = pyth.call.createPriceFeedUpdateData(FEED, price, 0, -8, price, 0, now, now - 1)
    return stage.house.encode("updatePyth", pyth.address, [data])


def test_two_updates_are_paid_twice(stage: Stage, pyth: Contract) -> None:
    owner = stage.actor("owner")
    calls = [update(stage, pyth), update(stage, pyth)]
    with stage.evm.reverts("UpdateFeeMissing", FEE, FEE - 1):
        stage.house.multicall(calls, sender=owner, value=2 * FEE - 1)
    before = stage.evm.balance(owner)
    stage.house.multicall(calls, sender=owner, value=2 * FEE)
    assert stage.evm.balance(owner) == before - 2 * FEE
    assert stage.evm.balance(pyth) == 2 * FEE


def test_what_is_left_returns(stage: Stage, pyth: Contract) -> None:
    owner = stage.actor("owner")
    before = stage.evm.balance(owner)
    for calls, paid in (([], 0), ([update(stage, pyth)], FEE)):
        stage.house.multicall(calls, sender=owner, value=10**18)
        before -= paid
        assert stage.evm.balance(owner) == before
    assert stage.evm.balance(stage.house) == stage.evm.balance(stage.engine) == 0


def test_an_update_alone_returns_the_rest(stage: Stage, pyth: Contract) -> None:
    owner = stage.actor("owner")
    before = stage.evm.balance(owner)
    now = stage.now
    data = pyth.call.createPriceFeedUpdateData(FEED, 1, 0, -8, 1, 0, now, now - 1)
    stage.house.updatePyth(pyth.address, [data], sender=owner, value=10**18)
    assert stage.evm.balance(owner) == before - FEE


def test_an_update_and_what_it_is_for_in_one_batch(stage: Stage, pyth: Contract) -> None:
    owner, account = stage.actor("owner"), stage.account("owner")
    withdraw = stage.house.encode("withdraw", account, CASH, 10**6, owner.address)
    stage.house.multicall([update(stage, pyth), withdraw], sender=owner, value=FEE)
    assert stage.cash(account) == wad(999)


@pytest.mark.parametrize("name", ["deposit", "withdraw", "raiseEpoch", "unlock", "addReserves"])
def test_an_entry_on_its_own_refuses_ether(stage: Stage, name: str) -> None:
    owner, account = stage.actor("owner"), stage.account("owner")
    args = {
        "deposit": (account, CASH, 1),
        "withdraw": (account, CASH, 1, owner.address),
        "raiseEpoch": (account,),
        "unlock": (b"",),
        "addReserves": (1,),
    }[name]
    with stage.evm.reverts("ValueNotAccepted", 1):
        getattr(stage.house, name)(*args, sender=owner, value=1)


def test_ether_that_nobody_asked_for_is_refused(stage: Stage) -> None:
    owner = stage.actor("owner")
    with stage.evm.reverts("UnexpectedValue", owner.address, 1):
        stage.evm.send(stage.house, b"", sender=owner, value=1)


def test_batches_do_not_nest(stage: Stage) -> None:
    inner = stage.house.encode("multicall", [])
    with stage.evm.reverts("MulticallNested"):
        stage.house.multicall([inner], sender=stage.actor("owner"))


def test_a_batch_cannot_spend_what_another_left(stage: Stage, pyth: Contract) -> None:
    """Ether forced upon the house is nobody's budget."""
    stage.evm.set_balance(stage.house, 10**18)
    with stage.evm.reverts("UpdateFeeMissing", FEE, 0):
        stage.house.multicall([update(stage, pyth)], sender=stage.actor("owner"))
    assert stage.evm.balance(stage.house) == 10**18


def test_a_failing_part_fails_the_whole_with_its_own_error(stage: Stage) -> None:
    owner, account = stage.actor("owner"), stage.account("owner")
    other = stage.account("other")
    calls = [
        stage.house.encode("withdraw", account, CASH, 10**6, owner.address),
        stage.house.encode("withdraw", other, CASH, 1, owner.address),
    ]
    with stage.evm.reverts("NotAuthorised", other, owner.address):
        stage.house.multicall(calls, sender=owner)
    assert stage.cash(account) == wad(1_000)

"""`raiseEpoch`: every order of an account's present epoch becomes unfillable."""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import MAX_UINT16
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ALT, WETH, Stage
from tests.unit.books import account_slot, emitted, happened, refuses

EPOCH_BIT = 224
"""Of the account's first word."""


@pytest.mark.parametrize("who", ["owner", "desk"])
def test_the_owner_or_a_delegate_raises_it(stage: Stage, who: str) -> None:
    account, owner = stage.fund("owner", 1), stage.actor("owner")
    stage.deposit("owner", WETH, 1)
    stage.appoint(account, "desk", stage.now)
    held = stage.portfolio(account)
    for epoch in (1, 2):
        receipt = stage.house.raiseEpoch(account, sender=stage.actor(who))
        raised = {"account": account, "owner": owner.address, "epoch": epoch}
        assert happened(receipt) == [emitted(stage.house, "EpochRaised", **raised)]
        assert tuple(stage.house.call.versions(account)) == (epoch, 0)
    assert stage.portfolio(account) == held


def test_it_is_of_one_account(stage: Stage) -> None:
    stage.house.raiseEpoch(stage.account("owner"), sender=stage.actor("owner"))
    assert stage.house.call.versions(stage.account("owner", 1)).epoch == 0


def test_orders_of_the_next_epoch_are_good(stage: Stage) -> None:
    """Signed in advance, they wait for it; those of the present one are over."""
    stage.fund("taker", 1_000)
    account, maker = stage.fund("maker", 1_000), stage.actor("maker")
    orders = [stage.order(account, {ALT: 1}, -1, stage.marks[ALT], epoch=epoch) for epoch in (0, 1)]
    digests = [bytes(stage.house.call.hashOrder(one)) for one in orders]

    def take(one: int) -> None:
        args = orders[one], stage.sign(orders[one], "maker"), stage.account("taker"), WAD
        stage.house.take(*args, sender=stage.actor("taker"))

    with refuses(stage, "OrderEpochPassed", digests[1], 1, 0):
        take(1)
    stage.house.raiseEpoch(account, sender=maker)
    with refuses(stage, "OrderEpochPassed", digests[0], 0, 1):
        take(0)
    take(1)
    assert stage.position(account, ALT).size == -WAD


def test_it_ends() -> None:
    """Epochs never wrap, so that no cancelled order comes back to life."""
    stage = Stage()
    account, owner = stage.fund("owner", 5), stage.actor("owner")
    stage.house.raiseEpoch(account, sender=owner)
    slot = account_slot(stage, account)
    word = stage.evm.storage(stage.house, slot)
    stage.evm.set_storage(stage.house, slot, word + (MAX_UINT16 - 2 << EPOCH_BIT))
    stage.house.raiseEpoch(account, sender=owner)
    assert stage.house.call.versions(account).epoch == MAX_UINT16
    with refuses(stage, "EpochsExhausted"):
        stage.house.raiseEpoch(account, sender=owner)


def test_versions_wrap_past_zero() -> None:
    """Zero means any version in a bid."""
    stage = Stage()
    account = stage.fund("owner", 5)
    stage.withdraw(account, 0, 1)
    slot = account_slot(stage, account)
    word = stage.evm.storage(stage.house, slot)
    stage.evm.set_storage(stage.house, slot, word + (MAX_UINT16 - 1 << EPOCH_BIT + 16))
    assert tuple(stage.house.call.versions(account)) == (0, MAX_UINT16)
    stage.withdraw(account, 0, 1)
    assert tuple(stage.house.call.versions(account)) == (0, 1)


@pytest.mark.parametrize("who", ["stranger", "desk"])
def test_nobody_else_raises_it(stage: Stage, who: str) -> None:
    account, person = stage.account("owner"), stage.actor(who)
    stage.appoint(account, "desk", stage.now)
    stage.warp(1)
    with refuses(stage, "NotAuthorised", account, person.address):
        stage.house.raiseEpoch(account, sender=person)


def test_no_pause_binds_it(stage: Stage) -> None:
    stage.house.setPause(0b1111, 2**96 - 1)
    stage.house.raiseEpoch(stage.account("owner"), sender=stage.actor("owner"))
    assert stage.house.call.versions(stage.account("owner")).epoch == 1


def test_with_ether(stage: Stage) -> None:
    with refuses(stage, "ValueNotAccepted", value=1):
        stage.house.raiseEpoch(stage.account("owner"), sender=stage.actor("owner"), value=1)

"""`setDelegate`: who else trades and bids for an account, until when; never withdraws."""

from __future__ import annotations

import pytest

from plimsoll.risk.model import WAD
from tests.scenarios.stage import ALT, CASH, Stage
from tests.unit.books import emitted, happened, refuses


def appoint(stage: Stage, expiry: int, sub_account: int = 0):
    account, owner = stage.account("owner", sub_account), stage.actor("owner")
    return stage.house.setDelegate(account, stage.actor("desk"), expiry, sender=owner)


@pytest.mark.parametrize("expiry", [1, 2**40, 2**256 - 1, 0])
def test_the_owner_appoints_and_dismisses(stage: Stage, expiry: int) -> None:
    account, owner, desk = stage.account("owner"), stage.actor("owner"), stage.actor("desk")
    receipt = appoint(stage, expiry)
    kept = {"account": account, "owner": owner.address, "delegate": desk.address}
    assert happened(receipt) == [emitted(stage.house, "DelegateSet", **kept, expiry=expiry)]
    assert stage.house.call.delegateExpiry(account, desk) == expiry
    appoint(stage, 5)
    assert stage.house.call.delegateExpiry(account, desk) == 5


def test_one_account_and_one_delegate(stage: Stage) -> None:
    appoint(stage, 2**40)
    house, desk = stage.house.call, stage.actor("desk")
    assert house.delegateExpiry(stage.account("owner", 1), desk) == 0
    assert house.delegateExpiry(stage.account("desk"), stage.actor("owner")) == 0
    assert house.delegateExpiry(stage.account("owner"), stage.actor("stranger")) == 0


def test_it_changes_nothing_else(stage: Stage) -> None:
    """No version: bids and orders in flight stay good."""
    account = stage.fund("owner", 1)
    before = stage.house.call.versions(account), stage.portfolio(account)
    appoint(stage, 2**40)
    assert (stage.house.call.versions(account), stage.portfolio(account)) == before


def test_a_delegate_trades_until_the_second(stage: Stage) -> None:
    stage.fund("maker", 10_000)
    account, desk = stage.fund("owner", 10_000), stage.actor("desk")
    order = stage.order(stage.account("maker"), {ALT: 1}, -2, stage.marks[ALT])
    signature = stage.sign(order, "maker")
    appoint(stage, stage.now)
    stage.house.take(order, signature, account, WAD, sender=desk)
    stage.warp(1)
    with refuses(stage, "NotAuthorised", account, desk.address):
        stage.house.take(order, signature, account, WAD, sender=desk)


def test_a_delegate_takes_nothing_out(stage: Stage) -> None:
    """Nor does he appoint others, himself, or for longer."""
    account, desk = stage.fund("owner", 1), stage.actor("desk")
    appoint(stage, 2**40)
    stage.fund("owner", 1, 1)
    attempts = [
        ("withdraw", (account, CASH, 1, desk.address)),
        ("transfer", (account, stage.account("owner", 1), CASH, 1)),
        ("setDelegate", (account, desk.address, 2**41)),
        ("setDelegate", (account, stage.actor("stranger").address, 2**40)),
    ]
    for name, args in attempts:
        with refuses(stage, "NotAuthorised", account, desk.address):
            getattr(stage.house, name)(*args, sender=desk)
    assert stage.house.call.delegateExpiry(account, desk) == 2**40


def test_strangers_appoint_nobody(stage: Stage) -> None:
    account, stranger = stage.account("owner"), stage.actor("stranger")
    with refuses(stage, "NotAuthorised", account, stranger.address):
        stage.house.setDelegate(account, stranger, 1, sender=stranger)


def test_pauses_do_not_bind_it(stage: Stage) -> None:
    stage.house.setPause(0b1111, 2**96 - 1)
    appoint(stage, 0)
    assert stage.house.call.delegateExpiry(stage.account("owner"), stage.actor("desk")) == 0


def test_with_ether(stage: Stage) -> None:
    account, owner = stage.account("owner"), stage.actor("owner")
    with refuses(stage, "ValueNotAccepted", value=1):
        stage.house.setDelegate(account, owner, 1, sender=owner, value=1)

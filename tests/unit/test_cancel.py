"""`cancel`: an order's signer, or its account's owner, makes it unfillable for ever."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk.ledger import MAX_UINT256
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ALT, Stage
from tests.unit.books import emitted, happened, refuses


@pytest.fixture
def offered(stage: Stage) -> Stage:
    stage.fund("maker", 1_000)
    stage.fund("taker", 1_000)
    return stage


def offer(stage: Stage, **fields: Any) -> dict[str, Any]:
    return stage.order(stage.account("maker"), {ALT: 1}, -3, stage.marks[ALT], **fields)


def take(stage: Stage, order: dict[str, Any], signature: bytes) -> None:
    account, taker = stage.account("taker"), stage.actor("taker")
    stage.house.take(order, signature, account, WAD, sender=taker)


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("who", ["maker", "desk"])
def test_the_owner_or_the_signer_cancels(offered: Stage, who: str, filled: bool) -> None:
    stage = offered
    stage.appoint(stage.account("maker"), "desk")
    order = offer(stage, signer=stage.actor("desk").address)
    signature = stage.sign(order, "desk")
    digest = bytes(stage.house.call.hashOrder(order))
    if filled:
        take(stage, order, signature)
    held = stage.portfolio(stage.account("maker"))
    receipt = stage.house.cancel(order, sender=stage.actor(who))
    cancelled = {"orderHash": digest, "account": stage.account("maker")}
    assert happened(receipt) == [emitted(stage.house, "OrderCancelled", **cancelled)]
    assert stage.house.call.filledOf(digest) == MAX_UINT256
    assert stage.portfolio(stage.account("maker")) == held
    with refuses(stage, "OrderSpent", digest, MAX_UINT256):
        take(stage, order, signature)


def test_a_signer_who_was_dismissed_still_cancels(offered: Stage) -> None:
    """It can only take back what he said."""
    order = offer(offered, signer=offered.actor("desk").address)
    offered.house.cancel(order, sender=offered.actor("desk"))
    digest = offered.house.call.hashOrder(order)
    assert offered.house.call.filledOf(digest) == MAX_UINT256


def test_twice_is_once(offered: Stage) -> None:
    order, maker = offer(offered), offered.actor("maker")
    first, second = (offered.house.cancel(order, sender=maker) for _ in range(2))
    assert happened(first) == happened(second)


def test_one_order_and_no_other(offered: Stage) -> None:
    stage = offered
    dead, alive = offer(stage), offer(stage)
    stage.house.cancel(dead, sender=stage.actor("maker"))
    take(stage, alive, stage.sign(alive, "maker"))
    assert stage.house.call.filledOf(stage.house.call.hashOrder(alive)) == WAD


@pytest.mark.parametrize("who", ["stranger", "taker", "desk"])
def test_nobody_else_cancels(offered: Stage, who: str) -> None:
    """Not even a delegate, unless he signed it."""
    stage = offered
    stage.appoint(stage.account("maker"), "desk")
    person = stage.actor(who)
    with refuses(stage, "NotAuthorised", stage.account("maker"), person.address):
        stage.house.cancel(offer(stage), sender=person)


def test_naming_oneself_the_signer_cancels_another_order(offered: Stage) -> None:
    """The signer is part of the order: the owner's own stays."""
    stage, stranger = offered, offered.actor("stranger")
    order = offer(stage)
    stage.house.cancel({**order, "signer": stranger.address}, sender=stranger)
    take(stage, order, stage.sign(order, "maker"))
    assert stage.house.call.filledOf(stage.house.call.hashOrder(order)) == WAD


def test_no_pause_binds_it(offered: Stage) -> None:
    offered.house.setPause(0b1111, 2**96 - 1)
    receipt = offered.house.cancel(offer(offered), sender=offered.actor("maker"))
    assert len(receipt.events("OrderCancelled")) == 1


def test_with_ether(offered: Stage) -> None:
    with refuses(offered, "ValueNotAccepted", value=1):
        offered.house.cancel(offer(offered), sender=offered.actor("maker"), value=1)

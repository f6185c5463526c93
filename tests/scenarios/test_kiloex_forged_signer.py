"""KiloEx, April 2025: a forwarder was believed about who had signed.

Only the recovered signer counts, and he must be the account's owner or its delegate at the moment
of the fill. An order is good on one chain, for one house, once, until its expiry, in its epoch.
"""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from plimsoll.orders import TYPES
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ETH, Stage, wad

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("owner", 100_000)
    stage.fund("taker", 100_000)
    return stage


def offer(stage: Stage, **fields: Any) -> dict[str, Any]:
    """The owner sells up to ten ether at the mark."""
    return stage.order(stage.account("owner"), {ETH: 1}, -10, stage.marks[ETH], **fields)


def take(stage: Stage, order: dict[str, Any], signature: bytes, quantity: int = WAD) -> None:
    taker = stage.actor("taker")
    stage.house.take(order, signature, stage.account("taker"), quantity, sender=taker)


def digest(stage: Stage, order: dict[str, Any]) -> bytes:
    return bytes(stage.house.call.hashOrder(order))


def test_somebody_elses_signature_is_refused(stage: Stage) -> None:
    order = offer(stage)
    owner = stage.actor("owner").address
    with stage.evm.reverts("InvalidSignature", digest(stage, order), owner):
        take(stage, order, stage.sign(order, "forger"))


def test_a_signer_without_rights_is_refused(stage: Stage) -> None:
    """The forger names himself, and signs well."""
    forger = stage.actor("forger")
    order = offer(stage, signer=forger.address)
    with stage.evm.reverts("NotAuthorised", stage.account("owner"), forger.address):
        take(stage, order, stage.sign(order, "forger"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantity", -11 * WAD),
        ("price", wad(1_999)),
        ("expiry", 2**41),
        ("salt", 2**200),
        ("minimumFill", 1),
        ("reduceOnly", True),
    ],
)
def test_no_field_can_be_changed(stage: Stage, name: str, value: Any) -> None:
    order = offer(stage)
    signature = stage.sign(order, "owner")
    changed = {**order, name: value}
    with stage.evm.reverts("InvalidSignature", digest(stage, changed), order["signer"]):
        take(stage, changed, signature)


def test_the_other_form_of_a_signature_is_refused(stage: Stage) -> None:
    """For every (r, s) there is (r, n - s): only the lower is a signature here."""
    order = offer(stage)
    good = stage.sign(order, "owner")
    r, s, v = good[:32], int.from_bytes(good[32:64], "big"), good[64]
    other = r + (CURVE_ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    with stage.evm.reverts("InvalidSignature", digest(stage, order), order["signer"]):
        take(stage, order, other)


@pytest.mark.parametrize("field", ["chainId", "verifyingContract", "name", "version"])
def test_a_signature_for_elsewhere_is_refused(stage: Stage, field: str) -> None:
    order = offer(stage)
    elsewhere: dict[str, Any] = {
        "chainId": 1,
        "verifyingContract": stage.vault.address,
        "name": "Elsewhere",
        "version": "2",
    }
    domain = {**stage.domain(), field: elsewhere[field]}
    message = encode_typed_data(domain, TYPES, order)
    signature = bytes(stage.actor("owner").sign_message(message).signature)
    with stage.evm.reverts("InvalidSignature", digest(stage, order), order["signer"]):
        take(stage, order, signature)


def test_an_order_is_spent_once(stage: Stage) -> None:
    order = offer(stage)
    signature = stage.sign(order, "owner")
    for _ in range(10):
        take(stage, order, signature)
    with stage.evm.reverts("OrderSpent", digest(stage, order), wad(10)):
        take(stage, order, signature)
    assert stage.position(stage.account("owner"), ETH).size == -wad(10)


def test_a_cancelled_order_is_dead(stage: Stage) -> None:
    order = offer(stage)
    stage.house.cancel(order, sender=stage.actor("owner"))
    with stage.evm.reverts("OrderSpent", digest(stage, order), 2**256 - 1):
        take(stage, order, stage.sign(order, "owner"))


def test_nobody_else_cancels(stage: Stage) -> None:
    order, thief = offer(stage), stage.actor("thief")
    with stage.evm.reverts("NotAuthorised", stage.account("owner"), thief.address):
        stage.house.cancel(order, sender=thief)


def test_an_order_lives_to_its_expiry_and_not_a_second_longer(stage: Stage) -> None:
    order = offer(stage, expiry=stage.now + 60)
    signature = stage.sign(order, "owner")
    stage.pass_time(60)
    take(stage, order, signature)
    stage.pass_time(1)
    with stage.evm.reverts("OrderExpired", digest(stage, order), order["expiry"]):
        take(stage, order, signature)


def test_an_epoch_ends_every_order_of_it(stage: Stage) -> None:
    order = offer(stage)
    account = stage.account("owner")
    (raised,) = stage.house.raiseEpoch(account, sender=stage.actor("owner")).events("EpochRaised")
    assert raised.epoch == order["epoch"] + 1
    with stage.evm.reverts(
        "OrderEpochPassed", digest(stage, order), order["epoch"], order["epoch"] + 1
    ):
        take(stage, order, stage.sign(order, "owner"))


def test_a_delegate_signs_until_he_is_revoked(stage: Stage) -> None:
    account, delegate = stage.account("owner"), stage.actor("desk")
    stage.appoint(account, delegate, stage.now + 60)
    order = offer(stage, signer=delegate.address)
    signature = stage.sign(order, "desk")
    take(stage, order, signature)
    with stage.evm.reverts("NotAuthorised", account, delegate.address):
        stage.house.withdraw(account, 0, 1, delegate.address, sender=delegate)
    stage.pass_time(60)
    take(stage, order, signature)
    stage.pass_time(1)
    with stage.evm.reverts("NotAuthorised", account, delegate.address):
        take(stage, order, signature)
    stage.appoint(account, delegate)
    with stage.evm.reverts("OrderEpochPassed", digest(stage, order), 0, 1):
        take(stage, order, signature)
    order = offer(stage, signer=delegate.address)
    signature = stage.sign(order, "desk")
    take(stage, order, signature)
    stage.appoint(account, delegate, 0)
    with stage.evm.reverts("NotAuthorised", account, delegate.address):
        take(stage, order, signature)


def test_a_named_taker_is_the_only_one(stage: Stage) -> None:
    order = offer(stage, taker=stage.actor("friend").address)
    taker = stage.actor("taker").address
    with stage.evm.reverts("WrongTaker", digest(stage, order), taker):
        take(stage, order, stage.sign(order, "owner"))

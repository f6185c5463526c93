"""`setDelegate`: who else trades for an account, until when and within what; never withdraws."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk.model import WAD
from tests.evm import Receipt
from tests.scenarios.stage import ALT, CASH, ETH, Stage, terms
from tests.unit.books import emitted, happened, refuses

SCOPES: list[dict[str, Any]] = [
    {},
    {"mayBid": False},
    {"reduceOnly": True},
    {"maxLeverage": 1},
    {"maxLeverage": 2**64 - 1},
    {"markets": 1 << ETH},
    {"markets": 2**256 - 1},
    {"mayBid": False, "reduceOnly": True, "maxLeverage": 250, "markets": 1 << ETH | 1 << 255},
]


def appoint(stage: Stage, expiry: int, sub_account: int = 0, **limits: Any) -> Receipt:
    return stage.appoint(stage.account("owner", sub_account), "desk", expiry, **limits)


def granted(stage: Stage, sub_account: int = 0) -> Any:
    return stage.house.call.delegation(stage.account("owner", sub_account), stage.actor("desk"))


def told(stage: Stage, given: dict[str, Any]) -> Any:
    account, owner, desk = stage.account("owner"), stage.actor("owner"), stage.actor("desk")
    who = {"account": account, "owner": owner.address, "delegate": desk.address}
    return emitted(stage.house, "DelegateSet", **who, delegation=tuple(given.values()))


@pytest.mark.parametrize("limits", SCOPES)
@pytest.mark.parametrize("expiry", [0, 1, 2**40, 2**64 - 1])
def test_it_is_kept_and_told(stage: Stage, expiry: int, limits: dict[str, Any]) -> None:
    receipt = appoint(stage, expiry, **limits)
    given = terms(expiry, **limits)
    assert happened(receipt) == [told(stage, given)]
    assert granted(stage)._asdict() == given


@pytest.mark.parametrize("before", SCOPES)
@pytest.mark.parametrize("after", SCOPES)
def test_the_new_one_takes_the_place_of_the_old(
    stage: Stage, before: dict[str, Any], after: dict[str, Any]
) -> None:
    appoint(stage, 2**40, **before)
    appoint(stage, 2**41, **after)
    assert granted(stage)._asdict() == terms(2**41, **after)


@pytest.mark.parametrize("field", ["expiry", "maxLeverage"])
def test_what_does_not_fit_is_refused(stage: Stage, field: str) -> None:
    with refuses(stage, "SafeCastOverflowedUintDowncast", bits=64, value=2**64):
        appoint(stage, **{"expiry": 2**40, field: 2**64})


def test_one_account_and_one_delegate(stage: Stage) -> None:
    appoint(stage, 2**40)
    house, desk = stage.house.call, stage.actor("desk")
    assert house.delegation(stage.account("owner", 1), desk).expiry == 0
    assert house.delegation(stage.account("desk"), stage.actor("owner")).expiry == 0
    assert house.delegation(stage.account("owner"), stage.actor("stranger")).expiry == 0


def test_it_changes_nothing_else(stage: Stage) -> None:
    """No version: bids and orders in flight stay good."""
    account = stage.fund("owner", 1)
    before = stage.house.call.versions(account), stage.portfolio(account)
    appoint(stage, 2**40)
    assert (stage.house.call.versions(account), stage.portfolio(account)) == before


def test_every_grant_raises_the_nonce_of_its_account(stage: Stage) -> None:
    account = stage.account("owner")
    for number, expiry in enumerate((2**40, 0, 0, stage.now, 2**41)):
        assert stage.house.call.grantNonce(account) == number
        appoint(stage, expiry)
    assert stage.house.call.grantNonce(account) == 5
    assert stage.house.call.grantNonce(stage.account("owner", 1)) == 0


class TestEpoch:
    """Granting anew after an earlier grant has ended kills what was signed under that."""

    def epoch(self, stage: Stage) -> int:
        return int(stage.house.call.versions(stage.account("owner")).epoch)

    def test_a_first_grant_leaves_it(self, stage: Stage) -> None:
        appoint(stage, 2**40)
        assert self.epoch(stage) == 0

    def test_so_does_changing_one_that_holds(self, stage: Stage) -> None:
        appoint(stage, stage.now)
        appoint(stage, 2**40, reduceOnly=True)
        assert self.epoch(stage) == 0

    def test_so_does_ending_one(self, stage: Stage) -> None:
        appoint(stage, 2**40)
        for expiry in (0, stage.now - 1, 0):
            appoint(stage, expiry)
        assert self.epoch(stage) == 0

    def test_so_does_another_delegate(self, stage: Stage) -> None:
        appoint(stage, 2**40)
        appoint(stage, 0)
        stage.appoint(stage.account("owner"), "stranger")
        assert self.epoch(stage) == 0

    @pytest.mark.parametrize("ended", ["revoked", "expired", "never held"])
    def test_granting_anew_raises_it(self, stage: Stage, ended: str) -> None:
        if ended == "revoked":
            appoint(stage, 2**40)
            appoint(stage, 0)
        elif ended == "expired":
            appoint(stage, stage.now)
            stage.warp(1)
        else:
            appoint(stage, stage.now - 1)
        receipt = appoint(stage, stage.now)
        raised = {"account": stage.account("owner"), "owner": stage.actor("owner").address}
        assert happened(receipt) == [
            emitted(stage.house, "EpochRaised", **raised, epoch=1),
            told(stage, terms(stage.now)),
        ]
        assert self.epoch(stage) == 1

    def test_again_and_again(self, stage: Stage) -> None:
        for number in range(4):
            assert self.epoch(stage) == max(0, number - 1)
            appoint(stage, 2**40)
            appoint(stage, 0)

    def test_what_he_signed_stays_dead(self, stage: Stage) -> None:
        stage.fund("maker", 10_000)
        account, desk = stage.fund("owner", 10_000), stage.actor("desk")
        appoint(stage, 2**40)
        order = stage.order(account, {ALT: 1}, 2, stage.marks[ALT], signer=desk.address)
        args = order, stage.sign(order, "desk"), stage.account("maker"), WAD
        maker = stage.actor("maker")
        stage.house.take(*args, sender=maker)
        appoint(stage, 0)
        with refuses(stage, "NotAuthorised", account, desk.address):
            stage.house.take(*args, sender=maker)
        appoint(stage, 2**40)
        digest = bytes(stage.house.call.hashOrder(order))
        with refuses(stage, "OrderEpochPassed", digest, 0, 1):
            stage.house.take(*args, sender=maker)


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
        ("setDelegate", (account, desk.address, terms(2**41))),
        ("setDelegate", (account, stage.actor("stranger").address, terms())),
    ]
    for name, args in attempts:
        with refuses(stage, "NotAuthorised", account, desk.address):
            getattr(stage.house, name)(*args, sender=desk)
    assert granted(stage).expiry == 2**40


def test_strangers_appoint_nobody(stage: Stage) -> None:
    account, stranger = stage.account("owner"), stage.actor("stranger")
    with refuses(stage, "NotAuthorised", account, stranger.address):
        stage.house.setDelegate(account, stranger, terms(1), sender=stranger)


def test_the_owner_is_bound_by_no_grant_to_himself(stage: Stage) -> None:
    stage.fund("maker", 10_000)
    account, owner = stage.fund("owner", 10_000), stage.actor("owner")
    stage.appoint(account, owner, stage.now - 1, reduceOnly=True, markets=1 << ETH)
    order = stage.order(stage.account("maker"), {ALT: 1}, -2, stage.marks[ALT])
    stage.house.take(order, stage.sign(order, "maker"), account, WAD, sender=owner)


def test_pauses_do_not_bind_it(stage: Stage) -> None:
    stage.house.setPause(0b1111, 2**96 - 1)
    appoint(stage, 0)
    assert granted(stage).expiry == 0


def test_with_ether(stage: Stage) -> None:
    account, owner = stage.account("owner"), stage.actor("owner")
    with refuses(stage, "ValueNotAccepted", value=1):
        stage.house.setDelegate(account, owner, terms(1), sender=owner, value=1)

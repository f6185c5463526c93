"""`setDelegateBySig`: a grant that its owner signed; anybody brings it, once, here, in time."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_defunct

from plimsoll.deploy.sender import NOBODY
from plimsoll.risk.model import WAD
from tests.evm import Contract, Receipt
from tests.hostile import ANSWERS, CHANGING, LYING, MAGIC, wallet
from tests.scenarios.stage import ALT, BTC, CASH, ETH, NEVER, Stage, terms
from tests.unit.books import emitted, happened, refuses

SECP256K1 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GRANT = terms(NEVER, mayBid=False, reduceOnly=True, maxLeverage=250, markets=1 << ETH)


def sign(stage: Stage, granted: dict[str, Any] = GRANT, **changed: Any) -> bytes:
    told: dict[str, Any] = {"account": stage.account("owner"), "delegate": stage.actor("desk")}
    told |= {"deadline": NEVER, "key": "owner", **changed}
    return stage.sign_grant(told.pop("account"), told.pop("delegate"), granted, **told)


def bring(
    stage: Stage,
    signature: bytes,
    granted: dict[str, Any] = GRANT,
    *,
    account: bytes | None = None,
    delegate: Any = None,
    deadline: int = NEVER,
    who: str = "stranger",
    value: int = 0,
) -> Receipt:
    args = (
        account or stage.account("owner"),
        delegate or stage.actor("desk"),
        granted,
        deadline,
        signature,
    )
    return stage.house.setDelegateBySig(*args, sender=stage.actor(who), value=value)


def digest(
    stage: Stage,
    granted: dict[str, Any] = GRANT,
    *,
    account: bytes | None = None,
    delegate: Any = None,
    deadline: int = NEVER,
) -> bytes:
    """What the owner would have to sign now."""
    of = account or stage.account("owner")
    nonce = stage.house.call.grantNonce(of)
    who = delegate or stage.actor("desk")
    return bytes(stage.house.call.hashDelegate(of, who, granted, nonce, deadline))


def refused(stage: Stage, signature: bytes, granted: dict[str, Any] = GRANT, **told: Any) -> None:
    """By the signer that it would have to be."""
    account = told.get("account") or stage.account("owner")
    expected = digest(stage, granted, **{k: v for k, v in told.items() if k != "who"})
    nonce = stage.house.call.grantNonce(account)
    with refuses(stage, "InvalidSignature", expected, stage.owner(account)):
        bring(stage, signature, granted, **told)
    assert stage.house.call.grantNonce(account) == nonce


class TestHolds:
    @pytest.mark.parametrize("who", ["owner", "desk", "stranger"])
    def test_whoever_brings_it(self, stage: Stage, who: str) -> None:
        receipt = bring(stage, sign(stage), who=who)
        account, desk = stage.account("owner"), stage.actor("desk")
        assert happened(receipt) == [
            emitted(
                stage.house,
                "DelegateSet",
                account=account,
                owner=stage.actor("owner").address,
                delegate=desk.address,
                delegation=tuple(GRANT.values()),
            )
        ]
        assert stage.house.call.delegation(account, desk)._asdict() == GRANT
        assert stage.house.call.grantNonce(account) == 1

    def test_until_the_second(self, stage: Stage) -> None:
        signature = sign(stage, deadline=stage.now)
        with stage.evm.anchored():
            bring(stage, signature, deadline=stage.now)
        deadline = stage.now
        stage.warp(1)
        with refuses(stage, "GrantExpired", digest(stage, deadline=deadline), deadline):
            bring(stage, signature, deadline=deadline)

    def test_and_is_traded_under(self, stage: Stage) -> None:
        stage.fund("maker", 1_000_000)
        account, desk = stage.fund("owner", 10_000), stage.actor("desk")
        given = terms(markets=1 << ALT)
        bring(stage, sign(stage, given), given)
        order = stage.order(stage.account("maker"), {ALT: 1}, -2, stage.marks[ALT])
        stage.house.take(order, stage.sign(order, "maker"), account, WAD, sender=desk)
        assert stage.position(account, ALT).size == WAD

    def test_may_take_away(self, stage: Stage) -> None:
        account = stage.account("owner")
        stage.appoint(account, "desk")
        bring(stage, sign(stage, terms(0)), terms(0))
        assert stage.house.call.delegation(account, stage.actor("desk")).expiry == 0

    def test_may_come_in_a_batch_with_what_it_allows(self, stage: Stage) -> None:
        """The agent brings its key to life and trades at once: the owner pays for nothing."""
        stage.fund("maker", 1_000_000)
        account, desk = stage.fund("owner", 10_000), stage.actor("desk")
        order = stage.order(stage.account("maker"), {ALT: 1}, -2, stage.marks[ALT])
        given = terms(markets=1 << ALT)
        grant = (account, desk, given, NEVER, sign(stage, given))
        calls = [
            stage.house.encode("setDelegateBySig", *grant),
            stage.house.encode("take", order, stage.sign(order, "maker"), account, WAD),
        ]
        stage.house.multicall(calls, sender=desk)
        assert stage.position(account, ALT).size == WAD

    def test_raises_the_epoch_after_one_that_has_ended(self, stage: Stage) -> None:
        account = stage.account("owner")
        stage.appoint(account, "desk", 0)
        names = [name for _, name, _ in happened(bring(stage, sign(stage)))]
        assert names == ["EpochRaised", "DelegateSet"]
        assert stage.house.call.versions(account).epoch == 1

    def test_in_a_pause(self, stage: Stage) -> None:
        stage.house.setPause(0b1111, 2**96 - 1)
        bring(stage, sign(stage))

    def test_not_with_ether(self, stage: Stage) -> None:
        with refuses(stage, "ValueNotAccepted", value=1):
            bring(stage, sign(stage), value=1)


class TestReplays:
    """A signature counts once, in one place, for one purpose."""

    def test_not_twice(self, stage: Stage) -> None:
        signature = sign(stage)
        bring(stage, signature)
        refused(stage, signature)

    def test_not_after_it_was_revoked(self, stage: Stage) -> None:
        """The nonce is used, so he cannot bring himself back."""
        signature = sign(stage)
        bring(stage, signature)
        stage.appoint(stage.account("owner"), "desk", 0)
        refused(stage, signature, who="desk")

    @pytest.mark.parametrize("whom", ["desk", "stranger"])
    def test_not_after_another_grant(self, stage: Stage, whom: str) -> None:
        """One that was never brought dies with the next one, to whomever."""
        signature = sign(stage)
        stage.appoint(stage.account("owner"), whom, 0)
        refused(stage, signature)

    def test_not_before_its_turn(self, stage: Stage) -> None:
        signature = sign(stage, nonce=1)
        refused(stage, signature)
        stage.appoint(stage.account("owner"), "stranger", 0)
        bring(stage, signature)

    @pytest.mark.parametrize("sub_account", [1, 2**96 - 1])
    def test_not_for_another_account_of_the_owner(self, stage: Stage, sub_account: int) -> None:
        refused(stage, sign(stage), account=stage.account("owner", sub_account))

    def test_not_for_another_owner_s(self, stage: Stage) -> None:
        refused(stage, sign(stage), account=stage.account("maker"))

    def test_not_for_another_delegate(self, stage: Stage) -> None:
        refused(stage, sign(stage), delegate=stage.actor("stranger"))

    @pytest.mark.parametrize("key", ["desk", "stranger", "maker"])
    def test_not_by_another_key(self, stage: Stage, key: str) -> None:
        refused(stage, sign(stage, key=key))

    def test_not_by_a_delegate(self, stage: Stage) -> None:
        """He grants nobody anything, himself neither: not even for longer."""
        stage.appoint(stage.account("owner"), "desk")
        refused(stage, sign(stage, key="desk"))
        refused(stage, sign(stage, key="desk", delegate=stage.actor("stranger")), who="desk")

    @pytest.mark.parametrize(
        ("field", "other"),
        [
            ("expiry", NEVER + 1),
            ("mayBid", True),
            ("reduceOnly", False),
            ("maxLeverage", 0),
            ("maxLeverage", 251),
            ("markets", 0),
            ("markets", 1 << ETH | 1 << BTC),
        ],
    )
    def test_not_for_other_terms(self, stage: Stage, field: str, other: Any) -> None:
        refused(stage, sign(stage), {**GRANT, field: other})

    def test_not_for_another_deadline(self, stage: Stage) -> None:
        refused(stage, sign(stage, deadline=stage.now), deadline=NEVER)

    @pytest.mark.parametrize(
        "domain",
        [
            {"chainId": 1},
            {"chainId": 31338},
            {"verifyingContract": "0x" + "11" * 20},
            {"name": "Plimsoll Reports"},
            {"version": "2"},
        ],
    )
    def test_not_from_another_domain(self, stage: Stage, domain: dict[str, Any]) -> None:
        refused(stage, sign(stage, **domain))

    @pytest.mark.parametrize("module", ["TRADING_MODULE", "LIQUIDATION_MODULE"])
    def test_not_from_a_module_s_domain(self, stage: Stage, module: str) -> None:
        address = getattr(stage.house.call, module)()
        refused(stage, sign(stage, verifyingContract=address))

    def test_not_at_another_house(self, stage: Stage) -> None:
        house, signature = stage.house, sign(stage)
        modules = house.call.TRADING_MODULE(), house.call.LIQUIDATION_MODULE()
        parts = stage.manager, stage.engine, stage.dollar, NOBODY, *modules
        other = stage.evm.deploy("ClearingHouse", *parts)
        args = stage.account("owner"), stage.actor("desk"), GRANT
        expected = bytes(other.call.hashDelegate(*args, 0, NEVER))
        assert expected != digest(stage)
        with stage.evm.reverts("InvalidSignature", expected, stage.actor("owner").address):
            other.setDelegateBySig(*args, NEVER, signature)

    def test_not_at_the_module_itself(self, stage: Stage) -> None:
        """Its own storage grants nothing, and its domain is not the house's."""
        module = stage.evm.at(stage.house.call.TRADING_MODULE(), "TradingModule")
        args = stage.account("owner"), stage.actor("desk"), GRANT, NEVER, sign(stage)
        expected = bytes(module.call.hashDelegate(*args[:3], 0, NEVER))
        assert expected != digest(stage)
        with stage.evm.reverts("InvalidSignature", expected, stage.actor("owner").address):
            module.setDelegateBySig(*args)

    def test_not_as_a_personal_message(self, stage: Stage) -> None:
        signed = stage.actor("owner").sign_message(encode_defunct(digest(stage)))
        refused(stage, bytes(signed.signature))

    def test_not_an_order(self, stage: Stage) -> None:
        order = stage.order(stage.account("owner"), {ETH: 1}, 1, stage.marks[ETH])
        refused(stage, stage.sign(order, "owner"))

    def test_no_order(self, stage: Stage) -> None:
        """What grants does not trade."""
        stage.fund("owner", 10_000)
        taker, account = stage.actor("taker"), stage.fund("taker", 10_000)
        order = stage.order(stage.account("owner"), {ETH: 1}, 1, stage.marks[ETH])
        found = bytes(stage.house.call.hashOrder(order)), stage.actor("owner").address
        with refuses(stage, "InvalidSignature", *found):
            stage.house.take(order, sign(stage), account, WAD, sender=taker)

    def test_not_mirrored(self, stage: Stage) -> None:
        signature = sign(stage)
        mirrored = SECP256K1 - int.from_bytes(signature[32:64])
        refused(stage, signature[:32] + mirrored.to_bytes(32) + bytes([55 - signature[64]]))

    @pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 66, 96, 130])
    def test_not_of_another_length(self, stage: Stage, length: int) -> None:
        refused(stage, (sign(stage) * 2)[:length])

    def test_not_compact(self, stage: Stage) -> None:
        """ERC-2098: the same signature in 64 bytes would be a second spelling."""
        signature = sign(stage)
        word = int.from_bytes(signature[32:64]) | (signature[64] - 27) << 255
        refused(stage, signature[:32] + word.to_bytes(32))

    @pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
    def test_not_with_another_parity(self, stage: Stage, v: int) -> None:
        refused(stage, sign(stage)[:64] + bytes([v]))

    @pytest.mark.parametrize("signature", [bytes(65), bytes(64) + b"\x1b", b"\xff" * 65])
    def test_not_nonsense(self, stage: Stage, signature: bytes) -> None:
        refused(stage, signature)

    def test_nobody_owns_what_belongs_to_nobody(self, stage: Stage) -> None:
        """A signature that recovers to nothing is not that of the owner zero."""
        refused(stage, bytes(65), account=bytes(32))


class TestContractOwners:
    """ERC-1271: a contract grants as it answers at that moment, and for its own accounts."""

    def owned(self, stage: Stage, runtime: str) -> tuple[Contract, bytes]:
        made = wallet(stage.evm, runtime)
        return made, stage.account(made)  # type: ignore[arg-type]

    @pytest.mark.parametrize("answer", ANSWERS)
    def test_anything_but_yes_is_no(self, stage: Stage, answer: str) -> None:
        _, account = self.owned(stage, ANSWERS[answer])
        refused(stage, b"anything", account=account)

    @pytest.mark.parametrize("answer", ANSWERS)
    def test_nor_does_it_sign_orders(self, stage: Stage, answer: str) -> None:
        made, account = self.owned(stage, ANSWERS[answer])
        stage.give(stage.actor("stranger"), CASH, 10**9)
        stage.house.deposit(account, CASH, 10**9, sender=stage.actor("stranger"))
        taker = stage.fund("taker", 10_000)
        order = stage.order(account, {ETH: 1}, 1, stage.marks[ETH])
        found = bytes(stage.house.call.hashOrder(order)), made.address
        with refuses(stage, "InvalidSignature", *found):
            stage.house.take(order, b"", taker, WAD, sender=stage.actor("taker"))

    def test_an_address_without_code_says_nothing(self, stage: Stage) -> None:
        refused(stage, b"", account=bytes.fromhex("11" * 20) + bytes(12))

    def test_one_that_always_says_yes_harms_itself_alone(self, stage: Stage) -> None:
        made, account = self.owned(stage, LYING)
        bring(stage, b"", account=account)
        assert stage.house.call.delegation(account, stage.actor("desk"))._asdict() == GRANT
        refused(stage, b"")
        stage.fund("owner", 10_000)
        order = stage.order(
            stage.account("owner"), {ETH: 1}, 1, stage.marks[ETH], signer=made.address
        )
        taker = stage.fund("taker", 10_000)
        with refuses(stage, "NotAuthorised", stage.account("owner"), made.address):
            stage.house.take(order, b"", taker, WAD, sender=stage.actor("taker"))

    def test_but_even_its_grants_are_brought_once_each(self, stage: Stage) -> None:
        """To say yes to any digest is to say yes to the next one, too: the nonce still counts."""
        _, account = self.owned(stage, LYING)
        for number in range(3):
            assert stage.house.call.grantNonce(account) == number
            bring(stage, b"", account=account)

    def test_an_answer_holds_for_its_moment(self, stage: Stage) -> None:
        made, account = self.owned(stage, CHANGING)
        refused(stage, b"", account=account)
        stage.evm.set_storage(made, 0, int.from_bytes(MAGIC))
        bring(stage, b"", account=account)
        stage.evm.set_storage(made, 0, 0)
        refused(stage, b"", account=account)

    def test_an_order_is_asked_for_at_each_fill(self, stage: Stage) -> None:
        made, account = self.owned(stage, CHANGING)
        stage.give(stage.actor("stranger"), CASH, 10**10)
        stage.house.deposit(account, CASH, 10**10, sender=stage.actor("stranger"))
        taker = stage.fund("taker", 100_000)
        order = stage.order(account, {ETH: 1}, 3, stage.marks[ETH])
        args = order, b"", taker, WAD
        stage.evm.set_storage(made, 0, int.from_bytes(MAGIC))
        stage.house.take(*args, sender=stage.actor("taker"))
        stage.evm.set_storage(made, 0, 0)
        found = bytes(stage.house.call.hashOrder(order)), made.address
        with refuses(stage, "InvalidSignature", *found):
            stage.house.take(*args, sender=stage.actor("taker"))

    def test_one_that_burns_gas_burns_the_sender_s(self, stage: Stage) -> None:
        """Whoever brings it pays at most what he sent along, and nothing changes."""
        _, account = self.owned(stage, ANSWERS["burns all gas"])
        args = account, stage.actor("desk"), GRANT, NEVER, b""
        with stage.evm.reverts("InvalidSignature", digest=digest(stage, account=account)):
            stage.house.setDelegateBySig(*args, sender=stage.actor("stranger"), gas=500_000)
        assert stage.house.call.grantNonce(account) == 0

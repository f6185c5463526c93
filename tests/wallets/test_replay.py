"""What a person or a wallet signed counts once, in one place, for one purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32

from plimsoll.instruments import AccountId
from plimsoll.orders import TYPES
from plimsoll.risk.model import WAD
from tests.evm import Contract
from tests.house import ETH as OTHER_ETH
from tests.house import UNDERLYINGS, House
from tests.scenarios.stage import ALT, CASH, NEVER, terms, wad
from tests.wallets.conftest import Cast
from tests.wallets.contracts import SAFE_MESSAGE, pair
from tests.wallets.test_owned_by_contracts import (
    account_of,
    digest,
    fund,
    grant_digest,
    order,
    taken,
)

GRANTED = terms()
SECP256K1 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture(scope="module")
def second_house(standing: Cast) -> Contract:
    """Another house on the same chain, with markets of the same numbers."""
    chosen = {u: UNDERLYINGS[u] for u in (0, OTHER_ETH, ALT)}
    return House(underlyings=chosen, assets={}, evm=standing.stage.evm).house


@dataclass(frozen=True)
class Granter:
    """An owner of an account and how he signs."""

    cast: Cast
    account: bytes
    consent: Callable[[bytes], bytes]

    @property
    def desk(self) -> LocalAccount:
        return self.cast.stage.actor("desk")

    def sign(self, desk: LocalAccount | None = None) -> bytes:
        return self.consent(grant_digest(self.cast, self.account, desk or self.desk, GRANTED))

    def bring(self, signature: bytes, desk: LocalAccount | None = None) -> None:
        house, desk = self.cast.stage.house, desk or self.desk
        house.setDelegateBySig(self.account, desk, GRANTED, NEVER, signature)
        assert house.call.delegation(self.account, desk)._asdict() == GRANTED

    def refuses(self, signature: bytes, house: Contract | None = None, **changed: Any) -> None:
        """With something changed, the signature is of something else."""
        where = house or self.cast.stage.house
        values = {
            "account": self.account,
            "desk": self.desk,
            "granted": GRANTED,
            "deadline": NEVER,
            **changed,
        }
        account, desk, granted, deadline = values.values()
        nonce = where.call.grantNonce(account)
        expected = bytes(where.call.hashDelegate(account, desk, granted, nonce, deadline))
        owner = AccountId.decode(account).owner
        with self.cast.stage.evm.reverts("InvalidSignature", expected, owner):
            where.setDelegateBySig(account, desk, granted, deadline, signature)


def offer(cast: Cast, who: str = "maker", **fields: Any) -> dict[str, Any]:
    return order(cast, cast.stage.account(who), -3, **fields)


class TestOfAPerson:
    def test_an_order_is_filled_once(self, cast: Cast) -> None:
        sell = offer(cast)
        signature = cast.stage.sign(sell, "maker")
        assert taken(cast, sell, signature, wad(3)) == wad(3)
        with cast.stage.evm.reverts("OrderSpent", digest(cast, sell), wad(3)):
            taken(cast, sell, signature)

    @pytest.mark.parametrize(
        "field",
        ["account", "taker", "quantity", "price", "minimumFill", "reduceOnly", "expiry", "salt"],
    )
    def test_a_signature_is_for_every_word_of_it(self, cast: Cast, field: str) -> None:
        stage, sell = cast.stage, offer(cast)
        signature = stage.sign(sell, "maker")
        changed = {
            "account": stage.fund("maker", 1_000, 1),
            "taker": stage.actor("taker").address,
            "quantity": sell["quantity"] * 2,
            "price": sell["price"] + 1,
            "minimumFill": 1,
            "reduceOnly": True,
            "expiry": sell["expiry"] + 1,
            "salt": sell["salt"] + 1,
        }
        altered = {**sell, field: changed[field]}
        with stage.evm.reverts("InvalidSignature", digest(cast, altered), sell["signer"]):
            taken(cast, altered, signature)

    @pytest.mark.parametrize("part", ["instrument", "ratio"])
    def test_a_signature_is_for_every_leg(self, cast: Cast, part: str) -> None:
        stage, sell = cast.stage, offer(cast)
        (leg,) = sell["legs"]
        other = {"instrument": leg["instrument"] - (1 << 37), "ratio": 2 * WAD}[part]
        altered = {**sell, "legs": [{**leg, part: other}]}
        with stage.evm.reverts("InvalidSignature", digest(cast, altered), sell["signer"]):
            taken(cast, altered, stage.sign(sell, "maker"))

    @pytest.mark.parametrize(
        "change",
        [
            {"chainId": 1},
            {"verifyingContract": "0x" + "11" * 20},
            {"name": "Plimsoll Reports"},
            {"version": "2"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_a_signature_is_for_one_domain(self, cast: Cast, change: dict[str, Any]) -> None:
        stage, sell = cast.stage, offer(cast)
        signable = encode_typed_data({**stage.domain(), **change}, TYPES, sell)
        signature = bytes(stage.actor("maker").sign_message(signable).signature)
        with stage.evm.reverts("InvalidSignature", digest(cast, sell), sell["signer"]):
            taken(cast, sell, signature)

    def test_a_signature_does_nothing_in_another_house(
        self, cast: Cast, second_house: Contract
    ) -> None:
        sell = offer(cast)
        signature = cast.stage.sign(sell, "maker")
        other = bytes(second_house.call.hashOrder(sell))
        assert other != digest(cast, sell)
        taker = cast.stage.actor("taker")
        with cast.stage.evm.reverts("InvalidSignature", other, sell["signer"]):
            second_house.take(sell, signature, cast.stage.account(taker), WAD, sender=taker)

    def test_a_personal_message_is_no_order(self, cast: Cast) -> None:
        """A wallet that is made to sign the digest as a message has signed something else."""
        stage, sell = cast.stage, offer(cast)
        message = encode_defunct(digest(cast, sell))
        signature = bytes(stage.actor("maker").sign_message(message).signature)
        with stage.evm.reverts("InvalidSignature", digest(cast, sell), sell["signer"]):
            taken(cast, sell, signature)

    def test_the_mirrored_signature_is_none(self, cast: Cast) -> None:
        """Of the two that the curve allows, one is taken: an order has one spelling."""
        sell = offer(cast)
        signature = cast.stage.sign(sell, "maker")
        mirrored = SECP256K1 - int.from_bytes(signature[32:64])
        other = signature[:32] + mirrored.to_bytes(32) + bytes([55 - signature[64]])
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, sell), sell["signer"]):
            taken(cast, sell, other)

    def test_an_order_is_not_for_the_owner_s_other_accounts(self, cast: Cast) -> None:
        """The account is signed, so sub-accounts cannot be swapped; one epoch each."""
        stage = cast.stage
        stage.fund("maker", 1_000, 1)
        first, other = offer(cast), {**offer(cast), "account": stage.account("maker", 1)}
        stage.house.raiseEpoch(stage.account("maker"), sender=stage.actor("maker"))
        with stage.evm.reverts("OrderEpochPassed", digest(cast, first), 0, 1):
            taken(cast, first, stage.sign(first, "maker"))
        assert taken(cast, other, stage.sign(other, "maker")) == WAD


class TestOfAGrant:
    """Of a person's and of a Safe's: one grant, for one account of one house, once."""

    @pytest.fixture(params=["person", "safe"])
    def granter(self, cast: Cast, request: pytest.FixtureRequest) -> Granter:
        if request.param == "safe":
            return Granter(cast, fund(cast, cast.safe), cast.safe.sign)
        maker = cast.stage.actor("maker")
        return Granter(
            cast,
            cast.stage.account(maker),
            lambda one: bytes(maker.unsafe_sign_hash(Hash32(one)).signature),
        )

    def test_counts_once(self, granter: Granter) -> None:
        signature = granter.sign()
        granter.bring(signature)
        granter.refuses(signature)

    def test_dies_with_any_other_grant(self, cast: Cast, granter: Granter) -> None:
        """Also with one for somebody else: nobody stays on who was thought replaced."""
        signature, other = granter.sign(), cast.stage.actor("other desk")
        granter.bring(granter.sign(other), other)
        granter.refuses(signature)
        assert cast.stage.house.call.delegation(granter.account, granter.desk).expiry == 0

    def test_is_for_one_account_of_an_owner(self, granter: Granter) -> None:
        other = granter.account[:31] + b"\1"
        granter.refuses(granter.sign(), account=other)

    def test_is_for_one_delegate_and_one_limit(self, cast: Cast, granter: Granter) -> None:
        signature = granter.sign()
        granter.refuses(signature, desk=cast.stage.actor("stranger"))
        for field, value in {
            "expiry": NEVER + 1,
            "mayBid": False,
            "reduceOnly": True,
            "maxLeverage": 1,
            "markets": 1,
        }.items():
            granter.refuses(signature, granted={**GRANTED, field: value})
        granter.refuses(signature, deadline=NEVER + 1)
        granter.bring(signature)

    def test_is_for_one_house(self, second_house: Contract, granter: Granter) -> None:
        granter.refuses(granter.sign(), house=second_house)

    def test_is_no_order_nor_an_order_a_grant(self, cast: Cast, granter: Granter) -> None:
        sell = order(cast, granter.account, -3)
        signer = AccountId.decode(granter.account).owner
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, sell), signer):
            taken(cast, sell, granter.sign())
        granter.refuses(granter.consent(digest(cast, sell)))


class TestOfASafe:
    def test_an_order_is_filled_once(self, cast: Cast) -> None:
        sell = order(cast, fund(cast, cast.safe), -3)
        signature = cast.safe.sign(digest(cast, sell))
        assert taken(cast, sell, signature, wad(3)) == wad(3)
        with cast.stage.evm.reverts("OrderSpent", digest(cast, sell), wad(3)):
            taken(cast, sell, signature)
        for others in (cast.owners[1:], cast.owners[::2]):
            with cast.stage.evm.reverts("OrderSpent", digest(cast, sell), wad(3)):
                taken(cast, sell, cast.safe.sign(digest(cast, sell), others))

    def test_a_signature_is_for_one_digest(self, cast: Cast) -> None:
        account = fund(cast, cast.safe)
        sell, other = order(cast, account, -3), order(cast, account, -4)
        signature = cast.safe.sign(digest(cast, sell))
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, other), cast.safe.address):
            taken(cast, other, signature)

    def test_a_signature_is_for_one_safe_of_the_same_owners(self, cast: Cast) -> None:
        """The SafeMessage's domain is the Safe, and so the order's signer: neither carries over."""
        twin = cast.kit.make(cast.owners, 2, salt=1)
        sell = order(cast, fund(cast, cast.safe), -3)
        fund(cast, twin)
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.safe.address):
            taken(cast, sell, twin.sign(digest(cast, sell)))
        other = {**sell, "account": account_of(twin), "signer": twin.address}
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, other), twin.address):
            taken(cast, other, cast.safe.sign(digest(cast, sell)))

    def test_a_signature_is_for_one_chain(self, cast: Cast) -> None:
        sell = order(cast, fund(cast, cast.safe), -3)
        domain = {**cast.safe.domain, "chainId": 1}
        signable = encode_typed_data(domain, SAFE_MESSAGE, {"message": digest(cast, sell)})
        signers = sorted(cast.owners[:2], key=lambda one: int(one.address, 16))
        signature = b"".join(bytes(one.sign_message(signable).signature) for one in signers)
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.safe.address):
            taken(cast, sell, signature)

    def test_a_signature_does_nothing_in_another_house(
        self, cast: Cast, second_house: Contract
    ) -> None:
        sell = order(cast, fund(cast, cast.safe), -3)
        signature = cast.safe.sign(digest(cast, sell))
        other, taker = bytes(second_house.call.hashOrder(sell)), cast.stage.actor("taker")
        with cast.stage.evm.reverts("InvalidSignature", other, cast.safe.address):
            second_house.take(sell, signature, cast.stage.account(taker), WAD, sender=taker)

    def test_owners_sign_messages_not_orders(self, cast: Cast) -> None:
        """Their signatures of the order itself are not the Safe's; nor is theirs for the Safe an
        order of their own."""
        stage, sell = cast.stage, order(cast, fund(cast, cast.safe), -3)
        signers = sorted(cast.owners[:2], key=lambda one: int(one.address, 16))
        signatures = [stage.sign(sell, one) for one in signers]
        with stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.safe.address):
            taken(cast, sell, b"".join(signatures))
        own = order(cast, stage.fund(signers[0], 1_000), -3)
        message = cast.safe.sign(digest(cast, own))
        with stage.evm.reverts("InvalidSignature", digest(cast, own), signers[0].address):
            taken(cast, own, message[:65])

    def test_a_message_is_no_transaction(self, cast: Cast) -> None:
        """Signatures for the Safe's word move none of its money."""
        stage, account = cast.stage, fund(cast, cast.safe)
        sell = order(cast, account, -3)
        signature = cast.safe.sign(digest(cast, sell))
        data = stage.house.encode("withdraw", account, CASH, 1, cast.owners[0])
        zero = "0x" + "00" * 20
        with stage.evm.reverts("Error", "GS026"):
            cast.safe.contract.execTransaction(
                stage.house, 0, data, 0, 0, 0, 0, zero, zero, signature
            )

    def test_a_transaction_runs_once(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.safe)
        data = stage.house.encode("withdraw", account, CASH, 10**6, cast.safe)
        arguments = cast.safe.signed(stage.house, data)
        cast.safe.contract.execTransaction(*arguments)
        with stage.evm.reverts("Error", "GS026"):
            cast.safe.contract.execTransaction(*arguments)
        twin = cast.kit.make(cast.owners, 2, salt=1)
        with stage.evm.reverts("Error", "GS026"):
            twin.contract.execTransaction(*arguments)
        assert stage.dollar.call.balanceOf(cast.safe) == 10**6


class TestOfAnEntryPointsAccount:
    def test_an_operation_runs_once(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.smart)
        operation = self.withdrawal(cast, account)
        cast.entry.handle(operation)
        with stage.evm.reverts("FailedOp", reason="AA25 invalid account nonce"):
            cast.entry.handle(operation)
        assert stage.dollar.call.balanceOf(cast.smart) == 10**6

    def test_an_operation_is_for_one_account_of_the_same_owner(self, cast: Cast) -> None:
        twin = cast.entry.make(cast.smart.owner, salt=1)
        operation = self.withdrawal(cast, fund(cast, cast.smart))
        nonce = cast.entry.contract.call.getNonce(twin, 0)
        moved = {**operation, "sender": twin.address, "nonce": nonce}
        with cast.stage.evm.reverts("FailedOp", reason="AA24 signature error"):
            cast.entry.handle(moved)

    @pytest.mark.parametrize("field", ["callData", "accountGasLimits", "preVerificationGas"])
    def test_a_signature_is_for_every_word_of_it(self, cast: Cast, field: str) -> None:
        stage, account = cast.stage, fund(cast, cast.smart)
        operation = self.withdrawal(cast, account)
        data = stage.house.encode("withdraw", account, CASH, 10**6, stage.actor("stranger"))
        changed = {
            "callData": cast.smart.contract.encode("execute", stage.house, 0, data),
            "accountGasLimits": pair(2_000_000, 5_000_001),
            "preVerificationGas": operation["preVerificationGas"] + 1,
        }
        with stage.evm.reverts("FailedOp", reason="AA24 signature error"):
            cast.entry.handle({**operation, field: changed[field]})

    def test_an_operation_is_for_one_entry_point(self, cast: Cast) -> None:
        """Nobody but its entry point is believed."""
        stage, account = cast.stage, fund(cast, cast.smart)
        operation = self.withdrawal(cast, account)
        other = type(cast.entry)(stage.evm)
        with stage.evm.reverts("FailedOpWithRevert", reason="AA23 reverted"):
            other.handle({**operation, "nonce": 0})
        with stage.evm.reverts("Error", "account: not Owner or EntryPoint"):
            stranger = stage.actor("stranger")
            cast.smart.contract.execute(stage.house, 0, b"", sender=stranger)

    @staticmethod
    def withdrawal(cast: Cast, account: bytes) -> dict[str, Any]:
        data = cast.stage.house.encode("withdraw", account, CASH, 10**6, cast.smart)
        return cast.smart.operation(
            cast.smart.contract.encode("execute", cast.stage.house, 0, data)
        )

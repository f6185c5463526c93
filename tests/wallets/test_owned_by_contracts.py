"""Accounts owned by contracts: a Safe of several people, and an ERC-4337 account.

Both deposit, trade, withdraw and delegate. The Safe also signs, by ERC-1271; the account of the
entry point has no way to, and trades by taking or through a delegate.
"""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.instruments import AccountId
from plimsoll.risk.model import WAD
from tests.scenarios.stage import ALT, CASH, NEVER, terms, wad
from tests.wallets.conftest import Cast
from tests.wallets.contracts import OperationFailed, Safe, SmartAccount, explain

Wallet = Safe | SmartAccount
DEPOSIT = 10_000 * 10**6
KINDS = ("safe", "smart")


def account_of(wallet: Wallet) -> bytes:
    return AccountId(wallet.address).encode()


def give(cast: Cast, wallet: Wallet) -> bytes:
    """Dollars in the wallet's hands; its account."""
    cast.stage.dollar.mint(wallet, DEPOSIT)
    return account_of(wallet)


def fund(cast: Cast, wallet: Wallet) -> bytes:
    """Dollars in its account, approved and deposited in one transaction."""
    stage, account = cast.stage, give(cast, wallet)
    wallet.batch(
        (stage.dollar, stage.dollar.encode("approve", stage.vault, DEPOSIT)),
        (stage.house, stage.house.encode("deposit", account, CASH, DEPOSIT)),
    )
    return account


def order(cast: Cast, account: bytes, quantity: int, **fields: Any) -> dict[str, Any]:
    return cast.stage.order(account, {ALT: 1}, quantity, cast.stage.marks[ALT], **fields)


def offer(cast: Cast) -> tuple[dict[str, Any], bytes]:
    """What a person offers to sell, signed."""
    made = order(cast, cast.stage.account("maker"), -100)
    return made, cast.stage.sign(made, "maker")


def digest(cast: Cast, one: dict[str, Any]) -> bytes:
    return bytes(cast.stage.house.call.hashOrder(one))


def taken(cast: Cast, one: dict[str, Any], signature: bytes, units: int = WAD) -> int:
    """A person takes an order."""
    account, taker = cast.stage.account("taker"), cast.stage.actor("taker")
    return int(cast.stage.house.take(one, signature, account, units, sender=taker).value)


def grant_digest(
    cast: Cast, account: bytes, delegate: Any, granted: dict[str, Any], deadline: int = NEVER
) -> bytes:
    house = cast.stage.house.call
    nonce = house.grantNonce(account)
    return bytes(house.hashDelegate(account, delegate, granted, nonce, deadline))


def size(cast: Cast, account: bytes) -> int:
    return cast.stage.position(account, ALT).size


class TestMoney:
    @pytest.mark.parametrize("kind", KINDS)
    def test_goes_in_by_two_transactions(self, cast: Cast, kind: str) -> None:
        stage, wallet = cast.stage, getattr(cast, kind)
        account = give(cast, wallet)
        wallet.execute(stage.dollar, "approve", stage.vault, DEPOSIT)
        receipt = wallet.execute(stage.house, "deposit", account, CASH, DEPOSIT)
        (deposited,) = receipt.events("Deposited")
        assert (deposited.owner, deposited.payer) == (wallet.address, wallet.address)
        assert stage.cash(account) == wad(10_000)

    @pytest.mark.parametrize("kind", KINDS)
    def test_goes_in_by_one_and_out_again(self, cast: Cast, kind: str) -> None:
        stage, wallet = cast.stage, getattr(cast, kind)
        account = fund(cast, wallet)
        assert stage.cash(account) == wad(10_000)
        stranger = stage.actor("stranger")
        wallet.execute(stage.house, "withdraw", account, CASH, DEPOSIT // 4, wallet)
        wallet.execute(stage.house, "withdraw", account, CASH, DEPOSIT // 4, stranger)
        held = [stage.dollar.call.balanceOf(who) for who in (wallet, stranger)]
        assert held == [DEPOSIT // 4, DEPOSIT // 4]
        assert stage.cash(account) == wad(5_000)

    def test_moves_between_the_accounts_of_a_safe(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.safe)
        other = AccountId(cast.safe.address, 7).encode()
        cast.safe.execute(stage.house, "transfer", account, other, CASH, wad(1))
        assert (stage.cash(account), stage.cash(other)) == (wad(9_999), wad(1))

    def test_is_not_that_of_a_safe_s_owner(self, cast: Cast) -> None:
        """No owner alone, and no stranger through a Safe of his own."""
        stage, account, one = cast.stage, fund(cast, cast.safe), cast.owners[0]
        with stage.evm.reverts("NotAuthorised", account, one.address):
            stage.house.withdraw(account, CASH, 1, one, sender=one)
        with stage.evm.reverts("Error", "GS020"):
            take_all = stage.house.encode("withdraw", account, CASH, DEPOSIT, one)
            cast.safe.send(stage.house, take_all, signers=[one])
        other = cast.kit.make([stage.actor("stranger")], 1)
        with stage.evm.reverts("NotAuthorised", account, other.address):
            other.execute(stage.house, "withdraw", account, CASH, 1, one)

    def test_stays_when_the_house_refuses_an_operation(self, cast: Cast) -> None:
        """What the account's call reverted with is reported; the nonce is used up."""
        stage, account = cast.stage, fund(cast, cast.smart)
        nonce = cast.entry.contract.call.getNonce(cast.smart.address, 0)
        with pytest.raises(OperationFailed) as caught:
            cast.smart.execute(stage.house, "withdraw", account, CASH, DEPOSIT + 1, cast.smart)
        name, values = explain(stage.evm, caught.value.raw)
        assert (name, values["account"]) == ("BelowInitialMargin", account)
        assert stage.cash(account) == wad(10_000)
        assert cast.entry.contract.call.getNonce(cast.smart.address, 0) == nonce + 1


class TestPermit2:
    def test_a_safe_deposits_what_it_signed_for(self, cast: Cast) -> None:
        """It approves Permit2 once; each deposit carries a SafeMessage of the transfer."""
        stage, safe = cast.stage, cast.safe
        permit2, account = cast.permit2, give(cast, safe)
        safe.execute(stage.dollar, "approve", permit2, 2**256 - 1)
        transfer = permit2.digest(stage.dollar, DEPOSIT // 2, stage.vault, 3, stage.now)
        signed = (account, CASH, DEPOSIT // 2, 3, stage.now, safe.sign(transfer))
        safe.execute(stage.house, "depositPermit2", *signed)
        assert stage.cash(account) == wad(5_000)
        with stage.evm.reverts("InvalidNonce"):
            safe.execute(stage.house, "depositPermit2", *signed)
        assert stage.dollar.call.balanceOf(safe) == DEPOSIT // 2

    def test_nobody_else_deposits_what_a_safe_signed_for(self, cast: Cast) -> None:
        """The payer is the caller, whoever signed: the tokens go into no other's account."""
        stage, safe, stranger = cast.stage, cast.safe, cast.stage.actor("stranger")
        permit2, account = cast.permit2, give(cast, safe)
        safe.execute(stage.dollar, "approve", permit2, 2**256 - 1)
        transfer = permit2.digest(stage.dollar, DEPOSIT, stage.vault, 3, stage.now)
        signed = (CASH, DEPOSIT, 3, stage.now, safe.sign(transfer))
        for into in (account, stage.account(stranger)):
            with stage.evm.reverts("InvalidSignatureLength"):
                stage.house.depositPermit2(into, *signed, sender=stranger)
        twin = cast.kit.make(cast.owners, 2, salt=1)
        with stage.evm.reverts("Error", "GS026"):
            twin.execute(stage.house, "depositPermit2", account_of(twin), *signed)
        assert stage.dollar.call.balanceOf(safe) == DEPOSIT

    def test_an_entry_point_s_account_cannot_sign_for_it(self, cast: Cast) -> None:
        stage, smart = cast.stage, cast.smart
        permit2, account = cast.permit2, give(cast, smart)
        smart.execute(stage.dollar, "approve", permit2, 2**256 - 1)
        signature = permit2.sign(smart.owner, stage.dollar, DEPOSIT, stage.vault, 3, stage.now)
        with pytest.raises(OperationFailed):
            smart.execute(
                stage.house, "depositPermit2", account, CASH, DEPOSIT, 3, stage.now, signature
            )
        assert stage.cash(account) == 0


class TestTrading:
    def test_a_safe_s_order_is_taken(self, cast: Cast) -> None:
        account = fund(cast, cast.safe)
        sell = order(cast, account, -100)
        signature = cast.safe.sign(digest(cast, sell))
        assert taken(cast, sell, signature, wad(60)) == wad(60)
        assert taken(cast, sell, signature, wad(60)) == wad(40)
        assert size(cast, account) == -wad(100)

    def test_a_safe_and_a_person_are_matched(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.safe)
        sell, signed = offer(cast)
        buy = order(cast, account, 100)
        signature = cast.safe.sign(digest(cast, buy), cast.owners[1:])
        stage.house.trade(sell, signed, buy, signature, wad(100), sender=stage.actor("stranger"))
        assert size(cast, account) == wad(100)

    def test_two_safes_are_matched(self, cast: Cast) -> None:
        other = cast.kit.make(cast.owners, 3)
        accounts = [fund(cast, one) for one in (cast.safe, other)]
        sell, buy = order(cast, accounts[0], -5), order(cast, accounts[1], 5)
        signed = cast.safe.sign(digest(cast, sell)), other.sign(digest(cast, buy))
        cast.stage.house.trade(sell, signed[0], buy, signed[1], wad(5))
        assert [size(cast, account) for account in accounts] == [-wad(5), wad(5)]

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_person_s_order_is_taken_by_a_contract(self, cast: Cast, kind: str) -> None:
        wallet = getattr(cast, kind)
        account = fund(cast, wallet)
        wallet.execute(cast.stage.house, "take", *offer(cast), account, wad(100))
        assert size(cast, account) == wad(100)

    @pytest.mark.parametrize("kind", KINDS)
    def test_deposit_and_trade_are_one_transaction(self, cast: Cast, kind: str) -> None:
        stage, wallet = cast.stage, getattr(cast, kind)
        account = give(cast, wallet)
        calls = [
            stage.house.encode("deposit", account, CASH, DEPOSIT),
            stage.house.encode("take", *offer(cast), account, wad(100)),
        ]
        wallet.batch(
            (stage.dollar, stage.dollar.encode("approve", stage.vault, DEPOSIT)),
            (stage.house, stage.house.encode("multicall", calls)),
        )
        assert size(cast, account) == wad(100)

    def test_a_hash_that_a_safe_approved_on_chain_needs_no_signature(self, cast: Cast) -> None:
        """The Safe signs by a transaction (SignMessageLib); the signature is empty."""
        account = fund(cast, cast.safe)
        sell = order(cast, account, -1)
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.safe.address):
            taken(cast, sell, b"")
        cast.safe.approve(digest(cast, sell))
        assert taken(cast, sell, b"") == WAD

    def test_an_entry_point_s_account_signs_nothing(self, cast: Cast) -> None:
        """It has no ERC-1271, and its owner is not the account."""
        account = fund(cast, cast.smart)
        sell = order(cast, account, -1)
        with cast.stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.smart.address):
            taken(cast, sell, cast.stage.sign(sell, cast.smart.owner))

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_contract_takes_back_its_orders(self, cast: Cast, kind: str) -> None:
        stage, wallet = cast.stage, getattr(cast, kind)
        account = fund(cast, wallet)
        sell = order(cast, account, -1)
        wallet.execute(stage.house, "cancel", sell)
        assert stage.house.call.filledOf(digest(cast, sell)) == 2**256 - 1
        wallet.execute(stage.house, "raiseEpoch", account)
        assert stage.house.call.versions(account).epoch == sell["epoch"] + 1

    def test_an_order_taken_back_by_a_safe_stays_dead(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.safe)
        first, second = order(cast, account, -1), order(cast, account, -1)
        signed = [cast.safe.sign(digest(cast, one)) for one in (first, second)]
        cast.safe.execute(stage.house, "cancel", first)
        with stage.evm.reverts("OrderSpent", digest(cast, first), 2**256 - 1):
            taken(cast, first, signed[0])
        cast.safe.execute(stage.house, "raiseEpoch", account)
        with stage.evm.reverts("OrderEpochPassed", digest(cast, second), 0, 1):
            taken(cast, second, signed[1])


class TestDelegates:
    @pytest.mark.parametrize("kind", KINDS)
    def test_trade_for_a_contract(self, cast: Cast, kind: str) -> None:
        """The delegate's own key signs, and takes; it withdraws nothing."""
        stage, wallet, desk = cast.stage, getattr(cast, kind), cast.stage.actor("desk")
        account = fund(cast, wallet)
        wallet.execute(stage.house, "setDelegate", account, desk, terms())
        sell = order(cast, account, -3, signer=desk.address)
        assert taken(cast, sell, stage.sign(sell, desk)) == WAD
        stage.house.take(*offer(cast), account, wad(10), sender=desk)
        assert size(cast, account) == wad(9)
        with stage.evm.reverts("NotAuthorised", account, desk.address):
            stage.house.withdraw(account, CASH, 1, desk, sender=desk)
        wallet.execute(stage.house, "setDelegate", account, desk, terms(0))
        with stage.evm.reverts("NotAuthorised", account, desk.address):
            taken(cast, sell, stage.sign(sell, desk))

    def test_trade_for_a_safe_that_signed(self, cast: Cast) -> None:
        """Anyone brings the grant; its limits bind."""
        stage, safe, desk = cast.stage, cast.safe, cast.stage.actor("desk")
        account = fund(cast, safe)
        granted = terms(mayBid=False, reduceOnly=True, markets=1 << ALT)
        stranger = stage.actor("stranger")
        signature = safe.sign(grant_digest(cast, account, desk, granted))
        receipt = stage.house.setDelegateBySig(
            account, desk, granted, NEVER, signature, sender=stranger
        )
        (was,) = receipt.events("DelegateSet")
        assert (was.account, was.owner, was.delegate) == (account, safe.address, desk.address)
        assert stage.house.call.delegation(account, desk)._asdict() == granted
        sell = order(cast, account, -3, signer=desk.address)
        with stage.evm.reverts("NotReducing", orderHash=digest(cast, sell), held=0):
            taken(cast, sell, stage.sign(sell, desk))
        safe.execute(stage.house, "take", *offer(cast), account, wad(2))
        assert taken(cast, sell, stage.sign(sell, desk)) == WAD
        assert size(cast, account) == WAD

    def test_of_an_entry_point_s_account_come_by_transaction_only(self, cast: Cast) -> None:
        stage, smart, desk = cast.stage, cast.smart, cast.stage.actor("desk")
        account, granted = fund(cast, smart), terms()
        expected = grant_digest(cast, account, desk, granted)
        signature = stage.sign_grant(account, desk, granted, key=smart.owner)
        with stage.evm.reverts("InvalidSignature", expected, smart.address):
            stage.house.setDelegateBySig(account, desk, granted, NEVER, signature)

    def test_are_contracts_too(self, cast: Cast) -> None:
        """A Safe signs for a person who lets it."""
        stage, maker = cast.stage, cast.stage.actor("maker")
        account = stage.account(maker)
        sell = order(cast, account, -2, signer=cast.safe.address)
        signature = cast.safe.sign(digest(cast, sell))
        with stage.evm.reverts("NotAuthorised", account, cast.safe.address):
            taken(cast, sell, signature)
        stage.appoint(account, cast.safe)
        assert taken(cast, sell, signature) == WAD


class TestChangedOwners:
    def test_a_safe_whose_owner_left_no_longer_signs(self, cast: Cast) -> None:
        stage, account, (first, second, third) = cast.stage, fund(cast, cast.safe), cast.owners
        new = stage.actor("new owner")
        sell = order(cast, account, -3)
        before = cast.safe.sign(digest(cast, sell), [first, second])
        assert taken(cast, sell, before) == WAD
        cast.safe.replace(second, new)
        with stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.safe.address):
            taken(cast, sell, before)
        assert taken(cast, sell, cast.safe.sign(digest(cast, sell), [first, third])) == WAD
        assert taken(cast, sell, cast.safe.sign(digest(cast, sell), [new, third])) == WAD

    def test_a_grant_that_old_owners_signed_is_dead(self, cast: Cast) -> None:
        stage, account, (first, second, third) = cast.stage, fund(cast, cast.safe), cast.owners
        desk, granted = stage.actor("desk"), terms()
        expected = grant_digest(cast, account, desk, granted)
        before = cast.safe.sign(expected, [first, second])
        cast.safe.replace(second, stage.actor("new owner"))
        with stage.evm.reverts("InvalidSignature", expected, cast.safe.address):
            stage.house.setDelegateBySig(account, desk, granted, NEVER, before)
        after = cast.safe.sign(expected, [first, third])
        stage.house.setDelegateBySig(account, desk, granted, NEVER, after)
        assert stage.house.call.delegation(account, desk).expiry == NEVER

    def test_a_safe_that_wants_more_owners_wants_more_signatures(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.safe)
        sell = order(cast, account, -3)
        before = cast.safe.sign(digest(cast, sell))
        cast.safe.execute(cast.safe.contract, "changeThreshold", 3)
        with stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.safe.address):
            taken(cast, sell, before)
        assert taken(cast, sell, cast.safe.sign(digest(cast, sell), cast.owners)) == WAD

    def test_a_safe_without_its_handler_signs_nothing(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.safe)
        sell = order(cast, account, -3)
        signature = cast.safe.sign(digest(cast, sell))
        cast.safe.execute(cast.safe.contract, "setFallbackHandler", "0x" + "00" * 20)
        with stage.evm.reverts("InvalidSignature", digest(cast, sell), cast.safe.address):
            taken(cast, sell, signature)

    def test_an_account_moves_to_nobody_else_s_key(self, cast: Cast) -> None:
        stage, account = cast.stage, fund(cast, cast.smart)
        cast.smart.owner = stage.actor("stranger")
        with stage.evm.reverts("FailedOp", reason="AA24 signature error"):
            cast.smart.execute(stage.house, "withdraw", account, CASH, 1, cast.smart)

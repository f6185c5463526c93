"""The contract wallets people hold money with: Safe, ERC-4337, EIP-7702; real, from npm.

safe = SafeKit(evm).make(owners, threshold=2)
safe.execute(house, "deposit", account, 0, 10**9)  # a transaction that two owners signed
signature = safe.sign(digest)  # ERC-1271: two owners signed the SafeMessage of the digest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak
from web3.constants import ADDRESS_ZERO

from plimsoll.lab import components
from tests.evm import CHAIN_ID, Contract, Evm, Receipt

Call = tuple[Contract, bytes]

SAFE_TRANSACTION = {
    "SafeTx": [
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "data", "type": "bytes"},
        {"name": "operation", "type": "uint8"},
        {"name": "safeTxGas", "type": "uint256"},
        {"name": "baseGas", "type": "uint256"},
        {"name": "gasPrice", "type": "uint256"},
        {"name": "gasToken", "type": "address"},
        {"name": "refundReceiver", "type": "address"},
        {"name": "nonce", "type": "uint256"},
    ]
}
SAFE_MESSAGE = {"SafeMessage": [{"name": "message", "type": "bytes"}]}

USER_OPERATION = {
    "PackedUserOperation": [
        {"name": "sender", "type": "address"},
        {"name": "nonce", "type": "uint256"},
        {"name": "initCode", "type": "bytes"},
        {"name": "callData", "type": "bytes"},
        {"name": "accountGasLimits", "type": "bytes32"},
        {"name": "preVerificationGas", "type": "uint256"},
        {"name": "gasFees", "type": "bytes32"},
        {"name": "paymasterAndData", "type": "bytes"},
    ]
}


class SafeKit:
    """What every Safe of a chain shares."""

    def __init__(self, evm: Evm) -> None:
        self.evm = evm
        self.singleton = evm.deploy(components.safe())
        self.factory = evm.deploy(components.safe_proxy_factory())
        self.handler = evm.deploy(components.safe_fallback_handler())
        self.multi_send = evm.deploy(components.safe_multi_send())
        self.sign_message = evm.deploy(components.safe_sign_message())

    def make(self, owners: Sequence[LocalAccount], threshold: int, salt: int = 0) -> Safe:
        """A new Safe."""
        terms = (owners, threshold, ADDRESS_ZERO, b"", self.handler, ADDRESS_ZERO, 0, ADDRESS_ZERO)
        setup = self.singleton.encode("setup", *terms)
        proxy = self.factory.createProxyWithNonce(self.singleton, setup, salt).value
        return Safe(self, self.evm.at(proxy, components.safe()), owners, threshold)


class Safe:
    """A Safe and the keys of its owners."""

    def __init__(
        self, kit: SafeKit, contract: Contract, owners: Sequence[LocalAccount], threshold: int
    ) -> None:
        self.kit = kit
        self.contract = contract
        self.owners = list(owners)
        self.threshold = threshold

    @property
    def address(self) -> ChecksumAddress:
        return self.contract.address

    @property
    def domain(self) -> dict[str, Any]:
        """A Safe's EIP-712 domain has neither name nor version."""
        return {"chainId": CHAIN_ID, "verifyingContract": self.address}

    def execute(self, to: Contract, function: str, *args: Any) -> Receipt:
        """A call that enough owners signed."""
        return self.send(to, to.encode(function, *args))

    def batch(self, *calls: Call) -> Receipt:
        """Several calls in one transaction, all or none."""
        packed = b"".join(
            b"\0" + bytes.fromhex(to.address[2:]) + bytes(32) + len(data).to_bytes(32) + data
            for to, data in calls
        )
        return self.send(self.kit.multi_send, self.kit.multi_send.encode("multiSend", packed), 1)

    def send(
        self,
        to: Contract,
        data: bytes,
        operation: int = 0,
        signers: Sequence[LocalAccount] | None = None,
    ) -> Receipt:
        return self.contract.execTransaction(*self.signed(to, data, operation, signers))

    def signed(
        self,
        to: Contract,
        data: bytes,
        operation: int = 0,
        signers: Sequence[LocalAccount] | None = None,
    ) -> list[Any]:
        """The arguments of `execTransaction`: without gas refunds, at the Safe's next nonce."""
        fields = {
            "to": to.address,
            "value": 0,
            "data": data,
            "operation": operation,
            "safeTxGas": 0,
            "baseGas": 0,
            "gasPrice": 0,
            "gasToken": ADDRESS_ZERO,
            "refundReceiver": ADDRESS_ZERO,
        }
        message = {**fields, "nonce": self.contract.call.nonce()}
        return [*fields.values(), self._gather(SAFE_TRANSACTION, message, signers)]

    def replace(self, old: LocalAccount, new: LocalAccount) -> Receipt:
        """The owners put somebody in another's place."""
        listed = ["0x" + "00" * 19 + "01", *self.contract.call.getOwners()]
        before = listed[listed.index(old.address) - 1]
        return self.execute(self.contract, "swapOwner", before, old, new)

    def sign(self, digest: bytes, signers: Sequence[LocalAccount] | None = None) -> bytes:
        """What the Safe answers for by ERC-1271: its owners' SafeMessage of the digest."""
        return self._gather(SAFE_MESSAGE, {"message": digest}, signers)

    def approve(self, digest: bytes) -> Receipt:
        """Signs by a transaction instead: the signature of the digest is then empty."""
        library = self.kit.sign_message
        return self.send(library, library.encode("signMessage", digest), 1)

    def _gather(
        self,
        types: dict[str, Any],
        message: Mapping[str, Any],
        signers: Sequence[LocalAccount] | None,
    ) -> bytes:
        """Signatures in ascending order of owner, as the Safe wants them."""
        chosen = self.owners[: self.threshold] if signers is None else signers
        signable = encode_typed_data(self.domain, types, dict(message))
        ordered = sorted(chosen, key=lambda one: int(one.address, 16))
        return b"".join(bytes(one.sign_message(signable).signature) for one in ordered)


class EntryPoint:
    """The ERC-4337 entry point, with somebody who sends operations to it for a fee."""

    def __init__(self, evm: Evm) -> None:
        self.evm = evm
        self.contract = evm.deploy(components.entry_point())
        self.factory = evm.deploy(components.simple_account_factory(), self.contract)
        self.bundler = evm.actor("bundler")

    def make(self, owner: LocalAccount, salt: int = 0) -> SmartAccount:
        """A new account, created by its own first operation, with ether for its fees."""
        address = self.factory.call.getAddress(owner, salt)
        self.evm.set_balance(address, 10**18)
        contract = self.evm.at(address, components.simple_account())
        account = SmartAccount(self, contract, owner)
        create = self.factory.encode("createAccount", owner, salt)
        code = bytes.fromhex(self.factory.address[2:]) + create
        self.handle(account.operation(b"", code))
        return account

    def handle(self, operation: Mapping[str, Any]) -> Receipt:
        """Has the bundler send an operation in; it must have succeeded."""
        receipt = self.contract.handleOps([operation], self.bundler, sender=self.bundler)
        (done,) = receipt.events("UserOperationEvent")
        if not done.success:
            reasons = receipt.events("UserOperationRevertReason")
            raise OperationFailed(reasons[0].revertReason if reasons else b"")
        return receipt


class OperationFailed(Exception):  # noqa: N818 an outcome of the account's call
    """The entry point took the operation, its call reverted: the raw error."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw.hex())
        self.raw = raw


def explain(evm: Evm, raw: bytes) -> tuple[str, dict[str, Any]]:
    """The name and the arguments of an error that came as bytes."""
    entry = evm.registry.errors[raw[:4]]
    return entry.name, entry.decode_input(raw[4:])._asdict()


class SmartAccount:
    """An ERC-4337 SimpleAccount: one owner, whose key signs each operation."""

    def __init__(self, entry: EntryPoint, contract: Contract, owner: LocalAccount) -> None:
        self.entry = entry
        self.contract = contract
        self.owner = owner

    @property
    def address(self) -> ChecksumAddress:
        return self.contract.address

    def execute(self, to: Contract, function: str, *args: Any) -> Receipt:
        """A call by one operation."""
        data = self.contract.encode("execute", to, 0, to.encode(function, *args))
        return self.entry.handle(self.operation(data))

    def batch(self, *calls: Call) -> Receipt:
        """Several calls by one operation, all or none."""
        data = self.contract.encode("executeBatch", [(to, 0, data) for to, data in calls])
        return self.entry.handle(self.operation(data))

    def operation(self, data: bytes, init_code: bytes = b"") -> dict[str, Any]:
        """A signed operation that calls the account with `data`."""
        fields = {
            "sender": self.address,
            "nonce": self.entry.contract.call.getNonce(self.address, 0),
            "initCode": init_code,
            "callData": data,
            "accountGasLimits": pair(2_000_000, 5_000_000),
            "preVerificationGas": 50_000,
            "gasFees": pair(0, 1),
            "paymasterAndData": b"",
        }
        return {**fields, "signature": self._sign(fields)}

    def _sign(self, fields: Mapping[str, Any]) -> bytes:
        domain = {
            "name": "ERC4337",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": self.entry.contract.address,
        }
        signable = encode_typed_data(domain, USER_OPERATION, dict(fields))
        return bytes(self.owner.sign_message(signable).signature)


def pair(high: int, low: int) -> bytes:
    """Two numbers of 128 bits, as an operation packs them."""
    return high.to_bytes(16) + low.to_bytes(16)


class Permit2:
    """Permit2 and what its users sign."""

    TYPES: ClassVar[dict[str, Any]] = {
        "PermitTransferFrom": [
            {"name": "permitted", "type": "TokenPermissions"},
            {"name": "spender", "type": "address"},
            {"name": "nonce", "type": "uint256"},
            {"name": "deadline", "type": "uint256"},
        ],
        "TokenPermissions": [
            {"name": "token", "type": "address"},
            {"name": "amount", "type": "uint256"},
        ],
    }

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    @classmethod
    def deploy(cls, evm: Evm) -> Self:
        return cls(evm.deploy(components.permit2()))

    @property
    def address(self) -> ChecksumAddress:
        return self.contract.address

    def sign(
        self, key: LocalAccount, token: Any, amount: int, spender: Any, nonce: int, deadline: int
    ) -> bytes:
        """Lets `spender` take up to `amount` of the key's tokens, once, until the deadline."""
        signable = self._signable(token, amount, spender, nonce, deadline)
        return bytes(key.sign_message(signable).signature)

    def digest(self, token: Any, amount: int, spender: Any, nonce: int, deadline: int) -> bytes:
        """For a contract to sign."""
        signable = self._signable(token, amount, spender, nonce, deadline)
        return keccak(b"\x19" + signable.version + signable.header + signable.body)

    def _signable(
        self, token: Any, amount: int, spender: Any, nonce: int, deadline: int
    ) -> SignableMessage:
        domain = {"name": "Permit2", "chainId": CHAIN_ID, "verifyingContract": self.address}
        message = {
            "permitted": {"token": token.address, "amount": amount},
            "spender": spender.address,
            "nonce": nonce,
            "deadline": deadline,
        }
        return encode_typed_data(domain, self.TYPES, message)

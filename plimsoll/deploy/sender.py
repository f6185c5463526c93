"""One account on one chain: everything that touches the node is here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import BlockNotFound, ContractLogicError, TransactionNotFound, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware

from plimsoll.errors import ContractError, decode_error

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

# Reading a price source asks for gas in reserve, so an estimate is no upper bound.
_GAS_MARGIN_PERCENT = 125
# A replacement must pay at least an eighth more, or nodes refuse it.
_REPLACEMENT_PERCENT = 113
_BASE_FEE_HEADROOM = 2
_POLL_SECONDS = 0.5
NOBODY = "0x" + "00" * 20


class StepError(Exception):
    """A transaction was refused, reverted, or lost its nonce to something else."""


@dataclass(frozen=True)
class Call:
    """A transaction before it is signed; `to` none creates a contract."""

    to: str | None
    data: bytes
    value: int = 0


@dataclass(frozen=True)
class Log:
    """One event: its indexed arguments as numbers, and the rest."""

    indexed: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class Signed:
    raw: bytes
    hash: str
    nonce: int
    max_fee: int


class Sender:
    """Reads a chain and sends from one account, waiting for as many confirmations as asked."""

    def __init__(
        self,
        w3: Web3,
        address: str,
        sign: Callable[[dict[str, Any]], bytes],
        confirmations: int = 0,
        patience: float = 600,
    ) -> None:
        self.w3 = w3
        self.address = Web3.to_checksum_address(address)
        self.confirmations = confirmations
        self.patience = patience
        self._sign = sign
        self.chain_id = w3.eth.chain_id

    @classmethod
    def from_ape(cls, provider: ProviderAPI, account: AccountAPI, confirmations: int = 0) -> Self:
        """Signs with an Ape account, but sends itself: Ape would wait before it tells the hash."""

        def sign(fields: dict[str, Any]) -> bytes:
            transaction = provider.network.ecosystem.create_transaction(**fields)
            signed = account.sign_transaction(transaction)
            if signed is None:
                raise StepError("the account did not sign")
            return bytes(signed.serialize_transaction())

        return cls(_node(provider), str(account.address), sign, confirmations)

    @classmethod
    def reading(cls, provider: ProviderAPI) -> Self:
        """For questions only: there is no account to send from."""

        def refuse(fields: dict[str, Any]) -> bytes:
            raise StepError("connected for reading only")

        return cls(_node(provider), NOBODY, refuse)

    def genesis(self) -> str:
        """Tells chains with one id apart, such as two Anvils."""
        return str(HexBytes(self.w3.eth.get_block(0)["hash"]).to_0x_hex())

    def balance(self) -> int:
        return self.w3.eth.get_balance(self.address)

    def code(self, address: str) -> bytes:
        return bytes(self.w3.eth.get_code(Web3.to_checksum_address(address)))

    def confirmed_nonce(self) -> int:
        return self.w3.eth.get_transaction_count(self.address, "latest")

    def read(self, to: str, signature: str, *arguments: Any, returns: str = "") -> Any:
        """Calls a view, such as `read(token, "balanceOf(address)", owner, returns="uint256")`.

        One return type gives the value, several give a tuple. Raises `ContractError` when the
        contract refuses.
        """
        answer = self.call(Call(to, encode_call(signature, *arguments)))
        types = split_types(returns)
        values = decode(types, answer)
        return values[0] if len(types) == 1 else values

    def answers(self, to: str, signature: str, *arguments: Any) -> bytes | None:
        """What a view returns, or nothing if it has no such function or refuses."""
        try:
            return self.call(Call(to, encode_call(signature, *arguments))) or None
        except (ContractError, StepError):
            return None

    def logs(self, address: str, event: str, since: int, until: int | None = None) -> list[Log]:
        """Every event of one signature, in order; to the latest block if no end is given."""
        filter_: Any = {
            "address": Web3.to_checksum_address(address),
            "topics": ["0x" + keccak(text=event).hex()],
            "fromBlock": since,
            "toBlock": "latest" if until is None else until,
        }
        return [
            Log(tuple(int.from_bytes(topic) for topic in log["topics"][1:]), bytes(log["data"]))
            for log in self.w3.eth.get_logs(filter_)
        ]

    def refusal(self, call: Call, by: str) -> ContractError | StepError | None:
        """The error with which a call by somebody would be refused; nothing if it would not."""
        try:
            self.call(call, by)
        except (ContractError, StepError) as error:
            return error
        return None

    def call(self, call: Call, by: str | None = None) -> bytes:
        """What a call returns, without sending it; by the sender unless somebody else is named."""
        caller = Web3.to_checksum_address(by or self.address)
        request: Any = {"from": caller, "data": HexBytes(call.data), "value": call.value}
        if call.to is not None:
            request["to"] = Web3.to_checksum_address(call.to)
        try:
            return bytes(self.w3.eth.call(request))
        except (ContractLogicError, Web3RPCError) as error:
            raise _refusal(error) from error

    def signed(self, call: Call, nonce: int, at_least: int = 0) -> Signed:
        """A transaction ready to leave. `at_least` is the fee cap of one that it replaces."""
        fields: dict[str, Any] = {
            "chainId": self.chain_id,
            "from": self.address,
            "nonce": nonce,
            "value": call.value,
            "data": HexBytes(call.data),
            "gas": self._gas(call),
            **self._fees(at_least),
        }
        if call.to is not None:
            fields["to"] = Web3.to_checksum_address(call.to)
        raw = self._sign(fields)
        max_fee = fields.get("maxFeePerGas", fields.get("gasPrice", 0))
        return Signed(raw, "0x" + keccak(raw).hex(), nonce, max_fee)

    def broadcast(self, signed: Signed) -> None:
        """Hands a transaction to the node. One that it has already is no error."""
        try:
            self.w3.eth.send_raw_transaction(HexBytes(signed.raw))
        except (Web3RPCError, ValueError) as error:
            if "already known" not in str(error).lower():
                raise StepError(f"the node refuses {signed.hash}: {error}") from error

    def receipt(self, hash_: str) -> Mapping[str, Any] | None:
        try:
            return self.w3.eth.get_transaction_receipt(HexBytes(hash_))
        except TransactionNotFound:
            return None

    def sent_data(self, hash_: str) -> bytes:
        """What a transaction carried; nothing if the chain does not know it."""
        try:
            return bytes(HexBytes(self.w3.eth.get_transaction(HexBytes(hash_))["input"]))
        except TransactionNotFound:
            return b""

    def wait(self, hashes: list[str]) -> Mapping[str, Any]:
        """The receipt of whichever of these, all of one nonce, is mined."""
        deadline = time.monotonic() + self.patience
        pause = 0.005
        while time.monotonic() < deadline:
            for hash_ in hashes:
                found = self.receipt(hash_)
                if found is not None:
                    return found
            time.sleep(pause)
            pause = min(pause * 2, _POLL_SECONDS)
        raise StepError(f"not mined within {self.patience} s: {hashes[-1]}; run again to go on")

    def confirm(self, hashes: list[str]) -> None:
        """Waits until all of these lie as deep as asked, and are still there."""
        if not hashes or not self.confirmations:
            return
        deadline = time.monotonic() + self.patience
        while not self._deep_enough(hashes[-1]):
            if time.monotonic() > deadline:
                raise StepError(f"no {self.confirmations} confirmations within {self.patience} s")
            time.sleep(_POLL_SECONDS)
        lost = [hash_ for hash_ in hashes if self.receipt(hash_) is None]
        if lost:
            raise StepError(f"a reorganisation took away {', '.join(lost)}: run again to go on")

    def _deep_enough(self, hash_: str) -> bool:
        receipt = self.receipt(hash_)
        if receipt is None:
            return False
        return bool(self.w3.eth.block_number - receipt["blockNumber"] >= self.confirmations)

    def _gas(self, call: Call) -> int:
        request: Any = {"from": self.address, "data": HexBytes(call.data), "value": call.value}
        if call.to is not None:
            request["to"] = Web3.to_checksum_address(call.to)
        try:
            return self.w3.eth.estimate_gas(request) * _GAS_MARGIN_PERCENT // 100
        except (ContractLogicError, Web3RPCError) as error:
            raise _refusal(error) from error

    def _fees(self, at_least: int) -> dict[str, int]:
        floor = at_least * _REPLACEMENT_PERCENT // 100 + 1 if at_least else 0
        try:
            base_fee = self.w3.eth.get_block("latest").get("baseFeePerGas")
        except BlockNotFound as error:
            raise StepError("the node has no latest block") from error
        if base_fee is None:
            return {"gasPrice": max(self.w3.eth.gas_price, floor)}
        tip = max(self.w3.eth.max_priority_fee, floor if at_least else 0)
        return {
            "type": 2,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": max(base_fee * _BASE_FEE_HEADROOM + tip, floor),
        }


def _node(provider: ProviderAPI) -> Web3:
    # web3's own middleware would ask for the chain id before every call.
    return Web3(provider.web3.provider, middleware=[ExtraDataToPOAMiddleware])


def encode_call(signature: str, *arguments: Any) -> bytes:
    """Selector and arguments of `name(type,type)`."""
    types = split_types(signature[signature.index("(") + 1 : -1])
    if len(types) != len(arguments):
        raise TypeError(f"{signature} takes {len(types)} arguments, not {len(arguments)}")
    return keccak(text=signature)[:4] + encode(types, arguments)


def split_types(types: str) -> list[str]:
    """Top-level types of a comma-separated list; commas inside tuples do not count."""
    parts: list[str] = []
    depth = 0
    for character in types:
        if character == "," and depth == 0:
            parts.append("")
            continue
        depth += (character == "(") - (character == ")")
        if not parts:
            parts.append("")
        parts[-1] += character
    return parts


def _refusal(error: Exception) -> Exception:
    data = getattr(error, "data", None)
    if isinstance(data, Mapping):
        data = data.get("data")
    if not isinstance(data, str):
        response = getattr(error, "rpc_response", None) or {}
        data = (response.get("error") or {}).get("data")
    if isinstance(data, str) and data.startswith("0x") and len(data) >= 10:
        return decode_error(bytes.fromhex(data[2:]))
    message = (getattr(error, "rpc_response", None) or {}).get("error", {}).get("message")
    return StepError(message or str(error))

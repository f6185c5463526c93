"""A JSON-RPC node over the EVM of this process, so that web3 and the SDK run unchanged on it.

Every transaction is mined in its own block, at once. Only what the SDK asks for is understood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import Web3
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from tests.evm import CHAIN_ID, GAS_LIMIT, Evm, Reverted

ZERO_HASH = "0x" + "00" * 32
BLOOM = "0x" + "00" * 256


class EvmProvider(JSONBaseProvider):
    """Answers web3 from an `Evm`."""

    def __init__(self, evm: Evm) -> None:
        super().__init__()
        self.evm = evm
        self._receipts: dict[str, dict[str, Any]] = {}
        self._nonces: dict[str, int] = {}
        self.sent = 0
        self._answers: dict[str, Callable[..., Any]] = {
            "eth_blockNumber": lambda: hex(evm.block_number),
            "eth_call": lambda tx, _block="latest": self._call(tx),
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_estimateGas": lambda tx, _block="latest": self._estimate(tx),
            "eth_gasPrice": lambda: hex(10**9),
            "eth_getBlockByNumber": lambda _number, _full: self._block(),
            "eth_getCode": lambda address, _block: (
                "0x" + evm.code(to_checksum_address(address)).hex()
            ),
            "eth_getStorageAt": lambda address, slot, _block: (
                "0x" + evm.storage(to_checksum_address(address), int(slot, 16)).to_bytes(32).hex()
            ),
            "eth_getTransactionCount": lambda who, _block: hex(self._nonces.get(who.lower(), 0)),
            "eth_getTransactionReceipt": self._receipts.get,
            "eth_maxPriorityFeePerGas": lambda: hex(0),
            "eth_sendRawTransaction": self._send_raw,
            "eth_sendTransaction": self._send,
        }

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        try:
            result = self._answers[method](*params)
        except Reverted as error:
            failure = {"code": 3, "message": "execution reverted", "data": "0x" + error.raw.hex()}
            return {"jsonrpc": "2.0", "id": 1, "error": failure}  # type: ignore[typeddict-item]
        return {"jsonrpc": "2.0", "id": 1, "result": result}

    def _run(self, tx: dict[str, Any]) -> bytes:
        data = HexBytes(tx.get("data") or tx.get("input") or b"")
        sender = to_checksum_address(tx.get("from") or "0x" + "00" * 20)
        value = int(tx.get("value", "0x0"), 16)
        return self.evm.send(to_checksum_address(tx["to"]), bytes(data), sender, value)

    def _call(self, tx: dict[str, Any]) -> str:
        with self.evm.anchored():
            return "0x" + self._run(tx).hex()

    def _estimate(self, tx: dict[str, Any]) -> str:
        self._call(tx)
        return hex(GAS_LIMIT // 4)

    def _send_raw(self, raw: str) -> str:
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        sender = Account.recover_transaction(raw)
        assert fields["nonce"] == self._nonces.get(sender.lower(), 0)
        return self._send(
            {
                "from": sender,
                "to": "0x" + bytes(fields["to"]).hex(),
                "data": fields["data"],
                "value": hex(fields["value"]),
            }
        )

    def _send(self, tx: dict[str, Any]) -> str:
        """Mines the transaction; one that reverts is mined as failed, as a chain does."""
        self.sent += 1
        sender = tx["from"].lower()
        self._nonces[sender] = self._nonces.get(sender, 0) + 1
        tx_hash = Web3.keccak(text=f"transaction {self.sent}").to_0x_hex()
        try:
            self._run(tx)
            status, logs = 1, self.evm._evm.result.logs  # type: ignore[union-attr]
        except Reverted:
            status, logs = 0, []
        self._receipts[tx_hash] = self._receipt(tx_hash, tx, status, logs)
        self.evm.warp(0)
        return tx_hash

    def _receipt(
        self, tx_hash: str, tx: dict[str, Any], status: int, logs: list[Any]
    ) -> dict[str, Any]:
        at = {
            "blockHash": ZERO_HASH,
            "blockNumber": hex(self.evm.block_number),
            "transactionHash": tx_hash,
            "transactionIndex": "0x0",
        }
        return {
            **at,
            "contractAddress": None,
            "cumulativeGasUsed": hex(self.evm.gas_used),
            "effectiveGasPrice": hex(0),
            "from": tx["from"],
            "gasUsed": hex(self.evm.gas_used),
            "logsBloom": BLOOM,
            "status": hex(status),
            "to": tx["to"],
            "logs": [
                {
                    **at,
                    "address": log.address,
                    "topics": ["0x" + bytes(topic).hex() for topic in log.data[0]],
                    "data": "0x" + bytes(log.data[1]).hex(),
                    "logIndex": hex(index),
                    "removed": False,
                }
                for index, log in enumerate(logs)
            ],
        }

    def _block(self) -> dict[str, Any]:
        number = hex(self.evm.block_number)
        return {
            "number": number,
            "hash": ZERO_HASH,
            "parentHash": ZERO_HASH,
            "timestamp": hex(self.evm.time),
            "baseFeePerGas": hex(10**9),
            "gasLimit": hex(GAS_LIMIT),
            "gasUsed": "0x0",
            "transactions": [],
        }

"""The chain of `tests/evm.py` over a real node: what is written for one runs on the other.

    node = Node(provider)  # an Ape provider on Anvil
    token = node.deploy("MockToken", 6)

Slower by a thousand times, and true in what the EVM in this process leaves out: blocks, gas, cold
storage, and transactions that end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from eth_abi.abi import encode

from tests.artifacts import Artifact, Entry, Registry, encoder, types_of
from tests.evm import GAS_LIMIT, Contract, Evm, Receipt, Reverted, _address

POLL = 0.002


class Node(Evm):
    """A chain whose clock stands still, on a node; senders need no key there."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider.web3.provider
        self.registry = Registry()
        self.gas_used = 0
        self._snapshots = []
        self._ask("anvil_autoImpersonateAccount", True)
        latest = self._ask("eth_getBlockByNumber", "latest", False)
        self._time, self._number = int(latest["timestamp"], 16), int(latest["number"], 16)
        self.warp(1)
        self.deployer = self.actor("deployer").address

    def _ask(self, method: str, *params: Any) -> Any:
        answer = self._provider.make_request(method, list(params))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _set_block(self) -> None:
        """A block of this moment; all until the next one have its time."""
        self._ask("evm_setNextBlockTimestamp", self._time)
        self._ask("evm_mine")
        self._ask("anvil_setBlockTimestampInterval", 0)

    def balance(self, who: Any) -> int:
        return int(self._ask("eth_getBalance", _address(who), "latest"), 16)

    def set_balance(self, who: Any, wei: int) -> None:
        self._ask("anvil_setBalance", _address(who), hex(wei))

    def snapshot(self) -> int:
        self._snapshots.append((self._ask("evm_snapshot"), self._time, self._number))
        return len(self._snapshots) - 1

    def revert(self, snapshot: int) -> None:
        checkpoint, self._time, self._number = self._snapshots[snapshot]
        del self._snapshots[snapshot:]
        assert self._ask("evm_revert", checkpoint), "the node forgot the snapshot"
        self._ask("anvil_setBlockTimestampInterval", 0)
        self.snapshot()

    def deploy(
        self,
        source: str | Artifact | Mapping[str, Any],
        *args: Any,
        sender: Any = None,
        value: int = 0,
    ) -> Contract:
        what = Artifact.of(source)
        constructors = [one["inputs"] for one in what.abi if one["type"] == "constructor"]
        inputs = constructors[0] if constructors else []
        plain = [encoder(one)(arg) for one, arg in zip(inputs, args, strict=True)]
        self._know(what.abi)
        code = what.bytecode + encode(types_of(inputs), plain)
        receipt = self._send({"from": _address(sender or self.deployer), "data": code}, value)
        return Contract(self, receipt["contractAddress"], what.abi)

    def transact(
        self, to: Contract, function: Entry, args: Sequence[Any], sender: Any, value: int, gas: int
    ) -> Receipt:
        answer = self.call(to, function, args, sender, value, gas)
        origin = _address(sender or self.deployer)
        data = function.encode(args)
        receipt = self._send({"from": origin, "to": to.address, "data": data}, value, gas)
        self.gas_used = int(receipt["gasUsed"], 16)
        logs = [
            SimpleNamespace(
                address=log["address"],
                data=([_bytes(topic) for topic in log["topics"]], _bytes(log["data"])),
            )
            for log in receipt["logs"]
        ]
        return Receipt(self.registry, answer, self.gas_used, logs)

    def call(
        self, to: Contract, function: Entry, args: Sequence[Any], sender: Any, value: int, gas: int
    ) -> Any:
        request = {
            "from": _address(sender or self.deployer),
            "to": to.address,
            "data": "0x" + function.encode(args).hex(),
            "value": hex(value),
            "gas": hex(gas),
        }
        answer = self._provider.make_request("eth_call", [request, "latest"])
        if "error" in answer:
            raise self._refused(answer["error"])
        return function.decode_output(_bytes(answer["result"]))

    def _send(self, what: dict[str, Any], value: int, gas: int = GAS_LIMIT) -> Any:
        request = {**what, "data": "0x" + what["data"].hex(), "value": hex(value), "gas": hex(gas)}
        sent = self._ask("eth_sendTransaction", request)
        while (receipt := self._ask("eth_getTransactionReceipt", sent)) is None:
            time.sleep(POLL)  # it mines at once, but answers before that
        assert receipt["status"] == "0x1", "what the call allows, the transaction refused"
        return receipt

    def _refused(self, error: Mapping[str, Any]) -> Reverted:
        data = str(error.get("data") or "0x")
        return self._explain(f"Revert {{ gas_used: 0, output: {data} }}")


def _bytes(text: Any) -> bytes:
    return bytes.fromhex(str(text).removeprefix("0x"))

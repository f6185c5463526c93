"""An Anvil and a keeper of our own, each a child process that ends with us."""

from __future__ import annotations

import json
import os
import platform
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from requests import Session
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

MNEMONIC = "test test test test test test test test test test test junk"
"""Anvil's own, and the one of Ape's test accounts: known to everybody, worth nothing."""
_START_SECONDS = 20
_END_SECONDS = 5
# Ample for an oracle's report and for an observation of every price.
_CALL_GAS = 3_000_000


class NodeError(Exception):
    """A child process did not start, or ended when it should run."""


class Child:
    """A process that is asked to end, and made to when it does not."""

    def __init__(self, command: list[str], environment: Mapping[str, str], **streams: Any) -> None:
        self.name = Path(command[0]).name
        self.process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 -- our own programs
            command, env=dict(environment), stdin=subprocess.DEVNULL, **streams
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def check(self) -> None:
        if (code := self.process.poll()) is not None:
            raise NodeError(f"{self.name} ended with code {code}")


@dataclass(frozen=True, slots=True)
class Call:
    to: str
    data: bytes
    value: int = 0


class Anvil(Child):
    """A chain whose blocks are one second apart unless told otherwise, so that runs repeat."""

    def __init__(self, chain_id: int, started: int, log: Path) -> None:
        port = free_port()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            super().__init__(
                [
                    str(anvil_binary()),
                    *("--port", str(port), "--chain-id", str(chain_id), "--mnemonic", MNEMONIC),
                    *("--timestamp", str(started), "--hardfork", "cancun", "--accounts", "20"),
                ],
                os.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = f"http://127.0.0.1:{port}"
        self.w3 = _connect(self.url)
        try:
            self._wait()
            self.request("anvil_setBlockTimestampInterval", 1)
        except BaseException:
            self.end()
            raise

    def request(self, method: str, *arguments: Any) -> Any:
        response = self.w3.provider.make_request(RPCEndpoint(method), list(arguments))
        if "error" in response:
            raise NodeError(f"{method}: {response['error']}")
        return response.get("result")

    @property
    def time(self) -> int:
        return self.w3.eth.get_block("latest")["timestamp"]

    def next_block_at(self, moment: int) -> None:
        """The next block gets this time; the ones after it follow a second apart."""
        self.request("evm_setNextBlockTimestamp", moment)

    def mine_at(self, moment: int) -> None:
        """An empty block, so that the chain's clock moves."""
        self.next_block_at(moment)
        self.request("evm_mine")

    def mine_together(self, sender: str, calls: Sequence[Call], moment: int) -> None:
        """All calls in one block of that time. Each must succeed."""
        nonce = self.w3.eth.get_transaction_count(Web3.to_checksum_address(sender))
        self.request("evm_setAutomine", False)
        try:
            hashes = [
                self.request(
                    "eth_sendTransaction",
                    {
                        "from": sender,
                        "to": call.to,
                        "data": Web3.to_hex(call.data),
                        "value": hex(call.value),
                        "nonce": hex(nonce + number),
                        "gas": hex(_CALL_GAS),
                    },
                )
                for number, call in enumerate(calls)
            ]
            self.mine_at(moment)
        finally:
            self.request("evm_setAutomine", True)
        for tx, call in zip(hashes, calls, strict=True):
            if self.w3.eth.get_transaction_receipt(tx)["status"] != 1:
                raise NodeError(f"the call of {call.to} in {tx} reverted")

    def snapshot(self) -> str:
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        if self.request("evm_revert", snapshot) is not True:
            raise NodeError(f"the node has no snapshot {snapshot}")

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            if self.w3.is_connected():
                return
            time.sleep(0.05)
        raise NodeError(f"anvil did not answer within {_START_SECONDS} s")


class KeeperProcess(Child):
    """`python -m plimsoll.keeper`, and what it reports."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as errors:
            super().__init__(
                [sys.executable, "-m", "plimsoll.keeper", "--every", "0.02"],
                {**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.log = log
        self.reports: list[dict[str, Any]] = []
        self._rest = b""

    def wait_until_idle(self, block: int, patience: float = 60) -> dict[str, Any]:
        """Its latest report, once it is on this block or a later one and had nothing to send."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.reports and self.reports[-1]["block"] >= block and not self.reports[-1]["sent"]:
                return self.reports[-1]
            self._read(deadline - time.monotonic())
        raise NodeError(f"the keeper did not come to rest within {patience} s: see {self.log}")

    def _read(self, patience: float) -> None:
        if self.process.stdout is None or not self.process.stdout.readable():
            raise NodeError("the keeper's output is closed")
        descriptor = self.process.stdout.fileno()
        if not select.select([descriptor], [], [], max(0, patience))[0]:
            return
        if not (chunk := os.read(descriptor, 1 << 16)):
            raise NodeError(f"the keeper ended: see {self.log}")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self.reports += [json.loads(line) for line in lines]


def _connect(url: str) -> Web3:
    """No proxy stands before a node of our own, and its chain id does not change."""
    session = Session()
    session.trust_env = False
    return Web3(
        HTTPProvider(
            url,
            session=session,
            cache_allowed_requests=True,
            cacheable_requests={RPCEndpoint("eth_chainId")},
        )
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def anvil_binary() -> Path:
    """The native program: npm's wrapper in `.bin` hides exit codes and adds a process."""
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(own := platform.machine().lower(), own)
    name = "anvil.exe" if system == "windows" else "anvil"
    root = Path(__file__).parents[2]
    path = root / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / name
    if path.is_file():
        return path
    if found := shutil.which("anvil"):
        return Path(found)
    raise NodeError("no anvil: run `python3.11 bootstrap.py setup`")

"""A stage for each file, and wallets on it; every test leaves it as it found it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from eth_account.signers.local import LocalAccount
from web3 import Web3

from plimsoll.lab import components
from plimsoll.lab.node import Child, anvil_binary, free_port
from tests.evm import CHAIN_ID, START_TIME
from tests.node import Node
from tests.scenarios.stage import Stage
from tests.wallets.contracts import EntryPoint, Permit2, Safe, SafeKit, SmartAccount


@dataclass
class Cast:
    """A stage, a Safe of which two of three owners act, and an ERC-4337 account."""

    stage: Stage
    owners: list[LocalAccount] = field(init=False)
    kit: SafeKit = field(init=False)
    entry: EntryPoint = field(init=False)
    safe: Safe = field(init=False)
    smart: SmartAccount = field(init=False)
    permit2: Permit2 = field(init=False)

    def __post_init__(self) -> None:
        evm = self.stage.evm
        self.owners = [evm.actor(f"owner {number}") for number in range(3)]
        self.kit, self.entry = SafeKit(evm), EntryPoint(evm)
        self.safe = self.kit.make(self.owners, 2)
        self.smart = self.entry.make(self.owners[0])
        self.permit2 = Permit2(evm.at(self.stage.permit2, components.permit2()))
        self.stage.fund("maker", 1_000_000)
        self.stage.fund("taker", 1_000_000)


@pytest.fixture(scope="module")
def standing() -> Cast:
    return Cast(Stage(permit2=components.permit2()))


@pytest.fixture
def cast(standing: Cast) -> Iterator[Cast]:
    owners, key = list(standing.safe.owners), standing.smart.owner
    with standing.stage.evm.anchored():
        yield standing
    standing.safe.owners, standing.safe.threshold = owners, 2
    standing.smart.owner = key


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A real node, with the rules of Prague."""
    port = free_port()
    options = ("--hardfork", "prague", "--silent", "--timestamp", str(START_TIME))
    command = [str(anvil_binary()), "--port", str(port), "--chain-id", str(CHAIN_ID), *options]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with Child(command, os.environ, **streams) as child:
        w3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
        while not w3.is_connected():
            child.check()
        yield Node(SimpleNamespace(web3=w3))

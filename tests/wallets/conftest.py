"""A stage for each file, and wallets on it; every test leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from eth_account.signers.local import LocalAccount

from plimsoll.lab import components
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

"""One rehearsed deployment on Base Sepolia's chain id, shared and rolled back after each test."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from plimsoll.config import NetworkConfig, load_config
from plimsoll.deploy.artifacts import Released
from plimsoll.deploy.house import CORE, CREATED, House
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.roles import REPORTS
from plimsoll.deploy.sender import Sender
from plimsoll.deploy.verify import Verification
from tests.deploy.rehearsal import Stage, anvil, sender

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Rehearsal:
    """A sealed deployment, and the stage it stands on."""

    url: str
    config: NetworkConfig
    stage: Stage
    sender: Sender
    folder: Path
    house: House

    def verification(self, config: NetworkConfig | None = None) -> Verification:
        cache = ROOT / ".build" / "released"
        chosen = config or self.config
        return Verification(chosen, self.folder, self.sender, rebuild=True, cache=cache)

    def refusals(self, config: NetworkConfig | None = None) -> list[str]:
        """What verification refuses."""
        found = self.verification(config).findings()
        return [finding.what for finding in found if finding.verdict.value == "no"]


@pytest.fixture(scope="session")
def released() -> Released:
    """Compiled before any clock runs: the compiler takes longer than a price stays fresh.

    One worker compiles, the others wait for what it keeps.
    """
    artifacts = Released(ROOT)
    artifacts.cache.mkdir(parents=True, exist_ok=True)
    with (artifacts.cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in (*CORE, *CREATED, REPORTS, "FaucetToken", "FaucetShare", "FaucetStakedEther"):
            artifacts.get(name)
    return artifacts


@pytest.fixture(scope="module")
def sealed(released: Released, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    config = load_config("base-sepolia")
    folder = tmp_path_factory.mktemp("deployments") / config.name
    with anvil(config.chain_id) as url:
        stage = Stage(url, config, released)
        stage.build()
        deployer = sender(url)
        house = House(config, deployer, released, folder)
        house.deploy()
        house.configure()
        house.seal()
        yield Rehearsal(url, config, stage, deployer, folder, house)


@pytest.fixture
def rehearsal(sealed: Rehearsal) -> Iterator[Rehearsal]:
    """The sealed deployment; chain and folder are as before when the test is over."""
    snapshot = rpc(sealed.sender.w3, "evm_snapshot")
    files = {path: path.read_bytes() for path in sealed.folder.rglob("*") if path.is_file()}
    yield sealed
    rpc(sealed.sender.w3, "evm_revert", snapshot)
    for path, content in files.items():
        path.write_bytes(content)

"""What was deployed where: manifests, shipped in the wheel.

A deployment is a folder: `manifest.json`, `abi/<Contract>.json` and
`standard-json/<Contract>.json`, the compiler's whole input, from which anybody can rebuild the
creation code. Reading one needs neither Ape nor a node.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).parent
MANIFEST = "manifest.json"
SCHEMA = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Contract(_Record):
    """One contract of the deployment."""

    address: str
    transaction: str
    block: int
    source: str = Field(description="source file and name, as the compiler knows it")
    compiler: str = Field(description="full version of the compiler")
    arguments: str = Field(description="ABI-encoded constructor arguments, 0x...")
    creation_code_hash: str = Field(description="keccak256 of the creation code without arguments")
    runtime_code_hash: str = Field(description="keccak256 of what stands at the address")
    created_by: str | None = Field(
        None, description="the contract that created it; none: the deployer"
    )


class Asset(_Record):
    id: int
    address: str
    decimals: int
    underlying: int
    faucet: bool = False
    cites: str | None = None


class Underlying(_Record):
    """A price: its feeds, by name of the source."""

    id: int
    feeds: dict[str, str]
    has_perpetual: bool = False


class Parameter(_Record):
    """One word of the registry, as it was set."""

    kind: str
    id: int
    word: str
    meaning: dict[str, str] = Field(description="field by field, in human units")


class Transaction(_Record):
    step: str
    hash: str
    block: int
    gas: int


class Manifest(_Record):
    """All that a program needs to find a deployment, and that `verify` compares with the chain."""

    schema_version: int = SCHEMA
    name: str
    network: str
    chain_id: int
    deployer: str
    start_block: int
    sealed: bool = False
    roles: dict[str, str]
    contracts: dict[str, Contract]
    assets: dict[str, Asset] = {}
    underlyings: dict[str, Underlying] = {}
    support: dict[str, str] = Field(
        {}, description="contracts of others deployed for a test network"
    )
    parameters: list[Parameter] = []
    transactions: list[Transaction] = []
    disabled: dict[str, str] = Field({}, description="what this network does without, and why")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls.model_validate_json((folder / MANIFEST).read_text())

    def save(self, folder: Path) -> None:
        """Replaces the file in one step, so that a kill leaves the old one or the new one."""
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{MANIFEST}.new"
        fresh.write_text(self.model_dump_json(indent=2) + "\n")
        os.replace(fresh, folder / MANIFEST)

    def address(self, contract: str) -> str:
        try:
            return self.contracts[contract].address
        except KeyError:
            raise KeyError(
                f"{self.name} has no {contract}; it has {sorted(self.contracts)}"
            ) from None

    def parameter(self, kind: str, number: int) -> Parameter | None:
        return next((p for p in self.parameters if (p.kind, p.id) == (kind, number)), None)


def names() -> list[str]:
    """The deployments that come with this package."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{MANIFEST}"))


def load(name: str) -> Manifest:
    """A shipped deployment by its name, such as `base-sepolia`."""
    folder = FOLDER / name
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(
            f"no deployment {name!r} is shipped; there are: {names() or 'none'}"
        )
    return Manifest.load(folder)


def abis(folder: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The interfaces of a deployment, by contract."""
    for path in sorted((folder / "abi").glob("*.json")):
        yield path.stem, json.loads(path.read_text())

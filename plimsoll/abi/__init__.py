"""The ABIs of the deployed contracts, as shipped in the wheel.

A test compares them with what the compiler made: `python -m tests.abi_schema`.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

CONTRACTS = (
    "BackstopVault",
    "ClearingHouse",
    "CollateralVault",
    "Lens",
    "LiquidationModule",
    "MarginEngine",
    "ReportOracle",
    "TradingModule",
)
"""Of this project. Modules run by delegatecall: what they tell surfaces at the ClearingHouse."""


_OF_EVERY_TOKEN = {"Transfer", "Approval"}
"""Events that any contract may emit, with other topics too: no teller of ours."""


@cache
def load(name: str) -> list[dict[str, Any]]:
    """The ABI of one contract; `ERC20` is what the SDK needs of a token."""
    abi: list[dict[str, Any]] = json.loads((files(__name__) / f"{name}.json").read_text())
    return abi


def schema_version() -> int:
    """Raised whenever an event, error or function that others may rely on changes or goes."""
    return int(json.loads((files(__name__) / "schema.json").read_text())["version"])


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Every event or error of all contracts by its signature, e.g. `Paused(uint256,uint16)`."""
    return {
        signature(entry): entry
        for name in CONTRACTS
        for entry in load(name)
        if entry["type"] == kind and entry["name"] not in _OF_EVERY_TOKEN
    }


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(type_of(item) for item in entry.get('inputs', ()))})"


def type_of(item: dict[str, Any]) -> str:
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(type_of(part) for part in item["components"])
    return f"({inner}){kind.removeprefix('tuple')}"

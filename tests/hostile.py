"""Contract wallets that answer ERC-1271 in every way but an honest one, byte by byte."""

from __future__ import annotations

from typing import Any

from tests.evm import Contract, Evm

# The answer that says yes, left-aligned in its word.
MAGIC = bytes.fromhex("1626ba7e") + bytes(28)
_WORD = "60205ff3"  # returns the first word of memory
_YES = f"7f{MAGIC.hex()}5f52{_WORD}"

ANSWERS: dict[str, str] = {
    "reverts": "5f5ffd",
    "reverts with yes": f"7f{MAGIC.hex()}5f5260205ffd",
    "fails": "fe",
    "says nothing": "00",
    "says yes in four bytes": f"7f{MAGIC.hex()}5f5260045ff3",
    "says yes at the wrong end": f"7f{bytes(28).hex()}1626ba7e5f52{_WORD}",
    "says yes with something behind": f"7f1626ba7e{bytes(27).hex()}015f52{_WORD}",
    "says true": f"60015f52{_WORD}",
    "says no": f"63ffffffff60e01b5f52{_WORD}",
    "returns a megabyte": "62100000" + "5ff3",
    "reverts with a megabyte": "62100000" + "5ffd",
    "writes, then says yes": f"60015f55{_YES}",
    "tells a log, then says yes": f"5f5fa0{_YES}",
    "burns all gas": "5b5f56",
}
# Says what its first slot holds: yes once that is `MAGIC`.
CHANGING = f"5f545f52{_WORD}"
LYING = _YES


def wallet(evm: Evm, runtime: str) -> Contract:
    """A contract with this code, whatever it is asked."""
    made: dict[str, Any] = {
        "abi": [],
        "bytecode": f"60{len(runtime) // 2:02x}8060095f395ff3" + runtime,
    }
    return evm.deploy(made)

"""The runtime size of each contract against the limit of EIP-170: `python -m tests.gas.sizes`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LIMIT = 24_576
MANIFEST = Path(__file__).parents[2] / ".build" / "__local__.json"


def sizes() -> dict[str, int]:
    """Bytes of runtime code by contract. Libraries are inlined and interfaces have none."""
    types = json.loads(MANIFEST.read_text())["contractTypes"]
    found = {
        name: _runtime_size(contract) for name, contract in types.items() if _is_ours(contract)
    }
    return {name: size for name, size in found.items() if size > 0}


def main() -> int:
    found = sizes()
    if not found:
        print(f"no compiled contracts in {MANIFEST}: compile first", file=sys.stderr)
        return 2
    width = max(len(name) for name in found)
    print(f"{'':<{width}}  {'bytes':>7}  {'left':>7}")
    for name, size in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{name:<{width}}  {size:>7,}  {LIMIT - size:>7,}")
    over = sorted(name for name, size in found.items() if size > LIMIT)
    if over:
        print(f"above the limit of {LIMIT:,} bytes: {', '.join(over)}", file=sys.stderr)
    return 1 if over else 0


def _is_ours(contract: dict) -> bool:
    source = str(contract.get("sourceId", ""))
    return source.startswith("contracts/") and not source.startswith("contracts/libraries/")


def _runtime_size(contract: dict) -> int:
    code = (contract.get("runtimeBytecode") or {}).get("bytecode") or "0x"
    # Two hexadecimal digits a byte, after `0x`.
    return (len(code) - 2) // 2


if __name__ == "__main__":
    sys.exit(main())

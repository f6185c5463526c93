"""Computes the table of the normal distribution that options are priced with.

    python -m scripts.normal_table           compares what is committed with what comes out
    python -m scripts.normal_table --write   writes the contract, its hash and the twin's integers

docs/options.md, section 4. The distribution is the one cut at -7 and 7, so that it meets 0 and 1
there without a leap. Its cubics pass through the exact values at the inner zeros of the fourth
Chebyshev polynomial, and half an error beside them at the ends of a step: all errors of a step are
then equally large, an eighth of what interpolation with exact slopes leaves, and neighbours meet.
"""

from __future__ import annotations

import sys
from pathlib import Path

from eth_utils.crypto import keccak
from mpmath import cos, ldexp, lu_solve, matrix, mp, mpf, ncdf, nint, npdf, pi

from plimsoll.risk.black76 import EDGE, STEP_BITS, STEPS

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "contracts" / "NormalTable.sol"
LIBRARY = ROOT / "contracts" / "libraries" / "Normal.sol"
TWIN = ROOT / "plimsoll" / "risk" / "normal_table.py"

UNIT_BITS = 42
"""Coefficients have this many binary places."""
PLACES = (3 * STEP_BITS, 2 * STEP_BITS, STEP_BITS, 0)
WIDTHS = (UNIT_BITS, STEP_BITS, STEP_BITS, 32)
"""Bits of the coefficients of the powers 0 to 3; the last two are signed."""


def entries() -> list[int]:
    """The cubics, one word each, by ascending steps."""
    with mp.workdps(40):
        count = 2 * EDGE * STEPS
        nodes = [_node(i) for i in range(count + 1)]
        found: list[int] = []
        # The last one ends a unit below one: nothing is above it.
        after = (1 << (UNIT_BITS + PLACES[0])) - (1 << PLACES[0])
        for i in reversed(range(count)):
            after = _entry(_cubic(i, nodes[i], nodes[i + 1]), after)
            found.append(after)
    return found[::-1]


def value(entry: int, time: int) -> int:
    """A cubic at a part of its step: `UNIT_BITS + PLACES[0]` binary places, exactly."""
    c3 = _signed(entry, 32)
    c2 = _signed(entry, 2 * STEP_BITS)
    c1 = entry % (1 << PLACES[0])
    return entry + time * (c1 + time * (c2 + time * c3))


def code(table: list[int]) -> bytes:
    """What stands at the contract's address: a stop, and a word for each entry."""
    return bytes(1) + b"".join(entry.to_bytes(32, "big") for entry in table)


def contract(table: list[int]) -> str:
    """The source of the contract."""
    literals = "\n".join(f'            hex"{entry:064x}"' for entry in table)
    return f"""// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The normal distribution: {len(table)} cubics, docs/options.md, section 4
/// @dev Written by `scripts/normal_table.py`. Not to be run: a stop, and a word for each cubic.
contract NormalTable {{
    // solhint-disable-next-line function-max-lines
    constructor() {{
        // forgefmt: disable-start
        bytes memory table =
{literals};
        // forgefmt: disable-end
        // The last byte of the length, zeroed, becomes the stop in front; nothing runs after.
        assembly ("memory-safe") {{
            let length := mload(table)
            mstore(table, 0)
            return(add(table, 31), add(length, 1))
        }}
    }}
}}
"""


def twin(table: list[int]) -> str:
    """The source of the module that the twin loads."""
    words = "\n".join(f"    0x{entry:X}," for entry in table)
    return f'''"""The cubics of `NormalTable.sol`, written by `scripts/normal_table.py`."""

TABLE = (
{words}
)
'''


def library(table: list[int], source: str) -> str:
    """The library that loads the table, with its hash."""
    start = source.index("bytes32 constant NORMAL_TABLE_HASH = ")
    end = source.index(";", start)
    line = f"bytes32 constant NORMAL_TABLE_HASH = 0x{keccak(code(table)).hex()}"
    return source[:start] + line + source[end:]


def files() -> dict[Path, str]:
    """All that is written, by path."""
    table = entries()
    return {
        CONTRACT: contract(table),
        TWIN: twin(table),
        LIBRARY: library(table, LIBRARY.read_text()),
    }


def _cut(x: mpf) -> mpf:
    """The distribution of what lies between the edges."""
    beyond = ncdf(-EDGE)
    return (ncdf(x) - beyond) / (1 - 2 * beyond)


def _node(i: int) -> mpf:
    """The value where two cubics meet: beside the exact one by the error of both."""
    x = mpf(i) / STEPS - EDGE
    return _cut(x) - (3 * x - x**3) * npdf(x) / (3072 * STEPS**4)


def _cubic(i: int, start: mpf, end: mpf) -> list[mpf]:
    """The coefficients over step `i`, which count from 0 to 1 along it."""
    off = cos(3 * pi / 8) / 2
    points = (mpf(1) / 2 - off, mpf(1) / 2 + off, mpf(1))
    values = [_cut((i + s) / STEPS - EDGE) for s in points[:2]] + [end]
    powers = matrix([[s, s**2, s**3] for s in points])
    return [start, *lu_solve(powers, matrix([v - start for v in values]))]


def _entry(cubic: list[mpf], after: int) -> int:
    """A cubic in one word, rounded so that it ends where the next one starts.

    Nothing is masked below a coefficient: those of higher powers count as its fraction.
    """
    a0, a1, a2, a3 = (ldexp(a, UNIT_BITS) for a in cubic)
    c3 = int(nint(a3))
    low = c3 % (1 << WIDTHS[3])
    c2 = int(nint(a2 + (a3 - c3) * 3 / 2 - ldexp(low, -STEP_BITS)))
    low |= c2 % (1 << WIDTHS[2]) << PLACES[2]
    c0 = max(0, int(nint(a0 - ldexp(a1, -STEP_BITS))))
    gap = after - value((c0 << PLACES[0]) | low, 1 << STEP_BITS)
    unit = (1 << PLACES[0]) + (1 << PLACES[1])
    c1 = (2 * gap + unit) // (2 * unit)
    for c, bits in ((c0, WIDTHS[0]), (c1, WIDTHS[1])):
        if not 0 <= c < 1 << bits:
            raise ValueError(f"a coefficient of {c} has more than {bits} bits")
    return (c0 << PLACES[0]) | (c1 << PLACES[1]) | low


def _signed(word: int, bits: int) -> int:
    """The lowest bits in two's complement."""
    word %= 1 << bits
    return word - (word >> (bits - 1) << bits)


def main() -> int:
    """Writes or compares; what differs counts as a failure."""
    wrong = [
        path for path, text in files().items() if not path.is_file() or path.read_text() != text
    ]
    if "--write" in sys.argv[1:]:
        for path, text in files().items():
            path.write_text(text)
        return 0
    for path in wrong:
        print(f"{path.relative_to(ROOT)} is not what the table says: run with --write")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

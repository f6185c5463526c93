"""Gas on Anvil: `python -m tests.gas.bench` writes bench/gas.json, `--check` compares with it.

Two houses: one as the peers were measured (figures that end in `_simple_feeds`), one as it stands
on a test network. `tests/gas/measure.py` says how gas is read, `tests/gas/workload.py` what is
done. Everything is deterministic, so the comparison is exact: any growth fails.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
from ape import accounts, networks

from plimsoll.lab.node import Anvil
from tests.gas import figures, full, simple
from tests.gas.house import House
from tests.gas.measure import GENESIS, fix_clock, undone
from tests.gas.options import OptionsWorkload
from tests.gas.workload import Workload

NETWORK = "ethereum:local:foundry"
CHAIN_ID = 31_337
LOG = Path(".local/tmp/bench-anvil.log")


HOUSES = {"_simple_feeds": simple.build, "": full.build}


def measure() -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Every figure by name, and where the gas of those goes that miss their bar."""
    deployer, relayer = accounts.test_accounts[:2]
    found: dict[str, int] = {}
    explained: dict[str, dict[str, int]] = {}
    with _chain():
        fix_clock()
        for suffix, build in HOUSES.items():
            with undone():
                house = build(deployer, relayer)
                for begin in _works(house, suffix):
                    with undone():
                        work = begin()
                        found.update(work.figures())
                        explained.update(work.explained)
    return found, explained


@contextmanager
def _chain() -> Iterator[None]:
    """A node that keeps no trace: the steps of some hundred books of options fill any memory."""
    with Anvil(CHAIN_ID, GENESIS - 1, LOG) as node:
        os.environ["APE_FOUNDRY_HOST"] = node.url
        with networks.parse_network_choice(NETWORK):
            yield


def _works(house: House, suffix: str) -> list[Callable[[], Workload | OptionsWorkload]]:
    """Options are measured on the house with simple feeds."""
    works: list[Callable[[], Workload | OptionsWorkload]] = [partial(Workload, house, suffix)]
    return [*works, partial(OptionsWorkload, house)] if suffix else works


@click.command()
@click.option("--check", is_flag=True, help="Compare with the committed figures; write nothing.")
def main(check: bool) -> None:
    found, explained = measure()
    print("\n".join(figures.table(found)))
    for name, parts in explained.items():
        print("\n".join(figures.explanation(name, found[name], parts)))
    if check:
        sys.exit(_compare(found))
    figures.save(found)
    print(f"written: {figures.COMMITTED}")


def _compare(found: dict[str, int]) -> int:
    """Fails on growth, and on a figure that came or went; one that shrank should be committed."""
    differences = list(figures.changes(figures.committed(), found))
    for kind, sentence in differences:
        print(f"{kind}: {sentence}")
    failed = [kind for kind, _ in differences if kind != "shrunk"]
    print("gas: FAILED" if failed else "gas: no growth")
    return 1 if failed else 0


if __name__ == "__main__":
    main()

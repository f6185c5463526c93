"""Gas on Anvil: `python -m tests.gas.bench` writes bench/gas.json, `--check` compares with it.

Two houses: one as the peers were measured (figures that end in `_simple_feeds`), one as it stands
on a test network. `tests/gas/measure.py` says how gas is read, `tests/gas/workload.py` what is
done. Everything is deterministic, so the comparison is exact: any growth fails.
"""

from __future__ import annotations

import sys

import click
from ape import accounts, networks

from tests.gas import figures, full, simple
from tests.gas.measure import fix_clock, undone
from tests.gas.workload import Workload

NETWORK = "ethereum:local:foundry"


HOUSES = {"_simple_feeds": simple.build, "": full.build}


def measure() -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Every figure by name, and where the gas of those goes that miss their bar."""
    deployer, relayer = accounts.test_accounts[:2]
    found: dict[str, int] = {}
    explained: dict[str, dict[str, int]] = {}
    with networks.parse_network_choice(NETWORK):
        fix_clock()
        for suffix, build in HOUSES.items():
            with undone():
                workload = Workload(build(deployer, relayer), suffix)
                found.update(workload.figures())
                explained.update(workload.explained)
    return found, explained


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

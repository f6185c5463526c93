"""Keeps the ABIs in the wheel, and docs/events.md, those of the compiled contracts, versioned.

    python -m tests.abi_schema --check     fails when anything differs
    python -m tests.abi_schema --write     renews both; a new version when something changed or went

Adding a function, event or error is no new version: nobody relied on it. Version 0 is before the
first release: everything may change.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from plimsoll import abi
from plimsoll.hints import HINTS
from tests.artifacts import MANIFEST

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "plimsoll" / "abi"
EVENTS = ROOT / "docs" / "events.md"
SCHEMA = "schema.json"

Abi = list[dict[str, Any]]


def compiled() -> dict[str, dict[str, Any]]:
    """What Ape made of each contract that the wheel describes."""
    if not MANIFEST.is_file():
        raise SystemExit("nothing is compiled yet: run `python3.11 bootstrap.py compile`")
    types = json.loads(MANIFEST.read_text())["contractTypes"]
    missing = [name for name in abi.CONTRACTS if name not in types]
    if missing:
        raise SystemExit(f"not compiled: {', '.join(missing)}")
    return {name: types[name] for name in abi.CONTRACTS}


def tidy(entries: Abi) -> Abi:
    """In an order that does not depend on the compiler's."""
    return sorted(entries, key=lambda entry: (entry["type"], entry.get("name", ""), str(entry)))


def surface(entries: Abi) -> dict[str, str]:
    """What others rely on: each item by its signature, with names, indexing and mutability."""
    named = (entry for entry in entries if entry["type"] in ("event", "error", "function"))
    return {
        f"{entry['type']} {abi.signature(entry)}": json.dumps(entry, sort_keys=True)
        for entry in named
    }


def broken(old: Abi, new: Abi) -> list[str]:
    """What changed or went, so that old callers may fail."""
    before, after = surface(old), surface(new)
    return sorted(name for name, entry in before.items() if after.get(name) != entry)


def added(old: Abi, new: Abi) -> list[str]:
    return sorted(surface(new).keys() - surface(old).keys())


def text_of(entries: Abi) -> str:
    return json.dumps(entries, indent=1, sort_keys=True) + "\n"


def committed(name: str) -> Abi:
    path = FOLDER / f"{name}.json"
    entries: Abi = json.loads(path.read_text()) if path.is_file() else []
    return entries


def events_page(types: dict[str, dict[str, Any]], version: int) -> str:
    """docs/events.md: every event and error, from the ABIs and the interfaces' own words."""
    lines = [
        "# Events and errors",
        "",
        f"Schema version {version}. Written by `python -m tests.abi_schema --write` from what is",
        "compiled; CI fails when it is out of date, or when something here changes or goes without",
        "a new version. Modules run by delegatecall: what they tell carries the ClearingHouse's",
        "address. An account id is its owner's address and a sub-account number. Dollars, prices",
        "and sizes have 18 decimals.",
        "",
        "## Events",
        "",
    ]
    emitters = {name: f"the {name}" for name in ("ClearingHouse", "MarginEngine", "ReportOracle")}
    for contract, title in emitters.items():
        lines += [f"### From {title}", ""]
        entries = [entry for entry in types[contract]["abi"] if entry["type"] == "event"]
        for entry in sorted(entries, key=abi.signature):
            lines.append(_event(entry, types[contract]))
        lines.append("")
    lines += ["## Errors", "", "| error | what to do |", "|---|---|"]
    lines += [
        f"| `{_named(entry)}` | {HINTS.get(entry['name'], '')} |"
        for entry in _errors(types).values()
    ]
    return "\n".join(lines) + "\n"


def _event(entry: dict[str, Any], contract: dict[str, Any]) -> str:
    told = contract.get("userdoc", {}).get("events", {}).get(abi.signature(entry), {})
    words = f": {told['notice']}" if told.get("notice") else ""
    return f"- `{_named(entry)}`{words}"


def _named(entry: dict[str, Any]) -> str:
    fields = (
        " ".join(
            part
            for part in (
                item.get("internalType", item["type"])
                .removeprefix("struct ")
                .removeprefix("enum "),
                "indexed" if item.get("indexed") else "",
                item["name"],
            )
            if part
        )
        for item in entry["inputs"]
    )
    return f"{entry['name']}({', '.join(fields)})"


def _errors(types: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {
        abi.signature(entry): entry
        for contract in types.values()
        for entry in contract["abi"]
        if entry["type"] == "error"
    }
    return dict(sorted(found.items()))


def check() -> int:
    """What differs, in words."""
    types = compiled()
    complaints = []
    for name, contract in types.items():
        fresh, old = tidy(contract["abi"]), committed(name)
        if fresh != old:
            changes = [f"- {item}" for item in broken(old, fresh)]
            changes += [f"+ {item}" for item in added(old, fresh)]
            complaints.append(f"{name}: the ABI in the wheel is not the compiled one")
            complaints += [f"  {change}" for change in changes]
    if not complaints and EVENTS.read_text() != events_page(types, abi.schema_version()):
        complaints.append(f"{EVENTS.relative_to(ROOT)} is out of date")
    if complaints:
        complaints.append("run `python -m tests.abi_schema --write` and commit what it changes")
    print("\n".join(complaints) or "ABIs and docs/events.md are those of the compiled contracts")
    return 1 if complaints else 0


def write() -> int:
    types, version = compiled(), abi.schema_version()
    gone = [
        f"{name}: {item}"
        for name, contract in types.items()
        for item in broken(committed(name), tidy(contract["abi"]))
    ]
    if gone and version > 0:
        version += 1
    EVENTS.write_text(events_page(types, version))
    for name, contract in types.items():
        (FOLDER / f"{name}.json").write_text(text_of(tidy(contract["abi"])))
    (FOLDER / SCHEMA).write_text(json.dumps({"version": version}) + "\n")
    print("\n".join(gone) or "nothing changed or went")
    print(f"schema version {version}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="fail when anything differs")
    mode.add_argument("--write", action="store_true", help="renew what differs")
    return check() if parser.parse_args().check else write()


if __name__ == "__main__":
    sys.exit(main())

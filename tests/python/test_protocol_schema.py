"""What others may rely on changes only with a new version of the schema."""

from __future__ import annotations

import pytest

from plimsoll import abi
from tests import abi_schema

PAID = {
    "type": "event",
    "name": "Paid",
    "anonymous": False,
    "inputs": [
        {"name": "to", "type": "address", "indexed": True},
        {"name": "amount", "type": "uint256", "indexed": False},
    ],
}
REFUSED = {"type": "error", "name": "Refused", "inputs": []}


def renamed(entry, index, **changes):
    inputs = [dict(item) for item in entry["inputs"]]
    inputs[index] |= changes
    return {**entry, "inputs": inputs}


@pytest.mark.parametrize(
    "after",
    [
        [REFUSED],
        [renamed(PAID, 0, indexed=False), REFUSED],
        [renamed(PAID, 1, name="value"), REFUSED],
        [renamed(PAID, 1, type="uint128"), REFUSED],
    ],
)
def test_what_goes_or_changes_breaks_those_who_rely_on_it(after):
    assert abi_schema.broken([PAID, REFUSED], after) == ["event Paid(address,uint256)"]


def test_what_is_added_breaks_nobody():
    assert abi_schema.broken([PAID], [REFUSED, PAID]) == []
    assert abi_schema.added([PAID], [REFUSED, PAID]) == ["error Refused()"]


def test_the_order_of_the_compiler_does_not_matter():
    assert abi_schema.tidy([PAID, REFUSED]) == abi_schema.tidy([REFUSED, PAID])


def house_like(entries):
    return {name: {"abi": entries, "userdoc": {}} for name in abi.CONTRACTS}


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """A released schema of one event, in a folder of its own."""
    monkeypatch.setattr(abi_schema, "FOLDER", tmp_path)
    monkeypatch.setattr(abi_schema, "EVENTS", tmp_path / "events.md")
    monkeypatch.setattr(abi_schema, "ROOT", tmp_path)
    for name in abi.CONTRACTS:
        (tmp_path / f"{name}.json").write_text(abi_schema.text_of([PAID]))
    (tmp_path / "events.md").write_text(abi_schema.events_page(house_like([PAID]), 3))
    monkeypatch.setattr(abi, "schema_version", lambda: 3)
    return tmp_path


def compiled(monkeypatch, entries):
    monkeypatch.setattr(abi_schema, "compiled", lambda: house_like(entries))


def test_nothing_changed(committed, monkeypatch, capsys):
    compiled(monkeypatch, [PAID])
    assert abi_schema.check() == 0
    assert "are those of the compiled contracts" in capsys.readouterr().out


def test_a_change_is_told_and_then_versioned(committed, monkeypatch, capsys):
    compiled(monkeypatch, [renamed(PAID, 1, name="value"), REFUSED])
    assert abi_schema.check() == 1
    told = capsys.readouterr().out
    assert "- event Paid(address,uint256)" in told
    assert "+ error Refused()" in told
    abi_schema.write()
    assert (committed / "schema.json").read_text() == '{"version": 4}\n'


def test_an_addition_keeps_the_version(committed, monkeypatch):
    compiled(monkeypatch, [PAID, REFUSED])
    assert abi_schema.check() == 1
    abi_schema.write()
    assert (committed / "schema.json").read_text() == '{"version": 3}\n'
    assert abi_schema.check() == 0


def test_a_page_out_of_date_is_told(committed, monkeypatch, capsys):
    compiled(monkeypatch, [PAID])
    (committed / "events.md").write_text("old")
    assert abi_schema.check() == 1
    assert "events.md is out of date" in capsys.readouterr().out

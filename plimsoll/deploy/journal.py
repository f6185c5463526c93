"""What was sent, written down before it is sent: one JSON line each.

A killed run leaves at most one transaction whose fate is unknown. Its nonce is in the journal, and
whatever is sent in its place carries the same nonce, so no step can ever happen twice.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Sent:
    """A signed transaction that is about to leave, or has left."""

    step: str
    nonce: int
    hash: str
    sender: str
    max_fee: int


@dataclass(frozen=True)
class Mined:
    """A transaction in a block."""

    step: str
    hash: str
    block: int
    gas: int
    creates: str | None = None


class Journal:
    """An append-only file, or memory where nothing has to survive."""

    def __init__(self, path: Path | None, chain_id: int, genesis: str) -> None:
        self.path = path
        self.sent: dict[str, list[Sent]] = {}
        self.mined: dict[str, Mined] = {}
        header = {"kind": "chain", "chain_id": chain_id, "genesis": genesis}
        if path is not None and path.exists():
            _drop_torn_line(path)
        if path is not None and path.exists() and next(_records(path), None) != header:
            path.rename(path.with_suffix(f".{int(time.time())}.old"))
        if path is None or not path.exists():
            self._append(header)
            return
        for record in _records(path):
            self._take(record)

    def about_to_send(self, sent: Sent) -> None:
        """Returns once the record is on disk."""
        self._append({"kind": "sent", **asdict(sent)})
        self._sent(sent)

    def was_mined(self, mined: Mined) -> None:
        self._append({"kind": "mined", **asdict(mined)})
        self._mined(mined)

    def failed(self, step: str, hash_: str) -> None:
        """The transaction was mined and reverted: the step is open again, its nonce spent."""
        self._append({"kind": "failed", "step": step, "hash": hash_})
        self.sent.pop(step, None)

    def in_flight(self, step: str) -> list[Sent]:
        """What was sent for a step and is not known to be mined; all of it has one nonce."""
        return self.sent.get(step, [])

    def _take(self, record: dict[str, Any]) -> None:
        kind = record.pop("kind")
        if kind == "sent":
            self._sent(Sent(**record))
        elif kind == "mined":
            self._mined(Mined(**record))
        elif kind == "failed":
            self.sent.pop(record["step"], None)

    def _sent(self, sent: Sent) -> None:
        self.mined.pop(sent.step, None)
        self.sent.setdefault(sent.step, []).append(sent)

    def _mined(self, mined: Mined) -> None:
        self.sent.pop(mined.step, None)
        self.mined[mined.step] = mined

    def _append(self, record: dict[str, Any]) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _drop_torn_line(path: Path) -> None:
    """A kill can cut the last line short: what it announced never left."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        path.write_bytes(whole)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)

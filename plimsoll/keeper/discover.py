"""Which accounts exist, and which are in an auction: from events, from the deployment block on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import FilterParams, LogReceipt

from plimsoll import abi
from plimsoll.chain import Chain
from plimsoll.errors import InvalidConnectionError

# Read again on every pass, so that a reorganisation of this depth hides no account.
REORG_DEPTH = 64
_LARGEST_SPAN = 10_000

_NAMES_ACCOUNT = ("Deposited", "CashMoved", "PositionChanged")
_NAMES_TWO = ("Transferred", "SliceTaken")
_OPENS_AUCTION = (
    "AuctionObserved",
    "AuctionFlagged",
    "AuctionHalted",
    "AuctionStanding",
    "SliceTaken",
)
_ENDS_AUCTION = ("AuctionReset", "WrittenOff")


@dataclass(slots=True)
class Directory:
    """Every account that ever held something, and those whose auction may still be open.

    A cursor file only saves time: without it, or with one of another deployment, everything is
    read again.
    """

    chain: Chain
    first_block: int
    cursor: Path | None = None
    known: set[bytes] = field(default_factory=set)
    watched: set[bytes] = field(default_factory=set)
    """In an auction, or sliced and not yet settled."""
    read_to: int = -1
    _span: int = _LARGEST_SPAN

    def __post_init__(self) -> None:
        self.read_to = self.first_block - 1
        if self.cursor is not None and self.cursor.is_file():
            self._resume(json.loads(self.cursor.read_text(encoding="utf-8")))

    def catch_up(self, head: int) -> None:
        """Reads the events up to a block; a head behind what was read means another history."""
        if head < self.read_to:
            self.known.clear()
            self.watched.clear()
            self.read_to = self.first_block - 1
        start = max(self.first_block, self.read_to + 1 - REORG_DEPTH)
        for log in self._logs(start, head):
            self._take(log)
        self.read_to = head
        self._save()

    def _take(self, log: LogReceipt) -> None:
        name = _TOPICS[bytes(log["topics"][0])]
        account = bytes(log["topics"][1])
        self.known.add(account)
        if name in _NAMES_TWO:
            self.known.add(bytes(log["topics"][2]))
        if name in _OPENS_AUCTION:
            self.watched.add(account)
        elif name in _ENDS_AUCTION:
            self.watched.discard(account)

    def _logs(self, start: int, head: int) -> Iterator[LogReceipt]:
        """In spans that the node accepts: one refused is halved, down to a single block."""
        while start <= head:
            end = min(head, start + self._span - 1)
            try:
                found = self._query(start, end)
            except (Web3Exception, ValueError) as error:
                if end == start:
                    raise InvalidConnectionError(
                        f"the node gives no logs of block {start}: {error}"
                    ) from error
                self._span = max(1, self._span // 2)
                continue
            yield from found
            start = end + 1

    def _query(self, start: int, end: int) -> Sequence[LogReceipt]:
        return self.chain.w3.eth.get_logs(
            FilterParams(
                address=self.chain.clearing_house.address,
                fromBlock=start,
                toBlock=end,
                topics=[[Web3.to_hex(topic) for topic in _TOPICS]],
            )
        )

    def _identity(self) -> dict[str, Any]:
        return {
            "chain_id": self.chain.w3.eth.chain_id,
            "clearing_house": self.chain.clearing_house.address,
            "first_block": self.first_block,
        }

    def _resume(self, saved: dict[str, Any]) -> None:
        if {key: saved.get(key) for key in self._identity()} != self._identity():
            return
        self.known = {bytes.fromhex(account) for account in saved["known"]}
        self.watched = {bytes.fromhex(account) for account in saved["watched"]}
        self.read_to = saved["read_to"]

    def _save(self) -> None:
        if self.cursor is None:
            return
        saved = {
            **self._identity(),
            "read_to": self.read_to,
            "known": sorted(account.hex() for account in self.known),
            "watched": sorted(account.hex() for account in self.watched),
        }
        self.cursor.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.cursor.with_suffix(".new")
        fresh.write_text(json.dumps(saved), encoding="utf-8")
        fresh.replace(self.cursor)


def _topics() -> dict[bytes, str]:
    names = {*_NAMES_ACCOUNT, *_NAMES_TWO, *_OPENS_AUCTION, *_ENDS_AUCTION}
    return {
        bytes(Web3.keccak(text=signature)): entry["name"]
        for signature, entry in abi.of_type("event").items()
        if entry["name"] in names
    }


_TOPICS = _topics()

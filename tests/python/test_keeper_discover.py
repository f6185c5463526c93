"""Accounts are found from events, whatever the node refuses and whenever the keeper restarts."""

import json
from types import SimpleNamespace

import pytest
from web3 import Web3
from web3.exceptions import Web3RPCError

from plimsoll import abi
from plimsoll.errors import InvalidConnectionError
from plimsoll.keeper.discover import REORG_DEPTH, Directory

HOUSE = "0x" + "11" * 20
ALICE, BOB, CAROL = (bytes([n]) * 32 for n in (0xA, 0xB, 0xC))
TOPICS = {
    entry["name"]: Web3.keccak(text=signature) for signature, entry in abi.of_type("event").items()
}


class Node:
    """A node that holds logs and refuses spans that are too long for it."""

    def __init__(self) -> None:
        self.chain_id = 31337
        self.logs: list[dict] = []
        self.longest = 10**9
        self.asked: list[tuple[int, int]] = []

    def tell(self, block: int, name: str, *accounts: bytes) -> None:
        self.logs.append({"blockNumber": block, "topics": [TOPICS[name], *accounts]})

    def get_logs(self, query) -> list[dict]:
        start, end = query["fromBlock"], query["toBlock"]
        assert query["address"] == HOUSE
        if end - start >= self.longest:
            raise Web3RPCError("query returned too many results")
        self.asked.append((start, end))
        wanted = {Web3.to_bytes(hexstr=topic) for topic in query["topics"][0]}
        return [
            log
            for log in self.logs
            if start <= log["blockNumber"] <= end and bytes(log["topics"][0]) in wanted
        ]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def chain(node):
    return SimpleNamespace(
        w3=SimpleNamespace(eth=node), clearing_house=SimpleNamespace(address=HOUSE)
    )


def test_finds_everybody_who_ever_held_something(chain, node):
    node.tell(10, "Deposited", ALICE)
    node.tell(11, "Transferred", ALICE, BOB)
    node.tell(12, "SliceTaken", ALICE, CAROL)
    directory = Directory(chain, first_block=5)
    directory.catch_up(20)
    assert directory.known == {ALICE, BOB, CAROL}
    assert directory.watched == {ALICE}
    assert node.asked == [(5, 20)]


def test_watches_from_the_first_look_to_the_end_of_the_auction(chain, node):
    directory = Directory(chain, first_block=0)
    node.tell(1, "AuctionObserved", ALICE)
    node.tell(2, "AuctionFlagged", BOB)
    directory.catch_up(2)
    assert directory.watched == {ALICE, BOB}
    node.tell(3, "AuctionReset", ALICE)
    node.tell(4, "WrittenOff", BOB)
    directory.catch_up(4)
    assert directory.watched == set()
    assert directory.known == {ALICE, BOB}


def test_reads_no_block_before_the_deployment(chain, node):
    node.tell(3, "Deposited", ALICE)
    directory = Directory(chain, first_block=4)
    directory.catch_up(9)
    assert directory.known == set()


def test_halves_a_span_that_the_node_refuses(chain, node):
    node.longest = 100
    for block in range(0, 1_000, 50):
        node.tell(block, "Deposited", block.to_bytes(32, "big"))
    directory = Directory(chain, first_block=0)
    directory.catch_up(999)
    assert len(directory.known) == 20
    assert node.asked[0][0] == 0
    assert [end + 1 for _, end in node.asked[:-1]] == [start for start, _ in node.asked[1:]]
    assert node.asked[-1][1] == 999


def test_gives_up_when_one_block_is_refused(chain, node):
    node.longest = 0
    with pytest.raises(InvalidConnectionError, match="no logs of block 0"):
        Directory(chain, first_block=0).catch_up(3)


def test_reads_the_last_blocks_again(chain, node):
    directory = Directory(chain, first_block=0)
    directory.catch_up(500)
    node.tell(500 - REORG_DEPTH + 1, "Deposited", ALICE)
    directory.catch_up(501)
    assert directory.known == {ALICE}


def test_another_history_starts_afresh(chain, node):
    node.tell(90, "Deposited", ALICE)
    directory = Directory(chain, first_block=0)
    directory.catch_up(100)
    node.logs.clear()
    node.tell(5, "Deposited", BOB)
    directory.catch_up(50)
    assert directory.known == {BOB}


def test_a_cursor_saves_reading_again(chain, node, tmp_path):
    cursor = tmp_path / "keeper" / "cursor.json"
    node.tell(10, "AuctionFlagged", ALICE)
    Directory(chain, 0, cursor).catch_up(1_000)
    node.asked.clear()
    resumed = Directory(chain, 0, cursor)
    resumed.catch_up(1_001)
    assert node.asked == [(1_001 - REORG_DEPTH, 1_001)]
    assert (resumed.known, resumed.watched) == ({ALICE}, {ALICE})


@pytest.mark.parametrize("changed", ["chain_id", "clearing_house", "first_block"])
def test_a_cursor_of_another_deployment_is_not_believed(chain, node, tmp_path, changed):
    cursor = tmp_path / "cursor.json"
    Directory(chain, 0, cursor).catch_up(1_000)
    saved = json.loads(cursor.read_text())
    cursor.write_text(json.dumps({**saved, changed: 7, "known": [BOB.hex()]}))
    resumed = Directory(chain, 0, cursor)
    assert (resumed.known, resumed.read_to) == (set(), -1)

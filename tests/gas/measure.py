"""How gas is measured: read from receipts, never estimated, never traced.

An action is its whole receipt. A view is sent as a transaction of its own, so that every account
and slot it reads is cold but the contract it is sent to; the 21,000 of the transaction and the
price of its calldata are taken off again, exactly. Nothing here depends on the time of day or on
chance: the clock is set, the keys are Ape's test keys, salts count up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ape import chain, networks
from ape.api import AccountAPI, ReceiptAPI

BASE = 21_000
ZERO_BYTE = 4
OTHER_BYTE = 16
GENESIS = 2_000_000_000


def fix_clock() -> None:
    """Starts at a fixed second; every block is one second after the one before."""
    _rpc("evm_setNextBlockTimestamp", GENESIS)
    chain.mine()
    _rpc("anvil_setBlockTimestampInterval", 1)


@contextmanager
def undone() -> Iterator[None]:
    """Undoes at the end what is done inside. Ape's own `isolate` swallows exceptions."""
    snapshot = chain.snapshot()
    try:
        yield
    finally:
        chain.restore(snapshot)


def wait(seconds: int) -> None:
    _rpc("evm_setNextBlockTimestamp", chain.blocks.head.timestamp + seconds)
    chain.mine()


@dataclass(frozen=True, slots=True)
class Figure:
    gas: int
    transaction: str


def action(receipt: ReceiptAPI) -> Figure:
    """Gas of a transaction, everything included."""
    return Figure(int(receipt.gas_used), receipt.txn_hash)


def cold_view(view: Any, *args: Any, sender: AccountAPI) -> Figure:
    """Gas of a view, without the base and the calldata of the transaction that carries it."""
    return work(view.transact(*args, sender=sender))


def work(receipt: ReceiptAPI) -> Figure:
    """Gas of a transaction without the base and the calldata."""
    envelope = BASE + calldata_gas(bytes(receipt.transaction.data))
    return Figure(int(receipt.gas_used) - envelope, receipt.txn_hash)


def calldata_gas(data: bytes) -> int:
    zeros = data.count(0)
    return zeros * ZERO_BYTE + (len(data) - zeros) * OTHER_BYTE


def _rpc(method: str, *params: Any) -> Any:
    return networks.provider.make_request(method, list(params))

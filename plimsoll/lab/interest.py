"""The pool as the chain stores it at any block, in the twin, and the interest that it booked.

What the twin books from the storage of one block to the time of the next is compared to nothing
that the run remembers: docs/ledger.md, section 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3.contract.contract import ContractFunction
from web3.types import RPCEndpoint

from plimsoll.chain import Chain
from plimsoll.instruments import signed
from plimsoll.risk.ledger.pool import RAY, Lending, Pool

_POOL, _CONTROL, _ACCOUNTS = 7, 10, 0
"""Slots of the ClearingHouse."""
_LENDING_BIT = 216
_PRINCIPAL_BITS = 120


@dataclass(frozen=True, slots=True)
class Interest:
    """Over many bookings. The first two in dollars times RAY, exact."""

    paid: int = 0
    earned: int = 0
    to_reserves: int = 0
    bookings: int = 0

    @property
    def paid_down(self) -> int:
        return self.paid // RAY

    @property
    def earned_down(self) -> int:
        return self.earned // RAY


def pool_at(chain: Chain, block: int) -> Pool:
    """As stored: interest since `accrued_at` is not booked yet."""
    slots = [_POOL, _POOL + 1, _POOL + 2, _CONTROL]
    keys = [slot.to_bytes(32, "big") for slot in slots]
    raw = chain.call(chain.clearing_house.functions.extsload(keys), block)
    indices, principals, capital, control = (int.from_bytes(word, "big") for word in raw)
    terms = control >> _LENDING_BIT
    return Pool(
        supply_index=indices % (1 << 112),
        borrow_index=(indices >> 112) % (1 << 112),
        accrued_at=indices >> 224,
        supplied=principals % (1 << 128),
        borrowed=principals >> 128,
        net_quote=signed(capital, 128),
        capital=signed(capital >> 128, 128),
        lending=Lending(
            kink=terms % (1 << 7),
            rate_at_kink=(terms >> 7) % (1 << 13),
            rate_at_full=(terms >> 20) % (1 << 13),
            reserve_share=(terms >> 33) % (1 << 7),
        ),
    )


def principal_at(chain: Chain, account: bytes, block: int) -> int:
    """The cash of an account before the index: the lowest field of its first word."""
    base = keccak(account + _ACCOUNTS.to_bytes(32, "big"))
    (word,) = chain.call(chain.clearing_house.functions.extsload([base]), block)
    return signed(int.from_bytes(word, "big"), _PRINCIPAL_BITS)


def call_at(chain: Chain, function: ContractFunction, block: int, moment: int) -> Any:
    """What a view of the state after a block would say at a later moment. Of our node only."""
    call = {
        "to": function.address,
        "data": chain.clearing_house.encode_abi(function.abi_element_identifier, function.args),
    }
    asked = [call, hex(block), {}, {"time": hex(moment)}]
    raw = chain.w3.provider.make_request(RPCEndpoint("eth_call"), asked)["result"]
    kinds = [collapse_if_tuple(dict(output)) for output in function.abi["outputs"]]
    decoded = chain.w3.codec.decode(kinds, HexBytes(raw))
    return decoded[0] if len(decoded) == 1 else decoded


def interest_booked(chain: Chain, blocks: Iterable[int]) -> Interest:
    """What was booked in these blocks: each books at most once, from the state before it."""
    booked = [found for block in blocks if (found := _booked_in(chain, block)) is not None]
    return Interest(
        sum(each.paid for each in booked),
        sum(each.earned for each in booked),
        sum(each.to_reserves for each in booked),
        len(booked),
    )


@lru_cache(maxsize=1 << 14)
def _booked_in(chain: Chain, block: int) -> Interest | None:
    """Remembered, since the books are looked at several times: a block stays as it is for as long
    as somebody sees it through one connection."""
    now = chain.w3.eth.get_block(block)["timestamp"]
    before = pool_at(chain, block - 1)
    if pool_at(chain, block).accrued_at != now or before.accrued_at in (0, now):
        return None
    after = before.accrued(now)
    return Interest(
        before.borrowed * (after.borrow_index - before.borrow_index),
        before.supplied * (after.supply_index - before.supply_index),
        after.capital - before.capital,
        1,
    )

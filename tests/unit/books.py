"""What the tests of single entries share: whole lists of events, and refusals that change nothing.

The stage has a market with fees, one with funding, a closed and a capped one, and collateral of
each kind. Whoever acts has a role out of `PEOPLE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from eth_utils.crypto import keccak

from plimsoll.risk import model
from plimsoll.risk.params import MarketParams
from tests.evm import Contract, Receipt, actor
from tests.scenarios.stage import (
    BTC,
    COLLATERAL,
    ETH,
    TERMS,
    UNDERLYINGS,
    Collateral,
    Listed,
    Stage,
    wad,
)

CLOSED, CAPPED = 4, 5
WSTETH, RATIONED = 4, 5
FEES = MarketParams(taker_fee=500, maker_fee=100)
CAP = 1_000
FUNDING = wad("2.5")
MARKETS = {
    **UNDERLYINGS,
    ETH: Listed(2_000, market=FEES),
    BTC: Listed(50_000, funding=FUNDING),
    CLOSED: Listed(100, market=MarketParams(closed=True)),
    CAPPED: Listed(100, market=MarketParams(open_interest_cap=CAP)),
}
ASSETS = {
    **COLLATERAL,
    WSTETH: Collateral(ETH, growth=1_000, discount_bound=300),
    RATIONED: Collateral(ETH, terms=replace(TERMS, cap=10_000, growth=4_000)),
}
PEOPLE = ("owner", "maker", "taker", "bidder", "desk", "stranger", "lender")
DEPOSITS, WITHDRAWALS, RISK, LIQUIDATION = range(4)
HOUR = 3_600

# Forwards a call, with its value, to the address in the first word; takes no ether by itself:
# nothing without calldata, and the answer of a call that fails as its own.
PROUD = {
    "abi": [],
    "bytecode": "6026600a5f3960265ff3"
    "36156022576020360360205f375f5f60203603"
    "5f345f355af13d5f5f3e15602257005b3d5ffd",
}

# Widths: the cash principal, lowest field of an account's first word, and half a slot of the pool.
PRINCIPAL_BITS, PART_BITS = 120, 128
# The first slots of the house, among which its variables lie.
VARIABLES = range(32)

Event = tuple[str, str, dict[str, Any]]


def emitted(by: Contract, name: str, /, **fields: Any) -> Event:
    return by.address, name, fields


def happened(receipt: Receipt) -> list[Event]:
    """All events of a transaction, in order: who emitted it, its name, its fields."""
    return [(log.address, log.name, log.args._asdict()) for log in receipt.logs]


def books(stage: Stage) -> dict[str, Any]:
    """All that the house, the tokens and the engine remember of the people here."""
    house = stage.house.call
    accounts = [stage.account(actor(who), sub) for who in PEOPLE for sub in (0, 1)]
    people = [*(actor(who).address for who in PEOPLE), stage.vault.address]
    return {
        "pool": house.pool(),
        "engine": (house.engine(), house.pauseState()),
        "claims": [house.claims(asset) for asset in stage.tokens],
        "interest": [house.openInterest(model.perpetual(u)) for u in stage.marks],
        "accounts": [
            (house.portfolio(one), house.versions(one), house.auction(one)) for one in accounts
        ],
        "tokens": [token.call.balanceOf(who) for token in stage.tokens.values() for who in people],
        "prices": [
            (stage.engine.call.price(u), stage.engine.call.observedAt(u)) for u in stage.marks
        ],
        "ether": [stage.evm.balance(who) for who in (stage.house, *people)],
    }


@contextmanager
def refuses(stage: Stage, error: str, *args: Any, **values: Any) -> Iterator[None]:
    """Expects this error with these arguments, and all the books as they were."""
    for who in PEOPLE:
        stage.actor(who)  # with all the ether that actors have
    before = books(stage)
    with stage.evm.reverts(error, *args, **values):
        yield
    assert books(stage) == before


def transfer(stage: Stage, asset: int, source: Any, target: Any, value: int) -> Event:
    """The event of a token that moved."""
    names = (getattr(who, "address", who) for who in (source, target))
    from_, to = names
    return emitted(stage.tokens[asset], "Transfer", from_=from_, to=to, value=value)


def crowd_moved(stage: Stage, asset: int, before: int) -> list[Event]:
    """The event of a crowd rate that moved to where the twin has it, if it moved."""
    after = stage.assets[asset].crowd
    if after == before:
        return []
    moved = {"asset": asset, "oldRate": before, "newRate": after}
    return [emitted(stage.engine, "CrowdMoved", **moved)]


def through(to: Contract, name: str, *args: Any) -> bytes:
    """What a `PROUD` contract needs to call somebody."""
    return bytes(12) + bytes.fromhex(to.address[2:]) + to.encode(name, *args)


def cash_units(stage: Stage, dollars: int) -> int:
    """Whole dollars in units of the settlement token."""
    return int(dollars * 10**stage.cash_decimals)


def paid_in(stage: Stage, who: str, asset: int, units: int) -> None:
    """Tokens in the hands of somebody, approved for the vault."""
    stage.give(stage.actor(who), asset, units)


def leave_reserves(stage: Stage, dollars: int) -> None:
    """Has the actor `backstop` take out all reserves but so many dollars: positions that larger
    ones carried are there already."""
    surplus = (stage.house.call.pool().reserves - wad(dollars)) // 10 ** (18 - stage.cash_decimals)
    backstop = stage.actor("backstop")
    stage.house.payReserves(backstop, surplus, sender=backstop)


def account_slot(stage: Stage, account: bytes) -> int:
    """The slot of an account's first word: in the mapping where the lender, who has nothing but
    cash at par, has just that."""

    def slot(of: bytes, variable: int) -> int:
        return int.from_bytes(keccak(of + variable.to_bytes(32, "big")), "big")

    cash = stage.cash(stage.lender)
    words = {v: stage.evm.storage(stage.house, slot(stage.lender, v)) for v in VARIABLES}
    return slot(account, next(v for v, word in words.items() if word == cash))


def leave_with_debt(stage: Stage, account: bytes, dollars: int) -> None:
    """Leaves an account with a debt and nothing else, written into storage, and the books balanced.

    Nothing leads there while cash bears no interest: an insolvent account does not trade, and a
    slice of the whole takes the debt along.
    """
    evm, house = stage.evm, stage.house
    pool = house.call.pool()
    totals = next(
        slot
        for slot in VARIABLES
        if evm.storage(house, slot) == pool.supplied | pool.borrowed << PART_BITS
    )
    evm.set_storage(house, account_slot(stage, account), -wad(dollars) % (1 << PRINCIPAL_BITS))
    owed = pool.borrowed + wad(dollars)
    evm.set_storage(house, totals, pool.supplied | owed << PART_BITS)
    books = evm.storage(house, totals + 1)
    quotes = (pool.netQuote + wad(dollars)) % (1 << PART_BITS)
    evm.set_storage(house, totals + 1, books >> PART_BITS << PART_BITS | quotes)
    assert stage.portfolio(account) == model.Portfolio(-wad(dollars))

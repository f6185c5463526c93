"""Two prices of one feed in one transaction: buy at the old one, be valued at the new one.

The first read fixes a price for the rest of the transaction, whoever updates the feed in between
and whatever is observed. Both sides of a trade, every leg and every check see the same.
"""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.evm import Contract
from tests.scenarios.stage import ETH, Stage, wad

OLD, NEW = 2_000, 2_200
UNITS = 10


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.fund("maker", 1_000_000)
    return stage


def take(stage: Stage, account: bytes, quantity: int) -> tuple[str, bytes, bool]:
    """The puppet buys (or sells) at the old mark."""
    order = stage.order(stage.account("maker"), {ETH: 1}, -quantity, wad(OLD))
    signature = stage.sign(order, "maker")
    return stage.step("take", order, signature, account, abs(quantity) * WAD)


def call(contract: Contract, name: str, *args: Any) -> tuple[str, bytes, bool]:
    return contract.address, contract.encode(name, *args), False


def update(stage: Stage) -> list[tuple[str, bytes, bool]]:
    """The feed reports the new price, and the engine observes it."""
    feed = stage.underlyings[ETH].feed.contract
    return [call(feed, "set", wad(NEW), stage.now), call(stage.engine, "observe", [ETH])]


def settle(stage: Stage, account: bytes) -> tuple[str, bytes, bool]:
    return stage.step("settle", account, model.perpetual(ETH))


def test_the_price_of_the_first_read_holds(stage: Stage) -> None:
    """Bought at 2,000, the feed goes to 2,200, settled: nothing is gained in this transaction."""
    puppet, account = stage.puppet(10_000)
    puppet.run([take(stage, account, UNITS), *update(stage), settle(stage, account)])
    assert int.from_bytes(puppet.call.answers(3), "big") == 0
    assert stage.cash(account) == wad(10_000)
    puppet.run([settle(stage, account)])
    assert int.from_bytes(puppet.call.answers(0), "big") == UNITS * wad(NEW - OLD)


def test_an_update_before_the_first_read_counts(stage: Stage) -> None:
    """As a wallet does it: prices first, then what they are for. The old price has no use."""
    puppet, account = stage.puppet(10_000)
    puppet.run([*update(stage), take(stage, account, UNITS)])
    gained = UNITS * wad(NEW - OLD)
    assert stage.cash(account) == wad(10_000) + gained, "the maker's old order was worth that"
    assert stage.position(account, ETH).quote == -UNITS * wad(NEW)


def test_a_round_trip_in_one_transaction_gains_nothing(stage: Stage) -> None:
    puppet, account = stage.puppet(10_000)
    before = stage.portfolio(account)
    steps = [take(stage, account, UNITS), *update(stage), take(stage, account, -UNITS)]
    puppet.run(steps)
    assert stage.portfolio(account) == before


def test_a_healthy_account_is_not_flagged_at_a_second_price(stage: Stage) -> None:
    """The attacker fixes nothing for others either: one transaction, one price for everybody."""
    puppet, account = stage.puppet(10_000)
    victim = stage.fund("victim", 26_500)
    stage.trade("victim", "maker", {ETH: 100})
    feed = stage.underlyings[ETH].feed.contract
    crash = call(feed, "set", wad(1_900), stage.now)
    flag = stage.step("flag", victim)
    margin = stage.margin(victim)
    with stage.evm.reverts(
        "AccountHealthy", victim, margin.maintenance_equity, margin.maintenance_margin
    ):
        puppet.run([take(stage, account, 1), crash, flag])

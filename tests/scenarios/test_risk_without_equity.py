"""An account with nothing, or next to nothing, takes any risk it likes.

"No ratio may get worse" alone scales what is brought by the inverse of the ratio: zero over zero
bounds nothing, and an account at a hundredth of its margin may take a hundred times what it brings.
Two empty accounts of one person would open millions against each other; the one that wins leaves
with the pool, the other is written off. So what is required on top is brought in full.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Fill, Margin
from tests.scenarios.stage import CASH, ETH, Stage, as_tuple, wad

UNITS = 10_000


@pytest.fixture
def stage() -> Stage:
    return Stage()


def ratios_alone(before: Margin, after: Margin) -> bool:
    """The rule as it would be without what closes this."""
    levels = (
        (before.initial_equity, before.initial_margin, after.initial_equity, after.initial_margin),
        (before.equity, before.maintenance_margin, after.equity, after.maintenance_margin),
    )
    return all(e >= 0 and e * required >= was * now for was, required, e, now in levels)


def after_buying(stage: Stage, account: bytes, units: int) -> Margin:
    fill = Fill(model.perpetual(ETH), units * WAD, stage.marks[ETH])
    return model.preview_trade(stage.portfolio(account), [fill], {ETH: (0, 0)}, stage.inputs())[1]


def test_empty_accounts_open_nothing(stage: Stage) -> None:
    buyer = stage.account("buyer")
    before, after = stage.margin(buyer), after_buying(stage, buyer, UNITS)
    assert before.equity == before.initial_margin == 0
    assert ratios_alone(before, after), "zero over zero bounds nothing"
    assert after.initial_margin > wad(1_000_000)
    with stage.evm.reverts("RatioWorsened"):
        stage.trade("buyer", "seller", {ETH: UNITS})


def test_a_little_equity_is_no_lever(stage: Stage) -> None:
    """A millionth of a dollar left, a dollar brought, millions wanted of an honest maker."""
    stage.fund("maker", 50_000_000)
    account = stage.fund("owner", 26)
    stage.trade("owner", "maker", {ETH: Decimal("0.1")})
    stage.move({ETH: 1_735})
    equity = stage.margin(account).equity
    stage.fund("owner", Decimal(-equity // 10**12 + 1) / 10**6)
    before = stage.margin(account)
    assert 0 < before.equity <= 10**12
    owner = stage.actor("owner")
    stage.give(owner, CASH, 10**6)
    maker = stage.order(stage.account("maker"), {ETH: 1}, -UNITS, stage.marks[ETH])
    taken = stage.house.encode("take", maker, stage.sign(maker, "maker"), account, wad(UNITS))
    batch = [stage.house.encode("deposit", account, CASH, 10**6), taken]
    with stage.evm.reverts("RatioWorsened"):
        stage.house.multicall(batch, sender=owner)


def test_what_is_required_on_top_is_brought_in_full(stage: Stage) -> None:
    """Below initial margin risk may still be added, one to one: to the unit."""
    stage.fund("maker", 50_000_000)
    account = stage.fund("owner", 26_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.move({ETH: 1_970})
    before, after = stage.margin(account), after_buying(stage, account, 1)
    assert not before.is_free
    missing = max(
        after.initial_margin - before.initial_margin + before.initial_equity - after.initial_equity,
        after.maintenance_margin - before.maintenance_margin,
    )
    enough = -(-missing // 10**12)
    owner = stage.actor("owner")
    stage.give(owner, CASH, enough)
    maker = stage.order(stage.account("maker"), {ETH: 1}, -1, stage.marks[ETH])
    taken = stage.house.encode("take", maker, stage.sign(maker, "maker"), account, WAD)

    def batch(units: int) -> list[bytes]:
        return [stage.house.encode("deposit", account, CASH, units), taken]

    with stage.evm.reverts("RatioWorsened"):
        stage.house.multicall(batch(enough - 1), sender=owner)
    stage.house.multicall(batch(enough), sender=owner)
    now = stage.margin(account)
    assert not now.is_free
    assert model.ratio_holds(before, now)
    assert as_tuple(now)[3] == after.initial_margin

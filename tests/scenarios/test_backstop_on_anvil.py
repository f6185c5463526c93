"""A real node: a stranger has the backstop bid, and its orders and sales unwind the slice."""

from __future__ import annotations

from typing import Any

from plimsoll.risk.model import WAD
from tests.node import Node
from tests.scenarios.stage import ETH
from tests.unit.backstop_house import Backed, build, fall

MILLION = 10**12
MOST_GAS = 1_000_000
"""Of a bid on two positions and two kinds of collateral, cold."""


def test_a_stranger_has_it_bid_and_the_market_takes_it_over(chain: Any) -> None:
    stage: Backed = build(reserves=0, evm=Node(chain.provider))
    stage.invest("first", 50 * MILLION)
    account = fall(stage)
    before, expected = stage.value().upper, stage.expected_slice(account)
    receipt = stage.backstop.bid(account, sender=stage.actor("stranger"))
    print(f"gas of a backstop bid: {receipt.gas_used}")
    assert receipt.gas_used < MOST_GAS
    assert stage.value().upper > before
    sub = stage.sub_account()
    size = stage.position(sub, ETH).size
    assert size == 100 * WAD * expected.fraction // WAD

    stage.fund("desk", 1_000_000)
    price = stage.marks[ETH] * 9_980 // 10_000
    order = {**stage.unwinding(1, {ETH: 1}, 0, price), "quantity": -size}
    stage.unwind(order, "desk", 1)
    assert stage.position(sub, ETH).size == size - WAD
    stage.backstop.sweep(sub, sender=stage.actor("stranger"))
    holder = stage.actor("first")
    request = stage.backstop.requestRedeem(MILLION * 1_000, holder, holder, sender=holder)
    stage.end_epoch(stage.backstop.call.nextEpoch().epoch)
    settled = stage.backstop.settleEpoch(sender=stage.actor("stranger"))
    claimed = stage.backstop.redeem(MILLION * 1_000, holder, holder, sender=holder)
    for name, one in (("request", request), ("settlement", settled), ("claim", claimed)):
        print(f"gas of a {name}: {one.gas_used}")
    assert stage.dollar.call.balanceOf(holder) > MILLION

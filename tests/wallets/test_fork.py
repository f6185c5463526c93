"""A chain that splits: what was signed before counts on the side that kept its number."""

from __future__ import annotations

from plimsoll.risk.model import WAD
from tests.node import Node
from tests.scenarios.stage import NEVER, terms
from tests.wallets.test_key_with_code import Delegating

OTHER_CHAIN = 424_242


def test_orders_and_grants_stay_on_their_chain(node: Node) -> None:
    """Every contract is on both sides, at the same address, with the same storage."""
    owner = Delegating(node)
    house, desk, granted = owner.house.house, owner.house.owner("desk"), terms()
    order = owner.order()
    before = owner.sign(order, owner.key), owner.grant(desk, granted)
    kept = bytes(house.call.hashOrder(order))

    node._ask("anvil_setChainId", OTHER_CHAIN)
    digest = bytes(house.call.hashOrder(order))
    assert digest != kept
    with node.reverts("InvalidSignature", digest, owner.key.address):
        owner.take(order, before[0])
    digest = bytes(house.call.hashDelegate(owner.account, desk, granted, 0, NEVER))
    with node.reverts("InvalidSignature", digest, owner.key.address):
        house.setDelegateBySig(owner.account, desk, granted, NEVER, before[1])

    assert owner.take(order, owner.sign(order, owner.key)) == WAD
    house.setDelegateBySig(owner.account, desk, granted, NEVER, owner.grant(desk, granted))
    assert house.call.delegation(owner.account, desk).expiry == NEVER

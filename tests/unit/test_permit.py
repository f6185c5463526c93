"""`permit`: approves the vault by the caller's ERC-2612 signature; only the allowance counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from plimsoll.lab import components
from plimsoll.risk.model import WAD
from tests.evm import CHAIN_ID, Contract, Receipt
from tests.scenarios.stage import CASH, NEVER, WBTC, WETH, Stage, wad
from tests.unit.books import happened, refuses
from tests.unit.conftest import kept

UNITS = 250 * 10**6
TYPES = {
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ]
}


class Permitting(Stage):
    """Its dollar and its wrapped bitcoin have permits; its wrapped ether is the real one."""

    def new_token(self, decimals: int) -> Contract:
        if decimals == 18:
            return self.evm.deploy(components.weth9())
        return self.evm.deploy("FaucetToken", "Faucet", "FCT", decimals, 0, self.evm.deployer)


@pytest.fixture(scope="module")
def built() -> Stage:
    return Permitting()


@pytest.fixture
def house(built: Stage) -> Iterator[Stage]:
    for stage in kept(built):
        for asset in (CASH, WBTC):
            stage.tokens[asset].mint(stage.actor("owner"), 2 * UNITS)
        yield stage


def sign(stage: Stage, who: str = "owner", asset: int = CASH, **changed: Any) -> Any:
    """v, r and s over the vault as spender, unless told."""
    token, owner = stage.tokens[asset], stage.actor(who)
    message = {
        "owner": owner.address,
        "spender": stage.vault.address,
        "value": UNITS,
        "nonce": token.call.nonces(owner),
        "deadline": NEVER,
        **changed,
    }
    domain = {
        "name": "Faucet",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": token.address,
    }
    signed = owner.sign_message(encode_typed_data(domain, TYPES, message))
    return signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)


def bring(stage: Stage, parts: Any, asset: int = CASH, who: str = "owner", **sent: Any) -> Receipt:
    args = asset, UNITS, NEVER, *parts
    return stage.house.permit(*args, sender=stage.actor(who), **sent)


def allowance(stage: Stage, who: str = "owner", asset: int = CASH) -> int:
    return int(stage.tokens[asset].call.allowance(stage.actor(who), stage.vault))


@pytest.mark.parametrize("asset", [CASH, WBTC])
def test_the_vault_may_take_so_much(house: Stage, asset: int) -> None:
    bring(house, sign(house, asset=asset), asset)
    assert allowance(house, asset=asset) == UNITS
    owner = house.actor("owner")
    house.house.deposit(house.account("owner"), asset, UNITS, sender=owner)
    assert allowance(house, asset=asset) == 0


def test_with_the_deposit_in_one_transaction(house: Stage) -> None:
    account, owner = house.account("owner"), house.actor("owner")
    calls = [
        house.house.encode("permit", CASH, UNITS, NEVER, *sign(house)),
        house.house.encode("deposit", account, CASH, UNITS),
    ]
    house.house.multicall(calls, sender=owner)
    assert house.cash(account) == wad(250)


def test_one_that_somebody_else_has_brought_is_no_failure(house: Stage) -> None:
    """Who sees it in flight may bring it to the token first: the batch passes all the same."""
    account, owner, parts = house.account("owner"), house.actor("owner"), sign(house)
    house.dollar.permit(owner, house.vault, UNITS, NEVER, *parts, sender=house.actor("stranger"))
    calls = [
        house.house.encode("permit", CASH, UNITS, NEVER, *parts),
        house.house.encode("deposit", account, CASH, UNITS),
    ]
    house.house.multicall(calls, sender=owner)
    assert house.cash(account) == wad(250)


def test_nor_is_a_bad_one_beside_an_allowance(house: Stage) -> None:
    house.dollar.approve(house.vault, UNITS, sender=house.actor("owner"))
    assert happened(bring(house, (27, bytes(32), bytes(32)))) == []


@pytest.mark.parametrize(
    "changed",
    [{"value": UNITS - 1}, {"nonce": 1}, {"deadline": NEVER - 1}, {"spender": "0x" + "11" * 20}],
    ids=lambda changed: next(iter(changed)),
)
def test_another_permit_is_none(house: Stage, changed: dict[str, Any]) -> None:
    with refuses(house, "PermitFailed", CASH, 0, UNITS):
        bring(house, sign(house, **changed))


def test_is_the_caller_s(house: Stage) -> None:
    with refuses(house, "PermitFailed", CASH, 0, UNITS):
        bring(house, sign(house), who="stranger")
    with refuses(house, "PermitFailed", CASH, 0, UNITS):
        bring(house, sign(house, "stranger"))


def test_not_late(house: Stage) -> None:
    deadline = house.now
    parts = sign(house, deadline=deadline)
    house.warp(1)
    with refuses(house, "PermitFailed", CASH, 0, UNITS):
        house.house.permit(CASH, UNITS, deadline, *parts, sender=house.actor("owner"))


def test_not_twice(house: Stage) -> None:
    parts = sign(house)
    bring(house, parts)
    house.house.deposit(house.account("owner"), CASH, UNITS, sender=house.actor("owner"))
    with refuses(house, "PermitFailed", CASH, 0, UNITS):
        bring(house, parts)


def test_a_token_that_swallows_any_call_permits_nothing(house: Stage) -> None:
    """Wrapped ether has no permits, and its fallback takes the call without a word."""
    nothing = 27, bytes(32), bytes(32)
    with refuses(house, "PermitFailed", WETH, 0, UNITS):
        bring(house, nothing, WETH)
    house.tokens[WETH].approve(house.vault, WAD, sender=house.actor("owner"))
    bring(house, nothing, WETH)


def test_a_token_without_permits_permits_nothing(stage: Stage) -> None:
    with refuses(stage, "PermitFailed", CASH, 0, 1):
        args = CASH, 1, NEVER, 27, bytes(32), bytes(32)
        stage.house.permit(*args, sender=stage.actor("owner"))


def test_no_asset(house: Stage) -> None:
    with refuses(house, "UnknownAsset", 95):
        bring(house, (27, bytes(32), bytes(32)), 95)


def test_with_ether(house: Stage) -> None:
    with refuses(house, "ValueNotAccepted", value=1):
        bring(house, sign(house), value=1)

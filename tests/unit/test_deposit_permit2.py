"""`depositPermit2`: a deposit of tokens that Permit2 may move, by its signature for the vault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plimsoll.lab import components
from tests.evm import Receipt
from tests.scenarios.stage import CASH, NEVER, WETH, Stage, wad
from tests.unit.books import ASSETS, MARKETS, emitted, happened, refuses, transfer
from tests.unit.conftest import kept
from tests.wallets.contracts import Permit2

UNITS = {CASH: 250 * 10**6, WETH: 3 * 10**18}
NONCE = 7


@pytest.fixture(scope="module")
def built() -> Stage:
    return Stage(underlyings=MARKETS, collateral=ASSETS, permit2=components.permit2())


@pytest.fixture
def house(built: Stage) -> Iterator[Stage]:
    """People have approved Permit2 and nobody else."""
    for stage in kept(built):
        for who in ("owner", "stranger"):
            for asset, units in UNITS.items():
                stage.tokens[asset].mint(stage.actor(who), 2 * units)
                stage.tokens[asset].approve(stage.permit2, 2**256 - 1, sender=stage.actor(who))
        yield stage


def permit2(stage: Stage) -> Permit2:
    return Permit2(stage.evm.at(stage.permit2, components.permit2()))


def sign(stage: Stage, asset: int, who: str = "owner", **changed: Any) -> bytes:
    told: dict[str, Any] = {
        "token": stage.tokens[asset],
        "amount": UNITS[asset],
        "spender": stage.vault,
    }
    told |= {"nonce": NONCE, "deadline": NEVER, **changed}
    return permit2(stage).sign(stage.actor(who), *told.values())


def pay(
    stage: Stage,
    asset: int,
    signature: bytes,
    *,
    who: str = "owner",
    into: bytes | None = None,
    amount: int | None = None,
    nonce: int = NONCE,
    deadline: int = NEVER,
    value: int = 0,
) -> Receipt:
    units = UNITS[asset] if amount is None else amount
    args = into or stage.account("owner"), asset, units, nonce, deadline, signature
    return stage.house.depositPermit2(*args, sender=stage.actor(who), value=value)


class TestPaysIn:
    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_what_was_signed(self, house: Stage, asset: int) -> None:
        account, owner, units = house.account("owner"), house.actor("owner"), UNITS[asset]
        receipt = pay(house, asset, sign(house, asset))
        assert receipt.value == units
        told = {"account": account, "owner": owner.address, "asset": asset, "payer": owner.address}
        events = happened(receipt)
        assert events[0] == transfer(house, asset, owner, house.vault, units)
        assert emitted(house.house, "Deposited", **told, amount=units) in events
        assert house.tokens[asset].call.balanceOf(house.vault) >= units
        if asset == CASH:
            assert house.cash(account) == wad(250)
        else:
            assert house.portfolio(account).collateral[0].amount == units

    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_as_a_deposit_does(self, house: Stage, asset: int) -> None:
        """The same events but for who moved the token, and the same books."""
        account, owner = house.account("owner"), house.actor("owner")
        with house.evm.anchored():
            house.tokens[asset].approve(house.vault, 2**256 - 1, sender=owner)
            plain = happened(house.house.deposit(account, asset, UNITS[asset], sender=owner))
            books = house.portfolio(account), house.house.call.claims(asset)
        assert happened(pay(house, asset, sign(house, asset))) == plain
        assert (house.portfolio(account), house.house.call.claims(asset)) == books

    def test_what_arrives_where_a_token_takes_a_fee(self, house: Stage) -> None:
        house.tokens[WETH].setFee(1_000)
        assert pay(house, WETH, sign(house, WETH)).value == UNITS[WETH] * 9 // 10
        held = house.portfolio(house.account("owner")).collateral
        assert held[0].amount == UNITS[WETH] * 9 // 10

    def test_to_somebody_else_s_account(self, house: Stage) -> None:
        """From the caller's tokens, into cash of anybody's."""
        signature = sign(house, CASH, "stranger")
        pay(house, CASH, signature, who="stranger")
        assert house.cash(house.account("owner")) == wad(250)

    def test_in_a_batch(self, house: Stage) -> None:
        account, owner = house.account("owner"), house.actor("owner")
        calls = [
            house.house.encode(
                "depositPermit2",
                *(account, asset, UNITS[asset], asset, NEVER, sign(house, asset, nonce=asset)),
            )
            for asset in UNITS
        ]
        house.house.multicall(calls, sender=owner)
        assert house.cash(account) == wad(250)

    def test_at_the_deadline(self, house: Stage) -> None:
        deadline = house.now
        pay(house, CASH, sign(house, CASH, deadline=deadline), deadline=deadline)


class TestRefused:
    """By Permit2, by name, and nothing has moved."""

    def test_twice(self, house: Stage) -> None:
        signature = sign(house, CASH)
        pay(house, CASH, signature)
        with refuses(house, "InvalidNonce"):
            pay(house, CASH, signature)

    @pytest.mark.parametrize(
        ("signed", "brought"),
        [
            ({"nonce": 8}, {}),
            ({}, {"nonce": 8}),
            ({"deadline": NEVER - 1}, {}),
            ({}, {"deadline": NEVER - 1}),
            ({"amount": 10**6}, {}),
            ({}, {"amount": 10**6}),
            ({}, {"amount": 2 * UNITS[CASH]}),
            ({"who": "stranger"}, {}),
        ],
        ids=str,
    )
    def test_anything_but_what_was_signed(
        self, house: Stage, signed: dict[str, Any], brought: dict[str, Any]
    ) -> None:
        with refuses(house, "InvalidSigner"):
            pay(house, CASH, sign(house, CASH, **signed), **brought)

    def test_for_another_token(self, house: Stage) -> None:
        with refuses(house, "InvalidSigner"):
            pay(house, WETH, sign(house, WETH, token=house.dollar))

    @pytest.mark.parametrize("spender", ["house", "stranger"])
    def test_for_another_spender(self, house: Stage, spender: str) -> None:
        other = house.house if spender == "house" else house.actor(spender)
        with refuses(house, "InvalidSigner"):
            pay(house, CASH, sign(house, CASH, spender=other))

    def test_brought_by_somebody_else(self, house: Stage) -> None:
        """A signature that is seen cannot be used: the payer is who calls."""
        signature = sign(house, CASH)
        with refuses(house, "InvalidSigner"):
            pay(house, CASH, signature, who="stranger", into=house.account("stranger"))

    def test_nor_past_the_house(self, house: Stage) -> None:
        """The spender is the vault, and the vault does what the house says."""
        signature, owner, thief = sign(house, CASH), house.actor("owner"), house.actor("stranger")
        permitted = ((house.dollar.address, UNITS[CASH]), NONCE, NEVER)
        contract = permit2(house).contract
        permit, details = "((address,uint256),uint256,uint256)", "(address,uint256)"
        plain = f"permitTransferFrom({permit},{details},address,bytes)"
        with refuses(house, "InvalidSigner"):
            contract[plain](permitted, (thief.address, UNITS[CASH]), owner, signature, sender=thief)
        args = house.dollar, owner, UNITS[CASH], NONCE, NEVER, signature
        with refuses(house, "OnlyClearingHouse", caller=thief.address):
            house.vault.collectPermit2(*args, sender=thief)

    def test_late(self, house: Stage) -> None:
        deadline = house.now
        signature = sign(house, CASH, deadline=deadline)
        house.warp(1)
        with refuses(house, "SignatureExpired", deadline):
            pay(house, CASH, signature, deadline=deadline)

    @pytest.mark.parametrize("length", [0, 1, 63, 66, 130])
    def test_with_a_signature_of_another_length(self, house: Stage, length: int) -> None:
        with refuses(house, "InvalidSignatureLength"):
            pay(house, CASH, (sign(house, CASH) * 2)[:length])

    def test_without_an_approval(self, house: Stage) -> None:
        house.dollar.approve(house.permit2, 0, sender=house.actor("owner"))
        with refuses(house, "Error", "TRANSFER_FROM_FAILED"):
            pay(house, CASH, sign(house, CASH))

    def test_a_token_that_moves_nothing(self, house: Stage) -> None:
        house.tokens[WETH].setFee(10_000)
        with refuses(house, "NothingReceived", house.tokens[WETH].address):
            pay(house, WETH, sign(house, WETH))

    def test_what_a_deposit_would_be_refused(self, house: Stage) -> None:
        stranger, account = house.actor("stranger"), house.account("owner")
        signature = sign(house, WETH, "stranger")
        with refuses(house, "OnlyOwnerOpens", account, WETH):
            pay(house, WETH, signature, who="stranger")
        house.house.setPause(1, 0)
        with refuses(house, "Paused", 0, CASH):
            pay(house, CASH, sign(house, CASH))
        house.house.setPause(0, 0)
        with refuses(house, "UnknownAsset", 95):
            args = account, 95, 1, NONCE, NEVER, signature
            house.house.depositPermit2(*args, sender=stranger)

    def test_ether(self, house: Stage) -> None:
        with refuses(house, "ValueNotAccepted", value=1):
            pay(house, CASH, sign(house, CASH), value=1)

    def test_where_there_is_no_permit2(self, stage: Stage) -> None:
        assert int(stage.vault.call.PERMIT2(), 16) == 0
        args = stage.account("owner"), CASH, 1, NONCE, NEVER, bytes(65)
        with refuses(stage, "Permit2Unavailable"):
            stage.house.depositPermit2(*args, sender=stage.actor("owner"))

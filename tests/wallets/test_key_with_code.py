"""A person's key whose address has code (EIP-7702): the key signs, and so does the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from web3 import Web3

from plimsoll.delegates import TYPES as GRANT_TYPES
from plimsoll.lab import components
from plimsoll.orders import TYPES
from plimsoll.risk.ledger import CASH
from plimsoll.risk.model import WAD, perpetual
from tests.evm import CHAIN_ID, Contract
from tests.house import DOLLAR, ETH, PEG, RICH, UNDERLYINGS, House, encode
from tests.node import Node
from tests.scenarios.stage import NEVER

# Returns the magic value of ERC-1271 to whoever asks: PUSH4, shifted to the left, returned.
SAYS_YES = "6d631626ba7e60e01b5f5260205ff35f52600e6012f3"
# INVALID: whoever asks gets no answer.
SAYS_NOTHING = "60fe5f5360015ff3"
NOBODY = "0x" + "00" * 20
DOLLARS = 10_000


class Delegating:
    """A house on a node with the rules of Prague, and an owner whose address gets code."""

    def __init__(self, node: Node) -> None:
        chosen = {u: UNDERLYINGS[u] for u in (PEG, ETH)}
        self.node = node
        self.house = House(underlyings=chosen, assets={}, evm=node)
        self.house.add_reserves(RICH * DOLLAR)
        for who in ("owner", "taker"):
            self.house.deposit(self.house.account(who), CASH, DOLLARS * DOLLAR)
        self.account = encode(self.house.account("owner"))
        self.key: LocalAccount = self.house.owner("owner")
        self.wallet = node.deploy(components.simple_7702_account())
        self._salts = count(1)

    def delegate(self, to: Any, data: bytes = b"") -> None:
        """A transaction that gives the key's address the code of another, and calls it."""
        w3 = Web3(self.node._provider)
        nonce = w3.eth.get_transaction_count(self.key.address)
        grant = {"chainId": CHAIN_ID, "address": to, "nonce": nonce + 1}
        transaction = {
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "to": self.key.address if data else NOBODY,
            "value": 0,
            "data": data,
            "gas": 5_000_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 0,
            "authorizationList": [self.key.sign_authorization(grant)],
        }
        raw = Account.sign_transaction(transaction, self.key.key).raw_transaction
        assert w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(raw))["status"] == 1

    def code(self) -> bytes:
        return bytes(Web3(self.node._provider).eth.get_code(self.key.address))

    def become(self, code: str) -> None:
        """Delegates to a contract of this creation code."""
        self.delegate(self.node.deploy({"abi": [], "bytecode": code}).address)

    def order(self) -> dict[str, Any]:
        """Sells ether for the owner."""
        return {
            "account": self.account,
            "signer": self.key.address,
            "taker": NOBODY,
            "legs": [{"instrument": perpetual(ETH), "ratio": WAD}],
            "quantity": -WAD,
            "price": 2_000 * WAD,
            "minimumFill": 0,
            "reduceOnly": False,
            "expiry": 2**40,
            "epoch": 0,
            "salt": next(self._salts),
        }

    def sign(self, order: dict[str, Any], key: LocalAccount) -> bytes:
        signable = encode_typed_data(self.domain(), TYPES, order)
        return bytes(key.sign_message(signable).signature)

    def grant(self, delegate: LocalAccount, granted: Mapping[str, Any]) -> bytes:
        """The owner's signature for a delegate."""
        message = {"account": self.account, "delegate": delegate.address, **granted}
        message |= {"nonce": self.house.house.call.grantNonce(self.account), "deadline": NEVER}
        signable = encode_typed_data(self.domain(), GRANT_TYPES, message)
        return bytes(self.key.sign_message(signable).signature)

    def domain(self) -> dict[str, Any]:
        names = ("name", "version", "chainId", "verifyingContract")
        return dict(zip(names, self.house.house.call.eip712Domain()[1:5], strict=True))

    def take(self, order: dict[str, Any], signature: bytes) -> int:
        taker, account = self.house.owner("taker"), encode(self.house.account("taker"))
        return int(self.house.house.take(order, signature, account, WAD, sender=taker).value)

    def sells(self) -> bool:
        """Whether what the key signs is filled."""
        order = self.order()
        return self.take(order, self.sign(order, self.key)) == WAD


@pytest.fixture(scope="module")
def standing(node: Node) -> Delegating:
    return Delegating(node)


@pytest.fixture
def owner(standing: Delegating) -> Iterator[Delegating]:
    with standing.house.anchored():
        yield standing


def test_the_key_signs_with_a_wallet_s_code_and_without_again(owner: Delegating) -> None:
    owner.delegate(owner.wallet.address)
    assert owner.code() == bytes.fromhex("ef0100" + owner.wallet.address[2:])
    assert owner.sells()
    owner.delegate(NOBODY)
    assert owner.code() == b""
    assert owner.sells()


@pytest.mark.parametrize("code", [SAYS_NOTHING, SAYS_YES], ids=["mute", "yes"])
def test_the_key_signs_whatever_the_code(owner: Delegating, code: str) -> None:
    owner.become(code)
    assert owner.sells()


@pytest.mark.parametrize("code", [None, SAYS_NOTHING], ids=["wallet", "mute"])
def test_nobody_else_signs(owner: Delegating, code: str | None) -> None:
    owner.delegate(owner.wallet.address) if code is None else owner.become(code)
    order = owner.order()
    digest = bytes(owner.house.house.call.hashOrder(order))
    stranger = owner.house.owner("stranger")
    for signature in (owner.sign(order, stranger), b"", bytes(65)):
        with owner.node.reverts("InvalidSignature", digest, owner.key.address):
            owner.take(order, signature)


def test_code_that_takes_any_signature_speaks_for_its_key(owner: Delegating) -> None:
    """Who delegates to such code has given the account away, as with every other token."""
    owner.become(SAYS_YES)
    assert owner.take(owner.order(), b"") == WAD


def test_a_batch_deposits_while_it_delegates(owner: Delegating) -> None:
    house, units = owner.house, DOLLARS * DOLLAR
    house.usd.mint(owner.key, units)
    house.usd.approve(house.vault, 0, sender=owner.key)
    held = house.usd.call.balanceOf(house.vault)
    calls = [
        (house.usd, 0, house.usd.encode("approve", house.vault, units)),
        (house.house, 0, house.house.encode("deposit", owner.account, CASH, units)),
    ]
    owner.delegate(owner.wallet.address, owner.wallet.encode("executeBatch", calls))
    assert house.usd.call.balanceOf(house.vault) == held + units
    wallet = Contract(owner.node, owner.key.address, owner.wallet.abi)
    steal = house.house.encode("withdraw", owner.account, CASH, 1, house.owner("stranger"))
    with owner.node.reverts("Error", "not from self or EntryPoint"):
        wallet.executeBatch([(house.house, 0, steal)], sender=house.owner("stranger"))

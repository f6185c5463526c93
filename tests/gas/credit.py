"""Credit, consent and loss: what is measured beside the core, on the same houses.

`order_1271_extra` is what a trade pays more when a Safe of one owner is the maker: the same trade
by an ordinary key, with the same history, is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ape import accounts, chain
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_account import Account as Keys
from eth_account.messages import encode_typed_data
from web3 import Web3

from plimsoll.instruments import AccountId, Instrument
from plimsoll.lab import components
from plimsoll.lab.components import container
from plimsoll.permits import PERMIT2_TYPES
from plimsoll.units import WAD
from tests.gas.house import NEVER, House, as_tuple
from tests.gas.measure import Figure, action, wait

ZERO = "0x0000000000000000000000000000000000000000"
SAFE_MESSAGE = {"SafeMessage": [{"name": "message", "type": "bytes"}]}
PACKAGE = Decimal("1.5")
LARGEST = 2**256 - 1


def deposit_permit2(house: House, owner: AccountAPI) -> Iterator[tuple[str, Figure]]:
    """A second deposit of collateral by a signed Permit2 transfer: its approval is given before."""
    token, permit2 = house.collateral[0], house.permit2
    house.deposit(owner, token, 1_000)
    units = token.units(1_000)
    token.contract.approve(permit2, LARGEST, sender=owner)
    # Permit2 keeps its nonces in words of 256 bits: the second one finds its word open.
    for nonce in (0, 1):
        token.mint(owner.address, units)
        signature = _sign_transfer(house, owner, str(token.contract.address), units, nonce)
        args = (AccountId(owner.address).encode(), token.asset, units, nonce, NEVER, signature)
        receipt = house.clearing_house.depositPermit2(*args, sender=owner)
    yield "deposit_permit2", action(receipt)


def hedged_pair(
    house: House, maker: AccountAPI, taker: AccountAPI, pair: tuple[int, int]
) -> Iterator[tuple[str, Figure]]:
    """Long one underlying and short the other, both opened by one `multicall`, checked once."""
    calls = []
    for underlying, quantity in zip(pair, (-1, 1), strict=True):
        order, signature = house.signed(maker, {underlying: PACKAGE}, quantity)
        account = AccountId(taker.address).encode()
        calls.append(house.clearing_house.take.encode_input(order, signature, account, WAD))
    receipt = house.clearing_house.multicall(calls, sender=taker)
    yield "multicall_open_hedged_pair", action(receipt)


def settled_profit(
    house: House, maker: AccountAPI, winner: AccountAPI, market: int
) -> Iterator[tuple[str, Figure]]:
    """A stranger settles a position that has gained a twentieth."""
    house.trade(maker, winner, {market: PACKAGE})
    risen = (house.prices[market] * Decimal("1.05")).quantize(Decimal("1e-8"))
    house.report({market: risen})
    account = AccountId(winner.address).encode()
    instrument = Instrument.perpetual(market).encode()
    receipt = house.clearing_house.settle(account, instrument, sender=house.relayer)
    yield "settle_profit", action(receipt)


def order_1271_extra(house: House, taker: AccountAPI, market: int) -> Iterator[tuple[str, Figure]]:
    """A repeated trade against a Safe's order less the same against a key's."""
    key: AccountAPI = accounts.test_accounts[6]
    safe = _safe(key)
    house.deposit(key, house.settlement, 1_000_000)
    _give(house, str(safe.address), 1_000_000)
    used: dict[bool, ReceiptAPI] = {}
    for by_safe in (False, True, False, True):
        used[by_safe] = _trade(house, key, safe if by_safe else None, taker, market)
    plain, signed = action(used[False]), action(used[True])
    yield "order_1271_extra", Figure(signed.gas - plain.gas, signed.transaction)


def backstop_bid(house: House, account: bytes, markets: list[int]) -> Iterator[tuple[str, Figure]]:
    """A stranger has the backstop buy its slice, past half of the auction's way to par."""
    wait(330)
    house.refresh(markets)
    yield "backstop_bid", action(house.backstop.bid(account, sender=house.relayer))


def _sign_transfer(house: House, owner: AccountAPI, token: str, units: int, nonce: int) -> bytes:
    domain = {
        "name": "Permit2",
        "chainId": chain.chain_id,
        "verifyingContract": str(house.permit2.address),
    }
    message = {
        "permitted": {"token": token, "amount": units},
        "spender": str(house.vault.address),
        "nonce": nonce,
        "deadline": NEVER,
    }
    signable = encode_typed_data(domain, PERMIT2_TYPES, message)
    return bytes(Keys.from_key(owner.private_key).sign_message(signable).signature)


def _trade(
    house: House,
    key: AccountAPI,
    safe: ContractInstance | None,
    taker: AccountAPI,
    market: int,
) -> ReceiptAPI:
    """The taker buys from the key's own account, or from that of its Safe."""
    sizes = {market: PACKAGE}
    if safe is None:
        return house.trade(key, taker, sizes)
    order = house.order(str(safe.address), sizes, -1)
    digest = house.clearing_house.hashOrder(as_tuple(order))
    domain = {"chainId": chain.chain_id, "verifyingContract": str(safe.address)}
    signable = encode_typed_data(domain, SAFE_MESSAGE, {"message": digest})
    signature = bytes(Keys.from_key(key.private_key).sign_message(signable).signature)
    taking, taken = house.signed(taker, sizes, 1)
    args = (as_tuple(order), signature, taking, taken, WAD)
    return house.clearing_house.trade(*args, sender=house.relayer)


def _safe(owner: AccountAPI) -> ContractInstance:
    """A real Safe of one owner."""
    kit = components.safe(), components.safe_proxy_factory(), components.safe_fallback_handler()
    singleton, factory, handler = (owner.deploy(container(one)) for one in kit)
    setup = singleton.setup.encode_input([owner], 1, ZERO, b"", handler, ZERO, 0, ZERO)
    receipt = factory.createProxyWithNonce(singleton, setup, 0, sender=owner)
    made: Any = receipt.return_value
    if made is None:
        (made,) = [log.proxy for log in receipt.decode_logs(factory.ProxyCreation)]
    return container(components.safe()).at(made)


def _give(house: House, owner: str, dollars: int) -> None:
    """Anybody may pay cash into anybody's account."""
    payer, units = house.deployer, house.settlement.units(dollars)
    house.settlement.mint(payer.address, units)
    house.settlement.contract.approve(house.vault, units, sender=payer)
    account = AccountId(Web3.to_checksum_address(owner)).encode()
    house.clearing_house.deposit(account, house.settlement.asset, units, sender=payer)

"""What a workload needs of a deployment, however it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from ape import chain
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_account import Account as Keys
from web3 import Web3

from plimsoll.instruments import AccountId, Instrument
from plimsoll.orders import Leg, Order
from plimsoll.risk.surface import Slice
from plimsoll.units import WAD

NEVER = 2**64
TENTH = WAD // 10


@dataclass(frozen=True)
class Token:
    """A token and how it is made out of nothing: `mint(to, units)`."""

    asset: int
    underlying: int
    decimals: int
    contract: ContractInstance
    mint: Callable[[str, int], Any]
    worth: Decimal
    """Dollars for a whole token."""

    def units(self, dollars: int) -> int:
        """As many units as are worth that many dollars, rounded down."""
        return int(Decimal(dollars) / self.worth * 10**self.decimals)


@dataclass
class House:
    """A sealed deployment with prices, and how to trade on it."""

    clearing_house: ContractInstance
    engine: ContractInstance
    vault: ContractInstance
    settlement: Token
    collateral: list[Token]
    prices: dict[int, Decimal]
    """Dollars by underlying; each has a market."""
    push: Callable[[Mapping[int, Decimal]], Any]
    """Has every source of each underlying report a price."""
    deployer: AccountAPI
    relayer: AccountAPI
    permit2: ContractInstance
    backstop: ContractInstance
    lend: Callable[[], None]
    """Has borrowed cash bear interest from now on; prices are fresh afterwards."""
    report_surface: Callable[[int, Sequence[Slice]], Any]
    """Has reporters sign a surface of an underlying as of now."""
    salts: Iterator[int] = field(default_factory=count)

    def deposit(self, owner: AccountAPI, token: Token, dollars: int) -> ReceiptAPI:
        units = token.units(dollars)
        token.mint(owner.address, units)
        token.contract.approve(self.vault, units, sender=owner)
        account = AccountId(owner.address).encode()
        return self.clearing_house.deposit(account, token.asset, units, sender=owner)

    def withdraw(self, owner: AccountAPI, token: Token, dollars: int) -> ReceiptAPI:
        account, to = AccountId(owner.address).encode(), owner.address
        units = token.units(dollars)
        return self.clearing_house.withdraw(account, token.asset, units, to, sender=owner)

    def trade(
        self, seller: AccountAPI, buyer: AccountAPI, sizes: Mapping[int, Decimal]
    ) -> ReceiptAPI:
        """Two signed orders at the mark, matched by neither of the two. The maker sells."""
        maker, made = self.signed(seller, sizes, -1)
        taker, taken = self.signed(buyer, sizes, 1)
        return self.clearing_house.trade(maker, made, taker, taken, WAD, sender=self.relayer)

    def add_reserves(self, dollars: int) -> None:
        units = self.settlement.units(dollars)
        self.settlement.mint(self.deployer.address, units)
        self.settlement.contract.approve(self.vault, units, sender=self.deployer)
        self.clearing_house.addReserves(units, sender=self.deployer)

    def take_a_tenth(self, bidder: AccountAPI, account: bytes) -> ReceiptAPI:
        """A bid on a tenth of an account in auction."""
        taker = AccountId(bidder.address).encode()
        deadline = chain.blocks.head.timestamp + 3_600
        bid = (account, taker, TENTH, 2**127 - 1, deadline, 0)
        receipt = self.clearing_house.bid(bid, sender=bidder)
        (taken,) = receipt.decode_logs(self.clearing_house.SliceTaken)
        if taken.fraction != TENTH:
            raise RuntimeError(f"the bid took {taken.fraction}, not a tenth")
        return receipt

    def report(self, prices: Mapping[int, Decimal]) -> None:
        self.push(prices)
        self.prices.update(prices)

    def refresh(self, underlyings: Iterable[int]) -> None:
        """Reports the same prices again, so that none is stale."""
        self.push({u: self.prices[u] for u in underlyings})

    def signed(
        self, owner: AccountAPI, sizes: Mapping[int, Decimal], quantity: int
    ) -> tuple[tuple[Any, ...], bytes]:
        """An order at the mark, as the contract takes it, and its owner's signature."""
        order = self.order(owner.address, sizes, quantity)
        signed = order.sign(Keys.from_key(owner.private_key), self.domain())
        return as_tuple(order), signed.signature

    def order(self, owner: str, sizes: Mapping[int, Decimal], quantity: int) -> Order:
        """To trade that many packages of these sizes at the mark; negative sells."""
        account = AccountId(Web3.to_checksum_address(owner))
        epoch, _ = self.clearing_house.versions(account.encode())
        legs = [Leg(Instrument.perpetual(u), size) for u, size in sizes.items()]
        price = sum((size * self.prices[u] for u, size in sizes.items()), Decimal(0))
        return Order.build(
            account, legs, quantity, price, expiry=NEVER, epoch=epoch, salt=next(self.salts)
        )

    def domain(self) -> dict[str, Any]:
        _, *domain, _, _ = self.clearing_house.eip712Domain()
        names = ("name", "version", "chainId", "verifyingContract")
        return dict(zip(names, domain, strict=True))


def as_tuple(order: Order) -> tuple[Any, ...]:
    """The order's message: Ape takes no mapping within a struct."""
    message = order.message()
    legs = [tuple(leg.values()) for leg in message["legs"]]
    return tuple(legs if name == "legs" else value for name, value in message.items())

"""Plimsoll for people: one class per thing a person uses.

>>> house = Plimsoll.connect("http://127.0.0.1:8545", "build/deployment", signer=key)
>>> mine = house.account()
>>> mine.deposit(house.asset("USDC"), "10_000")
>>> order = mine.order(house.market("ETH"), quantity="2.5", price="2_010")
>>> signed = mine.sign(order)

Amounts are `Decimal`, `int` or text, never `float`; what the chain cannot hold exactly is refused,
not rounded. A call that a contract would refuse raises `ContractError`: name and values of the
error, and what to do.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.types import BlockIdentifier

from plimsoll.accounts import Account, Auction
from plimsoll.backstop import Backstop
from plimsoll.chain import Addresses, Chain, Receipt, Signer
from plimsoll.delegates import FOREVER, REVOKED, Delegation, Grant, SignedGrant
from plimsoll.errors import MalformedIdError
from plimsoll.instruments import CASH, AccountId, Instrument
from plimsoll.markets import Asset, Fill, Market
from plimsoll.orders import Leg, Order, SignedOrder
from plimsoll.records import (
    UNREADABLE,
    AccountRisk,
    AssetTerms,
    AuctionView,
    Factors,
    Funding,
    Pool,
    Solvency,
    UnderlyingState,
    Volatility,
    WindDown,
    health_of,
)
from plimsoll.snapshot import LiquidationPrices, MarketState, expiries_of, market_state
from plimsoll.units import Amount, from_wad, to_wad_exact

__all__ = [
    "FOREVER",
    "REVOKED",
    "Account",
    "AccountId",
    "Addresses",
    "Asset",
    "Auction",
    "Backstop",
    "Delegation",
    "Fill",
    "Grant",
    "Instrument",
    "Leg",
    "LiquidationPrices",
    "Market",
    "MarketState",
    "Order",
    "Plimsoll",
    "Receipt",
    "SignedGrant",
    "SignedOrder",
    "expiries_of",
]


class Plimsoll:
    """The clearinghouse on one chain, seen by one signer or by none."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    @classmethod
    def connect(
        cls, rpc: str | Web3, where: Addresses | Path | str, signer: Signer | None = None
    ) -> Self:
        """Connects to a node; `where` is a deployment's folder or name, or the addresses."""
        w3 = rpc if isinstance(rpc, Web3) else Web3(HTTPProvider(rpc))
        addresses = where if isinstance(where, Addresses) else Addresses.from_manifest(where)
        return cls(Chain(w3, addresses, signer))

    def signed_by(self, signer: Signer) -> Self:
        """The same clearinghouse, seen by somebody else."""
        return type(self)(Chain(self.chain.w3, self.chain.addresses, signer))

    @property
    def contract(self) -> Contract:
        return self.chain.clearing_house

    def account(
        self, owner: ChecksumAddress | AccountId | None = None, sub_account: int = 0
    ) -> Account:
        """An account by owner and number; the signer's own when no owner is named."""
        if isinstance(owner, AccountId):
            return Account(self.chain, owner)
        return Account(self.chain, AccountId(owner or self.chain.sender, sub_account))

    def asset(self, asset: int | str) -> Asset:
        """A token by its id or, where the deployment names it, its symbol."""
        return Asset(self.chain, _id_of(asset, self.chain.addresses.assets, "asset"))

    def market(self, underlying: int | str | Instrument) -> Market:
        """An instrument, itself or by its name such as "ETH-25DEC26-2000-C"; of an underlying, by
        id or symbol, the perpetual."""
        known = self.chain.addresses.underlyings
        if isinstance(underlying, Instrument):
            return Market(self.chain, underlying)
        if isinstance(underlying, str) and underlying not in known and "-" in underlying:
            return Market(self.chain, Instrument.parse(underlying, known))
        return Market(self.chain, Instrument.perpetual(_id_of(underlying, known, "underlying")))

    def trade(self, maker: SignedOrder, taker: SignedOrder, quantity: Amount) -> Receipt:
        """Matches two signed orders at the maker's price. Anyone may."""
        functions = self.contract.functions
        return self.chain.send(
            functions.trade(
                maker.order.message(),
                maker.signature,
                taker.order.message(),
                taker.signature,
                to_wad_exact(quantity),
            )
        )

    def multicall(self, *calls: ContractFunction, **overrides: Any) -> Receipt:
        """Runs calls of `contract.functions` in one go; every account is checked once, at the end.

        So a hedged pair opens with the margin of the pair.
        """
        encoded = [
            bytes(HexBytes(self.contract.encode_abi(call.abi_element_identifier, call.args)))
            for call in calls
        ]
        return self.chain.send(self.contract.functions.multicall(encoded), **overrides)

    def observe(self, *underlyings: int) -> Receipt:
        """Has the engine read and store prices. Anyone may."""
        return self.chain.send(self.chain.engine.functions.observe(list(underlyings)))

    def add_reserves(self, amount: Amount) -> Receipt:
        """Gives settlement tokens to the reserves."""
        cash = self.asset(CASH)
        units = cash.units(amount)
        cash.approve(units)
        return self.chain.send(self.contract.functions.addReserves(units))

    def backstop(self) -> Backstop:
        """The vault that owns the reserves and bids in auctions."""
        return Backstop(self.chain)

    def pool(self, block: BlockIdentifier = "latest") -> Pool:
        return Pool.decode(self.chain.call(self.contract.functions.pool(), block))

    def solvency(self, block: BlockIdentifier = "latest") -> Solvency:
        """Whether the house can pay, and what cash costs and earns now."""
        raw = self.chain.call(self.chain.lens.functions.solvency(), block)
        return Solvency.decode(raw, self.asset(CASH).decimals)

    def funding(self, underlying: int | str, block: BlockIdentifier = "latest") -> Funding:
        """What longs pay shorts on an underlying's perpetual."""
        number = _id_of(underlying, self.chain.addresses.underlyings, "underlying")
        return Funding.decode(self.chain.call(self.chain.engine.functions.funding(number), block))

    def volatility(self, underlying: int | str, block: BlockIdentifier = "latest") -> Volatility:
        number = _id_of(underlying, self.chain.addresses.underlyings, "underlying")
        call = self.chain.engine.functions.volatility(number)
        return Volatility.decode(self.chain.call(call, block))

    def provisions(self, block: BlockIdentifier = "latest") -> Decimal:
        """The losses that auctions are about to leave: who withdraws cash pays beforehand."""
        return from_wad(self.chain.call(self.contract.functions.provisions(), block))

    def wind_down(self, block: BlockIdentifier = "latest") -> WindDown:
        return WindDown.decode(self.chain.call(self.contract.functions.windDown(), block))

    def refresh(self, asset: int | str = CASH, **overrides: Any) -> Receipt:
        """Brings an outflow limit, and for cash the terms of loans, up to the words in force."""
        number = _id_of(asset, self.chain.addresses.assets, "asset")
        return self.chain.send(self.contract.functions.refresh(number), **overrides)

    def factors(self, block: BlockIdentifier = "latest") -> Factors:
        return Factors.decode(self.chain.call(self.chain.engine.functions.factors(), block))

    def risks(
        self, accounts: Sequence[AccountId], block: BlockIdentifier = "latest"
    ) -> list[AccountRisk | None]:
        """The risk of many accounts in one call; none for an account that cannot be read."""
        risks, readable = self._ask_lens("accountRisks", accounts, block)
        return [
            AccountRisk.decode(risk) if good else None
            for risk, good in zip(risks, readable, strict=True)
        ]

    def healths(
        self, accounts: Sequence[AccountId], block: BlockIdentifier = "latest"
    ) -> dict[AccountId, Decimal]:
        """Health of many accounts in one call: infinite without margin; the unreadable left out."""
        raw = self._ask_lens("healths", accounts, block)
        pairs = zip(accounts, raw, strict=True)
        return {account: health_of(value) for account, value in pairs if value != UNREADABLE}

    def auctions(
        self, accounts: Sequence[AccountId], block: BlockIdentifier = "latest"
    ) -> list[AuctionView | None]:
        """What a liquidation bot decides on, of many accounts in one call; none if unreadable."""
        return [AuctionView.decode(raw) for raw in self._ask_lens("auctions", accounts, block)]

    def markets(
        self, underlyings: Sequence[int], block: BlockIdentifier = "latest"
    ) -> dict[int, UnderlyingState]:
        """Price, terms and open interest by underlying. What cannot be read is left out."""
        call = self.chain.lens.functions.underlyings(list(underlyings))
        states = (UnderlyingState.decode(raw) for raw in self.chain.call(call, block))
        pairs = zip(underlyings, states, strict=True)
        return {underlying: state for underlying, state in pairs if state is not None}

    def assets(
        self, ids: Sequence[int], block: BlockIdentifier = "latest"
    ) -> dict[int, AssetTerms]:
        """Token, totals and worth by asset. What cannot be read is left out."""
        raw = self.chain.call(self.chain.lens.functions.assets(list(ids)), block)
        pairs = zip(ids, raw, strict=True)
        return {asset: AssetTerms.decode(each) for asset, each in pairs if int(each[0], 16)}

    def snapshot(
        self,
        underlyings: Iterable[int],
        assets: Iterable[int] = (),
        block: BlockIdentifier = "latest",
        *,
        expiries: Iterable[tuple[int, int]] = (),
    ) -> MarketState:
        """All that the twin needs to price portfolios of these underlyings and assets; of options
        and futures also their expiries, by underlying and day: `expiries_of`."""
        return market_state(self.chain, underlyings, assets, block, expiries=expiries)

    def _ask_lens(self, view: str, accounts: Sequence[AccountId], block: BlockIdentifier) -> Any:
        ids = [account.encode() for account in accounts]
        return self.chain.call(self.chain.lens.functions[view](ids), block)


def _id_of(id_or_symbol: int | str, known: Mapping[str, int], what: str) -> int:
    if isinstance(id_or_symbol, int):
        return id_or_symbol
    if id_or_symbol not in known:
        names = ", ".join(sorted(known)) or "no symbols"
        raise MalformedIdError(f"no {what} {id_or_symbol!r}: the deployment names {names}")
    return known[id_or_symbol]

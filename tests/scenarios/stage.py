"""A sealed house on the in-process EVM, made of feeds and tokens that can be told to misbehave.

Every margin that is asked of the stage is computed by the contracts and by the twin, and the two
must be equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from plimsoll.delegates import TYPES as GRANT_TYPES
from plimsoll.deploy.sender import NOBODY
from plimsoll.instruments import AccountId
from plimsoll.orders import TYPES
from plimsoll.risk import model
from plimsoll.risk.model import WAD
from plimsoll.risk.params import (
    AssetParams,
    GlobalParams,
    Kind,
    LendingParams,
    MarketParams,
    OutflowParams,
    UnderlyingParams,
)
from plimsoll.units import to_units_exact, to_wad_exact
from tests.evm import Contract, Evm, Receipt
from tests.world import LARGEST_FUNDING_CAP, Market, unpack_portfolio

CASH, WETH, WBTC, WALT = range(4)
PEG, ETH, BTC, ALT = range(4)
CASH_SCALE = 10**12
NEVER = 2**40
NO_LIMIT = 2**127 - 1
RANGE = 1_000
RISK = UnderlyingParams(RANGE, window=120, closing=10, concentration=100, band=10)
TERMS = AssetParams(10_000_000, 50_000_000, 100, 300, 1_000)

Amount = Decimal | int | str


def wad(amount: Amount) -> int:
    """Whole units or dollars with 18 decimals, exactly."""
    return to_wad_exact(amount)


@dataclass(frozen=True)
class Listed:
    """An underlying with its perpetual: its first price, and what deviates from the everyday."""

    price: Amount
    risk: UnderlyingParams = RISK
    market: MarketParams = field(default_factory=MarketParams)
    funding: int = 0
    """Dollars per unit and hour, as the first report asks for."""
    funding_cap: int = LARGEST_FUNDING_CAP
    max_age: int = 3_600
    floor: int = 0
    ceiling: int = 94
    decimals: int = 18
    second: int | None = None
    """The bound on the deviation of a second source, which is there if this is set."""


@dataclass(frozen=True)
class Collateral:
    underlying: int
    decimals: int = 18
    terms: AssetParams = TERMS
    growth: int | None = None
    """The growth cap of the redemption rate, bps a year: a yield token if this is set."""
    discount_bound: int | None = None
    """The bound on the discount of a market feed, which is there if this is set."""


UNDERLYINGS = {ETH: Listed(2_000), BTC: Listed(50_000), ALT: Listed(10)}
COLLATERAL = {WETH: Collateral(ETH), WBTC: Collateral(BTC, decimals=8), WALT: Collateral(ALT)}
GLOBALS = GlobalParams(
    initial_factor=12_500,
    band_ceiling=100,
    stress_share=10_000,
    winners_cap=1_000_000,
    payout_cap=1_000_000,
    dust=10,
    peg_bound=200,
)


def terms(expiry: int = NEVER, **limits: Any) -> dict[str, Any]:
    """What a delegate is granted: to trade as he likes and to bid, unless told."""
    free = {"mayBid": True, "reduceOnly": False, "maxLeverage": 0, "markets": 0}
    return {"expiry": expiry, **free, **limits}


class Stage(Market):
    """The house, its parts, and short ways to use them. The deployer governs."""

    def __init__(
        self,
        *,
        underlyings: Mapping[int, Listed] = UNDERLYINGS,
        collateral: Mapping[int, Collateral] = COLLATERAL,
        factors: GlobalParams = GLOBALS,
        grace: int | None = None,
        cash_decimals: int = 6,
        reserves: Amount = 50_000_000,
        lent: Amount = 50_000_000,
        permit2: Mapping[str, Any] | None = None,
        lending: LendingParams | None = None,
        outflows: Mapping[int, int] | None = None,
        backstop: str | None = None,
        evm: Evm | None = None,
    ) -> None:
        super().__init__(evm, factors)
        self.permit2 = self.evm.deploy(permit2) if permit2 else NOBODY
        self.salts = count(1)
        self.marks: dict[int, int] = {}
        for u, listed in {PEG: Listed(1), **underlyings}.items():
            self._list(u, listed)
        self.cash_decimals = cash_decimals
        self.tokens = {CASH: self.new_token(cash_decimals)}
        for asset, one in collateral.items():
            self._list_collateral(asset, one)
        if grace is not None:
            self._list_sequencer(grace)
        if lending is not None:
            self.engine.setUp(Kind.LENDING, CASH, lending.word)
        limits = outflows or {}
        for asset, limit in limits.items():
            self.engine.setUp(Kind.OUTFLOW, asset, OutflowParams(limit).word)
        self._open_house(backstop)
        self.lender = self.fund("lender", lent)
        if reserves:
            self.add_reserves(reserves)
        # A limit on cash measures from what the vault holds when it comes into force.
        for asset in {CASH, *limits}:
            self.house.refresh(asset)

    # Building

    def _list(self, u: int, listed: Listed) -> None:
        self.marks[u] = wad(listed.price)
        self.list_underlying(
            u,
            listed.risk,
            to_units_exact(listed.price, listed.decimals),
            max_age=listed.max_age,
            floor=listed.floor,
            ceiling=listed.ceiling,
            decimals=listed.decimals,
            market=None if u == PEG else listed.market,
            second=listed.second,
            funding_cap=listed.funding_cap,
        )
        if listed.funding:
            self.set_funding(u, listed.funding)

    def _list_collateral(self, asset: int, one: Collateral) -> None:
        token = self.tokens[asset] = self.new_token(one.decimals)
        if one.growth is None:
            self.list_asset(asset, token, one.underlying, one.terms)
        else:
            rate = self.evm.deploy("MockRate", WAD)
            self.list_yield_asset(asset, token, one.underlying, one.terms, rate, growth=one.growth)
        if one.discount_bound is not None:
            self.set_rate_market(asset, WAD, bound=one.discount_bound)

    def _list_sequencer(self, grace: int) -> None:
        """An uptime feed that has been up for as long as its grace period."""
        self.set_sequencer(grace).set(0, self.now - grace)

    def _open_house(self, backstop: str | None) -> None:
        evm = self.evm
        modules = evm.deploy("TradingModule"), evm.deploy("LiquidationModule")
        self.dollar = self.tokens[CASH]
        parts = self.manager, self.engine, self.dollar, self.permit2, *modules
        self.house = evm.deploy("ClearingHouse", *parts)
        self.vault = evm.at(self.house.call.VAULT(), "CollateralVault")
        self.lens = evm.deploy("Lens", self.house)
        if backstop is not None:
            self.house.bindBackstop(self.actor(backstop))
        self.seal(self.house)

    # People and money

    def actor(self, name: str) -> LocalAccount:
        return self.evm.actor(name)

    def give(self, to: Any, asset: int, units: int) -> None:
        """Tokens out of nothing, approved for the vault."""
        token = self.tokens[asset]
        token.mint(to, units)
        token.approve(self.vault, 2**256 - 1, sender=to)

    def account(self, owner: LocalAccount | str, sub_account: int = 0) -> bytes:
        who = self.actor(owner) if isinstance(owner, str) else owner
        return AccountId(who.address, sub_account).encode()

    def owner(self, account: bytes) -> str:
        return AccountId.decode(account).owner

    def fund(self, owner: LocalAccount | str, dollars: Amount, sub_account: int = 0) -> bytes:
        """An account with so much cash deposited by its owner."""
        return self.deposit(owner, CASH, to_units_exact(dollars, self.cash_decimals), sub_account)

    def deposit(
        self, owner: LocalAccount | str, asset: int, units: int, sub_account: int = 0
    ) -> bytes:
        who = self.actor(owner) if isinstance(owner, str) else owner
        self.give(who, asset, units)
        account = self.account(who, sub_account)
        self.house.deposit(account, asset, units, sender=who)
        if asset != CASH:
            self.note_total(asset, self.house.call.claims(asset))
        return account

    def withdraw(self, account: bytes, asset: int, units: int, to: Any = None) -> Receipt:
        owner = self.owner(account)
        return self.house.withdraw(account, asset, units, to or owner, sender=owner)

    def withdraw_cash(self, account: bytes, dollars: Amount) -> Receipt:
        return self.withdraw(account, CASH, to_units_exact(dollars, self.cash_decimals))

    def add_reserves(self, dollars: Amount) -> None:
        units = to_units_exact(dollars, self.cash_decimals)
        self.give(self.evm.deployer, CASH, units)
        self.house.addReserves(units)

    def appoint(self, account: bytes, delegate: Any, expiry: int = NEVER, **limits: Any) -> Receipt:
        """Its owner grants somebody to trade for an account; everything, unless told."""
        who = self.actor(delegate) if isinstance(delegate, str) else delegate
        granted = terms(expiry, **limits)
        return self.house.setDelegate(account, who, granted, sender=self.owner(account))

    def sign_grant(
        self,
        account: bytes,
        delegate: Any,
        granted: Mapping[str, Any],
        deadline: int = NEVER,
        *,
        key: LocalAccount | str,
        nonce: int | None = None,
        **domain: Any,
    ) -> bytes:
        """A grant signed for this house, at the account's present nonce, unless told."""
        known = self.house.call.grantNonce(account) if nonce is None else nonce
        message = {
            "account": account,
            "delegate": getattr(delegate, "address", delegate),
            **granted,
            "nonce": known,
            "deadline": deadline,
        }
        signable = encode_typed_data({**self.domain(), **domain}, GRANT_TYPES, message)
        signer = self.actor(key) if isinstance(key, str) else key
        return bytes(signer.sign_message(signable).signature)

    # Prices and time

    def pass_time(self, seconds: int) -> None:
        """Time passes, and every source goes on reporting what it reported."""
        self.warp(seconds)
        self.report(self.marks)

    def report(self, prices: Mapping[int, int]) -> None:
        """Both sources of each underlying report a price of now; nothing is observed."""
        for u, price in prices.items():
            self.marks[u] = price
            self.set_price(u, price // 10 ** (18 - self.underlyings[u].feed.decimals))
        for asset in self.assets.values():
            if asset.rate_feed is not None and asset.rate_feed.answer is not None:
                asset.rate_feed.set(asset.rate_feed.answer.value, self.now)

    def move(self, prices: Mapping[int, Amount]) -> None:
        """All sources report these prices, and the engine stores them."""
        self.report({u: wad(price) for u, price in prices.items()})
        self.observe(*prices)

    def settle_stable(self, hours: int = 48) -> None:
        """Lets the stable prices reach the index prices: observed every hour."""
        for _ in range(hours):
            self.pass_time(3_600)
            self.observe(*self.marks)

    # Trading

    def order(
        self,
        account: bytes,
        sizes: Mapping[int, Amount],
        quantity: Amount,
        price: int,
        **fields: Any,
    ) -> dict[str, Any]:
        """An order for a package of perpetuals by underlying; `price` has 18 decimals."""
        legs = [
            {"instrument": model.perpetual(u), "ratio": wad(size)}
            for u, size in sorted(sizes.items())
        ]
        return {
            "account": account,
            "signer": self.owner(account),
            "taker": "0x" + "00" * 20,
            "legs": legs,
            "quantity": wad(quantity),
            "price": price,
            "minimumFill": 0,
            "reduceOnly": False,
            "expiry": NEVER,
            "epoch": self.house.call.versions(account).epoch,
            "salt": next(self.salts),
            **fields,
        }

    def sign(self, order: Mapping[str, Any], key: LocalAccount | str) -> bytes:
        signer = self.actor(key) if isinstance(key, str) else key
        message = encode_typed_data(self.domain(), TYPES, dict(order))
        return bytes(signer.sign_message(message).signature)

    def domain(self) -> dict[str, Any]:
        _, *values, _, _ = self.house.call.eip712Domain()
        names = ("name", "version", "chainId", "verifyingContract")
        return dict(zip(names, values, strict=True))

    def mark(self, sizes: Mapping[int, Amount]) -> int:
        """The net price of a package at the marks, rounded down."""
        return sum(wad(size) * self.marks[u] for u, size in sizes.items()) // WAD

    def trade(
        self,
        buyer: str,
        seller: str,
        sizes: Mapping[int, Amount],
        *,
        quantity: Amount = 1,
        price: Amount | None = None,
        buyer_sub: int = 0,
        seller_sub: int = 0,
    ) -> Receipt:
        """Matches two signed orders, the seller's as maker; at the mark unless told otherwise."""
        net = self.mark(sizes) if price is None else wad(price)
        maker = self.order(self.account(seller, seller_sub), sizes, -Decimal(str(quantity)), net)
        taker = self.order(self.account(buyer, buyer_sub), sizes, quantity, net)
        signatures = self.sign(maker, seller), self.sign(taker, buyer)
        return self.house.trade(maker, signatures[0], taker, signatures[1], wad(quantity))

    def settle(self, account: bytes, u: int) -> Receipt:
        return self.house.settle(account, model.perpetual(u))

    # Liquidation

    def start_auction(self, account: bytes) -> None:
        """Two looks, twelve seconds apart."""
        self.look(account)
        self.pass_time(12)
        self.look(account)

    def look(self, account: bytes) -> Receipt:
        """Flags the account; its prices and rates are observed, in the twin too."""
        receipt = self.house.flag(account)
        held = self.portfolio(account)
        assets = [self.assets[one.asset] for one in held.collateral]
        for asset in assets:
            if asset.rate is not None:
                self._observe_rate(asset)
        found = [asset.underlying for asset in assets]
        self.note_observed([*found, *(one.underlying for one in held.positions)])
        return receipt

    def bid(
        self,
        bidder: str,
        account: bytes,
        fraction: int = WAD,
        *,
        sub_account: int = 0,
        **terms: Any,
    ) -> Receipt:
        bid = self.bid_terms(self.account(bidder, sub_account), account, fraction, **terms)
        return self.house.bid(bid, sender=self.actor(bidder))

    def bid_terms(
        self, bidder: bytes, account: bytes, fraction: int = WAD, **terms: Any
    ) -> dict[str, Any]:
        """A bid without limits, unless told."""
        return {
            "account": account,
            "bidder": bidder,
            "fraction": fraction,
            "maxPrice": NO_LIMIT,
            "deadline": NEVER,
            "version": 0,
            **terms,
        }

    # Contracts

    def puppet(self, dollars: Amount) -> tuple[Contract, bytes]:
        """A contract that does what it is told, and its account with so much cash."""
        puppet = self.evm.deploy("Puppet")
        account = AccountId(puppet.address).encode()
        banker, units = self.actor("banker"), to_units_exact(dollars, self.cash_decimals)
        self.give(banker, CASH, units)
        self.house.deposit(account, CASH, units, sender=banker)
        return puppet, account

    def step(self, name: str, *args: Any, may_fail: bool = False) -> tuple[str, bytes, bool]:
        """A call to the house, for a puppet to make."""
        return self.house.address, self.house.encode(name, *args), may_fail

    # What is known

    def portfolio(self, account: bytes) -> model.Portfolio:
        return unpack_portfolio(self.house.call.portfolio(account))

    def margin(self, account: bytes) -> model.Margin:
        """Of the contracts; the twin must agree in every field."""
        margin = model.Margin(*self.house.call.margin(account))
        twin = model.margin(self.portfolio(account), self.inputs())
        assert margin == twin, f"the twin differs: {twin}"
        return margin

    def cash(self, account: bytes) -> int:
        return self.portfolio(account).cash

    def equity(self, *accounts: bytes) -> int:
        return sum(self.margin(account).equity for account in accounts)

    def position(self, account: bytes, u: int) -> model.Position:
        return self.portfolio(account).position(model.perpetual(u))

    def surplus(self, accounts: Sequence[bytes]) -> int:
        """Settlement tokens in the vault beyond the books of these accounts and the lender.

        Never negative; what is beyond zero was lost to rounding."""
        pool = self.house.call.pool()
        held = self.dollar.call.balanceOf(self.vault) * 10 ** (18 - self.cash_decimals)
        cash = sum(self.cash(account) for account in [*accounts, self.lender])
        return int(held - cash - pool.netQuote - pool.reserves + pool.deficit)


def as_tuple(margin: model.Margin) -> tuple[Any, ...]:
    """A margin as an error or event carries it."""
    return tuple(asdict(margin).values())

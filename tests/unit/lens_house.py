"""A sealed clearinghouse with two markets and three kinds of collateral, driven through the SDK."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3

from plimsoll.chain import Addresses
from plimsoll.deploy.sender import NOBODY
from plimsoll.protocol import Account, Market, Plimsoll
from plimsoll.risk.params import AssetParams, GlobalParams, MarketParams, UnderlyingParams
from plimsoll.units import WAD, to_wad_exact
from tests.evm import Contract, actor
from tests.python.evm_rpc import EvmProvider
from tests.world import Market as Terms

PEG, ETH, BTC = 0, 1, 2
USD, WETH, WBTC, STETH = 0, 1, 2, 3
DECIMALS = {USD: 6, WETH: 18, WBTC: 8, STETH: 18}
PRICES = {PEG: Decimal(1), ETH: Decimal(2_000), BTC: Decimal(50_000)}
RATE = Decimal("1.1")
# A mode of MockFeed.
REVERT = 1
RESERVES = 10_000_000
FEES = MarketParams(taker_fee=500, maker_fee=200, open_interest_cap=10**9, stress_jump=5_000)
FUNDING = {ETH: "0.0137", BTC: "-0.3"}
"""Dollars per unit and hour."""
RISK = {
    ETH: UnderlyingParams(range=610, window=120, closing=5, concentration=50, band=5),
    BTC: UnderlyingParams(range=490, window=120, closing=5, concentration=50, band=5),
}
HAIRCUT = AssetParams(1_000_000, 10_000_000, 200, 500, 1_000, cap=10**9, growth=10**9)
YIELD = AssetParams(1_000_000, 5_000_000, 300, 700, 2_000, basis=150, cap=10**9, growth=10**9)


def actor_of(account: Account) -> LocalAccount:
    assert isinstance(account.chain.signer, LocalAccount)
    return account.chain.signer


class House:
    """Everything a test of the lens or the SDK touches."""

    def __init__(self, winners_cap: int = 1_000_000, reserves: int = RESERVES) -> None:
        factors = GlobalParams(band_ceiling=200, winners_cap=winners_cap, payout_cap=10**9)
        self.terms = Terms(factors=factors)
        self.evm = self.terms.evm
        self._list()
        self.tokens[USD] = self.terms.new_token(DECIMALS[USD])
        self.contract = self._deploy()
        self.terms.seal(self.contract)
        self.lens = self.evm.deploy("Lens", self.contract.address)
        self.w3 = Web3(EvmProvider(self.evm))
        self.addresses = Addresses(
            clearing_house=self.contract.address,
            lens=self.lens.address,
            chain_id=self.w3.eth.chain_id,
            assets={"USD": USD, "WETH": WETH, "WBTC": WBTC, "STETH": STETH},
            underlyings={"ETH": ETH, "BTC": BTC},
        )
        self.deployer = self.seen_by(self.evm.deployer)
        if reserves:
            self.reserve(reserves)

    def reserve(self, amount: int) -> None:
        """Gives to the reserves, which bound the open interest."""
        self._pay(self.evm.deployer, USD, amount)
        self.deployer.add_reserves(amount)

    def _list(self) -> None:
        self.terms.list_underlying(PEG, UnderlyingParams(range=50, window=1_000), WAD)
        for underlying, risk in RISK.items():
            price = to_wad_exact(PRICES[underlying])
            self.terms.list_underlying(underlying, risk, price, market=FEES)
            self.terms.set_funding(underlying, to_wad_exact(FUNDING[underlying]))
        self.tokens = {
            asset: self.terms.new_token(DECIMALS[asset]) for asset in (WETH, WBTC, STETH)
        }
        self.terms.list_asset(WETH, self.tokens[WETH], ETH, HAIRCUT)
        self.terms.list_asset(WBTC, self.tokens[WBTC], BTC, HAIRCUT)
        self.staked = self.evm.deploy("MockRate", to_wad_exact(RATE))
        self.terms.list_yield_asset(STETH, self.tokens[STETH], ETH, YIELD, self.staked)

    def _deploy(self) -> Contract:
        return self.evm.deploy(
            "ClearingHouse",
            self.terms.manager.address,
            self.terms.engine.address,
            self.tokens[USD].address,
            NOBODY,
            self.evm.deploy("TradingModule").address,
            self.evm.deploy("LiquidationModule").address,
        )

    def seen_by(self, signer: LocalAccount | str) -> Plimsoll:
        return Plimsoll.connect(self.w3, self.addresses, signer)  # type: ignore[arg-type]

    def person(self, name: str, **deposits: Any) -> Account:
        """An account of somebody with that role, who signs with a key and holds what is named."""
        key = actor(name)
        account = self.seen_by(key).account()
        for symbol, amount in deposits.items():
            self.give(account, symbol, amount)
        return account

    def give(self, account: Account, symbol: str, amount: Any) -> None:
        asset = self.deployer.asset(symbol)
        self._pay(account.id.owner, asset.id, amount)
        account.deposit(self.seen_by(actor_of(account)).asset(symbol), amount)

    def _pay(self, to: str, asset: int, amount: Any) -> None:
        units = int(Decimal(amount) * 10 ** DECIMALS[asset])
        self.tokens[asset].mint(to, units)

    def market(self, symbol: str) -> Market:
        return self.deployer.market(symbol)

    def trade(
        self, buyer: Account, seller: Account, symbol: str, size: Any, price: Any = None
    ) -> None:
        """The seller makes, the buyer takes; at the mark unless a price is named."""
        market = self.market(symbol)
        at = self.price_of(symbol) if price is None else price
        made = seller.sign(seller.order(market, -Decimal(size), at))
        buyer.take(made, size)

    def price_of(self, symbol: str) -> Decimal:
        return self.market(symbol).price().index

    def wait(self, seconds: int) -> None:
        """Lets time pass, and every source report its price again."""
        feeds = {u: each.feed for u, each in self.terms.underlyings.items()}
        self.terms.warp(seconds)
        for underlying, feed in feeds.items():
            self.terms.set_price(underlying, feed.contract.call.answer())
        self.terms.observe(*feeds)

    def break_feed(self, symbol: str) -> None:
        """From here on every read of the price reverts."""
        underlying = self.addresses.underlyings[symbol]
        self.terms.underlyings[underlying].feed.contract.setMode(REVERT)

    def set_price(self, symbol: str, price: Any, *, observe: bool = True) -> None:
        underlying = self.addresses.underlyings[symbol]
        self.terms.set_price(underlying, to_wad_exact(price))
        if observe:
            self.terms.observe(underlying)

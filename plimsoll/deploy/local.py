"""A whole Plimsoll on a local Anvil, in one call.

>>> house = deploy_local(accounts.test_accounts[0])
>>> house.mint("USDC", alice, "1_000_000")
>>> house.push_prices({"ETH": "2_100", "BTC": "58_000"})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plimsoll.config import NetworkConfig, given, load_config
from plimsoll.deploy import faucets
from plimsoll.deploy.artifacts import Artifact, Compiled
from plimsoll.deploy.feeds import ChainlinkFeed, PythFeed, SequencerFeed, push_pyth
from plimsoll.deploy.house import BACKSTOP, House
from plimsoll.deploy.roles import REPORTS
from plimsoll.deploy.sender import Sender
from plimsoll.deploy.world import PERMIT2, deployed_feeds, pyth_prices, support
from plimsoll.deployments import Manifest
from plimsoll.instruments import Instrument
from plimsoll.units import Amount, decimal_of, from_wad, to_units_exact

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractInstance


@dataclass(frozen=True)
class LocalToken:
    """A listed token. `asset` is its id in the registry; 0 is the settlement token."""

    symbol: str
    asset: int
    underlying: int
    decimals: int
    contract: ContractInstance

    @property
    def address(self) -> str:
        return str(self.contract.address)

    def units(self, amount: Amount) -> int:
        """Whole tokens to the token's own units; refuses what would have to be rounded."""
        return to_units_exact(amount, self.decimals)


@dataclass
class LocalDeployment:
    """Contracts, tokens and feeds of one local deployment, and what a test does to them."""

    config: NetworkConfig
    manifest: Manifest
    deployer: AccountAPI
    """Governor, guardian, keeper, oracle node and owner of every faucet."""
    clearing_house: ContractInstance
    engine: ContractInstance
    lens: ContractInstance
    vault: ContractInstance
    manager: ContractInstance
    backstop: ContractInstance
    reports: ContractInstance | None
    permit2: ContractInstance | None
    tokens: dict[str, LocalToken]
    """By symbol: USDC (asset 0), WETH, WBTC, the ERC-4626 share and the staked ether among them."""
    underlyings: dict[str, int]
    """Underlying id by symbol; the id of an underlying is the id of its perpetual's market too."""
    primary: dict[str, ChainlinkFeed]
    """The first source of each underlying: a FluxAggregator behind its EACAggregatorProxy."""
    second: dict[str, PythFeed]
    """The second source of each underlying that has one."""
    rate_markets: dict[str, ChainlinkFeed]
    """The slow market feed of each yield token, in units of its underlying."""
    sequencer: SequencerFeed | None = None
    prices: dict[str, Decimal] = field(default_factory=dict)
    """What was last pushed, by symbol."""
    manifest_path: Path | None = None

    def instrument(self, symbol: str) -> int:
        """The packed id of the perpetual on an underlying."""
        return Instrument.perpetual(self.underlyings[symbol]).encode()

    def mint(self, symbol: str, to: str, amount: Amount) -> int:
        """Gives `to` whole tokens, by faucet, wrapping or depositing. Returns units."""
        return faucets.mint(self, self.tokens[symbol], to, amount)

    def push_price(self, symbol: str, price: Amount) -> None:
        """Has the oracles of both sources report `price`. Does not observe it."""
        self.push_prices({symbol: price})

    def push_prices(self, prices: Mapping[str, Amount]) -> list[ReceiptAPI]:
        """Has both sources report: one transaction per aggregator, one for all of Pyth."""
        exact = {symbol: decimal_of(price) for symbol, price in prices.items()}
        receipts = [self.primary[symbol].submit(price) for symbol, price in exact.items()]
        seconds = {self.second[s]: price for s, price in exact.items() if s in self.second}
        if seconds:
            receipts.append(push_pyth(seconds))
        self.prices.update(exact)
        return receipts

    def push_primary(self, symbol: str, price: Amount) -> ReceiptAPI:
        """Moves the first source alone, as when sources part."""
        return self.primary[symbol].submit(decimal_of(price))

    def push_second(self, symbol: str, price: Amount) -> ReceiptAPI:
        """Moves the second source alone."""
        return push_pyth({self.second[symbol]: decimal_of(price)})

    def refresh(self, symbols: Iterable[str] | None = None) -> None:
        """Reports the last prices again, so that time may pass without making them stale."""
        chosen = self.prices if symbols is None else symbols
        self.push_prices({symbol: self.prices[symbol] for symbol in chosen})

    def push_rate_market(self, symbol: str, ratio: Amount) -> ReceiptAPI:
        """Reports what the market pays for one yield token, in units of its underlying."""
        return self.rate_markets[symbol].submit(decimal_of(ratio))

    def set_redemption_rate(self, symbol: str, rate: Amount) -> ReceiptAPI:
        """Sets what one yield token redeems for; that of a share can only rise."""
        return faucets.set_redemption_rate(self, self.tokens[symbol], decimal_of(rate))

    def set_sequencer(self, up: bool) -> ReceiptAPI:
        """Reports the sequencer up or down from now on."""
        if self.sequencer is None:
            raise ValueError("this deployment has no sequencer feed")
        return self.sequencer.report(up)

    def observe(self, *symbols: str, sender: AccountAPI | None = None) -> ReceiptAPI:
        """Has the engine store prices: of all underlyings, or of those named."""
        ids = [self.underlyings[symbol] for symbol in symbols or self.underlyings]
        return self.engine.observe(ids, sender=sender or self.deployer)


def deploy_local(
    deployer: AccountAPI,
    *,
    config: NetworkConfig | Path | str = "local",
    seal: bool = True,
    manifest: Path | None = None,
    **overrides: Any,
) -> LocalDeployment:
    """Deploys, configures and (unless told not to) seals the whole house on the connected Anvil.

    Needs a connected Ape provider. `manifest` names a folder to write the deployment to, for other
    processes; without it nothing is written. `overrides` replace top-level fields of the
    configuration. The prices of the configuration are pushed and observed before it returns.
    """
    loaded = config if isinstance(config, NetworkConfig) else load_config(config)
    if overrides:
        loaded = NetworkConfig.model_validate({**loaded.model_dump(), **overrides})
    house = _house(deployer, loaded, manifest)
    house.deploy()
    house.configure()
    if seal:
        house.seal()
    return _Instances(deployer, house).deployment()


def _house(deployer: AccountAPI, config: NetworkConfig, folder: Path | None) -> House:
    from ape import project

    sender = Sender.from_ape(deployer.provider, deployer)
    return House(config, sender, Compiled(Path(project.path)), folder)


@dataclass(frozen=True)
class _Instances:
    """Ape's objects for what a house deployed."""

    deployer: AccountAPI
    house: House

    def deployment(self) -> LocalDeployment:
        config = self.house.config
        return LocalDeployment(
            config=config,
            manifest=self.house.manifest,
            deployer=self.deployer,
            clearing_house=self._ours("ClearingHouse"),
            engine=self._ours("MarginEngine"),
            lens=self._ours("Lens"),
            vault=self._ours("CollateralVault"),
            manager=self._ours("AccessManager"),
            backstop=self._ours(BACKSTOP),
            reports=self._ours(REPORTS) if config.reports else None,
            permit2=self._at(PERMIT2, support("Permit2")) if config.permit2 else None,
            tokens=self._tokens(),
            underlyings={name: u.id for name, u in config.enabled_underlyings().items()},
            primary=self._chainlink("feed:"),
            second=self._pyth(),
            rate_markets=self._chainlink("market:"),
            sequencer=self._sequencer(),
            prices=self._prices(),
            manifest_path=self.house.folder,
        )

    def _at(self, name: str, artifact: Artifact) -> ContractInstance:
        from ape import chain
        from ape.contracts import ContractInstance
        from ethpm_types import ContractType

        address = self.house.book.where[name]
        kind = ContractType.model_validate({"contractName": artifact.name, "abi": artifact.abi})
        chain.contracts[address] = kind  # so that Ape names events in any receipt
        return ContractInstance(address, kind)

    def _ours(self, name: str) -> ContractInstance:
        return self._at(name, self.house.artifacts.get(name))

    def _tokens(self) -> dict[str, LocalToken]:
        config, tokens = self.house.config, {}
        listed = {config.settlement.symbol: (0, 0, config.settlement.token)}
        for name, asset in config.enabled_assets().items():
            listed[name] = (asset.id, config.underlyings[asset.underlying].id, given(asset.token))
        for symbol, (number, underlying, token) in listed.items():
            artifact = (
                self.house.artifacts.get(token.faucet.contract)
                if token.faucet
                else support("WETH9")
            )
            contract = self._at(f"token:{symbol}", artifact)
            tokens[symbol] = LocalToken(symbol, number, underlying, token.decimals, contract)
        return tokens

    def _chainlink(self, prefix: str) -> dict[str, ChainlinkFeed]:
        return {
            feed.name.removeprefix(prefix): ChainlinkFeed(
                proxy=self._at(feed.name, support("EACAggregatorProxy")),
                aggregator=self._at(feed.aggregator, support("FluxAggregator")),
                decimals=feed.feed.decimals,
                oracle=self.deployer,
            )
            for feed in deployed_feeds(self.house.config)
            if feed.name.startswith(prefix)
        }

    def _pyth(self) -> dict[str, PythFeed]:
        return {
            name.removesuffix(":second"): PythFeed(
                pyth=self._at("pyth", support("MockPyth")),
                feed_id=source.pyth.feed_id,
                decimals=source.decimals,
                publisher=self.deployer,
            )
            for name, (source, _) in pyth_prices(self.house.config).items()
            if source.pyth
        }

    def _sequencer(self) -> SequencerFeed | None:
        if "sequencer" not in self.house.book.where:
            return None
        return SequencerFeed(
            feed=self._at("sequencer", support("OptimismSequencerUptimeFeed")),
            messenger=self._at("messenger", support("MockOVMCrossDomainMessenger")),
            reporter=self.deployer,
        )

    def _prices(self) -> dict[str, Decimal]:
        return {
            feed.name.removeprefix("feed:"): from_wad(feed.price)
            for feed in deployed_feeds(self.house.config)
            if feed.name.startswith("feed:")
        }

"""What one network's deployment shall be, in human units: `plimsoll/networks/*.yaml`.

Nothing is guessed: an unknown field, a number without its unit, a value beyond the bounds of
docs/margin.md section 8 or finer than the chain keeps is an error that says where it stands. Every
address cites where it was seen. What a network lacks stays in the file with `disabled: <reason>`,
and nothing is deployed or configured for it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)
from web3 import Web3

from plimsoll import quantities as q

NETWORKS = Path(__file__).parent / "networks"
MAX_ASSETS = 96
MAX_UNDERLYINGS = 256


def _read_address(text: object) -> str:
    if not isinstance(text, str) or not Web3.is_checksum_address(text):
        raise ValueError(f"{text!r} is not an address with its checksum")
    return text


def _read_bytes32(text: object) -> str:
    if not isinstance(text, str) or not text.startswith("0x") or len(text) != 66:
        raise ValueError(f"{text!r} is not 0x and 64 hexadecimal digits")
    return f"0x{int(text, 16):064x}"


def _read_url(text: object) -> str:
    if not isinstance(text, str) or not text.startswith("https://"):
        raise ValueError(f"{text!r} cites no public page: give its https:// address")
    return text


Address = Annotated[str, BeforeValidator(_read_address)]
Bytes32 = Annotated[str, BeforeValidator(_read_bytes32)]
Citation = Annotated[str, BeforeValidator(_read_url)]
Bps = Annotated[int, BeforeValidator(q.read_bps), PlainSerializer(q.write_bps)]
Millionths = Annotated[int, BeforeValidator(q.read_millionths), PlainSerializer(q.write_millionths)]
YearlyBps = Annotated[int, BeforeValidator(q.read_yearly_bps), PlainSerializer(q.write_yearly_bps)]
Dollars = Annotated[int, BeforeValidator(q.read_dollars), PlainSerializer(q.write_dollars)]
HourlyDollars = Annotated[
    int, BeforeValidator(q.read_hourly_dollars), PlainSerializer(q.write_hourly_dollars)
]
PriceWad = Annotated[int, BeforeValidator(q.read_price), PlainSerializer(q.write_price)]
RateWad = Annotated[int, BeforeValidator(q.read_rate), PlainSerializer(q.write_rate)]
Days = Annotated[int, BeforeValidator(q.read_days), PlainSerializer(q.write_days)]
HourlyMillionths = Annotated[
    int, BeforeValidator(q.read_hourly_millionths), PlainSerializer(q.write_hourly_millionths)
]
Seconds = Annotated[int, BeforeValidator(q.read_duration), PlainSerializer(q.write_duration)]
States = Annotated[int, BeforeValidator(q.read_states), PlainSerializer(q.write_states)]
Percent = Annotated[int, BeforeValidator(q.read_percent), PlainSerializer(q.write_percent)]
YearlyTenths = Annotated[
    int, BeforeValidator(q.read_yearly_tenths), PlainSerializer(q.write_yearly_tenths)
]
HourlyTokens = Annotated[
    int, BeforeValidator(q.read_hourly_tokens), PlainSerializer(q.write_hourly_tokens)
]
Outflow = Annotated[HourlyTokens, Field(gt=0, lt=(1 << 40) - 1)]
Concentration = Annotated[
    int, BeforeValidator(q.read_concentration), PlainSerializer(q.write_concentration)
]


T = TypeVar("T")


def given(value: T | None) -> T:
    """A field that validation has made sure of, because what it belongs to is enabled."""
    if value is None:
        raise ValueError("asked of something that is disabled")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Faucet(_Strict):
    """A token of our own where the real one lacks. Its name says so; anybody may mint."""

    contract: Literal["FaucetToken", "FaucetShare", "FaucetStakedEther"]
    name: str
    drip: int = Field(gt=0, description="most whole tokens for one address a day")
    of: str | None = Field(None, description="the asset that a share holds")
    rate: RateWad | None = Field(None, description="first rate of staked ether")

    @model_validator(mode="after")
    def _says_so(self) -> Self:
        if "faucet" not in self.name.lower():
            raise ValueError(f"{self.name!r} must say that it is a faucet token")
        if (self.contract == "FaucetShare") != (self.of is not None):
            raise ValueError("`of` names the asset of a FaucetShare, and of nothing else")
        if (self.contract == "FaucetStakedEther") != (self.rate is not None):
            raise ValueError("`rate` is the first rate of a FaucetStakedEther, and of nothing else")
        return self


class Token(_Strict):
    """A token: one that exists, with its source; a faucet; on a local chain the real WETH9."""

    decimals: int = Field(ge=0, le=27)
    address: Address | None = None
    cites: Citation | None = None
    faucet: Faucet | None = None
    deploy: Literal["WETH9"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(origin is not None for origin in (self.address, self.faucet, self.deploy)) != 1:
            raise ValueError("give one of: address (with cites), faucet, deploy")
        if (self.address is None) != (self.cites is None):
            raise ValueError("an address cites where it was seen, and nothing else does")
        return self


class Feed(_Strict):
    """A Chainlink proxy: one that exists, with its source; or, on a local chain, one to deploy."""

    decimals: int = Field(ge=0, le=18)
    max_age: Seconds = Field(gt=0, lt=1 << 17)
    description: str
    address: Address | None = None
    cites: Citation | None = None
    deploy: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.deploy == (self.address is not None):
            raise ValueError("give either address (with cites) or deploy")
        if (self.address is None) != (self.cites is None):
            raise ValueError("an address cites where it was seen, and nothing else does")
        return self


class Pyth(_Strict):
    """A price of the network's Pyth contract."""

    feed_id: Bytes32
    cites: Citation
    decimals: int = Field(8, ge=0, le=18)
    max_age: Seconds = Field(gt=0, lt=1 << 17)


class Source(_Strict):
    """Where a price comes from, and the hard bounds outside which it is not believed."""

    chainlink: Feed | None = None
    pyth: Pyth | None = None
    at_least: PriceWad
    at_most: PriceWad

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.chainlink is None) == (self.pyth is None):
            raise ValueError("give either chainlink or pyth")
        if self.at_least >= self.at_most:
            raise ValueError("at_least must be below at_most")
        if self.ceiling > 94:
            raise ValueError(f"at_most is above the largest price, {q.write_price(1 << 94)}")
        return self

    @property
    def floor(self) -> int:
        """The exponent of the largest power of two that is not above `at_least`."""
        return self.at_least.bit_length() - 1

    @property
    def ceiling(self) -> int:
        """The exponent of the smallest power of two that is not below `at_most`."""
        return (self.at_most - 1).bit_length()

    @property
    def max_age(self) -> int:
        return self._only.max_age

    @property
    def decimals(self) -> int:
        return self._only.decimals

    @property
    def _only(self) -> Feed | Pyth:
        return self.chainlink if self.chainlink else given(self.pyth)


class SecondSource(Source):
    """An independent source, and by how much the two may differ."""

    deviation: Bps = Field(gt=0, lt=1 << 12)


class Risk(_Strict):
    """The UNDERLYING word. Bounds: docs/margin.md section 8."""

    range: Bps = Field(ge=1, le=2500)
    window: States = Field(ge=100, le=1000)
    closing: Bps = Field(ge=0, lt=1 << 10)
    concentration: Concentration = Field(ge=0, lt=1 << 14)
    band: Bps = Field(ge=0, lt=1 << 10)

    @model_validator(mode="after")
    def _tails_dominated(self) -> Self:
        if self.window < 300 and self.range * 4 * (300 - self.window) > 300 * 3200:
            most = 300 * 3200 // (4 * (300 - self.window))
            raise ValueError(
                f"with a window of {q.write_states(self.window)} the range is at most "
                f"{q.write_bps(most)}: beyond it the tails of the grid would bind"
            )
        return self


class Perpetual(_Strict):
    """The MARKET and FUNDING words."""

    taker_fee: Millionths = Field(ge=0, lt=1 << 14)
    maker_fee: Millionths = Field(ge=0, lt=1 << 14)
    open_interest_cap: Dollars = Field(ge=0, lt=1 << 40)
    stress_jump: Bps = Field(ge=0, le=10_000)
    funding_cap: HourlyMillionths = Field(0, ge=0, le=10_000)
    closed: bool = False


class Options(_Strict):
    """The OPTIONS word: what options and futures of an underlying are margined by, and which may
    be opened. docs/options.md sections 1, 4 and 6."""

    vol_shift: Bps = Field(ge=100, le=8_000)
    term_forward: Bps = Field(ge=0, lt=1 << 12)
    term_vol: Bps = Field(ge=0, le=10_000)
    option_closing: Bps = Field(ge=0, lt=1 << 10)
    digits: int = Field(ge=1, le=6)
    horizon: Days = Field(ge=1, le=1_095)
    dailies: Days = Field(ge=0, lt=1 << 5)


class _CanBeDisabled(_Strict):
    disabled: str | None = Field(None, min_length=10, description="why; nothing is deployed for it")

    @property
    def enabled(self) -> bool:
        return self.disabled is None


class Underlying(_CanBeDisabled):
    """Something with a price. Its perpetual's market has the same id."""

    id: int = Field(ge=1, lt=MAX_UNDERLYINGS)
    source: Source | None = None
    second: SecondSource | None = None
    risk: Risk | None = None
    volatility: HourlyMillionths | None = Field(
        None, ge=1, lt=1 << 16, description="of an hour's return, where the gauge is 1"
    )
    perpetual: Perpetual | None = None
    options: Options | None = None
    symbol: str | None = Field(None, min_length=1, max_length=31, pattern=r"^[ -~]+$")
    local_price: PriceWad | None = Field(None, description="first price of a deployed feed")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and (self.source is None or self.risk is None):
            raise ValueError("an underlying needs a source and risk, or `disabled` with the reason")
        feed = self.source.chainlink if self.source else None
        if feed and feed.deploy and self.local_price is None:
            raise ValueError("a deployed feed needs a local_price")
        if self.enabled and self.volatility and not self._has_rounds():
            raise ValueError("volatility is measured on the rounds of a chainlink source: name one")
        if self.enabled and self.options and not self._has_rounds():
            raise ValueError("expiries are fixed on the rounds of a chainlink source: name one")
        return self

    def _has_rounds(self) -> bool:
        return any(source and source.chainlink for source in (self.source, self.second))


class Rate(_Strict):
    """What a yield token redeems for, and how fast that may grow."""

    kind: Literal["erc4626", "stEthPerToken"]
    asset_decimals: int = Field(ge=0, le=27)
    growth_cap: YearlyBps = Field(gt=0, lt=1 << 16)


class RateMarket(Feed):
    """A slow market feed of a yield token, in units of its underlying."""

    discount_bound: Bps = Field(gt=0, lt=1 << 12)
    local_price: RateWad | None = Field(None, description="first price of a deployed feed")

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.deploy != (self.local_price is not None):
            raise ValueError("a deployed feed needs a local_price, and no other has one")
        return self


class Asset(_CanBeDisabled):
    """A collateral token: the ASSET, TOKEN, RATE_SOURCE and RATE_MARKET words."""

    id: int = Field(ge=1, lt=MAX_ASSETS)
    underlying: str
    token: Token | None = None
    tiers: tuple[Dollars, Dollars] | None = None
    haircuts: tuple[Bps, Bps, Bps] | None = None
    basis: Bps = Field(0, ge=0, lt=1 << 12)
    cap: Dollars = Field(0, ge=0, lt=1 << 40)
    growth: HourlyDollars = Field(0, ge=0, lt=1 << 40)
    outflow: Outflow | None = None
    rate: Rate | None = None
    market: RateMarket | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        listed = ("tiers", "haircuts")
        return {k: tuple(v) if k in listed and v is not None else v for k, v in data.items()}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.disabled:
            return self
        if self.token is None or self.tiers is None or self.haircuts is None:
            raise ValueError("an asset needs token, tiers and haircuts, or `disabled` and why")
        if not self.tiers[0] <= self.tiers[1] < 1 << 32:
            raise ValueError("tiers must not fall, and fit 32 bits")
        if not self.haircuts[0] <= self.haircuts[1] <= self.haircuts[2] < 10_000:
            raise ValueError("haircuts must not fall, and stay below 100 %")
        if self.market and not self.rate:
            raise ValueError("a market feed belongs to a yield token: give its rate too")
        return self


class Globals(_Strict):
    """The GLOBAL word."""

    initial_factor: Bps = Field(ge=12_500, le=40_000)
    band_ceiling: Bps = Field(ge=0, lt=10_000)
    stress_share: Bps = Field(ge=0, lt=1 << 16)
    winners_cap: Dollars = Field(ge=0, lt=1 << 32)
    payout_cap: Dollars = Field(ge=0, lt=1 << 32)
    dust: Dollars = Field(ge=0, lt=1 << 16)
    peg_bound: Bps = Field(gt=0, lt=1 << 14)


class Lending(_Strict):
    """The LENDING word: what borrowed cash pays, by utilisation."""

    kink: Percent = Field(ge=1, le=99)
    rate_at_kink: YearlyTenths = Field(ge=0, lt=1 << 13)
    rate_at_full: YearlyTenths = Field(ge=0, lt=1 << 13)
    reserve_share: Percent = Field(ge=0, le=50)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.rate_at_full < self.rate_at_kink:
            raise ValueError("rate_at_full must not be below rate_at_kink")
        return self


class Reports(_Strict):
    """The ReportOracle: who reports premiums and surfaces, and which reports make a batch.

    Bounds: docs/ledger.md section 2, docs/options.md section 2.
    """

    reporters: tuple[Address | Literal["deployer"], ...] = Field(min_length=1, max_length=64)
    quorum: int
    agreement: Bps = Field(ge=0, le=10_000)
    max_premium: Bps = Field(ge=1, le=10_000)
    surface_agreement: Bps = Field(ge=0, le=10_000)
    """How far volatilities may be apart; 3 % are three points."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("reporters"), list):
            return {**data, "reporters": tuple(data["reporters"])}
        return data

    @model_validator(mode="after")
    def _majority(self) -> Self:
        if len(set(self.reporters)) != len(self.reporters):
            raise ValueError("a reporter is named twice")
        if not len(self.reporters) < 2 * self.quorum <= 2 * len(self.reporters):
            raise ValueError("the quorum is more than half of the reporters, and at most all")
        return self


class Settlement(_Strict):
    """The settlement token: asset 0, the unit of account, and the feed of its peg, underlying 0."""

    symbol: str
    token: Token
    peg: Source
    outflow: Outflow | None = None
    local_price: PriceWad | None = None

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.peg.chainlink and self.peg.chainlink.deploy and self.local_price is None:
            raise ValueError("a deployed feed needs a local_price")
        return self

    @model_validator(mode="after")
    def _scales_up(self) -> Self:
        if self.token.decimals > 18:
            raise ValueError("cash has 18 decimals: the settlement token can have no more")
        return self


class Sequencer(_Strict):
    """The uptime feed of a rollup's sequencer."""

    grace: Seconds = Field(gt=0, lt=1 << 32)
    address: Address | None = None
    cites: Citation | None = None
    deploy: bool = False
    disabled: str | None = Field(None, min_length=10)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum((self.address is not None, self.deploy, self.disabled is not None)) != 1:
            raise ValueError("give one of: address (with cites), deploy, disabled")
        if (self.address is None) != (self.cites is None):
            raise ValueError("an address cites where it was seen, and nothing else does")
        return self


class PythContract(_Strict):
    """The network's Pyth contract, and where its signed prices are had."""

    hermes: Citation | None = None

    address: Address | None = None
    cites: Citation | None = None
    deploy: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.deploy == (self.address is not None):
            raise ValueError("give either address (with cites) or deploy")
        if (self.address is None) != (self.cites is None):
            raise ValueError("an address cites where it was seen, and nothing else does")
        return self


class SafeContracts(_Strict):
    """What every Safe of a network shares, version 1.5.0: known addresses, or to be deployed."""

    singleton: Address | None = None
    factory: Address | None = None
    handler: Address | None = None
    cites: Citation | None = None
    deploy: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given_ = {self.singleton is not None, self.factory is not None, self.handler is not None}
        if len(given_) != 1 or self.deploy == given_.pop():
            raise ValueError("give either deploy, or singleton, factory and handler (with cites)")
        if (self.singleton is None) != (self.cites is None):
            raise ValueError("an address cites where it was seen, and nothing else does")
        return self


class Safe(_Strict):
    """A wallet of several owners: one that exists, with its source, or one to be made."""

    owners: tuple[Address, ...] = Field(min_length=1)
    threshold: int = Field(ge=1)
    salt: int = Field(0, ge=0, lt=1 << 256, description="tells Safes of the same owners apart")
    address: Address | None = None
    cites: Citation | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "owners" not in data:
            return data
        return {**data, "owners": tuple(data["owners"])}

    @model_validator(mode="after")
    def _can_be_signed_for(self) -> Self:
        if len(set(self.owners)) != len(self.owners):
            raise ValueError("an owner is named twice")
        if self.threshold > len(self.owners):
            raise ValueError(f"{self.threshold} of {len(self.owners)} owners can never sign")
        if (self.address is None) != (self.cites is None):
            raise ValueError("an address cites where it was seen, and nothing else does")
        return self


class Permit2Contract(_Strict):
    """Uniswap's Permit2, by which people pay in with a signature. Fixed for good at deployment."""

    address: Address | None = None
    cites: Citation | None = None
    deploy: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.deploy == (self.address is not None):
            raise ValueError("give either address (with cites) or deploy")
        if (self.address is None) != (self.cites is None):
            raise ValueError("an address cites where it was seen, and nothing else does")
        return self


Holder = Address | Literal["deployer", "safe"]


class Roles(_Strict):
    """Who may call what. `deployer` is the account that runs the scripts, `safe` the Safe.

    The administrator's acts wait `admin_delay` on the AccessManager: what he schedules can be seen,
    and cancelled, before it happens. New members of a role are members `grant_delay` later, once
    the manager's own five days are over. The governor has no such delay: what loosens waits in the
    registry, and what tightens must not wait.
    """

    safe: Safe | None = None
    admin: Holder = "deployer"
    governor: Holder = "deployer"
    guardian: Holder = "deployer"
    keeper: Holder = "deployer"
    admin_delay: Seconds = Field(0, ge=0, le=30 * 24 * 3600)
    grant_delay: Seconds = Field(0, ge=0, le=30 * 24 * 3600)

    @model_validator(mode="after")
    def _safe_is_known(self) -> Self:
        if (self.safe is not None) != ("safe" in self.holders()):
            raise ValueError("`safe` describes the Safe that holds a role, and nothing else does")
        if self.admin == "deployer" and self.admin_delay:
            raise ValueError("the deployer administers at once: name another admin, or no delay")
        return self

    def holders(self) -> tuple[str, ...]:
        return self.admin, self.governor, self.guardian, self.keeper


class NetworkConfig(_Strict):
    """Everything about one network. `network` is how Ape calls it, without the provider."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    network: str = Field(pattern=r"^[a-z-]+:[a-z-]+$")
    chain_id: int = Field(gt=0)
    confirmations: int = Field(ge=0, le=64)
    least_balance: str = Field("0.1 ether", pattern=r"^\d+(\.\d+)? ether$")
    testnet: Literal[True] = True
    roles: Roles = Roles()
    safe_contracts: SafeContracts | None = None
    permit2: Permit2Contract | None = None
    globals: Globals
    lending: Lending
    reports: Reports | None = None
    settlement: Settlement
    sequencer: Sequencer | None = None
    pyth: PythContract | None = None
    underlyings: dict[str, Underlying]
    assets: dict[str, Asset]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _unique("underlying", {name: u.id for name, u in self.underlyings.items()})
        _unique("asset", {name: a.id for name, a in self.assets.items()})
        for name, asset in self.assets.items():
            self._check_asset(name, asset)
        if self.pyth is None and any(s.pyth for s in self.feed_sources().values()):
            raise ValueError("a source names a Pyth price, but the network has no `pyth` contract")
        if self.roles.safe and not self.roles.safe.address and self.safe_contracts is None:
            raise ValueError("a Safe is to be made, but the network has no `safe_contracts`")
        if self.name != "local" and any(True for _ in self._deployed_parts()):
            raise ValueError(f"feeds and Permit2 are deployed locally only: {self.name}")
        return self

    def _check_asset(self, name: str, asset: Asset) -> None:
        underlying = self.underlyings.get(asset.underlying)
        if underlying is None:
            raise ValueError(f"asset {name}: no underlying {asset.underlying!r}")
        if asset.enabled and not underlying.enabled:
            raise ValueError(f"asset {name}: its underlying is disabled, so it must be too")
        faucet = asset.token.faucet if asset.token else None
        if asset.enabled and faucet and faucet.of is not None and faucet.of not in self.assets:
            raise ValueError(f"asset {name}: no asset {faucet.of!r}")

    def enabled_underlyings(self) -> dict[str, Underlying]:
        return {name: u for name, u in self.underlyings.items() if u.enabled}

    def enabled_assets(self) -> dict[str, Asset]:
        return {name: a for name, a in self.assets.items() if a.enabled}

    def disabled(self) -> dict[str, str]:
        """What this network does without, and why."""
        reasons = {f"market {n}": u.disabled for n, u in self.underlyings.items() if u.disabled}
        reasons |= {f"collateral {n}": a.disabled for n, a in self.assets.items() if a.disabled}
        if self.sequencer and self.sequencer.disabled:
            reasons["sequencer feed"] = self.sequencer.disabled
        return reasons

    def existing_feeds(self) -> dict[str, str]:
        """Address of every feed that the network has, by the name under which words ask for it."""
        found = {
            f"feed:{name}": source.chainlink.address
            for name, source in self.feed_sources().items()
            if source.chainlink
        }
        for name, asset in self.enabled_assets().items():
            if asset.market:
                found[f"market:{name}"] = asset.market.address
        if self.pyth:
            found["pyth"] = self.pyth.address
        if self.sequencer:
            found["sequencer"] = self.sequencer.address
        return {name: address for name, address in found.items() if address}

    def feed_sources(self) -> dict[str, Source]:
        """Every source by feed name: `USDC` for the peg, `ETH`, `ETH:second`."""
        found: dict[str, Source] = {self.settlement.symbol: self.settlement.peg}
        for name, underlying in self.enabled_underlyings().items():
            if underlying.source:
                found[name] = underlying.source
            if underlying.second:
                found[f"{name}:second"] = underlying.second
        return found

    def _deployed_parts(self) -> Iterator[str]:
        sources = self.feed_sources().items()
        yield from (name for name, s in sources if s.chainlink and s.chainlink.deploy)
        if self.pyth and self.pyth.deploy:
            yield "pyth"
        if self.sequencer and self.sequencer.deploy:
            yield "sequencer"
        if self.permit2 and self.permit2.deploy:
            yield "permit2"
        yield from (
            name for name, a in self.enabled_assets().items() if a.market and a.market.deploy
        )

    def least_balance_wei(self) -> int:
        return int(Web3.to_wei(self.least_balance.removesuffix(" ether"), "ether"))


def load_config(network: str | Path) -> NetworkConfig:
    """Reads a configuration: a name in `plimsoll/networks`, or the path of a YAML file."""
    import yaml  # an extra: the SDK alone never reads one

    path = Path(network)
    if path.suffix not in (".yaml", ".yml"):
        path = NETWORKS / f"{network}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in NETWORKS.glob("*.yaml")))
        raise FileNotFoundError(f"no configuration {path}; there are: {known}")
    return NetworkConfig.model_validate(yaml.safe_load(path.read_text()))


def config_for(network: str) -> NetworkConfig:
    """The configuration of an Ape network such as `base:sepolia`."""
    for path in sorted(NETWORKS.glob("*.yaml")):
        config = load_config(path)
        if config.network == network:
            return config
    raise FileNotFoundError(f"no configuration in {NETWORKS} is for {network}")


def _unique(what: str, ids: dict[str, int]) -> None:
    seen: dict[int, str] = {}
    for name, number in ids.items():
        if number in seen:
            raise ValueError(f"{what} id {number} belongs to {seen[number]} and {name}")
        seen[number] = name

"""What a network lacks: faucet tokens; on a local chain the real WETH9, Permit2, every feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from eth_abi.abi import encode

from plimsoll.config import Feed, NetworkConfig, Source, Token, given
from plimsoll.deploy.artifacts import Artifact, Artifacts
from plimsoll.deploy.execute import Book, Step, create
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.sender import NOBODY, Call, encode_call, split_types
from plimsoll.units import from_wad, to_units_exact

PERMIT2 = "permit2"
# A round may stand still for an hour before oracles can start the next one without the rest.
_ROUND_SECONDS = 3_600
_LEAST_ANSWER, _MOST_ANSWER = 1, 10**30
_PYTH_VALID_SECONDS = 60
_PYTH_FEE = 1
# A confidence of 1/10,000 of the price: within the fiftieth that the adapter asks for.
_CONFIDENCE_SHARE = 10_000
_PRICE = "(int64,uint64,int32,uint256)"
_PRICE_FEED = f"(bytes32,{_PRICE},{_PRICE})"
_ROUND = "uint80,int256,uint256,uint256,uint80"


def world_steps(config: NetworkConfig, artifacts: Artifacts) -> list[Step]:
    """In order: sequencer feed (its grace period starts to run), tokens, feeds, first prices."""
    return [
        *sequencer_steps(config),
        *_tokens(config, artifacts),
        *_pyth(config),
        *_permit2(config),
        *(step for feed in deployed_feeds(config) for step in _chainlink(feed)),
    ]


def support(name: str) -> Artifact:
    """A contract of others, as its authors publish it."""
    from plimsoll.lab import components

    made: dict[str, Callable[[], components.Component]] = {
        "WETH9": components.weth9,
        "FluxAggregator": components.chainlink_aggregator,
        "EACAggregatorProxy": components.chainlink_proxy,
        "MockPyth": components.mock_pyth,
        "SafeL2": components.safe_l2,
        "SafeProxyFactory": components.safe_proxy_factory,
        "CompatibilityFallbackHandler": components.safe_fallback_handler,
        "Permit2": components.permit2,
        "OptimismSequencerUptimeFeed": components.sequencer_uptime_feed,
        "MockOVMCrossDomainMessenger": components.l2_messenger,
    }
    component = made[name]()
    return Artifact(
        name=name,
        source=name,
        abi=component["abi"],
        creation_code=bytes.fromhex(component["bytecode"].removeprefix("0x")),
        runtime_code=b"",
        immutables=(),
        compiler="as published",
        is_ours=False,
    )


@dataclass(frozen=True)
class DeployedFeed:
    """A Chainlink feed to deploy, and the price that it starts with."""

    name: str
    """As words ask for it: `feed:ETH`, `market:wstETH`."""
    feed: Feed
    price: int
    """With 18 decimals."""

    @property
    def aggregator(self) -> str:
        return f"aggregator:{self.name.partition(':')[2]}"

    @property
    def answer(self) -> int:
        return to_units_exact(from_wad(self.price), self.feed.decimals)


def deployed_feeds(config: NetworkConfig) -> Iterator[DeployedFeed]:
    """Every Chainlink feed of a configuration that has to be deployed."""
    prices = {config.settlement.symbol: config.settlement.local_price}
    prices |= {name: u.local_price for name, u in config.enabled_underlyings().items()}
    for name, source in config.feed_sources().items():
        price = prices[name.removesuffix(":second")]
        if source.chainlink and source.chainlink.deploy:
            yield DeployedFeed(f"feed:{name}", source.chainlink, given(price))
    for name, asset in config.enabled_assets().items():
        if asset.market and asset.market.deploy:
            yield DeployedFeed(f"market:{name}", asset.market, given(asset.market.local_price))


def pyth_prices(config: NetworkConfig) -> dict[str, tuple[Source, int]]:
    """Every Pyth source of a configuration, with the first price of its underlying."""
    found = {}
    for name, source in config.feed_sources().items():
        underlying = config.underlyings.get(name.removesuffix(":second"))
        if source.pyth and underlying and underlying.local_price is not None:
            found[name] = (source, underlying.local_price)
    return found


def pyth_update(feed_id: str, price: int, decimals: int, published: int) -> bytes:
    """One price as Pyth's stand-in takes it; `price` in units of 10^-decimals."""
    quoted = (price, max(1, price // _CONFIDENCE_SHARE), -decimals, published)
    return encode([_PRICE_FEED], [(bytes.fromhex(feed_id[2:]), quoted, quoted)])


def sequencer_steps(config: NetworkConfig) -> Iterator[Step]:
    """A sequencer feed of our own, on a local chain."""
    if not (config.sequencer and config.sequencer.deploy):
        return
    yield create(
        "messenger", support("MockOVMCrossDomainMessenger"), lambda book: (book.sender.address,)
    )
    yield create(
        "sequencer",
        support("OptimismSequencerUptimeFeed"),
        lambda book: (book.sender.address, book.where["messenger"], False),
        "deploy the sequencer uptime feed, up",
    )
    yield Step(
        key="sequencer:open",
        title="let contracts read the sequencer feed",
        call=lambda book: Call(book.where["sequencer"], encode_call("disableAccessCheck()")),
        done=lambda book: not book.read("sequencer", "checkEnabled()", returns="bool"),
    )


def _permit2(config: NetworkConfig) -> Iterator[Step]:
    if config.permit2 and config.permit2.deploy:
        yield create(PERMIT2, support("Permit2"), lambda book: (), "deploy Permit2")


def _tokens(config: NetworkConfig, artifacts: Artifacts) -> Iterator[Step]:
    yield from _token(config.settlement.symbol, config.settlement.token, artifacts)
    for name, asset in config.enabled_assets().items():
        yield from _token(name, given(asset.token), artifacts)


def _token(symbol: str, token: Token, artifacts: Artifacts) -> Iterator[Step]:
    name = f"token:{symbol}"
    if token.deploy:
        yield create(name, support(token.deploy), lambda book: (), f"deploy {token.deploy}")
    elif faucet := token.faucet:
        drip = faucet.drip * 10**token.decimals

        def arguments(book: Book) -> tuple[object, ...]:
            if faucet.contract == "FaucetShare":
                return (faucet.name, symbol, book.where[f"token:{faucet.of}"])
            if faucet.contract == "FaucetStakedEther":
                return (faucet.name, symbol, drip, book.sender.address, faucet.rate)
            return (faucet.name, symbol, token.decimals, drip, book.sender.address)

        artifact = artifacts.get(faucet.contract)
        yield create(name, artifact, arguments, f"deploy {faucet.name}")


def _chainlink(deployed: DeployedFeed) -> Iterator[Step]:
    feed, aggregator = deployed.feed, deployed.aggregator
    yield create(
        aggregator,
        support("FluxAggregator"),
        lambda book: (
            NOBODY,
            0,
            _ROUND_SECONDS,
            NOBODY,
            _LEAST_ANSWER,
            _MOST_ANSWER,
            feed.decimals,
            feed.description,
        ),
        f"deploy the Chainlink aggregator {feed.description}",
    )
    yield Step(
        key=f"{aggregator}:oracle",
        title=f"make the deployer the oracle of {feed.description}",
        call=lambda book: Call(book.where[aggregator], _one_oracle(book.sender.address)),
        done=lambda book: book.read(aggregator, "oracleCount()", returns="uint8") == 1,
    )
    yield create(
        deployed.name,
        support("EACAggregatorProxy"),
        lambda book: (book.where[aggregator], NOBODY),
        f"deploy the Chainlink proxy {feed.description}",
    )
    yield Step(
        key=f"{aggregator}:price",
        title=f"report the first price of {feed.description}",
        call=lambda book: Call(book.where[aggregator], _submission(book, deployed)),
        done=lambda book: _age(book, deployed.name) <= feed.max_age // 2,
    )


def _one_oracle(oracle: str) -> bytes:
    signature = "changeOracles(address[],address[],address[],uint32,uint32,uint32)"
    return encode_call(signature, [], [oracle], [oracle], 1, 1, 0)


def _submission(book: Book, deployed: DeployedFeed) -> bytes:
    last = book.read(deployed.aggregator, "latestRound()", returns="uint256")
    return encode_call("submit(uint256,int256)", last + 1, deployed.answer)


def _age(book: Book, name: str) -> float:
    """Seconds since a feed's last answer; forever without one."""
    answer = book.sender.answers(book.where[name], "latestRoundData()")
    if answer is None:
        return float("inf")
    updated = book.read(name, "latestRoundData()", returns=_ROUND)[3]
    return float(now(book) - updated)


def _pyth(config: NetworkConfig) -> Iterator[Step]:
    if not (config.pyth and config.pyth.deploy):
        return
    yield create(
        "pyth", support("MockPyth"), lambda book: (_PYTH_VALID_SECONDS, _PYTH_FEE), "deploy Pyth"
    )
    prices = pyth_prices(config)

    def updates(book: Book) -> list[bytes]:
        return [
            pyth_update(
                source.pyth.feed_id,
                to_units_exact(from_wad(price), source.decimals),
                source.decimals,
                now(book),
            )
            for source, price in prices.values()
            if source.pyth
        ]

    def call(book: Book) -> Call:
        data = encode_call("updatePriceFeeds(bytes[])", updates(book))
        return Call(book.where["pyth"], data, _PYTH_FEE * len(prices))

    yield Step(
        key="pyth:prices",
        title="report the first prices to Pyth",
        call=call,
        done=lambda book: all(
            pyth_age(book, source.pyth.feed_id) <= source.max_age // 2
            for source, _ in prices.values()
            if source.pyth
        ),
    )


def pyth_age(book: Book, feed_id: str) -> float:
    """Seconds since a Pyth price was published; forever if it never was."""
    words = book.sender.answers(
        book.where["pyth"], "getPriceUnsafe(bytes32)", bytes.fromhex(feed_id[2:])
    )
    if words is None:
        return float("inf")
    published = book.read(
        "pyth",
        "getPriceUnsafe(bytes32)",
        bytes.fromhex(feed_id[2:]),
        returns=",".join(split_types(_PRICE[1:-1])),
    )[3]
    return float(now(book) - published)


def pass_grace(book: Book, grace: int) -> None:
    """Moves a local chain's clock past the grace period of its new sequencer feed."""
    since = book.read("sequencer", "latestRoundData()", returns=_ROUND)[2]
    left = since + grace - now(book)
    if left > 0:
        rpc(book.sender.w3, "evm_increaseTime", left)
        rpc(book.sender.w3, "evm_mine")


def now(book: Book) -> int:
    """The time of the latest block."""
    return int(book.sender.w3.eth.get_block("latest")["timestamp"])

"""Whatever is wrong with a network is told before the first transaction, all at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from plimsoll.config import NetworkConfig, load_config
from plimsoll.deploy.artifacts import Artifact, Artifacts, Compiled
from plimsoll.deploy.house import House
from plimsoll.deploy.listing import behaviour_on_fork, rpc
from plimsoll.deploy.preflight import Verdict, preflight
from plimsoll.deploy.sender import NOBODY, encode_call
from plimsoll.deploy.world import support
from plimsoll.lab import components
from tests.deploy.conftest import ROOT
from tests.deploy.rehearsal import Stage, anvil, sender

NAME = "base-sepolia"


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return Compiled(ROOT)


@pytest.fixture(scope="module")
def shared_stage(artifacts: Artifacts) -> Iterator[Stage]:
    config = load_config(NAME)
    with anvil(config.chain_id) as url:
        stage = Stage(url, config, artifacts)
        stage.build()
        yield stage


@pytest.fixture
def stage(shared_stage: Stage) -> Iterator[Stage]:
    snapshot = rpc(shared_stage.w3, "evm_snapshot")
    shared_stage.report_all()
    yield shared_stage
    rpc(shared_stage.w3, "evm_revert", snapshot)


def house(stage: Stage, config: NetworkConfig | None = None, number: int = 0) -> House:
    account = sender(stage.w3.provider.endpoint_uri, number)  # type: ignore[attr-defined]
    return House(config or stage.config, account, stage.artifacts, None)


def told(stage: Stage, verdict: Verdict, config: NetworkConfig | None = None) -> list[str]:
    found = preflight(house(stage, config))
    return [finding.what for finding in found if finding.verdict is verdict]


def changed(stage: Stage, path: str, value: Any) -> NetworkConfig:
    """The configuration with one field otherwise."""
    raw = stage.config.model_dump()
    *outer, last = path.split(".")
    place = raw
    for name in outer:
        place = place[name]
    place[last] = value
    return NetworkConfig.model_validate(raw)


def test_a_network_as_configured_passes(stage: Stage) -> None:
    assert told(stage, Verdict.REFUSED) == []
    nonce = sender(stage.w3.provider.endpoint_uri).confirmed_nonce()  # type: ignore[attr-defined]
    assert nonce == 0


def test_another_chain_stops_every_other_check(artifacts: Artifacts) -> None:
    with anvil(1) as url:
        config = load_config(NAME)
        (finding,) = preflight(House(config, sender(url), artifacts, None))
    assert finding.what == "the node is on chain 1, base-sepolia is 84532"
    assert finding.fix == "connect to base:sepolia, or choose its configuration"


def test_too_little_ether(stage: Stage) -> None:
    poor = house(stage)
    rpc(stage.w3, "anvil_setBalance", poor.sender.address, hex(10**16))
    (finding,) = [f for f in preflight(poor) if f.verdict is Verdict.REFUSED]
    assert finding.what == f"{poor.sender.address} has 0.01 ether"
    assert finding.fix == "it needs 0.05 ether"


def test_a_contract_beyond_the_size_limit(stage: Stage) -> None:
    swollen = house(stage)
    swollen.artifacts = _Swollen(stage.artifacts, "Lens")
    (refused,) = [f.what for f in preflight(swollen) if f.verdict is Verdict.REFUSED]
    assert refused == "Lens has 24,577 bytes of code and 30,000 of creation code"


def test_a_constructor_that_takes_other_arguments(stage: Stage) -> None:
    renamed = house(stage)
    renamed.artifacts = _Renamed(stage.artifacts, "Lens", "house", "manager")
    (refused,) = [f.what for f in preflight(renamed) if f.verdict is Verdict.REFUSED]
    assert refused == "Lens takes ['manager'], and would be told ['house']"
    with pytest.raises(TypeError, match="Lens takes"):
        renamed.deploy()


def test_no_token_at_its_address(stage: Stage) -> None:
    address = stage.config.settlement.token.address
    rpc(stage.w3, "anvil_setCode", address, "0x")
    assert told(stage, Verdict.REFUSED) == [f"token USDC: no code at {address}"]


def test_a_token_of_other_decimals(stage: Stage) -> None:
    config = changed(stage, "assets.WETH.token.decimals", 8)
    address = config.assets["WETH"].token.address  # type: ignore[union-attr]
    assert told(stage, Verdict.REFUSED, config) == [
        f"token WETH at {address} has 18 decimals, not 8"
    ]


def test_a_token_that_rebases_by_its_functions(stage: Stage) -> None:
    address = str(stage.config.settlement.token.address)
    # Answers one word to everything, `sharesOf` and `decimals` among it.
    rpc(stage.w3, "anvil_setCode", address, "0x600660005260206000f3")
    (refused,) = told(stage, Verdict.REFUSED)
    assert refused.startswith("token USDC answers sharesOf(address), ")
    assert refused.endswith("it rebases")


def test_a_token_that_keeps_a_fee_is_noted(stage: Stage) -> None:
    address = str(stage.config.settlement.token.address)
    component = components.weird_erc20("TransferFee")
    stage.place(_foreign(component), address, 10**12, 10**4)
    seen = behaviour_on_fork(sender(stage.w3.provider.endpoint_uri), address, 10**6)  # type: ignore[attr-defined]
    assert seen is not None
    assert not seen.moves_exactly
    assert seen.stands_still


def test_no_feed_at_its_address(stage: Stage) -> None:
    address = _feed(stage, "ETH").address
    rpc(stage.w3, "anvil_setCode", address, "0x")
    assert told(stage, Verdict.REFUSED) == [f"feed ETH: no code at {address}"]


def test_a_feed_of_other_decimals(stage: Stage) -> None:
    config = changed(stage, "underlyings.ETH.source.chainlink.decimals", 18)
    refused = told(stage, Verdict.REFUSED, config)
    assert refused[0] == f"feed ETH at {_feed(stage, 'ETH').address} has 8 decimals, not 18"


def test_a_feed_of_something_else(stage: Stage) -> None:
    """ETH's configuration with BTC's address: the description gives it away."""
    address = _feed(stage, "BTC").address
    config = changed(stage, "underlyings.ETH.source.chainlink.address", address)
    assert told(stage, Verdict.REFUSED, config) == [
        f"feed ETH at {address} calls itself 'BTC / USD', not 'ETH / USD'"
    ]


def test_a_feed_that_is_stale(stage: Stage) -> None:
    rpc(stage.w3, "evm_increaseTime", 2 * 3600 + 60)
    rpc(stage.w3, "evm_mine")
    stage.report(_feed(stage, "BTC"), 60_000)
    stage.report(_feed(stage, "LINK"), 14)
    (refused,) = told(stage, Verdict.REFUSED)
    assert re.fullmatch(r"feed ETH is \d+ (s|min) old", refused)


def test_a_feed_outside_its_hard_bounds(stage: Stage) -> None:
    stage.report(_feed(stage, "ETH"), 2_000_000)
    assert told(stage, Verdict.REFUSED) == ["feed ETH says $2,000,000"]


def test_a_feed_that_never_answered(stage: Stage) -> None:
    feed = _feed(stage, "ETH")
    empty = Web3.to_checksum_address(f"0x{0xA99A9:040x}")
    stage.place(
        support("FluxAggregator"),
        empty,
        *(NOBODY, 0, 3_600, NOBODY, 1, 10**30, 8, "ETH / USD"),
    )
    stage.place(support("EACAggregatorProxy"), str(feed.address), empty, NOBODY)
    assert told(stage, Verdict.REFUSED) == ["feed ETH gives no answer"]


def test_a_feed_with_a_gauge_that_tells_its_rounds_apart(stage: Stage) -> None:
    config = changed(stage, "underlyings.ETH.volatility", "0.6 % an hour")
    assert told(stage, Verdict.REFUSED, config) == []
    assert "feed ETH tells its rounds apart" in told(stage, Verdict.FINE, config)


def test_a_feed_with_a_gauge_that_ignores_round_numbers(stage: Stage) -> None:
    config = changed(stage, "underlyings.ETH.volatility", "0.6 % an hour")
    address = str(_feed(stage, "ETH").address)
    stage.place(stage.artifacts.get("MockRounds"), address, 8)
    # What stood there has left its owner in the first slot.
    rpc(stage.w3, "anvil_setStorageAt", address, "0x0", "0x" + "00" * 32)
    time = stage.w3.eth.get_block("latest")["timestamp"]
    stage.send(address, encode_call("set(uint80,int256,uint256)", 5, 2_000 * 10**8, time))
    what = "feed ETH has a round zero: it does not tell its rounds apart"
    assert what not in told(stage, Verdict.REFUSED, config)
    stage.send(address, encode_call("forget()"))
    assert what in told(stage, Verdict.REFUSED, config)
    still = changed(stage, "underlyings.ETH.volatility", None)
    assert what not in told(stage, Verdict.REFUSED, still)


def test_pyth_that_is_not_there(stage: Stage) -> None:
    address = stage.config.pyth.address  # type: ignore[union-attr]
    rpc(stage.w3, "anvil_setCode", address, "0x")
    assert set(told(stage, Verdict.REFUSED)) == {f"Pyth: no code at {address}"}


def test_permit2_that_is_not_there(stage: Stage) -> None:
    address = stage.config.permit2.address  # type: ignore[union-attr]
    rpc(stage.w3, "anvil_setCode", address, "0x")
    assert told(stage, Verdict.REFUSED) == [f"Permit2: no code at {address}"]


def test_something_else_in_the_place_of_permit2(stage: Stage) -> None:
    """The vault would be told it for good."""
    address = stage.config.settlement.token.address
    config = changed(stage, "permit2.address", address)
    assert told(stage, Verdict.REFUSED, config) == [f"{address} is no Permit2"]


def test_a_network_without_permit2_is_told_so(stage: Stage) -> None:
    config = changed(stage, "permit2", None)
    assert told(stage, Verdict.REFUSED, config) == []
    assert "no Permit2" in told(stage, Verdict.NOTED, config)


def test_a_pyth_price_of_other_decimals(stage: Stage) -> None:
    config = changed(stage, "underlyings.ETH.second.pyth.decimals", 5)
    assert told(stage, Verdict.REFUSED, config) == ["Pyth's ETH:second has 8 decimals, not 5"]


def test_a_pyth_price_that_is_missing_or_old_is_noted(stage: Stage) -> None:
    """Configuring brings fresh ones along."""
    unknown = "0x" + "77" * 32
    config = changed(stage, "underlyings.ETH.second.pyth.feed_id", unknown)
    assert "Pyth has no price ETH:second yet" in told(stage, Verdict.NOTED, config)
    rpc(stage.w3, "evm_increaseTime", 600)
    rpc(stage.w3, "evm_mine")
    assert any(
        re.fullmatch(r"Pyth's BTC:second is \d+ (s|min) old", line)
        for line in told(stage, Verdict.NOTED)
    )


def test_what_earlier_runs_deployed_must_stand(stage: Stage, tmp_path: Path) -> None:
    account = sender(stage.w3.provider.endpoint_uri)  # type: ignore[attr-defined]
    first = House(stage.config, account, stage.artifacts, tmp_path)
    first.deploy()
    lens = first.book.where["Lens"]
    rpc(stage.w3, "anvil_setCode", lens, "0x6001600155")
    rpc(stage.w3, "anvil_setCode", first.book.where["TradingModule"], "0x")
    again = House(stage.config, account, stage.artifacts, tmp_path)
    assert [f.what for f in preflight(again) if f.verdict is Verdict.REFUSED] == [
        f"TradingModule should stand at {first.book.where['TradingModule']}, but there is no code",
        f"Lens at {lens} has other code",
    ]


class _Swollen:
    """One contract that is a byte too large."""

    def __init__(self, artifacts: Artifacts, name: str) -> None:
        self.artifacts = artifacts
        self.name = name

    def get(self, name: str) -> Artifact:
        artifact = self.artifacts.get(name)
        if name != self.name:
            return artifact
        return Artifact(
            name=name,
            source=artifact.source,
            abi=artifact.abi,
            creation_code=bytes(30_000),
            runtime_code=bytes(24_577),
            immutables=(),
            compiler=artifact.compiler,
        )


class _Renamed:
    """One contract whose constructor names an argument otherwise."""

    def __init__(self, artifacts: Artifacts, name: str, old: str, new: str) -> None:
        self.artifacts, self.name, self.old, self.new = artifacts, name, old, new

    def get(self, name: str) -> Artifact:
        artifact = self.artifacts.get(name)
        if name != self.name:
            return artifact
        abi = json.loads(json.dumps(artifact.abi))
        for item in abi:
            if item["type"] == "constructor":
                item["inputs"][0]["name"] = item["inputs"][0]["name"].replace(self.old, self.new)
        return replace(artifact, abi=abi)


def _feed(stage: Stage, name: str) -> Any:
    source = stage.config.underlyings[name].source
    assert source
    return source.chainlink


def _foreign(component: components.Component) -> Artifact:
    return Artifact(
        name=component["name"],
        source=component["name"],
        abi=component["abi"],
        creation_code=bytes.fromhex(component["bytecode"].removeprefix("0x")),
        runtime_code=b"",
        immutables=(),
        compiler="as published",
        is_ours=False,
    )

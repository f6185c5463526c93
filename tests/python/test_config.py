"""Network configurations: human units, bounds, and every address with its source."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given as generated
from hypothesis import strategies as st
from pydantic import ValidationError

from plimsoll import quantities as q
from plimsoll.config import NETWORKS, NetworkConfig, config_for, load_config
from plimsoll.deploy.words import describe, difference, settings
from plimsoll.risk.params import Kind, UnderlyingParams
from plimsoll.risk.rules import require_valid

NAMES = sorted(path.stem for path in NETWORKS.glob("*.yaml"))
TESTNETS = [name for name in NAMES if name != "local"]
SOMEWHERE = "0x" + "11" * 20
SAFE = {"owners": [SOMEWHERE], "threshold": 1}

FORMS = [
    (q.read_bps, q.write_bps, "15 %", 1_500),
    (q.read_bps, q.write_bps, "0.05 %", 5),
    (q.read_bps, q.write_bps, "0 %", 0),
    (q.read_millionths, q.write_millionths, "0.05 %", 500),
    (q.read_yearly_bps, q.write_yearly_bps, "8 % a year", 800),
    (q.read_dollars, q.write_dollars, "$5,000,000", 5_000_000),
    (q.read_hourly_dollars, q.write_hourly_dollars, "$1,000 per hour", 1_000),
    (q.read_price, q.write_price, "$2,500.5", 2_500_500_000_000_000_000_000),
    (q.read_price, q.write_price, "$0.000000000000000001", 1),
    (q.read_hourly_millionths, q.write_hourly_millionths, "0.05 % an hour", 500),
    (q.read_rate, q.write_rate, "1.18 per token", 1_180_000_000_000_000_000),
    (q.read_duration, q.write_duration, "1 h", 3_600),
    (q.read_duration, q.write_duration, "90 min", 5_400),
    (q.read_duration, q.write_duration, "26 h", 93_600),
    (q.read_duration, q.write_duration, "1 day", 86_400),
    (q.read_duration, q.write_duration, "59 s", 59),
    (q.read_states, q.write_states, "1.2 states", 120),
    (q.read_concentration, q.write_concentration, "0.5 % per $10,000,000", 50),
    (q.read_percent, q.write_percent, "80 %", 80),
    (q.read_yearly_tenths, q.write_yearly_tenths, "5.5 % a year", 55),
    (q.read_hourly_tokens, q.write_hourly_tokens, "5,000 tokens an hour", 5_000),
]
REFUSED = [
    (q.read_bps, "15%", 'is not of the form "15 %"'),
    (q.read_bps, "15", 'is not of the form "15 %"'),
    (q.read_bps, 15, 'is not of the form "15 %"'),
    (q.read_bps, 0.15, 'is not of the form "15 %"'),
    (q.read_bps, "-1 %", 'is not of the form "15 %"'),
    (q.read_bps, "0.005 %", "is finer than the chain keeps"),
    (q.read_millionths, "0.00005 %", "is finer than the chain keeps"),
    (q.read_dollars, "5,000,000", 'is not of the form "$5,000,000"'),
    (q.read_dollars, "$50,00,000", 'is not of the form "$5,000,000"'),
    (q.read_dollars, "$0.5", "is finer than the chain keeps"),
    (q.read_dollars, "-$5", "is negative"),
    (q.read_hourly_dollars, "$5", 'is not of the form "$1,000,000 per hour"'),
    (q.read_price, "$0", "is no price"),
    (q.read_price, "$0.0000000000000000001", "is finer than the chain keeps"),
    (q.read_rate, "0 per token", "is no rate"),
    (q.read_duration, "1 hour", 'is not of the form "1 h"'),
    (q.read_duration, "1.5 h", 'is not of the form "1 h"'),
    (q.read_duration, 3_600, 'is not of the form "1 h"'),
    (q.read_states, "1.2", 'is not of the form "1.2 states"'),
    (q.read_states, "1.234 states", "is finer than the chain keeps"),
    (q.read_concentration, "1 % per $0", "counts against nothing"),
    (q.read_concentration, "1 % per $3", "is finer than the chain keeps"),
    (q.read_percent, "80.5 %", "is finer than the chain keeps"),
    (q.read_yearly_tenths, "5.55 % a year", "is finer than the chain keeps"),
    (q.read_hourly_tokens, "0.5 tokens an hour", 'is not of the form "5,000 tokens an hour"'),
    (q.read_hourly_tokens, "50,00 tokens an hour", 'is not of the form "5,000 tokens an hour"'),
]


@pytest.mark.parametrize(("read", "write", "text", "value"), FORMS)
def test_reads_and_writes_each_unit(read: Any, write: Any, text: str, value: int) -> None:
    assert read(text) == value
    assert write(value) == text


@pytest.mark.parametrize(("read", "text", "reason"), REFUSED)
def test_refuses_what_is_not_exactly_a_unit(read: Any, text: object, reason: str) -> None:
    with pytest.raises(q.MalformedQuantityError, match=re.escape(reason)):
        read(text)


@pytest.mark.parametrize(
    ("read", "write"), dict.fromkeys((read, write) for read, write, _, _ in FORMS)
)
@generated(value=st.integers(1, 10**30))
def test_every_writer_undoes_its_reader(read: Any, write: Any, value: int) -> None:
    assert read(write(value)) == value


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_network_is_valid_and_survives_a_round_trip(name: str) -> None:
    config = load_config(name)
    assert config.name == name
    assert NetworkConfig.model_validate(config.model_dump()) == config
    assert config_for(config.network) == config


def test_the_four_networks_are_there() -> None:
    chains = {load_config(name).network: load_config(name).chain_id for name in NAMES}
    assert chains == {
        "ethereum:local": 31_337,
        "ethereum:sepolia": 11_155_111,
        "base:sepolia": 84_532,
        "arbitrum:sepolia": 421_614,
    }


@pytest.mark.parametrize(
    ("reporters", "quorum", "reason"),
    [
        (["deployer"], 0, "more than half"),
        (["deployer"], 2, "more than half"),
        (["deployer", SOMEWHERE], 1, "more than half"),
        ([SOMEWHERE, SOMEWHERE], 2, "named twice"),
        ([], 0, "at least 1 item"),
    ],
)
def test_a_quorum_of_reporters_is_more_than_half(
    reporters: list[str], quorum: int, reason: str
) -> None:
    raw = load_config("local").model_dump()
    terms = {"agreement": "1 %", "max_premium": "5 %", "surface_agreement": "3 %"}
    raw["reports"] = {"reporters": reporters, "quorum": quorum, **terms}
    with pytest.raises(ValidationError, match=reason):
        NetworkConfig.model_validate(raw)
    raw["reports"] = {"reporters": ["deployer", SOMEWHERE], "quorum": 2, **terms}
    assert NetworkConfig.model_validate(raw).reports is not None
    raw["reports"] = None
    assert Kind.REPORTS not in {
        word.kind for word in settings(NetworkConfig.model_validate(raw), _Everywhere())
    }


@pytest.mark.parametrize("name", TESTNETS)
def test_every_address_on_a_testnet_cites_a_public_page(name: str) -> None:
    cited = list(_cited(yaml.safe_load((NETWORKS / f"{name}.yaml").read_text())))
    assert len(cited) >= 6
    assert all(source.startswith("https://") for _, source in cited)


@pytest.mark.parametrize("name", TESTNETS)
def test_what_a_testnet_lacks_is_visible(name: str) -> None:
    config = load_config(name)
    gone = {key for key, each in config.underlyings.items() if each.disabled}
    gone |= {key for key, each in config.assets.items() if each.disabled}
    told = {key.partition(" ")[2] for key in config.disabled() if not key.startswith("sequencer")}
    assert gone == told
    assert gone
    assert not gone & (config.enabled_underlyings().keys() | config.enabled_assets().keys())


@pytest.mark.parametrize("name", NAMES)
def test_no_word_mentions_what_is_disabled(name: str) -> None:
    config = load_config(name)
    words = settings(config, _Everywhere())
    live = {u.id for u in config.enabled_underlyings().values()} | {0}
    of_underlyings = (Kind.UNDERLYING, Kind.SOURCE, Kind.SECOND_SOURCE, Kind.MARKET)
    assert {w.id for w in words if w.kind in of_underlyings} == live
    assets = {asset.id for asset in config.enabled_assets().values()}
    assert {w.id for w in words if w.kind is Kind.ASSET} == assets


@pytest.mark.parametrize("name", NAMES)
def test_words_say_what_the_file_says(name: str) -> None:
    raw = yaml.safe_load((NETWORKS / f"{name}.yaml").read_text())
    for word in settings(load_config(name), _Everywhere()):
        if word.kind is Kind.UNDERLYING:
            assert word.meaning == raw["underlyings"][word.name]["risk"]
        if word.kind is Kind.GLOBAL:
            assert word.meaning == raw["globals"]
        if word.kind is Kind.LENDING:
            assert word.meaning == raw["lending"]
        if word.kind is Kind.VOLATILITY:
            assert word.meaning == {"reference": raw["underlyings"][word.name]["volatility"]}
        if word.kind is Kind.OPTIONS:
            told = raw["underlyings"][word.name]["options"]
            assert word.meaning == {**told, "digits": str(told["digits"])}
        if word.kind is Kind.FUNDING:
            cap = raw["underlyings"][word.name]["perpetual"]["funding_cap"]
            assert word.meaning == {"hourly_cap": cap}
        if word.kind is Kind.SYMBOL:
            assert word.meaning == {"value": word.name}
        if word.kind is Kind.OUTFLOW:
            listed = raw["assets"].get(word.name, raw["settlement"])
            assert word.meaning == {"limit": listed["outflow"]}


@pytest.mark.parametrize("name", NAMES)
def test_every_network_sets_every_word_of_the_full_ledger(name: str) -> None:
    config = load_config(name)
    words = {(w.kind, w.id) for w in settings(config, _Everywhere())}
    underlyings = {u.id for u in config.enabled_underlyings().values()}
    assets = {0, *(a.id for a in config.enabled_assets().values())}
    of_underlyings = (Kind.SYMBOL, Kind.VOLATILITY, Kind.FUNDING)
    assert words >= {(kind, u) for kind in of_underlyings for u in underlyings}
    assert words >= {(Kind.OUTFLOW, asset) for asset in assets}
    assert words >= {(Kind.LENDING, 0), (Kind.REPORTS, 0)}


def test_every_word_of_every_network_is_one_that_the_registry_takes() -> None:
    for name in NAMES:
        for word in settings(load_config(name), _Everywhere()):
            require_valid(word.kind, word.id, word.word)


def test_a_symbol_is_the_name_unless_another_is_given() -> None:
    raw = yaml.safe_load((NETWORKS / "local.yaml").read_text())
    raw["underlyings"]["ETH"]["symbol"] = "Ether / dollar"
    words = settings(NetworkConfig.model_validate(raw), _Everywhere())
    told = {w.id: w.meaning["value"] for w in words if w.kind is Kind.SYMBOL}
    assert told == {1: "Ether / dollar", 2: "BTC", 3: "SOL", 4: "LINK"}


def test_hard_bounds_enclose_what_was_asked() -> None:
    source = load_config("local").underlyings["ETH"].source
    assert source is not None
    assert 1 << source.floor <= source.at_least < 1 << (source.floor + 1)
    assert 1 << (source.ceiling - 1) < source.at_most <= 1 << source.ceiling


def test_a_word_is_compared_field_by_field() -> None:
    old = UnderlyingParams(610, 120, 5, 50, 5).word
    new = UnderlyingParams(700, 120, 5, 50, 5).word
    assert difference(Kind.UNDERLYING, old, new) == ["range: 6.1 % -> 7 %"]
    assert difference(Kind.UNDERLYING, new, new) == []
    assert difference(Kind.UNDERLYING, 0, new)[0] == "range: not set -> 7 %"
    assert describe(Kind.UNDERLYING, 0) == {}
    assert describe(Kind.UNDERLYING, 1 << 200).keys() == {"unreadable"}


BROKEN: list[tuple[str, Any, str]] = [
    ("chain", 1, "Extra inputs are not permitted"),
    ("chain_id", "31337", "valid integer"),
    ("confirmations", 65, "less than or equal to 64"),
    ("globals.initial_factor", "124.99 %", "greater than or equal to 12500"),
    ("globals.initial_factor", "400.01 %", "less than or equal to 40000"),
    ("globals.dust", "$65,536", "less than 65536"),
    ("globals.winners_cap", "$4,294,967,296", "less than 4294967296"),
    ("underlyings.ETH.risk.range", "0 %", "greater than or equal to 1"),
    ("underlyings.ETH.risk.range", "25.01 %", "less than or equal to 2500"),
    ("underlyings.ETH.risk.range", "13.34 %", "the range is at most 13.33 %"),
    ("underlyings.ETH.risk.window", "0.99 states", "greater than or equal to 100"),
    ("underlyings.ETH.risk.window", "10.01 states", "less than or equal to 1000"),
    ("underlyings.ETH.risk.closing", "10.24 %", "less than 1024"),
    ("underlyings.ETH.risk.band", "10.24 %", "less than 1024"),
    ("underlyings.ETH.perpetual.taker_fee", "1.6384 %", "less than 16384"),
    ("underlyings.ETH.perpetual.stress_jump", "100.01 %", "less than or equal to 10000"),
    ("underlyings.ETH.id", 0, "greater than or equal to 1"),
    ("underlyings.ETH.id", 256, "less than 256"),
    ("underlyings.BTC.id", 1, "underlying id 1 belongs to ETH and BTC"),
    ("underlyings.ETH.source.at_most", "$5", "at_least must be below at_most"),
    ("underlyings.ETH.source.at_most", "$1,000,000,000,000", "above the largest price"),
    ("underlyings.ETH.source.chainlink.max_age", "37 h", "less than 131072"),
    (
        "underlyings.ETH.source.chainlink.address",
        SOMEWHERE,
        "either address (with cites)",
    ),
    ("underlyings.ETH.source", None, "needs a source and risk"),
    ("underlyings.ETH.local_price", None, "needs a local_price"),
    ("underlyings.ETH.disabled", "because", "at least 10 characters"),
    ("underlyings.ETH.disabled", "no feed is published", "its underlying is disabled"),
    ("assets.WETH.id", 96, "less than 96"),
    ("assets.WETH.underlying", "XRP", "no underlying 'XRP'"),
    ("assets.WETH.tiers", ["$2", "$1"], "tiers must not fall"),
    ("assets.WETH.haircuts", ["3 %", "2 %", "10 %"], "haircuts must not fall"),
    ("assets.WETH.haircuts", ["3 %", "4 %", "100 %"], "stay below 100 %"),
    ("assets.wstETH.basis", "40.96 %", "less than 4096"),
    ("assets.wstETH.rate", None, "a market feed belongs to a yield token"),
    ("assets.WBTC.token.faucet.name", "Wrapped Bitcoin", "must say that it is a faucet token"),
    ("assets.fpWETH.token.faucet.of", "stETH", "no asset 'stETH'"),
    ("settlement.token.decimals", 19, "can have no more"),
    ("pyth", None, "the network has no `pyth` contract"),
    ("name", "base-sepolia", "feeds and Permit2 are deployed locally only"),
    ("permit2", {}, "give either address (with cites) or deploy"),
    ("permit2", {"deploy": True, "address": SOMEWHERE}, "give either address"),
    ("permit2", {"address": SOMEWHERE}, "an address cites where it was seen"),
    ("testnet", False, "Input should be True"),
    ("roles", {"governor": SOMEWHERE.replace("1", "a")}, "not an address with its checksum"),
    ("roles", {"governor": "safe"}, "describes the Safe that holds a role"),
    ("roles", {"safe": {"owners": [SOMEWHERE], "threshold": 1}}, "describes the Safe"),
    ("roles", {"admin_delay": "2 days"}, "the deployer administers at once"),
    ("roles", {"governor": "safe", "safe": SAFE | {"threshold": 2}}, "2 of 1 owners can never"),
    ("roles", {"governor": "safe", "safe": SAFE | {"threshold": 0}}, "greater than or equal to 1"),
    ("roles", {"governor": "safe", "safe": SAFE | {"owners": []}}, "at least 1 item"),
    (
        "roles",
        {"governor": "safe", "safe": SAFE | {"owners": [SOMEWHERE, SOMEWHERE]}},
        "an owner is named twice",
    ),
    ("roles", {"governor": "safe", "safe": SAFE | {"address": SOMEWHERE}}, "cites where it was"),
    ("safe_contracts", {"singleton": SOMEWHERE}, "give either deploy, or singleton, factory"),
    ("safe_contracts", {"deploy": True, "cites": "https://safe.global"}, "cites where it was"),
    ("permit2", {"address": SOMEWHERE}, "cites where it was seen"),
    ("permit2", {}, "either address (with cites) or deploy"),
    ("lending", None, "Input should be"),
    ("lending.kink", "100 %", "less than or equal to 99"),
    ("lending.kink", "80.5 %", "finer than the chain keeps"),
    ("lending.rate_at_kink", "5 %", 'is not of the form "5 % a year"'),
    ("lending.rate_at_full", "4.9 % a year", "rate_at_full must not be below rate_at_kink"),
    ("lending.rate_at_full", "819.2 % a year", "less than 8192"),
    ("lending.reserve_share", "51 %", "less than or equal to 50"),
    ("settlement.outflow", "0 tokens an hour", "greater than 0"),
    ("assets.WETH.outflow", "1,099,511,627,775 tokens an hour", "less than 1099511627775"),
    ("assets.WETH.outflow", "$5", 'is not of the form "5,000 tokens an hour"'),
    ("underlyings.ETH.volatility", "0 % an hour", "greater than or equal to 1"),
    ("underlyings.ETH.volatility", "6.5536 % an hour", "less than 65536"),
    ("underlyings.ETH.symbol", "\u039eTH", "should match pattern"),
    ("underlyings.ETH.symbol", "E" * 32, "at most 31 characters"),
    ("underlyings.ETH.perpetual.funding_cap", "1.01 % an hour", "less than or equal to 10000"),
]


@pytest.mark.parametrize(("path", "value", "reason"), BROKEN)
def test_refuses_what_breaks_a_bound_or_does_not_fit(path: str, value: Any, reason: str) -> None:
    raw = yaml.safe_load((NETWORKS / "local.yaml").read_text())
    *outer, last = path.split(".")
    place = raw
    for name in outer:
        place = place[name]
    place[last] = value
    with pytest.raises(ValidationError) as refusal:
        NetworkConfig.model_validate(raw)
    assert reason in str(refusal.value)


def test_an_address_without_its_source_is_refused() -> None:
    raw = yaml.safe_load((NETWORKS / "base-sepolia.yaml").read_text())
    del raw["settlement"]["token"]["cites"]
    with pytest.raises(ValidationError, match="cites where it was seen"):
        NetworkConfig.model_validate(raw)


def test_volatility_is_measured_on_rounds() -> None:
    raw = yaml.safe_load((NETWORKS / "local.yaml").read_text())
    ether = raw["underlyings"]["ETH"]
    ether["source"] = {k: v for k, v in ether["second"].items() if k != "deviation"}
    del ether["second"]
    with pytest.raises(ValidationError, match="measured on the rounds of a chainlink source"):
        NetworkConfig.model_validate(raw)


def test_a_safe_that_exists_needs_none_of_its_contracts() -> None:
    raw = yaml.safe_load((NETWORKS / "local.yaml").read_text())
    del raw["safe_contracts"]
    raw["roles"] = {"governor": "safe", "safe": SAFE}
    with pytest.raises(ValidationError, match="the network has no `safe_contracts`"):
        NetworkConfig.model_validate(raw)
    raw["roles"]["safe"] = {**SAFE, "address": SOMEWHERE, "cites": "https://safe.global"}
    assert NetworkConfig.model_validate(raw).roles.safe is not None


def test_a_source_that_is_no_public_page_is_refused() -> None:
    raw = yaml.safe_load((NETWORKS / "base-sepolia.yaml").read_text())
    raw["settlement"]["token"]["cites"] = "somebody told me"
    with pytest.raises(ValidationError, match="cites no public page"):
        NetworkConfig.model_validate(raw)


def test_an_unknown_network_is_told_with_those_that_are_known() -> None:
    with pytest.raises(FileNotFoundError, match="base-sepolia"):
        load_config("mainnet")
    with pytest.raises(FileNotFoundError, match="ethereum:mainnet"):
        config_for("ethereum:mainnet")


def test_exactness_has_no_float_in_it() -> None:
    assert q.read_price("$0.1") == 10**17
    assert q.write_price(int(Decimal("0.1") * 10**18)) == "$0.1"


class _Everywhere(dict[str, str]):
    """An address for every name."""

    def __missing__(self, name: str) -> str:
        return SOMEWHERE


def _cited(node: Any) -> Any:
    """Every address with what it cites; an address without it fails."""
    if isinstance(node, dict):
        if "address" in node:
            yield node["address"], node["cites"]
        for inner in node.values():
            yield from _cited(inner)

"""Verification passes what was deployed, and names whatever is not so any more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plimsoll.config import NetworkConfig
from plimsoll.deploy.artifacts import code_hash
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.preflight import Verdict
from plimsoll.deploy.roles import Role
from plimsoll.deploy.sender import Call, encode_call
from plimsoll.deploy.words import settings
from plimsoll.deployments import MANIFEST, Manifest
from plimsoll.risk.params import AssetParams, Kind
from tests.deploy.conftest import Rehearsal
from tests.deploy.rehearsal import anvil, key, sender


def test_what_was_deployed_passes(rehearsal: Rehearsal) -> None:
    found = list(rehearsal.verification().findings())
    assert [f.what for f in found if f.verdict is Verdict.REFUSED] == []
    rebuilt = {f.what for f in found if f.what.endswith("is what its sources compile to")}
    assert len(rebuilt) == len(rehearsal.house.manifest.contracts)


def test_what_the_network_lacks_is_noted(rehearsal: Rehearsal) -> None:
    noted = {f.what for f in rehearsal.verification().findings() if f.verdict is Verdict.NOTED}
    assert "market SOL is disabled" in noted
    assert "sequencer feed is disabled" in noted


def test_a_word_changed_on_the_chain(rehearsal: Rehearsal) -> None:
    """The governor tightened a cap: lawful, at once, and seen."""
    old = next(
        s
        for s in settings(rehearsal.config, rehearsal.house.book.where)
        if (s.kind, s.name) == (Kind.ASSET, "WETH")
    )
    terms = AssetParams.from_word(old.word)
    tighter = _with_half_the_cap(terms)
    _sent(rehearsal, "MarginEngine", "submit(uint8,uint16,uint256)", Kind.ASSET, old.id, tighter)
    assert rehearsal.refusals() == [
        "ASSET WETH changed on the chain: cap: $20,000,000 -> $10,000,000"
    ]


def test_a_word_that_the_configuration_has_otherwise(rehearsal: Rehearsal) -> None:
    raw = rehearsal.config.model_dump()
    raw["underlyings"]["ETH"]["risk"]["range"] = "7 %"
    config = NetworkConfig.model_validate(raw)
    assert rehearsal.refusals(config) == [
        "UNDERLYING ETH: the configuration says range: 6.1 % -> 7 %"
    ]


def test_a_word_that_nobody_configured(rehearsal: Rehearsal) -> None:
    raw = rehearsal.config.model_dump()
    raw["assets"]["fpWETH"]["disabled"] = "left out of this configuration"
    config = NetworkConfig.model_validate(raw)
    refused = [line for line in rehearsal.refusals(config) if "not in the configuration" in line]
    assert [line.partition(" is not")[0] for line in refused] == [
        "ASSET 3",
        "TOKEN 3",
        "RATE_SOURCE 3",
        "OUTFLOW 3",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "MarginEngine",
        "ParameterModule",
        "ReportModule",
        "NormalTable",
        "CollateralVault",
        "token:WBTC",
    ],
)
def test_other_code_at_an_address(name: str, rehearsal: Rehearsal) -> None:
    address = rehearsal.house.book.where[name]
    code = bytearray(rehearsal.sender.code(address))
    code[-60] ^= 1
    rpc(rehearsal.sender.w3, "anvil_setCode", address, "0x" + code.hex())
    refused = rehearsal.refusals()
    assert f"{name}: the code at {address} is not what was deployed" in refused
    assert f"{name}: its sources compile to other code than stands there" in refused


def test_a_manifest_that_excuses_other_code(rehearsal: Rehearsal) -> None:
    """Whoever can change the code's hash in the manifest still has the sources against him."""
    address = rehearsal.house.book.where["Lens"]
    rpc(rehearsal.sender.w3, "anvil_setCode", address, "0x6001600155")
    manifest = json.loads((rehearsal.folder / MANIFEST).read_text())
    manifest["contracts"]["Lens"]["runtime_code_hash"] = code_hash(rehearsal.sender.code(address))
    (rehearsal.folder / MANIFEST).write_text(json.dumps(manifest))
    assert "Lens: its sources compile to other code than stands there" in rehearsal.refusals()


def test_no_code_at_an_address(rehearsal: Rehearsal) -> None:
    address = rehearsal.house.book.where["TradingModule"]
    rpc(rehearsal.sender.w3, "anvil_setCode", address, "0x")
    assert f"TradingModule: there is no code at {address}" in rehearsal.refusals()


def test_sources_that_are_not_those(rehearsal: Rehearsal) -> None:
    path = rehearsal.folder / "standard-json" / "FaucetToken.json"
    stored = json.loads(path.read_text())
    unit = "contracts/faucets/FaucetToken.sol"
    stored["sources"][unit]["content"] = stored["sources"][unit]["content"].replace(
        "1 days", "2 days"
    )
    path.write_text(json.dumps(stored))
    assert rehearsal.refusals() == ["token:WBTC: its sources compile to other creation code"]


def test_sources_that_are_gone(rehearsal: Rehearsal) -> None:
    path = rehearsal.folder / "standard-json" / "FaucetToken.json"
    content = path.read_bytes()
    path.unlink()
    refused = rehearsal.refusals()
    path.write_bytes(content)
    assert refused == [f"token:WBTC: {path} is missing: FaucetToken cannot be rebuilt"]


def test_arguments_that_are_not_those(rehearsal: Rehearsal) -> None:
    manifest = Manifest.load(rehearsal.folder)
    lens = manifest.contracts["Lens"]
    other = "0x" + bytes(12).hex() + key(5).address[2:].lower()
    manifest.contracts["Lens"] = lens.model_copy(update={"arguments": other})
    manifest.save(rehearsal.folder)
    assert rehearsal.refusals() == [
        f"Lens: {lens.transaction} did not create it from these sources"
    ]


def test_a_role_that_nobody_should_have(rehearsal: Rehearsal) -> None:
    stranger = key(5).address
    _sent(
        rehearsal,
        "AccessManager",
        "grantRole(uint64,address,uint32)",
        Role.GOVERNOR,
        stranger,
        0,
    )
    assert rehearsal.refusals() == [f"{stranger} is governor, which nothing says he should be"]


def test_a_role_that_is_gone(rehearsal: Rehearsal) -> None:
    mine = rehearsal.sender.address
    _sent(rehearsal, "AccessManager", "renounceRole(uint64,address)", Role.KEEPER, mine)
    assert rehearsal.refusals() == [f"the AccessManager lacks: grant keeper to {mine}"]


def test_a_function_that_others_may_call(rehearsal: Rehearsal) -> None:
    engine = rehearsal.house.book.where["MarginEngine"]
    selector = encode_call("submit(uint8,uint16,uint256)", 0, 0, 0)[:4]
    _sent(
        rehearsal,
        "AccessManager",
        "setTargetFunctionRole(address,bytes4[],uint64)",
        engine,
        [selector],
        Role.KEEPER,
    )
    assert rehearsal.refusals() == ["the AccessManager lacks: MarginEngine: submit -> governor"]


def test_a_manifest_that_says_unsealed(rehearsal: Rehearsal) -> None:
    manifest = Manifest.load(rehearsal.folder)
    manifest.sealed = False
    manifest.save(rehearsal.folder)
    assert rehearsal.refusals() == ["the chain says sealed: True, the manifest False"]


def test_reserves_that_belong_to_somebody_else(rehearsal: Rehearsal) -> None:
    """Whatever answers at the vault's address is not what was bound."""
    other = Manifest.load(rehearsal.folder)
    lens = other.contracts["Lens"]
    other.contracts["BackstopVault"] = lens
    other.save(rehearsal.folder)
    refused = rehearsal.refusals()
    bound = rehearsal.house.book.where["BackstopVault"]
    told = f"ClearingHouse.backstop is {bound}, not BackstopVault at {lens.address}"
    assert told in refused


def test_another_chain(rehearsal: Rehearsal) -> None:
    with anvil(1_337) as url:
        verification = rehearsal.verification()
        verification.sender = sender(url)
        (finding,) = verification.findings()
    assert finding.what == "the node is on chain 1337, the manifest is of 84532"
    assert finding.verdict is Verdict.REFUSED


def _with_half_the_cap(terms: AssetParams) -> int:
    return AssetParams(
        terms.tier1,
        terms.tier2,
        terms.haircut1,
        terms.haircut2,
        terms.haircut3,
        basis=terms.basis,
        cap=terms.cap // 2,
        growth=terms.growth,
    ).word


def _sent(rehearsal: Rehearsal, contract: str, signature: str, *arguments: Any) -> None:
    account = sender(rehearsal.url)
    plain = [int(a) if isinstance(a, int) else a for a in arguments]
    call = Call(rehearsal.house.book.where[contract], encode_call(signature, *plain))
    signed = account.signed(call, account.confirmed_nonce())
    account.broadcast(signed)
    assert account.wait([signed.hash])["status"] == 1

"""Roles go to whom the configuration names; what is sealed changes by submission and delay only."""

from __future__ import annotations

import pytest

from plimsoll.config import NetworkConfig
from plimsoll.deploy.artifacts import Released
from plimsoll.deploy.execute import Step
from plimsoll.deploy.house import BIND, REFRESH, House, stale, word_of
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.roles import REPORTS, Role, has_role
from plimsoll.deploy.sender import StepError
from plimsoll.deploy.words import settings
from plimsoll.errors import ContractError
from plimsoll.risk.params import DELAY, Kind
from tests.deploy.conftest import Rehearsal
from tests.deploy.rehearsal import Stage, anvil, key, sender

DEPLOYER, GOVERNOR, GUARDIAN, ADMIN = range(4)


def test_every_role_goes_to_its_holder_and_the_deployer_keeps_none(
    released: Released, tmp_path_factory: pytest.TempPathFactory, sealed: Rehearsal
) -> None:
    raw = sealed.config.model_dump()
    raw["roles"] = {
        "admin": key(ADMIN).address,
        "governor": key(GOVERNOR).address,
        "guardian": key(GUARDIAN).address,
        "keeper": key(GUARDIAN).address,
    }
    config = NetworkConfig.model_validate(raw)
    folder = tmp_path_factory.mktemp("roles")
    with anvil(config.chain_id) as url:
        Stage(url, config, released).build()
        first = House(config, sender(url, DEPLOYER), released, folder)
        first.deploy()
        first.configure()
        with pytest.raises(ContractError, match="AccessManagedUnauthorized"):
            first.seal()
        House(config, sender(url, GOVERNOR), released, folder).seal()
        assert has_role(first.book, Role.ADMIN, key(DEPLOYER).address)
        House(config, sender(url, DEPLOYER), released, folder).seal()
        for role in Role:
            assert not has_role(first.book, role, key(DEPLOYER).address)
        for role, number in [
            (Role.ADMIN, ADMIN),
            (Role.GOVERNOR, GOVERNOR),
            (Role.GUARDIAN, GUARDIAN),
            (Role.GUARDIAN, GOVERNOR),
            (Role.KEEPER, GUARDIAN),
        ]:
            assert has_role(first.book, role, key(number).address)
        verification = sealed.verification(config)
        verification.folder, verification.sender = folder, sender(url)
        verification.__post_init__()
        assert [f.what for f in verification.findings() if f.verdict.value == "no"] == []


def test_what_is_not_configured_is_not_sealed(
    released: Released, tmp_path_factory: pytest.TempPathFactory, sealed: Rehearsal
) -> None:
    config = sealed.config
    with anvil(config.chain_id) as url:
        Stage(url, config, released).build()
        house = House(config, sender(url), released, tmp_path_factory.mktemp("unconfigured"))
        with pytest.raises(StepError, match="not deployed yet: AccessManager"):
            house.configure()
        house.deploy()
        with pytest.raises(StepError, match="not configured, so not sealed: set GLOBAL globals"):
            house.seal()
        assert not house.is_sealed(house.book)


def test_nothing_is_sealed_before_the_reserves_have_an_owner(
    released: Released, tmp_path_factory: pytest.TempPathFactory, sealed: Rehearsal
) -> None:
    config = sealed.config
    with anvil(config.chain_id) as url:
        Stage(url, config, released).build()
        house = House(config, sender(url), released, tmp_path_factory.mktemp("unbound"))
        house._run([step for step in house.deploy_steps() if step.key != BIND])
        house.configure()
        with pytest.raises(StepError, match="the backstop is not bound, so not sealed"):
            house.seal()
        assert house.deploy().sent == 1
        house.seal()
        assert house.is_sealed(house.book)


def test_a_tightening_is_in_force_at_once_and_all_else_waits(rehearsal: Rehearsal) -> None:
    config = _with(rehearsal.config, cap="$10,000,000", band="0.2 %", fee="0.06 %", rng="7 %")
    house = House(config, rehearsal.sender, rehearsal.house.artifacts, rehearsal.folder)
    planned = {step.title: step.details(house.book) for step in _outstanding(house)}
    assert planned == {
        "submit UNDERLYING ETH": ["range: 6.1 % -> 7 %", "band: 0.1 % -> 0.2 %"],
        "submit MARKET ETH": ["taker_fee: 0.05 % -> 0.06 %"],
        "submit ASSET WETH": ["cap: $20,000,000 -> $10,000,000"],
    }
    assert house.configure().sent == 3
    assert _differing(house) == ["UNDERLYING ETH", "MARKET ETH"]
    assert house.configure().sent == 0

    rpc(rehearsal.sender.w3, "evm_increaseTime", DELAY)
    rpc(rehearsal.sender.w3, "evm_mine")
    rehearsal.stage.report_all()
    assert [step.title for step in _outstanding(house)] == [
        "accept UNDERLYING ETH, whose delay is over",
        "accept MARKET ETH, whose delay is over",
    ]
    assert house.configure().sent == 2
    assert _differing(house) == []
    assert rehearsal.refusals(config) == []


def test_a_loosening_beyond_one_step_is_refused_by_name(rehearsal: Rehearsal) -> None:
    config = _with(rehearsal.config, cap="$41,000,000")
    house = House(config, rehearsal.sender, rehearsal.house.artifacts, rehearsal.folder)
    assert house.configure().sent == 1
    rpc(rehearsal.sender.w3, "evm_increaseTime", DELAY)
    rpc(rehearsal.sender.w3, "evm_mine")
    with pytest.raises(ContractError, match="StepTooLarge") as refusal:
        house.configure()
    assert refusal.value.values["kind"] == Kind.ASSET


def _with(
    config: NetworkConfig,
    cap: str = "$20,000,000",
    band: str = "0.1 %",
    fee: str = "0.05 %",
    rng: str = "6.1 %",
) -> NetworkConfig:
    raw = config.model_dump()
    raw["assets"]["WETH"]["cap"] = cap
    raw["underlyings"]["ETH"]["risk"] |= {"band": band, "range": rng}
    raw["underlyings"]["ETH"]["perpetual"]["taker_fee"] = fee
    return NetworkConfig.model_validate(raw)


def _outstanding(house: House) -> list[Step]:
    return house.outstanding(house.configure_steps())


def _differing(house: House) -> list[str]:
    return [
        setting.title
        for setting in settings(house.config, house.book.where)
        if word_of(house.book, setting.kind, setting.id) != setting.word
    ]


def test_other_reporters_come_with_another_oracle_through_the_delay(rehearsal: Rehearsal) -> None:
    raw = rehearsal.config.model_dump()
    raw["reports"] |= {"reporters": ["deployer", key(GUARDIAN).address], "quorum": 2}
    config = NetworkConfig.model_validate(raw)
    first = rehearsal.house.book.where[REPORTS]
    house = House(config, rehearsal.sender, rehearsal.house.artifacts, rehearsal.folder)
    assert [step.title for step in house.outstanding(house.deploy_steps())] == [
        "deploy ReportOracle"
    ]
    assert house.deploy().sent == 1
    second = house.book.where[REPORTS]
    assert second != first
    assert house.configure().sent == 1
    assert "REPORTS reports" in _differing(house)
    rpc(rehearsal.sender.w3, "evm_increaseTime", DELAY)
    rpc(rehearsal.sender.w3, "evm_mine")
    assert house.configure().sent == 1
    assert _differing(house) == []
    assert house.deploy().sent == 0
    assert rehearsal.refusals(config) == [
        "the AccessManager lacks: ReportOracle: removeReporter -> guardian"
    ]
    back = House(rehearsal.config, rehearsal.sender, house.artifacts, rehearsal.folder)
    assert back.deploy().sent == 0
    assert back.book.where[REPORTS] == first


def test_the_ledger_follows_what_is_accepted(rehearsal: Rehearsal) -> None:
    """Anybody refreshes its copies; until then the old terms run, and verification says so."""
    raw = rehearsal.config.model_dump()
    raw["lending"]["rate_at_full"] = "80 % a year"
    raw["assets"]["WETH"]["outflow"] = "1,000 tokens an hour"
    config = NetworkConfig.model_validate(raw)
    house = House(config, rehearsal.sender, rehearsal.house.artifacts, rehearsal.folder)
    weth = config.assets["WETH"].id

    def limit() -> int:
        returns = "uint256,uint256,uint256"
        return int(house.book.read("ClearingHouse", "outflow(uint16)", weth, returns=returns)[0])

    before = limit()
    submitted = [step for step in _outstanding(house) if step.key != REFRESH]
    assert [step.title for step in submitted] == ["submit LENDING cash", "submit OUTFLOW WETH"]
    house._run(submitted)
    assert stale(config, house.book) == [weth]
    assert limit() == before
    assert f"the ledger's terms of asset {weth} are not those in force: refresh" in (
        rehearsal.refusals(config)
    )
    assert house.configure().sent == 1
    assert limit() == 1_000 * 10**18
    assert house.configure().sent == 0

    rpc(rehearsal.sender.w3, "evm_increaseTime", DELAY)
    rpc(rehearsal.sender.w3, "evm_mine")
    planned = [step.title for step in _outstanding(house)]
    assert planned == ["accept LENDING cash, whose delay is over"]
    assert house.configure().sent == 2
    assert stale(config, house.book) == []
    assert rehearsal.refusals(config) == []

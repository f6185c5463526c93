"""A Safe owns the deployment: its deployer can do nothing any more, its owners only in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hexbytes import HexBytes

from plimsoll.config import NetworkConfig, load_config
from plimsoll.deploy.artifacts import Artifacts, Compiled
from plimsoll.deploy.house import House, word_of
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.preflight import Verdict, preflight
from plimsoll.deploy.roles import ADMINISTRATION, FUNCTIONS, Role, selector
from plimsoll.deploy.safe import safe_address, write_batch
from plimsoll.deploy.sender import Call, Sender, StepError, encode_call
from plimsoll.deploy.verify import Verification
from plimsoll.deployments import Manifest
from plimsoll.errors import ContractError
from plimsoll.risk.params import DELAY, Kind, UnderlyingParams
from tests.deploy.conftest import ROOT
from tests.deploy.council import execution
from tests.deploy.rehearsal import Stage, anvil, key, sender
from tests.deploy.test_resume import Killed, Mortal, Reaper, whole

DEPLOYER, GUARDIAN, STRANGER = 0, 4, 5
OWNERS = (1, 2, 3)
ADMIN_DELAY = 2 * 24 * 3600
ETH = 1


def with_safe(config: NetworkConfig, **roles: Any) -> NetworkConfig:
    raw = config.model_dump()
    raw["roles"] = {
        "safe": {"owners": [key(n).address for n in OWNERS], "threshold": 2},
        "admin": "safe",
        "governor": "safe",
        "guardian": key(GUARDIAN).address,
        "keeper": key(GUARDIAN).address,
        "admin_delay": "2 days",
        "grant_delay": "1 day",
        **roles,
    }
    return NetworkConfig.model_validate(raw)


@dataclass(frozen=True)
class Owned:
    """A sealed deployment that belongs to a Safe."""

    url: str
    config: NetworkConfig
    stage: Stage
    house: House

    @property
    def safe(self) -> str:
        return safe_address(self.config, self.house.book)

    def where(self, name: str) -> str:
        return self.house.book.where[name]

    def refusals(self, config: NetworkConfig | None = None) -> list[str]:
        folder = self.house.folder
        assert folder is not None
        found = Verification(config or self.config, folder, sender(self.url), rebuild=False)
        return [f.what for f in found.findings() if f.verdict is Verdict.REFUSED]

    def sign(self, call: Call, owners: tuple[int, ...] = (1, 2)) -> None:
        """Has these owners sign a call, and a stranger send it."""
        messenger = sender(self.url, STRANGER)
        send(messenger, execution(self.safe, call, [key(n) for n in owners], messenger))

    def pass_time(self, seconds: int) -> None:
        rpc(self.stage.w3, "evm_increaseTime", seconds)
        rpc(self.stage.w3, "evm_mine")


def send(account: Sender, call: Call) -> None:
    signed = account.signed(call, account.confirmed_nonce())
    account.broadcast(signed)
    assert account.wait([signed.hash])["status"] == 1


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return Compiled(ROOT)


@pytest.fixture(scope="module", params=["ethereum-sepolia", "arbitrum-sepolia"])
def made(
    request: pytest.FixtureRequest, artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Owned]:
    """With Safe's contracts where they are known, and where the deployment brings them along."""
    config = with_safe(load_config(request.param))
    with anvil(config.chain_id) as url:
        stage = Stage(url, config, artifacts)
        stage.build()
        house = House(config, sender(url), artifacts, tmp_path_factory.mktemp(config.name))
        house.deploy()
        house.configure()
        house.seal()
        yield Owned(url, config, stage, house)


@pytest.fixture
def owned(made: Owned) -> Iterator[Owned]:
    snapshot = rpc(made.stage.w3, "evm_snapshot")
    yield made
    rpc(made.stage.w3, "evm_revert", snapshot)


def test_verification_proves_it(owned: Owned) -> None:
    folder = owned.house.folder
    assert folder is not None
    found = list(Verification(owned.config, folder, sender(owned.url), rebuild=False).findings())
    assert [f.what for f in found if f.verdict is Verdict.REFUSED] == []
    fine = [f.what for f in found]
    assert f"the Safe at {owned.safe}: 2 of 3 owners" in fine
    assert f"{owned.safe} is admin after 2 days" in fine
    assert f"{owned.safe} is governor" in fine
    assert any("attempts by the deployer at what is restricted are refused" in w for w in fine)
    assert owned.house.manifest.roles["governor"] == owned.safe


def test_the_deployer_is_turned_away_everywhere(owned: Owned) -> None:
    deployer = sender(owned.url)
    for contract, by_role in FUNCTIONS.items():
        for function in (f for functions in by_role.values() for f in functions):
            with pytest.raises(ContractError, match="AccessManagedUnauthorized"):
                deployer.call(Call(owned.where(contract), selector(function) + bytes(256)))
    for function in ADMINISTRATION:
        with pytest.raises(ContractError) as refused:
            deployer.call(Call(owned.where("AccessManager"), selector(function) + bytes(256)))
        assert refused.value.data[:4] == selector(
            "AccessManagerUnauthorizedAccount(address,uint64)"
        )


def test_two_of_three_change_a_parameter_through_the_delay(owned: Owned) -> None:
    engine, book = owned.where("MarginEngine"), owned.house.book
    old = UnderlyingParams.from_word(word_of(book, Kind.UNDERLYING, ETH))
    new = UnderlyingParams(
        old.range + 50, old.window, old.closing, old.concentration, old.band
    ).word
    submission = Call(
        engine, encode_call("submit(uint8,uint16,uint256)", int(Kind.UNDERLYING), ETH, new)
    )
    with pytest.raises((ContractError, StepError)):
        owned.sign(submission, owners=(1,))
    with pytest.raises((ContractError, StepError)):
        owned.sign(submission, owners=(1, STRANGER))
    owned.sign(submission)
    acceptance = Call(engine, encode_call("accept(uint8,uint16)", int(Kind.UNDERLYING), ETH))
    with pytest.raises((ContractError, StepError)):
        owned.sign(acceptance)
    assert word_of(book, Kind.UNDERLYING, ETH) == old.word
    owned.pass_time(DELAY)
    owned.stage.report_all()
    owned.sign(acceptance, owners=(2, 3))
    assert word_of(book, Kind.UNDERLYING, ETH) == new


def test_the_administrator_is_seen_coming(owned: Owned) -> None:
    """A new governor is named, waits for the administrator's delay, and then for that of grants."""
    manager, stranger = owned.where("AccessManager"), key(STRANGER).address
    grant = encode_call("grantRole(uint64,address,uint32)", int(Role.GOVERNOR), stranger, 0)
    with pytest.raises((ContractError, StepError)):
        owned.sign(Call(manager, grant))
    schedule = encode_call("schedule(address,bytes,uint48)", manager, grant, 0)
    owned.sign(Call(manager, schedule))
    with pytest.raises((ContractError, StepError)):
        owned.sign(Call(manager, grant))
    # The delay of grants has taken effect by then: the manager's five days are over.
    owned.pass_time(6 * 24 * 3600)
    owned.sign(Call(manager, grant))
    member = owned.house.book.read(
        "AccessManager",
        "hasRole(uint64,address)",
        int(Role.GOVERNOR),
        stranger,
        returns="bool,uint32",
    )
    assert member == (False, 0)
    assert f"{stranger} is governor, which nothing says he should be" in owned.refusals()


def test_what_verification_says_of_another_safe(owned: Owned) -> None:
    owners = [key(n).address for n in (1, 2, STRANGER)]
    safe = {"owners": owners, "threshold": 3, "address": owned.safe, "cites": "https://safe.global"}
    refused = owned.refusals(with_safe(owned.config, safe=safe))
    assert refused == [
        f"{key(3).address} is an owner of the Safe, which the configuration does not say",
        f"{key(STRANGER).address} is no owner of the Safe",
        "2 owners sign for the Safe, not 3",
    ]


def test_a_module_or_a_guard_is_seen(owned: Owned) -> None:
    module = owned.where("ClearingHouse")
    owned.sign(Call(owned.safe, encode_call("enableModule(address)", module)))
    assert owned.refusals() == [f"the Safe has the module {module}"]


def test_another_delay_is_seen(owned: Owned) -> None:
    refused = owned.refusals(with_safe(owned.config, admin_delay="3 days", grant_delay="2 days"))
    assert refused == [
        *(
            f"the AccessManager lacks: new {role}s wait 2 days"
            for role in ("admin", "governor", "guardian", "keeper")
        ),
        f"the AccessManager lacks: grant admin to {owned.safe} after 3 days",
    ]


def test_a_deployer_who_keeps_a_role_is_seen(artifacts: Artifacts, tmp_path: Path) -> None:
    """Sealed, and killed before the roles were handed over."""
    config = with_safe(load_config("base-sepolia"))
    with anvil(config.chain_id) as url:
        Stage(url, config, artifacts).build()
        house = House(config, sender(url), artifacts, tmp_path)
        house.deploy()
        house.configure()
        seal, *_ = house.seal_steps()
        house._run([seal])
        house.manifest.sealed = True
        house._save()
        deployer = sender(url).address

        def refused() -> list[str]:
            found = Verification(config, tmp_path, sender(url), rebuild=False).findings()
            return [f.what for f in found if f.verdict is Verdict.REFUSED]

        first = refused()
        assert f"{deployer} is admin, which nothing says he should be" in first
        assert f"{deployer} is governor, which nothing says he should be" in first
        assert "the AccessManager lets the deployer call MarginEngine.submit" in first
        assert "AccessManager.grantRole does not turn the deployer away: it passes" in first
        assert house.seal().sent == 1
        assert refused() == []


def test_no_role_is_given_up_to_a_wrong_safe(artifacts: Artifacts, tmp_path: Path) -> None:
    config = with_safe(load_config("base-sepolia"))
    with anvil(config.chain_id) as url:
        stage = Stage(url, config, artifacts)
        stage.build()
        house = House(config, sender(url), artifacts, tmp_path)
        house.deploy()
        house.configure()
        rpc(stage.w3, "anvil_setStorageAt", safe_address(config, house.book), hex(4), _word(1))
        with pytest.raises(StepError, match="1 owners sign for the Safe, not 2"):
            house.seal()


def test_what_stands_in_for_safe_is_refused_beforehand(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    config = with_safe(load_config("base-sepolia"))
    with anvil(config.chain_id) as url:
        stage = Stage(url, config, artifacts)
        stage.build()
        assert config.safe_contracts is not None
        rpc(stage.w3, "anvil_setCode", config.safe_contracts.singleton, "0x6001600155")
        findings = preflight(House(config, sender(url), artifacts, tmp_path))
    refused = [f.what for f in findings if f.verdict is Verdict.REFUSED]
    assert refused == [f"safe:singleton: at {config.safe_contracts.singleton} is not SafeL2"]


def test_the_owners_sign_what_a_changed_configuration_needs(owned: Owned, tmp_path: Path) -> None:
    """`configure` cannot send it: it writes the batch that the Safe's owners sign."""
    raw = owned.config.model_dump()
    raw["underlyings"]["ETH"]["risk"]["band"] = "0.3 %"
    config = NetworkConfig.model_validate(raw)
    house = House(config, sender(owned.url), owned.house.artifacts, owned.house.folder)
    steps = house.outstanding(house.configure_steps())
    file = tmp_path / "batch.json"
    assert write_batch(file, config, house.book, steps) == 1
    batch = json.loads(file.read_text())
    assert batch["chainId"] == str(config.chain_id)
    assert batch["meta"]["description"] == "submit UNDERLYING ETH"
    for each in batch["transactions"]:
        owned.sign(Call(each["to"], bytes(HexBytes(each["data"])), int(each["value"])))
    assert house.outstanding(house.configure_steps()) == []


def _word(number: int) -> str:
    return f"0x{number:064x}"


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_transaction(when: str, artifacts: Artifacts, tmp_path: Path) -> None:
    """One Safe is made, and the roles are handed over once, however often the run dies."""
    config = with_safe(load_config("arbitrum-sepolia"))
    with anvil(config.chain_id) as url:
        Stage(url, config, artifacts).build()
        reaper, lives = Reaper(when), 0
        while True:
            lives += 1
            mortal = Mortal.at(url, reaper)
            try:
                whole(House(config, mortal, artifacts, tmp_path))
                break
            except Killed:
                continue
        assert lives == mortal.confirmed_nonce() + 1
        manifest = Manifest.load(tmp_path)
        assert len({t.step for t in manifest.transactions}) == mortal.confirmed_nonce()
        assert manifest.support["safe"] == manifest.roles["governor"]
        found = Verification(config, tmp_path, sender(url), rebuild=False).findings()
        assert [f.what for f in found if f.verdict is Verdict.REFUSED] == []


def test_a_plan_tells_where_the_safe_will_stand(artifacts: Artifacts, tmp_path: Path) -> None:
    config = with_safe(load_config("base-sepolia"))
    with anvil(config.chain_id) as url:
        Stage(url, config, artifacts).build()
        house = House(config, sender(url), artifacts, tmp_path)
        (planned,) = [
            step for step in house.outstanding(house.deploy_steps()) if step.key == "safe"
        ]
        told = planned.details(house.book)
        house.deploy()
        assert told[0] == f"at {safe_address(config, house.book)}"
        assert house.sender.code(safe_address(config, house.book))
        assert House(config, sender(url), artifacts, tmp_path).deploy().sent == 0


def test_an_existing_safe_is_taken_as_it_is(owned: Owned, tmp_path: Path) -> None:
    """A second deployment by the same owners: their Safe is checked, not made."""
    existing = {
        "owners": [key(n).address for n in OWNERS],
        "threshold": 2,
        "address": owned.safe,
        "cites": "https://safe.global",
    }
    config = with_safe(owned.config, safe=existing)
    house = House(config, sender(owned.url), owned.house.artifacts, tmp_path)
    assert "safe" not in [step.key for step in house.deploy_steps()]
    findings = [f for f in preflight(house) if "Safe" in f.what]
    assert f"the Safe at {owned.safe} is as configured" in [f.what for f in findings]
    wrong = with_safe(owned.config, safe=existing | {"threshold": 1})
    house = House(wrong, sender(owned.url), owned.house.artifacts, tmp_path)
    refused = [f.what for f in preflight(house) if f.verdict is Verdict.REFUSED]
    assert "2 owners sign for the Safe, not 1" in refused

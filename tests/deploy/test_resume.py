"""A run can be killed at any transaction, and the next one goes on: nothing twice, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plimsoll.config import NetworkConfig, load_config
from plimsoll.deploy.artifacts import Artifacts, Compiled
from plimsoll.deploy.execute import Ran, Step
from plimsoll.deploy.house import House
from plimsoll.deploy.journal import JOURNAL
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.sender import Call, Sender, Signed, StepError, encode_call
from plimsoll.deploy.verify import Verification
from plimsoll.deployments import Manifest
from tests.deploy.conftest import ROOT
from tests.deploy.rehearsal import Stage, anvil, sender


class Killed(BaseException):
    """What `kill -9` is to a process: nothing catches it, nothing runs after it."""


@dataclass
class Reaper:
    """Kills every transaction once: before it leaves, or before its receipt is seen."""

    when: str
    struck: set[int] = field(default_factory=set)

    def comes_for(self, nonce: int, moment: str) -> bool:
        if moment != self.when or nonce in self.struck:
            return False
        self.struck.add(nonce)
        return True


class Mortal(Sender):
    """A sender whose process can die."""

    reaper: Reaper

    @classmethod
    def at(cls, url: str, reaper: Reaper) -> Mortal:
        plain = sender(url)
        mortal = cls(plain.w3, plain.address, plain._sign, patience=30)
        mortal.reaper = reaper
        return mortal

    def broadcast(self, signed: Signed) -> None:
        if self.reaper.comes_for(signed.nonce, "before"):
            raise Killed
        super().broadcast(signed)
        if self.reaper.comes_for(signed.nonce, "after"):
            raise Killed


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return Compiled(ROOT)


@pytest.fixture
def config() -> NetworkConfig:
    return load_config("base-sepolia")


@pytest.fixture
def url(config: NetworkConfig, artifacts: Artifacts) -> Iterator[str]:
    with anvil(config.chain_id) as address:
        Stage(address, config, artifacts).build()
        yield address


def whole(house: House) -> None:
    house.deploy()
    house.configure()
    house.seal()


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_transaction(
    when: str, url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    reaper = Reaper(when)
    lives = 0
    while True:
        lives += 1
        mortal = Mortal.at(url, reaper)
        try:
            whole(House(config, mortal, artifacts, tmp_path))
            break
        except Killed:
            continue
    manifest = Manifest.load(tmp_path)
    nonces = mortal.confirmed_nonce()
    assert lives == nonces + 1
    assert len(reaper.struck) == nonces
    assert len({t.step for t in manifest.transactions}) == len(manifest.transactions) == nonces
    assert manifest.sealed
    assert _refusals(config, tmp_path, mortal) == []


def test_a_second_run_does_nothing(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    whole(House(config, sender(url), artifacts, tmp_path))
    before = sender(url).confirmed_nonce(), (tmp_path / "manifest.json").read_bytes()
    again = House(config, sender(url), artifacts, tmp_path)
    assert [again.deploy().sent, again.configure().sent, again.seal().sent] == [0, 0, 0]
    after = sender(url).confirmed_nonce(), (tmp_path / "manifest.json").read_bytes()
    assert after == before


def test_goes_on_without_its_journal(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    House(config, sender(url), artifacts, tmp_path).deploy()
    (tmp_path / JOURNAL).unlink()
    again = House(config, sender(url), artifacts, tmp_path)
    assert again.deploy() == Ran(sent=0, skipped=len(again.deploy_steps()))


def test_goes_on_without_its_manifest(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    House(config, sender(url), artifacts, tmp_path).deploy()
    known = Manifest.load(tmp_path).contracts
    (tmp_path / "manifest.json").unlink()
    again = House(config, sender(url), artifacts, tmp_path)
    assert again.deploy().sent == 0
    assert Manifest.load(tmp_path).contracts == known


def test_a_line_cut_short_by_the_kill_is_forgotten(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    House(config, sender(url), artifacts, tmp_path).deploy()
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"kind": "sent", "step": "set:GLO')
    again = House(config, sender(url), artifacts, tmp_path)
    again.configure()
    kinds = [json.loads(line)["kind"] for line in (tmp_path / JOURNAL).read_text().splitlines()]
    assert kinds.count("mined") == len(again.manifest.transactions)


def test_another_chain_starts_another_journal(
    config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    for age in (3_600, 0):
        with anvil(config.chain_id, age) as url:
            Stage(url, config, artifacts).build()
            ran = House(config, sender(url), artifacts, tmp_path).deploy()
            assert ran.skipped == 0
    assert len(list(tmp_path.glob("*.old"))) == 1


def test_a_transaction_that_is_stuck_is_replaced_at_its_own_nonce(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    impatient = sender(url)
    impatient.patience = 0.2
    rpc(impatient.w3, "evm_setAutomine", False)
    with pytest.raises(StepError, match=r"not mined within 0\.2 s"):
        House(config, impatient, artifacts, tmp_path).deploy()
    again = House(config, _Waking.at(url), artifacts, tmp_path)
    again.deploy()
    first = again.deploy_steps()[0]
    records = [json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines()]
    sent = [r for r in records if r["kind"] == "sent" and r["step"] == first.key]
    assert len(sent) == 2
    assert sent[0]["nonce"] == sent[1]["nonce"] == 0
    assert sent[1]["max_fee"] > sent[0]["max_fee"] * 112 // 100
    assert again.journal.mined[first.key].hash == sent[1]["hash"]


def test_a_nonce_lost_to_a_stranger_is_told_not_guessed(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    mortal = Mortal.at(url, Reaper("before"))
    with pytest.raises(Killed):
        House(config, mortal, artifacts, tmp_path).deploy()
    elsewhere = sender(url)
    spent = elsewhere.signed(Call(elsewhere.address, b""), elsewhere.confirmed_nonce())
    elsewhere.broadcast(spent)
    elsewhere.wait([spent.hash])
    with pytest.raises(StepError, match=r"nonce 0 of .* went to a transaction that is not"):
        House(config, sender(url), artifacts, tmp_path).deploy()


def test_another_account_cannot_finish_what_one_began(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        House(config, Mortal.at(url, Reaper("before")), artifacts, tmp_path).deploy()
    with pytest.raises(StepError, match="go on with that account"):
        House(config, sender(url, number=1), artifacts, tmp_path).deploy()


def test_a_step_that_reverted_is_open_again(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    house = House(config, _Headstrong.at(url), artifacts, tmp_path)
    house.deploy()
    engine = house.book.where["MarginEngine"]
    done: list[bool] = []
    failing = Step(
        key="fails",
        title="fails once",
        call=lambda book: Call(engine, encode_call("seal()") if done else b"\xde\xad\xbe\xef"),
        done=lambda book: House.is_sealed(book),
    )
    with pytest.raises(StepError, match="was mined and reverted"):
        house._run([failing])
    assert house.journal.in_flight("fails") == []
    assert "fails" not in house.journal.mined


def test_waits_for_as_many_confirmations_as_asked(
    url: str, config: NetworkConfig, artifacts: Artifacts, tmp_path: Path
) -> None:
    patient = sender(url, confirmations=2)
    patient.patience = 0.2
    with pytest.raises(StepError, match="no 2 confirmations"):
        House(config, patient, artifacts, tmp_path).deploy()
    rpc(patient.w3, "anvil_mine", "0x2")
    again = House(config, patient, artifacts, tmp_path)
    assert again.deploy().sent == 0


class _Waking(Sender):
    """After it has sent, the chain mines again."""

    @classmethod
    def at(cls, url: str) -> _Waking:
        plain = sender(url)
        return cls(plain.w3, plain.address, plain._sign, patience=30)

    def broadcast(self, signed: Signed) -> None:
        super().broadcast(signed)
        rpc(self.w3, "evm_setAutomine", True)


class _Headstrong(Sender):
    """Sends what an estimate would refuse."""

    @classmethod
    def at(cls, url: str) -> _Headstrong:
        plain = sender(url)
        return cls(plain.w3, plain.address, plain._sign, patience=30)

    def _gas(self, call: Call) -> int:
        return 10_000_000


def _refusals(config: NetworkConfig, folder: Path, reader: Sender) -> list[str]:
    found = Verification(config, folder, reader, rebuild=False).findings()
    return [finding.what for finding in found if finding.verdict.value == "no"]

"""Reporters: what they refuse to sign, how a quorum meets, and that dying loses nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from plimsoll.errors import InvalidConnectionError
from plimsoll.reporter import (
    Box,
    CommandSigner,
    FileSource,
    KeySigner,
    Limits,
    Observation,
    Reporter,
    Seen,
    Sign,
    Wait,
    decide,
    mid_premium,
)
from plimsoll.reporter.act import Outcome
from plimsoll.reporter.decide import Collect
from plimsoll.reporter.settings import reporter_on, signers_from
from plimsoll.reports import FRESH, PremiumReport, ReportsError, report_domain
from tests.evm import actor
from tests.unit.lens_house import ETH, House
from tests.world import QUORUM, REPORTERS

NOW = 1_000_000
GOOD = Observation(Decimal("0.0008"), NOW - 10)
SEEN = Seen(ETH, NOW, 0, GOOD, 0, Decimal("0.05"))
LIMITS = Limits()


class TestDecide:
    def test_signs_what_is_fresh(self) -> None:
        assert decide(SEEN, LIMITS) == Sign(ETH, GOOD)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"last_observed_at": NOW - 3_599}, "within the hour"),
            ({"observation": None}, "says nothing"),
            ({"observation": Observation(GOOD.premium, NOW - 61)}, "61 s old"),
            ({"observation": Observation(GOOD.premium, NOW + 1)}, "1 s ahead"),
            ({"observation": Observation(Decimal("0.0501"), NOW)}, "not believed"),
            ({"observation": Observation(Decimal("-0.0501"), NOW)}, "not believed"),
        ],
    )
    def test_waits_and_says_why(self, change: dict[str, object], reason: str) -> None:
        step = decide(replace(SEEN, **change), LIMITS)  # type: ignore[arg-type]
        assert isinstance(step, Wait)
        assert reason in step.reason

    @pytest.mark.parametrize(
        "change",
        [
            {"last_observed_at": NOW - 3_600},
            {"observation": Observation(GOOD.premium, NOW - 60)},
            {"observation": Observation(Decimal("-0.05"), NOW)},
            {"own_observed_at": NOW - LIMITS.renew},
        ],
    )
    def test_signs_up_to_every_limit(self, change: dict[str, object]) -> None:
        seen = replace(SEEN, **change)  # type: ignore[arg-type]
        assert decide(seen, LIMITS) == Sign(ETH, seen.observation)

    def test_what_it_signed_a_moment_ago_only_waits_for_others(self) -> None:
        waiting = replace(SEEN, own_observed_at=NOW - LIMITS.renew + 1, observation=None)
        assert decide(waiting, LIMITS) == Collect(ETH)
        assert LIMITS.renew < FRESH

    def test_a_report_that_was_handed_in_waits_for_nobody(self) -> None:
        used = replace(SEEN, last_observed_at=NOW - 3_600, own_observed_at=NOW - 3_600)
        assert decide(used, LIMITS) == Sign(ETH, GOOD)


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House):
    with built.evm.anchored():
        built.wait(7_200)
        yield built


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


def reporter_of(house: House, box: Box, name: str, premium: str = "0.0008") -> Reporter:
    def see(_underlying: int) -> Observation:
        return Observation(Decimal(premium), house.evm.time)

    key = actor(name)
    return Reporter(house.seen_by(key).chain, see, [KeySigner(key)], box, [ETH])


def only(reporter: Reporter) -> Outcome:
    (outcome,) = reporter.step().outcomes
    return outcome


def everybody(house: House, box: Box) -> list[Reporter]:
    return [reporter_of(house, box, name) for name in REPORTERS]


def observed_at(house: House) -> int:
    return house.deployer.funding(ETH).observed_at


class TestQuorum:
    def test_the_last_of_a_quorum_hands_the_batch_in(self, house: House, box: Box) -> None:
        before = observed_at(house)
        people = everybody(house, box)[:QUORUM]
        for early in people[:-1]:
            outcome = only(early)
            assert outcome.receipt is None
            assert "agree" in (outcome.refusal or "")
            assert observed_at(house) == before
        last = only(people[-1])
        assert last.receipt is not None
        assert last.batch is not None
        assert len(last.batch.signed) == QUORUM
        assert observed_at(house) == house.evm.time > before
        assert house.deployer.funding(ETH).rate > 0

    def test_then_everybody_waits_an_hour(self, house: House, box: Box) -> None:
        people = everybody(house, box)
        for each in people:
            each.step()
        assert all(isinstance(only(each).step, Wait) for each in people)
        house.wait(3_600)
        assert isinstance(only(people[0]).step, Sign)

    def test_one_who_was_restarted_goes_on_where_he_died(self, house: House, box: Box) -> None:
        """After signing, before a quorum: the box and the chain are all the state there is."""
        for name in REPORTERS[: QUORUM - 1]:
            only(reporter_of(house, box, name))
        again = only(reporter_of(house, box, REPORTERS[0]))
        assert isinstance(again.step, Collect)
        assert only(reporter_of(house, box, REPORTERS[QUORUM - 1])).receipt is not None

    def test_one_who_died_before_sending_is_replaced_by_whoever_looks_next(
        self, house: House, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        people = everybody(house, box)
        for early in people[: QUORUM - 1]:
            early.step()
        doomed = people[QUORUM - 1]
        with monkeypatch.context() as death:
            death.setattr(Reporter, "_send", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                doomed.step()
        taken = only(people[0])
        assert isinstance(taken.step, Collect)
        assert taken.receipt is not None

    def test_an_outlier_is_left_out(self, house: House, box: Box) -> None:
        liar = reporter_of(house, box, REPORTERS[0], premium="0.049")
        assert only(liar).receipt is None
        honest = [only(reporter_of(house, box, name)) for name in REPORTERS[1 : QUORUM + 1]]
        assert honest[-1].receipt is not None
        assert honest[-1].batch is not None
        assert honest[-1].batch.premium == Decimal("0.0008")

    def test_a_stranger_and_a_forged_file_count_for_nothing(self, house: House, box: Box) -> None:
        for name in REPORTERS[: QUORUM - 1]:
            only(reporter_of(house, box, name))
        assert only(reporter_of(house, box, "stranger")).receipt is None
        real = next(box.folder.glob("*.json"))
        told = json.loads(real.read_text())
        forged = {**told, "reporter": actor(REPORTERS[-1]).address}
        (box.folder / f"{ETH}-forged.json").write_text(json.dumps(forged))
        (box.folder / f"{ETH}-broken.json").write_text("{")
        assert only(reporter_of(house, box, REPORTERS[0])).receipt is None

    def test_on_paper_nothing_is_sent(self, house: House, box: Box) -> None:
        for name in REPORTERS[: QUORUM - 1]:
            only(reporter_of(house, box, name))
        before = observed_at(house)
        paper = reporter_of(house, box, REPORTERS[-1])
        paper.chain.signer = None
        report = paper.step()
        assert report.paper
        assert report.outcomes[0].batch is not None
        assert report.metrics() == {"signed": 1, "sent": 0, "refused": 0}
        assert observed_at(house) == before

    def test_what_is_said_is_json_that_rounds_nothing(self, house: House, box: Box) -> None:
        told = json.loads(json.dumps(reporter_of(house, box, REPORTERS[0]).step().to_json()))
        assert told["outcomes"][0]["do"] == "Sign"
        assert told["refused"] == 1


class TestSources:
    def test_a_file_is_read_exactly(self, tmp_path: Path) -> None:
        path = tmp_path / "premiums.json"
        path.write_text('{"1": {"premium": "0.000123456789012345678", "observed_at": 5}}')
        assert FileSource(path)(1) == Observation(Decimal("0.000123456789012345"), 5)
        assert FileSource(path)(2) is None

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"1": 5}', '{"1": {"premium": "x", "observed_at": 1}}',
                 '{"1": {"premium": "NaN", "observed_at": 1}}', '{"1": {"premium": "1"}}'],
    )  # fmt: skip
    def test_what_is_malformed_is_nothing(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "premiums.json"
        path.write_text(text)
        assert FileSource(path)(1) is None
        assert FileSource(tmp_path / "missing.json")(1) is None

    def test_the_middle_of_a_book(self) -> None:
        assert mid_premium(Decimal(99), Decimal(103), Decimal(100)) == Decimal("0.01")
        assert mid_premium(Decimal(97), Decimal(101), Decimal(100)) == Decimal("-0.01")


class TestSigners:
    DOMAIN = report_domain(1, "0x" + "11" * 20)
    REPORT = PremiumReport(ETH, Decimal("-0.0001"), NOW)

    def command(self, tmp_path: Path, signer: LocalAccount) -> str:
        program = tmp_path / "sign.py"
        program.write_text(
            "import json, sys\n"
            "from eth_account import Account\n"
            "from eth_account.messages import encode_typed_data\n"
            "asked = json.load(sys.stdin)\n"
            "message = {k: int(v) for k, v in asked['message'].items()}\n"
            "typed = encode_typed_data(asked['domain'], asked['types'], message)\n"
            f"print(Account.from_key('{signer.key.hex()}').sign_message(typed).signature.hex())\n"
        )
        return f"{sys.executable} {program}"

    def test_a_command_signs_the_same(self, tmp_path: Path) -> None:
        key = actor("ann")
        by_command = CommandSigner(key.address, self.command(tmp_path, key))
        signed = by_command.sign(self.REPORT, self.DOMAIN)
        assert signed == KeySigner(key).sign(self.REPORT, self.DOMAIN)

    def test_a_command_that_signs_as_another_is_refused(self, tmp_path: Path) -> None:
        wrong = CommandSigner(actor("ben").address, self.command(tmp_path, actor("ann")))
        with pytest.raises(ReportsError, match="did not sign as"):
            wrong.sign(self.REPORT, self.DOMAIN)

    @pytest.mark.parametrize("command", ["false", "echo no-hex", "/nonexistent/program"])
    def test_a_command_that_fails_is_an_error_in_words(self, command: str) -> None:
        with pytest.raises(ReportsError, match="signing command"):
            CommandSigner(actor("ann").address, command).sign(self.REPORT, self.DOMAIN)

    def test_the_environment_names_keys_and_command(self) -> None:
        key = actor("ann")
        told = {
            "PLIMSOLL_REPORTER_KEYS": f"{key.key.hex()}, ",
            "PLIMSOLL_REPORTER_COMMAND": "sign",
            "PLIMSOLL_REPORTER_ADDRESS": actor("ben").address.lower(),
        }
        assert [each.address for each in signers_from(told)] == [key.address, actor("ben").address]
        assert signers_from({}) == []


def test_the_environment_makes_a_reporter(house: House, tmp_path: Path) -> None:
    told = {
        "PLIMSOLL_REPORTER_SOURCE": str(tmp_path / "premiums.json"),
        "PLIMSOLL_REPORTER_BOX": str(tmp_path / "box"),
        "PLIMSOLL_REPORTER_UNDERLYINGS": "ETH, 2",
    }
    reporter = reporter_on(house.deployer.chain, told)
    assert reporter.underlyings == [1, 2]
    assert reporter.step().metrics()["sent"] == 0
    with pytest.raises(InvalidConnectionError, match="no underlying DOGE"):
        reporter_on(house.deployer.chain, {**told, "PLIMSOLL_REPORTER_UNDERLYINGS": "DOGE"})
    with pytest.raises(InvalidConnectionError, match="PLIMSOLL_REPORTER_BOX"):
        reporter_on(house.deployer.chain, {"PLIMSOLL_REPORTER_SOURCE": "x"})

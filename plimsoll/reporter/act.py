"""The shell around `decide`: observes, signs, shares what was signed, and hands batches in.

Reporters share their signed reports in a box: a folder that each can read, on one machine or
synchronised. All state is there and on the chain, so that a reporter may die at any moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from hexbytes import HexBytes
from web3 import Web3
from web3.contract import Contract

from plimsoll.chain import Chain, Receipt
from plimsoll.errors import ContractError, InvalidConnectionError, TransactionFailedError
from plimsoll.reporter.decide import Collect, Limits, Seen, Sign, Step, Wait, decide
from plimsoll.reporter.sign import ReportSigner, signer_of
from plimsoll.reporter.source import Source
from plimsoll.reports import (
    Batch,
    PremiumReport,
    ReportsError,
    SignedReport,
    batch_of,
    report_domain,
)
from plimsoll.risk.params import Kind
from plimsoll.units import from_wad


@dataclass(frozen=True, slots=True)
class Box:
    """One file for each reporter and underlying; what cannot be read is not there."""

    folder: Path

    def put(self, signed: SignedReport[PremiumReport]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        report = signed.report
        path = self.folder / f"{report.underlying}-{signed.reporter}.json"
        fresh = path.with_suffix(".new")
        told = {
            "reporter": signed.reporter,
            "underlying": report.underlying,
            "premium": str(report.premium),
            "observed_at": report.observed_at,
            "signature": signed.signature.hex(),
        }
        fresh.write_text(json.dumps(told), encoding="utf-8")
        fresh.replace(path)

    def all(self, underlying: int) -> Iterator[SignedReport[PremiumReport]]:
        for path in sorted(self.folder.glob(f"{underlying}-*.json")):
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                report = PremiumReport(
                    told["underlying"], Decimal(told["premium"]), int(told["observed_at"])
                )
                reporter = Web3.to_checksum_address(told["reporter"])
                signed = SignedReport(report, reporter, bytes(HexBytes(told["signature"])))
            except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
                continue
            yield signed


@dataclass(frozen=True, slots=True)
class Terms:
    """The ReportOracle in force."""

    oracle: str
    quorum: int
    agreement: Decimal
    max_premium: Decimal
    surface_agreement: Decimal
    reporters: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one underlying."""

    step: Step
    batch: Batch | None = None
    """What was handed in, or would have been on paper."""
    receipt: Receipt | None = None
    refusal: str | None = None

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "do": type(self.step).__name__,
            "underlying": self.step.underlying,
        }
        if isinstance(self.step, Wait):
            told["reason"] = self.step.reason
        if self.batch is not None:
            told |= {"premium": str(self.batch.premium), "reports": len(self.batch.signed)}
        if self.receipt is not None:
            told |= {"tx": self.receipt.hash.to_0x_hex(), "gas": self.receipt.gas_used}
        if self.refusal is not None:
            told["refused"] = self.refusal
        return told


@dataclass(frozen=True, slots=True)
class Report:
    """One pass of the reporter."""

    block: int
    time: int
    outcomes: tuple[Outcome, ...]
    paper: bool

    def metrics(self) -> dict[str, int]:
        return {
            "signed": sum(isinstance(each.step, Sign) for each in self.outcomes),
            "sent": sum(each.receipt is not None for each in self.outcomes),
            "refused": sum(each.refusal is not None for each in self.outcomes),
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "block": self.block,
            "time": self.time,
            **self.metrics(),
            "paper": self.paper,
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
        }


@dataclass(slots=True)
class Reporter:
    """Signs with what he was given; without a signer of transactions he only says what he would."""

    chain: Chain
    source: Source
    signers: Sequence[ReportSigner]
    box: Box
    underlyings: Sequence[int]
    limits: Limits = field(default_factory=Limits)

    @property
    def paper(self) -> bool:
        return self.chain.signer is None or not self.signers

    def step(self) -> Report:
        """Looks once at every underlying and does what is to be done."""
        header = self.chain.w3.eth.get_block("latest")
        block, now = header["number"], header["timestamp"]
        terms = terms_in_force(self.chain, block)
        domain = report_domain(self.chain.w3.eth.chain_id, terms.oracle)
        outcomes = tuple(self._tend(u, now, block, terms, domain) for u in self.underlyings)
        return Report(block, now, outcomes, self.paper)

    def _tend(
        self, underlying: int, now: int, block: int, terms: Terms, domain: Mapping[str, Any]
    ) -> Outcome:
        known = self._believable(underlying, terms, domain)
        step = decide(self._seen(underlying, now, block, terms, known), self.limits)
        if isinstance(step, Wait):
            return Outcome(step)
        try:
            if isinstance(step, Sign):
                known += self._sign(step, terms, domain)
            batch = batch_of(
                known, underlying, now=now, quorum=terms.quorum, agreement=terms.agreement
            )
        except ReportsError as missed:
            return Outcome(step, refusal=str(missed))
        return self._send(step, batch)

    def _sign(
        self, step: Sign, terms: Terms, domain: Mapping[str, Any]
    ) -> list[SignedReport[PremiumReport]]:
        """Those of our signers who are reporters sign, each for himself."""
        seen = step.observation
        report = PremiumReport(step.underlying, seen.premium, seen.observed_at)
        ours = [each for each in self.signers if each.address in terms.reporters]
        signed = [signer.sign(report, domain) for signer in ours]
        for one in signed:
            self.box.put(one)
        return signed

    def _send(self, step: Step, batch: Batch) -> Outcome:
        """A refusal is an outcome: another reporter may have been faster."""
        if self.paper:
            return Outcome(step, batch)
        call = self.chain.engine.functions.reportPremium(*batch.arguments())
        try:
            return Outcome(step, batch, self.chain.send(call))
        except (ContractError, TransactionFailedError) as error:
            return Outcome(step, batch, refusal=str(error))

    def _seen(
        self,
        underlying: int,
        now: int,
        block: int,
        terms: Terms,
        known: Sequence[SignedReport[PremiumReport]],
    ) -> Seen:
        own = {signer.address for signer in self.signers}
        times = [one.report.observed_at for one in known if one.reporter in own]
        call = self.chain.engine.functions.funding(underlying)
        _, _, observed_at, _ = self.chain.call(call, block)
        return Seen(
            underlying=underlying,
            time=now,
            last_observed_at=observed_at,
            observation=self.source(underlying),
            own_observed_at=max(times, default=0),
            max_premium=terms.max_premium,
        )

    def _believable(
        self, underlying: int, terms: Terms, domain: Mapping[str, Any]
    ) -> list[SignedReport[PremiumReport]]:
        """What is in the box and signed by a living reporter."""
        return [
            one
            for one in self.box.all(underlying)
            if one.reporter in terms.reporters and signer_of(one, domain) == one.reporter
        ]


def terms_in_force(chain: Chain, block: int) -> Terms:
    """Of the ReportOracle that the engine names."""
    engine = chain.engine.functions
    word, *_ = chain.call(engine.parameter(int(Kind.REPORTS), 0), block)
    if not word:
        raise InvalidConnectionError("the engine names no ReportOracle: nothing can be reported")
    oracle: Contract = chain.contract("ReportOracle", f"0x{word:040x}")
    ask = oracle.functions
    return Terms(
        oracle=oracle.address,
        quorum=chain.call(ask.QUORUM(), block),
        agreement=from_wad(chain.call(ask.AGREEMENT(), block)),
        max_premium=from_wad(chain.call(ask.MAX_PREMIUM(), block)),
        surface_agreement=from_wad(chain.call(ask.SURFACE_AGREEMENT(), block)),
        reporters=frozenset(chain.call(ask.reporters(), block)),
    )


__all__ = ["Box", "Collect", "Outcome", "Report", "Reporter", "Terms", "terms_in_force"]

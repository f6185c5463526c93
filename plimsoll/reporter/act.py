"""The shell around `decide`: observes, signs, shares what was signed, and hands batches in.

Reporters share their signed reports in a box: a folder that each can read, on one machine or
synchronised. All state is there and on the chain, so that a reporter may die at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from plimsoll.chain import Chain, Receipt
from plimsoll.outcomes import sent_or_refused, told_of
from plimsoll.reporter.box import Box
from plimsoll.reporter.decide import Limits, Seen, Sign, Step, Wait, decide
from plimsoll.reporter.quorum import Terms, terms_in_force
from plimsoll.reporter.sign import ReportSigner
from plimsoll.reporter.source import Source
from plimsoll.reports import (
    Batch,
    PremiumReport,
    ReportsError,
    SignedReport,
    batch_of,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one underlying."""

    step: Step
    batch: Batch | None = None
    """What was handed in, or would have been on paper."""
    receipt: Receipt | None = None
    refusal: str | None = None

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "do": type(self.step).__name__,
            "underlying": self.step.underlying,
        }
        if isinstance(self.step, Wait):
            said["reason"] = self.step.reason
        if self.batch is not None:
            said |= {"premium": str(self.batch.premium), "reports": len(self.batch.signed)}
        return said | told_of(self.receipt, self.refusal)


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
        outcomes = tuple(self._tend(u, now, block, terms) for u in self.underlyings)
        return Report(block, now, outcomes, self.paper)

    def _tend(self, underlying: int, now: int, block: int, terms: Terms) -> Outcome:
        known = terms.believable(self.box, underlying)
        step = decide(self._seen(underlying, now, block, terms, known), self.limits)
        if isinstance(step, Wait):
            return Outcome(step)
        try:
            if isinstance(step, Sign):
                seen = step.observation
                report = PremiumReport(step.underlying, seen.premium, seen.observed_at)
                known += terms.sign(report, self.signers, self.box)
            batch = batch_of(
                known, underlying, now=now, quorum=terms.quorum, agreement=terms.agreement
            )
        except ReportsError as missed:
            return Outcome(step, refusal=str(missed))
        return self._send(step, batch)

    def _send(self, step: Step, batch: Batch) -> Outcome:
        if self.paper:
            return Outcome(step, batch)
        call = self.chain.engine.functions.reportPremium(*batch.arguments())
        return Outcome(step, batch, *sent_or_refused(self.chain, call))

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

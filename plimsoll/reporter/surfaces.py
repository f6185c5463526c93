"""The reporter of surfaces: fits what the quotes say, signs, collects a quorum and hands it in.

Like the reporter of premiums it keeps no state but the box, in files of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from plimsoll.chain import Chain, Receipt
from plimsoll.outcomes import sent_or_refused, told_of
from plimsoll.reporter.box import SurfaceBox
from plimsoll.reporter.decide import Wait
from plimsoll.reporter.quorum import Terms, terms_in_force
from plimsoll.reporter.quotes import QuotesSource, SurfaceQuotes
from plimsoll.reporter.sign import ReportSigner
from plimsoll.reporter.svi import MOST_SLICES, Fit, fit
from plimsoll.reports import (
    FRESH,
    ReportsError,
    SignedReport,
    SurfaceBatch,
    SurfaceReport,
    surface_batch_of,
)
from plimsoll.risk.instruments import DAY, expiry_of, is_friday
from plimsoll.risk.params import Kind, OptionsParams

Signed = SignedReport[SurfaceReport]


@dataclass(frozen=True, slots=True)
class SurfaceLimits:
    """When a reporter of surfaces speaks."""

    every: int = 1_800
    """Seconds after which a surface is reported anew. It stands for two hours."""
    stale: int = 60
    """Greatest age at which quotes are fitted and signed."""
    renew: int = FRESH // 2
    """Age at which a report that waits for a quorum is signed anew."""
    worst_fit: float = 0.1
    """Greatest median error, absolute volatility, at which a fit is signed."""


@dataclass(frozen=True, slots=True)
class SurfaceSeen:
    """One underlying as the chain, the quotes and the box show it."""

    underlying: int
    time: int
    last_observed_at: int
    """Of the newest slice that a report would replace; zero before the first."""
    quotes: SurfaceQuotes | None
    days: tuple[int, ...]
    """Of the expiries that are quoted, those that the market lists."""
    own_observed_at: int
    """Of the own report in the box; zero without one."""


@dataclass(frozen=True, slots=True)
class SignSurface:
    """Fit and sign this, then collect a quorum."""

    underlying: int
    quotes: SurfaceQuotes
    days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CollectSurface:
    """What was signed before still counts: only collect a quorum."""

    underlying: int


SurfaceStep = SignSurface | CollectSurface | Wait


def decide_surface(seen: SurfaceSeen, limits: SurfaceLimits) -> SurfaceStep:
    """Refuses whatever is stale, from the future, or not newer."""
    if seen.time - seen.last_observed_at < limits.every:
        return Wait(seen.underlying, "reported a moment ago")
    waiting = seen.time - seen.own_observed_at
    if seen.own_observed_at > seen.last_observed_at and 0 <= waiting < limits.renew:
        return CollectSurface(seen.underlying)
    if seen.quotes is None:
        return Wait(seen.underlying, "there are no quotes")
    age = seen.time - seen.quotes.observed_at
    if age < 0:
        return Wait(seen.underlying, f"the quotes are {-age} s ahead of the chain")
    if age > limits.stale:
        return Wait(seen.underlying, f"the quotes are {age} s old")
    if not seen.days:
        return Wait(seen.underlying, "no expiry that is quoted is listed")
    return SignSurface(seen.underlying, seen.quotes, seen.days)


def listed(days: Sequence[int], terms: OptionsParams, now: int) -> tuple[int, ...]:
    """Expiries that the market lists, docs/options.md 1; the nearest, as many as a report holds."""

    def is_listed(day: int) -> bool:
        left = expiry_of(day) - now
        if not 0 < left <= terms.horizon * DAY:
            return False
        return is_friday(day) or left <= terms.dailies * DAY

    return tuple(sorted(filter(is_listed, days))[:MOST_SLICES])


@dataclass(frozen=True, slots=True)
class SurfaceOutcome:
    """What came of one underlying."""

    step: SurfaceStep
    fitted: Fit | None = None
    batch: SurfaceBatch | None = None
    """What was handed in, or would have been on paper."""
    receipt: Receipt | None = None
    refusal: str | None = None

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"do": type(self.step).__name__, "underlying": self.step.underlying}
        if isinstance(self.step, Wait):
            said["reason"] = self.step.reason
        if self.fitted is not None:
            said |= {
                "median_error": round(self.fitted.median_error, 6),
                "worst_error": round(self.fitted.worst_error, 6),
                "left_out": list(self.fitted.left_out),
            }
        if self.batch is not None:
            said |= {"slices": len(self.batch.slices), "reports": len(self.batch.signed)}
        return said | told_of(self.receipt, self.refusal)


@dataclass(frozen=True, slots=True)
class SurfacePass:
    """One pass over every underlying."""

    block: int
    time: int
    outcomes: tuple[SurfaceOutcome, ...]
    paper: bool

    def metrics(self) -> dict[str, int]:
        return {
            "surfaces_signed": sum(each.fitted is not None for each in self.outcomes),
            "surfaces_sent": sum(each.receipt is not None for each in self.outcomes),
            "surfaces_refused": sum(each.refusal is not None for each in self.outcomes),
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
class SurfaceReporter:
    """Signs with what he was given; without a signer of transactions he only says what he would."""

    chain: Chain
    source: QuotesSource
    signers: Sequence[ReportSigner]
    box: SurfaceBox
    underlyings: Sequence[int]
    limits: SurfaceLimits = field(default_factory=SurfaceLimits)

    @property
    def paper(self) -> bool:
        return self.chain.signer is None or not self.signers

    def step(self) -> SurfacePass:
        """Looks once at every underlying and does what is to be done."""
        header = self.chain.w3.eth.get_block("latest")
        block, now = header["number"], header["timestamp"]
        terms = terms_in_force(self.chain, block)
        outcomes = tuple(self._tend(u, now, block, terms) for u in self.underlyings)
        return SurfacePass(block, now, outcomes, self.paper)

    def _tend(self, underlying: int, now: int, block: int, terms: Terms) -> SurfaceOutcome:
        word, *_ = self._ask("parameter", block, int(Kind.OPTIONS), underlying)
        if not word:
            return SurfaceOutcome(Wait(underlying, "it has no options"))
        known = terms.believable(self.box, underlying)
        try:
            seen = self._seen(underlying, now, block, OptionsParams.from_word(word), known)
        except ReportsError as broken:
            return SurfaceOutcome(Wait(underlying, "the quotes are broken"), refusal=str(broken))
        step = decide_surface(seen, self.limits)
        if isinstance(step, Wait):
            return SurfaceOutcome(step)
        return self._report(step, known, now, terms)

    def _report(
        self,
        step: SignSurface | CollectSurface,
        known: list[Signed],
        now: int,
        terms: Terms,
    ) -> SurfaceOutcome:
        fitted = None
        try:
            if isinstance(step, SignSurface):
                fitted = self._fitted(step)
                seen_at = step.quotes.observed_at
                report = SurfaceReport(step.underlying, seen_at, fitted.slices)
                known = [*known, *terms.sign(report, self.signers, self.box)]
            batch = surface_batch_of(
                known,
                step.underlying,
                now=now,
                quorum=terms.quorum,
                agreement=terms.agreement,
                surface_agreement=terms.surface_agreement,
            )
        except ReportsError as missed:
            return SurfaceOutcome(step, fitted, refusal=str(missed))
        return self._send(step, fitted, batch)

    def _fitted(self, step: SignSurface) -> Fit:
        fitted = fit(step.quotes, step.days)
        if fitted.median_error > self.limits.worst_fit:
            raise ReportsError(
                f"the best fit is {fitted.median_error:.3f} off in the median: not signed"
            )
        return fitted

    def _send(
        self, step: SignSurface | CollectSurface, fitted: Fit | None, batch: SurfaceBatch
    ) -> SurfaceOutcome:
        if self.paper:
            return SurfaceOutcome(step, fitted, batch)
        call = self.chain.engine.functions.reportSurface(*batch.arguments())
        return SurfaceOutcome(step, fitted, batch, *sent_or_refused(self.chain, call))

    def _seen(
        self, underlying: int, now: int, block: int, terms: OptionsParams, known: Sequence[Signed]
    ) -> SurfaceSeen:
        quotes = self.source(underlying)
        quoted = [] if quotes is None else [each.expiry_day for each in quotes.expiries]
        days = listed(quoted, terms, now)
        own = {signer.address for signer in self.signers}
        mine = [one.report for one in known if one.reporter in own]
        replaced = {*days, *(day for report in mine for day in report.days)}
        times = [self._ask("surface", block, underlying, day)[1] for day in sorted(replaced)]
        return SurfaceSeen(
            underlying=underlying,
            time=now,
            last_observed_at=max(times, default=0),
            quotes=quotes,
            days=days,
            own_observed_at=max((report.observed_at for report in mine), default=0),
        )

    def _ask(self, view: str, block: int, *arguments: Any) -> Any:
        return self.chain.call(self.chain.engine.functions[view](*arguments), block)

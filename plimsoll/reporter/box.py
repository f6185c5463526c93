"""The box in which reporters share what they signed: a folder that each can read, on one machine or
synchronised.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Generic

from hexbytes import HexBytes
from web3 import Web3

from plimsoll.reports import PremiumReport, R, SignedReport, SurfaceReport
from plimsoll.risk.surface import Slice

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class ReportBox(ABC, Generic[R]):
    """One file for each reporter and underlying; what cannot be read is not there."""

    folder: Path
    prefix: ClassVar[str] = ""
    """Of the names of its files: boxes of several kinds may share a folder."""

    def put(self, signed: SignedReport[R]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        report = signed.report
        path = self.folder / f"{self.prefix}{report.underlying}-{signed.reporter}.json"
        fresh = path.with_suffix(".new")
        told = {
            "reporter": signed.reporter,
            "underlying": report.underlying,
            "observed_at": report.observed_at,
            **self._content(report),
            "signature": signed.signature.hex(),
        }
        fresh.write_text(json.dumps(told), encoding="utf-8")
        fresh.replace(path)

    def all(self, underlying: int) -> Iterator[SignedReport[R]]:
        for path in sorted(self.folder.glob(f"{self.prefix}{underlying}-*.json")):
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                reporter = Web3.to_checksum_address(told["reporter"])
                signature = bytes(HexBytes(told["signature"]))
                signed = SignedReport(self._report(told), reporter, signature)
            except _UNREADABLE:
                continue
            yield signed

    @abstractmethod
    def _content(self, report: R) -> dict[str, Any]:
        """What a report says, beside what all of them have."""

    @abstractmethod
    def _report(self, told: Mapping[str, Any]) -> R:
        """The inverse."""


class Box(ReportBox[PremiumReport]):
    """Of premiums."""

    def _content(self, report: PremiumReport) -> dict[str, Any]:
        return {"premium": str(report.premium)}

    def _report(self, told: Mapping[str, Any]) -> PremiumReport:
        return PremiumReport(told["underlying"], Decimal(told["premium"]), int(told["observed_at"]))


class SurfaceBox(ReportBox[SurfaceReport]):
    """Of surfaces; one without a slice is none."""

    prefix = "surface-"

    def _content(self, report: SurfaceReport) -> dict[str, Any]:
        return {"slices": [asdict(one) for one in report.slices]}

    def _report(self, told: Mapping[str, Any]) -> SurfaceReport:
        slices = tuple(
            Slice(**{name: int(value) for name, value in one.items()}) for one in told["slices"]
        )
        if not slices:
            raise ValueError("a surface has slices")
        return SurfaceReport(int(told["underlying"]), int(told["observed_at"]), slices)

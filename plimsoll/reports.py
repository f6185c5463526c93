"""Reports of premiums: what reporters sign, and the batch that anyone hands in.

The EIP-712 struct is that of `interfaces/IReportOracle.sol`, field for field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress

from plimsoll.errors import PlimsollError
from plimsoll.units import to_wad_exact

FRESH = 600
"""Seconds for which a report counts."""

TYPES: dict[str, list[dict[str, str]]] = {
    "PremiumReport": [
        {"name": "underlying", "type": "uint16"},
        {"name": "premium", "type": "int256"},
        {"name": "observedAt", "type": "uint256"},
    ],
}


class ReportsError(PlimsollError):
    """Reports of which no batch can be made."""


def report_domain(chain_id: int, oracle: str) -> dict[str, Any]:
    """The EIP-712 domain of the ReportOracle at this address."""
    return {
        "name": "Plimsoll Reports",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": oracle,
    }


@dataclass(frozen=True, slots=True)
class PremiumReport:
    """Mark less index of a perpetual, in parts of the index, as seen at a second."""

    underlying: int
    premium: Decimal
    observed_at: int

    def message(self) -> dict[str, Any]:
        """The fields as they are signed and as the ABI takes them."""
        return {
            "underlying": self.underlying,
            "premium": to_wad_exact(self.premium),
            "observedAt": self.observed_at,
        }

    def typed_data(self, domain: Mapping[str, Any]) -> SignableMessage:
        return encode_typed_data(dict(domain), TYPES, self.message())

    def sign(self, key: LocalAccount, domain: Mapping[str, Any]) -> "SignedReport":
        signature = key.sign_message(self.typed_data(domain)).signature
        return SignedReport(self, key.address, bytes(signature))


@dataclass(frozen=True, slots=True)
class SignedReport:
    report: PremiumReport
    reporter: ChecksumAddress
    signature: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Reports on one underlying in the order in which the ReportOracle takes them."""

    underlying: int
    signed: tuple[SignedReport, ...]

    @property
    def premium(self) -> Decimal:
        """The median, the lower one of two."""
        return self.signed[(len(self.signed) - 1) // 2].report.premium

    @property
    def observed_at(self) -> int:
        return min(one.report.observed_at for one in self.signed)

    def arguments(self) -> tuple[int, list[dict[str, Any]], list[bytes]]:
        """What `reportPremium` takes."""
        messages = [one.report.message() for one in self.signed]
        return self.underlying, messages, [one.signature for one in self.signed]


def batch_of(
    signed: Iterable[SignedReport],
    underlying: int,
    *,
    now: int,
    quorum: int,
    agreement: Decimal,
) -> Batch:
    """The best batch that these reports make: the newest of each reporter that still counts, and
    of those the most that agree."""
    newest: dict[str, SignedReport] = {}
    for one in signed:
        report = one.report
        if report.underlying != underlying or not 0 <= now - report.observed_at <= FRESH:
            continue
        known = newest.get(one.reporter)
        if known is None or known.report.observed_at < report.observed_at:
            newest[one.reporter] = one
    agreeing = _most_agreeing(newest.values(), agreement)
    if len(agreeing) < max(1, quorum):
        raise ReportsError(
            f"{len(agreeing)} of {len(newest)} fresh reports on {underlying} agree, {quorum} have "
            "to: ask the reporters again"
        )
    return Batch(underlying, agreeing)


def _most_agreeing(signed: Iterable[SignedReport], agreement: Decimal) -> tuple[SignedReport, ...]:
    """The longest run in ascending order whose ends differ by no more than `agreement`."""
    ordered = sorted(signed, key=lambda one: (one.report.premium, one.reporter))
    best: tuple[SignedReport, ...] = ()
    for start, low in enumerate(ordered):
        most = low.report.premium + agreement
        run = tuple(one for one in ordered[start:] if one.report.premium <= most)
        best = max(best, run, key=len)
    return best

"""Reports of premiums and surfaces: what reporters sign, and the batch that anyone hands in.

The EIP-712 structs are those of `interfaces/IReportOracle.sol`, field for field.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress

from plimsoll.errors import PlimsollError
from plimsoll.risk.surface import Slice, disagreement, variance
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
SURFACE_TYPES: dict[str, list[dict[str, str]]] = {
    "SurfaceReport": [
        {"name": "underlying", "type": "uint16"},
        {"name": "observedAt", "type": "uint256"},
        {"name": "slices", "type": "SurfaceSlice[]"},
    ],
    "SurfaceSlice": [
        {"name": "expiryDay", "type": "uint16"},
        {"name": "forward", "type": "uint256"},
        {"name": "a", "type": "int256"},
        {"name": "b", "type": "uint256"},
        {"name": "rho", "type": "int256"},
        {"name": "m", "type": "int256"},
        {"name": "sigma", "type": "uint256"},
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

    @property
    def primary_type(self) -> str:
        return "PremiumReport"

    @property
    def types(self) -> dict[str, list[dict[str, str]]]:
        return TYPES

    def typed_data(self, domain: Mapping[str, Any]) -> SignableMessage:
        return encode_typed_data(dict(domain), self.types, self.message())

    def sign(self, key: LocalAccount, domain: Mapping[str, Any]) -> "SignedReport[PremiumReport]":
        return signed_by(key, self, domain)


@dataclass(frozen=True, slots=True)
class SurfaceReport:
    """The surface of an underlying at a second: a slice for each expiry, in ascending order."""

    underlying: int
    observed_at: int
    slices: tuple[Slice, ...]

    @property
    def days(self) -> tuple[int, ...]:
        return tuple(each.expiry_day for each in self.slices)

    def message(self) -> dict[str, Any]:
        return {
            "underlying": self.underlying,
            "observedAt": self.observed_at,
            "slices": [surface_slice_message(each) for each in self.slices],
        }

    @property
    def primary_type(self) -> str:
        return "SurfaceReport"

    @property
    def types(self) -> dict[str, list[dict[str, str]]]:
        return SURFACE_TYPES

    def typed_data(self, domain: Mapping[str, Any]) -> SignableMessage:
        return encode_typed_data(dict(domain), self.types, self.message())

    def sign(self, key: LocalAccount, domain: Mapping[str, Any]) -> "SignedReport[SurfaceReport]":
        return signed_by(key, self, domain)


def surface_slice_message(one: Slice) -> dict[str, int]:
    """A slice as it is signed and as the ABI takes it."""
    return {"expiryDay": one.expiry_day} | {
        name: value for name, value in asdict(one).items() if name != "expiry_day"
    }


def first_variance(report: SurfaceReport) -> int:
    """By which surfaces of a batch are ordered: at the money of the first expiry."""
    return variance(report.slices[0], 0)


def surfaces_agree(
    one: SurfaceReport, other: SurfaceReport, volatility_apart: int, forward_apart: int
) -> bool:
    """Whether two surfaces count as the same, docs/options.md 2: of the same expiries, with
    volatilities and forwards within what is given, 18 decimals."""
    if one.days != other.days:
        return False
    observed_at = min(one.observed_at, other.observed_at)
    pairs = list(zip(one.slices, other.slices, strict=True))
    return all(
        abs(mine.forward - theirs.forward) * 10**9 <= forward_apart
        and disagreement(mine, theirs, volatility_apart, mine.expiry - observed_at) is None
        for mine, theirs in pairs
    )


AnyReport = PremiumReport | SurfaceReport
R = TypeVar("R", PremiumReport, SurfaceReport)


@dataclass(frozen=True, slots=True)
class SignedReport(Generic[R]):
    report: R
    reporter: ChecksumAddress
    signature: bytes


def signed_by(key: LocalAccount, report: R, domain: Mapping[str, Any]) -> SignedReport[R]:
    signature = key.sign_message(report.typed_data(domain)).signature
    return SignedReport(report, key.address, bytes(signature))


@dataclass(frozen=True, slots=True)
class Batch:
    """Premiums of one underlying in the order in which the ReportOracle takes them."""

    underlying: int
    signed: tuple[SignedReport[PremiumReport], ...]

    @property
    def premium(self) -> Decimal:
        """The median, the lower one of two."""
        return self.signed[(len(self.signed) - 1) // 2].report.premium

    @property
    def observed_at(self) -> int:
        return min(one.report.observed_at for one in self.signed)

    def arguments(self) -> tuple[int, list[dict[str, Any]], list[bytes]]:
        """What `reportPremium` takes."""
        return _arguments(self.underlying, self.signed)


@dataclass(frozen=True, slots=True)
class SurfaceBatch:
    """Surfaces of one underlying in the order in which the ReportOracle takes them."""

    underlying: int
    signed: tuple[SignedReport[SurfaceReport], ...]

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Those that the ReportOracle takes."""
        return self.signed[(len(self.signed) - 1) // 2].report.slices

    @property
    def observed_at(self) -> int:
        return min(one.report.observed_at for one in self.signed)

    def arguments(self) -> tuple[int, list[dict[str, Any]], list[bytes]]:
        """What `reportSurface` takes."""
        return _arguments(self.underlying, self.signed)


def _arguments(
    underlying: int, signed: Sequence[SignedReport[R]]
) -> tuple[int, list[dict[str, Any]], list[bytes]]:
    messages = [one.report.message() for one in signed]
    return underlying, messages, [one.signature for one in signed]


def batch_of(
    signed: Iterable[SignedReport[PremiumReport]],
    underlying: int,
    *,
    now: int,
    quorum: int,
    agreement: Decimal,
) -> Batch:
    """The best batch that these reports make: the newest of each reporter that still counts, and
    of those the most that agree."""
    newest = _newest(signed, underlying, now)
    agreeing = _most_agreeing(newest, agreement)
    _require_quorum(len(agreeing), len(newest), underlying, quorum)
    return Batch(underlying, agreeing)


def surface_batch_of(
    signed: Iterable[SignedReport[SurfaceReport]],
    underlying: int,
    *,
    now: int,
    quorum: int,
    agreement: Decimal,
    surface_agreement: Decimal,
) -> SurfaceBatch:
    """The same of surfaces. Of three or more the accepted one is in the middle, and with it every
    other must agree: each is tried as that one, with as many on both sides as agree."""
    newest = _newest(signed, underlying, now)
    ordered = sorted(newest, key=lambda one: (first_variance(one.report), one.reporter))
    apart = to_wad_exact(surface_agreement), to_wad_exact(agreement)
    best: tuple[SignedReport[SurfaceReport], ...] = ()
    for place, middle in enumerate(ordered):
        below = [o for o in ordered[:place] if surfaces_agree(o.report, middle.report, *apart)]
        above = [o for o in ordered[place + 1 :] if surfaces_agree(o.report, middle.report, *apart)]
        # The accepted one is number (n - 1) // 2: as many stand below it as above, or one less.
        low = below[: min(len(below), len(above))]
        high = above[: len(low) + 1]
        best = max(best, (*low, middle, *high), key=len)
    _require_quorum(len(best), len(newest), underlying, quorum)
    return SurfaceBatch(underlying, best)


def _newest(signed: Iterable[SignedReport[R]], underlying: int, now: int) -> list[SignedReport[R]]:
    newest: dict[str, SignedReport[R]] = {}
    for one in signed:
        report = one.report
        if report.underlying != underlying or not 0 <= now - report.observed_at <= FRESH:
            continue
        known = newest.get(one.reporter)
        if known is None or known.report.observed_at < report.observed_at:
            newest[one.reporter] = one
    return list(newest.values())


def _require_quorum(agreeing: int, fresh: int, underlying: int, quorum: int) -> None:
    if agreeing < max(1, quorum):
        raise ReportsError(
            f"{agreeing} of {fresh} fresh reports on {underlying} agree, {quorum} have "
            "to: ask the reporters again"
        )


def _most_agreeing(
    signed: Iterable[SignedReport[PremiumReport]], agreement: Decimal
) -> tuple[SignedReport[PremiumReport], ...]:
    """The longest run in ascending order whose ends differ by no more than `agreement`."""
    ordered = sorted(signed, key=lambda one: (one.report.premium, one.reporter))
    best: tuple[SignedReport[PremiumReport], ...] = ()
    for start, low in enumerate(ordered):
        most = low.report.premium + agreement
        run = tuple(one for one in ordered[start:] if one.report.premium <= most)
        best = max(best, run, key=len)
    return best

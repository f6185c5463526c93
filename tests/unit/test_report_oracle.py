"""The ReportOracle: who may report, which batches are good, and what is refused by what name."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.reports import (
    FRESH,
    PremiumReport,
    ReportsError,
    SignedReport,
    batch_of,
    report_domain,
)
from plimsoll.risk import oracle
from plimsoll.risk.model import WAD
from plimsoll.risk.oracle import RefusedReports, Report, ReportTerms
from plimsoll.units import from_wad
from tests.evm import CHAIN_ID, Contract, Evm, Reverted, actor
from tests.world import foreign

ETH, BTC = 1, 2
NOBODY = "0x" + "00" * 20
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
AGREEMENT, MAX_PREMIUM, SURFACE_AGREEMENT = WAD // 100, WAD // 20, 3 * WAD // 100
NAMES = ("ann", "bert", "cleo", "dirk", "eva")


def reporter(name: str) -> LocalAccount:
    return actor(f"reporter {name}")


class Board:
    """A ReportOracle of five with a quorum of three; the deployer manages it."""

    def __init__(self) -> None:
        self.evm = Evm()
        self.manager = self.evm.deploy(foreign("AccessManager"), self.evm.deployer)
        self.contract = self.deploy()

    def deploy(self, **terms: Any) -> Contract:
        given_ = {
            "reporters": [reporter(name).address for name in NAMES],
            "quorum": 3,
            "agreement": AGREEMENT,
            "max_premium": MAX_PREMIUM,
            "surface_agreement": SURFACE_AGREEMENT,
            **terms,
        }
        return self.evm.deploy("ReportOracle", self.manager.address, *given_.values())

    def signed(
        self,
        name: str,
        premium: int,
        *,
        age: int = 0,
        underlying: int = ETH,
        chain_id: int = CHAIN_ID,
        contract: Contract | None = None,
    ) -> SignedReport:
        report = PremiumReport(underlying, from_wad(premium), self.evm.time - age)
        domain = report_domain(chain_id, (contract or self.contract).address)
        return report.sign(reporter(name), domain)

    def verify(self, signed: Sequence[SignedReport], underlying: int = ETH) -> Any:
        reports = [one.report.message() for one in signed]
        signatures = [one.signature for one in signed]
        return self.contract.call.verifyPremium(underlying, reports, signatures)


@pytest.fixture(scope="module")
def board() -> Board:
    return Board()


@pytest.fixture(autouse=True)
def kept(board: Board) -> Any:
    with board.evm.anchored():
        yield


# Good batches


@pytest.mark.parametrize(
    ("premiums", "median"),
    [
        ([-3, 1, 2], 1),
        ([-3, 1, 2, 9], 1),
        ([-3, 1, 2, 9, 9], 2),
        ([5, 5, 5], 5),
        ([-9, -8, -7, -7], -8),
    ],
    ids=["three", "four: the lower one", "five", "the same", "four below zero"],
)
def test_the_median(board: Board, premiums: list[int], median: int) -> None:
    signed = [board.signed(name, y) for name, y in zip(NAMES, premiums, strict=False)]
    assert tuple(board.verify(signed)) == (median, board.evm.time)


def test_the_time_is_that_of_the_oldest(board: Board) -> None:
    signed = [
        board.signed(name, 0, age=age) for name, age in zip(NAMES, (7, FRESH, 0), strict=False)
    ]
    assert board.verify(signed).observedAt == board.evm.time - FRESH


def test_whoever_signs_in_whichever_order_of_names(board: Board) -> None:
    signed = [board.signed(name, y) for name, y in (("eva", 1), ("ann", 2), ("cleo", 3))]
    assert board.verify(signed).premium == 2


@pytest.mark.parametrize("sign", [1, -1])
def test_agreement_and_largest_premium_include_their_ends(board: Board, sign: int) -> None:
    low = sign * MAX_PREMIUM - (AGREEMENT if sign > 0 else 0)
    ends = [low, sign * MAX_PREMIUM, low + AGREEMENT]
    signed = [board.signed(n, y) for n, y in zip(NAMES, sorted(ends), strict=False)]
    assert board.verify(signed).premium == sign * MAX_PREMIUM


# Refused batches


def test_fewer_than_the_quorum(board: Board) -> None:
    with board.evm.reverts("QuorumMissed", 2, 3):
        board.verify([board.signed(name, 0) for name in NAMES[:2]])
    with board.evm.reverts("QuorumMissed", 0, 3):
        board.verify([])


@pytest.mark.parametrize("signatures", [2, 4])
def test_a_signature_for_each_report(board: Board, signatures: int) -> None:
    signed = [board.signed(name, 0) for name in NAMES[:4]]
    reports = [one.report.message() for one in signed[:3]]
    with board.evm.reverts("LengthMismatch", 3, signatures):
        board.contract.call.verifyPremium(
            ETH, reports, [one.signature for one in signed[:signatures]]
        )


def test_another_underlying(board: Board) -> None:
    """In part, and a whole batch handed in for another market."""
    mixed = [board.signed(name, 0, underlying=u) for name, u in zip(NAMES, (1, 1, 2), strict=False)]
    with board.evm.reverts("WrongUnderlying", 2, BTC):
        board.verify(mixed)
    whole = [board.signed(name, 0) for name in NAMES[:3]]
    with board.evm.reverts("WrongUnderlying", 0, ETH):
        board.verify(whole, BTC)


@pytest.mark.parametrize("place", range(3))
def test_a_report_from_the_future(board: Board, place: int) -> None:
    signed = [board.signed(n, 0, age=-1 if i == place else 0) for i, n in enumerate(NAMES[:3])]
    with board.evm.reverts("ReportFromFuture", place, board.evm.time + 1):
        board.verify(signed)


@pytest.mark.parametrize("place", range(3))
def test_a_report_that_is_too_old(board: Board, place: int) -> None:
    signed = [board.signed(n, 0, age=601 if i == place else 0) for i, n in enumerate(NAMES[:3])]
    with board.evm.reverts("ReportTooOld", place, board.evm.time - 601):
        board.verify(signed)


def test_premiums_that_descend(board: Board) -> None:
    signed = [board.signed(name, y) for name, y in zip(NAMES, (1, 3, 2), strict=False)]
    with board.evm.reverts("ReportsDisordered", 2, 2, 3):
        board.verify(signed)


def test_a_reporter_who_signs_twice(board: Board) -> None:
    signed = [board.signed(name, y) for name, y in (("ann", 1), ("bert", 2), ("ann", 3))]
    with board.evm.reverts("SameReporter", 2, reporter("ann").address):
        board.verify(signed)


def test_somebody_else(board: Board) -> None:
    signed = [board.signed(name, 0) for name in ("ann", "bert", "frank")]
    with board.evm.reverts("UnknownSigner", 2, reporter("frank").address):
        board.verify(signed)


def test_a_reporter_who_was_removed(board: Board) -> None:
    signed = [board.signed(name, 0) for name in NAMES[:3]]
    board.verify(signed)
    board.contract.removeReporter(reporter("bert"))
    with board.evm.reverts("UnknownSigner", 1, reporter("bert").address):
        board.verify(signed)
    board.verify([board.signed(name, 0) for name in ("ann", "cleo", "dirk")])


def test_reports_that_disagree(board: Board) -> None:
    signed = [board.signed(n, y) for n, y in zip(NAMES, (0, 1, AGREEMENT + 1), strict=False)]
    with board.evm.reverts("ReportsDisagree", 0, AGREEMENT + 1):
        board.verify(signed)


def test_the_ends_of_the_numbers_disagree(board: Board) -> None:
    signed = [board.signed(n, y) for n, y in zip(NAMES, (-(2**255), 0, 2**255 - 1), strict=False)]
    with board.evm.reverts("ReportsDisagree", -(2**255), 2**255 - 1):
        board.verify(signed)


@pytest.mark.parametrize("premium", [MAX_PREMIUM + 1, -MAX_PREMIUM - 1, 2**255 - 1, -(2**255)])
def test_a_premium_beyond_belief(board: Board, premium: int) -> None:
    with board.evm.reverts("PremiumTooLarge", premium):
        board.verify([board.signed(name, premium) for name in NAMES[:3]])


# Signatures


def recovered(board: Board, forged: SignedReport) -> str:
    """Whose signature it is to this contract: whom it names in refusing it."""
    with pytest.raises(Reverted) as refusal:
        board.verify([forged, board.signed("bert", 0), board.signed("cleo", 0)])
    assert refusal.value.name == "UnknownSigner"
    assert refusal.value.values.place == 0
    return str(refusal.value.values.signer)


@pytest.mark.parametrize("elsewhere", ["chain", "contract"])
def test_a_report_for_another_place(board: Board, elsewhere: str) -> None:
    """Another chain, or another ReportOracle of the same reporters: the key of nobody known."""
    there: dict[str, Any] = (
        {"chain_id": CHAIN_ID + 1} if elsewhere == "chain" else {"contract": board.deploy()}
    )
    signer = recovered(board, board.signed("ann", 0, **there))
    assert signer not in (NOBODY, reporter("ann").address)


@pytest.mark.parametrize(
    "change", [{"underlying": BTC}, {"premium": Decimal("1e-18")}, {"observed_at": 1}]
)
def test_a_report_that_was_changed(board: Board, change: dict[str, Any]) -> None:
    """One signature is for one report: with any field changed its signer is nobody known."""
    signed = board.signed("ann", 0)
    fields = {
        "underlying": ETH,
        "premium": signed.report.premium,
        "observed_at": board.evm.time,
        **change,
    }
    if "observed_at" in change:
        fields["observed_at"] = board.evm.time - 1
    report = PremiumReport(**fields)
    others = [
        PremiumReport(report.underlying, Decimal("1e-18"), board.evm.time).sign(
            reporter(name), report_domain(CHAIN_ID, board.contract.address)
        )
        for name in ("bert", "cleo")
    ]
    forged = SignedReport(report, signed.reporter, signed.signature)
    with pytest.raises(Reverted) as refusal:
        board.verify([forged, *others], report.underlying)
    assert refusal.value.name == "UnknownSigner"
    assert refusal.value.values.signer != reporter("ann").address


def forged(signed: SignedReport, how: str) -> SignedReport:
    raw = signed.signature
    r, s, v = raw[:32], int.from_bytes(raw[32:64], "big"), raw[64]
    mirrored = (ORDER - s).to_bytes(32, "big")
    compact = (s | (v - 27) << 255).to_bytes(32, "big")
    other = {
        "mirrored": r + mirrored + bytes([55 - v]),
        "compact": r + compact,
        "empty": b"",
        "one byte short": raw[:-1],
        "one byte long": raw + b"\0",
        "no such v": raw[:64] + b"\x1d",
        "zeros": bytes(65),
    }[how]
    return SignedReport(signed.report, signed.reporter, other)


@pytest.mark.parametrize(
    "how",
    ["mirrored", "compact", "empty", "one byte short", "one byte long", "no such v", "zeros"],
)
def test_malleable_and_malformed_signatures_are_nobodys(board: Board, how: str) -> None:
    assert recovered(board, forged(board.signed("ann", 0), how)) == NOBODY


# The twin


places = st.sampled_from([*NAMES, *NAMES, "frank"])
reports = st.tuples(
    places,
    st.one_of(
        st.sampled_from([0, 1, -1, AGREEMENT, -AGREEMENT, MAX_PREMIUM, MAX_PREMIUM + 1]),
        st.integers(-AGREEMENT, AGREEMENT),
    ),
    st.sampled_from([0, 0, 0, 0, 1, FRESH, FRESH, FRESH + 1, -1]),
    st.sampled_from([ETH] * 12 + [BTC]),
)


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[str, int, int, int]]:
    """Mostly distinct reporters in order; now and then as they come."""
    found = draw(st.lists(reports, min_size=1, max_size=5))
    if draw(st.integers(0, 4)):
        found = list({one[0]: one for one in found}.values())
    if draw(st.integers(0, 4)):
        found.sort(key=lambda one: one[1])
    return found


@given(batches())
def test_it_judges_as_its_twin(board: Board, drawn: list[tuple[str, int, int, int]]) -> None:
    terms = ReportTerms(
        frozenset(reporter(name).address for name in NAMES), 3, AGREEMENT, MAX_PREMIUM
    )
    now = board.evm.time
    signed = [board.signed(n, y, age=age, underlying=u) for n, y, age, u in drawn]
    twins = [Report(reporter(n).address, u, y, now - age) for n, y, age, u in drawn]
    try:
        expected = oracle.median_premium(terms, ETH, twins, now)
    except RefusedReports as refusal:
        with board.evm.reverts(refusal.name, *refusal.values):
            board.verify(signed)
    else:
        assert tuple(board.verify(signed)) == expected


# The reporters


def test_what_it_was_told(board: Board) -> None:
    call = board.contract.call
    addresses = [reporter(name).address for name in NAMES]
    assert call.reporters() == addresses
    assert all(call.isReporter(one) for one in addresses)
    assert not call.isReporter(reporter("frank").address)
    assert not call.isReporter(NOBODY)
    terms = (call.QUORUM(), call.AGREEMENT(), call.MAX_PREMIUM(), call.FRESH())
    assert terms == (3, AGREEMENT, MAX_PREMIUM, FRESH)


def test_a_reporter_is_taken_away_for_good(board: Board) -> None:
    call = board.contract.call
    (removed,) = board.contract.removeReporter(reporter("cleo")).events("ReporterRemoved")
    assert removed.reporter == reporter("cleo").address
    assert not call.isReporter(reporter("cleo").address)
    assert call.reporters() == [reporter(name).address for name in NAMES if name != "cleo"]
    with board.evm.reverts("NotAReporter", reporter("cleo").address):
        board.contract.removeReporter(reporter("cleo"))


def test_the_last_reporters_can_go_too(board: Board) -> None:
    """Below the quorum nothing is good any more: the guardian's way to stop funding."""
    for name in NAMES[:3]:
        board.contract.removeReporter(reporter(name))
    with board.evm.reverts("UnknownSigner", 2, reporter("ann").address):
        board.verify([board.signed(name, 0) for name in ("dirk", "eva", "ann")])
    for name in NAMES[3:]:
        board.contract.removeReporter(reporter(name))
    assert board.contract.call.reporters() == []


def test_only_who_may_takes_a_reporter_away(board: Board) -> None:
    stranger = actor("stranger")
    with board.evm.reverts("AccessManagedUnauthorized", stranger.address):
        board.contract.removeReporter(reporter("ann"), sender=stranger)


def test_reporters_are_told(board: Board) -> None:
    many = [actor(f"reporter {i}").address for i in range(64)]
    contract = board.deploy(reporters=many, quorum=33)
    assert contract.call.reporters() == many
    with board.evm.reverts("TooManyReporters", 65):
        board.deploy(reporters=[*many, reporter("ann").address], quorum=33)


@pytest.mark.parametrize("who", [NOBODY, reporter("ann").address])
def test_nobody_and_somebody_twice_are_no_reporters(board: Board, who: str) -> None:
    with board.evm.reverts("InvalidReporter", who):
        board.deploy(reporters=[reporter("ann").address, who], quorum=2)


@pytest.mark.parametrize(
    ("count", "quorum"), [(0, 0), (0, 1), (1, 0), (1, 2), (4, 2), (5, 2), (5, 6)]
)
def test_a_quorum_is_more_than_half(board: Board, count: int, quorum: int) -> None:
    named = [reporter(name).address for name in NAMES[:count]]
    with board.evm.reverts("InvalidQuorum", quorum, count):
        board.deploy(reporters=named, quorum=quorum)


@pytest.mark.parametrize(("count", "quorum"), [(1, 1), (4, 3), (5, 3), (5, 5)])
def test_quorums_that_pass(board: Board, count: int, quorum: int) -> None:
    named = [reporter(name).address for name in NAMES[:count]]
    assert board.deploy(reporters=named, quorum=quorum).call.QUORUM() == quorum


@pytest.mark.parametrize(
    ("agreement", "max_premium", "surface_agreement"),
    [(WAD + 1, WAD, 0), (0, 0, 0), (0, WAD + 1, 0), (2**256 - 1, 1, 0), (0, 1, WAD + 1)],
)
def test_terms_beyond_their_bounds(
    board: Board, agreement: int, max_premium: int, surface_agreement: int
) -> None:
    terms = (agreement, max_premium, surface_agreement)
    with board.evm.reverts("InvalidTerms", *terms):
        board.deploy(
            agreement=agreement, max_premium=max_premium, surface_agreement=surface_agreement
        )


@pytest.mark.parametrize(("agreement", "max_premium"), [(0, 1), (WAD, WAD)])
def test_terms_at_their_bounds(board: Board, agreement: int, max_premium: int) -> None:
    terms = (agreement, max_premium, agreement)
    contract = board.deploy(
        agreement=agreement, max_premium=max_premium, surface_agreement=agreement
    )
    call = contract.call
    assert (call.AGREEMENT(), call.MAX_PREMIUM(), call.SURFACE_AGREEMENT()) == terms


# The batcher


def batch(board: Board, signed: Sequence[SignedReport], **terms: Any) -> Any:
    given_ = {"now": board.evm.time, "quorum": 3, "agreement": from_wad(AGREEMENT), **terms}
    return batch_of(signed, ETH, **given_)


def test_the_batcher_sorts_and_drops_what_does_not_count(board: Board) -> None:
    far = AGREEMENT * 2
    signed = [
        board.signed("eva", 9),
        board.signed("ann", 5),
        board.signed("ann", 7, age=3),
        board.signed("bert", -2),
        board.signed("cleo", far),
        board.signed("dirk", 1, underlying=BTC),
        board.signed("dirk", 1, age=601),
    ]
    made = batch(board, signed)
    assert [one.report.premium for one in made.signed] == [from_wad(y) for y in (-2, 5, 9)]
    assert (made.premium, made.observed_at) == (from_wad(5), board.evm.time)
    assert board.contract.call.verifyPremium(*made.arguments()).premium == 5


def test_the_batcher_says_when_too_few_agree(board: Board) -> None:
    signed = [board.signed(n, i * AGREEMENT) for i, n in enumerate(NAMES)]
    with pytest.raises(ReportsError, match="2 of 5 fresh reports on 1 agree, 3 have to"):
        batch(board, signed)
    with pytest.raises(ReportsError, match="0 of 0"):
        batch(board, [], quorum=0)


@given(st.lists(st.integers(-3 * AGREEMENT, 3 * AGREEMENT), min_size=3, max_size=5))
def test_what_the_batcher_makes_is_good(board: Board, premiums: list[int]) -> None:
    signed = [board.signed(n, y) for n, y in zip(NAMES, premiums, strict=False)]
    try:
        made = batch(board, signed)
    except ReportsError:
        return
    premium, observed_at = board.contract.call.verifyPremium(*made.arguments())
    assert (from_wad(premium), observed_at) == (made.premium, made.observed_at)

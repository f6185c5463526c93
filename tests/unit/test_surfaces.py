"""Surfaces: which the ReportOracle takes, what each other one is refused for, and what the engine
stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from math import isqrt
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.reports import FRESH, SignedReport, SurfaceReport, report_domain
from plimsoll.risk import surface as twin
from plimsoll.risk.model import WAD
from plimsoll.risk.oracle import YEAR, RefusedReports
from plimsoll.risk.params import Kind
from plimsoll.risk.surface import NANO, STEP, Slice, SurfaceTerms
from tests.evm import CHAIN_ID, Contract, Reverted, actor
from tests.surfaces import first_day, flat, generated, surface, verdict
from tests.unit.registry_house import BTC, ETH, House
from tests.world import AGREEMENT, QUORUM, REPORTERS, SURFACE_AGREEMENT

NOBODY = "0x" + "00" * 20


class Desk(House):
    """An engine whose reporters see surfaces."""

    def signed(
        self, name: str, slices: Sequence[Slice], age: int = 0, u: int = ETH
    ) -> SignedReport[SurfaceReport]:
        report = SurfaceReport(u, self.now - age, tuple(slices))
        return report.sign(actor(name), report_domain(CHAIN_ID, self.reports.address))

    def batch(self, *surfaces: Sequence[Slice], age: int = 0) -> list[SignedReport[SurfaceReport]]:
        return [
            self.signed(name, slices, age)
            for name, slices in zip(REPORTERS, surfaces, strict=False)
        ]

    def verify(self, signed: Sequence[SignedReport[SurfaceReport]], u: int = ETH) -> Any:
        return self.reports.call.verifySurface(*arguments(signed, u))

    def report(self, slices: Sequence[Slice], age: int = 0) -> list[Any]:
        signed = self.batch(*[slices] * QUORUM, age=age)
        anyone = self.evm.actor("anyone")
        receipt = self.engine.reportSurface(*arguments(signed), sender=anyone)
        events: list[Any] = receipt.events("SurfaceReported")
        return events

    def stored(self, day: int, u: int = ETH) -> tuple[Slice, int]:
        found = self.call("surface", u, day)
        return Slice(*found.slice), found.observedAt


def arguments(signed: Sequence[SignedReport[SurfaceReport]], u: int = ETH) -> tuple[Any, ...]:
    return u, [one.report.message() for one in signed], [one.signature for one in signed]


@pytest.fixture(scope="module")
def built() -> Desk:
    return Desk()


@pytest.fixture
def desk(built: Desk) -> Iterator[Desk]:
    with built.undone():
        yield built


# One surface


def test_a_good_surface_is_what_was_signed(desk: Desk) -> None:
    slices = surface(desk.now)
    found, observed_at = desk.verify(desk.batch(slices, slices))
    assert tuple(Slice(*one) for one in found) == slices
    assert observed_at == desk.now


def refused(desk: Desk, slices: Sequence[Slice], name: str, *values: Any) -> None:
    """Both by the contract and by the twin."""
    with desk.evm.reverts(name, *values):
        desk.verify(desk.batch(slices, slices))
    found = verdict(tuple(slices), desk.now, desk.now)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("count", [0, 17])
def test_the_number_of_slices(desk: Desk, count: int) -> None:
    refused(desk, surface(desk.now, count), "SlicesMiscounted", count)
    desk.verify(desk.batch(*[surface(desk.now, 1)] * 2))
    desk.verify(desk.batch(*[surface(desk.now, 16)] * 2))


def test_expiries_ascend_and_are_to_come(desk: Desk) -> None:
    day = first_day(desk.now)
    refused(desk, [flat(day), flat(day)], "SlicesDisordered", day, day)
    refused(desk, [flat(day), flat(day - 1)], "SlicesDisordered", day - 1, day)
    refused(desk, [flat(4_096)], "SliceExpired", 4_096)
    desk.warp(flat(day).expiry - desk.now - 1)
    desk.verify(desk.batch(*[[flat(day)]] * 2))
    desk.warp(1)
    refused(desk, [flat(day)], "SliceExpired", day)


@pytest.mark.parametrize("forward", [NANO // 2 - 1, 2 * NANO + 1])
def test_forwards_are_near_the_index(desk: Desk, forward: int) -> None:
    day = first_day(desk.now)
    refused(desk, [flat(day, forward=forward)], "ForwardOutOfBounds", day, forward)
    for end in (NANO // 2, 2 * NANO):
        desk.verify(desk.batch(*[[flat(day, forward=end)]] * 2))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", 25 * NANO + 1),
        ("a", -25 * NANO - 1),
        ("b", 2**44),
        ("rho", 999_001),
        ("rho", -999_001),
        ("m", 4 * 10**6 + 1),
        ("m", -4 * 10**6 - 1),
        ("sigma", 999),
        ("sigma", 4 * 10**6 + 1),
    ],
)
def test_parameters_within_their_bounds(desk: Desk, name: str, value: int) -> None:
    wrong = replace(flat(first_day(desk.now)), **{name: value})
    refused(desk, [wrong], "SliceOutOfBounds")


@pytest.mark.parametrize(("a", "kappa"), [(99_999, -12), (25 * NANO, -4)])
def test_the_variance_is_sane(desk: Desk, a: int, kappa: int) -> None:
    """Flat ones: just below one percent of volatility anywhere, just above 500 near the money."""
    day = first_day(desk.now)
    level = Slice(day, NANO, a, 0, 0, 0, 1_000)
    if a < NANO:
        refused(desk, [level], "VarianceOutOfBounds", day, kappa * STEP, a * NANO)
        desk.verify(desk.batch(*[[replace(level, a=a + 1)]] * 2))
    else:
        desk.verify(desk.batch(*[[level]] * 2))
        smile = replace(level, b=1, sigma=10**6)
        v = twin.variance(smile, kappa * STEP)
        refused(desk, [smile], "VarianceOutOfBounds", day, kappa * STEP, v)


def test_wings_rise_by_two_at_most(desk: Desk) -> None:
    """Lee: at the bound a wing passes, one more of its slope does not."""
    day = first_day(desk.now) + 728
    seconds = flat(day).expiry - desk.now
    b = 2 * NANO * YEAR // seconds
    wide = Slice(day, NANO, NANO // 10, b, 0, 0, 10**6)
    desk.verify(desk.batch(*[[wide]] * 2))
    steep = replace(wide, b=b + 1)
    slope = (b + 1) * 10**6 * seconds
    refused(desk, [steep], "WingTooSteep", day, slope, 2 * 10**15 * YEAR)


def test_no_butterfly_below_zero(desk: Desk) -> None:
    """Gatheral and Jacquier, example 3.1 (Axel Vogt's): a slice that looks like any other."""
    day = first_day(desk.now) + 363
    scale = YEAR * 10**9 // (flat(day).expiry - desk.now)
    vogt = Slice(
        day,
        NANO,
        -41 * scale // 1_000,
        1_331 * scale // 10_000,
        306_000,
        358_600,
        415_300,
    )
    found = [twin.density(vogt, j * STEP, WAD) < 0 for j in range(-12, 13)]
    assert True in found
    first = verdict((vogt,), desk.now, desk.now)
    assert first is not None
    refused(desk, [vogt], "ButterflyArbitrage", *first.values)


def test_variance_does_not_fall_with_time(desk: Desk) -> None:
    near, later = surface(desk.now, 2)
    desk.verify(desk.batch(*[[near, later]] * 2))
    slack = flat(later.expiry_day, 20)
    first = verdict((near, slack), desk.now, desk.now)
    assert first is not None
    refused(desk, [near, slack], "CalendarArbitrage", *first.values)
    # Flat ones with the same total to the unit; with a nano less of variance it falls.
    seconds = [piece.expiry - desk.now for piece in (near, later)]
    level = [
        Slice(day, NANO, 50 * seconds[1 - place], 0, 0, 0, 1_000)
        for place, day in enumerate((near.expiry_day, later.expiry_day))
    ]
    desk.verify(desk.batch(*[level] * 2))
    level[1] = replace(level[1], a=level[1].a - 1)
    total = 50 * seconds[0] * seconds[1] * NANO
    less = total - seconds[1] * NANO
    refused(desk, level, "CalendarArbitrage", later.expiry_day, -12 * STEP, less, total)


@given(data=st.data())
def test_any_surface_is_judged_as_by_the_twin(built: Desk, data: st.DataObject) -> None:
    slices = data.draw(generated(built.now))
    expected = verdict(slices, built.now, built.now)
    fitting = all(0 <= one.expiry_day < 2**16 for one in slices)
    assert fitting
    signed = built.batch(slices, slices)
    if expected is None:
        found, observed_at = built.verify(signed)
        assert (tuple(Slice(*one) for one in found), observed_at) == (slices, built.now)
        return
    with pytest.raises(Reverted) as reverted:
        built.verify(signed)
    assert reverted.value.name == expected.name
    told = reverted.value.values
    values = tuple(told[0]) if expected.name == "SliceOutOfBounds" else tuple(told)
    assert values == (expected.values[0] if len(values) == 7 else expected.values)


# Several


@pytest.mark.parametrize(("vols", "accepted"), [((59, 61), 59), ((59, 60, 61), 60)])
def test_the_median_counts(desk: Desk, vols: tuple[int, ...], accepted: int) -> None:
    signed = desk.batch(*(surface(desk.now, vol=vol) for vol in vols))
    found, _ = desk.verify(signed)
    assert tuple(Slice(*one) for one in found) == surface(desk.now, vol=accepted)


def test_the_time_is_that_of_the_oldest_and_judges(desk: Desk) -> None:
    slices = surface(desk.now, 1)
    names = zip(REPORTERS, (0, FRESH, 7), strict=True)
    signed = [desk.signed(name, slices, age) for name, age in names]
    assert desk.verify(signed)[1] == desk.now - FRESH


def test_variances_at_the_money_ascend(desk: Desk) -> None:
    low, high = surface(desk.now, vol=59), surface(desk.now, vol=61)
    values = [twin.variance(one[0], 0) for one in (low, high)]
    with desk.evm.reverts("ReportsDisordered", 1, values[0], values[1]):
        desk.verify(desk.batch(high, low))


def nodes(wanted: Slice, now: int) -> tuple[int, ...]:
    return twin.agreement_nodes(wanted, isqrt((wanted.expiry - now) * WAD // YEAR * WAD))


def apart_at(desk: Desk, other: Slice, wanted: Slice, kappa: int) -> None:
    """Both by the contract and by the twin."""
    told = [twin.volatility(one, kappa) for one in (other, wanted)]
    seconds = wanted.expiry - desk.now
    assert twin.disagreement(other, wanted, SURFACE_AGREEMENT, seconds) == (kappa, *told)
    with desk.evm.reverts("VolatilitiesDisagree", 1, wanted.expiry_day, kappa, *told):
        desk.verify(desk.batch([wanted], [other]))


def test_volatilities_agree(desk: Desk) -> None:
    """Four points are too many a deviation from the money and, where an option is worth less, not
    one and a half away from it. Every expiry is looked at."""
    day = first_day(desk.now)
    wanted, far = flat(day, 60), flat(day, 64)
    one_away = nodes(wanted, desk.now)[2]
    apart_at(desk, far, wanted, one_away)
    desk.verify(desk.batch([wanted], [flat(day, 62)]))
    middle = [flat(day, 60), flat(day + 7, 60)]
    apart = [flat(day, 60), flat(day + 7, 64)]
    with desk.evm.reverts("VolatilitiesDisagree", place=2, expiryDay=day + 7):
        desk.verify(desk.batch(middle, middle, apart))


def test_the_agreement_is_exact(desk: Desk) -> None:
    """Level ones, whose variance is `a` everywhere: to the unit of it at the money."""
    day = first_day(desk.now) + 28
    # Their roots are 60 and 63 percent, and a part in 10^9 above.
    low, high = (Slice(day, NANO, a, 0, 0, 0, 1_000) for a in (360_000_000, 396_900_000))
    desk.verify(desk.batch([low], [high]))
    beyond = replace(high, a=high.a + 1)
    apart_at(desk, beyond, low, 0)


def bent(day: int, extra: int) -> Slice:
    """The wings of a flat slice lifted, its volatility at the money kept."""
    whole = flat(day)
    b = whole.b + extra
    return replace(whole, b=b, a=whole.a + (whole.b - b) * whole.sigma // 10**6)


def test_deviations_count_not_log_moneyness(desk: Desk) -> None:
    """At a log-moneyness of a half one is ten points above the other: in two days that is twelve
    deviations from the money and changes no price, in a year it is less than one."""
    day = first_day(desk.now)
    for far, apart in ((day, False), (day + 364, True)):
        wanted, other = flat(far), bent(far, 10**9)
        differ = [twin.volatility(one, 4 * STEP) for one in (other, wanted)]
        assert differ[0] - differ[1] > 3 * SURFACE_AGREEMENT
        if apart:
            apart_at(desk, other, wanted, nodes(wanted, desk.now)[0])
        else:
            desk.verify(desk.batch([wanted], [other]))


def test_what_rises_beyond_two_deviations(desk: Desk) -> None:
    """Alike as far as two deviations from the money, then as steep as no smile is."""
    day = first_day(desk.now) + 29
    level = Slice(day, NANO, 360_000_000, 0, 0, 0, 1_000)
    kinked = Slice(day, NANO, 360_000_000, NANO, 980_000, 400_000, 1_000)
    for kappa in nodes(level, desk.now)[:9]:
        differ = abs(twin.volatility(kinked, kappa) - twin.volatility(level, kappa))
        assert abs(kappa) < 4 * STEP
        assert differ <= SURFACE_AGREEMENT
    apart_at(desk, kinked, level, 8 * STEP)


def test_a_surface_that_only_looks_alike_near_the_money(desk: Desk) -> None:
    """Without arbitrage on the grid, within three points of a common smile near the money, and at
    a log-moneyness of 1.5 worth four hundred times as much."""
    day = first_day(desk.now) + 178
    common = Slice(day, NANO, 331_200_000, 72_000_000, -200_000, 0, 400_000)
    bent_up = Slice(day, NANO, 211_402_508, 2_045_867_902, 982_121, 1_234_313, 356_880)
    assert verdict((bent_up,), desk.now, desk.now) is None
    apart = [abs(twin.volatility(bent_up, k) - twin.volatility(common, k)) for k in twin.NEAR]
    assert max(apart) <= SURFACE_AGREEMENT
    low, high = sorted(([common], [bent_up]), key=lambda one: twin.variance(one[0], 0))
    with desk.evm.reverts("VolatilitiesDisagree", place=1, expiryDay=day):
        desk.verify(desk.batch(low, high))


@pytest.mark.parametrize("offset", [AGREEMENT // NANO, -(AGREEMENT // NANO)])
def test_forwards_agree(desk: Desk, offset: int) -> None:
    day = first_day(desk.now)
    desk.verify(desk.batch([flat(day)], [flat(day, forward=NANO + offset)]))
    beyond = NANO + offset + (1 if offset > 0 else -1)
    with desk.evm.reverts("ForwardsDisagree", 1, day, beyond, NANO):
        desk.verify(desk.batch([flat(day)], [flat(day, forward=beyond)]))


def test_expiries_are_the_same(desk: Desk) -> None:
    day = first_day(desk.now)
    with desk.evm.reverts("ExpiriesDiffer", 1, day + 1, day):
        desk.verify(desk.batch([flat(day)], [flat(day + 1)]))
    with desk.evm.reverts("ExpiriesDiffer", 1, 2, 1):
        desk.verify(desk.batch([flat(day)], [flat(day), flat(day + 1)]))


def test_who_and_when_is_as_for_premiums(desk: Desk) -> None:
    slices = surface(desk.now, 1)
    one, two = desk.batch(slices, slices)
    with desk.evm.reverts("QuorumMissed", 1, QUORUM):
        desk.verify([one])
    with desk.evm.reverts("LengthMismatch", 2, 1):
        desk.reports.call.verifySurface(*arguments([one, two])[:2], [one.signature])
    with desk.evm.reverts("SameReporter", 1, actor(REPORTERS[0]).address):
        desk.verify([one, one])
    with desk.evm.reverts("WrongUnderlying", 0, ETH):
        desk.verify([one, two], BTC)
    with desk.evm.reverts("UnknownSigner", 1, actor("stranger").address):
        desk.verify([one, desk.signed("stranger", slices)])
    with desk.evm.reverts("ReportTooOld", 0, desk.now - FRESH - 1):
        desk.verify([desk.signed(REPORTERS[0], slices, FRESH + 1), two])
    with desk.evm.reverts("ReportFromFuture", 0, desk.now + 1):
        desk.verify([desk.signed(REPORTERS[0], slices, -1), two])


@pytest.mark.parametrize("name", [*Slice.__slots__, "observed_at"])
def test_every_field_is_signed(desk: Desk, name: str) -> None:
    slices = surface(desk.now, 2)
    signed = desk.batch(slices, slices)
    report = signed[1].report
    if name == "observed_at":
        other = replace(report, observed_at=desk.now - 1)
    else:
        last = replace(slices[1], **{name: getattr(slices[1], name) + 1})
        other = replace(report, slices=(slices[0], last))
    with desk.evm.reverts("UnknownSigner", place=1):
        desk.verify([signed[0], replace(signed[1], report=other)])


@st.composite
def batches(draw: st.DrawFn, now: int) -> list[tuple[int, int, tuple[Slice, ...]]]:
    """Reporter, age and surface of a few reports: one surface, moved a little or much."""
    later = draw(st.sampled_from([0, 0, 30, 400, 1_500]))
    whole = surface(now, draw(st.integers(1, 2)))
    base = [replace(one, expiry_day=one.expiry_day + later) for one in whole]
    found = []
    for place in range(draw(st.integers(1, 3))):
        slices = list(base)
        if draw(st.booleans()):
            at = draw(st.integers(0, len(slices) - 1))
            moves = {
                "a": draw(st.sampled_from([10**6, 2 * 10**7, -(10**6), 6 * 10**7])),
                "forward": draw(st.sampled_from([1, AGREEMENT // NANO, AGREEMENT // NANO + 1])),
                "b": draw(st.sampled_from([10**7, 10**8, 10**9, 2**43])),
                "rho": draw(st.sampled_from([50_000, -50_000, 900_000, -700_000])),
                "m": draw(st.sampled_from([10**5, -(10**6), 4 * 10**6])),
            }
            name = draw(st.sampled_from(sorted(moves)))
            slices[at] = replace(slices[at], **{name: getattr(slices[at], name) + moves[name]})
        who = draw(st.sampled_from([place, place, place, 0, 3]))
        age = draw(st.sampled_from([0, 0, 5, FRESH, FRESH + 1, -1]))
        found.append((who, age, tuple(slices)))
    if draw(st.booleans()):
        found.sort(key=lambda one: twin.variance(one[2][0], 0))
    return found


@given(data=st.data())
def test_any_batch_is_judged_as_by_the_twin(built: Desk, data: st.DataObject) -> None:
    names = (*REPORTERS, "stranger")
    drawn = data.draw(batches(built.now))
    signed = [built.signed(names[who], slices, age) for who, age, slices in drawn]
    terms = SurfaceTerms(
        frozenset(actor(name).address for name in REPORTERS), QUORUM, AGREEMENT, SURFACE_AGREEMENT
    )
    reports = [
        twin.SurfaceReport(actor(names[who]).address, ETH, built.now - age, slices)
        for who, age, slices in drawn
    ]
    try:
        expected = twin.accepted_surface(terms, ETH, reports, built.now)
    except RefusedReports as refusal:
        with built.evm.reverts(refusal.name, *refusal.values):
            built.verify(signed)
    else:
        found, observed_at = built.verify(signed)
        assert (tuple(Slice(*one) for one in found), observed_at) == expected


# What the engine stores


def test_each_slice_is_stored_and_told(desk: Desk) -> None:
    slices = surface(desk.now)
    events = desk.report(slices, age=5)
    assert [(e.underlying, e.expiryDay, Slice(*e.slice), e.observedAt) for e in events] == [
        (ETH, one.expiry_day, one, desk.now - 5) for one in slices
    ]
    assert all(desk.stored(one.expiry_day) == (one, desk.now - 5) for one in slices)


@pytest.mark.parametrize(
    "piece",
    [
        Slice(0, NANO // 2, -(10**7), 10**9, 999_000, -250_000, 10**6),
        Slice(0, 2 * NANO, 25 * NANO, 0, -999_000, 4 * 10**6, 1_000),
        Slice(0, NANO, NANO, 0, 1, -4 * 10**6, 4 * 10**6),
    ],
)
def test_extreme_fields_survive_the_slot(desk: Desk, piece: Slice) -> None:
    piece = replace(piece, expiry_day=first_day(desk.now) + 30)
    desk.report([piece])
    assert desk.stored(piece.expiry_day) == (piece, desk.now)
    assert twin.unpack(twin.pack(piece, desk.now), piece.expiry_day) == (piece, desk.now)


def test_what_was_never_reported_is_zero(desk: Desk) -> None:
    day = first_day(desk.now)
    desk.report([flat(day)])
    for u, other in ((ETH, day + 1), (BTC, day), (ETH, 4_095)):
        assert desk.stored(other, u) == (Slice(0, 0, 0, 0, 0, 0, 0), 0)
    with desk.evm.reverts("ExpiryOutOfBounds", 4_096):
        desk.call("surface", ETH, 4_096)


def test_a_batch_is_newer_than_all_that_it_replaces(desk: Desk) -> None:
    day = first_day(desk.now)
    desk.report([flat(day)], age=10)
    for age in (10, 11):
        with desk.evm.reverts("ReportNotNewer", ETH, desk.now - age, desk.now - 10):
            desk.report([flat(day - 1), flat(day)], age=age)
    desk.report([flat(day, 70), flat(day + 7, 70)], age=9)
    assert desk.stored(day) == (flat(day, 70), desk.now - 9)
    # An expiry that is left out keeps what it has.
    desk.report([flat(day + 7, 72)])
    assert desk.stored(day) == (flat(day, 70), desk.now - 9)


def test_without_reports_there_are_no_surfaces(desk: Desk) -> None:
    with desk.evm.reverts("UnknownUnderlying", 9):
        desk.engine.reportSurface(9, [], [])
    desk.engine.setUp(Kind.REPORTS, 0, 0)
    with desk.evm.reverts("ReportOracleMissing"):
        desk.report(surface(desk.now))


def answering(desk: Desk, answer: bytes) -> Contract:
    """A contract that answers the same to whatever it is asked."""
    size = len(answer).to_bytes(2, "big")
    runtime = b"\x61" + size + b"\x60\x0d\x5f\x39\x61" + size + b"\x5f\xf3" + bytes(1) + answer
    creation = b"\x61" + len(runtime).to_bytes(2, "big") + b"\x80\x60\x0a\x5f\x39\x5f\xf3" + runtime
    return desk.evm.deploy({"name": "Answering", "abi": [], "bytecode": creation})


@pytest.mark.parametrize(
    ("moved", "error"),
    [
        ({}, None),
        ({"sigma": 2**24}, "SliceOutOfBounds"),
        ({"b": 2**45}, "SliceOutOfBounds"),
        ({"forward": 2**32}, "ForwardOutOfBounds"),
        ({"expiry_day": 4_096}, "ExpiryOutOfBounds"),
    ],
)
def test_what_is_stored_fits_whatever_a_report_oracle_answers(
    desk: Desk, moved: dict[str, int], error: str | None
) -> None:
    piece = replace(flat(first_day(desk.now)), **moved)
    kinds = "(uint16,uint256,int256,uint256,int256,int256,uint256)[]"
    answer = encode([kinds, "uint256"], [[astuple(piece)], desk.now])
    other = answering(desk, answer)
    desk.engine.setUp(Kind.REPORTS, 0, int(other.address, 16))
    if error is None:
        desk.engine.reportSurface(ETH, [], [])
        assert desk.stored(piece.expiry_day) == (piece, desk.now)
    else:
        with desk.evm.reverts(error):
            desk.engine.reportSurface(ETH, [], [])


def test_a_refused_batch_stores_nothing(desk: Desk) -> None:
    slices = surface(desk.now)
    with desk.evm.reverts("ReportTooOld"):
        desk.report(slices, age=FRESH + 1)
    assert desk.stored(slices[0].expiry_day)[1] == 0


def module_of(desk: Desk) -> Contract:
    return desk.evm.at(desk.call("REPORT_MODULE"), "ReportModule")


def test_what_the_module_is_told_itself_changes_no_engine(desk: Desk) -> None:
    module = module_of(desk)
    with desk.evm.reverts("UnknownUnderlying", ETH):
        module.reportSurface(*arguments(desk.batch(*[surface(desk.now)] * 2)))

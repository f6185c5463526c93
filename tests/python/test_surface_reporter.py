"""Reporters of surfaces: when they speak, how a quorum meets, and that dying loses nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from plimsoll.reporter.box import SurfaceBox
from plimsoll.reporter.decide import Wait
from plimsoll.reporter.quotes import ExpiryQuotes, OptionQuote, QuotesError, SurfaceQuotes
from plimsoll.reporter.settings import reporter_on, surface_reporter_beside
from plimsoll.reporter.sign import KeySigner
from plimsoll.reporter.surfaces import (
    CollectSurface,
    SignSurface,
    SurfaceLimits,
    SurfaceOutcome,
    SurfaceReporter,
    SurfaceSeen,
    decide_surface,
    listed,
)
from plimsoll.reports import FRESH
from plimsoll.risk.instruments import DAY, expiry_of, is_friday
from plimsoll.risk.params import Kind, OptionsParams
from tests.evm import actor
from tests.surfaces import first_day
from tests.unit import lens_house
from tests.unit.lens_house import BTC, ETH
from tests.world import QUORUM, REPORTERS

LIMITS = SurfaceLimits()
TERMS = OptionsParams(vol_shift=3_000, term_forward=100, term_vol=3_000, option_closing=3)


class House(lens_house.House):
    """With options on ether."""

    def _list(self) -> None:
        super()._list()
        self.terms.engine.setUp(Kind.OPTIONS, ETH, TERMS.word)

    def quotes(self, vol: str = "0.6") -> SurfaceQuotes:
        """Of the next two days and Friday, all at the same volatility."""
        now = self.evm.time
        first = first_day(now)
        friday = next(day for day in range(first + 7, first + 14) if is_friday(day))
        return quotes_at(now, Decimal(vol), first, friday)

    def observed_at(self, day: int) -> int:
        return int(self.terms.engine.call.surface(ETH, day).observedAt)


def quotes_at(now: int, vol: Decimal, *days: int) -> SurfaceQuotes:
    strikes = [Decimal(1_400 + 100 * step) for step in range(13)]
    quotes = tuple(OptionQuote(s, vol - Decimal("0.01"), vol + Decimal("0.01")) for s in strikes)
    expiries = tuple(ExpiryQuotes(day, Decimal(2_000), quotes) for day in days)
    return SurfaceQuotes(Decimal(2_000), now, expiries)


class TestDecide:
    NOW = expiry_of(700) - DAY
    QUOTES = quotes_at(NOW - 10, Decimal("0.6"), 700)
    SEEN = SurfaceSeen(ETH, NOW, 0, QUOTES, (700,), 0)

    def test_signs_what_is_fresh(self) -> None:
        assert decide_surface(self.SEEN, LIMITS) == SignSurface(ETH, self.QUOTES, (700,))

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"last_observed_at": NOW - LIMITS.every + 1}, "a moment ago"),
            ({"quotes": None}, "no quotes"),
            ({"quotes": replace(QUOTES, observed_at=NOW - 61)}, "61 s old"),
            ({"quotes": replace(QUOTES, observed_at=NOW + 1)}, "1 s ahead"),
            ({"days": ()}, "listed"),
        ],
    )
    def test_waits_and_says_why(self, change: dict[str, object], reason: str) -> None:
        step = decide_surface(replace(self.SEEN, **change), LIMITS)  # type: ignore[arg-type]
        assert isinstance(step, Wait)
        assert reason in step.reason

    def test_what_it_signed_a_moment_ago_only_waits_for_others(self) -> None:
        waiting = replace(self.SEEN, own_observed_at=self.NOW - LIMITS.renew + 1, quotes=None)
        assert decide_surface(waiting, LIMITS) == CollectSurface(ETH)
        old = replace(self.SEEN, own_observed_at=self.NOW - LIMITS.renew)
        assert isinstance(decide_surface(old, LIMITS), SignSurface)
        assert LIMITS.renew < FRESH

    def test_speaks_well_before_a_slice_is_stale(self) -> None:
        due = replace(self.SEEN, last_observed_at=self.NOW - LIMITS.every)
        assert isinstance(decide_surface(due, LIMITS), SignSurface)
        assert 2 * LIMITS.every < 7_200

    def test_lists_fridays_within_the_horizon_and_every_day_soon(self) -> None:
        friday = next(day for day in range(700, 707) if is_friday(day))
        now = expiry_of(friday - 4)
        days = range(friday - 5, friday + 30)
        assert listed(days, replace(TERMS, horizon=20, dailies=2), now) == (
            friday - 3, friday - 2, friday, friday + 7, friday + 14,
        )  # fmt: skip
        assert len(listed(range(700, 1_200), TERMS, expiry_of(699))) == 16


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.evm.anchored():
        built.wait(7_200)
        yield built


@pytest.fixture
def box(tmp_path: Path) -> SurfaceBox:
    return SurfaceBox(tmp_path / "box")


def reporter_of(house: House, box: SurfaceBox, name: str, vol: str = "0.6") -> SurfaceReporter:
    key = actor(name)

    def see(_underlying: int) -> SurfaceQuotes:
        return house.quotes(vol)

    return SurfaceReporter(house.seen_by(key).chain, see, [KeySigner(key)], box, [ETH])


def only(reporter: SurfaceReporter) -> SurfaceOutcome:
    (outcome,) = reporter.step().outcomes
    return outcome


class TestQuorum:
    def test_the_last_of_a_quorum_hands_the_batch_in(self, house: House, box: SurfaceBox) -> None:
        days = [each.expiry_day for each in house.quotes().expiries]
        for name in REPORTERS[: QUORUM - 1]:
            outcome = only(reporter_of(house, box, name))
            assert outcome.receipt is None
            assert "agree" in (outcome.refusal or "")
            assert house.observed_at(days[0]) == 0
        last = only(reporter_of(house, box, REPORTERS[QUORUM - 1]))
        assert last.refusal is None
        assert last.receipt is not None
        assert last.batch is not None
        assert len(last.batch.signed) == QUORUM
        for day, piece in zip(days, last.batch.slices, strict=True):
            stored = house.terms.engine.call.surface(ETH, day)
            assert stored.observedAt == house.evm.time
            assert tuple(stored.slice) == (
                day, piece.forward, piece.a, piece.b, piece.rho, piece.m, piece.sigma,
            )  # fmt: skip
            assert math.isclose(
                stored.slice.a / 10**9 + stored.slice.b / 10**9 * stored.slice.sigma / 10**6,
                0.36,
                abs_tol=0.01,
            )

    def test_then_everybody_waits(self, house: House, box: SurfaceBox) -> None:
        people = [reporter_of(house, box, name) for name in REPORTERS]
        for each in people:
            each.step()
        assert all(isinstance(only(each).step, Wait) for each in people)
        house.wait(LIMITS.every)
        assert isinstance(only(people[0]).step, SignSurface)

    def test_one_who_was_restarted_goes_on_where_he_died(
        self, house: House, box: SurfaceBox
    ) -> None:
        for name in REPORTERS[: QUORUM - 1]:
            only(reporter_of(house, box, name))
        again = only(reporter_of(house, box, REPORTERS[0]))
        assert isinstance(again.step, CollectSurface)
        assert only(reporter_of(house, box, REPORTERS[QUORUM - 1])).receipt is not None

    def test_one_who_sees_another_market_is_left_out(self, house: House, box: SurfaceBox) -> None:
        assert only(reporter_of(house, box, REPORTERS[0], vol="0.9")).receipt is None
        honest = [only(reporter_of(house, box, name)) for name in REPORTERS[1 : QUORUM + 1]]
        assert honest[-1].receipt is not None
        assert honest[-1].batch is not None
        assert len(honest[-1].batch.signed) == QUORUM

    def test_a_stranger_and_forged_files_count_for_nothing(
        self, house: House, box: SurfaceBox
    ) -> None:
        for name in REPORTERS[: QUORUM - 1]:
            only(reporter_of(house, box, name))
        assert only(reporter_of(house, box, "stranger")).receipt is None
        real = next(box.folder.glob("*.json"))
        told = json.loads(real.read_text())
        forged = {**told, "reporter": actor(REPORTERS[-1]).address}
        (box.folder / f"surface-{ETH}-forged.json").write_text(json.dumps(forged))
        for place, text in enumerate(("{", "[]", '{"slices": 5}', '{"slices": [5]}')):
            (box.folder / f"surface-{ETH}-broken{place}.json").write_text(text)
        assert only(reporter_of(house, box, REPORTERS[0])).receipt is None

    def test_on_paper_nothing_is_sent(self, house: House, box: SurfaceBox) -> None:
        for name in REPORTERS[: QUORUM - 1]:
            only(reporter_of(house, box, name))
        paper = reporter_of(house, box, REPORTERS[-1])
        paper.chain.signer = None
        told = paper.step()
        assert told.paper
        assert told.outcomes[0].batch is not None
        assert told.metrics()["surfaces_sent"] == 0
        assert json.loads(json.dumps(told.to_json()))["outcomes"][0]["slices"] == 2


class TestRefusals:
    def test_broken_quotes(self, house: House, box: SurfaceBox) -> None:
        reporter = reporter_of(house, box, REPORTERS[0])

        def broken(_underlying: int) -> SurfaceQuotes:
            raise QuotesError("strike 2000: bid 0.7 is above ask 0.6")

        reporter.source = broken
        outcome = only(reporter)
        assert isinstance(outcome.step, Wait)
        assert outcome.refusal == "strike 2000: bid 0.7 is above ask 0.6"

    def test_a_fit_too_far_from_its_quotes(self, house: House, box: SurfaceBox) -> None:
        quotes = house.quotes()
        jagged = tuple(
            OptionQuote(one.strike, mark=Decimal("1.2" if place % 2 else "0.4"))
            for place, one in enumerate(quotes.expiries[0].quotes)
        )
        wild = replace(quotes, expiries=(replace(quotes.expiries[0], quotes=jagged),))
        reporter = reporter_of(house, box, REPORTERS[0])
        reporter.source = lambda _underlying: wild
        assert "off in the median: not signed" in (only(reporter).refusal or "")
        assert not list(box.all(ETH))

    def test_an_underlying_without_options(self, house: House, box: SurfaceBox) -> None:
        reporter = reporter_of(house, box, REPORTERS[0])
        reporter.underlyings = [BTC]
        assert only(reporter).step == Wait(BTC, "it has no options")


def test_the_environment_makes_a_reporter(house: House, tmp_path: Path) -> None:
    told = {
        "PLIMSOLL_REPORTER_SOURCE": str(tmp_path / "premiums.json"),
        "PLIMSOLL_REPORTER_BOX": str(tmp_path / "box"),
    }
    premiums = reporter_on(house.deployer.chain, told)
    assert surface_reporter_beside(premiums, told) is None
    told["PLIMSOLL_REPORTER_QUOTES"] = str(tmp_path / "quotes.json")
    beside = surface_reporter_beside(premiums, told)
    assert beside is not None
    steps = {each.step for each in beside.step().outcomes}
    assert steps == {Wait(ETH, "there are no quotes"), Wait(BTC, "it has no options")}

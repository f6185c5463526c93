"""Surfaces from quotes: known ones come back, contradictions are resolved, broken quotes named.

`PLIMSOLL_CHAINS` may name a folder of a venue's option chains, gzip CSV with the fields that
Deribit gives a ticker; those tests are left out without it.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from plimsoll.reporter.quotes import (
    ExpiryQuotes,
    OptionQuote,
    QuotesError,
    QuotesFile,
    SurfaceQuotes,
    quotes_from,
    quotes_of_tickers,
)
from plimsoll.reporter.svi import LEAST_STRIKES, Fit, SurfaceFitError, fit
from plimsoll.reports import FRESH
from plimsoll.risk.instruments import day_name, expiry_of, parse_day
from plimsoll.risk.model import WAD
from plimsoll.risk.surface import Slice, require_no_arbitrage, require_valid, volatility

CHAINS = os.environ.get("PLIMSOLL_CHAINS")
FIRST = parse_day("4DEC26")
NOW = expiry_of(FIRST) - 86_400 * 3
INDEX = Decimal(2_500)
# a, b, rho, m, sigma of annual variance, by days to expiry: steep and skewed at first, flat later.
KNOWN = {
    3: (0.12, 1.30, -0.25, 0.010, 0.150),
    10: (0.16, 0.80, -0.30, 0.020, 0.220),
    31: (0.20, 0.50, -0.30, 0.030, 0.300),
    94: (0.24, 0.30, -0.25, 0.050, 0.400),
    360: (0.30, 0.15, -0.20, 0.100, 0.600),
}


def true_volatility(days: int, kappa: float) -> float:
    a, b, rho, m, sigma = KNOWN[days]
    return math.sqrt(a + b * (rho * (kappa - m) + math.hypot(kappa - m, sigma)))


def quote(strike: Decimal, vol: float, spread: float, noise: float = 0.0) -> OptionQuote:
    bid, ask = vol - spread / 2 + noise, vol + spread / 2 + noise
    return OptionQuote(strike, Decimal(f"{bid:.6f}"), Decimal(f"{ask:.6f}"))


def expiry(days: int, *, spread: float = 0.01, noise: float = 0.0, seed: int = 0) -> ExpiryQuotes:
    chance = random.Random(seed + days)
    forward = INDEX * Decimal(1 + days / 5_000).quantize(Decimal("0.0001"))
    reach = 2 * true_volatility(days, 0.0) * math.sqrt(days / 365)
    quotes = []
    for step in range(-12, 13):
        strike = (forward * Decimal(math.exp(reach * step / 12))).quantize(Decimal(1))
        kappa = math.log(strike / forward)
        off = chance.gauss(0, noise) if noise else 0.0
        quotes.append(quote(strike, true_volatility(days, kappa), spread, off))
    return ExpiryQuotes(FIRST + days - 3, forward, tuple(quotes))


def chain(*days: int, **how: Any) -> SurfaceQuotes:
    return SurfaceQuotes(INDEX, NOW, tuple(expiry(each, **how) for each in days or KNOWN))


def off_by(fitted: Fit, quotes: SurfaceQuotes) -> list[float]:
    """How far the surface is from the quotes, by the integers that the chain works with."""
    by_day = {each.expiry_day: each for each in fitted.slices}
    return [
        abs(volatility_at(by_day[each.expiry_day], one, each) - float(one.volatility))
        for each in quotes.expiries
        if each.expiry_day in by_day
        for one in each.quotes
    ]


def volatility_at(piece: Slice, one: OptionQuote, of: ExpiryQuotes) -> float:
    kappa = round(math.log(one.strike / of.forward) * WAD)
    return volatility(piece, kappa) / WAD


class TestKnownSurfaces:
    def test_come_back(self) -> None:
        quotes = chain()
        fitted = fit(quotes)
        require_valid(fitted.slices, NOW)
        assert [each.expiry_day for each in fitted.slices] == [FIRST + d - 3 for d in KNOWN]
        assert max(off_by(fitted, quotes)) < 2e-4
        assert fitted.worst_error < 2e-4
        for piece, days in zip(fitted.slices, KNOWN, strict=True):
            for step in range(-8, 9):
                kappa = step / 4 * true_volatility(days, 0.0) * math.sqrt(days / 365)
                found = volatility(piece, round(kappa * WAD)) / WAD
                assert found == pytest.approx(true_volatility(days, kappa), abs=2e-4)

    def test_forwards_are_parts_of_the_index(self) -> None:
        quotes = chain(3, 94)
        told = [round(each.forward / INDEX * 10**9) for each in quotes.expiries]
        assert [each.forward for each in fit(quotes).slices] == told

    @pytest.mark.parametrize("seed", range(3))
    def test_noise_within_the_spread_averages_out(self, seed: int) -> None:
        quotes = chain(spread=0.03, noise=0.01, seed=seed)
        fitted = fit(quotes)
        require_valid(fitted.slices, NOW)
        errors = [
            abs(
                volatility_at(piece, one, each)
                - true_volatility(days, math.log(one.strike / each.forward))
            )
            for piece, each, days in zip(fitted.slices, quotes.expiries, KNOWN, strict=True)
            for one in each.quotes
        ]
        assert median(errors) < 0.005
        assert max(errors) < 0.03

    def test_one_wild_quote_moves_little(self) -> None:
        quotes = chain(31)
        (of,) = quotes.expiries
        wild = replace(of.quotes[12], bid=Decimal("1.49"), ask=Decimal("1.51"))
        broken = replace(of, quotes=(*of.quotes[:12], wild, *of.quotes[13:]))
        fitted = fit(replace(quotes, expiries=(broken,)))
        assert median(off_by(fitted, quotes)) < 0.005

    def test_the_days_that_are_asked_for(self) -> None:
        wanted = [FIRST, FIRST + 28]
        assert [each.expiry_day for each in fit(chain(), wanted).slices] == wanted

    def test_what_is_signed_later_or_counts_older_is_valid_too(self) -> None:
        """A batch is dated by its oldest report."""
        fitted = fit(chain(spread=0.03, noise=0.01))
        require_no_arbitrage(fitted.slices, NOW - FRESH)


class TestContradictions:
    def test_an_expiry_below_an_earlier_one_is_lifted(self) -> None:
        """Calendar arbitrage in the quotes: of a surface that may be signed there is none."""
        quotes = chain(31, 94)
        near, far = quotes.expiries
        low = [quote(one.strike, 0.25, 0.01) for one in far.quotes]
        crossed = replace(quotes, expiries=(near, replace(far, quotes=tuple(low))))
        fitted = fit(crossed)
        require_valid(fitted.slices, NOW)
        assert fitted.worst_error > 0.02

    def test_a_smile_no_density_allows_is_smoothed(self) -> None:
        of = expiry(31)
        dented = [
            quote(one.strike, 0.9 if place % 2 else 0.4, 0.02)
            for place, one in enumerate(of.quotes)
        ]
        fitted = fit(SurfaceQuotes(INDEX, NOW, (replace(of, quotes=tuple(dented)),)))
        require_valid(fitted.slices, NOW)

    @pytest.mark.parametrize("level", ["0.02", "0.5", "4.8"])
    def test_flat_smiles_of_every_height(self, level: str) -> None:
        of = expiry(31)
        flat = tuple(OptionQuote(one.strike, mark=Decimal(level)) for one in of.quotes)
        fitted = fit(SurfaceQuotes(INDEX, NOW, (replace(of, quotes=flat),)))
        require_valid(fitted.slices, NOW)
        assert fitted.worst_error < 1e-3


class TestLeftOut:
    def test_too_few_strikes(self) -> None:
        quotes = chain(3, 31)
        thin = replace(quotes.expiries[0], quotes=quotes.expiries[0].quotes[: LEAST_STRIKES - 1])
        fitted = fit(replace(quotes, expiries=(thin, quotes.expiries[1])))
        assert [each.expiry_day for each in fitted.slices] == [FIRST + 28]
        assert fitted.left_out == ("4DEC26: 4 strikes are quoted, a smile needs 5",)

    def test_about_to_expire(self) -> None:
        quotes = replace(chain(3, 31), observed_at=expiry_of(FIRST) - FRESH)
        fitted = fit(quotes)
        assert fitted.left_out == ("4DEC26: it expires before a report stops counting",)
        assert len(fit(replace(quotes, observed_at=quotes.observed_at - 1)).slices) == 2

    def test_nothing_is_left(self) -> None:
        with pytest.raises(SurfaceFitError, match="no expiry can be fitted: none quoted"):
            fit(chain(3), [])
        with pytest.raises(SurfaceFitError, match="4DEC26: it expires before"):
            fit(replace(chain(3), observed_at=expiry_of(FIRST)))

    def test_more_than_a_report_holds(self) -> None:
        one = expiry(31)
        many = tuple(replace(one, expiry_day=FIRST + 28 + n) for n in range(17))
        with pytest.raises(SurfaceFitError, match="17 expiries, at most 16"):
            fit(SurfaceQuotes(INDEX, NOW, many))


def told(**changes: Any) -> dict[str, Any]:
    quotes = [{"strike": str(2_000 + 100 * n), "bid": "0.60", "ask": "0.64"} for n in range(6)]
    first = {"expiry": "4DEC26", "forward": "2505.5", "quotes": quotes}
    return {"index": "2500", "observed_at": NOW, "expiries": [first], **changes}


class TestQuotes:
    def test_a_file_is_read_exactly(self, tmp_path: Path) -> None:
        path = tmp_path / "quotes.json"
        path.write_text(json.dumps({"1": told()}))
        found = QuotesFile(path)(1)
        assert found is not None
        assert (found.index, found.observed_at) == (INDEX, NOW)
        assert found.expiries[0].expiry_day == FIRST
        assert found.expiries[0].forward == Decimal("2505.5")
        assert found.expiries[0].quotes[1] == OptionQuote(
            Decimal(2_100), Decimal("0.60"), Decimal("0.64")
        )
        assert QuotesFile(path)(2) is None
        assert QuotesFile(tmp_path / "missing.json")(1) is None

    @pytest.mark.parametrize("text", ["", "{", "[]", "5"])
    def test_a_file_that_is_none(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "quotes.json"
        path.write_text(text)
        with pytest.raises(QuotesError, match=re.escape(str(path))):
            QuotesFile(path)(1)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"index": "0"}, "no index price"),
            ({"index": "NaN"}, "no index price"),
            ({"index": "about 2500"}, "no number"),
            ({"observed_at": "noon"}, "malformed"),
            ({"expiries": None}, "malformed"),
            ({"expiries": [{"expiry": "4DEC26", "forward": "2500"}]}, "lack 'quotes'"),
            ({"expiries": [{"expiry": "32DEC26", "forward": "2500", "quotes": []}]}, "32DEC26"),
            ({"expiries": [{"expiry": "4DEC26", "forward": "1", "quotes": []}]}, "not believed"),
            ({"expiries": [{"expiry": "4DEC26", "forward": "2500", "quotes": {}}]}, "no list"),
            ({"expiries": told()["expiries"] * 2}, "twice"),
        ],
    )
    def test_what_is_broken_is_named(self, change: dict[str, Any], reason: str) -> None:
        with pytest.raises(QuotesError, match=reason):
            quotes_from(told(**change))
        with pytest.raises(QuotesError, match="lack 'index'"):
            quotes_from({})

    @pytest.mark.parametrize(
        ("one", "reason"),
        [
            ({"strike": "2000", "bid": "0.64", "ask": "0.60"}, "bid 0.64 is above ask 0.60"),
            ({"strike": "2000", "bid": "0.64"}, "its mark, or bid and ask"),
            ({"strike": "-2000", "mark": "0.64"}, "no strike"),
            ({"strike": "2000", "mark": "62"}, "no volatility"),
            ({"strike": "2000", "mark": "0"}, "no volatility"),
            ({"strike": "2000", "mark": "Infinity"}, "no volatility"),
            ({"mark": "0.6"}, "lack 'strike'"),
        ],
    )
    def test_broken_strikes(self, one: dict[str, str], reason: str) -> None:
        first = {"expiry": "4DEC26", "forward": "2500", "quotes": [one]}
        with pytest.raises(QuotesError, match=reason):
            quotes_from(told(expiries=[first]))

    def test_a_strike_twice(self) -> None:
        one = {"strike": "2000", "mark": "0.6"}
        first = {"expiry": "4DEC26", "forward": "2500", "quotes": [one, one]}
        with pytest.raises(QuotesError, match="strike 2000 twice"):
            quotes_from(told(expiries=[first]))

    @pytest.mark.parametrize(
        ("bid", "ask", "mark", "expected"),
        [
            ("0.6", "0.7", None, "0.65"),
            ("0.6", "0.7", "0.62", "0.62"),
            ("0.6", "0.7", "0.9", "0.7"),
            ("0.6", None, "0.5", "0.6"),
            (None, None, "0.5", "0.5"),
        ],
    )
    def test_the_mark_counts_as_far_as_the_book_allows(
        self, bid: str | None, ask: str | None, mark: str | None, expected: str
    ) -> None:
        sides = [None if side is None else Decimal(side) for side in (bid, ask, mark)]
        assert OptionQuote(Decimal(2_000), *sides).volatility == Decimal(expected)


def ticker(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "instrument_name": name, "timestamp": NOW * 1_000, "index_price": 2500.0,
        "underlying_price": 2510.0, "mark_iv": 60.0, "bid_iv": 59.0, "ask_iv": 61.5, **fields,
    }  # fmt: skip


class TestTickers:
    def test_of_a_strike_the_option_out_of_the_money_counts(self) -> None:
        quotes = quotes_of_tickers(
            [
                ticker("ETH-4DEC26-2000-C", mark_iv=99.0),
                ticker("ETH-4DEC26-2000-P", timestamp=NOW * 1_000 - 5_000),
                ticker("ETH-4DEC26-3000-C", bid_iv=0.0),
                ticker("ETH-4DEC26-3000-P", mark_iv=99.0),
                ticker("ETH-4DEC26"),
                ticker("ETH-PERPETUAL"),
            ]
        )
        assert quotes.observed_at == NOW - 5
        (only,) = quotes.expiries
        assert (only.expiry_day, only.forward) == (FIRST, Decimal(2510))
        put, call = only.quotes
        assert put == OptionQuote(Decimal(2_000), Decimal("0.59"), Decimal("0.615"), Decimal("0.6"))
        assert call == OptionQuote(Decimal(3_000), None, Decimal("0.615"), Decimal("0.6"))

    def test_names_that_are_none(self) -> None:
        with pytest.raises(QuotesError, match="ETH-4DEC26-2000-X"):
            quotes_of_tickers([ticker("ETH-4DEC26-2000-X")])
        with pytest.raises(QuotesError, match="no tickers"):
            quotes_of_tickers([ticker("ETH-PERPETUAL")])


def real_chain(coin: str) -> SurfaceQuotes:
    """A venue's chain of 2021, eight years later: no expiry days before 2025 have a number."""
    (path,) = Path(str(CHAINS)).glob(f"*{coin}*.csv.gz")
    with gzip.open(path, "rt") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for row in rows:
        row["instrument_name"] = re.sub(
            "2([12])-", lambda year: f"{28 + int(year[1])}-", row["instrument_name"], count=1
        )
        row["timestamp"] = int(row["timestamp"]) + 2_922 * 86_400 * 1_000
    return quotes_of_tickers(rows)


def inside(fitted: Fit, quotes: SurfaceQuotes) -> float:
    """Share of the strikes with a book whose volatility the surface has between bid and ask."""
    by_day = {each.expiry_day: each for each in fitted.slices}
    found: Sequence[bool] = [
        (one.bid is None or float(one.bid) <= vol) and (one.ask is None or vol <= float(one.ask))
        for each in quotes.expiries
        if each.expiry_day in by_day
        for one in each.quotes
        if one.bid is not None or one.ask is not None
        for vol in [volatility_at(by_day[each.expiry_day], one, each)]
    ]
    return sum(found) / len(found)


@pytest.mark.skipif(not CHAINS, reason="PLIMSOLL_CHAINS names no folder of option chains")
class TestRealChains:
    def test_ether(self) -> None:
        """Marks of an even 80 %, with one smile: nearly exact."""
        quotes = real_chain("eth")
        fitted = fit(quotes)
        require_valid(fitted.slices, quotes.observed_at)
        errors = off_by(fitted, quotes)
        print(f"median {median(errors):.5f}, inside {inside(fitted, quotes):.3f}")
        assert median(errors) < 1e-4
        assert sorted(errors)[len(errors) * 9 // 10] < 0.01

    def test_bitcoin(self) -> None:
        """A thin book: marks of neighbouring strikes and expiries contradict each other by up to
        a hundred points, so that what counts is bid and ask."""
        quotes = real_chain("btc")
        fitted = fit(quotes)
        require_valid(fitted.slices, quotes.observed_at)
        print(f"median {median(off_by(fitted, quotes)):.4f}, inside {inside(fitted, quotes):.3f}")
        assert len(fitted.slices) == 9
        assert inside(fitted, quotes) > 0.75

    @pytest.mark.parametrize("coin", ["btc", "eth"])
    def test_each_expiry_by_itself(self, coin: str) -> None:
        """Without the neighbours that it contradicts an expiry is met better."""
        quotes = real_chain(coin)
        for each in quotes.expiries:
            if len(each.quotes) >= LEAST_STRIKES:
                fitted = fit(quotes, [each.expiry_day])
                share = inside(fitted, quotes) if coin == "btc" else 1.0
                print(day_name(each.expiry_day), f"{fitted.median_error:.4f} {share:.3f}")
                assert share >= 0.6

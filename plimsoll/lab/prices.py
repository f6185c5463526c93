"""The prices of a run: seeded synthetic paths, or real data from a file that the user names.

A path is a list of steps; a step gives every underlying a price with eight decimals, as a
Chainlink feed answers it.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TextIO

from plimsoll.lab.scenario import Scenario, SyntheticPath

TICK = Decimal("0.00000001")
_TIME_COLUMNS = ("ts", "timestamp", "time", "date", "updatedAt")
_CHAINLINK_DECIMALS = 8
# Standard deviation of a price around the last one of the run.
_FIXING_NOISE = 0.001
# Half the age at which a feed with a heartbeat of an hour goes stale.
_LONGEST_STEP = 1800


class UnusablePricesError(ValueError):
    """A price file cannot be replayed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class PricePath:
    label: str
    """What the reader must know: synthetic and its seed, or the file and its hours."""
    synthetic: bool
    step_seconds: int
    steps: tuple[Mapping[str, Decimal], ...]
    """The opening first."""

    @property
    def opening(self) -> Mapping[str, Decimal]:
        return self.steps[0]

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.steps[0])


@dataclass(frozen=True, slots=True)
class Series:
    """The prices of one underlying over time."""

    symbol: str
    source: str
    times: tuple[int, ...]
    prices: tuple[Decimal, ...]

    @property
    def spacing(self) -> int:
        return int(median(later - earlier for earlier, later in pairwise(self.times)))


def synthetic_prices(scenario: Scenario) -> PricePath:
    """The scenario's own paths. The same seed gives the same prices, to the last digit."""
    columns = {
        symbol: _walk(path, scenario.steps, _rng(scenario, symbol))
        for symbol, path in scenario.prices.items()
    }
    return PricePath(
        label=f"synthetic prices, seed {scenario.seed}",
        synthetic=True,
        step_seconds=scenario.step_seconds,
        steps=tuple(
            {symbol: column[step] for symbol, column in columns.items()}
            for step in range(scenario.steps + 1)
        ),
    )


def replayed_prices(scenario: Scenario, files: Sequence[str]) -> PricePath:
    """Real prices: each file is `path` or `SYMBOL=path`. What has no file holds its opening price.

    Of files longer than the run, the window is taken in whose first two thirds the first file's
    underlying falls deepest, so that what comes after is seen too.
    """
    series = [read_series(name, tuple(scenario.prices)) for name in files]
    lead = series[0]
    step_seconds = min(_LONGEST_STEP, max(scenario.step_seconds, *(s.spacing for s in series)))
    first, last = max(s.times[0] for s in series), min(s.times[-1] for s in series)
    grid = range(first, last + 1, step_seconds)
    if len(grid) < 2:
        raise UnusablePricesError("the files share no two steps of time")
    closes = {each.symbol: _sample(each, grid) for each in series}
    count = min(scenario.steps + 1, len(grid))
    start = _deepest_fall(closes[lead.symbol], count)
    still = {s: p.start.quantize(TICK) for s, p in scenario.prices.items() if s not in closes}
    return PricePath(
        label=_replay_label(series, grid[start], grid[start + count - 1], tuple(still)),
        synthetic=False,
        step_seconds=step_seconds,
        steps=tuple(
            {
                symbol: closes[symbol][at] if symbol in closes else still[symbol]
                for symbol in scenario.prices
            }
            for at in range(start, start + count)
        ),
    )


def fixing_prices(path: PricePath, seed: int, count: int) -> list[Mapping[str, Decimal]]:
    """After the run, around its last prices: what the feeds report while options are fixed."""
    rng = random.Random(f"{seed}/fixing")  # noqa: S311 -- seeded on purpose
    return [
        {
            symbol: (price * Decimal(1 + rng.gauss(0, _FIXING_NOISE))).quantize(TICK)
            for symbol, price in path.steps[-1].items()
        }
        for _ in range(count)
    ]


def read_series(name: str, symbols: Sequence[str]) -> Series:
    """Reads bars (`ts,...,close`) or Chainlink rounds (`updatedAt,...,answer`), also gzipped."""
    named, _, path_text = name.rpartition("=")
    path = Path(path_text)
    if not path.is_file():
        raise UnusablePricesError(f"{path_text} is not a file")
    symbol = named or _symbol_of(path.name, symbols)
    if symbol not in symbols:
        raise UnusablePricesError(
            f"{symbol} is none of the scenario's underlyings: {', '.join(symbols)}"
        )
    with _open(path) as stream:
        rows = sorted(_rows(csv.DictReader(stream), path))
    if len(rows) < 2:
        raise UnusablePricesError(f"{path.name} has fewer than two rows")
    return Series(symbol, path.name, tuple(t for t, _ in rows), tuple(p for _, p in rows))


def _rng(scenario: Scenario, symbol: str) -> random.Random:
    return random.Random(f"{scenario.seed}/{symbol}")  # noqa: S311 -- seeded on purpose


def _walk(path: SyntheticPath, steps: int, rng: random.Random) -> list[Decimal]:
    """Geometric lines through the waypoints, with noise everywhere but at the opening."""
    points = [(point.step, math.log(float(point.level))) for point in path.waypoints]
    points.append((max(steps, points[-1][0]) + 1, points[-1][1]))
    prices = []
    for step in range(steps + 1):
        (s0, l0), (s1, l1) = next(
            pair for pair in pairwise(points) if pair[0][0] <= step < pair[1][0]
        )
        level = l0 + (l1 - l0) * (step - s0) / (s1 - s0)
        noise = rng.gauss(0, path.noise_bps / 10_000) if step else 0
        prices.append((path.start * Decimal(math.exp(level + noise))).quantize(TICK))
    return prices


def _symbol_of(name: str, symbols: Sequence[str]) -> str:
    """The underlying that a file name prices in dollars, such as BTCUSDT, ETH_USD or btc-usdc."""
    for symbol in sorted(symbols, key=len, reverse=True):
        if re.search(rf"(?<![a-z]){re.escape(symbol.lower())}[_-]?usd", name.lower()):
            return symbol
    raise UnusablePricesError(
        f"{name} names none of {', '.join(symbols)} in dollars: write SYMBOL={name}"
    )


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _rows(reader: csv.DictReader[str], path: Path) -> Iterator[tuple[int, Decimal]]:
    columns = reader.fieldnames or ()
    time_column = next((column for column in _TIME_COLUMNS if column in columns), None)
    price_column = next(
        (column for column in ("close", "price", "answer") if column in columns), None
    )
    if time_column is None or price_column is None:
        raise UnusablePricesError(
            f"{path.name} needs a column of times (ts) and one of prices (close)"
        )
    shift = -_CHAINLINK_DECIMALS if price_column == "answer" else 0
    for row in reader:
        price = Decimal(row[price_column]).scaleb(shift)
        if not price.is_finite() or price <= 0:
            raise UnusablePricesError(
                f"{path.name} has the price {row[price_column]} at {row[time_column]}"
            )
        yield _seconds(row[time_column]), price.quantize(TICK)


def _seconds(text: str) -> int:
    if text.isdigit():
        return int(text) // 1000 if len(text) > 11 else int(text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _sample(series: Series, grid: range) -> list[Decimal]:
    """The last known price at each moment of the grid."""
    sampled, at = [], 0
    for moment in grid:
        while at + 1 < len(series.times) and series.times[at + 1] <= moment:
            at += 1
        sampled.append(series.prices[at])
    return sampled


def _deepest_fall(prices: Sequence[Decimal], count: int) -> int:
    """Where a window of `count` prices begins in whose first two thirds they fall deepest."""
    early = -(-2 * count // 3)
    starts = range(len(prices) - count + 1)
    return min(starts, key=lambda at: (min(prices[at : at + early]) / prices[at], at))


def _replay_label(series: Sequence[Series], first: int, last: int, still: Sequence[str]) -> str:
    hours = " to ".join(
        datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M") for t in (first, last)
    )
    files = ", ".join(f"{each.symbol} from {each.source}" for each in series)
    held = f"; held still for want of data: {', '.join(still)}" if still else ""
    return f"real prices, {files}, {hours} UTC{held}"

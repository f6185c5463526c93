"""Prices, yield rates and parameters over time: the twin of docs/margin.md sections 9 to 11 and
docs/ledger.md section 2.

Everything here is a pure function of what was stored, what the sources answer now and the time.
Prices and rates have 18 decimals; a reading that is not usable is `None` or carries the status that
says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt

from plimsoll.risk.model import (
    BPS,
    WAD,
    AssetTerms,
    Price,
    PriceStatus,
    broken_band,
    ceil_div,
    tiered_haircut,
)

HOUR = 3_600
YEAR = 31_536_000
RATE_RAMP = 259_200
RATE_LIMIT = 2**68
PRICE_LIMIT = 2**94
CROWD_TICK = 16
CROWD_MOST = 112
PYTH_CONFIDENCE_SHARE = 50


def to_wad_down(value: int, decimals: int) -> int:
    """A number with `decimals` brought to 18, rounded down."""
    scale: int = 10 ** abs(18 - decimals)
    return value * scale if decimals <= 18 else value // scale


# Prices (section 10)


@dataclass(frozen=True, slots=True)
class Source:
    """How a price source is read; `2^floor <= price < 2^ceiling`."""

    decimals: int
    max_age: int
    floor: int = 0
    ceiling: int = 94


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source says: an unscaled value and when it was true; `None` when it says nothing."""

    value: int
    updated_at: int
    confidence: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer after its checks; `price` means something only when the status is `OK`."""

    price: int
    status: PriceStatus

    @property
    def usable(self) -> bool:
        return self.status == PriceStatus.OK


def read(source: Source, answer: Answer | None, now: int) -> Reading:
    """The answer of a source, in the order of its checks."""
    if answer is None or answer.value <= 0 or answer.updated_at > now:
        return Reading(0, PriceStatus.INVALID)
    if answer.confidence > answer.value // PYTH_CONFIDENCE_SHARE:
        return Reading(0, PriceStatus.INVALID)
    if now - answer.updated_at > source.max_age:
        return Reading(0, PriceStatus.STALE)
    price = to_wad_down(answer.value, source.decimals)
    if not 2**source.floor <= price < 2**source.ceiling:
        return Reading(price, PriceStatus.OUT_OF_BOUNDS)
    return Reading(price, PriceStatus.OK)


@dataclass(frozen=True, slots=True)
class PriceObservation:
    """What is stored of an underlying's price."""

    stable: int
    last: int
    time: int
    status: PriceStatus = PriceStatus.OK


def stable_at(seen: PriceObservation, range_: int, now: int) -> int:
    """The stable price: the interval is credited to the observation at its start, at most one
    scan range an hour."""
    step = seen.stable * range_ * min(now - seen.time, HOUR) // (HOUR * BPS)
    return seen.stable + max(-step, min(step, seen.last - seen.stable))


def price_at(
    seen: PriceObservation,
    primary: Reading,
    *,
    range_: int,
    band: int,
    now: int,
    sequencer_down: bool = False,
) -> Price:
    """The price of this moment; `range_` and `band` are initial values."""
    index, status = seen.last, seen.status
    if status != PriceStatus.FROZEN and sequencer_down:
        status = PriceStatus.SEQUENCER_DOWN
    elif status == PriceStatus.OK:
        status = primary.status
        index = primary.price if primary.usable else seen.last
    width = band
    if status == PriceStatus.FROZEN:
        width = 0
    elif status != PriceStatus.OK:
        width = broken_band(range_, band, now - seen.time)
    return Price(index, stable_at(seen, range_, now), width, status)


def observe(
    seen: PriceObservation,
    first: Reading,
    second: Reading | None,
    *,
    deviation: int = 0,
    range_: int,
    now: int,
    sequencer_down: bool = False,
) -> PriceObservation:
    """What is stored after both sources were read; `second` is `None` when none is configured."""
    if sequencer_down or seen.status == PriceStatus.FROZEN:
        return seen
    stable = stable_at(seen, range_, now)
    if second is None:
        return PriceObservation(stable, first.price, now) if first.usable else seen
    if first.usable and second.usable:
        if abs(first.price - second.price) * BPS <= deviation * first.price:
            return PriceObservation(stable, first.price, now)
        return replace(seen, status=PriceStatus.DEVIATING)
    if first.usable or second.usable:
        price = first.price if first.usable else second.price
        return PriceObservation(stable, price, now, PriceStatus.UNCONFIRMED)
    return seen


def is_depegged(seen: PriceObservation, live: Price, bound: int, now: int) -> bool:
    """Whether the settlement token has left its peg: by what was last observed of it while that is
    at most an hour old, by its price of this moment afterwards."""
    fresh = now - seen.time <= HOUR
    price, status = (seen.last, seen.status) if fresh else (live.index, live.status)
    return status != PriceStatus.OK or abs(WAD - price) * BPS > bound * WAD


# The volatility gauge (docs/ledger.md, section 3)

GAUGE_MIN, GAUGE_MAX = 6_000, 40_000
GAUGE_RISE, GAUGE_FALL = 500, 125
VARIANCE_KEEP = 9_700
OUTLIER = 36
VARIANCE_UNIT = 10**6
REFERENCE_UNIT = 10**12
ROUND_BITS = 64


@dataclass(frozen=True, slots=True)
class Round:
    """A report of a Chainlink source: an unscaled answer and when it was given."""

    answer: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is stored of an underlying's volatility; `price` is zero before the first sample.

    `gauge` is that of initial margin; maintenance follows it from `start`, where it stood at
    `since`.
    """

    price: int = 0
    hour: int = 0
    phase: int = 0
    variance: int = 0
    gauge: int = BPS
    start: int = BPS
    since: int = 0

    def maintenance(self, now: int) -> int:
        """The gauge of maintenance margin, bps."""
        elapsed = now - self.since
        if self.gauge >= self.start:
            return min(self.gauge, self.start + GAUGE_RISE * elapsed // HOUR)
        return max(self.gauge, self.start - GAUGE_FALL * elapsed // HOUR)


class RoundRefused(ValueError):  # noqa: N818 what the contract says
    """A round is not the sample of the next hour: the name of the error and its arguments."""

    def __init__(self, name: str, *values: int) -> None:
        super().__init__(name, *values)
        self.name = name
        self.values = values


def variance_after(variance: int, before: int, after: int, reference: int) -> int:
    """The variance after an hour's move, 18 decimals."""
    expected = reference**2 * VARIANCE_UNIT
    squared = min((after - before) ** 2 * WAD // before**2, OUTLIER * variance)
    moved = ceil_div(VARIANCE_KEEP * variance + (BPS - VARIANCE_KEEP) * squared, BPS)
    return max(36 * expected // 100, min(16 * expected, moved))


def gauge_of(variance: int, reference: int) -> int:
    """The gauge of initial margin, bps, rounded up."""
    exact = ceil_div(isqrt(variance * WAD) * BPS, reference * REFERENCE_UNIT)
    return max(GAUGE_MIN, min(GAUGE_MAX, exact))


def sample(
    seen: Gauge,
    rounds: Mapping[int, Round],
    number: int,
    source: Source,
    reference: int,
    now: int,
    status: PriceStatus = PriceStatus.OK,
) -> Gauge:
    """What is stored after one more hour, whose sample is the round of this number.

    `rounds` are those that can be read, `status` what was last observed of the underlying. Raises
    `RoundRefused` where the contract reverts.
    """
    first = seen.price == 0
    hour = now // HOUR if first else seen.hour + 1
    phase = number >> ROUND_BITS
    if phase < seen.phase:
        raise RoundRefused("PhasePassed", number, seen.phase)
    answer = _first_round(rounds, number, hour * HOUR, now).answer
    price = to_wad_down(max(0, answer), source.decimals)
    usable = status == PriceStatus.OK and 2**source.floor <= price < 2**source.ceiling
    if first and not usable:
        raise RoundRefused("RoundUnavailable", number)
    if first:
        variance = reference**2 * VARIANCE_UNIT
    else:
        price = price if usable else seen.price
        variance = variance_after(seen.variance, seen.price, price, reference)
    gauge = gauge_of(variance, reference)
    moved = gauge != seen.gauge
    return Gauge(
        price=price,
        hour=hour,
        phase=phase,
        variance=variance,
        gauge=gauge,
        start=seen.maintenance(now) if moved else seen.start,
        since=now if moved else seen.since,
    )


# The fixing of an expiry (docs/options.md, section 3)

FIXING_SAMPLES = 6
FIXING_INTERVAL = 300
PHASE_DELAY = 86_400


@dataclass(frozen=True, slots=True)
class Fixing:
    """What is stored of an expiry's settlement price: the sum of its samples, how many there are,
    and the number of the last one's round; `source` is the address that it is of."""

    sum: int = 0
    samples: int = 0
    round: int = 0
    source: int = 0

    @property
    def is_final(self) -> bool:
        return self.samples == FIXING_SAMPLES

    @property
    def price(self) -> int:
        """The settlement price, once it is final."""
        return self.sum // FIXING_SAMPLES

    def after(self, price: int, number: int, source: int) -> Fixing:
        return Fixing(self.sum + price, self.samples + 1, number, source)

    def least_round(self, source: int) -> int:
        """Another source counts its rounds anew."""
        return self.round if source == self.source else 0


def fixing_instant(expiry: int, number: int) -> int:
    """When the sample of this number, from zero on, is taken."""
    return expiry - (FIXING_SAMPLES - number) * FIXING_INTERVAL


def fix(
    seen: Fixing,
    rounds: Mapping[int, Round],
    numbers: Sequence[int],
    expiry: int,
    source: Source,
    now: int,
    frozen: int | None = None,
    address: int = 0,
) -> Fixing:
    """What is stored after these rounds were handed in, of the source at `address`; `frozen` is the
    price while it is frozen.

    Raises `RoundRefused` where the contract reverts.
    """
    if seen.samples + len(numbers) > FIXING_SAMPLES:
        raise RoundRefused("FixingComplete", seen.samples)
    if frozen is not None:
        if numbers or now < expiry:
            raise RoundRefused("FixingFrozen", expiry)
        while not seen.is_final:
            seen = seen.after(frozen, 0, address)
    for number in numbers:
        least = seen.least_round(address)
        if number < least:
            raise RoundRefused("RoundsDescend", number, least)
        start = fixing_instant(expiry, seen.samples)
        price = _first_usable_round(rounds, number, start, source, now)
        seen = seen.after(price, number, address)
    return seen


def _first_usable_round(
    rounds: Mapping[int, Round], number: int, start: int, source: Source, now: int
) -> int:
    """The price of the first round of its phase at or after `start` within the bounds."""
    found = _round(rounds, number, now)
    if found.updated_at < start:
        raise RoundRefused("RoundTooEarly", number, found.updated_at, start)
    if not is_inside(found, source):
        raise RoundRefused("RoundUnavailable", number)
    price = to_wad_down(found.answer, source.decimals)
    earlier = number
    while earlier % 2**ROUND_BITS != 1:
        earlier = (earlier - 1) % 2**80
        before = _round(rounds, earlier, now)
        if before.updated_at < start:
            return price
        if is_inside(before, source):
            raise RoundRefused("RoundNotFirst", number, before.updated_at, start)
    if earlier - 1 in rounds and rounds[earlier - 1].updated_at != 0:
        raise RoundRefused("RoundNotFirst", number, rounds[earlier - 1].updated_at, start)
    if number >> ROUND_BITS > 1 and now < start + PHASE_DELAY:
        raise RoundRefused("PhaseTooNew", number, start + PHASE_DELAY)
    return price


def is_inside(found: Round, source: Source) -> bool:
    """Whether a round is within the hard bounds of its source."""
    price = to_wad_down(max(0, found.answer), source.decimals)
    return 1 << source.floor <= price < 1 << source.ceiling


def _first_round(rounds: Mapping[int, Round], number: int, start: int, now: int) -> Round:
    """The round, when it is the first one of its phase at or after `start`."""
    found = _round(rounds, number, now)
    if found.updated_at < start:
        raise RoundRefused("RoundTooEarly", number, found.updated_at, start)
    previous = (number - 1) % 2**80
    if number % 2**ROUND_BITS == 1:
        time = rounds[previous].updated_at if previous in rounds else 0
        refused = time != 0
    else:
        time = _round(rounds, previous, now).updated_at
        refused = time >= start
    if refused:
        raise RoundRefused("RoundNotFirst", number, time, start)
    return found


def _round(rounds: Mapping[int, Round], number: int, now: int) -> Round:
    found = rounds.get(number)
    if found is None or not 0 < found.updated_at <= now:
        raise RoundRefused("RoundUnavailable", number)
    return found


# Yield tokens (section 9)


@dataclass(frozen=True, slots=True)
class RateTerms:
    """Growth cap in bps a year and discount bound in bps; whether there is a market feed."""

    growth: int
    discount_bound: int = 0
    has_market: bool = False


@dataclass(frozen=True, slots=True)
class RateObservation:
    """What is stored of a yield token: ceiling base, rate, market, credit in seconds."""

    base: int
    rate: int
    market: int
    credit: int
    seen: bool
    time: int

    @classmethod
    def first(cls, redemption: int, now: int) -> RateObservation:
        return cls(redemption, redemption, redemption, 0, False, now)


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of this moment: `maintenance` is q, `initial` is qI."""

    rate: int
    market: int
    credit: int
    maintenance: int
    initial: int
    doubtful: bool


def is_usable_rate(rate: int | None) -> bool:
    return rate is not None and 0 < rate < RATE_LIMIT


def is_beyond(rate: int, market: int, bound: int) -> bool:
    """Whether the market's discount to the rate exceeds the bound."""
    return market * BPS < rate * (BPS - bound)


def rates_at(
    seen: RateObservation,
    redemption: int | None,
    market: int | None,
    terms: RateTerms,
    now: int,
) -> Rates:
    """The rates of this moment from what is stored and what the sources say."""
    elapsed = now - seen.time
    redeems = redemption is not None and is_usable_rate(redemption)
    trades = market is not None and is_usable_rate(market)
    ceiling = seen.base + _growth(seen, terms, now)
    rate = min(redemption, ceiling) if redeems and redemption is not None else seen.rate
    traded = _market(seen, market if trades else None, rate, terms)
    step = min(elapsed, HOUR) if seen.seen else 0
    if is_beyond(seen.rate, seen.market, terms.discount_bound):
        credit = min(RATE_RAMP, seen.credit + step)
    else:
        credit = max(0, seen.credit - step)
    gap = max(0, rate - traded)
    return Rates(
        rate=rate,
        market=traded,
        credit=credit,
        maintenance=rate - ceil_div(gap * credit, RATE_RAMP),
        initial=min(rate, traded),
        doubtful=not redeems
        or (terms.has_market and not trades)
        or is_beyond(rate, traded, terms.discount_bound),
    )


def _growth(seen: RateObservation, terms: RateTerms, now: int) -> int:
    return seen.base * terms.growth * (now - seen.time) // (BPS * YEAR)


def _market(seen: RateObservation, market: int | None, rate: int, terms: RateTerms) -> int:
    if not terms.has_market:
        return rate
    return seen.market if market is None else market


def observe_rates(
    seen: RateObservation,
    redemption: int | None,
    market: int | None,
    terms: RateTerms,
    now: int,
) -> RateObservation:
    """What is stored after both sources were read: the ceiling follows in both directions."""
    state = rates_at(seen, redemption, market, terms, now)
    grow = _growth(seen, terms, now)
    if redemption is not None and is_usable_rate(redemption):
        base = max(seen.base - min(seen.base, grow), min(seen.base + grow, redemption))
    else:
        base = min(RATE_LIMIT - 1, seen.base + grow)
    usable = terms.has_market and is_usable_rate(market)
    return RateObservation(base, state.rate, state.market, state.credit, usable, now)


# Funding (docs/ledger.md, section 2)

REPORT_FRESH = 600
FUNDING_VALIDITY = 7_200
FUNDING_HOURS = 8
CAP_UNIT = 10**12


@dataclass(frozen=True, slots=True)
class Report:
    """What a signature vouches for; the reporter is the zero address when it is nobody's."""

    reporter: str
    underlying: int
    premium: int
    observed_at: int


@dataclass(frozen=True, slots=True)
class ReportTerms:
    """Who may report, and what makes a batch good; premiums have 18 decimals."""

    reporters: frozenset[str]
    quorum: int
    agreement: int
    max_premium: int


class RefusedReports(ValueError):  # noqa: N818 it is a verdict
    """The name and the values of the error with which the ReportOracle refuses a batch."""

    def __init__(self, name: str, *values: object) -> None:
        super().__init__(name, *values)
        self.name, self.values = name, values


def median_premium(
    terms: ReportTerms, underlying: int, reports: Sequence[Report], now: int
) -> tuple[int, int]:
    """The median of a good batch (the lower one of two), and the oldest time in it."""
    if len(reports) < terms.quorum:
        raise RefusedReports("QuorumMissed", len(reports), terms.quorum)
    seen: set[str] = set()
    for place, report in enumerate(reports):
        if report.underlying != underlying:
            raise RefusedReports("WrongUnderlying", place, report.underlying)
        if report.observed_at > now:
            raise RefusedReports("ReportFromFuture", place, report.observed_at)
        if now - report.observed_at > REPORT_FRESH:
            raise RefusedReports("ReportTooOld", place, report.observed_at)
        before = reports[place - 1].premium if place else report.premium
        if report.premium < before:
            raise RefusedReports("ReportsDisordered", place, report.premium, before)
        if report.reporter not in terms.reporters:
            raise RefusedReports("UnknownSigner", place, report.reporter)
        if report.reporter in seen:
            raise RefusedReports("SameReporter", place, report.reporter)
        seen.add(report.reporter)
    lowest, highest = reports[0].premium, reports[-1].premium
    if highest - lowest > terms.agreement:
        raise RefusedReports("ReportsDisagree", lowest, highest)
    median = reports[(len(reports) - 1) // 2].premium
    if abs(median) > terms.max_premium:
        raise RefusedReports("PremiumTooLarge", median)
    return median, min(report.observed_at for report in reports)


@dataclass(frozen=True, slots=True)
class Funding:
    """The funding of a perpetual since its last report: dollars per unit, and per hour."""

    index: int = 0
    rate: int = 0
    time: int = 0
    observed_at: int = 0

    def index_at(self, now: int) -> int:
        """Cumulative funding, rounded down; a report moves it for two hours."""
        return self.index + self.rate * min(now - self.time, FUNDING_VALIDITY) // HOUR

    def rate_at(self, now: int) -> int:
        return self.rate if now - self.time < FUNDING_VALIDITY else 0

    def takes(self, observed_at: int) -> bool:
        """Whether a batch of that time is newer than the last one."""
        return observed_at > self.observed_at

    def after(self, rate: int, observed_at: int, now: int) -> Funding:
        return Funding(self.index_at(now), rate, now, observed_at)


def funding_rate(premium: int, cap: int, last: int) -> int:
    """Dollars per unit and hour: an eighth of the premium within the cap, towards zero."""
    most = cap * CAP_UNIT
    per_hour = max(-most, min(most, towards_zero(premium, FUNDING_HOURS)))
    return towards_zero(per_hour * last, WAD)


def premium_of(rate: int, last: int) -> int:
    """The least premium in size whose rate is as near to `rate` as rounding lets it be, never
    beyond it."""
    return FUNDING_HOURS * towards_zero(rate * WAD, last)


def towards_zero(a: int, b: int) -> int:
    quotient = abs(a) // b
    return quotient if a >= 0 else -quotient


# Crowding (section 11)


def crowd_target(initial: AssetTerms, value: int) -> int:
    """The average haircut of the system's holding, bps, rounded up."""
    return ceil_div(tiered_haircut(initial, value), value) if value else 0


def move_crowd(crowd: int, target: int, clock: int, now: int) -> tuple[int, int]:
    """The crowd rate and its clock, which is set only when the rate moves."""
    ticks = now // CROWD_TICK
    step = min(CROWD_MOST, (ticks - clock) // 2)
    moved = crowd + max(-step, min(step, target - crowd))
    return moved, clock if moved == crowd else ticks

"""Options and futures in exact integers: the twin of docs/options.md sections 3 to 7.

Written from the specification alone. What an underlying's dated positions are worth at each state
of the grid is priced strike by strike, a put through its call; everything that a margin needs of
them is read off those prices. Dollars, prices and sizes have 18 decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt

from plimsoll.risk import black76
from plimsoll.risk.grid import (
    BPS,
    EDGE,
    SHOCK_THIRDS,
    WAD,
    WEIGHTS,
    WHOLE,
    YEAR,
    at_down,
    at_up,
    ceil_div,
    trunc_div,
)
from plimsoll.risk.instruments import DAY, Instrument, Kind, expiry_of, is_friday
from plimsoll.risk.svi import MICRO, NANO, Slice, variance

ONE = 2**41
"""A probability of one, as the table of the normal distribution scales it."""

SAMPLES = 6
FIXING = 1_800
"""Seconds before the expiry at which its first sample is taken, and trading in it ends."""
STALE_AFTER = 7_200
WIDENED_AFTER = 86_400
"""How long a stale slice takes to double its volatility shifts."""

LEAST_VARIANCE, MOST_VARIANCE = 10**14, 25 * WAD
MOST_VOLATILITY, LEAST_SHIFTED = 10 * WAD, WAD // 20
SHIFT_TIME = 30 * DAY
DAMP = 10**8
"""The scale of `damp`, and of its cube root."""
MOST_STRETCH = 64 * BPS
"""The largest multiple of the scan range of maintenance at which initial margin looks."""
FARTHEST = WAD * 3 // 2
"""The largest log-moneyness of which a surface is judged: none is believed beyond it."""
LATE_AFTER = 3_600
"""Seconds after the expiry from which a fixing that is not complete is late."""
CONCENTRATION_SCALE = 10**29
KINK_SCALE = 72 * BPS * WAD
"""A kink halfway between two states, a third of the range apart, costs a twelfth of the range more
than the grid sees; and live sixths."""

VOLATILITIES = 3
CENTRE = EDGE


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """What the OPTIONS word of an underlying says: bps, digits and days."""

    vol_shift: int = 0
    term_forward: int = 0
    term_vol: int = 0
    closing: int = 0
    digits: int = 7
    horizon: int = 2_047
    dailies: int = 31


NO_TERMS = OptionTerms()


# An expiry (section 3)


@dataclass(frozen=True, slots=True)
class ExpiryState:
    """What is stored of an expiry: its slice, and `samples` of its fixing with their sum."""

    slice: Slice | None = None
    observed_at: int = 0
    samples: int = 0
    sum: int = 0

    @property
    def is_final(self) -> bool:
        return self.samples == SAMPLES

    @property
    def is_known(self) -> bool:
        return self.slice is not None or self.is_final

    def is_late(self, day: int, now: int) -> bool:
        """Whether the final price is known to all but the margin."""
        return not self.is_final and now >= expiry_of(day) + LATE_AFTER

    def is_stale(self, day: int, now: int) -> bool:
        """Whether it adds no risk and settles nothing: its slice is too old, or its fixing late."""
        aged = not self.is_final and now - self.observed_at >= STALE_AFTER
        return aged or self.is_late(day, now)

    def is_doubted(self, now: int) -> bool:
        """Whether its slice is too old while the wider shifts do not make up for that yet."""
        age = now - self.observed_at
        return not self.is_final and STALE_AFTER <= age < STALE_AFTER + WIDENED_AFTER


@dataclass(frozen=True, slots=True)
class Moment:
    """An expiry at a moment."""

    live: int
    """Sixths of the final price that still move."""
    ratio: int
    """Forward in parts of the index, 9 decimals."""
    sum: int
    seconds: int
    root_time: int
    """Root of the years that are left, 18 decimals."""
    shift: int
    """Of volatilities, bps."""
    slice: Slice | None

    def forward(self, price: int) -> int:
        return (self.sum + self.live * self._carried(price)) // SAMPLES

    def shocked(self, price: int, left: int) -> int:
        """The forward where `left` of `WHOLE` is left of the price."""
        moving = self.live * self._carried(price) * left
        return (self.sum * WHOLE + moving) // (SAMPLES * WHOLE)

    def move(self, price: int, forward: int, left: int, whole: int) -> Move:
        """What `forward` is where `left / whole` is left of the price, and the logarithm of its
        move."""
        if self.live == SAMPLES:
            return Move(forward, _log_of_ratio(left, whole))
        return Move(forward, _log_of_ratio(forward, max(1, self.forward(price))))

    def deviation(self, volatility: int) -> int:
        """Standard deviation of the logarithm of the final price, 18 decimals."""
        return volatility * self.root_time * self.live // (SAMPLES * WAD)

    def volatility(self, log: int) -> int:
        """Of a strike at `log`, the logarithm of forward over strike."""
        if self.slice is None:
            return 0
        kappa = max(-FARTHEST, min(FARTHEST, -log))
        clipped = min(MOST_VARIANCE, max(LEAST_VARIANCE, variance(self.slice, kappa)))
        return isqrt(clipped * WAD)

    def _carried(self, price: int) -> int:
        return price * self.ratio // NANO


@dataclass(frozen=True, slots=True)
class Move:
    """A forward, and the logarithm of how far it is from that of now."""

    forward: int
    log: int


def moment_of(day: int, state: ExpiryState, terms: OptionTerms, now: int) -> Moment:
    expiry = expiry_of(day)
    seconds = max(0, expiry - now)
    ratio = NANO
    if state.slice is not None:
        ratio += (state.slice.forward - NANO) * seconds // (expiry - state.observed_at)
    return Moment(
        live=SAMPLES - state.samples,
        ratio=ratio,
        sum=state.sum,
        seconds=seconds,
        root_time=isqrt(seconds * 10**36 // YEAR),
        shift=shift_of(terms.vol_shift, seconds, now - state.observed_at),
        slice=state.slice,
    )


def shift_of(vol_shift: int, seconds: int, age: int) -> int:
    """How far volatilities move with `seconds` left and a slice of that age, bps (section 4)."""
    beyond = min(max(0, age - STALE_AFTER), WIDENED_AFTER)
    widening = BPS + BPS * beyond // WIDENED_AFTER
    damp = black76.icbrt(SHIFT_TIME * DAMP**3 // max(seconds, DAY))
    return ceil_div(vol_shift * damp * widening, DAMP * BPS)


def _log_of_ratio(numerator: int, denominator: int) -> int:
    return black76.ln_wad(max(1, numerator * WAD // denominator))


# A strike (section 4)


def shifted_up(volatility: int, shift: int) -> int:
    return min(MOST_VOLATILITY, volatility * (BPS + shift) // BPS)


def shifted_down(volatility: int, shift: int) -> int:
    least = min(volatility, LEAST_SHIFTED)
    return max(least, volatility * (BPS - min(shift, BPS)) // BPS)


@dataclass(frozen=True, slots=True)
class Strike:
    """A strike of an expiry at a moment: what its call is worth, and how that moves."""

    price: int
    log: int
    volatility: int
    deviations: tuple[int, int, int]
    mark: int
    """Of the call."""
    n1: int
    density: int
    up: int
    down: int
    """The call at the centre of the grid with its volatility up and down."""

    def call(self, move: Move, volatility: int) -> int:
        """The call after a move of the forward, with one of the three volatilities."""
        y = self.log + move.log
        return black76.call(move.forward, self.price, y, self.deviations[volatility])[0]

    def put_mark(self, forward: int) -> int:
        return self.mark - forward + self.price


def strike_at(moment: Moment, forward: int, price: int) -> Strike:
    log = _log_of_ratio(forward, price)
    volatility = moment.volatility(log)
    up, down = shifted_up(volatility, moment.shift), shifted_down(volatility, moment.shift)
    spreads = tuple(moment.deviation(v) for v in (volatility, up, down))
    deviation, wide, narrow = spreads
    mark, n1 = black76.call(forward, price, log, deviation)
    return Strike(
        price=price,
        log=log,
        volatility=volatility,
        deviations=(deviation, wide, narrow),
        mark=mark,
        n1=n1,
        density=density_at(log, deviation),
        up=black76.call(forward, price, log, wide)[0],
        down=black76.call(forward, price, log, narrow)[0],
    )


def density_at(log: int, deviation: int) -> int:
    """The normal density at `D1`, scaled by 2^41."""
    return black76.density(black76.d1(log, deviation)) if deviation >= NANO else 0


# The book of one underlying (section 5)


@dataclass(slots=True)
class _Line:
    """What is held of one strike."""

    calls: int = 0
    puts: int = 0

    @property
    def net(self) -> int:
        """Calls and puts of one strike bend alike."""
        return self.calls + self.puts


@dataclass(slots=True)
class _Dated:
    """What is held of one expiry."""

    futures: int = 0
    lines: dict[int, _Line] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Greeks:
    """Per underlying: units, units per dollar, dollars per 1.00 of volatility, dollars a day."""

    delta: int = 0
    gamma: int = 0
    vega: int = 0
    theta: int = 0

    def __add__(self, other: Greeks) -> Greeks:
        return Greeks(
            self.delta + other.delta,
            self.gamma + other.gamma,
            self.vega + other.vega,
            self.theta + other.theta,
        )


@dataclass(frozen=True)
class _Expiry:
    """One expiry of a book, priced."""

    moment: Moment
    held: _Dated
    price: int
    stable: int

    @cached_property
    def forward(self) -> int:
        return self.moment.forward(self.price)

    @cached_property
    def strikes(self) -> list[tuple[Strike, _Line]]:
        return [
            (strike_at(self.moment, self.forward, price), line)
            for price, line in self.held.lines.items()
        ]

    def states(self, reach: int) -> list[Move]:
        """The forward in each state of the grid."""
        lefts = [max(0, WHOLE + reach * z) for z in SHOCK_THIRDS]
        return [
            self.moment.move(self.price, self.moment.shocked(self.price, left), left, WHOLE)
            for left in lefts
        ]

    def at_stable(self) -> Move:
        forward = self.moment.forward(self.stable)
        return self.moment.move(self.price, forward, self.stable, self.price)

    def value(self, move: Move, volatility: int) -> int:
        """What the expiry's positions are worth after a move, 36 decimals."""
        total = self.held.futures * move.forward
        for strike, line in self.strikes:
            total += line.net * strike.call(move, volatility)
            total += line.puts * (strike.price - move.forward)
        return total

    @cached_property
    def scaled_delta(self) -> int:
        """In units of the forward, scaled by 2^41."""
        total = self.held.futures * ONE
        for strike, line in self.strikes:
            total += line.net * strike.n1 - ONE * line.puts
        return total

    def term_charge(self, terms: OptionTerms) -> int:
        """For forwards and volatilities of different expiries that part; nothing once fixed."""
        if self.moment.live == 0:
            return 0
        exposure = ceil_div(abs(self.scaled_delta) * self.forward, ONE)
        root_years = isqrt(self.moment.seconds * MICRO**2 // YEAR)
        swing = abs(sum(line.net * (strike.up - strike.down) for strike, line in self.strikes))
        return ceil_div(exposure * terms.term_forward * root_years, BPS * MICRO * WAD) + ceil_div(
            swing * terms.term_vol, 2 * BPS * WAD
        )

    def kink_charge(self, reach: int) -> int:
        """For what bends between two states of the grid; nothing once fixed."""
        return sum(self._kink(strike, line.net, reach) for strike, line in self.strikes)

    def _kink(self, strike: Strike, net: int, reach: int) -> int:
        dollars = ceil_div(abs(net) * self.price, WAD)
        weight = WAD
        if net > 0:
            spread = max(1, strike.deviations[0])
            weight = min(WAD, ceil_div(2 * reach * 10**32, 15 * spread))
        return ceil_div(dollars * reach * self.moment.live * weight, KINK_SCALE)

    def greeks(self) -> Greeks:
        live, ratio, root = self.moment.live, self.moment.ratio, self.moment.root_time
        delta = trunc_div(self.scaled_delta * live * ratio, SAMPLES * NANO * ONE)
        carry = (live * ratio) ** 2 * WAD // (SAMPLES**2 * NANO**2)
        gamma = vega = theta = 0
        for strike, line in self.strikes:
            dense = trunc_div(line.net * strike.density, ONE)
            spread = max(1, self.forward * strike.deviations[0] // WAD)
            gamma += trunc_div(trunc_div(dense * WAD, spread) * carry, WAD)
            dollars = trunc_div(line.net * self.forward, WAD) * strike.density
            vega += trunc_div(dollars * root * live, SAMPLES * ONE * WAD)
            if self.moment.seconds:
                decay = dollars * strike.volatility * live
                theta -= trunc_div(decay, 2 * SAMPLES * 365 * ONE * root)
        return Greeks(delta, gamma, vega, theta)


@dataclass(frozen=True, slots=True)
class Quote:
    """What one dated instrument is worth now."""

    mark: int
    forward: int
    is_stale: bool
    is_final: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """Everything a margin needs of the dated positions on one underlying."""

    values: tuple[tuple[int, ...], ...]
    """By state and volatility, 36 decimals."""
    stable_value: int
    term: int
    kink: int
    quotes: tuple[Quote, ...]
    """Of each position, in the order in which they were given."""
    greeks: Greeks
    is_late: bool
    is_doubted: bool

    @property
    def value(self) -> int:
        return self.values[CENTRE][0]

    def losses(self, exposure: int, reach: int) -> list[tuple[int, ...]]:
        """`U(z, i)`: what is lost with the linear `exposure`, in 36 decimals times `WHOLE`."""
        return [
            tuple(WHOLE * (self.value - v) - exposure * max(-WHOLE, reach * z) for v in state)
            for z, state in zip(SHOCK_THIRDS, self.values, strict=True)
        ]


def appraise(
    positions: Sequence[tuple[Instrument, int]],
    price: int,
    stable: int,
    reach: int,
    terms: OptionTerms,
    states: Mapping[int, ExpiryState],
    now: int,
) -> Curve:
    """The dated positions (instrument, size) on one underlying, with what is stored of each day's
    expiry."""
    held: dict[int, _Dated] = {}
    for instrument, size in positions:
        _add(held.setdefault(instrument.day, _Dated()), instrument, size)
    moments = {day: moment_of(day, states[day], terms, now) for day in held}
    expiries = {day: _Expiry(moments[day], dated, price, stable) for day, dated in held.items()}
    return Curve(
        values=_values(list(expiries.values()), reach),
        stable_value=sum(e.value(e.at_stable(), 0) for e in expiries.values()),
        term=sum(e.term_charge(terms) for e in expiries.values()),
        kink=sum(e.kink_charge(reach) for e in expiries.values()),
        quotes=tuple(_quote(one, expiries[one.day], states[one.day], now) for one, _ in positions),
        greeks=sum((e.greeks() for e in expiries.values()), Greeks()),
        is_late=any(states[day].is_late(day, now) for day in held),
        is_doubted=any(states[day].is_doubted(now) for day in held),
    )


def quote(
    instrument: Instrument, price: int, terms: OptionTerms, state: ExpiryState, now: int
) -> Quote:
    """What one dated instrument is worth, held or not."""
    held = _Dated()
    _add(held, instrument, 0)
    moment = moment_of(instrument.day, state, terms, now)
    return _quote(instrument, _Expiry(moment, held, price, price), state, now)


def _add(held: _Dated, instrument: Instrument, size: int) -> None:
    if instrument.kind == Kind.FUTURE:
        held.futures += size
        return
    line = held.lines.setdefault(instrument.strike, _Line())
    if instrument.put:
        line.puts += size
    else:
        line.calls += size


def _quote(instrument: Instrument, expiry: _Expiry, state: ExpiryState, now: int) -> Quote:
    mark = forward = expiry.forward
    if instrument.kind == Kind.OPTION:
        strike = next(s for s, _ in expiry.strikes if s.price == instrument.strike)
        mark = strike.put_mark(forward) if instrument.put else strike.mark
    return Quote(mark, forward, state.is_stale(instrument.day, now), state.is_final)


def _values(expiries: Sequence[_Expiry], reach: int) -> tuple[tuple[int, ...], ...]:
    moves = [expiry.states(reach) for expiry in expiries]
    return tuple(
        tuple(
            sum(e.value(m[place], i) for e, m in zip(expiries, moves, strict=True))
            for i in range(VOLATILITIES)
        )
        for place in range(len(SHOCK_THIRDS))
    )


# Reading the grid (section 5)


def worst(losses: Sequence[tuple[int, ...]]) -> list[int]:
    """`U(z)`: at each state the worst of the volatilities."""
    return [max(state) for state in losses]


def weighted(losses: Sequence[int]) -> list[int]:
    return [weight * loss for weight, loss in zip(WEIGHTS, losses, strict=True)]


def initial_losses(losses: Sequence[int], factor: int, initial_reach: int, reach: int) -> list[int]:
    """`U_I(z)` of a curved underlying: read off the grid of maintenance at the larger moves."""
    stretch = min(factor * initial_reach, MOST_STRETCH * reach)
    return [at_up(losses, z * stretch, BPS * reach) for z in SHOCK_THIRDS]


def initial_linear(exposure: int, factor: int, initial_reach: int) -> list[int]:
    """`U_I(z)` of a linear underlying in a book that is not."""
    return [ceil_div(-exposure * z * factor * initial_reach, BPS) for z in SHOCK_THIRDS]


def at_band(losses: Sequence[int], band: int, reach: int) -> int:
    """What the worse end of a band costs, 36 decimals times BPS; `losses` at the volatility of
    the mark."""
    ends = (at_up(losses, 3 * band, reach), at_up(losses, -3 * band, reach))
    return ceil_div(max(0, *ends), 3)


def favour(losses: Sequence[int], band: int, reach: int) -> int:
    """What the better end of a band gives, in the same unit."""
    ends = (at_down(losses, 3 * band, reach), at_down(losses, -3 * band, reach))
    return max(0, *(-end for end in ends)) // 3


def at_stake_of_volatility(losses: Sequence[tuple[int, ...]]) -> int:
    """What rests on volatilities beyond trust, 36 decimals."""
    return ceil_div(max(max(state) - state[0] for state in losses), WHOLE)


def at_stake(losses: Sequence[int]) -> int:
    """What rests on a price beyond trust, 36 decimals."""
    return ceil_div(max(abs(loss) for loss in losses), WHOLE)


# The other charges (section 6)


def option_charge(size: int, mark: int, price: int, closing: int, concentration: int) -> int:
    """For closing one option position: a long one costs at most what it is worth."""
    dollars = ceil_div(abs(size) * price, WAD)
    charge = ceil_div(dollars * closing, BPS)
    charge += ceil_div(dollars * dollars * concentration, CONCENTRATION_SCALE)
    return min(charge, size * mark // WAD) if size > 0 else charge


# Listing (section 1)


def may_open(
    instrument: Instrument,
    price: int,
    terms: OptionTerms,
    state: ExpiryState,
    worth: Quote,
    now: int,
) -> bool:
    """Whether positions of an instrument may be added to, at an index price and what it is worth
    there."""
    left = instrument.expiry - now
    in_time = left > FIXING and left <= terms.horizon * DAY
    on_schedule = is_friday(instrument.day) or left <= terms.dailies * DAY
    if not in_time or not on_schedule or worth.is_stale or state.slice is None:
        return False
    if instrument.kind == Kind.FUTURE:
        return True
    judged = abs(_log_of_ratio(worth.forward, instrument.strike)) <= FARTHEST
    return judged and instrument.mantissa < 10**terms.digits and worth.mark * BPS >= price

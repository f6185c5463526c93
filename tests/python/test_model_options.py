"""Books of options and futures: docs/options.md sections 3 to 7, as properties of the twin."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import instruments, model, options
from plimsoll.risk.grid import BPS, SHOCK_THIRDS, WAD, at_down, at_up, ceil_div
from plimsoll.risk.instruments import Instrument, Kind, expiry_of
from plimsoll.risk.model import (
    ExpiryState,
    Inputs,
    Margin,
    Portfolio,
    Price,
    UnderlyingState,
    UnderlyingTerms,
    perpetual,
)
from plimsoll.risk.options import FIXING, SAMPLES, OptionTerms
from plimsoll.risk.svi import NANO, Slice
from tests.option_strategies import (
    EXPIRIES,
    FIRST_DAY,
    box,
    calm,
    conversion,
    long_options,
    lots,
    merged,
    option_books,
    option_worlds,
    strike_near,
    strike_pairs,
    strikes,
    vertical,
)

DAYS = st.sampled_from([FIRST_DAY + days for days in EXPIRIES])
EXPIRY = expiry_of(FIRST_DAY)
ETHER = 2_000 * WAD


def world(
    price: int = ETHER,
    *,
    now: int = EXPIRY - 30 * 86_400,
    forward: int = NANO,
    fixed: ExpiryState | None = None,
    closing: int = 0,
) -> Inputs:
    """One underlying with range 10 % and a flat volatility of 60 %."""
    terms = UnderlyingTerms(range=1_000, window=100)
    flat = Slice(FIRST_DAY, forward, 36 * NANO // 100, 0, 0, 0, 10**6)
    state = UnderlyingState(
        Price(price, price, 0), terms, terms, options=OptionTerms(1_500, 0, 0, closing)
    )
    return Inputs(
        {1: state},
        {},
        expiries={(1, FIRST_DAY): fixed or ExpiryState(flat, min(now, EXPIRY - 1))},
        now=now,
    )


def scans(portfolio: Portfolio, inputs: Inputs) -> tuple[int, int]:
    parts = model.breakdown(portfolio, inputs)
    return parts.initial.scan, parts.maintenance.scan


def totals(portfolio: Portfolio, inputs: Inputs) -> tuple[int, int]:
    """The sums of the parts, before anything is capped."""
    parts = model.breakdown(portfolio, inputs)
    return parts.initial.total, parts.maintenance.total


def joined(one: Portfolio, other: Portfolio) -> Portfolio:
    legs = [(p.instrument, p.size) for p in (*one.positions, *other.positions)]
    return Portfolio(0, (), merged(legs))


def scaled(portfolio: Portfolio, numerator: int, denominator: int = 1) -> Portfolio:
    legs = [(p.instrument, p.size * numerator // denominator) for p in portfolio.positions]
    return Portfolio(0, (), merged(legs))


def book(*legs: tuple[int, int]) -> Portfolio:
    return Portfolio(0, (), merged(legs))


# By hand


def test_a_long_call_by_hand() -> None:
    """At the money, 30 days, 60 %: worth 0.0686 of the price, which is all that it can lose."""
    call = instruments.option(1, FIRST_DAY, ETHER, put=False)
    parts = model.breakdown(book((call, WAD)), world())
    result = parts.margin
    assert result.equity == pytest.approx(0.06857 * ETHER, rel=1e-3)
    assert parts.maintenance.scan < result.equity
    assert result.initial_margin <= result.equity
    row = parts.underlyings[0]
    assert row.delta == pytest.approx(0.534 * WAD, rel=1e-2)
    assert row.gamma == pytest.approx(0.00115 * WAD, rel=1e-2)
    assert row.vega == pytest.approx(227.9 * WAD, rel=1e-2)
    assert row.theta == pytest.approx(-2.28 * WAD, rel=1e-2)


def test_a_future_is_scanned_like_a_perpetual() -> None:
    """At a forward that is the index they cancel but for the rounding of a forward in a state."""
    future = instruments.future(1, FIRST_DAY)
    assert scans(book((future, WAD)), world()) == (250 * WAD, 200 * WAD)
    assert scans(book((future, WAD), (perpetual(1), -WAD)), world()) == (1, 1)


# Coherence


@given(option_worlds(), st.data())
def test_netting_never_costs(inputs: Inputs, data: st.DataObject) -> None:
    """Sub-additive but for a wei of each rounding: the scan, the term charge and the band."""
    one, other = data.draw(option_books(inputs)), data.draw(option_books(inputs))
    whole = model.breakdown(joined(one, other), inputs)
    parts = [model.breakdown(each, inputs) for each in (one, other)]
    expiries = len(inputs.expiries)
    for level in ("initial", "maintenance"):
        total = getattr(whole, level)
        split = [getattr(each, level) for each in parts]
        assert total.scan <= sum(each.scan for each in split) + 1
        assert total.band <= sum(each.band for each in split) + 1
        assert total.term <= sum(each.term for each in split) + 2 * expiries


@given(option_worlds(), st.data(), st.integers(2, 1_000))
def test_scan_scales_linearly(inputs: Inputs, data: st.DataObject, factor: int) -> None:
    one = data.draw(option_books(inputs))
    for many, single in zip(scans(scaled(one, factor), inputs), scans(one, inputs), strict=True):
        assert factor * (single - 1) <= many <= factor * single


@given(option_worlds(extreme=True), st.data())
def test_scan_is_monotone_in_windows(inputs: Inputs, data: st.DataObject) -> None:
    one = data.draw(option_books(inputs))
    wider = {
        u: replace(
            s,
            initial=replace(s.initial, window=data.draw(st.integers(s.initial.window, 1_000))),
            maintenance=replace(
                s.maintenance, window=data.draw(st.integers(s.maintenance.window, 1_000))
            ),
        )
        for u, s in inputs.underlyings.items()
    }
    before, after = scans(one, inputs), scans(one, replace(inputs, underlyings=wider))
    assert all(b <= a for b, a in zip(before, after, strict=True))


@given(option_worlds(), st.data())
def test_an_opposite_position_never_raises_the_margin(inputs: Inputs, data: st.DataObject) -> None:
    """Whoever takes the opposite of a part of what he holds needs no more than before, but for a
    wei of each rounding."""
    one = data.draw(option_books(inputs))
    part = data.draw(st.integers(0, 99))
    before, after = totals(one, inputs), totals(scaled(one, part, 100), inputs)
    # A size is rounded as well: a wei of each unit, at most a strike or a price of it each.
    most = max((Instrument.decode(p.instrument).strike for p in one.positions), default=0)
    slack = 100 + 10 * len(one.positions) * (
        ceil_div(most + max(s.price.index for s in inputs.underlyings.values()), WAD)
    )
    assert all(a <= b + slack for b, a in zip(before, after, strict=True))
    assert model.margin(scaled(one, 0), inputs) == Margin(0, 0, 0, 0, 0, False)


@given(option_worlds(extreme=True), st.data())
def test_initial_is_never_below_maintenance(inputs: Inputs, data: st.DataObject) -> None:
    portfolio = data.draw(option_books(inputs, extreme=True))
    result = model.margin(portfolio, inputs)
    assert result.initial_margin >= result.maintenance_margin >= 0
    assert result.initial_equity <= result.equity <= result.maintenance_equity


@given(option_worlds(extreme=True), st.data())
def test_order_does_not_matter(inputs: Inputs, data: st.DataObject) -> None:
    portfolio = data.draw(option_books(inputs, extreme=True))
    shuffled = replace(portfolio, positions=tuple(data.draw(st.permutations(portfolio.positions))))
    assert model.margin(shuffled, inputs) == model.margin(portfolio, inputs)


@given(option_worlds(underlyings=1, extreme=True), st.data())
def test_nothing_outgrows_its_word(inputs: Inputs, data: st.DataObject) -> None:
    """The bounds of section 5, with which the contract needs no wider integers."""
    portfolio = data.draw(option_books(inputs, extreme=True))
    state = inputs.underlyings[1]
    dated = [
        (Instrument.decode(p.instrument), p.size)
        for p in portfolio.positions
        if model.is_dated(p.instrument)
    ]
    states = {day: one for (_, day), one in inputs.expiries.items()}
    reach = state.reach(model.Level.MAINTENANCE)
    terms = state.options or options.NO_TERMS
    price = state.price
    curve = options.appraise(dated, price.index, price.stable, reach, terms, states, inputs.now)
    assert all(abs(v) < 2**208 for values in curve.values for v in values)
    losses = options.worst(curve.losses(0, reach))
    assert all(abs(loss) < 2**225 for loss in losses)
    initial = options.initial_losses(losses, 40_000, 10_000, reach)
    assert all(abs(loss) < 2**231 for loss in initial)


# What people build


@given(option_worlds(), st.data())
def test_a_box_or_a_conversion_needs_its_closing_cost_alone(
    inputs: Inputs, data: st.DataObject
) -> None:
    price, day, size = inputs.underlyings[1].price.index, data.draw(DAYS), data.draw(lots())
    low, high = data.draw(strike_pairs(price))
    sign = data.draw(st.sampled_from([1, -1]))
    for legs in (box(1, day, low, high, sign * size), conversion(1, day, low, sign * size)):
        parts = model.breakdown(book(*legs), inputs)
        for level in (parts.initial, parts.maintenance):
            assert (level.scan, level.band, level.term) == (0, 0, 0)
        row = parts.underlyings[0]
        assert (row.delta, row.gamma, row.vega, row.theta) == (0, 0, 0, 0)


@given(option_worlds(underlyings=1), st.data())
def test_a_covered_call_needs_no_more_than_its_parts(inputs: Inputs, data: st.DataObject) -> None:
    size, day = data.draw(lots()), data.draw(DAYS)
    strike = data.draw(strikes(inputs.underlyings[1].price.index))
    held = book((perpetual(1), size))
    written = book((instruments.option(1, day, strike, put=False), -size))
    whole, one, other = (totals(b, inputs) for b in (joined(held, written), held, written))
    assert all(w <= a + b + 5 for w, a, b in zip(whole, one, other, strict=True))


@given(option_worlds(extreme=True), st.data())
def test_what_is_paid_for_is_never_liquidated(inputs: Inputs, data: st.DataObject) -> None:
    """A long option needs at most its premium, also initial; whoever holds nothing else stays
    healthy, to the wei."""
    bought = long_options(data.draw(option_books(inputs, extreme=True)))
    result = model.margin(bought, inputs)
    assert result.maintenance_margin <= result.initial_margin <= result.equity
    assert result.is_healthy


@given(option_worlds(underlyings=1), st.data())
def test_a_vertical_needs_at_most_its_width(inputs: Inputs, data: st.DataObject) -> None:
    """At one volatility for both strikes; the charges come on top."""
    quiet = calm(inputs)
    flat = {key: replace(one, slice=replace(one.slice, b=0)) for key, one in quiet.expiries.items()}
    quiet = replace(quiet, expiries=flat)
    price, day = quiet.underlyings[1].price.index, data.draw(DAYS)
    low, high = data.draw(strike_pairs(price))
    size, put = data.draw(lots()), data.draw(st.booleans())
    sign = data.draw(st.sampled_from([1, -1]))
    _, scan = scans(book(*vertical(1, day, low, high, sign * size, put=put)), quiet)
    # The table is exact to 10^-9 of the forward.
    slack = size * 4 * price // WAD // 10**9 + 2
    assert scan <= size * (high - low) // WAD + slack


@given(option_worlds(extreme=True), st.data())
def test_marks_keep_parity(inputs: Inputs, data: st.DataObject) -> None:
    u, day = data.draw(st.sampled_from(sorted(inputs.expiries)))
    strike = data.draw(strikes(inputs.underlyings[u].price.index))
    call, put, future = (
        model.market(i, inputs).mark
        for i in (
            instruments.option(u, day, strike, put=False),
            instruments.option(u, day, strike, put=True),
            instruments.future(u, day),
        )
    )
    assert call - put == future - strike
    assert call >= 0
    assert put >= 0


# Settlement


STRADDLE = (
    (instruments.option(1, FIRST_DAY, ETHER, put=False), -10 * WAD),
    (instruments.option(1, FIRST_DAY, ETHER, put=True), -10 * WAD),
)
COVERED = (
    (perpetual(1), 10 * WAD),
    (instruments.option(1, FIRST_DAY, strike_near(ETHER, 10_100), put=False), -10 * WAD),
)
FUTURES = ((instruments.future(1, FIRST_DAY), 10 * WAD),)


@pytest.mark.parametrize("legs", [STRADDLE, COVERED, FUTURES])
@pytest.mark.parametrize("price", [ETHER, ETHER * 101 // 100])
def test_the_last_half_hour_has_no_jump(legs: tuple[tuple[int, int], ...], price: int) -> None:
    """At a constant price, each sample recorded when it is due: a minute moves equity by little,
    and a sample takes a sixth of what still moves out of the margin."""
    seen: list[Margin] = []
    slice_ = Slice(FIRST_DAY, NANO * 101 // 100, 36 * NANO // 100, 0, 0, 0, 10**6)
    start = EXPIRY - FIXING - 60
    for now in range(start, EXPIRY + 61, 60):
        count = max(0, min(SAMPLES, (now - EXPIRY + FIXING) // 300 + 1))
        state = ExpiryState(slice_, EXPIRY - 7_200, count, count * price)
        seen.append(model.margin(book(*legs), world(price, now=now, fixed=state)))
    notional = 10 * price
    for before, after in pairwise(seen):
        assert abs(after.equity - before.equity) <= notional * 3 // 1_000
        for margin in ("maintenance_margin", "initial_margin"):
            change = abs(getattr(after, margin) - getattr(before, margin))
            assert change <= notional * 26 // 1_000
    payoff = sum(
        size * _payoff(instrument, price) // WAD
        for instrument, size in legs
        if model.is_dated(instrument)
    )
    linear = sum(size * price // WAD for i, size in legs if not model.is_dated(i))
    assert seen[-1].equity == payoff + linear


def _payoff(id_: int, final: int) -> int:
    one = Instrument.decode(id_)
    if one.kind == Kind.FUTURE:
        return final
    return max(0, one.strike - final if one.put else final - one.strike)


@pytest.mark.parametrize("wei", [-1, 0, 1])
def test_a_wei_decides_at_settlement(wei: int) -> None:
    """Nothing but the payoff counts once the price is final, and nothing is charged for it."""
    final = ETHER + wei
    state = ExpiryState(None, 0, SAMPLES, SAMPLES * final)
    inputs = world(3 * ETHER, now=EXPIRY - 300, fixed=state, closing=500)
    for put in (False, True):
        option = instruments.option(1, FIRST_DAY, ETHER, put=put)
        market = model.market(option, inputs)
        worth = max(0, -wei if put else wei)
        assert (market.mark, market.is_final, market.closed) == (worth, True, True)
        for size in (7 * WAD, -7 * WAD):
            result = model.margin(book((option, size)), inputs)
            assert (result.equity, result.maintenance_margin) == (size // WAD * worth, 0)
            assert (result.initial_margin, result.doubtful) == (0, False)


def test_what_nothing_is_known_of_is_no_instrument() -> None:
    unknown = instruments.option(1, FIRST_DAY + 1, ETHER, put=False)
    for id_ in (unknown, instruments.future(2, FIRST_DAY), unknown & ~(3 << 46), 1 << 48):
        with pytest.raises(model.UnknownInstrumentError):
            model.market(id_, world())


def test_what_may_be_opened() -> None:
    """Fridays within the horizon and near dailies, round strikes where the surface was judged, at
    a price, until half an hour before the expiry."""
    terms = OptionTerms(1_500, digits=2, horizon=60, dailies=2)

    def closed(strike: int, day: int = FIRST_DAY, *, now: int) -> bool:
        inputs = world(now=now)
        state = replace(inputs.underlyings[1], options=terms)
        slice_ = ExpiryState(Slice(day, NANO, 36 * NANO // 100, 0, 0, 0, 10**6), inputs.now)
        inputs = replace(inputs, underlyings={1: state}, expiries={(1, day): slice_})
        return model.market(instruments.option(1, day, strike, put=False), inputs).closed

    assert instruments.is_friday(FIRST_DAY)
    assert not closed(ETHER, now=EXPIRY - 60 * 86_400)
    assert closed(ETHER, now=EXPIRY - 60 * 86_400 - 1)
    assert not closed(ETHER, FIRST_DAY + 1, now=EXPIRY - 86_400)
    assert closed(ETHER, FIRST_DAY + 1, now=EXPIRY - 86_400 - 1)
    near = EXPIRY - 30 * 86_400
    assert not closed(ETHER * 11 // 10, now=near)
    assert closed(ETHER * 111 // 100, now=near)
    assert closed(ETHER * 2, now=near)
    assert not closed(ETHER // 4, now=near)
    assert closed(ETHER // 5, now=near)
    assert not closed(ETHER, now=EXPIRY - FIXING - 1)
    assert closed(ETHER, now=EXPIRY - FIXING)


@given(option_worlds(), st.data())
def test_the_grid_is_read_between_its_states(inputs: Inputs, data: st.DataObject) -> None:
    """At a state what stands there, between two of them something between, up at least down."""
    values = data.draw(st.lists(st.integers(-(2**80), 2**80), min_size=11, max_size=11))
    for z, value in zip(SHOCK_THIRDS, values, strict=True):
        assert at_up(values, z * BPS, BPS) == value == at_down(values, z, 1)
    where = data.draw(st.integers(-9 * BPS, 9 * BPS))
    up, down = at_up(values, where, BPS), at_down(values, where, BPS)
    right = next(i for i, z in enumerate(SHOCK_THIRDS) if where <= z * BPS)
    near = values[max(0, right - 1) : right + 1]
    assert 0 <= up - down <= 1
    assert min(near) <= down
    assert up <= max(near)

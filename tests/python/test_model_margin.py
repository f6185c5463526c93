"""Equity, margins and the rules built on them: docs/margin.md sections 2 and 4 to 6, as properties
of the twin.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model
from plimsoll.risk.model import (
    BPS,
    MAX_SIZE,
    WAD,
    AssetState,
    AssetTerms,
    Fill,
    Holding,
    Inputs,
    Margin,
    Portfolio,
    Position,
    Price,
    PriceStatus,
    UnderlyingState,
    UnderlyingTerms,
)
from tests.strategies import Case, Regime, amounts, cases, cash_for, prices, sizes, small_cases


def world(
    price: int = 2_000 * WAD,
    *,
    stable: int | None = None,
    band: int = 0,
    status: PriceStatus = PriceStatus.OK,
    terms: UnderlyingTerms | None = None,
    asset: AssetTerms | None = None,
) -> Inputs:
    """One underlying with range 10 % and one plain 18-decimal token on it."""
    limits = terms or UnderlyingTerms(range=1_000, window=100)
    token = asset or AssetTerms(tier1=2**32 - 1, tier2=2**32 - 1)
    return Inputs(
        underlyings={
            1: UnderlyingState(Price(price, stable or price, band, status), limits, limits)
        },
        assets={1: AssetState(1, 18, token, token)},
    )


def test_empty_portfolio_needs_nothing() -> None:
    assert model.margin(Portfolio(), world()) == Margin(0, 0, 0, 0, 0, False)


def test_unhedged_collateral_by_hand() -> None:
    """One ether at $2,000 against $1,000 of debt, range 10 %, k = 1.25."""
    result = model.margin(Portfolio(-1_000 * WAD, (Holding(1, WAD),)), world())
    assert result == Margin(
        equity=1_000 * WAD,
        initial_equity=1_000 * WAD,
        maintenance_equity=1_000 * WAD,
        initial_margin=250 * WAD,
        maintenance_margin=200 * WAD,
        doubtful=False,
    )


def test_hedged_collateral_by_hand() -> None:
    """The haircut is the loss at the scan range, and a hedge removes it; closing cost and tiers
    stay.
    """
    inputs = world(
        terms=UnderlyingTerms(range=1_000, window=100, closing=10),
        asset=AssetTerms(tier1=1_000, tier2=1_500, haircut1=100, haircut2=200, haircut3=400),
    )
    short = Position(model.perpetual(1), -WAD, 2_000 * WAD)
    result = model.margin(Portfolio(0, (Holding(1, WAD),), (short,)), inputs)
    assert result.equity == 2_000 * WAD
    # 1 % of 1,000, 2 % of 500, 4 % of 500; 0.1 % closing cost of 2,000.
    assert result.maintenance_margin == (10 + 10 + 20 + 2) * WAD
    assert result.initial_margin == result.maintenance_margin * 5 // 4


def test_pumped_price_is_not_borrowed_against() -> None:
    """[hole] initial equity counts the net book at the lower of index and stable price."""
    inputs = world(4_000 * WAD, stable=2_000 * WAD)
    held = Portfolio(0, (Holding(1, WAD),))
    assert model.margin(held, inputs).initial_equity == 2_000 * WAD
    hedge = Position(model.perpetual(1), -WAD, 4_000 * WAD)
    hedged = replace(held, positions=(hedge,))
    assert model.margin(hedged, inputs).initial_equity == 4_000 * WAD


def test_broken_feed_does_not_liquidate_the_healthy() -> None:
    """Maintenance takes the favourable end of a doubtful price's band, initial the unfavourable
    one.
    """
    doubtful = world(band=1_000, status=PriceStatus.STALE)
    held = Portfolio(-1_750 * WAD, (Holding(1, WAD),))
    result = model.margin(held, doubtful)
    assert result.doubtful
    assert result.maintenance_equity == result.equity + 200 * WAD
    assert result.maintenance_margin == 200 * WAD
    assert result.initial_margin == (250 + 200) * WAD


@given(cases())
def test_regimes_land_where_they_say(case: Case) -> None:
    result = model.margin(case.portfolio, case.inputs)
    match case.regime:
        case Regime.PLENTY:
            assert result.is_free
        case Regime.EXACTLY_FREE:
            assert result.initial_equity == result.initial_margin
        case Regime.ONE_WEI_SHORT:
            assert result.initial_equity == result.initial_margin - 1
        case Regime.BETWEEN:
            assert result.is_healthy or not result.is_free
        case Regime.EXACTLY_HEALTHY:
            assert result.maintenance_equity == result.maintenance_margin
        case Regime.UNHEALTHY:
            assert result.maintenance_equity == result.maintenance_margin - 1
        case Regime.THIN:
            assert result.equity == 0
        case Regime.INSOLVENT:
            assert result.equity < 0


@given(cases())
def test_initial_is_above_maintenance_above_zero(case: Case) -> None:
    result = model.margin(case.portfolio, case.inputs)
    assert 0 <= result.maintenance_margin <= result.initial_margin
    assert result.initial_margin * BPS >= case.inputs.initial_factor * result.maintenance_margin
    assert result.initial_equity <= result.equity <= result.maintenance_equity


@given(cases())
def test_parts_add_up(case: Case) -> None:
    parts = model.breakdown(case.portfolio, case.inputs)
    assert parts.margin.maintenance_margin == parts.maintenance.total
    assert parts.margin.initial_margin >= parts.initial.total
    assert len(parts.underlyings) == len({row.underlying for row in parts.underlyings})


@given(cases())
def test_worst_cases_add_up_to_the_scan(case: Case) -> None:
    """The rows of the breakdown are the worst joint scenario, each rounded against the account."""
    parts = model.breakdown(case.portfolio, case.inputs)
    total = -sum(row.worst_case for row in parts.underlyings)
    assert parts.maintenance.scan <= total <= parts.maintenance.scan + len(parts.underlyings)


@given(st.data(), cases())
def test_order_does_not_matter(data: st.DataObject, case: Case) -> None:
    shuffled = replace(
        case.portfolio, positions=tuple(data.draw(st.permutations(case.portfolio.positions)))
    )
    assert model.margin(shuffled, case.inputs) == model.margin(case.portfolio, case.inputs)


@given(cases())
def test_cash_moves_equities_and_nothing_else(case: Case) -> None:
    before = model.margin(case.portfolio, case.inputs)
    after = model.margin(replace(case.portfolio, cash=case.portfolio.cash + 1), case.inputs)
    assert after == replace(
        before,
        equity=before.equity + 1,
        initial_equity=before.initial_equity + 1,
        maintenance_equity=before.maintenance_equity + 1,
    )


@given(cases())
def test_quote_counts_as_cash(case: Case) -> None:
    """Settling a position's variation changes nobody's equity."""
    moved = replace(
        case.portfolio,
        cash=case.portfolio.cash + sum(p.quote for p in case.portfolio.positions),
        positions=tuple(replace(p, quote=0) for p in case.portfolio.positions),
    )
    assert model.margin(moved, case.inputs) == model.margin(case.portfolio, case.inputs)


def tightened(inputs: Inputs, **fields: int) -> Inputs:
    """The world with fields of every underlying's maintenance terms raised to at least `fields`."""
    underlyings = {
        u: replace(
            state,
            maintenance=replace(
                state.maintenance,
                **{name: max(v, getattr(state.maintenance, name)) for name, v in fields.items()},
            ),
        )
        for u, state in inputs.underlyings.items()
    }
    return replace(inputs, underlyings=underlyings)


@given(small_cases(), st.integers(100, 1_000), st.integers(0, 1_023), st.integers(0, 16_383))
def test_monotone_in_window_closing_and_concentration(
    case: Case, window: int, closing: int, concentration: int
) -> None:
    tighter = tightened(case.inputs, window=window, closing=closing, concentration=concentration)
    before = model.margin(case.portfolio, case.inputs)
    after = model.margin(case.portfolio, tighter)
    assert after.maintenance_margin >= before.maintenance_margin
    assert after.initial_margin >= before.initial_margin


@given(small_cases(), st.integers(0, BPS - 1), st.integers(0, BPS - 1))
def test_monotone_in_haircuts_tiers_basis_and_crowd(case: Case, add: int, crowd: int) -> None:
    def tighter(terms: AssetTerms) -> AssetTerms:
        return AssetTerms(
            tier1=terms.tier1 // 2,
            tier2=terms.tier2 // 2,
            haircut1=min(terms.haircut1 + add, BPS - 1),
            haircut2=min(terms.haircut2 + add, BPS - 1),
            haircut3=min(terms.haircut3 + add, BPS - 1),
            basis=terms.basis + add,
        )

    assets = {
        c: replace(
            a,
            initial=tighter(a.initial),
            maintenance=tighter(a.maintenance),
            crowd=max(a.crowd, crowd),
        )
        for c, a in case.inputs.assets.items()
    }
    before = model.margin(case.portfolio, case.inputs)
    after = model.margin(case.portfolio, replace(case.inputs, assets=assets))
    assert after.maintenance_margin >= before.maintenance_margin
    assert after.initial_margin >= before.initial_margin


@given(small_cases())
def test_strangers_deposits_never_touch_maintenance(case: Case) -> None:
    """Crowding is a charge of initial margin only."""
    crowded = {c: replace(a, crowd=BPS - 1) for c, a in case.inputs.assets.items()}
    before = model.margin(case.portfolio, case.inputs)
    after = model.margin(case.portfolio, replace(case.inputs, assets=crowded))
    assert after.maintenance_margin == before.maintenance_margin
    assert after.maintenance_equity == before.maintenance_equity


@given(small_cases())
def test_doubtful_prices_never_make_an_account_unhealthy(case: Case) -> None:
    """What a feed's failure changes at maintenance is in the account's favour."""
    good = {
        u: replace(s, price=replace(s.price, status=PriceStatus.OK))
        for u, s in case.inputs.underlyings.items()
    }
    doubtful = {
        u: replace(s, price=replace(s.price, status=PriceStatus.STALE)) for u, s in good.items()
    }
    before = model.margin(case.portfolio, replace(case.inputs, underlyings=good))
    after = model.margin(case.portfolio, replace(case.inputs, underlyings=doubtful))
    assert (
        after.maintenance_equity - after.maintenance_margin
        >= before.maintenance_equity - before.maintenance_margin
    )


@given(small_cases(), st.data())
def test_splitting_a_crowded_holding_gains_at_most_rounding(
    case: Case, data: st.DataObject
) -> None:
    """Where the system's bracket binds the charge is linear, so sub-accounts gain nothing."""
    if not case.inputs.assets:
        return
    c, asset = next(iter(case.inputs.assets.items()))
    top = replace(asset, crowd=asset.initial.haircut3)
    inputs = replace(case.inputs, assets={c: top})
    amount = data.draw(amounts(top))
    part = data.draw(st.integers(0, amount))
    charges = [
        model.breakdown(Portfolio(0, (Holding(c, a),)), inputs).initial.collateral_charge
        for a in (amount, part, amount - part)
        if a
    ]
    # Each holding rounds its units down and its value up: a unit's worth of charge at most.
    slack = 2 + 2 * model.ceil_div(inputs.underlyings[top.underlying].price.index, WAD)
    assert sum(charges[1:]) >= charges[0] - slack


@given(prices(), st.integers(1, MAX_SIZE))
def test_exact_hedge_pays_only_liquidity_charges(price: int, size: int) -> None:
    inputs = world(price, stable=1, band=500)
    hedged = Portfolio(0, (Holding(1, size),), (Position(model.perpetual(1), -size, 0),))
    parts = model.breakdown(hedged, inputs)
    assert parts.maintenance.scan == parts.maintenance.band == 0
    assert parts.initial.scan == parts.initial.band == 0
    assert parts.margin.initial_equity == parts.margin.equity == 0


@given(small_cases(), st.data())
def test_explain_is_the_initial_margin_of_the_amount_alone(case: Case, data: st.DataObject) -> None:
    """Where a price of zero slack decides, what counts is what can be borrowed, to rounding."""
    if not case.inputs.assets:
        return
    c, asset = next(iter(case.inputs.assets.items()))
    amount = data.draw(amounts(asset))
    told = model.explain(asset, amount, case.inputs)
    parts = model.breakdown(Portfolio(0, (Holding(c, amount),)), case.inputs)
    assert told.units == model.units_of(asset, amount)
    assert told.value == parts.margin.equity
    assert told.scan_loss == parts.initial.scan
    charge = told.haircut + told.basis_charge
    assert parts.initial.collateral_charge <= charge <= parts.initial.collateral_charge + 1
    reserve = parts.initial.band + parts.margin.equity - parts.margin.initial_equity
    assert reserve - 1 <= told.price_reserve <= reserve + 1
    assert 0 <= told.counted <= told.value


@given(small_cases())
def test_ratio_rule_allows_the_solvent_to_stand_still(case: Case) -> None:
    result = model.margin(case.portfolio, case.inputs)
    assert model.ratio_holds(result, result) == (result.equity >= 0)


@given(small_cases(), st.integers(1, 2**100))
def test_ratio_rule_refuses_losing_equity(case: Case, loss: int) -> None:
    """[hole] below initial margin nobody sells himself the account's last equity."""
    before = model.margin(case.portfolio, case.inputs)
    after = model.margin(replace(case.portfolio, cash=case.portfolio.cash - loss), case.inputs)
    if before.initial_margin > 0:
        assert not model.ratio_holds(before, after)


def test_ratio_rule_allows_shrinking_in_proportion() -> None:
    """Half of everything has the same ratios to the wei, a wei less of cash no longer."""
    inputs = world(terms=UnderlyingTerms(range=1_000, window=100, closing=10))
    whole = Portfolio(
        1_900 * WAD, positions=(Position(model.perpetual(1), 10 * WAD, -20_000 * WAD),)
    )
    half = Portfolio(950 * WAD, positions=(Position(model.perpetual(1), 5 * WAD, -10_000 * WAD),))
    before = model.margin(whole, inputs)
    assert not before.is_free
    assert model.ratio_holds(before, model.margin(half, inputs))
    assert not model.ratio_holds(before, model.margin(replace(half, cash=half.cash - 1), inputs))


@given(small_cases(), st.integers(1, 2**100))
def test_ratio_rule_lets_the_insolvent_only_out_of_it(case: Case, given_: int) -> None:
    debt = replace(case.portfolio, cash=cash_for(Regime.INSOLVENT, case.portfolio, case.inputs))
    before = model.margin(debt, case.inputs)
    richer = model.margin(replace(debt, cash=debt.cash + given_), case.inputs)
    assert model.ratio_holds(before, richer) == (richer.equity >= 0)
    assert not model.ratio_holds(richer, before)


@pytest.mark.parametrize("equity", [0, 1, 10**12])
def test_ratio_rule_wants_new_risk_paid_in_full(equity: int) -> None:
    """[hole] zero over zero bounds nothing, and a small ratio is a large lever."""

    def at(equity_: int, required: int) -> Margin:
        return Margin(equity_, equity_, equity_, required, required, False)

    before = at(equity, 0 if equity == 0 else WAD)
    rise = 1_000 * WAD
    paid = at(equity + rise, before.maintenance_margin + rise)
    assert model.ratio_holds(before, paid)
    assert not model.ratio_holds(before, replace(paid, equity=paid.equity - 1))
    assert not model.ratio_holds(before, replace(paid, initial_equity=paid.initial_equity - 1))


@given(small_cases())
def test_largest_withdrawal_is_the_largest(case: Case) -> None:
    for holding in case.portfolio.collateral:
        most = model.largest_withdrawal(case.portfolio, holding.asset, case.inputs)
        assert 0 <= most <= holding.amount
        if most == 0:
            continue
        left = case.portfolio.with_amount(holding.asset, holding.amount - most)
        assert _passes(left, case.inputs)
        if most < holding.amount:
            less = case.portfolio.with_amount(holding.asset, holding.amount - most - 1)
            assert not _passes(less, case.inputs)


def _passes(portfolio: Portfolio, inputs: Inputs) -> bool:
    result = model.margin(portfolio, inputs)
    needs_no_price = not portfolio.positions and portfolio.cash >= 0
    return needs_no_price or (result.is_free and not result.doubtful)


@given(prices(), sizes(), prices(), st.integers(-(2**94), 2**94))
def test_a_fill_creates_and_destroys_nothing(
    mark: int, size: int, price: int, funding: int
) -> None:
    """Both sides of a trade without fees: sizes, quotes and cash are exactly opposite."""
    inputs = world(mark)
    state = replace(inputs.underlyings[1], funding_index=funding)
    inputs = replace(inputs, underlyings={1: state})
    perpetual = model.perpetual(1)
    taker = model.apply_fill(Portfolio(), Fill(perpetual, size, price), (0, 0), inputs)
    maker = model.apply_fill(
        Portfolio(), Fill(perpetual, -size, price, is_taker=False), (0, 0), inputs
    )
    assert taker.cash + maker.cash == 0
    assert taker.positions[0].size + maker.positions[0].size == 0
    assert taker.positions[0].quote + maker.positions[0].quote == 0


def test_a_fill_by_hand() -> None:
    """Buying 2 at $2,100 with the mark at $2,000 and a fee of 0.05 %."""
    before, after = model.preview_trade(
        Portfolio(1_000 * WAD),
        [Fill(model.perpetual(1), 2 * WAD, 2_100 * WAD)],
        {1: (500, 100)},
        world(),
    )
    assert before.equity == 1_000 * WAD
    assert after.equity == (1_000 - 2 * 100 - 2) * WAD
    assert after.maintenance_margin == 400 * WAD


def test_closing_a_position_leaves_no_quote() -> None:
    position = Position(model.perpetual(1), WAD, -1_500 * WAD)
    closed = model.apply_fill(
        Portfolio(0, (), (position,)),
        Fill(model.perpetual(1), -WAD, 2_000 * WAD),
        (0, 0),
        world(),
    )
    assert closed == Portfolio(500 * WAD)

"""Interest and conservation: docs/ledger.md, sections 1 and 5, as properties of the twin."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk.ledger import MIN_SUPPLY_INDEX, RAY, YEAR, Lending, Pool
from plimsoll.risk.ledger.pool import MAX_INDEX, compounded
from plimsoll.risk.model import BPS, WAD
from tests.strategies import lendings, pools


def surplus(pool: Pool, tokens: int) -> int:
    """What the vault has beyond what it owes, in dollars times RAY: exact."""
    balances = pool.supplied * pool.supply_index - pool.borrowed * pool.borrow_index
    return tokens * RAY - balances - (pool.net_quote + pool.capital) * RAY


@given(pools(), st.integers(0, 3 * YEAR))
def test_interest_is_conserved(pool: Pool, seconds: int) -> None:
    """What borrowers owe more is what suppliers and the reserves own more, to a wei."""
    before = surplus(pool, tokens=0)
    later = pool.accrued(pool.accrued_at + seconds)
    assert before <= surplus(later, tokens=0) < before + RAY


@given(pools(), st.integers(0, 3 * YEAR))
def test_suppliers_never_earn_more_than_borrowers_pay(pool: Pool, seconds: int) -> None:
    """In proportion: so a wei of supply beside lent reserves takes the index nowhere."""
    later = pool.accrued(pool.accrued_at + seconds)
    if later.borrow_index < MAX_INDEX:
        assert later.supply_index * pool.borrow_index <= later.borrow_index * pool.supply_index


@given(pools(), st.integers(0, 3 * YEAR))
def test_indices_only_rise_by_interest(pool: Pool, seconds: int) -> None:
    later = pool.accrued(pool.accrued_at + seconds)
    assert pool.supply_index <= later.supply_index <= MAX_INDEX
    assert pool.borrow_index <= later.borrow_index <= MAX_INDEX
    assert pool.capital <= later.capital
    assert (pool.supplied, pool.borrowed) == (later.supplied, later.borrowed)


@given(pools())
def test_nothing_is_due_twice_for_the_same_second(pool: Pool) -> None:
    later = pool.accrued(pool.accrued_at + 1_000)
    assert later.accrued(later.accrued_at) == later


@given(pools(), st.integers(1, YEAR))
def test_without_terms_or_debt_nothing_is_due(pool: Pool, seconds: int) -> None:
    now = pool.accrued_at + seconds
    for idle in (replace(pool, lending=Lending()), replace(pool, borrowed=0)):
        assert idle.accrued(now) == replace(idle, accrued_at=now)


@given(pools(), st.integers(YEAR, 50 * YEAR))
def test_a_year_is_the_most_that_is_booked_at_once(pool: Pool, seconds: int) -> None:
    year, longer = (pool.accrued(pool.accrued_at + wait) for wait in (YEAR, seconds))
    assert replace(longer, accrued_at=0) == replace(year, accrued_at=0)


@given(st.integers(1, 400), st.integers(1, 1_000))
def test_poking_changes_a_year_by_less_than_a_fiftieth(pokes: int, rate: int) -> None:
    flat = Lending(50, rate, rate, 10)
    pool = Pool(supplied=10**24, borrowed=9 * 10**23, lending=flat)
    alone, poked = pool.accrued(YEAR), pool
    for n in range(1, pokes + 1):
        poked = poked.accrued(YEAR * n // pokes)
    assert poked.borrow_index - alone.borrow_index + pokes >= 0
    assert (poked.borrow_index - alone.borrow_index) * 50 < alone.borrow_index


def test_the_series_is_that_of_the_exponential() -> None:
    assert compounded(1_000, YEAR) == WAD + WAD // 2 + WAD // 6
    assert compounded(0, YEAR) == 0


@given(lendings(), st.integers(0, BPS - 1))
def test_the_rate_rises_with_utilisation_through_its_two_points(lending: Lending, u: int) -> None:
    assert lending.rate(u) <= lending.rate(u + 1)
    assert lending.rate(0) == 0
    assert lending.rate(100 * lending.kink) == lending.rate_at_kink
    assert lending.rate(BPS) == lending.rate_at_full


@pytest.mark.parametrize(
    ("supplied", "borrowed", "quote", "expected"),
    [
        (0, 0, 0, BPS),
        (0, 5, 0, BPS),
        (10**20, 10**19, 0, 1_000),
        (10**20, 10**19, 10**19, 1_000),
        (10**20, 10**19, -(10**19), 2_000),
        (10**20, 10**19 + 1, 0, 1_001),
        (10**20, 10**21, 0, BPS),
    ],
)
def test_utilisation_counts_winnings_that_nobody_has_settled(
    supplied: int, borrowed: int, quote: int, expected: int
) -> None:
    pool = Pool(supplied=supplied, borrowed=borrowed, net_quote=quote)
    assert pool.utilisation == expected


@given(pools(), st.integers(0, 10**30))
def test_a_loss_is_borne_whole(pool: Pool, loss: int) -> None:
    """By reserves, suppliers down to a thousandth of par, and the recorded deficit."""
    after, borne = pool.after_loss(loss)
    assert borne.from_reserves + borne.from_suppliers + borne.to_deficit == loss
    assert after.supply_index >= min(pool.supply_index, MIN_SUPPLY_INDEX)
    assert pool.capital - after.capital == borne.from_reserves + borne.to_deficit
    cut = (pool.supply_index - after.supply_index) * pool.supplied
    assert 0 <= cut - borne.from_suppliers * RAY <= pool.supplied + RAY
    if borne.to_deficit and pool.supplied:
        assert after.supply_index == MIN_SUPPLY_INDEX


@given(pools(), st.integers(1, 10**30), st.integers(1, BPS))
def test_the_charge_keeps_what_the_others_expect_to_lose(
    pool: Pool, provisions: int, share: int
) -> None:
    """X / S is the same for who stays, to the wei that the charge is rounded up by."""
    pool = replace(pool, capital=abs(pool.capital))
    supplied, expected = pool.supplied_down, pool.expected_loss(provisions)
    if expected == 0 or expected == supplied * 999 // 1_000:
        return
    amount = (supplied - expected) * share // BPS
    charge = pool.charge(amount, provisions)
    left = replace(pool, capital=pool.capital + charge, supplied=0)
    remaining = supplied - amount - charge
    still = max(0, provisions - left.reserves)
    assert still * supplied <= expected * remaining + supplied
    assert still * supplied >= expected * remaining - 2 * supplied


@given(pools(), st.integers(0, 10**30), st.integers(0, 10**30))
def test_what_the_reserves_bear_charges_nobody(pool: Pool, amount: int, provisions: int) -> None:
    assert pool.charge(amount, min(provisions, pool.reserves)) == 0
    assert replace(pool, supplied=0).charge(amount, provisions) == 0

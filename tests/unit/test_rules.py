"""The twin of bounds and steps says what the registry says: the same words, the same field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import rules
from plimsoll.risk.params import Field, GlobalParams, Kind, UnderlyingParams
from plimsoll.risk.rules import RECORDS, RefusedWordError
from tests.evm import Reverted
from tests.unit.registry_house import FACTORS, FEES, RISK, TERMS, House

UNDERLYING = 1
STARTS = {
    Kind.GLOBAL: FACTORS,
    Kind.UNDERLYING: RISK,
    Kind.ASSET: TERMS,
    Kind.MARKET: FEES,
}
FIELD_NUMBERS = {
    kind: {field.name: number for number, field in enumerate(record.LAYOUT)}
    for kind, record in RECORDS.items()
}


@pytest.fixture(scope="module")
def open_house() -> House:
    return House()


@pytest.fixture(scope="module")
def sealed() -> House:
    return House().sealed_house()


def near_the_bounds(kind: Kind, field: Field) -> st.SearchStrategy[int]:
    low, high = rules.bounds_of(kind, field)
    ends = {end for near in (low, high) for end in (near - 1, near, near + 1)}
    within = st.integers(max(0, low), min(high, field.maximum))
    return st.one_of(within, st.sampled_from(sorted(e for e in ends if 0 <= e <= field.maximum)))


@st.composite
def words(draw: st.DrawFn) -> tuple[Kind, int]:
    """A word of any kind with fields, each anywhere near its bounds; sometimes with bits above."""
    kind = draw(st.sampled_from(sorted(RECORDS)))
    layout = RECORDS[kind].LAYOUT
    word = shift = 0
    for field in layout:
        word |= field.encode(draw(near_the_bounds(kind, field))) << shift
        shift += field.width
    return kind, word | draw(st.sampled_from([0, 0, 0, 5])) << shift


@given(words(), st.sampled_from([0, 1, 95, 96, 255, 256]))
def test_bounds(open_house: House, case: tuple[Kind, int], id_: int) -> None:
    kind, word = case
    refused = refusal_of(lambda: rules.require_valid(kind, id_, word))
    told = bound_told(open_house, "setUp", kind, id_, word)
    if refused is None:
        assert told is None
    elif refused.field == "id":
        assert told == (2**256 - 1, id_)
    else:
        assert told is not None
        assert told[0] == field_number(kind, refused.field)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_what_can_be_taken_away(open_house: House, kind: Kind) -> None:
    refused = refusal_of(lambda: rules.require_valid(kind, 0, 0))
    assert (refused is None) == (bound_told(open_house, "setUp", kind, 0, 0) is None)


@given(st.integers(0, 3_000), st.integers(90, 320), st.integers(0, 3_000), st.integers(90, 320))
def test_both_ends_of_a_ramp(a: int, b: int, c: int, d: int) -> None:
    """A ramp is refused exactly when the larger range with the smaller window is."""
    ends = UnderlyingParams(a, b), UnderlyingParams(c, d)
    worst = UnderlyingParams(max(a, c), min(b, d)).word
    if any(refusal_of(lambda e=e: rules.require_valid(Kind.UNDERLYING, 1, e.word)) for e in ends):  # type: ignore[misc]
        return
    ramp = refusal_of(lambda: rules.require_ramp(Kind.UNDERLYING, ends[0].word, ends[1].word))
    assert (ramp is None) == (
        refusal_of(lambda: rules.require_valid(Kind.UNDERLYING, 1, worst)) is None
    )


@st.composite
def changes(draw: st.DrawFn) -> tuple[Kind, int]:
    """A start with a few fields moved by about a step."""
    kind = draw(st.sampled_from(sorted(STARTS)))
    start: Any = STARTS[kind]
    values = {}
    for field in start.LAYOUT:
        value = int(getattr(start, field.name))
        low, high = rules.step_of(field, value)
        bounds = rules.bounds_of(kind, field)
        ends = [low - 1, low, high, high + 1, value, value, value]
        values[field.name] = max(bounds[0], min(bounds[1], draw(st.sampled_from(ends))))
    return kind, replace(start, **values).word


@given(changes())
def test_steps(sealed: House, change: tuple[Kind, int]) -> None:
    kind, new = change
    old = STARTS[kind].word
    if refusal_of(lambda: rules.require_valid(kind, UNDERLYING * (kind > 0), new)):
        return
    id_ = 0 if kind is Kind.GLOBAL else UNDERLYING
    refused = refusal_of(lambda: rules.require_steps(kind, old, new))
    too_large = refused is not None
    refused = refused or refusal_of(lambda: rules.require_ramp(kind, old, new))
    with sealed.undone():
        if refused is None:
            enforce(sealed, kind, id_, new)
            return
        with pytest.raises(Reverted) as told:
            enforce(sealed, kind, id_, new)
    assert told.value.name == ("StepTooLarge" if too_large else "ParameterOutOfBounds")
    assert told.value.values.field == field_number(kind, refused.field)


def enforce(house: House, kind: Kind, id_: int, word: int) -> None:
    house.engine.submit(kind, id_, word)
    if house.engine.call.parameter(kind, id_).readyAt:
        house.keep_fresh(2 * 24 * 3_600)
        house.engine.accept(kind, id_)


def test_a_refusal_names_field_and_bounds() -> None:
    with pytest.raises(RefusedWordError) as refused:
        rules.require_valid(Kind.GLOBAL, 0, GlobalParams(initial_factor=12_499).word)
    error = refused.value
    assert (error.field, error.value, error.low, error.high) == (
        "initial_factor",
        12_499,
        12_500,
        40_000,
    )


def field_number(kind: Kind, field: str) -> int:
    return FIELD_NUMBERS[kind].get(field, len(FIELD_NUMBERS[kind]))


def refusal_of(check: Any) -> RefusedWordError | None:
    try:
        check()
    except RefusedWordError as error:
        return error
    return None


def bound_told(house: House, function: str, kind: Kind, id_: int, word: int) -> Any:
    """Field and value that the registry finds out of bounds; none when it finds none."""
    try:
        getattr(house.engine.call, function)(kind, id_, word)
    except Reverted as error:
        if error.name == "ParameterOutOfBounds":
            return error.values.field, error.values.value
    return None

"""Bounds and steps of parameter words: every field at its ends and beyond, every rule against the
twin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import params
from plimsoll.risk.params import (
    RISK_KINDS,
    AssetParams,
    FundingParams,
    GlobalParams,
    Kind,
    LendingParams,
    MarketParams,
    OptionsParams,
    OutflowParams,
    RateKind,
    RateMarketParams,
    RateSourceParams,
    ReportsParams,
    SecondSourceParams,
    SequencerParams,
    SourceKind,
    SourceParams,
    TokenParams,
    UnderlyingParams,
    VolatilityParams,
    Word,
    encode_symbol,
)
from tests.evm import Contract, Evm, Reverted
from tests.strategies import asset_params, global_params, underlying_params

SOMEWHERE = 2**160 - 1

# A valid word of every kind with fields, in whose neighbourhood each field is moved to its ends.
VALID: dict[Kind, Word] = {
    Kind.GLOBAL: GlobalParams(),
    Kind.UNDERLYING: UnderlyingParams(range=1, window=1_000),
    Kind.ASSET: AssetParams(tier1=0, tier2=2**32 - 1, haircut1=0, haircut2=0, haircut3=9_999),
    Kind.MARKET: MarketParams(),
    Kind.SOURCE: SourceParams(SOMEWHERE),
    Kind.SECOND_SOURCE: SecondSourceParams(SOMEWHERE),
    Kind.TOKEN: TokenParams(SOMEWHERE, underlying=1, decimals=18),
    Kind.RATE_SOURCE: RateSourceParams(SOMEWHERE, RateKind.ERC4626),
    Kind.RATE_MARKET: RateMarketParams(SOMEWHERE),
    Kind.SEQUENCER: SequencerParams(SOMEWHERE),
    Kind.FUNDING: FundingParams(500),
    Kind.LENDING: LendingParams(),
    Kind.OUTFLOW: OutflowParams(limit=1_000),
    Kind.VOLATILITY: VolatilityParams(8_500),
    Kind.REPORTS: ReportsParams(SOMEWHERE),
    Kind.OPTIONS: OptionsParams(vol_shift=2_000, option_closing=5),
}

# The ends of each field that its width alone does not set.
SOURCE_ENDS = {
    "address": (1, None),
    "source": (SourceKind.CHAINLINK, SourceKind.PYTH),
    "max_age": (1, None),
    "floor": (0, 93),
    "ceiling": (1, 94),
}
ENDS: dict[Kind, dict[str, tuple[int | None, int | None]]] = {
    Kind.GLOBAL: {
        "initial_factor": (12_500, 40_000),
        "band_ceiling": (0, 9_999),
        "peg_bound": (1, 5_000),
    },
    Kind.UNDERLYING: {"range": (1, 2_500), "window": (100, 1_000)},
    Kind.ASSET: {"haircut1": (0, 9_999), "haircut2": (0, 9_999), "haircut3": (0, 9_999)},
    Kind.MARKET: {"taker_fee": (0, 10_000), "maker_fee": (0, 10_000), "stress_jump": (100, 10_000)},
    Kind.SOURCE: SOURCE_ENDS,
    Kind.SECOND_SOURCE: {**SOURCE_ENDS, "deviation": (1, None)},
    Kind.TOKEN: {"address": (1, None), "underlying": (1, 255), "decimals": (0, 27)},
    Kind.RATE_SOURCE: {
        "address": (1, None),
        "rate": (RateKind.ERC4626, RateKind.STETH_PER_TOKEN),
        "asset_decimals": (0, 27),
        "growth_cap": (0, 5_000),
    },
    Kind.RATE_MARKET: {"address": (1, None), "max_age": (1, None)},
    Kind.SEQUENCER: {"address": (1, None), "grace": (0, 86_400)},
    Kind.FUNDING: {"hourly_cap": (0, 10_000)},
    Kind.LENDING: {"kink": (1, 99), "reserve_share": (0, 50)},
    Kind.OUTFLOW: {},
    Kind.VOLATILITY: {"reference": (1, None)},
    Kind.REPORTS: {},
    Kind.OPTIONS: {
        "vol_shift": (100, 8_000),
        "term_vol": (0, 10_000),
        "digits": (1, 6),
        "horizon": (1, 1_095),
    },
}
LAST_ID = {
    Kind.GLOBAL: 0,
    Kind.SEQUENCER: 0,
    Kind.ASSET: 95,
    Kind.TOKEN: 95,
    Kind.RATE_SOURCE: 95,
    Kind.RATE_MARKET: 95,
    Kind.LENDING: 0,
    Kind.OUTFLOW: 95,
    Kind.REPORTS: 0,
}


@dataclass(frozen=True)
class FieldCase:
    kind: Kind
    number: int
    name: str
    low: int
    high: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.kind.name}.{self.name}"


def field_cases() -> list[FieldCase]:
    cases = []
    for kind, word in VALID.items():
        for number, field in enumerate(word.LAYOUT):
            low, high = ENDS[kind].get(field.name, (None, None))
            ends = (low or 0, field.maximum if high is None else high)
            cases.append(FieldCase(kind, number, field.name, *ends, field.maximum))
    return cases


@pytest.fixture(scope="module")
def rules() -> Contract:
    return Evm().deploy("Rules")


def with_field(case: FieldCase, value: int) -> int:
    """The valid word with one field changed, and those that must keep order with it."""
    word: Any = VALID[case.kind]
    order = {
        "tier1": {"tier2": 2**32 - 1},
        "tier2": {"tier1": 0},
        "haircut1": {"haircut2": 9_999, "haircut3": 9_999},
        "haircut2": {"haircut1": 0, "haircut3": 9_999},
        "haircut3": {"haircut1": 0, "haircut2": 0},
        "floor": {"ceiling": 94},
        "ceiling": {"floor": 0},
        "range": {"window": 1_000},
        "window": {"range": 1},
        "rate_at_kink": {"rate_at_full": 8_191},
    }
    return int(replace(word, **{**order.get(case.name, {}), case.name: value}).word)


@pytest.mark.parametrize("case", field_cases(), ids=str)
def test_every_field_passes_at_its_ends_and_fails_beyond(rules: Contract, case: FieldCase) -> None:
    for value in (case.low, case.high):
        rules.call.requireValid(case.kind, 0, with_field(case, value))
    for value in (case.low - 1, case.high + 1):
        if not 0 <= value <= case.maximum:
            continue
        code = VALID[case.kind].LAYOUT[case.number].encode(value)
        with rules.evm.reverts("ParameterOutOfBounds", case.kind, 0, case.number, code):
            rules.call.requireValid(case.kind, 0, with_field(case, value))


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.name)
def test_nothing_may_lie_above_the_last_field(rules: Contract, kind: Kind) -> None:
    width = sum(field.width for field in VALID[kind].LAYOUT)
    beyond = VALID[kind].word | (5 << width)
    with rules.evm.reverts("ParameterOutOfBounds", kind, 0, len(VALID[kind].LAYOUT), 5):
        rules.call.requireValid(kind, 0, beyond)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_ids_end_where_their_kind_does(rules: Contract, kind: Kind) -> None:
    words = {**{kind: word.word for kind, word in VALID.items()}, Kind.SYMBOL: encode_symbol("ETH")}
    word = words.get(kind, 1)
    last = LAST_ID.get(kind, 255)
    rules.call.requireValid(kind, last, word)
    with rules.evm.reverts("ParameterOutOfBounds", kind, last + 1, 2**256 - 1, last + 1):
        rules.call.requireValid(kind, last + 1, word)


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        (AssetParams(tier1=11, tier2=10), 1, 10),
        (AssetParams(tier1=10, tier2=10, haircut1=2, haircut2=1, haircut3=3), 3, 1),
        (AssetParams(tier1=10, tier2=10, haircut1=0, haircut2=2, haircut3=1), 4, 1),
    ],
    ids=["tiers", "first haircuts", "last haircuts"],
)
def test_tiers_and_haircuts_ascend(
    rules: Contract, word: AssetParams, field: int, value: int
) -> None:
    with rules.evm.reverts("ParameterOutOfBounds", Kind.ASSET, 7, field, value):
        rules.call.requireValid(Kind.ASSET, 7, word.word)


def test_the_rate_at_full_utilisation_is_not_below_that_at_the_kink(rules: Contract) -> None:
    rules.call.requireValid(Kind.LENDING, 0, LendingParams(80, 40, 40, 10).word)
    with rules.evm.reverts("ParameterOutOfBounds", Kind.LENDING, 0, 2, 39):
        rules.call.requireValid(Kind.LENDING, 0, LendingParams(80, 40, 39, 10).word)


@pytest.mark.parametrize("text", ["E", "stETH / USD", "~" * 31])
def test_a_symbol_is_printable_text(rules: Contract, text: str) -> None:
    word = encode_symbol(text)
    rules.call.requireValid(Kind.SYMBOL, 255, word)
    assert params.decode_symbol(word) == text


@pytest.mark.parametrize(
    ("raw", "place", "rest"),
    [
        (b"", 0, 0),
        (b"\0ETH", 0, int.from_bytes(b"\0ETH".ljust(32, b"\0"), "big")),
        (b"E\x1fH", 1, 0x1F),
        (b"ET\x7f", 2, 0x7F),
        (b"\xc3\xa9", 0, 0xC3),
        (b"E\0H", 1, int.from_bytes(b"\0\0H".ljust(32, b"\0"), "big")),
        (b"~" * 32, 31, ord("~")),
    ],
    ids=["nothing", "late", "control", "delete", "not ASCII", "a hole", "too long"],
)
def test_what_is_no_symbol(rules: Contract, raw: bytes, place: int, rest: int) -> None:
    word = int.from_bytes(raw.ljust(32, b"\0"), "big")
    with rules.evm.reverts("ParameterOutOfBounds", Kind.SYMBOL, 3, place, rest):
        rules.call.requireValid(Kind.SYMBOL, 3, word)
    if word:
        with pytest.raises(params.ParameterError):
            params.decode_symbol(word)


@pytest.mark.parametrize("text", ["", "é", "a\n", "x" * 32])
def test_the_twin_writes_no_such_symbol(text: str) -> None:
    with pytest.raises(params.ParameterError):
        encode_symbol(text)


def test_equal_tiers_and_haircuts_are_in_order(rules: Contract) -> None:
    rules.call.requireValid(Kind.ASSET, 7, AssetParams(5, 5, 3, 3, 3).word)


@pytest.mark.parametrize("kind", [Kind.SOURCE, Kind.SECOND_SOURCE], ids=lambda kind: kind.name)
def test_hard_bounds_leave_a_price_between_them(rules: Contract, kind: Kind) -> None:
    narrow: Any = VALID[kind]
    rules.call.requireValid(kind, 1, replace(narrow, floor=60, ceiling=61).word)
    with rules.evm.reverts("ParameterOutOfBounds", kind, 1, 4, 60):
        rules.call.requireValid(kind, 1, replace(narrow, floor=60, ceiling=60).word)


@pytest.mark.parametrize(
    "kind",
    [Kind.SECOND_SOURCE, Kind.SEQUENCER, Kind.REPORTS, Kind.OUTFLOW],
    ids=lambda kind: kind.name,
)
def test_what_can_be_taken_away_may_be_zero(rules: Contract, kind: Kind) -> None:
    rules.call.requireValid(kind, 0, 0)


def test_a_source_cannot_be_taken_away(rules: Contract) -> None:
    with rules.evm.reverts("ParameterOutOfBounds", Kind.SOURCE, 0, 0, 0):
        rules.call.requireValid(Kind.SOURCE, 0, 0)


@pytest.mark.parametrize(
    ("range_", "window"), [(1_200, 100), (1_333, 120), (2_400, 200), (2_500, 204), (2_500, 300)]
)
def test_the_tails_stay_dominated_up_to_the_scan_bound(
    rules: Contract, range_: int, window: int
) -> None:
    """`range * 4 * (300 - window) <= 300 * 3200`: on the bound a range passes, one more fails."""
    rules.call.requireValid(Kind.UNDERLYING, 3, UnderlyingParams(range_, window).word)
    if range_ < 2_500:
        beyond = UnderlyingParams(range_ + 1, window).word
        with rules.evm.reverts("ParameterOutOfBounds", Kind.UNDERLYING, 3, 0, range_ + 1):
            rules.call.requireValid(Kind.UNDERLYING, 3, beyond)


def test_both_ends_of_a_ramp_keep_the_tails_dominated(rules: Contract) -> None:
    """Each word passes alone; the larger range with the smaller window does not."""
    wide, narrow = UnderlyingParams(2_400, 200), UnderlyingParams(1_200, 100)
    for pair in ((wide, wide), (narrow, narrow)):
        rules.call.requireScanBound(3, pair[0].word, pair[1].word)
    for pair in ((wide, narrow), (narrow, wide)):
        with rules.evm.reverts("ParameterOutOfBounds", Kind.UNDERLYING, 3, 0, 2_400):
            rules.call.requireScanBound(3, pair[0].word, pair[1].word)


def market_params() -> st.SearchStrategy[MarketParams]:
    return st.builds(
        MarketParams,
        taker_fee=st.integers(0, 10_000),
        maker_fee=st.integers(0, 10_000),
        open_interest_cap=st.integers(0, 2**40 - 1),
        stress_jump=st.integers(100, 10_000),
        closed=st.booleans(),
    )


WORDS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.GLOBAL: global_params(),
    Kind.UNDERLYING: underlying_params(),
    Kind.ASSET: asset_params(),
    Kind.MARKET: market_params(),
    Kind.FUNDING: st.builds(FundingParams, hourly_cap=st.integers(0, 10_000)),
    Kind.OUTFLOW: st.builds(OutflowParams, limit=st.integers(0, 2**40 - 1)),
    Kind.OPTIONS: st.builds(
        OptionsParams,
        vol_shift=st.integers(100, 8_000),
        term_forward=st.integers(0, 4_095),
        term_vol=st.integers(0, 10_000),
        option_closing=st.integers(0, 1_023),
        digits=st.integers(1, 6),
        horizon=st.integers(1, 1_095),
        dailies=st.integers(0, 31),
    ),
}


@st.composite
def changes(draw: st.DrawFn) -> tuple[Kind, int, int]:
    """A kind, a word, and one that moved a few fields by about a step, or anywhere."""
    kind = draw(st.sampled_from(list(WORDS)))
    old = draw(WORDS[kind])
    moved = draw(WORDS[kind])
    layout = RISK_KINDS[kind].LAYOUT
    values = {}
    for field in layout:
        value = int(getattr(old, field.name))
        step = max(1, value // 5)
        near = st.integers(max(0, value - step - 1), min(field.maximum, 2 * value + 2))
        anywhere = st.just(int(getattr(moved, field.name)))
        values[field.name] = draw(st.one_of(st.just(value), st.just(value), near, anywhere))
    return kind, old.word, RISK_KINDS[kind](**values).word


@given(changes())
def test_tightening_and_steps_are_those_of_the_twin(
    rules: Contract, change: tuple[Kind, int, int]
) -> None:
    kind, old, new = change
    at_once = rules.call.isTightening(kind, old, new)
    assert at_once == params.only_tightens(kind, old, new)
    if params.is_one_step(kind, old, new):
        rules.call.requireSteps(kind, 1, old, new)
    else:
        with pytest.raises(Reverted) as refusal:
            rules.call.requireSteps(kind, 1, old, new)
        assert refusal.value.name == "StepTooLarge"


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in RISK_KINDS])
def test_wires_neither_tighten_nor_step(rules: Contract, kind: Kind) -> None:
    assert not rules.call.isTightening(kind, 1, 2)
    rules.call.requireSteps(kind, 1, 2, 1)


@pytest.mark.parametrize(
    "kind", [kind for kind in RISK_KINDS if kind != Kind.OUTFLOW], ids=lambda kind: kind.name
)
def test_a_first_word_waits_and_has_no_steps(rules: Contract, kind: Kind) -> None:
    assert not rules.call.isTightening(kind, 0, VALID[kind].word)
    rules.call.requireSteps(kind, 1, 0, VALID[kind].word)


def test_a_first_limit_on_what_leaves_takes_effect_at_once(rules: Contract) -> None:
    """No word means no limit, so every word tightens; taking the limit away again takes steps."""
    word = OutflowParams(limit=10**9).word
    assert rules.call.isTightening(Kind.OUTFLOW, 0, word)
    assert not rules.call.isTightening(Kind.OUTFLOW, word, 0)
    with rules.evm.reverts("StepTooLarge", Kind.OUTFLOW, 0, 0, word, 0):
        rules.call.requireSteps(Kind.OUTFLOW, 0, word, 0)


@pytest.mark.parametrize(
    ("before", "least"), [(1_000, 800), (10, 8), (9, 8), (1, 0)], ids=["1000", "10", "9", "1"]
)
def test_a_value_falls_by_a_fifth_or_by_one(rules: Contract, before: int, least: int) -> None:
    old = UnderlyingParams(100, 200, closing=before)
    passing = replace(old, closing=least)
    rules.call.requireSteps(Kind.UNDERLYING, 4, old.word, passing.word)
    if least:
        beyond = replace(old, closing=least - 1)
        with rules.evm.reverts("StepTooLarge", Kind.UNDERLYING, 4, 2, before, least - 1):
            rules.call.requireSteps(Kind.UNDERLYING, 4, old.word, beyond.word)


@pytest.mark.parametrize(
    ("before", "most"), [(2_000, 2_400), (10, 12), (9, 10), (0, 1)], ids=["2000", "10", "9", "0"]
)
def test_a_field_of_options_rises_by_a_fifth_or_by_one(
    rules: Contract, before: int, most: int
) -> None:
    old = OptionsParams(2_000, term_vol=before)
    rules.call.requireSteps(Kind.OPTIONS, 4, old.word, replace(old, term_vol=most).word)
    beyond = replace(old, term_vol=most + 1)
    with rules.evm.reverts("StepTooLarge", Kind.OPTIONS, 4, 2, before, most + 1):
        rules.call.requireSteps(Kind.OPTIONS, 4, old.word, beyond.word)


def test_what_may_be_opened_narrows_freely_and_widens_by_steps(rules: Contract) -> None:
    old = OptionsParams(2_000, digits=3, horizon=400, dailies=7)
    for free in (replace(old, horizon=1), replace(old, digits=1), replace(old, dailies=14)):
        rules.call.requireSteps(Kind.OPTIONS, 4, old.word, free.word)
    beyond = replace(old, horizon=801)
    codes = [OptionsParams.LAYOUT[5].encode(word.horizon) for word in (old, beyond)]
    with rules.evm.reverts("StepTooLarge", Kind.OPTIONS, 4, 5, *codes):
        rules.call.requireSteps(Kind.OPTIONS, 4, old.word, beyond.word)


@pytest.mark.parametrize(
    ("before", "most"),
    [(10**9, 2 * 10**9), (2**20, 2**21), (2**19 - 1, 2**20), (0, 2**20)],
    ids=["a billion", "the root", "below the root", "nothing"],
)
def test_a_limit_doubles_or_rises_to_the_root_of_its_range(
    rules: Contract, before: int, most: int
) -> None:
    old = AssetParams(10, 10, cap=before)
    rules.call.requireSteps(Kind.ASSET, 4, old.word, replace(old, cap=most).word)
    beyond = replace(old, cap=most + 1)
    codes = [word.LAYOUT[6].encode(word.cap) for word in (old, beyond)]
    with rules.evm.reverts("StepTooLarge", Kind.ASSET, 4, 6, *codes):
        rules.call.requireSteps(Kind.ASSET, 4, old.word, beyond.word)

"""Which words the registry takes: the bounds and steps of docs/margin.md section 8, field by field.

The twin of `contracts/ParameterModule.sol`. Values are those of the records, not the codes that a
word keeps of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.risk.params import (
    RISK_KINDS,
    AssetParams,
    Field,
    FundingParams,
    GlobalParams,
    Kind,
    LendingParams,
    MarketParams,
    OptionsParams,
    OutflowParams,
    ParameterError,
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
    codes,
    decode_symbol,
    encode_symbol,
    step_by,
)

MAX_GAUGE = 4
# Beyond it the tails of the grid could bind.
TAIL_BOUND = 300 * 3_200
PRICE_BITS = 94

RECORDS: dict[Kind, type[Word]] = {
    Kind.GLOBAL: GlobalParams,
    Kind.UNDERLYING: UnderlyingParams,
    Kind.ASSET: AssetParams,
    Kind.MARKET: MarketParams,
    Kind.FUNDING: FundingParams,
    Kind.SOURCE: SourceParams,
    Kind.SECOND_SOURCE: SecondSourceParams,
    Kind.TOKEN: TokenParams,
    Kind.RATE_SOURCE: RateSourceParams,
    Kind.RATE_MARKET: RateMarketParams,
    Kind.SEQUENCER: SequencerParams,
    Kind.LENDING: LendingParams,
    Kind.OUTFLOW: OutflowParams,
    Kind.VOLATILITY: VolatilityParams,
    Kind.REPORTS: ReportsParams,
    Kind.OPTIONS: OptionsParams,
}
"""Kinds whose words have fields; every other word is one value."""
REMOVABLE = (Kind.SECOND_SOURCE, Kind.SEQUENCER, Kind.REPORTS)
"""Kinds that can be taken away, by the word zero."""

ASSET_KINDS = (Kind.ASSET, Kind.TOKEN, Kind.RATE_SOURCE, Kind.RATE_MARKET, Kind.OUTFLOW)
"""Kinds whose id is an asset's."""

_LAST_ASSET, _LAST_UNDERLYING = 95, 255
_SINGLE_KINDS = (Kind.GLOBAL, Kind.SEQUENCER, Kind.LENDING, Kind.REPORTS)
_LAST_ID = {**dict.fromkeys(_SINGLE_KINDS, 0), **dict.fromkeys(ASSET_KINDS, _LAST_ASSET)}
_ANY = 2**256 - 1
_SOURCE = {
    "address": (1, _ANY),
    "source": (SourceKind.CHAINLINK, SourceKind.PYTH),
    "max_age": (1, _ANY),
    "floor": (0, 93),
    "ceiling": (1, 94),
}
# Least and greatest value of a field, where its width alone does not say it.
_BOUNDS: dict[Kind, dict[str, tuple[int, int]]] = {
    Kind.GLOBAL: {
        "initial_factor": (12_500, 40_000),
        "band_ceiling": (0, 9_999),
        "peg_bound": (1, 5_000),
    },
    Kind.UNDERLYING: {"range": (1, 2_500), "window": (100, 1_000)},
    Kind.ASSET: {"haircut1": (0, 9_999), "haircut2": (0, 9_999), "haircut3": (0, 9_999)},
    Kind.MARKET: {"taker_fee": (0, 10_000), "maker_fee": (0, 10_000), "stress_jump": (100, 10_000)},
    Kind.FUNDING: {"hourly_cap": (0, 10_000)},
    Kind.SOURCE: _SOURCE,
    Kind.SECOND_SOURCE: {**_SOURCE, "deviation": (1, _ANY)},
    Kind.TOKEN: {"address": (1, _ANY), "underlying": (1, 255), "decimals": (0, 27)},
    Kind.RATE_SOURCE: {
        "address": (1, _ANY),
        "rate": (RateKind.ERC4626, RateKind.STETH_PER_TOKEN),
        "asset_decimals": (0, 27),
        "growth_cap": (0, 5_000),
    },
    Kind.RATE_MARKET: {"address": (1, _ANY), "max_age": (1, _ANY)},
    Kind.SEQUENCER: {"address": (1, _ANY), "grace": (0, 86_400)},
    Kind.LENDING: {"kink": (1, 99), "reserve_share": (0, 50)},
    Kind.VOLATILITY: {"reference": (1, _ANY)},
    Kind.OPTIONS: {
        "vol_shift": (100, 8_000),
        "term_vol": (0, 10_000),
        "digits": (1, 6),
        "horizon": (1, 1_095),
    },
}


class RefusedWordError(ParameterError):
    """The registry would refuse: which field, its value, and the bounds that it breaks."""

    def __init__(
        self, kind: Kind, field: str, value: int, low: int | None, high: int | None, why: str = ""
    ) -> None:
        self.kind, self.field, self.value = kind, field, value
        self.low, self.high, self.why = low, high, why
        super().__init__(f"{kind.name}.{field} = {value}: {why or f'{low} to {high}'}")


@dataclass(frozen=True, slots=True)
class Fields:
    """A word's fields by name, as values."""

    kind: Kind
    values: dict[str, int]

    @classmethod
    def of(cls, kind: Kind, word: int) -> Fields:
        fields = codes(RECORDS[kind].LAYOUT, word % (1 << width_of(kind)))
        return cls(kind, {field.name: field.decode(code) for field, code in fields})

    def refuse(self, field: str, why: str) -> RefusedWordError:
        return RefusedWordError(self.kind, field, self.values[field], None, None, why)


def require_valid(kind: Kind, id_: int, word: int) -> None:
    """Raises `RefusedWordError` unless the word is well formed and within its bounds."""
    last = _LAST_ID.get(kind, _LAST_UNDERLYING)
    if not 0 <= id_ <= last:
        raise RefusedWordError(kind, "id", id_, 0, last)
    if word == 0 and kind in REMOVABLE:
        return
    if kind is Kind.FROZEN_PRICE and word >> PRICE_BITS:
        raise RefusedWordError(kind, "value", word, 0, (1 << PRICE_BITS) - 1)
    if kind is Kind.SYMBOL:
        _require_text(word)
    if kind not in RECORDS:
        return
    fields = Fields.of(kind, word)
    for field in RECORDS[kind].LAYOUT:
        low, high = bounds_of(kind, field)
        value = fields.values[field.name]
        if not low <= value <= high:
            raise RefusedWordError(kind, field.name, value, low, high)
    if beyond := word >> width_of(kind):
        raise RefusedWordError(kind, "word", beyond, 0, 0)
    _require_relations(fields)


def width_of(kind: Kind) -> int:
    """How many bits a word of fields has."""
    return sum(field.width for field in RECORDS[kind].LAYOUT)


def bounds_of(kind: Kind, field: Field) -> tuple[int, int]:
    """Least and greatest value of a field."""
    low, high = _BOUNDS.get(kind, {}).get(field.name, (0, field.maximum))
    return low, min(high, field.maximum)


def _require_text(word: int) -> None:
    try:
        encode_symbol(decode_symbol(word))
    except ParameterError as error:
        raise RefusedWordError(Kind.SYMBOL, "value", word, None, None, str(error)) from None


def _require_relations(fields: Fields) -> None:
    """What must hold between the fields of one word."""
    values = fields.values
    if fields.kind is Kind.UNDERLYING:
        _require_scan_bound(fields, values["range"], values["window"])
    elif fields.kind is Kind.ASSET:
        for lower, upper in (
            ("tier1", "tier2"),
            ("haircut1", "haircut2"),
            ("haircut2", "haircut3"),
        ):
            if values[lower] > values[upper]:
                raise fields.refuse(upper, f"must not be below {lower}")
    elif fields.kind is Kind.LENDING and values["rate_at_full"] < values["rate_at_kink"]:
        raise fields.refuse("rate_at_full", "must not be below rate_at_kink")
    elif "ceiling" in values and values["floor"] >= values["ceiling"]:
        raise fields.refuse("floor", "must be below ceiling")


def _require_scan_bound(fields: Fields, range_: int, window: int) -> None:
    if window < 300 and range_ * MAX_GAUGE * (300 - window) > TAIL_BOUND:
        most = TAIL_BOUND // (MAX_GAUGE * (300 - window))
        raise RefusedWordError(fields.kind, "range", range_, 1, most)


def require_ramp(kind: Kind, current: int, word: int) -> None:
    """Both ends of a ramp keep the tails of the grid dominated, from what is in force now."""
    if kind is not Kind.UNDERLYING or current == 0:
        return
    ends = [Fields.of(kind, end) for end in (current, word)]
    range_ = max(end.values["range"] for end in ends)
    _require_scan_bound(ends[1], range_, min(end.values["window"] for end in ends))


def require_steps(kind: Kind, old: int, new: int) -> None:
    """Raises `RefusedWordError` when a field moves by more than a step where it may not."""
    if kind not in RISK_KINDS or old == 0:
        return
    before, after = Fields.of(kind, old), Fields.of(kind, new)
    for field in RISK_KINDS[kind].LAYOUT:
        low, high = step_of(field, before.values[field.name])
        value = after.values[field.name]
        if not low <= value <= high:
            raise RefusedWordError(kind, field.name, value, low, high, "more than one step")


def step_of(field: Field, value: int) -> tuple[int, int]:
    """Least and greatest value that one acceptance may bring: a fifth down, or twice a limit.

    A tiny value may move by one, a limit of next to nothing rise to the root of its range.
    """
    if field.complement:
        return 0, min(field.maximum, max(2 * value, 1 << (field.width // 2)))
    highest = min(field.maximum, value + step_by(value)) if field.steps_up else field.maximum
    return value - min(value, step_by(value)), highest

"""Parameter words: human-readable records to packed words and back, and how words may change.

The layouts are those of `contracts/libraries/Params.sol`, lowest bits first. Every risk field is
encoded so that bigger is tighter: a field marked as a complement is stored as `2^width - 1 -
value`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import ClassVar, Self

from plimsoll.risk import model
from plimsoll.risk.options import OptionTerms

RAMP = 3 * 24 * 3600
DELAY = 2 * 24 * 3600
COOLDOWN = 24 * 3600
SUBMISSION_LIFE = 7 * 24 * 3600
ADDRESS_BITS = 160


class Kind(IntEnum):
    """What a parameter word describes."""

    GLOBAL = 0
    UNDERLYING = 1
    ASSET = 2
    MARKET = 3
    FUNDING = 4
    SOURCE = 5
    SECOND_SOURCE = 6
    PYTH_ID = 7
    SECOND_PYTH_ID = 8
    TOKEN = 9
    RATE_SOURCE = 10
    RATE_MARKET = 11
    SEQUENCER = 12
    FROZEN_PRICE = 13
    LENDING = 14
    OUTFLOW = 15
    VOLATILITY = 16
    REPORTS = 17
    SYMBOL = 18
    OPTIONS = 19


class SourceKind(IntEnum):
    """How a price source is read."""

    NONE = 0
    CHAINLINK = 1
    PYTH = 2


class RateKind(IntEnum):
    """How the redemption rate of a yield token is read."""

    NONE = 0
    ERC4626 = 1
    STETH_PER_TOKEN = 2


class ParameterError(ValueError):
    """A parameter does not fit its place in the word."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a word: its width in bits, whether it is stored as a complement, and whether it
    moves by steps when it tightens too."""

    name: str
    width: int
    complement: bool = False
    steps_up: bool = False

    @property
    def maximum(self) -> int:
        return (1 << self.width) - 1

    def encode(self, value: int) -> int:
        if not 0 <= value <= self.maximum:
            raise ParameterError(f"{self.name} = {value} does not fit 0..{self.maximum}")
        return self.maximum - value if self.complement else value

    def decode(self, code: int) -> int:
        return self.maximum - code if self.complement else code


def _limit(name: str, width: int) -> Field:
    return Field(name, width, complement=True)


@dataclass(frozen=True, slots=True)
class Word:
    """A packed word as a record; subclasses name the fields in the order of the layout."""

    KIND: ClassVar[Kind]
    LAYOUT: ClassVar[tuple[Field, ...]]

    @property
    def word(self) -> int:
        packed = shift = 0
        for field in self.LAYOUT:
            packed |= field.encode(int(getattr(self, field.name))) << shift
            shift += field.width
        return packed

    @classmethod
    def from_word(cls, word: int) -> Self:
        names = [f.name for f in fields(cls)]
        values = {f.name: f.decode(code) for f, code in codes(cls.LAYOUT, word)}
        return cls(**{name: values[name] for name in names})


def codes(layout: tuple[Field, ...], word: int) -> Iterator[tuple[Field, int]]:
    """The raw codes of a word, lowest field first."""
    for field in layout:
        yield field, word & field.maximum
        word >>= field.width
    if word:
        raise ParameterError(f"bits beyond the layout are set: {word:#x}")


@dataclass(frozen=True, slots=True)
class GlobalParams(Word):
    """Factors of the margin and of the waterfall."""

    initial_factor: int = 12_500
    band_ceiling: int = 100
    stress_share: int = 10_000
    winners_cap: int = 1_000_000
    payout_cap: int = 1_000_000
    dust: int = 10
    peg_bound: int = 200

    KIND = Kind.GLOBAL
    LAYOUT = (
        Field("initial_factor", 16),
        Field("band_ceiling", 14),
        _limit("stress_share", 16),
        _limit("winners_cap", 32),
        _limit("payout_cap", 32),
        Field("dust", 16),
        _limit("peg_bound", 14),
    )


@dataclass(frozen=True, slots=True)
class UnderlyingParams(Word):
    """Scan range, window, closing cost, concentration and band of an underlying."""

    range: int
    window: int
    closing: int = 0
    concentration: int = 0
    band: int = 0

    KIND = Kind.UNDERLYING
    LAYOUT = (
        Field("range", 14),
        Field("window", 10),
        Field("closing", 10),
        Field("concentration", 14),
        Field("band", 10),
    )

    def terms(self) -> model.UnderlyingTerms:
        return model.UnderlyingTerms(
            self.range, self.window, self.closing, self.concentration, self.band
        )


@dataclass(frozen=True, slots=True)
class AssetParams(Word):
    """Tiers in dollars, haircuts, basis charge and caps in dollars of a collateral asset."""

    tier1: int
    tier2: int
    haircut1: int = 0
    haircut2: int = 0
    haircut3: int = 0
    basis: int = 0
    cap: int = (1 << 40) - 1
    growth: int = (1 << 40) - 1

    KIND = Kind.ASSET
    LAYOUT = (
        _limit("tier1", 32),
        _limit("tier2", 32),
        Field("haircut1", 14),
        Field("haircut2", 14),
        Field("haircut3", 14),
        Field("basis", 12),
        _limit("cap", 40),
        _limit("growth", 40),
    )

    def terms(self) -> model.AssetTerms:
        return model.AssetTerms(
            self.tier1, self.tier2, self.haircut1, self.haircut2, self.haircut3, self.basis
        )


@dataclass(frozen=True, slots=True)
class MarketParams(Word):
    """Fees in millionths, open-interest cap in dollars, stress jump and state of a perpetual."""

    taker_fee: int = 0
    maker_fee: int = 0
    open_interest_cap: int = (1 << 40) - 1
    stress_jump: int = 5_000
    closed: bool = False

    KIND = Kind.MARKET
    LAYOUT = (
        Field("taker_fee", 14),
        Field("maker_fee", 14),
        _limit("open_interest_cap", 40),
        Field("stress_jump", 14),
        Field("closed", 1),
    )


@dataclass(frozen=True, slots=True)
class FundingParams(Word):
    """The most that the funding of a perpetual may be, millionths of the price an hour; without
    the word it is zero."""

    hourly_cap: int = 0

    KIND = Kind.FUNDING
    LAYOUT = (_limit("hourly_cap", 14),)


@dataclass(frozen=True, slots=True)
class SourceParams(Word):
    """A price source; hard bounds `2^floor <= price < 2^ceiling` on the price with 18 decimals."""

    address: int
    source: SourceKind = SourceKind.CHAINLINK
    decimals: int = 8
    max_age: int = 3_600
    floor: int = 0
    ceiling: int = 94

    KIND = Kind.SOURCE
    LAYOUT: ClassVar[tuple[Field, ...]] = (
        Field("address", ADDRESS_BITS),
        Field("source", 2),
        Field("decimals", 5),
        Field("max_age", 17),
        Field("floor", 7),
        Field("ceiling", 7),
    )


@dataclass(frozen=True, slots=True)
class SecondSourceParams(SourceParams):
    """The second, independent source and the largest deviation between the two, bps."""

    deviation: int = 200

    KIND = Kind.SECOND_SOURCE
    LAYOUT = (*SourceParams.LAYOUT, Field("deviation", 12))


@dataclass(frozen=True, slots=True)
class TokenParams(Word):
    """The token of an asset. Set once."""

    address: int
    underlying: int
    decimals: int

    KIND = Kind.TOKEN
    LAYOUT = (Field("address", ADDRESS_BITS), Field("underlying", 16), Field("decimals", 8))


@dataclass(frozen=True, slots=True)
class RateSourceParams(Word):
    """The redemption-rate source of a yield token and its growth cap, bps a year."""

    address: int
    rate: RateKind
    asset_decimals: int = 18
    growth_cap: int = 1_000

    KIND = Kind.RATE_SOURCE
    LAYOUT = (
        Field("address", ADDRESS_BITS),
        Field("rate", 2),
        Field("asset_decimals", 8),
        Field("growth_cap", 16),
    )


@dataclass(frozen=True, slots=True)
class RateMarketParams(Word):
    """The market feed of a yield token, in units of its underlying."""

    address: int
    decimals: int = 18
    max_age: int = 86_400
    discount_bound: int = 300

    KIND = Kind.RATE_MARKET
    LAYOUT = (
        Field("address", ADDRESS_BITS),
        Field("decimals", 5),
        Field("max_age", 17),
        Field("discount_bound", 12),
    )


@dataclass(frozen=True, slots=True)
class SequencerParams(Word):
    """The sequencer uptime feed and its grace period in seconds."""

    address: int
    grace: int = 3_600

    KIND = Kind.SEQUENCER
    LAYOUT = (Field("address", ADDRESS_BITS), Field("grace", 32))


@dataclass(frozen=True, slots=True)
class LendingParams(Word):
    """Kink in percent, rates there and at full utilisation in tenths of a percent a year, share
    of the reserves in percent."""

    kink: int = 80
    rate_at_kink: int = 0
    rate_at_full: int = 0
    reserve_share: int = 0

    KIND = Kind.LENDING
    LAYOUT = (
        Field("kink", 7),
        Field("rate_at_kink", 13),
        Field("rate_at_full", 13),
        Field("reserve_share", 7),
    )


NO_LIMIT = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class OutflowParams(Word):
    """What may leave of an asset within an hour, whole tokens; `NO_LIMIT` is the word 0."""

    limit: int = NO_LIMIT

    KIND = Kind.OUTFLOW
    LAYOUT = (_limit("limit", 40),)


@dataclass(frozen=True, slots=True)
class VolatilityParams(Word):
    """The hourly standard deviation at which the gauge is 1, hundredths of a bps."""

    reference: int

    KIND = Kind.VOLATILITY
    LAYOUT = (Field("reference", 16),)


@dataclass(frozen=True, slots=True)
class OptionsParams(Word):
    """What margin and listing of an underlying's options and futures depend on: volatility shift
    and closing cost in bps, the two term charges, and which of them may be opened."""

    vol_shift: int
    term_forward: int = 0
    term_vol: int = 0
    option_closing: int = 0
    digits: int = 3
    horizon: int = 400
    dailies: int = 2

    KIND = Kind.OPTIONS
    LAYOUT = (
        Field("vol_shift", 14, steps_up=True),
        Field("term_forward", 12, steps_up=True),
        Field("term_vol", 14, steps_up=True),
        Field("option_closing", 10, steps_up=True),
        _limit("digits", 3),
        _limit("horizon", 11),
        _limit("dailies", 5),
    )

    def terms(self) -> OptionTerms:
        return OptionTerms(
            self.vol_shift,
            self.term_forward,
            self.term_vol,
            self.option_closing,
            self.digits,
            self.horizon,
            self.dailies,
        )


@dataclass(frozen=True, slots=True)
class ReportsParams(Word):
    """The ReportOracle; none with address 0."""

    address: int

    KIND = Kind.REPORTS
    LAYOUT = (Field("address", ADDRESS_BITS),)


SYMBOL_BYTES = 31


def encode_symbol(text: str) -> int:
    """What people call an underlying, as the bytes32 that is its word."""
    if not 1 <= len(text) <= SYMBOL_BYTES or not all(" " <= char <= "~" for char in text):
        raise ParameterError(f"{text!r} is not 1 to {SYMBOL_BYTES} printable ASCII characters")
    return int.from_bytes(text.encode("ascii").ljust(32, b"\0"), "big")


def decode_symbol(word: int) -> str:
    text = word.to_bytes(32, "big").rstrip(b"\0").decode("ascii", "backslashreplace")
    if word and encode_symbol(text) != word:
        raise ParameterError(f"{word:#x} is no symbol")
    return text


# Kinds whose words change by bounded steps; every other kind always waits and moves freely within
# its bounds.
RISK_KINDS: dict[Kind, type[Word]] = {
    Kind.GLOBAL: GlobalParams,
    Kind.UNDERLYING: UnderlyingParams,
    Kind.ASSET: AssetParams,
    Kind.MARKET: MarketParams,
    Kind.FUNDING: FundingParams,
    Kind.OUTFLOW: OutflowParams,
    Kind.OPTIONS: OptionsParams,
}
# Fields that wait in both directions: margin is not monotone in the shape of the scan, and orders
# that rest were signed for the fees of their day.
WAITING_FIELDS = {"range", "window", "taker_fee", "maker_fee"}
# Kinds that always wait all the same: what they set acts at once on every book, without a ramp.
WAITING_KINDS = {Kind.OPTIONS}


def interpolate(kind: Kind, start: int, target: int, elapsed: int) -> int:
    """The word in force for maintenance, `elapsed` seconds into a ramp, field by field."""
    layout = RISK_KINDS[kind].LAYOUT
    pairs = zip(codes(layout, start), codes(layout, target), strict=True)
    packed = shift = 0
    for (field, low), (_, high) in pairs:
        packed |= model.interpolate(low, high, elapsed, RAMP) << shift
        shift += field.width
    return packed


def only_tightens(kind: Kind, old: int, new: int) -> bool:
    """Whether a word takes effect at once: no field smaller, none changed that waits."""
    if kind in WAITING_KINDS:
        return False
    layout = RISK_KINDS[kind].LAYOUT
    pairs = zip(codes(layout, old), codes(layout, new), strict=True)
    return all(
        after == before if field.name in WAITING_FIELDS else after >= before
        for (field, before), (_, after) in pairs
    )


def is_one_step(kind: Kind, old: int, new: int) -> bool:
    """Whether no loosened field moves by more than a fifth of its value or twice its limit, and
    none that steps up rises by more than a fifth."""
    layout = RISK_KINDS[kind].LAYOUT
    pairs = zip(codes(layout, old), codes(layout, new), strict=True)
    return all(_field_steps(field, before, after) for (field, before), (_, after) in pairs)


def _field_steps(field: Field, before: int, after: int) -> bool:
    """A tiny value may move by one, a limit of next to nothing rise to the root of its range."""
    if after >= before:
        return not field.steps_up or after - before <= step_by(before)
    if field.complement:
        reach = max(2 * field.decode(before), 1 << (field.width // 2))
        return field.decode(after) <= reach
    return before - after <= step_by(before)


def step_by(value: int) -> int:
    """How far a value moves at once: a fifth of it, or one."""
    return 1 if value < 10 else value // 5

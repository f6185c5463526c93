"""The configuration as parameter words, and any word as text that a person can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from web3 import Web3

from plimsoll import quantities as q
from plimsoll.config import Asset, NetworkConfig, Source, Underlying, given
from plimsoll.risk.params import (
    AssetParams,
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
    decode_symbol,
    encode_symbol,
)
from plimsoll.risk.rules import RECORDS

Where = Mapping[str, str]
"""Addresses by name: `token:WETH`, `feed:ETH`, `market:wstETH`, `pyth`, `sequencer`."""

PEG = 0
"""The underlying that is the settlement token's own peg; as an asset, the token: cash."""

_RATE_KINDS = {"erc4626": RateKind.ERC4626, "stEthPerToken": RateKind.STETH_PER_TOKEN}


@dataclass(frozen=True)
class Setting:
    """One word to be set."""

    kind: Kind
    id: int
    word: int
    name: str
    """Whose it is, for people: ETH, wstETH."""

    @property
    def title(self) -> str:
        return f"{self.kind.name} {self.name}"

    @property
    def meaning(self) -> dict[str, str]:
        return describe(self.kind, self.word)


def settings(config: NetworkConfig, where: Where) -> list[Setting]:
    """Every word of a configuration, in the order in which they must be set."""
    return [
        Setting(Kind.GLOBAL, 0, _globals(config), "globals"),
        Setting(Kind.LENDING, 0, _lending(config), "cash"),
        *_sequencer(config, where),
        *_reports(config, where),
        *_source(PEG, config.settlement.symbol, config.settlement.peg, where),
        *_outflow(PEG, config.settlement.symbol, config.settlement.outflow),
        *(
            s
            for name, u in config.enabled_underlyings().items()
            for s in _underlying(name, u, where)
        ),
        *(s for name, a in config.enabled_assets().items() for s in _asset(config, name, a, where)),
    ]


def _globals(config: NetworkConfig) -> int:
    g = config.globals
    return GlobalParams(
        initial_factor=g.initial_factor,
        band_ceiling=g.band_ceiling,
        stress_share=g.stress_share,
        winners_cap=g.winners_cap,
        payout_cap=g.payout_cap,
        dust=g.dust,
        peg_bound=g.peg_bound,
    ).word


def _lending(config: NetworkConfig) -> int:
    terms = config.lending
    return LendingParams(
        terms.kink, terms.rate_at_kink, terms.rate_at_full, terms.reserve_share
    ).word


def _outflow(number: int, name: str, limit: int | None) -> Iterator[Setting]:
    if limit is not None:
        yield Setting(Kind.OUTFLOW, number, OutflowParams(limit).word, name)


def _sequencer(config: NetworkConfig, where: Where) -> Iterator[Setting]:
    if config.sequencer and not config.sequencer.disabled:
        word = SequencerParams(int(where["sequencer"], 16), config.sequencer.grace).word
        yield Setting(Kind.SEQUENCER, 0, word, "sequencer")


def _reports(config: NetworkConfig, where: Where) -> Iterator[Setting]:
    if config.reports:
        word = ReportsParams(int(where["ReportOracle"], 16)).word
        yield Setting(Kind.REPORTS, 0, word, "reports")


def _source(number: int, name: str, source: Source, where: Where) -> Iterator[Setting]:
    if source.pyth:
        yield Setting(Kind.PYTH_ID, number, int(source.pyth.feed_id, 16), name)
    yield Setting(Kind.SOURCE, number, _read_from(name, source, where).word, name)


def _underlying(name: str, underlying: Underlying, where: Where) -> Iterator[Setting]:
    yield from _source(underlying.id, name, given(underlying.source), where)
    if second := underlying.second:
        if second.pyth:
            feed_id = int(second.pyth.feed_id, 16)
            yield Setting(Kind.SECOND_PYTH_ID, underlying.id, feed_id, name)
        read_from = _read_from(f"{name}:second", second, where)
        word = SecondSourceParams(**asdict(read_from), deviation=second.deviation).word
        yield Setting(Kind.SECOND_SOURCE, underlying.id, word, name)
    yield Setting(Kind.SYMBOL, underlying.id, encode_symbol(underlying.symbol or name), name)
    if underlying.volatility:
        word = VolatilityParams(underlying.volatility).word
        yield Setting(Kind.VOLATILITY, underlying.id, word, name)
    r = given(underlying.risk)
    word = UnderlyingParams(r.range, r.window, r.closing, r.concentration, r.band).word
    yield Setting(Kind.UNDERLYING, underlying.id, word, name)
    yield from _perpetual(name, underlying)
    if options := underlying.options:
        word = OptionsParams(
            options.vol_shift,
            options.term_forward,
            options.term_vol,
            options.option_closing,
            options.digits,
            options.horizon,
            options.dailies,
        ).word
        yield Setting(Kind.OPTIONS, underlying.id, word, name)


def _perpetual(name: str, underlying: Underlying) -> Iterator[Setting]:
    if underlying.perpetual is None:
        return
    p = underlying.perpetual
    word = MarketParams(p.taker_fee, p.maker_fee, p.open_interest_cap, p.stress_jump, p.closed).word
    yield Setting(Kind.MARKET, underlying.id, word, name)
    if p.funding_cap:
        yield Setting(Kind.FUNDING, underlying.id, FundingParams(p.funding_cap).word, name)


def _asset(config: NetworkConfig, name: str, asset: Asset, where: Where) -> Iterator[Setting]:
    address = int(where[f"token:{name}"], 16)
    underlying = config.underlyings[asset.underlying].id
    token = TokenParams(address, underlying, given(asset.token).decimals).word
    yield Setting(Kind.TOKEN, asset.id, token, name)
    if rate := asset.rate:
        kind = _RATE_KINDS[rate.kind]
        word = RateSourceParams(address, kind, rate.asset_decimals, rate.growth_cap).word
        yield Setting(Kind.RATE_SOURCE, asset.id, word, name)
    if market := asset.market:
        feed = int(where[f"market:{name}"], 16)
        word = RateMarketParams(feed, market.decimals, market.max_age, market.discount_bound).word
        yield Setting(Kind.RATE_MARKET, asset.id, word, name)
    word = AssetParams(
        *given(asset.tiers),
        *given(asset.haircuts),
        basis=asset.basis,
        cap=asset.cap,
        growth=asset.growth,
    ).word
    yield Setting(Kind.ASSET, asset.id, word, name)
    yield from _outflow(asset.id, name, asset.outflow)


def _read_from(name: str, source: Source, where: Where) -> SourceParams:
    return SourceParams(
        address=int(where["pyth" if source.pyth else f"feed:{name}"], 16),
        source=SourceKind.CHAINLINK if source.chainlink else SourceKind.PYTH,
        decimals=source.decimals,
        max_age=source.max_age,
        floor=source.floor,
        ceiling=source.ceiling,
    )


def describe(kind: Kind, word: int) -> dict[str, str]:
    """A word field by field, in human units; nothing for one that was never set."""
    if word == 0:
        return {}
    try:
        if kind in _WHOLE:
            return {"value": _WHOLE[kind][1](word)}
        record = RECORDS[kind].from_word(word)
    except ParameterError as error:
        return {"unreadable": str(error)}
    return {f.name: _FORMS[f.name][1](getattr(record, f.name)) for f in fields(record)}


def difference(kind: Kind, old: int, new: int) -> list[str]:
    """What changes from one word to another, a line for each field."""
    before, after = describe(kind, old), describe(kind, new)
    return [
        f"{name}: {before.get(name, 'not set')} -> {after.get(name, 'not set')}"
        for name in sorted(before.keys() | after.keys(), key=list(after | before).index)
        if before.get(name) != after.get(name)
    ]


def write_value(kind: Kind, field: str, value: int) -> str:
    """One field in human units; the whole word of a kind without fields."""
    if kind in _WHOLE:
        return _WHOLE[kind][1](value)
    return _FORMS[field][1](value)


def read_word(kind: Kind, old: int, given_: Mapping[str, str]) -> int:
    """A word from text: the fields that are given in human units, the others as they are in `old`.

    Kinds without fields take one, `value`. Raises `ParameterError` with the field's name.
    """
    if kind in _WHOLE:
        _require_known(kind, ["value"], given_)
        return _read("value", _WHOLE[kind][0], given_["value"])
    names = [field.name for field in RECORDS[kind].LAYOUT]
    _require_known(kind, names if old == 0 else [], given_, names)
    values = asdict(RECORDS[kind].from_word(old)) if old else {}
    values |= {name: _read(name, _FORMS[name][0], text) for name, text in given_.items()}
    return RECORDS[kind](**values).word


def _require_known(
    kind: Kind, needed: list[str], given_: Mapping[str, str], known: list[str] | None = None
) -> None:
    known = known or needed
    unknown = [name for name in given_ if name not in known]
    if unknown:
        raise ParameterError(f"{kind.name} has no {unknown[0]}; it has {', '.join(known)}")
    missing = [name for name in needed if name not in given_]
    if missing:
        raise ParameterError(f"{kind.name} was never set: give {', '.join(missing)} too")


def _read(name: str, reader: Callable[[str], int], text: str) -> int:
    try:
        return reader(text)
    except (ValueError, KeyError) as error:
        raise ParameterError(f"{name}: {error}") from error


def _address(value: int) -> str:
    return Web3.to_checksum_address(value.to_bytes(20, "big"))


def _read_address(text: str) -> int:
    if not Web3.is_checksum_address(text):
        raise ValueError(f"{text!r} is not an address with its checksum")
    return int(text, 16)


def _read_bytes32(text: str) -> int:
    if not text.startswith("0x") or len(text) != 66:
        raise ValueError(f"{text!r} is not 0x and 64 hexadecimal digits")
    return int(text, 16)


def _read_whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _read_one_of(names: Mapping[str, int]) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text not in names:
            raise ValueError(f"{text!r} is none of {', '.join(names)}")
        return names[text]

    return read


def _power(exponent: int) -> str:
    return f"2^{exponent}, {q.write_price(1 << exponent)}"


Form = tuple[Callable[[str], int], Callable[[int], str]]
"""How a value is read from text, and written."""

_BYTES32: Form = (_read_bytes32, lambda word: f"0x{word:064x}")
_WHOLE: dict[Kind, Form] = {
    Kind.PYTH_ID: _BYTES32,
    Kind.SECOND_PYTH_ID: _BYTES32,
    Kind.FROZEN_PRICE: (q.read_price, q.write_price),
    Kind.SYMBOL: (encode_symbol, decode_symbol),
}
_SOURCE_KINDS = {kind.name.lower(): int(kind) for kind in SourceKind if kind}
_RATE_NAMES = {kind.name.lower(): int(kind) for kind in RateKind if kind}
_BPS: Form = (q.read_bps, q.write_bps)
_DOLLARS: Form = (q.read_dollars, q.write_dollars)
_FORMS: dict[str, Form] = {
    "address": (_read_address, _address),
    "source": (_read_one_of(_SOURCE_KINDS), lambda value: SourceKind(value).name.lower()),
    "rate": (_read_one_of(_RATE_NAMES), lambda value: RateKind(value).name.lower()),
    "closed": (_read_one_of({"yes": 1, "no": 0}), lambda value: "yes" if value else "no"),
    "concentration": (q.read_concentration, q.write_concentration),
    "window": (q.read_states, q.write_states),
    "growth_cap": (q.read_yearly_bps, q.write_yearly_bps),
    "growth": (q.read_hourly_dollars, q.write_hourly_dollars),
    "limit": (q.read_hourly_tokens, q.write_hourly_tokens),
    **dict.fromkeys(
        ("reference", "hourly_cap"), (q.read_hourly_millionths, q.write_hourly_millionths)
    ),
    **dict.fromkeys(("kink", "reserve_share"), (q.read_percent, q.write_percent)),
    **dict.fromkeys(
        ("rate_at_kink", "rate_at_full"), (q.read_yearly_tenths, q.write_yearly_tenths)
    ),
    **dict.fromkeys(("floor", "ceiling"), (_read_whole, _power)),
    **dict.fromkeys(("taker_fee", "maker_fee"), (q.read_millionths, q.write_millionths)),
    **dict.fromkeys(("max_age", "grace"), (q.read_duration, q.write_duration)),
    **dict.fromkeys(("decimals", "asset_decimals", "underlying", "digits"), (_read_whole, str)),
    **dict.fromkeys(("horizon", "dailies"), (q.read_days, q.write_days)),
    **dict.fromkeys(
        ("winners_cap", "payout_cap", "dust", "tier1", "tier2", "cap", "open_interest_cap"),
        _DOLLARS,
    ),
    **dict.fromkeys(
        (
            "initial_factor",
            "band_ceiling",
            "stress_share",
            "peg_bound",
            "range",
            "closing",
            "vol_shift",
            "term_forward",
            "term_vol",
            "option_closing",
            "band",
            "haircut1",
            "haircut2",
            "haircut3",
            "basis",
            "stress_jump",
            "deviation",
            "discount_bound",
        ),
        _BPS,
    ),
}

"""The configuration as parameter words, and any word as text that a person can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from web3 import Web3

from plimsoll import quantities as q
from plimsoll.config import Asset, NetworkConfig, Source, Underlying, given
from plimsoll.risk.params import (
    AssetParams,
    GlobalParams,
    Kind,
    LendingParams,
    MarketParams,
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
    decode_funding,
    decode_symbol,
    encode_funding,
)

Where = Mapping[str, str]
"""Addresses by name: `token:WETH`, `feed:ETH`, `market:wstETH`, `pyth`, `sequencer`."""

PEG = 0
"""The underlying that is the settlement token's own peg."""

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
        *_sequencer(config, where),
        *_source(PEG, config.settlement.symbol, config.settlement.peg, where),
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


def _sequencer(config: NetworkConfig, where: Where) -> Iterator[Setting]:
    if config.sequencer and not config.sequencer.disabled:
        word = SequencerParams(int(where["sequencer"], 16), config.sequencer.grace).word
        yield Setting(Kind.SEQUENCER, 0, word, "sequencer")


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
    r = given(underlying.risk)
    word = UnderlyingParams(r.range, r.window, r.closing, r.concentration, r.band).word
    yield Setting(Kind.UNDERLYING, underlying.id, word, name)
    yield from _perpetual(name, underlying)


def _perpetual(name: str, underlying: Underlying) -> Iterator[Setting]:
    if underlying.perpetual is None:
        return
    p = underlying.perpetual
    word = MarketParams(p.taker_fee, p.maker_fee, p.open_interest_cap, p.stress_jump, p.closed).word
    yield Setting(Kind.MARKET, underlying.id, word, name)
    if p.funding:
        yield Setting(Kind.FUNDING, underlying.id, encode_funding(p.funding), name)


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
    if word == 0 and kind is not Kind.FUNDING:
        return {}
    if kind in _WHOLE:
        return {"value": _WHOLE[kind](word)}
    try:
        if kind is Kind.SYMBOL:
            return {"value": decode_symbol(word)}
        record = _RECORDS[kind].from_word(word)
    except ParameterError as error:
        return {"unreadable": str(error)}
    return {f.name: _WRITERS[f.name](getattr(record, f.name)) for f in fields(record)}


def difference(kind: Kind, old: int, new: int) -> list[str]:
    """What changes from one word to another, a line for each field."""
    before, after = describe(kind, old), describe(kind, new)
    return [
        f"{name}: {before.get(name, 'not set')} -> {after.get(name, 'not set')}"
        for name in sorted(before.keys() | after.keys(), key=list(after | before).index)
        if before.get(name) != after.get(name)
    ]


def _address(value: int) -> str:
    return Web3.to_checksum_address(value.to_bytes(20, "big"))


def _power(exponent: int) -> str:
    return f"2^{exponent}, {q.write_price(1 << exponent)}"


_RECORDS: dict[Kind, type[Word]] = {
    Kind.GLOBAL: GlobalParams,
    Kind.UNDERLYING: UnderlyingParams,
    Kind.ASSET: AssetParams,
    Kind.MARKET: MarketParams,
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
}
_WHOLE: dict[Kind, Callable[[int], str]] = {
    Kind.FUNDING: lambda word: q.write_funding(decode_funding(word)),
    Kind.PYTH_ID: lambda word: f"0x{word:064x}",
    Kind.SECOND_PYTH_ID: lambda word: f"0x{word:064x}",
    Kind.FROZEN_PRICE: q.write_price,
}
_WRITERS: dict[str, Callable[[int], str]] = {
    "address": _address,
    "source": lambda value: SourceKind(value).name.lower(),
    "rate": lambda value: RateKind(value).name.lower(),
    "closed": lambda value: "yes" if value else "no",
    "floor": _power,
    "ceiling": _power,
    "concentration": q.write_concentration,
    "window": q.write_states,
    "growth_cap": q.write_yearly_bps,
    "growth": q.write_hourly_dollars,
    "limit": lambda value: f"{value:,} tokens an hour",
    "reference": lambda value: q.write_millionths(value) + " an hour",
    **dict.fromkeys(("kink", "reserve_share"), lambda value: q.write_bps(100 * value)),
    **dict.fromkeys(("rate_at_kink", "rate_at_full"), lambda value: q.write_yearly_bps(10 * value)),
    **dict.fromkeys(("taker_fee", "maker_fee"), q.write_millionths),
    **dict.fromkeys(("max_age", "grace"), q.write_duration),
    **dict.fromkeys(("decimals", "asset_decimals", "underlying"), str),
    **dict.fromkeys(
        ("winners_cap", "payout_cap", "dust", "tier1", "tier2", "cap", "open_interest_cap"),
        q.write_dollars,
    ),
    **dict.fromkeys(
        (
            "initial_factor",
            "band_ceiling",
            "stress_share",
            "peg_bound",
            "range",
            "closing",
            "band",
            "haircut1",
            "haircut2",
            "haircut3",
            "basis",
            "stress_jump",
            "deviation",
            "discount_bound",
        ),
        q.write_bps,
    ),
}

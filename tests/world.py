"""Plimsoll on the in-process EVM, beside its integer twin: what every test of the contracts builds
on.

`Market` is a margin engine with settable feeds and tokens; `World` adds the ClearingHouse and
people. Both carry out each change on the contracts and in the twin together, so that
`market.inputs()` is what the specification says of this moment, from what was done and never from
what the chain answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from plimsoll.reports import Batch, PremiumReport, SurfaceBatch, SurfaceReport, report_domain
from plimsoll.risk import model, oracle, params, surface
from plimsoll.risk.instruments import expiry_of
from plimsoll.risk.model import WAD, AssetState, ExpiryState, Inputs, PriceStatus, UnderlyingState
from plimsoll.risk.oracle import (
    Answer,
    Fixing,
    Funding,
    PriceObservation,
    RateObservation,
    RateTerms,
    Reading,
    Round,
)
from plimsoll.risk.params import (
    AssetParams,
    FundingParams,
    GlobalParams,
    Kind,
    MarketParams,
    OptionsParams,
    RateKind,
    RateMarketParams,
    RateSourceParams,
    ReportsParams,
    SecondSourceParams,
    SequencerParams,
    SourceParams,
    TokenParams,
    UnderlyingParams,
)
from plimsoll.risk.surface import Slice
from plimsoll.units import from_wad
from tests.evm import CHAIN_ID, Contract, Evm, Reverted, actor

ROOT = Path(__file__).parents[1]
REPORTERS = ("first reporter", "second reporter", "third reporter")
QUORUM = 2
AGREEMENT = WAD // 100
MAX_PREMIUM = WAD // 10
SURFACE_AGREEMENT = 3 * WAD // 100
LARGEST_FUNDING_CAP = 10_000
"""Millionths of the price an hour: the bound of the registry, one per cent."""
PHASE = 1 << 64
"""Before the first round of a feed with a history."""
GROWTH_CAP = 1_000
DISCOUNT_BOUND = 300


@cache
def foreign(name: str) -> dict[str, Any]:
    """A contract that is not the project's own, compiled as a deployment compiles it."""
    from plimsoll.deploy.artifacts import Released

    built = Released(ROOT).get(name)
    return {"name": name, "abi": built.abi, "bytecode": built.creation_code}


def number(contract: Contract) -> int:
    return int(contract.address, 16)


def new_engine(evm: Evm, manager: Contract) -> Contract:
    """A margin engine with its modules and its table, not set up."""
    table = evm.deploy("NormalTable")
    parameters = evm.deploy("ParameterModule", manager)
    reports = evm.deploy("ReportModule", manager)
    risk = evm.deploy("RiskModule", manager, reports, table)
    cover = evm.deploy("CoverModule", manager, reports, table)
    return evm.deploy("MarginEngine", manager, parameters, reports, risk, cover, table)


def mapping_slot(key: int, slot: int) -> int:
    """Where a mapping with keys of a word keeps one of its values."""
    return int.from_bytes(keccak(key.to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")


_slots: dict[bytes, tuple[int, int]] = {}


def expiry_slots(engine: Contract) -> tuple[int, int]:
    """The slots of the mappings of slices and of fixings, found by what the engine's views show of
    a word put there."""
    code = keccak(engine.evm.code(engine))
    if code not in _slots:
        surfaces, samples = (
            next(slot for slot in range(2_000) if _shows(engine, slot, view))
            for view in ("surface", "fixing")
        )
        _slots[code] = surfaces, samples
    return _slots[code]


def _shows(engine: Contract, slot: int, view: str) -> bool:
    probe = surface.pack(surface.Slice(1, 1, 1, 1, 1, 1, 1), 1)
    with engine.evm.anchored():
        engine.evm.set_storage(engine, mapping_slot(255 << 12 | 1, slot), probe)
        told = getattr(engine.call, view)(255, 1)
        return bool(told.observedAt if view == "surface" else told.sum)


@dataclass
class Ramp:
    """A parameter word with the ramp it is on."""

    target: int
    start: int = 0
    begun: int = -params.RAMP

    def current(self, kind: Kind, now: int) -> int:
        return params.interpolate(kind, self.start or self.target, self.target, now - self.begun)


@dataclass
class Feed:
    """A settable Chainlink-like feed and what it answers now."""

    contract: Contract
    decimals: int
    told: Answer
    broken: bool = False

    @property
    def answer(self) -> Answer | None:
        """What a reader gets: nothing from a broken feed."""
        return None if self.broken else self.told

    def set(self, value: int, updated_at: int) -> None:
        self.contract.set(value, updated_at)
        self.told = Answer(value, updated_at)

    def break_down(self) -> None:
        """From here on every read reverts."""
        self.contract.setMode(1)
        self.broken = True

    def mend(self) -> None:
        self.contract.setMode(0)
        self.broken = False


@dataclass
class RoundsFeed(Feed):
    """A feed that keeps its rounds, as a fixing needs them. What it would say while it is broken,
    it says when it is mended."""

    rounds: Mapping[int, Round] = field(default_factory=dict)

    @property
    def latest(self) -> int:
        return PHASE + len(self.rounds)

    def set(self, value: int, updated_at: int) -> None:
        self.told = Answer(value, updated_at)
        if not self.broken:
            self._say()

    def _say(self) -> None:
        said = Round(self.told.value, self.told.updated_at)
        self.rounds = {**self.rounds, self.latest + 1: said}
        self.contract.set(self.latest, said.answer, said.updated_at)

    def break_down(self) -> None:
        if not self.broken:
            self.contract.lose(self.latest)
        self.broken = True

    def mend(self) -> None:
        """The round that was lost comes back as well."""
        if self.broken:
            last = self.rounds[self.latest]
            self.contract.set(self.latest, last.answer, last.updated_at)
            self.broken = False
            self._say()

    @property
    def readable(self) -> Mapping[int, Round]:
        """All rounds but one that is lost."""
        lost = self.latest if self.broken else 0
        return {number: one for number, one in self.rounds.items() if number != lost}


@dataclass
class Underlying:
    """An underlying as it was configured and observed."""

    feed: Feed
    source: SourceParams
    risk: Ramp
    seen: PriceObservation
    second_feed: Feed | None = None
    second: SecondSourceParams | None = None
    funding: Funding = field(default_factory=Funding)
    funding_cap: int = 0
    market: MarketParams | None = None
    gauge: oracle.Gauge = field(default_factory=oracle.Gauge)
    options: OptionsParams | None = None

    def params(self) -> UnderlyingParams:
        return UnderlyingParams.from_word(self.risk.target)

    def copy(self) -> Underlying:
        second = None if self.second_feed is None else replace(self.second_feed)
        return replace(self, feed=replace(self.feed), second_feed=second, risk=replace(self.risk))

    def funding_at(self, now: int) -> int:
        return self.funding.index_at(now)


@dataclass
class Asset:
    """A collateral asset as it was configured and observed."""

    token: Contract
    underlying: int
    decimals: int
    risk: Ramp
    crowd: int = 0
    crowd_time: int = 0
    staked: Contract | None = None
    rate: RateTerms | None = None
    rate_max_age: int = 0
    rate_feed: Feed | None = None
    rate_seen: RateObservation | None = None
    told_rate: int | None = None

    def copy(self) -> Asset:
        feed = None if self.rate_feed is None else replace(self.rate_feed)
        return replace(self, rate_feed=feed, risk=replace(self.risk))

    def params(self) -> AssetParams:
        return AssetParams.from_word(self.risk.target)


class Market:
    """A margin engine with feeds and tokens, and the twin of all that it knows."""

    def __init__(self, evm: Evm | None = None, factors: GlobalParams | None = None) -> None:
        self.evm = evm or Evm()
        self.manager = self.evm.deploy(foreign("AccessManager"), self.evm.deployer)
        self.engine = new_engine(self.evm, self.manager)
        self.underlyings: dict[int, Underlying] = {}
        self.assets: dict[int, Asset] = {}
        self.gauges: dict[int, oracle.Gauge] = {}
        """Of underlyings that were sampled before they were listed."""
        self.expiries: dict[tuple[int, int], ExpiryState] = {}
        self.fixings: dict[tuple[int, int], Fixing] = {}
        """What was recorded of settlement prices, by underlying and expiry day."""
        self.global_ = Ramp(0)
        self.sequencer: Feed | None = None
        self.sequencer_grace = 0
        self.sealed = False
        self.set_parameter(Kind.GLOBAL, 0, (factors or GlobalParams()).word)
        self.reports = self._appoint_reporters()

    def _appoint_reporters(self) -> Contract:
        addresses = [actor(name).address for name in REPORTERS]
        terms = QUORUM, AGREEMENT, MAX_PREMIUM, SURFACE_AGREEMENT
        reports = self.evm.deploy("ReportOracle", self.manager.address, addresses, *terms)
        self.engine.setUp(Kind.REPORTS, 0, ReportsParams(number(reports)).word)
        return reports

    @property
    def now(self) -> int:
        return self.evm.time

    def warp(self, seconds: int) -> None:
        self.evm.warp(seconds)

    # Setting up

    def list_underlying(
        self,
        u: int,
        risk: UnderlyingParams,
        price: int,
        *,
        max_age: int = 3_600,
        floor: int = 0,
        ceiling: int = 94,
        decimals: int = 18,
        market: MarketParams | None = None,
        second: int | None = None,
        funding_cap: int = LARGEST_FUNDING_CAP,
        rounds: bool = False,
    ) -> Underlying:
        """Configures an underlying whose first observation is `price`; `second` is the deviation of
        a second source, `rounds` says that the first one keeps a history."""
        feed = self.new_rounds(price, decimals) if rounds else self.new_feed(price, decimals)
        source = SourceParams(
            number(feed.contract), max_age=max_age, floor=floor, ceiling=ceiling, decimals=decimals
        )
        wad = oracle.to_wad_down(price, decimals)
        self.underlyings[u] = Underlying(
            feed, source, Ramp(0), PriceObservation(wad, wad, self.now)
        )
        self.underlyings[u].gauge = self.gauges.get(u, oracle.Gauge())
        self.engine.setUp(Kind.SOURCE, u, source.word)
        self.set_parameter(Kind.UNDERLYING, u, risk.word)
        self.set_funding_cap(u, funding_cap)
        if second is not None:
            self._add_second(u, price, decimals, max_age, second)
        if market is not None:
            self.engine.setUp(Kind.MARKET, u, market.word)
            self.underlyings[u].market = market
        return self.underlyings[u]

    def set_options(self, u: int, word: OptionsParams) -> None:
        """Lets options and futures on an underlying be listed; before the seal."""
        self.engine.setUp(Kind.OPTIONS, u, word.word)
        self.underlyings[u].options = word

    def store_expiry(self, u: int, day: int, state: ExpiryState) -> None:
        """Writes a slice and samples where the engine keeps them: also what no report could say."""
        packed = 0 if state.slice is None else surface.pack(state.slice, state.observed_at)
        surfaces, samples = expiry_slots(self.engine)
        key = (u << 12) | day
        self.evm.set_storage(self.engine, mapping_slot(key, surfaces), packed)
        self.evm.set_storage(
            self.engine, mapping_slot(key, samples), state.sum | state.samples << 97
        )
        self.expiries[u, day] = state

    def _add_second(self, u: int, price: int, decimals: int, max_age: int, deviation: int) -> None:
        feed = self.new_feed(price, decimals)
        word = SecondSourceParams(
            number(feed.contract), max_age=max_age, decimals=decimals, deviation=deviation
        )
        self.underlyings[u].second_feed, self.underlyings[u].second = feed, word
        self.engine.setUp(Kind.SECOND_SOURCE, u, word.word)

    def sample_first(self, references: Mapping[int, tuple[int, int]]) -> None:
        """Gives underlyings that are not listed yet a gauge: an hour in which they do not move, at
        one reference before it and another after it."""
        feeds = {u: self.evm.deploy("MockRounds", 18) for u in references}
        for number_ in (1, 2):
            for u, feed in feeds.items():
                self._sample_still(u, feed, number_, references[u][number_ - 1])
            self.warp(3_600 - self.now % 3_600)

    def _sample_still(self, u: int, feed: Contract, number_: int, reference: int) -> None:
        feed.set(number_, WAD, self.now)
        source = SourceParams(number(feed), decimals=18, max_age=3_600)
        self.engine.setUp(Kind.SOURCE, u, source.word)
        self.engine.setUp(Kind.VOLATILITY, u, reference)
        self.engine.sampleVolatility(u, [number_])
        rounds = {one: oracle.Round(WAD, self.now) for one in (number_,)}
        seen = self.gauges.get(u, oracle.Gauge())
        if number_ > 1:
            rounds[1] = oracle.Round(WAD, seen.hour * oracle.HOUR)
        terms = oracle.Source(18, 3_600)
        self.gauges[u] = oracle.sample(seen, rounds, number_, terms, reference, self.now)

    def list_asset(self, c: int, token: Contract, underlying: int, risk: AssetParams) -> Asset:
        decimals = token.call.decimals()
        self.assets[c] = Asset(token, underlying, decimals, Ramp(0))
        self.engine.setUp(Kind.TOKEN, c, TokenParams(number(token), underlying, decimals).word)
        self.set_parameter(Kind.ASSET, c, risk.word)
        return self.assets[c]

    def list_yield_asset(
        self,
        c: int,
        token: Contract,
        underlying: int,
        risk: AssetParams,
        staked: Contract,
        *,
        growth: int = GROWTH_CAP,
    ) -> Asset:
        """A token that counts at the rate `staked` tells, whatever that is at first."""
        asset = Asset(token, underlying, token.call.decimals(), Ramp(0))
        asset.staked, asset.rate = staked, RateTerms(growth)
        self.assets[c] = asset
        word = TokenParams(number(token), underlying, asset.decimals).word
        self.engine.setUp(Kind.TOKEN, c, word)
        source = RateSourceParams(number(staked), RateKind.STETH_PER_TOKEN, growth_cap=growth)
        self.engine.setUp(Kind.RATE_SOURCE, c, source.word)
        asset.rate_seen = RateObservation.first(self.redemption(asset) or 0, self.now)
        self.set_parameter(Kind.ASSET, c, risk.word)
        return asset

    def set_rate_market(
        self, c: int, ratio: int, *, bound: int = DISCOUNT_BOUND, max_age: int = 86_400
    ) -> None:
        """Gives a yield token a market feed, in units of its underlying."""
        asset = self.assets[c]
        asset.rate_feed = self.new_feed(ratio, 18)
        asset.rate_max_age = max_age
        word = RateMarketParams(
            number(asset.rate_feed.contract), max_age=max_age, discount_bound=bound
        )
        self.engine.setUp(Kind.RATE_MARKET, c, word.word)
        assert asset.rate is not None
        asset.rate = replace(asset.rate, discount_bound=bound, has_market=True)
        self._observe_rate(asset)

    def set_sequencer(self, grace: int = 3_600) -> Feed:
        self.sequencer = self.new_feed(0, 0)
        self.sequencer_grace = grace
        self.engine.setUp(
            Kind.SEQUENCER, 0, SequencerParams(number(self.sequencer.contract), grace).word
        )
        return self.sequencer

    def new_feed(self, answer: int, decimals: int) -> Feed:
        contract = self.evm.deploy("MockFeed", decimals, answer)
        return Feed(contract, decimals, Answer(answer, self.now))

    def new_rounds(self, answer: int, decimals: int) -> RoundsFeed:
        feed = RoundsFeed(
            self.evm.deploy("MockRounds", decimals), decimals, Answer(answer, self.now)
        )
        feed.set(answer, self.now)
        return feed

    def new_token(self, decimals: int) -> Contract:
        return self.evm.deploy("MockToken", decimals)

    def seal(self, house: Any) -> None:
        self.engine.wire(getattr(house, "address", house))
        self.engine.seal()
        self.sealed = True

    # Parameters

    def _ramp(self, kind: Kind, id_: int) -> Ramp:
        if kind == Kind.GLOBAL:
            return self.global_
        return self.underlyings[id_].risk if kind == Kind.UNDERLYING else self.assets[id_].risk

    def set_parameter(self, kind: Kind, id_: int, word: int) -> None:
        """Puts a word in force: at once before the seal; afterwards as governance does, waiting
        where it must."""
        ramp = self._ramp(kind, id_)
        if not self.sealed:
            self.engine.setUp(kind, id_, word)
            ramp.target, ramp.begun = word, -params.RAMP
            return
        at_once = params.only_tightens(kind, ramp.target, word)
        self.engine.submit(kind, id_, word)
        if not at_once:
            self.warp(params.DELAY)
            self.engine.accept(kind, id_)
        ramp.start, ramp.target, ramp.begun = ramp.current(kind, self.now), word, self.now

    def set_funding_cap(self, u: int, cap: int) -> None:
        """Millionths of the price an hour; before the seal."""
        self.engine.setUp(Kind.FUNDING, u, FundingParams(cap).word)
        self.underlyings[u].funding_cap = cap

    def set_funding(self, u: int, rate: int) -> None:
        """Has the reporters report the premium that asks for so many dollars per unit and hour, or
        next to it: a premium has 18 decimals. Once a second at most."""
        self.report_premium(u, oracle.premium_of(rate, self.underlyings[u].seen.last))

    def report_premium(self, u: int, premium: int, *, age: int = 0) -> None:
        """Hands in a batch of which the median is `premium`, 18 decimals, and `age` seconds old."""
        batch = self.signed_reports(u, [premium, premium + AGREEMENT], self.now - age)
        self.engine.reportPremium(*batch)
        underlying = self.underlyings[u]
        rate = oracle.funding_rate(premium, underlying.funding_cap, underlying.seen.last)
        underlying.funding = underlying.funding.after(rate, self.now - age, self.now)

    def signed_reports(
        self, u: int, premiums: Sequence[int], observed_at: int
    ) -> tuple[int, list[dict[str, Any]], list[bytes]]:
        """What `reportPremium` takes, each premium by another reporter."""
        domain = report_domain(CHAIN_ID, self.reports.address)
        signed = [
            PremiumReport(u, from_wad(premium), observed_at).sign(actor(name), domain)
            for name, premium in zip(REPORTERS, premiums, strict=False)
        ]
        return Batch(u, tuple(signed)).arguments()

    def report_surface(self, u: int, slices: Sequence[Slice], *, age: int = 0) -> None:
        """Has reporters agree on a surface."""
        domain = report_domain(CHAIN_ID, self.reports.address)
        report = SurfaceReport(u, self.now - age, tuple(slices))
        signed = tuple(report.sign(actor(name), domain) for name in REPORTERS[:QUORUM])
        self.engine.reportSurface(*SurfaceBatch(u, signed).arguments())
        for piece in slices:
            seen = self.expiries.get((u, piece.expiry_day), ExpiryState())
            seen = replace(seen, slice=piece, observed_at=self.now - age)
            self.expiries[u, piece.expiry_day] = seen

    def note_fixing(self, u: int, day: int, numbers: Sequence[int]) -> None:
        """In the twin alone: what handing in these rounds does; raises `RoundRefused`."""
        one = self.underlyings[u]
        assert isinstance(one.feed, RoundsFeed)
        seen = self.fixings.get((u, day), Fixing())
        rounds, expiry, address = one.feed.readable, expiry_of(day), one.source.address
        fixing = oracle.fix(
            seen, rounds, numbers, expiry, self._source(one.source), self.now, address=address
        )
        self.fixings[u, day] = fixing
        state = self.expiries.get((u, day), ExpiryState())
        self.expiries[u, day] = replace(state, samples=fixing.samples, sum=fixing.sum)

    def freeze(self, u: int, price: int) -> None:
        """Freezes the price of a feed that has been broken for long; before the seal."""
        self.engine.setUp(Kind.FROZEN_PRICE, u, price)
        self.underlyings[u].seen = PriceObservation(price, price, self.now, PriceStatus.FROZEN)

    # Prices and rates

    def set_price(self, u: int, price: int, *, second: int | None = None) -> None:
        """Has both sources of an underlying answer `price` now; nothing is observed."""
        underlying = self.underlyings[u]
        underlying.feed.set(price, self.now)
        if underlying.second_feed is not None:
            underlying.second_feed.set(price if second is None else second, self.now)

    def observe(self, *ids: int) -> None:
        """Has the engine store the prices of underlyings."""
        self.engine.observe(list(ids))
        self.note_observed(ids)

    def note_observed(self, ids: Iterable[int]) -> None:
        """Does in the twin what an observation does."""
        for u in ids:
            self.underlyings[u].seen = self._observed(self.underlyings[u])

    def _observed(self, underlying: Underlying) -> PriceObservation:
        terms, second = underlying.params(), underlying.second
        return oracle.observe(
            underlying.seen,
            self._read(underlying.source, underlying.feed),
            None if second is None else self._read(second, underlying.second_feed),
            deviation=0 if second is None else second.deviation,
            range_=terms.range,
            now=self.now,
            sequencer_down=self.sequencer_down,
        )

    def _read(self, source: SourceParams, feed: Feed | None) -> Reading:
        assert feed is not None
        return oracle.read(self._source(source), feed.answer, self.now)

    @staticmethod
    def _source(source: SourceParams) -> oracle.Source:
        return oracle.Source(source.decimals, source.max_age, source.floor, source.ceiling)

    @property
    def sequencer_down(self) -> bool:
        return self.now < self.live_since

    @property
    def live_since(self) -> int:
        """When prices became usable after the last outage."""
        if self.sequencer is None:
            return 0
        answer = self.sequencer.answer
        if answer is None or answer.value != 0 or answer.updated_at > self.now:
            return 2**256 - 1
        return answer.updated_at + self.sequencer_grace

    def price(self, u: int) -> model.Price:
        underlying = self.underlyings[u]
        terms = underlying.params()
        return oracle.price_at(
            underlying.seen,
            self._read(underlying.source, underlying.feed),
            range_=terms.range,
            band=terms.band,
            now=self.now,
            sequencer_down=self.sequencer_down,
        )

    def set_redemption(self, c: int, rate: int) -> None:
        """Has the rate source of a yield token (a `MockRate`) say `rate`."""
        asset = self.assets[c]
        assert asset.staked is not None
        asset.staked.setRate(rate)
        asset.told_rate = rate

    def redemption(self, asset: Asset) -> int | None:
        """What the rate source says: what it was told here, or else what it answers."""
        if asset.told_rate is not None:
            return asset.told_rate
        assert asset.staked is not None
        try:
            return int(asset.staked.call.stEthPerToken())
        except Reverted:
            return None

    def rates(self, asset: Asset) -> oracle.Rates | None:
        if asset.rate is None or asset.rate_seen is None:
            return None
        return oracle.rates_at(
            asset.rate_seen,
            self.redemption(asset),
            self._rate_market(asset),
            asset.rate,
            self.now,
        )

    def _rate_market(self, asset: Asset) -> int | None:
        if asset.rate_feed is None:
            return None
        answer = asset.rate_feed.answer
        if answer is None or answer.value <= 0 or answer.updated_at > self.now:
            return None
        if self.now - answer.updated_at > asset.rate_max_age:
            return None
        return answer.value

    def observe_rates(self, *ids: int) -> None:
        self.engine.observeRates(list(ids))
        for c in ids:
            if self.assets[c].rate is not None:
                self._observe_rate(self.assets[c])

    def _observe_rate(self, asset: Asset) -> None:
        assert asset.rate is not None
        assert asset.rate_seen is not None
        asset.rate_seen = oracle.observe_rates(
            asset.rate_seen,
            self.redemption(asset),
            self._rate_market(asset),
            asset.rate,
            self.now,
        )

    def note_total(self, c: int, total: int) -> None:
        """Moves the crowd rate in the twin, as the engine does for what the vault holds."""
        asset = self.assets[c]
        rate = asset.rate_seen.rate if asset.rate_seen is not None else WAD
        units = min(2**128 - 1, total * rate // 10**asset.decimals)
        value = model.ceil_div(units * self.underlyings[asset.underlying].seen.last, WAD)
        target = oracle.crowd_target(asset.params().terms(), value)
        asset.crowd, asset.crowd_time = oracle.move_crowd(
            asset.crowd, target, asset.crowd_time, self.now
        )

    # Going back

    def checkpoint(self) -> Callable[[], None]:
        """Remembers this moment; what it returns goes back to it, any number of times."""
        chain = self.evm.snapshot()
        underlyings = {u: one.copy() for u, one in self.underlyings.items()}
        assets = {c: one.copy() for c, one in self.assets.items()}
        expiries, fixings = dict(self.expiries), dict(self.fixings)
        global_, sealed = replace(self.global_), self.sealed

        def go_back() -> None:
            self.evm.revert(chain)
            self.underlyings = {u: one.copy() for u, one in underlyings.items()}
            self.assets = {c: one.copy() for c, one in assets.items()}
            self.expiries, self.fixings = dict(expiries), dict(fixings)
            self.global_, self.sealed = replace(global_), sealed

        return go_back

    @contextmanager
    def anchored(self) -> Iterator[None]:
        """Undoes at the end whatever is done inside, on the contracts and in the twin."""
        go_back = self.checkpoint()
        try:
            yield
        finally:
            go_back()

    # The twin's view

    def inputs(self) -> Inputs:
        """What the specification says of this moment."""
        factors = GlobalParams.from_word(self.global_.target)
        current = GlobalParams.from_word(self.global_.current(Kind.GLOBAL, self.now))
        return Inputs(
            underlyings={u: self._underlying_state(u) for u in self.underlyings},
            assets={c: self._asset_state(asset) for c, asset in self.assets.items()},
            initial_factor=factors.initial_factor,
            band_ceiling=current.band_ceiling,
            expiries=dict(self.expiries),
            now=self.now,
        )

    def _underlying_state(self, u: int) -> UnderlyingState:
        underlying = self.underlyings[u]
        now = underlying.risk.current(Kind.UNDERLYING, self.now)
        return UnderlyingState(
            price=self.price(u),
            initial=underlying.params().terms(),
            maintenance=UnderlyingParams.from_word(now).terms(),
            funding_index=underlying.funding_at(self.now),
            initial_gauge=underlying.gauge.gauge,
            maintenance_gauge=underlying.gauge.maintenance(self.now),
            options=None if underlying.options is None else underlying.options.terms(),
        )

    def _asset_state(self, asset: Asset) -> AssetState:
        now = asset.risk.current(Kind.ASSET, self.now)
        state = AssetState(
            underlying=asset.underlying,
            decimals=asset.decimals,
            initial=asset.params().terms(),
            maintenance=AssetParams.from_word(now).terms(),
            crowd=asset.crowd,
        )
        rates = self.rates(asset)
        if rates is None:
            return state
        return replace(
            state, rate=rates.maintenance, initial_rate=rates.initial, doubtful=rates.doubtful
        )


def pack_portfolio(portfolio: model.Portfolio) -> tuple[int, list[int], list[int]]:
    """A portfolio as the contracts take it."""
    mask = (1 << 104) - 1
    return (
        portfolio.cash,
        [(h.asset << 128) | h.amount for h in portfolio.collateral],
        [
            (p.instrument << 208) | ((p.size & mask) << 104) | (p.quote & mask)
            for p in portfolio.positions
        ],
    )


def unpack_portfolio(packed: Any) -> model.Portfolio:
    """What the contracts say an account holds."""
    return model.Portfolio(
        packed.cash,
        tuple(model.Holding(h >> 128 & 0xFFFF, h & (2**128 - 1)) for h in packed.collateral),
        tuple(
            model.Position(p >> 208, _signed(p >> 104, 104), _signed(p, 104))
            for p in packed.positions
        ),
    )


def _signed(word: int, bits: int) -> int:
    low = word & ((1 << bits) - 1)
    return low - (1 << bits) if low >> (bits - 1) else low

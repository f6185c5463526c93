"""The shell around `decide_upkeep`: reads at one block, sends, reports. It keeps no state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import Web3Exception

from plimsoll.chain import Chain, Receipt
from plimsoll.errors import ContractError
from plimsoll.instruments import CASH, Instrument, position_fields
from plimsoll.keeper.decide import State
from plimsoll.keeper.discover import Directory
from plimsoll.keeper.rounds import HOUR, rounds_of, usable_rounds
from plimsoll.keeper.upkeep import (
    AuctionSeen,
    CloseOut,
    CopySeen,
    Fix,
    FixingSeen,
    MarketSeen,
    Note,
    NoteStanding,
    Observe,
    PositionSeen,
    Refresh,
    Sample,
    Settle,
    UpkeepAction,
    UpkeepLimits,
    UpkeepSeen,
    decide_upkeep,
)
from plimsoll.outcomes import sent_or_refused, told_of
from plimsoll.risk.instruments import expiry_of
from plimsoll.risk.model import PriceStatus
from plimsoll.risk.oracle import (
    FIXING_INTERVAL,
    FIXING_SAMPLES,
    Round,
    Source,
    fixing_instant,
    is_inside,
)
from plimsoll.risk.params import (
    NO_LIMIT,
    Kind,
    OutflowParams,
    SecondSourceParams,
    SourceKind,
    SourceParams,
)

_LIQUIDATION_PAUSED = 1 << 3
_ROUNDS_AT_ONCE = 24
_DAY = 24 * HOUR
_FIXED_WITHIN, _FROZEN_WITHIN = 7, 30
"""Days for which an expiry is looked after; a broken feed is frozen after nine at the earliest."""
_CONTROL_SLOT, _LENDING_BIT = 10, 216
_CASH_DECIMALS = 6
_UNLIMITED = 2**256 - 1
# Days after an expiry in which its positions are looked for; after that whoever holds one settles.
_SETTLED_WITHIN = 28
_FEED_VIEWS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": name,
        "stateMutability": "view",
        "inputs": [{"name": "", "type": "uint80"}] if takes_round else [],
        "outputs": [
            {"name": "", "type": kind}
            for kind in ("uint80", "int256", "uint256", "uint256", "uint80")
        ],
    }
    for name, takes_round in (("getRoundData", True), ("latestRoundData", False))
]


@dataclass(frozen=True, slots=True)
class UpkeepOutcome:
    action: UpkeepAction
    receipt: Receipt | None = None
    """None when it was refused, or only thought of (paper mode)."""
    refusal: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"do": type(self.action).__name__, **told_of(self.receipt, self.refusal)}


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    block: int
    time: int
    outcomes: tuple[UpkeepOutcome, ...]
    paper: bool

    def metrics(self) -> dict[str, int]:
        return {
            "upkeep_sent": sum(each.receipt is not None for each in self.outcomes),
            "upkeep_refused": sum(each.refusal is not None for each in self.outcomes),
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "block": self.block,
            "time": self.time,
            **self.metrics(),
            "paper": self.paper,
            "actions": [outcome.to_json() for outcome in self.outcomes],
        }


@dataclass
class Housekeeper:
    """Does what nobody is paid for; on paper without a key."""

    chain: Chain
    directory: Directory
    underlyings: Sequence[int]
    assets: Sequence[int]
    limits: UpkeepLimits = field(default_factory=UpkeepLimits)
    _engine: Contract = field(init=False)
    """As of the last look: it can be replaced."""
    _settled: set[tuple[int, int]] = field(init=False, default_factory=set)
    """Expiries, by underlying and day, of which nothing is held any more: only saves reading."""

    @property
    def paper(self) -> bool:
        return self.chain.signer is None

    def step(self) -> UpkeepReport:
        """Looks once and does what is to be done."""
        seen = self.look()
        outcomes = tuple(self._do(action) for action in decide_upkeep(seen, self.limits))
        return UpkeepReport(seen.block, seen.time, outcomes, self.paper)

    def look(self) -> UpkeepSeen:
        header = self.chain.w3.eth.get_block("latest")
        block, now = header["number"], header["timestamp"]
        self.directory.catch_up(block)
        self._engine = self.chain.engine
        functions = self.chain.clearing_house.functions
        actions, _, resumes_at = self._ask(functions.pauseState(), block)
        _, _, _, shut_at = self._ask(functions.windDown(), block)
        return UpkeepSeen(
            block=block,
            time=now,
            paused=bool(actions & _LIQUIDATION_PAUSED) and now < resumes_at,
            shut_at=shut_at,
            markets=tuple(self._market(u, now, block) for u in self.underlyings),
            copies=tuple(self._copies(block)),
            cash_hour=self._cash_hour(block),
            auctions=tuple(self._auctions(block)),
            positions=tuple(self._positions(now, block, shut=bool(shut_at))),
        )

    def _market(self, underlying: int, now: int, block: int) -> MarketSeen:
        observed_at = self._ask(self._engine.functions.observedAt(underlying), block)
        rounds = self._rounds(underlying, now, block)
        fixings = tuple(self._fixings(underlying, now, block))
        return MarketSeen(underlying, observed_at, rounds, fixings)

    def _fixings(self, underlying: int, now: int, block: int) -> Iterator[FixingSeen]:
        """Expiries of which a sample is missing that can be had now."""
        found = self._source(underlying, block)
        if found is None or not self._word(Kind.OPTIONS, underlying, block):
            return
        feed, source = found
        functions = self._engine.functions
        frozen = self._ask(functions.price(underlying), block)[3] == PriceStatus.FROZEN
        ahead = FIXING_SAMPLES * FIXING_INTERVAL
        last = (now + ahead - expiry_of(0)) // _DAY
        first = max(0, last - (_FROZEN_WITHIN if frozen else _FIXED_WITHIN))
        for day in range(first, last + 1):
            samples, _ = self._ask(functions.fixing(underlying, day), block)
            reported = self._ask(functions.surface(underlying, day), block)[1]
            if samples == FIXING_SAMPLES or not reported:
                continue
            if frozen:
                if now >= expiry_of(day):
                    yield FixingSeen(day)
            elif rounds := self._samples(feed, source, day, samples, now, block):
                yield FixingSeen(day, rounds)

    def _samples(
        self, feed: Contract, source: Source, day: int, taken: int, now: int, block: int
    ) -> tuple[int, ...]:
        known: dict[int, Round | None] = {}

        def read(number: int) -> Round | None:
            if number not in known:
                known[number] = self._round(feed, number, block)
            return known[number]

        def updated_at(number: int) -> int | None:
            found = read(number)
            return None if found is None else found.updated_at

        def is_usable(number: int) -> bool:
            found = read(number)
            return found is not None and is_inside(found, source)

        instants = (fixing_instant(expiry_of(day), n) for n in range(taken, FIXING_SAMPLES))
        starts = [start for start in instants if start <= now]
        try:
            latest, *_ = feed.functions.latestRoundData().call(block_identifier=block)
        except (Web3Exception, ValueError):
            return ()
        return usable_rounds(starts, latest, updated_at, is_usable)

    def _rounds(self, underlying: int, now: int, block: int) -> tuple[int, ...]:
        """Those that the gauge waits for; none where nothing measures volatility."""
        found = self._source(underlying, block)
        if found is None or not self._word(Kind.VOLATILITY, underlying, block):
            return ()
        feed, _ = found
        price, hour, *_ = self._ask(self._engine.functions.volatility(underlying), block)
        next_hour = hour + 1 if price else now // HOUR
        known: dict[int, int | None] = {}

        def updated_at(number: int) -> int | None:
            if number not in known:
                told = self._round(feed, number, block)
                known[number] = None if told is None else told.updated_at
            return known[number]

        try:
            latest, *_ = feed.functions.latestRoundData().call(block_identifier=block)
        except (Web3Exception, ValueError):
            return ()
        return rounds_of(next_hour, now, _ROUNDS_AT_ONCE, latest, updated_at)

    @staticmethod
    def _round(feed: Contract, number: int, block: int) -> Round | None:
        try:
            told = feed.functions.getRoundData(number).call(block_identifier=block)
        except (Web3Exception, ValueError):
            return None
        _, answer, _, moment, _ = told
        return Round(answer, moment) if moment else None

    def _source(self, underlying: int, block: int) -> tuple[Contract, Source] | None:
        """The primary source, or the second where only that is Chainlink's."""
        for kind, layout in (
            (Kind.SOURCE, SourceParams),
            (Kind.SECOND_SOURCE, SecondSourceParams),
        ):
            word = self._word(kind, underlying, block)
            source = layout.from_word(word)
            if word and source.source == SourceKind.CHAINLINK:
                address = self.chain.w3.to_checksum_address(f"0x{source.address:040x}")
                feed = self.chain.w3.eth.contract(address=address, abi=_FEED_VIEWS)
                bounds = (source.max_age, source.floor, source.ceiling)
                return feed, Source(source.decimals, *bounds)
        return None

    def _copies(self, block: int) -> Iterator[CopySeen]:
        functions = self.chain.clearing_house.functions
        keys = [_CONTROL_SLOT.to_bytes(32, "big")]
        (control,) = self._ask(functions.extsload(keys), block)
        applied = int.from_bytes(control, "big") >> _LENDING_BIT
        yield CopySeen(CASH, applied, self._word(Kind.LENDING, 0, block))
        for asset in {CASH, *self.assets}:
            limit = OutflowParams.from_word(self._word(Kind.OUTFLOW, asset, block)).limit
            in_force = _UNLIMITED if limit == NO_LIMIT else limit * 10 ** self._decimals(asset)
            yield CopySeen(asset, self._ask(functions.outflow(asset), block)[0], in_force)

    def _cash_hour(self, block: int) -> int | None:
        functions = self.chain.clearing_house.functions
        limit, _, begun_at = self._ask(functions.outflow(CASH), block)
        return None if limit == _UNLIMITED else int(begun_at)

    def _decimals(self, asset: int) -> int:
        if asset == CASH:
            return _CASH_DECIMALS
        return self._word(Kind.TOKEN, asset, "latest") >> 176

    def _auctions(self, block: int) -> Iterator[AuctionSeen]:
        watched = sorted(self.directory.watched)
        if not watched:
            return
        views = self._ask(self.chain.lens.functions.auctions(watched), block)
        for account, view in zip(watched, views, strict=True):
            readable, margin, _, auction, *_ = view
            if readable:
                call = self.chain.clearing_house.functions.provisionOf(account)
                provision = self._ask(call, block)
                yield AuctionSeen(account, State(auction[0]), margin[2], provision)

    def _positions(self, now: int, block: int, *, shut: bool) -> Iterator[PositionSeen]:
        """All of them once the house is shut; else those of expiries whose price is fixed."""
        fixed = self._fixed(now, block)
        if not shut and not fixed:
            return
        functions = self.chain.clearing_house.functions
        left: set[tuple[int, int]] = set()
        for account in sorted(self.directory.known):
            for word in self._ask(functions.portfolio(account), block)[2]:
                instrument, size, quote = position_fields(word)
                one = Instrument.decode(instrument)
                # The day of a perpetual is zero, which no expiry that is looked for has.
                expiry = one.underlying, one.expiry_day
                is_final = expiry in fixed
                if is_final:
                    left.add(expiry)
                elif not shut:
                    continue
                basis = self._basis(instrument, block)
                variation = 0 if basis is None else size * basis // 10**18 + quote
                yield PositionSeen(account, instrument, variation, is_final)
        # Nothing of an expiry that is over can be opened again.
        self._settled |= fixed - left

    def _fixed(self, now: int, block: int) -> set[tuple[int, int]]:
        """Expiries of the last weeks whose price is fixed, as far as somebody may hold some."""
        found = set()
        last = (now - expiry_of(0)) // _DAY
        for underlying in self.underlyings:
            if not self._word(Kind.OPTIONS, underlying, block):
                continue
            for day in range(max(1, last - _SETTLED_WITHIN), last + 1):
                expiry = underlying, day
                if expiry in self._settled:
                    continue
                samples, _ = self._ask(self._engine.functions.fixing(*expiry), block)
                if samples == FIXING_SAMPLES:
                    found.add(expiry)
        return found

    def _basis(self, instrument: int, block: int) -> int | None:
        """Mark less funding index; none where it cannot be read."""
        try:
            mark, _, index, *_ = self._ask(self._engine.functions.marketView(instrument), block)
        except ContractError:
            return None
        return int(mark - index)

    def _word(self, kind: Kind, number: int, block: Any) -> int:
        return int(self._ask(self._engine.functions.parameter(int(kind), number), block)[0])

    def _ask(self, function: ContractFunction, block: Any) -> Any:
        return self.chain.call(function, block)

    def _do(self, action: UpkeepAction) -> UpkeepOutcome:
        if self.paper:
            return UpkeepOutcome(action)
        return UpkeepOutcome(action, *sent_or_refused(self.chain, self._function(action)))

    def _function(self, action: UpkeepAction) -> ContractFunction:
        house, engine = self.chain.clearing_house.functions, self._engine.functions
        match action:
            case Observe(underlyings):
                return engine.observe(list(underlyings))
            case Refresh(asset):
                return house.refresh(asset)
            case Sample(underlying, rounds):
                return engine.sampleVolatility(underlying, list(rounds))
            case Fix(underlying, day, rounds):
                return engine.recordFixing(underlying, day, list(rounds))
            case Note(account):
                return house.flag(account)
            case NoteStanding(account):
                return house.standStill(account)
            case Settle(account, instrument):
                return house.settle(account, instrument)
            case CloseOut(account, instrument):
                return house.closeOut(account, instrument)

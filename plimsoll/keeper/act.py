"""The shell around `decide`: reads a snapshot at one block, sends what was decided, reports."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from web3.contract.contract import Contract, ContractFunction
from web3.types import BlockIdentifier

from plimsoll.chain import Chain, Receipt
from plimsoll.errors import ContractError
from plimsoll.instruments import AccountId, Instrument, position_fields
from plimsoll.keeper.backstop import (
    BID_DEPTH,
    BackstopBid,
    BackstopSeen,
    Offer,
    SettleEpoch,
    Spare,
    Sweep,
)
from plimsoll.keeper.decide import (
    WAD,
    Action,
    Capacity,
    Flag,
    Limits,
    Passed,
    PlaceBid,
    Reset,
    Seen,
    Snapshot,
    StandStill,
    State,
    WriteOff,
    decide,
    gas_cost,
)
from plimsoll.keeper.discover import Directory
from plimsoll.outcomes import sent_or_refused, told_of
from plimsoll.records import UNREADABLE

_HEALTHS_PER_CALL = 200
_RISKS_PER_CALL = 25
_LIQUIDATION_PAUSED = 1 << 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one action."""

    action: Action
    receipt: Receipt | None = None
    """None when it was refused, or only thought of (paper mode)."""
    refusal: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For logs: big numbers as text, so that no reader rounds them."""
        said: dict[str, Any] = {
            "do": type(self.action).__name__,
            "account": self.action.account.hex(),
        }
        if isinstance(self.action, PlaceBid):
            said |= {"fraction": str(self.action.fraction), "max_price": str(self.action.max_price)}
        return said | told_of(self.receipt, self.refusal)


@dataclass(frozen=True, slots=True)
class Report:
    """One pass of the keeper."""

    block: int
    time: int
    accounts: int
    """How many are known."""
    in_need: int
    """Below maintenance, or left with debt alone."""
    outcomes: tuple[Outcome, ...]
    passed: tuple[Passed, ...]
    paper: bool
    gas_spent: int
    """Dollars since the keeper started."""

    def metrics(self) -> dict[str, int]:
        return {
            "accounts": self.accounts,
            "in_need": self.in_need,
            "sent": sum(each.receipt is not None for each in self.outcomes),
            "refused": sum(each.refusal is not None for each in self.outcomes),
            "gas_spent_dollars": self.gas_spent // WAD,
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "block": self.block,
            "time": self.time,
            **self.metrics(),
            "paper": self.paper,
            "actions": [outcome.to_json() for outcome in self.outcomes],
            "passed": [{"account": p.account.hex(), "reason": p.reason} for p in self.passed],
        }


@dataclass(slots=True)
class Keeper:
    """A liquidator with an account, limits and perhaps a key; on paper without one."""

    chain: Chain
    directory: Directory
    bidder: AccountId | None
    limits: Limits = field(default_factory=Limits)
    native_underlying: int | None = None
    """Whose price the token that pays gas has; none: `native_price`."""
    native_price: int = 4_000 * WAD
    gas_spent: int = 0
    tends_backstop: bool = False
    """Whether it also has the backstop bid, sweep and settle."""
    _last_engine: Contract | None = None

    @property
    def paper(self) -> bool:
        return self.chain.signer is None

    def step(self) -> Report:
        """Looks once and does what is to be done."""
        return self.act(self.look())

    def act(self, snapshot: Snapshot) -> Report:
        """Decides on a snapshot and sends what was decided."""
        plan = decide(snapshot, self.limits)
        outcomes = tuple(self._do(action, snapshot) for action in plan.actions)
        return Report(
            block=snapshot.block,
            time=snapshot.time,
            accounts=len(self.directory.known),
            in_need=sum(seen.in_need for seen in snapshot.accounts),
            outcomes=outcomes,
            passed=tuple(plan.passed),
            paper=self.paper,
            gas_spent=self.gas_spent,
        )

    def look(self) -> Snapshot:
        """Everything a decision needs, read at one block."""
        header = self.chain.w3.eth.get_block("latest")
        block, time = header["number"], header["timestamp"]
        self.directory.catch_up(block)
        engine = self._engine(block)
        factors = self._ask(engine.functions.factors(), block)
        actions, _, resumes_at = self._ask(self.chain.clearing_house.functions.pauseState(), block)
        accounts = tuple(self._seen(block))
        return Snapshot(
            block=block,
            time=time,
            gas_price=self.chain.w3.eth.gas_price,
            native_price=self._native_price(engine, block),
            gas_spent=self.gas_spent,
            initial_factor=factors[0],
            payout_cap=factors[3],
            paused=bool(actions & _LIQUIDATION_PAUSED) and time < resumes_at,
            bidder=self._capacity(block),
            accounts=accounts,
            backstop=self._backstop_seen(accounts, block) if self.tends_backstop else None,
        )

    def _seen(self, block: int) -> Iterator[Seen]:
        """The accounts that are below maintenance or in an auction."""
        own = self.bidder.encode() if self.bidder else b""
        known = sorted(self.directory.known - {own})
        healths = _in_parts(
            known, _HEALTHS_PER_CALL, lambda part: self._lens("healths", part, block)
        )
        needy = {a for a, health in zip(known, healths, strict=True) if UNREADABLE < health < WAD}
        chosen = sorted(needy | self.directory.watched - {own})
        views = _in_parts(chosen, _RISKS_PER_CALL, lambda part: self._lens("auctions", part, block))
        risks = _in_parts(
            chosen, _RISKS_PER_CALL, lambda part: self._lens("accountRisks", part, block)[0]
        )
        for account, view, risk in zip(chosen, views, risks, strict=True):
            seen = _decode(account, view, risk)
            if seen is None:
                continue
            if seen.in_need or seen.state is not State.NONE:
                yield seen
            else:
                self.directory.watched.discard(account)

    def _backstop_seen(self, accounts: Sequence[Seen], block: int) -> BackstopSeen:
        """What the backstop would do now, by trying it: whatever is refused is not there."""
        functions = self._backstop(block).functions
        deep = [one for one in accounts if one.depth >= BID_DEPTH and not one.healthy]
        slices = [(one, self._try(functions.quoteSlice(one.account), block)) for one in deep]
        used = [account for account, *_ in self._ask(functions.subAccounts(), block)]
        swept = [(account, self._try(functions.sweep(account), block)) for account in used]
        settled = self._try(functions.settleEpoch(), block)
        return BackstopSeen(
            offers=tuple(
                Offer(one.account, one.edge(found[0])) for one, found in slices if found is not None
            ),
            spare=tuple(
                Spare(account, amount, frees=self._is_bare(account, block))
                for account, amount in swept
                if amount is not None
            ),
            settles=settled is not None,
        )

    def _is_bare(self, account: bytes, block: int) -> bool:
        portfolio = self.chain.clearing_house.functions.portfolio(account)
        _, holdings, positions = self._ask(portfolio, block)
        return not holdings and not positions

    def _backstop(self, block: BlockIdentifier) -> Contract:
        address = self._ask(self.chain.clearing_house.functions.backstop(), block)
        return self.chain.contract("BackstopVault", address)

    def _try(self, function: ContractFunction, block: int) -> Any:
        """What a call would return; None when it is refused."""
        try:
            return self._ask(function, block)
        except ContractError:
            return None

    def _capacity(self, block: int) -> Capacity | None:
        if self.bidder is None:
            return None
        account = self.bidder.encode()
        risk = self._ask(self.chain.lens.functions.accountRisk(account), block)
        margin = risk[0]
        return Capacity(account=account, free=margin[1] - margin[3], gross=_gross(risk))

    def _engine(self, block: int) -> Contract:
        """Asked each time, since it can be replaced; built anew only when it was."""
        address = self._ask(self.chain.clearing_house.functions.engine(), block)
        if self._last_engine is None or self._last_engine.address != address:
            self._last_engine = self.chain.contract("MarginEngine", address)
        return self._last_engine

    def _native_price(self, engine: Contract, block: int) -> int:
        if self.native_underlying is None:
            return self.native_price
        price: int = self._ask(engine.functions.price(self.native_underlying), block)[0]
        return price

    def _lens(self, view: str, accounts: Sequence[bytes], block: int) -> Any:
        return self._ask(self.chain.lens.functions[view](list(accounts)), block)

    def _ask(self, function: ContractFunction, block: BlockIdentifier) -> Any:
        return self.chain.call(function, block)

    def _do(self, action: Action, snapshot: Snapshot) -> Outcome:
        """Sends one action."""
        if self.paper:
            return Outcome(action)
        receipt, refusal = sent_or_refused(self.chain, self._function(action))
        if receipt is not None:
            self.gas_spent += gas_cost(snapshot, receipt.gas_used)
        return Outcome(action, receipt, refusal)

    def _function(self, action: Action) -> ContractFunction:
        functions = self.chain.clearing_house.functions
        match action:
            case BackstopBid(account):
                return self._backstop("latest").functions.bid(account)
            case Sweep(account):
                return self._backstop("latest").functions.sweep(account)
            case SettleEpoch():
                return self._backstop("latest").functions.settleEpoch()
            case Flag(account):
                return functions.flag(account)
            case StandStill(account):
                return functions.standStill(account)
            case Reset(account):
                return functions.reset(account)
            case WriteOff(account):
                return functions.writeOff(account)
            case PlaceBid():
                return functions.bid(
                    (
                        action.account,
                        action.bidder,
                        action.fraction,
                        action.max_price,
                        action.deadline,
                        action.version,
                    )
                )


def _decode(account: bytes, view: Sequence[Any], risk: Sequence[Any]) -> Seen | None:
    """None for an account that cannot be read now."""
    readable, margin, _, auction, depth, version, fraction, _ = view
    if not readable:
        return None
    cash, holdings, positions = risk[6]
    return Seen(
        account=account,
        equity=margin[2],
        initial_equity=margin[1],
        maintenance=margin[4],
        initial=margin[3],
        doubtful=margin[5],
        state=State(auction[0]),
        observed_at=auction[1],
        depth=depth,
        version=version,
        fraction=fraction,
        gross=_gross(risk),
        items=len(holdings) + len(positions),
        only_debt=cash < 0 and not holdings and not positions,
    )


def _gross(risk: Sequence[Any]) -> int:
    """Collateral and positions at index prices, nothing netted, rounded up.

    The collateral of an underlying is its delta less its positions.
    """
    sizes: dict[int, int] = {}
    gross = 0
    prices = {u: price[0] for u, price, *_ in risk[5]}
    for word in risk[6][2]:
        instrument, size, _ = position_fields(word)
        underlying = Instrument.decode(instrument).underlying
        sizes[underlying] = sizes.get(underlying, 0) + size
        gross += abs(size) * prices[underlying]
    for underlying, price, delta, *_ in risk[5]:
        gross += abs(delta - sizes.get(underlying, 0)) * price[0]
    return -(-gross // WAD)


def _in_parts(
    items: Sequence[bytes], size: int, ask: Callable[[Sequence[bytes]], Sequence[T]]
) -> list[T]:
    return [answer for at in range(0, len(items), size) for answer in ask(items[at : at + size])]

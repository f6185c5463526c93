"""What a change of a parameter would do to every account, before anybody votes on it.

Everything is read at one block; the integer twin then computes each account twice: as things stand,
and with the change in force. Prices, rates, funding, gauges and the crowd stay as they
are at that block. The result is what the chain says once the change is accepted, to the last bit,
and again when its ramp is over.

>>> proposal = propose(house, Kind.UNDERLYING, 1, {"range": "7 %"})
>>> found = preview(house, proposal, accounts)
>>> [each.account for each in found.affected if each.end.liquidatable]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any

from eth_typing import ChecksumAddress
from web3.types import BlockIdentifier

from plimsoll.chain import Chain
from plimsoll.deploy.words import describe, difference, read_word, write_value
from plimsoll.errors import InvalidConnectionError, PlimsollError, translated
from plimsoll.instruments import AccountId
from plimsoll.protocol import Plimsoll
from plimsoll.records import Margin, Portfolio
from plimsoll.risk import model, oracle
from plimsoll.risk.params import (
    DELAY,
    RAMP,
    RISK_KINDS,
    AssetParams,
    GlobalParams,
    Kind,
    OptionsParams,
    ParameterError,
    UnderlyingParams,
    only_tightens,
)
from plimsoll.risk.rules import (
    ASSET_KINDS,
    REMOVABLE,
    RefusedWordError,
    require_ramp,
    require_steps,
    require_valid,
)
from plimsoll.snapshot import MarketState, expiries_of, market_state, to_model, to_record

# How many accounts one call reads: nodes bound the gas of a call.
_BATCH = 20
# `OracleAdapter` keeps an underlying's observation in the second of its arrays of 256.
_OBSERVED = 256
_MASK_94 = (1 << 94) - 1
UNSET = "unset"
MARGIN_KINDS = (Kind.GLOBAL, Kind.UNDERLYING, Kind.ASSET, Kind.FROZEN_PRICE, Kind.OPTIONS)
"""Kinds whose words move margins. A new source moves a price, which is not the word's doing."""
_EFFECTS = {
    Kind.MARKET: "fees, cap and stress jump bind the next trade; nothing that is held changes",
    Kind.FUNDING: "the next report is bound by the new cap; the rate in force stands",
    Kind.SOURCE: "the price is read there; it must be within 2 % of the last one",
    Kind.SECOND_SOURCE: "the next observation confirms the price there",
    Kind.PYTH_ID: "the price is read there; it must be within 2 % of the last one",
    Kind.SECOND_PYTH_ID: "the next observation confirms the price there",
    Kind.TOKEN: "the token is known; deposits wait for its ASSET word",
    Kind.RATE_SOURCE: "the rate is read there; it must be within 2 % of the last one",
    Kind.RATE_MARKET: "the market is read there; it must be within 2 % of the last one",
    Kind.SEQUENCER: "prices are doubtful while that feed says the sequencer is down",
    Kind.LENDING: "interest runs at the new terms from the next refresh of the ledger's copy",
    Kind.OUTFLOW: "withdrawals are held to it from the next refresh of the ledger's copy",
    Kind.VOLATILITY: "the variance stays; the gauge follows with the next sample",
    Kind.REPORTS: "funding and signed prices come from there; what has accrued stays",
    Kind.SYMBOL: "the underlying is shown under that name",
}


class RefusedProposalError(PlimsollError):
    """The registry would refuse the word. Names the field."""


class TwinMismatchError(PlimsollError):
    """The twin does not compute what the chain does now, so it cannot say what it would compute."""


@dataclass(frozen=True)
class Proposal:
    """A word that the registry would take."""

    kind: Kind
    id: int
    old: int
    current: int
    """The word in force for maintenance margin now."""
    new: int
    block: int

    @property
    def at_once(self) -> bool:
        """Whether `submit` puts it in force; every other word waits for `accept`."""
        # No word is a word only where it is the loosest: no limit on what leaves.
        replaces = self.old != 0 or self.kind is Kind.OUTFLOW
        return self.kind in RISK_KINDS and replaces and only_tightens(self.kind, self.old, self.new)

    @property
    def changes(self) -> list[str]:
        return difference(self.kind, self.old, self.new)


@dataclass(frozen=True)
class Outlook:
    """One account at one moment, without the change and with it."""

    before: Margin
    after: Margin

    @property
    def restricted(self) -> bool:
        """Whether the change takes it below initial margin."""
        return self.before.free and not self.after.free

    @property
    def liquidatable(self) -> bool:
        """Whether the change takes it below maintenance margin."""
        return self.before.healthy and not self.after.healthy

    @property
    def initial_shortfall(self) -> Decimal:
        return max(Decimal(0), self.after.initial_margin - self.after.initial_equity)

    @property
    def maintenance_shortfall(self) -> Decimal:
        return max(Decimal(0), self.after.maintenance_margin - self.after.maintenance_equity)

    @property
    def falls(self) -> bool:
        return self.restricted or self.liquidatable


@dataclass(frozen=True)
class Affected:
    """An account that the change takes below a margin, now or at the end of the ramp."""

    account: AccountId
    now: Outlook
    end: Outlook


@dataclass(frozen=True)
class Preview:
    proposal: Proposal
    block: int
    timestamp: int
    effect: str
    """What happens instead, of a kind that moves no margin."""
    outlooks: Mapping[AccountId, tuple[Outlook, Outlook]]
    """Every account that was read: as the change comes into force, and when its ramp is over."""
    unreadable: tuple[AccountId, ...] = ()

    @property
    def affected(self) -> list[Affected]:
        """Whom the change takes below a margin; the worst first."""
        found = [
            Affected(account, now, end)
            for account, (now, end) in self.outlooks.items()
            if now.falls or end.falls
        ]
        return sorted(
            found,
            key=lambda each: (each.end.maintenance_shortfall, each.end.initial_shortfall),
            reverse=True,
        )

    def to_json(self) -> dict[str, Any]:
        proposal = self.proposal
        return {
            "block": self.block,
            "timestamp": self.timestamp,
            "kind": proposal.kind.name,
            "id": proposal.id,
            "old": hex(proposal.old),
            "new": hex(proposal.new),
            "meaning": describe(proposal.kind, proposal.new),
            "changes": proposal.changes,
            "at_once": proposal.at_once,
            "delay": 0 if proposal.at_once else DELAY,
            "ramp": RAMP if ramps(proposal) else 0,
            "effect": self.effect,
            "accounts": len(self.outlooks),
            "unreadable": [str(account) for account in self.unreadable],
            "affected": [
                {
                    "account": str(each.account),
                    "now": _outlook_json(each.now),
                    "end": _outlook_json(each.end),
                }
                for each in self.affected
            ],
        }


def propose(
    house: Plimsoll,
    kind: Kind,
    id_: int,
    fields: Mapping[str, str],
    block: BlockIdentifier = "latest",
    governor: ChecksumAddress | None = None,
) -> Proposal:
    """The word that results from changing these fields, given in human units.

    Raises `RefusedProposalError`, with the name of the field, for what the registry would refuse:
    beyond a bound, or loosened by more than one step. `{"unset": ""}` takes a word away. With a
    `governor` the registry itself is asked too, as if he submitted it: `ContractError` if it
    refuses.
    """
    at = house.chain.w3.eth.get_block(block)["number"]
    try:
        require_id(kind, id_)
        call = house.chain.engine.functions.parameter(int(kind), id_)
        old, current, *_ = house.chain.call(call, at)
        new = _word(kind, old, fields)
        require_valid(kind, id_, new)
        require_steps(kind, old, new)
        require_ramp(kind, current, new)
    except RefusedWordError as error:
        raise RefusedProposalError(_refusal(error)) from error
    except ParameterError as error:
        raise RefusedProposalError(str(error)) from error
    if governor is not None:
        submission = house.chain.engine.functions.submit(int(kind), id_, new)
        with translated():
            submission.call({"from": governor}, block_identifier=at)
    return Proposal(kind, id_, old, current, new, at)


def id_of(house: Plimsoll, kind: Kind, name: str) -> int:
    """An id by number, or by symbol where the deployment names it."""
    if name.isdecimal():
        return int(name)
    return house.asset(name).id if kind in ASSET_KINDS else house.market(name).instrument.underlying


def require_id(kind: Kind, id_: int) -> None:
    """Ids are checked before the chain is asked, which knows 16 bits of them."""
    if not 0 <= id_ < 1 << 16:
        raise RefusedWordError(kind, "id", id_, 0, (1 << 16) - 1)


def _word(kind: Kind, old: int, fields: Mapping[str, str]) -> int:
    if set(fields) != {UNSET}:
        return read_word(kind, old, fields)
    if kind not in (*REMOVABLE, Kind.FROZEN_PRICE):
        raise ParameterError(f"{kind.name} cannot be taken away")
    return 0


def _refusal(error: RefusedWordError) -> str:
    """The refusal in human units."""

    def shown(value: int) -> str:
        if error.field in ("id", "word") or error.kind is Kind.SYMBOL:
            return hex(value) if error.kind is Kind.SYMBOL else str(value)
        return write_value(error.kind, error.field, value)

    line = f"{error.kind.name}: {error.field} = {shown(error.value)}"
    if error.low is None or error.high is None:
        return f"{line} {error.why}"
    bounds = f"the registry takes {shown(error.low)} to {shown(error.high)}"
    return f"{line} is {error.why}: {bounds}" if error.why else f"{line}: {bounds}"


def preview(house: Plimsoll, proposal: Proposal, accounts: Iterable[AccountId]) -> Preview:
    """What the proposal would do to these accounts, at the block of the proposal."""
    chain, block = house.chain, proposal.block
    timestamp = int(chain.w3.eth.get_block(block)["timestamp"])
    if proposal.kind not in MARGIN_KINDS:
        return Preview(proposal, block, timestamp, _EFFECTS[proposal.kind], {})
    held: dict[AccountId, tuple[Portfolio, Margin]] = {}
    unreadable: list[AccountId] = []
    for batch in _batches(accounts):
        for account, risk in zip(batch, house.risks(batch, block), strict=True):
            if risk is None:
                unreadable.append(account)
            else:
                held[account] = risk.portfolio, risk.margin
    world = _World(chain, proposal, _state(chain, held.values(), block))
    outlooks = {
        account: world.outlooks(account, portfolio, told)
        for account, (portfolio, told) in held.items()
    }
    return Preview(proposal, block, timestamp, "", outlooks, tuple(unreadable))


def ramps(proposal: Proposal) -> bool:
    """Whether maintenance follows over three days."""
    return proposal.old != 0 and proposal.kind in (Kind.GLOBAL, Kind.UNDERLYING, Kind.ASSET)


def _state(
    chain: Chain, held: Iterable[tuple[Portfolio, Margin]], block: BlockIdentifier
) -> MarketState:
    portfolios = [portfolio for portfolio, _ in held]
    traded = {p.instrument for each in portfolios for p in each.positions}
    underlyings = {one.underlying for one in traded}
    assets = {holding.asset for each in portfolios for holding in each.collateral}
    return market_state(
        chain, sorted(underlyings), sorted(assets), block, expiries=expiries_of(traded)
    )


class _World:
    """The market at one block, as it is and as the change would make it."""

    def __init__(self, chain: Chain, proposal: Proposal, state: MarketState) -> None:
        self._chain = chain
        self._proposal = proposal
        self._now = state.timestamp
        factors = chain.engine.functions.parameter(int(Kind.GLOBAL), 0)
        self._factors: int = chain.call(factors, proposal.block)[0]
        self._before = state.inputs
        self._after = self._changed(state.inputs)
        self._before_end = self._settled(self._before, self._factors)
        changed = proposal.new if proposal.kind is Kind.GLOBAL else self._factors
        self._after_end = self._settled(self._after, changed)

    def outlooks(
        self, account: AccountId, portfolio: Portfolio, told: Margin
    ) -> tuple[Outlook, Outlook]:
        held = to_model(portfolio)

        def margin(inputs: model.Inputs) -> Margin:
            return to_record(model.margin(held, inputs))

        before = margin(self._before)
        if before != told:
            raise TwinMismatchError(f"of {account} the chain says {told}, the twin {before}")
        now = Outlook(before, margin(self._after))
        return now, Outlook(margin(self._before_end), margin(self._after_end))

    def _changed(self, inputs: model.Inputs) -> model.Inputs:
        """The change as it comes into force: the target at once, maintenance where it stands."""
        proposal = self._proposal
        if proposal.kind is Kind.GLOBAL:
            factor = GlobalParams.from_word(proposal.new).initial_factor
            return replace(inputs, initial_factor=factor)
        if proposal.kind is Kind.ASSET:
            return self._with_asset(inputs)
        underlyings = dict(inputs.underlyings)
        if proposal.id in underlyings:
            state = underlyings[proposal.id]
            underlyings[proposal.id] = self._moved(state)
        return replace(inputs, underlyings=underlyings)

    def _moved(self, state: model.UnderlyingState) -> model.UnderlyingState:
        if self._proposal.kind is Kind.OPTIONS:
            return replace(state, options=OptionsParams.from_word(self._proposal.new).terms())
        if self._proposal.kind is Kind.FROZEN_PRICE:
            return self._frozen(state)
        return self._with_terms(state)

    def _with_asset(self, inputs: model.Inputs) -> model.Inputs:
        assets, id_ = dict(inputs.assets), self._proposal.id
        if id_ in assets:
            terms = AssetParams.from_word(self._proposal.new).terms()
            assets[id_] = replace(assets[id_], initial=terms)
        return replace(inputs, assets=assets)

    def _with_terms(self, state: model.UnderlyingState) -> model.UnderlyingState:
        terms = UnderlyingParams.from_word(self._proposal.new).terms()
        seen = self._observation(state)
        price = replace(
            state.price,
            stable=oracle.stable_at(seen, terms.range, self._now),
            band=self._band(state.price.status, terms, seen),
        )
        return replace(state, price=price, initial=terms)

    def _frozen(self, state: model.UnderlyingState) -> model.UnderlyingState:
        """A frozen price has no band; one that is lifted is doubtful until it is observed."""
        price, frozen = self._proposal.new, model.PriceStatus.FROZEN
        if price:
            return replace(state, price=model.Price(price, price, 0, frozen))
        if state.price.status != frozen:
            return state
        doubtful = model.PriceStatus.UNCONFIRMED
        band = self._band(doubtful, state.initial, self._observation(state))
        return replace(state, price=replace(state.price, band=band, status=doubtful))

    def _band(
        self,
        status: model.PriceStatus,
        terms: model.UnderlyingTerms,
        seen: oracle.PriceObservation,
    ) -> int:
        if status == model.PriceStatus.FROZEN:
            return 0
        if status == model.PriceStatus.OK:
            return terms.band
        return model.broken_band(terms.range, terms.band, self._now - seen.time)

    def _observation(self, state: model.UnderlyingState) -> oracle.PriceObservation:
        """What the engine last stored of the price, from its storage, checked against its views.

        No view tells the stable price before the interval since then was credited to it, and a
        new range credits another part of it.
        """
        chain, proposal = self._chain, self._proposal
        engine = chain.engine
        raw = chain.w3.eth.get_storage_at(engine.address, _OBSERVED + proposal.id, proposal.block)
        word = int.from_bytes(raw, "big")
        seen = oracle.PriceObservation(
            stable=word & _MASK_94, last=word >> 94 & _MASK_94, time=word >> 188 & 0xFFFFFFFF
        )
        told = chain.call(engine.functions.observedAt(proposal.id), proposal.block)
        known = oracle.stable_at(seen, state.initial.range, self._now)
        if seen.time != told or known != state.price.stable:
            raise InvalidConnectionError("the engine keeps its observations elsewhere")
        return seen

    @staticmethod
    def _settled(inputs: model.Inputs, factors: int) -> model.Inputs:
        """Three days on, every ramp in flight is over too: maintenance stands at its target."""
        underlyings = {
            u: replace(state, maintenance=state.initial) for u, state in inputs.underlyings.items()
        }
        assets = {
            c: replace(state, maintenance=state.initial) for c, state in inputs.assets.items()
        }
        ceiling = GlobalParams.from_word(factors).band_ceiling
        return replace(inputs, underlyings=underlyings, assets=assets, band_ceiling=ceiling)


def _batches(accounts: Iterable[AccountId]) -> Iterator[Sequence[AccountId]]:
    waiting = iter(accounts)
    while batch := list(islice(waiting, _BATCH)):
        yield batch


def _outlook_json(outlook: Outlook) -> dict[str, Any]:
    return {
        "before": _margin_json(outlook.before),
        "after": _margin_json(outlook.after),
        "below_initial": outlook.restricted,
        "below_maintenance": outlook.liquidatable,
        "initial_shortfall": f"{outlook.initial_shortfall:f}",
        "maintenance_shortfall": f"{outlook.maintenance_shortfall:f}",
    }


def _margin_json(margin: Margin) -> dict[str, str]:
    return {
        name: f"{getattr(margin, name):f}"
        for name in (
            "equity",
            "initial_equity",
            "maintenance_equity",
            "initial_margin",
            "maintenance_margin",
        )
    }

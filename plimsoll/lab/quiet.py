"""The hours before the crash: interest runs, and reporters sign what they see of the premium."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from plimsoll.chain import Chain
from plimsoll.instruments import Instrument, Kind
from plimsoll.lab.actors import Actor, Cast
from plimsoll.lab.node import Anvil
from plimsoll.lab.record import Quiet, QuietRow
from plimsoll.protocol import Plimsoll
from plimsoll.reporter import Box, KeySigner, Observation, Reporter, mid_premium
from plimsoll.reporter.act import Outcome
from plimsoll.units import WAD

HOUR = 3_600
_APART = Decimal("0.00005")
"""What two reporters, looking a moment apart, see of the premium."""
_HALF_SPREAD = Decimal("0.0005")


@dataclass
class QuietHours:
    """Lets hours pass at the opening prices, with a batch of reports in each."""

    node: Anvil
    cast: Cast
    box: Path
    prices: Mapping[str, Decimal]
    underlyings: Mapping[str, int]
    premium: Decimal
    push: Callable[[Mapping[str, Decimal], int], object]

    @property
    def chain(self) -> Chain:
        return self.cast.sponsor.house.chain

    def run(self, hours: int, accounts: Mapping[str, list[bytes]]) -> Quiet:
        """`accounts` are those of each name; nobody trades meanwhile."""
        named = [(name, account) for name, owned in accounts.items() for account in owned]
        opening = self.chain.call(self.chain.lens.functions.solvency())
        first = self._state(accounts)
        outcomes: list[Outcome] = []
        for _ in range(hours):
            self.push(self.prices, self.node.time + HOUR)
            outcomes += self._report()
        self.push(self.prices, self.node.time + HOUR)
        last = self._state(accounts)
        rows = {name: [0, 0] for name in accounts}
        for name, account in named:
            rows[name][0] += last.cash[account] - first.cash[account]
            rows[name][1] += _funding(first, last, account)
        taken = [each.batch for each in outcomes if each.receipt is not None and each.batch]
        symbols = {number: symbol for symbol, number in self.underlyings.items()}
        return Quiet(
            hours=hours + 1,
            borrow_rate=opening[6],
            supply_rate=opening[7],
            utilisation=opening[5],
            premiums={symbols[b.underlying]: int(b.premium * WAD) for b in taken},
            reports=len(taken),
            rows=[QuietRow(name, *changes) for name, changes in rows.items()],
            to_reserves=last.reserves - first.reserves,
        )

    def _report(self) -> list[Outcome]:
        """Every reporter for himself; whoever completes a quorum hands it in."""
        return [
            outcome
            for number, actor in enumerate(self.cast.reporters)
            for outcome in self._reporter(number, actor).step().outcomes
        ]

    def _reporter(self, number: int, actor: Actor) -> Reporter:
        symbols = {self.underlyings[symbol]: symbol for symbol in self.prices}

        def see(underlying: int) -> Observation:
            """The middle of the maker's book, a moment after the reporter before."""
            index = self.prices[symbols[underlying]]
            middle = index * (1 + self.premium + (number - 1) * _APART)
            bid, ask = middle * (1 - _HALF_SPREAD), middle * (1 + _HALF_SPREAD)
            return Observation(mid_premium(bid, ask, index), self.node.time)

        signers = [KeySigner(actor.key)]
        return Reporter(actor.house.chain, see, signers, Box(self.box), sorted(symbols))

    def _state(self, accounts: Mapping[str, list[bytes]]) -> _State:
        house = Plimsoll(self.chain)
        functions = self.chain.clearing_house.functions
        portfolios = {
            account: self.chain.call(functions.portfolio(account))
            for owned in accounts.values()
            for account in owned
        }
        indices = {
            number: int(house.funding(number).index * WAD) for number in self.underlyings.values()
        }
        return _State(
            cash={account: held[0] for account, held in portfolios.items()},
            positions={account: list(held[2]) for account, held in portfolios.items()},
            indices=indices,
            reserves=self.chain.call(functions.pool())[6],
        )


@dataclass(frozen=True, slots=True)
class _State:
    cash: Mapping[bytes, int]
    positions: Mapping[bytes, list[int]]
    indices: Mapping[int, int]
    reserves: int


def _funding(first: _State, last: _State, account: bytes) -> int:
    """What perpetuals gained by the move of the index; longs pay when it rises. Rounded down."""
    gained = 0
    for word in first.positions[account]:
        size = (word >> 104) % (1 << 104)
        size -= (size >> 103) << 104
        held = Instrument.decode(word >> 208)
        if held.kind is Kind.PERPETUAL:
            moved = last.indices[held.underlying] - first.indices[held.underlying]
            gained += -size * moved // WAD
    return gained

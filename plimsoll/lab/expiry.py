"""The end of the options: the feed's rounds fix the price, and anybody settles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from plimsoll.chain import Chain
from plimsoll.instruments import AccountId, Instrument, Kind
from plimsoll.lab.books import Books
from plimsoll.lab.interest import call_at
from plimsoll.lab.node import Anvil
from plimsoll.lab.record import Expiry, Fixing, Interim, Settled
from plimsoll.lab.worlds import Exchange
from plimsoll.protocol import Account
from plimsoll.risk.instruments import expiry_of

SAMPLES = 6
_INTERVAL = 300
_ROUND_BITS = 64
"""Of a round's number, below the phase of its proxy."""

Push = Callable[[Mapping[str, Decimal], int], object]


@dataclass(frozen=True)
class Expiring:
    """Everything that it records is read from the chain."""

    node: Anvil
    chain: Chain
    exchange: Exchange
    underlyings: Sequence[str]
    prices: Sequence[Mapping[str, Decimal]]
    """Of the six instants."""
    push: Push
    latest_round: Callable[[str], int]
    books: Callable[[], Books]

    @property
    def time(self) -> int:
        return expiry_of(self.exchange.expiry_day)

    def run(self, names: Mapping[bytes, str], sellers: Mapping[str, Sequence[bytes]]) -> Expiry:
        """`names` are those of all accounts, `sellers` the traders with options and theirs."""
        first = self.time - SAMPLES * _INTERVAL
        record = Expiry(self.time)
        record.books.append(self._check("the crash is over, the options are open"))
        rounds: dict[str, list[int]] = {symbol: [] for symbol in self.underlyings}
        for sample in range(SAMPLES):
            self.push(self.prices[sample], first + sample * _INTERVAL)
            for symbol in self.underlyings:
                rounds[symbol].append(self.latest_round(symbol))
            if sample == SAMPLES // 2 - 1:
                self._fix(rounds, 0)
                record.books.append(self._check("three of six samples are fixed"))
        self.push(self.prices[-1], self.time)
        self._fix(rounds, SAMPLES // 2)
        record.fixings = [self._fixing(symbol, rounds[symbol]) for symbol in self.underlyings]
        record.books.append(self._check("the price is fixed, nothing is settled"))
        record.settled = self._settle(names)
        record.ends = {name: self._equity(accounts) for name, accounts in sellers.items()}
        record.books.append(self._check("all options are settled"))
        return record

    def _fix(self, rounds: Mapping[str, Sequence[int]], start: int) -> None:
        """Anyone may: the rounds are the feed's, and the engine looks each of them up."""
        for symbol, numbers in rounds.items():
            record = self.chain.engine.functions.recordFixing(
                self.exchange.underlyings[symbol], self.exchange.expiry_day, numbers[start:]
            )
            self.chain.send(record)

    def _fixing(self, symbol: str, rounds: Sequence[int]) -> Fixing:
        engine, underlying = self.chain.engine, self.exchange.underlyings[symbol]
        day = self.exchange.expiry_day
        logs = engine.events.FixingRecorded().get_logs(
            from_block=0, argument_filters={"underlying": underlying, "expiryDay": day}
        )
        state = self.chain.call(engine.functions.fixing(underlying, day))
        return Fixing(
            underlying=symbol,
            samples=[log["args"]["price"] for log in logs],
            rounds=[number % (1 << _ROUND_BITS) for number in rounds],
            price=state[1] // SAMPLES,
        )

    def _settle(self, names: Mapping[bytes, str]) -> list[Settled]:
        """Those who pay come first: nobody takes out what has not come in."""
        due = [
            (account, Instrument.decode(number), size, quote)
            for account, held in self.books().balances.items()
            for number, (size, quote) in held.positions.items()
            if Instrument.decode(number).kind is Kind.OPTION
        ]
        due.sort(key=lambda each: self._worth(*each[1:]))
        return [self._settled(a, names.get(a, a.hex()), i, size) for a, i, size, _ in due]

    def _worth(self, instrument: Instrument, size: int, quote: int) -> int:
        market = self.chain.engine.functions.marketView(instrument.encode())
        return int(size * self.chain.call(market)[0] // 10**18 + quote)

    def _settled(self, account: bytes, name: str, instrument: Instrument, size: int) -> Settled:
        """Equity before and after are those of one moment: interest runs between two blocks."""
        receipt = Account(self.chain, AccountId.decode(account)).settle(instrument)
        now = self.chain.w3.eth.get_block(receipt.block)["timestamp"]
        margin = self.chain.clearing_house.functions.margin(account)
        return Settled(
            name=name,
            instrument=self.exchange.name(instrument),
            size=size,
            paid=receipt.one("VariationSettled").args["amount"],
            equity_before=call_at(self.chain, margin, receipt.block - 1, now)[0],
            equity_after=self.chain.call(margin, receipt.block)[0],
        )

    def _equity(self, accounts: Sequence[bytes]) -> int:
        margin = self.chain.clearing_house.functions.margin
        return sum(int(self.chain.call(margin(account))[0]) for account in accounts)

    def _check(self, moment: str) -> Interim:
        checks = self.books().checks()
        broken = [check.claim for check in checks if not check.holds]
        return Interim(moment, len(checks) - len(broken), len(checks), broken)

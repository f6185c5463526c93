"""Numbered checks of the books: exact, in the smallest unit, and of nothing but the chain.

The accounts are those that the events name, so nothing that the run itself remembers is trusted.
Cash has 18 decimals inside; the settlement token is scaled up exactly.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from web3.types import FilterParams, TxReceipt

from plimsoll.chain import Chain
from plimsoll.instruments import CASH, Holding, Instrument, Kind, position_fields
from plimsoll.keeper.discover import Directory
from plimsoll.lab.interest import Interest, call_at, interest_booked, pool_at
from plimsoll.lab.record import Check, PoolReading
from plimsoll.protocol import Plimsoll, expiries_of
from plimsoll.records import Margin, Portfolio
from plimsoll.units import BPS, WAD, to_units_exact


@dataclass(frozen=True, slots=True)
class Balance:
    """One account as the chain shows it, in integers."""

    cash: int
    holdings: Mapping[int, int]
    positions: Mapping[int, tuple[int, int]]
    """Size and quote by packed instrument."""

    @property
    def only_debt(self) -> bool:
        return self.cash < 0 and not self.holdings and not self.positions


@dataclass(frozen=True, slots=True)
class Told:
    """One event of the ClearingHouse."""

    block: int
    name: str
    args: Mapping[str, Any]


class Books:
    """Everything that the checks compare, read at one block."""

    def __init__(self, chain: Chain, first_block: int, assets: Mapping[str, int]) -> None:
        self.chain = chain
        self.first_block = first_block
        self.assets = assets
        """Every listed asset by symbol, the settlement token as 0."""
        self.block = chain.w3.eth.block_number

    def checks(self) -> list[Check]:
        return [
            Check(number, claim, left, right, slack)
            for number, (claim, left, right, slack) in enumerate(self._claims(), start=1)
        ]

    def pool(self) -> PoolReading:
        supply_index, _, _, _, _, net_quote, reserves, deficit = self._pool
        return PoolReading(reserves, supply_index, deficit, net_quote)

    @cached_property
    def events(self) -> tuple[Told, ...]:
        """Everything that the ClearingHouse told, in order."""
        logs = self.chain.w3.eth.get_logs(
            FilterParams(
                address=self.chain.clearing_house.address,
                fromBlock=self.first_block,
                toBlock=self.block,
            )
        )
        return tuple(
            Told(block, event.name, event.args)
            for block, group in groupby(logs, key=lambda log: log["blockNumber"])
            for event in self.chain.events_of(TxReceipt(logs=[*group]))  # type: ignore[typeddict-item]
        )

    @cached_property
    def balances(self) -> dict[bytes, Balance]:
        directory = Directory(self.chain, self.first_block)
        directory.catch_up(self.block)
        house = self.chain.clearing_house.functions
        return {a: _balance(self._ask(house.portfolio(a))) for a in sorted(directory.known)}

    @cached_property
    def _pool(self) -> Any:
        return self._ask(self.chain.clearing_house.functions.pool())

    @cached_property
    def _scale(self) -> int:
        token = self.chain.token(self._token(CASH))
        decimals: int = self._ask(token.functions.decimals())
        return to_units_exact(1, 18 - decimals)

    def _claims(self) -> Iterator[tuple[str, int, int, int]]:
        yield from self._custody()
        yield from self._cash()
        yield from self._positions()
        yield from self._losses()
        yield self._nobody_left_with_debt_alone()
        yield self._twin()

    def _custody(self) -> Iterator[tuple[str, int, int, int]]:
        for symbol, asset in self.assets.items():
            if asset == CASH:
                continue
            held = sum(each.holdings.get(asset, 0) for each in self.balances.values())
            if held == 0 == self._held(asset):
                continue
            claims = self._ask(self.chain.clearing_house.functions.claims(asset))
            yield f"{symbol} in the vault = {symbol} of all accounts", self._held(asset), held, 0
            yield f"{symbol} that the vault owes = {symbol} of all accounts", claims, held, 0

    def _cash(self) -> Iterator[tuple[str, int, int, int]]:
        vault = self._held(CASH) * self._scale
        cash = sum(each.cash for each in self.balances.values())
        quotes = sum(q for each in self.balances.values() for _, q in each.positions.values())
        _, _, _, _, _, net_quote, reserves, deficit = self._pool
        yield (
            "settlement token in the vault = cash + quotes + reserves - deficit of the pool",
            vault,
            cash + quotes + reserves - deficit,
            len(self.events) + 2 * self._interest.bookings + len(self.balances),
        )
        came = sum(e.args["amount"] for e in self._told("Deposited") if e.args["asset"] == CASH)
        went = sum(e.args["amount"] for e in self._told("Withdrawn") if e.args["asset"] == CASH)
        given = self._sum("ReservesAdded") - self._sum("ReservesPaid")
        flows = (came - went) * self._scale + given
        yield "settlement token in the vault = what came in - what went out", vault, flows, 0
        yield "sum of quotes of all accounts = what the pool counts", quotes, net_quote, 0
        booked = self._interest
        yield (
            "interest that borrowers paid = what suppliers earned + what the reserves got",
            booked.paid_down,
            booked.earned_down + booked.to_reserves,
            booked.bookings + 1,
        )

    def _positions(self) -> Iterator[tuple[str, int, int, int]]:
        instruments = sorted({i for each in self.balances.values() for i in each.positions})
        longs: dict[int, int] = {}
        for instrument in instruments:
            sizes = [e.positions.get(instrument, (0, 0))[0] for e in self.balances.values()]
            decoded = Instrument.decode(instrument)
            yield f"sum of the sizes of {self._name(decoded)} = 0", sum(sizes), 0, 0
            long = sum(size for size in sizes if size > 0)
            longs[decoded.underlying] = longs.get(decoded.underlying, 0) + long
        for underlying, long in longs.items():
            perpetual = Instrument.perpetual(underlying)
            counted = self.chain.clearing_house.functions.openInterest(perpetual.encode())
            claim = f"open interest of {self._symbols[underlying]} = sum of everybody's longs"
            yield claim, self._ask(counted), long, 0

    def _name(self, instrument: Instrument) -> str:
        if instrument.kind is Kind.PERPETUAL:
            return f"{self._symbols[instrument.underlying]} perpetuals"
        return instrument.name(self._symbols)

    @property
    def _symbols(self) -> dict[int, str]:
        return {number: symbol for symbol, number in self.chain.addresses.underlyings.items()}

    def _losses(self) -> Iterator[tuple[str, int, int, int]]:
        booked = [event.args for event in self._told("LossBooked")]
        borne = sum(a["fromReserves"] + a["fromSuppliers"] + a["toDeficit"] for a in booked)
        slices = [(event.block, event.args) for event in self._told("SliceTaken")]
        owed = sum(args["payout"] for _, args in slices)
        owed += sum(event.args["debt"] for event in self._told("WrittenOff"))
        yield "losses borne = payouts to bidders + debts written off", borne, owed, 0
        prices = sum(args["price"] for _, args in slices)
        due = sum(self._price(block, args) for block, args in slices)
        yield "prices of slices = fraction x (equity - depth x margin)", prices, due, 0
        capital = pool_at(self.chain, self.block).capital
        fees = self._sum("OrderFilled", "fee")
        came = self._sum("ReservesAdded") + self._sum("ReservesReturned")
        went = self._sum("ReservesDrawn") + self._sum("ReservesPaid")
        borne = sum(a["fromReserves"] + a["toDeficit"] for a in booked)
        charged = self._sum("ProvisionCharged", "charge")
        yield (
            "reserves - deficit = paid in + fees + interest + charges + returned - drawn - losses",
            capital,
            came - went + fees + charged + self._interest.to_reserves - borne,
            0,
        )

    def _sum(self, event: str, field: str = "amount") -> int:
        return sum(told.args[field] for told in self._told(event))

    @cached_property
    def _interest(self) -> Interest:
        """What the twin books, block by block; before the first there was no house."""
        _, *blocks = sorted({told.block for told in self.events})
        return interest_booked(self.chain, blocks)

    def _price(self, block: int, args: Mapping[str, Any]) -> int:
        """What a slice had to cost, from the account as it was before, at the moment of the bid."""
        margin_of = self.chain.clearing_house.functions.margin(args["account"])
        moment = self.chain.w3.eth.get_block(block)["timestamp"]
        _, _, equity, _, maintenance, _ = call_at(self.chain, margin_of, block - 1, moment)
        scaled: int = args["fraction"] * (equity * BPS - args["depth"] * maintenance)
        price: int = -(-scaled // (WAD * BPS))
        return price

    def _nobody_left_with_debt_alone(self) -> tuple[str, int, int, int]:
        left = sum(each.only_debt for each in self.balances.values())
        return "accounts with debt and nothing else = 0", left, 0, 0

    def _twin(self) -> tuple[str, int, int, int]:
        """The integer twin prices every account as the chain does, in every field."""
        house = Plimsoll(self.chain)
        owned = self.balances.values()
        traded = {Instrument.decode(i) for each in owned for i in each.positions}
        state = house.snapshot(
            {one.underlying for one in traded},
            self._held_assets(owned),
            self.block,
            expiries=expiries_of(traded),
        )
        functions = self.chain.clearing_house.functions
        same = sum(
            state.margin(Portfolio.decode(self._ask(functions.portfolio(account))))
            == Margin.decode(self._ask(functions.margin(account)))
            for account in self.balances
        )
        claim = "accounts whose margin the integer twin computes to the last bit = all accounts"
        return claim, same, len(self.balances), 0

    def _held_assets(self, owned: Iterable[Balance]) -> set[int]:
        return {asset for each in owned for asset in each.holdings}

    def _held(self, asset: int) -> int:
        token = self.chain.token(self._token(asset))
        return int(self._ask(token.functions.balanceOf(self.chain.vault.address)))

    def _token(self, asset: int) -> str:
        if asset == CASH:
            return str(self._ask(self.chain.clearing_house.functions.SETTLEMENT_TOKEN()))
        return str(self._ask(self.chain.engine.functions.tokenOf(asset)))

    def _told(self, name: str) -> list[Told]:
        return [event for event in self.events if event.name == name]

    def _ask(self, function: Any) -> Any:
        return self.chain.call(function, self.block)


def _balance(raw: Any) -> Balance:
    cash, holdings, positions = raw
    held = (Holding.decode(word) for word in holdings)
    return Balance(
        cash=cash,
        holdings={each.asset: each.units for each in held},
        positions={i: (size, quote) for i, size, quote in map(position_fields, positions)},
    )

"""One world from its opening to its end: accounts, trades, prices step by step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from plimsoll.backstop import Backstop
from plimsoll.chain import Chain
from plimsoll.delegates import Delegation
from plimsoll.errors import ContractError
from plimsoll.instruments import CASH, AccountId, Instrument
from plimsoll.lab.actors import Actor, Cast
from plimsoll.lab.books import Books, Told
from plimsoll.lab.expiry import SAMPLES, Expiring
from plimsoll.lab.figures import dollars
from plimsoll.lab.gap import Gap
from plimsoll.lab.node import Anvil, KeeperProcess
from plimsoll.lab.options import BookReader
from plimsoll.lab.prices import TICK, PricePath, fixing_prices
from plimsoll.lab.quiet import QuietHours
from plimsoll.lab.record import (
    Compartment,
    Loss,
    Portrait,
    Reading,
    Slice,
    WorldRecord,
)
from plimsoll.lab.scenario import Scenario, ScenarioError, Trader
from plimsoll.lab.worlds import Exchange, Opening, World
from plimsoll.orders import Order
from plimsoll.protocol import Account
from plimsoll.units import WAD, from_units

# Longer than the gap between the two looks that flag an account.
TICK_SECONDS = 15
_CLOSING_TICKS = 60
_ORDER_SECONDS = 600
# What the desk pays the maker on either side of the index price to be rid of what it took over.
_HALF_SPREAD = Decimal("0.0005")
_SIZE_PLACES = Decimal("0.000001")
_PLEDGED, _PLEDGED_TIMES = "WBTC", 3
# As many as the backstop ever uses.
_SUB_ACCOUNTS = 8

Mint = Callable[[str, str, Decimal], Any]
"""Symbol, receiver, whole tokens."""
Push = Callable[[Mapping[str, Decimal], int], Any]
"""New prices by symbol in a block of that time: reported by the oracles, observed by the engine."""
LatestRound = Callable[[str], int]
"""Of the Chainlink source of an underlying."""
Tell = Callable[[str], None]


@dataclass
class Crash:
    """Runs a scenario in one world. Everything that it records is read from the chain."""

    scenario: Scenario
    path: PricePath
    world: World
    node: Anvil
    cast: Cast
    exchange: Exchange
    mint: Mint
    push: Push
    latest_round: LatestRound
    first_block: int
    box: Path
    """Where the reporters share what they signed."""
    record: WorldRecord = field(init=False)
    _starts: list[int] = field(default_factory=list)
    """The first block of each step."""

    @property
    def chain(self) -> Chain:
        return self.cast.sponsor.house.chain

    def open(self) -> None:
        """Everybody pays in; every position is traded against the maker."""
        house = self.scenario.house
        for actor in self.cast.without_ether:
            self.node.request("anvil_setBalance", actor.address, hex(10 * WAD))
        for actor, cash in (
            (self.cast.maker, house.maker_cash),
            (self.cast.lender, house.lender_cash),
            (self.cast.desk, house.desk_cash),
        ):
            self._pay_in(actor, actor.account(), self.exchange.cash.symbol, cash)
        self.cast.desk.account().set_delegate(
            self.cast.keeper.address, Delegation.build(may_bid=True, reduce_only=True)
        )
        self.cast.maker.account().set_delegate(
            self.cast.quoter.address, Delegation.build(markets=self.exchange.underlyings.values())
        )
        self._pay_in_reserves(house.reserves)
        self._lend(house.borrowed)
        if self.scenario.optioned:
            # The first surface, without which there are no options.
            self.push(self.path.opening, self.node.time + 1)
        portraits = [self._open_trader(number) for number in range(len(self.scenario.traders))]
        self.record = WorldRecord(self.world.value, portraits)
        self.record.options = [self._book_of(trader).opening() for trader in self._optioned]

    def _pay_in_reserves(self, reserves: Decimal) -> None:
        """The first holder of the backstop brings three quarters, the second the rest."""
        parts = (reserves * 3 / 4).quantize(Decimal(1)), (reserves / 4).quantize(Decimal(1))
        for holder, part in zip(self.cast.holders, parts, strict=True):
            self.mint(self.exchange.cash.symbol, holder.address, part)
            Backstop(holder.house.chain).deposit(part)

    def _lend(self, dollars: Decimal) -> None:
        """The treasury pledges and draws: what is lent sets what cash costs and earns."""
        treasury, pledged = self.cast.treasury, self.exchange.tokens[_PLEDGED]
        amount = (dollars * _PLEDGED_TIMES / pledged.value).quantize(_SIZE_PLACES)
        self._pay_in(treasury, treasury.account(), pledged.symbol, amount)
        treasury.account().borrow(dollars)

    def wait(self) -> None:
        """Quiet hours: interest runs, and funding by signed reports."""
        hours = QuietHours(
            node=self.node,
            cast=self.cast,
            box=self.box,
            prices=self.path.opening,
            underlyings=self.exchange.underlyings,
            premium=self.scenario.house.premium,
            push=self.push,
        )
        owned = {
            each.name: [c.account for c in each.compartments] for each in self.record.portraits
        }
        house = {
            actor.name: [actor.account().id.encode()]
            for actor in (self.cast.treasury, self.cast.maker, self.cast.lender)
        }
        desk = {self.cast.desk.name: [self.cast.desk.account().id.encode()]}
        self.record.quiet = hours.run(self.scenario.house.quiet_hours, {**owned, **house, **desk})

    def gap(self, tell: Tell) -> None:
        """After the crash: the backstop takes a slice, and a loss goes beyond the reserves."""
        latecomer = self.cast.latecomer

        def pay(dollars: Decimal) -> Account:
            self._pay_in(latecomer, latecomer.account(), self.exchange.cash.symbol, dollars)
            return latecomer.account()

        gap = Gap(
            node=self.node,
            cast=self.cast,
            underlyings={s: self.exchange.underlyings[s] for s in self.path.opening},
            push=self.push,
            trade=self._trade,
            pay=pay,
            tell=tell,
        )
        gap.run(self.path.steps[-1], self._names())
        self.record.backstop, self.record.shared = gap.backstop, gap.shared

    def _names(self) -> dict[bytes, str]:
        """Everybody's accounts by what people call them."""
        cast = self.cast
        actors = (cast.maker, cast.lender, cast.desk, cast.treasury, cast.latecomer)
        names = {actor.account().id.encode(): actor.name for actor in actors}
        for portrait in self.record.portraits:
            for each in portrait.compartments:
                alone = len(portrait.compartments) == 1
                names[each.account] = portrait.name if alone else f"{portrait.name}: {each.name}"
        for number in range(1, _SUB_ACCOUNTS + 1):
            sub_account = AccountId(Backstop(self.chain).contract.address, number)
            names[sub_account.encode()] = f"backstop, sub-account {number}"
        return names

    def run(self, keeper: KeeperProcess, tell: Tell) -> None:
        """Step by step; the keeper comes to rest before the next price."""
        self.record.pool_before = Books(self.chain, self.first_block, {}).pool()
        before = self._equity_of(self.cast.desk), self._equity_of(self.cast.lender)
        opened = self.node.time
        for step, prices in enumerate(self.path.steps):
            moment = max(opened + step * self.path.step_seconds, self.node.time + 1)
            self._step(step, prices, moment)
            self._let_work(keeper, tell, until=moment + self.path.step_seconds)
            tell(self._line(step))
        self._let_work(keeper, tell, until=self.node.time + _CLOSING_TICKS * TICK_SECONDS)
        self._read_accounts(len(self.path.steps), self.chain.w3.eth.block_number)
        self._read_events()
        self._read_gas(keeper)
        self.record.desk_earned = self._equity_of(self.cast.desk) - before[0]
        self.record.lender_change = self._equity_of(self.cast.lender) - before[1]

    def expire(self, assets: Mapping[str, int]) -> None:
        """Time passes to the expiry; anyone records the fixing, and settles."""
        expiring = Expiring(
            node=self.node,
            chain=self.chain,
            exchange=self.exchange,
            underlyings=sorted(self.scenario.optioned),
            prices=fixing_prices(self.path, self.scenario.seed, SAMPLES),
            push=self.push,
            latest_round=self.latest_round,
            books=lambda: Books(self.chain, self.first_block, assets),
        )
        sellers = {
            trader.name: [each.account for each in self.record.portrait(trader.name).compartments]
            for trader in self._optioned
        }
        self.record.expiry = expiring.run(self._names(), sellers)

    @property
    def _optioned(self) -> list[Trader]:
        return [trader for trader in self.scenario.traders if trader.options]

    def _book_of(self, trader: Trader) -> BookReader:
        portrait = self.record.portrait(trader.name)
        accounts = [each.account for each in portrait.compartments]
        return BookReader(self.chain, self.exchange, trader.name, accounts)

    def check(self, assets: Mapping[str, int]) -> None:
        books = Books(self.chain, self.first_block, assets)
        self.record.pool_after = books.pool()
        self.record.checks = books.checks()

    def _open_trader(self, number: int) -> Portrait:
        trader = self.scenario.traders[number]
        actor = self.cast.trader(number, trader.name)
        compartments = []
        for opening in self.exchange.openings(trader, self.world):
            try:
                account = self._open(actor, opening)
            except ContractError as error:
                where = f"{trader.name}, {opening.name}, {self.world.value} world"
                raise ScenarioError(f"{where}: cannot be opened: {error}") from error
            compartments.append(Compartment(account.id.encode(), opening.name))
        return Portrait(trader.name, trader.story, compartments)

    def _open(self, actor: Actor, opening: Opening) -> Account:
        account = actor.account(opening.sub_account)
        for symbol, units in opening.deposits.items():
            self._pay_in(actor, account, symbol, from_units(units, self._decimals(symbol)))
        if opening.borrow:
            cash = actor.house.asset(CASH)
            account.withdraw(cash, from_units(opening.borrow, self.exchange.cash.decimals))
        for instrument, size in opening.sizes.items():
            self._trade(account, instrument, size, self.exchange.mark(instrument))
        return account

    def _pay_in(self, actor: Actor, account: Account, symbol: str, amount: Decimal) -> None:
        self.mint(symbol, actor.address, amount)
        asset = 0 if symbol == self.exchange.cash.symbol else self.exchange.tokens[symbol].asset
        account.deposit(actor.house.asset(asset), amount)

    def _decimals(self, symbol: str) -> int:
        cash = self.exchange.cash
        return cash.decimals if symbol == cash.symbol else self.exchange.tokens[symbol].decimals

    def _trade(
        self, account: Account, instrument: Instrument, size: Decimal, price: Decimal
    ) -> None:
        """The maker's quoter signs an order; the account takes it."""
        maker = self.cast.maker.account()
        order = Order.build(
            maker.id,
            instrument,
            -size,
            price,
            expiry=self.node.time + _ORDER_SECONDS,
            epoch=maker.epoch(),
            signer=self.cast.quoter.address,
            taker=account.id.owner,
        )
        account.take(maker.sign(order, self.cast.quoter.key), abs(size))

    def _hedge(self, tell: Tell) -> None:
        """The desk trades away the net delta of what the keeper took over, at the maker's price."""
        account = self.cast.desk.account()
        symbols = {number: symbol for symbol, number in self.exchange.underlyings.items()}
        for risk in account.risk().underlyings:
            size = -risk.delta.quantize(_SIZE_PLACES)
            if not size:
                continue
            spread = _HALF_SPREAD if size > 0 else -_HALF_SPREAD
            price = (risk.price.index * (1 + spread)).quantize(TICK)
            try:
                self._trade(account, Instrument.perpetual(risk.underlying), size, price)
            except ContractError as refused:
                tell(f"the desk keeps its {symbols[risk.underlying]}: {refused}")

    def _step(self, step: int, prices: Mapping[str, Decimal], moment: int) -> None:
        self.push(prices, moment)
        block = self.chain.w3.eth.block_number
        self._starts.append(block)
        self._read_accounts(step, block)
        for trader, book in zip(self._optioned, self.record.options, strict=True):
            book.steps.append(self._book_of(trader).step(step, block, book.underlying))
        self.record.prices.append(self._prices(prices, block))

    def _prices(self, symbols: Iterable[str], block: int) -> dict[str, int]:
        """Index prices as the lens reads them."""
        ids = {symbol: self.exchange.underlyings[symbol] for symbol in symbols}
        views = self.chain.call(self.chain.lens.functions.underlyings([*ids.values()]), block)
        return {symbol: view[1][0] for symbol, view in zip(ids, views, strict=True)}

    def _let_work(self, keeper: KeeperProcess, tell: Tell, until: int) -> None:
        """Moves the clock on while the keeper has accounts in need; the desk hedges after each."""
        reports = len(keeper.reports)
        while keeper.wait_until_idle(self.chain.w3.eth.block_number)["in_need"]:
            if (moment := self.node.time + TICK_SECONDS) >= until:
                break
            self.node.mine_at(moment)
        if any(report["sent"] for report in keeper.reports[reports:]):
            self._hedge(tell)
            keeper.wait_until_idle(self.chain.w3.eth.block_number)

    def _read_accounts(self, step: int, block: int) -> None:
        """Every account of a trader before the keeper can act on the new prices."""
        compartments = self._compartments()
        accounts = [each.account for each in compartments]
        risks, _ = self.chain.call(self.chain.lens.functions.accountRisks(accounts), block)
        for compartment, risk in zip(compartments, risks, strict=True):
            equity, _, _, initial, maintenance, _ = risk[0]
            compartment.readings.append(Reading(step, equity, maintenance, initial))

    def _read_events(self) -> None:
        by_account = {each.account: each for each in self._compartments()}
        for told in Books(self.chain, self._starts[0], {}).events:
            compartment = by_account.get(told.args.get("account", b""))
            if compartment is not None and told.name == "SliceTaken":
                compartment.slices.append(self._slice(told))
            elif compartment is not None and told.name == "LossBooked":
                compartment.losses.append(self._loss(told))

    def _read_gas(self, keeper: KeeperProcess) -> None:
        """What the keeper's transactions used, by their receipts."""
        sent = [a["tx"] for report in keeper.reports for a in report["actions"] if "tx" in a]
        receipts = [self.chain.w3.eth.get_transaction_receipt(tx) for tx in sent]
        self.record.keeper_transactions = len(receipts)
        self.record.keeper_gas = sum(receipt["gasUsed"] for receipt in receipts)

    def _slice(self, told: Told) -> Slice:
        """What the slice was worth is asked of the block before."""
        args = told.args
        house = self.chain.clearing_house.functions
        margin = self.chain.call(house.margin(args["account"]), told.block - 1)
        return Slice(
            step=self._step_of(told.block),
            time=self.chain.w3.eth.get_block(told.block)["timestamp"],
            bidder=self._name_of(args["bidder"]),
            fraction=args["fraction"],
            depth=args["depth"],
            price=args["price"],
            payout=args["payout"],
            equity=margin[0] * args["fraction"] // WAD,
        )

    def _loss(self, told: Told) -> Loss:
        args = told.args
        return Loss(
            self._step_of(told.block),
            args["fromReserves"],
            args["fromSuppliers"],
            args["toDeficit"],
        )

    def _step_of(self, block: int) -> int:
        return bisect_right(self._starts, block) - 1

    def _name_of(self, account: bytes) -> str:
        owner = AccountId.decode(account).owner
        if owner == self.cast.desk.address:
            return self.cast.desk.name
        return "backstop" if owner == Backstop(self.chain).contract.address else owner

    def _compartments(self) -> list[Compartment]:
        return [each for portrait in self.record.portraits for each in portrait.compartments]

    def _equity_of(self, actor: Actor) -> int:
        margin = self.chain.call(
            self.chain.clearing_house.functions.margin(actor.account().id.encode())
        )
        return int(margin[0])

    def _line(self, step: int) -> str:
        prices = self.record.prices[step]
        moves = "  ".join(f"{name} {dollars(price, 2)}" for name, price in prices.items())
        short = sum(not each.readings[step].healthy for each in self._compartments())
        return f"step {step:>3}  {moves}  below maintenance: {short}"

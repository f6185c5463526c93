"""The books in exact integers: the twin of the ClearingHouse, its trading and its liquidation.

Every operation either changes the books and returns what the contract returns, or raises `Refused`
with the name of the contract's error and leaves the books as they were. Dollars, sizes and prices
have 18 decimals; indices of the cash pool have 27. A balance of cash is a principal: its value is
principal times index, rounded against the account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from itertools import pairwise

from plimsoll.risk import model
from plimsoll.risk.model import (
    BPS,
    WAD,
    Holding,
    Inputs,
    Margin,
    Portfolio,
    Position,
    UnderlyingState,
    ceil_div,
)

RAY = 10**27
CASH = 0
MAX_POSITIONS = 128
MAX_BIDDER_POSITIONS = 255
MAX_UINT16 = 2**16 - 1
# Suppliers bear losses down to a thousandth of par.
MIN_SUPPLY_INDEX = RAY // 1000
LOOK_INTERVAL = 12
LOOK_EXPIRY = 600
LAST_TIME = 4_200
MAX_LEGS = 8
GROWTH_WINDOW = 3_600
MAX_POSITION = 2**103 - 1
MAX_PRINCIPAL = 2**119 - 1
MAX_AMOUNT = 2**128 - 1
MAX_CUSTODY = 2**112 - 1
MAX_UINT256 = 2**256 - 1

Account = int
"""An account id as a number: its owner in the high 160 bits, a sub-account in the low 96."""


def owner_of(account: Account) -> int:
    return account >> 96


def toward_zero(numerator: int, denominator: int) -> int:
    """Rounds an exact quotient towards zero."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


class Refused(Exception):  # noqa: N818 - an outcome, not a fault of the twin
    """An operation that the contract reverts, by the name of its error."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(f"{error}: {detail}" if detail else error)
        self.error = error


# What an operation is done in


class Pause(IntFlag):
    NOTHING = 0
    DEPOSITS = 1
    WITHDRAWALS = 2
    RISK = 4
    LIQUIDATION = 8


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """The terms of a perpetual; dollars with 18 decimals, fees in millionths."""

    taker_fee: int = 0
    maker_fee: int = 0
    open_interest_cap: int = 2**40 * WAD
    stress_jump: int = 5_000
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Factors:
    """What the ledger needs beside a margin; dollars with 18 decimals, shares in bps."""

    initial_factor: int
    stress_share: int
    winners_cap: int
    payout_cap: int
    dust: int
    depegged: bool = False


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be held of an asset, dollars with 18 decimals, at the stored price and rate."""

    cap: int
    growth: int
    decimals: int
    rate: int
    price: int

    def units(self, amount: int) -> int:
        scale: int = 10**self.decimals
        return min(2**128 - 1, min(2**128 - 1, amount) * self.rate // scale)

    def value(self, amount: int) -> int:
        return ceil_div(self.units(amount) * self.price, WAD)


@dataclass(frozen=True, slots=True)
class Context:
    """One moment: prices and parameters, and the time."""

    inputs: Inputs
    markets: Mapping[int, MarketTerms]
    caps: Mapping[int, Caps]
    factors: Factors
    now: int
    live_since: int = 0
    paused: Pause = Pause.NOTHING
    paused_assets: frozenset[int] = frozenset()

    def underlying(self, instrument: int) -> UnderlyingState:
        return self.inputs.underlyings[model.underlying_of(instrument)]

    def market(self, instrument: int) -> MarketTerms:
        terms = self.markets.get(model.underlying_of(instrument))
        if terms is None or instrument != model.perpetual(model.underlying_of(instrument)):
            raise Refused("UnknownInstrument")
        return terms


# What the books hold


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as it is stored; positions keep the order of their slots."""

    principal: int = 0
    collateral: tuple[Holding, ...] = ()
    positions: tuple[Position, ...] = ()
    epoch: int = 0
    version: int = 0

    def amount(self, asset: int) -> int:
        return next((h.amount for h in self.collateral if h.asset == asset), 0)

    def position(self, instrument: int) -> Position:
        held = (p for p in self.positions if p.instrument == instrument)
        return next(held, Position(instrument, 0, 0))

    def holds(self, instrument: int) -> bool:
        return any(p.instrument == instrument for p in self.positions)

    def with_amount(self, asset: int, amount: int) -> AccountState:
        others = [h for h in self.collateral if h.asset != asset]
        changed = [*others, Holding(asset, amount)] if amount else others
        return replace(self, collateral=tuple(sorted(changed, key=lambda h: h.asset)))

    def put(self, position: Position) -> AccountState:
        """Writes a position in its slot; the last one takes the place of one that reaches zero."""
        held = list(self.positions)
        index = next(
            (i for i, p in enumerate(held) if p.instrument == position.instrument), len(held)
        )
        if position.size != 0:
            held[index : index + 1] = [position]
        elif index < len(held):
            last = held.pop()
            if index < len(held):
                held[index] = last
        return replace(self, positions=tuple(held))

    def touched(self) -> AccountState:
        """The next content version; zero means any version in a bid and is never reached again."""
        return replace(self, version=1 if self.version == MAX_UINT16 else self.version + 1)


@dataclass(frozen=True, slots=True)
class Pool:
    """The cash pool; `supplied` and `borrowed` are principals, `capital` is reserves or deficit."""

    supply_index: int = RAY
    borrow_index: int = RAY
    supplied: int = 0
    borrowed: int = 0
    net_quote: int = 0
    capital: int = 0

    @property
    def reserves(self) -> int:
        return max(self.capital, 0)

    @property
    def deficit(self) -> int:
        return max(-self.capital, 0)

    @property
    def unpaid_winnings(self) -> int:
        return max(-self.net_quote, 0)

    @property
    def supplied_up(self) -> int:
        return ceil_div(self.supplied * self.supply_index, RAY)

    @property
    def borrowed_down(self) -> int:
        return self.borrowed * self.borrow_index // RAY

    def value(self, principal: int) -> int:
        """What a balance is worth: an asset rounded down, a debt rounded up."""
        if principal >= 0:
            return principal * self.supply_index // RAY
        return -ceil_div(-principal * self.borrow_index, RAY)

    def principal(self, value: int) -> int:
        """The principal worth at most `value`."""
        if value >= 0:
            return value * RAY // self.supply_index
        return -ceil_div(-value * RAY, self.borrow_index)

    def replaced(self, old: int, new: int) -> Pool:
        """The pool after one principal became another."""
        return replace(
            self,
            supplied=self.supplied - max(old, 0) + max(new, 0),
            borrowed=self.borrowed - max(-old, 0) + max(-new, 0),
        )

    def after_loss(self, loss: int) -> tuple[Pool, Loss]:
        """A loss borne by reserves, then by suppliers down to the floor of their index."""
        from_reserves = min(loss, self.reserves)
        pool, from_suppliers = self._after_cut(loss - from_reserves)
        to_deficit = loss - from_reserves - from_suppliers
        pool = replace(pool, capital=self.capital - from_reserves - to_deficit)
        return pool, Loss(from_reserves, from_suppliers, to_deficit)

    def _after_cut(self, loss: int) -> tuple[Pool, int]:
        if loss == 0 or self.supplied == 0:
            return self, 0
        room = self.supply_index - MIN_SUPPLY_INDEX
        cut = ceil_div(loss * RAY, self.supplied)
        if cut <= room:
            return replace(self, supply_index=self.supply_index - cut), loss
        return replace(self, supply_index=MIN_SUPPLY_INDEX), room * self.supplied // RAY


@dataclass(frozen=True, slots=True)
class Custody:
    """What all accounts own of an asset, and its net growth within the running hour."""

    total: int = 0
    window_start: int = 0
    growth: int = 0

    def _rolled(self, now: int) -> Custody:
        if now >= self.window_start + GROWTH_WINDOW:
            return replace(self, window_start=now, growth=0)
        return self

    def added(self, amount: int, now: int) -> Custody:
        rolled = self._rolled(now)
        return replace(rolled, total=self.total + amount, growth=rolled.growth + amount)

    def removed(self, amount: int, now: int) -> Custody:
        rolled = self._rolled(now)
        left = max(0, rolled.growth - amount)
        return replace(rolled, total=self.total - amount, growth=left)


@dataclass(frozen=True, slots=True)
class Loss:
    from_reserves: int = 0
    from_suppliers: int = 0
    to_deficit: int = 0


class AuctionState(IntEnum):
    NONE = 0
    OBSERVED = 1
    RUNNING = 2
    HALTED = 3
    STANDING = 4


@dataclass(frozen=True, slots=True)
class Auction:
    """The clock of an auction, in seconds."""

    state: AuctionState = AuctionState.NONE
    observed_at: int = 0
    elapsed: int = 0
    ticked_at: int = 0

    @property
    def is_flagged(self) -> bool:
        return self.state >= AuctionState.RUNNING

    def is_observed(self, now: int) -> bool:
        """Whether a first look was taken and is not forgotten."""
        return self.state == AuctionState.OBSERVED and now <= self.observed_at + LOOK_EXPIRY

    def elapsed_at(self, context: Context) -> int:
        """The clock runs forward while running, back while standing, and not while halted."""
        if self.state == AuctionState.RUNNING:
            since = max(self.ticked_at, context.live_since)
            return min(LAST_TIME, self.elapsed + max(0, context.now - since))
        if self.state == AuctionState.STANDING:
            return max(0, self.elapsed - (context.now - self.ticked_at))
        return self.elapsed

    def entered(self, state: AuctionState, context: Context) -> Auction:
        """The clock brought up to this moment, going on in another state."""
        return replace(self, state=state, elapsed=self.elapsed_at(context), ticked_at=context.now)


@dataclass(frozen=True, slots=True)
class Order:
    """An intent to trade a package: `legs` are (instrument, ratio), `taker` an owner or zero."""

    account: Account
    legs: tuple[tuple[int, int], ...]
    quantity: int
    price: int
    minimum_fill: int = 0
    reduce_only: bool = False
    taker: int = 0
    expiry: int = 2**64
    epoch: int = 0
    salt: int = 0


@dataclass(slots=True)
class _Side:
    """One side of a fill: the quote it freed and the fee it pays."""

    account: Account
    reduce_only: bool
    freed: int = 0
    fee: int = 0


@dataclass(frozen=True, slots=True)
class BidTerms:
    account: Account
    bidder: Account
    fraction: int
    max_price: int
    deadline: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class BidResult:
    """What was taken, for how much, and who paid; `margin` is the account's before the bid."""

    fraction: int
    price: int
    payout: int
    depth: int
    loss: Loss
    margin: Margin


class Check(IntFlag):
    """What an account must pass at the end of an operation, beside the ratio rule."""

    RATIO = 0
    STRICT = 1
    CERTAIN = 2


@dataclass(slots=True)
class _Books:
    accounts: dict[Account, AccountState] = field(default_factory=dict)
    pool: Pool = field(default_factory=Pool)
    open_interest: dict[int, int] = field(default_factory=dict)
    custody: dict[int, Custody] = field(default_factory=dict)
    auctions: dict[Account, Auction] = field(default_factory=dict)
    filled: dict[Order, int] = field(default_factory=dict)
    vault_cash: int = 0

    def copy(self) -> _Books:
        return _Books(
            accounts=dict(self.accounts),
            pool=self.pool,
            open_interest=dict(self.open_interest),
            custody=dict(self.custody),
            auctions=dict(self.auctions),
            filled=dict(self.filled),
            vault_cash=self.vault_cash,
        )


class Ledger:
    """The books of one ClearingHouse; amounts of the settlement token count `cash_scale` each."""

    def __init__(self, settlement_decimals: int = 6) -> None:
        self.cash_scale = 10 ** (18 - settlement_decimals)
        self._books = _Books()
        self._touched: dict[Account, Check] = {}
        self._before: _Books | None = None
        self._resolved: set[Account] = set()
        self._cash_left = self._loss_booked = False

    def copy(self) -> Ledger:
        """The same books, which go their own way from here."""
        twin = Ledger()
        twin.cash_scale, twin._books = self.cash_scale, self._books.copy()
        return twin

    # Reading

    @property
    def pool(self) -> Pool:
        return self._books.pool

    @property
    def accounts(self) -> Mapping[Account, AccountState]:
        return self._books.accounts

    @property
    def vault_cash(self) -> int:
        """Settlement tokens in the vault, in dollars with 18 decimals."""
        return self._books.vault_cash

    def state(self, account: Account) -> AccountState:
        return self._books.accounts.get(account, AccountState())

    def custody(self, asset: int) -> Custody:
        return self._books.custody.get(asset, Custody())

    def open_interest(self, instrument: int) -> int:
        return self._books.open_interest.get(instrument, 0)

    def auction(self, account: Account) -> Auction:
        return self._books.auctions.get(account, Auction())

    def portfolio(self, account: Account) -> Portfolio:
        return self._portfolio_in(self._books, account)

    def margin(self, account: Account, context: Context) -> Margin:
        return model.margin(self.portfolio(account), context.inputs)

    @staticmethod
    def _portfolio_in(books: _Books, account: Account) -> Portfolio:
        state = books.accounts.get(account, AccountState())
        return Portfolio(books.pool.value(state.principal), state.collateral, state.positions)

    # The one check

    @contextmanager
    def scope(self, context: Context) -> Iterator[None]:
        """One operation, or a batch of them when nested: checks once at the outermost exit, and
        undoes everything when something is refused."""
        if self._before is not None:
            yield
            return
        before = self._books
        self._books, self._before, self._touched = before.copy(), before, {}
        self._resolved, self._cash_left, self._loss_booked = set(), False, False
        try:
            yield
            for account, check in self._touched.items():
                self._require_margin(account, check, context)
        except Refused:
            self._books = before
            raise
        finally:
            self._before = None

    def _touch(self, account: Account, check: Check = Check.RATIO) -> None:
        if account in self._resolved:
            raise Refused("CheckPending")
        self._touched[account] = self._touched.get(account, Check.RATIO) | check

    def _require_untouched(self, account: Account) -> None:
        if account in self._touched:
            raise Refused("CheckPending")

    def _resolve(self, account: Account) -> None:
        """Keeps the account's owner from changing it before the scope ends."""
        self._require_untouched(account)
        self._resolved.add(account)

    def _require_margin(self, account: Account, check: Check, context: Context) -> None:
        state = self.state(account)
        if not state.positions and state.principal >= 0:
            return
        after = self.margin(account, context)
        if Check.CERTAIN in check and after.doubtful:
            raise Refused("DoubtfulPrice")
        if after.is_free:
            return
        if Check.STRICT in check:
            raise Refused("BelowInitialMargin")
        found = self._before or self._books
        before = model.margin(self._portfolio_in(found, account), context.inputs)
        if not model.ratio_holds(before, after):
            raise Refused("RatioWorsened")

    # Small changes

    def _move_cash(self, account: Account, change: int) -> None:
        if change == 0:
            return
        state, pool = self.state(account), self._books.pool
        principal = pool.principal(pool.value(state.principal) + change)
        if not -MAX_PRINCIPAL - 1 <= principal <= MAX_PRINCIPAL:
            raise Refused("PrincipalTooLarge")
        self._books.pool = pool.replaced(state.principal, principal)
        self._books.accounts[account] = replace(state, principal=principal)

    def _cash(self, account: Account) -> int:
        return self._books.pool.value(self.state(account).principal)

    def _set_amount(self, account: Account, asset: int, amount: int) -> None:
        self._books.accounts[account] = self.state(account).with_amount(asset, amount)

    def _bump(self, account: Account) -> None:
        self._books.accounts[account] = self.state(account).touched()

    def _add_position(
        self, account: Account, instrument: int, size: int, quote: int, limit: int
    ) -> int:
        """Adds to a position; returns the quote freed by one that reaches zero."""
        state = self.state(account)
        if not state.holds(instrument) and len(state.positions) >= limit:
            raise Refused("TooManyPositions")
        held = state.position(instrument)
        after = Position(instrument, held.size + size, held.quote + quote)
        self._require_fits(after)
        grown = max(after.size, 0) - max(held.size, 0)
        self._books.open_interest[instrument] = self.open_interest(instrument) + grown
        self._books.accounts[account] = state.put(after)
        return after.quote if after.size == 0 else 0

    @staticmethod
    def _require_fits(position: Position) -> None:
        """Sizes and quotes have 104 bits; a position that reaches zero is not stored."""
        numbers = (position.size, position.quote) if position.size else ()
        if any(not -MAX_POSITION - 1 <= number <= MAX_POSITION for number in numbers):
            raise Refused("PositionTooLarge")

    def _move_quote(self, change: int) -> None:
        pool = self._books.pool
        self._books.pool = replace(pool, net_quote=pool.net_quote + change)

    def _add_capital(self, amount: int) -> int:
        pool = self._books.pool
        self._books.pool = replace(pool, capital=pool.capital + amount)
        return min(amount, pool.deficit)

    # Cash and collateral

    def deposit(
        self, account: Account, asset: int, amount: int, context: Context, *, by_owner: bool = True
    ) -> None:
        """Credits what arrived in the vault, in token units; strangers open no new slot."""
        with self.scope(context):
            if Pause.DEPOSITS in context.paused or asset in context.paused_assets:
                raise Refused("Paused")
            held = self.state(account).amount(asset)
            if asset != CASH and held == 0 and not by_owner:
                raise Refused("OnlyOwnerOpens")
            if amount == 0:
                raise Refused("NothingReceived")
            if asset == CASH:
                self._move_cash(account, amount * self.cash_scale)
                self._books.vault_cash += amount * self.cash_scale
                return
            custody = self.custody(asset).added(amount, context.now)
            if held + amount > MAX_AMOUNT or max(custody.total, custody.growth) > MAX_CUSTODY:
                raise Refused("SafeCastOverflowedUintDowncast")
            self._set_amount(account, asset, held + amount)
            self._books.custody[asset] = custody
            self._require_admitted(context.caps[asset], custody, held + amount)

    def withdraw(self, account: Account, asset: int, amount: int, context: Context) -> None:
        """Pays out to anybody the owner names; ends in the initial-margin check."""
        with self.scope(context):
            self._require_may_leave(asset, amount, context)
            self._touch(account, Check.STRICT | Check.CERTAIN)
            self._bump(account)
            if asset == CASH:
                self._pay_out(account, amount * self.cash_scale, context)
            else:
                self._take_collateral(account, asset, amount)
                custody = self.custody(asset).removed(amount, context.now)
                self._books.custody[asset] = custody

    def transfer(
        self, source: Account, target: Account, asset: int, amount: int, context: Context
    ) -> None:
        """Moves an asset between two accounts of one owner; cash in 18 decimals."""
        with self.scope(context):
            if owner_of(source) != owner_of(target) or source == target:
                raise Refused("NotYourSubAccount")
            self._require_may_leave(asset, amount, context)
            self._touch(source, Check.STRICT | Check.CERTAIN)
            self._bump(source)
            if asset == CASH:
                self._move_cash(source, -amount)
                self._move_cash(target, amount)
            else:
                self._take_collateral(source, asset, amount)
                held = self.state(target).amount(asset)
                self._set_amount(target, asset, held + amount)

    @staticmethod
    def _require_admitted(caps: Caps, custody: Custody, holding: int) -> None:
        if caps.units(holding) > model.MAX_UNITS:
            raise Refused("HoldingTooLarge")
        if caps.value(custody.total) > caps.cap:
            raise Refused("CapExceeded")
        if caps.value(custody.growth) > caps.growth:
            raise Refused("GrowthExceeded")

    def add_reserves(self, amount: int, context: Context) -> int:
        """Gives settlement tokens, in token units; returns how much deficit they repaid."""
        with self.scope(context):
            if amount == 0:
                raise Refused("NothingReceived")
            self._books.vault_cash += amount * self.cash_scale
            return self._add_capital(amount * self.cash_scale)

    @staticmethod
    def _require_may_leave(asset: int, amount: int, context: Context) -> None:
        if Pause.WITHDRAWALS in context.paused or asset in context.paused_assets:
            raise Refused("Paused")
        if amount == 0:
            raise Refused("ZeroAmount")

    def _pay_out(self, account: Account, amount: int, context: Context) -> None:
        if self._loss_booked:
            raise Refused("CashOutWithLoss")
        self._cash_left = True
        if amount > self._books.vault_cash:
            raise Refused("InsufficientLiquidity")
        if self.pool.unpaid_winnings > context.factors.winners_cap:
            raise Refused("WinnersCapExceeded")
        self._move_cash(account, -amount)
        self._books.vault_cash -= amount

    def _take_collateral(self, account: Account, asset: int, amount: int) -> None:
        held = self.state(account).amount(asset)
        if amount > held:
            raise Refused("InsufficientCollateral")
        self._set_amount(account, asset, held - amount)

    # Trading

    def trade(self, maker: Order, taker: Order, quantity: int, context: Context) -> int:
        """Matches two signed orders at the maker's price; returns the units filled."""
        with self.scope(context):
            for order in (maker, taker):
                self._require_alive(order, context)
            self._require_counterparty(maker, taker.account)
            self._require_counterparty(taker, maker.account)
            self._require_match(maker, taker)
            filled = min(quantity, self._left(maker), self._left(taker))
            for order in (maker, taker):
                self._consume(order, filled)
            self._fill(maker, filled, taker.account, taker.reduce_only, context)
            return filled

    def take(self, maker: Order, account: Account, quantity: int, context: Context) -> int:
        """Takes a signed order with an account of the caller's."""
        with self.scope(context):
            self._require_alive(maker, context)
            self._require_counterparty(maker, account)
            filled = min(quantity, self._left(maker))
            self._consume(maker, filled)
            self._fill(maker, filled, account, False, context)
            return filled

    def cancel(self, order: Order) -> None:
        self._books.filled[order] = MAX_UINT256

    def raise_epoch(self, account: Account) -> None:
        state = self.state(account)
        self._books.accounts[account] = replace(state, epoch=state.epoch + 1)

    def filled(self, order: Order) -> int:
        return self._books.filled.get(order, 0)

    def settle(self, account: Account, instrument: int, context: Context) -> int:
        """Turns a position's variation into cash at the mark, rounded down."""
        with self.scope(context):
            self._require_untouched(account)
            state = context.underlying(instrument)
            if not state.price.ok:
                raise Refused("PriceNotOk")
            held = self.state(account).position(instrument)
            marked = held.size * (state.price.index - state.funding_index) // WAD
            amount = marked + held.quote
            if held.size == 0 or amount == 0:
                return 0
            settled = Position(instrument, held.size, -marked)
            self._require_fits(settled)
            self._books.accounts[account] = self.state(account).put(settled)
            self._move_quote(-amount)
            self._move_cash(account, amount)
            return amount

    def _require_alive(self, order: Order, context: Context) -> None:
        if context.now > order.expiry:
            raise Refused("OrderExpired")
        if order.epoch != self.state(order.account).epoch:
            raise Refused("OrderEpochPassed")
        ids = [instrument for instrument, _ in order.legs]
        in_order = all(a < b for a, b in pairwise([0, *ids]))
        if not 0 < len(ids) <= MAX_LEGS or not in_order or any(r == 0 for _, r in order.legs):
            raise Refused("LegsInvalid")

    @staticmethod
    def _require_counterparty(order: Order, other: Account) -> None:
        if order.account == other:
            raise Refused("SelfTrade")
        if order.taker not in (0, owner_of(other)):
            raise Refused("WrongTaker")

    @staticmethod
    def _require_match(maker: Order, taker: Order) -> None:
        if (maker.quantity > 0) == (taker.quantity > 0) or maker.legs != taker.legs:
            raise Refused("OrdersDoNotMatch")
        buy, sell = (maker, taker) if maker.quantity > 0 else (taker, maker)
        if buy.price < sell.price:
            raise Refused("PricesDoNotCross")

    def _left(self, order: Order) -> int:
        filled = self.filled(order)
        if filled >= abs(order.quantity):
            raise Refused("OrderSpent")
        return abs(order.quantity) - filled

    def _consume(self, order: Order, filled: int) -> None:
        if filled == 0 or filled < min(order.minimum_fill, self._left(order)):
            raise Refused("BelowMinimumFill")
        self._books.filled[order] = self.filled(order) + filled

    def _fill(
        self, order: Order, filled: int, taker: Account, taker_reduces: bool, context: Context
    ) -> None:
        """Moves a package to the maker's price: each leg at the mark, the difference in cash."""
        units = filled if order.quantity > 0 else -filled
        maker_side = _Side(order.account, order.reduce_only)
        taker_side = _Side(taker, taker_reduces)
        marked = 0
        for instrument, ratio in order.legs:
            change = toward_zero(units * ratio, WAD)
            marked += self._fill_leg(maker_side, taker_side, instrument, change, context)
        self._move_quote(-maker_side.freed - taker_side.freed)
        paid = ceil_div(units * order.price - marked, WAD)
        for side, received in ((maker_side, -paid), (taker_side, paid)):
            self._move_cash(side.account, side.freed + received - side.fee)
            self._bump(side.account)
            self._add_capital(side.fee)
            self._touch(side.account)

    def _fill_leg(
        self, maker: _Side, taker: _Side, instrument: int, change: int, context: Context
    ) -> int:
        """Books one leg; returns its value at the mark, 36 decimals."""
        state, terms = context.underlying(instrument), context.market(instrument)
        mark = state.price.index
        if change == 0:
            raise Refused("ZeroAmount")
        quote = ceil_div(change * (mark - state.funding_index), WAD)
        open_before = self.open_interest(instrument)
        reduced = [
            self._move_leg(maker, instrument, change, -quote),
            self._move_leg(taker, instrument, -change, quote),
        ]
        maker.fee += ceil_div(abs(change) * mark * terms.maker_fee, WAD * model.MILLION)
        taker.fee += ceil_div(abs(change) * mark * terms.taker_fee, WAD * model.MILLION)
        if not all(reduced):
            self._require_open_for_risk(state.price.ok, terms, context)
        if self.open_interest(instrument) > open_before:
            self._require_below_cap(instrument, mark, terms, context)
        return change * mark

    def _move_leg(self, side: _Side, instrument: int, change: int, quote: int) -> bool:
        """Changes one side; returns whether it came closer to zero without crossing it."""
        held = self.state(side.account).position(instrument).size
        side.freed += self._add_position(side.account, instrument, change, quote, MAX_POSITIONS)
        reduced = (held > 0) != (change > 0) and abs(change) <= abs(held)
        if side.reduce_only and not reduced:
            raise Refused("NotReducing")
        return reduced

    @staticmethod
    def _require_open_for_risk(ok: bool, terms: MarketTerms, context: Context) -> None:
        if Pause.RISK in context.paused:
            raise Refused("Paused")
        if terms.closed:
            raise Refused("MarketClosed")
        if not ok:
            raise Refused("PriceNotOk")
        if context.factors.depegged:
            raise Refused("SettlementTokenDepegged")

    def _require_below_cap(
        self, instrument: int, mark: int, terms: MarketTerms, context: Context
    ) -> None:
        value = ceil_div(self.open_interest(instrument) * mark, WAD)
        cap = terms.open_interest_cap
        if terms.stress_jump:
            share = self.pool.reserves * context.factors.stress_share
            cap = min(cap, share // terms.stress_jump)
        if value > cap:
            raise Refused("OpenInterestCapExceeded")

    # Liquidation

    def flag(self, account: Account, context: Context) -> AuctionState:
        """Looks at an account; `context` has the prices as they are after its observation."""
        with self.scope(context):
            self._require_liquidation(context)
            self._require_untouched(account)
            result = self.margin(account, context)
            if result.is_healthy:
                raise Refused("AccountHealthy")
            record = self.auction(account)
            if record.is_flagged:
                halted = record.state == AuctionState.HALTED and result.doubtful
                if halted or record.state == AuctionState.RUNNING:
                    raise Refused("AuctionAlreadyRunning")
            elif record.is_observed(context.now):
                if context.now < record.observed_at + LOOK_INTERVAL:
                    raise Refused("ObservedTooRecently")
            else:
                self._books.auctions[account] = Auction(AuctionState.OBSERVED, context.now)
                return AuctionState.OBSERVED
            state = AuctionState.HALTED if result.doubtful else AuctionState.RUNNING
            self._books.auctions[account] = record.entered(state, context)
            return state

    def stand_still(self, account: Account, context: Context) -> AuctionState:
        with self.scope(context):
            self._require_untouched(account)
            record = self._flagged(account)
            result = self.margin(account, context)
            if not result.doubtful and not result.is_healthy:
                raise Refused("StillUnhealthy")
            if result.doubtful and record.state == AuctionState.HALTED:
                return record.state
            state = AuctionState.HALTED if result.doubtful else AuctionState.STANDING
            self._books.auctions[account] = record.entered(state, context)
            return state

    def reset(self, account: Account, context: Context) -> None:
        with self.scope(context):
            self._require_untouched(account)
            self._flagged(account)
            result = self.margin(account, context)
            if result.doubtful:
                raise Refused("DoubtfulPrice")
            target = ceil_div(context.factors.initial_factor * result.maintenance_margin, BPS)
            if result.equity < target:
                raise Refused("NotRestored")
            del self._books.auctions[account]

    def write_off(self, account: Account, context: Context) -> Loss:
        """Writes off an account with debt and nothing else."""
        with self.scope(context):
            self._require_liquidation(context)
            self._resolve(account)
            state, cash = self.state(account), self._cash(account)
            if cash >= 0 or state.positions or state.collateral:
                raise Refused("NothingToWriteOff")
            loss = self._book_loss(-cash)
            self._move_cash(account, -cash)
            if self.auction(account).is_flagged:
                del self._books.auctions[account]
            return loss

    def bid(self, wanted: BidTerms, context: Context) -> BidResult:
        """Takes a slice of an unhealthy account for the auction's price."""
        with self.scope(context):
            self._require_liquidation(context)
            self._require_good(wanted, context)
            depth = self._biddable_depth(wanted.account, context)
            self._resolve(wanted.account)
            result = self.margin(wanted.account, context)
            if result.is_healthy:
                raise Refused("AccountHealthy")
            factors = context.factors
            largest = model.f_max(result, depth, factors.initial_factor, factors.dust)
            fraction = min(wanted.fraction, largest)
            price = model.bid_price(result, fraction, depth)
            if price > wanted.max_price:
                raise Refused("PriceAboveLimit")
            payout = self._payout(price, result, factors)
            loss = self._book_loss(payout) if payout else Loss()
            self._move_slice(wanted.account, wanted.bidder, fraction, price)
            if fraction == WAD:
                del self._books.auctions[wanted.account]
            self._touch(wanted.bidder, Check.STRICT)
            return BidResult(fraction, price, payout, depth, loss, result)

    @staticmethod
    def _require_liquidation(context: Context) -> None:
        if Pause.LIQUIDATION in context.paused:
            raise Refused("Paused")

    def _flagged(self, account: Account) -> Auction:
        record = self.auction(account)
        if not record.is_flagged:
            raise Refused("NotInAuction")
        return record

    def _require_good(self, wanted: BidTerms, context: Context) -> None:
        if context.now > wanted.deadline:
            raise Refused("BidExpired")
        if wanted.account == wanted.bidder:
            raise Refused("SelfBid")
        if not 0 < wanted.fraction <= WAD:
            raise Refused("FractionInvalid")
        if wanted.version not in (0, self.state(wanted.account).version):
            raise Refused("VersionChanged")

    def _biddable_depth(self, account: Account, context: Context) -> int:
        record = self.auction(account)
        if record.state not in (AuctionState.RUNNING, AuctionState.HALTED):
            raise Refused("NotInAuction")
        if record.ticked_at == context.now:
            raise Refused("SameBlock")
        return model.phi(record.elapsed_at(context))

    @staticmethod
    def _payout(price: int, result: Margin, factors: Factors) -> int:
        if price >= 0:
            return 0
        if result.doubtful:
            raise Refused("NoPayoutOnDoubtfulPrice")
        if -price > factors.payout_cap:
            raise Refused("PayoutAboveCap")
        return -price

    def _book_loss(self, amount: int) -> Loss:
        if self._cash_left:
            raise Refused("CashOutWithLoss")
        self._loss_booked = True
        self._books.pool, loss = self._books.pool.after_loss(amount)
        return loss

    def _move_slice(self, source: Account, bidder: Account, fraction: int, price: int) -> None:
        """Cash, amounts, sizes and quotes all round down: against the bidder."""
        moved = self._cash(source) * fraction // WAD
        for holding in self.state(source).collateral:
            taken = holding.amount * fraction // WAD
            if taken:
                self._set_amount(source, holding.asset, holding.amount - taken)
                held = self.state(bidder).amount(holding.asset)
                self._set_amount(bidder, holding.asset, held + taken)
        freed_here = freed_there = 0
        for position in reversed(self.state(source).positions):
            here, there = self._move_position(source, bidder, position, fraction)
            freed_here, freed_there = freed_here + here, freed_there + there
        self._move_quote(-freed_here - freed_there)
        for account in (source, bidder):
            self._bump(account)
        self._move_cash(source, -moved + max(price, 0) + freed_here)
        self._move_cash(bidder, moved - price + freed_there)

    def _move_position(
        self, source: Account, bidder: Account, position: Position, fraction: int
    ) -> tuple[int, int]:
        size = position.size * fraction // WAD
        if size == 0:
            return 0, 0
        quote = position.quote * fraction // WAD
        here = self._add_position(source, position.instrument, -size, -quote, MAX_BIDDER_POSITIONS)
        there = self._add_position(bidder, position.instrument, size, quote, MAX_BIDDER_POSITIONS)
        return here, there

"""The state of the books, the one check that ends every operation, and the small changes that all
operations are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntFlag

from plimsoll.risk import model
from plimsoll.risk.instruments import underlying_of
from plimsoll.risk.ledger.accounts import MAX_POSITION, MAX_POSITIONS, MAX_PRINCIPAL, AccountState
from plimsoll.risk.ledger.auctions import Auction
from plimsoll.risk.ledger.base import Account, Context, Pause, Refused, owner_of
from plimsoll.risk.ledger.custody import CashOutflow, Custody
from plimsoll.risk.ledger.delegates import HUNDREDTHS, Delegation
from plimsoll.risk.ledger.orders import Order
from plimsoll.risk.ledger.pool import MICRO, Pool
from plimsoll.risk.model import Margin, Portfolio, Position

# A shutdown leaves a week to close positions by trading.
CLOSING_TIME = 7 * 24 * 3_600


class Check(IntFlag):
    """What an account must pass at the end of an operation, beside the ratio rule."""

    RATIO = 0
    STRICT = 1
    CERTAIN = 2


@dataclass(slots=True)
class Books:
    """All that is stored. Every value is immutable, so a copy is shallow."""

    accounts: dict[Account, AccountState] = field(default_factory=dict)
    pool: Pool = field(default_factory=Pool)
    open_interest: dict[int, int] = field(default_factory=dict)
    custody: dict[int, Custody] = field(default_factory=dict)
    cash_outflow: CashOutflow = field(default_factory=CashOutflow)
    auctions: dict[Account, Auction] = field(default_factory=dict)
    provisions: dict[Account, int] = field(default_factory=dict)
    filled: dict[Order, int] = field(default_factory=dict)
    delegations: dict[tuple[Account, int], Delegation] = field(default_factory=dict)
    grant_nonces: dict[Account, int] = field(default_factory=dict)
    bases: dict[int, int] = field(default_factory=dict)
    vault_cash: int = 0
    backstop: int = 0
    is_halted: bool = False
    resume_ready_at: int = 0
    shut_ready_at: int = 0
    shut_at: int = 0

    def copy(self) -> Books:
        return replace(
            self,
            accounts=dict(self.accounts),
            open_interest=dict(self.open_interest),
            custody=dict(self.custody),
            auctions=dict(self.auctions),
            provisions=dict(self.provisions),
            filled=dict(self.filled),
            delegations=dict(self.delegations),
            grant_nonces=dict(self.grant_nonces),
            bases=dict(self.bases),
        )


class Gate:
    """The books of one ClearingHouse; amounts of the settlement token count `cash_scale` each.

    What is read holds at the moment that `clock` tells; without one, at that of the last change.
    """

    def __init__(
        self, settlement_decimals: int = 6, clock: Callable[[], int] | None = None
    ) -> None:
        self.cash_scale = 10 ** (18 - settlement_decimals)
        self._clock = clock
        self._books = Books()
        self._touched: dict[Account, Check] = {}
        self._before: Books | None = None
        self._resolved: set[Account] = set()
        self._cash_left = self._loss_booked = False

    # Reading

    @property
    def now(self) -> int:
        return self._books.pool.accrued_at if self._clock is None else self._clock()

    @property
    def pool(self) -> Pool:
        """The pool with its interest up to now."""
        return self._books.pool.accrued(self.now)

    @property
    def accounts(self) -> Mapping[Account, AccountState]:
        return self._books.accounts

    @property
    def vault_cash(self) -> int:
        """Settlement tokens in the vault, in dollars with 18 decimals."""
        return self._books.vault_cash

    @property
    def backstop(self) -> int:
        return self._books.backstop

    @property
    def provisions(self) -> int:
        """The sum of all provisions, dollars with 18 decimals."""
        return sum(self._books.provisions.values()) * MICRO

    @property
    def is_halted(self) -> bool:
        return self._books.is_halted

    @property
    def shut_at(self) -> int:
        return self._books.shut_at

    @property
    def wind_down(self) -> tuple[bool, int, int, int]:
        """Whether risk is halted; when a resumption and a shutdown may be accepted; when it was."""
        books = self._books
        return books.is_halted, books.resume_ready_at, books.shut_ready_at, books.shut_at

    def state(self, account: Account) -> AccountState:
        return self._books.accounts.get(account, AccountState())

    def custody(self, asset: int) -> Custody:
        return self._books.custody.get(asset, Custody())

    @property
    def cash_outflow(self) -> CashOutflow:
        return self._books.cash_outflow

    def open_interest(self, instrument: int) -> int:
        """Units held long of all instruments of the instrument's underlying."""
        return self._books.open_interest.get(underlying_of(instrument), 0)

    def auction(self, account: Account) -> Auction:
        return self._books.auctions.get(account, Auction())

    def provision(self, account: Account) -> int:
        """Dollars with 18 decimals."""
        return self._books.provisions.get(account, 0) * MICRO

    def delegation(self, account: Account, delegate: int) -> Delegation:
        return self._books.delegations.get((account, delegate), Delegation())

    def grant_nonce(self, account: Account) -> int:
        return self._books.grant_nonces.get(account, 0)

    def basis(self, instrument: int) -> int | None:
        """What a unit of a market that was fixed at its end is worth beyond its quote."""
        return self._books.bases.get(instrument)

    def portfolio(self, account: Account) -> Portfolio:
        return self._portfolio_of(self.state(account), self.pool)

    def margin(self, account: Account, context: Context) -> Margin:
        return self._margin_of(self.state(account), context)

    @staticmethod
    def _portfolio_of(state: AccountState, pool: Pool) -> Portfolio:
        return Portfolio(pool.value(state.principal), state.collateral, state.positions)

    def _margin_of(self, state: AccountState, context: Context) -> Margin:
        pool = self._books.pool.accrued(context.now)
        return model.margin(self._portfolio_of(state, pool), context.inputs)

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
        after = self._margin_of(state, context)
        if Check.CERTAIN in check and after.doubtful:
            raise Refused("DoubtfulPrice")
        if after.is_free:
            return
        if Check.STRICT in check:
            raise Refused("BelowInitialMargin")
        # What it held before, at the indices of now: a loss that all bear is not its doing.
        found = self._before or self._books
        before = self._margin_of(found.accounts.get(account, AccountState()), context)
        if not model.ratio_holds(before, after):
            raise Refused("RatioWorsened")

    # Who may

    def _grant_of(self, account: Account, who: int, now: int) -> Delegation | None:
        """What lets somebody trade with an account; nothing is needed for its owner (zero)."""
        if who in (0, owner_of(account)):
            return None
        grant = self.delegation(account, who)
        if not grant.is_alive(now):
            raise Refused("NotAuthorised")
        return grant

    @staticmethod
    def _require_market(grant: Delegation | None, instrument: int) -> None:
        if grant is not None and not grant.covers(instrument):
            raise Refused("DelegateMarket")

    def _require_leverage(
        self, account: Account, grant: Delegation | None, context: Context
    ) -> None:
        """What a delegate does leaves at most so much in positions, at once."""
        if grant is None or grant.max_leverage == 0:
            return
        state = self.state(account)
        marked = sum(
            abs(held.size) * context.market(held.instrument).notional_price
            for held in state.positions
        )
        equity = self._margin_of(state, context).equity
        if model.ceil_div(marked, model.WAD) * HUNDREDTHS > grant.max_leverage * equity:
            raise Refused("LeverageExceeded")

    @staticmethod
    def _require_owner(account: Account, who: int) -> None:
        if who not in (0, owner_of(account)):
            raise Refused("NotAuthorised")

    @staticmethod
    def _require_may_leave(asset: int, amount: int, context: Context) -> None:
        if Pause.WITHDRAWALS in context.paused or asset in context.paused_assets:
            raise Refused("Paused")
        if amount == 0:
            raise Refused("ZeroAmount")

    def _is_closing(self, now: int) -> bool:
        return self.shut_at > 0 and now >= self.shut_at + CLOSING_TIME

    def _require_judgeable(self, account: Account, now: int) -> None:
        """Margins know no market that was fixed: whoever has positions is closed out first."""
        if self._is_closing(now) and self.state(account).positions:
            raise Refused("PositionsOpen")

    def _leave(self, account: Account, now: int) -> None:
        """Whoever lets something leave must leave initial margin behind, at certain prices."""
        self._require_judgeable(account, now)
        self._touch(account, Check.STRICT | Check.CERTAIN)
        self._bump(account)

    # Small changes: of the pool, each books the interest first

    def _accrue(self, now: int) -> Pool:
        self._books.pool = self._books.pool.accrued(now)
        return self._books.pool

    def _move_cash(self, account: Account, change: int, now: int) -> None:
        if change == 0:
            return
        state, pool = self.state(account), self._accrue(now)
        principal = pool.principal(pool.value(state.principal) + change)
        if not -MAX_PRINCIPAL - 1 <= principal <= MAX_PRINCIPAL:
            raise Refused("PrincipalTooLarge")
        self._books.pool = pool.replaced(state.principal, principal)
        self._books.accounts[account] = replace(state, principal=principal)

    def _cash(self, account: Account, now: int) -> int:
        return self._books.pool.accrued(now).value(self.state(account).principal)

    def _move_quote(self, change: int, now: int) -> None:
        if change:
            pool = self._accrue(now)
            self._books.pool = replace(pool, net_quote=pool.net_quote + change)

    def _add_capital(self, amount: int, now: int) -> int:
        if amount == 0:
            return 0
        pool = self._accrue(now)
        self._books.pool = replace(pool, capital=pool.capital + amount)
        return min(amount, pool.deficit)

    def _note_cash_out(self) -> None:
        """No cash leaves in a transaction that books a loss, in whichever order."""
        if self._loss_booked:
            raise Refused("CashOutWithLoss")
        self._cash_left = True

    def _set_amount(self, account: Account, asset: int, amount: int) -> None:
        self._books.accounts[account] = self.state(account).with_amount(asset, amount)

    def _bump(self, account: Account) -> None:
        self._books.accounts[account] = self.state(account).touched()

    def _raise_epoch(self, account: Account) -> None:
        state = self.state(account)
        self._books.accounts[account] = replace(state, epoch=state.epoch + 1)

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
        open_before = self.open_interest(instrument)
        self._books.open_interest[underlying_of(instrument)] = open_before + grown
        self._books.accounts[account] = state.put(after)
        return after.quote if after.size == 0 else 0

    def _end_position(self, account: Account, held: Position) -> None:
        """All of it has become cash."""
        self._add_position(account, held.instrument, -held.size, -held.quote, MAX_POSITIONS)

    @staticmethod
    def _require_fits(position: Position) -> None:
        """Sizes and quotes have 104 bits; a position that reaches zero is not stored."""
        numbers = (position.size, position.quote) if position.size else ()
        if any(not -MAX_POSITION - 1 <= number <= MAX_POSITION for number in numbers):
            raise Refused("PositionTooLarge")

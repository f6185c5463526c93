"""Cash, collateral and reserves, in and out: docs/ledger.md, sections 1, 4, 5 and 8."""

from __future__ import annotations

from dataclasses import replace

from plimsoll.risk import model
from plimsoll.risk.ledger.base import (
    CASH,
    MAX_AMOUNT,
    Account,
    Caps,
    Context,
    Pause,
    Refused,
    owner_of,
)
from plimsoll.risk.ledger.custody import MAX_CUSTODY, Custody
from plimsoll.risk.ledger.gate import Gate
from plimsoll.risk.ledger.pool import MILLE

MICROS_PER_DOLLAR = 10**6


class Money(Gate):
    """What accounts and the reserves own, and the limits on what leaves."""

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
                self._move_cash(account, amount * self.cash_scale, context.now)
                self._books.vault_cash += amount * self.cash_scale
                return
            custody = self.custody(asset).changed(amount, context.now)
            if held + amount > MAX_AMOUNT or custody.total > MAX_CUSTODY:
                raise Refused("SafeCastOverflowedUintDowncast")
            self._set_amount(account, asset, held + amount)
            self._books.custody[asset] = custody
            self._require_admitted(context.caps[asset], custody, held + amount)

    def withdraw(
        self, account: Account, asset: int, amount: int, context: Context, *, sender: int = 0
    ) -> int:
        """Pays out to anybody the owner names; ends in the initial-margin check.

        Returns what it is charged for the losses to come, dollars with 18 decimals.
        """
        with self.scope(context):
            self._require_owner(account, sender)
            self._require_may_leave(asset, amount, context)
            charge = 0
            if asset == CASH:
                charge = self._pay_out(account, amount * self.cash_scale, context)
            else:
                self._let_go(account, asset, amount, context.now)
            self._leave(account, context.now)
            return charge

    def transfer(
        self,
        source: Account,
        target: Account,
        asset: int,
        amount: int,
        context: Context,
        *,
        sender: int = 0,
    ) -> None:
        """Moves an asset between two accounts of one owner; cash in 18 decimals."""
        with self.scope(context):
            self._require_owner(source, sender)
            if owner_of(source) != owner_of(target) or source == target:
                raise Refused("NotYourSubAccount")
            self._require_may_leave(asset, amount, context)
            if asset == CASH:
                self._move_cash(source, -amount, context.now)
                self._move_cash(target, amount, context.now)
            else:
                self._take_collateral(source, asset, amount)
                held = self.state(target).amount(asset)
                self._set_amount(target, asset, held + amount)
            self._leave(source, context.now)

    @staticmethod
    def _require_admitted(caps: Caps, custody: Custody, holding: int) -> None:
        if caps.units(holding) > model.MAX_UNITS:
            raise Refused("HoldingTooLarge")
        if caps.value(custody.total) > caps.cap:
            raise Refused("CapExceeded")
        if caps.value(max(0, custody.growth)) > caps.growth:
            raise Refused("GrowthExceeded")

    def _pay_out(self, account: Account, amount: int, context: Context) -> int:
        self._require_cash_free(amount, context)
        self._count_cash_out(amount, context.now)
        charge = self._books.pool.accrued(context.now).charge(amount, self.provisions)
        self._move_cash(account, -amount - charge, context.now)
        self._add_capital(charge, context.now)
        self._books.vault_cash -= amount
        return charge

    def _require_cash_free(self, amount: int, context: Context) -> None:
        self._note_cash_out()
        if amount > self._books.vault_cash:
            raise Refused("InsufficientLiquidity")
        if self._books.pool.unpaid_winnings > context.factors.winners_cap:
            raise Refused("WinnersCapExceeded")

    def _count_cash_out(self, amount: int, now: int) -> None:
        outflow = self.cash_outflow.after(amount, self.vault_cash, now)
        if outflow is None:
            raise Refused("OutflowLimited")
        self._books.cash_outflow = outflow

    def _let_go(self, account: Account, asset: int, amount: int, now: int) -> None:
        self._take_collateral(account, asset, amount)
        custody = self.custody(asset).changed(-amount, now)
        if not custody.lets_go(amount):
            raise Refused("OutflowLimited")
        self._books.custody[asset] = custody

    def _take_collateral(self, account: Account, asset: int, amount: int) -> None:
        held = self.state(account).amount(asset)
        if amount > held:
            raise Refused("InsufficientCollateral")
        self._set_amount(account, asset, held - amount)

    # Reserves

    def add_reserves(self, amount: int, context: Context) -> int:
        """Gives settlement tokens, in token units; returns how much deficit they repaid."""
        with self.scope(context):
            if amount == 0:
                raise Refused("NothingReceived")
            self._books.vault_cash += amount * self.cash_scale
            return self._add_capital(amount * self.cash_scale, context.now)

    def bind_backstop(self, backstop: int) -> None:
        """Once, to whom the reserves belong."""
        if self._books.backstop:
            raise Refused("AlreadyBound")
        self._books.backstop = backstop

    def draw_reserves(
        self, account: Account, amount: int, context: Context, *, sender: int = 0
    ) -> None:
        """Reserves become cash of an account of the backstop's; 18 decimals."""
        with self.scope(context):
            self._require_backstop(sender or owner_of(account))
            if owner_of(account) != self.backstop:
                raise Refused("NotAuthorised")
            self._take_reserves(amount, context)
            self._move_cash(account, amount, context.now)

    def return_reserves(
        self, account: Account, amount: int, context: Context, *, sender: int = 0
    ) -> None:
        """Cash of an account becomes reserves; ends in the initial-margin check; 18 decimals."""
        with self.scope(context):
            self._require_owner(account, sender)
            if amount == 0:
                raise Refused("ZeroAmount")
            self._leave(account, context.now)
            self._move_cash(account, -amount, context.now)
            self._add_capital(amount, context.now)

    def pay_reserves(self, amount: int, context: Context, *, sender: int = 0) -> None:
        """Reserves leave the vault, in token units, while hardly any loss is to come."""
        with self.scope(context):
            self._require_backstop(sender)
            if Pause.WITHDRAWALS in context.paused or CASH in context.paused_assets:
                raise Refused("Paused")
            if self.is_halted:
                raise Refused("RiskHalted")
            if self.provisions * MILLE > self._accrue(context.now).reserves:
                raise Refused("ProvisionOpen")
            dollars = amount * self.cash_scale
            self._take_reserves(dollars, context)
            self._require_cash_free(dollars, context)
            self._books.cash_outflow = self.cash_outflow.exempted(dollars)
            self._books.vault_cash -= dollars

    def _require_backstop(self, sender: int) -> None:
        if sender != self.backstop or sender == 0:
            raise Refused("OnlyBackstop")

    def _take_reserves(self, amount: int, context: Context) -> None:
        if amount == 0:
            raise Refused("ZeroAmount")
        pool = self._books.pool.accrued(context.now)
        if amount > pool.reserves:
            raise Refused("InsufficientReserves")
        self._books.pool = replace(pool, capital=pool.capital - amount)

    # Copies of what governance set

    def refresh(self, asset: int, context: Context) -> None:
        """Brings the copies of `LENDING` (with cash) and of an asset's `OUTFLOW` up to date.

        Interest up to now runs at the old terms.
        """
        with self.scope(context):
            limit = context.outflows.get(asset)
            if asset != CASH:
                units = None
                if limit is not None:
                    units = limit * 10 ** context.caps[asset].decimals
                self._books.custody[asset] = replace(self.custody(asset), limit=units)
                return
            self._books.pool = replace(self._accrue(context.now), lending=context.lending)
            micros = None if limit is None else limit * MICROS_PER_DOLLAR
            outflow = self.cash_outflow.refreshed(micros, self.vault_cash, context.now)
            self._books.cash_outflow = outflow

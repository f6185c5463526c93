"""Halts, resumption and the end: docs/ledger.md, sections 5 and 7."""

from __future__ import annotations

from plimsoll.risk.instruments import Instrument, Kind
from plimsoll.risk.ledger.base import Account, Context, Market, Refused
from plimsoll.risk.ledger.gate import Gate
from plimsoll.risk.model import WAD, PriceStatus

WINDING_DELAY = 2 * 24 * 3_600


class Winding(Gate):
    """What governance says beside parameters, and what anybody may do with it two days later."""

    def submit_resume(self, now: int) -> None:
        if not self.is_halted:
            raise Refused("NotHalted")
        self._books.resume_ready_at = now + WINDING_DELAY

    def revoke_resume(self, now: int) -> None:
        self._books.resume_ready_at = 0

    def accept_resume(self, now: int) -> None:
        ready_at = self._books.resume_ready_at
        if not ready_at or now < ready_at:
            raise Refused("ResumeNotReady")
        self._books.is_halted, self._books.resume_ready_at = False, 0

    def submit_shutdown(self, now: int) -> None:
        if self.shut_at:
            raise Refused("Shut")
        self._books.shut_ready_at = now + WINDING_DELAY

    def revoke_shutdown(self, now: int) -> None:
        self._books.shut_ready_at = 0

    def accept_shutdown(self, now: int) -> None:
        ready_at = self._books.shut_ready_at
        if not ready_at or now < ready_at:
            raise Refused("ShutdownNotReady")
        self._books.shut_at, self._books.shut_ready_at = now, 0

    def close_out(self, account: Account, instrument: int, context: Context) -> int:
        """Long after a shutdown, turns a position into cash at what its market was fixed at."""
        with self.scope(context):
            self._require_closing(context)
            self._require_untouched(account)
            held = self.state(account).position(instrument)
            if held.size == 0:
                return 0
            basis = self._fixed_basis(instrument, context)
            amount = held.size * basis // WAD + held.quote
            self._end_position(account, held)
            self._move_quote(-amount, context.now)
            self._bump(account)
            self._move_cash(account, amount, context.now)
            return amount

    def _require_closing(self, context: Context) -> None:
        if not self.shut_at:
            raise Refused("NotShut")
        if not self._is_closing(context.now):
            raise Refused("TooEarlyToClose")

    def _fixed_basis(self, instrument: int, context: Context) -> int:
        """Fixed by the first who closes, at a good price or one that governance froze."""
        basis = self.basis(instrument)
        if basis is None:
            market = context.market(instrument)
            if not market.is_final:
                self._require_closable(instrument, market, context)
            basis = self._books.bases[instrument] = market.basis
        return basis

    @staticmethod
    def _require_closable(instrument: int, market: Market, context: Context) -> None:
        parts = Instrument.decode(instrument)
        if parts.kind != Kind.PERPETUAL and context.now >= parts.expiry:
            raise Refused("FixingIncomplete")
        if market.status not in (PriceStatus.OK, PriceStatus.FROZEN):
            raise Refused("PriceNotOk")

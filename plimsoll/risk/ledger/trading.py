"""Orders, fills and settlement, each within what was granted: docs/ledger.md, section 6."""

from __future__ import annotations

from itertools import pairwise

from plimsoll.risk import model
from plimsoll.risk.instruments import has_expired
from plimsoll.risk.ledger.accounts import MAX_POSITIONS
from plimsoll.risk.ledger.base import (
    MAX_UINT256,
    Account,
    Context,
    Market,
    Pause,
    Refused,
    owner_of,
    toward_zero,
)
from plimsoll.risk.ledger.gate import Gate
from plimsoll.risk.ledger.orders import MAX_LEGS, Order, Side
from plimsoll.risk.model import WAD, Position, ceil_div


class Trading(Gate):
    """What people and their delegates do with positions."""

    def trade(self, maker: Order, taker: Order, quantity: int, context: Context) -> int:
        """Matches two signed orders at the maker's price; returns the units filled."""
        with self.scope(context):
            making, taking = self._signed(maker, context), self._signed(taker, context)
            self._require_counterparty(maker, taker.account)
            self._require_counterparty(taker, maker.account)
            self._require_match(maker, taker)
            filled = min(quantity, self._left(maker), self._left(taker))
            for order in (maker, taker):
                self._consume(order, filled)
            self._fill(maker, filled, making, taking, context)
            return filled

    def take(
        self, maker: Order, account: Account, quantity: int, context: Context, *, sender: int = 0
    ) -> int:
        """Takes a signed order with an account of the sender's, or one granted to him."""
        with self.scope(context):
            taking = self._bound(account, sender, maker, context)
            making = self._signed(maker, context)
            self._require_counterparty(maker, account)
            filled = min(quantity, self._left(maker))
            self._consume(maker, filled)
            self._fill(maker, filled, making, taking, context)
            return filled

    def cancel(self, order: Order) -> None:
        self._books.filled[order] = MAX_UINT256

    def raise_epoch(self, account: Account, context: Context, *, sender: int = 0) -> None:
        with self.scope(context):
            self._grant_of(account, sender, context.now)
            self._raise_epoch(account)

    def filled(self, order: Order) -> int:
        return self._books.filled.get(order, 0)

    def settle(self, account: Account, instrument: int, context: Context) -> int:
        """Turns a position's variation into cash at the mark, rounded down; one whose fixing is
        complete becomes cash for good."""
        with self.scope(context):
            self._require_untouched(account)
            if self.basis(instrument) is not None:
                raise Refused("MarketEnded")
            market = context.market(instrument)
            if not market.is_final:
                self._require_certain(market)
            held = self.state(account).position(instrument)
            marked = held.size * market.basis // WAD
            amount = marked + held.quote
            if held.size == 0:
                return 0
            if market.is_final:
                self._end_position(account, held)
            elif amount == 0:
                return 0
            else:
                settled = Position(instrument, held.size, -marked)
                self._require_fits(settled)
                self._books.accounts[account] = self.state(account).put(settled)
            self._move_quote(-amount, context.now)
            self._move_cash(account, amount, context.now)
            return amount

    def _signed(self, order: Order, context: Context) -> Side:
        """The side of an order that is well-formed, alive and signed by who may."""
        self._require_alive(order, context)
        side = self._bound(order.account, order.signer, order, context)
        side.reduce_only |= order.reduce_only
        return side

    def _bound(self, account: Account, who: int, order: Order, context: Context) -> Side:
        """A side of an order that its owner trades, or a delegate within his markets."""
        grant = self._grant_of(account, who, context.now)
        for instrument, _ in order.legs:
            self._require_market(grant, instrument)
        return Side(account, grant is not None and grant.reduce_only, grant)

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
        self, order: Order, filled: int, making: Side, taking: Side, context: Context
    ) -> None:
        """Moves a package to the maker's price: each leg at the mark, the difference in cash."""
        if self._is_closing(context.now):
            raise Refused("Shut")
        units = filled if order.quantity > 0 else -filled
        marked = 0
        for instrument, ratio in order.legs:
            change = toward_zero(units * ratio, WAD)
            marked += self._fill_leg(making, taking, instrument, change, context)
        self._move_quote(-making.freed - taking.freed, context.now)
        paid = ceil_div(units * order.price - marked, WAD)
        for side, received in ((making, -paid), (taking, paid)):
            self._move_cash(side.account, side.freed + received - side.fee, context.now)
            self._bump(side.account)
            self._add_capital(side.fee, context.now)
            self._touch(side.account)
        for side in (making, taking):
            if side.adds_risk:
                self._require_leverage(side.account, side.grant, context)

    def _fill_leg(
        self, maker: Side, taker: Side, instrument: int, change: int, context: Context
    ) -> int:
        """Books one leg; returns its value at the mark, 36 decimals."""
        market = context.market(instrument)
        if has_expired(instrument, context.now):
            raise Refused("MarketClosed")
        if change == 0:
            raise Refused("ZeroAmount")
        quote = ceil_div(change * market.basis, WAD)
        open_before = self.open_interest(instrument)
        reduced = [
            self._move_leg(maker, instrument, change, -quote),
            self._move_leg(taker, instrument, -change, quote),
        ]
        notional = abs(change) * market.fee_price
        maker.fee += ceil_div(notional * market.terms.maker_fee, WAD * model.MILLION)
        taker.fee += ceil_div(notional * market.terms.taker_fee, WAD * model.MILLION)
        if not all(reduced):
            self._require_open_for_risk(market, context)
        if self.open_interest(instrument) > open_before:
            self._require_below_cap(instrument, market, context)
        return change * market.mark

    def _move_leg(self, side: Side, instrument: int, change: int, quote: int) -> bool:
        """Changes one side; returns whether it came closer to zero without crossing it."""
        held = self.state(side.account).position(instrument).size
        side.freed += self._add_position(side.account, instrument, change, quote, MAX_POSITIONS)
        reduced = (held > 0) != (change > 0) and abs(change) <= abs(held)
        if side.reduce_only and not reduced:
            raise Refused("NotReducing")
        side.adds_risk |= not reduced
        return reduced

    @staticmethod
    def _require_certain(market: Market) -> None:
        if not market.is_ok:
            raise Refused("PriceNotOk")
        if market.quote.is_stale:
            raise Refused("SurfaceStale")

    def _require_open_for_risk(self, market: Market, context: Context) -> None:
        if Pause.RISK in context.paused:
            raise Refused("Paused")
        if self.shut_at:
            raise Refused("Shut")
        if self.is_halted:
            raise Refused("RiskHalted")
        self._require_certain(market)
        if market.closed:
            raise Refused("MarketClosed")
        if context.factors.depegged:
            raise Refused("SettlementTokenDepegged")

    def _require_below_cap(self, instrument: int, market: Market, context: Context) -> None:
        value = ceil_div(self.open_interest(instrument) * market.quote.index, WAD)
        cap = market.terms.open_interest_cap
        if market.terms.stress_jump:
            share = self._books.pool.accrued(context.now).reserves * context.factors.stress_share
            cap = min(cap, share // market.terms.stress_jump)
        if value > cap:
            raise Refused("OpenInterestCapExceeded")

"""The auction, slices, the waterfall and provisions: docs/margin.md, section 7, and docs/ledger.md,
section 5."""

from __future__ import annotations

from plimsoll.risk import model
from plimsoll.risk.ledger.accounts import MAX_BIDDER_POSITIONS
from plimsoll.risk.ledger.auctions import (
    LOOK_INTERVAL,
    Auction,
    AuctionState,
    BidResult,
    BidTerms,
)
from plimsoll.risk.ledger.base import Account, Context, Factors, Pause, Refused
from plimsoll.risk.ledger.delegates import Delegation
from plimsoll.risk.ledger.gate import Check, Gate
from plimsoll.risk.ledger.pool import MICRO, MILLE, Loss
from plimsoll.risk.model import BPS, WAD, Margin, Position, ceil_div

MAX_PROVISIONS = 2**64 - 1


def expected_loss(margin: Margin) -> int:
    """What an account would cost at these prices, millionths of a dollar."""
    return ceil_div(max(0, -margin.maintenance_equity), MICRO)


class Liquidation(Gate):
    """What anybody does to an account that lacks maintenance margin."""

    def flag(self, account: Account, context: Context) -> AuctionState:
        """Looks at an account; `context` has the prices as they are after its observation."""
        with self.scope(context):
            self._require_liquidation(context)
            self._require_untouched(account)
            self._require_judgeable(account, context.now)
            result = self.margin(account, context)
            if result.is_healthy:
                raise Refused("AccountHealthy")
            record = self.auction(account)
            if record.is_flagged:
                halted = record.state == AuctionState.HALTED and result.doubtful
                if halted or record.state == AuctionState.RUNNING:
                    self._note_again(account, expected_loss(result))
                    return record.state
            elif record.is_observed(context.now):
                if context.now < record.observed_at + LOOK_INTERVAL:
                    raise Refused("ObservedTooRecently")
            else:
                self._books.auctions[account] = Auction(AuctionState.OBSERVED, context.now)
                return AuctionState.OBSERVED
            state = AuctionState.HALTED if result.doubtful else AuctionState.RUNNING
            self._books.auctions[account] = record.entered(state, context)
            self._provide(account, expected_loss(result))
            return state

    def stand_still(self, account: Account, context: Context) -> AuctionState:
        with self.scope(context):
            self._require_untouched(account)
            record = self._flagged(account, context.now)
            result = self.margin(account, context)
            if not result.doubtful and not result.is_healthy:
                raise Refused("StillUnhealthy")
            if result.doubtful and record.state == AuctionState.HALTED:
                return record.state
            state = AuctionState.HALTED if result.doubtful else AuctionState.STANDING
            self._books.auctions[account] = record.entered(state, context)
            self._provide(account, expected_loss(result))
            return state

    def reset(self, account: Account, context: Context) -> None:
        with self.scope(context):
            self._require_untouched(account)
            self._flagged(account, context.now)
            result = self.margin(account, context)
            if result.doubtful:
                raise Refused("DoubtfulPrice")
            target = ceil_div(context.factors.initial_factor * result.maintenance_margin, BPS)
            if result.equity < target:
                raise Refused("NotRestored")
            self._end_auction(account)

    def write_off(self, account: Account, context: Context) -> Loss:
        """Writes off an account with debt and nothing else."""
        with self.scope(context):
            self._require_liquidation(context)
            self._resolve(account)
            state, cash = self.state(account), self._cash(account, context.now)
            if cash >= 0 or state.positions or state.collateral:
                raise Refused("NothingToWriteOff")
            loss = self._book_loss(-cash, context)
            self._move_cash(account, -cash, context.now)
            if self.auction(account).is_flagged:
                self._end_auction(account)
            return loss

    def bid(self, wanted: BidTerms, context: Context) -> BidResult:
        """Takes a slice of an unhealthy account for the auction's price."""
        with self.scope(context):
            self._require_liquidation(context)
            grant = self._require_bidder(wanted, context)
            self._require_good(wanted, context)
            depth = self._biddable_depth(wanted.account, context)
            self._require_judgeable(wanted.bidder, context.now)
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
            loss = self._book_loss(payout, context) if payout else Loss()
            self._move_slice(wanted, fraction, price, context.now)
            if fraction == WAD:
                self._end_auction(wanted.account)
            else:
                left = ceil_div(expected_loss(result) * (WAD - fraction), WAD)
                self._provide(wanted.account, left)
            self._touch(wanted.bidder, Check.STRICT)
            self._require_leverage(wanted.bidder, grant, context)
            return BidResult(fraction, price, payout, depth, loss, result)

    def quote_bid(self, account: Account, context: Context) -> tuple[int, int, Margin]:
        """The largest fraction that a bid of now takes, the depth, and the margin it goes by."""
        depth = self._biddable_depth(account, context)
        result = self.margin(account, context)
        if result.is_healthy:
            raise Refused("AccountHealthy")
        factors = context.factors
        return model.f_max(result, depth, factors.initial_factor, factors.dust), depth, result

    @staticmethod
    def _require_liquidation(context: Context) -> None:
        if Pause.LIQUIDATION in context.paused:
            raise Refused("Paused")

    def _flagged(self, account: Account, now: int) -> Auction:
        record = self.auction(account)
        if not record.is_flagged:
            raise Refused("NotInAuction")
        self._require_judgeable(account, now)
        return record

    def _require_bidder(self, wanted: BidTerms, context: Context) -> Delegation | None:
        """A delegate bids where he may, whatever he may trade otherwise."""
        grant = self._grant_of(wanted.bidder, wanted.sender, context.now)
        if grant is not None and not grant.may_bid:
            raise Refused("NotAuthorised")
        for position in self.state(wanted.account).positions:
            self._require_market(grant, position.instrument)
        return grant

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
        self._require_judgeable(account, context.now)
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

    def _book_loss(self, amount: int, context: Context) -> Loss:
        if self._cash_left:
            raise Refused("CashOutWithLoss")
        self._loss_booked = True
        supplied = self._accrue(context.now).supplied_down
        self._books.pool, loss = self._books.pool.after_loss(amount)
        if loss.is_shared and not self.is_halted:
            self._books.is_halted = True
        elif loss.is_shared and loss.shared * MILLE >= supplied:
            self._books.resume_ready_at = 0
        return loss

    def _note_again(self, account: Account, micros: int) -> None:
        """A look at an auction that goes on notes what has become of the loss, and else nothing."""
        before = self._books.provisions.get(account, 0)
        self._provide(account, micros)
        if before == self._books.provisions.get(account, 0):
            raise Refused("AuctionAlreadyRunning")

    def _provide(self, account: Account, micros: int) -> None:
        """The sum of all fits 64 bits."""
        others = sum(self._books.provisions.values()) - self._books.provisions.get(account, 0)
        micros = min(micros, MAX_PROVISIONS - others)
        if micros:
            self._books.provisions[account] = micros
        else:
            self._books.provisions.pop(account, None)

    def _end_auction(self, account: Account) -> None:
        del self._books.auctions[account]
        self._provide(account, 0)

    def _move_slice(self, wanted: BidTerms, fraction: int, price: int, now: int) -> None:
        """Cash, amounts, sizes and quotes all round down: against the bidder."""
        source, bidder = wanted.account, wanted.bidder
        moved = self._cash(source, now) * fraction // WAD
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
        self._move_quote(-freed_here - freed_there, now)
        for account in (source, bidder):
            self._bump(account)
        self._move_cash(source, -moved + max(price, 0) + freed_here, now)
        self._move_cash(bidder, moved - price + freed_there, now)

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

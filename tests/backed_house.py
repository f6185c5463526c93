"""A house whose reserves belong to a real BackstopVault, beside the twins of both.

    house = BackedHouse()
    house.invest("holder", 1_000 * DOLLAR)
    house.take_over(account)
    house.sweep(house.sub_account(1))

What the vault does is predicted as everything of the house is: by the twin of its shares, of its
sub-accounts, and of the books that its calls change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from plimsoll.risk import backstop as twin
from plimsoll.risk.backstop import Limits, Shares, Slice, Valuation
from plimsoll.risk.instruments import Instrument, Kind
from plimsoll.risk.ledger import (
    CASH,
    CLOSING_TIME,
    Account,
    BidResult,
    BidTerms,
    Context,
    Order,
    Refused,
    owner_of,
)
from plimsoll.risk.model import Portfolio
from plimsoll.risk.options import FIXING
from tests.evm import Receipt
from tests.house import Deed, House, booked, encode
from tests.unit.backstop_house import signature_of

HOLDERS = ("holder", "saver")
ALL = 2**256 - 1
ITS_OWN = ("OrderExpired", "OrderEpochPassed", "LegsInvalid", "NotAuthorised", "DelegateMarket")
"""What the house refuses an order for before it asks who signed it."""


@dataclass(frozen=True)
class Use:
    """A sub-account of the vault that holds a slice, or did until it is swept."""

    account: Account
    since: int
    slack_cap: int


@dataclass
class Backing:
    """What the twin knows of the vault, apart from the books of the house."""

    shares: Shares
    uses: list[Use] = field(default_factory=list)
    last: int = 0
    """Number of the latest sub-account."""

    def use_of(self, account: Account) -> Use:
        for use in self.uses:
            if use.account == account:
                return use
        raise Refused("NotInUse")

    def free(self, account: Account) -> bool:
        """The last one takes the place of the one that leaves; whether it was there."""
        for index, use in enumerate(self.uses):
            if use.account == account:
                self.uses[index] = self.uses[-1]
                self.uses.pop()
                return True
        return False


class BackedHouse(House):
    """The house, the vault that its reserves belong to, and who holds its shares."""

    def _make_backstop(self) -> Any:
        self.backstop = self.evm.deploy("BackstopVault", self.house)
        self._owners["backstop"] = self.backstop
        self.backing = Backing(Shares(self.ledger.cash_scale))
        self.borne = 0
        """What the reserves bore of losses, ever."""
        return self.backstop

    def owner(self, name: str) -> Any:
        known = name in self._owners
        person = super().owner(name)
        if not known and name in HOLDERS:
            self.usd.approve(self.backstop, ALL, sender=person)
        return person

    def checkpoint(self) -> Callable[[], None]:
        house, backing, borne = super().checkpoint(), deepcopy(self.backing), self.borne

        def go_back() -> None:
            house()
            self.backing, self.borne = deepcopy(backing), borne

        return go_back

    def _count_loss(self, loss: Any) -> None:
        super()._count_loss(loss)
        self.borne += loss.from_reserves

    # This moment

    def sub_account(self, number: int) -> Account:
        return self.account("backstop", number)

    @property
    def sub_accounts(self) -> list[Account]:
        """All that ever held a slice, and the one that takes the next."""
        return [self.sub_account(n) for n in range(1, self.backing.last + 2)]

    def is_backstops(self, account: Account) -> bool:
        return owner_of(account) == self.ledger.backstop

    def valuation(self) -> Valuation:
        """By the twin."""
        return self._valuation(self.context())

    def _valuation(self, now: Context) -> Valuation:
        ledger = self.ledger
        used = [use.account for use in self.backing.uses]
        ended = ledger.shut_at != 0 and now.now >= ledger.shut_at + CLOSING_TIME
        return twin.valuation(
            ledger.pool.reserves,
            ledger.provisions,
            [ledger.margin(account, now) for account in used],
            to_close=ended and any(ledger.state(account).positions for account in used),
        )

    # Acting

    def _tell(
        self, name: str, predict: Callable[[Context], Any], send: Callable[[], Receipt]
    ) -> tuple[Any, Receipt]:
        """A call of the vault, which may do several things to the house: all of them or none."""
        now = self.context()
        return self._agree(f"backstop {name}", lambda: self._whole(now, predict), send)

    def _whole(self, now: Context, predict: Callable[[Context], Any]) -> Any:
        with self._undone_if_refused():
            return predict(now)

    @contextmanager
    def _undone_if_refused(self) -> Iterator[None]:
        ledger, backing = self.ledger.copy(), deepcopy(self.backing)
        try:
            yield
        except Refused:
            self.ledger, self.backing = ledger, backing
            raise

    # Holders

    def invest(self, who: str, units: int) -> int:
        """Deposits tokens made out of nothing; returns the shares."""
        holder = self.owner(who)
        self.usd.mint(holder, units)
        shares, receipt = self._tell(
            "deposit",
            lambda now: self._invested(who, units, now),
            lambda: self.backstop.deposit(units, holder, sender=holder),
        )
        assert receipt.value == shares
        return int(shares)

    def _invested(self, who: str, units: int, now: Context) -> int:
        value, pool = self._valuation(now), self.ledger.pool
        most, _ = self.backing.shares.room(value, pool.reserves, pool.deficit)
        if units > most:
            raise Refused("ERC4626ExceededMaxDeposit")
        shares = self.backing.shares.deposit(who, units, value)
        self.ledger.add_reserves(units, now)
        return shares

    def ask_back(self, who: str, shares: int) -> int:
        """Requests redemption; returns the epoch that it joins."""
        holder = self.owner(who)
        epoch, receipt = self._tell(
            "request",
            lambda now: self.backing.shares.request(who, shares, now.now),
            lambda: self.backstop.requestRedeem(shares, holder, holder, sender=holder),
        )
        assert receipt.value == epoch
        return int(epoch)

    def settle_epoch(self) -> int:
        """Returns the units that it draws out of the reserves."""
        settled, receipt = self._tell(
            "settlement", self._settled, lambda: self.backstop.settleEpoch(sender=self.anybody)
        )
        assert tuple(receipt.value) == settled
        return int(settled[1])

    def _settled(self, now: Context) -> tuple[int, int]:
        ledger, value = self.ledger, self._valuation(now)
        if ledger.is_halted:
            # What comes before it in the contract refuses all the same.
            value = replace(value, doubtful=False)
        number, units = self.backing.shares.settle(
            value, now.now, ledger.provisions, ledger.pool.reserves
        )
        if ledger.is_halted:
            raise Refused("RiskHalted")
        if units:
            ledger.pay_reserves(units, now, sender=ledger.backstop)
        return number, units

    def claim(self, who: str, amount: int, *, as_shares: bool) -> int:
        """Takes what settled shares fetched, by shares or by units; returns the other one."""
        holder, name = self.owner(who), "redeem" if as_shares else "withdraw"
        act, send = getattr(self.backing.shares, name), getattr(self.backstop, name)
        other, receipt = self._tell(
            name, lambda _: act(who, amount), lambda: send(amount, holder, holder, sender=holder)
        )
        assert receipt.value == other
        return int(other)

    @property
    def anybody(self) -> Any:
        return self.owner("stranger")

    # Bids

    def take_over(self, account: Account) -> tuple[BidResult, int]:
        """Has the vault bid with the next of its sub-accounts; returns what it draws, too."""
        (sub, funding, result), receipt = self._tell(
            "bid",
            lambda now: self._taken_over(account, now),
            lambda: self.backstop.bid(encode(account), sender=self.anybody),
        )
        assert tuple(receipt.value) == (encode(sub), result.fraction, result.price)
        assert booked(receipt) == ([result.loss] if result.payout else [])
        self._count_loss(result.loss)
        return result, int(funding)

    def _taken_over(self, account: Account, now: Context) -> tuple[Account, int, BidResult]:
        ledger, backing = self.ledger, self.backing
        found = self._slice(account, now)
        backing.last += 1
        sub = self.sub_account(backing.last)
        backing.uses.append(Use(sub, now.now, found.slack_cap))
        ledger.draw_reserves(sub, found.funding, now, sender=ledger.backstop)
        terms = BidTerms(account, sub, found.fraction, found.price, now.now, 0)
        return sub, found.funding, ledger.bid(terms, now)

    def _slice(self, account: Account, now: Context) -> Slice:
        """What the vault takes now, in the order in which it looks."""
        ledger, uses = self.ledger, self.backing.uses
        if self.is_backstops(account):
            raise Refused("OwnSubAccount")
        if len(uses) == twin.MAX_SUB_ACCOUNTS:
            raise Refused("TooManySubAccounts")
        largest, depth, margin = ledger.quote_bid(account, now)
        if depth < twin.BID_DEPTH:
            raise Refused("TooShallow")
        held, reserves = ledger.portfolio(account), ledger.pool.reserves
        _require_listed(held, now)
        own = [ledger.portfolio(use.account) for use in uses]
        gross, room = twin.measure(held, own, reserves, now.inputs)
        cap = now.factors.payout_cap
        found = twin.size(
            margin, depth, gross, Limits(largest, room, reserves, ledger.provisions, cap)
        )
        twin.require_worthwhile(found, depth, reserves, len(uses))
        return found

    # Unwinding

    def slack(self, sub: Account) -> int:
        use = self.backing.use_of(sub)
        return twin.slack_at(self.now - use.since, use.slack_cap)

    def worst_price(self, order: Order) -> int:
        """The last price at which the vault signs an order."""
        now = self.context()
        markets = {i: now.market(i) for i, _ in order.legs}
        marks = {i: market.mark for i, market in markets.items()}
        indices = {i: market.quote.index for i, market in markets.items()}
        bound = twin.worst_price if order.quantity > 0 else twin.best_offer
        return bound(order.legs, marks, self.slack(order.account), indices)

    def sign(self, order: Order) -> bytes:
        """The vault's signature is the order itself."""
        if self.is_backstops(order.account) and order.signer == 0:
            return signature_of(self.message(order))
        return super().sign(order)

    def taking(
        self, maker: Order, account: Account, quantity: int, sender: str | None = None
    ) -> Deed:
        deed = super().taking(maker, account, quantity, sender)
        if not self.is_backstops(maker.account):
            return deed
        return replace(
            deed, name="backstop order", predict=lambda now: self._taken(maker, deed, now)
        )

    def _taken(self, order: Order, deed: Deed, now: Context) -> Any:
        """The vault is asked whether it signs once the order itself is found good."""
        with self.ledger.scope(now):
            try:
                filled = deed.predict(now)
            except Refused as refused:
                if refused.error in ITS_OWN or self._signs(order, now):
                    raise
                raise Refused("InvalidSignature") from refused
            if not self._signs(order, now):
                raise Refused("InvalidSignature")
            return filled

    def _signs(self, order: Order, now: Context) -> bool:
        in_use = any(use.account == order.account for use in self.backing.uses)
        brief = order.expiry <= now.now + twin.MAX_ORDER_LIFE
        markets = [now.market(instrument) for instrument, _ in order.legs]
        good = all(market.is_ok and not market.quote.is_stale for market in markets)
        if not (in_use and order.reduce_only and brief and good):
            return False
        worst = self.worst_price(order)
        return order.price <= worst if order.quantity > 0 else order.price >= worst

    def buy_collateral(self, sub: Account, asset: int, amount: int, who: str) -> int:
        """Somebody buys what a sub-account holds; returns the units that it costs."""
        buyer = self.owner(who)
        self.usd.approve(self.backstop, ALL, sender=buyer)
        cost, receipt = self._tell(
            "sale",
            lambda now: self._bought(sub, asset, amount, now),
            lambda: self.backstop.buyCollateral(
                encode(sub), asset, amount, ALL, buyer, sender=buyer
            ),
        )
        assert receipt.value == cost
        return int(cost)

    def _bought(self, sub: Account, asset: int, amount: int, now: Context) -> int:
        slack, scale = self.slack(sub), self.ledger.cash_scale
        if amount == 0:
            raise Refused("ZeroAmount")
        state = now.inputs.assets[asset]
        if state.doubtful or not now.inputs.underlyings[state.underlying].price.ok:
            raise Refused("DoubtfulPrice")
        cost = twin.collateral_cost(asset, amount, slack, scale, now.inputs)
        self.ledger.deposit(sub, CASH, cost, now)
        self.ledger.withdraw(sub, asset, amount, now)
        return cost

    def sweep(self, sub: Account) -> int:
        """Returns what goes back to the reserves, dollars with 18 decimals."""
        amount, receipt = self._tell(
            "sweep",
            lambda now: self._swept(sub, now),
            lambda: self.backstop.sweep(encode(sub), sender=self.anybody),
        )
        assert receipt.value == amount
        return int(amount)

    def _swept(self, sub: Account, now: Context) -> int:
        if not self.is_backstops(sub):
            raise Refused("NotInUse")
        held = self.ledger.portfolio(sub)
        amount = twin.spare_cash(held, self.ledger.margin(sub, now))
        if amount:
            self.ledger.return_reserves(sub, amount, now)
        bare = not held.positions and not held.collateral and held.cash == amount
        freed = bare and self.backing.free(sub)
        if amount == 0 and not freed:
            raise Refused("NothingToSweep")
        return amount


def _can_end(instrument: int, now: Context) -> bool:
    """Whether a position can be traded away, or kept until it settles."""
    market, one = now.market(instrument), Instrument.decode(instrument)
    if one.kind is Kind.PERPETUAL:
        return not market.closed
    in_time = now.now + FIXING < one.expiry
    return in_time and not market.terms.closed and not market.quote.is_stale


def _require_listed(held: Portfolio, now: Context) -> None:
    """Every position trades, every asset can be sold, every price is good."""
    for position in held.positions:
        if not _can_end(position.instrument, now):
            raise Refused("MarketClosed")
    inputs = now.inputs
    doubtful = any(inputs.assets[one.asset].doubtful for one in held.collateral)
    used = twin.gross_units(held, inputs)
    if doubtful or not all(inputs.underlyings[u].price.ok for u in used):
        raise Refused("DoubtfulPrice")

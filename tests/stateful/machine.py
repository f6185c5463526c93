"""Several people act on a real house at random; the twin predicts each outcome, and every numbered
invariant is checked after each step.

Actions are plain methods that update contracts and twin together (`tests/house.py`); the rules draw
what to do and steer towards the corners: the largest withdrawal and a unit more, trades at the edge
of initial margin, prices that bring an account to just below maintenance or straight through zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plimsoll.reports import FRESH
from plimsoll.risk import model
from plimsoll.risk.backstop import EPOCH_LENGTH
from plimsoll.risk.ledger import (
    CASH,
    WINDING_DELAY,
    Account,
    Delegation,
    Grant,
    Order,
    Pause,
    Refused,
    owner_of,
)
from plimsoll.risk.ledger.custody import room
from plimsoll.risk.model import BPS, WAD, Portfolio
from plimsoll.risk.params import Kind, LendingParams, OptionsParams
from tests.backed_house import HOLDERS, BackedHouse
from tests.evm import Evm
from tests.house import (
    ALT,
    BTC,
    DOLLAR,
    ETH,
    LENDING,
    NEVER,
    PEG,
    UNDERLYINGS,
    House,
    instrument_of,
)
from tests.stateful import backstop_invariants, invariants, option_invariants
from tests.stateful.backstop_invariants import VaultPicture, take_vault_picture
from tests.stateful.invariants import Picture, named, take_picture

HOUR = 3_600
MARKETS = (ETH, BTC, ALT)
YIELD = 5
FIRST_PRICES = {u: one.price for u, one in UNDERLYINGS.items()}
PEOPLE = (
    ("alice", 0),
    ("alice", 1),
    ("bob", 0),
    ("carol", 0),
    ("dealer", 0),
    ("liquidator", 0),
)
TRADERS = 6
DELEGATE = "delegate"
LOWEST_PRICE, HIGHEST_PRICE = 10**12, 10**26

who = st.integers(0, TRADERS - 1)
markets = st.sampled_from(MARKETS)
waits = st.sampled_from([1, 12, 60, 300, HOUR, 4_200, 24 * HOUR, 60 * 24 * HOUR])


NO_LIMIT = 2**256 - 1
SHARED = "loss: from suppliers"
MILD = LendingParams(kink=50, rate_at_kink=10, rate_at_full=100, reserve_share=0)
STEEP = LendingParams(kink=1, rate_at_kink=500, rate_at_full=8_191, reserve_share=50)


OPTIONS = OptionsParams(
    vol_shift=2_500, term_forward=50, term_vol=2_000, option_closing=10, digits=3, dailies=5
)
LISTED = {
    u: replace(one, options=OPTIONS) if u in (ETH, BTC) else one for u, one in UNDERLYINGS.items()
}


def aged_house(evm: Evm | None = None) -> BackedHouse:
    """A house with a past: suppliers have borne a loss, so that no index is round, funding has
    moved, a ramp is under way, and everybody has been here before."""
    house = BackedHouse(evm=evm, underlyings=LISTED)
    accounts = [house.account(name, sub) for name, sub in PEOPLE]
    borrower, dealer, liquidator = accounts[0], accounts[4], accounts[5]
    for name in ("stranger", "benefactor", "relayer", "buyer", DELEGATE, *HOLDERS):
        house.owner(name)
    house.deposit(dealer, CASH, 1_000_000 * DOLLAR)
    house.deposit(liquidator, CASH, 100_000 * DOLLAR)
    house.deposit(borrower, 1, 10 * WAD)
    house.withdraw(borrower, CASH, 15_000 * DOLLAR)
    house.set_price(ETH, 777 * WAD)
    house.flag(borrower)
    for wait in (12, 900):
        house.warp(wait)
        house.set_price(ETH, 777 * WAD)
        if wait == 12:
            house.flag(borrower)
    result = house.bid(borrower, liquidator)
    assert result.loss.from_suppliers > 0
    house.resume()
    for u, rate in ((ETH, 2 * WAD // 7), (BTC, -WAD)):
        _observe_hourly(house, 8)
        house.set_funding(u, rate)
    _observe_hourly(house, 24)
    old = house.underlyings[ETH].params()
    house.tighten(Kind.UNDERLYING, ETH, replace(old, closing=23, band=17).word)
    house.outcomes.clear()
    return house


def _observe_hourly(house: House, hours: int) -> None:
    """Stable prices come back to the first prices, one scan range an hour."""
    for _ in range(hours):
        house.warp(HOUR)
        for u, price in FIRST_PRICES.items():
            house.set_price(u, price)
        house.observe(*FIRST_PRICES)


class Amount(Enum):
    """How much of what is possible."""

    SOME = 1
    MOST = 2
    ONE_MORE = 3
    ALL = 4


amounts = st.sampled_from(Amount)
shares = st.sampled_from([1, 1_000, 3_333, 5_000, 9_999, 10_000])
packages = st.dictionaries(markets, st.sampled_from([WAD, -WAD, WAD // 3]), min_size=1)
clocks = st.sampled_from([1, 1, 30, 30, 300, 900, 4_300])
fractions = st.sampled_from([WAD // 3, WAD, WAD])
delegations = st.builds(
    Delegation,
    may_bid=st.booleans(),
    reduce_only=st.sampled_from([False, False, True]),
    max_leverage=st.sampled_from([0, 0, 20, 300]),
    markets=st.sampled_from([0, 0, 1 << ETH, 1 << ETH | 1 << BTC]),
)
gaps = st.sampled_from([0, 0, 0, 1_500, 6_000])


class HouseMachine(RuleBasedStateMachine):
    """One house for all runs, taken back to its first moment at the start of each."""

    house: BackedHouse
    go_back: Callable[[], None]
    outcomes: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.go_back()
        self.people = [self.house.account(name, sub) for name, sub in PEOPLE]
        self.dealer, self.liquidator = self.people[4:6]
        self.prices = dict(FIRST_PRICES)
        self.orders: list[Order] = []
        # The past of the house counts.
        self.operations, self.broken_for, self.halted_for = 20, 0, 0
        self.grants: list[tuple[Grant, bytes]] = []
        # What an action of the backstop's may give away, dollars: it says so while it acts.
        self.given = 0
        self.picture: Picture = take_picture(self.house, self.accounts)
        self.vault: VaultPicture = take_vault_picture(self.house)

    @property
    def accounts(self) -> list[Account]:
        """Of people, by index, and then those of the backstop."""
        return [*self.people, *self.house.sub_accounts]

    def _look(self) -> None:
        self.picture = take_picture(self.house, self.accounts)
        self.vault = take_vault_picture(self.house, self.vault)

    # Watching

    @contextmanager
    def acting(
        self,
        action: str,
        *involved: Account,
        alone: bool = False,
        exempt: Account | None = None,
        losing: bool = False,
        unit: int = 1,
    ) -> Iterator[None]:
        """Judges an action by the pictures before and after it; a refused one changes nothing.

        `alone` says that only accounts of one owner were changed, `exempt` is taken by force, and
        `unit` is what rounding may take from a stranger.
        """
        before, vault, refused = self.picture, self.vault, False
        shared, borne = self.house.outcomes[SHARED], self.house.borne
        self.operations += 1
        self.given = 0
        owned = self._wealth(involved[0], before) if alone else 0
        try:
            yield
        except Refused:
            refused = True
        self._look()
        after = self.picture
        with named(action):
            self._judge_moment(after)
            lost = self.house.outcomes[SHARED] != shared
            invariants.check_indices(before, after, lost=lost)
            invariants.check_closed_to_risk(before, after)
            if refused:
                same = before == after and vault == self.vault
                invariants.require(13, same, "a refused action changed something")
                return
            if not before.is_still(after) or lost or losing:
                return
            forced = {exempt} if exempt is not None else set()
            if exempt is None or not self.house.is_backstops(exempt):
                allowed = self.house.borne - borne + self.given
                backstop_invariants.check_share_value(vault, self.vault, allowed, self.house)
            invariants.check_margin_rule(before, after, forced, unit)
            invariants.check_strangers(before, after, {*involved, *forced}, unit)
            if alone and all(m.is_healthy for m in before.margins.values()):
                owns = self._wealth(involved[0], after)
                invariants.check_no_enrichment(owned, owns, after, self.house)

    def _wealth(self, account: Account, picture: Picture) -> int:
        outside = invariants.wallet(self.house, account)
        return invariants.wealth(picture, account, outside, self.house)

    def _judge_moment(self, picture: Picture) -> None:
        house = self.house
        invariants.check_custody(house, picture)
        invariants.check_cash(house, picture, self.operations)
        invariants.check_sizes(house, picture, self.operations)
        option_invariants.check_moment(house, picture)
        invariants.check_margins(picture)
        invariants.check_provisions(house, picture)
        invariants.check_twin(house, picture)
        backstop_invariants.check_moment(house, self.vault, picture)

    def moved(self) -> None:
        """After prices, parameters or time: everything is looked at anew."""
        before = self.picture
        self._look()
        with named("time and prices"):
            self._judge_moment(self.picture)
            invariants.check_indices(before, self.picture, lost=False)

    # Beginning

    @initialize(
        reserves=st.sampled_from([4_000, 300_000, 5_000_000]),
        lent=st.sampled_from([20_000, 1_000_000]),
        collateral=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), max_size=4),
        limit=st.sampled_from([None, 30_000, 300_000]),
        leaving=st.booleans(),
    )
    def begin(
        self,
        reserves: int,
        lent: int,
        collateral: list[tuple[int, int]],
        limit: int | None,
        leaving: bool,
    ) -> None:
        """Reserves bound the open interest, what is lent bounds who can borrow; somebody does."""
        self._back(reserves, leaving)
        for account, dollars in ((self.dealer, lent), (self.liquidator, 500_000)):
            self.house.deposit(account, CASH, dollars * DOLLAR)
        for index, asset in enumerate((1, 2, 5, CASH)):
            self.house.deposit(self.accounts[index], asset, self._units(asset, 10_000))
        for index, asset in collateral:
            self.house.deposit(self.accounts[index], asset, self._units(asset, 30_000))
        if limit is not None:
            self._limit(CASH, limit)
            self._limit(1, limit // 2_000)
        self.operations += 15
        self.moved()
        with self.acting("loan", self.accounts[2]):
            self.house.withdraw(self.accounts[2], CASH, 4_000 * DOLLAR)

    def _back(self, dollars: int, leaving: bool) -> None:
        """Most of the reserves is one holder's. If he is leaving, his epoch has ended, so that they
        shrink as soon as it is settled, behind whatever was opened before."""
        small = dollars // 50 * DOLLAR
        with self.acting("reserves"):
            self.house.add_reserves(small)
        self._invest(HOLDERS[0], small)
        self._invest(HOLDERS[1], dollars * DOLLAR - 2 * small)
        if leaving:
            self._ask_back(HOLDERS[1])
            self._wait(2 * EPOCH_LENGTH)
            self.house.observe(*self.prices)

    def _invest(self, who: str, units: int) -> None:
        with self.acting("deposit of a holder"):
            self.house.invest(who, units)

    def _ask_back(self, who: str) -> None:
        with self.acting("request of a holder"):
            self.house.ask_back(who, self.vault.holders[who].shares)

    def _units(self, asset: int, dollars: int) -> int:
        """Token units worth about so many dollars now, at least one."""
        if asset == CASH:
            return dollars * DOLLAR
        one = self.house.assets[asset]
        return max(1, dollars * WAD * 10**one.decimals // self.prices[one.underlying])

    def _limit(self, asset: int, limit: int) -> None:
        self.house.set_limit(asset, limit)
        self.house.refresh(asset)

    # Money

    @rule(index=who, asset=st.integers(0, 5), dollars=st.sampled_from([0, 1, 700, 40_000]))
    def deposit(self, index: int, asset: int, dollars: int) -> None:
        account = self.accounts[index]
        amount = self._units(asset, dollars) if dollars else 0
        self.house.tokens[asset].mint(self.house.owner_key(account), amount)
        with self.acting("deposit", account, alone=True):
            self.house.deposit(account, asset, amount, mint=False)

    @rule(index=who, asset=st.integers(0, 5), dollars=st.sampled_from([1, 5_000]))
    def give(self, index: int, asset: int, dollars: int) -> None:
        """A stranger adds to what an account holds, or to the reserves."""
        account = self.accounts[index]
        if asset == CASH and index == 0:
            with self.acting("reserves"):
                self.house.add_reserves(dollars * DOLLAR)
            return
        with self.acting("gift"):
            self.house.deposit(account, asset, self._units(asset, dollars), payer="stranger")

    @rule(index=who, which=st.integers(0, 5), amount=amounts, share=shares)
    def withdraw(self, index: int, which: int, amount: Amount, share: int) -> None:
        account = self.accounts[index]
        self._withdraw(account, self._held(account, which), amount, share)

    def _withdraw(self, account: Account, asset: int, amount: Amount, share: int) -> None:
        """The most that passes is tried with a unit more first: it passes if and only if."""
        units = self._leaving(account, asset, amount, share)
        tries = (units + 1, units) if amount == Amount.MOST and units else (units,)
        for one in tries:
            before = self.picture
            with self.acting("withdrawal", account, alone=True):
                self.house.withdraw(account, asset, one)
            with named("withdrawal"):
                invariants.check_outflow(before, self.picture, asset, self.house)

    @rule(
        index=who,
        asset=st.sampled_from([CASH, CASH, 1]),
        size=st.sampled_from(["room", "beyond", "small", "small"]),
    )
    def withdraw_to_the_limit(self, index: int, asset: int, size: str) -> None:
        """What may still leave within the hour, a unit more, or the small amounts beyond."""
        outflow = invariants.twin_outflow(self.house, asset)
        limit, used = outflow[0], outflow[1]
        if limit == NO_LIMIT:
            self._limit(asset, (40_000, 20)[asset])
            self.moved()
            return
        if asset == CASH:
            ledger = self.house.ledger
            used = ledger.cash_outflow.sunk(ledger.vault_cash, self.house.now)
        units = limit // 1_000 if size == "small" else room(used, limit) + (size == "beyond")
        before, account = self.picture, self.accounts[index]
        with self.acting("withdrawal", account, alone=True):
            self.house.withdraw(account, asset, units)
        with named("withdrawal"):
            invariants.check_outflow(before, self.picture, asset, self.house)

    def _held(self, account: Account, which: int) -> int:
        """Cash or something the account holds; sometimes something it does not."""
        held = [h.asset for h in self.house.ledger.state(account).collateral]
        choices = [CASH, *held, which]
        return choices[which % len(choices)]

    @rule(
        index=st.sampled_from([0, 0, 0, 1, 1, 1, 2]),
        which=st.integers(0, 5),
        amount=amounts,
        share=shares,
    )
    def transfer(self, index: int, which: int, amount: Amount, share: int) -> None:
        """Between the accounts of one person, or wrongly to another's."""
        source, target = self.accounts[index], self.accounts[(1, 0, 0)[index]]
        asset = self._held(source, which)
        units = self._leaving(source, asset, amount, share)
        scale = self.house.ledger.cash_scale if asset == CASH else 1
        with self.acting("transfer", source, target, alone=True):
            self.house.transfer(source, target, asset, units * scale)

    def _leaving(self, account: Account, asset: int, amount: Amount, share: int) -> int:
        """Units of an asset to take out: around the largest that passes."""
        portfolio, inputs = self.house.ledger.portfolio(account), self.house.inputs()
        held = portfolio.amount(asset)
        if asset == CASH:
            held = max(0, portfolio.cash) // self.house.ledger.cash_scale
        if amount == Amount.ALL:
            return held
        if amount == Amount.SOME:
            return held * share // BPS
        most = self._largest_cash(portfolio)
        if asset != CASH:
            most = model.largest_withdrawal(portfolio, asset, inputs)
        return most + (amount == Amount.ONE_MORE)

    def _largest_cash(self, portfolio: Portfolio) -> int:
        margin = model.margin(portfolio, self.house.inputs())
        free = margin.initial_equity - margin.initial_margin
        if not portfolio.positions:
            free = max(free, portfolio.cash)
        ledger = self.house.ledger
        supplied = ledger.pool.supplied_down
        kept = supplied - ledger.pool.expected_loss(ledger.provisions)
        return max(0, free) * kept // max(1, supplied) // ledger.cash_scale

    # Trading

    @rule(
        maker=who,
        taker=who,
        legs=packages,
        load=st.sampled_from([1, 2_000, 9_000, 11_000, 50_000]),
        buys=st.booleans(),
        offset=st.sampled_from([-300, 0, 0, 50, 2_000]),
        signed=st.booleans(),
    )
    def trade(
        self,
        maker: int,
        taker: int,
        legs: dict[int, int],
        load: int,
        buys: bool,
        offset: int,
        signed: bool,
    ) -> None:
        """A package sized by how much of the taker's free equity its margin takes."""
        first, second = self.accounts[maker], self.accounts[taker]
        quantity = self._size_of(second, legs, load)
        net = self._net_price(legs) * (BPS + offset) // BPS
        order = self.house.order(first, legs, quantity if buys else -quantity, net)
        with self._trading(first, second):
            if signed:
                other = self.house.order(second, legs, -quantity if buys else quantity, net)
                self.house.trade(order, other, quantity)
            else:
                self.house.take(order, second, quantity)

    def _trading(self, first: Account, second: Account):  # type: ignore[no-untyped-def]
        alone = owner_of(first) == owner_of(second)
        return self.acting("trade", first, second, alone=alone)

    def _net_price(self, legs: dict[int, int]) -> int:
        marks = {u: self.house.price(u).index for u in legs}
        return sum(ratio * marks[u] for u, ratio in legs.items()) // WAD

    def _size_of(self, account: Account, legs: dict[int, int], load: int) -> int:
        """Units of a package whose margin, leg by leg, takes that share of what is free."""
        inputs, margin = self.house.inputs(), self.picture.margins[account]
        free = max(1_000 * WAD, margin.initial_equity - margin.initial_margin)
        needed = 0
        for market, ratio in legs.items():
            state = inputs.underlyings[model.underlying_of(instrument_of(market))]
            terms = state.initial
            rate = terms.range + terms.closing + terms.band + 10
            needed += abs(ratio) * state.price.index * rate * inputs.initial_factor
        return max(1, free * load * WAD * WAD * BPS // max(1, needed))

    @rule(
        index=who,
        u=markets,
        share=st.sampled_from([1, 5_000, 10_000, 10_001]),
        offset=st.sampled_from([0, 0, -100, 100]),
    )
    def reduce(self, index: int, u: int, share: int, offset: int) -> None:
        """Closes a part of a position against the dealer, who asks a price for it."""
        account = self.accounts[index]
        held = self.house.ledger.state(account).position(model.perpetual(u)).size
        quantity = abs(held) * share // BPS
        if quantity == 0 or account == self.dealer:
            self.settle(index, u)
        else:
            self._reduce(account, u, quantity, offset)

    def _reduce(self, account: Account, market: int, quantity: int, offset: int) -> None:
        held = self.house.ledger.state(account).position(instrument_of(market)).size
        price = self.house.mark(market) * (BPS + offset) // BPS
        units = -quantity if held > 0 else quantity
        order = self.house.order(account, {market: WAD}, units, price, reduce_only=True)
        with self.acting("reduction", account, self.dealer):
            self.house.take(order, self.dealer, quantity)

    @rule(
        index=who,
        u=markets,
        step=st.sampled_from(["place", "fill", "fill", "fill", "cancel", "raise epoch"]),
        share=st.sampled_from([1, 3_000, 10_000]),
        minimum=st.sampled_from([0, WAD // 200]),
        life=st.sampled_from([60, NEVER]),
    )
    def use_orders(
        self, index: int, u: int, step: str, share: int, minimum: int, life: int
    ) -> None:
        """Orders that are signed once and filled later, in parts, or never."""
        account = self.accounts[index]
        if not self.orders or step == "place":
            self._place(account, u, minimum, life)
            return
        order = self.orders[share % len(self.orders)]
        if step == "fill":
            with self._trading(order.account, account):
                self.house.take(order, account, abs(order.quantity) * share // BPS)
            return
        with self.acting(step, order.account):
            if step == "cancel":
                self.house.cancel(order)
            else:
                self.house.raise_epoch(order.account)

    def _place(self, account: Account, u: int, minimum: int, life: int) -> None:
        price = self.house.price(u).index
        quantity = 2_000 * WAD * WAD // price
        self.orders.append(
            self.house.order(
                account,
                {u: WAD},
                quantity,
                price,
                minimum_fill=minimum and quantity // 2,
                expiry=life if life == NEVER else self.house.now + life,
            )
        )

    @rule(index=who, u=markets)
    def settle(self, index: int, u: int) -> None:
        with self.acting("settlement"):
            self.house.settle(self.accounts[index], u)

    @rule(
        index=st.integers(0, 1),
        steps=st.lists(
            st.sampled_from(["in", "out", "over", "take", "settle"]), min_size=2, max_size=5
        ),
        asset=st.sampled_from([CASH, 1]),
        dollars=st.sampled_from([1, 900, 30_000]),
    )
    def batch(self, index: int, steps: list[str], asset: int, dollars: int) -> None:
        """Several actions of one person at once: only what is left at the end must be covered."""
        house, account, other = self.house, self.accounts[index], self.accounts[1 - index]
        units = self._units(asset, dollars)
        price = house.price(ETH).index
        quantity = dollars * WAD * WAD // price
        order = house.order(self.dealer, {ETH: WAD}, -8 * quantity, price)
        house.tokens[asset].mint(house.owner_key(account), len(steps) * units)
        over = units * (house.ledger.cash_scale if asset == CASH else 1)
        deeds = {
            "in": house.depositing(account, asset, units),
            "out": house.withdrawing(account, asset, units),
            "over": house.transferring(account, other, asset, over),
            "take": house.taking(order, account, quantity),
            "settle": house.settling(account, ETH, "alice"),
        }
        with self.acting(f"batch of {steps}", account, other, self.dealer):
            house.batch(*(deeds[step] for step in steps))
            if asset != CASH and "in" in steps:
                house.note_total(asset, house.ledger.custody(asset).total)

    @rule(u=markets, index=who)
    def rush_out(self, u: int, index: int) -> None:
        """Winners have their gains settled before losers pay, and one of them leaves."""
        held = [(a, self.house.ledger.state(a).position(model.perpetual(u))) for a in self.people]
        market = self.house.inputs().underlyings[u]
        basis = market.price.index - market.funding_index
        for account, position in held:
            if position.size * basis + position.quote * WAD > 0:
                with self.acting("settlement"):
                    self.house.settle(account, u)
        self._withdraw(self.accounts[index], CASH, Amount.MOST, 0)

    # Delegates

    @rule(
        index=who,
        terms=delegations,
        life=st.sampled_from([0, 60, 24 * HOUR, NEVER]),
        signed=st.sampled_from(["no", "no", "now", "keep", "use"]),
    )
    def grant(self, index: int, terms: Delegation, life: int, signed: str) -> None:
        """By call, or by a signature that is used now, later, or never."""
        account, house = self.accounts[index], self.house
        expiry = life if life in (0, NEVER) else house.now + life
        terms = replace(terms, expiry=min(expiry, NEVER - 1))
        if signed == "use" and self.grants:
            with self.acting("signed grant", account):
                house.use_grant(*self.grants.pop())
            return
        if signed in ("keep", "use"):
            self.grants.append(house.sign_grant(account, DELEGATE, terms, house.now + HOUR))
            return
        with self.acting("grant", account):
            if signed == "now":
                self.grants.append(house.sign_grant(account, DELEGATE, terms))
                house.use_grant(*self.grants[-1])
            else:
                house.grant(account, DELEGATE, terms)

    @rule(
        index=who,
        u=markets,
        load=st.sampled_from([500, 5_000]),
        buys=st.booleans(),
        take=st.booleans(),
        again=st.booleans(),
    )
    def delegate_trades(
        self, index: int, u: int, load: int, buys: bool, take: bool, again: bool
    ) -> None:
        """Whoever was granted something signs or takes, within it or beyond it."""
        account, house = self._granted(index), self.house
        quantity = self._size_of(account, {u: WAD}, load)
        price, units = house.price(u).index, quantity if buys else -quantity
        other = self.accounts[4] if account != self.dealer else self.liquidator
        for _ in range(1 + again):
            with self.acting("trade of a delegate", account, other):
                if take:
                    order = house.order(other, {u: WAD}, -units, price)
                    house.take(order, account, quantity, DELEGATE)
                else:
                    signer = house.number_of(DELEGATE)
                    order = house.order(account, {u: WAD}, units, price, signer=signer)
                    self.orders.append(order)
                    house.take(order, other, quantity // 2)

    def _granted(self, index: int) -> Account:
        """An account with a living grant, if there is one."""
        ledger, number = self.house.ledger, self.house.number_of(DELEGATE)
        alive = [a for a in self.accounts if ledger.delegation(a, number).is_alive(self.house.now)]
        return alive[index % len(alive)] if alive else self.accounts[index]

    @rule(
        index=who,
        what=st.sampled_from(["withdraw", "transfer", "grant", "return", "draw", "raise epoch"]),
    )
    def misuse(self, index: int, what: str) -> None:
        """A delegate tries what no grant gives him."""
        account, house, before = self._granted(index), self.house, self.picture
        one = account ^ 1
        deeds = {
            "withdraw": house.withdrawing(account, CASH, 1, DELEGATE),
            "transfer": house.transferring(account, one, CASH, 1, DELEGATE),
            "grant": house.granting(account, DELEGATE, Delegation(NEVER - 1), DELEGATE),
            "return": house.returning_reserves(account, 1, DELEGATE),
            "draw": house.drawing_reserves(account, 1, DELEGATE),
        }
        with self.acting("misuse"):
            if what == "raise epoch":
                house.raise_epoch(account, DELEGATE)
            else:
                house.do(deeds[what])
        with named("misuse"):
            invariants.require(
                16,
                before.portfolios == self.picture.portfolios,
                "a delegate moved something without a trade",
            )

    # Prices, time, governance

    @rule(u=markets, bps=st.sampled_from([-9_000, -2_500, -400, -30, 30, 400, 3_000, 15_000]))
    def move_price(self, u: int, bps: int) -> None:
        self._set_price(u, self.prices[u] * (BPS + bps) // BPS)
        self.moved()

    @rule(index=who, beyond=st.sampled_from([9_000, 10_100, 12_000, 20_000]))
    def move_against(self, index: int, beyond: int) -> None:
        """Moves the price that an account depends on most, to around where it becomes unhealthy."""
        account = self.accounts[index]
        exposed, margin = self._exposure(account), self.picture.margins[account]
        if exposed is None:
            self.move_price(ETH, -400)
            return
        room = max(0, margin.maintenance_equity - margin.maintenance_margin)
        change = room * WAD // abs(exposed.delta) * beyond // BPS
        away = -change if exposed.delta > 0 else change
        self._set_price(exposed.underlying, self.prices[exposed.underlying] + away)
        self.moved()

    def _gap(self, account: Account, bps: int) -> None:
        """A jump of the price that an account depends on most, straight through its equity."""
        exposed = self._exposure(account)
        if exposed is not None and bps:
            away = -bps if exposed.delta > 0 else bps
            price = self.prices[exposed.underlying] * (BPS + away) // BPS
            self._set_price(exposed.underlying, price)
            self.moved()

    def _exposure(self, account: Account) -> model.UnderlyingRisk | None:
        rows = model.breakdown(self.house.ledger.portfolio(account), self.house.inputs())
        exposed = [row for row in rows.underlyings if row.delta]
        return max(exposed, key=lambda row: abs(row.value)) if exposed else None

    def _set_price(self, u: int, price: int) -> None:
        self.prices[u] = max(LOWEST_PRICE, min(HIGHEST_PRICE, price))
        self.house.set_price(u, self.prices[u])

    @rule(seconds=waits, stale=st.integers(0, 3), observe=st.booleans())
    def wait(self, seconds: int, stale: int, observe: bool) -> None:
        """Time passes; mostly the sources report again, and somebody has them observed."""
        self._wait(seconds, refresh=stale > 0)
        if observe:
            self.house.observe(*self.prices)
            self.moved()

    def _wait(self, seconds: int, *, refresh: bool = True) -> None:
        self.house.warp(seconds)
        if refresh:
            self._refresh()
        self.moved()

    def _refresh(self) -> None:
        for u, price in self.prices.items():
            self.house.set_price(u, price)

    @rule(
        what=st.sampled_from(["feed", "second", "sources", "peg", "pause", "rate"]),
        u=markets,
        much=st.integers(0, 3),
    )
    def disturb(self, what: str, u: int, much: int) -> None:
        """Something breaks, and stays broken for the next few steps."""
        one = self.house.underlyings[u]
        self.broken_for = 5
        if what == "feed":
            one.feed.break_down()
        elif what == "second" and one.second_feed is not None:
            one.second_feed.break_down()
            self.house.observe(u)
        elif what == "sources":
            price = self.prices[ETH]
            self.house.set_price(ETH, price, second=price * (BPS + 130 * much) // BPS)
            self.house.observe(ETH)
        elif what == "peg":
            self._set_price(PEG, WAD * (BPS - 130 * much) // BPS)
        elif what == "pause":
            self.house.pause((Pause.DEPOSITS, Pause.WITHDRAWALS, Pause.RISK, Pause(7))[much])
        else:
            self._move_rate((-200, 5, 50, 1_000)[much])
        self.moved()

    def _move_rate(self, bps: int) -> None:
        """The redemption rate of the yield token earns, jumps or is slashed."""
        rate = self.house.redemption(self.house.assets[YIELD]) or WAD
        self.house.set_redemption(YIELD, rate * (BPS + bps) // BPS)

    def _mend(self) -> None:
        for one in self.house.underlyings.values():
            one.feed.mend()
            if one.second_feed is not None:
                one.second_feed.mend()
        self.house.pause(Pause.NOTHING)
        self._set_price(PEG, WAD)
        self._refresh()
        self.house.observe(*self.prices)
        self.house.observe_rates(YIELD)
        self.moved()

    @precondition(lambda self: self.broken_for > 0)
    @invariant()
    def mend_in_time(self) -> None:
        self.broken_for -= 1
        if self.broken_for == 0:
            self._mend()

    @rule(
        terms=st.sampled_from([LENDING, MILD, STEEP]),
        asset=st.sampled_from([CASH, CASH, 1]),
        limit=st.sampled_from([0, 10, 30_000, 10**9]),
    )
    def govern_cash(self, terms: LendingParams, asset: int, limit: int) -> None:
        """Other terms of loans, or another limit, which count once somebody refreshes."""
        if limit:
            self._step_limit(asset, limit)
        else:
            self.house.set_lending(terms)
        self._refresh()
        self.moved()
        self.refresh(asset)

    def _step_limit(self, asset: int, limit: int) -> None:
        """Governance lifts a limit at most to twice what it was, or from next to nothing."""
        old = self.house.context().outflows.get(asset)
        steps = limit if old is None else min(limit, max(2 * old, 2**20))
        self.house.set_limit(asset, steps)

    @rule(asset=st.integers(0, 5))
    def refresh(self, asset: int) -> None:
        with self.acting("refresh"):
            self.house.refresh(asset)

    @rule(
        step=st.sampled_from(
            ["submit resume", "revoke resume", "accept resume", "submit shutdown"]
        ),
    )
    def wind(self, step: str) -> None:
        with self.acting(step):
            self.house.wind(step)
        if step == "submit shutdown":
            with self.acting("revoke shutdown"):
                self.house.wind("revoke shutdown")

    def _resume(self) -> None:
        """After a loss that was shared, risk is added again: two days later."""
        with self.acting("submit resume"):
            self.house.wind("submit resume")
        self._wait(WINDING_DELAY)
        with self.acting("accept resume"):
            self.house.wind("accept resume")

    @precondition(lambda self: self.house.ledger.is_halted)
    @invariant()
    def resume_in_time(self) -> None:
        self.halted_for += 1
        if self.halted_for == 5:
            self.halted_for = 0
            self._resume()

    @rule(u=markets, premium=st.integers(-(10**17), 10**17), age=st.sampled_from([0, 7, 600, 601]))
    def report(self, u: int, premium: int, age: int) -> None:
        """What reporters saw, in time or too late, and newer than the last time or not."""
        funding, seen_at = self.house.underlyings[u].funding, self.house.now - age
        if age <= FRESH and funding.takes(seen_at):
            self.house.report_premium(u, premium, age=age)
            self.house.outcomes["report: done"] += 1
            self.moved()
            return
        refusal: tuple[Any, ...] = ("ReportNotNewer", u, seen_at, funding.observed_at)
        if age > FRESH:
            refusal = ("ReportTooOld", 0, seen_at)
        with self.house.evm.reverts(*refusal):
            self.house.report_premium(u, premium, age=age)
        self.house.outcomes[f"report: {refusal[0]}"] += 1

    @rule(u=markets, more=st.integers(0, 40))
    def tighten(self, u: int, more: int) -> None:
        """Tighter words, which ramp."""
        old = self.house.underlyings[u].params()
        tighter = replace(old, closing=min(200, old.closing + more), band=min(200, old.band + more))
        self.house.tighten(Kind.UNDERLYING, u, tighter.word)
        self.moved()

    # Liquidation

    @rule(index=who, step=st.sampled_from(["flag", "stand still", "reset", "write off"]))
    def step_auction(self, index: int, step: str) -> None:
        """On the account that needs it most, if any does."""
        account = self._worst() or self._flagged() or self.accounts[index]
        if step == "write off":
            self._give_up(account)
            self._write_off(account)
            return
        act = {
            "flag": self.house.flag,
            "stand still": self.house.stand_still,
            "reset": self.house.reset,
        }
        with self.acting(step):
            act[step](account)

    def _flagged(self) -> Account | None:
        flagged = (a for a in self.accounts if self.house.ledger.auction(a).is_flagged)
        return next(flagged, None)

    def _give_up(self, account: Account) -> None:
        """Closes all positions at prices that give the account a little."""
        for position in self.house.ledger.state(account).positions:
            if account != self.dealer:
                offset = 100 if position.size > 0 else -100
                self._reduce(account, position.instrument, abs(position.size), offset)

    def _write_off(self, account: Account) -> None:
        before, losses = self.picture, []
        with self.acting("write-off", exempt=account, losing=True):
            losses.append(self.house.write_off(account))
        for loss in losses:
            total = loss.from_reserves + loss.from_suppliers + loss.to_deficit
            debt = -before.portfolios[account].cash
            invariants.require(7, total == debt, f"written off {total} of {debt}")
            invariants.check_losses(before, self.picture, total)

    @rule(
        index=who,
        bidder=who,
        fraction=st.sampled_from([1, WAD // 1_000, WAD // 3, WAD]),
        limit=st.integers(0, 9),
    )
    def bid(self, index: int, bidder: int, fraction: int, limit: int) -> None:
        account = self._flagged() or self.accounts[index]
        self._bid(account, self.accounts[bidder], fraction, limit)

    def _bid(self, account: Account, bidder: Account, fraction: int, limit: int = 9) -> None:
        before, results = self.picture, []
        version = self.house.ledger.state(account).version ^ 1 if limit == 1 else 0
        max_price = 0 if limit == 0 else 2**255 - 1
        sender = DELEGATE if limit == 2 else None
        with self.acting("bid", bidder, exempt=account):
            results.append(
                self.house.bid(
                    account,
                    bidder,
                    fraction,
                    max_price=max_price,
                    version=version,
                    sender=sender,
                )
            )
        for result in results:
            invariants.check_bid(before, self.picture, account, result, self.house)

    @rule(
        index=st.integers(0, 3),
        legs=packages,
        load=st.sampled_from([300, 3_000, 9_000]),
        beyond=st.sampled_from([10_100, 11_000, 15_000, 30_000]),
        borrow=st.booleans(),
    )
    def ruin(self, index: int, legs: dict[int, int], load: int, beyond: int, borrow: bool) -> None:
        """Loads an account, then has the market turn against it."""
        account = self.accounts[index]
        self.trade(4, index, legs, load, beyond > 11_000, 0, False)
        if borrow:
            self._withdraw(account, CASH, Amount.MOST, 0)
        self.move_against(index, beyond)

    @rule(clock=clocks, fraction=fractions, own=st.booleans(), gap=gaps)
    def liquidate(self, clock: int, fraction: int, own: bool, gap: int) -> None:
        """The whole way: two looks at the worst account, time for the clock, bids, a write-off."""
        account = self._worst()
        if account is None:
            index = fraction % 4
            self.ruin(index, {MARKETS[clock % 3]: WAD if own else -WAD}, 9_000, 12_000, True)
            account = self._worst() or self.accounts[index]
        self._gap(account, gap // 2)
        self._leave_backstop()
        self._auction(account, clock)
        self._run()
        self._gap(account, gap)
        bidder = self.dealer if own and account != self.dealer else self.liquidator
        self._bid(account, bidder, fraction)
        self._write_off(account)

    @rule(
        u=markets,
        buys=st.booleans(),
        load=st.sampled_from([300, 3_000, 9_000]),
        gap=st.sampled_from([2_000, 7_000, 50_000]),
        fraction=fractions,
    )
    def bankrupt(self, u: int, buys: bool, load: int, gap: int, fraction: int) -> None:
        """A gap takes an account straight through its equity: it trades no more, and whoever takes
        it over is paid."""
        account = self.accounts[3]
        self.trade(4, 3, {u: WAD if buys else -WAD}, load, True, 0, False)
        self._gap(account, gap)
        self._give_up(account)
        self._leave_backstop()
        self._auction(account, 4_300)
        self._run()
        self._bid(account, self.liquidator, fraction)
        self._write_off(account)

    def _auction(self, account: Account, clock: int) -> None:
        self._flag(account)
        self._wait(12)
        self._flag(account)
        self._wait(clock)

    def _run(self) -> None:
        """Where a loss is to come, suppliers run, and the backstop's holders would like to."""
        if self.house.ledger.provisions == 0:
            return
        self._withdraw(self.accounts[1], CASH, Amount.MOST, 0)
        self._withdraw(self.liquidator, CASH, Amount.SOME, 100)
        self._leave_backstop()

    def _leave_backstop(self) -> None:
        """Whoever waits for his epoch has it settled, sometimes."""
        if self.operations % 2 and self.house.backing.shares.waiting():
            self._settle_epoch()

    def _settle_epoch(self) -> None:
        vault = self.vault
        with self.acting("settlement of the backstop"):
            self.house.settle_epoch()
        with named("settlement of the backstop"):
            backstop_invariants.check_who_stays(vault, self.vault, self.house)

    @rule(clock=clocks, fraction=fractions)
    def liquidate_all(self, clock: int, fraction: int) -> None:
        """A cascade: everybody who is unhealthy, one after the other."""
        for _ in self.accounts:
            account = self._worst()
            if account is None:
                return
            self._auction(account, clock)
            self._bid(account, self.liquidator, fraction)
            self._write_off(account)

    def _flag(self, account: Account) -> None:
        with self.acting("flag"):
            self.house.flag(account)

    def _worst(self) -> Account | None:
        """The account that most lacks maintenance margin, if any does."""
        rooms = {
            a: m.maintenance_equity - m.maintenance_margin
            for a, m in self.picture.margins.items()
            if a != self.liquidator and not m.is_healthy
        }
        return min(rooms, key=lambda a: rooms[a]) if rooms else None

    @invariant()
    def counted(self) -> None:
        self.outcomes.update(self.house.outcomes)
        self.house.outcomes.clear()

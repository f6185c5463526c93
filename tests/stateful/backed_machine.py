"""The machine with the backstop as one of its actors: holders come and go by epochs, and the vault
bids, sells again what it took, and returns what is left to the reserves."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from plimsoll.risk import backstop as twin
from plimsoll.risk import model
from plimsoll.risk.ledger import Account, BidResult, Order
from plimsoll.risk.model import BPS, WAD, Holding, Position
from tests.backed_house import HOLDERS
from tests.house import DOLLAR
from tests.stateful import backstop_invariants, invariants
from tests.stateful.invariants import Picture, named
from tests.stateful.machine import MARKETS, HouseMachine, who

MILLIONTHS = 10**6
FEES = 1_000
"""Millionths of what is traded: more than both sides pay."""
BUYER = "buyer"

holders = st.sampled_from(HOLDERS)
parts = st.sampled_from([1, 5_000, BPS, BPS, BPS + 1])


class BackedMachine(HouseMachine):
    """Everybody else acts as before."""

    # Holders

    @rule(
        holder=holders,
        step=st.sampled_from(["deposit", "request", "request", "redeem", "withdraw"]),
        part=parts,
        dollars=st.sampled_from([0, 1, 20_000, 1_000_000]),
    )
    def hold(self, holder: str, step: str, part: int, dollars: int) -> None:
        """Shares are bought, asked back, and paid out; or a little more of them than there is."""
        house, shares, vault = self.house, self.house.backing.shares, self.vault
        mine = vault.holders[holder]
        with self.acting(f"{step} of a holder"):
            if step == "deposit":
                house.invest(holder, dollars * DOLLAR)
            elif step == "request":
                house.ask_back(holder, _part(mine.shares, part))
            elif step == "redeem":
                house.claim(holder, _part(shares.max_redeem(holder), part), as_shares=True)
            else:
                house.claim(holder, _part(shares.max_withdraw(holder), part), as_shares=False)
        with named(f"{step} of a holder"):
            backstop_invariants.check_who_stays(vault, self.vault, house)

    @rule(wait=st.booleans())
    def settle_epoch(self, wait: bool) -> None:
        waiting = self.house.backing.shares.waiting()
        if wait and waiting:
            self._wait(max(0, twin.end_of(waiting[0]) - self.house.now))
        self._settle_epoch()

    # Bids

    @rule(
        index=st.integers(0, 3),
        clock=st.sampled_from([30, 300, 900, 4_300]),
        gap=st.sampled_from([0, 0, 0, 1_500]),
        buys=st.booleans(),
    )
    def take_over(self, index: int, clock: int, gap: int, buys: bool) -> None:
        """An auction runs until it is deep enough for the vault, or not yet."""
        account = self._worst()
        if account is None:
            legs = {MARKETS[clock % 3]: WAD if buys else -WAD}
            self.ruin(index, legs, 9_000, 12_000, True)
            account = self._worst() or self.people[index]
        self._auction(account, clock)
        self._gap(account, gap)
        self._take_over(account)

    @rule(index=st.integers(0, 7))
    def take_over_as_it_is(self, index: int) -> None:
        accounts = self.accounts
        self._take_over(self._flagged() or accounts[index % len(accounts)])

    def _take_over(self, account: Account) -> None:
        before = self.picture
        results: list[tuple[BidResult, int]] = []
        with self.acting("bid of the backstop", self.house.sub_accounts[-1], exempt=account):
            results.append(self.house.take_over(account))
            self.given = self._marked_down(before, account, results[0][0])
        for result, drawn in results:
            with named("bid of the backstop"):
                invariants.check_bid(before, self.picture, account, result, self.house, drawn)

    def _marked_down(self, before: Picture, account: Account, result: BidResult) -> int:
        """What is paid for is maintenance equity, and what is got counts with its equity."""
        margin = result.margin
        less = margin.maintenance_equity - margin.equity
        unit = invariants.unit_of_slice(before, account, self.house)
        return model.ceil_div(less * result.fraction, WAD) + unit

    # Unwinding

    @rule(
        which=st.integers(0, 15),
        part=st.sampled_from([1, 5_000, BPS, BPS]),
        beyond=st.sampled_from([0, 0, 0, 1]),
        taker=who,
    )
    def resell(self, which: int, part: int, beyond: int, taker: int) -> None:
        """Something of a sub-account is sold at the last price that the vault agrees to."""
        held = [
            (use.account, one)
            for use in self.house.backing.uses
            for one in self._held_by(use.account)
        ]
        if not held:
            self.take_over(which % 4, 900, 0, part == BPS)
            return
        account, one = held[which % len(held)]
        if isinstance(one, Holding):
            self._sell(account, one, part)
        else:
            self._unwind(account, one, part, beyond, self.people[taker])

    def _held_by(self, account: Account) -> list[Holding | Position]:
        state = self.house.ledger.state(account)
        return [*state.positions, *state.collateral]

    def _sell(self, account: Account, held: Holding, part: int) -> None:
        amount = _part(held.amount, part)
        u, units = twin.units_up(held.asset, amount, self.house.inputs())
        value = units * self.picture.prices[u] // WAD
        price = value // self.house.ledger.cash_scale + 1
        self.house.usd.mint(self.house.owner(BUYER), price)
        with self.acting("sale of the backstop's", account):
            self.given = value * self.house.slack(account) // BPS + 1
            self.house.buy_collateral(account, held.asset, amount, BUYER)

    def _unwind(
        self, account: Account, held: Position, part: int, beyond: int, taker: Account
    ) -> None:
        quantity, sells = _part(abs(held.size), part), held.size > 0
        order = self._signable(account, held.instrument, -quantity if sells else quantity)
        order = replace(order, price=order.price + (-beyond if sells else beyond))
        market = self.house.context().market(held.instrument)
        gross = quantity * max(market.mark, market.quote.index) // WAD
        with self.acting("order of the backstop", account, taker):
            self.given = gross * self.house.slack(account) // BPS
            self.given += gross * FEES // MILLIONTHS + quantity // WAD + 1
            self.house.take(order, taker, quantity)

    def _signable(self, account: Account, market: int, quantity: int) -> Order:
        """At the last price that the vault signs."""
        expiry = self.house.now + 60
        legs = {market: WAD}
        order = self.house.order(account, legs, quantity, 0, reduce_only=True, expiry=expiry)
        return replace(order, price=self.house.worst_price(order))

    @rule(index=st.integers(0, 7))
    def sweep(self, index: int) -> None:
        """What a sub-account can spare goes back; and of one that is not the vault's, nothing."""
        accounts = [*(use.account for use in self.house.backing.uses), self.house.sub_account(1)]
        account = accounts[index % len(accounts)] if index else self.people[0]
        self._sweep(account)

    def _sweep(self, account: Account) -> None:
        with self.acting("sweep", account):
            self.house.sweep(account)


def _part(amount: int, part: int) -> int:
    """So many basis points of it; beyond all of them, one more than there is."""
    return amount + 1 if part > BPS else amount * part // BPS

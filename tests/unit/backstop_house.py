"""A stage whose reserves belong to a real BackstopVault, and short ways to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_abi.abi import encode

from plimsoll.instruments import AccountId
from plimsoll.risk import backstop as twin
from plimsoll.risk import model
from plimsoll.risk.backstop import Limits, Slice, Valuation
from plimsoll.risk.ledger import CLOSING_TIME
from plimsoll.units import to_units_exact
from tests.evm import Receipt
from tests.scenarios.stage import ALT, ETH, WBTC, WETH, Amount, Stage, wad
from tests.unit.books import ASSETS, MARKETS, leave_with_debt

EPOCH = twin.EPOCH_LENGTH
DEEP = 300
"""Seconds after which an auction is deep enough for the backstop."""


class Backed(Stage):
    """A stage with a backstop, bound before the seal."""

    def seal(self, house: Any) -> None:
        self.backstop = self.evm.deploy("BackstopVault", house)
        house.bindBackstop(self.backstop)
        super().seal(house)

    def add_reserves(self, dollars: Amount) -> None:
        if dollars:
            super().add_reserves(dollars)

    # Holders

    def units(self, dollars: Amount) -> int:
        return to_units_exact(dollars, self.cash_decimals)

    def hold(self, who: str, units: int) -> Any:
        """Tokens in the hands of somebody, approved for the backstop."""
        holder = self.actor(who)
        self.dollar.mint(holder, units)
        self.dollar.approve(self.backstop, 2**256 - 1, sender=holder)
        return holder

    def invest(self, who: str, units: int) -> Receipt:
        holder = self.hold(who, units)
        return self.backstop.deposit(units, holder, sender=holder)

    def request(self, who: str, shares: int | None = None) -> int:
        """Asks to redeem, everything unless told; returns the epoch."""
        holder = self.actor(who)
        shares = self.shares_of(who) if shares is None else shares
        return int(self.backstop.requestRedeem(shares, holder, holder, sender=holder).value)

    def end_epoch(self, epoch: int) -> None:
        """Lets an epoch end; every source goes on reporting."""
        self.pass_time(max(0, twin.end_of(epoch) - self.now))

    def redeemed(self, who: str, shares: int | None = None) -> int:
        """Requests, waits, settles and claims; returns what was got."""
        holder = self.actor(who)
        self.end_epoch(self.request(who, shares))
        self.backstop.settleEpoch()
        due = self.backstop.call.maxRedeem(holder)
        return int(self.backstop.redeem(due, holder, holder, sender=holder).value)

    def shares_of(self, who: str) -> int:
        return int(self.backstop.call.balanceOf(self.actor(who)))

    # Valuation

    @property
    def reserves(self) -> int:
        return int(self.house.call.pool().reserves)

    def sub_account(self, number: int = 1) -> bytes:
        return AccountId(self.backstop.address, number).encode()

    def used(self) -> list[bytes]:
        return [bytes(one.account) for one in self.backstop.call.subAccounts()]

    def value(self) -> Valuation:
        """Of the contract; the twin must agree."""
        found = Valuation(*self.backstop.call.valuation())
        margins = [self.margin(one) for one in self.used()]
        shut_at = self.house.call.windDown().shutAt
        ended = shut_at != 0 and self.now >= shut_at + CLOSING_TIME
        waits = ended and any(self.portfolio(one).positions for one in self.used())
        provisions = self.house.call.provisions()
        assert found == twin.valuation(self.reserves, provisions, margins, to_close=waits)
        return found

    def lose(self, dollars: int) -> Receipt:
        """A loss out of nothing but a debt that nobody pays."""
        account = self.account("debtor")
        leave_with_debt(self, account, dollars)
        return self.house.writeOff(account)

    # Bids

    def expected_slice(self, account: bytes) -> Slice:
        """What the twin says that the backstop takes now."""
        held, margin = self.portfolio(account), self.margin(account)
        depth, factors = self.house.call.auction(account).depth, self.engine.call.factors()
        own = [self.portfolio(one) for one in self.used()]
        gross, room = twin.measure(held, own, self.reserves, self.inputs())
        largest = model.f_max(margin, depth, factors.initialFactor, factors.dust)
        provisions = self.house.call.provisions()
        limits = Limits(largest, room, self.reserves, provisions, factors.payoutCap)
        found = twin.size(margin, depth, gross, limits)
        twin.require_worthwhile(found, depth, self.reserves, len(own))
        return found

    # Unwinding

    def unwinding(
        self, number: int, sizes: Mapping[int, Amount], quantity: Amount, price: int, **terms: Any
    ) -> dict[str, Any]:
        """An order of a sub-account that the backstop may sign."""
        order = self.order(self.sub_account(number), sizes, quantity, price)
        within = {"reduceOnly": True, "expiry": self.now + 60}
        return {**order, **within, **terms}

    def unwind(self, order: Mapping[str, Any], taker: str, quantity: Amount) -> Receipt:
        """Somebody takes an order that the backstop signs by being asked."""
        account, who = self.account(taker), self.actor(taker)
        return self.house.take(order, signature_of(order), account, wad(quantity), sender=who)


def signature_of(order: Mapping[str, Any]) -> bytes:
    """The backstop's signature: the order itself, abi-encoded."""
    legs = "(uint48,int256)[]"
    kind = f"(bytes32,address,address,{legs},int256,int256,uint256,bool,uint256,uint256,uint256)"
    values = [order[name] for name in FIELDS]
    values[3] = [(leg["instrument"], leg["ratio"]) for leg in order["legs"]]
    return encode([kind], [tuple(values)])


FIELDS = (
    "account",
    "signer",
    "taker",
    "legs",
    "quantity",
    "price",
    "minimumFill",
    "reduceOnly",
    "expiry",
    "epoch",
    "salt",
)


def build(**terms: Any) -> Backed:
    return Backed(**{"underlyings": MARKETS, "collateral": ASSETS, **terms})


def fall(stage: Backed, price: int = 1_930, *, elapsed: int = DEEP) -> bytes:
    """An account with cash, two kinds of collateral and two positions, deep in its auction."""
    stage.fund("maker", 10_000_000)
    stage.fund("owner", 26_000)
    stage.deposit("owner", WETH, 123_456_789_012_345_678)
    stage.deposit("owner", WBTC, 1_234_567)
    stage.trade("owner", "maker", {ETH: 100})
    stage.trade("maker", "owner", {ALT: 7})
    stage.move({ETH: price})
    account = stage.account("owner")
    stage.start_auction(account)
    stage.pass_time(elapsed)
    return account


def with_slice(stage: Backed) -> bytes:
    """The backstop holds a slice."""
    stage.backstop.bid(fall(stage), sender=stage.actor("stranger"))
    return stage.sub_account()

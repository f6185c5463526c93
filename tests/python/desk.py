"""The twin of the books alone, at one moment that a test moves: no contracts.

desk = Desk(lending=Lending(80, 50, 900, 10))
desk.deposit(SAVER, CASH, 1_000)
desk.later(3_600)
"""

from __future__ import annotations

from collections.abc import Mapping

from plimsoll.risk import model
from plimsoll.risk.ledger import (
    CASH,
    Account,
    Caps,
    Context,
    Factors,
    Ledger,
    Lending,
    MarketTerms,
    Order,
    Pause,
)
from plimsoll.risk.model import WAD, AssetState, AssetTerms, Inputs, Price, UnderlyingState

ETH, TOKEN = 1, 1
DOLLAR = 10**6
START = 10**9
HOUR = 3_600
# Owners are numbers; the ones of the tests have a role each.
SAVER, RUNNER, BORROWER, KEEPER = (owner << 96 for owner in (11, 12, 13, 14))
DELEGATE, STRANGER = 21, 22


class Desk:
    """A ledger, and the price, the terms and the time that it sees."""

    def __init__(
        self,
        *,
        price: int = 2_000 * WAD,
        lending: Lending | None = None,
        outflows: Mapping[int, int] | None = None,
    ) -> None:
        self.now, self.price, self.doubtful = START, price, False
        self.lending, self.outflows = lending or Lending(), dict(outflows or {})
        self.paused = Pause.NOTHING
        self.ledger = Ledger(clock=lambda: self.now)
        for asset in (CASH, TOKEN):
            self.ledger.refresh(asset, self.context())

    def context(self) -> Context:
        status = model.PriceStatus.STALE if self.doubtful else model.PriceStatus.OK
        price = Price(self.price, self.price, 0, status)
        terms = model.UnderlyingTerms(range=500, window=120)
        tiers = AssetTerms(10**6, 10**7, 500, 700, 1_000)
        return Context(
            inputs=Inputs(
                underlyings={ETH: UnderlyingState(price, terms, terms)},
                assets={TOKEN: AssetState(ETH, 18, tiers, tiers)},
            ),
            markets={ETH: MarketTerms(stress_jump=0)},
            caps={TOKEN: Caps(2**40 * WAD, 2**40 * WAD, 18, WAD, self.price)},
            factors=Factors(12_500, 10_000, 2**40 * WAD, 2**40 * WAD, 10 * WAD),
            now=self.now,
            paused=self.paused,
            lending=self.lending,
            outflows=self.outflows,
        )

    def later(self, seconds: int) -> None:
        self.now += seconds

    def refresh(self, asset: int) -> None:
        self.ledger.refresh(asset, self.context())

    def deposit(self, account: Account, asset: int, amount: int) -> None:
        """Whole dollars, or whole tokens."""
        units = amount * (DOLLAR if asset == CASH else WAD)
        self.ledger.deposit(account, asset, units, self.context())

    def withdraw(self, account: Account, asset: int, units: int) -> int:
        return self.ledger.withdraw(account, asset, units, self.context())

    def cash(self, account: Account) -> int:
        return self.ledger.portfolio(account).cash

    def order(
        self, account: Account, size: int, *, signer: int = 0, reduce_only: bool = False
    ) -> Order:
        """At the mark, in the market of the one underlying."""
        leg = (model.perpetual(ETH), WAD)
        epoch = self.ledger.state(account).epoch
        return Order(
            account, (leg,), size, self.price, reduce_only=reduce_only, epoch=epoch, signer=signer
        )

    def auction(self, account: Account) -> None:
        """Two looks, so that the auction runs."""
        for wait in (0, 12):
            self.later(wait)
            self.ledger.flag(account, self.context())

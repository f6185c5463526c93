"""The work that is measured, the same on every house.

A figure called `first` opens what it touches (fresh storage); one called `repeat` finds it open. A
bid takes a tenth of an account that holds cash and perpetuals; its bidder holds cash, and none of
the perpetuals the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ape import accounts
from ape.api import AccountAPI, ReceiptAPI

from plimsoll.instruments import AccountId
from plimsoll.units import WAD
from tests.gas import credit
from tests.gas.explain import where_it_goes
from tests.gas.figures import is_missed
from tests.gas.house import House
from tests.gas.measure import Figure, action, cold_view, undone, wait

LEGS = 8
BID_SIZES = (1, 8, 32)
COLLATERALS = 5
MOST_POSITIONS, MOST_COLLATERALS = 128, 95
NOTIONAL = 10_000
BACKSTOP_NOTIONAL = 100_000
SECONDS_BETWEEN_LOOKS = 12
SECONDS_INTO_AUCTION = 120


class Workload:
    """Actors with roles, and one method for each group of figures."""

    def __init__(self, house: House, suffix: str = "") -> None:
        self.house = house
        self.suffix = suffix
        self.explained: dict[str, dict[str, int]] = {}
        """Where the gas of each missed figure goes."""
        self.lender, self.maker, self.trader, self.bidder = accounts.test_accounts[2:6]
        house.deposit(self.lender, house.settlement, 100_000_000)
        house.deposit(self.maker, house.settlement, 100_000_000)
        house.add_reserves(100_000_000)

    def figures(self) -> dict[str, int]:
        """Gas by name; what misses its bar is explained while its transaction is still there."""
        found: dict[str, int] = {}
        groups = [self.margin_checks, self.deposits, self.trades, self.bids]
        groups += [self.consent, self.credit, self.backstop]
        if len(self.house.collateral) == MOST_COLLATERALS:
            groups.append(self.largest_account)
        for group in groups:
            with undone():
                for short, figure in group():
                    name = short + self.suffix
                    found[name] = figure.gas
                    if is_missed(name, figure.gas):
                        self.explained[name] = where_it_goes(figure.transaction, figure.gas)
        return found

    def margin_checks(self) -> Iterator[tuple[str, Figure]]:
        """Five collaterals with borrowed cash; then three perpetuals on further underlyings."""
        house = self.house
        for token in house.collateral[:COLLATERALS]:
            house.deposit(self.trader, token, 100_000)
        house.withdraw(self.trader, house.settlement, 100_000)
        account = AccountId(self.trader.address).encode()
        view = house.clearing_house.margin
        yield "margin_check_5_collateral", cold_view(view, account, sender=self.trader)
        for underlying in self._underlyings_without_collateral(3):
            self._open([underlying])
        yield "margin_check_5_collateral_3_perps", cold_view(view, account, sender=self.trader)

    def deposits(self) -> Iterator[tuple[str, Figure]]:
        """A deposit of a collateral token, and of the settlement token."""
        house = self.house
        for name, token in (("deposit", house.collateral[0]), ("deposit_cash", house.settlement)):
            yield f"{name}_first", action(house.deposit(self.trader, token, 100_000))
            yield f"{name}_repeat", action(house.deposit(self.trader, token, 100_000))

    def trades(self) -> Iterator[tuple[str, Figure]]:
        """Two fresh signed orders; both accounts hold two underlyings. Then ways to leave."""
        house = self.house
        one, other = self._underlyings_without_collateral(2)
        house.deposit(self.trader, house.settlement, 1_000_000)
        yield "trade_perp_first", action(self._open([one]))
        self._open([other])
        yield "trade_perp_repeat", action(self._open([one]))
        leaving = house.withdraw(self.trader, house.settlement, 1_000)
        yield "withdraw_with_positions", action(leaving)
        token = house.collateral[0]
        house.deposit(self.trader, token, 100_000)
        leaving = house.withdraw(self.trader, token, 1_000)
        yield "withdraw_collateral_with_positions", action(leaving)

    def consent(self) -> Iterator[tuple[str, Figure]]:
        """Deposits and orders that are signed in other ways; a pair in one go; a gain settled."""
        house = self.house
        one, other = self._underlyings_without_collateral(2)
        house.deposit(self.trader, house.settlement, 1_000_000)
        yield from credit.deposit_permit2(house, self.trader)
        yield from credit.order_1271_extra(house, self.trader, one)
        with undone():
            yield from credit.hedged_pair(house, self.maker, self.bidder_with_cash(), (one, other))
        prices = dict(house.prices)
        yield from credit.settled_profit(house, self.maker, self.trader, other)
        house.prices = prices

    def bidder_with_cash(self) -> AccountAPI:
        self.house.deposit(self.bidder, self.house.settlement, 1_000_000)
        return self.bidder

    def credit(self) -> Iterator[tuple[str, Figure]]:
        """The same margin checks, and a loan drawn, while interest runs."""
        house = self.house
        house.lend()
        for token in house.collateral[:COLLATERALS]:
            house.deposit(self.trader, token, 100_000)
        house.withdraw(self.trader, house.settlement, 100_000)
        borrowing = house.withdraw(self.trader, house.settlement, 1_000)
        yield "borrow_cash", action(borrowing)
        account = AccountId(self.trader.address).encode()
        view = house.clearing_house.margin
        yield "margin_check_5_collateral_interest", cold_view(view, account, sender=self.trader)
        for underlying in self._underlyings_without_collateral(3):
            self._open([underlying])
        name = "margin_check_5_collateral_3_perps_interest"
        yield name, cold_view(view, account, sender=self.trader)

    def backstop(self) -> Iterator[tuple[str, Figure]]:
        """Eight perpetuals of a whole account, worth a thousandth of the reserves and more."""
        house, prices = self.house, dict(self.house.prices)
        markets = list(prices)[:LEGS]
        self._stretch(markets, BACKSTOP_NOTIONAL)
        account = AccountId(self.trader.address).encode()
        self._fall_below_maintenance(account, markets)
        house.clearing_house.flag(account, sender=self.bidder)
        wait(SECONDS_BETWEEN_LOOKS)
        house.clearing_house.flag(account, sender=self.bidder)
        yield from credit.backstop_bid(house, account, markets)
        house.prices = prices

    def bids(self) -> Iterator[tuple[str, Figure]]:
        prices = dict(self.house.prices)
        for positions in BID_SIZES:
            with undone():
                name = f"{positions}_position{'s' if positions > 1 else ''}"
                yield from self._bid(name, positions)
            self.house.prices = dict(prices)

    def largest_account(self) -> Iterator[tuple[str, Figure]]:
        """The most positions and the most collaterals in one account: a bid still fits."""
        for token in self.house.collateral:
            self.house.deposit(self.trader, token, 1_000)
        yield from self._bid("largest_account", MOST_POSITIONS)

    def _bid(self, name: str, positions: int) -> Iterator[tuple[str, Figure]]:
        """From open to flagged to a slice: prices fall until the account is unhealthy."""
        house = self.house
        house.deposit(self.bidder, house.settlement, 10_000_000)
        markets = list(house.prices)[:positions]
        self._stretch(markets)
        account = AccountId(self.trader.address).encode()
        self._fall_below_maintenance(account, markets)
        house.clearing_house.flag(account, sender=self.bidder)
        wait(SECONDS_BETWEEN_LOOKS)
        yield f"flag_{name}", action(house.clearing_house.flag(account, sender=self.bidder))
        wait(SECONDS_INTO_AUCTION)
        for which in ("", "_repeat"):
            house.refresh(markets)
            yield f"bid_{name}{which}", action(house.take_a_tenth(self.bidder, account))

    def _stretch(self, markets: list[int], notional: int = NOTIONAL) -> None:
        """A trader who is long every one of these, a little above initial margin."""
        house = self.house
        house.deposit(self.trader, house.settlement, len(markets) * notional)
        for start in range(0, len(markets), LEGS):
            self._open(markets[start : start + LEGS], notional)
        account = AccountId(self.trader.address).encode()
        margin = house.clearing_house.margin(account)
        spare = margin.initialEquity - margin.initialMargin
        house.withdraw(self.trader, house.settlement, spare * 9 // 10 // WAD)

    def _fall_below_maintenance(self, account: bytes, markets: list[int]) -> None:
        house = self.house
        for _ in range(20):
            house.report({u: _lower(house.prices[u]) for u in markets})
            margin = house.clearing_house.margin(account)
            if margin.maintenanceEquity < margin.maintenanceMargin:
                return
        raise RuntimeError("prices fell by a fifth and the account is still healthy")

    def _open(self, markets: list[int], notional: int = NOTIONAL) -> ReceiptAPI:
        """The trader buys the same worth of each market from the maker."""
        sizes = {u: Decimal(notional) / self.house.prices[u] for u in markets}
        exact = {u: size.quantize(Decimal("1e-6")) for u, size in sizes.items()}
        return self.house.trade(self.maker, self.trader, exact)

    def _underlyings_without_collateral(self, wanted: int) -> list[int]:
        taken = {token.underlying for token in self.house.collateral}
        return [u for u in self.house.prices if u not in taken][:wanted]


def _lower(price: Decimal) -> Decimal:
    """A twentieth less, in the decimals that feeds have."""
    return (price * Decimal("0.95")).quantize(Decimal("1e-8"))

"""Books of options on one underlying, cash-settled, on the house with simple feeds.

Every option of an expiry has a strike of its own, calls and puts, long and short in turn, so that
each is priced in all 33 states and at the stable price. Collateral is on the options' underlying
first, then on others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ape import accounts, chain
from ape.api import AccountAPI, ReceiptAPI
from eth_account import Account as Keys

from plimsoll.instruments import AccountId, Instrument
from plimsoll.orders import Leg, Order
from plimsoll.risk.instruments import day_of, is_friday
from plimsoll.risk.surface import Slice
from plimsoll.units import WAD
from tests.gas.explain import where_it_goes
from tests.gas.figures import is_missed
from tests.gas.house import NEVER, House, as_tuple
from tests.gas.measure import Figure, action, cold_view, undone, wait, work

UNDERLYING = 1
LEGS = 8
EXPIRIES = 8
# A smile of about 60 %, skewed to the downside, wider for near expiries.
SMILE = {"forward": 1_002_000_000, "b": 250_000_000, "rho": -250_000, "m": 20_000}
SHAPES = {
    "margin_1_option": (1, 1, 0),
    "margin_16_options_1_expiry_1_collateral": (16, 1, 1),
    "margin_64_options_4_expiries_3_collaterals": (64, 4, 3),
    "margin_120_options_8_expiries_4_collaterals": (120, 8, 4),
}
LARGEST = 120
SECONDS_BETWEEN_LOOKS = 12
SECONDS_INTO_AUCTION = 120


class OptionsWorkload:
    """A maker, a trader and a bidder, each with cash."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.explained: dict[str, dict[str, int]] = {}
        self.maker, self.trader, self.bidder = accounts.test_accounts[2:5]
        for each in (self.maker, self.trader, self.bidder):
            house.deposit(each, house.settlement, 10_000_000)
        house.add_reserves(100_000_000)

    def figures(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for group in (self.margins, self.trades, self.bid):
            with undone():
                self._report()
                for name, figure in group():
                    found[name] = figure.gas
                    if is_missed(name, figure.gas):
                        self.explained[name] = where_it_goes(figure.transaction, figure.gas)
        return found

    def margins(self) -> Iterator[tuple[str, Figure]]:
        account = AccountId(self.trader.address).encode()
        view = self.house.clearing_house.margin
        for name, (options, expiries, collaterals) in SHAPES.items():
            with undone():
                for token in self.house.collateral[:collaterals]:
                    self.house.deposit(self.trader, token, 100_000)
                self._open(book(self._days(), options, expiries))
                yield name, cold_view(view, account, sender=self.trader)
                yield name.replace("margin", "is_covered"), self._covered(account)

    def _covered(self, account: bytes) -> Figure:
        """What the ledger's check asks first, and here all that it asks."""
        house = self.house
        held = as_arguments(house.clearing_house.portfolio(account))
        if not house.engine.isCovered.call(held):
            raise RuntimeError("the early exit does not cover the book")
        return work(house.engine.isCovered(held, sender=self.trader))

    def trades(self) -> Iterator[tuple[str, Figure]]:
        """Two fresh signed orders; both accounts hold this option and another one."""
        one, other = book(self._days(), 2, 1).items()
        yield "trade_option_first", action(self._open(dict([one])))
        self._open(dict([other]))
        yield "trade_option_repeat", action(self._open(dict([one])))

    def bid(self) -> Iterator[tuple[str, Figure]]:
        """A tenth of an account that has sold 120 options, after a rise."""
        house, prices = self.house, dict(self.house.prices)
        sold = {i: -abs(size) for i, size in book(self._days(), LARGEST, EXPIRIES).items()}
        self._open(sold)
        account = AccountId(self.trader.address).encode()
        self._rise_until_unhealthy(account)
        house.clearing_house.flag(account, sender=self.bidder)
        wait(SECONDS_BETWEEN_LOOKS)
        flagged = house.clearing_house.flag(account, sender=self.bidder)
        yield "flag_120_options", action(flagged)
        wait(SECONDS_INTO_AUCTION)
        house.refresh([UNDERLYING])
        yield "bid_120_positions", action(house.take_a_tenth(self.bidder, account))
        house.prices = prices

    def _report(self) -> None:
        """One slice for each expiry, by the quorum of one."""
        self.house.report_surface(UNDERLYING, [_slice(day) for day in self._days()])

    def _days(self) -> list[int]:
        """The Fridays from the second one on."""
        today = day_of(chain.blocks.head.timestamp)
        return [day for day in range(today + 8, today + 9 + 7 * EXPIRIES) if is_friday(day)][
            :EXPIRIES
        ]

    def _open(self, sizes: Mapping[Instrument, Decimal]) -> ReceiptAPI:
        """The trader takes these from the maker at the marks, eight legs an order."""
        legs = list(sizes.items())
        for start in range(0, len(legs), LEGS):
            receipt = self._trade(dict(sorted(legs[start : start + LEGS], key=_by_id)))
        return receipt

    def _trade(self, sizes: Mapping[Instrument, Decimal]) -> ReceiptAPI:
        marks = {i: self.house.engine.marketView(i.encode()).mark for i in sizes}
        price = sum((size * marks[i] / WAD for i, size in sizes.items()), Decimal(0))
        exact = price.quantize(Decimal("1e-18"))
        maker, made = self._signed(self.maker, sizes, -1, exact)
        taker, taken = self._signed(self.trader, sizes, 1, exact)
        parties = maker, made, taker, taken
        return self.house.clearing_house.trade(*parties, WAD, sender=self.house.relayer)

    def _signed(
        self, owner: AccountAPI, sizes: Mapping[Instrument, Decimal], quantity: int, price: Decimal
    ) -> tuple[tuple[Any, ...], bytes]:
        account = AccountId(owner.address)
        epoch, _ = self.house.clearing_house.versions(account.encode())
        legs = [Leg(instrument, size) for instrument, size in sizes.items()]
        salt = next(self.house.salts)
        order = Order.build(account, legs, quantity, price, expiry=NEVER, epoch=epoch, salt=salt)
        signed = order.sign(Keys.from_key(owner.private_key), self.house.domain())
        return as_tuple(order), signed.signature

    def _rise_until_unhealthy(self, account: bytes) -> None:
        """Leaves a hundredth of the margin to spare, then lifts the price by hundredths."""
        house = self.house
        margin = house.clearing_house.margin(account)
        spare = margin.initialEquity - margin.initialMargin - margin.initialMargin // 100
        house.withdraw(self.trader, house.settlement, spare // WAD)
        for _ in range(50):
            house.report({UNDERLYING: house.prices[UNDERLYING] + 20})
            margin = house.clearing_house.margin(account)
            if margin.maintenanceEquity < margin.maintenanceMargin:
                return
        raise RuntimeError("the price rose by a half and the account is still healthy")


def book(days: Sequence[int], options: int, expiries: int) -> dict[Instrument, Decimal]:
    """So many options spread over the first expiries, of strikes 50 dollars apart around 2,000."""
    sizes = {}
    for number in range(options):
        place, day = number // expiries, days[number % expiries]
        strike = Decimal(1_600 + 50 * place)
        instrument = Instrument.option(UNDERLYING, day, strike, put=strike < 2_000)
        sizes[instrument] = Decimal(1 + number % 3) * (-1) ** (number // 2)
    return sizes


def as_arguments(portfolio: Any) -> tuple[int, list[Any], list[Any]]:
    """A portfolio that was answered, to be asked about."""
    return portfolio.cash, list(portfolio.collateral), list(portfolio.positions)


def _slice(day: int) -> Slice:
    return Slice(expiry_day=day, a=200_000_000, sigma=200_000, **SMILE)


def _by_id(leg: tuple[Instrument, Decimal]) -> int:
    return leg[0].encode()

"""After the crash: a position that no bidder wants, which the backstop buys into, and a gap beyond
the reserves, whose loss is shared to the wei.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal

from web3.contract.contract import ContractFunction

from plimsoll.backstop import Backstop
from plimsoll.chain import Chain, Event, Receipt
from plimsoll.errors import ContractError
from plimsoll.instruments import AccountId, Instrument
from plimsoll.lab.actors import Cast
from plimsoll.lab.interest import call_at, pool_at, principal_at
from plimsoll.lab.node import Anvil
from plimsoll.lab.prices import TICK
from plimsoll.lab.record import BackstopSlice, LossRow, SharedLoss
from plimsoll.orders import Order, SignedOrder
from plimsoll.protocol import Account, Auction
from plimsoll.risk.ledger.pool import RAY
from plimsoll.units import WAD

_TICK_SECONDS = 15
_ORDER_SECONDS = 600
_PATIENCE = 200
"""Ticks within which an auction must become deep enough for the backstop."""
_OF_CAP = Decimal("0.8")
"""How much of the open interest that the reserves still allow the latecomer takes."""
_OWN = Decimal("0.22")
"""His own money, in parts of what he holds."""
_FIRST_FALL = Decimal("0.81")
_HOLE = Decimal("1.35")
"""What his account lacks after the gap, in parts of the reserves."""
_LOWEST = Decimal("0.25")
_SIZE_PLACES = Decimal("0.001")
_SOLD = Decimal("0.5")
"""The part of its slice that the backstop sells again here."""

Trade = Callable[[Account, Instrument, Decimal, Decimal], None]
Push = Callable[[Mapping[str, Decimal], int], object]
Pay = Callable[[Decimal], Account]
Tell = Callable[[str], None]


@dataclass
class Gap:
    """Everything that it records is read from the chain."""

    node: Anvil
    cast: Cast
    underlyings: Mapping[str, int]
    push: Push
    trade: Trade
    pay: Pay
    """Funds the latecomer's account with dollars."""
    tell: Tell
    sizes: dict[str, Decimal] = field(default_factory=dict)
    backstop: BackstopSlice | None = None
    shared: SharedLoss | None = None

    @property
    def chain(self) -> Chain:
        return self.cast.sponsor.house.chain

    def run(self, prices: Mapping[str, Decimal], names: Mapping[bytes, str]) -> None:
        """From the last prices down, and back to them; `names` are those of all accounts.

        Where a scenario leaves no reserves, or its prices allow no bid, it says so and goes on.
        """
        try:
            self._fall(prices, names)
        except ContractError as refused:
            self.tell(f"no more than this: {refused}")
        self.push(prices, self.node.time + _TICK_SECONDS)

    def _fall(self, prices: Mapping[str, Decimal], names: Mapping[bytes, str]) -> None:
        self.push(prices, self.node.time + _TICK_SECONDS)
        self._choose(prices)
        if not self.sizes:
            self.tell("the reserves carry no further open interest: there is nobody to fall")
            return
        account = self._open(prices)
        fallen = {name: _tick(price * _FIRST_FALL) for name, price in prices.items()}
        self.push(fallen, self.node.time + _TICK_SECONDS)
        self.backstop = self._buy(account)
        factor = self._factor(account, prices)
        gapped = {name: _tick(price * factor) for name, price in prices.items()}
        self.push(gapped, self.node.time + _TICK_SECONDS)
        self.shared = self._lose(account, names)

    def _choose(self, prices: Mapping[str, Decimal]) -> None:
        """Long of everything that the reserves still allow."""
        market = self.cast.sponsor.house.market
        reserves = self._reserves()
        for symbol, price in prices.items():
            terms = market(self.underlyings[symbol]).terms()
            taken = market(self.underlyings[symbol]).open_interest() * price
            room = reserves / terms.stress_jump - taken
            size = (room * _OF_CAP / price).quantize(_SIZE_PLACES, ROUND_FLOOR)
            if size > 0:
                self.sizes[symbol] = size

    def _open(self, prices: Mapping[str, Decimal]) -> Account:
        notional = sum((s * prices[symbol] for symbol, s in self.sizes.items()), Decimal(0))
        account = self.pay((notional * _OWN).quantize(Decimal(1)))
        for symbol, size in self.sizes.items():
            self.trade(
                account, Instrument.perpetual(self.underlyings[symbol]), size, prices[symbol]
            )
        return account

    def _factor(self, account: Account, prices: Mapping[str, Decimal]) -> Decimal:
        """To what part of the opening prices everything has to fall to leave the hole."""
        held = account.portfolio()
        sizes = {s: held.size(Instrument.perpetual(n)) for s, n in self.underlyings.items()}
        notional = sum((sizes[s] * price for s, price in prices.items()), Decimal(0))
        lacking = self._reserves() * _HOLE + account.margin().equity
        factor = _FIRST_FALL - lacking / notional
        return max(_LOWEST, factor)

    def _buy(self, account: Account) -> BackstopSlice:
        """Nobody bids, until anybody has the backstop bid; it sells half of what it took."""
        house = self.cast.sponsor.house
        vault, auction = Backstop(house.chain), Auction(house.chain, account.id)
        before = self._worth(vault)
        auction.flag()
        self.node.mine_at(self.node.time + _TICK_SECONDS)
        auction.flag()
        self._wait_for(vault, account.id)
        receipt = vault.bid(account.id)
        bought, taken = receipt.one("SliceBought").args, receipt.one("SliceTaken").args
        moment = self.chain.w3.eth.get_block(receipt.block)["timestamp"]
        margin = call_at(self.chain, self._margin(account), receipt.block - 1, moment)
        depth = taken["depth"]
        self.tell(f"the backstop took a slice at a depth of {depth / 100:.1f} %")
        sub_account = AccountId.decode(bought["subAccount"])
        self._sell(vault, sub_account)
        swept = sum(told.args["amount"] for told in self._swept(vault, sub_account))
        return BackstopSlice(
            depth=depth,
            fraction=taken["fraction"],
            price=taken["price"],
            funding=bought["funding"],
            equity=margin[0] * taken["fraction"] // WAD,
            unwound=int(_SOLD * WAD),
            swept=swept,
            value_before=before,
            value_after=self._worth(vault),
        )

    def _wait_for(self, vault: Backstop, account: AccountId) -> None:
        for _ in range(_PATIENCE):
            try:
                vault.quote(account)
            except ContractError:
                self.node.mine_at(self.node.time + _TICK_SECONDS)
            else:
                return
        vault.quote(account)

    def _sell(self, vault: Backstop, sub_account: AccountId) -> None:
        """The maker takes orders that the backstop signs by being asked (ERC-1271)."""
        seller, maker = Account(self.chain, sub_account), self.cast.maker.account()
        for position in seller.portfolio().positions:
            market = self.cast.sponsor.house.market(position.instrument.underlying)
            order = Order.build(
                sub_account,
                position.instrument,
                -(position.size * _SOLD).quantize(_SIZE_PLACES, ROUND_FLOOR),
                _tick(market.terms().mark * (1 - vault.slack(sub_account) / 2)),
                expiry=self.node.time + _ORDER_SECONDS,
                epoch=seller.epoch(),
                reduce_only=True,
            )
            maker.take(SignedOrder(order, vault.signature(order)), abs(order.quantity))

    def _swept(self, vault: Backstop, sub_account: AccountId) -> tuple[Event, ...]:
        try:
            return vault.sweep(sub_account).all("Swept")
        except ContractError:
            return ()

    def _lose(self, account: Account, names: Mapping[bytes, str]) -> SharedLoss:
        """The desk takes the rest; what it is paid is the loss."""
        Auction(self.cast.sponsor.house.chain, account.id).flag()
        solvency = self.chain.call(self.chain.lens.functions.solvency())
        expected = {
            known: self.chain.call(self.chain.lens.functions.lossShare(known))[2] for known in names
        }
        desk = self.cast.desk
        auction = Auction(desk.house.chain, account.id)
        receipt = auction.bid(desk.account(), max_price=0)
        return self._shared(receipt, solvency[1], expected, names)

    def _shared(
        self,
        receipt: Receipt,
        provision: int,
        expected: Mapping[bytes, int],
        names: Mapping[bytes, str],
    ) -> SharedLoss:
        """From the principals before it and the index around it: time alone moves neither."""
        booked = receipt.one("LossBooked").args
        now = self.chain.w3.eth.get_block(receipt.block)["timestamp"]
        before = pool_at(self.chain, receipt.block - 1).accrued(now)
        after = pool_at(self.chain, receipt.block)
        rows = []
        for account, name in names.items():
            principal = principal_at(self.chain, account, receipt.block - 1)
            if principal > 0:
                cash = principal * before.supply_index // RAY
                borne = cash - principal * after.supply_index // RAY
                rows.append(LossRow(name, cash, expected[account], borne))
        parts = booked["fromReserves"], booked["fromSuppliers"], booked["toDeficit"]
        halted = self.cast.sponsor.house.wind_down().halted
        return SharedLoss(sum(parts), *parts, provision, rows, halted)

    def _margin(self, account: Account) -> ContractFunction:
        return self.chain.clearing_house.functions.margin(account.id.encode())

    def _worth(self, vault: Backstop) -> int:
        return int(vault.valuation().lower * WAD)

    def _reserves(self) -> Decimal:
        return self.cast.sponsor.house.pool().reserves


def _tick(price: Decimal) -> Decimal:
    return price.quantize(TICK)

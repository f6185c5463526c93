"""The backstop in exact integers: the twin of `docs/ledger.md`, section 8.

Shares and valuations, redemption by epoch, the size of a bid, and the bounds of what is sold
again. Dollars, prices and sizes have 18 decimals, rates are in basis points; what is paid in and
out is in units of the settlement token. What is refused raises `Refused` with the name of the
contract's error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plimsoll.risk import model
from plimsoll.risk.ledger import Refused
from plimsoll.risk.ledger.pool import MILLE
from plimsoll.risk.model import BPS, WAD, Inputs, Margin, Portfolio, ceil_div, underlying_of

BID_DEPTH = 5_000
FUNDING = 10_500
MAX_FUNDING = 1_000
MAX_GROSS = 5_000
LEAST_GROSS = 10
FIRST_SLACK = 20
LAST_SLACK = 200
SLACK_TIME = 86_400
MAX_SUB_ACCOUNTS = 8
MAX_ORDER_LIFE = 3_600
EPOCH_LENGTH = 7 * 86_400
VIRTUAL_SHARES = 1_000
MAX_SHARES = 2**128 - 1
MAX_RESERVES = 2**127 - 1
NOBODY = "nobody"


# Valuations


@dataclass(frozen=True)
class Valuation:
    """What all shares are worth, dollars: what is paid for them, and what they fetch."""

    upper: int
    lower: int
    doubtful: bool = False


def valuation(
    reserves: int, provisions: int, margins: Iterable[Margin] = (), *, to_close: bool = False
) -> Valuation:
    """Of the reserves and the margins of the sub-accounts in use; `to_close` tells that one waits
    to be closed out, at a value that no margin knows."""
    margins = list(margins)
    upper = reserves + sum(max(0, one.equity) for one in margins)
    lower = reserves - provisions + sum(min(one.equity, one.initial_equity) for one in margins)
    doubtful = to_close or any(one.doubtful for one in margins)
    return Valuation(upper, max(0, lower), doubtful)


# Bids


@dataclass(frozen=True)
class Slice:
    """What the backstop takes of an account; dollars."""

    fraction: int
    price: int
    funding: int
    gross: int
    slack_cap: int


@dataclass(frozen=True)
class Limits:
    """What bounds a slice: fractions with 18 decimals, dollars."""

    largest: int
    room: int
    reserves: int
    provisions: int
    payout_cap: int


def affordable(limit: int, cost: int) -> int:
    """The fraction of a cost that a limit pays for."""
    return WAD if cost <= limit else limit * WAD // cost


def gross_units(held: Portfolio, inputs: Inputs) -> dict[int, int]:
    """What a portfolio holds of each underlying, long or short, units rounded up."""
    units: dict[int, int] = {}
    for position in held.positions:
        u = underlying_of(position.instrument)
        units[u] = units.get(u, 0) + abs(position.size)
    for holding in held.collateral:
        u, amount = units_up(holding.asset, holding.amount, inputs)
        units[u] = units.get(u, 0) + amount
    return units


def units_up(asset: int, amount: int, inputs: Inputs) -> tuple[int, int]:
    """The underlying of an amount of collateral, and its units at the maintenance rate."""
    state = inputs.assets[asset]
    return state.underlying, ceil_div(amount * state.rate, 10**state.decimals)


def measure(
    held: Portfolio, own: Iterable[Portfolio], reserves: int, inputs: Inputs
) -> tuple[int, int]:
    """Gross value of an account, and the fraction of it that the caps on each underlying leave."""
    cap, gross, room = reserves * MAX_GROSS // BPS, 0, WAD
    taken: dict[int, int] = {}
    for portfolio in own:
        for u, units in gross_units(portfolio, inputs).items():
            taken[u] = taken.get(u, 0) + units
    for u, units in gross_units(held, inputs).items():
        index = inputs.underlyings[u].price.index
        value = ceil_div(units * index, WAD)
        left = max(0, cap - ceil_div(taken.get(u, 0) * index, WAD))
        gross, room = gross + value, min(room, affordable(left, value))
    return gross, room


def size(margin: Margin, depth: int, gross: int, limits: Limits) -> Slice:
    """The largest slice within every limit."""
    funding = ceil_div(margin.initial_margin * FUNDING, BPS)
    drawable = limits.reserves * MAX_FUNDING // BPS
    payout = max(0, -model.bid_price(margin, WAD, depth)) + 1
    own_loss = max(0, -margin.maintenance_equity)
    free = max(0, limits.reserves - limits.provisions)
    fraction = min(
        limits.largest,
        limits.room,
        affordable(drawable, funding),
        affordable(min(limits.payout_cap, limits.reserves - drawable), payout),
        affordable(free, funding + max(0, payout - own_loss)),
    )
    return Slice(
        fraction,
        model.bid_price(margin, fraction, depth),
        ceil_div(funding * fraction, WAD),
        gross * fraction // WAD,
        slack_cap(margin.maintenance_margin, depth, gross) if gross else 0,
    )


def slack_cap(maintenance_margin: int, depth: int, gross: int) -> int:
    """Half of the pay of a slice in parts of its gross value, bps."""
    return min(LAST_SLACK, maintenance_margin * depth // (2 * gross))


def least_gross(reserves: int, in_use: int) -> int:
    return (reserves * LEAST_GROSS // BPS) << in_use


def require_worthwhile(found: Slice, depth: int, reserves: int, in_use: int) -> None:
    """Refuses a bid as the contract does, once the auction itself allows one."""
    if depth < BID_DEPTH:
        raise Refused("TooShallow", f"{depth} of {BID_DEPTH} bps")
    if found.slack_cap < FIRST_SLACK:
        raise Refused("DiscountTooSmall", f"{found.slack_cap} bps")
    if found.fraction == 0 or found.gross < least_gross(reserves, in_use):
        raise Refused("SliceTooSmall", f"{found.gross} of {least_gross(reserves, in_use)}")


# Unwinding


def slack_at(elapsed: int, cap: int) -> int:
    """How far from the mark a sub-account may trade, so long after its bid; bps."""
    risen = FIRST_SLACK + (LAST_SLACK - FIRST_SLACK) * min(elapsed, SLACK_TIME) // SLACK_TIME
    return min(risen, cap)


Legs = Sequence[tuple[int, int]]
"""Of a package: instrument and ratio."""
Prices = Mapping[int, int]


def worst_price(legs: Legs, marks: Prices, slack: int, indices: Prices | None = None) -> int:
    """The most that the backstop pays for a unit of the package; `indices` are the index prices of
    options among the instruments."""
    mark, gross = _package(legs, marks, indices or {})
    return (mark * BPS + gross * slack) // (WAD * BPS)


def best_offer(legs: Legs, marks: Prices, slack: int, indices: Prices | None = None) -> int:
    """The least for which the backstop sells a unit of the package."""
    mark, gross = _package(legs, marks, indices or {})
    return ceil_div(mark * BPS - gross * slack, WAD * BPS)


def _package(legs: Legs, marks: Prices, indices: Prices) -> tuple[int, int]:
    """Net mark, and the same with every leg positive and none above its index price."""
    net = sum(ratio * marks[instrument] for instrument, ratio in legs)
    highest = {i: min(marks[i], indices.get(i, marks[i])) for i, _ in legs}
    return net, sum(abs(ratio) * highest[instrument] for instrument, ratio in legs)


def collateral_cost(asset: int, amount: int, slack: int, scale: int, inputs: Inputs) -> int:
    """What an amount of collateral costs, in units of the settlement token."""
    u, units = units_up(asset, amount, inputs)
    dollars = ceil_div(units * inputs.underlyings[u].price.index * (BPS - slack), WAD * BPS)
    return ceil_div(dollars, scale)


def spare_cash(held: Portfolio, margin: Margin) -> int:
    """What a sub-account returns to the reserves."""
    if not held.positions and not held.collateral:
        return max(0, held.cash)
    kept = ceil_div(margin.initial_margin * FUNDING, BPS)
    return max(0, min(held.cash, margin.initial_equity - kept))


# Shares


@dataclass
class Epoch:
    """Requests that are settled together."""

    shares: int = 0
    assets: int = 0
    settled: bool = False
    requested: dict[str, int] = field(default_factory=dict)

    def worth(self, shares: int) -> int:
        return shares * self.assets // self.shares


def open_epoch(now: int) -> int:
    """The epoch that a request of now joins: the one that begins next."""
    return now // EPOCH_LENGTH + 1


def end_of(epoch: int) -> int:
    return (epoch + 1) * EPOCH_LENGTH


@dataclass
class Shares:
    """Who holds shares of the backstop, and who waits for what."""

    scale: int
    """Dollars of 18 decimals in a unit of the settlement token."""
    balances: dict[str, int] = field(default_factory=dict)
    epochs: dict[int, Epoch] = field(default_factory=dict)
    escrow: int = 0
    """Units paid out of the reserves and not yet claimed."""

    @property
    def supply(self) -> int:
        """Shares in hands, and those that wait to be settled."""
        waiting = sum(one.shares for one in self.epochs.values() if not one.settled)
        return sum(self.balances.values()) + waiting

    def _supply_at(self, upper: int) -> int:
        return self.supply or upper * VIRTUAL_SHARES

    def _upper(self, value: Valuation) -> int:
        return ceil_div(value.upper, self.scale)

    def to_shares(self, units: int, value: Valuation) -> int:
        supply = self._supply_at(self._upper(value)) + VIRTUAL_SHARES
        return units * supply // (value.lower // self.scale + 1)

    def to_assets(self, shares: int, value: Valuation) -> int:
        supply = self._supply_at(self._upper(value)) + VIRTUAL_SHARES
        return shares * (value.lower // self.scale + 1) // supply

    def preview_deposit(self, units: int, value: Valuation) -> int:
        upper = self._upper(value)
        return units * (self._supply_at(upper) + VIRTUAL_SHARES) // (upper + 1)

    def preview_mint(self, shares: int, value: Valuation) -> int:
        upper = self._upper(value)
        return ceil_div(shares * (upper + 1), self._supply_at(upper) + VIRTUAL_SHARES)

    def room(self, value: Valuation, reserves: int, deficit: int = 0) -> tuple[int, int]:
        """The most that can be deposited, in units, and minted, in shares."""
        upper = self._upper(value)
        supply = self._supply_at(upper)
        if value.doubtful or deficit or supply >= MAX_SHARES:
            return 0, 0
        units, shares = (MAX_RESERVES - reserves) // self.scale, MAX_SHARES - supply
        return (
            min(units, shares * (upper + 1) // (supply + VIRTUAL_SHARES)),
            min(shares, units * (supply + VIRTUAL_SHARES) // (upper + 1)),
        )

    def deposit(self, who: str, units: int, value: Valuation) -> int:
        """Returns the shares; the caller has checked `room` and adds the units to the reserves."""
        shares = self.preview_deposit(units, value)
        self._issue(who, units, shares, value)
        return shares

    def mint(self, who: str, shares: int, value: Valuation) -> int:
        units = self.preview_mint(shares, value)
        self._issue(who, units, shares, value)
        return units

    def _issue(self, who: str, units: int, shares: int, value: Valuation) -> None:
        if not units or not shares:
            raise Refused("ZeroAmount")
        if self.supply == 0 and value.upper:
            self.balances[NOBODY] = self._upper(value) * VIRTUAL_SHARES
        self.balances[who] = self.balances.get(who, 0) + shares

    def request(self, who: str, shares: int, now: int, controller: str | None = None) -> int:
        """Returns the epoch that it joins."""
        if not shares:
            raise Refused("ZeroAmount")
        if shares > self.balances.get(who, 0):
            raise Refused("ERC20InsufficientBalance")
        self.balances[who] -= shares
        number, controller = open_epoch(now), controller or who
        epoch = self.epochs.setdefault(number, Epoch())
        epoch.shares += shares
        epoch.requested[controller] = epoch.requested.get(controller, 0) + shares
        return number

    def waiting(self) -> list[int]:
        return sorted(number for number, one in self.epochs.items() if not one.settled)

    def settle(
        self, value: Valuation, now: int, provisions: int = 0, reserves: int = 0
    ) -> tuple[int, int]:
        """Settles the oldest epoch; returns its number and the units to draw from the reserves."""
        if not (waiting := self.waiting()):
            raise Refused("NothingToSettle")
        number = waiting[0]
        if now < end_of(number):
            raise Refused("EpochRunning", f"until {end_of(number)}")
        if provisions * MILLE > reserves:
            raise Refused("ProvisionOpen", f"{provisions}")
        if value.doubtful:
            raise Refused("ValuationDoubtful")
        epoch = self.epochs[number]
        supply = self.supply + VIRTUAL_SHARES
        units = epoch.shares * (value.lower // self.scale + 1) // supply
        epoch.assets, epoch.settled = units, True
        self.escrow += units
        return number, units

    def _claims(self, who: str) -> list[Epoch]:
        settled = [self.epochs[n] for n in sorted(self.epochs) if self.epochs[n].settled]
        return [one for one in settled if one.requested.get(who)]

    def max_redeem(self, who: str) -> int:
        return sum(one.requested[who] for one in self._claims(who))

    def max_withdraw(self, who: str) -> int:
        return sum(one.worth(one.requested[who]) for one in self._claims(who))

    def redeem(self, who: str, shares: int) -> int:
        """Claims what settled shares fetched, the oldest first."""
        if shares > self.max_redeem(who):
            raise Refused("ERC4626ExceededMaxRedeem")
        units = 0
        for epoch in self._claims(who):
            taken = min(shares, epoch.requested[who])
            units += epoch.worth(taken)
            epoch.requested[who] -= taken
            shares -= taken
        self.escrow -= units
        return units

    def withdraw(self, who: str, units: int) -> int:
        """Claims so many units; returns the shares that this takes."""
        if units > self.max_withdraw(who):
            raise Refused("ERC4626ExceededMaxWithdraw")
        self.escrow -= units
        shares = 0
        for epoch in self._claims(who):
            if not units:
                break
            own = epoch.requested[who]
            worth = epoch.worth(own)
            taken = own if units >= worth else ceil_div(units * epoch.shares, epoch.assets)
            units -= min(units, worth)
            epoch.requested[who] -= taken
            shares += taken
        return shares

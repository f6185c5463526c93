"""The numbered invariants of `INVARIANTS.md`, read from the contracts and checked after every step.

A `Picture` is what the contracts say of one moment. Invariants of one moment take a picture, those
of an action take the pictures before and after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from plimsoll.risk import model
from plimsoll.risk.instruments import Kind
from plimsoll.risk.ledger import (
    CASH,
    RAY,
    Account,
    Auction,
    AuctionState,
    BidResult,
    Context,
    Pool,
    owner_of,
)
from plimsoll.risk.ledger.pool import MICRO
from plimsoll.risk.model import BPS, WAD, Margin, Portfolio, Price
from tests.house import House, encode


class Broken(AssertionError):  # noqa: N818 - what it says
    """An invariant does not hold."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"invariant {number}: {why}")
        self.number = number


def require(number: int, holds: bool, why: str) -> None:
    if not holds:
        raise Broken(number, why)


@dataclass(frozen=True)
class Picture:
    """What the contracts say, at one moment, of everybody."""

    portfolios: Mapping[Account, Portfolio]
    margins: Mapping[Account, Margin]
    pool: Any
    vault: Mapping[int, int]
    claims: Mapping[int, int]
    open_interest: Mapping[int, int]
    provisions: Mapping[Account, int]
    provided: int
    outflows: Mapping[int, tuple[int, int, int]]
    """Limit, what of it is used, and when its hour began, by asset."""
    wound: tuple[bool, int, int, int]
    context: Context
    """What the twin says of prices, parameters and time."""

    @property
    def is_closed_to_risk(self) -> bool:
        halted, _, _, shut_at = self.wound
        return halted or shut_at > 0

    @property
    def quotes(self) -> dict[int, Price]:
        """Prices with their stable price, band and status, by underlying."""
        return {u: state.price for u, state in self.context.inputs.underlyings.items()}

    @property
    def prices(self) -> dict[int, int]:
        return {u: price.index for u, price in self.quotes.items()}

    @property
    def rates(self) -> dict[int, int]:
        return {c: state.rate for c, state in self.context.inputs.assets.items()}

    def is_still(self, other: Picture) -> bool:
        """Whether prices and rates are the same, so that actions may be judged by margins."""
        return self.quotes == other.quotes and self.rates == other.rates


def take_picture(house: House, accounts: list[Account]) -> Picture:
    """Reads everything; margins are asked of the engine for what the ledger says is held."""
    return Picture(
        portfolios={a: house.portfolio_on_chain(a) for a in accounts},
        margins={a: _margin(house.house.call.margin(encode(a))) for a in accounts},
        pool=house.house.call.pool(),
        vault={c: token.call.balanceOf(house.vault) for c, token in house.tokens.items()},
        claims={c: house.house.call.claims(c) for c in house.assets},
        open_interest={
            u: house.house.call.openInterest(model.perpetual(u)) for u in house.marketed
        },
        provisions={a: house.house.call.provisionOf(encode(a)) for a in accounts},
        provided=house.house.call.provisions(),
        outflows={c: tuple(house.house.call.outflow(c)) for c in (CASH, *house.assets)},
        wound=tuple(house.house.call.windDown()),
        context=house.context(),
    )


def _margin(told: Any) -> Margin:
    return Margin(*told)


# One moment


def check_custody(house: House, picture: Picture) -> None:
    """1: tokens in the vault cover what accounts own, and claims are their exact sum."""
    for c in house.assets:
        owned = sum(p.amount(c) for p in picture.portfolios.values())
        require(1, picture.claims[c] == owned, f"asset {c}: claims {picture.claims[c]} != {owned}")
        held = picture.vault[c]
        require(1, held >= owned, f"asset {c}: the vault holds {held} of {owned}")


def check_cash(house: House, picture: Picture, operations: int) -> None:
    """2: the vault's cash is what is owed, to a unit of rounding per operation in its favour."""
    pool = picture.pool
    owed = sum(p.cash for p in picture.portfolios.values()) + pool.netQuote
    owed += pool.reserves - pool.deficit
    surplus = picture.vault[CASH] * house.ledger.cash_scale - owed
    allowed = 3 * operations + len(picture.portfolios)
    require(2, 0 <= surplus <= allowed, f"cash surplus {surplus} of at most {allowed}")
    require(2, pool.reserves == 0 or pool.deficit == 0, "reserves beside a deficit")


def check_sizes(house: House, picture: Picture, settled: int | None = None) -> None:
    """3: sizes of each instrument sum to zero, quotes to the pool's, longs to open interest.

    Of a market that was fixed, by the end or by its expiry, who was closed out or settled has left
    the opposite of his cash to the pool: `settled` positions at most, each to a unit.
    """
    positions = [p for held in picture.portfolios.values() for p in held.positions]
    owed = 0
    for instrument in {p.instrument for p in positions}:
        sizes = [p.size for p in positions if p.instrument == instrument]
        basis = house.ledger.basis(instrument)
        market = picture.context.market(instrument)
        if basis is None and market.is_final:
            basis = market.basis
        if basis is not None:
            owed += sum(sizes) * basis
        else:
            require(3, sum(sizes) == 0, f"sizes of {instrument} sum to {sum(sizes)}")
        require(3, all(size != 0 for size in sizes), f"an empty position of {instrument}")
    for u in house.marketed:
        longs = sum(p.size for p in positions if p.underlying == u and p.size > 0)
        require(3, longs == picture.open_interest[u], f"open interest of {u}")
    quotes = sum(p.quote for p in positions)
    rounded = picture.pool.netQuote - quotes - owed // WAD
    most = len(house.marketed) * len(picture.portfolios) if picture.wound[3] else 0
    if house.expiries:
        most += house.outcomes["settle: done"] if settled is None else settled
    require(3, 0 <= rounded <= most, f"quotes {quotes} != {picture.pool.netQuote}")


def check_margins(picture: Picture) -> None:
    """8: initial margin is at least k times maintenance margin, which is at least zero; of a book
    whose options are paid for no more than maintenance margin, since it cannot lose more."""
    factor = picture.context.inputs.initial_factor
    for account, margin in picture.margins.items():
        paid = _is_paid_for(picture.portfolios[account])
        least = (BPS if paid else factor) * margin.maintenance_margin
        require(8, margin.initial_margin * BPS >= least, f"{margin} below k times maintenance")
        require(8, margin.initial_equity <= margin.equity <= margin.maintenance_equity, f"{margin}")


def _is_paid_for(portfolio: Portfolio) -> bool:
    """Whether it holds options, all of them bought, and no future."""
    dated = [p for p in portfolio.positions if model.is_dated(p.instrument)]
    bought = (p.size > 0 and p.instrument >> 46 == Kind.OPTION for p in dated)
    return bool(dated) and all(bought)


def check_twin(house: House, picture: Picture) -> None:
    """11: the contracts are equal to the twin in every number."""
    inputs, ledger = picture.context.inputs, house.ledger
    for account, portfolio in picture.portfolios.items():
        mine = ledger.portfolio(account)
        require(11, mine == portfolio, f"{portfolio}, twin {mine}")
        expected = model.margin(mine, inputs)
        require(11, picture.margins[account] == expected, f"{picture.margins[account]}")
        epoch, version = house.house.call.versions(encode(account))
        state = ledger.state(account)
        require(11, (epoch, version) == (state.epoch, state.version), "versions")
        told, depth = house.house.call.auction(encode(account))
        auction = Auction(AuctionState(told[0]), *told[1:])
        mine_now = ledger.auction(account)
        require(11, auction == mine_now, f"{auction}, twin {mine_now}")
        flagged = mine_now.is_flagged
        now = model.phi(mine_now.elapsed_at(picture.context)) if flagged else 0
        require(11, depth == now, f"depth {depth}, twin {now}")
        provision = ledger.provision(account)
        require(11, picture.provisions[account] == provision, f"provision, twin {provision}")
    require(11, pool_numbers(picture.pool) == twin_numbers(ledger.pool), "pool")
    require(11, picture.wound == ledger.wind_down, f"{picture.wound}, twin {ledger.wind_down}")
    for asset, outflow in picture.outflows.items():
        counted = twin_outflow(house, asset)
        require(11, outflow == counted, f"outflow of {asset} {outflow}, twin {counted}")


def twin_outflow(house: House, asset: int) -> tuple[int, int, int]:
    ledger, now = house.ledger, house.now
    if asset == CASH:
        cash = ledger.cash_outflow
        return _limit(cash.limit), cash.used(ledger.vault_cash, now), cash.window_start
    custody = ledger.custody(asset).rolled(now)
    return _limit(custody.limit), custody.outflow, ledger.custody(asset).window_start


def _limit(limit: int | None) -> int:
    return 2**256 - 1 if limit is None else limit


def pool_numbers(pool: Any) -> tuple[int, ...]:
    return (
        pool.supplyIndex,
        pool.borrowIndex,
        pool.supplied,
        pool.borrowed,
        pool.netQuote,
        pool.reserves,
        pool.deficit,
    )


def twin_numbers(pool: Pool) -> tuple[int, ...]:
    return (
        pool.supply_index,
        pool.borrow_index,
        pool.supplied_up,
        pool.borrowed_down,
        pool.net_quote,
        pool.reserves,
        pool.deficit,
    )


# An action: prices, parameters and time stand still between the pictures


def check_margin_rule(before: Picture, after: Picture, exempt: set[Account], unit: int = 1) -> None:
    """4: an account is free afterwards, or no level's ratio got worse; none falls below zero."""
    for account, margin in after.margins.items():
        found = before.margins.get(account)
        if found is None or account in exempt:
            continue
        if after.portfolios[account] == before.portfolios[account]:
            continue
        portfolio = after.portfolios[account]
        if not portfolio.positions and portfolio.cash >= 0:
            continue
        # A settlement may lose the unit by which principals are rounded, a final one another.
        lifted = Margin(
            margin.equity + unit,
            margin.initial_equity + unit,
            margin.maintenance_equity + unit,
            margin.initial_margin,
            margin.maintenance_margin,
            margin.doubtful,
        )
        holds = lifted.is_free or model.ratio_holds(found, lifted) or _is_gift(found, lifted)
        if before.portfolios[account].positions == portfolio.positions:
            # A deposit may be worth less for its margin than what is there.
            holds |= _room(lifted) >= _room(found)
        require(4, holds, f"{found} became {margin}")
        require(4, found.equity < 0 or lifted.equity >= 0, f"{found} fell below zero: {margin}")


def _room(margin: Margin) -> int:
    return margin.equity - margin.maintenance_margin


def _is_gift(found: Margin, left: Margin) -> bool:
    """Whether equity rose, and its ratio to maintenance margin with it or that margin fell, as by a
    deposit, which no rule refuses. Initial margin may rise by what the asset is crowded."""
    before, after = found.equity, left.equity
    required, required_after = found.maintenance_margin, left.maintenance_margin
    lowered = required_after <= required
    return after >= before and (lowered or after * required >= before * required_after)


def wallet(house: House, owner: Account) -> dict[int, int]:
    """Tokens that somebody holds outside, by asset."""
    person = house.owner_key(owner)
    return {c: token.call.balanceOf(person) for c, token in house.tokens.items()}


def wealth(picture: Picture, account: Account, outside: Mapping[int, int], house: House) -> int:
    """What the owner of an account owns: equities, and tokens outside at the index."""
    owner = owner_of(account)
    total = sum(m.equity for a, m in picture.margins.items() if owner_of(a) == owner)
    prices, rates = picture.prices, picture.rates
    for c, amount in outside.items():
        if c == CASH:
            total += amount * house.ledger.cash_scale
        else:
            asset = house.assets[c]
            units = amount * rates[c] // 10**asset.decimals
            total += units * prices[asset.underlying] // WAD
    return total


def check_no_enrichment(before: int, after: int, picture: Picture, house: House) -> None:
    """5: what one person does with own accounts only never makes that person richer, but for what
    rounding moves when amounts are split or merged: a unit of each asset or two."""
    prices = picture.prices
    units = sum(2 * (prices[a.underlying] // WAD + 1) for a in house.assets.values()) + 8
    require(5, after - before <= units, f"gained {after - before}")


def check_strangers(before: Picture, after: Picture, involved: set[Account], unit: int = 1) -> None:
    """10: what strangers do lowers nobody's equity, nor equity less maintenance margin (a gift of
    collateral may raise both), but for the unit by which principals are rounded."""
    for account, margin in after.margins.items():
        found = before.margins.get(account)
        if found is None or account in involved:
            continue
        lost = found.equity - margin.equity
        require(10, lost <= unit, f"a stranger took {lost} from {account:#x}")
        room = found.maintenance_equity - found.maintenance_margin
        left = margin.maintenance_equity - margin.maintenance_margin
        require(
            10, left >= room - unit - 1, f"a stranger took {room - left} of health of {account:#x}"
        )


def check_bid(
    before: Picture,
    after: Picture,
    account: Account,
    result: BidResult,
    house: House,
    drawn: int = 0,
) -> None:
    """6: the ratio of what remains never falls, nor rises above its target by the linear part.

    `drawn` is what the bidder took out of the reserves for it.
    """
    found, left = before.margins[account], after.margins[account]
    required, equity = found.maintenance_margin, found.maintenance_equity
    require(6, equity < required, f"a healthy account was bid on: {found}")
    unit = unit_of_slice(before, account, house)
    if result.fraction == WAD:
        rest = after.portfolios[account]
        whole = not rest.collateral and not rest.positions
        kept = max(0, result.price) - rest.cash
        require(6, whole and 0 <= kept <= 1, f"taken whole, {rest} left")
    elif equity < 0:
        better = left.maintenance_equity + unit >= equity
        require(6, better and left.maintenance_margin <= required + unit, f"{found} became {left}")
    else:
        kept = (left.maintenance_equity + unit) * required
        require(6, kept >= equity * (left.maintenance_margin - unit), f"{found} became {left}")
        linear = model.ceil_div((WAD - result.fraction) * required, WAD)
        target = model.ceil_div(before.context.inputs.initial_factor * linear, BPS)
        require(6, left.maintenance_equity <= target + unit, f"{left} above its target {target}")
    check_payout(before, after, result, drawn)


def unit_of_slice(picture: Picture, account: Account, house: House) -> int:
    """What rounding of a slice can move: a unit of each token and of each position, and what one
    unit of the fraction is worth."""
    portfolio = picture.portfolios[account]
    moved = 8 + 4 * (picture.margins[account].maintenance_margin // WAD)
    for holding in portfolio.collateral:
        asset = house.assets[holding.asset]
        worth = picture.rates[holding.asset] * picture.prices[asset.underlying]
        moved += 2 * (worth // (10**asset.decimals * WAD) + 1)
    for position in portfolio.positions:
        market = picture.context.market(position.instrument)
        moved += 2 * (max(market.mark, market.quote.index) // WAD + 2)
    return moved


def check_payout(before: Picture, after: Picture, result: BidResult, drawn: int) -> None:
    """7: a payout is exactly what the depth says, and is borne once."""
    found = result.margin
    owed = result.depth * found.maintenance_margin - found.maintenance_equity * BPS
    paid = max(0, result.fraction * owed // (WAD * BPS))
    require(7, result.payout == paid, f"payout {result.payout} != {paid}")
    check_losses(before, after, result.payout, drawn)


def check_losses(before: Picture, after: Picture, loss: int, drawn: int = 0) -> None:
    """7: what reserves, suppliers and the deficit bear together is the loss."""
    capital = _capital(before) - _capital(after) - drawn
    borne = before.pool.supplied - _supplied_at(after.pool.supplyIndex, before)
    require(7, loss > 0 or borne == 0, "suppliers bore what nobody lost")
    surplus = capital + borne - loss
    require(7, -1 <= surplus <= before.pool.supplied // RAY + 2, f"{surplus}")


def _capital(picture: Picture) -> int:
    return int(picture.pool.reserves - picture.pool.deficit)


def _supplied_at(index: int, picture: Picture) -> int:
    """What all suppliers together own at another index."""
    return model.ceil_div(picture.pool.supplied * index, picture.pool.supplyIndex)


def check_indices(before: Picture, after: Picture, *, lost: bool) -> None:
    """12: indices rise with time only, suppliers' never more than borrowers', and only a loss that
    suppliers bear lets theirs fall, to its floor."""
    (supply, borrow), (supply_after, borrow_after) = (
        (one.pool.supplyIndex, one.pool.borrowIndex) for one in (before, after)
    )
    require(12, supply_after >= RAY // 1000, "the supply index fell below its floor")
    require(12, borrow_after >= borrow, "the borrow index fell")
    require(12, lost or supply_after >= supply, "the supply index fell without a loss")
    # Both pictures round once from the last booking.
    due = (borrow_after + 1) * (supply + 1)
    require(12, supply_after * borrow <= due, "suppliers earned more than borrowers pay")
    if before.context.now == after.context.now:
        require(12, borrow_after == borrow, "the borrow index moved with no time")
        require(12, supply_after <= supply, "the supply index rose with no time")


def check_provisions(house: House, picture: Picture) -> None:
    """14: the provision is the sum of its parts, which only accounts in auction have."""
    parts = sum(picture.provisions.values())
    require(14, parts == picture.provided, f"parts {parts} of {picture.provided}")
    for account, provision in picture.provisions.items():
        flagged = house.ledger.auction(account).is_flagged
        require(14, provision == 0 or flagged, f"a provision for {account:#x} out of auction")


def check_outflow(before: Picture, after: Picture, asset: int, house: House) -> None:
    """15: what leaves is counted, and stays within the limit: small amounts get a quarter more."""
    limit, used, start = after.outflows[asset]
    left = before.vault[asset] - after.vault[asset]
    if limit == 2**256 - 1 or left <= 0:
        return
    if asset == CASH:
        left = model.ceil_div(left * house.ledger.cash_scale, MICRO)
        counted = before.outflows[asset][1] if before.outflows[asset][2] == start else 0
        # What came in before leaves freely.
        exact = used == counted + left if counted else used <= left
        require(15, exact, f"{left} left after {counted}, {used} counted")
    small = left * 1_000 <= limit and 4 * used <= 5 * limit
    require(15, used <= limit or small, f"{used} of {asset} left within an hour of {limit}")


def check_closed_to_risk(before: Picture, after: Picture) -> None:
    """17: while risk is halted or the house is shut, open interest never grows."""
    if not before.is_closed_to_risk:
        return
    for u, size in after.open_interest.items():
        require(17, size <= before.open_interest[u], f"open interest of {u} grew")


@contextmanager
def named(action: str) -> Iterator[None]:
    """Says which action broke an invariant."""
    try:
        yield
    except Broken as broken:
        broken.add_note(f"after: {action}")
        raise

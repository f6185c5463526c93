"""The numbered invariants of options and futures, as `invariants.py` has those of the house."""

from __future__ import annotations

from plimsoll.risk import model
from plimsoll.risk.instruments import Instrument, Kind
from plimsoll.risk.ledger import Account
from plimsoll.risk.model import WAD, Portfolio, Position
from plimsoll.risk.options import SAMPLES
from tests.house import House
from tests.stateful.invariants import Picture, require
from tests.world import pack_portfolio

# One moment


def check_moment(house: House, picture: Picture) -> None:
    dated = {p for held in picture.portfolios.values() for p in held.positions if is_dated(p)}
    if not dated:
        return
    final = check_markets(house, picture, {p.instrument for p in dated})
    check_payoffs(house, picture, final)


def is_dated(position: Position) -> bool:
    return model.is_dated(position.instrument)


def check_markets(house: House, picture: Picture, instruments: set[int]) -> dict[int, int]:
    """24: what is held has the market that the twin says, and what is stored of its expiry is what
    was reported and recorded. Returns what a unit of each that is final is worth."""
    final: dict[int, int] = {}
    fixed: dict[tuple[int, int], int] = {}
    for u, day in {(i.underlying, i.day) for i in map(Instrument.decode, instruments)}:
        told, state = house.engine.call.fixing(u, day), house.expiries[u, day]
        require(24, (told.samples, told.sum) == (state.samples, state.sum), f"fixing {told}")
        observed = house.engine.call.surface(u, day).observedAt
        require(24, observed == state.observed_at, f"slice of {observed}")
        if told.samples == SAMPLES:
            fixed[u, day] = told.sum // SAMPLES
    for id_ in instruments:
        told, mine = house.engine.call.marketView(id_), picture.context.market(id_).quote
        seen = told.mark, told.index, told.closed, told.stale, told.isFinal
        own = mine.mark, mine.index, mine.closed, mine.is_stale, mine.is_final
        require(24, seen == own, f"market of {id_:#x}: {seen}, twin {own}")
        one = Instrument.decode(id_)
        if (one.underlying, one.day) in fixed:
            final[id_] = payoff(one, fixed[one.underlying, one.day])
            require(24, told.isFinal, f"{id_:#x} is fixed and not final")
    return final


def payoff(instrument: Instrument, price: int) -> int:
    """Of a unit, at a settlement price."""
    if instrument.kind == Kind.FUTURE:
        return price
    gain = price - instrument.strike
    return max(0, -gain if instrument.put else gain)


def check_payoffs(house: House, picture: Picture, final: dict[int, int]) -> None:
    """25: a final position is worth its size times its payoff and its quote, and needs nothing: the
    account without it and with that much cash has the same equity, to a unit each."""
    for account, held in picture.portfolios.items():
        ended = [p for p in held.positions if p.instrument in final]
        if not ended:
            continue
        rest = Portfolio(
            held.cash, held.collateral, tuple(p for p in held.positions if p not in ended)
        )
        left = house.engine.call.margin(pack_portfolio(rest)).equity
        worth = sum(p.size * final[p.instrument] // WAD + p.quote for p in ended)
        more = picture.margins[account].equity - left - worth
        require(25, 0 <= more <= len(ended), f"final positions of {account:#x}: {more} more")


# An action


def check_settled(before: Picture, after: Picture, account: Account) -> None:
    """26: whoever settles a final position moves nobody's equity, but for a unit that its owner
    loses, and no version: nobody's worth changes."""
    for who, margin in after.margins.items():
        lost = before.margins[who].equity - margin.equity
        # Its cash rounds down, and so do the principals that cash is kept in.
        most = 2 if who == account else 0
        require(26, 0 <= lost <= most, f"settlement took {lost} from {who:#x}")


def check_unchanged(before: Picture, after: Picture) -> None:
    """13: a refused fixing changes nothing."""
    require(13, before == after, "a refused fixing changed something")

"""The numbered invariants of the backstop, as `invariants.py` has those of the house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plimsoll.risk.backstop import MAX_SUB_ACCOUNTS, NOBODY, VIRTUAL_SHARES, Valuation
from plimsoll.risk.ledger import Account
from plimsoll.risk.model import Portfolio, ceil_div
from tests.backed_house import HOLDERS, BackedHouse, Use
from tests.stateful.invariants import Picture, require

DEAD = "0x000000000000000000000000000000000000dEaD"


@dataclass(frozen=True)
class Holder:
    """What somebody has in the vault: shares, and what is his to take, in shares and in units."""

    shares: int
    max_redeem: int
    max_withdraw: int


@dataclass(frozen=True)
class VaultPicture:
    """What the vault says of itself, at one moment."""

    value: Valuation
    supply: int
    waiting: int
    """Shares that the vault holds itself: requested and not yet settled."""
    holders: Mapping[str, Holder]
    tokens: int
    """Units of the settlement token that it holds."""
    uses: tuple[Use, ...]


def take_vault_picture(house: BackedHouse, last: VaultPicture | None = None) -> VaultPicture:
    """Who has what is asked anew when any of it can have moved since the last picture: by a share
    that was made, burned or handed in, or by a token that came or went."""
    call = house.backstop.call
    supply, waiting = call.totalSupply(), call.balanceOf(house.backstop)
    tokens = house.usd.call.balanceOf(house.backstop)
    same = last is not None and (last.supply, last.waiting, last.tokens) == (
        supply,
        waiting,
        tokens,
    )
    return VaultPicture(
        value=Valuation(*call.valuation()),
        supply=supply,
        waiting=waiting,
        holders=last.holders if last is not None and same else _holders(house),
        tokens=tokens,
        uses=tuple(
            Use(int.from_bytes(one.account, "big"), one.since, one.slackCap)
            for one in call.subAccounts()
        ),
    )


def _holders(house: BackedHouse) -> dict[str, Holder]:
    nobodys = Holder(house.backstop.call.balanceOf(DEAD), 0, 0)
    return {NOBODY: nobodys} | {who: _holder(house, house.owner(who).address) for who in HOLDERS}


def _holder(house: BackedHouse, who: str) -> Holder:
    call = house.backstop.call
    return Holder(call.balanceOf(who), call.maxRedeem(who), call.maxWithdraw(who))


# One moment


def check_moment(house: BackedHouse, picture: VaultPicture, seen: Picture) -> None:
    check_valuation(house, picture)
    check_supply(house, picture)
    check_claims(house, picture)
    check_sub_accounts(house, picture, seen.portfolios)


def check_valuation(house: BackedHouse, picture: VaultPicture) -> None:
    """19: both valuations are the twin's, and what shares fetch is never above what they cost."""
    value, expected = picture.value, house.valuation()
    require(19, value == expected, f"{value}, twin {expected}")
    require(19, 0 <= value.lower <= value.upper, f"{value}")


def check_supply(house: BackedHouse, picture: VaultPicture) -> None:
    """20: all shares are somebody's, or wait to be settled; each as the twin has it."""
    shares = house.backing.shares
    held = sum(one.shares for one in picture.holders.values())
    require(20, picture.supply == held + picture.waiting, f"{picture.supply} shares of {held}")
    require(20, picture.supply == shares.supply, f"{picture.supply}, twin {shares.supply}")
    for who, one in picture.holders.items():
        mine = Holder(shares.balances.get(who, 0), shares.max_redeem(who), shares.max_withdraw(who))
        require(20, one == mine, f"{who}: {one}, twin {mine}")


def check_claims(house: BackedHouse, picture: VaultPicture) -> None:
    """21: the vault holds what was drawn to be claimed, which covers all claims, and no more."""
    held, escrow = picture.tokens, house.backing.shares.escrow
    claims = sum(one.max_withdraw for one in picture.holders.values())
    require(21, held >= claims, f"{held} units for claims of {claims}")
    require(21, held == escrow, f"{held} units, twin {escrow}")


def check_sub_accounts(
    house: BackedHouse, picture: VaultPicture, portfolios: Mapping[Account, Portfolio]
) -> None:
    """22: at most eight sub-accounts are in use, those that the twin says, and no other one holds
    anything."""
    uses = picture.uses
    require(22, len(uses) <= MAX_SUB_ACCOUNTS, f"{len(uses)} sub-accounts")
    require(22, list(uses) == house.backing.uses, f"{uses}, twin {house.backing.uses}")
    used = {use.account for use in uses}
    for account in house.sub_accounts:
        held = portfolios[account]
        bare = not held.positions and not held.collateral and held.cash == 0
        require(22, account in used or bare, f"{account:#x} is not in use and holds {held}")


# An action: prices and time stand still between the pictures


def check_share_value(
    before: VaultPicture, after: VaultPicture, allowed: int, house: BackedHouse
) -> None:
    """23: what a share costs never falls, but by losses that the reserves bore and by what a bid or
    a sale of the vault's may give away: `allowed` dollars of all shares."""
    worth = _kept(before, after, before.value.upper)
    lost = worth - after.value.upper
    require(23, lost <= allowed + house.ledger.cash_scale, f"shares lost {lost} of {allowed}")


def check_who_stays(before: VaultPicture, after: VaultPicture, house: BackedHouse) -> None:
    """23: whoever comes or goes takes nothing from what the shares of the others fetch."""
    lost = _kept(before, after, before.value.lower) - after.value.lower
    require(23, lost <= house.ledger.cash_scale, f"who stayed lost {lost}")


def _kept(before: VaultPicture, after: VaultPicture, value: int) -> int:
    """What the shares of now would be worth at the value of a share of before; the first deposit
    makes shares of what was nobody's."""
    if before.supply == 0:
        return 0
    shares, then = after.supply + VIRTUAL_SHARES, before.supply + VIRTUAL_SHARES
    return ceil_div(value * shares, then)

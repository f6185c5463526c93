"""Cream, October 2021, and Venus, March 2026: value made by a donation.

A share's price is inflated by a gift to its vault; a cap is passed by sending tokens instead of
depositing them. Rates grow no faster than their cap, the ledger counts what was deposited and
nothing else, and caps bound the valued amount.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk.model import BPS, WAD
from plimsoll.risk.oracle import YEAR
from tests.scenarios.stage import CASH, ETH, TERMS, WETH, Collateral, Listed, Stage, wad

SHARE = WETH
GROWTH = 1_000
UNITS = 100


def build(**terms: int) -> Stage:
    return Stage(
        underlyings={ETH: Listed(2_000)},
        collateral={SHARE: Collateral(ETH, terms=replace(TERMS, **terms), growth=GROWTH)},
    )


def capped_rate(seconds: int) -> int:
    return WAD + WAD * GROWTH * seconds // (BPS * YEAR)


def test_an_inflated_share_is_worth_its_growth_cap() -> None:
    stage = build()
    account = stage.deposit("inflator", SHARE, UNITS * WAD)
    before = stage.margin(account)
    share = stage.assets[SHARE].staked
    assert share is not None
    share.setRate(100 * WAD)
    assert stage.margin(account) == before, "nothing at once"
    stage.pass_time(3_600)
    rate = capped_rate(3_600)
    assert stage.engine.call.collateralTerms(SHARE).rate == rate
    assert stage.margin(account).equity == UNITS * rate * 2_000


def test_observing_often_does_not_lift_the_cap() -> None:
    stage = build()
    share = stage.assets[SHARE].staked
    assert share is not None
    share.setRate(100 * WAD)
    for _ in range(10):
        stage.pass_time(360)
        stage.observe_rates(SHARE)
    grown = stage.engine.call.collateralTerms(SHARE).rate
    # Ten steps compound, by less than the square of the growth of the whole hour.
    simple = capped_rate(3_600) - WAD
    assert WAD + simple - 10 <= grown <= WAD + simple + simple * simple // WAD


def test_a_gift_to_the_vault_is_nobodys() -> None:
    stage = build()
    account = stage.deposit("inflator", SHARE, UNITS * WAD)
    before = stage.margin(account), stage.house.call.claims(SHARE), stage.house.call.pool()
    stage.tokens[SHARE].mint(stage.vault, 1_000 * WAD)
    stage.tokens[CASH].mint(stage.vault, 10**12)
    after = stage.margin(account), stage.house.call.claims(SHARE), stage.house.call.pool()
    assert after == before
    with stage.evm.reverts("InsufficientCollateral", account, SHARE, UNITS * WAD, UNITS * WAD + 1):
        stage.withdraw(account, SHARE, UNITS * WAD + 1)
    stage.withdraw(account, SHARE, UNITS * WAD)
    assert stage.tokens[SHARE].call.balanceOf(stage.vault) == 1_000 * WAD


def test_the_cap_counts_value_and_nothing_passes_it() -> None:
    stage = build(cap=200_000)
    account = stage.deposit("inflator", SHARE, UNITS * WAD)
    stage.tokens[SHARE].mint(stage.vault, 10 * UNITS * WAD)
    stage.give(stage.actor("inflator"), SHARE, WAD)
    with stage.evm.reverts("CapExceeded", SHARE, wad(200_000) + 2_000, wad(200_000)):
        stage.house.deposit(account, SHARE, 1, sender=stage.actor("inflator"))
    stage.move({ETH: 2_100})
    value = (UNITS * WAD + 1) * 2_100
    with stage.evm.reverts("CapExceeded", SHARE, value, wad(200_000)):
        stage.house.deposit(account, SHARE, 1, sender=stage.actor("inflator"))


def test_a_stranger_opens_no_slot_with_a_gift() -> None:
    """Clutter cannot be forced upon an account: a gift only adds to what it holds."""
    stage = build()
    account = stage.fund("victim", 100)
    stranger = stage.actor("stranger")
    stage.give(stranger, SHARE, WAD)
    with stage.evm.reverts("OnlyOwnerOpens", account, SHARE):
        stage.house.deposit(account, SHARE, WAD, sender=stranger)
    stage.deposit("victim", SHARE, WAD)
    before = stage.margin(account)
    stage.house.deposit(account, SHARE, WAD, sender=stranger)
    stage.note_total(SHARE, 2 * WAD)
    after = stage.margin(account)
    assert after.equity == before.equity + wad(2_000)
    assert after.maintenance_equity - after.maintenance_margin > (
        before.maintenance_equity - before.maintenance_margin
    )


@pytest.mark.parametrize("asset", [CASH, SHARE])
def test_a_gift_leaves_bids_in_flight_valid(asset: int) -> None:
    """A stranger must not be able to change the version that a bid names."""
    stage = build()
    account = stage.deposit("victim", SHARE, WAD)
    before = stage.house.call.versions(account)
    stranger = stage.actor("stranger")
    stage.give(stranger, asset, 10)
    stage.house.deposit(account, asset, 10, sender=stranger)
    assert stage.house.call.versions(account) == before

"""The first depositor of a vault cannot be robbed by a donation that makes a share dear."""

from __future__ import annotations

import pytest

from tests.scenarios.stage import CASH, CASH_SCALE
from tests.unit.backstop_house import Backed, build

VICTIM = 10_000 * 10**6
DONATIONS = [0, 1, 10**6, VICTIM, 1_000 * VICTIM, 20_000 * VICTIM]


@pytest.fixture
def stage() -> Backed:
    return build(reserves=0)


def donate(stage: Backed, units: int) -> None:
    """To the reserves, and straight to the vault, which counts for nothing."""
    robber = stage.actor("robber")
    if units:
        stage.give(robber, CASH, units)
        stage.house.addReserves(units, sender=robber)
    stage.dollar.mint(stage.backstop, 12_345)


@pytest.mark.parametrize("donation", DONATIONS)
def test_a_donation_before_anybody_is_nobodys(stage: Backed, donation: int) -> None:
    donate(stage, donation)
    stage.invest("victim", VICTIM)
    assert stage.redeemed("victim") in (VICTIM, VICTIM - 1)
    assert stage.reserves // CASH_SCALE - donation in (0, 1)


@pytest.mark.parametrize("first", [1, 1_000, 10**6])
@pytest.mark.parametrize("donation", DONATIONS)
def test_a_donation_after_a_tiny_deposit_gains_nothing(
    stage: Backed, first: int, donation: int
) -> None:
    """The robber is the first holder, donates before the victim's deposit, and leaves after it."""
    stage.invest("robber", first)
    donate(stage, donation)
    victim = stage.hold("victim", VICTIM)
    if not stage.backstop.call.previewDeposit(VICTIM):
        with stage.evm.reverts("ZeroAmount"):
            stage.backstop.deposit(VICTIM, victim, sender=victim)
        assert donation > 1_000 * VICTIM
        return
    stage.backstop.deposit(VICTIM, victim, sender=victim)
    lost = VICTIM - stage.backstop.call.convertToAssets(stage.shares_of("victim"))
    got = stage.redeemed("robber")
    assert got <= first + donation
    # A victim loses one share at most, and the robber more than he takes away.
    assert lost <= (first + donation + VICTIM) // 1_000
    assert first + donation - got >= lost // 2


def test_everybody_leaves_and_somebody_comes(stage: Backed) -> None:
    """What lies there without an owner in between makes nobody rich."""
    stage.invest("robber", VICTIM)
    stage.redeemed("robber")
    donate(stage, 777)
    stage.invest("robber", 1)
    stage.invest("victim", VICTIM)
    assert stage.redeemed("victim") >= VICTIM - 1
    assert stage.redeemed("robber") <= 1

"""`setPause`: the guardian stops, the governor lifts; no pause of liquidation lasts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evm import Receipt
from tests.scenarios.stage import Stage
from tests.unit.books import (
    DEPOSITS,
    HOUR,
    LIQUIDATION,
    RISK,
    WITHDRAWALS,
    emitted,
    happened,
    refuses,
)

GUARDIAN = 7
MOST, COOLDOWN = 6 * HOUR, 24 * HOUR
LIQUIDATIONS = 1 << LIQUIDATION
# Halted and shut: what only losses and the shutdown stop.
NO_PAUSES = 0b11 << 6


@pytest.fixture
def guarded(stage: Stage) -> Stage:
    """The desk is guardian; the deployer governs."""
    selector = stage.house.encode("setPause", 0, 0)[:4]
    stage.manager.setTargetFunctionRole(stage.house, [selector], GUARDIAN)
    stage.manager.grantRole(GUARDIAN, stage.actor("desk"), 0)
    stage.manager.grantRole(GUARDIAN, stage.evm.deployer, 0)
    return stage


def pause(stage: Stage, actions: int, assets: int = 0, who: Any = None) -> Receipt:
    return stage.house.setPause(actions, assets, sender=who or stage.evm.deployer)


def state(stage: Stage) -> tuple[int, ...]:
    return tuple(stage.house.call.pauseState())


@pytest.mark.parametrize("action", [DEPOSITS, WITHDRAWALS, RISK])
@pytest.mark.parametrize("assets", [0, 1, 1 << 95, 2**96 - 1])
def test_actions_and_assets_are_set_and_lifted(stage: Stage, action: int, assets: int) -> None:
    receipt = pause(stage, 1 << action, assets)
    set_ = {"actions": 1 << action, "assets": assets, "by": stage.evm.deployer}
    assert happened(receipt) == [emitted(stage.house, "PauseSet", **set_)]
    assert state(stage) == (1 << action, assets, 0)
    lifted = {"actions": 0, "assets": 0, "by": stage.evm.deployer}
    assert happened(pause(stage, 0)) == [emitted(stage.house, "PauseSet", **lifted)]
    assert state(stage) == (0, 0, 0)


class TestLiquidation:
    def test_is_paused_for_six_hours_at_most(self, stage: Stage) -> None:
        pause(stage, LIQUIDATIONS)
        resumes = stage.now + MOST
        assert state(stage) == (LIQUIDATIONS, 0, resumes)
        stage.warp(MOST - 1)
        assert state(stage) == (LIQUIDATIONS, 0, resumes)
        stage.warp(1)
        assert state(stage) == (0, 0, resumes)

    def test_is_not_paused_for_longer_by_pausing_again(self, stage: Stage) -> None:
        pause(stage, LIQUIDATIONS)
        resumes = stage.now + MOST
        stage.warp(HOUR)
        pause(stage, LIQUIDATIONS | 1 << DEPOSITS)
        assert state(stage) == (LIQUIDATIONS | 1 << DEPOSITS, 0, resumes)

    def test_is_not_paused_again_within_a_day(self, stage: Stage) -> None:
        pause(stage, LIQUIDATIONS)
        ready = stage.now + MOST + COOLDOWN
        stage.warp(MOST + COOLDOWN - 1)
        with refuses(stage, "PausedTooRecently", readyAt=ready):
            pause(stage, LIQUIDATIONS)
        pause(stage, 1 << RISK)
        stage.warp(1)
        pause(stage, LIQUIDATIONS)
        assert state(stage) == (LIQUIDATIONS, 0, stage.now + MOST)

    def test_that_is_resumed_early_counts_its_day_from_there(self, stage: Stage) -> None:
        pause(stage, LIQUIDATIONS)
        stage.warp(HOUR)
        pause(stage, 0)
        assert state(stage) == (0, 0, stage.now)
        with refuses(stage, "PausedTooRecently", readyAt=stage.now + COOLDOWN):
            pause(stage, LIQUIDATIONS)
        stage.warp(COOLDOWN)
        pause(stage, LIQUIDATIONS)


class TestAuthority:
    def test_of_the_guardian_is_to_add(self, guarded: Stage) -> None:
        desk = guarded.actor("desk")
        pause(guarded, 1 << DEPOSITS, 0b10, desk)
        receipt = pause(guarded, 0b1111, 0b110, desk)
        set_ = {"actions": 0b1111, "assets": 0b110, "by": desk.address}
        assert happened(receipt) == [emitted(guarded.house, "PauseSet", **set_)]
        assert state(guarded) == (0b1111, 0b110, guarded.now + MOST)

    @pytest.mark.parametrize(
        ("actions", "assets"),
        [(0, 0b110), (0b1110, 0b110), (0b0111, 0b110), (0b1111, 0b100), (0b1110, 0b1110)],
    )
    def test_to_lift_is_the_governors(self, guarded: Stage, actions: int, assets: int) -> None:
        desk = guarded.actor("desk")
        pause(guarded, 0b1111, 0b110, desk)
        with refuses(guarded, "AccessManagedUnauthorized", caller=desk.address):
            pause(guarded, actions, assets, desk)
        pause(guarded, actions, assets)
        assert state(guarded)[:2] == (actions, assets)

    def test_a_pause_of_liquidation_that_ended_needs_no_lifting(self, guarded: Stage) -> None:
        desk = guarded.actor("desk")
        pause(guarded, LIQUIDATIONS, 0, desk)
        guarded.warp(MOST)
        pause(guarded, 1 << DEPOSITS, 0, desk)
        assert state(guarded)[:2] == (1 << DEPOSITS, 0)

    @pytest.mark.parametrize("who", ["stranger", "owner"])
    def test_is_nobody_elses(self, guarded: Stage, who: str) -> None:
        person = guarded.actor(who)
        with refuses(guarded, "AccessManagedUnauthorized", caller=person.address):
            pause(guarded, 1, 0, person)


class TestRefused:
    @pytest.mark.parametrize("actions", [1 << 8, 2**256 - 1])
    def test_actions_that_do_not_exist(self, stage: Stage, actions: int) -> None:
        value = actions & ~(LIQUIDATIONS | NO_PAUSES)
        with refuses(stage, "SafeCastOverflowedUintDowncast", bits=8, value=value):
            pause(stage, actions)

    def test_assets_that_cannot_exist(self, stage: Stage) -> None:
        with refuses(stage, "SafeCastOverflowedUintDowncast", bits=96, value=1 << 96):
            pause(stage, 0, 1 << 96)

    def test_ether(self, stage: Stage) -> None:
        """The function is not payable: it fails without a word."""
        with refuses(stage, "0x"):
            stage.house.setPause(1, 0, value=1)

    def test_in_a_batch_of_others(self, stage: Stage) -> None:
        stranger = stage.actor("stranger")
        call = stage.house.encode("setPause", 1, 0)
        with refuses(stage, "AccessManagedUnauthorized", caller=stranger.address):
            stage.house.multicall([call], sender=stranger)

"""`submitResume`, `acceptResume`, `revokeResume`: a loss beyond the reserves halts new risk.

Only the delay lifts it.
"""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import WINDING_DELAY
from tests.scenarios.stage import ETH, WETH, Stage, wad
from tests.unit.books import RISK, emitted, happened, leave_reserves, leave_with_debt, refuses

RESERVES = 1_000
GUARDIAN = 7


@pytest.fixture
def stage() -> Stage:
    """Two people with positions to reduce, suppliers, and few reserves."""
    stage = Stage(lent=10_000, backstop="backstop")
    for who in ("maker", "taker"):
        stage.deposit(who, WETH, wad(100))
    stage.trade("maker", "taker", {ETH: 2})
    leave_reserves(stage, RESERVES)
    for who, dollars in (("desk", 10), ("stranger", 9)):
        leave_with_debt(stage, stage.account(who), dollars)
    return stage


def lose(stage: Stage, dollars: int, who: str = "owner") -> None:
    leave_with_debt(stage, stage.account(who), dollars)
    stage.house.writeOff(stage.account(who))


@pytest.fixture
def halted(stage: Stage) -> Stage:
    lose(stage, RESERVES + 500)
    return stage


def told(stage: Stage) -> tuple[bool, int]:
    state = stage.house.call.windDown()
    assert (state.shutReadyAt, state.shutAt) == (0, 0)
    return bool(state.halted), int(state.resumeReadyAt)


class TestHalt:
    def test_begins_with_a_loss_of_suppliers(self, stage: Stage) -> None:
        leave_with_debt(stage, stage.account("owner"), RESERVES + 500)
        receipt = stage.house.writeOff(stage.account("owner"))
        assert emitted(stage.house, "HaltSet", halted=True) in happened(receipt)
        assert told(stage) == (True, 0)

    def test_begins_with_a_loss_of_nobodys(self) -> None:
        """Nobody supplies: all of it is recorded as deficit."""
        stage = Stage(reserves=RESERVES, lent=1)
        leave_with_debt(stage, stage.account("owner"), RESERVES + 1)
        stage.withdraw_cash(stage.lender, 1)
        stage.house.writeOff(stage.account("owner"))
        assert stage.house.call.pool().deficit == wad(1)
        assert told(stage) == (True, 0)

    def test_does_not_begin_with_a_loss_of_the_reserves(self, stage: Stage) -> None:
        lose(stage, RESERVES)
        assert stage.house.call.pool().reserves == 0
        assert told(stage) == (False, 0)

    def test_is_announced_once(self, halted: Stage) -> None:
        receipt = halted.house.writeOff(halted.account("desk"))
        assert not receipt.events("HaltSet")
        assert told(halted) == (True, 0)

    def test_lets_only_reductions_pass(self, halted: Stage) -> None:
        with halted.evm.reverts("RiskHalted"):
            halted.trade("maker", "taker", {ETH: 1})
        halted.trade("taker", "maker", {ETH: 1})
        with halted.evm.reverts("RiskHalted"):
            halted.trade("taker", "maker", {ETH: 2})

    def test_holds_nobody_who_leaves(self, halted: Stage) -> None:
        halted.withdraw_cash(halted.lender, 1_000)
        halted.withdraw(halted.account("maker"), WETH, wad(1))

    def test_keeps_the_reserves(self, halted: Stage) -> None:
        backstop = halted.actor("backstop")
        halted.add_reserves(10)
        with refuses(halted, "RiskHalted"):
            halted.house.payReserves(backstop, 1, sender=backstop)

    def test_is_no_pause(self, halted: Stage) -> None:
        """No pause shows it, sets it or lifts it."""
        assert halted.house.call.pauseState().actions == 0
        halted.house.setPause(1 << RISK, 0)
        halted.house.setPause(0, 0)
        assert told(halted) == (True, 0)

    @pytest.mark.parametrize("bit", [6, 7])
    def test_is_not_set_by_a_pause(self, stage: Stage, bit: int) -> None:
        stage.house.setPause(1 << bit, 0)
        assert told(stage) == (False, 0)
        assert stage.house.call.pauseState().actions == 0
        stage.add_reserves(50_000_000)
        stage.trade("maker", "taker", {ETH: 1})


class TestResuming:
    def test_waits_two_days(self, halted: Stage) -> None:
        receipt = halted.house.submitResume()
        ready = halted.now + WINDING_DELAY
        assert happened(receipt) == [emitted(halted.house, "ResumeSubmitted", readyAt=ready)]
        assert told(halted) == (True, ready)
        halted.pass_time(WINDING_DELAY - 1)
        with refuses(halted, "ResumeNotReady", ready):
            halted.house.acceptResume()
        halted.pass_time(1)
        receipt = halted.house.acceptResume(sender=halted.actor("stranger"))
        assert happened(receipt) == [emitted(halted.house, "HaltSet", halted=False)]
        assert told(halted) == (False, 0)
        halted.add_reserves(50_000_000)
        halted.trade("maker", "taker", {ETH: 1})

    def test_is_needed_for_each_halt(self, halted: Stage) -> None:
        halted.house.submitResume()
        halted.pass_time(WINDING_DELAY)
        halted.house.acceptResume()
        with refuses(halted, "ResumeNotReady", 0):
            halted.house.acceptResume()
        halted.house.writeOff(halted.account("desk"))
        assert told(halted) == (True, 0)

    def test_is_withdrawn_by_another_loss(self, halted: Stage) -> None:
        halted.house.submitResume()
        halted.pass_time(WINDING_DELAY)
        halted.house.writeOff(halted.account("desk"))
        assert told(halted) == (True, 0)
        with refuses(halted, "ResumeNotReady", 0):
            halted.house.acceptResume()

    def test_is_withdrawn_by_a_thousandth_of_what_suppliers_have(self, halted: Stage) -> None:
        """A dust debt every other day would keep the halt for ever."""
        supplied = halted.cash(halted.lender)
        assert wad(9_499) < supplied <= wad(9_500)
        halted.house.submitResume()
        ready = halted.now + WINDING_DELAY
        halted.house.writeOff(halted.account("stranger"))
        assert halted.cash(halted.lender) < supplied
        assert told(halted) == (True, ready)
        halted.house.writeOff(halted.account("desk"))
        assert told(halted) == (True, 0)

    def test_is_withdrawn_by_what_becomes_deficit(self) -> None:
        """Where nobody supplies, any loss is all there is."""
        stage = Stage(reserves=1, lent=1)
        for who in ("owner", "desk"):
            leave_with_debt(stage, stage.account(who), 2)
        stage.withdraw_cash(stage.lender, 1)
        stage.house.writeOff(stage.account("owner"))
        stage.house.submitResume()
        stage.house.writeOff(stage.account("desk"))
        assert stage.house.call.pool().deficit == wad(3)
        assert told(stage) == (True, 0)

    def test_is_not_withdrawn_by_a_loss_of_the_reserves(self, halted: Stage) -> None:
        halted.house.submitResume()
        ready = halted.now + WINDING_DELAY
        halted.add_reserves(10)
        halted.house.writeOff(halted.account("desk"))
        assert told(halted) == (True, ready)

    def test_is_revoked(self, halted: Stage) -> None:
        halted.house.submitResume()
        receipt = halted.house.revokeResume()
        assert happened(receipt) == [emitted(halted.house, "ResumeRevoked")]
        halted.pass_time(WINDING_DELAY)
        with refuses(halted, "ResumeNotReady", 0):
            halted.house.acceptResume()

    def test_begins_anew_when_it_is_submitted_again(self, halted: Stage) -> None:
        halted.house.submitResume()
        halted.pass_time(100)
        halted.house.submitResume()
        assert told(halted) == (True, halted.now + WINDING_DELAY)

    def test_needs_a_halt(self, stage: Stage) -> None:
        with refuses(stage, "NotHalted"):
            stage.house.submitResume()

    @pytest.mark.parametrize("name", ["submitResume", "revokeResume"])
    def test_is_governed(self, halted: Stage, name: str) -> None:
        stranger = halted.actor("stranger")
        with refuses(halted, "AccessManagedUnauthorized", stranger.address):
            getattr(halted.house, name)(sender=stranger)

    def test_is_revoked_by_the_guardian(self, halted: Stage) -> None:
        selector, desk = halted.house.encode("revokeResume")[:4], halted.actor("desk")
        halted.manager.setTargetFunctionRole(halted.house, [selector], GUARDIAN)
        halted.manager.grantRole(GUARDIAN, desk, 0)
        halted.house.submitResume()
        halted.house.revokeResume(sender=desk)
        assert told(halted) == (True, 0)

"""`standStill`: anybody says that an auction must not run: the account is healthy, or in doubt."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import LAST_TIME, AuctionState
from tests.scenarios.stage import ALT, CASH, ETH, Stage
from tests.unit.books import LIQUIDATION, Event, emitted, happened, refuses

RUN = 100
RUNNING, HALTED, STANDING = AuctionState.RUNNING, AuctionState.HALTED, AuctionState.STANDING


@pytest.fixture
def running(stage: Stage) -> Stage:
    """An auction that has run for a while."""
    stage.fund("maker", 1_000_000)
    account = stage.fund("owner", 26_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.trade("owner", "maker", {ALT: 40})
    stage.move({ETH: 1_900})
    stage.start_auction(account)
    stage.pass_time(RUN)
    return stage


def of_account(stage: Stage, name: str, **fields: Any) -> Event:
    account, owner = stage.account("owner"), stage.actor("owner").address
    return emitted(stage.house, name, account=account, owner=owner, **fields)


def state(stage: Stage) -> tuple[Any, ...]:
    """State, clock when it last changed, that moment, and depth now."""
    record, depth = stage.house.call.auction(stage.account("owner"))
    return record.state, record.elapsed, record.tickedAt, depth


def test_a_healthy_account_stands_and_the_clock_runs_back(running: Stage) -> None:
    account = running.account("owner")
    running.move({ETH: 2_000})
    receipt = running.house.standStill(account, sender=running.actor("stranger"))
    assert happened(receipt) == [of_account(running, "AuctionStanding", elapsed=RUN)]
    began = running.now
    assert state(running) == (STANDING, RUN, began, model.phi(RUN))
    running.pass_time(30)
    assert state(running) == (STANDING, RUN, began, model.phi(RUN - 30))
    running.pass_time(2 * RUN)
    assert state(running) == (STANDING, RUN, began, model.phi(0))


def test_a_doubtful_price_halts_the_clock(running: Stage) -> None:
    """Whether healthy or not."""
    running.underlyings[ALT].feed.break_down()
    receipt = running.house.standStill(running.account("owner"))
    assert happened(receipt) == [of_account(running, "AuctionHalted", elapsed=RUN)]
    running.pass_time(1_000)
    assert state(running)[0::3] == (HALTED, model.phi(RUN))


def test_it_may_be_said_again(running: Stage) -> None:
    """The clock is brought up to date each time, and nothing is gained."""
    account = running.account("owner")
    running.move({ETH: 2_000})
    for left in (RUN, RUN - 30, RUN - 60):
        receipt = running.house.standStill(account)
        assert happened(receipt) == [of_account(running, "AuctionStanding", elapsed=left)]
        assert state(running)[:3] == (STANDING, left, running.now)
        running.pass_time(30)


def test_a_halted_auction_stands_when_the_price_is_good_again(running: Stage) -> None:
    account = running.account("owner")
    running.underlyings[ALT].feed.break_down()
    running.house.standStill(account)
    running.pass_time(50)
    running.underlyings[ALT].feed.mend()
    running.move({ETH: 2_000})
    receipt = running.house.standStill(account)
    assert happened(receipt) == [of_account(running, "AuctionStanding", elapsed=RUN)]


def test_the_clock_stands_at_its_end(running: Stage) -> None:
    running.pass_time(2 * LAST_TIME)
    running.move({ETH: 2_000})
    running.house.standStill(running.account("owner"))
    assert state(running)[:2] == (STANDING, LAST_TIME)


@pytest.mark.parametrize("pause", [1 << LIQUIDATION, 0b1111])
def test_pauses_do_not_bind_it(running: Stage, pause: int) -> None:
    """And the clock has counted nothing since the pause began."""
    running.house.setPause(pause, 0)
    running.pass_time(60)
    running.move({ETH: 2_000})
    running.house.standStill(running.account("owner"))
    assert state(running)[0] == STANDING


class TestRefused:
    def test_of_an_account_without_auction(self, stage: Stage) -> None:
        account = stage.account("owner")
        with refuses(stage, "NotInAuction", account, AuctionState.NONE):
            stage.house.standStill(account)

    def test_after_one_look(self, stage: Stage) -> None:
        stage.fund("maker", 1_000_000)
        account = stage.fund("owner", 26_000)
        stage.trade("owner", "maker", {ETH: 100})
        stage.move({ETH: 1_900})
        stage.look(account)
        with refuses(stage, "NotInAuction", account, AuctionState.OBSERVED):
            stage.house.standStill(account)

    def test_of_an_account_that_is_unhealthy(self, running: Stage) -> None:
        account = running.account("owner")
        margin = running.margin(account)
        with refuses(
            running,
            "StillUnhealthy",
            account,
            margin.maintenance_equity,
            margin.maintenance_margin,
        ):
            running.house.standStill(account)

    def test_with_a_check_of_the_account_pending(self, running: Stage) -> None:
        account, owner = running.account("owner"), running.actor("owner")
        running.fund("owner", 100_000)
        calls = [
            running.house.encode("withdraw", account, CASH, 1, owner.address),
            running.house.encode("standStill", account),
        ]
        with refuses(running, "CheckPending", account=account):
            running.house.multicall(calls, sender=owner)
        running.house.multicall(calls[::-1], sender=owner)
        assert state(running)[0] == STANDING

    def test_with_ether(self, running: Stage) -> None:
        with refuses(running, "ValueNotAccepted", value=1):
            running.house.standStill(running.account("owner"), value=1)

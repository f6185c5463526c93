"""`flag`: two looks at least twelve seconds apart, each at prices observed there and then."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import LAST_TIME, LOOK_EXPIRY, LOOK_INTERVAL, AuctionState
from plimsoll.risk.model import Margin, PriceStatus, ceil_div
from tests.evm import Receipt
from tests.scenarios.stage import ALT, BTC, CASH, ETH, WETH, Stage, wad
from tests.unit.books import LIQUIDATION, WSTETH, Event, emitted, happened, refuses

RUNNING, HALTED = AuctionState.RUNNING, AuctionState.HALTED


@pytest.fixture
def short(stage: Stage) -> Stage:
    """Somebody long of ether whose price has fallen, which nobody has observed."""
    stage.fund("maker", 1_000_000)
    stage.fund("owner", 26_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.report({ETH: wad(1_930)})
    return stage


@pytest.fixture
def unsure(stage: Stage) -> Stage:
    """The same after a deeper fall, with a little of another asset beside it."""
    stage.fund("maker", 1_000_000)
    stage.fund("owner", 26_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.trade("owner", "maker", {ALT: 40})
    stage.move({ETH: 1_700})
    return stage


def of_account(stage: Stage, name: str, **fields: Any) -> Event:
    account, owner = stage.account("owner"), stage.actor("owner").address
    return emitted(stage.house, name, account=account, owner=owner, **fields)


def weighed(stage: Stage, name: str) -> Event:
    margin = stage.margin(stage.account("owner"))
    return of_account(
        stage, name, equity=margin.maintenance_equity, maintenanceMargin=margin.maintenance_margin
    )


def observed(stage: Stage, u: int) -> Event:
    seen = stage.underlyings[u].seen
    return emitted(
        stage.engine,
        "Observed",
        underlying=u,
        index=seen.last,
        stable=seen.stable,
        status=seen.status,
    )


def provided(stage: Stage) -> Event:
    """The loss that the account is about to leave was noted."""
    account = stage.account("owner")
    lacking = ceil_div(-stage.margin(account).maintenance_equity, 10**12) * 10**12
    return emitted(stage.house, "ProvisionSet", account=account, amount=lacking)


def record(stage: Stage) -> tuple[int, ...]:
    return tuple(stage.house.call.auction(stage.account("owner"))[0])


def look(stage: Stage) -> Receipt:
    return stage.look(stage.account("owner"))


def healthy(stage: Stage, margin: Margin) -> tuple[bytes, int, int]:
    return stage.account("owner"), margin.maintenance_equity, margin.maintenance_margin


class TestLooks:
    def test_the_first_is_noted(self, short: Stage) -> None:
        receipt = look(short)
        assert happened(receipt) == [observed(short, ETH), weighed(short, "AuctionObserved")]
        assert record(short) == (AuctionState.OBSERVED, short.now, 0, 0)
        assert short.house.call.auction(short.account("owner"))[1] == 0

    def test_the_second_starts_the_auction(self, short: Stage) -> None:
        look(short)
        first = short.now
        short.pass_time(LOOK_INTERVAL)
        receipt = look(short)
        assert happened(receipt) == [observed(short, ETH), weighed(short, "AuctionFlagged")]
        assert record(short) == (RUNNING, first, 0, short.now)
        assert short.house.call.auction(short.account("owner"))[1] == model.phi(0)

    def test_the_second_waits(self, short: Stage) -> None:
        look(short)
        ready = short.now + LOOK_INTERVAL
        for seconds in (0, LOOK_INTERVAL - 1):
            short.pass_time(seconds)
            values = {"account": short.account("owner"), "readyAt": ready}
            with refuses(short, "ObservedTooRecently", **values):
                short.house.flag(short.account("owner"))
        short.pass_time(1)
        look(short)
        assert record(short)[0] == RUNNING

    @pytest.mark.parametrize("late", [0, 1])
    def test_the_first_is_forgotten_in_the_end(self, short: Stage, late: int) -> None:
        look(short)
        first = short.now
        short.pass_time(LOOK_EXPIRY + late)
        look(short)
        flagged = (RUNNING, first, 0, short.now)
        assert record(short) == ((AuctionState.OBSERVED, short.now, 0, 0) if late else flagged)

    def test_anyone_may_look(self, short: Stage) -> None:
        account = short.account("owner")
        short.house.flag(account, sender=short.actor("stranger"))
        short.pass_time(LOOK_INTERVAL)
        short.house.flag(account, sender=short.actor("owner"))
        assert record(short)[0] == RUNNING

    def test_a_look_at_the_prices_of_everything_held(self, stage: Stage) -> None:
        """Rates before prices, collateral before positions, each price once, in the order of the
        account."""
        stage.fund("maker", 1_000_000)
        stage.deposit("owner", WETH, wad(1))
        stage.deposit("owner", WSTETH, wad(1))
        stage.fund("owner", 23_000)
        stage.trade("owner", "maker", {BTC: 4})
        stage.trade("owner", "maker", {ALT: 1})
        stage.pass_time(60)
        stage.report({BTC: wad(46_000)})
        receipt = look(stage)
        rates = stage.rates(stage.assets[WSTETH])
        assert rates is not None
        rate = emitted(
            stage.engine,
            "RateObserved",
            asset=WSTETH,
            rate=rates.maintenance,
            market=rates.initial,
            credit=0,
        )
        assert happened(receipt) == [
            rate,
            observed(stage, ETH),
            observed(stage, BTC),
            observed(stage, ALT),
            weighed(stage, "AuctionObserved"),
        ]


class TestState:
    def test_a_doubtful_price_halts_the_auction_at_once(self, unsure: Stage) -> None:
        """Unhealthy even at the favourable end of the band of another price."""
        unsure.underlyings[ALT].feed.break_down()
        look(unsure)
        unsure.pass_time(LOOK_INTERVAL)
        receipt = look(unsure)
        assert unsure.margin(unsure.account("owner")).doubtful
        assert happened(receipt) == [
            observed(unsure, ETH),
            weighed(unsure, "AuctionFlagged"),
            provided(unsure),
            of_account(unsure, "AuctionHalted", elapsed=0),
        ]
        assert record(unsure)[0::2] == (HALTED, 0)

    def test_a_halted_auction_goes_on(self, unsure: Stage) -> None:
        unsure.start_auction(unsure.account("owner"))
        began = record(unsure)[1]
        unsure.pass_time(100)
        unsure.underlyings[ALT].feed.break_down()
        unsure.house.standStill(unsure.account("owner"))
        unsure.pass_time(50)
        unsure.underlyings[ALT].feed.mend()
        receipt = look(unsure)
        assert happened(receipt)[-2:] == [weighed(unsure, "AuctionFlagged"), provided(unsure)]
        assert record(unsure) == (RUNNING, began, 100, unsure.now)

    def test_a_halted_auction_stays_halted_while_in_doubt(self, unsure: Stage) -> None:
        unsure.start_auction(unsure.account("owner"))
        unsure.pass_time(100)
        unsure.underlyings[ALT].feed.break_down()
        unsure.house.standStill(unsure.account("owner"))
        unsure.pass_time(50)
        before = record(unsure)
        look(unsure)  # the band has grown, and with it what the account may be worth
        with refuses(unsure, "AuctionAlreadyRunning", unsure.account("owner")):
            look(unsure)
        assert record(unsure) == before
        assert before[0::2] == (HALTED, 100)

    def test_a_standing_auction_goes_on_from_where_it_ran_back_to(self, short: Stage) -> None:
        look(short)
        short.pass_time(LOOK_INTERVAL)
        look(short)
        short.pass_time(100)
        short.move({ETH: 2_000})
        short.house.standStill(short.account("owner"))
        short.pass_time(30)
        short.move({ETH: 1_930})
        look(short)
        assert record(short)[0::2] == (RUNNING, 70)

    def test_the_clock_stops_at_its_end(self, short: Stage) -> None:
        look(short)
        short.pass_time(LOOK_INTERVAL)
        look(short)
        short.pass_time(2 * LAST_TIME)
        short.move({ETH: 2_000})
        short.house.standStill(short.account("owner"))
        short.move({ETH: 1_930})
        look(short)
        assert record(short)[0::2] == (RUNNING, LAST_TIME)


class TestRefused:
    def test_of_a_healthy_account(self, short: Stage) -> None:
        short.report({ETH: wad(2_000)})
        margin = short.margin(short.account("owner"))
        with refuses(short, "AccountHealthy", *healthy(short, margin)):
            short.house.flag(short.account("owner"))

    def test_of_an_account_just_at_its_margin(self, short: Stage) -> None:
        """Equity and margin are equal: healthy. A unit less is not."""
        margin = short.margin(short.account("owner"))
        missing = margin.maintenance_margin - margin.maintenance_equity
        units = missing // 10**12
        assert missing > 0
        short.deposit("owner", CASH, units)
        if missing % 10**12:
            with short.evm.anchored():
                short.house.flag(short.account("owner"))
            short.deposit("owner", CASH, 1)
        margin = short.margin(short.account("owner"))
        assert 0 <= margin.maintenance_equity - margin.maintenance_margin < 10**12
        with refuses(short, "AccountHealthy", *healthy(short, margin)):
            short.house.flag(short.account("owner"))

    def test_of_an_empty_account(self, stage: Stage) -> None:
        with refuses(stage, "AccountHealthy", stage.account("owner"), 0, 0):
            stage.house.flag(stage.account("owner"))

    def test_of_an_auction_that_runs(self, short: Stage) -> None:
        short.start_auction(short.account("owner"))
        short.pass_time(LOOK_INTERVAL)
        with refuses(short, "AuctionAlreadyRunning", account=short.account("owner")):
            short.house.flag(short.account("owner"))

    def test_while_liquidation_is_paused(self, short: Stage) -> None:
        short.house.setPause(1 << LIQUIDATION, 0)
        with refuses(short, "Paused", action=LIQUIDATION, asset=CASH):
            short.house.flag(short.account("owner"))
        _, _, resumes = short.house.call.pauseState()
        short.pass_time(resumes - short.now)
        look(short)

    def test_whatever_else_is_paused_it_works(self, short: Stage) -> None:
        short.house.setPause(0b111, 2**96 - 1)
        look(short)
        assert record(short)[0] == AuctionState.OBSERVED

    def test_with_a_check_of_the_account_pending(self, stage: Stage) -> None:
        """Nobody lowers his account, has it flagged, and raises it again."""
        puppet, account = stage.puppet(10_000)
        out = stage.step("withdraw", account, CASH, 1, puppet.address)
        with refuses(stage, "CheckPending", account=account):
            puppet.unlock(stage.house, [out, stage.step("flag", account)])

    def test_at_the_favourable_end_of_a_broken_price(self, short: Stage) -> None:
        short.underlyings[ETH].feed.break_down()
        margin = short.margin(short.account("owner"))
        assert short.price(ETH).status == PriceStatus.INVALID
        assert margin.equity < margin.maintenance_equity
        with refuses(short, "AccountHealthy", *healthy(short, margin)):
            short.house.flag(short.account("owner"))

    def test_with_ether(self, short: Stage) -> None:
        with refuses(short, "ValueNotAccepted", value=1):
            short.house.flag(short.account("owner"), value=1)

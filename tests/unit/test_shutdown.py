"""`submitShutdown`, `acceptShutdown`, `revokeShutdown`: for good, two days after it was submitted.

And `closeOut`, a week later: every position becomes cash at one price for all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.risk import model, params
from plimsoll.risk.ledger import CLOSING_TIME, WINDING_DELAY
from plimsoll.risk.model import WAD
from plimsoll.risk.params import Kind
from tests.scenarios.stage import ALT, CASH, ETH, UNDERLYINGS, WETH, Listed, Stage, wad
from tests.unit.books import RISK, Event, emitted, happened, refuses
from tests.unit.conftest import kept

FUNDING = wad("0.01")
ETHER = model.perpetual(ETH)


@pytest.fixture(scope="module")
def trading() -> Stage:
    """Long and short of ether, which pays funding, and of a third thing."""
    stage = Stage(underlyings={**UNDERLYINGS, ETH: Listed(2_000, funding=FUNDING)})
    for who in ("maker", "taker"):
        stage.deposit(who, WETH, wad(100))
        stage.fund(who, 1_000)
    stage.trade("maker", "taker", {ETH: 3})
    stage.trade("taker", "maker", {ALT: 5})
    return stage


@pytest.fixture
def stage(trading: Stage) -> Iterator[Stage]:
    yield from kept(trading)


def shut(stage: Stage) -> None:
    stage.house.submitShutdown()
    stage.pass_time(WINDING_DELAY)
    stage.house.acceptShutdown()


@pytest.fixture
def closing(stage: Stage) -> Stage:
    shut(stage)
    stage.pass_time(CLOSING_TIME)
    return stage


def told(stage: Stage) -> tuple[int, int]:
    state = stage.house.call.windDown()
    assert (state.halted, state.resumeReadyAt) == (False, 0)
    return state.shutReadyAt, state.shutAt


class TestShutting:
    def test_waits_two_days_and_is_for_good(self, stage: Stage) -> None:
        receipt = stage.house.submitShutdown()
        ready = stage.now + WINDING_DELAY
        assert happened(receipt) == [emitted(stage.house, "ShutdownSubmitted", readyAt=ready)]
        assert told(stage) == (ready, 0)
        stage.pass_time(WINDING_DELAY - 1)
        with refuses(stage, "ShutdownNotReady", ready):
            stage.house.acceptShutdown()
        stage.pass_time(1)
        receipt = stage.house.acceptShutdown(sender=stage.actor("stranger"))
        assert happened(receipt) == [emitted(stage.house, "ShutdownAccepted")]
        assert told(stage) == (0, stage.now)
        with refuses(stage, "Shut"):
            stage.house.submitShutdown()
        with refuses(stage, "ShutdownNotReady", 0):
            stage.house.acceptShutdown()

    def test_is_revoked_before(self, stage: Stage) -> None:
        stage.house.submitShutdown()
        receipt = stage.house.revokeShutdown()
        assert happened(receipt) == [emitted(stage.house, "ShutdownRevoked")]
        stage.pass_time(WINDING_DELAY)
        with refuses(stage, "ShutdownNotReady", 0):
            stage.house.acceptShutdown()

    def test_is_not_revoked_after(self, stage: Stage) -> None:
        shut(stage)
        when = stage.now
        stage.house.revokeShutdown()
        assert told(stage) == (0, when)

    @pytest.mark.parametrize("name", ["submitShutdown", "revokeShutdown"])
    def test_is_governed(self, stage: Stage, name: str) -> None:
        stranger = stage.actor("stranger")
        with refuses(stage, "AccessManagedUnauthorized", stranger.address):
            getattr(stage.house, name)(sender=stranger)

    def test_lets_only_reductions_pass(self, stage: Stage) -> None:
        shut(stage)
        stage.house.setPause(1 << RISK, 0)
        stage.house.setPause(0, 0)
        with stage.evm.reverts("Shut"):
            stage.trade("maker", "taker", {ETH: 1})
        stage.trade("taker", "maker", {ETH: 1})
        stage.settle(stage.account("maker"), ETH)
        stage.withdraw(stage.account("maker"), WETH, WAD)


def closed(stage: Stage, who: str, instrument: int, amount: int) -> list[Event]:
    own = {"account": stage.account(who), "owner": stage.actor(who).address}
    one = {**own, "instrument": instrument}
    return [
        emitted(stage.house, "PositionChanged", **one, size=0, quote=0),
        emitted(stage.house, "CashMoved", **own, change=amount),
        emitted(stage.house, "ClosedOut", **one, amount=amount),
    ]


def close(stage: Stage, who: str, instrument: int = ETHER) -> int:
    account, stranger = stage.account(who), stage.actor("stranger")
    return int(stage.house.closeOut(account, instrument, sender=stranger).value)


class TestClosing:
    def test_fixes_the_value_for_everybody(self, closing: Stage) -> None:
        stage = closing
        held = {who: stage.position(stage.account(who), ETH) for who in ("maker", "taker")}
        cash = {who: stage.cash(stage.account(who)) for who in held}
        basis = wad(2_100) - stage.underlyings[ETH].funding_at(stage.now)
        stage.move({ETH: 2_100})
        long = held["maker"]
        won = long.size * basis // WAD + long.quote
        receipt = stage.house.closeOut(
            stage.account("maker"), ETHER, sender=stage.actor("stranger")
        )
        assert receipt.value == won
        assert happened(receipt) == [
            emitted(stage.house, "MarketFixed", instrument=ETHER, basis=basis),
            *closed(stage, "maker", ETHER, won),
        ]
        assert stage.house.call.openInterest(ETHER) == 0
        stage.pass_time(86_400)
        stage.move({ETH: 1_000})
        short = held["taker"]
        lost = short.size * basis // WAD + short.quote
        receipt = stage.house.closeOut(stage.account("taker"), ETHER)
        assert happened(receipt) == closed(stage, "taker", ETHER, lost)
        for who, change in (("maker", won), ("taker", lost)):
            assert stage.cash(stage.account(who)) == cash[who] + change
            assert stage.position(stage.account(who), ETH).size == 0
        assert won + lost in (0, -1)

    def test_leaves_quotes_with_the_pool(self, closing: Stage) -> None:
        """As a settlement does, until everybody is out."""
        quote = closing.house.call.pool().netQuote
        won = close(closing, "maker")
        assert closing.house.call.pool().netQuote == quote - won
        close(closing, "taker")
        for who in ("maker", "taker"):
            close(closing, who, model.perpetual(ALT))
        assert 0 <= closing.house.call.pool().netQuote <= 2
        assert closing.surplus([closing.account(who) for who in ("maker", "taker")]) == 0

    def test_of_nothing_changes_nothing(self, closing: Stage) -> None:
        """And fixes nothing."""
        receipt = closing.house.closeOut(closing.account("owner"), ETHER)
        assert receipt.value == 0
        assert not happened(receipt)
        closing.settle(closing.account("maker"), ETH)

    def test_raises_the_version(self, closing: Stage) -> None:
        account = closing.account("maker")
        epoch, version = closing.house.call.versions(account)
        close(closing, "maker")
        assert tuple(closing.house.call.versions(account)) == (epoch, version + 1)

    def test_takes_a_price_that_governance_froze(self, closing: Stage) -> None:
        stage = closing
        stage.underlyings[ETH].feed.break_down()
        stage.warp(8 * 86_400)
        with stage.evm.reverts("PriceNotOk", instrument=ETHER):
            close(stage, "maker")
        stage.engine.observe([ETH])
        stage.engine.submit(Kind.FROZEN_PRICE, ETH, wad(1_999))
        stage.warp(params.DELAY)
        stage.engine.accept(Kind.FROZEN_PRICE, ETH)
        (fixed,) = stage.house.closeOut(stage.account("maker"), ETHER).events("MarketFixed")
        assert fixed.basis == wad(1_999) - stage.underlyings[ETH].funding_at(stage.now)

    def test_ends_the_market(self, closing: Stage) -> None:
        close(closing, "maker")
        with refuses(closing, "MarketEnded", ETHER):
            closing.settle(closing.account("taker"), ETH)
        closing.settle(closing.account("taker"), ALT)

    def test_holds_back_who_has_positions(self, closing: Stage) -> None:
        """A margin counts them at the market, not at what they are fixed to be worth."""
        account, owner = closing.account("maker"), closing.actor("maker")
        other = closing.account("maker", 1)
        with refuses(closing, "PositionsOpen", account):
            closing.withdraw(account, CASH, 1)
        with refuses(closing, "PositionsOpen", account):
            closing.house.transfer(account, other, WETH, 1, sender=owner)
        with refuses(closing, "PositionsOpen", account):
            closing.house.returnReserves(account, 1, sender=owner)
        close(closing, "maker")
        with refuses(closing, "PositionsOpen", account):
            closing.withdraw(account, WETH, 1)
        close(closing, "maker", model.perpetual(ALT))
        closing.withdraw(account, WETH, wad(90))


@pytest.fixture
def auctioned(stage: Stage) -> Stage:
    """An auction began in the last minutes of the week."""
    stage.fund("dealer", 1_000_000)
    stage.fund("owner", 26_000)
    stage.trade("owner", "dealer", {ETH: 100})
    shut(stage)
    stage.pass_time(CLOSING_TIME - 600)
    stage.move({ETH: 1_900})
    stage.start_auction(stage.account("owner"))
    return stage


def end(stage: Stage) -> None:
    """The seventh day begins."""
    stage.pass_time(stage.house.call.windDown().shutAt + CLOSING_TIME - stage.now)


class TestJudging:
    """From the seventh day on, no margin of an account with positions counts for anything."""

    def test_nobody_trades(self, stage: Stage) -> None:
        shut(stage)
        stage.pass_time(CLOSING_TIME - 1)
        order = stage.order(stage.account("maker"), {ETH: 1}, -1, stage.marks[ETH])
        signature, taker = stage.sign(order, "maker"), stage.actor("taker")
        with stage.evm.anchored():
            stage.house.take(order, signature, stage.account("taker"), WAD, sender=taker)
        stage.pass_time(1)
        with refuses(stage, "Shut"):
            stage.house.take(order, signature, stage.account("taker"), WAD, sender=taker)
        with refuses(stage, "Shut"):
            stage.trade("taker", "maker", {ETH: 1})

    def test_nobody_is_judged_by_what_is_open(self, auctioned: Stage) -> None:
        """An auction goes on when its account is closed out, and judges what is left."""
        stage, account = auctioned, auctioned.account("owner")
        bidder = stage.fund("bidder", 1_000_000)
        terms, actor = stage.bid_terms(bidder, account), stage.actor("bidder")
        stage.pass_time(60)
        assert stage.house.call.quoteBid(account, WAD).taken > 0
        end(stage)
        for name in ("flag", "standStill", "reset"):
            with refuses(stage, "PositionsOpen", account):
                getattr(stage.house, name)(account)
        with refuses(stage, "PositionsOpen", account):
            stage.house.bid(terms, sender=actor)
        with stage.evm.reverts("PositionsOpen", account):
            stage.house.call.quoteBid(account, WAD)
        close(stage, "owner")
        left = stage.house.call.margin(account)
        with stage.evm.reverts("AccountHealthy", account, left.maintenanceEquity, 0):
            stage.house.flag(account)
        stage.house.standStill(account)
        stage.house.reset(account)
        assert stage.house.call.auction(account).depth == 0

    def test_what_is_left_is_sold_to_who_is_closed_out(self, auctioned: Stage) -> None:
        """A bidder's margin is no better than another's."""
        stage, account = auctioned, auctioned.account("owner")
        end(stage)
        stage.move({ETH: 1_700})
        close(stage, "owner")
        stage.house.flag(account)
        dealer = stage.account("dealer")
        terms, actor = stage.bid_terms(dealer, account), stage.actor("dealer")
        stage.pass_time(60)
        with refuses(stage, "PositionsOpen", dealer):
            stage.house.bid(terms, sender=actor)
        close(stage, "dealer")
        (taken,) = stage.house.bid(terms, sender=actor).events("SliceTaken")
        assert (taken.fraction, stage.cash(account)) == (WAD, 0)


class TestRefused:
    def test_while_the_house_is_open(self, stage: Stage) -> None:
        stage.house.submitShutdown()
        stage.pass_time(WINDING_DELAY)
        with refuses(stage, "NotShut"):
            close(stage, "maker")

    def test_within_the_week(self, stage: Stage) -> None:
        shut(stage)
        closes = stage.now + CLOSING_TIME
        stage.pass_time(CLOSING_TIME - 1)
        with refuses(stage, "TooEarlyToClose", closes):
            close(stage, "maker")
        stage.withdraw(stage.account("maker"), WETH, WAD)
        stage.pass_time(1)
        close(stage, "maker")

    def test_at_a_doubtful_price(self, closing: Stage) -> None:
        closing.underlyings[ETH].feed.break_down()
        with refuses(closing, "PriceNotOk", instrument=ETHER):
            close(closing, "maker")
        closing.underlyings[ETH].feed.mend()
        close(closing, "maker")
        closing.underlyings[ETH].feed.break_down()
        close(closing, "taker")

    def test_with_a_check_pending(self, closing: Stage) -> None:
        account, owner = closing.fund("owner", 10), closing.actor("owner")
        calls = [
            closing.house.encode("withdraw", account, CASH, 1, owner.address),
            closing.house.encode("closeOut", account, ETHER),
        ]
        with refuses(closing, "CheckPending", account):
            closing.house.multicall(calls, sender=owner)

    def test_with_ether(self, closing: Stage) -> None:
        with refuses(closing, "ValueNotAccepted", value=1):
            closing.house.closeOut(closing.account("maker"), ETHER, value=1)

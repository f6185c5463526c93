"""Redemption by request: who waits how long for what, and who may act for whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.risk import backstop as twin
from plimsoll.risk.model import WAD
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, wad
from tests.unit.backstop_house import EPOCH, Backed, build, with_slice
from tests.unit.books import WITHDRAWALS, emitted, happened, transfer
from tests.unit.conftest import kept

MILLION = 10**12
SHARE = 10**9
"""Shares of one dollar at first."""
PART = 10**11


@pytest.fixture(scope="module")
def backed() -> Backed:
    stage = build(reserves=0)
    stage.invest("first", MILLION)
    stage.invest("second", MILLION)
    return stage


@pytest.fixture
def stage(backed: Backed) -> Iterator[Backed]:
    for one in kept(backed):
        assert isinstance(one, Backed)
        yield one


def request(stage: Backed, who: str, shares: int, *, owner: str, controller: str) -> int:
    args = shares, stage.actor(controller), stage.actor(owner)
    return int(stage.backstop.requestRedeem(*args, sender=stage.actor(who)).value)


class TestRequest:
    def test_joins_the_epoch_that_begins_next(self, stage: Backed) -> None:
        """At least seven days pass, also in the last second of an epoch."""
        last_second = (stage.now // EPOCH + 1) * EPOCH - 1
        stage.pass_time(last_second - stage.now)
        epoch = stage.request("first", 1)
        assert epoch == twin.open_epoch(last_second) == last_second // EPOCH + 1
        assert tuple(stage.backstop.call.openEpoch()) == (epoch, last_second + 1 + EPOCH)
        stage.pass_time(1)
        assert stage.request("first", 1) == epoch + 1
        assert stage.backstop.call.redemptions(epoch) == (1, 0, False)

    def test_locks_the_shares(self, stage: Backed) -> None:
        first, had = stage.actor("first"), stage.shares_of("first")
        epoch = twin.open_epoch(stage.now)
        receipt = stage.backstop.requestRedeem(3, first, first, sender=first)
        terms = {"controller": first.address, "owner": first.address, "requestId": epoch}
        moved = {"from_": first.address, "to": stage.backstop.address, "value": 3}
        assert happened(receipt) == [
            emitted(stage.backstop, "Transfer", **moved),
            emitted(stage.backstop, "RedeemRequest", **terms, sender=first.address, shares=3),
        ]
        assert stage.shares_of("first") == had - 3
        assert stage.backstop.call.pendingRedeemRequest(epoch, first) == 3
        assert stage.backstop.call.claimableRedeemRequest(epoch, first) == 0

    def test_adds_to_an_earlier_one(self, stage: Backed) -> None:
        first = stage.actor("first")
        epoch = stage.request("first", 3)
        stage.pass_time(1)
        assert stage.request("first", 4) == epoch
        assert stage.backstop.call.pendingRedeemRequest(epoch, first) == 7
        assert stage.backstop.call.redemptions(epoch).shares == 7

    def test_for_another_controller(self, stage: Backed) -> None:
        third, first = stage.actor("third"), stage.actor("first")
        epoch = request(stage, "first", 5, owner="first", controller="third")
        assert stage.backstop.call.pendingRedeemRequest(epoch, third) == 5
        assert stage.backstop.call.pendingRedeemRequest(epoch, first) == 0

    def test_by_allowance(self, stage: Backed) -> None:
        stage.backstop.approve(stage.actor("third"), 5, sender=stage.actor("first"))
        request(stage, "third", 4, owner="first", controller="third")
        args = stage.actor("first"), stage.actor("third")
        assert stage.backstop.call.allowance(*args) == 1
        with stage.evm.reverts("ERC20InsufficientAllowance", args[1].address, 1, 2):
            request(stage, "third", 2, owner="first", controller="third")

    def test_by_an_operator(self, stage: Backed) -> None:
        first, third = stage.actor("first"), stage.actor("third")
        receipt = stage.backstop.setOperator(third, True, sender=first)
        terms = {"controller": first.address, "operator": third.address, "approved": True}
        assert happened(receipt) == [emitted(stage.backstop, "OperatorSet", **terms)]
        assert receipt.value is True
        assert stage.backstop.call.isOperator(first, third)
        request(stage, "third", 9, owner="first", controller="first")
        stage.backstop.setOperator(third, False, sender=first)
        assert not stage.backstop.call.isOperator(first, third)
        with stage.evm.reverts("ERC20InsufficientAllowance", third.address, 0, 9):
            request(stage, "third", 9, owner="first", controller="first")

    def test_of_nothing_or_more_than_held(self, stage: Backed) -> None:
        first, held = stage.actor("first"), stage.shares_of("first")
        with stage.evm.reverts("ZeroAmount"):
            stage.backstop.requestRedeem(0, first, first, sender=first)
        values = (first.address, held, held + 1)
        with stage.evm.reverts("ERC20InsufficientBalance", *values):
            stage.backstop.requestRedeem(held + 1, first, first, sender=first)

    def test_a_waiting_share_cannot_be_asked_for_twice(self, stage: Backed) -> None:
        first = stage.actor("first")
        stage.request("first")
        with stage.evm.reverts("ERC20InsufficientBalance", first.address, 0, 1):
            stage.backstop.requestRedeem(1, first, first, sender=first)


class TestSettlement:
    def test_waits_for_the_end(self, stage: Backed) -> None:
        with stage.evm.reverts("NothingToSettle"):
            stage.backstop.settleEpoch()
        epoch = stage.request("first", PART)
        ends = (epoch + 1) * EPOCH
        stage.pass_time(ends - stage.now - 1)
        with stage.evm.reverts("EpochRunning", epoch, ends):
            stage.backstop.settleEpoch(sender=stage.actor("stranger"))
        stage.pass_time(1)
        stage.backstop.settleEpoch(sender=stage.actor("stranger"))
        with stage.evm.reverts("NothingToSettle"):
            stage.backstop.settleEpoch()

    def test_burns_and_pays_into_the_vault(self, stage: Backed) -> None:
        epoch = stage.request("first", PART)
        stage.end_epoch(epoch)
        reserves, supply = stage.reserves, stage.backstop.call.totalSupply()
        receipt = stage.backstop.settleEpoch()
        units = PART * (2 * MILLION + 1) // (supply + 1_000)
        assert tuple(receipt.value) == (epoch, units)
        nobody, vault = "0x" + "00" * 20, stage.backstop.address
        burnt = {"from_": vault, "to": nobody, "value": PART}
        paid = {"to": vault, "amount": units * CASH_SCALE}
        settled = {"epoch": epoch, "shares": PART, "assets": units}
        assert happened(receipt) == [
            emitted(stage.backstop, "Transfer", **burnt),
            emitted(stage.house, "ReservesPaid", **paid),
            transfer(stage, CASH, stage.vault, stage.backstop, units),
            emitted(stage.backstop, "EpochSettled", **settled),
        ]
        assert stage.reserves == reserves - units * CASH_SCALE
        assert stage.backstop.call.totalSupply() == supply - PART
        assert stage.backstop.call.redemptions(epoch) == (PART, units, True)
        assert stage.dollar.call.balanceOf(stage.backstop) == units

    def test_goes_by_age(self, stage: Backed) -> None:
        """However long nobody settled: one epoch after another, each at the price of its time."""
        early = stage.request("first", PART)
        stage.pass_time(3 * EPOCH)
        late = stage.request("second", PART)
        assert late == early + 3
        stage.end_epoch(late)
        assert stage.backstop.settleEpoch().value.epoch == early
        stage.lose(100_000)
        assert stage.backstop.settleEpoch().value.epoch == late
        call = stage.backstop.call
        assert call.redemptions(late).assets < call.redemptions(early).assets

    def test_waits_at_a_doubtful_price(self, stage: Backed) -> None:
        stage.invest("first", 50 * MILLION)
        with_slice(stage)
        stage.end_epoch(stage.request("second"))
        stage.underlyings[ETH].feed.break_down()
        assert stage.value().doubtful
        with stage.evm.reverts("ValuationDoubtful"):
            stage.backstop.settleEpoch()
        stage.underlyings[ETH].feed.mend()
        stage.pass_time(0)
        stage.backstop.settleEpoch()

    def test_needs_free_reserves(self, stage: Backed) -> None:
        """What is with a sub-account comes back first."""
        stage.invest("first", 50 * MILLION)
        account = with_slice(stage)
        for who in ("first", "second"):
            stage.request(who)
        stage.end_epoch(twin.open_epoch(stage.now))
        free, value = stage.reserves, stage.value()
        assert value.lower > free
        with stage.evm.reverts("InsufficientReserves", available=free):
            stage.backstop.settleEpoch()
        assert stage.margin(account).equity > 0

    def test_needs_tokens(self, stage: Backed) -> None:
        stage.end_epoch(stage.request("first", 10 * SHARE))
        stage.dollar.shrink(stage.vault, stage.dollar.call.balanceOf(stage.vault) - 3)
        with stage.evm.reverts("InsufficientLiquidity", 3, 10 * 10**6):
            stage.backstop.settleEpoch()

    def test_waits_for_a_pause_of_withdrawals(self, stage: Backed) -> None:
        stage.end_epoch(stage.request("first", SHARE))
        stage.house.setPause(1 << WITHDRAWALS, 0)
        with stage.evm.reverts("Paused", WITHDRAWALS, CASH):
            stage.backstop.settleEpoch()

    def test_a_token_that_keeps_a_part_settles_nothing(self, stage: Backed) -> None:
        stage.end_epoch(stage.request("first", SHARE))
        stage.dollar.setFee(1_000)
        with stage.evm.reverts("TransferIncomplete", 10**6, 900_000):
            stage.backstop.settleEpoch()

    def test_the_last_share_leaves_nothing_behind_but_rounding(self, stage: Backed) -> None:
        stage.request("first")
        got = stage.redeemed("second")
        got += stage.backstop.call.maxWithdraw(stage.actor("first"))
        assert 2 * MILLION - 2 <= got <= 2 * MILLION
        assert stage.backstop.call.totalSupply() == 0
        assert stage.reserves <= 2 * CASH_SCALE


class TestClaims:
    @pytest.fixture
    def settled(self, stage: Backed) -> Backed:
        """Claims of two epochs: 100 dollars at par, and 100 shares' dollars after a loss."""
        epoch = stage.request("first", 100 * SHARE)
        stage.end_epoch(epoch)
        stage.backstop.settleEpoch()
        stage.lose(500_000)
        stage.end_epoch(stage.request("first", 100 * SHARE))
        stage.backstop.settleEpoch()
        return stage

    def test_are_what_the_epochs_fetched(self, settled: Backed) -> None:
        call, first = settled.backstop.call, settled.actor("first")
        early, late = (call.redemptions(n).assets for n in self.epochs(settled))
        assert early == 100 * 10**6 > late
        assert call.maxRedeem(first) == 200 * SHARE
        assert call.maxWithdraw(first) == early + late
        for number in self.epochs(settled):
            assert call.claimableRedeemRequest(number, first) == 100 * SHARE
            assert call.pendingRedeemRequest(number, first) == 0

    def epochs(self, stage: Backed) -> tuple[int, int]:
        last = stage.now // EPOCH - 1
        first = next(
            n for n in range(last - 1, 0, -1) if stage.backstop.call.redemptions(n).settled
        )
        return first, last

    def test_by_shares(self, settled: Backed) -> None:
        """The oldest first, each at its own price."""
        backstop, first, third = settled.backstop, settled.actor("first"), settled.actor("third")
        early, late = (backstop.call.redemptions(n).assets for n in self.epochs(settled))
        receipt = backstop.redeem(150 * SHARE, third, first, sender=first)
        expected = early + late // 2
        assert receipt.value == expected == settled.dollar.call.balanceOf(third)
        terms = {"sender": first.address, "receiver": third.address, "owner": first.address}
        paid = {"assets": expected, "shares": 150 * SHARE}
        assert happened(receipt) == [
            emitted(backstop, "Withdraw", **terms, **paid),
            transfer(settled, CASH, settled.backstop, third, expected),
        ]
        assert backstop.call.maxRedeem(first) == 50 * SHARE
        assert backstop.call.maxWithdraw(first) == late // 2

    def test_by_assets(self, settled: Backed) -> None:
        backstop, first = settled.backstop, settled.actor("first")
        early, late = (backstop.call.redemptions(n).assets for n in self.epochs(settled))
        had = settled.dollar.call.balanceOf(first)
        wanted = early + 1
        shares = 100 * SHARE + -(-100 * SHARE // late)
        receipt = backstop.withdraw(wanted, first, first, sender=first)
        assert receipt.value == shares
        assert settled.dollar.call.balanceOf(first) == had + wanted
        assert backstop.call.maxRedeem(first) == 200 * SHARE - shares
        left = backstop.call.maxWithdraw(first)
        assert left in (late - 1, late - 2)
        backstop.withdraw(left, first, first, sender=first)
        assert backstop.call.maxWithdraw(first) == 0

    @pytest.mark.parametrize("function", ["redeem", "withdraw"])
    def test_the_most_passes_and_one_more_does_not(self, settled: Backed, function: str) -> None:
        backstop, first = settled.backstop, settled.actor("first")
        name = function.capitalize()
        most = getattr(backstop.call, f"max{name}")(first)
        claim = getattr(backstop, function)
        with settled.evm.reverts(f"ERC4626ExceededMax{name}", first.address, most + 1, most):
            claim(most + 1, first, first, sender=first)
        claim(most, first, first, sender=first)
        assert getattr(backstop.call, f"max{name}")(first) == 0

    def test_in_parts_pay_no_more_than_at_once(self, settled: Backed) -> None:
        backstop, first = settled.backstop, settled.actor("first")
        at_once = backstop.call.maxWithdraw(first)
        parts = [7 * SHARE + 1] * 20
        got = sum(backstop.redeem(one, first, first, sender=first).value for one in parts)
        rest = backstop.call.maxRedeem(first)
        got += backstop.redeem(rest, first, first, sender=first).value
        assert at_once - 22 <= got <= at_once

    def test_are_their_controllers(self, settled: Backed) -> None:
        backstop = settled.backstop
        first, third = settled.actor("first"), settled.actor("third")
        backstop.approve(third, 2**256 - 1, sender=first)
        with settled.evm.reverts("NotOperator", first.address, third.address):
            backstop.redeem(1, third, first, sender=third)
        with settled.evm.reverts("NotOperator", first.address, third.address):
            backstop.withdraw(1, third, first, sender=third)
        backstop.setOperator(third, True, sender=first)
        backstop.withdraw(7, third, first, sender=third)
        assert settled.dollar.call.balanceOf(third) == 7

    def test_bear_nothing_any_more(self, settled: Backed) -> None:
        """What settled belongs to who asked, whatever happens to the reserves."""
        first = settled.actor("first")
        due = settled.backstop.call.maxWithdraw(first)
        settled.lose(60_000_000)
        assert settled.house.call.pool().reserves == 0
        assert settled.backstop.call.maxWithdraw(first) == due
        settled.backstop.withdraw(due, first, first, sender=first)

    def test_of_nothing(self, settled: Backed) -> None:
        first = settled.actor("first")
        assert settled.backstop.redeem(0, first, first, sender=first).value == 0
        assert settled.backstop.withdraw(0, first, first, sender=first).value == 0

    def test_of_an_epoch_that_fetched_nothing(self, stage: Backed) -> None:
        """All reserves lost, to the wei: shares are worth nothing, and leave as that."""
        stage.end_epoch(stage.request("first"))
        stage.lose(2_000_000)
        assert stage.reserves == 0
        first = stage.actor("first")
        assert tuple(stage.backstop.settleEpoch().value)[1] <= 1
        due = stage.backstop.call.maxRedeem(first)
        assert due == MILLION * 1_000
        stage.backstop.redeem(due, first, first, sender=first)
        assert stage.backstop.call.maxRedeem(first) == 0


class TestProvisions:
    def test_nothing_settles_while_a_loss_is_known(self, stage: Backed) -> None:
        """A flagged account owes more than it has: whoever asked to leave waits for its end."""
        stage.fund("maker", 10_000_000)
        stage.fund("owner", 30_000)
        stage.trade("owner", "maker", {ETH: 100})
        stage.end_epoch(stage.request("first"))
        stage.settle_stable(3)
        stage.move({ETH: 1_600})
        account = stage.account("owner")
        stage.start_auction(account)
        open_ = stage.house.call.provisions()
        assert open_ == -stage.margin(account).equity > wad(9_000)
        assert stage.value().lower == stage.reserves - open_
        with stage.evm.reverts("ProvisionOpen", open_):
            stage.backstop.settleEpoch()
        stage.pass_time(60)
        stage.fund("bidder", 1_000_000)
        stage.bid("bidder", account, WAD)
        assert stage.house.call.provisions() == 0
        stage.backstop.settleEpoch()
        got = stage.backstop.call.maxWithdraw(stage.actor("first"))
        assert got < MILLION - 4_500 * 10**6

    def test_nothing_settles_after_a_halt(self, stage: Backed) -> None:
        stage.end_epoch(stage.request("first", SHARE))
        stage.lose(2_000_001)
        assert stage.house.call.windDown().halted
        with stage.evm.reverts("RiskHalted"):
            stage.backstop.settleEpoch()
        stage.house.submitResume()
        stage.pass_time(2 * 86_400)
        stage.house.acceptResume()
        stage.backstop.settleEpoch()
        assert stage.backstop.call.maxWithdraw(stage.actor("first")) == 0

"""How the backstop gets rid of what it took: signed orders, sold collateral, swept cash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi.abi import encode

from plimsoll.risk import backstop as twin
from plimsoll.risk.model import BPS, WAD, ceil_div, perpetual
from tests.evm import Reverted
from tests.scenarios.stage import ALT, BTC, CASH, CASH_SCALE, ETH, WBTC, WETH, wad
from tests.unit.backstop_house import Backed, build, signature_of, with_slice
from tests.unit.books import emitted, happened, transfer
from tests.unit.conftest import kept

MILLION = 10**12
MAGIC = bytes.fromhex("1626ba7e")
NO_LIMIT = 2**256 - 1


@pytest.fixture(scope="module")
def backed() -> Backed:
    """The backstop holds a slice: long ETH, short ALT, with two kinds of collateral."""
    stage = build(reserves=0)
    stage.invest("first", 50 * MILLION)
    with_slice(stage)
    stage.fund("desk", 1_000_000)
    return stage


@pytest.fixture
def stage(backed: Backed) -> Iterator[Backed]:
    for one in kept(backed):
        assert isinstance(one, Backed)
        yield one


def size(stage: Backed, u: int) -> int:
    return stage.position(stage.sub_account(), u).size


def slack(stage: Backed) -> int:
    return int(stage.backstop.call.slackOf(stage.sub_account()))


def bound(stage: Backed, u: int, *, sells: bool) -> int:
    """The last price that the backstop signs for one unit of a perpetual."""
    legs, marks = [(perpetual(u), WAD)], {perpetual(u): stage.marks[u]}
    at = twin.best_offer if sells else twin.worst_price
    return at(legs, marks, slack(stage))


def selling(stage: Backed, quantity: int, price: int, **terms: Any) -> dict[str, Any]:
    order = stage.unwinding(1, {ETH: 1}, 0, price, **terms)
    return {**order, "quantity": -quantity}


def refused(stage: Backed, order: dict[str, Any], error: str, *args: Any) -> None:
    """By the bounds themselves, as a signature, and by the house."""
    digest, signature = stage.house.call.hashOrder(order), signature_of(order)
    with stage.evm.reverts(error, *args):
        stage.backstop.requireSignable(order)
    with stage.evm.reverts(error, *args):
        stage.backstop.call.isValidSignature(digest, signature)
    desk = stage.actor("desk")
    with stage.evm.reverts("InvalidSignature", digest, stage.backstop.address):
        stage.house.take(order, signature, stage.account("desk"), WAD, sender=desk)


class TestSlack:
    def test_rises_over_a_day(self, stage: Backed) -> None:
        (used,) = stage.backstop.call.subAccounts()
        assert used.slackCap == 200
        for elapsed in (0, 1, 479, 480, 43_200, 86_399, 86_400, 10**7):
            with stage.evm.anchored():
                stage.evm.warp(used.since + elapsed - stage.now)
                assert slack(stage) == twin.slack_at(elapsed, used.slackCap)
        assert twin.slack_at(0, 200) == 20
        assert twin.slack_at(43_200, 200) == 110
        assert twin.slack_at(86_400, 200) == twin.slack_at(10**9, 200) == 200

    def test_ends_at_half_of_the_pay(self) -> None:
        assert twin.slack_at(86_400, 57) == 57
        assert twin.slack_at(0, 57) == 20

    def test_of_somebody_else(self, stage: Backed) -> None:
        for account in (stage.account("desk"), stage.sub_account(2), stage.sub_account(0)):
            with stage.evm.reverts("NotInUse", account):
                stage.backstop.slackOf(account)


class TestOrders:
    def test_are_signed_by_being_asked(self, stage: Backed) -> None:
        order = selling(stage, 3 * WAD, bound(stage, ETH, sells=True))
        digest = stage.house.call.hashOrder(order)
        assert stage.backstop.call.isValidSignature(digest, signature_of(order)) == MAGIC
        stage.backstop.requireSignable(order)

    def test_are_taken(self, stage: Backed) -> None:
        had, price = size(stage, ETH), bound(stage, ETH, sells=True)
        assert price == stage.marks[ETH] * (BPS - 20) // BPS
        value = stage.value().upper
        stage.unwind(selling(stage, 3 * WAD, price), "desk", 3)
        assert size(stage, ETH) == had - 3 * WAD
        given = 3 * (stage.marks[ETH] - price)
        fee = 3 * stage.marks[ETH] * (100 + 500) // 10**6
        # The maker's fee comes back as reserves, and the taker's comes with it.
        gained = 3 * stage.marks[ETH] * 500 // 10**6
        assert abs(stage.value().upper - (value - given + gained)) < 10**6
        assert fee > 0

    def test_are_matched(self, stage: Backed) -> None:
        """With a signed order of somebody else, by anyone."""
        price, had = bound(stage, ETH, sells=True), size(stage, ETH)
        maker = stage.order(stage.account("desk"), {ETH: 1}, 2, price)
        signed = stage.sign(maker, "desk")
        order = selling(stage, 2 * WAD, price)
        stranger = stage.actor("stranger")
        stage.house.trade(maker, signed, order, signature_of(order), 2 * WAD, sender=stranger)
        assert size(stage, ETH) == had - 2 * WAD

    def test_that_buy_back(self, stage: Backed) -> None:
        had, price = size(stage, ALT), bound(stage, ALT, sells=False)
        assert had < 0
        order = {**stage.unwinding(1, {ALT: 1}, 0, price), "quantity": -had}
        stage.unwind(order, "desk", 5)
        assert size(stage, ALT) == had + min(-had, 5 * WAD)
        worse = {**order, "price": price + 1, "salt": 10**6}
        refused(stage, worse, "PriceBeyondSlack", price + 1, price)

    def test_of_a_package(self, stage: Backed) -> None:
        """The slack counts every leg's value, the mark their sum."""
        legs = [(perpetual(ETH), 2 * WAD), (perpetual(ALT), -WAD)]
        marks = {perpetual(u): stage.marks[u] for u in (ETH, ALT)}
        price = twin.best_offer(legs, marks, slack(stage))
        net, gross = stage.mark({ETH: 2, ALT: -1}), stage.mark({ETH: 2, ALT: 1})
        assert price == net - gross * 20 // BPS
        order = stage.unwinding(1, {ETH: 2, ALT: -1}, -1, price)
        stage.unwind(order, "desk", 1)
        refused(stage, {**order, "price": price - 1}, "PriceBeyondSlack", price - 1, price)

    def test_below_the_bound(self, stage: Backed) -> None:
        price = bound(stage, ETH, sells=True)
        order = selling(stage, WAD, price - 1)
        refused(stage, order, "PriceBeyondSlack", price - 1, price)

    def test_at_a_mark_that_has_moved(self, stage: Backed) -> None:
        """An order is judged at the mark of its fill."""
        order = selling(stage, WAD, bound(stage, ETH, sells=True))
        stage.move({ETH: 1_950})
        worst = bound(stage, ETH, sells=True)
        refused(stage, order, "PriceBeyondSlack", order["price"], worst)

    def test_that_add(self, stage: Backed) -> None:
        order = stage.unwinding(1, {ETH: 1}, 1, stage.marks[ETH])
        desk = stage.actor("desk")
        with stage.evm.reverts("NotReducing", instrument=perpetual(ETH)):
            args = order, signature_of(order), stage.account("desk"), WAD
            stage.house.take(*args, sender=desk)
        refused(stage, {**order, "reduceOnly": False}, "NotReduceOnly", stage.sub_account())

    def test_that_cross_zero(self, stage: Backed) -> None:
        more = size(stage, ETH) + 1
        order = selling(stage, more, stage.marks[ETH])
        args = order, signature_of(order), stage.account("desk"), more
        with stage.evm.reverts("NotReducing", instrument=perpetual(ETH)):
            stage.house.take(*args, sender=stage.actor("desk"))

    def test_that_live_too_long(self, stage: Backed) -> None:
        latest = stage.now + 3_600
        order = selling(stage, WAD, stage.marks[ETH], expiry=latest + 1)
        refused(stage, order, "ExpiryTooFar", latest + 1, latest)
        stage.backstop.requireSignable({**order, "expiry": latest})

    def test_of_an_account_that_is_not_its(self, stage: Backed) -> None:
        desk = stage.account("desk")
        order = {**selling(stage, WAD, stage.marks[ETH]), "account": desk}
        with stage.evm.reverts("NotInUse", desk):
            stage.backstop.requireSignable(order)

    def test_that_name_another_signer(self, stage: Backed) -> None:
        order = {**selling(stage, WAD, stage.marks[ETH]), "signer": stage.actor("desk")}
        with stage.evm.reverts("WrongSigner", stage.actor("desk").address):
            stage.backstop.requireSignable(order)

    def test_of_another_digest(self, stage: Backed) -> None:
        """No other message can be passed off as an order: a permit, a delegation, a claim."""
        order = selling(stage, WAD, stage.marks[ETH])
        digest = stage.house.call.hashOrder(order)
        with stage.evm.reverts("WrongDigest", b"\x01" * 32, digest):
            stage.backstop.call.isValidSignature(b"\x01" * 32, signature_of(order))
        with pytest.raises(Reverted):
            stage.backstop.call.isValidSignature(digest, b"")
        with pytest.raises(Reverted):
            stage.backstop.call.isValidSignature(digest, encode(["uint256"], [1]))

    def test_at_a_doubtful_price(self, stage: Backed) -> None:
        order = selling(stage, WAD, stage.marks[ETH])
        stage.underlyings[ETH].feed.break_down()
        with stage.evm.reverts("PriceNotOk", instrument=perpetual(ETH)):
            stage.backstop.requireSignable(order)

    def test_of_what_is_not_listed(self, stage: Backed) -> None:
        order = selling(stage, WAD, stage.marks[ETH])
        unknown = perpetual(77)
        order["legs"] = [{"instrument": unknown, "ratio": WAD}]
        with stage.evm.reverts("UnknownInstrument", unknown):
            stage.backstop.requireSignable(order)

    def test_never_leave_a_hedge_open_below_initial_margin(self, stage: Backed) -> None:
        """One leg alone trades only as far as the sub-account's own equity carries the other."""
        everything = -size(stage, ALT)
        order = {**stage.unwinding(1, {ALT: 1}, 0, stage.marks[ALT]), "quantity": everything}
        stage.unwind(order, "desk", 1)
        margin = stage.margin(stage.sub_account())
        assert margin.initial_equity >= margin.initial_margin


class TestCollateral:
    def cost(self, stage: Backed, asset: int, amount: int) -> int:
        return twin.collateral_cost(asset, amount, slack(stage), CASH_SCALE, stage.inputs())

    @pytest.mark.parametrize("asset", [WETH, WBTC])
    @pytest.mark.parametrize("part", [1, 10**5])
    def test_costs_the_index_less_the_slack(self, stage: Backed, asset: int, part: int) -> None:
        assert stage.backstop.call.quoteCollateral(stage.sub_account(), asset, part) == self.cost(
            stage, asset, part
        )

    def test_is_sold_whole(self, stage: Backed) -> None:
        sub = stage.sub_account()
        held = stage.portfolio(sub)
        amount, cost = held.amount(WETH), self.cost(stage, WETH, held.amount(WETH))
        value = ceil_div(amount * stage.marks[ETH], WAD)
        assert abs(cost * CASH_SCALE - value * (BPS - 20) // BPS) <= CASH_SCALE
        buyer, to = stage.hold("buyer", cost), stage.actor("cellar")
        receipt = stage.backstop.buyCollateral(sub, WETH, amount, cost, to, sender=buyer)
        assert receipt.value == cost
        sold = {"subAccount": sub, "asset": WETH, "buyer": buyer.address, "to": to.address}
        names = [(log.address, log.name) for log in receipt.logs]
        assert names == [
            (stage.dollar.address, "Transfer"),
            (stage.dollar.address, "Transfer"),
            (stage.house.address, "Deposited"),
            (stage.backstop.address, "CollateralSold"),
            (stage.house.address, "Withdrawn"),
            (stage.tokens[WETH].address, "Transfer"),
        ]
        assert happened(receipt)[0] == transfer(stage, CASH, buyer, stage.backstop, cost)
        assert happened(receipt)[3] == emitted(
            stage.backstop, "CollateralSold", **sold, amount=amount, cost=cost
        )
        assert stage.tokens[WETH].call.balanceOf(to) == amount
        assert stage.dollar.call.balanceOf(buyer) == 0
        after = stage.portfolio(sub)
        assert after.amount(WETH) == 0
        assert abs(after.cash - held.cash - cost * CASH_SCALE) <= 1

    def test_costs_no_more_than_the_buyer_said(self, stage: Backed) -> None:
        cost = self.cost(stage, WBTC, 100)
        buyer = stage.hold("buyer", cost)
        args = stage.sub_account(), WBTC, 100
        with stage.evm.reverts("CostAboveLimit", cost, cost - 1):
            stage.backstop.buyCollateral(*args, cost - 1, buyer, sender=buyer)

    def test_more_than_there_is(self, stage: Backed) -> None:
        held = stage.portfolio(stage.sub_account()).amount(WBTC)
        buyer = stage.hold("buyer", 10**12)
        values = (stage.sub_account(), WBTC, held, held + 1)
        with stage.evm.reverts("InsufficientCollateral", *values):
            args = stage.sub_account(), WBTC, held + 1, NO_LIMIT
            stage.backstop.buyCollateral(*args, buyer, sender=buyer)

    def test_nothing(self, stage: Backed) -> None:
        with stage.evm.reverts("ZeroAmount"):
            stage.backstop.quoteCollateral(stage.sub_account(), WETH, 0)

    def test_of_no_sub_account(self, stage: Backed) -> None:
        with stage.evm.reverts("NotInUse", stage.account("owner")):
            stage.backstop.quoteCollateral(stage.account("owner"), WETH, 1)

    def test_at_a_doubtful_price(self, stage: Backed) -> None:
        stage.underlyings[BTC].feed.break_down()
        with stage.evm.reverts("DoubtfulPrice", stage.sub_account()):
            stage.backstop.quoteCollateral(stage.sub_account(), WBTC, 1)
        assert stage.backstop.call.quoteCollateral(stage.sub_account(), WETH, 10**15) > 0

    def test_that_calls_back(self, stage: Backed) -> None:
        """A hostile token enters nothing that the sale has open."""
        buyer = stage.hold("buyer", 10**12)
        token, sub = stage.tokens[WETH], stage.sub_account()
        entries = {
            "deposit": (1, buyer),
            "settleEpoch": (),
            "bid": (stage.account("owner"),),
            "sweep": (sub,),
            "buyCollateral": (sub, WETH, 1, NO_LIMIT, buyer),
            "redeem": (0, buyer, buyer),
            "withdraw": (0, buyer, buyer),
        }
        for name, args in entries.items():
            with stage.evm.anchored():
                token.setHook(stage.backstop, stage.backstop.encode(name, *args))
                stage.backstop.buyCollateral(sub, WETH, 10**15, NO_LIMIT, buyer, sender=buyer)
                assert not token.call.hookPassed(), name
                selector = "ReentrancyGuardReentrantCall"
                answer = bytes(token.call.hookAnswer())
                known = stage.evm.registry.errors[answer[:4]].name
                assert known in (selector, "ZeroAmount", "NothingToSettle"), name
                assert known == selector or name == "deposit", name


class TestSweep:
    def test_returns_what_is_not_needed(self, stage: Backed) -> None:
        sub = stage.sub_account()
        held, margin, reserves = stage.portfolio(sub), stage.margin(sub), stage.reserves
        spare = twin.spare_cash(held, margin)
        assert spare > wad(1_000)
        receipt = stage.backstop.sweep(sub, sender=stage.actor("stranger"))
        assert receipt.value == spare
        assert stage.reserves == reserves + spare
        swept = {"subAccount": sub, "amount": spare, "freed": False}
        assert happened(receipt)[-1] == emitted(stage.backstop, "Swept", **swept)
        after = stage.margin(sub)
        assert after.initial_margin == margin.initial_margin
        kept_ = ceil_div(margin.initial_margin * 21, 20)
        assert kept_ - 2 <= after.initial_equity <= kept_
        assert stage.used() == [sub]

    def test_leaves_the_value_as_it_is(self, stage: Backed) -> None:
        value = stage.value()
        stage.backstop.sweep(stage.sub_account())
        assert abs(stage.value().upper - value.upper) <= 1
        assert abs(stage.value().lower - value.lower) <= 1

    def test_finds_nothing_the_second_time(self, stage: Backed) -> None:
        sub = stage.sub_account()
        stage.backstop.sweep(sub)
        with stage.evm.reverts("NothingToSweep", sub):
            stage.backstop.sweep(sub)

    def test_borrows_nothing(self, stage: Backed) -> None:
        """Collateral alone frees no cash."""
        sub = stage.sub_account()
        stage.move({ETH: 2_100})
        held, margin = stage.portfolio(sub), stage.margin(sub)
        assert held.cash > 0
        assert stage.backstop.sweep(sub).value == twin.spare_cash(held, margin) <= held.cash
        assert stage.portfolio(sub).cash >= 0

    def test_frees_what_holds_nothing(self, stage: Backed) -> None:
        sub = stage.sub_account()
        empty(stage)
        cash, reserves = stage.cash(sub), stage.reserves
        receipt = stage.backstop.sweep(sub)
        assert happened(receipt)[-1] == emitted(
            stage.backstop, "Swept", subAccount=sub, amount=cash, freed=True
        )
        assert stage.used() == []
        assert stage.reserves == reserves + cash
        assert stage.cash(sub) == 0
        with stage.evm.reverts("NotInUse", sub):
            stage.backstop.slackOf(sub)

    def test_returns_what_a_freed_one_was_given(self, stage: Backed) -> None:
        sub = stage.sub_account()
        empty(stage)
        stage.backstop.sweep(sub)
        with stage.evm.reverts("NothingToSweep", sub):
            stage.backstop.sweep(sub)
        donor = stage.actor("donor")
        stage.give(donor, CASH, 7)
        stage.house.deposit(sub, CASH, 7, sender=donor)
        receipt = stage.backstop.sweep(sub)
        assert receipt.value == 7 * CASH_SCALE
        assert receipt.events("Swept")[0].freed is False

    def test_of_somebody_elses_account(self, stage: Backed) -> None:
        with stage.evm.reverts("NotInUse", stage.account("desk")):
            stage.backstop.sweep(stage.account("desk"))

    def test_at_a_doubtful_price(self, stage: Backed) -> None:
        sub = stage.sub_account()
        stage.underlyings[ETH].feed.break_down()
        with pytest.raises(Reverted) as caught:
            stage.backstop.sweep(sub)
        assert caught.value.name in ("DoubtfulPrice", "NothingToSweep")


def empty(stage: Backed) -> None:
    """Everything that the sub-account holds finds a buyer within its bounds."""
    for u in (ETH, ALT):
        held = size(stage, u)
        price = bound(stage, u, sells=held > 0)
        order = {**stage.unwinding(1, {u: 1}, 0, price), "quantity": -held}
        args = order, signature_of(order), stage.account("desk"), abs(held)
        stage.house.take(*args, sender=stage.actor("desk"))
    buyer = stage.hold("buyer", MILLION)
    for holding in stage.portfolio(stage.sub_account()).collateral:
        bought = stage.sub_account(), holding.asset, holding.amount, NO_LIMIT
        stage.backstop.buyCollateral(*bought, buyer, sender=buyer)

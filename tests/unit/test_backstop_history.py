"""Generated histories of holders, losses, gains and prices: the backstop equals its twin after each
step, pays out no more than it took, and takes nothing from anybody who stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plimsoll.risk import backstop as twin
from plimsoll.risk.backstop import Shares, Valuation
from plimsoll.risk.ledger import Refused
from plimsoll.risk.model import WAD
from tests.evm import Reverted
from tests.scenarios.stage import CASH_SCALE, ETH
from tests.unit.backstop_house import EPOCH, Backed, build, with_slice

WHO = ("first", "second", "third")
STEPS = 24
MILLION = 10**12

amounts = st.one_of(st.integers(1, 10**4), st.integers(1, 10**9), st.integers(1, 10**13))
parts = st.one_of(st.just(WAD), st.integers(1, WAD), st.integers(1, 10**6))
who = st.sampled_from(WHO)
steps = st.one_of(
    st.tuples(st.just("deposit"), who, amounts),
    st.tuples(st.just("mint"), who, amounts),
    st.tuples(st.just("request"), who, parts),
    st.tuples(st.just("request"), who, parts),
    st.tuples(st.just("redeem"), who, parts),
    st.tuples(st.just("withdraw"), who, parts),
    st.tuples(st.just("transfer"), who, parts),
    st.tuples(st.just("settle"), st.just(""), st.just(0)),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, EPOCH // 2, EPOCH, 2 * EPOCH])),
    st.tuples(st.just("gift"), st.just(""), amounts),
    st.tuples(st.just("lose"), st.just(""), st.integers(1, 900)),
    st.tuples(st.just("price"), st.just(""), st.integers(1_880, 2_100)),
    st.tuples(st.just("sweep"), st.just(""), st.just(0)),
)


class Story:
    """A backstop and its twin, told the same things."""

    outcomes: ClassVar[Counter[str]] = Counter()

    def __init__(self, stage: Backed, shares: Shares, reserves: int) -> None:
        self.stage, self.shares, self.reserves = stage, shares, reserves
        self.paid_in = self.paid_out = 0

    def value(self) -> Valuation:
        """From the twin's margins and its own count of the reserves."""
        margins = [self.stage.margin(one) for one in self.stage.used()]
        return twin.valuation(self.reserves, 0, margins)

    def tell(self, name: str, who: str, number: int) -> None:
        getattr(self, f"_{name}")(who, number)
        self.check()

    def agree(self, name: str, predict: Callable[[], int], send: Callable[[], int]) -> int | None:
        try:
            expected: int | None = predict()
            error = "done"
        except Refused as refused:
            expected, error = None, refused.error
        try:
            found: int | None = send()
            reverted = "done"
        except Reverted as one:
            found, reverted = None, one.name
        assert reverted == error, name
        assert found == expected, name
        self.outcomes[f"{name}: {error}"] += 1
        return found

    def _call(self, who: str, name: str, *args: Any) -> Callable[[], int]:
        holder = self.stage.actor(who)
        send = getattr(self.stage.backstop, name)
        return lambda: int(send(*args, sender=holder).value)

    def _deposit(self, who: str, units: int) -> None:
        holder, value = self.stage.hold(who, units), self.value()
        predict = lambda: self.shares.deposit(who, units, value)  # noqa: E731
        if self.agree("deposit", predict, self._call(who, "deposit", units, holder)) is not None:
            self._add(units)

    def _mint(self, who: str, shares: int) -> None:
        value = self.value()
        holder = self.stage.hold(who, self.shares.preview_mint(shares, value))
        predict = lambda: self.shares.mint(who, shares, value)  # noqa: E731
        units = self.agree("mint", predict, self._call(who, "mint", shares, holder))
        if units is not None:
            self._add(units)

    def _add(self, units: int) -> None:
        self.reserves += units * CASH_SCALE
        self.paid_in += units

    def _request(self, who: str, part: int) -> None:
        shares = self.shares.balances.get(who, 0) * part // WAD
        holder = self.stage.actor(who)
        predict = lambda: self.shares.request(who, shares, self.stage.now)  # noqa: E731
        send = self._call(who, "requestRedeem", shares, holder, holder)
        self.agree("request", predict, send)

    def _transfer(self, who: str, part: int) -> None:
        shares = self.shares.balances.get(who, 0) * part // WAD
        to = WHO[(WHO.index(who) + 1) % len(WHO)]
        args = self.stage.actor(to), shares
        self.stage.backstop.transfer(*args, sender=self.stage.actor(who))
        self.shares.balances[who] = self.shares.balances.get(who, 0) - shares
        self.shares.balances[to] = self.shares.balances.get(to, 0) + shares

    def _redeem(self, who: str, part: int) -> None:
        shares = self.shares.max_redeem(who) * part // WAD
        holder = self.stage.actor(who)
        predict = lambda: self.shares.redeem(who, shares)  # noqa: E731
        units = self.agree("redeem", predict, self._call(who, "redeem", shares, holder, holder))
        self.paid_out += units or 0

    def _withdraw(self, who: str, part: int) -> None:
        units = self.shares.max_withdraw(who) * part // WAD
        holder = self.stage.actor(who)
        predict = lambda: self.shares.withdraw(who, units)  # noqa: E731
        self.agree("withdraw", predict, self._call(who, "withdraw", units, holder, holder))
        self.paid_out += units

    def _settle(self, _: str, __: int) -> None:
        value = self.value()

        def predict() -> int:
            waiting = [self.shares.epochs[n] for n in self.shares.waiting()[:1]]
            due = sum(self.shares.to_assets(one.shares, value) for one in waiting)
            ended = waiting and self.stage.now >= twin.end_of(self.shares.waiting()[0])
            if ended and due * CASH_SCALE > self.reserves:
                raise Refused("InsufficientReserves")
            _, units = self.shares.settle(value, self.stage.now)
            self.reserves -= units * CASH_SCALE
            return units

        send = self.stage.backstop.settleEpoch
        self.agree("settle", predict, lambda: int(send().value.assets))

    def _wait(self, _: str, seconds: int) -> None:
        self.stage.pass_time(seconds)

    def _gift(self, _: str, units: int) -> None:
        self.stage.give(self.stage.actor("giver"), 0, units)
        self.stage.house.addReserves(units, sender=self.stage.actor("giver"))
        self._add(units)

    def _lose(self, _: str, thousandths: int) -> None:
        dollars = self.reserves * thousandths // 1_000 // WAD
        if dollars:
            self.stage.lose(dollars)
            self.reserves -= dollars * WAD
            self.outcomes["loss"] += 1

    def _price(self, _: str, price: int) -> None:
        self.stage.move({ETH: price})

    def _sweep(self, _: str, __: int) -> None:
        for account in self.stage.used():
            spare = twin.spare_cash(self.stage.portfolio(account), self.stage.margin(account))
            if spare:
                assert self.stage.backstop.sweep(account).value == spare
                self.reserves += spare
                self.outcomes["swept"] += 1

    def check(self) -> None:
        call, shares = self.stage.backstop.call, self.shares
        assert self.stage.reserves == self.reserves
        assert call.totalSupply() == shares.supply
        value = self.value()
        assert Valuation(*call.valuation()) == value
        assert self.stage.dollar.call.balanceOf(self.stage.backstop) == shares.escrow
        for name in WHO:
            holder = self.stage.actor(name)
            assert call.balanceOf(holder) == shares.balances.get(name, 0)
            assert call.maxRedeem(holder) == shares.max_redeem(name)
            assert call.maxWithdraw(holder) == shares.max_withdraw(name)
        owed = sum(shares.max_withdraw(name) for name in WHO)
        assert owed <= shares.escrow


@pytest.fixture(scope="module")
def bare() -> Backed:
    return build(reserves=0)


@pytest.fixture(scope="module")
def invested() -> Backed:
    """With a slice: prices move the two valuations."""
    stage = build(reserves=0)
    stage.invest("first", 10 * MILLION)
    with_slice(stage)
    return stage


def run(story: Story, history: list[tuple[str, str, int]]) -> None:
    for name, who_, number in history:
        story.tell(name, who_, number)


# What chance may leave out: a whole redemption, and what is refused on the way.
A_LIFE = [
    ("deposit", "first", 0),
    ("deposit", "first", 10**9),
    ("mint", "second", 10**12),
    ("request", "third", WAD),
    ("settle", "", 0),
    ("request", "first", WAD),
    ("settle", "", 0),
    ("wait", "", 2 * EPOCH),
    ("settle", "", 0),
    ("settle", "", 0),
    ("withdraw", "first", WAD // 2),
    ("redeem", "first", WAD),
]


@settings(max_examples=60)
@given(history=st.lists(steps, min_size=4, max_size=STEPS))
@example(history=A_LIFE)
def test_any_history(bare: Backed, history: list[tuple[str, str, int]]) -> None:
    with bare.anchored():
        marks = dict(bare.marks)
        run(Story(bare, Shares(CASH_SCALE), 0), history)
    bare.marks = marks


@settings(max_examples=60)
@given(history=st.lists(steps, min_size=4, max_size=STEPS))
def test_any_history_with_a_slice(invested: Backed, history: list[tuple[str, str, int]]) -> None:
    with invested.anchored():
        marks = dict(invested.marks)
        shares = Shares(CASH_SCALE, balances={"first": 10 * MILLION * 1_000})
        run(Story(invested, shares, invested.reserves), history)
    invested.marks = marks


def test_the_histories_reached_what_they_are_for() -> None:
    """A test whose holders never came to their money would have tested nothing."""
    wanted = {
        "deposit: done",
        "deposit: ZeroAmount",
        "mint: done",
        "request: done",
        "request: ZeroAmount",
        "settle: done",
        "settle: EpochRunning",
        "settle: NothingToSettle",
        "redeem: done",
        "withdraw: done",
        "loss",
        "swept",
    }
    assert wanted <= set(Story.outcomes), wanted - set(Story.outcomes)

"""Ways to bleed the backstop through its own bids: each costs who tries more than it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from plimsoll.risk import backstop as twin
from plimsoll.risk.model import WAD, Margin, Position, perpetual
from plimsoll.risk.params import Kind
from tests.scenarios.stage import BTC, CASH, ETH, TERMS, WETH, wad
from tests.unit.backstop_house import DEEP, Backed, build, fall, signature_of
from tests.unit.books import MARKETS

MILLION = 10**12
Shape = Callable[[Backed], bytes]
DAY = 86_400
NO_LIMIT = 2**256 - 1
CENT = wad("0.01")


@pytest.fixture
def stage() -> Backed:
    stage = build(reserves=0)
    stage.invest("first", 50 * MILLION)
    stage.fund("maker", 20_000_000)
    return stage


def take_everything(stage: Backed) -> None:
    """The attacker, a contract, buys all that the sub-account holds at the worst price it accepts.

    Within one `unlock`: a hedge comes apart only on both sides at once, because one of them alone
    would leave the sub-account below its margin.
    """
    puppet, own = stage.puppet(20_000_000)
    stage.dollar.mint(puppet, 10 * MILLION)
    approve = stage.dollar.encode("approve", stage.backstop, NO_LIMIT)
    puppet.run([(stage.dollar.address, approve, False)])
    sub = stage.sub_account()
    held, slack = stage.portfolio(sub), stage.backstop.call.slackOf(sub)
    calls = [taking(stage, position, slack, own) for position in held.positions]
    for one in held.collateral:
        args = sub, one.asset, one.amount, NO_LIMIT, puppet
        buy = stage.backstop.encode("buyCollateral", *args)
        calls.append((stage.backstop.address, buy, False))
    puppet.unlock(stage.house, calls)
    stage.backstop.sweep(sub)
    assert stage.used() == []


def taking(stage: Backed, position: Position, slack: int, taker: bytes) -> tuple[str, bytes, bool]:
    """The call that closes a position of the sub-account."""
    legs, marks = [(position.instrument, WAD)], {perpetual(u): stage.marks[u] for u in MARKETS}
    at = twin.best_offer if position.size > 0 else twin.worst_price
    order = stage.unwinding(1, {}, 0, at(legs, marks, slack))
    order["legs"] = [{"instrument": position.instrument, "ratio": WAD}]
    order["quantity"] = -position.size
    return stage.step("take", order, signature_of(order), taker, abs(position.size))


def directional(stage: Backed) -> bytes:
    return fall(stage)


def spread(stage: Backed) -> bytes:
    """Long one market, short another: half of its risk is hedged."""
    stage.fund("owner", 28_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.trade("maker", "owner", {BTC: 4})
    stage.move({ETH: 1_900, BTC: 51_000})
    return auctioned(stage)


def hedge(stage: Backed) -> bytes:
    """Collateral and its short: hardly any risk, and hardly any margin, for its gross value."""
    account = stage.deposit("owner", WETH, 500 * WAD)
    stage.trade("maker", "owner", {ETH: 500})
    stage.withdraw_cash(account, 975_000)
    terms = replace(TERMS, haircut1=250, haircut2=500)
    stage.set_parameter(Kind.ASSET, WETH, terms.word)
    stage.pass_time(3 * DAY)
    return auctioned(stage)


def auctioned(stage: Backed) -> bytes:
    account = stage.account("owner")
    stage.start_auction(account)
    stage.pass_time(DEEP)
    return account


@pytest.mark.parametrize("shape", [directional, spread, hedge], ids=lambda one: one.__name__)
def test_what_is_taken_at_the_slack_is_paid_for_before(stage: Backed, shape: Shape) -> None:
    """Owner and buyer are one: he loses the penalty, and gets back at most half of it."""
    account = shape(stage)
    before = stage.value().upper
    margin, depth = stage.margin(account), stage.house.call.auction(account).depth
    fraction = stage.backstop.bid(account).value.fraction
    pay = pay_of(margin, depth, fraction)
    assert abs(stage.value().upper - before - pay) < CENT
    stage.pass_time(DAY)
    take_everything(stage)
    assert stage.reserves >= before + pay // 2 - CENT


def pay_of(margin: Margin, depth: int, fraction: int) -> int:
    return margin.maintenance_margin * depth * fraction // (WAD * 10**4)


def test_a_mark_that_was_wrong_costs_less_than_the_pay(stage: Backed) -> None:
    """The owner knows that the price is a percent lower than the mark at which he is taken over."""
    account = fall(stage)
    before = stage.value().upper
    stage.backstop.bid(account)
    stage.move({ETH: wad("1930") * 99 // 100 // WAD})
    stage.pass_time(DAY)
    take_everything(stage)
    assert stage.reserves > before


def test_it_bids_no_provisioned_dollar(stage: Backed) -> None:
    """A dollar with a sub-account bears no loss: none leaves while the reserves are spoken for."""
    account = fall(stage, 1_500)
    stage.lose(49_990_000)
    assert stage.house.call.provisions() > stage.reserves
    with stage.evm.reverts("SliceTooSmall", account=account, gross=0):
        stage.backstop.bid(account)


def test_suppliers_pay_for_none_of_its_bids(stage: Backed) -> None:
    """The reserves cover a payout together with the funding, or the slice is smaller."""
    account = fall(stage, 1_800)
    stage.lose(49_940_000)
    lent = stage.cash(stage.lender)
    (booked,) = stage.backstop.bid(account).events("LossBooked")
    assert booked.fromReserves > 0
    assert booked.fromSuppliers == booked.toDeficit == 0
    assert stage.cash(stage.lender) == lent


def test_settlement_and_a_payout_share_no_transaction(stage: Backed) -> None:
    """Nobody takes his part out in the transaction that books a loss, in either order."""
    epoch = stage.request("first", MILLION)
    stage.end_epoch(epoch)
    account = fall(stage, 1_790)
    assert stage.house.call.provisions() == 0
    assert stage.expected_slice(account).price < 0
    puppet = stage.evm.deploy("Puppet")
    settle = (stage.backstop.address, stage.backstop.encode("settleEpoch"), False)
    bid = (stage.backstop.address, stage.backstop.encode("bid", account), False)
    for calls in ([settle, bid], [bid, settle]):
        with stage.evm.reverts("CashOutWithLoss"):
            puppet.run(calls)
    stage.backstop.settleEpoch()
    stage.backstop.bid(account)


def test_the_last_second_of_an_epoch_is_no_way_out(stage: Backed) -> None:
    """Who sees a loss coming waits for a whole epoch, and bears it."""
    last_second = (stage.now // twin.EPOCH_LENGTH + 1) * twin.EPOCH_LENGTH - 1
    stage.pass_time(last_second - stage.now)
    epoch = stage.request("first")
    stage.pass_time(1)
    with stage.evm.reverts("EpochRunning", epoch=epoch):
        stage.backstop.settleEpoch()
    stage.lose(1_000_000)
    stage.end_epoch(epoch)
    stage.backstop.settleEpoch()
    assert stage.backstop.call.maxWithdraw(stage.actor("first")) < 49_100_000 * 10**6


def test_its_bids_do_not_nest_in_somebodys_batch_to_skip_a_check(stage: Backed) -> None:
    """Inside `unlock` checks wait for the end, but they come: nothing of the bid is left if one
    fails."""
    account = fall(stage)
    puppet, own = stage.puppet(100)
    bid = (stage.backstop.address, stage.backstop.encode("bid", account), False)
    overdraw = stage.step("withdraw", own, CASH, 100 * 10**6 + 1, puppet.address)
    with pytest.raises(Exception, match=r"BelowInitialMargin"):
        puppet.unlock(stage.house, [bid, overdraw])
    assert stage.used() == []
    puppet.unlock(stage.house, [bid])
    assert stage.used() == [stage.sub_account()]

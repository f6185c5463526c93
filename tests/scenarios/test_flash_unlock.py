"""Flash use of `unlock`: everything may be taken out, as long as it is back at the end.

Checks are deferred, not dropped. Until they have run, an account touched in the scope can be
neither flagged, bid on, settled nor written off, and one that the auction changed is not its
owner's to change.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD
from tests.scenarios.stage import BTC, CASH, ETH, Stage, wad

POOL = 1_000_000


@pytest.fixture
def stage() -> Stage:
    stage = Stage(reserves=1_000_000, lent=POOL)
    stage.fund("maker", 1_000_000)
    return stage


def test_a_flash_loan_of_the_whole_pool_that_comes_back(stage: Stage) -> None:
    puppet, account = stage.puppet(1)
    everything = stage.dollar.call.balanceOf(stage.vault)
    approve = (stage.dollar.address, stage.dollar.encode("approve", stage.vault, everything), False)
    steps = [
        stage.step("withdraw", account, CASH, everything, puppet.address),
        approve,
        stage.step("deposit", account, CASH, everything),
    ]
    puppet.unlock(stage.house, steps)
    assert stage.dollar.call.balanceOf(stage.vault) == everything
    assert stage.cash(account) == wad(1)
    short = stage.step("deposit", account, CASH, everything - 10**6 - 1)
    with stage.evm.reverts("BelowInitialMargin", account, -(10**12), 0):
        puppet.unlock(stage.house, [*steps[:2], short])


def test_a_large_position_for_the_length_of_a_scope(stage: Stage) -> None:
    """Open what no margin carries and close it: nothing is left to check. Left open, it fails."""
    puppet, account = stage.puppet(1)
    sell = stage.order(stage.account("maker"), {ETH: 1}, -100, stage.marks[ETH])
    buy = stage.order(stage.account("maker"), {ETH: 1}, 100, stage.marks[ETH])
    steps = [
        stage.step("take", order, stage.sign(order, "maker"), account, wad(100))
        for order in (sell, buy)
    ]
    puppet.unlock(stage.house, steps)
    assert stage.portfolio(account) == model.Portfolio(cash=wad(1))
    again = stage.order(stage.account("maker"), {ETH: 1}, -100, stage.marks[ETH])
    alone = stage.step("take", again, stage.sign(again, "maker"), account, wad(100))
    with stage.evm.reverts("RatioWorsened", account=account):
        puppet.unlock(stage.house, [alone])


def test_a_hedged_pair_opens_with_the_margin_of_the_pair(stage: Stage) -> None:
    """Leg by leg it would fail at the first: the check sees only what is there at the end."""
    puppet, account = stage.puppet(12_000)
    legs = {BTC: 2, ETH: -50}
    steps = []
    for u, size in legs.items():
        order = stage.order(stage.account("maker"), {u: 1}, -size, stage.marks[u])
        signature = stage.sign(order, "maker")
        steps.append(stage.step("take", order, signature, account, wad(abs(size))))
    with stage.evm.reverts("RatioWorsened", account=account):
        puppet.run([steps[1]])
    puppet.unlock(stage.house, steps)
    margin = stage.margin(account)
    assert margin.is_free
    assert margin.initial_margin > wad(10_000)


def unhealthy(stage: Stage) -> bytes:
    """An account in its auction, owned by somebody else."""
    account = stage.fund("fallen", 26_500)
    stage.trade("fallen", "maker", {ETH: 100})
    stage.move({ETH: 1_930})
    stage.start_auction(account)
    stage.pass_time(60)
    return account


@pytest.mark.parametrize("name", ["flag", "standStill", "reset", "writeOff", "settle"])
def test_a_touched_account_is_not_resolved(stage: Stage, name: str) -> None:
    """Its state in mid-scope is nobody's business yet: it might be insolvent for a moment."""
    puppet, account = stage.puppet(10_000)
    args = (account, model.perpetual(ETH)) if name == "settle" else (account,)
    steps = [
        stage.step("withdraw", account, CASH, 20_000 * 10**6, puppet.address),
        stage.step(name, *args),
    ]
    with stage.evm.reverts("CheckPending", account):
        puppet.unlock(stage.house, steps)


def test_an_account_touched_by_a_trade_is_not_bid_on(stage: Stage) -> None:
    fallen = unhealthy(stage)
    puppet, account = stage.puppet(100_000)
    order = stage.order(fallen, {ETH: 1}, -1, stage.marks[ETH])
    steps = [
        stage.step("take", order, stage.sign(order, "fallen"), account, WAD),
        stage.step("bid", stage.bid_terms(account, fallen)),
    ]
    with stage.evm.reverts("CheckPending", fallen):
        puppet.unlock(stage.house, steps)
    puppet.unlock(stage.house, steps[:1])
    puppet.unlock(stage.house, steps[1:])


def test_an_account_bid_on_is_not_traded_in_the_same_scope(stage: Stage) -> None:
    fallen = unhealthy(stage)
    puppet, account = stage.puppet(100_000)
    order = stage.order(fallen, {ETH: 1}, -1, stage.marks[ETH])
    steps = [
        stage.step("bid", stage.bid_terms(account, fallen, WAD // 10)),
        stage.step("take", order, stage.sign(order, "fallen"), account, WAD),
    ]
    with stage.evm.reverts("CheckPending", fallen):
        puppet.unlock(stage.house, steps)


def test_a_bidder_without_money_passes_the_slice_on(stage: Stage) -> None:
    """Bid and unwind in one scope: the check sees what is left, a profit and no position."""
    fallen = unhealthy(stage)
    puppet, account = stage.puppet(1)
    margin, held = stage.margin(fallen), stage.portfolio(fallen)
    size = held.positions[0].size * (WAD // 10) // WAD
    buy = stage.order(stage.account("maker"), {ETH: 1}, 100, stage.marks[ETH])
    steps = [
        stage.step("bid", stage.bid_terms(account, fallen, WAD // 10)),
        stage.step("take", buy, stage.sign(buy, "maker"), account, size),
    ]
    puppet.unlock(stage.house, steps)
    price = model.bid_price(margin, WAD // 10, model.phi(60))
    taken = held.cash * (WAD // 10) // WAD
    worth = held.positions[0].quote * (WAD // 10) // WAD + size * stage.marks[ETH] // WAD
    left = stage.portfolio(account)
    assert left == replace(left, cash=wad(1) + taken + worth - price, positions=())
    assert left.cash > wad(1)


def test_a_scope_within_a_scope_checks_once_at_the_outermost_end(stage: Stage) -> None:
    """`multicall` inside `unlock` defers too, and what it leaves must be made good."""
    puppet, account = stage.puppet(1)
    amount = 1_000 * 10**6
    out = stage.house.encode("withdraw", account, CASH, amount, puppet.address)
    approve = (stage.dollar.address, stage.dollar.encode("approve", stage.vault, amount), False)
    steps = [stage.step("multicall", [out]), approve, stage.step("deposit", account, CASH, amount)]
    puppet.unlock(stage.house, steps)
    with stage.evm.reverts("BelowInitialMargin", account, -wad(999), 0):
        puppet.unlock(stage.house, steps[:2])


def test_a_failure_inside_is_undone_and_the_rest_is_checked(stage: Stage) -> None:
    puppet, account = stage.puppet(10)
    steps = [
        stage.step("withdraw", account, CASH, 2**200, puppet.address, may_fail=True),
        stage.step("withdraw", account, CASH, 10**6, puppet.address),
    ]
    puppet.unlock(stage.house, steps)
    assert (puppet.call.passed(0), puppet.call.passed(1)) == (False, True)
    assert stage.cash(account) == wad(9)

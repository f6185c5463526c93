"""A market opens far beyond an account's equity: the chain halts, then a gap of 30 to 90 %.

What the account cannot pay is paid by the reserves, then by suppliers in proportion, then recorded;
to the wei, once, and in this order. The account is left with nothing, and nobody is left with debt.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import MIN_SUPPLY_INDEX, RAY
from plimsoll.risk.model import WAD, Fill, ceil_div
from plimsoll.risk.params import GlobalParams, MarketParams
from tests.scenarios.stage import CASH, ETH, Listed, Stage, as_tuple, wad

UNITS = 100
FACTORS = GlobalParams(stress_share=10_000, winners_cap=2**32 - 1, payout_cap=2**32 - 1, dust=10)


def gapped(price: int, reserves: int, lent: int) -> Stage:
    """An account with 30,000 dollars, long a hundred ether, which reopens at `price`."""
    listed = Listed(2_000, market=MarketParams(stress_jump=1_000))
    stage = Stage(
        underlyings={ETH: listed}, collateral={}, factors=FACTORS, reserves=reserves, lent=lent
    )
    stage.fund("fallen", 30_000)
    stage.fund("winner", 300_000)
    stage.fund("bidder", 500_000)
    stage.trade("fallen", "winner", {ETH: UNITS})
    stage.warp(8 * 3_600)
    stage.move({ETH: price})
    stage.start_auction(stage.account("fallen"))
    stage.pass_time(600)
    return stage


@pytest.mark.parametrize("fall", [30, 50, 90])
def test_the_loss_is_paid_once_and_in_order(fall: int) -> None:
    price = 2_000 * (100 - fall) // 100
    reserves, lent = 30_000, 1_000_000
    stage = gapped(price, reserves, lent)
    account = stage.account("fallen")
    margin = stage.margin(account)
    assert margin.equity == wad(30_000) - UNITS * wad(2_000 - price)
    payout = -model.bid_price(margin, WAD, model.phi(600))
    supplied = stage.house.call.pool().supplied
    receipt = stage.bid("bidder", account)
    (loss,) = receipt.events("LossBooked")
    (taken,) = receipt.events("SliceTaken")
    assert (taken.fraction, taken.price, taken.payout) == (WAD, -payout, payout)
    from_reserves = min(payout, wad(reserves))
    assert loss == (account, from_reserves, payout - from_reserves, 0)
    pool = stage.house.call.pool()
    assert pool.reserves == wad(reserves) - from_reserves
    assert pool.supplyIndex == RAY - ceil_div((payout - from_reserves) * RAY, supplied)
    assert stage.portfolio(account) == model.Portfolio()
    everybody = [stage.account(name) for name in ("fallen", "winner", "bidder")]
    assert 0 <= stage.surplus(everybody) < 10**6, "a rounding in favour of the vault, no more"


def test_what_suppliers_cannot_bear_is_recorded() -> None:
    """The index has a floor: beyond it stands a deficit, which fees and gifts repay first."""
    stage = gapped(200, reserves=20_000, lent=1)
    account = stage.account("fallen")
    margin = stage.margin(account)
    payout = -model.bid_price(margin, WAD, model.phi(600))
    (loss,) = stage.bid("bidder", account).events("LossBooked")
    assert loss.fromReserves + loss.fromSuppliers + loss.toDeficit == payout
    pool = stage.house.call.pool()
    assert pool.supplyIndex >= MIN_SUPPLY_INDEX
    assert pool.deficit == loss.toDeficit
    stage.give(stage.evm.deployer, CASH, 10**6)
    (added,) = stage.house.addReserves(10**6).events("ReservesAdded")
    repaid = min(wad(1), loss.toDeficit)
    assert (added.amount, added.repaidDeficit) == (wad(1), repaid)


def test_suppliers_bear_it_in_proportion_and_in_no_order() -> None:
    """Two suppliers, one ten times the other: the same share of each."""
    stage = gapped(1_000, reserves=20_000, lent=1_000_000)
    stage.fund("small", 100_000)
    before = [stage.cash(stage.lender), stage.cash(stage.account("small"))]
    stage.bid("bidder", stage.account("fallen"))
    index = stage.house.call.pool().supplyIndex
    after = [stage.cash(stage.lender), stage.cash(stage.account("small"))]
    assert after == [amount * index // RAY for amount in before]


def test_an_insolvent_account_is_auctioned_and_nothing_else() -> None:
    """Its owner closes nothing, and nobody writes off what still stands for something."""
    stage = gapped(1_000, reserves=100_000, lent=1_000_000)
    account = stage.account("fallen")
    before = stage.margin(account)
    closed = model.preview_trade(
        stage.portfolio(account),
        [Fill(model.perpetual(ETH), -UNITS * WAD, stage.marks[ETH], is_taker=False)],
        {ETH: (0, 0)},
        stage.inputs(),
    )[1]
    with stage.evm.reverts("RatioWorsened", account, as_tuple(before), as_tuple(closed)):
        stage.trade("winner", "fallen", {ETH: UNITS})
    with stage.evm.reverts("NothingToWriteOff", account):
        stage.house.writeOff(account)
    stage.settle(account, ETH)
    with stage.evm.reverts("NothingToWriteOff", account):
        stage.house.writeOff(account)
    stage.bid("bidder", account)
    assert stage.portfolio(account) == model.Portfolio()
    with stage.evm.reverts("NothingToWriteOff", account):
        stage.house.writeOff(account)

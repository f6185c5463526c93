"""Compound, November 2020: one source spiked, and the healthy were liquidated at its price.

A flag observes both sources first. Where they disagree, the price is the last good one, doubtful,
with a band around it: nobody healthy is flagged, nothing is borrowed, and no loss is paid out.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import PriceStatus
from tests.scenarios.stage import CASH, ETH, UNDERLYINGS, Stage, wad

DEVIATION = 200


@pytest.fixture
def stage() -> Stage:
    listed = {**UNDERLYINGS, ETH: replace(UNDERLYINGS[ETH], second=DEVIATION)}
    stage = Stage(underlyings=listed)
    stage.fund("owner", 30_000)
    stage.fund("counterparty", 1_000_000)
    stage.trade("owner", "counterparty", {ETH: 100})
    return stage


def spike(stage: Stage, first: int, second: int) -> None:
    stage.marks[ETH] = wad(first)
    stage.set_price(ETH, wad(first), second=wad(second))


def test_a_spike_of_one_source_liquidates_nobody(stage: Stage) -> None:
    account = stage.account("owner")
    spike(stage, 1_500, 2_000)
    assert not stage.margin(account).is_healthy, "at the first source alone it is insolvent"
    stage.observe(ETH)
    price = stage.engine.call.price(ETH)
    assert (price.index, price.status) == (wad(2_000), PriceStatus.DEVIATING)
    margin = stage.margin(account)
    assert margin.is_healthy
    with stage.evm.reverts(
        "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        stage.house.flag(account)


def test_the_flag_itself_asks_the_second_source(stage: Stage) -> None:
    """Nobody observed before: the flag does, in the same transaction."""
    account = stage.account("owner")
    spike(stage, 1_500, 2_000)
    with stage.evm.reverts("AccountHealthy", account=account):
        stage.house.flag(account)


def test_a_spike_gives_no_credit(stage: Stage) -> None:
    account = stage.account("owner")
    spike(stage, 2_500, 2_000)
    stage.observe(ETH)
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)
    with stage.evm.reverts("PriceNotOk", model.perpetual(ETH), PriceStatus.DEVIATING):
        stage.trade("owner", "counterparty", {ETH: 1}, price=2_500)


def test_a_spike_before_it_is_observed_is_not_borrowed_against(stage: Stage) -> None:
    """The live price is the first source's; initial margin still counts the stable one."""
    account = stage.account("owner")
    before = stage.margin(account)
    spike(stage, 2_500, 2_000)
    after = stage.margin(account)
    assert after.equity == before.equity + 100 * wad(500)
    assert after.initial_equity == before.initial_equity


@pytest.mark.parametrize(
    ("second", "status"),
    [(1_961, PriceStatus.OK), (1_960, PriceStatus.OK), (1_959, PriceStatus.DEVIATING)],
)
def test_the_bound_includes_equality(stage: Stage, second: int, status: PriceStatus) -> None:
    spike(stage, 2_000, second)
    stage.observe(ETH)
    assert stage.engine.call.price(ETH).status == status


def test_agreement_restores_the_price(stage: Stage) -> None:
    spike(stage, 1_500, 2_000)
    stage.observe(ETH)
    spike(stage, 1_990, 1_995)
    stage.observe(ETH)
    price = stage.engine.call.price(ETH)
    assert (price.index, price.status) == (wad(1_990), PriceStatus.OK)
    stage.margin(stage.account("owner"))


def test_one_source_alone_is_unconfirmed(stage: Stage) -> None:
    """The price is that one's, and doubtful until both answer."""
    account = stage.account("owner")
    second = stage.underlyings[ETH].second_feed
    assert second is not None
    second.break_down()
    stage.underlyings[ETH].feed.set(wad(1_900), stage.now)
    stage.observe(ETH)
    price = stage.engine.call.price(ETH)
    assert (price.index, price.status) == (wad(1_900), PriceStatus.UNCONFIRMED)
    with stage.evm.reverts("DoubtfulPrice", account):
        stage.withdraw(account, CASH, 1)
    second.mend()
    second.set(wad(1_900), stage.now)
    stage.observe(ETH)
    assert stage.engine.call.price(ETH).status == PriceStatus.OK

"""A hedged account survives what kills each of its legs.

The same positions, together and apart: long bitcoin and short ether in one account, each in an
account of its own with its share of the cash, at their margins. The market moves by more than
either leg can bear; the pair loses what they part by. A hedge in one underlying loses nothing.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from tests.scenarios.stage import ALT, BTC, ETH, WETH, Stage, wad

COINS, ETHERS = 2, 50


@pytest.fixture
def stage() -> Stage:
    """A hundred thousand dollars of bitcoin against a hundred thousand of ether."""
    stage = Stage()
    stage.fund("maker", 10_000_000)
    stage.fund("pair", 14_000)
    stage.fund("long", 14_000)
    stage.fund("short", 14_000)
    stage.trade("pair", "maker", {BTC: COINS, ETH: -ETHERS})
    stage.trade("long", "maker", {BTC: COINS})
    stage.trade("maker", "short", {ETH: ETHERS})
    return stage


def healthy(stage: Stage) -> dict[str, bool]:
    return {
        name: stage.margin(stage.account(name)).is_healthy for name in ("pair", "long", "short")
    }


def test_the_pair_needs_two_fifths_of_its_legs(stage: Stage) -> None:
    """At a window of 1.2 states: the scan of the pair is 1.2 / 3 of that of both legs."""
    legs = [
        model.breakdown(stage.portfolio(stage.account(name)), stage.inputs()).maintenance
        for name in ("long", "short")
    ]
    pair = model.breakdown(stage.portfolio(stage.account("pair")), stage.inputs()).maintenance
    stage.margin(stage.account("pair"))
    assert [leg.scan for leg in legs] == [wad(10_000), wad(10_000)]
    assert pair.scan == wad(20_000) * 120 // 300
    assert pair.position_charge == sum(leg.position_charge for leg in legs)


@pytest.mark.parametrize(
    ("bitcoin", "ether", "dead"),
    [(47_000, 1_880, "long"), (53_000, 2_120, "short")],
)
def test_the_pair_survives_what_kills_a_leg(
    stage: Stage, bitcoin: int, ether: int, dead: str
) -> None:
    equity = stage.margin(stage.account("pair")).equity
    stage.move({BTC: bitcoin, ETH: ether})
    assert healthy(stage) == {name: name != dead for name in ("pair", "long", "short")}
    assert stage.margin(stage.account("pair")).equity == equity
    margin = stage.margin(stage.account("pair"))
    with stage.evm.reverts(
        "AccountHealthy",
        stage.account("pair"),
        margin.maintenance_equity,
        margin.maintenance_margin,
    ):
        stage.look(stage.account("pair"))
    stage.start_auction(stage.account(dead))


def test_the_pair_dies_of_parting(stage: Stage) -> None:
    """The honest side of it: legs that part further than the window kill the pair, and no leg."""
    stage.fund("long", 6_000)
    stage.fund("short", 6_000)
    stage.move({BTC: 47_400, ETH: 2_080})
    assert healthy(stage) == {"pair": False, "long": True, "short": True}


def test_a_slice_keeps_the_hedge_whole(stage: Stage) -> None:
    """Liquidation takes a share of everything: what remains is as hedged as before."""
    stage.fund("bidder", 1_000_000)
    account = stage.account("pair")
    stage.move({BTC: 47_400, ETH: 2_080})
    stage.start_auction(account)
    stage.pass_time(60)
    before, held = stage.margin(account), stage.portfolio(account)
    (taken,) = stage.bid("bidder", account).events("SliceTaken")
    after, left = stage.margin(account), stage.portfolio(account)
    fraction = model.f_max(before, model.phi(60), 12_500, wad(10))
    assert taken.fraction == fraction
    for was, now in zip(held.positions, left.positions, strict=True):
        assert now.size == was.size - was.size * fraction // wad(1)
    assert after.maintenance_equity * before.maintenance_margin >= (
        before.maintenance_equity * after.maintenance_margin
    )
    assert after.maintenance_equity >= model.ceil_div(12_500 * after.maintenance_margin, 10_000)


def test_a_hedge_in_one_underlying_loses_nothing(stage: Stage) -> None:
    """Ether collateral against a short perpetual: the hedge removes the haircut."""
    account = stage.deposit("holder", WETH, wad(50))
    alone = model.breakdown(stage.portfolio(account), stage.inputs())
    stage.trade("maker", "holder", {ETH: ETHERS})
    hedged = model.breakdown(stage.portfolio(account), stage.inputs())
    stage.margin(account)
    assert (alone.maintenance.scan, hedged.maintenance.scan) == (wad(10_000), 0)
    assert alone.maintenance.collateral_charge == hedged.maintenance.collateral_charge
    for price in (20, 200, 4_000, 20_000):
        stage.move({ETH: price})
        margin = stage.margin(account)
        assert margin.equity == wad(100_000)
        assert margin.is_healthy == (price <= 20_000)


def test_an_unrelated_leg_is_charged_in_full(stage: Stage) -> None:
    """Same direction adds up; nothing is netted that does not hedge."""
    account = stage.fund("both", 100_000)
    stage.trade("both", "maker", {ETH: 10, ALT: 2_000})
    parts = model.breakdown(stage.portfolio(account), stage.inputs()).maintenance
    stage.margin(account)
    assert parts.scan == wad(4_000)

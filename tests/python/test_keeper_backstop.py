"""What a keeper does for the backstop."""

from __future__ import annotations

import pytest

from plimsoll.keeper.backstop import (
    BackstopBid,
    BackstopLimits,
    BackstopSeen,
    Offer,
    SettleEpoch,
    Spare,
    Sweep,
    tend,
)
from plimsoll.keeper.decide import Limits, PlaceBid, Seen, Snapshot, State, decide

WAD = 10**18
FIRST, SECOND, THIRD = (bytes([n]) * 32 for n in (1, 2, 3))
LIMITS = BackstopLimits(bid_gas=100, sweep_gas=10, least_gain=5)


def done(seen: BackstopSeen, *taken: bytes, price: int = 1) -> list[object]:
    return list(tend(seen, taken, LIMITS, lambda gas: gas * price))


def test_nothing_to_do() -> None:
    assert done(BackstopSeen()) == []


def test_sweeps_then_bids_then_settles() -> None:
    seen = BackstopSeen((Offer(FIRST, 1_000),), (Spare(SECOND, 1_000, frees=False),), settles=True)
    assert done(seen) == [Sweep(SECOND), BackstopBid(FIRST), SettleEpoch()]


def test_the_best_first() -> None:
    offers = Offer(SECOND, 500), Offer(FIRST, 500), Offer(THIRD, 501)
    assert done(BackstopSeen(offers)) == [BackstopBid(one) for one in (THIRD, FIRST, SECOND)]
    spare = Spare(FIRST, 20, frees=False), Spare(SECOND, 30, frees=False), Spare(THIRD, 1, True)
    assert done(BackstopSeen(spare=spare)) == [Sweep(one) for one in (THIRD, SECOND, FIRST)]


@pytest.mark.parametrize(("pay", "bids"), [(104, False), (105, True)])
def test_bids_where_the_holders_get_more_than_the_gas(pay: int, bids: bool) -> None:
    assert done(BackstopSeen((Offer(FIRST, pay),))) == [BackstopBid(FIRST)] * bids
    assert done(BackstopSeen((Offer(FIRST, pay),)), price=2) == []


@pytest.mark.parametrize(("amount", "sweeps"), [(14, False), (15, True)])
def test_sweeps_what_is_worth_the_gas(amount: int, sweeps: bool) -> None:
    assert done(BackstopSeen(spare=(Spare(FIRST, amount, False),))) == [Sweep(FIRST)] * sweeps


def test_frees_a_place_whatever_it_costs() -> None:
    assert done(BackstopSeen(spare=(Spare(FIRST, 0, frees=True),))) == [Sweep(FIRST)]


def test_leaves_the_backstop_alone_where_it_bids_itself() -> None:
    seen = BackstopSeen((Offer(FIRST, 1_000), Offer(SECOND, 1_000)))
    assert done(seen, FIRST) == [BackstopBid(SECOND)]


def snapshot(backstop: BackstopSeen | None, **changes: int) -> Snapshot:
    """An account deep in its auction, and nobody of the keeper's to bid with."""
    seen = Seen(
        account=FIRST,
        equity=50 * WAD,
        initial_equity=50 * WAD,
        maintenance=100 * WAD,
        initial=125 * WAD,
        doubtful=False,
        state=State.RUNNING,
        observed_at=0,
        depth=6_000,
        version=1,
        fraction=WAD,
        gross=1_000 * WAD,
        items=2,
        only_debt=False,
    )
    terms = {"gas_price": 10**9, "gas_spent": 0, **changes}
    return Snapshot(
        block=1,
        time=1_000,
        native_price=2_000 * WAD,
        initial_factor=12_500,
        payout_cap=10**6 * WAD,
        paused=False,
        bidder=None,
        accounts=(seen,),
        backstop=backstop,
        **terms,
    )


def test_is_part_of_the_plan() -> None:
    offered = BackstopSeen((Offer(FIRST, 60 * WAD),), settles=True)
    assert decide(snapshot(offered), Limits()).actions == [BackstopBid(FIRST), SettleEpoch()]
    assert decide(snapshot(None), Limits()).actions == []


def test_keeps_to_the_limits_of_the_keeper() -> None:
    offered = BackstopSeen((Offer(FIRST, 60 * WAD),), settles=True)
    assert decide(snapshot(offered, gas_price=10**12), Limits()).actions == []
    assert decide(snapshot(offered, gas_spent=10**5 * WAD), Limits()).actions == []
    dear = decide(snapshot(offered, gas_price=100 * 10**9), Limits())
    assert dear.actions == [SettleEpoch()]
    assert not any(isinstance(one, PlaceBid) for one in dear.actions)

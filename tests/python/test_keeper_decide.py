"""The keeper's decisions, on snapshots written by hand and on generated ones."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.keeper.decide import (
    BPS,
    WAD,
    Capacity,
    Flag,
    Limits,
    Passed,
    PlaceBid,
    Reset,
    Seen,
    Snapshot,
    StandStill,
    State,
    WriteOff,
    decide,
    gas_cost,
)

TARGET, OTHER, BIDDER = (bytes([n]) * 32 for n in (1, 2, 9))
NO_COSTS = Limits(unwind=0, least_profit=0, look_gas=0, bid_gas=0, item_gas=0)


def dollars(amount: int) -> int:
    return amount * WAD


@pytest.fixture
def seen() -> Seen:
    """$100,000 gross, at 80 % of its maintenance margin, auctioned at a depth of 5 %."""
    return Seen(
        account=TARGET,
        equity=dollars(4_000),
        initial_equity=dollars(4_000),
        maintenance=dollars(5_000),
        initial=dollars(6_250),
        doubtful=False,
        state=State.RUNNING,
        observed_at=1_000,
        depth=500,
        version=3,
        fraction=WAD * 45 // 120,
        gross=dollars(100_000),
        items=3,
        only_debt=False,
    )


@pytest.fixture
def snapshot(seen: Seen) -> Snapshot:
    return Snapshot(
        block=10,
        time=2_000,
        gas_price=10**9,
        native_price=dollars(2_500),
        gas_spent=0,
        initial_factor=12_500,
        payout_cap=dollars(1_000_000),
        paused=False,
        bidder=Capacity(account=BIDDER, free=dollars(1_000_000), gross=0),
        accounts=(seen,),
    )


def actions(snapshot: Snapshot, limits: Limits = NO_COSTS) -> list:
    return decide(snapshot, limits).actions


def only_pass(snapshot: Snapshot, limits: Limits = NO_COSTS) -> str:
    """The reason for which the one account was left alone."""
    plan = decide(snapshot, limits)
    assert plan.actions == []
    (passed,) = plan.passed
    assert isinstance(passed, Passed)
    return passed.reason


def with_account(snapshot: Snapshot, seen: Seen, **changes) -> Snapshot:
    return replace(snapshot, accounts=(replace(seen, **changes),))


def test_bids_for_the_largest_slice(snapshot, seen):
    (bid,) = actions(snapshot)
    assert bid == PlaceBid(
        account=TARGET,
        bidder=BIDDER,
        fraction=seen.fraction,
        # 37.5 % of (4,000 - 5 % of 5,000), and 20 bps of 37.5 % of 100,000.
        max_price=WAD * 37_500 * 3_750 // 100_000 + dollars(75),
        deadline=2_060,
        version=3,
        # 37.5 % of 5 % of 5,000.
        profit=WAD * 9_375 // 100,
    )


def test_counts_gas_and_unwinding(snapshot):
    limits = replace(NO_COSTS, unwind=10, bid_gas=100_000, item_gas=100_000)
    (bid,) = actions(snapshot, limits)
    # 400,000 gas at 1 gwei cost a dollar; 10 bps of $37,500 are $37.50.
    assert gas_cost(snapshot, 400_000) == dollars(1)
    assert bid.profit == WAD * 9_375 // 100 - WAD * 375 // 10 - dollars(1)


@pytest.mark.parametrize(
    ("least", "bids"), [(WAD * 9_375 // 100, True), (WAD * 9_375 // 100 + 1, False)]
)
def test_bids_from_the_least_profit_on(snapshot, least, bids):
    assert bool(actions(snapshot, replace(NO_COSTS, least_profit=least))) is bids


def test_waits_for_depth(snapshot, seen):
    early = with_account(snapshot, seen, depth=200)
    limits = replace(NO_COSTS, unwind=12)
    assert only_pass(early, limits) == "not worth it at a depth of 200 bps"
    assert len(actions(with_account(snapshot, seen, depth=300), limits)) == 1


@pytest.mark.parametrize(
    ("limits", "fraction"),
    [
        (replace(NO_COSTS, slice_gross=dollars(10_000)), WAD // 10),
        (replace(NO_COSTS, total_gross=dollars(20_000)), WAD // 5),
    ],
)
def test_stays_inside_its_limits(snapshot, limits, fraction):
    (bid,) = actions(snapshot, limits)
    assert bid.fraction == fraction


def test_uses_no_more_free_collateral_than_allowed(snapshot, seen):
    # The whole account would use 6,250 - 4,000 + 3,750 = 6,000.
    poor = replace(snapshot, bidder=Capacity(BIDDER, free=dollars(1_500), gross=0))
    (bid,) = actions(poor, replace(NO_COSTS, free_share=8_000))
    assert bid.fraction == WAD // 5


def test_splits_its_room_between_accounts(snapshot, seen):
    twin = replace(seen, account=OTHER, depth=600)
    both = replace(snapshot, accounts=(seen, twin))
    first, second = actions(both, replace(NO_COSTS, total_gross=dollars(50_000)))
    assert (first.account, first.fraction) == (OTHER, WAD * 375 // 1_000)
    assert (second.account, second.fraction) == (TARGET, WAD * 125 // 1_000)


@pytest.mark.parametrize("free", [0, -dollars(1)])
def test_without_free_collateral_it_does_not_bid(snapshot, free):
    poor = replace(snapshot, bidder=Capacity(BIDDER, free=free, gross=0))
    assert only_pass(poor) == "no room inside the limits"


def test_without_an_account_it_does_not_bid(snapshot):
    assert only_pass(replace(snapshot, bidder=None)) == "no account to bid with"


def test_asks_no_more_than_the_payout_cap(snapshot, seen):
    under = with_account(
        snapshot, seen, equity=-dollars(1_750), initial_equity=-dollars(1_750), fraction=WAD
    )
    (bid,) = actions(replace(under, payout_cap=dollars(500)))
    assert bid.fraction == WAD // 4
    assert under.accounts[0].price(bid.fraction) == -dollars(500)


def test_takes_no_payout_at_a_doubtful_price(snapshot, seen):
    under = with_account(snapshot, seen, equity=-dollars(1), doubtful=True)
    # A doubtful price halts the auction rather than being bid on.
    assert actions(under) == [StandStill(TARGET)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": State.NONE}, [Flag(TARGET)]),
        ({"state": State.OBSERVED, "observed_at": 1_988}, [Flag(TARGET)]),
        ({"state": State.HALTED}, [Flag(TARGET)]),
        ({"state": State.STANDING}, [Flag(TARGET)]),
        ({"state": State.NONE, "equity": dollars(5_000)}, []),
        ({"state": State.OBSERVED, "equity": dollars(5_000)}, []),
        ({"state": State.RUNNING, "equity": dollars(5_000)}, [StandStill(TARGET)]),
        ({"state": State.STANDING, "equity": dollars(6_249)}, []),
        ({"state": State.RUNNING, "equity": dollars(6_250)}, [Reset(TARGET)]),
        ({"state": State.STANDING, "equity": dollars(6_250)}, [Reset(TARGET)]),
        ({"state": State.HALTED, "equity": dollars(6_250)}, [Reset(TARGET)]),
        ({"state": State.HALTED, "equity": dollars(5_000)}, [StandStill(TARGET)]),
        ({"state": State.HALTED, "equity": dollars(9_000), "doubtful": True}, []),
        (
            {"state": State.RUNNING, "equity": dollars(9_000), "doubtful": True},
            [StandStill(TARGET)],
        ),
        ({"state": State.RUNNING, "doubtful": True}, [StandStill(TARGET)]),
        ({"only_debt": True, "equity": -dollars(1), "maintenance": 0}, [WriteOff(TARGET)]),
    ],
)
def test_moves_an_auction_along(snapshot, seen, changes, expected):
    assert actions(with_account(snapshot, seen, **changes)) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": State.OBSERVED, "observed_at": 1_989}, "second look from 2001"),
        ({"state": State.NONE, "doubtful": True}, "a price is doubtful"),
        ({"state": State.HALTED, "doubtful": True}, "a price is doubtful"),
        ({"state": State.RUNNING, "fraction": 0}, "nothing to take"),
    ],
)
def test_leaves_alone_with_a_reason(snapshot, seen, changes, reason):
    assert only_pass(with_account(snapshot, seen, **changes)) == reason


def test_flags_only_what_can_pay_for_its_gas(snapshot, seen):
    limits = Limits(look_gas=200_000, bid_gas=300_000, item_gas=100_000, least_profit=dollars(1))
    # Two looks and a bid: a million gas, $2.50 at 1 gwei.
    least = dollars(1) + WAD * 5 // 2
    poor = with_account(snapshot, seen, state=State.NONE, equity=0, maintenance=least - 1)
    assert only_pass(poor, limits) == "its whole auction cannot pay for the gas"
    enough = with_account(snapshot, seen, state=State.NONE, equity=0, maintenance=least)
    assert actions(enough, limits) == [Flag(TARGET)]


@pytest.mark.parametrize(
    ("changes", "limits", "reason"),
    [
        ({"paused": True}, NO_COSTS, "liquidation is paused"),
        (
            {"gas_price": 10**9 + 1},
            replace(NO_COSTS, gas_price_ceiling=10**9),
            "gas is above the ceiling",
        ),
        (
            {"gas_spent": dollars(7)},
            replace(NO_COSTS, gas_budget=dollars(7)),
            "the gas budget is spent",
        ),
    ],
)
def test_sends_nothing_when_it_must_not(snapshot, changes, limits, reason):
    assert only_pass(replace(snapshot, **changes), limits) == reason


@st.composite
def books(draw) -> tuple[Snapshot, Limits]:
    """Accounts in every state and of every depth, before a bidder of any means."""
    accounts = []
    for number in range(draw(st.integers(1, 6))):
        maintenance = draw(st.integers(1, 10**7)) * draw(st.sampled_from((1, WAD // 10**3, WAD)))
        equity = maintenance * draw(st.integers(-20_000, 20_000)) // BPS
        accounts.append(
            Seen(
                account=bytes([number]) * 32,
                equity=equity,
                initial_equity=equity - draw(st.integers(0, maintenance)),
                maintenance=maintenance,
                initial=maintenance * draw(st.integers(12_500, 40_000)) // BPS,
                doubtful=draw(st.booleans()),
                state=draw(st.sampled_from(State)),
                observed_at=draw(st.integers(0, 2_000)),
                depth=draw(st.integers(200, 11_500)),
                version=draw(st.integers(0, 65_535)),
                fraction=draw(st.integers(0, WAD)),
                gross=maintenance * draw(st.integers(1, 100)),
                items=draw(st.integers(0, 30)),
                only_debt=draw(st.booleans()),
            )
        )
    snapshot = Snapshot(
        block=1,
        time=2_000,
        gas_price=draw(st.integers(0, 10**11)),
        native_price=draw(st.integers(0, 10**4)) * WAD,
        gas_spent=0,
        initial_factor=12_500,
        payout_cap=draw(st.integers(0, 10**6)) * WAD,
        paused=draw(st.booleans()),
        bidder=Capacity(
            BIDDER, draw(st.integers(-(10**7), 10**7)) * WAD, draw(st.integers(0, 10**6)) * WAD
        ),
        accounts=tuple(accounts),
    )
    limits = Limits(
        slice_gross=draw(st.integers(1, 10**7)) * WAD,
        total_gross=draw(st.integers(1, 10**7)) * WAD,
        free_share=draw(st.integers(0, BPS)),
        unwind=draw(st.integers(0, 100)),
    )
    return snapshot, limits


@given(books())
def test_every_account_gets_one_answer_and_no_limit_is_passed(book):
    snapshot, limits = book
    plan = decide(snapshot, limits)
    answered = [each.account for each in (*plan.actions, *plan.passed)]
    assert len(answered) == len(set(answered))
    by_account = {seen.account: seen for seen in snapshot.accounts}
    bids = [action for action in plan.actions if isinstance(action, PlaceBid)]
    taken = 0
    for bid in bids:
        seen = by_account[bid.account]
        assert seen.state is State.RUNNING
        assert not seen.healthy
        assert not seen.doubtful
        assert 0 < bid.fraction <= seen.fraction
        assert bid.profit >= limits.least_profit
        assert bid.max_price >= seen.price(bid.fraction)
        assert -seen.price(bid.fraction) <= snapshot.payout_cap
        gross = -(-bid.fraction * seen.gross // WAD)
        assert gross <= limits.slice_gross
        taken += gross
    if bids:
        assert snapshot.bidder.free > 0
        assert snapshot.bidder.gross + taken <= limits.total_gross
    assert decide(snapshot, limits) == plan

"""The keeper against the contracts: what it reads, what it sends, and what stops it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.chain import Chain
from plimsoll.keeper.act import Keeper, Report
from plimsoll.keeper.decide import WAD, Flag, Limits, PlaceBid, Reset, StandStill, State
from plimsoll.keeper.discover import Directory
from plimsoll.protocol import Account, Delegation
from plimsoll.records import AuctionState
from tests.evm import actor
from tests.python.evm_rpc import EvmProvider
from tests.unit.lens_house import House

LIMITS = Limits(unwind=5, least_profit=0)
TICK = 15


class Listed(Directory):
    """A directory that was told its accounts: the test chain keeps no logs."""

    def catch_up(self, head: int) -> None:
        self.read_to = head


@pytest.fixture(scope="module")
def built() -> House:
    house = House()
    house.wait(1_800)
    return house


@pytest.fixture
def house(built: House):
    with built.evm.anchored():
        yield built


@pytest.fixture
def maker(house: House) -> Account:
    return house.person("maker", USD=1_000_000)


@pytest.fixture
def bull(house: House, maker: Account) -> Account:
    """Long five ether on a thousand dollars; below maintenance from about $1,900."""
    account = house.person("bull", USD=1_000)
    house.trade(account, maker, "ETH", 5)
    return account


@pytest.fixture
def keeper(house: House, bull: Account) -> Keeper:
    return keeper_of(house, house.person("liquidator", USD=500_000), bull)


def keeper_of(house: House, bidder: Account, *known: Account, signer=None, **changes) -> Keeper:
    chain = Chain(house.w3, house.addresses, actor("liquidator") if signer is None else signer)
    directory = Listed(chain, 0, known={account.id.encode() for account in known})
    return Keeper(chain, directory, bidder.id, **{"limits": LIMITS, **changes})


def pass_ticks(house: House, keeper: Keeper, ticks: int) -> list[Report]:
    """A pass of the keeper every tick."""
    reports = []
    for _ in range(ticks):
        reports.append(keeper.step())
        house.terms.warp(TICK)
    return reports


def sent(report: Report) -> list[type]:
    return [type(each.action) for each in report.outcomes if each.receipt is not None]


def test_a_healthy_account_is_left_alone(keeper: Keeper):
    report = keeper.step()
    assert (report.outcomes, report.passed, report.in_need) == ((), (), 0)
    assert report.accounts == 1


def test_flags_twice_and_bids_until_the_account_is_restored(
    house: House, keeper: Keeper, bull: Account
):
    house.set_price("ETH", 1_880)
    before = bull.margin()
    assert not before.healthy
    reports = pass_ticks(house, keeper, 12)
    assert [sent(report) for report in reports[:2]] == [[Flag], [Flag]]
    bids = [
        each for report in reports for each in report.outcomes if isinstance(each.action, PlaceBid)
    ]
    assert bids
    assert all(each.receipt is not None for each in bids)
    assert bull.margin().healthy
    assert reports[-1].in_need == 0
    taken = bids[0].receipt.one("SliceTaken").args
    assert taken["bidder"] == keeper.bidder.encode()
    assert taken["price"] <= bids[0].action.max_price
    # What it took is what the bull lost.
    size = Account(keeper.chain, keeper.bidder).portfolio().size(house.market("ETH").instrument)
    assert size == 5 - bull.portfolio().size(house.market("ETH").instrument) > 0


def test_earns_at_least_what_it_expected_before_gas(house: House, keeper: Keeper, bull: Account):
    desk = Account(keeper.chain, keeper.bidder)
    house.set_price("ETH", 1_880)
    earned = desk.margin().equity
    for report in pass_ticks(house, keeper, 12):
        bids = [each for each in report.outcomes if isinstance(each.action, PlaceBid)]
        if bids:
            break
    earned = desk.margin().equity - earned
    assert earned * WAD >= bids[0].action.profit


def test_counts_the_gas_it_spends(house: House, keeper: Keeper):
    house.set_price("ETH", 1_880)
    (report,) = pass_ticks(house, keeper, 1)
    (flagged,) = report.outcomes
    assert keeper.gas_spent == flagged.receipt.gas_used * 10**9 * keeper.native_price // WAD
    assert report.gas_spent == keeper.gas_spent > 0


def test_stops_when_its_gas_budget_is_spent(house: House, keeper: Keeper):
    keeper.limits = replace(LIMITS, gas_budget=1)
    house.set_price("ETH", 1_880)
    first, second = pass_ticks(house, keeper, 2)
    assert sent(first) == [Flag]
    assert sent(second) == []
    assert second.passed[0].reason == "the gas budget is spent"


def test_takes_the_price_of_gas_from_the_chain(house: House, keeper: Keeper):
    keeper.native_underlying = house.addresses.underlyings["ETH"]
    assert keeper.look().native_price == 2_000 * WAD


def test_on_paper_it_says_and_sends_nothing(house: House, bull: Account):
    house.set_price("ETH", 1_880)
    desk = house.person("liquidator", USD=500_000)
    keeper = keeper_of(house, desk, bull)
    keeper.chain.signer = None
    provider = house.w3.provider
    assert isinstance(provider, EvmProvider)
    before = provider.sent
    report = keeper.step()
    assert provider.sent == before
    assert report.paper
    assert [type(each.action) for each in report.outcomes] == [Flag]
    assert report.metrics()["sent"] == 0


def test_bids_for_a_desk_whose_delegate_it_is(house: House, bull: Account):
    desk = house.person("desk", USD=500_000)
    keeper = keeper_of(house, desk, bull, signer=actor("delegate"))
    house.set_price("ETH", 1_880)
    refused = pass_ticks(house, keeper, 6)[-1]
    assert "NotAuthorised" in refused.outcomes[0].refusal
    desk.set_delegate(actor("delegate").address, Delegation.build(may_bid=True))
    pass_ticks(house, keeper, 12)
    assert desk.portfolio().size(house.market("ETH").instrument) > 0
    assert bull.margin().healthy


def test_one_that_comes_too_late_is_refused_by_name(house: House, keeper: Keeper, bull: Account):
    house.set_price("ETH", 1_880)
    while not any(isinstance(o.action, PlaceBid) for o in keeper_plan(keeper)):
        pass_ticks(house, keeper, 1)
    snapshot = keeper.look()
    rival = house.person("rival", USD=500_000)
    version = bull.version()
    house.seen_by(actor("rival")).account(bull.id).auction.bid(
        rival, 10_000, fraction="0.1", version=version
    )
    (outcome,) = keeper.act(snapshot).outcomes
    assert outcome.receipt is None
    assert "VersionChanged" in outcome.refusal
    assert outcome.to_json()["refused"] == outcome.refusal


def keeper_plan(keeper: Keeper):
    """What it would do now, without doing it."""
    signer, keeper.chain.signer = keeper.chain.signer, None
    try:
        return keeper.step().outcomes
    finally:
        keeper.chain.signer = signer


def test_two_keepers_do_not_harm_each_other(house: House, keeper: Keeper, bull: Account):
    second = keeper_of(house, house.person("rival", USD=500_000), bull, signer=actor("rival"))
    house.set_price("ETH", 1_880)
    for _ in range(12):
        keeper.step()
        second.step()
        house.terms.warp(TICK)
    assert bull.margin().healthy


def test_a_restarted_keeper_goes_on(house: House, keeper: Keeper, bull: Account):
    house.set_price("ETH", 1_880)
    for _ in range(12):
        fresh = keeper_of(house, Account(keeper.chain, keeper.bidder), bull)
        pass_ticks(house, fresh, 1)
    assert bull.margin().healthy


def test_stands_still_and_resets(house: House, keeper: Keeper, bull: Account):
    keeper.limits = replace(LIMITS, least_profit=10**9 * WAD, look_gas=0, bid_gas=0, item_gas=0)
    # Only the look at what a flag may earn is out of the way: nothing is ever bid.
    house.set_price("ETH", 1_880)
    for _ in range(2):
        house.seen_by(actor("rival")).account(bull.id).auction.flag()
        house.terms.warp(TICK)
    keeper.directory.watched.add(bull.id.encode())
    assert keeper.look().accounts[0].state is State.RUNNING
    price = 1_881
    while not bull.margin().healthy:
        house.set_price("ETH", price := price + 1)
    assert sent(keeper.step()) == [StandStill]
    assert bull.auction.clock()[0].state is AuctionState.STANDING
    house.set_price("ETH", 2_000)
    assert sent(keeper.step()) == [Reset]
    assert bull.auction.clock()[0].state is AuctionState.NONE
    keeper.step()
    assert keeper.directory.watched == set()


def test_counts_gross_without_netting(house: House, maker: Account):
    hedged = house.person("hedger", WETH=5, WBTC=1)
    house.trade(maker, hedged, "ETH", 4)
    keeper = keeper_of(house, hedged)
    # 5 ether and 4 sold at 2,000; a bitcoin at 50,000.
    assert keeper.look().bidder.gross == 68_000 * WAD


def test_does_not_bid_on_itself(house: House, bull: Account):
    house.set_price("ETH", 1_880)
    keeper = keeper_of(house, bull, bull, signer=actor("bull"))
    report = keeper.step()
    assert (report.outcomes, report.in_need) == ((), 0)


def test_does_nothing_while_liquidation_is_paused(house: House, keeper: Keeper):
    house.set_price("ETH", 1_880)
    house.contract.setPause(1 << 3, 0)
    report = keeper.step()
    assert report.outcomes == ()
    assert [passed.reason for passed in report.passed] == ["liquidation is paused"]

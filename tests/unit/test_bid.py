"""`bid`: a slice of an unhealthy account changes hands at the auction's price."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import RAY, AuctionState
from plimsoll.risk.model import BPS, WAD, Holding, Margin, Portfolio, Position, ceil_div
from tests.evm import Receipt
from tests.scenarios.stage import (
    ALT,
    BTC,
    CASH,
    ETH,
    GLOBALS,
    NO_LIMIT,
    WBTC,
    WETH,
    Stage,
    wad,
)
from tests.unit.books import ASSETS, LIQUIDATION, MARKETS, Event, emitted, happened, refuses

RUN = 60
TENTH = WAD // 10
LITTLE = WAD // 10_000


@pytest.fixture
def sold(stage: Stage) -> Stage:
    """An account with cash, two kinds of collateral and two positions, a minute in its auction."""
    return fall(stage)


def fall(stage: Stage, price: int = 1_930) -> Stage:
    stage.fund("maker", 10_000_000)
    stage.fund("owner", 26_000)
    stage.deposit("owner", WETH, 123_456_789_012_345_678)
    stage.deposit("owner", WBTC, 1_234_567)
    stage.trade("owner", "maker", {ETH: 100})
    stage.trade("maker", "owner", {ALT: 7})
    stage.move({ETH: price})
    stage.start_auction(stage.account("owner"))
    stage.pass_time(RUN)
    stage.fund("bidder", 1_000_000)
    return stage


def ruin(stage: Stage) -> Stage:
    """The same account after a gap: its equity is negative."""
    return fall(stage, 1_700)


def margin_of(stage: Stage) -> Margin:
    return stage.margin(stage.account("owner"))


def expected(stage: Stage, wanted: int = WAD, *, elapsed: int = RUN) -> tuple[int, int, int]:
    """Fraction, price and depth, by the twin."""
    margin, depth = margin_of(stage), model.phi(elapsed)
    factors = stage.engine.call.factors()
    most = model.f_max(margin, depth, factors.initialFactor, factors.dust)
    fraction = min(wanted, most)
    return fraction, model.bid_price(margin, fraction, depth), depth


def part(whole: int, fraction: int) -> int:
    """What the bidder gets of it: rounded down, whatever its sign."""
    return whole * fraction // WAD


def slice_of(held: Portfolio, fraction: int) -> Portfolio:
    return Portfolio(
        part(held.cash, fraction),
        tuple(
            Holding(one.asset, part(one.amount, fraction))
            for one in held.collateral
            if part(one.amount, fraction)
        ),
        tuple(
            Position(one.instrument, part(one.size, fraction), part(one.quote, fraction))
            for one in held.positions
            if part(one.size, fraction)
        ),
    )


def rest_of(held: Portfolio, taken: Portfolio) -> Portfolio:
    left = [
        Position(one.instrument, one.size - gone.size, one.quote - gone.quote)
        for one in held.positions
        for gone in (taken.position(one.instrument),)
    ]
    return Portfolio(
        held.cash - taken.cash,
        tuple(Holding(one.asset, one.amount - taken.amount(one.asset)) for one in held.collateral),
        tuple(left),
    )


def position_changed(stage: Stage, who: str, one: Position) -> Event:
    return emitted(
        stage.house,
        "PositionChanged",
        account=stage.account(who),
        owner=stage.actor(who).address,
        instrument=one.instrument,
        size=one.size,
        quote=one.quote,
    )


def cash_moved(stage: Stage, who: str, change: int) -> Event:
    account, owner = stage.account(who), stage.actor(who).address
    return emitted(stage.house, "CashMoved", account=account, owner=owner, change=change)


def slice_taken(stage: Stage, fraction: int, price: int, payout: int, depth: int) -> Event:
    return emitted(
        stage.house,
        "SliceTaken",
        account=stage.account("owner"),
        bidder=stage.account("bidder"),
        fraction=fraction,
        price=price,
        payout=payout,
        depth=depth,
    )


def loss_booked(stage: Stage, reserves: int, suppliers: int, deficit: int) -> Event:
    return emitted(
        stage.house,
        "LossBooked",
        account=stage.account("owner"),
        fromReserves=reserves,
        fromSuppliers=suppliers,
        toDeficit=deficit,
    )


def auction_reset(stage: Stage) -> Event:
    account, owner = stage.account("owner"), stage.actor("owner").address
    return emitted(stage.house, "AuctionReset", account=account, owner=owner)


def opposite(who: Portfolio) -> Portfolio:
    """As the bidder holds it: his positions in the order in which he got them."""
    return replace(who, positions=tuple(reversed(who.positions)))


class TestSlice:
    @pytest.mark.parametrize("wanted", [1, WAD // 1_000 + 7, TENTH, WAD // 3])
    def test_of_everything_at_the_price_of_its_depth(self, sold: Stage, wanted: int) -> None:
        """Each part rounds down for the bidder, the price up."""
        stage = sold
        account, bidder = stage.account("owner"), stage.account("bidder")
        held, own = stage.portfolio(account), stage.portfolio(bidder)
        fraction, price, depth = expected(stage, wanted)
        assert price > 0 or wanted == 1
        taken = slice_of(held, fraction)
        versions = tuple(stage.house.call.versions(account))
        interest = {u: stage.house.call.openInterest(model.perpetual(u)) for u in (ETH, ALT)}
        receipt = stage.bid("bidder", account, wanted)
        assert tuple(receipt.value) == (fraction, price)
        left, now = stage.portfolio(account), stage.portfolio(bidder)
        got = replace(taken, cash=own.cash + taken.cash - price)
        assert now == (opposite(got) if taken.positions else got)
        rest = rest_of(held, taken)
        assert left == replace(rest, cash=rest.cash + price)
        moves = [
            position_changed(stage, who, one)
            for sold_, bought in zip(
                reversed(left.positions), reversed(taken.positions), strict=bool(taken.positions)
            )
            for who, one in (("owner", sold_), ("bidder", bought))
        ]
        moved = [
            cash_moved(stage, who, change)
            for who, change in (
                ("owner", price - taken.cash),
                ("bidder", taken.cash - price),
            )
            if change
        ]
        assert happened(receipt) == [
            *moves,
            *moved,
            slice_taken(stage, fraction, price, 0, depth),
        ]
        assert tuple(stage.house.call.versions(account)) == (versions[0], versions[1] + 1)
        assert tuple(stage.house.call.versions(bidder)) == (0, 1)
        for u in (ETH, ALT):
            assert stage.house.call.openInterest(model.perpetual(u)) == interest[u]
        claims = [stage.house.call.claims(asset) for asset in (WETH, WBTC)]
        assert claims == [held.amount(WETH), held.amount(WBTC)]
        assert stage.surplus([account, bidder, stage.account("maker")]) <= 2

    def test_is_cut_to_what_restores_the_account(self, sold: Stage) -> None:
        stage = sold
        account = stage.account("owner")
        fraction, price, _ = expected(stage)
        assert 0 < fraction < WAD
        assert tuple(stage.house.call.quoteBid(account, WAD))[:2] == (fraction, price)
        assert tuple(stage.bid("bidder", account).value) == (fraction, price)
        margin = margin_of(stage)
        target = ceil_div(
            stage.engine.call.factors().initialFactor * margin.maintenance_margin, BPS
        )
        assert margin.maintenance_equity >= target
        stage.house.reset(account)

    def test_that_leaves_the_auction_running(self, sold: Stage) -> None:
        stage = sold
        account = stage.account("owner")
        record = stage.house.call.auction(account)
        stage.bid("bidder", account, LITTLE)
        assert stage.house.call.auction(account) == record
        stage.bid("bidder", account, LITTLE)
        assert stage.house.call.auction(account) == record

    def test_adds_to_what_the_bidder_holds(self, sold: Stage) -> None:
        """A short of his own is netted: what reaches zero frees its quote, on his side."""
        stage = sold
        account = stage.account("owner")
        held = stage.portfolio(account)
        taken = slice_of(held, TENTH)
        eth = taken.position(model.perpetual(ETH))
        stage.trade("maker", "bidder", {ETH: eth.size // WAD})
        own = stage.position(stage.account("bidder"), ETH)
        assert own.size == -eth.size
        before = stage.house.call.pool()
        cash = stage.cash(stage.account("bidder"))
        fraction, price, _ = expected(stage, TENTH)
        assert fraction == TENTH
        receipt = stage.bid("bidder", account, TENTH)
        freed = own.quote + eth.quote
        assert stage.position(stage.account("bidder"), ETH).size == 0
        assert stage.cash(stage.account("bidder")) == cash + taken.cash + freed - price
        assert stage.house.call.pool().netQuote == before.netQuote - freed
        moved = [one.change for one in receipt.events("CashMoved")]
        assert moved == [price - taken.cash, taken.cash + freed - price]
        interest = stage.house.call.openInterest(model.perpetual(ETH))
        assert interest == wad(90)

    def test_of_dust_is_the_whole(self, stage: Stage) -> None:
        """Below ten dollars of maintenance margin nobody splits."""
        stage.fund("maker", 1_000)
        account = stage.fund("owner", 5)
        stage.trade("owner", "maker", {ALT: 3})
        stage.move({ALT: 9})
        stage.start_auction(account)
        stage.pass_time(RUN)
        stage.fund("bidder", 100)
        margin = margin_of(stage)
        assert margin.maintenance_margin < wad(GLOBALS.dust)
        held = stage.portfolio(account)
        fraction, price, depth = expected(stage)
        assert fraction == WAD
        receipt = stage.bid("bidder", account)
        gone = Position(model.perpetual(ALT), 0, 0)
        assert happened(receipt) == [
            position_changed(stage, "owner", gone),
            position_changed(stage, "bidder", held.positions[0]),
            cash_moved(stage, "owner", price - held.cash),
            cash_moved(stage, "bidder", held.cash - price),
            auction_reset(stage),
            slice_taken(stage, WAD, price, 0, depth),
        ]
        assert stage.portfolio(account) == Portfolio(price)
        assert stage.house.call.auction(account)[0].state == AuctionState.NONE

    @pytest.mark.parametrize("elapsed", [1, 599, 600, 601, 4_199, 4_200, 5_000])
    def test_gets_cheaper_with_the_clock(self, sold: Stage, elapsed: int) -> None:
        stage = sold
        account = stage.account("owner")
        record = stage.house.call.auction(account)[0]
        stage.evm.time = record.tickedAt + elapsed
        stage.report(stage.marks)
        fraction, price, depth = expected(stage, TENTH, elapsed=elapsed)
        (taken,) = stage.bid("bidder", account, TENTH).events("SliceTaken")
        assert (taken.fraction, taken.price, taken.depth) == (fraction, price, depth)


class TestWaterfall:
    """At a negative price the bidder is paid: by the reserves, the suppliers, and nobody."""

    def test_pays_from_the_reserves_first(self, stage: Stage) -> None:
        ruin(stage)
        account, bidder = stage.account("owner"), stage.account("bidder")
        held, own = stage.portfolio(account), stage.portfolio(bidder)
        pool = stage.house.call.pool()
        fraction, price, depth = expected(stage, TENTH)
        assert price < 0
        hole = ceil_div(-margin_of(stage).maintenance_equity, 10**12)
        left = ceil_div(hole * (WAD - fraction), WAD) * 10**12
        receipt = stage.bid("bidder", account, TENTH)
        taken, now = slice_of(held, fraction), stage.portfolio(bidder)
        assert now.cash == own.cash + taken.cash - price
        assert stage.cash(account) == held.cash - taken.cash
        names = [name for _, name, _ in happened(receipt)]
        assert happened(receipt)[0] == loss_booked(stage, -price, 0, 0)
        assert names[1:5] == ["PositionChanged"] * 4
        assert happened(receipt)[5:] == [
            cash_moved(stage, "owner", -taken.cash),
            cash_moved(stage, "bidder", taken.cash - price),
            emitted(stage.house, "ProvisionSet", account=account, amount=left),
            slice_taken(stage, fraction, price, -price, depth),
        ]
        after = stage.house.call.pool()
        assert after.reserves == pool.reserves + price
        assert (after.supplyIndex, after.deficit) == (RAY, 0)

    def test_then_from_every_supplier(self) -> None:
        stage = fall(poor_house(), 1_000)
        pool = stage.house.call.pool()
        _, price, _ = expected(stage, TENTH)
        loss = -price - pool.reserves
        assert loss > 0
        saved = stage.cash(stage.lender)
        receipt = stage.bid("bidder", stage.account("owner"), TENTH)
        assert happened(receipt)[0] == loss_booked(stage, pool.reserves, loss, 0)
        after = stage.house.call.pool()
        cut = ceil_div(loss * RAY, pool.supplied)
        assert (after.reserves, after.deficit) == (0, 0)
        assert after.supplyIndex == RAY - cut
        assert stage.cash(stage.lender) == saved * after.supplyIndex // RAY
        everybody = [stage.account(who) for who in ("owner", "bidder", "maker")]
        assert 0 <= stage.surplus(everybody) < 10**6

    def test_up_to_the_cap(self) -> None:
        stage = ruin(capped_house(100))
        cap = stage.engine.call.factors().payoutCap
        _, price, _ = expected(stage)
        account = stage.account("owner")
        with refuses(stage, "PayoutAboveCap", payout=-price, cap=cap):
            stage.bid("bidder", account)
        margin, depth = margin_of(stage), model.phi(RUN)
        most = model.largest_passing(WAD, lambda one: -model.bid_price(margin, one, depth) <= cap)
        over = model.bid_price(margin, most + 1, depth)
        with refuses(stage, "PayoutAboveCap", payout=-over, cap=cap):
            stage.bid("bidder", account, most + 1)
        stage.bid("bidder", account, most)

    def test_waits_for_a_good_price(self, stage: Stage) -> None:
        account = stage.account("owner")
        ruin(stage)
        stage.move({ETH: 1_300})
        stage.underlyings[ETH].feed.break_down()
        assert margin_of(stage).doubtful
        assert expected(stage)[1] < 0
        with refuses(stage, "NoPayoutOnDoubtfulPrice", account=account):
            stage.bid("bidder", account)

    def test_shares_no_transaction_with_cash_that_leaves(self, stage: Stage) -> None:
        ruin(stage)
        account, bidder = stage.account("owner"), stage.account("bidder")
        bid = stage.house.encode("bid", stage.bid_terms(bidder, account, TENTH))
        person = stage.actor("bidder")
        out = stage.house.encode("withdraw", bidder, CASH, 1, person.address)
        for calls in ([bid, out], [out, bid]):
            with refuses(stage, "CashOutWithLoss"):
                stage.house.multicall(calls, sender=person)
        stage.house.multicall([bid], sender=person)


def poor_house() -> Stage:
    """With as little in the reserves as its markets can do with."""
    markets = {
        u: replace(one, market=replace(one.market, stress_jump=1_000)) for u, one in MARKETS.items()
    }
    factors = replace(GLOBALS, stress_share=2**16 - 1)
    return Stage(underlyings=markets, collateral=ASSETS, factors=factors, reserves=5_000)


def capped_house(dollars: int) -> Stage:
    factors = replace(GLOBALS, payout_cap=dollars)
    return Stage(underlyings=MARKETS, collateral=ASSETS, factors=factors)


class TestBidder:
    def test_may_be_a_delegate_to_the_second(self, sold: Stage) -> None:
        stage = sold
        account, bidder, desk = stage.account("owner"), stage.account("bidder"), stage.actor("desk")
        terms = stage.bid_terms(bidder, account, LITTLE)
        with refuses(stage, "NotAuthorised", account=bidder, caller=desk.address):
            stage.house.bid(terms, sender=desk)
        stage.appoint(bidder, desk, stage.now)
        assert stage.house.bid(terms, sender=desk).value[0] == LITTLE
        stage.pass_time(1)
        with refuses(stage, "NotAuthorised", account=bidder, caller=desk.address):
            stage.house.bid(terms, sender=desk)

    def test_may_be_another_account_of_the_owner(self, sold: Stage) -> None:
        stage = sold
        other = stage.fund("owner", 1_000_000, 1)
        terms = stage.bid_terms(other, stage.account("owner"), TENTH)
        receipt = stage.house.bid(terms, sender=stage.actor("owner"))
        assert receipt.value[0] == TENTH

    def test_is_not_the_account_itself(self, sold: Stage) -> None:
        account = sold.account("owner")
        with refuses(sold, "SelfBid", account=account):
            sold.bid("owner", account)

    def test_must_be_free_to_hold_it(self, sold: Stage) -> None:
        stage = sold
        account = stage.account("owner")
        poor = stage.fund("taker", 1_000)
        held, own = stage.portfolio(account), stage.portfolio(poor)
        fraction, price, _ = expected(stage, TENTH)
        got = slice_of(held, fraction)
        after = model.margin(replace(got, cash=own.cash + got.cash - price), stage.inputs())
        with refuses(stage, "BelowInitialMargin", poor, after.initial_equity, after.initial_margin):
            stage.bid("taker", account, TENTH)

    def test_pays_at_most_his_limit(self, sold: Stage) -> None:
        _, price, _ = expected(sold, TENTH)
        account = sold.account("owner")
        with refuses(sold, "PriceAboveLimit", price=price, maxPrice=price - 1):
            sold.bid("bidder", account, TENTH, maxPrice=price - 1)
        assert sold.bid("bidder", account, TENTH, maxPrice=price).value[1] == price

    def test_is_paid_at_least_his_limit(self, stage: Stage) -> None:
        ruin(stage)
        _, price, _ = expected(stage, TENTH)
        account = stage.account("owner")
        with refuses(stage, "PriceAboveLimit", price=price, maxPrice=price - 1):
            stage.bid("bidder", account, TENTH, maxPrice=price - 1)
        assert stage.bid("bidder", account, TENTH, maxPrice=price).value[1] == price

    def test_means_a_version_of_the_account(self, sold: Stage) -> None:
        stage = sold
        account = stage.account("owner")
        version = stage.house.call.versions(account).version
        with refuses(stage, "VersionChanged", version=version, expected=version + 1):
            stage.bid("bidder", account, LITTLE, version=version + 1)
        stage.deposit("owner", CASH, 1)
        stage.settle(account, ETH)
        stage.bid("bidder", account, LITTLE, version=version)
        with refuses(stage, "VersionChanged", version=version + 1, expected=version):
            stage.bid("bidder", account, LITTLE, version=version)
        stage.trade("maker", "owner", {ETH: "0.001"})
        with refuses(stage, "VersionChanged", version=version + 2, expected=version + 1):
            stage.bid("bidder", account, LITTLE, version=version + 1)
        stage.bid("bidder", account, LITTLE, version=0)

    def test_bids_until_the_second_of_his_deadline(self, sold: Stage) -> None:
        account = sold.account("owner")
        deadline = sold.now
        sold.bid("bidder", account, LITTLE, deadline=deadline)
        sold.pass_time(1)
        with refuses(sold, "BidExpired", deadline=deadline):
            sold.bid("bidder", account, LITTLE, deadline=deadline)

    @pytest.mark.parametrize("fraction", [0, WAD + 1, 2**256 - 1])
    def test_wants_a_fraction(self, sold: Stage, fraction: int) -> None:
        with refuses(sold, "FractionInvalid", fraction=fraction):
            sold.bid("bidder", sold.account("owner"), fraction)


class TestState:
    """Only an auction that runs or stands at a doubtful price takes bids."""

    @staticmethod
    def refused(stage: Stage, state: AuctionState) -> None:
        account = stage.account("owner")
        with refuses(stage, "NotInAuction", account=account, state=state):
            stage.bid("bidder", account)

    def test_of_an_account_that_nobody_looked_at(self, stage: Stage) -> None:
        stage.fund("bidder", 1_000)
        self.refused(stage, AuctionState.NONE)

    def test_after_one_look(self, stage: Stage) -> None:
        stage.fund("maker", 1_000_000)
        account = stage.fund("owner", 26_000)
        stage.trade("owner", "maker", {ETH: 100})
        stage.move({ETH: 1_900})
        stage.look(account)
        stage.pass_time(12)
        self.refused(stage, AuctionState.OBSERVED)

    def test_while_it_stands(self, sold: Stage) -> None:
        sold.fund("owner", 100_000)
        sold.house.standStill(sold.account("owner"))
        sold.pass_time(1)
        self.refused(sold, AuctionState.STANDING)

    def test_in_the_block_of_the_flag(self, stage: Stage) -> None:
        stage.fund("maker", 1_000_000)
        stage.fund("bidder", 1_000_000)
        account = stage.fund("owner", 26_000)
        stage.trade("owner", "maker", {ETH: 100})
        stage.move({ETH: 1_900})
        stage.start_auction(account)
        with refuses(stage, "SameBlock", account=account):
            stage.bid("bidder", account)
        stage.pass_time(1)
        fraction, price, _ = expected(stage, elapsed=1)
        assert tuple(stage.bid("bidder", account).value) == (fraction, price)

    def test_of_a_healthy_account(self, sold: Stage) -> None:
        sold.fund("owner", 100_000)
        margin = margin_of(sold)
        account = sold.account("owner")
        with refuses(
            sold, "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
        ):
            sold.bid("bidder", account)

    def test_at_a_doubtful_price_the_clock_stands(self, stage: Stage) -> None:
        """A slice is still to be had, at maintenance equity and for a price."""
        fall(stage, 1_700)
        account = stage.account("owner")
        stage.underlyings[BTC].feed.break_down()
        stage.house.standStill(account)
        stage.pass_time(1_000)
        stage.underlyings[BTC].feed.break_down()
        fraction, price, depth = expected(stage, TENTH)
        assert margin_of(stage).doubtful
        record, now = stage.house.call.auction(account)
        assert (record.state, now) == (AuctionState.HALTED, depth)
        if price < 0:
            with refuses(stage, "NoPayoutOnDoubtfulPrice", account=account):
                stage.bid("bidder", account, TENTH)
        stage.fund("owner", 20_000)
        fraction, price, depth = expected(stage, TENTH)
        assert price > 0
        assert tuple(stage.bid("bidder", account, TENTH).value) == (fraction, price)

    def test_while_liquidation_is_paused(self, sold: Stage) -> None:
        sold.house.setPause(1 << LIQUIDATION, 0)
        with refuses(sold, "Paused", action=LIQUIDATION, asset=CASH):
            sold.bid("bidder", sold.account("owner"))

    def test_other_pauses_stop_no_bid(self, sold: Stage) -> None:
        sold.house.setPause(0b111, 2**96 - 1)
        assert sold.bid("bidder", sold.account("owner"), TENTH).value[0] == TENTH

    def test_with_ether(self, sold: Stage) -> None:
        terms = sold.bid_terms(sold.account("bidder"), sold.account("owner"))
        with refuses(sold, "ValueNotAccepted", value=1):
            sold.house.bid(terms, sender=sold.actor("bidder"), value=1)


class TestPending:
    """Within one transaction an account is either its owner's or the auction's."""

    @pytest.fixture
    def both(self, stage: Stage) -> tuple[Stage, Any, bytes, bytes]:
        """A contract whose own account is in auction, and whose other one bids."""
        stage.fund("maker", 10_000_000)
        puppet, account = stage.puppet(26_000)
        rich = account[:20] + (1).to_bytes(12, "big")
        stage.give(stage.actor("desk"), CASH, 10**12)
        stage.house.deposit(rich, CASH, 10**12, sender=stage.actor("desk"))
        order = stage.order(stage.account("maker"), {ETH: 1}, -200, stage.marks[ETH])
        take = stage.step("take", order, stage.sign(order, "maker"), account, wad(100))
        puppet.run([take])
        fall(stage)
        stage.start_auction(account)
        stage.pass_time(RUN)
        return stage, puppet, account, rich

    def test_an_account_that_its_owner_changed(self, both: Any) -> None:
        stage, puppet, account, rich = both
        order = stage.order(stage.account("maker"), {ETH: 1}, 1, stage.marks[ETH])
        reduce = stage.step("take", order, stage.sign(order, "maker"), account, WAD)
        bid = stage.step("bid", stage.bid_terms(rich, account, TENTH))
        for calls in ([reduce, bid], [bid, reduce]):
            with refuses(stage, "CheckPending", account=account):
                puppet.unlock(stage.house, calls)
        puppet.unlock(stage.house, [bid])

    def test_two_bids_share_a_transaction(self, both: Any) -> None:
        """The first bidder may be asked for his check; the account is not his."""
        stage, puppet, account, rich = both
        bid = stage.step("bid", stage.bid_terms(rich, account, LITTLE))
        puppet.unlock(stage.house, [bid, bid])
        assert len(stage.portfolio(rich).positions) == 1

    def test_a_bidder_is_not_sold_in_the_same_transaction(self, both: Any) -> None:
        stage, puppet, account, rich = both
        third = account[:20] + (2).to_bytes(12, "big")
        first = stage.step("bid", stage.bid_terms(rich, account, TENTH))
        flag = stage.step("flag", rich)
        with refuses(stage, "CheckPending", account=rich):
            puppet.unlock(stage.house, [first, flag])
        with refuses(stage, "NotInAuction", account=rich, state=AuctionState.NONE):
            puppet.unlock(stage.house, [first, stage.step("bid", stage.bid_terms(third, rich))])

    def test_what_is_sold_does_not_bid_in_the_same_transaction(self, both: Any) -> None:
        stage, puppet, account, rich = both
        other = stage.account("owner")
        sold = stage.step("bid", stage.bid_terms(rich, account, LITTLE))
        bids = stage.step("bid", stage.bid_terms(account, other, LITTLE))
        with refuses(stage, "CheckPending", account=account):
            puppet.unlock(stage.house, [sold, bids])


def test_no_limit_is_beyond_every_price(sold: Stage) -> None:
    receipt: Receipt = sold.bid("bidder", sold.account("owner"), maxPrice=NO_LIMIT)
    assert receipt.value[1] == receipt.events("SliceTaken")[0].price

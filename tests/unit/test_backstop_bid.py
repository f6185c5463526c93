"""`bid`: a stranger has the backstop take a slice of an account in auction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
from eth_utils.crypto import keccak

from plimsoll.risk import backstop as twin
from plimsoll.risk.backstop import Limits, Slice
from plimsoll.risk.ledger import CLOSING_TIME, WINDING_DELAY, AuctionState, Refused
from plimsoll.risk.model import BPS, WAD, Margin, ceil_div, perpetual
from plimsoll.risk.params import Kind, MarketParams, UnderlyingParams
from tests.evm import Receipt
from tests.scenarios.stage import ALT, BTC, ETH, TERMS, WETH, Collateral, Listed, wad
from tests.unit.backstop_house import DEEP, Backed, build, fall, with_slice
from tests.unit.books import ASSETS, CLOSED, LIQUIDATION, MARKETS, WSTETH, emitted
from tests.unit.conftest import kept

MILLION = 10**12
CENT = wad("0.01")


@pytest.fixture(scope="module")
def backed() -> Backed:
    stage = build(reserves=0)
    stage.invest("first", 50 * MILLION)
    return stage


@pytest.fixture
def stage(backed: Backed) -> Iterator[Backed]:
    for one in kept(backed):
        assert isinstance(one, Backed)
        yield one


def bid(stage: Backed, account: bytes) -> Receipt:
    return stage.backstop.bid(account, sender=stage.actor("stranger"))


def found(stage: Backed, account: bytes) -> Slice:
    return Slice(*stage.backstop.call.quoteSlice(account))


def slice_value(stage: Backed, account: bytes, u: int) -> int:
    units = twin.gross_units(stage.portfolio(account), stage.inputs()).get(u, 0)
    return ceil_div(units * stage.marks[u], WAD)


class TestSlice:
    def test_is_the_twins(self, stage: Backed) -> None:
        account = fall(stage)
        assert found(stage, account) == stage.expected_slice(account)

    def test_changes_hands(self, stage: Backed) -> None:
        account = fall(stage)
        expected, held = found(stage, account), stage.portfolio(account)
        value, reserves = stage.value(), stage.reserves
        receipt = bid(stage, account)
        sub = stage.sub_account()
        assert tuple(receipt.value) == (sub, expected.fraction, expected.price)
        assert [log.name for log in receipt.logs if log.address == stage.backstop.address] == [
            "SliceBought"
        ]
        bought = emitted(
            stage.backstop,
            "SliceBought",
            account=account,
            subAccount=sub,
            fraction=expected.fraction,
            price=expected.price,
            funding=expected.funding,
            slackCap=expected.slack_cap,
        )
        (event,) = receipt.events("SliceBought")
        assert event._asdict() == bought[2]
        drawn = {"account": sub, "amount": expected.funding}
        assert receipt.events("ReservesDrawn")[0]._asdict() == drawn
        taken = stage.portfolio(sub)
        assert {p.instrument: p.size for p in taken.positions} == {
            p.instrument: p.size * expected.fraction // WAD for p in held.positions
        }
        assert stage.reserves == reserves - expected.funding
        assert stage.used() == [sub]
        (used,) = stage.backstop.call.subAccounts()
        assert tuple(used) == (sub, stage.now, expected.slack_cap)
        # What the backstop was paid is its holders' from here.
        assert stage.value().upper > value.upper

    def test_pays_half_of_its_maintenance_margin(self, stage: Backed) -> None:
        account = fall(stage)
        margin, expected = stage.margin(account), found(stage, account)
        depth = stage.house.call.auction(account).depth
        upper = stage.value().upper
        bid(stage, account)
        pay = margin.maintenance_margin * depth * expected.fraction // (WAD * BPS)
        assert abs(stage.value().upper - upper - pay) < CENT

    def test_is_funded_by_its_initial_margin_and_a_twentieth(self, stage: Backed) -> None:
        account = fall(stage)
        margin, expected = stage.margin(account), found(stage, account)
        funding = ceil_div(ceil_div(margin.initial_margin * 21, 20) * expected.fraction, WAD)
        assert expected.funding == funding
        bid(stage, account)
        taken = stage.margin(stage.sub_account())
        assert taken.initial_equity > taken.initial_margin

    def test_that_the_waterfall_pays_for(self, stage: Backed) -> None:
        """An insolvent account: the payout leaves the reserves once, and comes into the slice."""
        account = fall(stage, 1_700)
        expected, upper = found(stage, account), stage.value().upper
        assert expected.price < 0
        loss = -stage.margin(account).equity
        receipt = bid(stage, account)
        (booked,) = receipt.events("LossBooked")
        assert tuple(booked) == (account, -expected.price, 0, 0)
        lost = upper - stage.value().upper
        assert abs(lost - loss * expected.fraction // WAD) < CENT

    def test_each_has_a_sub_account_of_its_own(self, stage: Backed) -> None:
        bid(stage, fall(stage))
        other = distress(stage, "other", BTC, 12, 50_000, 46_000)
        assert bid(stage, other).value.subAccount == stage.sub_account(2)
        assert stage.used() == [stage.sub_account(1), stage.sub_account(2)]
        assert all(stage.portfolio(one).positions for one in stage.used())

    def test_costs_the_caller_nothing_and_gives_him_nothing(self, stage: Backed) -> None:
        account = fall(stage)
        stranger = stage.actor("stranger")
        bid(stage, account)
        assert stage.dollar.call.balanceOf(stranger) == 0
        assert stage.portfolio(stage.account(stranger)).positions == ()


def distress(
    stage: Backed, who: str, u: int, size: int, before: int, after: int, share: int = 17
) -> bytes:
    """An account that bought at one price, with so many hundredths of its value in cash, and is
    deep in its auction at another."""
    stage.fund("maker", 10_000_000)
    stage.move({u: before})
    stage.settle_stable(3)
    stage.fund(who, before * size * share // 100)
    stage.trade(who, "maker", {u: size})
    stage.move({u: after})
    account = stage.account(who)
    stage.start_auction(account)
    stage.pass_time(DEEP)
    return account


class TestLimits:
    """How the twin sizes a slice; the contract does the same wherever the two are compared."""

    MARGIN = Margin(
        equity=wad(100),
        initial_equity=wad(100),
        maintenance_equity=wad(100),
        initial_margin=wad(2_000),
        maintenance_margin=wad(1_500),
        doubtful=False,
    )
    RICH = Limits(WAD, WAD, wad(10**9), 0, wad(10**9))

    def size(self, margin: Margin = MARGIN, gross: int = 20_000, **limits: int) -> Slice:
        return twin.size(margin, 6_000, wad(gross), replace(self.RICH, **limits))

    def test_everything(self) -> None:
        slice_ = self.size()
        assert slice_ == Slice(WAD, wad(100 - 900), wad(2_100), wad(20_000), 200)

    def test_what_the_auction_and_the_caps_leave(self) -> None:
        assert self.size(largest=WAD // 3).fraction == WAD // 3
        assert self.size(room=WAD // 7).fraction == WAD // 7

    def test_a_tenth_of_the_reserves(self) -> None:
        slice_ = self.size(reserves=wad(10_500))
        assert slice_.fraction == WAD // 2
        assert slice_.funding == wad(1_050)

    def test_what_the_waterfall_pays_for_a_bid(self) -> None:
        slice_ = self.size(payout_cap=wad(200))
        assert -slice_.price <= wad(200)
        assert abs(slice_.fraction - WAD // 4) <= 1

    def test_what_is_provisioned_stays(self) -> None:
        """Funding, and pay beyond the account's own loss, come out of what is free."""
        slice_ = self.size(reserves=wad(10**6), provisions=wad(10**6 - 1_450))
        assert slice_.funding - slice_.price <= wad(1_450)
        assert abs(slice_.fraction - WAD // 2) <= 1
        assert self.size(reserves=wad(10**6), provisions=wad(10**6)).fraction == 0

    def test_an_own_loss_is_no_new_one(self) -> None:
        insolvent = replace(self.MARGIN, equity=-wad(500), maintenance_equity=-wad(500))
        slice_ = self.size(insolvent, reserves=wad(10**6), provisions=wad(10**6 - 1_500))
        assert abs(slice_.fraction - WAD // 2) <= 1
        assert abs(slice_.price + wad(700)) < 10**4

    def test_slack_is_half_of_the_pay(self) -> None:
        assert self.size(gross=45_000).slack_cap == 100
        assert self.size(gross=225_000).slack_cap == 20
        assert self.size(gross=225_001).slack_cap == 19

    @pytest.mark.parametrize(
        ("error", "slice_", "depth"),
        [
            ("TooShallow", Slice(WAD, 0, 0, wad(10_000), 20), 4_999),
            ("DiscountTooSmall", Slice(WAD, 0, 0, wad(10_000), 19), 5_000),
            ("SliceTooSmall", Slice(WAD, 0, 0, wad(8_000) - 1, 20), 5_000),
            ("SliceTooSmall", Slice(0, 0, 0, wad(8_000), 20), 5_000),
        ],
    )
    def test_what_is_not_worth_a_bid(self, error: str, slice_: Slice, depth: int) -> None:
        with pytest.raises(Refused, match=error):
            twin.require_worthwhile(slice_, depth, wad(10**6), 3)

    def test_what_is(self) -> None:
        twin.require_worthwhile(Slice(WAD, 0, 0, wad(8_000), 20), 5_000, wad(10**6), 3)


class TestCaps:
    def test_a_tenth_of_the_reserves(self) -> None:
        """Of an underlying whose margin is more than a fifth of its value."""
        wild = Listed(2_000, risk=UnderlyingParams(2_400, window=1_000, closing=10, band=10))
        stage = build(reserves=0, underlyings={**MARKETS, ETH: wild})
        stage.invest("first", 150_000 * 10**6)
        account = distress(stage, "owner", ETH, 100, 2_000, 1_700, share=33)
        expected, reserves = stage.expected_slice(account), stage.reserves
        bid(stage, account)
        assert expected.fraction < WAD // 2
        assert 0 <= reserves // 10 - expected.funding <= 10**6
        assert stage.reserves == reserves - expected.funding

    def test_half_of_the_reserves_on_one_underlying(self) -> None:
        """Long and short count alike, and so does what other sub-accounts hold."""
        stage = build(reserves=0)
        stage.invest("first", 300_000 * 10**6)
        first = fall(stage)
        bid(stage, first)
        cap = stage.reserves // 2
        second = distress(stage, "other", ETH, 100, 1_930, 1_740)
        cap = stage.reserves // 2
        expected = stage.expected_slice(second)
        assert found(stage, second) == expected
        bid(stage, second)
        total = sum(slice_value(stage, one, ETH) for one in stage.used())
        assert cap - CENT < total <= cap + CENT

    def test_eight_sub_accounts(self, stage: Backed) -> None:
        """Each takes twice the least of the one before it."""
        least = [twin.least_gross(stage.reserves, n) for n in range(8)]
        assert least[0] == stage.reserves // 1_000
        assert least[7] == 128 * least[0]
        for n in range(8):
            size = max(120, 2 * least[n] // wad(1_500))
            account = distress(stage, f"owner{n}", ETH, size, 2_000, 1_800)
            bid(stage, account)
        assert len(stage.used()) == 8
        account = distress(stage, "owner8", ETH, 120, 2_000, 1_800)
        with stage.evm.reverts("TooManySubAccounts", 8):
            bid(stage, account)


class TestRefused:
    def test_below_the_depth(self, stage: Backed) -> None:
        account = fall(stage, elapsed=293)
        depth = stage.house.call.auction(account).depth
        assert depth == 4_985
        with stage.evm.reverts("TooShallow", account, depth, 5_000):
            bid(stage, account)
        stage.pass_time(1)
        bid(stage, account)

    def test_a_healthy_account(self, stage: Backed) -> None:
        stage.fund("owner", 1_000)
        with stage.evm.reverts("NotInAuction", stage.account("owner"), AuctionState.NONE):
            bid(stage, stage.account("owner"))

    def test_an_account_that_recovered(self, stage: Backed) -> None:
        account = fall(stage)
        stage.fund("owner", 100_000)
        with stage.evm.reverts("AccountHealthy", account=account):
            bid(stage, account)

    def test_its_own(self, stage: Backed) -> None:
        account = with_slice(stage)
        stage.move({ETH: 1_700})
        stage.start_auction(account)
        stage.pass_time(DEEP)
        with stage.evm.reverts("OwnSubAccount", account):
            bid(stage, account)

    def test_what_is_too_small(self, stage: Backed) -> None:
        account = distress(stage, "small", ETH, 20, 2_000, 1_800)
        slice_ = stage_slice(stage, account)
        values = (account, slice_.gross, stage.reserves // 1_000)
        with stage.evm.reverts("SliceTooSmall", *values):
            bid(stage, account)

    def test_what_pays_less_than_its_slack(self) -> None:
        """A hedge has little margin and much gross value: nothing is left for a wrong mark."""
        terms = replace(TERMS, haircut1=50)
        stage = build(reserves=0, collateral={**ASSETS, WETH: Collateral(ETH, terms=terms)})
        stage.invest("first", 50 * MILLION)
        stage.fund("maker", 10_000_000)
        held = stage.deposit("owner", WETH, 500 * WAD)
        stage.trade("maker", "owner", {ETH: 500})
        stage.withdraw_cash(held, 985_000)
        stage.set_parameter(Kind.ASSET, WETH, replace(terms, haircut1=130).word)
        stage.pass_time(3 * 86_400)
        stage.start_auction(held)
        stage.pass_time(DEEP)
        cap = stage_slice(stage, held).slack_cap
        assert cap < twin.FIRST_SLACK
        with stage.evm.reverts("DiscountTooSmall", held, cap, 20):
            bid(stage, held)

    def test_a_doubtful_price(self, stage: Backed) -> None:
        account = fall(stage, 1_600)
        stage.underlyings[ETH].feed.break_down()
        with stage.evm.reverts("DoubtfulPrice", account):
            bid(stage, account)

    def test_a_yield_token_in_doubt(self, stage: Backed) -> None:
        account = fall(stage, 1_700)
        stage.deposit("owner", WSTETH, 10**18)
        feed = stage.assets[WSTETH].rate_feed
        assert feed is not None
        feed.break_down()
        with stage.evm.reverts("DoubtfulPrice", account):
            bid(stage, account)

    def test_a_closed_market(self) -> None:
        closing = {**MARKETS, CLOSED: Listed(100, market=MarketParams())}
        stage = build(reserves=0, underlyings=closing)
        stage.invest("first", 50 * MILLION)
        account = distress(stage, "owner", CLOSED, 2_000, 100, 92)
        stage.engine.submit(Kind.MARKET, CLOSED, MarketParams(closed=True).word)
        with stage.evm.reverts("MarketClosed", perpetual(CLOSED)):
            bid(stage, account)

    def test_what_is_not_listed(self, stage: Backed) -> None:
        """Another engine may know an underlying and no market on it: nobody could trade it away."""
        account = fall(stage)
        unlist(stage, ETH)
        with stage.evm.reverts("UnknownInstrument", perpetual(ETH)):
            bid(stage, account)

    def test_without_reserves(self, stage: Backed) -> None:
        account = fall(stage)
        stage.lose(50_001_000)
        assert stage.reserves == 0
        with stage.evm.reverts("SliceTooSmall", account, 0, 0):
            bid(stage, account)

    def test_after_the_end(self, stage: Backed) -> None:
        """Nobody's margin counts until the account is closed out."""
        account = fall(stage)
        shut(stage)
        with stage.evm.reverts("PositionsOpen", account):
            stage.backstop.call.quoteSlice(account)
        with stage.evm.reverts("PositionsOpen", account):
            bid(stage, account)

    def test_while_paused(self, stage: Backed) -> None:
        """The clock of the auction starts anew when the pause ends."""
        account = fall(stage)
        stage.house.setPause(1 << LIQUIDATION, 0)
        with stage.evm.reverts("TooShallow", account, 200, 5_000):
            bid(stage, account)


def shut(stage: Backed) -> None:
    """Until positions become cash."""
    stage.house.submitShutdown()
    stage.pass_time(WINDING_DELAY)
    stage.house.acceptShutdown()
    stage.pass_time(CLOSING_TIME)


class TestShutdown:
    def test_leaves_shares_without_a_price_until_all_is_closed_out(self, stage: Backed) -> None:
        """What a sub-account holds is worth what was fixed, and its margin does not say that."""
        account = with_slice(stage)
        stage.end_epoch(stage.request("first", MILLION))
        shut(stage)
        assert stage.value().doubtful
        assert stage.backstop.call.maxDeposit(stage.actor("first")) == 0
        with stage.evm.reverts("ValuationDoubtful"):
            stage.backstop.settleEpoch()
        for u in (ETH, ALT):
            stage.house.closeOut(account, perpetual(u))
        assert not stage.value().doubtful
        stage.backstop.settleEpoch()


def unlist(stage: Backed, u: int) -> None:
    """Takes the MARKET word out of the engine's storage: no other way leads there."""
    key = (int(Kind.MARKET) << 16 | u).to_bytes(32, "big")
    word = stage.underlyings[u].market
    assert word is not None
    slots = (int.from_bytes(keccak(key + n.to_bytes(32, "big")), "big") for n in range(1_024))
    slot = next(one for one in slots if stage.evm.storage(stage.engine, one) == word.word)
    stage.evm.set_storage(stage.engine, slot, 0)


def stage_slice(stage: Backed, account: bytes) -> Slice:
    """As `expected_slice`, also where it is not worth a bid."""
    with patch.object(twin, "require_worthwhile"):
        return stage.expected_slice(account)

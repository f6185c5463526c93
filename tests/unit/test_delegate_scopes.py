"""What a grant lets a delegate trade: markets, direction, leverage to the wei, bids."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Fill, Portfolio, ceil_div
from tests.evm import Receipt
from tests.scenarios.stage import ALT, BTC, ETH, NEVER, WETH, Stage, terms, wad
from tests.unit.books import FEES, emitted, happened, refuses
from tests.unit.test_bid import fall

NO_ORDER = bytes(32)
Act = Callable[..., Receipt]
FEES_OF = {ETH: (FEES.taker_fee, FEES.maker_fee), BTC: (0, 0), ALT: (0, 0)}


@pytest.fixture
def funded(stage: Stage) -> Stage:
    stage.fund("maker", 10_000_000)
    stage.fund("owner", 10_000)
    return stage


def taken(stage: Stage, sizes: dict[int, Any], units: int = WAD, price: Any = None) -> Receipt:
    """The desk takes an order of the maker's with the owner's account; positive sizes buy."""
    net = stage.mark(sizes) if price is None else price
    order = stage.order(stage.account("maker"), sizes, -(10**6), net)
    signature = stage.sign(order, "maker")
    desk = stage.actor("desk")
    return stage.house.take(order, signature, stage.account("owner"), units, sender=desk)


def signed(stage: Stage, sizes: dict[int, Any], units: int = WAD, price: Any = None) -> Receipt:
    """The maker takes an order that the desk signed for the owner's account."""
    order = desk_order(stage, sizes, price)
    signature, maker = stage.sign(order, "desk"), stage.actor("maker")
    return stage.house.take(order, signature, stage.account("maker"), units, sender=maker)


def matched(stage: Stage, sizes: dict[int, Any], units: int = WAD, price: Any = None) -> Receipt:
    """Anybody matches an order that the desk signed with one of the maker's."""
    net = stage.mark(sizes) if price is None else price
    first = desk_order(stage, sizes, price)
    second = stage.order(stage.account("maker"), sizes, -(10**6), net)
    signatures = stage.sign(first, "desk"), stage.sign(second, "maker")
    return stage.house.trade(second, signatures[1], first, signatures[0], units)


def desk_order(stage: Stage, sizes: dict[int, Any], price: Any = None) -> dict[str, Any]:
    net = stage.mark(sizes) if price is None else price
    desk = stage.actor("desk").address
    return stage.order(stage.account("owner"), sizes, 10**6, net, signer=desk)


def by_each(test: Any) -> Any:
    return pytest.mark.parametrize("act", [taken, signed, matched])(test)


def held(stage: Stage, u: int) -> int:
    return stage.position(stage.account("owner"), u).size


class TestMarkets:
    @by_each
    def test_those_granted(self, funded: Stage, act: Act) -> None:
        funded.appoint(funded.account("owner"), "desk", markets=1 << ETH | 1 << ALT)
        act(funded, {ETH: 1})
        act(funded, {ALT: 1})
        act(funded, {ETH: 1, ALT: -1})
        assert held(funded, ETH) == 2 * WAD

    @by_each
    @pytest.mark.parametrize("sizes", [{BTC: 1}, {ETH: 1, BTC: -1}, {BTC: 1, ALT: 1}])
    def test_no_others(self, funded: Stage, act: Act, sizes: dict[int, int]) -> None:
        account, desk = funded.account("owner"), funded.actor("desk").address
        funded.appoint(account, "desk", markets=1 << ETH | 1 << ALT)
        with refuses(funded, "DelegateMarket", account, desk, model.perpetual(BTC)):
            act(funded, sizes)

    @by_each
    def test_not_even_to_reduce(self, funded: Stage, act: Act) -> None:
        account, desk = funded.account("owner"), funded.actor("desk").address
        funded.trade("owner", "maker", {ALT: 1}, quantity=5)
        funded.appoint(account, "desk", markets=1 << ETH)
        with refuses(funded, "DelegateMarket", account, desk, model.perpetual(ALT)):
            act(funded, {ALT: -1})

    @by_each
    def test_all_of_none(self, funded: Stage, act: Act) -> None:
        """Also after a grant that named some."""
        account = funded.account("owner")
        funded.appoint(account, "desk", markets=1 << BTC)
        funded.appoint(account, "desk")
        act(funded, {ETH: 1})

    @pytest.mark.parametrize("u", [256, 511])
    def test_no_underlying_has_a_bit_of_its_own_beyond_the_last(
        self, funded: Stage, u: int
    ) -> None:
        account, desk = funded.account("owner"), funded.actor("desk").address
        funded.appoint(account, "desk", markets=2**256 - 1)
        order = funded.order(funded.account("maker"), {ETH: 1}, -1, funded.marks[ETH])
        order["legs"][0]["instrument"] = beyond = 1 << 46 | u << 37
        args = order, funded.sign(order, "maker"), account, WAD
        with refuses(funded, "DelegateMarket", account, desk, beyond):
            funded.house.take(*args, sender=funded.actor("desk"))


class TestReduceOnly:
    @by_each
    def test_closes(self, funded: Stage, act: Act) -> None:
        funded.trade("owner", "maker", {ETH: 2})
        funded.appoint(funded.account("owner"), "desk", reduceOnly=True)
        act(funded, {ETH: -1})
        act(funded, {ETH: -1})
        assert held(funded, ETH) == 0

    @pytest.mark.parametrize("act", [taken, signed, matched])
    @pytest.mark.parametrize(("size", "units"), [(1, 1), (-1, 2 * WAD + 1)])
    def test_neither_opens_nor_crosses(
        self, funded: Stage, act: Act, size: int, units: int
    ) -> None:
        funded.trade("owner", "maker", {ETH: 2})
        funded.appoint(funded.account("owner"), "desk", reduceOnly=True)
        found = (model.perpetual(ETH), 2 * WAD, size * units)
        named = dict(zip(("instrument", "held", "change"), found, strict=True))
        with refuses(funded, "NotReducing", **named):
            act(funded, {ETH: size}, units)

    def test_is_told_without_an_order(self, funded: Stage) -> None:
        funded.appoint(funded.account("owner"), "desk", reduceOnly=True)
        with refuses(funded, "NotReducing", NO_ORDER, model.perpetual(ETH), 0, WAD):
            taken(funded, {ETH: 1})

    def test_is_told_with_the_order_he_signed(self, funded: Stage) -> None:
        funded.appoint(funded.account("owner"), "desk", reduceOnly=True)
        order = desk_order(funded, {ETH: 1})
        digest = bytes(funded.house.call.hashOrder(order))
        args = order, funded.sign(order, "desk"), funded.account("maker"), WAD
        with refuses(funded, "NotReducing", digest, model.perpetual(ETH), 0, WAD):
            funded.house.take(*args, sender=funded.actor("maker"))

    def test_binds_each_leg(self, funded: Stage) -> None:
        funded.trade("owner", "maker", {ETH: 2})
        funded.appoint(funded.account("owner"), "desk", reduceOnly=True)
        with refuses(funded, "NotReducing", NO_ORDER, model.perpetual(ALT), 0, WAD):
            taken(funded, {ETH: -1, ALT: 1})

    def test_binds_nobody_else(self, funded: Stage) -> None:
        """Neither the counterparty nor the owner."""
        funded.trade("owner", "maker", {ETH: 2})
        funded.appoint(funded.account("owner"), "desk", reduceOnly=True)
        taken(funded, {ETH: -2})
        funded.trade("owner", "maker", {ETH: 1})
        assert held(funded, ETH) == WAD

    def test_is_judged_at_the_fill(self, funded: Stage) -> None:
        """An order signed under a wide grant is filled under a narrow one, or not at all."""
        account = funded.account("owner")
        funded.appoint(account, "desk")
        order = desk_order(funded, {ETH: 1})
        args = order, funded.sign(order, "desk"), funded.account("maker"), WAD
        maker = funded.actor("maker")
        funded.house.take(*args, sender=maker)
        funded.appoint(account, "desk", reduceOnly=True)
        with refuses(funded, "NotReducing"):
            funded.house.take(*args, sender=maker)
        funded.appoint(account, "desk", markets=1 << BTC)
        with refuses(funded, "DelegateMarket"):
            funded.house.take(*args, sender=maker)
        funded.appoint(account, "desk")
        funded.house.take(*args, sender=maker)


def leverage(stage: Stage, portfolio: Portfolio) -> tuple[int, int]:
    """Value of all positions at their marks, rounded up, and equity; of the twin."""
    prices = stage.inputs().underlyings
    marked = sum(
        abs(one.size) * prices[model.underlying_of(one.instrument)].price.index
        for one in portfolio.positions
    )
    return ceil_div(marked, WAD), model.margin(portfolio, stage.inputs()).equity


def after(stage: Stage, u: int, size: int, price: int, *, is_taker: bool = True) -> Portfolio:
    fill = Fill(model.perpetual(u), size, price, is_taker)
    held = stage.portfolio(stage.account("owner"))
    return model.apply_fill(held, fill, FEES_OF[u], stage.inputs())


def most(stage: Stage, u: int, side: int, price: int, maximum: int) -> int:
    """The most units that leave no more than this leverage, by the twin."""

    def passes(units: int) -> bool:
        value, equity = leverage(stage, after(stage, u, side * units, price))
        return value * 100 <= maximum * equity

    return model.largest_passing(10**24, passes)


class TestLeverage:
    @pytest.mark.parametrize("side", [1, -1])
    @pytest.mark.parametrize("maximum", [1, 99, 100, 150, 333])
    def test_to_the_wei(self, funded: Stage, maximum: int, side: int) -> None:
        stage, account = funded, funded.account("owner")
        stage.appoint(account, "desk", maxLeverage=maximum)
        price = stage.marks[ETH]
        units = most(stage, ETH, side, price, maximum)
        value, equity = leverage(stage, after(stage, ETH, side * (units + 1), price))
        with refuses(stage, "LeverageExceeded", account, value, equity, maximum):
            taken(stage, {ETH: side}, units + 1)
        taken(stage, {ETH: side}, units)
        assert stage.portfolio(account).position(model.perpetual(ETH)).size == side * units
        assert leverage(stage, stage.portfolio(account))[0] * 100 <= maximum * stage.equity(account)

    @pytest.mark.parametrize("seed", range(24))
    def test_anywhere(self, stage: Stage, seed: int) -> None:
        """With other positions, collateral and debt, at prices off the mark: as the twin says."""
        draw = Random(seed)
        account, side, maximum = stage.account("owner"), draw.choice([1, -1]), draw.randint(20, 300)
        stage.fund("maker", 10_000_000)
        stage.fund("owner", 20_000)
        stage.deposit("owner", WETH, 10**18 + draw.randrange(10**18))
        for u, size in ((ETH, side * draw.randint(0, 2)), (ALT, draw.randint(-50, 50))):
            if size:
                stage.trade("owner", "maker", {u: 1 if size > 0 else -1}, quantity=abs(size))
        moved = stage.marks[ETH] * draw.randint(9_700, 10_300) // 10_000
        stage.report({ETH: moved + draw.randrange(10**12) * 10**6})
        stage.appoint(account, "desk", maxLeverage=maximum)
        price = stage.marks[ETH] * draw.randint(9_900, 10_100) // 10_000
        units = most(stage, ETH, side, price, maximum)
        assert units
        excess = leverage(stage, after(stage, ETH, side * (units + 1), price))
        with refuses(stage, "LeverageExceeded", account, *excess, maximum):
            taken(stage, {ETH: side}, units + 1, side * price)
        taken(stage, {ETH: side}, units, side * price)
        value, equity = leverage(stage, stage.portfolio(account))
        assert equity == stage.margin(account).equity
        assert value * 100 <= maximum * equity

    @by_each
    def test_of_all_positions(self, funded: Stage, act: Act) -> None:
        """Hedged or not, granted or not: what counts is gross."""
        account = funded.account("owner")
        funded.trade("owner", "maker", {ALT: -1}, quantity=500)
        funded.trade("owner", "maker", {ETH: 1})
        funded.appoint(account, "desk", maxLeverage=100, markets=1 << ETH)
        act(funded, {ETH: 1})
        with refuses(funded, "LeverageExceeded", account=account, maxLeverage=100):
            act(funded, {ETH: 1})

    @by_each
    def test_does_not_keep_from_reducing(self, funded: Stage, act: Act) -> None:
        account = funded.account("owner")
        funded.trade("owner", "maker", {ETH: 8})
        funded.appoint(account, "desk", maxLeverage=10)
        for _ in range(8):
            act(funded, {ETH: -1})
        assert held(funded, ETH) == 0

    @by_each
    def test_counts_where_one_leg_grows(self, funded: Stage, act: Act) -> None:
        account = funded.account("owner")
        funded.trade("owner", "maker", {ETH: 8})
        funded.appoint(account, "desk", maxLeverage=50)
        with refuses(funded, "LeverageExceeded", account=account, maxLeverage=50):
            act(funded, {ETH: -1, ALT: 1})

    @by_each
    def test_is_free_at_zero(self, funded: Stage, act: Act) -> None:
        funded.appoint(funded.account("owner"), "desk", maxLeverage=0)
        act(funded, {ETH: 20})

    def test_of_the_account_not_of_the_other(self, funded: Stage) -> None:
        """The counterparty's delegate is bound by the counterparty's grant."""
        stage, maker = funded, funded.account("maker")
        stage.appoint(stage.account("owner"), "desk", maxLeverage=300)
        stage.appoint(maker, "stranger", maxLeverage=1)
        stranger = stage.actor("stranger").address
        order = stage.order(maker, {ETH: 1}, -100, stage.marks[ETH], signer=stranger)
        args = order, stage.sign(order, "stranger"), stage.account("owner")
        desk = stage.actor("desk")
        with refuses(stage, "LeverageExceeded", account=stage.account("owner"), maxLeverage=300):
            stage.house.take(*args, wad(16), sender=desk)
        stage.house.take(*args, wad(14), sender=desk)
        stage.withdraw_cash(maker, 9_900_000)
        with refuses(stage, "LeverageExceeded", account=maker, maxLeverage=1):
            stage.house.take(*args, WAD // 4, sender=desk)

    def test_is_judged_at_once_not_at_the_end(self, funded: Stage) -> None:
        """A batch cannot lend him what he would need: he opens within bounds or not."""
        stage, account = funded, funded.account("owner")
        stage.appoint(account, "desk", maxLeverage=100)
        desk = stage.actor("desk")
        order = stage.order(stage.account("maker"), {ETH: 1}, -10, stage.marks[ETH])
        take = stage.house.encode("take", order, stage.sign(order, "maker"), account, wad(6))
        stage.give(desk, 0, 10_000 * 10**6)
        pay = stage.house.encode("deposit", account, 0, 10_000 * 10**6)
        with refuses(stage, "LeverageExceeded", account=account):
            stage.house.multicall([take, pay], sender=desk)
        stage.house.multicall([pay, take], sender=desk)
        assert held(stage, ETH) == wad(6)

    def test_nothing_opens_without_equity(self, funded: Stage) -> None:
        stage, account = funded, funded.account("owner")
        stage.trade("owner", "maker", {ETH: 35})
        stage.appoint(account, "desk", maxLeverage=2**64 - 1)
        stage.move({ETH: 1_700})
        portfolio = after(stage, ALT, WAD, stage.marks[ALT])
        value, equity = leverage(stage, portfolio)
        assert equity < 0
        with refuses(stage, "LeverageExceeded", account, value, equity, 2**64 - 1):
            taken(stage, {ALT: 1})


class TestBids:
    @pytest.fixture
    def sold(self, stage: Stage) -> Stage:
        """The owner's account is in an auction, with ETH and ALT positions; the desk bids."""
        return fall(stage)

    def bid(self, stage: Stage, fraction: int = WAD // 100) -> Receipt:
        terms_ = stage.bid_terms(stage.account("bidder"), stage.account("owner"), fraction)
        return stage.house.bid(terms_, sender=stage.actor("desk"))

    def test_ask_for_the_right_to_bid(self, sold: Stage) -> None:
        account, desk = sold.account("bidder"), sold.actor("desk").address
        sold.appoint(account, "desk", mayBid=False)
        with refuses(sold, "NotAuthorised", account, desk):
            self.bid(sold)
        sold.appoint(account, "desk", mayBid=True)
        assert self.bid(sold).value[0] == WAD // 100

    def test_do_not_ask_whether_he_may_only_reduce(self, sold: Stage) -> None:
        """A keeper's key bids, and unwinds what it took, and opens nothing else."""
        account = sold.account("bidder")
        sold.appoint(account, "desk", reduceOnly=True)
        self.bid(sold)
        size = sold.position(account, ETH).size
        order = sold.order(sold.account("maker"), {ETH: 1}, 100, sold.marks[ETH])
        args = order, sold.sign(order, "maker"), account
        desk = sold.actor("desk")
        with refuses(sold, "NotReducing", instrument=model.perpetual(ETH), held=size):
            sold.house.take(*args, size + 1, sender=desk)
        sold.house.take(*args, size, sender=desk)
        assert sold.position(account, ETH).size == 0

    @pytest.mark.parametrize(("markets", "missing"), [(1 << ETH, ALT), (1 << ALT, ETH)])
    def test_keep_to_the_markets(self, sold: Stage, markets: int, missing: int) -> None:
        account, desk = sold.account("bidder"), sold.actor("desk").address
        sold.appoint(account, "desk", markets=markets)
        with refuses(sold, "DelegateMarket", account, desk, model.perpetual(missing)):
            self.bid(sold)
        sold.appoint(account, "desk", markets=markets | 1 << missing)
        self.bid(sold)

    def test_keep_to_the_leverage(self, sold: Stage) -> None:
        """Judged after the slice came in."""
        account = sold.account("bidder")
        sold.appoint(account, "desk")
        with sold.evm.anchored():
            self.bid(sold, WAD // 2)
            value, equity = leverage(sold, sold.portfolio(account))
        least = ceil_div(value * 100, equity)
        sold.appoint(account, "desk", maxLeverage=least - 1)
        with refuses(sold, "LeverageExceeded", account, value, equity, least - 1):
            self.bid(sold, WAD // 2)
        sold.appoint(account, "desk", maxLeverage=least)
        self.bid(sold, WAD // 2)

    def test_by_the_owner_know_no_grant(self, sold: Stage) -> None:
        account, owner = sold.account("bidder"), sold.actor("bidder")
        sold.appoint(account, owner, mayBid=False, markets=1 << BTC, maxLeverage=1)
        terms_ = sold.bid_terms(account, sold.account("owner"), WAD // 100)
        assert sold.house.bid(terms_, sender=owner).value[0] == WAD // 100


class TestEpochs:
    @pytest.mark.parametrize(
        "limits",
        [{"mayBid": False}, {"reduceOnly": True}, {"maxLeverage": 1}, {"markets": 1 << BTC}],
        ids=lambda limits: next(iter(limits)),
    )
    def test_any_delegate_raises_them(self, funded: Stage, limits: dict[str, Any]) -> None:
        account = funded.account("owner")
        funded.appoint(account, "desk", **limits)
        receipt = funded.house.raiseEpoch(account, sender=funded.actor("desk"))
        owner = funded.actor("owner").address
        raised = emitted(funded.house, "EpochRaised", account=account, owner=owner, epoch=1)
        assert happened(receipt) == [raised]

    def test_the_grant_outlives_them(self, funded: Stage) -> None:
        account = funded.account("owner")
        funded.appoint(account, "desk", reduceOnly=True)
        funded.house.raiseEpoch(account, sender=funded.actor("desk"))
        found = funded.house.call.delegation(account, funded.actor("desk"))
        assert found._asdict() == terms(NEVER, reduceOnly=True)

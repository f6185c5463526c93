"""Options and futures through their lives: traded, taken over, expired, settled, closed out.

Every step is done by the contracts and by the twin of the books, which must agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.instruments import day_of, expiry_of, future, is_friday, option
from plimsoll.risk.ledger import CASH, CLOSING_TIME, WINDING_DELAY, Account, Delegation, Refused
from plimsoll.risk.model import WAD, ExpiryState
from plimsoll.risk.params import OptionsParams
from tests.house import BTC, DOLLAR, ETH, PEG, UNDERLYINGS, House
from tests.stateful.invariants import check_cash, check_sizes, check_twin, take_picture
from tests.surfaces import flat

OPTIONS = OptionsParams(2_000, 100, 2_000, 5, 6, 1_000, 30)
PRICE = UNDERLYINGS[ETH].price
STRIKE = 2_000 * WAD
DAY = 86_400


class Street:
    """A house where ETH has an expiry on a Friday three weeks ahead, and people with money."""

    def __init__(self) -> None:
        spec = {**UNDERLYINGS, ETH: replace(UNDERLYINGS[ETH], options=OPTIONS)}
        self.house = self.make_house(underlyings=spec)
        start = day_of(self.house.now) + 21
        self.day = next(day for day in range(start, start + 7) if is_friday(day))
        self.call = option(ETH, self.day, STRIKE, put=False)
        self.put = option(ETH, self.day, STRIKE, put=True)
        self.far = option(ETH, self.day, 2_500 * WAD, put=False)
        self.future = future(ETH, self.day)
        self.buyer, self.seller = self.fund("buyer"), self.fund("seller")
        self.add_reserves(10**7 * DOLLAR)
        self.report()

    def make_house(self, **options: Any) -> House:
        return House(**options)

    def add_reserves(self, units: int) -> None:
        self.house.add_reserves(units)

    def fund(self, name: str, dollars: int = 1_000_000, sub: int = 0) -> Account:
        account = self.house.account(name, sub)
        self.house.deposit(account, CASH, dollars * DOLLAR)
        return account

    def report(self, vol: int = 60) -> None:
        """A fresh slice; what was sampled of its fixing stays."""
        seen = self.house.expiries.get((ETH, self.day), ExpiryState())
        state = replace(seen, slice=flat(self.day, vol), observed_at=self.house.now)
        self.house.store_expiry(ETH, self.day, state)

    def fix(self, price: int, samples: int = 6) -> None:
        """The samples of its fixing, all at one price."""
        state = self.house.expiries[ETH, self.day]
        self.house.store_expiry(ETH, self.day, replace(state, samples=samples, sum=samples * price))

    def pass_time(self, seconds: int, price: int = PRICE) -> None:
        self.house.warp(seconds)
        for u, spec in UNDERLYINGS.items():
            self.house.set_price(u, price if u == ETH else spec.price)
        self.house.observe(*UNDERLYINGS)

    def pass_expiry(self, price: int = PRICE) -> None:
        self.pass_time(expiry_of(self.day) - self.house.now, price)

    def trade(self, instrument: int, size: int = WAD, price: int | None = None) -> None:
        """The buyer takes what the seller makes."""
        self.trade_package(
            {instrument: WAD}, size, self.house.mark(instrument) if price is None else price
        )

    def trade_package(self, ratios: dict[int, int], size: int, price: int) -> None:
        order = self.house.order(self.seller, ratios, -size, price)
        self.house.take(order, self.buyer, abs(size))

    def cash(self, account: Account) -> int:
        return self.house.ledger.portfolio(account).cash

    def equity(self, account: Account) -> int:
        return self.house.margin(account).equity

    def check(self) -> None:
        """The books add up, and are the twin's."""
        accounts = list(self.house.ledger.accounts)
        picture = take_picture(self.house, accounts)
        check_cash(self.house, picture, 100)
        check_sizes(self.house, picture)
        check_twin(self.house, picture)


@pytest.fixture(scope="module")
def built() -> Street:
    return Street()


@pytest.fixture
def street(built: Street) -> Iterator[Street]:
    with built.house.anchored():
        yield built


def refuses(error: str) -> Any:
    return pytest.RaisesExc(Refused, match=error)


# Trading


def test_the_premium_is_variation_and_fees_are_on_the_index(street: Street) -> None:
    mark = street.house.mark(street.call)
    before = street.cash(street.buyer)
    street.trade(street.call)
    bought = street.house.ledger.state(street.buyer).position(street.call)
    assert bought.size == WAD
    assert bought.quote == -mark
    assert before - street.cash(street.buyer) == PRICE * 500 // 10**6
    assert street.house.ledger.open_interest(street.call) == WAD
    street.check()


def test_fees_of_a_cheap_option_are_on_400_times_its_mark(street: Street) -> None:
    cheap = option(ETH, street.day, 3_000 * WAD, put=False)
    mark = street.house.mark(cheap)
    assert 0 < 400 * mark < PRICE
    before = street.cash(street.buyer)
    street.trade(cheap)
    # Fees round up, what is owned down.
    assert 0 <= before - street.cash(street.buyer) - 400 * mark * 500 // 10**6 <= 2


def test_a_future_pays_on_its_mark(street: Street) -> None:
    before = street.cash(street.buyer)
    street.trade(street.future)
    mark = street.house.mark(street.future)
    assert 0 <= before - street.cash(street.buyer) - mark * 500 // 10**6 <= 2


def test_a_package_of_all_kinds_at_one_price(street: Street) -> None:
    ratios = {street.call: WAD, street.put: -WAD, street.future: -WAD, ETH: WAD // 2}
    street.trade_package(ratios, 3 * WAD, 1_000 * WAD)
    assert street.house.ledger.open_interest(street.call) == 21 * WAD // 2
    street.check()


def test_open_interest_is_capped_for_all_instruments_together(street: Street) -> None:
    """The market's hundred million dollars, at the index; the reserves carry twenty."""
    street.trade(street.call, 4_000 * WAD)
    with refuses("OpenInterestCapExceeded"):
        street.trade(street.far, 6_500 * WAD)
    street.trade(street.far, 5_000 * WAD)


def test_a_stale_surface_adds_no_risk_and_settles_nothing(street: Street) -> None:
    street.trade(street.call, 2 * WAD)
    street.pass_time(7_200, PRICE * 101 // 100)
    with refuses("SurfaceStale"):
        street.trade(street.call)
    with refuses("SurfaceStale"):
        street.house.settle(street.buyer, street.call)
    street.trade(street.call, -WAD)
    street.report()
    street.trade(street.call)
    assert street.house.settle(street.buyer, street.call) != 0
    street.check()


def test_the_last_half_hour_only_reduces(street: Street) -> None:
    street.trade(street.call, 2 * WAD)
    street.pass_time(expiry_of(street.day) - 1_800 - street.house.now)
    street.report()
    with refuses("MarketClosed"):
        street.trade(street.call)
    street.trade(street.call, -WAD)


def test_nobody_trades_what_has_expired(street: Street) -> None:
    """An order that rests is not to be hit with what the fixing is known to be, nor in part."""
    street.trade(street.call, 2 * WAD)
    street.pass_expiry()
    with refuses("MarketClosed"):
        street.trade(street.call, -WAD)
    street.fix(1_900 * WAD)
    with refuses("MarketClosed"):
        street.trade(street.call, -WAD, 5 * WAD)
    street.house.settle(street.buyer, street.call)
    street.check()


def test_leverage_of_a_delegate_counts_options_at_the_index(street: Street) -> None:
    grant = Delegation(expiry=2**39, may_bid=False, reduce_only=False, max_leverage=100, markets=0)
    small = street.fund("small", 4_500)
    street.house.grant(small, "delegate", grant)
    order = street.house.order(
        street.seller, {street.far: WAD}, -4 * WAD, street.house.mark(street.far)
    )
    with refuses("LeverageExceeded"):
        street.house.take(order, small, 3 * WAD, sender="delegate")
    street.house.take(order, small, 2 * WAD, sender="delegate")


def test_the_lens_weighs_deltas_by_how_far_their_prices_go(street: Street) -> None:
    lens = street.house.evm.deploy("Lens", street.house.house)
    street.trade_package({street.call: WAD, street.put: -WAD, street.far: WAD}, 7 * WAD, 0)
    street.house.open_position(street.buyer, BTC, -WAD)
    held, inputs = street.house.ledger.portfolio(street.buyer), street.house.inputs()
    account = street.buyer.to_bytes(32, "big")
    for benchmark in (ETH, BTC):
        expected = model.beta_weighted_delta(held, benchmark, inputs)
        assert expected != 0
        assert lens.call.betaWeightedDelta(account, benchmark) == expected
    with street.house.evm.reverts("UnknownUnderlying", 77):
        lens.call.betaWeightedDelta(account, 77)


# The end


@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("order", ["winner first", "loser first"])
def test_a_wei_decides(street: Street, beside: int, order: str) -> None:
    """Beside its strike an option settles at what it is in the money, to the wei."""
    for instrument in (street.call, street.put, street.future):
        street.trade(instrument)
    street.pass_expiry(PRICE * 2)
    street.fix(STRIKE + beside)
    payoffs = {
        street.call: max(0, beside),
        street.put: max(0, -beside),
        street.future: STRIKE + beside,
    }
    both = (street.buyer, street.seller)
    owned = [street.equity(account) for account in both]
    for account in both if order == "winner first" else both[::-1]:
        for instrument, payoff in payoffs.items():
            held = street.house.ledger.state(account).position(instrument)
            paid = street.house.settle(account, instrument)
            assert paid == held.size // WAD * payoff + held.quote
            street.check()
    assert street.house.ledger.open_interest(street.call) == 0
    for account, before in zip(both, owned, strict=True):
        assert not street.house.ledger.state(account).positions
        assert 0 <= before - street.equity(account) <= 3


def test_a_worthless_option_leaves_as_well(street: Street) -> None:
    """Settled to nothing before, it has neither quote nor payoff, and goes."""
    street.trade(street.far, WAD)
    street.pass_expiry()
    street.fix(STRIKE)
    street.house.settle(street.buyer, street.far)
    assert not street.house.ledger.state(street.buyer).positions
    assert street.house.settle(street.buyer, street.far) == 0


def test_settled_final_whatever_price_and_surface_are(street: Street) -> None:
    street.trade(street.call)
    street.pass_expiry()
    street.fix(STRIKE + 100 * WAD)
    street.house.warp(30 * DAY)
    assert not street.house.price(ETH).ok
    quote = street.house.ledger.state(street.buyer).position(street.call).quote
    assert street.house.settle(street.buyer, street.call) == 100 * WAD + quote
    with refuses("MarketClosed"):
        street.trade(street.future)
    street.check()


def test_a_fixing_is_nobodys_choice_before_it_is_complete(street: Street) -> None:
    """With five of six samples nothing is final: what moves is a sixth, and the position stays."""
    street.trade(street.call)
    street.pass_time(expiry_of(street.day) - 3_600 - street.house.now)
    street.report()
    street.pass_expiry()
    street.fix(STRIKE + 60 * WAD, samples=5)
    street.house.settle(street.buyer, street.call)
    assert street.house.ledger.state(street.buyer).position(street.call).size == WAD
    street.fix(STRIKE + 60 * WAD)
    street.house.settle(street.buyer, street.call)
    assert not street.house.ledger.state(street.buyer).positions
    street.check()


def test_what_is_final_needs_no_margin_and_keeps_nobody(street: Street) -> None:
    street.trade(street.call, 100 * WAD)
    street.pass_expiry()
    street.fix(STRIKE)
    assert street.house.margin(street.seller).maintenance_margin == 0
    before = street.house.ledger.state(street.seller).version
    street.house.settle(street.seller, street.call)
    assert street.house.ledger.state(street.seller).version == before


# Auctions


def sell_beyond_means(street: Street, dollars: int = 60_000) -> Account:
    """A hedged seller of calls, small enough to be crushed by a rise."""
    poor = street.fund("poor", dollars)
    for instrument, size in ((street.call, -100 * WAD), (street.far, 30 * WAD), (ETH, 10 * WAD)):
        street.house.open_position(poor, instrument, size)
    return poor


def put_in_auction(street: Street, poor: Account, seconds: int = 300) -> None:
    street.house.flag(poor)
    street.pass_time(12, street.house.price(ETH).index)
    street.house.flag(poor)
    street.pass_time(seconds, street.house.price(ETH).index)


def test_a_hedged_seller_is_taken_over_in_slices(street: Street) -> None:
    poor = sell_beyond_means(street)
    street.pass_time(60, PRICE * 7 // 5)
    street.report(80)
    assert not street.house.margin(poor).is_healthy
    put_in_auction(street, poor)
    bidder = street.fund("bidder", 5_000_000)
    for _ in range(3):
        if street.house.margin(poor).is_healthy:
            break
        street.house.bid(poor, bidder, WAD // 3 + 1)
        street.check()
        street.pass_time(13, street.house.price(ETH).index)
    taken = street.house.ledger.state(bidder)
    assert taken.position(street.call).size < 0 < taken.position(street.far).size


def test_an_auction_goes_on_while_the_surface_is_stale(street: Street) -> None:
    """Only what the waterfall would pay waits."""
    poor = sell_beyond_means(street)
    street.pass_time(60, PRICE * 7 // 5)
    street.report(80)
    street.pass_time(7_150, street.house.price(ETH).index)
    put_in_auction(street, poor, 60)
    margin = street.house.margin(poor)
    assert margin.doubtful
    assert not margin.is_healthy
    bidder = street.fund("bidder", 5_000_000)
    assert street.house.bid(poor, bidder).price > 0
    street.check()


def test_expired_positions_go_with_the_slice(street: Street) -> None:
    poor = sell_beyond_means(street)
    street.house.open_position(poor, BTC, WAD)
    street.pass_expiry(PRICE * 3)
    street.fix(PRICE * 3)
    put_in_auction(street, poor)
    bidder = street.fund("bidder", 5_000_000)
    street.house.bid(poor, bidder)
    street.check()
    for instrument in (street.call, street.far):
        street.house.settle(bidder, instrument)
    street.check()


def test_a_debt_left_by_settlement_is_written_off(street: Street) -> None:
    """Whose positions are all final is settled by anyone, and what is missing is booked."""
    poor = street.fund("poor", 60_000)
    street.house.open_position(poor, street.call, -100 * WAD)
    street.pass_expiry(PRICE * 3)
    street.fix(PRICE * 3)
    with refuses("NothingToWriteOff"):
        street.house.write_off(poor)
    street.house.settle(poor, street.call)
    assert street.cash(poor) < 0
    street.house.write_off(poor)
    assert street.equity(poor) == 0
    street.check()


# Closing out


def shut(street: Street) -> None:
    street.house.wind("submit shutdown")
    street.house.warp(WINDING_DELAY)
    street.house.wind("accept shutdown")
    street.house.warp(CLOSING_TIME)


def test_after_a_shutdown_the_last_slice_counts(street: Street) -> None:
    for instrument in (street.call, street.future):
        street.trade(instrument)
    shut(street)
    street.pass_time(0)
    for instrument in (street.call, street.future):
        fixed = street.house.mark(instrument)
        quote = street.house.ledger.state(street.buyer).position(instrument).quote
        assert street.house.close_out(street.buyer, instrument) == fixed + quote
        street.check()
    street.pass_time(DAY, PRICE * 2)
    for instrument in (street.call, street.future):
        with refuses("MarketEnded"):
            street.house.settle(street.seller, instrument)
        street.house.close_out(street.seller, instrument)
    assert street.house.ledger.open_interest(street.call) == 0
    street.check()


def test_what_expired_is_closed_out_at_its_fixing_alone(street: Street) -> None:
    """Nobody puts the index of his moment in the place of a fixing that waits to be recorded."""
    street.trade(street.call)
    shut(street)
    street.pass_time(max(0, expiry_of(street.day) - street.house.now), PRICE * 3)
    with refuses("FixingIncomplete"):
        street.house.close_out(street.buyer, street.call)
    street.fix(STRIKE + 5 * WAD)
    quote = street.house.ledger.state(street.buyer).position(street.call).quote
    assert street.house.close_out(street.buyer, street.call) == 5 * WAD + quote
    street.house.close_out(street.seller, street.call)
    street.check()


def test_a_hundred_and_twenty_legs_are_bid_on(street: Street) -> None:
    """All of it in one bid, by an account that held none of it."""
    poor = street.fund("poor", 38_000)
    strikes = [(1_500 + 20 * i) * WAD for i in range(60)]
    legs = [option(ETH, street.day, k, put=put) for k in strikes for put in (False, True)]
    for index, instrument in enumerate(legs):
        street.house.open_position(poor, instrument, (1 if index % 3 else -4) * WAD)
    street.pass_time(60, PRICE * 3 // 2)
    street.report(120)
    assert not street.house.margin(poor).is_healthy
    put_in_auction(street, poor)
    bidder = street.fund("bidder", 5_000_000)
    street.house.bid(poor, bidder, WAD // 2)
    assert len(street.house.ledger.state(bidder).positions) == 120
    street.check()


def test_the_peg_has_no_options(street: Street) -> None:
    with refuses("UnknownInstrument"):
        street.house.mark(option(PEG + 200, street.day, STRIKE, put=False))

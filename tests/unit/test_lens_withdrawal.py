"""`largestWithdrawal` is exact both ways: it passes, and one unit more fails."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.errors import ContractError
from plimsoll.protocol import Account, Auction
from plimsoll.risk.params import Kind, OutflowParams
from plimsoll.units import from_units
from tests.unit.lens_house import DECIMALS, USD, House

HOUR = 3_600
SYMBOLS = {"USD": 0, "WETH": 1, "WBTC": 2, "STETH": 3}


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House):
    with built.evm.anchored():
        yield built


def largest(house: House, account: Account, symbol: str) -> tuple[int, int]:
    amount, available = house.lens.call.largestWithdrawal(account.id.encode(), SYMBOLS[symbol])
    return amount, available


def refusal(house: House, account: Account, symbol: str, units: int) -> str | None:
    """Tries a withdrawal and takes it back; the name of the error, if any."""
    asset = house.deployer.asset(symbol)
    with house.evm.anchored():
        try:
            account.withdraw(asset, from_units(units, DECIMALS[asset.id]))
        except ContractError as error:
            return error.name
    return None


def require_exact(house: House, account: Account, symbol: str) -> tuple[int, str | None]:
    """The largest amount, and why one unit more fails."""
    amount, _ = largest(house, account, symbol)
    if amount:
        assert refusal(house, account, symbol, amount) is None
    why = refusal(house, account, symbol, amount + 1)
    assert why is not None
    return amount, why


def test_cash_alone_goes_to_the_last_unit(house: House):
    saver = house.person("saver", USD="123.456789")
    assert require_exact(house, saver, "USD") == (123_456_789, "BelowInitialMargin")


def test_collateral_alone_goes_to_the_last_unit(house: House):
    saver = house.person("saver", WBTC="1.00000001")
    assert require_exact(house, saver, "WBTC") == (100_000_001, "InsufficientCollateral")


def test_collateral_lends_cash_up_to_initial_margin(house: House):
    borrower = house.person("borrower", WETH="7.123456789012345678")
    amount, why = require_exact(house, borrower, "USD")
    assert 0 < amount < 7.13 * 2_000 * 10**6
    assert why == "BelowInitialMargin"


def test_collateral_behind_a_debt_stays(house: House):
    borrower = house.person("borrower", WETH="7", WBTC="1")
    borrower.withdraw(house.deployer.asset("USD"), "50_000")
    amount, why = require_exact(house, borrower, "WBTC")
    assert 0 < amount < 10**8
    assert why == "BelowInitialMargin"


def test_a_yield_token_counts_at_its_initial_rate(house: House):
    borrower = house.person("borrower", STETH="3")
    borrower.withdraw(house.deployer.asset("USD"), "1_000")
    amount, why = require_exact(house, borrower, "STETH")
    assert 0 < amount < 3 * 10**18
    assert why == "BelowInitialMargin"


def test_a_hedge_holds_its_collateral(house: House):
    hedger, maker = house.person("hedger", WETH="10"), house.person("maker", USD=10**6)
    house.trade(maker, hedger, "ETH", "10")
    hedged, why = require_exact(house, hedger, "WETH")
    assert 0 < hedged < 10 * 10**18
    assert why == "BelowInitialMargin"


def test_an_account_below_initial_margin_keeps_everything(house: House):
    borrower = house.person("borrower", WETH="10")
    amount, _ = largest(house, borrower, "USD")
    borrower.withdraw(house.deployer.asset("USD"), from_units(amount, 6))
    house.set_price("ETH", 1_950)
    assert require_exact(house, borrower, "WETH") == (0, "BelowInitialMargin")
    assert require_exact(house, borrower, "USD") == (0, "BelowInitialMargin")


class TestDoubt:
    """What needs no price leaves at any price."""

    def test_savings_leave_whatever_the_prices(self, house: House):
        saver = house.person("saver", USD="10", WETH="1")
        house.break_feed("ETH")
        assert require_exact(house, saver, "WETH") == (10**18, "InsufficientCollateral")
        assert require_exact(house, saver, "USD") == (10**7, "DoubtfulPrice")

    def test_collateral_of_a_doubtful_price_leaves_whole_or_not_at_all(self, house: House):
        borrower = house.person("borrower", WETH="1", WBTC="1")
        borrower.withdraw(house.deployer.asset("USD"), "10_000")
        house.break_feed("ETH")
        assert require_exact(house, borrower, "WETH") == (10**18, "InsufficientCollateral")
        assert refusal(house, borrower, "WETH", 10**17) == "DoubtfulPrice"
        assert require_exact(house, borrower, "WBTC") == (0, "DoubtfulPrice")
        assert require_exact(house, borrower, "USD") == (0, "DoubtfulPrice")


def test_a_pause_stops_everything_or_one_asset(house: House):
    saver = house.person("saver", USD="10", WETH="1")
    house.contract.setPause(1 << 1, 0)
    assert require_exact(house, saver, "USD") == (0, "Paused")
    house.contract.setPause(0, 1 << SYMBOLS["WETH"])
    assert require_exact(house, saver, "WETH") == (0, "Paused")
    assert require_exact(house, saver, "USD")[0] > 10**7


def test_cash_is_bounded_by_the_tokens_present():
    house = House(reserves=0)
    saver = house.person("saver", USD=1_000)
    borrower = house.person("borrower", WETH=10)
    borrower.withdraw(house.deployer.asset("USD"), 400)
    assert largest(house, saver, "USD") == (600 * 10**6, 600 * 10**6)
    assert require_exact(house, saver, "USD") == (600 * 10**6, "InsufficientLiquidity")


def test_an_asset_that_lost_balance_stays(house: House):
    saver = house.person("saver", WETH=2, WBTC=1)
    house.tokens[1].shrink(house.contract.call.VAULT(), 1)
    assert largest(house, saver, "WETH") == (0, 0)
    assert refusal(house, saver, "WETH", 1) == "BalanceBelowClaims"
    assert require_exact(house, saver, "WBTC") == (10**8, "InsufficientCollateral")


def test_cash_waits_until_losers_have_paid():
    house = House(winners_cap=100)
    winner, loser = house.person("winner", USD=50_000), house.person("loser", USD=50_000)
    house.trade(winner, loser, "ETH", "10")
    house.set_price("ETH", 2_100)
    winner.settle(house.market("ETH"))
    assert require_exact(house, winner, "USD") == (0, "WinnersCapExceeded")
    loser.settle(house.market("ETH"))
    amount, why = require_exact(house, winner, "USD")
    assert amount > 0
    assert why == "BelowInitialMargin"


def test_after_a_loss_was_shared_amounts_are_exact_still():
    house = after_shared_loss()
    assert house.deployer.pool().supply_index < 1
    amount, why = require_exact(house, house.person("saver"), "USD")
    assert 0 < amount < 70_000 * 10**6
    assert why == "BelowInitialMargin"
    require_exact(house, house.person("bidder"), "WETH")


@pytest.mark.parametrize(("symbol", "unit"), [("USD", 10**6), ("WETH", 10**18), ("WBTC", 10**8)])
def test_the_limit_of_an_hour_is_exact(house: House, symbol: str, unit: int):
    """And once it is reached, a thousandth of it at a time."""
    saver, asset = house.person("saver", **{symbol: 5_000}), SYMBOLS[symbol]
    house.terms.engine.submit(Kind.OUTFLOW, asset, OutflowParams(3).word)
    house.contract.refresh(asset)
    house.wait(HOUR)
    assert require_exact(house, saver, symbol) == (3 * unit, "OutflowLimited")
    saver.withdraw(house.deployer.asset(symbol), 3)
    assert require_exact(house, saver, symbol) == (3 * unit // 1_000, "OutflowLimited")
    for _ in range(250):
        saver.withdraw(house.deployer.asset(symbol), "0.003")
    assert require_exact(house, saver, symbol) == (0, "OutflowLimited")


def test_what_came_since_is_told_exactly(house: House):
    """Of cash: before an hour begins, and in it."""
    saver, dollar = house.person("saver", USD=5_000), house.deployer.asset("USD")
    house.terms.engine.submit(Kind.OUTFLOW, USD, OutflowParams(3).word)
    house.contract.refresh(USD)
    house.wait(HOUR)
    house.person("other", USD="10.5")
    assert require_exact(house, saver, "USD") == (13_500_000, "OutflowLimited")
    saver.withdraw(dollar, "0.5")
    house.person("another", USD=7)
    assert require_exact(house, saver, "USD") == (20_000_000, "OutflowLimited")
    saver.withdraw(dollar, 20)
    assert require_exact(house, saver, "USD") == (3_000, "OutflowLimited")


def test_more_may_leave_where_more_came(house: House):
    """The lens promises what the limit lets leave at least."""
    saver = house.person("saver", WETH=10)
    house.terms.engine.submit(Kind.OUTFLOW, SYMBOLS["WETH"], OutflowParams(3).word)
    house.contract.refresh(SYMBOLS["WETH"])
    assert largest(house, saver, "WETH")[0] == 3 * 10**18
    assert refusal(house, saver, "WETH", 10**19) is None


def test_a_known_loss_is_left_behind():
    house = loss_in_sight()
    provision = house.contract.call.provisions()
    assert provision > 6_000 * 10**18
    amount, why = require_exact(house, house.person("saver"), "USD")
    supplied = house.contract.call.pool().supplied
    assert 0 <= 70_000_000_003 * (supplied - provision) // supplied - amount <= 1
    assert why == "BelowInitialMargin"
    require_exact(house, house.person("bidder"), "USD")


def after_shared_loss() -> House:
    """Suppliers have borne a borrower's loss: principal is worth an odd fraction of a dollar."""
    house = loss_in_sight()
    bidder, borrower = house.person("bidder"), house.person("borrower")
    house.wait(60)
    auction = Auction(bidder.chain, borrower.id)
    auction.bid(bidder, auction.quote().price)
    return house


def loss_in_sight() -> House:
    """A borrower in auction owes more than he has, and there are no reserves."""
    house = House(reserves=0)
    house.person("saver", USD="70_000.000003")
    house.person("bidder", USD=30_000, WBTC=2)
    borrower = house.person("borrower", WETH=10)
    borrower.withdraw(house.deployer.asset("USD"), "17_000")
    house.set_price("ETH", 1_000)
    borrower.auction.flag()
    house.wait(15)
    borrower.auction.flag()
    return house


def units_of(low: str, high: str, decimals: int):
    return st.integers(int(Decimal(low) * 10**decimals), int(Decimal(high) * 10**decimals)).map(
        lambda units: from_units(units, decimals)
    )


@settings(max_examples=25)
@given(
    weth=units_of("0.000001", "40", 18),
    wbtc=units_of("0.0001", "1", 8),
    steth=units_of("0.001", "10", 18),
    borrowed=units_of("0", "0.9", 6),
    eth=units_of("-30", "30", 18),
    btc=units_of("-1", "1", 18),
    symbol=st.sampled_from(sorted(SYMBOLS)),
    move=st.sampled_from(["0.97", "1", "1.02"]),
)
def test_any_account(built: House, weth, wbtc, steth, borrowed, eth, btc, symbol, move):
    house = built
    with house.evm.anchored():
        account = house.person("trader", WETH=weth, WBTC=wbtc, STETH=steth)
        other = house.person("maker", USD=10**7)
        for market, size in (("ETH", eth), ("BTC", btc)):
            buyer, seller = (account, other) if size > 0 else (other, account)
            if size:
                attempt(lambda b=buyer, s=seller, m=market, q=size: house.trade(b, s, m, abs(q)))
        free, _ = largest(house, account, "USD")
        loan = int(free * borrowed)
        if loan:
            account.withdraw(house.deployer.asset("USD"), from_units(loan, 6))
        house.set_price("ETH", 2_000 * Decimal(move))
        require_exact(house, account, symbol)


def attempt(act) -> None:
    """Does what the margin allows."""
    try:
        act()
    except ContractError as error:
        if error.name not in {"BelowInitialMargin", "RatioWorsened"}:
            raise


def test_nothing_is_held_nothing_leaves(house: House):
    stranger = house.person("stranger")
    assert largest(house, stranger, "WETH")[0] == 0
    assert require_exact(house, stranger, "USD") == (0, "BelowInitialMargin")

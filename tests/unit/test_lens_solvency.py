"""What the lens says of the house as a whole, and what it calls an instrument."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.instruments import Instrument
from plimsoll.risk import instruments
from plimsoll.risk.ledger.pool import YEAR, Lending, Pool
from plimsoll.risk.model import WAD
from plimsoll.risk.params import Kind, LendingParams, encode_symbol
from tests.scenarios.stage import ETH, WETH, Stage, wad
from tests.unit.books import leave_reserves, leave_with_debt, refuses
from tests.unit.conftest import kept

TERMS = LendingParams(kink=80, rate_at_kink=50, rate_at_full=600, reserve_share=10)
LENT, DRAWN, RESERVES = 100_000, 60_000, 5_000


@pytest.fixture(scope="module")
def built() -> Stage:
    stage = Stage(lending=TERMS, lent=LENT, backstop="backstop")
    stage.engine.submit(Kind.SYMBOL, ETH, encode_symbol("ETH"))
    stage.pass_time(2 * 86_400)
    stage.engine.accept(Kind.SYMBOL, ETH)
    stage.deposit("borrower", WETH, wad(1_000))
    leave_reserves(stage, RESERVES)
    return stage


@pytest.fixture
def stage(built: Stage) -> Iterator[Stage]:
    yield from kept(built)


def twin_of(stage: Stage) -> Pool:
    """The twin's pool with the principals that the account words add up to."""
    view = stage.house.call.pool()
    principals = stage.evm.storage(stage.house, 8)
    return Pool(
        supply_index=view.supplyIndex,
        borrow_index=view.borrowIndex,
        supplied=principals % 2**128,
        borrowed=principals >> 128,
        net_quote=view.netQuote,
        capital=view.reserves - view.deficit,
        lending=Lending(TERMS.kink, TERMS.rate_at_kink, TERMS.rate_at_full, TERMS.reserve_share),
    )


def draw(stage: Stage, dollars: int) -> None:
    stage.withdraw_cash(stage.account("borrower"), dollars)


def test_an_idle_pool_costs_and_earns_nothing(stage: Stage) -> None:
    found = stage.lens.call.solvency()
    assert (found.utilisation, found.borrowRate, found.supplyRate) == (0, 0, 0)
    assert (found.reserves, found.provision, found.deficit) == (wad(RESERVES), 0, 0)
    assert (found.halted, found.shut) == (False, False)
    assert found.tokens == stage.dollar.call.balanceOf(stage.house.call.VAULT())


@pytest.mark.parametrize("dollars", [1, DRAWN, 80_000, 80_001, LENT])
def test_rates_are_those_of_the_page(stage: Stage, dollars: int) -> None:
    draw(stage, dollars)
    stage.pass_time(12_345)
    pool, found = twin_of(stage), stage.lens.call.solvency()
    assert found.utilisation == pool.utilisation
    assert found.borrowRate == pool.lending.rate(pool.utilisation) * WAD // 1_000 > 0
    paid = found.borrowRate * pool.borrowed * pool.borrow_index * (100 - TERMS.reserve_share)
    shared = paid // (100 * pool.supplied * pool.supply_index)
    assert found.supplyRate == min(found.borrowRate, shared)
    assert 0 <= found.supplyRate < found.borrowRate


def test_the_supply_rate_is_what_suppliers_earn(stage: Stage) -> None:
    draw(stage, DRAWN)
    before, rate = stage.house.call.pool().supplyIndex, stage.lens.call.solvency().supplyRate
    stage.pass_time(3_600)
    earned = stage.house.call.pool().supplyIndex - before
    expected = before * rate * 3_600 // (WAD * YEAR)
    # Interest upon the interest of an hour.
    assert expected <= earned <= expected + expected // 100_000 + 1_000


def test_winners_who_took_cash_count_as_lent(stage: Stage) -> None:
    draw(stage, 10_000)
    for who in ("winner", "loser"):
        stage.deposit(who, WETH, wad(100))
    stage.trade("winner", "loser", {ETH: 4})
    stage.move({ETH: 2_100})
    stage.settle(stage.account("winner"), ETH)
    pool, found = twin_of(stage), stage.lens.call.solvency()
    assert pool.unpaid_winnings > 0
    assert found.utilisation == pool.utilisation > 10_000 * pool.borrowed_up // pool.supplied_down


def test_without_terms_cash_costs_nothing() -> None:
    bare = Stage(lent=LENT)
    bare.deposit("borrower", WETH, wad(1_000))
    draw(bare, DRAWN)
    found = bare.lens.call.solvency()
    assert (found.utilisation, found.borrowRate, found.supplyRate) == (6_000, 0, 0)


def test_losses_to_come_are_shared_by_supply(stage: Stage) -> None:
    stage.fund("small", 1_234)
    debtor, lender, small = (stage.account(who) for who in ("desk", "lender", "small"))
    assert stage.lens.call.lossShare(lender).expected == 0
    leave_with_debt(stage, debtor, RESERVES + 2_000)
    stage.start_auction(debtor)
    pool = twin_of(stage)
    expected = pool.expected_loss(stage.house.call.provisions())
    assert wad(2_000) <= expected < wad(2_001)
    shares = [stage.lens.call.lossShare(account) for account in (lender, small)]
    for account, found in zip((lender, small), shares, strict=True):
        cash = stage.cash(account)
        assert found.expected == expected
        assert found.share == cash * WAD // pool.supplied_down
        assert found.borne == -(-cash * expected // pool.supplied_down)
    assert stage.lens.call.lossShare(debtor) == (0, expected, 0)
    assert stage.lens.call.lossShare(stage.account("nobody")) == (0, expected, 0)
    assert stage.lens.call.solvency().provision == stage.house.call.provisions()

    before = {account: stage.cash(account) for account in (lender, small)}
    stage.house.writeOff(debtor)
    for account, found in zip((lender, small), shares, strict=True):
        # A provision is rounded up to a millionth of a dollar.
        assert -2 <= found.borne - (before[account] - stage.cash(account)) <= 10**12
    assert stage.lens.call.solvency().halted


def test_says_that_the_house_is_shut(stage: Stage) -> None:
    stage.house.submitShutdown()
    stage.pass_time(2 * 86_400)
    assert not stage.lens.call.solvency().shut
    stage.house.acceptShutdown()
    assert stage.lens.call.solvency().shut


class TestNames:
    def test_an_instrument_has_the_name_of_its_underlying(self, stage: Stage) -> None:
        assert stage.lens.call.symbol(ETH) == "ETH"
        named = stage.lens.call.describe(Instrument.perpetual(ETH).encode())
        assert named == "ETH perpetual, in dollars"

    def test_without_a_name_the_number_stands_for_it(self, stage: Stage) -> None:
        assert stage.lens.call.symbol(2) == ""
        named = stage.lens.call.describe(Instrument.perpetual(2).encode())
        assert named == "perpetual on underlying 2, in dollars"

    @pytest.mark.parametrize(
        "name",
        [
            "ETH-25DEC26",
            "ETH-25DEC26-2000-C",
            "ETH-4DEC26-2000-P",
            "ETH-1JAN25-0.5-C",
            "ETH-29FEB36-1048575-P",
            "ETH-31DEC35-0.0000000001-C",
            "ETH-31AUG30-100.0001-P",
            "ETH-31AUG30-104857500000-P",
        ],
    )
    def test_a_dated_instrument_is_called_as_people_do(self, stage: Stage, name: str) -> None:
        instrument = instruments.Instrument.parse(name, {"ETH": ETH})
        assert instrument.name("ETH") == name
        assert stage.lens.call.describe(instrument.id) == name

    def test_a_dated_instrument_without_a_name_has_a_number(self, stage: Stage) -> None:
        instrument = instruments.Instrument.parse("2-25DEC26-2000-C", {"2": 2})
        assert stage.lens.call.describe(instrument.id) == "2-25DEC26-2000-C"

    @pytest.mark.parametrize(
        "instrument",
        [
            0,
            1,
            2 << 46 | ETH << 37 | 1,
            2 << 46 | 77 << 37,
            3 << 46 | ETH << 37 | 20 << 5 | 1 << 1,
            Instrument.perpetual(ETH).encode() + 1,
            3 << 46 | ETH << 37,
            1 << 46,
            1 << 46 | 77 << 37,
        ],
    )
    def test_what_is_no_instrument_has_none(self, stage: Stage, instrument: int) -> None:
        with refuses(stage, "UnknownInstrument", instrument):
            stage.lens.call.describe(instrument)

    def test_a_name_of_the_greatest_length_is_told_whole(self, stage: Stage) -> None:
        name = "".join(chr(33 + n) for n in range(31))
        stage.engine.submit(Kind.SYMBOL, ETH, encode_symbol(name))
        stage.pass_time(2 * 86_400)
        stage.engine.accept(Kind.SYMBOL, ETH)
        assert stage.lens.call.symbol(ETH) == name

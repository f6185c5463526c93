"""What the SDK reads of options and futures, and what the twin says of them here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from plimsoll.errors import MalformedIdError
from plimsoll.instruments import Instrument, Position
from plimsoll.records import Portfolio
from plimsoll.risk.options import OptionTerms
from plimsoll.risk.params import Kind, OptionsParams
from plimsoll.snapshot import MarketState, expiries_of
from tests.surfaces import surface
from tests.unit import lens_house
from tests.unit.lens_house import BTC, ETH

TERMS = OptionsParams(2_500, 100, 3_000, 3, 3, 400, 2)
NEVER = 4_000


class House(lens_house.House):
    """With options on ether."""

    def _list(self) -> None:
        super()._list()
        self.terms.engine.setUp(Kind.OPTIONS, ETH, TERMS.word)

    def state(self, *held: Instrument) -> MarketState:
        found: MarketState = self.deployer.snapshot([ETH, BTC], expiries=expiries_of(held))
        return found


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    with built.evm.anchored():
        built.terms.report_surface(ETH, surface(built.evm.time, 2))
        yield built


def portfolio(cash: int, *positions: tuple[Instrument, str]) -> Portfolio:
    held = tuple(Position(one, Decimal(size), Decimal(0)) for one, size in positions)
    return Portfolio(Decimal(cash), (), held)


def first(house: House) -> int:
    return surface(house.evm.time, 1)[0].expiry_day


def test_expiries_are_those_of_what_is_dated() -> None:
    held: Sequence[Instrument] = [
        Instrument.perpetual(ETH),
        Instrument.future(ETH, 700),
        Instrument.option(ETH, 700, 2_000, put=True),
        Instrument.option(BTC, 701, 50_000, put=False),
    ]
    assert expiries_of(held) == {(ETH, 700), (BTC, 701)}


def test_reads_slices_terms_and_the_time(house: House) -> None:
    day = first(house)
    state = house.state(Instrument.future(ETH, day), Instrument.future(ETH, NEVER))
    assert state.inputs.now == house.evm.time == state.timestamp
    read = state.inputs.expiries[ETH, day]
    assert read.slice == surface(house.evm.time, 1)[0]
    assert (read.observed_at, read.samples, read.sum) == (house.evm.time, 0, 0)
    assert not state.inputs.expiries[ETH, NEVER].is_known
    assert state.inputs.underlyings[ETH].options == OptionTerms(2_500, 100, 3_000, 3, 3, 400, 2)
    assert state.inputs.underlyings[BTC].options is None


def test_a_short_straddle_is_liquidated_on_both_sides(house: House) -> None:
    call, put = (Instrument.option(ETH, first(house), 2_000, put=put) for put in (False, True))
    held = portfolio(1_000, (call, "-1"), (put, "-1"))
    state = house.state(call)
    margin = state.margin(held)
    assert margin.healthy
    assert margin.equity < 1_000
    found = state.liquidation_prices(held, ETH)
    assert found.at_or_below is not None
    assert found.at_or_above is not None
    assert found.at_or_below < 2_000 < found.at_or_above
    for price, inward in ((found.at_or_below, 1), (found.at_or_above, -1)):
        assert not state.at_prices({ETH: price}).margin(held).healthy
        beside = price + inward * Decimal("1e-18")
        assert state.at_prices({ETH: beside}).margin(held).healthy


def test_who_has_paid_for_his_options_is_never_liquidated(house: House) -> None:
    call = Instrument.option(ETH, first(house), 2_200, put=False)
    state = house.state(call)
    found = state.liquidation_prices(portfolio(10, (call, "1")), ETH)
    assert (found.at_or_below, found.at_or_above) == (None, None)


def test_a_trade_in_an_option_is_foreseen(house: House) -> None:
    call = Instrument.option(ETH, first(house), 2_200, put=False)
    fill = house.deployer.market("ETH").fill(-1, 30)
    before, after = house.state(call).what_if(
        portfolio(1_000), [replace(fill, instrument=call)], {}
    )
    assert before.equity == 1_000
    assert after.initial_margin > before.initial_margin == 0


def test_a_market_is_named_as_people_name_it(house: House) -> None:
    day = first(house)
    put = Instrument.option(ETH, day, 2_000, put=True)
    name = put.name({ETH: "ETH"})
    assert house.deployer.market(name).instrument == put
    assert house.deployer.market(put).instrument == put
    assert house.deployer.market("ETH").instrument == Instrument.perpetual(ETH)
    assert house.deployer.market("ETH-PERPETUAL").instrument == Instrument.perpetual(ETH)
    with pytest.raises(MalformedIdError, match="DOGE"):
        house.deployer.market("DOGE-4DEC26")
    with pytest.raises(MalformedIdError, match="the deployment names"):
        house.deployer.market("DOGE")

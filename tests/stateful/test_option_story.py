"""What chance may leave out of options and futures, told outright: a book through its expiry, and
sellers who are taken over in slices. The machine checks every invariant at each step."""

from __future__ import annotations

from collections import Counter

import pytest

from plimsoll.risk.instruments import expiry_of
from plimsoll.risk.ledger import CASH
from plimsoll.risk.model import WAD
from plimsoll.risk.oracle import FIXING_SAMPLES
from tests.house import BTC, ETH
from tests.stateful.machine import Amount, aged_house
from tests.stateful.option_machine import FIXING, OptionMachine

BULL, CAROL, DEALER = 0, 3, 4
STALE = 7_200


class Told(OptionMachine):
    """Its steps are chosen by hand."""

    def sees(self, *outcomes: str) -> None:
        """At least these, since the last time."""
        found = +self.house.outcomes
        missing = Counter(outcomes) - found
        assert not missing, f"{missing} of {found}"
        self.house.outcomes.clear()

    def takes(self, u: int, kind: str, share: int, place: int, *, buys: bool, odd: int = 0) -> int:
        """Alice takes an instrument from the dealer, at the mark."""
        instrument = self._instrument(u, kind, share, place, odd)
        dealer, alice = self.people[DEALER], self.people[BULL]
        self._trade_dated(dealer, alice, {instrument: WAD}, 1_000, not buys)
        return instrument


@pytest.fixture(scope="module")
def teller() -> type[Told]:
    house = aged_house()
    go_back = staticmethod(house.checkpoint())
    return type("Teller", (Told,), {"house": house, "go_back": go_back})


@pytest.fixture
def told(teller: type[Told]) -> Told:
    """From the beginning, with plenty behind it."""
    one = teller()
    one.begin(5_000_000, 1_000_000, [(0, 1)], None, False)
    one.house.outcomes.clear()
    return one


def test_a_book_through_its_expiry(told: Told) -> None:
    """Traded, closed to new risk for each reason, fixed sample by sample, and settled by
    strangers."""
    told.takes(ETH, "call", 10_000, 0, buys=True)
    told.sees("take: UnknownInstrument")
    for u in (ETH, BTC):
        told.report_surface(u, 60, True)
        for kind, buys in (("call", False), ("put", True), ("future", True)):
            told.takes(u, kind, 10_000, 0, buys=buys)
        told.takes(u, "call", 11_000, 1, buys=True)
    told.takes(ETH, "call", 10_000, 0, buys=True, odd=1)
    told.sees(*["take: done"] * 8, "take: MarketClosed", "surface: ReportNotNewer")
    (_, day), *_ = sorted(told._open(), key=lambda one: one[1])
    ending = {i for i in told._dated(told.people[BULL]) if (i >> 25 & 0xFFF) == day}
    assert len(ending) == 6
    told._wait(STALE)
    told.takes(ETH, "call", 11_000, 1, buys=True)
    told.reduce_dated(BULL, 0, 5_000, 0)
    told.settle_dated(0)
    told.sees("take: SurfaceStale", "take: done", "settle: SurfaceStale")
    told._pass_to(expiry_of(day) - FIXING)
    told.move_price(ETH, 400)
    told._record_fixing(ETH, day, told._samples(ETH, day)[:2])
    told._record_fixing(ETH, day, [told._samples(ETH, day)[0] - 1])
    told.sees("fixing: RoundTooEarly")
    told._pass_to(expiry_of(day) - FIXING + 650)
    told._record_fixing(ETH, day, told._samples(ETH, day)[:1])
    told.settle_dated(0)
    told._pass_to(expiry_of(day) + 3_600)
    told._withdraw(told.people[BULL], CASH, Amount.SOME, 1_000)
    for u in (ETH, BTC):
        told._record_fixing(u, day, told._samples(u, day))
        told._record_fixing(u, day, [1])
        assert told.house.expiries[u, day].samples == FIXING_SAMPLES
    told.sees("fixing: done", "fixing: done", "fixing: done", "fixing: FixingComplete")
    for account in told.people:
        for instrument in ending & set(told._dated(account)):
            told._settle_dated(account, instrument)
    assert not any(ending & set(told._dated(account)) for account in told.people)
    told.sees(*["settle: final"] * 12)


@pytest.mark.parametrize("put", [False, True])
def test_a_seller_is_taken_over_in_slices(told: Told, put: bool) -> None:
    told.crush_a_seller(BULL, ETH, put, 9_000, 12_000, 300, False)
    told.sees("auction: RUNNING", "bid: done")


def test_the_backstop_takes_over_a_seller_and_sells_it_again(told: Told) -> None:
    told.crush_a_seller(CAROL, BTC, True, 9_000, 12_000, 900, True)
    told.sees("backstop bid: done")
    for _ in range(3):
        told.resell(0, 10_000, 0, DEALER)
    told.sees("backstop order: done")

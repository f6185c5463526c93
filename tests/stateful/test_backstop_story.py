"""What chance may leave out, told outright: the whole life of a share and of a slice, and holders
who would leave before a loss. The machine checks every invariant at each step."""

from __future__ import annotations

from collections import Counter

import pytest

from plimsoll.risk import backstop as twin
from plimsoll.risk.model import BPS, WAD
from tests.backed_house import HOLDERS
from tests.house import DOLLAR, ETH
from tests.stateful.backed_machine import BackedMachine
from tests.stateful.machine import aged_house

FIRST, SECOND = HOLDERS
DEEP = 900
BULL, DEALER, BEAR = 0, 4, 3


class Told(BackedMachine):
    """Its steps are chosen by hand."""

    def sees(self, *outcomes: str) -> None:
        """Exactly these of the backstop, since the last time."""
        found = +self.house.outcomes
        seen = {name: n for name, n in found.items() if name.startswith("backstop")}
        assert seen == Counter(f"backstop {outcome}" for outcome in outcomes)
        self.house.outcomes.clear()


@pytest.fixture(scope="module")
def teller() -> type[Told]:
    house = aged_house()
    go_back = staticmethod(house.checkpoint())
    return type("Teller", (Told,), {"house": house, "go_back": go_back})


@pytest.fixture
def told(teller: type[Told]) -> Told:
    """From the beginning."""
    return teller()


def begin(told: Told, *, leaving: bool = False) -> None:
    told.begin(300_000, 1_000_000, [], None, leaving)
    told.house.outcomes.clear()


def take_over(told: Told) -> None:
    """A slice of ether sold short, by somebody who has ether too."""
    told.ruin(BULL, {ETH: WAD}, 9_000, 12_000, True)
    account = told.people[BULL]
    told._auction(account, 30)
    told._take_over(account)
    told.sees("bid: TooShallow")
    told._wait(DEEP)
    told._take_over(account)
    told.sees("bid: done")


def test_shares_and_a_slice_live_and_end(told: Told) -> None:
    begin(told)
    told.settle_epoch(False)
    told.hold(FIRST, "request", 5_000, 0)
    told.settle_epoch(False)
    told.sees("settlement: NothingToSettle", "request: done", "settlement: EpochRunning")
    value = told.vault.value.upper
    take_over(told)
    told.take_over_as_it_is(len(told.people))
    told.sees("bid: OwnSubAccount")
    for beyond in (1, 0):
        told.resell(0, BPS, beyond, DEALER)
    told.resell(0, BPS, 0, DEALER)
    told.sees("order: InvalidSignature", "order: done", "sale: done")
    # What it was paid for the slice is more than selling it cost.
    assert told.vault.value.upper > value
    told.sweep(1)
    told.sweep(1)
    told.sweep(0)
    told.sees("sweep: done", "sweep: NothingToSweep", "sweep: NotInUse")
    told.settle_epoch(True)
    for step, part in (("redeem", 5_000), ("withdraw", BPS + 1), ("withdraw", BPS)):
        told.hold(FIRST, step, part, 0)
    told.sees(
        "settlement: done",
        "redeem: done",
        "withdraw: ERC4626ExceededMaxWithdraw",
        "withdraw: done",
    )
    assert told.vault.tokens == 0
    assert not told.vault.uses


def test_who_leaves_while_a_slice_is_held_takes_what_it_is_sure_to_fetch(told: Told) -> None:
    begin(told)
    told.hold(SECOND, "request", 5_000, 0)
    told._wait(2 * twin.EPOCH_LENGTH)
    told.sees("request: done")
    take_over(told)
    told.resell(0, BPS, 0, DEALER)
    value = told.vault.value
    assert value.lower < value.upper
    told.settle_epoch(False)
    told.sees("order: done", "settlement: done")
    part = 144 * value.lower // 300 // told.house.ledger.cash_scale
    assert abs(told.vault.holders[SECOND].max_withdraw - part) <= 1


def test_nobody_leaves_before_a_loss(told: Told) -> None:
    begin(told, leaving=True)
    told.hold(FIRST, "request", BPS, 0)
    told.trade(DEALER, BEAR, {ETH: WAD}, 9_000, True, 0, False)
    told.settle_epoch(False)
    told.sees("request: done", "settlement: done")
    (epoch,) = told.house.backing.shares.waiting()
    told._wait(twin.end_of(epoch) - told.house.now)
    bankrupt = told.people[BEAR]
    told._gap(bankrupt, 7_000)
    told._auction(bankrupt, DEEP)
    told.settle_epoch(False)
    told._bid(bankrupt, told.liquidator, WAD)
    assert told.house.outcomes["loss: from suppliers"] == 1
    told.settle_epoch(False)
    told.sees("settlement: ProvisionOpen", "settlement: RiskHalted")
    told._resume()
    told.settle_epoch(False)
    told.sees("settlement: done")
    # He bore it: his shares fetch no more than his part of what the reserves earned since.
    assert told.vault.holders[FIRST].max_redeem == 6_000 * DOLLAR * twin.VIRTUAL_SHARES
    assert told.vault.holders[FIRST].max_withdraw < DOLLAR
    assert told.vault.holders[SECOND].max_withdraw > 280_000 * DOLLAR

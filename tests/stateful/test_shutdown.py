"""The same machine in a house that was shut and whose seven days are over: positions become cash at
one price, nobody who has one is judged, and everybody who has none leaves."""

from __future__ import annotations

from collections import Counter
from re import fullmatch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from plimsoll.risk import model
from plimsoll.risk.ledger import CLOSING_TIME, WINDING_DELAY, Account
from plimsoll.risk.model import BPS, WAD
from tests.backed_house import HOLDERS, BackedHouse
from tests.house import ALT, BTC, ETH
from tests.stateful.backed_machine import BackedMachine
from tests.stateful.invariants import named, require
from tests.stateful.machine import (
    FIRST_PRICES,
    PEOPLE,
    aged_house,
    markets,
)

THE_BACKSTOPS = len(PEOPLE)
"""Index of the account that holds its slice."""
STEPS = {"quick": 20, "ci": 40, "deep": 60}
EXAMPLES = {"quick": 3, "ci": 15, "deep": 500}
SEEN = (
    "close out: done",
    "settle: MarketEnded",
    "(take|trade): Shut",
    "withdraw: done",
    "withdraw: PositionsOpen",
    "flag: PositionsOpen",
)


def shut_house() -> BackedHouse:
    """People hold positions of every market in every direction when the seven days are over."""
    house = aged_house()
    accounts = [house.account(name, sub) for name, sub in PEOPLE]
    house.ask_back(HOLDERS[0], house.invest(HOLDERS[0], 10**7 * 10**6))
    _have_taken_over(house, accounts[5])
    for index, (u, dollars) in enumerate(((ETH, 9_000), (BTC, -7_000), (ALT, 5_000))):
        for one in (index, index + 1):
            house.deposit(accounts[one], 0, 3_000 * 10**6)
            house.open_position(accounts[one], u, dollars * WAD * WAD // FIRST_PRICES[u])
    house.wind("submit shutdown")
    house.warp(WINDING_DELAY)
    house.wind("accept shutdown")
    house.warp(CLOSING_TIME)
    for u, price in FIRST_PRICES.items():
        house.set_price(u, price)
    house.observe(*FIRST_PRICES)
    house.outcomes.clear()
    return house


def _have_taken_over(house: BackedHouse, account: Account) -> None:
    """The backstop holds a slice of somebody who had ether, and more of it on credit."""
    house.open_position(account, ETH, 500 * WAD)
    house.set_price(ETH, 1_750 * WAD)
    house.flag(account)
    for wait in (12, 900):
        house.warp(wait)
        house.set_price(ETH, 1_750 * WAD)
        if wait == 12:
            house.flag(account)
    house.take_over(account)


class ClosingMachine(BackedMachine):
    """Whoever likes closes out whom they like."""

    @rule(index=st.integers(0, THE_BACKSTOPS), u=markets)
    def close_out(self, index: int, u: int) -> None:
        account = self.accounts[index]
        held = self.house.ledger.state(account).position(model.perpetual(u))
        amounts: list[int] = []
        # By force, so no rule binds it: a hedge may lose one of its legs before the other.
        with self.acting("closing out", exempt=account):
            amounts.append(self.house.close_out(account, u))
        basis = self.house.ledger.basis(model.perpetual(u))
        with named("closing out"):
            for amount in amounts:
                due = held.size * (basis or 0) // WAD + held.quote
                require(18, amount == due, f"closed out at {amount} of {due}")

    @rule(u=markets, order=st.permutations(range(THE_BACKSTOPS + 1)))
    def close_market(self, u: int, order: list[int]) -> None:
        """A whole market, in any order: what one gains another loses, to the unit."""
        for index in order:
            self.close_out(index, u)
        self.settle(order[0] % THE_BACKSTOPS, u)

    @rule(order=st.permutations(range(6)))
    def leave(self, order: list[int]) -> None:
        """Everybody takes what the vault has for them."""
        for index in order:
            account = self.accounts[index]
            cash = max(0, self.picture.portfolios[account].cash)
            units = min(cash, self.house.ledger.vault_cash) // self.house.ledger.cash_scale
            with self.acting("leaving", account, alone=True):
                self.house.withdraw(account, 0, units)


def _machine(house: BackedHouse, outcomes: Counter[str]) -> type[ClosingMachine]:
    go_back = staticmethod(house.checkpoint())
    told = {"house": house, "outcomes": outcomes, "go_back": go_back}
    return type("Machine", (ClosingMachine,), told)


def test_the_backstop_is_closed_out_before_its_holders_leave() -> None:
    """No margin knows a fixed market: until then nobody comes or goes at what it says."""
    house = shut_house()
    told = _machine(house, Counter())()
    told.hold(HOLDERS[0], "deposit", BPS, 1)
    told.settle_epoch(True)
    told.close_out(THE_BACKSTOPS, ETH)
    told.resell(0, BPS, 0, 0)
    told.sweep(1)
    told.settle_epoch(False)
    told.hold(HOLDERS[0], "redeem", BPS, 0)
    assert [name for name in +house.outcomes if name.startswith("backstop")] == [
        "backstop deposit: ERC4626ExceededMaxDeposit",
        "backstop settlement: ValuationDoubtful",
        "backstop sale: done",
        "backstop sweep: done",
        "backstop settlement: done",
        "backstop redeem: done",
    ]


def test_a_house_that_was_shut_pays_everybody_out() -> None:
    outcomes: Counter[str] = Counter()
    house = shut_house()
    machine = _machine(house, outcomes)
    profile = settings.get_current_profile_name()
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=EXAMPLES[profile], stateful_step_count=STEPS[profile]),
    )
    print("\n".join(f"{count:7} {name}" for name, count in sorted(outcomes.items())))
    if profile != "quick":
        missing = [name for name in SEEN if not any(fullmatch(name, o) for o in outcomes)]
        assert not missing, f"never seen: {', '.join(missing)}"

"""Whatever people do with cash and collateral, the books hold together: the twin alone, at random.

The same rules as of the stateful test of the whole house, without contracts, so many more of them.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.risk.ledger import CASH, RAY, BidTerms, Lending, Refused
from plimsoll.risk.model import WAD
from tests.python.desk import BORROWER, DOLLAR, KEEPER, RUNNER, SAVER, START, TOKEN, Desk
from tests.python.test_ledger_interest import surplus
from tests.strategies import lendings

PEOPLE = (SAVER, RUNNER, BORROWER, KEEPER)
PRICES = (2_500, 2_000, 1_700, 900, 200)
LIMIT = 250_000
seen: Counter[str] = Counter()

steps = st.tuples(
    st.sampled_from(
        [
            "deposit",
            "withdraw",
            "withdraw",
            "borrow",
            "transfer",
            "price",
            "wait",
            "liquidate",
            "run",
        ]
    ),
    st.integers(0, 3),
    st.sampled_from([CASH, TOKEN]),
    st.sampled_from([1_000, 5_000, 10_000, 10_001]),
)


class Run:
    """One history: savers, and somebody who borrows of them."""

    def __init__(self, lending: Lending, reserves: int) -> None:
        self.desk = Desk(lending=lending, outflows={CASH: LIMIT, TOKEN: 40})
        self.operations = 0
        for account, dollars in ((SAVER, 100_000), (RUNNER, 300_000), (KEEPER, 50_000)):
            self.desk.deposit(account, CASH, dollars)
        self.desk.deposit(BORROWER, TOKEN, 60)
        self.desk.withdraw(BORROWER, CASH, 90_000 * DOLLAR)
        if reserves:
            self.desk.ledger.add_reserves(reserves * DOLLAR, self.desk.context())

    def act(self, what: str, index: int, asset: int, share: int) -> None:
        desk, account = self.desk, PEOPLE[index]
        self.operations += 8
        try:
            if what == "deposit":
                desk.deposit(account, asset, share if asset == CASH else 1 + share // 500)
            elif what == "withdraw":
                self.withdraw(account, asset, share)
            elif what == "borrow":
                free = desk.ledger.margin(account, desk.context())
                units = (free.initial_equity - free.initial_margin) * share // (10_000 * 10**12)
                desk.withdraw(account, CASH, max(0, units))
            elif what == "transfer":
                amount = max(0, desk.cash(account)) * share // 10_000
                desk.ledger.transfer(account, account + 1, CASH, amount, desk.context())
            elif what == "price":
                desk.price = PRICES[(index + share) % len(PRICES)] * WAD
            elif what == "wait":
                desk.later((1, 60, 3_600, 40 * 24 * 3_600)[index])
            elif what == "run":
                self.run(account, share)
            else:
                self.liquidate(share)
        except Refused as refused:
            what = refused.error
        seen[what] += 1

    def withdraw(self, account: int, asset: int, share: int) -> None:
        held = self.desk.ledger.portfolio(account)
        units = held.cash // 10**12 if asset == CASH else held.amount(asset)
        charge = self.desk.withdraw(account, asset, max(0, units) * share // 10_000)
        seen["charged"] += charge > 0

    def run(self, account: int, share: int) -> None:
        """A supplier runs from a loss that everybody sees coming."""
        self.desk.price = PRICES[-1] * WAD
        if not self.desk.ledger.auction(BORROWER).is_flagged:
            self.desk.auction(BORROWER)
        self.withdraw(account, CASH, share // 2)

    def liquidate(self, share: int) -> None:
        desk, ledger = self.desk, self.desk.ledger
        if not ledger.auction(BORROWER).is_flagged:
            desk.auction(BORROWER)
            seen["provision"] += ledger.provisions > 0
            if share < 5_000:
                return
        desk.later(700)
        terms = BidTerms(BORROWER, KEEPER, min(WAD, WAD * share // 10_000), 2**200, desk.now)
        seen["shared loss"] += ledger.bid(terms, desk.context()).loss.is_shared

    def judge(self, before: tuple[int, int, int]) -> None:
        ledger, pool = self.desk.ledger, self.desk.ledger.pool
        dust = (2 + (pool.supply_index + pool.borrow_index) // RAY) * self.operations
        left = surplus(pool, ledger.vault_cash)
        assert 0 <= left <= (20 + dust) * RAY, "conservation"
        assert ledger.vault_cash >= pool.owed
        states = ledger.accounts.values()
        assert pool.supplied == sum(max(0, one.principal) for one in states)
        assert pool.borrowed == sum(max(0, -one.principal) for one in states)
        assert ledger.provisions == sum(ledger.provision(a) for a in ledger.accounts)
        flagged = [a for a in ledger.accounts if ledger.auction(a).is_flagged]
        assert all(a in flagged for a in ledger.accounts if ledger.provision(a))
        assert ledger.custody(TOKEN).total == sum(one.amount(TOKEN) for one in states)
        index, borrow_index, losses = before
        assert pool.borrow_index >= borrow_index
        assert pool.supply_index >= index or seen["shared loss"] > losses
        used = ledger.cash_outflow.used(ledger.vault_cash, self.desk.now)
        assert used * 4 <= 5 * LIMIT * DOLLAR

    def numbers(self) -> tuple[int, int, int]:
        pool = self.desk.ledger.pool
        return pool.supply_index, pool.borrow_index, seen["shared loss"]


@settings(max_examples=250)
@given(lendings(), st.sampled_from([0, 20_000]), st.lists(steps, min_size=15, max_size=25))
def check_books(lending: Lending, reserves: int, history: list[tuple[str, int, int, int]]) -> None:
    run = Run(lending, reserves)
    for step in history:
        before = run.numbers()
        run.act(*step)
        run.judge(before)
    assert run.desk.now >= START


def test_the_books_hold_together() -> None:
    seen.clear()
    check_books()
    for outcome in (
        "charged",
        "provision",
        "shared loss",
        "OutflowLimited",
        "InsufficientLiquidity",
        "BelowInitialMargin",
    ):
        assert seen[outcome], f"never seen: {outcome}"

"""Cash is lent: what borrowers owe is what suppliers and the reserves own, through any history.

People supply, borrow and repay, somebody gives to the reserves, terms change, and time passes.
After every step the pool is the twin's to the last wei, and the vault covers the books.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import params
from plimsoll.risk.ledger.pool import RAY, YEAR, Lending, Pool
from plimsoll.risk.params import Kind, LendingParams
from tests.scenarios.stage import CASH, CASH_SCALE, ETH, WETH, Stage, wad

PEOPLE = ("ann", "ben", "cas")
TERMS = LendingParams(kink=80, rate_at_kink=60, rate_at_full=3_000, reserve_share=20)
MILD = LendingParams(kink=80, rate_at_kink=60, rate_at_full=300, reserve_share=20)
OTHERS = (
    TERMS,
    LendingParams(kink=1, rate_at_kink=0, rate_at_full=8_191, reserve_share=0),
    LendingParams(kink=99, rate_at_kink=8_191, rate_at_full=8_191, reserve_share=50),
)
MOST = 3_000_000


def plain(terms: LendingParams) -> Lending:
    return Lending(terms.kink, terms.rate_at_kink, terms.rate_at_full, terms.reserve_share)


class Bank:
    """A stage with nothing but collateral and a little reserve, beside the twin of its pool."""

    def __init__(self) -> None:
        stage = self.stage = Stage(lending=TERMS, lent=1, reserves=1_000)
        for who in PEOPLE:
            stage.deposit(who, WETH, wad(4_000))
            stage.give(stage.actor(who), CASH, 10**18)
        self.pool = Pool(
            supplied=wad(1), capital=wad(1_000), accrued_at=stage.now, lending=plain(TERMS)
        )
        self.principals = dict.fromkeys(PEOPLE, 0)
        self.roundings = 0
        self.reached: set[str] = set()

    def move(self, who: str, change: int) -> None:
        self.pool = self.pool.accrued(self.stage.now)
        old = self.principals[who]
        new = self.pool.principal(self.pool.value(old) + change)
        self.pool = self.pool.replaced(old, new)
        self.principals[who] = new
        self.roundings += 3

    # What may happen

    def pay(self, who: str, units: int) -> None:
        account = self.stage.account(who)
        self.stage.house.deposit(account, CASH, units, sender=self.stage.actor(who))
        self.move(who, units * CASH_SCALE)

    def draw(self, who: str, units: int) -> None:
        """As much as there is."""
        units = min(units, self.tokens)
        if units:
            self.stage.withdraw(self.stage.account(who), CASH, units)
            self.move(who, -units * CASH_SCALE)

    def give(self, who: str, units: int) -> None:
        self.stage.house.addReserves(units, sender=self.stage.actor(who))
        pool = self.pool.accrued(self.stage.now)
        self.pool = replace(pool, capital=pool.capital + units * CASH_SCALE)

    def change(self, which: int) -> None:
        """Other terms, two days later."""
        terms = OTHERS[which]
        self.stage.engine.submit(Kind.LENDING, CASH, terms.word)
        self.stage.pass_time(params.DELAY)
        self.stage.engine.accept(Kind.LENDING, CASH)
        self.stage.house.refresh(CASH)
        self.pool = replace(self.pool.accrued(self.stage.now), lending=plain(terms))
        self.roundings += 2

    def wait(self, seconds: int) -> None:
        self.stage.pass_time(seconds)

    # What must hold

    @property
    def tokens(self) -> int:
        return int(self.stage.dollar.call.balanceOf(self.stage.vault))

    def check(self) -> None:
        pool, view = self.pool.accrued(self.stage.now), self.stage.house.call.pool()
        assert (view.supplyIndex, view.borrowIndex) == (pool.supply_index, pool.borrow_index)
        assert (view.supplied, view.borrowed) == (pool.supplied_up, pool.borrowed_down)
        assert (view.reserves, view.deficit) == (pool.reserves, 0)
        assert view.accruedAt == self.pool.accrued_at
        for who in PEOPLE:
            assert self.stage.cash(self.stage.account(who)) == pool.value(self.principals[who])
        self.check_cover(pool)

    def check_cover(self, pool: Pool) -> None:
        """Exactly: tokens less what is owed on balance, dollars times RAY."""
        owed = pool.supplied * pool.supply_index - pool.borrowed * pool.borrow_index
        surplus = (self.tokens * CASH_SCALE - pool.capital) * RAY - owed
        largest = max(pool.supply_index, pool.borrow_index)
        assert 0 <= surplus <= (self.roundings + 1) * (RAY + largest)
        if pool.borrowed and pool.borrow_index > RAY:
            self.reached.add("interest ran")
        self.reached.add(f"used {pool.utilisation // 2_500}")


@pytest.fixture(scope="module")
def standing() -> Bank:
    return Bank()


people = st.sampled_from(PEOPLE)
amounts = st.integers(1, 10) | st.integers(1, MOST * 10**6) | st.just(MOST * 10**6)
steps = st.one_of(
    st.tuples(st.just("pay"), people, amounts),
    st.tuples(st.just("draw"), people, amounts),
    st.tuples(st.just("draw"), people, amounts),
    st.tuples(st.just("give"), people, amounts),
    st.tuples(st.just("change"), st.integers(0, len(OTHERS) - 1)),
    st.tuples(st.just("wait"), st.sampled_from([1, 12, 86_400, YEAR // 12])),
)


def test_every_history_is_the_twins(standing: Bank) -> None:
    """Found rather than drawn: no run may miss interest, or a pool that is used up."""
    reached: set[str] = set()

    @given(st.lists(steps, min_size=4, max_size=16))
    def run(history: list[tuple[str, ...]]) -> None:
        stage, bank = standing.stage, standing
        kept = bank.pool, dict(bank.principals), bank.roundings
        with stage.evm.anchored():
            bank.pay("ann", 1_000_000 * 10**6)
            bank.draw("ben", 700_000 * 10**6)
            bank.check()
            for name, *args in history:
                getattr(bank, name)(*args)
                bank.check()
        bank.pool, bank.principals, bank.roundings = kept
        reached.update(bank.reached)

    run()
    assert {"interest ran", "used 4", "used 0"} <= reached


class TestBorrowing:
    """The limits of what can be borrowed: the tokens present, and the collateral."""

    @pytest.fixture
    def stage(self) -> Stage:
        stage = Stage(lending=MILD, lent=1_000, reserves=0)
        stage.deposit("owner", WETH, wad(1))
        return stage

    def test_ends_with_the_tokens_present(self, stage: Stage) -> None:
        account = stage.account("owner")
        stage.withdraw_cash(account, 600)
        with stage.evm.reverts("InsufficientLiquidity", 400 * 10**6, 400 * 10**6 + 1):
            stage.withdraw(account, CASH, 400 * 10**6 + 1)
        with stage.evm.reverts("InsufficientLiquidity", 400 * 10**6, 1_000 * 10**6):
            stage.withdraw_cash(stage.lender, 1_000)
        stage.withdraw_cash(stage.lender, 400)
        with stage.evm.reverts("InsufficientLiquidity", 0, 1):
            stage.withdraw(stage.lender, CASH, 1)

    def test_supply_returns_with_what_borrowers_repay(self, stage: Stage) -> None:
        stage.withdraw_cash(stage.account("owner"), 1_000)
        stage.pass_time(YEAR)
        owed = -stage.cash(stage.account("owner"))
        interest = owed - wad(1_000)
        assert interest == wad("349.5"), "1 + 0.3 + 0.3^2 / 2 + 0.3^3 / 6"
        stage.fund("owner", 2_000)
        worth = stage.cash(stage.lender)
        assert worth == wad(1_000) + interest * 8 // 10
        stage.withdraw(stage.lender, CASH, worth // CASH_SCALE)
        assert stage.house.call.pool().reserves == interest // 5
        assert 0 <= stage.surplus([stage.account("owner")]) < 10**3

    def test_interest_alone_takes_a_borrower_to_his_auction(self, stage: Stage) -> None:
        account = stage.account("owner")
        stage.withdraw_cash(account, 1_000)
        stage.pass_time(YEAR)
        assert stage.margin(account).is_healthy
        stage.house.refresh(CASH)
        stage.pass_time(YEAR)
        assert not stage.margin(account).is_healthy
        stage.start_auction(account)


def test_a_wei_of_supply_does_not_take_the_index_to_its_end() -> None:
    """The reserves lent nearly all of it: what a wei earns is what a wei pays."""
    stage = Stage(lending=TERMS, lent="0.000001", reserves=1_000_000)
    stage.deposit("owner", WETH, wad(1))
    stage.withdraw_cash(stage.account("owner"), 1_000)
    stage.pass_time(YEAR)
    pool = stage.house.call.pool()
    assert RAY < pool.supplyIndex <= pool.borrowIndex
    earned = pool.borrowed - wad(1_000)
    assert pool.reserves - wad(1_000_000) == earned - (pool.supplied - wad("0.000001"))


def test_a_quote_that_winners_took_counts_as_used() -> None:
    """Unpaid winnings are lent by the suppliers as well."""
    rates = []
    for won in (0, 500):
        stage = Stage(lending=TERMS, lent=10_000, reserves=100_000)
        stage.deposit("owner", WETH, wad(1))
        stage.withdraw_cash(stage.account("owner"), 1_000)
        for who in ("maker", "taker"):
            stage.deposit(who, WETH, wad(100))
        stage.trade("maker", "taker", {ETH: 10})
        stage.report({ETH: wad(2_000 + won // 10)})
        stage.settle(stage.account("maker"), ETH)
        assert stage.house.call.pool().netQuote == -wad(won)
        stage.pass_time(YEAR)
        rates.append(stage.house.call.pool().borrowIndex)
    assert rates[0] < rates[1]

"""What may leave of an asset within an hour: the limits of `withdraw`, told by `outflow`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.risk import params
from plimsoll.risk.params import NO_LIMIT, Kind, OutflowParams
from tests.evm import Receipt
from tests.scenarios.stage import CASH, COLLATERAL, ETH, WBTC, WETH, Collateral, Stage, wad
from tests.unit.books import HOUR, emitted, happened, refuses
from tests.unit.conftest import kept

LIMIT, CASH_LIMIT = 40, 5_000
WIDE = 5
NONE = 2**256 - 1
MICRO = 10**6
SATOSHI = 10**8


@pytest.fixture(scope="module")
def limited() -> Stage:
    """Forty ether, forty bitcoin and forty of a token of 27 decimals, and 5,000 dollars an hour."""
    stage = Stage(
        collateral={**COLLATERAL, WIDE: Collateral(ETH, decimals=27)},
        outflows={CASH: CASH_LIMIT, WETH: LIMIT, WBTC: LIMIT, WIDE: 1_000},
    )
    for asset, units in ((WETH, wad(100)), (WBTC, 100 * SATOSHI), (WIDE, 3_000 * 10**27)):
        stage.deposit("owner", asset, units)
    stage.fund("owner", 100_000)
    stage.house.refresh(CASH)
    stage.pass_time(2 * HOUR)
    return stage


@pytest.fixture
def stage(limited: Stage) -> Iterator[Stage]:
    yield from kept(limited)


def out(stage: Stage, asset: int, units: int) -> Receipt:
    return stage.withdraw(stage.account("owner"), asset, units)


def loan(stage: Stage, dollars: int, parts: int = 1) -> None:
    """Somebody brings money of a moment and takes it away, in one transaction."""
    thief, account = stage.actor("thief"), stage.account("thief")
    stage.give(thief, CASH, dollars * MICRO)
    encode, part = stage.house.encode, dollars * MICRO // parts
    calls = [encode("deposit", account, CASH, dollars * MICRO)]
    calls += [encode("withdraw", account, CASH, part, thief.address)] * parts
    stage.house.multicall(calls, sender=thief)


def told(stage: Stage, asset: int) -> tuple[int, ...]:
    return tuple(stage.house.call.outflow(asset))


class TestCollateral:
    @pytest.mark.parametrize(("asset", "unit"), [(WETH, 10**18), (WBTC, SATOSHI)])
    def test_leaves_up_to_the_limit(self, stage: Stage, asset: int, unit: int) -> None:
        limit = LIMIT * unit
        out(stage, asset, limit - unit)
        began = stage.now
        assert told(stage, asset) == (limit, limit - unit, began)
        stage.warp(HOUR - 1)
        with refuses(stage, "OutflowLimited", asset, limit + 1, limit):
            out(stage, asset, unit + 1)
        out(stage, asset, unit)
        assert told(stage, asset) == (limit, limit, began)

    def test_of_many_decimals_is_limited_as_well(self, stage: Stage) -> None:
        limit = 1_000 * 10**27
        with refuses(stage, "OutflowLimited", WIDE, 2 * limit, limit):
            out(stage, WIDE, 2 * limit)
        out(stage, WIDE, limit)

    def test_begins_anew_with_the_first_movement_after_an_hour(self, stage: Stage) -> None:
        out(stage, WETH, wad(40))
        began = stage.now
        stage.warp(HOUR)
        assert told(stage, WETH) == (wad(40), 0, began)
        stage.warp(100)
        out(stage, WETH, wad(40))
        assert told(stage, WETH) == (wad(40), wad(40), stage.now)
        stage.warp(HOUR - 1)
        with refuses(stage, "OutflowLimited", WETH, wad(41), wad(40)):
            out(stage, WETH, wad(1))

    def test_counts_on_balance(self, stage: Stage) -> None:
        """What comes in may leave beside; it does not matter which is first."""
        stage.deposit("maker", WETH, wad(7))
        out(stage, WETH, wad(47))
        assert told(stage, WETH)[1] == wad(40)
        stage.deposit("maker", WETH, wad(10))
        assert told(stage, WETH)[1] == wad(30)
        out(stage, WETH, wad(10))
        stage.deposit("maker", WETH, wad(50))
        assert told(stage, WETH)[1] == 0

    def test_moves_between_own_accounts_freely(self, stage: Stage) -> None:
        account, other = stage.account("owner"), stage.account("owner", 1)
        owner = stage.actor("owner")
        stage.house.transfer(account, other, WETH, wad(90), sender=owner)
        assert told(stage, WETH)[1] == 0
        assert stage.house.call.claims(WETH) == wad(100)

    def test_leaves_in_small_amounts_up_to_five_quarters(self, stage: Stage) -> None:
        """A thousandth of the limit at a time, so that no large one shuts the small out."""
        out(stage, WETH, wad(40))
        small = wad(40) // 1_000
        with refuses(stage, "OutflowLimited", WETH, wad(40) + small + 1, wad(40)):
            out(stage, WETH, small + 1)
        for _ in range(250):
            out(stage, WETH, small)
        assert told(stage, WETH)[1] == wad(50)
        with refuses(stage, "OutflowLimited", WETH, wad(50) + 1, wad(40)):
            out(stage, WETH, 1)

    def test_of_one_kind_leaves_the_others_theirs(self, stage: Stage) -> None:
        out(stage, WETH, wad(40))
        out(stage, WBTC, 40 * SATOSHI)
        out(stage, CASH, CASH_LIMIT * MICRO)


class TestCash:
    def test_leaves_up_to_the_limit(self, stage: Stage) -> None:
        limit = CASH_LIMIT * MICRO
        assert told(stage, CASH)[:2] == (limit, 0)
        out(stage, CASH, limit - 1)
        assert told(stage, CASH) == (limit, limit - 1, stage.now)
        with refuses(stage, "OutflowLimited", CASH, limit + 6_000_000, limit):
            out(stage, CASH, 6_000_001)
        out(stage, CASH, 1)
        assert told(stage, CASH) == (limit, limit, stage.now)

    def test_counts_on_balance(self, stage: Stage) -> None:
        out(stage, CASH, CASH_LIMIT * MICRO)
        stage.fund("maker", 10 * CASH_LIMIT)
        assert told(stage, CASH)[1] == 0
        out(stage, CASH, 10 * CASH_LIMIT * MICRO)
        assert told(stage, CASH)[1] == CASH_LIMIT * MICRO
        with refuses(stage, "OutflowLimited", CASH, (CASH_LIMIT + 6) * MICRO, CASH_LIMIT * MICRO):
            out(stage, CASH, 6 * MICRO)

    @pytest.mark.parametrize("parts", [1, 10, 1_000])
    def test_is_not_used_up_by_money_of_a_moment(self, stage: Stage, parts: int) -> None:
        """Neither as the first movement of an hour nor in it, in large parts or small ones."""
        limit = CASH_LIMIT * MICRO
        loan(stage, CASH_LIMIT, parts)
        assert told(stage, CASH) == (limit, 0, stage.now)
        out(stage, CASH, limit - 1)
        loan(stage, 40 * CASH_LIMIT)
        assert told(stage, CASH)[1] == limit - 1
        out(stage, CASH, 1)
        assert told(stage, CASH)[1] == limit

    def test_lets_what_came_since_the_last_withdrawal_leave(self, stage: Stage) -> None:
        """And no more of what was there than the limit."""
        stage.fund("maker", 3 * CASH_LIMIT)
        limit = CASH_LIMIT * MICRO
        with refuses(stage, "OutflowLimited", CASH, limit + 1, limit):
            out(stage, CASH, 4 * limit + 1)
        out(stage, CASH, 4 * limit)
        assert told(stage, CASH) == (limit, limit, stage.now)

    @pytest.mark.parametrize("look", ["withdrawal", "refresh"])
    def test_measures_from_what_a_look_found(self, stage: Stage, look: str) -> None:
        """A look in an hour counts from the next one on, whatever it finds in this one."""
        stage.fund("maker", 3 * CASH_LIMIT)
        if look == "refresh":
            stage.house.refresh(CASH)
        else:
            out(stage, CASH, 1)
        out(stage, CASH, 1)
        stage.warp(HOUR)
        limit = CASH_LIMIT * MICRO
        with refuses(stage, "OutflowLimited", CASH, limit + 6 * MICRO, limit):
            out(stage, CASH, limit + 6 * MICRO)
        out(stage, CASH, limit)

    def test_is_not_used_up_by_a_look_at_money_of_a_moment(self, stage: Stage) -> None:
        thief, account = stage.actor("thief"), stage.account("thief")
        units, encode = 4 * CASH_LIMIT * MICRO, stage.house.encode
        stage.give(thief, CASH, units)
        calls = [
            encode("deposit", account, CASH, units),
            encode("refresh", CASH),
            encode("withdraw", account, CASH, units, thief.address),
        ]
        stage.house.multicall(calls, sender=thief)
        assert told(stage, CASH)[1] == 0
        stage.warp(HOUR)
        out(stage, CASH, 1)
        assert told(stage, CASH)[1] == 1

    def test_leaves_no_more_of_a_gift_than_was_given(self, stage: Stage) -> None:
        limit, gift = CASH_LIMIT * MICRO, 7 * MICRO
        stage.dollar.mint(stage.vault, gift)
        with refuses(stage, "OutflowLimited", CASH, limit + 1, limit):
            out(stage, CASH, limit + gift + 1)
        out(stage, CASH, limit)
        stage.dollar.mint(stage.vault, gift)
        with refuses(stage, "OutflowLimited", CASH, limit + 1, limit):
            out(stage, CASH, 2 * gift + 1)
        out(stage, CASH, 2 * gift)

    def test_does_not_count_what_the_backstop_is_paid(self) -> None:
        stage = Stage(outflows={CASH: CASH_LIMIT}, backstop="backstop")
        backstop, limit = stage.actor("backstop"), CASH_LIMIT * MICRO
        account = stage.account("lender")
        stage.house.payReserves(backstop, 10 * limit, sender=backstop)
        stage.withdraw(account, CASH, limit // 2)
        assert told(stage, CASH)[1] == limit // 2
        stage.house.payReserves(backstop, 10 * limit, sender=backstop)
        assert told(stage, CASH)[1] == limit // 2
        stage.withdraw(account, CASH, limit // 2)
        stage.warp(HOUR)
        stage.house.payReserves(backstop, 10 * limit, sender=backstop)
        with refuses(stage, "OutflowLimited", CASH, limit + 6 * MICRO, limit):
            stage.withdraw(account, CASH, limit + 6 * MICRO)
        stage.withdraw(account, CASH, limit)

    def test_leaves_in_small_amounts_up_to_five_quarters(self, stage: Stage) -> None:
        out(stage, CASH, CASH_LIMIT * MICRO)
        for _ in range(250):
            out(stage, CASH, CASH_LIMIT * MICRO // 1_000)
        used = CASH_LIMIT * MICRO * 5 // 4
        with refuses(stage, "OutflowLimited", CASH, used + 1, CASH_LIMIT * MICRO):
            out(stage, CASH, 1)

    def test_begins_anew_after_an_hour(self, stage: Stage) -> None:
        out(stage, CASH, CASH_LIMIT * MICRO)
        began = stage.now
        stage.warp(HOUR)
        assert told(stage, CASH) == (CASH_LIMIT * MICRO, 0, began)
        out(stage, CASH, CASH_LIMIT * MICRO)

    def test_is_counted_in_millionths_rounded_up(self) -> None:
        stage = Stage(cash_decimals=18, outflows={CASH: CASH_LIMIT})
        account = stage.fund("owner", 10)
        stage.house.refresh(CASH)
        stage.warp(HOUR)
        for _ in range(3):
            stage.withdraw(account, CASH, 1)
        assert told(stage, CASH)[1] == 1
        stage.withdraw(account, CASH, 10**12 + 1)
        assert told(stage, CASH)[1] == 2

    def test_is_told_by_the_lens_to_the_last_unit(self) -> None:
        """Of money that is no whole number of millionths, some of it come since."""
        stage = Stage(cash_decimals=18, outflows={CASH: CASH_LIMIT})
        stage.warp(HOUR)
        account = stage.deposit("owner", CASH, 10**24 + 987_654_321)
        limit = CASH_LIMIT * 10**18
        stage.withdraw(account, CASH, 10**24)
        lender = stage.account("lender")
        for first in (limit // 3 - 5, limit // 3 + 987_654_326):
            stage.withdraw(lender, CASH, first)
            most, _ = stage.lens.call.largestWithdrawal(lender, CASH)
            assert limit // 1_000 < most < limit
            with stage.evm.anchored():
                stage.withdraw(lender, CASH, most)
            with stage.evm.reverts("OutflowLimited"):
                stage.withdraw(lender, CASH, most + 1)
        stage.withdraw(lender, CASH, most)
        assert stage.lens.call.largestWithdrawal(lender, CASH)[0] == limit // 1_000

    def test_is_limited_when_it_is_borrowed(self, stage: Stage) -> None:
        account = stage.deposit("maker", WETH, wad(30))
        stage.withdraw_cash(account, CASH_LIMIT)
        with refuses(stage, "OutflowLimited", CASH, (CASH_LIMIT + 6) * MICRO, CASH_LIMIT * MICRO):
            stage.withdraw_cash(account, 6)


class TestWithoutLimit:
    def test_everything_leaves(self) -> None:
        stage = Stage()
        stage.deposit("owner", WETH, wad(100))
        stage.fund("owner", 100_000)
        stage.warp(HOUR)
        out(stage, WETH, wad(100))
        out(stage, CASH, 100_000 * MICRO)
        assert told(stage, WETH) == (NONE, wad(100), stage.now)
        assert told(stage, CASH)[:2] == (NONE, 0)


class TestRefresh:
    def tighten(self, stage: Stage, asset: int, limit: int) -> None:
        stage.engine.submit(Kind.OUTFLOW, asset, OutflowParams(limit).word)

    @pytest.mark.parametrize(("asset", "unit"), [(CASH, MICRO), (WBTC, SATOSHI), (WIDE, 10**27)])
    def test_takes_over_the_word_in_force(self, stage: Stage, asset: int, unit: int) -> None:
        self.tighten(stage, asset, 2)
        assert told(stage, asset)[0] > 2 * unit
        receipt = stage.house.refresh(asset, sender=stage.actor("stranger"))
        limit = emitted(stage.house, "OutflowLimitSet", asset=asset, limit=2 * unit)
        assert happened(receipt)[-1] == limit
        assert told(stage, asset)[0] == 2 * unit
        with refuses(stage, "OutflowLimited", asset, 3 * unit, 2 * unit):
            out(stage, asset, 3 * unit)

    def test_of_zero_lets_nothing_leave(self, stage: Stage) -> None:
        self.tighten(stage, WETH, 0)
        stage.house.refresh(WETH)
        with refuses(stage, "OutflowLimited", WETH, 1, 0):
            out(stage, WETH, 1)

    def test_of_none_lifts_the_limit(self, stage: Stage) -> None:
        limit = LIMIT
        while limit < NO_LIMIT:
            limit = min(NO_LIMIT, 2 * limit)
            stage.engine.submit(Kind.OUTFLOW, WETH, OutflowParams(limit).word)
            stage.warp(params.DELAY)
            stage.engine.accept(Kind.OUTFLOW, WETH)
        receipt = stage.house.refresh(WETH)
        lifted = emitted(stage.house, "OutflowLimitSet", asset=WETH, limit=NONE)
        assert happened(receipt) == [lifted]
        out(stage, WETH, wad(100))

    def test_keeps_what_the_hour_has_counted(self, stage: Stage) -> None:
        out(stage, WETH, wad(3))
        out(stage, CASH, 3 * MICRO)
        for asset in (WETH, CASH):
            self.tighten(stage, asset, 3)
            stage.house.refresh(asset)
        assert told(stage, WETH) == (wad(3), wad(3), stage.now)
        assert told(stage, CASH) == (3 * MICRO, 3 * MICRO, stage.now)

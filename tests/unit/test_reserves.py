"""`bindBackstop`, `drawReserves`, `returnReserves`, `payReserves`: the reserves have one owner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.risk.model import WAD, Portfolio
from tests.evm import Contract
from tests.scenarios.stage import CASH, ETH, GLOBALS, WETH, Stage, wad
from tests.unit.books import (
    ASSETS,
    MARKETS,
    WITHDRAWALS,
    cash_units,
    emitted,
    happened,
    leave_with_debt,
    refuses,
    transfer,
)
from tests.unit.conftest import kept

RESERVES = 50_000_000


def backed_stage(**fields: Any) -> Stage:
    """A stage whose reserves belong to the actor `backstop`."""
    return Stage(backstop="backstop", **fields)


@pytest.fixture(scope="module")
def backed() -> Stage:
    return backed_stage(underlyings=MARKETS, collateral=ASSETS)


@pytest.fixture
def stage(backed: Stage) -> Iterator[Stage]:
    yield from kept(backed)


def act(stage: Stage, name: str, *args: Any, who: str = "backstop", **sent: Any) -> Any:
    return getattr(stage.house, name)(*args, sender=stage.actor(who), **sent)


class TestBinding:
    class Open(Stage):
        """Set-up is not over."""

        def seal(self, clearing_house: Contract) -> None:
            self.opened = self.evm.snapshot()
            clearing_house.bindBackstop(self.actor("other"))
            super().seal(clearing_house)

    @pytest.fixture
    def open_stage(self) -> Stage:
        stage = self.Open()
        stage.evm.revert(stage.opened)
        return stage

    def test_is_announced(self, open_stage: Stage) -> None:
        backstop = open_stage.actor("backstop").address
        assert int(open_stage.house.call.backstop(), 16) == 0
        receipt = open_stage.house.bindBackstop(backstop)
        assert happened(receipt) == [emitted(open_stage.house, "BackstopBound", backstop=backstop)]
        assert open_stage.house.call.backstop() == backstop

    def test_is_for_good(self, open_stage: Stage) -> None:
        backstop = open_stage.actor("backstop").address
        open_stage.house.bindBackstop(backstop)
        with open_stage.evm.reverts("AlreadyBound", backstop):
            open_stage.house.bindBackstop(open_stage.actor("other"))
        assert open_stage.house.call.backstop() == backstop

    def test_is_the_governors(self, open_stage: Stage) -> None:
        stranger = open_stage.actor("stranger")
        with open_stage.evm.reverts("AccessManagedUnauthorized", stranger.address):
            open_stage.house.bindBackstop(stranger, sender=stranger)

    def test_ends_with_the_set_up(self) -> None:
        stage = Stage()
        with refuses(stage, "AlreadySealed"):
            stage.house.bindBackstop(stage.actor("backstop"))


class TestDrawing:
    def test_turns_reserves_into_cash(self, stage: Stage) -> None:
        account, pool = stage.account("backstop", 3), stage.house.call.pool()
        present = stage.dollar.call.balanceOf(stage.vault)
        receipt = act(stage, "drawReserves", account, wad(100) + 1)
        drawn = emitted(stage.house, "ReservesDrawn", account=account, amount=wad(100) + 1)
        assert happened(receipt) == [drawn]
        assert stage.portfolio(account) == Portfolio(wad(100) + 1)
        assert stage.house.call.pool() == pool._replace(
            reserves=pool.reserves - wad(100) - 1, supplied=pool.supplied + wad(100) + 1
        )
        assert stage.dollar.call.balanceOf(stage.vault) == present
        assert stage.surplus([account]) == 0

    def test_takes_all(self, stage: Stage) -> None:
        account = stage.account("backstop")
        act(stage, "drawReserves", account, wad(RESERVES))
        assert stage.house.call.pool().reserves == 0
        with refuses(stage, "InsufficientReserves", 0, 1):
            act(stage, "drawReserves", account, 1)

    def test_is_refused_beyond_the_reserves(self, stage: Stage) -> None:
        with refuses(stage, "InsufficientReserves", wad(RESERVES), wad(RESERVES) + 1):
            act(stage, "drawReserves", stage.account("backstop"), wad(RESERVES) + 1)

    def test_is_the_backstops(self, stage: Stage) -> None:
        stranger = stage.actor("stranger")
        with refuses(stage, "OnlyBackstop", stranger.address):
            act(stage, "drawReserves", stage.account("stranger"), 1, who="stranger")

    def test_is_for_its_own_accounts(self, stage: Stage) -> None:
        account, backstop = stage.account("owner"), stage.actor("backstop").address
        with refuses(stage, "NotAuthorised", account, backstop):
            act(stage, "drawReserves", account, 1)

    def test_of_nothing(self, stage: Stage) -> None:
        with refuses(stage, "ZeroAmount"):
            act(stage, "drawReserves", stage.account("backstop"), 0)

    def test_with_ether(self, stage: Stage) -> None:
        with refuses(stage, "ValueNotAccepted", value=1):
            act(stage, "drawReserves", stage.account("backstop"), 1, value=1)


class TestReturning:
    def test_turns_cash_into_reserves(self, stage: Stage) -> None:
        account, pool = stage.fund("owner", 10), stage.house.call.pool()
        receipt = act(stage, "returnReserves", account, wad(4), who="owner")
        returned = emitted(stage.house, "ReservesReturned", account=account, amount=wad(4))
        assert happened(receipt) == [returned]
        assert stage.cash(account) == wad(6)
        assert stage.house.call.pool() == pool._replace(
            reserves=pool.reserves + wad(4), supplied=pool.supplied - wad(4)
        )
        assert tuple(stage.house.call.versions(account)) == (0, 1)
        assert stage.surplus([account]) == 0

    def test_undoes_drawing(self, stage: Stage) -> None:
        account, pool = stage.account("backstop"), stage.house.call.pool()
        act(stage, "drawReserves", account, 12_345)
        act(stage, "returnReserves", account, 12_345)
        assert stage.house.call.pool() == pool

    def test_repays_the_deficit_first(self) -> None:
        stage = backed_stage(reserves=1_000, lent=1)
        leave_with_debt(stage, stage.account("owner"), 1_498)
        stage.house.writeOff(stage.account("owner"))
        deficit = stage.house.call.pool().deficit
        assert deficit > wad(100)
        account = stage.fund("backstop", 100)
        act(stage, "returnReserves", account, wad(100))
        pool = stage.house.call.pool()
        assert (pool.deficit, pool.reserves) == (deficit - wad(100), 0)

    def test_leaves_initial_margin_behind(self, stage: Stage) -> None:
        account = stage.deposit("owner", WETH, WAD)
        act(stage, "returnReserves", account, wad(1_000), who="owner")
        assert stage.cash(account) == -wad(1_000)
        with refuses(stage, "BelowInitialMargin", account=account):
            act(stage, "returnReserves", account, wad(1_000), who="owner")

    def test_needs_prices_beyond_doubt(self, stage: Stage) -> None:
        account = stage.deposit("owner", WETH, WAD)
        stage.underlyings[ETH].feed.break_down()
        with refuses(stage, "DoubtfulPrice", account):
            act(stage, "returnReserves", account, 1, who="owner")

    def test_is_the_owners(self, stage: Stage) -> None:
        account, stranger = stage.fund("owner", 10), stage.actor("stranger")
        with refuses(stage, "NotAuthorised", account, stranger.address):
            act(stage, "returnReserves", account, 1, who="stranger")

    def test_of_nothing(self, stage: Stage) -> None:
        account = stage.fund("owner", 10)
        with refuses(stage, "ZeroAmount"):
            act(stage, "returnReserves", account, 0, who="owner")

    def test_with_ether(self, stage: Stage) -> None:
        account = stage.fund("owner", 1)
        with refuses(stage, "ValueNotAccepted", value=1):
            act(stage, "returnReserves", account, 1, who="owner", value=1)


class TestPaying:
    @pytest.mark.parametrize("decimals", [0, 6, 18])
    def test_turns_reserves_into_tokens(self, decimals: int) -> None:
        stage = backed_stage(cash_decimals=decimals)
        pool, desk = stage.house.call.pool(), stage.actor("desk").address
        receipt = act(stage, "payReserves", desk, 7)
        dollars = 7 * 10 ** (18 - decimals)
        assert happened(receipt) == [
            emitted(stage.house, "ReservesPaid", to=desk, amount=dollars),
            transfer(stage, CASH, stage.vault, desk, 7),
        ]
        assert stage.house.call.pool() == pool._replace(reserves=pool.reserves - dollars)
        assert stage.dollar.call.balanceOf(desk) == 7
        assert stage.surplus([]) == 0

    def test_is_bounded_by_the_reserves(self) -> None:
        stage = backed_stage(reserves=1_000, lent=5_000)
        units = cash_units(stage, 1_000)
        stranger = stage.actor("stranger").address
        with refuses(stage, "InsufficientReserves", wad(1_000), wad(1_000) + 10**12):
            act(stage, "payReserves", stranger, units + 1)
        act(stage, "payReserves", stranger, units)
        assert stage.house.call.pool().reserves == 0
        assert stage.dollar.call.balanceOf(stranger) == units

    def test_is_bounded_by_the_tokens_present(self) -> None:
        stage = backed_stage(reserves=1_000, lent=500)
        stage.deposit("owner", WETH, WAD)
        stage.withdraw_cash(stage.account("owner"), 1_000)
        left = cash_units(stage, 500)
        with refuses(stage, "InsufficientLiquidity", left, left + 1):
            act(stage, "payReserves", stage.actor("desk"), left + 1)
        act(stage, "payReserves", stage.actor("desk"), left)
        assert stage.dollar.call.balanceOf(stage.vault) == 0

    def test_waits_for_losers(self) -> None:
        """Reserves are what unpaid winnings would have to come from."""
        stage = backed_stage(factors=replace(GLOBALS, winners_cap=1, payout_cap=1_000))
        for who in ("owner", "maker"):
            stage.fund(who, 100_000)
        stage.trade("owner", "maker", {ETH: 1})
        stage.move({ETH: 2_100})
        stage.settle(stage.account("owner"), ETH)
        with refuses(stage, "WinnersCapExceeded", wad(100), wad(1)):
            act(stage, "payReserves", stage.actor("desk"), 1)
        stage.settle(stage.account("maker"), ETH)
        act(stage, "payReserves", stage.actor("desk"), 1)

    def test_shares_no_transaction_with_a_loss(self, stage: Stage) -> None:
        leave_with_debt(stage, stage.account("owner"), 10)
        backstop = stage.actor("backstop")
        calls = [
            stage.house.encode("payReserves", backstop.address, 1),
            stage.house.encode("writeOff", stage.account("owner")),
        ]
        for one in (calls, calls[::-1]):
            with refuses(stage, "CashOutWithLoss"):
                stage.house.multicall(one, sender=backstop)

    def test_waits_while_withdrawals_are_paused(self, stage: Stage) -> None:
        stage.house.setPause(1 << WITHDRAWALS, 0)
        with refuses(stage, "Paused", action=WITHDRAWALS, asset=CASH):
            act(stage, "payReserves", stage.actor("desk"), 1)

    def test_is_the_backstops(self, stage: Stage) -> None:
        with refuses(stage, "OnlyBackstop", stage.actor("stranger").address):
            act(stage, "payReserves", stage.actor("stranger"), 1, who="stranger")

    def test_of_nothing(self, stage: Stage) -> None:
        with refuses(stage, "ZeroAmount"):
            act(stage, "payReserves", stage.actor("desk"), 0)

    def test_with_ether(self, stage: Stage) -> None:
        with refuses(stage, "ValueNotAccepted", value=1):
            act(stage, "payReserves", stage.actor("desk"), 1, value=1)


def test_without_a_backstop_nobody_draws() -> None:
    stage = Stage()
    for name, where in (("drawReserves", stage.account("desk")), ("payReserves", stage.vault)):
        with refuses(stage, "OnlyBackstop", stage.actor("desk").address):
            act(stage, name, where, 1, who="desk")

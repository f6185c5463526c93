"""`addReserves`: anybody gives to the reserves; what is owed to nobody yet is repaid first."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk.ledger import MIN_SUPPLY_INDEX, RAY
from plimsoll.risk.model import WAD
from tests.evm import Receipt
from tests.scenarios.stage import CASH, Stage, wad
from tests.unit.books import (
    cash_units,
    emitted,
    happened,
    leave_with_debt,
    paid_in,
    refuses,
    transfer,
)

SETTLEMENT_DECIMALS = [0, 2, 6, 8, 18]


def give(stage: Stage, units: int, who: str = "stranger", **sent: Any) -> Receipt:
    paid_in(stage, who, CASH, units)
    return stage.house.addReserves(units, sender=stage.actor(who), **sent)


@pytest.mark.parametrize("decimals", SETTLEMENT_DECIMALS)
def test_the_reserves_grow(decimals: int) -> None:
    stage = Stage(cash_decimals=decimals)
    stranger, pool = stage.actor("stranger"), stage.house.call.pool()
    receipt = give(stage, 3)
    dollars = 3 * 10 ** (18 - decimals)
    added = {"from_": stranger.address, "amount": dollars, "repaidDeficit": 0}
    assert happened(receipt) == [
        transfer(stage, CASH, stranger, stage.vault, 3),
        emitted(stage.house, "ReservesAdded", **added),
    ]
    assert stage.house.call.pool() == pool._replace(reserves=pool.reserves + dollars)
    assert stage.surplus([]) == 0


def test_what_arrives_counts(stage: Stage) -> None:
    reserves = stage.house.call.pool().reserves
    stage.dollar.setFee(1_000)
    give(stage, 10**6)
    assert stage.house.call.pool().reserves == reserves + wad("0.9")


def test_no_pause_and_no_price_stops_it(stage: Stage) -> None:
    stage.house.setPause(0b1111, 2**96 - 1)
    for one in stage.underlyings.values():
        one.feed.break_down()
    reserves = stage.house.call.pool().reserves
    give(stage, 1)
    assert stage.house.call.pool().reserves == reserves + 10**12


class TestDeficit:
    @pytest.fixture
    def owed(self) -> tuple[Stage, int]:
        """A loss beyond all reserves and all that suppliers can bear."""
        stage = Stage(reserves=1_000, lent=1)
        account, loss = stage.account("owner"), wad(1_498)
        leave_with_debt(stage, account, 1_498)
        (booked,) = stage.house.writeOff(account).events("LossBooked")
        borne = wad(1) * (RAY - MIN_SUPPLY_INDEX) // RAY
        deficit = loss - wad(1_000) - borne
        assert tuple(booked) == (account, wad(1_000), borne, deficit)
        return stage, int(deficit)

    def test_is_repaid_first(self, owed: tuple[Stage, int]) -> None:
        stage, deficit = owed
        pool = stage.house.call.pool()
        assert (pool.reserves, pool.deficit) == (0, deficit)
        assert give(stage, cash_units(stage, 100)).events("ReservesAdded")[0][2] == wad(100)
        left = deficit - wad(100)
        assert stage.house.call.pool() == pool._replace(deficit=left)
        (added,) = give(stage, cash_units(stage, 1_000)).events("ReservesAdded")
        assert (added.amount, added.repaidDeficit) == (wad(1_000), left)
        rest = pool._replace(deficit=0, reserves=wad(1_000) - left)
        assert stage.house.call.pool() == rest

    def test_what_suppliers_bore_does_not_come_back(self, owed: tuple[Stage, int]) -> None:
        """What repays the deficit raises no index."""
        stage, deficit = owed
        index = stage.house.call.pool().supplyIndex
        assert index == MIN_SUPPLY_INDEX
        give(stage, -(-deficit // 10**12))
        pool = stage.house.call.pool()
        assert (pool.supplyIndex, pool.deficit) == (index, 0)
        assert 0 <= pool.reserves < 10**12
        assert stage.cash(stage.lender) == WAD // 1_000


class TestRefused:
    def test_nothing(self, stage: Stage) -> None:
        with refuses(stage, "NothingReceived", token=stage.dollar.address):
            stage.house.addReserves(0, sender=stage.actor("stranger"))

    def test_without_approval_or_tokens(self, stage: Stage) -> None:
        stranger = stage.actor("stranger")
        stage.dollar.approve(stage.vault, 4, sender=stranger)
        with refuses(stage, "NotAllowed", stranger.address, stage.vault.address, 4, 5):
            stage.house.addReserves(5, sender=stranger)
        with refuses(stage, "Insufficient", stranger.address, 0, 4):
            stage.house.addReserves(4, sender=stranger)

    def test_by_the_token(self, stage: Stage) -> None:
        paid_in(stage, "stranger", CASH, 1)
        stage.dollar.setAnswer(2)
        with refuses(stage, "SafeERC20FailedOperation", token=stage.dollar.address):
            stage.house.addReserves(1, sender=stage.actor("stranger"))

    def test_more_than_has_its_place(self, stage: Stage) -> None:
        """Capital has 127 bits."""
        units = 2**127 // 10**12 + 1
        paid_in(stage, "stranger", CASH, units)
        value = units * 10**12 + stage.house.call.pool().reserves
        with refuses(stage, "SafeCastOverflowedIntDowncast", bits=128, value=value):
            stage.house.addReserves(units, sender=stage.actor("stranger"))

    def test_more_than_every_number(self, stage: Stage) -> None:
        paid_in(stage, "stranger", CASH, 2**255)
        with refuses(stage, "Panic", code=0x11):
            stage.house.addReserves(2**255, sender=stage.actor("stranger"))

    def test_ether(self, stage: Stage) -> None:
        paid_in(stage, "stranger", CASH, 1)
        with refuses(stage, "ValueNotAccepted", value=1):
            stage.house.addReserves(1, sender=stage.actor("stranger"), value=1)

"""`settle`: anybody turns a position's variation into cash, at the mark, for nobody's gain."""

from __future__ import annotations

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Position, PriceStatus
from tests.scenarios.stage import ALT, BTC, CASH, ETH, Stage, wad
from tests.unit.books import HOUR, emitted, happened, refuses


@pytest.fixture
def moved(stage: Stage) -> Stage:
    """A long and a short of each market, and a price that has moved an odd way."""
    for who in ("owner", "maker"):
        stage.fund(who, 1_000_000)
    stage.trade("owner", "maker", {ETH: "1.234567890123456789", BTC: "-0.987654321098765432"})
    stage.pass_time(HOUR // 7)
    stage.report({ETH: wad("1987.654321"), BTC: wad("50123.456789012345678")})
    return stage


@pytest.mark.parametrize("who", ["owner", "maker"])
@pytest.mark.parametrize("u", [ETH, BTC])
def test_what_was_won_or_lost_is_cash(moved: Stage, who: str, u: int) -> None:
    """Rounded down, and booked back into the quote: equity stays to the wei."""
    stage, account = moved, moved.account(who)
    held, before = stage.position(account, u), stage.margin(account)
    cash, pool = stage.cash(account), stage.house.call.pool()
    state = stage.inputs().underlyings[u]
    marked = held.size * (state.price.index - state.funding_index) // WAD
    amount = marked + held.quote
    assert amount != 0
    versions = stage.house.call.versions(account)
    instrument = model.perpetual(u)
    receipt = stage.house.settle(account, instrument, sender=stage.actor("stranger"))
    assert receipt.value == amount
    own = {"account": account, "owner": stage.actor(who).address}
    assert happened(receipt) == [
        emitted(
            stage.house,
            "PositionChanged",
            **own,
            instrument=instrument,
            size=held.size,
            quote=-marked,
        ),
        emitted(stage.house, "CashMoved", **own, change=amount),
        emitted(stage.house, "VariationSettled", **own, instrument=instrument, amount=amount),
    ]
    assert stage.position(account, u) == Position(instrument, held.size, -marked)
    assert stage.cash(account) == cash + amount
    changed = {"netQuote": pool.netQuote - amount, "supplied": pool.supplied + amount}
    assert stage.house.call.pool() == pool._replace(**changed, accruedAt=stage.now)
    assert stage.margin(account) == before
    assert stage.house.call.versions(account) == versions


def test_twice_is_once(moved: Stage) -> None:
    account = moved.account("owner")
    moved.settle(account, ETH)
    held = moved.portfolio(account)
    receipt = moved.settle(account, ETH)
    assert (receipt.value, happened(receipt)) == (0, [])
    assert moved.portfolio(account) == held


@pytest.mark.parametrize("u", [ALT, ETH])
def test_what_is_not_held_is_nothing(stage: Stage, u: int) -> None:
    receipt = stage.settle(stage.account("stranger"), u)
    assert (receipt.value, happened(receipt)) == (0, [])


def test_a_loss_may_become_a_debt(stage: Stage) -> None:
    """No margin is checked: it is what it was."""
    stage.fund("maker", 1_000_000)
    account = stage.fund("owner", 26_000)
    stage.trade("owner", "maker", {ETH: 100})
    cash = stage.cash(account)
    stage.report({ETH: wad(1_600)})
    before = stage.margin(account)
    assert stage.settle(account, ETH).value == -wad(40_000)
    assert stage.cash(account) == cash - wad(40_000) < 0
    assert stage.margin(account) == before
    assert stage.house.call.pool().borrowed == wad(40_000) - cash


def test_both_sides_together_leave_no_quote_but_the_rounding(moved: Stage) -> None:
    for who in ("owner", "maker"):
        for u in (ETH, BTC):
            moved.settle(moved.account(who), u)
    pool = moved.house.call.pool()
    assert 0 <= pool.netQuote <= 2
    assert 0 <= moved.surplus([moved.account("owner"), moved.account("maker")]) <= 2


def test_pauses_do_not_bind_it(moved: Stage) -> None:
    moved.house.setPause(0b1111, 2**96 - 1)
    assert moved.settle(moved.account("owner"), ETH).value != 0


class TestRefused:
    def test_at_a_doubtful_price(self, moved: Stage) -> None:
        moved.underlyings[ETH].feed.break_down()
        for who in ("owner", "stranger"):
            with refuses(moved, "PriceNotOk", model.perpetual(ETH), PriceStatus.INVALID):
                moved.settle(moved.account(who), ETH)
        assert moved.settle(moved.account("owner"), BTC).value != 0

    @pytest.mark.parametrize(
        "instrument", [0, model.perpetual(200), 2 << 46 | ETH << 37, model.perpetual(ETH) | 1]
    )
    def test_an_instrument_without_a_market(self, moved: Stage, instrument: int) -> None:
        with refuses(moved, "UnknownInstrument", instrument=instrument):
            moved.house.settle(moved.account("owner"), instrument)

    def test_with_a_check_of_the_account_pending(self, moved: Stage) -> None:
        """The check compares with what was before, and takes it to be the owner's doing."""
        account, owner = moved.account("owner"), moved.actor("owner")
        calls = [
            moved.house.encode("withdraw", account, CASH, 1, owner.address),
            moved.house.encode("settle", account, model.perpetual(ETH)),
        ]
        with refuses(moved, "CheckPending", account=account):
            moved.house.multicall(calls, sender=owner)
        moved.house.multicall(calls[::-1], sender=owner)
        assert moved.house.call.versions(account).version == 2

    def test_ether(self, moved: Stage) -> None:
        with refuses(moved, "ValueNotAccepted", value=1):
            moved.house.settle(moved.account("owner"), model.perpetual(ETH), value=1)

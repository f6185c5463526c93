"""`take`: a signed order filled with an account that the caller owns or trades for.

What both ways of filling share is tested with `trade`; here is what `take` does by itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Fill, Portfolio, Position, PriceStatus
from tests.evm import Receipt
from tests.scenarios.stage import ALT, CASH, ETH, Stage, as_tuple, wad
from tests.unit.books import (
    CAP,
    CAPPED,
    CLOSED,
    FEES,
    RISK,
    emitted,
    happened,
    refuses,
)

Order = dict[str, Any]
NO_ORDER = bytes(32)


@pytest.fixture
def offered(stage: Stage) -> Stage:
    stage.fund("maker", 1_000_000)
    stage.fund("taker", 1_000_000)
    return stage


def offer(
    stage: Stage, u: int = ETH, quantity: Any = -3, price: int | None = None, **fields: Any
) -> Order:
    net = stage.marks[u] if price is None else price
    return stage.order(stage.account("maker"), {u: 1}, quantity, net, **fields)


def take(stage: Stage, order: Order, units: int = WAD, who: str = "taker", **sent: Any) -> Receipt:
    signature = stage.sign(order, "maker")
    account, taker = stage.account("taker"), stage.actor(who)
    return stage.house.take(order, signature, account, units, sender=taker, **sent)


def digest(stage: Stage, order: Order) -> bytes:
    return bytes(stage.house.call.hashOrder(order))


class TestFill:
    @pytest.mark.parametrize("buys", [True, False])
    def test_pays_the_makers_price_and_the_takers_fee(self, offered: Stage, buys: bool) -> None:
        stage = offered
        side = -1 if buys else 1
        price = wad(2_010)
        order = offer(stage, quantity=3 * side, price=price)
        receipt = take(stage, order, wad(2))
        assert receipt.value == wad(2)
        mark, instrument = stage.marks[ETH], model.perpetual(ETH)
        fees = {
            "maker": model.trading_fee(wad(2), mark, FEES.maker_fee),
            "taker": model.trading_fee(wad(2), mark, FEES.taker_fee),
        }
        signs = {"maker": side, "taker": -side}
        positions, moved, filled = [], [], []
        for who, other in (("maker", "taker"), ("taker", "maker")):
            account, owner = stage.account(who), stage.actor(who).address
            own = {"account": account, "owner": owner}
            size, quote = signs[who] * wad(2), -signs[who] * wad(4_000)
            change = -signs[who] * wad(20) - fees[who]
            position = {"instrument": instrument, "size": size, "quote": quote}
            positions.append(emitted(stage.house, "PositionChanged", **own, **position))
            moved.append(emitted(stage.house, "CashMoved", **own, change=change))
            filled.append(
                emitted(
                    stage.house,
                    "OrderFilled",
                    orderHash=digest(stage, order) if who == "maker" else NO_ORDER,
                    account=account,
                    counterparty=stage.account(other),
                    quantity=size,
                    price=price,
                    fee=fees[who],
                )
            )
            held = Portfolio(wad(1_000_000) + change, (), (Position(instrument, size, quote),))
            assert stage.portfolio(account) == held
        assert happened(receipt) == [*positions, *moved, *filled]
        assert stage.house.call.filledOf(digest(stage, order)) == wad(2)

    def test_is_cut_to_what_is_left(self, offered: Stage) -> None:
        order = offer(offered)
        assert take(offered, order, wad(2)).value == wad(2)
        assert take(offered, order, 2**256 - 1).value == wad(1)
        with refuses(offered, "OrderSpent", digest(offered, order), wad(3)):
            take(offered, order)

    def test_by_a_delegate_to_the_second(self, offered: Stage) -> None:
        stage, order = offered, offer(offered)
        account, desk = stage.account("taker"), stage.actor("desk")
        with refuses(stage, "NotAuthorised", account=account, caller=desk.address):
            take(stage, order, who="desk")
        stage.appoint(account, desk, stage.now)
        take(stage, order, who="desk")
        stage.warp(1)
        with refuses(stage, "NotAuthorised", account=account, caller=desk.address):
            take(stage, order, who="desk")

    def test_of_an_order_that_its_delegate_signed(self, offered: Stage) -> None:
        stage = offered
        desk = stage.actor("desk")
        order = offer(stage, signer=desk.address)
        signature = stage.sign(order, "desk")
        args = (order, signature, stage.account("taker"), WAD)
        with refuses(stage, "NotAuthorised", stage.account("maker"), desk.address):
            stage.house.take(*args, sender=stage.actor("taker"))
        stage.appoint(stage.account("maker"), desk)
        assert stage.house.take(*args, sender=stage.actor("taker")).value == WAD

    def test_of_a_reducing_order(self, offered: Stage) -> None:
        stage = offered
        order = offer(stage, ALT, reduceOnly=True)
        instrument = model.perpetual(ALT)
        with refuses(stage, "NotReducing", digest(stage, order), instrument, 0, -WAD):
            take(stage, order)
        stage.trade("maker", "taker", {ALT: 1})
        take(stage, order)
        assert stage.portfolio(stage.account("maker")).positions == ()

    def test_of_a_package(self, offered: Stage) -> None:
        stage = offered
        sizes = {ETH: 1, ALT: -20}
        order = stage.order(stage.account("maker"), sizes, 2, stage.mark(sizes))
        take(stage, order, wad(2))
        assert stage.position(stage.account("taker"), ETH).size == -wad(2)
        assert stage.position(stage.account("taker"), ALT).size == wad(40)


class TestRefused:
    def test_for_somebody_elses_account(self, offered: Stage) -> None:
        stranger = offered.actor("stranger").address
        with refuses(offered, "NotAuthorised", offered.account("taker"), stranger):
            take(offered, offer(offered), who="stranger")

    def test_with_itself(self, offered: Stage) -> None:
        order, account = offer(offered), offered.account("maker")
        signature, maker = offered.sign(order, "maker"), offered.actor("maker")
        with refuses(offered, "SelfTrade", account=account):
            offered.house.take(order, signature, account, WAD, sender=maker)

    def test_an_order_for_somebody_else(self, offered: Stage) -> None:
        order = offer(offered, taker=offered.actor("desk").address)
        owner = offered.actor("taker").address
        with refuses(offered, "WrongTaker", digest(offered, order), owner):
            take(offered, order)

    def test_a_delegate_is_not_the_named_taker(self, offered: Stage) -> None:
        """The account's owner is named, whoever acts for it."""
        stage, desk = offered, offered.actor("desk")
        stage.appoint(stage.account("taker"), desk)
        order = offer(stage, taker=desk.address)
        with refuses(stage, "WrongTaker", digest(stage, order), stage.actor("taker").address):
            take(stage, order, who="desk")
        take(stage, offer(stage, taker=stage.actor("taker").address), who="desk")

    def test_with_a_forged_signature(self, offered: Stage) -> None:
        order = offer(offered)
        signature, maker = offered.sign(order, "stranger"), offered.actor("maker").address
        args = (order, signature, offered.account("taker"), WAD)
        with refuses(offered, "InvalidSignature", digest(offered, order), maker):
            offered.house.take(*args, sender=offered.actor("taker"))

    def test_late(self, offered: Stage) -> None:
        order = offer(offered, expiry=offered.now)
        take(offered, order)
        offered.warp(1)
        with refuses(offered, "OrderExpired", digest(offered, order), order["expiry"]):
            take(offered, order)

    def test_of_another_epoch(self, offered: Stage) -> None:
        order = offer(offered, epoch=1)
        with refuses(offered, "OrderEpochPassed", digest(offered, order), 1, 0):
            take(offered, order)

    def test_without_legs(self, offered: Stage) -> None:
        order = offer(offered, legs=[])
        with refuses(offered, "LegsInvalid", digest(offered, order)):
            take(offered, order)

    @pytest.mark.parametrize(("units", "minimum"), [(0, 0), (WAD - 1, WAD)])
    def test_less_than_the_least(self, offered: Stage, units: int, minimum: int) -> None:
        order = offer(offered, minimumFill=minimum)
        with refuses(offered, "BelowMinimumFill", digest(offered, order), units, minimum):
            take(offered, order, units)

    def test_a_leg_of_nothing(self, offered: Stage) -> None:
        order = offer(offered)
        order["legs"][0]["ratio"] = WAD // 2
        with refuses(offered, "ZeroAmount"):
            take(offered, order, 1)

    def test_in_a_closed_market(self, offered: Stage) -> None:
        with refuses(offered, "MarketClosed", instrument=model.perpetual(CLOSED)):
            take(offered, offer(offered, CLOSED))

    def test_in_no_market(self, offered: Stage) -> None:
        order = offer(offered)
        order["legs"][0]["instrument"] = model.perpetual(200)
        with refuses(offered, "UnknownInstrument", instrument=model.perpetual(200)):
            take(offered, order)

    def test_beyond_the_cap(self, offered: Stage) -> None:
        order = offer(offered, CAPPED, -20)
        value = 11 * offered.marks[CAPPED]
        with refuses(offered, "OpenInterestCapExceeded", model.perpetual(CAPPED), value, wad(CAP)):
            take(offered, order, wad(11))

    def test_new_risk_while_it_is_paused(self, offered: Stage) -> None:
        offered.house.setPause(1 << RISK, 0)
        with refuses(offered, "Paused", action=RISK, asset=CASH):
            take(offered, offer(offered))

    def test_new_risk_at_a_doubtful_price(self, offered: Stage) -> None:
        offered.underlyings[ETH].feed.break_down()
        status = PriceStatus.INVALID
        with refuses(offered, "PriceNotOk", model.perpetual(ETH), status):
            take(offered, offer(offered))

    def test_new_risk_off_the_peg(self, offered: Stage) -> None:
        offered.move({0: "0.9"})
        with refuses(offered, "SettlementTokenDepegged"):
            take(offered, offer(offered))

    def test_beyond_the_margin(self, offered: Stage) -> None:
        stage = offered
        poor = stage.fund("owner", 10)
        order = offer(stage)
        fill = Fill(model.perpetual(ETH), WAD, stage.marks[ETH])
        fees = {ETH: (FEES.taker_fee, FEES.maker_fee)}
        before, after = model.preview_trade(stage.portfolio(poor), [fill], fees, stage.inputs())
        args = (order, stage.sign(order, "maker"), poor, WAD)
        with refuses(stage, "RatioWorsened", poor, as_tuple(before), as_tuple(after)):
            stage.house.take(*args, sender=stage.actor("owner"))

    def test_ether(self, offered: Stage) -> None:
        with refuses(offered, "ValueNotAccepted", value=1):
            take(offered, offer(offered), value=1)

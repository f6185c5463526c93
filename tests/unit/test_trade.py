"""`trade`: two signed orders at the maker's price; legs at the mark, the difference in cash."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.ledger import MAX_LEGS, MAX_POSITIONS, toward_zero
from plimsoll.risk.model import WAD, Fill, Portfolio, Position, PriceStatus, ceil_div
from tests.evm import Receipt
from tests.scenarios.stage import (
    ALT,
    BTC,
    CASH,
    ETH,
    PEG,
    WETH,
    Listed,
    Stage,
    as_tuple,
    wad,
)
from tests.unit.books import (
    CAP,
    CAPPED,
    CLOSED,
    FEES,
    FUNDING,
    HOUR,
    RISK,
    Event,
    emitted,
    happened,
    refuses,
)

Order = dict[str, Any]
NOBODY = "0x" + "00" * 20
# Any contract that returns the magic value of ERC-1271: PUSH4 magic, shifted to the left, returned.
SAYS_YES = "6d631626ba7e60e01b5f5260205ff35f52600e6012f3"


@pytest.fixture
def traders(stage: Stage) -> Stage:
    stage.fund("maker", 1_000_000)
    stage.fund("taker", 1_000_000)
    return stage


def order(stage: Stage, who: str, sizes: Any, quantity: Any, price: Any, **fields: Any) -> Order:
    return stage.order(stage.account(who), sizes, quantity, wad(price), **fields)


def pair(
    stage: Stage, *, sizes: Any = None, quantity: Any = 1, **fields: Any
) -> tuple[Order, Order]:
    """The maker sells and the taker buys, at the mark; `fields` are the maker's."""
    sizes = sizes or {ETH: 1}
    net = stage.mark(sizes)
    sell = stage.order(stage.account("maker"), sizes, -quantity, net, **fields)
    return sell, stage.order(stage.account("taker"), sizes, quantity, net)


def match(
    stage: Stage,
    maker: Order,
    taker: Order,
    units: int = WAD,
    *,
    signers: tuple[str, str] = ("maker", "taker"),
    **sent: Any,
) -> Receipt:
    """Anyone may match."""
    signed = stage.sign(maker, signers[0]), stage.sign(taker, signers[1])
    sent = {"sender": stage.actor("stranger"), **sent}
    return stage.house.trade(maker, signed[0], taker, signed[1], units, **sent)


def digest(stage: Stage, one: Order) -> bytes:
    return bytes(stage.house.call.hashOrder(one))


def changed(stage: Stage, who: str, u: int, size: int, quote: int) -> Event:
    return emitted(
        stage.house,
        "PositionChanged",
        account=stage.account(who),
        owner=stage.actor(who).address,
        instrument=model.perpetual(u),
        size=size,
        quote=quote,
    )


def moved(stage: Stage, who: str, change: int) -> Event:
    account, owner = stage.account(who), stage.actor(who).address
    return emitted(stage.house, "CashMoved", account=account, owner=owner, change=change)


def filled(stage: Stage, one: Order, other: Order, units: int, price: int, fee: int) -> Event:
    return emitted(
        stage.house,
        "OrderFilled",
        orderHash=digest(stage, one),
        account=one["account"],
        counterparty=other["account"],
        quantity=units,
        price=price,
        fee=fee,
    )


def fees(u_size: int, mark: int) -> tuple[int, int]:
    """What maker and taker pay for a leg of ether."""
    return (
        model.trading_fee(u_size, mark, FEES.maker_fee),
        model.trading_fee(u_size, mark, FEES.taker_fee),
    )


class TestFill:
    def test_opens_at_the_mark_and_pays_the_difference(self, traders: Stage) -> None:
        """Three ether at 2010 while the mark is 2000."""
        stage = traders
        pool = stage.house.call.pool()
        sell = order(stage, "maker", {ETH: 1}, -3, 2_010)
        buy = order(stage, "taker", {ETH: 1}, 3, 2_020)
        receipt = match(stage, sell, buy, wad(3))
        assert receipt.value == wad(3)
        made, taken = fees(wad(3), wad(2_000))
        assert (made, taken) == (wad("0.6"), wad(3))
        assert happened(receipt) == [
            changed(stage, "maker", ETH, -wad(3), wad(6_000)),
            changed(stage, "taker", ETH, wad(3), -wad(6_000)),
            moved(stage, "maker", wad(30) - made),
            moved(stage, "taker", -wad(30) - taken),
            filled(stage, sell, buy, -wad(3), wad(2_010), made),
            filled(stage, buy, sell, wad(3), wad(2_010), taken),
        ]
        eth = model.perpetual(ETH)
        assert stage.portfolio(stage.account("maker")) == Portfolio(
            wad("1000029.4"), (), (Position(eth, -wad(3), wad(6_000)),)
        )
        assert stage.portfolio(stage.account("taker")) == Portfolio(
            wad(999_967), (), (Position(eth, wad(3), -wad(6_000)),)
        )
        supplied = pool.supplied - made - taken
        reserves = pool.reserves + made + taken
        assert stage.house.call.pool() == pool._replace(supplied=supplied, reserves=reserves)
        assert stage.house.call.openInterest(eth) == wad(3)
        for who in ("maker", "taker"):
            assert tuple(stage.house.call.versions(stage.account(who))) == (0, 1)
        assert stage.surplus([stage.account("maker"), stage.account("taker")]) == 0

    @pytest.mark.parametrize("u", [ETH, BTC])
    @pytest.mark.parametrize("buys", [True, False])
    def test_is_what_the_twin_of_one_leg_says(self, traders: Stage, u: int, buys: bool) -> None:
        """Odd numbers, either way round, with funding behind: both sides to the last wei."""
        stage = traders
        stage.pass_time(HOUR // 7)
        size, price = 10**18 // 7 + 1, stage.marks[u] * 1_001 // 1_000 + 7
        terms = stage.underlyings[u].market
        assert terms is not None
        rates = {u: (terms.taker_fee, terms.maker_fee)}
        side = 1 if buys else -1
        expected = [
            model.apply_fill(
                stage.portfolio(stage.account(who)),
                Fill(model.perpetual(u), sign * size, price, is_taker=who == "taker"),
                rates[u],
                stage.inputs(),
            )
            for who, sign in (("maker", side), ("taker", -side))
        ]
        net = {"quantity": side * size, "price": price}
        maker = {**order(stage, "maker", {u: 1}, 1, 1), **net}
        taker = {**order(stage, "taker", {u: 1}, 1, 1), **net, "quantity": -side * size}
        match(stage, maker, taker, 10**30)
        found = [stage.portfolio(stage.account(who)) for who in ("maker", "taker")]
        assert found == expected
        # Funding: an hour's rate for the part of it that has passed, rounded down.
        index = stage.inputs().underlyings[BTC].funding_index
        assert index == FUNDING * (HOUR // 7) // HOUR
        assert 0 <= stage.surplus([stage.account("maker"), stage.account("taker")]) <= 2

    def test_that_closes_frees_the_quote(self, traders: Stage) -> None:
        """Opened at 10, closed at 12: what one wins the other loses, in cash."""
        stage = traders
        stage.trade("taker", "maker", {ALT: 100})
        stage.report({ALT: wad(12)})
        sell = order(stage, "taker", {ALT: 1}, -100, 12)
        buy = order(stage, "maker", {ALT: 1}, 100, 12)
        receipt = match(stage, sell, buy, wad(100), signers=("taker", "maker"))
        assert happened(receipt) == [
            changed(stage, "taker", ALT, 0, 0),
            changed(stage, "maker", ALT, 0, 0),
            moved(stage, "taker", wad(200)),
            moved(stage, "maker", -wad(200)),
            filled(stage, sell, buy, -wad(100), wad(12), 0),
            filled(stage, buy, sell, wad(100), wad(12), 0),
        ]
        assert stage.portfolio(stage.account("taker")) == Portfolio(wad(1_000_200))
        assert stage.portfolio(stage.account("maker")) == Portfolio(wad(999_800))
        assert stage.house.call.pool().netQuote == 0
        assert stage.house.call.openInterest(model.perpetual(ALT)) == 0

    def test_that_closes_one_side_only_leaves_the_other_quote(self, traders: Stage) -> None:
        stage = traders
        stage.fund("owner", 100_000)
        stage.trade("taker", "maker", {ALT: 100})
        stage.report({ALT: wad(12)})
        stage.trade("owner", "taker", {ALT: 100})
        assert stage.portfolio(stage.account("taker")) == Portfolio(wad(1_000_200))
        assert stage.position(stage.account("owner"), ALT).quote == -wad(1_200)
        assert stage.house.call.pool().netQuote == -wad(200)
        assert stage.house.call.openInterest(model.perpetual(ALT)) == wad(100)

    def test_that_crosses_zero_keeps_the_quote(self, traders: Stage) -> None:
        stage = traders
        stage.trade("taker", "maker", {ALT: 100})
        stage.report({ALT: wad(12)})
        stage.trade("maker", "taker", {ALT: 150})
        assert stage.position(stage.account("taker"), ALT) == Position(
            model.perpetual(ALT), -wad(50), wad(800)
        )
        assert stage.position(stage.account("maker"), ALT) == Position(
            model.perpetual(ALT), wad(50), -wad(800)
        )
        assert stage.house.call.openInterest(model.perpetual(ALT)) == wad(50)
        assert stage.house.call.pool().netQuote == 0

    def test_that_empties_a_place_moves_the_last_position_there(self, traders: Stage) -> None:
        stage = traders
        for u in (ETH, BTC, ALT):
            stage.trade("taker", "maker", {u: 1})
        stage.trade("maker", "taker", {ETH: 1})
        held = stage.portfolio(stage.account("taker")).positions
        assert [one.underlying for one in held] == [ALT, BTC]

    def test_moves_no_cash_at_the_mark_without_fees(self, traders: Stage) -> None:
        receipt = traders.trade("taker", "maker", {ALT: 1})
        assert receipt.events("CashMoved") == []


class TestPackage:
    def test_of_several_legs_has_one_price(self, traders: Stage) -> None:
        """Two ether against a tenth of a bitcoin: worth -1000 at the marks, sold at -990."""
        stage = traders
        sizes = {ETH: "2", BTC: "-0.1"}
        assert stage.mark(sizes) == -wad(1_000)
        sell = order(stage, "maker", sizes, -3, -990)
        buy = order(stage, "taker", sizes, 3, -990)
        receipt = match(stage, sell, buy, wad(3))
        made, taken = fees(wad(6), wad(2_000))
        assert happened(receipt) == [
            changed(stage, "maker", ETH, -wad(6), wad(12_000)),
            changed(stage, "taker", ETH, wad(6), -wad(12_000)),
            changed(stage, "maker", BTC, wad("0.3"), -wad(15_000)),
            changed(stage, "taker", BTC, -wad("0.3"), wad(15_000)),
            moved(stage, "maker", wad(30) - made),
            moved(stage, "taker", -wad(30) - taken),
            filled(stage, sell, buy, -wad(3), -wad(990), made),
            filled(stage, buy, sell, wad(3), -wad(990), taken),
        ]
        assert stage.house.call.openInterest(model.perpetual(ETH)) == wad(6)
        assert stage.house.call.openInterest(model.perpetual(BTC)) == wad("0.3")

    def test_rounds_each_leg_toward_zero_and_the_price_once(self, traders: Stage) -> None:
        stage = traders
        units, ratios = 10**18 // 3, {ETH: 10**17 + 1, BTC: -(10**15) - 3}
        price = 150 * WAD + 11
        legs = [{"instrument": model.perpetual(u), "ratio": r} for u, r in ratios.items()]
        own = {"legs": legs, "price": price}
        buy = {**order(stage, "taker", {ETH: 1}, 1, 1), **own, "quantity": units}
        sell = {**order(stage, "maker", {ETH: 1}, 1, 1), **own, "quantity": -units}
        before = {who: stage.cash(stage.account(who)) for who in ("maker", "taker")}
        match(stage, sell, buy, 10**30)
        marked = 0
        for u, ratio in ratios.items():
            size = toward_zero(-units * ratio, WAD)
            quote = ceil_div(size * stage.marks[u], WAD)
            marked += size * stage.marks[u]
            instrument = model.perpetual(u)
            sold, bought = Position(instrument, size, -quote), Position(instrument, -size, quote)
            assert stage.position(stage.account("maker"), u) == sold
            assert stage.position(stage.account("taker"), u) == bought
        paid = ceil_div(-units * price - marked, WAD)
        made, taken = fees(toward_zero(units * ratios[ETH], WAD), stage.marks[ETH])
        assert stage.cash(stage.account("maker")) == before["maker"] - paid - made
        assert stage.cash(stage.account("taker")) == before["taker"] + paid - taken

    def test_of_as_many_legs_as_there_may_be(self) -> None:
        stage = Stage(underlyings={u: Listed(10) for u in range(1, MAX_LEGS + 2)}, collateral={})
        stage.fund("maker", 10_000)
        stage.fund("taker", 10_000)
        sizes = dict.fromkeys(range(1, MAX_LEGS + 1), 1)
        match(stage, *pair(stage, sizes=sizes))
        assert len(stage.portfolio(stage.account("taker")).positions) == MAX_LEGS
        sell, buy = pair(stage, sizes={**sizes, MAX_LEGS + 1: 1})
        with refuses(stage, "LegsInvalid", digest(stage, sell)):
            match(stage, sell, buy)


class TestQuantity:
    def test_is_cut_to_what_is_left_of_either(self, traders: Stage) -> None:
        stage = traders
        sell, first = pair(stage, quantity=10)
        first["quantity"] = wad(4)
        assert match(stage, sell, first, wad(100)).value == wad(4)
        second = {**first, "salt": 10**6, "quantity": wad(20)}
        assert match(stage, sell, second, wad(100)).value == wad(6)
        left = [stage.house.call.filledOf(digest(stage, one)) for one in (sell, first, second)]
        assert left == [wad(10), wad(4), wad(6)]
        assert stage.position(stage.account("taker"), ETH).size == wad(10)

    def test_partial_fills_are_counted_to_the_last_unit(self, traders: Stage) -> None:
        stage = traders
        sell, buy = pair(stage, sizes={ALT: 1}, quantity=2)
        assert match(stage, sell, buy, wad("0.5")).value == wad("0.5")
        assert match(stage, sell, buy, wad("1.5") - 1).value == wad("1.5") - 1
        assert match(stage, sell, buy, wad(1_000)).value == 1
        spent = digest(stage, sell)
        with refuses(stage, "OrderSpent", spent, wad(2)):
            match(stage, sell, buy)

    def test_of_the_least_fill_binds_until_less_is_left(self, traders: Stage) -> None:
        stage = traders
        sell, buy = pair(stage, quantity=5, minimumFill=wad(3))
        with refuses(stage, "BelowMinimumFill", digest(stage, sell), wad(3) - 1, wad(3)):
            match(stage, sell, buy, wad(3) - 1)
        match(stage, sell, buy, wad(3))
        with refuses(stage, "BelowMinimumFill", digest(stage, sell), wad(2) - 1, wad(2)):
            match(stage, sell, buy, wad(2) - 1)
        assert match(stage, sell, buy, wad(3)).value == wad(2)

    def test_of_the_takers_least_fill_binds_too(self, traders: Stage) -> None:
        stage = traders
        sell, buy = pair(stage, quantity=5)
        buy["minimumFill"] = wad(5)
        with refuses(stage, "BelowMinimumFill", digest(stage, buy), wad(4), wad(5)):
            match(stage, sell, buy, wad(4))
        match(stage, sell, buy, wad(5))

    def test_of_nothing_is_below_every_minimum(self, traders: Stage) -> None:
        sell, buy = pair(traders)
        with refuses(traders, "BelowMinimumFill", digest(traders, sell), 0, 0):
            match(traders, sell, buy, wad(0))

    def test_of_an_order_for_nothing_is_spent(self, traders: Stage) -> None:
        sell, buy = pair(traders)
        sell["quantity"] = 0
        with refuses(traders, "OrderSpent", digest(traders, sell), 0):
            match(traders, sell, buy)

    def test_that_rounds_a_leg_to_nothing_is_refused(self, traders: Stage) -> None:
        sell, buy = pair(traders, sizes={ETH: "0.5"})
        with refuses(traders, "ZeroAmount"):
            match(traders, {**sell, "quantity": -1}, {**buy, "quantity": 1}, 1)

    @pytest.mark.parametrize("size", [2**103 + 1, 2**110])
    def test_beyond_the_place_of_a_size(self, traders: Stage, size: int) -> None:
        sell, buy = pair(traders)
        with refuses(traders, "PositionTooLarge", value=-size):
            match(traders, {**sell, "quantity": -size}, {**buy, "quantity": size}, size)

    def test_beyond_the_place_of_a_quote(self, traders: Stage) -> None:
        size = 2**103 // 2_000 + 1
        sell, buy = pair(traders)
        with refuses(traders, "PositionTooLarge", value=size * 2_000):
            match(traders, {**sell, "quantity": -size}, {**buy, "quantity": size}, size)

    def test_beyond_every_number(self, traders: Stage) -> None:
        """The least int256 is an order of 2^255 units, of which no fill can be all."""
        sell, buy = pair(traders)
        least, most = {**sell, "quantity": -(2**255)}, {**buy, "quantity": 2**255 - 1}
        with refuses(traders, "Panic", code=0x11):
            match(traders, least, most, 2**255)
        with refuses(traders, "SafeCastOverflowedUintToInt", value=2**255):
            signature = traders.sign(least, "maker")
            taker = traders.actor("taker")
            traders.house.take(least, signature, buy["account"], 2**256 - 1, sender=taker)


class TestPrice:
    @pytest.mark.parametrize(("sell", "buy"), [(2_000, 2_000), (1_990, 2_010)])
    def test_is_the_makers(self, traders: Stage, sell: int, buy: int) -> None:
        maker = order(traders, "maker", {ETH: 1}, 1, buy)
        taker = order(traders, "taker", {ETH: 1}, -1, sell)
        receipt = match(traders, maker, taker)
        assert [one.price for one in receipt.events("OrderFilled")] == [wad(buy)] * 2

    @pytest.mark.parametrize("maker_buys", [False, True])
    def test_that_does_not_cross(self, traders: Stage, maker_buys: bool) -> None:
        side = 1 if maker_buys else -1
        price = 1_999 if maker_buys else 2_000
        maker = order(traders, "maker", {ETH: 1}, side, price)
        taker = order(traders, "taker", {ETH: 1}, -side, 3_999 - price)
        with refuses(traders, "PricesDoNotCross", buyPrice=wad(1_999), sellPrice=wad(2_000)):
            match(traders, maker, taker)


class TestOrder:
    @pytest.mark.parametrize("one", [0, 1], ids=["maker", "taker"])
    def test_lives_to_the_second_of_its_expiry(self, traders: Stage, one: int) -> None:
        stage = traders
        orders = pair(stage, quantity=2)
        orders[one]["expiry"] = stage.now + 5
        stage.pass_time(5)
        match(stage, *orders)
        stage.pass_time(1)
        with refuses(stage, "OrderExpired", digest(stage, orders[one]), orders[one]["expiry"]):
            match(stage, *orders)

    @pytest.mark.parametrize("who", ["maker", "taker"])
    def test_of_another_epoch(self, traders: Stage, who: str) -> None:
        stage = traders
        orders = pair(stage)
        stale = orders[0 if who == "maker" else 1]
        stage.house.raiseEpoch(stage.account(who), sender=stage.actor(who))
        with refuses(stage, "OrderEpochPassed", digest(stage, stale), 0, 1):
            match(stage, *orders)
        stale["epoch"] = 2
        with refuses(stage, "OrderEpochPassed", digest(stage, stale), 2, 1):
            match(stage, *orders)
        stale["epoch"] = 1
        match(stage, *orders)

    @pytest.mark.parametrize("who", ["maker", "taker"])
    @pytest.mark.parametrize(
        "ids",
        [(), (ETH, ETH), (BTC, ETH), (0, ETH)],
        ids=["none", "twice", "descending", "zero"],
    )
    def test_with_legs_out_of_order(self, traders: Stage, who: str, ids: Any) -> None:
        orders = pair(traders)
        legs = [{"instrument": model.perpetual(u) if u else 0, "ratio": WAD} for u in ids]
        bad = orders[0 if who == "maker" else 1]
        bad["legs"] = legs
        with refuses(traders, "LegsInvalid", digest(traders, bad)):
            match(traders, *orders)

    def test_with_a_leg_without_ratio(self, traders: Stage) -> None:
        orders = pair(traders, sizes={ETH: 1, BTC: 0})
        with refuses(traders, "LegsInvalid", digest(traders, orders[0])):
            match(traders, *orders)

    @pytest.mark.parametrize(
        "instrument",
        [model.perpetual(9), 2 << 46 | ETH << 37, 3 << 46 | ETH << 37, model.perpetual(ETH) + 1],
        ids=["unlisted", "future", "option", "misspelt"],
    )
    def test_of_an_instrument_without_a_market(self, traders: Stage, instrument: int) -> None:
        orders = pair(traders)
        for one in orders:
            one["legs"] = [{"instrument": instrument, "ratio": WAD}]
        with refuses(traders, "UnknownInstrument", instrument=instrument):
            match(traders, *orders)

    @pytest.mark.parametrize("who", ["maker", "taker"])
    def test_without_the_signature_of_its_signer(self, traders: Stage, who: str) -> None:
        orders = pair(traders)
        forged = orders[0 if who == "maker" else 1]
        signers = ("stranger", "taker") if who == "maker" else ("maker", "stranger")
        with refuses(
            traders, "InvalidSignature", digest(traders, forged), traders.actor(who).address
        ):
            match(traders, *orders, signers=signers)

    @pytest.mark.parametrize("length", [0, 64, 66])
    def test_with_a_signature_of_another_length(self, traders: Stage, length: int) -> None:
        sell, buy = pair(traders)
        good = traders.sign(sell, "maker"), traders.sign(buy, "taker")
        bad = (good[0] + b"\0")[:length]
        owner = traders.actor("maker").address
        with refuses(traders, "InvalidSignature", digest(traders, sell), owner):
            traders.house.trade(sell, bad, buy, good[1], WAD)

    @pytest.mark.parametrize("who", ["maker", "taker"])
    def test_signed_by_a_delegate_to_the_second(self, traders: Stage, who: str) -> None:
        stage = traders
        account, desk = stage.account(who), stage.actor("desk")
        orders = pair(stage)
        orders[0 if who == "maker" else 1]["signer"] = desk.address
        signers = ("desk", "taker") if who == "maker" else ("maker", "desk")
        with refuses(stage, "NotAuthorised", account=account, caller=desk.address):
            match(stage, *orders, signers=signers)
        stage.appoint(account, desk, stage.now)
        match(stage, *orders, wad("0.5"), signers=signers)
        stage.warp(1)
        with refuses(stage, "NotAuthorised", account=account, caller=desk.address):
            match(stage, *orders, wad("0.5"), signers=signers)

    def test_signed_by_a_contract(self, traders: Stage) -> None:
        """ERC-1271: an account that is a contract's trades as the contract says."""
        stage = traders
        contract = stage.evm.deploy({"abi": [], "bytecode": SAYS_YES})
        banker = stage.actor("stranger")
        account = stage.account(contract)  # type: ignore[arg-type]
        stage.give(banker, CASH, 10_000 * 10**6)
        stage.house.deposit(account, CASH, 10_000 * 10**6, sender=banker)
        sell, buy = pair(stage)
        own = {**buy, "account": account, "signer": contract.address}
        stage.house.trade(sell, stage.sign(sell, "maker"), own, b"anything", WAD)
        assert stage.position(account, ETH).size == WAD

    def test_signed_by_a_contract_that_cannot(self, traders: Stage) -> None:
        stage = traders
        sell, buy = pair(stage)
        account = stage.account(stage.dollar)  # type: ignore[arg-type]
        own = {**buy, "account": account, "signer": stage.dollar.address}
        with refuses(stage, "InvalidSignature", digest(stage, own), stage.dollar.address):
            stage.house.trade(sell, stage.sign(sell, "maker"), own, b"anything", WAD)

    def test_with_itself(self, traders: Stage) -> None:
        sell, buy = pair(traders)
        own = {**buy, "account": sell["account"], "signer": sell["signer"]}
        with refuses(traders, "SelfTrade", account=sell["account"]):
            match(traders, sell, own, signers=("maker", "maker"))

    def test_with_another_account_of_the_same_owner(self, traders: Stage) -> None:
        stage = traders
        stage.fund("maker", 10_000, 1)
        stage.trade("maker", "maker", {ETH: 1}, buyer_sub=1)
        assert stage.position(stage.account("maker", 1), ETH).size == WAD
        assert stage.position(stage.account("maker"), ETH).size == -WAD

    @pytest.mark.parametrize("who", ["maker", "taker"])
    def test_for_a_named_counterparty(self, traders: Stage, who: str) -> None:
        stage = traders
        orders = pair(stage)
        named, other = orders if who == "maker" else orders[::-1]
        named["taker"] = stage.actor("desk").address
        with refuses(stage, "WrongTaker", digest(stage, named), other["signer"]):
            match(stage, *orders)
        named["taker"] = other["signer"]
        match(stage, *orders)

    @pytest.mark.parametrize(
        "change",
        [
            {"quantity": -WAD},
            {"legs": [{"instrument": model.perpetual(BTC), "ratio": WAD}]},
            {"legs": [{"instrument": model.perpetual(ETH), "ratio": WAD + 1}]},
            {"legs": [{"instrument": model.perpetual(u), "ratio": WAD} for u in (ETH, BTC)]},
        ],
        ids=["side", "instrument", "ratio", "legs"],
    )
    def test_that_is_not_the_opposite(self, traders: Stage, change: Any) -> None:
        sell, buy = pair(traders)
        other = {**buy, **change}
        with refuses(traders, "OrdersDoNotMatch", digest(traders, sell), digest(traders, other)):
            match(traders, sell, other)

    def test_with_ether(self, traders: Stage) -> None:
        with refuses(traders, "ValueNotAccepted", value=1):
            match(traders, *pair(traders), value=1)


class TestReduceOnly:
    """Each leg must bring its position closer to zero without crossing it."""

    @pytest.mark.parametrize("who", ["maker", "taker"])
    @pytest.mark.parametrize("held", [-1, 0, 1, 2])
    def test_sells_down_to_nothing_and_buys_back_to_nothing(
        self, traders: Stage, who: str, held: int
    ) -> None:
        """Two units the maker sells, or the taker buys; `held` of his own side before."""
        stage = traders
        stage.fund("owner", 100_000)
        if held > 0:
            buyer, seller = ("maker", "owner") if who == "maker" else ("owner", "taker")
            stage.trade(buyer, seller, {ALT: 1}, quantity=held)
        elif held < 0:
            buyer, seller = ("owner", "maker") if who == "maker" else ("taker", "owner")
            stage.trade(buyer, seller, {ALT: 1}, quantity=-held)
        sign = 1 if who == "maker" else -1
        orders = pair(stage, sizes={ALT: 1}, quantity=2)
        one = orders[0 if who == "maker" else 1]
        one["reduceOnly"] = True
        if held == 2:
            match(stage, *orders, wad(2))
            assert stage.position(stage.account(who), ALT).size == 0
            return
        instrument = model.perpetual(ALT)
        values = digest(stage, one), instrument, sign * wad(held), -sign * wad(2)
        with refuses(stage, "NotReducing", *values):
            match(stage, *orders, wad(2))

    def test_of_a_package_holds_for_each_leg(self, traders: Stage) -> None:
        stage = traders
        stage.trade("maker", "taker", {ALT: 1, ETH: 1})
        sizes = {ETH: 1, ALT: "1.1"}
        orders = pair(stage, sizes=sizes, reduceOnly=True)
        instrument = model.perpetual(ALT)
        with refuses(
            stage, "NotReducing", digest(stage, orders[0]), instrument, wad(1), -wad("1.1")
        ):
            match(stage, *orders)


class TestRisk:
    """What stops new risk stops no trade in which both sides reduce."""

    @staticmethod
    def expect(stage: Stage, u: int, error: str, **values: Any) -> None:
        """A trade that adds risk to one side fails; one that reduces both is filled."""
        stage.fund("owner", 100_000)
        with refuses(stage, error, **values):
            stage.trade("taker", "owner", {u: 1})
        with refuses(stage, error, **values):
            stage.trade("maker", "taker", {u: 3})
        stage.trade("maker", "taker", {u: 1})
        assert stage.position(stage.account("taker"), u).size == wad(1)
        assert stage.position(stage.account("maker"), u).size == -wad(1)

    @pytest.fixture
    def long(self, traders: Stage) -> Stage:
        traders.trade("taker", "maker", {ALT: 2})
        return traders

    def test_while_it_is_paused(self, long: Stage) -> None:
        long.house.setPause(1 << RISK, 0)
        self.expect(long, ALT, "Paused", action=RISK, asset=CASH)

    def test_at_a_doubtful_price(self, long: Stage) -> None:
        long.underlyings[ALT].feed.break_down()
        instrument = model.perpetual(ALT)
        self.expect(long, ALT, "PriceNotOk", instrument=instrument, status=PriceStatus.INVALID)

    @pytest.mark.parametrize("peg", ["0.979999", "1.020001"])
    def test_off_the_peg_of_the_settlement_token(self, long: Stage, peg: str) -> None:
        long.move({PEG: peg})
        self.expect(long, ALT, "SettlementTokenDepegged")

    @pytest.mark.parametrize("peg", ["0.98", "1.02"])
    def test_up_to_the_bound_of_the_peg(self, long: Stage, peg: str) -> None:
        long.move({PEG: peg})
        long.trade("taker", "maker", {ALT: 1})
        assert long.position(long.account("taker"), ALT).size == wad(3)

    def test_without_a_good_price_of_the_peg_for_an_hour(self, long: Stage) -> None:
        long.underlyings[PEG].feed.break_down()
        long.pass_time(3_601 - (long.now - long.underlyings[PEG].seen.time))
        self.expect(long, ALT, "SettlementTokenDepegged")

    def test_in_a_closed_market(self, traders: Stage) -> None:
        with refuses(traders, "MarketClosed", instrument=model.perpetual(CLOSED)):
            traders.trade("taker", "maker", {CLOSED: 1})

    def test_beyond_the_cap_of_the_market(self, traders: Stage) -> None:
        """Ten units of 100 dollars fill it; a wei more is rounded up to what is beyond it."""
        instrument, cap = model.perpetual(CAPPED), wad(CAP)
        orders = pair(traders, sizes={CAPPED: 1}, quantity=11)
        with refuses(traders, "OpenInterestCapExceeded", instrument, wad(1_000) + 100, cap):
            match(traders, *orders, wad(10) + 1)
        match(traders, *orders, wad(10))
        with refuses(traders, "OpenInterestCapExceeded", instrument, wad(1_000) + 100, cap):
            match(traders, *orders, 1)

    def test_that_changes_hands_at_the_cap(self, traders: Stage) -> None:
        """Open interest that does not grow is not asked for its cap."""
        traders.trade("taker", "maker", {CAPPED: 10})
        traders.fund("owner", 100_000)
        traders.report({CAPPED: wad(110)})
        traders.trade("owner", "taker", {CAPPED: 1})
        assert traders.house.call.openInterest(model.perpetual(CAPPED)) == wad(10)

    def test_beyond_what_the_reserves_carry(self) -> None:
        """The stress jump of the open interest may cost the share of the reserves, not more."""
        stage = Stage(reserves=1_000)
        stage.fund("maker", 100_000)
        stage.fund("taker", 100_000)
        terms = stage.underlyings[ALT].market
        factors = stage.engine.call.factors()
        assert terms is not None
        cap = wad(1_000) * factors.stressShare // terms.stress_jump
        assert cap == wad(2_000)
        orders = pair(stage, sizes={ALT: 1}, quantity=201)
        instrument = model.perpetual(ALT)
        with refuses(stage, "OpenInterestCapExceeded", instrument, cap + 10, cap):
            match(stage, *orders, wad(200) + 1)
        match(stage, *orders, wad(200))
        stage.add_reserves(1)
        match(stage, *orders, wad("0.2"))

    @pytest.mark.parametrize("who", ["maker", "taker"])
    def test_beyond_the_margin_of_either_side(self, traders: Stage, who: str) -> None:
        """The account had nothing but ten dollars: its ratio was better before."""
        stage = traders
        poor = stage.fund("owner", 10)
        held = stage.portfolio(poor)
        orders = pair(stage)
        index = 0 if who == "maker" else 1
        orders[index].update(account=poor, signer=stage.owner(poor))
        signers = ("owner", "taker") if who == "maker" else ("maker", "owner")
        size = -WAD if who == "maker" else WAD
        fill = Fill(model.perpetual(ETH), size, stage.marks[ETH], is_taker=who == "taker")
        before, after = model.preview_trade(
            held, [fill], {ETH: (FEES.taker_fee, FEES.maker_fee)}, stage.inputs()
        )
        with refuses(stage, "RatioWorsened", poor, as_tuple(before), as_tuple(after)):
            match(stage, *orders, signers=signers)

    def test_with_more_positions_than_an_account_may_hold(self) -> None:
        ids = range(1, MAX_POSITIONS + 2)
        stage = Stage(underlyings={u: Listed(10) for u in ids}, collateral={})
        for who in ("maker", "owner", "taker"):
            stage.fund(who, 100_000)
        for first in range(1, MAX_POSITIONS, MAX_LEGS):
            stage.trade("taker", "maker", dict.fromkeys(range(first, first + MAX_LEGS), 1))
        account = stage.account("taker")
        assert len(stage.portfolio(account).positions) == MAX_POSITIONS
        with refuses(stage, "TooManyPositions", account, MAX_POSITIONS + 1):
            stage.trade("taker", "owner", {MAX_POSITIONS + 1: 1})
        stage.trade("taker", "owner", {MAX_POSITIONS: 1})
        stage.trade("owner", "taker", {1: 1})
        stage.trade("taker", "owner", {MAX_POSITIONS + 1: 1})
        assert stage.margin(account).equity == wad(100_000)

    def test_of_collateral_counts_too(self, stage: Stage) -> None:
        """A short of what is held in collateral is a hedge: little margin, no cash."""
        stage.deposit("maker", WETH, wad(10))
        stage.fund("taker", 100_000)
        stage.trade("taker", "maker", {ETH: 10})
        hedged = stage.margin(stage.account("maker"))
        assert hedged.is_free
        assert hedged.equity == wad(20_000) - fees(wad(10), wad(2_000))[0]

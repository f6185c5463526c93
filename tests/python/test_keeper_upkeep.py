"""Housekeeping: what it decides, and against the contracts, dying midway included."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from web3.contract.contract import ContractFunction

from plimsoll.instruments import Instrument
from plimsoll.keeper.decide import State
from plimsoll.keeper.discover import Directory
from plimsoll.keeper.housekeeping import Housekeeper
from plimsoll.keeper.upkeep import (
    CLOSING_DELAY,
    HOUR,
    AuctionSeen,
    CloseOut,
    CopySeen,
    Fix,
    FixingSeen,
    MarketSeen,
    Note,
    NoteStanding,
    Observe,
    PositionSeen,
    Refresh,
    Sample,
    Settle,
    UpkeepLimits,
    UpkeepSeen,
    decide_upkeep,
)
from plimsoll.protocol import Account
from plimsoll.risk.instruments import expiry_of
from plimsoll.risk.oracle import fixing_instant
from plimsoll.risk.params import (
    Kind,
    LendingParams,
    OptionsParams,
    OutflowParams,
    SourceParams,
    VolatilityParams,
)
from plimsoll.units import WAD
from tests.evm import actor
from tests.surfaces import first_day, surface
from tests.unit.lens_house import BTC, ETH, USD, WETH, House
from tests.world import number

NOW = 10**6
LIMITS = UpkeepLimits()
QUIET = UpkeepSeen(block=1, time=NOW, paused=False, shut_at=0)
ACCOUNT = b"\x01" * 32
AUCTION = AuctionSeen(ACCOUNT, State.RUNNING, -50 * WAD, 50 * WAD)
LOSING = PositionSeen(ACCOUNT, 7, -10 * WAD)


def decided(**seen: object) -> list[object]:
    return list(decide_upkeep(replace(QUIET, **seen), LIMITS))  # type: ignore[arg-type]


class TestDecide:
    def test_a_house_in_order_needs_nothing(self) -> None:
        assert (
            decided(
                markets=(MarketSeen(ETH, NOW - HOUR + 1),),
                copies=(CopySeen(USD, 5, 5),),
                auctions=(AUCTION,),
                positions=(LOSING,),
            )
            == []
        )

    def test_observes_together_whatever_is_an_hour_old(self) -> None:
        old = (MarketSeen(ETH, NOW - HOUR), MarketSeen(BTC, NOW - 1), MarketSeen(3, 0))
        assert decided(markets=old) == [Observe((ETH, 3))]

    def test_samples_the_rounds_that_it_found(self) -> None:
        assert decided(markets=(MarketSeen(ETH, NOW, (4, 9)),)) == [Sample(ETH, (4, 9))]

    def test_fixes_what_it_found_before_it_samples(self) -> None:
        fixings = (FixingSeen(500, (4, 4)), FixingSeen(480))
        actions = [Fix(ETH, 500, (4, 4)), Fix(ETH, 480, ()), Sample(ETH, (9,))]
        assert decided(markets=(MarketSeen(ETH, NOW, (9,), fixings),)) == actions

    def test_refreshes_what_differs(self) -> None:
        copies = (CopySeen(USD, 5, 5), CopySeen(WETH, 5, 6))
        assert decided(copies=copies) == [Refresh(WETH)]

    def test_looks_at_the_cash_once_its_hour_is_over(self) -> None:
        assert decided(cash_hour=NOW - HOUR) == [Refresh(USD)]
        assert decided(cash_hour=NOW - HOUR + 1) == []
        assert decided(cash_hour=None) == []

    def test_refreshes_cash_once_for_whatever_reason(self) -> None:
        copies = (CopySeen(WETH, 5, 6), CopySeen(USD, 1, 2), CopySeen(USD, 3, 4))
        assert decided(copies=copies, cash_hour=0) == [Refresh(WETH), Refresh(USD)]

    @pytest.mark.parametrize(
        ("change", "actions"),
        [
            ({"provision": 40 * WAD}, [Note(ACCOUNT)]),
            ({"provision": 60 * WAD}, [Note(ACCOUNT)]),
            ({"provision": 40 * WAD + 1}, []),
            ({"provision": 0, "state": State.HALTED}, [Note(ACCOUNT)]),
            ({"provision": 0, "state": State.OBSERVED}, []),
            ({"state": State.STANDING}, []),
            ({"state": State.STANDING, "maintenance_equity": 1}, [NoteStanding(ACCOUNT)]),
        ],
    )
    def test_notes_a_provision_that_is_wrong(
        self, change: dict[str, object], actions: list[object]
    ) -> None:
        seen = replace(AUCTION, **change)  # type: ignore[arg-type]
        assert decided(auctions=(seen,)) == actions
        assert decided(auctions=(seen,), paused=True) == []

    def test_a_hole_is_in_whole_millionths_rounded_up(self) -> None:
        assert replace(AUCTION, maintenance_equity=-1).hole == 10**12
        assert replace(AUCTION, maintenance_equity=-(10**12)).hole == 10**12
        assert replace(AUCTION, maintenance_equity=5).hole == 0

    def test_once_shut_losers_are_settled_and_then_all_is_closed_out(self) -> None:
        winning = replace(LOSING, variation=10 * WAD)
        held = (LOSING, winning, replace(LOSING, variation=-10 * WAD + 1))
        shut = NOW - CLOSING_DELAY + 1
        assert decided(shut_at=shut, positions=held) == [Settle(ACCOUNT, 7)]
        assert decided(shut_at=shut - 1, positions=held) == [CloseOut(ACCOUNT, 7)] * 3

    def test_what_has_expired_is_settled_losers_first(self) -> None:
        held = [
            replace(LOSING, instrument=place, variation=variation, is_final=True)
            for place, variation in enumerate((5 * WAD, 0, -1, -20 * WAD))
        ]
        expected = [Settle(ACCOUNT, place) for place in (3, 2, 1, 0)]
        assert decided(positions=(LOSING, *held)) == expected
        shut = NOW - CLOSING_DELAY + 1
        assert decided(shut_at=shut, positions=(LOSING, *held)) == [
            Settle(ACCOUNT, 3), Settle(ACCOUNT, 7), *expected[1:],
        ]  # fmt: skip
        last = decided(shut_at=shut - 1, positions=(LOSING, *held))
        assert {type(action) for action in last} == {CloseOut}


class Listed(Directory):
    """A directory that was told its accounts: the test chain keeps no logs."""

    def catch_up(self, head: int) -> None:
        self.read_to = head


@pytest.fixture(scope="module")
def built() -> House:
    return House()


@pytest.fixture
def house(built: House):
    with built.evm.anchored():
        yield built


@pytest.fixture
def pair(house: House) -> tuple[Account, Account]:
    long, short = house.person("long", USD=5_000), house.person("short", USD=100_000)
    house.trade(long, short, "ETH", "10")
    return long, short


def keeper_of(house: House, *accounts: Account) -> Housekeeper:
    chain = house.seen_by(actor("keeper")).chain
    directory = Listed(chain, 0)
    directory.known = {account.id.encode() for account in accounts}
    directory.watched = set(directory.known)
    return Housekeeper(chain, directory, [ETH, BTC], [WETH])


def done(keeper: Housekeeper) -> list[object]:
    """What was done, none of it refused."""
    report = keeper.step()
    assert [outcome.refusal for outcome in report.outcomes] == [None] * len(report.outcomes)
    return [outcome.action for outcome in report.outcomes]


def enact(house: House, kind: Kind, number: int, word: int) -> None:
    engine = house.terms.engine
    engine.submit(kind, number, word)
    if not engine.call.parameter(kind, number).readyAt:
        return
    house.wait(2 * 86_400)
    engine.accept(kind, number)


class TestAgainstTheContracts:
    def test_observes_every_hour(self, house: House) -> None:
        keeper = keeper_of(house)
        assert done(keeper) == []
        house.evm.warp(HOUR)
        for underlying in (ETH, BTC):
            house.set_price("ETH" if underlying == ETH else "BTC", 2_000, observe=False)
        assert done(keeper) == [Observe((ETH, BTC))]
        assert done(keeper) == []

    def test_brings_copies_up_to_the_words_in_force(self, house: House) -> None:
        keeper = keeper_of(house)
        enact(house, Kind.LENDING, 0, LendingParams(80, 50, 600, 10).word)
        assert done(keeper) == [Refresh(USD)]
        # Nobody supplied anything: the next loan would cost what a full pool costs.
        assert house.deployer.solvency().borrow_rate == Decimal("0.6")
        enact(house, Kind.OUTFLOW, WETH, OutflowParams(limit=1_000).word)
        enact(house, Kind.OUTFLOW, USD, OutflowParams(limit=5_000_000).word)
        assert sorted(action.asset for action in done(keeper)) == [USD, WETH]  # type: ignore[attr-defined]
        assert house.deployer.asset("WETH").outflow().limit == 1_000
        assert house.deployer.asset("USD").outflow().limit == 5_000_000
        assert done(keeper) == []

    def test_looks_at_the_cash_every_hour(self, house: House) -> None:
        """Of what came in, the next hour lets no more go than the limit; whoever starts anew finds
        on the chain that somebody looked."""
        enact(house, Kind.OUTFLOW, USD, OutflowParams(limit=5_000).word)
        assert done(keeper_of(house)) == [Refresh(USD)]
        begun = house.deployer.asset("USD").outflow().window_start
        house.person("saver", USD=9_000)
        house.wait(HOUR - 1)
        assert done(keeper_of(house)) == []
        house.wait(1)
        assert done(keeper_of(house)) == [Refresh(USD)]
        assert house.deployer.asset("USD").outflow().window_start >= begun + HOUR
        assert done(keeper_of(house)) == []

    def test_who_withdrew_has_looked_at_the_cash(self, house: House) -> None:
        enact(house, Kind.OUTFLOW, USD, OutflowParams(limit=5_000).word)
        saver = house.person("saver", USD=9_000)
        assert done(keeper_of(house)) == [Refresh(USD)]
        house.wait(HOUR)
        saver.withdraw(house.deployer.asset("USD"), 1)
        assert done(keeper_of(house)) == []

    def test_one_that_died_after_half_its_work_does_the_rest(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        enact(house, Kind.OUTFLOW, WETH, OutflowParams(limit=1_000).word)
        enact(house, Kind.OUTFLOW, USD, OutflowParams(limit=5_000_000).word)
        keeper = keeper_of(house)
        sent: list[object] = []
        send = type(keeper.chain).send

        def dies(self, *args, **overrides):
            if sent:
                raise KeyboardInterrupt
            sent.append(args)
            return send(self, *args, **overrides)

        with monkeypatch.context() as death:
            death.setattr(type(keeper.chain), "send", dies)
            with pytest.raises(KeyboardInterrupt):
                keeper.step()
        assert len(done(keeper_of(house))) == 1
        assert done(keeper_of(house)) == []

    def test_notes_what_an_auction_is_about_to_lose(
        self, house: House, pair: tuple[Account, Account]
    ) -> None:
        long, short = pair
        keeper = keeper_of(house, long)
        house.set_price("ETH", 1_560)
        long.auction.flag()
        house.wait(15)
        long.auction.flag()
        assert long.auction.provision() == 0
        assert done(keeper) == []
        house.set_price("ETH", 1_400)
        assert done(keeper) == [Note(long.id.encode())]
        assert long.auction.provision() == house.deployer.provisions() > 900
        assert short.loss_share().expected == 0
        assert done(keeper) == []

    def test_winds_down_in_order(self, house: House, pair: tuple[Account, Account]) -> None:
        keeper = keeper_of(house, *pair)
        house.set_price("ETH", 1_900)
        house.contract.submitShutdown()
        house.wait(2 * 86_400)
        house.contract.acceptShutdown()
        assert house.deployer.wind_down().shut_at
        perpetual = Instrument.perpetual(ETH).encode()
        assert done(keeper) == [Settle(pair[0].id.encode(), perpetual)]
        house.wait(CLOSING_DELAY)
        closed = sorted(account.id.encode() for account in pair)
        assert done(keeper) == [CloseOut(account, perpetual) for account in closed]
        assert all(not account.portfolio().positions for account in pair)
        assert done(keeper) == []

    def test_on_paper_nothing_is_sent_and_all_is_told(self, house: House) -> None:
        house.evm.warp(HOUR)
        keeper = keeper_of(house)
        keeper.chain.signer = None
        report = keeper.step()
        assert report.paper
        assert report.metrics() == {"upkeep_sent": 0, "upkeep_refused": 0}
        told = json.loads(json.dumps(report.to_json()))
        assert [action["do"] for action in told["actions"]] == ["Observe"]

    def test_a_refusal_is_an_outcome(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        keeper = keeper_of(house)
        seen = replace(keeper.look(), copies=(CopySeen(200, 0, 1),))
        monkeypatch.setattr(Housekeeper, "look", lambda _: seen)
        (outcome,) = keeper.step().outcomes
        assert outcome.receipt is None
        assert "UnknownAsset" in (outcome.refusal or "")


PHASE = 1 << 64
CENTS = 10**8


class Measured(House):
    """Its ether has a source with a history of rounds, and a usual volatility."""

    def _deploy(self):
        engine = self.terms.engine
        self.evm.warp(HOUR - self.evm.time % HOUR + 60)
        self.rounds = self.evm.deploy("MockRounds", 8)
        self.rounds.set(PHASE + 1, 2_000 * CENTS, self.evm.time - 30)
        source = SourceParams(number(self.rounds), decimals=8, max_age=100_000, floor=60)
        engine.setUp(Kind.SOURCE, ETH, source.word)
        engine.setUp(Kind.VOLATILITY, ETH, VolatilityParams(6_000).word)
        return super()._deploy()


def test_samples_each_hour_by_the_round_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    house = Measured()
    keeper = keeper_with(house)
    begun = house.evm.time // HOUR
    assert done(keeper) == [Sample(ETH, (PHASE + 1,))]
    assert house.deployer.volatility(ETH).hour == begun
    assert done(keeper) == []
    for which, price in ((2, 2_100), (3, 2_150)):
        house.evm.warp(HOUR)
        house.rounds.set(PHASE + which, price * CENTS, house.evm.time)
    house.rounds.set(PHASE + 4, 2_600 * CENTS, house.evm.time)
    with monkeypatch.context() as death:
        death.setattr(type(keeper.chain), "send", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            keeper.step()
    assert done(keeper_with(house)) == [Sample(ETH, (PHASE + 2, PHASE + 3))]
    told = house.deployer.volatility(ETH)
    assert (told.hour, told.price) == (begun + 2, 2_150)
    assert told.gauge > 1


class Dated(Measured):
    """It has an expiry too; nobody samples."""

    def _deploy(self):
        made = super()._deploy()
        terms = self.terms
        terms.engine.setUp(Kind.OPTIONS, ETH, OptionsParams(2_000).word)
        self.day = first_day(terms.now)
        terms.report_surface(ETH, surface(terms.now, 2))
        return made

    def at(self, seconds: int) -> None:
        """So long after the first instant of the fixing."""
        self.evm.warp(fixing_instant(expiry_of(self.day), 0) + seconds - self.evm.time)

    def report(self, which: int, price: int, seconds: int) -> None:
        moment = fixing_instant(expiry_of(self.day), 0) + seconds
        self.rounds.set(PHASE + which, price * CENTS, moment)

    def fixed(self) -> tuple[int, int]:
        samples, total = self.terms.engine.call.fixing(ETH, self.day)
        return samples, total // WAD


def fixes(house: House) -> list[object]:
    return [action for action in done(keeper_with(house)) if isinstance(action, Fix)]


def test_fixes_each_instant_by_its_round_as_soon_as_there_is_one() -> None:
    house = Dated()
    house.report(2, 2_000, -10)
    house.at(-1)
    assert fixes(house) == []
    house.at(20)
    assert fixes(house) == []
    house.report(3, 2_100, 10)
    assert fixes(house) == [Fix(ETH, house.day, (PHASE + 3,))]
    assert fixes(house) == []
    # Out of bounds first, then one that serves the second instant and the third.
    house.report(4, 0, 400)
    house.report(5, 2_200, 650)
    house.at(700)
    assert fixes(house) == [Fix(ETH, house.day, (PHASE + 5, PHASE + 5))]
    house.report(6, 2_300, 5_000)
    house.at(2 * 86_400)
    assert fixes(house) == [Fix(ETH, house.day, (PHASE + 6,) * 3)]
    assert house.fixed() == (6, 2_100 + 2 * 2_200 + 3 * 2_300)
    assert fixes(house) == []


def test_has_a_frozen_price_settle_what_is_left() -> None:
    house = Dated()
    house.report(2, 2_000, 0)
    house.at(0)
    assert fixes(house) == [Fix(ETH, house.day, (PHASE + 2,))]
    house.terms.engine.observe([ETH])
    house.at(10 * 86_400)
    house.terms.engine.submit(Kind.FROZEN_PRICE, ETH, 1_500 * WAD)
    house.at(12 * 86_400)
    assert fixes(house) == []
    house.terms.engine.accept(Kind.FROZEN_PRICE, ETH)
    assert fixes(house) == [Fix(ETH, house.day, ()), Fix(ETH, house.day + 7, ())]
    assert house.fixed() == (6, 2_000 + 5 * 1_500)
    assert fixes(house) == []


def keeper_with(house: House) -> Housekeeper:
    """Another one, who knows nothing of the first."""
    keeper = keeper_of(house)
    keeper.limits = replace(LIMITS, observe_every=100 * HOUR)
    return keeper


def test_finds_what_is_held_of_a_fixed_expiry_until_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = Dated()
    house.report(2, 2_000, 1_600)
    house.at(2 * 86_400)
    keeper = keeper_of(house)
    keeper.directory.known = {ACCOUNT}
    expired = Instrument.future(ETH, house.day).encode()
    living = Instrument.future(ETH, house.day + 7).encode()
    held = [one << 208 | 3 * WAD << 104 for one in (expired, living)]
    asked: list[bytes] = []
    ask = Housekeeper._ask

    def answer(self: Housekeeper, function: ContractFunction, block: object) -> object:
        if function.fn_name == "portfolio":
            asked.append(function.args[0])
            return 0, [], held
        if function.fn_name == "marketView":
            return 2_000 * WAD, 0, 0
        return ask(self, function, block)

    monkeypatch.setattr(Housekeeper, "_ask", answer)
    assert keeper.look().positions == ()
    assert asked == []
    assert fixes(house) == [Fix(ETH, house.day, (PHASE + 2,) * 6)]
    found = PositionSeen(ACCOUNT, expired, 6_000 * WAD, is_final=True)
    assert keeper.look().positions == (found,)
    held.clear()
    assert keeper.look().positions == ()
    seen = len(asked)
    assert keeper.look().positions == ()
    assert len(asked) == seen

"""A volatility shock: prices leap and come back, and only the gauge remembers.

New risk feels it at once, held risk by a bounded step an hour: a price that is back where it was
liquidates nobody, and whoever stands at the limit of initial margin has hours to act.
"""

from __future__ import annotations

import pytest

from plimsoll.risk import oracle
from plimsoll.risk.model import BPS, WAD, Margin
from plimsoll.risk.oracle import GAUGE_FALL, GAUGE_RISE, HOUR, Answer, Round
from plimsoll.risk.params import Kind
from tests.scenarios.stage import CASH, ETH, Stage
from tests.world import Feed, Market, number

REFERENCE = 6_000
"""0.6 % an hour, in hundredths of a basis point."""
CALM = 2_000
SHOCK = 1_600


class RoundFeed(Feed):
    """A feed that keeps its history."""

    def __init__(self, market: Market) -> None:
        super().__init__(market.evm.deploy("MockRounds", 18), 18, Answer(0, 0))
        self.rounds: dict[int, Round] = {}

    def set(self, value: int, updated_at: int) -> None:
        latest = len(self.rounds) + 1
        self.contract.set(latest, value, updated_at)
        self.rounds[latest] = Round(value, updated_at)
        self.told = Answer(value, updated_at)


class Shaken(Stage):
    """Ether's volatility is measured, from a minute past an hour on; the owner is long."""

    def __init__(self) -> None:
        super().__init__()
        self.fund("maker", 10_000_000)
        self.account_ = self.fund("owner", 20_000)
        self.trade("owner", "maker", {ETH: 50})

    def _open_house(self, backstop: str | None) -> None:
        self.warp(HOUR - self.now % HOUR + 60)
        self.history = RoundFeed(self)
        ether = self.underlyings[ETH]
        ether.feed = self.history
        self.report(self.marks)
        word = ether.source.word
        others = word >> 160 << 160
        self.engine.setUp(Kind.SOURCE, ETH, others | number(self.history.contract))
        self.engine.setUp(Kind.VOLATILITY, ETH, REFERENCE)
        self.observe(*self.marks)
        self.sample()
        super()._open_house(backstop)

    def sample(self) -> oracle.Gauge:
        """Hands in the hour that follows the last sample, on the chain and in the twin."""
        ether = self.underlyings[ETH]
        source = oracle.Source(18, ether.source.max_age, ether.source.floor, ether.source.ceiling)
        for latest in self.history.rounds:
            try:
                seen = oracle.sample(
                    ether.gauge, self.history.rounds, latest, source, REFERENCE, self.now
                )
            except oracle.RoundRefused:
                continue
            self.engine.sampleVolatility(ETH, [latest])
            ether.gauge = seen
            return seen
        raise AssertionError("no round is the sample of the next hour")

    def hour(self, price: int) -> oracle.Gauge:
        """The next hour begins with this price, and somebody hands it in."""
        self.warp(HOUR - self.now % HOUR + 60)
        self.move({**{u: mark // 10**18 for u, mark in self.marks.items()}, ETH: price})
        return self.sample()

    def shake(self) -> None:
        """Down a fifth and back within two hours: the price is what it was."""
        self.hour(SHOCK)
        self.hour(CALM)

    def owner_margin(self) -> Margin:
        return self.margin(self.account_)


@pytest.fixture
def stage() -> Shaken:
    return Shaken()


def test_the_shock_alone_liquidates_nobody(stage: Shaken) -> None:
    before = stage.owner_margin()
    assert before.is_free
    stage.shake()
    after = stage.owner_margin()
    assert stage.underlyings[ETH].gauge.gauge > 2 * BPS
    assert after.equity == before.equity
    assert after.initial_margin > before.initial_margin * 3 // 2
    assert after.maintenance_margin < before.maintenance_margin * 106 // 100
    assert after.is_healthy
    with stage.evm.reverts("AccountHealthy"):
        stage.house.flag(stage.account_)


def test_new_risk_feels_it_at_once(stage: Shaken) -> None:
    stage.shake()
    assert not stage.owner_margin().is_free
    with stage.evm.reverts("BelowInitialMargin"):
        stage.withdraw_cash(stage.account_, 1)
    with stage.evm.reverts("RatioWorsened"):
        stage.trade("owner", "maker", {ETH: 1})
    stage.trade("maker", "owner", {ETH: 25})
    stage.deposit("owner", CASH, 10**6)


def test_maintenance_follows_by_a_bounded_step_an_hour(stage: Shaken) -> None:
    """Up by a twentieth of the range an hour, then down by a quarter of that, however it shakes."""
    stage.shake()
    last = stage.underlyings[ETH].gauge.maintenance(stage.now)
    time = stage.now
    gauges, margins = [], []
    for price in [SHOCK, CALM] * 6 + [CALM] * 60:
        seen = stage.hour(price)
        gauge = seen.maintenance(stage.now)
        elapsed = stage.now - time
        assert last - GAUGE_FALL * elapsed // HOUR - 1 <= gauge
        assert gauge <= last + GAUGE_RISE * elapsed // HOUR + 1
        last, time = gauge, stage.now
        gauges.append(gauge)
        margins.append(stage.owner_margin().maintenance_margin)
    assert seen.gauge < last < max(gauges), "what calms down comes down"
    assert margins[-1] < max(margins)


def test_whoever_stands_at_the_limit_has_hours(stage: Shaken) -> None:
    """Equity of a quarter more than maintenance, and a gauge that doubles: maintenance takes hours
    to reach it, in which a deposit is enough."""
    margin = stage.owner_margin()
    spare = margin.initial_equity - margin.initial_margin
    stage.withdraw_cash(stage.account_, spare // WAD)
    assert stage.owner_margin().is_free
    stage.shake()
    hours = 0
    while stage.owner_margin().is_healthy:
        with stage.evm.reverts("AccountHealthy"):
            stage.house.flag(stage.account_)
        stage.hour(CALM)
        hours += 1
    assert 3 <= hours <= 12
    stage.deposit("owner", CASH, 10_000 * 10**6)
    assert stage.owner_margin().is_healthy

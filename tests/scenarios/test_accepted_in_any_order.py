"""What was submitted together is accepted by anybody, one by one and in any order.

A market accepted before its underlying's risk parameters would trade without margin; a yield token
listed before its rates would count one to one. So neither is accepted before what it needs.
"""

from __future__ import annotations

from plimsoll.risk.model import WAD
from plimsoll.risk.params import (
    DELAY,
    Kind,
    MarketParams,
    RateKind,
    RateSourceParams,
    SourceParams,
    TokenParams,
)
from tests.scenarios.stage import ETH, RISK, TERMS, Stage
from tests.world import number

NEW_UNDERLYING, NEW_ASSET = 7, 20


def test_no_market_without_margin() -> None:
    stage = Stage()
    feed = stage.new_feed(100 * 10**8, 8)
    source = SourceParams(number(feed.contract), decimals=8)
    stage.engine.submit(Kind.UNDERLYING, NEW_UNDERLYING, RISK.word)
    stage.engine.submit(Kind.SOURCE, NEW_UNDERLYING, source.word)
    stage.engine.submit(Kind.MARKET, NEW_UNDERLYING, MarketParams().word)
    stage.pass_time(DELAY)
    feed.set(100 * 10**8, stage.now)
    anyone = stage.actor("anyone")
    with stage.evm.reverts("UnknownUnderlying", NEW_UNDERLYING):
        stage.engine.accept(Kind.MARKET, NEW_UNDERLYING, sender=anyone)
    stage.engine.accept(Kind.SOURCE, NEW_UNDERLYING, sender=anyone)
    with stage.evm.reverts("UnknownUnderlying", NEW_UNDERLYING):
        stage.engine.accept(Kind.MARKET, NEW_UNDERLYING, sender=anyone)
    stage.engine.accept(Kind.UNDERLYING, NEW_UNDERLYING, sender=anyone)
    stage.engine.accept(Kind.MARKET, NEW_UNDERLYING, sender=anyone)


def test_no_yield_token_without_its_rate() -> None:
    stage = Stage()
    token, rate = stage.new_token(18), stage.evm.deploy("MockRate", WAD // 50)
    stage.tokens[NEW_ASSET] = token
    stage.engine.submit(Kind.TOKEN, NEW_ASSET, TokenParams(number(token), ETH, 18).word)
    stage.pass_time(DELAY)
    stage.engine.accept(Kind.TOKEN, NEW_ASSET)
    source = RateSourceParams(number(rate), RateKind.STETH_PER_TOKEN, growth_cap=1_000)
    stage.engine.submit(Kind.RATE_SOURCE, NEW_ASSET, source.word)
    stage.engine.submit(Kind.ASSET, NEW_ASSET, TERMS.word)
    stage.pass_time(DELAY)
    anyone = stage.actor("anyone")
    with stage.evm.reverts("RateSourceMissing", NEW_ASSET):
        stage.engine.accept(Kind.ASSET, NEW_ASSET, sender=anyone)
    stage.engine.accept(Kind.RATE_SOURCE, NEW_ASSET, sender=anyone)
    stage.engine.accept(Kind.ASSET, NEW_ASSET, sender=anyone)
    counted = stage.engine.call.explain(NEW_ASSET, 1_000 * WAD)
    assert counted.units == 20 * WAD

"""A price that the second source denies, fixed just before the look that would have asked it.

The first read of a transaction fixes a price, and anyone may be the first to read. A flag observes
both sources, but would weigh the account at what was fixed before: so an observation that finds a
fixed price doubtful undoes its transaction.
"""

from __future__ import annotations

from plimsoll.risk import model
from plimsoll.risk.model import PriceStatus
from tests.scenarios.stage import ETH, Listed, Stage, wad


def test_the_look_is_undone() -> None:
    stage = Stage(underlyings={ETH: Listed(2_000, second=200)}, collateral={})
    stage.fund("maker", 1_000_000)
    account = stage.fund("owner", 30_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.warp(12)
    stage.set_price(ETH, wad(1_750), second=wad(2_000))
    puppet = stage.evm.deploy("Puppet")
    read = stage.engine.address, stage.engine.encode("market", model.perpetual(ETH)), False
    with stage.evm.reverts("PriceAlreadyFixed", ETH, PriceStatus.DEVIATING):
        puppet.run([read, stage.step("flag", account)])
    with stage.evm.reverts("AccountHealthy", account=account):
        stage.house.flag(account)

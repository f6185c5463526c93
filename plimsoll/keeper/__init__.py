"""A liquidation keeper: `decide` is pure, `act` reads and sends, `discover` finds the accounts."""

from plimsoll.keeper.act import Keeper, Outcome, Report
from plimsoll.keeper.decide import Limits, Plan, Seen, Snapshot, decide
from plimsoll.keeper.housekeeping import Housekeeper
from plimsoll.keeper.settings import (
    housekeeper_beside,
    keeper_from,
    keeper_on,
    manifest_from,
)

__all__ = [
    "Housekeeper",
    "Keeper",
    "Limits",
    "Outcome",
    "Plan",
    "Report",
    "Seen",
    "Snapshot",
    "decide",
    "housekeeper_beside",
    "keeper_from",
    "keeper_on",
    "manifest_from",
]

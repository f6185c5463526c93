"""`python -m plimsoll.keeper`: liquidates until interrupted; `--once`: looks once.

One line of JSON a pass, and one more of what was done to keep house.
"""

import json
import os
import signal
import sys
import time
from types import FrameType

import click

from plimsoll.errors import PlimsollError
from plimsoll.keeper.act import Keeper
from plimsoll.keeper.housekeeping import Housekeeper
from plimsoll.keeper.settings import housekeeper_beside, keeper_from


@click.command()
@click.option("--once", is_flag=True, help="Look once, act, and end.")
@click.option(
    "--every", default=2.0, show_default=True, help="Seconds between looks for a new block."
)
@click.option("--rpc", help="Address of the node; else PLIMSOLL_RPC.")
@click.option("--manifest", help="Deployment manifest; else PLIMSOLL_MANIFEST.")
def cli(once: bool, every: float, rpc: str | None, manifest: str | None) -> None:
    """Flags and bids on accounts below maintenance, inside the limits of the environment.

    Without PLIMSOLL_KEEPER_KEY it only says what it would do.
    """
    given = {"PLIMSOLL_RPC": rpc, "PLIMSOLL_MANIFEST": manifest}
    environment = {**os.environ, **{name: value for name, value in given.items() if value}}
    signal.signal(signal.SIGTERM, _end)
    try:
        keeper = keeper_from(environment)
        housekeeper = housekeeper_beside(keeper, environment)
        _pass(keeper, housekeeper) if once else _follow(keeper, housekeeper, every)
    except PlimsollError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(130)


def _follow(keeper: Keeper, housekeeper: Housekeeper | None, every: float) -> None:
    """One pass for every new block, and again at once while passes find something to do."""
    looked_at = None
    while True:
        if looked_at != (head := keeper.chain.w3.eth.get_block("latest")["hash"]):
            _pass(keeper, housekeeper)
            looked_at = head
        else:
            time.sleep(every)


def _pass(keeper: Keeper, housekeeper: Housekeeper | None) -> None:
    """Liquidation first: it cannot wait."""
    print(json.dumps(keeper.step().to_json()), flush=True)
    if housekeeper is not None:
        print(json.dumps({"upkeep": housekeeper.step().to_json()}), flush=True)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    cli()

"""The reporter as a Silverback bot: `silverback run reporter --network ethereum:local:foundry`.

Set up by the `PLIMSOLL_` variables of `plimsoll.reporter.settings`; the node is the network's.
`--account` names the wallet that pays for batches; without it the bot runs on paper. A restart
needs no state but the box.
"""

import os
from threading import Lock

from ape import chain
from ape.api import BlockAPI
from silverback import SilverbackBot

from plimsoll.chain import Addresses, Chain
from plimsoll.keeper import manifest_from
from plimsoll.keeper.wallet import WalletChain
from plimsoll.reporter.settings import reporter_on, surface_reporter_beside

bot = SilverbackBot()
addresses = Addresses.of(manifest_from(os.environ))
w3 = chain.provider.web3
reporter = reporter_on(
    WalletChain(w3, addresses, bot.signer) if bot.signer else Chain(w3, addresses), os.environ
)
surfaces = surface_reporter_beside(reporter, os.environ)
at_work = Lock()


@bot.on_(chain.blocks)  # type: ignore[untyped-decorator]  # Silverback has no types
def look(block: BlockAPI) -> dict[str, int]:
    """Signs, collects and reports; returns its metrics. A block during a pass is left out."""
    if not at_work.acquire(blocking=False):
        return {}
    try:
        fitted = surfaces.step().metrics() if surfaces else {}
        return reporter.step().metrics() | fitted
    finally:
        at_work.release()

"""The keeper as a Silverback bot: `silverback run keeper --network ethereum:local:foundry`.

Set up by the `PLIMSOLL_` variables of `plimsoll.keeper.settings`; the node is that of the network.
`--account` names the wallet that signs; without it the bot runs on paper. A restart needs no state:
everything is read from the chain again.
"""

import os
from threading import Lock

from ape import chain
from ape.api import BlockAPI
from silverback import SilverbackBot

from plimsoll.chain import Addresses, Chain
from plimsoll.keeper import housekeeper_beside, keeper_on, manifest_from
from plimsoll.keeper.wallet import WalletChain

bot = SilverbackBot()
addresses = Addresses.of(manifest_from(os.environ))
w3 = chain.provider.web3
keeper = keeper_on(
    WalletChain(w3, addresses, bot.signer) if bot.signer else Chain(w3, addresses), os.environ
)
housekeeper = housekeeper_beside(keeper, os.environ)
at_work = Lock()


@bot.on_(chain.blocks)  # type: ignore[untyped-decorator]  # Silverback has no types
def look(block: BlockAPI) -> dict[str, int]:
    """Flags and bids; returns its metrics. A block that comes during a pass is left to the next."""
    if not at_work.acquire(blocking=False):
        return {}
    try:
        metrics = keeper.step().metrics()
        return metrics | (housekeeper.step().metrics() if housekeeper else {})
    finally:
        at_work.release()

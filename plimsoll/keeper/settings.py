"""What a keeper is told by its environment. Names begin with `PLIMSOLL_`; dollars are whole ones.

| variable | meaning |
|---|---|
| `RPC` | address of the node |
| `MANIFEST` | deployment: its folder, its manifest, or the name of a shipped one |
| `KEEPER_KEY` | private key that sends; without it the keeper runs on paper |
| `KEEPER_ACCOUNT` | owner of the account that bids, if not the key: the key is its delegate |
| `KEEPER_SUB_ACCOUNT` | number of that sub-account, 0 if not given |
| `KEEPER_CURSOR` | file that saves reading old events again; none if not given |
| `KEEPER_NATIVE` | underlying id whose price the gas token has |
| `KEEPER_SLICE`, `KEEPER_TOTAL` | largest gross value of a slice, and of the account |
| `KEEPER_LEAST_PROFIT`, `KEEPER_GAS_BUDGET` | least profit of a bid, most to spend on gas |
| `KEEPER_UNWIND_BPS` | cost of trading out of a slice, of its gross value |
| `KEEPER_FREE_SHARE_BPS` | share of the free collateral that bids may use |
| `KEEPER_GAS_GWEI` | highest gas price |
| `KEEPER_UPKEEP` | 1 has it also keep house: prices, gauge, provisions, copies, cash, the end |
| `KEEPER_BACKSTOP` | 1 has it also tend the backstop: bids, sweeps, settlements, at its own gas |
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from plimsoll import deployments
from plimsoll.chain import Addresses, Chain
from plimsoll.deployments import Manifest
from plimsoll.errors import InvalidConnectionError
from plimsoll.instruments import CASH, AccountId
from plimsoll.keeper.act import Keeper
from plimsoll.keeper.decide import WAD, Limits
from plimsoll.keeper.discover import Directory
from plimsoll.keeper.housekeeping import Housekeeper

_LIMITS = {
    "KEEPER_SLICE": ("slice_gross", WAD),
    "KEEPER_TOTAL": ("total_gross", WAD),
    "KEEPER_LEAST_PROFIT": ("least_profit", WAD),
    "KEEPER_GAS_BUDGET": ("gas_budget", WAD),
    "KEEPER_UNWIND_BPS": ("unwind", 1),
    "KEEPER_FREE_SHARE_BPS": ("free_share", 1),
    "KEEPER_GAS_GWEI": ("gas_price_ceiling", 10**9),
}


def keeper_from(environment: Mapping[str, str]) -> Keeper:
    """A keeper as the environment describes it."""
    key = environment.get("PLIMSOLL_KEEPER_KEY")
    signer: LocalAccount | None = Account.from_key(key) if key else None
    addresses = Addresses.of(manifest_from(environment))
    return keeper_on(Chain(_connect(_needed(environment, "RPC")), addresses, signer), environment)


def keeper_on(chain: Chain, environment: Mapping[str, str]) -> Keeper:
    """The same on a connection, and with the signer, of somebody else."""
    start_block = manifest_from(environment).start_block
    cursor = environment.get("PLIMSOLL_KEEPER_CURSOR")
    native = environment.get("PLIMSOLL_KEEPER_NATIVE")
    return Keeper(
        chain=chain,
        directory=Directory(chain, start_block, Path(cursor) if cursor else None),
        bidder=_bidder(environment, chain),
        limits=limits_from(environment),
        native_underlying=_whole("KEEPER_NATIVE", native) if native else None,
        tends_backstop=environment.get("PLIMSOLL_KEEPER_BACKSTOP") == "1",
    )


def housekeeper_beside(keeper: Keeper, environment: Mapping[str, str]) -> Housekeeper | None:
    """Who keeps house with the same key and the same list of accounts; none unless asked for."""
    if environment.get("PLIMSOLL_KEEPER_UPKEEP") != "1":
        return None
    known = keeper.chain.addresses
    assets = sorted(asset for asset in known.assets.values() if asset != CASH)
    underlyings = sorted(known.underlyings.values())
    return Housekeeper(keeper.chain, keeper.directory, underlyings, assets)


def limits_from(environment: Mapping[str, str]) -> Limits:
    """The default limits, with those that the environment names."""
    given: dict[str, Any] = {
        name: _whole(variable, environment[f"PLIMSOLL_{variable}"]) * unit
        for variable, (name, unit) in _LIMITS.items()
        if f"PLIMSOLL_{variable}" in environment
    }
    return replace(Limits(), **given)


def manifest_from(environment: Mapping[str, str]) -> Manifest:
    """A deployment by its folder or manifest, or one that is shipped by its name."""
    where = _needed(environment, "MANIFEST")
    path = Path(where)
    if path.name == deployments.MANIFEST:
        path = path.parent
    return Manifest.load(path) if path.is_dir() else deployments.load(where)


def _connect(rpc: str) -> Web3:
    """Asks for the chain id once, not with every call."""
    return Web3(
        HTTPProvider(
            rpc, cache_allowed_requests=True, cacheable_requests={RPCEndpoint("eth_chainId")}
        )
    )


def _bidder(environment: Mapping[str, str], chain: Chain) -> AccountId | None:
    own = None if chain.signer is None else chain.sender
    owner = environment.get("PLIMSOLL_KEEPER_ACCOUNT", own)
    if owner is None:
        return None
    number = _whole("KEEPER_SUB_ACCOUNT", environment.get("PLIMSOLL_KEEPER_SUB_ACCOUNT", "0"))
    return AccountId(Web3.to_checksum_address(owner), number)


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(f"PLIMSOLL_{name}")
    if not value:
        raise InvalidConnectionError(f"set PLIMSOLL_{name}")
    return value


def _whole(name: str, text: str) -> int:
    if not text.isdigit():
        raise InvalidConnectionError(f"PLIMSOLL_{name} is {text!r}: give a whole number")
    return int(text)

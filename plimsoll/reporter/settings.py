"""What a reporter is told by its environment. Names begin with `PLIMSOLL_`.

| variable | meaning |
|---|---|
| `RPC`, `MANIFEST` | as for the keeper |
| `REPORTER_SOURCE` | JSON file of premiums that another program renews |
| `REPORTER_QUOTES` | JSON file of quotes of options that another program renews; or none |
| `REPORTER_BOX` | folder in which reporters share what they signed |
| `REPORTER_KEYS` | private keys that sign reports, comma-separated |
| `REPORTER_COMMAND` | or a command that signs, and `REPORTER_ADDRESS`, whose signature it is |
| `REPORTER_SENDER` | private key that pays for batches; without it the reporter runs on paper |
| `REPORTER_UNDERLYINGS` | ids or symbols, comma-separated; otherwise all that are named |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3

from plimsoll.chain import Addresses, Chain
from plimsoll.errors import InvalidConnectionError
from plimsoll.reporter.act import Reporter
from plimsoll.reporter.box import Box, SurfaceBox
from plimsoll.reporter.sign import CommandSigner, KeySigner, ReportSigner
from plimsoll.reporter.source import FileSource

if TYPE_CHECKING:
    from plimsoll.reporter.surfaces import SurfaceReporter


def reporter_from(environment: Mapping[str, str]) -> Reporter:
    """A reporter as the environment describes it."""
    sender = environment.get("PLIMSOLL_REPORTER_SENDER")
    signer: LocalAccount | None = Account.from_key(sender) if sender else None
    addresses = Addresses.from_manifest(_needed(environment, "MANIFEST"))
    w3 = Web3(HTTPProvider(_needed(environment, "RPC")))
    return reporter_on(Chain(w3, addresses, signer), environment)


def reporter_on(chain: Chain, environment: Mapping[str, str]) -> Reporter:
    """The same on a connection, and with the sender, of somebody else."""
    return Reporter(
        chain=chain,
        source=FileSource(Path(_needed(environment, "REPORTER_SOURCE"))),
        signers=signers_from(environment),
        box=Box(Path(_needed(environment, "REPORTER_BOX"))),
        underlyings=_underlyings(chain, environment.get("PLIMSOLL_REPORTER_UNDERLYINGS", "")),
    )


def surface_reporter_beside(
    reporter: Reporter, environment: Mapping[str, str]
) -> SurfaceReporter | None:
    """Who reports surfaces with the same keys and the same box; none without quotes."""
    quotes = environment.get("PLIMSOLL_REPORTER_QUOTES")
    if not quotes:
        return None
    from plimsoll.reporter import surfaces  # fits with scipy, an extra
    from plimsoll.reporter.quotes import QuotesFile

    return surfaces.SurfaceReporter(
        chain=reporter.chain,
        source=QuotesFile(Path(quotes)),
        signers=reporter.signers,
        box=SurfaceBox(reporter.box.folder),
        underlyings=reporter.underlyings,
    )


def signers_from(environment: Mapping[str, str]) -> list[ReportSigner]:
    keys = environment.get("PLIMSOLL_REPORTER_KEYS", "")
    signers: list[ReportSigner] = [
        KeySigner(Account.from_key(key.strip())) for key in keys.split(",") if key.strip()
    ]
    if command := environment.get("PLIMSOLL_REPORTER_COMMAND"):
        address = Web3.to_checksum_address(_needed(environment, "REPORTER_ADDRESS"))
        signers.append(CommandSigner(address, command))
    return signers


def _underlyings(chain: Chain, named: str) -> list[int]:
    known = chain.addresses.underlyings
    names = [name.strip() for name in named.split(",") if name.strip()] or sorted(known)
    if wrong := [name for name in names if name not in known and not name.isdigit()]:
        raise InvalidConnectionError(f"the deployment names no underlying {wrong[0]}")
    return [known[name] if name in known else int(name) for name in names]


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(f"PLIMSOLL_{name}")
    if not value:
        raise InvalidConnectionError(f"set PLIMSOLL_{name}")
    return value

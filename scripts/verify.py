"""Compare a deployment with its manifest, its configuration and its sources. Sends nothing.

    ape run verify --network ethereum:sepolia [--explorer]

Recompiles each contract from the compiler input stored beside the manifest, offline.
"""

import os
from pathlib import Path

import click
from ape.api import ProviderAPI
from ape.cli import ConnectedProviderCommand

from plimsoll.deploy import cli as shared
from plimsoll.deploy.explorer import ETHERSCAN, KEY_VARIABLE, Explorer
from plimsoll.deploy.sender import Sender
from plimsoll.deploy.verify import Verification


@click.command(cls=ConnectedProviderCommand)
@shared.place_options
@click.option("--rebuild/--no-rebuild", default=True, help="Recompile the stored sources.")
@click.option("--explorer", is_flag=True, help=f"Publish the sources; needs {KEY_VARIABLE}.")
@click.option("--explorer-url", default=ETHERSCAN, show_default=True)
def cli(
    provider: ProviderAPI,
    config_path: str | None,
    deployments: Path | None,
    rebuild: bool,
    explorer: bool,
    explorer_url: str,
) -> None:
    """Verify a deployment; exits with 1 if anything differs."""
    place = shared.Place.of(provider, config_path, deployments)
    verification = Verification(place.config, place.folder, Sender.reading(provider), rebuild)
    shared.check(verification.findings())
    if explorer:
        key = os.environ.get(KEY_VARIABLE, "")
        if not key:
            shared.fail(f"--explorer needs the environment variable {KEY_VARIABLE}")
        published = Explorer(explorer_url, key).publish(verification.manifest, place.folder)
        shared.check(published)

"""Deploy Plimsoll on the connected network.

    ape run deploy --network ethereum:sepolia --account NAME [--dry-run]

Tokens and feeds that the network lacks, then the contracts. Can be killed anywhere and run again.
"""

from pathlib import Path

import click
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option

from plimsoll.deploy import cli as shared


@click.command(cls=ConnectedProviderCommand)
@account_option()  # type: ignore[untyped-decorator]
@shared.sending_options
def cli(
    provider: ProviderAPI,
    account: AccountAPI,
    config_path: str | None,
    deployments: Path | None,
    confirmations: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Deploy what the configuration of the network lists and the chain lacks."""
    place = shared.Place.of(provider, config_path, deployments)
    house = shared.house_at(place, provider, account, confirmations)
    shared.run(house, house.deploy_steps, house.deploy, shared.unlocked(account), dry_run, yes)

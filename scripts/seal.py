"""End the time of set-up for good: from here every delay binds everybody.

    ape run seal --network ethereum:sepolia --account NAME

Refuses unless the chain is exactly as configured. Gives up what the deployer need not keep.
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
    """Seal a deployment that is configured."""
    place = shared.Place.of(provider, config_path, deployments)
    house = shared.house_at(place, provider, account, confirmations)
    shared.run(house, house.seal_steps, house.seal, shared.unlocked(account), dry_run, yes)

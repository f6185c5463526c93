"""Set every parameter of a deployment, observe prices, give the roles.

    ape run configure --network ethereum:sepolia --account NAME [--dry-run]

The dry run is the difference between chain and configuration, in human units.
"""

from pathlib import Path

import click
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option

from plimsoll.deploy import cli as shared


@click.command(cls=ConnectedProviderCommand)
@account_option()  # type: ignore[untyped-decorator]
@shared.sending_options
@click.option("--hermes", help="Where signed Pyth prices are had; by default the network's own.")
def cli(
    provider: ProviderAPI,
    account: AccountAPI,
    config_path: str | None,
    deployments: Path | None,
    confirmations: int | None,
    dry_run: bool,
    yes: bool,
    hermes: str | None,
) -> None:
    """Bring every parameter on the chain to what the configuration says."""
    place = shared.Place.of(provider, config_path, deployments)
    house = shared.house_at(place, provider, account, confirmations)
    source = hermes or (place.config.pyth.hermes if place.config.pyth else None)
    shared.run(
        house,
        lambda: house.configure_steps(source),
        lambda: house.configure(source),
        shared.unlocked(account),
        dry_run,
        yes,
    )

"""Set every parameter of a deployment, observe prices, give the roles.

    ape run configure --network ethereum:sepolia --account NAME [--dry-run] [--batch FILE]

Where a Safe governs, the batch is what its owners sign, for its transaction builder. The dry run
is the difference between chain and configuration, in human units.
"""

from pathlib import Path

import click
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option

from plimsoll.deploy import cli as shared
from plimsoll.deploy.safe import write_batch


@click.command(cls=ConnectedProviderCommand)
@account_option()  # type: ignore[untyped-decorator]
@shared.sending_options
@click.option("--hermes", help="Where signed Pyth prices are had; by default the network's own.")
@click.option(
    "--batch",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what would be sent to this file, for a Safe's owners to sign; send nothing.",
)
def cli(
    provider: ProviderAPI,
    account: AccountAPI,
    config_path: str | None,
    deployments: Path | None,
    confirmations: int | None,
    dry_run: bool,
    yes: bool,
    hermes: str | None,
    batch: Path | None,
) -> None:
    """Bring every parameter on the chain to what the configuration says."""
    place = shared.Place.of(provider, config_path, deployments)
    house = shared.house_at(place, provider, account, confirmations)
    source = hermes or (place.config.pyth.hermes if place.config.pyth else None)
    if batch is not None:
        count = write_batch(
            batch, place.config, house.book, house.outstanding(house.configure_steps())
        )
        shared.say(f"{count} calls for the Safe's owners in {batch}")
        return
    shared.run(
        house,
        lambda: house.configure_steps(source),
        lambda: house.configure(source),
        shared.unlocked(account),
        dry_run,
        yes,
    )

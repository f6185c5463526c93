"""Writes the ERC-7730 descriptors of a deployment: its folder or name, and where to."""

import json
from pathlib import Path

import click

from plimsoll import deployments
from plimsoll.erc7730 import descriptors


@click.command(help=__doc__)
@click.argument("deployment")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(deployment: str, folder: Path) -> None:
    where = Path(deployment)
    shipped = deployments.Manifest.load(where) if where.is_dir() else deployments.load(deployment)
    folder.mkdir(parents=True, exist_ok=True)
    for name, descriptor in descriptors(shipped).items():
        (folder / name).write_text(json.dumps(descriptor, indent=2) + "\n")
        click.echo(f"wrote {folder / name}")


if __name__ == "__main__":
    main()

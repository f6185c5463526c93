"""What the four scripts share: their options, how they find a deployment, and what they print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape

from plimsoll import deployments
from plimsoll.config import NetworkConfig, config_for, load_config
from plimsoll.deploy.artifacts import Released
from plimsoll.deploy.execute import Ran, Step
from plimsoll.deploy.house import House
from plimsoll.deploy.preflight import Finding, Verdict, preflight, refused
from plimsoll.deploy.sender import Sender, StepError
from plimsoll.errors import ContractError

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

ROOT = Path(__file__).resolve().parents[2]
LOCAL_DEPLOYMENTS = ROOT / ".local" / "deployments"
_COLOURS = {Verdict.FINE: "green", Verdict.NOTED: "yellow", Verdict.REFUSED: "red"}

F = TypeVar("F", bound=Callable[..., Any])
console = Console(highlight=False, soft_wrap=True)


def place_options(command: F) -> F:
    """Which configuration and which deployment folder."""
    options = [
        click.option("--config", "config_path", help="YAML file; by default the network's own."),
        click.option(
            "--deployments",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder of deployments; by default the package's, on local chains .local.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def sending_options(command: F) -> F:
    """Those, and how to send."""
    options = [
        click.option("--confirmations", type=click.IntRange(0, 64), help="Instead of configured."),
        click.option("--dry-run", is_flag=True, help="Show what would change, send nothing."),
        click.option("--yes", is_flag=True, help="Do not ask before sending."),
    ]
    for option in reversed(options):
        command = option(command)
    return place_options(command)


@dataclass(frozen=True)
class Place:
    """A configuration, and the folder of its deployment."""

    config: NetworkConfig
    folder: Path

    @classmethod
    def of(cls, provider: ProviderAPI, config_path: str | None, folder: Path | None) -> Place:
        network = f"{provider.network.ecosystem.name}:{provider.network.name}"
        config = load_config(config_path) if config_path else config_for(network)
        if folder is None:
            is_local = config.network == "ethereum:local"
            folder = LOCAL_DEPLOYMENTS if is_local else deployments.FOLDER
        return cls(config, folder / config.name)


def house_at(
    place: Place, provider: ProviderAPI, account: AccountAPI, confirmations: int | None
) -> House:
    """The deployment as it stands, ready to go on with."""
    depth = place.config.confirmations if confirmations is None else confirmations
    sender = Sender.from_ape(provider, account, depth)
    return House(place.config, sender, Released(ROOT), place.folder, say)


def unlocked(account: AccountAPI) -> Callable[[], None]:
    """Asks for the passphrase of a key file once, and not for every transaction."""
    autosign = getattr(account, "set_autosign", None)
    return (lambda: autosign(True)) if autosign else (lambda: None)


def run(
    house: House,
    steps: Callable[[], list[Step]],
    act: Callable[[], Ran],
    unlock: Callable[[], None],
    dry_run: bool,
    yes: bool,
) -> None:
    """Preflight, what would change, a question, and the run. Exits with 1 when anything refuses."""
    try:
        show_disabled(house.config)
        check(preflight(house))
        waiting = house.outstanding(steps())
        show_steps(house, waiting)
        if dry_run or not waiting:
            return
        if not yes and sys.stdin.isatty():
            click.confirm(f"Send up to {len(waiting)} transactions?", abort=True)
        unlock()
        ran = act()
        say(f"sent {ran.sent}, {ran.skipped} were done before; {house.folder}")
    except (StepError, ContractError) as error:
        fail(str(error))


def check(findings: Iterable[Finding]) -> None:
    """Prints findings; stops if any refuses."""
    listed = []
    for finding in findings:
        listed.append(finding)
        show(finding)
    if wrong := refused(listed):
        fail(f"{len(wrong)} of {len(listed)} checks refuse")
    say(f"{len(listed)} checks, none refuses")


def show(finding: Finding) -> None:
    colour = _COLOURS[finding.verdict]
    fix = f": {finding.fix}" if finding.fix else ""
    console.print(f"[{colour}]{finding.verdict.value:>4}[/] {escape(finding.what + fix)}")


def show_disabled(config: NetworkConfig) -> None:
    for name, reason in config.disabled().items():
        console.print(f"[yellow]disabled[/] {escape(f'{name}: {reason}')}")


def show_steps(house: House, steps: list[Step]) -> None:
    """What would be sent, and what each would change."""
    if not steps:
        say("nothing to do: the chain is as configured")
    for number, step in enumerate(steps, start=1):
        console.print(f"{number:>3}. {escape(step.title)}")
        for line in _details(house, step):
            console.print(f"       {escape(line)}")


def _details(house: House, step: Step) -> list[str]:
    try:
        return step.details(house.book)
    except KeyError:
        return ["what it changes is known once the contracts stand"]


def say(line: str) -> None:
    console.print(escape(line))


def fail(line: str) -> None:
    console.print(f"[red]{escape(line)}[/]")
    raise SystemExit(1)

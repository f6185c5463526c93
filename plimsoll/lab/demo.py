"""`python -m plimsoll.lab.demo`: one crash in two worlds, on a chain of our own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import FrameType

import click
from pydantic import ValidationError

from plimsoll.chain import Addresses
from plimsoll.config import NetworkConfig, given, load_config
from plimsoll.deploy import LocalDeployment, deploy_local
from plimsoll.deploy.feeds import ChainlinkFeed, PythFeed
from plimsoll.deploy.words import PEG
from plimsoll.lab.actors import Cast, reporter_keys
from plimsoll.lab.crash import Crash
from plimsoll.lab.node import Anvil, Call, KeeperProcess, NodeError
from plimsoll.lab.page import render_page
from plimsoll.lab.prices import PricePath, UnusablePricesError, replayed_prices, synthetic_prices
from plimsoll.lab.quiet import HOUR
from plimsoll.lab.record import RunRecord, WorldRecord
from plimsoll.lab.report import Report, Stages, console
from plimsoll.lab.scenario import DEFAULT, Scenario, ScenarioError, load_scenario
from plimsoll.lab.smile import DAY, Surfaces, expiry_day
from plimsoll.lab.worlds import Exchange, World, listings
from plimsoll.units import to_units_exact, to_wad_exact

# When the chain begins, so that the same scenario gives the same run: 2025-01-01 00:00 UTC.
_GENESIS = 1_735_689_600
# Of the three reporters.
QUORUM = 2
# The sponsor wraps ether to mint it.
_SPONSOR_WEI = 10**27


@click.command()
@click.option(
    "--scenario",
    envvar="SCENARIO",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT,
    help="A YAML file like plimsoll/lab/scenarios/crash.yaml. Also by SCENARIO.",
)
@click.option(
    "--prices",
    envvar="PRICES",
    default="",
    help="Files of real prices, comma-separated: path or SYMBOL=path. Also by PRICES.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".local/demo"),
    show_default=True,
    help="Folder of the page, the deployment and the logs.",
)
def cli(scenario: Path, prices: str, out: Path) -> None:
    """Runs a crash through the same portfolios in an isolated and in a cross world."""
    _end_in_order()
    to = console()
    try:
        chosen = load_scenario(scenario)
        files = [name.strip() for name in prices.split(",") if name.strip()]
        path = replayed_prices(chosen, files) if files else synthetic_prices(chosen)
        run = Demo(chosen, path, out.resolve(), Stages(to)).run()
    except (OSError, ValidationError, ScenarioError, UnusablePricesError, NodeError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        to.print("Stopped; nothing is left running.")
        sys.exit(130)
    Report(run, to).show()
    page = out / "crash.html"
    page.write_text(render_page(run), encoding="utf-8")
    page.with_suffix(".json").write_text(run.to_json(), encoding="utf-8")
    to.print(f"The page of this run: {page}; its numbers: {page.with_suffix('.json')}")
    sys.exit(0 if all(world.holds for world in run.worlds) else 1)


@dataclass
class Demo:
    """A scenario, its prices, and where the files go."""

    scenario: Scenario
    path: PricePath
    out: Path
    stages: Stages

    def run(self) -> RunRecord:
        self._require_time()
        self.out.mkdir(parents=True, exist_ok=True)
        self.stages.tell(f"{len(self.scenario.traders)} portfolios, {self.path.label}")
        with self._chain() as (node, house):
            opened = node.snapshot()
            pushed = dict(house.prices)
            worlds = []
            for world in World:
                worlds.append(self._world(world, node, house))
                node.revert(opened)
                opened = node.snapshot()
                house.prices = dict(pushed)
        return RunRecord(
            self.scenario.title if self.path.synthetic else "A replay of real prices",
            self.path.label,
            self.path.synthetic,
            self.path.step_seconds,
            worlds,
        )

    def _require_time(self) -> None:
        """Options must outlive the run; an hour is more than what happens between the steps."""
        seconds = len(self.path.steps) * self.path.step_seconds
        seconds += (self.scenario.house.quiet_hours + 2) * HOUR
        if self.scenario.optioned and seconds > self.scenario.smile.days * DAY:
            raise ScenarioError(
                "the options would expire before the last step: give smile.days more"
            )

    @contextlib.contextmanager
    def _chain(self) -> Iterator[tuple[Anvil, LocalDeployment]]:
        """An Anvil with the whole house on it, opened at the path's first prices."""
        config = opening_config(self.scenario, self.path.opening)
        with self.stages.stage("Starting a chain"):
            node = Anvil(config.chain_id, _GENESIS, self.out / "anvil.log")
        with node:
            os.environ["APE_FOUNDRY_HOST"] = node.url
            with contextlib.ExitStack() as stack:
                with self.stages.stage("Deploying, configuring and sealing Plimsoll"):
                    house = self._deploy(config, node, stack)
                yield node, house

    def _deploy(
        self, config: NetworkConfig, node: Anvil, stack: contextlib.ExitStack
    ) -> LocalDeployment:
        import ape  # reads the node's address from the environment
        from ape.logging import logger

        logger.set_level("ERROR")
        stack.enter_context(ape.networks.ethereum.local.use_provider("foundry"))
        _end_in_order()  # Ape's own handler leaves at once
        sponsor = ape.accounts.test_accounts[0]
        node.request("anvil_setBalance", sponsor.address, hex(_SPONSOR_WEI))
        # What an earlier run wrote there is of a chain that is gone.
        shutil.rmtree(self.out / "deployment", ignore_errors=True)
        house = deploy_local(sponsor, config=config, manifest=self.out / "deployment")
        if config.sequencer is not None:
            # Prices are good only after the sequencer's grace period, and stale after an hour.
            push_at(node, house, house.prices, node.time + config.sequencer.grace + 1)
        self.stages.tell(f"{len(house.manifest.transactions)} transactions")
        return house

    def _world(self, world: World, node: Anvil, house: LocalDeployment) -> WorldRecord:
        cast = Cast(node.w3, Addresses.of(house.manifest))
        assets = {token.symbol: token.asset for token in house.tokens.values()}
        cash, tokens = listings(cast.sponsor.house.chain, assets)
        underlyings = house.underlyings
        day = expiry_day(node.time, self.scenario.smile.days)
        surfaces = Surfaces(
            chain=cast.sponsor.house.chain,
            reporters=cast.reporters,
            smile=self.scenario.smile,
            day=day,
            premium=self.scenario.house.premium,
            opening=self.path.opening,
            underlyings={symbol: underlyings[symbol] for symbol in self.scenario.optioned},
        )

        def push(prices: Mapping[str, Decimal], at: int) -> None:
            """Every feed is heard at every step: those that do not move must not go stale."""
            push_at(node, house, {**house.prices, **prices}, at, surfaces.calls(prices, at))

        crash = Crash(
            scenario=self.scenario,
            path=self.path,
            world=world,
            node=node,
            cast=cast,
            exchange=Exchange(cast.sponsor.house.chain, cash, tokens, underlyings, day),
            mint=house.mint,
            push=push,
            latest_round=lambda symbol: int(house.primary[symbol].proxy.latestRound()),
            first_block=house.manifest.start_block,
            box=self.out / f"reports-{world.value}",
        )
        shutil.rmtree(crash.box, ignore_errors=True)
        with self.stages.stage(f"The {world.value} world: accounts and trades"):
            crash.open()
        with self.stages.stage(f"The {world.value} world: quiet hours, interest and funding"):
            crash.wait()
        with self.stages.stage(f"The {world.value} world: the crash"):
            log = self.out / f"keeper-{world.value}.log"
            with KeeperProcess(self._keeper_environment(node, house, cast), log) as keeper:
                crash.run(keeper, self.stages.tell)
        if self.scenario.optioned:
            with self.stages.stage(f"The {world.value} world: the options expire"):
                crash.expire(assets)
        with self.stages.stage(f"The {world.value} world: the backstop, and a loss beyond it"):
            crash.gap(self.stages.tell)
        with self.stages.stage(f"The {world.value} world: the books"):
            crash.check(assets)
        return crash.record

    def _keeper_environment(
        self, node: Anvil, house: LocalDeployment, cast: Cast
    ) -> dict[str, str]:
        return {
            "PLIMSOLL_RPC": node.url,
            "PLIMSOLL_MANIFEST": str(self.out / "deployment"),
            "PLIMSOLL_KEEPER_KEY": cast.keeper.key.key.hex(),
            "PLIMSOLL_KEEPER_ACCOUNT": cast.desk.address,
            "PLIMSOLL_KEEPER_NATIVE": str(house.underlyings["ETH"]),
        }


def opening_config(scenario: Scenario, opening: Mapping[str, Decimal]) -> NetworkConfig:
    """The local network with the prices at which a path opens, and cash that costs nothing.

    The checks of the books price a slice as of the block before: interest of the seconds between
    would leave every one of them a few millionths of a dollar short of exact.
    """
    config = load_config("local")
    pledged = {symbol for trader in scenario.traders for symbol in trader.collateral}
    _require_listed("underlying", set(opening), config.enabled_underlyings())
    _require_listed("collateral", pledged, config.enabled_assets())
    underlyings = {
        symbol: underlying.model_copy(update={"local_price": to_wad_exact(opening[symbol])})
        if symbol in opening
        else underlying
        for symbol, underlying in config.underlyings.items()
    }
    reports = given(config.reports).model_copy(
        update={"reporters": tuple(each.address for each in reporter_keys()), "quorum": QUORUM}
    )
    return config.model_copy(update={"underlyings": underlyings, "reports": reports})


def _require_listed(what: str, named: set[str], listed: Mapping[str, object]) -> None:
    if missing := sorted(named - set(listed)):
        known = ", ".join(listed)
        raise ScenarioError(f"no {what} {', '.join(missing)} on the local network; it has {known}")


def push_at(
    node: Anvil,
    house: LocalDeployment,
    prices: Mapping[str, Decimal],
    moment: int,
    more: Iterable[Call] = (),
) -> None:
    """The oracles of both sources report and the engine observes, all in one block; then `more`.

    So nobody, the keeper neither, can act between the price of one feed and that of the next.
    """
    calls = [_report(house.primary[symbol], price) for symbol, price in prices.items()]
    second = {house.second[s]: price for s, price in prices.items() if s in house.second}
    if second:
        calls.append(_publish(second, moment))
    ids = [house.underlyings.get(symbol, PEG) for symbol in prices]
    calls.append(Call(house.engine.address, house.engine.observe.encode_input(ids)))
    node.mine_together(str(house.deployer.address), [*calls, *more], moment)
    house.prices.update(prices)


def _report(feed: ChainlinkFeed, price: Decimal) -> Call:
    answer = to_units_exact(price, feed.decimals)
    aggregator = feed.aggregator
    data = aggregator.submit.encode_input(aggregator.latestRound() + 1, answer)
    return Call(aggregator.address, data)


def _publish(prices: Mapping[PythFeed, Decimal], moment: int) -> Call:
    pyth = next(iter(prices)).pyth
    updates = [feed.update(price, moment) for feed, price in prices.items()]
    data = pyth.updatePriceFeeds.encode_input(updates)
    return Call(pyth.address, data, value=pyth.getUpdateFee(updates))


def _end_in_order() -> None:
    """An interrupt unwinds every context, so that no child process stays behind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    cli()

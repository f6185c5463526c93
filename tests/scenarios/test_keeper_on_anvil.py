"""The keeper on a real node: found by events, signed by a wallet of Ape's, and from the shell."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plimsoll.chain import Addresses, Chain
from plimsoll.deploy import deploy_local
from plimsoll.keeper import keeper_on
from plimsoll.keeper.act import Outcome
from plimsoll.keeper.decide import Flag, PlaceBid
from plimsoll.keeper.discover import Directory
from plimsoll.keeper.housekeeping import Housekeeper
from plimsoll.keeper.upkeep import HOUR, Sample
from plimsoll.keeper.wallet import WalletChain
from plimsoll.lab.actors import key
from plimsoll.protocol import Plimsoll

ROOT = Path(__file__).parents[2]
TICK = 15
MAKER, BULL, DESK, TAKER = 1, 2, 3, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def house(accounts, folder):
    return deploy_local(accounts[0], manifest=folder)


@pytest.fixture(scope="module")
def w3(house, chain):
    """Past the grace period of the sequencer."""
    chain.mine(deltatime=3_700)
    house.refresh()
    house.observe()
    return chain.provider.web3


@pytest.fixture(scope="module")
def addresses(house) -> Addresses:
    return Addresses.of(house.manifest)


@pytest.fixture(scope="module")
def bull(house, w3, addresses):
    """Long ten ether on two and a half thousand dollars, against the maker."""
    people = {n: Plimsoll.connect(w3, addresses, key(n)).account() for n in (MAKER, BULL, DESK)}
    for number, cash in ((MAKER, 1_000_000), (BULL, 2_500), (DESK, 500_000)):
        house.mint("USDC", people[number].id.owner, cash)
        people[number].deposit(Plimsoll.connect(w3, addresses, key(number)).asset(0), cash)
    house.mint("USDC", str(house.deployer.address), 1_000_000)
    Plimsoll.connect(w3, addresses, key(0)).add_reserves(1_000_000)
    eth = Plimsoll.connect(w3, addresses).market(house.underlyings["ETH"])
    order = people[MAKER].order(eth, -10, eth.price().index)
    people[BULL].take(people[MAKER].sign(order), 10)
    return people[BULL]


@pytest.fixture
def environment(folder) -> dict[str, str]:
    return {"PLIMSOLL_MANIFEST": str(folder)}


def test_from_the_shell_once_and_on_paper(bull, house, w3, chain, environment):
    """Nothing but a node and a manifest: it finds the accounts and says what it would do."""
    run = subprocess.run(
        [sys.executable, "-m", "plimsoll.keeper", "--once"],
        env={**os.environ, **environment, "PLIMSOLL_RPC": chain.provider.http_uri},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (report,) = [json.loads(line) for line in run.stdout.splitlines()]
    assert report["block"] == chain.blocks.height
    assert report["paper"]
    assert (report["accounts"], report["in_need"], report["actions"]) == (3, 0, [])


def test_without_a_manifest_it_says_what_to_set():
    run = subprocess.run(
        [sys.executable, "-m", "plimsoll.keeper", "--once"],
        env={k: v for k, v in os.environ.items() if not k.startswith("PLIMSOLL_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 1
    assert run.stderr == "Error: set PLIMSOLL_MANIFEST\n"


def test_a_wallet_flags_bids_and_restores(bull, house, w3, addresses, accounts, chain, environment):
    keeper = keeper_on(WalletChain(w3, addresses, accounts[DESK]), environment)
    assert keeper.bidder.owner == accounts[DESK].address
    house.push_price("ETH", "2_330")
    house.observe("ETH")
    assert not bull.margin().healthy
    done: list[Outcome] = []
    for _ in range(10):
        report = keeper.step()
        done += report.outcomes
        assert all(outcome.refusal is None for outcome in report.outcomes)
        chain.mine(deltatime=TICK)
    actions = [type(outcome.action) for outcome in done]
    assert actions[:2] == [Flag, Flag]
    assert PlaceBid in actions
    assert bull.margin().healthy
    assert keeper.gas_spent > 0
    # Another that starts now finds the same accounts and nothing left to do.
    fresh = keeper_on(Chain(w3, addresses), environment)
    report = fresh.step()
    assert fresh.directory.known == keeper.directory.known
    assert (report.in_need, report.outcomes) == (0, ())


def test_the_bot_only_wires_it(bull, house, w3, chain, environment, monkeypatch):
    """The file that Silverback loads, on paper: a block in, metrics out."""
    # Silverback connects by itself: to the node that is there, not to another of its own.
    node = {"APE_FOUNDRY_HOST": chain.provider.http_uri}
    for name, value in (environment | node).items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("keeper_bot", ROOT / "bots" / "keeper.py")
    bot = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, bot)
    spec.loader.exec_module(bot)
    assert bot.bot.signer is None
    look = inspect.unwrap(bot.look.original_func)
    metrics = look(chain.blocks.head)
    assert metrics == bot.keeper.step().metrics()
    assert metrics["accounts"] == len(bot.keeper.directory.known) >= 3
    with bot.at_work:
        assert look(chain.blocks.head) == {}


def test_the_reporter_bot_only_wires_it(house, w3, chain, environment, monkeypatch, tmp_path):
    """The same of the reporter: nothing to say, so that it says why and sends nothing."""
    told = {
        "APE_FOUNDRY_HOST": chain.provider.http_uri,
        "PLIMSOLL_REPORTER_SOURCE": str(tmp_path / "premiums.json"),
        "PLIMSOLL_REPORTER_BOX": str(tmp_path / "box"),
    }
    for name, value in (environment | told).items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("reporter_bot", ROOT / "bots" / "reporter.py")
    bot = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, bot)
    spec.loader.exec_module(bot)
    look = inspect.unwrap(bot.look.original_func)
    assert look(chain.blocks.head) == {"signed": 0, "sent": 0, "refused": 0}
    said = {outcome.step.reason for outcome in bot.reporter.step().outcomes}
    assert said == {"the source says nothing"}
    with bot.at_work:
        assert look(chain.blocks.head) == {}


def test_the_bot_keeps_house_when_asked(house, w3, chain, environment, monkeypatch):
    monkeypatch.setenv("APE_FOUNDRY_HOST", chain.provider.http_uri)
    for name, value in (environment | {"PLIMSOLL_KEEPER_UPKEEP": "1"}).items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("house_bot", ROOT / "bots" / "keeper.py")
    bot = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, bot)
    spec.loader.exec_module(bot)
    metrics = inspect.unwrap(bot.look.original_func)(chain.blocks.head)
    assert (metrics["upkeep_sent"], metrics["upkeep_refused"]) == (0, 0)
    seen = bot.housekeeper.look()
    assert {market.underlying for market in seen.markets} == set(house.underlyings.values())
    assert all(copy.applied == copy.in_force for copy in seen.copies)


def test_the_gauge_is_sampled_on_the_rounds_of_a_real_proxy(house, w3, chain, addresses):
    """Two hours, each by the first round that its feed reported in it."""
    seen_by = Chain(w3, addresses, key(DESK))
    directory = Directory(seen_by, house.manifest.start_block)
    keeper = Housekeeper(seen_by, directory, sorted(house.underlyings.values()), [])
    for _ in range(2):
        chain.mine(deltatime=HOUR - chain.blocks.head.timestamp % HOUR)
        house.refresh()
        report = keeper.step()
        assert [outcome.refusal for outcome in report.outcomes] == [None] * len(report.outcomes)
        sampled = [each.action for each in report.outcomes if isinstance(each.action, Sample)]
        assert {action.underlying for action in sampled} == set(keeper.underlyings)
        hours = {Plimsoll(seen_by).volatility(u).hour for u in keeper.underlyings}
        assert hours == {chain.blocks.head.timestamp // HOUR}
    assert all(len(action.rounds) == 1 for action in sampled)

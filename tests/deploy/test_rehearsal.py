"""The four scripts, unchanged, against an Anvil that looks like each test network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from plimsoll import deployments
from plimsoll.config import NetworkConfig, load_config
from plimsoll.deploy.artifacts import Released
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.pyth import LATEST
from plimsoll.deployments import Manifest
from tests.deploy.conftest import ROOT
from tests.deploy.proxy import Executioner, deadly
from tests.deploy.rehearsal import Stage, anvil, sender

PATIENCE = 600


class Scripts:
    """`ape run` on one network, as a person runs it."""

    def __init__(self, network: str, url: str, folder: Path) -> None:
        self.network = f"{network}:{url}"
        self.folder = folder

    def start(self, script: str, *options: str, network: str = "") -> subprocess.Popen[str]:
        account = [] if script == "verify" else ["--account", "TEST::0", "--yes"]
        return subprocess.Popen(
            [
                *(str(Path(sys.executable).parent / "ape"), "run", script),
                *("--network", network or self.network),
                *("--deployments", str(self.folder)),
                *account,
                *options,
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str, *options: str) -> tuple[int, str]:
        process = self.start(script, *options)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def succeed(self, script: str, *options: str) -> str:
        code, output = self.run(script, *options)
        assert code == 0, output
        return output


@contextmanager
def hermes(stage: Stage) -> Iterator[str]:
    """A service that answers like Hermes, with the prices of the stage."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith(LATEST)
            updates = [update.hex() for update in stage.signed_prices()] if found else []
            body = json.dumps({"binary": {"encoding": "hex", "data": updates}}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("name", ["ethereum-sepolia", "arbitrum-sepolia"])
def test_the_scripts_take_a_network_from_nothing_to_sealed(
    name: str, released: Released, tmp_path: Path
) -> None:
    config = load_config(name)
    with anvil(config.chain_id) as url:
        stage = Stage(url, config, released)
        stage.build()
        scripts = Scripts(config.network, url, tmp_path)
        with hermes(stage) as service:
            deployed = scripts.succeed("deploy", "--confirmations", "0")
            scripts.succeed("configure", "--confirmations", "0", "--hermes", service)
        scripts.succeed("seal", "--confirmations", "0")
        assert "none refuses" in scripts.succeed("verify", "--no-rebuild")
    for reason in config.disabled().values():
        assert reason in deployed


def test_plans_are_shown_runs_repeat_and_tampering_is_seen(
    released: Released, tmp_path: Path
) -> None:
    config = load_config("base-sepolia")
    with anvil(config.chain_id) as url:
        stage = Stage(url, config, released)
        stage.build()
        scripts = Scripts(config.network, url, tmp_path)

        assert "deploy ClearingHouse" in scripts.succeed("deploy", "--dry-run")
        assert sender(url).confirmed_nonce() == 0
        scripts.succeed("deploy", "--confirmations", "0")

        rpc(stage.w3, "evm_increaseTime", 3_600)
        rpc(stage.w3, "evm_mine")
        difference = scripts.succeed("configure", "--dry-run")
        assert "range: not set -> 6.1 %" in difference
        assert "bring fresh prices to Pyth" in difference
        with hermes(stage) as service:
            scripts.succeed("configure", "--confirmations", "0", "--hermes", service)
        scripts.succeed("seal", "--confirmations", "0")

        nonce = sender(url).confirmed_nonce()
        for script in ("deploy", "configure", "seal"):
            assert "nothing to do" in scripts.succeed(script, "--confirmations", "0")
        assert sender(url).confirmed_nonce() == nonce

        lens = Manifest.load(tmp_path / config.name).address("Lens")
        rpc(stage.w3, "anvil_setCode", lens, "0x6001600155")
        code, output = scripts.run("verify", "--no-rebuild")
        assert code == 1
        assert "is not what was deployed" in output


def test_a_script_refuses_a_network_that_is_not_as_configured(
    released: Released, tmp_path: Path
) -> None:
    config = load_config("base-sepolia")
    with anvil(config.chain_id) as url:
        code, output = Scripts(config.network, url, tmp_path).run("deploy")
    assert code == 1
    assert f"token USDC: no code at {config.settlement.token.address}" in output
    assert "feed ETH: no code at" in output
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize(("at", "delivers"), [(1, False), (6, True)])
def test_a_process_killed_outright_goes_on_in_the_next(
    at: int, delivers: bool, released: Released, tmp_path: Path
) -> None:
    config = load_config("base-sepolia")
    with anvil(config.chain_id) as url:
        Stage(url, config, released).build()
        scripts = Scripts(config.network, url, tmp_path)
        executioner = Executioner(at, delivers)
        with deadly(url, executioner) as node:
            killed = scripts.start("deploy", "--confirmations", "0", network=_at(config, node))
            executioner.victim = killed.pid
            output, _ = killed.communicate(timeout=PATIENCE)
            assert killed.returncode == -9, output
        assert executioner.struck
        scripts.succeed("deploy", "--confirmations", "0")
        manifest = Manifest.load(tmp_path / config.name)
        nonce = sender(url).confirmed_nonce()
    assert len({t.step for t in manifest.transactions}) == nonce == len(manifest.transactions)


def test_the_local_network_is_deployed_by_the_same_scripts(
    released: Released, tmp_path: Path
) -> None:
    with anvil(31_337) as url:
        scripts = Scripts("ethereum:local", url, tmp_path)
        for script in ("deploy", "configure", "seal"):
            scripts.succeed(script)
        assert "none refuses" in scripts.succeed("verify", "--no-rebuild")
    assert Manifest.load(tmp_path / "local").sealed


def test_nothing_is_shipped_that_was_only_rehearsed() -> None:
    assert all(deployments.load(name).chain_id != 31_337 for name in deployments.names())


def _at(config: NetworkConfig, node: str) -> str:
    return f"{config.network}:{node}"

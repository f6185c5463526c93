"""An Anvil that looks like a test network: its chain id, and real feeds at the real addresses.

A contract is put at an address by running its creation code there: the code is placed, called
once, which leaves what the constructor stores, and replaced by what the constructor returns.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3

from plimsoll.config import Feed, NetworkConfig
from plimsoll.deploy.artifacts import Artifact, Artifacts
from plimsoll.deploy.listing import rpc
from plimsoll.deploy.sender import NOBODY, Sender, encode_call
from plimsoll.deploy.world import pyth_update, support
from plimsoll.lab.node import MNEMONIC, anvil_binary, free_port

PRICES = {"ETH": 2_500, "BTC": 60_000, "SOL": 140, "LINK": 14, "USDC": 1}
# Arguments of a faucet token that stands in for a token that the network has.
_DRIP = 10**30


@contextmanager
def anvil(chain_id: int, age: int = 0) -> Iterator[str]:
    """A fresh chain on a free port, begun `age` seconds ago, ended with the test."""
    port = free_port()
    process = subprocess.Popen(
        [
            str(anvil_binary()),
            *("--port", str(port), "--chain-id", str(chain_id), "--mnemonic", MNEMONIC),
            *("--timestamp", str(int(time.time()) - age), "--hardfork", "cancun", "--silent"),
        ]
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str) -> None:
    w3 = Web3(HTTPProvider(url))
    deadline = time.monotonic() + 20
    while not w3.is_connected():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no anvil at {url}")
        time.sleep(0.05)


def key(number: int = 0) -> LocalAccount:
    """One of Anvil's accounts."""
    Account.enable_unaudited_hdwallet_features()
    made: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
    return made


def sender(url: str, number: int = 0, confirmations: int = 0) -> Sender:
    """Signs with one of Anvil's accounts."""
    account = key(number)

    def sign(fields: dict[str, Any]) -> bytes:
        unsigned = {name: value for name, value in fields.items() if name != "from"}
        return bytes(account.sign_transaction(unsigned).raw_transaction)

    w3 = Web3(HTTPProvider(url), middleware=[])
    return Sender(w3, account.address, sign, confirmations, patience=30)


class Stage:
    """Sets up everything that a configuration says exists."""

    def __init__(self, url: str, config: NetworkConfig, artifacts: Artifacts) -> None:
        self.config = config
        self.artifacts = artifacts
        self.w3 = Web3(HTTPProvider(url))
        self.oracle = key(9).address
        """Owner and oracle of every feed: somebody else than the deployer."""

    def build(self) -> None:
        for name, token in self._tokens().items():
            self._token(name, *token)
        for name, source in self.config.feed_sources().items():
            if source.chainlink and source.chainlink.address:
                self._chainlink(source.chainlink, PRICES[name.removesuffix(":second")])
        self._pyth()
        for name, address in self._others().items():
            self.place(support(name), address)

    def _others(self) -> dict[str, str]:
        """What a network has of others' without which nothing can be begun."""
        found: dict[str, str | None] = {}
        if safe := self.config.safe_contracts:
            found = {
                "SafeL2": safe.singleton,
                "SafeProxyFactory": safe.factory,
                "CompatibilityFallbackHandler": safe.handler,
            }
        if self.config.permit2:
            found["Permit2"] = self.config.permit2.address
        return {name: address for name, address in found.items() if address}

    def place(self, artifact: Artifact, address: str, *arguments: Any) -> None:
        """The contract at this address, as its constructor leaves it."""
        code = artifact.creation_code + artifact.encode_arguments(arguments)
        rpc(self.w3, "anvil_setCode", address, "0x" + code.hex())
        request: Any = {"from": self.oracle, "to": address, "gas": 15_000_000}
        runtime = self.w3.eth.call(request)
        self.send(address, b"")
        rpc(self.w3, "anvil_setCode", address, runtime.to_0x_hex())

    def send(self, to: str, data: bytes, value: int = 0) -> None:
        request: Any = {
            "from": self.oracle,
            "to": to,
            "data": HexBytes(data),
            "value": value,
            "gas": 15_000_000,
        }
        receipt = self.w3.eth.wait_for_transaction_receipt(self.w3.eth.send_transaction(request))
        assert receipt["status"] == 1

    def report(self, feed: Feed, price: int) -> None:
        """A new answer of a placed feed."""
        aggregator = self._aggregator(str(feed.address))
        last = int.from_bytes(self._call(aggregator, encode_call("latestRound()")))
        answer = price * 10**feed.decimals
        self.send(aggregator, encode_call("submit(uint256,int256)", last + 1, answer))

    def report_all(self) -> None:
        for name, source in self.config.feed_sources().items():
            if source.chainlink and source.chainlink.address:
                self.report(source.chainlink, PRICES[name.removesuffix(":second")])
        self.refresh_pyth()

    def signed_prices(self) -> list[bytes]:
        """What Hermes would answer: every Pyth price as of the latest block."""
        published = self.w3.eth.get_block("latest")["timestamp"]
        return [
            pyth_update(
                source.pyth.feed_id,
                PRICES[name.removesuffix(":second")] * 10**source.decimals,
                source.decimals,
                published,
            )
            for name, source in self.config.feed_sources().items()
            if source.pyth
        ]

    def refresh_pyth(self) -> None:
        assert self.config.pyth
        updates = self.signed_prices()
        data = encode_call("updatePriceFeeds(bytes[])", updates)
        self.send(str(self.config.pyth.address), data, len(updates))

    def _tokens(self) -> dict[str, tuple[str, int]]:
        listed = {self.config.settlement.symbol: self.config.settlement.token}
        listed |= {n: a.token for n, a in self.config.enabled_assets().items() if a.token}
        return {n: (t.address, t.decimals) for n, t in listed.items() if t.address}

    def _token(self, name: str, address: str, decimals: int) -> None:
        if name == "WETH":
            # Its creation code writes only literals, so that it runs at any address.
            self.place(support("WETH9"), address)
            return
        self.place(
            self.artifacts.get("FaucetToken"),
            address,
            f"Rehearsed {name}",
            name,
            decimals,
            _DRIP,
            self.oracle,
        )

    def _chainlink(self, feed: Feed, price: int) -> None:
        proxy = str(feed.address)
        aggregator = self._aggregator_address(proxy)
        self.place(
            support("FluxAggregator"),
            aggregator,
            *(NOBODY, 0, 3_600, NOBODY, 1, 10**30, feed.decimals, feed.description),
        )
        signature = "changeOracles(address[],address[],address[],uint32,uint32,uint32)"
        oracles = encode_call(signature, [], [self.oracle], [self.oracle], 1, 1, 0)
        self.send(aggregator, oracles)
        self.place(support("EACAggregatorProxy"), proxy, aggregator, NOBODY)
        self.report(feed, price)

    def _pyth(self) -> None:
        if self.config.pyth and self.config.pyth.address:
            self.place(support("MockPyth"), self.config.pyth.address, 60, 1)
            self.refresh_pyth()

    @staticmethod
    def _aggregator_address(proxy: str) -> str:
        """Beside its proxy: the rehearsal decides where an aggregator stands."""
        return Web3.to_checksum_address(f"{int(proxy, 16) ^ 0xA99:040x}")

    def _aggregator(self, proxy: str) -> str:
        answer = self._call(proxy, encode_call("aggregator()"))
        return Web3.to_checksum_address(answer[12:32])

    def _call(self, to: str, data: bytes) -> bytes:
        return bytes(self.w3.eth.call({"to": to, "data": HexBytes(data)}))

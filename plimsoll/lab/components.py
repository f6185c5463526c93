"""Real components for tests and demonstrations, as their authors publish them in npm packages.

Each function returns a dictionary with `name`, `abi` and `bytecode` (creation code, hex with 0x),
which web3 and the in-process EVM of the tests take as they are; `container` makes one for Ape.
What a package ships only as source is compiled once, with the compiler its authors asked for, and
kept under `.local/components` until the npm lock file changes.

    link = evm.deploy(link_token())
    feed = evm.deploy(chainlink_aggregator(), link, 0, 3_600, ZERO, 1, 10**16, 8, "ETH / USD")
    feed.changeOracles([], [oracle], [oracle], 1, 1, 0)
    proxy = evm.deploy(chainlink_proxy(), feed, ZERO)
    feed.submit(1, 2_000 * 10**8, sender=oracle)
    proxy.call.latestRoundData().answer

None of it is part of Plimsoll or of its wheel: these functions work in the project's folder only.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "node_modules"
LOCK = ROOT / "package-lock.json"
CACHE = ROOT / ".local" / "components"

CHAINLINK = "@chainlink/contracts/src/v0.8"
CHAINLINK_0_6 = "chainlink-contracts-legacy/src/v0.6"
REMAPPINGS = ["@openzeppelin/contracts@4.8.3/=node_modules/@openzeppelin/contracts-4.8.3/"]

SAFE = "@safe-global/safe-smart-account/build/artifacts/contracts"
ACCOUNT_ABSTRACTION = "@account-abstraction/contracts/artifacts"

PERMIT2 = "@uniswap/v4-periphery/lib/permit2"

OPTIMIZER = {"enabled": True, "runs": 200}
# What each compiler is asked for.
SETTINGS: dict[str, dict[str, Any]] = {
    "0.6.6": {"optimizer": OPTIMIZER},
    "0.8.30": {"optimizer": OPTIMIZER, "evmVersion": "cancun", "remappings": REMAPPINGS},
    # As Permit2's authors have it: this makes the very code that has one address on every chain.
    "0.8.17": {
        "optimizer": {"enabled": True, "runs": 1_000_000},
        "viaIR": True,
        "metadata": {"bytecodeHash": "none"},
        "remappings": [f"solmate/=node_modules/{PERMIT2}/lib/solmate/"],
    },
}


class Component(TypedDict):
    """A contract that can be deployed."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str


def weth9() -> Component:
    """Canonical wrapped ether, as on the main network. No constructor arguments."""
    return _built("canonical-weth/build/contracts/WETH9.json")


def link_token() -> Component:
    """Chainlink's ERC-677 token, which an aggregator pays its oracles in. No arguments."""
    return _compile(f"{CHAINLINK}/shared/token/ERC677/LinkToken.sol", "LinkToken")


def chainlink_aggregator() -> Component:
    """The FluxAggregator that Chainlink's feeds ran on: oracles submit, the median is the answer.

    Arguments: link, payment, timeout in seconds, validator, least and greatest answer, decimals,
    description.
    """
    return _compile(f"{CHAINLINK_0_6}/FluxAggregator.sol", "FluxAggregator", "0.6.6")


def chainlink_proxy() -> Component:
    """The proxy that consumers read, with phase-encoded round ids.

    Arguments: aggregator, access controller or zero.
    """
    return _compile(f"{CHAINLINK_0_6}/EACAggregatorProxy.sol", "EACAggregatorProxy", "0.6.6")


def sequencer_uptime_feed() -> Component:
    """The L2 sequencer feed: answer 0 is up, 1 is down, `startedAt` the last change.

    Arguments: sender on layer 1, messenger, initial status (true is down). Only the messenger may
    call `updateStatus`.
    """
    unit = f"{CHAINLINK}/l2ep/optimism/OptimismSequencerUptimeFeed.sol"
    return _compile(unit, "OptimismSequencerUptimeFeed")


def l2_messenger() -> Component:
    """A messenger for the sequencer feed: `sendMessage(target, data, 0)` calls the target.

    Argument: the sender on layer 1 that it reports.
    """
    unit = f"{CHAINLINK}/l2ep/test/mocks/optimism/MockOVMCrossDomainMessenger.sol"
    return _compile(unit, "MockOVMCrossDomainMessenger")


def mock_pyth() -> Component:
    """Pyth's own stand-in: prices are updated as on a chain, but need no signatures.

    Arguments: valid time in seconds, fee per update in wei.
    """
    return _compile("@pythnetwork/pyth-sdk-solidity/MockPyth.sol", "MockPyth")


def safe() -> Component:
    """The Safe's singleton; wallets are its proxies. No arguments.

    A proxy's `setup` takes owners, threshold, a call to make (to, data), the fallback handler, and
    a payment (token, amount, receiver).
    """
    return _built(f"{SAFE}/Safe.sol/Safe.json")


def safe_l2() -> Component:
    """The singleton that tells by events what its Safes did. No arguments; `setup` as above."""
    return _built(f"{SAFE}/SafeL2.sol/SafeL2.json")


def safe_proxy_factory() -> Component:
    """`createProxyWithNonce(singleton, setup calldata, salt)` makes a Safe. No arguments."""
    return _built(f"{SAFE}/proxies/SafeProxyFactory.sol/SafeProxyFactory.json")


def safe_fallback_handler() -> Component:
    """What a Safe answers ERC-1271 (`isValidSignature`) with. No arguments.

    Its owners sign the SafeMessage of the digest: `getMessageHashForSafe(safe, digest)`.
    """
    built = f"{SAFE}/handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler.json"
    return _built(built)


def safe_multi_send() -> Component:
    """Calls made one after another by a Safe that delegatecalls `multiSend`. No arguments.

    Each is packed as operation (1 byte, 0), target (20), value (32), length (32) and calldata.
    """
    return _built(f"{SAFE}/libraries/MultiSendCallOnly.sol/MultiSendCallOnly.json")


def safe_sign_message() -> Component:
    """A Safe that delegatecalls `signMessage(digest)` has signed it on chain. No arguments."""
    return _built(f"{SAFE}/libraries/SignMessageLib.sol/SignMessageLib.json")


def entry_point() -> Component:
    """The ERC-4337 entry point, v0.8: `handleOps(packed operations, beneficiary)`. No arguments.

    Only an account without code may send to it.
    """
    return _built(f"{ACCOUNT_ABSTRACTION}/EntryPoint.json")


def simple_account_factory() -> Component:
    """Makes ERC-4337 accounts with one owner: `createAccount(owner, salt)`. Argument: entry point.

    Only the sender creator of the entry point may call it: an operation's `initCode` does.
    """
    return _built(f"{ACCOUNT_ABSTRACTION}/SimpleAccountFactory.json")


def simple_account() -> Component:
    """What the factory's accounts are (`execute`, `executeBatch`). Argument: entry point."""
    return _built(f"{ACCOUNT_ABSTRACTION}/SimpleAccount.json")


def simple_7702_account() -> Component:
    """Code for an ordinary key's address (EIP-7702): ERC-1271 by that key. No arguments."""
    return _built(f"{ACCOUNT_ABSTRACTION}/Simple7702Account.json")


def permit2() -> Component:
    """Uniswap's Permit2, the very creation code of the public chains. No arguments."""
    return _compile(f"{PERMIT2}/src/Permit2.sol", "Permit2", "0.8.17")


def weird_erc20(name: str) -> Component:
    """A token that breaks the common assumptions: `TransferFee`, `MissingReturns`, `BlockList` ...

    The name is that of its file in the package; a wrong one raises an error that lists them.
    """
    folder = _file("weird-erc20/contracts")
    known = sorted(
        path.stem for path in folder.glob("*.sol") if path.stem not in ("Upgradable", "test.t")
    )
    if name not in known:
        raise ValueError(f"no such token: {name}; there are {', '.join(known)}")
    return _compile(f"weird-erc20/contracts/{name}.sol", None)


def container(component: Component) -> Any:
    """The component as Ape deploys it: `account.deploy(container(weth9()))`."""
    from ape.contracts import ContractContainer
    from ethpm_types import ContractType

    code = {"bytecode": component["bytecode"]}
    kind = {"contractName": component["name"], "abi": component["abi"], "deploymentBytecode": code}
    return ContractContainer(ContractType.model_validate(kind))


@cache
def _built(artifact: str) -> Component:
    """A contract whose package ships its bytecode."""
    built = json.loads(_file(artifact).read_text())
    return Component(name=built["contractName"], abi=built["abi"], bytecode=built["bytecode"])


@cache
def _compile(unit: str, contract: str | None, version: str = "0.8.30") -> Component:
    """Compile one contract of an npm package; without a name, the file's one token."""
    parts = [LOCK.read_text(), unit, str(contract), version, json.dumps(SETTINGS[version])]
    kept = CACHE / f"{hashlib.sha256('|'.join(parts).encode()).hexdigest()}.json"
    if kept.is_file():
        component: Component = json.loads(kept.read_text())
        return component

    source = f"node_modules/{unit}"
    selection = {source: {"*": ["abi", "evm.bytecode.object"]}}
    settings = {**SETTINGS[version], "outputSelection": selection}
    sources = {source: {"content": _file(unit).read_text()}}
    request = {"language": "Solidity", "sources": sources, "settings": settings}
    compiler = ROOT / "tools" / "solc" / f"solc-v{version}"
    command = [str(compiler), "--standard-json", "--base-path", str(ROOT)]
    answer = subprocess.run(  # noqa: S603 the project's own compiler
        command, input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise RuntimeError(f"{compiler.name} failed on {unit}: {answer.stderr}")
    output = json.loads(answer.stdout)
    errors = [one for one in output.get("errors", []) if one["severity"] == "error"]
    if errors:
        raise RuntimeError(f"{unit} does not compile: {errors[0]['formattedMessage']}")
    component = _pick(unit, output["contracts"][source], contract)
    _keep(kept, component)
    return component


def _pick(unit: str, compiled: dict[str, Any], contract: str | None) -> Component:
    def functions(name: str) -> set[str]:
        return {one["name"] for one in compiled[name]["abi"] if one["type"] == "function"}

    names = [contract] if contract else [n for n in compiled if "transferFrom" in functions(n)]
    if len(names) != 1:
        raise RuntimeError(f"{unit} has {len(names)} tokens: {', '.join(names)}")
    one = compiled[names[0]]
    bytecode = "0x" + one["evm"]["bytecode"]["object"]
    return Component(name=names[0], abi=one["abi"], bytecode=bytecode)


def _keep(path: Path, component: Component) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as draft:
        json.dump(component, draft)
    os.replace(draft.name, path)


def _file(relative: str) -> Path:
    path = MODULES / relative
    if not path.exists():
        fix = "run `python3.11 bootstrap.py setup` in the project's folder"
        raise FileNotFoundError(f"node_modules/{relative} is missing: {fix}")
    return path

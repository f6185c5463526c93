"""The Safe that owns a deployment: made by its factory, at an address known beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3 import Web3

from plimsoll.config import NetworkConfig, Safe, given
from plimsoll.deploy.artifacts import code_hash
from plimsoll.deploy.execute import Book, Step, create
from plimsoll.deploy.sender import NOBODY, Call, encode_call
from plimsoll.deploy.world import support

SAFE = "safe"
SINGLETON, FACTORY, HANDLER = "safe:singleton", "safe:factory", "safe:handler"
VERSION = "1.5.0"
CONTRACTS = {
    SINGLETON: "SafeL2",
    FACTORY: "SafeProxyFactory",
    HANDLER: "CompatibilityFallbackHandler",
}
# Hashes of their code, as the Safe project publishes them for every chain.
CODE = {
    SINGLETON: "0x180193227186ccb85316c94db1f0d156ed932b14712cfaac78901899178572dc",
    FACTORY: "0x967dae4cda22b0c9ef7f31b010bdc1ceb0af9904b0c3dc060b5302e4c18a4529",
    HANDLER: "0x3c6a85bcf7b563daa624b884b4e9a1b9fa5371edde7be945d998071a48f28bbc",
}
# Where a Safe keeps what no view of it tells: its guards, by the hash of their names.
GUARDS = {
    "guard": int.from_bytes(keccak(text="guard_manager.guard.address")),
    "module guard": int.from_bytes(keccak(text="module_manager.module_guard.address")),
}
_HANDLER_SLOT = int.from_bytes(keccak(text="fallback_manager.handler.address"))
_FIRST_MODULE = "0x" + "00" * 19 + "01"
_SETUP = "setup(address[],uint256,address,bytes,address,address,uint256,address)"


def safe_steps(config: NetworkConfig) -> list[Step]:
    """What makes the Safe; nothing when none is named, or it exists."""
    safe = config.roles.safe
    if safe is None or safe.address:
        return []
    steps = []
    if given(config.safe_contracts).deploy:
        steps = [
            create(name, support(contract), lambda book: (), f"deploy Safe's {contract}")
            for name, contract in CONTRACTS.items()
        ]
    make = Step(
        key=SAFE,
        title=f"make the Safe: {safe.threshold} of {len(safe.owners)} owners",
        call=lambda book: Call(
            book.where[FACTORY],
            encode_call(
                "createProxyWithNonce(address,bytes,uint256)",
                book.where[SINGLETON],
                _initializer(safe, book),
                safe.salt,
            ),
        ),
        done=lambda book: bool(book.sender.code(safe_address(config, book))),
        details=lambda book: [f"at {safe_address(config, book)}", *safe.owners],
    )
    return [*steps, make]


def known_places(config: NetworkConfig) -> dict[str, str]:
    """What the configuration says exists."""
    found: dict[str, str | None] = {}
    if contracts := config.safe_contracts:
        found = {
            SINGLETON: contracts.singleton,
            FACTORY: contracts.factory,
            HANDLER: contracts.handler,
        }
    if config.roles.safe:
        found[SAFE] = config.roles.safe.address
    return {name: address for name, address in found.items() if address}


def safe_address(config: NetworkConfig, book: Book) -> str:
    """Where the Safe stands or will stand. Raises `KeyError` before its factory does."""
    safe = given(config.roles.safe)
    if safe.address:
        return safe.address
    factory, singleton = book.where[FACTORY], book.where[SINGLETON]
    if NOBODY in (factory, singleton) or not book.sender.code(factory):
        raise KeyError(FACTORY)
    code = book.sender.read(factory, "proxyCreationCode()", returns="bytes")
    salt = keccak(keccak(_initializer(safe, book)) + safe.salt.to_bytes(32))
    made = keccak(code + encode(["address"], [singleton]))
    word = keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + made)
    return Web3.to_checksum_address(word[12:])


def _initializer(safe: Safe, book: Book) -> bytes:
    """Owners and threshold; no module, no payment."""
    terms = (list(safe.owners), safe.threshold, NOBODY, b"", book.where[HANDLER], NOBODY, 0, NOBODY)
    return encode_call(_SETUP, *terms)


def differences(config: NetworkConfig, book: Book) -> Iterator[str]:
    """How the Safe differs from what the configuration says; nothing when it does not."""
    safe = given(config.roles.safe)
    for name, expected in CODE.items():
        if name in book.where and code_hash(book.sender.code(book.where[name])) != expected:
            yield f"{name} at {book.where[name]} is not {CONTRACTS[name]} {VERSION}"
    address = safe_address(config, book)
    if not book.sender.code(address):
        yield f"there is no Safe at {address}"
        return
    read = book.sender.read
    if (version := read(address, "VERSION()", returns="string")) != VERSION:
        yield f"the Safe at {address} has version {version}, not {VERSION}"
    found = read(address, "getOwners()", returns="address[]")
    owners: set[str] = {Web3.to_checksum_address(owner) for owner in found}
    for owner in sorted(owners - set(safe.owners)):
        yield f"{owner} is an owner of the Safe, which the configuration does not say"
    for owner in sorted(set(safe.owners) - owners):
        yield f"{owner} is no owner of the Safe"
    if (threshold := read(address, "getThreshold()", returns="uint256")) != safe.threshold:
        yield f"{threshold} owners sign for the Safe, not {safe.threshold}"
    yield from _powers(book, address)


def _powers(book: Book, address: str) -> Iterator[str]:
    """What could act for the Safe, or bar it from acting, beside its owners."""
    modules, _ = book.sender.read(
        address,
        "getModulesPaginated(address,uint256)",
        _FIRST_MODULE,
        10,
        returns="address[],address",
    )
    for module in modules:
        yield f"the Safe has the module {Web3.to_checksum_address(module)}"
    for name, slot in GUARDS.items():
        if guard := _stored_address(book, address, slot):
            yield f"the Safe has the {name} {guard}"
    handler = _stored_address(book, address, _HANDLER_SLOT)
    if HANDLER in book.where and handler != book.where[HANDLER]:
        yield f"the Safe's fallback handler is {handler or 'missing'}"


def _stored_address(book: Book, address: str, slot: int) -> str | None:
    word = book.sender.w3.eth.get_storage_at(Web3.to_checksum_address(address), slot)
    return Web3.to_checksum_address(bytes(word)[-20:]) if any(word) else None


def write_batch(path: Path, config: NetworkConfig, book: Book, steps: Iterable[Step]) -> int:
    """The calls of steps as a file for the Safe's transaction builder; how many there are."""
    calls = [(step, step.call(book)) for step in steps]
    transactions = [
        {"to": given(call.to), "value": str(call.value), "data": "0x" + call.data.hex()}
        for _, call in calls
    ]
    batch = {
        "version": "1.0",
        "chainId": str(config.chain_id),
        "meta": {"name": f"Plimsoll {config.name}", "description": _summary([s for s, _ in calls])},
        "transactions": transactions,
    }
    path.write_text(json.dumps(batch, indent=2) + "\n")
    return len(transactions)


def _summary(steps: Sequence[Any]) -> str:
    return "; ".join(step.title for step in steps)

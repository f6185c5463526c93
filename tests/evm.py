"""The contracts that Ape compiled, on an EVM inside this process: a thousand times a node's speed.

    evm = Evm()
    user, owner = evm.actor("user"), evm.actor("owner")
    token = evm.deploy("FaucetToken", "Dollar", "USD", 6, 100, owner, sender=owner)
    receipt = token.mint(user, 10**6, sender=owner)  # a transaction: kept
    token.call.balanceOf(user)  # a call: what it changed is undone
    receipt.value, receipt.gas_used, receipt.events("Transfer")[0].to
    with evm.reverts("ERC20InsufficientBalance", needed=5):
        token.transfer(owner, 5, sender=evm.actor("stranger"))

What differs from a chain, because pyrevm 0.3.7 keeps one transaction open for ever and has no way
to end it:
* Storage and accounts stay warm, and "original" values are those of the first touch. `gas_used` is
  therefore a lower bound: never assert on it. Gas is measured on Anvil.
* A contract may self-destruct as if it had been created in the same transaction.
Transient storage is cleared after each transaction and each call, as on a chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from tests.artifacts import (
    MANIFEST,
    Abi,
    Artifact,
    Entry,
    Registry,
    artifact,
    artifacts,
    checksum,
    encoder,
    record,
    types_of,
)

try:
    import pyrevm
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "pyrevm has no wheel for this platform: run the smaller profile, on Anvil, instead"
    ) from error

__all__ = ["Artifact", "Contract", "Evm", "Log", "Receipt", "Reverted", "actor", "artifact"]

CHAIN_ID = 31337
START_TIME = 1_772_576_000
"""In March 2026: expiry days count from 2025."""
GAS_LIMIT = 30_000_000
FUNDS = 10**24


class Reverted(Exception):  # noqa: N818 what the chain calls it
    """A transaction or call failed: the error's name, its arguments as a named tuple, its bytes.

    An error nobody declared has its selector for a name; a halt has the EVM's reason (OutOfGas).
    """

    def __init__(self, name: str, values: Any, raw: bytes) -> None:
        super().__init__(*values)
        self.name = name
        self.values = values
        self.raw = raw

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.values._asdict().items())})"


@dataclass(frozen=True)
class Log:
    """An event. Its `name` is empty and its `args` are raw if no known contract declares it."""

    address: str
    name: str
    args: Any


class Receipt:
    """A transaction that succeeded."""

    def __init__(self, registry: Registry, value: Any, gas_used: int, raw_logs: list[Any]) -> None:
        self.value = value
        self.gas_used = gas_used
        self._registry = registry
        self._raw_logs = raw_logs

    @cached_property
    def logs(self) -> list[Log]:
        """What happened, in order. Decoded when first asked for."""
        return [self._decode(raw) for raw in self._raw_logs]

    def _decode(self, raw: Any) -> Log:
        topics, data = raw.data
        entry = self._registry.events.get((topics[0], len(topics))) if topics else None
        if entry is None:
            return Log(checksum(raw.address), "", (topics, data))
        return Log(checksum(raw.address), entry.name, entry.decode_log(topics, data))

    def events(self, name: str) -> list[Any]:
        """The arguments of each event of this name."""
        return [log.args for log in self.logs if log.name == name]


class Contract:
    """A deployed contract. Its functions are methods: transactions, or calls under `call`."""

    def __init__(self, evm: Evm, address: str, abi: Abi) -> None:
        self.evm = evm
        self.address = checksum(address)
        self.abi = abi
        self.call = _Calls(self)
        self._functions: dict[str, list[Entry]] = {}
        for one in abi:
            if one["type"] == "function":
                entry = Entry(one)
                self._functions.setdefault(entry.name, []).append(entry)
                self._functions.setdefault(entry.signature, []).append(entry)

    def __repr__(self) -> str:
        return f"<Contract {self.address}>"

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__.get("_functions", {}):
            raise AttributeError(f"{self.address} has no function {name}")

        def send(*args: Any, sender: Any = None, value: int = 0, gas: int = GAS_LIMIT) -> Receipt:
            return self.evm.transact(self, self.function(name, args), args, sender, value, gas)

        self.__dict__[name] = send
        return send

    def __getitem__(self, signature: str) -> Any:
        """An overloaded function, by its full signature: `token["mint(address,uint256)"]`."""
        return getattr(self, signature)

    def function(self, name: str, args: Sequence[Any]) -> Entry:
        """The function of this name, or full signature, that takes this many arguments."""
        fitting = [one for one in self._functions[name] if len(one.inputs) == len(args)]
        if len(fitting) != 1:
            known = ", ".join(one.signature for one in self._functions[name])
            raise TypeError(f"{name} with {len(args)} arguments: {len(fitting)} fit, of {known}")
        return fitting[0]

    def encode(self, name: str, *args: Any) -> bytes:
        """The calldata of a function, as multicalls and signatures want it."""
        return self.function(name, args).encode(args)


class _Calls:
    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def __getattr__(self, name: str) -> Any:
        contract = self._contract
        if name not in contract._functions:
            raise AttributeError(f"{contract.address} has no function {name}")

        def call(*args: Any, sender: Any = None, value: int = 0, gas: int = GAS_LIMIT) -> Any:
            return contract.evm.call(
                contract, contract.function(name, args), args, sender, value, gas
            )

        self.__dict__[name] = call
        return call

    __getitem__ = __getattr__


_REVERT = re.compile(r"^Revert \{ gas_used: (\d+), output: 0x([0-9a-f]*) \}$")
_HALT = re.compile(r"^Halt \{ reason: (\w+)")


@cache
def actor(name: str) -> LocalAccount:
    """A person with a role for a name and a key of their own, always the same."""
    account: LocalAccount = Account.from_key(keccak(text=f"actor {name}"))
    return account


class Evm:
    """A chain with one block gas limit, a clock that stands still, and no blocks unless told."""

    def __init__(self) -> None:
        config = pyrevm.CfgEnv(chain_id=CHAIN_ID)
        self._evm = pyrevm.EVM(
            env=pyrevm.Env(cfg=config), gas_limit=GAS_LIMIT, spec_id="CANCUN", tracing=False
        )
        self.registry = Registry()
        self.deployer = self.actor("deployer").address
        self.gas_used = 0
        self._time, self._number = START_TIME, 1
        self._snapshots: list[tuple[Any, int, int]] = []
        self._set_block()

    # -- time and money

    def _set_block(self) -> None:
        block = pyrevm.BlockEnv(number=self._number, timestamp=self._time, gas_limit=GAS_LIMIT)
        self._evm.set_block_env(block)

    @property
    def time(self) -> int:
        """The present block's time in seconds; setting it begins a new block."""
        return self._time

    @time.setter
    def time(self, seconds: int) -> None:
        self._time, self._number = seconds, self._number + 1
        self._set_block()

    @property
    def block_number(self) -> int:
        return self._number

    def warp(self, seconds: int) -> None:
        """Begin a new block, so many seconds later."""
        self.time += seconds

    def actor(self, name: str) -> LocalAccount:
        """A person with ether and a key: `evm.actor("liquidator")`."""
        account = actor(name)
        self.set_balance(account, FUNDS)
        return account

    def balance(self, who: Any) -> int:
        return int(self._evm.get_balance(_address(who)))

    def set_balance(self, who: Any, wei: int) -> None:
        self._evm.set_balance(_address(who), wei)

    def code(self, who: Any) -> bytes:
        return self._evm.get_code(_address(who)) or b""

    def storage(self, who: Any, slot: int) -> int:
        return int(self._evm.storage(_address(who), slot))

    def set_storage(self, who: Any, slot: int, value: int) -> None:
        self._evm.insert_account_storage(_address(who), slot, value)

    # -- going back

    def snapshot(self) -> int:
        """Remember the present. It can be gone back to any number of times."""
        self._snapshots.append((self._evm.snapshot(), self._time, self._number))
        return len(self._snapshots) - 1

    def revert(self, snapshot: int) -> None:
        """Go back to a snapshot. Later ones are forgotten."""
        # The newest first: otherwise the depth of calls that are left to the EVM shrinks each time.
        while len(self._snapshots) > snapshot:
            checkpoint, self._time, self._number = self._snapshots.pop()
            self._evm.revert(checkpoint)
        self._evm.reset_transient_storage()
        self._set_block()
        self.snapshot()

    @contextmanager
    def anchored(self) -> Iterator[None]:
        """Undo at the end whatever is done inside."""
        snapshot = self.snapshot()
        try:
            yield
        finally:
            self.revert(snapshot)
            self._evm.commit()  # takes back the snapshot that the revert left
            self._snapshots.pop()

    # -- contracts

    def deploy(
        self,
        source: str | Artifact | Mapping[str, Any],
        *args: Any,
        sender: Any = None,
        value: int = 0,
    ) -> Contract:
        """Deploy what Ape compiled, by its name, or any mapping with `abi` and `bytecode`."""
        what = Artifact.of(source)
        constructors = [one["inputs"] for one in what.abi if one["type"] == "constructor"]
        inputs = constructors[0] if constructors else []
        if len(inputs) != len(args):
            raise TypeError(f"{what.name} takes {len(inputs)} arguments, {len(args)} given")
        if not what.bytecode:
            raise TypeError(f"{what.name} is abstract or an interface")
        plain = [encoder(one)(arg) for one, arg in zip(inputs, args, strict=True)]
        code = what.bytecode + encode(types_of(inputs), plain)
        self._know(what.abi)
        sender = _address(sender or self.deployer)
        address = self._run(self._evm.deploy, sender, code, value, GAS_LIMIT)
        self._evm.reset_transient_storage()
        return Contract(self, address, what.abi)

    def at(self, address: Any, source: str | Artifact | Mapping[str, Any]) -> Contract:
        """Talk to a contract that is already there."""
        what = Artifact.of(source)
        self._know(what.abi)
        return Contract(self, _address(address), what.abi)

    def transact(
        self, to: Contract, function: Entry, args: Sequence[Any], sender: Any, value: int, gas: int
    ) -> Receipt:
        data = function.encode(args)
        caller = _address(sender or self.deployer)
        try:
            output = self._run(self._evm.message_call, caller, to.address, data, value, gas)
        finally:
            self._evm.reset_transient_storage()
        result: Any = self._evm.result
        self.gas_used = result.gas_used
        return Receipt(self.registry, function.decode_output(output), result.gas_used, result.logs)

    def call(
        self, to: Contract, function: Entry, args: Sequence[Any], sender: Any, value: int, gas: int
    ) -> Any:
        """Like `eth_call`: not static, but nothing of it stays."""
        data = function.encode(args)
        caller = _address(sender or self.deployer)
        checkpoint = self._evm.snapshot()
        try:
            output = self._run(self._evm.message_call, caller, to.address, data, value, gas)
        finally:
            self._evm.revert(checkpoint)
            self._evm.reset_transient_storage()
        return function.decode_output(output)

    def send(self, to: Any, data: bytes = b"", sender: Any = None, value: int = 0) -> bytes:
        """A transaction with raw calldata; what it returned."""
        caller = _address(sender or self.deployer)
        try:
            return bytes(
                self._run(self._evm.message_call, caller, _address(to), data, value, GAS_LIMIT)
            )
        finally:
            self._evm.reset_transient_storage()

    @contextmanager
    def reverts(self, name: str, *args: Any, **values: Any) -> Iterator[None]:
        """Expect this error: all of its arguments in order, or those named."""
        try:
            yield
        except Reverted as error:
            expected = {**dict(zip(error.values._fields, args, strict=False)), **values}
            found = error.values._asdict()
            same = all(found.get(key) == getattr(v, "address", v) for key, v in expected.items())
            whole = not args or len(args) == len(found)
            if not (error.name == name and same and whole):
                raise AssertionError(f"{error}, expected {name} {expected}") from error
        else:
            raise AssertionError(f"nothing reverted, expected {name}")

    def _know(self, abi: Abi) -> None:
        if MANIFEST.is_file():
            for one in artifacts().values():
                self.registry.add(one.abi)
        self.registry.add(abi)

    def _run(self, run: Any, *args: Any) -> Any:
        try:
            return run(*args)
        except RuntimeError as error:
            raise self._explain(str(error)) from None

    def _explain(self, text: str) -> Reverted:
        if not (match := _REVERT.match(text)):
            halt = _HALT.match(text)
            return Reverted(halt.group(1) if halt else text, record("Halt", ())(), b"")
        self.gas_used = int(match.group(1))
        raw = bytes.fromhex(match.group(2))
        entry = self.registry.errors.get(raw[:4])
        if entry is None:
            return Reverted(f"0x{raw[:4].hex()}", record("Unknown", ())(), raw)
        return Reverted(entry.name, entry.decode_input(raw[4:]), raw)


def _address(who: Any) -> str:
    return str(getattr(who, "address", who))

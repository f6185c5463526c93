"""What gets deployed: creation code, interface, and the compiler input it came from.

Released code is compiled one contract at a time from the smallest compiler input that it needs, so
that this input, stored beside the manifest, yields the very same bytes anywhere. Results are kept
by the hash of the input.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

from eth_abi.abi import encode
from eth_utils.crypto import keccak

_IMPORT = re.compile(r"""^\s*import\s+(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']""", re.MULTILINE)
_HEX = re.compile(r'hex"([0-9a-f]*)"')
_OUTPUTS = [
    "abi",
    "metadata",
    "evm.bytecode.object",
    "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.immutableReferences",
]
OPENZEPPELIN = "node_modules/@openzeppelin/contracts"
SOURCES = {
    "AccessManager": f"{OPENZEPPELIN}/access/manager/AccessManager.sol",
    "FaucetToken": "contracts/faucets/FaucetToken.sol",
    "FaucetShare": "contracts/faucets/FaucetShare.sol",
    "FaucetStakedEther": "contracts/faucets/FaucetStakedEther.sol",
}
"""Where a contract is, unless it is `contracts/<name>.sol`."""
TABLES = ("NormalTable",)
"""Whose constructor returns no code that the compiler knows of, but a stop and the bytes that its
source spells out."""


class CompilationError(Exception):
    """The compiler refused, or is not there."""


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    name: str
    source: str
    abi: list[dict[str, Any]]
    creation_code: bytes
    runtime_code: bytes
    immutables: tuple[tuple[int, int], ...]
    """Start and length of every immutable in the runtime code: filled in when it is created."""
    compiler: str
    standard_json: Mapping[str, Any] | None = None
    is_ours: bool = True
    """False for what others wrote and a test network lacks: it is deployed, but not verified."""

    @cached_property
    def constructor_types(self) -> list[str]:
        entry = next((item for item in self.abi if item["type"] == "constructor"), {})
        return [_abi_type(item) for item in entry.get("inputs", [])]

    @cached_property
    def constructor_names(self) -> list[str]:
        """Names of the constructor's arguments, without the underscores that Solidity needs."""
        entry = next((item for item in self.abi if item["type"] == "constructor"), {})
        return [item["name"].strip("_") for item in entry.get("inputs", [])]

    def in_order(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        """Named arguments in the constructor's order; a name too many or too few is an error."""
        if set(arguments) != set(self.constructor_names):
            raise TypeError(f"{self.name} takes {self.constructor_names}, not {sorted(arguments)}")
        return tuple(arguments[name] for name in self.constructor_names)

    def encode_arguments(self, arguments: tuple[Any, ...]) -> bytes:
        """Constructor arguments as they follow the creation code, checked by number and type."""
        if len(arguments) != len(self.constructor_types):
            raise TypeError(
                f"{self.name} takes {len(self.constructor_types)} arguments, not {len(arguments)}"
            )
        return encode(self.constructor_types, arguments)

    def same_runtime(self, code: bytes) -> bool:
        """Whether code on the chain is this contract's, whatever its immutables hold."""
        return len(code) == len(self.runtime_code) and self._masked(code) == self._masked(
            self.runtime_code
        )

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked)

    @classmethod
    def from_output(
        cls, name: str, source: str, output: Mapping[str, Any], standard_json: Mapping[str, Any]
    ) -> Self:
        contract = output["contracts"][source][name]
        evm = contract["evm"]
        if evm["bytecode"]["linkReferences"]:
            raise CompilationError(f"{name} needs libraries linked, which this does not do")
        references = evm["deployedBytecode"].get("immutableReferences", {})
        return cls(
            name=name,
            source=source,
            abi=contract["abi"],
            creation_code=bytes.fromhex(evm["bytecode"]["object"]),
            runtime_code=_table(standard_json["sources"][source]["content"])
            if name in TABLES
            else bytes.fromhex(evm["deployedBytecode"]["object"]),
            immutables=tuple(
                (r["start"], r["length"]) for refs in references.values() for r in refs
            ),
            compiler=json.loads(contract["metadata"])["compiler"]["version"],
            standard_json=standard_json,
        )


class Artifacts(Protocol):
    """Where artifacts come from."""

    def get(self, name: str) -> Artifact: ...


@dataclass(frozen=True)
class Settings:
    """How to compile; equal to what `ape-config.yaml` tells Ape."""

    version: str
    evm_version: str
    via_ir: bool
    runs: int
    remappings: tuple[str, ...]

    @classmethod
    def of_project(cls, root: Path) -> Self:
        import yaml

        solidity = yaml.safe_load((root / "ape-config.yaml").read_text())["solidity"]
        return cls(
            version=str(solidity["version"]),
            evm_version=solidity["evm_version"],
            via_ir=solidity["via_ir"],
            runs=solidity["optimization_runs"],
            remappings=tuple(solidity["import_remapping"]),
        )

    def compiler_settings(self, source: str, name: str) -> dict[str, Any]:
        return {
            "evmVersion": self.evm_version,
            "optimizer": {"enabled": True, "runs": self.runs},
            "outputSelection": {source: {name: _OUTPUTS}},
            "remappings": sorted(self.remappings),
            "viaIR": self.via_ir,
        }


class Released:
    """Compiles each contract from its own, smallest standard JSON input."""

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self.root = root
        self.cache = cache or root / ".build" / "released"
        self.settings = Settings.of_project(root)
        self._known: dict[str, Artifact] = {}

    def get(self, name: str) -> Artifact:
        if name not in self._known:
            source = SOURCES.get(name, f"contracts/{name}.sol")
            standard_json = self.standard_json(name, source)
            output = compiled(standard_json, self.settings.version, self.cache)
            self._known[name] = Artifact.from_output(name, source, output, standard_json)
        return self._known[name]

    def standard_json(self, name: str, source: str) -> dict[str, Any]:
        """The source and everything it imports, and nothing else."""
        sources: dict[str, dict[str, str]] = {}
        waiting = [source]
        while waiting:
            unit = waiting.pop()
            if unit in sources:
                continue
            content = (self.root / unit).read_text()
            sources[unit] = {"content": content}
            waiting += self._imports(unit, content)
        return {
            "language": "Solidity",
            "sources": dict(sorted(sources.items())),
            "settings": self.settings.compiler_settings(source, name),
        }

    def _imports(self, unit: str, content: str) -> Iterator[str]:
        for path in _IMPORT.findall(content):
            if path.startswith("."):
                yield posixpath.normpath(posixpath.join(posixpath.dirname(unit), path))
            else:
                yield self._remapped(path)

    def _remapped(self, path: str) -> str:
        pairs = [remapping.split("=", 1) for remapping in self.settings.remappings]
        fitting = [(prefix, target) for prefix, target in pairs if path.startswith(prefix)]
        if not fitting:
            return path
        prefix, target = max(fitting, key=lambda pair: len(pair[0]))
        return target + path.removeprefix(prefix)


class Compiled:
    """Takes what Ape has compiled, and compiles only what is not the project's own.

    Quick, and for local chains: what Ape keeps has no compiler input from which to rebuild it.
    """

    def __init__(self, root: Path) -> None:
        self.released = Released(root)
        self.manifest = root / ".build" / "__local__.json"

    def get(self, name: str) -> Artifact:
        if SOURCES.get(name, "").startswith("node_modules"):
            return self.released.get(name)
        kind = self._types.get(name)
        if kind is None:
            raise CompilationError(f"{name} is not compiled: run `python3.11 bootstrap.py compile`")
        return Artifact(
            name=name,
            source=kind["sourceId"],
            abi=kind["abi"],
            creation_code=_code(kind, "deploymentBytecode"),
            runtime_code=_code(kind, "runtimeBytecode"),
            immutables=(),
            compiler=self.released.settings.version,
        )

    @cached_property
    def _types(self) -> dict[str, Any]:
        if not self.manifest.is_file():
            return {}
        types: dict[str, Any] = json.loads(self.manifest.read_text())["contractTypes"]
        return types


class Stored:
    """Rebuilds each contract of a deployment from the compiler input stored beside its manifest."""

    def __init__(self, folder: Path, version: str, cache: Path | None = None) -> None:
        self.folder = folder
        self.version = version
        self.cache = cache

    def get(self, name: str) -> Artifact:
        path = self.folder / "standard-json" / f"{name}.json"
        if not path.is_file():
            raise CompilationError(f"{path} is missing: {name} cannot be rebuilt")
        standard_json = json.loads(path.read_text())
        output = compiled(standard_json, self.version, self.cache)
        ((source, _),) = standard_json["settings"]["outputSelection"].items()
        return Artifact.from_output(name, source, output, standard_json)


def compiled(
    standard_json: Mapping[str, Any], version: str, cache: Path | None = None
) -> dict[str, Any]:
    """The compiler's output, or what it was for the very same input."""
    if cache is None:
        return compile_standard_json(standard_json, version)
    text = json.dumps(standard_json, sort_keys=True)
    stored = cache / f"{hashlib.sha256((version + text).encode()).hexdigest()}.json"
    if stored.is_file():
        kept: dict[str, Any] = json.loads(stored.read_text())
        return kept
    output = compile_standard_json(standard_json, version)
    cache.mkdir(parents=True, exist_ok=True)
    fresh = stored.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(output))
    os.replace(fresh, stored)
    return output


def compile_standard_json(standard_json: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Runs the compiler of that version over a complete input: no file is read, no network used."""
    import solcx

    try:
        solc = solcx.install.get_executable(version)
    except solcx.exceptions.SolcNotInstalled as error:
        raise CompilationError(
            f"no solc {version}: run through bootstrap.py, or set SOLCX_BINARY_PATH"
        ) from error
    ran = subprocess.run(  # noqa: S603 -- the compiler of the project
        [str(solc), "--standard-json"],
        input=json.dumps(standard_json).encode(),
        capture_output=True,
        check=False,
    )
    if ran.returncode:
        raise CompilationError(ran.stderr.decode(errors="replace").strip())
    output: dict[str, Any] = json.loads(ran.stdout)
    errors = [e["formattedMessage"] for e in output.get("errors", []) if e["severity"] == "error"]
    if errors:
        raise CompilationError("\n".join(errors))
    return {"contracts": output["contracts"]}


def _table(content: str) -> bytes:
    return b"\0" + bytes.fromhex("".join(_HEX.findall(content)))


def code_hash(code: bytes) -> str:
    return "0x" + keccak(code).hex()


def _code(kind: Mapping[str, Any], which: str) -> bytes:
    return bytes.fromhex((kind.get(which) or {}).get("bytecode", "").removeprefix("0x"))


def _abi_type(item: Mapping[str, Any]) -> str:
    if not item["type"].startswith("tuple"):
        return str(item["type"])
    inner = ",".join(_abi_type(part) for part in item["components"])
    return f"({inner}){item['type'].removeprefix('tuple')}"

"""What Ape compiled, and the coding of its functions, events and errors.

Structs may be given as tuples, mappings or objects with the fields' names; they come back as named
tuples. A field named like a Python keyword gets an underscore after its name (`from_`), leading
underscores are dropped. Addresses come back in checksum form.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from keyword import iskeyword
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

MANIFEST = Path(__file__).parents[1] / ".build" / "__local__.json"

Abi = list[dict[str, Any]]

BUILT_IN_ERRORS: Abi = [
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
]

checksum = lru_cache(maxsize=65_536)(to_checksum_address)


@dataclass(frozen=True, eq=False)
class Artifact:
    """What is needed to deploy a contract and to talk to it."""

    name: str
    abi: Abi
    bytecode: bytes

    @classmethod
    def of(cls, source: str | Artifact | Mapping[str, Any]) -> Artifact:
        """From the name of a contract that Ape compiled, or a mapping with `abi` and `bytecode`."""
        if isinstance(source, Artifact):
            return source
        if isinstance(source, str):
            return artifact(source)
        code = source["bytecode"]
        raw = code if isinstance(code, bytes) else bytes.fromhex(code.removeprefix("0x"))
        return cls(source.get("name", "contract"), source["abi"], raw)


@cache
def artifacts() -> dict[str, Artifact]:
    """Every contract that Ape compiled, by name."""
    if not MANIFEST.is_file():
        raise FileNotFoundError("nothing is compiled yet: run `python3.11 bootstrap.py compile`")
    types = json.loads(MANIFEST.read_text())["contractTypes"]
    return {
        name: Artifact.of(
            {
                "name": name,
                "abi": one.get("abi", []),
                "bytecode": (one.get("deploymentBytecode") or {}).get("bytecode") or "",
            }
        )
        for name, one in types.items()
    }


def artifact(name: str) -> Artifact:
    """A contract that Ape compiled."""
    try:
        return artifacts()[name]
    except KeyError:
        known = ", ".join(sorted(artifacts()))
        raise KeyError(f"Ape compiled no contract {name}; there are {known}") from None


def types_of(parameters: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(collapse_if_tuple(dict(one)) for one in parameters)


def encoder(parameter: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Turns a Python value into what eth_abi wants for this parameter."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        one = encoder({**parameter, "type": kind[: kind.rindex("[")]})
        return lambda values: [one(value) for value in values]
    if kind == "tuple":
        return _struct_encoder(parameter)
    if kind == "address":
        return lambda value: getattr(value, "address", value)
    if kind.startswith("bytes"):
        return lambda value: (
            bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else value
        )
    return lambda value: value


def _struct_encoder(parameter: Mapping[str, Any]) -> Callable[[Any], Any]:
    names = [one["name"] for one in parameter["components"]]
    fields = [encoder(one) for one in parameter["components"]]

    def encode_struct(value: Any) -> tuple[Any, ...]:
        if isinstance(value, Mapping):
            if extra := set(value) - set(names):
                raise TypeError(f"{parameter.get('internalType')} has no field {', '.join(extra)}")
            value = [value[name] for name in names]
        elif not isinstance(value, Sequence):
            value = [getattr(value, name) for name in names]
        return tuple(field(one) for field, one in zip(fields, value, strict=True))

    return encode_struct


def decoder(parameter: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Turns what eth_abi decoded into named tuples for structs and checksummed addresses."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        one = decoder({**parameter, "type": kind[: kind.rindex("[")]})
        return lambda values: [one(value) for value in values]
    if kind == "tuple":
        name = (
            parameter.get("internalType", "struct Struct")
            .split(" ")[-1]
            .split(".")[-1]
            .split("[")[0]
        )
        return record_decoder(name, parameter["components"])
    return checksum if kind == "address" else lambda value: value


def record_decoder(name: str, parameters: Sequence[Mapping[str, Any]]) -> Callable[[Any], Any]:
    fields = [decoder(one) for one in parameters]
    make = record(name, tuple(one["name"] for one in parameters))
    return lambda values: make(*(field(value) for field, value in zip(fields, values, strict=True)))


@cache
def record(name: str, fields: tuple[str, ...]) -> Any:
    """A named tuple type."""
    names = [field.lstrip("_") + "_" * iskeyword(field) for field in fields]
    return namedtuple(name, names, rename=True)


class Entry:
    """A function, event or error of an ABI."""

    def __init__(self, abi: dict[str, Any]) -> None:
        self.name: str = abi["name"]
        self.inputs: list[dict[str, Any]] = abi["inputs"]
        self.outputs: list[dict[str, Any]] = abi.get("outputs", [])
        self.types = types_of(self.inputs)
        self.signature = f"{self.name}({','.join(self.types)})"
        self.topic = keccak(text=self.signature)
        self.selector = self.topic[:4]
        self._output_types = types_of(self.outputs)
        self._encoders = [encoder(one) for one in self.inputs]

    def encode(self, args: Sequence[Any]) -> bytes:
        plain = [encode_one(arg) for encode_one, arg in zip(self._encoders, args, strict=True)]
        return self.selector + encode(self.types, plain)

    @cached_property
    def _inputs_decoder(self) -> Callable[[Any], Any]:
        return record_decoder(self.name, self.inputs)

    @cached_property
    def _output_decoder(self) -> Callable[[Any], Any]:
        if len(self.outputs) == 1:
            one = decoder(self.outputs[0])
            return lambda values: one(values[0])
        return record_decoder(self.name, self.outputs)

    def decode_input(self, data: bytes) -> Any:
        return self._inputs_decoder(decode(self.types, data))

    def decode_output(self, data: bytes) -> Any:
        """Nothing, the one value, or a named tuple of several."""
        return self._output_decoder(decode(self._output_types, data)) if self.outputs else None

    def decode_log(self, topics: Sequence[bytes], data: bytes) -> Any:
        """The event's arguments; of an indexed string, array or struct, its hash."""
        rest = iter(decode(types_of([one for one in self.inputs if not one["indexed"]]), data))
        words = iter(topics[1:])
        values = []
        for one in self.inputs:
            if not one["indexed"]:
                values.append(decoder(one)(next(rest)))
            elif one["type"] in ("string", "bytes", "tuple") or one["type"].endswith("]"):
                values.append(next(words))
            else:
                values.append(decoder(one)(decode((one["type"],), next(words))[0]))
        return record(self.name, tuple(one["name"] for one in self.inputs))(*values)


class Registry:
    """The errors and events of every contract known so far, by what identifies them on a chain."""

    def __init__(self) -> None:
        self.errors: dict[bytes, Entry] = {}
        self.events: dict[tuple[bytes, int], Entry] = {}
        self._seen: dict[int, Abi] = {}
        self.add(BUILT_IN_ERRORS)

    def add(self, abi: Abi) -> None:
        if id(abi) in self._seen:
            return
        self._seen[id(abi)] = abi
        for one in abi:
            if one["type"] == "error":
                entry = Entry(one)
                self.errors.setdefault(entry.selector, entry)
            elif one["type"] == "event" and not one.get("anonymous"):
                entry = Entry(one)
                topics = 1 + sum(parameter["indexed"] for parameter in entry.inputs)
                self.events.setdefault((entry.topic, topics), entry)

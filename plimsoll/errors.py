"""What can go wrong, by name, with its values and what to do about it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from eth_abi.abi import decode
from eth_utils.crypto import keccak
from web3.exceptions import ContractLogicError, Web3Exception, Web3RPCError

from plimsoll import abi
from plimsoll.hints import HINTS

_PANICS = {
    0x01: "an assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "no such value of an enum",
    0x32: "an index out of bounds",
    0x41: "too much memory",
}
_ERROR_STRING = keccak(text="Error(string)")[:4]
_PANIC = keccak(text="Panic(uint256)")[:4]


class PlimsollError(Exception):
    """The base of every exception of this package."""


class InexactAmountError(PlimsollError):
    """An amount that the chain cannot hold exactly."""


class MalformedIdError(PlimsollError):
    """An account, instrument or asset id that cannot be."""


class InvalidOrderError(PlimsollError):
    """An order that the ClearingHouse would refuse whatever the market."""


class InvalidDelegationError(PlimsollError):
    """A grant to a delegate that the ClearingHouse would refuse, or could not keep."""


class InvalidConnectionError(PlimsollError):
    """The manifest, the chain or the signer do not fit each other."""


class TransactionFailedError(PlimsollError):
    """A transaction was mined and reverted without data, or was never mined."""


class ContractError(PlimsollError):
    """A contract refused: its custom error by `name` and `values`, and a `hint` what to do."""

    def __init__(self, name: str, values: Mapping[str, Any], data: bytes = b"") -> None:
        self.name = name
        self.values = dict(values)
        self.data = data
        self.hint = HINTS.get(name, "")
        shown = ", ".join(f"{key}={_show(value)}" for key, value in self.values.items())
        super().__init__(f"{name}({shown})" + (f": {self.hint}" if self.hint else ""))


def decode_error(data: bytes) -> ContractError:
    """The error that a contract's return data stands for."""
    selector, body = data[:4], data[4:]
    if selector == _ERROR_STRING:
        return ContractError("Error", {"message": decode(["string"], body)[0]}, data)
    if selector == _PANIC:
        code = decode(["uint256"], body)[0]
        reason = _PANICS.get(code, "see the Solidity documentation")
        return ContractError("Panic", {"code": code, "reason": reason}, data)
    entry = _errors_by_selector().get(selector)
    if entry is None:
        return ContractError("Unknown", {"data": "0x" + data.hex()}, data)
    inputs = entry["inputs"]
    values = decode([abi.type_of(item) for item in inputs], body)
    return ContractError(
        entry["name"],
        {item["name"]: _named(item, value) for item, value in zip(inputs, values, strict=True)},
        data,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turns what web3 raises for a revert into the `ContractError` it stands for."""
    try:
        yield
    except (ContractLogicError, Web3RPCError) as error:
        data = _revert_data(error)
        if data is None:
            raise TransactionFailedError(str(error)) from error
        raise decode_error(data) from error
    except Web3Exception as error:
        raise TransactionFailedError(str(error)) from error


def _revert_data(error: ContractLogicError | Web3RPCError) -> bytes | None:
    candidates: list[Any] = [getattr(error, "data", None)]
    response = getattr(error, "rpc_response", None) or {}
    candidates.append(response.get("error", {}).get("data"))
    for candidate in candidates:
        if isinstance(candidate, Mapping):
            candidate = candidate.get("data")
        if isinstance(candidate, str) and candidate.startswith("0x") and len(candidate) >= 10:
            return bytes.fromhex(candidate[2:])
    return None


@cache
def _errors_by_selector() -> dict[bytes, dict[str, Any]]:
    return {keccak(text=name)[:4]: entry for name, entry in abi.of_type("error").items()}


def _named(item: Mapping[str, Any], value: Any) -> Any:
    if not item["type"].startswith("tuple"):
        return value
    parts = item["components"]
    return {part["name"]: _named(part, inner) for part, inner in zip(parts, value, strict=True)}


def _show(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)

"""Who signs: a key of ours, or a command that keeps its key to itself."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import Web3

from plimsoll.reports import R, ReportsError, SignedReport, signed_by

_PATIENCE = 30


class ReportSigner(Protocol):
    @property
    def address(self) -> ChecksumAddress: ...

    def sign(self, report: R, domain: Mapping[str, Any]) -> SignedReport[R]: ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    key: LocalAccount

    @property
    def address(self) -> ChecksumAddress:
        return self.key.address

    def sign(self, report: R, domain: Mapping[str, Any]) -> SignedReport[R]:
        return signed_by(self.key, report, domain)


@dataclass(frozen=True, slots=True)
class CommandSigner:
    """A command that is given the typed data as JSON and answers 65 bytes in hexadecimal."""

    address: ChecksumAddress
    command: str

    def sign(self, report: R, domain: Mapping[str, Any]) -> SignedReport[R]:
        asked = {
            "domain": dict(domain),
            "types": report.types,
            "primaryType": report.primary_type,
            "message": _as_text(report.message()),
        }
        signature = self._ask(json.dumps(asked))
        signed = SignedReport(report, self.address, signature)
        if signer_of(signed, domain) != self.address:
            raise ReportsError(f"the signing command did not sign as {self.address}")
        return signed

    def _ask(self, message: str) -> bytes:
        try:
            done = subprocess.run(  # noqa: S603 -- the operator's own command
                shlex.split(self.command),
                input=message,
                capture_output=True,
                text=True,
                check=True,
                timeout=_PATIENCE,
            )
            return bytes(Web3.to_bytes(hexstr=done.stdout.strip()))  # type: ignore[arg-type]
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise ReportsError(f"the signing command failed: {error}") from error


def _as_text(value: Any) -> Any:
    """Integers as text, since no JSON reader may round them."""
    if isinstance(value, dict):
        return {name: _as_text(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    return str(value)


def signer_of(signed: SignedReport[R], domain: Mapping[str, Any]) -> str | None:
    """Whose signature it is; none when it is nobody's."""
    try:
        found: str = Account.recover_message(
            signed.report.typed_data(domain), signature=signed.signature
        )
    except Exception:
        return None
    return found

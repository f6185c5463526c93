"""Publishing sources to a block explorer that speaks Etherscan's language, version 2."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plimsoll.deploy.http import ServiceError, get_json, post_form
from plimsoll.deploy.preflight import Finding, Verdict
from plimsoll.deployments import Contract, Manifest

ETHERSCAN = "https://api.etherscan.io/v2/api"
KEY_VARIABLE = "ETHERSCAN_API_KEY"
_ATTEMPTS = 20
_PENDING = "pending in queue"
_ALREADY = "already verified"


@dataclass(frozen=True)
class Explorer:
    """One explorer, and the key that it knows us by."""

    url: str
    key: str
    pause: float = 3

    def publish(self, manifest: Manifest, folder: Path) -> Iterator[Finding]:
        """Submits every contract of a deployment and waits for each verdict."""
        for name, contract in manifest.contracts.items():
            try:
                outcome = self._published(manifest.chain_id, contract, folder)
            except (ServiceError, OSError) as error:
                outcome = str(error)
            fine = outcome.lower().startswith("pass") or _ALREADY in outcome.lower()
            verdict = Verdict.FINE if fine else Verdict.REFUSED
            yield Finding(verdict, f"{name} at {contract.address}: {outcome}")

    def _published(self, chain_id: int, contract: Contract, folder: Path) -> str:
        name = contract.source.rpartition(":")[2]
        standard_json = json.loads((folder / "standard-json" / f"{name}.json").read_text())
        answer = post_form(
            self.url,
            {"chainid": str(chain_id)},
            {
                "apikey": self.key,
                "module": "contract",
                "action": "verifysourcecode",
                "codeformat": "solidity-standard-json-input",
                "sourceCode": json.dumps(standard_json),
                "contractaddress": contract.address,
                "contractname": contract.source,
                "compilerversion": f"v{contract.compiler}",
                # The explorer's own spelling.
                "constructorArguements": contract.arguments.removeprefix("0x"),
            },
        )
        if not _succeeded(answer):
            return str(answer.get("result"))
        return self._verdict(chain_id, str(answer["result"]))

    def _verdict(self, chain_id: int, ticket: str) -> str:
        question = [
            ("chainid", str(chain_id)),
            ("apikey", self.key),
            ("module", "contract"),
            ("action", "checkverifystatus"),
            ("guid", ticket),
        ]
        for _ in range(_ATTEMPTS):
            outcome = str(get_json(self.url, question).get("result"))
            if _PENDING not in outcome.lower():
                return outcome
            time.sleep(self.pause)
        return f"no verdict on {ticket} yet"


def _succeeded(answer: dict[str, Any]) -> bool:
    return str(answer.get("status")) == "1"

"""Publishing speaks the explorer's language: one submission for each contract, and its verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from plimsoll.deploy.explorer import Explorer
from plimsoll.deploy.http import ServiceError, get_json
from plimsoll.deploy.preflight import Verdict
from tests.deploy.conftest import Rehearsal


class Service:
    """What an explorer was asked, and what it says."""

    def __init__(self, verdicts: list[str]) -> None:
        self.submissions: list[dict[str, str]] = []
        self.chains: set[str] = set()
        self.verdicts = verdicts
        self.asked = 0

    def submit(self, query: dict[str, list[str]], form: dict[str, list[str]]) -> dict[str, str]:
        self.chains.update(query["chainid"])
        self.submissions.append({name: values[0] for name, values in form.items()})
        return {"status": "1", "result": f"ticket{len(self.submissions)}"}

    def verdict(self) -> dict[str, str]:
        self.asked += 1
        return {"status": "1", "result": self.verdicts[min(self.asked, len(self.verdicts)) - 1]}


@contextmanager
def answering(service: Service) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = parse_qs(urlsplit(self.path).query)
            self._answer(service.submit(query, parse_qs(form, keep_blank_values=True)))

        def do_GET(self) -> None:
            self._answer(service.verdict())

        def _answer(self, content: dict[str, str]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v2/api"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_every_contract_is_submitted_with_its_own_input(rehearsal: Rehearsal) -> None:
    manifest = rehearsal.house.manifest
    service = Service(["Pending in queue", "Pass - Verified"])
    with answering(service) as url:
        found = list(Explorer(url, "key", pause=0).publish(manifest, rehearsal.folder))
    assert [f.verdict for f in found] == [Verdict.FINE] * len(manifest.contracts)
    assert service.chains == {"84532"}
    house = manifest.contracts["ClearingHouse"]
    (sent,) = [s for s in service.submissions if s["contractaddress"] == house.address]
    assert sent["contractname"] == "contracts/ClearingHouse.sol:ClearingHouse"
    assert sent["compilerversion"] == f"v{house.compiler}"
    assert sent["codeformat"] == "solidity-standard-json-input"
    assert "0x" + sent["constructorArguements"] == house.arguments
    stored = rehearsal.folder / "standard-json" / "ClearingHouse.json"
    assert json.loads(sent["sourceCode"]) == json.loads(stored.read_text())


def test_a_refusal_is_told_for_each_contract(rehearsal: Rehearsal) -> None:
    service = Service(["Fail - Unable to verify"])
    with answering(service) as url:
        found = list(
            Explorer(url, "key", pause=0).publish(rehearsal.house.manifest, rehearsal.folder)
        )
    assert {f.verdict for f in found} == {Verdict.REFUSED}
    assert found[0].what.endswith("Fail - Unable to verify")


def test_what_is_verified_already_is_fine(rehearsal: Rehearsal) -> None:
    service = Service(["Contract source code already verified"])
    with answering(service) as url:
        found = list(
            Explorer(url, "key", pause=0).publish(rehearsal.house.manifest, rehearsal.folder)
        )
    assert {f.verdict for f in found} == {Verdict.FINE}


def test_keys_are_not_sent_in_the_clear() -> None:
    with pytest.raises(ServiceError, match="is not an https:// address"):
        get_json("http://example.com/api", [])

"""A node that kills: at one transaction it ends the process that sent it."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

SENDING = "eth_sendRawTransaction"


class Executioner:
    """Counts transactions; strikes at one of them, before or after it has reached the node."""

    def __init__(self, at: int, delivers: bool) -> None:
        self.at = at
        self.delivers = delivers
        self.count = 0
        self.victim: int | None = None
        self.struck = False

    def passes(self, method: str) -> bool:
        """Whether this request may reach the node."""
        if method != SENDING:
            return True
        self.count += 1
        return self.count != self.at or self.delivers

    def strikes(self, method: str) -> bool:
        due = method == SENDING and self.count == self.at and not self.struck
        if due and self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
            self.struck = True
        return due


@contextmanager
def deadly(url: str, executioner: Executioner) -> Iterator[str]:
    """The address of a node that obeys the executioner."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = json.loads(body)
            method = asked["method"] if isinstance(asked, dict) else ""
            answer = b""
            if executioner.passes(method):
                headers = {"Content-Type": "application/json"}
                with urlopen(Request(url, body, headers)) as response:
                    answer = response.read()
            if executioner.strikes(method):
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

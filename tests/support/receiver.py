"""A corp's own system that events are forwarded to: it verifies them with the specification's own library."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """`got`: (webhook-id, what it verified), in order. `answer`: the status of the next answers; `slow`: seconds."""

    url: str = ""
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: int = 0  # requests that were answered otherwise than 204
    answer: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    slow: float = 0.0
    paths: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [identity for identity, _ in self.got]


@contextmanager
def receiver(secret: str = SECRET) -> Iterator[Receiver]:
    """One on a port of its own, until the end of the block."""
    made = Receiver()
    webhook = Webhook(secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(made.slow)
            made.paths.append(self.path)
            if made.answer == 204:
                made.got.append((self.headers["webhook-id"], webhook.verify(body, dict(self.headers.items()))))
            else:
                made.refused += 1
            self.send_response(made.answer)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()

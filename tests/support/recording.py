"""A server that records each request as it came over the wire, and answers as told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tasks.wecom import WeComClient

TOKEN = {"errcode": 0, "errmsg": "ok", "access_token": "TOKEN", "expires_in": 7200}
OK = {"errcode": 0, "errmsg": "ok"}


@dataclass(frozen=True)
class Request:
    verb: str
    path: str
    query: dict[str, list[str]]  # without the token
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def call(self) -> tuple[str, str, dict[str, list[str]], Any]:
        """(method, path, query, JSON) as the server received them."""
        return self.verb, self.path, self.query, self.json


@dataclass(frozen=True)
class Reply:
    """An answer that is not a JSON object with status 200."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


Answer = dict[str, Any] | Reply


class Recorder:
    """`answer(request)` gives the answers; gettoken is answered, and not recorded."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda request: OK
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query, keep_blank_values=True)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                query.pop("access_token", None)
                request = Request(self.command, parts.path, query, dict(self.headers), body)
                if parts.path.endswith("/gettoken"):
                    self._send(TOKEN)
                else:
                    recorder.requests.append(request)
                    self._send(recorder.answer(request))

            do_POST = do_GET

            def _send(self, answer: Answer) -> None:
                reply = answer if isinstance(answer, Reply) else Reply(json.dumps(answer, ensure_ascii=False).encode())
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self) -> Request:
        """The only request since the last call."""
        (request,) = self.requests
        self.requests.clear()
        return request

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def recorded() -> Iterator[tuple[Recorder, WeComClient]]:
    recorder = Recorder()
    client = WeComClient("ww1", "secret", recorder.url)
    try:
        yield recorder, client
    finally:
        client.close()
        recorder.close()

"""An app as WeCom knows it: its callback, which verifies pushes, and its calls of the API."""

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.simulator.world import App
from webhook.callback.crypto import Envelope


class Callback:
    """A callback: verifies and decrypts each push as the app's owner would, and answers the next of `statuses`."""

    def __init__(self) -> None:
        self.statuses: list[int] = []  # used up from the front; 200 when there are none
        self.hangs_up = False  # after each answer, unannounced
        self.hold = threading.Event()  # while clear, nothing is answered
        self.hold.set()
        self.queries: list[dict[str, str]] = []
        self.messages: list[str] = []
        callback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = self._query()
                callback.envelope.check(query["msg_signature"], query["timestamp"], query["nonce"], query["echostr"])
                self._answer(200, callback.envelope.open(query["echostr"]))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                query = self._query()
                encrypted = re.search(r'Encrypt(?:><!\[CDATA\[|": ")([^]"]+)', body)[1]
                callback.envelope.check(query["msg_signature"], query["timestamp"], query["nonce"], encrypted)
                callback.queries.append(query)
                callback.messages.append(callback.envelope.open(encrypted).decode())
                status = callback.statuses.pop(0) if callback.statuses else 200
                callback.hold.wait(60)
                self._answer(status, b"success")
                self.close_connection = callback.hangs_up

            def _query(self) -> dict[str, str]:
                return {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a push that gave up waiting
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.app = App.random(callback_url=f"http://127.0.0.1:{self._server.server_port}/callback")
        self.envelope = Envelope.of(self.app.token, self.app.encoding_aes_key, self.app.corp_id)

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Api:
    """Calls the stand-in's API as an app, with its own token."""

    base_url: str
    app: App
    token: str = field(default="", init=False)

    def get_token(self, **query: str) -> dict[str, Any]:
        given = {"corpid": self.app.corp_id, "corpsecret": self.app.secret, **query}
        answer = requests.get(f"{self.base_url}/cgi-bin/gettoken", params=given, timeout=30).json()
        self.token = answer.get("access_token", self.token)
        return answer

    def call(self, verb: str, path: str, timeout: float = 30, **options: Any) -> requests.Response:
        if not self.token:
            self.get_token()
        params = {"access_token": self.token, **options.pop("params", {})}
        return requests.request(verb, f"{self.base_url}/cgi-bin/{path}", params=params, timeout=timeout, **options)

    def get(self, path: str, **params: str) -> dict[str, Any]:
        return self.call("GET", path, params=params).json()

    def greet_raw(self, code: str, timeout: float = 30, text: str = "hello") -> requests.Response:
        body = {"welcome_code": code, "text": {"content": text}}
        return self.call("POST", "externalcontact/send_welcome_msg", timeout, json=body)

    def greet(self, code: str) -> int:
        """The errcode."""
        return self.greet_raw(code).json()["errcode"]

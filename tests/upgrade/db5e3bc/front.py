"""A WeCom in front of the stand-in: it answers a call as it was told to, and passes on the rest."""

import http.client
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PASS = "pass"  # as the stand-in answers
HANG, CUT = "hang", "cut"  # the call has no effect: silence, or the connection closes
SPENT_THEN_CUT, SPENT_THEN_HANG = "spent, then cut", "spent, then hang"  # it has its effect, and no answer comes
PAGE, GATEWAY = "page", "gateway"  # HTTP 200 with a page; HTTP 502
LONG = 60.0  # seconds of silence

Answer = object  # one of the above, a dict (WeCom's JSON), (errcode, errmsg), or after(seconds, one of these)


def after(seconds: float, answer: Answer) -> tuple[str, float, Answer]:
    """An answer that comes late."""
    return "after", seconds, answer


class Front:
    """One for each run. Calls that match a script get its answers in turn."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self._scripts: list[tuple[str, str, Iterable[Answer]]] = []
        self._lock = threading.Lock()
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                front.handle(self)

            def do_POST(self) -> None:
                front.handle(self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def script(self, path: str, part: str, *answers: Answer, always: bool = False) -> Callable[[], None]:
        """Answer calls of this path whose query or body has this part. → ends it."""
        entry = (path, part, iter(itertools.cycle(answers) if always else answers))
        with self._lock:
            self._scripts.append(entry)

        def end() -> None:
            with self._lock:
                self._scripts.remove(entry)

        return end

    def _scripted(self, path: str, text: str) -> Answer:
        with self._lock:
            for wanted, part, answers in self._scripts:
                if wanted == path and part in text:
                    answer = next(answers, None)
                    if answer is not None:
                        return answer
        return PASS

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        answer = self._scripted(path.removeprefix("/cgi-bin/"), query + body.decode("utf-8", "replace"))
        if isinstance(answer, tuple) and answer[0] == "after":
            time.sleep(answer[1])
            answer = answer[2]
        if answer in (HANG, SPENT_THEN_HANG):
            if answer == SPENT_THEN_HANG:
                self._passed_on(request, body)
            time.sleep(LONG)
        if answer in (CUT, HANG, SPENT_THEN_CUT, SPENT_THEN_HANG):
            if answer == SPENT_THEN_CUT:
                self._passed_on(request, body)
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
        elif answer in (PAGE, GATEWAY):
            self._send(request, 200 if answer == PAGE else 502, "text/html", b"<html>a page</html>")
        elif answer == PASS:
            self._send(request, *self._passed_on(request, body))
        else:
            told = {"errcode": answer[0], "errmsg": answer[1]} if isinstance(answer, tuple) else answer
            self._send(request, 200, "application/json", json.dumps(told).encode())

    def _passed_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(str(self.target.hostname), self.target.port, timeout=30)
        kept = {name: request.headers[name] for name in ("Content-Type",) if request.headers[name]}
        connection.request(request.command, request.path, body or None, kept)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, response.headers.get("Content-Type", "application/json"), content

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, kind: str, content: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

"""Servers that misbehave as no HTTP library would: a few lines of TCP each, on a port of their own."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

OK = b'{"errcode": 0, "errmsg": "ok"}'


def whole(body: bytes = OK, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GIVES_TOKEN = whole(b'{"errcode": 0, "access_token": "TOKEN-1234", "expires_in": 7200}')  # gettoken's answer


class Server:
    """Calls `serve(connection)` for each connection, in a thread. Keeps the requests that `request` read."""

    def __init__(self, serve: Callable[["Server", socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0  # opened
        self.closed = 0  # of them, by this side
        self.requests: list[bytes] = []
        self._serve = serve
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def request(self, connection: socket.socket) -> bytes:
        """The next request, read whole; OSError when the client has gone."""
        self.requests.append(read_message(connection))
        return self.requests[-1]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            self._serve(self, connection)
        connection.close()
        self.closed += 1


def read_message(connection: socket.socket) -> bytes:
    """The next request or answer, whose length its head gives; OSError when the other end has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += _more(connection)
    return head + b"\r\n\r\n" + body


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the client has gone")
    return data


def answering(answer: bytes | Callable[[int], bytes]) -> Callable[[Server, socket.socket], None]:
    """Every request of a connection gets this answer, or the one for its number (from 1)."""

    def serve(server: Server, connection: socket.socket) -> None:
        while True:
            server.request(connection)
            connection.sendall(answer if isinstance(answer, bytes) else answer(len(server.requests)))

    return serve


def redis_saying(answer: bytes) -> Callable[[Server, socket.socket], None]:
    """A Redis that says this to every command."""

    def serve(_: Server, connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(answer * len(re.findall(rb"(?:^|\r\n)\*\d", data)))

    return serve


def then(act: Callable[[socket.socket], None]) -> Callable[[Server, socket.socket], None]:
    """Reads one request, then does this."""

    def serve(server: Server, connection: socket.socket) -> None:
        server.request(connection)
        act(connection)

    return serve


def silent(_: Server, __: socket.socket) -> None:
    time.sleep(60)


def trickle(connection: socket.socket, content: bytes, every: float = 0.05) -> None:
    for n in range(len(content)):
        connection.sendall(content[n : n + 1])
        time.sleep(every)


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port on which nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"

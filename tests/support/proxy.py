"""A TCP proxy in front of Redis that fails as networks do: silence, delay, cut connections, refusal.

with Proxy(redis.socket) as proxy:
    ...start a role with REDIS_URL=proxy.url...
    proxy.go_silent()       the connections that are open carry nothing more, and nobody is told; new ones work
"""

import contextlib
import os
import socket
import ssl
import threading
import time
from pathlib import Path


class Proxy:
    """Listens on a port of its own, with TLS if given, and forwards everything to a unix socket.

    `delay`: seconds for each answer.
    """

    def __init__(self, target: Path, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"redis{'s' if tls else ''}://127.0.0.1:{self.port}/0"
        self.delay = 0.0
        self.links = 0  # connections made so far
        self.silent = False  # True: nothing is answered from now on, not on new connections either
        self._links: list[_Link] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def move(self, target: Path) -> None:
        """Forward new connections to another socket; open ones stay."""
        self._target = target

    def go_silent(self) -> int:
        """Make the open connections half-open: they carry nothing more. → how many."""
        with self._lock:
            for link in self._links:
                link.silent = True
            return len(self._links)

    def cut(self) -> int:
        """Close the connections that are open now. → how many."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()
        return len(links)

    def cut_after(self, answer_bytes: int) -> None:
        """Let each open connection carry so many more bytes of answers, then close it."""
        with self._lock:
            for link in self._links:
                link.allowance = answer_bytes

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                client = self._tls.wrap_socket(client, server_side=True) if self._tls else client
            except OSError:  # the client does not trust the certificate
                client.close()
                continue
            self.links += 1
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(os.fspath(self._target))
            except OSError:  # the server is down: refuse too
                client.close()
                server.close()
                continue
            link = _Link(self, client, server)
            with self._lock:
                self._links.append(link)
            link.start()

    def forget(self, link: "_Link") -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._links.remove(link)


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self.silent = False
        self.allowance: int | None = None  # bytes of answers that may still pass; None: any number

    def start(self) -> None:
        threading.Thread(target=self._pump, args=(self._client, self._server, False), daemon=True).start()
        threading.Thread(target=self._pump, args=(self._server, self._client, True), daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.silent or self._proxy.silent:
                    continue
                if answers and self._proxy.delay:
                    time.sleep(self._proxy.delay)
                if answers and self.allowance is not None:
                    data, self.allowance = data[: self.allowance], self.allowance - len(data)
                    sink.sendall(data)
                    if self.allowance <= 0:
                        break
                    continue
                sink.sendall(data)
        if not self.silent:  # a half-open connection does not report the other end's close either
            self.close()
        self._proxy.forget(self)
        source.close()

"""A little HTTP proxy on loopback: CONNECT, and whole URLs for http://. It notes what it was asked for.

with OutboundProxy(user="u:p") as proxy: ...WECOM_PROXY=proxy.url..., proxy.asked == ["CONNECT wecom.invalid:443"]
"""

import base64
import contextlib
import socket
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.support.servers import Server, read_message

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"


class OutboundProxy(Server):
    """`hosts`: name → port on loopback, of hosts that only this proxy reaches; any other is connected to as asked.

    `user`: user:password that is asked for.
    """

    def __init__(self, hosts: Mapping[str, int] | None = None, user: str = "") -> None:
        super().__init__(type(self)._pass_on)
        self.asked: list[str] = []
        self._hosts, self._user = hosts or {}, user

    def _pass_on(self, connection: socket.socket) -> None:
        while True:
            request = self.request(connection)
            method, target, _ = request.split(b"\r\n")[0].decode().split(" ")
            self.asked.append(f"{method} {target}")
            known = f"Proxy-Authorization: Basic {base64.b64encode(self._user.encode()).decode()}\r\n".encode()
            if self._user and known not in request:
                connection.sendall(REFUSED)
                continue
            parts = urlsplit(target if "://" in target else f"//{target}")
            host, port = parts.hostname or "", parts.port or 80
            local = self._hosts.get(host)
            with socket.create_connection(("127.0.0.1", local) if local else (host, port)) as upstream:
                if method == "CONNECT":
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_pump, args=(upstream, connection), daemon=True)
                    back.start()
                    _pump(connection, upstream)
                    back.join(5)
                    return
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                upstream.sendall(request.replace(target.encode(), path.encode(), 1))
                connection.sendall(read_message(upstream))


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

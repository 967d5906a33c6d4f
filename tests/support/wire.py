"""HTTP byte by byte: what a client library would not send."""

import socket

from tests.support.pushes import Push
from tests.support.web import WebProcess


def raw(process: WebProcess, *pieces: bytes, ends: bool = False) -> bytes:
    """The whole answer to these bytes. `ends`: shut down the sending side after them."""
    with socket.create_connection(("127.0.0.1", process.port), 30) as connection:
        for piece in pieces:
            connection.sendall(piece)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()


def head(push: Push, *headers: str) -> bytes:
    """The head of a callback request, with these headers."""
    query = "&".join(f"{name}={value}" for name, value in push.query.items())
    return "\r\n".join([f"POST /callback?{query} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()

"""HTTP/1.1 messages on a socket: a request's head as bytes, and an answer read whole by http.client. RFC 9112.

urllib3 around it would double its cost: 0.2 ms of CPU a call of WeCom's, instead of 0.1 (design.md, "Decisions").
"""

import http.client
import socket
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

CHUNK = 64 * 1024  # bytes of a body read at a time
_IN_TARGET = "/:?#[]@!$&'()*+,;=%~"  # beside letters and digits, what stays as it is


class BadAnswer(Exception):
    """What came is no answer in HTTP, or it ended too early."""


class TooLarge(Exception):
    """The body is longer than the caller wants."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read whole. The names of its headers are found in any case.

    keeps_open: the connection may be used again.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes = field(repr=False)
    keeps_open: bool


def request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request up to its body. ValueError for a header with a line break."""
    lines = [f"{method} {quote(target, _IN_TARGET)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    text = "\r\n".join([*lines, "", ""])
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header with a line break")
    return text.encode("utf-8", "replace")


def read_answer(sock: socket.socket, method: str, limit: int, cut: bool = False) -> Response:
    """The answer to a request of this method, its body of at most `limit` bytes, decompressed if need be.

    cut: a longer body is cut off, and none is decompressed: nobody reads it. Raises BadAnswer, TooLarge, or OSError of
    the socket.
    """
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
        body, ended = _body(response, limit, cut)
    except (http.client.HTTPException, ValueError) as error:  # ValueError: a chunk's size that is no number
        raise BadAnswer(type(error).__name__) from None
    finally:
        response.close()
    if not cut and response.headers.get("Content-Encoding", "").strip().lower() in (
        "gzip",
        "x-gzip",
    ):  # although nobody asked for it
        body = _unzipped(body, limit)
    return Response(response.status, response.headers, body, ended and not response.will_close)


def _body(response: http.client.HTTPResponse, limit: int, cut: bool) -> tuple[bytes, bool]:
    """(the body, whether it is whole)"""
    if (response.length or 0) > limit and not cut:
        raise TooLarge
    parts, size = [], 0
    while part := response.read(min(CHUNK, limit + 1 - size)):
        parts.append(part)
        size += len(part)
        if size > limit and not cut:
            raise TooLarge
        if size > limit:
            return b"".join(parts)[:limit], False
    if response.length:
        raise BadAnswer("the connection ended")
    return b"".join(parts), True


def _unzipped(body: bytes, limit: int) -> bytes:
    try:
        content = zlib.decompressobj(31).decompress(body, limit + 1)  # 31: with gzip's head
    except zlib.error:
        raise BadAnswer("not gzip") from None
    if len(content) > limit:
        raise TooLarge
    return content

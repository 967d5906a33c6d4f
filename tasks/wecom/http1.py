"""HTTP/1.1 messages: a request to bytes, and bytes to an answer, however they are cut. No I/O. RFC 9112.

http.client and urllib3 parse a head as they would an e-mail's, and need 0.2 ms of CPU for a call of WeCom's; this needs
a tenth of that. An answer must be one without doubt: a head that can be read in two ways is refused.
"""

import re
import zlib
from collections.abc import Iterable
from enum import Enum
from urllib.parse import quote

HEAD_LIMIT = 64 * 1024  # bytes of an answer's head
LINE_LIMIT = 8 * 1024  # bytes of a line between chunks
_IN_TARGET = "/:?#[]@!$&'()*+,;=%~"  # beside letters and digits, what stays as it is
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9]\d\d)(?: .*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class BadAnswer(Exception):
    """What came is no answer in HTTP, or it ended too early."""


class TooLarge(Exception):
    """The body is longer than the caller wants."""


def request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request up to its body. ValueError for a header with a line break."""
    lines = [f"{method} {quote(target, _IN_TARGET)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    text = "\r\n".join([*lines, "", ""])
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header with a line break")
    return text.encode("utf-8", "replace")


class _Line(Enum):
    """What the next line between chunks is."""

    SIZE, END, TRAILER = range(3)


class Answer:
    """The answer to a request other than HEAD, fed with bytes as they come.

    status and headers (names in lower case) are there when the head is; `is_complete` says that the body is whole.
    `keeps_open`: the connection may be used again. limit: bytes of the body.
    """

    def __init__(self, limit: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_complete = False
        self.keeps_open = False
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._left: int | None = None  # bytes of the body, or of the chunk, to come; None: until the connection ends
        self._chunked = False
        self._next = _Line.SIZE
        self._unread = b""  # of a head or a line that has not ended

    def feed(self, data: bytes) -> None:
        """Take bytes; none at all are the connection's end. Raises BadAnswer or TooLarge."""
        if not data:
            if self.status and self._left is None and not self._chunked:
                self.is_complete = True
            if not self.is_complete:
                raise BadAnswer("the connection ended")
            return
        data, self._unread = self._unread + data, b""
        if not self.status:
            data = self._head(data)
        if self.status and not self.is_complete:
            data = self._chunks(data) if self._chunked else self._take(data)
            self.is_complete = self.is_complete or (self._left == 0 and not self._chunked)
        if data:  # nobody asked for what follows an answer
            self.keeps_open = False

    def body(self) -> bytes:
        """The body, decompressed if it came compressed, although nobody asked for that. Raises BadAnswer, TooLarge."""
        body = b"".join(self._parts)
        if self.headers.get("content-encoding", "").lower() not in ("gzip", "x-gzip"):
            return body
        try:
            unzipped = zlib.decompressobj(31).decompress(body, self._limit + 1)  # 31: with gzip's head
        except zlib.error:
            raise BadAnswer("not gzip") from None
        if len(unzipped) > self._limit:
            raise TooLarge
        return unzipped

    def _head(self, data: bytes) -> bytes:
        """Read the head, or those of interim answers before it. → what follows it."""
        while not self.status:
            end = _HEAD_END.search(data)
            if (len(data) if end is None else end.start()) > HEAD_LIMIT:
                raise BadAnswer("a head without end")
            if end is None:
                self._unread = data
                return b""
            lines = data[: end.start()].decode("latin-1").replace("\r\n", "\n").split("\n")
            data = data[end.end() :]
            status = _STATUS.fullmatch(lines[0])
            if status is None:
                raise BadAnswer("no status line")
            if status[2].startswith("1") and status[2] != "101":
                continue
            self.headers = _headers(lines[1:])
            self.status = int(status[2])
            self._frame(status[1] == "1")
        return data

    def _frame(self, persistent: bool) -> None:
        """How long the body is, and whether another answer may follow it."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        options = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        self.keeps_open = "close" not in options and (persistent or "keep-alive" in options)
        if self.status in (204, 304):
            self.is_complete = True
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise BadAnswer("a body whose length is not clear")
            self._chunked, self._left = True, 0
        elif length is not None:
            lengths = {one.strip() for one in length.split(",")}
            if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,15}", length := lengths.pop()):
                raise BadAnswer("a length that is none")
            self._left = int(length)
            if self._left > self._limit:
                raise TooLarge
            self.is_complete = self._left == 0
        else:
            self.keeps_open = False

    def _take(self, data: bytes) -> bytes:
        """Keep what belongs to the body, or to this chunk. → the rest."""
        part, rest = (data, b"") if self._left is None else (data[: self._left], data[self._left :])
        self._size += len(part)
        if self._size > self._limit:
            raise TooLarge
        self._parts.append(part)
        if self._left is not None:
            self._left -= len(part)
        return rest

    def _chunks(self, data: bytes) -> bytes:
        """Read chunks: the size in a line, the bytes, an empty line; a size of 0 and further headers are the end."""
        while data and not self.is_complete:
            if self._left:
                data = self._take(data)
                continue
            line, newline, rest = data.partition(b"\n")
            if len(line) > LINE_LIMIT:
                raise BadAnswer("a line without end")
            if not newline:
                self._unread = data
                return b""
            self._line(line.removesuffix(b"\r"))
            data = rest
        return data

    def _line(self, line: bytes) -> None:
        """Read a line between chunks."""
        if self._next is _Line.TRAILER:
            self.is_complete = not line
        elif self._next is _Line.SIZE:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise BadAnswer("a chunk without size")
            self._left = int(size[1], 16)
            self._next = _Line.END if self._left else _Line.TRAILER
        elif line:
            raise BadAnswer("a chunk without end")
        else:
            self._next = _Line.SIZE


def _headers(lines: Iterable[str]) -> dict[str, str]:
    """Name in lower case → value; the values of one that comes twice are joined by commas. Raises BadAnswer."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise BadAnswer("a header that is none")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers

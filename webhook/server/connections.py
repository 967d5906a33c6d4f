"""Connections of a web process: waitress's, where no client holds a thread, and each wait has an end and a bound.

waitress reads a request whole before a thread gets it, and writes what a client is slow to take. Added here:

    state       since                    ends after                                 at most
    receiving   connected, or first byte READ, and what an upload of its size takes RECEIVING, of them UPLOADS large
    idle        the last answer          KEEP_ALIVE                                 IDLE
    sending     a byte was last taken    WRITE                                      SENDING
    lingering   refused half-read        LINGER                                     RECEIVING

Beyond a bound the oldest is closed, so that a new connection is always accepted. Framing that can be read in two ways
is 400: a proxy in front may have read it in the other.
"""

import contextlib
import copy
import re
import socket
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.task import WSGITask
from waitress.utilities import BadRequest, RequestEntityTooLarge

from webhook.callback.parsing import BODY_LIMIT

READ = 10  # seconds for the whole of a request, head and body
SLOWEST = 64 << 10  # bytes a second at which an upload is still waited for
WRITE = 10  # seconds
KEEP_ALIVE = 75  # seconds for which a proxy may reuse a connection
UNREAD = 1 << 20  # bytes
LINGER = 2  # seconds in which a client that is still sending can read why it was refused
RECEIVING, IDLE, SENDING, UPLOADS = 400, 400, 128, 8  # connections of one process
UPLOAD_LIMIT = 65 << 20  # bytes; each page of the console, and each operation of the API, has a lower limit of its own
HEAD_LIMIT = 32 << 10  # bytes
LINE_LIMIT, TRAILER_LIMIT = 1024, 8192  # bytes of a chunk's size with its extensions, and of what follows the last
RAW = 8  # a chunked body is at most this many times as long on the wire as its content

_MOST = {"receiving": RECEIVING, "idle": IDLE, "sending": SENDING, "lingering": RECEIVING, "upload": UPLOADS}
_CODINGS = re.compile(rb"^transfer-encoding[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_FOLDED = re.compile(rb"\r\n[ \t]")


class _Chunks(ChunkedReceiver):
    """A chunked body, where a line has an end and an empty one is no size."""

    error: Any

    def received(self, data: bytes) -> int:
        """Take bytes; how many of them were taken."""
        taken = 0
        while taken < len(data) and not self.completed and not self.error:
            taken += super().received(data[taken : taken + self._step(data, taken)])
            if len(self.control_line) > LINE_LIMIT or len(self.trailer) > TRAILER_LIMIT:
                self.error = BadRequest("Chunk without an end")
        return taken

    def _step(self, data: bytes, taken: int) -> int:
        """How many bytes belong to one thing: a size, a chunk, its end, or what follows them all."""
        rest = len(data) - taken
        if self.chunk_remainder or self.all_chunks_received:
            return min(rest, self.chunk_remainder or rest)
        if self.validate_chunk_end:
            return min(rest, 2 - len(self.chunk_end))
        line = self.control_line + data[taken : taken + LINE_LIMIT + 2]
        if line.startswith(b"\r\n"):
            self.error = BadRequest("Invalid chunk size")
        end = line.find(b"\r\n")
        return min(rest, LINE_LIMIT + 2) if end < 0 else end + 2 - len(self.control_line)


class Request(HTTPRequestParser):
    """A request as it comes in."""

    adj: Any
    body_rcv: Any
    content_length: int
    error: Any
    version = "1.1"  # of an answer to what cannot be parsed
    unread = False  # its body is too long to be read; the application says so
    last = False  # of the process: connections are closed after their answers

    @property
    def large(self) -> bool:
        return self.adj.max_request_body_size > RAW * BODY_LIMIT and (self.chunked or self.content_length > BODY_LIMIT)

    @property
    def is_callback(self) -> bool:
        """Whether it is an event from WeCom, for all that its head says."""
        if self.error or self.unread or self.command != "POST":  # a head with an error may have no path
            return False
        return str(self.path) == "/callback" or str(self.path).startswith("/callback/")

    def received(self, data: bytes) -> int:
        """Take bytes; how many of them were taken."""
        taken: int = super().received(data)
        is_too_long = isinstance(self.error, RequestEntityTooLarge)  # of which waitress would tell in plain text
        if self.chunked and (is_too_long or (self.adj.small is self.adj and len(self.body_rcv) > BODY_LIMIT)):
            self.completed, self.unread, self.error = True, True, None
            length = UPLOAD_LIMIT + 1 if is_too_long else len(self.body_rcv)
            self.headers |= {"CONNECTION": "close", "CONTENT_LENGTH": str(length)}  # the application answers 413
        if self.completed:
            self.expect_continue = False  # nothing more is wanted
        return len(data) if self.error or self.unread else taken

    def parse_header(self, head: bytes) -> None:
        """Raise ParsingError for a head of which the next party could read another length."""
        if _FOLDED.search(head) or len(_CODINGS.findall(head)) > 1:
            raise ParsingError("Ambiguous header")
        super().parse_header(head)
        if any(b"," in coding for coding in _CODINGS.findall(head)) or (
            _CODINGS.search(head) and (self.version != "1.1" or "CONTENT_LENGTH" in self.headers)
        ):
            raise ParsingError("Ambiguous length")
        if self.chunked:
            self.body_rcv = _Chunks(self.body_rcv.getbuf())
        if not self.path.lstrip("/").startswith(("console", "api/")):
            self.adj = self.adj.small
        if self.content_length > (UPLOAD_LIMIT if self.adj.small is not self.adj else BODY_LIMIT):
            self.unread = True
            self.body_rcv, self.content_length = None, 0
        if self.unread or self.last:
            self.headers["CONNECTION"] = "close"


class _Task(WSGITask):
    """The serving of a request."""

    wrote_header: bool
    content_bytes_written: int

    def write(self, data: bytes) -> None:
        """Send a part of the answer; one that has no other part in one piece with its head."""
        if self.complete and not self.wrote_header and data and self.has_body and self.content_length == len(data):
            head = self.build_response_header()
            self.wrote_header, self.content_bytes_written = True, len(data)
            self.channel.write_soon(head + data)
        else:
            super().write(data)


class Channel(HTTPChannel):
    """A connection."""

    parser_class = Request
    task_class = _Task
    state, key, since = "", object(), 0.0  # as `keep_bounds` saw them last
    lingering = False
    will_close: bool

    def received(self, data: bytes) -> bool:
        return not self.lingering and bool(super().received(data))

    def handle_close(self) -> None:
        """Close it. After an answer (`will_close`) bytes may be on their way, to which a closed socket answers with a
        reset, and the client loses what it has not read yet.
        """
        with contextlib.suppress(OSError):
            if self.will_close and self.connected and not self.lingering:
                self.socket.shutdown(socket.SHUT_WR)
                self.lingering, self.will_close = True, False
                return
            if self.lingering and self.connected:
                self.socket.recv(UNREAD)
        super().handle_close()

    def cut(self) -> None:
        """Close it now."""
        self.will_close = False
        self.handle_close()

    def observe(self, now: float) -> None:
        """Find out what it waits for, and since when."""
        key: Any
        if self.lingering:
            state, key = "lingering", None
        elif self.total_outbufs_len:
            state, key = "sending", self.last_activity
        elif self.requests:
            state, key = "serving", None
        elif self.request is not None or self.last_activity == self.creation_time:
            state, key = "receiving", self.request
        else:
            state, key = "idle", self.last_activity
        if state != self.state or key != self.key:
            began = self.state == "receiving" == state and self.key is None  # its first bytes: the clock runs on
            self.since = self.since if began else now
            self.state, self.key = state, key

    def allowed(self) -> float:
        """Seconds for which it may be as it is."""
        if self.state == "receiving" and self.request is not None and self.request.large:
            return READ + (self.request.content_length or UPLOAD_LIMIT) / SLOWEST
        return {"receiving": READ, "idle": KEEP_ALIVE, "sending": WRITE, "lingering": LINGER}.get(self.state, 1e9)


def keep_bounds(channels: Iterable[Channel]) -> None:
    """End what lasts too long, and the oldest of what there is too much of. In the main loop, between its waits."""
    now = time.monotonic()
    groups: dict[str, list[Channel]] = defaultdict(list)
    for channel in channels:
        channel.observe(now)
        if now - channel.since > channel.allowed():
            channel.cut()
            continue
        groups[channel.state].append(channel)
        if channel.state == "receiving" and channel.request is not None and channel.request.large:
            groups["upload"].append(channel)
    for group, most in _MOST.items():
        many = sorted(groups[group], key=lambda channel: channel.since)
        for channel in many[: max(0, len(many) - most)]:
            channel.cut()


def adjustments(threads: int, backlog: int) -> dict[str, Any]:
    """What waitress is told."""
    return {
        "threads": threads,
        "backlog": backlog,
        "ident": None,
        "connection_limit": 1 << 20,  # `keep_bounds` stays below it
        "channel_timeout": 1 << 20,
        "clear_untrusted_proxy_headers": False,  # the application's ProxyFix reads those it may
        "log_socket_errors": False,
        "inbuf_overflow": 64 << 10,  # bytes of a body in memory; a longer one is in a file
        "max_request_header_size": HEAD_LIMIT,
        "max_request_body_size": UPLOAD_LIMIT + 1,
        "outbuf_high_watermark": 1 << 27,  # more than any answer: no thread waits for a client
    }


def give_limits(adj: Adjustments) -> None:
    """Let everything but what the console and the API are sent have the callback's limit."""
    adj.small = copy.copy(adj)
    adj.small.max_request_body_size = RAW * BODY_LIMIT
    adj.small.small = adj.small

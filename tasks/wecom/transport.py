"""HTTP with one absolute deadline for connect, TLS, send, answer and body. On urllib3, which requests uses too.

Without requests on top, because a send then costs 0.24 ms of CPU instead of 0.58 ms (`make bench`).

The time-out of an HTTP library bounds each read, not the whole answer: a server that sends one byte at a time can hold
a caller for ever. Here every read of the socket gets the time left until the deadline. `getaddrinfo` has no time-out at
all: names are resolved in a separate thread, and the last good addresses are kept.

Through a proxy, an https:// address is reached by a tunnel (CONNECT, RFC 9110 9.3.6) that is made within the same
deadline, and an http:// one by its whole URL in the request line.
"""

import contextlib
import ipaddress
import logging
import mimetypes
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from .errors import Failure, InvalidRequest, NoAnswer, NotSent
from .proxy import Proxy

CONNECT = 2.0  # seconds at most for one address; a healthy one answers in a tenth of that
ADDRESSES_AGE = 60.0  # seconds after which addresses are looked up again, in the background
CONNECTIONS = 1024  # that are kept open between requests, at most: one for each thread that may ask at once
IDLE = 30.0  # seconds after which an unused one is closed: longer, and what lies between may have forgotten it silently
LEAST = 0.05  # seconds: with less time left, nothing is sent
ANSWER_LIMIT = 32 * 1024 * 1024  # bytes; the largest media has 20 MB
CHUNK = 256 * 1024  # bytes read at a time
REDIRECTS = 3  # that `fetch` follows
PROXY_HEAD = 32 * 1024  # bytes of a proxy's answer to CONNECT
PROXY_WANTS_USER = 407

_under_way = threading.local()  # this thread's request: its deadline `by`, and whether bytes of it were `sent`


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class _Deadline(socket.socket):
    """A socket on which nothing lasts beyond `deadline`, a time of `time.monotonic`, however slowly bytes arrive."""

    deadline = float("inf")

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.limit()
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:  # TLS calls it many times for a large body
        self.limit()
        return super().send(*args, **kwargs)

    def limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        if left != float("inf"):
            self.settimeout(left)


class _TLSSocket(_Deadline, ssl.SSLSocket):
    pass


class Resolver:
    """The addresses of one host: looked up in a thread, and kept while later look-ups fail. Thread-safe."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._lock = threading.Lock()
        self._known: list[tuple[int, Any]] = []
        self._until = 0.0
        self._looking: threading.Event | None = None
        with contextlib.suppress(ValueError):
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
            self._known, self._until = [(family, (host, port))], float("inf")

    def addresses(self, timeout: float) -> list[tuple[int, Any]]:
        """(family, address) pairs: at once if they are known, else within `timeout` seconds; [] if there are none."""
        with self._lock:
            if time.monotonic() >= self._until and self._looking is None:
                self._looking = threading.Event()
                threading.Thread(target=self._look_up, args=(self._looking,), daemon=True, name="resolver").start()
            known, looking = self._known, self._looking
        if not known and looking is not None:
            looking.wait(timeout)
            known = self._known
        return known

    def _look_up(self, done: threading.Event) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # the latter for a name that cannot be one
            found = []
        with self._lock:
            if found:
                self._known = [(family, address) for family, _, _, _, address in found]
            self._until = time.monotonic() + (ADDRESSES_AGE if found else 1.0)
            self._looking = None
        done.set()


class _ProxyError(HTTPError):
    """What the proxy did instead of letting the request through."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(str(failure))
        self.failure, self.detail = failure, detail


def _open_tunnel(sock: _Deadline, host: str, port: int, authorization: str, by: float) -> None:
    """Have the proxy at the other end of `sock` connect to host and port. Raises _ProxyError."""
    address = f"{f'[{host}]' if ':' in host else host}:{port}"
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    lines += [f"Proxy-Authorization: {authorization}"] if authorization else []
    answer = b""
    sock.deadline = by
    try:
        sock.limit()
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        while b"\r\n\r\n" not in answer and len(answer) < PROXY_HEAD:
            sock.limit()
            part = sock.recv(4096)
            if not part:
                break
            answer += part
    except (OSError, UnicodeError):
        raise _ProxyError(Failure.PROXY_NO_ANSWER) from None
    status = re.match(rb"HTTP/1\.[01] (\d{3})\b", answer)
    if status is None or (status[1].startswith(b"2") and not answer.endswith(b"\r\n\r\n")):
        raise _ProxyError(Failure.PROXY_NO_ANSWER)
    if not status[1].startswith(b"2"):
        raise _ProxyError(Failure.PROXY_REFUSED, status[1].decode())
    sock.deadline = float("inf")
    sock.settimeout(max(by - time.monotonic(), 0.001))  # for TLS


class _Connection(HTTPConnection):
    resolver: Resolver
    by_proxy: Proxy | None = None

    def _new_conn(self) -> socket.socket:
        timeout = CONNECT if self.timeout is None else float(self.timeout)
        by = time.monotonic() + timeout
        if self.by_proxy is None:
            return self._connected(timeout, by)
        try:
            sock = self._connected(timeout, by)
        except (HTTPError, OSError):
            raise _ProxyError(Failure.PROXY_UNREACHABLE) from None
        if isinstance(self, HTTPSConnection):
            try:  # it may take longer than a connection: the proxy makes one first
                _open_tunnel(sock, self.host, self.port, self.by_proxy.authorization, min(_under_way.by, by + CONNECT))
            except _ProxyError:
                sock.close()
                raise
        return sock

    def _connected(self, timeout: float, by: float) -> _Deadline:
        addresses = self.resolver.addresses(timeout)
        if not addresses:
            raise NameResolutionError(self.host, self, socket.gaierror(socket.EAI_AGAIN, "no address"))
        error: OSError = TimeoutError("no time left")
        for number, (family, address) in enumerate(addresses):
            share = (by - time.monotonic()) / (len(addresses) - number)
            if share <= 0:
                break
            sock = _Deadline(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(share)
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.connect(address)
            except OSError as exc:
                sock.close()
                error = exc
            else:
                return sock
        if isinstance(error, TimeoutError):
            raise ConnectTimeoutError(self, "no connection in time")
        raise NewConnectionError(self, f"no connection: {error.strerror or type(error).__name__}")

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _under_way.sent = True
        if isinstance(self.sock, _Deadline):  # otherwise the connection's time-out would bound an upload
            self.sock.deadline = _under_way.by
            self.sock.limit()
        super().send(data)

    def getresponse(self) -> Any:
        if isinstance(self.sock, _Deadline) and self.timeout is not None:
            self.sock.deadline = time.monotonic() + float(self.timeout)
        return super().getresponse()


class _TLSConnection(_Connection, HTTPSConnection):
    pass


class _Unused(queue.LifoQueue[Any]):
    """A pool's connections without a request, the one used last first. It begins with a None for each possible one."""

    def _put(self, item: Any) -> None:
        if item is not None:
            item.unused_since = time.monotonic()
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        if item is not None and item.unused_since < time.monotonic() - IDLE:
            item.close()  # it connects anew
        return item

    def close_old(self, before: float) -> None:
        """Close those that have been unused since `before`, a time of `time.monotonic`."""
        with self.mutex:
            for place, connection in enumerate(self.queue):
                if connection is None:
                    continue
                if connection.unused_since >= before:
                    return
                connection.close()
                self.queue[place] = None


class _Pool(urllib3.HTTPConnectionPool):
    QueueCls = _Unused


class _TLSPool(urllib3.HTTPSConnectionPool):
    QueueCls = _Unused


class Transport:
    """Requests to one base URL over kept-alive connections, shared by threads."""

    def __init__(self, base_url: str, connections: int = CONNECTIONS, proxy: Proxy | None = None) -> None:
        logging.getLogger("urllib3.connection").setLevel(logging.ERROR)  # its warnings quote the URL, and so the token
        parts = urlsplit(base_url)
        self._prefix = parts.path.rstrip("/")
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        kind = _TLSConnection if parts.scheme == "https" else _Connection
        resolver = Resolver(proxy.host, proxy.port) if proxy is not None else Resolver(host, port)
        resolved = type(kind.__name__, (kind,), {"resolver": resolver, "by_proxy": proxy})
        self._proxy = proxy if parts.scheme == "http" else None  # which is told the whole URL
        if parts.scheme == "https":
            context = urllib3.util.ssl_.create_urllib3_context()
            context.load_default_certs()
            context.sslsocket_class = _TLSSocket
            self._pool: _Pool | _TLSPool = _TLSPool(host, port, maxsize=connections, ssl_context=context)
        else:
            self._pool = _Pool(host, port, maxsize=connections)
        self._pool.ConnectionCls = resolved
        self._origin = f"http://{parts.netloc.rpartition('@')[2]}" if self._proxy is not None else ""
        self.clock_ahead: float | None = None
        """Seconds that this host's clock was ahead of the server's at the last answer; None: no answer told."""

    def request(
        self,
        method: str,
        path: str,
        *,
        by: float,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer to one request, complete by `by`, a time of `time.monotonic`.

        `path` begins below /cgi-bin/. Raises NotSent or NoAnswer; their messages hold neither query nor body.
        """
        target = f"{self._prefix}/cgi-bin/{path}" + (f"?{urlencode(query)}" if query else "")
        return self._exchange(method, target, path, by, body=body, headers=headers)

    def get(self, target: str, *, by: float, limit: int) -> Response:
        """The answer, of at most `limit` bytes, to a GET of `target`: a path from the host's root, with its query.

        Raises NotSent or NoAnswer; their `path` is the host's name, since `target` may be confidential.
        """
        return self._exchange("GET", target, self._pool.host, by, limit=limit)

    def _exchange(
        self,
        method: str,
        target: str,
        path: str,
        by: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = ANSWER_LIMIT,
    ) -> Response:
        left = by - time.monotonic()
        if left < LEAST:
            raise NotSent(path, Failure.NO_TIME_LEFT)
        _under_way.by, _under_way.sent = by, False
        if self._proxy is not None and self._proxy.authorization:
            headers = {**(headers or {}), "Proxy-Authorization": self._proxy.authorization}
        try:
            response = self._pool.urlopen(
                method,
                self._origin + target,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(left, CONNECT), total=left),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            self.clock_ahead = _ahead(response.headers.get("Date", ""))
            if self._proxy is not None and response.status == PROXY_WANTS_USER:
                raise NotSent(path, Failure.PROXY_REFUSED, str(response.status))
            return Response(response.status, response.headers, _read(response, limit))
        except _ProxyError as error:
            raise NotSent(path, error.failure, error.detail) from None
        except (HTTPError, OSError) as error:
            kind = NoAnswer if _under_way.sent else NotSent
            raise kind(path, _failure(error)) from None  # the library's own message has the URL, and so the token

    def close_old(self) -> None:
        """Close the connections that have not been used for IDLE seconds."""
        if isinstance(self._pool.pool, _Unused):
            self._pool.pool.close_old(time.monotonic() - IDLE)

    def close(self) -> None:
        self._pool.close()


def fetch(url: str, *, by: float, limit: int, proxy: Proxy | None = None) -> Response:
    """The answer to a GET of a whole URL outside the API, without a token; redirects are followed.

    by: a time of `time.monotonic`, for all of it. limit: bytes of the answer. Raises InvalidRequest, NotSent or
    NoAnswer; their messages hold the host's name at most.
    """
    parts = _web_address(url)
    for _ in range(REDIRECTS + 1):
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        origin = f"{parts.scheme}://{parts.netloc}"
        with contextlib.closing(Transport(origin, connections=1, proxy=proxy)) as transport:
            response = transport.get(target, by=by, limit=limit)
        if not 300 <= response.status < 400 or "Location" not in response.headers:
            break
        parts = _web_address(response.headers["Location"], parts.geturl())
    return response


def _web_address(url: str, base: str = "") -> SplitResult:
    with contextlib.suppress(ValueError):  # for malformed brackets or ports
        parts = urlsplit(urljoin(base, url))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise InvalidRequest("download", "url", "not an address", "must begin with http:// or https://")


def multipart(name: str, filename: str, content: bytes) -> tuple[bytes, str]:
    """(body, Content-Type) of a form with one file. The file name is raw UTF-8: WeCom ignores `filename*=`."""
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return urllib3.encode_multipart_formdata({name: (filename, content, kind)})


class _TooLarge(HTTPError):
    pass


def _read(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """The body, if it has at most `limit` bytes; the connection goes back to the pool."""
    parts, size = [], 0
    while part := response.read(CHUNK):  # at the last, empty one urllib3 checks that the body is complete
        parts.append(part)
        size += len(part)
        if size > limit:
            response.close()
            raise _TooLarge
    response.release_conn()
    return b"".join(parts)


def _ahead(date: str) -> float | None:
    """Seconds that this host's clock is ahead of a Date header, which has whole seconds; None if it is none."""
    try:
        return time.time() - 0.5 - parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _failure(error: Exception) -> Failure:
    if isinstance(error, NameResolutionError):
        return Failure.NO_ADDRESS
    if isinstance(error, NewConnectionError):  # to urllib3 it is a ConnectTimeoutError too
        return Failure.CONNECTION_REFUSED
    if isinstance(error, ConnectTimeoutError):
        return Failure.CONNECT_TIMEOUT
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return Failure.ANSWER_TIMEOUT
    if isinstance(error, urllib3.exceptions.SSLError):
        return Failure.NO_TLS
    if isinstance(error, _TooLarge):
        return Failure.TOO_LARGE
    return Failure.CONNECTION_CUT

"""HTTP with one absolute deadline for connect, TLS, send, answer and body. On urllib3's pool of connections.

What is sent on them and read from them is `http1`'s: a call costs half the CPU that it does with urllib3 whole, and a
fifth of what it does with requests on top.

The time-out of an HTTP library bounds each read, not the whole answer: a server that sends one byte at a time can hold
a caller for ever. Here every read of the socket gets the time left until the deadline. `getaddrinfo` has no time-out at
all: names are resolved in a separate thread, and the last good addresses are kept.

Through a proxy, an https:// address is reached by a tunnel (CONNECT, RFC 9110 9.3.6) that is made within the same
deadline, and an http:// one by its whole URL in the request line.
"""

import contextlib
import ipaddress
import mimetypes
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from .errors import ClientClosed, Failure, InvalidRequest, NoAnswer, NotSent
from .forking import renew_in_children
from .http1 import BadAnswer, Response, TooLarge, read_answer, request_head
from .proxy import Proxy

CONNECT = 2.0  # seconds at most for one address; a healthy one answers in a tenth of that
ADDRESSES_AGE = 60.0  # seconds after which addresses are looked up again, in the background
CONNECTIONS = 1024  # that are kept open between requests, at most: one for each thread that may ask at once
IDLE = 30.0  # seconds after which an unused one is closed: longer, and what lies between may have forgotten it silently
LEAST = 0.05  # seconds: with less time left, nothing is sent
ANSWER_LIMIT = 32 * 1024 * 1024  # bytes; the largest media has 20 MB
JSON = {"Content-Type": "application/json"}
JSON_LIMIT = 64 * 1024  # bytes of an answer to `post`
TOGETHER = 64 * 1024  # bytes of a body that are sent in one piece with the head
REDIRECTS = 3  # that `fetch` follows
PROXY_HEAD = 32 * 1024  # bytes of a proxy's answer to CONNECT
PROXY_WANTS_USER = 407
CLOSED = "this client is closed"


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
    """The addresses of one host: looked up in a thread, and kept while later look-ups fail. Thread-safe.

    `permits`: whether an IP address may be connected to; None: each may.
    """

    def __init__(self, host: str, port: int, permits: Callable[[str], bool] | None = None) -> None:
        self._host, self._port = host, port
        self._permits = permits
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
        if self._permits is None:
            return known
        permitted = [(family, address) for family, address in known if self._permits(address[0])]
        if known and not permitted:
            raise AddressNotAllowed
        return permitted

    def after_fork(self) -> None:
        """In the child: the thread that looks up is the parent's."""
        self._lock, self._looking = threading.Lock(), None

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


class AddressNotAllowed(HTTPError):
    """A host has addresses, and none that may be connected to."""


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
    by = 0.0  # the deadline of the request that is under way
    made_at = 0.0  # monotonic
    sent = False  # whether bytes of it were

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
                _open_tunnel(sock, self.host, self.port, self.by_proxy.authorization, min(self.by, by + CONNECT))
            except _ProxyError:
                sock.close()
                raise
        return sock

    def _connected(self, timeout: float, by: float) -> _Deadline:
        self.made_at = time.monotonic()
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

    def exchange(self, method: str, head: bytes, body: bytes, by: float, limit: int, cut: bool) -> Response:
        """The answer to a request, whole by `by`, or cut. Raises HTTPError, OSError, BadAnswer or TooLarge."""
        self.by, self.sent = by, False
        self.timeout = min(by - time.monotonic(), CONNECT)
        if self.sock is None:
            self.connect()
        sock: Any = self.sock
        sock.deadline = by
        self.sent = True
        with contextlib.suppress(BrokenPipeError):  # it may have answered before it had all
            for part in (head + body,) if len(body) <= TOGETHER else (head, body):
                sock.limit()
                sock.sendall(part)
        response = read_answer(sock, method, limit, cut)
        if not response.keeps_open:
            self.close()
        return response


class _TLSConnection(_Connection, HTTPSConnection):
    pass


@cache
def tls_context() -> ssl.SSLContext:
    """What all connections of a process trust. To load the certificates takes 30 ms and half a megabyte."""
    context = urllib3.util.ssl_.create_urllib3_context()
    context.load_default_certs()
    context.sslsocket_class = _TLSSocket
    return context


class _Unused(queue.LifoQueue[Any]):
    """A pool's connections without a request, the one used last first. It begins with a None for each possible one."""

    age = float("inf")  # seconds after which one is made anew, however often it is used

    def make_room(self, connections: int) -> None:
        """At once; the pool itself would put each None in by itself, which takes 2 ms where there are a thousand."""
        self.maxsize = connections
        self.queue.extend([None] * connections)

    def _put(self, item: Any) -> None:
        if item is not None:
            item.unused_since = time.monotonic()
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        now = time.monotonic()
        if item is not None and (item.unused_since < now - IDLE or item.made_at < now - self.age):
            item.close()  # it connects anew
        return item

    def after_fork(self) -> None:
        """In the child: its own descriptors of these connections are closed, which the parent does not notice."""
        inherited = self.queue
        queue.LifoQueue.__init__(self, self.maxsize)  # with locks that nobody holds
        if len(inherited) == self.maxsize and not any(inherited[-1:]):
            self.queue = inherited  # without a connection, in use or not: of thousands of apps, most
            return
        self.queue.extend([None] * self.maxsize)
        for connection in filter(None, inherited):
            connection.close()

    def close_old(self, before: float) -> None:
        """Close those that have been unused since `before`, a time of `time.monotonic`."""
        with self.mutex:
            for place in reversed(range(len(self.queue))):
                if self.queue[place] is None:
                    return  # below it there is none
                if self.queue[place].unused_since < before:
                    self.queue[place].close()
                    self.queue[place] = None


class _Pool(urllib3.HTTPConnectionPool):
    QueueCls = _Unused


class _TLSPool(urllib3.HTTPSConnectionPool):
    QueueCls = _Unused


@contextlib.contextmanager
def _borrowed(pool: urllib3.HTTPConnectionPool) -> Iterator[Any]:
    """A connection of a pool for one exchange. After an error it is closed, and connects anew for the next."""
    connection = pool._get_conn()
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    finally:
        pool._put_conn(connection)


class Transport:
    """Requests to one base URL over kept-alive connections, shared by threads."""

    def __init__(
        self,
        base_url: str,
        connections: int = CONNECTIONS,
        proxy: Proxy | None = None,
        permits: Callable[[str], bool] | None = None,
        age: float = float("inf"),
    ) -> None:
        """`permits`: see Resolver; without a proxy, which resolves by itself. `age`: seconds for which one is used."""
        parts = _parts(base_url)
        self._prefix = parts.path.rstrip("/")
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        kind = _TLSConnection if parts.scheme == "https" else _Connection
        self._resolver = Resolver(proxy.host, proxy.port) if proxy is not None else Resolver(host, port, permits)
        resolved = type(kind.__name__, (kind,), {"resolver": self._resolver, "by_proxy": proxy})
        self._proxy = proxy if parts.scheme == "http" else None  # which is told the whole URL
        if parts.scheme == "https":
            self._pool: _Pool | _TLSPool = _TLSPool(host, port, maxsize=0, ssl_context=tls_context())
        else:
            self._pool = _Pool(host, port, maxsize=0)
        unused: Any = self._pool.pool
        unused.make_room(connections)
        unused.age = age
        self._pool.ConnectionCls = resolved
        self._host = parts.netloc.rpartition("@")[2]
        if not self._host.isascii():
            with contextlib.suppress(UnicodeError):  # it has no address then
                self._host = self._host.encode("idna").decode()
        self._origin = f"http://{self._host}" if self._proxy is not None else ""
        self._told: tuple[str, float] = "", 0.0  # the Date of the last answer, and when it came (monotonic)
        renew_in_children(self)

    @property
    def clock_ahead(self) -> float | None:
        """Seconds that this host's clock is ahead of the server's, by its last answer; None: no answer told."""
        date, told_at = self._told
        try:
            told = parsedate_to_datetime(date).timestamp() + 0.5  # it has whole seconds
            return time.time() - told - (time.monotonic() - told_at)
        except (ValueError, OverflowError):
            return None

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

    def post(
        self, target: str, body: bytes, *, by: float, headers: Mapping[str, str] = JSON, cut: bool = False
    ) -> Response:
        """The answer to a POST of JSON to `target`; see `get`. cut: a body that is too long is cut off."""
        return self._exchange("POST", target, self._pool.host, by, body, headers, JSON_LIMIT, cut)

    def connect(self, by: float) -> None:
        """Make a connection, with TLS where there is some, and send nothing. Raises NotSent."""
        try:
            with _borrowed(self._pool) as connection:
                connection.timeout = min(by - time.monotonic(), CONNECT)
                connection.connect()
        except (HTTPError, OSError) as error:
            raise NotSent(self._pool.host, failure_of(error)) from None

    def _exchange(
        self,
        method: str,
        target: str,
        path: str,
        by: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = ANSWER_LIMIT,
        cut: bool = False,
    ) -> Response:
        if by - time.monotonic() < LEAST:
            raise NotSent(path, Failure.NO_TIME_LEFT)
        head = self._head(method, target, body, headers or {})
        connection = None
        try:
            with _borrowed(self._pool) as connection:
                response: Response = connection.exchange(method, head, body or b"", by, limit, cut)
        except _ProxyError as error:
            raise NotSent(path, error.failure, error.detail) from None
        except ClosedPoolError:
            raise ClientClosed(CLOSED) from None
        except (HTTPError, OSError, BadAnswer, TooLarge) as error:
            kind = NoAnswer if connection is not None and connection.sent else NotSent
            raise kind(path, failure_of(error)) from None  # the library's own message has the URL, and so the token
        if self._proxy is not None and response.status == PROXY_WANTS_USER:
            raise NotSent(path, Failure.PROXY_REFUSED, str(response.status))
        self._told = response.headers.get("date", ""), time.monotonic()
        return response

    def _head(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        common = {"Host": self._host, "User-Agent": "wecom-welcome", "Accept-Encoding": "identity"}
        if self._proxy is not None and self._proxy.authorization:
            common["Proxy-Authorization"] = self._proxy.authorization
        if body is not None or method != "GET":
            common["Content-Length"] = str(len(body or b""))
        return request_head(method, self._origin + target, (common | dict(headers)).items())

    def close_old(self) -> None:
        """Close the connections that have not been used for IDLE seconds."""
        if isinstance(self._pool.pool, _Unused):
            self._pool.pool.close_old(time.monotonic() - IDLE)

    def close(self) -> None:
        """Close the connections: those without a request at once, the others after it."""
        self._pool.close()

    def require_open(self) -> None:
        """Raises ClientClosed after `close`."""
        if self._pool.pool is None:
            raise ClientClosed(CLOSED)

    def after_fork(self) -> None:
        """In the child, begin with no connections: the parent goes on to use its own."""
        self._resolver.after_fork()
        if isinstance(self._pool.pool, _Unused):
            self._pool.pool.after_fork()


def _parts(base_url: object) -> SplitResult:
    """ValueError for what is no address of a server; it does not quote a password in it."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(base_url) if isinstance(base_url, str) else None
        if parts and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise ValueError("base_url must be http:// or https:// with a host, and a port from 1 to 65535 if any")


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
        if not 300 <= response.status < 400 or "location" not in response.headers:
            break
        parts = _web_address(response.headers["location"], parts.geturl())
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


def failure_of(error: Exception) -> Failure:
    """What an error of urllib3 or of a socket means."""
    if isinstance(error, AddressNotAllowed):
        return Failure.ADDRESS_NOT_ALLOWED
    if isinstance(error, NameResolutionError):
        return Failure.NO_ADDRESS
    if isinstance(error, NewConnectionError):  # to urllib3 it is a ConnectTimeoutError too
        return Failure.CONNECTION_REFUSED
    if isinstance(error, ConnectTimeoutError):
        return Failure.CONNECT_TIMEOUT
    if isinstance(error, TimeoutError | ReadTimeoutError):
        return Failure.ANSWER_TIMEOUT
    if isinstance(error, ssl.SSLError):
        return Failure.NO_TLS
    if isinstance(error, TooLarge):
        return Failure.TOO_LARGE
    return Failure.CONNECTION_CUT

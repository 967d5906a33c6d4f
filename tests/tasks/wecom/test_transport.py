"""One deadline over connect, TLS, send, answer and body, against servers that misbehave on every layer."""

import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.wecom import transport
from tasks.wecom.errors import Failure, InvalidRequest, NoAnswer, NotSent, Unanswered, WeComError
from tasks.wecom.transport import Resolver, Response, Transport, fetch, tls_context
from tests.support import certificate
from tests.support.servers import OK, Server, answering, nobody, silent, then, trickle, whole
from tests.support.until import until

SECONDS = 1.0  # for a call that its deadline ends: enough to connect and send, unless that is what takes long
SLACK = 3.0  # seconds beyond a deadline: no slow answer here ends earlier by itself, and machines can be slow
SECRET = "SECRET-TOKEN-1234"


def ask(url: str, seconds: float = 20.0, body: bytes | None = None) -> Response:
    with contextlib.closing(Transport(url)) as http:
        return ask_again(http, seconds, body)


def ask_again(http: Transport, seconds: float = 20.0, body: bytes | None = None) -> Response:
    query = {"access_token": SECRET}
    return http.request("POST" if body else "GET", "some/path", by=time.monotonic() + seconds, query=query, body=body)


def fails(url: str, seconds: float = 20.0, body: bytes | None = None) -> tuple[WeComError, float]:
    """(error, seconds until it came)"""
    began = time.monotonic()
    with pytest.raises(WeComError) as error:
        ask(url, seconds, body)
    return error.value, time.monotonic() - began


# ------------------------------------------------------------------------------------------------ what is sent


def test_an_answer_is_read_whole() -> None:
    with Server(answering(whole(b"x" * 100_000, "202 Accepted", "X-Name: value"))) as server:
        answer = ask(server.url)
    assert (answer.status, answer.headers["x-name"], len(answer.body)) == (202, "value", 100_000)


def test_a_request_goes_below_cgi_bin_with_its_query_and_its_bytes() -> None:
    body = '{"text": "您好 😀"}'.encode()
    with Server(answering(whole())) as server, contextlib.closing(Transport(f"{server.url}/proxy/")) as http:
        http.request(
            "POST", "a/b", by=time.monotonic() + 20, query={"q": "空 格&=", "n": 1}, body=body, headers={"X": "y"}
        )
        head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /proxy/cgi-bin/a/b?q=%E7%A9%BA+%E6%A0%BC%26%3D&n=1 HTTP/1.1\r\n")
    assert b"\r\nX: y" in head
    assert sent == body


def test_a_clock_that_is_set_right_is_seen_without_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = format_datetime(datetime.now(UTC) - timedelta(seconds=90), usegmt=True)
    told = answering(whole(OK, "200 OK", f"Date: {now}"))
    with Server(told) as server, contextlib.closing(Transport(server.url)) as http:
        assert http.clock_ahead is None
        ask_again(http)
        assert http.clock_ahead == pytest.approx(90, abs=5)
        wrong = time.time
        monkeypatch.setattr(time, "time", lambda: wrong() - 90)
        assert http.clock_ahead == pytest.approx(0, abs=5)


def test_connections_are_kept_and_used_again() -> None:
    with Server(answering(whole())) as server, contextlib.closing(Transport(server.url)) as http:
        for _ in range(20):
            ask_again(http)
        assert (len(server.requests), server.connections) == (20, 1)


def test_threads_share_connections() -> None:
    with Server(answering(whole())) as server, contextlib.closing(Transport(server.url)) as http:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(lambda _: ask_again(http).status == 200, range(80)))
        assert server.connections <= 4


def test_a_connection_that_was_not_used_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.wecom.transport.IDLE", -1.0)
    with Server(answering(whole())) as server, contextlib.closing(Transport(server.url)) as http:
        for _ in range(3):
            assert ask_again(http).status == 200
        assert server.connections == 3


def test_a_connection_that_is_old_is_not_used_again_however_often_it_was() -> None:
    with Server(answering(whole())) as server, contextlib.closing(Transport(server.url, age=-1.0)) as http:
        for _ in range(3):
            assert ask_again(http).status == 200
        assert server.connections == 3


def test_two_hundred_at_once_are_two_hundred_connections_and_those_left_over_are_closed() -> None:
    together = threading.Barrier(200)

    def all_at_once(server: Server, connection: socket.socket) -> None:
        while server.request(connection):
            together.wait(60)
            connection.sendall(whole())

    with Server(all_at_once) as server, contextlib.closing(Transport(server.url)) as http:
        with ThreadPoolExecutor(200) as pool:
            for _ in range(2):  # the second time over the same ones
                assert {answer.status for answer in pool.map(lambda _: ask_again(http, 60), range(200))} == {200}
        assert server.connections == 200
        http.close_old()
        assert server.closed == 0  # they were used a moment ago
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tasks.wecom.transport.IDLE", 0.0)
            http.close_old()
        until(lambda: server.closed == 200)


def test_a_connection_that_was_closed_while_idle_costs_no_call() -> None:
    def once(server: Server, connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(whole())

    with Server(once) as server, contextlib.closing(Transport(server.url)) as http:
        for number in range(1, 6):
            assert ask_again(http).status == 200
            until(lambda number=number: server.closed == number)
        assert server.connections == 5


def test_an_old_deadline_does_not_bound_the_next_call_on_its_connection() -> None:
    with Server(answering(whole())) as server, contextlib.closing(Transport(server.url)) as http:
        ask_again(http, 1.0)
        time.sleep(1.05)
        assert ask_again(http).status == 200
        assert server.connections == 1


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with Server(answering(whole())) as elsewhere:
        with Server(answering(whole(b"", "301 Moved", f"Location: {elsewhere.url}/cgi-bin/some/path"))) as server:
            assert ask(server.url).status == 301
        assert elsewhere.connections == 0


def test_no_proxy_of_the_environment_sees_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answering(whole())) as proxy, Server(answering(whole())) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert ask(server.url).status == 200
        assert proxy.connections == 0


# ------------------------------------------------------------------------------------------------ nothing was sent


def test_nothing_is_started_with_no_time_left() -> None:
    with Server(answering(whole())) as server:
        error, seconds = fails(server.url, 0.01)
        assert (type(error), error.reason, server.connections) == (NotSent, "no time left", 0)
    assert seconds < SLACK


def test_a_port_where_nothing_listens_is_not_sent() -> None:
    with nobody() as url:
        error, seconds = fails(url)
    assert type(error) is NotSent
    assert seconds < SLACK


def test_a_refused_connection_is_reported_as_refused() -> None:
    with nobody() as url:
        error, _ = fails(url)
    assert error.reason == "the connection is refused"


def test_a_machine_that_does_not_answer_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(3):  # its queue is full, and further connections are dropped
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(full.getsockname())
        error, seconds = fails(f"http://127.0.0.1:{full.getsockname()[1]}", SECONDS)
    assert (type(error), error.reason) == (NotSent, "no connection in time")
    assert SECONDS - 0.05 < seconds < SECONDS + SLACK


def test_a_handshake_that_never_ends_is_not_sent() -> None:
    with Server(silent) as server:
        error, _ = fails(server.url.replace("http", "https"), SECONDS)
    assert type(error) is NotSent


def test_a_certificate_that_is_not_trusted_is_not_sent(pem: Path) -> None:
    with Server(answering(whole()), tls=certificate.server_side(pem)) as server:
        error, _ = fails(server.url)
        assert server.requests == []
    assert (type(error), error.reason) == (NotSent, "no TLS connection")


def test_a_server_that_speaks_no_tls_is_not_sent() -> None:
    with Server(lambda _, connection: connection.sendall(whole())) as server:
        error, _ = fails(server.url.replace("http", "https"))
    assert (type(error), error.reason) == (NotSent, "no TLS connection")


# ------------------------------------------------------------------------------------------------ no answer came


def slowly(content: bytes) -> Any:
    return then(lambda connection: trickle(connection, content))


BAD = {
    "silence": silent,
    "silence after the request": then(lambda _: time.sleep(60)),
    "a header byte by byte": slowly(whole() * 5),
    "a status line without end": slowly(b"HTTP/1.1 200 " + b"O" * 1000),
    "headers without end": then(lambda c: trickle(c, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200)),
    "a body byte by byte": then(
        lambda c: (c.sendall(whole(b"")[:-23]), trickle(c, b"Content-Length: 999\r\n\r\n" * 9))
    ),
    "a body that stops": then(lambda c: (c.sendall(whole(b"x" * 1000)[:-500]), time.sleep(60))),
    "chunks without end": then(
        lambda c: (
            c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            [(c.sendall(b"1\r\nx\r\n"), time.sleep(0.05)) for _ in range(1000)],
        )
    ),
    "a body as long as the connection": then(
        lambda c: (c.sendall(b"HTTP/1.0 200 OK\r\n\r\n"), trickle(c, b"x" * 1000)),
    ),
    "only interim answers": then(
        lambda c: [(c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n"), time.sleep(0.05)) for _ in range(1000)]
    ),
}


@pytest.fixture(scope="module")
def calls_to_bad() -> dict[str, tuple[WeComError, float]]:
    """What becomes of a call to each of them, all at the same time."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Server(serve)) for name, serve in BAD.items()}
        with ThreadPoolExecutor(len(BAD)) as pool:
            calls = {name: pool.submit(fails, server.url, SECONDS) for name, server in servers.items()}
        return {name: call.result() for name, call in calls.items()}


@pytest.mark.parametrize("name", BAD)
def test_no_slow_answer_outlasts_the_deadline(name: str, calls_to_bad: dict[str, tuple[WeComError, float]]) -> None:
    error, seconds = calls_to_bad[name]
    assert type(error) is NoAnswer
    assert SECONDS - 0.05 < seconds < SECONDS + SLACK


def test_a_byte_shortly_before_the_deadline_does_not_extend_it() -> None:
    with Server(then(lambda c: (time.sleep(0.9), c.sendall(b"HTTP/1.1"), time.sleep(60)))) as server:
        error, seconds = fails(server.url, SECONDS)
    assert type(error) is NoAnswer
    assert seconds < SECONDS + SLACK


@pytest.mark.parametrize("name", ["a header byte by byte", "a body byte by byte", "silence after the request"])
def test_no_slow_answer_inside_tls_outlasts_the_deadline(name: str, trusted: ssl.SSLContext) -> None:
    with Server(BAD[name], tls=trusted) as server:
        error, seconds = fails(server.url, 1.5)
        assert server.requests
    assert type(error) is NoAnswer
    assert seconds < 1.5 + SLACK


@pytest.mark.parametrize(
    "handshake",
    [silent, lambda _, c: trickle(c, b"\x16\x03\x03\x40\x00" + bytes(1000))],
    ids=["silence", "byte by byte"],
)
def test_no_handshake_outlasts_the_deadline(handshake: Any) -> None:
    with Server(handshake) as server:
        _, seconds = fails(server.url.replace("http", "https"), SECONDS)
    assert SECONDS - 0.05 < seconds < SECONDS + SLACK


def test_a_server_that_does_not_read_delays_nobody_beyond_the_deadline() -> None:
    with Server(silent) as server:
        error, seconds = fails(server.url, SECONDS, body=b"x" * 30_000_000)
    assert type(error) is NoAnswer
    assert seconds < SECONDS + SLACK


CUT = {
    "after the request": then(lambda connection: connection.close()),
    "within the status line": then(lambda connection: connection.sendall(b"HTTP/1.1 2")),
    "within the body": then(lambda connection: connection.sendall(whole()[:-5])),
    "within a chunk": then(
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx")
    ),
}


@pytest.mark.parametrize("where", CUT)
def test_a_cut_connection_is_no_answer(where: str) -> None:
    with Server(CUT[where]) as server:
        error, seconds = fails(server.url, body=b"{}")
    assert (type(error), error.reason) == (NoAnswer, "the connection was cut")
    assert seconds < SLACK


GARBAGE = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a line too long": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "a chunk's length that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "gzip that is none": whole(b"{}", "200 OK", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_anything_but_http_is_no_answer_or_an_answer_and_nothing_else(name: str) -> None:
    with (
        Server(then(lambda connection: connection.sendall(GARBAGE[name]))) as server,
        contextlib.suppress(NoAnswer),
    ):
        assert ask(server.url).status == 200


def test_an_endless_answer_is_not_read_into_memory() -> None:
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _ in range(100):
            connection.sendall(bytes(1 << 20))
            sent.append(1)

    with Server(then(flood)) as server, contextlib.suppress(NoAnswer):
        ask(server.url, 3.0)
    assert len(sent) < 50  # MiB; the largest answer that WeCom gives is a media file's 20 MB


def test_a_length_beyond_memory_is_no_answer() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"
    with Server(then(lambda connection: connection.sendall(answer))) as server:
        error, _ = fails(server.url)
    assert type(error) is NoAnswer


def test_tls_works_and_its_connections_are_kept(trusted: ssl.SSLContext) -> None:
    with Server(answering(whole()), tls=trusted) as server, contextlib.closing(Transport(server.url)) as http:
        assert [ask_again(http).body for _ in range(5)] == [OK] * 5
        assert server.connections == 1


def test_inside_tls_too_a_forked_child_leaves_the_parents_connection_alone(trusted: ssl.SSLContext) -> None:
    with Server(answering(whole()), tls=trusted) as server, contextlib.closing(Transport(server.url)) as http:
        ask_again(http)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os._exit(ask_again(http).status != 200)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert ask_again(http).body == OK
        assert server.connections == 2


def test_the_certificates_are_loaded_once_for_thousands_of_apps() -> None:
    tls_context.cache_clear()
    for number in range(100):
        Transport(f"https://wecom{number}.invalid").close()
    assert tls_context.cache_info().misses == 1


# ------------------------------------------------------------------------------------------------ any other URL


def get(url: str, seconds: float = 20.0, limit: int = 1000) -> Response:
    return fetch(url, by=time.monotonic() + seconds, limit=limit)


def redirect(to: str) -> bytes:
    return whole(b"", "302 Found", f"Location: {to}")


def test_a_url_is_fetched_as_it_is() -> None:
    with Server(answering(whole(b"image"))) as server:
        assert get(f"{server.url}/图/0?wx_fmt=png&q=a b").body == b"image"
        head = server.requests[0]
    assert head.startswith(b"GET /%E5%9B%BE/0?wx_fmt=png&q=a%20b HTTP/1.1\r\n")
    assert b"token" not in head


def test_redirects_are_followed_to_another_host_and_within_one() -> None:
    with Server(answering(lambda number: redirect("/b") if number == 1 else whole(b"image"))) as last:
        with Server(answering(redirect(f"{last.url}/a"))) as first:
            assert get(first.url).body == b"image"
        assert [request.split(b" ")[1] for request in last.requests] == [b"/a", b"/b"]


def test_redirects_end() -> None:
    with Server(answering(redirect("/again"))) as server:
        assert get(server.url).status == 302
        assert len(server.requests) == 1 + transport.REDIRECTS


def test_one_deadline_bounds_all_redirects() -> None:
    def slow(server: Server, connection: socket.socket) -> None:
        server.request(connection)
        time.sleep(0.8)
        connection.sendall(redirect("/again"))

    began = time.monotonic()
    with Server(slow) as server, pytest.raises(Unanswered) as error:
        get(server.url, 1.2)
    assert error.value.failure is Failure.ANSWER_TIMEOUT
    assert time.monotonic() - began < 1.2 + SLACK


@pytest.mark.parametrize("url", ["", "/code", "file:///etc/passwd", "http://", "http://a:port/", "http://[::1/"])
def test_anything_but_a_web_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        get(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://a:port/", "http://[::1/"])
def test_a_redirect_to_anything_but_a_web_address_is_a_wecom_error(url: str) -> None:
    with Server(answering(redirect(url))) as server, pytest.raises(InvalidRequest):
        get(server.url)


def test_an_invalid_name_has_no_address() -> None:
    with pytest.raises(NotSent) as error:
        get(f"http://{'a' * 64}.invalid/")
    assert error.value.failure is Failure.NO_ADDRESS


def test_no_more_than_the_limit_is_read() -> None:
    with Server(answering(whole(bytes(1001)))) as server, pytest.raises(NoAnswer) as error:
        get(server.url)
    assert error.value.failure is Failure.TOO_LARGE
    with Server(answering(whole(bytes(1000)))) as server:
        assert len(get(server.url).body) == 1000


def test_no_error_holds_the_url() -> None:
    with nobody() as url, pytest.raises(NotSent) as error:
        get(f"{url}/{SECRET}?key={SECRET}")
    assert SECRET not in f"{error.value} {error.value!r} {error.value.args}"


# ------------------------------------------------------------------------------------------------ messages and logs


@pytest.mark.parametrize("name", ["silence after the request", "a body that stops"])
def test_no_error_holds_the_query(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with Server(BAD[name]) as server:
        error, _ = fails(server.url, 0.2)
    assert SECRET not in f"{error} {error!r} {error.args}"
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert str(error).startswith("some/path: ")


def test_a_malformed_header_puts_no_token_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    answer = b"HTTP/1.1 200 OK\r\nno header at all\r\nContent-Length: 2\r\n\r\n{}"
    with Server(answering(answer)) as server, contextlib.suppress(NoAnswer):
        ask(server.url, 0.5)
    assert SECRET not in caplog.text


# ------------------------------------------------------------------------------------------------ host names


class Names:
    """A replaced getaddrinfo, whose faults no server of ours can produce."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.answer: list[str] | OSError = []
        self.stuck = threading.Event()
        self.stuck.set()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host != "wecom.invalid":
            return self._real(host, port, *args, **kwargs)
        self.asked += 1
        self.stuck.wait(20)
        if isinstance(self.answer, OSError):
            raise self.answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.answer]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names(monkeypatch)
    yield names
    names.stuck.set()


def test_a_name_that_is_not_resolved_in_time_is_not_sent(names: Names) -> None:
    names.stuck.clear()
    error, seconds = fails("http://wecom.invalid:1", 0.3)
    assert (type(error), error.reason) == (NotSent, "the host's name has no address")
    assert 0.2 < seconds < 0.3 + SLACK


def test_a_name_without_address_is_not_sent_and_reported_at_once(names: Names) -> None:
    names.answer = socket.gaierror(socket.EAI_NONAME, "unknown")
    error, seconds = fails("http://wecom.invalid:1")
    assert (type(error), error.reason) == (NotSent, "the host's name has no address")
    assert seconds < SLACK


def test_a_failed_look_up_is_not_repeated_by_every_caller(names: Names) -> None:
    names.answer = socket.gaierror(socket.EAI_AGAIN, "later")
    resolver = Resolver("wecom.invalid", 80)
    for _ in range(50):
        assert resolver.addresses(0.5) == []
    assert names.asked == 1


def test_many_callers_look_a_name_up_once(names: Names) -> None:
    names.answer = ["127.0.0.1"]
    names.stuck.clear()
    resolver = Resolver("wecom.invalid", 80)
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(resolver.addresses, 5) for _ in range(8)]
        until(lambda: names.asked)
        names.stuck.set()
        assert [future.result() for future in found] == [[(socket.AF_INET, ("127.0.0.1", 80))]] * 8
    assert names.asked == 1


def test_the_last_good_addresses_are_kept_while_the_resolver_is_stuck(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.answer = ["127.0.0.1"]
    monkeypatch.setattr(transport, "ADDRESSES_AGE", 0.0)
    with Server(answering(whole())) as server:
        with contextlib.closing(Transport(f"http://wecom.invalid:{server.port}")) as http:
            assert ask_again(http).status == 200
            names.stuck.clear()
            http._pool.pool.queue.clear()  # as if the kept connections were closed
            began = time.monotonic()
            assert ask_again(http).status == 200
            assert time.monotonic() - began < SLACK
        assert server.connections == 2


def test_the_last_good_addresses_are_kept_while_look_ups_fail(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    names.answer = ["10.0.0.1", "10.0.0.2"]
    monkeypatch.setattr(transport, "ADDRESSES_AGE", 0.0)
    resolver = Resolver("wecom.invalid", 80)
    good = resolver.addresses(20)
    names.answer = socket.gaierror(socket.EAI_AGAIN, "later")
    asked = names.asked
    assert resolver.addresses(20) == good
    until(lambda: names.asked > asked)
    assert resolver.addresses(20) == good


def test_the_second_address_is_tried_when_the_first_refuses(names: Names) -> None:
    with Server(answering(whole())) as server:
        names.answer = ["127.0.0.2", "127.0.0.1"]  # the server listens only on the second
        assert ask(f"http://wecom.invalid:{server.port}").status == 200


def test_what_a_name_leads_to_is_judged_and_not_the_name_alone(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ADDRESSES_AGE", 0.0)

    def permits(address: str) -> bool:
        return address == "127.0.0.1"

    with Server(answering(whole())) as server:
        names.answer = ["127.0.0.2", "127.0.0.1"]
        url = f"http://wecom.invalid:{server.port}"
        with contextlib.closing(Transport(url, permits=permits, age=-1.0)) as http:
            assert ask_again(http).status == 200
            names.answer = ["127.0.0.2"]  # somebody has pointed it elsewhere since
            until(lambda: _is_not_allowed(http))
        assert server.connections >= 1


def _is_not_allowed(http: Transport) -> bool:
    try:
        ask_again(http)
    except NotSent as error:
        return error.failure is Failure.ADDRESS_NOT_ALLOWED
    return False


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["IPv4", "IPv6"]
)
def test_a_literal_address_is_never_looked_up(host: str, family: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert Resolver(host, 80).addresses(0) == [(family, (host, 80))]

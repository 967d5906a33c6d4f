"""Clients that do little, and much of it: callbacks are answered as ever, and each of them is let go."""

import contextlib
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.processes import RedisServer
from tests.support.pushes import a_push
from tests.support.until import until
from tests.support.web import WebProcess
from tests.support.wire import head, raw
from webhook.callback.parsing import BODY_LIMIT
from webhook.server.connections import IDLE, READ, UPLOADS

AT_MOST = 3.0  # seconds that a callback may take, on any machine; one that waits for such clients takes longer
EVERY = 1.5  # seconds between two bytes of a client that trickles
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def process(redis_server: RedisServer, tmp_path_factory) -> Iterator[WebProcess]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    folder = tmp_path_factory.mktemp("web")
    with WebProcess(folder, redis_server.url, CONSOLE_PASSWORD="a-password-of-the-tests-42") as process:
        yield process


Connect = Callable[..., list[socket.socket]]


@pytest.fixture
def connect(process: WebProcess) -> Iterator[Connect]:
    """So many connections, on each of which these bytes have been sent."""
    with contextlib.ExitStack() as stack:

        def some(count: int, beginning: bytes = b"") -> list[socket.socket]:
            made = []
            for _ in range(count):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", process.port), 30))
                one.sendall(beginning)
                made.append(one)
            return made

        yield some


@pytest.fixture
def trickle() -> Iterator[Callable[[list[socket.socket], bytes], None]]:
    """Let a byte come on each connection now and then."""
    ended = threading.Event()
    threads = []

    def run(connections: list[socket.socket], byte: bytes) -> None:
        while not ended.wait(EVERY):
            for one in connections:
                with contextlib.suppress(OSError):
                    one.sendall(byte)

    def start(connections: list[socket.socket], byte: bytes) -> None:
        threads.append(threading.Thread(target=run, args=(connections, byte)))
        threads[-1].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()


def slowest(process: WebProcess, seconds: float) -> float:
    """Seconds that the slowest of all callbacks took which came in this time, one after the other."""
    most, until_then = 0.0, time.monotonic() + seconds
    while (began := time.monotonic()) < until_then:
        assert process.post(a_push()) == 200
        most = max(most, time.monotonic() - began)
        time.sleep(0.05)
    return most


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def test_96_clients_that_trickle_and_300_that_are_silent_delay_no_callback_and_are_let_go(process, connect, trickle):
    push = a_push()
    kinds = [
        (b"POST /callback HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a"),
        (head(push, "Content-Length: 4000"), b"<"),
        (head(push, "Transfer-Encoding: chunked") + b"fff\r\n", b"<"),
    ]
    connected = connect(300)
    for beginning, byte in kinds:
        some = connect(32, beginning)
        trickle(some, byte)
        connected += some
    assert slowest(process, READ - 4) < AT_MOST
    until(lambda: all(map(is_closed, connected)), READ + 6, every=0.5, what="the end of all of them")


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /console/login HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\npassword=",
        b"POST /console/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
        b"GET /console/login HTTP/1.1\r\nHost: x\r\nCookie: ",
        b"POST /console/media HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n",
    ],
    ids=["form", "chunks", "head", "upload"],
)
def test_slow_strangers_do_not_shut_the_console(process, connect, trickle, beginning):
    trickle(connect(24, beginning), b"a")
    for _ in range(5):
        began = time.monotonic()
        assert process.get("/console/login") == 200
        assert time.monotonic() - began < AT_MOST
        time.sleep(0.2)


def test_few_uploads_are_waited_for_at_a_time(process, connect):
    uploads = connect(3 * UPLOADS, b"POST /console/media HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    until(lambda: sum(map(is_closed, uploads)) == 2 * UPLOADS, what="those that came first to be let go")


def test_1100_connections_that_are_idle_after_an_answer_do_not_stop_new_ones(process, connect):
    idle = connect(1100, HEALTH)
    until(lambda: process.get("/healthz") == 200, READ - 1, what="an answer behind all of theirs")
    assert slowest(process, 1) < AT_MOST
    until(lambda: sum(not is_closed(one) for one in idle) <= IDLE, what="the oldest to be let go")
    assert not is_closed(idle[-1])


def test_1100_connections_that_were_never_used_do_not_stop_new_ones(process, connect):
    connect(1100)
    until(lambda: process.get("/healthz") == 200, READ - 1, what="an answer after the burst")
    assert slowest(process, 1) < AT_MOST


def test_clients_that_do_not_read_their_answers_hold_no_thread(process, connect):
    many = b"GET /console/static/console.css HTTP/1.1\r\nHost: x\r\n\r\n" * 40
    connect(40, many)
    assert slowest(process, 2) < AT_MOST


def test_a_connection_is_used_again_and_requests_that_come_together_are_answered_in_order(connect):
    (one,) = connect(1, HEALTH)
    answers = one.makefile("rb")
    for _ in range(3):
        assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
        while answers.readline() != b"\r\n":
            pass
        assert answers.read(2) == b"ok"
        one.sendall(HEALTH)
    one.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    rest = answers.read()
    assert rest.index(b"200 OK") < rest.index(b"503 SERVICE UNAVAILABLE")


def test_a_client_that_asks_whether_to_go_on_is_told(process):
    push = a_push()
    with socket.create_connection(("127.0.0.1", process.port), 30) as connection:
        connection.sendall(head(push, f"Content-Length: {len(push.body)}", "Expect: 100-continue"))
        assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(push.body)
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200")
    large = head(push, "Content-Length: 99999999", "Expect: 100-continue")
    assert raw(process, large).startswith(b"HTTP/1.1 413")


def test_sigterm_lets_what_has_begun_end_and_waits_for_nobody_else(redis_server, tmp_path):
    push = a_push()
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(WebProcess(tmp_path, redis_server.url))
        address = ("127.0.0.1", process.port)
        begun, used, *silent = (stack.enter_context(socket.create_connection(address, 30)) for _ in range(20))
        begun.sendall(head(push, f"Content-Length: {len(push.body)}") + push.body[:20])
        used.sendall(HEALTH)
        assert used.recv(1024).startswith(b"HTTP/1.1 200")
        process.signal(signal.SIGTERM)
        until(lambda: process.get("/healthz") is None, what="the port to be free")
        used.sendall(HEALTH)
        assert b"connection: close" in used.makefile("rb").read().lower()
        begun.sendall(push.body[20:])
        assert begun.makefile("rb").read().endswith(b"success")
        assert process.wait() == 0
        assert all(map(is_closed, silent))


def test_an_endless_chunked_body_is_refused_at_the_limit(process):
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", process.port), 30) as connection:
        connection.sendall(head(a_push(), "Transfer-Encoding: chunked"))
        for _ in range(BODY_LIMIT // 0x8000 + 1):
            connection.sendall(chunk)
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 413")


def test_a_callback_that_comes_in_pieces_is_stored(process, connect):
    push = a_push()
    whole = head(push, f"Content-Length: {len(push.body)}") + push.body
    (one,) = connect(1)
    for at in range(0, len(whole), 100):
        one.sendall(whole[at : at + 100])
        time.sleep(0.01)
    assert one.makefile("rb").read().endswith(b"success")

"""The console shares a process with the callback, never its last threads: whatever is done to it, WeCom is heard."""

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import requests

from tests.simulator.client import StandIn
from tests.support.processes import Product, free_port
from tests.support.until import until

PASSWORD = "let-me-in"
ABREAST = 32  # who use the console at the same time, none of them ever pausing
FAST = 1.0  # seconds for a callback: generous, of the 5 s that WeCom waits; 0.02 are usual, and measured with -v
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Product]:
    folder: Path = tmp_path_factory.mktemp("console")
    with Product(folder, stand_in, start=["web"], CONSOLE_PASSWORD=PASSWORD) as product:
        yield product


@pytest.fixture(scope="module")
def calm(product: Product, stand_in: StandIn) -> float:
    """Seconds for the slowest callback while nobody visits the console."""
    stand_in.pristine()
    stand_in.register(product.app)
    return callbacks(stand_in)[-1]


def signed_in(product: Product) -> requests.Session:
    visitor = requests.Session()
    page = visitor.get(product.url + "/console/login", timeout=30).text
    found = TOKEN.search(page)
    assert found is not None
    data = {"name": "a", "password": PASSWORD, "csrf_token": found[1]}
    assert visitor.post(product.url + "/console/login", data=data, timeout=30).status_code == 200
    return visitor


@contextlib.contextmanager
def hammering(visit: Callable[[], int]) -> Iterator[Counter[int]]:
    """ABREAST threads that do nothing but visit. → what was answered, status → how often."""
    ended = threading.Event()
    answers: Counter[int] = Counter()

    def one() -> None:
        while not ended.is_set():
            with contextlib.suppress(requests.RequestException):
                answers[visit()] += 1
                time.sleep(0.02)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(ABREAST)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: answers.total() >= 5, what="the console's first answers")
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


def callbacks(wecom: StandIn, count: int = 100, rate: float = 25) -> list[float]:
    """Seconds that WeCom waited for each answer, sorted. Each was accepted at the first push."""
    before = len(wecom.records())
    wecom.load(count, rate=rate)
    wecom.wait_until_accepted(before + count)
    records = wecom.records()[before:]
    assert {failure for record in records for failure in record.failures} == set()
    return sorted(record.callback_s or 0.0 for record in records)


@pytest.mark.parametrize("kind", ["waits for WeCom", "computes", "guesses passwords"])
def test_a_console_that_is_hammered_leaves_the_callback_fast(
    product: Product, calm: float, wecom: StandIn, kind: str, measured: Callable[[str, float], None]
) -> None:
    wecom.register(product.app)
    visitor = signed_in(product)
    cookies = visitor.cookies.get_dict()
    form = TOKEN.search(requests.get(product.url + "/console/login", cookies=cookies, timeout=30).text)
    assert form is not None

    def visit() -> int:
        if kind == "waits for WeCom":
            return requests.get(product.url + "/console/channels/compare", cookies=cookies, timeout=30).status_code
        if kind == "computes":
            return requests.get(product.url + "/console/deliveries", cookies=cookies, timeout=30).status_code
        data = {"name": "a", "password": "guess", "csrf_token": form[1]}
        return requests.post(product.url + "/console/login", data=data, cookies=cookies, timeout=30).status_code

    if kind == "waits for WeCom":
        wecom.faults(latency_ms=2500, paths=("*",))
    with hammering(visit) as answers:
        hammered = callbacks(wecom)
        expected = 429 if kind == "guesses passwords" else 200
        until(lambda: answers[expected] > 0, what=f"an answer {expected}, however slow the machine")
    assert hammered[-1] < FAST * 4, answers
    assert hammered[len(hammered) // 2] < FAST, answers
    measured(f"callback while the console {kind}: median", hammered[len(hammered) // 2])
    measured(f"callback while the console {kind}: slowest (calm {calm:.3f} s)", hammered[-1])


IDLERS = {  # what clients send that then do nothing, neither read nor close
    "say nothing": b"",
    "stay after their answer": b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "read nothing": b"GET /console/static/htmx.min.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "send no body": b"POST /console/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=",
}


@pytest.mark.parametrize("idlers", IDLERS)
def test_clients_that_do_nothing_hold_up_nobody(
    product: Product, wecom: StandIn, idlers: str, measured: Callable[[str, float], None]
) -> None:
    wecom.register(product.app)
    with contextlib.ExitStack() as stack:
        for _ in range(ABREAST):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.connect(("127.0.0.1", product.port))
            client.sendall(IDLERS[idlers])
        slowest = callbacks(wecom, 25)[-1]
    assert slowest < FAST * 4
    measured(f"callback while {ABREAST} clients {idlers}: slowest", slowest)
    until(lambda: product.get("/console/login") == 200, what="the console")


def test_a_part_with_a_port_of_its_own_is_nowhere_else(tmp_path: Path, stand_in: StandIn, wecom: StandIn) -> None:
    console, metrics = free_port(), free_port()
    binds = {"CONSOLE_BIND": f"127.0.0.1:{console}", "METRICS_BIND": f"127.0.0.1:{metrics}"}
    with Product(tmp_path, wecom, start=["web"], CONSOLE_PASSWORD=PASSWORD, TRUSTED_PROXIES="1", **binds) as product:
        public = product.port
        parts = ((public, "/callback", 403), (console, "/console/login", 200), (metrics, "/metrics", 200))
        for port, served, itself in parts:  # 403: a callback that is not signed
            for path in (
                "/callback",
                "/console/login",
                "//console/login",
                "/%63onsole/login",
                "/%2fconsole/login",
                "/./console/login",
                f"http://x:{console}/console/login",
                "/metrics",
                "//metrics",
                "///metrics",
                "/%2fmetrics",
                "/%6detrics",
                f"http://x:{metrics}/metrics",
            ):
                for header in ("", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /console", "SCRIPT_NAME: /console"):
                    status = asked(port, path, header)
                    plain = "/" + unquote(path if path.startswith("/") else urlsplit(path).path).lstrip("/")
                    assert status == (itself if plain == served else 404), (port, path, header)


def asked(port: int, path: str, header: str) -> int:
    """The status of a request that no client library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *filter(None, [header])]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(client.recv(4096).split(b" ")[1])

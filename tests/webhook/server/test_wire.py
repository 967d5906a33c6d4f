"""HTTP as it comes over the wire, to a real web process: lengths, chunks, addresses, and what it logs of it."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tasks.ledger.intake import HOLD_OFF, TIMEOUT
from tests.support.builders import AES_KEY, ENVIRONMENT
from tests.support.processes import RedisServer, free_port
from tests.support.pushes import ENVELOPE, TOKEN, a_push, a_verification, an_event, xml
from tests.support.until import until
from tests.support.web import WebProcess, stored
from tests.support.wire import head, raw
from webhook.callback.parsing import BODY_LIMIT, parse
from webhook.server.connections import READ
from webhook.server.web import THREADS


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def process(redis_server: RedisServer, metrics_port: int, tmp_path_factory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("web")
    with WebProcess(folder, redis_server.url, METRICS_BIND=f"127.0.0.1:{metrics_port}", TRUSTED_PROXIES="1") as process:
        yield process


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def test_while_redis_is_silent_callbacks_do_not_hold_up_all_else(tmp_path: Path) -> None:
    """The first of them finds out, in the main loop; the others have threads."""
    with RedisServer(tmp_path / "redis") as redis, WebProcess(tmp_path, redis.url) as process:
        redis.freeze()
        push = a_push()
        assert raw(process, head(push, f"Content-Length: {len(push.body)}"), push.body).startswith(b"HTTP/1.1 503")
        took = []
        for _ in range(3):
            time.sleep(HOLD_OFF + 0.05)  # so that the next one asks Redis again
            with socket.create_connection(("127.0.0.1", process.port)) as waiting:
                waiting.sendall(head(push, f"Content-Length: {len(push.body)}") + push.body)
                began = time.monotonic()
                assert process.get("/healthz") == 200
                took.append(time.monotonic() - began)
                assert waiting.recv(100).startswith(b"HTTP/1.1 503")
        assert min(took) < TIMEOUT  # of one of the two tries to reach Redis
        redis.thaw()
        until(
            lambda: raw(process, head(push, f"Content-Length: {len(push.body)}"), push.body).startswith(
                b"HTTP/1.1 200"
            ),
            what="a 200",
        )


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_a_chunked_body_is_read(process, redis_client, size):
    push = a_push()
    answer = raw(process, head(push, "Transfer-Encoding: chunked"), chunked(push.body, size))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\nsuccess")
    assert stored(redis_client) == (1, 1, 1)


def test_a_chunked_body_beyond_the_limit_is_413(process):
    push = a_push()
    body = chunked(push.body + b" " * BODY_LIMIT, 8192)
    assert raw(process, head(push, "Transfer-Encoding: chunked"), body).startswith(b"HTTP/1.1 413")


def test_a_length_beyond_the_limit_is_413_before_the_body_comes(process):
    assert raw(process, head(a_push(), f"Content-Length: {BODY_LIMIT + 1}")).startswith(b"HTTP/1.1 413")


def test_what_is_left_of_a_body_that_was_not_read_is_not_taken_for_a_request(process):
    body = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".rjust(BODY_LIMIT + 1)
    beginning = head(a_push(), f"Content-Length: {len(body)}").replace(b"Connection: close", b"Connection: keep-alive")
    end = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert raw(process, beginning, body, end).count(b"HTTP/1.1 200") <= 1


def test_without_any_length_there_is_no_body_to_believe(process):
    push = a_push()
    assert raw(process, head(push), push.body).startswith(b"HTTP/1.1 403")


def test_the_echo_is_the_whole_body_on_the_wire(process):
    query = a_verification(b"1616140317555161061")
    answer = requests.get(f"{process.url}/callback", params=query, timeout=30)
    assert answer.content == b"1616140317555161061"
    assert answer.headers["Content-Length"] == "19"


# --- METRICS_BIND


def test_metrics_have_an_address_of_their_own_and_nothing_else_is_there(process, metrics_port, redis_url):
    there = {path: process.get(path, port=metrics_port) for path in ("/metrics", "/healthz", "/readyz", "/callback")}
    here = {path: process.get(path) for path in ("/metrics", "/healthz", "/readyz/intake", "/callback")}
    assert there == {"/metrics": 200, "/healthz": 200, "/readyz": 404, "/callback": 404}
    assert here == {"/metrics": 404, "/healthz": 200, "/readyz/intake": 200, "/callback": 403}


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "X-Forwarded-Port"])
def test_a_header_does_not_open_the_metrics_on_the_public_address(process, metrics_port, name):
    value = str(metrics_port) if name.endswith("Port") else f"127.0.0.1:{metrics_port}"
    assert process.get("/metrics", headers={name: value}) == 404


def test_counts_of_a_web_process_reach_the_metrics_by_themselves(process, metrics_port, redis_url):
    assert process.post(a_push(b"hello")) == 400  # counted as nothing else in this file is

    def counted() -> list[float]:
        page = requests.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=30).text
        families = {family.name: family for family in text_string_to_metric_families(page)}
        samples = families["wecom_welcome_callbacks"].samples
        return [sample.value for sample in samples if sample.labels["result"] == "malformed"]

    until(lambda: counted() == [1], every=0.1, what="the count")


# --- its log


def test_its_log_has_the_events_key_and_no_secret(process, redis_url):
    fields = an_event()
    push = a_push(xml(fields))
    process.post(push)
    process.get("/callback", a_verification(b"the-echo"))
    process.get("/callback", {"msg_signature": "a-signature", "echostr": "an-echo"})
    raw(process, b"GET /callback?msg_signature=a-signature HTTP/9.9\r\n\r\n")
    log = process.output()
    assert f"stored app=default event={parse('default', xml(fields)).id}" in log
    secrets = [TOKEN, AES_KEY, ENVIRONMENT["WECOM_CORP_SECRET"], fields["WelcomeCode"], push.query["msg_signature"]]
    for secret in (*secrets, "the-echo", "a-signature", "an-echo", ENVELOPE.seal(b"", "1", "2")[1][:20]):
        assert secret not in log


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /callback HTTP/1.1\r\nHost: x\r\nConte",
        b"POST /callback HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
    ],
    ids=["head", "body"],
)
def test_requests_that_stop_half_way_hold_the_threads_for_some_seconds_only(process, beginning):
    stalled = [socket.create_connection(("127.0.0.1", process.port)) for _ in range(THREADS)]
    for connection in stalled:
        connection.sendall(beginning)
    until(lambda: process.get("/healthz") == 200, 5 + READ, what="an answer beside the stalled requests")
    for connection in stalled:
        connection.close()

"""No header sets the environment, and what is malformed is 400 without a traceback."""

from collections.abc import Iterator

import pytest

from tests.support.processes import RedisServer, free_port
from tests.support.pushes import a_push
from tests.support.web import WebProcess
from tests.support.wire import head, raw

CONSOLE_PASSWORD = "a-password-of-the-tests-42"


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def process(redis_server: RedisServer, metrics_port: int, tmp_path_factory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("web")
    settings = {"CONSOLE_PASSWORD": CONSOLE_PASSWORD, "METRICS_BIND": f"127.0.0.1:{metrics_port}"}
    with WebProcess(folder, redis_server.url, **settings, FORWARDED_ALLOW_IPS="*") as process:
        yield process


# --- headers that carry a variable's name

OF_THE_CONSOLE = "/console/login"
VARIABLES = [  # as any client spells them, whom the peer trusts or not
    "SCRIPT_NAME: /callback",
    "SCRIPT-NAME: /callback",
    "Script_Name: /callback",
    "script_name: /callback",
    "HTTP_SCRIPT_NAME: /callback",
    f"PATH_INFO: {OF_THE_CONSOLE}",
    f"PATH-INFO: {OF_THE_CONSOLE}",
    f"REQUEST_URI: {OF_THE_CONSOLE}",
    f"RAW_URI: {OF_THE_CONSOLE}",
    f"X-Original-URL: {OF_THE_CONSOLE}",
    f"X-Rewrite-URL: {OF_THE_CONSOLE}",
    "X-Script-Name: /callback",
    "X-Forwarded-Prefix: /callback",
    "X_Forwarded_Prefix: /callback",
]


@pytest.mark.parametrize("header", VARIABLES)
def test_no_header_moves_a_request_to_another_path(process, header):
    for path, status in (("/callback/console/login", b"404"), ("/callback/metrics", b"404"), ("/healthz", b"200")):
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n\r\n".encode()
        assert raw(process, request).startswith(b"HTTP/1.1 " + status), path


def test_no_header_names_the_port_of_the_metrics(process, metrics_port):
    for header in ("SERVER_PORT", "SERVER-PORT", "X-Forwarded-Port", "HTTP_X_FORWARDED_PORT"):
        request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}: {metrics_port}\r\n\r\n".encode()
        assert raw(process, request).startswith(b"HTTP/1.1 404"), header


def test_without_trusted_proxies_no_header_makes_a_request_secure(process):
    for header in ("X-Forwarded-Proto: https", "X-Forwarded-Ssl: on", "X-Forwarded-Protocol: ssl", "HTTPS: on"):
        request = f"GET {OF_THE_CONSOLE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n\r\n".encode()
        answer = raw(process, request)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"; Secure" not in answer, header
        assert b"Strict-Transport-Security" not in answer, header


# --- lengths and chunks

CHUNKED = "Transfer-Encoding: chunked"
MALFORMED = {
    "a size that is no number": (CHUNKED, b"zz\r\n"),
    "no size": (CHUNKED, b"\r\n\r\n"),
    "a negative size": (CHUNKED, b"-1\r\nx\r\n0\r\n\r\n"),
    "a size with a sign": (CHUNKED, b"+1\r\nx\r\n0\r\n\r\n"),
    "a size with a prefix": (CHUNKED, b"0x1\r\nx\r\n0\r\n\r\n"),
    "a size with an underscore": (CHUNKED, b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"),
    "a size in other digits": (CHUNKED, "\u0661\r\nx\r\n0\r\n\r\n".encode()),
    "a later size that is no number": (CHUNKED, b"1\r\nx\r\nzz\r\n"),
    "a chunk longer than its size": (CHUNKED, b"1\r\nxyz\r\n0\r\n\r\n"),
    "an extension with a control character": (CHUNKED, b"1;a=\x01\r\nx\r\n0\r\n\r\n"),
    "both lengths": (f"{CHUNKED}\r\nContent-Length: 3", b"3\r\nabc\r\n0\r\n\r\n"),
    "both lengths, the other way": (f"Content-Length: 3\r\n{CHUNKED}", b"3\r\nabc\r\n0\r\n\r\n"),
    "two lengths": ("Content-Length: 3\r\nContent-Length: 4", b"abcd"),
    "one length twice": ("Content-Length: 3\r\nContent-Length: 3", b"abc"),
    "a negative length": ("Content-Length: -1", b""),
    "a length that is no number": ("Content-Length: x", b""),
    "two lengths in one": ("Content-Length: 1, 2", b""),
    "an empty length": ("Content-Length:", b"abc"),
    "a length with a sign": ("Content-Length: +3", b"abc"),
    "a length with an underscore": ("Content-Length: 1_0", b"abcdefghij"),
    "a length in hexadecimal": ("Content-Length: 0x3", b"abc"),
    "a length in other digits": ("Content-Length: \u0663", b"abc"),
    "a coding twice": ("Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"),
    "a folded header": ("X-Folded: a\r\n b\r\nContent-Length: 3", b"abc"),
    "a blank before the colon": ("Content-Length : 3", b"abc"),
}


@pytest.mark.parametrize(("header", "body"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_400_without_a_traceback(process, header, body):
    before = len(process.output())
    assert raw(process, head(a_push(), header), body, ends=True).startswith(b"HTTP/1.1 400")
    said = process.output()[before:]
    assert "Traceback" not in said
    assert " ERROR " not in said


@pytest.mark.parametrize(
    ("header", "body"), [("Content-Length: 5", b"ab"), (CHUNKED, b"5\r\nab"), (CHUNKED, b"2\r\nab")]
)
def test_a_body_that_ends_early_is_not_believed(process, header, body):
    before = len(process.output())
    assert raw(process, head(a_push(), header), body, ends=True)[:12] in (b"", b"HTTP/1.1 400")
    assert "Traceback" not in process.output()[before:]


@pytest.mark.parametrize("coding", ["gzip", "identity", "x", "chunked, gzip"])
def test_a_coding_that_nobody_reads_is_refused(process, coding):
    answer = raw(process, head(a_push(), f"Transfer-Encoding: {coding}"), b"0\r\n\r\n", ends=True)
    assert answer.split()[1] in (b"400", b"501")


@pytest.mark.parametrize("body", [b"3;a=b\r\nabc\r\n0\r\n\r\n", b"03\r\nabc\r\n0\r\nX-Trailer: a\r\n\r\n"])
def test_extensions_and_trailers_are_passed_over(process, body):
    assert raw(process, head(a_push(), CHUNKED), body).startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    assert process.get("/healthz") == 200

"""An outbound proxy: its URL, the environment's, a tunnel and whole URLs, and a proxy that misbehaves."""

import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.wecom import WeComClient
from tasks.wecom.errors import Failure, NotSent
from tasks.wecom.http1 import Response
from tasks.wecom.proxy import Proxy, url_for
from tasks.wecom.transport import Transport, fetch
from tests.support import certificate
from tests.support.outbound_proxy import REFUSED, OutboundProxy
from tests.support.servers import Server, answering, nobody, silent, then, trickle, whole

BASE = "https://qyapi.weixin.qq.com"
PASSWORD = "p@ss:1234"
ESCAPED = "p%40ss%3A1234"


def ask(base_url: str, proxy: str, seconds: float = 20.0) -> Response:
    with contextlib.closing(Transport(base_url, proxy=Proxy.parse(proxy))) as http:
        return http.request("GET", "some/path", by=time.monotonic() + seconds, query={"access_token": "SECRET"})


# ------------------------------------------------------------------------------------------------ URLs


@pytest.mark.parametrize(
    ("url", "host", "port", "known"),
    [
        ("http://proxy.example.com:3128", "proxy.example.com", 3128, ""),
        ("http://proxy.example.com:3128/", "proxy.example.com", 3128, ""),
        ("http://PROXY:8080", "proxy", 8080, ""),
        ("proxy:3128", "proxy", 3128, ""),
        ("http://proxy", "proxy", 80, ""),
        ("http://[::1]:3128", "::1", 3128, ""),
        ("http://u:p@proxy:1", "proxy", 1, "Basic dTpw"),
        ("http://u@proxy:1", "proxy", 1, "Basic dTo="),
        ("http://u:p%40%3A%2F@proxy:1", "proxy", 1, "Basic dTpwQDov"),
        ("http://%E5%BC%A0:p@proxy:1", "proxy", 1, "Basic 5bygOnA="),
    ],
)
def test_a_proxys_url(url: str, host: str, port: int, known: str) -> None:
    proxy = Proxy.parse(url)
    assert (proxy.host, proxy.port, proxy.authorization) == (host, port, known)


@pytest.mark.parametrize(
    "url",
    [
        *("https://u:hunter2@proxy:1", "socks5://u:hunter2@proxy:1", "ftp://proxy", "http://", "http://:3128", ""),
        *("http://u:hunter2@proxy:port", "http://u:hunter2@proxy:0", "http://u:hunter2@proxy:65536"),
        *("http://u:hunter2@[::1:1", "http://u:hunt er2@proxy:1", "http://u:hunter2/x@proxy:1"),
        *("http://u:hunter2@proxy:1/path", "http://u:hunter2@proxy:1?q=1", "http://u:hunter2#@proxy:1"),
        *("http://u:hunter2%0d%0aX:y@proxy:1", "http://u%3Av:hunter2@proxy:1", "http://u:hunter2@proxy:1\n"),
    ],
)
def test_a_url_that_is_no_proxys_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="must") as error:
        Proxy.parse(url)
    assert "hunter2" not in str(error.value)


P, Q = "http://p:1", "http://q:2"


@pytest.mark.parametrize(
    ("base", "environ", "found"),
    [
        (BASE, {}, None),
        (BASE, {"HTTPS_PROXY": P}, P),
        (BASE, {"https_proxy": P, "HTTPS_PROXY": Q}, P),
        (BASE, {"HTTP_PROXY": P}, None),
        (BASE, {"ALL_PROXY": P}, P),
        (BASE, {"HTTPS_PROXY": ""}, None),
        ("http://api.example.com", {"HTTPS_PROXY": P}, P),
        ("http://api.example.com", {"http_proxy": Q, "https_proxy": P}, Q),
        *(
            (BASE, {"HTTPS_PROXY": P, "NO_PROXY": no}, None)
            for no in ("*", "weixin.qq.com", ".weixin.qq.com", "a, qq.com")
        ),
        *(
            (BASE, {"HTTPS_PROXY": P, "NO_PROXY": no}, None)
            for no in ("QYAPI.weixin.qq.com:443", "*.qq.com", "a;b qq.com")
        ),
        *(
            (BASE, {"HTTPS_PROXY": P, "NO_PROXY": no}, P)
            for no in ("xin.qq.com", "qq.com:80", "example.com", "127.0.0.1")
        ),
        (BASE, {"HTTPS_PROXY": P, "no_proxy": "qq.com"}, None),
        ("http://127.0.0.1:9000", {"HTTP_PROXY": P, "NO_PROXY": "127.0.0.0/8"}, None),
        ("http://127.0.0.1:9000", {"HTTP_PROXY": P, "NO_PROXY": "127.0.0.1:9001"}, P),
        ("http://[::1]:9000", {"HTTP_PROXY": P, "NO_PROXY": "::1"}, None),
    ],
)
def test_what_the_environment_says_about_an_address(base: str, environ: dict[str, str], found: str | None) -> None:
    url = url_for(base, environ)
    assert (url[1] if url else None) == found


# ------------------------------------------------------------------------------------------------ on the way


@pytest.mark.parametrize("user", ["", f"u:{PASSWORD}"], ids=["open", "with a password"])
def test_https_goes_through_one_tunnel_that_is_kept(trusted: ssl.SSLContext, user: str) -> None:
    with (
        Server(answering(whole()), tls=trusted) as wecom,
        OutboundProxy(user=user) as proxy,
        contextlib.closing(
            Transport(wecom.url, proxy=Proxy.parse(f"http://{f'u:{ESCAPED}@' if user else ''}127.0.0.1:{proxy.port}"))
        ) as http,
    ):
        for _ in range(3):
            assert http.request("GET", "some/path", by=time.monotonic() + 20).status == 200
        assert proxy.asked == [f"CONNECT 127.0.0.1:{wecom.port}"]
        assert not any(b"roxy-Authorization" in request for request in wecom.requests), "it is the proxy's alone"


def test_a_host_that_only_the_proxy_reaches_is_never_looked_up_here() -> None:
    with Server(answering(whole())) as wecom, OutboundProxy({"qyapi.wecom.invalid": wecom.port}) as proxy:
        assert ask("http://qyapi.wecom.invalid/base", proxy.url).status == 200
        assert proxy.asked == ["GET http://qyapi.wecom.invalid/base/cgi-bin/some/path?access_token=SECRET"]
        assert fetch("http://qyapi.wecom.invalid/a", by=time.monotonic() + 9, limit=99, proxy=Proxy.parse(proxy.url))


def test_a_client_uses_its_proxy_for_tokens_and_calls_alike() -> None:
    token = whole(b'{"errcode": 0, "access_token": "t", "expires_in": 7200}')
    with (
        Server(answering(lambda n: token if n == 1 else whole())) as wecom,
        OutboundProxy({"wecom.invalid": wecom.port}) as proxy,
        contextlib.closing(WeComClient("ww0", "secret", "http://wecom.invalid", proxy=proxy.url)) as client,
    ):
        assert client.user.get("zhangsan")["errcode"] == 0
        asked = [line.split("?")[0] for line in proxy.asked]
        assert asked == [f"GET http://wecom.invalid/cgi-bin/{path}" for path in ("gettoken", "user/get")]
        assert proxy.connections == 1


ENDLESS = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99_999
Act = Callable[[Server, socket.socket], None]
BAD: dict[str, tuple[Act, Failure, str]] = {
    "407": (answering(REFUSED), Failure.PROXY_REFUSED, "407"),
    "403": (answering(whole(b"<html>", "403 Forbidden")), Failure.PROXY_REFUSED, "403"),
    "502": (answering(whole(b"<html>", "502 Bad Gateway")), Failure.PROXY_REFUSED, "502"),
    "503 and a close": (then(lambda c: c.sendall(b"HTTP/1.0 503 no\r\n\r\n")), Failure.PROXY_REFUSED, "503"),
    "silence": (silent, Failure.PROXY_NO_ANSWER, ""),
    "trickling": (then(lambda c: trickle(c, b"HTTP/1.1 2" + b"0" * 99, every=0.1)), Failure.PROXY_NO_ANSWER, ""),
    "an endless head": (
        then(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99_999)),
        Failure.PROXY_NO_ANSWER,
        "",
    ),
    "a cut": (then(lambda c: c.close()), Failure.PROXY_NO_ANSWER, ""),
    "not HTTP": (then(lambda c: c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")), Failure.PROXY_NO_ANSWER, ""),
    "more than a head": (then(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n<html>")), Failure.PROXY_NO_ANSWER, ""),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_proxy_does_instead_is_named_within_the_deadline(name: str, caplog: pytest.LogCaptureFixture) -> None:
    act, failure, detail = BAD[name]
    with Server(act) as proxy:
        began = time.monotonic()
        with pytest.raises(NotSent) as error:
            ask("https://wecom.invalid", f"http://u:{ESCAPED}@127.0.0.1:{proxy.port}", 0.6)
        assert time.monotonic() - began < 0.6 + 6
    assert (error.value.failure, error.value.detail) == (failure, detail)
    told = f"{error.value} {error.value!r} {vars(error.value)} {error.getrepr(style='native')} {caplog.text}"
    assert PASSWORD not in told
    assert ESCAPED not in told


def test_a_proxy_that_wants_a_password_refuses_http_too() -> None:
    with OutboundProxy(user="u:p") as proxy, pytest.raises(NotSent) as error:
        ask("http://wecom.invalid", proxy.url)
    assert (error.value.failure, error.value.detail) == (Failure.PROXY_REFUSED, "407")


@pytest.mark.parametrize("base", ["https://wecom.invalid", "http://wecom.invalid"])
def test_a_proxy_that_is_not_there_is_named(base: str) -> None:
    with nobody() as proxy, pytest.raises(NotSent) as error:
        ask(base, proxy, 2)
    assert error.value.failure is Failure.PROXY_UNREACHABLE


def test_a_certificate_is_verified_through_a_proxy_too(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = certificate.server_side(pem)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with Server(answering(whole()), tls=context) as wecom, OutboundProxy() as proxy, pytest.raises(NotSent) as error:
        ask(wecom.url, proxy.url)
    assert error.value.failure is Failure.NO_TLS


def test_no_repr_and_no_log_shows_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tasks")
    proxy = Proxy.parse(f"http://u:{ESCAPED}@127.0.0.1:1")
    client = WeComClient("ww0", "secret", proxy=f"http://u:{ESCAPED}@127.0.0.1:1")
    told = f"{proxy} {proxy!r} {client!r} {client.proxy} {caplog.text}"
    assert "127.0.0.1:1" in told
    for hidden in (PASSWORD, ESCAPED, proxy.authorization):
        assert hidden not in told

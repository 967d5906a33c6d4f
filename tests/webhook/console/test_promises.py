"""What holds for every page and every button, whoever adds one: walked from the console's own map of addresses."""

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import Client, EnvironBuilder

from tasks.ledger import intake
from tasks.services import Services, build_services
from tasks.storage import keys
from tasks.wecom.token import Token
from tests.support import samples
from tests.support.builders import ENVIRONMENT, some_settings
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.processes import RedisServer
from webhook import create_app
from webhook.console import auth, pacing, sessions
from webhook.server.concurrency_limit import AT_ONCE, ConcurrencyLimit

KEY = "session-signing-key-of-the-test"
CODE, ACCESS = "welcome-code-of-an-event", "access-token-of-the-app"
OPEN_TO_ALL = ("static", "language.choose", "access.sign_in")
MOMENTARY = (  # limits, caches of what WeCom tells, what keeps a look from being recorded twice
    *("LIMITS:", "wecom:token:", keys.staff(""), keys.staff_asked("")),
    *(keys.looked("", "").rstrip(":") + ":", keys.looks("")),
)


@pytest.fixture
def variables() -> dict[str, str]:
    """WeCom is away: nobody listens at that port."""
    return {"SECRET_KEY": KEY, "WECOM_AGENT_ID": "1000002", "WECOM_API_BASE": "http://127.0.0.1:9"}


@pytest.fixture
def book() -> str:
    return "version: 1\ntemplates:\n  default:\n    text: 您好\nrules:\n  - use: default\n"


@pytest.fixture
def services(services: Services) -> Services:
    """An installation that has lived."""
    samples.fill(services)
    return services


def addresses(browser: Browser, method: str) -> Iterator[tuple[Rule, str]]:
    """Every route that takes a method, with an address that leads to something."""
    for rule, address in samples.routes(browser.console, browser.services, method):
        if rule.endpoint not in ("static", "wecom.start"):  # which leads to WeCom
            yield rule, address


def everything(services: Services) -> dict[str, Any]:
    """All that Redis holds, but for what is of the moment."""
    found: dict[str, Any] = {}
    names = [key for key in services.redis.scan_iter(count=1000) if not key.startswith(MOMENTARY)]
    with services.redis.pipeline(transaction=False) as pipe:
        for key in names:
            pipe.type(key)
        kinds = pipe.execute()
    strings = [key for key, kind in zip(names, kinds, strict=True) if kind == "string"]
    with services.redis.pipeline(transaction=False) as pipe:
        for key in strings:
            pipe.dump(key)
        found |= zip(strings, pipe.execute(), strict=True)
    return found | {key: _held(services, key) for key in names if key not in found}


def _held(services: Services, key: str) -> Any:
    kind = services.redis.type(key)
    if kind == "hash":
        return services.redis.hgetall(key)
    if kind == "zset":
        return services.redis.zrange(key, 0, -1, withscores=True)
    return services.redis.smembers(key) if kind == "set" else services.redis.lrange(key, 0, -1)


def test_no_button_does_anything_without_its_token(services: Services) -> None:
    browser = Browser(services).sign_in()
    before = everything(services)
    walked = [
        (address, browser.client.post("/console" + address, data={"csrf_token": token, "do": "save", "name": "x"}))
        for token in ("", "forged")
        for _rule, address in addresses(browser, "POST")
    ]
    assert len(walked) > 40
    for address, answer in walked:
        expected = (302, 403) if address == "/login" else (403,)
        assert answer.status_code in expected, address
    assert everything(services) == before
    assert "password" not in browser.get("/").text


def test_no_page_of_another_site_sends_anything_nor_fills_in_a_form(services: Services) -> None:
    browser = Browser(services).sign_in()
    before = everything(services)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        for _rule, address in addresses(browser, "POST"):
            data = {"csrf_token": browser.token, "note": "put there by evil"}
            answer = browser.client.post("/console" + address, data=data, headers=headers)
            assert answer.status_code == 403, address
            assert "put there by evil" not in answer.text, address
    assert everything(services) == before
    same = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
    assert browser.client.post("/console/logout", data={"csrf_token": browser.token}, headers=same).status_code == 302


def test_looking_at_a_page_changes_nothing(services: Services) -> None:
    browser = Browser(services).sign_in()
    pages = [address for _rule, address in addresses(browser, "GET")] + samples.QUERIES
    now = everything(services)
    for page in pages:
        before = dict(now)
        answer = browser.get(page)
        assert answer.status_code < 500 or answer.status_code == 503, page
        now = everything(services)
        after = dict(now)
        is_file = "attachment" in answer.headers.get("Content-Disposition", "")
        taken_out = is_file and ("export" in page or ".csv" in page)
        if taken_out or (page.startswith("/e/") or page.endswith("/greeting")):  # both are recorded
            trail, newer = before.pop(keys.AUDIT), after.pop(keys.AUDIT)
            added = [json.loads(stored)["act"] for stored, _ms in newer if (stored, _ms) not in trail]
            assert added in ([["exported"]] if taken_out else [["looked"], []]), page
        assert after == before, page


def test_no_page_and_no_log_tells_a_secret(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    row = next(services.ledger.deliveries())
    services.redis.hset(keys.event(row.id), "welcome_code", CODE)
    services.clients["default"].tokens._token = Token(ACCESS, time.time() + 7000)  # so that WeCom is tried with it
    hidden = {
        *(PASSWORD, KEY, CODE, ACCESS),
        *(value for name, value in ENVIRONMENT.items() if name != "WECOM_CORP_ID"),
    }
    browser = Browser(services).sign_in()
    mark = browser.session()["mark"]
    told = []
    pages = [address for _rule, address in addresses(browser, "GET")] + samples.QUERIES
    for page in [*pages, f"/e/{row.id}"]:
        answer = browser.get(page)
        told.append((page, answer.text if answer.mimetype.startswith("text/") else ""))
    for name, text in [*told, ("the log", caplog.text)]:
        assert not [one for one in hidden | {mark} if one in text], name


def test_every_page_forbids_scripts_frames_and_keeping_it(services: Services) -> None:
    browser = Browser(services).sign_in()
    for _rule, address in addresses(browser, "GET"):
        headers = browser.get(address, follow_redirects=False).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, address
        assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'; sandbox", "sandbox"), address
        assert headers["X-Frame-Options"] == "DENY", address
        assert headers["X-Content-Type-Options"] == "nosniff", address
        assert "public" not in headers["Cache-Control"], address


# ------------------------------------------------------------------------------------------------ who is not signed in


class Watched(io.BytesIO):
    """A body that tells how much of it was read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.taken = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self.taken += count
        return count


def send(application: Flask, address: str, size: int, chunked: bool = False, cookie: str = "") -> tuple[int, int]:
    """(status, bytes that were read) of a form with a large file."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    body = Watched(head + b"\0" * size + b"\r\n--x--\r\n")
    builder = EnvironBuilder("/console" + address, method="POST", content_type="multipart/form-data; boundary=x")
    environ = builder.get_environ()
    environ["wsgi.input"] = body
    if chunked:
        environ["wsgi.input_terminated"] = True
        environ.pop("CONTENT_LENGTH", None)
    else:
        environ["CONTENT_LENGTH"] = str(len(body.getvalue()))
    environ["HTTP_COOKIE"] = cookie
    statuses: list[int] = []
    answer = application.wsgi_app(environ, lambda status, _headers, _error=None: statuses.append(int(status[:3])))  # type: ignore[arg-type,return-value]
    list(answer)
    getattr(answer, "close", lambda: None)()
    return statuses[0], body.taken


def test_who_is_not_signed_in_makes_nobody_read_a_large_body(services: Services) -> None:
    application = create_app(services)
    old = Browser(services).sign_in()
    old.session(used=int(time.time()) - sessions.IDLE - 60)
    ended = old.client.get_cookie("welcome-console", path="/")
    assert ended is not None
    for cookie in ("", f"welcome-console={ended.value}"):
        for _rule, address in addresses(Browser(services), "POST"):
            status, taken = send(application, address, 20 << 20, cookie=cookie)
            assert (status, taken) == (413, 0), address
    for address in ("/media", "/login", "/welcomes/import"):
        status, taken = send(application, address, 20 << 20, chunked=True)
        assert status == 413
        assert taken <= auth.STRANGERS_LIMIT + (64 << 10)


def test_signing_out_ends_the_session_for_whoever_has_a_copy_of_its_cookie(services: Services) -> None:
    browser = Browser(services).sign_in()
    cookie = browser.client.get_cookie("welcome-console", path="/")
    assert cookie is not None
    other = Browser(services)
    other.client.set_cookie("welcome-console", cookie.value, path="/")
    assert 'type="password"' not in other.get("/").text
    browser.post("/logout")
    other.client.set_cookie("welcome-console", cookie.value, path="/")
    assert 'type="password"' in other.get("/").text
    assert 'type="password"' not in Browser(services).sign_in().get("/").text


# ------------------------------------------------------------------------------------------------ guesses


def guess(browser: Browser, address: str = "127.0.0.1", forwarded: str = "") -> int:
    environ = {"REMOTE_ADDR": address, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})}
    data = {"name": "a", "password": "guess", "csrf_token": browser.token}
    return browser.client.post("/console/login", data=data, environ_base=environ).status_code


def test_guesses_that_come_all_at_once_are_few(services: Services) -> None:
    browser = Browser(services)
    browser.get("/login")
    cookie = browser.client.get_cookie("welcome-console", path="/")
    assert cookie is not None
    served = ConcurrencyLimit(browser.client.application)
    statuses: list[int] = []

    def one() -> None:
        client = Client(served)
        client.set_cookie("welcome-console", cookie.value, path="/")
        data = {"name": "a", "password": "guess", "csrf_token": browser.token}
        statuses.append(client.post("/console/login", data=data, buffered=True).status_code)

    threads = [threading.Thread(target=one) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 40
    assert 1 <= statuses.count(422) <= pacing.TRIES + AT_ONCE
    assert set(statuses) <= {422, 429, 503}


@pytest.mark.parametrize(
    ("hops", "forwarded", "last"),
    [("0", "9.9.9.{n}", 429), ("1", "9.9.9.{n}, 1.2.3.4", 429), ("1", "9.9.9.{n}", 422)],
)
def test_an_address_is_the_one_that_trusted_proxies_tell(
    services: Services, hops: str, forwarded: str, last: int
) -> None:
    told = replace(services, settings=replace(services.settings, trusted_proxies=int(hops)))
    browser = Browser(told)
    browser.get("/login")
    statuses = [guess(browser, forwarded=forwarded.format(n=n)) for n in range(pacing.TRIES + 1)]
    assert statuses == [422] * pacing.TRIES + [last]


@pytest.mark.parametrize(("address", "last"), [("2001:db8:1:2::{n}", 429), ("2001:db8:1:{n}::1", 422)])
def test_an_ipv6_network_is_one_address(services: Services, address: str, last: int) -> None:
    browser = Browser(services)
    browser.get("/login")
    statuses = [guess(browser, address.format(n=n)) for n in range(pacing.TRIES + 1)]
    assert statuses == [422] * pacing.TRIES + [last]


def test_guesses_are_counted_while_redis_is_away(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        settings = some_settings(REDIS_URL=server.url, CONSOLE_PASSWORD=PASSWORD, SECRET_KEY=KEY)
        browser = Browser(build_services(settings, timeout=intake.TIMEOUT))
        server.stop()
        browser.get("/login")
        assert [guess(browser) for _ in range(pacing.TRIES + 1)] == [422] * pacing.TRIES + [429]


def test_what_is_forwarded_opens_no_part_that_has_a_port_of_its_own(services: Services) -> None:
    settings = replace(
        services.settings, console_bind="127.0.0.1:9001", metrics_bind="127.0.0.1:9002", trusted_proxies=1
    )
    client = create_app(replace(services, settings=settings)).test_client()
    tricks = {"X-Forwarded-Port": "9001", "X-Forwarded-Host": "x:9001", "Host": "127.0.0.1:9001"}
    for path in (
        "/console",
        "/console/",
        "//console/",
        "/./console/",
        "/x/../console/",
        "/CONSOLE/",
        "/%63onsole/",
        "/%2fconsole/",
        "/console%2f",
        "/console;x/",
        "/console/static/console.css",
        "/callback/../console/login",
        "//metrics",
        "/metrics",
        "/metrics/",
        "/METRICS",
    ):
        answer = client.get(path, headers=tricks, environ_overrides={"SERVER_PORT": "80"}, follow_redirects=False)
        followed = answer.status_code in (301, 302, 308) and answer.location
        assert answer.status_code == 404 or followed, path
        if followed:
            again = client.get(answer.location, headers=tricks, environ_overrides={"SERVER_PORT": "80"})
            assert again.status_code == 404, path
    for path in ("//metrics", "///metrics", "//console/login"):  # a client library takes these for a host
        overrides = {"SERVER_PORT": "80", "PATH_INFO": path}
        assert client.get("/", environ_overrides=overrides).status_code == 404, path
    for path in ("/callback", "/metrics", "/readyz"):
        assert client.get(path, environ_overrides={"SERVER_PORT": "9001"}).status_code == 404


def test_an_upload_with_a_hostile_name_is_only_text(services: Services) -> None:
    browser = Browser(services).sign_in()
    browser.get("/media")
    name = '"><script>alert(1)</script>\r\nX-Evil: 1/../../etc/passwd'
    answer = browser.post(
        "/media",
        {"file": (io.BytesIO(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"), name)},
        content_type="multipart/form-data",
    )
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "X-Evil" not in answer.headers


def test_json_in_a_page_is_text(services: Services) -> None:
    row = next(services.ledger.deliveries())
    text = Browser(services).sign_in().get(f"/e/{row.id}").text
    assert json.dumps("<script>alert(1)</script>") not in text
    assert "{{7*7}}" in text_of(Browser(services).sign_in().get("/deliveries")) or "49" not in text

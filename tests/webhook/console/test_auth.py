"""Who comes in, for how long, and what every answer carries."""

import re
import time
from dataclasses import replace

import pytest
import redis
from limits import parse_many
from werkzeug.test import TestResponse

from tasks.ledger import intake
from tasks.people.sign_ins import SignIns
from tasks.services import Services, build_services
from tests.support.builders import some_settings
from tests.support.console import COOKIE, NAME, PASSWORD, Browser, text_of
from tests.support.processes import RedisServer
from webhook import create_app
from webhook.console import known_browsers, pacing, sessions
from webhook.console.pacing import TRIES, TRIES_OF_ADDRESS, TRIES_OF_ALL


def is_sign_in(response: TestResponse) -> bool:
    return 'type="password"' in response.text


def test_without_a_password_there_is_no_console(redis_url: str) -> None:
    client = create_app(build_services(some_settings(REDIS_URL=redis_url), timeout=intake.TIMEOUT)).test_client()
    for path in ("/console", "/console/", "/console/login", "/console/static/console.css"):
        assert client.get(path).status_code == 404


def test_every_page_asks_for_the_sign_in_and_comes_back_to_where_one_wanted_to_go(stranger: Browser) -> None:
    for rule in stranger.console.url_map.iter_rules():
        if rule.endpoint in ("static", "language.choose") or rule.arguments:
            continue
        assert is_sign_in(stranger.get(rule.rule)) or rule.methods.isdisjoint({"GET"}), rule  # type: ignore[union-attr]
    answer = stranger.get("/", {"app": "default"}, follow_redirects=False)
    assert answer.status_code == 302
    assert "next=/console/?app%3Ddefault" in answer.location or "next=%2Fconsole%2F%3Fapp%3Ddefault" in answer.location


def test_a_name_and_the_password_open_it_and_signing_out_closes_it(stranger: Browser) -> None:
    stranger.sign_in()
    assert NAME in text_of(stranger.get("/"))
    stranger.post("/logout")
    assert is_sign_in(stranger.get("/"))


@pytest.mark.parametrize(
    "data",
    [
        {"name": NAME, "password": "guess"},
        {"name": "", "password": PASSWORD},
        {"name": "x" * 65, "password": PASSWORD},
        {},
    ],
)
def test_a_wrong_sign_in_says_so_keeps_the_name_and_never_the_password(stranger: Browser, data: dict[str, str]) -> None:
    stranger.get("/login")
    answer = stranger.post("/login", data)
    assert answer.status_code == 422
    assert is_sign_in(answer)
    assert "guess" not in answer.text
    assert PASSWORD not in answer.text
    if data.get("name"):
        assert data["name"][:64] in answer.text


def wait_told(answer: TestResponse) -> int:
    """Seconds that a page says; 0 if it says none."""
    found = re.search(r"possible in (\d+) seconds?", text_of(answer))
    return int(found[1]) if found else 0


def test_after_a_few_wrong_passwords_a_name_waits_for_seconds_and_is_told_how_many(services: Services) -> None:
    guesser = Browser(services, REMOTE_ADDR="10.0.0.1")
    for number in range(TRIES):
        guesser.get("/login")
        answer = guesser.post("/login", {"name": "a", "password": "guess"})
        assert answer.status_code == 422
        assert bool(wait_told(answer)) is (number == TRIES - 1)
    assert 1 <= wait_told(answer) <= 10
    answer = guesser.post("/login", {"name": "a", "password": PASSWORD, "next": "/console/queue"})
    assert answer.status_code == 429
    assert 1 <= wait_told(answer) <= 10
    assert 1 <= int(answer.headers["Retry-After"]) <= 10
    assert 'value="a"' in answer.text
    assert 'value="/console/queue"' in answer.text
    assert PASSWORD not in answer.text


def test_colleagues_at_the_same_address_do_not_wait_for_one_who_is_wrong(services: Services) -> None:
    assert guesses(services, TRIES + 1, "10.0.0.1") == [422] * TRIES + [429]
    for name in ("b", "c", "A colleague"):
        assert not is_sign_in(Browser(services, REMOTE_ADDR="10.0.0.1").sign_in(name).get("/"))


def test_other_names_do_not_make_an_address_faster(services: Services) -> None:
    names = [f"n{n}" for n in range(TRIES_OF_ADDRESS + 1)]
    stranger = Browser(services, REMOTE_ADDR="10.0.0.1")
    stranger.get("/login")
    answers = [stranger.post("/login", {"name": name, "password": "guess"}) for name in names]
    assert [one.status_code for one in answers] == [422] * TRIES_OF_ADDRESS + [429]
    assert 1 <= wait_told(answers[-1]) <= 60
    assert guesses(services, 1, "10.0.0.2") == [422]  # so one address leaves others a try


@pytest.mark.parametrize("name", ["a ", " A", "a\t"])
def test_the_same_name_written_in_another_way_is_the_same(services: Services, name: str) -> None:
    assert guesses(services, TRIES, "10.0.0.1") == [422] * TRIES
    other = Browser(services, REMOTE_ADDR="10.0.0.1")
    other.get("/login")
    assert other.post("/login", {"name": name, "password": PASSWORD}).status_code == 429


def test_waits_grow_to_a_minute_and_never_longer() -> None:
    windows = [one.get_expiry() for one in parse_many(pacing.OF_NAME)]
    amounts = [one.amount for one in parse_many(pacing.OF_NAME)]
    assert windows == sorted(set(windows))
    assert amounts == sorted(set(amounts))
    assert windows[-1] == 60
    assert amounts[-1] <= TRIES_OF_ADDRESS < TRIES_OF_ALL <= 10


def test_right_passwords_count_for_nothing_and_a_name_is_stored_nowhere(services: Services) -> None:
    for _ in range(TRIES_OF_ALL + 1):
        assert not is_sign_in(Browser(services, REMOTE_ADDR="10.0.0.2").sign_in("hunter2").get("/"))
    stranger = Browser(services, REMOTE_ADDR="10.0.0.3")
    stranger.get("/login")
    stranger.post("/login", {"name": "hunter2", "password": "guess"})
    counted = list(services.redis.scan_iter("LIMITS*"))
    assert counted
    assert "hunter2" not in str(counted)


def guesses(services: Services, number: int, address: str = "10.1.{n}.1", **environ: str) -> list[int]:
    """Wrong passwords of strangers, each from an address of its own, within the seconds for which they count."""
    statuses = []
    stranger = Browser(services, **environ)
    for n in range(number):
        stranger.client = stranger.client.application.test_client()  # who has no cookie
        stranger.environ["REMOTE_ADDR"] = address.format(n=n)
        stranger.get("/login")
        statuses.append(stranger.post("/login", {"name": "a", "password": "guess"}).status_code)
    return statuses


def test_a_hundred_wrong_passwords_from_anywhere_do_not_lock_out_who_was_here_before(services: Services) -> None:
    colleague = Browser(services, REMOTE_ADDR="10.0.0.9").sign_in()
    colleague.post("/logout")
    statuses = guesses(services, 100)
    assert statuses[:TRIES_OF_ALL] == [422] * TRIES_OF_ALL  # a turn of the minute begins anew
    assert statuses.count(422) <= 3 * TRIES_OF_ALL
    assert set(statuses) == {422, 429}
    assert guesses(services, TRIES_OF_ALL + 1)[-1] == 429
    assert not is_sign_in(colleague.sign_in().get("/"))


def test_nor_do_those_from_the_same_address(services: Services) -> None:
    colleague = Browser(services, REMOTE_ADDR="10.0.0.9").sign_in()
    colleague.post("/logout")
    assert guesses(services, TRIES + 1, "10.0.0.9") == [422] * TRIES + [429]
    assert not is_sign_in(colleague.sign_in().get("/"))


def test_a_known_browser_is_counted_for_itself_wherever_it_is(services: Services) -> None:
    known = Browser(services, REMOTE_ADDR="10.0.0.9").sign_in()
    known.post("/logout")
    statuses = []
    for n in range(TRIES + 1):
        known.environ["REMOTE_ADDR"] = f"10.2.{n}.1"
        known.get("/login")
        statuses.append(known.post("/login", {"name": "a", "password": "guess"}).status_code)
    assert statuses == [422] * TRIES + [429]
    assert guesses(services, 1) == [422]  # and not for the others


@pytest.mark.parametrize("value", ["", "x", "abc.def.ghi", "ImZvcmdlZCI.aQ.x" * 50, '"1"'])
def test_nobody_makes_himself_known(services: Services, value: str) -> None:
    assert guesses(services, TRIES_OF_ALL) == [422] * TRIES_OF_ALL
    forger = Browser(services, REMOTE_ADDR="10.0.0.8")
    forger.client.set_cookie(known_browsers.COOKIE, value, path="/")
    forger.get("/login")
    assert forger.post("/login", {"name": "a", "password": PASSWORD}).status_code == 429


def test_a_cookie_of_another_key_or_of_long_ago_makes_nobody_known(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Browser(services).sign_in()
    cookie = known.client.get_cookie(known_browsers.COOKIE, path="/")
    assert cookie is not None
    with known.console.test_request_context("/", headers={"Cookie": f"{known_browsers.COOKIE}={cookie.value}"}):
        assert known_browsers.known() is not None
        monkeypatch.setattr(known_browsers, "LIFE", -1)
        assert known_browsers.known() is None
        monkeypatch.undo()
        monkeypatch.setattr(known.console, "secret_key", "another-key-of-another-console")
        assert known_browsers.known() is None


def test_a_browser_is_remembered_by_a_cookie_without_a_name_that_opens_nothing(services: Services) -> None:
    browser = Browser(services)
    browser.get("/login")
    assert browser.client.get_cookie(known_browsers.COOKIE, path="/") is None
    browser.post("/login", {"name": NAME, "password": PASSWORD})
    cookie = browser.client.get_cookie(known_browsers.COOKIE, path="/")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert cookie.max_age == known_browsers.LIFE
    browser.client.delete_cookie(COOKIE, path="/")
    assert is_sign_in(browser.get("/"))


def test_who_is_signed_in_already_becomes_known_with_the_next_page(browse: Browser) -> None:
    assert browse.client.get_cookie(known_browsers.COOKIE, path="/") is None
    browse.get("/")
    assert browse.client.get_cookie(known_browsers.COOKIE, path="/") is not None


def test_a_page_of_another_site_is_never_followed(stranger: Browser) -> None:
    for target in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "///console/evil",
        "/\\/console/evil",
        "////console/evil",
        "//[evil",
        "https://[evil",
        "/console/\\..//x",
        "/other",
        "javascript:x",
    ):
        stranger.get("/login")
        answer = stranger.post("/login", {"name": "a", "password": PASSWORD, "next": target}, follow_redirects=False)
        assert answer.location.startswith("/console/"), target
        assert "evil" not in answer.location
        stranger.post("/logout")


def test_a_form_without_the_token_is_refused_and_its_text_is_kept(browse: Browser) -> None:
    answer = browse.client.post("/console/logout", data={"note": "a <b>note</b>", "csrf_token": "forged"})
    assert answer.status_code == 403
    assert 'name="note" value="a &lt;b&gt;note&lt;/b&gt;"' in answer.text
    assert "forged" not in answer.text
    assert not is_sign_in(browse.get("/"))


def test_who_writes_while_the_session_ends_signs_in_again_and_sends_the_same_text(browse: Browser) -> None:
    browse.client.delete_cookie("welcome-console", path="/")
    answer = browse.post("/logout", {"note": "写了很久"})
    assert answer.status_code == 401
    assert is_sign_in(answer)
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', answer.text))
    answer = browse.post("/login", {**fields, "name": NAME, "password": PASSWORD})
    assert answer.status_code == 200
    assert 'action="/console/logout"' in answer.text
    assert 'name="note" value="写了很久"' in answer.text


def test_a_part_of_a_page_never_holds_the_sign_in(stranger: Browser) -> None:
    answer = stranger.get(
        "/", headers={"HX-Request": "true", "HX-Current-URL": "http://localhost/console/?app=default"}
    )
    assert (answer.status_code, answer.data) == (401, b"")
    assert answer.headers["HX-Redirect"].startswith("/console/login?next=")


@pytest.mark.parametrize(
    ("seconds", "by", "open_"),
    [(sessions.IDLE - 60, "used", True), (sessions.IDLE + 60, "used", False), (sessions.LIFE + 60, "began", False)],
)
def test_a_session_ends(browse: Browser, seconds: float, by: str, open_: bool) -> None:
    browse.session(**{by: int(time.time() - seconds)})
    assert is_sign_in(browse.get("/")) is not open_


def test_a_refresh_by_the_page_itself_does_not_prolong_the_session(browse: Browser) -> None:
    before = browse.session(used=int(time.time()) - 3600)["used"]
    browse.get("/", headers={"HX-Request": "true"})
    assert browse.session()["used"] == before
    browse.get("/")
    assert browse.session()["used"] > before


def test_a_new_password_ends_every_session(browse: Browser, services: Services) -> None:
    cookie = browse.client.get_cookie("welcome-console", path="/")
    assert cookie is not None
    for password, open_ in ((PASSWORD, True), ("another", False)):
        other = Browser(replace(services, settings=replace(services.settings, console_password=password)))
        other.client.set_cookie("welcome-console", cookie.value, path="/")
        assert is_sign_in(other.get("/")) is not open_


def test_cookies_are_out_of_reach_of_scripts_and_bound_to_tls_behind_it(redis_url: str) -> None:
    settings = some_settings(REDIS_URL=redis_url, CONSOLE_PASSWORD=PASSWORD, TRUSTED_PROXIES="1")
    browser = Browser(build_services(settings, timeout=intake.TIMEOUT))
    answer = browser.get("/login", headers={"X-Forwarded-Proto": "https"})
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if "console" in one]
    assert cookie.startswith("__Host-welcome-console=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Secure" not in browser.get("/login").headers.get("Set-Cookie", "")


def test_every_answer_carries_the_strict_headers(browse: Browser) -> None:
    for path in ("/", "/login", "/nowhere", "/static/console.css"):
        headers = browse.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_the_callback_knows_nothing_of_cookies_and_headers(browse: Browser) -> None:
    headers = browse.client.get("/callback").headers
    assert "Set-Cookie" not in headers
    assert "Content-Security-Policy" not in headers


def test_the_language_is_the_browsers_until_one_is_chosen(services: Services) -> None:
    browser = Browser(services)
    browser.client.delete_cookie("welcome-language")
    for wanted, lang in (
        ("zh-CN,zh;q=0.9", "zh-Hans"),
        ("zh-TW", "zh-Hans"),
        ("en-US,en", "en"),
        ("fr", "zh-Hans"),
        ("", "zh-Hans"),
    ):
        assert f'<html lang="{lang}">' in browser.get("/login", headers={"Accept-Language": wanted}).text
    browser.get("/language/en")
    assert '<html lang="en">' in browser.get("/login", headers={"Accept-Language": "zh-CN"}).text


@pytest.mark.parametrize("path", ["/nowhere", "/?app=nobody"])
def test_an_unknown_page_says_so(browse: Browser, path: str) -> None:
    answer = browse.get(path)
    assert answer.status_code == 404
    assert "The address is wrong" in text_of(answer)


def test_a_session_that_has_ended_acts_in_no_moment_in_which_redis_does_not_tell_it(
    browse: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> bool:
        raise redis.TimeoutError

    assert browse.get("/queue").status_code == 200
    monkeypatch.setattr(SignIns, "has_ended", silent)
    assert browse.get("/queue").status_code == 200
    answer = browse.post("/queue/lanes/welcome/pause", {"note": "half a minute"})
    assert answer.status_code == 503
    assert "half a minute" in answer.text
    assert browse.get("/audit").status_code == 503
    assert not services.queue_pauses.paused()


def test_while_redis_is_away_pages_say_so_and_keep_what_was_typed(tmp_path: object) -> None:
    with RedisServer(tmp_path) as server:  # type: ignore[arg-type]
        settings = some_settings(REDIS_URL=server.url, CONSOLE_PASSWORD=PASSWORD)
        browser = Browser(build_services(settings, timeout=intake.TIMEOUT)).sign_in()
        server.stop()
        assert browser.get("/").status_code in (200, 503)  # signed in still: the key is known
        away = Browser(build_services(settings, timeout=intake.TIMEOUT))
        assert away.get("/").status_code == 503
        assert "Cannot read the data" in text_of(away.get("/"))

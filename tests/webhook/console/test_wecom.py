"""Sign-in with WeCom: who comes in, and all the ways in which somebody else would."""

import json
import logging
import re
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from tasks.ledger import intake
from tasks.people import members
from tasks.people.roles import Admin, Grant, Kind, Role
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tasks.wecom import auth as wecom_pages
from tests.simulator.client import StandIn
from tests.simulator.sign_in import LINKED, OUTSIDER
from tests.simulator.world import App
from tests.support.console import COOKIE, PASSWORD, Browser, text_of
from webhook.console import wecom as views

WITHIN_WECOM = "Mozilla/5.0 (Windows NT 10.0; Win64) wxwork/4.1.36 MicroMessenger/7.0.1 Language/zh"
HELD = views.COOKIE


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(
        members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四", "department": [5]}, "wangwu": {"name": "王五"}},
        departments={2: {"parentid": 1}, 5: {"parentid": 2}},
    )
    return at_wecom | {"CONSOLE_ADMINS": "zhangsan"}


def corp(services: Services) -> str:
    return services.settings.apps["default"].corp_id


def give(services: Services, identity: str, role: Role, kind: Kind = Kind.MEMBER, corp_id: str = "") -> None:
    services.grants.give(Grant(corp_id or corp(services), kind, identity, role))


def is_in(browser: Browser) -> bool:
    return browser.get("/", follow_redirects=False).status_code == 200


def start(browser: Browser, **query: str) -> dict[str, str]:
    """What WeCom's page is asked with."""
    begun = browser.get("/login/wecom/start/default", query, follow_redirects=False)
    return {name: values[0] for name, values in parse_qs(urlsplit(begun.location).query).items()}


def back(browser: Browser, **query: str) -> TestResponse:
    return browser.get("/login/wecom/back", query, follow_redirects=False)


def why(browser: Browser) -> str:
    return text_of(browser.get("/login"))


# ------------------------------------------------------------------------------------------------ who comes in


def test_a_member_with_a_role_comes_in_where_he_wanted_to_go(wecom: StandIn, services: Services) -> None:
    browser = Browser(services)
    page = browser.sign_in_with_wecom(wecom, "zhangsan", "/console/queue")
    assert page.request.path == "/console/queue"
    assert "张三 (zhangsan)" in text_of(page)
    (entry,) = services.audit.entries()
    assert (entry.act, entry.who, entry.via) == ("signed_in", "zhangsan", "wecom")


@pytest.mark.parametrize(("department", "comes_in"), [(5, True), (2, True), (1, True), (7, False)])
def test_a_role_of_a_department_is_of_everybody_below_it(
    wecom: StandIn, services: Services, department: int, comes_in: bool
) -> None:
    give(services, str(department), Role.VIEWER, Kind.DEPARTMENT)
    browser = Browser(services)
    browser.sign_in_with_wecom(wecom, "lisi")
    assert is_in(browser) is comes_in


def test_the_page_offers_it_beside_the_password_or_alone(wecom: StandIn, services: Services) -> None:
    assert "Sign in with WeCom" in why(Browser(services))
    assert 'type="password"' in Browser(services).get("/login").text
    nobody = replace(services, settings=replace(services.settings, console_admins=()))
    assert "Sign in with WeCom" not in why(Browser(nobody))
    give(services, "lisi", Role.VIEWER)
    assert "Sign in with WeCom" in why(Browser(nobody))
    alone = Browser(replace(services, settings=replace(services.settings, console_password=None)))
    page = alone.get("/login")
    assert 'type="password"' not in page.text
    assert alone.post("/missed/tick", {"note": "x"}).status_code == 401  # its page has a form, and so a token
    assert alone.post("/login", {"name": "a", "password": ""}).status_code == 404
    assert alone.post("/login", {"name": "a", "password": "None"}).status_code == 404
    alone.sign_in_with_wecom(wecom, "zhangsan")
    assert is_in(alone)


def test_a_session_of_the_password_ends_when_there_is_none_any_more(services: Services) -> None:
    browser = Browser(services).signed_in()
    cookie = browser.client.get_cookie(COOKIE, path="/")
    assert cookie is not None
    alone = Browser(replace(services, settings=replace(services.settings, console_password=None)))
    alone.client.set_cookie(COOKIE, cookie.value, path="/")
    assert not is_in(alone)


def test_wecom_s_own_browser_is_sent_on_at_once_and_others_to_the_sign_in(services: Services) -> None:
    inside = Browser(services, HTTP_USER_AGENT=WITHIN_WECOM)
    first = inside.get("/deliveries", {"outcome": "sent"}, follow_redirects=False)
    assert urlsplit(first.location).path == "/console/login/wecom/start/default"
    second = inside.get(first.location.removeprefix("/console"), follow_redirects=False)
    api = services.settings.api_base
    assert second.location.startswith(f"{api}/connect/oauth2/authorize?")
    assert second.location.endswith("#wechat_redirect")
    assert Browser(services).get("/", follow_redirects=False).location.startswith("/console/login?")
    assert (
        Browser(services)
        .get("/login/wecom/start/default", follow_redirects=False)
        .location.startswith(f"{api}/wwlogin/sso/login?login_type=CorpApp&")
    )
    assert inside.get("/login", follow_redirects=False).status_code == 200  # after a failure nobody goes in circles


def test_only_where_the_api_is_a_stand_in_on_this_machine_are_its_pages_taken(services: Services) -> None:
    for base in ("https://qyapi.weixin.qq.com", "https://relay.example.com", "http://127.0.0.1.evil.example"):
        browser = Browser(replace(services, settings=replace(services.settings, api_base=base)))
        for agent, page in (("", wecom_pages.QR_PAGE), (WITHIN_WECOM, wecom_pages.SILENT_PAGE)):
            browser.environ = {"HTTP_USER_AGENT": agent}
            begun = browser.get("/login/wecom/start/default", follow_redirects=False)
            assert begun.location.startswith(page + "?")


def test_wecom_is_told_where_to_come_back_to_as_the_browser_knows_it(services: Services) -> None:
    public = replace(services.settings, public_url="https://welcome.example.com", trusted_proxies=0)
    browser = Browser(replace(services, settings=public))
    for host, origin in (("welcome.example.com", "https://welcome.example.com"), ("10.0.0.5:81", "http://10.0.0.5:81")):
        begun = browser.get("/login/wecom/start/default", headers={"Host": host}, follow_redirects=False)
        asked = parse_qs(urlsplit(begun.location).query)["redirect_uri"]
        assert asked == [f"{origin}/console/login/wecom/back"]


# ------------------------------------------------------------------------------------------------ who does not


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("wangwu", "王五 (wangwu) has no role here"),
        (OUTSIDER, "Only members of the company"),
        ("wm1", "Only members of the company"),  # a customer
        (LINKED, "Only members of the company"),  # a zhangsan, but of a linked corp
    ],
)
def test_who_has_no_role_or_is_no_member_stays_out(wecom: StandIn, services: Services, who: str, said: str) -> None:
    wecom.people(customers={"wm1": {"name": "zhangsan"}})
    browser = Browser(services)
    assert said in text_of(browser.sign_in_with_wecom(wecom, who))
    assert not is_in(browser)


@pytest.mark.parametrize("status", [2, 4, 5])
def test_a_member_who_is_not_active_stays_out_though_an_admin(wecom: StandIn, services: Services, status: int) -> None:
    wecom.people(members={"zhangsan": {"status": status}})
    browser = Browser(services)
    assert "has no role here" in text_of(browser.sign_in_with_wecom(wecom, "zhangsan"))
    assert not is_in(browser)


def test_a_code_that_was_used_or_is_of_another_app_opens_nothing(wecom: StandIn, services: Services) -> None:
    other = wecom.register(App.random("other", corp_id=corp(services)))
    used = wecom.code_for("zhangsan")
    services.clients["default"].auth.getuserinfo(used)
    for code in (used, wecom.code_for("zhangsan", other.name), "nobody's", "x" * 600):
        browser = Browser(services)
        assert back(browser, code=code, state=start(browser)["state"]).location.startswith("/console/login")
        assert not is_in(browser)
    assert "The answer is not WeCom's" in why(browser)


def test_a_state_that_is_forged_missing_or_another_browser_s_is_refused(wecom: StandIn, services: Services) -> None:
    attacker, victim = Browser(services), Browser(services)
    theirs, code = start(attacker)["state"], wecom.code_for("zhangsan")
    for given in ({"state": theirs}, {"state": "0" * 32}, {"state": ""}, {}):
        back(victim, code=code, **given)  # signing the victim in as somebody else is an attack too
        assert not is_in(victim)
    own = start(victim)["state"]
    assert own != theirs
    back(victim, code=code, state=theirs)
    assert not is_in(victim)
    assert "started in another browser" in why(victim)
    back(victim, code=code, state=own)
    assert not is_in(victim)  # a refused return has used up what was begun
    back(attacker, code=code, state=theirs)
    assert is_in(attacker)  # the code itself was not touched by any of this


def test_a_state_works_once_though_its_cookie_is_put_back(wecom: StandIn, services: Services) -> None:
    browser = Browser(services)
    state = start(browser)["state"]
    held = browser.client.get_cookie(HELD, path="/")
    assert held is not None
    back(browser, code=wecom.code_for("zhangsan"), state=state)
    assert is_in(browser)
    assert browser.client.get_cookie(HELD, path="/") is None
    copy = Browser(services)
    copy.client.set_cookie(HELD, held.value, path="/")
    back(copy, code=wecom.code_for("zhangsan"), state=state)
    assert not is_in(copy)


def test_a_sign_in_has_ten_minutes(wecom: StandIn, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(services)
    state = start(browser)["state"]
    monkeypatch.setattr(views, "LIFE", -1)
    back(browser, code=wecom.code_for("zhangsan"), state=state)
    assert not is_in(browser)


@pytest.mark.parametrize("value", ["", "x", "abc.def.ghi", '["a","default","/console/"]'])
def test_nobody_makes_a_state_of_his_own(wecom: StandIn, services: Services, value: str) -> None:
    browser = Browser(services)
    browser.client.set_cookie(HELD, value, path="/")
    back(browser, code=wecom.code_for("zhangsan"), state="a")
    assert not is_in(browser)


def test_a_cookie_signed_for_something_else_is_no_state(wecom: StandIn, services: Services) -> None:
    browser = Browser(services).signed_in()
    session = browser.client.get_cookie(COOKIE, path="/")
    assert session is not None
    stranger = Browser(services)
    stranger.client.set_cookie(HELD, session.value, path="/")
    back(stranger, code=wecom.code_for("zhangsan"), state="a")
    assert not is_in(stranger)


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/console/\\..//x", "javascript:x", "/x"]
)
def test_nobody_is_sent_to_another_site(wecom: StandIn, services: Services, target: str) -> None:
    browser = Browser(services)
    asked = start(browser, next=target)
    assert "evil" not in str(asked)
    answer = back(browser, code=wecom.code_for("zhangsan"), state=asked["state"], next=target, redirect=target)
    assert answer.location.startswith("/console/")
    assert "evil" not in answer.location


def test_a_session_that_somebody_has_put_there_before_is_not_gone_on_with(wecom: StandIn, services: Services) -> None:
    attacker = Browser(services)
    give(services, "lisi", Role.VIEWER)
    attacker.sign_in_with_wecom(wecom, "lisi")
    fixed = attacker.client.get_cookie(COOKIE, path="/")
    assert fixed is not None
    victim = Browser(services)
    victim.client.set_cookie(COOKIE, fixed.value, path="/")
    victim.sign_in_with_wecom(wecom, "zhangsan")
    assert "张三" in text_of(victim.get("/"))
    assert victim.session()["id"] != attacker.session()["id"]
    assert not is_in(attacker)  # what stood in this browser before has ended


def test_cancelling_and_wecom_s_refusals_are_told_in_words(wecom: StandIn, services: Services) -> None:
    browser = Browser(services)
    back(browser, state=start(browser)["state"])
    assert "cancelled" in why(browser)
    back(browser, state=start(browser)["state"], code="nobody's")
    assert "(40029): sign in again" in why(browser)
    wecom.faults(busy=1, paths=("auth/getuserinfo",))
    back(browser, state=start(browser)["state"], code=wecom.code_for("zhangsan"))
    assert "WeCom is busy (-1)" in why(browser)
    wecom.faults(dropped_before=1, paths=("auth/getuserinfo",))
    back(browser, state=start(browser)["state"], code=wecom.code_for("zhangsan"))
    assert "WeCom does not answer" in why(browser)
    assert not is_in(browser)


def test_returns_are_limited_before_wecom_is_asked(wecom: StandIn, services: Services) -> None:
    browser = Browser(services, REMOTE_ADDR="10.0.0.1")
    statuses = [back(browser, state=start(browser)["state"], code="x").status_code for _ in range(12)]
    assert statuses == [302] * 10 + [429] * 2
    other = Browser(services, REMOTE_ADDR="10.0.0.2")
    other.sign_in_with_wecom(wecom, "zhangsan")
    assert is_in(other)


def test_the_code_stands_in_no_log_no_page_no_cookie_and_no_address(
    wecom: StandIn, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    codes = [wecom.code_for(who) for who in ("zhangsan", "wangwu", OUTSIDER)]
    for code in codes:
        browser = Browser(services)
        answer = back(browser, state=start(browser)["state"], code=code)
        said = [answer.location, answer.text, str(answer.headers), why(browser), json.dumps(browser.session())]
        assert not [one for one in said if code in one]
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("urllib3")]
    assert not [line for line in ours if any(code in line for code in codes)]
    stored = {key: services.redis.dump(key) for key in services.redis.scan_iter(count=1000)}
    assert not [key for key, value in stored.items() if any(code.encode() in (value or b"") for code in codes)]


def test_a_sign_in_while_redis_is_away_is_refused(wecom: StandIn, services: Services) -> None:
    away = read(
        {
            "REDIS_URL": "redis://127.0.0.1:1",
            "CONSOLE_ADMINS": "zhangsan",
            "SECRET_KEY": "k" * 32,
            **_app(services),
        },
        Path.cwd(),
    )
    browser = Browser(build_services(away, timeout=intake.TIMEOUT))
    answer = back(browser, state=start(browser)["state"], code=wecom.code_for("zhangsan"))
    assert answer.status_code == 503
    assert COOKIE not in str(answer.headers.getlist("Set-Cookie"))


def _app(services: Services) -> dict[str, str]:
    app = services.settings.apps["default"]
    return {
        "WECOM_CORP_ID": app.corp_id,
        "WECOM_CORP_SECRET": app.secret,
        "WECOM_TOKEN": app.token,
        "WECOM_ENCODING_AES_KEY": app.encoding_aes_key,
        "WECOM_AGENT_ID": app.agent_id,
        "WECOM_API_BASE": services.settings.api_base,
    }


# ------------------------------------------------------------------------------------------------ who loses it


def test_a_role_that_is_taken_ends_with_the_next_request(wecom: StandIn, services: Services) -> None:
    give(services, "lisi", Role.PUBLISHER)
    browser = Browser(services)
    browser.sign_in_with_wecom(wecom, "lisi")
    assert is_in(browser)
    give(services, "lisi", Role.VIEWER)
    assert browser.post("/queue/lanes/welcome/pause").status_code == 403
    services.grants.take(services.grants.all()[0].field)
    assert not is_in(browser)
    assert browser.post("/missed/tick", {"note": "写了很久"}).status_code == 401


def asked_again(services: Services, userid: str) -> None:
    """As if WeCom had been asked some minutes ago."""
    name = keys.person(corp(services), userid)
    values = json.loads(str(services.redis.get(name)))
    at = round((time.time() - members.FRESH - 1) * 1000)
    services.redis.set(name, json.dumps(values | {"at": at}))


def test_a_member_who_leaves_or_changes_department_is_out_within_minutes(wecom: StandIn, services: Services) -> None:
    give(services, "5", Role.EDITOR, Kind.DEPARTMENT)
    browser = Browser(services)
    for different in ({"status": 5}, {"status": 1, "department": [1]}):
        wecom.people(members={"lisi": {"status": 1, "department": [5]}})
        browser.sign_in_with_wecom(wecom, "lisi")
        assert is_in(browser)
        wecom.people(members={"lisi": different})
        assert is_in(browser)
        asked_again(services, "lisi")
        assert not is_in(browser)


def test_a_session_lives_through_wecom_s_silence_and_through_redis_absence_as_a_viewer(
    wecom: StandIn, services: Services
) -> None:
    browser = Browser(services)
    browser.sign_in_with_wecom(wecom, "zhangsan")
    wecom.faults(dropped_before=1, paths=("user/get",))
    asked_again(services, "zhangsan")
    assert is_in(browser)
    away = build_services(
        replace(services.settings, redis_url="redis://127.0.0.1:1", secret_key=browser.console.secret_key),
        timeout=intake.TIMEOUT,
    )
    later = Browser(away)
    cookie = browser.client.get_cookie(COOKIE, path="/")
    assert cookie is not None
    later.client.set_cookie(COOKIE, cookie.value, path="/")
    later.get("/setup")
    answer = later.post("/people", {"id": "wangwu", "role": "admin", "kind": "member"})
    assert answer.status_code == 503  # whether he still is an admin nobody can tell
    assert 'name="id" value="wangwu"' in answer.text


def test_the_same_userid_in_another_corp_is_somebody_else(
    wecom: StandIn, services: Services, redis_url: str, tmp_path: Path
) -> None:
    ours, app = (
        services.settings.apps["default"],
        "secret = '{}'\ntoken = '{}'\nencoding_aes_key = '{}'\nagent_id = '{}'\n",
    )
    theirs = wecom.register(App.random("theirs"))
    wecom.people(members={"zhangsan": {"name": "another"}}, app="theirs")
    text = ""
    for name, one in (("default", ours), ("theirs", theirs)):
        secrets = app.format(one.secret, one.token, one.encoding_aes_key, one.agent_id)
        text += f"[apps.{name}]\ncorp_id = '{one.corp_id}'\n{secrets}"
    (tmp_path / "apps.toml").write_text(text)
    given = {"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url, "WECOM_API_BASE": services.settings.api_base}
    settings = read({**given, "CONSOLE_ADMINS": f"{ours.corp_id}/zhangsan"}, tmp_path)
    both = build_services(settings, timeout=intake.TIMEOUT)
    browser = Browser(both)
    begun = browser.get("/login/wecom/start/theirs", follow_redirects=False)
    state = parse_qs(urlsplit(begun.location).query)["state"][0]
    back(browser, state=state, code=wecom.code_for("zhangsan", "theirs"))
    assert not is_in(browser)
    state = start(browser)["state"]
    back(browser, state=state, code=wecom.code_for("zhangsan", "theirs"))  # through the other app's door
    assert not is_in(browser)
    browser.sign_in_with_wecom(wecom, "zhangsan")
    assert is_in(browser)
    assert next(both.audit.entries()).who == f"{ours.corp_id}/zhangsan"
    browser.session(corp=theirs.corp_id)
    assert not is_in(browser)  # a session is of the corp that it was begun with
    assert re.search("start/default.*start/theirs", Browser(both).get("/login").text, re.DOTALL)


def test_the_release_before_takes_no_session_of_wecom_s_for_one_of_its_own(wecom: StandIn, services: Services) -> None:
    browser = Browser(services)
    give(services, "lisi", Role.VIEWER)
    browser.sign_in_with_wecom(wecom, "lisi")
    held = browser.session()
    marks = {browser.signed_in().session()["mark"]}
    assert held["mark"] not in marks  # it compares nothing else
    assert services.settings.console_password == PASSWORD
    assert Admin("lisi") not in services.settings.console_admins

"""An admin makes tokens of the API, sees each secret once, and revokes them."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tasks.people import api_tokens
from tasks.people.api_tokens import ApiToken, Scope
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import CORP, ENVIRONMENT
from tests.support.console import NAME, PASSWORD, Browser, text_of

DAY = 86_400
BI: dict[str, Any] = {"name": " BI ", "scopes": ["numbers:read", "deliveries:read"], "life": "30"}


def form_of(browser: Browser) -> str:
    """Open the page. → the id of its form."""
    page = browser.get("/people/tokens")
    identity = re.search(r'name="id" type="hidden" value="(\w+)"', page.text)
    assert identity
    return identity[1]


def make(browser: Browser, **given: Any) -> TestResponse:
    """Open the page, fill in its form and send it."""
    return browser.post("/people/tokens", {"id": form_of(browser), **BI, **given})


def secrets_of(page: TestResponse) -> list[str]:
    return re.findall(r'id="secret">(\w+)<', page.text)


def stored(redis: Redis) -> str:
    """What Redis holds in strings and hashes, and the audit trail."""
    found = []
    for key in redis.scan_iter():
        kind = redis.type(key)
        found.append(str(redis.hgetall(key) if kind == "hash" else redis.get(key) if kind == "string" else ""))
    return "".join(found) + str(redis.zrange(keys.AUDIT, 0, -1))


def test_a_secret_is_shown_once_and_is_nowhere_else(browse: Browser, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = make(browse)
    (secret,) = secrets_of(answer)
    (token,) = browse.services.api_tokens.all()
    assert (token.name, token.scopes, token.apps) == ("BI", {Scope.NUMBERS_READ, Scope.DELIVERIES_READ}, ("default",))
    assert (token.created_by, token.expires_at) == (NAME, token.created_at + 30 * DAY)
    verified = browse.services.api_tokens.verify(secret)
    assert verified is not None
    assert verified.id == token.id
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    part = secret[15:]
    cookie = answer.headers.getlist("Set-Cookie")
    for told in (browse.get("/people/tokens").text, browse.get("/audit").text, str(cookie), answer.request.url):
        assert part not in told
    assert part not in stored(browse.services.redis) + caplog.text
    (made,) = (one for one in browse.services.audit.entries() if one.act == "token_made")
    assert (made.who, made.target) == (NAME, f"BI ({token.id}): deliveries:read, numbers:read")


def test_what_is_sent_twice_is_made_once(browse: Browser) -> None:
    sent = {"id": form_of(browse), **BI}
    first = browse.post("/people/tokens", sent)
    again = browse.post("/people/tokens", sent)
    assert "made already" in text_of(again)
    assert secrets_of(again) == []
    assert len(browse.services.api_tokens.all()) == 1
    other = browse.post("/people/tokens", {**sent, "name": "CI"})  # somebody went back and typed another
    assert secrets_of(other) not in ([], secrets_of(first))
    assert secrets_of(browse.post("/people/tokens", {**sent, "name": "CI"})) == []
    assert [one.name for one in browse.services.api_tokens.all()].count("CI") == 1
    assert {one.name for one in browse.services.api_tokens.all()} == {"BI", "CI"}


def test_the_answer_with_a_secret_loaded_again_makes_no_token_that_was_revoked(browse: Browser) -> None:
    sent = {"id": form_of(browse), **BI}
    assert len(secrets_of(browse.post("/people/tokens", sent))) == 1
    browse.post(f"/people/tokens/{browse.services.api_tokens.all()[0].id}/revoke")
    again = browse.post("/people/tokens", sent)
    assert "made already" in text_of(again)
    assert secrets_of(again) == []
    assert browse.services.api_tokens.all() == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "  \u200b"}, "Enter a name"),
        ({"name": "x" * 65}, "too long"),
        ({"scopes": []}, "Choose what it may do"),
        ({"scopes": ["numbers:read", "people:write"]}, "not a valid choice"),
        ({"life": "1000"}, "Not a valid choice"),
    ],
)
def test_what_is_wrong_makes_nothing_and_what_was_typed_stays(
    browse: Browser, given: dict[str, Any], said: str
) -> None:
    answer = make(browse, **given)
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert browse.services.api_tokens.all() == []
    if "name" not in given:
        assert 'value="BI"' in answer.text
    if "scopes" not in given:
        assert re.search(r'value="deliveries:read"[^>]* checked', answer.text)


def test_an_id_that_is_none_is_not_taken_from_the_form(browse: Browser) -> None:
    for wrong in ("", "'\"><script>", "k" * 11):
        assert len(secrets_of(make(browse, id=wrong))) == 1
    assert all(api_tokens.is_id(one.id) for one in browse.services.api_tokens.all())


def test_there_are_no_more_than_there_may_be(browse: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_tokens, "MOST", 1)
    make(browse)
    answer = make(browse, name="CI")
    assert answer.status_code == 422
    assert "tokens already" in text_of(answer)
    assert 'value="CI"' in answer.text


def test_a_token_is_revoked_after_a_question_and_at_once(browse: Browser) -> None:
    (secret,) = secrets_of(make(browse))
    tokens = browse.services.api_tokens
    token = tokens.verify(secret)
    assert token is not None
    address = f"/people/tokens/{token.id}/revoke"
    assert "Revoke the token “BI”?" in text_of(browse.get(address))
    assert tokens.verify(secret) is not None
    assert "is revoked" in text_of(browse.post(address))
    assert tokens.verify(secret) is None
    for answer in (browse.get(address), browse.post(address)):
        assert "revoked already" in text_of(answer)
    acts = [one.act for one in browse.services.audit.entries()]
    assert acts == ["token_revoked", "token_made"]


def test_the_list_says_what_has_expired_and_what_was_used(browse: Browser) -> None:
    tokens = browse.services.api_tokens
    tokens.create("old", [Scope.BOOKS_READ], life=0)
    assert "read welcome books — today" in text_of(browse.get("/people/tokens"))
    assert "never used expired" in text_of(browse.get("/people/tokens"))
    tokens.verify(tokens.create("used", [Scope.BOOKS_READ])[1])
    assert text_of(browse.get("/people/tokens")).count("never used") == 1


class TestSeveralApps:
    @pytest.fixture
    def services(self, redis_url: str, tmp_path: Path) -> Iterator[Services]:
        key = ENVIRONMENT["WECOM_ENCODING_AES_KEY"]
        given = f'corp_id = "{CORP}"\nsecret = "s"\ntoken = "t"\nencoding_aes_key = "{key}"\n'
        (tmp_path / "apps.toml").write_text(f"[apps.sales]\n{given}[apps.service]\n{given}", "utf-8")
        variables = {"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD}
        made = build_services(read(variables, tmp_path), timeout=5)
        yield made
        made.redis.close()

    @pytest.mark.parametrize(
        ("chosen", "apps"),
        [(["sales"], ("sales",)), (["service", "sales"], ("sales", "service")), (["*"], ()), (["*", "sales"], ())],
    )
    def test_a_token_is_of_those_that_are_chosen(
        self, browse: Browser, chosen: list[str], apps: tuple[str, ...]
    ) -> None:
        make(browse, apps=chosen)
        assert [one.apps for one in browse.services.api_tokens.all()] == [apps]

    def test_of_none_there_is_none(self, browse: Browser) -> None:
        assert "Choose an app" in text_of(make(browse))
        assert "not a valid choice" in text_of(make(browse, apps=["other"]))
        assert browse.services.api_tokens.all() == []

    def test_where_a_second_person_publishes_the_page_says_that_no_token_does(
        self, browse: Browser, services: Services
    ) -> None:
        said = "of no use for publishing"
        services.approvals.switch("service", True, "zhangsan", "张三")
        services.api_tokens.create("CI", [Scope.BOOKS_PUBLISH], ["sales"])
        assert said not in text_of(browse.get("/people/tokens", {"app": "sales"}))
        assert said in text_of(browse.get("/people/tokens", {"app": "service"}))
        services.api_tokens.create("all", [Scope.BOOKS_PUBLISH])
        assert said in text_of(browse.get("/people/tokens", {"app": "sales"}))


def test_a_token_knows_no_app_that_a_form_did_not_name(browse: Browser) -> None:
    make(browse, apps=["*"])
    found: list[ApiToken] = browse.services.api_tokens.all()
    assert [one.apps for one in found] == [("default",)]  # with one app there is nothing to choose

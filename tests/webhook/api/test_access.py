"""Who may ask what: the scope of every operation, tokens and apps, limits; and what anybody is told who may not."""

from collections.abc import Mapping

import pytest
from flask import Flask
from werkzeug.routing import Rule

from tasks.people.api_tokens import Scope
from tasks.services import Services
from tasks.storage import keys
from tests.support.api import ROOT, Program
from tests.support.console import Browser, text_of
from tests.support.ledger import settled
from webhook import create_app
from webhook.api import access

D, N, R, W, P = Scope  # as they are declared
SCOPES: Mapping[tuple[str, str], Scope | None] = {  # every operation
    ("GET", "/apps"): None,
    ("GET", "/apps/<app>/deliveries"): D,
    ("GET", "/apps/<app>/deliveries/<delivery>"): D,
    ("GET", "/apps/<app>/numbers"): N,
    ("GET", "/apps/<app>/numbers/staying"): N,
    ("GET", "/apps/<app>/book"): R,
    ("GET", "/apps/<app>/book/source"): R,
    ("GET", "/apps/<app>/book/revisions"): R,
    ("GET", "/apps/<app>/book/revisions/<int(min=1):number>"): R,
    ("GET", "/apps/<app>/book/revisions/<int(min=1):number>/source"): R,
    ("GET", "/apps/<app>/book/revisions/<int(min=1):number>/archive"): R,
    ("POST", "/apps/<app>/book/revisions/<int(min=1):number>/rollback"): P,
    ("POST", "/apps/<app>/book/validate"): W,
    ("GET", "/apps/<app>/book/draft"): R,
    ("GET", "/apps/<app>/book/draft/source"): R,
    ("PUT", "/apps/<app>/book/draft"): W,
    ("DELETE", "/apps/<app>/book/draft"): W,
    ("POST", "/apps/<app>/book/draft/publish"): P,
    ("GET", "/apps/<app>/explain"): W,
}


def operations(api: Flask) -> dict[tuple[str, str], Rule]:
    return {
        (method, rule.rule): rule
        for rule in api.url_map.iter_rules()
        if rule.endpoint != access.DOCUMENT
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def address(rule: str) -> str:
    return rule.replace("<app>", "default").replace("<delivery>", "3f9a").replace("<int(min=1):number>", "1")


def test_every_operation_asks_for_its_scope(services: Services) -> None:
    api = create_app(services).extensions["api"].made()
    needs = api.extensions["needs"]
    assert {one: needs[rule.endpoint].scope for one, rule in operations(api).items()} == SCOPES


@pytest.mark.parametrize("scope", Scope)
def test_a_token_may_do_what_its_scope_says_and_nothing_else(services: Services, scope: Scope) -> None:
    ask = Program(services, [scope])
    for (method, rule), needed in SCOPES.items():
        answer = ask(method, address(rule))
        if needed in (None, scope):
            assert answer.status_code not in (401, 403), (method, rule)
        else:
            assert answer.status_code == 403, (method, rule)
            assert answer.json["scope"] == needed
            assert f'error="insufficient_scope", scope="{needed}"' in answer.headers["WWW-Authenticate"]


def test_without_a_token_nothing_is_told_but_the_document(services: Services) -> None:
    client = create_app(services).test_client()
    for method, rule in SCOPES:
        answer = client.open(ROOT + address(rule), method=method)
        assert (answer.status_code, answer.json["code"]) == (401, "no_token"), (method, rule)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="wecom-welcome"'
        assert answer.mimetype == "application/problem+json"
    assert client.get(f"{ROOT}/openapi.json").status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer x{}", "Bearer {}x", "Bearer ü"])
def test_what_is_no_token_is_refused(ask: Program, header: str) -> None:
    answer = ask("GET", "/apps", headers={"Authorization": header.format(ask.secret)})
    assert answer.status_code == 401
    assert ask.secret not in answer.text


def test_wrong_tokens_are_slowed_by_their_address_and_right_ones_are_not(
    ask: Program, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = f"{ask.secret[:-1]}-"

    def tried(address: str) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {wrong}"}
        answer = ask("GET", "/apps", headers=headers, environ_overrides={"REMOTE_ADDR": address})
        return answer.status_code, answer.headers.get("Retry-After")

    def refused() -> tuple[int, str | None]:
        return tried("203.0.113.7")

    answers = [refused() for _ in range(25)]  # two windows at most, however slow this is
    assert answers[:10] == [(401, None)] * 10
    waits = [int(wait) for status, wait in answers if status == 429 and wait is not None]
    assert waits
    assert all(1 <= wait <= 60 for wait in waits)
    assert ask("GET", "/apps", environ_overrides={"REMOTE_ADDR": "203.0.113.7"}).status_code == 200
    assert tried("203.0.113.8") == (401, None)
    ask.services.counters.flush()
    assert ask.services.redis.hget(keys.COUNTERS, "api_tokens_refused_total") == "26"
    assert "203.0.113.7" in caplog.text
    assert wrong[15:] not in caplog.text


def test_a_token_in_an_address_or_a_cookie_counts_for_nothing(ask: Program) -> None:
    headers = {"Authorization": "", "Cookie": f"token={ask.secret}"}
    assert ask("GET", "/apps", {"access_token": ask.secret}, headers=headers).status_code == 401


def test_a_revoked_token_is_refused_at_once(ask: Program) -> None:
    assert ask.get("/apps").status_code == 200
    ask.services.api_tokens.revoke(ask.token.id)
    answer = ask.get("/apps")
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_an_app_that_is_not_the_tokens_is_as_one_that_does_not_exist(services: Services) -> None:
    ask = Program(services, apps=["other"])
    refused, unknown = ask.get("deliveries"), ask.get("/apps/nobody/deliveries")
    assert (refused.status_code, refused.text) == (404, unknown.text)
    assert ask.get("/apps").json == {"items": []}


def test_a_token_that_asks_too_often_is_told_when_to_go_on(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LIMITS", ["3 per hour"])
    ask, other = Program(services), Program(services)
    assert [ask.get("/apps").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = ask.get("deliveries")
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (429, "too_often", "60")
    assert other.get("/apps").status_code == 200


def test_what_a_token_may_not_do_counts_too(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LIMITS", ["3 per hour"])
    ask = Program(services, [Scope.BOOKS_READ])
    asked = [("GET", "deliveries"), ("GET", "/apps/nobody/book"), ("GET", "book"), ("GET", "book")]
    assert [ask(*one).status_code for one in asked] == [403, 404, 200, 429]


def test_no_answer_is_kept_or_can_be_framed_and_no_cookie_is_set(ask: Program) -> None:
    for answer in (ask.get("/apps"), ask.get("/nothing"), ask.get("deliveries", limit=0)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_address_says_which_methods_it_takes(ask: Program) -> None:
    for method in ("PATCH", "POST", "OPTIONS"):
        answer = ask(method, "book/draft")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, PUT")


def test_a_misspelt_parameter_is_refused_and_not_passed_over(ask: Program) -> None:
    answer = ask.get("deliveries", membr="zhangsan", limit=201)
    assert answer.status_code == 422
    assert {(one["in"], one["name"]) for one in answer.json["errors"]} == {("query", "membr"), ("query", "limit")}


def test_the_audit_page_says_that_it_was_a_program(ask: Program) -> None:
    settled(ask.services.ledger)
    assert ask.get("deliveries/nothing").status_code == 404
    assert list(ask.services.audit.entries()) == []
    assert ask.get("deliveries").status_code == 200
    page = text_of(Browser(ask.services).signed_in().get("/audit"))
    assert f"ci ({ask.token.id}) 127.0.0.1 API Exported deliveries" in page

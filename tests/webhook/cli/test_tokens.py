"""`wecom-welcome tokens`: made, listed and revoked by a script."""

import json
from pathlib import Path

import pytest

from tasks.people import api_tokens
from tasks.people.api_tokens import ApiTokens, Scope
from tasks.storage.connections import Redis
from tests.support.builders import CORP, ENVIRONMENT
from tests.support.cli import failure, run, said

DAY = 86_400


@pytest.fixture
def store(redis_client: Redis) -> ApiTokens:
    return ApiTokens(redis_client)


@pytest.fixture
def of_two(redis_url: str, tmp_path: Path) -> dict[str, str]:
    key = ENVIRONMENT["WECOM_ENCODING_AES_KEY"]
    given = f'corp_id = "{CORP}"\nsecret = "s"\ntoken = "t"\nencoding_aes_key = "{key}"\n'
    (tmp_path / "apps.toml").write_text(f"[apps.sales]\n{given}[apps.service]\n{given}", "utf-8")
    return {"WELCOME_CONFIG": str(tmp_path / "apps.toml"), "REDIS_URL": redis_url}


def test_a_token_is_printed_once_listed_and_revoked(environ: dict[str, str], store: ApiTokens) -> None:
    scopes = ("--scope", "numbers:read", "--scope", "books:read")
    (secret,) = said(run("tokens", "create", "reports", *scopes, "--days", "30", **environ))
    token = store.verify(secret)
    assert token is not None
    assert (token.name, token.scopes, token.apps) == ("reports", {Scope.NUMBERS_READ, Scope.BOOKS_READ}, ("default",))
    assert token.expires_at == token.created_at + 30 * DAY
    (line,) = said(run("tokens", "list", **environ))
    assert line.startswith(f"{token.id}  reports  default  used 20")
    assert line.endswith("books:read numbers:read")
    assert secret[15:] not in line
    assert run("tokens", "revoke", token.id, **environ).stderr == "reports is revoked.\n"
    assert store.verify(secret) is None
    assert "there is no token" in failure("tokens", "revoke", token.id, **environ)
    acts = [json.loads(one)["act"] for one in said(run("audit", "--json", **environ))]
    assert acts == ["token_revoked", "token_made"]
    assert secret[15:] not in run("audit", "--json", **environ).stdout


def test_programs_read_json(environ: dict[str, str], store: ApiTokens) -> None:
    (made,) = said(run("tokens", "create", "报表", "--scope", "numbers:read", "--no-end", "--json", **environ))
    values = json.loads(made)
    assert store.verify(values.pop("token")) is not None
    (listed,) = (json.loads(line) for line in said(run("tokens", "list", "--json", **environ)))
    assert listed | {"last_used_at": None} == values
    assert listed["last_used_at"] >= listed["created_at"]
    assert values["expires_at"] is None


def test_of_several_apps_some_are_chosen(of_two: dict[str, str], store: ApiTokens) -> None:
    command = ("tokens", "create", "reports", "--scope", "numbers:read")
    assert "choose with --app" in failure(*command, **of_two)
    assert "no app other" in failure(*command, "--app", "other", **of_two)
    assert run(*command, "--app", "sales", "--all-apps", **of_two).exit_code == 2
    said(run(*command, "--app", "sales", **of_two))
    said(run(*command, "--all-apps", **of_two))
    assert {one.apps for one in store.all()} == {("sales",), ()}


@pytest.mark.parametrize(
    "given",
    [
        (" ", "--scope", "numbers:read"),
        ("x" * 65, "--scope", "numbers:read"),
        ("reports",),
        ("reports", "--scope", "people:write"),
        ("reports", "--scope", "numbers:read", "--days", "0"),
        ("reports", "--scope", "numbers:read", "--days", "5", "--no-end"),
    ],
)
def test_what_is_typed_wrongly_makes_no_token(
    environ: dict[str, str], store: ApiTokens, given: tuple[str, ...]
) -> None:
    answer = run("tokens", "create", *given, **environ)
    assert answer.exit_code == 2
    assert len(answer.stderr.splitlines()) == 1
    assert store.all() == []


def test_there_are_no_more_than_there_may_be(
    environ: dict[str, str], store: ApiTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("tokens", "list", **environ).stderr == "There are no tokens.\n"
    store.create("old", [Scope.NUMBERS_READ], life=0)
    assert "  never used  expired 20" in said(run("tokens", "list", **environ))[0]
    monkeypatch.setattr(api_tokens, "MOST", 1)
    assert "tokens already" in failure("tokens", "create", "reports", "--scope", "numbers:read", **environ)

"""Tokens of the HTTP API: whom a secret is taken for, until when, and what is kept of it."""

import hashlib
import json
import time
import zipfile
from pathlib import Path

import pytest
from redis import Redis

from tasks.people import api_tokens
from tasks.people.api_tokens import ApiTokens, Scope, TooMany
from tasks.state import backup
from tasks.storage import connections, keys
from tests.support.processes import RedisServer


def test_a_secret_is_its_tokens_until_it_is_revoked(redis_client: Redis) -> None:
    store = ApiTokens(redis_client)
    token, secret = store.create("BI ", {Scope.NUMBERS_READ}, ["sales", "sales"], "lisi", 86_400)
    other, others = store.create("CI", {Scope.BOOKS_READ, Scope.BOOKS_WRITE})
    assert (token.name, token.apps, token.created_by) == ("BI", ("sales",), "lisi")
    assert token.expires_at == token.created_at + 86_400
    assert store.verify(secret) == token
    assert store.verify(others) == other
    assert {one.id for one in store.all()} == {token.id, other.id}
    assert (token.permits(Scope.NUMBERS_READ, "sales"), token.permits(Scope.NUMBERS_READ, "service")) == (True, False)
    assert (other.permits(Scope.BOOKS_READ, "service"), other.permits(Scope.BOOKS_PUBLISH, "service")) == (True, False)
    revoked = store.revoke(token.id)
    assert revoked is not None
    assert revoked.name == "BI"
    assert store.verify(secret) is None
    assert store.revoke(token.id) is None
    used = redis_client.hgetall(keys.API_TOKENS_USED)
    assert (used.keys(), used[token.id]) == ({other.id, token.id}, "-1")


def test_no_other_secret_is_taken(redis_client: Redis) -> None:
    store = ApiTokens(redis_client)
    _, secret = store.create("BI", {Scope.NUMBERS_READ})
    _, another = store.create("CI", {Scope.NUMBERS_READ})
    body = another[:15] + secret[15:58]  # the id of one with the random part of the other, and a right checksum
    wrong = [
        *(secret[:at] + ("x" if secret[at] != "x" else "y") + secret[at + 1 :] for at in range(len(secret))),
        *(secret[:at] for at in range(len(secret))),
        body + api_tokens._checksum(body),
        secret.swapcase(),
        secret + "0",
        secret * 1000,
        f" {secret}",
        f"{secret[:-1]}\n",
        f"{secret}\n",
        secret.replace("_", "＿"),
        "wwt_0000000000_" + "٣" * 49,
    ]
    assert [one for one in wrong if store.verify(one) is not None] == []


def test_a_token_ends_by_redis_clock(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ApiTokens(redis_client)
    token, secret = store.create("BI", {Scope.NUMBERS_READ}, life=3600)
    monkeypatch.setattr(time, "time", lambda: token.created_at + 1e6)  # this host's clock is of no concern
    assert store.verify(secret) is not None
    stored = json.loads(str(redis_client.hget(keys.API_TOKENS, token.id)))
    redis_client.hset(keys.API_TOKENS, token.id, json.dumps(stored | {"expires": token.created_at}))
    assert store.verify(secret) is None
    assert [one.id for one in store.all()] == [token.id]  # it is shown until somebody takes it away


def test_the_last_use_is_written_once_a_minute(redis_client: Redis) -> None:
    store = ApiTokens(redis_client)
    token, secret = store.create("BI", {Scope.NUMBERS_READ})
    assert store.all()[0].last_used_at is None
    store.verify(secret)
    (used,) = (one.last_used_at for one in store.all())
    assert used is not None
    assert used >= token.created_at
    for before in (used - 3600, used + 3600):
        redis_client.hset(keys.API_TOKENS_USED, token.id, before)
        store.verify(secret)
        assert abs(int(str(redis_client.hget(keys.API_TOKENS_USED, token.id))) - used) < 3000
    redis_client.hset(keys.API_TOKENS_USED, token.id, used + 30)
    store.verify(secret)
    assert redis_client.hget(keys.API_TOKENS_USED, token.id) == str(used + 30)


def test_nothing_that_is_kept_or_shown_tells_the_secret(redis_client: Redis) -> None:
    store = ApiTokens(redis_client)
    token, secret = store.create("BI", {Scope.NUMBERS_READ})
    stored = str(redis_client.hget(keys.API_TOKENS, token.id))
    assert hashlib.sha256(secret[15:58].encode()).hexdigest() in stored
    for told in (stored, repr(token), repr(store.all())):
        assert secret[15:23] not in told


def test_there_is_a_limit(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_tokens, "MOST", 1)
    store = ApiTokens(redis_client)
    token, _ = store.create("BI", {Scope.NUMBERS_READ})
    with pytest.raises(TooMany):
        store.create("CI", {Scope.NUMBERS_READ})
    store.revoke(token.id)
    store.create("CI", {Scope.NUMBERS_READ})


@pytest.mark.parametrize(("name", "scopes"), [(" ", {Scope.BOOKS_READ}), ("x" * 65, {Scope.BOOKS_READ}), ("BI", set())])
def test_a_token_has_a_name_and_a_scope(redis_client: Redis, name: str, scopes: set[Scope]) -> None:
    with pytest.raises(ValueError, match="a name and a scope"):
        ApiTokens(redis_client).create(name, scopes)


@pytest.mark.parametrize(
    "damage",
    ["no JSON", "[]", {"apps": "sales"}, {"apps": None}, {"scopes": "books:read"}, {"hash": ""}, {"expires": "soon"}],
)
def test_what_cannot_be_read_is_nobodys(redis_client: Redis, damage: str | dict[str, object]) -> None:
    store = ApiTokens(redis_client)
    token, secret = store.create("BI", {Scope.BOOKS_READ}, ["sales"])
    stored = json.loads(str(redis_client.hget(keys.API_TOKENS, token.id)))
    value = damage if isinstance(damage, str) else json.dumps(stored | damage)
    redis_client.hset(keys.API_TOKENS, token.id, value)
    assert store.verify(secret) is None
    assert store.revoke(token.id) is None
    assert redis_client.hlen(keys.API_TOKENS) == 0


def test_a_scope_of_a_later_release_gives_nothing(redis_client: Redis) -> None:
    store = ApiTokens(redis_client)
    token, secret = store.create("BI", {Scope.BOOKS_READ})
    stored = json.loads(str(redis_client.hget(keys.API_TOKENS, token.id)))
    redis_client.hset(keys.API_TOKENS, token.id, json.dumps(stored | {"scopes": ["people:write", "books:read"]}))
    known = store.verify(secret)
    assert known is not None
    assert known.scopes == {Scope.BOOKS_READ}


def test_a_server_that_takes_no_write_tells_whose_a_secret_is(server: RedisServer) -> None:
    with connections.connect(server.url, timeout=2) as client:
        store = ApiTokens(client)
        token, secret = store.create("BI", {Scope.BOOKS_READ})
        client.config_set("min-replicas-to-write", 1)
        known = store.verify(secret)
    assert known is not None
    assert known.id == token.id


def test_a_backup_brings_tokens_back_without_their_secrets(redis_client: Redis, tmp_path: Path) -> None:
    store = ApiTokens(redis_client)
    token, secret = store.create("BI", {Scope.BOOKS_READ})
    backup.backup(redis_client, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert secret[15:23].encode() not in archive.read("state.jsonl")
    redis_client.flushall()
    backup.restore(redis_client, tmp_path / "a.zip")
    assert store.verify(secret) == token


def test_an_id_is_given_once_also_when_its_token_is_revoked(redis_client: Redis) -> None:
    store, identity = ApiTokens(redis_client), api_tokens.id_of("a form", "CI", 90)
    assert api_tokens.is_id(identity)
    assert identity != api_tokens.id_of("a form", "CI", None)
    store.create("CI", {Scope.BOOKS_READ}, identity=identity)
    for _ in range(2):
        with pytest.raises(api_tokens.MadeAlready):
            store.create("CI", {Scope.BOOKS_READ}, identity=identity)
        store.revoke(identity)
    assert store.all() == []

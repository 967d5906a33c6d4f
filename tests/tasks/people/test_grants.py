"""The roles that were given, as they are stored."""

import json
from dataclasses import replace

import pytest
from redis import Redis

from tasks.people import grants
from tasks.people.grants import Grants, TooMany
from tasks.people.roles import Grant, Kind, Role
from tasks.storage import keys

CORP = "wwcorpone"
MEMBER = Grant(CORP, Kind.MEMBER, "ZhangSan", Role.EDITOR, "张三", "lisi", 1000.0)
BELOW = Grant(CORP, Kind.DEPARTMENT, "3", Role.PUBLISHER, "销售", "lisi", 1000.0)


def test_what_is_given_is_had_until_it_is_taken(redis_client: Redis) -> None:
    store = Grants(redis_client)
    assert not store.any()
    for one in (BELOW, MEMBER):
        store.give(one)
    assert store.any()
    assert store.all() == [MEMBER, BELOW]
    assert store.of(CORP, "zhangsan", {3, 1}) == [MEMBER, BELOW]
    assert store.of(CORP, "zhangsan", {1}) == [MEMBER]
    assert store.of(CORP, "lisi", {3}) == [BELOW]
    assert store.of("wwcorptwo", "zhangsan", {3}) == []
    assert store.take(MEMBER.field) == MEMBER
    assert store.take(MEMBER.field) is None
    assert store.of(CORP, "zhangsan", ()) == []


def test_a_role_takes_the_place_of_the_one_before_however_the_id_is_written(redis_client: Redis) -> None:
    store = Grants(redis_client)
    store.give(MEMBER)
    store.give(replace(MEMBER, id="zhangsan", role=Role.VIEWER))
    assert [one.role for one in store.all()] == [Role.VIEWER]


def test_there_is_a_limit_and_a_change_is_within_it(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "MOST", 1)
    store = Grants(redis_client)
    store.give(MEMBER)
    store.give(replace(MEMBER, role=Role.ADMIN))
    with pytest.raises(TooMany):
        store.give(BELOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (MEMBER.field, "no JSON"),
        (MEMBER.field, "[]"),
        (MEMBER.field, json.dumps({"id": "zhangsan", "role": "owner"})),  # of a later release
        (MEMBER.field, json.dumps({"id": "somebody", "role": "admin"})),
        (f"{CORP}|robot|zhangsan", json.dumps({"id": "zhangsan", "role": "admin"})),
        ("zhangsan", json.dumps({"id": "zhangsan", "role": "admin"})),
    ],
)
def test_what_cannot_be_read_gives_nobody_a_role(redis_client: Redis, field: str, value: str) -> None:
    redis_client.hset(keys.PEOPLE, field, value)
    store = Grants(redis_client)
    assert store.all() == []
    assert store.of(CORP, "zhangsan", ()) == []

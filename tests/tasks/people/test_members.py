"""A member who has signed in, as WeCom tells it now."""

import json
import time

import pytest
from redis import Redis

from tasks.people import members
from tasks.people.members import Member, Members, ask
from tasks.storage import keys
from tasks.wecom import WeComClient, WeComError
from tests.simulator.client import StandIn
from tests.simulator.world import App


@pytest.fixture
def app(wecom: StandIn) -> App:
    app = wecom.register(App.random())
    wecom.people(
        members={"zhangsan": {"name": "张三", "department": [5]}},
        departments={2: {"parentid": 1}, 5: {"parentid": 2}, 7: {"parentid": 1}},
    )
    return app


@pytest.fixture
def client(wecom: StandIn, app: App) -> WeComClient:
    return WeComClient(app.corp_id, app.secret, wecom.base_url)


def soon() -> float:
    return time.monotonic() + 10


def test_a_member_has_the_departments_above_his_own_too(client: WeComClient) -> None:
    assert ask(client, "ww", "zhangsan", soon()) == Member("ww", "zhangsan", "张三", frozenset({1, 2, 5}))


@pytest.mark.parametrize("status", [2, 4, 5])
def test_who_is_disabled_or_has_left_is_none(wecom: StandIn, client: WeComClient, status: int) -> None:
    wecom.people(members={"zhangsan": {"status": status}})
    assert ask(client, "ww", "zhangsan", soon()) is None
    assert ask(client, "ww", "nobody", soon()) is None


def test_without_the_tree_the_own_departments_count(wecom: StandIn, client: WeComClient) -> None:
    wecom.faults(limited=1, paths=("department/simplelist",))
    found = ask(client, "ww", "zhangsan", soon())
    assert found is not None
    assert found.departments == {5}


def older(redis_client: Redis, seconds: float) -> None:
    name = keys.person("ww", "zhangsan")
    values = json.loads(redis_client.get(name))
    redis_client.set(name, json.dumps(values | {"at": round((time.time() - seconds) * 1000)}))
    redis_client.delete(keys.person_asked("ww", "zhangsan"))


def test_wecom_is_asked_again_after_a_while_and_who_left_is_out(
    wecom: StandIn, client: WeComClient, redis_client: Redis
) -> None:
    store = Members(redis_client)
    first = store.current(client, "ww", "zhangsan")
    assert first is not None
    wecom.people(members={"zhangsan": {"status": 5}})
    assert store.current(client, "ww", "ZhangSan") == first
    older(redis_client, members.FRESH + 1)
    assert store.current(client, "ww", "zhangsan") is None
    wecom.people(members={"zhangsan": {"status": 1}})
    assert store.current(client, "ww", "zhangsan") is None
    older(redis_client, members.FRESH + 1)
    assert store.current(client, "ww", "zhangsan") == first


def test_while_wecom_does_not_answer_the_last_answer_counts_for_half_a_day(
    wecom: StandIn, client: WeComClient, redis_client: Redis
) -> None:
    store = Members(redis_client)
    first = store.current(client, "ww", "zhangsan")
    wecom.faults(busy=1, paths=("user/get",))
    older(redis_client, members.FRESH + 1)
    assert store.current(client, "ww", "zhangsan") == first
    assert store.current(client, "ww", "zhangsan") == first  # and the next request does not wait for WeCom
    assert redis_client.ttl(keys.person_asked("ww", "zhangsan")) > 0
    older(redis_client, members.STALE + 1)
    assert store.current(client, "ww", "zhangsan") is None


def test_of_whom_nothing_is_known_nobody_is_let_in(wecom: StandIn, client: WeComClient, redis_client: Redis) -> None:
    wecom.faults(busy=1, paths=("user/get",))
    with pytest.raises(WeComError):
        ask(client, "ww", "zhangsan", soon())
    assert Members(redis_client).current(client, "ww", "zhangsan") is None
    redis_client.set(keys.person("ww", "zhangsan"), '{"at": 1}')
    assert Members(redis_client).current(client, "ww", "zhangsan") is None

"""Whom customers can add, for choosing one."""

import json

import pytest

from tasks.directory.members import FAILED, FRESH, MOST, departments, list_members
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.wecom import WeComClient
from tests.simulator.client import StandIn
from tests.simulator.world import App


@pytest.fixture
def client(wecom: StandIn, redis_client: Redis) -> WeComClient:
    app = wecom.register(App.random())
    wecom.people(members={"lisi": {"name": "李四"}, "zhangsan": {"name": "张三"}})
    return WeComClient(app.corp_id, app.secret, wecom.base_url, redis_client)


def named(redis_client: Redis, member: str, answer: object) -> None:
    redis_client.set(keys.member("default", member), json.dumps({"answer": answer, "until": 0}))


def test_members_come_with_the_names_that_were_looked_up(client: WeComClient, redis_client: Redis) -> None:
    named(redis_client, "zhangsan", {"member": "张三"})
    assert list_members(redis_client, "default", client, 5) == {"lisi": "", "zhangsan": "张三"}
    assert FRESH - 5 < redis_client.ttl(keys.members("default")) <= FRESH


def test_the_list_is_asked_for_once(client: WeComClient, redis_client: Redis, wecom: StandIn) -> None:
    list_members(redis_client, "default", client, 5)
    wecom.reset()
    assert list(list_members(redis_client, "default", client, 5)) == ["lisi", "zhangsan"]


def test_a_wecom_that_does_not_tell_is_left_alone_for_a_minute(
    client: WeComClient, redis_client: Redis, wecom: StandIn
) -> None:
    wecom.faults(busy=1, paths=("externalcontact/get_follow_user_list",))
    assert list_members(redis_client, "default", client, 1) == {}
    wecom.faults()
    assert list_members(redis_client, "default", client, 1) == {}
    assert 0 < redis_client.ttl(keys.members("default")) <= FAILED


def test_of_many_members_some_are_listed(client: WeComClient, redis_client: Redis, wecom: StandIn) -> None:
    wecom.people(members={f"member-{number:03}": {"name": "n"} for number in range(MOST + 10)})
    assert len(list_members(redis_client, "default", client, 5)) == MOST


def test_departments_come_each_below_its_own(client: WeComClient, redis_client: Redis, wecom: StandIn) -> None:
    wecom.people(
        departments={
            5: {"name": "上海组", "parentid": 3},
            3: {"name": "华东", "parentid": 1},
            4: {"name": "华北", "parentid": 1},
        }
    )
    found = departments(redis_client, "default", client, 5)
    assert [(one.name, one.depth) for one in found.values()] == [("公司", 0), ("华东", 1), ("上海组", 2), ("华北", 1)]
    wecom.reset()
    assert departments(redis_client, "default", client, 5) == found  # asked for once


def test_a_department_whose_parent_is_out_of_range_is_not_lost(client: WeComClient, redis_client: Redis) -> None:
    redis_client.set(keys.departments("default"), json.dumps([[7, "", 99], [8, "组", 7]]))
    assert [(one.id, one.depth) for one in departments(redis_client, "default", client, 5).values()] == [(7, 0), (8, 1)]


def test_no_department_is_listed_while_wecom_does_not_tell(
    client: WeComClient, redis_client: Redis, wecom: StandIn
) -> None:
    wecom.faults(busy=1, paths=("department/list",))
    assert departments(redis_client, "default", client, 1) == {}
    assert 0 < redis_client.ttl(keys.departments("default")) <= FAILED

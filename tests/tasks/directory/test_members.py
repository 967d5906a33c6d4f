"""Whom customers can add, and the tree of departments, for choosing among them."""

import json
import time

import pytest

from tasks.directory.members import FAILED, FRESH, Department, Member, Staff, fetch_staff, staff
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.wecom import WeComClient
from tests.simulator.client import StandIn
from tests.simulator.world import App

DEPARTMENTS = {
    5: {"name": "上海组", "parentid": 3},
    3: {"name": "华东", "parentid": 1},
    4: {"name": "华北", "parentid": 1},
}
MEMBERS = {"lisi": {"name": "李四", "department": [5, 4]}, "zhangsan": {"name": "张三", "department": [3]}}


@pytest.fixture
def client(wecom: StandIn, redis_client: Redis) -> WeComClient:
    app = wecom.register(App.random())
    wecom.people(members=MEMBERS, departments=DEPARTMENTS)
    return WeComClient(app.corp_id, app.secret, wecom.base_url, redis_client)


def kept(redis_client: Redis) -> dict[str, object]:
    return json.loads(redis_client.get(keys.staff("default")) or "{}")


def age(redis_client: Redis) -> None:
    """What is kept has to be asked for again."""
    redis_client.set(keys.staff("default"), json.dumps(kept(redis_client) | {"until": 0}))
    redis_client.delete(keys.staff_asked("default"))


def cached(redis_client: Redis, member: str, answer: object) -> None:
    redis_client.set(keys.member("default", member), json.dumps({"answer": answer, "until": 0}))


def test_members_come_with_their_names_and_departments(client: WeComClient, redis_client: Redis) -> None:
    found = staff(redis_client, "default", client, 5)
    assert found.members == {
        "lisi": Member("lisi", "李四", (5, 4)),
        "zhangsan": Member("zhangsan", "张三", (3,)),
    }
    assert FRESH - 5 < float(kept(redis_client)["until"]) - time.time() <= FRESH  # type: ignore[arg-type]
    assert not redis_client.exists(keys.staff_asked("default"))


def test_departments_come_each_below_its_own(client: WeComClient, redis_client: Redis) -> None:
    found = staff(redis_client, "default", client, 5)
    shown = [(one.name, one.depth, one.parent) for one in found.departments.values()]
    assert shown == [("公司", 0, 0), ("华东", 1, 1), ("上海组", 2, 3), ("华北", 1, 1)]
    assert [one.name for one in found.children(1)] == ["华东", "华北"]
    assert found.path(5) == [5, 3, 1]


def test_a_department_has_the_members_of_those_below_it_each_once(client: WeComClient, redis_client: Redis) -> None:
    found = staff(redis_client, "default", client, 5)
    assert found.sizes == {1: 2, 3: 2, 5: 1, 4: 1}
    assert [one.id for one in found.inside[5]] == ["lisi"]
    assert [one.id for one in found.inside[3]] == ["zhangsan"]


def test_wecom_is_asked_once(client: WeComClient, redis_client: Redis, wecom: StandIn) -> None:
    found = staff(redis_client, "default", client, 5)
    wecom.reset()
    assert staff(redis_client, "default", client, 5) == found


def test_a_wecom_that_does_not_tell_is_left_alone(client: WeComClient, redis_client: Redis, wecom: StandIn) -> None:
    wecom.faults(busy=1, paths=("externalcontact/get_follow_user_list",))
    assert staff(redis_client, "default", client, 1) == Staff()
    wecom.faults()
    assert staff(redis_client, "default", client, 1) == Staff()
    assert float(kept(redis_client)["until"]) - time.time() <= FAILED  # type: ignore[arg-type]


def test_what_was_known_stays_while_wecom_does_not_tell(
    client: WeComClient, redis_client: Redis, wecom: StandIn
) -> None:
    found = staff(redis_client, "default", client, 5)
    age(redis_client)
    wecom.faults(busy=1)
    assert staff(redis_client, "default", client, 1) == found


@pytest.mark.parametrize("path", ["department/list", "user/simplelist"])
def test_ids_are_there_though_the_names_are_not(
    client: WeComClient, redis_client: Redis, wecom: StandIn, path: str
) -> None:
    wecom.faults(busy=1, paths=(path,))
    assert list(staff(redis_client, "default", client, 5).members.values()) == [Member("lisi"), Member("zhangsan")]


def test_what_a_page_could_not_wait_for_is_fetched_by_upkeep(
    client: WeComClient, redis_client: Redis, wecom: StandIn
) -> None:
    assert staff(redis_client, "default", client, 0) == Staff()
    assert fetch_staff(redis_client, "default", client)
    assert staff(redis_client, "default", client, 0).members["lisi"].name == "李四"
    assert not fetch_staff(redis_client, "default", client)  # nobody asks


def test_names_that_wecom_does_not_tell_come_from_the_cache(
    client: WeComClient, redis_client: Redis, wecom: StandIn
) -> None:
    wecom.faults(busy=1, paths=("user/simplelist",))
    cached(redis_client, "zhangsan", {"member": "张三", "departments": [3]})
    assert staff(redis_client, "default", client, 5).members["zhangsan"] == Member("zhangsan", "张三", (3,))


def test_a_name_that_the_app_may_not_read_is_not_known(
    client: WeComClient, redis_client: Redis, wecom: StandIn
) -> None:
    wecom.people(members={"lisi": {"name": "lisi"}})  # WeCom gives the userid then
    assert staff(redis_client, "default", client, 5).members["lisi"].name == ""


def test_a_department_whose_parent_is_out_of_range_is_at_the_top(redis_client: Redis, client: WeComClient) -> None:
    listed = {"departments": [[7, "", 99], [8, "组", 7], [9, "己", 9]], "members": {}, "until": time.time() + 60}
    redis_client.set(keys.staff("default"), json.dumps(listed))
    found = staff(redis_client, "default", client, 5)
    assert [(one.id, one.depth, one.parent) for one in found.departments.values()] == [(7, 0, 0), (8, 1, 7), (9, 0, 0)]


def test_what_is_stored_by_another_release_is_asked_for_again(redis_client: Redis, client: WeComClient) -> None:
    redis_client.set(keys.staff("default"), json.dumps({"unheard": 1}))
    assert list(staff(redis_client, "default", client, 5).members) == ["lisi", "zhangsan"]


def test_who_is_in_no_known_department_is_not_lost() -> None:
    found = Staff({"a": Member("a", "", (7,)), "b": Member("b")}, {1: Department(1, "公司", 0)})
    assert [one.id for one in found.inside[0]] == ["a", "b"]
    assert found.sizes == {1: 0}

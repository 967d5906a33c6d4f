"""What texts and rules ask about member and customer: asked once, kept a while, never waited for in vain."""

import time
from datetime import datetime
from typing import Any

import pytest

from tasks.directory.lookup import BUDGET, MEMBER_FRESH, Lookups, known_members
from tasks.events import ContactAdded
from tasks.storage.connections import Redis
from tasks.templates.conditions import ADD_WAY, CUSTOMER_TYPE, DEPARTMENTS
from tasks.wecom import WeComAPIError
from tasks.wecom.errors import Failure, NoAnswer, from_answer
from tests.support.books import SHANGHAI
from tests.support.builders import a_contact

TREE = {"department_id": [{"id": 1, "parentid": 0}, {"id": 3, "parentid": 1}, {"id": 5, "parentid": 3}]}
MEMBER = {"name": "张三", "alias": "Sam", "position": "顾问", "department": [3, 5], "main_department": 5}
RECEIVED = int(datetime(2026, 10, 1, 21, 30, tzinfo=SHANGHAI).timestamp() * 1000)
NAMES = {1: "某某公司", 5: "东区二组"}


class Told:
    """A client whose WeCom tells what it is told to tell, and notes what it was asked."""

    def __init__(self) -> None:
        self.external_contact = self.user = self
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.member: dict[str, Any] = dict(MEMBER)
        self.by = 0.0

    def with_deadline(self, by: float) -> "Told":
        self.by = by
        return self

    def get(self, what: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
        if what == "department/simplelist":
            return TREE
        if what == "department/get":
            return {"department": {"id": query["id"], "name": NAMES[query["id"]]}} if query else {}
        if what == "zhangsan":
            return self.member
        followers = [{"userid": "lisi", "add_way": 3}, {"userid": "zhangsan", "add_way": 16}]
        return {"external_contact": {"name": "王芳", "type": 1}, "follow_user": followers}


@pytest.fixture
def people(redis_client: Redis) -> Lookups:
    return Lookups(redis_client, SHANGHAI)


def looked_up(people: Lookups, wecom: Told, event: ContactAdded | None = None) -> Any:
    event = event or a_contact(external_user_id="wm1", state="s")
    return people.about(wecom, event, RECEIVED, time.monotonic() + 20)  # type: ignore[arg-type]


def test_every_placeholder_has_its_value(people: Lookups) -> None:
    wanted = frozenset({"customer", "member", "alias", "department", "position", "state", "corp", "date", "time"})
    assert looked_up(people, Told()).values(wanted) == {
        "customer": "王芳",
        "member": "张三",
        "alias": "Sam",
        "department": "东区二组",  # the main one
        "position": "顾问",
        "state": "s",
        "corp": "某某公司",  # the root department's name
        "date": "2026-10-01",
        "time": "21:30",
    }


def test_every_fact_has_its_value(people: Lookups) -> None:
    contact = looked_up(people, Told()).contact(frozenset({DEPARTMENTS, CUSTOMER_TYPE, ADD_WAY}))
    assert (contact.customer_type, contact.add_way) == ("wechat", 16)
    assert [contact.directory.contains("zhangsan", one) for one in (1, 3, 5, 2)] == [True, True, True, False]
    assert contact.at == datetime(2026, 10, 1, 21, 30, tzinfo=SHANGHAI)


def test_what_nobody_asks_for_is_not_looked_up(people: Lookups) -> None:
    wecom = Told()
    lookup = looked_up(people, wecom)
    lookup.contact()
    lookup.values(frozenset({"state", "date"}))
    assert wecom.asked == []


def test_each_thing_is_asked_once_for_rules_and_text_together(people: Lookups) -> None:
    wecom = Told()
    lookup = looked_up(people, wecom)
    lookup.contact(frozenset({DEPARTMENTS, ADD_WAY}))
    lookup.contact(frozenset({CUSTOMER_TYPE}))
    lookup.values(frozenset({"customer", "member", "department"}))
    assert sorted(wecom.asked) == ["department/get", "department/simplelist", "wm1", "zhangsan"]


def test_a_customer_is_never_kept(people: Lookups, redis_client: Redis) -> None:
    looked_up(people, Told()).values(frozenset({"customer", "member"}))
    kept = [redis_client.get(key) for key in redis_client.keys("*")]
    assert len(kept) == 1
    assert "王芳" not in str(kept)


def test_what_is_kept_is_asked_anew_when_it_is_old_and_serves_on_when_wecom_is_silent(
    people: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    wecom = Told()
    looked_up(people, wecom).values(frozenset({"member"}))
    wecom.member["name"] = "张三丰"
    assert looked_up(people, wecom).values(frozenset({"member"}))["member"] == "张三"
    later = time.time() + MEMBER_FRESH + 1
    monkeypatch.setattr("tasks.directory.lookup.time.time", lambda: later)
    wecom.error = NoAnswer("user/get", Failure.ANSWER_TIMEOUT)
    assert looked_up(people, wecom).values(frozenset({"member"}))["member"] == "张三"
    wecom.error = None
    assert looked_up(people, wecom).values(frozenset({"member"}))["member"] == "张三丰"


@pytest.mark.parametrize(
    ("error", "asked"), [(from_answer(60011, "", "user/get"), 1), (from_answer(-1, "", "user/get"), 3)]
)
def test_what_wecom_will_not_tell_is_not_asked_for_each_customer(
    people: Lookups, error: WeComAPIError, asked: int
) -> None:
    wecom = Told()
    wecom.error = error
    for _ in range(3):
        assert looked_up(people, wecom).values(frozenset({"member"}))["member"] == ""
    assert len(wecom.asked) == asked


def test_an_app_that_is_not_told_departments_knows_none(people: Lookups) -> None:
    wecom = Told()
    wecom.member = {"name": "张三"}
    contact = looked_up(people, wecom).contact(frozenset({DEPARTMENTS}))
    assert contact.directory.contains("zhangsan", 3) is None


def test_names_for_a_page_come_from_the_cache_and_wecom_is_not_asked(people: Lookups, redis_client: Redis) -> None:
    wecom = Told()
    assert known_members(redis_client, "default", ["zhangsan"]) == {}
    looked_up(people, wecom).values(frozenset({"member"}))
    assert known_members(redis_client, "default", ["zhangsan", "lisi"]) == {"zhangsan": ("张三", "")}
    looked_up(people, wecom).values(frozenset({"department"}))
    asked = list(wecom.asked)
    assert known_members(redis_client, "default", ["zhangsan", "lisi"]) == {"zhangsan": ("张三", "东区二组")}
    assert known_members(redis_client, "other", ["zhangsan"]) == {}
    assert known_members(redis_client, "default", []) == {}
    assert wecom.asked == asked


def test_all_look_ups_share_one_budget(people: Lookups) -> None:
    wecom = Told()
    people.about(wecom, a_contact(), RECEIVED, time.monotonic() + 20)  # type: ignore[arg-type]
    assert wecom.by <= time.monotonic() + BUDGET
    near = time.monotonic() + 0.2
    people.about(wecom, a_contact(), RECEIVED, near)  # type: ignore[arg-type]
    assert wecom.by == near


@pytest.mark.parametrize("ours", ["zhangsan", "ZhangSan", "ZHANGSAN"])
def test_the_add_way_is_that_of_this_member_in_whatever_case(people: Lookups, ours: str) -> None:
    wecom = Told()
    event = a_contact(external_user_id="wm1", state="s", user_id=ours)
    assert looked_up(people, wecom, event).contact(frozenset({ADD_WAY})).add_way == 16


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ({"userid": "zhangsan", "name": "zhangsan"}, ""),
        ({"name": "zhangsan"}, ""),
        ({"userid": "ZhangSan", "name": "ZhangSan"}, ""),
        ({"userid": "zhangsan", "name": "Zhangsan"}, "Zhangsan"),
        ({"userid": "zhangsan", "name": "张三"}, "张三"),
        ({"userid": "zhangsan"}, ""),
    ],
)
def test_an_id_in_place_of_the_name_is_no_name(people: Lookups, member: dict[str, Any], name: str) -> None:
    wecom = Told()
    wecom.member = {"alias": "Sam", "department": [3], **member}
    values = looked_up(people, wecom).values(frozenset({"member", "alias"}))
    assert (values.get("member", ""), values["alias"]) == (name, "Sam")

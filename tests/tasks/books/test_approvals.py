"""Publishing by a second person: who can approve what."""

import json
from dataclasses import replace

import pytest
from redis import Redis

from tasks.books.approvals import Approvals, Said, Standing, digest, standing
from tasks.books.draft import Draft, read, written
from tasks.storage import keys
from tasks.templates.model import Media

DRAFT = Draft(
    "default", "version: 1\n", {"a.png": Media("a.png", "s1", "image", 5)}, 1, 7, "李四 (lisi)", by=("李四 (lisi)",)
)
ASKED = Said("lisi", "李四 (lisi)", "new", 1, 7, digest(DRAFT))


def of(who: str, label: str, draft: Draft = DRAFT, asked: Said | None = ASKED, is_member: bool = True) -> Standing:
    return standing(asked, draft, who, label, is_member)


@pytest.mark.parametrize(
    ("who", "label", "found"),
    [
        ("wangwu", "王五 (wangwu)", Standing.MAY),
        ("lisi", "李四 (lisi)", Standing.OWN),
        ("lisi", "李小四 (lisi)", Standing.OWN),  # under another name
        ("LiSi", "李四 (LiSi)", Standing.OWN),
        ("si", "(si)", Standing.MAY),  # not the end of another's
        ("isi", "isi", Standing.MAY),
    ],
)
def test_nobody_approves_his_own(who: str, label: str, found: Standing) -> None:
    assert of(who, label) is found


def test_who_has_changed_it_too_does_not_approve_it_though_another_asked() -> None:
    draft = replace(DRAFT, by=("王五 (wangwu)", "李四 (lisi)"))
    assert of("wangwu", "王五 (wangwu)", draft) is Standing.OWN
    before = replace(DRAFT, by=(), touched={"template/x": ("王五 (wangwu)", 1)})  # of an earlier release
    assert of("wangwu", "王五 (wangwu)", before) is Standing.OWN


@pytest.mark.parametrize(
    "changed",
    [
        replace(DRAFT, version=8),
        replace(DRAFT, source="version: 1\n\n"),
        replace(DRAFT, files={"a.png": Media("a.png", "s2", "image", 5)}),
        replace(DRAFT, files={}),
    ],
)
def test_with_any_change_a_request_is_void(changed: Draft) -> None:
    assert of("wangwu", "王五 (wangwu)", changed) is Standing.VOID


def test_without_a_request_or_with_a_password_nobody_approves() -> None:
    assert of("wangwu", "王五 (wangwu)", asked=None) is Standing.NOBODY_ASKED
    assert of("wangwu", "王五 (wangwu)", is_member=False) is Standing.NO_MEMBER


def test_it_is_switched_on_once_and_off_with_all_that_was_asked(redis_client: Redis) -> None:
    store = Approvals(redis_client)
    assert store.switched_on("default") is None
    assert store.switch("default", True, "zhangsan", "张三")
    assert not store.switch("default", True, "lisi", "李四")
    on = store.switched_on("default")
    assert on is not None
    assert on.who == "zhangsan"
    assert store.switched_on("other") is None
    store.ask(DRAFT, "lisi", "李四 (lisi)", "new")
    asked = store.asked("default")
    assert asked is not None
    assert asked.digest == digest(DRAFT)
    store.decline(asked, "default", "wangwu", "王五", "no")
    assert store.asked("default") is None
    assert store.switch("default", False, "zhangsan", "张三")
    assert store.declined("default") is None
    assert redis_client.exists(keys.approval("default")) == 0


def test_what_cannot_be_read_keeps_it_on_and_approves_nothing(redis_client: Redis) -> None:
    redis_client.hset(keys.approval("default"), mapping={"on": "?", "asked": json.dumps({"who": "x"})})
    store = Approvals(redis_client)
    assert store.switched_on("default") is not None
    assert of("wangwu", "王五 (wangwu)", asked=store.asked("default")) is Standing.VOID


def test_a_draft_remembers_all_who_have_saved_it() -> None:
    assert read("default", written(DRAFT)) == DRAFT
    stored = json.loads(written(DRAFT))
    del stored["by"]  # as the release before writes it
    assert read("default", json.dumps(stored)).authors == ["李四 (lisi)"]

"""Publishing by a second person: who can approve what."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from redis import Redis

from tasks.books.approvals import Approvals, Said, Standing, digest, standing
from tasks.books.draft import Draft, Moved, read, written
from tasks.books.files import Bundle
from tasks.books.revisions import NotApproved
from tasks.services import Services
from tasks.storage import keys
from tasks.templates.model import Media

BOOK = "version: 1\ntemplates:\n  default:\n    text: 您好\nrules:\n  - use: default\n"
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


@pytest.fixture
def book() -> str:
    return BOOK


@pytest.fixture
def meanwhile(services: Services, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """`meanwhile(act)`: it is done once all has been looked at, in the moment before a book is stored."""

    def do(act: Callable[[], object]) -> None:
        monkeypatch.setattr(services.books.media, "put", lambda *_, **__: act())

    return do


def drafted(services: Services, text: str = "欢迎", version: int = 0) -> Draft:
    return services.drafts.replace("default", Bundle(BOOK.replace("您好", text), {}), "李四 (lisi)", version)


Meanwhile = Callable[[Callable[[], object]], None]


def test_what_a_second_person_has_to_see_is_not_published_alone_in_the_moment_it_is_switched_on(
    services: Services, meanwhile: Meanwhile
) -> None:
    draft = drafted(services)
    meanwhile(lambda: services.approvals.switch("default", True, "zhangsan", "张三"))
    with pytest.raises(NotApproved):
        services.drafts.publish("default", draft.version, "lisi")
    assert services.books.current("default") == 1
    assert services.drafts.get("default") == draft


def test_a_draft_that_is_edited_in_the_moment_it_is_published_stays(services: Services, meanwhile: Meanwhile) -> None:
    draft = drafted(services)
    services.approvals.switch("default", True, "zhangsan", "张三")
    services.approvals.ask(draft, "lisi", "李四 (lisi)", "")
    meanwhile(lambda: drafted(services, "再见", draft.version))
    with pytest.raises(Moved):
        services.drafts.publish("default", draft.version, "lisi", approved=digest(draft))
    assert services.books.current("default") == 1
    assert "再见" in services.drafts.working("default").source


@pytest.mark.parametrize("what", ["declined", "switched off", "asked anew"])
def test_a_request_that_is_gone_in_the_moment_it_is_approved_publishes_nothing(
    services: Services, meanwhile: Meanwhile, what: str
) -> None:
    draft, approvals = drafted(services), services.approvals
    approvals.switch("default", True, "zhangsan", "张三")
    approvals.ask(draft, "lisi", "李四 (lisi)", "")
    asked = approvals.asked("default")
    assert asked is not None
    acts = {
        "declined": lambda: approvals.decline(asked, "default", "wangwu", "王五", ""),
        "switched off": lambda: approvals.switch("default", False, "zhangsan", "张三"),
        "asked anew": lambda: approvals.ask(replace(draft, source="version: 1\n# other\n"), "zhaoliu", "赵六", ""),
    }
    meanwhile(acts[what])
    with pytest.raises(NotApproved):
        services.drafts.publish("default", draft.version, "lisi", approved=digest(draft))
    assert services.books.current("default") == 1


def test_what_is_approved_goes_live_and_takes_its_request_along(services: Services) -> None:
    draft = drafted(services)
    services.approvals.switch("default", True, "zhangsan", "张三")
    services.approvals.ask(draft, "lisi", "李四 (lisi)", "")
    assert services.drafts.publish("default", draft.version, "lisi", approved=digest(draft)) == 2
    assert services.drafts.get("default") is None
    assert services.approvals.asked("default") is None
    assert services.approvals.switched_on("default") is not None

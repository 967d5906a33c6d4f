"""Group welcomes at WeCom are what the book says, by difference; what is not ours stays as it is."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tasks import upkeep
from tasks.group_welcomes import (
    ADDED,
    DELETED,
    EDITED,
    FAILED,
    SAME,
    WAITS,
    GroupSync,
    SyncedWelcome,
    SyncInProgress,
    body_of,
    differs,
    digest_of,
    plan,
)
from tasks.media_renewal import MediaRenewer
from tasks.storage import keys
from tasks.storage.connections import connect
from tasks.templates.model import GroupWelcome, Link
from tasks.wecom import WeComAPIError, WeComClient
from tests.simulator.world import App
from tests.support.books import FILES
from tests.support.until import until
from tests.support.worker import Worker

LINK = Link("群规", "https://example.com/rules")
HELLO = GroupWelcome("hello", "欢迎 %NICKNAME% 入群", LINK)
SENT = {"text": {"content": HELLO.text}, "link": {"title": "群规", "url": "https://example.com/rules"}}
TEXTS = "  hello: {text: 欢迎, link: {title: 群规, url: 'https://example.com'}}\n  bye: {text: 再见}\n"


def a_book(welcomes: str) -> str:
    return (
        "version: 1\ntemplates: {default: {text: t}}\nrules:\n  - use: default\n"
        + ("group_welcome:\n" if welcomes else "")
        + welcomes
    )


# ------------------------------------------------------------------------------------------------ decided


@pytest.mark.parametrize(
    ("kept", "acts"),
    [
        ({}, [(ADDED, "hello")]),
        ({"hello": SyncedWelcome("m1", digest_of(SENT))}, [(SAME, "hello")]),
        ({"hello": SyncedWelcome("m1", "another")}, [(EDITED, "hello")]),
        ({"hello": SyncedWelcome("m1")}, [(EDITED, "hello")]),  # adopted
        ({"hello": SyncedWelcome("", "", digest_of(SENT), "45002")}, [(FAILED, "hello")]),
        ({"hello": SyncedWelcome("", "", "what was there before", "45002")}, [(ADDED, "hello")]),
        ({"old": SyncedWelcome("m2", "x")}, [(DELETED, "old"), (ADDED, "hello")]),  # room first
    ],
)
def test_steps_are_the_difference_between_the_book_and_what_was_done(
    kept: dict[str, SyncedWelcome], acts: list[tuple[str, str]]
) -> None:
    assert [(step.act, step.name) for step in plan({"hello": HELLO}, {}, kept)] == acts


def test_what_was_refused_is_tried_again_when_asked_to() -> None:
    kept = {"hello": SyncedWelcome("", "", digest_of(SENT), "45002")}
    assert [step.act for step in plan({"hello": HELLO}, {}, kept, again=True)] == [ADDED]


@pytest.mark.parametrize(
    ("there", "parts"),
    [
        (SENT, []),
        ({**SENT, "errcode": 0, "image": {}, "link": {**SENT["link"], "picurl": "https://a"}}, []),
        ({**SENT, "text": {"content": "x"}}, ["text"]),
        ({"link": SENT["link"]}, ["text"]),
        ({"text": SENT["text"]}, ["link"]),
        ({**SENT, "link": {**SENT["link"], "url": "https://b"}}, ["link.url"]),
        ({**SENT, "video": {"media_id": "a"}}, ["video"]),
    ],
)
def test_drift_is_named_by_its_parts(there: dict[str, Any], parts: list[str]) -> None:
    assert body_of(HELLO, {}) == SENT
    assert differs(SENT, there) == parts


# ------------------------------------------------------------------------------------------------ done


class Groups:
    """The group welcomes of an installation."""

    def __init__(self, here: Worker) -> None:
        self.here = here
        services = here.services
        self.client = services.clients["default"]
        self.sync = GroupSync(services.redis, services.books, services.settings.apps["default"], self.client)

    def book(self, welcomes: str) -> None:
        self.here.services.books.save("default", a_book(welcomes), FILES)

    def steps(self, **options: bool) -> list[tuple[str, str]]:
        return [(step.act, step.name) for step in self.sync.sync(**options)]

    def at_wecom(self, name: str) -> dict[str, Any]:
        answer = self.client.external_contact.group_welcome_template_get(self.id(name))
        return {key: value for key, value in answer.items() if not key.startswith("err")}

    def id(self, name: str) -> str:
        return self.sync.kept()[name].template_id

    def calls(self) -> dict[str, int]:
        """Verb → calls."""
        answers = self.here.wecom.summary().answers
        prefix = "externalcontact/group_welcome_template/"
        return {path.removeprefix(prefix): sum(n.values()) for path, n in answers.items() if path.startswith(prefix)}


@pytest.fixture
def groups(here: Worker) -> Groups:
    return Groups(here)


@pytest.fixture
def keeper(here: Worker) -> Iterator[MediaRenewer]:
    services = here.services
    keeper = MediaRenewer(services.redis, services.books, services.settings.apps, services.clients)
    yield keeper
    until(lambda: not keeper._under_way)


def test_they_are_added_edited_and_deleted_by_difference_and_otherwise_nothing_is_asked(groups: Groups) -> None:
    groups.book(TEXTS)
    assert groups.steps() == [(ADDED, "hello"), (ADDED, "bye")]
    assert groups.at_wecom("hello")["text"] == {"content": "欢迎"}
    assert groups.steps() == [(SAME, "hello"), (SAME, "bye")]
    bye = groups.id("bye")
    groups.book("  hello: {text: 欢迎欢迎}\n  third: {text: 三}\n")
    assert groups.steps() == [(DELETED, "bye"), (EDITED, "hello"), (ADDED, "third")]
    assert groups.at_wecom("hello") == {"text": {"content": "欢迎欢迎"}}
    with pytest.raises(WeComAPIError):
        groups.client.external_contact.group_welcome_template_get(bye)
    assert groups.calls() == {"add": 3, "edit": 1, "del": 1, "get": 3}
    groups.book("")
    assert groups.steps() == [(DELETED, "hello"), (DELETED, "third")]
    assert groups.steps() == []


def test_a_dry_run_changes_nothing(groups: Groups) -> None:
    groups.book(TEXTS)
    assert groups.steps(dry_run=True, check=True) == [(ADDED, "hello"), (ADDED, "bye")]
    assert (groups.calls(), groups.sync.kept()) == ({}, {})


def test_without_a_book_nothing_is_deleted(groups: Groups) -> None:
    groups.sync.adopt({"hello": "m1"})
    assert groups.steps(check=True) == []
    assert groups.id("hello") == "m1"


def test_drift_is_found_told_and_repaired(groups: Groups, caplog: pytest.LogCaptureFixture) -> None:
    groups.book(TEXTS)
    groups.steps()
    ours = groups.client.external_contact
    ours.group_welcome_template_edit({"template_id": groups.id("hello"), "text": {"content": "x"}})
    gone = groups.id("bye")
    ours.group_welcome_template_del(gone)
    assert groups.steps() == [(SAME, "hello"), (SAME, "bye")]  # without a look nobody knows
    dry = groups.sync.sync(check=True, dry_run=True)
    assert [(step.act, step.name) for step in dry] == [(EDITED, "hello"), (EDITED, "bye")]
    with caplog.at_level(logging.WARNING):
        upkeep.sync_group_welcomes(groups.here.services)
    first, second = (record.message for record in caplog.records if record.name == "tasks.upkeep")
    assert first == "app default: group welcome hello: edited: changed_at_wecom fields=text,link"
    assert second.startswith("app default: group welcome bye: added: gone_from_wecom cause=(wecom_error errcode=40058")
    assert groups.at_wecom("hello")["text"] == {"content": "欢迎"}
    assert groups.id("bye") != gone
    assert groups.steps(check=True) == [(SAME, "hello"), (SAME, "bye")]


def test_the_schedule_looks_for_drift_once_an_hour(groups: Groups) -> None:
    groups.book(TEXTS)
    for _ in range(3):
        upkeep.sync_group_welcomes(groups.here.services)
    assert groups.calls() == {"add": 2}
    groups.here.services.redis.delete(keys.group_welcomes_checked("default"))  # an hour later
    for _ in range(2):
        upkeep.sync_group_welcomes(groups.here.services)
    assert groups.calls() == {"add": 2, "get": 2}


def test_what_another_app_made_is_reported_and_left_alone(groups: Groups) -> None:
    wecom = groups.here.wecom
    other = wecom.register(App.random("other", corp_id=groups.here.app.corp_id))
    theirs = WeComClient(other.corp_id, other.secret, wecom.base_url).external_contact
    template_id = theirs.group_welcome_template_add({"text": {"content": "theirs"}})["template_id"]
    groups.sync.adopt({"hello": template_id})
    groups.book(TEXTS)
    assert groups.steps() == [(FAILED, "hello"), (ADDED, "bye")]
    assert groups.sync.troubles()["hello"].errcode == 41058
    assert groups.steps() == [(FAILED, "hello"), (SAME, "bye")]
    assert groups.calls()["edit"] == 1, "it is not tried again and again"
    groups.book("")
    assert [step.detail and step.detail.errcode for step in groups.sync.sync()] == [41058, None]
    assert theirs.group_welcome_template_get(template_id)["text"] == {"content": "theirs"}


def test_those_that_wait_for_media_are_added_once_it_is_there_and_edited_when_it_is_renewed(
    groups: Groups, keeper: MediaRenewer
) -> None:
    groups.book("  film: {text: 看, video: {file: media/intro.mp4}}\n  picture: {image: {file: media/hello.png}}\n")
    assert groups.steps() == [(WAITS, "film"), (WAITS, "picture")]
    keeper.look()
    until(lambda: groups.steps() in ([(ADDED, "film"), (ADDED, "picture")], [(SAME, "film"), (SAME, "picture")]))
    assert groups.at_wecom("picture")["image"]["pic_url"].startswith("https://wework.qpic.cn/")
    before = groups.at_wecom("film")["video"]
    corp_id, ready = groups.here.app.corp_id, groups.here.services.books.ready
    groups.here.services.redis.hdel(keys.ready_media(corp_id), *(key for key in ready.all(corp_id) if "video" in key))
    keeper.look()
    until(lambda: (EDITED, "film") in groups.steps())
    assert groups.at_wecom("film")["video"] != before


def test_media_that_died_is_renewed_and_the_group_welcome_follows(groups: Groups, keeper: MediaRenewer) -> None:
    groups.book("  film: {text: 看, video: {file: media/intro.mp4}}\n")
    keeper.look()
    corp_id, ready = groups.here.app.corp_id, groups.here.services.books.ready
    until(lambda: any(one.value for one in ready.all(corp_id).values()))
    groups.here.wecom.kill_media()
    assert groups.steps() == [(FAILED, "film")]
    assert groups.steps() == [(WAITS, "film")]
    keeper.look()
    until(lambda: (ADDED, "film") in groups.steps())


def test_a_failure_costs_the_others_nothing_and_is_mended_by_the_next_run(groups: Groups) -> None:
    groups.here.wecom.faults(busy=0.5, seed=3, paths=("externalcontact/group_welcome_template/add",))
    groups.book("".join(f"  w{n}: {{text: '{n}'}}\n" for n in range(10)))
    acts = {act for act, _ in groups.steps()}
    assert acts == {ADDED, FAILED}
    groups.here.wecom.faults()
    assert {act for act, _ in groups.steps()} == {ADDED, SAME}
    assert groups.sync.troubles() == {}


def test_the_hundred_and_first_of_a_corp_is_reported(groups: Groups) -> None:
    for n in range(99):
        groups.client.external_contact.group_welcome_template_add({"text": {"content": str(n)}})
    groups.book(TEXTS)
    assert groups.steps() == [(ADDED, "hello"), (FAILED, "bye")]
    assert groups.sync.troubles()["bye"].errcode == 41055


def test_two_at_once_do_not_make_two_of_each(groups: Groups) -> None:
    groups.book(TEXTS)
    groups.here.services.redis.set(keys.group_welcomes_lock("default"), "somebody")
    with pytest.raises(SyncInProgress):
        groups.sync.sync()
    upkeep.sync_group_welcomes(groups.here.services)  # leaves it to the other
    assert groups.calls() == {}
    groups.here.services.redis.delete(keys.group_welcomes_lock("default"))  # that one died
    assert groups.steps() == [(ADDED, "hello"), (ADDED, "bye")]


def test_a_lock_that_another_process_holds_by_now_is_left_to_it(
    groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups.book(TEXTS)
    lock, made = keys.group_welcomes_lock("default"), groups.sync._add

    def slowly(step: Any, by: float) -> Any:
        groups.here.services.redis.set(lock, "another")  # ours has ended
        return made(step, by)

    monkeypatch.setattr(groups.sync, "_add", slowly)
    assert groups.steps() == [(ADDED, "hello"), (ADDED, "bye")]
    assert groups.here.services.redis.get(lock) == "another"


def test_an_id_is_recorded_as_soon_as_it_is_known(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies in the middle leaves no group welcome behind that nobody knows."""
    groups.book(TEXTS)
    made = groups.sync._add
    done: list[str] = []

    def then_die(step: Any, by: float) -> Any:
        if done:
            raise SystemExit
        done.append(step.name)
        return made(step, by)

    monkeypatch.setattr(groups.sync, "_add", then_die)
    with pytest.raises(SystemExit):
        groups.sync.sync()
    with connect(groups.here.services.settings.redis_url or "", timeout=1) as client:
        assert client.hkeys(keys.group_welcomes("default")) == ["hello"]
    monkeypatch.undo()
    assert groups.steps() == [(SAME, "hello"), (ADDED, "bye")]

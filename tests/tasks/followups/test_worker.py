"""After the greeting: tags and remark, whatever became of it, over hours if need be, and never twice in effect."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.followups.corp_tags import CorpTags, TagsNotReady
from tasks.followups.handler import FACTS_AWAITED, FollowUpHandler, _current_remark, after_failure
from tasks.followups.retries import DELAYS
from tasks.followups.store import FollowUps, FollowUpTask
from tasks.followups.worker import DueWorker
from tasks.ledger.claims import FollowUpProgress, SettledEvent, Settlement
from tasks.ledger.delivery import FollowUpState, FollowUpStatus, Outcome
from tasks.messages import translate
from tasks.state import backup, erasure
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates.model import Tag
from tasks.wecom import WeComClient, errors
from tasks.workers import make_follow_up_handler
from tests.simulator.client import StandIn
from tests.support.builders import a_contact, in_words
from tests.support.ledger import accepted, settled
from tests.support.servers import Server, answering, whole
from tests.support.worker import Worker
from webhook.reason_texts import describe

BOOK = """\
version: 1
templates:
  default:
    text: 您好
    then: {tags: [来源/新客户, 未分组], remark: "{customer}-{state|无渠道}"}
  night:
    text: 晚上好
    then: {tags: [来源/夜间]}
  named:
    text: 您好
    then: {remark: "{member|同事}的{customer}"}
  quiet:
    text: 您好
rules:
  - when: {state: quiet}
    use: quiet
  - when: {state: "asks-*", customer_type: wecom}
    use: night
  - use: default
"""
MARK = ("externalcontact/mark_tag",)


@dataclass
class Slow:
    """A worker of greetings and one of follow-ups, on the same Redis."""

    worker: Worker
    follow_up: FollowUpHandler

    @property
    def client(self) -> Redis:
        return self.worker.services.redis

    @property
    def api(self) -> Any:
        return self.worker.services.clients["default"].external_contact

    def settled(self, outcome: str = "sent", template: str = "", change: str = "add", **different: Any) -> str:
        """The id of an event whose greeting came to this. `template`: that it had come to; "": none."""
        record = self.worker.wecom.add(
            push=False, change={"add": "add_external_contact", "half_add": "add_half_external_contact"}[change]
        )
        event = accepted(
            self.worker.ledger,
            corp_id=self.worker.app.corp_id,
            user_id=record.user_id,
            change=change,
            **{"external_user_id": record.external_user_id} | different,
        )
        self.worker.ledger.claim(9)
        settlement = Settlement(Outcome(outcome), template=template, revision=1 if template else 0)
        self.worker.ledger.settle(SettledEvent(event, settlement, follow_up=True))
        return event.id

    def run(self) -> None:
        DueWorker(self.follow_up.store, self.follow_up.do).run()

    def wait(self, seconds: float) -> None:
        """As if so many seconds had passed."""
        for identity, _ in self.client.zscan_iter(keys.FOLLOWUP_DUE):
            self.client.zincrby(keys.FOLLOWUP_DUE, -round(seconds * 1000), identity)

    def seen(self, identity: str) -> FollowUpState:
        """How far it is, without the time of the last try and the claims."""
        row = self.worker.ledger.delivery(identity)
        assert row is not None
        assert row.follow_up is not None
        at = row.follow_up.at
        assert at is None or 0 <= self.worker.ledger.now() / 1000 - at < 60
        return replace(row.follow_up, at=None, claims=0)

    def why(self, identity: str) -> str:
        """The reason that is kept, in words."""
        reason = self.seen(identity).reason
        return "" if reason is None else translate(describe(reason))

    def marks(self, identity: str) -> tuple[set[str], str]:
        """(tags, remark) that WeCom has of the pair."""
        row = self.worker.ledger.fields(identity)
        assert row is not None
        followers = self.api.get(row["external_user_id"])["follow_user"]
        (one,) = (one for one in followers if one["userid"] == row["user_id"])
        return {f"{tag['group_name']}/{tag['tag_name']}" for tag in one["tags"]}, one["remark"]

    def calls(self, path: str) -> int:
        return sum(self.worker.wecom.summary().answers.get(f"externalcontact/{path}", {}).values())


@pytest.fixture
def slow(wecom: StandIn, redis_url: str) -> Iterator[Slow]:
    worker = Worker.made(wecom, redis_url, book=BOOK)
    yield Slow(worker, replace(make_follow_up_handler(worker.services), jitter=lambda: 0.5))
    worker.close()


# ------------------------------------------------------------------------------------------------ what is done


def test_a_greeted_customer_is_tagged_and_remarked(slow: Slow) -> None:
    _, claim = slow.worker.claimed(state="douyin-7")
    assert slow.worker.greet(claim)["outcome"] == "sent"
    slow.run()
    assert slow.marks(claim.id) == (
        {"来源/新客户", "欢迎语/未分组"},
        f"客户{claim.event.external_user_id[-4:]}-douyin-7",
    )
    assert slow.seen(claim.id) == FollowUpState(
        FollowUpStatus.DONE, attempts=1, tags=("来源/新客户", "欢迎语/未分组"), remark="set"
    )


@pytest.mark.parametrize(
    ("different", "outcome"),
    [
        ({"welcome_code": ""}, "no_code"),
        ({"welcome_code": "unknown"}, "refused"),
        ({"created_at": int(time.time()) - 3600}, "stale"),
    ],
)
def test_whatever_became_of_the_greeting_the_customer_is_followed_up(
    slow: Slow, different: dict[str, Any], outcome: str
) -> None:
    _, claim = slow.worker.claimed(**different)
    assert slow.worker.greet(claim)["outcome"] == outcome
    slow.run()
    assert (slow.seen(claim.id).status, slow.marks(claim.id)[0]) == ("done", {"来源/新客户", "欢迎语/未分组"})


def test_who_was_settled_before_a_template_was_chosen_gets_that_of_its_rules(slow: Slow) -> None:
    slow.worker.wecom.people(customers={"wm-wecom": {"type": 2}})
    slow.worker.wecom.add(push=False, external_user_id="wm-wecom")
    asked = slow.settled("no_code", state="asks-1", external_user_id="wm-wecom")
    plain = slow.settled("expired", state="asks-1")
    quiet = slow.settled("expired", state="quiet")
    slow.run()
    assert slow.marks(asked)[0] == {"来源/夜间"}
    assert slow.marks(plain)[0] == {"来源/新客户", "欢迎语/未分组"}
    assert "follow_state" not in (slow.worker.ledger.fields(quiet) or {})
    assert slow.client.zcard(keys.FOLLOWUP_DUE) == 0


def test_a_fact_that_is_not_told_is_waited_for_and_then_counts_as_unknown(slow: Slow) -> None:
    identity = slow.settled("no_code", state="asks-1")
    slow.worker.wecom.faults(busy=1, paths=["externalcontact/get"])
    for _ in range(FACTS_AWAITED):
        slow.run()
        assert (slow.seen(identity).status, slow.calls("mark_tag")) == ("waiting", 0)
        slow.wait(3600)
    slow.run()
    assert "来源/新客户" in slow.seen(identity).tags


def test_nothing_is_entered_for_rehearsals_and_for_templates_without_it(slow: Slow) -> None:
    for different in ({"rehearsal": True}, {"state": "quiet"}):
        _, claim = slow.worker.claimed(**different)
        row = slow.worker.greet(claim)
        assert "follow_state" not in row
    assert slow.client.exists(keys.FOLLOWUP_DUE) == 0


def test_the_follow_up_is_entered_with_the_first_outcome_alone(slow: Slow) -> None:
    event = settled(slow.worker.ledger, Settlement(Outcome.UNCONFIRMED), follow_up=True)
    slow.client.delete(keys.FOLLOWUP_DUE)
    slow.worker.ledger.settle(SettledEvent(event, Settlement(Outcome.SENT), follow_up=True))
    assert slow.client.exists(keys.FOLLOWUP_DUE) == 0


def test_a_remark_that_the_member_has_set_stays(slow: Slow) -> None:
    identity = slow.settled(template="default")
    row = slow.worker.ledger.fields(identity)
    assert row is not None
    slow.api.remark(row["user_id"], row["external_user_id"], remark="老同学")
    slow.run()
    assert slow.marks(identity)[1] == "老同学"
    assert (slow.seen(identity).status, slow.seen(identity).remark) == ("done", "kept")


def test_a_remark_is_cut_to_20_characters(slow: Slow) -> None:
    slow.worker.wecom.people(customers={"wm-long": {"name": "名" * 30}})
    slow.worker.wecom.add(push=False, external_user_id="wm-long")
    identity = slow.settled(template="default", external_user_id="wm-long")
    slow.run()
    assert slow.marks(identity)[1] == "名" * 20


def test_a_name_that_is_not_told_is_waited_for_and_then_its_fallback_stands(slow: Slow) -> None:
    slow.worker.wecom.faults(busy=1, paths=["user/get"])
    identities = [slow.settled(template="named") for _ in range(2)]
    slow.run()
    assert {slow.why(one) for one in identities} == {"the remark has member, and WeCom does not tell"}
    slow.worker.wecom.faults()
    slow.worker.wecom.people(members={"zhangsan": {"name": "张三"}})
    slow.wait(10)
    slow.run()
    assert all(slow.marks(one)[1].startswith("张三的客户") for one in identities)
    slow.client.flushdb()
    slow.worker.services.books.import_first("default", BOOK)
    slow.worker.wecom.faults(busy=1, paths=["user/get"])
    last = slow.settled(template="named")
    for _ in range(FACTS_AWAITED + 1):
        slow.run()
        slow.wait(3600)
    assert slow.marks(last)[1].startswith("同事的客户")


# ------------------------------------------------------------------------------------------------ tags


def test_tags_are_made_once_and_then_remembered(slow: Slow) -> None:
    identities = [slow.settled(template="default") for _ in range(3)]
    slow.run()
    assert [slow.seen(one).status for one in identities] == ["done"] * 3
    assert (slow.calls("get_corp_tag_list"), slow.calls("add_corp_tag")) == (1, 2)
    groups = slow.api.get_corp_tag_list()["tag_group"]
    assert {(g["group_name"], t["name"]) for g in groups for t in g["tag"]} == {
        ("来源", "新客户"),
        ("欢迎语", "未分组"),
    }


def test_workers_at_once_make_a_tag_once(slow: Slow) -> None:
    slow.worker.wecom.faults(latency_ms=50, paths=["*"])
    corp, wecom = slow.worker.app.corp_id, slow.worker.services.clients["default"]
    wanted = [Tag("来源", "新客户"), Tag("欢迎语", "b")]

    def ids(_: int) -> list[str]:
        return CorpTags(slow.client).ids(wecom, corp, wanted, time.monotonic() + 8)

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ids, range(6)))
    assert found == [found[0]] * 6
    assert slow.calls("add_corp_tag") == 2
    assert not slow.client.exists(keys.corp_tags_lock(corp))


def test_a_lock_that_is_held_is_waited_for_until_the_deadline(slow: Slow) -> None:
    corp, wecom = slow.worker.app.corp_id, slow.worker.services.clients["default"]
    slow.client.set(keys.corp_tags_lock(corp), "another")
    with pytest.raises(TagsNotReady):
        CorpTags(slow.client).ids(wecom, corp, [Tag("a", "b")], time.monotonic() + 0.2)


def test_a_tag_that_was_deleted_in_wecom_is_created_again(slow: Slow) -> None:
    slow.settled(template="night")
    slow.run()
    groups = slow.api.get_corp_tag_list()["tag_group"]
    slow.api.del_corp_tag(group_id=[group["group_id"] for group in groups])
    identity = slow.settled(template="night")
    slow.run()
    assert (slow.seen(identity).status, slow.seen(identity).attempts) == ("done", 1)
    assert slow.marks(identity)[0] == {"来源/夜间"}


# ------------------------------------------------------------------------------------------------ tried again


def test_what_fails_is_tried_again_over_hours_and_then_given_up_with_the_reason(slow: Slow) -> None:
    identity = slow.settled(template="default")
    slow.worker.wecom.faults(busy=1, paths=MARK)
    for number, delay in enumerate(DELAYS, 1):
        before = time.time()
        slow.run()
        seen = slow.seen(identity)
        assert (seen.status, seen.attempts, slow.why(identity)) == ("waiting", number, "-1 system busy")
        assert before + delay - 1 < seen.next_at < time.time() + delay + 1
        slow.run()
        assert slow.seen(identity).attempts == number, "not before its time"
        slow.wait(delay)
    slow.run()
    seen = slow.seen(identity)
    assert (seen.status, seen.next_at) == ("failed", None)
    assert slow.why(identity) == "given up after 7 tries: -1 system busy"
    assert slow.client.zcard(keys.FOLLOWUP_DUE) == 0
    slow.worker.wecom.faults()
    assert slow.follow_up.store.again(identity)
    slow.run()
    assert (slow.seen(identity).status, slow.seen(identity).attempts) == ("done", 1)
    assert not slow.follow_up.store.again(identity)


def test_a_remark_that_fails_does_not_mark_the_tags_again(slow: Slow) -> None:
    identity = slow.settled(template="default")
    slow.worker.wecom.faults(busy=1, paths=["externalcontact/remark"])
    slow.run()
    assert slow.seen(identity).tags == ("来源/新客户", "欢迎语/未分组")
    slow.worker.wecom.faults()
    slow.wait(10)
    slow.run()
    assert (slow.seen(identity).status, slow.seen(identity).remark) == ("done", "set")
    assert slow.calls("mark_tag") == 1


def test_a_half_add_waits_for_the_full_add_which_hastens_it(slow: Slow) -> None:
    slow.worker.wecom.add(push=False, external_user_id="wm-half", change="add_half_external_contact")
    half = slow.settled(change="half_add", template="default", external_user_id="wm-half")
    for _ in range(2):
        slow.run()
        slow.wait(60)
    slow.wait(-7200)
    assert slow.why(half).startswith("waits for the full add: 84061")
    slow.worker.wecom.add(push=False, external_user_id="wm-half")
    full = slow.settled(template="default", external_user_id="wm-half")
    slow.run()
    assert (slow.seen(half).status, slow.seen(full).status) == ("done", "done")
    assert slow.client.exists(keys.FOLLOWUP_AWAITED) == 0


def test_a_half_add_that_is_confirmed_without_an_event_is_found_out_by_the_next_try(slow: Slow) -> None:
    slow.worker.wecom.add(push=False, external_user_id="wm-half", change="add_half_external_contact")
    half = slow.settled(change="half_add", template="night", external_user_id="wm-half")
    slow.run()
    slow.worker.wecom.add(push=False, external_user_id="wm-half")
    slow.wait(10)
    slow.run()
    assert slow.seen(half).status == "done"


def a_task(**different: Any) -> FollowUpTask:
    return replace(FollowUpTask(a_contact(), "0" * 32, 1, 1, 0, "default", 1, (), None), **different)


def api_error(code: int) -> errors.WeComAPIError:
    return errors.from_answer(code, "why", "externalcontact/mark_tag")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (api_error(45035), "waiting"),
        (api_error(-1), "waiting"),
        (api_error(45009), "waiting"),
        (api_error(84061), "waiting"),
        (api_error(40068), "waiting"),
        (api_error(60020), "waiting"),  # a person may allow the address within hours
        (api_error(987654), "waiting"),  # nobody lists it
        (errors.NoAnswer("p", errors.Failure.ANSWER_TIMEOUT), "waiting"),
        (errors.NotSent("p", errors.Failure.CONNECTION_REFUSED), "waiting"),
        (errors.from_status(404, "p"), "waiting"),
        (api_error(60111), "failed"),
        (api_error(40096), "failed"),
        (api_error(40071), "failed"),
        (errors.InvalidRequest("p", "f", "v", "l"), "failed"),
    ],
)
def test_a_later_try_is_made_where_it_may_succeed(error: Exception, state: str) -> None:
    progress = after_failure(error, a_task(), 0.5)
    assert (progress.status, progress.delay) == (state, DELAYS[0] if state == "waiting" else 0)
    assert not progress.awaits_full_add


def test_tries_of_many_at_once_are_spread() -> None:
    delays = {after_failure(api_error(45035), a_task(), jitter).delay for jitter in (0.0, 0.5, 1.0)}
    assert delays == {7.5, 10.0, 12.5}


# ------------------------------------------------------------------------------------------------ leases


def test_a_worker_that_died_is_replaced_when_its_lease_ends_and_can_record_nothing_more(slow: Slow) -> None:
    identity = slow.settled(template="night")
    store = slow.follow_up.store
    (dead,) = store.claim(9)
    assert store.claim(9) == []
    slow.wait(10)
    (living,) = store.claim(9)
    assert (living.fencing_token, living.attempts) == (2, 2)
    assert not store.record(dead, FollowUpProgress(FollowUpStatus.FAILED, in_words("too late")))
    assert store.record(living, FollowUpProgress(FollowUpStatus.DONE))
    assert slow.seen(identity).status == "done"


def test_a_follow_up_that_kills_its_workers_is_given_up(slow: Slow) -> None:
    identity = slow.settled(template="night")
    for _ in range(len(DELAYS) + 1):
        slow.follow_up.store.claim(9)
        slow.wait(10)
    slow.run()
    assert slow.why(identity) == "workers stopped midway again and again"


def test_an_error_of_ours_is_tried_again_and_its_words_are_not_kept(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = slow.settled(template="default")
    with monkeypatch.context() as patch:
        patch.setattr(CorpTags, "ids", _errs)
        slow.run()
    assert (slow.seen(identity).status, slow.why(identity)) == ("waiting", "RuntimeError")
    slow.wait(10)
    slow.run()
    assert slow.seen(identity).status == "done"


def _errs(*_: object) -> bool:
    raise RuntimeError("王芳")


def test_a_crash_between_remark_and_record_shows_the_remark_as_set(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = slow.settled(template="default")
    with monkeypatch.context() as patch:
        patch.setattr(FollowUps, "record", _dies)
        with pytest.raises(KeyboardInterrupt):
            slow.follow_up.do(slow.follow_up.store.claim(1)[0])
    slow.wait(10)
    slow.run()
    assert (slow.seen(identity).status, slow.seen(identity).remark) == ("done", "set")


def _dies(*_: object) -> bool:
    raise KeyboardInterrupt


def test_due_follow_ups_queue_a_message_about_once_a_second(slow: Slow) -> None:
    ledger = slow.worker.ledger
    ledger.requeue()
    assert slow.client.llen(keys.SLOW_QUEUE) == 0
    slow.settled(template="night")
    ledger.requeue()
    ledger.requeue()
    assert slow.client.llen(keys.SLOW_QUEUE) == 1


# ------------------------------------------------------------------------------------------------ state


def test_a_forgotten_customer_is_not_followed_up_and_leaves_nothing(slow: Slow) -> None:
    slow.worker.wecom.add(push=False, external_user_id="wm-half", change="add_half_external_contact")
    slow.settled(change="half_add", template="default", external_user_id="wm-half")
    slow.run()
    (task,) = (slow.wait(60), slow.follow_up.store.claim(9))[1]
    slow.follow_up.store.record(task, FollowUpProgress(FollowUpStatus.WAITING, delay=5, awaits_full_add=True))
    assert slow.client.hlen(keys.FOLLOWUP_AWAITED) == 1
    erasure.forget(slow.client, "wm-half")
    assert not slow.follow_up.store.record(task, FollowUpProgress(FollowUpStatus.DONE))
    assert slow.client.exists(keys.FOLLOWUP_DUE, keys.FOLLOWUP_AWAITED) == 0
    assert "wm-half" not in str([slow.client.dump(key) for key in slow.client.keys(keys.ALL)])


def test_what_waits_comes_back_from_a_backup(slow: Slow, tmp_path: Any) -> None:
    identity = slow.settled(template="night")
    backup.backup(slow.client, tmp_path / "a.zip")
    slow.client.flushall()
    backup.restore(slow.client, tmp_path / "a.zip")
    slow.run()
    assert slow.seen(identity).status == "done"


@pytest.mark.parametrize("theirs", ["zhangsan", "ZhangSan", "ZHANGSAN"])
def test_the_members_remark_is_found_in_whatever_case(theirs: str) -> None:
    def answer(number: int) -> bytes:
        token = {"errcode": 0, "access_token": "t", "expires_in": 7200}
        customer = {
            "errcode": 0,
            "external_contact": {"name": "王芳"},
            "follow_user": [{"userid": "lisi", "remark": "x"}, {"userid": theirs, "remark": "老王"}],
        }
        return whole(json.dumps(token if number == 1 else customer).encode())

    with Server(answering(answer)) as server:
        task = SimpleNamespace(event=a_contact(user_id="zhangsan"))
        assert _current_remark(WeComClient("ww1", "s", server.url), task) == ("王芳", "老王")


def test_a_row_that_cannot_be_read_holds_up_none_beside_it(slow: Slow) -> None:
    ids = [slow.settled("no_code"), slow.settled("no_code")]
    slow.client.hset(keys.event(ids[0]), "changes", "of a later release")
    slow.run()
    assert slow.seen(ids[1]).status is FollowUpStatus.DONE
    assert slow.client.zrange(keys.FOLLOWUP_DUE, 0, -1) == ids[:1], "a process that can read it does it"

"""Tags that people put on customers: asked for in rows, done on the slow queue, their result in the row, in words."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tasks.followups.retries import DELAYS
from tasks.followups.tagger import Tagger
from tasks.followups.tagging import MOST, MOST_TAGS, Taggings
from tasks.followups.worker import DueWorker
from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import FollowUpStatus, Outcome, TaggingState
from tasks.ledger.pauses import FOLLOW_UPS
from tasks.messages import translate
from tasks.state import erasure
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates.model import Tag
from tests.simulator.client import StandIn
from tests.support.ledger import accepted, unannounced
from tests.support.worker import Worker
from webhook.reason_texts import describe

VIP, NEW = Tag("等级", "VIP"), Tag("来源", "新客户")


@dataclass
class Here:
    """A worker of tags, and the stand-in's customers."""

    worker: Worker
    tagger: Tagger

    @property
    def store(self) -> Taggings:
        return self.tagger.store

    @property
    def client(self) -> Redis:
        return self.worker.services.redis

    def customer(self, outcome: Outcome | None = Outcome.EXPIRED, **different: Any) -> str:
        """The id of an event whose customer WeCom knows."""
        record = self.worker.wecom.add(push=False)
        pair = {"user_id": record.user_id, "external_user_id": record.external_user_id} | different
        event = accepted(self.worker.ledger, corp_id=self.worker.app.corp_id, **pair)
        if outcome is not None:
            self.worker.ledger.claim(9)
            self.worker.ledger.settle(SettledEvent(event, Settlement(outcome)))
        return event.id

    def run(self) -> None:
        DueWorker(self.store, self.tagger.do).run()

    def state(self, identity: str) -> TaggingState:
        row = self.worker.ledger.delivery(identity)
        assert row is not None
        assert row.tagging is not None
        return row.tagging

    def tags(self, identity: str) -> set[tuple[str, str]]:
        """What WeCom has, of the customer and its member."""
        row = self.worker.ledger.fields(identity)
        assert row is not None
        followers = self.worker.services.clients["default"].external_contact.get(row["external_user_id"])["follow_user"]
        (one,) = (one for one in followers if one["userid"] == row["user_id"])
        return {(tag["group_name"], tag["tag_name"]) for tag in one["tags"]}


@pytest.fixture
def here(wecom: StandIn, redis_url: str) -> Iterator[Here]:
    worker = Worker.made(wecom, redis_url)
    services = worker.services
    yield Here(worker, Tagger(services.taggings, services.corp_tags, services.clients, jitter=lambda: 0.5))
    worker.close()


def test_many_customers_get_many_tags_and_their_rows_say_so(here: Here) -> None:
    ids = [here.customer(), here.customer(Outcome.SENT)]
    assert here.store.ask("default", ids, [VIP, NEW], "王经理") == ids
    asked = here.state(ids[0])
    assert (asked.status, asked.by, asked.wanted) == ("waiting", "王经理", (("等级", "VIP"), ("来源", "新客户")))
    assert here.client.llen(keys.SLOW_QUEUE) == 1, "the slow queue is woken, once"
    here.run()
    for identity in ids:
        assert here.tags(identity) == {("等级", "VIP"), ("来源", "新客户")}
        assert here.state(identity).status is FollowUpStatus.DONE
        assert set(here.state(identity).tags) == here.tags(identity)
    assert here.client.zcard(keys.TAGGING) == 0


def test_tags_asked_for_while_others_wait_are_added_and_those_of_before_are_kept(here: Here) -> None:
    identity = here.customer()
    here.store.ask("default", [identity], [VIP], "a")
    (task,) = here.store.claim(1)  # a worker is at it when the second request comes
    here.store.ask("default", [identity], [NEW], "b")
    here.tagger.do(task)
    assert here.state(identity).status is FollowUpStatus.WAITING, "the first worker's claim has ended"
    here.run()
    assert here.tags(identity) == {("等级", "VIP"), ("来源", "新客户")}
    here.store.ask("default", [identity], [Tag("等级", "普通")], "c")
    here.run()
    assert set(here.state(identity).tags) == {("等级", "VIP"), ("来源", "新客户"), ("等级", "普通")}
    assert here.state(identity).by == "c"


def test_only_customers_of_the_app_that_are_settled_and_real_are_tagged(here: Here) -> None:
    others = [
        here.customer(None),
        here.customer(app="sales"),
        here.customer(Outcome.REHEARSED, rehearsal=True),
        "f" * 32,
    ]
    assert here.store.ask("default", others, [VIP], "a") == []
    assert here.client.zcard(keys.TAGGING) == here.client.llen(keys.SLOW_QUEUE) == 0


@pytest.mark.parametrize(("customers", "tags"), [(0, 1), (MOST + 1, 1), (1, 0), (1, MOST_TAGS + 1)])
def test_a_request_is_bounded(here: Here, customers: int, tags: int) -> None:
    with pytest.raises(ValueError, match="1 to 200 customers and 1 to 20 tags"):
        here.store.ask("default", [f"{n:x}" for n in range(customers)], [Tag("a", str(n)) for n in range(tags)], "a")


def test_one_whom_the_comparison_found_is_tagged_too(here: Here) -> None:
    record = here.worker.wecom.add(push=False)
    found = replace(unannounced("e" * 32), corp_id=here.worker.app.corp_id, user_id=record.user_id, app="default")
    here.worker.services.app("default").work_list.add_unannounced(
        [replace(found, external_user_id=record.external_user_id)], 1000
    )
    assert here.store.ask("default", ["e" * 32], [VIP], "a") == ["e" * 32]
    here.run()
    assert here.tags("e" * 32) == {("等级", "VIP")}


def test_a_customer_who_has_left_fails_at_once_with_a_reason(here: Here) -> None:
    identity = here.customer(external_user_id="wmGONE")
    here.store.ask("default", [identity], [VIP], "a")
    here.run()
    state = here.state(identity)
    assert (state.status, state.attempts, state.tags) == (FollowUpStatus.FAILED, 1, ())
    assert state.reason is not None
    assert state.reason.errcode == 84061
    assert translate(describe(state.reason))


def test_a_failure_that_may_pass_is_tried_again_and_given_up_in_the_end(here: Here) -> None:
    identity = here.customer()
    here.worker.wecom.faults(busy=1, paths=["externalcontact/mark_tag"])
    here.store.ask("default", [identity], [VIP], "a")
    here.run()
    state = here.state(identity)
    assert state.status is FollowUpStatus.WAITING
    assert state.next_at is not None
    assert state.at is not None
    assert 9 < state.next_at - state.at < 11
    here.worker.wecom.faults()
    here.client.zadd(keys.TAGGING, {identity: 0})
    here.run()
    assert (here.state(identity).status, here.state(identity).reason) == (FollowUpStatus.DONE, None)
    here.store.ask("default", [identity], [NEW], "a")
    here.client.hset(keys.event(identity), "tagging_attempts", len(DELAYS) + 1)
    here.run()
    assert here.state(identity).status is FollowUpStatus.FAILED


def test_tags_wait_while_the_lane_is_paused_and_go_with_a_forgotten_customer(here: Here) -> None:
    identity = here.customer()
    here.store.ask("default", [identity], [VIP], "a")
    here.worker.services.queue_pauses.pause(FOLLOW_UPS, "a")
    here.run()
    assert here.state(identity).status is FollowUpStatus.WAITING
    row = here.worker.ledger.delivery(identity)
    assert row is not None
    erasure.forget(here.client, row.external_user_id)
    assert here.client.zcard(keys.TAGGING) == 0


def test_what_is_due_wakes_the_slow_queue_when_its_message_was_lost(here: Here) -> None:
    here.store.ask("default", [here.customer()], [VIP], "a")
    here.client.delete(keys.SLOW_QUEUE, keys.FOLLOWUP_WOKEN)
    here.worker.ledger.requeue()
    assert here.client.llen(keys.SLOW_QUEUE) == 1


def test_the_tags_to_choose_from_are_wecoms_and_the_last_known_ones_where_it_does_not_answer(here: Here) -> None:
    tags, wecom = here.worker.services.corp_tags, here.worker.services.clients["default"]
    corp = here.worker.app.corp_id
    assert tags.listed(wecom, corp) == []
    wecom.external_contact.add_corp_tag(tag=[{"name": "VIP"}, {"name": "普通"}], group_name="等级")
    assert tags.listed(wecom, corp) == [Tag("等级", "VIP"), Tag("等级", "普通")]
    here.worker.wecom.faults(busy=1, paths=["externalcontact/get_corp_tag_list"])
    here.client.expire(keys.corp_tags(corp), 3600)
    assert len(tags.listed(wecom, corp)) == 2


def test_a_row_that_cannot_be_read_holds_up_none_beside_it(here: Here) -> None:
    ids = [here.customer(), here.customer()]
    here.store.ask("default", ids, [VIP], "")
    here.client.hset(keys.event(ids[0]), "changes", "of a later release")
    here.run()
    assert here.state(ids[1]).status is FollowUpStatus.DONE
    assert here.client.zrange(keys.TAGGING, 0, -1) == ids[:1], "a process that can read it does it"

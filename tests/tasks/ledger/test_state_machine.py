"""The ledger against a model of it: whatever workers, crashes and re-sent events do, and in whatever order."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tasks.events import ContactAdded
from tasks.ledger import statistics
from tasks.ledger.claims import Admission, Claim, SettledEvent, Settlement
from tasks.ledger.delivery import GREETED, MISSED, Outcome
from tasks.ledger.ledger import CLAIM_LEASE, LEFT_BEHIND, WAITING_MESSAGES, Acceptance
from tasks.state import erasure
from tasks.storage import connections, keys
from tests.support.builders import a_contact, in_words
from tests.support.ledger import a_ledger, let_time_pass
from tests.support.overload import EVERYBODY
from tests.support.processes import RedisServer

ZONE = ZoneInfo("Asia/Shanghai")


@dataclass
class Row:
    """What the model knows of an event. `due`: ms of Redis' clock, None once there is an outcome."""

    event: ContactAdded
    due: float | None
    claims: int = 0
    attempts: int = 0
    answers: int = 0
    outcome: str | None = None
    received: int = 0
    greeted_later: bool = False
    settled: Settlement = field(default_factory=lambda: Settlement(""))

    @property
    def pair(self) -> tuple[str, str]:
        return self.event.user_id, self.event.external_user_id

    @property
    def is_missed(self) -> bool:
        return self.outcome in MISSED and not self.greeted_later and not self.event.rehearsal


SETTLEMENTS = [
    Settlement(Outcome.SENT, template="a", rule="1|x", variant="v|1", steps={"answer_1": 150, "answer_2": 20400}),
    Settlement(Outcome.SENT, template="b", steps={"answer_1": 1200}),
    Settlement(Outcome.UNCONFIRMED, in_words("an answer was lost"), template="a", rule="1|x", variant="v|1"),
    Settlement(Outcome.FAILED, in_words("the last"), 45009, template="b"),
    Settlement(Outcome.EXPIRED, cause="paused"),
    Settlement(Outcome.NO_CODE),
]


class LedgerMachine(RuleBasedStateMachine):
    """Time is Redis' own; it passes when what is due is moved nearer."""

    client: connections.Redis  # set by the test

    events = Bundle("events")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.ledger = a_ledger(self.client)
        self.model: dict[str, Row] = {}
        self.outcomes = 0  # events that ever got one
        self.tallies: Counter[tuple[str, object, str]] = Counter()

    # ---------------------------------------------------------------------------- what WeCom does

    @initialize(target=events, members=st.lists(st.sampled_from(["zhangsan", "lisi"]), min_size=4, max_size=4))
    def customers_are_there(self, members: list[str]) -> object:
        return multiple(*(self.a_customer_is_added("wm1", member, "c1", False) for member in members))

    @rule(
        target=events,
        customer=st.sampled_from(["wm1", "wm2"]),
        member=st.sampled_from(["zhangsan", "lisi"]),
        channel=st.sampled_from(["", "a|b", "sent", "x" * 700, "c1", "c2", "c3"]),
        rehearsal=st.sampled_from([False, False, False, True]),
    )
    def a_customer_is_added(self, customer: str, member: str, channel: str, rehearsal: bool) -> ContactAdded:
        event = a_contact(external_user_id=customer, user_id=member, state=channel, rehearsal=rehearsal)
        before, promised = self.ledger.now(), self.attended()
        assert self.ledger.accept(event)
        due = self.client.zscore(keys.DUE, event.id)
        assert before <= due <= self.ledger.now()
        self.model[event.id] = Row(event, due, received=round(due))
        assert self.client.llen(keys.QUEUE) > 0 or promised
        return event

    @rule(event=events)
    def wecom_sends_again(self, event: ContactAdded) -> None:
        known = event.id in self.model  # else its customer was forgotten meanwhile
        assert self.ledger.accept(event) is (Acceptance.DUPLICATE if known else Acceptance.FORGOTTEN)

    # ---------------------------------------------------------------------------- what workers do

    @rule(
        target=claims,
        most=st.integers(0, 3),
        poll_again_within=st.sampled_from([0.0, 0.02]),
        admission=st.sampled_from([EVERYBODY, Admission(10.0), Admission(10.0, newest_first=True)]),
    )
    def a_worker_takes_what_is_due(self, most: int, poll_again_within: float, admission: Admission) -> object:
        before = self.ledger.now()
        claims = self.ledger.take(most, admission, poll_again_within).claims
        after = self.ledger.now()
        taken = {claim.id for claim in claims}
        assert len(taken) == len(claims) <= most
        for claim in claims:
            row = self.model[claim.id]
            assert row.due is not None, "what has an outcome is never claimed"
            assert row.due <= after, "at most one live lease per event"
            row.claims += 1
            assert claim.event == row.event
            assert (claim.fencing_token, claim.attempts, claim.answers) == (row.claims, row.attempts, row.answers)
            row.attempts += 1  # a claim begins a try
        waiting = [row for row in self.model.values() if row.due is not None and row.event.id not in taken]
        if len(claims) < most:
            assert all(row.due >= before for row in waiting), "nobody who is due is passed over"
        due = [self.model[claim.id].due for claim in claims]
        if admission is EVERYBODY:
            assert all(row.due >= min(max(due, default=0), before) for row in waiting), "the oldest first"
        elif any(after - 10_000 <= row.due < before for row in waiting):
            assert all(one >= before - 10_000 for one in due), "who has time enough first"
        for claim in claims:
            self.lease(claim, CLAIM_LEASE, before, after)
        return multiple(*claims)

    @rule(claim=claims, timeout=st.sampled_from([0.5, 3.0, 5.0]), further=st.booleans())
    def a_try_begins(self, claim: Claim, timeout: float, further: bool) -> None:
        self.hold(claim, timeout, "attempts" if further else "")

    @rule(claim=claims, wait=st.sampled_from([0.1, 2.0]))
    def a_try_was_answered(self, claim: Claim, wait: float) -> None:
        row = self.model.get(claim.id)
        if row is None or row.answers < row.attempts:  # an answer follows a try
            self.hold(claim, wait, "answers")

    @rule(claim=claims)
    def an_event_is_given_back(self, claim: Claim) -> None:
        row = self.model.get(claim.id)
        ours = row is not None and row.outcome is None and row.claims == claim.fencing_token
        attempts, answers = (row.attempts, row.answers) if row is not None else (0, 0)
        assert self.ledger.give_back(claim, attempts, answers) is ours
        if ours:
            row.due = row.received

    @rule(event=events, told=st.lists(st.sampled_from(SETTLEMENTS), min_size=1, max_size=3))
    def outcomes_are_told(self, event: ContactAdded, told: list[Settlement]) -> None:
        """By whoever had it, and maybe has it no more: workers that overtook each other may all have greeted."""
        row = self.model.get(event.id)
        for settlement in told:
            outcome = settlement.outcome
            settlement = replace(settlement, attempts=row.attempts if row else 0)
            written = self.ledger.settle(SettledEvent(event, settlement, {"settled": 1}))
            if row is None:
                assert not written
                continue
            assert written is (row.outcome is None or (row.outcome != "sent" and outcome == "sent"))
            if written:
                self.outcomes += row.outcome is None
                row.outcome, row.due = outcome, None
                self.count(row, settlement)
                self.note_who_is_missed(row)

    @rule(tellings=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(SETTLEMENTS)), min_size=2, max_size=8))
    def many_outcomes_are_told(self, tellings: list[tuple[int, Settlement]]) -> None:
        """Of the events there are, in any order: most of what the lists of the console follow happens here."""
        rows = list(self.model.values())
        for place, settlement in tellings if rows else ():
            self.outcomes_are_told(rows[place % len(rows)].event, [settlement])

    @rule(claim=consumes(claims))
    def a_worker_dies(self, claim: Claim) -> None:
        """And nothing else: its lease ends by itself."""

    @rule()
    def a_message_is_lost(self) -> None:
        self.client.rpop(keys.QUEUE)

    @rule()
    def somebody_looks_for_who_was_left_behind(self) -> None:
        grace = LEFT_BEHIND * 1000
        least, messages = self.due_by(self.ledger.now() - grace), self.client.llen(keys.QUEUE)
        behind = self.ledger.requeue()
        assert least <= behind <= self.due_by(self.ledger.now() - grace)
        if behind:
            assert self.client.llen(keys.QUEUE) == min(messages + 1, WAITING_MESSAGES)

    # ---------------------------------------------------------------------------- what the world does

    @rule(seconds=st.sampled_from([0.3, 1.3, 7.0]))
    def time_passes(self, seconds: float) -> None:
        let_time_pass(self.client, seconds)
        for row in self.model.values():
            if row.due is not None:
                row.due -= round(seconds * 1000)

    @rule()
    def redis_forgets_the_scripts(self) -> None:
        self.client.script_flush()

    @rule(customer=st.sampled_from(["wm1", "wm2"]))
    def a_customer_is_forgotten(self, customer: str) -> None:
        theirs = {identity for identity, row in self.model.items() if row.event.external_user_id == customer}
        assert erasure.forget(self.client, customer) == len(theirs)
        self.model = {identity: row for identity, row in self.model.items() if identity not in theirs}

    # ---------------------------------------------------------------------------- what always holds

    @invariant()
    def due_holds_exactly_the_unfinished_events(self) -> None:
        unfinished = {identity: row.due for identity, row in self.model.items() if row.outcome is None}
        assert dict(self.client.zrange(keys.DUE, 0, -1, withscores=True)) == unfinished

    @invariant()
    def every_row_is_as_it_was_left(self) -> None:
        """Nothing accepted is lost, no outcome changes, the code is there if and only if it is still needed."""
        for identity, row in self.model.items():
            stored = self.client.hgetall(keys.event(identity))
            assert stored.get("outcome") == row.outcome
            assert (stored["claims"], stored["attempts"], stored["answers"]) == (
                str(row.claims),
                str(row.attempts),
                str(row.answers),
            )
            assert int(stored["attempts"]) >= int(stored["answers"])
            assert stored.get("welcome_code") == (row.event.welcome_code if row.outcome is None else None)

    @invariant()
    def nothing_is_kept_of_who_was_forgotten(self) -> None:
        stored = {key.removeprefix(keys.event("")) for key in self.client.keys(keys.event("*"))}
        assert stored == set(self.model)

    @invariant()
    def whoever_was_missed_and_not_greeted_later_is_listed_and_nobody_else(self) -> None:
        missed = {identity: row.received for identity, row in self.model.items() if row.is_missed}
        assert dict(self.client.zrange(keys.missed("default"), 0, -1, withscores=True)) == missed
        for identity, row in self.model.items():
            assert bool(self.client.hget(keys.event(identity), "greeted_later")) is row.greeted_later

    @invariant()
    def tallies_are_what_a_recount_gives(self) -> None:
        day = datetime.now(ZONE).date()
        counted = statistics.added(statistics.read(self.client, "default", [day - timedelta(1), day]).values())
        assert counted == {cell: count for cell, count in self.tallies.items() if count}

    @rule()
    def a_page_holds_what_was_asked_for(self) -> None:
        rows = sorted(self.model.items(), key=lambda one: (one[1].received, one[0]), reverse=True)
        assert [row.id for row in self.ledger.page("default").rows] == [identity for identity, _ in rows][:50]
        for outcome in ("", "sent", "failed"):
            asked = [identity for identity, row in rows if (row.outcome or "") == outcome]
            page = self.ledger.page("default", outcome=frozenset({outcome}), user_id="lisi", limit=2)
            assert [row.id for row in page.rows] == [i for i in asked if self.model[i].event.user_id == "lisi"][:2]
            assert self.ledger.count("default")[outcome] == len(asked)
        listed = {i for key in self.client.keys(keys.index("*", "*", "*")) for i in self.client.zrange(key, 0, -1)}
        assert listed == set(self.model)

    @invariant()
    def few_messages_wait(self) -> None:
        assert self.client.llen(keys.QUEUE) <= WAITING_MESSAGES

    def teardown(self) -> None:
        """However it went: once time has passed, one worker finds every unfinished event."""
        assert int(self.client.hget(keys.COUNTERS, "settled") or 0) == self.outcomes
        self.a_page_holds_what_was_asked_for()
        unfinished = {identity for identity, row in self.model.items() if row.outcome is None}
        let_time_pass(self.client, 60)
        assert {claim.id for claim in self.ledger.claim(1000)} == unfinished

    # ----------------------------------------------------------------------------

    def count(self, row: Row, settlement: Settlement) -> None:
        """What a recount would say: an outcome that was replaced no longer counts."""
        event = row.event
        if event.rehearsal:
            return
        for was, amount in ((row.settled, -1), (settlement, 1)):
            if was.outcome:
                cells: dict[str, object] = {"total": "", "member": event.user_id, "template": was.template}
                cells["hour"] = f"{datetime.fromtimestamp(row.received / 1000, ZONE):%H}"
                cells["channel"] = event.state if len(event.state) <= statistics.VALUE_LIMIT else None
                if was.variant:
                    cells["variant"] = (was.rule, was.variant)
                if was.outcome != "sent":
                    cells["cause"] = str(was.errcode or was.cause)
                elif was.steps:
                    cells["latency"], finer = statistics.latency(was.steps)
                    cells["pace"] = (cells["hour"], finer)
                self.tallies.update({(name, value, was.outcome): amount for name, value in cells.items()})
        row.settled = settlement

    def note_who_is_missed(self, row: Row) -> None:
        others = [one for one in self.model.values() if one is not row and one.pair == row.pair]
        others = [one for one in others if not one.event.rehearsal and not row.event.rehearsal]
        row.greeted_later = row.outcome in MISSED and any(
            one.outcome in GREETED and one.received >= row.received for one in others
        )
        if row.outcome in GREETED:
            for one in others:
                if one.is_missed and one.received <= row.received:
                    one.greeted_later = True

    def hold(self, claim: Claim, seconds: float, what: str) -> None:
        row = self.model.get(claim.id)
        ours = row is not None and row.outcome is None and row.claims == claim.fencing_token
        before = self.ledger.now()
        attempts, answers = (row.attempts, row.answers) if row is not None else (0, 0)
        steps = {
            "attempts": partial(self.ledger.begin_try, claim, attempts + 1),
            "": partial(self.ledger.extend_lease, claim),
            "answers": partial(self.ledger.answered, claim, answers + 1),
        }
        assert bool(steps[what](seconds)) is ours
        if ours:
            row.attempts += what == "attempts"
            row.answers += what == "answers"
            self.lease(claim, seconds + 1.0, before, self.ledger.now())

    def lease(self, claim: Claim, seconds: float, before: int, after: int) -> None:
        due = self.client.zscore(keys.DUE, claim.id)
        assert before <= due - seconds * 1000 <= after
        self.model[claim.id].due = due

    def due_by(self, at: float) -> int:
        return sum(row.due is not None and row.due <= at for row in self.model.values())

    def attended(self) -> bool:
        return int(self.client.get(keys.POLLING_UNTIL) or 0) >= self.ledger.now()


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("machine"), "--appendonly", "no") as server:
        yield server


def test_the_ledger_keeps_its_promises_whatever_happens(own_server: RedisServer) -> None:
    LedgerMachine.client = own_server.client()
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # told as it was found: on a real server a shorter example takes minutes
        ),
    )

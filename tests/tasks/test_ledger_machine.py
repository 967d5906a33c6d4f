"""The ledger against a model of it: whatever workers, crashes and re-sent events do, and in whatever order."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tasks import connections, wake
from tasks.events import ContactAdded
from tasks.ledger import (
    ATTENDED,
    CLAIM_LEASE,
    COUNTERS,
    DUE,
    LEFT_BEHIND,
    PREFIX,
    WAITING_MESSAGES,
    Claim,
    Settlement,
)
from tests.builders import a_contact
from tests.processes import RedisServer
from tests.tasks.conftest import a_ledger, let_time_pass


@dataclass
class Row:
    """What the model knows of an event. `due`: ms of Redis' clock, None once there is an outcome."""

    event: ContactAdded
    due: float | None
    claims: int = 0
    attempts: int = 0
    answers: int = 0
    outcome: str | None = None


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

    # ---------------------------------------------------------------------------- what WeCom does

    @rule(target=events)
    def a_customer_is_added(self) -> ContactAdded:
        event = a_contact()
        before = self.ledger.now()
        assert self.ledger.accept(event)
        due = self.client.zscore(DUE, event.id)
        assert before <= due <= self.ledger.now()
        self.model[event.id] = Row(event, due)
        assert self.client.llen(wake.QUEUE) > 0 or self.attended()
        return event

    @rule(event=events)
    def wecom_sends_again(self, event: ContactAdded) -> None:
        assert self.ledger.accept(event) is (event.id not in self.model)
        if event.id not in self.model:  # forgotten meanwhile: it is an event as any other
            self.model[event.id] = Row(event, self.client.zscore(DUE, event.id))

    # ---------------------------------------------------------------------------- what workers do

    @rule(target=claims, most=st.integers(0, 3), attend=st.sampled_from([0.0, 0.02]))
    def a_worker_takes_what_is_due(self, most: int, attend: float) -> object:
        before = self.ledger.now()
        claims = self.ledger.claim(most, attend)
        after = self.ledger.now()
        taken = {claim.id for claim in claims}
        assert len(taken) == len(claims) <= most
        for claim in claims:
            row = self.model[claim.id]
            assert row.due is not None, "what has an outcome is never claimed"
            assert row.due <= after, "at most one live lease per event"
            row.claims += 1
            assert claim.event == row.event
            assert (claim.number, claim.attempts, claim.answers) == (row.claims, row.attempts, row.answers)
            row.attempts += 1  # a claim begins a try
        waiting = [row for row in self.model.values() if row.due is not None and row.event.id not in taken]
        if len(claims) < most:
            assert all(row.due >= before for row in waiting), "nobody who is due is passed over"
        latest = max((self.model[claim.id].due for claim in claims), default=0)
        assert all(row.due >= min(latest, before) for row in waiting), "the oldest first"
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

    @rule(claim=claims, outcomes=st.lists(st.sampled_from(["sent", "unconfirmed", "failed"]), min_size=1, max_size=3))
    def outcomes_are_told(self, claim: Claim, outcomes: list[str]) -> None:
        """Of a claim that may be an old one: workers that overtook each other may all have greeted."""
        row = self.model.get(claim.id)
        for outcome in outcomes:
            settlement = Settlement(outcome, attempts=row.attempts if row else 0)
            told = self.ledger.settle(claim.event, settlement, {"settled": 1})
            if row is None:
                assert not told
                continue
            assert told is (row.outcome is None or (row.outcome != "sent" and outcome == "sent"))
            if told:
                self.outcomes += row.outcome is None
                row.outcome, row.due = outcome, None

    @rule(claim=consumes(claims))
    def a_worker_dies(self, claim: Claim) -> None:
        """And nothing else: its lease ends by itself."""

    @precondition(lambda self: self.client.llen(wake.QUEUE))
    @rule()
    def a_message_is_lost(self) -> None:
        self.client.rpop(wake.QUEUE)

    @rule()
    def somebody_looks_for_who_was_left_behind(self) -> None:
        grace = LEFT_BEHIND * 1000
        least, messages = self.due_by(self.ledger.now() - grace), self.client.llen(wake.QUEUE)
        behind = self.ledger.rouse()
        assert least <= behind <= self.due_by(self.ledger.now() - grace)
        if behind:
            assert self.client.llen(wake.QUEUE) == min(messages + 1, WAITING_MESSAGES)

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

    @rule(event=events)
    def a_customer_is_forgotten(self, event: ContactAdded) -> None:
        self.client.delete(PREFIX + event.id)
        self.client.zrem(DUE, event.id)
        self.model.pop(event.id, None)

    # ---------------------------------------------------------------------------- what always holds

    @invariant()
    def due_holds_exactly_the_unfinished_events(self) -> None:
        unfinished = {identity: row.due for identity, row in self.model.items() if row.outcome is None}
        assert dict(self.client.zrange(DUE, 0, -1, withscores=True)) == unfinished

    @invariant()
    def every_row_is_as_it_was_left(self) -> None:
        """Nothing accepted is lost, no outcome changes, the code is there if and only if it is still needed."""
        for identity, row in self.model.items():
            stored = self.client.hgetall(PREFIX + identity)
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
        stored = {key.removeprefix(PREFIX) for key in self.client.keys(PREFIX + "*")}
        assert stored == set(self.model)

    @invariant()
    def few_messages_wait(self) -> None:
        assert self.client.llen(wake.QUEUE) <= WAITING_MESSAGES

    def teardown(self) -> None:
        """However it went: once time has passed, one worker finds every unfinished event."""
        assert int(self.client.hget(COUNTERS, "settled") or 0) == self.outcomes
        unfinished = {identity for identity, row in self.model.items() if row.outcome is None}
        let_time_pass(self.client, 60)
        assert {claim.id for claim in self.ledger.claim(1000)} == unfinished

    # ----------------------------------------------------------------------------

    def hold(self, claim: Claim, seconds: float, what: str) -> None:
        row = self.model.get(claim.id)
        ours = row is not None and row.outcome is None and row.claims == claim.number
        before = self.ledger.now()
        steps = {"attempts": self.ledger.begin_try, "": self.ledger.renew, "answers": self.ledger.answered}
        assert steps[what](claim, seconds) is ours
        if ours:
            row.attempts += what == "attempts"
            row.answers += what == "answers"
            self.lease(claim, seconds + 1.0, before, self.ledger.now())

    def lease(self, claim: Claim, seconds: float, before: int, after: int) -> None:
        due = self.client.zscore(DUE, claim.id)
        assert before <= due - seconds * 1000 <= after
        self.model[claim.id].due = due

    def due_by(self, at: float) -> int:
        return sum(row.due is not None and row.due <= at for row in self.model.values())

    def attended(self) -> bool:
        return int(self.client.get(ATTENDED) or 0) >= self.ledger.now()


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

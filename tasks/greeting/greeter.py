"""The 20-second task: greet everyone who is due.

    a message on the queue ──▶ Dispatcher.run     takes all that is due, again and again, while there is something to do
                                  └─▶ Greeter.greet   one event: choose, render, send, try again, settle

A message wakes; it does not name an event. So a burst pays Celery once for hundreds of events, and a message that
is lost costs nothing that the ledger does not know.
"""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import redis

from tasks.books.revisions import BookStore, NoRevision
from tasks.directory.lookup import Lookups
from tasks.greeting import policy
from tasks.ledger.ledger import MISSED, Claim, Ledger, Settlement
from tasks.ledger.pauses import WELCOME, QueuePauses
from tasks.logs import about
from tasks.monitoring.metrics import Counters, count, latency
from tasks.templates.model import NOTHING, Template
from tasks.templates.problems import BookError
from tasks.templates.render import Ready, attached, cut, left_out, message, uploads, wanted
from tasks.templates.select import needs, select
from tasks.wecom import WeComClient, WeComError
from tasks.wecom.errors import NoAnswer

log = logging.getLogger(__name__)

TICK = 0.02  # seconds between looks at what is due, while there is something to do
ATTEND = 0.1  # seconds for which a look promises the next one: five ticks, since threads can be late
LINGER = 0.1  # seconds without anything to do after which the dispatcher ends
PREPARED = 0.5  # seconds from a claim to its first try; if the names took longer, the lease is renewed first
PATIENCE = 60.0  # seconds for which an outcome is offered to a Redis that is away
PAUSE = 0.2  # seconds between two tries to reach Redis


@dataclass(slots=True)
class _Course:
    """How a greeting goes, noted as it goes: what the ledger keeps of it beside the outcome."""

    steps: dict[str, int]  # name → ms since receipt
    tries: list[tuple[int | None, str]] = field(default_factory=list)  # WeCom's errcode, and the reason in words
    body: Mapping[str, object] = field(default_factory=dict)  # what the last try sent

    def note(self, step: str, claim: Claim) -> None:
        self.steps[step] = round(claim.elapsed() * 1000)


class Greeter:
    """Greets one customer. Thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        books: BookStore,
        people: Lookups,
        clients: Mapping[str, WeComClient],
        counters: Counters,
        lanes: QueuePauses,
    ) -> None:
        self._ledger = ledger
        self._lanes = lanes
        self._books = books
        self._people = people
        self._clients = clients
        self._counters = counters

    def greet(self, claim: Claim) -> None:
        """Bring one claimed event to its outcome, inside its window. Raises nothing."""
        with about(event=claim.id, app=claim.event.app):
            course = _Course({"started": round(claim.age * 1000)})
            try:
                settlement = policy.before_greeting(claim) or self._greet(claim, course)
                if settlement is not None and settlement.outcome == "expired":
                    settlement = self._explained(claim, settlement)
                if settlement is not None:
                    self._settle(claim, settlement, course)
            except Exception:  # the edge of a worker's thread: the lease ends, and a worker tries again
                log.exception("a greeting ended in an error")
                if f"try_{claim.attempts + 1}" not in course.steps:
                    with contextlib.suppress(redis.RedisError):
                        self._ledger.answered(claim, 0)  # the try that the claim has noted did not begin

    def _greet(self, claim: Claim, course: _Course) -> Settlement | None:
        """The outcome; None when another worker has the event now."""
        event = claim.event
        wecom = self._clients.get(event.app)
        if wecom is None:
            return Settlement("refused", f"no app {event.app} is configured")
        if event.rehearsal:  # whose member and customer may not exist: that is no error of WeCom's
            wecom = wecom.unobserved()
        if claim.revision is None:
            return Settlement("no_template", "no welcome book is stored for this app")
        book = self._books.book(event.app, claim.revision)
        enquiry = self._people.about(wecom, event, claim.received_at, claim.deadline - policy.LEAST)
        contact = enquiry.contact()
        facts = needs(book, contact)
        choice = select(book, enquiry.contact(facts) if facts else contact)
        if choice is None:
            return Settlement("no_template", "no rule of the welcome book applies", revision=claim.revision)
        template = choice.template
        course.note("chosen", claim)
        names = wanted(template)
        values = {name: cut(name, value) for name, value in enquiry.values(names).items() if name in names}
        course.note("named", claim)
        ready = self._ready(event.corp_id, template)
        course.body = message(template, values, ready)
        course.note("prepared", claim)
        absent = list(left_out(template, ready))
        if absent:
            log.warning("greeted without %s: not at WeCom yet", ", ".join(absent))
            course.steps["media_not_ready"] = course.steps["prepared"]

        def anew() -> dict[str, object]:
            nonlocal ready
            ready = self._renewed(event.corp_id, template, ready)
            return message(template, values, ready)

        if event.rehearsal:
            outcome: Settlement | None = Settlement("rehearsed", "everything but the send")
        else:
            outcome = self._send(claim, wecom, anew, course)
            if outcome is not None and outcome.outcome == "sent" and absent:
                reasons = [outcome.reason, f"without {', '.join(absent)}: not at WeCom yet"]
                outcome = replace(outcome, reason="; ".join(filter(None, reasons)))
        if outcome is None:
            return None
        return replace(
            outcome,
            template=choice.template.name,
            rule=choice.rule,
            variant=choice.variant,
            revision=claim.revision,
            values=values,
            without=_without_numbers(template, ready, course.body),
        )

    def _explained(self, claim: Claim, settlement: Settlement) -> Settlement:
        """The settlement of an event that came too late, with the pause of the lane where that is why."""
        try:
            pause = self._lanes.last().get(WELCOME)
        except redis.RedisError:
            return settlement
        since = claim.received_at / 1000
        if pause is None or not pause.overlaps(since, since + claim.window):
            return settlement
        return replace(settlement, reason=f"{settlement.reason}: {pause.by} had paused the lane", cause="paused")

    def _send(
        self, claim: Claim, wecom: WeComClient, anew: Callable[[], dict[str, object]], course: _Course
    ) -> Settlement | None:
        """The outcome of sending the body. `anew` makes it again after media was refused, with what can be sent."""
        number = claim.attempts
        unanswered = claim.in_doubt
        dropped = ""  # why attachments were left out
        # the claim has noted the first try, with a lease for that; a successor's time-outs are longer
        late = time.monotonic() - claim.claimed_at > PREPARED
        begin = self._ledger.renew if late or claim.attempts else None
        while True:
            number += 1
            timeout = policy.try_timeout(number, claim.left())
            if begin is not None and timeout is not None:
                if not self._until_redis_answers(partial(begin, claim, timeout), claim.left()):
                    return None
                timeout = policy.try_timeout(number, claim.left())  # Redis may have taken its time
            if timeout is None:
                return policy.too_late(unanswered)
            begin = self._ledger.begin_try
            body = course.body
            course.note(f"try_{number}", claim)
            anew_by = partial(self._anew_by, claim, number)
            try:
                by = time.monotonic() + timeout
                wecom.tokens.get(by)  # so that a wait for it is not taken for one for the answer
                if "token" not in course.steps:
                    course.note("token", claim)
                secret = {"welcome_code": claim.event.welcome_code}
                wecom.with_deadline(by, anew_by).external_contact.send_welcome_msg({**secret, **body})
            except WeComError as error:
                course.note(f"answer_{number}", claim)
                course.tries.append((getattr(error, "errcode", None), error.reason))
                unanswered = unanswered or isinstance(error, NoAnswer)
                decision = policy.after_try(error, number, unanswered, claim.left(), random.random())
                log.info("try %s: %s", number, error)
                again = None
                if policy.media_refused(error) and "anew" not in course.steps:
                    course.note("anew", claim)
                    again = anew()
                if again is None or again == body:
                    again = _without(body, policy.suspects(error), by_id=getattr(error, "errcode", None) == 40007)
                if again is not None and policy.try_timeout(number + 1, claim.left()) is not None:
                    if _attachments(again) < _attachments(body):
                        dropped = f"without attachments that WeCom refused: {error.reason}"
                        course.note("lighter", claim)
                    course.body, decision = again, 0.0
                if isinstance(decision, Settlement):
                    return replace(
                        decision, attempts=number, reason="; ".join(filter(None, (decision.reason, dropped)))
                    )
                if not isinstance(error, NoAnswer):
                    self._until_redis_answers(
                        partial(self._ledger.answered, claim, decision),
                        claim.left(),
                    )
                time.sleep(decision)
            else:
                course.note(f"answer_{number}", claim)
                course.tries.append((0, ""))
                return Settlement("sent", dropped, attempts=number)

    def _anew_by(self, claim: Claim, number: int) -> float:
        """The deadline of try `number` when it is made again with a renewed token: its time begins anew, with a lease
        for that. Without the lease there is no time.
        """
        now = time.monotonic()
        timeout = policy.try_timeout(number, claim.left())
        if timeout is None or not self._until_redis_answers(partial(self._ledger.renew, claim, timeout), timeout):
            return now
        return now + timeout

    def _ready(self, corp_id: str, template: Template) -> Ready:
        """What of a template's media can be sent now. Nothing, when Redis does not say: the text is what matters."""
        try:
            asked = [upload for one in template.attachments for upload in uploads(one)]
            return self._books.ready.get(corp_id, asked)
        except redis.RedisError as error:
            log.warning("cannot ask for ready media: %s", type(error).__name__)
            return {}

    def _renewed(self, corp_id: str, template: Template, sent: Ready) -> Ready:
        """What can be sent after `sent` was refused: permanent URLs, and ids that were renewed meanwhile.

        Each id of `sent` is noted as dead, and the renewer replaces it for the next customer: nothing is uploaded here.
        """
        try:
            self._books.ready.refuse(corp_id, sent)
        except redis.RedisError as error:
            log.warning("cannot note that media was refused: %s", type(error).__name__)
        now = self._ready(corp_id, template)
        return {upload: value for upload, value in now.items() if upload.how == "url" or sent.get(upload) != value}

    def _settle(self, claim: Claim, settlement: Settlement, course: _Course) -> None:
        event = claim.event
        seconds = claim.elapsed()
        counts: dict[str, int] = {}
        if not event.rehearsal:
            counts[count("outcomes_total", app=event.app, outcome=settlement.outcome)] = 1
            if claim.recoveries:
                counts[count("recoveries_total", app=event.app)] = claim.recoveries
            if settlement.variant:
                labels = {"rule": settlement.rule, "variant": settlement.variant, "outcome": settlement.outcome}
                counts[count("variants_total", app=event.app, **labels)] = 1
            if settlement.outcome == "sent":
                counts |= latency(event.app, seconds)
        full = replace(
            settlement,
            steps=course.steps,
            tries=course.tries,
            attempts=max(settlement.attempts, claim.attempts),
            revision=settlement.revision or claim.revision or 0,
        )
        follow_up = self._is_followed_up(claim, settlement)
        written = self._until_redis_answers(lambda: self._ledger.settle(event, full, counts, follow_up), PATIENCE)
        if written:
            level = logging.ERROR if full.outcome in MISSED else logging.INFO
            log.log(level, "%s after %.3f s%s", full.outcome, seconds, f": {full.reason}" if full.reason else "")
        elif written is None:
            log.error("%s after %.3f s, and Redis cannot be told", full.outcome, seconds)

    def _is_followed_up(self, claim: Claim, settlement: Settlement) -> bool:
        """Whether something may be to do after it, whatever became of the greeting: the follow-up finds out what."""
        event = claim.event
        if event.rehearsal or claim.revision is None or event.app not in self._clients:
            return False
        try:
            templates = self._books.book(event.app, claim.revision).templates
        except (redis.RedisError, NoRevision, BookError):
            return True  # it is asked for again, with time
        chosen = [templates[settlement.template]] if settlement.template else templates.values()
        return any(template.then != NOTHING for template in chosen)

    def _until_redis_answers(self, ask: Callable[[], bool], patience: float) -> bool | None:
        """The answer of one step of the ledger; None if Redis gives none for `patience` seconds."""
        end = time.monotonic() + patience
        while True:
            try:
                return ask()
            except redis.RedisError as error:
                log.warning("the ledger does not answer: %s", type(error).__name__)
                if time.monotonic() + PAUSE >= end:
                    return None
                time.sleep(PAUSE)


def _without(body: Mapping[str, object], msgtypes: frozenset[str], by_id: bool = False) -> dict[str, object] | None:
    """A message without its attachments of these types, or without any if it has none of these. None: none to drop.

    `by_id`: a media id was refused, so an image with a permanent URL stays.
    """
    attachments = body.get("attachments")
    if not isinstance(attachments, list) or not msgtypes:
        return None

    def suspect(one: Mapping[str, Any]) -> bool:
        shown = one[one["msgtype"]]
        return one["msgtype"] in msgtypes and (not by_id or "media_id" in shown or "pic_media_id" in shown)

    kept = [one for one in attachments if not suspect(one)]
    rest = {name: value for name, value in body.items() if name != "attachments"}
    return rest | ({"attachments": kept} if kept and len(kept) < len(attachments) else {})


def _without_numbers(template: Template, ready: Ready, body: Mapping[str, object]) -> tuple[int, ...]:
    """The numbers, from 1, of a template's attachments that are not in a message that was made of `ready`."""
    sent = body.get("attachments")
    there = list(sent) if isinstance(sent, list) else []
    absent = []
    for number, one in enumerate(template.attachments, 1):
        if there and attached(one, ready) == there[0]:
            there.pop(0)
        else:
            absent.append(number)
    return tuple(absent)


def _attachments(body: Mapping[str, object]) -> int:
    attachments = body.get("attachments")
    return len(attachments) if isinstance(attachments, list) else 0


class Dispatcher:
    """Takes what is due and greets it, at most `concurrency` at a time."""

    def __init__(self, ledger: Ledger, greet: Callable[[Claim], None], concurrency: int) -> None:
        self._ledger = ledger
        self._greet = greet
        self._concurrency = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="greet")
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self._in_flight: set[str] = set()  # ids of events
        self._stopping = threading.Event()

    def current_tasks(self) -> list[str]:
        """The ids of the events that are being greeted now."""
        with self._count:
            return list(self._in_flight)

    def run(self) -> None:
        """Greet all that is due, until nothing has been due for LINGER seconds and nothing is in flight.

        While it runs it attends: the hand-over queues no message, since the next look is milliseconds away.
        """
        with self._turn:  # a second message of the queue waits: what it would find, the first one takes
            idle_since = time.monotonic()
            while not self._stopping.is_set():
                if self._take(attend=ATTEND) or self._in_flight:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > LINGER and not self._take(attend=0):
                    break  # the last look withdrew the promise: whoever comes now queues a message
                self._stopping.wait(TICK)
            while self._in_flight:
                time.sleep(TICK)

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is in flight has its outcome."""
        self._stopping.set()
        with contextlib.suppress(redis.RedisError):  # then the promise ends by itself
            self._ledger.claim(0)  # withdraws the promise to attend

    def _take(self, attend: float) -> bool:
        """Claim what is due for the free threads. → whether there was something."""
        free = self._concurrency - len(self._in_flight)
        if free == 0:
            return False
        try:
            claims = self._ledger.claim(free, attend)
        except redis.RedisError as error:
            log.warning("cannot take what is due: %s", type(error).__name__)
            self._stopping.wait(PAUSE)
            return False
        for claim in claims:
            with self._count:
                self._in_flight.add(claim.id)
            self._pool.submit(self._one, claim)
        return bool(claims)

    def _one(self, claim: Claim) -> None:
        try:
            self._greet(claim)
        finally:
            with self._count:
                self._in_flight.discard(claim.id)

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
from dataclasses import replace
from functools import partial
from typing import Any

import redis

from tasks import policy
from tasks.ledger import MISSED, Claim, Ledger, Settlement
from tasks.logs import about
from tasks.metrics import Counters, count, latency
from tasks.people import People
from tasks.templates.model import NOTHING, Template
from tasks.templates.nodes import BookError
from tasks.templates.render import Ready, left_out, message, uploads, wanted
from tasks.templates.select import needs, select
from tasks.templates.store import BookStore, NoRevision
from tasks.wecom import WeComClient, WeComError
from tasks.wecom.errors import NoAnswer

log = logging.getLogger(__name__)

TICK = 0.02  # seconds between looks at what is due, while there is something to do
ATTEND = 0.1  # seconds for which a look promises the next one: five ticks, since threads can be late
LINGER = 0.1  # seconds without anything to do after which the dispatcher ends
PREPARED = 0.5  # seconds from a claim to its first try; if the names took longer, the lease is renewed first
PATIENCE = 60.0  # seconds for which an outcome is offered to a Redis that is away
PAUSE = 0.2  # seconds between two tries to reach Redis


class Greeter:
    """Greets one customer. Thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        books: BookStore,
        people: People,
        clients: Mapping[str, WeComClient],
        counters: Counters,
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._people = people
        self._clients = clients
        self._counters = counters

    def greet(self, claim: Claim) -> None:
        """Bring one claimed event to its outcome, inside its window. Raises nothing."""
        with about(event=claim.id, app=claim.event.app):
            steps = {"started": round(claim.age * 1000)}  # name → ms since receipt
            try:
                settlement = policy.before_greeting(claim) or self._greet(claim, steps)
                if settlement is not None:
                    self._settle(claim, settlement, steps)
            except Exception:  # the edge of a worker's thread: the lease ends, and a worker tries again
                log.exception("a greeting ended in an error")
                if f"try_{claim.attempts + 1}" not in steps:
                    with contextlib.suppress(redis.RedisError):
                        self._ledger.answered(claim, 0)  # the try that the claim has noted did not begin

    def _greet(self, claim: Claim, steps: dict[str, int]) -> Settlement | None:
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
        values = enquiry.values(wanted(template))
        ready = self._ready(event.corp_id, template)
        body = message(template, values, ready)
        steps["prepared"] = round(claim.elapsed() * 1000)
        absent = list(left_out(template, ready))
        if absent:
            log.warning("greeted without %s: not at WeCom yet", ", ".join(absent))
            steps["media_not_ready"] = steps["prepared"]

        def anew() -> dict[str, object]:
            renewed = self._renewed(event.corp_id, template, ready)
            return {"welcome_code": event.welcome_code, **message(template, values, renewed)}

        if event.rehearsal:
            outcome: Settlement | None = Settlement("rehearsed", "everything but the send")
        else:
            outcome = self._send(claim, wecom, {"welcome_code": event.welcome_code, **body}, anew, steps)
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
        )

    def _send(
        self,
        claim: Claim,
        wecom: WeComClient,
        body: dict[str, object],
        anew: Callable[[], dict[str, object]],
        steps: dict[str, int],
    ) -> Settlement | None:
        """The outcome of sending `body`. `anew` makes it again after media was refused, with what can be sent then."""
        number = claim.attempts
        unanswered = claim.unanswered
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
            steps[f"try_{number}"] = round(claim.elapsed() * 1000)
            anew_by = partial(self._anew_by, claim, number)
            try:
                wecom.until(time.monotonic() + timeout, anew_by).external_contact.send_welcome_msg(body)
            except WeComError as error:
                steps[f"answer_{number}"] = round(claim.elapsed() * 1000)
                unanswered = unanswered or isinstance(error, NoAnswer)
                decision = policy.after_try(error, number, unanswered, claim.left(), random.random())
                log.info("try %s: %s", number, error)
                again = None
                if policy.media_refused(error) and "anew" not in steps:
                    steps["anew"] = steps[f"answer_{number}"]
                    again = anew()
                if again is None or again == body:
                    again = _without(body, policy.suspects(error), by_id=getattr(error, "errcode", None) == 40007)
                if again is not None and policy.try_timeout(number + 1, claim.left()) is not None:
                    if _attachments(again) < _attachments(body):
                        dropped = f"without attachments that WeCom refused: {error.reason}"
                        steps["lighter"] = steps[f"answer_{number}"]
                    body, decision = again, 0.0
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
                steps[f"answer_{number}"] = round(claim.elapsed() * 1000)
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

        Each id of `sent` is noted as dead, and tasks.media renews it for the next customer: nothing is uploaded here.
        """
        try:
            self._books.ready.refuse(corp_id, sent)
        except redis.RedisError as error:
            log.warning("cannot note that media was refused: %s", type(error).__name__)
        now = self._ready(corp_id, template)
        return {upload: value for upload, value in now.items() if upload.how == "url" or sent.get(upload) != value}

    def _settle(self, claim: Claim, settlement: Settlement, steps: dict[str, int]) -> None:
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
            steps=steps,
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
        """Whether something may be to do after it, whatever became of the greeting: tasks.followup finds out what."""
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
        self._in_flight = 0
        self._stopping = threading.Event()

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
        free = self._concurrency - self._in_flight
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
                self._in_flight += 1
            self._pool.submit(self._one, claim)
        return bool(claims)

    def _one(self, claim: Claim) -> None:
        try:
            self._greet(claim)
        finally:
            with self._count:
                self._in_flight -= 1

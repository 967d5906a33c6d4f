"""Greets one customer: choose, render, send, retry, settle. The decisions are in `tasks.greeting.policy`."""

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import redis

from tasks.books.revisions import NoRevision
from tasks.counters import count, latency
from tasks.greeting import policy
from tasks.greeting.admission import Took
from tasks.greeting.choice import choose
from tasks.greeting.course import Course
from tasks.greeting.message import OutgoingMessage
from tasks.greeting.outage import Outage
from tasks.greeting.outcomes import PATIENCE, Outcomes, report
from tasks.greeting.policy import Finish, Retry
from tasks.greeting.ports import Books, Limits, Names, Observer, Pauses, Recorder, Unobserved
from tasks.greeting.refused_media import RefusedMedia
from tasks.ledger.claims import Claim, Kept, SettledEvent, Settlement
from tasks.ledger.delivery import LIMITED, OVERLOADED, LeftOut, LeftOutBecause, Outcome
from tasks.ledger.pauses import WELCOME, Pause
from tasks.logs import about
from tasks.rate_limits.limiter import Held
from tasks.rate_limits.limits import SEND
from tasks.reasons import Kind, Reason
from tasks.templates.model import NOTHING, Template
from tasks.templates.problems import BookError
from tasks.templates.render import Ready, cut, uploads, wanted
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import NoAnswer

log = logging.getLogger(__name__)

PREPARED = 0.5  # seconds from a claim to its first try; if lookups took longer, the lease is extended first
HELD_LATE = 5.0  # seconds before the end of a window in which greetings were held back: then that is why it is over


class Greeter:
    """Greets one customer. Thread-safe. `limits`: by app; an event of another one waits for a limit in its thread.

    alone: without the ledger, so that others may have the same event. outcomes: where they wait to be written; without
    it, each greeting writes its own.
    """

    def __init__(
        self,
        ledger: Recorder,
        books: Books,
        lookups: Names,
        clients: Mapping[str, WeComClient],
        pauses: Pauses,
        limits: Mapping[str, Limits] | None = None,
        alone: bool = False,
        outcomes: Outcomes | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._lookups = lookups
        self._clients = clients
        self._pauses = pauses
        self._limits = limits or {}
        self._refused_media = RefusedMedia(books.ready.refuse)
        self._outage = Outage()
        self._alone = alone
        self._outcomes = outcomes
        self._observer = observer or Unobserved()

    def greet(self, claim: Claim) -> Took | None:
        """Process one claimed event to its outcome, inside its window. → how long WeCom took; None: it was not asked.

        Raises nothing.
        """
        with about(event=claim.id, app=claim.event.app):
            course = Course.of(claim)
            self._observer.begun(claim)
            try:
                finish = policy.before_greeting(claim) or self._greet(course)
                if finish is not None:
                    self._settle(course, self._by_sibling(claim, finish))
                else:
                    self._observer.left(claim)
            except Exception as error:  # the edge of a worker's thread: the lease ends, and a worker tries again
                log.exception("a greeting ended in an error")
                self._observer.put_off(claim, type(error).__name__)
                if not course.begun:  # so the try that the claim has recorded left nothing in doubt
                    with contextlib.suppress(redis.RedisError):
                        self._ledger.answered(claim, claim.answers + 1, 0, course.so_far())
            if claim.probe and not course.begun:
                self._let_another_probe(claim)
            return course.took

    def _greet(self, course: Course) -> Finish | None:
        """The outcome; None when another worker has the event now."""
        event = course.claim.event
        wecom = self._clients.get(event.app)
        if wecom is None:
            return Finish(Outcome.REFUSED, Reason.of(Kind.APP_NOT_CONFIGURED, app=event.app))
        if event.rehearsal:  # its member and customer may not exist: no API error to count
            wecom = wecom.unobserved()
        finish = self._prepare(course, wecom)
        if finish is not None:
            return finish
        if event.rehearsal:
            return Finish(Outcome.REHEARSED, Reason.of(Kind.REHEARSED))
        return self._send(course, wecom)

    def _prepare(self, course: Course, wecom: WeComClient) -> Finish | None:
        """Choose the welcome and build the message. → the outcome where there is none to send; else None."""
        claim = course.claim
        if claim.revision is None:
            return Finish(Outcome.NO_TEMPLATE, Reason.of(Kind.NO_BOOK))
        book = self._books.book(claim.event.app, claim.revision)
        lookup = self._lookups.about(wecom, claim.event, claim.received_at, claim.deadline - policy.LOOKUPS_END)
        course.choice = choose(book, lookup)
        if course.choice is None:
            return Finish(Outcome.NO_TEMPLATE, Reason.of(Kind.NO_RULE))
        course.record("chosen")
        template = course.choice.template
        names = wanted(template)
        values = {name: cut(name, value) for name, value in lookup.values(names).items() if name in names}
        course.record("named")
        course.message = OutgoingMessage(template, values, self._ready(claim.event.corp_id, template))
        course.record("prepared")
        absent = [_shown(one) for one in course.message.left_out if one.because is LeftOutBecause.NOT_UPLOADED]
        if absent:
            log.warning("greeted without %s: not at WeCom yet", ", ".join(absent))
        return None

    # --- sending ---

    def _send(self, course: Course, wecom: WeComClient) -> Finish | None:
        """The outcome of sending the message; None when another worker has the event now."""
        claim = course.claim
        while True:
            timeout = self._begin_try(course)
            if not isinstance(timeout, float):
                return timeout
            error = self._try(course, wecom, timeout)
            self._report(claim, error)
            if error is None:
                return Finish(Outcome.SENT)
            step = policy.next_step(error, course.state(), random.random())
            self._change_message(course, step, Reason.from_error(error))
            if isinstance(step, Finish):
                return step
            if step.give_back and self._give_back(course):
                return None
            if not isinstance(error, NoAnswer):
                answered = partial(self._ledger.answered, claim, course.answers, step.wait, course.so_far())
                self._outage.until_answered(answered, claim.left())
            time.sleep(step.wait)

    def _begin_try(self, course: Course) -> float | Finish | None:
        """Time-out in seconds of the try that begins now; the outcome when it is too late; None when the claim is lost.

        The claim itself recorded the first try, with a lease for that. The lease is extended where preparing took long,
        or where tries of earlier claims have made the time-out longer.
        """
        claim, number = course.claim, course.number + 1
        timeout = policy.try_timeout(number, claim.left())
        late = claim.attempts or time.monotonic() - claim.claimed_at > PREPARED
        if timeout is not None and (course.begun or late):
            ledger, so_far = self._ledger, course.so_far(number)
            begin = partial(ledger.begin_try, claim, number, timeout, so_far)
            extend = partial(ledger.extend_lease, claim, timeout, so_far)
            ask: Callable[[], Kept | bool] = begin if course.begun else extend
            kept = self._outage.until_answered(ask, claim.left())
            if kept is Kept.LIMITED:
                self._give_back(course)
            if not kept:
                return None
            timeout = policy.try_timeout(number, claim.left())  # Redis may have taken its time
        return policy.too_late(course.in_doubt) if timeout is None else timeout

    def _try(self, course: Course, wecom: WeComClient, timeout: float) -> WeComError | None:
        """Send the message once, within `timeout` seconds. → its error; None: WeCom accepted the message."""
        claim = course.claim
        body = course.message.body() if course.message else {}
        course.try_begins()
        try:
            by = time.monotonic() + timeout
            wecom.tokens.get(by)  # first, so that waiting for it is not measured as waiting for the answer
            course.record("token")
            rebuild = partial(self._rebuilt_deadline, claim, course.number)
            sender = wecom.with_deadline(by, rebuild).external_contact
            sender.send_welcome_msg({"welcome_code": claim.event.welcome_code, **body})
        except WeComError as error:
            course.try_ended(error)
            log.info("try %s: %s", course.number, error)
            return error
        course.try_ended(None)
        return None

    def _rebuilt_deadline(self, claim: Claim, number: int) -> float:
        """The deadline of try `number` when it is made again with a renewed token: its whole time, under a new lease.

        Without the lease there is no time.
        """
        now = time.monotonic()
        timeout = policy.try_timeout(number, claim.left())
        if timeout is None or not self._outage.until_answered(
            partial(self._ledger.extend_lease, claim, timeout), timeout
        ):
            return now
        return now + timeout

    # --- WeCom's limits ---

    def _report(self, claim: Claim, error: WeComError | None) -> None:
        """Tell all processes what this call says of WeCom's limits."""
        limits, code = self._limits.get(claim.event.app), policy.limit_code(error)
        with contextlib.suppress(redis.RedisError):
            if limits is not None and code is not None:
                limits.refused(SEND, code, claim.probe)
            elif limits is not None and claim.probe and (error is None or isinstance(error, WeComAPIError)):
                limits.lifted(SEND)

    def _let_another_probe(self, claim: Claim) -> None:
        """This event needed no call after all, and all others wait for its answer."""
        limits = self._limits.get(claim.event.app)
        with contextlib.suppress(redis.RedisError):
            if limits is not None:
                limits.not_tried(SEND)

    def _give_back(self, course: Course) -> bool:
        """Let the event wait in the ledger for the end of a limit. False if it cannot."""
        if course.claim.event.app not in self._limits:
            return False
        try:
            self._ledger.give_back(course.claim, course.number, course.answers, course.so_far(given_back=True))
        except redis.RedisError:
            return False
        self._observer.put_off(course.claim, "limited")
        return True

    def _held(self, claim: Claim) -> Held | None:
        """What held greetings back at the end of the event's window; None: nothing."""
        limits = self._limits.get(claim.event.app)
        held = limits.held() if limits is not None else None
        end = claim.received_at / 1000 + claim.window
        return held if held is not None and held.overlaps(end - HELD_LATE, end) else None

    # --- the message ---

    def _change_message(self, course: Course, step: Finish | Retry, why: Reason) -> None:
        """Rebuild the message as the step asks: with renewed media, or without what may be at fault."""
        before = course.message
        if before is None:
            return
        if step.media_died:
            course.media_renewed = True
            ready = self._renewed(course.claim.event.corp_id, before.template, before.ready)
            if isinstance(step, Retry):
                course.message = before.renewed(ready, why)
        message = course.message or before
        if isinstance(step, Retry) and step.drop and message.body() == before.body():
            course.message = message.without(step.drop, step.keep_urls, why)

    def _ready(self, corp_id: str, template: Template) -> Ready:
        """A template's media that can be sent now; none when Redis is unavailable: the text is what matters."""
        try:
            asked = [upload for one in template.attachments for upload in uploads(one)]
            return self._books.ready.get(corp_id, asked)
        except redis.RedisError as error:
            log.warning("cannot read which media is ready: %s", type(error).__name__)
            return {}

    def _renewed(self, corp_id: str, template: Template, sent: Ready) -> Ready:
        """The media that can be sent after `sent` was refused: permanent URLs, and ids renewed meanwhile.

        Has each id of `sent` recorded as dead; the renewer replaces it for the next customer. Nothing is uploaded here.
        """
        self._refused_media.record(corp_id, sent)
        now = self._ready(corp_id, template)
        return {upload: value for upload, value in now.items() if upload.how == "url" or sent.get(upload) != value}

    # --- the end ---

    def _by_sibling(self, claim: Claim, finish: Finish) -> Finish:
        """The outcome, corrected where another event of the same member and customer used the code."""
        if not policy.is_code_used(finish):
            return finish
        sibling = claim.code_owner
        if not sibling:  # nothing is known of the code: Redis lost it, or an earlier release accepted the other event
            with contextlib.suppress(redis.RedisError):
                sibling = self._ledger.greeted_sibling(claim.event, claim.received_at) or ""
        if sibling:
            return policy.code_shared(finish, sibling)
        return policy.code_used_elsewhere(finish) if self._alone else finish

    def _settle(self, course: Course, finish: Finish) -> None:
        """Complete the outcome, and write it or leave it to be written. The one place where an event is settled."""
        seconds = course.claim.elapsed()
        one = self._settled(course, finish, self._last_pause() if finish.outcome is Outcome.EXPIRED else None)
        if self._outcomes is not None:
            self._outcomes.add(one, seconds)
        else:
            written = self._outage.until_answered(partial(self._ledger.settle, one), PATIENCE)
            self._observer.settled(one, written)
            report(one, seconds, written)

    def give_up(self, claims: Iterable[Claim], served_since: float) -> Iterator[SettledEvent]:
        """What is to be written of events for which it is too late. See `policy.given_up`."""
        pause = self._last_pause()
        for claim in claims:
            paused = pause is not None and _overlaps(pause, claim)
            finish = policy.before_greeting(claim) if paused else policy.given_up(claim, served_since)
            if finish is not None:
                yield self._settled(Course.of(claim), finish, pause)

    def _settled(self, course: Course, finish: Finish, pause: Pause | None) -> SettledEvent:
        """`pause`: the last one, which may be why an event expired."""
        claim = course.claim
        late = finish.outcome is Outcome.EXPIRED
        paused = late and pause is not None and _overlaps(pause, claim)
        settlement = course.settlement(finish, pause if paused else None, self._held(claim) if late else None)
        counts = {} if claim.event.rehearsal else _counts(claim, settlement, claim.elapsed())
        return SettledEvent(claim.event, settlement, counts, self._is_followed_up(claim, settlement))

    def _last_pause(self) -> Pause | None:
        try:
            return self._pauses.last().get(WELCOME)
        except redis.RedisError:
            return None

    def _is_followed_up(self, claim: Claim, settlement: Settlement) -> bool:
        """Whether a follow-up may be needed, whatever the outcome; the follow-up itself finds out what to do."""
        event = claim.event
        if event.rehearsal or claim.revision is None or event.app not in self._clients:
            return False
        try:
            templates = self._books.book(event.app, claim.revision).templates
        except (redis.RedisError, NoRevision, BookError):
            return True  # the follow-up reads the book again, without time pressure
        chosen = [templates[settlement.template]] if settlement.template else templates.values()
        return any(template.then != NOTHING for template in chosen)


def _counts(claim: Claim, settlement: Settlement, seconds: float) -> dict[str, int]:
    """What a settled event adds to the counters: field → increment."""
    app = claim.event.app
    counts = {count("outcomes_total", app=app, outcome=settlement.outcome): 1}
    if claim.redeliveries:
        counts[count("recoveries_total", app=app)] = claim.redeliveries
    if settlement.cause == LIMITED:
        counts[count("limited_total", app=app)] = 1
    if settlement.cause == OVERLOADED:
        counts[count("overloaded_total", app=app)] = 1
    if settlement.variant:
        labels = {"rule": settlement.rule, "variant": settlement.variant, "outcome": settlement.outcome}
        counts[count("variants_total", app=app, **labels)] = 1
    if settlement.outcome is Outcome.SENT:
        counts |= latency(app, seconds)
    return counts


def _overlaps(pause: Pause, claim: Claim) -> bool:
    """Whether the queue was paused during the event's window."""
    since = claim.received_at / 1000
    return pause.overlaps(since, since + claim.window)


def _shown(one: LeftOut) -> str:
    return f"attachment {one.number} ({one.msgtype}{' ' if one.file else ''}{one.file})"

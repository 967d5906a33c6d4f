"""One follow-up: choose the template, tag, set the remark, record the progress. Docs 92117, 92118, 92115.

It is done whatever the greeting's outcome: an event settled before a template was chosen gets the one that it would
have had. Every step is idempotent: a tag that is there stays, and a remark is set only where the member has none.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import redis

from tasks.books.revisions import BookStore, NoRevision
from tasks.counters import Counters, count
from tasks.directory.lookup import Lookup, Lookups
from tasks.followups.corp_tags import CorpTags
from tasks.followups.retries import DELAYS, NO_CONTACTS, WORK, may_pass, next_try
from tasks.followups.store import FollowUps, FollowUpTask
from tasks.ledger.claims import FollowUpProgress
from tasks.ledger.delivery import FollowUpStatus
from tasks.logs import about
from tasks.reasons import Kind, Reason
from tasks.templates.model import NOTHING, Book, Template
from tasks.templates.problems import BookError
from tasks.templates.render import ABOUT_CUSTOMER, placeholders, remark
from tasks.templates.select import needs, select
from tasks.wecom import WeComAPIError, WeComClient, WeComError, errors
from tasks.wecom.members import is_same_member

log = logging.getLogger(__name__)

FACTS_AWAITED = 3  # tries that wait for a fact of a rule or remark; then it counts as unknown, as for a greeting
ALWAYS_THERE = ("member", "department", "corp")  # names that WeCom has for every member: a missing one was not told
NAMES = 4.0  # seconds for names and facts
PAGES = 20  # of a customer's members, 500 each


class FactsUnknown(Exception):
    """A rule or a remark needs facts that WeCom has not told yet."""

    def __init__(self, asked_by: str, facts: Iterable[str]) -> None:
        self.reason = Reason.of(Kind.FACTS_UNKNOWN, asked_by=asked_by, facts=sorted(facts))
        super().__init__(str(self.reason))


def after_failure(error: Exception, task: FollowUpTask, jitter: float) -> FollowUpProgress:
    """What follows a failed try: another one, or giving up. Pure. `jitter`: random, 0 to 1."""
    reason = error.reason if isinstance(error, FactsUnknown) else _reason(error)
    waits = isinstance(error, WeComAPIError) and error.errcode == NO_CONTACTS and task.event.change == "half_add"
    if waits:
        reason = Reason.of(Kind.AWAITS_FULL_ADD, cause=reason)
    if not may_pass(error):
        return FollowUpProgress(FollowUpStatus.FAILED, reason)
    status, reason, delay = next_try(task.attempts, reason, jitter)
    return FollowUpProgress(status, reason, delay, awaits_full_add=waits and status is FollowUpStatus.WAITING)


def _reason(error: Exception) -> Reason:
    if isinstance(error, NoRevision):
        return Reason.of(Kind.BOOK_GONE)
    if isinstance(error, BookError):
        return Reason.of(Kind.BOOK_UNREADABLE, problems=str(error))
    return Reason.from_error(error)


@dataclass(slots=True)
class _Done:
    """What has been done of a follow-up."""

    tags: tuple[str, ...]
    remark: str | None


@dataclass(frozen=True, slots=True)
class FollowUpHandler:
    """Does one follow-up at a time. Thread-safe."""

    store: FollowUps
    books: BookStore
    people: Lookups
    tags: CorpTags
    clients: Mapping[str, WeComClient]
    counters: Counters
    jitter: Callable[[], float] = field(default=random.random)
    observe: Callable[[FollowUpTask, FollowUpProgress], None] = field(default=lambda *_: None)  # hears of each try

    def do(self, task: FollowUpTask) -> None:
        """One try of one follow-up. Raises nothing."""
        with about(event=task.id, app=task.event.app):
            done = _Done(task.tags, task.remark)
            try:
                progress = self._do(task, done)
            except (WeComError, redis.RedisError, NoRevision, BookError, FactsUnknown) as error:
                progress = after_failure(error, task, self.jitter())
            except Exception as error:  # the edge of a worker's thread
                log.exception("a follow-up ended in an error")
                progress = after_failure(error, task, self.jitter())
            progress = replace(progress, tags=done.tags, remark=done.remark)
            try:
                recorded = self.store.record(task, progress)
            except redis.RedisError as error:
                log.warning("cannot record a follow-up, so it will be done again: %s", type(error).__name__)
                return
            if recorded:
                self.observe(task, progress)
                self._report(task, progress)

    def _report(self, task: FollowUpTask, progress: FollowUpProgress) -> None:
        status = progress.status
        if status in (FollowUpStatus.DONE, FollowUpStatus.FAILED):
            self.counters.add(count("followups_total", app=task.event.app, result=str(status)))
        if status is not FollowUpStatus.NONE:
            level = logging.WARNING if status is FollowUpStatus.FAILED else logging.INFO
            log.log(level, "follow-up %s%s", status, f": {progress.reason}" if progress.reason else "")

    def _do(self, task: FollowUpTask, done: _Done) -> FollowUpProgress:
        if task.attempts > len(DELAYS) + 1:
            return FollowUpProgress(FollowUpStatus.FAILED, Reason.of(Kind.INTERRUPTED_TOO_OFTEN))
        by = time.monotonic() + WORK
        client = self.clients.get(task.event.app)
        if client is None:
            return FollowUpProgress(FollowUpStatus.FAILED, Reason.of(Kind.APP_NOT_CONFIGURED, app=task.event.app))
        wecom = client.with_deadline(by)
        revision = task.revision or self.books.current(task.event.app)
        if revision is None:
            return FollowUpProgress(FollowUpStatus.NONE)
        book = self.books.book(task.event.app, revision)
        lookup = self.people.about(wecom, task.event, task.received_at, by, NAMES)
        template = _template(book, task, lookup)
        if template is None or template.then == NOTHING:
            return FollowUpProgress(FollowUpStatus.NONE)
        self._tag(template, task, wecom, by, done)
        self._remark(template, task, wecom, lookup, done)
        return FollowUpProgress(FollowUpStatus.DONE)

    def _tag(self, template: Template, task: FollowUpTask, wecom: WeComClient, by: float, done: _Done) -> None:
        wanted = {f"{tag.group}/{tag.name}": tag for tag in template.then.tags}
        missing = [tag for name, tag in wanted.items() if name not in done.tags]
        if not missing:
            return
        self.tags.mark(wecom, task.event, missing, by)
        done.tags = tuple(wanted)

    def _remark(self, template: Template, task: FollowUpTask, wecom: WeComClient, lookup: Lookup, done: _Done) -> None:
        if not template.then.remark or done.remark is not None:
            return
        name, current = _current_remark(wecom, task)
        asked = frozenset(one.name for one in placeholders(template.then.remark))
        values = lookup.values(asked - ABOUT_CUSTOMER)
        unknown = [one for one in ALWAYS_THERE if one in asked and not values.get(one)]
        if unknown and task.attempts <= FACTS_AWAITED:
            raise FactsUnknown("remark", unknown)
        text = remark(template, values | {"customer": name})
        if not text:
            return
        if current in ("", name):  # WeCom returns the customer's own name where the member has set no remark
            wecom.external_contact.remark(task.event.user_id, task.event.external_user_id, remark=text)
            done.remark = "set"
        else:
            done.remark = "set" if current == text else "kept"  # set by a worker that then died; or by the member


def _template(book: Book, task: FollowUpTask, lookup: Lookup) -> Template | None:
    """The template that the greeting had, or would have had. Raises FactsUnknown while its facts are missing."""
    if task.template:
        return book.templates.get(task.template)
    contact = lookup.contact()
    facts = needs(book, contact)
    if facts:
        contact = lookup.contact(facts)
        unknown = needs(book, contact)
        if unknown and task.attempts <= FACTS_AWAITED:
            raise FactsUnknown("rule", unknown)
    choice = select(book, contact)
    return None if choice is None else choice.template


def _current_remark(wecom: WeComClient, task: FollowUpTask) -> tuple[str, str]:
    """(the customer's own name, this member's remark). Raises WeComError, 84061 if the two are not contacts."""
    name, cursor = None, None
    for _ in range(PAGES):
        answer = wecom.external_contact.get(task.event.external_user_id, cursor)
        if name is None:
            name = str(answer.get("external_contact", {}).get("name", ""))
        for one in answer.get("follow_user") or []:
            if is_same_member(one.get("userid"), task.event.user_id):
                return name, str(one.get("remark") or "")
        cursor = answer.get("next_cursor")
        if not cursor:
            break
    raise errors.from_answer(NO_CONTACTS, "the member is not among the customer's", "externalcontact/get")

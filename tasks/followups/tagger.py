"""Puts the tags on customers that people asked for, on the slow queue. Doc 92118. See tasks.followups.tagging."""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import redis

from tasks.followups.corp_tags import CorpTags
from tasks.followups.retries import DELAYS, NO_CONTACTS, WORK, may_pass, next_try
from tasks.followups.tagging import Taggings, TaggingTask
from tasks.ledger.claims import TaggingProgress
from tasks.ledger.delivery import FollowUpStatus
from tasks.logs import about
from tasks.reasons import Kind, Reason
from tasks.wecom import WeComAPIError, WeComClient, WeComError

log = logging.getLogger(__name__)

HALF_ADD = "half_add"


def after_failure(error: Exception, task: TaggingTask, jitter: float) -> TaggingProgress:
    """What follows a failed try: another one, or giving up. Pure. `jitter`: random, 0 to 1."""
    reason = Reason.from_error(error)
    apart = isinstance(error, WeComAPIError) and error.errcode == NO_CONTACTS and task.delivery.change != HALF_ADD
    if apart or not may_pass(error):  # whoever asked for it is told at once
        return TaggingProgress(FollowUpStatus.FAILED, reason)
    return TaggingProgress(*next_try(task.attempts, reason, jitter))


@dataclass(frozen=True, slots=True)
class Tagger:
    """Tags one customer at a time. Thread-safe."""

    store: Taggings
    tags: CorpTags
    clients: Mapping[str, WeComClient]
    jitter: Callable[[], float] = field(default=random.random)

    def do(self, task: TaggingTask) -> None:
        """One try for one customer. Raises nothing."""
        with about(event=task.id, app=task.delivery.app):
            try:
                progress = self._do(task)
            except (WeComError, redis.RedisError) as error:
                progress = after_failure(error, task, self.jitter())
            except Exception as error:  # the edge of a worker's thread
                log.exception("tagging a customer ended in an error")
                progress = after_failure(error, task, self.jitter())
            before = task.delivery.tagging.tags if task.delivery.tagging else ()
            if progress.status is FollowUpStatus.DONE:
                before = tuple(dict.fromkeys((*before, *((tag.group, tag.name) for tag in task.tags))))
            try:
                recorded = self.store.record(task, replace(progress, tags=before))
            except redis.RedisError as error:
                log.warning(
                    "cannot record that a customer was tagged, so it will be done again: %s", type(error).__name__
                )
                return
            if recorded:
                level = logging.WARNING if progress.status is FollowUpStatus.FAILED else logging.INFO
                log.log(level, "tagging %s%s", progress.status, f": {progress.reason}" if progress.reason else "")

    def _do(self, task: TaggingTask) -> TaggingProgress:
        if task.attempts > len(DELAYS) + 1:
            return TaggingProgress(FollowUpStatus.FAILED, Reason.of(Kind.INTERRUPTED_TOO_OFTEN))
        by = time.monotonic() + WORK
        client = self.clients.get(task.delivery.app)
        if client is None:
            return TaggingProgress(FollowUpStatus.FAILED, Reason.of(Kind.APP_NOT_CONFIGURED, app=task.delivery.app))
        self.tags.mark(client.with_deadline(by), task.delivery.event, task.tags, by)
        return TaggingProgress(FollowUpStatus.DONE)

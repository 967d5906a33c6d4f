"""When work on the slow queue that failed is tried again, and for how long one try may last. Pure."""

from tasks.books.revisions import NoRevision
from tasks.followups.corp_tags import NO_TAG
from tasks.followups.store import LEASE
from tasks.ledger.delivery import FollowUpStatus
from tasks.reasons import Kind, Reason
from tasks.templates.problems import BookError
from tasks.wecom import WeComAPIError, errors

DELAYS = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0)  # seconds between two tries; then it is given up
WORK = LEASE - 2.0  # seconds for one try
NO_CONTACTS = 84061


def next_try(attempts: int, reason: Reason, jitter: float) -> tuple[FollowUpStatus, Reason, float]:
    """(status, reason, seconds until the next try) after a try that failed for a `reason` that may pass. Pure."""
    if attempts > len(DELAYS):
        return FollowUpStatus.FAILED, Reason.of(Kind.GIVEN_UP, tries=attempts, cause=reason), 0.0
    return FollowUpStatus.WAITING, reason, DELAYS[attempts - 1] * (0.75 + jitter / 2)


def may_pass(error: Exception) -> bool:
    """Whether a later try may succeed: also once the contact is complete, or the tag made again."""
    if isinstance(error, WeComAPIError) and error.errcode in (NO_CONTACTS, NO_TAG):
        return True
    return errors.may_pass(error) and not isinstance(error, NoRevision | BookError)

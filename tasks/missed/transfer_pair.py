"""Hand-overs that WeCom is asked about: the values, and what is decided of them. Docs 94088, 94082. Pure."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from tasks.changes.failed_transfers import LIMIT, REFUSED
from tasks.missed.comparison_run import CURSOR_ENDED, last_due
from tasks.reasons import Reason
from tasks.wecom.errors import CODES, BadRequest, Busy, Final, InvalidRequest, Limited, TokenRefused, WeComAPIError
from tasks.wecom.members import is_same_member

DAY = 86_400
DAYS = 7  # for which a pair is read: a hand-over takes effect after 24 hours (doc 92125)
PAIRS = 100  # of one app
CALLS = 2  # transfer_result, and that for members who left
LONGEST = 64  # bytes of a userid, doc 90195
SOON, LATER = 60, 3600  # seconds after the first error that may pass, and after one of WeCom's limits
WHY = {3: REFUSED, 4: LIMIT}  # a customer's status → why it failed, as in WeCom's event
KINDS = {1: "done", 2: "waiting", 3: "refused", 4: "limit"}  # status → its name in counts; any other: unknown


@dataclass(frozen=True, slots=True)
class Answer:
    """What WeCom has said of a pair: how many customers of each kind."""

    done: int = 0
    waiting: int = 0
    refused: int = 0
    limit: int = 0
    unknown: int = 0

    @property
    def customers(self) -> int:
        return self.done + self.waiting + self.refused + self.limit

    def and_of(self, statuses: Iterable[object]) -> "Answer":
        """With those of another page."""
        more = Counter(KINDS.get(one, "unknown") if isinstance(one, int) else "unknown" for one in statuses)
        return replace(self, **{kind: getattr(self, kind) + number for kind, number in more.items()})


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a pair has been read: `ended` calls of CALLS to their end, the next one up to `cursor`.

    refused: why WeCom refused the first of the `refusals` that it refused.
    """

    ended: int = 0
    cursor: str = ""
    answer: Answer = field(default_factory=Answer)
    refused: Reason | None = None
    refusals: int = 0

    @property
    def is_whole(self) -> bool:
        return self.ended == CALLS

    def next_call(self, refused: Reason | None = None) -> "Reading":
        why, refusals = self.refused or refused, self.refusals + (refused is not None)
        return replace(self, ended=self.ended + 1, cursor="", refused=why, refusals=refusals)


@dataclass(frozen=True, slots=True)
class TransferPair:
    """From whom to whom customers are handed over. Times are Unix seconds.

    by: who asked for it, since when. next_at: when it is read next; None: not any more. read_at: when it was read last,
    with this `answer`. reading: what is read now, or was when time ran out. failed: why it could not be read since, in
    so many `tries`.
    """

    handover: str
    takeover: str
    by: str = ""
    since: int = 0
    next_at: int | None = None
    read_at: int | None = None
    answer: Answer | None = None
    reading: Reading | None = None
    failed: Reason | None = None
    tries: int = 0

    @property
    def last_at(self) -> int:
        """When something became of it last."""
        return max(self.since, self.read_at or 0)

    def to_json(self) -> str:
        data = asdict(self)
        data["failed"] = self.failed.to_data() if self.failed else None
        if self.reading is not None:
            data["reading"]["refused"] = self.reading.refused.to_data() if self.reading.refused else None
        return json.dumps(data, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "TransferPair":
        """Raises ValueError, TypeError, KeyError or AttributeError for what is none."""
        data: dict[str, Any] = json.loads(text)
        data["failed"] = Reason.from_data(data["failed"])
        data["answer"] = None if data["answer"] is None else Answer(**data["answer"])
        if (reading := data["reading"]) is not None:
            refused = Reason.from_data(reading["refused"])
            data["reading"] = Reading(**reading | {"answer": Answer(**reading["answer"]), "refused": refused})
        return cls(**data)


def problem(handover: str, takeover: str) -> str:
    """What is wrong with a pair that somebody names: "empty", "long" or "same"; "" if nothing is."""
    if not handover or not takeover:
        return "empty"
    if any(len(one.encode()) > LONGEST or not one.isprintable() or "|" in one for one in (handover, takeover)):
        return "long"
    return "same" if is_same_member(handover, takeover) else ""


def failures(entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(customer, why) of those of a page who were not handed over."""
    for one in entries:
        customer, status = one.get("external_userid"), one.get("status")
        if isinstance(customer, str) and customer and isinstance(status, int) and status in WHY:
            yield customer, WHY[status]


def after_reading(pair: TransferPair, reading: Reading, now: int, zone: ZoneInfo) -> TransferPair:
    """The pair when all calls have ended. What WeCom refused counts where no call knows of a customer.

    Not where it refuses one call alone for good, as that for members who left, of one who has not.
    """
    why = reading.refused
    if why is not None and not reading.answer.customers and (reading.refusals == CALLS or not _is_final(why)):
        return _bounded(_refused(pair, why, now, zone), now)
    next_at = next_night(now, zone) if reading.answer.waiting else None
    read = replace(pair, reading=None, failed=None, tries=0, read_at=now, answer=reading.answer, next_at=next_at)
    return _bounded(read, now)


def after_error(pair: TransferPair, error: Exception, now: int, zone: ZoneInfo) -> TransferPair:
    """The pair after an error: it begins anew, unless trying again changes nothing."""
    reason = Reason.from_error(error)
    failed = replace(pair, reading=None, failed=reason, tries=pair.tries + 1)
    if isinstance(error, InvalidRequest):
        return replace(failed, next_at=None)
    if isinstance(error, WeComAPIError) and not passes(error):
        return _bounded(_refused(pair, reason, now, zone), now)
    wait = LATER if isinstance(error, Limited) else min(LATER, SOON * 2 ** min(pair.tries, 6))
    return _bounded(replace(failed, next_at=now + wait), now)


def passes(error: WeComAPIError) -> bool:
    """Whether a call that WeCom refuses so may be made again within the hour."""
    return isinstance(error, Busy | Limited | TokenRefused) or error.errcode == CURSOR_ENDED


def _refused(pair: TransferPair, why: Reason, now: int, zone: ZoneInfo) -> TransferPair:
    """The pair when WeCom refuses to tell of it: asked again at night, unless trying again changes nothing."""
    next_at = None if _is_final(why) else next_night(now, zone)
    return replace(pair, reading=None, failed=why, tries=pair.tries + 1, next_at=next_at)


def _is_final(why: Reason) -> bool:
    known = CODES.get(why.errcode) if why.errcode is not None else None
    return known is not None and issubclass(known.error, BadRequest | Final)


def next_night(now: int, zone: ZoneInfo) -> int:
    """When the nightly comparison is due next."""
    return last_due(now + DAY, zone)


def _bounded(pair: TransferPair, now: int) -> TransferPair:
    """The pair, which is read no more when it was asked for too long ago."""
    return replace(pair, next_at=None) if now >= pair.since + DAYS * DAY else pair

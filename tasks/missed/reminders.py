"""Members are told which of their new customers were not greeted: an app message each (doc 90236), once per customer.

    a row's reminder    which means
    (none)              the member was not told
    sending             a message is on its way; after UNSURE_AFTER seconds, for all we know, it went out or did not
    sent                WeCom took the message
    unsure              no answer came: the member may have been told
    failed              the member was not told, for the reason in `reminder_why`

A row is marked `sending` before the message leaves, under the condition that it is still to do and nobody else has told
the member: so two operators, or two processes, never tell twice.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from datetime import time as clock
from typing import Any
from zoneinfo import ZoneInfo

from tasks.directory.lookup import Lookups, known_members
from tasks.ledger.delivery import Delivery, ReminderStatus
from tasks.missed.work_list import WorkList, customer_name
from tasks.reasons import Kind, Reason
from tasks.settings import App
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis, repeatable
from tasks.visible_text import plain, trimmed
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import Busy, InvalidRequest, Limited, NoAnswer, NotSent

log = logging.getLogger(__name__)

BYTES = 2048  # of a message's text, doc 90236: what is longer is cut
QUIET = (clock(22, 0), clock(8, 0))  # no automatic reminder from, until, in the set time zone
SETTLED = 120  # seconds after which a customer who was missed is not being greeted any more
WITHIN = 3 * 86400  # seconds: older ones are not brought up by themselves
PAUSE = 600  # seconds between two automatic messages to a member: an outage makes one, not forty
AT_ONCE = 50  # members told in one run
NAMES_AT_ONCE = 20  # customers' names asked for in one run
CALL = 5.0  # seconds for one message
UNSURE_AFTER = 120  # seconds
NO_VALID_RECEIVER = 81013
NO_TIME = Reason.of(Kind.NO_TIME_LEFT)

_BEGIN = """
-- KEYS  row, to do    ARGV  id, who, ms, '1' to tell again    → 1 marked, 0 not to do any more, or told already
if redis.call('EXISTS', KEYS[1]) == 0 or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
local told = redis.call('HGET', KEYS[1], 'reminder')
local by = redis.call('HMGET', KEYS[1], 'reminded_by', 'reminded_at')
if told == 'sending' and by[1] == ARGV[2] and by[2] == ARGV[3] then return 1 end -- again: the answer was lost
if told and told ~= 'failed' and ARGV[4] ~= '1' then return 0 end
redis.call('HSET', KEYS[1], 'reminder', 'sending', 'reminded_by', ARGV[2], 'reminded_at', ARGV[3])
redis.call('HDEL', KEYS[1], 'reminder_why')
return 1
"""
_NOTE = """
-- KEYS  row    ARGV  state, reason
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'reminder', ARGV[1], 'reminder_why', ARGV[2])
end
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling a member. `rows`: of how many customers.

    `reason`: why it failed, or why it is not known whether it arrived.
    """

    user_id: str
    rows: int
    status: ReminderStatus
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a click. `skipped`: rows that had changed meanwhile: greeted, ticked off, or told of already."""

    told: Sequence[Told]
    skipped: int

    def count(self, status: str) -> int:
        """Members."""
        return sum(one.status == status for one in self.told)


@dataclass(frozen=True, slots=True)
class Switch:
    """Automatic reminders are on, by whom, since when (Unix seconds): earlier customers are not brought up."""

    by: str
    since: int


# ------------------------------------------------------------------------------------------------ decided


def is_quiet(now: datetime) -> bool:
    """Whether it is night, when nobody is told by itself."""
    start, end = QUIET
    return now.time() >= start or now.time() < end


def text(customers: Sequence[tuple[str, str]], total: int | None = None, most: int = BYTES) -> str:
    """What a member is told, in at most so many bytes: (name or "", time) of each customer; names as far as they fit.

    >>> text([("李雷", "10:12"), ("", "10:05")])
    '你有 2 位新客户还没收到欢迎语：李雷（10:12）、一位客户（10:05）。打开聊天打个招呼吧。'
    """
    total = len(customers) if total is None else total
    named = [f"{name or '一位客户'}（{at}）" for name, at in customers]
    rest = f" 等 {total} 位" if len(named) < total else ""
    line = f"你有 {total} 位新客户还没收到欢迎语：{'、'.join(named)}{rest}。打开聊天打个招呼吧。"
    if len(line.encode()) <= most or not customers:
        return line
    return text(customers[:-1], total, most)


def told_name(name: str) -> str:
    """A name on one line, with nothing in it that turns or hides what stands beside it; cut to 32 characters.

    A text message shows `<a href>` as a link (doc 90236), and customers choose their names.
    """
    return trimmed(plain(name).replace("<", "＜").replace(">", "＞")[:32])


def moment(at: float, now: datetime) -> str:
    """A time as members read it: today 10:12, else 11-21 18:40."""
    here = datetime.fromtimestamp(at, now.tzinfo)
    return here.strftime("%H:%M" if here.date() == now.date() else "%m-%d %H:%M")


def by_member(rows: Iterable[Delivery]) -> dict[str, list[Delivery]]:
    """Member → customers, in the order in which they come."""
    members: dict[str, list[Delivery]] = {}
    for row in rows:
        members.setdefault(row.user_id, []).append(row)
    return members


# ------------------------------------------------------------------------------------------------ done


class Reminders:
    """Tells members of one app. Thread-safe. Methods raise redis.RedisError."""

    def __init__(
        self, client: Redis, app: App, wecom: WeComClient, work_list: WorkList, lookups: Lookups, zone: ZoneInfo
    ) -> None:
        self._redis = client
        self._app = app
        self._wecom = wecom
        self._zone = zone
        self._list = work_list
        self._lookups = lookups
        self._begin = repeatable(client.register_script(_BEGIN))
        self._note = repeatable(client.register_script(_NOTE))

    @property
    def possible(self) -> bool:
        """Whether the app can message members at all: it needs an agent id."""
        return self._app.agent_id.isdigit()

    def tell(self, ids: Sequence[str], who: str, again: bool = False, patience: float = 8.0) -> Report:
        """Tell the members of these rows, one message each. `who` asks; "": nobody, it is automatic.

        Rows that changed meanwhile are skipped; with `again` those of which a member was told already are not.
        Members whose turn does not come within `patience` seconds are reported as failed, for NO_TIME.
        """
        now = now_ms(self._redis)
        by = time.monotonic() + patience
        rows = self._list.open(ids)
        marked: list[Delivery] = []
        told = []
        for member, customers in by_member(rows).items():
            if by - time.monotonic() < 1:
                told.append(Told(member, len(customers), ReminderStatus.FAILED, NO_TIME))
                continue
            mine = [row for row in customers if self._marked(row.id, who, now, again)]
            marked += mine
            if mine:
                told.append(self._message(member, mine, now, by))
        late = sum(one.rows for one in told if one.reason == NO_TIME)
        return Report(tuple(told), skipped=len(set(ids)) - len(marked) - late)

    def run(self, now: datetime | None = None) -> Report:
        """What the schedule does: tell members of whom they have not been told yet, if it is switched on and day."""
        now = now or datetime.now(self._zone)
        since = self.switch()
        if since is None or not self.possible or is_quiet(now):
            return Report((), 0)
        stamp = now_ms(self._redis)
        due: dict[str, list[str]] = {}
        for row in self._list.since(stamp - WITHIN * 1000):
            at = max(row.received_ms, row.found_ms or 0)
            if row.reminder is None and since.since * 1000 <= at <= stamp - SETTLED * 1000:
                due.setdefault(row.user_id, []).append(row.id)
        told: list[Told] = []
        for member, ids in list(due.items()):
            if len(told) == AT_ONCE:
                break
            if self._redis.set(keys.reminded(self._app.name, member), 1, nx=True, ex=PAUSE):
                told += self.tell(ids, "").told
        return Report(tuple(told), 0)

    def learn_names(self, by: float) -> int:
        """Ask WeCom for names of customers on the list's first pages, and of their members, before a `time.monotonic`.

        So that a page, and a member, reads a name. → how many customers were asked for; one that was not answered is
        asked for again, and one without a name is recorded as such.
        """
        learned = 0
        members: dict[str, Delivery] = {}
        for row in self._list.since(0, most=200):
            members.setdefault(row.user_id, row)
            if row.customer_name is not None or customer_name(row):
                continue
            if learned == NAMES_AT_ONCE or time.monotonic() > by:
                break
            learned += 1
            try:
                calls = self._wecom.with_deadline(min(by, time.monotonic() + CALL)).external_contact
                name = str((calls.get(row.external_user_id).get("external_contact") or {}).get("name") or "")
            except (Busy, Limited, NotSent, NoAnswer):
                break
            except WeComError:  # no contact any more, or not for this app to see
                name = ""
            self._list.name(row.id, name[:128])
        unknown = sorted(members.keys() - known_members(self._redis, self._app.name, members))[:NAMES_AT_ONCE]
        for user_id in unknown:
            row = members[user_id]
            self._lookups.about(self._wecom, row.event, row.received_ms, by).values(frozenset({"member"}))
        return learned

    def switch(self) -> Switch | None:
        """Whether members are told by itself; None: they are not."""
        stored = replies.fields(self._redis.hgetall(keys.reminders(self._app.name)))
        return Switch(stored["by"], int(stored["since"])) if stored else None

    def switch_on(self, who: str) -> None:
        """From now on members are told by itself; of customers who come from now on."""
        if self.switch() is None:
            self._redis.hset(keys.reminders(self._app.name), mapping={"by": who, "since": now_ms(self._redis) // 1000})

    def switch_off(self) -> None:
        self._redis.delete(keys.reminders(self._app.name))

    def _marked(self, identity: str, who: str, now: int, again: bool) -> bool:
        names = [keys.event(identity), keys.missed(self._app.name)]
        return bool(self._begin(keys=names, args=[identity, who, now, "1" if again else ""]))

    def _message(self, member: str, rows: Sequence[Delivery], now: int, by: float) -> Told:
        here = datetime.fromtimestamp(now / 1000, self._zone)
        customers = [(told_name(customer_name(row)), moment(row.received_at, here)) for row in rows]
        message = {
            "touser": member,
            "msgtype": "text",
            "agentid": int(self._app.agent_id),
            "text": {"content": text(customers)},
        }
        status, reason = ReminderStatus.SENT, None
        try:
            if member == "@all" or "|" in member:  # to WeCom, more than one
                raise InvalidRequest("message/send", "touser", "several", "must be one member")
            answer = self._wecom.with_deadline(min(by, time.monotonic() + CALL)).message.send(message)
            reason = _not_delivered(member, answer)
        except NoAnswer as error:
            status, reason = ReminderStatus.UNSURE, Reason.from_error(error)
        except WeComError as error:
            invalid = isinstance(error, WeComAPIError) and error.errcode == NO_VALID_RECEIVER
            reason = Reason.of(Kind.MEMBER_NOT_VISIBLE) if invalid else Reason.from_error(error)
        if reason is not None and status is ReminderStatus.SENT:
            status = ReminderStatus.FAILED
        for row in rows:
            self._note(keys=[keys.event(row.id)], args=[str(status), reason.to_json() if reason else ""])
        level = logging.INFO if status is ReminderStatus.SENT else logging.WARNING
        log.log(level, "a member was told of %s missed customers: %s %s", len(rows), status, reason or "")
        return Told(member, len(rows), status, reason)


def _not_delivered(member: str, answer: Mapping[str, Any]) -> Reason | None:
    """Why the message does not reach the member although WeCom took it; None: it does."""
    if member in str(answer.get("invaliduser") or "").split("|"):
        return Reason.of(Kind.MEMBER_NOT_VISIBLE)
    if member in str(answer.get("unlicenseduser") or "").split("|"):
        return Reason.of(Kind.MEMBER_NOT_LICENSED)
    return None


def reminder_status(row: Delivery, now: float) -> ReminderStatus | None:
    """A row's reminder as it is shown: one that has been `sending` for long is `unsure`. None: nobody was told."""
    reminder = row.reminder
    if reminder is None:
        return None
    stuck = reminder.status is ReminderStatus.SENDING and reminder.at is not None and now - reminder.at > UNSURE_AFTER
    return ReminderStatus.UNSURE if stuck else reminder.status

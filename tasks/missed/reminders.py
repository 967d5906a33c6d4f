"""App messages that remind members of new customers who were not greeted, once per customer. Doc 90236.

    a row's reminder    meaning
    (none)              the member was not told
    sending             a message is being sent; after UNSURE_AFTER seconds it counts as unsure
    sent                WeCom accepted the message
    unsure              no answer came: the member may have been told
    failed              the member was not told, for the reason in `reminder_why`; with a `reminder_next_at`, nothing
                        was sent and it may pass: the scheduled run tries again then

A row is marked `sending` before the message is sent, and only if it is still to do and the member was not told yet:
so two operators, or two processes, never remind twice.
"""

import contextlib
import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from datetime import time as clock
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import redis

from tasks.books.revisions import BookStore
from tasks.directory.lookup import Lookups, known_members
from tasks.ledger.delivery import Delivery, Outcome, ReminderStatus
from tasks.missed.manual_greeting import manual_greeting
from tasks.missed.work_list import WorkList, customer_name
from tasks.reasons import Kind, Reason
from tasks.settings import App
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis, repeatable
from tasks.storage.unreadable import readable
from tasks.templates.problems import BookError
from tasks.visible_text import head, plain, trimmed
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import Busy, InvalidRequest, Limited, NoAnswer, Unanswered, may_pass
from tasks.wecom.members import is_same_member

log = logging.getLogger(__name__)

BYTES = 2048  # of a message's text, doc 90236: WeCom cuts what is longer
QUIET = (clock(22, 0), clock(8, 0))  # no automatic reminder from, until, in the configured time zone
SETTLED = 120  # seconds after which a missed customer will not be greeted any more
WITHIN = 3 * 86400  # seconds: no automatic reminder about older ones
PAUSE = 600  # seconds between two automatic messages to a member: an outage makes one, not forty
AT_ONCE = 50  # members told in one run
NAMES_AT_ONCE = 20  # customers' names asked for in one run
CALL = 5.0  # seconds for one message
GREETINGS = 5  # in one message, the newest customers'
LOOKING = 1.0  # seconds for the names that the greetings of one message lack
UNSURE_AFTER = 120  # seconds
DELAYS = (60.0, 300.0, 1800.0, 7200.0, 21600.0)  # seconds between two tries of which nothing left; then it is given up
NO_VALID_RECEIVER = 81013
NO_TIME = Reason.of(Kind.NO_TIME_LEFT)

_BEGIN = """
-- KEYS  row, to do    ARGV  id, who, ms, '1' to tell again, '1' for a try after one that failed and may pass,
--    the mark of this call
--    → which try it is, from 1; 0: not to do any more, told already, or its next try is not due
if redis.call('EXISTS', KEYS[1]) == 0 or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
local told = redis.call('HGET', KEYS[1], 'reminder')
local last = redis.call('HMGET', KEYS[1], 'reminder_call', 'reminder_tries', 'reminder_next_at')
local tries = tonumber(last[2] or '1')
if told == 'sending' and last[1] == ARGV[6] then return tries end -- again: the answer was lost
if told and told ~= 'failed' and ARGV[4] ~= '1' then return 0 end
if ARGV[5] ~= '1' then
  tries = 1
elseif last[3] and tonumber(last[3]) <= tonumber(ARGV[3]) then
  tries = tries + 1
else
  return 0
end
redis.call('HSET', KEYS[1], 'reminder', 'sending', 'reminded_by', ARGV[2], 'reminded_at', ARGV[3],
  'reminder_tries', tries, 'reminder_call', ARGV[6])
redis.call('HDEL', KEYS[1], 'reminder_why', 'reminder_next_at')
return tries
"""
_RECORD = """
-- KEYS  row    ARGV  state, reason, ms of the next try or ''
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'reminder', ARGV[1], 'reminder_why', ARGV[2])
  if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], 'reminder_next_at')
  else
    redis.call('HSET', KEYS[1], 'reminder_next_at', ARGV[3])
  end
end
"""


@dataclass(frozen=True, slots=True)
class Told:
    """The result of reminding one member. `rows`: of how many customers.

    `reason`: why it failed, or why it is not known whether it arrived. `tried_again`: it failed, nothing was sent, and
    the scheduled run tries again.
    """

    user_id: str
    rows: int
    status: ReminderStatus
    reason: Reason | None = None
    tried_again: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a request. `skipped`: rows that had changed meanwhile: greeted, ticked off, or told of already.

    `left_out`: rows of which no member is told, see `can_be_told`.
    """

    told: Sequence[Told]
    skipped: int
    left_out: int = 0

    def count(self, status: str) -> int:
        """Members."""
        return sum(one.status == status for one in self.told)


@dataclass(frozen=True, slots=True)
class Switch:
    """Who switched automatic reminders on, and when (Unix seconds); they leave out earlier customers."""

    by: str
    since: int


class Observer(Protocol):
    """Who hears of each reminder: see `tasks.monitoring.observers`. Returns at once, raises nothing."""

    def begun(self, row: Delivery) -> None: ...
    def ended(self, row: Delivery, status: ReminderStatus, reason: Reason | None, tried_again: bool) -> None: ...


# ------------------------------------------------------------------------------------------------ decided


def can_be_told(row: Delivery) -> bool:
    """Whether a member is told of a row: one who did not take a customer over has no chat to say hello in."""
    return row.outcome is not Outcome.NOT_TRANSFERRED


def is_quiet(now: datetime) -> bool:
    """Whether it is night, when no automatic reminder is sent."""
    start, end = QUIET
    return now.time() >= start or now.time() < end


def text(customers: Sequence[tuple[str, str]], total: int | None = None, most: int = BYTES) -> str:
    """A reminder's text for (name or "", time) of each customer, in at most `most` bytes; names as far as they fit.

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


def with_greetings(line: str, greetings: Sequence[tuple[str, str]]) -> str:
    """A reminder's line with (name or "", greeting) of each customer to send, in at most BYTES.

    Equal greetings stand there once; a greeting that does not fit is left out whole, never cut.

    >>> print(with_greetings("你有 1 位新客户…", [("李雷", "您好李雷！")]))
    你有 1 位新客户…
    <BLANKLINE>
    可以这样说：
    您好李雷！
    """
    names: dict[str, list[str]] = {}
    for name, greeting in greetings:
        if greeting.strip():
            names.setdefault(greeting, []).append(name or "一位客户")
    told = line
    for greeting, of in names.items():
        head = "可以这样说" if len(names) == 1 else f"可以对{'、'.join(of)}这样说"
        more = f"{told}\n\n{head}：\n{greeting}"
        if len(more.encode()) <= BYTES:
            told = more
    return told


def safe_name(name: str) -> str:
    """A name on one line, without characters that reorder or hide the text around it; cut to 32 characters.

    A text message shows `<a href>` as a link (doc 90236), and customers choose their names.
    """
    return trimmed(head(plain(name).replace("<", "＜").replace(">", "＞"), 32))


def local_time(at: float, now: datetime) -> str:
    """A time as members read it: 10:12 for today, else 11-21 18:40."""
    here = datetime.fromtimestamp(at, now.tzinfo)
    return here.strftime("%H:%M" if here.date() == now.date() else "%m-%d %H:%M")


def by_member(rows: Iterable[Delivery]) -> dict[str, list[Delivery]]:
    """Member → their rows, in the given order."""
    members: dict[str, list[Delivery]] = {}
    for row in rows:
        members.setdefault(row.user_id, []).append(row)
    return members


# ------------------------------------------------------------------------------------------------ done


class Reminders:
    """Tells members of one app. Thread-safe. Methods raise redis.RedisError."""

    def __init__(
        self,
        client: Redis,
        app: App,
        wecom: WeComClient,
        work_list: WorkList,
        lookups: Lookups,
        books: BookStore,
        zone: ZoneInfo,
        observer: Observer | None = None,
    ) -> None:
        self._redis = client
        self._app = app
        self._books = books
        self._wecom = wecom
        self._zone = zone
        self._list = work_list
        self._lookups = lookups
        self._observer = observer
        self._begin = repeatable(client.register_script(_BEGIN))
        self._record = repeatable(client.register_script(_RECORD))

    @property
    def possible(self) -> bool:
        """Whether the app can message members at all: it needs an agent id."""
        return self._app.agent_id.isdigit()

    def tell(
        self, ids: Sequence[str], who: str, again: bool = False, patience: float = 8.0, scheduled: bool = False
    ) -> Report:
        """Tell the members of these rows, one message each. `who`: the operator; "" for an automatic reminder.

        Rows that changed meanwhile are skipped, and unless `again` those that a member was told of already. With
        `scheduled`, those that failed are told if their next try is due.
        Members not reached within `patience` seconds are reported as failed, for NO_TIME.
        """
        now = now_ms(self._redis)
        by, call = time.monotonic() + patience, secrets.token_hex(8)
        to_do = self._list.open(ids)
        rows = [row for row in to_do if can_be_told(row)]
        left_out = len(to_do) - len(rows)
        marked = 0
        told = []
        for member, customers in by_member(rows).items():
            if by - time.monotonic() < 1:
                told.append(Told(member, len(customers), ReminderStatus.FAILED, NO_TIME))
                continue
            tries = [(row, self._marked(row, who, now, again, scheduled, call)) for row in customers]
            mine = [(row, number) for row, number in tries if number]
            marked += len(mine)
            if mine:
                told.append(self._message(member, mine, now, by))
        late = sum(one.rows for one in told if one.reason == NO_TIME)
        return Report(tuple(told), len(set(ids)) - marked - late - left_out, left_out)

    def run(self, now: datetime | None = None) -> Report:
        """The scheduled run, in daytime: tell members of the customers they were not told of yet, if switched on.

        And try again what could not be sent and is due, whoever asked for it.
        """
        now = now or datetime.now(self._zone)
        if not self.possible or is_quiet(now):
            return Report((), 0)
        told: list[Told] = []
        for (member, who), ids in self._due(self.switch(), now_ms(self._redis)).items():
            if len(told) >= AT_ONCE:
                break
            if who:
                told += self.tell(ids, who, scheduled=True).told
                continue
            pause = keys.reminded(self._app.name, member)
            if self._redis.set(pause, 1, nx=True, ex=PAUSE):
                said = self.tell(ids, "", scheduled=True).told
                if any(one.tried_again for one in said):  # nothing was sent: the next try need not wait for a pause
                    self._redis.delete(pause)
                told += said
        return Report(tuple(told), 0)

    def _due(self, switch: Switch | None, now: int) -> dict[tuple[str, str], list[str]]:
        """(member, who asked; "" for nobody) → the rows of which the member is to be told now."""
        due: dict[tuple[str, str], list[str]] = {}
        for row in filter(can_be_told, self._list.since(now - WITHIN * 1000)):
            at = max(row.received_ms, row.found_ms or 0)
            if row.reminder is None:
                if switch is not None and switch.since * 1000 <= at <= now - SETTLED * 1000:
                    due.setdefault((row.user_id, ""), []).append(row.id)
                continue
            asked = row.reminder.by or switch is not None
            if asked and row.reminder.next_at is not None and row.reminder.next_at * 1000 <= now:
                due.setdefault((row.user_id, row.reminder.by), []).append(row.id)
        return due

    def learn_names(self, by: float) -> int:
        """Fetch names of customers on the list's first pages, and of their members, until `by` (`time.monotonic`).

        Pages and reminders then show names. → how many customers were looked up; one without an answer is looked up
        again, and one without a name is recorded as such.
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
            except (Busy, Limited, Unanswered):
                break
            except WeComError:  # no longer a contact, or not visible to this app
                name = ""
            self._list.name(row.id, name[:128])
        unknown = sorted(members.keys() - known_members(self._redis, self._app.name, members))[:NAMES_AT_ONCE]
        for user_id in unknown:
            row = members[user_id]
            self._lookups.about(self._wecom, row.event, row.received_ms, by).values(frozenset({"member"}))
        return learned

    def switch(self) -> Switch | None:
        """The switch of automatic reminders; None: they are off, or nobody can tell."""
        stored = replies.fields(self._redis.hgetall(keys.reminders(self._app.name)))
        if not stored:
            return None
        return readable(f"the reminders of {self._app.name}", lambda: Switch(stored["by"], int(stored["since"])))

    def switch_on(self, who: str) -> None:
        """Remind members automatically, of customers added from now on."""
        if self.switch() is None:
            self._redis.hset(keys.reminders(self._app.name), mapping={"by": who, "since": now_ms(self._redis) // 1000})

    def switch_off(self) -> None:
        self._redis.delete(keys.reminders(self._app.name))

    def _marked(self, row: Delivery, who: str, now: int, again: bool, scheduled: bool, call: str) -> int:
        """Mark a row before its message leaves. → which try it is; 0: it is not told. `call`: another for each call."""
        names = [keys.event(row.id), keys.missed(self._app.name)]
        retry = scheduled and row.reminder is not None
        return int(self._begin(keys=names, args=[row.id, who, now, "1" if again else "", "1" if retry else "", call]))

    def _message(self, member: str, rows: Sequence[tuple[Delivery, int]], now: int, by: float) -> Told:
        """Tell a member of these rows, each with the number of its try."""
        here = datetime.fromtimestamp(now / 1000, self._zone)
        customers = [(safe_name(customer_name(row)), local_time(row.received_at, here)) for row, _ in rows]
        said = with_greetings(text(customers), self._greetings([row for row, _ in rows], by))
        message = {
            "touser": member,
            "msgtype": "text",
            "agentid": int(self._app.agent_id),
            "text": {"content": said},
        }
        status, reason, passes = ReminderStatus.SENT, None, False
        if self._observer is not None:
            for row, _ in rows:
                self._observer.begun(row)
        try:
            if member == "@all" or "|" in member:  # to WeCom, more than one
                raise InvalidRequest("message/send", "touser", "several", "must be one member")
            answer = self._wecom.with_deadline(min(by, time.monotonic() + CALL)).message.send(message)
            reason = not_delivered(member, answer)
        except NoAnswer as error:
            status, reason = ReminderStatus.UNSURE, Reason.from_error(error)
        except WeComError as error:
            invalid = isinstance(error, WeComAPIError) and error.errcode == NO_VALID_RECEIVER
            reason = Reason.of(Kind.MEMBER_NOT_VISIBLE) if invalid else Reason.from_error(error)
            passes = may_pass(error)  # nothing was sent
        if reason is not None and status is ReminderStatus.SENT:
            status = ReminderStatus.FAILED
        next_tries = [(row, _next_try(row, number, now) if passes else None) for row, number in rows]
        if self._observer is not None:
            for row, next_at in next_tries:  # all of them have ended, even if Redis takes no record
                self._observer.ended(row, status, reason, next_at is not None)
        for row, next_at in next_tries:
            args = [str(status), reason.to_json() if reason else "", "" if next_at is None else next_at]
            self._record(keys=[keys.event(row.id)], args=args)
        tried_again = any(next_at is not None for _, next_at in next_tries)
        level = logging.INFO if status is ReminderStatus.SENT else logging.WARNING
        log.log(level, "a member was told of %s missed customers: %s %s", len(rows), status, reason or "")
        return Told(member, len(rows), status, reason, tried_again)

    def _greetings(self, rows: Sequence[Delivery], by: float) -> list[tuple[str, str]]:
        """(name, the text that the book has for this customer) of the first rows; [] where that fails."""
        until = time.monotonic() + min(LOOKING, (by - time.monotonic()) / 2)
        found: list[tuple[str, str]] = []
        with contextlib.suppress(redis.RedisError, BookError):
            for row in rows[:GREETINGS]:
                left = max(0.0, until - time.monotonic())
                welcome = manual_greeting(row, self._app, self._books, self._lookups, self._wecom, left)
                if welcome is not None:
                    safe = {**welcome.values, "customer": safe_name(welcome.values.get("customer", ""))}
                    found.append((safe_name(customer_name(row)), replace(welcome, values=safe).text))
        return found


def _next_try(row: Delivery, number: int, now: int) -> int | None:
    """ms of the next try after so many; None when it is given up, or the customer is too long ago by then. Pure."""
    if number > len(DELAYS):
        return None
    at = now + int(DELAYS[number - 1] * 1000)
    return at if at < max(row.received_ms, row.found_ms or 0) + WITHIN * 1000 else None


def not_delivered(member: str, answer: Mapping[str, Any]) -> Reason | None:
    """Why the message does not reach the member although WeCom accepted it; None: it does."""
    if _names(answer.get("invaliduser"), member):
        return Reason.of(Kind.MEMBER_NOT_VISIBLE)
    if _names(answer.get("unlicenseduser"), member):
        return Reason.of(Kind.MEMBER_NOT_LICENSED)
    return None


def _names(listed: object, member: str) -> bool:
    return any(is_same_member(one.strip(), member) for one in str(listed or "").split("|"))


def reminder_status(row: Delivery, now: float) -> ReminderStatus | None:
    """A row's reminder as shown at `now` (Unix seconds): `sending` for too long is `unsure`. None: nobody was told."""
    reminder = row.reminder
    if reminder is None:
        return None
    stuck = reminder.status is ReminderStatus.SENDING and reminder.at is not None and now - reminder.at > UNSURE_AFTER
    return ReminderStatus.UNSURE if stuck else reminder.status

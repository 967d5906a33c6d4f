"""Every name that the product uses in Redis, and in one table what each is: type, life, backup, `forget`.

A function makes the name of one of many keys; with "" for its last part it gives what all such names begin with, as
scripts take it, and with "*" the pattern that finds them. Celery's own keys are there for completeness.
"""

import re
from dataclasses import dataclass
from enum import Enum

# ------------------------------------------------------------------------------------------------ names

QUEUE, SLOW_QUEUE = "welcome", "upkeep"
DUE, EVENTS = "welcome:due", "welcome:events"
FOLLOWUP_DUE, FOLLOWUP_AWAITED, FOLLOWUP_WOKEN = (
    "welcome:followup:due",
    "welcome:followup:awaited",
    "welcome:followup:woken",
)
TAGGING = "welcome:tagging"
POLLING_UNTIL, CONSUMED, COUNTERS = "welcome:attended", "welcome:consumed", "welcome:counters"
IDLE = "welcome:idle"
MEDIA_SIZES, MEDIA_RENEWER = "welcome:media", "welcome:keeper"
FORGOTTEN = "welcome:forgotten"
PROCESSES, PROBE = "welcome:processes", "welcome:probe"
SECRET_KEY = "welcome:secret-key"
SWEPT = "welcome:swept"
FORMAT = "welcome:format"
ALL_CALLS = "welcome:calls"
ALERTS, ALERTS_LEASE = "welcome:alerts", "welcome:alerts-lease"
AUDIT, AUDIT_LOGGED = "welcome:audit", "welcome:audit-logged"
LAST_CALLBACK = "welcome:last-callback"
CHANGES = "welcome:changes"
FORWARD_NEW = "welcome:forward-new"
PEOPLE, SESSIONS = "welcome:people", "welcome:sessions"
API_TOKENS, API_TOKENS_USED = "welcome:api-tokens", "welcome:api-tokens-used"
SAMPLES = "welcome:samples"
ALL = "welcome:*"  # the pattern of all but the queues and those of tasks.wecom
LIMITER = "welcome:limit"  # Flask-Limiter puts it into the names that it makes


def event(identity: str) -> str:
    return f"welcome:event:{identity}"


def code_owner(digest: str) -> str:
    return f"welcome:code:{digest}"


def forgotten_event(identity: str) -> str:
    return f"welcome:forgotten-event:{identity}"


def change(identity: str) -> str:
    return f"welcome:change:{identity}"


def forward_entry(app: str, target: str, identity: str) -> str:
    return f"welcome:forward-entry:{app}:{target}:{identity}"


def forward_line(app: str, target: str, customer: str) -> str:
    return f"welcome:forward-line:{app}:{target}:{customer}"


def forward_due(app: str, target: str) -> str:
    return f"welcome:forward-due:{app}:{target}"


def forward_target(app: str, target: str) -> str:
    return f"welcome:forward-target:{app}:{target}"


def forward_waiting(app: str, target: str) -> str:
    return f"welcome:forward-waiting:{app}:{target}"


def forward_parked(app: str, target: str) -> str:
    return f"welcome:forward-parked:{app}:{target}"


def index(app: str, kind: str, value: str) -> str:
    return f"welcome:index:{app}:{kind}:{value}"


def missed(app: str) -> str:
    return f"welcome:missed:{app}"


def missed_done(app: str) -> str:
    return f"welcome:missed-done:{app}"


def calls(path: str, corp_id: str) -> str:
    return f"welcome:calls:{path}:{corp_id}"


def followup_failed(app: str) -> str:
    return f"welcome:followup:failed:{app}"


def verification(app: str) -> str:
    return f"welcome:verification:{app}"


def pause(queue: str) -> str:
    return f"welcome:lane:{queue}"


def tallies(app: str) -> str:
    """What the names of an app's `tally` begin with."""
    return f"welcome:day:{app}:"


def tally(app: str, day: int | str, dimension: str) -> str:
    return f"{tallies(app)}{day}:{dimension}"


def book(app: str) -> str:
    return f"welcome:book:{app}"


def revision(app: str, number: int | str) -> str:
    return f"welcome:book:{app}:{number}"


def revision_about(app: str, number: int | str) -> str:
    return f"welcome:book:{app}:{number}:about"


def first_media(app: str) -> str:
    return f"welcome:first-media:{app}"


def labels(app: str) -> str:
    return f"welcome:labels:{app}"


def changed_welcomes(app: str) -> str:
    return f"welcome:changed:{app}"


def draft(app: str) -> str:
    return f"welcome:draft:{app}"


def draft_version(app: str) -> str:
    return f"welcome:draft-version:{app}"


def draft_was(app: str, digest: str) -> str:
    return f"welcome:draft-was:{app}:{digest}"


def draft_files(app: str) -> str:
    return f"welcome:draft-files:{app}"


def media(sha256: str) -> str:
    return f"welcome:media:{sha256}"


def ready_media(corp_id: str) -> str:
    return f"welcome:ready:{corp_id}"


def image_quota(corp_id: str, period: str) -> str:
    return f"welcome:uploadimg:{corp_id}:{period}"


def group_welcomes(app: str) -> str:
    return f"welcome:group:{app}"


def group_welcomes_lock(app: str) -> str:
    return f"welcome:group-lock:{app}"


def group_welcomes_checked(app: str) -> str:
    return f"welcome:group-checked:{app}"


def channels(app: str) -> str:
    return f"welcome:channel:{app}"


def channel_picture(app: str, config_id: str) -> str:
    return f"welcome:channel-picture:{app}:{config_id}"


def corp_tags(corp_id: str) -> str:
    return f"welcome:tags:{corp_id}"


def corp_tags_lock(corp_id: str) -> str:
    return f"welcome:tags:{corp_id}:lock"


def member(app: str, user_id: str) -> str:
    return f"welcome:member:{app}:{user_id}"


def department(app: str, identity: int | str) -> str:
    return f"welcome:department:{app}:{identity}"


def department_tree(app: str) -> str:
    return f"welcome:tree:{app}"


def staff(app: str) -> str:
    return f"welcome:staff:{app}"


def staff_asked(app: str) -> str:
    return f"welcome:staff-asked:{app}"


def comparison(app: str) -> str:
    return f"welcome:comparison:{app}"


def comparison_lock(app: str) -> str:
    return f"welcome:comparison-lock:{app}"


def transfers(app: str) -> str:
    return f"welcome:transfers:{app}"


def reminders(app: str) -> str:
    return f"welcome:reminders:{app}"


def reminded(app: str, user_id: str) -> str:
    return f"welcome:reminded:{app}:{user_id}"


def job(name: str) -> str:
    return f"welcome:job:{name}"


def checkup(app: str) -> str:
    return f"welcome:checkup:{app}"


def checkup_running(app: str) -> str:
    return f"welcome:checkup-running:{app}"


def rehearsal(app: str) -> str:
    return f"welcome:rehearsal:{app}"


def name_search(token: str) -> str:
    return f"welcome:name-search:{token}"


def selection(token: str) -> str:
    return f"welcome:selection:{token}"


def session(session_id: str) -> str:
    return f"welcome:session:{session_id}"


def sign_in_used(state: str) -> str:
    return f"welcome:sign-in-used:{state}"


def approval(app: str) -> str:
    return f"welcome:approval:{app}"


def looked(app: str, digest: str) -> str:
    return f"welcome:looked:{app}:{digest}"


def looks(digest: str) -> str:
    return f"welcome:looks:{digest}"


def person(corp_id: str, user_id: str) -> str:
    return f"welcome:person:{corp_id}:{user_id}"


def person_asked(corp_id: str, user_id: str) -> str:
    return f"welcome:person-asked:{corp_id}:{user_id}"


def session_ended(session_id: str) -> str:
    return f"welcome:session-ended:{session_id}"


def control_reply(client: str) -> str:
    return f"{client}.reply.celery.pidbox"


# ------------------------------------------------------------------------------------------------ the table

STRING, HASH, ZSET, LIST, SET = "string", "hash", "zset", "list", "set"  # as TYPE says


class Backup(Enum):
    """How a backup holds a key."""

    NO = "not: a secret, short-lived, or can be fetched again"
    LINE = "as a line of its state"
    FILE = "as a file: bytes"


class Forget(Enum):
    """How `forget`, and the end of a row's life, take a customer out of a key."""

    NO = "not: it names no customer"
    KEY = "the key goes"
    ID = "the row's id goes from the set"
    INDEX = "the row's id goes from the sets of the row's values, one of which is the customer's id"
    ALL = "all of this kind go with `forget`: which of them are about the customer is not known"
    PAIR = "the field of app, member and customer goes"


@dataclass(frozen=True, slots=True)
class Key:
    """A key, or many of a kind: "welcome:event:{id}".

    life: "" if it stays until the product deletes it; else the longest time to live.
    """

    name: str
    type: str
    meaning: str
    life: str = ""
    backup: Backup = Backup.NO
    forget: Forget = Forget.NO

    def of(self, **parts: str) -> str:
        """The name of one of them: `of(id="1f…")`."""
        return self.name.format(**parts)


_LINE, _ID = Backup.LINE, Forget.ID

TABLE = (
    # the queues and the ledger
    Key(QUEUE, LIST, "Celery's queue of greetings"),
    Key(SLOW_QUEUE, LIST, "Celery's queue of everything else"),
    Key("_kombu.binding.{exchange}", SET, "Celery's: the queues of an exchange; those of the tools go after an hour"),
    Key("_kombu.binding_permanent.{exchange}", SET, "Celery's: those of them that stay"),
    Key("_kombu.binding_deadlines", ZSET, "Celery's: exchange → ms at which its bindings may go"),
    Key(
        "unacked_mutex",
        STRING,
        "Celery's: held while it looks for unacknowledged messages, of which it has none",
        "5 minutes",
    ),
    Key(control_reply("{client}"), LIST, "Celery's: workers' replies to `celery inspect`", "10 seconds"),
    Key(event("{id}"), HASH, "an event's row", "WELCOME_KEEP_DAYS and 1 day", _LINE, Forget.KEY),
    Key(code_owner("{digest}"), STRING, "digest of a welcome code → the event that brought it first", "7 days"),
    Key(
        forgotten_event("{id}"),
        STRING,
        "present when `forget` erased the event: a replay does not bring it back",
        "WELCOME_KEEP_DAYS and 1 day",
        _LINE,
    ),
    Key(DUE, ZSET, "event → ms at which a worker may take it", forget=_ID),
    Key(EVENTS, ZSET, "event → ms of receipt: the order of the deliveries", backup=_LINE, forget=_ID),
    Key(
        index("{app}", "{kind}", "{value}"),
        ZSET,
        "event → ms of receipt; may list too many, never too few",
        "WELCOME_KEEP_DAYS and 1 day",
        backup=_LINE,
        forget=Forget.INDEX,
    ),
    Key(missed("{app}"), ZSET, "event → ms of receipt: customers to be greeted by hand", backup=_LINE, forget=_ID),
    Key(missed_done("{app}"), ZSET, "event → ms at which an operator ticked it off", backup=_LINE, forget=_ID),
    Key(FOLLOWUP_DUE, ZSET, "event → ms at which the next try of its follow-up may begin", backup=_LINE, forget=_ID),
    Key(TAGGING, ZSET, "event → ms at which its customer may get the tags asked for by hand", backup=_LINE, forget=_ID),
    Key(FOLLOWUP_AWAITED, HASH, "app|member|customer → event that waits for their full add", forget=Forget.PAIR),
    Key(followup_failed("{app}"), ZSET, "event → ms of receipt: follow-ups given up", backup=_LINE, forget=_ID),
    Key(FOLLOWUP_WOKEN, STRING, "present while a wake-up message was queued within the last second", "1 second"),
    Key(POLLING_UNTIL, STRING, "ms until which a worker polls without being woken", "1 second"),
    Key(CONSUMED, STRING, "ms at which a worker last took a message"),
    Key(IDLE, ZSET, "since:until (ms) of a time without one → its end, the latest 100"),
    Key(COUNTERS, HASH, "the counters of /metrics", backup=_LINE),
    Key(LAST_CALLBACK, HASH, "app → ms at which WeCom last sent it an event"),
    Key(tally("{app}", "{day}", "{dimension}"), HASH, "outcome|value → how many on that day", "400 days", _LINE),
    Key(CHANGES, ZSET, "change of a contact → ms from which the slow queue may apply it", backup=_LINE),
    Key(
        change("{id}"),
        STRING,
        "JSON: a change of a contact; empty once applied",
        "WELCOME_KEEP_DAYS and 1 day",
        _LINE,
    ),
    # events passed on to other systems: see tasks.forwards.store
    Key(FORWARD_NEW, LIST, "what is to be forwarded: event:ID or change:JSON", backup=_LINE),
    Key(forward_entry("{app}", "{target}", "{id}"), HASH, "an event on its way to a target", "8 days", _LINE),
    Key(forward_line("{app}", "{target}", "{line}"), LIST, "a customer's events, the oldest first", "8 days", _LINE),
    Key(forward_due("{app}", "{target}"), ZSET, "line → ms from which its first event may be tried", "8 days", _LINE),
    Key(forward_target("{app}", "{target}"), HASH, "how a target is, and how many events it has had", backup=_LINE),
    Key(forward_waiting("{app}", "{target}"), ZSET, "entry on its way → ms at which it was routed", "8 days", _LINE),
    Key(forward_parked("{app}", "{target}"), ZSET, "entry → ms at which it was given up", "8 days", _LINE),
    Key(SAMPLES, LIST, "the queue in the last hour, a sample each 10 seconds, newest first", "2 hours"),
    Key(pause("{queue}"), HASH, "the last pause of a queue: by whom, from when until when"),
    Key(verification("{app}"), HASH, "what was wrong with the last callback that was refused"),
    # welcome books and their media
    Key(book("{app}"), STRING, "the number of the current revision", backup=_LINE),
    Key(revision("{app}", "{number}"), STRING, "the YAML of a revision", backup=_LINE),
    Key(revision_about("{app}", "{number}"), STRING, "JSON: who saved it, when, and its files", backup=_LINE),
    Key(first_media("{app}"), STRING, "ms at which the app's first book with files was stored"),
    Key(labels("{app}"), SET, "JSON of [label, name of a welcome]", backup=_LINE),
    Key(changed_welcomes("{app}"), HASH, "name of a welcome → ms at which a change of it went live", backup=_LINE),
    Key(draft("{app}"), STRING, "JSON: the draft of the book", backup=_LINE),
    Key(draft_version("{app}"), STRING, "the last version number given to a draft", backup=_LINE),
    Key(draft_was("{app}", "{digest}"), STRING, "JSON: a part before an edit, to show in a conflict", "7 days"),
    Key(draft_files("{app}"), HASH, "path → JSON of a file that is shown or was uploaded lately", backup=_LINE),
    Key(approval("{app}"), HASH, "JSON: publishing by a second person: since when, what is asked for", backup=_LINE),
    Key(media("{sha256}"), STRING, "a file's bytes", backup=Backup.FILE),
    Key(MEDIA_SIZES, HASH, "sha256 → bytes, as a number", backup=_LINE),
    Key(ready_media("{corp}"), HASH, "upload → JSON of its media id or URL, for every app of the corp", backup=_LINE),
    Key(MEDIA_RENEWER, STRING, "lease of the process that uploads", "4 seconds"),
    Key(image_quota("{corp}", "{period}"), STRING, "permanent images uploaded in a day or month", "32 days"),
    # what was made at WeCom
    Key(group_welcomes("{app}"), HASH, "name → JSON of a group welcome's template id", backup=_LINE),
    Key(group_welcomes_lock("{app}"), STRING, "held while they are synced", "70 seconds"),
    Key(group_welcomes_checked("{app}"), STRING, "present until WeCom is asked for drift again", "1 hour"),
    Key(channels("{app}"), HASH, "name → JSON of a 联系我 code", backup=_LINE),
    Key(channel_picture("{app}", "{config}"), STRING, "its image in base64", "7 days"),
    # what WeCom tells
    Key("wecom:token:{digest}", HASH, "an access token; the name is made by tasks.wecom.token", "2 hours"),
    Key("wecom:token:{digest}:lead", STRING, "held while one process fetches the token", "4 seconds"),
    Key("wecom:token:{digest}:failed", STRING, "JSON: failures in a row to get a token; pause after it", "32 seconds"),
    Key("wecom:token:{digest}:refused", STRING, "why WeCom refuses the secret", "10 minutes"),
    Key(corp_tags("{corp}"), HASH, "[group, name] → a tag's id", "1 day"),
    Key(corp_tags_lock("{corp}"), STRING, "held while tags are made", "15 seconds"),
    Key(member("{app}", "{member}"), STRING, "JSON: a member's names and departments", "7 days"),
    Key(department("{app}", "{number}"), STRING, "JSON: a department's name", "7 days"),
    Key(department_tree("{app}"), STRING, "JSON: department → the one above it", "7 days"),
    Key(staff("{app}"), STRING, "JSON: the members that customers can add, and the corp's departments", "7 days"),
    Key(staff_asked("{app}"), STRING, "present while WeCom is asked for them", "3 minutes"),
    Key(
        calls("{path}", "{corp}"),
        HASH,
        "how many calls of an API began lately, and who has to wait; of all corps: all",
        "2 hours",
    ),
    Key(ALL_CALLS, HASH, "how many calls of all APIs but greetings began lately", "2 hours"),
    # the missed
    Key(comparison("{app}"), HASH, "JSON: the comparison under way, the last good one, what failed", backup=_LINE),
    Key(comparison_lock("{app}"), STRING, "held by the process that works on it", "10 minutes"),
    Key(transfers("{app}"), HASH, "handover|takeover → JSON: a hand-over that WeCom is asked about", backup=_LINE),
    Key(FORGOTTEN, ZSET, "digest of an erased customer → Unix seconds: the comparison skips it", backup=_LINE),
    Key(reminders("{app}"), HASH, "present while automatic reminders are on: by whom, since when", backup=_LINE),
    Key(reminded("{app}", "{member}"), STRING, "present while the member gets no further automatic one", "10 minutes"),
    # processes
    Key(FORMAT, STRING, "the version of what is stored, as 1.0: see tasks.storage.formats"),
    Key(SWEPT, STRING, "present until it is looked again for what rows left behind", "1 day"),
    Key(PROCESSES, HASH, "role|host|pid → ms|JSON: its last heartbeat and current tasks"),
    Key(job("{task}"), HASH, "the last run of a scheduled task"),
    Key(PROBE, STRING, "written to test whether Redis accepts writes", "1 minute"),
    Key(ALERTS, HASH, "the course of the alerts to ALERT_WEBHOOK, and what earlier readings have shown"),
    Key(ALERTS_LEASE, STRING, "held by the process that watches for them", "15 seconds"),
    # the console
    Key(checkup("{app}"), STRING, "JSON: the last check-up"),
    Key(checkup_running("{app}"), STRING, "Unix seconds at which the one that runs began", "1 minute"),
    Key(rehearsal("{app}"), STRING, "JSON: the last rehearsal", "7 days"),
    Key(
        name_search("{token}"),
        STRING,
        "a customer's name that an operator looks for: an address has the token in its place",
        "30 minutes",
        forget=Forget.ALL,
    ),
    Key(selection("{token}"), STRING, "JSON: the deliveries that an operator has ticked, to tag them", "30 minutes"),
    Key(SECRET_KEY, STRING, "signs sessions where SECRET_KEY is not set"),
    Key(AUDIT, ZSET, "JSON of who did what → ms: the audit trail", "400 days", _LINE),
    Key(AUDIT_LOGGED, STRING, "ms up to which acts of commands have been logged"),
    Key(PEOPLE, HASH, "corp|kind|id → JSON: the role that was given to a member or department", backup=_LINE),
    Key(API_TOKENS, HASH, "id → JSON: a token of the HTTP API, with a hash of its secret", backup=_LINE),
    Key(API_TOKENS_USED, HASH, "id → Unix seconds of its last use; -1: revoked", backup=_LINE),
    Key(person("{corp}", "{member}"), STRING, "JSON: a member who has signed in, as WeCom tells it", "7 days"),
    Key(person_asked("{corp}", "{member}"), STRING, "held while WeCom is asked about a member", "10 seconds"),
    Key(sign_in_used("{state}"), STRING, "the state of a sign-in with WeCom that came back", "15 minutes"),
    Key(looked("{app}", "{digest}"), STRING, "present when a look at a delivery is in the audit trail", "1 hour"),
    Key(looks("{digest}"), STRING, "how many deliveries somebody looked at in an hour", "1 hour"),
    Key(SESSIONS, ZSET, "session → ms of its last use"),
    Key(session("{session}"), HASH, "an open session: whose, from where, on what", "7 days"),
    Key(session_ended("{session}"), STRING, "a signed-out session: copies of its cookie are refused", "7 days"),
    Key(
        f"LIMITS:LIMITER/{LIMITER}/{{request}}",
        STRING,
        "requests of an address, counted by Flask-Limiter",
        "1 minute",
    ),
)

EARLIER = (  # what a running installation may still hold of 1.0.0: nothing reads it, and it ends by itself
    Key("welcome:roster:{app}", STRING, "JSON: the members that customers can add", "10 minutes"),
    Key("welcome:departments:{app}", STRING, "JSON: the corp's departments", "10 minutes"),
)

_KNOWN = (*TABLE, *EARLIER)
_PARTS = {"value": ".*"}  # of an index: a State may hold anything; every other part has no colon
_NAMES = re.compile(
    "|".join(
        "(" + re.sub(r"\\{(\w+)\\}", lambda part: _PARTS.get(part[1], "[^:]+"), re.escape(key.name)) + ")"
        for key in _KNOWN
    ),
    re.DOTALL,
)


def find(name: str) -> Key | None:
    """What a key of this name is, or was in an earlier release; None: none of ours."""
    found = _NAMES.fullmatch(name)
    return _KNOWN[found.lastindex - 1] if found and found.lastindex else None

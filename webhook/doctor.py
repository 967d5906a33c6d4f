"""`wecom-welcome check`: step by step what is right and what is wrong with an installation, each with its cure."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import redis

from tasks import alerts, lifeboat
from tasks.books.revisions import NoRevision
from tasks.forwards.senders import sender
from tasks.lifeboat.journal import has_events
from tasks.media_renewal import MediaStatus
from tasks.messages import Message
from tasks.monitoring import heartbeat, jobs
from tasks.monitoring.hook_status import of_hooks
from tasks.monitoring.queue_status import SILENT, Reading
from tasks.placeholders.asking import State
from tasks.placeholders.hook import hook_of, used
from tasks.placeholders.installed import installed
from tasks.rate_limits.limiter import Status
from tasks.reasons import Reason
from tasks.services import AppServices, Services, build_services, reachable
from tasks.settings import DEFAULT_APP, App, Settings, TaskTarget
from tasks.storage import connections, formats, troubles
from tasks.storage.embedded import EmbeddedError
from tasks.templates.problems import BookError
from tasks.wecom import Failure, Unanswered, WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import NotSent
from webhook import local_address
from webhook.callback.crypto import decode_key
from webhook.durations import duration
from webhook.errcode_texts import cure_of, explained, in_our_words
from webhook.reason_texts import describe, media_alarms
from webhook.rehearsal import verify

SKEW = 5.0  # seconds between two clocks that are worth a word
PROXY_FAILURES = (Failure.PROXY_UNREACHABLE, Failure.PROXY_REFUSED, Failure.PROXY_NO_ANSWER)
PATIENCE = 10.0  # seconds for each question to WeCom


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's. `fine` None: a remark, or not known. A `cure` is there unless it is fine.

    `detail` is a plain text where it is WeCom's own, or a number.
    """

    what: Message
    fine: bool | None
    detail: Message | str = ""
    cure: Message | None = None

    @property
    def stops(self) -> bool:
        """Whether it would stop a welcome."""
        return self.fine is False

    @property
    def lines(self) -> Sequence[str]:
        """It in words, and its cure on a line of its own."""
        mark = {True: "✓", False: "✗", None: "!"}[self.fine]
        line = f"{mark} {self.what}" + (f": {self.detail}" if self.detail else "")
        return [line, f"    → {self.cure}"] if self.cure else [line]

    def __str__(self) -> str:
        return "\n".join(self.lines)


CALLBACK, REDIS, CLOCK = Message.of("callback URL"), Message.of("Redis"), Message.of("clock")
WORKER, BOOK, SCHEDULED = Message.of("welcome worker"), Message.of("welcome book"), Message.of("schedule")
MEDIA, GROUPS, REFUSED, LANE = (
    Message.of("media"),
    Message.of("group welcomes"),
    Message.of("callback refused"),
    Message.of("lane"),
)
TOKEN, PERMISSION = Message.of("access token"), Message.of("IP allow-list and permission for customer contact")
LIFEBOAT = Message.of("lifeboat")
PLACEHOLDERS = Message.of("placeholders of packages")
EVERYWHERE = Message.of("install the package wherever wecom-welcome runs, and restart; until then: fallbacks")
_HOOK_TROUBLES = {  # what is wrong with a hook in some processes, and the cure
    State.ABSENT: (Message.of("%(name)s is missing in %(where)s"), EVERYWHERE),
    State.BROKEN: (Message.of("%(name)s cannot be loaded in %(where)s"), Message.of("see the log there")),
    State.SILENT: (
        Message.of("%(name)s fails or hangs in %(where)s"),
        Message.of("look at what it asks, and at the log there; until then: fallbacks"),
    ),
}
PROXY, LIMITS = Message.of("outbound proxy"), Message.of("WeCom's rate limit")
ALERTS, FORWARDING = Message.of("alerts"), Message.of("forwarding")
_NOT_ALLOWED = Reason.from_error(NotSent("", Failure.ADDRESS_NOT_ALLOWED))
_FORBIDDEN = Message.of("set `private = true` in its table of WELCOME_CONFIG, if it is the corp's own")
_UNREACHED = Message.of("let this machine reach it; events wait for a day, and then are given up")
MEMBERS, API = Message.of("members with 客户联系 in the app's range"), Message.of("WeCom's API")


def examine(settings: Settings, app: App) -> Iterator[Finding]:
    """The findings for one app, in the order in which a developer sets things up."""
    yield _callback_url(settings, app)
    decode_key(app.encoding_aes_key)
    yield Finding(Message.of("EncodingAESKey"), True, Message.of("32 bytes"))
    services = None
    detail = Message.of("no REDIS_URL, and no running `up`")
    cure = Message.of("start `wecom-welcome up`, or set REDIS_URL")
    try:
        services = _services(settings)
    except EmbeddedError:
        detail = Message.of("%(folder)s is another user's alone", folder=str(settings.data_dir))
        cure = Message.of("run this as the user that runs `wecom-welcome up`, or set WELCOME_DATA_DIR")
    if services is None:
        yield Finding(REDIS, False, detail, cure)
        client = WeComClient(app.corp_id, app.secret, settings.api_base, proxy=settings.proxy)
    else:
        yield from _redis(services, services.app(app.name))
        client = services.app(app.name).wecom
    yield _lifeboat(settings)
    yield _alerts(settings)
    yield from forwarding(app, services)
    yield from _wecom(client)
    yield from _wecoms_clock(client, services)


def _callback_url(settings: Settings, app: App) -> Finding:
    import requests  # 4 MB: here, since the web role seldom checks

    path = app.callback_path
    if settings.public_url is None:
        local = local_address.verified(settings, app)
        cure = Message.of("set WELCOME_PUBLIC_URL to what WeCom reaches, to see it whole")
        if local is None:
            return Finding(CALLBACK, None, f"https://YOUR-HOST{path}", cure)
        return Finding(CALLBACK, None, Message.of("%(url)s verifies, on this machine", url=local), cure)
    url = settings.public_url + path
    try:
        verified = verify(app, url)
    except requests.RequestException as error:
        why = Message.of("%(url)s does not answer from here (%(error)s)", url=url, error=type(error).__name__)
        local = local_address.verified(settings, app)
        if local is None:
            cure = Message.of("start `wecom-welcome up`; look at the proxy, or at WELCOME_PUBLIC_URL")
            return Finding(CALLBACK, None, why, cure)
        why = Message.of("%(why)s; %(url)s verifies, on this machine", why=why, url=local)
        cure = Message.of("let the proxy or tunnel lead there; whether WeCom reaches it, only its console can say")
        return Finding(CALLBACK, None, why, cure)
    if verified is not None:
        cure = Message.of(
            "let the proxy pass path, query and body on unchanged to `role web`, started with these settings"
        )
        return Finding(CALLBACK, False, Message("%(url)s %(answers)s", {"url": url, "answers": verified}), cure)
    return Finding(CALLBACK, True, Message.of("%(url)s verifies; enter it in 接收消息 → 设置API接收", url=url))


def _services(settings: Settings) -> Services | None:
    found = reachable(settings)
    return None if found is None else build_services(found)


def _redis(services: Services, app: AppServices) -> Iterator[Finding]:
    """Redis, and everything that is read from it."""
    try:
        services.queues.probe()
    except redis.RedisError as error:
        yield Finding(REDIS, False, *_unusable(error))
        return
    if connections.is_cluster(services.redis):
        yield Finding(REDIS, False, *_unusable(connections.ClusterRefused()))
        return
    try:
        formats.refuse_later(services.redis)
    except formats.FormatRefused:
        later = Message.of("holds the state of a later release")
        yield Finding(REDIS, False, later, Message.of("install the release that wrote it, or a later one"))
        return
    yield from _server(services)
    yield _clock(services)
    reading = services.queues.read()
    if reading.is_nearly_full:
        percent = f"{100 * (reading.memory_share or 0.0):.0f}"
        yield Finding(REDIS, None, Message.of("uses %(n)s %% of its memory", n=percent), troubles.FULL.cure)
    yield _worker(reading)
    yield _book(services, app)
    yield _schedule(services)
    yield from _placeholders(services, app)
    yield from _pauses(services)
    yield from _limits(reading.calls.get(app.name))
    yield from _media(reading.media.get(app.name, MediaStatus()))
    yield from _groups(app)
    yield from _last_refusal(services, app)


def _unusable(error: redis.RedisError) -> tuple[Message, Message]:
    """(what is wrong, the cure)."""
    trouble, words = troubles.of(error), troubles.words(error)
    if not words:
        return trouble.fault, trouble.cure
    return Message.of("%(fault)s (%(words)s)", fault=trouble.fault, words=words), trouble.cure


def _server(services: Services) -> Iterator[Finding]:
    try:
        config = services.redis.config_get("appendonly", "maxmemory-policy")
    except redis.RedisError:  # a managed server may not tell
        config = {}
    yield Finding(REDIS, True, Message.of("answers, and takes writes"))
    if config.get("appendonly") == "no":
        cure = Message.of("set `appendonly yes`: accepted customers live there")
        yield Finding(REDIS, None, Message.of("keeps nothing over a restart"), cure)
    if config.get("maxmemory-policy", "noeviction") != "noeviction":
        yield Finding(
            REDIS, False, Message.of("may evict accepted customers"), Message.of("set `maxmemory-policy noeviction`")
        )


def _lifeboat(settings: Settings) -> Finding:
    """What it says of the folder holds for this user on this host."""
    if not settings.lifeboat:
        cure = Message.of("leave WELCOME_LIFEBOAT out, or set it to on")
        return Finding(LIFEBOAT, None, Message.of("is off: while Redis takes no events, WeCom is answered 503"), cure)
    if not lifeboat.is_writable(settings):
        folder = str(lifeboat.folder(settings))
        cure = Message.of("set WELCOME_DATA_DIR to a folder that `role web` can write")
        return Finding(LIFEBOAT, None, Message.of("%(folder)s cannot be written from here", folder=folder), cure)
    if has_events(lifeboat.folder(settings)):
        cure = Message.of("they go in by themselves when Redis takes writes")
        return Finding(LIFEBOAT, None, Message.of("has events that are not in the ledger yet"), cure)
    return Finding(LIFEBOAT, True, Message.of("greets while Redis takes no events"))


def _alerts(settings: Settings) -> Finding:
    """Nothing is sent: `alert --test` does that."""
    robot = alerts.make_robot(settings)
    if robot is None:
        return Finding(ALERTS, True, Message.of("go to no group robot: ALERT_WEBHOOK is not set"))
    return Finding(ALERTS, True, Message.of("go to the group robot at %(host)s", host=robot.host))


def forwarding(app: App, services: Services | None) -> Iterator[Finding]:
    """Each target: whether it can be reached from here, and what was given up on the way there. No event is sent."""
    for target in app.forwards:
        if isinstance(target, TaskTarget) and not target.broker:
            yield Finding(FORWARDING, True, Message.of("%(target)s goes to Redis, as a task", target=target.host))
            continue
        way = sender(target)
        why = way.reach()
        way.close()
        if why is None:
            yield Finding(FORWARDING, True, Message.of("%(target)s can be reached", target=target.host))
        else:
            what = Message.of("%(target)s: %(why)s", target=target.host, why=explained(why))
            yield Finding(FORWARDING, None, what, _FORBIDDEN if why == _NOT_ALLOWED else _UNREACHED)
    try:
        statuses = services.forwards.statuses([app.name]) if services is not None else []
    except redis.RedisError:  # it has been told of
        return
    for _, target, status in statuses:
        if status.parked:
            what = Message.of("%(n)s events for %(target)s were given up", n=status.parked, target=target.host)
            cure = Message.of("`wecom-welcome forwards` says why; with `--retry all` they are sent again")
            yield Finding(FORWARDING, None, what, cure)


def _clock(services: Services) -> Finding:
    skew = abs(services.ledger.now() / 1000 - time.time())
    apart = Message.of("%(seconds)s s apart from Redis'", seconds=f"{skew:.0f}" if skew > SKEW else f"{skew:.1f}")
    if skew > SKEW:
        return Finding(CLOCK, None, apart, Message.of("run NTP on both machines"))
    return Finding(CLOCK, True, apart)


def _wecoms_clock(client: WeComClient, services: Services | None) -> Iterator[Finding]:
    """This machine's clock, and Redis', beside that of WeCom's last answer. Nothing if WeCom did not answer."""
    ahead = client.clock_ahead
    if ahead is None:
        return
    host = (
        Message.of("this machine's is %(time)s ahead of WeCom's", time=duration(abs(ahead))),
        Message.of("this machine's is %(time)s behind WeCom's", time=duration(abs(ahead))),
    )
    if abs(ahead) > SKEW:
        yield Finding(CLOCK, None, host[ahead < 0], Message.of("run NTP on this machine"))
    else:
        yield Finding(CLOCK, True, Message.of("%(seconds)s s apart from WeCom's", seconds=f"{abs(ahead):.0f}"))
    if services is None:
        return
    try:
        ahead += services.ledger.now() / 1000 - time.time()
    except redis.RedisError:
        return
    server = (
        Message.of("Redis' is %(time)s ahead of WeCom's", time=duration(abs(ahead))),
        Message.of("Redis' is %(time)s behind WeCom's", time=duration(abs(ahead))),
    )
    if abs(ahead) > SKEW:
        yield Finding(CLOCK, None, server[ahead < 0], Message.of("run NTP on the machine of Redis"))


def _worker(reading: Reading) -> Finding:
    if reading.consuming:
        return Finding(WORKER, True, Message.of("took a message %(time)s ago", time=duration(reading.silence or 0.0)))
    silence = (
        Message.of("never")
        if reading.silence is None
        else Message.of("last %(time)s ago", time=duration(reading.silence))
    )
    detail = Message.of("takes no messages (%(silence)s; at least every %(n)s s)", silence=silence, n=f"{SILENT:.0f}")
    return Finding(WORKER, False, detail, Message.of("start `wecom-welcome up`, or `role welcome` on this Redis"))


def _book(services: Services, app: AppServices) -> Finding:
    number = services.books.current(app.name)
    if number is not None:
        return Finding(BOOK, True, Message.of("revision %(number)s", number=number))
    command = "wecom-welcome templates import FILE" + ("" if app.name == DEFAULT_APP else f" --app {app.name}")
    return Finding(BOOK, False, Message.of("none is stored"), Message("%(command)s", {"command": command}))


def _placeholders(services: Services, app: AppServices) -> Iterator[Finding]:
    """The packages that add placeholders, and what the book uses of them. None of it stops a welcome."""
    here = installed()
    for name, why in here.broken.items():
        broken = Message.of("%(name)s: %(why)s", name=name, why=why)
        yield Finding(
            PLACEHOLDERS, None, broken, Message.of("repair or remove the package; customers get the fallbacks")
        )
    for hook in here.hooks.values():
        listed = Message("%(names)s (%(package)s)", {"names": ", ".join(hook.full_names), "package": hook.package})
        yield Finding(PLACEHOLDERS, True, listed)
    named = _used_placeholders(services, app)
    gone = ", ".join(f"{{{name}}}" for name in sorted(named - here.known.keys()))
    if gone:
        what = Message.of("the live book uses %(names)s, which no package here provides", names=gone)
        yield Finding(PLACEHOLDERS, None, what, EVERYWHERE)
    for name, states in of_hooks(heartbeat.read(services.redis), frozenset(map(hook_of, named))).items():
        for state, (what, cure) in _HOOK_TROUBLES.items():
            where = ", ".join(f"{one.role} {one.host}:{one.pid}" for one in states.get(state, ()))
            if where:
                yield Finding(PLACEHOLDERS, None, replace(what, values={"name": name, "where": where}), cure)


def _used_placeholders(services: Services, app: AppServices) -> frozenset[str]:
    """Those of packages that the live book uses; none where it cannot be read."""
    number = services.books.current(app.name)
    try:
        return used(services.books.book(app.name, number)) if number is not None else frozenset()
    except (NoRevision, BookError):
        return frozenset()


def _schedule(services: Services) -> Finding:
    refresh = "tasks.upkeep.refresh_tokens"
    every = jobs.SCHEDULE[refresh]
    job = next(iter(jobs.read(services.redis, {refresh: every})), jobs.Job(refresh, every))
    if job.fine_at is None or time.time() - job.fine_at > 3 * job.every:
        cure = Message.of("start `role upkeep` and `role beat`, or `up`")
        return Finding(SCHEDULED, None, Message.of("nothing has run for minutes"), cure)
    return Finding(SCHEDULED, True, Message.of("ran %(time)s ago", time=duration(time.time() - job.fine_at)))


def _pauses(services: Services) -> Iterator[Finding]:
    for lane, pause in services.queue_pauses.paused().items():
        left = Message.of("until somebody resumes it")
        if pause.left is not None:
            left = Message.of("for %(time)s more", time=duration(pause.left))
        detail = Message.of("%(who)s has paused %(lane)s, %(left)s", who=pause.by, lane=lane, left=left)
        yield Finding(LANE, None, detail, Message.of("resume it on the console's page Queue"))


def _limits(calls: Status | None) -> Iterator[Finding]:
    if calls is None or not calls.is_held:
        return
    detail = Message.of("greetings are waiting: WeCom's rate limit is reached")
    if calls.errcode:
        detail = Message.of("greetings are waiting: WeCom's rate limit (%(errcode)s)", errcode=calls.errcode)
    yield Finding(LIMITS, None, detail, Message.of("it passes by itself; the page System shows how many were sent"))


def _groups(app: AppServices) -> Iterator[Finding]:
    for name, reason in app.group_sync.troubles().items():
        detail = Message.of("%(name)s: %(why)s", name=name, why=explained(reason))
        yield Finding(GROUPS, None, detail, Message.of("`wecom-welcome templates groups` tries it again"))


def _last_refusal(services: Services, app: AppServices) -> Iterator[Finding]:
    """The last refused callback, unless one was accepted after it."""
    verified = services.verifications.last(app.name)
    if verified is not None and verified.problem is not None:
        at = f"{datetime.fromtimestamp(verified.at, services.settings.timezone):%m-%d %H:%M:%S}"
        if verified.proven:
            yield Finding(REFUSED, False, Message.of("at %(time)s", time=at), describe(verified.problem))
        else:
            detail = Message.of("at %(time)s; perhaps it was not WeCom's", time=at)
            yield Finding(REFUSED, None, detail, describe(verified.problem))


def _media(status: MediaStatus) -> Iterator[Finding]:
    """What the book's files come to. None of it stops a welcome: the text goes without them."""
    alarms = [in_our_words(one) for one in media_alarms(status)]
    for alarm in alarms:
        yield Finding(MEDIA, None, alarm, Message.of("until then customers get the rest; see the log of `role upkeep`"))
    if status.files and not alarms:
        detail = Message.of("%(n)s files at WeCom", n=status.files)
        if status.left is not None:
            hours = f"{status.left / 3600:.0f}"
            detail = Message.of("%(files)s, the first to be renewed ends in %(hours)s h", files=detail, hours=hours)
        yield Finding(MEDIA, True, detail)


def _wecom(client: WeComClient) -> Iterator[Finding]:
    if client.proxy is not None:
        yield Finding(PROXY, True, Message.of("the API is reached through %(proxy)s", proxy=str(client.proxy)))
    try:
        client.tokens.get(time.monotonic() + PATIENCE)
    except WeComError as error:
        yield _refused(TOKEN, error)
        return
    refusal = client.tokens.refusal()
    if refusal is not None:  # the present token may have an hour to go, but nothing comes after it
        yield _refused(TOKEN, refusal)
        return
    try:
        members = client.with_deadline(time.monotonic() + PATIENCE).external_contact.get_follow_user_list()[
            "follow_user"
        ]
    except WeComError as error:
        if client.tokens.refusal() is not None:  # the token had ended early, and there is no other
            yield _refused(TOKEN, error)
            return
        yield Finding(TOKEN, True)
        yield _refused(PERMISSION, error)
        return
    yield Finding(TOKEN, True)
    yield Finding(PERMISSION, True)
    if members:
        yield Finding(MEMBERS, True, str(len(members)))
    else:
        cure = Message.of("widen the app's 可见范围, and give its members 客户联系 in 权限配置")
        yield Finding(MEMBERS, False, Message.of("none"), cure)


def _refused(what: Message, error: WeComError) -> Finding:
    if isinstance(error, WeComAPIError):
        return Finding(what, False, explained(Reason.from_error(error)), cure_of(error.errcode, error.address))
    if isinstance(error, Unanswered) and error.failure in PROXY_FAILURES:
        cure = Message.of("compare WECOM_PROXY, or HTTPS_PROXY, with the proxy's own settings")
        return Finding(PROXY, False, error.reason, cure)
    return Finding(API, False, error.reason, Message.of("let this machine reach WECOM_API_BASE"))

"""`wecom-welcome check`: step by step what is right and what is wrong with an installation, each with its cure."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import redis
import requests

from tasks import jobs
from tasks.assembly import Parts, assemble
from tasks.embedded import reachable
from tasks.group_welcomes import GroupSync
from tasks.lanes import Lanes
from tasks.media import Standing
from tasks.queues import SILENT
from tasks.settings import DEFAULT_APP, App, Settings
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import CODES
from webhook.crypto import decode_key
from webhook.diagnosis import is_proven, sentence
from webhook.rehearsal import verify
from webhook.sentences import Sentence, said

SKEW = 5.0  # seconds between two clocks that are worth a word
PATIENCE = 10.0  # seconds for each question to WeCom


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's. `fine` None: a remark, or not known. A `cure` is there unless it is fine.

    `detail` is a plain text where it is WeCom's own, or a number.
    """

    what: Sentence
    fine: bool | None
    detail: Sentence | str = ""
    cure: Sentence | None = None

    @property
    def stops(self) -> bool:
        """Whether it would stop a welcome."""
        return self.fine is False

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "!"}[self.fine]
        line = f"{mark} {self.what}" + (f": {self.detail}" if self.detail else "")
        return line + (f"\n    → {self.cure}" if self.cure else "")


CALLBACK, REDIS, CLOCK = said("callback URL"), said("Redis"), said("clock")
WORKER, BOOK, SCHEDULED = said("welcome worker"), said("welcome book"), said("schedule")
MEDIA, GROUPS, REFUSED, LANE = said("media"), said("group welcomes"), said("callback refused"), said("lane")
TOKEN, PERMISSION = said("access token"), said("IP allow-list and permission for customer contact")
MEMBERS, API = said("members with 客户联系 in the app's range"), said("WeCom's API")


def examine(settings: Settings, app: App) -> Iterator[Finding]:
    """The findings for one app, in the order in which a developer sets things up."""
    yield _callback_url(settings, app)
    decode_key(app.encoding_aes_key)
    yield Finding(said("EncodingAESKey"), True, said("32 bytes"))
    parts = _parts(settings)
    if parts is None:
        detail = said("no REDIS_URL, and no running `up`")
        yield Finding(REDIS, False, detail, said("start `wecom-welcome up`, or set REDIS_URL"))
        yield from _wecom(WeComClient(app.corp_id, app.secret, settings.api_base))
    else:
        yield from _redis(parts, app)
        yield from _wecom(parts.clients[app.name])


def _callback_url(settings: Settings, app: App) -> Finding:
    path = app.callback_path
    if settings.public_url is None:
        cure = said("set WELCOME_PUBLIC_URL to what WeCom reaches, to see it whole")
        return Finding(CALLBACK, None, f"https://YOUR-HOST{path}", cure)
    url = settings.public_url + path
    try:
        verified = verify(app, url)
    except requests.RequestException as error:
        why = said("%(url)s does not answer from here (%(error)s)", url=url, error=type(error).__name__)
        return Finding(
            CALLBACK, None, why, said("start `wecom-welcome up`; look at the proxy, or at WELCOME_PUBLIC_URL")
        )
    if verified is not None:
        cure = said("let the proxy pass path, query and body on unchanged to `role web`, started with these settings")
        return Finding(CALLBACK, False, Sentence("%(url)s %(answers)s", {"url": url, "answers": verified}), cure)
    return Finding(CALLBACK, True, said("%(url)s verifies; enter it in 接收消息 → 设置API接收", url=url))


def _parts(settings: Settings) -> Parts | None:
    found = reachable(settings)
    return None if found is None else assemble(found)


def _redis(parts: Parts, app: App) -> Iterator[Finding]:
    try:
        parts.queues.probe()
    except redis.RedisError as error:
        detail = said("does not take a write: %(error)s", error=type(error).__name__)
        yield Finding(REDIS, False, detail, said("start it, or mend REDIS_URL"))
        return
    try:
        config = parts.redis.config_get("appendonly", "maxmemory-policy")
    except redis.RedisError:  # a managed server may not tell
        config = {}
    yield Finding(REDIS, True, said("answers, and takes writes"))
    if config.get("appendonly") == "no":
        cure = said("set `appendonly yes`: accepted customers live there")
        yield Finding(REDIS, None, said("keeps nothing over a restart"), cure)
    if config.get("maxmemory-policy", "noeviction") != "noeviction":
        yield Finding(REDIS, False, said("may evict accepted customers"), said("set `maxmemory-policy noeviction`"))
    skew = abs(parts.ledger.now() / 1000 - time.time())
    apart = said("%(seconds)s s apart from Redis'", seconds=f"{skew:.0f}" if skew > SKEW else f"{skew:.1f}")
    if skew > SKEW:
        yield Finding(CLOCK, None, apart, said("run NTP on both machines"))
    else:
        yield Finding(CLOCK, True, apart)
    reading = parts.queues.read()
    if reading.consuming:
        yield Finding(WORKER, True, said("took a message %(seconds)s s ago", seconds=f"{reading.silence:.1f}"))
    else:
        silence = said("never") if reading.silence is None else said("last %(n)s s ago", n=f"{reading.silence:.0f}")
        detail = said("takes no messages (%(silence)s; at least every %(n)s s)", silence=silence, n=f"{SILENT:.0f}")
        yield Finding(WORKER, False, detail, said("start `wecom-welcome up`, or `role welcome` on this Redis"))
    number = parts.books.current(app.name)
    if number is not None:
        yield Finding(BOOK, True, said("revision %(number)s", number=number))
    else:
        command = "wecom-welcome templates import FILE" + ("" if app.name == DEFAULT_APP else f" --app {app.name}")
        yield Finding(BOOK, False, said("none is stored"), Sentence("%(command)s", {"command": command}))
    refresh = "tasks.upkeep.refresh_tokens"
    (job,) = jobs.read(parts.redis, {refresh: jobs.SCHEDULE[refresh]})
    if job.fine_at is None or time.time() - job.fine_at > 3 * job.every:
        cure = said("start `role upkeep` and `role beat`, or `up`")
        yield Finding(SCHEDULED, None, said("nothing has run for minutes"), cure)
    else:
        yield Finding(SCHEDULED, True, said("ran %(seconds)s s ago", seconds=f"{time.time() - job.fine_at:.0f}"))
    for lane, pause in Lanes(parts.redis).paused().items():
        left = said("until somebody resumes it")
        if pause.left is not None:
            left = said("for %(seconds)s s more", seconds=f"{pause.left:.0f}")
        detail = said("%(who)s has paused %(lane)s, %(left)s", who=pause.by, lane=lane, left=left)
        yield Finding(LANE, None, detail, said("resume it on the console's page Queue"))
    yield from _media(reading.media.get(app.name, Standing()))
    for name, reason in GroupSync(parts.redis, parts.books, app, parts.clients[app.name]).troubles().items():
        yield Finding(GROUPS, None, f"{name}: {reason}", said("`wecom-welcome templates groups` tries it again"))
    noted = parts.ledger.last_verification(app.name)
    if noted is not None and noted[1]:
        at = f"{datetime.fromtimestamp(noted[0], parts.settings.timezone):%m-%d %H:%M:%S}"
        fine = False if is_proven(noted[1]) else None
        yield Finding(REFUSED, fine, said("at %(time)s", time=at), sentence(noted[1]))


def _media(standing: Standing) -> Iterator[Finding]:
    """What the book's files come to. None of it stops a welcome: the text goes without them."""
    alarms = _alarms(standing)
    for alarm in alarms:
        yield Finding(MEDIA, None, alarm, said("until then customers get the rest; see the log of `role upkeep`"))
    if standing.files and not alarms:
        detail = said("%(n)s files at WeCom", n=standing.files)
        if standing.left is not None:
            hours = f"{standing.left / 3600:.0f}"
            detail = said("%(files)s, the first to be renewed ends in %(hours)s h", files=detail, hours=hours)
        yield Finding(MEDIA, True, detail)


def _alarms(standing: Standing) -> list[Sentence]:
    """What `standing.alarms()` says, in sentences."""
    hours = f"{max(0.0, standing.left or 0) / 3600:.1f}"
    lines = [said("%(path)s is not at WeCom: %(why)s", path=path, why=why) for path, why in standing.absent.items()]
    lines += [
        said(
            "%(path)s cannot be renewed, its id ends in %(hours)s h at the earliest: %(why)s",
            path=path,
            hours=hours,
            why=why,
        )
        for path, why in standing.failing.items()
    ]
    if not lines and standing.alarms():
        lines.append(said("media ends in %(hours)s h and is not renewed: is `role upkeep` running?", hours=hours))
    return lines


def _wecom(client: WeComClient) -> Iterator[Finding]:
    try:
        client.tokens.get(time.monotonic() + PATIENCE)
    except WeComError as error:
        yield _refused(TOKEN, error)
        return
    yield Finding(TOKEN, True)
    try:
        members = client.until(time.monotonic() + PATIENCE).external_contact.get_follow_user_list()["follow_user"]
    except WeComError as error:
        yield _refused(PERMISSION, error)
        return
    yield Finding(PERMISSION, True)
    if members:
        yield Finding(MEMBERS, True, str(len(members)))
    else:
        cure = said("widen the app's 可见范围, and give its members 客户联系 in 权限配置")
        yield Finding(MEMBERS, False, said("none"), cure)


def _refused(what: Sentence, error: WeComError) -> Finding:
    if isinstance(error, WeComAPIError):
        code = CODES.get(error.errcode)
        return Finding(
            what, False, error.reason, Sentence(code.cure) if code else said("see doc 90313 for this errcode")
        )
    return Finding(API, False, error.reason, said("let this machine reach WECOM_API_BASE"))

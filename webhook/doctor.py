"""`wecom-welcome check`: step by step what is right and what is wrong with an installation, each with its cure."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import redis
import requests

from tasks.app import SCHEDULE
from tasks.assembly import Parts, assemble
from tasks.embedded import reachable
from tasks.group_welcomes import GroupSync
from tasks.media import Standing
from tasks.queues import RAN, SILENT
from tasks.settings import DEFAULT_APP, App, Settings
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import CODES
from webhook.crypto import decode_key
from webhook.diagnosis import is_proven
from webhook.rehearsal import verify

SKEW = 5.0  # seconds between two clocks that are worth a word
PATIENCE = 10.0  # seconds for each question to WeCom


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's. `fine` None: a remark, or not known. A `cure` is there unless it is fine."""

    what: str
    fine: bool | None
    detail: str = ""
    cure: str = ""

    @property
    def stops(self) -> bool:
        """Whether it would stop a welcome."""
        return self.fine is False

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "!"}[self.fine]
        line = f"{mark} {self.what}" + (f": {self.detail}" if self.detail else "")
        return line + (f"\n    → {self.cure}" if self.cure else "")


def examine(settings: Settings, app: App) -> Iterator[Finding]:
    """The findings for one app, in the order in which a developer sets things up."""
    yield _callback_url(settings, app)
    decode_key(app.encoding_aes_key)
    yield Finding("EncodingAESKey", True, "32 bytes")
    parts = _parts(settings)
    if parts is None:
        yield Finding("Redis", False, "no REDIS_URL, and no running `up`", "start `wecom-welcome up`, or set REDIS_URL")
        yield from _wecom(WeComClient(app.corp_id, app.secret, settings.api_base))
    else:
        yield from _redis(parts, app)
        yield from _wecom(parts.clients[app.name])


def _callback_url(settings: Settings, app: App) -> Finding:
    path = app.callback_path
    if settings.public_url is None:
        return Finding(
            "callback URL",
            None,
            f"https://YOUR-HOST{path}",
            "set WELCOME_PUBLIC_URL to what WeCom reaches, to see it whole",
        )
    url = settings.public_url + path
    try:
        verified = verify(app, url)
    except requests.RequestException as error:
        why = f"{url} does not answer from here ({type(error).__name__})"
        return Finding(
            "callback URL", None, why, "start `wecom-welcome up`; look at the proxy, or at WELCOME_PUBLIC_URL"
        )
    if verified != "":
        cure = "let the proxy pass path, query and body on unchanged to `role web`, started with these settings"
        return Finding("callback URL", False, f"{url} {verified}", cure)
    return Finding("callback URL", True, f"{url} verifies; enter it in 接收消息 → 设置API接收")


def _parts(settings: Settings) -> Parts | None:
    found = reachable(settings)
    return None if found is None else assemble(found)


def _redis(parts: Parts, app: App) -> Iterator[Finding]:
    try:
        parts.queues.probe()
    except redis.RedisError as error:
        yield Finding("Redis", False, f"does not take a write: {type(error).__name__}", "start it, or mend REDIS_URL")
        return
    try:
        config = parts.redis.config_get("appendonly", "maxmemory-policy")
    except redis.RedisError:  # a managed server may not tell
        config = {}
    yield Finding("Redis", True, "answers, and takes writes")
    if config.get("appendonly") == "no":
        yield Finding(
            "Redis", None, "keeps nothing over a restart", "set `appendonly yes`: accepted customers live there"
        )
    if config.get("maxmemory-policy", "noeviction") != "noeviction":
        yield Finding("Redis", False, "may evict accepted customers", "set `maxmemory-policy noeviction`")
    skew = abs(parts.ledger.now() / 1000 - time.time())
    if skew > SKEW:
        yield Finding("clock", None, f"{skew:.0f} s apart from Redis'", "run NTP on both machines")
    else:
        yield Finding("clock", True, f"{skew:.1f} s apart from Redis'")
    reading = parts.queues.read()
    if reading.consuming:
        yield Finding("welcome worker", True, f"took a message {reading.silence:.1f} s ago")
    else:
        since = "never" if reading.silence is None else f"last {reading.silence:.0f} s ago"
        yield Finding(
            "welcome worker",
            False,
            f"takes no messages ({since}; at least every {SILENT:.0f} s)",
            "start `wecom-welcome up`, or `role welcome` on this Redis",
        )
    if parts.books.current(app.name) is not None:
        yield Finding("welcome book", True, f"revision {parts.books.current(app.name)}")
    else:
        app_option = "" if app.name == DEFAULT_APP else f" --app {app.name}"
        yield Finding("welcome book", False, "none is stored", f"wecom-welcome templates import FILE{app_option}")
    ran = parts.redis.get(RAN + "tasks.upkeep.refresh_tokens")
    if ran is None or time.time() - float(ran) > 3 * SCHEDULE["tasks.upkeep.refresh_tokens"]:
        yield Finding("schedule", None, "nothing has run for minutes", "start `role upkeep` and `role beat`, or `up`")
    else:
        yield Finding("schedule", True, f"ran {time.time() - float(ran):.0f} s ago")
    yield from _media(reading.media.get(app.name, Standing()))
    for name, reason in GroupSync(parts.redis, parts.books, app, parts.clients[app.name]).troubles().items():
        yield Finding("group welcomes", None, f"{name}: {reason}", "`wecom-welcome templates groups` tries it again")
    noted = parts.ledger.last_verification(app.name)
    if noted is not None and noted[1]:
        at = datetime.fromtimestamp(noted[0], parts.settings.timezone)
        yield Finding("callback refused", False if is_proven(noted[1]) else None, f"at {at:%m-%d %H:%M:%S}", noted[1])


def _media(standing: Standing) -> Iterator[Finding]:
    """What the book's files come to. None of it stops a welcome: the text goes without them."""
    for line in standing.alarms():
        yield Finding("media", None, line, "until then customers get the rest; see the log of `role upkeep`")
    if standing.files and not standing.alarms():
        left = "" if standing.left is None else f", the first to be renewed ends in {standing.left / 3600:.0f} h"
        yield Finding("media", True, f"{standing.files} files at WeCom{left}")


def _wecom(client: WeComClient) -> Iterator[Finding]:
    try:
        client.tokens.get(time.monotonic() + PATIENCE)
    except WeComError as error:
        yield _refused("access token", error)
        return
    yield Finding("access token", True)
    try:
        members = client.until(time.monotonic() + PATIENCE).external_contact.get_follow_user_list()["follow_user"]
    except WeComError as error:
        yield _refused("IP allow-list and permission for customer contact", error)
        return
    yield Finding("IP allow-list and permission for customer contact", True)
    if members:
        yield Finding("members with 客户联系 in the app's range", True, str(len(members)))
    else:
        yield Finding(
            "members with 客户联系 in the app's range",
            False,
            "none",
            "widen the app's 可见范围, and give its members 客户联系 in 权限配置",
        )


def _refused(what: str, error: WeComError) -> Finding:
    if isinstance(error, WeComAPIError):
        code = CODES.get(error.errcode)
        return Finding(what, False, error.reason, code.cure if code else "see doc 90313 for this errcode")
    return Finding("WeCom's API", False, error.reason, "let this machine reach WECOM_API_BASE")

"""The scheduled tasks, run on the slow queue: renewing tokens, trimming the ledger, watching memory and media,
syncing group welcomes, the nightly comparison, reminders to members.

Media is uploaded by a thread of its own (tasks.media_renewal), so that no task here waits for it.
Each task may run twice, late or not at all for a while: two schedulers at once, or none, lose no greeting.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tasks import services as build
from tasks.directory.members import fetch_staff
from tasks.group_welcomes import FAILED, SAME, WAITS, SyncInProgress
from tasks.ledger.ledger import TRIM_LATEST
from tasks.ledger.sweep import sweep
from tasks.logs import about
from tasks.media_renewal import media_status
from tasks.missed.comparison import ComparisonInProgress
from tasks.monitoring.queue_status import memory
from tasks.services import Services
from tasks.wecom import WeComError
from tasks.wecom.token import TokenStore

log = logging.getLogger(__name__)

TOKEN_AHEAD = 600.0  # seconds before its end at which a token is asked for again, in case WeCom gives a new one by then
TOKEN_FOLLOWED = 90.0  # seconds before its end, beyond the next run, from which a thread awaits it
TOKENS_AT_ONCE = 16  # fetched at the same time: one that hangs keeps few others waiting, where there are thousands
AT_ITS_END = 0.05  # seconds after a token's end at which the next one is fetched
STAFF = 30.0  # seconds for the members and departments of one app
MEMORY_ALARM = 0.8  # share of Redis' maxmemory


def refresh_tokens(services: Services) -> bool:
    """Fetch a token for every app that has none, and ask once for one that ends within ten minutes.

    Near its end gettoken may give the same one. So a token that ends before the next run is followed at its end, by a
    thread: between two tokens nobody is without one for a minute. → whether every app has one that all processes share.
    """
    tokens = {name: client.tokens for name, client in services.clients.items()}
    followed = {app for thread in threading.enumerate() if isinstance(thread, _Follower) for app in thread.apps}
    lefts = _refresh(tokens)
    ending = {app: left for app, left in lefts.items() if left < TOKEN_FOLLOWED and app not in followed}
    if ending:
        _Follower(tokens, ending).start()
    return all(one.is_shared() for one in tokens.values())


class _Follower(threading.Thread):
    """Fetches the next token of each app when its own has ended, until one lasts or none is to be had.

    One thread for all that a run has found: thousands that were fetched together end together. `ending`: app → seconds.
    """

    def __init__(self, tokens: Mapping[str, TokenStore], ending: Mapping[str, float]) -> None:
        super().__init__(name="tokens at their end", daemon=True)
        self.apps = tuple(ending)
        self._tokens = tokens
        now = time.monotonic()
        self._ends = {app: now + left for app, left in ending.items()}

    def run(self) -> None:
        while self._ends:
            time.sleep(max(0.0, min(self._ends.values()) - time.monotonic()) + AT_ITS_END)
            now = time.monotonic()
            ended = [app for app, end in self._ends.items() if end <= now]
            for app, left in _refresh({app: self._tokens[app] for app in ended}).items():
                if left < TOKEN_FOLLOWED:
                    self._ends[app] = time.monotonic() + left
                else:
                    del self._ends[app]


def _refresh(tokens: Mapping[str, TokenStore]) -> Mapping[str, float]:
    """App → seconds left; some at a time."""
    with ThreadPoolExecutor(min(TOKENS_AT_ONCE, len(tokens)), thread_name_prefix="tokens") as pool:
        return dict(zip(tokens, pool.map(_refresh_token, tokens, tokens.values()), strict=True))


def _refresh_token(app: str, tokens: TokenStore) -> float:
    """Seconds left of the token in use; infinite if there is none: the next run tries again."""
    try:
        return tokens.refresh(TOKEN_AHEAD, by=time.monotonic() + 10)
    except WeComError as error:
        log.error("no access token for app %s: %s", app, error)
        return math.inf


def import_books(services: Services) -> None:
    """For each app without a book, import it from its file, as at a worker's start: Redis may have come back empty."""
    build.import_books(services)


def trim_ledger(services: Services) -> None:
    """Remove rows past their life from the list of deliveries and from the work lists."""
    trimmed = services.ledger.trim()
    now = services.ledger.now()
    sweep(services.redis, services.settings.keep_days * 86_400 + TRIM_LATEST, now)
    past = now - services.settings.keep_days * 86_400_000
    for name in services.settings.apps:
        services.app(name).work_list.trim(past)
    if trimmed:
        log.info("%s rows are past their %s days", trimmed, services.settings.keep_days)


def watch_memory(services: Services) -> None:
    """Log an error when Redis fills up: a full one refuses events. What the server does not tell is not known."""
    found = memory(services.redis)
    most = int(found.get("maxmemory", 0))
    used = int(found.get("used_memory", 0))
    if most and used > MEMORY_ALARM * most:
        log.error("Redis uses %.0f %% of its memory; give it more, or lower WELCOME_KEEP_DAYS", 100 * used / most)


def watch_media(services: Services) -> None:
    """Log an error when media is not at WeCom, or is not renewed in time."""
    for app, settings in services.settings.apps.items():
        status = media_status(services.books, settings)
        for path, reason in status.absent.items():
            log.error("app %s: %s is not at WeCom: %s", app, path, reason)
        for path, reason in status.failing.items():
            log.error("app %s: %s cannot be renewed, %.1f h left: %s", app, path, (status.left or 0) / 3600, reason)
        if status.is_ending:
            log.error("app %s: media ends in %.1f h and is not renewed", app, (status.left or 0) / 3600)


def sync_group_welcomes(services: Services) -> None:
    """Sync WeCom's group welcomes with the books; once an hour, check that they still are what was sent."""
    for name in services.settings.apps:
        sync = services.app(name).group_sync
        try:
            steps = sync.sync(check=sync.due())
        except SyncInProgress:
            continue
        for step in steps:
            if step.act in (SAME, WAITS):
                continue
            level = logging.ERROR if step.act == FAILED else logging.WARNING if step.detail else logging.INFO
            why = f": {step.detail}" if step.detail else ""
            log.log(level, "app %s: group welcome %s: %s%s", name, step.name, step.act, why)


def compare_customers(services: Services) -> None:
    """Advance each app's comparison that is due, requested or in progress; read the hand-overs that are due."""
    for name in services.settings.apps:
        with about(app=name):
            services.app(name).transfer_results.advance()
            with contextlib.suppress(ComparisonInProgress):
                services.app(name).comparison.advance()


def remind_members(services: Services) -> None:
    """Remind members of missed customers, where that is switched on; fetch the names that pages and reminders show."""
    for name in services.settings.apps:
        with about(app=name):
            reminders = services.app(name).reminders
            reminders.learn_names(by=time.monotonic() + 10)
            reminders.run()
            fetch_staff(services.redis, name, services.app(name).wecom.with_deadline(time.monotonic() + STAFF))


def log_commands(services: Services) -> None:
    """Log what commands have put into the audit trail: they are no service, and have no log of their own."""
    services.audit.log_commands()

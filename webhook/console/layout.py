"""What all pages share: the selected app, navigation, the system's state, times in words."""

import hashlib
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

import redis
from flask import Flask, Response, abort, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from markupsafe import Markup

from tasks.ledger.pauses import WELCOME, Pause
from tasks.lifeboat.lifeboat import Status
from tasks.rate_limits.limits import TOO_MANY
from tasks.services import Services
from tasks.storage import damage
from tasks.visible_text import head, plain
from webhook.console import cookies, current
from webhook.console.links import here
from webhook.console.recent_failures import any_failing
from webhook.durations import duration


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation. The first four stand in a phone's bar, the rest behind its last button."""

    endpoint: str
    name: Any  # a lazy string
    icon: str
    apart: bool = False  # begins another group
    count: int = 0  # items waiting there

    @property
    def section(self) -> str:
        return self.endpoint.split(".", maxsplit=1)[0]


PLACES = (
    Place("today.show", lazy_gettext("Today"), icon="house"),
    Place("welcomes.show", lazy_gettext("Welcomes"), icon="message-square-heart"),
    Place("deliveries.show", lazy_gettext("Deliveries"), icon="send"),
    Place("missed.show", lazy_gettext("Missed"), icon="user-x"),
    Place("channels.show", lazy_gettext("Channels"), icon="qr-code", apart=True),
    Place("numbers.show", lazy_gettext("Numbers"), icon="chart-column"),
    Place("queue.show", lazy_gettext("Queue"), icon="activity", apart=True),
    Place("setup.show", lazy_gettext("Set-up"), icon="settings"),
)
WITHIN = dict.fromkeys(
    ("rules", "selection", "editor", "media", "groups", "publishing", "approvals", "revisions", "explaining"),
    "welcomes",
) | {
    "audit": "setup",
    "people": "setup",
    "sessions": "setup",
    "system": "setup",
    "tokens": "setup",
}
SLOW = 5.0  # seconds in the queue from which something is wrong
_LINE_ENDS = re.compile(r"[\r\n\v\f\x85\u2028\u2029]+|\t")
CHOSEN = 8  # apps that the switcher offers; the others are searched
_CHOSEN = "welcome-apps"  # cookie: those that this browser looked at
_FRESH = 2.0  # seconds for which a reading of the state serves all pages


@dataclass(frozen=True, slots=True)
class State:
    """Whether greeting works, in a word. tone: ok | bad | unknown."""

    tone: str
    word: Any  # a lazy string
    pause: Pause | None = None  # of the welcome lane, while it is paused


class Pulse:
    """The system's state, cached for two seconds for all pages together; a pause is always read."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._read = (0.0, State("unknown", ""))

    def state(self) -> State:
        """Never raises: unknown is a state."""
        with self._lock:
            at, state = self._read
            if time.monotonic() - at > _FRESH:
                self._read = (time.monotonic(), state := self._look())
        if state.tone == "unknown":
            return state  # and nobody waits for Redis again
        try:
            pause = self._services.queue_pauses.paused().get(WELCOME)
        except redis.RedisError:
            return State("unknown", lazy_gettext("Cannot read"))
        return state if pause is None else State("bad", lazy_gettext("Paused"), pause)

    def _look(self) -> State:
        try:
            reading = self._services.queues.read()
            failing = any_failing(self._services.ledger, list(self._services.settings.apps))
        except redis.RedisError:
            return State("unknown", lazy_gettext("Cannot read"))
        refused = any(one.is_held and one.errcode == TOO_MANY for one in reading.calls.values())
        if not reading.consuming or (reading.oldest or 0) > SLOW or failing or refused:
            return State("bad", lazy_gettext("Trouble"))
        return State("ok", lazy_gettext("All well"))


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is the same for all requests of an application."""

    pulse: Pulse
    first_app: str
    demo: bool
    release: str
    versions: Mapping[str, str]  # static file → digits of its content's hash


def frame(app: Flask, services: Services) -> None:
    """Set up what an application's pages share."""
    settings = services.settings
    app.extensions["layout"] = _Layout(
        pulse=Pulse(services),
        first_app=next(iter(settings.apps)),
        demo=settings.has_stand_in,
        release=metadata.version("wecom-welcome"),
        versions=_versions(Path(str(app.static_folder))),
    )
    app.before_request(choose_app)
    app.after_request(remember_app)
    app.url_defaults(keep_app)
    app.context_processor(shared)
    app.jinja_env.filters["when"] = lambda seconds: when(seconds, settings.timezone)
    app.jinja_env.filters["cut"] = cut
    app.jinja_env.filters["size"] = size
    app.jinja_env.filters["percent"] = percent
    app.jinja_env.filters["duration"] = duration
    app.jinja_env.globals["here"] = here  # what a page polls: request.full_path would leave out where it is mounted


def choose_app() -> ResponseReturnValue | None:
    """Set `g.app`, the settings of the app that the address names, or of the first. → a redirect, or None."""
    g.began = time.perf_counter()
    apps = current.services().settings.apps
    name = request.args.get("app", _layout().first_app)
    if name not in apps:
        abort(404)
    g.app = apps[name]
    if request.endpoint == "today.show" and "app" not in request.args and "HX-Request" not in request.headers:
        last = next(iter(chosen_apps()), name)  # the address alone leads to where somebody was last
        if last != name:
            return redirect(url_for("today.show", app=last))
    return None


def chosen_apps() -> list[str]:
    """The apps that this browser looked at, the latest first."""
    apps = current.services().settings.apps
    return [name for name in unquote(request.cookies.get(_CHOSEN, "")).split("|") if name in apps]


def remember_app(response: Response) -> Response:
    """Put the app of a page first among those that the browser looked at."""
    several = len(current.services().settings.apps) > 1
    if several and "app" in g and "app" in request.args and response.mimetype == "text/html":
        before = chosen_apps()
        if before[:1] != [g.app.name]:
            names = [g.app.name, *(name for name in before if name != g.app.name)][:CHOSEN]
            cookies.keep(response, _CHOSEN, quote("|".join(names)))
    return response


def keep_app(endpoint: str, values: dict[str, Any]) -> None:
    """Keep the selected app in every URL."""
    if endpoint == "static":
        values.setdefault("v", _layout().versions.get(values.get("filename", ""), ""))
    elif "app" in g and len(current.services().settings.apps) > 1 and not endpoint.startswith(("access.", "wecom.")):
        values.setdefault("app", g.app.name)


def shared() -> dict[str, Any]:
    """Names for every template."""
    layout, settings = _layout(), current.services().settings
    return {
        "navigation": navigation,
        "state": layout.pulse.state,
        "lifeboat": lifeboat,
        "damaged": lambda: sorted(damage.found()),
        "section": WITHIN.get(request.blueprint or "", request.blueprint),
        "demo": layout.demo,
        "apps": list(settings.apps),
        "apps_at_hand": apps_at_hand,
        "version": layout.release,
        "zone": settings.timezone.key,
        "milliseconds": lambda: round((time.perf_counter() - g.began) * 1000) if "began" in g else None,
    }


def apps_at_hand() -> list[str]:
    """The apps that the switcher offers: all, or those that were looked at lately, the page's first."""
    apps = list(current.services().settings.apps)
    if len(apps) <= CHOSEN:
        return apps
    return list(dict.fromkeys([g.app.name, *chosen_apps(), *apps]))[:CHOSEN]


def lifeboat() -> Status | None:
    """How the lifeboat is used; None while it is not."""
    found = current.lifeboat()
    status = None if found is None else found.status()
    return status if status is not None and status.in_use else None


def navigation() -> list[Place]:
    """Where to go, and how much waits there."""
    return [replace(place, count=_waiting(place.endpoint)) for place in PLACES]


def _waiting(endpoint: str) -> int:
    if endpoint != "missed.show" or "app" not in g:
        return 0
    try:
        return current.app().work_list.counts()[0]
    except redis.RedisError:
        return 0  # the page itself says that it cannot be read


def _layout() -> _Layout:
    found: _Layout = current_app.extensions["layout"]
    return found


def when(seconds: float, zone: ZoneInfo) -> Markup:
    """A time in words, titled with the exact one: today 10:31:58, yesterday 18:40, 11-20 09:05, 2025-11-20 09:05."""
    at, today = datetime.fromtimestamp(seconds, zone), datetime.now(zone).date()
    words = _in_words(at, today)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(), at.strftime("%Y-%m-%d %H:%M:%S"), words
    )


def _in_words(at: datetime, today: date) -> str:
    if at.date() == today:
        return str(_("today %(time)s", time=at.strftime("%H:%M:%S")))
    if at.date() == today - timedelta(days=1):
        return str(_("yesterday %(time)s", time=at.strftime("%H:%M")))
    return at.strftime("%m-%d %H:%M" if at.year == today.year else "%Y-%m-%d %H:%M")


def cut(text: str, most: int = 40) -> str:
    """A text for lists, on one line: without what turns or hides its neighbours, shortened with … if it is long.

    An end of a line is a blank; blanks inside, full-width ones too, stay as they are.
    """
    clean = plain(_LINE_ENDS.sub(" ", text))
    return clean if len(clean) <= most else head(clean, most - 1).rstrip() + "…"


def size(count: int) -> str:
    """Bytes in the unit that leaves something to read: a little is never 0.

    >>> size(0), size(300), size(44_000), size(512 << 20)
    ('0 B', '300 B', '43 KB', '512 MB')
    """
    if count < 1024:
        return f"{count} B"
    if count < 1 << 20:
        return f"{count / 1024:.0f} KB"
    return f"{count / (1 << 20):.1f}".removesuffix(".0") + " MB"


def percent(part: float) -> str:
    """A share from 0 to 1 in percent, without the sign; a few are never none, nor almost all of them all.

    >>> percent(0.0), percent(0.0001), percent(0.876), percent(0.9999), percent(1.0)
    ('0.0', '<0.1', '87.6', '>99.9', '100.0')
    """
    if 0 < part < 0.0005:
        return "<0.1"
    if 0.9995 <= part < 1:
        return ">99.9"
    return f"{100 * part:.1f}"


def _versions(folder: Path) -> dict[str, str]:
    """File → digits of its content's hash: a changed file has another URL, so browsers may cache the old one."""
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest()[:8] for one in folder.iterdir() if one.is_file()}

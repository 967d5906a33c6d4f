"""System: processes, token, media, limits, scheduled jobs: what an administrator needs, and an operator seldom.

Every panel is one read of fixed keys, so its cost does not grow, and each fails independently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response

from tasks.audit import Act
from tasks.books.revisions import NoRevision
from tasks.forwards.store import Entry, TargetStatus
from tasks.monitoring import heartbeat, jobs
from tasks.monitoring.hook_status import of_hooks
from tasks.placeholders.asking import State
from tasks.placeholders.hook import hook_of, used
from tasks.templates.problems import BookError
from webhook.console import current
from webhook.console.panels import Panels
from webhook.console.queue import read_flow

JOBS = {  # task → what it does
    "tasks.upkeep.refresh_tokens": lazy_gettext("Renew access tokens"),
    "tasks.upkeep.import_books": lazy_gettext("Import the first welcomes"),
    "tasks.upkeep.trim_ledger": lazy_gettext("Erase old records"),
    "tasks.upkeep.watch_memory": lazy_gettext("Check the memory of Redis"),
    "tasks.upkeep.watch_media": lazy_gettext("Check media"),
    "tasks.upkeep.sync_group_welcomes": lazy_gettext("Sync group welcomes"),
    "tasks.upkeep.compare_customers": lazy_gettext("Nightly comparison"),
    "tasks.upkeep.remind_members": lazy_gettext("Remind members"),
    "tasks.upkeep.log_commands": lazy_gettext("Log what commands did"),
}
ROLES = {  # role → what it does
    "web": lazy_gettext("Callback and console"),
    "welcome": lazy_gettext("Sends greetings"),
    "upkeep": lazy_gettext("Follow-up tasks, media, scheduled jobs"),
    "beat": lazy_gettext("Schedules the jobs"),
}

HOOK_STATES = {  # how it stands with a package's placeholders → tone, words
    State.FINE: ("ok", lazy_gettext("Fine")),
    State.SILENT: ("bad", lazy_gettext("Fails or hangs")),
    State.BROKEN: ("bad", lazy_gettext("Cannot be loaded")),
    State.ABSENT: ("warn", lazy_gettext("Not installed")),
}
LISTED = 20  # events that were not delivered

blueprint = Blueprint("system", __name__)


ALL = "all"  # in place of an event's id


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Where the app's events are forwarded to: (host, how it is); and what failed, the given-up ones first."""

    targets: Sequence[tuple[str, TargetStatus]]  # several may be on one host
    failed: Sequence[tuple[str, Entry]]


@blueprint.get("/system")
def show() -> str:
    """The page."""
    services, app, panels = current.services(), current.app(), Panels()
    processes = panels.read(lambda: heartbeat.read(services.redis))
    return render_template(
        "system/show.html",
        flow=panels.read(read_flow),
        processes=processes,
        hooks=panels.read(lambda: of_hooks(processes.value or (), _used_hooks())),
        hook_states=HOOK_STATES,
        jobs=panels.read(lambda: jobs.read(services.redis, jobs.SCHEDULE)),
        job_names=JOBS,
        roles=ROLES,
        refusal=panels.read(app.wecom.tokens.refusal),
        forwarding=panels.read(_forwarding) if app.settings.forwards else None,
    )


@blueprint.post("/system/forwards/retry")
def retry() -> Response:
    """Try an event now that was given up or waits for its next try, or all of them."""
    identity = request.form.get("id", "")
    if identity == ALL:
        number = current.services().forwards.retry_all(current.app().name)
        current.record(Act.FORWARDED_AGAIN, current.app().name, number)
        flash(_("%(n)s events are tried again now", n=number))
    elif current.services().forwards.retry(current.app().name, identity):
        current.record(Act.FORWARD_RETRIED, identity)
        flash(_("It is tried again now"))
    else:
        flash(_("That event is being tried, or has arrived"), "warn")
    return redirect(url_for("system.show", _anchor="forwarding"))


def _used_hooks() -> frozenset[str]:
    """The hooks that the app's live book uses."""
    books, app = current.services().books, current.app().name
    number = books.current(app)
    try:
        return frozenset(map(hook_of, used(books.book(app, number)))) if number is not None else frozenset()
    except (NoRevision, BookError):
        return frozenset()


def _forwarding() -> Forwarding:
    store, app = current.services().forwards, current.app()
    hosts = {target.id: target.host for target in app.settings.forwards}
    failed = [(hosts[entry.target], entry) for entry in store.listed(app.name, LISTED)]
    return Forwarding([(hosts[one], status) for one, status in store.status(app.name).items()], failed[:LISTED])

"""All apps: how each is doing today, on one page. What an app costs is a few reads in shared exchanges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from tasks.alerts.conditions import Alert, Finding
from tasks.alerts.records import episode_of, name_of
from tasks.ledger import statistics
from tasks.ledger.delivery import GREETED
from tasks.storage import keys
from webhook.console import current, statistics_summary
from webhook.console.paging import paged
from webhook.console.panels import Panels
from webhook.console.recent_failures import TELLING
from webhook.console.search import Search
from webhook.console.statistics_summary import OutcomeCount
from webhook.outcomes import BAD, OK, WARN

SIZE = 50  # apps of a page
WITHIN = 600_000  # ms: of the outcomes that an app's state is judged by
FEW = 3  # missed, below which half of all is no trouble yet

blueprint = Blueprint("apps", __name__)


@dataclass(frozen=True, slots=True)
class AppState:
    """One app. today: its counts; to_do: customers to be greeted by hand; open: in progress; alerts: that last."""

    name: str
    published: bool
    today: OutcomeCount
    to_do: int
    open: int
    alerts: int
    missed: int  # of the last ten minutes
    greeted: int

    @property
    def state(self) -> tuple[str, Any]:
        """(tone, word). Pure."""
        if not self.published:
            return BAD, lazy_gettext("No welcome")
        if self.missed >= FEW and self.missed >= self.greeted:
            return BAD, lazy_gettext("Trouble")
        if self.alerts:
            return WARN, lazy_gettext("Alert")
        return OK, lazy_gettext("All well")


@blueprint.get("/apps")
def show() -> ResponseReturnValue:
    """The page; a search that finds one app leads there."""
    wanted = request.args.get("q", "").strip()
    search = Search(wanted)
    names = [name for name in current.services().settings.apps if search.finds(name)]
    if wanted and len(names) == 1:
        return redirect(url_for("today.show", app=names[0]))
    shown, place = paged(names, SIZE, "page", "live")
    states = Panels().read(lambda: read_states(shown))
    return render_template("apps/show.html", states=states, wanted=wanted, place=place)


def read_states(names: Sequence[str]) -> list[AppState]:
    """The state of these apps, in their order. Raises redis.RedisError."""
    services = current.services()
    totals = statistics.read_totals(services.redis, names, current.today())
    lately = services.ledger.counts(names, [*TELLING], services.ledger.now() - WITHIN)
    under_way = services.ledger.counts(names, [""])
    alerts = [name_of(Finding(alert, None, name)) for name in names for alert in Alert]
    with services.redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.exists(keys.book(name))
            pipe.zcard(keys.missed(name))
        if alerts:
            pipe.hmget(keys.ALERTS, alerts)
        *stored, records = pipe.execute() if names else [[]]
    lasting = [episode is not None and episode.clear_since is None for episode in map(episode_of, records)]
    return [
        AppState(
            name=name,
            published=bool(stored[2 * at]),
            today=statistics_summary.total(totals[name]),
            to_do=stored[2 * at + 1],
            open=under_way[name][""],
            alerts=sum(lasting[at * len(Alert) : (at + 1) * len(Alert)]),
            missed=sum(lately[name][outcome] for outcome in TELLING - GREETED),
            greeted=sum(lately[name][outcome] for outcome in GREETED),
        )
        for at, name in enumerate(names)
    ]

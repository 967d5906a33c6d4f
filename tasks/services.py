"""Settings → the services of a process, assembled here and nowhere else.

build_services(settings)   Services: what all apps share
services.app(name)         AppServices: what belongs to one app
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from tasks.audit import AuditTrail
from tasks.books.approvals import Approvals
from tasks.books.draft_store import Drafts
from tasks.books.files import load
from tasks.books.labels import Labels
from tasks.books.revisions import BookStore
from tasks.changes.store import ContactChanges
from tasks.channels import Channels
from tasks.counters import Counters, count
from tasks.directory.lookup import Lookups, Packages
from tasks.followups.corp_tags import CorpTags
from tasks.followups.store import FollowUps
from tasks.followups.tagging import Taggings
from tasks.forwards.store import Forwards
from tasks.group_welcomes import GroupSync
from tasks.ledger.ledger import Ledger
from tasks.ledger.pauses import QueuePauses
from tasks.ledger.sums import Sums
from tasks.ledger.verifications import Verifications
from tasks.media_renewal import media_statuses
from tasks.missed.comparison import Comparison
from tasks.missed.reminders import Observer as ReminderObserver
from tasks.missed.reminders import Reminders
from tasks.missed.transfer_results import TransferResults
from tasks.missed.work_list import WorkList
from tasks.monitoring.queue_status import Queues
from tasks.people.api_tokens import ApiTokens
from tasks.people.grants import Grants
from tasks.people.members import Members
from tasks.people.sign_ins import SignIns
from tasks.placeholders.asking import Hooks
from tasks.placeholders.installed import installed
from tasks.rate_limits.limiter import Limiter, SharedCalls
from tasks.rate_limits.limits import BACKGROUND, SEND, Limits
from tasks.settings import App, Settings
from tasks.storage import connections
from tasks.storage.connections import Redis
from tasks.storage.embedded import running_url
from tasks.storage.formats import Settling
from tasks.trials import Trials
from tasks.wecom import WeComClient

TIMEOUT = 2.0  # seconds for an answer of Redis, in workers and commands


@dataclass(frozen=True)
class Services:
    """The services of one Redis, shared by all threads of a process. Those that not every process needs are lazy."""

    settings: Settings
    redis: Redis
    ledger: Ledger
    books: BookStore
    clients: Mapping[str, WeComClient]  # by app; their calls have what greetings leave of WeCom's limits
    calls: Mapping[str, SharedCalls]  # by app: of its corp
    counters: Counters
    queues: Queues
    reminder_observer: ReminderObserver | None = None

    def regularly(self) -> None:
        """What a role has to do every second or two: write its counts, close connections that a burst has left."""
        self._settling.look()
        self.counters.flush()
        for client in self.clients.values():
            client.close_old()

    def clock_ahead(self) -> float | None:
        """Seconds that this host's clock is ahead of WeCom's; None: no answer of WeCom's has told yet."""
        told = (client.clock_ahead for client in self.clients.values())
        return next((ahead for ahead in told if ahead is not None), None)

    def app(self, name: str) -> "AppServices":
        """The services of one app. KeyError if it is not configured."""
        return self._apps[name]

    @cached_property
    def _settling(self) -> Settling:
        return Settling(self.redis)

    @cached_property
    def _apps(self) -> Mapping[str, "AppServices"]:
        return {name: AppServices(self, app) for name, app in self.settings.apps.items()}

    @cached_property
    def greeting_clients(self) -> Mapping[str, WeComClient]:
        """By app: the same clients, whose calls have the whole of WeCom's limits. The ledger counts the greetings."""
        percent = self.settings.limit_percent
        return {
            name: client.with_limiter(Limiter(self.calls[name], percent, free={SEND}))
            for name, client in self.clients.items()
        }

    @cached_property
    def own_limiters(self) -> Mapping[str, Limiter]:
        """By app: for the time without Redis. Each process of the web has its share of WeCom's limits."""
        settings = self.settings
        corps = {app.corp_id for app in settings.apps.values()}
        limiters = {corp: Limiter(None, settings.limit_percent, 1 / settings.web_processes) for corp in corps}
        return {name: limiters[app.corp_id] for name, app in settings.apps.items()}

    @cached_property
    def queue_pauses(self) -> QueuePauses:
        return QueuePauses(self.redis)

    @cached_property
    def verifications(self) -> Verifications:
        return Verifications(self.redis)

    @cached_property
    def follow_ups(self) -> FollowUps:
        return FollowUps(self.redis)

    @cached_property
    def taggings(self) -> Taggings:
        return Taggings(self.redis)

    @cached_property
    def contact_changes(self) -> ContactChanges:
        settings = self.settings
        return ContactChanges(self.redis, settings.keep_days, settings.timezone, settings.forwarding)

    @cached_property
    def forwards(self) -> Forwards:
        return Forwards(self.redis, self.settings.apps, self.ledger)

    @cached_property
    def sums(self) -> Sums:
        return Sums(self.redis)

    @cached_property
    def lookups(self) -> Lookups:
        return Lookups(self.redis, self.settings.timezone, packages=Packages(self.hooks))

    @cached_property
    def hooks(self) -> Hooks:
        return Hooks(installed(), self.counters, self.settings.apps)

    @cached_property
    def corp_tags(self) -> CorpTags:
        return CorpTags(self.redis)

    @cached_property
    def audit(self) -> AuditTrail:
        return AuditTrail(self.redis)

    @cached_property
    def approvals(self) -> Approvals:
        return Approvals(self.redis)

    @cached_property
    def grants(self) -> Grants:
        return Grants(self.redis)

    @cached_property
    def api_tokens(self) -> ApiTokens:
        return ApiTokens(self.redis)

    @cached_property
    def members(self) -> Members:
        return Members(self.redis)

    @cached_property
    def sign_ins(self) -> SignIns:
        return SignIns(self.redis)

    @cached_property
    def drafts(self) -> Drafts:
        return Drafts(self.redis, self.books)

    @cached_property
    def labels(self) -> Labels:
        return Labels(self.redis)


@dataclass(frozen=True)
class AppServices:
    """The services of one app."""

    shared: Services = field(repr=False)
    settings: App

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def wecom(self) -> WeComClient:
        return self.shared.clients[self.name]

    @cached_property
    def channels(self) -> Channels:
        return Channels(self.shared.redis, self.name, self.wecom)

    @cached_property
    def group_sync(self) -> GroupSync:
        return GroupSync(self.shared.redis, self.shared.books, self.settings, self.wecom)

    @cached_property
    def work_list(self) -> WorkList:
        return WorkList(self.shared.redis, self.name)

    @cached_property
    def comparison(self) -> Comparison:
        life, zone = self.shared.settings.keep_days * 86400, self.shared.settings.timezone
        return Comparison(self.shared.redis, self.settings, self.wecom, self.work_list, life, zone)

    @cached_property
    def transfer_results(self) -> TransferResults:
        life, zone = self.shared.settings.keep_days * 86400, self.shared.settings.timezone
        return TransferResults(self.shared.redis, self.settings, self.wecom, life, zone)

    @cached_property
    def trials(self) -> Trials:
        return Trials(self.settings, self.wecom, self.shared.books.media, self.shared.books.ready)

    @cached_property
    def reminders(self) -> Reminders:
        shared, zone = self.shared, self.shared.settings.timezone
        said = (shared.lookups, shared.books, zone, shared.reminder_observer)
        return Reminders(shared.redis, self.settings, self.wecom, self.work_list, *said)


def reachable(settings: Settings) -> Settings | None:
    """Settings with a REDIS_URL: the one that is set, or that of a running `up` in the data directory; None: none."""
    if settings.redis_url is not None:
        return settings
    url = running_url(settings.data_dir)
    return None if url is None else replace(settings, redis_url=url)


def build_services(settings: Settings, timeout: float = TIMEOUT) -> Services:
    """The services. Nothing is connected yet; `timeout`: seconds for a connection to Redis, and for each answer."""
    if settings.redis_url is None:
        raise ValueError("REDIS_URL is not set; the embedded server belongs to `wecom-welcome up`")
    client = connections.connect(settings.redis_url, timeout=timeout)
    counters = Counters(client)
    corps = {app.corp_id for app in settings.apps.values()}
    limits = Limits.of(settings.limit_percent)
    calls = {name: SharedCalls(client, app.corp_id, corps, limits) for name, app in settings.apps.items()}
    clients = {name: _wecom(app, settings, client, counters, calls[name]) for name, app in settings.apps.items()}
    books = BookStore(client, settings.media_mb)
    return Services(
        settings=settings,
        redis=client,
        ledger=Ledger(
            client,
            keep_days=settings.keep_days,
            window=settings.window,
            timezone=settings.timezone,
            limits=limits,
            corps=len(corps),
            forwarding=settings.forwarding,
        ),
        books=books,
        clients=clients,
        calls=calls,
        counters=counters,
        queues=Queues(
            client,
            clients,
            lambda: media_statuses(books, settings.apps.values()),
            calls,
            {app.name: app.corp_id for app in settings.apps.values()},
        ),
    )


def import_books(services: Services) -> None:
    """Store each app's book from its file, unless the app has one. Raises OSError, BookError or MediaFull."""
    for app in services.settings.apps.values():
        if app.book is not None and services.books.current(app.name) is None:
            _, bundle = load(app.book, lenient=True)  # what greets is about to start: it does, with fallbacks
            services.books.import_first(app.name, bundle.source, bundle.files)


def _wecom(app: App, settings: Settings, client: Redis, counters: Counters, calls: SharedCalls) -> WeComClient:
    def observe(path: str, code: int | str) -> None:
        counters.add(count("api_errors_total", app=app.name, path=path, code=code))

    limiter = Limiter(calls, settings.limit_percent, BACKGROUND)
    return WeComClient(app.corp_id, app.secret, settings.api_base, client, observe, settings.proxy, limiter)

"""A data directory in which the demo's company has worked for thirty days, and the stand-in that knows its people.

The product is not running meanwhile: an embedded server of its own kind is, and what the product itself would have
written is written by its own functions. A directory that has a past already keeps it; only the stand-in, which is a new
WeCom each time, is told again.
"""

import json
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import redis

from tasks import audit
from tasks.audit import Act, Entry, Via
from tasks.books.files import beside, gather
from tasks.events import ContactAdded
from tasks.ledger import samples
from tasks.ledger.delivery import MISSED, OF_NO_EVENT, Delivery, Outcome
from tasks.missed.comparison import comparison_status
from tasks.missed.comparison_run import last_due
from tasks.missed.work_list import customer_name
from tasks.people.roles import Grant, Kind
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tasks.storage.embedded import Embedded
from tasks.templates.conditions import DEPARTMENTS as DEPARTMENTS_FACT
from tests.simulator.client import StandIn
from tests.simulator.demo.company import APP, BOOK, CHANNELS, DEPARTMENTS, LABELS, MEMBERS, OPERATORS, REVISIONS, ROLES
from tests.simulator.demo.history import Stored, down, history, leaving, refusal
from tests.support import past
from tests.support.past import Past
from tests.support.people import full_name
from webhook.cli.parent_death import dying_with_this_process

LOOKUP = 5.0  # seconds for what the stand-in is asked
START = 10.0  # seconds for the server to answer
HOUR, DAY = 3600, 86400
UNANNOUNCED = 9_999  # the customer whom WeCom never announces, as a number of full_name
REFUSING = 9_998  # and the one who refused a successor


def people(wecom: StandIn) -> None:
    """The company's members and departments, at the stand-in."""
    members = {member: dict(fields) for member, fields in MEMBERS.items()}
    wecom.people(members=members, departments={number: dict(fields) for number, fields in DEPARTMENTS.items()})


def furnish(environment: Mapping[str, str], wecom: StandIn, folder: Path) -> None:
    """Give the embedded server of WELCOME_DATA_DIR its past, unless it has one. `folder`: where relative paths start.

    Raises EmbeddedError where the directory cannot be used.
    """
    logging.getLogger("tasks").addHandler(logging.NullHandler())  # the terminal is the demo's
    settings = read(environment, folder)
    with server(settings.data_dir) as url:
        services = build_services(replace(settings, redis_url=url), timeout=30)
        live_through(services, wecom)
        for client in services.clients.values():
            client.close()
        services.redis.close()


def live_through(services: Services, wecom: StandIn, now: float | None = None) -> None:
    """The past of an installation until `now` (Unix seconds), and what the stand-in knows of it.

    An installation that has one keeps it.
    """
    at = datetime.fromtimestamp(time.time() if now is None else now, services.settings.timezone)
    people(wecom)
    _give_roles(services)
    if services.redis.zcard(keys.EVENTS):
        _introduce(services, wecom, at)
        _make_channels_again(services)
        return
    _look_up(services)
    books = _books(services, at)
    customers = list(history(at, services.settings.apps[APP].corp_id, books))
    past.write(services, customers)
    for label, names in LABELS.items():
        services.labels.add(APP, names, label)
    for since, until in ((round(one.timestamp() * 1000) for one in period) for period in down(at)):
        services.redis.zadd(keys.IDLE, {f"{since}:{until}": until})
    _let_leave(services, customers, at)
    _sample(services, customers, at)
    _name_missed(services)
    _refuse_successor(services, at)
    _introduce(services, wecom, at)
    _compare(services, wecom, at)
    _tick_off(services, at)
    channels = services.app(APP).channels
    for name, (state, members, departments) in CHANNELS.items():
        one = channels.create(name, state, members, departments, skip_verify=True)
        channels.picture(one, time.monotonic() + LOOKUP)


@contextmanager
def server(data_dir: Path) -> Iterator[str]:
    """The embedded server of a data directory, as `up` has it. → its URL. Raises EmbeddedError."""
    embedded = Embedded(data_dir)
    command = embedded.prepare()
    with embedded.lock() as lock:
        server = subprocess.Popen(
            dying_with_this_process(command),
            pass_fds=(lock.fileno(),),  # so that nobody else uses it as long as this server lives
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal is for the demo to handle
        )
        try:
            _wait_for(embedded, server)
            yield embedded.url
        finally:
            server.terminate()
            server.wait()


def _wait_for(embedded: Embedded, server: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + START
    client = redis.Redis(unix_socket_path=os.fspath(embedded.socket))
    while True:
        with suppress(redis.RedisError):
            client.ping()
            client.close()
            return
        if server.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError(f"the embedded server did not start: see {embedded.log}")
        time.sleep(0.01)


# ------------------------------------------------------------------------------------------------ what has happened


def _give_roles(services: Services) -> None:
    """Of the console, to members and departments of this stand-in's corp."""
    corp_id = services.settings.apps[APP].corp_id
    for kind, one, role in ROLES:
        name = str(MEMBERS[one]["name"] if kind is Kind.MEMBER else DEPARTMENTS[int(one)]["name"])
        services.grants.give(Grant(corp_id, kind, one, role, name, OPERATORS[1]))


def _books(services: Services, now: datetime) -> list[Stored]:
    """The revisions of the book, each at its time."""
    today = BOOK.read_text("utf-8")
    stored = []
    for edit in REVISIONS:
        source = today
        for new, old in edit.differs:
            assert new in source, new
            source = source.replace(new, old)
        book, bundle = gather(source, beside(BOOK))
        before = services.books.changed(APP)
        number = services.books.save(APP, source, bundle.files, edit.author, edit.note)
        since = datetime.combine(now.date() - timedelta(edit.days_ago), datetime.min.time(), now.tzinfo)
        since += timedelta(hours=17, minutes=20)
        stored.append(Stored(since, number, book))
        key = keys.revision_about(APP, number)
        about = json.loads(services.redis.get(key) or "{}") | {"at": round(since.timestamp() * 1000)}
        services.redis.set(key, json.dumps(about, ensure_ascii=False))
        for name, at in services.books.changed(APP).items():
            if at != before.get(name):
                services.redis.hset(keys.changed_welcomes(APP), name, about["at"])
        if edit.author:
            _audited(services, since.timestamp() - 600, Act.SIGNED_IN, edit.author)
            _audited(services, since.timestamp(), Act.PUBLISHED, edit.author, number)
    services.redis.set(keys.first_media(APP), round(stored[0].since.timestamp() * 1000))
    return stored


def _look_up(services: Services) -> None:
    """Names and departments of the members, as greetings have looked them up."""
    for member in MEMBERS:
        event = ContactAdded(APP, services.settings.apps[APP].corp_id, "add", member, "wm", int(time.time()))
        by = time.monotonic() + LOOKUP
        lookup = services.lookups.about(services.clients[APP], event, event.created_at * 1000, by, LOOKUP)
        lookup.values(frozenset({"member", "department"}))
        lookup.contact(frozenset({DEPARTMENTS_FACT}))


def _audited(services: Services, at: float, act: Act, who: str, number: int | None = None) -> None:
    """An act of the past, as the trail has it."""
    entry = Entry(at, f"{round(at):010x}0", who, act, Via.CONSOLE, APP, number=number, address="10.0.0.8")
    services.redis.zadd(keys.AUDIT, {audit._to_json(entry): round(at * 1000)})


def _let_leave(services: Services, customers: Sequence[Past], now: datetime) -> None:
    """Those who have deleted the member again."""
    for one in customers:
        if (change := leaving(one, now)) is not None:
            services.contact_changes.record(change)
    services.contact_changes.apply_due()
    services.redis.delete(keys.SLOW_QUEUE, keys.FOLLOWUP_WOKEN)  # the message that would have woken a worker


def _sample(services: Services, customers: Sequence[Past], now: datetime) -> None:
    """The queue in the last hour, as it is looked at each ten seconds: nobody waited."""
    end = round(now.timestamp() * 1000)
    times = range(end - (samples.KEPT - 1) * samples.EVERY_MS, end + 1, samples.EVERY_MS)
    hour = [one for one in customers if one.received_at * 1000 > times[0]]
    greeted, missed = (
        int(so_far or 0)
        for so_far in services.redis.hmget(keys.COUNTERS, [samples.GREETED_SO_FAR, samples.MISSED_SO_FAR])
    )
    lines = []
    for at in times:
        later = [one for one in hour if one.received_at * 1000 > at]
        added = sum(at - samples.EVERY_MS < one.received_at * 1000 <= at for one in hour)
        then = [
            so_far - sum(one.settlement.outcome in outcomes for one in later)
            for so_far, outcomes in ((greeted, (Outcome.SENT,)), (missed, MISSED))
        ]
        lines.append("|".join(map(str, (at, 0, 0, added, *then))))
    services.redis.lpush(keys.SAMPLES, *lines)
    services.redis.expire(keys.SAMPLES, samples.LIFE)


def _name_missed(services: Services) -> None:
    """Give those who were missed before their text was made the names that the console would ask WeCom for."""
    work = services.app(APP).work_list
    for number, row in enumerate(work.since(0)):
        if not customer_name(row):
            work.name(row.id, full_name(number * 13 + 1))


def _refuse_successor(services: Services, now: datetime) -> None:
    """A customer of a member who has left was not handed over, and waits since then."""
    failed = refusal(services.settings.apps[APP].corp_id, now)
    services.contact_changes.record(failed)
    services.contact_changes.apply_due()
    services.redis.delete(keys.SLOW_QUEUE, keys.FOLLOWUP_WOKEN)
    work = services.app(APP).work_list
    for row in work.since(0):
        if row.outcome is Outcome.NOT_TRANSFERRED:
            work.name(row.id, full_name(REFUSING))
            services.redis.hset(keys.event(row.id), "found_at", failed.created_at * 1000)


def _tick_off(services: Services, now: datetime) -> None:
    """The missed of earlier days were greeted by hand, on the next morning."""
    work = services.app(APP).work_list
    by_morning: dict[int, list[str]] = {}
    for row in work.since(0):
        morning = datetime.fromtimestamp(row.received_at, now.tzinfo)
        morning = morning.replace(hour=9, minute=40, second=0, microsecond=0) + timedelta(1)
        if morning < now and row.outcome not in OF_NO_EVENT:
            by_morning.setdefault(round(morning.timestamp()), []).append(row.id)
    for number, (at, ids) in enumerate(sorted(by_morning.items())):
        who = OPERATORS[number % len(OPERATORS)]
        work.tick(ids, who, at * 1000)
        _audited(services, at, Act.TICKED_OFF, who, len(ids))


def _compare(services: Services, wecom: StandIn, now: datetime) -> None:
    """Last night's comparison: it found a customer whom WeCom had never announced."""
    night = last_due(now.timestamp(), services.settings.timezone)
    added_at = night - 6 * HOUR
    customer = f"wm-never-announced-{UNANNOUNCED}"
    wecom.people(customers={customer: {"name": full_name(UNANNOUNCED)}})
    wecom.acquaint([_contact("lina", customer, added_at, "store-card")])
    services.app(APP).comparison.advance(night)
    good = comparison_status(services.redis, APP).good
    if good is None:
        raise RuntimeError("the comparison with the stand-in's customers failed")
    ended = replace(good, started_at=night, ended_at=night + 2)
    services.redis.hset(keys.comparison(APP), "good", json.dumps(asdict(ended), ensure_ascii=False))
    for row in services.app(APP).work_list.since(0):
        if row.outcome is Outcome.UNANNOUNCED:
            services.redis.hset(keys.event(row.id), "found_at", (night + 2) * 1000)


# ------------------------------------------------------------------------------------------------ what WeCom knows


def _introduce(services: Services, wecom: StandIn, now: datetime) -> None:
    """The customers of the last days, and those who wait to be greeted by hand, at the stand-in."""
    since = round((now.timestamp() - 2 * DAY - HOUR) * 1000)
    rows = {row.id: row for row in services.ledger.deliveries(since=since)}
    rows |= {row.id: row for row in services.app(APP).work_list.since(0)}
    wecom.people(customers={row.external_user_id: {"name": _name(row)} for row in rows.values()})
    known = [
        _contact(row.user_id, row.external_user_id, row.created_at, row.state)
        for row in rows.values()
        if row.outcome is not Outcome.NOT_TRANSFERRED
    ]
    wecom.acquaint(known)


def _name(row: Delivery) -> str:
    return customer_name(row) or full_name(int(row.id[:6], 16))


def _contact(member: str, customer: str, at: int, state: str) -> dict[str, object]:
    return {"user_id": member, "external_user_id": customer, "created_at": at, "state": state}


def _make_channels_again(services: Services) -> None:
    """The codes, and the group welcomes, that were made at another stand-in."""
    channels = services.app(APP).channels
    for name, one in channels.all().items():
        channels.delete(name, here_only=True)
        made = channels.create(name, one.state, one.members, one.departments, one.skip_verify)
        channels.picture(made, time.monotonic() + LOOKUP)
    services.redis.delete(keys.group_welcomes(APP), keys.group_welcomes_checked(APP))

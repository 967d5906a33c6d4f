"""An installation that has lived, with everything hostile that its pages may have to show.

`fill(services)` writes it; `arguments(services)` has a value for each argument of a page's address, `QUERIES`
what comes behind one.
"""

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from urllib.parse import urlencode

from flask import Flask
from werkzeug.routing import Rule

from tasks.audit import Act, Via
from tasks.books.labels import cleaned
from tasks.changes import failed_transfers
from tasks.changes.failed_transfers import FailedTransfer
from tasks.channels import Channel
from tasks.ledger.claims import FollowUpProgress, Settlement, TaggingProgress
from tasks.ledger.delivery import Attempt, FollowUpStatus, LeftOut, LeftOutBecause, Outcome
from tasks.ledger.pauses import FOLLOW_UPS
from tasks.missed.transfer_pair import Answer
from tasks.monitoring import jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.people.api_tokens import Scope
from tasks.services import Services
from tasks.storage import keys
from tasks.templates.edits import AddRule, SetNamed
from tasks.templates.model import Tag
from tasks.templates.yaml_writer import Value
from tests.support.books import PNG
from tests.support.builders import in_words
from tests.support.ledger import accepted, settled, unannounced
from webhook.console import rehearsal_steps
from webhook.console.tagging import Selection

NASTY = (
    "<script>alert(1)</script>",
    "\u202egnp.exe\u202c",
    "👨‍👩‍👧‍👦" * 20,
    "'\"><img src=x onerror=alert(1)>",
    "a" * 4000,
    "=HYPERLINK(0)",
    "{{7*7}} %(n)s",
)
OUTCOMES = ("sent", "unconfirmed", "lost", "no_code", "no_template", "expired", "stale", "refused", "failed", "dead")

SELECTED = "0123456789abcdef"  # the token of a selection
HOSTILE = "<img src=x onerror=alert(1)> 'x' {{7*7}}"  # a name that a welcome may have
NAMED = [f"?{urlencode({'name': name})}" for name in ("default", HOSTILE)]
QUERIES = [
    *(
        f"/{page}{query}"
        for page in ("welcomes/edit", "welcomes/delete", "groups/edit", "groups/delete")
        for query in NAMED
    ),
    "/welcomes/new?copy=default",
    "/welcomes/new?example=retail.shop.zh",
    "/welcomes/examples?texts=en",
    "/welcomes/explain?"
    + urlencode({"member": NASTY[3], "state": NASTY[0], "at": "2026-11-22T23:00", "book": "draft"}),
    "/welcomes?" + urlencode({"member": NASTY[3], "state": NASTY[0], "sort": "changed"}),
    "/welcomes?" + urlencode({"q": HOSTILE, "label": "-"}),
    "/welcomes/publish?template=1&rule=1&group_welcome=1",
    "/welcomes/history/2?with=0",
    "/welcomes?published=2",
    "/numbers?by=channel",
    "/numbers?by=variant",
]


def fill(services: Services) -> None:
    """Rows with every outcome, and with hostile States."""
    for number, outcome in enumerate(OUTCOMES):
        nasty = NASTY[number % len(NASTY)]
        settlement = Settlement(
            outcome,
            reason=in_words(nasty),
            errcode=40096 if outcome == "refused" else None,
            template="default",
            rule=nasty if outcome == "sent" else "1",
            revision=1,
            attempts=2,
            steps={"started": 5, "prepared": 8, "try_1": 9, "answer_1": 140, "try_2": 1200, "answer_2": 1300},
            tries=[Attempt(in_words(nasty)), Attempt()],
            values={"customer": nasty[:32], "member": nasty[:32]},
            left_out=[LeftOut(1, LeftOutBecause.REFUSED)] if outcome == "sent" else [],
        )
        settled(services.ledger, settlement, state=NASTY[number % len(NASTY)][:64])
    accepted(services.ledger)
    fill_missed(services)
    fill_tagging(services)
    fill_channels(services)
    fill_setup(services)
    fill_draft(services)
    fill_rules(services)
    fill_queue(services)
    fill_tokens(services)
    for number, nasty in enumerate(NASTY):
        services.audit.record(list(Act)[number], nasty, Via.CONSOLE, "default", nasty, number, nasty)


def fill_channels(services: Services) -> None:
    """Codes with hostile names; the first has its picture."""
    real = Channel(NASTY[0][:30], NASTY[6][:30], "real", 1, ("zhangsan",), at=int(time.time()))
    services.redis.set(keys.channel_picture("default", "real"), base64.b64encode(PNG).decode())
    for number, nasty in enumerate(NASTY):
        other = {"name": f"{number}{nasty}", "state": nasty, "config_id": f"c{number}", "qr_code": nasty}
        one = replace(real, **other, members=(nasty,) * 3, at=number) if number else real
        services.redis.hset(keys.channels("default"), one.name, json.dumps(asdict(one)))


def fill_setup(services: Services) -> None:
    """Findings, a refused callback and a rehearsal, each with hostile words."""
    services.verifications.record("default", in_words(NASTY[0]))
    findings = [[NASTY[0], False, NASTY[4], f"`{NASTY[3]}`"], [{"msgid": NASTY[6], "values": {}}, None, "", None]]
    services.redis.set(keys.checkup("default"), json.dumps({"at": 1, "findings": findings}))
    row = next(services.ledger.deliveries())
    kept = rehearsal_steps.KeptRehearsal(row.id, time.time(), NASTY[3], NASTY[4], NASTY[1], NASTY[0], 200)
    rehearsal_steps.keep(services.redis, "default", kept)


def fill_draft(services: Services) -> None:
    """A draft with welcomes of every kind of attachment, and files, texts and names that are hostile."""
    drafts = services.drafts
    files = [drafts.hold("default", name, PNG + name.encode()) for name in (*NASTY[:4], "a" * 300)]
    every: list[Value] = [{"image": {"file": one.path}} for one in files]
    every += [{"link": {"title": NASTY[0], "url": "https://example.com/" + "a" * 1000, "desc": NASTY[2]}}]
    every += [{"miniprogram": {"title": NASTY[3], "appid": "wx1", "page": "p" * 900, "cover": files[0].path}}]
    every += [{"video": {"media_id": "m" * 200}}, {"file": {"file": files[4].path}}]
    text = "".join(NASTY[:4]) + "好" * 1000 + "{customer|" + NASTY[4][:300] + "}"
    welcome: Value = {"text": text, "attachments": every, "then": {"tags": [NASTY[0]], "remark": "{customer}"}}
    group: Value = {"text": NASTY[0] + NASTY[1], "image": {"file": files[3].path}}
    for edit in (
        SetNamed("template", HOSTILE, welcome),
        SetNamed("group_welcome", HOSTILE, group),
        SetNamed("group_welcome", "default", {"text": "a" * 2900}),
    ):
        drafts.change("default", edit, NASTY[3])
    for nasty in NASTY:
        services.labels.add("default", [HOSTILE], cleaned(nasty))


def fill_rules(services: Services) -> None:
    """A second revision by somebody hostile, and a draft with rules that are as hostile as they may be, and clash."""
    app = "default"
    drafts = services.drafts
    every: Value = {
        "member": [one[:60] for one in NASTY],
        "department": ["1", "4294967295"],
        "state": [NASTY[0], NASTY[4][:500]],
        "hours": ["21:00-08:30", "12:00-24:00"],
        "weekdays": ["mon", "wed"],
        "dates": "2026-10-01..2026-10-07",
        "customer_type": ["wechat", "wecom"],
        "add_way": ["1", "999"],
        "change": ["add", "half_add"],
    }
    drafts.change(app, AddRule({"name": HOSTILE, "when": every, "use": {"default": "70", HOSTILE: "30"}}, 0), NASTY[3])
    drafts.change(app, AddRule({"when": {"state": NASTY[0]}, "use": HOSTILE}, 0), NASTY[3])
    drafts.change(app, AddRule({"when": {"state": NASTY[0], "member": "a"}, "use": "default"}), NASTY[3])
    services.books.save(
        app, services.books.source(app, 1).replace("您好", "你好"), author=NASTY[0], note=NASTY[4] + NASTY[1]
    )


def fill_missed(services: Services) -> None:
    """Customers of every hostile name on the work list: reminded, ticked off, never announced."""
    work = services.app("default").work_list
    rows = work.page().rows
    for number, row in enumerate(rows):
        work.name(row.id, NASTY[number % len(NASTY)])
    told = {"reminder": "failed", "reminder_why": NASTY[0], "reminded_by": NASTY[3], "reminded_at": 1}
    services.redis.hset(keys.event(rows[0].id), mapping=told)
    work.tick([rows[-1].id], NASTY[3][:64], int(time.time() * 1000))
    now = int(time.time() * 1000)
    work.add_unannounced([unannounced("a" * 32, user_id=NASTY[0], state=NASTY[4], received_ms=now)], 86400)
    results = services.app("default").transfer_results
    results._save(replace(results.ask(NASTY[0][:60], NASTY[3][:60], NASTY[4]), next_at=None, failed=in_words(NASTY[0])))
    results._save(
        replace(results.ask("zhangsan", "lisi", NASTY[3]), read_at=int(time.time()), answer=Answer(1, 2, 3, 4))
    )
    for why in ("customer_refused", NASTY[0]):
        failed_transfers.add(services.redis, FailedTransfer("default", "ww1", NASTY[3], f"wm-{why}", why), 86400)


def fill_tagging(services: Services) -> None:
    """Customers with hostile tags, by hand: one waits, one has them, one could not get them; and a selection."""
    ids = [row.id for row in services.ledger.deliveries() if row.outcome][:3]
    store = services.taggings
    store.ask("default", ids, [Tag(NASTY[0], NASTY[3]), Tag(NASTY[4][:60], NASTY[1])], NASTY[3])
    services.redis.delete(keys.FOLLOWUP_WOKEN)  # which ends by itself, and tests compare what is stored
    _waits, has, failed = store.claim(3)
    store.record(has, TaggingProgress(FollowUpStatus.DONE, tags=[(tag.group, tag.name) for tag in has.tags]))
    store.record(failed, TaggingProgress(FollowUpStatus.FAILED, in_words(NASTY[4])))
    tags = {json.dumps([NASTY[number], NASTY[number + 1]]): str(number) for number in range(5)}
    services.redis.hset(keys.corp_tags(services.app("default").settings.corp_id), mapping=tags)
    selection = Selection("default", [*ids, "f" * 32], "/console/missed", [[NASTY[0], NASTY[3]]])
    services.redis.set(keys.selection(SELECTED), json.dumps(asdict(selection)))


def fill_queue(services: Services) -> None:
    """Processes that live and one that is silent, jobs that went well and wrong, follow-ups that failed, a pause."""
    hooks = {"crm": "fine", "e" * 32: "silent", "sales": "broken"}
    Heartbeat(services.redis, "welcome", lambda: ["b" * 32] * 9, hooks=lambda: hooks).beat()
    Heartbeat(services.redis, "beat").beat()
    for field, note in services.redis.hgetall(keys.PROCESSES).items():
        if field.startswith("beat"):
            at, _, about = note.partition("|")
            services.redis.hset(keys.PROCESSES, field, f"{int(at) - 60_000}|{about}")
    with jobs.recorded(services.redis, "tasks.upkeep.refresh_tokens"):
        pass
    with contextlib.suppress(OSError), jobs.recorded(services.redis, "tasks.upkeep.watch_media"):
        raise OSError
    store = services.follow_ups
    for name in NASTY:
        sent = Settlement(
            Outcome.SENT, template="default", rule=name[:60], variant=name[:60], steps={"answer_1": 25_000}
        )
        settled(services.ledger, sent, follow_up=True, user_id=name[:60])
        for task in store.claim(1):
            store.record(task, FollowUpProgress(FollowUpStatus.FAILED, in_words(name)))
    services.queue_pauses.pause(FOLLOW_UPS, NASTY[3])
    now = services.ledger.now()
    taken = [f"{now - 10_000 * ago}|{ago % 7}|{ago % 3}|2|{1000 - ago}|{9 + ago // 300}" for ago in range(360, 0, -1)]
    services.redis.lpush(keys.SAMPLES, *taken[:200], *taken[230:])  # half of an hour's samples, and a gap


def fill_tokens(services: Services) -> None:
    """Tokens of the API: one that was used, one that has expired, and of an app that is not there any more."""
    tokens = services.api_tokens
    tokens.verify(tokens.create(NASTY[0], Scope, ["default"], NASTY[3])[1])
    tokens.create(NASTY[3], [Scope.NUMBERS_READ], (), NASTY[1], life=0)
    tokens.create("好" * 64, [Scope.BOOKS_READ, Scope.BOOKS_PUBLISH], [NASTY[2][:20], "default"], NASTY[4], 86_400)


def routes(console: Flask, services: Services, method: str) -> Iterator[tuple[Rule, str]]:
    """Every route that takes a method, with an address that leads to something."""
    values = arguments(services)
    adapter = console.url_map.bind("localhost")
    for rule in console.url_map.iter_rules():
        if method in (rule.methods or ()):
            given: dict[str, object] = {name: values.get(name, "welcome") for name in rule.arguments}
            if "number" in given:
                given["number"] = 1
            yield rule, adapter.build(rule.endpoint, given, method=method)


def arguments(services: Services) -> dict[str, str]:
    """Name of an argument → a value that exists in what `fill` wrote."""
    drafts = services.drafts.working("default")
    identity = next(row.id for row in services.ledger.deliveries() if row.outcome)
    return {
        "app_name": "default",
        "code": "zh_Hans",
        "identity": identity,
        "name": "default",
        "number": "1",
        "config_id": "real",
        "rule": drafts.content.digest_of(drafts.content.rules[1]),
        "token": services.api_tokens.all()[0].id,
        "selection": SELECTED,
        "sha256": next(iter(services.books.media.sizes())),
    }

"""F56: a running system is backed up under load; an empty installation, restored from it, goes on where that was."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.books.media_store import MediaStore
from tasks.services import Services
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.keys import Backup
from tasks.templates.edits import TEMPLATE, SetNamed
from tests.simulator.client import StandIn
from tests.support.books import FILES, a_template
from tests.support.cli import run, said
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.processes import Product
from tests.support.until import until

BOOK = a_template("text: 您好{customer}\nattachments:\n- image: {file: media/hello.png}\nthen: {remark: '{customer}'}")
OPERATOR = "李敏"
PAGES = {"/channels": "展会", "/welcomes/history": "the first", "/welcomes": "未发布的", "/missed?tab=done": OPERATOR}


def told(product: Product, *arguments: str) -> list[str]:
    """What a command says, in lines; run in this process."""
    return said(run(*arguments, **product.environ))


def state(client: Redis) -> dict[str, Any]:
    """Key → value, of every key that the table calls state."""
    files = MediaStore(client, limit=0)
    found: dict[str, Any] = {keys.media(sha256): files.get(sha256) for sha256 in files.sizes()}
    for key in client.scan_iter(count=1000):
        known = keys.find(key)
        if known is not None and known.backup is Backup.LINE:
            match known.type:
                case "string":
                    found[key] = client.get(key)
                case "hash":
                    found[key] = client.hgetall(key)
                case "zset":
                    found[key] = dict(replies.scored(client.zrange(key, 0, -1, withscores=True)))
    return found


def lost(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys that do not have all that they had. Counters may have grown, and sets may have more."""

    def has_all(key: str) -> bool:
        value, now = before[key], after.get(key)
        if isinstance(value, str | bytes) or now is None:
            return bool(value == now)
        if key == keys.COUNTERS or key.startswith(keys.tallies("default")):
            return all(float(now.get(name, 0)) >= float(count) for name, count in value.items())
        return bool(value.items() <= now.items())

    return [key for key in before if not has_all(key)]


def furnished(product: Product, wecom: StandIn) -> Services:
    """With everything that a backup is for: a book with media, a draft, a channel, missed customers, ticks, acts."""
    there = product.services()
    wecom.people(members={"zhangsan": {"name": "张三"}})
    there.books.save("default", BOOK, FILES, author=OPERATOR, note="the first")
    until(lambda: there.redis.exists(keys.ready_media(product.app.corp_id)), every=0.1, what="the media at WeCom")
    there.drafts.change("default", SetNamed(TEMPLATE, "未发布的", {"text": "尚未发布"}), OPERATOR)
    told(product, "channels", "create", "展会", "--member", "zhangsan", "--state", "fair")
    there.app("default").reminders.switch_on(OPERATOR)
    for _ in range(3):
        wecom.add(created_at=int(time.time()) - 3600)  # too late to be greeted
    wecom.load(40, rate=80)
    product.wait_until_settled()
    work_list = there.app("default").work_list
    work_list.tick([work_list.page().rows[0].id], OPERATOR, there.ledger.now())
    until(lambda: not there.redis.zcard(keys.FOLLOWUP_DUE), every=0.1, what="the follow-ups")
    return there


def test_f56_an_installation_restored_from_a_backup_under_load_has_lost_nothing_and_greets_on(
    tmp_path: Path, wecom: StandIn
) -> None:
    roles, console = ["web", "welcome", "upkeep"], {"CONSOLE_PASSWORD": PASSWORD}
    questions = (
        *(("deliveries", "--json", "--limit", "1000"), ("missed", "--json"), ("missed", "--done", "--json")),
        *(("templates", "history"), ("templates", "export"), ("channels", "list"), ("audit", "--json")),
    )
    with Product(tmp_path / "first", wecom, start=roles, **console) as first:
        before = furnished(first, wecom)
        quiet, answers = state(before.redis), [told(first, *one) for one in questions]
        assert {key.split(":")[1] for key in quiet} >= {"event", "book", "media", "channel", "audit", "draft", "day"}

        backup = first.command("backup", str(tmp_path / "backup.zip")).start()
        while backup.alive():
            wecom.load(20, rate=40)  # which waits for the end of the one before
        assert backup.wait() == 0, backup.output()
        rows = {row["id"]: row["outcome"] for row in first.rows()}
        assert Counter(rows.values()) == {"stale": 3, "sent": len(wecom.records()) - 3}

    app = first.app.environment(wecom.base_url)
    second = Product(tmp_path / "second", wecom, start=[], **console, **app)
    second.app = replace(first.app, callback_url=second.app.callback_url)
    with second:
        told(second, "restore", str(tmp_path / "backup.zip"))
        after = second.services()
        assert not lost(quiet, state(after.redis))
        for question, answer in zip(questions, answers, strict=True):
            assert set(answer) <= set(told(second, *question)), question
        browser = Browser(after).signed_in()
        assert not [page for page, mark in PAGES.items() if mark not in text_of(browser.get(page))]
        cut_short = {row["id"] for row in second.rows_now() if row["outcome"] != rows[row["id"]]}
        assert cut_short <= {json.loads(line)["id"] for line in told(second, "missed", "--json", "--limit", "1000")}

        for role in ("web", "welcome"):
            second.roles[role].start()
        second.wait_for_page("/readyz/intake")
        known = len(wecom.records())
        wecom.load(20, rate=40)
        second.wait_until_settled()
        came = wecom.records(known + 1)
        assert len(came) == 20
        assert all(record.content and record.content["attachments"] for record in came)

"""What db5e3bc itself says of its data: on the terminal, to machines, and in the console, in both languages."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from flask import Flask
from flask_babel import force_locale, gettext
from installation import OPERATOR, PASSWORD, REFUSED_CALLBACKS, Installation

from tasks.deliveries import delivery
from tasks.ledger.rows import PREFIX
from tasks.missed import WorkList, missed_of
from tasks.wecom.errors import CODES
from tests.signed_in import COOKIE, signed_in
from webhook import create_app, verdicts
from webhook.diagnosis import is_proven, sentence
from webhook.verdicts import say

missed = import_module("webhook.console.missed")  # a view of that name hides it
LANGUAGES = ("en", "zh_Hans")
PAGES = (
    *("/", "/welcomes", "/welcomes/history", "/welcomes/history/2", "/welcomes/publish", "/deliveries", "/missed"),
    *("/missed?tab=done", "/missed?tab=unsure", "/missed?tab=no_code", "/queue", "/numbers", "/channels", "/groups"),
    *("/media", "/setup"),
)


def record(old: Installation, to: Path) -> None:
    """Write it to a folder."""
    to.mkdir()
    for name, command in {
        "deliveries.jsonl": ("deliveries", "--json", "--limit", "1000"),
        "deliveries.txt": ("deliveries", "--limit", "1000"),
        "missed.jsonl": ("missed", "--json", "--limit", "1000", "--app", "default"),
        "missed.txt": ("missed", "--limit", "1000", "--app", "default"),
        "missed-done.jsonl": ("missed", "--done", "--json", "--app", "default"),
        "history.txt": ("templates", "history", "--app", "default"),
        "book.yaml": ("templates", "export", "--app", "default"),
        "channels.txt": ("channels", "list", "--app", "default"),
    }.items():
        (to / name).write_text(old.command(*command))
    parts = old.parts(20.5)  # as they are configured now
    application = create_app(parts)
    console: Flask = application.extensions["console"]
    words = {
        "rows": {key.removeprefix(PREFIX): _row(old, key, console) for key in sorted(old.redis.keys(PREFIX + "*"))},
        "callbacks": {app: _callback(parts.ledger.last_verification(app), console) for app in REFUSED_CALLBACKS},
        "missed": _each(console, lambda: _causes(old)),
        "ready": sorted({one.reason for one in parts.books.ready.all("ww0000000000000000").values() if one.reason}),
        "groups": _kept(old),
    }
    (to / "words.json").write_text(json.dumps(words, ensure_ascii=False, indent=1) + "\n")
    errcodes = {code: [known.meaning, known.cure] for code, known in CODES.items()}
    (to / "errcodes.json").write_text(json.dumps(errcodes, ensure_ascii=False, indent=1) + "\n")
    _console(application, console, to)


def _console(application: Flask, console: Flask, to: Path) -> None:
    client = application.test_client()
    client.set_cookie(COOKIE, signed_in(console, OPERATOR, PASSWORD)[0], path="/")
    for language in LANGUAGES:
        client.set_cookie("welcome-language", language)
        (to / f"{language}.deliveries.csv").write_bytes(client.get("/console/deliveries.csv").data)
        for page in PAGES:
            answer = client.get(f"/console{page}")
            assert answer.status_code == 200, page
    for by in ("day", "channel", "member", "welcome", "variant"):
        (to / f"numbers-by-{by}.csv").write_bytes(client.get("/console/numbers.csv", query_string={"by": by}).data)
    metrics = client.get("/metrics").text.splitlines()
    kept = [line for line in metrics if "_total{" in line or "_bucket{" in line]
    (to / "metrics.txt").write_text("\n".join(kept) + "\n")


def _each(console: Flask, words: Any) -> dict[str, Any]:
    found = {}
    for language in LANGUAGES:
        with console.test_request_context(), force_locale(language):
            found[language] = words()
    return found


def _row(old: Installation, key: str, console: Flask) -> dict[str, Any]:
    """The words for a row, and how to know it."""
    row = {"id": key.removeprefix(PREFIX), **old.redis.hgetall(key)}
    values, note = delivery(row), verdicts.note(delivery(row))
    found = verdicts.verdict(values, values["received_at"] + 3600, 20.0)

    def words() -> dict[str, Any]:
        return {
            "name": gettext(verdicts.NAMES[values["outcome"] or "open"]),
            "headline": say(found.headline, gettext),
            "more": [say(one, gettext) for one in found.more],
            "note": None if note is None else say(note, gettext),
            "answers": [say(verdicts.answered(one), gettext) for one in values["tries"]],
            "reminder": missed._why_not(missed_of(row).reminder_why) if row.get("reminder") == "failed" else "",
        }

    about = {"app": row["app"], "customer": row["external_user_id"], "outcome": row.get("outcome", "")}
    return {**about, "tone": found.tone, **_each(console, words)}


def _causes(old: Installation) -> list[list[str]]:
    """[outcome, what to do about it] of each cause on the work list."""
    rows = WorkList(old.redis, "default").page(limit=1000).rows
    said = {
        (gettext(verdicts.NAMES[row.cause.outcome]), " ".join(say(one, gettext) for one in missed.cure_of(row.cause)))
        for row in rows
    }
    return [list(one) for one in sorted(said)]


def _callback(noted: tuple[int, str] | None, console: Flask) -> dict[str, Any]:
    assert noted is not None
    if not noted[1]:
        return {"tone": "accepted"}
    tone = "bad" if is_proven(noted[1]) else "warn"
    return {"tone": tone, **_each(console, lambda: say(sentence(noted[1]), gettext))}


def _kept(old: Installation) -> dict[str, str]:
    """Group welcome → why WeCom has not what the book says."""
    return {name: json.loads(text)["reason"] for name, text in old.redis.hgetall("welcome:group:default").items()}

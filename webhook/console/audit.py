"""Audit trail: who did what, in the console or with a command; newest first."""

from collections.abc import Iterator

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import LIFE, PAGE, Entry
from tasks.messages import translate
from webhook.audit_texts import describe
from webhook.console import current
from webhook.console.search import LONGEST, Search

blueprint = Blueprint("audit", __name__)


LOOKED = 1000  # entries that are searched for one page, at the most


@blueprint.get("/audit")
def show() -> ResponseReturnValue:
    """A page of it: what was done in every app, since whoever signs in may act in every one."""
    before, wanted = request.args.get("before") or None, request.args.get("q", "").strip()[:LONGEST]
    try:
        found, older = _page(current.services().audit.entries(before), Search(wanted))
    except ValueError:  # no cursor of ours
        return redirect(url_for(".show", q=wanted or None))
    return render_template(
        "audit/show.html",
        entries=found,
        older=older,
        before=before,
        wanted=wanted,
        days=LIFE // 86_400,
        describe=_described,
    )


def _page(entries: Iterator[Entry], search: Search) -> tuple[list[Entry], str]:
    """(entries that a search finds, the cursor of what comes after them, "" at the end)."""
    found: list[Entry] = []
    last: Entry | None = None
    for number, entry in enumerate(entries):
        if len(found) == PAGE or number == LOOKED:
            return found, last.cursor if last else ""
        if search.finds(entry.who, entry.app, entry.address, _described(entry)):
            found.append(entry)
        last = entry
    return found, ""


def _described(entry: Entry) -> str:
    return translate(describe(entry), _)

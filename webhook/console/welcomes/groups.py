"""Group welcomes: what the book says, what WeCom has, and what bringing them into step would do. Doc 92366."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from tasks import group_welcomes
from tasks.audit import Act
from tasks.group_welcomes import SyncInProgress
from tasks.messages import translate
from tasks.templates.edits import GROUP
from tasks.templates.problems import BookError
from tasks.wecom.message_limits import GROUP_WELCOMES
from webhook.console import current
from webhook.errcode_texts import explained

ACTS = {  # what is to be done → tone, in words
    group_welcomes.ADDED: ("warn", lazy_gettext("To be added at WeCom")),
    group_welcomes.EDITED: ("warn", lazy_gettext("Differs, to be changed at WeCom")),
    group_welcomes.DELETED: ("warn", lazy_gettext("To be deleted at WeCom")),
    group_welcomes.SAME: ("ok", lazy_gettext("Synced")),
    group_welcomes.WAITS: ("plain", lazy_gettext("Waits for its media")),
    group_welcomes.FAILED: ("bad", lazy_gettext("WeCom did not accept it")),
}
_TO_DO = frozenset({group_welcomes.ADDED, group_welcomes.EDITED, group_welcomes.DELETED})


blueprint = Blueprint("groups", __name__)


@blueprint.get("/groups")
def show() -> str:
    """The list: each group welcome in the draft, in the live book and at WeCom."""
    drafts, app = current.services().drafts, current.app()
    draft = drafts.working(app.name)
    live = drafts.live(app.name) if draft.version else draft
    try:
        steps = {step.name: step for step in app.group_sync.sync(dry_run=True)}
    except BookError:
        steps = {}
    content = draft.content
    written = content.named(GROUP)
    published = live.content.named(GROUP) if draft.version else written
    rows = [(name, written.get(name), name in published, written.get(name) == published.get(name),
             steps.get(name)) for name in dict.fromkeys([*written, *published, *steps])]  # fmt: skip
    due = [step for step in steps.values() if step.act in _TO_DO]
    return render_template("groups/list.html", rows=rows, due=due, acts=ACTS, limit=GROUP_WELCOMES.most, draft=draft)


@blueprint.post("/groups/sync")
def bring() -> ResponseReturnValue:
    """Synchronize now. With `check`, compare each with what WeCom has first."""
    try:
        done = current.app().group_sync.sync(check=bool(request.form.get("check")))
    except SyncInProgress:
        flash(_("Syncing already. Try again in a minute"))
        return redirect(url_for("groups.show"))
    for step in done:
        if step.act == group_welcomes.FAILED:
            flash(
                _(
                    "“%(name)s”: WeCom did not accept it: %(reason)s",
                    name=step.name,
                    reason=translate(explained(step.detail), _) if step.detail else "",
                )
            )
    changed = sum(step.act in _TO_DO for step in done)
    if changed:
        current.record(Act.GROUPS_SYNCED, number=changed)
        flash(ngettext("%(num)s synced to WeCom", "%(num)s synced to WeCom", changed))
    elif not any(step.act == group_welcomes.FAILED for step in done):
        flash(_("Nothing to sync"))
    return redirect(url_for("groups.show"))

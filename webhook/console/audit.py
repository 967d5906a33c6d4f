"""Audit trail: who did what, in the console or with a command; newest first."""

from itertools import islice

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import LIFE, PAGE
from tasks.messages import translate
from webhook.audit_texts import describe
from webhook.console import current

blueprint = Blueprint("audit", __name__)


@blueprint.get("/audit")
def show() -> ResponseReturnValue:
    """A page of it: what was done in every app, since whoever signs in may act in every one."""
    before = request.args.get("before") or None
    try:
        found = list(islice(current.services().audit.entries(before), PAGE + 1))
    except ValueError:  # no cursor of ours
        return redirect(url_for(".show"))
    return render_template(
        "audit/show.html",
        entries=found[:PAGE],
        older=found[PAGE - 1].cursor if len(found) > PAGE else "",
        before=before,
        days=LIFE // 86_400,
        describe=lambda entry: translate(describe(entry), _),
    )

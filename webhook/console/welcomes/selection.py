"""One act for many rules or welcomes that are ticked in their lists: move, delete, label."""

from collections.abc import Sequence

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from tasks.audit import Act
from tasks.books.draft import Draft, DraftError, EditConflict, Moved
from tasks.books.labels import TooMany, cleaned
from tasks.messages import translate
from tasks.templates.edits import TEMPLATE, DeleteRules, DeleteUnused, Edit, MoveRules, users
from webhook.console import current
from webhook.console.links import inside
from webhook.console.welcomes.rule_list import PAGE
from webhook.console.welcomes.welcome_list import NONE

blueprint = Blueprint("selection", __name__)


@blueprint.post("/welcomes/rules/select")
def rules() -> ResponseReturnValue:
    """Move or delete the rules that are ticked."""
    content = _working().content
    there = {content.digest_of(rule) for rule in content.rules}
    chosen = [one for one in dict.fromkeys(request.form.getlist("rule")) if one in there]
    gone = len(set(request.form.getlist("rule")) - there)
    if not chosen:
        flash(_("Tick the rules first"), "warn")
        return _back("rules")
    if request.form.get("do") == "delete" and len(chosen) == len(content.rules):
        flash(_("At least one rule has to stay"), "warn")
        return _back("rules")
    if request.form.get("do") == "delete":
        if _changed(DeleteRules(tuple(chosen))):
            _say(
                ngettext("%(num)s rule is deleted in the draft", "%(num)s rules are deleted in the draft", len(chosen)),
                gone,
            )
        return _back("rules")
    number = request.form.get("to", 0, type=int)
    if not 1 <= number <= len(content.rules):
        flash(_("The place is a number from 1 to %(most)s", most=len(content.rules)), "warn")
        return _back("rules")
    if _changed(MoveRules(tuple(chosen), number - 1)):
        _say(ngettext("%(num)s rule is moved in the draft", "%(num)s rules are moved in the draft", len(chosen)), gone)
    page = (min(number, len(content.rules) - len(chosen) + 1) - 1) // PAGE + 1
    return redirect(url_for("welcomes.show", rules=page if page > 1 else None, _anchor=f"rule-{chosen[0]}"))


@blueprint.post("/welcomes/select")
def welcomes() -> ResponseReturnValue:
    """Label or delete the welcomes that are ticked."""
    content = _working().content
    there = content.named(TEMPLATE)
    chosen = [one for one in dict.fromkeys(request.form.getlist("welcome")) if one in there]
    if not chosen:
        flash(_("Tick the welcomes first"), "warn")
    elif request.form.get("do") == "delete":
        _delete(chosen)
    else:
        _label(chosen, request.form.get("do") == "unlabel")
    return _back("welcomes")


def _delete(names: Sequence[str]) -> None:
    """Delete those that no rule sends; the others are named."""
    values = _working().content.values
    unused = [name for name in names if users(values, name) == ((), False)]
    if unused and _changed(DeleteUnused(tuple(unused))):
        flash(
            ngettext(
                "%(num)s welcome is deleted in the draft", "%(num)s welcomes are deleted in the draft", len(unused)
            )
        )
    if len(unused) < len(names):
        n = len(names) - len(unused)
        flash(
            ngettext(
                "%(num)s is in use and stays. Delete it by itself to choose what takes its place",
                "%(num)s are in use and stay. Delete each by itself to choose what takes its place",
                n,
            ),
            "warn",
        )


def _label(names: Sequence[str], off: bool) -> None:
    services, app = current.services(), current.app().name
    label = cleaned(request.form.get("label", ""))
    if not label or label == NONE:
        flash(_("Enter the label first"), "warn")
    elif off:
        services.labels.remove(app, names, label)
        current.record(Act.UNLABELLED, label, len(names))
        flash(_("The label “%(label)s” is removed", label=label))
    else:
        try:
            services.labels.add(app, names, label)
        except TooMany:
            flash(_("There are too many labels. Remove some first"), "bad")
            return
        current.record(Act.LABELLED, label, len(names))
        flash(
            ngettext(
                "%(num)s welcome has the label “%(label)s”",
                "%(num)s welcomes have the label “%(label)s”",
                len(names),
                label=label,
            )
        )


def _changed(edit: Edit) -> bool:
    """Make an edit, or say why not."""
    try:
        current.services().drafts.change(current.app().name, edit, current.operator())
    except (EditConflict, Moved):
        flash(_("Somebody else saved in the same moment. Press the button again"), "warn")
    except DraftError as error:
        flash(translate(error.problems[0].what, _), "bad")
    else:
        return True
    return False


def _say(done: str, gone: int) -> None:
    flash(done)
    if gone:
        flash(
            ngettext(
                "%(num)s had changed meanwhile and was left as it is",
                "%(num)s had changed meanwhile and were left as they are",
                gone,
            ),
            "warn",
        )


def _back(anchor: str) -> ResponseReturnValue:
    """To the list as it was asked for."""
    back = request.form.get("back", "")
    return redirect(f"{inside(back) if back else url_for('welcomes.show')}#{anchor}")


def _working() -> Draft:
    return current.services().drafts.working(current.app().name)

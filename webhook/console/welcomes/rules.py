"""The form of one rule, and the order of rules. What is changed is the draft."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.books.draft import Draft, DraftError, EditConflict, Moved
from tasks.books.recent import DAYS
from tasks.messages import translate
from tasks.templates.edits import RULE, TEMPLATE, AddRule, Edit, MoveRule, Part, PlaceRule, SetRule
from tasks.templates.yaml_writer import Value
from webhook.console import current, picker
from webhook.console.staff import known_staff
from webhook.console.welcomes.lookups import member_names, named, states
from webhook.console.welcomes.rule_form import BLANK, RuleForm, field_names, rule_of
from webhook.console.welcomes.rule_list import PAGE
from webhook.console.welcomes.rule_words import Names
from webhook.console.welcomes.vocabulary import vocabulary

blueprint = Blueprint("rules", __name__)
blueprint.context_processor(vocabulary)


@blueprint.post("/welcomes/rules/move")
def move() -> ResponseReturnValue:
    """Move a rule one place up or down, or right above or below another one."""
    to, _colon, rule = request.form.get("move", "").partition(":")
    rule, to = rule or request.form.get("rule", ""), to or request.form.get("to", "")
    beside = request.form.get("beside", "")
    edit: Edit = MoveRule(rule, 1 if to == "down" else -1)
    if beside:
        edit = PlaceRule(rule, beside, below=to == "below")
    try:
        draft = current.services().drafts.change(current.app().name, edit, current.operator())
    except (EditConflict, Moved):
        flash(_("The rule has changed meanwhile. Look at it again"))
        return redirect(url_for("welcomes.show", _anchor="rules"))
    except DraftError as error:
        flash(translate(error.problems[0].what, _))
        return redirect(url_for("welcomes.show", _anchor="rules"))
    flash(_("The rule is moved in the draft"))
    return redirect(place(draft, draft.content.part(Part(RULE, rule)) or {}))


def place(draft: Draft, value: Value) -> str:
    """The address of a rule in the list."""
    content = draft.content
    digest = content.digest_of(value)
    at = next((n for n, rule in enumerate(content.rules) if content.digest_of(rule) == digest), 0)
    return url_for("welcomes.show", rules=at // PAGE + 1 if at >= PAGE else None, _anchor=f"rule-{digest}")


@blueprint.route("/welcomes/rules/new", methods=["GET", "POST"])
def add() -> ResponseReturnValue:
    """The form of a new rule; `use` and `state` in the query string fill it in."""
    if request.method == "POST":
        return _answer(RuleForm.of_request(request.form), new=True)
    welcome = request.args.get("use", "")
    form = RuleForm(use=[(welcome, "1")] if welcome in _working().content.named(TEMPLATE) else [])
    state = request.args.get("state", "")
    if state:
        form.lists["state"] = [state]
    return _page(form, new=True)


@blueprint.route("/welcomes/rules/<rule>", methods=["GET", "POST"])
def edit(rule: str) -> ResponseReturnValue:
    """The form of an existing rule, identified by the digest of its value."""
    if request.method == "POST":
        return _answer(RuleForm.of_request(request.form), new=False)
    content = _working().content
    value = next((one for one in content.rules if content.digest_of(one) == rule), None)
    if value is None:
        flash(_("This rule has been changed or deleted meanwhile. These are the rules now"))
        return redirect(url_for("welcomes.show"))
    return _page(RuleForm.of_value(value, rule), new=False)


def _answer(form: RuleForm, new: bool) -> ResponseReturnValue:
    """Handle any button of the form."""
    act, _colon, where = request.form.get("do", "save").partition(":")
    if picker.asked(request.form):
        return _page(form, new)
    if act == "more":
        return _page(form.with_variant() if where == "use" else form, new, more=where)
    if act == "drop":
        return _page(form.without_variant(int(where) if where.isdecimal() and where.isascii() else -1), new, more="use")
    if act == "delete":
        return _save(form, SetRule(form.was, None), new, _("The rule is deleted in the draft"))
    value = form.value()
    if form.wrong:
        return _page(form, new), 422
    change: Edit = AddRule(value) if new or act == "add" or not form.was else SetRule(form.was, value)
    return _save(form, change, new, _("The rule is saved in the draft. It applies once it is published"))


def _save(form: RuleForm, change: Edit, new: bool, done: str) -> ResponseReturnValue:
    try:
        draft = current.services().drafts.change(current.app().name, change, current.operator())
    except EditConflict as conflict:
        return _page(form, new, conflict=conflict), 409
    except DraftError as error:
        form.place(error.problems)
        return _page(form, new), 422
    except Moved:
        flash(_("Somebody else saved in the same moment. Press the button again"))
        return _page(form, new), 409
    flash(done)
    saved = getattr(change, "rule", None)
    return redirect(url_for("welcomes.show", _anchor="rules") if saved is None else place(draft, saved))


def _page(form: RuleForm, new: bool, more: str = "", conflict: EditConflict | None = None) -> str:
    draft = _working()
    members, departments = form.lists.get("member", []), form.lists.get("department", [])
    pickers = {
        "member": picker.make("member", request.form, members="member", chosen_members=members),
        "department": picker.make("department", request.form, departments="department", chosen_departments=departments),
    }
    return render_template(
        "welcomes/rule.html",
        form=form,
        new=new,
        rows={kind: _rows(form, kind, more) for kind in ("state", "hours", "dates", "use")},
        more=more,
        clash=None if conflict is None else _clash(form, draft, conflict),
        fields=field_names(),
        pickers=pickers,
        states=states(),
        templates=list(draft.content.named(TEMPLATE)),
        names=Names(member_names(members), named(known_staff().departments)),
        days=DAYS,
    )


def _working() -> Draft:
    return current.services().drafts.working(current.app().name)


def _clash(form: RuleForm, draft: Draft, conflict: EditConflict) -> dict[str, Any]:
    """All three versions: this form, the draft now, and the one that both started from."""
    theirs = _same_name(draft, conflict.original)
    return {
        "author": conflict.author,
        "at": conflict.at / 1000,
        "yours": rule_of(form.value()),
        "theirs": rule_of(theirs),
        "original": rule_of(conflict.original),
        "was": draft.content.digest_of(theirs) if theirs else "",
    }


def _same_name(draft: Draft, original: Any) -> Any:
    """The current rule of the same name; None if there is none, or no name."""
    name = original.get("name") if isinstance(original, dict) else None
    return next((rule for rule in draft.content.rules if name and rule.get("name") == name), None)


def _rows(form: RuleForm, kind: str, more: str) -> list[Any]:
    """The rows of a list, and empty ones after them."""
    pair = kind in ("hours", "dates", "use")
    filled: list[Any] = list(getattr(form, kind) if pair else form.lists.get(kind, []))
    blank = 0 if kind == "use" and filled else 3 if kind == more and kind != "use" else BLANK
    return filled + [("", "") if pair else ""] * blank

"""What the customers of a channel get: fields of a form, and the edit of the draft that they come to."""

import re
import secrets
from collections.abc import Collection
from fnmatch import fnmatchcase

from flask_babel import gettext as _
from flask_wtf import FlaskForm
from wtforms import StringField, TextAreaField
from wtforms.validators import ValidationError

from tasks.channels import STATE_LIMIT
from tasks.templates.edits import TEMPLATE, AddRule, AddRuleWithTemplate, Content, Edit
from tasks.templates.yaml_writer import Value
from webhook.console.search import slug

AS_ALL, KNOWN, NEW = "", "known", "new"
_OF_MEMBERS = {"member", "department"}
_PATTERN = re.compile(r"[*?\[]")  # what a rule's State takes for more than itself


class WelcomeFields:
    """The fields: the same welcome as everybody, one that there is, or a new text."""

    welcome = StringField()  # AS_ALL, KNOWN or NEW
    template = StringField()
    text = TextAreaField()


class WelcomeForm(WelcomeFields, FlaskForm):
    """The form of a channel that is there already."""

    def validate_template(self, field: StringField) -> None:
        check_template(self, field)

    def validate_text(self, field: StringField) -> None:
        check_text(self, field)


def check_template(form: WelcomeFields, field: StringField) -> None:
    if form.welcome.data == KNOWN and not field.data:
        raise ValidationError(_("Choose the welcome that is sent"))


def check_text(form: WelcomeFields, field: StringField) -> None:
    if form.welcome.data == NEW and not (field.data or "").strip():
        raise ValidationError(_("Write the welcome"))


def edit(form: WelcomeFields, name: str, state: str, content: Content) -> Edit | None:
    """The edit of the draft: a rule for the State, and with a new text its template. None: everybody's welcome. Pure.

    The rule stands before an earlier one that has the State among others, or takes all customers of some members, so
    that it is reached; one for some hours stays before it.
    """
    if form.welcome.data not in (KNOWN, NEW):
        return None
    rule_names = {str(rule.get("name") or "") for rule in content.rules}
    templates = set(content.named(TEMPLATE))
    use = str(form.template.data) if form.welcome.data == KNOWN else _free(name, templates)
    rule: Value = {
        "name": _free(name, rule_names),
        "when": {"state": _PATTERN.sub(lambda one: f"[{one[0]}]", state)},
        "use": use,
    }
    if form.welcome.data == NEW:
        text = str(form.text.data or "").replace("\r\n", "\n").strip()
        return AddRuleWithTemplate(use, {"text": text}, rule, _place(content, state))
    return AddRule(rule, _place(content, state))


def _place(content: Content, state: str) -> int | None:
    """The index of the first rule that has the State, or asks for nothing but the member; None if none does."""
    for number, rule in enumerate(content.rules):
        when = rule.get("when") or {}
        if when and set(when) <= _OF_MEMBERS:
            return number
        wanted = when.get("state", [])
        if any(fnmatchcase(state, str(one)) for one in (wanted if isinstance(wanted, list) else [wanted])):
            return number
    return None


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number if it is taken."""
    numbered = (f"{name} {number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def proposed_state(name: str, taken: Collection[str]) -> str:
    """A State that can be read, made from a channel's name, and that no channel has."""
    state = slug(name, STATE_LIMIT - 4) or f"ch-{secrets.token_hex(4)}"
    numbered = (f"{state}-{number}" for number in range(2, len(taken) + 3))
    return state if state not in taken else next(one for one in numbered if one not in taken)

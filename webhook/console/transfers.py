"""Hand-overs to a colleague, on the page Missed: two members are named, and WeCom is asked who was not handed over."""

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act
from tasks.messages import Message, translate
from tasks.missed.transfer_pair import PAIRS, problem
from tasks.missed.transfer_results import TooManyPairs
from webhook.console import current
from webhook.console.search import LONGEST
from webhook.console.staff import known_staff, names_of, suggested_members
from webhook.transfer_texts import not_told

WRONG_PAIR = {
    "empty": Message.of("Enter both members"),
    "long": Message.of("That is no account of a member"),
    "same": Message.of("Enter two members: who had the customers, and who takes them over"),
}

blueprint = Blueprint("transfers", __name__)


def shown() -> dict[str, object]:
    """The template's values: the pairs, with the names of members."""
    pairs = current.app().transfer_results.pairs()
    named = {one for pair in pairs for one in (pair.handover, pair.takeover)}
    staff = known_staff().members
    people = names_of(named) | {one: staff[one].name for one in named & staff.keys() if staff[one].name}
    return {"transfers": pairs, "people": people, "staff": suggested_members(), "not_told": not_told}


@blueprint.post("/missed/transfer")
def ask() -> ResponseReturnValue:
    """Have WeCom asked what became of customers who were handed over from one member to another."""
    handover, takeover = (_member(request.form.get(name, "")) for name in ("handover", "takeover"))
    if wrong := problem(handover, takeover):
        flash(translate(WRONG_PAIR[wrong], _), "warn")
        return _back(handover=handover[:LONGEST] or None, takeover=takeover[:LONGEST] or None)
    try:
        current.app().transfer_results.ask(handover, takeover, current.operator())
    except TooManyPairs:
        flash(_("%(n)s hand-overs are being asked about already. Each ends within a week", n=PAIRS), "warn")
    else:
        current.record(Act.TRANSFER_ASKED, f"{handover} → {takeover}")
        flash(_("WeCom is asked within a minute"))
    return _back()


def _member(text: str) -> str:
    """The userid of a member who was typed by account or, if nobody else is called so, by name."""
    typed = text.strip()
    known = known_staff().members
    called = [one.id for one in known.values() if one.name == typed]
    return called[0] if typed not in known and len(called) == 1 else typed


def _back(**typed: Any) -> ResponseReturnValue:
    return redirect(url_for("missed.show", **typed))

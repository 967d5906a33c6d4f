"""The filter of the list of deliveries: a form whose fields are the query string. It holds ids, never names."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import AnyOf, Length, Optional, ValidationError

from tasks.ledger.delivery import MISSED, OF_NO_EVENT
from webhook.outcomes import NAMES

UNCERTAIN = "unconfirmed"
ALL_MISSED = MISSED | OF_NO_EVENT
TABS = (  # value of `outcome`, name
    ("", lazy_gettext("All")),
    ("sent", lazy_gettext("Sent")),
    ("missed", lazy_gettext("Missed")),
    (UNCERTAIN, lazy_gettext("Uncertain")),
    ("no_code", lazy_gettext("No welcome code")),
    ("lost", lazy_gettext("Greeted elsewhere")),
    ("rehearsed", lazy_gettext("Rehearsal")),
    ("open", lazy_gettext("In progress")),
)
FIELD_WORDS = {
    "outcome": lazy_gettext("Outcome"),
    "member": lazy_gettext("Member"),
    "channel": lazy_gettext("Channel"),
    "welcome": lazy_gettext("Welcome"),
    "since": lazy_gettext("Since"),
    "until": lazy_gettext("Until"),
    "q": lazy_gettext("Customer id"),
    "name": lazy_gettext("Customer"),
}
LONGEST = 256  # characters of a value that is asked for
_DATE = len("2026-11-22")


class Filter(FlaskForm):
    """The filter. An empty field does not filter."""

    class Meta(FlaskForm.Meta):
        csrf = False  # it changes nothing

    outcome = StringField(
        validators=[
            Optional(),
            AnyOf([*NAMES, "missed"], lazy_gettext("There is no such outcome. Choose one of the tabs")),
        ]
    )
    member = StringField(validators=[Length(max=LONGEST)])
    channel = StringField(validators=[Length(max=LONGEST)])
    welcome = StringField(validators=[Length(max=LONGEST)])
    since = StringField()
    until = StringField()
    q = StringField(validators=[Length(max=LONGEST)])
    name = StringField(validators=[Length(max=LONGEST)])  # the token of a name that is looked for

    def validate_since(self, field: StringField) -> None:
        _moment(field.data)

    def validate_until(self, field: StringField) -> None:
        if (until := _moment(field.data)) and self.since.data:
            try:
                since = _moment(self.since.data)
            except ValidationError:
                return
            if since and since > until:
                raise ValidationError(_("“Until” is before “since”"))

    def given(self) -> dict[str, str]:
        """The non-empty fields: the query string of this view."""
        return {field.name: field.data.strip() for field in self if field.data and field.data.strip()}

    def query(self, zone: ZoneInfo) -> dict[str, Any]:
        """The arguments for `Ledger.page`. The form must be valid."""
        given = self.given()
        since, until = _moment(given.get("since")), _moment(given.get("until"))
        if until is not None:  # a date means all of it, and a minute all of that
            until += timedelta(days=1) if len(given["until"]) <= _DATE else timedelta(minutes=1)
        return {
            "outcome": outcomes_of(given.get("outcome", "")),
            "user_id": given.get("member"),
            "state": given.get("channel"),
            "template": given.get("welcome"),
            "external_user_id": given.get("q"),
            "since": int(since.replace(tzinfo=zone).timestamp() * 1000) if since else None,
            "until": int(until.replace(tzinfo=zone).timestamp() * 1000) - 1 if until else None,
        }


def _moment(text: str | None) -> datetime | None:
    """A date, or a date and time, without a zone; None for an empty field."""
    if not text or not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or not 2000 <= moment.year <= 2100:
        raise ValidationError(_("Write a date such as 2026-11-22, or with a time 2026-11-22T10:30"))
    return moment


def outcomes_of(asked: str) -> frozenset[str] | None:
    """The outcomes that a value of `outcome` means, "" for none yet; None: any."""
    if not asked:
        return None
    return ALL_MISSED if asked == "missed" else frozenset({"" if asked == "open" else asked})


def counted(counts: Mapping[str, int]) -> dict[str, int]:
    """Value of `outcome` in the filter → count."""
    found = {outcome or "open": count for outcome, count in counts.items() if count}
    return {**found, "missed": sum(found.get(one, 0) for one in ALL_MISSED), "": sum(found.values())}


def periods(today: date) -> list[tuple[str, dict[str, str]]]:
    """(name, query) of common periods."""
    yesterday = (today - timedelta(days=1)).isoformat()
    return [
        (_("Since midnight"), {"since": today.isoformat(), "until": ""}),
        (_("Yesterday"), {"since": yesterday, "until": yesterday}),
        (_("Last 7 days"), {"since": (today - timedelta(days=6)).isoformat(), "until": ""}),
        (_("All"), {"since": "", "until": ""}),
    ]


def kind_of(field: StringField) -> str:
    """The type of an input for a time; text if its value is invalid, since a date input would not show that."""
    return "text" if field.errors else "datetime-local" if len(field.data or "") > _DATE else "date"

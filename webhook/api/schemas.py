"""What goes into the API and comes out of it. The OpenAPI document is made of these, and so are the checks of input.

An answer has the fields of the command's `--json`: see webhook.delivery_record and webhook.records.
"""

import re
from datetime import date, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range, Regexp

from webhook.outcomes import NAMES

LONGEST = 256  # characters of a value that is asked for
MOST = 200  # items of a list at once
NOTE_LIMIT = 200  # characters
_BIGGEST = 2**31 - 1  # a number of a revision or version
_MOMENT = re.compile(r"(?i)\d{4}-\d\d-\d\d(t\d\d:\d\d:\d\d(\.\d+)?(z|[+-]\d\d:\d\d))?")


class Moment(fields.Field[datetime]):
    """A date, or a date-time of RFC 3339 with its zone. → a datetime, without a zone for a date."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        text = str(value)
        try:
            if not _MOMENT.fullmatch(text):
                raise ValueError(text)
            return datetime.fromisoformat(text.upper())
        except ValueError:
            raise ValidationError("Write 2026-11-22, or with a time and zone 2026-11-22T10:30:00+08:00") from None


class Day(fields.Field[date]):
    """A date. → a date."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date:
        text = str(value)
        try:
            if len(text) != len("2026-11-22") or not text.isascii():
                raise ValueError(text)
            return date.fromisoformat(text)
        except ValueError:
            raise ValidationError("Write a date such as 2026-11-22") from None


def text(about: str, example: str = "", **more: Any) -> fields.String:
    """A text of an answer."""
    return fields.String(metadata={"description": about} | ({"example": example} if example else {}), **more)


def asked(about: str, **more: Any) -> fields.String:
    """A text that is asked for: not empty, and not long."""
    return fields.String(validate=Length(1, LONGEST), metadata={"description": about}, **more)


def number(about: str, **more: Any) -> fields.Integer:
    """A number of an answer."""
    return fields.Integer(metadata={"description": about}, **more)


def moment(about: str, **more: Any) -> fields.Float:
    """Unix seconds."""
    return fields.Float(metadata={"description": f"{about} Unix seconds."}, **more)


def either(name: str) -> dict[str, Any]:
    """The two forms of a Moment, for the document."""
    return {
        "description": name,
        "type": "string",
        "anyOf": [{"format": "date-time"}, {"format": "date"}],
        "example": "2026-11-22",
    }


class MistakeSchema(Schema):
    """One thing that is wrong: with a parameter, or at a place in a book."""

    message = text("What is wrong, and the cure.", required=True)
    line = number("In the book, from 1.")
    column = number("In its line, from 1.")
    path = fields.List(fields.Raw(), metadata={"description": "Keys and indexes from the book's root to the value."})
    name = text("The parameter.")
    place = text("Where the parameter is: query, json.", data_key="in")


class ProblemSchema(Schema):
    """Why there is no answer: RFC 9457."""

    type = text("Always about:blank.", required=True)
    title = text("The status in words.", required=True)
    status = number("The HTTP status.", required=True)
    code = text("What it is, for programs.", "invalid_book", required=True)
    detail = text("What it is, for people.", required=True)
    errors = fields.List(
        fields.Nested(MistakeSchema), metadata={"description": "All that is wrong, the first hundred."}
    )
    count = number("How many errors there are.")
    scope = text("The scope that is missing.", allow_none=True)
    version = number("The draft's version now.")
    revision = number("The live revision now.")


# ------------------------------------------------------------------------------------------------ apps


class AppSchema(Schema):
    """A WeCom app that the token may ask for."""

    name = text("As in addresses.", "default", required=True)
    corp_id = text("企业ID.", "ww0123456789abcdef", required=True)
    revision = number("The live revision of its book; null if it has none.", allow_none=True, required=True)


class AppsSchema(Schema):
    """The apps that the token may ask for."""

    items = fields.List(fields.Nested(AppSchema), required=True)


# ------------------------------------------------------------------------------------------------ deliveries


class DeliveriesQuery(Schema):
    """Which deliveries. All that is given has to hold."""

    outcome = fields.String(
        validate=OneOf([*NAMES, "missed"]),
        metadata={"description": "Only this one; `open`: none yet; `missed`: any of a customer who was not greeted."},
    )
    member = asked("Only this member's userid.")
    customer = asked("Only this customer's external_userid.")
    channel = asked("Only this State.")
    welcome = asked("Only this template.")
    since = Moment(metadata=either("Only those received since."))
    until = Moment(metadata=either("Only those received until, this date or moment included."))
    cursor = fields.String(
        validate=Regexp(r"^[0-9]{1,15}-[0-9A-Za-z_-]{1,64}\Z"),
        metadata={"description": "`next` of the page before.", "pattern": "^[0-9]{1,15}-[0-9A-Za-z_-]{1,64}$"},
    )
    limit = fields.Integer(
        load_default=50, validate=Range(1, MOST), metadata={"description": "At most so many, the newest first."}
    )


class TrySchema(Schema):
    """One try to send the greeting."""

    errcode = number("WeCom's; null: no answer.", allow_none=True, required=True)
    reason = text("Why it failed; empty if it did not.", required=True)


class FollowUpSchema(Schema):
    """Tags and remark, after the greeting."""

    state = text("How far it is.", "done", required=True)
    attempts = number("Tries.", required=True)
    at = moment("When it came to this.", allow_none=True, required=True)
    next_at = moment("When it is tried again.", allow_none=True, required=True)
    reason = text("Why it failed or waits.", required=True)
    tags = fields.List(fields.String(), metadata={"description": "Those that were set."}, required=True)
    remark = text("`set`, or `kept`: the member had one.", allow_none=True, required=True)


class DeliverySchema(Schema):
    """What became of one added customer, as `deliveries --json` prints it. No name of a customer is in it."""

    id = text("The event's id.", "3f9a0c5d8e7b41620d9c1a2b3c4d5e6f", required=True)
    app = text("The app.", "default", required=True)
    change = text("How the customer was added.", "add", required=True)
    user_id = text("The member's userid.", "zhangsan", required=True)
    external_user_id = text("The customer's external_userid.", "wmEAlECwAAsIBcd7QuACLGFBmA2qLmFg", required=True)
    state = text("The channel's State; empty without one.", "douyin-1", required=True)
    created_at = number("When WeCom says that it happened: Unix seconds.", required=True)
    received_at = moment("When WeCom's callback came.", required=True)
    outcome = text("What became of it; null: nothing yet.", "sent", allow_none=True, required=True)
    errcode = number("WeCom's; null: it had no part in the outcome.", allow_none=True, required=True)
    reason = text("Why; empty where there is nothing to say.", required=True)
    template = text("The template that was chosen.", "default", required=True)
    rule = text("The rule that chose it.", "douyin", required=True)
    variant = text("The variant of an A/B rule.", required=True)
    attempts = number("Tries to send.", required=True)
    recoveries = number("How often another worker took it over.", required=True)
    steps = fields.Dict(
        fields.String(), fields.Integer(), metadata={"description": "Step → milliseconds since receipt."}, required=True
    )
    cause = text("`paused`, `limited`, `overloaded`, or empty.", required=True)
    revision = number("Of the book.", allow_none=True, required=True)
    tries = fields.List(fields.Nested(TrySchema), required=True)
    without = fields.List(
        fields.Integer(), metadata={"description": "Attachments that were not sent, from 1."}, required=True
    )
    lifeboat = fields.Boolean(metadata={"description": "It was greeted while Redis was away."}, required=True)
    followup = fields.Nested(FollowUpSchema, allow_none=True, required=True)


class DeliveriesSchema(Schema):
    """A page of deliveries, the newest first."""

    items = fields.List(fields.Nested(DeliverySchema), required=True)
    next = text(
        "The cursor of the next page; null: there is none. A page may have few items, or none, and yet a next one: a "
        "thousand rows are looked at for one.",
        allow_none=True,
        required=True,
    )

"""What goes into the API and comes out of it. The OpenAPI document is made of these, and so are the checks of input.

An answer has the fields of the command's `--json`: see webhook.delivery_record and webhook.records.
"""

import re
from datetime import date, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range, Regexp

from tasks.events import CHANGES
from tasks.templates.conditions import CUSTOMER_TYPES
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


class Whole(fields.Integer):
    """A whole number in JSON, where 3.0 is one too; a text is none."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise self.make_error("invalid", input=value)
        return int(value)


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


# ------------------------------------------------------------------------------------------------ books


class AttachmentSchema(Schema):
    """What is sent with a text. Which fields there are depends on `type`."""

    type = text("As WeCom calls it.", "image", required=True)
    title = text("Of a link or mini program.")
    url = text("Of a link.")
    desc = text("Of a link.", allow_none=True)
    picurl = text("Of a link.", allow_none=True)
    appid = text("Of a mini program.")
    page = text("Of a mini program.")
    file = text("The path in the book.", "media/hello.png")
    pic_url = text("A picture's address.")
    media_id = text("A media id of the author's own.")


class TemplateSchema(Schema):
    """A template; placeholders are not filled in."""

    kind = text("Always template.", required=True)
    name = text("Its name.", "default", required=True)
    text = text("What is sent.", "您好{customer}，我是{member}", required=True)
    attachments = fields.List(fields.Nested(AttachmentSchema), required=True)
    tags = fields.List(fields.String(), metadata={"description": "Set afterwards: group/tag."}, required=True)
    remark = fields.String(allow_none=True, metadata={"description": "Set afterwards."}, required=True)


class RuleSchema(Schema):
    """A rule; the first that applies wins."""

    kind = text("Always rule.", required=True)
    name = text("Its name; null without one.", allow_none=True, required=True)
    number = number("Its place, from 1.", required=True)
    when = fields.Dict(
        fields.String(),
        fields.List(fields.Raw()),
        metadata={"description": "Condition → values, any of which will do. Empty: always."},
        required=True,
    )
    use = fields.Dict(fields.String(), fields.Integer(), metadata={"description": "Template → weight."}, required=True)


class GroupWelcomeSchema(Schema):
    """A 入群欢迎语."""

    kind = text("Always group_welcome.", required=True)
    name = text("Its name.", required=True)
    text = text("What is sent.", required=True)
    attachments = fields.List(fields.Nested(AttachmentSchema), required=True)


class ContentsSchema(Schema):
    """What is in a book."""

    templates = fields.List(fields.Nested(TemplateSchema), required=True)
    rules = fields.List(fields.Nested(RuleSchema), required=True)
    group_welcomes = fields.List(fields.Nested(GroupWelcomeSchema), required=True)


class RevisionSchema(Schema):
    """A book that was published, as `templates history --json` prints it."""

    app = text("The app.", "default", required=True)
    revision = number("Its number.", required=True)
    current = fields.Boolean(metadata={"description": "It is live."}, required=True)
    at = moment("When it was published.", allow_none=True, required=True)
    author = text("By whom.", allow_none=True, required=True)
    note = text("Why.", allow_none=True, required=True)
    files = fields.List(fields.String(), metadata={"description": "Paths of the files that it shows."}, required=True)


class BookSchema(RevisionSchema):
    """A revision, and what is in it."""

    contents = fields.Nested(
        ContentsSchema, allow_none=True, metadata={"description": "Null: it cannot be read."}, required=True
    )


class RevisionsQuery(Schema):
    """Which revisions."""

    before = fields.Integer(
        validate=Range(1, _BIGGEST), metadata={"description": "`next` of the page before: only earlier ones."}
    )
    limit = fields.Integer(load_default=20, validate=Range(1, 100), metadata={"description": "At most so many."})


class RevisionsSchema(Schema):
    """Revisions, the newest first."""

    items = fields.List(fields.Nested(RevisionSchema), required=True)
    next = number("`before` of the next page; null: there is none.", allow_none=True, required=True)


class DraftSchema(Schema):
    """The book that is being edited while another one is live."""

    app = text("The app.", "default", required=True)
    version = number("Counts every change. What changes the draft names the version that it has seen.", required=True)
    base = number("The revision that it began from; 0: none.", required=True)
    behind = fields.Boolean(metadata={"description": "Another revision went live since it began."}, required=True)
    author = text("Who changed it last.", required=True)
    authors = fields.List(fields.String(), metadata={"description": "All who have changed it."}, required=True)
    at = moment("When that was.", required=True)
    second_person = fields.Boolean(
        metadata={"description": "A second person publishes here, in the console: no token may."}, required=True
    )
    files = fields.List(fields.String(), metadata={"description": "Paths of the files that it shows."}, required=True)
    contents = fields.Nested(
        ContentsSchema, allow_none=True, metadata={"description": "Null: it cannot be read."}, required=True
    )


class DraftVersion(Schema):
    """Which draft is meant."""

    version = fields.Integer(
        required=True, validate=Range(1, _BIGGEST), metadata={"description": "Of the draft that was seen."}
    )


class ImportQuery(Schema):
    """What an import replaces."""

    version = fields.Integer(
        load_default=0,
        validate=Range(0, _BIGGEST),
        metadata={"description": "Of the draft that it replaces; 0: there is none."},
    )


def _without() -> fields.Boolean:
    about = "Go live although no package here provides some of its placeholders: customers get their fallbacks."
    return fields.Boolean(load_default=False, truthy={True}, falsy={False}, metadata={"description": about})


class PublishBody(Schema):
    """What is to be published."""

    version = Whole(
        required=True,
        validate=Range(1, _BIGGEST),
        metadata={"description": "Of the draft that was seen.", "example": 3},
    )
    note = fields.String(
        load_default="",
        validate=Length(max=NOTE_LIMIT),
        metadata={"description": "Why, for the history.", "example": "autumn"},
    )
    without = _without()


class RollbackBody(Schema):
    """What is to be live again."""

    base = Whole(
        required=True,
        validate=Range(1, _BIGGEST),
        metadata={"description": "The revision that is live, as it was seen.", "example": 4},
    )
    note = fields.String(
        load_default="", validate=Length(max=NOTE_LIMIT), metadata={"description": "Why, for the history."}
    )
    without = _without()


class ValidSchema(Schema):
    """A book that is valid."""

    templates = number("How many.", required=True)
    rules = number("How many.", required=True)
    group_welcomes = number("How many.", required=True)
    remarks = fields.List(
        fields.String(), metadata={"description": "What is valid, and probably a mistake."}, required=True
    )


# ------------------------------------------------------------------------------------------------ explain


class ExplainQuery(Schema):
    """The customer who is added. A name is not asked for: an address ends in logs."""

    member = fields.String(
        required=True,
        validate=Length(1, LONGEST),
        metadata={"description": "The userid of the member who is added.", "example": "zhangsan"},
    )
    state = fields.String(load_default="", validate=Length(max=LONGEST), metadata={"description": "The State."})
    at = Moment(
        metadata={
            "description": "When, in this century; default: now. A date means its noon.",
            "type": "string",
            "pattern": "^20",
            "anyOf": [{"format": "date-time"}, {"format": "date"}],
        }
    )
    customer_type = fields.String(
        validate=OneOf([*CUSTOMER_TYPES.values()]), metadata={"description": "Default: not known."}
    )
    add_way = fields.Integer(
        validate=Range(0, _BIGGEST), metadata={"description": "How they met (doc 92114). Default: not known."}
    )
    change = fields.String(
        load_default="add", validate=OneOf([*CHANGES.values()]), metadata={"description": "How the customer was added."}
    )
    customer_id = asked(
        "An external_userid: packages are asked about this customer for their placeholders. The token needs the scope "
        "`deliveries:read` for it, too."
    )
    book = fields.String(
        load_default="live", validate=OneOf(["live", "draft"]), metadata={"description": "Which book is asked."}
    )


class PassedOverSchema(Schema):
    """A rule before the one that won."""

    rule = text("Its name, or its number.", required=True)
    reason = text("Why it does not apply.", required=True)


class GreetingSchema(Schema):
    """What the customer gets, or one of the variants."""

    template = text("The template.", "default", required=True)
    share = fields.Float(metadata={"description": "Of the rule's customers, 0 to 1."}, required=True)
    text = text("The text, with the placeholders filled in.", required=True)
    attachments = fields.List(fields.String(), metadata={"description": "Each in a few words."}, required=True)
    tags = fields.List(fields.String(), metadata={"description": "Set afterwards."}, required=True)
    remark = fields.String(allow_none=True, metadata={"description": "Set afterwards."}, required=True)


class ExplanationSchema(Schema):
    """Who would get what, and why, as `templates explain --json` prints it."""

    app = text("The app.", "default", required=True)
    member = text("The member's userid.", required=True)
    state = text("The State.", required=True)
    change = text("How the customer was added.", required=True)
    at = moment("When.", required=True)
    rule = text(
        "The rule that won; empty: none applies, and the template `default` is used; null: this customer gets nothing.",
        allow_none=True,
        required=True,
    )
    passed_over = fields.List(fields.Nested(PassedOverSchema), required=True)
    greetings = fields.List(fields.Nested(GreetingSchema), required=True)


# ------------------------------------------------------------------------------------------------ numbers


class NumbersQuery(Schema):
    """Which days, and by what they are counted."""

    since = Day(
        required=True,
        metadata={
            "description": "The first day.",
            "type": "string",
            "format": "date",
            "example": "2026-11-20",
        },
    )
    until = Day(
        required=True,
        metadata={
            "description": "The last day: at most 400 by day, 92 by anything else.",
            "type": "string",
            "format": "date",
            "example": "2026-11-26",
        },
    )
    by = fields.String(
        load_default="day",
        validate=OneOf(["day", "channel", "member", "welcome", "variant"]),
        metadata={"description": "What a row is of."},
    )
    limit = fields.Integer(
        load_default=100,
        validate=Range(1, 2000),
        metadata={"description": "Rows at most, those with most customers first; days: all."},
    )


class OfSchema(Schema):
    """Whom a row is of."""

    value = text(
        "The day, State, userid, template or variant; null: those for which there was no room.",
        allow_none=True,
        required=True,
    )
    rule = text("Of a variant.", allow_none=True, required=True)
    name = text("Of a member, where it is known; else empty.", required=True)


class CountsSchema(Schema):
    """What became of customers, as on the page Numbers; without rehearsals."""

    added = number("All.", required=True)
    sent = number("WeCom took the greeting.", required=True)
    missed = number("Not greeted.", required=True)
    unconfirmed = number("Probably greeted.", required=True)
    no_code = number("WeCom gave no welcome code.", required=True)
    lost = number("Greeted elsewhere.", required=True)
    on_time = fields.Float(
        allow_none=True,
        metadata={"description": "Sent, of those with a welcome code, 0 to 1; null: there were none."},
        required=True,
    )


class NumbersRowSchema(OfSchema, CountsSchema):
    """One row."""


class NumbersTotalSchema(CountsSchema):
    """All of them."""

    half_s = fields.Float(
        allow_none=True,
        metadata={"description": "Seconds within which half were sent; null: not known."},
        required=True,
    )


class NumbersSchema(Schema):
    """The page Numbers, as values."""

    app = text("The app.", "default", required=True)
    since = text("The first day.", "2026-11-20", required=True)
    until = text("The last day.", "2026-11-26", required=True)
    by = text("What a row is of.", "day", required=True)
    items = fields.List(fields.Nested(NumbersRowSchema), required=True)
    further = number("How many rows there are beyond the limit.", required=True)
    total = fields.Nested(NumbersTotalSchema, required=True)


class StayingQuery(Schema):
    """Which customers, and by what they are counted."""

    days = fields.Integer(
        load_default=30,
        validate=OneOf([30, 90]),
        metadata={"description": "Those of so many days, the last of them today; by member 30."},
    )
    by = fields.String(
        load_default="welcome",
        validate=OneOf(["welcome", "variant", "channel", "member"]),
        metadata={"description": "What a row is of."},
    )


class LeftSchema(Schema):
    """How many left within some days, of those who are known for so long."""

    within = number("Days after the add.", required=True)
    left = number("How many left.", required=True)
    of = number("Of how many.", required=True)
    share = fields.Float(
        allow_none=True, metadata={"description": "0 to 1; null: nobody is known for so long."}, required=True
    )
    low = fields.Float(metadata={"description": "Where the share may begin, 95 % certain."}, required=True)
    high = fields.Float(metadata={"description": "Where it may end."}, required=True)


class StayingRowSchema(OfSchema):
    """One row."""

    greeted = number("Customers who were greeted.", required=True)
    left = fields.List(fields.Nested(LeftSchema), required=True)
    staying = fields.List(
        fields.Float(),
        metadata={"description": "The share that is there still after 0, 1, 2 … days (Kaplan-Meier)."},
        required=True,
    )


class ComparedSchema(Schema):
    """The two busiest variants of a rule, by who left within 7 days."""

    rule = text("The rule.", required=True)
    first = text("A variant.", required=True)
    other = text("Another one.", required=True)
    low = fields.Float(
        metadata={"description": "Where the difference of the shares may begin, 95 % certain."}, required=True
    )
    high = fields.Float(metadata={"description": "Where it may end."}, required=True)
    needed = number(
        "Customers of each before the difference that is seen is told from chance; null: none is seen.",
        allow_none=True,
        required=True,
    )


class StayingSchema(Schema):
    """The page Who stays, as values."""

    app = text("The app.", "default", required=True)
    days = number("Of so many days.", required=True)
    by = text("What a row is of.", "welcome", required=True)
    items = fields.List(fields.Nested(StayingRowSchema), required=True)
    total = fields.Nested(StayingRowSchema, required=True)
    again = number("Adds of customers who had left before.", required=True)
    compared = fields.List(fields.Nested(ComparedSchema), required=True)

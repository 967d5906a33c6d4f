"""Who gets what: for a member, a channel and a time, the welcome and the reason, rule by rule."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from werkzeug.datastructures import MultiDict

from tasks.books.draft import book_of
from tasks.directory.lookup import Lookup
from tasks.events import CHANGES, ContactAdded
from tasks.messages import Message
from tasks.templates.conditions import CUSTOMER_TYPES, DEPARTMENTS, Contact, why_not
from tasks.templates.model import DEFAULT, Book, Rule
from tasks.templates.render import ABOUT_CUSTOMER, placeholders
from tasks.templates.select import needs
from webhook.console import current, picker
from webhook.console.staff import PATIENCE, known_staff, suggested_members
from webhook.console.welcomes import rule_words
from webhook.console.welcomes.lookups import member_names, names_of, states
from webhook.console.welcomes.preview import Bubble, bubbles
from webhook.console.welcomes.rule_words import Condition, Names
from webhook.console.welcomes.vocabulary import vocabulary
from webhook.explaining import in_zone

LOST, WON, UNSEEN = "lost", "won", "unseen"  # what became of a rule
LONGEST = 128  # characters of a State or userid
FOLDED = 20  # rules above which those that did not win are folded
SAMPLE = "王芳"  # the customer of a preview


@dataclass(frozen=True, slots=True)
class Question:
    """The customer to explain. `at`: None for now. Texts as typed, "" if empty."""

    member: str = ""
    state: str = ""
    at: datetime | None = None
    customer_type: str = ""
    add_way: int | None = None
    change: str = "add"
    draft: bool = False
    wrong: Message | None = None


@dataclass(frozen=True, slots=True)
class RuleStep:
    """One rule's evaluation. `why` it lost, None otherwise."""

    number: int
    rule: Rule
    conditions: tuple[Condition, ...]
    fate: str
    why: Message | None = None


@dataclass(frozen=True, slots=True)
class GreetingPreview:
    """A welcome as it would arrive, and the percentage of the rule's customers who get it."""

    template: str
    percent: int
    bubbles: list[Bubble]


blueprint = Blueprint("explaining", __name__)
blueprint.context_processor(vocabulary)


@blueprint.get("/welcomes/explain")
def explain() -> str:
    """The question and its answer."""
    drafts, app = current.services().drafts, current.app().name
    asked = question(request.args, current.zone())
    draft = drafts.working(app)
    shown = draft if asked.draft or not draft.version else drafts.live(app)
    book = book_of(shown)
    answer = None
    if book is not None and asked.member and asked.wrong is None:
        answer = _answer(book, asked)
    members = known_staff().members
    name = members[asked.member].name if asked.member in members else ""
    name = name or member_names([asked.member])[asked.member]
    return render_template(
        "welcomes/explain.html",
        asked=asked,
        has_draft=bool(draft.version),
        book=book,
        revision=shown.base,
        answer=answer,
        folded=FOLDED,
        member=name or asked.member,
        unknown_member=bool(members) and asked.member not in members and bool(asked.member),
        members=suggested_members(),
        people=picker.one(request.args),
        states=states(),
        types=list(CUSTOMER_TYPES.values()),
    )


def contact_of(book: Book, asked: Question) -> Contact:
    """The customer of a question, with what rules ask of the member."""
    return _looked_up(book, asked)[0]


def _looked_up(book: Book, asked: Question) -> tuple[Contact, Lookup]:
    services, app = current.services(), current.app()
    at = asked.at or datetime.fromtimestamp(time.time(), current.zone())
    event = ContactAdded(
        app.name, app.settings.corp_id, asked.change, asked.member, "", int(at.timestamp()), state=asked.state
    )
    by = time.monotonic() + PATIENCE
    lookup = services.lookups.about(app.wecom, event, int(at.timestamp() * 1000), by, PATIENCE)
    contact = lookup.contact(needs(book) & {DEPARTMENTS} if asked.member else frozenset())
    return replace(contact, customer_type=asked.customer_type or None, add_way=asked.add_way), lookup


def _answer(book: Book, asked: Question) -> Mapping[str, Any]:
    contact, lookup = _looked_up(book, asked)
    names = names_of(book.rules)
    names = replace(names, members={**names.members, **member_names([asked.member])})
    steps = way(book, contact, names)
    won = next((step.rule for step in steps if step.fate == WON), None)
    shares = rule_words.shares(won) if won else [(DEFAULT, 100)] if DEFAULT in book.templates else []
    texts = [book.templates[name].text for name, percent in shares]
    wanted = frozenset(one.name for text in texts for one in placeholders(text)) - ABOUT_CUSTOMER
    values = lookup.values(wanted) | {"customer": SAMPLE}
    greetings = [
        GreetingPreview(name, percent, bubbles(book.templates[name], values)) for name, percent in shares if percent
    ]
    return {
        "at": contact.at.timestamp(),
        "steps": steps,
        "won": won,
        "greetings": greetings,
        "corp": values.get("corp", ""),
    }


def way(book: Book, contact: Contact, names: Names) -> list[RuleStep]:
    """Each rule's result: lost with its reason, won, or not evaluated."""
    steps: list[RuleStep] = []
    won = False
    for number, rule in enumerate(book.rules, 1):
        why = None if won else why_not(rule.when, contact)
        fate = UNSEEN if won else WON if why is None else LOST
        won = won or fate == WON
        why = None if why is None else rule_words.why_lost(why, names)
        steps.append(RuleStep(number, rule, rule_words.conditions(rule.when, names), fate, why))
    return steps


def question(args: "MultiDict[str, str]", zone: ZoneInfo) -> Question:
    """The query string as a Question; `wrong`: what is invalid in it."""
    wrong = None
    at = None
    moment = args.get("at", "").strip()
    if moment:
        try:
            at = in_zone(datetime.fromisoformat(moment), zone)
        except ValueError:
            wrong = Message.of("A time looks like 2026-11-22 21:30; this is %(text)s", text=moment[:40])
    way_typed = args.get("way", "").strip()
    if way_typed and not (way_typed.isascii() and way_typed.isdecimal() and len(way_typed) <= 9):
        wrong, way_typed = Message.of("The way of adding is chosen from the list"), ""
    kind, change = args.get("type", ""), args.get("change", "add")
    return Question(
        member=(picker.chosen_one(args) or args.get("member", "").strip())[:LONGEST],
        state=args.get("state", "").strip()[:LONGEST],
        at=at,
        customer_type=kind if kind in CUSTOMER_TYPES.values() else "",
        add_way=int(way_typed) if way_typed else None,
        change=change if change in CHANGES.values() else "add",
        draft=args.get("book") == "draft",
        wrong=wrong,
    )

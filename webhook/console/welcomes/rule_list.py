"""The rules of a draft as a list: searched, paged, and by who would get what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flask import request
from flask_babel import gettext as _

from tasks.books.draft import Draft
from tasks.directory.lookup import directory
from tasks.messages import Message, translate
from tasks.templates.conditions import why_not
from tasks.templates.impact import Hits, shadowed
from tasks.templates.model import Book, Rule
from webhook.console import current
from webhook.console.paging import Paging, paged
from webhook.console.search import Search
from webhook.console.staff import known_staff
from webhook.console.welcomes import rule_words
from webhook.console.welcomes.explaining import Question, contact_of, question
from webhook.console.welcomes.lookups import names_of
from webhook.console.welcomes.rule_words import Names

PAGE = 20  # rules on one page
LOST, WON, UNSEEN = "lost", "won", "unseen"


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule in the list. `hits` None: not known. `hidden_by`: the rule that shadows it, 0 for none.

    `fate`: of the customer that was asked about, "" if none was; `why` the rule lost.
    """

    number: int
    digest: str
    rule: Rule
    conditions: tuple[rule_words.Condition, ...]
    shares: list[tuple[str, int]]
    hits: int | None
    hidden_by: int
    fate: str = ""
    why: Message | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer that was asked about. `winner`: the rule's number, 0 for none; `lost`: why each before it did."""

    asked: Question
    winner: int
    lost: Mapping[int, Message]
    unknown: bool = False  # nobody is called so

    def fate(self, number: int) -> str:
        return WON if number == self.winner else LOST if number in self.lost else UNSEEN


@dataclass(frozen=True, slots=True)
class RuleList:
    """`total`: rules of the book; `is_whole`: none is left out by a search, so that rows may be dragged."""

    rows: list[RuleRow]
    total: int
    paging: Paging
    is_whole: bool
    is_last: bool
    customer: Customer | None
    asked: Question


def rule_list(draft: Draft, book: Book, found: Hits | None) -> RuleList:
    """The rules that the query string asks for: `q`, `use`, `rules` (the page), and a customer."""
    search, use = Search(request.args.get("q", "")), request.args.get("use", "")
    numbered = list(enumerate(book.rules, 1))
    names = names_of(book.rules if search else ())
    chosen = [
        (number, rule)
        for number, rule in numbered
        if (not use or use in {one.template for one in rule.variants})
        and (not search or search.finds(*_texts(rule, names)))
    ]
    asked = question(request.args, current.zone())
    customer = _customer(book, asked)
    at = next((place for place, (number, _rule) in enumerate(chosen) if customer and number == customer.winner), 0)
    shown, paging = paged(chosen, PAGE, "rules", "rules", at // PAGE + 1)
    return RuleList(
        _rows(draft, book, shown, found, customer),
        len(numbered),
        paging,
        len(chosen) == len(numbered),
        paging.last == len(chosen),
        customer,
        asked,
    )


def _rows(
    draft: Draft, book: Book, shown: Sequence[tuple[int, Rule]], found: Hits | None, customer: Customer | None
) -> list[RuleRow]:
    names = names_of(rule for _number, rule in shown)
    members = {one for rule in book.rules for one in rule.when.member}
    hidden = shadowed(book, directory(current.services().redis, draft.app, members))
    content = draft.content
    values = content.rules
    return [
        RuleRow(
            number,
            content.digest_of(values[number - 1]),
            rule,
            rule_words.conditions(rule.when, names),
            rule_words.shares(rule),
            None if found is None else found.rules[number],
            hidden.get(number, 0),
            customer.fate(number) if customer else "",
            customer.lost.get(number) if customer else None,
        )
        for number, rule in shown
    ]


def _texts(rule: Rule, names: Names) -> list[str]:
    """What a rule is found by: its name, its conditions in words, the ids of its members, what it sends."""
    words = [translate(value, _) for condition in rule_words.conditions(rule.when, names) for value in condition.values]
    return [rule.name, *words, *rule.when.member, *(one.template for one in rule.variants)]


def _customer(book: Book, asked: Question) -> Customer | None:
    """What becomes of the customer that the query string has; None if it has none."""
    if not (asked.member or asked.state) or asked.wrong is not None:
        return None
    member, is_unknown = _account(asked.member)
    asked = replace(asked, member=member)
    contact = contact_of(book, asked)
    lost: dict[int, Message] = {}
    for number, rule in enumerate(book.rules, 1):
        why = why_not(rule.when, contact)
        if why is None:
            return Customer(asked, number, lost, is_unknown)
        about_member = rule.when.member or rule.when.department
        lost[number] = Message.of("it asks for the member") if about_member and not member else why
    return Customer(asked, 0, lost, is_unknown)


def _account(typed: str) -> tuple[str, bool]:
    """(the account of a member that was typed as account or name, whether no such member is known)."""
    members = known_staff().members
    if not typed or not members or typed in members:
        return typed, False
    search = Search(typed)
    found = [one.id for one in members.values() if search.finds(one.name)]
    return (found[0], False) if len(found) == 1 else (typed, True)

"""Which template a contact gets. Pure: a function of the book and what is known about the contact.

The first rule that matches wins. A rule that needs an unknown fact does not match, so a later one may, or the template
`default` is used: a failed lookup alone leaves nobody without a welcome.
"""

import hashlib

from tasks.templates.conditions import FACTS, Contact, applies, judge
from tasks.templates.model import DEFAULT, Book, Choice, Rule, Variant


def select(book: Book, contact: Contact) -> Choice | None:
    """The choice of the first rule that matches, else the template `default`; None if there is neither."""
    for number, rule in enumerate(book.rules, 1):
        if applies(rule.when, contact):
            label = rule.label(number)
            variant = pick(rule, label, contact)
            return Choice(book.templates[variant], label, variant if len(rule.variants) > 1 else "")
    default = book.templates.get(DEFAULT)
    return None if default is None else Choice(default, "")


def needs(book: Book, contact: Contact | None = None) -> frozenset[str]:
    """The facts that a book's rules may need; with a contact, those that its choice depends on.

    Facts: values of tasks.templates.conditions.FACTS.
    """
    wanted: set[str] = set()
    for rule in book.rules:
        if contact is None:
            wanted |= {fact for condition, fact in FACTS.items() if getattr(rule.when, condition)}
            continue
        verdicts = list(judge(rule.when, contact))
        if any(verdict.holds is False for verdict in verdicts):
            continue
        asked = {verdict.fact for verdict in verdicts if verdict.holds is None}
        if not asked:
            break  # this rule wins, unless an earlier one does
        wanted |= asked
    return frozenset(wanted)


def pick(rule: Rule, label: str, contact: Contact) -> str:
    """The template of a rule: by weight where it has several, and always the same one for a customer."""
    first, *others = rule.variants
    if not others:
        return first.template
    digest = hashlib.sha256("\0".join((contact.app, label, contact.external_user_id)).encode()).digest()
    # a point on the whole range, so that a small change of weights moves few customers
    point = int.from_bytes(digest[:8], "big") * sum(variant.weight for variant in rule.variants) >> 64
    return _at(rule.variants, point)


def _at(variants: tuple[Variant, ...], point: int) -> str:
    for variant in variants:
        if point < variant.weight:
            return variant.template
        point -= variant.weight
    raise ValueError("a point beyond all weights")

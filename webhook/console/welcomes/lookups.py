"""What pages about rules look up: the book of a draft, names, channels. None of it waits long for WeCom."""

from collections.abc import Iterable

from flask import g

from tasks.assembly import Parts
from tasks.channels import Channels
from tasks.people import known_members
from tasks.roster import Department, departments
from tasks.templates.draft import Draft
from tasks.templates.model import Book, Rule
from tasks.templates.nodes import BookError
from webhook.console.welcomes.rule_words import Names

PATIENCE = 0.8  # seconds for what WeCom is asked for a page
STATES = 50  # that a form proposes


def book_of(draft: Draft) -> Book | None:
    """A draft's book; None while it is empty."""
    try:
        return draft.book()
    except BookError:
        return None


def member_names(parts: Parts, members: Iterable[str]) -> dict[str, str]:
    """userid → name, "" where it is not known."""
    asked = set(members)
    known = known_members(parts.redis, g.app.name, asked)
    return {one: known.get(one, ("", ""))[0] for one in asked}


def names_of(parts: Parts, rules: Iterable[Rule]) -> Names:
    """The names of the members and departments that rules ask for, as far as they are known soon."""
    rules = list(rules)
    members = {one for rule in rules for one in rule.when.member}
    asked = any(rule.when.department for rule in rules)
    client = parts.clients[g.app.name]
    tree = departments(parts.redis, g.app.name, client, PATIENCE) if asked else {}
    return Names(member_names(parts, members), named(tree))


def states(parts: Parts) -> list[str]:
    """States that a form proposes: of the channels that were made here."""
    channels = Channels(parts.redis, g.app.name, parts.clients[g.app.name]).all()
    return sorted({channel.state for channel in channels.values() if channel.state})[:STATES]


def named(tree: dict[int, Department]) -> dict[int, str]:
    """Department → name, of those whose name is known."""
    return {one.id: one.name for one in tree.values() if one.name}

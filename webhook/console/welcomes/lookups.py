"""What pages about rules look up: the book of a draft, names, channels. None of it waits long for WeCom."""

from collections.abc import Iterable

from flask import g

from tasks.books.draft import Draft
from tasks.channels import Channels
from tasks.directory.lookup import known_members
from tasks.directory.members import Department, departments
from tasks.services import Services
from tasks.templates.model import Book, Rule
from tasks.templates.problems import BookError
from webhook.console.welcomes.rule_words import Names

PATIENCE = 0.8  # seconds for what WeCom is asked for a page
STATES = 50  # that a form proposes


def book_of(draft: Draft) -> Book | None:
    """A draft's book; None while it is empty."""
    try:
        return draft.book()
    except BookError:
        return None


def member_names(services: Services, members: Iterable[str]) -> dict[str, str]:
    """userid → name, "" where it is not known."""
    asked = set(members)
    known = known_members(services.redis, g.app.name, asked)
    return {one: known.get(one, ("", ""))[0] for one in asked}


def names_of(services: Services, rules: Iterable[Rule]) -> Names:
    """The names of the members and departments that rules ask for, as far as they are known soon."""
    rules = list(rules)
    members = {one for rule in rules for one in rule.when.member}
    asked = any(rule.when.department for rule in rules)
    client = services.clients[g.app.name]
    tree = departments(services.redis, g.app.name, client, PATIENCE) if asked else {}
    return Names(member_names(services, members), named(tree))


def states(services: Services) -> list[str]:
    """States that a form proposes: of the channels that were made here."""
    channels = Channels(services.redis, g.app.name, services.clients[g.app.name]).all()
    return sorted({channel.state for channel in channels.values() if channel.state})[:STATES]


def named(tree: dict[int, Department]) -> dict[int, str]:
    """Department → name, of those whose name is known."""
    return {one.id: one.name for one in tree.values() if one.name}

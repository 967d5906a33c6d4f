"""What pages about rules look up: a draft's book, names, channels. None of it waits long for WeCom."""

from collections.abc import Iterable, Mapping

from flask import request

from tasks.channels import ChannelError
from tasks.directory.lookup import known_members
from tasks.directory.members import Department
from tasks.messages import Message
from tasks.placeholders.installed import unprovided
from tasks.templates.model import Book, Rule
from webhook.console import current
from webhook.console.staff import known_staff
from webhook.console.welcomes.rule_words import Names

STATES = 50  # that a form proposes
UNPROVIDED = Message.of("Customers would get fallbacks: confirm that, or install the package first")


def needs_a_word(book: Book | None) -> bool:
    """Whether placeholders would be without a package once it is live, and the operator has not said that they may."""
    return request.form.get("without") != "1" and bool(unprovided(book, current.live_book()))


def member_names(members: Iterable[str]) -> dict[str, str]:
    """userid → name, "" where it is not known."""
    asked = set(members)
    known = known_members(current.services().redis, current.app().name, asked)
    return {one: known.get(one, ("", ""))[0] for one in asked}


def names_of(rules: Iterable[Rule]) -> Names:
    """The names of the members and departments in rules, as far as they are known within PATIENCE."""
    rules = list(rules)
    members = {one for rule in rules for one in rule.when.member}
    asked = any(rule.when.department for rule in rules)
    return Names(member_names(members), named(known_staff().departments) if asked else {})


def states() -> list[str]:
    """The States to suggest: those of the channels that were made here."""
    try:
        channels = current.app().channels.all().values()
    except ChannelError:  # the page Channels says which one cannot be read
        return []
    return sorted({channel.state for channel in channels if channel.state})[:STATES]


def named(tree: Mapping[int, Department]) -> dict[int, str]:
    """Department → name, where it is known."""
    return {one.id: one.name for one in tree.values() if one.name}

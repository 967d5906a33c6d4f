"""Parses the welcome book's YAML: text → Book, with line, column and remedy for every problem. Pure.

keys                the keys allowed in each mapping
texts, limits       checks of texts and their lengths
book_attachments    parses a welcome's attachments
book_rules          parses the rules
"""

from collections.abc import Callable, Iterator

import yaml

from tasks.messages import Message
from tasks.templates import texts
from tasks.templates.book_attachments import AttachmentReader, Look, among, no_files
from tasks.templates.book_rules import RuleReader
from tasks.templates.keys import KEYS, VERSION
from tasks.templates.model import (
    ALWAYS,
    DEFAULT,
    Book,
    FollowUp,
    GroupWelcome,
    Link,
    MediaID,
    MiniProgram,
    Rule,
    Tag,
    Template,
)
from tasks.templates.problems import BookError, Problem
from tasks.templates.render import Known
from tasks.templates.yaml_composer import BOOK_LIMIT, compose
from tasks.templates.yaml_nodes import Nodes
from tasks.templates.yaml_writer import Value, node_of
from tasks.wecom.message_limits import GROUP_WELCOMES

__all__ = ["BOOK_LIMIT", "KEYS", "BookError", "Look", "Problem", "among", "no_files", "problems_of", "read", "remarks"]


def read(source: str, look: Look = no_files, known: Known | None = None) -> Book:
    """The book in a YAML text. `look`: path → file. Raises BookError with every problem.

    known: the placeholders of installed hooks; None for a stored book, whose hooks need not be installed any more.
    """
    root = compose(source)
    reader = _Reader(root, look, known)
    book = reader.book(root)
    reader.nodes.raise_problems()
    return book


def problems_of(
    section: str, name: str, value: Value, look: Look = no_files, known: Known | None = None
) -> list[Problem]:
    """The problems of one welcome given as a plain value. `section`: "templates" or "group_welcome"."""
    root = node_of({section: {name: value}})
    reader = _Reader(root, look, known)
    welcomes = reader.nodes.parts(root, "book", Message.of("the book"))[section]
    for _ in reader.templates(welcomes) if section == "templates" else reader.group_welcomes(welcomes):
        pass
    return reader.nodes.problems


def remarks(book: Book, members: frozenset[str] | None = None) -> Iterator[str]:
    """Warnings about what is valid but probably a mistake. `members`: userids of the corp; None when unknown."""
    final: tuple[int, Rule] | None = None
    known = None if members is None else {one.lower() for one in members}
    for number, rule in enumerate(book.rules, 1):
        at = f"line {rule.line}: rule {rule.label(number)}"
        if final is not None:
            yield f"{at} is never reached: rule {final[1].label(final[0])} before it has no conditions"
        elif rule.when == ALWAYS:
            final = number, rule
        for member in rule.when.member:
            if known is not None and member.lower() not in known:
                yield f"{at} names {member}, who is no member with 客户联系 in the app's visible range"
    used = {variant.template for rule in book.rules for variant in rule.variants} | {DEFAULT}
    for name in book.templates:
        if name not in used:
            yield f"template {name} is used by no rule"
    for attachment in book.attachments():
        if not isinstance(attachment, Link | MiniProgram) and isinstance(attachment.source, MediaID):
            yield "a media_id lives three days; with `file:` it is renewed for you"
            break


# ------------------------------------------------------------------------------------------------ the reader


class _Reader:
    """Reads the nodes of one book; problems are recorded in `nodes`."""

    def __init__(self, root: yaml.Node, look: Look, known: Known | None) -> None:
        self.nodes = Nodes(root)
        self._known = known
        self._attachments = AttachmentReader(self.nodes, look, known)

    def book(self, root: yaml.Node) -> Book:
        parts = self.nodes.parts(root, "book", Message.of("the book"))
        if "version" not in parts or self.nodes.text(parts["version"]) != VERSION:
            required = Message.of("`version: %(version)s` is required", version=VERSION)
            self.nodes.wrong(parts.get("version", root), required)
        for part in ("templates", "rules"):
            if part not in parts:
                self.nodes.wrong(root, Message.of("`%(key)s` is missing", key=part))
        templates = dict(self.templates(parts["templates"])) if "templates" in parts else {}
        rules = tuple(RuleReader(self.nodes, templates).listed(parts["rules"])) if "rules" in parts else ()
        if rules and DEFAULT not in templates and all(rule.when != ALWAYS for rule in rules):
            self.nodes.wrong(
                parts["rules"],
                Message.of(
                    "some customers would get nothing: end the rules with one without `when`, such as"
                    " `- use: TEMPLATE`, or call a template %(default)s",
                    default=DEFAULT,
                ),
            )
        welcomes = dict(self.group_welcomes(parts["group_welcome"])) if "group_welcome" in parts else {}
        return Book(templates, rules, welcomes)

    # --- templates ---

    def templates(self, node: yaml.Node) -> Iterator[tuple[str, Template]]:
        for name, body in self.nodes.entries(node, Message.of("templates")):
            what = Message.of("template %(name)s", name=name)
            self.nodes.wrong(body, texts.wrong_in_name(name))
            parts = self.nodes.parts(body, "template", what)
            text = ""
            if "text" in parts:
                text = self._text(parts["text"], texts.wrong_in_welcome)
            elif isinstance(body, yaml.MappingNode):
                self.nodes.wrong(body, Message.of("%(what)s has no text", what=what), "text")
            attachments = self._attachments.listed(parts["attachments"], what) if "attachments" in parts else ()
            then = self._follow_up(parts["then"], what) if "then" in parts else FollowUp()
            yield name, Template(name, text, attachments, then)

    def _text(self, node: yaml.Node, wrong_in: Callable[[str, Known | None], Iterator[Message]]) -> str:
        """A text, checked by `wrong_in`, which yields its problems."""
        problems = len(self.nodes.problems)
        text = self.nodes.text(node)
        if len(self.nodes.problems) == problems:
            for wrong in wrong_in(text, self._known):
                self.nodes.wrong(node, wrong)
        return text

    def _follow_up(self, node: yaml.Node, what: Message) -> FollowUp:
        parts = self.nodes.parts(node, "then", Message.of("`then` of %(what)s", what=what))
        tags: list[Tag] = []
        for item in self.nodes.items(parts["tags"]) if "tags" in parts else ():
            tag = texts.tag(self._text(item, texts.wrong_in_tag))
            if tag in tags:
                self.nodes.wrong(item, Message.of("tag %(tag)s is given twice", tag=f"{tag.group}/{tag.name}"))
            tags.append(tag)
        remark = self._text(parts["remark"], texts.wrong_in_remark) if "remark" in parts else ""
        return FollowUp(tuple(tags), remark)

    # --- group welcomes ---

    def group_welcomes(self, node: yaml.Node) -> Iterator[tuple[str, GroupWelcome]]:
        if isinstance(node, yaml.MappingNode) and len(node.value) > GROUP_WELCOMES.most:
            self.nodes.wrong(
                node,
                Message.of(
                    "%(count)s group welcomes; WeCom takes %(limit)s of a corp",
                    count=len(node.value),
                    limit=GROUP_WELCOMES.most,
                ),
            )
        for name, body in self.nodes.entries(node, Message.of("group_welcome")):
            self.nodes.wrong(body, texts.wrong_in_name(name))
            yield name, self._group_welcome(name, body)

    def _group_welcome(self, name: str, body: yaml.Node) -> GroupWelcome:
        what = Message.of("group welcome %(name)s", name=name)
        parts = self.nodes.parts(body, "group_welcome", what)
        text = self._text(parts["text"], texts.wrong_in_group_welcome) if "text" in parts else ""
        if "text" in parts and not text.strip():
            self.nodes.wrong(parts["text"], Message.of("%(what)s has an empty text", what=what))
        kinds = [kind for kind in parts if kind != "text"]
        if len(kinds) > 1:
            self.nodes.wrong(
                body,
                Message.of(
                    "%(what)s has %(kinds)s; WeCom takes one beside the text",
                    what=what,
                    kinds=", ".join(kinds),
                ),
            )
        elif not parts and isinstance(body, yaml.MappingNode):
            empty = Message.of("this group welcome is empty; write a text, or add an attachment")
            self.nodes.wrong(body, empty, "text")
        items = [self._attachments.one(kind, parts[kind]) for kind in kinds]
        return GroupWelcome(name, text, items[0] if items else None)

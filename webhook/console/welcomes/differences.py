"""What differs between two books, part by part and field by field, in the words of the request's language."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask_babel import gettext as _

from tasks.messages import Message
from tasks.templates import merge_rules
from tasks.templates.edits import GROUP, RULE, TEMPLATE, Content, Part, used
from tasks.templates.merge import changed
from tasks.templates.yaml_writer import Value

SAME, GONE, NEW = "same", "gone", "new"
ADDED, REMOVED, CHANGED, MOVED = "added", "removed", "changed", "moved"
_TOKENS = re.compile(r"\{[^{}]*\}|[A-Za-z0-9_]+|\s+|.", re.DOTALL)
_FINE = 1500  # tokens beyond which lines are compared, not words: the work grows with their square

FIELDS: Mapping[str, Message] = {
    "text": Message.of("Text"),
    "attachments": Message.of("Attachments"),
    "tags": Message.of("Tags"),
    "remark": Message.of("Remark"),
    "item": Message.of("Attachment"),
    "name": Message.of("Name"),
    "when": Message.of("Conditions"),
    "use": Message.of("Sends"),
}
KINDS = {  # of attachments → msgid
    "image": "Image",
    "link": "Link",
    "miniprogram": "Mini-program",
    "video": "Video",
    "file": "File",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text. `kind`: same | gone | new."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a part. `name`: a key of FIELDS."""

    name: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """`kind` of a part: template | rule | group_welcome. `what`: added | removed | changed | moved.

    `name`: of the part; of a rule its label, and `key` is its key in merge_rules. `before`, `after`: plain values, None
    where it is not there.
    """

    kind: str
    what: str
    name: str
    before: Value | None
    after: Value | None
    fields: tuple[FieldChange, ...] = ()
    key: str = ""

    @property
    def part(self) -> Part:
        return Part(self.kind, self.key or self.name)


def differences(before: Content, after: Content) -> tuple[Change, ...]:
    """Every part that differs, with its fields: welcomes, then rules, then group welcomes."""
    return tuple(detailed(one) for one in outline(before, after))


def outline(before: Content, after: Content) -> tuple[Change, ...]:
    """The same without the fields, which cost time where many parts differ."""
    return (*_named(TEMPLATE, before, after), *_rules(before, after), *_named(GROUP, before, after))


def detailed(change: Change) -> Change:
    """A change with its fields; of a moved rule there are none."""
    return change if change.what == MOVED else replace(change, fields=fields(change.before, change.after))


def count(before: Content, after: Content) -> int:
    """How many parts differ."""
    return len(outline(before, after))


def unseen(original: Content, draft: Content, live: Content) -> tuple[Change, ...]:
    """What went live since a draft began, and is not in it; what the draft deleted is not among them."""
    return tuple(one for one in outline(draft, live) if one.what == ADDED and not _has(original, one))


def _has(content: Content, change: Change) -> bool:
    if change.kind != RULE:
        return change.name in content.named(change.kind)
    after = change.after if isinstance(change.after, dict) else {}
    name = after.get("name")
    return any(rule == after or (name and rule.get("name") == name) for rule in content.rules)


def fields(before: Any, after: Any) -> tuple[FieldChange, ...]:
    """The fields in which two plain values of a part differ. None: it is not there."""
    old, new = flat(before), flat(after)
    return tuple(
        FieldChange(name, pieces(old.get(name, ""), new.get(name, "")))
        for name in FIELDS
        if old.get(name, "") != new.get(name, "")
    )


def pieces(before: str, after: str) -> tuple[Piece, ...]:
    """Two texts as what is the same, gone and new, in reading order."""
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    if max(len(old), len(new)) > _FINE:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Piece] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(Piece(SAME, "".join(old[a:b])))
        else:
            found += [one for one in (Piece(GONE, "".join(old[a:b])), Piece(NEW, "".join(new[c:d]))) if one.text]
    return tuple(_without_crumbs(found))


def _without_crumbs(found: list[Piece]) -> Iterator[Piece]:
    """Merge a single unchanged character between two changes into them: it is not readable by itself."""
    gone = new = ""
    for number, one in enumerate(found):
        inside = 0 < number < len(found) - 1 and bool(gone or new)
        if one.kind == SAME and not (inside and len(one.text) == 1 and one.text.isalnum()):
            yield from (piece for piece in (Piece(GONE, gone), Piece(NEW, new)) if piece.text)
            gone = new = ""
            yield one
        else:
            gone += one.text if one.kind != NEW else ""
            new += one.text if one.kind != GONE else ""
    yield from (piece for piece in (Piece(GONE, gone), Piece(NEW, new)) if piece.text)


def flat(value: Any) -> dict[str, str]:
    """A part's plain value as texts by field."""
    if not isinstance(value, dict):
        return {}
    if "use" in value:
        weights = used(value)
        return {
            "name": str(value.get("name", "")),
            "when": _lines(value.get("when", {})),
            "use": "\n".join(weights if len(weights) == 1 else (f"{name}: {share}" for name, share in weights.items())),
        }
    then = value.get("then", {})
    tags = then.get("tags", []) if isinstance(then, dict) else []
    item = {key: one for key, one in value.items() if key not in ("text", "attachments", "then")}
    return {
        "text": str(value.get("text", "")),
        "attachments": "\n".join(_one_line(one) for one in value.get("attachments", [])),
        "tags": "\n".join(tags if isinstance(tags, list) else [tags]),
        "remark": str(then.get("remark", "")) if isinstance(then, dict) else "",
        "item": _one_line(item) if item else "",
    }


def _named(kind: str, before: Content, after: Content) -> Iterator[Change]:
    for part in changed(before, after):
        if part.kind != kind:
            continue
        old, new = before.part(part), after.part(part)
        what = ADDED if old is None else REMOVED if new is None else CHANGED
        yield Change(kind, what, part.name, old, new)


def _rules(before: Content, after: Content) -> Iterator[Change]:
    """Rules that came, went or changed, and those that stand elsewhere now."""
    if before.rules == after.rules:
        return
    old, new = merge_rules.keyed(before, after)
    labels = [
        {key: str(rule.get("name") or number) for number, (key, rule) in enumerate(found.items(), 1)}
        for found in (old, new)
    ]
    for key, rule in new.items():
        if key not in old:
            yield Change(RULE, ADDED, labels[1][key], None, rule, key=key)
        elif old[key] != rule:
            yield Change(RULE, CHANGED, labels[1][key], old[key], rule, key=key)
    for key, rule in old.items():
        if key not in new:
            yield Change(RULE, REMOVED, labels[0][key], rule, None, key=key)
    for key in merge_rules.moved(old, new):
        yield Change(RULE, MOVED, labels[1][key], old[key], new[key], key=key)


def _lines(when: Any) -> str:
    if not isinstance(when, dict):
        return str(when)
    return "\n".join(f"{key}: {', '.join(one) if isinstance(one, list) else one}" for key, one in when.items())


def _one_line(attachment: Any) -> str:
    """{"link": {"title": "a", "url": "b"}} → Link: a, b"""
    if not isinstance(attachment, dict):
        return str(attachment)
    told = []
    for kind, body in attachment.items():
        values = [str(one) for one in body.values()] if isinstance(body, dict) else [str(body)]
        told.append(f"{_(KINDS.get(kind, kind))}: {', '.join(values)}")
    return "; ".join(told)


def part_of(text: str) -> Part:
    """The inverse of str(Part)."""
    kind, _, name = text.partition(":")
    return Part(kind, name)

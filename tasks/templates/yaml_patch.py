"""Writes changed values into a book's own YAML. Pure.

What a change leaves alone keeps its lines, comments, quotes and order: of a changed welcome or rule only the fields
that changed are written, where they stood. A collection is taken apart into chunks, one for each item: the comments
above it, its key or dash, its value; chunks are kept, patched, moved, left out or added.

What is written is read again before it is returned. Where an author's way of writing is beyond this, the changed
welcome or rule is written anew, and at worst the book.
"""

import re
import textwrap
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from tasks.templates.problems import BookError
from tasks.templates.yaml_composer import compose
from tasks.templates.yaml_writer import NUMBERS, Value, Values, dump, dumped, in_flow, normal, plain, scalar, values_of

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BLOCK_HEADER = re.compile(r"[|>][-+\d]*")
_IN_ORDER = ("templates", "group_welcome", "use")  # mappings whose order says something
_ITEMS = 2  # the level of welcomes and rules, below the book and its sections


def rewritten(source: str, values: Values) -> str:
    """The YAML of `values`, in the words of `source` for what has not changed."""
    source = source.removeprefix("\ufeff")
    for patch_items in (True, False):
        try:
            text = _Patch(source, patch_items).book(values)
            if _exactly(values_of(text), values):
                return text
        except (_Unusual, BookError):
            pass
    return dumped(values)


class _Unusual(Exception):
    """Something is written in a way that is not taken apart here."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """An item of a block. Offsets in the source: `above` of the comments before it, `at` of its key or dash, `colon`
    after the key's colon or the dash, `value_end` after the value's last line, `end` after comments that belong to it.
    """

    name: str  # of a mapping's item; "" in a list
    node: Any  # of the value
    above: int
    at: int
    key_end: int
    colon: int
    value_end: int
    end: int


_Span: TypeAlias = tuple[str, Any, int, int]  # of an item between brackets or braces: name, value's node, start, end
_Items: TypeAlias = list[tuple[str, Value, _Chunk | None]]  # name, new value, and where it stood


class _Patch:
    """One source and its parts. `patch_items`: whether changed welcomes and rules are patched, or written anew."""

    def __init__(self, source: str, patch_items: bool) -> None:
        self._newline = "\r\n" if "\r\n" in source else "\n"
        self._source = source if not source or _LINE_END.fullmatch(source[-1]) else source + self._newline
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(self._source))]
        self._patch_items = patch_items

    def book(self, values: Values) -> str:
        """The whole source with these values."""
        root = compose(self._source)
        if not isinstance(root, yaml.MappingNode) or not root.value:
            raise _Unusual
        old = {str(key.value): plain(node) for key, node in root.value}
        known = normal(old)
        new = {}
        for name, value in old.items():
            if name == "version" or _exactly(known.get(name, ""), values.get(name, ""), name):
                new[name] = value
            elif values.get(name):
                new[name] = values[name]
        new |= {name: value for name, value in values.items() if name not in old and value}
        if root.flow_style:
            start, end = self._offset(root.start_mark), self._offset(root.end_mark)
            return self._source[:start] + self._flow(root, new, "") + self._source[end:]
        text, end = self._block(root, new, 0, "", 1)
        return text + self._source[end:]

    # --- offsets ---

    def _offset(self, mark: Any) -> int:
        return self._starts[int(mark.line)] + int(mark.column)

    def _after_line(self, line: int) -> int:
        """The offset after a line, counted from 0."""
        return self._starts[line + 1] if line + 1 < len(self._starts) else len(self._source)

    def _line_of(self, offset: int) -> int:
        return bisect_right(self._starts, offset) - 1

    def _line_end(self, offset: int) -> int:
        """The offset of the end of the line there, before what ends it."""
        match = _LINE_END.search(self._source, offset)
        return match.start() if match else len(self._source)

    # --- blocks ---

    def _block(self, node: Any, new: Value, start: int, key: str, level: int) -> tuple[str, int]:
        """(a block's text from `start` on, the offset where it ended)."""
        column = int(node.start_mark.column)
        chunks = list(self._chunks(node, start))
        line_start = self._starts[node.start_mark.line]
        after_dash = bool(self._source[line_start : self._offset(node.start_mark)].strip())
        items = _named(chunks, new, key) if isinstance(new, dict) else _listed(chunks, new)
        spare = self._spare_comments(chunks, [chunk for _, _, chunk in items])
        pad = " " * column
        parts = []
        for name, value, chunk in items:
            own = key if key in NUMBERS else name or key
            if chunk is None:
                text = dump({name: value} if isinstance(new, dict) else [value], key)
                parts.append(("", self._ended(_indented(text, pad))))
                continue
            begun = chunk.at - column if chunk.at != start or not after_dash else chunk.at
            above = spare.get(chunk.at, "") + self._source[chunk.above : max(chunk.above, begun)]
            label = self._source[chunk.at : chunk.colon]
            if chunk.name != name:
                label = scalar(name, None, in_flow=True) + self._source[chunk.key_end : chunk.colon]
            parts.append((above, pad + label + self._value(chunk, value, own, column, level)))
        text = "".join(above + body for above, body in parts)
        if after_dash:  # what stands first stands behind the dash
            text = text[column:] if not parts[0][0] else self._newline + text
        return text + spare.get(-1, ""), chunks[-1].end

    def _chunks(self, node: Any, start: int) -> Iterator[_Chunk]:
        above, column = start, int(node.start_mark.column)
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, item) for item in node.value]
        for number, (key, value) in enumerate(pairs):
            at = self._offset(key.start_mark) if key is not None else self._dash(value, column)
            key_end = self._offset(key.end_mark) if key is not None else at
            colon = self._source.find(":" if key is not None else "-", key_end) + 1
            line_start = self._starts[key.start_mark.line] if key is not None else at - column
            before = self._source[line_start:at]
            if at < above or self._source[key_end : colon - 1].strip() or (number and before.strip()):
                raise _Unusual
            value_end = self._after_line(_last_line(value, key or value))
            value_end = self._without_blank_lines(value, value_end, colon)
            end = self._with_own_comments(value_end, column)
            yield _Chunk("" if key is None else str(key.value), value, above, at, key_end, colon, value_end, end)
            above = end

    def _dash(self, value: Any, column: int) -> int:
        """The offset of a list item's dash: on the value's line, or on one above."""
        for line in range(value.start_mark.line, -1, -1):
            at = self._starts[line] + column
            if self._source[at : at + 1] == "-" and not self._source[self._starts[line] : at].strip("- "):
                return at
        raise _Unusual

    def _without_blank_lines(self, value: Any, end: int, least: int) -> int:
        """Blank lines below a value belong to what follows, unless they are part of a text."""
        while isinstance(value, yaml.CollectionNode) and value.value:
            value = value.value[-1][1] if isinstance(value, yaml.MappingNode) else value.value[-1]
        if isinstance(value, yaml.ScalarNode) and value.style in ("|", ">") and value.value.endswith("\n\n"):
            return end
        line = self._line_of(end - 1) if end else 0
        while (
            self._starts[line] > least
            and not self._source[self._starts[line] : self._line_end(self._starts[line])].strip()
        ):
            line -= 1
        return self._after_line(line)

    def _with_own_comments(self, end: int, column: int) -> int:
        """The offset after the comments right below that are set in deeper than the item."""
        while end < len(self._source):
            line = self._source[end : self._line_end(end)]
            if not line.lstrip(" ").startswith("#") or len(line) - len(line.lstrip(" ")) <= column:
                return end
            end = self._after_line(self._line_of(end))
        return end

    def _spare_comments(self, chunks: Sequence[_Chunk], kept: Sequence[_Chunk | None]) -> dict[int, str]:
        """Comments that stood apart above what is left out, by the offset of the item that follows; -1: the end."""
        spare: dict[int, str] = {}
        carried = ""
        for chunk in chunks:
            if any(chunk is one for one in kept):
                if carried:
                    spare[chunk.at], carried = carried, ""
                continue
            lines = self._source[chunk.above : self._starts[self._line_of(chunk.at)]].splitlines(keepends=True)
            last_blank = max((n for n, line in enumerate(lines) if not line.strip()), default=-1)
            apart = "".join(lines[: last_blank + 1])
            carried += apart if "#" in apart else ""
        return spare | ({-1: carried} if carried else {})

    # --- values ---

    def _value(self, chunk: _Chunk, new: Value, key: str, column: int, level: int) -> str:
        """The text from an item's colon or dash to its end, with a new value."""
        source, node = self._source, chunk.node
        if _exactly(plain(node), new, key):
            return source[chunk.colon : chunk.end]
        begin = self._offset(node.start_mark)
        if _same_kind(node, new) and (self._patch_items or level < _ITEMS):
            if node.flow_style:
                end = self._offset(node.end_mark)
                return source[chunk.colon : begin] + self._flow(node, new, key) + source[end : chunk.end]
            line = self._line_of(chunk.colon)
            first = begin if line == node.start_mark.line else self._after_line(line)
            text, end = self._block(node, new, first, key, level + 1)
            return source[chunk.colon : first] + text + source[end : chunk.end]
        if _on_one_line(node) and isinstance(new, str) and begin >= chunk.colon:
            written = scalar(new, node.style, key)
            if "\n" not in new + written:
                return source[chunk.colon : begin] + written + source[self._offset(node.end_mark) : chunk.end]
        comments = source[chunk.value_end : chunk.end].splitlines(keepends=True)  # as far out as the item: not its text
        return self._anew(chunk, new, key, column) + "".join(" " * column + line.lstrip(" ") for line in comments)

    def _anew(self, chunk: _Chunk, new: Value, key: str, column: int) -> str:
        """A value written anew from the colon or dash on, with the comment that stood on its line."""
        in_list = self._source[chunk.at : chunk.colon] == "-" and not chunk.name
        label = key if key in NUMBERS else "k"
        text = dump([new], key)[1:] if in_list else dump({label: new})[len(label) + 1 :]
        first, _, below = text.partition("\n")
        comment = self._comment(chunk)
        comment = f"  {comment}" if comment else ""
        return self._ended(f"{first}{comment}\n" + _indented(below, " " * column))

    def _comment(self, chunk: _Chunk) -> str:
        """The comment on the line on which a value began or ended."""
        node, source = chunk.node, self._source
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            at = self._offset(node.start_mark)
            match = _BLOCK_HEADER.match(source, at)
            at = match.end() if match else at
        elif isinstance(node, yaml.CollectionNode) and not node.flow_style:
            if self._line_of(chunk.colon) == node.start_mark.line:
                return ""
            at = chunk.colon
        else:
            at = max(chunk.colon, self._offset(node.end_mark))
        comment = source[at : self._line_end(at)].strip()
        return comment if comment.startswith("#") else ""

    def _ended(self, text: str) -> str:
        return text.replace("\n", self._newline)

    # --- brackets and braces ---

    def _flow(self, node: Any, new: Any, key: str) -> str:
        """A collection between brackets or braces, patched within."""
        spans = list(self._spans(node))
        old = [name for name, _, _, _ in spans]
        if isinstance(new, dict):
            kept = [name for name in old if name in new]
            if key in _IN_ORDER and kept != [name for name in new if name in kept]:
                return in_flow(new, key)
            placed: list[tuple[Any, int | None]] = [(name, old.index(name)) for name in kept]
            placed += [(name, None) for name in new if name not in old]
        else:
            placed = _in_line([plain(one) for _, one, _, _ in spans], new)
        if not any(at is not None for _, at in placed):
            return in_flow(new, key)
        pieces: list[str] = []
        before: int | None = None
        for number, (name, at) in enumerate(placed):
            if number:
                pieces.append(self._between(spans, before, at) or ", ")
            value = new[name] if isinstance(new, dict) else name
            pieces.append(self._piece(spans[at] if at is not None else None, name, value, key, isinstance(new, dict)))
            before = at
        pieces.append(self._between(spans, before, None))
        start, end = self._offset(node.start_mark), self._offset(node.end_mark)
        return self._source[start : spans[0][2]] + "".join(pieces) + self._source[spans[-1][3] : end]

    def _between(self, spans: Sequence[_Span], before: int | None, at: int | None) -> str:
        """What stands between two items that were neighbours, or behind one that had a comment there; else ""."""
        if before is None or before + 1 == len(spans):
            return ""
        between = self._source[spans[before][3] : spans[before + 1][2]]
        return between if at == before + 1 or "#" in between else ""

    def _piece(self, span: Any, name: Any, value: Value, key: str, in_mapping: bool) -> str:
        own = key if key in NUMBERS or not in_mapping else name
        if span is None:
            return (f"{scalar(name, None, in_flow=True)}: " if in_mapping else "") + in_flow(value, own)
        _, node, start, end = span
        if _exactly(plain(node), value, own):
            return self._source[start:end]
        begin = self._offset(node.start_mark)
        return (
            self._source[start:begin]
            + self._within_flow(node, value, own)
            + self._source[self._offset(node.end_mark) : end]
        )

    def _within_flow(self, node: Any, value: Value, key: str) -> str:
        if isinstance(node, yaml.ScalarNode) and isinstance(value, str):
            return scalar(value, node.style, key, in_flow=True)
        if _same_kind(node, value):
            return self._flow(node, value, key)
        return in_flow(value, key)

    def _spans(self, node: Any) -> Iterator[_Span]:
        """(name, value's node, start, end) of each item between brackets or braces."""
        for pair in node.value:
            key, value = pair if isinstance(pair, tuple) else (pair, pair)
            if isinstance(value, yaml.ScalarNode) and not value.value and not value.style:
                raise _Unusual
            yield (
                str(key.value) if key is not value else "",
                value,
                self._offset(key.start_mark),
                self._offset(value.end_mark),
            )


# ------------------------------------------------------------------------------------------------ which item was which


def _named(chunks: Sequence[_Chunk], new: Mapping[str, Value], key: str) -> _Items:
    """The items of a mapping in the order to be written: the author's, unless the order says something."""
    old = {chunk.name: chunk for chunk in chunks}
    gone = [name for name in old if name not in new]
    fresh = [name for name in new if name not in old]
    if len(gone) == len(fresh) == 1 and (key in _IN_ORDER or _exactly(plain(old[gone[0]].node), new[fresh[0]])):
        old = {(fresh[0] if name == gone[0] else name): chunk for name, chunk in old.items()}
    if key in _IN_ORDER:
        return [(name, value, old.get(name)) for name, value in new.items()]
    names = [name for name in old if name in new]
    before = ""
    for name in new:
        if name not in old:
            names.insert(names.index(before) + 1 if before else 0, name)
        before = name
    return [(name, new[name], old.get(name)) for name in names]


def _listed(chunks: Sequence[_Chunk], new: Sequence[Value]) -> _Items:
    """The items of a list, each with where it stood; a changed one is taken for the likest that is left."""
    left = list(chunks)
    found: list[_Chunk | None] = []
    for value in new:
        same = next((chunk for chunk in left if _exactly(plain(chunk.node), value)), None)
        if same is not None:
            left.remove(same)
        found.append(same)
    for number, value in enumerate(new):
        if found[number] is None and left:
            likest = max(left, key=lambda chunk, value=value: _likeness(plain(chunk.node), value))  # type: ignore[misc]
            if _likeness(plain(likest.node), value):
                left.remove(likest)
                found[number] = likest
    return [("", value, chunk) for value, chunk in zip(new, found, strict=True)]


def _in_line(old: Sequence[Value], new: Sequence[Value]) -> list[tuple[Any, int | None]]:
    """(value, where it stood) of a list on one line: what begins and ends alike stays, what is between is replaced."""
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    middle = [
        (value, first + number if first + number < len(old) - last else None)
        for number, value in enumerate(new[first : len(new) - last])
    ]
    ends = [(value, len(old) - last + number) for number, value in enumerate(new[len(new) - last :])]
    return [*((value, number) for number, value in enumerate(new[:first])), *middle, *ends]


def _likeness(one: Value, other: Value) -> int:
    """How much two values have in common: 0 for nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(1 + _likeness(one[name], other[name]) for name in one if name in other)
    return 1 + (one == other) if type(one) is type(other) else 0


# ------------------------------------------------------------------------------------------------ within


def _same_kind(node: Any, value: Value) -> bool:
    """Whether both are lists, or both mappings, and neither is empty."""
    kind = {yaml.MappingNode: dict, yaml.SequenceNode: list}.get(type(node))
    return kind is not None and isinstance(value, kind) and bool(node.value and value)


def _on_one_line(node: Any) -> bool:
    """Whether a node is a text that is there, and not a block of lines."""
    return isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">") and bool(node.value or node.style)


def _last_line(node: Any, otherwise: Any) -> int:
    """The line on which a node ends, counted from 0; of a block it is where its last item does."""
    while isinstance(node, yaml.CollectionNode) and node.flow_style is False and node.value:
        last = node.value[-1]
        node, otherwise = (last[1], last[0]) if isinstance(last, tuple) else (last, node)
    mark = node.end_mark
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") and mark.column == 0:
        return int(mark.line) - 1  # a block text ends before the line that follows it
    if isinstance(node, yaml.ScalarNode) and not node.style and not node.value:  # nothing is written
        return int(otherwise.end_mark.line)
    return int(mark.line)


def _indented(text: str, pad: str) -> str:
    return textwrap.indent(text, pad, lambda line: line != "\n")


def _exactly(one: Value, other: Value, key: str = "") -> bool:
    """Equal, but for the line ends of a form; where the order below a `key` says something, in the same order too."""
    if isinstance(one, str) and isinstance(other, str):
        return one.replace("\r\n", "\n").replace("\r", "\n") == other
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys() or (key in _IN_ORDER and list(one) != list(other)):
            return False
        return all(_exactly(value, other[name], name) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_exactly, one, other))
    return False

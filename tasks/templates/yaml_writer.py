"""Reads a book's YAML as plain values, and writes changed values back into that YAML. Pure.

Plain values are what the author wrote, uninterpreted: texts, lists and mappings. Items that a change does not touch
keep their lines, with the comments above them and the author's quoting.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import yaml

from tasks.templates.yaml_composer import compose

Value: TypeAlias = str | list["Value"] | dict[str, "Value"]
Values: TypeAlias = dict[str, Any]  # a book's: version, templates, rules, group_welcome

_YAML_ENDS = frozenset("\x85\u2028\u2029")  # that YAML takes for ends of a line
_NUMBERS = ("use", "department", "add_way", "version")  # keys below which digits are written without quotes


@lru_cache(maxsize=64)  # a page reads the same book several times, and YAML is slow: 2 ms for each kB
def values_of(source: str) -> Values:
    """The plain values of a book's YAML; cached: do not change them. Raises BookError for what is not YAML."""
    found = plain(compose(source))
    return normal(found if isinstance(found, dict) else {})


def normal(values: Mapping[str, Any]) -> Values:
    """The same values with every section, in the book's order, and with LF line ends as WeCom has them."""
    templates, rules, groups = (values.get(key) for key in ("templates", "rules", "group_welcome"))
    return {
        "version": "1",
        "templates": _unix(templates if isinstance(templates, dict) else {}),
        "rules": _unix(rules if isinstance(rules, list) else []),
        "group_welcome": _unix(groups if isinstance(groups, dict) else {}),
    }


def plain(node: yaml.Node) -> Value:
    """A node's plain value, without positions and styles."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return str(node.value)


def node_of(value: Value) -> yaml.Node:
    """A node without a position that has this plain value."""
    if isinstance(value, dict):
        return yaml.MappingNode("", [(node_of(key), node_of(one)) for key, one in value.items()])
    if isinstance(value, list):
        return yaml.SequenceNode("", [node_of(one) for one in value])
    return yaml.ScalarNode("", value)


def rewritten(source: str, values: Values) -> str:
    """The YAML of `values`, with the lines of `source` for what has not changed. Falls back to `dumped`."""
    try:
        text = "".join(_rewritten(source, values))
        if _same(values_of(text), values):
            return text
    except _NotInBlocks:
        pass
    return dumped(values)


def dumped(values: Values) -> str:
    """The YAML of a book's values, without comments."""
    shown = {key: value for key, value in values.items() if value or key != "group_welcome"}
    return _dump(shown)


# ------------------------------------------------------------------------------------------------ the lines of a source


class _NotInBlocks(Exception):
    """A source whose sections are not in block style, such as `rules: [{use: default}]`."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Lines of a source that belong to one item: from the end of the one before it to its own last line."""

    name: str  # of a mapping's item; "" in a list
    value: Value
    above: str  # comments and blank lines
    text: str


def _rewritten(source: str, values: Values) -> Iterator[str]:
    root = compose(source)
    lines = [line if line.endswith("\n") else line + "\n" for line in source.splitlines(keepends=True)]
    at = 0
    left = dict(values)
    for key, node in _block(root):
        end = _end(lines, node, key)
        section = str(key.value)
        new = left.pop(section, None)
        if section == "version" or new == plain(node):
            yield "".join(lines[at:end])
        elif new:
            header = _place(key)[0]
            yield "".join(lines[at:header])
            yield from _items(lines, header, node, new)
        at = end
    for section, new in left.items():
        if new:
            yield _dump({section: new})
    yield "".join(lines[at:])


def _items(lines: list[str], start: int, node: yaml.Node, new: Any) -> Iterator[str]:
    """The items of a section: unchanged ones as they were written, the others formatted."""
    chunks = list(_chunks(lines, start, node))
    column = int(node.start_mark.column)
    for name, value in new.items() if isinstance(new, dict) else (("", item) for item in new):
        known = next((one for one in chunks if one.name == name and _same(one.value, value)), None)
        if known is not None:
            chunks.remove(known)
            yield known.above + known.text
        else:
            yield next((one.above for one in chunks if name and one.name == name), "")
            yield textwrap.indent(_dump({name: value} if name or isinstance(new, dict) else [value]), " " * column)


def _chunks(lines: list[str], start: int, node: yaml.Node) -> Iterator[_Chunk]:
    at = start
    for key, item in _block(node):
        first = key if key is not None else item
        line, column = first.start_mark.line, first.start_mark.column
        before = lines[line][:column].strip()
        if line < at or before != ("" if key is not None else "-"):
            raise _NotInBlocks
        end = _end(lines, item, first)
        name = "" if key is None else str(key.value)
        yield _Chunk(name, plain(item), "".join(lines[at:line]), "".join(lines[line:end]))
        at = end


def _block(node: yaml.Node) -> Iterator[tuple[Any, yaml.Node]]:
    """(key or None, value) of a mapping or list that is written in block style."""
    if not isinstance(node, yaml.MappingNode | yaml.SequenceNode) or node.flow_style is not False:
        raise _NotInBlocks
    yield from node.value if isinstance(node, yaml.MappingNode) else ((None, item) for item in node.value)


def _end(lines: list[str], node: yaml.Node, otherwise: yaml.Node) -> int:
    """The line after a node's last one. Blank lines below it belong to what follows."""
    end = _last_line(node, otherwise) + 1
    while end > 1 and not lines[end - 1].strip():
        end -= 1
    return end


def _last_line(node: yaml.Node, otherwise: yaml.Node) -> int:
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


def _place(node: yaml.Node) -> tuple[int, int]:
    return int(node.start_mark.line) + 1, int(node.start_mark.column) + 1


def _same(one: Any, other: Any) -> bool:
    """Equal, and in the same order."""
    return json.dumps(one) == json.dumps(other)


def _unix(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(value, dict):
        return {key: _unix(one) for key, one in value.items()}
    return [_unix(one) for one in value]


# ------------------------------------------------------------------------------------------------ writing


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, and lists set in below their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _YAML_ENDS.intersection(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _dump(values: Any) -> str:
    text = yaml.dump(_numbered(values), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000)
    # after a text that ends in blank lines PyYAML writes the document's end, which has no place within a book
    return text.removesuffix("...\n") if text.endswith("\n...\n") else text


def _numbered(value: Any, key: str = "") -> Any:
    """Digits as numbers where a book has numbers, so that they need no quotes."""
    if isinstance(value, dict):
        return {name: _numbered(one, key if key in _NUMBERS else name) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbered(one, key) for one in value]
    return (
        int(value) if key in _NUMBERS and value.isdecimal() and value.isascii() and str(int(value)) == value else value
    )

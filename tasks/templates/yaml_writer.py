"""Reads a book's YAML as plain values, and writes values as YAML. Pure.

Plain values are what the author wrote, uninterpreted: texts, lists and mappings. See `yaml_patch` for values that are
written into an author's own lines.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import yaml

from tasks.templates.yaml_composer import compose

Value: TypeAlias = str | list["Value"] | dict[str, "Value"]
Values: TypeAlias = dict[str, Any]  # a book's: version, templates, rules, group_welcome

_YAML_ENDS = frozenset("\x85\u2028\u2029")  # that YAML takes for ends of a line
NUMBERS = ("use", "department", "add_way", "version")  # keys below which digits are written without quotes


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


def dumped(values: Values) -> str:
    """The YAML of a book's values, without comments."""
    shown = {key: value for key, value in values.items() if value or key != "group_welcome"}
    return dump(shown)


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
    ends_blank = text == "\n" or text.endswith("\n\n")  # as a block it would take in blank lines that follow it
    style = '"' if ends_blank or _YAML_ENDS.intersection(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(values: Any, key: str = "") -> str:
    """The YAML of any value. `key`: below which it stands, for whether its digits are numbers."""
    return str(yaml.dump(_numbered(values, key), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000))


def scalar(text: str, style: str | None, key: str = "", in_flow: bool = False) -> str:
    """A text on one line, in the quotes of `style` if it can be. `in_flow`: between brackets or braces, or a key."""
    style = '"' if in_flow and "\n" in text else style
    if style is None and isinstance(_numbered(text, key), int):
        return text
    tag = "tag:yaml.org,2002:str"
    pair = [(yaml.ScalarNode(tag, "k"), yaml.ScalarNode(tag, text, style=style))]
    node = yaml.MappingNode("tag:yaml.org,2002:map", pair, flow_style=in_flow)
    written = str(yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=1_000_000))
    return written[4:-2] if in_flow else written[3:-1]


def in_flow(value: Value, key: str = "") -> str:
    """A value on one line, as it stands between brackets or braces."""
    if isinstance(value, str):
        return scalar(value, None, key, in_flow=True)
    if isinstance(value, list):
        return f"[{', '.join(in_flow(one, key) for one in value)}]"
    below = ((name, one, key if key in NUMBERS else name) for name, one in value.items())
    return f"{{{', '.join(f'{scalar(name, None, in_flow=True)}: {in_flow(one, own)}' for name, one, own in below)}}}"


def _numbered(value: Any, key: str = "") -> Any:
    """Digits as numbers where a book has numbers, so that they need no quotes."""
    if isinstance(value, dict):
        return {name: _numbered(one, key if key in NUMBERS else name) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbered(one, key) for one in value]
    return (
        int(value) if key in NUMBERS and value.isdecimal() and value.isascii() and str(int(value)) == value else value
    )

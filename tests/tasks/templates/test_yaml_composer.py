"""libyaml and PyYAML's own parser read the same book alike: each value, its place and how it is written."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.templates import yaml_composer
from tasks.templates.problems import BookError
from tests.support.books import a_rule, a_template, the_example
from tests.support.builders import BOOK


@pytest.fixture(scope="module", autouse=True)
def _libyaml(leave_out: Callable[[str], NoReturn]) -> None:
    if yaml_composer.CParser is None:
        leave_out("no libyaml in PyYAML")


BLOCKS = """\
version: 1
templates:
  literal:
    text: |
      {customer}，您好

      两行

    # below it
    attachments:
    - link: {title: 'it''s', url: https://example.com/?a=1}
    - link:
        title: "a\\tb"
        url:
  folded: {text: >-
    x}
  stripped:
    text: >-
      one
      two
rules:
- use: literal
"""
BOOKS = {
    "the example": the_example(),
    "the plain one": BOOK,
    "blocks": BLOCKS,
    "without spaces": "version: 1\ntemplates: {default: {text: t}}\nrules: [{use: default}]",
    "a byte order mark": "\ufeff" + BOOK,
    "Windows' line ends": the_example().replace("\n", "\r\n"),
    "a value that is left out": a_rule("{state: , add_way: 1}"),
    "a question mark in braces": a_template("text: t\nattachments: [link: {title: t, url: https://a.cn/?q}]"),
    "a question mark for a key": "? version\n: 1\n? templates\n",
    "a question mark alone": "?",
    "tabs": "version:\t1\t# one\n",
    "a comment behind a block's sign": "text: >#\n  a\n",
    "an anchor": "a: &a 1",
    "an alias": "a: [*a]",
    "a tag": "a: !!str 1",
    "twelve levels": "[" * 12 + "]" * 12,
    "thirteen levels": "[" * 13 + "]" * 13,
    "thirteen levels below a key": "a: " + "[" * 12 + "]" * 12,
    "levels on lines of their own": "\n".join(" " * depth + "a:" for depth in range(14)),
    "deeper and deeper": "[" * 1500,
    "braces and deeper": "{a: " * 200,
    "an end in the middle": "version: 1\ntemplates: {",
    "two documents": "a\n---\nb\n",
    "half a character": "a: \ud800",
    "nothing": "# nothing\n",
}


def shape(node: yaml.Node) -> Any:
    """A node with its places. Where a block ends nobody asks, and the two do not agree."""
    start, end = ((mark.line, mark.column) for mark in (node.start_mark, node.end_mark))
    if isinstance(node, yaml.ScalarNode):
        return node.value, node.style or "", start, end
    parts = [shape(one) if isinstance(one, yaml.Node) else tuple(map(shape, one)) for one in node.value]
    return type(node).__name__, start, end if node.flow_style else "block", parts


def read_by(parser: Any, source: str) -> Any:
    """The shape of a text's nodes, or what is wrong with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_composer, "CParser", parser)
        try:
            return shape(yaml_composer.compose(source))
        except BookError as error:
            return str(error)


@pytest.mark.parametrize("name", BOOKS)
def test_both_parsers_read_it_alike(name: str) -> None:
    assert read_by(yaml_composer.CParser, BOOKS[name]) == read_by(None, BOOKS[name])


@pytest.mark.parametrize("name", ["the example", "the plain one", "without spaces", "Windows' line ends"])
def test_a_good_book_is_read_by_libyaml_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(source: str) -> None:
        raise AssertionError

    monkeypatch.setattr(yaml_composer, "_PythonParser", never)
    yaml_composer.compose(BOOKS[name])


LINES = st.sampled_from([line for book in (the_example(), BLOCKS) for line in book.splitlines(keepends=True)])
JUNK = st.text(alphabet="{}[]:-,|>&*!#%@?~.+\\ \n\t\"'ab1好=^", max_size=4)


@given(st.lists(LINES | JUNK, max_size=12).map("".join))
@settings(max_examples=500)
def test_both_parsers_read_anything_alike(source: str) -> None:
    assert read_by(yaml_composer.CParser, source) == read_by(None, source)

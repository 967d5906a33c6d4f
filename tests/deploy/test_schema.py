"""The JSON Schema for editors says what the reader of books says."""

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tasks.events import CHANGES
from tasks.templates import limits
from tasks.templates.book import KEYS, BookError, read
from tasks.templates.conditions import CUSTOMER_TYPES, WEEKDAYS
from tasks.wecom import message_limits
from tests.support.books import FILES, a_book, a_rule, a_template, looking_at, the_example
from tests.support.builders import BOOK

SCHEMA = json.loads((Path(__file__).parents[2] / "deploy/welcome-book.schema.json").read_text("utf-8"))
DEFS = SCHEMA["$defs"]
DEMO = Path(__file__).parents[1] / "simulator/demo-book.yaml"
VALID = {
    "the example": the_example(),
    "the demo's": DEMO.read_text("utf-8"),
    "the plain one": BOOK,
    "media by id": a_template(
        "text: 001\nattachments:\n- image: {pic_url: 'https://a.cn'}\n- video: {media_id: 3a}\n"
        "- miniprogram: {title: 1, appid: wx1, page: p, cover: {media_id: 3b}}"
    ),
    "all conditions": a_rule(
        "{member: 001, department: [3], state: [a, 1], hours: ['21:00-08:30'], weekdays: sun, dates: 2026-10-01,"
        " customer_type: [wechat], add_way: 1, change: add}",
        "{one: 1, two: 0}",
    ),
    "a tag alone": a_template("text: t\nthen: {tags: a}"),
    "a group's image": a_template("text: t") + "group_welcome: {g: {image: {file: media/hello.png}}}\n",
}
WRONG = {
    "no version": "templates: {default: {text: t}}\nrules: [use: default]\n",
    "a misspelt key": a_template("txt: t"),
    "two kinds in one": a_template("text: t\nattachments:\n- {image: {media_id: a}, video: {media_id: b}}"),
    "two sources": a_template("text: t\nattachments: [image: {pic_url: 'https://a.cn', media_id: a}]"),
    "ten attachments": a_template("text: t\nattachments:\n" + "- video: {media_id: a}\n" * 10),
    "a link without a URL": a_template("text: t\nattachments: [link: {title: t}]"),
    "a title that is too long": a_template(
        "text: t\nattachments: [link: {title: " + "x" * 129 + ", url: 'https://a.cn'}]"
    ),
    "a group's text that is too long": a_template("text: t") + "group_welcome: {g: {text: " + "x" * 3001 + "}}\n",
    "no such weekday": a_rule("{weekdays: monday}"),
    "no such hours": a_rule("{hours: 21-8}"),
    "no condition": a_rule("{}"),
}


def validate(source: str) -> None:
    document: Any = yaml.safe_load(source)
    as_json = json.loads(
        json.dumps(document, default=lambda value: value.isoformat() if isinstance(value, date) else 0)
    )
    jsonschema.Draft202012Validator(SCHEMA).validate(as_json)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("kind", KEYS)
def test_it_knows_each_key_that_the_reader_knows_and_no_other(kind: str) -> None:
    assert set(DEFS[kind]["properties"]) == set(KEYS[kind])
    assert DEFS[kind]["additionalProperties"] is False


def test_it_has_nothing_that_the_reader_does_not_know() -> None:
    assert set(DEFS) == {*KEYS, "text"}


def test_its_lists_of_words_and_its_limits_are_the_readers() -> None:
    conditions = DEFS["when"]["properties"]
    words = {name: conditions[name]["anyOf"][0]["enum"] for name in ("weekdays", "customer_type", "change")}
    assert words == {
        "weekdays": list(WEEKDAYS),
        "customer_type": list(CUSTOMER_TYPES.values()),
        "change": list(CHANGES.values()),
    }


def numbers(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, limit) of every limit in the schema: of its keywords, and in the words of its descriptions."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in ("maxLength", "maxItems", "maxProperties") and path != ("attachment",):  # which is one of five
            yield path, str(value)
        elif key == "description":
            words = r"\d+(?= MB)|\d+(?= bytes)|\d+(?= characters)|(?<=[Aa]t most )\d+"
            yield from ((path, number) for number in re.findall(words, value))
        elif key != "properties":
            yield from numbers(value, (*path, str(key)))
        else:
            for name, one in value.items():
                yield from numbers(one, (*path, name))


def the_tables() -> Iterator[tuple[tuple[str, ...], int]]:
    """The same from the tables that the reader and the client have."""
    yield from ((("book", part, "propertyNames"), limits.NAME.most) for part in ("templates", "group_welcome"))
    yield from [(("book", "group_welcome"), message_limits.GROUP_WELCOMES.most)] * 2
    yield ("template", "text"), message_limits.TEXT.most  # in words alone: placeholders have another length
    yield from [(("template", "attachments"), message_limits.ATTACHMENTS.most)] * 2
    for kind in ("image", "video", "file"):
        yield (kind,), message_limits.FILE_MOST[kind] >> 20
    yield ("image",), message_limits.PERMANENT_IMAGE_MOST >> 20
    for kind, fields in message_limits.FIELDS.items():
        for name in set(fields) & set(KEYS[kind]):
            limit = limits.of_field(kind, name)
            yield from [((kind, name), limit.most)] * (2 if limit.doc else 1)
    yield ("then", "tags"), message_limits.TAG.most
    yield ("then", "remark"), message_limits.REMARK.most
    yield from [(("group_welcome", "text"), message_limits.GROUP_TEXT.most)] * 2


def test_each_of_its_limits_is_the_one_of_the_table() -> None:
    assert sorted(numbers(DEFS)) == sorted((path, str(most)) for path, most in the_tables())


@pytest.mark.parametrize("name", VALID)
def test_what_the_reader_takes_an_editor_takes(name: str) -> None:
    a_book(VALID[name])
    validate(VALID[name])


@pytest.mark.parametrize("name", WRONG)
def test_what_an_editor_marks_the_reader_refuses(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate(WRONG[name])
    with pytest.raises(BookError):
        read(WRONG[name], looking_at(FILES))


@pytest.mark.parametrize("kind", KEYS)
def test_what_an_editor_demands_the_reader_demands(kind: str) -> None:
    """A key that is required is one that the reader misses."""
    required = DEFS[kind].get("required", [])
    told = {
        "book": ["version", "templates", "rules"],
        "template": ["text"],
        "link": ["title", "url"],
        "miniprogram": ["title", "appid", "page", "cover"],
        "rule": ["use"],
    }
    assert required == told.get(kind, [])

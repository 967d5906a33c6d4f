"""An edit of one field leaves every other line, comment and quote of the author's as it was."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.templates.yaml_composer import compose
from tasks.templates.yaml_patch import rewritten
from tasks.templates.yaml_writer import Value, plain, values_of
from tests.support.books import the_example

AUTHORS = """\
# 01 the book of the Shanghai shop
version: 1   # 02

templates:   # 03 what is said

  # 04 for everybody
  default:
    # 05 short, please
    text: "您好{customer}"   # 06 the name first
    # 07 a brochure, and a film
    attachments:
    - image: {file: 'media/hello.png'}   # 08
    -   link:   # 09 set in deeper
            title:   'The shop''s'  # 10
            # 11 with a campaign
            url: https://example.com/?a=1#b   # 12
    - {video: {media_id: "x"}}

    then: # 13
       # 14
       tags: [ 来源/新客户,  "b" ,c ]   # 15
       remark: '{customer}' # 16
       # 17 nothing else, for now

  'long':
      text: |+   # 18 as they wrote it
        one

         two # no comment

      # 19 below the text
  folded: {text: >-  }
  brochure:
    text: |2-
        set in
      out

    then: {tags: ["one",  # 20
                  two], remark: r}

# 21 from the top down
rules:
  # 22 at night

  # 23
  - name: night   # 24
    when: {hours: "21:00-08:30", weekdays: [mon, "tue"]}  # 25
    use: default # 26
  - # 27 a test
    name: "ab"
    when:
      # 28
      state: douyin-*   # 29
      member:
        - zhangsan   # 30
        # 31 since May
        - 'lisi'
    use:
      # 32
      default: 70   # 33
      brochure: '30'
  - use: long   # 34 the rest
  # 35 no more

group_welcome:
  new: {text: 欢迎, link: {title: "t", url: 'https://example.com'}}  # 36
# 37 the end
""".replace("folded: {text: >-  }", "folded: {text: f}")

TEXTS = st.text(st.sampled_from("a您#:'\"-{}[],| \n\\%&*!🌸"), max_size=12) | st.sampled_from(
    [
        "yes",
        "70",
        "21:30",
        "a # b",
        "- a",
        "a: b",
        " lead",
        "trail ",
        "one\ntwo",
        "one\n\n two\n",
        "\n",
        "...",
        "---",
        "~",
    ]
)
Path = tuple[Any, ...]


def leaves(node: yaml.Node, path: Path = ()) -> Iterator[tuple[Path, yaml.Node]]:
    """Every text of a book's YAML, with the path to it."""
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from leaves(value, (*path, str(key.value)))
    else:
        for number, item in enumerate(node.value):
            yield from leaves(item, (*path, number))


def collections(value: Value, path: Path = ()) -> Iterator[Path]:
    """The path to every list and mapping below the sections."""
    if not isinstance(value, str):
        if len(path) > 1:
            yield path
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from collections(one, (*path, name))


def at(values: Any, path: Path) -> Any:
    for step in path:
        values = values[step]
    return values


LEAVES = [one for one in leaves(compose(AUTHORS)) if one[0] != ("version",)]
COLLECTIONS = list(collections(values_of(AUTHORS)))
COMMENTS = [f"# {number:02}" for number in range(1, 38)]


def test_the_book_is_as_it_is_meant() -> None:
    assert rewritten(AUTHORS, values_of(AUTHORS)) == AUTHORS
    assert all(AUTHORS.count(comment) == 1 for comment in COMMENTS)


@given(which=st.integers(0, len(LEAVES) - 1), text=TEXTS)
def test_another_text_changes_its_own_lines_and_no_others(which: int, text: str) -> None:
    path, node = LEAVES[which]
    values = copy.deepcopy(values_of(AUTHORS))
    at(values, path[:-1])[path[-1]] = text
    written = rewritten(AUTHORS, values)
    assert values_of(written) == values
    lines = AUTHORS.splitlines(keepends=True)
    before = "".join(lines[: node.start_mark.line])
    last = node.end_mark.line - (node.style == "|" and node.end_mark.column == 0)
    after = "".join(lines[last + 1 :]).lstrip("\n")
    assert written.startswith(before + lines[node.start_mark.line][: node.start_mark.column].rstrip())
    if path == ("templates", "long", "text"):
        after = after.replace("      # 19", "  # 19")  # as far out as its item, lest it become a part of the text
    assert written.endswith(after)
    assert all(comment in written for comment in COMMENTS)


@given(which=st.integers(0, len(COLLECTIONS) - 1), data=st.data())
def test_what_is_added_or_taken_out_takes_no_comment_of_anything_else_along(which: int, data: st.DataObject) -> None:
    values = copy.deepcopy(values_of(AUTHORS))
    path = COLLECTIONS[which]
    collection = at(values, path)
    names = list(collection) if isinstance(collection, dict) else list(range(len(collection)))
    gone = data.draw(st.none() | st.sampled_from(names))
    own = COMMENTS if gone is None else [one for one in COMMENTS if one not in of_item(path, gone)]
    if gone is not None:
        del collection[gone]
    fresh: Any = data.draw(st.none() | TEXTS | st.lists(TEXTS, max_size=2) | st.dictionaries(TEXTS, TEXTS, max_size=2))
    if fresh is not None and isinstance(collection, dict):
        collection["fresh"] = fresh
    elif fresh is not None:
        collection.insert(data.draw(st.integers(0, len(collection))), fresh)
    written = rewritten(AUTHORS, values)
    assert values_of(written) == values
    assert [one for one in own if one not in written] == []


def of_item(path: Path, name: Any) -> set[str]:
    """The comments of an item: those within it, and those right above and beside it."""
    node: Any = compose(AUTHORS)
    for step in path:
        node = node.value[step] if isinstance(node, yaml.SequenceNode) else dict_of(node)[step][1]
    key, value = (node.value[name],) * 2 if isinstance(node, yaml.SequenceNode) else dict_of(node)[name]
    lines = AUTHORS.splitlines()
    last = max(one.end_mark.line - (one.end_mark.column == 0) for _, one in leaves(value)) if plain(value) else 0
    last = max(last, key.start_mark.line, value.end_mark.line - (value.end_mark.column == 0))
    first = key.start_mark.line
    while lines[first - 1].strip().startswith(("#", "- #")):
        first -= 1
    while last + 1 < len(lines) and lines[last + 1].strip().startswith("#"):
        last += 1
    return {one for one in COMMENTS if any(one in line for line in lines[first : last + 1])}


def dict_of(node: Any) -> dict[str, tuple[Any, Any]]:
    return {str(key.value): (key, value) for key, value in node.value}


@given(order=st.permutations(range(3)), which=st.sampled_from([("rules",), ("templates", "default", "attachments")]))
def test_what_moves_takes_its_comments_along(order: list[int], which: Path) -> None:
    values = copy.deepcopy(values_of(AUTHORS))
    moved = at(values, which)
    moved[:] = [moved[number] for number in order]
    written = rewritten(AUTHORS, values)
    assert values_of(written) == values
    assert all(comment in written for comment in COMMENTS)
    assert sorted(line for line in written.splitlines() if line) == sorted(
        line for line in AUTHORS.splitlines() if line
    )


def test_a_new_name_keeps_all_the_rest() -> None:
    values = copy.deepcopy(values_of(AUTHORS))
    values["templates"] = {("night" if name == "long" else name): one for name, one in values["templates"].items()}
    values["rules"][2]["use"] = "night"
    written = rewritten(AUTHORS, values)
    assert written == AUTHORS.replace("  'long':", "  night:").replace("use: long", "use: night")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_windows_lines_stay_so(newline: str) -> None:
    source = AUTHORS.replace("\n", newline)
    values = copy.deepcopy(values_of(source))
    values["templates"]["default"]["text"] = "one\ntwo"
    values["rules"].insert(0, {"name": "new", "use": "default"})
    written = rewritten(source, values)
    assert values_of(written) == values
    assert written.count("\n") == written.count(newline)
    assert all(comment in written for comment in COMMENTS)


def test_the_order_that_a_form_gives_its_fields_is_not_the_authors() -> None:
    values = copy.deepcopy(values_of(AUTHORS))
    values["templates"]["default"] = dict(reversed(values["templates"]["default"].items()))
    assert rewritten(AUTHORS, values) == AUTHORS
    values["rules"][1]["use"] = {"brochure": "30", "default": "70"}  # which says who gets what
    assert rewritten(AUTHORS, values) == AUTHORS.replace(
        "      # 32\n      default: 70   # 33\n      brochure: '30'\n",
        "      brochure: '30'\n      # 32\n      default: 70   # 33\n",
    )


def test_the_example_book_keeps_its_comments_through_an_edit_of_everything() -> None:
    source = the_example()
    comments = [line.strip() for line in source.splitlines() if line.strip().startswith("#")]
    values = copy.deepcopy(values_of(source))
    for template in values["templates"].values():
        template["text"] = template.get("text", "") + "!"
    for rule in values["rules"]:
        rule["name"] = "new"
    written = rewritten(source, values)
    assert values_of(written) == values
    assert [one for one in comments if one not in written] == []

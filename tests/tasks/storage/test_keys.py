"""Every key is in one table, and no other module writes a key's name."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.storage import keys
from tasks.storage.keys import EARLIER, TABLE, Backup, Forget

ROOT = Path(__file__).parents[3]
OURS = re.compile(r"(?<![\w-])welcome:[a-z*\[]")
SOURCES = [
    path
    for folder in ("tasks", "webhook", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".lua") and path not in (Path(keys.__file__), Path(__file__))
    if "upgrade" not in path.parts  # whose data another release wrote
]


def literals(source: str) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    tree = ast.parse(source)
    statements = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


def test_no_other_module_writes_the_name_of_a_key() -> None:
    assert len(SOURCES) > 200
    found = []
    for path in SOURCES:
        text = path.read_text("utf-8")
        if "welcome:" not in text:
            continue
        strings = [text] if path.suffix == ".lua" else literals(text)
        found += [f"{path.relative_to(ROOT)}: {one[:60]}" for one in strings if OURS.search(one)]
    assert found == []


NO_NAMES = {"ALL", "LIMITER", "STRING", "HASH", "ZSET", "LIST", "SET"}


def names() -> Iterator[str]:
    """What the constants and the functions of the module make, "{}" for each argument."""
    for name, value in vars(keys).items():
        if isinstance(value, str) and name.isupper() and name not in NO_NAMES:
            yield value
        elif inspect.isfunction(value) and value.__module__ == keys.__name__ and value not in (keys.find, keys.tallies):
            yield value(*("{}" for _ in inspect.signature(value).parameters))


def test_every_name_that_can_be_made_is_in_the_table_once() -> None:
    made = sorted(names())
    assert made == sorted(
        re.sub(r"\{\w+\}", "{}", key.name)
        for key in TABLE
        if not key.name.startswith(("wecom:", "LIMITS:", "_kombu", "unacked_mutex"))
    )
    assert len({key.name for key in (*TABLE, *EARLIER)}) == len(TABLE) + len(EARLIER)
    assert all(key.life for key in EARLIER)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (keys.event("1f" * 16), "welcome:event:{id}"),
        (keys.index("sales", "channel", "a:b\n"), "welcome:index:{app}:{kind}:{value}"),
        (keys.index("sales", "outcome", ""), "welcome:index:{app}:{kind}:{value}"),
        (keys.book("sales"), "welcome:book:{app}"),
        (keys.revision("sales", 3), "welcome:book:{app}:{number}"),
        (keys.revision_about("sales", 3), "welcome:book:{app}:{number}:about"),
        (keys.corp_tags_lock("ww1"), "welcome:tags:{corp}:lock"),
        (keys.MEDIA_SIZES, "welcome:media"),
        ("welcome:roster:sales", "welcome:roster:{app}"),  # of 1.0.0
        ("welcome:departments:sales", "welcome:departments:{app}"),
        ("welcome:event:", None),
        ("welcome:due:", None),
        ("welcome:nothing", None),
        ("unacked", None),
    ],
)
def test_a_key_is_found_by_its_name(name: str, key: str | None) -> None:
    found = keys.find(name)
    assert (None if found is None else found.name) == key


def test_what_names_a_customer_and_is_kept_is_erased() -> None:
    of_events = {key.name for key in TABLE if "event →" in key.meaning or "→ event" in key.meaning}
    named = {keys.event("{id}"), keys.name_search("{token}")}
    assert {key.name for key in TABLE if key.forget is not Forget.NO} == of_events | named
    assert {key.name for key in TABLE if key.backup is Backup.FILE} == {keys.media("{sha256}")}

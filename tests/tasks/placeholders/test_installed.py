"""What packages declare: read once, and what is wrong with one is said by name and costs nothing else."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tasks.placeholders import installed as module
from tasks.placeholders.hook import MOST, Declared, read
from tasks.placeholders.installed import GROUP, load


class Given:
    def __init__(self, placeholders: Any, values: Any = lambda _request, _seconds: {}) -> None:
        self.placeholders, self.values = placeholders, values


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an entry point of a module with this source."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(source: str, name: str = "crm", attribute: str = "") -> EntryPoint:
        made.append(f"theirs_{len(made)}")
        (tmp_path / f"{made[-1]}.py").write_text(source)
        return EntryPoint(name, made[-1] + (f":{attribute}" if attribute else ""), GROUP)

    yield make
    for one in made:
        sys.modules.pop(one, None)


FINE = "placeholders = {'level': {'bytes': 24, 'zh': '等级'}, 'id': {}}\ndef values(request, seconds): return {}\n"


def test_a_module_or_an_object_of_one_is_a_hook(point: Any) -> None:
    source = (
        FINE + "class Of:\n  placeholders = {'team': {}}\n  def values(self, request, seconds): return {}\nof = Of()\n"
    )
    found = load([point(source), point(source, "sales", "of")])
    assert found.known == {"crm.level": 24, "crm.id": 64, "sales.team": 64}
    assert found.hooks["crm"].placeholders["level"] == Declared(24, "等级", "等级")
    assert found.hooks["crm"].placeholders["id"] == Declared(64, "crm.id", "crm.id")
    assert not found.broken


def test_a_broken_one_is_named_and_the_others_serve_on(point: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = "import os\nraise KeyError('SECRET-1')\n"
    found = load([point(source, "a"), point("import sys; sys.exit(3)", "b"), point("x = 1", "c"), point(FINE, "d")])
    assert set(found.hooks) == {"d"}
    assert str(found.broken["a"]) == "its import fails: KeyError at theirs_0.py:2"
    assert str(found.broken["b"]).startswith("its import fails: SystemExit")
    assert "mapping" in str(found.broken["c"])
    assert "placeholders of a cannot be used" in caplog.text
    assert "SECRET-1" not in caplog.text


def test_an_object_that_refuses_to_be_asked_is_broken_at_once(point: Any) -> None:
    source = "class Of:\n  @property\n  def placeholders(self): raise ValueError\nof = Of()\n"
    found = load([point(source, attribute="of")])
    assert str(found.broken["crm"]) == "its import fails: ValueError at theirs_0.py:3"


def test_two_packages_cannot_have_one_name(point: Any) -> None:
    found = load([point(FINE), point(FINE)])
    assert not found.hooks
    assert "several packages" in str(found.broken["crm"])


def test_an_import_that_hangs_is_left_behind(point: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    found = load([point("import threading; threading.Event().wait()")])
    assert "longer than" in str(found.broken["crm"])


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("CRM", Given({"a": {}}), "entry point's name"),
        ("crm", Given({}), "1 to 32 names"),
        ("crm", Given({f"n{n}": {} for n in range(MOST + 1)}), "1 to 32 names"),
        ("crm", Given({"a": {}}, None), "values(request, seconds)"),
        ("crm", Given({"a.b": {}}), "placeholder a.b"),
        ("crm", Given({"a": {"byte": 3}}), "bytes, zh, en, example"),
        ("crm", Given({"a": {"bytes": 513}}), "1 to 512"),
        ("crm", Given({"a": {"bytes": True}}), "1 to 512"),
        ("crm", Given({"a": {"zh": "长" * 25}}), "`zh` has to be a text of up to 24"),
    ],
)
def test_what_is_wrong_is_said(name: str, given: Given, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read(name, "crm 1.0", given)
    assert said in str(caught.value)

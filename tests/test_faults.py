"""The table of faults in tests/scenarios/README.md: each has a number, and each test that it names is there."""

import re
from functools import cache
from pathlib import Path

from tests.support.documents import ROOT, Page

FOLDER = ROOT / "tests/scenarios"
ROWS = [cells for cells in Page(FOLDER / "README.md").rows() if re.fullmatch(r"F\d+", cells[0])]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
NUMBER = re.compile(r"f(\d\d)_")


@cache
def names_in(path: Path) -> frozenset[str]:
    return frozenset(re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE))


def named(cell: str) -> list[tuple[Path, str]]:
    """(file, name) of each test that a cell names."""
    return [((ROOT if "/" in file else FOLDER) / file, name) for file, name in NAMED.findall(cell)]


def test_faults_are_numbered_without_a_gap() -> None:
    assert sorted(int(cells[0].removeprefix("F")) for cells in ROWS) == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 52


def test_each_test_that_the_table_names_is_there() -> None:
    assert not [
        f"{path.name}::{name}"
        for cells in ROWS
        for path, name in named(cells[2])
        if not path.exists() or name not in names_in(path)
    ]


def test_a_scenario_named_after_a_fault_stands_in_its_row() -> None:
    rows = {int(cells[0][1:]): {name for _, name in named(cells[2])} for cells in ROWS}
    astray = [
        (number, name)
        for file in FOLDER.glob("test_*.py")
        for name in names_in(file)
        for number in map(int, NUMBER.findall(name))
        if name not in rows[number]
    ]
    assert not astray

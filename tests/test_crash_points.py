"""Crash points that scenarios name by text: each is a function of today's code."""

import importlib
import operator
from pathlib import Path

import pytest

from tests.support.crashing import POINT

TESTS = Path(__file__).parent
POINTS = sorted(
    {
        match.group(1, 2)
        for file in (TESTS / "scenarios").rglob("*.py")
        for match in POINT.finditer(file.read_text("utf-8"))
    }
)


def test_scenarios_name_crash_points() -> None:
    assert len(POINTS) > 5


@pytest.mark.parametrize(("module", "path"), POINTS)
def test_a_crash_point_exists(module: str, path: str) -> None:
    assert callable(operator.attrgetter(path)(importlib.import_module(module)))

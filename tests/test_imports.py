"""What tests share stands in tests/support, where it can be found: no file imports from a test module or a conftest."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.py"))
IMPORT = re.compile(r"^[ \t]*(?:from|import)\b[^(\n]*(?:\([^)]*\))?", re.MULTILINE)  # to parse few files of hundreds


def imported(source: str) -> Iterator[str]:
    """Every module that a file names in an import, and every name that it takes from a package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{name.name}" for name in node.names)


def suspicious(source: str) -> str:
    """A file that may name a test module or a conftest in an import; any other is empty."""
    return source if any("test_" in one or "conftest" in one for one in IMPORT.findall(source)) else ""


def is_for_its_own_tests(module: str) -> bool:
    inside = module.startswith(("tests.", "."))
    return inside and any(part == "conftest" or part.startswith("test_") for part in module.split("."))


def test_nobody_imports_from_a_test_module_or_a_conftest() -> None:
    assert len(FILES) > 150
    wrong = {
        f"{file.relative_to(HERE)}: {module}"
        for file in FILES
        for module in imported(suspicious(file.read_text("utf-8")))
        if is_for_its_own_tests(module)
    }
    assert wrong == set()


def test_each_way_to_import_is_seen() -> None:
    source = (
        "import tests.a.conftest\nfrom tests.a.test_b import c\nfrom tests.a import test_d\nfrom . import conftest\n"
    )
    found = {module for module in imported(suspicious(source)) if is_for_its_own_tests(module)}
    assert found == {"tests.a.conftest", "tests.a.test_b", "tests.a.test_b.c", "tests.a.test_d", "..conftest"}
    assert suspicious("from tests.a import (\n    b,\n    test_c,\n)\n")
    assert not is_for_its_own_tests("celery.contrib.testing.test_worker")

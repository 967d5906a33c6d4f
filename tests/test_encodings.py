"""Every file is read and written as UTF-8, whatever the locale: who opens text says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
POSITION = {"open": 2, "read_text": 0, "write_text": 1}  # of `encoding` in `path.open(mode, …)`: see below
FILES = sorted(file for folder in ("tasks", "webhook") for file in (ROOT / folder).rglob("*.py"))


def lacks_encoding(call: ast.Call) -> bool:
    function = call.func
    name = getattr(function, "id", getattr(function, "attr", ""))
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in ("run", "Popen", "check_output"):
        return ("text" in given or "universal_newlines" in given) and "encoding" not in given
    if "encoding" in given:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) <= POSITION[name]
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        mode = given.get("mode") or next(iter(call.args[isinstance(function, ast.Name) or name == "fdopen" :]), None)
        said = mode.value if isinstance(mode, ast.Constant) else None
        text = said is None or (isinstance(said, str) and "b" not in said)
        return isinstance(function, ast.Name) and text if said is None else text and _is_mode(said)
    return False


def _is_mode(said: object) -> bool:
    return isinstance(said, str) and 0 < len(said) <= 3 and set(said) <= set("rwaxt+")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_text_is_opened_with_its_encoding(file: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    assert [f"{file.name}:{call.lineno}" for call in calls if lacks_encoding(call)] == []


@pytest.mark.parametrize(
    ("source", "lacks"),
    [
        ("open('x')", True),
        ("open('x', 'w')", True),
        ("open('x', 'rb')", False),
        ("open('x', encoding='utf-8')", False),
        ("path.open('w')", True),
        ("path.open('rb')", False),
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(x)", True),
        ("path.write_text(x, 'utf-8')", False),
        ("os.fdopen(1, 'w')", True),
        ("os.fdopen(1, 'wb')", False),
        ("run(x, text=True)", True),
        ("run(x, text=True, encoding='utf-8')", False),
        ("envelope.open(ciphertext)", False),
    ],
)
def test_what_lacks_one_is_found(source: str, lacks: bool) -> None:
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    assert lacks_encoding(call) is lacks

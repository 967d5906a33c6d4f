"""No decision hangs on a wording: every text for people is changed, and nothing else changes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.reworded", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_every_wording_may_change_and_nothing_that_is_decided_does() -> None:
    before, after = run(), run("--reworded")
    assert after["decisions"] == before["decisions"]
    assert len(before["decisions"]) > 2000
    unchanged = [one for one, now in zip(before["words"], after["words"], strict=True) if one == now and " " in one]
    assert unchanged == []

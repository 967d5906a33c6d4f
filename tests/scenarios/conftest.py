"""The table of what the long runs came to, at the end of `make soak`."""

from collections.abc import Callable

import pytest

from tests.scenarios.judge import HEADING, Verdict

TABLE = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []


@pytest.fixture
def reliability(request: pytest.FixtureRequest) -> Callable[[str, int, Verdict], None]:
    """`reliability("kill -9 of workers", kills, verdict)`: a row of the table."""

    def note(name: str, kills: int, verdict: Verdict) -> None:
        request.config.stash[TABLE].append(verdict.line(name, kills))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = terminalreporter.config.stash.get(TABLE, [])
    if rows:
        terminalreporter.section("reliability")
        for line in (HEADING, *rows):
            terminalreporter.line(line)

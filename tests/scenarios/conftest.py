"""What the scenarios measured: with -v the seconds, at the end of `make soak` the table of the long runs."""

from collections.abc import Callable

import pytest

from tests.support.judge import HEADING, Verdict

TABLE = pytest.StashKey[list[str]]()
SECONDS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE], config.stash[SECONDS] = [], []


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """`measured("web is back", 0.6)`: a line at the end of a run with -v."""

    def note(what: str, seconds: float) -> None:
        request.config.stash[SECONDS].append(f"{what:<60} {seconds:6.2f} s")

    return note


@pytest.fixture
def reliability(request: pytest.FixtureRequest) -> Callable[[str, int, Verdict], None]:
    """`reliability("kill -9 of workers", kills, verdict)`: a row of the table."""

    def note(name: str, kills: int, verdict: Verdict) -> None:
        request.config.stash[TABLE].append(verdict.line(name, kills))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    seconds = terminalreporter.config.stash.get(SECONDS, [])
    if seconds and terminalreporter.config.get_verbosity() >= 0:
        terminalreporter.section("measured")
        for line in seconds:
            terminalreporter.line(line)
    rows = terminalreporter.config.stash.get(TABLE, [])
    if rows:
        terminalreporter.section("reliability")
        for line in (HEADING, *rows):
            terminalreporter.line(line)

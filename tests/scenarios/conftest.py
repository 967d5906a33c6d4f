"""What the scenarios measured: with -v each figure, at the end of `make soak` the table of the long runs."""

from collections.abc import Callable

import pytest

from tests.support.judge import HEADING, Verdict

TABLE = pytest.StashKey[list[str]]()
MEASURED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE], config.stash[MEASURED] = [], []


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`measured("web is back", 0.6)`: a line at the end of a run with -v. A third argument names another unit."""

    def note(what: str, value: float, unit: str = "s") -> None:
        request.config.stash[MEASURED].append(f"{what:<60} {value:8.2f} {unit}")

    return note


@pytest.fixture
def reliability(request: pytest.FixtureRequest) -> Callable[[str, int, Verdict], None]:
    """`reliability("kill -9 of workers", kills, verdict)`: a row of the table."""

    def note(name: str, kills: int, verdict: Verdict) -> None:
        request.config.stash[TABLE].append(verdict.line(name, kills))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    measured = terminalreporter.config.stash.get(MEASURED, [])
    if measured and terminalreporter.config.get_verbosity() >= 0:
        terminalreporter.section("measured")
        for line in measured:
            terminalreporter.line(line)
    rows = terminalreporter.config.stash.get(TABLE, [])
    if rows:
        terminalreporter.section("reliability")
        for line in (HEADING, *rows):
            terminalreporter.line(line)

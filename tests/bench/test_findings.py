"""What is made of a benchmark's findings: medians of rounds, promises judged, tables for the documents."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.pages import PageCost
from tests.bench.runs import RUNS, Idle, Result, cpu_per_send, goodput, recovery
from tests.bench.tables import FRONT, INTRODUCTIONS, REFERENCE, Row, documents, markdown
from tests.bench.targets import Findings, verdicts
from tests.simulator.records import Percentiles, Record, Records, Summary

BEGAN = 1_700_000_000.0
MEMORY = {"web": 40_000_000, "welcome": 45_000_000, "redis": 8_000_000, "upkeep": 44_000_000, "beat": 30_000_000}


def a_summary(count: int = 100, missed: int = 0) -> Summary:
    in_time = count - missed
    empty = Records().summary(20, {}, 0)
    return replace(
        empty,
        added=count,
        greetable=count,
        greeted=count,
        greeted_in_window=in_time,
        greeted_share=in_time / count,
        to_greeting=Percentiles(0.09, 0.1, 0.11, 0.12),
    )


def a_result(run: str = "steady100", system: str = "product", cpu: float | None = None, missed: int = 0) -> Result:
    return Result(run, system, a_summary(missed=missed), 10.0, MEMORY, cpu)


def a_record(added: float, greeted: float | None, number: int = 1) -> Record:
    record = Record(number, "default", "ww", "add", "m", "wm", "code", "", BEGAN + added, int(BEGAN + added))
    record.greeted_at = None if greeted is None else BEGAN + greeted
    return record


def everything(**changes: Result) -> Findings:
    """All promises kept, but for `changes`: the result of a run for the product."""
    results = {}
    for run in RUNS.values():
        for system in run.of:
            cpu = {"product": 0.2, "tuned": 0.45, "reference": 0.7}.get(system) if run.name == "cpu" else None
            result = a_result(run.name, system, cpu)
            if system in ("tuned", "reference"):
                result = replace(result, memory={"web": 90_000_000, "worker": 110_000_000, "redis": 8_000_000})
            results[run.name, system] = [result] * run.rounds
    results["overload", "product"] = [replace(a_result("overload"), goodput=0.95)]
    results["freeze", "product"] = [replace(a_result("freeze"), recoveries={"welcome": 7.2, "web": 8.0})]
    results |= {(run, "product"): [result] for run, result in changes.items()}
    machine = {"at": "now", "cpus": 2, "load": 0.1, "python": "3", "system": "Linux"}
    idle = [Idle("console", 0.004), Idle("tuned", 0.002), Idle("reference", 0.005)]
    return Findings(machine, results, idle, [PageCost("Today", 0.004, 0.012)])


def test_a_median_is_taken_over_the_rounds_and_a_ratio_within_each() -> None:
    ours = [a_result("cpu", cpu=cpu) for cpu in (0.3, 0.2, 0.9)]
    theirs = [a_result("cpu", "tuned", cpu) for cpu in (0.6, 0.5, 0.9)]
    found = Findings({}, {("cpu", "product"): ours, ("cpu", "tuned"): theirs})
    assert found.value("cpu", "product", cpu_per_send) == pytest.approx(0.003)
    assert found.ratio("cpu", "tuned", cpu_per_send) == pytest.approx(0.5)  # of 0.5, 0.4 and 1.0
    assert found.ratio("cpu", "reference", cpu_per_send) is None


def test_every_promise_is_judged_and_none_is_kept_that_was_not_measured() -> None:
    assert [verdict.promise for verdict in verdicts(everything()) if not verdict.kept] == []
    assert {verdict.kept for verdict in verdicts(Findings({}, {}))} == {None}


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        ({"burst8000": a_result("burst8000", missed=1)}, "burst of 8000: all greeted in time"),
        ({"overload": replace(a_result("overload"), goodput=0.89)}, "overload: greeted in time ≥ 90% of what"),
        ({"freeze": replace(a_result("freeze"), recoveries={"welcome": 1.0, "web": None})}, "web processes frozen"),
        ({"freeze": replace(a_result("freeze"), recoveries={"welcome": 10.1, "web": 1.0})}, "welcome processes frozen"),
    ],
)
def test_a_promise_that_is_broken_is_named(broken: dict[str, Result], promise: str) -> None:
    (failed,) = [verdict for verdict in verdicts(everything(**broken)) if verdict.kept is False]
    assert failed.promise.startswith(promise)


def test_goodput_counts_what_was_in_time_once_the_first_codes_are_old() -> None:
    in_time = [a_record(n, n + 15) for n in range(10, 25)]  # greeted from second 25 to 39
    early, late = a_record(1, 3), a_record(3, 30)
    records = [early, late, *in_time, a_record(5, None)]
    assert goodput(records, BEGAN, BEGAN + 40, window=20, capacity=1) == pytest.approx(15 / 20)


def test_recovery_counts_from_the_freeze_to_the_first_greeting_of_somebody_added_after_it() -> None:
    before = a_record(4.9, 5.05)  # its call had left already
    assert recovery([before, a_record(6, 12.5), a_record(7, 12.4)], BEGAN + 5) == pytest.approx(7.4)
    assert recovery([before, a_record(6, None)], BEGAN + 5) is None


@pytest.mark.parametrize(("language", "rows"), [("en", FRONT), ("zh", FRONT), ("en", REFERENCE)])
def test_a_table_has_a_cell_for_every_system_in_every_row(language: str, rows: Sequence[Row]) -> None:
    lines = markdown(everything(), language, rows).splitlines()
    assert {line.count("|") for line in lines} == {5}
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert all(row[0] for row in cells)
    assert all("–" not in row[3] or "ms" in row[3] for row in cells), "3–19 ms is a range"
    (cpu,) = (row[3] for row in cells if row[0].startswith(("CPU per send", "每次发送")))
    assert cpu.startswith("2.00 ")
    assert "0.44 ×" in cpu
    assert "0.29 ×" in cpu


def test_the_readme_keeps_its_thousand_words_with_these_tables() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    before, rest = readme.read_text("utf-8").split("## Measured\n")
    after = rest[rest.index("## ") :]
    section = INTRODUCTIONS["README.md, Measured"] + markdown(everything(), "en", FRONT)
    assert len(f"{before} ## Measured {section} {after}".split()) <= 1000


def test_a_part_of_the_runs_makes_tables_with_dashes() -> None:
    assert "| 200/s: p99 | – | – | – |" in documents(Findings({}, {}))

"""`python -m tests.bench`: the product beside a reference, in one run, against the same stand-in.

Each system is started anew for each run, with a Redis server and a stand-in of its own; they take turns. A timing
never fails the bench, only a system that did not run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench import pages, report
from tests.bench.runs import IDLE, RUNS, SYSTEMS, Idle, Result, Run, measure, measure_idle
from tests.bench.systems import SystemDidNotRun, install_reference
from tests.bench.targets import Findings

IDLE_RUN, PAGES = "idle", "pages"  # beside the names of RUNS
REFERENCES = ("reference", "tuned")


def main() -> int:
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        print("the bench needs Linux: it reads CPU and memory from /proc", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # unwinds, so that every child is stopped

    machine = report.machine()
    if any(name in REFERENCES for run in arguments.runs for name in run.of) or arguments.idle:
        install_reference()
    results, failed = _measure_all(arguments.runs)
    idle: list[Idle] = []
    costs: list[pages.PageCost] = []
    try:
        if arguments.idle:
            print(f"{IDLE_RUN} {', '.join(arguments.idle)} …", file=sys.stderr, flush=True)
            idle = measure_idle(arguments.idle, IDLE / 3 if arguments.quick else IDLE)
        if arguments.pages:
            print(f"{PAGES} product …", file=sys.stderr, flush=True)
            costs = pages.measure()
    except SystemDidNotRun as error:
        print(error, file=sys.stderr, flush=True)
        failed = True
    except Exception:  # what was measured before is told all the same
        traceback.print_exc()
        failed = True

    found = Findings(machine, results, idle, costs)
    print(report.to_text(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.to_json(found), ensure_ascii=False, indent=1) + "\n")
    return 1 if failed else 0


def _measure_all(runs: Iterable[Run]) -> tuple[dict[tuple[str, str], list[Result]], bool]:
    """Each round of each run, the systems in turn. → results by (run, system); whether a system did not run."""
    results: dict[tuple[str, str], list[Result]] = {}
    failed = False
    for run in runs:
        for number in range(run.rounds):
            for system in run.of:
                turn = f", {number + 1} of {run.rounds}" if run.rounds > 1 else ""
                print(f"{run.name} {system}{turn} …", file=sys.stderr, flush=True)
                try:
                    results.setdefault((run.name, system), []).append(measure(run, system))
                except SystemDidNotRun as error:
                    print(f"{run.name} {system}: {error}", file=sys.stderr, flush=True)
                    failed = True
    return results, failed


def _arguments() -> argparse.Namespace:
    names = [*RUNS, IDLE_RUN, PAGES]
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures the product beside a reference, stock and tuned. All of it takes about twenty minutes.",
        epilog="runs: "
        + "; ".join(f"{run.name} ({run.title})" for run in RUNS.values())
        + f"; {IDLE_RUN} (CPU without customers, all systems at once)"
        + f"; {PAGES} (the console's, with {pages.LITTLE} rows in the ledger and with {pages.MUCH})",
    )
    parser.add_argument("--only", metavar="SYSTEM,…", help=f"some systems of {', '.join(SYSTEMS)} instead of all")
    parser.add_argument("--runs", default=",".join(names), metavar="NAME,…", help="some runs instead of all")
    parser.add_argument(
        "--quick", action="store_true", help="a third of the customers in steady runs, one round of each"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    arguments = parser.parse_args()
    wanted = _listed(parser, "run", arguments.runs, names)
    systems = _listed(parser, "system", arguments.only, list(SYSTEMS)) if arguments.only else list(SYSTEMS)
    runs = [replace(RUNS[name], of=tuple(s for s in RUNS[name].of if s in systems)) for name in wanted if name in RUNS]
    arguments.runs = [run.shortened() for run in runs] if arguments.quick else runs
    arguments.idle = [name for name in systems if name != "product"] if IDLE_RUN in wanted else []
    arguments.pages = PAGES in wanted and "product" in systems
    return arguments


def _listed(parser: argparse.ArgumentParser, kind: str, text: str, names: Sequence[str]) -> list[str]:
    listed: list[str] = text.split(",")
    unknown = [name for name in listed if name not in names]
    if unknown:
        parser.error(f"no such {kind}: {', '.join(unknown)}; there are {', '.join(names)}")
    return listed


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.bench`: the product beside a reference, in one run, against the same stand-in.

Each system is started anew for each run, with a Redis server and a stand-in of its own; the two take turns. A timing
never fails the bench, only a system that did not run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.bench import pages, report
from tests.bench.runs import RUNS, SYSTEMS, Result, measure
from tests.bench.systems import SystemDidNotRun, install_reference

PAGES = "pages"  # beside the names of RUNS


def main() -> int:
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        print("the bench needs Linux: it reads CPU and memory from /proc", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # unwinds, so that every child is stopped

    where = report.machine()
    results: dict[tuple[str, str], Result] = {}
    failed = False
    if "reference" in arguments.systems and any("reference" in run.of for run in arguments.runs):
        install_reference()
    for run in arguments.runs:
        for system in (name for name in run.of if name in arguments.systems):
            print(f"{run.name} {system} …", file=sys.stderr, flush=True)
            try:
                results[run.name, system] = measure(run, system)
            except SystemDidNotRun as error:
                print(f"{run.name} {system}: {error}", file=sys.stderr, flush=True)
                failed = True
    costs: list[pages.PageCost] = []
    if arguments.pages:
        print(f"{PAGES} product …", file=sys.stderr, flush=True)
        try:
            costs = pages.measure()
        except SystemDidNotRun as error:
            print(f"{PAGES}: {error}", file=sys.stderr, flush=True)
            failed = True

    print(report.to_text(where, results, costs))
    if arguments.json:
        found = report.to_json(where, results, costs)
        arguments.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    names = [*RUNS, PAGES]
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures the product beside a reference: speed, CPU, memory. All of it takes about ten minutes.",
        epilog="runs: "
        + "; ".join(f"{run.name} ({run.title})" for run in RUNS.values())
        + f"; {PAGES} (the console's, with {pages.LITTLE} rows in the ledger and with {pages.MUCH})",
    )
    parser.add_argument("--only", choices=SYSTEMS, help="one system instead of both")
    parser.add_argument("--runs", default=",".join(names), metavar="NAME,…", help="some runs instead of all")
    parser.add_argument("--quick", action="store_true", help="a third of the customers in steady runs, of idling too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    arguments = parser.parse_args()
    wanted = arguments.runs.split(",")
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"no such run: {', '.join(unknown)}; there are {', '.join(names)}")
    runs = [RUNS[name] for name in wanted if name in RUNS]
    arguments.pages = PAGES in wanted and arguments.only != "reference"
    arguments.runs = [run.shortened() for run in runs] if arguments.quick else runs
    arguments.systems = [arguments.only] if arguments.only else list(SYSTEMS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())

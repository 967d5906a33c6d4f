"""What a system costs: CPU seconds of its whole process tree, memory as PSS. Linux only (/proc)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

_ROLE = re.compile(r"\brole (web|welcome|upkeep|beat)\b")
_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError, ProcessLookupError, PermissionError)


class CpuMeter:
    """CPU seconds that process trees have used since they were started.

    A process counts with its own time and that of all children it has waited for, so one that is short-lived or was
    restarted between two readings is counted through its parent. Processes that lost their parent are remembered and
    counted as long as they live.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = tuple(roots)
        self._met: set[psutil.Process] = set()

    def seconds(self) -> float:
        """CPU seconds, user and system, from the start of the trees until now."""
        self._met = {process for process in self._met if process.is_running()}
        self._met.update(process for root in self._roots for process in tree(root))
        return sum(_cpu_seconds(process) for process in self._met)


def tree(root: int) -> list[psutil.Process]:
    """The process and everything below it; empty when it is gone."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except _GONE:
        return []


def pss_by_role(root: int, otherwise: str) -> dict[str, int]:
    """Bytes of PSS below `root`, by the role that a process or its nearest ancestor names in its arguments.

    PSS divides a shared page among those who share it, so parts add up. What names no role counts as `otherwise`.
    """
    sizes: dict[str, int] = {}
    for process, named in _with_roles(root):
        role = named or otherwise
        sizes[role] = sizes.get(role, 0) + pss(process.pid)
    return sizes


def with_role(root: int, role: str) -> list[psutil.Process]:
    """The processes below `root` that belong to a role, by their arguments or an ancestor's. Parents first."""
    return [process for process, named in _with_roles(root) if named == role]


def pss(pid: int) -> int:
    """Proportional set size of one process, bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except _GONE:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _with_roles(root: int) -> Iterator[tuple[psutil.Process, str | None]]:
    """Every process of the tree with the role that it or its nearest ancestor names in its arguments."""
    roles: dict[int, str | None] = {}
    for process, parent in _with_parents(root):
        named = _ROLE.search(_arguments(process))
        roles[process.pid] = named[1] if named else roles.get(parent)
        yield process, roles[process.pid]


def _with_parents(root: int) -> Iterator[tuple[psutil.Process, int]]:
    """Every process of the tree with its parent's pid, parents first (psutil walks down from the root)."""
    for process in tree(root):
        try:
            yield process, process.ppid()
        except _GONE:
            continue


def _arguments(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except _GONE:
        return ""


def _cpu_seconds(process: psutil.Process) -> float:
    """Its own by its CPU-time clock, to the nanosecond; that of the children it waited for to a tick (10 ms)."""
    try:
        children = process.cpu_times()
        return time.clock_gettime(~process.pid << 3 | 2) + children.children_user + children.children_system
    except (*_GONE, OSError):
        return 0.0

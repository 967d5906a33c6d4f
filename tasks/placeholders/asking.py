"""Asks hooks for the values of placeholders: each call in a thread of its own, waited for until a deadline.

A hook is code of somebody else's, which may raise, hang, or return anything. That costs the values, so that the
fallbacks take their places, and never the greeting: nobody waits beyond the deadline; after SILENT calls in a row that
failed, one at a time asks, and the others go without; there are at most AT_ONCE calls of a hook, hanging ones too.
"""

import contextvars
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import product
from typing import Any

from tasks.counters import Counters, count
from tasks.placeholders.hook import Hook, Request
from tasks.placeholders.installed import Installed
from tasks.placeholders.raised import where
from tasks.visible_text import head, plain, trimmed

log = logging.getLogger(__name__)

AT_ONCE = 64  # calls of one hook in a process, those that hang included
SILENT = 8  # calls in a row that failed or were late, after which one at a time finds out whether it works again
PROBE = 30.0  # seconds after which another one finds out although the last one still hangs
LEAST = 0.05  # seconds that have to be left for a call
_LOOKED_AT = 8  # characters of a value that are looked at for each byte that it may have

Waiting = Callable[[], AbstractContextManager[None]]


class Result(StrEnum):
    """What became of a call. The values are exported."""

    ANSWERED = "answered"
    FAILED = "failed"  # it raised, or returned what is no mapping
    LATE = "late"  # the deadline came first
    SKIPPED = "skipped"  # it was not made, since others fail or hang


class State(StrEnum):
    """How it stands with a hook in a process. The values are stored, in heartbeats."""

    FINE = "fine"
    SILENT = "silent"  # its calls fail or hang: most greetings go without
    BROKEN = "broken"  # it could not be loaded
    ABSENT = "absent"  # of a hook that a book uses: no package has it


class Hooks:
    """Asks the installed hooks, for these apps. Thread-safe."""

    def __init__(self, installed: Installed, counters: Counters, apps: Iterable[str]) -> None:
        self._broken = installed.broken
        self._calls = {name: _Calls(hook, counters) for name, hook in installed.hooks.items()}
        for app, name, result in product(apps, installed.hooks, Result):
            counters.add(_counter(app, name, result), 0)

    def ask(self, request: Request, wanted: frozenset[str], by: float) -> "Answers":
        """Begin to ask for those of the `wanted` placeholders that hooks have. `by`: of `time.monotonic`."""
        names: defaultdict[str, set[str]] = defaultdict(set)
        for full in wanted:
            hook, dot, name = full.partition(".")
            if dot and hook in self._calls and name in self._calls[hook].hook.placeholders:
                names[hook].add(name)
        begun = (self._calls[hook].begin(replace(request, names=frozenset(some)), by) for hook, some in names.items())
        return Answers([call for call in begun if call is not None], by)

    def failures(self) -> dict[str, str]:
        """Hook → why its last call gave no values, of those whose last one gave none."""
        return {name: one.why for name, one in self._calls.items() if one.why}

    def states(self) -> dict[str, str]:
        """Hook → how it stands with it in this process."""
        asked = {name: State.SILENT if one.is_silent else State.FINE for name, one in self._calls.items()}
        return {**asked, **dict.fromkeys(self._broken, State.BROKEN)}


class Answers:
    """The values that were asked for."""

    def __init__(self, calls: "list[_Call]", by: float) -> None:
        self._calls = calls
        self._by = by

    def values(self, waiting: Waiting = nullcontext) -> dict[str, str]:
        """Placeholder → value, of those that come in time. `waiting`: for the context in which they are waited for."""
        if not all(call.done.is_set() for call in self._calls):
            with waiting():
                for call in self._calls:
                    call.done.wait(max(0.0, self._by - time.monotonic()))
        return {name: value for call in self._calls for name, value in call.taken().items()}


@dataclass(slots=True, eq=False)
class _Call:
    """A call of a hook. `probes`: it finds out whether the hook works again."""

    calls: "_Calls"
    request: Request
    by: float
    probes: bool
    done: threading.Event = field(default_factory=threading.Event)
    values: Mapping[str, str] = field(default_factory=dict)
    settled: bool = False

    def taken(self) -> Mapping[str, str]:
        """Its values; none if it is late, and then it is told so."""
        self.calls.settle(self, Result.LATE)
        return self.values


class _Calls:
    """The calls of one hook."""

    def __init__(self, hook: Hook, counters: Counters) -> None:
        self.hook = hook
        self._counters = counters
        self._lock = threading.Lock()
        self._under_way = 0
        self._failed = 0  # in a row
        self.why = ""  # the last call failed; "": it did not
        self._next_probe = 0.0  # of time.monotonic

    @property
    def is_silent(self) -> bool:
        return self._failed >= SILENT or self._under_way >= AT_ONCE

    def begin(self, request: Request, by: float) -> _Call | None:
        """The call, begun; None if it is not made."""
        now = time.monotonic()
        with self._lock:
            probes = self._failed >= SILENT
            begins = by - now >= LEAST and self._under_way < AT_ONCE and not (probes and now < self._next_probe)
            if begins:
                self._under_way += 1
                self._next_probe = now + PROBE if probes else 0.0
        call = _Call(self, request, by, probes)
        work = threading.Thread(
            target=contextvars.copy_context().run, args=(self._work, call), name=f"hook {self.hook.name}", daemon=True
        )
        try:
            if begins:
                work.start()
                return call
        except RuntimeError:  # the system allows no more threads
            self._ended(call)
        self._count(request, Result.SKIPPED)
        return None

    def settle(
        self, call: _Call, result: Result, values: Mapping[str, str] | None = None, why: str = "no answer in time"
    ) -> None:
        """What became of a call, told by its thread or by who waited for it: the first one counts."""
        with self._lock:
            if call.settled:
                return
            call.settled = True
            call.values = values or {}
            before, self._failed = self._failed, 0 if result is Result.ANSWERED else self._failed + 1
            after, self.why = self._failed, "" if result is Result.ANSWERED else why
        self._count(call.request, result)
        if result is Result.LATE:
            log.warning("the hook %s did not answer in time", self.hook.name)
        if after == SILENT:
            log.error("the hook %s failed %s times in a row: one greeting at a time asks it now", self.hook.name, after)
        elif before >= SILENT and not after:
            log.warning("the hook %s answers again", self.hook.name)

    def _work(self, call: _Call) -> None:
        try:
            seconds = max(0.0, call.by - time.monotonic())
            values = self._cleaned(call.request.names, self.hook.values(call.request, seconds))
        except BaseException as error:  # noqa: BLE001 - code of somebody else's, at the edge of a thread
            log.warning("the hook %s failed: %s", self.hook.name, where(error))
            self.settle(call, Result.FAILED, why=where(error))
        else:
            self.settle(call, Result.ANSWERED, values)
        self._ended(call)
        call.done.set()

    def _ended(self, call: _Call) -> None:
        with self._lock:
            self._under_way -= 1
            if call.probes:
                self._next_probe = 0.0

    def _cleaned(self, names: frozenset[str], given: Any) -> dict[str, str]:
        """What a hook returned, as names in texts are: on one line, cut to the declared length, no more than wanted."""
        found = {}
        for name in names:
            value = given.get(name)
            if isinstance(value, str):
                most = self.hook.placeholders[name].most
                shown = head(plain(value[: _LOOKED_AT * most]), most, lambda text: len(text.encode()))
                found[f"{self.hook.name}.{name}"] = trimmed(shown)
            elif value is not None:
                log.warning("the hook %s gives %s for %s, not a text", self.hook.name, type(value).__name__[:64], name)
        return found

    def _count(self, request: Request, result: Result) -> None:
        self._counters.add(_counter(request.app, self.hook.name, result))


def _counter(app: str, hook: str, result: Result) -> str:
    return count("placeholder_calls_total", app=app, hook=hook, result=result)

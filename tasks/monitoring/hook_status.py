"""How it stands with the hooks of installed packages, by what the processes say of themselves. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tasks.monitoring.heartbeat import Process
from tasks.placeholders.asking import State

Status = Mapping[State, tuple[Process, ...]]


def of_hooks(processes: Iterable[Process], used: frozenset[str]) -> dict[str, Status]:
    """Hook → state → the processes in which it is so, sorted by name. `used`: hooks that a book uses.

    Processes that say nothing of hooks, or nothing at all any more, are left out.
    """
    asking = [(one, one.hooks) for one in processes if one.hooks is not None and not one.is_silent]
    names = used.union(*(hooks for _, hooks in asking))
    found: dict[str, Status] = {}
    for name in sorted(names):
        states: defaultdict[State, tuple[Process, ...]] = defaultdict(tuple)
        for process, hooks in asking:
            states[_state(hooks.get(name, State.ABSENT))] += (process,)
        found[name] = states
    return found


def _state(stored: str) -> State:
    return State(stored) if stored in tuple(State) else State.BROKEN  # a later release's

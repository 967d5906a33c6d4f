"""Which tests are unit tests: those that start no server and no process. `make test-unit` runs and guards them."""

import sys
from functools import cache
from types import ModuleType

import pytest

# what starts something (modules: and whatever of tests/support imports them); what Python reports of it (PEP 578)
FIXTURES = frozenset({"redis_server", "stand_in", "server", "hurt_server", "_recorded", "require_tool"})
MODULES = frozenset({"subprocess", "multiprocessing", "socket", "http.server"})
OUTSIDE = frozenset({"subprocess.Popen", "os.fork", "os.posix_spawn", "socket.connect"})


def is_unit(item: pytest.Item) -> bool:
    """Whether a test neither asks for one of FIXTURES, nor stands in a file that imports from MODULES."""
    asked = getattr(item, "fixturenames", ())
    return FIXTURES.isdisjoint(asked) and not any(map(_starts_something, _imported(item.module)))


def stay_inside(event: str, _: object) -> None:
    """An audit hook that fails a test which leaves this process."""
    if event in OUTSIDE:
        raise AssertionError(f"a unit test came to {event}: see tests/support/unit.py")


@cache
def _starts_something(module: str) -> bool:
    inside = module.startswith("tests.support.") and module != __name__
    return module in MODULES or (inside and any(map(_starts_something, _imported(sys.modules[module]) - {module})))


def _imported(module: ModuleType) -> set[str]:
    """The modules that a file imports, or imports something from."""
    return {home for value in vars(module).values() if (home := _home(value)) is not None}


def _home(value: object) -> str | None:
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return home if isinstance(home, str) else None

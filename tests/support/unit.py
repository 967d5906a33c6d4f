"""Which tests are unit tests: those that start no server and no process. `make test-unit` runs and guards them."""

from types import ModuleType

import pytest

# what starts something: fixtures, modules; and how Python tells of it (PEP 578)
FIXTURES = frozenset({"redis_server", "stand_in", "server", "hurt_server", "_recorded", "require_tool"})
MODULES = frozenset({"subprocess", "http.server", "tests.support.processes", "tests.support.servers"})
OUTSIDE = frozenset({"subprocess.Popen", "os.fork", "os.posix_spawn", "socket.connect"})


def is_unit(item: pytest.Item) -> bool:
    """Whether a test neither asks for one of FIXTURES, nor stands in a file that imports from MODULES."""
    asked = getattr(item, "fixturenames", ())
    return FIXTURES.isdisjoint(asked) and MODULES.isdisjoint(_home(value) for value in vars(item.module).values())


def stay_inside(event: str, _: object) -> None:
    """An audit hook that fails a test which leaves this process."""
    if event in OUTSIDE:
        raise AssertionError(f"a unit test came to {event}: see tests/support/unit.py")


def _home(value: object) -> str | None:
    return value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)

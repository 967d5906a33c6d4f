"""The Lua scripts that lie beside the modules which call them."""

from collections.abc import Iterator
from functools import cache
from importlib import resources

from redis.commands.core import Script

from tasks.storage.connections import Redis


@cache  # once for all apps: each has scripts of its own
def source(package: str, name: str, before: str = "") -> str:
    """The text of a package's `name`.lua, after what stands before it."""
    return before + resources.files(package).joinpath(f"{name}.lua").read_text("utf-8")


def registered(client: Redis, package: str, *names: str, before: str = "") -> Iterator[Script]:
    """A package's scripts of these names, in this order. `before`: text that stands before each."""
    for name in names:
        yield client.register_script(source(package, name, before))

"""A role that fails at a named point, so that each crash is a deterministic scenario.

    python -m tests.support.crashing tasks.ledger.ledger:Ledger.take@before:3 -- role welcome

dies as by kill -9 just before the third call of Ledger.take; `@after` dies just after the call, `@raises` raises a
RuntimeError instead of calling. Without a number it is the first call, with `:*` every one. `~TEXT` counts only calls
whose arguments show TEXT, such as a member's id. Processes forked from the role share the count. The product has no
hook for this: the function is wrapped before the role starts.
"""

import functools
import importlib
import multiprocessing
import os
import re
import signal
import sys
from typing import Any

from webhook.cli.main import main

POINT = re.compile(r"([\w.]+):([\w.]+)@(before|after|raises)(?::(\d+|\*))?(?:~(.+))?")


def plant(point: str) -> None:
    """Wrap the function named by `point`. ValueError if it is not MODULE:NAME@before|after|raises[:HIT][~TEXT]."""
    match = POINT.fullmatch(point)
    if match is None:
        raise ValueError(f"not a crash point: {point}")
    module, path, when, hit, text = match.groups()
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    calls = multiprocessing.Value("i", 0)

    def strikes(arguments: tuple[Any, ...]) -> bool:
        if text is not None and text not in repr(arguments):
            return False
        with calls.get_lock():
            calls.value += 1
            return hit == "*" or calls.value == int(hit or 1)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        struck = strikes((args, kwargs))
        if struck and when == "raises":
            raise RuntimeError(f"planted at {point}")
        if struck and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if struck:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    plant(sys.argv[1])
    sys.argv = ["wecom-welcome", *sys.argv[sys.argv.index("--") + 1 :]]
    main()

"""A role that dies at a named point, so that each crash is a deterministic scenario.

    python -m tests.crashing tasks.ledger:Ledger.settle@before:3 -- role welcome

dies as by kill -9 just before the third call of Ledger.settle; `@after` dies just after the call. The product has no
hook for this: the function is wrapped before the role starts.
"""

import functools
import importlib
import itertools
import os
import re
import signal
import sys
from typing import Any

from webhook.cli import main


def plant(point: str) -> None:
    """Wrap the function that `point` names. ValueError if it is not MODULE:NAME@before|after[:HIT]."""
    match = re.fullmatch(r"([\w.]+):([\w.]+)@(before|after)(?::(\d+))?", point)
    if match is None:
        raise ValueError(f"not a crash point: {point}")
    module, path, when, hit = match.groups()
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    calls = itertools.count(1)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        dies = next(calls) == int(hit or 1)
        if dies and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    plant(sys.argv[1])
    sys.argv = ["wecom-welcome", *sys.argv[sys.argv.index("--") + 1 :]]
    main()

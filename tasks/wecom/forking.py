"""What a forked child needs of its own: locks, which a thread of the parent may hold, and connections."""

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    def after_fork(self) -> None:
        """Begin anew. Called in the child, which has one thread, before anything else runs there."""


_known: "weakref.WeakSet[Forked]" = weakref.WeakSet()


def renew_in_children(one: Forked) -> None:
    """Have `one.after_fork()` called in each child that is forked while it exists."""
    _known.add(one)


def _renew_all() -> None:
    for one in list(_known):
        one.after_fork()


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_renew_all)

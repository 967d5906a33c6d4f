"""The known name that a mistyped one is nearest to: for settings, books and the command line. Pure."""

import difflib
from collections.abc import Iterable


def nearest(given: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The nearest of the known names; None where none is that near. `cutoff`: 1 for the same name, 0 for any."""
    return next(iter(difflib.get_close_matches(given, list(known), n=1, cutoff=cutoff)), None)

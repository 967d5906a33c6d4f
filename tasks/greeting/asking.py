"""How a greeting asks WeCom for a name: without its slot, and not at all while nobody gets an answer."""

import contextlib
import threading
from collections.abc import Iterator

from tasks.directory.lookup import NotAsked
from tasks.greeting.slots import Slots
from tasks.wecom import WeComError
from tasks.wecom.errors import Unanswered

SILENT = 8  # calls in a row without an answer, after which one at a time finds out whether there are answers again


class Asking:
    """Call it for the context of one call. Raises NotAsked where the call would be in vain. Thread-safe."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._unanswered = 0
        self._probing = threading.Lock()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        probes = self._unanswered >= SILENT
        if probes and not self._probing.acquire(blocking=False):
            raise NotAsked
        try:
            with self._slots.lent():
                yield
            self._unanswered = 0
        except WeComError as error:
            self._unanswered = self._unanswered + 1 if isinstance(error, Unanswered) else 0
            raise
        finally:
            if probes:
                self._probing.release()

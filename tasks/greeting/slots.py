"""How many greetings are under way at once, and which of them count.

A greeting has a slot from its claim to its outcome, but for the time in which it waits for WeCom to tell it a name: a
look-up that hangs takes no other customer's place.
"""

import contextlib
import threading
from collections.abc import Iterator


class Slots:
    """`most` slots; as many greetings may be out on a look-up besides, and those beyond keep their slots meanwhile.

    Thread-safe. A greeting that is back from its look-up goes on at once, since it has waited enough; then fewer others
    are begun. So 2 × `most` are under way at once at the very most.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._taken = 0
        self._lent = 0

    @property
    def free(self) -> int:
        """How many greetings may be begun now."""
        return max(0, self.most - self._taken)

    def take(self) -> None:
        with self._lock:
            self._taken += 1

    def give_back(self) -> None:
        with self._lock:
            self._taken -= 1

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Somebody else may have the slot inside of the `with` block."""
        with self._lock:
            lends = self._lent < self.most
            self._lent += lends
            self._taken -= lends
        try:
            yield
        finally:
            with self._lock:
                self._lent -= lends
                self._taken += lends

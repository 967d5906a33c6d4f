"""The lifeboat of a web process: greets by itself while Redis does not take events.

    take           the hand-over failed → the event is in this process' journal, on the disk, and waits for a thread;
                   or False: it cannot be greeted so, and WeCom is to send it again
    handed_over    it did not fail; if Redis goes before a worker has greeted the customer, the event is taken as well
    a thread       greets, with what was last known, and records the result: see `tasks.lifeboat.greetings`
    round          every two seconds: reads from Redis what a greeting needs; takes the journal into the ledger when it
                   is back; takes over the journals of processes that were killed, and greets who waits in them

A welcome code works once, so whoever else greets the same customer greets nobody twice, and no agreement is needed: a
worker, if Redis had stored the event and only its answer was lost, or another web process, to which WeCom sent the
event again. In the ledger `sent` replaces what the others wrote.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import redis

from tasks.events import ContactAdded
from tasks.ledger.ledger import Ledger
from tasks.ledger.recorded import Recorded
from tasks.lifeboat import entries, recovery
from tasks.lifeboat.greetings import MOST, Greetings
from tasks.lifeboat.journal import Journal, JournalError, has_events, left_behind
from tasks.lifeboat.last_known import LastKnown
from tasks.rate_limits.limiter import Limiter
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.wecom import WeComClient

log = logging.getLogger(__name__)

LOOK = 0.25  # seconds between two looks whether what was handed over is greeted, while there is anything
INTERVAL = 2.0  # seconds between two rounds
REFRESH = 3.0  # seconds between two readings of books and the pause
REFRESH_ALL = 30.0  # and of what is renewed by others: tokens, media, names
PATIENCE = 1.5  # seconds since the hand-over in which a worker that has the event will have greeted
AT_ONCE = 500  # events at a look
IN_USE = 10.0  # seconds since the last event for which it counts as in use, when nothing waits
FULL = 30.0  # seconds after an event that the journal did not take, for which the next is not expected to fare better


@dataclass(slots=True)
class _Held:
    """A journal that this process holds. `taken_in`: up to this byte it is in the ledger; `waiting`: events since."""

    journal: Journal
    own: bool
    taken_in: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """How the lifeboat is used.

    in_use: by any process on this host. Of this process: waiting, events that are not in the ledger yet; greeted,
    customers since its start; ready, whether it could greet if Redis took no events.
    """

    in_use: bool = False
    waiting: int = 0
    greeted: int = 0
    ready: bool = False


class Lifeboat:
    """The lifeboat of one process. Thread-safe. Raises OSError when its folder cannot be written."""

    def __init__(
        self,
        folder: Path,
        client: Redis,
        ledger: Ledger,
        known: LastKnown,
        clients: Mapping[str, WeComClient],
        window: float,
        threads: int,
        limiters: Mapping[str, Limiter] | None = None,
    ) -> None:
        """`clients`: by app; the lifeboat's own have their tokens apart, and `limiters` that need no Redis."""
        self._known = known
        self._folder = folder
        self._redis = client
        self._ledger = ledger
        self._shared = clients
        self._clients = {app: client.apart((limiters or {}).get(app)) for app, client in clients.items()}
        self._window = window
        self._own = _Held(Journal.create(folder), own=True)
        self._held = [self._own]
        self._counting = threading.Lock()
        self._coming = 0  # events that are on their way into the own journal
        self._handed_over: dict[str, tuple[ContactAdded, float, float]] = {}  # id → event, its receipt by both clocks
        self._last: float | None = None  # monotonic; when the last event was taken
        self._full_at: float | None = None  # monotonic; when the journal did not take the last event
        self._waits_for = ""  # why the last round could not go on
        self._refreshed: float | None = None
        self._refreshed_all: float | None = None
        self._greetings = Greetings(known, self._clients, window, threads)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lifeboat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits; what is not in the ledger stays in the journal, for whoever finds it."""
        self._stopping.set()
        self._greetings.stop()
        if self._thread.is_alive():
            self._thread.join(5)
        self._greetings.look_after(held.journal for held in self._held)
        for held in self._held:
            if held.journal.size:
                held.journal.close()
            else:
                held.journal.remove()

    # --- what the callback asks ---

    def took(self, event: ContactAdded) -> bool:
        """Whether this process has taken the event: WeCom sent it again."""
        return self._greetings.took(event)

    def handed_over(self, event: ContactAdded) -> None:
        """Redis has the event. It is kept here until it is settled there."""
        self._known.saw(event)
        if len(self._handed_over) < MOST:
            self._handed_over[event.id] = (event, time.time(), time.monotonic())

    def take(self, event: ContactAdded, in_doubt: bool = False) -> bool:
        """Take an event that could not be handed over; it is on the disk now. False: it cannot be greeted here.

        in_doubt: it may have been handed over all the same, so that a worker may greet too.
        """
        return self._take(event, time.time(), time.monotonic(), in_doubt)

    def can_take(self) -> bool:
        """Whether events could be greeted here, if Redis took none."""
        if self._full_at is not None and time.monotonic() - self._full_at < FULL:
            return False
        return any(self._known.revision(app) is not None for app in self._clients) and not self._known.is_paused

    def status(self) -> Status:
        in_use = self.is_in_use_here() or has_events(self._folder)
        return Status(in_use, self._waiting(), self._greetings.greeted, self.can_take())

    def _waiting(self) -> int:
        return sum(held.waiting for held in list(self._held))

    def is_in_use_here(self) -> bool:
        """Whether this process' lifeboat is."""
        return self._waiting() > 0 or (self._last is not None and time.monotonic() - self._last < IN_USE)

    def _take(self, event: ContactAdded, at: float, received: float, in_doubt: bool) -> bool:
        known = self._known.revision(event.app) is not None and not self._known.is_paused
        if not known or self._stopping.is_set() or not self._greetings.has_room():
            return False
        recorded = Recorded(event, at, attempts=int(in_doubt))  # a worker's try, whose answer does not come here
        with self._counting:
            self._coming += 1
        try:
            self._own.journal.append(entries.event_taken(recorded))
            self._full_at = None
            if self._greetings.add(recorded, received, self._own.journal):
                if not self.is_in_use_here():
                    log.error("Redis takes no events: this process greets by itself")
                self._last = time.monotonic()
                self._count(self._own, 1)
        except JournalError as error:
            self._full_at = time.monotonic()
            log.error("the lifeboat's journal takes no event: %s", error)
            return False
        finally:
            with self._counting:
                self._coming -= 1
        return True

    # --- the thread ---

    def _run(self) -> None:
        self._known.read_file()
        due = 0.0
        while True:
            try:
                self._look_after_handed_over()
                if time.monotonic() >= due:
                    due = time.monotonic() + INTERVAL
                    self.round()
            except Exception:  # the edge of the thread
                log.exception("a round of the lifeboat ended in an error")
            if self._stopping.wait(LOOK if self._handed_over else due - time.monotonic()):
                return

    def _look_after_handed_over(self) -> None:
        """Forget those that are settled, or past their window. Without Redis, take those that should be greeted by now.

        A worker that had claimed one greets it without Redis too; then the code is used.
        """
        now = time.monotonic()
        known = list(islice(self._handed_over.items(), AT_ONCE))
        if not known:
            return
        try:
            places = self._redis.zmscore(keys.DUE, [identity for identity, _ in known])
            found = list(zip(known, places, strict=True))
            over = [identity for (identity, one), place in found if place is None or one[2] < now - self._window]
            if any(place is not None and one[2] < now - PATIENCE for (_, one), place in found):
                self._redis.set(
                    keys.PROBE, 1, ex=60
                )  # one that is full or read-only still answers, and holds workers up
        except redis.RedisError:
            over = [identity for identity, one in list(self._handed_over.items()) if self._is_over(*one, now)]
        for identity in over:
            self._handed_over.pop(identity, None)

    def _is_over(self, event: ContactAdded, at: float, received: float, now: float) -> bool:
        """Whether an event that was handed over is of no concern any more, without Redis: taken, or past its window."""
        if received < now - self._window:
            return True
        return received < now - PATIENCE and self._take(event, at, received, in_doubt=True)

    def round(self) -> None:
        """Everything that is to be done now. Raises OSError when the journals cannot be read."""
        self._greetings.look_after(held.journal for held in self._held)
        try:
            self._refresh()
            for path in left_behind(self._folder):
                recovery.recover(path, self._redis, self._ledger)
            for held in list(self._held):
                self._take_in(held)
        except redis.RedisError as error:
            if str(error) != self._waits_for:
                self._waits_for = str(error)
                log.warning("the lifeboat waits for Redis: %s", error)
            for path in left_behind(self._folder):
                self._take_over(path)

    def _refresh(self) -> None:
        now = time.monotonic()
        fresh = self._refreshed is not None and now - self._refreshed < REFRESH
        if fresh and self.can_take() and not self.is_in_use_here():
            return
        if self._refreshed_all is None or now - self._refreshed_all >= REFRESH_ALL or not self.can_take():
            self._known.refresh_all()
            self._adopt_tokens()
            self._refreshed_all = now
        else:
            self._known.refresh()
        self._refreshed = now

    def _adopt_tokens(self) -> None:
        for app, client in self._clients.items():
            token = self._shared[app].tokens.shared()
            if token is not None:
                client.tokens.adopt(token)

    def _take_in(self, held: _Held) -> None:
        """Take what a journal has into the ledger; give it up when nothing is left to come. Raises RedisError."""
        if held.own and not held.journal.size:
            return
        taken = 0
        for end, number in recovery.take_in(held.journal, self._redis, self._ledger, held.taken_in):
            held.taken_in, taken = end, taken + number
            self._count(held, -number)
        if taken:
            log.warning("%s events that were greeted without Redis are in the ledger", taken)
        with self._counting:
            coming = held.own and self._coming
        if coming or self._greetings.busy(held.journal) or not held.journal.clear(held.taken_in):
            return
        held.taken_in = held.waiting = 0
        if not held.own:
            self._held.remove(held)
            held.journal.remove()

    def _take_over(self, path: Path) -> None:
        """Hold the journal of a process that has ended, and greet whom it has not greeted."""
        journal = Journal.take_over(path)
        if journal is None:
            return
        if not journal.size:
            journal.remove()
            return
        events = sum("event" in (record or {}) for _, record in journal.records())
        waiting = entries.unfinished(record for _, record in journal.records())
        self._held.append(_Held(journal, own=False, waiting=events))
        log.warning("took over the journal of a process that has ended; %s events have no result", len(waiting))
        now, wall = time.monotonic(), time.time()
        for one in waiting.values():
            self._greetings.add(one, now - max(0.0, wall - one.received_at), journal, claims=1)

    def _count(self, held: _Held, more: int) -> None:
        with self._counting:
            held.waiting = max(0, held.waiting + more)

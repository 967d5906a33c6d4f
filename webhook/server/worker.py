"""gunicorn's process, in which waitress serves: from the one the supervision, from the other what happens to bytes.

gunicorn's own thread worker reads a request in a thread, which a slow client then holds.

A request is served by one of the threads, since it may wait: for WeCom, for Redis, for a lock. A callback waits for
Redis alone, a fraction of a millisecond, and to hand it to a thread and back costs 0.1 ms of CPU, more while others
compete for the interpreter. So it is served in the main loop, where it has been read, as long as that is quick. Once it
is not, callbacks too have threads for a while.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.workers.base import Worker as Base
from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from tasks.liveness import TO_START
from tasks.open_files import allow_open_files
from webhook.server.connections import IDLE, RECEIVING, Channel, Request, adjustments, give_limits, keep_bounds

log = logging.getLogger(__name__)

AT_ONCE = 64  # connections
PERIOD = 0.25  # seconds between two looks at the connections
AT_REST = 1.0  # seconds, while nothing happens on any
QUICK = 0.1  # seconds; a callback that takes longer is the last one in the main loop
THREADS_FOR = 10  # times as long as it took, callbacks have threads then
LOADING = 1.0  # seconds between two signs of life while the application is loaded
STOP_KEEP_ALIVE = 2.0  # seconds in which a client whose connection stays open may ask once more


class Worker(Base):
    """A process of the web role."""

    def run(self) -> None:
        """Serve until SIGTERM, then finish what has begun."""
        self._map: dict[int, Any] = {}
        self._due = 0.0  # monotonic; when the connections are looked at again
        self._period = PERIOD
        self._shown_at = 0.0  # monotonic; when gunicorn's own process was last shown that this one works
        allow_open_files()
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a thread is waited for is no news
        sockets = [listener.sock for listener in self.sockets]
        options = adjustments(self.cfg.threads, self.cfg.backlog)
        self._loop = threading.get_ident()
        self._here: deque[Channel] = deque()  # whose request is to be served in the main loop
        self._threads_until = 0.0  # monotonic
        server = create_server(self.wsgi, map=self._map, sockets=sockets, **options)
        give_limits(server.adj)
        listeners = [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]
        self._wake = listeners[0].pull_trigger
        for listener in listeners:
            listener.channel_class = Channel
            listener.server_name = listener.effective_host
            listener.handle_accept = partial(self._accept, listener.handle_accept)
            listener.add_task = partial(self._add, listener.add_task)
            listener.pull_trigger = partial(self._pull, listener.pull_trigger)
        while self.alive:
            self._turn()
        for listener in listeners:
            listener.del_channel()
            listener.socket.close()
        self._drain()
        server.task_dispatcher.shutdown(timeout=1)

    def load_wsgi(self) -> None:
        """Load the application. Where many processes start at once, it takes longer than any turn of the loop may."""
        loaded = threading.Event()
        showing = threading.Thread(target=self._show_until, args=(loaded,), name="loading", daemon=True)
        showing.start()
        try:
            super().load_wsgi()
        finally:
            loaded.set()
            showing.join()

    def _show_until(self, loaded: threading.Event) -> None:
        by = time.monotonic() + TO_START
        while not loaded.is_set() and time.monotonic() < by:
            self.notify()
            loaded.wait(LOADING)

    def handle_exit(self, *_: object) -> None:
        """On SIGTERM."""
        self.alive = False
        with contextlib.suppress(AttributeError):  # before `run`
            self._wake()

    def _channels(self) -> list[Channel]:
        return [one for one in self._map.values() if isinstance(one, Channel)]

    def _accept(self, accept_one: Callable[[], None]) -> None:
        """Take who is waiting: after a burst, one at each turn would take long."""
        for _ in range(AT_ONCE):
            before = len(self._map)
            accept_one()
            if len(self._map) == before:
                return

    def _add(self, to_thread: Callable[[Channel], None], channel: Channel) -> None:
        """Have the request of a channel served, which is read whole."""
        if (
            threading.get_ident() == self._loop
            and channel.requests[0].is_callback
            and time.monotonic() >= self._threads_until
            and not self.app.callbacks_wait()
        ):
            self._here.append(channel)  # not at once: the channel is still reading
        else:
            to_thread(channel)

    def _pull(self, wake: Callable[[], None]) -> None:
        """Wake the main loop, unless it is the caller."""
        if threading.get_ident() != self._loop:
            wake()

    def _serve_here(self) -> None:
        while self._here:
            channel, began = self._here.popleft(), time.monotonic()
            try:
                channel.service()
            except Exception:  # as waitress does in a thread
                log.exception("serving a callback ended in an error")
            if channel.connected and channel.writable():
                wasyncore.write(channel)
            now = time.monotonic()
            self._show(now)
            if now - began > QUICK:
                self._threads_until = now + THREADS_FOR * (now - began)
                while self._here:
                    channel = self._here.popleft()
                    channel.server.task_dispatcher.add_task(channel)

    def _turn(self) -> None:
        wasyncore.poll2(self._period, self._map)
        self._serve_here()
        self._period = PERIOD
        now = time.monotonic()
        if now >= self._due or len(self._map) > RECEIVING + IDLE + AT_ONCE:
            self._due = now + PERIOD
            self._show(now)
            self.alive = self.alive and self.ppid == os.getppid()
            keep_bounds(self._channels())
            if self.alive and all(channel.state == "idle" for channel in self._channels()):
                self._period = AT_REST

    def _show(self, now: float) -> None:
        """Show that the loop works: within a turn too, since one can take seconds in a burst."""
        if now >= self._shown_at + PERIOD / 2:
            self._shown_at = now
            self.notify()

    def _drain(self) -> None:
        """Answer what has been asked, and what is still coming over open connections."""
        Request.last = True
        began = time.monotonic()
        while (now := time.monotonic()) < began + self.cfg.graceful_timeout and self._channels():
            if now > began + STOP_KEEP_ALIVE:
                for channel in self._channels():
                    channel.observe(now)
                    if channel.state == "idle" or channel.last_activity == channel.creation_time:
                        channel.cut()
            self._turn()

"""The thread of each process that watches for alerts, and sends them to the group robot.

Web, welcome and upkeep have one, since a scheduled job cannot tell that nobody runs jobs; beat has not: where roles run
apart it has no way out. The one that holds the lease reads and tells; one that does not reach the robot leaves that to
another. A web process also knows, without Redis, that Redis is gone: one of each host tells that. No greeting and no
callback waits for any of it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

import redis

from tasks.alerts import records
from tasks.alerts.conditions import PATIENCE, Alert, Finding, Local, judge, judge_locally, remembered
from tasks.alerts.episode import RETRY, Episode, Notice, not_sent, sent, step
from tasks.alerts.reading import Usual, read
from tasks.alerts.store import LEASE, Store
from tasks.alerts.texts import Sender, message
from tasks.services import Services
from tasks.wecom import WeComError
from tasks.wecom.robot import GroupRobot

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two rounds
SHARE = 0.05  # of its time that a reading may take: with thousands of apps there are fewer
SLOWEST = 60.0  # seconds between two readings at most
READINGS = 3  # that a lease lasts for at least
TO_SEND = 10.0  # seconds for a message and its further tries: less than a lease
TO_END = 3.0  # seconds for which a process waits at its end for a message that is under way


class Desk:
    """Follows the course of alerts in one store, and tells people what is new."""

    def __init__(self, store: Store, robot: GroupRobot, sender: Sender) -> None:
        self._store = store
        self._robot = robot
        self._sender = sender

    def follow(self, findings: Iterable[Finding], now: float, known: dict[str, str]) -> bool:
        """Tell what is new. known: the records. Raises what the store raises. → whether all of it was sent."""
        due: dict[tuple[Alert, Notice], list[tuple[Finding, Episode]]] = {}
        changes: dict[str, str | None] = {}
        left = set(records.episodes_in(known))
        for finding in findings:
            name = records.name_of(finding)
            left.discard(name)
            before = records.episode_of(known.get(name))
            after, notice = step(before, finding.holds, now, PATIENCE[finding.alert], finding.since)
            if after != before:
                changes[name] = records.text_of(after)
            if notice is not None and after is not None:
                due.setdefault((finding.alert, notice), []).append((finding, after))
        changes.update(dict.fromkeys(left))  # of apps that are no longer configured
        if changes:
            self._store.save(changes)
        all_sent = True
        for (alert, notice), told in due.items():
            if not self._store.hold():
                return True  # another process has the lease, and tells
            arrived = self._send(alert, notice, told, now)
            all_sent = all_sent and arrived
            self._store.save(
                {
                    records.name_of(finding): records.text_of(
                        sent(episode, notice, now) if arrived else not_sent(episode, now)
                    )
                    for finding, episode in told
                }
            )
        return all_sent

    def _send(self, alert: Alert, notice: Notice, told: list[tuple[Finding, Episode]], now: float) -> bool:
        text = message(alert, notice, [(finding, episode.since) for finding, episode in told], now, self._sender)
        try:
            self._robot.send(text, time.monotonic() + TO_SEND)
        except WeComError as error:  # it names the host, never the key
            log.error("the alert %s (%s) cannot be sent: %s", alert, notice, error)
            return False
        log.warning("alert %s: %s", alert, notice)
        return True


class Watch(threading.Thread):
    """Runs until the process ends, or `stop`."""

    def __init__(
        self,
        services: Services,
        robot: GroupRobot,
        sender: Sender,
        shared: Store,
        own: Store | None = None,
        lifeboat: Callable[[], tuple[bool, bool]] = lambda: (False, False),
    ) -> None:
        """own: the store of a web process, and its lifeboat's state: (in use, would take the next customer)."""
        super().__init__(name="alerts", daemon=True)
        self._services = services
        self._shared, self._own = shared, own
        self._desk = Desk(shared, robot, sender)
        self._own_desk = Desk(own, robot, sender) if own is not None else None
        self._lifeboat = lifeboat
        self._usual = Usual(services)
        self._read_at = 0.0  # monotonic; before it nothing is read
        self._pause = 0.0  # seconds before it without a reading
        self._took = 0.0  # seconds, the last reading
        self._abstains_until = 0.0  # monotonic; it did not reach the robot, perhaps another process does
        self._answered_at = time.monotonic()
        self._away = False  # whether Redis did not take a write in the last round
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(EVERY):
            try:
                self.round()
            except Exception:  # the edge of the thread
                log.exception("a round of the alerts ended in an error")

    def stop(self) -> None:
        """Another process may follow the alerts at once."""
        self._stopping.set()
        if self.is_alive():
            self.join(TO_END)  # or a message that is under way would be told again
        self._shared.release()
        if self._own is not None:
            self._own.release()

    def round(self) -> None:
        """Look, and tell what is new."""
        try:
            if self._own is not None:
                self._services.queues.probe()
            if time.monotonic() >= self._abstains_until and self._shared.hold(max(LEASE, READINGS * self._took)):
                self._look()
            self._answered_at, self._away = time.monotonic(), False
        except redis.RedisError as error:
            log.debug("alerts are not judged: Redis does not answer (%s)", type(error).__name__)  # others say it
            self._away = True
        if self._own is not None and self._own_desk is not None and self._own.hold():
            in_use, can_take = self._lifeboat()
            away = time.monotonic() - self._answered_at if self._away else 0.0
            self._own_desk.follow(judge_locally(Local(away, in_use, can_take)), time.time(), self._own.load())

    def _look(self) -> None:
        began = time.monotonic()
        if began < self._read_at:
            return
        reading = read(self._services)
        known = self._shared.load()
        before = records.past_of(known)
        past = remembered(before, reading, self._pause + self._took)
        findings = list(judge(reading, past, self._usual.of(reading, past)))
        self._shared.save(records.changes_of(before, past))
        self._took = time.monotonic() - began
        self._pause = min(self._took / SHARE, SLOWEST)
        self._read_at = time.monotonic() + self._pause
        if not self._desk.follow(findings, reading.now, known):
            self._abstains_until = time.monotonic() + RETRY
            self._shared.release()

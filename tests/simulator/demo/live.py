"""Customers who are added while the demo runs: through every rule, one after the other; and a few whom WeCom fails.

What goes wrong is the stand-in's doing, so each row has the steps and reasons of a real one.
"""

import random
import re
import secrets
import time
from collections.abc import Callable, Iterator

from tests.simulator.client import StandIn
from tests.simulator.demo.company import MEMBERS, UNLICENSED, WAYS
from tests.simulator.faults import Faults
from tests.simulator.records import Record
from tests.support.people import full_name

EVERY_S = (2.5, 6.0)  # between two times that customers are added
MISHAP_EVERY_S = 9.0  # from the first one on; there are as many as MISHAPS
WINDOW_S = 20
USUAL = Faults(latency_ms=120, jitter_ms=60)
LOST_ANSWER = Faults(latency_ms=120, dropped_after=1.0)
PATIENCE_S = 3.0  # for the call whose answer is lost
LATE_S = 420  # seconds by which WeCom announces a customer too late
MISHAPS = ("unlicensed", "late", "unanswered", "no_code", "other_app")


def arrivals(chance: random.Random) -> Iterator[dict[str, str]]:
    """Who is added, and how: each way in turn, before any comes again. The member is one who has a licence."""
    while True:
        for way in chance.sample(WAYS, len(WAYS)):
            yield {"user_id": chance.choice([one for one in way.members if one != UNLICENSED]), "state": way.state}


class Arrivals:
    """Adds customers at the stand-in."""

    def __init__(self, wecom: StandIn, chance: random.Random) -> None:
        self._wecom, self._chance = wecom, chance
        self._arrivals = arrivals(chance)

    def add(self, **different: object) -> tuple[Record, str]:
        """Add a customer, with these differences from one who is greeted. → the record, the customer's name."""
        name = full_name(self._chance.randrange(800))
        customer = "wm" + secrets.token_urlsafe(22)
        self._wecom.people(customers={customer: {"name": name}})
        return self._wecom.add(**next(self._arrivals) | {"external_user_id": customer} | different), name

    def mishap(self, kind: str) -> tuple[Record, str]:
        """Add a customer whose greeting goes wrong: one of MISHAPS."""
        if kind == "unlicensed":
            return self.add(user_id=UNLICENSED, state="")
        if kind == "late":
            return self.add(created_at=int(time.time()) - LATE_S)
        if kind == "no_code":
            return self.add(welcome_code="")
        if kind == "other_app":
            return self.add(welcome_code="", extra={"WelcomeCode": "of-another-app"})
        self._wecom.faults(LOST_ANSWER)
        try:
            record, name = self.add()
            give_up_at = time.monotonic() + PATIENCE_S
            while not self._wecom.record(record).sends and time.monotonic() < give_up_at:
                time.sleep(0.02)
        finally:
            self._wecom.faults(USUAL)
        return record, name


class Greetings:
    """Adds customers every few seconds, and prints each one's outcome, and what the group robot is told."""

    def __init__(self, wecom: StandIn, robot: str, say: Callable[[str], None]) -> None:
        chance = random.Random("青禾")
        self._wecom, self._robot, self._say = wecom, robot, say
        self._chance, self._arrivals = chance, Arrivals(wecom, chance)
        self._alerts = 0  # that were printed
        self._waiting: dict[int, str] = {}  # record → the customer's name
        self._mishaps = list(MISHAPS)

    def watch(self, wait: Callable[[float], bool]) -> None:
        """Until `wait(seconds)` is true."""
        self._wecom.faults(USUAL)
        for _ in WAYS:
            self._wait_for(self._arrivals.add())
        now = time.monotonic()
        add_at, mishap_at = now + EVERY_S[1], now + MISHAP_EVERY_S
        while not wait(0.1):
            if time.monotonic() >= add_at:
                self._wait_for(self._arrivals.add())
                add_at = time.monotonic() + self._chance.uniform(*EVERY_S)
                self._tell_alerts()
            if self._mishaps and time.monotonic() >= mishap_at and not self._in_progress():
                self._wait_for(self._arrivals.mishap(self._mishaps.pop(0)))
                mishap_at = time.monotonic() + MISHAP_EVERY_S
            if self._waiting:
                for record in self._wecom.records(from_id=min(self._waiting)):
                    self._tell(record)

    def _in_progress(self) -> bool:
        """Whether somebody was added in the last moment: a fault would meet them too."""
        return any(time.time() - self._wecom.record(one).planned_at < 1 for one in self._waiting)

    def _wait_for(self, added: tuple[Record, str]) -> None:
        record, name = added
        self._waiting[record.id] = name

    def _tell_alerts(self) -> None:
        told = self._wecom.alerts(self._robot)
        for message in told[self._alerts :]:
            title = re.sub(r"<[^>]*>|^### ", "", message.partition("\n")[0])
            self._say(f"alert to the group: {title}")
        self._alerts = len(told)

    def _tell(self, record: Record) -> None:
        if record.id not in self._waiting:
            return
        who = f"{self._waiting[record.id]} for {MEMBERS[record.user_id]['name']}"
        if record.greeted_after is not None:
            self._say(f"greeted {who} in {record.greeted_after:.2f} s: {_shown(record)}")
        elif time.time() - record.planned_at > WINDOW_S:
            accepted = "the callback accepted it" if record.accepted_at else "the callback never answered 200"
            tries = ", ".join(str(send.result) for send in record.sends) or "none"
            self._say(f"MISSED  {who}: not within {WINDOW_S} s; {accepted}; send_welcome_msg: {tries}")
        else:
            return
        del self._waiting[record.id]


def _shown(record: Record) -> str:
    """A greeting in one line: its text, and the kinds of its attachments."""
    content = record.content or {}
    kinds = [one["msgtype"] for one in content.get("attachments", [])]
    return " ".join([*content["text"].split("\n"), *(f"[{kind}]" for kind in kinds)])

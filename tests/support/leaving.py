"""Customers who leave: single changes of a contact, and whole histories."""

import random
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tasks.events import LEFT, ContactAdded, ContactChanged
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import Services
from tests.support.past import Past, write

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)  # of the histories
SENT = Settlement(Outcome.SENT, template="hello", rule="all", variant="a")


def change_of(event: ContactAdded, change: str = LEFT, *, after: int = 0, **different: object) -> ContactChanged:
    """What became of an added contact, `after` seconds later."""
    values = {
        "app": event.app,
        "corp_id": event.corp_id,
        "change": change,
        "user_id": event.user_id,
        "external_user_id": event.external_user_id,
        "created_at": event.created_at + after,
        "pushed_at": int(time.time()),
    }
    return ContactChanged(**values | different)


@dataclass(frozen=True)
class Customer:
    number: int
    at: datetime
    template: str
    outcome: Outcome
    left_after: timedelta | None  # None: a contact still

    @property
    def event(self) -> ContactAdded:
        return ContactAdded("default", "ww1", "add", "zhangsan", f"wm{self.number}", int(self.at.timestamp()))


def history(seed: int, count: int = 300) -> list[Customer]:
    """Customers of 28 days, of whom some have left by this midnight."""
    chance = random.Random(seed)
    customers = []
    for number in range(count):
        at = NOW - timedelta(seconds=chance.randint(1, 28 * 86400))
        gone = timedelta(seconds=int(chance.expovariate(1 / (6 * 86400))))
        leaves = chance.random() < 0.4 and at + gone < NOW
        outcome = chance.choices([Outcome.SENT, Outcome.UNCONFIRMED, Outcome.EXPIRED], [8, 1, 1])[0]
        customers.append(Customer(number, at, chance.choice("ab"), outcome, gone if leaves else None))
    return customers


def live(services: Services, customers: list[Customer]) -> None:
    """Let it all happen: the adds with what became of them, then those who leave."""
    past = [Past(one.event, one.at.timestamp(), Settlement(one.outcome, template=one.template)) for one in customers]
    write(services, past)
    changes = services.contact_changes
    for one in customers:
        if one.left_after is not None:
            event, at = one.event, int((one.at + one.left_after).timestamp())
            changes.record(ContactChanged("default", "ww1", LEFT, event.user_id, event.external_user_id, at))
    changes.apply_due()

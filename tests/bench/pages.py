"""The cost of the console's pages, with a short history and a long one: in this process, on a Redis of its own.

A day of the history is lived through: its customers are accepted and settled by the ledger itself. The other days are
copies of that day made inside Redis, whatever keys it consists of, each moved into the past.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from tasks.ledger import statistics as tallies
from tasks.ledger.claims import SettledEvent, Settlement
from tasks.ledger.delivery import Attempt, Outcome
from tasks.services import Services, build_services
from tasks.storage import keys
from tasks.storage.connections import Redis
from tasks.templates.edits import AddRule
from tests.bench.systems import SystemDidNotRun, redis_alone
from tests.support.builders import a_contact, some_settings
from tests.support.console import PASSWORD, Browser

LITTLE, MUCH = 1000, 100_000  # rows of the ledger
DAYS = 90
MEMBERS, CHANNELS, RULES = 1000, 200, 40
SHARES = {"sent": 920, "unconfirmed": 20, "lost": 20, "no_code": 20, "expired": 8, "refused": 6, "failed": 6}
TURNS = 9  # of each page; the median counts
BOOK = (
    'version: 1\ntemplates:\n  default: {text: "您好{customer}，我是{member}"}\n  night: {text: "晚上好{customer}"}\n'
    "rules:\n"
    + "".join(f"  - {{name: 渠道 {n}, when: {{state: channel-{n}}}, use: default}}\n" for n in range(RULES))
    + '  - {name: 夜间, when: {hours: ["22:00-06:00"]}, use: night}\n  - use: default\n'
)

# Copy a day's rows and their places in all sorted sets to an earlier day. The new ids begin with its number.
# KEYS  the sets
# ARGV  prefix of rows, number of the day, ms to go back, the day's first ms, then the ids
_COPY = """
local moved = {}
for i = 5, #ARGV do
  local id = ARGV[i]
  moved[id] = string.format('%04x', ARGV[2]) .. string.sub(id, 5)
  local row = redis.call('HGETALL', ARGV[1] .. id)
  for n = 1, #row, 2 do
    if row[n] == 'received_at' then row[n + 1] = string.format('%.0f', row[n + 1] - ARGV[3]) end
  end
  redis.call('HSET', ARGV[1] .. moved[id], unpack(row))
end
for _, key in ipairs(KEYS) do
  local places = redis.call('ZRANGEBYSCORE', key, ARGV[4], '+inf', 'WITHSCORES')
  for n = 1, #places, 2 do
    redis.call('ZADD', key, places[n + 1] - ARGV[3], moved[places[n]])
  end
end
"""


@dataclass(frozen=True, slots=True)
class PageCost:
    """CPU seconds of one page, web and Redis together: with LITTLE and with MUCH rows of history."""

    title: str
    little: float
    much: float

    @property
    def ratio(self) -> float:
        return self.much / self.little


def addresses(today: date) -> Mapping[str, str]:
    """Title → address, of the pages that read data that grows."""
    quarter = {"since": (today - timedelta(DAYS - 1)).isoformat(), "until": today.isoformat()}
    return {
        "Today": "/",
        "Queue": "/queue",
        "Missed": "/missed",
        "Deliveries": "/deliveries",
        "Deliveries that were sent": "/deliveries?" + urlencode({"outcome": "sent"}),
        "Deliveries that were sent one welcome": "/deliveries?" + urlencode({"outcome": "sent", "welcome": "default"}),
        "Numbers of 90 days": "/numbers?" + urlencode(quarter | {"by": "day"}),
        "Numbers of 90 days by member": "/numbers?" + urlencode(quarter | {"by": "member"}),
        "Welcomes": "/welcomes",
        "Review and publish": "/welcomes/publish",
    }


def measure() -> list[PageCost]:
    """The cost of each page, in less than a minute. Raises SystemDidNotRun."""
    little, much = costs(LITTLE), costs(MUCH)
    return [PageCost(title, little[title], much[title]) for title in little]


def costs(rows: int) -> dict[str, float]:
    """Title of a page → CPU seconds, with so many rows in the ledger. Raises SystemDidNotRun."""
    with redis_alone() as url:
        settings = some_settings(REDIS_URL=url, CONSOLE_PASSWORD=PASSWORD, WECOM_API_BASE="http://127.0.0.1:9")
        services = build_services(settings, timeout=30)
        live(services, rows)
        browser = Browser(services, language="zh_Hans").sign_in()
        today = datetime.now(settings.timezone).date()
        return {title: _cost(services.redis, browser, path) for title, path in addresses(today).items()}


def live(services: Services, rows: int) -> None:
    """A welcome book with a draft, and so many rows over the last DAYS days."""
    services.books.import_first("default", BOOK, {})
    services.drafts.change("default", AddRule({"when": {"state": "channel-99"}, "use": "night"}), "李敏")
    client, began = services.redis, services.ledger.now()
    ids = _one_day(services, rows // DAYS)
    sets = list(client.scan_iter(keys.ALL, count=1000, _type="zset"))
    today = datetime.now(services.settings.timezone).date()
    for back in range(1, DAYS):
        client.eval(_COPY, len(sets), *sets, keys.event(""), back, back * 86400_000, began, *ids)
    with client.pipeline(transaction=False) as pipe:
        for dimension in tallies.DIMENSIONS[1:]:
            for back in range(1, DAYS):
                pipe.copy(
                    tallies.key("default", today, dimension),
                    tallies.key("default", today - timedelta(back), dimension),
                )
        pipe.execute()


def _one_day(services: Services, customers: int) -> list[str]:
    """Customers who are added now, with their outcomes. → the ids of their events."""
    chance = random.Random(1)
    corp_id = services.settings.apps["default"].corp_id
    ids = []
    for _ in range(customers):
        channel = f"channel-{chance.randrange(CHANNELS)}" if chance.random() < 0.8 else ""
        event = a_contact(corp_id=corp_id, user_id=f"member-{chance.randrange(MEMBERS)}", state=channel)
        (outcome,) = chance.choices(list(SHARES), list(SHARES.values()))
        answered = chance.randrange(80, 900)
        steps = {"started": 3, "chosen": 4, "named": 5, "prepared": 5, "try_1": 6, "token": 6, "answer_1": answered}
        services.ledger.accept(event)
        services.ledger.settle(
            SettledEvent(
                event,
                Settlement(
                    Outcome(outcome),
                    errcode=40096 if outcome == "refused" else None,
                    template="default",
                    rule="渠道 1" if channel else "",
                    revision=1,
                    attempts=1,
                    steps=steps,
                    tries=[Attempt()],
                    values={"customer": "王小明", "member": "李敏"},
                ),
            )
        )
        ids.append(event.id)
    return ids


def _cost(client: Redis, browser: Browser, path: str) -> float:
    """CPU seconds of a page, the median of TURNS after a first one."""
    return statistics.median([_once(client, browser, path) for _ in range(TURNS + 1)][1:])


def _once(client: Redis, browser: Browser, path: str) -> float:
    before, began = _redis_seconds(client), time.process_time()
    answer = browser.get(path)
    spent = time.process_time() - began
    if answer.status_code != 200:
        raise SystemDidNotRun(f"{path} answered {answer.status}")
    return spent + _redis_seconds(client) - before


def _redis_seconds(client: Redis) -> float:
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])

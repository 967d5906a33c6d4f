"""The adds of the last days, as a draft is tried on them."""

import json
from zoneinfo import ZoneInfo

from tasks.books.recent import recent_adds
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.builders import a_contact
from tests.support.ledger import a_ledger, accepted

SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_the_newest_adds_of_the_app_and_no_rehearsal(redis_client: Redis) -> None:
    ledger = a_ledger(redis_client)
    wanted = [a_contact(app="default", state=f"s{number}") for number in range(3)]
    for event in (*wanted, a_contact(app="other"), a_contact(app="default", rehearsal=True)):
        accepted(ledger, event)
    found = recent_adds(redis_client, "default", SHANGHAI)
    assert found.complete
    assert {identity for identity, _ in found.contacts} == {event.id for event in wanted}
    assert {contact.state for _, contact in found.contacts} == {"s0", "s1", "s2"}


def test_it_is_bounded_and_says_so(redis_client: Redis) -> None:
    ledger = a_ledger(redis_client)
    for _ in range(5):
        accepted(ledger)
    found = recent_adds(redis_client, "default", SHANGHAI, most=3)
    assert not found.complete
    assert len(found.contacts) == 3
    assert found.since > 0


def test_what_is_older_is_not_looked_at(redis_client: Redis) -> None:
    ledger = a_ledger(redis_client)
    accepted(ledger, ago=8 * 86400)
    assert recent_adds(redis_client, "default", SHANGHAI).contacts == ()


def test_departments_come_from_the_cache(redis_client: Redis) -> None:
    accepted(a_ledger(redis_client), user_id="zhangsan")
    redis_client.set(keys.member("default", "zhangsan"), json.dumps({"answer": {"departments": [30]}, "until": 0}))
    redis_client.set(keys.department_tree("default"), json.dumps({"answer": {"30": 3, "3": 1, "1": 0}, "until": 0}))
    ((_, contact),) = recent_adds(redis_client, "default", SHANGHAI).contacts
    assert contact.directory.contains("zhangsan", 3) is True

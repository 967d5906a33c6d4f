"""The ready-made message is the one that Kombu writes, and a worker takes it for that."""

import base64
import json
import re
from typing import Any

from tasks.celery import make_app
from tasks.ledger import celery_message
from tasks.storage import keys
from tasks.storage.connections import Redis
from tests.support.broker import watched
from tests.support.until import until
from tests.support.worker import consuming

ID = "0123456789abcdef0123456789abcdef"


def what_kombu_writes(
    redis_url: str, client: Redis, task: str = celery_message.TASK, queue: str = keys.QUEUE
) -> dict[str, Any]:
    app = make_app(redis_url)

    @app.task(name=task, shared=False)
    def wake_up() -> None: ...

    wake_up.apply_async()
    (message,) = client.lrange(queue, 0, -1)
    app.close()
    return json.loads(message)


def anonymous(message: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from message to message and from process to process: its ids and its origin."""
    headers, properties = dict(message["headers"]), dict(message["properties"])
    ids = {headers.pop(name) for name in ("id", "root_id")} | {properties.pop("correlation_id")}
    assert len(ids) == 1
    assert headers.pop("origin")
    assert properties.pop("reply_to")
    assert properties.pop("delivery_tag")
    return {**message, "headers": headers, "properties": properties}


def test_the_ready_made_message_is_the_one_that_kombu_writes(redis_url: str, redis_client: Redis) -> None:
    kombus = what_kombu_writes(redis_url, redis_client)
    assert anonymous(json.loads(celery_message.message(ID))) == anonymous(kombus)


def test_the_message_for_the_slow_lane_is_the_one_that_kombu_writes(redis_url: str, redis_client: Redis) -> None:
    kombus = what_kombu_writes(redis_url, redis_client, celery_message.SLOW_TASK, keys.SLOW_QUEUE)
    assert anonymous(json.loads(celery_message.slow_message(ID))) == anonymous(kombus)


def test_its_fields_come_in_kombus_order(redis_url: str, redis_client: Redis) -> None:
    kombus = what_kombu_writes(redis_url, redis_client)
    assert list(json.loads(celery_message.message(ID))) == list(kombus)


def test_each_message_has_its_own_id_everywhere() -> None:
    message = json.loads(celery_message.message(ID))
    assert [message["headers"]["id"], message["headers"]["root_id"]] == [ID, ID]
    assert [message["properties"]["correlation_id"], message["properties"]["delivery_tag"]] == [ID, ID]
    assert celery_message.message(ID).replace(ID, "f" * 32) == celery_message.message("f" * 32)


def test_a_message_carries_nothing_of_an_event() -> None:
    body = json.loads(base64.b64decode(json.loads(celery_message.message(ID))["body"]))
    assert body == [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    assert set(re.findall(r"[0-9a-f]{32}", celery_message.message(ID))) == {ID}


def test_a_worker_executes_the_ready_made_message(redis_url: str, redis_client: Redis) -> None:
    app = make_app(redis_url)
    done: list[int] = []

    @app.task(name=celery_message.TASK, shared=False)
    def greet_due() -> None:
        done.append(1)

    redis_client.lpush(keys.QUEUE, *(celery_message.message(f"{number:032x}") for number in range(3)))
    with watched(redis_client, "unacked") as held, consuming(app, keys.QUEUE):
        until(lambda: len(done) == 3, what="the execution of three messages")
        assert held() == set(), "none waits for an acknowledgement"
    assert redis_client.llen(keys.QUEUE) == 0

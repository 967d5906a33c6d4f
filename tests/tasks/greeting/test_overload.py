"""More customers than can be greeted: real Redis, the real dispatcher, a slow stand-in, and codes that die early."""

import threading
import time
from collections import Counter

from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.simulator.records import Record
from tests.support.processes import RedisServer
from tests.support.until import until
from tests.support.worker import Worker

WINDOW, LATENCY, SLOTS = 4.0, 0.8, 8  # ten a second at the most
RATE, LASTS = 30, 8.0  # three times as many


def adding(worker: Worker, rate: float, seconds: float) -> list[Record]:
    """Customers, so many a second, as they are added."""
    began, records = time.monotonic(), []
    for number in range(round(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        records.append(worker.added()[0])
    return records


def test_tries_go_to_those_who_can_be_greeted_and_afterwards_everybody_is(wecom: StandIn, server: RedisServer) -> None:
    wecom.settings(window_s=WINDOW)
    worker = Worker.made(wecom, server.url, WELCOME_WINDOW_S=str(WINDOW))
    wecom.faults(latency_ms=LATENCY * 1000)
    dispatcher, stop = worker.dispatcher(concurrency=SLOTS), threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            dispatcher.run()

    worker.aside(run)
    crowd, few = adding(worker, RATE, LASTS), adding(worker, 3, 2.0)
    until(lambda: worker.services.redis.zcard(keys.DUE) == 0)
    stop.set()

    rows = {row.external_user_id: row for row in worker.ledger.deliveries()}
    became = Counter((rows[one.external_user_id].outcome, rows[one.external_user_id].cause) for one in crowd)
    records = {record.id: record for record in wecom.records()}
    tried = [record for one in crowd if (record := records[one.id]).sends]
    in_time = [record for record in tried if record.greeted_after is not None and record.greeted_after <= WINDOW]
    assert len(in_time) >= 0.9 * len(tried) > 0, became
    assert became["expired", "overloaded"] >= 0.9 * (len(crowd) - len(tried)), became
    assert [rows[one.external_user_id].outcome for one in few] == ["sent"] * len(few)
    worker.close()

"""The example of deploy/examples: a Celery worker of the corp's own gets each settled event as a task."""

import os
import shutil
import sys
from pathlib import Path

from tasks.celery import make_app
from tasks.forwards.forwarder import Forwarder
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import build_services
from tasks.settings import read
from tests.support.documents import DEPLOY
from tests.support.ledger import settled
from tests.support.processes import Process, RedisServer
from tests.support.until import until

CONFIG = """
[apps.sales]
corp_id = "ww0123456789abcdef"
secret = "secret"
token = "token"
encoding_aes_key = "{key}"
on_settled = "crm.greeted"
on_settled_broker = "{broker}"
"""


def test_the_example_gets_each_settled_event_as_a_task(redis_url: str, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        theirs = server.url.replace("unix://", "redis+socket://").partition("?")[0]
        (tmp_path / "apps.toml").write_text(CONFIG.format(key="a" * 43, broker=theirs))
        shutil.copy(DEPLOY / "examples" / "crm_tasks.py", tmp_path)
        services = build_services(read({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url}, tmp_path))
        ours = make_app(redis_url)
        forwarder = Forwarder(services.forwards, services.settings.apps, services.counters, ours)
        options = ["worker", "--queues", "on-settled", "--pool", "solo", "--loglevel", "WARNING"]
        command = [sys.executable, "-m", "celery", "-A", "crm_tasks", *options]
        path = os.pathsep.join((str(tmp_path), *sys.path))
        worker = Process("crm", command, {"CRM_BROKER": theirs, "PYTHONPATH": path}, tmp_path)
        events = [settled(services.ledger, Settlement(Outcome.SENT), app="sales") for _ in range(3)]
        forwarder.start()
        worker.start()
        try:
            said = {f"greeted {event.id} sent by {event.user_id}" for event in events}
            until(lambda: all(line in worker.log.read_text() for line in said), timeout=60)
        finally:
            worker.stop()
            forwarder.stop()

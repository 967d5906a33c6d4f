"""The same system as somebody would run it who knows the libraries well. Part of the reference.

    gunicorn --workers 2 --worker-class gthread --threads 16 --keep-alive 30 tuned:app
    celery --app tuned.celery worker --pool threads --concurrency 64 --without-gossip --without-mingle --without-heartbeat

64 calls can be in flight in one process, each on a connection that is kept; nothing is spent on results, events and the
workers' talk among themselves; replies of Redis are parsed by hiredis (`tuned.lock`). The code is app.py's.
"""

from app import app, celery, client
from requests.adapters import HTTPAdapter

__all__ = ["app", "celery"]

THREADS = 64

celery.conf.update(
    broker_pool_limit=THREADS,
    task_ignore_result=True,
    worker_disable_rate_limits=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
)
client._http.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
client._http.mount("https://", HTTPAdapter(pool_maxsize=THREADS))

"""A Celery task of your own that gets each added customer once wecom-welcome is done with it.

In WELCOME_CONFIG:

    [apps.sales]
    …
    on_settled = "crm.greeted"
    on_settled_broker = "redis://127.0.0.1:6379/1"     # without it: the Redis of wecom-welcome

and beside it, with this file in the working directory:

    CRM_BROKER=redis://127.0.0.1:6379/1 celery -A crm_tasks worker --queues on-settled

The server that `wecom-welcome up` brings has the address redis+socket:///…/var/valkey/server.sock.
"""

import os

from celery import Celery

app = Celery("crm", broker=os.environ["CRM_BROKER"])


@app.task(name="crm.greeted", acks_late=True, ignore_result=True)
def greeted(event):
    """event: {"type": "contact.add", "timestamp": …, "data": {"id": …, "external_user_id": …, "outcome": "sent", …}}.

    It may come twice: the id tells (it is the task's id, too).
    """
    data = event["data"]
    print(f"greeted {data['id']} {data['outcome']} by {data['user_id']}", flush=True)

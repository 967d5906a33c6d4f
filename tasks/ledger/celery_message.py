"""The one message on the welcome queue, "greet everyone who is due", and its like on the slow one. Pure.

It is the very message that Kombu would write if TASK were called by `apply_async`, ready-made, so that the hand-over
script can queue it in the same atomic step that stores the event. A test compares the two; it fails when an upgrade of
Celery or Kombu changes the envelope. The message carries nothing of the event: arguments leak into logs and monitors.
"""

import json

from tasks.storage.keys import QUEUE, SLOW_QUEUE

TASK = "tasks.welcome.greet_due"
SLOW_TASK = "tasks.followup.follow_up_due"
_BODY = "W1tdLCB7fSwgeyJjYWxsYmFja3MiOiBudWxsLCAiZXJyYmFja3MiOiBudWxsLCAiY2hhaW4iOiBudWxsLCAiY2hvcmQiOiBudWxsfV0="
# Base64 of [[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]


def _envelope(message_id: str, queue: str, task: str) -> str:
    return json.dumps(
        {
            "body": _BODY,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": message_id,
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": message_id,
                "parent_id": None,
                "argsrepr": "()",
                "kwargsrepr": "{}",
                "origin": "wecom-welcome",
                "ignore_result": True,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
            "properties": {
                "correlation_id": message_id,
                "reply_to": "wecom-welcome",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": message_id,
            },
        }
    )


_PLACE = "00000000000000000000000000000000"
_READY = _envelope(_PLACE, QUEUE, TASK)
_READY_SLOW = _envelope(_PLACE, SLOW_QUEUE, SLOW_TASK)


def message(message_id: str) -> str:
    """The message, ready for LPUSH on QUEUE. `message_id`: 32 hex digits, unlike every other message's."""
    return _READY.replace(_PLACE, message_id)


def slow_message(message_id: str) -> str:
    """The message that wakes the slow queue for follow-ups, ready for LPUSH on SLOW_QUEUE."""
    return _READY_SLOW.replace(_PLACE, message_id)

"""What stands in a journal, and how far each event in it came.

    {"event": {…}}                        an event was taken; 200 is answered once this is on the disk
    {"try": id, "number": n}              try n begins
    {"answers": id, "number": n}          n of the tries were answered
    {"result": id, "of": {…}}             the event has its outcome

The welcome code stands in it: a web process that was killed has a successor, which greets whom it had not greeted yet,
and the event's id is made of it too. It is dead after 20 s, opens nothing without an access token, and goes when the
journal is taken into the ledger.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tasks.ledger.recorded import Recorded

log = logging.getLogger(__name__)


def event_taken(recorded: Recorded) -> dict[str, Any]:
    return {"event": recorded.to_data()}


def try_begun(identity: str, number: int) -> dict[str, Any]:
    return {"try": identity, "number": number}


def tries_answered(identity: str, number: int) -> dict[str, Any]:
    return {"answers": identity, "number": number}


def result(recorded: Recorded) -> dict[str, Any]:
    return {"result": recorded.event.id, "of": recorded.to_data()}


def unfinished(records: Iterable[Mapping[str, Any] | None]) -> dict[str, Recorded]:
    """Id → event, of those that have no result. None among the records: a damaged one."""
    events: dict[str, Recorded] = {}
    for record in records:
        if record is None:
            log.error("a record of the lifeboat's journal is damaged")
        elif "event" in record:
            event = _read(record["event"])
            if event is not None:
                events.setdefault(event.event.id, event)
        elif "result" in record:
            events.pop(record["result"], None)
        elif record.get("try") in events:
            events[record["try"]] = replace(events[record["try"]], attempts=int(record["number"]))
        elif record.get("answers") in events:
            events[record["answers"]] = replace(events[record["answers"]], answers=int(record["number"]))
    return events


def finished(record: Mapping[str, Any] | None) -> Recorded | None:
    """The event of a result; None for what is no result."""
    return _read(record["of"]) if record is not None and "result" in record else None


def _read(data: Mapping[str, Any]) -> Recorded | None:
    try:
        return Recorded.from_data(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # of another release
        log.error("a record of the lifeboat's journal cannot be read: %s", type(error).__name__)
        return None

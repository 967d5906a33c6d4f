"""Names of members and customers, for the texts that ask for them: from the cache, or from WeCom on a small budget.

A name that does not come in time is left out, and the text's fallback stands in its place: no greeting waits for it.
"""

import contextlib
import json
import logging
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import redis

from tasks.connections import Redis
from tasks.events import ContactAdded
from tasks.templates.render import ABOUT_CUSTOMER, ABOUT_MEMBER
from tasks.wecom import WeComClient, WeComError

log = logging.getLogger(__name__)

BUDGET = 1.5  # seconds for all names of one greeting together
MEMBER_LIFE = 24 * 3600  # seconds for which a member's names are kept
_MEMBER = "welcome:member:"  # + app:userid
_MEMBER_FIELDS = {"member": "name", "alias": "alias", "position": "position"}  # placeholder → WeCom's field, doc 90196


class People:
    """Looks up what a text may say about the two. Thread-safe."""

    def __init__(self, client: Redis, timezone: ZoneInfo) -> None:
        self._redis = client
        self._timezone = timezone

    def values(
        self, wecom: WeComClient, event: ContactAdded, wanted: frozenset[str], received_at: int, by: float
    ) -> dict[str, str]:
        """Placeholder → value for the `wanted` ones that are known within the budget and `by`."""
        at = datetime.fromtimestamp(received_at / 1000, self._timezone)
        values = {"state": event.state, "date": at.date().isoformat(), "time": at.strftime("%H:%M")}
        bounded = wecom.until(min(by, time.monotonic() + BUDGET))
        if wanted & ABOUT_MEMBER:
            values |= self._member(bounded, event)
        if wanted & ABOUT_CUSTOMER and not event.rehearsal:  # a rehearsal's customer does not exist
            try:
                answer = bounded.external_contact.get(event.external_user_id)
                values["customer"] = str((answer.get("external_contact") or {}).get("name") or "")
            except WeComError as error:
                log.warning("greeted without the customer's name: %s", error)
        return values

    def _member(self, wecom: WeComClient, event: ContactAdded) -> dict[str, str]:
        key = f"{_MEMBER}{event.app}:{event.user_id}"
        try:
            known = self._redis.get(key)
            if known:
                return dict(json.loads(str(known)))
        except redis.RedisError:
            pass  # WeCom knows it too
        try:
            answer = wecom.user.get(event.user_id)
        except WeComError as error:
            log.warning("greeted without the member's name: %s", error)
            return {}
        names = {placeholder: str(answer.get(field) or "") for placeholder, field in _MEMBER_FIELDS.items()}
        with contextlib.suppress(redis.RedisError):  # asked again next time
            self._redis.set(key, json.dumps(names), ex=MEMBER_LIFE)
        return names

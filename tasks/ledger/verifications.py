"""What became of the last callback of each app: accepted, or refused and why. `check` and the console show it."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import redis
from redis.typing import EncodableT, FieldT

from tasks.ledger import earlier
from tasks.reasons import Reason
from tasks.storage import keys, replies
from tasks.storage.connections import Redis
from tasks.storage.unreadable import readable


@dataclass(frozen=True, slots=True)
class Verification:
    """The last callback of an app. `at`: Unix seconds. `problem` None: it was accepted.

    `proven`: WeCom alone can have sent it (webhook.callback.diagnosis). An accepted one is.
    """

    at: int
    problem: Reason | None
    proven: bool


class Verifications:
    """Those in one Redis. Thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def record(self, app: str, problem: Reason | None, proven: bool = True) -> None:
        """Keep what was wrong with the last callback of an app that was refused; None: one was accepted, all is well.

        One that is not `proven` to be WeCom's never replaces one that is.
        """
        kind = "verdict" if proven else "doubt"
        now = int(time.time())
        fields: dict[FieldT, EncodableT] = {"at": now, "verdict": "", "doubt": ""}
        if problem is not None:
            fields = {f"{kind}_at": now, kind: problem.to_json()}
        with contextlib.suppress(redis.RedisError):  # it is in the log already
            self._redis.hset(keys.verification(app), mapping=fields)

    def last(self, app: str) -> Verification | None:
        """What was recorded last of an app's callbacks; None if nothing was. Raises redis.RedisError."""
        stored = replies.fields(self._redis.hgetall(keys.verification(app)))
        return readable(f"the last callback of {app}", partial(_verification, stored))


def _verification(stored: Mapping[str, str]) -> Verification | None:
    for kind in ("verdict", "doubt"):
        if stored.get(kind):
            return Verification(int(stored[f"{kind}_at"]), earlier.reason(stored[kind]), kind == "verdict")
    return Verification(int(stored["at"]), None, True) if "at" in stored else None

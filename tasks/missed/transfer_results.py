"""What WeCom says of hand-overs: transfer_result, for pairs of members that an operator names. Docs 94088, 94082.

WeCom cannot list the pairs. One that was named is read at once and, while customers are waiting, every night, for a
week; customers who were not handed over go on the work list. Both calls are made, that for members of the corp and that
for those who left: an operator need not know which it was.

    Redis   welcome:transfers:APP    a hash: HANDOVER|TAKEOVER → JSON of a TransferPair
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

from tasks.changes import failed_transfers
from tasks.changes.failed_transfers import FailedTransfer
from tasks.missed.transfer_pair import (
    DAY,
    DAYS,
    PAIRS,
    Reading,
    TransferPair,
    after_error,
    after_reading,
    failures,
    passes,
)
from tasks.reasons import Reason
from tasks.settings import App
from tasks.storage import keys, replies
from tasks.storage.clock import now_ms
from tasks.storage.connections import Redis, repeatable
from tasks.storage.unreadable import readable
from tasks.wecom import WeComClient, WeComError
from tasks.wecom.calls import path_of
from tasks.wecom.errors import Failure, NoAnswer, WeComAPIError

log = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds for all pairs of one turn
CALL = 10.0  # seconds for one call
CLAIMED = 120  # seconds for which no other process reads a pair that one has begun


_STORE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or cjson.decode(stored)['since'] ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class TooManyPairs(Exception):
    """PAIRS of them are being asked about."""


class TransferResults:
    """The hand-overs of one app. `life`: seconds of a row on the work list. Methods raise redis.RedisError."""

    def __init__(self, client: Redis, app: App, wecom: WeComClient, life: int, zone: ZoneInfo) -> None:
        self._redis = client
        self._app = app
        self._wecom = wecom
        self._life = life
        self._zone = zone
        self._key = keys.transfers(app.name)
        self._store = repeatable(client.register_script(_STORE))

    def pairs(self) -> list[TransferPair]:
        """All that is known, the newest first."""
        stored = replies.fields(self._redis.hgetall(self._key))
        read = [readable("a hand-over", partial(TransferPair.from_json, text)) for text in stored.values()]
        return sorted((one for one in read if one is not None), key=lambda one: (-one.since, one.handover))

    def ask(self, handover: str, takeover: str, who: str) -> TransferPair:
        """Have a pair read within a minute, anew if it is known. `who`: the operator. Raises TooManyPairs.

        The names must have no `problem` (tasks.missed.transfer_pair).
        """
        now = self._now()
        pair = TransferPair(handover, takeover, by=who, since=now, next_at=now)
        others = [one for one in self.pairs() if _field(one) != _field(pair)]
        if len(others) >= PAIRS:
            ended = [one for one in others if one.next_at is None]
            if not ended:
                raise TooManyPairs
            self._redis.hdel(self._key, _field(min(ended, key=lambda one: one.last_at)))
        self._redis.hset(self._key, _field(pair), pair.to_json())
        return pair

    def advance(self) -> int:
        """Read the pairs that are due, for PATIENCE s at most; forget those that ended a week ago. → how many."""
        now, by = self._now(), time.monotonic() + PATIENCE
        read = 0
        for pair in self.pairs():
            if pair.next_at is None and pair.last_at < now - DAYS * DAY:
                self._store(keys=[self._key], args=[_field(pair), pair.since, ""])
            elif pair.next_at is not None and pair.next_at <= now and time.monotonic() < by:
                self.read(pair, by)
                read += 1
        return read

    def read(self, pair: TransferPair, by: float) -> TransferPair:
        """Read a pair until `by` (`time.monotonic`), and list who was not handed over. → the pair then.

        When time runs out, it goes on in the next turn. WeCom's errors are recorded, and postpone it. One that is asked
        for anew meanwhile stays so.
        """
        self._save(replace(pair, next_at=self._now() + CLAIMED))
        reading = pair.reading or Reading()
        try:
            while not reading.is_whole and time.monotonic() < by:
                reading = self._page(pair, reading, by)
        except WeComError as error:
            log.warning("what became of a hand-over cannot be read: %s", error)
            return self._save(after_error(pair, error, self._now(), self._zone))
        if not reading.is_whole:
            return self._save(replace(pair, reading=reading, next_at=self._now()))
        return self._save(after_reading(pair, reading, self._now(), self._zone))

    def _page(self, pair: TransferPair, reading: Reading, by: float) -> Reading:
        """The reading after one more page. Raises WeComError, but for a refusal of a call as a whole."""
        calls = self._wecom.with_deadline(time.monotonic() + max(1.0, min(CALL, by - time.monotonic())))
        contact = calls.external_contact
        call = (contact.transfer_result, contact.resigned_transfer_result)[reading.ended]
        try:
            page = call(pair.handover, pair.takeover, reading.cursor or None)
        except WeComAPIError as error:
            if reading.cursor or passes(error):
                raise
            return reading.next_call(Reason.from_error(error))  # the other call may know of it
        listed = page.get("customer")
        entries = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        for customer, why in failures(entries):
            failed = FailedTransfer(self._app.name, self._app.corp_id, pair.takeover, customer, why)
            failed_transfers.add(self._redis, failed, self._life)
        cursor = str(page.get("next_cursor") or "")
        if cursor and cursor == reading.cursor:
            raise NoAnswer(path_of(call), Failure.REPEATED_CURSOR)
        reading = replace(reading, cursor=cursor, answer=reading.answer.and_of(one.get("status") for one in entries))
        return reading if cursor else reading.next_call()

    def _save(self, pair: TransferPair) -> TransferPair:
        """Store what became of a pair, unless somebody has asked for it anew since it was read from here."""
        self._store(keys=[self._key], args=[_field(pair), pair.since, pair.to_json()])
        return pair

    def _now(self) -> int:
        return now_ms(self._redis) // 1000


def _field(pair: TransferPair) -> str:
    """Of the hash; a userid's case does not matter."""
    return f"{pair.handover}|{pair.takeover}".lower()

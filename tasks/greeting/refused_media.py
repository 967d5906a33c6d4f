"""Records which media WeCom refused, beside the greetings: none waits for it, however slow Redis is to take it."""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial

import redis

from tasks.greeting.threads import ThreadPool
from tasks.templates.render import Ready, Upload

log = logging.getLogger(__name__)

Refuse = Callable[[str, Mapping[Upload, str]], None]  # (corp id, upload → what was sent of it)


class RefusedMedia:
    """Hands each refused media to `refuse` in a thread, once where many greetings meet the same.

    What is not recorded, because Redis does not answer or the process ends, the next message finds out again.
    """

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._threads = ThreadPool("refused media", 1)
        self._lock = threading.Lock()
        self._pending: set[tuple[str, Upload, str]] = set()

    def record(self, corp_id: str, sent: Ready) -> None:
        """Have it recorded soon that WeCom refused a message with these."""
        with self._lock:
            new = {(corp_id, upload, value) for upload, value in sent.items()} - self._pending
            self._pending |= new
        if new:
            self._threads.submit(partial(self._record, corp_id, new))

    def _record(self, corp_id: str, media: set[tuple[str, Upload, str]]) -> None:
        try:
            self._refuse(corp_id, {upload: value for _, upload, value in media})
        except redis.RedisError as error:
            log.warning("cannot record that media was refused: %s", type(error).__name__)
        finally:
            with self._lock:
                self._pending -= media

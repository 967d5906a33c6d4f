"""A group robot (群机器人): posts markdown to the group that it is in. Doc 91770.

Its URL has its key, and whoever has that can write to the group: neither is in a message, a repr or an exception. A
robot takes 20 messages a minute (45009), each of LIMIT bytes at most (40058), and knows its key (93000).
"""

import contextlib
import json
import time
from urllib.parse import parse_qs, urlsplit

from .errors import Busy, Unanswered, from_answer, read_answer, without_frames
from .proxy import Proxy
from .transport import Transport

LIMIT = 4096  # bytes of a markdown message
PATH = "webhook/send"  # what errors name
TIMEOUT = 5.0  # seconds for one try
WAITS = (1.0, 3.0)  # seconds before the second and the third try
CUT = "\n…"


class GroupRobot:
    """One robot. Thread-safe: each message has a connection of its own, since they are few."""

    def __init__(self, url: str, proxy: Proxy | None = None) -> None:
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._key = parse_qs(parts.query).get("key", [""])[0]
        self._proxy = proxy
        self.host = parts.hostname or ""

    def __repr__(self) -> str:
        return f"GroupRobot({self.host!r})"

    @without_frames
    def send(self, markdown: str, by: float) -> None:
        """Send a message, cut to LIMIT, by a time of `time.monotonic`. Tried three times where nobody answers.

        A message whose answer is lost may be in the group twice. Raises WeComError.
        """
        content = {"msgtype": "markdown", "markdown": {"content": fitted(markdown)}}
        body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        waits = iter(WAITS)
        while True:
            try:
                self._send(body, by)
            except (Unanswered, Busy) as error:
                wait = next(waits, None)
                if wait is None or time.monotonic() + wait >= by:
                    raise error from None
                time.sleep(wait)
            else:
                return

    def _send(self, body: bytes, by: float) -> None:
        by = min(by, time.monotonic() + TIMEOUT)
        with contextlib.closing(Transport(self._origin, connections=1, proxy=self._proxy)) as transport:
            response = transport.post(self._target, body, by=by)
        _, errcode, errmsg = read_answer(PATH, response.status, response.body)
        if errcode != 0:
            raise from_answer(errcode, errmsg.replace(self._key, "…") if self._key else errmsg, PATH)


def fitted(markdown: str) -> str:
    """The text, cut to what a message may have, by whole characters."""
    content = markdown.encode("utf-8", "replace")
    if len(content) <= LIMIT:
        return content.decode()
    return content[: LIMIT - len(CUT.encode())].decode("utf-8", "ignore") + CUT

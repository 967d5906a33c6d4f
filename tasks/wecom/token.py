"""The access token: one copy shared by all processes, and one renewal at a time. Doc 91039.

    get     ── this process's copy ── the shared copy ── one caller fetches it, the others wait for the shared copy
    renew   ── the same, without the token that WeCom refused

A token belongs to one app's secret, so its key in Redis contains a hash of corp id and secret: two apps of a corp never
share one. A refused secret is remembered: retrying it in a loop gets this machine's IP banned for an hour (doc 90455).
"""

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis
from redis.exceptions import LockError
from redis.lock import Lock

from .errors import Failure, Misconfigured, NoAnswer, NotSent, WeComAPIError, from_answer

log = logging.getLogger(__name__)

MARGIN = 60.0  # seconds before its expiry from which a token is not used
FETCH = 3.0  # seconds for one gettoken call
WAIT = 0.05  # seconds between two reads of the shared copy while another caller fetches
REFUSED = {40001: 600, 40013: 600}  # errcode → seconds until the secret is tried again; 60 for others

T = TypeVar("T")
Fetch = Callable[[float], dict[str, Any]]  # (by) → gettoken's answer with errcode 0; raises WeComError


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and its expiry in wall-clock time (Unix seconds)."""

    value: str = field(repr=False)
    ends_at: float

    def left(self) -> float:
        return self.ends_at - time.time()


class TokenStore:
    """The token of one app. Thread-safe; shared between processes when `redis` is given."""

    def __init__(self, corp_id: str, secret: str, fetch: Fetch, shared: Any = None) -> None:
        name = hashlib.sha256(f"{corp_id}\0{secret}".encode()).hexdigest()[:24]
        self._key = f"wecom:token:{name}"
        self._fetch = fetch
        self._shared = shared
        self._lead = None if shared is None else Lock(shared, f"{self._key}:lead", timeout=FETCH + 1, blocking=False)
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refusal: tuple[float, int, str] | None = None  # its end (monotonic), errcode, errmsg
        self._away_until = 0.0  # (monotonic) Redis is not asked until then

    def get(self, by: float) -> str:
        """A valid token. Raises WeComError if there is none by `by`."""
        token = self._token
        if token is not None and token.left() > MARGIN:
            return token.value
        return self._obtain(by, refused=None, least=MARGIN)

    def renew(self, refused: str, by: float) -> str:
        """A token other than `refused`, which WeCom no longer accepts."""
        return self._obtain(by, refused=refused, least=MARGIN)

    def refresh(self, least: float, by: float) -> float:
        """Fetch a new token if fewer than `least` seconds are left. → seconds left of the one in use."""
        self._obtain(by, refused=None, least=least)
        if self._token is not None and self._read() is None:
            self._write(self._token)  # the shared copy was lost, or Redis did not answer when it was to be written
        return self._token.left() if self._token else 0.0

    def left(self) -> float | None:
        """Seconds left of the shared token, or else of this process's; None if there is none. Fetches nothing."""
        token = self._read() or self._token
        return token.left() if token is not None and token.left() > 0 else None

    def is_shared(self) -> bool:
        """Whether there is a token for other processes. Fetches nothing."""
        return self._read() is not None

    def refusal(self) -> WeComAPIError | None:
        """Why WeCom refused this app a token, while that is remembered; None if it did not. Fetches nothing."""
        try:
            self._raise_refusal()
        except WeComAPIError as error:
            return error
        return None

    def _obtain(self, by: float, refused: str | None, least: float) -> str:
        if not self._lock.acquire(timeout=max(0.0, by - time.monotonic())):
            raise NotSent("gettoken", Failure.NO_TOKEN_IN_TIME)
        try:
            while True:
                known = self._known(refused, least)
                if known is not None:
                    return known
                self._raise_refusal()
                if self._take_lead():
                    try:  # read again: another renewal may have ended between the read and the lock
                        return self._known(refused, least) or self._renew(by)
                    finally:
                        self._give_up_lead()
                if by - time.monotonic() < WAIT:
                    raise NotSent("gettoken", Failure.NO_TOKEN_IN_TIME)
                time.sleep(WAIT)
        finally:
            self._lock.release()

    def _known(self, refused: str | None, least: float) -> str | None:
        for token in (self._token, self._read()):
            if token is not None and token.value != refused and token.left() > least:
                self._token = token
                return token.value
        return None

    def _renew(self, by: float) -> str:
        try:
            answer = self._fetch(min(by, time.monotonic() + FETCH))
        except WeComAPIError as error:
            if isinstance(error, Misconfigured):
                self._remember(error)
            raise
        except NoAnswer as error:
            # nothing of the caller's own request was sent
            raise NotSent(error.path, error.failure, error.detail) from None
        token = Token(str(answer["access_token"]), time.time() + float(answer["expires_in"]))
        self._token = token
        self._write(token)
        return token.value

    # --- the shared copy; without Redis, or while it does not answer, each process has its own ---

    def _ask(self, question: Callable[[Any], T], otherwise: T) -> T:
        """Redis's answer; `otherwise` without Redis, or for a second after it did not answer."""
        if self._shared is None or time.monotonic() < self._away_until:
            return otherwise
        try:
            return question(self._shared)
        except redis.RedisError as error:
            log.warning("the access token is not shared at the moment: %s", type(error).__name__)
            self._away_until = time.monotonic() + 1.0
            return otherwise

    def _read(self) -> Token | None:
        value, ends_at = self._ask(lambda shared: shared.hmget(self._key, "value", "ends_at"), (None, None))
        return Token(_text(value), float(_text(ends_at))) if value and ends_at else None

    def _write(self, token: Token) -> None:
        def write(shared: Any) -> None:
            with shared.pipeline() as pipe:
                pipe.hset(self._key, mapping={"value": token.value, "ends_at": token.ends_at})
                pipe.expire(self._key, max(1, int(token.left())))
                pipe.execute()

        self._ask(write, None)

    def _take_lead(self) -> bool:
        lead = self._lead
        return lead is None or self._ask(lambda _: bool(lead.acquire()), True)

    def _give_up_lead(self) -> None:
        lead = self._lead

        def release(_: Any) -> None:
            with contextlib.suppress(LockError):  # it was taken without Redis, or has ended by itself
                if lead is not None:
                    lead.release()

        self._ask(release, None)

    def _remember(self, error: WeComAPIError) -> None:
        seconds = REFUSED.get(error.errcode, 60)
        log.error("WeCom refuses this corp id or secret (%s); it is not tried again for %s s", error.errcode, seconds)
        self._refusal = (time.monotonic() + seconds, error.errcode, error.errmsg)
        reason = f"{error.errcode} {error.errmsg}"
        self._ask(lambda shared: shared.set(f"{self._key}:refused", reason, ex=seconds), None)

    def _raise_refusal(self) -> None:
        if self._refusal is not None and time.monotonic() < self._refusal[0]:
            raise from_answer(self._refusal[1], self._refusal[2], "gettoken")
        stored = self._ask(lambda shared: _text(shared.get(f"{self._key}:refused")), "")
        if stored:
            errcode, _, errmsg = stored.partition(" ")
            raise from_answer(int(errcode), errmsg, "gettoken")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")

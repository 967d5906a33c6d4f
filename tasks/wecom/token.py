"""The access token: one copy shared by all processes, and one fetch at a time. Doc 91039.

    get     ── this process's copy ── the shared copy ── one caller fetches it, the others wait for the shared copy
    renew   ── the same, without the token that WeCom refused

gettoken gives the same token as long as that is valid, so near its end a fetch may bring nothing new: a token is used
until it ends, is asked for again in the background once, MARGIN before its end, and nobody waits for that.

A fetch that fails, and a renewed token that is refused again, are followed by a pause that every process keeps. It
grows with each failure in a row, up to PAUSES[-1]: short enough for the first greeting after a recovery, and with fewer
than the 2000 failing calls an hour for which WeCom is said to ban an IP. Whoever needs a token meanwhile waits for the
end of the pause, or fails with what failed.

A token belongs to one app's secret, so its key in Redis contains a hash of corp id and secret: two apps of a corp never
share one. A refused secret is remembered: retrying it in a loop gets this machine's IP banned for an hour (doc 90455).
"""

import contextlib
import hashlib
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .errors import (
    ClientClosed,
    Failure,
    Misconfigured,
    NotSent,
    Unanswered,
    WeComAPIError,
    WeComError,
    from_answer,
    without_frames,
)
from .forking import renew_in_children

log = logging.getLogger(__name__)

MARGIN = 60.0  # seconds before its end from which a token is asked for again, while it is still used
FETCH = 3.0  # seconds for one gettoken call
WAIT = 0.05  # seconds between two reads of the shared copy while another caller fetches
REFUSED = {40001: 600, 40013: 600}  # errcode → seconds until the secret is tried again; 60 for others
PAUSES = (0.5, 1.0, 1.8)  # seconds without a fetch after the first, second … failure in a row; the last one repeats
REMEMBERED = 30.0  # seconds after a pause during which another failure is one more in a row

T = TypeVar("T")
Fetch = Callable[[float], dict[str, Any]]  # (by) → gettoken's answer with errcode 0; raises WeComError


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and its end in wall-clock time (Unix seconds).

    asked_at: the seconds that were left when gettoken gave this one again, or gave it with no more than MARGIN left;
    infinite if neither. With that many left, asking brings nothing new. renewed: it was fetched in place of one that
    WeCom had refused.
    """

    value: str = field(repr=False)
    ends_at: float
    asked_at: float = math.inf
    renewed: bool = False

    def left(self) -> float:
        return self.ends_at - time.time()

    def is_enough(self, least: float) -> bool:
        """Whether no fetch is needed: more than `least` seconds are left, or a fetch would give the same token."""
        left = self.left()
        return left > least or (left > 0 and self.asked_at <= least)


@dataclass(frozen=True, slots=True)
class Failed:
    """The last of `times` failures in a row, and the end of the pause after it (monotonic)."""

    times: int
    what: Mapping[str, Any]  # the error, as `_to_data` has it
    until: float

    @property
    def error(self) -> WeComError:
        """A new exception: one instance raised by several threads would mix up their tracebacks."""
        return _from_data(self.what)

    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())


class TokenStore:
    """The token of one app. Thread-safe; shared between processes when `shared`, a client of redis-py's, is given."""

    def __init__(self, corp_id: str, secret: str, fetch: Fetch, shared: Any = None) -> None:
        name = hashlib.sha256(f"{corp_id}\0{secret}".encode()).hexdigest()[:24]
        self._key = f"wecom:token:{name}"
        self._fetch = fetch
        self._shared = shared
        self._lead, self._no_answer, self._not_held = _lead(shared, f"{self._key}:lead")
        self._make_locks()
        self._token: Token | None = None
        self._dead: str | None = None  # the last token that WeCom refused; None after the next fetch
        self._accepted: str | None = None  # the last token that WeCom accepted in a call
        self._failed: Failed | None = None
        self._refusal: tuple[float, int, str] | None = None  # its end (monotonic), errcode, errmsg
        self._away_until = 0.0  # (monotonic) Redis is not asked until then
        renew_in_children(self)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()  # held by the thread that obtains a token
        self._ahead = threading.Lock()  # held by the thread that asks for a token ahead of the end of the one in use
        self._failing = threading.Lock()  # held while a failure is entered

    def after_fork(self) -> None:
        """In the child: a lock may be held by a thread of the parent."""
        self._make_locks()

    @without_frames
    def get(self, by: float) -> str:
        """A valid token. Raises WeComError if there is none by `by`."""
        token = self._token
        if token is None or token.left() <= 0 or token.value == self._dead:
            return self._obtain(by, refused=None, least=0.0)
        if not token.is_enough(MARGIN) and (self._failed is None or not self._failed.left()):
            self._ask_ahead()
        return token.value

    def renew(self, refused: str, by: float) -> str:
        """A token other than `refused`, which WeCom no longer accepts.

        Where that one was a renewal itself, the next fetch is after a pause. Each caller sees only its own refusals:
        of many who wait for a token, each would else be given a new one, and have it refused.
        """
        if self._is_in_use(refused):
            renewed = self._token is not None and self._token.renewed and refused != self._accepted
            if renewed or self._known_failure() is not None:  # and no call was accepted since
                self._fail_once(NotSent("gettoken", Failure.REFUSED_AGAIN))
            self._dead = refused  # after the pause has begun: until then, those who wait would fetch another
        return self._obtain(by, refused=refused, least=0.0)

    def refused_again(self, token: str, error: WeComError) -> None:
        """WeCom refused a token that had just been fetched: the next fetch is after a pause."""
        if self._is_in_use(token):
            self._fail_once(error)
            self._dead = token

    def accepted(self, token: str) -> None:
        """WeCom accepted a call with this token: whatever failed before is over."""
        self._accepted = token
        if token == self._dead:
            self._dead = None
        if self._failed is not None:
            self._failed = None
            self._ask(lambda shared: shared.delete(f"{self._key}:failed"), None)

    @without_frames
    def refresh(self, least: float, by: float) -> float:
        """Fetch a token if fewer than `least` seconds are left, once. → seconds left of the one in use.

        Once: a fetch that gave the same token is not repeated for this `least`.
        """
        self._obtain(by, refused=None, least=least)
        if self._token is not None and self._read() is None and self.refusal() is None:
            self._write(self._token)  # the shared copy was lost, or Redis did not answer when it was to be written
        return self._token.left() if self._token else 0.0

    def left(self) -> float | None:
        """Seconds left of the shared token, or else of this process's; None if there is none. Fetches nothing."""
        token = self._read() or self._token
        return token.left() if token is not None and token.left() > 0 and token.value != self._dead else None

    def is_shared(self) -> bool:
        """Whether there is a token for other processes. Fetches nothing."""
        return self._read() is not None

    def shared(self) -> Token | None:
        """The copy that all processes share; None if there is none, or Redis does not answer. Fetches nothing."""
        return self._read()

    def adopt(self, token: Token) -> None:
        """Use a token that another store has obtained, unless it is the older one."""
        own = self._token
        if token.value != self._dead and (own is None or token.ends_at > own.ends_at):
            self._token = token

    def refusal(self) -> WeComAPIError | None:
        """Why WeCom refused this app a token, while that is remembered; None if it did not. Fetches nothing."""
        try:
            self._raise_refusal()
        except WeComAPIError as error:
            return error
        return None

    def _is_in_use(self, token: str) -> bool:
        """Whether this process has not replaced it yet: a call may be refused long after others were."""
        return self._token is None or self._token.value == token

    def _obtain(self, by: float, refused: str | None, least: float) -> str:
        if not self._lock.acquire(timeout=max(0.0, by - time.monotonic())):
            raise self._failed.error if self._failed is not None else NotSent("gettoken", Failure.NO_TOKEN_IN_TIME)
        try:
            while True:
                known = self._known(refused, least)
                if known is not None:
                    return known
                self._raise_refusal()
                self._wait_for_the_pause(by)
                if self._take_lead():
                    try:  # read again: another caller's fetch may have ended between the reads and the lock
                        known = self._known(refused, least)
                        if known is not None:
                            return known
                        if not self._pause():
                            return self._fetch_one(by, refused)
                    finally:
                        self._give_up_lead()
                if by - time.monotonic() < WAIT:
                    raise NotSent("gettoken", Failure.NO_TOKEN_IN_TIME)
                time.sleep(WAIT)
        finally:
            self._lock.release()

    def _known(self, refused: str | None, least: float) -> str | None:
        for token in (self._token, self._read()):
            if token is not None and token.value not in (refused, self._dead) and token.is_enough(least):
                self._token = token
                return token.value
        return None

    def _fetch_one(self, by: float, refused: str | None) -> str:
        before = {token.value for token in (self._token, self._read()) if token is not None}
        began = time.time()
        try:
            answer = self._fetch(min(by, time.monotonic() + FETCH))
        except Misconfigured as error:
            self._remember(error)
            self._withdraw(refused)
            raise
        except WeComAPIError as error:
            self._fail(error)
            raise
        except Unanswered as error:
            # nothing of the caller's own request was sent
            not_sent = NotSent(error.path, error.failure, error.detail)
            if error.failure is not Failure.NO_TIME_LEFT:
                self._fail(not_sent)
            raise not_sent from None
        value, life = str(answer["access_token"]), max(1.0, float(answer["expires_in"]))
        asked_again = value in before or life <= MARGIN
        renewed = refused is not None or self._dead is not None
        token = Token(value, began + life, life if asked_again else math.inf, renewed)
        if value in (refused, self._dead):  # it is tried again all the same: WeCom says that it is valid
            self._fail(NotSent("gettoken", Failure.REFUSED_AGAIN))
        self._token, self._dead = token, None
        self._write(token)
        return value

    def _ask_ahead(self) -> None:
        """Fetch a token in the background, unless a thread of this process is doing so."""
        ahead = self._ahead
        if ahead.acquire(blocking=False):
            try:
                threading.Thread(target=self._fetch_ahead, args=(ahead,), daemon=True, name="access token").start()
            except RuntimeError:  # no more threads, or the interpreter ends
                ahead.release()

    def _fetch_ahead(self, ahead: threading.Lock) -> None:
        try:
            if not self._pause():
                self._obtain(time.monotonic() + FETCH, refused=None, least=MARGIN)
        except WeComError as error:
            log.warning("the access token is used to its end, a new one is not to be had yet: %s", error)
        except ClientClosed:
            pass
        except Exception:  # the thread's edge: the caller's `observe`
            log.exception("the access token was not asked for ahead of its end")
        finally:
            ahead.release()

    # --- the pause after a failure ---

    def _fail(self, error: WeComError) -> None:
        """Enter a failure, one more in a row, and begin the pause after it."""
        known = self._known_failure()
        times = known.times + 1 if known is not None else 1
        pause = PAUSES[min(times, len(PAUSES)) - 1]
        what = _to_data(error)
        self._failed = Failed(times, what, time.monotonic() + pause)
        stored = json.dumps({"times": times, **what})
        self._ask(lambda shared: shared.set(f"{self._key}:failed", stored, px=int((pause + REMEMBERED) * 1000)), None)
        log.warning("no access token (failure %s in a row: %s); the next fetch is in %s s", times, error, pause)

    def _fail_once(self, error: WeComError) -> None:
        """The same, unless this failure is known: many calls meet one refused token."""
        with self._failing:
            if not self._pause():
                self._fail(error)

    def _pause(self) -> float:
        """Seconds until a token may be fetched; 0.0 if it may be now."""
        self._failed = self._known_failure()
        return self._failed.left() if self._failed is not None else 0.0

    def _known_failure(self) -> Failed | None:
        """The last failure of any process that is remembered."""

        def read(shared: Any) -> Failed | None:
            with shared.pipeline(transaction=True) as pipe:
                stored, left = pipe.get(f"{self._key}:failed").pttl(f"{self._key}:failed").execute()
            if not stored or left <= 0:
                return None
            data = json.loads(_text(stored))
            return Failed(int(data["times"]), data, time.monotonic() + left / 1000 - REMEMBERED)

        own = self._failed
        if own is not None and time.monotonic() > own.until + REMEMBERED:
            own = None
        return self._ask(read, own)

    def _wait_for_the_pause(self, by: float) -> None:
        """Until a token may be fetched. Raises what failed, if that is not before `by`."""
        pause = self._pause()
        if pause and self._failed is not None:
            if time.monotonic() + pause > by - WAIT:
                raise self._failed.error
            time.sleep(pause)

    # --- the shared copy; without Redis, or while it does not answer, each process has its own ---

    def _ask(self, question: Callable[[Any], T], otherwise: T) -> T:
        """Redis's answer; `otherwise` without Redis, or for a second after it did not answer."""
        if self._shared is None or time.monotonic() < self._away_until:
            return otherwise
        try:
            return question(self._shared)
        except self._no_answer as error:
            log.warning("the access token is not shared at the moment: %s", type(error).__name__)
            self._away_until = time.monotonic() + 1.0
            return otherwise

    def _read(self) -> Token | None:
        value, ends_at, asked_at, renewed = self._ask(
            lambda shared: shared.hmget(self._key, "value", "ends_at", "asked_at", "renewed"), (None,) * 4
        )
        if not value or not ends_at:
            return None
        return Token(_text(value), float(_text(ends_at)), float(_text(asked_at) or math.inf), _text(renewed) == "1")

    def _write(self, token: Token) -> None:
        def write(shared: Any) -> None:
            with shared.pipeline() as pipe:
                fields = {"value": token.value, "ends_at": token.ends_at, "asked_at": token.asked_at}
                pipe.hset(self._key, mapping={**fields, "renewed": int(token.renewed)})
                pipe.pexpire(self._key, max(1, int(token.left() * 1000)))  # to the moment: until then it is in use
                pipe.execute()

        self._ask(write, None)

    def _withdraw(self, refused: str | None) -> None:
        """Share a token no longer that WeCom refuses, and gives no other for: its secret was reset."""
        token = self._read()
        if token is not None and token.value in (refused, self._dead):
            self._ask(lambda shared: shared.delete(self._key), None)

    def _take_lead(self) -> bool:
        lead = self._lead
        return lead is None or self._ask(lambda _: bool(lead.acquire()), True)

    def _give_up_lead(self) -> None:
        lead = self._lead

        def release(_: Any) -> None:
            with contextlib.suppress(self._not_held):  # it was taken without Redis, or has ended by itself
                if lead is not None:
                    lead.release()

        self._ask(release, None)

    def _remember(self, error: WeComAPIError) -> None:
        seconds = REFUSED.get(error.errcode, 60)
        log.error("WeCom refuses this corp id or secret (%s); it is not tried again for %s s", error.errcode, seconds)
        self._refusal = (time.monotonic() + seconds, error.errcode, _said(error))
        reason = f"{error.errcode} {_said(error)}"
        self._ask(lambda shared: shared.set(f"{self._key}:refused", reason, ex=seconds), None)

    def _raise_refusal(self) -> None:
        if self._refusal is not None and time.monotonic() < self._refusal[0]:
            raise from_answer(self._refusal[1], self._refusal[2], "gettoken")
        stored = self._ask(lambda shared: _text(shared.get(f"{self._key}:refused")), "")
        if stored:
            errcode, _, errmsg = stored.partition(" ")
            raise from_answer(int(errcode), errmsg, "gettoken")


def _lead(shared: Any, name: str) -> tuple[Any, type[Exception], type[Exception]]:
    """(the lock of the process that fetches, the error of a Redis that does not answer, that of a lock not held)."""
    if shared is None:
        return None, OSError, OSError
    from redis.exceptions import LockError, RedisError  # here: without a shared copy nobody needs the package
    from redis.lock import Lock

    return Lock(shared, name, timeout=FETCH + 1, blocking=False), RedisError, LockError


def _to_data(error: WeComError) -> dict[str, Any]:
    """A failure as JSON; `_from_data` reads it."""
    if isinstance(error, WeComAPIError):
        return {"errcode": error.errcode, "errmsg": _said(error)}
    if isinstance(error, Unanswered):
        return {"failure": str(error.failure), "detail": error.detail}
    return {}


def _from_data(data: Mapping[str, Any]) -> WeComError:
    if "errcode" in data:
        return from_answer(int(data["errcode"]), str(data.get("errmsg", "")), "gettoken")
    try:
        return NotSent("gettoken", Failure(data.get("failure", "")), str(data.get("detail", "")))
    except ValueError:  # of another release
        return NotSent("gettoken", Failure.NO_TOKEN_IN_TIME)


def _said(error: WeComAPIError) -> str:
    """What `from_answer` reads errmsg and address from."""
    return f"{error.errmsg}, from ip: {error.address}" if error.address else error.errmsg


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")

"""The WeCom client: adds the access token, keeps one deadline per call, returns WeCom's JSON or raises a WeComError.

client.external_contact.send_welcome_msg({...})     a call under WeCom's own name: externalcontact/send_welcome_msg
client.external_contact.iter_contact_list()         every entry of a paged call, from the first page to the last
client.with_deadline(by).external_contact.get(...)  the same calls with an absolute deadline
client.get("agent/get", {"agentid": 1000002})       any other path
with WeComClient(…) as client:                      closes its connections at the end

Knows WeCom, and nothing of the product around it.
"""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from urllib3.exceptions import HTTPError

from .auth import Auth
from .calls import Answer, Caller, Download, DownloadedFile, FileUpload
from .content_disposition import filename
from .errors import (
    Failure,
    InvalidRequest,
    NoAnswer,
    NotSent,
    WeComAPIError,
    WeComError,
    from_answer,
    is_token_refused,
    read_answer,
    without_frames,
)
from .external_contact import ExternalContact
from .http1 import Response
from .media import Media
from .members import Departments, Members
from .messages import Messages
from .network import Network
from .proxy import Proxy
from .token import TokenStore
from .transport import JSON, Transport, failure_of, multipart

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds for a call without a deadline
FILE_TIMEOUT = 60.0  # the same for a call that transfers a file

Observe = Callable[[str, int | str], None]  # (path, errcode or the error's class name) of every call that failed
Read = Callable[[str, Response], Any]  # (path, response) → the call's result; raises WeComError
FetchToken = Callable[[float], Mapping[str, Any]]  # (by) → an answer like gettoken's: access_token, expires_in
RetryDeadline = Callable[[], float]  # () → the deadline of a call that is repeated with a new token

R = TypeVar("R")


class Limiter(Protocol):
    """Says when a call may begin, where WeCom's limits are shared with other clients. Paths are below /cgi-bin/."""

    def begin(self, path: str, by: float, /) -> None:
        """Return when the call may begin. Raises NotSent if that is not before `by`, a time of `time.monotonic`."""

    def ended(self, path: str, error: WeComError | None, /) -> None:
        """The call has ended: with an error, or well."""


class ResourceOf(Generic[R]):
    """An attribute of the client that is one of its resources. A resource holds nothing but the client, so a new one
    for every access costs no more than a lookup, and a client with a deadline has resources of its own.
    """

    def __init__(self, resource: Callable[[Caller], R]) -> None:
        self.resource = resource

    @overload
    def __get__(self, client: None, owner: type) -> "ResourceOf[R]": ...
    @overload
    def __get__(self, client: "WeComClient", owner: type) -> R: ...
    def __get__(self, client: "WeComClient | None", owner: type) -> "ResourceOf[R] | R":
        return self if client is None else self.resource(client)


class WeComClient(Network):
    """The calls of one app of one corp. Thread-safe; one that was made before a fork works in the child too.

    `secret`: of a self-built app, or the permanent code of one that a provider develops for the corp (代开发): gettoken
    takes both. `fetch_token` is called where the token comes from elsewhere, as that of a third-party app does; then
    `secret` only tells the corp's apps apart. It gets a deadline, a time of `time.monotonic`, and returns what gettoken
    would: {"access_token", "expires_in"}, or an errcode.

    `redis` shares the access token with other processes; without it each process fetches its own. `observe` is called
    for every failed call, `limiter` is asked before each. `proxy`: the outbound proxy's URL; without it the API is
    reached directly, whatever the environment says. `timeout`: seconds for a call without a deadline; by default 10,
    and 60 for one that transfers a file. ValueError for an argument that cannot be right. Errors of calls: see the
    module `errors`.
    """

    external_contact = ResourceOf(ExternalContact)
    media = ResourceOf(Media)
    user = ResourceOf(Members)
    department = ResourceOf(Departments)
    message = ResourceOf(Messages)
    auth = ResourceOf(Auth)

    def __init__(
        self,
        corp_id: str,
        secret: str,
        base_url: str = "https://qyapi.weixin.qq.com",
        redis: Any = None,
        observe: Observe | None = None,
        proxy: str | None = None,
        limiter: Limiter | None = None,
        *,
        timeout: float | None = None,
        fetch_token: FetchToken | None = None,
    ) -> None:
        self._corp_id = _credential("corp_id", corp_id)
        self._secret = _credential("secret", secret)
        self._timeout = _seconds(timeout)
        self.proxy = Proxy.parse(proxy) if proxy else None
        self._transport = Transport(base_url, proxy=self.proxy)
        self._observe = observe or (lambda path, code: None)
        self._limiter = limiter
        self._token_source = fetch_token
        self._by: float | None = None
        self._retry_deadline: RetryDeadline | None = None
        self.tokens = TokenStore(corp_id, secret, self._fetch_token, redis)

    def __repr__(self) -> str:
        return f"WeComClient({self._corp_id!r}, …)"  # without the secret

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    @property
    def clock_ahead(self) -> float | None:
        """Seconds that this host's clock is ahead of WeCom's, by its last answer; None if there was none."""
        return self._transport.clock_ahead

    def with_deadline(self, by: float, retry_deadline: RetryDeadline | None = None) -> Self:
        """The same client with `by`, a time of `time.monotonic`, as the deadline of each of its calls.

        A call whose token WeCom refuses is repeated once with a new token, until `by` too, or until the time that
        `retry_deadline` returns.
        """
        return self._copy(_by=by, _retry_deadline=retry_deadline)

    def with_limiter(self, limiter: Limiter | None) -> Self:
        """The same client, which asks this limiter."""
        return self._copy(_limiter=limiter)

    def unobserved(self) -> Self:
        """The same client, which reports its failures to nobody."""
        return self._copy(_observe=lambda path, code: None)

    def apart(self, limiter: Limiter | None = None) -> Self:
        """The same client with a token of its own, and this limiter: whatever happens to Redis."""
        tokens = TokenStore(self._corp_id, self._secret, self._fetch_token)
        return self._copy(tokens=tokens, _limiter=limiter)

    def _copy(self, **different: Any) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **different)
        return copy

    __copy__ = _copy

    def __getstate__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} has a secret, connections and locks: make one in each process instead"
        )

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Answer:
        """GET a path below /cgi-bin/; parameters that are None are not sent. → WeCom's JSON."""
        answer: Answer = self._call("GET", path, _without_none(query), read=_json)
        return answer

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """POST JSON to a path below /cgi-bin/; keys whose value is None are not sent. → WeCom's JSON."""
        answer: Answer = self._call("POST", path, {}, read=_json, body=_encode(path, body), headers=JSON)
        return answer

    def upload(self, path: str, upload: FileUpload) -> Answer:
        """POST a file to a path below /cgi-bin/. → WeCom's JSON."""
        body, content_type = multipart("media", upload.filename, upload.content)
        headers = {"Content-Type": content_type}
        query = _without_none(upload.query)
        answer: Answer = self._call("POST", path, query, _json, body, headers, timeout=FILE_TIMEOUT)
        return answer

    def download(self, path: str, download: Download) -> DownloadedFile:
        """GET a file, or a part of it, from a path below /cgi-bin/."""
        query, first, last = _without_none(download.query), download.first, download.last
        part = None
        if first is not None or last is not None:
            part = {"Range": f"bytes={first or 0}-{'' if last is None else last}"}
        file: DownloadedFile = self._call("GET", path, query, _file, headers=part, timeout=FILE_TIMEOUT)
        return file

    def close_old(self) -> None:
        """Close the connections that have not been used for a while. To be called now and then after many at once."""
        self._transport.close_old()

    def close(self) -> None:
        """Close the connections: its own and its copies', which are the same; not `redis`. Calls that run are finished.

        A call afterwards is a RuntimeError. To close again does nothing.
        """
        self._transport.close()

    @property
    def _client(self) -> Caller:
        return self

    @without_frames
    def _call(
        self,
        verb: str,
        path: str,
        query: Mapping[str, object],
        read: Read,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Any:
        self._transport.require_open()
        by = time.monotonic() + (self._timeout or timeout) if self._by is None else self._by
        token = self.tokens.get(by)
        try:
            answer = self._paced(verb, path, {"access_token": token, **query}, read, by, body, headers)
        except WeComAPIError as error:
            if not is_token_refused(error):
                raise
            by = self._retry_deadline() if self._retry_deadline is not None else by
            token = self.tokens.renew(token, by)  # once: a second refusal is raised
            try:
                answer = self._paced(verb, path, {"access_token": token, **query}, read, by, body, headers)
            except WeComAPIError as again:
                if is_token_refused(again):
                    self.tokens.refused_again(token, again)
                raise
        self.tokens.accepted(token)
        return answer

    def _paced(self, verb: str, path: str, query: Mapping[str, object], read: Read, by: float, *content: Any) -> Any:
        limiter = self._limiter
        if limiter is None:
            return self._send(verb, path, query, read, by, *content)
        limiter.begin(path, by)
        try:
            answer = self._send(verb, path, query, read, by, *content)
        except WeComError as error:
            limiter.ended(path, error)
            raise
        limiter.ended(path, None)
        return answer

    def _fetch_token(self, by: float) -> Answer:
        """gettoken's answer, or one of `fetch_token`'s. Raises WeComError, and whatever else `fetch_token` raises."""
        try:
            answer = dict((self._token_source or self._gettoken)(by))
            errcode, errmsg = int(answer.get("errcode", 0)), str(answer.get("errmsg", ""))
        except json.JSONDecodeError:  # of a `fetch_token`, as the following
            raise NoAnswer("gettoken", Failure.NOT_JSON) from None
        except (OSError, HTTPError) as error:
            raise NotSent("gettoken", failure_of(error)) from None
        if errcode != 0:
            raise from_answer(errcode, errmsg, "gettoken")
        life = answer.get("expires_in")
        if not answer.get("access_token") or not isinstance(life, int | float) or not math.isfinite(life):
            raise NoAnswer("gettoken", Failure.NO_TOKEN)
        return answer

    def _gettoken(self, by: float) -> Answer:
        query = {"corpid": self._corp_id, "corpsecret": self._secret}
        answer: Answer = self._send("GET", "gettoken", query, _json, by, None, None)
        return answer

    def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, object],
        read: Read,
        by: float,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Any:
        try:
            return read(path, self._transport.request(verb, path, by=by, query=query, body=body, headers=headers))
        except Exception as error:
            self._observe(path, getattr(error, "errcode", type(error).__name__))
            raise


def _credential(name: str, value: object) -> str:
    """A corp id or a secret. ValueError, which does not quote it, for what cannot be one."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    if re.search(r"[\s\x00-\x20\x7f]", value):
        raise ValueError(f"{name} must have neither blanks nor control characters")
    return value


def _seconds(timeout: object) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a number of seconds above 0, or None, not {timeout!r}")
    return float(timeout)


def _without_none(fields: Mapping[str, object] | None) -> dict[str, object]:
    return {name: value for name, value in (fields or {}).items() if value is not None}


def _encode(path: str, body: Mapping[str, object]) -> bytes:
    """JSON in UTF-8, since WeCom refuses \\uxxxx (40033). Half an emoji, left of a cut name, becomes `?`."""
    try:
        return json.dumps(_without_none(body), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(path, "the body", type(error).__name__, "must be JSON") from None


def _json(path: str, response: Response) -> Answer:
    return _result(path, response.status, response.body)


def _result(path: str, status: int, body: bytes) -> Answer:
    """WeCom's JSON."""
    result, errcode, errmsg = read_answer(path, status, body)
    if errcode != 0:
        raise from_answer(errcode, errmsg, path)
    if errmsg not in ("ok", ""):
        log.warning("%s: WeCom accepted the call with a remark: %s", path, errmsg[:200])
    return result


def _file(path: str, response: Response) -> DownloadedFile:
    """A file. Its Content-Disposition tells it from the JSON of an error: a file may itself be JSON."""
    disposition = response.headers.get("content-disposition")
    if response.status not in (200, 206) or disposition is None:
        _json(path, response)
        raise NoAnswer(path, Failure.NOT_A_FILE)
    whole = re.search(r"/(\d+)$", response.headers.get("content-range", ""))
    return DownloadedFile(
        filename=filename(disposition),
        content_type=response.headers.get("content-type", "application/octet-stream"),
        size=int(whole[1]) if whole else len(response.body),
        content=response.body,
    )

"""The WeCom client: token in, JSON out, one deadline a call. Knows WeCom, and nothing of this product.

client.external_contact.send_welcome_msg({...})     a call by WeCom's own name: externalcontact/send_welcome_msg
client.external_contact.iter_contact_list()         each entry of a paged call, from the first page to the last
client.until(by).external_contact.get(...)          the same calls, with an absolute deadline
client.get("agent/get", {"agentid": 1000002})       any other path
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, overload
from urllib.parse import unquote

from tasks.wecom.calls import Answer, Download, DownloadedFile, FileUpload
from tasks.wecom.errors import Failure, InvalidRequest, NoAnswer, TokenRefused, from_answer
from tasks.wecom.external_contact import ExternalContact
from tasks.wecom.media import Media
from tasks.wecom.members import Departments, Members
from tasks.wecom.messages import Messages
from tasks.wecom.network import Network
from tasks.wecom.token import TokenStore
from tasks.wecom.transport import Answer as Response
from tasks.wecom.transport import Transport, multipart

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds for a call that is given no deadline
FILE_TIMEOUT = 60.0  # the same, for one that carries a file

Observe = Callable[[str, int | str], None]  # (path, errcode or error's name) of every call that failed
Read = Callable[[str, Response], Any]  # (path, response) → what the caller gets; raises WeComError
Anew = Callable[[], float]  # () → the deadline of a call that is made again

C = TypeVar("C")


class ChapterOf(Generic[C]):
    """Makes a chapter when it is asked for: it holds nothing but the client, so it costs no more than a dict."""

    def __init__(self, kind: "Callable[[WeComClient], C]") -> None:
        self.kind = kind

    @overload
    def __get__(self, client: None, owner: type) -> "ChapterOf[C]": ...
    @overload
    def __get__(self, client: "WeComClient", owner: type) -> C: ...
    def __get__(self, client: "WeComClient | None", owner: type) -> "ChapterOf[C] | C":
        return self if client is None else self.kind(client)


class WeComClient(Network):
    """Calls of one self-built app of one corp. Thread-safe.

    `redis` shares the access token with other processes; without it each process has its own. `observe` is told of
    every failed call. Errors: see `tasks.wecom.errors`.
    """

    external_contact = ChapterOf(ExternalContact)
    media = ChapterOf(Media)
    user = ChapterOf(Members)
    department = ChapterOf(Departments)
    message = ChapterOf(Messages)

    def __init__(
        self,
        corp_id: str,
        secret: str,
        base_url: str = "https://qyapi.weixin.qq.com",
        redis: Any = None,
        observe: Observe | None = None,
    ) -> None:
        self._corp_id = corp_id
        self._secret = secret
        self._transport = Transport(base_url)
        self._observe = observe or (lambda path, code: None)
        self._by: float | None = None
        self._anew: Anew | None = None
        self.tokens = TokenStore(corp_id, secret, self._fetch_token, redis)

    def with_deadline(self, by: float, anew: Anew | None = None) -> "WeComClient":
        """This client with `by`, a time of `time.monotonic`, as the deadline of each of its calls.

        A call whose token WeCom refuses is made again with a new one: by then too, or by what `anew` gives.
        """
        return self._but(_by=by, _anew=anew)

    def unobserved(self) -> "WeComClient":
        """This client, telling nobody of its failures."""
        return self._but(_observe=lambda path, code: None)

    def _but(self, **different: Any) -> "WeComClient":
        twin = object.__new__(WeComClient)
        twin.__dict__.update(self.__dict__, **different)
        return twin

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Answer:
        """GET a path below /cgi-bin/; a parameter that is None is not sent. → WeCom's JSON."""
        answer: Answer = self._call("GET", path, _given(query), read=_json)
        return answer

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """POST JSON to a path below /cgi-bin/; a key whose value is None is not sent. → WeCom's JSON."""
        answer: Answer = self._call("POST", path, {}, read=_json, body=_encoded(path, body), headers=JSON)
        return answer

    def upload(self, path: str, upload: FileUpload) -> Answer:
        """POST a file to a path below /cgi-bin/. → WeCom's JSON."""
        body, content_type = multipart("media", upload.filename, upload.content)
        headers = {"Content-Type": content_type}
        answer: Answer = self._call("POST", path, _given(upload.query), _json, body, headers, timeout=FILE_TIMEOUT)
        return answer

    def download(self, path: str, ask: Download) -> DownloadedFile:
        """GET a file, or a part of it, from a path below /cgi-bin/."""
        part = None
        if ask.first is not None or ask.last is not None:
            part = {"Range": f"bytes={ask.first or 0}-{'' if ask.last is None else ask.last}"}
        file: DownloadedFile = self._call("GET", path, _given(ask.query), _file, headers=part, timeout=FILE_TIMEOUT)
        return file

    def close(self) -> None:
        self._transport.close()

    @property
    def _client(self) -> "WeComClient":
        return self

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
        by = time.monotonic() + timeout if self._by is None else self._by
        token = self.tokens.get(by)
        try:
            return self._send(verb, path, {"access_token": token, **query}, read, by, body, headers)
        except TokenRefused:
            by = self._anew() if self._anew is not None else by
            token = self.tokens.renew(token, by)  # once: a second refusal is the caller's to see
            return self._send(verb, path, {"access_token": token, **query}, read, by, body, headers)

    def _fetch_token(self, by: float) -> Answer:
        query = {"corpid": self._corp_id, "corpsecret": self._secret}
        answer: Answer = self._send("GET", "gettoken", query, _json, by, None, None)
        if not answer.get("access_token") or not isinstance(answer.get("expires_in"), int | float):
            raise NoAnswer("gettoken", Failure.NO_TOKEN)
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


JSON = {"Content-Type": "application/json"}


def _given(fields: Mapping[str, object] | None) -> dict[str, object]:
    return {name: value for name, value in (fields or {}).items() if value is not None}


def _encoded(path: str, body: Mapping[str, object]) -> bytes:
    """JSON in UTF-8, for WeCom takes no \\uxxxx (40033). Half an emoji, from a name that was cut, becomes `?`."""
    try:
        return json.dumps(_given(body), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(path, "the body", type(error).__name__, "must be JSON") from None


def _json(path: str, response: Response) -> Answer:
    return _result(path, response.status, response.body)


def _result(path: str, status: int, body: bytes) -> Answer:
    """WeCom's JSON. Business errors come as HTTP 200; another status is a gateway's: effect unknown."""
    if status != 200:
        raise NoAnswer(path, Failure.HTTP_STATUS, str(status))
    try:
        result: Answer = json.loads(body)
        errcode = int(result.get("errcode", 0))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        raise NoAnswer(path, Failure.NOT_JSON) from None
    errmsg = str(result.get("errmsg", ""))
    if errcode != 0:
        raise from_answer(errcode, errmsg, path)
    if errmsg not in ("ok", ""):
        log.warning("%s: WeCom took the call with a remark: %s", path, errmsg[:200])
    return result


def _file(path: str, response: Response) -> DownloadedFile:
    """A file, which Content-Disposition tells from the JSON of an error (a file may itself be JSON)."""
    named = response.headers.get("Content-Disposition")
    if response.status not in (200, 206) or named is None:
        _json(path, response)
        raise NoAnswer(path, Failure.NOT_A_FILE)
    whole = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    return DownloadedFile(
        filename=_filename(named),
        content_type=response.headers.get("Content-Type", "application/octet-stream"),
        size=int(whole[1]) if whole else len(response.body),
        content=response.body,
    )


def _filename(disposition: str) -> str:
    """From filename*=UTF-8''…, else from filename="…", which WeCom sends in raw UTF-8."""
    if extended := re.search(r"filename\*\s*=\s*utf-8''([^;]+)", disposition, re.IGNORECASE):
        return unquote(extended[1].strip())
    plain = re.search(r'filename\s*=\s*"?([^";]*)', disposition)
    return plain[1].encode("latin-1", "replace").decode("utf-8", "replace") if plain else ""

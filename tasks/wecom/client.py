"""The WeCom client: token in, JSON out, one deadline a call. Knows WeCom, and nothing of this product.

client.external_contact.send_welcome_msg({...})     a call by WeCom's own name
client.until(by).external_contact.get(...)           the same, with an absolute deadline for all of it
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from tasks.wecom.errors import NoAnswer, TokenRefused, from_answer
from tasks.wecom.external_contact import ExternalContact
from tasks.wecom.members import Members
from tasks.wecom.token import TokenStore
from tasks.wecom.transport import Transport

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds for a call that is given no deadline

Observe = Callable[[str, int | str], None]  # (path, errcode or error's name) of every call that failed


class WeComClient:
    """Calls of one self-built app of one corp. Thread-safe.

    `redis` shares the access token with other processes; without it each process has its own. `observe` is told of
    every failed call. Errors: see `tasks.wecom.errors`.
    """

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
        self.tokens = TokenStore(corp_id, secret, self._fetch_token, redis)
        self._name_chapters()

    def _name_chapters(self) -> None:
        self.external_contact = ExternalContact(self)
        self.user = Members(self)

    def until(self, by: float) -> "WeComClient":
        """This client with `by`, a time of `time.monotonic`, as the deadline of each of its calls."""
        bound = object.__new__(WeComClient)
        bound.__dict__.update(self.__dict__, _by=by)
        bound._name_chapters()
        return bound

    def get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """GET a path below /cgi-bin/; a parameter that is None is not sent. → WeCom's JSON."""
        return self._call("GET", path, query={k: v for k, v in (query or {}).items() if v is not None}, body=None)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """POST JSON to a path below /cgi-bin/; a key whose value is None is not sent. → WeCom's JSON."""
        given = {key: value for key, value in body.items() if value is not None}
        return self._call("POST", path, query={}, body=json.dumps(given, ensure_ascii=False).encode())

    def close(self) -> None:
        self._transport.close()

    def _call(self, method: str, path: str, query: Mapping[str, object], body: bytes | None) -> dict[str, Any]:
        by = self._deadline()
        token = self.tokens.get(by)
        try:
            return self._send(method, path, {"access_token": token, **query}, body, by)
        except TokenRefused:
            token = self.tokens.renew(token, by)  # once: a second refusal is the caller's to see
            return self._send(method, path, {"access_token": token, **query}, body, by)

    def _fetch_token(self, by: float) -> dict[str, Any]:
        return self._send("GET", "gettoken", {"corpid": self._corp_id, "corpsecret": self._secret}, None, by)

    def _deadline(self) -> float:
        return time.monotonic() + TIMEOUT if self._by is None else self._by

    def _send(
        self, method: str, path: str, query: Mapping[str, object], body: bytes | None, by: float
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            answer = self._transport.request(method, path, by=by, query=query, body=body, headers=headers)
            return _result(path, answer.status, answer.body)
        except Exception as error:
            self._observe(path, getattr(error, "errcode", type(error).__name__))
            raise


def _result(path: str, status: int, body: bytes) -> dict[str, Any]:
    """WeCom's JSON. Business errors come as HTTP 200; another status is a gateway's: effect unknown."""
    if status != 200:
        raise NoAnswer(path, f"HTTP {status}")
    try:
        result: dict[str, Any] = json.loads(body)
        errcode = int(result.get("errcode", 0))
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise NoAnswer(path, "the answer is not WeCom's JSON") from None
    errmsg = str(result.get("errmsg", ""))
    if errcode != 0:
        raise from_answer(errcode, errmsg, path)
    if errmsg not in ("ok", ""):
        log.warning("%s: WeCom took the call with a remark: %s", path, errmsg[:200])
    return result

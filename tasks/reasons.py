"""Why something went as it did: a kind with parameters, stored as JSON and compared. Pure.

    Reason.of(Kind.WINDOW_OVER, where="queue", seconds=20.4)      {"kind": "window_over", "where": "queue", …}
    Reason.from_error(error)                                      what a call of WeCom's API failed with

Words are made where people read them (`webhook.reason_texts`): no decision hangs on a wording.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tasks.wecom.errors import ADDRESS_NOT_ALLOWED, InvalidRequest, NotSent, Unanswered, WeComAPIError


class Kind(StrEnum):
    """The kinds, with their parameters. The values are stored."""

    # a call of WeCom's API
    WECOM_ERROR = "wecom_error"  # errcode, errmsg; address: this machine's, where it is what WeCom refuses
    INVALID_REQUEST = "invalid_request"  # field, value, limit
    NOT_SENT = "not_sent"  # failure (of tasks.wecom.errors.Failure), detail
    NO_ANSWER = "no_answer"  # failure, detail
    UNEXPECTED = "unexpected"  # error: the name of an exception's class

    # a greeting
    WORKERS_DIED = "workers_died"  # redeliveries
    ANNOUNCED_LATE = "announced_late"  # seconds
    NO_WELCOME_CODE = "no_welcome_code"
    SAME_CODE = "same_code"  # event: the id of the other event that brought the same welcome code
    WINDOW_OVER = "window_over"  # where: "queue" or "tries"; seconds; paused_by
    CALLS_LIMITED = "calls_limited"  # errcode: of WeCom's refusal, 0 if its limits were kept by waiting; seconds
    OVERLOADED = "overloaded"  # seconds: more customers were added than could be greeted
    TIME_USED_UP = "time_used_up"  # paused_by
    WORKER_DIED_IN_TRY = "worker_died_in_try"
    ANSWER_LOST = "answer_lost"
    CODE_USED_AFTER_LOST_ANSWER = "code_used_after_lost_answer"
    CODE_USED_AFTER_ERROR = "code_used_after_error"
    CODE_USED_ELSEWHERE = "code_used_elsewhere"
    OTHER_APP_SENDING = "other_app_sending"
    OTHER_APP_SENDING_AFTER_LOST_ANSWER = "other_app_sending_after_lost_answer"
    TRIES_FAILED = "tries_failed"  # tries, cause, in_doubt
    APP_NOT_CONFIGURED = "app_not_configured"  # app
    NO_BOOK = "no_book"
    NO_RULE = "no_rule"
    REHEARSED = "rehearsed"
    UNFINISHED_IN_BACKUP = "unfinished_in_backup"
    NOT_TRANSFERRED = "not_transferred"  # why: WeCom's FailReason, "" if it gave none

    # a follow-up
    BOOK_GONE = "book_gone"
    BOOK_UNREADABLE = "book_unreadable"  # problems
    FACTS_UNKNOWN = "facts_unknown"  # asked_by: "rule" or "remark"; facts: names
    AWAITS_FULL_ADD = "awaits_full_add"  # cause
    GIVEN_UP = "given_up"  # tries, cause
    INTERRUPTED_TOO_OFTEN = "interrupted_too_often"

    # a reminder to a member
    MEMBER_NOT_VISIBLE = "member_not_visible"
    MEMBER_NOT_LICENSED = "member_not_licensed"
    NO_TIME_LEFT = "no_time_left"

    # media and group welcomes
    REFUSED_IN_MESSAGE = "refused_in_message"
    ON_ITS_WAY = "on_its_way"
    IMAGE_QUOTA_USED = "image_quota_used"  # per_day, per_month
    FILE_NOT_KEPT = "file_not_kept"
    ANSWER_WITHOUT_MEDIA = "answer_without_media"
    MEDIA_NOT_READY = "media_not_ready"
    GONE_FROM_WECOM = "gone_from_wecom"  # cause
    CHANGED_AT_WECOM = "changed_at_wecom"  # fields
    CHANGE_UNKNOWN = "change_unknown"  # cause
    MAY_EXIST_TWICE = "may_exist_twice"  # cause

    # a callback that was refused
    QUERY_INCOMPLETE = "query_incomplete"  # names
    NO_CIPHERTEXT = "no_ciphertext"
    QUERY_MANGLED = "query_mangled"
    NOT_AN_ECHO = "not_an_echo"
    WRONG_PATH = "wrong_path"  # path, right
    WRONG_AES_KEY = "wrong_aes_key"
    WRONG_CORP = "wrong_corp"  # corp: the id that WeCom wrote to
    WRONG_TOKEN_AND_KEY = "wrong_token_and_key"
    WRONG_TOKEN = "wrong_token"
    WRONG_TOKEN_AND_CORP = "wrong_token_and_corp"
    NOTHING_WRONG = "nothing_wrong"

    TEXT = "text"  # text: a sentence that an earlier release stored, or a kind that only a later one knows


@dataclass(frozen=True, slots=True)
class Reason:
    """A kind and its parameters, which are JSON values. `cause`: the reason inside it, where it has one."""

    kind: Kind
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, kind: Kind, **params: Any) -> "Reason":
        return cls(
            kind, {name: value.to_data() if isinstance(value, Reason) else value for name, value in params.items()}
        )

    @classmethod
    def from_error(cls, error: Exception) -> "Reason":
        """What went wrong with a call of WeCom's API, or elsewhere."""
        if isinstance(error, WeComAPIError):
            refused = error.errcode == ADDRESS_NOT_ALLOWED  # other errors name the address too, where it says nothing
            address = {"address": error.address} if refused and error.address else {}
            return cls.of(Kind.WECOM_ERROR, errcode=error.errcode, errmsg=error.errmsg, **address)
        if isinstance(error, InvalidRequest):
            return cls.of(Kind.INVALID_REQUEST, field=error.field, value=error.value, limit=error.limit)
        if isinstance(error, Unanswered):
            kind = Kind.NOT_SENT if isinstance(error, NotSent) else Kind.NO_ANSWER
            return cls.of(kind, failure=str(error.failure), **({"detail": error.detail} if error.detail else {}))
        return cls.of(Kind.UNEXPECTED, error=type(error).__name__)

    @classmethod
    def from_data(cls, data: Any) -> "Reason | None":
        """What `to_data` made, or a sentence of an earlier release; None for nothing."""
        if not data:
            return None
        if isinstance(data, Mapping):
            try:
                return cls(Kind(data["kind"]), {name: value for name, value in data.items() if name != "kind"})
            except (KeyError, ValueError):
                return cls.of(Kind.TEXT, text=json.dumps(dict(data), ensure_ascii=False))
        return cls.of(Kind.TEXT, text=str(data))

    @classmethod
    def from_json(cls, text: str | None) -> "Reason | None":
        """What `to_json` wrote, or a sentence of an earlier release; None for nothing."""
        if not text:
            return None
        try:
            data = json.loads(text)
        except ValueError:
            data = text
        return cls.from_data(data if isinstance(data, dict) else text)

    @property
    def cause(self) -> "Reason | None":
        return self.from_data(self.params.get("cause"))

    @property
    def errcode(self) -> int | None:
        """WeCom's, where this or its cause is an answer of WeCom's."""
        if self.kind is Kind.WECOM_ERROR:
            return int(self.params["errcode"])
        return self.cause.errcode if self.cause else None

    def to_data(self) -> dict[str, Any]:
        return {"kind": str(self.kind), **self.params}

    def to_json(self) -> str:
        return json.dumps(self.to_data(), ensure_ascii=False, separators=(",", ":"))

    def __str__(self) -> str:
        """For logs: `tries_failed tries=3 cause=(no_answer failure=answer_timeout)`."""
        shown = {name: value for name, value in self.params.items() if name != "cause"}
        words = [str(self.kind), *(f"{name}={_logged(value)}" for name, value in shown.items())]
        return " ".join([*words, *([f"cause=({self.cause})"] if self.cause else [])])


def _logged(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)

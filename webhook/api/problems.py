"""Problems: every answer of the API that is no success, in the one form of RFC 9457 (application/problem+json).

`code` is for programs, `detail` for people. `errors` says what is wrong with each parameter, or where in a book.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from flask import Response, current_app
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound, RequestEntityTooLarge

from tasks.messages import translate
from tasks.storage import troubles
from tasks.templates.problems import BookError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TITLES: Mapping[int, str] = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    500: "Error of the server",
    503: "Not available",
}
TRY_AGAIN = 1  # seconds: Retry-After of a 503


class Problem(Exception):
    """What a view raises instead of an answer. `more`: further members of the answer."""

    def __init__(self, status: int, code: str, detail: object, **more: Any) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.more = status, code, detail, more

    @classmethod
    def of_book(cls, error: BookError, limit: int = 100) -> "Problem":
        """What is wrong with a book, as `templates validate` says it, and where."""
        errors = [
            {"line": one.line, "column": one.column, "message": translate(one.what), "path": list(one.path)}
            for one in error.problems
        ]
        return cls(422, "invalid_book", "The book is not valid", errors=errors[:limit], count=len(errors))

    @classmethod
    def of_query(cls, name: str, message: str) -> "Problem":
        """A parameter that does not fit the others, or the installation."""
        error = {"in": "query", "name": name, "message": message}
        return cls(422, "invalid_parameters", f"{name}: {message}", errors=[error])


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that tells of a problem."""
    body = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "code": problem.code,
        "detail": translate(problem.detail),
        **problem.more,
    }
    return Response(f"{current_app.json.dumps(body)}\n", problem.status, headers, mimetype=MEDIA_TYPE)


def of_redis(error: redis.RedisError) -> Response:
    """Redis cannot be used, so nothing was read or stored."""
    trouble = troubles.of(error)
    log.error("an answer of the API could not be made: Redis %s", troubles.line(error))
    said = f"Redis {trouble.fault}: {trouble.cure}"
    return answer(Problem(503, "redis_away", said), {"Retry-After": str(TRY_AGAIN)})


def of_http(error: HTTPException) -> Response:
    """Any other error: of the routing, of the parsing of a request, of our own."""
    if isinstance(error, InternalServerError):
        number = secrets.token_hex(4)
        log.error("an answer of the API failed (%s)", number, exc_info=error.original_exception or error)
        return answer(Problem(500, "error", f"An error of ours. Its number in the log: {number}"))
    if isinstance(error, NotFound):
        return answer(Problem(404, "not_found", "There is nothing at this address, or it is kept no more"))
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return answer(Problem(405, "method_not_allowed", f"This address takes {allowed}"), {"Allow": allowed})
    if isinstance(error, RequestEntityTooLarge):
        return answer(Problem(413, "too_large", "The body is larger than this address takes"))
    status = error.code or 400
    messages = getattr(error, "data", {}).get("messages")
    if status == 422 and isinstance(messages, Mapping):
        errors = list(_errors(messages))
        return answer(Problem(422, "invalid_parameters", "; ".join(map(_line, errors)), errors=errors))
    return answer(Problem(status, "unreadable", "The request cannot be read"))


def _errors(messages: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """webargs' errors: place → parameter → texts, or texts where the whole is wrong."""
    return [
        {"in": place, "name": name, "message": text}
        for place, found in messages.items()
        for name, texts in (found.items() if isinstance(found, Mapping) else [("", found)])
        for text in _texts(texts)
    ]


def _texts(texts: Any) -> Sequence[str]:
    if isinstance(texts, Mapping):
        return [text for each in texts.values() for text in _texts(each)]
    return [str(text) for text in texts] if isinstance(texts, list) else [str(texts)]


def _line(error: Mapping[str, str]) -> str:
    return f"{error['name']}: {error['message']}" if error["name"] not in ("", "_schema") else error["message"]

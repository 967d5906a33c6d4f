"""How a method becomes a call: a function that checks its arguments and names the fields, under a verb and a path.

    @POST("externalcontact/contact_list")
    def contact_list(self, cursor: str | None = None, limit: int | None = None) -> Fields:
        '''What it does, its limits, its answer. Doc 99434.'''
        within("limit", limit, 1, 1000)
        return {"cursor": cursor, "limit": limit}

    iter_contact_list = every(contact_list, "info_list")

A field that is None is not sent. A method has the name of its path below the chapter, with `_` for `/`.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from tasks.wecom.errors import Failure, InvalidRequest, NoAnswer
from tasks.wecom.limits import LimitExceeded

if TYPE_CHECKING:
    from tasks.wecom.client import WeComClient

Fields = dict[str, object]
Answer = dict[str, Any]  # WeCom's JSON; its errcode is 0


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file on its way to WeCom, with the query's fields."""

    filename: str
    content: bytes = field(repr=False)
    query: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Download:
    """A file wanted from WeCom: the query's fields, and the first and last byte of a part of it."""

    query: Fields
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A file that came from WeCom. `size`: of the whole, where `content` is a part of it."""

    filename: str
    content_type: str
    size: int
    content: bytes = field(repr=False)


class Resource:
    """Calls whose paths begin alike. Holds nothing but the client."""

    __slots__ = ("_client",)

    def __init__(self, client: "WeComClient") -> None:
        self._client = client


class _Caller(Protocol):
    """What methods hang on: a chapter, or the client itself."""

    @property
    def _client(self) -> "WeComClient": ...


P = ParamSpec("P")
Given = TypeVar("Given")
Result = TypeVar("Result")


class Endpoint(Generic[Given, Result]):
    """A decorator: `@VERB(path)` turns a method that gives a request's content into one that sends it."""

    def __init__(self, send: "Callable[[WeComClient, str, Given], Result]", result: type) -> None:
        self._send = send
        self._result = result

    def __call__(
        self, path: str
    ) -> Callable[[Callable[Concatenate[Any, P], Given]], Callable[Concatenate[Any, P], Result]]:
        def decorate(method: Callable[Concatenate[Any, P], Given]) -> Callable[Concatenate[Any, P], Result]:
            @functools.wraps(method)
            def call(self_: _Caller, /, *args: P.args, **kwargs: P.kwargs) -> Result:
                try:
                    given = method(self_, *args, **kwargs)
                except LimitExceeded as broken:
                    raise InvalidRequest(path, broken.field, broken.value, broken.limit) from None
                return self._send(self_._client, path, given)

            signature = inspect.signature(method).replace(return_annotation=self._result)
            call.__dict__.update(path=path, __signature__=signature)
            return call

        return decorate


GET: Endpoint[Fields, Answer] = Endpoint(lambda client, path, fields: client.get(path, fields), Answer)
POST: Endpoint[Fields, Answer] = Endpoint(lambda client, path, fields: client.post(path, fields), Answer)
UPLOAD: Endpoint[FileUpload, Answer] = Endpoint(lambda client, path, upload: client.upload(path, upload), Answer)
DOWNLOAD: Endpoint[Download, DownloadedFile] = Endpoint(
    lambda client, path, ask: client.download(path, ask), DownloadedFile
)


def paginate(call: Callable[Concatenate[Any, P], Answer], items: str) -> Callable[Concatenate[Any, P], Iterator[Any]]:
    """The iterator beside a paged call: each entry of the list `items` of its answers, from the first page to the last.

    It takes what the call takes; a `cursor` is where it starts. A cursor that comes twice is an error: NoAnswer.
    """
    ask: Any = call
    signature, path = inspect.signature(call), path_of(call)

    def each(self_: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        given = signature.bind(self_, *args, **kwargs).arguments
        del given["self"]
        seen = set()
        while True:
            page = ask(self_, **given)
            yield from page.get(items) or ()
            cursor = page.get("next_cursor")
            if not cursor:
                return
            if cursor in seen:
                raise NoAnswer(path, Failure.REPEATED_CURSOR)
            seen.add(cursor)
            given["cursor"] = cursor

    each.__name__ = f"iter_{ask.__name__}"
    each.__qualname__ = f"{ask.__qualname__.rpartition('.')[0]}.{each.__name__}"
    each.__doc__ = f"Each of `{items}`, page by page to the end; parameters as of {ask.__name__}."
    each.__dict__.update(__signature__=signature.replace(return_annotation=Iterator[Any]))
    return each


def path_of(call: object) -> str:
    """The path below /cgi-bin/ of a method that is a call; "" for any other."""
    return str(getattr(call, "path", ""))

"""How a method becomes a call: it checks its arguments and returns the request's fields; a decorator sends them.

    @POST("externalcontact/contact_list")
    def contact_list(self, cursor: str | None = None, limit: int | None = None) -> Fields:
        '''What it does, its limits, its answer. Doc 99434.'''
        within("limit", limit, 1, 1000)
        return {"cursor": cursor, "limit": limit}

    iter_contact_list = paginate(contact_list, "info_list")

A field that is None is not sent. A method is named after its path below the resource's, with `_` for `/`. What a
resource knows of the client is the protocol `Caller`.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from .errors import Failure, InvalidRequest, NoAnswer
from .limits import LimitExceeded

Fields = dict[str, object]
Answer = dict[str, Any]  # WeCom's JSON; its errcode is 0


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file to upload, with the fields of the query."""

    filename: str
    content: bytes = field(repr=False)
    query: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Download:
    """A file to download: the fields of the query, and the first and last byte if only a part of it is wanted."""

    query: Fields
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A file that was downloaded. `size`: bytes of the whole file, also where `content` is only a part of it."""

    filename: str
    content_type: str
    size: int
    content: bytes = field(repr=False)


class Caller(Protocol):
    """What sends the requests: the client, as its resources see it. Paths are below /cgi-bin/. Raises WeComError."""

    def get(self, path: str, query: Mapping[str, object] | None = None, /) -> Answer: ...
    def post(self, path: str, body: Mapping[str, object], /) -> Answer: ...
    def upload(self, path: str, upload: FileUpload, /) -> Answer: ...
    def download(self, path: str, download: Download, /) -> DownloadedFile: ...


class Resource:
    """Calls whose paths have the same beginning. Holds nothing but the client."""

    __slots__ = ("_client",)

    def __init__(self, client: Caller) -> None:
        self._client = client


class _HasCaller(Protocol):
    """A resource, or the client itself: what an endpoint's method can be defined on."""

    @property
    def _client(self) -> Caller: ...


P = ParamSpec("P")
Request = TypeVar("Request")
Result = TypeVar("Result")


class Endpoint(Generic[Request, Result]):
    """A decorator: `@VERB(path)` turns a method that returns a request's content into one that sends it."""

    def __init__(self, send: Callable[[Caller, str, Request], Result], result: type) -> None:
        self._send = send
        self._result = result

    def __call__(
        self, path: str
    ) -> Callable[[Callable[Concatenate[Any, P], Request]], Callable[Concatenate[Any, P], Result]]:
        def decorate(method: Callable[Concatenate[Any, P], Request]) -> Callable[Concatenate[Any, P], Result]:
            @functools.wraps(method)
            def call(resource: _HasCaller, /, *args: P.args, **kwargs: P.kwargs) -> Result:
                try:
                    request = method(resource, *args, **kwargs)
                except LimitExceeded as exceeded:
                    raise InvalidRequest(path, exceeded.field, exceeded.value, exceeded.limit) from None
                return self._send(resource._client, path, request)

            signature = inspect.signature(method).replace(return_annotation=self._result)
            call.__dict__.update(path=path, __signature__=signature)
            return call

        return decorate


GET: Endpoint[Fields, Answer] = Endpoint(lambda client, path, fields: client.get(path, fields), Answer)
POST: Endpoint[Fields, Answer] = Endpoint(lambda client, path, fields: client.post(path, fields), Answer)
UPLOAD: Endpoint[FileUpload, Answer] = Endpoint(lambda client, path, upload: client.upload(path, upload), Answer)
DOWNLOAD: Endpoint[Download, DownloadedFile] = Endpoint(
    lambda client, path, download: client.download(path, download), DownloadedFile
)


def paginate(
    call: Callable[Concatenate[Any, P], Answer], items: str, by: str = "cursor"
) -> Callable[Concatenate[Any, P], Iterator[Any]]:
    """The iterator of a paged call: every entry of the list `items` in its answers, from the first page to the last.

    It has the call's parameters; the one named `by` is where it starts, and `next_{by}` of an answer where the next
    page does. An `offset` has come to the end with an empty page, or at the answer's `total`. Raises NoAnswer if WeCom
    repeats a page's start.
    """
    one_page: Any = call
    signature, path = inspect.signature(call), path_of(call)

    def each(resource: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        arguments = signature.bind(resource, *args, **kwargs).arguments
        del arguments["self"]
        seen = set()
        while True:
            page = one_page(resource, **arguments)
            found, start = page.get(items) or (), page.get(f"next_{by}")
            yield from found
            if not start or (by == "offset" and (not found or start == page.get("total"))):
                return
            if start in seen:
                raise NoAnswer(path, Failure.REPEATED_CURSOR)
            seen.add(start)
            arguments[by] = start

    each.__name__ = f"iter_{one_page.__name__}"
    each.__qualname__ = f"{one_page.__qualname__.rpartition('.')[0]}.{each.__name__}"
    each.__doc__ = f"Every entry of `{items}`, page by page; parameters as for {one_page.__name__}."
    each.__dict__.update(__signature__=signature.replace(return_annotation=Iterator[Any]))
    return each


def path_of(call: object) -> str:
    """The path below /cgi-bin/ of a call; "" for a method that is none."""
    return str(getattr(call, "path", ""))

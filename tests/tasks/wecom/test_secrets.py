"""No secret and no token is shown or recorded: by objects, log lines, errors, and what error trackers keep of them."""

import contextlib
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks.wecom import WeComClient, WeComError
from tasks.wecom.calls import DownloadedFile, FileUpload
from tests.support.servers import GIVES_TOKEN, OK, Server, answering, nobody, silent, then, whole

SECRET, TOKEN, CODE, PASSWORD = "SECRET-1234", "TOKEN-1234", "CODE-1234", "PASSWORD-1234"
HIDDEN = (SECRET, TOKEN, CODE, PASSWORD, "corpsecret", "access_token=", "UEFTU1dPUkQtMTIzNA")
MESSAGE = {"welcome_code": "-".join(["CODE", "1234"]), "text": {"content": "x"}}


def calls_get(*answers: bytes) -> Any:
    """gettoken works; then these answers in turn, the last one repeatedly."""
    return answering(lambda number: GIVES_TOKEN if number == 1 else answers[min(number - 2, len(answers) - 1)])


def token_then(act: Callable[[Any], None]) -> Any:
    def serve(server: Server, connection: Any) -> None:
        while b"/gettoken?" in server.request(connection):
            connection.sendall(GIVES_TOKEN)
        act(connection)

    return serve


SERVERS = {
    "gettoken hangs": silent,
    "gettoken is cut": then(lambda connection: connection.close()),
    "gettoken refuses": answering(whole(b'{"errcode": 40001, "errmsg": "invalid credential"}')),
    "gettoken is busy": answering(whole(b'{"errcode": -1, "errmsg": "system busy"}')),
    "gettoken gives no life": answering(whole(b'{"errcode": 0, "access_token": "TOKEN-1234"}')),
    "gettoken gives no JSON": answering(whole(b'{"access_token": "TOKEN-1234"')),
    "gettoken has HTTP 404": answering(whole(b"", "404 Not Found")),
    "gettoken is no HTTP": answering(b"SSH-2.0-OpenSSH_9.2 TOKEN-1234\r\n\r\n"),
    "the call hangs": token_then(lambda connection: silent(None, connection)),  # type: ignore[arg-type]
    "the call is cut": token_then(lambda connection: connection.close()),
    "the token is refused": calls_get(whole(b'{"errcode": 42001, "errmsg": "access_token expired"}')),
    "the content is refused": calls_get(whole(b'{"errcode": 44004, "errmsg": "empty content"}')),
    "a gateway": calls_get(whole(b"<html>", "502 Bad Gateway")),
    "another gateway": calls_get(whole(b"<html>", "403 Forbidden", "Location: http://x/?access_token=TOKEN-1234")),
    "no JSON": calls_get(whole(b"<html>")),
    "half an answer": calls_get(whole(OK)[:-3]),
    "no HTTP": calls_get(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "too much": calls_get(whole(OK).replace(b"Content-Length: 30", b"Content-Length: 99999999999")),
}


@contextlib.contextmanager
def failing(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(URL, further arguments of the client) of a server that fails in this way."""
    if name in SERVERS:
        with Server(SERVERS[name]) as server:
            yield server.url, {}
    elif name == "nobody":
        with nobody() as url:
            yield url, {}
    elif name == "no address":
        yield "http://no-such-host.invalid", {}
    elif name == "no TLS":
        with Server(then(lambda connection: connection.close())) as server:
            yield server.url.replace("http:", "https:"), {}
    elif name == "the proxy refuses":
        with Server(answering(whole(b"", "407 Proxy Authentication Required"))) as server:
            yield "https://127.0.0.1:1", {"proxy": f"http://user:{PASSWORD}@127.0.0.1:{server.port}"}
    else:
        raise KeyError(name)


FAILURES = [*SERVERS, "nobody", "no address", "no TLS", "the proxy refuses"]


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and whatever can be reached from it."""
    todo: list[BaseException | None] = [error]
    while todo:
        if one := todo.pop():
            yield one
            todo += [one.__cause__, one.__context__]


@pytest.mark.parametrize("name", FAILURES)
def test_no_failure_shows_a_secret_to_whoever_records_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with failing(name) as (url, different), WeComClient("ww0", SECRET, url, timeout=0.4, **different) as client:
        try:
            client.external_contact.send_welcome_msg(MESSAGE)
        except WeComError as error:
            failed = error
        told = "".join(traceback.format_exception(failed))
        told += "".join(f"{one} {one!r} {one.args} {vars(one)}" for one in chain(failed))
        told += str(pickle.dumps(failed))
        frames = traceback.TracebackException.from_exception(failed, capture_locals=True)
        ours = [frame for frame in frames.stack if "/wecom/" in frame.filename and "/tests/" not in frame.filename]
        told += "".join(str(frame.locals) for frame in ours).replace(str(MESSAGE), "").replace(CODE, "")
        told += "".join(repr(value) for value in held(client))
    assert len(list(chain(failed))) == 1
    assert len(ours) >= 3
    assert type(failed).__name__ in told
    for hidden in HIDDEN:
        assert hidden not in told + caplog.text


def test_what_the_caller_handles_meanwhile_is_still_told() -> None:
    with nobody() as url, WeComClient("ww0", SECRET, url) as client:
        try:
            client.user.get("zhangsan")
        except WeComError as error:
            first = error
            with pytest.raises(WeComError) as again:
                client.external_contact.get_follow_user_list()
    assert list(chain(again.value)) == [again.value, first]
    assert "During handling of the above exception" in "".join(traceback.format_exception(again.value))


def held(one: object, seen: set[int] | None = None) -> Iterator[object]:
    """An object of the package, and each that it holds."""
    seen = set() if seen is None else seen
    if id(one) in seen or not type(one).__module__.startswith("tasks.wecom"):
        return
    seen.add(id(one))
    yield one
    names = [*vars(type(one)).get("__slots__", ()), *getattr(one, "__dict__", {})]
    for name in names:
        yield from held(getattr(one, name, None), seen)


def test_no_object_that_a_client_holds_shows_a_secret() -> None:
    with (
        Server(calls_get(whole())) as server,
        WeComClient(
            "ww0", SECRET, "http://wecom.invalid", proxy=f"http://user:{PASSWORD}@127.0.0.1:{server.port}"
        ) as client,
    ):
        client.external_contact.send_welcome_msg(MESSAGE)
        objects = list(held(client))
        shown = " ".join(f"{one!r} {one!s}" for one in [*objects, client.with_deadline(0.0), client.apart()])
    assert {type(one).__name__ for one in objects} >= {"WeComClient", "TokenStore", "Token", "Transport", "Proxy"}
    assert "WeComClient('ww0', …)" in shown
    for hidden in HIDDEN:
        assert hidden not in shown


def test_no_value_shows_what_a_file_holds() -> None:
    for one in (FileUpload("a.txt", b"CODE-1234"), DownloadedFile("a.txt", "text/plain", 9, b"CODE-1234")):
        assert CODE not in f"{one!r} {one}"

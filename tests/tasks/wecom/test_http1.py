"""HTTP messages: what is sent, and answers however slowly they come."""

import gzip
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.wecom.http1 import BadAnswer, Response, TooLarge, read_answer, request_head

LIMIT = 10_000
OK = b"HTTP/1.1 200 OK\r\n"


def read(content: bytes, size: int = LIMIT, limit: int = LIMIT, ends: bool = True) -> Response:
    """What is read of an answer that is sent in pieces of `size` bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)

        def send() -> None:
            for start in range(0, len(content), size):
                theirs.sendall(content[start : start + size])
            if ends:
                theirs.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return read_answer(ours, "POST", limit)
        finally:
            sender.join()


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


ANSWERS = {  # (what is sent, status, body, whether the connection stays open)
    "a length": (OK + b"Content-Length: 5\r\nServer: nginx\r\n\r\nhello", 200, b"hello", True),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
    "until the end": (OK + b"\r\nhello", 200, b"hello", False),
    "chunks": (chunked(b"hel", b"lo"), 200, b"hello", True),
    "an empty body in chunks": (chunked(), 200, b"", True),
    "chunks with what follows": (chunked(b"hello", trailer=b"X-Sum: 1\r\nY: 2\r\n"), 200, b"hello", True),
    "chunks with extensions": (
        OK + b"Transfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0;last\r\n\r\n",
        200,
        b"hello",
        True,
    ),
    "an interim answer": (
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + OK + b"content-length:2\r\n\r\n{}",
        200,
        b"{}",
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "close": (OK + b"Connection: Close\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", False),
    "HTTP/1.0, kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        200,
        b"{}",
        True,
    ),
    "no words": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", True),
    "bare newlines": (b"HTTP/1.1 502 Bad Gateway\nContent-Length: 2\n\n{}", 502, b"{}", True),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_whole(name: str) -> None:
    content, *expected = ANSWERS[name]
    for size in (1, 3, LIMIT):
        answer = read(content, size, ends=name == "until the end")
        assert [answer.status, answer.body, answer.keeps_open] == expected


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 60), st.booleans())
def test_any_body_is_read_whole_however_it_is_cut(chunks: list[bytes], size: int, in_chunks: bool) -> None:
    body = b"".join(chunks)
    sent = chunked(*filter(None, chunks)) if in_chunks else OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = read(sent, size, ends=False)
    assert (answer.body, answer.keeps_open) == (body, True)


@given(st.binary(max_size=200) | st.builds(lambda tail: OK + tail, st.binary(max_size=200)))
def test_any_bytes_are_an_answer_or_none(content: bytes) -> None:
    try:
        answer = read(content)
    except (BadAnswer, TooLarge):
        return
    assert 100 <= answer.status < 1000


def test_a_header_is_found_in_any_case() -> None:
    headers = read(OK + b"X-Name: value\r\nContent-Length: 0\r\n\r\n").headers
    assert (headers["x-name"], headers["X-NAME"], headers.get("x-other")) == ("value", "value", None)


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 many OK\r\n\r\n",
        OK + b"X: " + b"y" * 100_000,
        OK + b"X: y\r\n" * 200 + b"\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 100_000,
    ],
)
def test_what_is_no_http_is_no_answer(content: bytes) -> None:
    with pytest.raises(BadAnswer):
        read(content)


@pytest.mark.parametrize("name", ["a length", "chunks", "204", "HTTP/1.0", "no words"])
def test_an_answer_that_ends_early_is_none(name: str) -> None:
    content = ANSWERS[name][0]
    whole = content.index(b"\r\n\r\n") + 4
    for end in {0, 3, 8, *range(whole, len(content) - 4)}:
        with pytest.raises(BadAnswer):
            read(content[:end])


@pytest.mark.parametrize(
    "content",
    [OK + b"Content-Length: 11\r\n\r\n", OK + b"\r\n" + b"x" * 11, chunked(b"x" * 6, b"x" * 5)],
    ids=["a length", "until the end", "chunks"],
)
def test_no_more_than_the_limit_is_kept(content: bytes) -> None:
    with pytest.raises(TooLarge):
        read(content, limit=10)


def test_a_compressed_answer_is_decompressed() -> None:
    def sent(body: bytes) -> bytes:
        return OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    assert read(sent(gzip.compress(b"x" * LIMIT))).body == b"x" * LIMIT
    with pytest.raises(TooLarge):
        read(sent(gzip.compress(bytes(LIMIT + 1))))
    with pytest.raises(BadAnswer):
        read(sent(b"{}"))


def test_a_target_is_encoded_and_cannot_end_its_line() -> None:
    head = request_head("POST", "/a b/图?q=%2B&r=é#", [("Host", "x.invalid"), ("Content-Length", "2")])
    assert head == (b"POST /a%20b/%E5%9B%BE?q=%2B&r=%C3%A9# HTTP/1.1\r\nHost: x.invalid\r\nContent-Length: 2\r\n\r\n")
    assert b"\n" not in request_head("GET", "/a\r\nX: y", []).partition(b"\r\n")[0]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb"])
def test_no_header_brings_another(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        request_head("GET", "/", [("X", value)])

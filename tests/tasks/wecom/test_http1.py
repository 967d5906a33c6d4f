"""HTTP messages: what is sent, and answers however they are cut; http.client is the witness."""

import gzip
import http.client
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.wecom.http1 import HEAD_LIMIT, Answer, BadAnswer, TooLarge, request_head

LIMIT = 10_000
OK = b"HTTP/1.1 200 OK\r\n"


def read(*pieces: bytes, limit: int = LIMIT, ends: bool = True) -> Answer:
    answer = Answer(limit)
    for piece in pieces:
        if piece and not answer.is_complete:
            answer.feed(piece)
    if ends and not answer.is_complete:
        answer.feed(b"")
    return answer


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


class _Bytes:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self.content)


def witness(content: bytes) -> tuple[int, bytes, bool]:
    """(status, body, whether the connection stays open) by http.client."""
    response = http.client.HTTPResponse(_Bytes(content), method="POST")  # type: ignore[arg-type]
    response.begin()
    return response.status, response.read(), not response.will_close


ANSWERS = {
    "a length": OK + b"Content-Length: 5\r\nServer: nginx\r\n\r\nhello",
    "no body": OK + b"Content-Length: 0\r\n\r\n",
    "until the end": OK + b"\r\nhello",
    "chunks": chunked(b"hel", b"lo"),
    "an empty body in chunks": chunked(),
    "chunks with what follows": chunked(b"hello", trailer=b"X-Sum: 1\r\nY: 2\r\n"),
    "chunks with extensions": OK + b"Transfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0;last\r\n\r\n",
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nX: y\r\n\r\n"
    + OK
    + b"content-length:2\r\n\r\n{}",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "close": OK + b"Connection: Close\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.0, kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    "no words": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
    "bare newlines": b"HTTP/1.1 502 Bad Gateway\nContent-Length: 2\n\n{}",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_what_http_client_says(name: str) -> None:
    for size in (1, 2, 3, 7, 1000):
        answer = read(*cut(ANSWERS[name], size))
        assert (answer.status, answer.body(), answer.keeps_open) == witness(ANSWERS[name])


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 60), st.booleans())
def test_any_body_is_read_whole_however_it_is_cut(chunks: list[bytes], size: int, in_chunks: bool) -> None:
    body = b"".join(chunks)
    sent = chunked(*filter(None, chunks)) if in_chunks else OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = read(*cut(sent, size), ends=False)
    assert (answer.is_complete, answer.body(), answer.keeps_open) == (True, body, True)


@given(st.binary(max_size=200) | st.builds(lambda tail: OK + tail, st.binary(max_size=200)), st.integers(1, 50))
def test_any_bytes_are_an_answer_or_none(content: bytes, size: int) -> None:
    try:
        answer = read(*cut(content, size))
    except (BadAnswer, TooLarge):
        return
    assert answer.is_complete
    assert 100 < answer.status < 1000


def test_headers_have_names_in_lower_case_and_values_without_blanks() -> None:
    answer = read(OK + b"X-Name: \t value \r\nx-name: more\r\nEmpty:\r\nContent-Length: 0\r\n\r\n")
    assert answer.headers == {"x-name": "value, more", "empty": "", "content-length": "0"}


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 0200 OK\r\n\r\n",
        b" " + OK + b"\r\n",
        OK + b"no header at all\r\n\r\n",
        OK + b"X : y\r\n\r\n",
        OK + b"X: y\r\n folded\r\n\r\n",
        OK + b": y\r\n\r\n",
        OK + b"Content-Length: many\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 10_000,
        OK + b"X: " + b"y" * HEAD_LIMIT,
    ],
)
def test_what_can_be_read_in_two_ways_is_no_answer(content: bytes) -> None:
    with pytest.raises(BadAnswer):
        read(content)


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "until the end"])
def test_an_answer_that_ends_early_is_none(name: str) -> None:
    for end in range(len(ANSWERS[name])):
        with pytest.raises(BadAnswer):
            read(ANSWERS[name][:end])


@pytest.mark.parametrize(
    "content",
    [OK + b"Content-Length: 11\r\n\r\n", OK + b"\r\n" + b"x" * 11, chunked(b"x" * 6, b"x" * 5)],
    ids=["a length", "until the end", "chunks"],
)
def test_no_more_than_the_limit_is_kept(content: bytes) -> None:
    with pytest.raises(TooLarge):
        read(content, limit=10, ends=False)


def test_what_follows_an_answer_ends_its_connection() -> None:
    for content in (ANSWERS["a length"], ANSWERS["chunks"], ANSWERS["204"]):
        assert read(content).keeps_open
        assert not read(content + b"HTTP/1.1 200").keeps_open


def test_a_compressed_answer_is_decompressed() -> None:
    def sent(body: bytes) -> bytes:
        return OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    assert read(sent(gzip.compress(b"x" * LIMIT))).body() == b"x" * LIMIT
    with pytest.raises(TooLarge):
        read(sent(gzip.compress(bytes(LIMIT + 1)))).body()
    with pytest.raises(BadAnswer):
        read(sent(b"{}")).body()


def test_a_target_is_encoded_and_cannot_end_its_line() -> None:
    head = request_head("POST", "/a b/图?q=%2B&r=é#", [("Host", "x.invalid"), ("Content-Length", "2")])
    assert head == (b"POST /a%20b/%E5%9B%BE?q=%2B&r=%C3%A9# HTTP/1.1\r\nHost: x.invalid\r\nContent-Length: 2\r\n\r\n")
    assert b"\n" not in request_head("GET", "/a\r\nX: y", []).partition(b"\r\n")[0]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb"])
def test_no_header_brings_another(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        request_head("GET", "/", [("X", value)])

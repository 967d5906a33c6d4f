"""A State's own rule; a code's image, bounded in size and time."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.channels import PICTURE_KEPT, PICTURE_LIMIT, Channel, ChannelError, Channels, Found, picture, rule_for
from tasks.storage.connections import Redis
from tasks.wecom import WeComClient
from tests.support.books import JPG, PNG, a_book, a_rule
from tests.support.servers import Server, answering, whole


@pytest.mark.parametrize(
    ("when", "state", "found"),
    [
        ("{state: douyin-1}", "douyin-1", Found("first")),
        ('{state: "douyin-*"}', "douyin-1", Found("first")),
        ('{state: ["a", "douyin-?"]}', "douyin-1", Found("first")),
        ('{state: "douyin-*"}', "Douyin-1", None),
        ("{member: zhangsan}", "douyin-1", None),
        ('{state: "douyin-*", member: zhangsan}', "douyin-1", Found("first", ("member",))),
    ],
)
def test_a_state_has_the_first_rule_that_asks_for_it(when: str, state: str, found: Found | None) -> None:
    assert rule_for(a_book(a_rule(when)), state) == found


def test_a_rule_after_one_that_always_holds_is_never_reached() -> None:
    book = a_book(
        "version: 1\ntemplates: {default: {text: d}}\nrules:\n"
        "  - {name: all, use: default}\n  - {name: mine, when: {state: a}, use: default}\n"
    )
    assert rule_for(book, "a") == Found("mine", (), "all")


# ------------------------------------------------------------------------------------------------ the image


@pytest.fixture
def serving() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """`serving(answer)` → a URL on loopback that answers so."""
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        handler = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": answer, "log_message": lambda *_: None})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/code"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sends(content: bytes, status: int = 200) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(self: BaseHTTPRequestHandler) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    return answer


def soon() -> float:
    return time.monotonic() + 5


@pytest.mark.parametrize(("content", "kind"), [(PNG, "PNG"), (JPG, "JPG")])
def test_an_image_is_had(serving: Callable[..., str], content: bytes, kind: str) -> None:
    assert picture(serving(sends(content)), soon()) == (content, kind)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (sends(b"<html>a page</html>"), "what WeCom gives as the code's image is a file of another kind"),
        (sends(b""), "what WeCom gives as the code's image is"),
        (sends(PNG, 404), "HTTP 404"),
        (sends(PNG + bytes(PICTURE_LIMIT)), "more than 2 MB"),
    ],
)
def test_what_is_no_image_is_refused(serving: Callable[..., str], answer: Callable[..., None], says: str) -> None:
    with pytest.raises(ChannelError, match=says):
        picture(serving(answer), soon())


def test_a_server_that_trickles_does_not_hold_us(serving: Callable[..., str]) -> None:
    def trickle(self: BaseHTTPRequestHandler) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(PNG)
            self.wfile.flush()
            time.sleep(0.1)

    began = time.monotonic()
    with pytest.raises(ChannelError, match="in time"):
        picture(serving(trickle), began + 0.5)
    assert time.monotonic() - began < 8, "all of it takes 10 s"


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "http://127.0.0.1:1/code"])
def test_an_address_that_leads_nowhere_is_an_error_of_one_line(url: str) -> None:
    with pytest.raises(ChannelError) as error:
        picture(url, soon())
    assert "127.0.0.1" not in str(error.value)


# ------------------------------------------------------------------------------------------------ the image, kept


def of_one_app(redis_client: Redis) -> Channels:
    return Channels(redis_client, "default", WeComClient("ww1234", "s", "http://127.0.0.1:1"))


def test_an_image_is_fetched_once(serving: Callable[..., str], redis_client: Redis) -> None:
    channels = of_one_app(redis_client)
    asked = []

    def count(self: BaseHTTPRequestHandler) -> None:
        asked.append(1)
        sends(PNG)(self)

    channel = Channel("a", "s", "c1", 1, qr_code=serving(count))
    assert [channels.picture(channel, soon()) for _ in range(2)] == [PNG, PNG]
    assert len(asked) == 1
    assert channels.kept_pictures([channel, Channel("b", "s", "c2", 1)]) == {"c1": PNG}


def test_a_large_image_is_not_kept(serving: Callable[..., str], redis_client: Redis) -> None:
    channels = of_one_app(redis_client)
    large = PNG + bytes(PICTURE_KEPT)
    channel = Channel("a", "s", "c1", 1, qr_code=serving(sends(large)))
    assert channels.picture(channel, soon()) == large
    assert channels.kept_pictures([channel]) == {}


def test_a_digest_tells_whether_anything_has_changed() -> None:
    channel = Channel("a", "s", "c1", 1, ("zhangsan",))
    assert channel.digest == Channel.read(json.dumps(asdict(channel))).digest
    assert channel.digest != replace(channel, members=("lisi",)).digest


@pytest.mark.parametrize("config_id", [None, "", 7, ["a"]])
def test_a_code_without_its_id_is_a_clear_error_and_nothing_is_kept(redis_client: Redis, config_id: object) -> None:
    def answer(number: int) -> bytes:
        token = {"errcode": 0, "access_token": "t", "expires_in": 7200}
        made = {"errcode": 0, "qr_code": "https://x", **({} if config_id is None else {"config_id": config_id})}
        return whole(json.dumps(token if number == 1 else made).encode())

    with Server(answering(answer)) as server:
        channels = Channels(redis_client, "default", WeComClient("ww1234", "s", server.url))
        with pytest.raises(ChannelError, match=r"without the code's config_id.*State douyin-1"):
            channels.create("抖音", "douyin-1", ("zhangsan",), (), True)
    assert channels.all() == {}

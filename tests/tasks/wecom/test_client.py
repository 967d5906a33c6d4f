"""The client adds the token and returns JSON; each errcode becomes an error by what the caller can do."""

import contextlib
import json
import logging
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reasons import Reason
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import (
    CODES,
    BadRequest,
    Busy,
    Failure,
    Final,
    HTTPRefused,
    Limited,
    MediaRefused,
    Misconfigured,
    NoAnswer,
    NotSent,
    TokenRefused,
    from_answer,
)
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.servers import GIVES_TOKEN, OK, Server, answering, nobody, silent, then, whole


@pytest.fixture
def client(wecom: StandIn) -> Iterator[WeComClient]:
    app = wecom.register(App.random())
    with contextlib.closing(WeComClient(app.corp_id, app.secret, wecom.base_url)) as client:
        yield client


def client_for(server: Server, **different: Any) -> WeComClient:
    return WeComClient("ww0", "SECRET-1234", server.url, **different)


def answering_calls(*answers: bytes) -> Any:
    """gettoken works; then these answers in turn, the last one repeatedly."""
    return answering(lambda number: GIVES_TOKEN if number == 1 else answers[min(number - 2, len(answers) - 1)])


def error_for(body: bytes, status: str = "200 OK") -> Any:
    """The error that a call raises for this answer of WeCom."""
    with (
        Server(answering_calls(whole(body, status))) as server,
        contextlib.closing(client_for(server)) as client,
        pytest.raises(WeComError) as error,
    ):
        client.get("user/get", {"userid": "zhangsan"})
    return error.value


# ------------------------------------------------------------------------------------------------ results


def test_a_call_gives_wecoms_json(wecom: StandIn, client: WeComClient) -> None:
    wecom.people(members={"zhangsan": {"name": "张三"}})
    assert client.user.get("zhangsan")["name"] == "张三"
    assert client.external_contact.get_follow_user_list()["follow_user"] == ["zhangsan"]


def test_a_greeting_reaches_the_customer(wecom: StandIn, client: WeComClient) -> None:
    added = wecom.add(push=False)
    text = "您好😀 \\u4f60 \"'\n"
    client.external_contact.send_welcome_msg({"welcome_code": added.welcome_code, "text": {"content": text}})
    assert wecom.record(added).content["text"] == text


def test_text_is_sent_as_raw_utf8() -> None:
    with Server(answering_calls(whole())) as server, contextlib.closing(client_for(server)) as client:
        client.post("some/path", {"text": {"content": "您好😀"}})
    head, _, body = server.requests[1].partition(b"\r\n\r\n")
    assert body == '{"text": {"content": "您好😀"}}'.encode()
    assert b"Content-Type: application/json" in head


def test_what_is_none_is_not_sent() -> None:
    with Server(answering_calls(whole())) as server, contextlib.closing(client_for(server)) as client:
        client.post("some/path", {"a": None, "b": 0, "c": "", "d": []})
        client.get("some/path", {"a": None, "b": 0, "c": ""})
    assert json.loads(server.requests[1].partition(b"\r\n\r\n")[2]) == {"b": 0, "c": "", "d": []}
    assert server.requests[2].startswith(b"GET /cgi-bin/some/path?access_token=TOKEN-1234&b=0&c= HTTP")


@pytest.mark.parametrize(("errmsg", "remarked"), [("ok", False), ("Warning: wrong json format", True)])
def test_a_remark_of_wecoms_is_logged(errmsg: str, remarked: bool, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"errcode": 0, "errmsg": errmsg}).encode()
    with Server(answering_calls(whole(body))) as server, contextlib.closing(client_for(server)) as client:
        assert client.get("some/path")["errmsg"] == errmsg
    assert ("Warning: wrong json format" in caplog.text) is remarked


# ------------------------------------------------------------------------------------------------ errors


KINDS = {
    Busy: [-1, 41096, 45033, 45035],
    Limited: [45009],
    TokenRefused: [40014, 42001, 41001],
    MediaRefused: [40007, 90207, 90208],
    Misconfigured: [40001, 40013, 48001, 48002, 50002, 50003, 60020, 60021, 84074, 301002, 701008],
    BadRequest: [40058, 40063, 41064, 45002, 44004, 40033],
    Final: [41050, 41051, 41053, 41054, 84061, 60111, 40096, 123456],
}


@pytest.mark.parametrize(("kind", "errcode"), [(kind, code) for kind, codes in KINDS.items() for code in codes])
def test_an_errcode_tells_what_the_caller_can_do(kind: type, errcode: int) -> None:
    error = from_answer(errcode, "said WeCom", "some/path")
    assert type(error) is kind
    assert isinstance(error, WeComAPIError)
    assert (error.errcode, error.errmsg, error.path) == (errcode, "said WeCom", "some/path")


def test_every_code_has_its_meaning_and_its_cure() -> None:
    assert all(code.meaning and code.cure and issubclass(code.error, WeComAPIError) for code in CODES.values())


@pytest.mark.parametrize("errcode", [-1, 45009, 60111, 99])
def test_an_errcode_over_the_wire(errcode: int) -> None:
    error = error_for(json.dumps({"errcode": errcode, "errmsg": "said WeCom"}).encode())
    assert type(error) is type(from_answer(errcode, "", ""))


def test_an_error_leaves_wecoms_hint_out() -> None:
    body = {"errcode": 60020, "errmsg": "not allow to access from your ip, hint: [1234], from ip: 10.9.8.7, more info"}
    error = error_for(json.dumps(body).encode())
    assert str(error) == "user/get: 60020 not allow to access from your ip"
    assert error.address == "10.9.8.7"


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("not allow, hint: [17], from ip: 203.0.113.9, more info at https://open.work.weixin.qq.com/x", "203.0.113.9"),
        ("not allow, from ip:203.0.113.9", "203.0.113.9"),
        ("not allow, from ip: 203.0.113.9. ", "203.0.113.9"),
        ("not allow, from ip: 2001:db8::1, more info", "2001:db8::1"),
        ("not allow, from ip: [2001:db8::1]", "2001:db8::1"),
        ("not allow, from ip: 999.1.1.1", ""),
        ("not allow, from ip: , more info", ""),
        ("not allow", ""),
    ],
)
def test_the_address_that_wecom_sees_is_kept_apart(said: str, address: str) -> None:
    error = from_answer(60020, said, "user/get")
    assert (error.address, error.errmsg) == (address, "not allow")
    assert pickle.loads(pickle.dumps(error)).address == address
    assert Reason.from_error(error).params.get("address", "") == address


@pytest.mark.parametrize("status", ["500 Oh", "502 Bad Gateway", "599 x", "204 No Content", "206 Partial"])
def test_of_another_http_status_the_effect_is_unknown(status: str) -> None:
    error = error_for(b"<html>" if status[0] != "2" else b"", status)
    assert (type(error), error.reason, error.status) == (NoAnswer, f"HTTP {status[:3]}", int(status[:3]))


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "429 Slow Down", "301 Moved", "499 x"])
@pytest.mark.parametrize("body", [b"", b"<html>", OK], ids=["empty", "a page", "JSON"])
def test_an_http_status_that_refuses_is_an_answer_with_that_status(status: str, body: bytes) -> None:
    error = error_for(body, status)
    assert (type(error), str(error), error.status) == (HTTPRefused, f"user/get: HTTP {status[:3]}", int(status[:3]))
    assert not isinstance(error, NoAnswer | NotSent)


def test_a_path_that_wecom_does_not_know_is_an_answer(wecom: StandIn, client: WeComClient) -> None:
    with pytest.raises(HTTPRefused) as error:
        client.get("no/such/path")
    assert (error.value.path, error.value.status) == ("no/such/path", 404)


def test_where_gettoken_is_refused_the_call_was_not_sent() -> None:
    with Server(answering(whole(b"", "404 Not Found"))) as server, pytest.raises(NotSent) as error:
        client_for(server).user.get("zhangsan")
    assert (error.value.path, error.value.status) == ("gettoken", 404)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'"ok"', b"{", b"\xff\xfe", b'{"errcode": "x"}', b"[" * 100_000]
)
def test_anything_but_wecoms_json_is_no_answer(body: bytes) -> None:
    error = error_for(body)
    assert (type(error), error.reason) == (NoAnswer, "the answer is not WeCom's JSON")


def test_an_answer_that_is_cut_within_its_headers_is_no_answer() -> None:
    def cut(server: Server, connection: Any) -> None:
        server.request(connection)
        connection.sendall(GIVES_TOKEN if len(server.requests) == 1 else whole()[:40])

    with Server(cut) as server, contextlib.closing(client_for(server)) as client, pytest.raises(NoAnswer):
        client.get("some/path")


def test_an_infinite_errcode_is_no_answer() -> None:
    assert type(error_for(b'{"errcode": 1e999}')) is NoAnswer


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["errcode", "errmsg"]), inner),
    max_leaves=5,
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200)
def test_whatever_wecom_answers_is_a_result_or_a_wecom_error(body: bytes) -> None:
    from tasks.wecom.client import _result

    with contextlib.suppress(WeComError):
        assert isinstance(_result("some/path", 200, body), dict)


def test_a_call_that_is_not_sent_says_so() -> None:
    with nobody() as url, pytest.raises(NotSent) as error:
        WeComClient("ww0", "secret", url).get("user/get")
    assert error.value.path == "gettoken"


@pytest.mark.parametrize("fields", [{}, {"access_token": "x"}, {"access_token": "x", "expires_in": None}])
def test_a_gettoken_answer_without_a_token_is_a_wecom_error(fields: dict[str, Any]) -> None:
    answer = whole(json.dumps({"errcode": 0, "errmsg": "ok", **fields}).encode())
    with Server(answering(answer)) as server, pytest.raises(WeComError):
        client_for(server).get("user/get")


def test_half_an_emoji_is_sent_as_a_question_mark() -> None:
    with Server(answering_calls(whole())) as server, contextlib.closing(client_for(server)) as client:
        client.post("some/path", {"text": {"content": "您好\ud83d"}})
    assert server.requests[1].partition(b"\r\n\r\n")[2] == '{"text": {"content": "您好?"}}'.encode()


# ------------------------------------------------------------------------------------------------ renewal


def test_an_expired_token_is_renewed_and_the_call_repeated(wecom: StandIn, client: WeComClient) -> None:
    wecom.add(push=False)
    client.user.get("zhangsan")
    wecom.revoke_tokens()
    assert client.user.get("zhangsan")["errcode"] == 0
    assert wecom.summary().token_fetches == {"default": 2}


def test_many_calls_at_once_renew_an_expired_token_once(wecom: StandIn, client: WeComClient) -> None:
    wecom.add(push=False)
    client.user.get("zhangsan")
    wecom.revoke_tokens()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: client.user.get("zhangsan")["errcode"] == 0, range(40)))
    assert wecom.summary().token_fetches == {"default": 2}


def test_a_token_that_is_refused_again_is_not_renewed_again(wecom: StandIn, client: WeComClient) -> None:
    wecom.faults(revoke=1, paths=("user/get",))
    with pytest.raises(TokenRefused):
        client.user.get("zhangsan")
    summary = wecom.summary()
    assert summary.token_fetches == {"default": 2}
    assert summary.answers["user/get"] == {"40014": 2}


# ------------------------------------------------------------------------------------------------ deadlines


def test_a_deadline_covers_the_call_its_token_and_the_renewal() -> None:
    """Each answer takes 0.6 s: gettoken, a refusal, gettoken, and meanwhile the time is up."""

    def serve(server: Server, connection: Any) -> None:
        while True:
            request = server.request(connection)
            time.sleep(0.6)
            connection.sendall(GIVES_TOKEN if b"gettoken" in request else whole(b'{"errcode": 42001}'))

    with Server(serve) as server, contextlib.closing(client_for(server)) as client:
        began = time.monotonic()
        with pytest.raises((NoAnswer, NotSent)):  # and not the second refusal
            client.with_deadline(began + 1.5).get("user/get")
        assert 1.4 < time.monotonic() - began < 5


def test_a_call_repeated_with_a_new_token_may_have_its_own_deadline() -> None:
    by = time.monotonic() + 1.5
    told = iter([GIVES_TOKEN, whole(b'{"errcode": 42001}'), GIVES_TOKEN, whole()])

    def serve(server: Server, connection: Any) -> None:
        while True:
            server.request(connection)
            if len(server.requests) == 3:  # the renewal, which ends after the first deadline
                time.sleep(max(0.0, by + 0.1 - time.monotonic()))
            connection.sendall(next(told))

    with Server(serve) as server, contextlib.closing(client_for(server)) as client:
        assert client.with_deadline(by, lambda: time.monotonic() + 20).get("user/get")["errcode"] == 0
        assert time.monotonic() > by


def test_a_deadline_applies_to_one_client_and_not_to_others() -> None:
    with Server(answering_calls(whole())) as server, contextlib.closing(client_for(server)) as client:
        hurried = client.with_deadline(time.monotonic() - 1)
        with pytest.raises(NotSent):
            hurried.user.get("zhangsan")
        assert client.user.get("zhangsan")["errcode"] == 0
        assert hurried.tokens is client.tokens


def test_without_an_answer_to_gettoken_the_call_counts_as_not_sent() -> None:
    with Server(silent) as server, contextlib.closing(client_for(server)) as client, pytest.raises(NotSent):
        client.with_deadline(time.monotonic() + 0.3).user.get("zhangsan")


# ------------------------------------------------------------------------------------------------ observation and logs


class Limiter:
    """Writes down what it is asked and told; `allows` is what it answers."""

    def __init__(self, allows: bool = True) -> None:
        self.allows = allows
        self.seen: list[tuple[str, str, object]] = []

    def begin(self, path: str, by: float) -> None:
        self.seen.append(("begin", path, round(by - time.monotonic())))
        if not self.allows:
            raise NotSent(path, Failure.LIMITED)

    def ended(self, path: str, error: WeComError | None) -> None:
        self.seen.append(("ended", path, getattr(error, "errcode", error)))


def test_a_limiter_is_asked_before_each_try_of_a_call_and_told_how_it_ended(wecom: StandIn) -> None:
    app, limiter = wecom.register(App.random()), Limiter()
    with contextlib.closing(WeComClient(app.corp_id, app.secret, wecom.base_url, limiter=limiter)) as client:
        client.external_contact.get_follow_user_list()
        wecom.revoke_tokens()
        with pytest.raises(WeComAPIError):
            client.with_deadline(time.monotonic() + 5).user.get("nobody")
    path = "externalcontact/get_follow_user_list"
    assert limiter.seen == [
        *(("begin", path, 10), ("ended", path, None)),
        *(("begin", "user/get", 5), ("ended", "user/get", 40014)),
        *(("begin", "user/get", 5), ("ended", "user/get", 60111)),
    ]


def test_a_call_that_a_limiter_holds_back_is_not_sent(wecom: StandIn, client: WeComClient) -> None:
    with pytest.raises(NotSent, match="held back") as error:
        client.with_limiter(Limiter(allows=False)).user.get("zhangsan")
    assert error.value.failure is Failure.LIMITED
    assert "user/get" not in wecom.summary().answers


def test_every_failed_call_is_observed_by_path_and_code(wecom: StandIn) -> None:
    seen: list[tuple[str, int | str]] = []
    app = wecom.register(App.random())
    client = WeComClient(app.corp_id, app.secret, wecom.base_url, observe=lambda *what: seen.append(what))
    with contextlib.closing(client):
        wecom.faults(busy=1, paths=("user/get",))
        with contextlib.suppress(WeComError):
            client.user.get("zhangsan")
        wecom.faults(http_5xx=1, paths=("user/get",))
        with contextlib.suppress(WeComError):
            client.user.get("zhangsan")
        wecom.faults()
        client.external_contact.get_follow_user_list()
        with contextlib.suppress(WeComError):
            client.get("no/such/path")
    assert seen == [("user/get", -1), ("user/get", "NoAnswer"), ("no/such/path", "HTTPRefused")]


def test_neither_token_nor_secret_is_in_any_error_log_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("tasks", "urllib3"):  # the most verbose setting of the product: see tasks.logs
        caplog.set_level(logging.DEBUG if name == "tasks" else logging.WARNING, name)
    told, body = "", {"welcome_code": "-".join(["CODE", "1234"]), "text": {"content": "x"}}
    bad = [
        silent,
        then(lambda connection: connection.close()),
        answering(whole(b'{"errcode": 40001, "errmsg": "invalid credential"}')),
        answering_calls(whole(b'{"errcode": 42001, "errmsg": "access_token expired"}')),
        answering_calls(whole(b"<html>", "502 Bad Gateway")),
        answering_calls(whole(b"<html>")),
        answering_calls(OK[:5]),
    ]
    for serve in bad:
        with Server(serve) as server, contextlib.closing(client_for(server)) as client:
            with pytest.raises(WeComError) as error:
                client.with_deadline(time.monotonic() + 0.3).external_contact.send_welcome_msg(body)
            told += f"{error.value} {error.value!r} {vars(error.value)} {error.getrepr(style='native')} {client!r}"
            told += repr(client.tokens) + repr(client.tokens._token)
    assert "40001" in told
    for secret in ("TOKEN-1234", "SECRET-1234", "CODE-1234"):
        assert secret not in told + caplog.text

"""A client from its construction to its end: arguments, time-outs, what is closed, forks, and what it never prints."""

import copy
import logging
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.wecom import Unanswered, WeComClient
from tasks.wecom.errors import ClientClosed
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.documents import ROOT
from tests.support.servers import GIVES_TOKEN, Server, answering, silent, whole
from tests.support.until import until


def answers_after(seconds: float) -> Any:
    """gettoken answers at once, each other call after a while."""

    def serve(server: Server, connection: Any) -> None:
        while request := server.request(connection):
            if b"/gettoken?" in request:
                connection.sendall(GIVES_TOKEN)
            else:
                time.sleep(seconds)
                connection.sendall(whole())

    return serve


# ------------------------------------------------------------------------------------------------ construction

URL = "http://127.0.0.1:1"
REFUSED = [None, 7, b"bytes", "", " ", "a b", "secret\n", "\tsecret", "se\x00cret", "secret\u3000", "secret\x7f"]


@pytest.mark.parametrize("value", REFUSED, ids=repr)
@pytest.mark.parametrize("name", ["corp_id", "secret"])
def test_what_cannot_be_a_credential_is_refused_and_not_quoted(name: str, value: Any) -> None:
    given = {"corp_id": "ww0", "secret": "s", name: value}
    with pytest.raises(ValueError, match=f"^{name} must ") as error:
        WeComClient(**given, base_url=URL)
    assert not value or str(value) not in str(error.value).removeprefix(name) or str(value).isspace()


@pytest.mark.parametrize(
    "url",
    [
        *("", "qyapi.weixin.qq.com", "ftp://h", "http://", "http://:80", "http://h:x", "http://h:70000", "http://h:0"),
        *("http://[::1", None, 7, b"http://h"),
    ],
)
def test_what_is_no_address_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match=r"^base_url must be http"):
        WeComClient("ww0", "s", url)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "3", True])
def test_what_is_no_time_is_refused(timeout: Any) -> None:
    with pytest.raises(ValueError, match=r"^timeout must be a number of seconds"):
        WeComClient("ww0", "s", URL, timeout=timeout)


# ------------------------------------------------------------------------------------------------ time-outs


def test_a_time_out_is_the_deadline_of_calls_and_files_that_have_none() -> None:
    with Server(answers_after(60)) as server, WeComClient("ww0", "s", server.url, timeout=0.2) as client:
        client.tokens.get(time.monotonic() + 20)
        for call in (
            lambda: client.user.get("zhangsan"),
            lambda: client.media.upload("file", b"1234567", "a.txt"),
            lambda: client.media.get("MEDIA"),
        ):
            began = time.monotonic()
            with pytest.raises(Unanswered):
                call()
            assert 0.2 <= time.monotonic() - began < 9


def test_a_deadline_takes_the_place_of_the_time_out() -> None:
    with Server(answers_after(0.3)) as server, WeComClient("ww0", "s", server.url, timeout=0.1) as client:
        assert client.with_deadline(time.monotonic() + 20).user.get("zhangsan")["errcode"] == 0
        with pytest.raises(Unanswered):
            client.user.get("zhangsan")


# ------------------------------------------------------------------------------------------------ its end


def test_at_the_end_of_its_block_a_client_has_closed_its_connections_and_not_the_redis_that_it_was_given(
    wecom: StandIn, redis_client: Any
) -> None:
    with Server(answering(lambda number: GIVES_TOKEN if number == 1 else whole())) as server:
        with WeComClient("ww0", "s", server.url, redis_client) as client:
            client.user.get("zhangsan")
            client.with_deadline(time.monotonic() + 20).user.get("zhangsan")
            assert (server.connections, server.closed) == (1, 0)
        until(lambda: server.closed, what="the connection's end")
        assert (server.connections, server.closed) == (1, 1)
    assert redis_client.ping()


def test_a_closed_client_says_so_and_may_be_closed_again() -> None:
    with Server(answering(lambda number: GIVES_TOKEN if number == 1 else whole())) as server:
        client = WeComClient("ww0", "s", server.url)
        hurried = client.with_deadline(time.monotonic() + 20)
        client.user.get("zhangsan")
        for _ in range(3):
            client.close()
            client.close_old()
        for one in (client, hurried, client.apart(), client.unobserved()):
            with pytest.raises(ClientClosed, match=r"^this client is closed$"):
                one.user.get("zhangsan")
        assert isinstance(ClientClosed("x"), RuntimeError)
        assert len(server.requests) == 2


def test_an_error_in_a_block_comes_out_of_it() -> None:
    with pytest.raises(KeyError), WeComClient("ww0", "s", URL):
        raise KeyError


def test_a_call_that_runs_while_the_client_is_closed_is_finished() -> None:
    with Server(answers_after(0.5)) as server, ThreadPoolExecutor(1) as pool:
        client = WeComClient("ww0", "s", server.url)
        call = pool.submit(client.user.get, "zhangsan")
        until(lambda: len(server.requests) >= 2, what="the call under way")
        client.close()
        assert call.result(20)["errcode"] == 0


# ------------------------------------------------------------------------------------------------ copies


class Own(WeComClient):
    """A client with calls of an application's own."""

    def name_of(self, userid: str) -> str:
        return str(self.user.get(userid)["name"])


def test_a_copy_of_a_client_is_of_its_class_and_shares_connections_and_token(wecom: StandIn) -> None:
    app = wecom.register(App.random())
    wecom.people(members={"zhangsan": {"name": "张三"}})
    with Own(app.corp_id, app.secret, wecom.base_url) as client:
        copies = [client.with_deadline(time.monotonic() + 20), client.with_limiter(None), client.unobserved()]
        for one in [client, *copies, copy.copy(client)]:
            assert one.name_of("zhangsan") == "张三"
            assert one.tokens is client.tokens
        assert client.apart().name_of("zhangsan") == "张三"
    assert wecom.summary().token_fetches == {"default": 2}


@pytest.mark.parametrize("act", [pickle.dumps, copy.deepcopy])
def test_a_client_with_its_secret_goes_to_no_other_process(act: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"^a WeComClient has a secret, connections and locks: make one in each"):
        act(WeComClient("ww0", "SECRET-1234", URL))


# ------------------------------------------------------------------------------------------------ threads and forks

FORKS = """
import os, sys, threading, time
from tasks.wecom import WeComClient

def call(client, userid):
    assert client.with_deadline(time.monotonic() + 20).user.get(userid)["name"] == f"name of {userid}"

def in_child(act):
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return child

url, corp_id, secret = sys.argv[1:]
used, fresh = (WeComClient(corp_id, secret, url) for _ in range(2))
threads = [threading.Thread(target=call, args=(used, f"member{n}")) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
obtaining = threading.Thread(target=call, args=(fresh, "member0"))  # gettoken takes a while, and holds a lock
obtaining.start()
while not fresh.tokens._lock.locked():
    time.sleep(0.001)
failed = []

def go_on():
    try:
        for _ in range(20):
            call(used, "member1")
    except BaseException as error:
        failed.append(error)

going_on = threading.Thread(target=go_on)
going_on.start()
children = [in_child(lambda: (call(fresh, "member2"), [call(used, "member3") for _ in range(20)])) for _ in range(3)]
statuses = [os.waitpid(child, 0)[1] for child in children]
going_on.join()
obtaining.join()
call(fresh, "member1")
assert statuses == [0, 0, 0] and not failed, (statuses, failed)
"""


def test_a_client_that_was_made_before_a_fork_works_in_the_children_and_goes_on_in_the_parent(wecom: StandIn) -> None:
    """One that has connections, and one whose token a thread of the parent is about to get."""
    app = wecom.register(App.random())
    wecom.people(members={f"member{n}": {"name": f"name of member{n}"} for n in range(4)})
    wecom.faults(latency_ms=300, paths=("gettoken",))
    done = subprocess.run(
        [sys.executable, "-c", FORKS, wecom.base_url, app.corp_id, app.secret],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_threads_that_use_one_client_get_their_own_answers(wecom: StandIn) -> None:
    app = wecom.register(App.random())
    wecom.people(members={f"member{n}": {"name": f"name of member{n}"} for n in range(8)})
    with WeComClient(app.corp_id, app.secret, wecom.base_url) as client, ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda n: client.user.get(f"member{n % 8}")["name"], range(160)))
    assert names == [f"name of member{n % 8}" for n in range(160)]
    assert wecom.summary().token_fetches == {"default": 1}


# ------------------------------------------------------------------------------------------------ what it never prints

SILENT = """
import sys, time
from tasks.wecom import WeComClient, WeComError
for url in sys.argv[1:]:
    with WeComClient("ww0", "SECRET-1234", url, timeout=0.5) as client:
        for call in (client.external_contact.get_follow_user_list, client.getcallbackip):
            try:
                call()
            except WeComError:
                pass
"""


def test_an_application_that_sets_up_no_logging_hears_nothing() -> None:
    """Python itself prints warnings to stderr, where a library's logger has no handler."""
    remark = whole(b'{"errcode": 0, "errmsg": "Warning: wrong json format"}')
    broken = whole(b'{"errcode": 42001, "errmsg": "access_token expired"}')
    with (
        Server(answering(lambda number: GIVES_TOKEN if number == 1 else remark)) as remarking,
        Server(answering(lambda number: GIVES_TOKEN if number % 2 else broken)) as refusing,
        Server(answering(whole(b'{"errcode": 40001, "errmsg": "invalid credential"}'))) as wrong_secret,
        Server(silent) as hanging,
    ):
        urls = [remarking.url, refusing.url, wrong_secret.url, hanging.url, URL, "https://127.0.0.1:1"]
        done = subprocess.run(
            [sys.executable, "-W", "always", "-c", SILENT, *urls], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_loggers_have_the_names_of_their_modules_and_other_libraries_are_left_alone() -> None:
    before = logging.getLogger("urllib3.connection").level
    WeComClient("ww0", "s", URL)
    assert logging.getLogger("urllib3.connection").level == before
    ours = {name for name in logging.root.manager.loggerDict if name.startswith("tasks.wecom.")}
    assert ours == {"tasks.wecom.client", "tasks.wecom.token"}


def test_what_fails_ahead_of_a_tokens_end_is_logged_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The caller's own code, in a thread of the client's."""

    def observe(path: str, code: int | str) -> None:
        raise ZeroDivisionError

    busy = whole(b'{"errcode": -1, "errmsg": "busy"}')
    with (
        Server(answering(lambda number: GIVES_TOKEN if number == 1 else busy)) as server,
        WeComClient("ww0", "s", server.url, observe=observe) as client,
    ):
        client.tokens.get(time.monotonic() + 20)
        monkeypatch.setattr("tasks.wecom.token.MARGIN", 10_000)
        assert client.tokens.get(time.monotonic() + 20) == "TOKEN-1234"
        for thread in threading.enumerate():
            if thread.name == "access token":
                thread.join(20)
    assert "was not asked for ahead" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert capfd.readouterr() == ("", "")

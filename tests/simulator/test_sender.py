"""Callbacks are sealed as WeCom seals them, sent when they are due, and sent again if they were not accepted."""

import json
import socket
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from tests.simulator.client import ROOT, StandIn
from tests.support.until import until
from tests.support.wecom_app import Api, Callback

QUICK = {"spacing_s": 0.02}


def test_an_added_customer_is_pushed_and_the_answer_recorded(wecom: StandIn, callback: Callback) -> None:
    added = wecom.add(user_id="lisi", external_user_id="wm1", state="a]]>b", created_at=1700000000)
    wecom.wait_until_accepted(1)
    assert callback.messages == [
        f"<xml><ToUserName><![CDATA[{callback.app.corp_id}]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>"
        "<CreateTime>1700000000</CreateTime><MsgType><![CDATA[event]]></MsgType>"
        "<Event><![CDATA[change_external_contact]]></Event><ChangeType><![CDATA[add_external_contact]]></ChangeType>"
        "<UserID><![CDATA[lisi]]></UserID><ExternalUserID><![CDATA[wm1]]></ExternalUserID>"
        "<State><![CDATA[a]]]]><![CDATA[>b]]></State>"
        f"<WelcomeCode><![CDATA[{added.welcome_code}]]></WelcomeCode></xml>"
    ]
    record = wecom.record(added)
    assert len(record.welcome_code) == 43
    assert record.pushes == 1
    assert record.planned_at <= record.pushed_at <= record.accepted_at


def test_what_an_event_does_not_have_is_left_out_and_what_is_extra_is_there(wecom: StandIn, callback: Callback) -> None:
    wecom.add(welcome_code="", change="del_follow_user", extra={"Source": "DELETE_BY_TRANSFER"})
    wecom.wait_until_accepted(1)
    assert "WelcomeCode" not in callback.messages[0]
    assert "State" not in callback.messages[0]
    assert "<Source><![CDATA[DELETE_BY_TRANSFER]]></Source>" in callback.messages[0]


def test_an_event_may_come_as_json(wecom: StandIn, callback: Callback) -> None:
    added = wecom.add(as_json=True)
    wecom.wait_until_accepted(1)
    assert json.loads(callback.messages[0])["WelcomeCode"] == added.welcome_code


def test_the_url_is_verified_as_the_admin_console_does(wecom: StandIn, callback: Callback) -> None:
    assert wecom.verify()["ok"]


def test_what_is_not_answered_200_is_sent_again_with_a_nonce_of_its_own(wecom: StandIn, callback: Callback) -> None:
    wecom.pushing(**QUICK)
    callback.statuses = [503, 500]
    added = wecom.add()
    wecom.wait_until_accepted(1)
    record = wecom.record(added)
    assert (record.pushes, record.failures) == (3, ["503", "500"])
    assert len(set(callback.messages)) == 1
    assert len({query["nonce"] for query in callback.queries}) == 3


def test_a_re_sent_push_may_be_the_same_bytes(wecom: StandIn, callback: Callback) -> None:
    wecom.pushing(**QUICK, fresh=False)
    callback.statuses = [503]
    wecom.add()
    wecom.wait_until_accepted(1)
    assert callback.queries[0] == callback.queries[1]


def test_after_three_more_pushes_wecom_gives_up(wecom: StandIn, callback: Callback) -> None:
    wecom.pushing(**QUICK)
    callback.statuses = [503] * 10
    added = wecom.add()
    wecom.wait_until_pushed()
    assert wecom.record(added).pushes == len(callback.messages) == 4
    assert wecom.summary().given_up == 1


def test_what_is_not_answered_in_time_is_sent_again(wecom: StandIn, callback: Callback) -> None:
    wecom.pushing(**QUICK, timeout_s=0.5, retries=100)
    callback.hold.clear()
    added = wecom.add()
    until(lambda: wecom.record(added).failures)
    callback.hold.set()
    wecom.wait_until_accepted(1)
    record = wecom.record(added)
    assert set(record.failures) == {"timeout"}
    assert record.pushes == len(record.failures) + 1


def test_a_callback_that_is_away_is_pushed_to_again(wecom: StandIn, callback: Callback) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        wecom.register(replace(callback.app, callback_url=f"http://127.0.0.1:{taken.getsockname()[1]}/callback"))
        wecom.pushing(**QUICK, retries=1)
        added = wecom.add()
        wecom.wait_until_pushed()
        assert wecom.record(added).failures == ["refused", "refused"]


def test_an_accepted_event_may_be_pushed_again_in_parallel(wecom: StandIn, callback: Callback) -> None:
    added = wecom.add()
    wecom.wait_until_accepted(1)
    wecom.repeat(added, times=3)
    wecom.wait_until_pushed()
    assert len(callback.messages) == 4
    assert len(set(callback.messages)) == 1
    assert wecom.summary().accepted == 1


def test_the_window_is_counted_from_the_first_push(wecom: StandIn, callback: Callback) -> None:
    api = Api(wecom.base_url, callback.app)
    wecom.settings(window_s=0.3)
    wecom.pushing(timeout_s=0.4, spacing_s=0)
    callback.hold.clear()
    added = wecom.add()
    until(lambda: wecom.record(added).pushes >= 2)
    assert api.greet(added.welcome_code) == 41050


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "a connection each"])
def test_a_load_keeps_its_plan(wecom: StandIn, callback: Callback, keep_alive: bool) -> None:
    wecom.pushing(keep_alive=keep_alive)
    starts_at, ends_at = wecom.load(100, rate=200, members=5, user_id="m")
    wecom.wait_until_pushed()
    records = wecom.records()
    assert ends_at - starts_at == pytest.approx(0.495)
    assert [r.planned_at for r in records] == pytest.approx([starts_at + n / 200 for n in range(100)])
    assert {r.user_id for r in records} == {f"m-{n}" for n in range(1, 6)}
    assert wecom.summary().accepted == 100
    assert wecom.summary().push_lag.p50 < 1


def test_a_load_waits_for_no_answer(wecom: StandIn, callback: Callback) -> None:
    callback.hold.clear()
    wecom.load(50, rate=500)
    until(lambda: len(callback.messages) == 50)
    assert wecom.summary().push_lag.max < 4  # until then the first push would be waited for
    callback.hold.set()
    wecom.wait_until_pushed()


def test_connections_may_be_capped_as_a_proxy_would(wecom: StandIn, callback: Callback) -> None:
    wecom.pushing(connections=2)
    callback.hold.clear()
    wecom.load(10, rate=1000)
    until(lambda: len(callback.messages) == 2)
    assert wecom.status()["connections"] == 2
    callback.hold.set()
    wecom.wait_until_accepted(10)


def test_a_connection_closed_while_idle_costs_no_push(wecom: StandIn, callback: Callback) -> None:
    callback.hangs_up = True
    wecom.load(100, rate=500)
    wecom.wait_until_pushed()
    assert [(r.pushes, r.failures) for r in wecom.records()] == [(1, [])] * 100


def test_waiting_for_what_does_not_happen_says_how_far_it_came(wecom: StandIn) -> None:
    with pytest.raises(TimeoutError, match="'greeted': 0"):
        wecom.wait_until_greeted(1, timeout=0.05)


def test_the_stand_in_ends_with_its_parent_however_that_ends() -> None:
    script = "from tests.simulator.client import StandIn\nprint(StandIn().start().pid, flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        stand_in = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until(lambda: not stand_in.is_running() or stand_in.status() == psutil.STATUS_ZOMBIE)

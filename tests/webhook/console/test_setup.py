"""The set-up page: what WeCom last sent to the callback, the checks, a rehearsal through the real path."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

import pytest
from werkzeug.serving import make_server

from tasks.reasons import Kind, Reason
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tasks.wecom import robot
from tests.simulator.client import StandIn
from tests.support.builders import BOOK, in_words
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.ledger import accepted
from tests.support.until import until
from tests.support.worker import working
from webhook import create_app
from webhook.console import checkup
from webhook.console.checkup import Checkup
from webhook.console.rehearsal_steps import DONE, FAILED, KeptRehearsal, keep, last, steps

WRONG_KEY = "the Token is right, the EncodingAESKey is not: copy WECOM_ENCODING_AES_KEY from WeCom's page again"


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    """Of an app that WeCom knows, at an address where `served` serves it."""
    wecom.people(members={"zhangsan": {"name": "张三"}})
    return at_wecom


@pytest.fixture
def book() -> str:
    return BOOK


@pytest.fixture
def served(services: Services) -> Iterator[None]:
    """The callback at its public URL."""
    port = int(str(services.settings.public_url).rpartition(":")[2])
    server = make_server("127.0.0.1", port, create_app(services), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield
    server.shutdown()
    thread.join()


# --- the callback


def test_the_url_is_shown_to_be_copied_and_no_secret_is(browse, services):
    page = browse.get("/setup")
    assert f'data-copy="{services.settings.public_url}/callback"' in page.text
    assert services.settings.apps["default"].corp_id in page.text
    app = services.settings.apps["default"]
    for secret in (app.secret, app.token, app.encoding_aes_key, PASSWORD):
        assert secret not in page.text
        assert secret[-3:] + "<" not in page.text


def test_before_anything_came_nothing_is_claimed(browse):
    text = text_of(browse.get("/setup"))
    assert "No request has come yet" in text
    assert "No customer has been announced yet" in text
    assert "Three steps until the first customer is greeted" in text
    assert "Not checked yet" in text


def test_what_was_wrong_with_wecoms_last_request_is_said_with_its_cure_in_both_languages(browse, services):
    services.verifications.record("default", Reason.of(Kind.WRONG_AES_KEY))
    text = text_of(browse.get("/setup"))
    assert "The last request was refused today" in text
    assert WRONG_KEY in text
    browse.client.set_cookie("welcome-language", "zh_Hans")
    assert "Token 对，EncodingAESKey 不对：从企业微信的页面重新复制到 WECOM_ENCODING_AES_KEY" in text_of(
        browse.get("/setup")
    )


def test_a_request_that_may_be_anybodys_is_no_failure(browse, services):
    services.verifications.record("default", in_words("the query has no nonce: <b>"), proven=False)
    page = browse.get("/setup")
    assert "it may not have been WeCom" in page.text
    assert "<b>" not in page.text.partition("it may not have been")[2].partition("</div>")[0]


def test_the_last_customer_is_one_who_was_no_rehearsal(browse, services):
    accepted(services.ledger, rehearsal=True)
    assert "No customer has been announced yet" in text_of(browse.get("/setup"))
    accepted(services.ledger)
    assert "Last new customer: today" in text_of(browse.get("/setup"))


def test_the_sheet_for_the_administrator_holds_the_url_and_no_secret(browse, services):
    page = browse.get("/setup/sheet")
    assert f"{services.settings.public_url}/callback" in page.text
    assert "可调用接口的应用" in page.text
    app = services.settings.apps["default"]
    for secret in (app.secret, app.token, app.encoding_aes_key):
        assert secret not in page.text


# --- the checks


def test_a_check_is_made_once_and_seen_by_everybody(browse, services, served):
    browse.get("/setup")
    page = browse.post("/setup/check")
    text = text_of(page)
    assert "callback URL" in text
    assert "1 finding would stop a welcome" in text  # no worker
    assert "<code>wecom-welcome up</code>" in page.text
    other = Browser(services).sign_in("王芳")
    assert "1 finding would stop a welcome" in text_of(other.get("/setup"))


def test_a_second_check_within_10_seconds_is_not_made(browse, services, served):
    browse.get("/setup")
    browse.post("/setup/check")
    services.redis.delete(keys.checkup("default"))
    assert "Checked a moment ago" in text_of(browse.post("/setup/check"))
    assert services.redis.get(keys.checkup("default")) is None


def test_a_wecom_that_hangs_holds_no_page(browse, services, served, wecom, monkeypatch):
    monkeypatch.setattr(checkup, "GRACE", 0.2)
    monkeypatch.setattr("webhook.doctor.PATIENCE", 4.0)
    wecom.faults(latency_ms=60_000, paths=("gettoken",))
    browse.get("/setup")
    page = browse.post("/setup/check")
    text = text_of(page)
    assert "The check is running" in text
    assert "Checking since today" in text
    assert 'hx-trigger="every 5s"' in page.text
    until(lambda: services.redis.get(keys.checkup_running("default")) is None)
    page = browse.get("/setup")
    assert "WeCom's API" in text_of(page)
    assert 'hx-trigger="every' not in page.text


def test_two_checks_do_not_run_at_once(services, monkeypatch):
    services.redis.set(keys.checkup_running("default"), int(time.time()))
    assert not Checkup(services).begin(services.settings.apps["default"])
    assert services.redis.get(keys.checkup("default")) is None


def test_a_check_that_ends_in_an_error_shows_what_it_found_until_then(services, monkeypatch):
    def fail(*_):
        yield from ()
        raise ZeroDivisionError

    monkeypatch.setattr(checkup, "examine", fail)
    assert Checkup(services).begin(services.settings.apps["default"])
    (finding,) = Checkup(services).last(services.settings.apps["default"]).findings
    assert str(finding) == "! The check itself: ended in an error\n    → see the log"


@pytest.mark.parametrize("kept", ["", "null", "[]", '{"at": 1, "findings": [[1]]}', "not JSON"])
def test_findings_of_another_release_are_none(services, kept):
    services.redis.set(keys.checkup("default"), kept)
    assert Checkup(services).last(services.settings.apps["default"]) is None


def test_findings_are_said_in_chinese(browse, services, served):
    browse.client.set_cookie("welcome-language", "zh_Hans")
    browse.get("/setup")
    text = text_of(browse.post("/setup/check"))
    assert "欢迎语处理进程 没有在处理消息（从来没有；正常时至少每 6 秒一次）" in text
    assert "有 1 项会导致发不出欢迎语" in text


# --- the rehearsal


def test_a_rehearsal_runs_through_the_real_path_and_is_shown_with_its_preview(browse, services, served, wecom):
    browse.get("/setup")
    with working(services):
        page = browse.post("/setup/rehearsal", {"member": " zhangsan ", "state": "douyin-1"})
    text = text_of(page)
    assert "Rehearsed. Nothing was sent, and it counts nowhere" in text
    assert text.count("Done") == 6
    assert "我是张三，很高兴认识您！" in text
    assert wecom.status()["greeted"] == 0
    kept = last(services.redis, "default")
    assert (kept.member, kept.state, kept.author, kept.status) == ("zhangsan", "douyin-1", "李敏", 200)
    row = services.ledger.fields(kept.event)
    assert (row["outcome"], row["rehearsal"]) == ("rehearsed", "1")
    assert f"/console/e/{kept.event}" in page.text


def test_without_a_worker_it_waits_and_then_says_so(browse, services, served, monkeypatch):
    monkeypatch.setattr(import_module("webhook.console.setup"), "OUTCOME_WITHIN", 0.1)
    browse.get("/setup")
    page = browse.post("/setup/rehearsal", {"member": "zhangsan"})
    assert "Waiting" in text_of(page)
    assert 'hx-trigger="every 5s"' in page.text
    kept = last(services.redis, "default")
    made = steps(kept, services.ledger.delivery(kept.event), kept.at + 60, services.settings.window)
    assert [step.status for step in made[:4]] == [DONE, DONE, DONE, FAILED]


def test_a_callback_that_does_not_answer_is_shown(browse, services):
    browse.get("/setup")
    text = text_of(browse.post("/setup/rehearsal", {"member": "zhangsan"}))
    assert "does not answer from here (ConnectionError)" in text
    assert text.count("Not started") == 5


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"member": "  "}, "Enter the account of a member"),
        ({"member": "m" * 65}, "An account has at most 64 characters"),
        ({"member": "zhangsan", "state": "s" * 65}, "A State has at most 64 characters"),
    ],
)
def test_bad_input_is_kept_and_said_twice(browse, services, typed, says):
    browse.get("/setup")
    page = browse.post("/setup/rehearsal", typed)
    assert page.status_code == 422
    assert text_of(page).count(says) == 2
    assert f'value="{typed.get("state") or typed["member"].strip()}"' in page.text
    assert last(services.redis, "default") is None


def test_a_console_with_an_address_of_its_own_needs_the_public_url(services, tmp_path, redis_url):
    app = services.settings.apps["default"]
    environment = {
        "WECOM_CORP_ID": app.corp_id,
        "WECOM_CORP_SECRET": app.secret,
        "WECOM_TOKEN": app.token,
        "WECOM_ENCODING_AES_KEY": app.encoding_aes_key,
        "REDIS_URL": redis_url,
        "CONSOLE_PASSWORD": PASSWORD,
        "CONSOLE_BIND": "127.0.0.1:80",
    }
    browse = Browser(build_services(read(environment, tmp_path))).sign_in()  # whose port is 80
    assert "https://<i>your-host</i>/callback" in browse.get("/setup").text
    page = browse.post("/setup/rehearsal", {"member": "zhangsan"})
    assert page.status_code == 422
    assert "Set WELCOME_PUBLIC_URL" in text_of(page)


def test_the_last_rehearsal_is_of_its_own_app_and_hostile_values_stay_text(browse, services):
    nasty = "<script>alert(1)</script>"
    keep(services.redis, "default", KeptRehearsal("nothing", time.time(), nasty, nasty, nasty, nasty, None, nasty))
    page = browse.get("/setup")
    assert page.status_code == 200
    assert nasty not in page.text


def test_rehearsals_are_limited(browse, services, monkeypatch):
    monkeypatch.setattr(import_module("webhook.console.setup"), "REHEARSALS", "1 per minute")
    browse.get("/setup")
    browse.post("/setup/rehearsal", {"member": "zhangsan"})
    first = last(services.redis, "default")
    assert "Wait a little" in text_of(browse.post("/setup/rehearsal", {"member": "lisi"}))
    assert last(services.redis, "default") == first


# --- alerts


@pytest.fixture
def told(services: Services, wecom: StandIn, monkeypatch: pytest.MonkeyPatch) -> tuple[Browser, str]:
    """Somebody who is signed in where a group robot is set, and its URL."""
    monkeypatch.setattr(robot, "WAITS", ())
    url = wecom.robot()
    settings = replace(services.settings, alert_webhook=url)
    return Browser(build_services(settings)).sign_in("李敏"), url


def test_a_test_alert_comes_to_the_group_and_into_the_audit_trail(told: tuple[Browser, str], wecom: StandIn) -> None:
    browse, url = told
    page = browse.get("/setup")
    assert url.partition("key=")[2] not in page.text
    page = browse.post("/setup/alert")
    assert "The test alert is in the group" in text_of(page)
    assert len(wecom.alerts(url)) == 1
    assert "Sent a test alert" in text_of(browse.get("/audit"))
    browse.client.set_cookie("welcome-language", "zh_Hans")
    assert "发送了测试告警" in text_of(browse.get("/audit"))


def test_test_alerts_are_limited_for_all_together(told: tuple[Browser, str], wecom: StandIn) -> None:
    browse, url = told
    browse.get("/setup")
    for _ in range(4):
        page = browse.post("/setup/alert")
    assert "That was 3 test alerts in a minute" in text_of(page)
    assert len(wecom.alerts(url)) == 3


def test_why_no_test_alert_was_sent_is_said_in_both_languages_and_without_the_key(
    told: tuple[Browser, str], wecom: StandIn
) -> None:
    browse, url = told
    wecom.reset()  # the robot is gone
    browse.get("/setup")
    assert "WeCom knows no group robot with the key in ALERT_WEBHOOK (93000)" in text_of(browse.post("/setup/alert"))
    browse.client.set_cookie("welcome-language", "zh_Hans")
    page = browse.post("/setup/alert")
    assert "测试告警没有发出：企业微信里没有 ALERT_WEBHOOK 中的 key（93000）" in text_of(page)
    assert url.partition("key=")[2] not in page.text


def test_a_form_of_another_site_sends_none(told: tuple[Browser, str], wecom: StandIn) -> None:
    browse, url = told
    assert browse.client.post("/console/setup/alert", data={}).status_code in (400, 403)
    assert wecom.alerts(url) == []


def test_without_a_robot_the_page_says_what_to_set(browse: Browser) -> None:
    assert "Add a robot (群机器人) to a WeCom group, set ALERT_WEBHOOK" in text_of(browse.get("/setup"))
    assert "Send a test alert" not in text_of(browse.get("/setup"))
    assert "No group robot is set: ALERT_WEBHOOK" in text_of(browse.post("/setup/alert"))

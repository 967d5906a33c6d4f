"""`alert --test`: one line that says whether alerts reach the group, and if not, why."""

import pytest

from tasks.storage.embedded import EmbeddedError
from tests.simulator.client import StandIn
from tests.support.cli import failure, run, said
from tests.support.servers import nobody
from webhook.cli import common

pytestmark = pytest.mark.usefixtures("hasty_robot")


def test_a_test_alert_comes_to_the_group(environ: dict[str, str], wecom: StandIn) -> None:
    url = wecom.robot()
    assert said(run("alert", "--test", **environ | {"ALERT_WEBHOOK": url})) == [
        "The test alert is in the group, sent through 127.0.0.1."
    ]
    (message,) = wecom.alerts(url)
    assert message.startswith(
        '### <font color="info">测试：告警会发到这个群</font>\nTest: alerts come to this group.\n'
    )


def test_it_is_in_the_audit_trail(environ: dict[str, str], wecom: StandIn) -> None:
    run("alert", "--test", **environ | {"ALERT_WEBHOOK": wecom.robot()})
    assert "Sent a test alert" in run("audit", **environ).stdout


def test_it_needs_no_redis(environ: dict[str, str], wecom: StandIn) -> None:
    away = {"REDIS_URL": "redis://127.0.0.1:1", "ALERT_WEBHOOK": wecom.robot()}
    assert run("alert", "--test", **environ | away).exit_code == 0


def test_it_has_been_sent_also_where_the_data_directory_is_another_users(
    environ: dict[str, str], wecom: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shut(_: object) -> None:
        raise EmbeddedError("the data directory is another user's")

    monkeypatch.setattr(common, "reachable", shut)
    assert run("alert", "--test", **environ | {"ALERT_WEBHOOK": wecom.robot()}).exit_code == 0


def test_without_a_robot_it_says_what_to_set(environ: dict[str, str]) -> None:
    assert failure("alert", "--test", **environ).startswith("ALERT_WEBHOOK is not set; set it to the URL")


def test_a_malformed_url_is_said_and_not_quoted(environ: dict[str, str]) -> None:
    said = failure("alert", "--test", **environ | {"ALERT_WEBHOOK": "qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k"})
    assert said.startswith("settings: ALERT_WEBHOOK must be the group robot's whole URL: https://qyapi.weixin.qq.com/")


def test_a_wrong_key_is_said_with_the_cure(environ: dict[str, str], wecom: StandIn) -> None:
    said = failure("alert", "--test", **environ | {"ALERT_WEBHOOK": wecom.robot() + "x"})
    assert said == (
        "WeCom knows no group robot with the key in ALERT_WEBHOOK (93000): copy its Webhook URL anew from the group"
    )


def test_who_does_not_answer_is_named_by_host(environ: dict[str, str]) -> None:
    with nobody() as url:
        said = failure("alert", "--test", **environ | {"ALERT_WEBHOOK": f"{url}/cgi-bin/webhook/send?key=k"})
    assert said == "the group robot at 127.0.0.1 does not take it: the connection is refused"


def test_too_many_tests_are_said(environ: dict[str, str], wecom: StandIn) -> None:
    url = wecom.robot()
    for _ in range(20):
        run("alert", "--test", **environ | {"ALERT_WEBHOOK": url})
    said = failure("alert", "--test", **environ | {"ALERT_WEBHOOK": url})
    assert said == "the group robot takes 20 messages a minute, and has had them (45009): wait a minute"


def test_without_test_it_says_what_it_wants(environ: dict[str, str]) -> None:
    result = run("alert", **environ)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--test" in result.stderr

"""A group robot: its limits, what it answers, and a key that nothing shows."""

import logging
import time
from collections.abc import Callable

import pytest

from tasks.wecom import Limited, Misconfigured, NoAnswer, NotSent, WeComError, robot
from tasks.wecom.errors import BadRequest
from tasks.wecom.proxy import Proxy
from tasks.wecom.robot import LIMIT, GroupRobot, fitted
from tests.simulator.client import StandIn
from tests.simulator.robots import PER_MINUTE
from tests.support.outbound_proxy import OutboundProxy
from tests.support.servers import Server, answering, nobody, then, whole

pytestmark = pytest.mark.usefixtures("hasty_robot")
KEY = "693a91f6-secret-key"


def soon() -> float:
    return time.monotonic() + 20


def url(server: Server) -> str:
    return f"{server.url}/cgi-bin/webhook/send?key={KEY}"


def test_a_message_comes_to_the_group_as_it_is(wecom: StandIn) -> None:
    address = wecom.robot()
    GroupRobot(address).send("**你好** [a](https://b)\n> \ud83d", by=soon())
    assert wecom.alerts(address) == ["**你好** [a](https://b)\n> ?"]


def test_a_wrong_key_is_misconfigured(wecom: StandIn) -> None:
    with pytest.raises(Misconfigured, match="93000 invalid webhook url"):
        GroupRobot(wecom.robot()[:-1]).send("x", by=soon())


def test_a_robot_that_had_twenty_messages_in_a_minute_is_limited(wecom: StandIn) -> None:
    address = wecom.robot()
    for number in range(PER_MINUTE):
        GroupRobot(address).send(str(number), by=soon())
    with pytest.raises(Limited, match="45009"):
        GroupRobot(address).send("one more", by=soon())
    assert len(wecom.alerts(address)) == PER_MINUTE


@pytest.mark.parametrize("length", [LIMIT // 3, LIMIT // 3 + 1, 9000])
def test_a_message_is_cut_to_what_wecom_takes(wecom: StandIn, length: int) -> None:
    address = wecom.robot()
    GroupRobot(address).send("字" * length, by=soon())
    (message,) = wecom.alerts(address)
    assert len(message.encode()) <= LIMIT
    assert message.endswith("字" if length * 3 <= LIMIT else "\n…")
    assert message == fitted("字" * length)


def test_wecom_refuses_a_longer_one(wecom: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robot, "LIMIT", LIMIT + 9)
    with pytest.raises(BadRequest, match=r"40058 markdown\.content exceed max length 4096"):
        GroupRobot(wecom.robot()).send("x" * (LIMIT + 1), by=soon())


def test_nobody_who_answers_is_asked_three_times() -> None:
    with nobody() as address, pytest.raises(NotSent, match="refused"):
        GroupRobot(f"{address}/cgi-bin/webhook/send?key={KEY}").send("x", by=soon())
    with Server(answering(lambda n: whole(status="502 Bad Gateway") if n < 3 else whole())) as server:
        GroupRobot(url(server)).send("x", by=soon())
        assert len(server.requests) == 3
    with Server(answering(whole(b'{"errcode": -1, "errmsg": "system busy"}'))) as server:
        with pytest.raises(WeComError, match="-1 system busy"):
            GroupRobot(url(server)).send("x", by=soon())
        assert len(server.requests) == 3


def test_it_never_takes_longer_than_it_may() -> None:
    began = time.monotonic()
    with Server(then(lambda _: time.sleep(30))) as server, pytest.raises(NoAnswer, match="no answer in time"):
        GroupRobot(url(server)).send("x", by=began + 0.3)
    assert time.monotonic() - began < 10


BAD: dict[str, Callable[[Server], None]] = {
    "no JSON": answering(whole(b"<html>")),  # type: ignore[dict-item]
    "no object": answering(whole(b"[1]")),  # type: ignore[dict-item]
    "404": answering(whole(status="404 Not Found")),  # type: ignore[dict-item]
    "the key in its words": answering(whole(b'{"errcode": 93000, "errmsg": "no key %s"}' % KEY.encode())),  # type: ignore[dict-item]
    "silence": then(lambda connection: connection.close()),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("what", BAD)
def test_no_error_and_no_log_has_the_key(what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(BAD[what]) as server, pytest.raises(WeComError) as refused:  # type: ignore[arg-type]
        GroupRobot(url(server)).send("x", by=soon())
    shown = [repr(refused.value), str(refused.value), caplog.text, repr(GroupRobot(f"https://a.b/c?key={KEY}"))]
    assert not any(KEY in text or "secret" in text for text in shown)


def test_it_goes_through_the_outbound_proxy() -> None:
    with Server(answering(whole())) as server, OutboundProxy({"robot.invalid": server.port}) as proxy:
        GroupRobot("http://robot.invalid/send?key=k", Proxy.parse(proxy.url)).send("x", by=soon())
        assert proxy.asked == ["POST http://robot.invalid/send?key=k"]

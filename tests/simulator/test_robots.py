"""The group robots of the stand-in refuse what WeCom's do."""

import json

import pytest
import requests

from tests.simulator.client import StandIn

MARKDOWN = {"msgtype": "markdown", "markdown": {"content": "**你好**"}}


def post(url: str, body: object) -> tuple[int, str]:
    answer = requests.post(url, data=json.dumps(body, ensure_ascii=False).encode(), timeout=30).json()
    return answer["errcode"], answer["errmsg"].partition(",")[0]


def test_each_robot_has_a_group_of_its_own(wecom: StandIn) -> None:
    one, two = wecom.robot(), wecom.robot()
    assert post(one, MARKDOWN) == (0, "ok")
    assert (wecom.alerts(one), wecom.alerts(two)) == (["**你好**"], [])


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"msgtype": "markdown", "markdown": {"content": "字" * 1366}}, 40058),
        ({"msgtype": "text", "text": {"content": "x" * 2049}}, 40058),
        ({"msgtype": "markdown", "markdown": {}}, 44004),
        ({"msgtype": "poem"}, 40008),
        ({}, 40063),
    ],
)
def test_what_it_refuses(wecom: StandIn, body: object, refused: int) -> None:
    url = wecom.robot()
    assert post(url, body)[0] == refused
    assert wecom.alerts(url) == []


def test_an_unknown_key_is_an_invalid_url(wecom: StandIn) -> None:
    assert post(wecom.robot() + "x", MARKDOWN) == (93000, "invalid webhook url")


def test_twenty_messages_a_minute(wecom: StandIn) -> None:
    url = wecom.robot()
    assert [post(url, MARKDOWN)[0] for _ in range(22)] == [0] * 20 + [45009] * 2

"""A token that does not come from gettoken: it is kept, shared and renewed as any other."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import urllib3

from tasks.wecom import Misconfigured, NotSent, TokenRefused, WeComClient
from tasks.wecom.errors import Failure
from tasks.wecom.token import PAUSES
from tests.simulator.api import SUITE_ACCESS_TOKEN
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.servers import Server, answering, nobody, whole


@pytest.fixture
def app(wecom: StandIn) -> App:
    return wecom.register(App.random())


class Provider:
    """What a provider runs for one corp that has authorised its suite. Doc 90605."""

    def __init__(self, base_url: str, app: App, suite_access_token: str = SUITE_ACCESS_TOKEN) -> None:
        self.url = f"{base_url}/cgi-bin/service/get_corp_token?suite_access_token={suite_access_token}"
        self.code = {"auth_corpid": app.corp_id, "permanent_code": app.secret}
        self.asked: list[tuple[float, float]] = []  # when, and the deadline

    def __call__(self, by: float) -> Mapping[str, Any]:
        self.asked.append((time.monotonic(), by))
        answer: dict[str, Any] = urllib3.request("POST", self.url, json=self.code, timeout=5, retries=False).json()
        return answer

    def client(self, wecom: StandIn, app: App, redis: Any = None) -> WeComClient:
        return WeComClient(app.corp_id, app.secret, wecom.base_url, redis, timeout=20, fetch_token=self)


def test_a_third_party_app_calls_with_the_token_of_its_suite_and_shares_and_renews_it(
    wecom: StandIn, app: App, redis_client: Any
) -> None:
    wecom.people(members={"zhangsan": {}})
    provider = Provider(wecom.base_url, app)
    one, other = (provider.client(wecom, app, redis_client) for _ in range(2))
    for client in (one, other, one.with_deadline(time.monotonic() + 20)):
        assert client.external_contact.get_follow_user_list()["follow_user"] == ["zhangsan"]
    ((at, by),) = provider.asked
    assert by > at
    wecom.revoke_tokens()
    for client in (one, other):
        assert client.external_contact.get_follow_user_list()["follow_user"] == ["zhangsan"]
    assert len(provider.asked) == 2
    assert one.apart().user.get("zhangsan")["userid"] == "zhangsan"  # with a token of its own, of the same source
    assert len(provider.asked) == 3
    assert wecom.summary().token_fetches == {"default": 3}  # gettoken was never asked, which would count here too


@pytest.mark.parametrize(
    ("different", "errcode"),
    [({"permanent_code": "wrong"}, 40084), ({"auth_corpid": "ww_of_somebody_else"}, 710000)],
)
def test_what_the_source_is_refused_is_remembered(
    wecom: StandIn, app: App, different: dict[str, str], errcode: int
) -> None:
    provider = Provider(wecom.base_url, app)
    provider.code |= different
    client = provider.client(wecom, app)
    for _ in range(2):
        with pytest.raises(Misconfigured) as raised:
            client.user.get("zhangsan")
        assert (raised.value.errcode, raised.value.path) == (errcode, "gettoken")
    assert len(provider.asked) == 1


def test_a_source_whose_own_token_has_ended_is_asked_again_after_a_pause(wecom: StandIn, app: App) -> None:
    provider = Provider(wecom.base_url, app, "ended")
    client = provider.client(wecom, app)
    with pytest.raises(TokenRefused) as raised:
        client.get("getcallbackip")
    assert raised.value.errcode == 40082
    provider.url = provider.url.replace("ended", SUITE_ACCESS_TOKEN)
    assert client.get("getcallbackip")["ip_list"]
    first, second = (at for at, _ in provider.asked)
    assert second - first >= PAUSES[0]


def test_a_source_that_cannot_be_reached_means_that_nothing_was_sent(wecom: StandIn, app: App) -> None:
    with nobody() as url, pytest.raises(NotSent) as raised:
        Provider(url, app).client(wecom, app).user.get("zhangsan")
    assert raised.value.failure is Failure.CONNECTION_REFUSED
    assert SUITE_ACCESS_TOKEN not in str(raised.value)
    assert raised.value.__context__ is None


def test_a_source_that_gives_no_json_is_no_answer(wecom: StandIn, app: App) -> None:
    with Server(answering(whole(b"<html>", "502 Bad Gateway"))) as server, pytest.raises(NotSent) as raised:
        Provider(server.url, app).client(wecom, app).user.get("zhangsan")
    assert raised.value.failure is Failure.NOT_JSON


def gives(answer: Any) -> Callable[[float], Any]:
    return lambda by: answer


@pytest.mark.parametrize("answer", [{}, {"access_token": "T"}, {"access_token": "T", "expires_in": "7200"}])
def test_an_answer_without_a_token_or_its_life_is_none(wecom: StandIn, app: App, answer: Any) -> None:
    client = WeComClient(app.corp_id, "code", wecom.base_url, timeout=20, fetch_token=gives(answer))
    with pytest.raises(NotSent) as raised:
        client.user.get("zhangsan")
    assert raised.value.failure is Failure.NO_TOKEN


def test_a_mistake_in_the_source_reaches_the_caller(wecom: StandIn, app: App) -> None:
    client = WeComClient(app.corp_id, "code", wecom.base_url, timeout=20, fetch_token=gives(None))
    with pytest.raises(TypeError):
        client.user.get("zhangsan")

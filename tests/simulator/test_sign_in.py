"""The stand-in sends a browser back as the pages of 授权登录 do, and its getuserinfo refuses what WeCom's does."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from tasks.wecom import WeComAPIError, WeComClient, auth
from tasks.wecom.errors import BadRequest, InvalidRequest
from tests.simulator.client import StandIn
from tests.simulator.sign_in import LINKED, OUTSIDER, QR_PAGE, SILENT_PAGE
from tests.simulator.world import App

BACK = "http://127.0.0.1:8000/console/back"


@pytest.fixture
def app(wecom: StandIn) -> App:
    app = wecom.register(App.random())
    wecom.people(members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}})
    return app


@pytest.fixture
def client(wecom: StandIn, app: App) -> WeComClient:
    return WeComClient(app.corp_id, app.secret, wecom.base_url)


def visit(wecom: StandIn, app: App, page: str = SILENT_PAGE, back: str = BACK, **different: str) -> requests.Response:
    url = auth.silent_url if page == SILENT_PAGE else auth.qr_url
    where = url(app.corp_id, app.agent_id, back, "s1", page=wecom.base_url + page)
    given = {**{name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}, **different}
    return requests.get(f"{where.partition('?')[0]}?{urlencode(given)}", timeout=30, allow_redirects=False)


def brought(response: requests.Response) -> dict[str, str]:
    assert response.headers["Location"].startswith(BACK + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["Location"]).query).items()}


def errcode_of(client: WeComClient, code: str) -> int:
    with pytest.raises(WeComAPIError) as refused:
        client.auth.getuserinfo(code)
    return refused.value.errcode


def test_who_is_present_comes_back_at_once_with_a_code_that_works_once(
    wecom: StandIn, app: App, client: WeComClient
) -> None:
    wecom.sign_in(present="lisi")
    given = brought(visit(wecom, app))
    assert given["state"] == "s1"
    assert client.auth.getuserinfo(given["code"])["userid"] == "lisi"
    with pytest.raises(BadRequest) as used:
        client.auth.getuserinfo(given["code"])
    assert used.value.errcode == 40029
    assert given["code"] not in str(used.value)


def test_the_page_with_the_qr_code_offers_everybody_and_to_cancel(
    wecom: StandIn, app: App, client: WeComClient
) -> None:
    page = visit(wecom, app, QR_PAGE).text
    links = re.findall(r'href="([^"]+)"', page)
    answers = [
        requests.get(wecom.base_url + link.replace("&amp;", "&"), timeout=30, allow_redirects=False) for link in links
    ]
    came = [brought(answer) for answer in answers]
    assert "code" not in came[-1]
    told = [client.auth.getuserinfo(one["code"]) for one in came[:-1]]
    assert [one.get("userid") for one in told] == ["zhangsan", "lisi", None, LINKED]
    assert told[2]["openid"]


@pytest.mark.parametrize(("who", "known"), [(OUTSIDER, None), ("wm1", "wm1")])
def test_who_is_no_member_has_no_userid(wecom: StandIn, client: WeComClient, who: str, known: str | None) -> None:
    wecom.people(customers={"wm1": {"name": "客户"}})
    told = client.auth.getuserinfo(wecom.code_for(who))
    assert "userid" not in told
    assert told.get("external_userid") == known


def test_a_code_is_of_the_app_that_it_was_made_for(wecom: StandIn, app: App, client: WeComClient) -> None:
    other = wecom.register(App.random("other", corp_id=app.corp_id))
    code = wecom.code_for("zhangsan", other.name)
    assert errcode_of(client, code) == 40029
    assert WeComClient(other.corp_id, other.secret, wecom.base_url).auth.getuserinfo(code)["userid"] == "zhangsan"


@pytest.mark.parametrize("code", ["nobody's", "x" * 512])
def test_an_unknown_code_is_refused(client: WeComClient, code: str) -> None:
    assert errcode_of(client, code) == 40029


@pytest.mark.parametrize("code", ["", "x" * 513, "字" * 171])
def test_what_cannot_be_a_code_is_not_sent(client: WeComClient, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.auth.getuserinfo(code)
    assert not code or code not in str(refused.value)


def test_a_domain_that_is_not_registered_or_another_app_brings_nobody_back(wecom: StandIn, app: App) -> None:
    wecom.sign_in(domains=["welcome.example.com"])
    assert "50001" in visit(wecom, app).text
    wecom.sign_in(domains=["127.0.0.1:8000"])
    assert visit(wecom, app).status_code == 302
    wecom.sign_in(domains=[])
    for different in ({"agentid": "9"}, {"appid": "wwother"}):
        assert "40013" in visit(wecom, app, **different).text


@pytest.mark.parametrize(
    ("agent", "within"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) wxwork/4.1.36 MicroMessenger/7.0.1 Language/zh", True),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605 MicroMessenger/8.0.50", False),  # WeChat
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/139", False),
    ],
)
def test_wecom_s_own_browser_is_told_by_its_name(agent: str, within: bool) -> None:
    assert auth.is_wecom_browser(agent) is within

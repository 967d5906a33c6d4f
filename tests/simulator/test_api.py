"""Tokens, codes, people and media."""

import pytest
import requests

from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.until import until
from tests.support.wecom_app import Api

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


# ------------------------------------------------------------------------------------------------ tokens


def test_the_same_token_is_given_as_long_as_it_is_valid_and_fetches_are_counted(wecom: StandIn, api: Api) -> None:
    first = api.get_token()
    assert api.get_token()["access_token"] == first["access_token"]
    assert first["errcode"] == 0
    assert 7198 <= first["expires_in"] <= 7200
    assert wecom.summary().token_fetches == {"default": 2}


@pytest.mark.parametrize(
    ("query", "errcode"),
    [({"corpid": ""}, 41002), ({"corpsecret": ""}, 41004), ({"corpid": "ww0"}, 40013), ({"corpsecret": "x"}, 40001)],
)
def test_a_wrong_gettoken_is_refused(api: Api, query: dict[str, str], errcode: int) -> None:
    assert api.get_token(**query)["errcode"] == errcode


def test_a_token_counts_in_the_query_only(api: Api) -> None:
    api.get_token()
    url = f"{api.base_url}/cgi-bin/getcallbackip"
    elsewhere = {"Authorization": f"Bearer {api.token}", "access_token": api.token}
    assert requests.get(url, headers=elsewhere, timeout=30).json()["errcode"] == 41001
    assert requests.get(f"{url}?access_token=x", timeout=30).json()["errcode"] == 40014
    assert requests.get(f"{url}?access_token={api.token}", timeout=30).json()["errcode"] == 0


def test_a_revoked_token_is_dead_and_gettoken_gives_another(wecom: StandIn, api: Api) -> None:
    old = api.get_token()["access_token"]
    assert wecom.revoke_tokens() == 1
    assert api.get("getcallbackip")["errcode"] == 40014
    assert api.get_token()["access_token"] != old
    assert api.get("getcallbackip")["errcode"] == 0


def test_a_token_past_its_life_is_expired(wecom: StandIn, api: Api) -> None:
    wecom.settings(token_life_s=0)
    api.get_token()
    assert api.get("getcallbackip")["errcode"] == 42001


def test_an_unknown_path_is_an_empty_404_and_a_wrong_verb_is_40058(api: Api) -> None:
    response = api.call("GET", "no/such/path")
    assert (response.status_code, response.content) == (404, b"")
    assert api.get("externalcontact/send_welcome_msg")["errcode"] == 40058


# ------------------------------------------------------------------------------------------------ codes


def test_a_code_greets_once(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    assert [api.greet(added.welcome_code) for _ in range(3)] == [0, 41050, 41050]
    record, summary = wecom.record(added), wecom.summary()
    assert record.content == {"text": "hello", "attachments": []}
    assert [send.result for send in record.sends] == [0, 41050, 41050]
    assert (summary.greeted, summary.greeted_in_window, summary.spent_twice) == (1, 1, 2)


def test_an_unknown_code_is_invalid_and_counted(wecom: StandIn, api: Api) -> None:
    assert api.greet("no-such-code") == 41050
    assert wecom.summary().unknown_codes == 1


def test_a_code_is_invalid_once_its_window_is_over(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    wecom.settings(window_s=0)
    assert api.greet(added.welcome_code) == 41050
    wecom.settings(window_s=20)
    assert api.greet(added.welcome_code) == 0


def test_a_refused_call_leaves_the_code_as_it_was(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    assert api.greet_raw(added.welcome_code, text="").json()["errcode"] == 44004
    assert api.greet(added.welcome_code) == 0


def test_a_call_that_passes_with_a_warning_spends_the_code_and_greets_nobody(wecom: StandIn, api: Api) -> None:
    added = wecom.add(push=False)
    body = {"welcome_code": added.welcome_code, "text": {"content": "hello"}, "link": []}
    answer = api.call("POST", "externalcontact/send_welcome_msg", json=body).json()
    assert (answer["errcode"], answer["errmsg"]) == (0, "Warning: wrong json format")
    record = wecom.record(added)
    assert record.spent_at is not None
    assert record.greeted_at is None


def test_of_two_apps_of_a_corp_the_first_greets_and_the_other_is_told_so(wecom: StandIn, api: Api) -> None:
    other = Api(wecom.base_url, wecom.register(App.random("other", corp_id=api.app.corp_id)))
    ours = wecom.add(user_id="lisi", external_user_id="wm1", push=False)
    theirs = wecom.add(app="other", user_id="lisi", external_user_id="wm1", push=False)
    assert api.greet(theirs.welcome_code) == 41050  # a code is for the app that it was given to
    assert other.greet(theirs.welcome_code) == 0
    assert api.greet(ours.welcome_code) == 41051


def test_while_one_app_s_greeting_is_on_its_way_the_other_is_told_to_wait(wecom: StandIn, api: Api) -> None:
    other = Api(wecom.base_url, wecom.register(App.random("other", corp_id=api.app.corp_id)))
    other.get_token()
    ours = wecom.add(external_user_id="wm1", push=False)
    theirs = wecom.add(app="other", external_user_id="wm1", push=False)
    wecom.faults(latency_ms=10_000)
    with pytest.raises(requests.ReadTimeout):
        other.greet_raw(theirs.welcome_code, timeout=0.5)
    until(lambda: wecom.record(theirs).sends, what="the call")
    wecom.faults()
    assert api.greet(ours.welcome_code) == 41096


def test_after_a_deletion_the_customer_may_be_greeted_again(wecom: StandIn, api: Api) -> None:
    first = wecom.add(external_user_id="wm1", push=False)
    assert api.greet(first.welcome_code) == 0
    wecom.add(external_user_id="wm1", change="del_follow_user", welcome_code="", push=False)
    assert api.greet(wecom.add(external_user_id="wm1", push=False).welcome_code) == 0


# ------------------------------------------------------------------------------------------------ people


def test_who_met_is_known_to_the_contact_api(wecom: StandIn, api: Api) -> None:
    wecom.people({"zhangsan": {"name": "张三", "department": [1, 3]}}, {"wm1": {"name": "王芳"}})
    wecom.add(external_user_id="wm1", state="douyin-1", push=False)
    customer = api.get("externalcontact/get", external_userid="wm1")
    assert customer["external_contact"]["name"] == "王芳"
    assert [(f["userid"], f["state"]) for f in customer["follow_user"]] == [("zhangsan", "douyin-1")]
    member = api.get("user/get", userid="zhangsan")
    assert (member["name"], member["department"]) == ("张三", [1, 3])
    assert api.get("externalcontact/get_follow_user_list")["follow_user"] == ["zhangsan"]


def test_who_is_not_known_has_an_errcode(api: Api) -> None:
    assert api.get("externalcontact/get", external_userid="wm0")["errcode"] == 84061
    assert api.get("user/get", userid="nobody")["errcode"] == 60111
    assert api.get("user/get")["errcode"] == 41009


# ------------------------------------------------------------------------------------------------ media


def upload(api: Api, kind: str, content: bytes, filename: str = "图.png") -> dict[str, str]:
    return api.call("POST", "media/upload", params={"type": kind}, files={"media": (filename, content)}).json()


def test_uploaded_material_is_used_in_a_greeting_and_read_back(wecom: StandIn, api: Api) -> None:
    uploaded = upload(api, "image", PNG)
    assert isinstance(uploaded["created_at"], str)
    code = wecom.add(push=False).welcome_code
    image = {"msgtype": "image", "image": {"media_id": uploaded["media_id"]}}
    body = {"welcome_code": code, "attachments": [image]}
    assert api.call("POST", "externalcontact/send_welcome_msg", json=body).json()["errcode"] == 0
    read = api.call("GET", "media/get", params={"media_id": uploaded["media_id"]})
    assert read.content == PNG
    assert "%E5%9B%BE.png" in read.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("kind", "content", "errcode"),
    [
        ("picture", PNG, 40005),
        ("image", b"GIF89a....", 40004),
        ("file", b"12345", 40006),
        ("file", b"", 44001),
        ("image", PNG + bytes(10 << 20), 40009),
    ],
)
def test_material_that_breaks_a_limit_is_refused(api: Api, kind: str, content: bytes, errcode: int) -> None:
    assert int(upload(api, kind, content)["errcode"]) == errcode


def test_a_filename_in_the_extended_form_is_ignored(api: Api) -> None:
    head = b"--b\r\nContent-Disposition: form-data; name=\"media\"; filename*=UTF-8''a.png\r\n\r\n"
    body, content_type = head + PNG + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}
    answer = api.call("POST", "media/upload", params={"type": "image"}, data=body, headers=content_type)
    assert answer.json()["errcode"] == 44001


def test_material_dies_after_three_days_or_when_it_is_killed(wecom: StandIn, api: Api) -> None:
    first, second = (upload(api, "file", b"content", "价格.pdf")["media_id"] for _ in range(2))
    assert wecom.kill_media([first]) == 1
    assert api.get("media/get", media_id=first)["errcode"] == 40007
    assert api.call("GET", "media/get", params={"media_id": second}).content == b"content"
    wecom.settings(media_life_s=0)
    assert api.get("media/get", media_id=second)["errcode"] == 40007


def test_a_pic_url_comes_from_uploadimg(wecom: StandIn, api: Api) -> None:
    url = api.call("POST", "media/uploadimg", files={"media": ("a.png", PNG)}).json()["url"]
    body = {
        "welcome_code": wecom.add(push=False).welcome_code,
        "attachments": [{"msgtype": "image", "image": {"pic_url": url}}],
    }
    assert api.call("POST", "externalcontact/send_welcome_msg", json=body).json()["errcode"] == 0

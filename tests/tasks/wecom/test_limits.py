"""A request that WeCom cannot accept is refused before it is sent: the field, the value and the limit are named."""

import inspect
import json
from typing import Any

import pytest

from tasks.greeting import policy
from tasks.greeting.policy import Finish, TryState
from tasks.wecom import InvalidRequest, WeComClient, WeComError
from tests.support.recording import Recorder

PNG = b"\x89PNG\r\n\x1a\n"
DAY = 86400


def welcome(**content: Any) -> tuple[dict[str, Any]]:
    return ({"welcome_code": "C", **content},)


def attached(kind: str, **fields: Any) -> tuple[dict[str, Any]]:
    return welcome(attachments=[{"msgtype": kind, kind: fields}])


LINK = {"title": "t", "url": "https://example.com"}
PROGRAM = {"title": "t", "pic_media_id": "m", "appid": "wx1", "page": "p"}
SAID = {"text": {"content": "您好"}}
TO = {"sender": "zhangsan"}
FILM = {"msgtype": "video", "video": {"media_id": "m"}}
PICTURE = {"msgtype": "image", "image": {"media_id": "m"}}
MARKDOWN = {"touser": "a", "msgtype": "markdown", "markdown": {"content": "x" * 2049}}
JOIN = {"scene": 2, "chat_id_list": ["wr1"]}

REFUSED: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str]] = [
    # call, arguments, keywords, field, value and limit in the message
    ("send_welcome_msg", ({**SAID},), {}, "welcome_code", "empty, at least one is required"),
    ("send_welcome_msg", welcome(text={"content": "您" * 1334}), {}, "text.content", "4002 bytes"),
    ("send_welcome_msg", welcome(), {}, "text, image, link, miniprogram", "all empty, at least one is required"),
    ("send_welcome_msg", welcome(text={"content": ""}), {}, "text, image, link, miniprogram", "all empty"),
    ("send_welcome_msg", welcome(text={}, attachments=[]), {}, "text, attachments", "all empty"),
    ("send_welcome_msg", welcome(text=[]), {}, "text", "a list, must be an object"),
    ("send_welcome_msg", welcome(text={"content": 1}), {}, "text.content", "a int, must be a text"),
    ("send_welcome_msg", welcome(link=[]), {}, "link", "a list, must be an object"),
    ("send_welcome_msg", welcome(attachments={}), {}, "attachments", "a dict, must be a list"),
    ("send_welcome_msg", welcome(attachments=[{}] * 10), {}, "attachments", "10 entries, at most 9"),
    ("send_welcome_msg", welcome(attachments=["x"]), {}, "attachments[0]", "a str, must be an object"),
    ("send_welcome_msg", welcome(attachments=[{}]), {}, "attachments[0].msgtype", "'none', must be image, link"),
    ("send_welcome_msg", welcome(attachments=[{"msgtype": "file"}]), {}, "attachments[0].file", "a NoneType, must be"),
    ("send_welcome_msg", attached("voice", media_id="m"), {}, "attachments[0].msgtype", "'voice', must be image"),
    ("send_welcome_msg", attached("image"), {}, "attachments[0].image.media_id", "both empty, one is required"),
    ("send_welcome_msg", attached("video"), {}, "attachments[0].video.media_id", "empty, it is required"),
    ("send_welcome_msg", attached("link", title="t"), {}, "attachments[0].link.url", "empty, it is required"),
    ("send_welcome_msg", attached("link", **{**LINK, "title": "题" * 43}), {}, "link.title", "129 bytes"),
    ("send_welcome_msg", attached("link", **LINK, desc="d" * 513), {}, "link.desc", "513 bytes of UTF-8, at most 512"),
    ("send_welcome_msg", attached("link", **LINK, picurl="u" * 2049), {}, "link.picurl", "2049 bytes"),
    ("send_welcome_msg", attached("miniprogram", **{**PROGRAM, "title": "t" * 65}), {}, "program.title", "65 bytes"),
    ("send_welcome_msg", attached("miniprogram", **{**PROGRAM, "page": ""}), {}, "miniprogram.page", "it is required"),
    ("send_welcome_msg", welcome(image={}, link=LINK), {}, "image.media_id", "both empty"),
    ("add_contact_way", (3, 2), {}, "type", "3, must be 1 or 2"),
    ("add_contact_way", (2, 0), {}, "scene", "0, must be 1 or 2"),
    ("add_contact_way", (1, 2), {}, "user", "0 entries, exactly 1 where type is 1"),
    ("add_contact_way", (1, 2), {"user": ["a", "b"]}, "user", "2 entries, exactly 1 where type is 1"),
    ("add_contact_way", (2, 2), {"user": "zhangsan"}, "user", "a str, must be a list"),
    ("add_contact_way", (2, 2), {"user": ["a"] * 101}, "user", "101 entries, at most 100"),
    ("add_contact_way", (2, 2), {"remark": "备" * 31}, "remark", "31 characters, at most 30"),
    ("add_contact_way", (2, 2), {"state": "s" * 31}, "state", "31 characters, at most 30"),
    ("add_contact_way", (2, 2), {"expires_in": 14 * DAY + 1}, "expires_in", "at most 1209600"),
    ("add_contact_way", (2, 2), {"chat_expires_in": 0}, "chat_expires_in", "0, at least 1"),
    ("add_contact_way", (2, 2), {"conclusions": {}}, "text, image, link, miniprogram", "all empty"),
    ("update_contact_way", ("id", "备" * 31), {}, "remark", "31 characters, at most 30"),
    ("list_contact_way", (), {"limit": 1001}, "limit", "1001, at most 1000"),
    ("list_contact_way", (9, 8), {}, "start_time, end_time", "the end is before the start"),
    ("add_msg_template", ({**TO},), {}, "text, image, link, miniprogram", "all empty"),
    ("add_msg_template", ({**SAID},), {}, "external_userid, sender, tag_filter", "all empty"),
    ("add_msg_template", ({**SAID, "chat_type": "group"},), {}, "sender", "empty"),
    ("add_msg_template", ({**SAID, **TO, "chat_type": "all"},), {}, "chat_type", "'all', must be single or group"),
    ("add_msg_template", ({**SAID, "external_userid": ["w"] * 10_001},), {}, "external_userid", "10001 entries"),
    ("add_msg_template", ({**SAID, **TO, "chat_id_list": ["w"] * 2001},), {}, "chat_id_list", "at most 2000"),
    ("get_group_msg_result", ("m", 10_001), {}, "limit", "at most 10000"),
    ("get_groupmsg_list_v2", ("both", 0, 1), {}, "chat_type", "'both', must be single or group"),
    ("get_groupmsg_list_v2", ("single", 0, 32 * DAY), {}, "start_time, end_time", "32.0 days, at most 31"),
    ("get_groupmsg_list_v2", ("single", 0, 1), {"limit": 101}, "limit", "101, at most 100"),
    ("get_groupmsg_task", ("m", 1001), {}, "limit", "at most 1000"),
    ("get_groupmsg_send_result", ("m", "u", 0), {}, "limit", "0, at least 1"),
    ("get_user_behavior_data", ([], 0, 1), {}, "userid, partyid", "all empty"),
    ("get_user_behavior_data", (["u"] * 101, 0, 1), {}, "userid", "101 entries, at most 100"),
    ("get_user_behavior_data", (["u"], 0, 31 * DAY), {}, "start_time, end_time", "31.0 days, at most 30"),
    ("get_unassigned_list", (0, 1001), {}, "page_size", "1001, at most 1000"),
    ("get_unassigned_list", (50, 1000), {}, "page_id", "50 pages of 1000, below 50000 customers"),
    ("batch_get_by_user", ([],), {}, "userid_list", "0 entries, at least 1"),
    ("batch_get_by_user", (["u"] * 101,), {}, "userid_list", "101 entries, at most 100"),
    ("contact_list", (None, 1001), {}, "limit", "at most 1000"),
    ("remark", ("u", "w"), {}, "remark, description", "all empty, at least one is required"),
    ("remark", ("u", "w", "备" * 21), {}, "remark", "21 characters, at most 20"),
    ("remark", ("u", "w"), {"description": "d" * 151}, "description", "at most 150"),
    ("remark", ("u", "w"), {"remark_company": "c" * 21}, "remark_company", "at most 20"),
    ("remark", ("u", "w"), {"remark_mobiles": "1380000"}, "remark_mobiles", "a str, must be a list"),
    ("transfer", ("w", "a", "b", "m" * 201), {}, "transfer_success_msg", "201 characters, at most 200"),
    ("transfer_customer", ("a", "b", []), {}, "external_userid", "0 entries, at least 1"),
    ("transfer_customer", ("a", "b", ["w"] * 101), {}, "external_userid", "101 entries, at most 100"),
    ("resigned_transfer_customer", ("a", "b", "wm1"), {}, "external_userid", "a str, must be a list"),
    ("groupchat_transfer", (["c"] * 101, "a"), {}, "chat_id_list", "at most 100"),
    ("groupchat_onjob_transfer", ([], "a"), {}, "chat_id_list", "at least 1"),
    ("mark_tag", ("u", "w"), {}, "add_tag, remove_tag", "all empty"),
    ("mark_tag", ("u", "w", ["t"] * 3001), {}, "add_tag", "at most 3000"),
    ("add_corp_tag", ([],), {"group_name": "g"}, "tag", "0 entries, at least 1"),
    ("add_corp_tag", ([{"name": "签" * 31}],), {"group_name": "g"}, "tag[0].name", "31 characters, at most 30"),
    ("add_corp_tag", ([{}],), {"group_name": "g"}, "tag[0].name", "0 characters, at least 1"),
    ("add_corp_tag", ([{"name": "n"}],), {}, "group_id, group_name", "all empty"),
    ("add_corp_tag", ([{"name": "n", "order": 2**32}],), {"group_id": "g"}, "tag[0].order", "at most 4294967295"),
    ("edit_corp_tag", ("id", ""), {}, "name", "0 characters, at least 1"),
    ("del_corp_tag", (), {}, "tag_id, group_id", "all empty"),
    ("groupchat_list", (1001,), {}, "limit", "at most 1000"),
    ("groupchat_list", (1, 4), {}, "status_filter", "4, must be 0, 1, 2 or 3"),
    ("groupchat_list", (1,), {"owner_filter": {"userid_list": ["u"] * 101}}, "owner_filter.userid_list", "at most 100"),
    ("groupchat_get", ("wr1", 2), {}, "need_name", "2, must be 0 or 1"),
    ("groupchat_add_join_way", (3, ["wr1"]), {}, "scene", "3, must be 1 or 2"),
    ("groupchat_add_join_way", (2, ["wr"] * 6), {}, "chat_id_list", "6 entries, at most 5"),
    ("groupchat_add_join_way", (), {**JOIN, "state": "s" * 31}, "state", "at most 30"),
    ("groupchat_update_join_way", ("id",), {**JOIN, "room_base_name": "名" * 41}, "room_base_name", "at most 40"),
    ("groupchat_statistic", (0, {}, 31 * DAY), {}, "day_begin_time, day_end_time", "31.0 days, at most 30"),
    ("groupchat_statistic", (9, {}, 8), {}, "day_begin_time, day_end_time", "the end is before the start"),
    ("groupchat_statistic_group_by_day", (0, {}, 31 * DAY), {}, "day_begin_time, day_end_time", "at most 30"),
    ("groupchat_statistic", (0, {}), {"order_by": 5}, "order_by", "5, must be 1, 2, 3 or 4"),
    ("group_welcome_template_add", ({"text": {"content": "您" * 1001}},), {}, "text.content", "3003 bytes"),
    ("group_welcome_template_add", ({},), {}, "text, image, link, miniprogram, file, video", "all empty"),
    ("group_welcome_template_edit", ({**SAID},), {}, "template_id", "empty"),
    ("customer_acquisition_create_link", ("名" * 31, {"user_list": ["u"]}), {}, "link_name", "at most 30"),
    ("customer_acquisition_create_link", ("n", {}), {}, "range.user_list, range.department_list", "all empty"),
    ("customer_acquisition_create_link", ("n", {"user_list": ["u"] * 501}), {}, "range.user_list", "at most 500"),
    ("customer_acquisition_list_link", (101,), {}, "limit", "at most 100"),
    ("customer_acquisition_customer", ("id", 1001), {}, "limit", "at most 1000"),
    ("customer_acquisition_statistic", ("id", 0, 31 * DAY), {}, "start_time, end_time", "31.0 days, at most 30"),
    ("add_moment_task", ({},), {}, "text, attachments", "all empty"),
    ("add_moment_task", ({"text": {"content": "字" * 2001}},), {}, "text.content", "2001 characters, at most 2000"),
    ("add_moment_task", ({"attachments": [FILM, FILM]},), {}, "attachments of kind video", "2 entries, at most 1"),
    ("add_moment_task", ({"attachments": [FILM, PICTURE]},), {}, "attachments", "2 kinds, must be of one kind"),
    ("add_moment_task", ({"attachments": [{"msgtype": "file"}]},), {}, "attachments[0].msgtype", "must be image"),
    ("get_moment_list", (0, 31 * DAY), {}, "start_time, end_time", "31.0 days, at most 30"),
    ("get_moment_send_result", ("m", "u", None, 5001), {}, "limit", "at most 5000"),
    ("add_product_album", ("d" * 301, 1, [{}]), {}, "description", "at most 300"),
    ("add_product_album", ("d", 5_000_001, [{}]), {}, "price", "at most 5000000"),
    ("add_product_album", ("d", 1, [{}] * 10), {}, "attachments", "10 entries, at most 9"),
    ("add_intercept_rule", ("n" * 21, ["w"], 1, {"user_list": ["u"]}), {}, "rule_name", "at most 20"),
    ("add_intercept_rule", ("n", ["w" * 33], 1, {"user_list": ["u"]}), {}, "word_list[0]", "at most 32"),
    ("add_intercept_rule", ("n", ["w"] * 301, 1, {"user_list": ["u"]}), {}, "word_list", "at most 300"),
    ("add_intercept_rule", ("n", ["w"], 3, {"user_list": ["u"]}), {}, "intercept_type", "3, must be 1 or 2"),
    ("add_intercept_rule", ("n", ["w"], 1, {}), {}, "applicable_range.user_list", "all empty"),
    ("user.list_id", (None, 10_001), {}, "limit", "at most 10000"),
    ("media.upload", ("gif", PNG, "a.png"), {}, "type", "'gif', must be image, voice, video or file"),
    ("media.upload", ("file", b"12345", "a.txt"), {}, "media", "5 bytes, more than 5 and at most 20971520"),
    ("media.upload", ("image", b"GIF89a....", "a.gif"), {}, "media", "neither JPG nor PNG"),
    ("media.upload", ("image", PNG + bytes(10 << 20), "a.png"), {}, "media", "10485768 bytes, more than 5"),
    ("media.upload", ("voice", bytes((2 << 20) + 1), "a.amr"), {}, "media", "at most 2097152"),
    ("media.upload", ("video", bytes((10 << 20) + 1), "a.mp4"), {}, "media", "at most 10485760"),
    ("media.upload", ("file", bytes((20 << 20) + 1), "a.pdf"), {}, "media", "at most 20971520"),
    ("media.upload", ("file", b"123456"), {}, "filename", "none, it is required where media is bytes"),
    ("media.upload", ("file", "/no/such/file.pdf"), {}, "media", "file.pdf: No such file or directory"),
    ("media.uploadimg", (PNG + bytes(2 << 20), "a.png"), {}, "media", "at most 2097152"),
    ("media.upload_attachment", ("voice", 1, PNG, "a"), {}, "media_type", "'voice', must be image, video or file"),
    ("media.upload_attachment", ("image", 3, PNG, "a"), {}, "attachment_type", "3, must be 1 or 2"),
    ("media.upload_by_url", (1, "file", "名" * 43, "https://u", "m"), {}, "filename", "129 bytes of UTF-8"),
    ("media.upload_by_url", (2, "file", "n", "https://u", "m"), {}, "scene", "2, must be 1"),
    ("media.upload_by_url", (1, "file", "n", "u" * 1025, "m"), {}, "url", "at most 1024"),
    ("message.send", ({"msgtype": "text", "text": {"content": "x"}},), {}, "touser, toparty, totag", "all empty"),
    ("message.send", ({"touser": ["a"], "msgtype": "text"},), {}, "touser", "a list, must be a text, with | between"),
    ("message.send", ({"touser": "|".join("a" * 1001)},), {}, "touser", "1001 entries, at most 1000"),
    ("message.send", ({"touser": "a", "msgtype": "text"},), {}, "text", "a NoneType, must be an object"),
    ("message.send", ({"touser": "a", "msgtype": "x"},), {}, "msgtype", "'x', must be text, image"),
    ("message.send", (MARKDOWN,), {}, "markdown.content", "2049 bytes of UTF-8, at most 2048"),
]  # fmt: skip

TAKEN: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [  # at the limit, or limited by nothing of WeCom's
    ("send_welcome_msg", welcome(text={"content": "您" * 1333 + "x"}), {}),
    ("send_welcome_msg", welcome(**SAID, attachments=[]), {}),
    ("send_welcome_msg", welcome(attachments=[{"msgtype": "link", "link": LINK, "new": {"x": 1}}] * 9, new=[1]), {}),
    ("send_welcome_msg", welcome(image={"pic_url": "u"}, link={"title": "题" * 99}), {}),  # only the first one is used
    ("send_welcome_msg", attached("image", pic_url="https://wework.qpic.cn/1"), {}),
    ("send_welcome_msg", attached("link", **{**LINK, "title": "题" * 42}), {}),
    ("add_contact_way", (2, 1), {"remark": "备" * 30, "state": "态" * 30, "user": ["u"] * 100}),
    ("add_contact_way", (1, 2), {"user": ("zhangsan",), "expires_in": 14 * DAY}),
    ("update_contact_way", ("id", ""), {"user": ["a", "b"]}),
    ("add_msg_template", ({**SAID, "external_userid": ["w"] * 10_000},), {}),
    ("add_msg_template", ({**SAID, **TO, "chat_type": "group", "chat_id_list": ["w"] * 2000},), {}),
    ("add_msg_template", ({**SAID, "tag_filter": {"group_list": [{"tag_list": ["t"]}]}, "unknown": 1},), {}),
    ("batch_get_by_user", (["u"] * 100,), {"limit": 1000}),  # WeCom treats it as 100
    ("get_unassigned_list", (49, 1000), {}),
    ("get_unassigned_list", (None, None, "c"), {}),
    ("get_user_behavior_data", ("zhangsan", 0, 30 * DAY), {}),
    ("groupchat_statistic", (0, {"userid_list": ["u"]}, 30 * DAY), {}),
    ("groupchat_statistic_group_by_day", (0, {"userid_list": ["u"]}), {}),
    ("remark", ("u", "w", ""), {}),
    ("remark", ("u", "w"), {"remark_mobiles": []}),
    ("group_welcome_template_add", ({"text": {"content": "您" * 1000}, "video": {"media_id": "m"}, "notify": 0},), {}),
    ("media.upload", ("image", PNG, "a.png"), {}),
    ("media.upload", ("file", bytes(20 << 20), "a.bin"), {}),
    ("message.send", ({"touser": "@all", "agentid": 1, "msgtype": "text", "text": {"content": "x" * 9999}},), {}),
]  # fmt: skip


def call(client: WeComClient, name: str) -> Any:
    resource, _, method = (name if "." in name else f"external_contact.{name}").partition(".")
    return getattr(getattr(client, resource), method)


@pytest.mark.parametrize(("name", "arguments", "keywords", "field", "said"), REFUSED)
def test_a_request_beyond_a_limit_is_refused_before_it_is_sent(
    name: str,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    field: str,
    said: str,
    recorder: Recorder,
    client: WeComClient,
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        call(client, name)(*arguments, **keywords)
    error = refused.value
    assert isinstance(error, WeComError)
    assert isinstance(error, ValueError)
    assert field in error.field
    assert said in f"{error.value}, {error.limit}"
    assert str(error) == f"{call(client, name).path}: {error.field}: {error.value}, {error.limit}"
    assert recorder.requests == []


@pytest.mark.parametrize(("name", "arguments", "keywords"), TAKEN)
def test_a_request_at_a_limit_or_with_unknown_fields_is_sent(
    name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], recorder: Recorder, client: WeComClient
) -> None:
    method = call(client, name)
    method(*arguments, **keywords)
    sent = recorder.take()
    assert sent.path == f"/cgi-bin/{method.path}"
    given = inspect.signature(method).bind(*arguments, **keywords).arguments
    if name == "media.upload":
        assert given["media"] in sent.body
    else:
        body = given.get("template") or given.get("message") or given  # a whole one, or its fields by their names
        whole = json.loads(json.dumps({field: value for field, value in body.items() if value is not None}))
        assert {field: sent.json.get(field) for field in whole} == whole


def test_a_refusal_does_not_repeat_the_content(client: WeComClient) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.external_contact.send_welcome_msg({"welcome_code": "CODE", "text": {"content": "王芳" * 3000}})
    assert "王" not in str(refused.value)
    assert "CODE" not in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_body_that_is_not_json_is_refused(value: object, recorder: Recorder, client: WeComClient) -> None:
    with pytest.raises(InvalidRequest, match="the body"):
        client.post("externalcontact/whatever", {"value": value})
    assert recorder.requests == []


def test_a_refused_greeting_is_settled_at_once_and_not_retried() -> None:
    error = InvalidRequest("externalcontact/send_welcome_msg", "text.content", "4003 bytes of UTF-8", "at most 4000")
    finish = policy.next_step(error, TryState(number=1, in_doubt=False, left=15.0), jitter=0.5)
    assert isinstance(finish, Finish)
    assert (finish.outcome, finish.errcode) == ("refused", None)
    assert finish.reason is not None
    assert finish.reason.params["field"] == "text.content"

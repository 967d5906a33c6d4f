"""The client and the stand-in together, subject by subject: what is created is listed, changed, used and deleted."""

import inspect
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.wecom import WeComAPIError, WeComClient
from tasks.wecom.catalogue import Entry, calls
from tasks.wecom.external_contact import ExternalContact
from tests.simulator.client import StandIn
from tests.simulator.world import App

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
SAID = {"text": {"content": "您好"}}
NOW = int(time.time())  # when the tests are collected, which may be minutes ago


@pytest.fixture
def app(wecom: StandIn) -> App:
    return wecom.register(App.random())


@pytest.fixture
def client(wecom: StandIn, app: App) -> Iterator[WeComClient]:
    client = WeComClient(app.corp_id, app.secret, wecom.base_url)
    yield client
    client.close()


@pytest.fixture
def contact(client: WeComClient) -> ExternalContact:
    return client.external_contact


@pytest.fixture
def customers(wecom: StandIn) -> list[str]:
    """Three customers of zhangsan's; the first is lisi's too."""
    ids = [f"wm{number}" for number in range(3)]
    for customer in ids:
        wecom.add(user_id="zhangsan", external_user_id=customer, state="douyin", push=False)
    wecom.add(user_id="lisi", external_user_id="wm0", push=False)
    return ids


def errcode_of(call: Any, *arguments: Any, **keywords: Any) -> int:
    with pytest.raises(WeComAPIError) as raised:
        call(*arguments, **keywords)
    return raised.value.errcode


# ------------------------------------------------------------------------------------------------ customers


def test_customers_are_listed_by_member_and_shown_with_their_members(
    contact: ExternalContact, customers: list[str]
) -> None:
    assert contact.get_follow_user_list()["follow_user"] == ["lisi", "zhangsan"]
    assert contact.list("zhangsan")["external_userid"] == customers
    shown = contact.get("wm0")
    assert shown["external_contact"]["external_userid"] == "wm0"
    assert [follow["userid"] for follow in contact.iter_get("wm0")] == ["zhangsan", "lisi"]
    assert errcode_of(contact.get, "nobody") == 84061
    assert errcode_of(contact.list, "nobody") == 60111


def test_customers_of_several_members_come_in_pages(contact: ExternalContact, customers: list[str]) -> None:
    first = contact.batch_get_by_user(["zhangsan", "lisi"], limit=3)
    assert len(first["external_contact_list"]) == 3
    rows = list(contact.iter_batch_get_by_user(["zhangsan", "lisi"], limit=1))
    pairs = [(row["follow_info"]["userid"], row["external_contact"]["external_userid"]) for row in rows]
    assert pairs == [*(("zhangsan", customer) for customer in customers), ("lisi", "wm0")]
    assert len(list(contact.iter_contact_list(limit=2))) == 4
    assert errcode_of(contact.contact_list, cursor="no cursor") == 50100


def test_a_remark_is_shown_to_the_member(client: WeComClient, contact: ExternalContact, customers: Any) -> None:
    picture = client.media.upload("image", PNG, "名片.png")["media_id"]
    contact.remark("zhangsan", "wm0", "王总", "展会", "示例公司", ["13800000000"], picture)
    follow = contact.get("wm0")["follow_user"][0]
    assert (follow["remark"], follow["description"], follow["remark_corp_name"]) == ("王总", "展会", "示例公司")
    contact.remark("zhangsan", "wm0", remark_mobiles=[""])
    follow = contact.get("wm0")["follow_user"][0]
    assert (follow["remark"], follow["remark_mobiles"]) == ("王总", [])
    assert errcode_of(contact.remark, "lisi", "wm1", "x") == 84061


def test_a_member_has_statistics_by_day(contact: ExternalContact, customers: list[str]) -> None:
    days = contact.get_user_behavior_data(["zhangsan"], NOW, NOW + 86400)["behavior_data"]
    assert sum(day["new_contact_cnt"] for day in days) == 3
    assert contact.get_user_behavior_data(None, NOW, NOW, partyid=[1])["behavior_data"]


# ------------------------------------------------------------------------------------------------ contact ways


def test_a_contact_way_exists_from_add_to_del(contact: ExternalContact, customers: list[str]) -> None:
    made = contact.add_contact_way(1, 2, state="douyin", user=["zhangsan"])
    assert made["qr_code"].startswith("http")
    assert "qr_code" not in contact.add_contact_way(2, 1, user=["zhangsan", "lisi"])
    contact.update_contact_way(made["config_id"], "新备注", state="xhs")
    way = contact.get_contact_way(made["config_id"])["contact_way"]
    assert (way["remark"], way["state"], way["user"], way["skip_verify"]) == ("新备注", "xhs", ["zhangsan"], True)
    assert next(row["config_id"] for row in contact.iter_list_contact_way(limit=1)) == made["config_id"]
    contact.del_contact_way(made["config_id"])
    assert errcode_of(contact.get_contact_way, made["config_id"]) == 40058
    assert len(contact.list_contact_way()["contact_way"]) == 1
    contact.close_temp_chat("zhangsan", "wm0")


def test_a_member_who_is_not_activated_has_no_contact_way(wecom: StandIn, contact: ExternalContact) -> None:
    wecom.people(members={"new": {"status": 4}})
    assert errcode_of(contact.add_contact_way, 1, 2, user=["new"]) == 41054


# ------------------------------------------------------------------------------------------------ messages


def test_a_group_message_is_a_task_whose_progress_can_be_read(contact: ExternalContact, customers: list[str]) -> None:
    made = contact.add_msg_template({**SAID, "external_userid": [*customers, "stranger"], "sender": "zhangsan"})
    assert made["fail_list"] == ["stranger"]
    msgid = made["msgid"]
    assert list(contact.iter_get_groupmsg_task(msgid)) == [{"userid": "zhangsan", "status": 0}]
    sent = list(contact.iter_get_groupmsg_send_result(msgid, "zhangsan", limit=2))
    assert [row["external_userid"] for row in sent] == customers
    assert len(contact.get_group_msg_result(msgid)["detail_list"]) == 3
    listed = list(contact.iter_get_groupmsg_list_v2("single", NOW, NOW + 3600))
    assert [message["msgid"] for message in listed] == [msgid]
    for _ in range(3):
        contact.remind_groupmsg_send(msgid)
    assert errcode_of(contact.remind_groupmsg_send, msgid) == 45009
    contact.cancel_groupmsg_send(msgid)


def test_a_group_welcome_belongs_to_the_app_that_created_it(
    wecom: StandIn, app: App, client: WeComClient, contact: ExternalContact
) -> None:
    picture = client.media.upload("image", PNG, "a.png")["media_id"]
    made = contact.group_welcome_template_add({"text": {"content": "欢迎 %NICKNAME%"}, "image": {"media_id": picture}})
    template_id = made["template_id"]
    assert contact.group_welcome_template_get(template_id)["image"]["pic_url"].startswith("https://")
    contact.group_welcome_template_edit({"template_id": template_id, **SAID})
    assert contact.group_welcome_template_get(template_id)["text"] == SAID["text"]
    other = wecom.register(App.random("other", corp_id=app.corp_id))
    stranger = WeComClient(other.corp_id, other.secret, wecom.base_url).external_contact
    assert errcode_of(stranger.group_welcome_template_edit, {"template_id": template_id, **SAID}) == 41058
    assert errcode_of(stranger.group_welcome_template_del, template_id) == 41058
    contact.group_welcome_template_del(template_id)
    assert errcode_of(contact.group_welcome_template_get, template_id) == 40058


def test_a_corp_has_a_hundred_group_welcomes(contact: ExternalContact) -> None:
    for _ in range(100):
        contact.group_welcome_template_add(SAID)
    assert errcode_of(contact.group_welcome_template_add, SAID) == 41055


def test_members_get_messages_from_the_app(client: WeComClient, customers: list[str]) -> None:
    body = {"touser": "zhangsan|nobody", "agentid": 1000002, "msgtype": "text", "text": {"content": "库存告急"}}
    sent = client.message.send(body)
    assert sent["invaliduser"] == "nobody"
    client.message.recall(sent["msgid"])
    assert errcode_of(client.message.recall, sent["msgid"]) == 40058
    assert errcode_of(client.message.send, {**body, "touser": "nobody"}) == 81013
    assert errcode_of(client.message.send, {**body, "agentid": 1}) == 301002
    client.message.update_template_card(
        {"agentid": 1000002, "response_code": "c", "button": {"replace_name": "已处理"}}
    )


# ------------------------------------------------------------------------------------------------ tags


def test_tags_are_created_listed_assigned_renamed_and_deleted(contact: ExternalContact, customers: list[str]) -> None:
    group = contact.add_corp_tag([{"name": "抖音"}, {"name": "小红书"}], group_name="来源")["tag_group"]
    douyin, xhs = (tag["id"] for tag in group["tag"])
    again = contact.add_corp_tag([{"name": "抖音"}], group_name="来源")["tag_group"]
    assert [tag["id"] for tag in again["tag"]] == [douyin]
    contact.mark_tag("zhangsan", "wm0", [douyin, xhs])
    contact.mark_tag("zhangsan", "wm0", remove_tag=[xhs])
    assert [tag["tag_name"] for tag in contact.get("wm0")["follow_user"][0]["tags"]] == ["抖音"]
    assert contact.batch_get_by_user(["zhangsan"])["external_contact_list"][0]["follow_info"]["tag_id"] == [douyin]
    assert errcode_of(contact.edit_corp_tag, xhs, "抖音") == 40071
    contact.edit_corp_tag(xhs, "红书", order=3)
    (listed,) = contact.get_corp_tag_list(tag_id=[xhs])["tag_group"]
    assert [(tag["name"], tag["order"]) for tag in listed["tag"]] == [("红书", 3)]
    contact.del_corp_tag(tag_id=[douyin])
    assert contact.get("wm0")["follow_user"][0]["tags"] == []
    contact.del_corp_tag(tag_id=[xhs])  # the last one: the group is deleted with it
    assert contact.get_corp_tag_list()["tag_group"] == []
    assert errcode_of(contact.mark_tag, "zhangsan", "wm0", [douyin]) == 40068
    assert errcode_of(contact.mark_tag, "lisi", "wm1", ["x"]) == 84061


# ------------------------------------------------------------------------------------------------ transfers


def test_customers_of_a_member_who_left_are_transferred(
    wecom: StandIn, contact: ExternalContact, customers: list[str]
) -> None:
    assert errcode_of(contact.resigned_transfer_customer, "zhangsan", "lisi", ["wm1"]) == 40097
    wecom.people(members={"zhangsan": {"status": 5}})
    first = contact.get_unassigned_list(0, 2)
    assert (len(first["info"]), first["is_last"]) == (2, False)
    assert [row["external_userid"] for row in contact.iter_get_unassigned_list(0, 2)] == customers
    assert [row["external_userid"] for row in contact.get_unassigned_list(1, 2)["info"]] == ["wm2"]
    wecom.add(user_id="lisi", external_user_id="wm9", push=False)
    answer = contact.resigned_transfer_customer("zhangsan", "lisi", ["wm1", "stranger", "wm9", "wm1"])
    assert [row["errcode"] for row in answer["customer"]] == [0, 40096, 40131, 40129]
    (waiting,) = contact.iter_resigned_transfer_result("zhangsan", "lisi")
    assert (waiting["external_userid"], waiting["status"]) == ("wm1", 2)
    contact.transfer("wm2", "zhangsan", "lisi")
    assert errcode_of(contact.transfer, "wm2", "zhangsan", "lisi") == 40100
    assert contact.get_transfer_result("wm2", "zhangsan", "lisi")["status"] == 2


def test_customers_of_a_member_who_stays_are_transferred(
    wecom: StandIn, contact: ExternalContact, customers: list[str]
) -> None:
    wecom.people(members={"wangwu": {}}, customers={"wm2": {"transfers": 2}})
    answer = contact.transfer_customer("zhangsan", "lisi", ["wm1", "wm2"], "换人了")
    assert [row["errcode"] for row in answer["customer"]] == [0, 40128]
    assert contact.transfer_customer("zhangsan", "wangwu", ["wm1"])["customer"][0]["errcode"] == 40129
    assert contact.transfer_customer("zhangsan", "zhangsan", ["wm0"])["customer"][0]["errcode"] == 40130
    assert [row["external_userid"] for row in contact.iter_transfer_result("zhangsan", "lisi")] == ["wm1"]


# ------------------------------------------------------------------------------------------------ group chats


def test_group_chats_are_listed_shown_joined_and_transferred(wecom: StandIn, contact: ExternalContact) -> None:
    people = [{"userid": "zhangsan", "type": 1, "name": "张三"}]
    wecom.people(members={"zhangsan": {}, "lisi": {}})
    wecom.people(chats={f"wr{n}": {"name": f"群{n}", "owner": "zhangsan", "member_list": people} for n in range(3)})
    assert [row["chat_id"] for row in contact.iter_groupchat_list(1)] == ["wr0", "wr1", "wr2"]
    assert contact.groupchat_list(10, owner_filter={"userid_list": ["lisi"]})["group_chat_list"] == []
    assert "name" not in contact.groupchat_get("wr0")["group_chat"]["member_list"][0]
    assert contact.groupchat_get("wr0", 1)["group_chat"]["member_list"] == people
    assert errcode_of(contact.groupchat_get, "nowhere") == 40050

    way = contact.groupchat_add_join_way(2, ["wr0"], state="expo")["config_id"]
    contact.groupchat_update_join_way(way, 2, ["wr0", "wr1"], room_base_name="客服群", room_base_id=10)
    assert contact.groupchat_get_join_way(way)["join_way"]["chat_id_list"] == ["wr0", "wr1"]
    contact.groupchat_del_join_way(way)
    assert errcode_of(contact.groupchat_get_join_way, way) == 40058

    owners = {"userid_list": ["zhangsan"]}
    assert contact.groupchat_statistic(NOW - 86400, owners)["items"][0]["data"]["chat_total"] == 3
    assert len(contact.groupchat_statistic_group_by_day(NOW - 2 * 86400, owners, NOW - 86400)["items"]) == 2
    for statistic in (contact.groupchat_statistic, contact.groupchat_statistic_group_by_day):
        assert errcode_of(statistic, NOW + 86400, owners) == 600018  # a day that has not ended
        assert errcode_of(statistic, NOW - 200 * 86400, owners) == 600018

    assert contact.groupchat_onjob_transfer(["wr0", "nowhere"], "lisi")["failed_chat_list"][0]["errcode"] == 90501
    assert contact.groupchat_get("wr0")["group_chat"]["owner"] == "lisi"
    assert contact.groupchat_transfer(["wr1"], "lisi")["failed_chat_list"][0]["errcode"] == 90500
    assert contact.groupchat_onjob_transfer(["wr1"], "zhangsan")["failed_chat_list"][0]["errcode"] == 90504
    message = {**SAID, "chat_type": "group", "sender": "zhangsan"}
    msgid = contact.add_msg_template(message)["msgid"]
    assert list(contact.iter_get_groupmsg_task(msgid)) == [{"userid": "zhangsan", "status": 0}]
    assert list(contact.iter_get_groupmsg_send_result(msgid, "zhangsan")) == []
    assert contact.opengid_to_chatid("gid")["chat_id"]


def test_statistics_of_group_chats_come_in_pages_of_owners(wecom: StandIn, contact: ExternalContact) -> None:
    owners = [f"owner{number}" for number in range(5)]
    wecom.people(members={owner: {} for owner in owners})
    wecom.people(chats={f"wr{owner}": {"owner": owner} for owner in owners})
    rows = contact.iter_groupchat_statistic(NOW - 86400, {"userid_list": owners}, limit=2)
    assert [row["owner"] for row in rows] == owners


# ------------------------------------------------------------------------------------------------ 获客助手


def test_a_link_brings_customers(wecom: StandIn, contact: ExternalContact) -> None:
    wecom.people(members={"zhangsan": {}})
    link = contact.customer_acquisition_create_link("官网", {"user_list": ["zhangsan"]})["link"]
    link_id = link["link_id"]
    assert list(contact.iter_customer_acquisition_list_link()) == [link_id]
    added = wecom.add(user_id="zhangsan", state=link_id, push=False)
    (customer,) = contact.iter_customer_acquisition_customer(link_id)
    assert customer["external_userid"] == added.external_user_id
    quota = contact.customer_acquisition_quota()
    assert quota["total"] - quota["balance"] == 1
    assert contact.customer_acquisition_statistic(link_id, NOW, NOW + 86400)["new_customer_cnt"] == 1
    assert contact.customer_acquisition_get_chat_info(str(added.id))["chat_info"]["link_id"] == link_id
    contact.customer_acquisition_update_link(link_id, "门店", skip_verify=False)
    shown = contact.customer_acquisition_get(link_id)
    assert (shown["link"]["link_name"], shown["link"]["skip_verify"]) == ("门店", False)
    contact.customer_acquisition_delete_link(link_id)
    assert errcode_of(contact.customer_acquisition_get, link_id) == 40058


# ------------------------------------------------------------------------------------------------ moments, albums


def test_a_moment_is_a_task_for_members(client: WeComClient, contact: ExternalContact, customers: list[str]) -> None:
    picture = client.media.upload_attachment("image", 1, PNG, "a.png")["media_id"]
    image = {"msgtype": "image", "image": {"media_id": picture}}
    whom = {"sender_list": {"user_list": ["zhangsan"]}}
    jobid = contact.add_moment_task({**SAID, "attachments": [image] * 9, "visible_range": whom})["jobid"]
    moment_id = contact.get_moment_task_result(jobid)["result"]["moment_id"]
    assert [moment["moment_id"] for moment in contact.iter_get_moment_list(NOW, NOW + 3600)] == [moment_id]
    assert list(contact.iter_get_moment_task(moment_id)) == [{"userid": "zhangsan", "publish_status": 0}]
    seen = contact.iter_get_moment_customer_list(moment_id, "zhangsan", limit=1)
    assert [row["external_userid"] for row in seen] == customers
    assert list(contact.iter_get_moment_send_result(moment_id, "zhangsan")) == []
    assert contact.get_moment_comments(moment_id, "zhangsan")["like_list"] == []
    contact.cancel_moment_task(moment_id)
    assert errcode_of(contact.get_moment_task, moment_id) == 40058


def test_products_and_blocked_words_exist_from_add_to_delete(contact: ExternalContact) -> None:
    image = {"type": "image", "image": {"media_id": "m"}}
    product = contact.add_product_album("最好的商品", 30000, [image], "SN1")["product_id"]
    contact.update_product_album(product, price=29900)
    assert contact.get_product_album(product)["product"]["price"] == 29900
    assert [row["product_id"] for row in contact.iter_get_product_album_list()] == [product]
    contact.delete_product_album(product)
    assert errcode_of(contact.get_product_album, product) == 40058

    rule = contact.add_intercept_rule("竞品", ["甲", "乙"], 1, {"user_list": ["zhangsan"]}, [1, 3])["rule_id"]
    contact.update_intercept_rule(rule, "友商", add_applicable_range={"department_list": [2]})
    shown = contact.get_intercept_rule(rule)["rule"]
    assert (shown["rule_name"], shown["applicable_range"]["department_list"]) == ("友商", [2])
    assert [row["rule_id"] for row in contact.get_intercept_rule_list()["rule_list"]] == [rule]
    contact.del_intercept_rule(rule)
    assert contact.get_intercept_rule_list()["rule_list"] == []


# ------------------------------------------------------------------------------------------------ members


def test_members_and_departments_are_a_tree(wecom: StandIn, client: WeComClient) -> None:
    wecom.people(departments={2: {"name": "华东"}, 3: {"name": "上海", "parentid": 2}})
    wecom.people(members={"zhangsan": {"name": "张三", "department": [1, 3]}, "lisi": {"department": [2]}})
    assert [row["id"] for row in client.department.simplelist()["department_id"]] == [1, 2, 3]
    assert [row["name"] for row in client.department.list(2)["department"]] == ["华东", "上海"]
    assert client.department.get(3)["department"]["parentid"] == 2
    assert [row["userid"] for row in client.user.simplelist(3)["userlist"]] == ["zhangsan"]
    assert client.user.list(2)["userlist"][0]["status"] == 1
    assert client.user.get("zhangsan")["name"] == "张三"
    rows = [(row["userid"], row["department"]) for row in client.user.iter_list_id(limit=1)]
    assert rows == [("zhangsan", 1), ("zhangsan", 3), ("lisi", 2)]
    assert client.getcallbackip()["ip_list"]
    assert client.get_api_domain_ip()["ip_list"]


# ------------------------------------------------------------------------------------------------ every call

SAMPLES: dict[str, Any] = {  # parameter → a value within the limits
    "type": 2,
    "scene": 1,
    "userid_list": ["zhangsan"],
    "chat_type": "single",
    "chat_id_list": ["wr1"],
    "owner_filter": {"userid_list": ["zhangsan"]},
    "tag": [{"name": "t"}],
    "group_name": "g",
    "add_tag": ["et1"],
    "tag_id": ["et1"],
    "range": {"user_list": ["zhangsan"]},
    "media": PNG,
    "filename": "a.png",
    "attachment_type": 1,
    "media_type": "image",
    "price": 1,
    "attachments": [{"type": "image", "image": {"media_id": "m"}}],
    "word_list": ["w"],
    "intercept_type": 2,
    "applicable_range": {"user_list": ["zhangsan"]},
    "message": {"touser": "zhangsan", "agentid": 1000002, "msgtype": "text", "text": {"content": "x"}},
    "card": {"response_code": "c"},
    "template": {**SAID, "welcome_code": "C", "sender": "zhangsan", "template_id": "t"},
    "remark": "r",
    "limit": 10,
}
KINDS = {"media/upload": "image", "media/upload_by_url": "file"}
MANY = ("externalcontact/transfer_customer", "externalcontact/resigned/transfer_customer")


@pytest.mark.parametrize("entry", calls().values(), ids=lambda entry: entry.path)
def test_the_stand_in_answers_each_call_under_its_verb(entry: Entry, wecom: StandIn, client: WeComClient) -> None:
    """A wrong verb is 40058 with `use …`; any other refusal shows that the call arrived as the route expects it."""
    arguments: dict[str, Any] = {}
    for parameter in entry.parameters:
        needed = parameter.default is inspect.Parameter.empty
        if parameter.name in SAMPLES or needed:
            fallback = NOW if parameter.name.endswith("_time") else 1 if "int" in str(parameter.annotation) else "x"
            arguments[parameter.name] = SAMPLES.get(parameter.name, fallback)
    if entry.path in KINDS:
        arguments["type"] = KINDS[entry.path]
    if entry.path in MANY:
        arguments["external_userid"] = ["wm1"]
    said = ""
    try:
        entry.bind(client)(**arguments)
    except WeComAPIError as error:
        said = error.errmsg
    assert "use " not in said
    assert entry.path in wecom.summary().answers

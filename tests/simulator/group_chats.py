"""客户群 and the ways to join them. Docs 92120, 92122, 92229, 92133, 94822."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.calls import Call, Fields, Route, characters, counted_days, entries, ok, one_of
from tests.simulator.greeting import Refused

COUNTS = ("new_chat_cnt", "chat_total", "chat_has_msg", "new_member_cnt", "member_total", "member_has_msg", "msg_total")


@dataclass(slots=True)
class Chats:
    by_id: dict[str, Fields] = field(default_factory=dict)

    def name(self, chat_id: str, **fields: Any) -> None:
        """Create or change a chat: fields of groupchat/get."""
        default = {"chat_id": chat_id, "name": "", "owner": "", "create_time": 0, "notice": "", "member_list": []}
        self.by_id[chat_id] = {**default, "admin_list": [], **self.by_id.get(chat_id, {}), **fields}


@dataclass(slots=True)
class JoinWays:
    by_id: dict[str, Fields] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)


def list_(call: Call) -> Fields:
    body = call.json("limit")
    one_of(body, "status_filter", 0, 1, 2, 3)
    owners = entries(body.get("owner_filter", {}), "userid_list", 100)
    rows = [
        {"chat_id": chat["chat_id"], "status": 0}
        for chat in call.corp.of(Chats).by_id.values()
        if (not owners or chat["owner"] in owners) and body.get("status_filter", 0) == 0
    ]
    page, cursor = call.page(body, rows, 1000)
    return ok(group_chat_list=page, next_cursor=cursor)


def get(call: Call) -> Fields:
    body = call.json("chat_id")
    chat = call.corp.of(Chats).by_id.get(body["chat_id"])
    if chat is None:
        raise Refused(40050, "chatid not exist")
    if body.get("need_name") != 1:
        members = [{k: v for k, v in member.items() if k != "name"} for member in chat["member_list"]]
        chat = {**chat, "member_list": members}
    return ok(group_chat=chat)


def from_opengid(call: Call) -> Fields:
    return ok(chat_id=f"wr{call.json('opengid')['opengid']}")


def add_way(call: Call) -> Fields:
    config_id = secrets.token_hex(16)
    ways = call.corp.of(JoinWays)
    ways.by_id[config_id], ways.makers[config_id] = _way(call, config_id), call.app.name
    return ok(config_id=config_id)


def _way(call: Call, config_id: str) -> Fields:
    body = call.json("scene", "chat_id_list")
    one_of(body, "scene", 1, 2)
    one_of(body, "auto_create_room", 0, 1)
    characters(body, "state", 30)
    characters(body, "room_base_name", 40)
    for chat_id in entries(body, "chat_id_list", 5):
        if chat_id not in call.corp.of(Chats).by_id:
            raise Refused(40050, "chatid not exist")
    code = {"qr_code": f"https://wework.qpic.cn/wwpic/{config_id}/0"} if body["scene"] == 2 else {}
    return {"auto_create_room": 1, **body, **code, "config_id": config_id, "remark": body.get("remark", "")[:30]}


def _known(call: Call) -> str:
    config_id, ways = call.json("config_id")["config_id"], call.corp.of(JoinWays)
    if ways.makers.get(config_id) != call.app.name:
        raise Refused(40058, "invalid Request Parameter, config_id")
    return str(config_id)


def get_way(call: Call) -> Fields:
    return ok(join_way=call.corp.of(JoinWays).by_id[_known(call)])


def update_way(call: Call) -> Fields:
    config_id = _known(call)
    call.corp.of(JoinWays).by_id[config_id] = _way(call, config_id)
    return ok()


def del_way(call: Call) -> Fields:
    config_id, ways = _known(call), call.corp.of(JoinWays)
    del ways.by_id[config_id], ways.makers[config_id]
    return ok()


def statistic(call: Call) -> Fields:
    body = call.json("day_begin_time", "owner_filter")
    _days(call, body)
    chats = call.corp.of(Chats).by_id.values()
    wanted = entries(body["owner_filter"], "userid_list", 100)
    owners = sorted({chat["owner"] for chat in chats if not wanted or chat["owner"] in wanted})
    offset, limit = body.get("offset", 0), body.get("limit", 500)
    items = [{"owner": owner, "data": _counts(call, {owner})} for owner in owners[offset : offset + limit]]
    return ok(total=len(owners), next_offset=offset + len(items), items=items)


def by_day(call: Call) -> Fields:
    body = call.json("day_begin_time", "owner_filter")
    owners = set(entries(body["owner_filter"], "userid_list", 100))
    return ok(items=[{"stat_time": day, "data": _counts(call, owners)} for day in _days(call, body)])


def _days(call: Call, body: Fields) -> list[int]:
    period = {"day_end_time": body["day_begin_time"], **body}
    return counted_days(call, period, "day_begin_time", "day_end_time", ended=True)


def _counts(call: Call, owners: set[str]) -> Fields:
    chats = [chat for chat in call.corp.of(Chats).by_id.values() if chat["owner"] in owners]
    members = sum(len(chat["member_list"]) for chat in chats)
    return {**dict.fromkeys(COUNTS, 0), "chat_total": len(chats), "member_total": members}


ROUTES = {
    "externalcontact/groupchat/list": Route("POST", list_),
    "externalcontact/groupchat/get": Route("POST", get),
    "externalcontact/opengid_to_chatid": Route("POST", from_opengid),
    "externalcontact/groupchat/add_join_way": Route("POST", add_way),
    "externalcontact/groupchat/get_join_way": Route("POST", get_way),
    "externalcontact/groupchat/update_join_way": Route("POST", update_way),
    "externalcontact/groupchat/del_join_way": Route("POST", del_way),
    "externalcontact/groupchat/statistic": Route("POST", statistic),
    "externalcontact/groupchat/statistic_group_by_day": Route("POST", by_day),
}

"""获客助手. A customer came by a link if its State is the link's id. Docs 97297, 97298, 97375, 100130."""

import secrets
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, characters, entries, ok, span
from tests.simulator.greeting import Refused
from tests.simulator.records import Record

TOTAL = 1000  # customers that may be added
MEMBERS = 500  # of a link


@dataclass(slots=True)
class Links:
    by_id: dict[str, Fields] = field(default_factory=dict)  # as of get


def list_(call: Call) -> Fields:
    page, cursor = call.page(call.json(), list(call.corp.of(Links).by_id), 100)
    return ok(link_id_list=page, next_cursor=cursor)


def _link(call: Call) -> Fields:
    link = call.corp.of(Links).by_id.get(call.json("link_id")["link_id"])
    if link is None:
        raise Refused(40058, "invalid Request Parameter, link_id")
    return link


def get(call: Call) -> Fields:
    return ok(**_link(call))


def create(call: Call) -> Fields:
    body = call.json("link_name", "range")
    _check(call, body)
    link_id = "caz" + secrets.token_urlsafe(10)
    link = {
        "link_id": link_id,
        "link_name": body["link_name"],
        "url": f"https://work.weixin.qq.com/ca/{link_id}",
        "create_time": int(call.now),
    }
    kept = {name: body[name] for name in ("range", "priority_option") if name in body}
    call.corp.of(Links).by_id[link_id] = {"link": {**link, "skip_verify": body.get("skip_verify", True)}, **kept}
    return ok(link=link)


def _check(call: Call, body: Fields) -> None:
    characters(body, "link_name", 30)
    if "range" not in body:
        return
    members = entries(body["range"], "user_list", MEMBERS)
    if not members and not body["range"].get("department_list"):
        raise Refused(40063, "some parameters are empty, range")
    if missing := [member for member in members if member not in call.corp.members]:
        raise Refused(60111, f"userid not found, {missing[0]}")


def update(call: Call) -> Fields:
    link, body = _link(call), call.json()
    _check(call, body)
    link["link"].update({name: body[name] for name in ("link_name", "skip_verify") if name in body})
    link.update({name: body[name] for name in ("range", "priority_option") if name in body})
    return ok()


def delete(call: Call) -> Fields:
    del call.corp.of(Links).by_id[_link(call)["link"]["link_id"]]
    return ok()


def _brought(call: Call, link_id: str) -> list[Record]:
    return [r for met in call.corp.relations.values() for r in met.values() if r.state == link_id]


def customer(call: Call) -> Fields:
    link_id, body = _link(call)["link"]["link_id"], call.json()
    rows = [
        {"external_userid": r.external_user_id, "userid": r.user_id, "chat_status": 0, "state": r.state}
        for r in _brought(call, link_id)
    ]
    page, cursor = call.page(body, rows, 1000)
    return ok(customer_list=page, next_cursor=cursor)


def quota(call: Call) -> Fields:
    balance = TOTAL - sum(len(_brought(call, link_id)) for link_id in call.corp.of(Links).by_id)
    expire = int(call.now) + 365 * 86400
    return ok(total=TOTAL, balance=balance, quota_list=[{"expire_date": expire, "balance": balance}])


def statistic(call: Call) -> Fields:
    link_id, body = _link(call)["link"]["link_id"], call.json("start_time", "end_time")
    span(body, "start_time", "end_time", 30)
    new = sum(body["start_time"] <= r.planned_at < body["end_time"] + 86400 for r in _brought(call, link_id))
    return ok(click_link_customer_cnt=new, new_customer_cnt=new)


def chat_info(call: Call) -> Fields:
    """A chat_key is the record number of the customer who wrote."""
    key, records = call.json("chat_key")["chat_key"], call.world.records.all
    if not key.isdigit() or not 0 < int(key) <= len(records):
        raise Refused(40058, "invalid Request Parameter, chat_key")
    record = records[int(key) - 1]
    info = {"recv_msg_cnt": 1, "link_id": record.state, "state": ""}
    return ok(userid=record.user_id, external_userid=record.external_user_id, chat_info=info)


ROUTES = {
    "externalcontact/customer_acquisition/list_link": Route("POST", list_),
    "externalcontact/customer_acquisition/get": Route("POST", get),
    "externalcontact/customer_acquisition/create_link": Route("POST", create),
    "externalcontact/customer_acquisition/update_link": Route("POST", update),
    "externalcontact/customer_acquisition/delete_link": Route("POST", delete),
    "externalcontact/customer_acquisition/customer": Route("POST", customer),
    "externalcontact/customer_acquisition_quota": Route("GET", quota),
    "externalcontact/customer_acquisition/statistic": Route("POST", statistic),
    "externalcontact/customer_acquisition/get_chat_info": Route("POST", chat_info),
}

"""Customers, and members' remarks and tags of them. Docs 92113, 92114, 92994, 99434, 92115, 92132."""

from dataclasses import dataclass, field
from typing import Any

from tests.simulator.calls import DAY, Call, Fields, Route, characters, counted_days, entries, ok
from tests.simulator.greeting import Refused
from tests.simulator.records import Record
from tests.simulator.world import Pair

LEFT = 5  # a member's status
FOLLOWERS = 500  # a page of external_contact/get
REMARKS = {"remark": 20, "description": 150, "remark_company": 20}  # characters


@dataclass(slots=True)
class Notes:
    """Remarks and tags, by (member, customer)."""

    remarks: dict[Pair, Fields] = field(default_factory=dict)
    tags: dict[Pair, dict[str, Fields]] = field(default_factory=dict)  # → tag id → its names


def contacts(call: Call, member: str) -> dict[str, Record]:
    """The customers of a member, and the records of how they were added."""
    return {who: met[member] for who, met in call.corp.relations.items() if member in met}


def related(call: Call, body: Fields) -> Pair:
    """The (member, customer) of a body; Refused if they are not contacts, or only half-added."""
    pair = body["userid"], body["external_userid"]
    record = call.corp.relations.get(pair[1], {}).get(pair[0])
    if record is None or record.change == "add_half_external_contact":
        raise Refused(84061, "not external contact")
    return pair


def get_follow_user_list(call: Call) -> Fields:
    return ok(follow_user=sorted(call.corp.members))


def list_(call: Call) -> Fields:
    member = call.required("userid", 41009)
    if member not in call.corp.members:
        raise Refused(60111, "userid not found")
    return ok(external_userid=list(contacts(call, member)))


def get(call: Call) -> Fields:
    customer = call.required("external_userid", 40096)
    relations = call.corp.relations.get(customer)
    if not relations:
        raise Refused(84061, "not external contact")
    query = {"cursor": call.query.get("cursor")}
    page, cursor = call.page(query, [_follow(call, record) for record in relations.values()], FOLLOWERS)
    rest = {"next_cursor": cursor} if cursor else {}
    return ok(external_contact=call.corp.customers[customer], follow_user=page, **rest)


def _follow(call: Call, record: Record) -> Fields:
    pair = record.user_id, record.external_user_id
    notes = call.corp.of(Notes)
    return {
        "userid": record.user_id,
        "remark": call.corp.customers[record.external_user_id]["name"],
        "description": "",
        "createtime": record.created_at,
        "tags": list(notes.tags.get(pair, {}).values()),
        "remark_mobiles": [],
        "add_way": record.add_way,
        "oper_userid": record.external_user_id,
        "state": record.state,
        **notes.remarks.get(pair, {}),
    }


def batch_get_by_user(call: Call) -> Fields:
    body = call.json("userid_list")
    members = entries(body, "userid_list", 100)
    known = {member: call.corp.members.get(member, {"status": LEFT}) for member in members}
    if missing := [member for member, fields in known.items() if fields["status"] == LEFT]:
        raise Refused(60111, f"userid not found, {missing[0]}")
    unlicensed = [member for member, fields in known.items() if not fields.get("licensed", True)]
    if unlicensed == members:
        raise Refused(701008, "no license")
    members = [member for member in members if member not in unlicensed]
    rows = [record for member in members for record in contacts(call, member).values()]
    limit = min(body.get("limit", 50), 100)  # more than 100 counts as 100
    page, cursor = call.page({**body, "limit": limit}, rows, 100)
    return ok(
        external_contact_list=[
            {"external_contact": call.corp.customers[record.external_user_id], "follow_info": _info(call, record)}
            for record in page
        ],
        next_cursor=cursor,
        fail_info={"unlicensed_userid_list": unlicensed},
    )


def _info(call: Call, record: Record) -> Fields:
    """As in get, but with only the ids of tags."""
    follow = _follow(call, record)
    return {**follow, "tag_id": [tag["tag_id"] for tag in follow.pop("tags")]}


def contact_list(call: Call) -> Fields:
    rows = [record for met in call.corp.relations.values() for record in met.values()]
    page, cursor = call.page(call.json(), rows, 1000)
    return ok(info_list=[_served(call, record) for record in page], next_cursor=cursor)


def _served(call: Call, record: Record) -> Fields:
    return {
        "is_customer": True,
        "tmp_openid": f"tmp{record.external_user_id}",
        "external_userid": record.external_user_id,
        "name": call.corp.customers[record.external_user_id]["name"],
        "follow_userid": record.user_id,
        "add_time": int(record.planned_at),
    }


def remark(call: Call) -> Fields:
    body = call.json("userid", "external_userid")
    given = {k: v for k, v in body.items() if k in (*REMARKS, "remark_mobiles", "remark_pic_mediaid")}
    if not given:
        raise Refused(40063, "some parameters are empty")
    for name, most in REMARKS.items():
        characters(body, name, most)
    pair = related(call, body)
    media_id = given.pop("remark_pic_mediaid", None)
    if media_id and call.world.living(call.app, media_id, call.now) is None:
        raise Refused(40007, "invalid media_id")
    if "remark_company" in given:
        given["remark_corp_name"] = given.pop("remark_company")
    if "remark_mobiles" in given:
        given["remark_mobiles"] = [mobile for mobile in given["remark_mobiles"] if mobile]
    call.corp.of(Notes).remarks.setdefault(pair, {}).update(given)
    return ok()


def get_user_behavior_data(call: Call) -> Fields:
    """The stand-in knows only whom its members added; the other numbers are 0."""
    body = call.json("start_time", "end_time")
    members = [body["userid"]] if isinstance(body.get("userid"), str) else entries(body, "userid", 100)
    parties = entries(body, "partyid", 100)
    if not members and not parties:
        raise Refused(40063, "some parameters are empty, userid and partyid")
    days = counted_days(call, body, "start_time", "end_time", ended=False)
    members += [m for m, fields in call.corp.members.items() if set(parties) & set(fields["department"])]
    rows: list[Any] = []
    for day in days:
        new = sum(day <= r.planned_at < day + DAY for member in members for r in contacts(call, member).values())
        rows.append(
            {
                "stat_time": day,
                "chat_cnt": 0,
                "message_cnt": 0,
                "avg_reply_time": 0,
                "negative_feedback_cnt": 0,
                "new_apply_cnt": 0,
                "new_contact_cnt": new,
            }
        )
    return ok(behavior_data=rows)


ROUTES = {
    "externalcontact/get_follow_user_list": Route("GET", get_follow_user_list),
    "externalcontact/list": Route("GET", list_),
    "externalcontact/get": Route("GET", get),
    "externalcontact/batch/get_by_user": Route("POST", batch_get_by_user),
    "externalcontact/contact_list": Route("POST", contact_list),
    "externalcontact/remark": Route("POST", remark),
    "externalcontact/get_user_behavior_data": Route("POST", get_user_behavior_data),
}

"""通讯录 and messages to members. Docs 90196, 90200, 96067, 95350, 90236, 94867."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.calls import Call, Fields, Route, ok
from tests.simulator.greeting import Refused

ROOT = 1


@dataclass(slots=True)
class Departments:
    by_id: dict[int, Fields] = field(default_factory=lambda: {ROOT: _department(ROOT, name="公司", parentid=0)})

    def name(self, id: int, **fields: Any) -> None:
        """Create or change a department: fields of department/get."""
        self.by_id[id] = {**_department(id), **self.by_id.get(id, {}), **fields}

    def below(self, id: int) -> list[Fields]:
        """The department and all departments below it."""
        here = [self.by_id[id]] if id in self.by_id else []
        return here + [
            row for child in self.by_id.values() if child["parentid"] == id for row in self.below(child["id"])
        ]


@dataclass(slots=True)
class Outbox:
    """The messages that members were sent: msgid → app, receivers and content."""

    sent: dict[str, str] = field(default_factory=dict)
    messages: list[Fields] = field(default_factory=list)


def _department(id: int, **fields: Any) -> Fields:
    fresh = {"id": id, "name": f"部门{id}", "name_en": "", "department_leader": [], "parentid": ROOT, "order": 0}
    return {**fresh, **fields}


def _id(call: Call, name: str, default: int | None = None) -> int:
    value = call.query.get(name, "" if default is None else str(default))
    if not value.isdigit():
        raise Refused(40058, f"invalid Request Parameter, {name}")
    return int(value)


# ------------------------------------------------------------------------------------------------ members


def get_member(call: Call) -> Fields:
    member = call.corp.members.get(call.required("userid", 41009))
    if member is None:
        raise Refused(60111, "userid not found")
    return ok(**{name: value for name, value in member.items() if name != "licensed"})


def _members(call: Call) -> list[Fields]:
    department = _id(call, "department_id")
    if department not in call.corp.of(Departments).by_id:
        raise Refused(60123, "invalid party id")
    return [member for member in call.corp.members.values() if department in member["department"]]


def list_members(call: Call) -> Fields:
    return ok(userlist=_members(call))


def simplelist_members(call: Call) -> Fields:
    return ok(userlist=[{name: m[name] for name in ("userid", "name", "department")} for m in _members(call)])


def list_ids(call: Call) -> Fields:
    rows = [{"userid": m["userid"], "department": d} for m in call.corp.members.values() for d in m["department"]]
    page, cursor = call.page(call.json(), rows, 10_000)
    return ok(dept_user=page, next_cursor=cursor)


# ------------------------------------------------------------------------------------------------ departments


def get_department(call: Call) -> Fields:
    department = call.corp.of(Departments).by_id.get(_id(call, "id"))
    if department is None:
        raise Refused(60123, "invalid party id")
    return ok(department=department)


def list_departments(call: Call) -> Fields:
    return ok(department=call.corp.of(Departments).below(_id(call, "id", ROOT)))


def simplelist_departments(call: Call) -> Fields:
    rows = call.corp.of(Departments).below(_id(call, "id", ROOT))
    return ok(department_id=[{name: row[name] for name in ("id", "parentid", "order")} for row in rows])


# ------------------------------------------------------------------------------------------------ messages


def send(call: Call) -> Fields:
    body = call.json("msgtype", "agentid")
    if str(body["agentid"]) != call.app.agent_id:
        raise Refused(301002, "not allow operate another agent with this accesstoken")
    if not body.get(body["msgtype"]):
        raise Refused(44004, "empty content")
    wanted = [member for member in body.get("touser", "").split("|") if member]
    if not wanted and not body.get("toparty") and not body.get("totag"):
        raise Refused(40063, "some parameters are empty, touser")
    invalid = [member for member in wanted if member != "@all" and member not in call.corp.members]
    if wanted and len(invalid) == len(wanted):
        raise Refused(81013, "user & party & tag all invalid")
    msgid = secrets.token_urlsafe(24)
    unlicensed = [member for member in wanted if not call.corp.members.get(member, {}).get("licensed", True)]
    reached = [member for member in wanted if member not in (*invalid, *unlicensed)]
    outbox = call.corp.of(Outbox)
    outbox.sent[msgid] = call.app.name
    outbox.messages.append({"msgid": msgid, "members": reached, body["msgtype"]: body[body["msgtype"]]})
    failed = {"invaliduser": invalid, "unlicenseduser": unlicensed}
    return ok(msgid=msgid, **{name: "|".join(who) for name, who in failed.items() if who})


def recall(call: Call) -> Fields:
    if call.corp.of(Outbox).sent.pop(call.json("msgid")["msgid"], None) != call.app.name:
        raise Refused(40058, "invalid Request Parameter, msgid")
    return ok()


def update_card(call: Call) -> Fields:
    call.json("response_code", "agentid")
    return ok(invaliduser=[])


ROUTES = {
    "user/get": Route("GET", get_member),
    "user/list": Route("GET", list_members),
    "user/simplelist": Route("GET", simplelist_members),
    "user/list_id": Route("POST", list_ids),
    "department/get": Route("GET", get_department),
    "department/list": Route("GET", list_departments),
    "department/simplelist": Route("GET", simplelist_departments),
    "message/send": Route("POST", send),
    "message/recall": Route("POST", recall),
    "message/update_template_card": Route("POST", update_card),
}

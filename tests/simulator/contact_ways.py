"""联系我, by corp. Doc 92572."""

import io
import secrets
from dataclasses import dataclass, field

import segno

from tests.simulator.calls import Call, Fields, Route, characters, entries, ok, one_of
from tests.simulator.greeting import Refused

OPTIONS = ("style", "remark", "skip_verify", "state", "user", "party", "expires_in", "chat_expires_in", "unionid")
FORTNIGHT = 14 * 86400
PICTURES = "/wwpic/"  # the path of the codes' images, by config_id


def picture(config_id: str) -> bytes:
    """The code's image as a PNG."""
    code = io.BytesIO()
    segno.make(f"https://u.wechat.com/{config_id}", error="m").save(code, kind="png", scale=8)
    return code.getvalue()


@dataclass(slots=True)
class Ways:
    by_id: dict[str, Fields] = field(default_factory=dict)
    made_at: dict[str, float] = field(default_factory=dict)


def add(call: Call) -> Fields:
    body = call.json("type", "scene")
    one_of(body, "type", 1, 2)
    one_of(body, "scene", 1, 2)
    _check(call, body)
    if body["type"] == 1 and len(body.get("user", [])) != 1:
        raise Refused(40058, "invalid Request Parameter, user")
    config_id = secrets.token_hex(16)
    way = {
        "config_id": config_id,
        "skip_verify": True,
        "state": "",
        "remark": "",
        "user": [],
        "party": [],
        **{k: v for k, v in body.items() if k in (*OPTIONS, "type", "scene", "is_temp", "is_exclusive", "conclusions")},
    }
    code = {"qr_code": f"{call.world.base_url}{PICTURES}{config_id}/0"} if body["scene"] == 2 else {}
    ways = call.corp.of(Ways)
    ways.by_id[config_id], ways.made_at[config_id] = way | code, call.now
    return ok(config_id=config_id, **code)


def _check(call: Call, body: Fields) -> None:
    characters(body, "remark", 30)
    characters(body, "state", 30)
    for name in ("expires_in", "chat_expires_in"):
        if not 0 < body.get(name, 1) <= FORTNIGHT:
            raise Refused(40058, f"invalid Request Parameter, {name}")
    for member in entries(body, "user", 100):
        if member not in call.corp.members:
            raise Refused(60111, f"userid not found, {member}")
        if call.corp.members[member]["status"] != 1:
            raise Refused(41054, f"user not activated, {member}")


def _way(call: Call) -> Fields:
    way = call.corp.of(Ways).by_id.get(call.json("config_id")["config_id"])
    if way is None:
        raise Refused(40058, "invalid Request Parameter, config_id")
    return way


def get(call: Call) -> Fields:
    return ok(contact_way=_way(call))


def list_(call: Call) -> Fields:
    body, ways = call.json(), call.corp.of(Ways)
    start, end = body.get("start_time", call.now - 90 * 86400), body.get("end_time", call.now)
    ids = [
        {"config_id": config_id}
        for config_id, way in ways.by_id.items()
        if start <= ways.made_at[config_id] <= end + 1 and not way.get("is_temp")
    ]
    page, cursor = call.page(body, ids, 1000, 100)
    return ok(contact_way=page, **({"next_cursor": cursor} if cursor else {}))


def update(call: Call) -> Fields:
    way, body = _way(call), call.json()
    _check(call, body)
    way.update({k: v for k, v in body.items() if k in (*OPTIONS, "conclusions")})
    return ok()


def delete(call: Call) -> Fields:
    config_id = _way(call)["config_id"]
    del call.corp.of(Ways).by_id[config_id]
    return ok()


def close_temp_chat(call: Call) -> Fields:
    body = call.json("userid", "external_userid")
    if body["userid"] not in call.corp.relations.get(body["external_userid"], {}):
        raise Refused(84061, "not external contact")
    return ok()


ROUTES = {
    "externalcontact/add_contact_way": Route("POST", add),
    "externalcontact/get_contact_way": Route("POST", get),
    "externalcontact/list_contact_way": Route("POST", list_),
    "externalcontact/update_contact_way": Route("POST", update),
    "externalcontact/del_contact_way": Route("POST", delete),
    "externalcontact/close_temp_chat": Route("POST", close_temp_chat),
}

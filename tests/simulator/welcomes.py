"""入群欢迎语, by corp; an app changes only those it made. Doc 92366."""

import secrets
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, ok, one_of
from tests.simulator.greeting import Refused

TEXT = 3000  # bytes
MOST = 100  # of a corp
ITEMS = ("image", "link", "miniprogram", "file", "video")
MEDIA = {"image": "media_id", "miniprogram": "pic_media_id", "file": "media_id", "video": "media_id"}


@dataclass(slots=True)
class Welcomes:
    by_id: dict[str, Fields] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)


def add(call: Call) -> Fields:
    welcomes = call.corp.of(Welcomes)
    body = _checked(call)
    if len(welcomes.by_id) >= MOST:
        raise Refused(41055, "group welcome template count out of limit")
    template_id = "msg" + secrets.token_urlsafe(24)
    welcomes.by_id[template_id], welcomes.makers[template_id] = body, call.app.name
    return ok(template_id=template_id)


def _checked(call: Call) -> Fields:
    """The stored form of a body. Raises Refused."""
    body = call.json()
    one_of(body, "notify", 0, 1)
    kept = {"text": body.get("text", {}), **{name: body[name] for name in ITEMS if body.get(name)}}
    if not kept["text"].get("content") and len(kept) == 1:
        raise Refused(40063, "some parameters are empty")
    if len(kept["text"].get("content", "").encode()) > TEXT:
        raise Refused(45002, "content size out of limit")
    for name, value in kept.items():
        media_id = value.get(MEDIA.get(name, ""))
        if media_id and call.world.living(call.app, media_id, call.now) is None:
            raise Refused(40007, "invalid media_id")
    if kept.get("image", {}).get("media_id"):  # it is returned as a URL
        kept["image"] = {"pic_url": f"https://wework.qpic.cn/wwpic/{secrets.token_urlsafe(12)}/0"}
    return kept


def _known(call: Call) -> str:
    template_id = call.json("template_id")["template_id"]
    if template_id not in call.corp.of(Welcomes).by_id:
        raise Refused(40058, "invalid Request Parameter, template_id")
    return str(template_id)


def _own(call: Call) -> str:
    template_id = _known(call)
    if call.corp.of(Welcomes).makers[template_id] != call.app.name:
        raise Refused(41058, "no privilege to edit this template")
    return template_id


def edit(call: Call) -> Fields:
    call.corp.of(Welcomes).by_id[_own(call)] = _checked(call)
    return ok()


def get(call: Call) -> Fields:
    return ok(**call.corp.of(Welcomes).by_id[_known(call)])


def delete(call: Call) -> Fields:
    del call.corp.of(Welcomes).by_id[_own(call)]
    return ok()


ROUTES = {
    "externalcontact/group_welcome_template/add": Route("POST", add),
    "externalcontact/group_welcome_template/edit": Route("POST", edit),
    "externalcontact/group_welcome_template/get": Route("POST", get),
    "externalcontact/group_welcome_template/del": Route("POST", delete),
}

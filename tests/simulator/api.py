"""The API below /cgi-bin/: one table of paths at the end, a handler each above it. Docs 91039, 92137, 92114, 90253.

A handler takes a Call and returns what WeCom answers, or raises Refused; HTTP, latency and faults are the server's.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.simulator import greeting
from tests.simulator.faults import SEND
from tests.simulator.greeting import Refused
from tests.simulator.records import Record
from tests.simulator.world import App, Corp, Media, World

Fields = dict[str, Any]
NOBODY = App()


@dataclass(slots=True)
class Call:
    """A request. `now`: when it arrived; `delay`: seconds until its answer leaves, when it is seen to take effect."""

    world: World
    path: str
    verb: str
    query: Mapping[str, str]
    body: bytes
    content_type: str
    now: float
    delay: float = 0
    app: App = NOBODY  # whose token it carries
    record: Record | None = None  # the added contact it is about
    spent: bool = False  # it used up the record's code

    def required(self, name: str, errcode: int) -> str:
        value = self.query.get(name, "")
        if not value:
            raise Refused(errcode, f"missing {name}")
        return value

    @property
    def corp(self) -> Corp:
        return self.world.corp(self.app)


@dataclass(frozen=True, slots=True)
class File:
    """An answer that is not JSON."""

    content: bytes
    filename: str


@dataclass(frozen=True, slots=True)
class Route:
    verb: str
    handler: Callable[[Call], Fields | File]
    with_token: bool = True


def ok(**fields: Any) -> Fields:
    return {"errcode": 0, "errmsg": "ok", **fields}


def error(errcode: int, errmsg: str) -> Fields:
    hint = f"hint: [{secrets.randbits(60)}], from ip: 127.0.0.1, more info at "
    return {"errcode": errcode, "errmsg": f"{errmsg}, {hint}https://open.work.weixin.qq.com/devtool/query?e={errcode}"}


def answer(call: Call) -> Fields | File:
    """What WeCom answers to a call of a path in ROUTES; it takes effect here."""
    route = ROUTES[call.path]
    try:
        if call.verb != route.verb:
            raise Refused(40058, f"invalid Request Parameter, use {route.verb}")
        if route.with_token:
            call.app = _owner(call)
        return route.handler(call)
    except Refused as refused:
        return error(refused.errcode, refused.errmsg)


def _owner(call: Call) -> App:
    """Whose token the query carries; a token anywhere else does not count. Doc 91039."""
    token = call.world.tokens.get(call.required("access_token", 41001))
    if token is None or token.revoked:
        raise Refused(40014, "invalid access_token")
    if token.expires_at <= call.now:
        raise Refused(42001, "access_token expired")
    return token.app


def code_in(body: bytes) -> str:
    """The welcome code of a request that may be anything."""
    try:
        return str(json.loads(body)["welcome_code"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


# ------------------------------------------------------------------------------------------------ tokens


def get_token(call: Call) -> Fields:
    world = call.world
    corp_id, secret = call.required("corpid", 41002), call.required("corpsecret", 41004)
    apps = [app for app in world.apps.values() if app.corp_id == corp_id]
    app = next((app for app in apps if app.secret == secret), None)
    if app is None:
        world.token_refusals += 1
        raise Refused(40001, "invalid credential") if apps else Refused(40013, "invalid corpid")
    token = world.token_of(app, call.now)
    return ok(access_token=token.value, expires_in=max(int(token.expires_at - call.now), 1))


# ------------------------------------------------------------------------------------------------ greeting


def send_welcome_msg(call: Call) -> Fields:
    """Doc 92137. The code is judged when the call arrives; the customer has the greeting when the answer leaves."""
    world, records = call.world, call.world.records
    told = greeting.read(
        call.body,
        usable=lambda media_id, type_: (
            (m := world.living(call.app, media_id, call.now)) is not None and m.type == type_
        ),
        uploaded=lambda url: url in call.corp.images,
    )
    record = call.record = records.by_code.get(told.welcome_code)
    if record is None or record.app != call.app.name:
        raise Refused(41050, "invalid welcome_code")
    started = record.pushed_at
    if record.spent_at is not None or started is None or call.now - started > world.settings.window_s:
        raise Refused(41050, "invalid welcome_code")
    pair = record.user_id, record.external_user_id
    greeted_at = call.corp.greeted.get(pair)
    if greeted_at is not None:
        raise Refused(41051, "already chatting") if greeted_at <= call.now else Refused(41096, "welcome is being sent")

    record.spent_at, call.spent = call.now, True
    if told.warning:
        return {"errcode": 0, "errmsg": greeting.WARNING}
    call.corp.greeted[pair] = call.now + call.delay
    records.greet(record, call.now + call.delay, {"text": told.text, "attachments": told.attachments})
    return ok()


# ------------------------------------------------------------------------------------------------ contacts, members


def get_customer(call: Call) -> Fields:
    customer = call.required("external_userid", 40096)
    relations = call.corp.relations.get(customer)
    if not relations:
        raise Refused(84061, "not external contact")
    return ok(
        external_contact=call.corp.customers[customer],
        follow_user=[
            {
                "userid": member,
                "remark": call.corp.customers[customer]["name"],
                "description": "",
                "createtime": int(record.planned_at),
                "tags": [],
                "remark_mobiles": [],
                "add_way": 1,
                "oper_userid": customer,
                "state": record.state,
            }
            for member, record in relations.items()
        ],
    )


def get_follow_users(call: Call) -> Fields:
    return ok(follow_user=sorted(call.corp.members))


def get_member(call: Call) -> Fields:
    member = call.corp.members.get(call.required("userid", 41009))
    if member is None:
        raise Refused(60111, "userid not found")
    return ok(**member)


# ------------------------------------------------------------------------------------------------ media

UPLOADS = {  # type → (limit in bytes, errcode beyond it, first bytes allowed); doc 90253
    "image": (10 << 20, 40009, (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")),
    "voice": (2 << 20, 40006, (b"#!AMR",)),
    "video": (10 << 20, 40011, ()),
    "file": (20 << 20, 40006, ()),
}
UPLOADIMG_LIMIT = 2 << 20  # bytes; doc 90256
UPLOAD_MINIMUM = 6  # bytes: "more than 5"

_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_FILENAME = re.compile(rb'[; ]filename="([^"]*)"')  # raw UTF-8; filename*= is ignored, as WeCom does


def _part(call: Call) -> tuple[str, bytes]:
    """(file name, content) of the one part of a multipart body. The part must be named in plain `filename="…"`."""
    boundary = _BOUNDARY.search(call.content_type)
    if boundary is None:
        raise Refused(44001, "empty media data")
    for part in call.body.split(b"--" + boundary[1].encode())[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        if filename := _FILENAME.search(head):
            return filename[1].decode(errors="replace"), content.removesuffix(b"\r\n")
    raise Refused(44001, "empty media data")


def _check_upload(content: bytes, limit: int, errcode: int, magic: tuple[bytes, ...]) -> None:
    if not content:
        raise Refused(44001, "empty media data")
    if len(content) < UPLOAD_MINIMUM:
        raise Refused(40006, "invalid file size")
    if len(content) > limit:
        raise Refused(errcode, "media size out of limit")
    if magic and not content.startswith(magic):
        raise Refused(40004, "invalid media type")


def upload_media(call: Call) -> Fields:
    type_ = call.query.get("type", "")
    if type_ not in UPLOADS:
        raise Refused(40005, "invalid type")
    filename, content = _part(call)
    _check_upload(content, *UPLOADS[type_])
    media_id = "3" + secrets.token_urlsafe(48)
    call.corp.media[media_id] = Media(type_, filename, content, call.now)
    return ok(type=type_, media_id=media_id, created_at=str(int(call.now)))


def upload_image(call: Call) -> Fields:
    _, content = _part(call)
    _check_upload(content, UPLOADIMG_LIMIT, 40009, UPLOADS["image"][2])
    url = f"https://wework.qpic.cn/wwpic/{secrets.token_urlsafe(24)}/0"
    call.corp.images.add(url)
    return ok(url=url)


def get_media(call: Call) -> Fields | File:
    media = call.world.living(call.app, call.required("media_id", 41006), call.now)
    if media is None:
        raise Refused(40007, "invalid media_id")
    return File(media.content, quote(media.filename))


# ------------------------------------------------------------------------------------------------ network


def get_callback_ips(_: Call) -> Fields:
    return ok(ip_list=["127.0.0.1", "101.226.103.*"])


def get_api_ips(_: Call) -> Fields:
    return ok(ip_list=["127.0.0.1"])


ROUTES: dict[str, Route] = {
    "gettoken": Route("GET", get_token, with_token=False),
    SEND: Route("POST", send_welcome_msg),
    "externalcontact/get": Route("GET", get_customer),
    "externalcontact/get_follow_user_list": Route("GET", get_follow_users),
    "user/get": Route("GET", get_member),
    "media/upload": Route("POST", upload_media),
    "media/uploadimg": Route("POST", upload_image),
    "media/get": Route("GET", get_media),
    "getcallbackip": Route("GET", get_callback_ips),
    "get_api_domain_ip": Route("GET", get_api_ips),
}

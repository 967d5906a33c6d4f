"""素材: uploads and downloads of material. Docs 90253, 90254, 90256, 95098, 96219."""

import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.simulator.calls import Call, Fields, File, Route, ok, one_of
from tests.simulator.greeting import Refused
from tests.simulator.world import Media

UPLOADS = {  # type → (limit in bytes, errcode beyond it, first bytes allowed); doc 90253
    "image": (10 << 20, 40009, (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")),
    "voice": (2 << 20, 40006, (b"#!AMR",)),
    "video": (10 << 20, 40011, ()),
    "file": (20 << 20, 40006, ()),
}
UPLOADIMG_LIMIT = 2 << 20  # bytes; doc 90256
UPLOAD_MINIMUM = 6  # bytes: "more than 5"
WHOLE = 20 << 20  # bytes that may be downloaded without a range

_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_FILENAME = re.compile(rb'[; ]filename="([^"]*)"')  # raw UTF-8; filename*= is ignored, as WeCom does


@dataclass(slots=True)
class Jobs:
    """Jobs that upload a file from a URL. Nothing is fetched: each is done at once, with a file of 16 bytes."""

    by_id: dict[str, str] = field(default_factory=dict)  # → media_id


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


def _check(content: bytes, limit: int, errcode: int, magic: tuple[bytes, ...]) -> None:
    if not content:
        raise Refused(44001, "empty media data")
    if len(content) < UPLOAD_MINIMUM:
        raise Refused(40006, "invalid file size")
    if len(content) > limit:
        raise Refused(errcode, "media size out of limit")
    if magic and not content.startswith(magic):
        raise Refused(40004, "invalid media type")


def _keep(call: Call, type_: str, filename: str, content: bytes) -> str:
    media_id = "3" + secrets.token_urlsafe(48)
    call.corp.media[media_id] = Media(type_, filename, content, call.now)
    return media_id


def upload(call: Call) -> Fields:
    type_ = call.query.get("type", "")
    if type_ not in UPLOADS:
        raise Refused(40005, "invalid type")
    filename, content = _part(call)
    _check(content, *UPLOADS[type_])
    return ok(type=type_, media_id=_keep(call, type_, filename, content), created_at=str(int(call.now)))


def uploadimg(call: Call) -> Fields:
    _, content = _part(call)
    _check(content, UPLOADIMG_LIMIT, 40009, UPLOADS["image"][2])
    url = f"https://wework.qpic.cn/wwpic/{secrets.token_urlsafe(24)}/0"
    call.corp.images.add(url)
    return ok(url=url)


def upload_attachment(call: Call) -> Fields:
    """Its ids are of a kind that no message takes."""
    type_ = call.query.get("media_type", "")
    if type_ not in ("image", "video", "file") or call.query.get("attachment_type") not in ("1", "2"):
        raise Refused(40005, "invalid type")
    filename, content = _part(call)
    _check(content, *UPLOADS[type_])
    media_id = _keep(call, f"attachment {type_}", filename, content)
    return ok(type=type_, media_id=media_id, created_at=int(call.now))


def get(call: Call) -> Fields | File:
    media = call.world.living(call.app, call.required("media_id", 41006), call.now)
    if media is None:
        raise Refused(40007, "invalid media_id")
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", call.range)
    if asked is None and len(media.content) > WHOLE:
        raise Refused(830002, "file size out of limit, use Range")
    if asked is None:
        return File(media.content, quote(media.filename))
    first = int(asked[1])
    last = int(asked[2]) if asked[2] else len(media.content) - 1
    return File(media.content[first : last + 1], quote(media.filename), (first, len(media.content)))


def upload_by_url(call: Call) -> Fields:
    body = call.json("scene", "type", "filename", "url", "md5")
    one_of(body, "scene", 1)
    one_of(body, "type", "video", "file")
    for name, most in {"filename": 128, "url": 1024}.items():
        if len(body[name].encode()) > most:
            raise Refused(40058, f"invalid Request Parameter, {name}")
    jobs, jobid = call.corp.of(Jobs), secrets.token_urlsafe(24)
    jobs.by_id[jobid] = _keep(call, f"group {body['type']}", body["filename"], bytes(16))
    return ok(jobid=jobid)


def get_upload_by_url_result(call: Call) -> Fields:
    media_id = call.corp.of(Jobs).by_id.get(call.json("jobid")["jobid"])
    if media_id is None:
        raise Refused(40058, "invalid Request Parameter, jobid")
    detail = {"errcode": 0, "errmsg": "ok", "media_id": media_id, "created_at": str(int(call.now))}
    return ok(status=2, detail=detail)


ROUTES = {
    "media/upload": Route("POST", upload),
    "media/uploadimg": Route("POST", uploadimg),
    "media/upload_attachment": Route("POST", upload_attachment),
    "media/get": Route("GET", get),
    "media/get/jssdk": Route("GET", get),
    "media/upload_by_url": Route("POST", upload_by_url),
    "media/get_upload_by_url_result": Route("POST", get_upload_by_url_result),
}

"""What the form of a welcome holds, and a book's plain value of the same: texts, lists and mappings. Pure.

typed        a value → what the fields hold
written      what the fields hold → a value, which the book's reader judges
shown        what the fields hold → the welcome for the preview, however unfinished
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.templates.model import (
    Attachment,
    File,
    FollowUp,
    GroupWelcome,
    Image,
    Link,
    Media,
    MediaID,
    MiniProgram,
    PicURL,
    Template,
    Video,
)

Typed = dict[str, Any]  # what the fields hold: name, text, attachments, tags, remark
FIELDS: Mapping[str, tuple[str, ...]] = {  # kind of attachment → its fields, beside the file
    "image": ("path", "pic_url", "media_id"),
    "link": ("title", "url", "desc", "picurl"),
    "miniprogram": ("title", "appid", "page", "path", "media_id"),
    "video": ("path", "media_id"),
    "file": ("path", "media_id"),
}


def typed(name: str, value: Mapping[str, Any]) -> Typed:
    """What the fields hold for a value, of a welcome or of a group welcome."""
    items = value.get("attachments") or [{kind: value[kind]} for kind in FIELDS if kind in value]
    then = value.get("then") or {}
    tags = then.get("tags") or []
    return {
        "name": name,
        "text": value.get("text", ""),
        "attachments": [_typed_attachment(kind, parts) for item in items for kind, parts in item.items()],
        "tags": "\n".join([tags] if isinstance(tags, str) else tags),
        "remark": then.get("remark", ""),
    }


def _typed_attachment(kind: str, parts: Mapping[str, Any]) -> dict[str, str]:
    fields = dict.fromkeys(FIELDS[kind], "")
    for key, given in parts.items():
        if key == "file":
            fields["path"] = given
        elif key != "cover":
            fields[key] = given
        elif isinstance(given, str):
            fields["path"] = given
        else:
            fields |= {"path": given.get("file", ""), "media_id": given.get("media_id", "")}
    return {"kind": kind} | fields


def written(data: Typed, group: bool = False) -> dict[str, Any]:
    """The value that the fields say; `group`: of a group welcome, which has one attachment at most."""
    items = [_written_attachment(one) for one in data["attachments"]]
    text = {"text": data["text"]} if data["text"].strip() or not group else {}
    if group:
        return text | (items[0] if items else {})
    then: dict[str, Any] = {"tags": tags} if (tags := tag_lines(data["tags"])) else {}
    if data["remark"].strip():
        then["remark"] = data["remark"]
    return text | ({"attachments": items} if items else {}) | ({"then": then} if then else {})


def _written_attachment(data: Mapping[str, str]) -> dict[str, Any]:
    kind = data["kind"]
    given = {key: data[key].strip() for key in FIELDS[kind] if (data.get(key) or "").strip()}
    path, media_id = given.pop("path", ""), given.get("media_id", "")
    if kind == "miniprogram":
        given.pop("media_id", None)
        return {kind: given | {"cover": {"media_id": media_id} if media_id and not path else path}}
    return {kind: {"file": path} if path or (kind != "link" and not given) else given}


def tag_lines(text: str) -> list[str]:
    """The tags of a text that has one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def shown(data: Typed, files: Mapping[str, Media]) -> Template:
    """What the fields say, for the preview: what is missing is left blank."""
    attachments = tuple(_shown_attachment(one, files) for one in data["attachments"])
    return Template(data["name"], data["text"], attachments, FollowUp(remark=data["remark"]))


def shown_group(data: Typed, files: Mapping[str, Media]) -> GroupWelcome:
    """The same for a group welcome."""
    template = shown(data, files)
    return GroupWelcome(template.name, template.text, next(iter(template.attachments), None))


def _shown_attachment(data: Mapping[str, str], files: Mapping[str, Media]) -> Attachment:
    kind = data["kind"]
    field = {key: (data.get(key) or "").strip() for key in FIELDS[kind]}
    if kind == "link":
        return Link(field["title"], field["url"], field["desc"], field["picurl"])
    path = field["path"]
    source: Media | MediaID = files.get(path) or (
        Media(path, "", "", 0) if path else MediaID(field.get("media_id", ""))
    )
    if kind == "miniprogram":
        return MiniProgram(field["title"], field["appid"], field["page"], source)
    if kind == "image":
        return Image(PicURL(field["pic_url"]) if field["pic_url"] and not path else source)
    return Video(source) if kind == "video" else File(source)


def moved(items: Sequence[Any], at: int, by: int) -> list[Any]:
    """The items with one of them so many places further; beyond the ends it stays there."""
    rest = [*items[:at], *items[at + 1 :]]
    where = max(0, at + by)
    return [*rest[:where], items[at], *rest[where:]]

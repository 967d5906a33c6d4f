"""What commands print with --json about books, channels and findings: a row as names and values. Pure.

The names and their order are fixed, as for deliveries (webhook.delivery_record). Absent: null.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tasks.books.revisions import Revision
from tasks.channels import Channel, Found
from tasks.messages import translate
from tasks.templates.conditions import WEEKDAYS
from tasks.templates.explain import Explanation
from tasks.templates.model import (
    MSGTYPES,
    Attachment,
    GroupWelcome,
    Link,
    Media,
    MediaID,
    MiniProgram,
    PicURL,
    Rule,
    Template,
    When,
    source,
)

if TYPE_CHECKING:
    from webhook.doctor import Finding  # with what it needs, half as many modules again

Record = dict[str, Any]


# ------------------------------------------------------------------------------------------------ the welcome book


def template(one: Template) -> Record:
    """A template, as the book has it: placeholders are not filled in."""
    return {
        "kind": "template",
        "name": one.name,
        "text": one.text,
        "attachments": [attachment(each) for each in one.attachments],
        "tags": [f"{tag.group}/{tag.name}" for tag in one.then.tags],
        "remark": one.then.remark or None,
    }


def rule(one: Rule, number: int) -> Record:
    """`when`: condition → its values, any of which will do; {}: always. `use`: template → weight."""
    return {
        "kind": "rule",
        "name": one.name or None,
        "number": number,
        "when": conditions(one.when),
        "use": {variant.template: variant.weight for variant in one.variants},
    }


def group_welcome(one: GroupWelcome) -> Record:
    return {
        "kind": "group_welcome",
        "name": one.name,
        "text": one.text,
        "attachments": [] if one.item is None else [attachment(one.item)],
    }


def attachment(one: Attachment) -> Record:
    """`type`, what belongs to it, and where its file or picture comes from: `file`, `pic_url` or `media_id`."""
    shown: Record = {"type": MSGTYPES[type(one)]}
    if isinstance(one, Link):
        return shown | {"title": one.title, "url": one.url, "desc": one.desc or None, "picurl": one.picurl or None}
    if isinstance(one, MiniProgram):
        shown |= {"title": one.title, "appid": one.appid, "page": one.page}
    match source(one):
        case Media(path=path):
            shown["file"] = path
        case PicURL(url=url):
            shown["pic_url"] = url
        case MediaID(media_id=media_id):
            shown["media_id"] = media_id
    return shown


def conditions(when: When) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for one in fields(when):
        values = getattr(when, one.name)
        if values:
            found[one.name] = [_condition(one.name, value) for value in values]
    return found


def _condition(name: str, value: Any) -> Any:
    if name == "weekdays":
        return WEEKDAYS[value]
    return value if isinstance(value, int) else str(value)


def revision(one: Revision, current: int) -> Record:
    """`at`: Unix seconds."""
    return {
        "app": one.app,
        "revision": one.number,
        "current": one.number == current,
        "at": one.at / 1000 if one.at else None,
        "author": one.author or None,
        "note": one.note or None,
        "files": sorted(one.files),
    }


def explanation(one: Explanation) -> Record:
    """`rule` "": none applies, and the template `default` is used; null: this customer gets nothing."""
    return {
        "rule": one.rule,
        "passed_over": [{"rule": name, "reason": translate(why)} for name, why in one.passed_over],
        "greetings": [
            {
                "template": each.template,
                "share": round(each.share, 4),
                "text": each.text,
                "attachments": list(each.attachments),
                "tags": list(each.tags),
                "remark": each.remark or None,
            }
            for each in one.greetings
        ],
    }


# ------------------------------------------------------------------------------------------------ channels


def channel(app: str, one: Channel, found: Found | None, at_wecom: bool | None) -> Record:
    """`at`: Unix seconds. `rule`: the one that asks for the State; `hidden_by`: one before it that always holds.

    `at_wecom` null: WeCom was not asked.
    """
    return {
        "app": app,
        "name": one.name,
        "state": one.state,
        "members": list(one.members),
        "departments": list(one.departments),
        "skip_verify": one.skip_verify,
        "config_id": one.config_id,
        "qr_code": one.qr_code or None,
        "at": one.at or None,
        "rule": found.rule if found else None,
        "hidden_by": (found.hidden_by or None) if found else None,
        "made_here": True,
        "at_wecom": at_wecom,
    }


def foreign_channel(app: str, config_id: str, way: Mapping[str, Any]) -> Record:
    """A code that was not made here: what WeCom has of it, as far as it was asked."""
    return {
        "app": app,
        "name": way.get("remark") or None,
        "state": way.get("state") or None,
        "members": list(way.get("user") or []),
        "departments": list(way.get("party") or []),
        "skip_verify": way.get("skip_verify"),
        "config_id": config_id,
        "qr_code": way.get("qr_code") or None,
        "at": None,
        "rule": None,
        "hidden_by": None,
        "made_here": False,
        "at_wecom": True,
    }


# ------------------------------------------------------------------------------------------------ what `check` finds


def finding(one: "Finding", app: str | None) -> Record:
    """`ok` null: a remark, or not known; false: it would stop a welcome. `app` null: it is about the settings."""
    return {
        "app": app,
        "check": str(one.what),
        "ok": one.fine,
        "detail": str(one.detail) or None,
        "cure": str(one.cure) if one.cure else None,
    }

"""The editor's form: what it sends of a welcome in a draft, with some fields changed."""

from typing import Any

from tasks.books.draft_store import Drafts
from tasks.templates.edits import TEMPLATE, Part
from webhook.console.welcomes import editor_values

BOOK = """\
version: 1
templates:
  default: {text: "您好{customer}"}
  brochure:
    text: "{customer|朋友}，您好"
    attachments:
      - link: {title: 产品手册, url: "https://example.com/book"}
      - miniprogram: {title: 预约, appid: wx8bd80126147df384, page: pages/index.html, cover: {media_id: m1}}
    then: {tags: [来源/新客户], remark: "{customer}"}
rules:
  - {name: night, when: {hours: "21:00-08:30"}, use: brochure}
  - use: default
group_welcome:
  newcomers: {text: "欢迎 %NICKNAME%", link: {title: 群规, url: "https://example.com/rules"}}
"""


def value(drafts: Drafts, name: str, kind: str = TEMPLATE) -> Any:
    return drafts.working("default").content.part(Part(kind, name))


def digest(drafts: Drafts, name: str, kind: str = TEMPLATE) -> str:
    return drafts.working("default").content.digest(Part(kind, name))


def fields(drafts: Drafts, opened: str, kind: str = TEMPLATE, /, **different: Any) -> dict[str, Any]:
    """What the form of a welcome sends, with these fields besides."""
    data = editor_values.typed(opened, value(drafts, opened, kind) or {})
    sent: dict[str, Any] = {"was": digest(drafts, opened, kind), "do": "save"}
    sent |= {key: data[key] for key in ("name", "text", "tags", "remark")}
    for number, one in enumerate(data["attachments"]):
        sent |= {f"attachments-{number}-{key}": given for key, given in one.items()}
    return sent | different


def attachment(number: int, kind: str, **given: Any) -> dict[str, Any]:
    return {f"attachments-{number}-{key}": one for key, one in {"kind": kind, **given}.items()}

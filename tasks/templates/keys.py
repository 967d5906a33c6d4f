"""The keys allowed in each mapping of a book; deploy/welcome-book.schema.json has the same for editors. Pure."""

from collections.abc import Mapping

VERSION = "1"

KEYS: Mapping[str, tuple[str, ...]] = {  # what → the keys that it may have
    "book": ("version", "templates", "rules", "group_welcome"),
    "template": ("text", "attachments", "then"),
    "attachment": ("image", "link", "miniprogram", "video", "file"),
    "image": ("file", "pic_url", "media_id"),
    "link": ("title", "url", "desc", "picurl"),
    "miniprogram": ("title", "appid", "page", "cover"),
    "video": ("file", "media_id"),
    "file": ("file", "media_id"),
    "then": ("tags", "remark"),
    "rule": ("name", "when", "use"),
    "when": (*("member", "department", "state", "hours", "weekdays", "dates", "customer_type", "add_way", "change"),),
    "group_welcome": ("text", "image", "link", "miniprogram", "file", "video"),
}

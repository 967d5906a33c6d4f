"""The form in which a welcome, or a group welcome, is written: its fields, what is wrong in them, and what they say.

A value is what a book's YAML has under a welcome's name, as texts, lists and mappings (tasks.templates.yaml_writer).

    typed        a value → what the fields hold
    written      what the fields hold → a value
    shown        what the fields hold → the welcome for the preview, however unfinished
    EditForm     the fields, and every limit of WeCom's on them in the reader's own language
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import FieldList, Form, FormField, HiddenField, StringField, TextAreaField

from tasks.templates import limits, media_kind
from tasks.templates.book import TAG_GROUP
from tasks.templates.media_kind import MB, Use
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
    Tag,
    Template,
    Video,
)
from tasks.templates.render import barest, literal, longest, looks_like_placeholder, mistakes
from tasks.templates.scalars import is_url
from webhook.console.welcomes import preview

Typed = dict[str, Any]  # what the fields hold: name, text, attachments, tags, remark
FIELDS: Mapping[str, tuple[str, ...]] = {  # kind of attachment → its fields, beside the file
    "image": ("path", "pic_url", "media_id"),
    "link": ("title", "url", "desc", "picurl"),
    "miniprogram": ("title", "appid", "page", "path", "media_id"),
    "video": ("path", "media_id"),
    "file": ("path", "media_id"),
}
USES: Mapping[str, Use] = {
    "image": media_kind.IMAGE,
    "miniprogram": media_kind.IMAGE,
    "video": media_kind.VIDEO,
    "file": media_kind.FILE,
}
KIND_NAMES = {  # what a file is, where that is no name that everybody writes alike
    media_kind.OTHER: lazy_gettext("a file of another kind"),
    "ZIP or Office": lazy_gettext("a ZIP or Office file"),
    "MKV or WebM": lazy_gettext("an MKV or WebM video"),
    "QuickTime (MOV)": lazy_gettext("a QuickTime video (MOV)"),
    "M4A (audio)": lazy_gettext("an M4A sound"),
    "JPG": lazy_gettext("a JPG image"),
    "PNG": lazy_gettext("a PNG image"),
    "GIF": lazy_gettext("a GIF image"),
    "BMP": lazy_gettext("a BMP image"),
    "TIFF": lazy_gettext("a TIFF image"),
    "WebP": lazy_gettext("a WebP image"),
    "HEIC": lazy_gettext("a HEIC image"),
    "AVIF": lazy_gettext("an AVIF image"),
    "SVG": lazy_gettext("an SVG image"),
    "PDF": lazy_gettext("a PDF file"),
    "MP4": lazy_gettext("an MP4 video"),
    "AVI": lazy_gettext("an AVI video"),
    "FLV": lazy_gettext("an FLV video"),
}
FIELD_NAMES = {
    "title": lazy_gettext("Title"),
    "url": lazy_gettext("Address"),
    "desc": lazy_gettext("Description"),
    "picurl": lazy_gettext("Address of the cover"),
    "appid": lazy_gettext("AppID"),
    "page": lazy_gettext("Page of the mini-program"),
    "pic_url": lazy_gettext("Address that WeCom gave the image"),
    "media_id": lazy_gettext("media_id"),
}
_LIMITS = {
    "url": limits.URL_LIMIT,
    "desc": limits.DESC_LIMIT,
    "picurl": limits.URL_LIMIT,
    "appid": limits.NAME_LIMIT,
    "page": limits.PAGE_LIMIT,
    "pic_url": limits.URL_LIMIT,
    "media_id": limits.URL_LIMIT,
}
_URLS = frozenset({"url", "picurl", "pic_url"})
_OPTIONAL = frozenset({"desc", "picurl", "pic_url", "media_id", "path"})
_UNSENDABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # nobody sees them, and WeCom refuses them


# ------------------------------------------------------------------------------------------------ value and fields


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
        cover: Any = path or ({"media_id": media_id} if media_id else "")
        return {kind: given | ({"cover": cover} if cover else {})}
    if path:
        return {kind: {"file": path}}
    return {kind: given}


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


# ------------------------------------------------------------------------------------------------ what is wrong


def refused(media: Media, use: Use) -> str | None:
    """Why WeCom would not take a file for this use, for the operator; None if it would. Docs 90253, 90256."""
    if use.kinds and media.kind not in use.kinds:
        what = KIND_NAMES.get(media.kind, media.kind)
        return str(_("This is %(what)s; WeCom takes only %(takes)s here", what=what, takes=" / ".join(use.kinds)))
    if media.size > use.limit:
        return too_large(use)
    if media.size < media_kind.LEAST:
        return str(_("This file has %(size)s bytes; WeCom takes files of more than 5", size=media.size))
    return None


def too_large(use: Use) -> str:
    return str(_("This file is larger than %(limit)s MB, which is all that WeCom takes here", limit=use.limit // MB))


def wrong_in_text(text: str) -> Iterator[str]:
    """What is wrong with a text that has placeholders, in words. Doc 92137."""
    found = False
    for mistake in mistakes(text):
        found = True
        near = preview.meant(mistake)
        if mistake.brace:
            yield _(
                "A single %(brace)s stands at character %(at)s; write %(twice)s for a brace that is to be sent",
                brace=mistake.brace, at=mistake.at, twice=mistake.brace * 2,
            )  # fmt: skip
        elif near:
            yield _("There is no placeholder %(name)s. Did you mean %(near)s?", name=mistake.name, near=near)
        else:
            yield _("There is no placeholder %(name)s. Choose one from the row below the text", name=mistake.name)
    if not text.strip():
        yield _("Write a text")
    elif not found and not barest(text).strip():
        yield _("Without a name the text would be empty. Add a word, or a fallback to the placeholder")
    over = longest(text) - limits.TEXT_LIMIT
    if over > 0:
        yield too_long(over)


def too_long(over: int) -> str:
    words = _(
        "%(bytes)s bytes too long, about %(characters)s Chinese characters. WeCom refuses the whole welcome when it is",
        bytes=over,
        characters=-(-over // 3),
    )
    return str(words)


def _bytes_over(label: Any, text: str, limit: int) -> str | None:
    size = len(text.encode())
    if size <= limit:
        return None
    words = _(
        "“%(field)s” has %(size)s bytes; WeCom takes %(limit)s (a Chinese character has 3)",
        field=label,
        size=size,
        limit=limit,
    )
    return str(words)


def _as_written(text: str) -> str | None:
    found = looks_like_placeholder(text)
    if found is None:
        return None
    words = _("%(placeholder)s would be sent just as it stands: placeholders work in the text only", placeholder=found)
    return str(words)


def clean(text: str | None) -> str:
    """A text as it can be sent: line ends as WeCom has them, and nothing that cannot be seen and is refused."""
    return _UNSENDABLE.sub("", (text or "").replace("\r\n", "\n").replace("\r", "\n"))


def _line(text: str | None) -> str:
    return clean(text).replace("\n", " ").strip()


# ------------------------------------------------------------------------------------------------ the fields


class AttachmentForm(Form):
    """One attachment. Which fields count depends on `kind`."""

    kind = HiddenField()
    path = HiddenField()  # of a file that is kept for the draft
    upload = FileField()
    pick = StringField()  # the path of one that is kept already
    pic_url = StringField(filters=[_line])
    media_id = StringField(filters=[_line])
    title = StringField(filters=[_line])
    url = StringField(filters=[_line])
    desc = StringField(filters=[_line])
    picurl = StringField(filters=[_line])
    appid = StringField(filters=[_line])
    page = StringField(filters=[_line])

    def check(self, files: Mapping[str, Media]) -> None:
        """Note what is wrong at the fields. `files`: path → file, of those that are kept."""
        kind = self.kind.data
        for name in FIELDS[kind]:
            if name != "path":
                self._check_field(name)
        if kind in USES:
            self._check_file(files)

    def _check_field(self, name: str) -> None:
        field, label = self[name], FIELD_NAMES[name]
        text = field.data or ""
        limit = _LIMITS.get(name) or (
            limits.MINIPROGRAM_TITLE_LIMIT if self.kind.data == "miniprogram" else limits.TITLE_LIMIT
        )
        if not text:
            if name not in _OPTIONAL:
                _note(field, _("Fill in “%(field)s”", field=label))
            return
        _note(field, _bytes_over(label, text, limit) or _as_written(text))
        if name in _URLS and not is_url(text):
            _note(field, _("An address begins with https:// and has no space, such as https://example.com/book"))
        if name == "appid" and not re.fullmatch(r"[A-Za-z0-9_-]+", text):
            _note(field, _("An AppID looks like wx8bd80126147df384"))

    def _check_file(self, files: Mapping[str, Media]) -> None:
        if self.upload.errors:
            return
        path = self.path.data or ""
        if path:
            media = files.get(path)
            _note(self.upload, refused(media, USES[self.kind.data]) if media else _("This file is not kept any more"))
        elif not (self.media_id.data or (self.kind.data == "image" and self.pic_url.data)):
            _note(self.upload, _("Choose a file"))


class EditForm(FlaskForm):
    """A welcome, or a group welcome."""

    name = StringField(filters=[_line])
    text = TextAreaField(filters=[clean])
    attachments = FieldList(FormField(AttachmentForm), max_entries=limits.ATTACHMENTS_LIMIT)
    tags = TextAreaField(filters=[clean])
    remark = StringField(filters=[_line])
    was = HiddenField()  # digest of what was opened
    clash = HiddenField()  # JSON: what two editors wrote, until it is decided

    @property
    def typed(self) -> Typed:
        """What the fields hold, without files that are only on their way."""
        attachments = [
            {"kind": one.form.kind.data} | {key: one.form[key].data or "" for key in FIELDS[one.form.kind.data]}
            for one in self.attachments
        ]
        texts = {key: self[key].data or "" for key in ("name", "text", "tags", "remark")}
        return texts | {"attachments": attachments}

    def known(self) -> bool:
        """Whether each attachment is of a kind that there is; a page of ours sends no other."""
        return all(one.form.kind.data in FIELDS for one in self.attachments)

    def check(self, files: Mapping[str, Media], group: bool = False) -> bool:
        """Note what is wrong at the fields. → whether nothing is. `files`: path → file, of those that are kept."""
        self._check_name()
        text = self.text.data or ""
        if group:
            self._check_group_text(text)
        else:
            for what in wrong_in_text(text):
                _note(self.text, what)
            self._check_then()
        for one in self.attachments:
            one.form.check(files)
        return not any(True for _ in self.problems())

    def _check_name(self) -> None:
        name = self.name.data or ""
        if not name:
            _note(self.name, _("Give it a name"))
        elif "|" in name or any(unicodedata.category(one).startswith("C") for one in name):
            _note(self.name, _("The name has a | or a character that cannot be seen; leave it out"))
        elif len(name) > limits.NAME_LIMIT:
            _note(
                self.name,
                _("The name has %(n)s characters; %(limit)s fit", n=len(name), limit=limits.NAME_LIMIT),
            )

    def _check_group_text(self, text: str) -> None:
        if not text.strip() and not len(self.attachments):
            _note(self.text, _("Write a text, or add an attachment"))
        over = len(text.encode()) - limits.GROUP_TEXT_LIMIT
        if over > 0:
            _note(self.text, too_long(over))
        found = looks_like_placeholder(text)
        if found:
            words = _(
                "%(found)s would be sent just as it stands: in groups only %(word)s is replaced",
                found=found,
                word=preview.NICKNAME,
            )
            _note(self.text, words)

    def _check_then(self) -> None:
        seen = set()
        for line in tag_lines(self.tags.data or ""):
            group, slash, name = line.partition("/")
            tag = Tag(group.strip(), name.strip()) if slash else Tag(TAG_GROUP, group.strip())
            if not tag.group or not tag.name:
                _note(self.tags, _("A tag is written group/tag, or tag alone; this is “%(tag)s”", tag=line))
            elif max(len(tag.group), len(tag.name)) > limits.TAG_LIMIT:
                _note(self.tags, _("“%(tag)s” is too long: WeCom takes %(n)s characters", tag=line, n=limits.TAG_LIMIT))
            elif tag in seen:
                _note(self.tags, _("“%(tag)s” is there twice", tag=line))
            elif (wrong := _as_written(line)) is not None:
                _note(self.tags, wrong)
            seen.add(tag)
        remark = self.remark.data or ""
        found = [str(one.name or one.brace) for one in mistakes(remark)]
        if found:
            _note(self.remark, _("There is no placeholder %(name)s", name=found[0]))
        elif len(literal(remark)) > limits.REMARK_LIMIT:
            _note(self.remark, _("The remark is longer than the %(n)s characters of WeCom's", n=limits.REMARK_LIMIT))

    def problems(self) -> Iterator[tuple[str, str]]:
        """(id of a field, what is wrong there), from top to bottom."""
        for field in (self.name, self.text):
            yield from ((field.id, what) for what in field.errors)
        for number, one in enumerate(self.attachments, 1):
            for field in one.form:
                for what in field.errors:
                    yield field.id, _("Attachment %(number)s: %(what)s", number=number, what=what)
        for field in (self.tags, self.remark, self.was):
            yield from (("editor" if field is self.was else field.id, what) for what in field.errors)


def _note(field: Any, what: str | None) -> None:
    """Say at a field what is wrong with it; None is nothing."""
    if what is not None and what not in field.errors:
        field.errors = [*field.errors, what]

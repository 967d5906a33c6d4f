"""The attachments of a book's YAML → Image, Link, MiniProgram, Video and File. Pure."""

import re
from collections.abc import Callable, Mapping

import yaml

from tasks.messages import Message
from tasks.templates import limits, media_kind, scalars, texts
from tasks.templates.keys import KEYS
from tasks.templates.media_kind import Use
from tasks.templates.model import Attachment, File, Image, Link, Media, MediaID, MiniProgram, PicURL, Video
from tasks.templates.render import Known
from tasks.templates.yaml_nodes import Nodes
from tasks.wecom.message_limits import ATTACHMENTS, FIELDS

Look = Callable[[str], Media]  # a path relative to the book → the file there. ValueError says what is wrong with it

KINDS = {
    "image": Message.of("an image"),
    "link": Message.of("a link"),
    "miniprogram": Message.of("a miniprogram"),
    "video": Message.of("a video"),
    "file": Message.of("a file"),
}
USES = {
    "image": media_kind.IMAGE,
    "miniprogram": media_kind.IMAGE,
    "video": media_kind.VIDEO,
    "file": media_kind.FILE,
}
_NAMES = {
    "title": Message.of("the title"),
    "url": Message.of("the address"),
    "desc": Message.of("the description"),
    "picurl": Message.of("the cover's address"),
    "appid": Message.of("the AppID"),
    "page": Message.of("the page"),
    "cover": Message.of("the cover"),
    "pic_url": Message.of("the image's address"),
    "media_id": Message.of("the media_id"),
}
_URLS = frozenset({"url", "picurl", "pic_url"})


def no_files(path: str) -> Media:
    """The Look of a book without files."""
    raise ValueError(Message.of("no file %(path)s; paths are relative to the book", path=path))


def among(files: Mapping[str, Media]) -> Look:
    """The Look of a book with these files, by path."""
    return lambda path: files[path] if path in files else no_files(path)


class AttachmentReader:
    """Reads attachments; problems are recorded at their nodes."""

    def __init__(self, nodes: Nodes, look: Look, known: Known | None = None) -> None:
        self._nodes = nodes
        self._look = look
        self._known = known

    def listed(self, node: yaml.Node, what: Message) -> tuple[Attachment, ...]:
        """The attachments of a welcome."""
        if not isinstance(node, yaml.SequenceNode):
            self._nodes.wrong(
                node,
                Message.of("the attachments of %(what)s are a list, such as `- image: {file: hello.png}`", what=what),
            )
            return ()
        if len(node.value) > ATTACHMENTS.most:
            self._nodes.wrong(
                node.value[ATTACHMENTS.most],
                Message.of(
                    "%(what)s has %(count)s attachments; WeCom takes %(limit)s",
                    what=what,
                    count=len(node.value),
                    limit=ATTACHMENTS.most,
                ),
            )
        return tuple(one for item in node.value for one in self._item(item) if one is not None)

    def _item(self, item: yaml.Node) -> list[Attachment | None]:
        """The attachments in one item of the list: exactly one, unless there is a problem."""
        parts = self._nodes.parts(item, "attachment", Message.of("an attachment"))
        if isinstance(item, yaml.MappingNode) and len(item.value) != 1:
            self._nodes.wrong(
                item,
                Message.of(
                    "an attachment is one of %(known)s; begin each with a dash", known=", ".join(KEYS["attachment"])
                ),
            )
        return [self.one(kind, body) for kind, body in parts.items()]

    def one(self, kind: str, node: yaml.Node) -> Attachment | None:
        """An attachment of a kind; None where what it shows is missing or wrong."""
        parts = self._nodes.parts(node, kind, KINDS[kind])
        if kind == "link":
            return Link(**{name: self._field(kind, name, parts, node) for name in KEYS["link"]})
        if kind == "miniprogram":
            return self._miniprogram(parts, node)
        shown = self._shown(kind, parts, node)
        if kind == "image":
            return None if shown is None else Image(shown)
        if shown is None or isinstance(shown, PicURL):
            return None
        return Video(shown) if kind == "video" else File(shown)

    def _miniprogram(self, parts: Mapping[str, yaml.Node], node: yaml.Node) -> MiniProgram | None:
        title, appid, page = (self._field("miniprogram", name, parts, node) for name in ("title", "appid", "page"))
        if "cover" not in parts:
            self._missing("cover", node)
            return None
        cover = parts["cover"]
        if isinstance(cover, yaml.MappingNode):  # the long form, for a media_id
            shown = self._shown("file", self._nodes.parts(cover, "file", Message.of("a cover")), cover)
            shown = self._fitting(cover, shown, media_kind.IMAGE) if isinstance(shown, Media) else shown
        else:
            shown = self._file(cover, media_kind.IMAGE)
        return MiniProgram(title, appid, page, shown) if isinstance(shown, Media | MediaID) else None

    # --- what they show ---

    def _shown(self, kind: str, parts: Mapping[str, yaml.Node], node: yaml.Node) -> Media | PicURL | MediaID | None:
        """The one of file, pic_url and media_id that an image, video or file is given by."""
        if not isinstance(node, yaml.MappingNode):
            return None
        given = [key for key in KEYS[kind] if key in parts]
        if len(given) != 1:
            if given or not node.value:  # else an unknown key is recorded already
                self._nodes.wrong(
                    node,
                    Message.of("%(kind)s needs one of %(known)s", kind=KINDS[kind], known=", ".join(KEYS[kind])),
                    "file",
                )
            return None
        if given == ["file"]:
            return self._file(parts["file"], USES[kind])
        text = self._field(kind, given[0], parts, node)
        return PicURL(text) if given == ["pic_url"] else MediaID(text)

    def _file(self, node: yaml.Node, use: Use) -> Media | None:
        path = self._nodes.text(node)
        if not path:
            self._nodes.wrong(node, Message.of("choose a file"))
            return None
        outside = scalars.escapes(path)
        if outside is not None:
            self._nodes.wrong(node, outside)
            return None
        media = self._nodes.converted(node, self._look)
        return None if media is None else self._fitting(node, media, use)

    def _fitting(self, node: yaml.Node, media: Media, use: Use) -> Media | None:
        refused = media_kind.refusal(media, use)
        self._nodes.wrong(node, refused)
        return media if refused is None else None

    # --- their texts ---

    def _field(self, kind: str, name: str, parts: Mapping[str, yaml.Node], node: yaml.Node) -> str:
        """A text of an attachment; "" if it is not there."""
        required = FIELDS[kind][name].required or kind == "image"  # which needs one of its two, and has this
        if name not in parts:
            if required:
                self._missing(name, node)
            return ""
        at = parts[name]
        text = self._nodes.text(at)
        self._nodes.wrong(at, texts.wrong_literally(text, self._known))
        if not text.strip() and isinstance(at, yaml.ScalarNode):
            empty = Message.of("%(what)s is empty", what=_NAMES[name])
            self._nodes.wrong(
                at, empty if required else Message.of("%(what)s is empty; leave it out", what=_NAMES[name])
            )
        self._nodes.wrong(at, limits.too_long(_NAMES[name], text, limits.of_field(kind, name)))
        if name in _URLS and text.strip() and not scalars.is_url(text):
            self._nodes.wrong(
                at, Message.of("an address begins with https:// and has no space, such as https://example.com/book")
            )
        if name == "appid" and text and not re.fullmatch(r"[A-Za-z0-9_-]+", text):
            self._nodes.wrong(at, Message.of("an AppID looks like wx8bd80126147df384"))
        return text

    def _missing(self, name: str, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            self._nodes.wrong(node, Message.of("%(what)s is missing", what=_NAMES[name]), name)

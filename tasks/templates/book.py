"""The welcome book as a YAML file: text → Book, with line, column and cure for everything that is wrong. Pure.

KEYS is the whole of the format: what may stand where. deploy/welcome-book.schema.json says the same to editors.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping

import yaml

from tasks.events import CHANGES
from tasks.messages import Message, reason
from tasks.templates import limits, media_kind, scalars
from tasks.templates.conditions import CUSTOMER_TYPES
from tasks.templates.media_kind import Use
from tasks.templates.model import (
    ALWAYS,
    DEFAULT,
    Attachment,
    Book,
    File,
    FollowUp,
    GroupWelcome,
    Image,
    Link,
    Media,
    MediaID,
    MiniProgram,
    PicURL,
    Rule,
    Tag,
    Template,
    Variant,
    Video,
    When,
)
from tasks.templates.problems import BookError, Problem
from tasks.templates.render import barest, literal, longest, looks_like_placeholder, placeholders
from tasks.templates.yaml_composer import BOOK_LIMIT, compose
from tasks.templates.yaml_nodes import Nodes, T, did_you_mean, place

__all__ = ["BOOK_LIMIT", "KEYS", "BookError", "Look", "Problem", "no_files", "read", "remarks"]

VERSION = "1"
TAG_GROUP = "欢迎语"  # of a tag that is written without one

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

ATTACHMENT = {
    "image": Message.of("an image"),
    "link": Message.of("a link"),
    "miniprogram": Message.of("a miniprogram"),
    "video": Message.of("a video"),
    "file": Message.of("a file"),
}

Look = Callable[[str], Media]  # a path beside the book → the file there. ValueError says what is wrong with it


def no_files(path: str) -> Media:
    """The Look of a book that has no files beside it."""
    raise ValueError(Message.of("no file %(path)s; paths are relative to the book", path=path))


def read(source: str, look: Look = no_files) -> Book:
    """The book in a YAML text. Raises BookError with everything that is wrong."""
    root = compose(source)
    reader = _Reader(look)
    book = reader.book(root)
    reader.done()
    return book


def remarks(book: Book, members: frozenset[str] | None = None) -> Iterator[str]:
    """What is probably not meant, though nothing forbids it. `members`: of the corp; None when they are not known."""
    final: tuple[int, Rule] | None = None
    known = None if members is None else {one.lower() for one in members}
    for number, rule in enumerate(book.rules, 1):
        at = f"line {rule.line}: rule {rule.label(number)}"
        if final is not None:
            yield f"{at} is never reached: rule {final[1].label(final[0])} before it has no conditions"
        elif rule.when == ALWAYS:
            final = number, rule
        for member in rule.when.member:
            if known is not None and member.lower() not in known:
                yield f"{at} names {member}, who is no member with 客户联系 in the app's visible range"
    used = {variant.template for rule in book.rules for variant in rule.variants} | {DEFAULT}
    for name in book.templates:
        if name not in used:
            yield f"template {name} is used by no rule"
    for attachment in book.attachments():
        if not isinstance(attachment, Link | MiniProgram) and isinstance(attachment.source, MediaID):
            yield "a media_id lives three days; with `file:` it is renewed for you"
            break


# ------------------------------------------------------------------------------------------------ the reader


class _Reader(Nodes):
    """Walks the nodes of one book and gathers its problems."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look

    def parts(self, node: yaml.Node, kind: str, what: Message) -> dict[str, yaml.Node]:
        """The entries of a mapping whose keys KEYS lists under `kind`."""
        return dict(self.entries(node, what, KEYS[kind]))

    def book(self, root: yaml.Node) -> Book:
        parts = self.parts(root, "book", Message.of("the book"))
        if "version" not in parts or self.text(parts["version"]) != VERSION:
            self.wrong(parts.get("version", root), Message.of("`version: %(version)s` is required", version=VERSION))
        for part in ("templates", "rules"):
            if part not in parts:
                self.wrong(root, Message.of("`%(key)s` is missing", key=part))
        templates = dict(self.templates(parts["templates"])) if "templates" in parts else {}
        rules = tuple(self.rules(parts["rules"], templates)) if "rules" in parts else ()
        if rules and DEFAULT not in templates and all(rule.when != ALWAYS for rule in rules):
            self.wrong(
                parts["rules"],
                Message.of(
                    "some customers would get nothing: end the rules with one without `when`, such as"
                    " `- use: TEMPLATE`, or call a template %(default)s",
                    default=DEFAULT,
                ),
            )
        welcomes = dict(self.group_welcomes(parts["group_welcome"])) if "group_welcome" in parts else {}
        return Book(templates, rules, welcomes)

    def name(self, node: yaml.Node, name: str, what: Message) -> None:
        """Whether a name of the author's can stand in records, metrics and lines."""
        if not name.strip():
            self.wrong(node, Message.of("%(what)s needs a name that is not empty", what=what))
        elif "|" in name or any(unicodedata.category(character).startswith("C") for character in name):
            self.wrong(node, Message.of("the name of %(what)s has a | or a control character; leave it out", what=what))
        else:
            self.wrong(
                node, limits.too_many_characters(Message.of("the name of %(what)s", what=what), name, limits.NAME_LIMIT)
            )

    # --- templates ---

    def templates(self, node: yaml.Node) -> Iterator[tuple[str, Template]]:
        for name, body in self.entries(node, Message.of("templates")):
            what = Message.of("template %(name)s", name=name)
            self.name(body, name, Message.of("a template"))
            parts = self.parts(body, "template", what)
            text = ""
            if "text" in parts:
                text = self.text_with_placeholders(parts["text"], name)
            elif isinstance(body, yaml.MappingNode):
                self.wrong(body, Message.of("%(what)s has no text", what=what))
            attachments = self.attachments(parts["attachments"], what) if "attachments" in parts else ()
            then = self.follow_up(parts["then"], what) if "then" in parts else FollowUp()
            yield name, Template(name, text, attachments, then)

    def text_with_placeholders(self, node: yaml.Node, name: str) -> str:
        problems = len(self.problems)
        text = self.text(node)
        if len(self.problems) > problems:
            return text
        try:
            placeholders(text)
        except ValueError as error:
            self.wrong(node, reason(error))
            return text
        if not barest(text).strip():
            self.wrong(
                node,
                Message.of("the text of %(name)s is empty when no name is known; add a word or a fallback", name=name),
            )
        elif (size := longest(text)) > limits.TEXT_LIMIT:
            self.wrong(
                node,
                Message.of(
                    "the text of %(name)s has up to %(size)s bytes with the longest names, %(excess)s more"
                    " than the %(limit)s that WeCom takes (a Chinese character has 3); shorten it",
                    name=name,
                    size=size,
                    excess=size - limits.TEXT_LIMIT,
                    limit=limits.TEXT_LIMIT,
                ),
            )
        return text

    def follow_up(self, node: yaml.Node, what: Message) -> FollowUp:
        parts = self.parts(node, "then", Message.of("`then` of %(what)s", what=what))
        tags: list[Tag] = []
        for item in self.items(parts["tags"]) if "tags" in parts else ():
            tag = self.tag(item)
            if tag in tags:
                self.wrong(item, Message.of("tag %(tag)s is given twice", tag=f"{tag.group}/{tag.name}"))
            tags.append(tag)
        remark = ""
        if "remark" in parts:
            node = parts["remark"]
            remark = self.text(node)
            try:
                placeholders(remark)
            except ValueError as error:
                self.wrong(node, reason(error))
            else:
                self.wrong(
                    node, limits.too_many_characters(Message.of("the remark"), literal(remark), limits.REMARK_LIMIT)
                )
                if not remark.strip():
                    self.wrong(node, Message.of("the remark is empty; leave `remark` out"))
        return FollowUp(tuple(tags), remark)

    def tag(self, node: yaml.Node) -> Tag:
        group, slash, name = self.literal(node, Message.of("a tag")).partition("/")
        group, name = (group.strip(), name.strip()) if slash else (TAG_GROUP, group.strip())
        if not group or not name:
            self.wrong(node, Message.of("a tag is written group/tag, or tag alone"))
        for what, part in ((Message.of("the tag's group"), group), (Message.of("the tag"), name)):
            self.wrong(node, limits.too_many_characters(what, part, limits.TAG_LIMIT))
        return Tag(group, name)

    def literal(self, node: yaml.Node, what: Message) -> str:
        """A text that is sent as it is written."""
        text = self.text(node)
        found = looks_like_placeholder(text)
        if found is not None:
            self.wrong(
                node,
                Message.of(
                    "%(what)s is sent as it is written: %(found)s would stand there; texts and remarks have them",
                    what=what,
                    found=found,
                ),
            )
        return text

    # --- attachments ---

    def attachments(self, node: yaml.Node, what: Message) -> tuple[Attachment, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(
                node,
                Message.of("the attachments of %(what)s are a list, such as `- image: {file: hello.png}`", what=what),
            )
            return ()
        if len(node.value) > limits.ATTACHMENTS_LIMIT:
            self.wrong(
                node.value[limits.ATTACHMENTS_LIMIT],
                Message.of(
                    "%(what)s has %(count)s attachments; WeCom takes %(limit)s",
                    what=what,
                    count=len(node.value),
                    limit=limits.ATTACHMENTS_LIMIT,
                ),
            )
        read = []
        for item in node.value:
            parts = self.parts(item, "attachment", Message.of("an attachment"))
            if isinstance(item, yaml.MappingNode) and len(item.value) != 1:
                self.wrong(
                    item,
                    Message.of(
                        "an attachment is one of %(known)s; begin each with a dash",
                        known=", ".join(KEYS["attachment"]),
                    ),
                )
            read += [self.attachment(kind, body) for kind, body in parts.items()]
        return tuple(one for one in read if one is not None)

    def attachment(self, kind: str, node: yaml.Node) -> Attachment | None:
        parts = self.parts(node, kind, ATTACHMENT[kind])
        if kind == "link":
            return Link(
                title=self.field(parts, "title", node, limits.TITLE_LIMIT),
                url=self.url(parts, "url", node),
                desc=self.field(parts, "desc", None, limits.DESC_LIMIT),
                picurl=self.url(parts, "picurl", None),
            )
        if kind == "miniprogram":
            return self.miniprogram(parts, node)
        shown = self.shown(parts, node, kind)
        if kind == "image":
            return None if shown is None else Image(shown)
        if shown is None or isinstance(shown, PicURL):
            return None
        return Video(shown) if kind == "video" else File(shown)

    def shown(self, parts: Mapping[str, yaml.Node], node: yaml.Node, kind: str) -> Media | PicURL | MediaID | None:
        """The one of file, pic_url and media_id that an image, video or file is given by."""
        if not isinstance(node, yaml.MappingNode):
            return None
        given = [key for key in KEYS[kind] if key in parts]
        if len(given) != 1:
            if given or not node.value:  # else an unknown key is said already
                self.wrong(
                    node,
                    Message.of("%(kind)s needs one of %(known)s", kind=ATTACHMENT[kind], known=", ".join(KEYS[kind])),
                )
            return None
        if given == ["file"]:
            return self.file(
                parts["file"], {"image": media_kind.IMAGE, "video": media_kind.VIDEO}.get(kind, media_kind.FILE)
            )
        if given == ["pic_url"]:
            return PicURL(self.url(parts, "pic_url", node))
        return MediaID(self.field(parts, "media_id", node, limits.URL_LIMIT))

    def miniprogram(self, parts: Mapping[str, yaml.Node], node: yaml.Node) -> MiniProgram | None:
        title = self.field(parts, "title", node, limits.MINIPROGRAM_TITLE_LIMIT)
        appid = self.field(parts, "appid", node, limits.NAME_LIMIT)
        if appid and not re.fullmatch(r"[A-Za-z0-9_-]+", appid):
            self.wrong(parts["appid"], Message.of("an appid looks like wx8bd80126147df384"))
        page = self.field(parts, "page", node, limits.PAGE_LIMIT)
        if "cover" not in parts:
            self.field(parts, "cover", node, 0)
            return None
        cover = parts["cover"]
        if isinstance(cover, yaml.MappingNode):  # the long form, for a media_id
            shown = self.shown(self.parts(cover, "file", Message.of("a cover")), cover, "file")
            shown = self.fitting(cover, shown, media_kind.IMAGE) if isinstance(shown, Media) else shown
        else:
            shown = self.file(cover, media_kind.IMAGE)
        return MiniProgram(title, appid, page, shown) if isinstance(shown, Media | MediaID) else None

    def file(self, node: yaml.Node, use: Use) -> Media | None:
        path = self.text(node)
        if not path:
            self.wrong(node, Message.of("name a file beside the book"))
            return None
        outside = scalars.escapes(path)
        if outside is not None:
            self.wrong(node, outside)
            return None
        media = self.converted(node, self._look)
        return None if media is None else self.fitting(node, media, use)

    def fitting(self, node: yaml.Node, media: Media, use: Use) -> Media | None:
        refused = media_kind.refusal(media, use)
        self.wrong(node, refused)
        return media if refused is None else None

    def field(self, parts: Mapping[str, yaml.Node], name: str, required_of: yaml.Node | None, limit: int) -> str:
        """A text of an attachment, within so many bytes; "" if it is not there. `required_of`: what must have it."""
        if name not in parts:
            if isinstance(required_of, yaml.MappingNode):
                self.wrong(required_of, Message.of("`%(key)s` is missing", key=name))
            return ""
        text = self.literal(parts[name], Message.of("`%(key)s`", key=name))
        if not text.strip() and isinstance(parts[name], yaml.ScalarNode):
            empty = (
                Message.of("`%(key)s` is empty", key=name)
                if required_of
                else Message.of("`%(key)s` is empty; leave it out", key=name)
            )
            self.wrong(parts[name], empty)
        self.wrong(parts[name], limits.too_many_bytes(Message.of("`%(key)s`", key=name), text, limit))
        return text

    def url(self, parts: Mapping[str, yaml.Node], name: str, required_of: yaml.Node | None) -> str:
        text = self.field(parts, name, required_of, limits.URL_LIMIT)
        if text.strip() and not scalars.is_url(text):
            self.wrong(
                parts[name], Message.of("`%(key)s` must be a whole URL, such as https://example.com/book", key=name)
            )
        return text

    # --- rules ---

    def rules(self, node: yaml.Node, templates: Mapping[str, Template]) -> Iterator[Rule]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.wrong(node, Message.of("`rules` is a list of at least one rule, such as `- use: default`"))
            return
        names: set[str] = set()
        for item in node.value:
            parts = self.parts(item, "rule", Message.of("a rule"))
            name = self.text(parts["name"]) if "name" in parts else ""
            if "name" in parts:
                self.name(parts["name"], name, Message.of("a rule"))
                if name in names:
                    self.wrong(parts["name"], Message.of("two rules are called %(name)s", name=name))
                names.add(name)
            variants: tuple[Variant, ...] = ()
            if "use" in parts:
                variants = tuple(self.variants(parts["use"], templates))
                if isinstance(parts["use"], yaml.MappingNode) and "name" not in parts:
                    self.wrong(item, Message.of("a rule with weights needs a name: its results are counted under it"))
            else:
                self.wrong(item, Message.of("a rule needs `use: TEMPLATE`"))
            yield Rule(variants, name, self.when(parts["when"]) if "when" in parts else ALWAYS, place(item))

    def variants(self, node: yaml.Node, templates: Mapping[str, Template]) -> Iterator[Variant]:
        if isinstance(node, yaml.ScalarNode):
            self.template(node, self.text(node), templates)
            yield Variant(self.text(node))
            return
        total = 0
        problems = len(self.problems)
        for name, weight_node in self.entries(node, Message.of("`use`")):
            self.template(weight_node, name, templates)
            weight = self.converted(weight_node, scalars.number(Message.of("a weight"), 0, 1_000_000)) or 0
            total += weight
            yield Variant(name, weight)
        if total == 0 and len(self.problems) == problems:
            self.wrong(node, Message.of("no template has a weight above 0"))

    def template(self, node: yaml.Node, name: str, templates: Mapping[str, Template]) -> None:
        if name not in templates:
            near = did_you_mean(name, templates)
            self.wrong(
                node,
                Message.of(
                    "no template is called %(name)s; there are %(known)s%(near)s",
                    name=name,
                    known=", ".join(templates) or Message.of("none"),
                    near=near,
                ),
            )

    def when(self, node: yaml.Node) -> When:
        parts = self.parts(node, "when", Message.of("`when`"))
        if isinstance(node, yaml.MappingNode) and not node.value:
            self.wrong(node, Message.of("`when` has no condition; leave it out for a rule that always holds"))

        def values(name: str, convert: Callable[[str], T]) -> tuple[T, ...]:
            if name not in parts:
                return ()
            items = self.items(parts[name])
            if not items:
                self.wrong(parts[name], Message.of("`%(key)s` is empty; leave it out for any", key=name))
            read = [self.converted(item, convert) for item in items]
            return tuple(one for one in read if one is not None)

        return When(
            member=values("member", scalars.user_id),
            department=values("department", scalars.number(Message.of("a department's id"), 1, 2**32)),
            state=values("state", str),
            hours=values("hours", scalars.hours),
            weekdays=values("weekdays", scalars.weekday),
            dates=values("dates", scalars.dates),
            customer_type=values(
                "customer_type", scalars.one_of(Message.of("customer type"), tuple(CUSTOMER_TYPES.values()))
            ),
            add_way=values("add_way", scalars.number(Message.of("an add way"), 0, 2**31)),
            change=values("change", scalars.one_of(Message.of("change"), tuple(CHANGES.values()))),
        )

    # --- group welcomes ---

    def group_welcomes(self, node: yaml.Node) -> Iterator[tuple[str, GroupWelcome]]:
        if isinstance(node, yaml.MappingNode) and len(node.value) > limits.GROUP_WELCOMES_LIMIT:
            self.wrong(
                node,
                Message.of(
                    "%(count)s group welcomes; WeCom takes %(limit)s of a corp",
                    count=len(node.value),
                    limit=limits.GROUP_WELCOMES_LIMIT,
                ),
            )
        for name, body in self.entries(node, Message.of("group_welcome")):
            what = Message.of("group welcome %(name)s", name=name)
            self.name(body, name, Message.of("a group welcome"))
            parts = self.parts(body, "group_welcome", what)
            text = ""
            if "text" in parts:
                text = self.literal(parts["text"], Message.of("a group's text"))
                self.wrong(
                    parts["text"],
                    limits.too_many_bytes(Message.of("the text of %(what)s", what=what), text, limits.GROUP_TEXT_LIMIT)
                    if text.strip()
                    else Message.of("%(what)s has an empty text", what=what),
                )
            kinds = [kind for kind in parts if kind != "text"]
            if len(kinds) > 1:
                self.wrong(
                    body,
                    Message.of(
                        "%(what)s has %(kinds)s; WeCom takes one beside the text",
                        what=what,
                        kinds=", ".join(kinds),
                    ),
                )
            elif not parts and isinstance(body, yaml.MappingNode):
                self.wrong(
                    body,
                    Message.of(
                        "%(what)s is empty; it has a text, an image, link, miniprogram, file or video", what=what
                    ),
                )
            items = [self.attachment(kind, parts[kind]) for kind in kinds]
            yield name, GroupWelcome(name, text, items[0] if items else None)

"""The form in which a welcome, or a group welcome, is written, with what is wrong at each of its fields.

What may be written is the book's to say: its reader is given the value that the fields make (`editor_values.written`),
and each of its problems is put to the field that its path names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flask_babel import gettext as _
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import FieldList, Form, FormField, HiddenField, StringField, TextAreaField

from tasks.messages import Message
from tasks.placeholders.installed import installed
from tasks.templates import book as book_file
from tasks.templates import texts
from tasks.templates.edits import GROUP, SECTION, Named
from tasks.templates.model import Media
from tasks.templates.problems import Problem
from tasks.wecom.message_limits import ATTACHMENTS
from webhook.console.language import sentence
from webhook.console.welcomes.editor_values import FIELDS, Typed, written


def notes(kind: Named, text: str) -> list[str]:
    """What is wrong with a text so far, while it is being written."""
    if not text.strip():
        return []
    known = installed().known
    wrong = texts.wrong_in_group_welcome(text, known) if kind == GROUP else texts.wrong_in_welcome(text, known)
    return [sentence(one) for one in wrong]


def clean(text: str | None) -> str:
    """A text as it can be sent: line ends as WeCom has them, and nothing that cannot be seen and is refused."""
    return texts.UNSENDABLE.sub("", (text or "").replace("\r\n", "\n").replace("\r", "\n"))


def _line(text: str | None) -> str:
    return clean(text).replace("\n", " ").strip()


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

    def place(self, name: Any, what: Message) -> None:
        """Say what is wrong at the field of that name; where there is none, with the file, unless it was refused."""
        if name in FIELDS[self.kind.data]:
            _say(self[name], what)
        elif not self.upload.errors:
            _say(self.upload, what)


class EditForm(FlaskForm):
    """A welcome, or a group welcome."""

    name = StringField(filters=[_line])
    text = TextAreaField(filters=[clean])
    attachments = FieldList(FormField(AttachmentForm), max_entries=ATTACHMENTS.most)
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
        return {key: self[key].data or "" for key in ("name", "text", "tags", "remark")} | {"attachments": attachments}

    def known(self) -> bool:
        """Whether each attachment is of a kind that there is; a page of ours sends no other."""
        return all(one.form.kind.data in FIELDS for one in self.attachments)

    def check(self, files: Mapping[str, Media], kind: Named) -> bool:
        """Say at the fields what the book's reader finds wrong. → whether that is nothing.

        files: path → file, of those that are kept.
        """

        def look(path: str) -> Media:
            if path not in files:
                raise ValueError(Message.of("this file is not kept any more; choose another"))
            return files[path]

        data = self.typed
        value = written(data, kind == GROUP)
        for problem in book_file.problems_of(SECTION[kind], data["name"], value, look, installed().known):
            self.place(problem, kind)
        return not any(True for _ in self.problems())

    def place(self, problem: Problem, kind: Named) -> None:
        """Say at its field what the book's reader found wrong; at the form itself where it is about something else."""
        own = problem.path[:2] == (SECTION[kind], self.name.data or "")
        match problem.path[2:] if own else ("elsewhere",):
            case ():  # the fields always make a welcome, so it is about its name
                _say(self.name, problem.what)
            case ("text", *_):
                _say(self.text, problem.what)
            case ("then", "tags", *_):
                _say(self.tags, problem.what)
            case ("then", "remark"):
                _say(self.remark, problem.what)
            case ("attachments", int(number), *below) if number < len(self.attachments):
                self.attachments[number].form.place(below[-1] if below else None, problem.what)
            case (str(attachment), *below) if attachment in FIELDS and self.attachments:  # of a group welcome
                self.attachments[0].form.place(below[-1] if below else None, problem.what)
            case _:
                _say(self.was, problem.what)

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


def _say(field: Any, what: Message) -> None:
    """Say at a field what is wrong with it, once."""
    words = sentence(what)
    if words not in field.errors:
        field.errors = [*field.errors, words]

"""The editor of a welcome or a group welcome: the form, its preview, and conflicts between two editors.

Every button submits the whole form, so nothing typed is lost, and an uploaded file is stored at once (Drafts.hold), so
nothing is uploaded twice. Only saving changes the draft.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from werkzeug.datastructures import FileStorage
from wtforms import HiddenField, StringField

from tasks.audit import Act
from tasks.books.draft import Draft, DraftError, EditConflict, Moved, book_of
from tasks.books.media_store import MediaFull
from tasks.messages import translate
from tasks.placeholders.installed import installed
from tasks.templates import limits
from tasks.templates.book_attachments import USES
from tasks.templates.edits import GROUP, TEMPLATE, DeleteNamed, Named, NameTaken, Part, SetNamed, StillUsed, users
from tasks.templates.media_kind import LARGEST, MB, too_large
from tasks.templates.model import Media
from tasks.templates.render import PLACEHOLDERS, welcome_text
from tasks.templates.texts import NICKNAME
from tasks.wecom.message_limits import ATTACHMENTS, PERMANENT_IMAGE_MOST, REMARK
from webhook.console import current, picker
from webhook.console.language import sentence
from webhook.console.welcomes import media_status, preview, trying
from webhook.console.welcomes.editor_buttons import changed, focus, form_of, pick, read_clash, with_clash
from webhook.console.welcomes.editor_form import AttachmentForm, EditForm, notes
from webhook.console.welcomes.editor_labels import LabelFields, label_fields, save_labels
from webhook.console.welcomes.editor_values import FIELDS, Typed, shown, shown_group, typed, written
from webhook.console.welcomes.examples import example
from webhook.console.welcomes.uploads import received

FILES_LIMIT = 2 * LARGEST  # bytes of one form with its files; of each file LARGEST
TAKE_FILES = frozenset({"editor.new", "editor.edit", "editor.new_group", "editor.edit_group"})


class DeleteForm(FlaskForm):
    """The welcome that replaces a deleted one in rules."""

    was = HiddenField()
    instead = StringField()


blueprint = Blueprint("editor", __name__)


@blueprint.url_value_preprocessor
def take_files(endpoint: str | None, _values: Any) -> None:
    """Raise the limit of the body for forms with files, for those who are signed in."""
    if endpoint in TAKE_FILES and session.get("operator"):
        request.max_content_length = FILES_LIMIT


# ------------------------------------------------------------------------------------------------ writing


@blueprint.route("/welcomes/new", endpoint="new", methods=["GET", "POST"])
@blueprint.route("/groups/new", endpoint="new_group", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    """An empty form, a copy of another welcome, or an example."""
    kind, draft = _kind(), _working()
    if request.method == "POST":
        return _answer(kind, "")
    model = draft.content.part(Part(kind, request.args.get("copy", "")))
    data = typed("", model) if isinstance(model, dict) else typed("", {})
    start = example(request.args.get("example", "")) if kind == TEMPLATE else None
    if start is not None:
        data |= {"name": start.name, "text": start.text}
    return _page(kind, "", form_of(data), draft)


@blueprint.route("/welcomes/edit", endpoint="edit", methods=["GET", "POST"])
@blueprint.route("/groups/edit", endpoint="edit_group", methods=["GET", "POST"])
def edit() -> ResponseReturnValue:
    """The form of an existing welcome."""
    kind, name = _kind(), request.args.get("name", "")  # any name can stand there, `..` and `a/b` too
    if not name:
        return redirect(_listed(kind))
    if request.method == "POST":
        return _answer(kind, name)
    draft = _working()
    content, part = draft.content, Part(kind, name)
    value = content.part(part)
    if not isinstance(value, dict):
        return _missing(kind, name)
    return _page(kind, name, form_of(typed(name, value), content.digest(part)), draft)


def _answer(kind: Named, name: str) -> ResponseReturnValue:
    """Handle any button of the form."""
    form = EditForm()
    if not form.known():
        abort(400)
    _take_uploads(form)
    act, _colon, argument = request.form.get("do", "save").partition(":")
    if act in ("save", "publish", "explain"):
        return _save(kind, name, form, act)
    if act == "pick" and argument.startswith(f"{picker.ONE}:"):  # a member; else it is a file of the library
        return _page(kind, name, form)
    if act == "try":
        return _try(kind, name, form)
    if act != "preview":
        form = changed(form, act, argument, ATTACHMENTS.most if kind == TEMPLATE else 1)
    return _page(kind, name, form, focus=focus(form, act, argument))


def _save(kind: Named, name: str, form: EditForm, act: str) -> ResponseReturnValue:
    drafts, app, draft = current.services().drafts, current.app().name, _working()
    labels = _labels(kind, name)
    if not form.check(drafts.files(app), kind) or (labels and labels.wrong):
        return _page(kind, name, form, draft), 422
    data = form.typed
    before = draft.content.part(Part(kind, name)) if name else None
    if isinstance(before, dict) and typed(name, before) == data:
        relabelled = labels is not None and save_labels(labels, name, name)
        flash(_("The labels are saved") if relabelled else _("Nothing was changed"))
        return redirect(_after(kind, name, act))
    was = form.was.data or ""
    change = SetNamed(kind, data["name"], written(data, kind == GROUP), was, "" if form.was.data == "" else name)
    try:
        drafts.change(app, change, current.operator())
    except EditConflict as conflict:
        return _page(kind, name, with_clash(form, conflict)), 409
    except NameTaken:
        form.name.errors = [_("There is another welcome of this name; choose one that is free")]
    except DraftError as error:
        for problem in error.problems:
            form.place(problem, kind)
    except Moved:
        form.was.errors = [_("Somebody else saved in the same moment. Press the button again")]
    else:
        if labels is not None:
            save_labels(labels, data["name"], name)
        flash(_("The draft is saved. Customers get it once it is published"))
        return redirect(_after(kind, data["name"], act))
    return _page(kind, name, form), 422


def _try(kind: Named, name: str, form: EditForm) -> ResponseReturnValue:
    """Send the welcome as it stands in the form to a member, as a test; nothing is saved."""
    services, app = current.services(), current.app()
    files = services.drafts.files(app.name)
    if not form.check(files, kind):
        return _page(kind, name, form), 422
    data, member = form.typed, trying.member()
    values = _samples()["ordinary"]
    if kind == GROUP:
        group = shown_group(data, files)
        text, attachments = group.text.replace(NICKNAME, values["customer"]), [group.item] if group.item else []
    else:
        template = shown(data, files)
        text, attachments = welcome_text(template, values), list(template.attachments)
    outcome = trying.send(member, data["name"], text, attachments)
    return _page(kind, name, form, focus="try", tried=outcome), outcome.status


def _after(kind: Named, name: str, act: str) -> str:
    """The URL after saving."""
    if act == "publish":
        return url_for("publishing.publish")
    if act == "explain":
        return url_for("explaining.explain")
    return address("edit", kind, name=name)


def _take_uploads(form: EditForm) -> None:
    """Store the uploaded files, and set the errors of their fields."""
    for one in form.attachments:
        pick(one.form)
        upload = one.form.upload.data
        if one.form.kind.data in USES and isinstance(upload, FileStorage) and upload.filename:
            what = _take(one.form, upload)
            if what:
                one.form.upload.errors = [what]


def _take(form: AttachmentForm, upload: FileStorage) -> str | None:
    """Store a file. → why it was refused; None if it was not."""
    content, refused = received(upload, USES[form.kind.data])
    if refused is not None:
        return refused
    services = current.services()
    try:
        form.path.data = services.drafts.hold(current.app().name, upload.filename or "", content).path
        current.record(Act.MEDIA_ADDED, form.path.data)
    except MediaFull:
        words = _(
            "There is no room for more files: %(limit)s MB are kept. Delete some of the media library",
            limit=services.books.media.limit // MB,
        )
        return str(words)
    return None


# ------------------------------------------------------------------------------------------------ what is shown


@blueprint.post("/welcomes/preview", endpoint="preview")
@blueprint.post("/groups/preview", endpoint="preview_group")
def live_preview() -> ResponseReturnValue:
    """The preview of the form's current values, without validation; nothing is stored."""
    kind = _kind()
    form = EditForm()
    if not form.known():
        abort(400)
    for one in form.attachments:
        pick(one.form)
    files = current.services().drafts.files(current.app().name)
    return render_template("welcomes/_preview.html", **_preview(kind, form.typed, files), alone=True)


def _preview(kind: Named, data: Typed, files: Mapping[str, Media]) -> dict[str, Any]:
    """What the preview shows: the bubbles for each customer, and how long the text is."""
    samples = _samples()
    if kind == GROUP:
        welcome = shown_group(data, files)
        bubbles = {who: preview.group_bubbles(welcome, values["customer"]) for who, values in samples.items()}
        count = preview.group_count(data["text"])
    else:
        template = shown(data, files)
        bubbles = {who: preview.bubbles(template, values) for who, values in samples.items()}
        count = preview.count(data["text"], installed().known)
    return {
        "kind": kind,
        "bubbles": bubbles,
        "samples": samples,
        "count": count,
        "notes": notes(kind, data["text"]),
        "member": preview.MEMBER,
    }


def _samples() -> dict[str, dict[str, str]]:
    """The values of the customers that a preview shows."""
    at = datetime.fromtimestamp(time.time(), current.zone())
    return preview.samples(at, own={name: one.example for name, one in installed().declared.items() if one.example})


def _own_names() -> dict[str, str]:
    """Placeholders of packages, and what they are called in the reader's language."""
    zh = str(get_locale()).startswith("zh")
    return {name: one.zh if zh else one.en for name, one in installed().declared.items()}


def _page(
    kind: Named,
    name: str,
    form: EditForm,
    draft: Draft | None = None,
    focus: str = "",
    tried: trying.Outcome | None = None,
) -> str:
    services, app = current.services(), current.app()
    number = services.books.current(app.name)
    book = services.books.book(app.name, number) if number else None
    files, draft = services.drafts.files(app.name), draft or _working()
    records = services.books.ready.all(app.settings.corp_id)
    return render_template(
        "welcomes/edit.html",
        form=form,
        name=name,
        focus=focus,
        files=files,
        kinds=list(FIELDS),
        fields=FIELDS,
        fitting={kind: _fitting(files, kind) for kind in USES},
        uses=USES,
        too_large={kind: translate(too_large("{path}", "{size}", use), _) for kind, use in USES.items()},
        permanent_image_most=PERMANENT_IMAGE_MOST,
        field_limit=limits.of_field,
        remark_limit=REMARK,
        nickname=NICKNAME,
        fresh=media_status.of_files(book_of(draft) if draft.version else None, records)
        | media_status.of_files(book, records),
        most=ATTACHMENTS.most if kind == TEMPLATE else 1,
        placeholders=[*PLACEHOLDERS, *installed().declared],
        own_names=_own_names(),
        address=address,
        labels=_labels(kind, name),
        status=_status(Part(kind, name), draft, number),
        clash=read_clash(form),
        trial=trying.offered(),
        tried=tried,
        **_preview(kind, form.typed, files),
    )


def _labels(kind: Named, name: str) -> LabelFields | None:
    """Group welcomes have no labels."""
    return label_fields(name) if kind == TEMPLATE else None


def _status(part: Part, draft: Draft, number: int | None) -> dict[str, Any]:
    """A welcome in the draft compared with the live one; `number`: the live revision."""
    services, app = current.services(), current.app().name
    content = draft.content
    live = services.drafts.live(app).content if draft.version else content
    return {
        "live": live.part(part) is not None,
        "differs": content.digest(part) != live.digest(part),
        "revision": services.books.revision(app, number) if number else None,
        "draft": draft,
    }


def _fitting(files: Mapping[str, Media], kind: str) -> list[Media]:
    """The files that can be chosen for a kind of attachment, by name."""
    use = USES[kind]
    found = [one for one in files.values() if (not use.kinds or one.kind in use.kinds) and one.size <= use.limit]
    return sorted(found, key=lambda one: one.name)


def _kind() -> Named:
    """Every view has an endpoint for welcomes and one for group welcomes."""
    return "group_welcome" if str(request.endpoint).endswith("_group") else "template"


def _working() -> Draft:
    return current.services().drafts.working(current.app().name)


def address(act: str, kind: str, **values: Any) -> str:
    """The URL of one of the pages: `new`, `edit`, `preview` or `delete`."""
    return url_for(f"editor.{act}" if kind == TEMPLATE else f"editor.{act}_group", **values)


def _missing(kind: str, name: str) -> ResponseReturnValue:
    """Redirect with a message: an old link may name a deleted welcome, or one that is live and not in the draft."""
    drafts, app = current.services().drafts, current.app().name
    live = drafts.live(app)
    if live.content.part(Part(kind, name)) is None:
        flash(_("There is no “%(name)s” any more", name=name))
    elif _working().base == live.base:
        flash(_("“%(name)s” is deleted in the draft. It stays live until you publish", name=name))
    else:
        flash(_("“%(name)s” is live and not in the draft. Merge the two to edit it", name=name), "warn")
        return redirect(url_for("publishing.publish"))
    return redirect(_listed(kind))


def _listed(kind: str) -> str:
    """The URL of the list."""
    return url_for("groups.show" if kind == GROUP else "welcomes.show")


# ------------------------------------------------------------------------------------------------ taking one out


@blueprint.route("/welcomes/delete", endpoint="delete", methods=["GET", "POST"])
@blueprint.route("/groups/delete", endpoint="delete_group", methods=["GET", "POST"])
def delete() -> ResponseReturnValue:
    """Delete one from the draft; where rules use it, another one has to replace it."""
    kind, name = _kind(), request.args.get("name", "")
    if not name:
        return redirect(_listed(kind))
    form = DeleteForm()
    content = _working().content
    if content.part(Part(kind, name)) is None:
        return _missing(kind, name)
    if form.is_submitted() and _deleted(form, kind, name):
        flash(_("“%(name)s” is deleted in the draft. It stays live until you publish", name=name))
        return redirect(_listed(kind))
    form.was.data = content.digest(Part(kind, name))
    rules, rest = users(content.values, name) if kind == TEMPLATE else ((), False)
    others = [one for one in content.named(kind) if one != name]
    page = render_template(
        "welcomes/delete.html",
        form=form,
        address=address,
        kind=kind,
        name=name,
        rules=rules,
        rest=rest,
        others=others,
    )
    return page, 422 if form.is_submitted() else 200


def _deleted(form: DeleteForm, kind: Named, name: str) -> bool:
    """Delete it, or set the form's errors. → whether it was deleted."""
    change = DeleteNamed(kind, name, form.was.data or "", form.instead.data or "")
    try:
        current.services().drafts.change(current.app().name, change, current.operator())
    except StillUsed:
        form.instead.errors = [_("Choose the welcome that takes its place")]
    except (EditConflict, Moved):
        form.was.errors = [_("It was changed meanwhile. Look at it again before you delete it")]
    except DraftError as error:
        form.was.errors = [sentence(problem.what) for problem in error.problems]
    else:
        return True
    return False

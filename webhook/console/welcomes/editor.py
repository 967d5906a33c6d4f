"""Writing a welcome, or a group welcome: the form, its preview, and what two editors wrote at the same time.

Every button of the form sends all of it: what was typed is on the next page whatever becomes of it, and a file is kept
as soon as it has come (Drafts.hold), so that nothing is uploaded twice. Only saving changes the draft.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, flash, g, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response
from wtforms import HiddenField, StringField

from tasks.books.draft import Draft, DraftError, Drafts, EditConflict, Moved
from tasks.media.uploads import MediaFull
from tasks.messages import translate
from tasks.services import Services
from tasks.templates import limits
from tasks.templates.book_attachments import USES
from tasks.templates.edits import GROUP, TEMPLATE, DeleteNamed, Named, NameTaken, Part, SetNamed, StillUsed, users
from tasks.templates.media_kind import LARGEST, MB, too_large
from tasks.templates.model import Media
from tasks.templates.render import PLACEHOLDERS
from tasks.templates.texts import NICKNAME
from tasks.wecom.message_limits import ATTACHMENTS, PERMANENT_IMAGE_MOST, REMARK
from webhook.console.language import sentence
from webhook.console.welcomes import media_status, preview
from webhook.console.welcomes.editor_form import AttachmentForm, EditForm, notes
from webhook.console.welcomes.editor_values import FIELDS, Typed, moved, shown, shown_group, typed, written
from webhook.console.welcomes.uploads import received

FILES_LIMIT = 2 * LARGEST  # bytes of one form with its files; of each file LARGEST
TAKE_FILES = frozenset({"editor.new", "editor.edit", "editor.new_group", "editor.edit_group"})
COMPARED = ("text", "attachments", "tags", "remark")  # what a conflict shows, field by field
Page = Response | str | tuple[str, int]


class DeleteForm(FlaskForm):
    """Which welcome takes the place of one that goes."""

    was = HiddenField()
    instead = StringField()


def editor(services: Services) -> Blueprint:
    """The pages on which welcomes and group welcomes are written."""
    blueprint = Blueprint("editor", __name__)
    drafts = Drafts(services.redis, services.books)

    @blueprint.url_value_preprocessor
    def take_files(endpoint: str | None, _values: Any) -> None:
        if endpoint in TAKE_FILES and session.get("operator"):  # nobody else may send so much
            request.max_content_length = FILES_LIMIT

    # --- writing ---

    def new(kind: Named) -> Page:
        if request.method == "POST":
            return answer(kind, "")
        draft = drafts.working(g.app.name)
        model = draft.content.part(Part(kind, request.args.get("copy", "")))
        data = typed("", model) if isinstance(model, dict) else typed("", {})
        return page(kind, "", _form(data), draft)

    def edit(kind: Named) -> Page:
        name = request.args.get("name", "")  # any name can stand there, `..` and `a/b` too
        if not name:
            return redirect(listed(kind))
        if request.method == "POST":
            return answer(kind, name)
        draft = drafts.working(g.app.name)
        content, part = draft.content, Part(kind, name)
        value = content.part(part)
        if not isinstance(value, dict):
            return missing(kind, name)
        return page(kind, name, _form(typed(name, value), content.digest(part)), draft)

    def answer(kind: Named, name: str) -> Page:
        """What follows on any button of the form."""
        form = EditForm()
        if not form.known():
            abort(400)
        take_uploads(form)
        act, _colon, argument = request.form.get("do", "save").partition(":")
        if act in ("save", "publish", "explain"):
            return save(kind, name, form, act)
        if act != "preview":
            form = _changed(form, act, argument, ATTACHMENTS.most if kind == TEMPLATE else 1)
        return page(kind, name, form, focus=_focus(form, act, argument))

    def save(kind: Named, name: str, form: EditForm, act: str) -> Page:
        draft = drafts.working(g.app.name)
        if not form.check(drafts.files(g.app.name), kind):
            return page(kind, name, form, draft), 422
        data = form.typed
        before = draft.content.part(Part(kind, name)) if name else None
        if isinstance(before, dict) and typed(name, before) == data:
            flash(_("Nothing was changed"))
            return redirect(after(kind, name, act))
        gone = form.was.data == ""
        change = SetNamed(
            kind, data["name"], written(data, kind == GROUP), form.was.data or "", "" if gone else name
        )  # fmt: skip
        try:
            drafts.change(g.app.name, change, g.operator)
        except EditConflict as conflict:
            return page(kind, name, _clashing(form, conflict)), 409
        except NameTaken:
            form.name.errors = [_("There is another welcome of this name; choose one that is free")]
        except DraftError as error:
            for problem in error.problems:
                form.place(problem, kind)
        except Moved:
            form.was.errors = [_("Somebody else saved in the same moment. Press the button again")]
        else:
            flash(_("The draft is saved. Customers get it once it is published"))
            return redirect(after(kind, data["name"], act))
        return page(kind, name, form), 422

    def after(kind: Named, name: str, act: str) -> str:
        """Where a saved form leads."""
        if act == "publish":
            return url_for("publishing.publish")
        if act == "explain":
            return url_for("explaining.explain")
        return address("edit", kind, name=name)

    # --- the preview ---

    def live(kind: Named) -> Page:
        """The preview of what is in the form now; nothing is changed or judged."""
        form = EditForm()
        if not form.known():
            abort(400)
        for one in form.attachments:
            _pick(one.form)
        return render_template("welcomes/_preview.html", **seen(kind, form.typed, drafts.files(g.app.name)), alone=True)

    def seen(kind: Named, data: Typed, files: Mapping[str, Media]) -> dict[str, Any]:
        """What the preview shows: the bubbles for each customer, and how long the text is."""
        at = datetime.fromtimestamp(time.time(), services.settings.timezone)
        samples = preview.samples(at)
        if kind == GROUP:
            welcome = shown_group(data, files)
            bubbles = {who: preview.group_bubbles(welcome, values["customer"]) for who, values in samples.items()}
            count = preview.group_count(data["text"])
        else:
            template = shown(data, files)
            bubbles = {who: preview.bubbles(template, values) for who, values in samples.items()}
            count = preview.count(data["text"])
        return {
            "kind": kind,
            "bubbles": bubbles,
            "samples": samples,
            "count": count,
            "notes": notes(kind, data["text"]),
            "member": preview.MEMBER,
        }

    # --- the page ---

    def page(kind: Named, name: str, form: EditForm, draft: Draft | None = None, focus: str = "") -> str:
        draft = draft or drafts.working(g.app.name)
        number = services.books.current(g.app.name)
        book = services.books.book(g.app.name, number) if number else None
        content = draft.content
        live_content = drafts.live(g.app.name).content if draft.version else content
        files = drafts.files(g.app.name)
        part = Part(kind, name)
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
            fresh=media_status.of_files(book, services.books.ready.all(g.app.corp_id)),
            most=ATTACHMENTS.most if kind == TEMPLATE else 1,
            placeholders=PLACEHOLDERS,
            address=address,
            status={
                "live": live_content.part(part) is not None,
                "differs": content.digest(part) != live_content.digest(part),
                "revision": services.books.revision(g.app.name, number) if number else None,
                "draft": draft,
            },
            clash=_read_clash(form),
            **seen(kind, form.typed, files),
        )

    def take_uploads(form: EditForm) -> None:
        """Keep the files that came, and note at their fields what is wrong with them."""
        for one in form.attachments:
            _pick(one.form)
            upload = one.form.upload.data
            if one.form.kind.data in USES and isinstance(upload, FileStorage) and upload.filename:
                what = take(one.form, upload)
                if what:
                    one.form.upload.errors = [what]

    def take(form: AttachmentForm, upload: FileStorage) -> str | None:
        content, refused = received(upload, USES[form.kind.data])
        if refused is not None:
            return refused
        try:
            form.path.data = drafts.hold(g.app.name, upload.filename or "", content).path
        except MediaFull:
            words = _(
                "There is no room for more files: %(limit)s MB are kept. Delete some of the media library",
                limit=services.books.media.limit // MB,
            )
            return str(words)
        return None

    # --- taking one out ---

    def delete(kind: Named) -> Page:
        name = request.args.get("name", "")
        if not name:
            return redirect(listed(kind))
        form = DeleteForm()
        content = drafts.working(g.app.name).content
        if content.part(Part(kind, name)) is None:
            return missing(kind, name)
        status = 200
        if form.is_submitted():
            change = DeleteNamed(kind, name, form.was.data or "", form.instead.data or "")
            try:
                drafts.change(g.app.name, change, g.operator)
            except StillUsed:
                form.instead.errors = [_("Choose the welcome that takes its place")]
            except (EditConflict, Moved):
                form.was.errors = [_("It was changed meanwhile. Look at it again before you delete it")]
            except DraftError as error:
                form.was.errors = [sentence(problem.what) for problem in error.problems]
            else:
                flash(_("“%(name)s” is deleted in the draft. It stays live until you publish", name=name))
                return redirect(listed(kind))
            status = 422
        form.was.data = content.digest(Part(kind, name))
        rules, rest = users(content.values, name) if kind == TEMPLATE else ((), False)
        others = [one for one in content.named(kind) if one != name]
        return render_template(
            "welcomes/delete.html",
            form=form,
            address=address,
            kind=kind,
            name=name,
            rules=rules,
            rest=rest,
            others=others,
        ), status

    pages = (
        ("new", new, "GET POST"),
        ("edit", edit, "GET POST"),
        ("preview", live, "POST"),
        ("delete", delete, "GET POST"),
    )
    for name, view, methods in pages:
        blueprint.add_url_rule(f"/welcomes/{name}", name, _about("template", view), methods=methods.split())
        blueprint.add_url_rule(
            f"/groups/{name}", f"{name}_group", _about("group_welcome", view), methods=methods.split()
        )
    return blueprint


def _about(kind: Named, view: Callable[[Named], Page]) -> Callable[[], Page]:
    """A view of one kind of welcome."""

    def page() -> Page:
        return view(kind)

    return page


def address(act: str, kind: str, **values: str) -> str:
    """The address of one of the pages: `new`, `edit`, `preview` or `delete`."""
    return url_for(f"editor.{act}" if kind == TEMPLATE else f"editor.{act}_group", **values)  # type: ignore[arg-type]


def missing(kind: str, name: str) -> Response:
    """To the list, and why: an old link may name what has been deleted since."""
    flash(_("There is no “%(name)s” any more", name=name))
    return redirect(listed(kind))


def listed(kind: str) -> str:
    """The address of the list."""
    return url_for("groups.show" if kind == GROUP else "welcomes.show")


# ------------------------------------------------------------------------------------------------ the form, changed


def _form(data: Typed, was: str = "", clash: str = "") -> EditForm:
    """A form with these values in it, whatever was sent."""
    return EditForm(formdata=None, data=data | {"was": was, "clash": clash})


def _pick(form: AttachmentForm) -> None:
    """A file that is chosen from those that are kept takes the place of the one before."""
    if form.pick.data:
        form.path.data, form.pick.data = form.pick.data, ""


def _changed(form: EditForm, act: str, argument: str, most: int) -> EditForm:
    """The form after one of its buttons; unknown ones change nothing."""
    data = form.typed
    errors = [one.form.upload.errors for one in form.attachments]
    items: list[tuple[dict[str, str], Any]] = list(zip(data["attachments"], errors, strict=True))
    at = int(argument) if argument.isascii() and argument.isdecimal() else -1
    if act == "add" and argument in FIELDS and len(items) < most:
        items.append(({"kind": argument} | dict.fromkeys(FIELDS[argument], ""), ()))
    elif act in ("up", "down") and 0 <= at < len(items):
        items = moved(items, at, -1 if act == "up" else 1)
    elif act == "remove" and 0 <= at < len(items):
        del items[at]
    elif act == "pick":
        number, _colon, path = argument.partition(":")
        for one, _wrong in items[int(number) : int(number) + 1] if number.isascii() and number.isdecimal() else ():
            if "path" in one:
                one["path"] = path
    elif act in ("mine", "theirs", "original") and argument in COMPARED:
        side = _read_clash(form).get(act)
        if side:
            data[argument] = side[argument]
            if argument == "attachments":
                items = [(one, ()) for one in side["attachments"]]
    data["attachments"] = [one for one, _ in items]
    changed = _form(data, form.was.data or "", form.clash.data or "")
    for one, (_item, wrong) in zip(changed.attachments, items, strict=True):
        one.form.upload.errors = wrong
    return changed


def _focus(form: EditForm, act: str, argument: str) -> str:
    """The id of what a button's work is about, so that the next page opens there."""
    last = len(form.attachments) - 1
    number = argument.partition(":")[0]
    at = int(number) if number.isascii() and number.isdecimal() else 0
    if act == "add":
        return f"attachment-{last}" if last >= 0 else ""
    if act == "up":
        return f"attachment-{max(0, at - 1)}"
    if act == "down":
        return f"attachment-{min(last, at + 1)}"
    if act == "pick" or (act == "preview" and argument):
        return f"attachment-{at}"
    if act == "remove":
        return "attachments"
    return "clash" if act in ("mine", "theirs", "original") else ""


def _fitting(files: Mapping[str, Media], kind: str) -> list[Media]:
    """The files that can be chosen for a kind of attachment, by name."""
    use = USES[kind]
    found = [one for one in files.values() if (not use.kinds or one.kind in use.kinds) and one.size <= use.limit]
    return sorted(found, key=lambda one: one.name)


# ------------------------------------------------------------------------------------------------ two editors


def _clashing(form: EditForm, conflict: EditConflict) -> EditForm:
    """The form with what all three wrote beside it; saving it again goes on from theirs."""
    name = form.name.data or ""

    def side(value: Any) -> Typed | None:
        return typed(name, value) if isinstance(value, dict) else None

    noted = {
        "mine": form.typed,
        "theirs": side(conflict.theirs),
        "original": side(conflict.original),
        "author": conflict.author,
        "at": conflict.at,
    }
    return _form(form.typed, conflict.was, json.dumps(noted, ensure_ascii=False))


def _read_clash(form: EditForm) -> dict[str, Any]:
    """What the form remembers of a conflict: mine, theirs and original (or None), author, at. {} for none."""
    try:
        noted = json.loads(form.clash.data or "{}")
        found: dict[str, Any] = {key: _side(noted[key]) for key in ("mine", "theirs", "original")}
        found |= {"author": str(noted["author"]), "at": float(noted["at"])}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return found


def _side(noted: Any) -> Typed | None:
    """One side, of a kind that fields can hold; whatever else a form was made to send raises."""
    if noted is None:
        return None
    texts = {key: str(noted[key]) for key in ("name", "text", "tags", "remark")}
    return texts | {"attachments": list(_items(noted["attachments"]))}


def _items(noted: Any) -> Iterator[dict[str, str]]:
    for one in noted[: ATTACHMENTS.most]:
        kind = one["kind"]
        yield {"kind": kind} | {key: str(one.get(key, "")) for key in FIELDS[kind]}

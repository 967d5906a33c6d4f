"""The buttons of a welcome's form: add, move and remove attachments, choose a file, take one side of a conflict.

A conflict is kept in a hidden field of the form, as JSON.
"""

import json
from collections.abc import Iterator
from typing import Any

from tasks.books.draft import EditConflict
from tasks.wecom.message_limits import ATTACHMENTS
from webhook.console.welcomes.editor_form import AttachmentForm, EditForm
from webhook.console.welcomes.editor_values import FIELDS, Typed, moved, typed

COMPARED = ("text", "attachments", "tags", "remark")  # what a conflict shows, field by field


def form_of(data: Typed, was: str = "", clash: str = "") -> EditForm:
    """A form with these values, independent of the request."""
    return EditForm(formdata=None, data=data | {"was": was, "clash": clash})


def pick(form: AttachmentForm) -> None:
    """Replace the file by the one that was chosen from the stored files."""
    if form.pick.data:
        form.path.data, form.pick.data = form.pick.data, ""


def changed(form: EditForm, act: str, argument: str, most: int) -> EditForm:
    """The form after a button was pressed; an unknown one changes nothing."""
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
        side = read_clash(form).get(act)
        if side:
            data[argument] = side[argument]
            if argument == "attachments":
                items = [(one, ()) for one in side["attachments"]]
    data["attachments"] = [one for one, _ in items]
    after = form_of(data, form.was.data or "", form.clash.data or "")
    for one, (_item, wrong) in zip(after.attachments, items, strict=True):
        one.form.upload.errors = wrong
    return after


def focus(form: EditForm, act: str, argument: str) -> str:
    """The id of the element that a button acted on, to which the next page scrolls."""
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


# ------------------------------------------------------------------------------------------------ two editors


def with_clash(form: EditForm, conflict: EditConflict) -> EditForm:
    """The form with all three versions of a conflict; saving it again overwrites theirs."""
    name = form.name.data or ""

    def side(value: Any) -> Typed | None:
        return typed(name, value) if isinstance(value, dict) else None

    stored = {
        "mine": form.typed,
        "theirs": side(conflict.theirs),
        "original": side(conflict.original),
        "author": conflict.author,
        "at": conflict.at,
    }
    return form_of(form.typed, conflict.was, json.dumps(stored, ensure_ascii=False))


def read_clash(form: EditForm) -> dict[str, Any]:
    """The conflict in the form: mine, theirs and original (or None), author, at. {} if there is none."""
    try:
        stored = json.loads(form.clash.data or "{}")
        found: dict[str, Any] = {key: _side(stored[key]) for key in ("mine", "theirs", "original")}
        found |= {"author": str(stored["author"]), "at": float(stored["at"])}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return found


def _side(stored: Any) -> Typed | None:
    """One version, converted to what fields can hold. Raises for anything else, since the field can be forged."""
    if stored is None:
        return None
    texts = {key: str(stored[key]) for key in ("name", "text", "tags", "remark")}
    return texts | {"attachments": list(_items(stored["attachments"]))}


def _items(stored: Any) -> Iterator[dict[str, str]]:
    for one in stored[: ATTACHMENTS.most]:
        kind = one["kind"]
        yield {"kind": kind} | {key: str(one.get(key, "")) for key in FIELDS[kind]}

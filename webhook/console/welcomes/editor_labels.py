"""The labels in the editor of a welcome: those in use are ticked, new ones are typed.

They count as soon as the welcome is saved, since they lie beside the book. What is stored is what the form changed, on
top of what a colleague has changed meanwhile.
"""

import re
from dataclasses import dataclass

from flask import flash, request
from flask_babel import gettext as _
from flask_babel import ngettext

from tasks.audit import Act
from tasks.books.labels import LONGEST, TooMany, cleaned
from webhook.console import current
from webhook.console.welcomes.welcome_list import NONE

_BETWEEN = re.compile("[,，、;；\n]")  # what ends a label that is typed


@dataclass(frozen=True, slots=True)
class LabelFields:
    """What the form shows. `offered`: every label in use; `opened`: the welcome's when the form was opened.

    typed: as it was typed. wrong: what is wrong with that, in the reader's language.
    """

    offered: tuple[str, ...]
    ticked: frozenset[str]
    opened: tuple[str, ...]
    typed: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(id of a field, what is wrong there)."""
        return [("labels", what) for what in self.wrong]

    @property
    def chosen(self) -> frozenset[str]:
        """The labels that the welcome is to have."""
        return self.ticked | frozenset(cleaned(one) for one in _BETWEEN.split(self.typed) if cleaned(one))


def label_fields(name: str) -> LabelFields:
    """The fields as the request has them; those of a form that is opened, with the labels of that welcome."""
    labels = current.services().labels.all(current.app().name)
    offered = {one for each in labels.values() for one in each}
    if request.method != "POST":
        own = labels.get(name or request.args.get("copy", ""), ())
        return LabelFields(tuple(sorted(offered)), frozenset(own), own if name else ())
    ticked, opened = (frozenset(map(cleaned, request.form.getlist(field))) for field in ("label", "label_opened"))
    ticked, opened, typed = ticked - {"", NONE}, opened - {""}, request.form.get("labels", "")
    return LabelFields(tuple(sorted(offered | ticked)), ticked, tuple(sorted(opened)), typed, tuple(_wrong(typed)))


def _wrong(typed: str) -> list[str]:
    """What is wrong with new labels."""
    found = [one.strip() for one in _BETWEEN.split(typed)]
    if any(len(one) > LONGEST for one in found):
        return [ngettext("A label has %(num)s character at most", "A label has %(num)s characters at most", LONGEST)]
    return [_("“%(label)s” stands for no label; choose another word", label=NONE)] if NONE in found else []


def save_labels(fields: LabelFields, name: str, before: str) -> bool:
    """Give a welcome the labels of the form. `before`: its name so far, "" for a new one. → whether any differs."""
    labels, app = current.services().labels, current.app().name
    stored = labels.all(app)
    had = frozenset(stored.get(before, ())) if before else frozenset()
    opened = frozenset(fields.opened)
    wanted = had - (opened - fields.chosen) | (fields.chosen - opened)
    if wanted == frozenset(stored.get(name, ())):
        return False
    try:
        labels.put(app, name, wanted)
    except TooMany:
        flash(_("There are too many labels. Remove some first"), "bad")
        return True
    for act, changed in ((Act.LABELLED, wanted - had), (Act.UNLABELLED, had - wanted)):
        for label in sorted(changed):
            current.record(act, label, 1)
    return True

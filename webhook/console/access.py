"""Who may do what: the role that each route of the console asks for. One table; what is not in it is an admin's.

A route that is got and posted has two: to look at a form, and to send it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext

from tasks.people.roles import Role

VIEWER, EDITOR, PUBLISHER, ADMIN = Role.VIEWER, Role.EDITOR, Role.PUBLISHER, Role.ADMIN
OPEN = frozenset({"access.sign_in", "wecom.start", "wecom.back", "language.choose", "static"})  # to everybody


@dataclass(frozen=True, slots=True)
class Needs:
    """The least role for GET, and for anything else; None: there is no such request."""

    see: Role | None = None
    do: Role | None = None


_LOOK = Needs(see=VIEWER)
_EDIT = Needs(see=VIEWER, do=EDITOR)
NEEDS: Mapping[str, Needs] = {
    # own sessions
    "access.sign_out": Needs(do=VIEWER),
    "sessions.show": _LOOK,
    "sessions.end": Needs(do=VIEWER),  # of others: an admin's, see the view
    # looking
    "today.show": _LOOK,
    "apps.show": _LOOK,
    "welcomes.show": _LOOK,
    "media.show": _LOOK,
    "media.content": _LOOK,
    "groups.show": _LOOK,
    "examples.show": _LOOK,
    "explaining.explain": _LOOK,
    "revisions.history": _LOOK,
    "revisions.revision": _LOOK,
    "revisions.export": _LOOK,  # the book names no customer
    "revisions.export_draft": _LOOK,
    "deliveries.show": _LOOK,
    "deliveries.one": _LOOK,
    "deliveries.search": Needs(do=VIEWER),
    "missed.show": _LOOK,
    "missed.search": Needs(do=VIEWER),
    "missed.greeting": _LOOK,
    "queue.show": _LOOK,
    "system.show": _LOOK,
    "numbers.show": _LOOK,
    "numbers.file": _LOOK,
    "losses.show": _LOOK,
    "channels.show": _LOOK,
    "channels.one": _LOOK,
    "channels.sheet": _LOOK,
    "channels.picture": _LOOK,
    "channels.compare": _LOOK,
    "channels.links": _LOOK,
    "picker.pick": Needs(do=VIEWER),  # names to choose from, for filters too
    "setup.show": _LOOK,
    "setup.sheet": _LOOK,
    # editing
    "deliveries.table": Needs(see=EDITOR),  # a list of customers leaves the house
    "deliveries.again": Needs(do=EDITOR),
    "welcomes.discard": Needs(do=EDITOR),
    "publishing.rebase": Needs(do=EDITOR),
    "publishing.take_back": Needs(do=EDITOR),
    "rules.move": Needs(do=EDITOR),
    "selection.rules": Needs(do=EDITOR),
    "selection.welcomes": Needs(do=EDITOR),
    "missed.remind": Needs(do=EDITOR),
    "missed.tick": Needs(do=EDITOR),
    "missed.untick": Needs(do=EDITOR),
    "tagging.select": Needs(do=EDITOR),
    "tagging.choose": Needs(see=EDITOR),
    "tagging.tag": Needs(do=EDITOR),
    "missed.compare": Needs(do=EDITOR),
    "transfers.ask": Needs(do=EDITOR),
    "queue.retry": Needs(do=EDITOR),
    "system.retry": Needs(do=EDITOR),
    "setup.check": Needs(do=EDITOR),
    "setup.rehearsal": Needs(do=EDITOR),
    "editor.preview": Needs(do=EDITOR),
    "editor.preview_group": Needs(do=EDITOR),
    "media.upload": Needs(do=EDITOR),
    "media.delete": Needs(do=EDITOR),
    "rules.add": _EDIT,
    "rules.edit": _EDIT,
    "editor.new": _EDIT,
    "editor.new_group": _EDIT,
    "editor.edit": _EDIT,
    "editor.edit_group": _EDIT,
    "editor.delete": _EDIT,
    "editor.delete_group": _EDIT,
    "revisions.import_book": _EDIT,
    "channels.proposal": Needs(do=EDITOR),
    "channels.welcome": _EDIT,
    "channels.create": _EDIT,
    "channels.edit": _EDIT,
    "channels.delete": _EDIT,
    "approvals.ask": Needs(do=EDITOR),
    # publishing
    "approvals.approve": Needs(do=PUBLISHER),
    "approvals.decline": Needs(do=PUBLISHER),
    "publishing.publish": Needs(see=VIEWER, do=PUBLISHER),
    "revisions.rollback": Needs(do=PUBLISHER),
    "groups.bring": Needs(do=PUBLISHER),
    "queue.pause": Needs(do=PUBLISHER),
    "queue.resume": Needs(do=PUBLISHER),
    # settings and people
    "missed.automatic": Needs(do=ADMIN),
    "setup.try_alert": Needs(do=ADMIN),
    "audit.show": Needs(see=ADMIN),
    "people.show": Needs(see=ADMIN),
    "people.give": Needs(do=ADMIN),
    "people.take": Needs(do=ADMIN),
    "approvals.switch": Needs(do=ADMIN),
    "tokens.show": Needs(see=ADMIN),
    "tokens.make": Needs(do=ADMIN),
    "tokens.revoke": Needs(see=ADMIN, do=ADMIN),
}
WORDS: Mapping[Role, Any] = {
    VIEWER: lazy_gettext("viewer"),
    EDITOR: lazy_gettext("editor"),
    PUBLISHER: lazy_gettext("publisher"),
    ADMIN: lazy_gettext("admin"),
}
UNKNOWN = Needs(see=ADMIN, do=ADMIN)


def least(endpoint: str | None, method: str) -> Role | None:
    """The least role for a request; None: everybody's, signed in or not."""
    if endpoint is None or endpoint in OPEN:
        return None
    needs = NEEDS.get(endpoint, UNKNOWN)
    return (needs.see if method in ("GET", "HEAD", "OPTIONS") else needs.do) or ADMIN

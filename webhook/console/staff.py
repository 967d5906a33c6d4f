"""The members and departments that pages offer to choose from. None of it waits long for WeCom."""

from collections.abc import Collection
from itertools import islice

from flask import g

from tasks.directory.lookup import known_members
from tasks.directory.members import Staff, staff
from webhook.console import current

PATIENCE = 0.8  # seconds for what WeCom is asked for a page
SUGGESTED = 200


def known_staff() -> Staff:
    """The members and departments of the page's app; read once for a page."""
    if "staff" not in g:
        app = current.app()
        g.staff = staff(current.services().redis, app.name, app.wecom, PATIENCE)
    return g.staff


def names_of(user_ids: Collection[str]) -> dict[str, str]:
    """userid → name of these members, where the cache knows it."""
    known = known_members(current.services().redis, current.app().name, user_ids)
    return {user_id: name for user_id, (name, _department) in known.items() if name}


def suggested_members() -> dict[str, str]:
    """userid → name of some members, for lists of suggestions."""
    return {one.id: one.name for one in islice(known_staff().members.values(), SUGGESTED)}

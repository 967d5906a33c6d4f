"""Tags for many customers at once: those ticked in a list; then the tags, chosen among the corp's.

POST /tag            keeps what was ticked for half an hour, under a token
GET  /tag/SELECTION      the tags to choose from
POST /tag/SELECTION      do=find: search; else the tags are asked for, and the list is shown again
"""

import contextlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from tasks.audit import Act
from tasks.directory.lookup import known_members
from tasks.followups.tagging import MOST, MOST_TAGS
from tasks.ledger import query
from tasks.messages import translate
from tasks.missed.work_list import customer_name
from tasks.reasons import Reason
from tasks.storage import keys, replies
from tasks.storage.unreadable import readable
from tasks.templates.model import Tag
from tasks.wecom import WeComError
from tasks.wecom.message_limits import TAG
from webhook.console import current
from webhook.console.layout import cut
from webhook.console.links import inside
from webhook.console.search import LONGEST, Search
from webhook.errcode_texts import explained

LIFE = 1800  # seconds after its last use
PATIENCE = 4.0  # seconds that WeCom is given
SHOWN = 100  # tags that are shown of those found
NAMED = 5  # customers who are named
_TOKEN = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Selection:
    """What an operator has ticked: ids of deliveries, and (group, tag). `back`: the list's address."""

    app: str
    ids: Sequence[str]
    back: str
    tags: Sequence[Sequence[str]] = ()


blueprint = Blueprint("tagging", __name__)


@blueprint.post("/tag")
def select() -> ResponseReturnValue:
    """Keep the customers that are ticked, and go on to the tags."""
    back = inside(request.form.get("back", ""))
    ids = list(dict.fromkeys(request.form.getlist("id")))[:MOST]
    if not ids:
        flash(_("Tick at least one customer"), "warn")
        return redirect(back)
    token = secrets.token_hex(8)
    _keep(token, Selection(current.app().name, ids, back))
    return redirect(url_for(".choose", selection=token))


@blueprint.get("/tag/<selection>")
def choose(selection: str) -> ResponseReturnValue:
    """The corp's tags, those ticked before and those that a search finds."""
    kept = _kept(selection)
    if kept is None:
        return _ended()
    search = request.args.get("find", "").strip()[:LONGEST]
    ticked = [Tag(*one) for one in kept.tags]
    try:
        listed, why = _listed(), ""
    except WeComError as error:
        listed, why = [], _in_words(Reason.from_error(error))
    wanted = Search(search)
    found = [tag for tag in listed if wanted.finds(tag.group, tag.name) and tag not in ticked]
    rows = [row for row in query.read(current.services().redis, kept.ids) if row.app == kept.app]
    members = known_members(current.services().redis, kept.app, {row.user_id for row in rows[:NAMED]})
    names = [
        (customer_name(row), row.external_user_id, (members.get(row.user_id) or ("", ""))[0] or row.user_id)
        for row in rows[:NAMED]
    ]
    return render_template(
        "tagging/choose.html",
        token=selection,
        back=kept.back,
        count=len(rows),
        names=names,
        ticked=ticked,
        groups=_groups(found[:SHOWN]),
        number=len(found),
        shown=SHOWN,
        search=search,
        any=bool(listed),
        why=why,
        value=_value,
        most=MOST_TAGS,
    )


@blueprint.post("/tag/<selection>")
def tag(selection: str) -> ResponseReturnValue:
    """Search among the tags, or have the chosen ones put on the customers."""
    kept = _kept(selection)
    if kept is None:
        return _ended()
    tags = _tags(request.form.getlist("tag"))
    if request.form.get("do") == "find":
        _keep(selection, Selection(kept.app, kept.ids, kept.back, [[one.group, one.name] for one in tags]))
        return redirect(
            url_for(".choose", selection=selection, find=request.form.get("find", "").strip()[:LONGEST] or None)
        )
    if not 0 < len(tags) <= MOST_TAGS:
        _keep(selection, Selection(kept.app, kept.ids, kept.back, [[one.group, one.name] for one in tags]))
        text = _("At most %(n)s tags at once", n=MOST_TAGS) if tags else _("Tick at least one tag")
        flash(text, "warn")
        return redirect(url_for(".choose", selection=selection))
    done = current.services().taggings.ask(kept.app, kept.ids, tags, current.operator())
    if done:
        names = _(", ").join(f"{one.group}/{one.name}" for one in tags)
        current.record(Act.TAGGED, names, len(done))
        flash(
            ngettext(
                "%(num)s customer is being tagged: %(tags)s. The timeline shows the result",
                "%(num)s customers are being tagged: %(tags)s. Their timelines show the result",
                len(done),
                tags=cut(names, 80),
            )
        )
    if left := len(kept.ids) - len(done):
        flash(
            ngettext(
                "%(num)s was left out: a rehearsal, still in progress, or deleted",
                "%(num)s were left out: rehearsals, still in progress, or deleted",
                left,
            ),
            "warn",
        )
    return redirect(kept.back)


# ------------------------------------------------------------------------------------------------ what is kept


def _keep(token: str, selection: Selection) -> None:
    current.services().redis.set(keys.selection(token), json.dumps(asdict(selection)), ex=LIFE)


def _kept(token: str) -> Selection | None:
    """What a token stands for; None: it is none of this app's, or has ended."""
    if not _TOKEN.fullmatch(token):
        return None
    text = replies.text_or_none(current.services().redis.getex(keys.selection(token), ex=LIFE))
    selection = readable("a selection", lambda: Selection(**json.loads(text))) if text else None
    return selection if selection and selection.app == current.app().name else None


def _ended() -> ResponseReturnValue:
    flash(_("This selection ended after 30 minutes. Tick the customers again"), "warn")
    return redirect(url_for("deliveries.show"))


# ------------------------------------------------------------------------------------------------ tags


def _listed() -> list[Tag]:
    """The corp's tags. Raises WeComError."""
    app = current.app()
    wecom = app.wecom.with_deadline(time.monotonic() + PATIENCE)
    return current.services().corp_tags.listed(wecom, app.settings.corp_id)


def _groups(tags: Sequence[Tag]) -> dict[str, list[Tag]]:
    groups: dict[str, list[Tag]] = {}
    for one in tags:
        groups.setdefault(one.group, []).append(one)
    return groups


def _value(tag: Tag) -> str:
    """A tag in a form."""
    return json.dumps([tag.group, tag.name], ensure_ascii=False)


def _tags(values: Sequence[str]) -> list[Tag]:
    """The tags of a form, each once; what is no tag is left out."""
    found = []
    for value in dict.fromkeys(values):
        with contextlib.suppress(ValueError, RecursionError):
            one = json.loads(value)
            if isinstance(one, list) and len(one) == 2 and all(map(_is_name, one)):
                found.append(Tag(*one))
    return found


def _is_name(part: object) -> bool:
    """Whether a tag or a group can be called so: what a form brings is stored in each row."""
    return isinstance(part, str) and 0 < len(part) <= TAG.most


def _in_words(reason: Reason) -> str:
    return translate(explained(reason), _)

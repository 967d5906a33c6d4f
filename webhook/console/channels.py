"""Channels: QR codes by which customers add members, each with the State that rules ask for. Doc 92572.

WeCom is called only where a page says so, for PATIENCE seconds at most; its errors are shown in words, never as a 500.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote

import segno
from flask import Blueprint, Response, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from tasks.audit import Act
from tasks.books.draft import DraftError, EditConflict, Moved
from tasks.channels import (
    NAME_LIMIT,
    SINGLE,
    Channel,
    ChannelError,
    Channels,
    Found,
    StateTaken,
    rule_for,
)
from tasks.directory.lookup import known_members
from tasks.directory.members import department_names
from tasks.ledger import statistics
from tasks.messages import translate
from tasks.templates.edits import TEMPLATE
from tasks.templates.media_kind import sniff
from tasks.templates.model import Book
from tasks.templates.problems import BookError
from tasks.visible_text import plain
from tasks.wecom import WeComError
from webhook.console import channel_welcome, current, picker
from webhook.console.channel_form import ChannelForm, NewChannelForm, refusal
from webhook.console.channel_welcome import KNOWN, NEW, WelcomeFields, WelcomeForm, proposed_state
from webhook.console.search import Search

PATIENCE = 4.0  # seconds for everything that one page asks WeCom
PICTURE_PATIENCE = 2.0  # seconds for a code's image
PICTURES_AT_ONCE = 2  # fetches, so that a host of images that hangs holds no more threads
ROWS = 50
DAYS = 7  # of the adds that are shown
DETAILS = 20  # codes made elsewhere about which WeCom is asked
LINKS = 10  # acquisition links that are shown

blueprint = Blueprint("channels", __name__)
_fetching = threading.BoundedSemaphore(PICTURES_AT_ONCE)


@blueprint.context_processor
def words() -> dict[str, Any]:
    """Names for the templates of this blueprint."""
    return {"department_names": lambda: department_names(current.services().redis, current.app().name)}


# ------------------------------------------------------------------------------------------------ the list and its rows


@blueprint.get("/channels")
def show() -> str:
    """The channels that match the search."""
    wanted, after, store = request.args.get("q", "").strip(), request.args.get("after", ""), _store()
    try:
        known, trouble = list(store.all().values()), None
    except ChannelError as error:
        known, trouble = [], refusal(error)
    names = _names(one for channel in known for one in channel.members)
    search, order, adds = Search(wanted), request.args.get("sort", ""), _adds()
    matching = _ordered((one for one in known if _matches(one, search, names)), order, adds)
    place = next((number for number, one in enumerate(matching, 1) if one.config_id == after), 0)
    rows, further = matching[place : place + ROWS], len(matching) > place + ROWS
    book = current.live_book()
    return render_template(
        "channels/show.html",
        wanted=wanted,
        order=order if order in ("name", "adds") else "",
        found=len(matching),
        any=bool(known),
        trouble=trouble,
        rows=rows,
        older=rows[-1].config_id if further else "",
        later=place > 0,
        names=names,
        rules={one.state: _rule(book, one.state) for one in rows},
        adds=adds,
        pictures=store.kept_pictures(rows),
    )


@blueprint.get("/channels/<config_id>")
def one(config_id: str) -> str:
    """One channel."""
    channel = _found(config_id)
    return render_template(
        "channels/one.html",
        channel=channel,
        names=_names(channel.members),
        rule=_rule(current.live_book(), channel.state),
        coming=_coming(channel.state),
        adds=_adds().get(channel.state, 0),
    )


@blueprint.get("/channels/<config_id>/sheet")
def sheet(config_id: str) -> str:
    """The QR code on a printable sheet."""
    channel = _found(config_id)
    return render_template(
        "channels/sheet.html", channel=channel, names=_names(channel.members), today=current.today().isoformat()
    )


@blueprint.get("/channels/<config_id>/picture")
def picture(config_id: str) -> Response:
    """The QR code's image."""
    channel = _found(config_id)
    content = _fetch(channel)
    if content is None:
        return Response(_("The code's image cannot be read from WeCom now"), 503, mimetype="text/plain")
    png = sniff(content) == "PNG"
    response = send_file(
        BytesIO(content),
        mimetype="image/png" if png else "image/jpeg",
        as_attachment="download" in request.args,
        download_name=f"{channel.name}.{'png' if png else 'jpg'}",
    )
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response


def _store() -> Channels:
    """The app's channels; all calls of this request to WeCom share PATIENCE seconds."""
    return current.app().channels.with_deadline(time.monotonic() + PATIENCE)


def _found(config_id: str) -> Channel:
    try:
        known = _store().all().values()
    except ChannelError:
        abort(404)
    return next((one for one in known if one.config_id == config_id), None) or abort(404)


def _fetch(channel: Channel) -> bytes | None:
    """The QR code's image, from Redis or from WeCom; None if it is not available now."""
    if not _fetching.acquire(blocking=False):
        return _store().kept_pictures([channel]).get(channel.config_id)
    try:
        return _store().picture(channel, time.monotonic() + PICTURE_PATIENCE)
    except ChannelError:
        return None
    finally:
        _fetching.release()


def _names(members: Iterable[str]) -> dict[str, str]:
    """userid → name, or the userid itself where the name is not known."""
    asked = list(members)
    known = known_members(current.services().redis, current.app().name, asked)
    return {member: known.get(member, ("", ""))[0] or member for member in asked}


def _adds() -> Mapping[str, int]:
    """State → customers added in the last DAYS days."""
    days = [current.today() - timedelta(days=ago) for ago in range(DAYS)]
    found = statistics.read(current.services().redis, current.app().name, days, {"channel"})
    counts: Counter[str] = Counter()
    for (_dimension, state, _outcome), count in statistics.added(found.values()).items():
        counts[str(state)] += count
    return counts


def _rule(book: Book | None, state: str) -> Found | None:
    return None if book is None else rule_for(book, state)


def _coming(state: str) -> Found | None:
    """The rule that the State gets with the draft, if it has none yet that is live."""
    draft = current.services().drafts.get(current.app().name)
    live = _rule(current.live_book(), state)
    try:
        found = None if draft is None else rule_for(draft.book(), state)
    except BookError:
        return None
    return found if found != live else None


def _matches(channel: Channel, wanted: Search, names: Mapping[str, str]) -> bool:
    return wanted.finds(channel.name, channel.state, *channel.members, *(names[one] for one in channel.members))


def _ordered(channels: Iterable[Channel], order: str, adds: Mapping[str, int]) -> list[Channel]:
    """By name, by adds, or the newest first."""
    if order == "name":
        return sorted(channels, key=lambda one: one.name)
    if order == "adds":
        return sorted(channels, key=lambda one: (-adds.get(one.state, 0), one.name))
    return sorted(channels, key=lambda one: (-one.at, one.name))


# ------------------------------------------------------------------------------------------------ create, edit, delete


@blueprint.route("/channels/new", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Create a channel, and put what its customers get into the draft."""
    form = NewChannelForm()
    if request.method == "GET":
        form.skip_verify.data = True
        return _form(form)
    if picker.asked(request.form):
        return _form(form)
    if not form.state.data and form.name.data:
        form.state.data = _proposal(form.name.data)
    if not form.validate():
        return _form(form), 422
    try:  # before WeCom makes a code: what is wrong with the welcome is said first
        _try_welcome(form, form.name.data, form.state.data)
        channel = _store().create(
            form.name.data, form.state.data, form.members(), form.department_ids(), form.skip_verify.data
        )
    except ValueError as error:
        _wrong_welcome(form, error)
        return _form(form), 422
    except (ChannelError, WeComError) as error:
        return _refused(form, error), 422
    current.record(Act.CHANNEL_CREATED, channel.name)
    _fetch(channel)
    try:
        _change_welcome(form, channel)
    except (ValueError, EditConflict, Moved) as error:  # the code is there; what was typed goes on to its own form
        _wrong_welcome(form, error)
        flash(_("The channel is created, but its welcome is not saved yet"), "warn")
        return _welcome_page(form, channel), 409
    flash(_("The channel is created. Print its code, or download it"))
    return _to(channel)


@blueprint.post("/channels/proposal")
def proposal() -> str:
    """The State that a name would get, while it is typed."""
    name = plain(request.form.get("name", ""))[:NAME_LIMIT]
    return render_template("channels/proposal.html", proposed=_proposal(name) if name else "")


@blueprint.route("/channels/<config_id>/welcome", methods=["GET", "POST"])
def welcome(config_id: str) -> ResponseReturnValue:
    """What the customers of a channel get, which is there already."""
    channel = _found(config_id)
    form = WelcomeForm()
    if request.method == "GET":
        form.welcome.data = KNOWN
        return _welcome_page(form, channel)
    if not form.validate():
        return _welcome_page(form, channel), 422
    try:
        _change_welcome(form, channel)
    except (ValueError, EditConflict, Moved) as error:
        _wrong_welcome(form, error)
        return _welcome_page(form, channel), 422
    flash(_("The rule is saved in the draft. It applies once it is published"))
    return _to(channel)


def _proposal(name: str) -> str:
    try:
        taken = {channel.state for channel in _store().all().values()}
    except ChannelError:
        taken = set()
    return proposed_state(name, taken)


def _try_welcome(form: WelcomeFields, name: str, state: str) -> None:
    """ValueError: the draft would not be a book with it."""
    drafts, app = current.services().drafts, current.app().name
    edit = channel_welcome.edit(form, name, state, drafts.working(app).content)
    if edit is not None:
        drafts.try_out(app, edit)


def _change_welcome(form: WelcomeFields, channel: Channel) -> None:
    """Put it into the draft. ValueError, EditConflict or Moved if it cannot be now."""
    drafts, app = current.services().drafts, current.app().name
    edit = channel_welcome.edit(form, channel.name, channel.state, drafts.working(app).content)
    if edit is not None:
        drafts.change(app, edit, current.operator())


def _wrong_welcome(form: WelcomeFields, error: Exception) -> None:
    """Say at its field why the welcome was not saved."""
    field = form.text if form.welcome.data == NEW else form.template
    if isinstance(error, DraftError):
        field.errors = [translate(problem.what, _) for problem in error.problems]
    else:
        field.errors = [_("Somebody else saved in the same moment. Press the button again")]


def _welcome_page(form: WelcomeFields, channel: Channel) -> str:
    return render_template("channels/welcome.html", form=form, channel=channel, templates=_templates())


def _templates() -> list[str]:
    """The names of the draft's welcomes."""
    return list(current.services().drafts.working(current.app().name).content.named(TEMPLATE))


@blueprint.route("/channels/<config_id>/edit", methods=["GET", "POST"])
def edit(config_id: str) -> ResponseReturnValue:
    """Edit a channel."""
    channel = _found(config_id)
    form = ChannelForm()
    form.of_one = channel.type == SINGLE
    if request.method == "GET":
        form.fill(channel)
        return _form(form, channel)
    if picker.asked(request.form):
        return _form(form, channel)
    if form.was.data != channel.digest:
        form.was.data = channel.digest
        return _form(form, channel, conflict=channel), 409
    if not form.validate():
        return _form(form, channel), 422
    try:
        changed = _store().update(
            channel.name,
            form.name.data,
            form.state.data,
            form.members(),
            form.department_ids(),
            form.skip_verify.data,
        )
    except (ChannelError, WeComError) as error:
        return _refused(form, error, channel), 422
    current.record(Act.CHANNEL_CHANGED, changed.name)
    flash(_("Saved. The code stays the same; printed ones keep working"))
    return _to(changed)


@blueprint.route("/channels/<config_id>/delete", methods=["GET", "POST"])
def delete(config_id: str) -> ResponseReturnValue:
    """Delete a channel at WeCom, or only here."""
    channel = _found(config_id)
    page = {"channel": channel, "names": _names(channel.members)}
    if request.method == "GET":
        return render_template("channels/delete.html", **page, refused=None)
    here_only = request.form.get("how") == "here"
    try:
        _store().delete(channel.name, here_only)
    except (ChannelError, WeComError) as error:
        return render_template("channels/delete.html", **page, refused=refusal(error)), 422
    current.record(Act.CHANNEL_DROPPED if here_only else Act.CHANNEL_DELETED, channel.name)
    if here_only:
        flash(_("“%(name)s” is removed here; WeCom keeps it", name=channel.name))
    else:
        flash(_("“%(name)s” is deleted: its code no longer works", name=channel.name))
    return redirect(url_for("channels.show"))


def _form(form: ChannelForm, channel: Channel | None = None, **shown: Any) -> str:
    people = picker.make(
        "people",
        request.form,
        members="chosen",
        departments="" if form.of_one else "inside",
        chosen_members=form.chosen.data or (),
        chosen_departments=form.inside.data or (),
    )
    conflict = shown.get("conflict")
    return render_template(
        "channels/edit.html",
        form=form,
        channel=channel,
        people=people,
        templates=[] if channel else _templates(),
        names=_names(conflict.members) if conflict else {},
        **{"refused": None, **shown},
    )


def _refused(form: ChannelForm, error: WeComError | ChannelError, channel: Channel | None = None) -> str:
    if isinstance(error, StateTaken):
        form.name.errors = [_("There is another channel of this name")]
    return _form(form, channel, refused=refusal(error))


def _to(channel: Channel) -> ResponseReturnValue:
    return redirect(url_for("channels.one", config_id=channel.config_id))


# ------------------------------------------------------------------------------------------------ what WeCom has


@blueprint.get("/channels/compare")
def compare() -> str:
    """Compare the channels here with those that WeCom lists."""
    try:
        return render_template("channels/compare.html", comparison=_compared(_store()), trouble=None)
    except (ChannelError, WeComError) as error:
        return render_template("channels/compare.html", comparison=None, trouble=refusal(error))


@blueprint.get("/channels/links")
def links() -> str:
    """The acquisition links, with a State added."""
    state = request.args.get("state", "").strip()[:64]
    try:
        return render_template("channels/links.html", links=_links(state), given=state, trouble=None)
    except WeComError as error:
        return render_template("channels/links.html", links=[], given=state, trouble=refusal(error))


@dataclass(frozen=True, slots=True)
class ChannelComparison:
    """What exists on one side only. `elsewhere`: (config_id, what WeCom returns for it, {} if it was not asked)."""

    gone: tuple[Channel, ...]
    elsewhere: tuple[tuple[str, Mapping[str, Any]], ...]


def _compared(store: Channels) -> ChannelComparison:
    known, listed = store.all(), dict.fromkeys(store.listed())
    here = {channel.config_id for channel in known.values()}
    gone = tuple(channel for channel in known.values() if channel.config_id not in listed)
    others = [config_id for config_id in listed if config_id not in here]
    asked = tuple((one, store.at_wecom(one) if number < DETAILS else {}) for number, one in enumerate(others))
    return ChannelComparison(gone, asked)


def _links(state: str) -> list[dict[str, Any]]:
    calls = current.app().wecom.with_deadline(time.monotonic() + PATIENCE).external_contact
    ids = calls.customer_acquisition_list_link(limit=LINKS).get("link_id_list") or []
    return [_link(calls.customer_acquisition_get(one).get("link") or {}, state) for one in ids[:LINKS]]


def _link(link: Mapping[str, Any], state: str) -> dict[str, Any]:
    """name, url with the State in it, and its QR code as SVG. Doc 97297."""
    url = str(link.get("url") or "")
    if state and url:
        url += ("&" if "?" in url else "?") + f"customer_channel={quote(state)}"
    code = segno.make(url, error="m").svg_inline(scale=4, border=2, omitsize=False) if url else ""
    return {"name": str(link.get("link_name") or ""), "url": url, "code": code}

"""Channels: QR codes by which customers add members, each with the State that rules ask for. Doc 92572.

WeCom is asked only where a page says so, PATIENCE seconds at most; whatever it answers is shown in words, never a 500.
"""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote

import segno
from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length, ValidationError

from tasks.books.revisions import NoRevision
from tasks.channels import (
    NAME_LIMIT,
    SINGLE,
    STATE_LIMIT,
    Channel,
    ChannelError,
    Channels,
    Found,
    OfOneMember,
    StateTaken,
    rule_for,
)
from tasks.directory.lookup import known_members
from tasks.directory.members import list_members
from tasks.ledger import statistics
from tasks.messages import Message
from tasks.services import Services
from tasks.settings import App
from tasks.templates.media_kind import sniff
from tasks.templates.model import Book
from tasks.templates.problems import BookError
from tasks.wecom import WeComAPIError, WeComError
from tasks.wecom.errors import NoAnswer, NotSent
from webhook.outcomes import errcode

PATIENCE = 4.0  # seconds for everything that one page asks WeCom
PICTURE_PATIENCE = 2.0  # seconds for a code's image
PICTURES_AT_ONCE = 2  # fetches, so that a host of images that hangs holds no more threads
ROWS = 50
MEMBERS_LIMIT = 100  # of one code, doc 92572
DAYS = 7  # of the adds that are shown
DETAILS = 20  # codes made elsewhere about which WeCom is asked
LINKS = 10  # acquisition links that are shown
OF_CONTACT_WAYS = range(41037, 41046)  # doc 90313 has them for these calls; WeCom's message names the field


# ------------------------------------------------------------------------------------------------ the form


def _stripped(text: str | None) -> str:
    """Without spaces around it, and without control characters: what WeCom gets is what one sees."""
    return "".join(one for one in text or "" if one.isprintable() or one == "\u200d").strip()


def _words(text: str) -> list[str]:
    """What stands between spaces, commas and line ends; each once."""
    for separator in ",，;；、\n\r\t":
        text = text.replace(separator, " ")
    return list(dict.fromkeys(text.split()))


class ChannelForm(FlaskForm):
    """A channel as it is typed. `chosen` and `further`: the members; `was`: the digest of what is edited."""

    name = StringField(
        filters=[_stripped],
        validators=[
            DataRequired(lazy_gettext("Enter a name")),
            Length(max=NAME_LIMIT, message=lazy_gettext("The name has more than 30 characters")),
        ],
    )
    state = StringField(
        filters=[_stripped],
        validators=[
            DataRequired(lazy_gettext("Enter a State")),
            Length(max=STATE_LIMIT, message=lazy_gettext("The State has more than 30 characters")),
        ],
    )
    chosen = SelectMultipleField(validate_choice=False)
    further = StringField(filters=[_stripped])
    departments = StringField(filters=[_stripped])
    skip_verify = BooleanField()
    was = HiddenField()

    of_one = False  # a code that was made for one member keeps one

    def members(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(self.chosen.data or ()), *_words(self.further.data or "")]))

    def department_ids(self) -> tuple[int, ...]:
        return tuple(int(word) for word in _words(self.departments.data or ""))

    def validate_departments(self, field: Field) -> None:
        if not all(word.isascii() and word.isdigit() and 0 < int(word) < 2**31 for word in _words(field.data)):
            raise ValidationError(_("Departments are numbers, as WeCom's 通讯录 has them"))

    def validate_further(self, field: Field) -> None:
        members, departments = self.members(), _words(self.departments.data or "")
        if not members and not departments:
            raise ValidationError(_("Choose at least one member, or a department"))
        if len(members) > MEMBERS_LIMIT:
            raise ValidationError(_("A code leads to at most 100 members; choose a department instead"))
        if self.of_one and (len(members) != 1 or departments):
            raise ValidationError(_("This code was made for one member, and WeCom keeps it so; create another channel"))


# ------------------------------------------------------------------------------------------------ refusals


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was not done, and what to do."""

    why: Message
    cure: Message


def refusal(error: WeComError | ChannelError) -> Refusal:
    """An error in words."""
    if isinstance(error, StateTaken):
        return Refusal(Message.of("there is another channel of this name"), Message.of("choose another name"))
    if isinstance(error, OfOneMember):
        why = Message.of("this code was made for one member, and WeCom keeps it so")
        return Refusal(why, Message.of("create another channel"))
    if isinstance(error, NoAnswer):
        why = Message.of("WeCom did not answer in time, and may have done it all the same")
        return Refusal(why, Message.of("compare with WeCom before you try again"))
    if isinstance(error, NotSent):
        return Refusal(
            Message.of("WeCom could not be reached, and nothing was changed"), Message.of("try again in a minute")
        )
    if not isinstance(error, WeComAPIError):
        return Refusal(Message("%(error)s", {"error": error}), Message.of("see the log"))
    if error.errcode in OF_CONTACT_WAYS:
        why = Message.of("WeCom does not take this (%(code)s): %(errmsg)s", code=error.errcode, errmsg=error.errmsg)
        if error.errcode == 41040:
            return Refusal(why, Message.of("look at the app's rights in 客户联系"))
        return Refusal(why, Message.of("correct the field that WeCom names"))
    meaning, cure = errcode(error.errcode, error.errmsg)
    return Refusal(Message("%(meaning)s (%(code)s)", {"meaning": meaning, "code": error.errcode}), cure)


# ------------------------------------------------------------------------------------------------ the pages


@dataclass(frozen=True, slots=True)
class ChannelComparison:
    """What is on one side only. `elsewhere`: (config_id, what WeCom has of it, {} where it was not asked)."""

    gone: tuple[Channel, ...]
    elsewhere: tuple[tuple[str, Mapping[str, Any]], ...]


def channels(services: Services) -> Blueprint:
    """The list, one channel, its picture and sheet; create, edit and delete; the comparison with WeCom; links."""
    blueprint = Blueprint("channels", __name__)
    fetching = threading.BoundedSemaphore(PICTURES_AT_ONCE)

    def store() -> Channels:
        app: App = g.app
        return Channels(services.redis, app.name, services.clients[app.name].with_deadline(time.monotonic() + PATIENCE))

    def found(config_id: str) -> Channel:
        try:
            known = store().all().values()
        except ChannelError:
            abort(404)
        return next((one for one in known if one.config_id == config_id), None) or abort(404)

    @blueprint.get("/channels")
    def show() -> str:
        wanted, after = request.args.get("q", "").strip(), request.args.get("after", "")
        try:
            known, trouble = list(store().all().values()), None
        except ChannelError as error:
            known, trouble = [], refusal(error)
        names = _names(one for channel in known for one in channel.members)
        matching = [one for one in known if _matches(one, wanted.lower(), names)]
        matching.sort(key=lambda one: (-one.at, one.name))
        place = next((number for number, one in enumerate(matching, 1) if one.config_id == after), 0)
        rows, book = matching[place:], _book()
        return render_template(
            "channels/show.html",
            wanted=wanted,
            any=bool(known),
            trouble=trouble,
            rows=rows[:ROWS],
            older=rows[ROWS - 1].config_id if len(rows) > ROWS else "",
            later=place > 0,
            names=names,
            rules={one.state: _rule(book, one.state) for one in rows[:ROWS]},
            adds=_adds(),
            pictures=store().kept_pictures(rows[:ROWS]),
        )

    @blueprint.route("/channels/new", methods=["GET", "POST"])
    def create() -> Response | str | tuple[str, int]:
        form = ChannelForm()
        if request.method == "GET":
            form.state.data, form.skip_verify.data = f"ch-{secrets.token_hex(4)}", True
            return _form(form)
        if not form.validate():
            return _form(form), 422
        try:
            channel = store().create(
                form.name.data, form.state.data, form.members(), form.department_ids(), form.skip_verify.data
            )
        except (ChannelError, WeComError) as error:
            return _refused(form, error), 422
        _fetch(channel)
        flash(_("The channel is made. Print its code, or download it"))
        return _to(channel)

    @blueprint.get("/channels/<config_id>")
    def one(config_id: str) -> str:
        channel = found(config_id)
        return render_template(
            "channels/one.html",
            channel=channel,
            names=_names(channel.members),
            rule=_rule(_book(), channel.state),
            adds=_adds().get(channel.state, 0),
        )

    @blueprint.route("/channels/<config_id>/edit", methods=["GET", "POST"])
    def edit(config_id: str) -> Response | str | tuple[str, int]:
        channel = found(config_id)
        form = ChannelForm()
        form.of_one = channel.type == SINGLE
        if request.method == "GET":
            return _form(_filled(form, channel), channel)
        if form.was.data != channel.digest:
            form.was.data = channel.digest
            return _form(form, channel, conflict=channel), 409
        if not form.validate():
            return _form(form, channel), 422
        try:
            changed = store().update(
                channel.name,
                form.name.data,
                form.state.data,
                form.members(),
                form.department_ids(),
                form.skip_verify.data,
            )
        except (ChannelError, WeComError) as error:
            return _refused(form, error, channel), 422
        flash(_("Saved. The code is the same; what is printed goes on working"))
        return _to(changed)

    @blueprint.route("/channels/<config_id>/delete", methods=["GET", "POST"])
    def delete(config_id: str) -> Response | str | tuple[str, int]:
        channel = found(config_id)
        page = {"channel": channel, "names": _names(channel.members)}
        if request.method == "GET":
            return render_template("channels/delete.html", **page, refused=None)
        here_only = request.form.get("how") == "here"
        try:
            store().delete(channel.name, here_only)
        except (ChannelError, WeComError) as error:
            return render_template("channels/delete.html", **page, refused=refusal(error)), 422
        if here_only:
            flash(_("“%(name)s” is forgotten here, and WeCom keeps it", name=channel.name))
        else:
            flash(_("“%(name)s” is deleted: its code leads nowhere", name=channel.name))
        return redirect(url_for("channels.show"))  # type: ignore[return-value]

    @blueprint.get("/channels/<config_id>/sheet")
    def sheet(config_id: str) -> str:
        channel = found(config_id)
        today = datetime.now(services.settings.timezone).date().isoformat()
        return render_template("channels/sheet.html", channel=channel, names=_names(channel.members), today=today)

    @blueprint.get("/channels/<config_id>/picture")
    def picture(config_id: str) -> Response:
        channel = found(config_id)
        content = _fetch(channel)
        if content is None:
            return Response(_("WeCom does not give the code's image now"), 503, mimetype="text/plain")
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

    @blueprint.get("/channels/compare")
    def compare() -> str:
        try:
            return render_template("channels/compare.html", comparison=_compared(store()), trouble=None)
        except (ChannelError, WeComError) as error:
            return render_template("channels/compare.html", comparison=None, trouble=refusal(error))

    @blueprint.get("/channels/links")
    def links() -> str:
        state = request.args.get("state", "").strip()[:64]
        try:
            return render_template("channels/links.html", links=_links(state), given=state, trouble=None)
        except WeComError as error:
            return render_template("channels/links.html", links=[], given=state, trouble=refusal(error))

    # --------------------------------------------------------------------------------------------

    def _form(form: ChannelForm, channel: Channel | None = None, **shown: Any) -> str:
        app: App = g.app
        members = list_members(services.redis, app.name, services.clients[app.name], PATIENCE)
        names = _names(member for member in form.members() if member not in members)
        return render_template(
            "channels/edit.html", form=form, channel=channel, members=members, names=names, **{"refused": None, **shown}
        )

    def _refused(form: ChannelForm, error: WeComError | ChannelError, channel: Channel | None = None) -> str:
        if isinstance(error, StateTaken):
            form.name.errors = [_("There is another channel of this name")]
        return _form(form, channel, refused=refusal(error))

    def _filled(form: ChannelForm, channel: Channel) -> ChannelForm:
        app: App = g.app
        known = list_members(services.redis, app.name, services.clients[app.name], PATIENCE)
        form.name.data, form.state.data, form.was.data = channel.name, channel.state, channel.digest
        form.chosen.data = [member for member in channel.members if member in known]
        form.further.data = " ".join(member for member in channel.members if member not in known)
        form.departments.data = " ".join(str(one) for one in channel.departments)
        form.skip_verify.data = channel.skip_verify
        return form

    def _fetch(channel: Channel) -> bytes | None:
        """The code's image, from here or from WeCom; None where it cannot be had now."""
        if not fetching.acquire(blocking=False):
            return store().kept_pictures([channel]).get(channel.config_id)
        try:
            return store().picture(channel, time.monotonic() + PICTURE_PATIENCE)
        except ChannelError:
            return None
        finally:
            fetching.release()

    def _names(members: Iterable[str]) -> dict[str, str]:
        """userid → the name that is known, else the userid."""
        asked = list(members)
        known = known_members(services.redis, g.app.name, asked)
        return {member: known.get(member, ("", ""))[0] or member for member in asked}

    def _adds() -> dict[str, int]:
        """State → how many were added in DAYS days."""
        today = datetime.now(services.settings.timezone).date()
        days = [today - timedelta(days=ago) for ago in range(DAYS)]
        counts: Counter[str] = Counter()
        for (_dimension, state, _outcome), count in statistics.added(
            statistics.read(services.redis, g.app.name, days, {"channel"}).values()
        ).items():
            counts[str(state)] += count
        return counts

    def _book() -> Book | None:
        number = services.books.current(g.app.name)
        try:
            return None if number is None else services.books.book(g.app.name, number)
        except (BookError, NoRevision):
            return None

    def _links(state: str) -> list[dict[str, Any]]:
        calls = services.clients[g.app.name].with_deadline(time.monotonic() + PATIENCE).external_contact
        ids = calls.customer_acquisition_list_link(limit=LINKS).get("link_id_list") or []
        return [_link(calls.customer_acquisition_get(one).get("link") or {}, state) for one in ids[:LINKS]]

    return blueprint


def _link(link: Mapping[str, Any], state: str) -> dict[str, Any]:
    """name, url with the State in it, and its QR code as SVG. Doc 97297."""
    url = str(link.get("url") or "")
    if state and url:
        url += ("&" if "?" in url else "?") + f"customer_channel={quote(state)}"
    code = segno.make(url, error="m").svg_inline(scale=4, border=2, omitsize=False) if url else ""
    return {"name": str(link.get("link_name") or ""), "url": url, "code": code}


def _rule(book: Book | None, state: str) -> Found | None:
    return None if book is None else rule_for(book, state)


def _matches(channel: Channel, wanted: str, names: Mapping[str, str]) -> bool:
    texts = (channel.name, channel.state, *channel.members, *(names[one] for one in channel.members))
    return any(wanted in text.lower() for text in texts)


def _compared(store: Channels) -> ChannelComparison:
    known, listed = store.all(), dict.fromkeys(store.listed())
    here = {channel.config_id for channel in known.values()}
    gone = tuple(channel for channel in known.values() if channel.config_id not in listed)
    others = [config_id for config_id in listed if config_id not in here]
    asked = tuple((one, store.at_wecom(one) if number < DETAILS else {}) for number, one in enumerate(others))
    return ChannelComparison(gone, asked)


def _to(channel: Channel) -> Response:
    return redirect(url_for("channels.one", config_id=channel.config_id))  # type: ignore[return-value]

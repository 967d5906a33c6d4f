"""Tokens of the HTTP API: an admin makes and revokes them, and sees when each was last used.

A secret is in the answer to the form that makes its token, once: no address, cookie, log or store has it. Whoever loads
that answer again sends the form again, whose id is taken by then, also if the token is revoked, and comes to the list.
"""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_wtf import FlaskForm
from wtforms import HiddenField, RadioField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, InputRequired, Length

from tasks.audit import Act
from tasks.people.api_tokens import LONGEST_NAME, MOST, ApiToken, MadeAlready, Scope, TooMany, id_of, is_id, new_id
from tasks.storage import clock
from tasks.visible_text import plain
from webhook.console import current

EVERY_APP = "*"  # no app has this name
WORDS = {
    Scope.DELIVERIES_READ: lazy_gettext("read deliveries, with customers' ids"),
    Scope.NUMBERS_READ: lazy_gettext("read numbers"),
    Scope.BOOKS_READ: lazy_gettext("read welcome books"),
    Scope.BOOKS_WRITE: lazy_gettext("change the draft of a welcome book"),
    Scope.BOOKS_PUBLISH: lazy_gettext("publish a welcome book"),
}
LIVES = (
    SelectChoice("30", lazy_gettext("30 days")),
    SelectChoice("90", lazy_gettext("90 days")),
    SelectChoice("365", lazy_gettext("a year")),
    SelectChoice("", lazy_gettext("until it is revoked")),
)
_DAY = 86_400  # seconds

blueprint = Blueprint("tokens", __name__)


class TokenForm(FlaskForm):
    """A token that is to be made. `id`: of the form, see `id_of`."""

    id = HiddenField()
    name = StringField(
        filters=[lambda text: plain(text or "")],
        validators=[
            DataRequired(lazy_gettext("Enter a name")),
            Length(max=LONGEST_NAME, message=lazy_gettext("The name is too long")),
        ],
    )
    scopes = SelectMultipleField(
        choices=[SelectChoice(scope, words) for scope, words in WORDS.items()],
        validators=[InputRequired(lazy_gettext("Choose what it may do"))],
    )
    apps = SelectMultipleField(validators=[InputRequired(lazy_gettext("Choose an app"))])
    life = RadioField(choices=LIVES, default="90")


@blueprint.get("/people/tokens")
def show() -> ResponseReturnValue:
    """The tokens there are, and the form that makes one."""
    return _page(_form())


@blueprint.post("/people/tokens")
def make() -> ResponseReturnValue:
    """Make a token, and show its secret."""
    form = _form()
    if not form.validate():
        return _page(form), 422
    try:
        token, secret = _made(form)
    except TooMany:
        form.name.errors = [_("There are %(most)s tokens already. Revoke one that nobody uses", most=MOST)]
        return _page(form), 422
    except MadeAlready:
        flash(_("It was made already, and its secret is not shown again. If nobody has it, revoke it and make another"))
        return redirect(url_for(".show"))
    current.record(Act.TOKEN_MADE, target=token.in_words, of_app=False)
    response = Response(_page(_form(fresh=True), token, secret))
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/people/tokens/<token>/revoke", methods=["GET", "POST"])
def revoke(token: str) -> ResponseReturnValue:
    """Revoke a token: its next request is refused."""
    found = next((one for one in current.services().api_tokens.all() if one.id == token), None)
    if found is None:
        flash(_("This token was revoked already"))
        return redirect(url_for(".show"))
    if request.method == "GET":
        return render_template("people/revoke.html", token=found, words=WORDS)
    if current.services().api_tokens.revoke(token) is not None:
        current.record(Act.TOKEN_REVOKED, target=found.in_words, of_app=False)
    flash(_("“%(name)s” is revoked, at once", name=found.name))
    return redirect(url_for(".show"))


def _made(form: TokenForm) -> tuple[ApiToken, str]:
    """Raises TooMany, or MadeAlready. Who goes back to a form that was sent, and types another, gets another."""
    name, life = str(form.name.data), int(form.life.data) * _DAY if form.life.data else None
    scopes, apps = sorted(form.scopes.data), [] if EVERY_APP in form.apps.data else sorted(form.apps.data)
    identity = id_of(str(form.id.data), name, scopes, apps, life)
    store = current.services().api_tokens
    return store.create(name, [*map(Scope, scopes)], apps, current.operator(), life, identity)


def _form(fresh: bool = False) -> TokenForm:
    """The form as it was sent; `fresh`: as it is at first."""
    apps = list(current.services().settings.apps)
    form = TokenForm(formdata=None) if fresh else TokenForm()
    form.apps.choices = [SelectChoice(EVERY_APP, _("all, later ones too")), *map(SelectChoice, apps)]
    if fresh or not form.is_submitted():
        form.apps.data = [current.app().name]
    if len(apps) == 1:
        form.apps.raw_data = form.apps.data = apps  # there is nothing to choose
    if not is_id(form.id.data or ""):
        form.id.data = new_id()
    return form


def _page(form: TokenForm, made: ApiToken | None = None, secret: str = "") -> str:
    services = current.services()
    tokens = services.api_tokens.all()
    now = clock.now_ms(services.redis) / 1000
    return render_template(
        "people/tokens.html",
        form=form,
        tokens=tokens,
        expired={one.id for one in tokens if one.has_expired(now)},
        words=WORDS,
        every_app=EVERY_APP,
        held_back=_held_back(),
        made=made,
        secret=secret,
    )


def _held_back() -> set[str]:
    """The apps where a second person publishes: there no token does."""
    services = current.services()
    return {name for name in services.settings.apps if services.approvals.switched_on(name) is not None}

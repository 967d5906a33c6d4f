"""Two languages: English is in the code, Chinese in translations/zh_Hans/*.po, one file per subject.

The .po files are read when the process starts: nothing has to be compiled, nothing can be stale.
"""

import io
import re
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Blueprint, Flask, redirect, request
from flask.typing import ResponseReturnValue
from flask_babel import Babel, Domain, get_locale, gettext

from tasks.messages import Message, translate
from webhook.console import cookies
from webhook.console.links import inside
from webhook.errcode_texts import explained

CHINESE, ENGLISH = "zh_Hans", "en"
NAMES = {CHINESE: "中文", ENGLISH: "English"}  # each in its own words
COOKIE = "welcome-language"

blueprint = Blueprint("language", __name__)


def speak(app: Flask) -> None:
    """Set up the two languages of an application, and the route that switches between them."""
    babel = _Babel(app, default_locale=CHINESE, locale_selector=_chosen)
    catalogues = babel.domain_instance  # read now: a catalogue that is broken ends the start, not a request
    env = app.jinja_env  # a page has hundreds of texts: each goes straight to its catalogue
    env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=lambda text: catalogues.get_translations().ugettext(text),
        ngettext=lambda one, several, number: catalogues.get_translations().ungettext(one, several, number),
        newstyle=True,
    )
    env.globals["_"] = env.globals["gettext"]
    app.jinja_env.globals.update(language=html_language, other_language=_other)
    app.jinja_env.filters["say"] = lambda what: translate(what, gettext)
    app.jinja_env.filters["why"] = lambda reason: translate(explained(reason), gettext)
    app.jinja_env.filters["joined"] = joined
    app.register_blueprint(blueprint)


def sentence(what: Message) -> str:
    """A message that stands alone: it begins with a capital, unless it begins with a value of somebody's."""
    words = translate(what, gettext)
    value = re.match(r"%\((\w+)\)s", what.msgid)
    return words[:1].upper() + words[1:] if value is None or isinstance(what.values[value[1]], Message) else words


def joined(sentences: Iterable[str]) -> str:
    """Sentences one behind the other; a Chinese one ends without a blank."""
    return " ".join(sentences).replace("。 ", "。")


def html_language() -> str:
    """The value of <html lang>."""
    return str(get_locale()).replace("_", "-")


@cache
def chinese() -> Translations:
    """All .po files of the Chinese translation as one catalogue; read once per process."""
    merged = Translations()
    for file in sorted((Path(__file__).parent / "translations" / CHINESE).glob("*.po")):
        with file.open("rb") as source:
            compiled = io.BytesIO()
            write_mo(compiled, read_po(source, locale=CHINESE, abort_invalid=True))
        catalogue = Translations(io.BytesIO(compiled.getvalue()))
        merged.merge(catalogue)
        merged.plural = catalogue.plural  # `merge` leaves it behind
    return merged


def _chosen() -> str:
    """The language of this request: the operator's choice, else the browser's; Chinese if neither says."""
    cookie = request.cookies.get(COOKIE)
    if cookie in NAMES:
        return cookie
    for wanted, _ in request.accept_languages:
        if wanted.lower().startswith("zh"):
            return CHINESE
        if wanted.lower().startswith("en"):
            return ENGLISH
    return CHINESE


def _other() -> tuple[str, str, str]:
    """(code, name, value of lang) of the other language."""
    code = ENGLISH if str(get_locale()) == CHINESE else CHINESE
    return code, NAMES[code], code.replace("_", "-")


class _Catalogues(Domain):
    """Flask-Babel's domain, with catalogues in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._chinese, self._english = chinese(), NullTranslations()

    def get_translations(self) -> NullTranslations:
        locale = get_locale()
        return self._chinese if locale is not None and locale.language == "zh" else self._english


class _Babel(Babel):
    @cached_property
    def domain_instance(self) -> Domain:
        return _Catalogues()


@blueprint.get("/language/<code>")
def choose(code: str) -> ResponseReturnValue:
    """Set the language of this browser."""
    response = redirect(inside(request.args.get("back", "")))
    if code in NAMES:
        cookies.keep(response, COOKIE, code)
    return response

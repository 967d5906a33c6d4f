"""Good welcomes by trade, from which a new one can start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, render_template, request
from flask_babel import get_locale, lazy_gettext

from tasks.templates.render import fill
from webhook.console import current
from webhook.console.welcomes import preview

LANGUAGES = {"zh": "中文", "en": "English"}
TRADES: Mapping[str, Any] = {
    "retail": lazy_gettext("Retail"),
    "education": lazy_gettext("Education"),
    "property": lazy_gettext("Property"),
    "medical_beauty": lazy_gettext("Medical beauty"),
    "b2b": lazy_gettext("Business customers"),
}

blueprint = Blueprint("examples", __name__)


@dataclass(frozen=True, slots=True)
class Example:
    """A welcome's name and text. `key`: names it in an address, such as `retail.shop.zh`."""

    key: str
    name: str
    text: str


@cache
def examples() -> Mapping[str, Mapping[str, tuple[Example, ...]]]:
    """Language → trade → its welcomes."""
    stored = yaml.safe_load(Path(__file__).with_name("examples.yaml").read_text("utf-8"))
    return {
        language: {
            trade: tuple(
                Example(f"{trade}.{one['id']}.{language}", one[language]["name"], one[language]["text"])
                for one in stored[trade]
            )
            for trade in TRADES
        }
        for language in LANGUAGES
    }


def example(key: str) -> Example | None:
    """The welcome of this key."""
    found = (one for trades in examples().values() for welcomes in trades.values() for one in welcomes)
    return next((one for one in found if one.key == key), None)


@blueprint.get("/welcomes/examples")
def show() -> str:
    """All of them in one language, as a customer would read them."""
    texts = request.args.get("texts", "")
    if texts not in LANGUAGES:
        texts = "zh" if str(get_locale()).startswith("zh") else "en"
    values = preview.samples(datetime.now(current.zone()))["ordinary"]
    return render_template(
        "welcomes/examples.html",
        trades=TRADES,
        examples=examples()[texts],
        languages=LANGUAGES,
        texts=texts,
        read=lambda text: fill(text, values),
    )

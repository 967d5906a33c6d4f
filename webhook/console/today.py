"""Today: how it stands."""

from flask import Blueprint, render_template

from tasks.assembly import Parts


def today(parts: Parts) -> Blueprint:
    """The front page."""
    blueprint = Blueprint("today", __name__)

    @blueprint.get("/")
    def show() -> str:
        return render_template("today/show.html")

    return blueprint

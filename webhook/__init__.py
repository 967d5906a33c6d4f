"""The Flask side: HTTP in, pages out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from tasks.assembly import Parts


def create_app(parts: "Parts") -> "Flask":
    """The web application on these parts; their Redis client must have `tasks.intake.TIMEOUT` as its time-out.

    It is imported when it is asked for: every command and every worker imports this package, and serves no page.
    """
    from webhook.application import create_app as made

    return made(parts)

"""The Flask side: HTTP in, pages out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from tasks.lifeboat.lifeboat import Lifeboat
    from tasks.services import Services


def create_app(services: "Services", lifeboat: "Lifeboat | None" = None) -> "Flask":
    """The web application on these services; `tasks.ledger.intake.TIMEOUT` must be their time-out for Redis.

    It is imported when it is asked for: every command and every worker imports this package, and serves no page.
    """
    from webhook.application import create_app as made

    return made(services, lifeboat)

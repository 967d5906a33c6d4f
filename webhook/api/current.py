"""What a view of the API works with: the services, the app of the address, the token; and the audit trail."""

from zoneinfo import ZoneInfo

from flask import g, request

from tasks.audit import Act, Via
from tasks.people.api_tokens import ApiToken
from tasks.services import AppServices
from webhook import looks
from webhook.current import services, set_services

__all__ = ["app", "author", "exported", "looked_at", "record", "services", "set_services", "token", "zone"]


def app() -> AppServices:
    """The services of the WeCom app that the address names."""
    return services().app(g.app_name)


def token() -> ApiToken:
    """Whose request it is."""
    found: ApiToken = g.token
    return found


def author() -> str:
    """As whom drafts and revisions have it: the token, and last who made it.

    Whoever made a token has changed what it changes: see `tasks.books.approvals`, which knows people by the end.
    """
    return f"{token().name} · {token().created_by}" if token().created_by else token().name


def record(act: Act, target: str = "", number: int | None = None) -> None:
    """Put an act into the audit trail, as the token's: by its id too, for two may have one name, or a person's."""
    who = f"{token().name} ({token().id})"
    services().audit.record(act, who, Via.API, app().name, target, number, request.remote_addr or "")


def exported(what: str) -> None:
    """Put into the audit trail that something is read whole: once an hour for each token and thing."""
    if looks.is_first(services().redis, app().name, Via.API, token().id, what):
        record(Act.EXPORTED, what)


def looked_at(delivery: str) -> None:
    """Put a look at a customer into the audit trail, as the console does."""
    found = looks.told(services().redis, app().name, Via.API, token().id, delivery)
    if found is not None:
        record(*found)


def zone() -> ZoneInfo:
    """The time zone of dates."""
    return services().settings.timezone

"""The apps that a token may ask for. Every token may ask this."""

from typing import Any

from webhook.api import current
from webhook.api.schemas import AppsSchema
from webhook.api.subject import Subject

blueprint = Subject("apps", "The apps of this installation.", prefix="/apps")


@blueprint.operation("GET", "", scope=None)
@blueprint.response(200, AppsSchema)
def list_apps() -> dict[str, Any]:
    """The apps that the token may ask for."""
    services, token = current.services(), current.token()
    return {
        "items": [
            {"name": app.name, "corp_id": app.corp_id, "revision": services.books.current(app.name)}
            for app in services.settings.apps.values()
            if not token.apps or app.name in token.apps
        ]
    }

"""The API's application: `create_api` is wiring, nothing else."""

from importlib.metadata import version
from typing import Any

import redis
from flask import Flask
from flask_limiter import RateLimitExceeded
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from tasks.people.api_tokens import Scope
from tasks.services import Services
from webhook.api import PREFIX, access, apps, books, current, deliveries, drafts, explain, numbers, problems
from webhook.api.schemas import ProblemSchema
from webhook.patience import WaitsOnce

SUBJECTS = (apps, deliveries, numbers, books, drafts, explain)
ABOUT = """\
What the commands and the console do, as JSON. Admins make tokens, on the console's page API tokens; each has scopes, \
may be for some apps only, and is sent as `Authorization: Bearer …`. A problem is answered as RFC 9457 says, with a \
`code` for programs. A token may ask {limits}.
"""
SCOPES = {
    Scope.DELIVERIES_READ: "read what became of each customer",
    Scope.NUMBERS_READ: "read numbers",
    Scope.BOOKS_READ: "read books, revisions and the draft",
    Scope.BOOKS_WRITE: "validate a book, make it the draft, discard the draft, explain",
    Scope.BOOKS_PUBLISH: "publish the draft, roll back",
}


def create_api(services: Services) -> Flask:
    """The API on these services."""
    app = Flask("webhook.api", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=access.BODY_LIMIT,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    current.set_services(app, services)
    api = _Documented(app, spec_kwargs=_about())
    _describe(api.spec)
    needs: dict[str, Any] = {}
    for subject in SUBJECTS:
        api.register_blueprint(subject.blueprint)
        needs |= subject.blueprint.needs
    app.extensions["needs"] = needs
    access.guard(app, services)
    app.register_error_handler(problems.Problem, problems.answer)
    app.register_error_handler(redis.RedisError, problems.of_redis)
    app.register_error_handler(RateLimitExceeded, access.too_often)
    app.wsgi_app = WaitsOnce(app.wsgi_app)  # type: ignore[method-assign]
    return app


class _Documented(Api):
    """Problems in our form; and each operation says which ones it has, so there is no default."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def handle_http_exception(self, error: HTTPException) -> Any:
        return problems.of_http(error)


def _about() -> dict[str, Any]:
    return {
        "title": "wecom-welcome",
        "version": version("wecom-welcome"),
        "openapi_version": "3.1.0",
        "info": {
            "description": ABOUT.format(limits=" and ".join(access.LIMITS)),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": PREFIX}],
    }


def _describe(spec: Any) -> None:
    """The parts of the document that operations refer to."""
    scopes = "\n".join(f"* `{scope}`: {about}" for scope, about in SCOPES.items())
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer", "description": scopes})
    spec.components.schema("Problem", schema=ProblemSchema)
    for status, title in problems.TITLES.items():
        content = {problems.MEDIA_TYPE: {"schema": "Problem"}}
        spec.components.response(f"Problem{status}", {"description": title, "content": content})

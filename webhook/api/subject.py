"""A subject of the API: its operations, each with the scope that it asks for, what it takes, and how it may fail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask_smorest import Blueprint
from marshmallow import RAISE
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest

from tasks.people.api_tokens import Scope

View = Callable[..., Any]
ALWAYS = (401, 403, 429, 503)  # problems of every operation
JSON, YAML, ZIP = "application/json", "application/yaml", "application/zip"
SYNONYMS = {"application/x-yaml": YAML, "text/yaml": YAML, "text/x-yaml": YAML, "application/x-zip-compressed": ZIP}
EXAMPLE = """\
version: 1
templates:
  default: {text: "您好{customer}，我是{member}"}
rules:
- use: default
"""
BOOK = {
    YAML: {"schema": {"type": "string"}, "example": EXAMPLE},
    ZIP: {"schema": {"type": "string", "format": "binary"}},
}


class _Parser(FlaskParser):
    """Refuses parameters that the operation does not know: a misspelt filter must not pass for none."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012  as the class above has it
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": RAISE,
        "json": RAISE,
    }

    def load_json(self, req: Any, schema: Any) -> Any:
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError):  # nested too deep; a number of more digits than Python reads
            raise BadRequest from None


@dataclass(frozen=True, slots=True)
class Needs:
    """What an operation asks for. `scope` None: any token does.

    takes: media types of its body, () for none; large: bytes of it, where that is more than usual.
    """

    scope: Scope | None
    takes: Sequence[str] = ()
    large: int | None = None


class Subject(Blueprint):
    """The operations of one subject. `needs`: endpoint → what it asks for, which `webhook.api.access` looks at."""

    ARGUMENTS_PARSER = _Parser()

    def __init__(self, name: str, description: str, prefix: str = "/apps/<app>") -> None:
        super().__init__(name, f"webhook.api.{name}", url_prefix=prefix, description=description)
        self.needs: dict[str, Needs] = {}

    def operation(
        self,
        method: str,
        rule: str,
        scope: Scope | None,
        problems: Sequence[int] = (),
        takes: Sequence[str] = (),
        large: int | None = None,
    ) -> Callable[[View], View]:
        """The decorator of a view. `problems`: statuses that it may answer with beside ALWAYS and those of its path."""

        def decorate(view: View) -> View:
            name = view.__name__
            self.needs[f"{self.name}.{name}"] = Needs(scope, takes, large)
            body = {413, 415} if takes else set()
            documented = self.doc(operationId=name, security=[{"token": [str(scope)] if scope else []}])(view)
            if YAML in takes:
                documented = self.doc(requestBody={"required": True, "content": BOOK})(documented)
            for status in sorted({*ALWAYS, 404, *body, *problems}):
                documented = self.alt_response(status, response=f"Problem{status}")(documented)
            self.add_url_rule(rule, name, documented, methods=[method])
            return view

        return decorate

"""The console as an operator sees it: a browser without JavaScript, and a session without signing in."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask, session
from flask_wtf.csrf import generate_csrf
from werkzeug.test import TestResponse

from tasks.monitoring.queue_status import Reading
from tasks.rate_limits.limiter import Held, Status
from tasks.rate_limits.limits import Limits
from tasks.services import Services
from tests.simulator.client import StandIn
from webhook import create_app
from webhook.console import sessions
from webhook.console.queue import Flow

COOKIE = "welcome-console"
PASSWORD = "let-me-in"
NAME = "李敏"
NO_PAGES = frozenset({"static", "wecom.start", "language.choose", "revisions.export", "revisions.export_draft"})
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """Follows redirects and sends the CSRF token of the last page, as a browser does."""

    def __init__(self, services: Services, language: str = "en", **environ: str) -> None:
        self.services = services
        application = create_app(services)
        self.client = application.test_client()
        self.console: Flask = application.extensions["console"]
        self.client.set_cookie("welcome-language", language)
        self.environ = environ
        self.token = ""

    def sign_in(self, name: str = NAME, password: str = PASSWORD) -> "Browser":
        self.get("/login")
        self.post("/login", {"name": name, "password": password})
        return self

    def signed_in(self, name: str = NAME) -> "Browser":
        """The same as `sign_in`, without the cost of comparing the password."""
        cookie, self.token = signed_in(self.console, name, PASSWORD)
        self.client.set_cookie(COOKIE, cookie, path="/")
        return self

    def sign_in_with_wecom(self, wecom: StandIn, userid: str, target: str = "") -> TestResponse:
        """As a member does it. → the page that it ends on."""
        begun = self.get("/login/wecom/start/default", {"next": target} if target else None, follow_redirects=False)
        asked = parse_qs(urlsplit(begun.location).query)
        code, back = wecom.code_for(userid), urlsplit(asked["redirect_uri"][0]).path.removeprefix("/console")
        return self.get(back, {"code": code, "state": asked["state"][0]})

    def get(self, path: str, query: Mapping[str, Any] | None = None, **options: Any) -> TestResponse:
        """A page below /console."""
        options.setdefault("follow_redirects", True)
        return self._seen(self.client.get("/console" + path, query_string=query, **self._options(options)))

    def post(self, path: str, data: Mapping[str, Any] | None = None, **options: Any) -> TestResponse:
        """Post a form below /console, with the CSRF token of the last page."""
        options.setdefault("follow_redirects", True)
        data = {"csrf_token": self.token, **(data or {})}
        return self._seen(self.client.post("/console" + path, data=data, **self._options(options)))

    def session(self, **changed: Any) -> dict[str, Any]:
        """The contents of the session cookie, with these values changed."""
        signer = self.console.session_interface.get_signing_serializer(self.console)  # type: ignore[attr-defined]
        cookie = self.client.get_cookie("welcome-console", path="/")
        assert cookie is not None
        held = {**signer.loads(cookie.value), **changed}
        self.client.set_cookie("welcome-console", signer.dumps(held), path="/")
        return held

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"environ_base": self.environ, **options}

    def _seen(self, response: TestResponse) -> TestResponse:
        if response.mimetype == "text/html":
            found = TOKEN.search(response.text)
            self.token = html.unescape(found[1]) if found else self.token
        return response


def text_of(response: TestResponse) -> str:
    """A page's text, without its markup."""
    body = re.sub(r"(?s)<(script|style|head).*?</\1>", " ", response.text)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def charts_of(response: TestResponse) -> list[dict[str, Any]]:
    """The data of a page's charts."""
    return [json.loads(html.unescape(one)) for one in re.findall(r"data-chart='([^']*)'", response.text)]


def signed_in(console: Flask, name: str, password: str) -> tuple[str, str]:
    """(value of COOKIE, CSRF token) as after a sign-in, without the cost of comparing the password."""
    with console.test_request_context("/"):
        sessions.begin(name, sessions.fingerprint(password, console.secret_key or ""))
        token, held = generate_csrf(), dict(session)
    return console.session_interface.get_signing_serializer(console).dumps(held), token  # type: ignore[attr-defined]


def pages_of(console: Flask, known: Mapping[str, str]) -> dict[str, str]:
    """Rule → address of every page that a GET brings. `known`: a value for each argument of an address.

    AssertionError names the arguments that have none.
    """
    with console.test_request_context():
        adapter = console.create_url_adapter(None) or console.url_map.bind("localhost")
        rules = [
            rule
            for rule in console.url_map.iter_rules()
            if rule.methods and "GET" in rule.methods and rule.endpoint not in NO_PAGES
        ]
        missing = {name for rule in rules for name in rule.arguments} - known.keys()
        assert not missing, f"tests/support/samples.py has no value for {missing}"
        return {
            rule.rule: adapter.build(rule.endpoint, {name: known[name] for name in rule.arguments}) for rule in rules
        }


def a_flow(**different: object) -> Flow:
    """A queue status: nothing is waiting, and a worker took a message just now."""
    values: dict[str, object] = {"waiting": 0, "in_flight": 0, "oldest": 0.0, "silence": 0.1, "upkeep": 0}
    return Flow(Reading(**values | {"memory": None, "tokens": {}} | different), rate=0)  # type: ignore[arg-type]


def at_the_limit(errcode: int | None = None, minute: int = 9_700, hour: int = 20_000) -> Status:
    """Greetings that wait for WeCom's limits, since it has refused one with `errcode`, or so that it refuses none."""
    return Status(minute, hour, Limits.of(), 0.0, errcode, Held(995.0, 999.0, errcode or 0), now=1000.0)

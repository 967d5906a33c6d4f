"""Each route of the console asks for a role, on the server; a page offers nobody what it would refuse."""

import re
from html import unescape
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tasks.audit import Via
from tasks.people.roles import Grant, Kind, Role
from tasks.services import Services
from tests.simulator.client import StandIn
from tests.support import samples
from tests.support.console import Browser, text_of
from webhook.console import access, permitted_forms
from webhook.console.access import NEEDS, OPEN

MEMBERS = {"wuyue": Role.VIEWER, "lisi": Role.EDITOR, "wangwu": Role.PUBLISHER, "zhangsan": Role.ADMIN}
FORM = re.compile(r'<form\b[^>]*method="post"[^>]*>.*?</form>', re.DOTALL)


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(members={userid: {"name": userid.upper()} for userid in MEMBERS})
    return at_wecom | {"CONSOLE_ADMINS": "zhangsan"}


@pytest.fixture
def book() -> str:
    return "version: 1\ntemplates:\n  default:\n    text: 您好\nrules:\n  - use: default\n"


@pytest.fixture
def services(services: Services) -> Services:
    """An installation that has lived, where each role was given to a member."""
    samples.fill(services)
    corp_id = services.settings.apps["default"].corp_id
    for userid, role in MEMBERS.items():
        if role is not Role.ADMIN:
            services.grants.give(Grant(corp_id, Kind.MEMBER, userid, role))
    return services


def as_(wecom: StandIn, services: Services, role: Role) -> Browser:
    browser = Browser(services)
    userid = next(one for one, its in MEMBERS.items() if its is role)
    browser.sign_in_with_wecom(wecom, userid)
    return browser


def routes(browser: Browser, method: str) -> list[tuple[str, str]]:
    """(endpoint, an address that leads to something) of every route that takes a method."""
    found = samples.routes(browser.console, browser.services, method)
    return [(rule.endpoint, address) for rule, address in found if rule.endpoint not in OPEN]


def test_every_route_asks_for_a_role_or_is_everybodys(services: Services) -> None:
    console = Browser(services).console
    known: dict[str, set[str]] = {}
    for rule in console.url_map.iter_rules():
        known.setdefault(rule.endpoint, set()).update((rule.methods or set()) - {"HEAD", "OPTIONS"})
    unclassified = set(known) - set(NEEDS) - OPEN
    assert not unclassified, f"webhook/console/access.py says nothing of {sorted(unclassified)}"
    assert not set(NEEDS) - set(known), "there are no such routes any more"
    for endpoint, needs in NEEDS.items():
        assert (needs.see is not None) is ("GET" in known[endpoint]), endpoint
        assert (needs.do is not None) is ("POST" in known[endpoint]), endpoint


def test_what_nobody_has_classified_is_an_admins() -> None:
    assert access.least("of.tomorrow", "GET") is Role.ADMIN
    assert access.least("of.tomorrow", "POST") is Role.ADMIN
    assert access.least("today.show", "DELETE") is Role.ADMIN
    assert access.least("audit.show", "HEAD") is Role.ADMIN


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.PUBLISHER])
def test_no_route_does_for_a_role_what_a_higher_one_may(wecom: StandIn, services: Services, role: Role) -> None:
    browser = as_(wecom, services, role)
    refused = 0
    for method in ("GET", "POST"):
        for endpoint, address in routes(browser, method):
            least = access.least(endpoint, method)
            assert least is not None
            if role >= least:
                continue
            for fields in ({}, {"role": "admin", "operator": "zhangsan", "_method": "GET"}):
                call = browser.get if method == "GET" else browser.post
                answer = call(address, fields, follow_redirects=False)
                assert answer.status_code == 403, (method, address)
                refused += 1
    assert refused > 2 * (Role.ADMIN - role)
    assert {one.act for one in services.audit.entries() if one.via == Via.WECOM} == {"signed_in"}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_sees_its_pages_and_on_none_of_them_a_button_that_is_refused(
    wecom: StandIn, services: Services, role: Role
) -> None:
    browser = as_(wecom, services, role)
    adapter = browser.console.url_map.bind("localhost")
    offered: set[str] = set()
    for endpoint, address in routes(browser, "GET"):
        least = access.least(endpoint, "GET")
        if least is None or role < least:
            continue
        page = browser.get(address)
        assert page.status_code < 400, address
        for action, enabled in forms(page):
            path = (action or "/console" + address).partition("?")[0].removeprefix("/console")
            target = adapter.match(path, method="POST")[0]
            needs = access.least(target, "POST")
            if enabled and needs is not None:
                assert role >= needs, f"{address} offers {target}"
                offered.add(target)
    assert "access.sign_out" in offered
    wanted = {one for one, needs in NEEDS.items() if needs.do is role}
    assert offered & wanted or role is Role.VIEWER


def forms(page: TestResponse) -> list[tuple[str, bool]]:
    """(address, whether it can be sent) of each form that posts, and of each button with an address of its own."""
    found = []
    for form in FORM.findall(page.text) if page.mimetype == "text/html" else []:
        head, enabled = form.partition(">")[0], 'class="not-yours" disabled' not in form
        action = re.search(r'\baction="([^"]*)"', head)
        found.append((unescape(action[1]) if action else "", enabled))
        found += [(unescape(one), enabled) for one in re.findall(r'\bformaction="([^"]*)"', form)]
    return found


def test_a_form_that_is_not_for_ones_role_says_who_may(wecom: StandIn, services: Services) -> None:
    revision = "/welcomes/history/1"
    assert "This needs the role publisher" in text_of(as_(wecom, services, Role.EDITOR).get(revision))
    assert "This needs the role" not in text_of(as_(wecom, services, Role.PUBLISHER).get(revision))
    answer = as_(wecom, services, Role.VIEWER).post("/welcomes/edit?name=default", {"text": "写了很久"})
    assert answer.status_code == 403
    assert "This needs the role editor; yours is viewer" in text_of(answer)
    assert "写了很久" in answer.text


def test_a_list_of_customers_is_not_offered_to_whom_it_is_refused(wecom: StandIn, services: Services) -> None:
    assert "deliveries.csv" not in as_(wecom, services, Role.VIEWER).get("/deliveries").text
    assert "deliveries.csv" in as_(wecom, services, Role.EDITOR).get("/deliveries").text


def test_the_preview_of_who_may_not_write_is_refused_and_leaves_the_page_alone(
    wecom: StandIn, services: Services
) -> None:
    answer = as_(wecom, services, Role.VIEWER).post("/welcomes/preview", {}, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.data) == (403, b"")


@pytest.mark.parametrize("file", sorted(Path(permitted_forms.__file__).parent.glob("pages/**/*.html")), ids=str)
def test_no_form_that_posts_escapes(file: Path) -> None:
    """The pattern finds each form whole, and each names its route, or is the page's own."""
    source = file.read_text("utf-8")
    found = list(permitted_forms.FORM.finditer(source))
    assert len(found) == source.count('method="post"')
    for one in found:
        assert "<form" not in one["body"]
        named = 'action="' not in one["tag"] or permitted_forms.ACTION.search(one["tag"])
        assert named or file.name in ("kept.html", "sign_in.html"), f"{file.name}: {one['tag'][:80]}"

"""Publishing by a second person in the console, and the ways around it that are closed."""

import io
import re

import pytest

from tasks.people.roles import Grant, Kind, Role
from tasks.services import Services
from tests.simulator.client import StandIn
from tests.support.console import Browser, text_of

BOOK = "version: 1\ntemplates:\n  default:\n    text: 您好\nrules:\n  - use: default\n"
ROLES = {"lisi": Role.PUBLISHER, "wangwu": Role.PUBLISHER, "zhaoliu": Role.EDITOR}


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(members={userid: {"name": userid.upper()} for userid in ("zhangsan", *ROLES)})
    return at_wecom | {"CONSOLE_ADMINS": "zhangsan"}


@pytest.fixture
def book() -> str:
    return BOOK


@pytest.fixture
def people(services: Services, wecom: StandIn) -> dict[str, Browser]:
    """Everybody, signed in with WeCom; it is switched on."""
    corp_id = services.settings.apps["default"].corp_id
    for userid, role in ROLES.items():
        services.grants.give(Grant(corp_id, Kind.MEMBER, userid, role))
    found = {userid: Browser(services) for userid in ("zhangsan", *ROLES)}
    for userid, browser in found.items():
        browser.sign_in_with_wecom(wecom, userid)
    found["zhangsan"].get("/people")
    found["zhangsan"].post("/people/second-person", {"on": "1"})
    assert services.approvals.switched_on("default") is not None
    return found


def change(browser: Browser, text: str) -> int:
    """Save a draft. → its version."""
    drafts = browser.services.drafts
    content = BOOK.replace("您好", text).encode()
    data = {"version": drafts.working("default").version, "file": (io.BytesIO(content), "new.yaml")}
    browser.post("/welcomes/import", data, content_type="multipart/form-data")
    return drafts.working("default").version


def seen(browser: Browser) -> dict[str, str]:
    """What the review page would send."""
    page = browser.get("/welcomes/publish").text
    return dict(re.findall(r'type="hidden" name="(version|digest)" value="([^"]+)"', page))


def live(services: Services) -> int:
    return services.books.current("default") or 0


def test_one_asks_and_another_publishes_exactly_that(people: dict[str, Browser], services: Services) -> None:
    version = change(people["zhaoliu"], "欢迎光临")
    assert "Ask for an approval" in text_of(people["zhaoliu"].get("/welcomes/publish"))
    people["zhaoliu"].post("/welcomes/approval/ask", {"version": version, "note": "新文案"})
    assert "zhaoliu" in text_of(people["lisi"].get("/welcomes/publish"))
    people["lisi"].post("/welcomes/approval/approve", seen(people["lisi"]))
    revision = services.books.revision("default", live(services))
    assert live(services) == 2
    assert (revision.author, revision.note) == ("ZHAOLIU (zhaoliu)", "新文案 ✓ LISI (lisi)")
    assert services.approvals.asked("default") is None
    told = [(one.who, one.act, one.target) for one in services.audit.entries()][:2]
    assert told == [("lisi", "approved", "zhaoliu"), ("zhaoliu", "approval_asked", "")]


def test_nobody_publishes_alone(people: dict[str, Browser], services: Services) -> None:
    version = change(people["lisi"], "欢迎光临")
    for browser in (people["lisi"], people["zhangsan"], Browser(services).signed_in()):
        answer = browser.post("/welcomes/publish", {"version": version})
        assert answer.status_code == 409
        assert "A second person publishes here" in text_of(answer)
        browser.post("/welcomes/approval/approve", {"version": version, "digest": "x"})  # nobody has asked
    people["lisi"].post("/welcomes/approval/ask", {"version": version})
    own = seen(people["lisi"])
    assert "Approve and publish" not in people["lisi"].get("/welcomes/publish").text
    asked = services.approvals.asked("default")
    assert asked is not None
    form = {**own, "version": version, "digest": asked.digest}
    assert "somebody else approves it" in text_of(people["lisi"].post("/welcomes/approval/approve", form))
    password = Browser(services).signed_in("WANGWU (wangwu)")
    assert "Sign in with WeCom to approve" in text_of(password.post("/welcomes/approval/approve", form))
    assert people["zhaoliu"].post("/welcomes/approval/approve", form).status_code == 403
    assert live(services) == 1


def test_a_change_meanwhile_voids_what_was_asked(people: dict[str, Browser], services: Services) -> None:
    version = change(people["lisi"], "欢迎光临")
    people["lisi"].post("/welcomes/approval/ask", {"version": version})
    asked = services.approvals.asked("default")
    assert asked is not None
    form = {"version": version, "digest": asked.digest}
    later = change(people["zhaoliu"], "欢迎，点这里领钱")
    page = people["wangwu"].get("/welcomes/publish")
    assert "Void: the draft has changed since" in text_of(page)
    assert "Approve and publish" not in page.text
    for tried in (form, {**form, "version": later}, {"version": later, "digest": "0" * 64}):
        assert "its author has to ask again" in text_of(people["wangwu"].post("/welcomes/approval/approve", tried))
    assert live(services) == 1
    people["zhaoliu"].post("/welcomes/approval/ask", {"version": later})
    people["wangwu"].post("/welcomes/approval/approve", seen(people["wangwu"]))
    assert live(services) == 2


def test_an_import_makes_nobody_a_second_person_for_what_he_wrote(
    people: dict[str, Browser], services: Services
) -> None:
    change(people["lisi"], "欢迎，点这里领钱")
    copied = people["zhaoliu"].get("/welcomes/draft/export").data
    drafts = services.drafts
    data = {"version": drafts.working("default").version, "file": (io.BytesIO(copied), "copy.yaml")}
    people["zhaoliu"].post("/welcomes/import", data, content_type="multipart/form-data")
    draft = drafts.working("default")
    assert "点这里领钱" in draft.source
    assert draft.authors == ["LISI (lisi)", "ZHAOLIU (zhaoliu)"]
    people["zhaoliu"].post("/welcomes/approval/ask", {"version": draft.version})
    asked = services.approvals.asked("default")
    assert asked is not None
    form = {"version": draft.version, "digest": asked.digest}
    assert "somebody else approves it" in text_of(people["lisi"].post("/welcomes/approval/approve", form))
    assert live(services) == 1
    people["wangwu"].post("/welcomes/approval/approve", form)
    assert live(services) == 2
    change(people["zhaoliu"], "欢迎光临")  # over no draft: it is the importer's alone
    assert drafts.working("default").authors == ["ZHAOLIU (zhaoliu)"]


def test_it_can_be_declined_with_a_note_and_asked_for_again(people: dict[str, Browser], services: Services) -> None:
    version = change(people["lisi"], "欢迎光临")
    people["lisi"].post("/welcomes/approval/ask", {"version": version})
    people["wangwu"].post("/welcomes/approval/decline", {"version": version, "note": "少了公司名"})
    assert services.approvals.asked("default") is None
    assert "少了公司名" in text_of(people["lisi"].get("/welcomes/publish"))
    people["lisi"].post("/welcomes/approval/ask", {"version": version})
    assert "少了公司名" not in text_of(people["lisi"].get("/welcomes/publish"))
    assert live(services) == 1


def test_only_an_admin_switches_it_and_on_only_a_member(people: dict[str, Browser], services: Services) -> None:
    assert people["lisi"].post("/people/second-person", {"on": "0"}).status_code == 403
    password = Browser(services).signed_in()
    password.post("/people/second-person", {"on": "0"})
    assert services.approvals.switched_on("default") is None
    assert next(one.act for one in services.audit.entries()) == "second_person_off"
    assert "Only an admin who signed in with WeCom" in text_of(password.post("/people/second-person", {"on": "1"}))
    assert services.approvals.switched_on("default") is None
    version = change(people["lisi"], "欢迎光临")
    people["lisi"].post("/welcomes/approval/ask", {"version": version})
    assert services.approvals.asked("default") is None
    people["lisi"].post("/welcomes/publish", {"version": version})
    assert live(services) == 2

"""An admin gives and takes roles, and sees who is signed in where; everybody ends sessions of his own."""

import re

import pytest

from tasks.people.roles import Grant, Kind, Role
from tasks.services import Services
from tests.simulator.client import StandIn
from tests.support.console import COOKIE, NAME, Browser, text_of
from webhook.console import people

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Safari/537.36"


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    members = {"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}, "gone": {"name": "G", "status": 5}}
    wecom.people(members=members, departments={3: {"name": "销售一部"}})
    return at_wecom | {"CONSOLE_ADMINS": "zhangsan"}


def grants(services: Services) -> list[tuple[str, str, Role, str]]:
    return [(one.kind, one.id, one.role, one.name) for one in services.grants.all()]


def test_roles_are_given_to_members_and_departments_by_name_and_taken_again(browse: Browser) -> None:
    services = browse.services
    page = browse.post("/people", {"kind": "member", "id": " lisi ", "role": "editor"})
    assert "李四 has the role editor" in text_of(page)
    page = browse.post("/people", {"kind": "department", "id": "03", "role": "viewer"})
    assert "销售一部" in text_of(page)
    assert grants(services) == [("member", "lisi", Role.EDITOR, "李四"), ("department", "3", Role.VIEWER, "销售一部")]
    browse.post("/people", {"kind": "member", "id": "lisi", "role": "publisher"})
    page = browse.post("/people/take", {"field": services.grants.all()[0].field})
    assert "李四 has the role publisher no longer" in text_of(page)
    browse.post("/people/take", {"field": "nobody's"})
    told = [(one.act, one.target) for one in services.audit.entries()][::-1]
    assert told == [
        ("role_given", "lisi → editor"),
        ("role_given", "3 → viewer"),
        ("role_given", "lisi → publisher"),
        ("role_taken", "lisi → publisher"),
    ]


def test_several_are_chosen_from_the_tree_or_by_a_search(browse: Browser) -> None:
    services = browse.services
    found = browse.post("/people", {"do": "pick:who:find", "find-who": "ls", "role": "admin"})
    assert grants(services) == []
    assert 'name="members" value="lisi"' in found.text
    browse.post("/people", {"members": ["lisi", "zhangsan"], "departments": ["3"], "role": "viewer"})
    assert [one[1] for one in grants(services)] == ["lisi", "zhangsan", "3"]
    page = browse.post("/people", {"members": ["lisi", "nobody"], "role": "admin"})
    assert "no such active member" in text_of(page)
    assert {one[2] for one in grants(services)} == {Role.VIEWER}  # all of them, or none
    many = browse.post("/people", {"members": [f"m{n}" for n in range(21)], "role": "admin"})
    assert "At most 20 at once" in text_of(many)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "member", "id": "nobody", "role": "admin"}, "no such active member"),
        ({"kind": "member", "id": "gone", "role": "admin"}, "no such active member"),
        ({"kind": "member", "id": "张三", "role": "admin"}, "A userid has letters"),
        ({"kind": "member", "id": "ww1/zhangsan", "role": "admin"}, "A userid has letters"),
        ({"kind": "member", "id": "", "role": "admin"}, "Choose a member"),
        ({"kind": "department", "id": "99", "role": "admin"}, "no such department (60123)"),
        ({"kind": "department", "id": "one", "role": "admin"}, "A department has a number"),
        ({"kind": "member", "id": "lisi", "role": "owner"}, "Choose a role"),
        ({"kind": "robot", "id": "lisi", "role": "admin"}, "Choose a member"),
        ({}, "Choose a role"),
    ],
)
def test_what_is_nobody_gets_no_role_and_what_was_typed_stays(
    browse: Browser, given: dict[str, str], said: str
) -> None:
    page = browse.post("/people", given)
    assert page.status_code == 422
    assert said in text_of(page)
    assert f'name="id" value="{given.get("id", "")}"' in page.text
    assert grants(browse.services) == []


def test_while_wecom_is_away_nobody_gets_a_role_and_the_page_says_so(browse: Browser, wecom: StandIn) -> None:
    wecom.faults(dropped_before=1, paths=("user/get",))
    page = browse.post("/people", {"kind": "member", "id": "lisi", "role": "editor"})
    assert "WeCom does not answer" in text_of(page)
    assert 'value="lisi"' in page.text


def test_twenty_have_the_time_of_one_and_the_page_says_who_is_not_known(
    browse: Browser, wecom: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"m{n}" for n in range(20)]
    wecom.people(members={one: {"name": one} for one in many})
    monkeypatch.setattr(people, "PATIENCE", 0.5)
    wecom.faults(latency_ms=300, paths=("user/get",))  # 1.2 s for all of them, five at a time
    page = browse.post("/people", {"members": many, "role": "editor"})
    assert page.status_code == 422
    assert "try again in a moment" in text_of(page).lower()
    assert grants(browse.services) == []
    monkeypatch.setattr(people, "PATIENCE", 30)
    wecom.faults(dropped_before=1, paths=("user/get",))
    page = browse.post("/people", {"members": ["lisi", "zhangsan"], "departments": ["3"], "role": "editor"})
    assert page.status_code == 422
    assert "who this is: lisi, zhangsan. Nobody was given the role" in text_of(page)
    assert grants(browse.services) == []
    wecom.faults()
    browse.post("/people", {"members": many, "role": "editor"})
    assert len(grants(browse.services)) == 20


def test_the_page_names_the_admins_of_the_settings_who_cannot_be_taken(browse: Browser) -> None:
    page = browse.get("/people")
    assert "CONSOLE_ADMINS" in page.text
    assert "张三 zhangsan admin" in text_of(page)
    assert "people/take" not in page.text


def test_open_sessions_have_whose_how_where_and_since_when(services: Services, wecom: StandIn) -> None:
    member = Browser(services, HTTP_USER_AGENT=CHROME, REMOTE_ADDR="203.0.113.7")
    member.sign_in_with_wecom(wecom, "zhangsan")
    Browser(services, REMOTE_ADDR="203.0.113.8").sign_in()
    text = text_of(member.get("/sessions"))
    assert "张三 (zhangsan) WeCom Chrome, Windows 203.0.113.7 today" in text
    assert f"{NAME} Password" in text
    assert "203.0.113.8" in text
    assert "This one" in text


def test_a_member_sees_and_ends_his_own_alone(services: Services, wecom: StandIn) -> None:
    corp_id = services.settings.apps["default"].corp_id
    services.grants.give(Grant(corp_id, Kind.MEMBER, "lisi", Role.VIEWER))
    desk, phone, admin = Browser(services), Browser(services), Browser(services)
    for browser in (desk, phone):
        browser.sign_in_with_wecom(wecom, "lisi")
    admin.sign_in_with_wecom(wecom, "zhangsan")
    liar = Browser(services).sign_in("lisi")  # the password lets one write any name
    text = text_of(desk.get("/sessions"))
    assert "张三" not in text
    assert len(re.findall(r"\(lisi\) WeCom", text)) == 2
    desk.post("/sessions/end", {"id": admin.session()["id"]})
    desk.post("/sessions/end", {"id": liar.session()["id"]})
    assert admin.get("/", follow_redirects=False).status_code == 200
    assert liar.get("/", follow_redirects=False).status_code == 200
    desk.post("/sessions/end", {"id": "others"})
    assert phone.get("/", follow_redirects=False).status_code == 302
    assert desk.get("/", follow_redirects=False).status_code == 200


def test_an_admin_ends_anybodys_and_copies_of_its_cookie_too(services: Services, wecom: StandIn) -> None:
    admin, other = Browser(services), Browser(services).sign_in()
    admin.sign_in_with_wecom(wecom, "zhangsan")
    cookie = other.client.get_cookie(COOKIE, path="/")
    assert cookie is not None
    admin.get("/sessions")
    page = admin.post("/sessions/end", {"id": other.session()["id"]})
    assert "1 session has ended" in text_of(page)
    assert NAME not in text_of(page)
    copy = Browser(services)
    copy.client.set_cookie(COOKIE, cookie.value, path="/")
    assert copy.get("/", follow_redirects=False).status_code == 302
    assert "ended already" in text_of(admin.post("/sessions/end", {"id": other.session()["id"]}))
    assert admin.post("/sessions/end", {"id": admin.session()["id"]}).status_code == 400
    assert next((one.act, one.target) for one in services.audit.entries()) == ("session_ended", NAME)


def test_signing_out_takes_a_session_off_the_list(services: Services) -> None:
    browser = Browser(services).sign_in()
    assert len(services.sign_ins.open()) == 1
    browser.post("/logout")
    assert services.sign_ins.open() == []


def test_a_session_of_the_release_before_is_listed_once_it_is_used(browse: Browser) -> None:
    assert browse.services.sign_ins.open() == []
    browse.session(used=browse.session()["used"] - 600)
    browse.get("/")
    assert [one.who for one in browse.services.sign_ins.open()] == [NAME]

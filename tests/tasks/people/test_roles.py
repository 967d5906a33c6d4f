"""Who has which role: of a member, of a department and those above it, of the settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.people.roles import Admin, Grant, Kind, Role, fields_of, is_admin, read_role, role_of

CORP = "wwcorpone"


def grant(role: Role, identity: str = "zhangsan", kind: Kind = Kind.MEMBER, corp_id: str = CORP) -> Grant:
    return Grant(corp_id, kind, identity, role)


def test_each_role_may_do_what_the_one_before_may() -> None:
    assert list(Role) == [Role.VIEWER, Role.EDITOR, Role.PUBLISHER, Role.ADMIN]
    assert [one.word for one in Role] == ["viewer", "editor", "publisher", "admin"]


@pytest.mark.parametrize("text", ["", "Admin", "admin ", "owner", "4", None, 4, ["admin"]])
def test_what_is_no_role_is_none(text: object) -> None:
    assert read_role(text) is None


@given(st.lists(st.sampled_from(Role)))
def test_of_several_the_highest_counts_and_of_none_there_is_none(roles: list[Role]) -> None:
    assert role_of(CORP, "zhangsan", [grant(one) for one in roles], ()) == (max(roles) if roles else None)


@pytest.mark.parametrize(
    ("userid", "corp_id", "admins", "is_one"),
    [
        ("zhangsan", CORP, [Admin("zhangsan")], True),
        ("ZhangSan", CORP, [Admin("zhangsan")], True),  # userids have no case
        ("zhangsan2", CORP, [Admin("zhangsan")], False),
        ("zhangsan", CORP, [Admin("zhangsan", CORP)], True),
        ("zhangsan", "wwcorptwo", [Admin("zhangsan", CORP)], False),
        ("zhangsan", CORP, [], False),
    ],
)
def test_the_settings_name_admins_of_a_corp(userid: str, corp_id: str, admins: list[Admin], is_one: bool) -> None:
    assert is_admin(corp_id, userid, admins) is is_one
    assert (role_of(corp_id, userid, [], admins) is Role.ADMIN) is is_one


def test_a_role_is_looked_for_under_names_of_the_corp_alone() -> None:
    assert fields_of(CORP, "ZhangSan", {3, 1}) == [
        f"{CORP}|member|zhangsan",
        f"{CORP}|department|1",
        f"{CORP}|department|3",
    ]
    assert not set(fields_of(CORP, "3", {3})) & set(fields_of("wwcorptwo", "3", {3}))
    assert len(set(fields_of(CORP, "3", {3}))) == 2  # a member whose userid is a department's number

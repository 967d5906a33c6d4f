"""The picker of members and departments, as somebody without JavaScript uses it, over 2000 members."""

import json
import re
import time
from collections.abc import Mapping

import pytest
from werkzeug.datastructures import MultiDict

from tasks.directory.members import Staff, staff
from tasks.services import Services
from tasks.storage import keys
from tests.support import large
from tests.support.console import Browser, text_of
from tests.support.people import full_name
from tests.support.samples import NASTY
from webhook.console import picker

NEW = "/welcomes/rules/new"


@pytest.fixture
def book() -> str:
    return "version: 1\ntemplates:\n  default:\n    text: 您好\nrules:\n  - use: default\n"


def keep(services: Services, members: Mapping[str, tuple[str, list[int]]], departments: list[list[object]]) -> None:
    """As if WeCom had told it just now."""
    kept = {"members": members, "departments": departments, "whole": True, "until": time.time() + 600}
    services.redis.set(keys.staff("default"), json.dumps(kept))


@pytest.fixture
def many(services: Services) -> Services:
    """2000 members in 209 departments on four levels, and one with a name of her own."""
    members = {large.member(n): (full_name(n), [large.department_of(n)]) for n in range(2000)}
    members["ouyang"] = ("欧阳曾雪", [1])
    keep(services, members, [[one, fields["name"], fields["parentid"]] for one, fields in large.departments().items()])
    return services


def ticked(page: str, name: str = "member") -> list[str]:
    """The values of a field that the form would send."""
    boxes = re.findall(rf'<input type="checkbox" name="{name}" value="([^"]*)"([^>]*)>', page)
    return [value for value, rest in boxes if "checked" in rest and "disabled" not in rest]


def offered(page: str, name: str = "member") -> list[str]:
    return re.findall(rf'<input type="checkbox" name="{name}" value="([^"]*)"', page)


def test_the_tree_begins_with_the_corp_and_its_head_counts(browse: Browser, many: Services) -> None:
    page = browse.get(NEW)
    assert "大公司 2001 第1大区 260" in text_of(page)
    assert offered(page.text) == ["ouyang"]  # right in the corp; all others are below what can be opened
    assert len(page.data) < 60_000


@pytest.mark.parametrize("search", ["oyzx", "OuYang", "ouyang zeng", "ｏｙｃｘ", "欧阳", "曾", "ouy"])
def test_a_member_is_found_by_pinyin_name_and_account(browse: Browser, many: Services, search: str) -> None:
    page = browse.post(NEW, {"do": "pick:member:find", "find-member": search})
    assert "ouyang" in offered(page.text)


def test_a_search_keeps_what_was_typed_and_chosen(browse: Browser, many: Services) -> None:
    typed = {"do": "pick:member:find", "find-member": "oyzx", "member": ["member-0001"], "name": "my rule"}
    page = browse.post(NEW, typed)
    assert page.status_code == 200
    assert 'name="name" value="my rule"' in page.text
    assert ticked(page.text) == ["member-0001"]
    assert full_name(1) in text_of(page)
    assert many.drafts.working("default").version == 0  # nothing was saved


def test_enter_in_the_search_searches_and_does_not_save(browse: Browser, many: Services) -> None:
    page = browse.post(NEW, {"do": "enter", "find-member": "oyzx", "template": "default", "weight": "1"})
    assert "ouyang" in offered(page.text)
    assert many.drafts.working("default").version == 0
    browse.post(NEW, {"do": "enter", "find-member": "", "template": "default", "weight": "1", "state": "a"})
    assert many.drafts.working("default").version == 1


def test_a_department_is_opened_and_stays_open(browse: Browser, many: Services) -> None:
    shop = large.department_of(0)
    city, region, _corp = staff_of(many).path(shop)[1:]
    page = browse.post(NEW, {"do": f"pick:member:open:{region}"})
    assert f"pick:member:open:{city}" in page.text
    page = browse.post(NEW, {"do": f"pick:member:open:{shop}", "open-member": str(region)})
    assert "member-0000" in offered(page.text)
    assert f'name="open-member" value="{city}"' in page.text
    assert len(page.data) < 60_000


def staff_of(services: Services) -> Staff:
    return staff(services.redis, "default", services.app("default").wecom, 0)


def test_departments_are_chosen_with_their_head_counts(browse: Browser, many: Services) -> None:
    page = browse.post(NEW, {"do": "pick:department:find", "find-department": "d1dq", "department": ["3"]})
    assert offered(page.text, "department") == ["3", "2"]
    assert ticked(page.text, "department") == ["3"]
    assert "第1大区 260 members" in text_of(page)


def test_what_is_chosen_is_saved_and_shown_again(browse: Browser, many: Services) -> None:
    chosen = {"member": ["ouyang", "member-0001", "ouyang", ""], "department": ["3"]}
    browse.post(NEW, {"do": "save", "template": "default", "weight": "1", "name": "r", **chosen})
    content = many.drafts.working("default").content
    rule = next(one for one in content.rules if one.get("name") == "r")
    assert rule["when"] == {"member": ["ouyang", "member-0001"], "department": "3"}
    page = browse.get(f"/welcomes/rules/{content.digest_of(rule)}")
    assert ticked(page.text) == ["ouyang", "member-0001"]
    assert ticked(page.text, "department") == ["3"]


def test_whom_wecom_does_not_list_is_shown_by_the_account_and_can_be_typed(browse: Browser, many: Services) -> None:
    page = browse.post(NEW, {"do": "pick:member:find", "find-member": "nobody", "member": ["left"]})
    assert ticked(page.text) == ["left"]
    assert "No matches" in text_of(page)
    assert re.search(r'<input name="member"', page.text)


def test_while_wecom_tells_nothing_accounts_are_typed(browse: Browser, services: Services) -> None:
    keep(services, {}, [])
    page = browse.get(NEW)
    assert "enter the accounts" in text_of(page)
    assert re.search(r'<input name="member"', page.text)
    assert re.search(r'<input name="department"', page.text)


def test_many_results_say_how_many_more_there_are(browse: Browser, many: Services) -> None:
    page = browse.post(NEW, {"do": "pick:member:find", "find-member": "member"})
    assert len(offered(page.text)) == picker.FOUND
    assert "2000 found · the first 50 are shown" in text_of(page)
    assert len(page.data) < 60_000


def test_a_crowded_department_says_whom_it_does_not_show(browse: Browser, services: Services) -> None:
    keep(services, {f"m{n:03d}": ["", [1]] for n in range(picker.SHOWN + 7)}, [[1, "公司", 0]])  # type: ignore[misc]
    page = browse.get(NEW)
    assert len(offered(page.text)) == picker.SHOWN
    assert "and 7 more" in text_of(page)


def test_parts_of_the_page_are_fetched_by_the_script(browse: Browser, many: Services) -> None:
    browse.get(NEW)
    query = "id=member&members=member&departments="
    part = browse.post(f"/pick?{query}", {"find-member": "oyzx"})
    assert offered(part.text) == ["ouyang"]
    assert "<html" not in part.text
    part = browse.post(f"/pick?{query}&open={large.department_of(0)}", {"find-member": "oyzx"})
    assert "member-0000" in offered(part.text)
    assert "ouyang" not in offered(part.text)


@pytest.mark.parametrize(
    "query", ["id=<x>&members=a", "id=a&members=<x>", "id=&members=a", "id=a&members=a&open=99999"]
)
def test_a_part_that_no_page_asks_for_is_not_there(browse: Browser, many: Services, query: str) -> None:
    browse.get(NEW)
    assert browse.post(f"/pick?{query}").status_code == 404


def test_hostile_names_stay_text(browse: Browser, services: Services) -> None:
    members = {f"m{number}": (nasty, [7]) for number, nasty in enumerate(NASTY)}
    keep(services, members, [[7, NASTY[0], 0], [8, NASTY[3], 7]])
    page = browse.post(NEW, {"do": "pick:member:find", "find-member": NASTY[0], "member": ["m0", NASTY[3]]})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text


def test_only_what_concerns_the_picker_keeps_a_form_from_being_saved() -> None:
    assert picker.asked(MultiDict({"do": "pick:a:find"}))
    assert picker.asked(MultiDict({"do": "enter", "find-a": "x"}))
    assert not picker.asked(MultiDict({"do": "enter", "find-a": " "}))
    assert not picker.asked(MultiDict({"do": "save", "find-a": "x"}))
    assert not picker.asked(MultiDict({}))

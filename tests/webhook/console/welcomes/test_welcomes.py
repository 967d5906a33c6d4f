"""Rules and welcomes in the console: the overview, the form of a rule, publishing, history, files, who gets what."""

import html
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tasks.books.draft_store import Drafts
from tasks.books.files import Bundle
from tasks.ledger import intake
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tasks.templates.edits import ABSENT, TEMPLATE, AddRule, MoveRule, Part, SetNamed, SetRule
from tasks.templates.yaml_composer import BOOK_LIMIT
from tests.support.books import PNG
from tests.support.builders import some_settings
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.ledger import accepted
from tests.support.processes import RedisServer

BOOK = """\
version: 1
templates:
  default: {text: "您好{customer}"}
  brochure: {text: "欢迎来到{department}"}
rules:
  - {name: night, when: {hours: "21:00-08:30"}, use: brochure}
  - {name: douyin, when: {state: "douyin-*"}, use: {brochure: 70, default: 30}}
  - use: default
"""


@pytest.fixture
def drafts(services: Services) -> Drafts:
    services.books.save("default", BOOK, author="first")
    return services.drafts


@pytest.fixture
def operator(drafts: Drafts, browse: Browser) -> Browser:
    return browse


def digests(operator: Browser) -> list[str]:
    """Of the rules, as the overview links to them."""
    return re.findall(r'name="rule" value="([0-9a-f]{16})"', operator.get("/welcomes").text)


def added(services: Services, **different: Any) -> None:
    corp = services.settings.apps["default"].corp_id
    accepted(services.ledger, **{"corp_id": corp} | different)


def a_rule(**different: Any) -> dict[str, Any]:
    """A rule's form as a browser sends it."""
    return {"template": ["brochure"], "weight": ["1"], "do": "save", **different}


# ------------------------------------------------------------------------------------------------ the overview


def test_rules_stand_in_order_with_their_hits(operator: Browser, services: Services) -> None:
    for state in ("douyin-1", "douyin-2", "other"):
        added(services, state=state)
    said = text_of(operator.get("/welcomes"))
    assert said.index("night") < said.index("douyin") < said.index("Everybody else")
    assert "21:00 – 08:30 the next day" in said
    assert "brochure 70 % / default 30 %" in said
    assert "1 channel has no rule of its own" in said
    assert "Live is revision 1" in said


def test_without_a_book_the_page_says_what_to_do(browse: Browser) -> None:
    said = text_of(browse.get("/welcomes"))
    assert "new customers get nothing" in said
    for path in ("/welcomes/publish", "/welcomes/history", "/welcomes/import", "/welcomes/explain?member=a"):
        assert browse.get(path).status_code == 200, path


def test_a_rule_that_is_never_reached_is_marked(operator: Browser, drafts: Drafts) -> None:
    drafts.change("default", AddRule({"name": "late", "when": {"hours": "22:00-23:00"}, "use": "default"}), "li")
    said = text_of(operator.get("/welcomes"))
    assert "Never reached Rule 1 always matches first" in said
    assert "The draft has 1 change that is not published" in said


def test_rules_are_moved_by_buttons(operator: Browser, drafts: Drafts) -> None:
    night, douyin, _rest = digests(operator)
    answer = operator.post("/welcomes/rules/move", {"rule": douyin, "to": "up"})
    assert "The rule is moved" in text_of(answer)
    assert [rule["name"] for rule in drafts.working("default").content.rules[:2]] == ["douyin", "night"]
    operator.post("/welcomes/rules/move", {"rule": night, "to": "up"})
    assert drafts.get("default") is None  # as it was
    assert "changed meanwhile" in text_of(operator.post("/welcomes/rules/move", {"rule": "0" * 16, "to": "up"}))


def test_a_draft_is_discarded_only_as_it_was_seen(operator: Browser, drafts: Drafts) -> None:
    draft = drafts.change("default", SetNamed(TEMPLATE, "new", {"text": "a"}), "li")
    operator.get("/welcomes")
    assert "changed meanwhile" in text_of(operator.post("/welcomes/discard", {"version": draft.version - 1}))
    assert drafts.get("default") is not None
    assert "is discarded" in text_of(operator.post("/welcomes/discard", {"version": draft.version}))
    assert drafts.get("default") is None


# ------------------------------------------------------------------------------------------------ a rule's form


def test_a_new_rule_has_every_condition(operator: Browser, drafts: Drafts) -> None:
    operator.get("/welcomes/rules/new")
    answer = operator.post(
        "/welcomes/rules/new",
        a_rule(
            name="all",
            member=["zhangsan", "", "lisi"],
            department=["3", "4"],
            state=["a-*"],
            hours_from=["21:00", ""],
            hours_to=["00:00", ""],
            weekdays=["tue", "mon"],
            dates_from=["2026-10-01"],
            dates_to=["2026-10-07"],
            customer_type=["wechat"],
            add_way=["1", "16"],
            change=["add"],
            template=["brochure", "default", ""],
            weight=["70", "30", ""],
        ),
    )
    assert "The rule is saved in the draft" in text_of(answer)
    assert drafts.working("default").content.rules[2] == {  # before the one for everybody
        "name": "all",
        "when": {
            "hours": "21:00-24:00",
            "weekdays": ["mon", "tue"],
            "dates": "2026-10-01..2026-10-07",
            "member": ["zhangsan", "lisi"],
            "department": ["3", "4"],
            "state": "a-*",
            "customer_type": "wechat",
            "add_way": ["1", "16"],
            "change": "add",
        },
        "use": {"brochure": "70", "default": "30"},
    }


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"hours_from": ["21:00"], "hours_to": ["21:00"]}, "hours", "begins when it ends"),
        ({"hours_from": ["21:00"], "hours_to": [""]}, "hours", "hours look like"),
        ({"dates_from": ["2026-10-07"], "dates_to": ["2026-10-01"]}, "dates", "ends before it begins"),
        ({"department": ["x"]}, "department", "a whole number"),
        ({"template": [""], "weight": [""]}, "use", "Choose the welcome"),
        ({"template": ["gone"], "weight": ["1"]}, "use", "no template is called gone"),
        ({"template": ["brochure", "default"], "weight": ["1", "1"]}, "name", "needs a name"),
        ({"template": ["brochure", "brochure"], "weight": ["1", "1"], "name": "n"}, "use", "chosen twice"),
        ({"template": ["brochure", "default"], "weight": ["x", "1"], "name": "n"}, "use", "whole number"),
        ({"template": ["brochure", "default"], "weight": ["0", "0"], "name": "n"}, "use", "weight above 0"),
        ({"name": "night"}, "name", "two rules are called night"),
        ({"name": "a|b"}, "name", "control character"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_at_its_field_and_what_was_typed_stays(
    operator: Browser, drafts: Drafts, typed: dict[str, Any], field: str, words: str
) -> None:
    operator.get("/welcomes/rules/new")
    answer = operator.post("/welcomes/rules/new", a_rule(**{"state": ["keep-me"], **typed}))
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert re.search(rf'href="#(condition-)?{field}"', answer.text)
    assert 'value="keep-me"' in answer.text
    assert drafts.get("default") is None


def test_more_rows_keep_what_was_typed(operator: Browser) -> None:
    operator.get("/welcomes/rules/new")
    answer = operator.post("/welcomes/rules/new", a_rule(state=["one"], do="more:state"))
    assert answer.text.count('name="state"') == 4
    assert 'value="one"' in answer.text


def test_a_second_welcome_opens_two_rows_and_asks_for_the_name(operator: Browser) -> None:
    operator.get("/welcomes/rules/new")
    answer = operator.post("/welcomes/rules/new", a_rule(do="more:use"))
    assert re.findall(r'name="weight" value="(\d*)"', answer.text) == ["50", "50"]
    assert re.search(r'id="name"[^>]* required', answer.text)
    assert "100 %" not in text_of(answer)
    three = {"template": ["brochure", "default"], "weight": ["70", "30"]}
    answer = operator.post("/welcomes/rules/new", a_rule(**three, do="more:use"))
    assert re.findall(r'name="weight" value="(\d*)"', answer.text) == ["70", "30", ""]
    answer = operator.post("/welcomes/rules/new", a_rule(**three, do="drop:0"))
    assert answer.text.count('name="template"') == 1
    assert re.search(r'<option value="default" selected', answer.text)
    assert not re.search(r'id="name"[^>]* required', answer.text)


@pytest.mark.parametrize(
    ("templates", "weights", "words"),
    [
        (["brochure", ""], ["70", "30"], "Choose the welcome whose weight is 30"),
        (["brochure", "default"], ["70", ""], "Give the welcome “default” a weight"),
        (["", ""], ["50", "50"], "Choose the welcome whose weight is 50"),
    ],
)
def test_a_half_filled_pair_is_refused_and_never_taken_for_all(
    operator: Browser, drafts: Drafts, templates: list[str], weights: list[str], words: str
) -> None:
    operator.get("/welcomes/rules/new")
    answer = operator.post("/welcomes/rules/new", a_rule(name="n", template=templates, weight=weights))
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert "not complete" in text_of(answer)
    assert not re.search(r"\b(100|70) %", text_of(answer))
    assert drafts.get("default") is None


def test_an_empty_second_row_is_none(operator: Browser, drafts: Drafts) -> None:
    operator.get("/welcomes/rules/new")
    operator.post("/welcomes/rules/new", a_rule(state=["x"], template=["brochure", ""], weight=["50", ""]))
    assert drafts.working("default").content.rules[2] == {"when": {"state": "x"}, "use": "brochure"}


def test_two_editors_of_one_rule_both_see_what_there_is(operator: Browser, services: Services, drafts: Drafts) -> None:
    other = Browser(services).sign_in("王五")
    night = digests(operator)[0]
    for one in (operator, other):
        one.get(f"/welcomes/rules/{night}")
    mine = a_rule(name="night", hours_from=["20:00"], hours_to=["08:00"], was=night)
    theirs = a_rule(name="night", hours_from=["22:00"], hours_to=["08:00"], was=night)
    other.post(f"/welcomes/rules/{night}", theirs)
    answer = operator.post(f"/welcomes/rules/{night}", mine)
    assert answer.status_code == 409
    said = text_of(answer)
    for hours in ("20:00 – 08:00", "22:00 – 08:00", "21:00 – 08:30"):
        assert hours in said
    was = re.search(r'name="was" value="([0-9a-f]{16})"', answer.text)
    assert was is not None
    operator.post(f"/welcomes/rules/{night}", {**mine, "was": was[1]})
    assert str(drafts.working("default").book().rules[0].when.hours[0]) == "20:00-08:00"


def test_a_rule_that_was_deleted_meanwhile_can_be_added_anew(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    night = digests(operator)[0]
    operator.get(f"/welcomes/rules/{night}")
    operator.post(f"/welcomes/rules/{night}", a_rule(was=night, do="delete"))
    assert len(drafts.working("default").content.rules) == 2
    answer = operator.post(f"/welcomes/rules/{night}", a_rule(name="night", state=["x"], was=night))
    assert answer.status_code == 409
    assert "Add mine as a new rule" in answer.text
    operator.post(f"/welcomes/rules/{night}", a_rule(name="night", state=["x"], was="", do="add"))
    assert len(drafts.working("default").content.rules) == 3


def test_a_redis_that_dies_while_a_rule_is_saved_keeps_what_was_typed(tmp_path: Any) -> None:
    with RedisServer(tmp_path) as server:
        services = build_services(
            some_settings(REDIS_URL=server.url, CONSOLE_PASSWORD=PASSWORD), timeout=intake.TIMEOUT
        )
        services.books.save("default", BOOK)
        browser = Browser(services).sign_in()
        browser.get("/welcomes/rules/new")
        server.kill()
        answer = browser.post("/welcomes/rules/new", a_rule(state=["typed-for-an-hour"]))
        assert answer.status_code == 503
        assert 'value="typed-for-an-hour"' in answer.text
        services.redis.close()


def test_hostile_names_and_states_are_shown_and_never_run(operator: Browser, drafts: Drafts) -> None:
    nasty = "<script>alert(1)</script>{{1009*1009}} %(n)s \u202e"[:60].strip()
    value = {"text": nasty, "attachments": [{"link": {"title": nasty, "url": "https://example.com"}}]}
    drafts.change("default", SetNamed(TEMPLATE, "<b>'\"&", value), "<i>li</i>")
    drafts.change("default", AddRule({"when": {"state": nasty, "member": "<u>"}, "use": "<b>'\"&"}), "<i>li</i>")
    for path in ("/welcomes", "/welcomes/publish", "/welcomes/import", "/welcomes/explain?member=%3Cu%3E&state=<s>"):
        page = operator.get(path)
        assert page.status_code == 200
        for tag in ("<script>alert", "<b>'", "<i>li", "<u>", "<s>", "1018081"):
            assert tag not in re.sub(r"value=\"[^\"]*\"", "", page.text), (path, tag)


# ------------------------------------------------------------------------------------------------ publishing


def test_a_review_shows_what_changes_and_whom(operator: Browser, services: Services, drafts: Drafts) -> None:
    added(services, state="xhs-1")
    added(services, state="")
    drafts.change("default", SetNamed(TEMPLATE, "red", {"text": "小红书的朋友好"}), "li")
    drafts.change("default", AddRule({"name": "xhs", "when": {"state": "xhs-*"}, "use": "red"}, 0), "li")
    page = operator.get("/welcomes/publish")
    said = text_of(page)
    assert "Publish revision 2" in said
    assert "Of 2 new customers in the last 7 days, 1 would get a different welcome" in said
    assert "xhs-*" in said
    version = re.search(r'name="version" value="(\d+)"', page.text)
    assert version is not None
    answer = operator.post("/welcomes/publish", {"version": version[1], "note": "for 小红书"})
    assert "Revision 2 is live from the next customer" in text_of(answer)
    revision = services.books.revision("default", 2)
    assert (revision.author, revision.note) == ("李敏", "for 小红书")
    answer = operator.post("/welcomes/history/1/rollback", {"base": 2})  # the undo button
    assert "Revision 3 is live: the same as revision 1" in text_of(answer)
    operator.client.set_cookie("welcome-language", "zh_Hans")
    operator.get("/welcomes/history")
    operator.post("/welcomes/history/2/rollback", {"base": 3})
    assert services.books.revision("default", 4).note == "回滚到第 2 版"  # in the words of who did it


def test_a_draft_that_changed_while_it_was_looked_at_is_not_published(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    draft = drafts.change("default", SetNamed(TEMPLATE, "new", {"text": "a"}), "li")
    operator.get("/welcomes/publish")
    drafts.change("default", SetNamed(TEMPLATE, "newer", {"text": "a"}), "wang")
    answer = operator.post("/welcomes/publish", {"version": draft.version, "note": "my note"})
    assert answer.status_code == 409
    assert 'value="my note"' in answer.text
    assert services.books.current("default") == 1
    drafts.discard("default", drafts.working("default").version)
    assert "There is no draft any more" in text_of(operator.post("/welcomes/publish", {"version": draft.version}))


def test_an_import_on_the_command_line_is_merged_and_its_conflicts_are_chosen(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    was = drafts.working("default").content.digest(Part(TEMPLATE, "brochure"))
    drafts.change("default", SetNamed(TEMPLATE, "brochure", {"text": "mine"}, was), "li")
    draft = drafts.change("default", SetNamed(TEMPLATE, "new", {"text": "new"}, ABSENT), "li")
    services.books.save(
        "default", BOOK.replace("欢迎来到{department}", "imported").replace("您好", "你好"), author="cli"
    )
    page = operator.get("/welcomes/publish")
    said = text_of(page)
    assert "Revision 2 was published since this draft began" in said
    assert all(words in said for words in ("mine", "imported", "欢迎来到{department}"))
    assert "Shown after the merge" in said  # not the effect of what will not go live like this
    answer = operator.post("/welcomes/publish", {"version": draft.version})
    assert answer.status_code == 409
    answer = operator.post("/welcomes/rebase", {"version": draft.version})
    assert answer.status_code == 422
    assert "Choose which one to keep for each part" in text_of(answer)
    answer = operator.post("/welcomes/rebase", {"version": draft.version, "choice:template:brochure": "yours"})
    assert "what was published meanwhile" in text_of(answer)
    texts = {name: one.text for name, one in drafts.working("default").book().templates.items()}
    assert texts == {"default": "你好{customer}", "brochure": "mine", "new": "new"}


def test_rules_that_both_sides_changed_are_chosen_one_by_one_and_the_order_apart(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    night, _douyin, rest = digests(operator)
    drafts.change(
        "default", SetRule(night, {"name": "night", "when": {"hours": "22:00-08:30"}, "use": "brochure"}), "li"
    )
    draft = drafts.change("default", MoveRule(rest, -1), "li")
    source = "version: 1\ntemplates: {default: {text: a}, brochure: {text: b}}\nrules:\n"
    theirs = '- {name: douyin, when: {state: "douyin-*"}, use: {brochure: 70, default: 30}}\n'
    theirs += '- {name: night, when: {hours: "20:00-08:30"}, use: brochure}\n- use: default\n'
    services.books.save("default", source + theirs)
    page = operator.get("/welcomes/publish")
    said = text_of(page)
    assert "2 parts were changed on both sides" in said
    assert "The order of the rules" in said
    for hours in ("20:00 – 08:30", "21:00 – 08:30", "22:00 – 08:30"):
        assert hours in said
    choices = {f"choice:rule:{night}": "yours", "choice:rule:order": "theirs"}
    assert "what was published meanwhile" in text_of(
        operator.post("/welcomes/rebase", {"version": draft.version, **choices})
    )
    rules = drafts.working("default").book().rules
    assert [rule.name for rule in rules] == ["douyin", "night", ""]
    assert str(rules[1].when.hours[0]) == "22:00-08:30"


def test_many_changes_are_summed_up_and_paged_below_the_button(operator: Browser, drafts: Drafts) -> None:
    more = "".join(f"  t{number:02d}: {{text: hello}}\n" for number in range(25))
    rules = "".join(f"  - {{name: r{number:02d}, when: {{state: s{number}}}, use: t00}}\n" for number in range(30))
    source = BOOK.replace("rules:\n", more + "rules:\n" + rules).replace("您好", "你好")
    drafts.replace("default", Bundle(source), "li", 0)
    page = operator.get("/welcomes/publish")
    said = text_of(page)
    assert "Changes 56 parts" in said
    assert "Welcomes 1 changed · 25 new" in said
    assert "Rules 30 new" in said
    assert "t20" not in said  # nothing in full before it is asked for
    assert said.index("Publish From the next customer on") < said.index("Changes 56 parts")
    said = text_of(operator.get("/welcomes/publish?rule=2"))
    assert "21 to 30 of 30" in said
    assert ("r19" in said, "r20" in said, "t20" in said) == (False, True, False)
    assert "19 more welcomes are used by no rule" in said


def test_changes_are_taken_back_one_by_one_and_the_rest_stays(operator: Browser, drafts: Drafts) -> None:
    night, douyin, rest = digests(operator)
    live = drafts.live("default")
    was = live.content.digest(Part(TEMPLATE, "default"))
    for edit in (
        SetNamed(TEMPLATE, "default", {"text": "changed"}, was),
        SetNamed(TEMPLATE, "new", {"text": "a"}),
        SetRule(night, {"name": "night", "when": {"hours": "22:00-08:30"}, "use": "brochure"}),
        AddRule({"name": "added", "when": {"state": "x"}, "use": "new"}, 0),
        MoveRule(rest, -1),
    ):
        drafts.change("default", edit, "li")

    def take_back(words: str) -> str:
        page = operator.get("/welcomes/publish")
        offered = re.findall(r'name="change" value="([^"]*)"', page.text)
        chosen = next(one for one in offered if words in one)
        version = drafts.working("default").version
        return text_of(operator.post("/welcomes/take-back", {"change": html.unescape(chosen), "version": version}))

    assert "no template is called new" in take_back("added|template:new")  # a rule of the draft sends it
    assert "The change is taken back" in take_back("added|rule")
    take_back("added|template:new")
    take_back("changed|template:default")
    take_back("moved|rule")
    content = drafts.working("default").content
    assert content.named(TEMPLATE) == live.content.named(TEMPLATE)
    assert content.rules[1:] == live.content.rules[1:]
    assert content.rules[0]["when"] == {"hours": "22:00-08:30"}
    drafts.change("default", SetRule(douyin, None), "li")
    take_back("removed|rule")
    assert content.rules == drafts.working("default").content.rules
    take_back("changed|rule")  # the last one
    assert drafts.get("default") is None
    assert "changed meanwhile" in text_of(operator.post("/welcomes/take-back", {"change": "x|y", "version": 1}))


# ------------------------------------------------------------------------------------------------ going back


@pytest.fixture
def leftover(services: Services, drafts: Drafts) -> Drafts:
    """Revision 2 lacks the welcome of revision 1, a draft began from it, and revision 1 comes back."""
    short = BOOK.replace('  brochure: {text: "欢迎来到{department}"}\n', "").replace("brochure: 70, ", "")
    services.books.save("default", short.replace("use: brochure", "use: default"))
    drafts.change("default", SetNamed(TEMPLATE, "new", {"text": "a"}), "li")
    return drafts


def test_a_draft_that_a_rollback_leaves_behind_says_what_it_hides(
    operator: Browser, services: Services, leftover: Drafts
) -> None:
    services.books.rollback("default", 1, "wang")
    said = text_of(operator.get("/welcomes"))
    assert "The draft has 1 change that is not published" in said
    assert "The draft is behind: it began from revision 2, and revision 3 is live" in said
    assert "Live, but not in the draft: Welcome brochure" in said
    answer = operator.get("/welcomes/edit?name=brochure")
    assert "“brochure” is live and not in the draft" in text_of(answer)
    assert "Live, but not in the draft: Welcome brochure" in text_of(answer)  # the page that brings them together


@pytest.mark.parametrize(("act", "welcomes"), [("rebase", ["brochure", "default", "new"]), ("discard", None)])
def test_a_rollback_takes_the_draft_with_it(
    operator: Browser, services: Services, leftover: Drafts, act: str, welcomes: list[str] | None
) -> None:
    page = operator.get("/welcomes/history/1")
    assert "There is a draft with 1 change" in text_of(page)
    draft = leftover.working("default")
    answer = operator.post("/welcomes/history/1/rollback", {"base": 2, "draft": act, "version": draft.version})
    assert "Revision 3 is live: the same as revision 1" in text_of(answer)
    found = leftover.get("default")
    assert (sorted(found.content.named(TEMPLATE)) if found else None) == welcomes


def test_a_rollback_whose_draft_clashes_leads_to_the_choice(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    services.books.save("default", BOOK.replace("您好", "你好"))
    was = drafts.working("default").content.digest(Part(TEMPLATE, "default"))
    draft = drafts.change("default", SetNamed(TEMPLATE, "default", {"text": "mine"}, was), "li")
    operator.get("/welcomes/history/1")
    answer = operator.post("/welcomes/history/1/rollback", {"base": 2, "draft": "rebase", "version": draft.version})
    said = text_of(answer)
    assert "1 part was changed on both sides" in said
    assert services.books.current("default") == 3


def test_what_went_back_is_marked_and_each_revision_offers_it(operator: Browser, services: Services) -> None:
    services.books.save("default", BOOK.replace("您好", "你好"))
    assert "Undo: roll back to revision 1" in text_of(operator.get("/welcomes"))  # for a day
    services.books.rollback("default", 1, "li")
    page = operator.get("/welcomes/history")
    assert "Revision 3 Live Rolled back to revision 1" in text_of(page)
    assert re.findall(r"/history/(\d)#back", page.text) == ["2", "1"]
    services.redis.set(
        keys.revision_about("default", 3),
        json.dumps(json.loads(services.redis.get(keys.revision_about("default", 3))) | {"at": 1}),
    )
    assert "Undo" not in text_of(operator.get("/welcomes"))


# ------------------------------------------------------------------------------------------------ history and files


def test_history_says_what_each_revision_changed(operator: Browser, services: Services) -> None:
    for number in range(12):
        services.books.save(
            "default", BOOK.replace("您好", f"您好{number}"), author=f"a{number}", note=f"note {number}"
        )
    page = operator.get("/welcomes/history")
    said = text_of(page)
    assert "Revision 13" in said
    assert "Welcome default changed" in said
    assert "note 11" in said
    assert "Revision 3 " not in said
    assert "Revision 3 " in text_of(operator.get("/welcomes/history?from=3"))
    said = text_of(operator.get("/welcomes/history/13?with=1"))
    assert "From revision 1 to revision 13" in said
    assert operator.get("/welcomes/history/99").status_code == 404
    assert "Revision 98 is not kept" in text_of(operator.get("/welcomes/history/13?with=98"))


def test_a_rollback_meets_what_was_published_meanwhile(operator: Browser, services: Services) -> None:
    services.books.save("default", BOOK.replace("您好", "2"))
    operator.get("/welcomes/history/1")
    services.books.save("default", BOOK.replace("您好", "3"))
    assert "Revision 3 was published meanwhile" in text_of(operator.post("/welcomes/history/1/rollback", {"base": 2}))
    assert services.books.current("default") == 3


def test_what_is_exported_can_be_imported_and_merges(operator: Browser, services: Services, drafts: Drafts) -> None:
    book = BOOK.replace('"您好{customer}"}', '"您好", attachments: [{image: {file: media/a.png}}]}')
    services.books.save("default", book, {"media/a.png": PNG})
    exported = operator.get("/welcomes/history/2/export")
    assert exported.headers["Content-Disposition"].endswith("default-2.zip")
    with zipfile.ZipFile(io.BytesIO(exported.data)) as archive:
        source = archive.read("book.yaml").decode()
        assert archive.read("media/a.png") == PNG
    services.books.save("default", book.replace("欢迎来到", "meanwhile"), {"media/a.png": PNG})  # somebody else
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        archive.writestr("book.yaml", source.replace("您好", "edited at home"))
        archive.writestr("media/a.png", PNG)
    operator.get("/welcomes/import")
    upload = {"version": "0", "file": (io.BytesIO(changed.getvalue()), "book.zip")}
    answer = operator.post("/welcomes/import", upload, content_type="multipart/form-data")
    said = text_of(answer)
    assert "The file is the draft now" in said
    assert "Revision 3 was published since" in said
    operator.post("/welcomes/rebase", {"version": drafts.working("default").version})
    merged = drafts.working("default").book()
    assert merged.templates["default"].text == "edited at home"
    assert merged.templates["brochure"].text.startswith("meanwhile")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Choose a .yaml or .zip file"),
        (b"version: 1\ntemplates: {a: {txt: x}}\nrules: [{use: a}]", "line 2, column 16"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"PK\x03\x04 broken", "line 1"),
        (
            b"version: 1\ntemplates: {a: {text: x, attachments: [{image: {file: a.png}}]}}\nrules: [{use: a}]",
            "as a .zip",
        ),
        (b"#" * BOOK_LIMIT + b"#", f"more than {BOOK_LIMIT} bytes"),
    ],
)
def test_a_file_that_is_no_book_changes_nothing(operator: Browser, drafts: Drafts, content: bytes, words: str) -> None:
    operator.get("/welcomes/import")
    name = "book.yaml" if content else ""
    upload = {"version": "0", "file": (io.BytesIO(content), name)}
    answer = operator.post("/welcomes/import", upload, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert drafts.get("default") is None


def test_a_zip_that_swells_is_refused(operator: Browser, drafts: Drafts) -> None:
    bomb = io.BytesIO()
    paths = [f"f{number}.pdf" for number in range(8)]
    files = ", ".join(f"{{file: {{file: {path}}}}}" for path in paths)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "book.yaml", f"version: 1\ntemplates: {{a: {{text: x, attachments: [{files}]}}}}\nrules: [{{use: a}}]"
        )
        for path in paths:
            archive.writestr(path, bytes(19 << 20))
    operator.get("/welcomes/import")
    upload = {"version": "0", "file": (io.BytesIO(bomb.getvalue()), "book.zip")}
    answer = operator.post("/welcomes/import", upload, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert "more than 128 MB together" in text_of(answer)


def test_a_stranger_exports_nothing(operator: Browser, services: Services) -> None:
    stranger = Browser(services)
    assert b"templates" not in stranger.get("/welcomes/history/1/export").data


# ------------------------------------------------------------------------------------------------ who gets what


def test_who_gets_what_and_why(operator: Browser) -> None:
    said = text_of(
        operator.get("/welcomes/explain", {"member": "zhangsan", "state": "douyin-7", "at": "2026-11-22T12:00"})
    )
    assert "12:00 is not in 21:00-08:30" in said
    assert "brochure 70 % / default 30 %" in said
    assert "not checked" in said
    said = text_of(operator.get("/welcomes/explain", {"member": "zhangsan", "at": "2026-11-22T23:00"}))
    assert "This customer gets brochure" in said


def test_who_gets_what_in_chinese(services: Services, drafts: Drafts) -> None:
    browser = Browser(services, "zh_Hans").sign_in()
    said = text_of(browser.get("/welcomes/explain", {"member": "zhangsan", "at": "2026-11-22T12:00"}))
    assert "12:00 不在 21:00-08:30" in said
    assert "没有渠道" in said


@pytest.mark.parametrize(
    "query", ["at=tomorrow", "at=0001-01-01T00:00", "way=x", "type=robot", "change=x&way=" + "9" * 30]
)
def test_a_question_that_cannot_be_understood_is_no_fault(operator: Browser, query: str) -> None:
    assert operator.get(f"/welcomes/explain?member=zhangsan&{query}").status_code == 200


def test_the_draft_can_be_asked_too(operator: Browser, drafts: Drafts) -> None:
    drafts.change("default", AddRule({"name": "vip", "when": {"member": "zhangsan"}, "use": "brochure"}, 0), "li")
    assert "vip" not in text_of(operator.get("/welcomes/explain?member=zhangsan&at=2026-11-22T12:00"))
    assert "vip" in text_of(operator.get("/welcomes/explain?member=zhangsan&at=2026-11-22T12:00&book=draft"))


def test_each_app_has_a_draft_of_its_own(redis_url: str, tmp_path: Path) -> None:
    both = "".join(
        f'[apps.{name}]\ncorp_id = "ww{name}"\nsecret = "s"\ntoken = "t"\nencoding_aes_key = "{"a" * 43}"\n'
        for name in ("sales", "service")
    )
    (tmp_path / "apps.toml").write_text(both)
    given = {"WELCOME_CONFIG": str(tmp_path / "apps.toml"), "REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD}
    services = build_services(read(given, tmp_path), timeout=intake.TIMEOUT)
    for name in ("sales", "service"):
        services.books.save(name, BOOK)
    browser = Browser(services).sign_in()
    page = browser.get("/welcomes/rules/new", {"app": "service"})
    answer = browser.post("/welcomes/rules/new?app=service", a_rule(state=["only-here"]))
    assert "only-here" in answer.text
    assert 'href="/console/welcomes/publish?app=service"' in answer.text
    assert 'href="/console/welcomes?app=service"' in page.text
    assert "only-here" not in browser.get("/welcomes").text
    assert services.drafts.get("sales") is None
    services.redis.close()


def test_a_welcome_that_no_rule_uses_leads_to_a_rule_for_it(operator: Browser, drafts: Drafts) -> None:
    drafts.change("default", SetNamed(TEMPLATE, "a/b & c", {"text": "new"}, ABSENT), "li")
    link = re.search(r'href="/console(/welcomes/rules/new\?use=[^"]+)"', operator.get("/welcomes").text)
    assert link is not None
    assert 'value="a/b &amp; c" selected' in operator.get(link[1]).text
    assert " selected>" not in operator.get("/welcomes/rules/new?use=nobody").text

"""The page Welcomes with many rules and welcomes: search, pages, labels, one act for many, who would get this."""

import io
import re
from datetime import datetime
from typing import Any

import pytest
import yaml

from tasks.books.draft_store import Drafts
from tasks.books.labels import LONGEST, Labels, TooMany, bare, cleaned
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.messages import translate
from tasks.services import Services
from tasks.templates.conditions import Contact, Directory, why_not
from tasks.templates.edits import TEMPLATE, Part, SetNamed
from tasks.templates.model import When
from tasks.templates.yaml_composer import BOOK_LIMIT
from tests.support.books import SHANGHAI
from tests.support.console import Browser, text_of
from tests.support.editor import fields
from tests.support.ledger import settled
from webhook.console.welcomes.rule_words import NO_NAMES, Names, why_lost

RULES = 45
BOOK = (
    "version: 1\ntemplates:\n  default: {text: 您好}\n"
    + "".join(f"  门店{n:02d}: {{text: 欢迎光临{n}号店}}\n" for n in range(45))
    + "  春季: {text: unused}\nrules:\n"
    + "".join(f"  - {{name: r{n:02d}, when: {{state: ch-{n}}}, use: 门店{n:02d}}}\n" for n in range(RULES - 2))
    + "  - {name: vip, when: {member: zhangsan}, use: 门店44}\n  - use: default\n"
)


@pytest.fixture
def drafts(services: Services) -> Drafts:
    services.books.save("default", BOOK)
    return services.drafts


@pytest.fixture
def operator(drafts: Drafts, browse: Browser) -> Browser:
    return browse


def rules(page: Any) -> list[int]:
    """The numbers of the rules that are shown."""
    return [int(one) for one in re.findall(r'data-number="(\d+)"', page.text)]


def welcomes(page: Any) -> list[str]:
    return re.findall(r'name="welcome" value="([^"]+)"', page.text)


def digests(drafts: Drafts, *names: str) -> list[str]:
    content = drafts.working("default").content
    return [content.digest_of(rule) for rule in content.rules if rule.get("name") in names]


def order(drafts: Drafts) -> list[str]:
    return [rule.get("name", "") for rule in drafts.working("default").content.rules]


def test_lists_have_pages(operator: Browser) -> None:
    page = operator.get("/welcomes")
    assert (rules(page), len(welcomes(page))) == (list(range(1, 21)), 20)
    assert "1 to 20 of 45" in text_of(page)
    page = operator.get("/welcomes?rules=3&page=3")
    assert (rules(page), welcomes(page)[-1]) == (list(range(41, 46)), "春季")
    assert rules(operator.get("/welcomes?rules=99")) == list(range(41, 46))


@pytest.mark.parametrize(
    ("search", "shown", "names"),
    [
        ("ch-7", [8], []),
        ("r31", [32], []),
        ("md 12", [13], ["门店12"]),  # pinyin initials
        ("zhangsan", [44], []),
        ("17号店", [], ["门店17"]),
        ("十一", [], ["春季"]),  # its label
        ("nothing like it", [], []),
    ],
)
def test_a_search_finds_rules_and_welcomes(
    operator: Browser, services: Services, search: str, shown: list[int], names: list[str]
) -> None:
    services.labels.add("default", ["春季"], "十一活动")
    page = operator.get("/welcomes", {"q": search})
    assert (rules(page), welcomes(page)) == (shown, names)
    assert "data-order" not in page.text or len(shown) == RULES  # neighbours are not all there, so nothing is dragged


def test_the_rules_of_one_welcome(operator: Browser) -> None:
    assert rules(operator.get("/welcomes", {"use": "门店44"})) == [44]


@pytest.mark.parametrize(
    ("asked", "winner", "page"),
    [({"state": "ch-30"}, 31, 2), ({"member": "zhangsan"}, 44, 3), ({"member": "lisi", "state": "x"}, 45, 3)],
)
def test_who_would_get_this_marks_the_rule_on_its_page(
    operator: Browser, asked: dict[str, str], winner: int, page: int
) -> None:
    answer = operator.get("/welcomes", asked)
    assert f"Rule {winner} wins" in text_of(answer)
    assert rules(answer)[0] == (page - 1) * 20 + 1
    won = re.findall(r'fate-won"[^>]*data-number="(\d+)"', answer.text)
    assert won == [str(winner)]
    assert "the State" in text_of(answer) or "there is no State" in text_of(answer)  # why the others lost
    assert rules(operator.get("/welcomes", asked | {"rules": "1"}))[0] == 1


def test_a_time_that_is_none_is_said_where_it_was_typed(operator: Browser) -> None:
    assert "A time looks like" in text_of(operator.get("/welcomes", {"member": "a", "at": "soon"}))


def test_sorting_by_adds_name_and_change(operator: Browser, services: Services, drafts: Drafts) -> None:
    settled(services.ledger, Settlement(Outcome.SENT, template="门店30"))
    assert welcomes(operator.get("/welcomes?sort=adds"))[0] == "门店30"
    assert welcomes(operator.get("/welcomes?sort=name"))[0] == "default"
    assert welcomes(operator.get("/welcomes?sort=unused"))[0] in ("门店43", "春季")
    was = drafts.working("default").content.digest(Part(TEMPLATE, "门店20"))
    drafts.change("default", SetNamed(TEMPLATE, "门店20", {"text": "new"}, was), "li")
    assert welcomes(operator.get("/welcomes?sort=changed"))[0] == "门店20"


# ------------------------------------------------------------------------------------------------ one act for many


def test_rules_are_moved_to_a_place(operator: Browser, drafts: Drafts) -> None:
    operator.get("/welcomes")
    answer = operator.post("/welcomes/rules/select", {"rule": digests(drafts, "r03", "r40"), "do": "move", "to": "2"})
    assert "2 rules are moved in the draft" in text_of(answer)
    assert order(drafts)[:4] == ["r00", "r03", "r40", "r01"]
    answer = operator.post("/welcomes/rules/select", {"rule": digests(drafts, "r00"), "do": "move", "to": "99"})
    assert "a number from 1 to 45" in text_of(answer)
    answer = operator.post("/welcomes/rules/select", {"rule": digests(drafts, "r00"), "do": "move", "to": "45"})
    assert (order(drafts)[-1], rules(answer)) == ("r00", list(range(41, 46)))  # its page is shown


def test_rules_that_changed_meanwhile_are_left(operator: Browser, drafts: Drafts) -> None:
    operator.get("/welcomes")
    gone = [*digests(drafts, "r01", "r02"), "0" * 16]
    said = text_of(operator.post("/welcomes/rules/select", {"rule": gone, "do": "delete"}))
    assert "2 rules are deleted in the draft" in said
    assert "1 had changed meanwhile and was left as it is" in said
    assert order(drafts)[:2] == ["r00", "r03"]
    assert "Tick the rules first" in text_of(operator.post("/welcomes/rules/select", {"do": "delete"}))


def test_a_rule_is_placed_beside_another(operator: Browser, drafts: Drafts) -> None:
    operator.get("/welcomes")
    one, other = digests(drafts, "r00", "r05")
    operator.post("/welcomes/rules/move", {"move": f"above:{one}", "beside": other})
    assert order(drafts)[3:6] == ["r04", "r00", "r05"]
    operator.post("/welcomes/rules/move", {"move": f"below:{other}", "beside": one})
    assert order(drafts)[3:6] == ["r04", "r00", "r05"]
    operator.post("/welcomes/rules/move", {"move": f"below:{one}", "beside": other})
    assert order(drafts)[3:6] == ["r04", "r05", "r00"]
    answer = operator.post("/welcomes/rules/move", {"move": f"below:{one}", "beside": "0" * 16})
    assert "changed meanwhile" in text_of(answer)


def test_all_rules_at_once_are_not_deleted(operator: Browser, drafts: Drafts) -> None:
    operator.get("/welcomes")
    content = drafts.working("default").content
    every = [content.digest_of(rule) for rule in content.rules]
    answer = operator.post("/welcomes/rules/select", {"rule": every, "do": "delete"})
    assert "At least one rule has to stay" in text_of(answer)
    assert len(order(drafts)) == RULES


def test_labels_find_welcomes_and_are_no_part_of_the_book(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    operator.get("/welcomes")
    chosen = {"welcome": ["门店01", "门店02", "no such welcome"], "label": "  华东 区 ", "do": "label"}
    assert "2 welcomes have the label “华东 区”" in text_of(operator.post("/welcomes/select", chosen))
    assert drafts.get("default") is None
    page = operator.get("/welcomes", {"label": "华东 区"})
    assert welcomes(page) == ["门店01", "门店02"]
    assert "without a label 45" in text_of(page)
    services.books.save("default", BOOK.replace("您好", "你好"))
    services.books.rollback("default", 1)
    assert services.labels.all("default")["门店01"] == ("华东 区",)
    answer = operator.post("/welcomes/select", {"welcome": ["门店01"], "label": "华东 区", "do": "unlabel"})
    assert "is removed" in text_of(answer)
    acts = [(one.act, one.target, one.number) for one in services.audit.entries()]
    assert acts[:2] == [("unlabelled", "华东 区", 1), ("labelled", "华东 区", 2)]
    assert list(services.labels.all("default")) == ["门店02"]
    assert "Enter the label first" in text_of(operator.post("/welcomes/select", {"welcome": ["门店01"], "do": "label"}))


def test_a_welcome_keeps_its_labels_under_a_new_name(operator: Browser, services: Services, drafts: Drafts) -> None:
    services.labels.add("default", ["门店01"], "华东")
    operator.get("/welcomes/edit", {"name": "门店01"})
    was = drafts.working("default").content.digest(Part(TEMPLATE, "门店01"))
    sent = {"was": was, "do": "save", "name": "一号店", "text": "hello", "tags": "", "remark": ""}
    operator.post("/welcomes/edit?name=门店01", sent)
    assert welcomes(operator.get("/welcomes?label=华东")) == ["一号店"]


def test_of_many_welcomes_those_that_no_rule_sends_are_deleted(operator: Browser, drafts: Drafts) -> None:
    operator.get("/welcomes")
    answer = operator.post("/welcomes/select", {"welcome": ["春季", "门店43", "门店01"], "do": "delete"})
    said = text_of(answer)
    assert "2 welcomes are deleted in the draft" in said
    assert "1 is in use and stays" in said
    assert {"春季", "门店43", "门店01"} & set(drafts.working("default").content.named(TEMPLATE)) == {"门店01"}


def test_an_act_goes_back_to_the_list_as_it_was(operator: Browser) -> None:
    operator.get("/welcomes")
    back = "/console/welcomes?page=2"
    answer = operator.post("/welcomes/select", {"do": "label", "back": back}, follow_redirects=False)
    assert answer.location == f"{back}#welcomes"
    answer = operator.post("/welcomes/select", {"do": "label", "back": "https://evil.example"}, follow_redirects=False)
    assert "evil" not in answer.location


# ------------------------------------------------------------------------------------------------ labels


def test_labels_are_cleaned_counted_and_put(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cleaned(" a\n\u202eb ") == "a b"
    assert len(cleaned("a" * 100)) == LONGEST
    labels = Labels(services.redis)
    labels.add("default", ["old"], "x")
    labels.add("default", ["new"], "y")
    labels.put("default", "new", ("x", "z"))
    assert labels.all("default") == {"old": ("x",), "new": ("x", "z")}
    assert labels.all("other") == {}
    labels.put("default", "new", ("x",))
    monkeypatch.setattr("tasks.books.labels.MOST", 2)
    with pytest.raises(TooMany):
        labels.add("default", ["third"], "x")


def test_labels_stand_above_an_exported_book_whatever_they_and_the_names_are(services: Services) -> None:
    labels = Labels(services.redis)
    odd = ['a" of ["b', "new\u2028line", "全角\u3000空格", "back\\slash"]
    labels.add("default", [*odd, "not in the book"], 'x" of ["y')
    labels.add("default", ["全角\u3000空格"], "门店")
    text = labels.above("default", "version: 1\n", odd)
    assert len(text.splitlines()) == 3
    assert (yaml.safe_load(text), bare(text), bare("\ufeff" + text.replace("\n", "\r\n"))) == (
        {"version": 1},
        "version: 1\n",
        "version: 1\r\n",
    )
    labels.adopt("other", "# wecom-welcome: revision 3 of app default (0123456789ab)\n" + text, odd)
    assert labels.all("other") == {name: labels.all("default")[name] for name in odd}
    for broken in ('# wecom-welcome: label "a" of [1, x]\n', "# wecom-welcome: label a of b\n"):
        labels.adopt("third", broken + text, odd)
    assert labels.all("third") == labels.all("other")
    assert labels.above("default", "x" * BOOK_LIMIT, odd) == "x" * BOOK_LIMIT


def test_an_import_takes_as_many_labels_as_there_is_room_for(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tasks.books.labels.MOST", 2)
    lines = "".join(f'# wecom-welcome: label "{label}" of ["default"]\n' for label in "abc")
    assert services.books.save("default", lines + BOOK) == 1
    assert services.labels.all("default") == {"default": ("a", "b")}
    assert "labels of an imported book are left out" in caplog.text


def test_a_file_takes_the_labels_to_another_app_and_takes_none_away(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    services.labels.add("default", ["门店01", "门店02", "gone"], "华东")
    exported = operator.get("/welcomes/history/1/export").get_data(as_text=True)
    assert exported.splitlines()[1] == '# wecom-welcome: label "华东" of ["门店01", "门店02"]'
    services.labels.remove("default", ["门店02"], "华东")
    services.labels.add("default", ["门店03"], "华南")
    page = operator.get("/welcomes/import")
    version = re.findall(r'name="version" value="(\d+)"', page.text)[0]
    file = (io.BytesIO(exported.encode()), "book.yaml")
    operator.post("/welcomes/import", {"version": version, "file": file})
    assert services.labels.all("default") == dict.fromkeys(("gone", "门店01", "门店02"), ("华东",)) | {
        "门店03": ("华南",)
    }
    assert drafts.working("default").source == BOOK
    assert "# wecom-welcome: label" in operator.get("/welcomes/draft/export").text
    assert services.books.save("other", exported) == 1
    assert services.labels.all("other") == dict.fromkeys(("门店01", "门店02"), ("华东",))
    assert services.books.source("other", 1) == BOOK


# ------------------------------------------------------------------------------------------------ labels in the editor


def labelled(drafts: Drafts, name: str, **sent: Any) -> dict[str, Any]:
    return fields(drafts, name, **{"label_opened": [], "label": [], "labels": ""} | sent)


def test_the_editor_gives_and_takes_labels_without_a_draft(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    services.labels.add("default", ["门店01", "门店02"], "华东")
    services.labels.add("default", ["门店02"], "旧店")
    page = operator.get("/welcomes/edit", {"name": "门店01"})
    assert re.findall(r'name="label" value="([^"]+)"( checked)?', page.text) == [("华东", " checked"), ("旧店", "")]
    sent = labelled(drafts, "门店01", label_opened=["华东"], label=["旧店"], labels=" 新 店，夏季、x\u202ey ,")
    assert "The labels are saved" in text_of(operator.post("/welcomes/edit?name=门店01", sent))
    assert services.labels.all("default")["门店01"] == ("xy", "夏季", "新 店", "旧店")
    assert drafts.get("default") is None
    acts = [(one.act, one.target) for one in services.audit.entries()][:5]
    assert acts == [("unlabelled", "华东"), *(("labelled", one) for one in ("旧店", "新 店", "夏季", "xy"))]
    sent = labelled(drafts, "门店01", label_opened=["旧店"], label=["旧店"])
    assert "Nothing was changed" in text_of(operator.post("/welcomes/edit?name=门店01", sent))


def test_what_a_colleague_labelled_meanwhile_stays(operator: Browser, services: Services, drafts: Drafts) -> None:
    services.labels.add("default", ["门店01"], "华东")
    operator.get("/welcomes/edit", {"name": "门店01"})
    services.labels.add("default", ["门店01"], "华南")
    operator.post("/welcomes/edit?name=门店01", labelled(drafts, "门店01", label_opened=["华东"], text="new"))
    assert services.labels.all("default")["门店01"] == ("华南",)


@pytest.mark.parametrize(
    ("typed", "said"), [("字" * 31, "A label has 30 characters at most"), ("a,-", "“-” stands for no label")]
)
def test_a_label_that_cannot_be_is_said_at_its_field_and_nothing_is_saved(
    operator: Browser, services: Services, drafts: Drafts, typed: str, said: str
) -> None:
    operator.get("/welcomes")
    answer = operator.post(
        "/welcomes/edit?name=门店01", labelled(drafts, "门店01", text="new", label=["b"], labels=typed)
    )
    assert (answer.status_code, said in text_of(answer), typed in answer.text) == (422, True, True)
    assert 'href="#labels"' in answer.text
    assert 'value="b" checked' in answer.text
    assert (drafts.get("default"), services.labels.all("default")) == (None, {})


def test_labels_follow_a_rename_a_copy_and_a_button_of_the_form(
    operator: Browser, services: Services, drafts: Drafts
) -> None:
    services.labels.add("default", ["门店01"], "华东")
    operator.get("/welcomes/edit", {"name": "门店01"})
    sent = labelled(drafts, "门店01", label_opened=["华东"], label=["华东"], labels="夏季", do="add:link")
    page = operator.post("/welcomes/edit?name=门店01", sent)
    assert 'value="华东" checked' in page.text
    assert 'value="夏季"' in page.text
    operator.post("/welcomes/edit?name=门店01", sent | {"do": "save", "name": "一号店"})
    assert services.labels.all("default") == {"门店01": ("华东",), "一号店": ("华东", "夏季")}
    copy = operator.get("/welcomes/new?copy=一号店")
    assert copy.text.count(" checked> <bdi>") == 2
    assert 'name="label_opened"' not in copy.text
    services.labels.add("default", ["二号店"], "of an earlier one of this name")
    sent = {"was": "", "do": "save", "name": "二号店", "text": "hello", "tags": "", "remark": "", "label": ["夏季"]}
    operator.post("/welcomes/new", sent)
    assert services.labels.all("default")["二号店"] == ("夏季",)


def test_the_reasons_of_many_rules_are_folded_below_the_answer(operator: Browser) -> None:
    said = text_of(operator.get("/welcomes/explain?member=lisi&state=ch-30"))
    assert said.index("Rule 31 r30 holds") < said.index("Why 30 earlier rules do not match") < said.index("Rule 1 r00")
    assert said.index("14 later rules are not checked") < said.index("Rule 32 r31")
    nobody = text_of(operator.get("/welcomes/explain?member=lisi&state=x"))
    assert "Why 44 earlier rules do not match" in nobody


def test_why_a_rule_does_not_hold_is_told_with_names() -> None:
    directory = Directory({"zhangwei": frozenset({3})}, {3: 1, 5: 1, 6: 1})
    contact = Contact("default", "zhangwei", "wm1", "", "add", datetime(2026, 11, 26, 12, tzinfo=SHANGHAI), directory)
    why = why_not(When(department=(5, 6)), contact)
    assert why is not None
    known = Names({"zhangwei": "张伟"}, {5: "客服部"})
    assert translate(why_lost(why, known)) == "张伟 is not in department 客服部 or 6 or below"
    assert translate(why_lost(why, NO_NAMES)) == translate(why)

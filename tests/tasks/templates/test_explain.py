"""Who would get what, and why, in words."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.templates.book import read
from tasks.templates.conditions import Contact, Directory
from tasks.templates.explain import explain
from tasks.templates.model import Book, Rule, Template, Variant, When
from tasks.templates.select import select
from tests.support.books import a_book, a_rule, someone, the_example
from tests.support.strategies import contacts, whens

DIRECTORY = Directory({"zhangsan": frozenset({5})}, {1: 0, 3: 1, 4: 3, 5: 4})


def words(source: str, contact: Contact, **values: str) -> list[str]:
    return list(explain(a_book(source), contact, values).lines())


def test_the_rule_that_won_and_why_each_earlier_one_did_not() -> None:
    contact = someone("2026-11-22T14:05", state="wx-1", directory=DIRECTORY, customer_type="wecom")
    assert words(the_example(), contact, customer="王芳", department="东区") == [
        "✗ rule night: 14:05 is not in 21:00-08:30",
        "✗ rule holiday: sun 2026-11-22 is not in 2026-10-01..2026-10-07",
        "✗ rule douyin: the State wx-1 does not match douyin-*",
        "✗ rule from-a-link: the customer's type is wecom, not wechat",
        "✓ rule east applies",
        "→ template brochure:",
        "    王芳，欢迎来到东区",
        "    + image media/hello.png",
        "    + link 产品手册 https://example.com/book",
        "    + miniprogram 预约 (media/cover.png)",
        "    + video media/intro.mp4",
        "    + file media/price.pdf",
        "    then tag 来源/新客户",
        "    then remark 王芳",
    ]


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    found = explain(a_book(the_example()), someone(), {})
    why = {rule: str(words) for rule, words in found.passed_over}
    assert why["douyin"] == "there is no State"
    assert why["from-a-link"] == "the customer's type is not known"
    assert why["east"] == "the departments of zhangsan are not known"
    assert found.rule == "two-members"


def test_a_night_is_told_by_the_evening_it_began_on() -> None:
    (first, *_) = words(a_rule("{hours: '21:00-08:30', weekdays: [mon]}"), someone("2026-11-23T07:00"))
    assert first == "✗ rule first: sun 2026-11-22, on which these hours began, is not mon"


def test_variants_are_all_shown_with_their_shares() -> None:
    lines = words(a_rule("{state: ''}", "{one: 70, two: 30, default: 0}"), someone())
    assert lines == [
        "✓ rule first applies",
        "→ template one (to 70% of its customers):",
        "    1",
        "→ template two (to 30% of its customers):",
        "    2",
    ]


def test_the_template_default_stands_in() -> None:
    source = a_rule("{state: a}").replace("  - use: default\n", "")
    assert words(source, someone())[1:] == [
        "✓ no rule applies, so the template default does",
        "→ template default:",
        "    d",
    ]


def test_a_book_of_old_without_an_answer_is_said_to_have_none() -> None:
    book = Book({"one": Template("one", "1")}, (Rule((Variant("one"),), when=When(state=("a",))),))
    assert list(explain(book, someone(), {}).lines())[-1].startswith(
        "✗ no rule applies, and no template is called default"
    )


TEMPLATES = {name: Template(name, name) for name in ("default", "one")}


@given(st.lists(whens, max_size=4), contacts)
@settings(max_examples=300)
def test_it_explains_what_is_done(conditions: list[When], contact: Contact) -> None:
    book = Book(TEMPLATES, tuple(Rule((Variant("one"),), when=when) for when in conditions))
    choice, explanation = select(book, contact), explain(book, contact, {})
    assert choice is not None
    assert (explanation.rule, explanation.greetings[0].template) == (choice.rule, choice.template.name)
    assert all(why for _, why in explanation.passed_over)


def test_explaining_reads_no_more_than_the_book() -> None:
    book = read(a_rule("{state: a}"))
    assert explain(book, someone(state="a"), {}) == explain(book, someone(state="a"), {})

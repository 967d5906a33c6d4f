"""A book: read as it looks, or refused with line, column and cure for everything that is wrong."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.templates.book import BOOK_LIMIT, BookError, read
from tasks.templates.model import Rule, Template, Variant
from tests.support.builders import BOOK

pytestmark = pytest.mark.usefixtures("yaml_parser")


def problems(source: str) -> list[tuple[int, int, str]]:
    with pytest.raises(BookError) as error:
        read(source)
    return [(problem.line, problem.column, str(problem.what)) for problem in error.value.problems]


def a_text(text: str) -> str:
    """What a book makes of a scalar."""
    return (
        read(f"version: 1\ntemplates:\n  default:\n    text: {text}\nrules:\n- use: default").templates["default"].text
    )


# ------------------------------------------------------------------------------------------------ read


def test_a_book_has_its_templates_and_its_rules_in_order() -> None:
    book = read(
        """\
version: 1
templates:
  default: {text: 您好}
  evening:
    text: |
      晚上好{customer|朋友}
      {{真的}}
rules:
  - name: first
    use: evening
  - use: default
"""
    )
    assert book.templates == {
        "default": Template("default", "您好"),
        "evening": Template("evening", "晚上好{customer|朋友}\n{{真的}}\n"),
    }
    assert book.rules == (Rule((Variant("evening"),), "first"), Rule((Variant("default"),)))


@pytest.mark.parametrize("text", ["001", "yes", "21:30", "1.50", "~", "null", "2026-10-01", "0x1F", "1_000", "=", "<<"])
def test_a_scalar_means_what_it_looks_like(text: str) -> None:
    assert a_text(text) == text


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("'a ''b'''", "a 'b'"),
        (r'"tab\there \u4f60"', "tab\there 你"),
        ("您好 # a comment", "您好"),
        ("'您好 # none'", "您好 # none"),
    ],
)
def test_quotes_and_comments_are_yamls(text: str, means: str) -> None:
    assert a_text(text) == means


def test_names_are_texts_too() -> None:
    book = read("version: 1\ntemplates: {001: {text: a}, yes: {text: b}}\nrules: [use: 001, {name: no, use: yes}]")
    assert list(book.templates) == ["001", "yes"]
    assert book.rules == (Rule((Variant("001"),)), Rule((Variant("yes"),), "no"))


def test_a_byte_order_mark_is_no_matter() -> None:
    assert read("\ufeff" + BOOK) == read(BOOK)


def test_windows_line_ends_are_no_matter() -> None:
    assert read(BOOK.replace("\n", "\r\n")) == read(BOOK)


# ------------------------------------------------------------------------------------------------ refused


NO_RULES = "`rules` is a list of at least one rule, such as `- use: default`"
NO_ALIASES = "aliases and anchors are not used in a book; write it out"
NO_TAGS = "tags are not used in a book; leave it out"
WRONG = {
    "empty": ("", [(1, 1, "the book is empty; it begins with `version: 1`")]),
    "only comments": ("# nothing\n", [(1, 1, "the book is empty; it begins with `version: 1`")]),
    "a list": (
        "- 1",
        [
            (1, 1, "the book must be a mapping (name: value)"),
            (1, 1, "`version: 1` is required"),
            (1, 1, "`templates` is missing"),
            (1, 1, "`rules` is missing"),
        ],
    ),
    "another version": (BOOK.replace("version: 1", "version: 2"), [(1, 10, "`version: 1` is required")]),
    "an unknown part": (
        BOOK + "channels: {}\n",
        [(7, 1, "the book has no `channels`; there are version, templates, rules, group_welcome")],
    ),
    "an unknown key of a template": (
        BOOK.replace("    text:", "    txt: a\n    text:"),
        [(4, 5, "template default has no `txt`; there are text, attachments, then; did you mean text?")],
    ),
    "an unknown key of a rule": (
        BOOK.replace("  - use: default", "  - use: default\n    unless: {}"),
        [(7, 5, "a rule has no `unless`; there are name, when, use")],
    ),
    "a key given twice": (
        BOOK.replace("rules:", "  default: {text: a}\nrules:"),
        [(5, 3, "default is given twice")],
    ),
    "a template that does not exist": (
        BOOK.replace("use: default", "use: brochure"),
        [(6, 10, "no template is called brochure; there are default")],
    ),
    "a rule without a template": (BOOK.replace("use: default", "name: a"), [(6, 5, "a rule needs `use: TEMPLATE`")]),
    "no rules": (
        BOOK.replace("rules:\n  - use: default", "rules: []"),
        [(5, 8, NO_RULES)],
    ),
    "rules as a mapping": (
        BOOK.replace("  - use: default", "  use: default"),
        [(6, 3, NO_RULES)],
    ),
    "an alias": (
        "version: 1\ntemplates: &a {default: {text: x}}\nrules: *a\n",
        [(2, 12, NO_ALIASES)],
    ),
    "a tag": (
        BOOK.replace("use: default", "use: !!python/name:os.system default"),
        [(6, 10, NO_TAGS)],
    ),
    "a tag of one's own": (
        BOOK.replace("version: 1", "version: !v 1"),
        [(1, 10, NO_TAGS)],
    ),
    "broken YAML": (
        "version: 1\ntemplates: {\nrules: [",
        [(3, 9, "not YAML: expected the node content, but found '<stream end>'")],
    ),
    "a tab": ("version: 1\n\ttemplates: {}", [(2, 1, "not YAML: found character '\\t' that cannot start any token")]),
    "two documents": (BOOK + "---\n" + BOOK, [(7, 1, "not YAML: but found another document")]),
    "a control character": ("version: \x07", [(1, 1, "not YAML")]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_place(name: str) -> None:
    source, expected = WRONG[name]
    assert problems(source) == expected


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        (
            "您好{name}",
            11,
            "no placeholder {name}; there are customer, member, alias, department, position, state, corp, date, time",
        ),
        ("您好{", 11, "a single { at character 3; write {{ for a brace that is to be sent"),
        ("您好}", 11, "a single } at character 3; write }} for a brace that is to be sent"),
        ("'  '", 11, "the text is empty; write one"),
        (
            "'{customer}'",
            11,
            "without a name the text would be empty; add a word, or a fallback to the placeholder",
        ),
        ("''", 11, "the text is empty; write one"),
        ("[a]", 11, "must be a text"),
    ],
)
def test_a_text_that_cannot_be_sent_is_refused_at_its_place(text: str, column: int, what: str) -> None:
    source = f"version: 1\ntemplates:\n  default:\n    text: {text}\nrules: [use: default]\n"
    assert (4, column, what) in problems(source)


def test_all_that_is_wrong_is_said_at_once_from_top_to_bottom() -> None:
    found = problems(
        "version: 3\ntemplates:\n  a: {txt: x}\n  b: {text: '{nobody}'}\n  c: {text: c}\nrules:\n  - use: d\n  - {}\n"
    )
    assert [(line, column) for line, column, _ in found if line != 3] == [(1, 10), (4, 13), (7, 10), (8, 5)]
    assert {what for line, _, what in found if line == 3} == {
        "template a has no `txt`; there are text, attachments, then; did you mean text?",
        "template a has no text",
    }


def test_a_wrong_text_is_one_problem_and_not_two() -> None:
    assert [what for _, _, what in problems(BOOK.replace("{member}", "{nobody}"))] == [
        "no placeholder {nobody}; there are customer, member, alias, department, position, state, corp, date, time"
    ]


def test_a_problem_reads_as_a_sentence_with_its_place() -> None:
    with pytest.raises(BookError, match=r"^line 6, column 10: no template is called b; there are default$"):
        read(BOOK.replace("use: default", "use: b"))


# ------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("x" * 4000, 4000),
        ("好" * 1333 + "x", 4000),
        ("x" * 3872 + "{customer}", 4000),  # 32 characters of 4 bytes
        ("x" * 3936 + "{member}", 4000),
        ("x" * 3936 + "{state}", 4000),
        ("x" * 3985 + "{date}{time}", 4000),
        ("x" * 3800 + "{customer|" + "好" * 66 + "}xx", 4000),  # a fallback longer than any name
        ("x" * 3996 + "{{}}{{}}", 4000),
    ],
)
def test_a_text_may_be_as_long_as_wecom_takes_with_the_longest_names(text: str, size: int) -> None:
    assert a_text(f"'{text}'") == text
    ((_, _, what),) = problems(f"version: 1\ntemplates:\n  default: {{text: '{text}x'}}\nrules: [use: default]")
    assert what.startswith(f"the text has up to {size + 1} bytes with the longest names, 1 more than the 4000 ")


def test_a_book_of_more_than_half_a_mebibyte_is_not_even_parsed() -> None:
    assert BOOK_LIMIT == 1 << 19
    assert problems("#" * (BOOK_LIMIT + 1)) == [(1, 1, f"more than {BOOK_LIMIT} bytes")]


@pytest.mark.parametrize(
    "source",
    [
        "a: &a [x]\n" + "b: [*a, *a]\n" * 10_000,
        "[" * 1500,
    ],
    ids=["a bomb of aliases", "deeper and deeper"],
)
def test_a_hostile_book_is_refused_soon(source: str) -> None:
    began = time.process_time()
    assert problems(source)
    assert time.process_time() - began < 2


@given(st.text() | st.text(alphabet="{}[]:-,|>&*!#%@ \n\t\"'ab1").map(lambda text: "version: 1\n" + text))
@settings(max_examples=200)
def test_junk_is_a_problem_and_never_another_error(source: str) -> None:
    with pytest.raises(BookError):
        read(source)

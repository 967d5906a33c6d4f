"""Placeholders of packages in books: what enters may use those that are provided, what is stored is sent anyway."""

from pathlib import Path

import pytest

from tasks.books import files
from tasks.placeholders.hook import Declared, Hook
from tasks.placeholders.installed import Installed
from tasks.templates.book import BookError, read
from tasks.templates.render import fill, longest
from tasks.wecom.message_limits import TEXT
from tests.support.books import a_template
from tests.support.worker import Worker

KNOWN = {"crm.level": 24, "crm.consultant": 300}


def said(source: str, known: dict[str, int] | None = KNOWN) -> str:
    """What is wrong with a book, "" for nothing."""
    try:
        read(source, known=known)
    except BookError as error:
        return str(error)
    return ""


def test_a_book_may_use_what_is_provided() -> None:
    source = a_template('text: "您好{crm.level|会员}"\nthen: {remark: "{crm.consultant}-{customer}"}')
    assert said(source) == ""
    assert said(source, None) == ""
    assert "no installed package provides {crm.level}" in said(source, {})


@pytest.mark.parametrize("name", ["crm.levle", "CRM.level", "crm.Level"])
def test_a_misspelt_one_has_a_suggestion(name: str) -> None:
    problem = said(a_template(f'text: "您好{{{name}}}"'))
    assert f"no placeholder {{{name}}}" in problem
    assert problem.endswith("did you mean crm.level?")


def test_the_cure_is_said_with_line_and_column() -> None:
    problem = said(a_template('text: "您好{erp.price}"'))
    assert problem.startswith("line ")
    assert "install the one that does wherever wecom-welcome runs" in problem
    assert "time, crm.level, crm.consultant" in problem


def test_the_limit_is_checked_with_the_longest_value() -> None:
    assert longest("{crm.consultant}{crm.level}{crm.level|" + "x" * 30 + "}", KNOWN) == 354
    assert "the text has up to 4200 bytes" in said(a_template('text: "' + "{crm.consultant}" * 14 + '"'))


def test_a_stored_book_is_read_whose_values_were_shorter_than_others(here: Worker) -> None:
    """It was held to what the package declares, which is not known when the book is read."""
    text = "好" * ((TEXT.most - KNOWN["crm.level"]) // 3)
    source = a_template(f'text: "{text}{{crm.level|会员}}"')
    assert said(source) == said(source, None) == ""
    here.publish(source)
    row, _, record = here.greeted()
    assert row["outcome"] == "sent"
    assert (record.content or {})["text"] == f"{text}会员"


def test_what_is_sent_as_written_is_told_from_braces_that_mean_nothing() -> None:
    book = a_template("text: t\nattachments: [link: {title: '{crm.level} {crm.other}', url: 'https://a.cn'}]")
    assert "{crm.level} would be sent just as it stands" in said(book)
    assert said(book, None) == said(book, {}) == ""
    group = a_template("text: t") + "group_welcome: {g: {text: '{crm.level}'}}\n"
    assert "{crm.level} would be sent just as it stands" in said(group)
    assert said(group, None) == ""


def test_a_value_is_text_and_nothing_else() -> None:
    assert fill("{crm.level|会员}", {"crm.level": "{member}\u202e\n{{", "member": "张三"}) == "{member}{{"
    assert fill("{", {}) == ""
    assert fill("{crm.level|会员}", {}) == fill("{crm.level|会员}", {"crm.level": "\u3164"}) == "会员"


def test_a_file_that_enters_is_held_to_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_template('text: "您好{crm.level|会员}"')
    hook = Hook("crm", "crm 1.0", {"level": Declared(24, "等级", "Level")}, lambda *_: {})
    monkeypatch.setattr(files, "installed", lambda: Installed({"crm": hook}))
    files.read(source.encode())
    monkeypatch.setattr(files, "installed", Installed)
    with pytest.raises(BookError, match="no installed package provides"):
        files.read(source.encode())
    (tmp_path / "book.yaml").write_text(source, "utf-8")
    files.load(tmp_path / "book.yaml", lenient=True)  # as at the start


def test_a_live_book_is_sent_with_fallbacks_while_nobody_provides_its_placeholders(here: Worker) -> None:
    here.publish(a_template('text: "您好{crm.level|会员}"'))
    row, _, record = here.greeted()
    assert row["outcome"] == "sent"
    assert (record.content or {})["text"] == "您好会员"

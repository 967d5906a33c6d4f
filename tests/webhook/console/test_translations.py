"""Both languages of the console: everything has its Chinese, and the Chinese keeps to one glossary and one style."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask

from tasks.messages import Message
from tasks.wecom.errors import CODES, FAILURES
from webhook.console.language import sentence, speak

ROOT = Path(__file__).parents[3]
CATALOGUES = ROOT / "webhook" / "console" / "translations" / "zh_Hans"
KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "lazy_gettext", "of", "Message")),
    **dict.fromkeys(("ngettext", "lazy_ngettext"), (1, 2)),
}
PLACEHOLDER = r"%\((\w+)\)[sd]"
METHODS = [("**.py", "python"), ("**.html", "jinja2")]


@dataclass(frozen=True)
class Text:
    """A text of the code. `plural` "": it has none. `page`: it is formatted even without values, so that % is %%."""

    singular: str
    plural: str
    page: bool
    where: str


@dataclass(frozen=True)
class Entry:
    """A text of a catalogue with its Chinese, one or several."""

    msgid: str
    chinese: tuple[str, ...]
    fuzzy: bool
    file: str


@cache
def texts() -> tuple[Text, ...]:
    """Every text that is marked in the code and the pages, once."""
    found: dict[str, Text] = {}
    options = {"**.html": {"silent": "false"}}
    for folder in ("webhook", "tasks"):
        for file, line, message, _, _ in extract_from_dir(ROOT / folder, METHODS, options, KEYWORDS):
            singular, plural = message if isinstance(message, tuple) else (message, "")
            if re.search("[a-zA-Z]", re.sub(PLACEHOLDER, "", singular)):
                page = file.endswith(".html") or (singular in found and found[singular].page)
                found[singular] = Text(singular, plural, page, f"{folder}/{file}:{line}")
    for words in FAILURES.values():  # shown as they are there
        if "{" not in words:
            found.setdefault(words, Text(words, "", page=False, where="tasks/wecom/errors.py"))
    for code in CODES.values():
        for one in (code.meaning, code.cure):
            found.setdefault(one, Text(one, "", page=False, where="tasks/wecom/errors.py"))
    return tuple(found.values())


@cache
def entries() -> tuple[Entry, ...]:
    return tuple(one for file in sorted(CATALOGUES.glob("*.po")) for one in _entries(file))


def _entries(file: Path) -> Iterator[Entry]:
    with file.open("rb") as source:
        for message in read_po(source, locale="zh_Hans", abort_invalid=True):
            if message.id:
                msgid = message.id if isinstance(message.id, str) else message.id[0]
                chinese = (message.string,) if isinstance(message.string, str) else tuple(message.string)
                yield Entry(msgid, chinese, message.fuzzy, file.name)


def chinese() -> Iterator[tuple[Entry, str]]:
    for entry in entries():
        for one in entry.chinese:
            yield entry, one


def placeholders(text: str) -> set[str]:
    return set(re.findall(PLACEHOLDER, text))


def listed(wrong: list[str]) -> str:
    return "\n".join(["", *wrong])


# ------------------------------------------------------------------------------------------------ whole


def test_every_text_has_its_chinese():
    known = {entry.msgid for entry in entries() if all(entry.chinese) and not entry.fuzzy}
    missing = [f"{text.where}: {text.singular!r}" for text in texts() if text.singular not in known]
    assert not missing, listed(missing)


def test_nothing_is_left_to_guess():
    assert [f"{one.file}: {one.msgid!r}" for one in entries() if one.fuzzy or not all(one.chinese)] == []


def test_a_text_is_translated_once_and_in_one_way():
    seen: dict[str, Entry] = {}
    wrong = []
    for entry in entries():
        other = seen.setdefault(entry.msgid, entry)
        if other.chinese != entry.chinese:
            wrong.append(f"{entry.msgid!r}: {other.file} has {other.chinese}, {entry.file} has {entry.chinese}")
    assert not wrong, listed(wrong)


def test_no_catalogue_has_a_text_twice():
    for file in CATALOGUES.glob("*.po"):
        msgids = re.findall(r'^msgid "(.+)"$', file.read_text("utf-8"), re.MULTILINE)
        assert len(msgids) == len(set(msgids)), f"{file.name}: {[one for one in msgids if msgids.count(one) > 1]}"


def test_placeholders_are_the_same_in_both_languages():
    plurals = {text.singular: placeholders(text.plural) for text in texts() if text.plural}
    wrong = [
        f"{entry.file}: {entry.msgid!r} → {one!r}"
        for entry, one in chinese()
        if placeholders(one) != plurals.get(entry.msgid, placeholders(entry.msgid))
    ]
    assert not wrong, listed(wrong)


def test_a_percent_sign_on_a_page_is_doubled():
    class Anything(dict[str, int]):
        def __missing__(self, key: str) -> int:
            return 1

    wrong = []
    said = {entry.msgid: entry.chinese for entry in entries()}
    for text in texts():
        for one in (text.singular, text.plural, *said.get(text.singular, ())):
            if text.page or placeholders(text.singular):
                try:
                    one % Anything()
                except (ValueError, TypeError) as error:
                    wrong.append(f"{text.where}: {one!r}: {error}")
    assert not wrong, listed(wrong)


# ------------------------------------------------------------------------------------------------ the glossary

NOT_CHINESE = (  # words that the glossary has others for
    *("员工", "客服", "粉丝", "问候语", "自动回复", "文案", "话术", "图文", "执行中", "进行中", "线程", "兜底", "链路"),
    *("生效中", "流失", "分时段", "特殊时期", "非法", "登陆", "其它", "帐号", "您", "P50", "P99"),
    *("一半用时", "怎么办", "最老的", "看不懂", "没有回答", "合在一起", "由他人"),
)
# 该 for 此; 好友 but for the act and its opposite; 上线 for 发布
NOT_ALONE = (r"(?<!应)该", r"(?<!加)(?<!是)好友", r"上线", r"送达(?<!未送达)(?<!已送达)(?!回执)", r"^失败$")

GLOSSARY = {  # a word of an English text → what its Chinese has
    r"members?\b": "成员|他|位",
    r"customers?\b": "客户|他|对方",
    r"channels?\b": "渠道",
    r"departments?\b": "部门",
    r"attachments?\b": "附件",
    r"drafts?\b": "草稿",
    r"rehears(al|als|e|ed)\b": "演练",
    r"fallback\b": "没有时写成",
    r"rules?\b": "规则|条",
    r"remind(er|ers|ed)?\b": "提醒",
    r"password\b": "密码",
    r"signed in|sign in": "登录",
    r"workers?\b": "处理进程",
    r"previews?\b": "预览",
    r"remarks?\b": "备注",
    r"revisions?\b": "版",
    r"callbacks?\b": "回调",
    r"acquisition links?": "获客链接",
    r"media\b(?! id|/)": "素材",
    r"exports?\b": "导出",
    r"imports?\b": "导入",
    r"publish(ed)?\b": "发布",
    r"welcome codes?\b": "凭证",
    r"never announced": "未收到通知",
    r"greeted elsewhere": "已另行欢迎",
    r"probably delivered": "可能已送达",
    r"in progress": "处理中",
    r"trusted IPs?": "可信 ?IP",
    r"visible range": "可见范围",
    r"placeholders?\b": "变量",
    r"mini-programs?\b": "小程序",
    r"group welcomes?\b": "入群欢迎语",
    r"followed up|follow(s|ed)? up\b": "跟进",
    r"nightly comparison": "夜间核对",
}
COMMAND = re.compile(r"`[^`]*`|wecom-welcome [\w ]+|[A-Z]+_[A-Z_]+|%\(\w+\)s")


def test_words_that_the_glossary_replaces_are_not_used():
    wrong = [
        f"{entry.file}: {one!r} has {word}"
        for entry, one in chinese()
        for word in (*map(re.escape, NOT_CHINESE), *NOT_ALONE)
        if re.search(word, one)
    ]
    assert not wrong, listed(wrong)


def test_a_thing_has_one_word_in_both_languages():
    wrong = [
        f"{entry.file}: {entry.msgid!r} → {one!r}, which has none of {words}"
        for entry, one in chinese()
        for english, words in GLOSSARY.items()
        if re.search(rf"\b(?:{english})", COMMAND.sub("", entry.msgid), re.IGNORECASE) and not re.search(words, one)
    ]
    assert not wrong, listed(wrong)


# ------------------------------------------------------------------------------------------------ the style

HAN = "\u4e00-\u9fff"
NUMBERS = "n|m|num|number|count|seconds|minutes|hours|days|ms|most|left|status"
AS_WECOM_HAS_IT = ("设置API接收", "企业可信IP", "企业ID")  # labels of its admin console

STYLE = {
    "a space between Chinese and Latin or digits": rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9][{HAN}]",
    "a space between Chinese and a number": rf"[{HAN}]%\((?:{NUMBERS})\)|%\((?:{NUMBERS})\)[sd][{HAN}]",
    "no space beside full-width punctuation": r" [，。：；！？、「」（）]|[，。：；！？、「」（）] ",
    "full-width punctuation after Chinese": rf"[{HAN}][,;:!?](?!/)",
    "no space before %": r"[0-9s] +%%",
    "no exclamation": "！",
    "one sign for an ellipsis": r"\.\.\.|。。",
    "「」 for names": '[“”"]',
}


@pytest.mark.parametrize("rule", STYLE)
def test_the_chinese_is_set_as_one_sets_it(rule):
    def plain(text: str) -> str:
        for label in AS_WECOM_HAS_IT:
            text = text.replace(label, "—")
        return text if "%" in STYLE[rule] else re.sub(PLACEHOLDER, "—", text)

    wrong = [f"{entry.file}: {one!r}" for entry, one in chinese() if re.search(STYLE[rule], plain(one))]
    assert not wrong, listed(wrong)


def test_a_full_stop_ends_what_is_a_sentence_in_both_languages():
    wrong = [
        f"{entry.file}: {entry.msgid!r} → {one!r}"
        for entry, one in chinese()
        if one.endswith("。") and not entry.msgid.endswith(".")
    ]
    assert not wrong, listed(wrong)


def test_the_english_neither_begs_nor_blames():
    blunt = r"\b(please|sorry|oops|invalid|illegal|employees?|friends?)\b|!$"
    quaint = r"\b(whoever is added|died|dies?|led nowhere|lead nowhere|into step|in step|half within|come together)\b"
    words = re.compile(f"{blunt}|{quaint}", re.IGNORECASE)
    wrong = [f"{text.where}: {text.singular!r}" for text in texts() if words.search(text.singular)]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Message.of("the name is long"), "The name is long"),
        (Message.of("%(what)s is long", what=Message.of("the name")), "The name is long"),
        (Message.of("%(path)s is long", path="media/a.png"), "media/a.png is long"),
        (Message("a PNG image"), "A PNG image"),
    ],
)
def test_a_message_alone_begins_with_a_capital_and_a_value_stays_as_it_is(what: Message, words: str) -> None:
    app = Flask(__name__)
    speak(app)
    with app.test_request_context(headers={"Accept-Language": "en"}):
        assert sentence(what) == words

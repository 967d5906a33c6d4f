"""A sentence in a language."""

import pytest

from tasks.messages import Message, translate

CHINESE = {"took %(n)s s (%(when)s)": "用了 %(n)s 秒（%(when)s）", "never": "从来没有", "100 % sure": "100% 确定"}


def chinese(msgid: str) -> str:
    return CHINESE[msgid]


@pytest.mark.parametrize(
    ("what", "english", "words"),
    [
        (Message.of("never"), "never", "从来没有"),
        (
            Message.of("took %(n)s s (%(when)s)", n=3, when=Message.of("never")),
            "took 3 s (never)",
            "用了 3 秒（从来没有）",
        ),
        (Message.of("100 % sure"), "100 % sure", "100% 确定"),
        (Message("took %(n)s s (%(when)s)", {"n": "%s", "when": "100 %"}), "took %s s (100 %)", "用了 %s 秒（100 %）"),
        ("60020 WeCom's own words", "60020 WeCom's own words", "60020 WeCom's own words"),
    ],
)
def test_it_is_said_with_its_values_in_either_language(what, english, words):
    assert (str(what), translate(what), translate(what, chinese)) == (english, english, words)

"""A text in a list: on one line, and cut where a reader would cut it."""

import pytest

from webhook.console.layout import cut, percent, size

FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("李四", "李四"),
        ("第一行\n第二行", "第一行 第二行"),
        ("第一行\r\n\r\n第二行\u2028第三行", "第一行 第二行 第三行"),
        ("您好\u3000世界", "您好\u3000世界"),
        ("\u202e李四", "李四"),
        ("好" * 13, "好" * 11 + "…"),
        (FAMILY + "好" * 9, FAMILY + "好" * 4 + "…"),
        ("好" * 9 + FAMILY, "好" * 9 + "…"),
        ("好" * 10 + "🇨🇳🇨🇳", "好" * 10 + "…"),
        ("好" * 10 + "👍🏽👍🏽", "好" * 10 + "…"),
    ],
)
def test_a_text_is_cut(text: str, said: str) -> None:
    assert cut(text, 12) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (300, "300 B"), (44_000, "43 KB"), (104_857, "102 KB"), (1_600_000, "1.5 MB"), (512 << 20, "512 MB")],
)
def test_a_little_is_never_shown_as_none(count: int, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("part", "said"), [(0, "0.0"), (0.0001, "<0.1"), (0.876, "87.6"), (0.9994, "99.9"), (0.9999, ">99.9"), (1, "100.0")]
)
def test_a_few_are_never_none_nor_almost_all_of_them_all(part: float, said: str) -> None:
    assert percent(part) == said

"""A text in a list: on one line, and cut where a reader would cut it."""

import pytest

from webhook.console.layout import cut

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

"""What is taken away as a table computes nothing where it is opened."""

import pytest

from webhook.console.csv_rows import line


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠SUM(1)", '=HYPERLINK("x")'],
)
def test_a_text_is_no_formula(cell: str) -> None:
    assert line([cell]).lstrip('"').startswith("'")


def test_numbers_quotes_and_line_ends_stay_in_their_cell() -> None:
    assert line([-1, 'a,"b"\nc', "李"]) == '-1,"a,""b""\nc",李\r\n'

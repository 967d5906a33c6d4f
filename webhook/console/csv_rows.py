"""CSV lines in which no cell is a formula to a spreadsheet program. Pure."""

import csv
import io
from collections.abc import Iterable

FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # with which one begins; the wide ones where Excel is Chinese or Japanese


def line(cells: Iterable[object]) -> str:
    """A line, with its end."""
    out = io.StringIO()
    csv.writer(out).writerow([_harmless(cell) for cell in cells])
    return out.getvalue()


def _harmless(cell: object) -> object:
    text = str(cell)
    return f"'{text}" if text.startswith(FORMULA) and not isinstance(cell, int) else cell

"""Welcome books with their files, as a starting point for tests."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tasks.books.media_store import described
from tasks.templates.book import Look, read
from tasks.templates.conditions import Contact
from tasks.templates.model import Book, Media

EXAMPLE = Path(__file__).parents[2] / "deploy/welcome-book.example.yaml"
SHANGHAI = ZoneInfo("Asia/Shanghai")
PNG = b"\x89PNG\r\n\x1a\n" + b"a picture"
JPG = b"\xff\xd8\xff\xe0" + b"a picture"
MP4 = b"\0\0\0\x20ftypisom" + b"a film"
PDF = b"%PDF-1.7 prices"
WEBP = b"RIFF\x20\0\0\0WEBPVP8 "
FILES = {
    "media/hello.png": PNG,
    "media/cover.png": PNG + b", another",
    "media/intro.mp4": MP4,
    "media/price.pdf": PDF,
}
SHOWING = """\
version: 1
templates:
  default:
    text: 您好
    attachments:
    - image: {file: media/hello.png}
rules:
- use: default
"""  # with one of FILES
ATTACHED = """\
text: 您好
attachments:
- image: {file: media/hello.png}
- link: {title: t, url: 'https://example.com'}
- video: {file: media/intro.mp4}
- file: {file: media/price.pdf}
"""  # for a_template


def the_example() -> str:
    return EXAMPLE.read_text("utf-8")


def looking_at(files: dict[str, bytes]) -> Look:
    """A `Look` for a book with these files beside it."""

    def look(path: str) -> Media:
        if path not in files:
            raise ValueError(f"no file {path}")
        return described(path, files[path])

    return look


def a_book(source: str, **files: bytes) -> Book:
    return read(source, looking_at(FILES | files))


def a_folder(folder: Path, source: str | None = None, files: dict[str, bytes] | None = None) -> Path:
    """Write book.yaml, by default the example, and its files into a folder."""
    for path, content in (FILES if files is None else files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    book = folder / "book.yaml"
    book.write_text(the_example() if source is None else source, "utf-8")
    return book


def a_template(body: str) -> str:
    """A book whose one template has these lines."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"version: 1\ntemplates:\n  default:\n{lines}\nrules:\n  - use: default\n"


FOLLOWED_UP = a_template("text: 您好{customer}，我是{member}\nthen: {tags: [来源/新客户], remark: '{customer}'}")


def a_rule(when: str, use: str = "one") -> str:
    """A book whose first rule has these conditions, in YAML's short form; else `default`."""
    return (
        "version: 1\ntemplates: {default: {text: d}, one: {text: '1'}, two: {text: '2'}}\n"
        f"rules:\n  - name: first\n    when: {when}\n    use: {use}\n  - use: default\n"
    )


def someone(at: str = "2026-11-22T12:00", **different: Any) -> Contact:
    """A contact that was just added, on a Sunday at noon."""
    values: dict[str, Any] = {
        "app": "default",
        "user_id": "zhangsan",
        "external_user_id": "wm1",
        "state": "",
        "change": "add",
        "at": datetime.fromisoformat(at).replace(tzinfo=SHANGHAI),
    }
    return Contact(**values | different)

"""A welcome book together with its files: read from a folder or a .zip, written to a .zip.

book.yaml                 a book that shows no files
book.zip                  book.yaml, and its files under the paths that it names
"""

import io
import json
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from tasks.books.media_store import described
from tasks.books.zip_names import Names
from tasks.messages import Message, reason
from tasks.placeholders.installed import installed
from tasks.templates import book as book_file
from tasks.templates.media_kind import LARGEST, MB
from tasks.templates.model import Book, Media
from tasks.templates.problems import BookError, Problem
from tasks.templates.yaml_composer import BOOK_LIMIT

BOOK_NAME = "book.yaml"  # in an exported .zip
IDS_NAME = "group_welcomes.json"  # beside it: {"corp_id", "app", "template_ids": {name → id}}

TOTAL = 128 * MB  # of all files in a .zip that was uploaded
ENTRIES = 10_000  # in such a .zip: zipfile reads all of them at once
_ENTRY = b"PK\1\2"  # the signature of each
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other methods let the file decide how much memory is used
Known = Callable[[str], bytes | None]  # a path → the bytes that are stored under it; None: nothing is
Fetch = Callable[[str], bytes]  # a path beside the book → the bytes there. ValueError says what is wrong


@dataclass(frozen=True, slots=True)
class Bundle:
    """A book's YAML, and path → bytes for every file that it shows."""

    source: str
    files: Mapping[str, bytes] = field(default_factory=dict)


def load(file: Path, lenient: bool = False) -> tuple[Book, Bundle]:
    """A book from a .yaml or .zip. Raises OSError, UnicodeDecodeError or BookError.

    lenient: a placeholder that no installed package provides is no problem, as in a stored book.
    """
    if not zipfile.is_zipfile(file):
        return gather(file.read_text("utf-8-sig"), beside(file), lenient)
    try:
        with zipfile.ZipFile(file) as archive:
            source, fetch = _of_zip(archive)
            return gather(source, fetch, lenient)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise BookError([Problem(1, 1, Message.of("the .zip is broken: %(why)s", why=error))]) from None


def read(content: bytes, known: Known = lambda _: None) -> tuple[Book, Bundle]:
    """A book from the bytes of a .yaml or of a .zip. A .yaml can show `known` files alone. Raises BookError."""

    def fetch_known(path: str) -> bytes:
        found = known(path)
        return _nothing_beside(path) if found is None else found

    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            if len(content) > BOOK_LIMIT:
                raise BookError([Problem(1, 1, Message.of("more than %(limit)s bytes", limit=BOOK_LIMIT))])
            return gather(content.decode("utf-8-sig"), fetch_known)
        if content.count(_ENTRY) > ENTRIES:
            raise BookError([Problem(1, 1, Message.of("the .zip has more than %(limit)s files", limit=ENTRIES))])
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            source, fetch = _of_zip(archive)
            return gather(source, _within(fetch, TOTAL))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise BookError([Problem(1, 1, Message.of("the .zip is broken: %(why)s", why=error))]) from None
    except UnicodeDecodeError:
        raise BookError([Problem(1, 1, Message.of("the book is not UTF-8"))]) from None


def _nothing_beside(path: str) -> bytes:
    raise ValueError(
        Message.of("no file %(path)s: a book that shows files is uploaded with them, as a .zip", path=path)
    )


def _within(fetch: Fetch, limit: int) -> Fetch:
    """`fetch`, but raising ValueError once more than `limit` bytes were fetched in all."""
    left = limit

    def fetching(path: str) -> bytes:
        nonlocal left
        content = fetch(path)
        left -= len(content)
        if left < 0:
            raise ValueError(Message.of("the files have more than %(limit)s MB together", limit=limit // MB))
        return content

    return fetching


def gather(source: str, fetch: Fetch, lenient: bool = False) -> tuple[Book, Bundle]:
    """The book and the files that it names, each fetched once. Raises BookError."""
    contents: dict[str, bytes] = {}

    def look(path: str) -> Media:
        if path not in contents:
            contents[path] = fetch(path)
        return described(path, contents[path])

    return book_file.read(source, look, None if lenient else installed().known), Bundle(source, contents)


def beside(file: Path) -> Fetch:
    """Fetches files from the book's folder. Refuses a path that leads out of it, also through a link."""
    folder = file.parent.resolve()

    def fetch(path: str) -> bytes:
        try:
            real = _as_it_is_there(folder, path).resolve(strict=True)
            if not real.is_relative_to(folder):
                raise ValueError(
                    Message.of("%(path)s is a link out of the book's folder; copy the file into it", path=path)
                )
            about = real.stat()
            if not stat.S_ISREG(about.st_mode):
                raise ValueError(Message.of("%(path)s is not a file", path=path))
            _refuse_large(path, about.st_size)
            return real.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a ring
            missing = isinstance(error, FileNotFoundError)
            why = "" if missing else f" ({getattr(error, 'strerror', None) or error})"
            raise ValueError(
                Message.of("no file %(path)s beside the book%(why)s; paths are relative to it", path=path, why=why)
            ) from None

    return fetch


def _as_it_is_there(folder: Path, path: str) -> Path:
    """A path below a folder, spelled as its names are there: accents may be decomposed (macOS). Raises OSError."""
    at = folder
    for part in PurePosixPath(path).parts:
        below = at / part
        if not below.exists() and at.is_dir():
            composed = unicodedata.normalize("NFC", part)
            below = next((one for one in at.iterdir() if unicodedata.normalize("NFC", one.name) == composed), below)
        at = below
    return at


@dataclass(frozen=True, slots=True)
class GroupIDs:
    """The ids that WeCom gave the group welcomes of one app: name → id. They mean nothing to another app."""

    corp_id: str
    app: str
    template_ids: Mapping[str, str]


def group_ids(file: Path) -> GroupIDs | None:
    """The group welcomes' ids in an exported .zip; None if it has none."""
    try:
        with zipfile.ZipFile(file) as archive:
            told = json.loads(_of_zip(archive)[1](IDS_NAME))
        ids = {str(name): str(template_id) for name, template_id in told["template_ids"].items()}
        return GroupIDs(str(told["corp_id"]), str(told["app"]), ids)
    except (
        OSError,
        zipfile.BadZipFile,
        NotImplementedError,
        BookError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
    ):
        return None


def to_zip(bundle: Bundle, ids: GroupIDs | None = None) -> bytes:
    """The bytes of a .zip that `load` and `group_ids` can read."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(BOOK_NAME, bundle.source)
        for path, content in bundle.files.items():
            archive.writestr(path, content)
        if ids is not None and ids.template_ids:
            archive.writestr(IDS_NAME, json.dumps(asdict(ids), ensure_ascii=False, indent=1))
    return out.getvalue()


def _of_zip(archive: zipfile.ZipFile) -> tuple[str, Fetch]:
    names = Names(archive)
    books = [one for one in names.files() if PurePosixPath(one[1][0]).suffix.lower() in (".yaml", ".yml")]
    books.sort(key=lambda one: (one[1][0].count("/"), PurePosixPath(one[1][0]).name != BOOK_NAME, one[1][0]))
    if not books:
        raise BookError([Problem(1, 1, Message.of("there is no %(name)s in the .zip", name=BOOK_NAME))])
    book, book_names = books[0]

    def fetch(path: str) -> bytes:
        info = names.beside(book_names, path)
        if info is None:
            raise ValueError(Message.of("no file %(path)s in the .zip, beside the book", path=path))
        return _unpacked(archive, info, path)

    try:
        source = _unpacked(archive, book, book_names[0])
    except ValueError as error:
        raise BookError([Problem(1, 1, reason(error))]) from None
    return source.decode("utf-8-sig"), fetch


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> bytes:
    """The bytes of an entry; the size that it claims is not trusted. Raises ValueError."""
    _refuse_large(path, info.file_size)
    if info.compress_type not in _PACKED:
        raise ValueError(
            Message.of("%(path)s is packed in an unusual way; make the .zip anew with another program", path=path)
        )
    try:
        with archive.open(info) as member:
            content = member.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as error:
        raise ValueError(Message.of("%(path)s cannot be read from the .zip: %(why)s", path=path, why=error)) from None
    _refuse_large(path, len(content))
    return content


def _refuse_large(path: str, size: int) -> None:
    if size > LARGEST:
        raise ValueError(
            Message.of(
                "%(path)s has %(size)s MB; no file may have more than %(limit)s",
                path=path,
                size=f"{size / MB:.1f}",
                limit=LARGEST // MB,
            )
        )

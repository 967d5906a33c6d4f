"""A .zip as people make it: its files are found whatever program wrote their names."""

import io
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.books.files import BOOK_NAME, GroupIDs, group_ids, load, read, to_zip
from tasks.books.zip_names import normal
from tasks.templates.problems import BookError
from tests.support.books import PNG

RULES = "rules: [{use: default}]\n"


def a_book(path: str) -> bytes:
    template = f'default: {{text: hi, attachments: [image: {{file: "{path}"}}]}}'
    return f"version: 1\ntemplates: {{{template}}}\n{RULES}".encode()


def a_zip(entries: Mapping[bytes, bytes], flag: int = 0, extra: Mapping[bytes, bytes] | None = None) -> bytes:
    """A .zip with just these bytes as names, written by hand: zipfile would set the flag, and turn separators."""
    files, directory = b"", b""
    for name, content in entries.items():
        field = (extra or {}).get(name, b"")
        about = struct.pack(
            "<HHHHHLLLHH",
            20,
            flag,
            0,
            0,
            0x5821,
            zlib.crc32(content),
            len(content),
            len(content),
            len(name),
            len(field),
        )
        directory += b"PK\1\2" + struct.pack("<H", 20) + about + struct.pack("<HHHLL", 0, 0, 0, 0, len(files))
        directory += name + field
        files += b"PK\3\4" + about + name + field + content
    end = struct.pack("<HHHHLLH", 0, 0, len(entries), len(entries), len(directory), len(files), 0)
    return files + directory + b"PK\5\6" + end


def unicode_path(name: str, raw: bytes) -> bytes:
    content = b"\1" + struct.pack("<L", zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


SHOP, CAFE = "素材/门店.png", "média/café.png"
NFD = unicodedata.normalize("NFD", CAFE)


@pytest.mark.parametrize(
    ("path", "archive"),
    [
        pytest.param(SHOP, a_zip({b"book.yaml": a_book(SHOP), SHOP.encode(): PNG}), id="UTF-8 without the flag"),
        pytest.param(SHOP, a_zip({b"book.yaml": a_book(SHOP), SHOP.encode(): PNG}, 0x800), id="UTF-8 with the flag"),
        pytest.param(SHOP, a_zip({b"book.yaml": a_book(SHOP), SHOP.encode("gbk"): PNG}), id="GBK"),
        pytest.param(
            "𠮷/㐀.png", a_zip({b"book.yaml": a_book("𠮷/㐀.png"), "𠮷/㐀.png".encode("gb18030"): PNG}), id="GB18030"
        ),
        pytest.param(
            "門店/圖.png", a_zip({b"book.yaml": a_book("門店/圖.png"), "門店/圖.png".encode("big5"): PNG}), id="Big5"
        ),
        pytest.param(CAFE, a_zip({b"book.yaml": a_book(CAFE), CAFE.encode("cp437"): PNG}), id="cp437"),
        pytest.param(SHOP, a_zip({b"book.yaml": a_book(SHOP), "素材\\门店.png".encode("gbk"): PNG}), id="\\, GBK"),
        pytest.param(SHOP, a_zip({b"book.yaml": a_book(SHOP), "素材\\门店.png".encode(): PNG}, 0x800), id="backslash"),
        pytest.param(
            "誠/乗.png",  # whose second byte in GBK is a backslash
            a_zip({b"book.yaml": a_book("誠/乗.png"), "誠/乗.png".encode("gbk"): PNG}),
            id="a backslash inside a character",
        ),
        pytest.param(CAFE, a_zip({b"book.yaml": a_book(CAFE), NFD.encode(): PNG}), id="decomposed, in the zip"),
        pytest.param(NFD, a_zip({b"book.yaml": a_book(NFD), CAFE.encode(): PNG}, 0x800), id="decomposed, in the book"),
        pytest.param(SHOP, a_zip({b"./book.yaml": a_book(SHOP), b"./" + SHOP.encode(): PNG}), id="./ in front"),
        pytest.param(SHOP, a_zip({b"/book.yaml": a_book(SHOP), b"/" + SHOP.encode(): PNG}), id="/ in front"),
        pytest.param(
            SHOP,
            a_zip({"欢迎语/book.yaml".encode("gbk"): a_book(SHOP), f"欢迎语/{SHOP}".encode("gbk"): PNG}),
            id="in a folder, GBK",
        ),
        pytest.param(
            SHOP,
            a_zip(
                {
                    "欢迎语\\book.yaml".encode("gbk"): a_book(SHOP),
                    f"欢迎语\\{SHOP}".replace("/", "\\").encode("gbk"): PNG,
                }
            ),
            id="in a folder, GBK, backslash",
        ),
        pytest.param(
            "模.png",  # in GBK it is valid UTF-8 for another letter
            a_zip({b"book.yaml": a_book("模.png"), "模.png".encode("gbk"): PNG}),
            id="GBK that is UTF-8 too",
        ),
        pytest.param(
            SHOP,
            a_zip(
                {
                    b"__MACOSX/._welcome.yaml": b"\0\5\26\7",
                    "素材/".encode(): b"",
                    "欢迎语/welcome.yaml".encode(): a_book(SHOP),
                    "欢迎语/._welcome.yaml".encode(): b"\0\5\26\7",
                    f"欢迎语/{SHOP}".encode(): PNG,
                    f"__MACOSX/欢迎语/._{SHOP}".encode(): b"\0\5\26\7",
                }
            ),
            id="macOS",
        ),
        pytest.param(SHOP, a_zip({b"Book.YAML": a_book(SHOP), SHOP.encode("gbk"): PNG}), id="capitals"),
        pytest.param(
            SHOP,
            a_zip(
                {b"book.yaml": a_book(SHOP), "素材_门店.png".encode("gbk"): PNG},
                extra={"素材_门店.png".encode("gbk"): unicode_path(SHOP, "素材_门店.png".encode("gbk"))},
            ),
            id="a Unicode path beside the name",
        ),
    ],
)
def test_a_file_is_found_whoever_made_the_zip(path: str, archive: bytes, tmp_path: Path) -> None:
    book, bundle = read(archive)
    assert bundle.files == {path: PNG}
    assert list(book.templates) == ["default"]
    (tmp_path / "book.zip").write_bytes(archive)
    assert load(tmp_path / "book.zip")[1].files == {path: PNG}
    assert read(to_zip(bundle))[1] == bundle


def test_a_unicode_path_of_another_name_is_not_believed() -> None:
    archive = a_zip(
        {b"book.yaml": a_book("a.png"), b"a.png": PNG}, extra={b"a.png": unicode_path("b.png", b"renamed since")}
    )
    assert read(archive)[1].files == {"a.png": PNG}


@pytest.mark.parametrize("path", ["门.png", "b.png", "x/a.png"])
def test_a_file_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(BookError, match=f"no file {path} in the .zip"):
        read(a_zip({b"book.yaml": a_book(path), b"a.png": PNG, b"__MACOSX/._b.png": PNG}))


def test_a_zip_of_what_macos_adds_has_no_book() -> None:
    with pytest.raises(BookError, match=f"no {BOOK_NAME} in the .zip"):
        read(a_zip({b"__MACOSX/._book.yaml": b"x", b"._book.yaml": b"x", b"x.yaml/": b""}))


def test_the_ids_of_group_welcomes_are_found_in_a_zip_that_was_packed_anew(tmp_path: Path) -> None:
    ids = GroupIDs("ww1", "sales", {"a": "t1"})
    exported = to_zip(read(f"version: 1\ntemplates: {{default: {{text: hi}}}}\n{RULES}".encode())[1], ids)
    with zipfile.ZipFile(io.BytesIO(exported)) as archive:
        again = {f"欢迎语\\{name}".encode("gbk"): archive.read(name) for name in archive.namelist()}
    (tmp_path / "book.zip").write_bytes(a_zip(again))
    assert group_ids(tmp_path / "book.zip") == ids


@pytest.mark.parametrize("there", [CAFE, NFD], ids=["composed", "decomposed"])
@pytest.mark.parametrize("written", [CAFE, NFD], ids=["composed", "decomposed"])
def test_a_folder_that_was_unpacked_elsewhere_has_its_files(there: str, written: str, tmp_path: Path) -> None:
    (tmp_path / there).parent.mkdir()
    (tmp_path / there).write_bytes(PNG)
    (tmp_path / "book.yaml").write_bytes(a_book(written))
    assert load(tmp_path / "book.yaml")[1].files == {written: PNG}


@pytest.mark.parametrize(
    ("path", "compared"),
    [("a/b.png", "a/b.png"), ("./a//b.png", "a/b.png"), ("a\\b\\", "a/b/"), ("/a", "a"), ("a/./b", "a/b"), (NFD, CAFE)],
)
def test_paths_are_compared_in_one_spelling(path: str, compared: str) -> None:
    assert normal(path) == compared

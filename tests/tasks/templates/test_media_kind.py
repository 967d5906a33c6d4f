"""What a file is, by its bytes; and which files a book beside them may show."""

import contextlib
import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.books.files import BOOK_NAME, Bundle, load, read, to_zip
from tasks.books.media_store import described
from tasks.templates.book import BookError
from tasks.templates.media_kind import MB, fits_permanently, sniff
from tests.support.books import FILES, JPG, MP4, PDF, PNG, WEBP, a_folder, a_template, the_example


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (JPG, "JPG"),
        (PNG, "PNG"),
        (MP4, "MP4"),
        (PDF, "PDF"),
        (WEBP, "WebP"),
        (b"\0\0\0\x18ftypmp42", "MP4"),
        (b"\0\0\0\x18ftypqt  ", "QuickTime (MOV)"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"GIF89a", "GIF"),
        (b"PK\x03\x04", "ZIP or Office"),
        (b"<svg xmlns", "SVG"),
        (b"\x89PNG\n", "a file of another kind"),  # mangled by a transfer as text
        (b"", "a file of another kind"),
    ],
)
def test_a_kind_is_in_the_first_bytes(content: bytes, kind: str) -> None:
    assert sniff(content) == kind


def test_two_megabytes_of_jpg_or_png_fit_permanently() -> None:
    assert fits_permanently(described("a", PNG + bytes(2 * MB - len(PNG))))
    assert not fits_permanently(described("a", PNG + bytes(2 * MB - len(PNG) + 1)))
    assert not fits_permanently(described("a", MP4))


# ------------------------------------------------------------------------------------------------ folders


def showing(path: str) -> str:
    return a_template(f"text: t\nattachments:\n- file: {{file: {path}}}")


def refused(book: Path) -> str:
    with pytest.raises(BookError) as error:
        load(book)
    (problem,) = error.value.problems
    return str(problem.what)


def test_a_book_is_loaded_with_the_files_that_it_shows_and_no_others(tmp_path: Path) -> None:
    file = a_folder(tmp_path, files=FILES | {"media/not-shown.png": PNG})
    book, bundle = load(file)
    assert bundle.source == the_example()
    assert bundle.files == FILES
    assert {path: media.kind for path, media in book.media().items()} == {
        "media/hello.png": "PNG",
        "media/cover.png": "PNG",
        "media/intro.mp4": "MP4",
        "media/price.pdf": "PDF",
    }


def test_a_link_within_the_folder_is_followed_and_one_out_of_it_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    folder.mkdir()
    (tmp_path / "secret.pdf").write_bytes(PDF)
    file = a_folder(folder, showing("link.pdf"), {"media/a.pdf": PDF})
    (folder / "link.pdf").symlink_to("media/a.pdf")
    assert load(file)[1].files == {"link.pdf": PDF}
    (folder / "link.pdf").unlink()
    (folder / "link.pdf").symlink_to("../secret.pdf")
    assert refused(file) == "link.pdf is a link out of the book's folder; copy the file into it"
    (folder / "link.pdf").unlink()
    (folder / "elsewhere").symlink_to(tmp_path)
    file = a_folder(folder, showing("elsewhere/secret.pdf"), {})
    assert refused(file).startswith("elsewhere/secret.pdf is a link out of the book's folder")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path), os.mkfifo])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, make: object) -> None:
    file = a_folder(tmp_path, showing("a.pdf"), {})
    make(tmp_path / "a.pdf")  # type: ignore[operator]
    assert refused(file).startswith(("a.pdf is not a file", "no file a.pdf beside the book"))


def test_a_file_that_is_missing_or_too_large_is_named(tmp_path: Path) -> None:
    file = a_folder(tmp_path, showing("a.pdf"), {})
    assert refused(file) == "no file a.pdf beside the book; paths are relative to it"
    with (tmp_path / "a.pdf").open("wb") as sparse:
        sparse.truncate(30 << 20)
    assert refused(file) == "a.pdf has 30.0 MB; no file may have more than 20"


# ------------------------------------------------------------------------------------------------ zips


def test_a_zip_gives_back_the_book_and_its_files(tmp_path: Path) -> None:
    bundle = Bundle(the_example(), FILES)
    (tmp_path / "book.zip").write_bytes(to_zip(bundle))
    assert load(tmp_path / "book.zip")[1] == bundle


def test_a_zip_of_a_folder_is_read_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("welcome/sales.yaml", showing("media/a.pdf"))
        archive.writestr("welcome/media/a.pdf", PDF)
        archive.writestr("welcome/media/notes.yaml", "a: b")
    assert load(tmp_path / "a.zip")[1].files == {"media/a.pdf": PDF}


def test_a_zip_bomb_is_refused_unopened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(BOOK_NAME, showing("a.pdf"))
        archive.writestr("a.pdf", bytes(40 << 20))
    assert refused(tmp_path / "a.zip") == "a.pdf has 40.0 MB; no file may have more than 20"


@pytest.mark.parametrize("content", [b"", b"notes"])
def test_a_zip_without_a_book_or_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        if content:
            archive.writestr(BOOK_NAME, showing("a.pdf"))
    expected = "no file a.pdf in the .zip, beside the book" if content else "there is no book.yaml in the .zip"
    assert refused(tmp_path / "a.zip") == expected


def test_a_broken_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(to_zip(Bundle(showing("a.pdf"), {"a.pdf": PDF * 100})))
    start = content.index(b"a.pdf") + 5
    content[start : start + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.zip").write_bytes(content)
    assert "a.pdf cannot be read from the .zip" in refused(tmp_path / "a.zip")


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_is_packed_so_that_it_may_take_any_memory_is_refused(packed: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as archive:
        archive.writestr(BOOK_NAME, "version: 1\n")
    with pytest.raises(BookError, match=r"book\.yaml is packed in an unusual way"):
        read(out.getvalue())


def test_a_zip_of_very_many_files_is_refused_before_they_are_listed() -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    listed = entry * 200_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, len(listed), 0, 0)
    with pytest.raises(BookError, match="more than 10000 files"):
        read(listed + end)


@given(at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_zip_that_is_spoilt_anywhere_is_read_or_refused_in_words(at: int, byte: int) -> None:
    content = bytearray(to_zip(Bundle(showing("a.pdf"), {"a.pdf": PDF})))
    content[at % len(content)] = byte
    with contextlib.suppress(BookError):
        read(bytes(content))

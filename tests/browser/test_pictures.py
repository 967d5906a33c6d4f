"""The tool that takes the READMEs' pictures, without taking them; and the pictures that are there."""

from pathlib import Path

import pytest
from PIL import Image

from tests.browser import pictures
from tests.browser.pictures import COLOURS, FOLDER, LANGUAGES, MOST, PAGES, PHONE, WIDE


def test_it_takes_every_picture_that_a_readme_shows() -> None:
    names = pictures.shown()
    assert names
    shown = {f"{name}.{language.replace('_', '-')}.png" for name in names for language in LANGUAGES}
    assert shown <= {file.name for file in FOLDER.glob("*.png")}
    assert set(names) <= set(PAGES)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.png")), ids=lambda file: file.name)
def test_a_picture_is_small(file: Path) -> None:
    assert file.stat().st_size <= 1.2 * MOST


def test_it_keeps_the_colours_that_there_are_most_of_and_the_size_within_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "ROOT", tmp_path)
    noise = Image.effect_noise((300, 300), 90).convert("RGB")
    whole = Image.new("RGB", WIDE, "#0b6b3a")
    whole.paste(noise, (0, 0))
    pictures.write(whole, tmp_path / "a.png", COLOURS)
    assert (tmp_path / "a.png").stat().st_size <= MOST
    with Image.open(tmp_path / "a.png") as written:
        assert written.convert("RGB").getpixel((1000, 800)) == (0x0B, 0x6B, 0x3A)


def test_a_sheet_has_four_pages_and_four_phones() -> None:
    wide, phone = [Image.new("RGB", WIDE, "#fff")] * 4, [Image.new("RGB", PHONE, "#000")] * 4
    counted = {colour: number for number, colour in pictures.sheet(wide, phone).getcolors() or []}
    assert counted[255, 255, 255] == 4 * (WIDE[0] // 2) * (WIDE[1] // 2)
    assert counted[0, 0, 0] == 4 * (PHONE[0] // 2) * (PHONE[1] // 2)

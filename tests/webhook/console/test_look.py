"""What the tokens of console.css promise: contrast in both colour schemes, series that all eyes tell apart."""

import itertools
import math
import re

import pytest

from tests.support.icons import CONSOLE, LICENCE, SPRITE, drawn, named

CSS = (CONSOLE / "static" / "console.css").read_text("utf-8")
SHEETS = [
    sheet for sheet in (CONSOLE / "static").glob("*.css") if sheet.name != "console.css" and ".min." not in sheet.name
]
RAW = re.compile(r"#[0-9a-fA-F]{3,8}\b(?=[;, )])|\b(?:rgba?|hsla?)\(")
LIGHT, DARK = (
    dict(re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{3,6});", block))
    for block in re.findall(r":root \{\n(.*?)\n {2,4}\}", CSS, re.DOTALL)[:2]
)
SCHEMES = pytest.mark.parametrize("colours", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
TEXT, SHAPE = 4.5, 3.0  # WCAG 1.4.3 and 1.4.11
TONES = ("ok", "warn", "bad", "unknown", "plain")
ON_GROUND = [  # what stands on what, and how much they differ at least
    *(
        (words, ground, TEXT)
        for words in ("ink", "muted")
        for ground in ("ground", "sunken", "paper", "hover", "raised")
    ),
    *((words, f"{tone}-ground", TEXT) for words in ("ink", "muted") for tone in (*TONES, "link", "primary")),
    *((tone, f"{tone}-ground", TEXT) for tone in (*TONES, "link", "primary")),
    *(
        (tone, ground, TEXT)
        for tone in (*TONES, "link", "primary")
        for ground in ("paper", "ground", "hover", "raised")
    ),
    *(("on-tone", tone, TEXT) for tone in TONES),
    ("on-primary", "primary", TEXT),
    ("on-primary", "primary-strong", TEXT),
    *(("control", ground, SHAPE) for ground in ("paper", "ground", "raised")),
    *((f"series-{name}", "paper", SHAPE) for name in (1, 2, 3, 4, 5, "rest")),
]
APART = 10  # of 100 between black and white, in OKLab
EYES = {  # Machado, Oliveira and Fernandes 2009, severity 1: what a colour becomes for the colour-blind, in linear RGB
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
Three = tuple[float, float, float]


def linear(colour: str) -> Three:
    """Red, green and blue as amounts of light, 0 to 1."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """WCAG's ratio, 1 to 21."""
    lights = (
        sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (one, other)
    )
    darker, lighter = sorted(lights)
    return (lighter + 0.05) / (darker + 0.05)


def times(matrix: tuple[Three, ...], light: Three) -> Three:
    first, second, third = (sum(share * part for share, part in zip(row, light, strict=True)) for row in matrix)
    return first, second, third


def oklab(light: Three) -> Three:
    """Lightness and two axes of colour, in which distances are as large as they look (Ottosson 2020)."""
    to_cones = (
        (0.41222147, 0.53633254, 0.05144599),
        (0.21190350, 0.68069954, 0.10739696),
        (0.08830246, 0.28171884, 0.62997870),
    )
    to_lab = (
        (0.21045426, 0.79361778, -0.00407205),
        (1.97799850, -2.42859221, 0.45059371),
        (0.02590404, 0.78277177, -0.80867577),
    )
    long, middle, short = (math.cbrt(cone) for cone in times(to_cones, light))
    return times(to_lab, (long, middle, short))


def seen(colour: str, eyes: tuple[Three, ...]) -> Three:
    red, green, blue = (min(max(part, 0), 1) for part in times(eyes, linear(colour)))
    return oklab((red, green, blue))


@SCHEMES
def test_words_and_shapes_stand_out_from_what_is_behind_them(colours: dict[str, str]):
    poor = [
        f"{words} on {ground}: {found:.2f}, not {least}"
        for words, ground, least in ON_GROUND
        if (found := contrast(colours[f"--{words}"], colours[f"--{ground}"])) < least
    ]
    assert not poor, "\n".join(poor)


@SCHEMES
@pytest.mark.parametrize("eyes", EYES.values(), ids=EYES)
def test_series_are_told_apart(colours: dict[str, str], eyes: tuple[Three, ...]):
    series = {name: seen(colours[name], eyes) for name in (f"--series-{number}" for number in range(1, 6))}
    alike = [
        f"{one} and {other}: {found:.1f}"
        for one, other in itertools.combinations(series, 2)
        if (found := 100 * math.dist(series[one], series[other])) < APART
    ]
    assert not alike, "\n".join(alike)


def test_the_dark_scheme_has_every_colour_of_the_light_one():
    assert LIGHT.keys() == DARK.keys()


def test_a_page_of_its_own_colours_has_none():
    """A colour that is no token is not measured, and stays as it is in the dark: as a phone and a QR code do."""
    raw = {sheet.name: RAW.findall(sheet.read_text("utf-8")) for sheet in SHEETS}
    assert {name: found for name, found in raw.items() if found and name != "phone.css"} == {"setup.css": ["#fff"] * 2}


def test_every_icon_that_is_named_is_drawn_and_no_other():
    assert drawn() == named(), "write them anew: see tests/support/icons.py"
    assert "ISC License" in LICENCE.read_text("utf-8")
    assert LICENCE.name in SPRITE.read_text("utf-8")

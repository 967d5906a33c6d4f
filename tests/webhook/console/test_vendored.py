"""The scripts and styles of others are as their makers published them, with their licences."""

import hashlib
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "webhook" / "console" / "static"
FILES = {  # file → (npm package and version, file in it, sha256)
    "htmx.min.js": (
        "htmx.org 4.0.1",
        "dist/htmx.min.js",
        "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    ),
    "uplot.min.js": (
        "uplot 1.6.32",
        "dist/uPlot.iife.min.js",
        "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    ),
    "uplot.min.css": (
        "uplot 1.6.32",
        "dist/uPlot.min.css",
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_npm_gives(name: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == FILES[name][2]


def test_every_file_of_others_is_listed_and_has_its_licence() -> None:
    assert {one.name for one in STATIC.glob("*.min.*")} == FILES.keys()
    licence = (STATIC / "uplot.LICENSE").read_text("utf-8")
    assert FILES["uplot.min.js"][0].lower() in licence.lower()
    assert "Permission is hereby granted" in licence

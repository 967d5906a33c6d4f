"""The console's icons: those of Lucide that its pages name, in one file that browsers keep for a year.

    npm pack lucide-static && tar xzf lucide-static-*.tgz
    python -m tests.support.icons package        writes webhook/console/static/icons.svg and icons.LICENSE anew

A page names one with `parts.icon("house")` or `parts.empty("house", …)`, Python with `icon="house"`.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from tests.support.processes import ROOT

CONSOLE = ROOT / "webhook" / "console"
SPRITE = CONSOLE / "static" / "icons.svg"
LICENCE = CONSOLE / "static" / "icons.LICENSE"
PARTS = CONSOLE / "pages" / "parts.html"
NAMED = re.compile(r"""(?:\bparts\.icon\(|\bicon=|\bparts\.empty\()["']([a-z0-9-]+)["']""")


def named() -> set[str]:
    """The icons that pages and Python name."""
    files = [*CONSOLE.rglob("*.html"), *CONSOLE.rglob("*.py")]
    own = PARTS.read_text("utf-8").replace(" icon(", " parts.icon(")
    return {name for text in (own, *(file.read_text("utf-8") for file in files)) for name in NAMED.findall(text)}


def drawn() -> set[str]:
    """The icons that the file has."""
    return set(re.findall(r'<symbol id="([^"]+)"', SPRITE.read_text("utf-8")))


def write(package: Path) -> None:
    """Write the file from lucide-static as npm gives it."""
    version = json.loads((package / "package.json").read_text("utf-8"))["version"]
    shutil.copy(package / "LICENSE", LICENCE)
    heading = (
        f"<!-- Lucide (lucide-static {version}), ISC and MIT: see icons.LICENSE. Made by tests/support/icons.py -->"
    )
    symbols = (symbol(name, (package / "icons" / f"{name}.svg").read_text("utf-8")) for name in sorted(named()))
    content = "\n".join([heading, '<svg xmlns="http://www.w3.org/2000/svg">', *symbols, "</svg>", ""])
    SPRITE.write_text(content, "utf-8")


def symbol(name: str, svg: str) -> str:
    """One icon without what all have in common, which `.icon` of console.css says."""
    inside = re.search(r"<svg[^>]*>(.*)</svg>", svg, re.DOTALL)
    assert inside, name
    shapes = re.sub(r"\s*\n\s*", "", inside.group(1)).replace(" />", "/>")
    return f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>'


if __name__ == "__main__":
    write(Path(sys.argv[1]))

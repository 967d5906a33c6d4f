"""Parses a Markdown page: headings and their anchors, links, code, tables. Only the Markdown that our pages use."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

_FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\]\(([^)\s]+)\)")
_NOT_IN_AN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """(language, code) of each block, in order; "" for none."""
        return [(found["language"], found["code"]) for found in _FENCE.finditer(self.text)]

    @property
    def spans(self) -> list[str]:
        """The inline code. In a table a `|` is written `\\|`."""
        return [" ".join(span.replace("\\|", "|").split()) for span in _SPAN.findall(self.prose)]

    @property
    def links(self) -> list[str]:
        return _LINK.findall(_SPAN.sub("", self.prose))

    @property
    def headings(self) -> list[tuple[int, str]]:
        """(level, text) of each heading, in order."""
        return [(len(marks), text.strip()) for marks, text in _HEADING.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """The headings' anchors, as GitHub makes them: a second heading with the same text gets `-1`."""
        found: set[str] = set()
        for _, heading in self.headings:
            anchor = _NOT_IN_AN_ANCHOR.sub("", heading.lower()).replace(" ", "-")
            further = (f"{anchor}-{number}" for number in range(1, 100))
            found.add(anchor if anchor not in found else next(one for one in further if one not in found))
        return found

    def section(self, heading: str) -> "Section":
        """The text below a heading, down to the next one of its level or above."""
        levels = {text: level for level, text in self.headings}
        _, _, rest = self.prose.partition(f"\n{'#' * levels[heading]} {heading}\n")
        end = re.search(rf"^#{{1,{levels[heading]}}} ", rest, re.MULTILINE)
        return Section(rest[: end.start()] if end else rest)

    def rows(self) -> list[list[str]]:
        return Section(self.prose).rows()


@dataclass(frozen=True)
class Section:
    """A part of a page's prose."""

    text: str

    def rows(self) -> list[list[str]]:
        """The cells of each row of its tables, without the header rows."""
        lines = self.text.splitlines()
        is_rule = [bool(re.fullmatch(r" *\|[-| ]+\|", line)) for line in lines]
        return [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            for number, line in enumerate(lines)
            if line.lstrip().startswith("|") and not is_rule[number] and not [*is_rule, False][number + 1]
        ]


def pages() -> list[Page]:
    """Every Markdown file of the project."""
    below = (path for folder in ("deploy", "tasks", "webhook", "tests") for path in (ROOT / folder).rglob("*.md"))
    return [Page(path) for path in sorted([*ROOT.glob("*.md"), *below])]


def commands(page: Page) -> Iterator[str]:
    """The `wecom-welcome` commands that a page quotes, without the name itself: whole spans, and lines of blocks."""
    quoted = page.spans
    for language, code in page.blocks:
        if language in ("sh", "console"):
            quoted += re.sub(r" *\\\n *", " ", code).splitlines()
    for line in quoted:
        found = re.match(r"(?:.* (?:exec [\w ]*|\S*bin/)|(?:\$ )?(?:\S*bin/)?)wecom-welcome ([^#;&>']+)", line.strip())
        if found:
            yield found[1].strip()

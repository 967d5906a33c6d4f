"""One draft of a welcome book, as a value; as it is stored; and what can be wrong with a change to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tasks.templates import book as book_file
from tasks.templates.edits import Content
from tasks.templates.merge import Clash
from tasks.templates.model import Book, Media
from tasks.templates.problems import Problem
from tasks.templates.yaml_writer import values_of


@dataclass(frozen=True, slots=True)
class Draft:
    """A book that is worked on. `version` 0: nothing was changed yet, and this is what is live.

    `base`: the revision that it began from, 0 for none. `at`: ms. `touched`: part → (who changed it last, at).
    """

    app: str
    source: str
    files: Mapping[str, Media] = field(default_factory=dict)
    base: int = 0
    version: int = 0
    author: str = ""
    at: int = 0
    touched: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def content(self) -> Content:
        """Its plain values. They are not to be changed: edits make new ones."""
        return Content(values_of(self.source), self.files)

    def book(self) -> Book:
        """It read. Raises BookError while it is empty, or if it was made when books were read less strictly."""
        return _book(self.source, frozenset(self.files.items()))


@lru_cache(maxsize=16)
def _book(source: str, files: frozenset[tuple[str, Media]]) -> Book:
    return book_file.read(source, book_file.among(dict(files)))


class DraftError(ValueError):
    """An edit that would break the book. Nothing has changed."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem.what) for problem in problems))
        self.problems = problems


class EditConflict(Exception):
    """Somebody else has changed the same part since the form was opened. Nothing has changed.

    `yours`, `theirs` and `original` are plain values; None: gone, or for the original not known any more. `was`: what a
    form says that wants to go on from theirs. `author`, `at` (ms): of theirs, "" and 0 if that is not known.
    """

    def __init__(self, clash: Clash, was: str, author: str = "", at: int = 0) -> None:
        super().__init__(f"{clash.part} was changed by {author or 'somebody else'} meanwhile")
        self.part, self.yours, self.theirs, self.original = clash.part, clash.yours, clash.theirs, clash.original
        self.was, self.author, self.at = was, author, at


class Moved(Exception):
    """The draft is not the version that was looked at. `draft` None: there is none any more."""

    def __init__(self, draft: Draft | None) -> None:
        super().__init__("the draft has changed meanwhile")
        self.draft = draft


class Behind(Exception):
    """What is live has changed since the draft began. `live`: its revision; `clashes`: parts that both changed."""

    def __init__(self, draft: Draft, live: int, clashes: tuple[Clash, ...]) -> None:
        super().__init__(f"revision {live} is live, and the draft began from {draft.base}")
        self.draft, self.live, self.clashes = draft, live, clashes


def written(draft: Draft) -> str:
    """A draft as it is stored."""
    files = {path: [one.sha256, one.kind, one.size] for path, one in draft.files.items()}
    stored = {"source": draft.source, "files": files, "base": draft.base, "version": draft.version}
    stored |= {"author": draft.author, "at": draft.at, "touched": draft.touched}
    return json.dumps(stored, ensure_ascii=False)


def read(app: str, stored: str) -> Draft:
    """An app's draft from what is stored."""
    found = json.loads(stored)
    files = {path: Media(path, *one) for path, one in found["files"].items()}
    touched = {part: (author, at) for part, (author, at) in found["touched"].items()}
    return Draft(app, found["source"], files, found["base"], found["version"], found["author"], found["at"], touched)

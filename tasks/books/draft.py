"""A draft of a welcome book as a value, its stored form, and the errors of changing it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tasks.templates import book as book_file
from tasks.templates.edits import Content
from tasks.templates.merge import Clash
from tasks.templates.model import Book, Media
from tasks.templates.problems import BookError, Problem
from tasks.templates.yaml_writer import values_of


@dataclass(frozen=True, slots=True)
class Draft:
    """A book that is being edited. `version` 0: nothing was changed yet, and this is the live book.

    `base`: the revision that it began from, 0 for none. `at`: ms. `touched`: part → (who changed it last, at).
    `by`: all who have saved it.
    """

    app: str
    source: str
    files: Mapping[str, Media] = field(default_factory=dict)
    base: int = 0
    version: int = 0
    author: str = ""
    at: int = 0
    touched: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    by: tuple[str, ...] = ()

    @property
    def authors(self) -> list[str]:
        """All who have changed it. Of a draft of an earlier release: the last of each part."""
        return list(dict.fromkeys([*self.by, *(who for who, _ in self.touched.values()), self.author]))

    @property
    def content(self) -> Content:
        """Its plain values. Do not change them in place: edits make new ones."""
        return Content(values_of(self.source), self.files)

    def book(self) -> Book:
        """The draft as a book. Raises BookError while it is empty, or if a less strict release stored it."""
        return _book(self.source, frozenset(self.files.items()))


def book_of(draft: Draft) -> Book | None:
    """A draft's book; None while it is empty, or if a less strict release stored it."""
    try:
        return draft.book()
    except BookError:
        return None


@lru_cache(maxsize=16)
def _book(source: str, files: frozenset[tuple[str, Media]]) -> Book:
    return book_file.read(source, book_file.among(dict(files)))


class DraftError(ValueError):
    """An edit that would break the book. Nothing has changed."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem.what) for problem in problems))
        self.problems = problems


class EditConflict(Exception):
    """The same part was changed by someone else since the form was opened. The edit was not made.

    `yours`, `theirs` and `original` are plain values; None: deleted, or for the original no longer known. `was`: the
    digest for a form that continues from theirs. `author`, `at` (ms): of theirs; "" and 0 if unknown.
    """

    def __init__(self, clash: Clash, was: str, author: str = "", at: int = 0) -> None:
        super().__init__(f"{clash.part} was changed by {author or 'somebody else'} meanwhile")
        self.part, self.yours, self.theirs, self.original = clash.part, clash.yours, clash.theirs, clash.original
        self.was, self.author, self.at = was, author, at


class Moved(Exception):
    """The draft is no longer the version that the caller saw. `draft` None: it no longer exists."""

    def __init__(self, draft: Draft | None) -> None:
        super().__init__("the draft has changed meanwhile")
        self.draft = draft


class Behind(Exception):
    """The live book has changed since the draft began. `live`: its revision; `clashes`: parts that both changed."""

    def __init__(self, draft: Draft, live: int, clashes: tuple[Clash, ...]) -> None:
        super().__init__(f"revision {live} is live, and the draft began from {draft.base}")
        self.draft, self.live, self.clashes = draft, live, clashes


def written(draft: Draft) -> str:
    """A draft as stored JSON."""
    files = {path: [one.sha256, one.kind, one.size] for path, one in draft.files.items()}
    stored = {"source": draft.source, "files": files, "base": draft.base, "version": draft.version}
    stored |= {"author": draft.author, "at": draft.at, "touched": draft.touched, "by": draft.by}
    return json.dumps(stored, ensure_ascii=False)


def read(app: str, stored: str) -> Draft:
    """An app's draft from stored JSON."""
    found = json.loads(stored)
    files = {path: Media(path, *one) for path, one in found["files"].items()}
    touched = {part: (author, at) for part, (author, at) in found["touched"].items()}
    by = tuple(found.get("by", ()))
    return Draft(
        app, found["source"], files, found["base"], found["version"], found["author"], found["at"], touched, by
    )

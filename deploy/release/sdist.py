"""Keeps what lies around out of the source distribution: it holds what git tracks, and nothing else.

hatchling packs a whole tree but for what .gitignore names: a backup with customers' ids, a note, an `apps.toml`. This
build hook names each file instead, and `exclude = ["*"]` in pyproject.toml leaves the others out. In a tree without
git, a release that was unpacked, all files are those that git tracked, but for what its .gitignore files name.
"""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from pathspec import GitIgnoreSpec

LEFTOVERS = {"PKG-INFO"}  # is made anew


class TrackedFiles(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        build_data["force_include"] = {str(root / name): name for name in files(root)}


class _Ignored:
    """What one .gitignore names in its folder."""

    def __init__(self, file: Path) -> None:
        self._folder = file.parent
        self._spec = GitIgnoreSpec.from_lines(file.read_text("utf-8").splitlines())

    def names(self, path: Path) -> bool:
        return path.is_relative_to(self._folder) and self._spec.match_file(path.relative_to(self._folder))


def files(root: Path) -> list[str]:
    """Paths of the files that belong to the project, below its root, sorted. RuntimeError: git cannot say."""
    if not (root / ".git").exists():
        ignored = [_Ignored(file) for file in root.rglob(".gitignore")]
        there = [path for path in root.rglob("*") if path.is_file() and not any(one.names(path) for one in ignored)]
        return sorted(str(path.relative_to(root)) for path in there if path.name not in LEFTOVERS)
    try:
        command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z"]  # whoever the checkout belongs to
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"the source distribution holds what git tracks, and git does not say: {error}") from None
    return sorted(name for name in listed.split("\0") if name and (root / name).is_file())
